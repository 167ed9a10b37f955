"""Signatures of intervals: the signatures of slices, whatever the length of the path and however it came."""

import copy
import pickle

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits

import siglib

TOLERANCE = {"float64": 1e-11, "float32": 1e-4}


def direct(path: np.ndarray, start: int, end: int, degree: int) -> np.ndarray:
    """The signature of the piece from one point to another, backwards where they are that way round."""
    piece = path[start : end + 1] if start <= end else path[end : start + 1][::-1]
    return siglib.sig(piece, degree)


@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 5), (3, 4), (5, 2), (7, 2)])
@pytest.mark.parametrize("length", [1, 2, 33, 300, 1100])
def test_intervals_are_slices(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int, length: int
) -> None:
    path = random_paths(rng, length, dimension, dtype=dtype)
    starts, ends = rng.integers(0, length, (2, 60))
    out = siglib.IntervalSignature(path, degree).sig_batch(starts, ends)
    assert out.dtype == dtype
    expected = [direct(path.astype(np.float64), s, e, degree) for s, e in zip(starts, ends, strict=True)]
    assert_close(out, np.array(expected), TOLERANCE[dtype.name])


def test_intervals_of_a_growing_path(rng: np.random.Generator) -> None:
    """Asked for between appends, so that every entry of the table is made at another time."""
    path = random_paths(rng, 3000, 2)
    grown = siglib.IntervalSignature(path[:1], 3)
    at = 1
    while at < len(path):
        step = int(rng.integers(1, 120))
        grown.append(path[at] if step == 1 else path[at : at + step])
        at = min(at + step, len(path))
        assert len(grown) == at
        starts, ends = rng.integers(0, at, (2, 20))
        expected = [direct(path, s, e, 3) for s, e in zip(starts, ends, strict=True)]
        assert_close(grown.sig_batch(starts, ends), np.array(expected), 1e-12)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 4), (6, 3), (9, 2)])
def test_every_way_to_cut_an_interval(dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int) -> None:
    """All intervals of a few blocks, in both directions: every number of points before, behind, and blocks between."""
    path = random_paths(rng, 70, dimension, dtype=dtype)
    starts, ends = np.divmod(np.arange(70 * 70), 70)
    out = siglib.IntervalSignature(path, degree, scalar_term=True).sig_batch(starts, ends)
    path = path.astype(np.float64)
    expected = [
        siglib.sig_prefixes(piece, degree, scalar_term=True)[order]
        for k in range(70)
        for piece, order in ((path[k::-1], slice(None, 0, -1)), (path[k:], slice(None)))
    ]
    assert_close(out, np.concatenate(expected), TOLERANCE[dtype.name])


