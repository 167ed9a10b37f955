"""What signature kernels must satisfy: closed forms, convergence, symmetries, positivity, exact gradients, precision."""

import math
from typing import Any

import numpy as np
import pytest
import reference_kernels as reference
from cases import random_paths, transforms
from checking import assert_close
from reference import numeric_gradient

import siglib

# Good to rounding for paths of size one: the solution itself, not a discretisation of it.
EXACT: dict[str, Any] = {"method": "polynomial", "order": 20}
SCHEMES: list[dict[str, Any]] = [
    {"dyadic_order": 0},
    {"dyadic_order": 2},
    {"dyadic_order": (2, 1)},
    {"method": "polynomial", "order": 2},
    {"method": "polynomial", "order": 7},
]
schemes = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: "-".join(map(str, s.values())))


def scheme_of_reference(scheme: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in scheme.items() if name != "method"}


def smooth_pair(
    rng: np.random.Generator, length1: int = 6, length2: int = 5, d: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Two paths of a total size of about one."""
    return random_paths(rng, length1, d), random_paths(rng, length2, d)


# Closed forms


@pytest.mark.parametrize("d", [1, 2, 3])
def test_inner_products_of_truncated_signatures_converge_to_the_kernel(rng: np.random.Generator, d: int) -> None:
    x, y = smooth_pair(rng, d=d)
    kernel = siglib.sig_kernel(x, y, **EXACT)
    degrees = {1: range(1, 24), 2: range(1, 13), 3: range(1, 9)}[d]
    products = [1.0 + np.dot(siglib.sig(x, n), siglib.sig(y, n)) for n in degrees]
    assert_close(np.array(products), np.array([reference.truncated_kernel(x, y, n) for n in degrees]))
    sizes = [np.abs(np.diff(path, axis=0)).sum() for path in (x, y)]
    for n, product in zip(degrees, products, strict=True):
        # Level k of a signature is at most size^k / k!.
        rest = sum(math.prod(sizes) ** k / math.factorial(k) ** 2 for k in range(n + 1, n + 60))
        assert abs(product - kernel) <= rest + 1e-13
    assert abs(products[-1] - kernel) <= {1: 1e-12, 2: 1e-8, 3: 1e-5}[d]


@pytest.mark.parametrize("angle", [0.0, 0.4, 0.5 * math.pi, 2.0, math.pi])
@pytest.mark.parametrize("length", [2, 3, 8])
def test_straight_lines_have_bessel_functions_for_kernels(rng: np.random.Generator, length: int, angle: float) -> None:
    a, b = np.array([1.3, 0.2]), 0.9 * np.array([math.cos(angle), math.sin(angle)])
    times1, times2 = (np.sort(np.append(rng.uniform(size=length - 2), [0.0, 1.0])) for _ in range(2))
    x, y = times1[:, None] * a, 1.7 + times2[:, None] * b
    assert_close(siglib.sig_kernel(x, y, **EXACT), reference.bessel(a @ b), 1e-13)
    grid = siglib.sig_kernel(x, y, return_grid=True, **EXACT)
    assert_close(grid, reference.bessel(np.multiply.outer(times1, times2) * (a @ b)), 1e-13)


def test_one_cell_by_hand() -> None:
    x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    assert_close(siglib.sig_kernel(x, y, method="polynomial", order=2), np.array(1 + 2 + 2**2 / 4))
    assert_close(siglib.sig_kernel(x, y, dyadic_order=0), np.array(2 * (1 + 1 + 4 / 12) - (1 - 4 / 12)))


def test_kernels_of_one_channel_see_only_the_total_increment(rng: np.random.Generator) -> None:
    x, y = smooth_pair(rng, 9, 7, d=1)
    expected = reference.bessel((x[-1, 0] - x[0, 0]) * (y[-1, 0] - y[0, 0]))
    assert_close(siglib.sig_kernel(x, y, **EXACT), expected, 1e-12)


# Convergence


def test_finite_differences_converge_at_second_order(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 2, 20, 8, 2)
    exact = siglib.sig_kernel(x, y, **EXACT)
    errors = [np.linalg.norm(siglib.sig_kernel(x, y, dyadic_order=n) - exact) for n in range(3, 8)]
    ratios = np.divide(errors[:-1], errors[1:])
    assert np.all(np.abs(ratios[1:] - 4.0) < 0.4)
    assert abs(ratios[-1] - 4.0) < 0.1


def test_the_polynomial_method_converges_faster_than_any_power(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 2, 5, 8, 2)
    refined = siglib.sig_kernel(x, y, dyadic_order=8)
    exact = siglib.sig_kernel(x, y, **EXACT)
    assert_close(exact, (4.0 * refined - siglib.sig_kernel(x, y, dyadic_order=7)) / 3.0, 1e-9)
    errors = [np.max(np.abs(siglib.sig_kernel(x, y, method="polynomial", order=n) - exact)) for n in (2, 4, 6, 8)]
    assert np.all(np.array(errors[1:]) < 0.02 * np.array(errors[:-1]))


def test_a_dyadic_order_is_a_finer_path(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 2, 3, 7, 2)

    def refined(path: np.ndarray, order: int) -> np.ndarray:
        fine, coarse = np.linspace(0, 6, 6 * 2**order + 1), np.arange(7.0)
        return np.stack([[np.interp(fine, coarse, channel) for channel in one.T] for one in path]).swapaxes(1, 2)

    for order1, order2 in [(1, 0), (2, 2), (0, 3)]:
        finer = siglib.sig_kernel(refined(x, order1), refined(y, order2), dyadic_order=0)
        assert_close(siglib.sig_kernel(x, y, dyadic_order=(order1, order2)), finer, 1e-12)


# Symmetries and invariances


@schemes
def test_exchanging_the_paths_exchanges_the_orders(rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = smooth_pair(rng)
    exchanged = {**scheme}
    if isinstance(scheme.get("dyadic_order"), tuple):
        exchanged["dyadic_order"] = scheme["dyadic_order"][::-1]
    grid = siglib.sig_kernel(x, y, return_grid=True, **scheme)
    assert_close(siglib.sig_kernel(y, x, return_grid=True, **exchanged), grid.T, 1e-14)


@schemes
def test_only_increments_count(rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = smooth_pair(rng)
    assert_close(siglib.sig_kernel(x + 3.0, y - 50.0, **scheme), siglib.sig_kernel(x, y, **scheme), 1e-12)
    # A factor may stand with either path.
    assert_close(siglib.sig_kernel(1.5 * x, y, **scheme), siglib.sig_kernel(x, 1.5 * y, **scheme), 1e-13)
    scaled = siglib.ScaledLinearKernel(1.5)
    expected = siglib.sig_kernel(1.5 * x, 1.5 * y, **scheme)
    assert_close(siglib.sig_kernel(x, y, static_kernel=scaled, **scheme), expected, 1e-13)


@pytest.mark.parametrize("dyadic_order", [0, 2, (1, 2)])
def test_pauses_change_nothing(rng: np.random.Generator, dyadic_order: Any) -> None:
    x, y = smooth_pair(rng)
    paused = np.repeat(x, [1, 3, 1, 2, 1, 4], axis=0), np.repeat(y, [2, 1, 5, 1, 1], axis=0)
    expected = siglib.sig_kernel(x, y, dyadic_order=dyadic_order)
    assert_close(siglib.sig_kernel(*paused, dyadic_order=dyadic_order), expected, 1e-13)
    assert_close(siglib.sig_kernel(*paused, **EXACT), siglib.sig_kernel(x, y, **EXACT), 1e-13)


def test_speed_direction_and_detours_change_nothing(rng: np.random.Generator) -> None:
    x, y = smooth_pair(rng)
    expected = siglib.sig_kernel(x, y, **EXACT)
    more_points = np.concatenate([x[:2], x[1:2] + np.array([[0.1], [0.35], [0.8]]) * (x[2] - x[1]), x[2:]])
    assert_close(siglib.sig_kernel(more_points, y, **EXACT), expected, 1e-12)
    assert_close(siglib.sig_kernel(x[::-1], y[::-1], **EXACT), expected, 1e-12)
    detour = np.concatenate([x[:3], rng.standard_normal((1, 2)), x[2:]])
    assert_close(siglib.sig_kernel(detour, y, **EXACT), expected, 1e-11)
    there_and_back = np.concatenate([x, x[-2::-1]])
    assert_close(siglib.sig_kernel(there_and_back, y, **EXACT), 1.0, 1e-11)


@schemes
def test_paths_in_different_channels_have_kernel_one(rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = smooth_pair(rng)
    x, y = x * np.array([1.0, 0.0]), y * np.array([0.0, 1.0])
    assert siglib.sig_kernel(x, y, **scheme) == 1.0
    assert siglib.sig_kernel(np.zeros_like(x), y, **scheme) == 1.0


@transforms
@schemes
def test_transforms_come_first(
    dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any], transform: dict[str, Any]
) -> None:
    x, y = random_paths(rng, 4, 5, 2, dtype=dtype), random_paths(rng, 4, 3, 2, dtype=dtype)
    options = {**scheme_of_reference(scheme), "transform": transform}
    exact = [x.astype(np.float64), y.astype(np.float64)]
    assert_close(siglib.sig_kernel(x, y, **scheme, **transform), reference.kernel(*exact, **options), 1e-5)
    matrix = siglib.sig_kernel_gram(x, y, **scheme, **transform)
    assert_close(matrix, reference.gram(*exact, **options), 1e-5)
    derivs = rng.standard_normal((4, 4)).astype(dtype)
    gradients = siglib.sig_kernel_gram_backprop(derivs, x, y, right_deriv=True, **scheme, **transform)
    for side in range(2):

        def total(path: np.ndarray, side: int = side) -> np.ndarray:
            """Kernels of one moved path, on this side, with all of the other side."""
            other = exact[1 - side]
            paths = (path[:, None], other) if side == 0 else (other, path[:, None])
            return reference.kernel(*paths, **options)

        for i in range(4):
            weights = derivs[i] if side == 0 else derivs[:, i]
            expected = reference.exact_gradient(lambda path, w=weights, f=total: f(path) @ w, exact[side][i])
            assert_close(gradients[side][i], expected, 1e-11 if dtype == np.float64 else 1e-4)


# Gram matrices


@pytest.mark.parametrize("static_kernel", [None, siglib.RBFKernel(1.0), siglib.Matern32Kernel(1.0)], ids=str)
def test_gram_matrices_are_positive_semidefinite(rng: np.random.Generator, static_kernel: Any) -> None:
    paths = random_paths(rng, 20, 8, 2)
    paths[10:15] = paths[:5]  # so that some eigenvalues are 0
    matrix = siglib.sig_kernel_gram(paths, paths, static_kernel=static_kernel, **EXACT)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert eigenvalues[0] >= -1e-13 * eigenvalues[-1]
    assert np.sum(eigenvalues < 1e-13 * eigenvalues[-1]) >= 5
    normalised = siglib.sig_kernel_gram(paths, paths, static_kernel=static_kernel, normalize=True, **EXACT)
    assert np.all(np.abs(normalised) <= 1.0 + 1e-13)
    assert np.all(np.diag(matrix) >= 1.0)


@schemes
def test_normalised_kernels_of_a_path_with_itself_are_exactly_one(
    dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any]
) -> None:
    paths = random_paths(rng, 11, 9, 3, dtype=dtype)
    matrix = siglib.sig_kernel_gram(paths, paths, normalize=True, **scheme)
    assert np.array_equal(np.diag(matrix), np.ones(11, dtype))
    assert np.array_equal(siglib.sig_kernel(paths, paths, normalize=True, **scheme), np.ones(11, dtype))


@schemes
def test_normalisation(dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = random_paths(rng, 5, 6, 2, dtype=dtype), random_paths(rng, 5, 8, 2, dtype=dtype)
    options = scheme_of_reference(scheme)
    a, b = x.astype(np.float64), y.astype(np.float64)
    xx, yy = reference.kernel(a, a, **options), reference.kernel(b, b, **options)
    matrix = siglib.sig_kernel_gram(x, y, normalize=True, **scheme)
    assert_close(matrix, reference.gram(a, b, **options) / np.sqrt(np.multiply.outer(xx, yy)), 1e-5)
    assert_close(siglib.sig_kernel(x, y, normalize=True, **scheme), np.diag(matrix), 1e-6)


@schemes
@pytest.mark.parametrize(("length1", "length2"), [(1, 1), (1, 4), (4, 1)])
def test_paths_of_one_point(dtype: np.dtype, length1: int, length2: int, scheme: dict[str, Any]) -> None:
    x, y = np.full((3, length1, 2), 2.0, dtype), np.arange(6.0 * length2).reshape(3, length2, 2).astype(dtype)
    assert np.array_equal(siglib.sig_kernel(x, y, **scheme), np.ones(3, dtype))
    assert np.array_equal(siglib.sig_kernel_gram(x, y, **scheme), np.ones((3, 3), dtype))
    order1, order2 = np.broadcast_to(scheme.get("dyadic_order", 0), 2)
    grids = siglib.sig_kernel(x, y, return_grid=True, **scheme)
    assert np.array_equal(grids, np.ones((3, (length1 - 1) * 2**order1 + 1, (length2 - 1) * 2**order2 + 1), dtype))
    both = {"left_deriv": True, "right_deriv": True}
    for function, shape in [(siglib.sig_kernel_backprop, 3), (siglib.sig_kernel_gram_backprop, (3, 3))]:
        for gradient, path in zip(function(np.ones(shape, dtype), x, y, **both, **scheme), (x, y), strict=True):
            assert np.array_equal(gradient, np.zeros_like(path))


# Gradients


@schemes
def test_gradients_are_exact(dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    """Every entry, against exact derivatives of the same scheme."""
    x, y = smooth_pair(rng)
    x, y = x.astype(np.float32).astype(np.float64), y.astype(np.float32).astype(np.float64)
    options = scheme_of_reference(scheme)
    derivs = np.array(1.7, dtype)
    both = {"left_deriv": True, "right_deriv": True}
    gradients = siglib.sig_kernel_backprop(derivs, x.astype(dtype), y.astype(dtype), **both, **scheme)
    by_x = reference.exact_gradient(lambda x: 1.7 * reference.kernel(x, y, **options), x)
    by_y = reference.exact_gradient(lambda y: 1.7 * reference.kernel(x, y, **options), y)
    assert_close(gradients[0], by_x, 1e-12 if dtype == np.float64 else 1e-5)
    assert_close(gradients[1], by_y, 1e-12 if dtype == np.float64 else 1e-5)


@schemes
def test_gradients_against_central_differences(rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = smooth_pair(rng)
    left, right = siglib.sig_kernel_backprop(np.array(1.0), x, y, left_deriv=True, right_deriv=True, **scheme)
    assert_close(left, numeric_gradient(lambda x: float(siglib.sig_kernel(x, y, **scheme)), x), 1e-8)
    assert_close(right, numeric_gradient(lambda y: float(siglib.sig_kernel(x, y, **scheme)), y), 1e-8)


@schemes
def test_gradients_on_one_side_are_those_on_both(
    dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any]
) -> None:
    x, y = random_paths(rng, 3, 6, 2, dtype=dtype), random_paths(rng, 3, 5, 2, dtype=dtype)
    for function, shape in [(siglib.sig_kernel_backprop, 3), (siglib.sig_kernel_gram_backprop, (3, 3))]:
        derivs = rng.standard_normal(shape).astype(dtype)
        left, right = function(derivs, x, y, left_deriv=True, right_deriv=True, **scheme)
        only_left, none = function(derivs, x, y, **scheme)
        assert none is None
        assert np.array_equal(only_left, left)
        none, only_right = function(derivs, x, y, left_deriv=False, right_deriv=True, **scheme)
        assert none is None
        assert np.array_equal(only_right, right)
        assert function(derivs, x, y, left_deriv=False, **scheme) == (None, None)


def test_gradients_at_the_ends_of_a_path_cancel(rng: np.random.Generator) -> None:
    """Moving a whole path changes nothing, so its gradient adds up to zero."""
    x, y = random_paths(rng, 2, 3, 40, 4)
    left, right = siglib.sig_kernel_backprop(np.ones(3), x, y, right_deriv=True, dyadic_order=1)
    assert_close(left.sum(axis=1), np.zeros((3, 4)), 1e-11)
    assert_close(right.sum(axis=1), np.zeros((3, 4)), 1e-11)


# Precision and range


@pytest.mark.parametrize("d", [2, 5, 8])
def test_single_precision_of_long_paths(rng: np.random.Generator, d: int) -> None:
    single = random_paths(rng, 8, 1000, d, dtype=np.float32)
    double = single.astype(np.float64)
    matrix = siglib.sig_kernel_gram(single, single, dyadic_order=0)
    exact = siglib.sig_kernel_gram(double, double, dyadic_order=0)
    assert np.max(np.abs(matrix - exact)) <= 5e-5 * np.max(np.abs(exact))
    derivs = rng.standard_normal((8, 8)).astype(np.float32)
    gradient, _ = siglib.sig_kernel_gram_backprop(derivs, single, single, dyadic_order=0)
    exact, _ = siglib.sig_kernel_gram_backprop(derivs.astype(np.float64), double, double, dyadic_order=0)
    assert np.max(np.abs(gradient - exact)) <= 5e-5 * np.max(np.abs(exact))


def far_pair(size: float) -> tuple[np.ndarray, ...]:
    """Two similar paths, the first with `size` for its sum of squared increments."""
    rng = np.random.default_rng(3)  # with positive kernels at all sizes
    x = np.cumsum(rng.standard_normal((100, 3)), axis=0)
    y = x[:90] + 0.01 * rng.standard_normal((90, 3))
    scale = np.sqrt(size / np.sum(np.diff(x, axis=0) ** 2))
    return tuple((scale * path).astype(np.float32).astype(np.float64) for path in (x, y))


# Kernels of about exp(12), exp(150), which is too much for single precision, and exp(900), for any. The scheme is too
# coarse for the largest, as its warning says; the numbers must be those of the scheme all the same.
@pytest.mark.filterwarnings("ignore:.*normalised signature kernels are above 1")
@pytest.mark.parametrize("size", [30.0, 300.0, 5000.0])
def test_kernels_beyond_the_range_of_numbers(dtype: np.dtype, size: float) -> None:
    x, y = far_pair(size)
    logs = [reference.log_kernel(*pair) for pair in ((x, y), (x, x), (y, y))]
    pair = x.astype(dtype), y.astype(dtype)
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    assert_close(siglib.sig_kernel(*pair, dyadic_order=0, log=True), logs[0], tolerance)
    normalised = math.exp(logs[0] - (logs[1] + logs[2]) / 2)
    assert_close(siglib.sig_kernel(*pair, dyadic_order=0, normalize=True) / normalised, 1.0, 10 * tolerance)
    if logs[0] < math.log(np.finfo(dtype).max):
        assert_close(siglib.sig_kernel(*pair, dyadic_order=0), math.exp(logs[0]), 10 * tolerance)
        return
    with pytest.warns(RuntimeWarning) as issued:
        assert siglib.sig_kernel(*pair, dyadic_order=0) == np.inf
    assert len(issued) == 1


@schemes
def test_logarithms(dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = (0.3 * random_paths(rng, 5, length, 2, dtype=dtype) for length in (9, 7))
    options = scheme_of_reference(scheme)
    logs = np.log(reference.gram(x.astype(np.float64), y.astype(np.float64), **options))
    assert_close(siglib.sig_kernel_gram(x, y, log=True, **scheme), logs, 1e-5)
    assert_close(siglib.sig_kernel(x, y, log=True, **scheme), np.diag(logs), 1e-5)
