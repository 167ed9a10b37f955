"""Which pair gets which number: signature kernels of all lengths, batches, dimensions, refinements, layouts, threads.

Kernels walk the grid of a pair in tiles, several pairs side by side, long pairs along their diagonals. What goes wrong
there goes wrong at the edges of tiles or for some batch sizes only, so every size is tried. The grid of two long paths
holds the kernels of all their beginnings, and a path moved along a direction gives exact derivatives for all of them:
the expected values are computed once for a pool of pairs.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import reference_kernels as reference
from cases import random_paths
from checking import assert_close, assert_same_bits

import siglib

TOLERANCE = {"float64": 1e-11, "float32": 5e-5}
GRADIENT_TOLERANCE = {"float64": 1e-10, "float32": 5e-4}
LENGTHS = [2, 3, 4, 5, 6, 8, 9, 13, 31, 32, 33, 34, 36, 37, 63, 64, 65, 66, 70]
METHODS: dict[str, dict[str, Any]] = {
    "finite_difference": {"dyadic_order": 0},
    "polynomial": {"method": "polynomial", "order": 5},
}
methods = pytest.mark.parametrize("method", METHODS)


class Pool(NamedTuple):
    """Pairs of paths, directions to move them in, and the grids of values and of derivatives along the directions."""

    x: np.ndarray  # (n, length, dimension)
    y: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    values: np.ndarray  # (n, grid, grid)
    x_derivatives: np.ndarray
    y_derivatives: np.ndarray


@cache
def pool(n: int, length: int, dimension: int, order1: int = 0, order2: int = 0, order: int | None = None) -> Pool:
    """The pool of this size, with grids for these orders. Rounded to single precision: both dtypes see the same."""
    rng = np.random.default_rng([n, length, dimension])
    x, y, dx, dy = random_paths(rng, 4, n, length, dimension, dtype=np.float32).astype(np.float64)
    options: dict[str, Any] = {"dyadic_order": (order1, order2), "order": order, "return_grid": True}

    def grid_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return reference.kernel(x, y, **options)

    by_x = reference.exact_derivative(lambda x: grid_of(x, y), x, dx)
    by_y = reference.exact_derivative(lambda y: grid_of(x, y), y, dy)
    return Pool(x, y, dx, dy, grid_of(x, y), by_x, by_y)


def long_pool(method: str) -> Pool:
    """Few pairs; not as long for polynomials, whose reference takes its time."""
    return pool(3, 250, 2) if method == "finite_difference" else pool(3, 100, 2, order=METHODS[method]["order"])


def fitting(pairs: Pool, length: int) -> int:
    """`length`, or as long as the paths of the pool are."""
    return min(length, pairs.x.shape[1])


def along(gradient: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The derivative of every path along its direction, from the gradient."""
    return np.sum(gradient.astype(np.float64) * direction[:, : gradient.shape[1]], axis=(1, 2))


def check(
    pairs: Pool,
    dtype: np.dtype,
    length1: int,
    length2: int,
    first: int,
    batch: int,
    stride: Any = (1, 1),
    **options: Any,
) -> None:
    """Value and both gradients of `batch` pairs, cut to these lengths."""
    x, y, dx, dy, values, by_x, by_y = (array[first : first + batch] for array in pairs)
    x, y = x[:, :length1].astype(dtype), y[:, :length2].astype(dtype)
    node = (slice(None), (length1 - 1) * stride[0], (length2 - 1) * stride[1])
    kernels = siglib.sig_kernel(x, y, **options)
    assert kernels.dtype == dtype
    assert_close(kernels, values[node], TOLERANCE[dtype.name])
    derivs = np.linspace(-1.0, 1.5, batch).astype(dtype)
    gradients = siglib.sig_kernel_backprop(derivs, x, y, left_deriv=True, right_deriv=True, **options)
    for gradient, path, direction, expected in zip(gradients, (x, y), (dx, dy), (by_x, by_y), strict=True):
        assert gradient.dtype == dtype
        assert gradient.shape == path.shape
        assert_close(along(gradient, direction), derivs * expected[node], GRADIENT_TOLERANCE[dtype.name])


# Lengths: tiles of 4 rows and 32 columns, complete and not


