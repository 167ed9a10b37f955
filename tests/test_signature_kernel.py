"""Signature kernels: shapes, options, scaling, edges, gradients, user-defined static kernels, and PyTorch."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional

import siglib
from siglib import _kernel_operations

OPTIONS = [
    {"dyadic_order": 0},
    {"dyadic_order": (2, 1)},
    {"method": "polynomial", "order": 5},
    {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(2.0)},
    {"dyadic_order": 0, "time_aug": True, "lead_lag": True, "end_time": 0.5},
]
options_of_all_kinds = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options)))


def solution(increments: np.ndarray, order1: int = 0, order2: int = 0) -> np.ndarray:
    """The grid of the finite-difference scheme, from the double increments of one pair: the definition."""
    cells = increments.repeat(2**order1, axis=0).repeat(2**order2, axis=1) / 2 ** (order1 + order2)
    k = np.ones((cells.shape[0] + 1, cells.shape[1] + 1), cells.dtype)
    for i, row in enumerate(cells):
        for j, g in enumerate(row):
            k[i + 1, j + 1] = (k[i + 1, j] + k[i, j + 1]) * (1 + g / 2 + g * g / 12) - k[i, j] * (1 - g * g / 12)
    return k


def grid_of(x: np.ndarray, y: np.ndarray, order1: int = 0, order2: int = 0) -> np.ndarray:
    """The same for the linear kernel."""
    return solution(np.diff(x, axis=0) @ np.diff(y, axis=0).T, order1, order2)


def paths(rng: np.random.Generator, *shape: int, dtype: Any = np.float64) -> np.ndarray:
    """Random walks of about unit size."""
    return (rng.standard_normal(shape).cumsum(-2) / shape[-2] ** 0.5).astype(dtype)


def difference(function: Callable[..., float], array: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Gradient by central differences."""
    gradient = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        moved = [array.copy() for _ in range(2)]
        moved[0][index] += step
        moved[1][index] -= step
        gradient[index] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return gradient


# Values and shapes


