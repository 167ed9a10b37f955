"""Signature kernels: shapes, options, scaling, edges, and gradients."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_kernels as reference
from cases import random_paths
from checking import assert_close, assert_same_bits
from kernel_cases import options_of_all_kinds
from reference import numeric_gradient

import siglib

# Values and shapes


@pytest.mark.parametrize("orders", [0, 2, (0, 1), (2, 0)])
def test_values(orders: Any, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = random_paths(rng, 3, 6, 2, dtype=dtype), random_paths(rng, 4, 5, 2, dtype=dtype)
    pair = orders if isinstance(orders, tuple) else (orders, orders)
    grids = np.stack([[reference.kernel(a, b, dyadic_order=tuple(pair), return_grid=True) for b in y] for a in x])
    gram = siglib.sig_kernel_gram(x, y, dyadic_order=orders)
    assert gram.dtype == dtype
    assert_close(gram, grids[:, :, -1, -1])
    assert_close(siglib.sig_kernel_gram(x, y, dyadic_order=orders, return_grid=True), grids)
    assert_close(siglib.sig_kernel(x, y[:3], dyadic_order=orders), grids[range(3), range(3), -1, -1])
    assert_close(siglib.sig_kernel(x, y[:3], dyadic_order=orders, return_grid=True), grids[range(3), range(3)])


@options_of_all_kinds
def test_batch_axes(options: dict, rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 2, 3, 4, 2), random_paths(rng, 5, 6, 2)
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
    x, y = random_paths(rng, 2, 4, 2), random_paths(rng, 2, 3, 2)
    assert siglib.sig_kernel(x, y, return_grid=True, **options).shape == (2, *shape)
    assert siglib.sig_kernel_gram(x, y, return_grid=True, **options).shape == (2, 2, *shape)


def test_transforms_come_first(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 2, 4, 2), random_paths(rng, 2, 3, 2)
    transforms = {"time_aug": True, "lead_lag": True, "end_time": 2.0}
    lifted = [siglib.transform_path(path, **transforms) for path in (x, y)]
    for function in (siglib.sig_kernel, siglib.sig_kernel_gram):
        assert_same_bits(function(x, y, dyadic_order=1, **transforms), function(*lifted, dyadic_order=1))


# The same object twice


@options_of_all_kinds
def test_symmetric_gram(options: dict, rng: np.random.Generator, dtype: np.dtype) -> None:
    x = random_paths(rng, 9, 5, 2, dtype=dtype)
    more = np.concatenate([x, x[:1]])  # not the same paths: every pair is computed
    gram = siglib.sig_kernel_gram(x, x, **options)
    assert_close(gram, siglib.sig_kernel_gram(x, more, **options)[:, :9], 10 * np.finfo(dtype).eps)
    grids = siglib.sig_kernel_gram(x, x, return_grid=True, **options)
    every = siglib.sig_kernel_gram(x, more, return_grid=True, **options)
    assert_close(grids, every[:, :9], 10 * np.finfo(dtype).eps)
    if options.get("dyadic_order") != (2, 1):
        assert_same_bits(gram, gram.T.copy())
        apart = ~np.eye(9, dtype=bool)
        assert_same_bits(grids[apart], grids.transpose(1, 0, 3, 2)[apart])


def test_paths_are_the_same_by_place_or_by_numbers(rng: np.random.Generator, dtype: np.dtype) -> None:
    x = random_paths(rng, 11, 30, 3, dtype=dtype)
    other = x.copy()
    other[10, 29, 2] += 1
    every = siglib.sig_kernel_gram(x, other, dyadic_order=1)[:10, :10]
    assert (every != every.T).any()  # what mirroring changes can be seen
    gram = siglib.sig_kernel_gram(x, x, dyadic_order=1)
    assert_same_bits(gram, gram.T.copy())
    spoiled = x.copy()
    spoiled[3, 4, 1] = np.nan
    for left, right in ((x, x[:]), (x[:], x), (x, x.copy()), (x, np.asfortranarray(x))):
        assert_same_bits(siglib.sig_kernel_gram(left, right, dyadic_order=1), gram)
    # NaN is equal to itself here; the others keep their bits.
    found = siglib.sig_kernel_gram(spoiled, spoiled.copy(), dyadic_order=1)
    fine = np.arange(11) != 3
    assert np.isnan(found[3]).all() and np.isnan(found[:, 3]).all()
    assert_same_bits(found[fine], found.T[fine].copy())
    # The same place with other strides, and equal numbers of another shape, are other paths.
    assert_close(siglib.sig_kernel_gram(x, x[::-1], dyadic_order=1), gram[:, ::-1], 10 * np.finfo(dtype).eps)
    assert siglib.sig_kernel_gram(x, x.reshape(1, *x.shape), dyadic_order=1).shape == (11, 1, 11)


# Normalised kernels, logarithms, overflow


@options_of_all_kinds
def test_normalised(options: dict, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = random_paths(rng, 5, 4, 2, dtype=dtype), random_paths(rng, 5, 6, 2, dtype=dtype)
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
    x, y = random_paths(rng, 5, 4, 2, dtype=dtype), random_paths(rng, 3, 6, 2, dtype=dtype)
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
    expected = reference.log_bessel(z)
    both = np.stack([x, y])
    log = siglib.sig_kernel_gram(both, both, log=True, **solver)
    assert log.dtype == dtype
    assert_close(log, expected, {"float64": 1e-10, "float32": 1e-5}[dtype.name])
    normalised = siglib.sig_kernel_gram(both, both, normalize=True, **solver)
    assert_same_bits(np.diag(normalised).copy(), np.ones(2, dtype))
    wanted = np.exp(expected[0, 1] - (expected[0, 0] + expected[1, 1]) / 2)
    assert_close(normalised[0, 1], wanted, {"float64": 1e-9, "float32": 1e-2}[dtype.name])
    assert_close(siglib.sig_kernel(x, y, normalize=True, **solver), normalised[0, 1], 1e-4)
    with pytest.warns(
        RuntimeWarning, match=f"overflow {dtype}: take normalize=True, which does not, or scale"
    ) as record:
        gram = siglib.sig_kernel_gram(both, both, **solver)
    assert len(record) == 1
    assert np.isinf(gram).all()
    with pytest.warns(RuntimeWarning, match=f"overflow {dtype}: scale the paths down"):
        grid = siglib.sig_kernel(x, y, return_grid=True, **solver)
    assert np.isinf(grid[-1, -1])
    assert np.isfinite(grid[:20, :20]).all()


COARSE = np.array([[0.0], [3.0], [2.0]])


def test_negative_kernels() -> None:
    """Steps far too large for the solver: k(x, x) < 0."""
    assert reference.kernel(COARSE, COARSE, dyadic_order=0) < 0
    x = np.stack([COARSE, COARSE / 10])
    hint = "too coarse.* Raise dyadic_order, or scale the paths down"
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
    x, y = random_paths(rng, 3, 5, 2, dtype=dtype), random_paths(rng, 20, 5, 2, dtype=dtype)
    expected = siglib.sig_kernel_gram(x, y, dyadic_order=0)
    y[7, 2, 1] = value
    gram = siglib.sig_kernel_gram(x, y, dyadic_order=0)
    assert not np.isfinite(gram[:, 7]).any()
    others = np.arange(20) != 7
    assert_close(gram[:, others], expected[:, others])


@pytest.mark.parametrize(
    "static_kernel",
    [
        siglib.RBFKernel(0.7),
        siglib.Matern12Kernel(1.1),
        siglib.Matern32Kernel(1.1),
        siglib.Matern52Kernel(1.1),
        siglib.RationalQuadraticKernel(0.8, 1.2),
        siglib.PolynomialKernel(2.0, 0.5, 1.0),
        siglib.PolynomialKernel(1.5, 60.0, 0.01),
    ],
    ids=str,
)
@pytest.mark.parametrize("options", [{"dyadic_order": 1}, {"method": "polynomial", "order": 5}], ids=str)
def test_not_a_number_in_static_kernels(
    static_kernel: Any, options: dict, rng: np.random.Generator, dtype: np.dtype
) -> None:
    x, y = random_paths(rng, 3, 6, 2, dtype=dtype), random_paths(rng, 3, 7, 2, dtype=dtype)
    expected = siglib.sig_kernel(x, y, static_kernel=static_kernel, **options)
    x[1, 3, 1] = np.nan
    found = siglib.sig_kernel(x, y, static_kernel=static_kernel, **options)
    assert np.isnan(found[1])
    assert_close(found[[0, 2]], expected[[0, 2]])
    assert np.isnan(siglib.branched_sig_kernel(x, y, 2, 1, static_kernel=static_kernel)[1])


# Edges


@pytest.mark.parametrize("static_kernel", [None, siglib.Matern32Kernel(1.0)])
@pytest.mark.parametrize("length", [0, 1])
def test_short_paths(length: int, static_kernel: Any, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = np.ones((2, length, 3), dtype), random_paths(rng, 2, 5, 3, dtype=dtype)
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
    x, y = random_paths(rng, 2, 4, 2), random_paths(rng, 2, 3, 2)
    for function, backprop in (
        (siglib.sig_kernel, siglib.sig_kernel_backprop),
        (siglib.sig_kernel_gram, siglib.sig_kernel_gram_backprop),
    ):
        derivs = rng.standard_normal(function(x, y, return_grid=grid, **options).shape)

        def loss(a: Any, b: Any, function: Any = function, derivs: Any = derivs) -> float:
            return float((function(a, b, return_grid=grid, **options) * derivs).sum())

        left, right = backprop(derivs, x, y, right_deriv=True, return_grid=grid, **options)
        assert_close(left, numeric_gradient(lambda a, loss=loss: loss(a, y), x), 1e-8)
        assert_close(right, numeric_gradient(lambda b, loss=loss: loss(x, b), y), 1e-8)
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


@pytest.mark.parametrize("function", [siglib.sig_kernel_backprop, siglib.sig_kernel_gram_backprop])
def test_derivatives_of_single_pairs_may_have_an_axis(function: Callable[..., Any], rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 5, 2), random_paths(rng, 4, 2)
    grid = rng.standard_normal((5, 4))
    for derivs, options in ((np.array(1.5), {}), (grid, {"return_grid": True})):
        options = {"dyadic_order": 0, "right_deriv": True, **options}
        expected = function(derivs, x, y, **options)
        for actual, wanted, path in zip(function(derivs[None], x, y, **options), expected, (x, y), strict=True):
            assert_same_bits(actual, wanted)
            assert actual.shape == path.shape
        assert_same_bits(function(derivs[None], x, y, k_grid=np.zeros((1, 5, 4)), **options)[0], expected[0])
        with pytest.raises(ValueError, match="derivs must have shape"):
            function(derivs[None, None], x, y, **options)
        with pytest.raises(ValueError, match="derivs must have shape"):
            function(derivs, x[None], y[None], **options)


def test_gradients_of_single_pairs(rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = random_paths(rng, 4, 2, dtype=dtype), random_paths(rng, 3, 2, dtype=dtype)
    for backprop in (siglib.sig_kernel_backprop, siglib.sig_kernel_gram_backprop):
        left, right = backprop(np.ones((), dtype), x, y, dyadic_order=0, right_deriv=True)
        assert left.shape == x.shape
        assert right.shape == y.shape
        assert left.dtype == right.dtype == dtype
