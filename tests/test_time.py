"""Time of long float32 paths: exact to rounding, in every operation that adds it and whatever the batch."""

import math
from typing import Any

import numpy as np
import pytest
from gpu import Gpu

import siglib

# Of the words t, tt and ttt, relative.
EXACT = 2e-7
LENGTHS = [(1001, 1), (1001, 20), (10_001, 3), (100_001, 1), (100_001, 17), (1_000_001, 1)]


def ends_of_levels(d: int, degree: int) -> list[int]:
    """Where the words of the last letter alone stand in a signature."""
    return [sum(d**k for k in range(1, n + 1)) - 1 for n in range(1, degree + 1)]


def error_of_time(sigs: np.ndarray, durations: float | np.ndarray, d: int, degree: int = 3) -> float:
    """The greatest relative error of the words of time alone, the last of d letters."""
    found = sigs[..., ends_of_levels(d, degree)].astype(np.float64)
    powers = np.stack([np.asarray(durations) ** n / math.factorial(n) for n in range(1, degree + 1)], axis=-1)
    return float(np.abs(found / powers - 1).max())


def jump(length: int, step: int, batch: int = 1) -> np.ndarray:
    """Paths that stand still but for one step by 1."""
    return np.broadcast_to((np.arange(length) > step).astype(np.float32)[:, None], (batch, length, 1))


@pytest.mark.parametrize("end_time", [1.0, 0.7, -3e5])
@pytest.mark.parametrize(("length", "batch"), LENGTHS)
def test_signatures(length: int, batch: int, end_time: float) -> None:
    path = np.zeros((batch, length, 1), np.float32)
    for degree in (2, 3):
        sigs = siglib.sig(path, degree, time_aug=True, end_time=end_time)
        assert error_of_time(sigs, end_time, 2, degree) <= EXACT
    words = [(1,), (1, 1), (1, 1, 1)]
    coefs = siglib.sig_coef(path, words, time_aug=True, end_time=end_time).astype(np.float64)
    assert np.abs(coefs / [end_time, end_time**2 / 2, end_time**3 / 6] - 1).max() <= EXACT


@pytest.mark.parametrize("lead_lag", [False, True])
@pytest.mark.parametrize(("dimension", "degree"), [(1, 6), (2, 5), (5, 4), (9, 3)])
@pytest.mark.parametrize("batch", [1, 3, 18])
def test_suffixes_of_every_length(
    instruction_set: str, batch: int, dimension: int, degree: int, lead_lag: bool
) -> None:
    path = np.zeros((batch, 2001, dimension), np.float32)
    sigs = siglib.sig(path, degree, time_aug=True, lead_lag=lead_lag, end_time=1.5)
    assert error_of_time(sigs, 1.5, (1 + lead_lag) * dimension + 1, degree) <= EXACT
    nothing = sigs.copy()
    nothing[..., ends_of_levels((1 + lead_lag) * dimension + 1, degree)] = 0
    assert not nothing.any()


@pytest.mark.parametrize("step", [0, 7_000, 99_999])
@pytest.mark.parametrize("batch", [1, 17])
def test_time_in_words_with_other_letters(batch: int, step: int) -> None:
    """The integrals of a step function: time before and after the step."""
    path, n = jump(100_001, step, batch), 100_000
    before = (step + 0.5) / n
    for found in (siglib.sig(path, 2, time_aug=True)[:, 3:5], siglib.sig_coef(path, [(0, 1), (1, 0)], time_aug=True)):
        assert np.abs(found.astype(np.float64) - [1 - before, before]).max() <= 3e-7


@pytest.mark.parametrize(("length", "batch"), [(1001, 1), (10_001, 3), (100_001, 20)])
def test_corrections(length: int, batch: int) -> None:
    path = np.zeros((batch, length, 2), np.float32)
    sigs = siglib.sig(path, 4, time_aug=True, end_time=2.5, correction=np.full(4, 1e-4, np.float32))
    assert error_of_time(sigs, 2.5, 3, 4) <= EXACT