@pytest.mark.parametrize("orders", [0, 2, (0, 1), (2, 0)])
def test_values(orders: Any, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = paths(rng, 3, 6, 2, dtype=dtype), paths(rng, 4, 5, 2, dtype=dtype)
    pair = orders if isinstance(orders, tuple) else (orders, orders)
    grids = np.stack([[grid_of(a, b, *pair) for b in y] for a in x])
    gram = siglib.sig_kernel_gram(x, y, dyadic_order=orders)
    assert gram.dtype == dtype
    assert_close(gram, grids[:, :, -1, -1])
    assert_close(siglib.sig_kernel_gram(x, y, dyadic_order=orders, return_grid=True), grids)
    assert_close(siglib.sig_kernel(x, y[:3], dyadic_order=orders), grids[range(3), range(3), -1, -1])
    assert_close(siglib.sig_kernel(x, y[:3], dyadic_order=orders, return_grid=True), grids[range(3), range(3)])


@options_of_all_kinds
def test_batch_axes(options: dict, rng: np.random.Generator) -> None:
    x, y = paths(rng, 2, 3, 4, 2), paths(rng, 5, 6, 2)
    gram = siglib.sig_kernel_gram(x, y, **options)
    assert gram.shape == (2, 3, 5)
    assert_close(siglib.sig_kernel_gram(x[1, 2], y[4], **options), gram[1, 2, 4], 1e-14)
    assert siglib.sig_kernel_gram(x[1, 2], y[4], **options).shape == ()
    assert type(siglib.sig_kernel(x[1, 2], y[4], **options)) is np.ndarray
    assert_close(siglib.sig_kernel_gram(x[1], y[4], **options), gram[1, :, 4], 1e-14)
    wide = np.broadcast_to(y[4], (2, 3, 6, 2))
    assert_close(siglib.sig_kernel(x, wide, **options), gram[..., 4], 1e-14)
    grid = siglib.sig_kernel_gram(x, y, return_grid=True, **options)
    assert grid.shape[:3] == (2, 3, 5)
    assert_close(grid[..., -1, -1], gram, 1e-13)
    assert (grid[..., 0, :] == 1).all()
    assert (grid[..., 0] == 1).all()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"dyadic_order": 0}, (4, 3)),
        ({"dyadic_order": (2, 1)}, (13, 5)),
        ({"dyadic_order": [2, 1]}, (13, 5)),
        ({"dyadic_order": (np.int64(2), np.uint8(1))}, (13, 5)),
        ({"dyadic_order": np.int8(1)}, (7, 5)),
        ({"method": "polynomial", "order": np.int64(3)}, (4, 3)),
        ({"dyadic_order": 1, "lead_lag": True, "time_aug": np.True_}, (13, 9)),
    ],
)
def test_shape_of_grids(options: dict, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x, y = paths(rng, 2, 4, 2), paths(rng, 2, 3, 2)
    assert siglib.sig_kernel(x, y, return_grid=True, **options).shape == (2, *shape)
    assert siglib.sig_kernel_gram(x, y, return_grid=True, **options).shape == (2, 2, *shape)


def test_transforms_come_first(rng: np.random.Generator) -> None:
    x, y = paths(rng, 2, 4, 2), paths(rng, 2, 3, 2)
    transforms = {"time_aug": True, "lead_lag": True, "end_time": 2.0}
    lifted = [siglib.transform_path(path, **transforms) for path in (x, y)]
    for function in (siglib.sig_kernel, siglib.sig_kernel_gram):
        assert_same_bits(function(x, y, dyadic_order=1, **transforms), function(*lifted, dyadic_order=1))


# The same object twice


@options_of_all_kinds
def test_symmetric_gram(options: dict, rng: np.random.Generator, dtype: np.dtype) -> None:
    x = paths(rng, 9, 5, 2, dtype=dtype)
    gram = siglib.sig_kernel_gram(x, x, **options)
    assert_close(gram, siglib.sig_kernel_gram(x, x.copy(), **options), 10 * np.finfo(dtype).eps)
    grids = siglib.sig_kernel_gram(x, x, return_grid=True, **options)
    assert_close(grids, siglib.sig_kernel_gram(x, x.copy(), return_grid=True, **options), 10 * np.finfo(dtype).eps)
    if options.get("dyadic_order") != (2, 1):
        assert_same_bits(gram, gram.T.copy())
        apart = ~np.eye(9, dtype=bool)
        assert_same_bits(grids[apart], grids.transpose(1, 0, 3, 2)[apart])


# Normalised kernels, logarithms, overflow


@options_of_all_kinds
def test_normalised(options: dict, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = paths(rng, 5, 4, 2, dtype=dtype), paths(rng, 5, 6, 2, dtype=dtype)
    own = [np.diag(siglib.sig_kernel_gram(p, p.copy(), **options).astype(float)) for p in (x, y)]
    expected = siglib.sig_kernel_gram(x, y, **options) / np.sqrt(np.outer(*own))
    tolerance = 10 * np.finfo(dtype).eps
    assert_close(siglib.sig_kernel_gram(x, y, normalize=True, **options), expected, tolerance)
    assert_close(siglib.sig_kernel(x, y, normalize=True, **options), np.diag(expected), tolerance)
    ones = np.ones(5, dtype)
    for gram in (
        siglib.sig_kernel_gram(x, x, normalize=True, **options),
        siglib.sig_kernel_gram(x, x.copy(), normalize=True, **options),
    ):
        assert_same_bits(np.diag(gram).copy(), ones)
    assert_same_bits(siglib.sig_kernel(x, x, normalize=True, **options), ones)
    assert_same_bits(siglib.sig_kernel(x, x.copy(), normalize=True, **options), ones)


@options_of_all_kinds
def test_logarithm(options: dict, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = paths(rng, 5, 4, 2, dtype=dtype), paths(rng, 3, 6, 2, dtype=dtype)
    x *= 0.1
    kernels = siglib.sig_kernel_gram(x, y, **options)
    assert (kernels > 0).all()
    assert_close(siglib.sig_kernel_gram(x, y, log=True, **options), np.log(kernels), 10 * np.finfo(dtype).eps)
    assert_close(siglib.sig_kernel(x[:3], y, log=True, **options), np.log(kernels[range(3), range(3)]), 1e-5)


def test_beyond_the_range_of_numbers(dtype: np.dtype) -> None:
    """Two straight paths of lengths a and b: k is I_0(2 sqrt(a b))."""
    a, b = 600.0, 560.0
    t = np.linspace(0, 1, 1001)[:, None]
    x, y = (a * t).astype(dtype), (b * t).astype(dtype)
    solver = {"method": "polynomial", "order": 10}
    z = 2 * np.array([[a * a, a * b], [a * b, b * b]]) ** 0.5
    expected = log_bessel(z)
    both = np.stack([x, y])
    log = siglib.sig_kernel_gram(both, both, log=True, **solver)
    assert log.dtype == dtype
    assert_close(log, expected, {"float64": 1e-10, "float32": 1e-5}[dtype.name])
    normalised = siglib.sig_kernel_gram(both, both, normalize=True, **solver)
    assert_same_bits(np.diag(normalised).copy(), np.ones(2, dtype))
    wanted = np.exp(expected[0, 1] - (expected[0, 0] + expected[1, 1]) / 2)
    assert_close(normalised[0, 1], wanted, {"float64": 1e-9, "float32": 1e-2}[dtype.name])
    assert_close(siglib.sig_kernel(x, y, normalize=True, **solver), normalised[0, 1], 1e-4)
    with pytest.warns(RuntimeWarning, match=f"overflow {dtype}: take normalize=True or log=True.*scale") as record:
        gram = siglib.sig_kernel_gram(both, both, **solver)
    assert len(record) == 1
    assert np.isinf(gram).all()
    with pytest.warns(RuntimeWarning, match="overflow"):
        grid = siglib.sig_kernel(x, y, return_grid=True, **solver)
    assert np.isinf(grid[-1, -1])
    assert np.isfinite(grid[:20, :20]).all()


def log_bessel(z: Any) -> Any:
    """log I_0(z) for large z, by the asymptotic series."""
    return z - np.log(2 * np.pi * z) / 2 + np.log1p(1 / (8 * z) + 9 / (128 * z**2) + 225 / (3072 * z**3))


COARSE = np.array([[0.0], [3.0], [2.0]])


def test_negative_kernels() -> None:
    """Steps far too large for the solver: k(x, x) < 0."""
    assert grid_of(COARSE, COARSE)[-1, -1] < 0
    x = np.stack([COARSE, COARSE / 10])
    hint = "too coarse.* Raise dyadic_order .*scale the paths down"
    with pytest.warns(RuntimeWarning, match="of a path with itself is negative: .*" + hint) as record:
        siglib.sig_kernel_gram(x, x, dyadic_order=0)
    assert len(record) == 1
    with pytest.warns(RuntimeWarning, match="of a path with itself is negative") as record:
        siglib.sig_kernel(x, x, dyadic_order=0)
    assert len(record) == 1
    for function, second in ((siglib.sig_kernel_gram, x[::-1]), (siglib.sig_kernel, x * 1.0)):
        with pytest.warns(RuntimeWarning, match="normalised signature kernels are NaN.*not positive: .*" + hint):
            normalised = function(x, second, dyadic_order=0, normalize=True)
        assert np.isnan(normalised[0]).all()
        assert np.isfinite(normalised[1]).any()
    with pytest.warns(RuntimeWarning, match="1 signature kernels are not positive, their logarithm is NaN.*" + hint):
        log = siglib.sig_kernel(x, x * 1.0, dyadic_order=0, log=True)
    assert np.isnan(log[0])
    assert np.isfinite(log[1])


def test_normalised_above_one(dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((8, 6, 2)) * 3).astype(dtype)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        normalised = siglib.sig_kernel_gram(x, x.copy(), dyadic_order=0, normalize=True)
    assert np.nanmax(np.abs(normalised)) > 1.1
    assert any("normalised signature kernels are above 1, up to" in str(w.message) for w in caught)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_paths(value: float, rng: np.random.Generator, dtype: np.dtype) -> None:
    """They make their own kernels NaN, without a warning, and leave the others alone."""
    x, y = paths(rng, 3, 5, 2, dtype=dtype), paths(rng, 20, 5, 2, dtype=dtype)
    expected = siglib.sig_kernel_gram(x, y, dyadic_order=0)
    y[7, 2, 1] = value
    gram = siglib.sig_kernel_gram(x, y, dyadic_order=0)
    assert not np.isfinite(gram[:, 7]).any()
    others = np.arange(20) != 7
    assert_close(gram[:, others], expected[:, others])


# Edges


@pytest.mark.parametrize("static_kernel", [None, siglib.Matern32Kernel(1.0)])
@pytest.mark.parametrize("length", [0, 1])
def test_short_paths(length: int, static_kernel: Any, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = np.ones((2, length, 3), dtype), paths(rng, 2, 5, 3, dtype=dtype)
    options = {"dyadic_order": 1, "static_kernel": static_kernel, "time_aug": True, "lead_lag": True}
    assert_same_bits(siglib.sig_kernel(x, y, **options), np.ones(2, dtype))
    assert_same_bits(siglib.sig_kernel_gram(y, x, **options), np.ones((2, 2), dtype))
    assert_same_bits(siglib.sig_kernel_gram(x, x, **options), np.ones((2, 2), dtype))
    assert_same_bits(siglib.sig_kernel(x, y, return_grid=True, **options), np.ones((2, 1, 17), dtype))
    own = siglib.sig_kernel(y, y, **options)
    assert_close(siglib.sig_kernel(x, y, normalize=True, **options), 1 / np.sqrt(own))
    assert_same_bits(siglib.sig_kernel(x, y, log=True, **options), np.zeros(2, dtype))
    for derivs, grid in ((np.ones(2, dtype), False), (np.ones((2, 1, 17), dtype), True)):
        left, right = siglib.sig_kernel_backprop(derivs, x, y, right_deriv=True, return_grid=grid, **options)
        assert_same_bits(left, np.zeros_like(x))
        assert_same_bits(right, np.zeros_like(y))


def test_empty_batches(dtype: np.dtype) -> None:
    none, some = np.zeros((0, 4, 2), dtype), np.zeros((3, 5, 2), dtype)
    for x, y in ((none, some), (some, none), (none, none), (np.zeros((2, 0, 4, 2), dtype), some)):
        for options in ({}, {"normalize": True}, {"log": True}, {"return_grid": True}):
            gram = siglib.sig_kernel_gram(x, y, dyadic_order=0, **options)
            grid = (x.shape[-2], y.shape[-2]) if options == {"return_grid": True} else ()
            assert gram.shape == (*x.shape[:-2], *y.shape[:-2], *grid)
            assert gram.dtype == dtype
        derivs = np.zeros((*x.shape[:-2], *y.shape[:-2]), dtype)
        left, right = siglib.sig_kernel_gram_backprop(derivs, x, y, dyadic_order=0, right_deriv=True)
        assert_same_bits(left, np.zeros_like(x))
        assert_same_bits(right, np.zeros_like(y))
    assert siglib.sig_kernel(none, none, dyadic_order=0).shape == (0,)
    assert siglib.sig_kernel_gram(none, none.copy(), dyadic_order=0, normalize=True).shape == (0, 0)


# Options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "method='finite_difference' needs a dyadic_order"),
        ({"dyadic_order": 1.0}, TypeError, "dyadic_order must be an integer, got 1.0 of type float"),
        ({"dyadic_order": True}, TypeError, "dyadic_order must be an integer, got True"),
        ({"dyadic_order": -1}, ValueError, "dyadic_order must be at least 0, got -1"),
        ({"dyadic_order": (1, -1)}, ValueError, "dyadic_order must be at least 0, got -1"),
        ({"dyadic_order": (1,)}, ValueError, r"dyadic_order must be an integer or a pair of them, got \(1,\)"),
        ({"dyadic_order": (1, 2, 3)}, ValueError, "dyadic_order must be an integer or a pair"),
        ({"dyadic_order": (1, "2")}, TypeError, "dyadic_order must be an integer, got '2'"),
        ({"dyadic_order": 31}, ValueError, "dyadic_order must be at most 30, got 31"),
        ({"dyadic_order": 10**30}, ValueError, "dyadic_order must be at most 30"),
        ({"dyadic_order": (0, 30)}, ValueError, "dyadic_order=30 makes .* steps of path2, of length 3: too many"),
        ({"dyadic_order": 1, "order": 2}, ValueError, "order belongs to method='polynomial'"),
        ({"method": "polynomial"}, ValueError, "method='polynomial' needs an order"),
        ({"method": "polynomial", "order": 1}, ValueError, "order must be at least 2, got 1"),
        ({"method": "polynomial", "order": 65}, ValueError, "order must be at most 64, got 65"),
        ({"method": "polynomial", "order": 2.5}, TypeError, "order must be an integer, got 2.5"),
        ({"method": "polynomial", "order": 4, "dyadic_order": 0}, ValueError, "dyadic_order belongs to method='finite"),
        ({"method": "euler", "dyadic_order": 0}, ValueError, "method must be 'finite_difference' or.*got 'euler'"),
        ({"method": 3, "dyadic_order": 0}, TypeError, "method must be 'finite_difference' or 'polynomial', got 3"),
        ({"dyadic_order": 0, "static_kernel": siglib.LinearKernel}, TypeError, "must be a siglib.StaticKernel, got .*give an object"),
        ({"dyadic_order": 0, "static_kernel": "rbf"}, TypeError, "static_kernel must be a siglib.StaticKernel, got 'rbf'"),
        ({"dyadic_order": 0, "time_aug": 1}, TypeError, "time_aug must be True or False"),
        ({"dyadic_order": 0, "lead_lag": None}, TypeError, "lead_lag must be True or False"),
        ({"dyadic_order": 0, "end_time": "1"}, TypeError, "end_time must be a real number"),
        ({"dyadic_order": 0, "n_jobs": 0}, ValueError, "n_jobs must not be 0"),
        ({"dyadic_order": 0, "return_grid": 1}, TypeError, "return_grid must be True or False"),
    ],
)  # fmt: skip
def test_refused_options(options: dict, error: type[Exception], message: str) -> None:
    x, y = np.zeros((2, 4, 2)), np.zeros((2, 3, 2))
    for call in (siglib.sig_kernel, siglib.sig_kernel_gram):
        with pytest.raises(error, match=message):
            call(x, y, **options)
    for call, derivs in (
        (siglib.sig_kernel_backprop, np.zeros(2)),
        (siglib.sig_kernel_gram_backprop, np.zeros((2, 2))),
    ):
        with pytest.raises(error, match=message):
            call(derivs, x, y, **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"normalize": 1}, TypeError, "normalize must be True or False"),
        ({"log": None}, TypeError, "log must be True or False"),
        ({"normalize": True, "log": True}, ValueError, "normalize and log do not go together"),
        ({"normalize": True, "return_grid": True}, ValueError, "return_grid and normalize do not go together"),
        ({"log": True, "return_grid": True}, ValueError, "return_grid and log do not go together"),
    ],
)
def test_refused_scaling(options: dict, error: type[Exception], message: str) -> None:
    for call in (siglib.sig_kernel, siglib.sig_kernel_gram):
        with pytest.raises(error, match=message):
            call(np.zeros((4, 2)), np.zeros((4, 2)), dyadic_order=0, **options)