@methods
@pytest.mark.parametrize("length1", LENGTHS)
def test_every_length(dtype: np.dtype, length1: int, method: str) -> None:
    pairs = pool(20, 70, 3, order=METHODS[method].get("order"))
    for number, length2 in enumerate(LENGTHS):
        batch = 1 + (7 * number + length1) % 19
        check(pairs, dtype, length1, length2, 20 - batch, batch, **METHODS[method])


@methods
@pytest.mark.parametrize("batch", range(1, 21))
@pytest.mark.parametrize("lengths", [(2, 2), (5, 7), (9, 34), (66, 6), (33, 65)], ids=str)
def test_every_batch_size(dtype: np.dtype, batch: int, lengths: tuple[int, int], method: str) -> None:
    pairs = pool(20, 70, 3, order=METHODS[method].get("order"))
    check(pairs, dtype, *lengths, 0, batch, **METHODS[method])


@methods
@pytest.mark.parametrize(("length1", "length2"), [(250, 250), (249, 131), (66, 244), (100, 99), (5, 250), (250, 2)])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_few_long_pairs(dtype: np.dtype, method: str, length1: int, length2: int, batch: int) -> None:
    pairs = long_pool(method)
    check(pairs, dtype, fitting(pairs, length1), fitting(pairs, length2), 3 - batch, batch, **METHODS[method])


@pytest.mark.parametrize("dyadic_order", [(1, 0), (0, 1), (2, 1), (1, 3), (4, 4)], ids=str)
@pytest.mark.parametrize(("length1", "length2"), [(70, 70), (66, 41), (9, 70), (65, 5)])
def test_few_large_refined_grids(dtype: np.dtype, dyadic_order: tuple[int, int], length1: int, length2: int) -> None:
    # Grids of 60 to 1100 rows and columns.
    if dyadic_order == (4, 4):
        length1, length2 = min(length1, 18), min(length2, 18)
    stride = 2 ** dyadic_order[0], 2 ** dyadic_order[1]
    pairs = pool(2, 18 if dyadic_order == (4, 4) else 70, 3, *dyadic_order)
    for batch in (1, 2):
        check(pairs, dtype, length1, length2, 2 - batch, batch, stride, dyadic_order=dyadic_order)


@methods
@pytest.mark.parametrize("dimension", [1, 2, 4, 5, 7, 8, 9, 12, 16, 17, 33, 70])
def test_every_dimension(dtype: np.dtype, dimension: int, method: str) -> None:
    pairs = pool(9, 6, dimension, order=METHODS[method].get("order"))
    check(pairs, dtype, 6, 5, 0, 9, **METHODS[method])
    check(pairs, dtype, 4, 6, 5, 3, **METHODS[method])


# Refinement


@pytest.mark.parametrize("order2", range(4))
@pytest.mark.parametrize("order1", range(4))
def test_every_pair_of_dyadic_orders(dtype: np.dtype, order1: int, order2: int) -> None:
    stride = 2**order1, 2**order2
    pairs = pool(10, 11, 2, order1, order2)
    for number, (length1, length2) in enumerate([(2, 2), (3, 11), (11, 2), (6, 5), (5, 9), (10, 11), (11, 11)]):
        batch = 1 + 3 * number % 10
        check(pairs, dtype, length1, length2, 10 - batch, batch, stride, dyadic_order=(order1, order2))


@pytest.mark.parametrize("dyadic_order", [(4, 0), (0, 5), (5, 4), (6, 6)], ids=str)
def test_high_dyadic_orders(dtype: np.dtype, dyadic_order: tuple[int, int]) -> None:
    stride = 2 ** dyadic_order[0], 2 ** dyadic_order[1]
    check(pool(3, 4, 2, *dyadic_order), dtype, 4, 3, 0, 3, stride, dyadic_order=dyadic_order)


@pytest.mark.parametrize("order", [2, 3, 4, 6, 7, 8, 9, 12, 16, 17, 31, 32, 33, 63, 64])
def test_every_kind_of_polynomial_order(dtype: np.dtype, order: int) -> None:
    for length1, length2, batch in [(5, 4, 3), (2, 5, 9), (5, 2, 1), (4, 5, 8)]:
        check(pool(9, 5, 2, order=order), dtype, length1, length2, 0, batch, method="polynomial", order=order)