def size_of(tree: tuple[Any, ...]) -> int:
    """Nodes of a tree, which is its subtrees and its label."""
    return 1 + sum(map(size_of, tree[:-1]))


def orders_of(tree: tuple[Any, ...]) -> float:
    """In how many orders the nodes of a tree can come, each behind its children, of all n!."""
    return math.prod(map(orders_of, tree[:-1])) / size_of(tree)


def orders_of_planar(forest: tuple[Any, ...]) -> float:
    """The same for a planar forest: the root of the last tree comes behind all that stands before it."""
    if not forest:
        return 1.0
    *before, last = forest
    return orders_of_planar(tuple(before)) * orders_of_planar(last[:-1]) / sum(map(size_of, forest))


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("length", "batch"), [(1001, 1), (10_001, 3), (100_001, 20)])
def test_trees_with_corrections(length: int, batch: int, planar: bool) -> None:
    path, end_time, d, degree = np.zeros((batch, length, 1), np.float32), 2.5, 2, 4
    options = {"planar": planar, "time_aug": True, "end_time": end_time, "correction": np.full(1, 1e-4, np.float32)}
    n_found = 0
    for scalar_term in (False, True):
        found = siglib.branched_sig(path, degree, scalar_term=scalar_term, **options).astype(np.float64)
        for place, tree in enumerate(siglib.trees(d, degree, planar=planar)[1:]):
            forest = tree if planar else (tree,)
            labels = set(str(tree)) & {"0", "1"}
            if labels == {"1"}:
                orders = orders_of_planar(forest) if planar else orders_of(tree)
                exact = orders * end_time ** sum(map(size_of, forest))
                assert np.abs(found[:, place + scalar_term] / exact - 1).max() <= EXACT
                n_found += 1
    assert n_found == 2 * (1 + 2 + 5 + 14 if planar else 1 + 1 + 2 + 4)


@pytest.mark.parametrize("lead_lag", [False, True])
@pytest.mark.parametrize(("window", "stride"), [(3, 1), (50, 50), (700, 90), (3001, 1)])
def test_windows(instruction_set: str, window: int, stride: int, lead_lag: bool) -> None:
    path = np.zeros((3, 3001, 1), np.float32)
    sigs = siglib.sig_windows(path, 3, window, stride, time_aug=True, lead_lag=lead_lag, end_time=2.0)
    assert error_of_time(sigs, (window - 1) / 1500, 2 + lead_lag) <= EXACT


def test_prefixes_and_windows_of_all_widths(rng: np.random.Generator) -> None:
    path = np.zeros((2, 5001, 1), np.float32)
    sigs = siglib.sig_prefixes(path, 3, time_aug=True)
    assert error_of_time(sigs[:, 1:], np.arange(1, 5001) / 5000, 2) <= EXACT
    starts = rng.integers(0, 4000, (2, 40))
    widths = rng.integers(2, 1000, (2, 40))
    sigs = siglib.sig_windows(path, 3, starts=starts, ends=starts + widths, time_aug=True)
    assert error_of_time(sigs, (widths - 1) / 5000, 2) <= EXACT


@pytest.mark.parametrize(("window", "stride"), [(3, 1), (5, 5), (40, 3)])
def test_short_windows_of_long_paths(rng: np.random.Generator, window: int, stride: int) -> None:
    """Time in a window is as exact as in a path of its own, and so are gradients."""
    path = rng.integers(-1, 2, (1, 20_001, 2)).cumsum(axis=1)
    options = {"window": window, "stride": stride, "time_aug": True, "end_time": 20.0}
    exact = siglib.sig_windows(path.astype(np.float64), 3, **options)
    found = siglib.sig_windows(path.astype(np.float32), 3, **options)
    scale = np.abs(exact).max(axis=(0, 1))
    assert (np.abs(found - exact) / scale).max() <= 2e-6
    derivs = rng.integers(-3, 4, exact.shape) / scale
    exact = siglib.sig_windows_backprop(path.astype(np.float64), derivs, 3, **options)
    found = siglib.sig_windows_backprop(path.astype(np.float32), derivs.astype(np.float32), 3, **options)
    assert np.abs(found - exact).max() / np.abs(exact).max() <= 2e-6