@pytest.mark.parametrize(("max_batch", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError)])
def test_refused_max_batch(max_batch: Any, error: type[Exception]) -> None:
    x = np.zeros((2, 3, 2))
    with pytest.raises(error, match="max_batch must"):
        siglib.sig_kernel_gram(x, x, dyadic_order=0, max_batch=max_batch)
    with pytest.raises(error, match="max_batch must"):
        siglib.sig_kernel_gram_backprop(np.zeros((2, 2)), x, x, dyadic_order=0, max_batch=max_batch)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: siglib.sig_kernel(np.zeros(3), np.zeros((3, 2)), dyadic_order=0), r"path1 must have shape.*got \(3,\)"),
        (lambda: siglib.sig_kernel_gram(np.zeros((3, 2)), np.zeros(3), dyadic_order=0), r"path2 must have shape.*got \(3,\)"),
        (lambda: siglib.sig_kernel_gram(np.zeros((3, 2)), np.zeros((3, 0)), dyadic_order=0), "path2 must have at least one channel"),
        (
            lambda: siglib.sig_kernel_gram(np.zeros((3, 2)), np.zeros((3, 1)), dyadic_order=0),
            r"same number of channels, got shapes \(3, 2\) and \(3, 1\)",
        ),
        (
            lambda: siglib.sig_kernel(np.zeros((2, 3, 2)), np.zeros((3, 3, 2)), dyadic_order=0),
            r"path1 and path2 must have the same batch shape, got \(2,\) and \(3,\)",
        ),
        (
            lambda: siglib.sig_kernel_backprop(np.zeros(3), np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), dyadic_order=0),
            r"derivs must have shape \(2,\), that of the kernels, got \(3,\)",
        ),
        (
            lambda: siglib.sig_kernel_backprop(np.zeros((2, 1)), np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), dyadic_order=0),
            r"derivs must have shape \(2,\), that of the kernels, got \(2, 1\)",
        ),
        (
            lambda: siglib.sig_kernel_gram_backprop(np.zeros((3, 3)), np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), dyadic_order=0),
            r"derivs must have shape \(2, 2\)",
        ),
        (
            lambda: siglib.sig_kernel_backprop(np.zeros((3, 4)), np.zeros((3, 2)), np.zeros((3, 2)), dyadic_order=0, return_grid=True),
            r"derivs must have shape \(3, 3\)",
        ),
        (
            lambda: siglib.sig_kernel_backprop(np.zeros(()), np.zeros((3, 2)), np.zeros((3, 2)), dyadic_order=1, k_grid=np.zeros((3, 3))),
            r"k_grid must have shape \(5, 5\), that of the grids, got \(3, 3\)",
        ),
    ],
)  # fmt: skip
def test_refused_shapes(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# Gradients


@options_of_all_kinds
@pytest.mark.parametrize("grid", [False, True])
def test_backprop(options: dict, grid: bool, rng: np.random.Generator) -> None:
    """Against central differences, in every combination of sides; one side gives the numbers of both."""
    x, y = paths(rng, 2, 4, 2), paths(rng, 2, 3, 2)
    for function, backprop in (
        (siglib.sig_kernel, siglib.sig_kernel_backprop),
        (siglib.sig_kernel_gram, siglib.sig_kernel_gram_backprop),
    ):
        derivs = rng.standard_normal(function(x, y, return_grid=grid, **options).shape)

        def loss(a: Any, b: Any, function: Any = function, derivs: Any = derivs) -> float:
            return float((function(a, b, return_grid=grid, **options) * derivs).sum())

        left, right = backprop(derivs, x, y, right_deriv=True, return_grid=grid, **options)
        assert_close(left, difference(lambda a, loss=loss: loss(a, y), x), 1e-8)
        assert_close(right, difference(lambda b, loss=loss: loss(x, b), y), 1e-8)
        only_left, nothing = backprop(derivs, x, y, return_grid=grid, **options)
        assert nothing is None
        assert_close(only_left, left, 1e-13)
        nothing, only_right = backprop(derivs, x, y, left_deriv=False, right_deriv=True, return_grid=grid, **options)
        assert nothing is None
        assert_close(only_right, right, 1e-13)
        assert backprop(derivs, x, y, left_deriv=False, return_grid=grid, **options) == (None, None)
        grids = function(x, y, return_grid=True, **options)
        assert_same_bits(backprop(derivs, x, y, k_grid=grids, return_grid=grid, **options)[0], only_left)
        # The same object twice: both partial gradients all the same.
        derivs = rng.standard_normal(function(x, x, return_grid=grid, **options).shape)
        twice = backprop(derivs, x, x, right_deriv=True, return_grid=grid, **options)
        copies = backprop(derivs, x, x.copy(), right_deriv=True, return_grid=grid, **options)
        for a, b in zip(twice, copies, strict=True):
            assert_close(a, b, 1e-13)


def test_gradients_of_single_pairs(rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = paths(rng, 4, 2, dtype=dtype), paths(rng, 3, 2, dtype=dtype)
    for backprop in (siglib.sig_kernel_backprop, siglib.sig_kernel_gram_backprop):
        left, right = backprop(np.ones((), dtype), x, y, dyadic_order=0, right_deriv=True)
        assert left.shape == x.shape
        assert right.shape == y.shape
        assert left.dtype == right.dtype == dtype


# Static kernels written by users


class Quadratic(siglib.StaticKernel):
    """<x, y>**2, computed in a few ways that users may choose."""

    def __init__(self, layout: str = "plain") -> None:
        self.layout = layout
        self.pairs: list[int] = []
        self.types: set[type] = set()

    def __call__(self, ctx: siglib.Context, x: Any, y: Any) -> Any:
        assert x.ndim == y.ndim == 3
        self.pairs.append(len(x))
        self.types.add(type(x))
        products = x @ y.swapaxes(1, 2)
        ctx.save_for_backward(x, y, products)
        kappa = products**2
        increments = kappa[:, 1:, 1:] - kappa[:, 1:, :-1] - kappa[:, :-1, 1:] + kappa[:, :-1, :-1]
        if self.layout == "transposed":
            return (increments.swapaxes(1, 2) + 0).swapaxes(1, 2)
        return increments

    def slopes(self, ctx: siglib.Context, derivs: Any) -> Any:
        assert derivs.ndim == 3
        out = 0 * ctx.saved_tensors[2]
        out[:, 1:, 1:] += derivs
        out[:, 1:, :-1] -= derivs
        out[:, :-1, 1:] -= derivs
        out[:, :-1, :-1] += derivs
        return 2 * out * ctx.saved_tensors[2]

    def grad_x(self, ctx: siglib.Context, derivs: Any) -> Any:
        slopes = self.slopes(ctx, derivs)
        ctx.save_for_grad_y(slopes)
        return slopes @ ctx.saved_tensors[1]

    def grad_y(self, ctx: siglib.Context, derivs: Any) -> Any:
        slopes = ctx.saved_for_y[0] if ctx.saved_for_y else self.slopes(ctx, derivs)
        return slopes.swapaxes(1, 2) @ ctx.saved_tensors[0]


BUILT_IN = siglib.PolynomialKernel(2.0, gamma=0.0)


@pytest.mark.parametrize("layout", ["plain", "transposed"])
@pytest.mark.parametrize(
    "solver", [{"dyadic_order": (1, 0)}, {"dyadic_order": 1}, {"method": "polynomial", "order": 4}]
)
@pytest.mark.parametrize("max_batch", [-1, 1, 2])
def test_user_kernels(layout: str, solver: dict, max_batch: int, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = paths(rng, 4, 5, 2, dtype=dtype) / 2, paths(rng, 3, 4, 2, dtype=dtype) / 2
    kernel = Quadratic(layout)
    for second in (y, x):
        for more in ({}, {"normalize": True}, {"log": True}, {"return_grid": True}, {"time_aug": True}):
            gram = siglib.sig_kernel_gram(x, second, static_kernel=kernel, max_batch=max_batch, **solver, **more)
            assert_close(gram, siglib.sig_kernel_gram(x, second, static_kernel=BUILT_IN, **solver, **more))
        derivs = rng.standard_normal((4, len(second))).astype(dtype)
        gradients, expected = (
            siglib.sig_kernel_gram_backprop(derivs, x, second, static_kernel=k, right_deriv=True, **solver)
            for k in (kernel, BUILT_IN)
        )
        for a, b in zip(gradients, expected, strict=True):
            assert a.dtype == dtype
            assert_close(a, b)
    single = siglib.sig_kernel(x[0], y[0], static_kernel=kernel, **solver)
    assert_close(single, siglib.sig_kernel(x[0], y[0], static_kernel=BUILT_IN, **solver))
    _, right = siglib.sig_kernel_backprop(
        np.ones(3, dtype), x[:3], y, static_kernel=kernel, left_deriv=False, right_deriv=True, **solver
    )
    _, wanted = siglib.sig_kernel_backprop(
        np.ones(3, dtype), x[:3], y, static_kernel=BUILT_IN, left_deriv=False, right_deriv=True, **solver
    )
    assert_close(right, wanted)


@pytest.mark.parametrize("dyadic_order", [0, (1, 2)])
@pytest.mark.parametrize("batch", [1, 3])
def test_user_kernels_on_long_paths(dyadic_order: Any, batch: int, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = random_paths(rng, batch, 90, 2, dtype=dtype) / 2, random_paths(rng, batch, 75, 2, dtype=dtype) / 2
    (value, gradient), (wanted_value, wanted_gradient) = (
        (
            siglib.sig_kernel(x, y, static_kernel=kernel, dyadic_order=dyadic_order),
            siglib.sig_kernel_backprop(
                np.ones(batch, dtype), x, y, static_kernel=kernel, dyadic_order=dyadic_order, right_deriv=True
            ),
        )
        for kernel in (Quadratic(), BUILT_IN)
    )
    assert_close(value, wanted_value)
    for a, b in zip(gradient, wanted_gradient, strict=True):
        assert_close(a, b)


def test_pairs_come_in_chunks() -> None:
    x, y = np.zeros((5, 3, 2)), np.zeros((3, 4, 2))
    for second, pairs in ((y, 15), (x, 15)):
        kernel = Quadratic()
        siglib.sig_kernel_gram(x, second, dyadic_order=0, static_kernel=kernel, max_batch=2)
        assert max(kernel.pairs) == 4
        assert sum(kernel.pairs) == pairs
        kernel = Quadratic()
        siglib.sig_kernel_gram(x, second, dyadic_order=0, static_kernel=kernel)
        assert kernel.pairs == [pairs]
    kernel = Quadratic()
    siglib.sig_kernel_gram(np.zeros((8, 1000, 2)), np.zeros((8, 1000, 2)), dyadic_order=0, static_kernel=kernel)
    assert sum(kernel.pairs) == 64
    assert max(kernel.pairs) < 8


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda increments: increments[:, 1:], ValueError, r"Wrong.__call__ must return shape \(2, 3, 2\), got \(2, 2, 2\)"),
        (lambda increments: increments[0], ValueError, r"Wrong.__call__ must return shape \(2, 3, 2\), got \(3, 2\)"),
        (lambda increments: increments.astype(np.float32), TypeError, "Wrong.__call__ must return dtype float64, .* got float32"),
        (lambda increments: increments.tolist(), TypeError, "Wrong.__call__ must return a ndarray, got list"),
        (lambda increments: None, TypeError, "Wrong.__call__ must return a ndarray, got NoneType"),
    ],
)  # fmt: skip
def test_refused_results_of_user_kernels(change: Callable, error: type[Exception], message: str) -> None:
    class Wrong(Quadratic):
        where = "__call__"

        def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
            increments = super().__call__(ctx, x, y)
            return change(increments) if self.where == "__call__" else increments

        def grad_x(self, ctx: Any, derivs: Any) -> Any:
            return super().grad_x(ctx, derivs)[:, 1:]

    x, y = np.zeros((2, 4, 2)), np.zeros((2, 3, 2))
    kernel = Wrong()
    with pytest.raises(error, match=message):
        siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=kernel)
    kernel.where = "grad_x"
    with pytest.raises(ValueError, match=r"Wrong.grad_x must return shape \(2, 4, 2\), got \(2, 3, 2\)"):
        siglib.sig_kernel_backprop(np.ones(2), x, y, dyadic_order=0, static_kernel=kernel)


