"""Windows of some duration: signatures of the points in them, which are found by comparing every time with the bounds."""

import datetime
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu
from hypothesis import given, settings
from hypothesis import strategies as st

import siglib

FUNCTIONS = [
    siglib.sig_windows,
    siglib.log_sig_windows,
    siglib.branched_sig_windows,
    siglib.branched_log_sig_windows,
]


def random_times(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Moments at odd distances, some of them together."""
    return np.sort(np.round(rng.uniform(-3, 17, shape), 1), axis=-1)


def points_in_windows(times: Any, window: Any, stride: Any, span: Any = None) -> list[list[int]]:
    """The points of every window, by definition: every time is compared with every bound."""
    times, found = list(times), []
    if span is None and not times:
        return []
    begin, finish = span or (times[0], times[-1])
    m = round(window / stride)
    if abs(m * stride - window) > 1e-15 * window:
        m = 0
    while True:
        k = len(found)
        start = begin + k * stride
        end = begin + (k + m) * stride if m else start + window
        if end > finish:
            return found
        found.append([i for i, time in enumerate(times) if start <= time < end])


def by_definition(path: np.ndarray, points: list[list[int]], degree: int = 3, **options: Any) -> np.ndarray:
    rows = [siglib.sig(path[at], degree, **options) for at in points]
    n = siglib.sig_length(path.shape[1], degree, lead_lag=options.get("lead_lag", False))
    return np.array(rows).reshape(len(rows), n)


# Definition


@pytest.mark.parametrize(
    ("window", "stride"), [(2.0, 0.5), (0.25, 0.25), (3.0, 1.0), (0.5, 4.0), (19.0, 1.5), (30.0, 1.0)]
)
@pytest.mark.parametrize("lead_lag", [False, True])
def test_windows_of_points_in_them(
    dtype: np.dtype, rng: np.random.Generator, window: float, stride: float, lead_lag: bool
) -> None:
    times, path = random_times(rng, 60), random_paths(rng, 60, 2, dtype=dtype)
    points = points_in_windows(times, window, stride)
    out = siglib.sig_windows(path, 3, window, stride, times=times, lead_lag=lead_lag)
    assert out.dtype == dtype
    assert_close(
        out, by_definition(path.astype(float), points, lead_lag=lead_lag), 2e-5 if dtype == np.float32 else 1e-12
    )
    first, stop = siglib.window_bounds(times, window, stride)
    assert slices(first, stop) == points
    # The same call in points.
    assert_same_bits(siglib.sig_windows(path, 3, starts=first, ends=stop, lead_lag=lead_lag), out)


def slices(first: np.ndarray, stop: np.ndarray) -> list[list[int]]:
    return [list(range(i, j)) for i, j in zip(first, stop, strict=True)]


series = st.lists(st.integers(-200, 200).map(lambda i: i / 8) | st.floats(-30, 30), max_size=12).map(sorted)


@given(
    st.lists(series, min_size=1, max_size=4),
    st.floats(0.5, 40) | st.sampled_from([0.7, 1.0, 2.5]),
    st.floats(0.05, 3.0) | st.sampled_from([1.0, 0.5, 1 / 3, 0.1, 2.0]),
    st.sampled_from([None, (-50.0, 50.0), (0.1, 9.0), (3.0, 1.0)]),
)
@settings(deadline=None)
def test_bounds_by_definition(times: list[list[float]], window: float, share: float, span: Any) -> None:
    """Any times, of one path, and of several at once."""
    stride = window * share
    expected = [points_in_windows(row, window, stride, span) for row in times]
    for row, points in zip(times, expected, strict=True):
        assert slices(*siglib.window_bounds(np.array(row), window, stride, span=span)) == points
    first, stop = siglib.window_bounds([np.array(row) for row in times], window, stride, span=span)
    for i, points in enumerate(expected):
        n = len(points)
        assert slices(first[i][:n], stop[i][:n]) == points
        # What a batch has behind the windows of a path.
        assert (first[i][n:] == len(times[i])).all() and (stop[i][n:] == len(times[i])).all()


def test_windows_that_meet_share_their_bound() -> None:
    """Tenths are not exact: every time is in one window, all the same."""
    times = np.arange(1000) * 0.1
    first, stop = siglib.window_bounds(times, 0.1, span=(0.0, 100.0))
    assert first.tolist() == list(range(1000)) and stop.tolist() == list(range(1, 1001))
    first, stop = siglib.window_bounds(times, 0.3, 0.1)
    assert (stop[:-3] == first[3:]).all()


@pytest.mark.parametrize("kind", ["float", "int", "datetime", "large int"])
@pytest.mark.parametrize(("window", "stride"), [(4, 1), (5, 5), (3, 7), (21, 2)])
@pytest.mark.parametrize("transform", [{}, {"time_aug": True}, {"time_aug": True, "lead_lag": True}])
def test_even_times_are_points(
    rng: np.random.Generator, kind: str, window: int, stride: int, transform: dict[str, Any]
) -> None:
    paths, unit, begin = random_paths(rng, 2, 21, 2), {"float": 0.5, "int": 3}.get(kind, 1), 7
    if kind == "datetime":
        transform = {}
        unit, begin = np.timedelta64(36, "h"), np.datetime64("2000-02-27")
    elif kind == "large int":
        unit, begin = 1, 2**60
    times = begin + np.arange(21) * unit
    # The last point is in no window unless there is time behind it.
    span = (begin, begin + 21 * unit)
    by_points = {**transform, "end_time": 20.0 * unit} if transform else {}
    expected = siglib.sig_windows(paths, 3, window, stride, **by_points)
    for given_times in (times, np.stack([times, times])):
        options = {"times": given_times, "span": span, **transform}
        assert_close(siglib.sig_windows(paths, 3, window * unit, stride * unit, **options), expected, 1e-12)
        derivs = rng.standard_normal(expected.shape)
        assert_close(
            siglib.sig_windows_backprop(paths, derivs, 3, window * unit, stride * unit, **options),
            siglib.sig_windows_backprop(paths, derivs, 3, window, stride, **by_points),
            1e-12,
        )
    first, _ = siglib.window_bounds(times, window * unit, stride * unit)
    assert len(first) == sum(k * stride + window <= 20 for k in range(21))


def test_whole_numbers_are_exact() -> None:
    """Nanoseconds of many years, which float64 cannot tell apart."""
    times = np.array([0, 10**18, 10**18 + 1, 10**18 + 2])
    for together in (times, np.stack([times, times])):
        first, stop = siglib.window_bounds(together, 1, span=(10**18, 10**18 + 2))
        assert first.reshape(-1, 2)[-1].tolist() == [1, 2] and stop.reshape(-1, 2)[-1].tolist() == [2, 3]
    dates = times.astype("M8[ns]")
    first, stop = siglib.window_bounds(np.stack([dates, dates]), datetime.timedelta(days=10000))
    assert first[0].tolist() == [0] and stop[1].tolist() == [1]


DAY = np.timedelta64(1, "D")


@pytest.mark.parametrize(
    "times",
    [
        [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), datetime.date(2020, 1, 4)],
        [datetime.datetime(2020, 1, day, 3) for day in (1, 2, 4)],
        # Midnight in one zone, and an hour before that in another one.
        [
            datetime.datetime(2020, 1, day, hour, tzinfo=datetime.timezone(datetime.timedelta(hours=zone)))
            for day, hour, zone in ((1, 0, 0), (2, 1, 1), (3, 23, -1))
        ],
        np.array(["2020-01-01", "2020-01-02", "2020-01-04"], "M8[25s]"),
    ],
    ids=["dates", "datetimes", "time zones", "odd unit"],
)
def test_datetimes_of_any_kind(times: Any) -> None:
    for many in (times, [times, times], [times, times[:2]]):
        first, stop = siglib.window_bounds(many, DAY)
        both = (first, stop) if many is times else (first[0], stop[0])
        np.testing.assert_array_equal(both, [[0, 1, 2], [1, 2, 2]])


def test_padded_paths_without_points() -> None:
    for times in ([], np.zeros((2, 0))):
        options = {"times": times, "lengths": [0, 0]}
        assert siglib.sig_windows(np.zeros((2, 0, 3)), 1, 2.0, **options).shape == (2, 0, 3)
        assert not siglib.sig_windows(np.zeros((2, 0, 3)), 1, 2.0, span=(0, 4), **options).any()


def test_months_start_with_their_first_days() -> None:
    months = np.array(["2020-01", "2020-02", "2020-04"], "M8[M]")
    found = siglib.window_bounds(months, 31 * DAY, span=(np.datetime64("2020"), np.datetime64("2020-05")))
    # 1 January to 1 February, to 3 March, to 3 April
    np.testing.assert_array_equal(found, [[0, 1, 2], [1, 2, 3]])
    np.testing.assert_array_equal(siglib.window_bounds([months, []], 31 * DAY)[0][1], [])


def test_datetimes_beyond_64_bits() -> None:
    """Nanoseconds reach from 1677 to 2262."""
    times = np.array(["2020-01-01", "2020-01-02", "2020-01-04"], "M8[ns]")
    early, late = np.datetime64("0001-01-01"), np.datetime64("2262-01-01")
    for options, name in (
        ({"window": 146_000 * DAY}, "window"),
        ({"window": DAY, "stride": 146_000 * DAY}, "stride"),
        ({"window": DAY, "span": (early, None)}, "the start of span"),
        ({"window": DAY, "span": (None, np.datetime64("3000-01-01"))}, "the stop of span"),
    ):
        with pytest.raises(ValueError, match=f"{name} must fit into 64 bits in units of ns"):
            siglib.window_bounds(times, **options)
        first, stop = siglib.window_bounds(times.astype("M8[s]"), **options)
        assert (stop >= first).all()
    assert siglib.window_bounds(times.astype("M8[s]"), 146_000 * DAY)[0].shape == (0,)
    with pytest.raises(ValueError, match="do not fit into 64 bits: give times, window and stride in coarser units"):
        siglib.window_bounds(times, 365 * DAY, span=(None, late))
    with pytest.raises(ValueError, match=r"times\[1\] must fit into 64 bits in units of ns"):
        siglib.window_bounds([times, [early]], DAY)


def test_windows_of_no_and_one_point() -> None:
    """Signatures of constant paths."""
    path = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 4.0]])
    out = siglib.sig_windows(path, 2, 1.0, times=[0.0, 0.5, 2.5], span=(0, 4), scalar_term=True)
    assert out[:, 0].tolist() == [1, 1, 1, 1]
    assert_close(out[0, 1:], siglib.sig(path[:2], 2))
    assert not out[1:, 1:].any()
    assert siglib.sig_windows(path, 2, 9.0, times=[0.0, 0.5, 2.5]).shape == (0, 6)
    assert siglib.sig_windows(path[:0], 2, 1.0, times=[], span=(0, 2)).tolist() == [[0.0] * 6] * 2
    assert siglib.sig_windows(path[:0], 2, 1.0, times=[]).shape == (0, 6)


# Time as a channel


@pytest.mark.parametrize("lead_lag", [False, True])
def test_added_time_is_the_given_one(dtype: np.dtype, rng: np.random.Generator, lead_lag: bool) -> None:
    times, path = random_times(rng, 30), random_paths(rng, 30, 2, dtype=dtype)
    points = points_in_windows(times, 4.0, 1.5)
    expected = []
    for at in points:
        piece, rows = path[at].astype(float), times[at]
        if lead_lag:
            piece = siglib.transform_path(piece, lead_lag=True)
            rows = np.interp(np.arange(2 * len(at) - 1) / 2, np.arange(len(at)), rows) if at else rows
        expected.append(siglib.sig(np.column_stack([piece, rows]), 3))
    out = siglib.sig_windows(path, 3, 4.0, 1.5, times=times, time_aug=True, lead_lag=lead_lag)
    assert out.dtype == dtype
    assert_close(out, np.array(expected), 1e-6 if dtype == np.float32 else 1e-12)


# Batches and unequal lengths


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("transform", [{}, {"time_aug": True}, {"time_aug": True, "lead_lag": True}])
def test_every_path_has_its_own_times(rng: np.random.Generator, function: Any, transform: dict[str, Any]) -> None:
    lengths = [20, 1, 33, 0, 20]
    times = [random_times(rng, n) for n in lengths]
    paths = [random_paths(rng, n, 2) for n in lengths]
    alone = [function(path, 3, 2.0, 0.7, times=time, **transform) for path, time in zip(paths, times, strict=True)]
    found = function(paths, 3, 2.0, 0.7, times=times, **transform)
    assert isinstance(found, list) and [len(part) for part in found] == [len(part) for part in alone]
    padded, moments = np.full((5, 40, 2), np.nan), np.full((5, 40), np.nan)
    for i, n in enumerate(lengths):
        padded[i, :n], moments[i, :n] = paths[i], times[i]
    stacked = function(padded, 3, 2.0, 0.7, times=moments, lengths=lengths, **transform)
    assert stacked.shape[1] == max(map(len, alone))
    for mine, row, expected in zip(found, stacked, alone, strict=True):
        assert_close(mine, expected, 1e-12)
        assert_close(row[: len(expected)], expected, 1e-12)
        assert not row[len(expected) :].any()
    span = (0.0, 9.0)
    equal = function(padded[[0, 4], :20], 3, 2.0, 0.7, times=moments[[0, 4], :20], span=span, **transform)
    assert_close(equal[1], function(paths[4], 3, 2.0, 0.7, times=times[4], span=span, **transform), 1e-12)


def test_padded_paths_may_share_their_times(rng: np.random.Generator) -> None:
    times, paths = random_times(rng, 12), random_paths(rng, 3, 12, 2)
    out = siglib.sig_windows(paths, 2, 5.0, times=times, lengths=[12, 8, 2], span=(times[0], 10.0))
    for row, path, n in zip(out, paths, [12, 8, 2], strict=True):
        assert_close(row, siglib.sig_windows(path[:n], 2, 5.0, times=times[:n], span=(times[0], 10.0)), 1e-12)


@pytest.mark.parametrize(("batch", "shared"), [(1, True), (3, False), (12, True)])
@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 1), (2, 4), (3, 2), (40, 2)])
@pytest.mark.parametrize(("window", "stride"), [(0.2, 0.3), (0.7, 0.7), (1.5, 0.3)])
def test_many_uneven_windows(
    dtype: np.dtype,
    rng: np.random.Generator,
    batch: int,
    shared: bool,
    dimension: int,
    degree: int,
    window: float,
    stride: float,
) -> None:
    """Side by side, whatever they have in common: they may be computed as paths of their own."""
    times, paths = random_times(rng, batch, 150), random_paths(rng, batch, 150, dimension, dtype=dtype)
    options = {"window": window, "stride": stride, "times": times[0] if shared else times, "span": (-3.0, 18.0)}
    out = siglib.sig_windows(paths, degree, scalar_term=True, **options)
    derivs = rng.standard_normal(out.shape).astype(dtype)
    gradient = siglib.sig_windows_backprop(paths, derivs, degree, **options)
    expected, expected_gradient = np.zeros(out.shape), np.zeros(paths.shape)
    for b in range(batch):
        rows = zip(*siglib.window_bounds(times[0 if shared else b], window, stride, span=(-3.0, 18.0)), strict=True)
        for k, (i, j) in enumerate(rows):
            piece, given_derivs = paths[b, i:j].astype(float), derivs[b, k, 1:].astype(float)
            expected[b, k] = siglib.sig(piece, degree, scalar_term=True)
            expected_gradient[b, i:j] += siglib.sig_backprop(piece, expected[b, k, 1:], given_derivs, degree)
    assert_close(out, expected, 2e-5 if dtype == np.float32 else 1e-12)
    assert_close(gradient, expected_gradient, 1e-3 if dtype == np.float32 else 1e-11)
    for n_jobs in (2, 3):
        assert_same_bits(siglib.sig_windows(paths, degree, scalar_term=True, n_jobs=n_jobs, **options), out)
        assert_same_bits(siglib.sig_windows_backprop(paths, derivs, degree, n_jobs=n_jobs, **options), gradient)
    # NaN stays in the windows that see it, and with their points.
    paths[0, 20] = np.nan
    first, stop = siglib.window_bounds(times[0], window, stride, span=(-3.0, 18.0))
    sees = (first <= 20) & (stop > 20) & (stop > first + 1)
    affected = siglib.sig_windows(paths, degree, scalar_term=True, **options)[0]
    assert np.isnan(affected[sees, 1:]).any(axis=1).all()
    assert_close(affected[~sees], expected[0][~sees], 2e-5 if dtype == np.float32 else 1e-12)
    gradient = siglib.sig_windows_backprop(paths, derivs, degree, **options)[0]
    untouched = [not any(i <= at < j for i, j in zip(first[sees], stop[sees], strict=True)) for at in range(150)]
    assert_close(gradient[untouched], expected_gradient[0][untouched], 1e-3 if dtype == np.float32 else 1e-11)


# Gradients


@pytest.mark.parametrize(
    "transform", [{}, {"time_aug": True}, {"lead_lag": True}, {"time_aug": True, "lead_lag": True}]
)
def test_gradient_is_that_of_the_slices(dtype: np.dtype, rng: np.random.Generator, transform: dict[str, Any]) -> None:
    lengths = [14, 2, 9]
    times = [random_times(rng, n) for n in lengths]
    paths = [random_paths(rng, n, 2, dtype=dtype) for n in lengths]
    options = {"window": 3.0, "stride": 0.8, **transform}
    out = siglib.sig_windows(paths, 3, times=times, scalar_term=True, **options)
    derivs = [rng.standard_normal(part.shape).astype(dtype) for part in out]
    found = siglib.sig_windows_backprop(paths, derivs, 3, times=times, **options)
    for path, time, given_derivs, gradient in zip(paths, times, derivs, found, strict=True):
        assert gradient.dtype == dtype
        h, expected = 1e-5, np.zeros(path.shape)
        for at in np.ndindex(path.shape):
            nearby = path.astype(float), path.astype(float)
            nearby[0][at] += h
            nearby[1][at] -= h
            up, down = (siglib.sig_windows(p, 3, times=time, scalar_term=True, **options) for p in nearby)
            expected[at] = ((up - down) * given_derivs).sum() / (2 * h)
        assert_close(gradient, expected, 1e-3 if dtype == np.float32 else 1e-7)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("transform", [{}, {"time_aug": True, "lead_lag": True}])
def test_gradients_in_torch(rng: np.random.Generator, function: Any, transform: dict[str, Any]) -> None:
    torch = optional("torch")
    times = torch.from_numpy(random_times(rng, 2, 7))
    paths = torch.from_numpy(random_paths(rng, 2, 7, 2)).requires_grad_()
    options = {"window": 6.0, "stride": 2.5, **transform}
    assert torch.autograd.gradcheck(lambda path: function(path, 2, times=times, **options), (paths,))
    parts = [paths[0], paths[1, :4]]
    assert torch.autograd.gradcheck(
        lambda *parts: tuple(function(list(parts), 2, times=[times[0], times[1, :4]], **options)), parts
    )


def test_times_have_no_gradient() -> None:
    torch = optional("torch")
    times = torch.arange(4.0).requires_grad_()
    with pytest.raises(TypeError, match=r"times requires a gradient, and there is none with respect to it: pass times"):
        siglib.sig_windows(torch.zeros(4, 2), 2, 1.0, times=times)
    assert siglib.sig_windows(torch.zeros(4, 2), 2, 1.0, times=times.detach()).shape == (3, 6)


def test_nested_tensors_and_packed_sequences(rng: np.random.Generator) -> None:
    torch = optional("torch")
    paths = [torch.from_numpy(random_paths(rng, n, 2)).requires_grad_() for n in (5, 9)]
    times = [torch.from_numpy(random_times(rng, n)) for n in (5, 9)]
    alone = [siglib.sig_windows(path, 2, 3.0, times=time) for path, time in zip(paths, times, strict=True)]
    nested = torch.nested.as_nested_tensor(paths, layout=torch.jagged)
    packed = torch.nn.utils.rnn.pack_sequence(paths, enforce_sorted=False)
    for found in (
        siglib.sig_windows(nested, 2, 3.0, times=torch.nested.as_nested_tensor(times, layout=torch.jagged)),
        siglib.sig_windows(packed, 2, 3.0, times=times),
    ):
        for mine, expected in zip(found, alone, strict=False):
            assert_close(mine[: len(expected)], expected.detach().numpy(), 1e-12)
            mine.sum().backward(retain_graph=True)
    assert all(path.grad is not None for path in paths)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_the_compiler_leaves_windows_in_time_to_python(rng: np.random.Generator) -> None:
    torch = optional("torch")
    times, path = random_times(rng, 9), torch.from_numpy(random_paths(rng, 9, 2)).requires_grad_()

    def f(path: Any) -> Any:
        return (2 * siglib.sig_windows(2 * path, 2, 3.0, times=times)).sum()

    compiled = torch.compile(f, backend="eager")
    assert_close(compiled(path), f(path).detach(), 1e-12)
    (gradient,) = torch.autograd.grad(compiled(path), path)
    assert_close(gradient, torch.autograd.grad(f(path), path)[0], 1e-12)


def test_on_a_gpu(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    """As on the CPU: for each path, for unequal lengths, and gradients."""
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    times, paths = random_times(rng, 3, 15), random_paths(rng, 3, 15, 2, dtype=dtype)
    for options in ({}, {"time_aug": True}):
        options = {"window": 3.0, "stride": 1.0, "times": times, **options}
        expected = siglib.sig_windows(paths, 3, **options)
        assert_close(gpu.numpy(siglib.sig_windows(gpu.array(paths), 3, **options)), expected, tolerance)
        derivs = rng.standard_normal(expected.shape).astype(dtype)
        assert_close(
            gpu.numpy(siglib.sig_windows_backprop(gpu.array(paths), gpu.array(derivs), 3, **options)),
            siglib.sig_windows_backprop(paths, derivs, 3, **options),
            tolerance,
        )
    parts, moments = [paths[0], paths[1, :6]], [times[0], times[1, :6]]
    found = siglib.log_sig_windows([gpu.array(part) for part in parts], 2, 3.0, times=moments)
    for mine, expected in zip(found, siglib.log_sig_windows(parts, 2, 3.0, times=moments), strict=True):
        assert_close(gpu.numpy(mine), expected, tolerance)


# Refusals


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"times": [0.0, 2.0, 1.0, 3.0]}, ValueError, "times must not decrease, got 1.0 after 2.0 at index 2"),
        ({"times": [0.0, np.nan, 1.0, 3.0]}, ValueError, "times must be finite, got nan at index 1"),
        ({"times": [0.0, 1.0, 2.0, np.inf]}, ValueError, "times must be finite, got inf at index 3"),
        ({"times": [0.0, 1.0, 2.0]}, ValueError, r"times must have shape \(4,\), a time for each point"),
        ({"times": [[0.0, 1.0, 2.0, 3.0]]}, ValueError, r"times must have shape \(4,\)"),
        ({"times": 3.0}, ValueError, r"times must have shape \(..., length\)"),
        ({"times": ["a", "b", "c", "d"]}, TypeError, "times must hold real numbers of at most 64 bits, or datetimes"),
        ({"times": [0, 1, 2, 2**62]}, ValueError, r"times must be from -2\*\*61 to 2\*\*61 where they are integers"),
        ({"times": [True, True, True, True]}, TypeError, "times must hold real numbers"),
        ({"times": np.arange(4).astype("M8[D]")}, TypeError, "window must be a timedelta, as times are datetimes"),
        ({"window": np.timedelta64(1, "D")}, TypeError, "window must be a real number, as times are"),
        ({"times": np.arange(4), "window": np.timedelta64(1, "D")}, TypeError, "window must be a real number"),
        ({"window": 0.0}, ValueError, "window must be a duration above 0, got 0.0"),
        ({"window": -1}, ValueError, "window must be a duration above 0, got -1"),
        ({"window": np.inf}, ValueError, "window must be finite, got inf"),
        ({"window": "1"}, TypeError, "window must be a real number"),
        ({"stride": np.nan}, ValueError, "stride must be finite, got nan"),
        ({"stride": 1e-13}, MemoryError, "GiB"),
        ({"span": 3.0}, TypeError, r"span must be a pair of moments \(start, stop\), got 3.0"),
        ({"span": (0.0, "end")}, TypeError, "the stop of span must be a real number"),
        ({"span": (0.0, np.nan)}, ValueError, "the stop of span must be finite"),
        ({"times": None, "span": (0, 1)}, ValueError, "span goes with times"),
        ({"time_aug": True, "end_time": 2.0}, ValueError, "times say when a path ends: leave out end_time, got 2.0"),
        ({"starts": [0], "ends": [1]}, ValueError, "give either times, or starts and ends"),
    ],
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_refusals(function: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    options = {"window": 1.0, "times": np.arange(4.0), **options}
    with pytest.raises(error, match=message):
        function(np.zeros((4, 2)), 2, **options)


def test_refusals_of_several_paths() -> None:
    paths, times = np.zeros((2, 3, 2)), [[0, 1, 2], [2, 3, 1]]
    with pytest.raises(ValueError, match="times must not decrease, got 1 after 3 at index 2 of path 1"):
        siglib.sig_windows(paths, 2, 1, times=times)
    for wrong in ([[0.0, 1.0]], [[0.0, 1.0], [0.0]], np.zeros((3, 3)), np.zeros((2, 4))):
        with pytest.raises(ValueError, match=r"times must have shape \(3,\) or \(2, 3\), a time for each point"):
            siglib.sig_windows(paths, 2, 1, times=wrong)
    ragged = [np.zeros((3, 2)), np.zeros((5, 2))]
    for wrong in ([0.0, 1.0, 2.0], np.zeros((2, 5)), [[0.0, 1.0, 2.0], [0.0]], [[0.0, 1.0, 2.0]]):
        with pytest.raises(ValueError, match="times must hold an array for each of 2 paths, as long as the path"):
            siglib.sig_windows(ragged, 2, 1.0, times=wrong)
    with pytest.raises(TypeError, match="times must hold numbers or datetimes, not both"):
        siglib.window_bounds([np.zeros(2), np.zeros(3, "M8[D]")], 1.0)
    with pytest.raises(TypeError, match="times must be real numbers to be added to a path by time_aug"):
        dates = np.arange(3).astype("M8[D]")
        siglib.sig_windows(paths, 2, np.timedelta64(1, "D"), times=dates, time_aug=True)
    with pytest.raises(TypeError, match="window must be an integer, got 1.5"):
        siglib.sig_windows(paths, 2, 1.5)
    with pytest.raises(ValueError, match="sig_derivs must hold an array for each of 2 paths, got 1"):
        siglib.sig_windows_backprop(ragged, [np.zeros((1, 6))], 2, 1.0, times=[[0, 1, 2], [0, 1, 2, 3, 4]])
