"""Signature kernels of large cells: up to the largest double increments that the format holds, and beyond.

Values and gradients are those of the schemes, computed with Python's decimal numbers, which have no range to leave.
"""

import warnings
from typing import Any

import numpy as np
import pytest
import reference_kernels as reference
from checking import assert_close, assert_same_bits, optional
from kernel_cases import Quadratic

import siglib

SCHEMES: list[dict[str, Any]] = [
    {"dyadic_order": 0},
    {"dyadic_order": (2, 1)},
    {"dyadic_order": 3},
    {"method": "polynomial", "order": 2},
    {"method": "polynomial", "order": 6},
    {"method": "polynomial", "order": 13},
]
schemes = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: "-".join(map(str, s.values())))
# Powers of ten of the sizes of paths: cells are their squares. In float64 the last ones are just below the largest
# number; in float32 they go on to the largest paths, whose cells are far beyond it.
SIZES = {"float32": [0, 1, 2, 3, 5, 9, 18.5, 38], "float64": [0, 3, 8, 12, 40, 153.5]}
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


def of_reference(scheme: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in scheme.items() if name != "method"}


def rising_pair(dtype: np.dtype, length1: int, length2: int, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Paths without turns, so that nothing cancels; with small steps and large ones."""
    rng = np.random.default_rng(length1)
    x, y = (rng.uniform(0.2, 1.0, (n, 2)) for n in (length1, length2))
    x[1:3] *= 1e-3
    y[-1] *= 1e-5
    x, y = (np.cumsum(path / len(path) * 10.0**power, axis=0).astype(dtype) for path in (x, y))
    return x, y


@pytest.mark.parametrize(("length1", "length2"), [(2, 2), (2, 3), (9, 6), (6, 13)])
@schemes
def test_logarithms_and_normalised(dtype: np.dtype, scheme: dict[str, Any], length1: int, length2: int) -> None:
    tolerance = TOLERANCE[dtype.name]
    for power in SIZES[dtype.name]:
        x, y = rising_pair(dtype, length1, length2, power)
        pairs = [(x, y), (x, x), (y, y)]
        logs = np.array([reference.log_kernel(*pair, **of_reference(scheme)) for pair in pairs])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = [siglib.sig_kernel(a, b, log=True, **scheme) for a, b in pairs]
            assert_close(np.array(found) / np.maximum(logs, 1), logs / np.maximum(logs, 1), tolerance)
            # Beside others, too.
            many = siglib.sig_kernel_gram(np.stack([x / 10, x, x / 7]), np.stack([y] * 7), log=True, **scheme)
            assert_same_bits(many[1], np.full(7, found[0]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # coarse as the scheme is, they may be above 1
            normalised = siglib.sig_kernel(x, y, normalize=True, **scheme)
        expected = logs[0] - (logs[1] + logs[2]) / 2
        if abs(expected) < np.log(np.finfo(dtype).max):
            assert_close(np.log(float(normalised)), expected, tolerance * max(10, abs(logs[1])))
        else:
            assert normalised == np.inf if expected > 0 else normalised < np.finfo(dtype).tiny


@pytest.mark.parametrize("batch", [1, 3, 20])
@schemes
def test_gradients_of_logarithms(dtype: np.dtype, scheme: dict[str, Any], batch: int) -> None:
    torch = optional("torch")
    for power in SIZES[dtype.name][2:-1]:
        x, y = rising_pair(dtype, 6, 5, power)
        rng = np.random.default_rng(0)
        directions = [10.0**power * rng.standard_normal(path.shape) for path in (x, y)]
        a, b = (torch.tensor(np.stack([path] * batch), requires_grad=True) for path in (x, y))
        siglib.sig_kernel(a, b, log=True, **scheme).sum().backward()
        for which, found in enumerate((a.grad, b.grad)):
            moves = [direction * (i == which) for i, direction in enumerate(directions)]
            expected = reference.log_slope(x, y, *moves, **of_reference(scheme))
            total = (found.double().numpy() * directions[which]).sum(axis=(1, 2))
            assert_close(total, np.full(batch, expected), 100 * TOLERANCE[dtype.name])


def turning_pair(dtype: np.dtype, n: int, columns: int, size: float) -> tuple[np.ndarray, np.ndarray]:
    """The second path goes right, then one step up; the first goes up, then right.

    In the upper half of the grid the kernel grows along the last column, and the others vanish beside it; in the lower
    half they are all that grows.
    """
    steps1, steps2 = np.zeros((2 * n, 2)), np.zeros((columns, 2))
    steps1[:n, 1] = steps1[n:, 0] = steps2[:-1, 0] = steps2[-1, 1] = size
    x, y = (np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)]) for steps in (steps1, steps2))
    return x.astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("order", [None, 3], ids=["finite_difference", "polynomial"])
@pytest.mark.parametrize("columns", [3, 20, 70])
def test_what_vanishes_beside_the_rest_may_count_later(dtype: np.dtype, columns: int, order: int | None) -> None:
    x, y = turning_pair(dtype, 120, columns, 4.0 if dtype == np.float32 else 30.0)
    scheme = {"dyadic_order": 0} if order is None else {"method": "polynomial", "order": order}
    if columns == 70 and order:
        pytest.skip("takes the reference too long")
    pairs = [(x, y), (y, x), (x[::-1].copy(), y[::-1].copy())]
    for a, b in pairs:
        expected = reference.log_kernel(a, b, **of_reference(scheme))
        assert_close(siglib.sig_kernel(a, b, log=True, **scheme) / expected, 1.0, TOLERANCE[dtype.name])
        many = siglib.sig_kernel(np.stack([a] * 3), np.stack([b] * 3), log=True, **scheme)
        assert_close(many / expected, np.ones(3), TOLERANCE[dtype.name])


@pytest.mark.parametrize("columns", [20, 70])
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_where_values_vanish_beside_the_rest(dtype: np.dtype, columns: int, batch: int) -> None:
    torch = optional("torch")
    x, y = turning_pair(dtype, 60, columns, 8.0 if dtype == np.float32 else 400.0)
    for path1, path2 in [(x, y), (x[::-1].copy(), y[::-1].copy())]:
        dx, dy = np.cos(np.arange(x.size)).reshape(x.shape), np.arange(y.size).reshape(y.shape) / y.size
        a, b = (torch.tensor(np.stack([path] * batch), requires_grad=True) for path in (path1, path2))
        siglib.sig_kernel(a, b, dyadic_order=0, log=True).sum().backward()
        for found, moves in ((a.grad, (dx, 0 * dy)), (b.grad, (0 * dx, dy))):
            expected = reference.log_slope(path1, path2, *moves, dyadic_order=0)
            total = (found.double().numpy() * (moves[0] if found is a.grad else moves[1])).sum(axis=(1, 2))
            assert_close(total / expected, np.ones(batch), 1e-3 if dtype == np.float32 else 1e-10)


@schemes
def test_grids(dtype: np.dtype, scheme: dict[str, Any]) -> None:
    """Right wherever the kernel is within the range, and infinite beyond it."""
    x, y = rising_pair(dtype, 7, 6, {"float32": 3.5, "float64": 30.0}[dtype.name])
    exact = [reference.decimals(path) for path in (x, y)]
    expected = reference.kernel(*exact, return_grid=True, **of_reference(scheme))
    beyond = expected > float(np.finfo(dtype).max)
    assert beyond.any()
    with pytest.warns(RuntimeWarning, match="signature kernels overflow"):
        found = siglib.sig_kernel(np.stack([x] * 3), np.stack([y] * 3), return_grid=True, **scheme)
    for grid in found:
        assert np.isinf(grid[beyond]).all()
        assert_close(
            grid[~beyond] / expected[~beyond].astype(float), np.ones((~beyond).sum()), 30 * TOLERANCE[dtype.name]
        )


@pytest.mark.parametrize("batch", [1, 9])
def test_kernels_of_the_users_own(dtype: np.dtype, batch: int) -> None:
    # Powers of two, whose squares and products are exact.
    x, y = (np.append(0.0, 8.0 ** np.arange(n))[:, None] for n in (6, 5))
    cells = reference.double_increments(x, y, "PolynomialKernel", degree=2, gamma=0)
    expected = float(reference.finite_difference_grid(reference.decimals(cells))[-1, -1].ln())
    x, y = (path.astype(dtype)[None].repeat(batch, axis=0) for path in (x, y))
    for kernel in (Quadratic(), siglib.PolynomialKernel(2.0, 0.0)):
        found = siglib.sig_kernel(x, y, dyadic_order=0, log=True, static_kernel=kernel)
        assert_close(found / expected, np.ones(batch), TOLERANCE[dtype.name])


@pytest.mark.parametrize("option", ["log", "normalize"])
def test_double_increments_that_overflow_are_named(option: str) -> None:
    """Products of increments beyond the largest number: NaN, and a warning that says so."""
    x = np.zeros((3, 4, 2))
    x[1, 1:] = 1e155
    x[2] = np.linspace(0, 1, 4)[:, None]
    with pytest.warns(RuntimeWarning, match="1 signature kernels are not finite: double increments .*overflow float64"):
        found = siglib.sig_kernel(x, x.copy(), dyadic_order=0, **{option: True})
    assert np.isnan(found[1])
    assert np.isfinite(found[[0, 2]]).all()
    with pytest.warns(RuntimeWarning, match="overflow"):
        siglib.sig_kernel(x, x.copy(), dyadic_order=0)
    with pytest.warns(RuntimeWarning, match="gradients of signature kernels overflow"):
        siglib.sig_kernel_backprop(np.ones(3), x, x.copy(), dyadic_order=0)


@pytest.mark.parametrize(
    "scheme", [{"dyadic_order": 0}, {"dyadic_order": 2}, {"method": "polynomial", "order": 4}], ids=str
)
@pytest.mark.parametrize("large", [np.nan, np.inf, 1e4, 1e15])
def test_bits_of_a_pair_do_not_depend_on_others(dtype: np.dtype, scheme: dict[str, Any], large: float) -> None:
    """Pairs side by side, of which one is NaN or so large that it is swept again."""
    rng = np.random.default_rng(7)
    x, y = (0.3 * rng.standard_normal((20, 40, 2)).astype(dtype) for _ in range(2))
    derivs = rng.standard_normal(20).astype(dtype)
    changed = x.copy()
    if np.isfinite(large):
        changed[3] *= dtype.type(large)
    else:
        changed[3, 5, 1] = large
    others = np.arange(20) != 3

    def everything(x: np.ndarray) -> list[np.ndarray]:
        pairs = (x, y) if len(x) == 20 else (x, y[3:4])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                siglib.sig_kernel(*pairs, **scheme),
                siglib.sig_kernel(*pairs, log=True, **scheme),
                siglib.sig_kernel(*pairs, return_grid=True, **scheme),
                siglib.sig_kernel_gram(x, y[:5], normalize=True, **scheme),
                *siglib.sig_kernel_backprop(derivs[: len(x)], *pairs, right_deriv=True, **scheme),
            ]

    for expected, found in zip(everything(x), everything(changed), strict=True):
        assert np.isfinite(expected).mean() > 0.9
        assert_same_bits(found[others], expected[others])
    for all_of_them, alone in zip(everything(changed)[:3], everything(changed[3:4])[:3], strict=True):
        assert_same_bits(all_of_them[3:4], alone)