def test_overridden_built_in_kernels_are_called() -> None:
    class Counted(siglib.RBFKernel):
        calls = 0

        def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
            self.calls += 1
            return super().__call__(ctx, x, y)

    class Named(siglib.RBFKernel):
        name = "rbf"

    x = np.array([[0.0], [1.0], [0.5]])
    expected = siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=siglib.RBFKernel(0.5))
    counted = Counted(0.5)
    assert_close(siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=counted), expected)
    assert counted.calls == 1
    assert_same_bits(siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=Named(0.5)), expected)


def test_parameters_may_change_between_calls() -> None:
    x = np.array([[0.0], [1.0], [0.5]])
    kernel = siglib.RBFKernel(0.5)
    siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=kernel)
    kernel.sigma = 2.0
    expected = siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=siglib.RBFKernel(2.0))
    assert_same_bits(siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=kernel), expected)


def test_negative_base_warns_once(rng: np.random.Generator) -> None:
    x, y = paths(rng, 3, 4, 2), -paths(rng, 3, 4, 2) * 3
    kernel = siglib.PolynomialKernel(2.5, gamma=0.0)
    with pytest.warns(
        RuntimeWarning, match=r"<x, y> \+ gamma is negative somewhere and degree=2.5 is no integer"
    ) as record:
        siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=kernel)
    assert len(record) == 1
    siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=kernel)  # no second warning
    siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=siglib.PolynomialKernel(6.0, gamma=0.0))
    siglib.sig_kernel(abs(x), abs(y), dyadic_order=0, static_kernel=siglib.PolynomialKernel(2.5))


