"""Static kernels: definitions, exact gradients, shifts, coinciding points, awkward parameters."""

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_kernels as reference
from cases import random_paths
from checking import assert_close
from reference import numeric_gradient

import siglib

KERNELS: list[tuple[str, dict[str, Any]]] = [
    ("LinearKernel", {}),
    ("ScaledLinearKernel", {"scale": 0.7}),
    ("ScaledLinearKernel", {"scale": 0.0}),
    ("RBFKernel", {"sigma": 0.9}),
    ("RBFKernel", {"sigma": 20.0}),
    ("PolynomialKernel", {}),
    ("PolynomialKernel", {"degree": 0.0, "gamma": 1.0, "scale": 2.0}),
    ("PolynomialKernel", {"degree": 1.0, "gamma": 1.0, "scale": 0.5}),
    ("PolynomialKernel", {"degree": 2.0, "gamma": 0.0, "scale": 0.3}),
    ("PolynomialKernel", {"degree": 6.0, "gamma": 0.1, "scale": 0.02}),
    ("PolynomialKernel", {"degree": 7.0, "gamma": -0.2, "scale": 1e-5}),
    ("PolynomialKernel", {"degree": 2.5, "gamma": 6.0, "scale": 0.1}),
    ("Matern12Kernel", {"sigma": 0.8}),
    ("Matern32Kernel", {"sigma": 1.1}),
    ("Matern52Kernel", {"sigma": 0.6}),
    ("RationalQuadraticKernel", {"sigma": 0.8}),
    ("RationalQuadraticKernel", {"sigma": 1.5, "alpha": 0.3}),
]
SCHEMES: list[dict[str, Any]] = [{"dyadic_order": 0}, {"dyadic_order": (1, 2)}, {"method": "polynomial", "order": 5}]
SHIFT_INVARIANT = [(name, parameters) for name, parameters in KERNELS if "Polynomial" not in name]


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value.values()))


kernels = pytest.mark.parametrize(("name", "parameters"), KERNELS, ids=name_of)
shift_invariant_kernels = pytest.mark.parametrize(("name", "parameters"), SHIFT_INVARIANT, ids=name_of)
schemes = pytest.mark.parametrize("scheme", SCHEMES, ids=name_of)