# Grids


GRID_OPTIONS = [{"dyadic_order": 0}, {"dyadic_order": (2, 1)}, {"dyadic_order": (0, 3)}, METHODS["polynomial"]]


@pytest.mark.parametrize("options", GRID_OPTIONS, ids=str)
@pytest.mark.parametrize("batch", [1, 4, 10])
def test_grids_and_their_gradients(dtype: np.dtype, batch: int, options: dict[str, Any]) -> None:
    order1, order2 = np.broadcast_to(options.get("dyadic_order", 0), 2).tolist()
    pairs = pool(10, 11, 2, order1, order2, options.get("order"))
    for length1, length2 in [(2, 2), (5, 9), (11, 6)]:
        x, y, dx, dy, values, by_x, by_y = (array[:batch] for array in pairs)
        x, y = x[:, :length1].astype(dtype), y[:, :length2].astype(dtype)
        nodes = slice(None), slice((length1 - 1) * 2**order1 + 1), slice((length2 - 1) * 2**order2 + 1)
        grids = siglib.sig_kernel(x, y, return_grid=True, **options)
        assert_close(grids, values[nodes], TOLERANCE[dtype.name])
        derivs = np.random.default_rng(0).standard_normal(grids.shape).astype(dtype)
        gradients = siglib.sig_kernel_backprop(
            derivs, x, y, left_deriv=True, right_deriv=True, return_grid=True, **options
        )
        for gradient, direction, expected in zip(gradients, (dx, dy), (by_x, by_y), strict=True):
            total = np.sum(derivs * expected[nodes], axis=(1, 2))
            assert_close(along(gradient, direction), total, GRADIENT_TOLERANCE[dtype.name])


# Gram matrices


class GramPool(NamedTuple):
    """Paths x, y with directions, and the grids of x_i with y_j: values, derivatives along dx_i and along dy_j."""

    x: np.ndarray
    y: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    values: np.ndarray
    x_derivatives: np.ndarray
    y_derivatives: np.ndarray


@cache
def gram_pool(same: bool, order: int | None) -> GramPool:
    rng = np.random.default_rng(5)
    x, y, dx, dy = random_paths(rng, 4, 13, 10, 3, dtype=np.float32).astype(np.float64)
    if same:
        y, dy = x, dx
    options: dict[str, Any] = {"dyadic_order": 0, "order": order, "return_grid": True}
    by_x = reference.exact_derivative(lambda x: reference.gram(x, y, **options), x, dx)
    by_y = reference.exact_derivative(lambda y: reference.gram(x, y, **options), y, dy)
    return GramPool(x, y, dx, dy, reference.gram(x, y, **options), by_x, by_y)


@methods
@pytest.mark.parametrize("n1", [1, 2, 3, 5, 8, 13])
def test_every_shape_of_gram_matrix(dtype: np.dtype, n1: int, method: str) -> None:
    x, y, dx, dy, values, by_x, by_y = gram_pool(False, METHODS[method].get("order"))
    for n2 in (1, 2, 4, 7, 8, 9, 13):
        length1, length2 = 2 + (n1 + n2) % 9, 2 + (3 * n1 + n2) % 9
        node = (slice(n1), slice(n2), length1 - 1, length2 - 1)
        paths = x[:n1, :length1].astype(dtype), y[:n2, :length2].astype(dtype)
        matrix = siglib.sig_kernel_gram(*paths, **METHODS[method])
        assert matrix.dtype == dtype
        assert_close(matrix, values[node], TOLERANCE[dtype.name])
        derivs = np.random.default_rng(n2).standard_normal((n1, n2)).astype(dtype)
        gradients = siglib.sig_kernel_gram_backprop(
            derivs, *paths, left_deriv=True, right_deriv=True, **METHODS[method]
        )
        for gradient, path, direction, expected, axis in zip(
            gradients, paths, (dx[:n1], dy[:n2]), (by_x, by_y), (1, 0), strict=True
        ):
            assert gradient.dtype == dtype
            assert gradient.shape == path.shape
            total = np.sum(derivs * expected[node], axis=axis)
            assert_close(along(gradient, direction), total, GRADIENT_TOLERANCE[dtype.name])