# PyTorch; what holds for every differentiable function is in test_torch.py

PARAMETERS = [
    (siglib.ScaledLinearKernel, (0.8,)),
    (siglib.RBFKernel, (1.3,)),
    (siglib.PolynomialKernel, (2.0, 9.0, 0.01)),
    (siglib.Matern12Kernel, (1.1,)),
    (siglib.Matern32Kernel, (0.9,)),
    (siglib.Matern52Kernel, (0.9,)),
    (siglib.RationalQuadraticKernel, (1.2, 0.6)),
]
SCALINGS = [{}, {"normalize": True}, {"log": True}, {"return_grid": True}]


@pytest.mark.parametrize(("kernel", "values"), PARAMETERS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("options", SCALINGS, ids=str)
def test_gradcheck_of_parameters(
    kernel: Any, values: tuple[float, ...], options: dict, rng: np.random.Generator
) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(paths(rng, 2, n, 2), requires_grad=True) for n in (4, 3))
    numbers = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    solver = {"dyadic_order": 1, **options}
    assert torch.autograd.gradcheck(
        lambda x, y, *numbers: siglib.sig_kernel_gram(x, y, static_kernel=kernel(*numbers), **solver), (x, y, *numbers)
    )
    assert torch.autograd.gradcheck(
        lambda x, *numbers: siglib.sig_kernel_gram(x, x, static_kernel=kernel(*numbers), **solver), (x, *numbers)
    )
    y = y.detach()
    assert torch.autograd.gradcheck(
        lambda *numbers: siglib.sig_kernel(x.detach(), y, static_kernel=kernel(*numbers), **{**solver, "dyadic_order": (0, 1)}),
        numbers,
    )  # fmt: skip