def paths_of(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Paths around the origin, rounded to single precision."""
    return (0.6 * rng.standard_normal((shape[0], 1, shape[-1])) + random_paths(rng, *shape)).astype(np.float32)


def rounding_of_powers(
    x: np.ndarray,
    y: np.ndarray,
    scheme: dict[str, Any],
    degree: float = 3.0,
    gamma: float = 1.0,
    scale: float = 1.0,
) -> np.ndarray:
    """How far kernels move, to first order, if float32 rounds <x, y> + gamma and its power at each pair of points once.

    Double increments are small differences of powers that may be large: that is all of the error, with exact arithmetic
    behind it, too. Instruction sets round differently, and only some have fused multiply-adds.
    """
    products = x[:, None, :, None] * y[None, :, None]
    base, terms = np.abs(products.sum(axis=-1) + gamma), np.abs(products).sum(axis=-1) + abs(gamma)
    points = scale * (base**degree + degree * base ** (degree - 1.0) * terms)
    errors = points[..., 1:, 1:] + points[..., 1:, :-1] + points[..., :-1, 1:] + points[..., :-1, :-1]
    cells = reference.double_increments(
        x[:, None], y[None], "PolynomialKernel", degree=degree, gamma=gamma, scale=scale
    )

    def solve(cells: np.ndarray) -> np.ndarray:
        if "order" in scheme:
            return reference.polynomial_grid(cells, scheme["order"])[..., -1, -1]
        return reference.finite_difference_grid(cells, *np.broadcast_to(scheme["dyadic_order"], 2))[..., -1, -1]

    n1, n2 = cells.shape[2:]
    each_cell = np.eye(n1 * n2).reshape(-1, 1, 1, n1, n2) * np.ones((1, *cells.shape))
    slopes = np.abs(reference.exact_derivative(solve, cells, each_cell))
    moves = (slopes * (each_cell * errors).sum(axis=(-2, -1))).sum(axis=0)
    return moves * np.finfo(np.float32).eps / 2


@schemes
@kernels
def test_values_and_gradients(
    dtype: np.dtype, rng: np.random.Generator, name: str, parameters: dict[str, float], scheme: dict[str, Any]
) -> None:
    """Every entry of a Gram matrix, and of the gradients of a weighted sum of them."""
    x, y = paths_of(rng, 3, 6, 3), paths_of(rng, 4, 5, 3)
    static_kernel = getattr(siglib, name)(**parameters)
    options = {key: value for key, value in scheme.items() if key != "method"}
    options |= {"static_kernel": name, "parameters": parameters}
    exact_x, exact_y = x.astype(np.float64), y.astype(np.float64)
    x, y = x.astype(dtype), y.astype(dtype)
    matrix = siglib.sig_kernel_gram(x, y, static_kernel=static_kernel, **scheme)
    assert matrix.dtype == dtype
    expected = reference.gram(exact_x, exact_y, **options)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    if dtype == np.float32 and name == "PolynomialKernel":
        rounding = rounding_of_powers(exact_x, exact_y, scheme, **parameters)
        tolerance = max(tolerance, rounding.max() / np.abs(expected).max(initial=1.0))
    assert_close(matrix, expected, tolerance)
    assert_close(siglib.sig_kernel(x, y[:3], static_kernel=static_kernel, **scheme), np.diag(matrix), 1e-6)
    derivs = rng.standard_normal((3, 4)).astype(dtype)
    left, right = siglib.sig_kernel_gram_backprop(derivs, x, y, right_deriv=True, static_kernel=static_kernel, **scheme)
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    for i in range(3):
        expected = reference.exact_gradient(
            lambda path, i=i: reference.kernel(path[:, None], exact_y, **options) @ derivs[i], exact_x[i]
        )
        assert_close(left[i], expected, tolerance)
    for j in range(4):
        expected = reference.exact_gradient(
            lambda path, j=j: reference.kernel(exact_x, path[:, None], **options) @ derivs[:, j], exact_y[j]
        )
        assert_close(right[j], expected, tolerance)


@pytest.mark.parametrize(("length1", "length2"), [(70, 67), (64, 120)])
@pytest.mark.parametrize("dyadic_order", [(0, 0), (1, 2)], ids=str)
@kernels
def test_a_single_long_pair(
    dtype: np.dtype,
    rng: np.random.Generator,
    name: str,
    parameters: dict[str, float],
    dyadic_order: tuple[int, int],
    length1: int,
    length2: int,
) -> None:
    """Which is swept along its diagonals. Gradients along random directions, by both paths."""
    x, y = paths_of(rng, 1, length1, 2) / 2, paths_of(rng, 1, length2, 2) / 2
    exact_x, exact_y = x.astype(np.float64), y.astype(np.float64)
    x, y = x.astype(dtype), y.astype(dtype)
    scheme = {"dyadic_order": dyadic_order, "static_kernel": getattr(siglib, name)(**parameters)}
    options = {"dyadic_order": dyadic_order, "static_kernel": name, "parameters": parameters}
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    assert_close(siglib.sig_kernel(x, y, **scheme), reference.kernel(exact_x, exact_y, **options), tolerance)
    gradients = siglib.sig_kernel_backprop(np.ones(1, dtype), x, y, right_deriv=True, **scheme)
    for gradient, which in zip(gradients, (0, 1), strict=True):
        direction = rng.standard_normal(gradient.shape)

        def moved(path: np.ndarray, which: int = which) -> np.ndarray:
            pair = (path, exact_y) if which == 0 else (exact_x, path)
            return reference.kernel(*pair, **options)

        expected = reference.exact_derivative(moved, (exact_x, exact_y)[which], direction)
        assert_close(np.sum(gradient * direction), expected[0], 10 * tolerance)


@pytest.mark.parametrize("shift", [10.0, 1000.0])
@shift_invariant_kernels
def test_shifting_both_paths_changes_nothing(
    dtype: np.dtype, rng: np.random.Generator, name: str, parameters: dict[str, float], shift: float
) -> None:
    """Distances are those of the points, not differences of large squares."""
    # Multiples of 2^-8: exact in single precision also when shifted.
    x, y = (np.round(path * 256.0) / 256.0 for path in (paths_of(rng, 9, 8, 2), paths_of(rng, 9, 8, 2)))
    x, y = x.astype(dtype), y.astype(dtype)
    options: dict[str, Any] = {"dyadic_order": 0, "static_kernel": getattr(siglib, name)(**parameters)}
    expected = siglib.sig_kernel(x, y, **options)
    assert_close(siglib.sig_kernel(x + shift, y + shift, **options), expected, 1e-12 if dtype == np.float64 else 2e-5)
    ones = np.ones(9, dtype)
    gradient, _ = siglib.sig_kernel_backprop(ones, x, y, **options)
    shifted, _ = siglib.sig_kernel_backprop(ones, x + shift, y + shift, **options)
    assert_close(shifted, gradient, 1e-11 if dtype == np.float64 else 1e-4)


@shift_invariant_kernels
def test_coinciding_points(rng: np.random.Generator, name: str, parameters: dict[str, float]) -> None:
    """A path with itself: the gradient is finite, and symmetric in its two arguments."""
    path = paths_of(rng, 3, 6, 2).astype(np.float64)
    options: dict[str, Any] = {"dyadic_order": 1, "static_kernel": getattr(siglib, name)(**parameters)}
    left, right = siglib.sig_kernel_backprop(np.ones(3), path, path.copy(), right_deriv=True, **options)
    assert np.all(np.isfinite(left))
    assert_close(left, right, 1e-12)
    if name != "Matern12Kernel":  # which has a kink there
        numeric = numeric_gradient(lambda x: float(np.sum(siglib.sig_kernel(x, path, **options))), path)
        assert_close(left, numeric, 1e-5)


def test_the_exponential_kernel_has_gradient_zero_at_its_kink(rng: np.random.Generator) -> None:
    """Both paths have one cell; two of its four corners coincide and contribute nothing."""
    x = rng.standard_normal((2, 2))
    (gradient, _) = siglib.sig_kernel_backprop(
        np.array(1.0), x, x.copy(), dyadic_order=0, static_kernel=siglib.Matern12Kernel(1.0)
    )
    distance = np.linalg.norm(x[1] - x[0])
    cell = 2.0 - 2.0 * np.exp(-distance)
    # d k / d cell = 1 + cell / 2 for one cell; kappa(x_1, y_0) and kappa(x_0, y_1) count negatively.
    weight = (1.0 + cell / 2.0) * np.exp(-distance) / distance
    assert_close(gradient, weight * np.stack([x[0] - x[1], x[1] - x[0]]), 1e-13)


def test_powers_of_negative_numbers(rng: np.random.Generator) -> None:
    """Integer powers are taken as they are, others of negative numbers count as 0, with one warning for each kernel."""
    x, y = np.array([[-2.0], [1.0]]), np.array([[3.0], [1.0]])
    for degree in range(9):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value = siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=siglib.PolynomialKernel(degree, 0.0, 1e-3))
        g = 1e-3 * (1.0**degree - 3.0**degree - (-2.0) ** degree + (-6.0) ** degree)
        assert_close(value, np.array(2 * (1 + g / 2 + g * g / 12) - (1 - g * g / 12)), 1e-12)
    kernel = siglib.PolynomialKernel(1.5, 0.0, 0.1)
    g = 0.1 * (1.0**1.5 - 3.0**1.5)
    with pytest.warns(RuntimeWarning) as issued:
        values = [siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=kernel) for _ in range(2)]
    assert len(issued) == 1
    assert_close(np.array(values), np.full(2, 2 * (1 + g / 2 + g * g / 12) - (1 - g * g / 12)), 1e-12)


NEGATIVE_BASES: dict[str, Callable[..., Any]] = {
    "values": siglib.sig_kernel,
    "logarithms": lambda x, y, **options: siglib.sig_kernel(x, y, log=True, **options),
    "grids": lambda x, y, **options: siglib.sig_kernel(x, y, return_grid=True, **options),
    "gram": siglib.sig_kernel_gram,
    "gradients": lambda x, y, **options: siglib.sig_kernel_backprop(np.ones(len(x), x.dtype), x, y, **options),
}


@pytest.mark.parametrize("length", [2, 4, 5, 6, 70])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("call", NEGATIVE_BASES)
def test_negative_bases_are_noticed_wherever_they_are(dtype: np.dtype, call: str, batch: int, length: int) -> None:
    """Points with <x, y> = 5 but for one pair, and gamma = -1: of the last rows of lanes nothing must be noticed."""
    options: dict[str, Any] = {"dyadic_order": 0}
    function = NEGATIVE_BASES[call]
    x = np.ones((batch, length, 1), dtype)
    y = 5 * x
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(x, y, static_kernel=siglib.PolynomialKernel(2.5, -1.0, 0.1), **options)
        for i, j in ((0, 0), (length - 1, 0), (0, length - 1), (length // 2, length - 1)):
            changed_x, changed_y = x.copy(), y.copy()
            changed_x[-1, i], changed_y[-1, j] = 0.5, 1.0
            kernel = siglib.PolynomialKernel(2.5, -0.75, 0.1)
            with pytest.warns(RuntimeWarning, match="is negative somewhere and degree=2.5"):
                function(changed_x, changed_y, static_kernel=kernel, **options)
            function(changed_x, changed_y, static_kernel=kernel, **options)
        # Nor is it a matter of other kernels.
        function(changed_x, changed_y, static_kernel=siglib.PolynomialKernel(2.0, -0.75, 0.1), **options)
        function(x, y, static_kernel=siglib.PolynomialKernel(2.5, -1.0, 0.1), **options)


def test_negative_bases_are_noticed_without_memory(rng: np.random.Generator) -> None:
    x = np.abs(rng.standard_normal((40, 100, 2)))
    tracemalloc.start()
    siglib.sig_kernel(x, x + 1, dyadic_order=0, static_kernel=siglib.PolynomialKernel(2.5, 1.0, 1e-6))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