@methods
@pytest.mark.parametrize("n", range(1, 14))
def test_every_size_of_symmetric_gram_matrix(dtype: np.dtype, n: int, method: str) -> None:
    x, _, dx, _, values, by_x, by_y = gram_pool(True, METHODS[method].get("order"))
    length = 2 + n % 9
    node = (slice(n), slice(n), length - 1, length - 1)
    paths = x[:n, :length].astype(dtype)
    matrix = siglib.sig_kernel_gram(paths, paths, **METHODS[method])
    assert_close(matrix, values[node], TOLERANCE[dtype.name])
    assert_same_bits(matrix, matrix.T)
    derivs = np.random.default_rng(n).standard_normal((n, n)).astype(dtype)
    gradients = siglib.sig_kernel_gram_backprop(
        derivs, paths, paths, left_deriv=True, right_deriv=True, **METHODS[method]
    )
    # Every path stands on both sides, and gets the sum of both derivatives.
    expected = np.sum(derivs * by_x[node], axis=1) + np.sum(derivs * by_y[node], axis=0)
    assert_close(along(gradients[0], dx[:n]) + along(gradients[1], dx[:n]), expected, GRADIENT_TOLERANCE[dtype.name])


# Instruction sets, threads


@methods
@pytest.mark.parametrize(
    ("length1", "length2", "batch"), [(2, 2, 1), (5, 9, 20), (34, 33, 7), (65, 37, 16), (70, 70, 2)]
)
def test_every_instruction_set(
    instruction_set: str, dtype: np.dtype, method: str, length1: int, length2: int, batch: int
) -> None:
    pairs = pool(20, 70, 3, order=METHODS[method].get("order"))
    check(pairs, dtype, length1, length2, 0, batch, **METHODS[method])


@methods
@pytest.mark.parametrize(("length1", "length2"), [(250, 249), (70, 131)])
def test_every_instruction_set_on_few_long_pairs(
    instruction_set: str, dtype: np.dtype, method: str, length1: int, length2: int
) -> None:
    pairs = long_pool(method)
    for batch in (1, 3):
        check(pairs, dtype, fitting(pairs, length1), fitting(pairs, length2), 0, batch, **METHODS[method])


@pytest.mark.parametrize("dyadic_order", [(1, 2), (3, 0)], ids=str)
def test_every_instruction_set_with_refinement(
    instruction_set: str, dtype: np.dtype, dyadic_order: tuple[int, int]
) -> None:
    stride = 2 ** dyadic_order[0], 2 ** dyadic_order[1]
    check(pool(10, 11, 2, *dyadic_order), dtype, 11, 10, 0, 10, stride, dyadic_order=dyadic_order)


@methods
@pytest.mark.parametrize(
    ("n1", "n2", "length1", "length2"),
    [(1, 1, 300, 301), (3, 5, 40, 61), (9, 9, 33, 20), (1, 40, 9, 12), (17, 2, 70, 5)],
)
def test_threads_do_not_change_bits(
    dtype: np.dtype, rng: np.random.Generator, n1: int, n2: int, length1: int, length2: int, method: str
) -> None:
    x, y = random_paths(rng, n1, length1, 3, dtype=dtype), random_paths(rng, n2, length2, 3, dtype=dtype)
    derivs, square_derivs = (rng.standard_normal((n1, n)).astype(dtype) for n in (n2, n1))
    options = METHODS[method]

    def everything(n_jobs: int) -> list[np.ndarray]:
        both = {"left_deriv": True, "right_deriv": True, "n_jobs": n_jobs, **options}
        n = min(n1, n2)
        return [
            siglib.sig_kernel_gram(x, y, n_jobs=n_jobs, **options),
            siglib.sig_kernel_gram(x, x, n_jobs=n_jobs, **options),
            siglib.sig_kernel(x[:n], y[:n], n_jobs=n_jobs, **options),
            *siglib.sig_kernel_gram_backprop(derivs, x, y, **both),
            *siglib.sig_kernel_gram_backprop(square_derivs, x, x, **both),
            *siglib.sig_kernel_backprop(derivs[:n, 0], x[:n], y[:n], **both),
        ]

    expected = everything(1)
    for n_jobs in (2, 3, -1):
        for actual, one in zip(everything(n_jobs), expected, strict=True):
            assert_same_bits(actual, one)