@options_of_all_kinds
@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_gradcheck_of_one_array_twice(options: dict, scaling: dict, rng: np.random.Generator) -> None:
    torch = optional("torch")
    x = torch.tensor(paths(rng, 3, 4, 2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: siglib.sig_kernel_gram(x, x, **options, **scaling), x)
    assert torch.autograd.gradcheck(lambda x: siglib.sig_kernel(x, x, **options, **scaling), x)


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_gradcheck_of_user_kernels(scaling: dict, rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(paths(rng, 2, n, 2) / 2, requires_grad=True) for n in (4, 3))
    kernel = Quadratic()
    for solver in ({"dyadic_order": 0}, {"method": "polynomial", "order": 3}):
        options = {"static_kernel": kernel, **solver, **scaling}
        for f in (siglib.sig_kernel, siglib.sig_kernel_gram):
            assert torch.autograd.gradcheck(lambda x, y, f=f, options=options: f(x, y, **options), (x, y))
            assert torch.autograd.gradcheck(lambda x, f=f, options=options: f(x, x, **options), x)
    assert kernel.types == {torch.Tensor}


def test_tensors_only(rng: np.random.Generator) -> None:
    torch = optional("torch")

    class OfTensors(Quadratic):
        tensors_only = True

    x, y = paths(rng, 3, 4, 2), paths(rng, 3, 5, 2)[:, ::-1]
    kernel = OfTensors()
    out = siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=kernel)
    assert type(out) is np.ndarray
    assert_close(out, siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=Quadratic()))
    left, _ = siglib.sig_kernel_gram_backprop(np.ones((3, 3)), x, y, dyadic_order=0, static_kernel=kernel)
    assert type(left) is np.ndarray
    assert kernel.types == {torch.Tensor}


