"""Intervals of real time: signatures of the points in them, however the path has grown."""

import copy
import datetime
import pickle
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu

import siglib


def random_times(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.sort(np.round(rng.uniform(0, 40, n), 1))


def direct(path: np.ndarray, times: np.ndarray, start: Any, end: Any, degree: int) -> np.ndarray:
    """The signature of the points with start <= time < end, backwards if the end is earlier."""
    if start <= end:
        return siglib.sig(path[(times >= start) & (times < end)], degree)
    return siglib.sig(path[(times >= end) & (times < start)][::-1], degree)


@pytest.mark.parametrize("length", [1, 2, 40, 500])
def test_intervals_are_the_points_in_them(dtype: np.dtype, rng: np.random.Generator, length: int) -> None:
    path, times = random_paths(rng, length, 2, dtype=dtype), random_times(rng, length)
    starts, ends = np.round(rng.uniform(-3, 43, (2, 80)), 1)
    starts[:3], ends[:3] = (-np.inf, times[0], times[-1]), (np.inf, times[-1], np.inf)
    found = siglib.IntervalSignature(path, 3, times=times)
    out = found.sig_batch(starts, ends)
    assert out.dtype == dtype
    expected = [direct(path.astype(float), times, s, e, 3) for s, e in zip(starts, ends, strict=True)]
    assert_close(out, np.array(expected), 1e-4 if dtype == np.float32 else 1e-11)
    for k in range(5):
        assert_same_bits(found.sig(starts[k], ends[k]), out[k])
        assert_same_bits(found.log_sig(starts[k], ends[k]), found.log_sig_batch(starts, ends)[k])


def test_windows_are_intervals(rng: np.random.Generator) -> None:
    path, times = random_paths(rng, 200, 3), random_times(rng, 200)
    windows = siglib.sig_windows(path, 3, 4.0, 1.5, times=times)
    starts = times[0] + np.arange(len(windows)) * 1.5
    assert_close(siglib.IntervalSignature(path, 3, times=times).sig_batch(starts, starts + 4.0), windows, 1e-11)


@pytest.mark.parametrize("kind", [np.float64, np.int64, "M8[s]"])
def test_a_path_that_grows(rng: np.random.Generator, kind: Any) -> None:
    path, times = random_paths(rng, 300, 2), (10 * random_times(rng, 300)).astype(np.int64).astype(kind)
    grown = siglib.IntervalSignature(path[:1], 2, times=times[:1])
    at = 1
    while at < 300:
        step = int(rng.integers(1, 40))
        grown.append(path[at : at + step], times=times[at : at + step])
        at = min(at + step, 300)
        np.testing.assert_array_equal(grown.times, times[:at])
        starts, ends = rng.integers(0, 400, (2, 9)).astype(kind)
        expected = [direct(path[:at], times[:at], s, e, 2) for s, e in zip(starts, ends, strict=True)]
        assert_close(grown.sig_batch(starts, ends), np.array(expected), 1e-12)
    assert grown.times.dtype == np.dtype(kind)


def test_whole_numbers_stay_exact(rng: np.random.Generator) -> None:
    path = random_paths(rng, 3, 2)
    found = siglib.IntervalSignature(path[:2], 2, times=[2**60, 2**60 + 1])
    found.append(path[2:], times=[2**60 + 2])
    assert_close(found.sig(2**60, 2**60 + 2), siglib.sig(path[:2], 2))
    dates = np.array(["2001-01-01", "2001-01-02"], "M8[D]")
    found = siglib.IntervalSignature(path[:2], 2, times=dates)
    found.append(path[2:], times=np.array(["2001-01-02T00:00:00.000000001"], "M8[ns]"))
    assert_close(found.sig(dates[0], np.datetime64("2001-01-02T00:00:00.000000001")), siglib.sig(path[:2], 2))


@pytest.mark.parametrize("unit", ["D", "h", "s", "us", "ns"])
@pytest.mark.parametrize("asked", ["D", "h", "s", "us", "ns"])
def test_datetimes_of_other_units(unit: str, asked: str) -> None:
    moments = [datetime.datetime(1969, 12, 31), datetime.datetime(1970, 1, 1), datetime.datetime(1970, 1, 3)]
    path = np.array([[0.0], [1.0], [3.0]])
    intervals = siglib.IntervalSignature(path, 1, times=np.array(moments, f"M8[{unit}]"))
    step = datetime.timedelta(microseconds=1) if asked in ("us", "ns") else datetime.timedelta(days=1)
    bounds = [moment + k * step for moment in moments for k in (-1, 0, 1)]
    for start in bounds:
        for end in bounds[bounds.index(start) :]:
            inside = path[[start <= moment < end for moment in moments]]
            found = intervals.sig(np.datetime64(start, asked), np.datetime64(end, asked))
            np.testing.assert_array_equal(found, siglib.sig(inside, 1))


def test_datetimes_beyond_64_bits() -> None:
    times = np.array(["2020-01-01", "2020-01-02", "2020-01-04"], "M8[ns]")
    path = np.array([[0.0], [1.0], [3.0]])
    intervals = siglib.IntervalSignature(path, 1, times=times)
    early, late = np.datetime64("0001-01-01"), np.datetime64("9999-01-01")
    for start, end, expected in (
        (early, late, 3.0),
        (early, times[2], 1.0),
        (times[1], late, 2.0),
        (late, early, -3.0),
    ):
        assert intervals.sig(start, end) == expected
    with pytest.raises(ValueError, match="times must fit into 64 bits in units of ns"):
        intervals.append(path, times=[late] * 3)
    assert len(intervals) == 3


def test_copies_go_on_by_themselves(rng: np.random.Generator) -> None:
    path, times = random_paths(rng, 100, 2), random_times(rng, 100)
    first = siglib.IntervalSignature(path[:70], 2, times=times[:70])
    twins = [copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first))]
    for twin in twins:
        twin.append(-path[70:], times=times[70:] + 50)
    first.append(path[70:], times=times[70:])
    np.testing.assert_array_equal(first.times, times)
    assert_close(first.sig(0, 99), siglib.sig(path, 2), 1e-12)
    for twin in twins:
        assert_close(twin.sig(50.0, 99), siglib.sig(-path[70:], 2), 1e-12)


