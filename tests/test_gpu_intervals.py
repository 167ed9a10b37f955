"""Intervals and streams on a GPU: the signatures of slices, from points that stay there."""

from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu, tensors_on_gpu

import siglib


def direct(path: np.ndarray, starts: Any, ends: Any, degree: int, scalar_term: bool = False) -> np.ndarray:
    """The signatures of the pieces from points to points, backwards where they are that way round."""
    pieces = (path[s : e + 1] if s <= e else path[e : s + 1][::-1] for s, e in zip(starts, ends, strict=True))
    return np.array([siglib.sig(piece, degree, scalar_term=scalar_term) for piece in pieces])


@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 5), (3, 3), (6, 2)])
@pytest.mark.parametrize("scalar_term", [False, True])
def test_intervals_are_slices(
    gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int, scalar_term: bool
) -> None:
    """Of a path that grows between questions; no point, no block, some blocks, forwards and backwards."""
    path = random_paths(rng, 150, dimension, dtype=dtype)
    intervals = siglib.IntervalSignature(gpu.array(path[:40]), degree, scalar_term=scalar_term)
    for length in (40, 41, 150):
        intervals.append(gpu.array(path[len(intervals) : length]))
        assert len(intervals) == length
        starts, ends = rng.integers(0, length, (2, 40))
        starts[:2] = ends[:2]
        expected = direct(path.astype(np.float64), starts, ends, degree, scalar_term)
        assert_close(gpu.numpy(intervals.sig_batch(starts, ends)), expected)
        assert_close(gpu.numpy(intervals.sig(int(starts[5]), int(ends[5]))), expected[5])


def test_every_way_to_cut_an_interval(checked_gpu: Gpu, rng: np.random.Generator) -> None:
    path = random_paths(rng, 52, 2)
    starts, ends = np.divmod(np.arange(0, 52 * 52, 7), 52)
    out = siglib.IntervalSignature(checked_gpu.array(path), 3).sig_batch(starts, ends)
    assert_close(checked_gpu.numpy(out), direct(path, starts, ends, 3))


def test_batches_and_logarithms(gpu: Gpu, rng: np.random.Generator) -> None:
    paths = random_paths(rng, 2, 3, 60, 2)
    intervals = siglib.IntervalSignature(gpu.array(paths), 3)
    starts, ends = np.array([0, 50, 7]), np.array([59, 3, 9])
    out = gpu.numpy(intervals.log_sig_batch(gpu.array(starts), gpu.array(ends)))
    assert out.shape == (2, 3, 3, siglib.log_sig_length(2, 3))
    expected = [[siglib.sig_to_log_sig(direct(path, starts, ends, 3), 2, 3) for path in row] for row in paths]
    assert_close(out, np.array(expected))