def test_gradients_beyond_the_range_of_numbers() -> None:
    """Of log k and of normalised kernels of straight paths, where k itself overflows."""
    torch = optional("torch")
    for kind, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-4)):
        t = torch.linspace(0, 1, 1001, dtype=kind)[:, None]
        a, b = (torch.tensor(value, dtype=kind, requires_grad=True) for value in (600.0, 560.0))

        def slope(a: float, b: float, step: float = 1e-3) -> float:
            """d/da log I_0(2 sqrt(a b))."""
            return (log_bessel(2 * ((a + step) * b) ** 0.5) - log_bessel(2 * ((a - step) * b) ** 0.5)) / (2 * step)

        siglib.sig_kernel(a * t, b * t, method="polynomial", order=8, log=True).backward()
        wanted = slope(600.0, 560.0)
        assert_close(a.grad, wanted, tolerance)
        a.grad = None
        normalised = siglib.sig_kernel(a * t, b * t, method="polynomial", order=8, normalize=True)
        normalised.backward()
        # k(x, x) depends on a twice.
        assert_close(a.grad, float(normalised.detach()) * (wanted - slope(600.0, 600.0)), 20 * tolerance)


def test_parameters_of_another_dtype(rng: np.random.Generator) -> None:
    """Parameters keep their precision, and their gradients their dtype."""
    torch = optional("torch")
    for kind in (torch.float32, torch.float16, torch.float64):
        x = torch.tensor(paths(rng, 3, 4, 2)).to(kind)
        for parameter in (torch.tensor(0.7), torch.tensor([0.7], dtype=torch.float64)):
            sigma = torch.nn.Parameter(parameter)
            out = siglib.sig_kernel_gram(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(sigma))
            assert out.dtype is kind
            out.sum().backward()
            assert sigma.grad.dtype is sigma.dtype
            assert sigma.grad.shape == sigma.shape
            expected = siglib.sig_kernel_gram(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(float(parameter)))
            assert torch.equal(out, expected)


def test_numpy_paths_and_tensor_parameters(rng: np.random.Generator) -> None:
    torch = optional("torch")
    x = paths(rng, 4, 2)
    expected = siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(0.5))
    assert_same_bits(
        siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(torch.tensor(0.5))), expected
    )
    learned = siglib.RBFKernel(torch.tensor(0.5, requires_grad=True))
    with pytest.raises(TypeError, match="must come from one library, got path1: numpy.ndarray"):
        siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=learned)


def test_only_wanted_gradients_are_computed(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = optional("torch")
    asked = []
    pull = _kernel_operations.Problem.pull

    def spy(self: Any, derivs: Any, x: Any, y: Any, layout: int, log: bool, *wanted: bool) -> Any:
        asked.append((layout, *wanted))
        return pull(self, derivs, x, y, layout, log, *wanted)

    monkeypatch.setattr(_kernel_operations.Problem, "pull", spy)
    x, y = (torch.tensor(paths(rng, 2, 4, 2)) for _ in range(2))
    sigma = torch.tensor(0.5, requires_grad=True)
    learned = siglib.RBFKernel(sigma)
    x.requires_grad_()
    siglib.sig_kernel_gram(x, y, dyadic_order=0).sum().backward()
    siglib.sig_kernel_gram(y, x, dyadic_order=0).sum().backward()
    siglib.sig_kernel_gram(x, x, dyadic_order=0).sum().backward()
    siglib.sig_kernel_gram(y, y, dyadic_order=0, static_kernel=learned).sum().backward()
    siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=learned).sum().backward()
    assert asked == [(1, True, False, False), (1, False, True, False), (2, True, False, False), (2, False, False, True), (0, True, False, True)]  # fmt: skip


def test_results_may_be_overwritten(rng: np.random.Generator) -> None:
    """Unless they are normalised: then torch says so."""
    torch = optional("torch")
    x = torch.tensor(paths(rng, 3, 4, 2), requires_grad=True)
    siglib.sig_kernel_gram(x, x, dyadic_order=0).fill_diagonal_(0).sum().backward()
    gram = siglib.sig_kernel_gram(x, x, dyadic_order=0, normalize=True).fill_diagonal_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gram.sum().backward()