def test_gradients_see_the_same_time() -> None:
    """A step function: its gradient with respect to the step's end is a difference of times."""
    path, n = jump(100_001, 60_000), 100_000
    sigs = siglib.sig(path, 2, time_aug=True)
    derivs = np.zeros_like(sigs)
    derivs[:, 3] = 1
    gradient = siglib.sig_backprop(path, sigs, derivs, 2, time_aug=True)[0, :, 0].astype(np.float64)
    expected = np.full(n + 1, 1 / n)
    expected[0], expected[-1] = -1 + 0.5 / n, 0.5 / n
    assert np.abs(gradient - expected).max() <= 3e-7


@pytest.mark.parametrize("value", [0.0, 1e-42, 1e38, 1e300, math.inf])
def test_end_times_of_every_size(value: float) -> None:
    path = np.zeros((1, 101, 1), np.float32)
    with np.errstate(over="ignore"):
        expected = np.float32(value)
    assert siglib.sig(path, 1, time_aug=True, end_time=value)[0, 1] == expected
    assert siglib.sig_coef(path, (1,), time_aug=True, end_time=value)[0, 0] == expected


def test_on_the_gpu(gpu: Gpu) -> None:
    path = np.zeros((2, 3001, 1), np.float32)
    x = gpu.array(path)
    assert error_of_time(gpu.numpy(siglib.sig(x, 3, time_aug=True)), 1.0, 2) <= EXACT
    coefs = gpu.numpy(siglib.sig_coef(x, [(1,), (1, 1), (1, 1, 1)], time_aug=True)).astype(np.float64)
    assert np.abs(coefs * [1, 2, 6] - 1).max() <= EXACT
    correction = gpu.array(np.full(1, 1e-4, np.float32))
    assert error_of_time(gpu.numpy(siglib.sig(x, 3, time_aug=True, correction=correction)), 1.0, 2) <= EXACT
    for window, stride in ((100, 7), (500, 300), (3001, 1)):
        sigs = gpu.numpy(siglib.sig_windows(x, 3, window, stride, time_aug=True, scalar_term=True))
        assert error_of_time(sigs[..., 1:], (window - 1) / 3000, 2) <= EXACT
    starts = np.array([[0, 5, 2000], [7, 100, 1]])
    ends = np.array([[3000, 9, 2100], [2000, 1000, 3]])
    sigs = gpu.numpy(siglib.sig_windows(x, 3, starts=starts, ends=ends, time_aug=True))
    assert error_of_time(sigs, (ends - starts - 1) / 3000, 2) <= EXACT
    for step in (0, 2999):
        before = (step + 0.5) / 3000
        x = gpu.array(jump(3001, step))
        for found in (siglib.sig(x, 2, time_aug=True)[:, 3:5], siglib.sig_coef(x, [(0, 1), (1, 0)], time_aug=True)):
            assert np.abs(gpu.numpy(found).astype(np.float64) - [1 - before, before]).max() <= 3e-7


@pytest.mark.parametrize("window", [3, 40])
def test_short_windows_on_the_gpu(gpu: Gpu, rng: np.random.Generator, window: int) -> None:
    path = rng.integers(-1, 2, (1, 4001, 2)).cumsum(axis=1)
    options = {"window": window, "stride": 17, "time_aug": True}
    exact = siglib.sig_windows(path.astype(np.float64), 3, **options)
    found = gpu.numpy(siglib.sig_windows(gpu.array(path.astype(np.float32)), 3, **options))
    scale = np.abs(exact).max(axis=(0, 1))
    assert (np.abs(found - exact) / scale).max() <= 2e-6
    derivs = rng.integers(-3, 4, exact.shape) / scale
    exact = siglib.sig_windows_backprop(path.astype(np.float64), derivs, 3, **options)
    derivs32 = gpu.array(derivs.astype(np.float32))
    found = gpu.numpy(siglib.sig_windows_backprop(gpu.array(path.astype(np.float32)), derivs32, 3, **options))
    assert np.abs(found - exact).max() / np.abs(exact).max() <= 2e-6