def test_bits_do_not_depend_on_memory(
    emulated: Gpu, rng: np.random.Generator, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In shared memory, and in rows of scratch memory, a few intervals at a time."""
    path = emulated.array(random_paths(rng, 100, 3, dtype=dtype))
    starts, ends = rng.integers(0, 100, (2, 20))
    expected = siglib.IntervalSignature(path, 3).sig_batch(starts, ends).get()
    monkeypatch.setattr("siglib._gpu.sizes.SHARED_BYTES", 0)
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 10_000)
    assert_same_bits(siglib.IntervalSignature(path, 3).sig_batch(starts, ends).get(), expected)


def test_streams(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    points = random_paths(rng, 30, 2, dtype=dtype)
    stream, logs = siglib.SigStream(2, 3), siglib.LogSigStream(2, 3)
    windows, log_windows = siglib.SigWindowStream(2, 3, 6, stride=2), siglib.LogSigWindowStream(2, 3, 6, stride=2)
    each = (stream, logs, windows, log_windows)
    for s in each:
        for point in points[:10]:
            s.push(gpu.array(point))
    windows.sig()
    for s in each:
        s.push_batch(gpu.array(points[10:]))
    # Eleven checkpoints: the last one is the last point.
    at = np.array([*range(10), 29])
    exact = points.astype(np.float64)
    pairs = [(0, 10), (3, 7), (9, 2)]
    starts, ends = at[np.array(pairs)].T
    expected = direct(exact, starts, ends, 3)
    assert_close(gpu.numpy(stream.sig_batch(pairs)), expected)
    assert_close(gpu.numpy(logs.sig_batch(pairs)), siglib.sig_to_log_sig(expected, 2, 3, method=2))
    assert_close(gpu.numpy(stream.sig_all()), direct(exact, [0] * 11, at, 3))
    expected = siglib.sig_windows(exact, 3, 6, 2)
    assert_close(gpu.numpy(windows.sig()), expected)
    assert_close(gpu.numpy(log_windows.sig()), siglib.sig_to_log_sig(expected, 2, 3, method=2))


@pytest.mark.parametrize("planar", [False, True], ids=["trees", "planar"])
def test_streams_of_trees(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, planar: bool) -> None:
    points = random_paths(rng, 12, 2, dtype=dtype)
    options = {"planar": planar, "scalar_term": True}
    stream, logs = siglib.BranchedSigStream(2, 3, **options), siglib.BranchedLogSigStream(2, 3, planar=planar)
    windows = siglib.BranchedSigWindowStream(2, 3, 6, stride=2, **options)
    log_windows = siglib.BranchedLogSigWindowStream(2, 3, 6, stride=2, planar=planar)
    for s in (stream, logs):
        s.push_batch(gpu.array(points), checkpoints=True)
    for s in (windows, log_windows):
        s.push_batch(gpu.array(points))
    exact = points.astype(np.float64)
    prefixes = siglib.branched_sig_prefixes(exact, 3, **options)
    assert_close(gpu.numpy(stream.sig_all()), prefixes)
    assert_close(gpu.numpy(stream.sig(3, 8)), siglib.branched_sig(exact[3:9], 3, **options))
    assert_close(gpu.numpy(logs.sig(3, 8)), siglib.branched_log_sig(exact[3:9], 3, planar=planar))
    assert_close(gpu.numpy(windows.sig()), siglib.branched_sig_windows(exact, 3, 6, 2, **options))
    assert_close(gpu.numpy(log_windows.sig()), siglib.branched_log_sig_windows(exact, 3, 6, 2, planar=planar))


def test_points_that_were_dropped(gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siglib.streams.streams._DROP", 8)
    points = random_paths(rng, 60, 2)
    stream = siglib.SigStream(2, 3)
    stream.push_batch(gpu.array(points), checkpoints=True)
    for _ in range(40):
        stream.pop_front()
    assert_close(gpu.numpy(stream.sig(45, 59)), siglib.sig(points[45:], 3))
    assert_close(gpu.numpy(stream.sig_all())[-1], siglib.sig(points, 3))


def test_other_points_are_refused(gpu: Gpu, rng: np.random.Generator) -> None:
    stream = siglib.SigStream(2, 2)
    stream.push(gpu.array(np.zeros(2)))
    with pytest.raises(ValueError, match="point must be of cupy and float64, as before, got numpy and float64"):
        stream.push(np.zeros(2))
    with pytest.raises(ValueError, match="point must be of cupy and float64, as before, got cupy and float32"):
        stream.push(gpu.array(np.zeros(2, np.float32)))


def test_tensors(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """With and without a graph."""
    torch = optional("torch")
    tensors_on_gpu(monkeypatch, torch)
    path = random_paths(rng, 60, 2)
    starts, ends = np.array([0, 50, 7, 20]), np.array([59, 3, 9, 50])
    expected = direct(path, starts, ends, 3)
    intervals = siglib.IntervalSignature(torch.tensor(path[:30]), 3)
    intervals.append(torch.tensor(path[30:]))
    found = intervals.sig_batch(starts, ends)
    assert isinstance(found, torch.Tensor)
    assert_close(found, expected)
    points = torch.tensor(path, requires_grad=True)
    found = siglib.IntervalSignature(points, 3).sig_batch(starts, ends)
    assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found[:, :2].sum(), points)
    signs = np.zeros((60, 2))
    np.add.at(signs, ends, 1)
    np.add.at(signs, starts, -1)
    assert_close(gradient, signs)
    windows = siglib.SigWindowStream(2, 3, 6)
    for point in path[:10]:
        windows.push(torch.tensor(point))
    assert_close(windows.sig(), siglib.sig_windows(path[:10], 3, 6))