def test_vmap_over_parameters_and_one_side(rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(paths(rng, 3, n, 2)) for n in (4, 5))
    sigmas = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def kernels(sigma: Any, x: Any, y: Any) -> Any:
        return siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(sigma))

    def pairs(sigma: Any, x: Any, y: Any) -> Any:
        return siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(sigma))

    for f in (kernels, pairs):
        expected = torch.stack([f(s, x, y) for s in sigmas])
        assert_close(torch.func.vmap(f, in_dims=(0, None, None))(sigmas, x, y), expected.numpy(), 1e-14)
        expected = torch.stack([f(1.0, a, b) for a, b in zip(x, y, strict=True)])
        assert_close(torch.func.vmap(lambda a, b, f=f: f(1.0, a, b))(x, y), expected.numpy(), 1e-14)
        expected = torch.stack([f(1.0, a, y[0]) for a in x])
        assert_close(torch.func.vmap(lambda a, f=f: f(1.0, a, y[0]))(x), expected.numpy(), 1e-14)
        # A gradient for every element, of parameters too.
        grads = torch.func.vmap(torch.func.grad(lambda s, a, f=f: f(s, a, y[0]).sum(), (0, 1)), (None, 0))(sigmas[0], x)
        each = [torch.func.grad(lambda s, a, f=f: f(s, a, y[0]).sum(), (0, 1))(sigmas[0], a) for a in x]
        for i in range(2):
            assert_close(grads[i], torch.stack([e[i] for e in each]).numpy(), 1e-13)
        assert torch.func.vmap(lambda a, f=f: f(1.0, a, y[0]))(x[:0]).shape == (0,)


def programs(torch: Any) -> dict[str, Callable[..., Any]]:
    return {
        "gram": lambda x, y, s: siglib.sig_kernel_gram(x, y, dyadic_order=1),
        "same": lambda x, y, s: siglib.sig_kernel_gram(x, x, dyadic_order=1, time_aug=True),
        "normalised": lambda x, y, s: siglib.sig_kernel_gram(x, y, dyadic_order=(0, 1), normalize=True),
        "log": lambda x, y, s: siglib.sig_kernel(x, y, method="polynomial", order=4, log=True),
        "grid": lambda x, y, s: siglib.sig_kernel(x, y, dyadic_order=1, return_grid=True),
        "constant": lambda x, y, s: siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(0.8)),
        "learned": lambda x, y, s: siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(s)),
    }


@pytest.mark.parametrize("name", ["gram", "same", "normalised", "log", "grid", "constant", "learned"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile(name: str, rng: np.random.Generator) -> None:
    torch = optional("torch")
    torch._dynamo.reset()
    program = programs(torch)[name]
    compiled = torch.compile(program, fullgraph=True, backend="aot_eager")
    for kind in (torch.float64, torch.float32):
        results = []
        for function in (program, compiled):
            leaves = [torch.tensor(paths(np.random.default_rng(n), 3, n, 2)).to(kind).requires_grad_() for n in (4, 5)]
            leaves.append(torch.tensor(0.7, requires_grad=True))
            out = function(*leaves)
            out.sin().sum().backward()
            results.append([out, *(leaf.grad for leaf in leaves)])
        for eager, traced in zip(*results, strict=True):
            assert (eager is None) == (traced is None)
            if eager is not None:
                assert eager.dtype is traced.dtype
                assert torch.equal(eager, traced)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_user_kernels_break_the_graph(rng: np.random.Generator) -> None:
    torch = optional("torch")
    torch._dynamo.reset()
    kernel = Quadratic()
    x = torch.tensor(paths(rng, 3, 4, 2))
    compiled = torch.compile(
        lambda x: siglib.sig_kernel_gram(2 * x, x, dyadic_order=0, static_kernel=kernel) + 1, backend="eager"
    )
    assert torch.equal(compiled(x), siglib.sig_kernel_gram(2 * x, x, dyadic_order=0, static_kernel=kernel) + 1)


@pytest.mark.parametrize("name", ["sig_kernel", "sig_kernel_gram"])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("scaling", ["normalize", "log", "return_grid", None])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kernel_operators(name: str, requires_grad: bool, scaling: str | None, rng: np.random.Generator) -> None:
    """All checks that torch has for operators, for those that the compiler sees, and for their gradients."""
    torch = optional("torch")
    operation = getattr(_kernel_operations, name)
    operation.register_operator()
    forward = getattr(torch.ops.siglib, name).default
    backward = getattr(torch.ops.siglib, f"{name}_backprop").default
    x, y = (torch.tensor(paths(rng, 2, n, 2), requires_grad=requires_grad) for n in (4, 3))
    parameters = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=requires_grad)
    options: dict[str, Any] = {
        "static_kernel": 0, "same": False, "order1": 1, "order2": 0, "order": 0, "time_aug": True, "lead_lag": False,
        "end_time": 1.0, "n_jobs": 1, "return_grid": False, "normalize": False, "log": False, "max_batch": -1,
    }  # fmt: skip
    options |= {scaling: True} if scaling else {}
    torch.library.opcheck(forward, (x, y, parameters), options)
    out = operation(x, y, parameters, **options).detach()
    saved = (torch.rand_like(out), out, x.detach(), y.detach(), parameters.detach(), 7)
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(backward, saved, options, test_utils=tests)


def test_learning_a_width(rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = torch.tensor(paths(rng, 8, 5, 2)), torch.tensor(paths(rng, 8, 5, 2) * 2)
    width = torch.nn.Parameter(torch.tensor(0.0))
    optimiser = torch.optim.SGD([width], lr=0.5)
    losses = []
    for _ in range(10):
        optimiser.zero_grad()
        kernel = siglib.RBFKernel(width.exp())
        loss = -siglib.sig_mmd(x, y, dyadic_order=0, static_kernel=kernel)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