def test_an_interval_depends_on_its_points_alone(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Not on what was asked for with it, nor on when blocks were complete, nor on the threads."""
    path = random_paths(rng, 1500, 3, dtype=dtype)
    starts, ends = rng.integers(0, 1500, (2, 300))
    expected = siglib.IntervalSignature(path, 4).sig_batch(starts, ends)
    grown = siglib.IntervalSignature(path[:700], 4, n_jobs=2)
    for k in np.flatnonzero(np.maximum(starts, ends) < 700):
        assert_same_bits(grown.sig(int(starts[k]), int(ends[k])), expected[k])
    grown.append(path[700:710])
    grown.sig(0, 709)
    grown.append(path[710:])
    assert_same_bits(grown.sig_batch(starts[::-1], ends[::-1]), np.ascontiguousarray(expected[::-1]))
    twins = siglib.IntervalSignature(np.stack([path, path[::-1], path]), 4).sig_batch(starts, ends)
    assert_same_bits(np.ascontiguousarray(twins[2]), expected)


def test_one_channel_of_any_degree(rng: np.random.Generator) -> None:
    path = random_paths(rng, 300, 1)
    out = siglib.IntervalSignature(path, 200, scalar_term=True).sig_batch([3, 290], [280, 288])
    for found, change in zip(out, (path[280, 0] - path[3, 0], path[288, 0] - path[290, 0]), strict=True):
        assert_close(found, np.cumprod(np.concatenate([[1.0], change / np.arange(1, 201)])))


def test_batches(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 2, 3, 400, 2)
    out = siglib.IntervalSignature(paths, 3, scalar_term=True).sig_batch([5, 390, 7], [380, 2, 7])
    assert out.shape == (2, 3, 3, 15)
    for index in np.ndindex(2, 3):
        for k, (s, e) in enumerate([(5, 380), (390, 2), (7, 7)]):
            assert_close(out[index][k], np.concatenate([[1.0], direct(paths[index], s, e, 3)]))
    one = siglib.IntervalSignature(paths, 3).sig(3, 200)
    assert_close(one, siglib.sig(paths[..., 3:201, :], 3))


@pytest.mark.parametrize("method", [0, 1, 2])
def test_logarithms(rng: np.random.Generator, method: int) -> None:
    path = random_paths(rng, 500, 3)
    out = siglib.IntervalSignature(path, 3)
    assert_close(out.log_sig(4, 480, method=method), siglib.log_sig(path[4:481], 3, method=method))
    assert_close(out.log_sig_batch([4], [480], method=method)[0], siglib.log_sig(path[4:481], 3, method=method))


def test_single_precision_far_from_the_start(rng: np.random.Generator) -> None:
    path = rng.standard_normal((100_000, 3)).cumsum(0)
    single = siglib.IntervalSignature(path.astype(np.float32), 4)
    exact = siglib.IntervalSignature(path.astype(np.float32).astype(np.float64), 4)
    for length in (10, 100, 1000):
        starts = rng.integers(0, len(path) - length, 40)
        expected = exact.sig_batch(starts, starts + length)
        for out, wanted in zip(single.sig_batch(starts, starts + length), expected, strict=True):
            assert_close(out, wanted, 1e-4)


def test_what_is_not_finite_stays_in_its_intervals(rng: np.random.Generator) -> None:
    path = random_paths(rng, 2000, 2)
    path[1000] = np.nan
    starts, ends = np.sort(rng.integers(0, 2000, (2, 300)), axis=0)
    finite = np.isfinite(siglib.IntervalSignature(path, 3).sig_batch(starts, ends)).all(axis=-1)
    # An interval of one point is constant, whatever the point.
    assert (finite == ~((starts <= 1000) & (1000 <= ends) & (starts < ends))).all()


def test_copies_and_pickles(rng: np.random.Generator) -> None:
    path = random_paths(rng, 700, 2)
    original = siglib.IntervalSignature(path, 3)
    expected = original.sig(3, 600)
    for twin in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
        assert_same_bits(twin.sig(3, 600), expected)
        twin.append(path[:100])
        assert (len(twin), len(original)) == (800, 700)


def test_points_are_copied(rng: np.random.Generator) -> None:
    path = random_paths(rng, 50, 2)
    given = path.copy()
    intervals = siglib.IntervalSignature(given, 3)
    given[:] = 0
    assert_close(intervals.sig(0, 49), siglib.sig(path, 3))


def test_refused() -> None:
    intervals = siglib.IntervalSignature(np.zeros((5, 2)), 2)
    with pytest.raises(IndexError, match="end must be from 0 to 4, got 5"):
        intervals.sig(0, 5)
    with pytest.raises(IndexError, match="starts must be from 0 to 4, got -1 at index 1"):
        intervals.sig_batch([0, -1], [1, 1])
    with pytest.raises(TypeError, match="start must be an integer"):
        intervals.sig(0.0, 1)
    with pytest.raises(TypeError, match="starts must hold integers"):
        intervals.sig_batch([0.5], [1])
    with pytest.raises(ValueError, match="same length, got 1 and 2"):
        intervals.sig_batch([0], [1, 2])
    with pytest.raises(ValueError, match=r"starts must have shape \(n,\)"):
        intervals.sig_batch(0, 1)
    with pytest.raises(ValueError, match="path must have at least one point"):
        siglib.IntervalSignature(np.zeros((0, 2)), 2)
    with pytest.raises(ValueError, match="points must have 2 channels on its last axis, got 3"):
        intervals.append(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"points must have batch shape \(\), as before, got \(4,\)"):
        intervals.append(np.zeros((4, 1, 2)))
    with pytest.raises(ValueError, match="points must be of numpy and float64, as before"):
        intervals.append(np.zeros((1, 2), np.float32))
    assert intervals.sig_batch([], []).shape == (0, 6)