def test_gradients_in_torch(rng: np.random.Generator) -> None:
    torch = optional("torch")
    path, times = torch.from_numpy(random_paths(rng, 2, 9, 2)).requires_grad_(), random_times(rng, 9)

    def f(path: Any) -> Any:
        found = siglib.IntervalSignature(path[:, :5], 2, times=torch.from_numpy(times[:5]))
        found.append(path[:, 5:], times=times[5:])
        return found.sig_batch([0.0, 30.0, 2.0], [25.0, 3.0, 2.0])

    assert torch.autograd.gradcheck(f, (path,))


def test_on_a_gpu(gpu: Gpu, rng: np.random.Generator) -> None:
    path, times = random_paths(rng, 40, 2), random_times(rng, 40)
    found = siglib.IntervalSignature(gpu.array(path), 2, times=gpu.array(times))
    assert_close(gpu.numpy(found.sig(5.0, 25.0)), direct(path, times, 5.0, 25.0, 2), 1e-12)


def test_refusals() -> None:
    path = np.zeros((3, 2))
    with pytest.raises(ValueError, match="times must not decrease, got 1.0 after 2.0 at index 2"):
        siglib.IntervalSignature(path, 2, times=[0.0, 2.0, 1.0])
    with pytest.raises(ValueError, match=r"times must have shape \(3,\), a time for each point of path, got \(2,\)"):
        siglib.IntervalSignature(path, 2, times=[0.0, 2.0])
    with pytest.raises(ValueError, match=r"times must have shape \(n,\)"):
        siglib.IntervalSignature(path, 2, times=[[0.0, 1.0, 2.0]])
    found = siglib.IntervalSignature(path, 2, times=[0.0, 1.0, 2.0])
    for wrong, message in (
        (None, "times must be given with all points of a path that has times"),
        ([1.0], "times must not decrease, got 1.0 behind 2.0, that of the last point"),
        ([3.0, 4.0], r"times must have shape \(1,\), a time for each point of points, got \(2,\)"),
        ([np.nan], "times must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            found.append(path[:1], times=wrong)
    assert len(found) == 3 == len(found.times)
    with pytest.raises(TypeError, match="times must be numbers or datetimes as before, not both"):
        found.append(path[:1], times=np.array(["2001"], "M8[s]"))
    with pytest.raises(ValueError, match="ends must not be nan"):
        found.sig(0.0, np.nan)
    with pytest.raises(TypeError, match="starts must be a number, as times are"):
        found.sig(np.datetime64("2001-01-01"), 1.0)
    with pytest.raises(ValueError, match="starts and ends must have the same length, got 1 and 2"):
        found.sig_batch([0.0], [1.0, 2.0])
    bare = siglib.IntervalSignature(path, 2)
    assert bare.times is None
    with pytest.raises(ValueError, match="times must be given with the first points of a path, or never"):
        bare.append(path, times=[0.0, 1.0, 2.0])
