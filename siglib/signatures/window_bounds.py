"""Windows in time: which points of a path lie in each.

All paths of a call together, without a loop over windows.
"""

from typing import Any, NamedTuple

import numpy as np

from .._call.cpu_backends import numpy_backend
from .._call.times import are_datetimes, as_duration, as_moment, check_order, in_one_unit, times_of_paths

# Whole numbers up to here are exact in float64.
_EXACT = 2**53
# By how much of itself a window may miss a whole number of strides because of rounding.
_ROUNDING = 4 * np.finfo(np.float64).eps


class Slices(NamedTuple):
    """Windows of n paths as slices of points: `first` and `stop` of shape (n, most windows of a path)."""

    first: np.ndarray
    stop: np.ndarray
    counts: np.ndarray  # windows of each path; behind them are windows without points, at its end


def time_slices(times: np.ndarray, lengths: np.ndarray, window: Any, stride: Any, span: Any) -> Slices:
    """The windows of paths with so many points each, whose times stand one behind another."""
    window = as_duration("window", window, times)
    stride = window if stride is None else as_duration("stride", stride, times)
    start, end = _pair(span)
    begin, finish = _spans(times, lengths, start, end)
    if are_datetimes(times):
        names = ("times", "the start of span", "the stop of span", "window", "stride")
        values = dict(zip(names, (times, begin, finish, window, stride), strict=True))
        times, begin, finish, window, stride = in_one_unit(**values)
        _check_sums(begin, finish, window, stride)
    counts, ends_at = _counts(begin, finish, window, stride)
    if start is None or end is None:
        counts[lengths == 0] = 0
    most = int(counts.max(initial=0))
    # Refuses what does not fit into memory: bounds, points, and what they are found with.
    numpy_backend(np.dtype(np.float64)).empty((len(lengths), most, 16))
    k = np.arange(most)
    first = _searched(times, lengths, begin[:, None] + k * stride)
    stop = _searched(times, lengths, ends_at(begin[:, None], k))
    missing = k >= counts[:, None]
    for points in (first, stop):
        np.copyto(points, lengths[:, None], where=missing)
    return Slices(first, stop, counts)


def _check_sums(begin: np.ndarray, finish: np.ndarray, window: np.timedelta64, stride: np.timedelta64) -> None:
    """ValueError unless sums of datetimes and durations fit into 64 bits."""
    if not len(begin):
        return
    first, last = int(begin.min().astype(np.int64)), int(finish.max().astype(np.int64))
    added = int(window.astype(np.int64)) + 2 * int(stride.astype(np.int64))
    if max(abs(first), abs(last), last - first) + added >= 2**63:
        raise ValueError(
            f"windows of {window} from {begin.min()} to {finish.max()} do not fit into 64 bits: give times, window and "
            "stride in coarser units"
        )


def _pair(span: Any) -> tuple[Any, Any]:
    if span is None:
        return None, None
    try:
        start, stop = span
    except (TypeError, ValueError):
        raise TypeError(f"span must be a pair of moments (start, stop), got {span!r}") from None
    return start, stop


def _spans(times: np.ndarray, lengths: np.ndarray, start: Any, stop: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where the windows of each path begin, and where they end at the latest."""
    ends = np.cumsum(lengths)
    found = []
    for name, moment, at in (("start", start, ends - lengths), ("stop", stop, ends - 1)):
        if moment is not None:
            found.append(np.full(len(lengths), as_moment(f"the {name} of span", moment, times)))
        elif len(times):
            found.append(times[np.clip(at, 0, len(times) - 1)])
        else:
            found.append(np.zeros(len(lengths), times.dtype))
    return found[0], found[1]


def _counts(begin: np.ndarray, finish: np.ndarray, window: Any, stride: Any) -> tuple[np.ndarray, Any]:
    """How many windows there are of each path, and the function that tells where they end.

    Bounds are computed one by one, not step by step, and the end of a window is the start of another one, to the last
    bit, wherever it is on paper.
    """
    m = 0
    if isinstance(window, float) or isinstance(stride, float):
        strides = float(window) / float(stride)
        m = round(strides) if strides < _EXACT else 0
        m *= abs(m * stride - window) <= _ROUNDING * window

    def ends_at(begin: np.ndarray, k: Any) -> np.ndarray:
        return begin + (k + m) * stride if m else begin + k * stride + window

    with np.errstate(all="ignore"):
        room = finish - begin - window
        quotient = room / stride
        counts = np.clip(np.floor(quotient), 0, 2.0**62).astype(np.int64)
    # Rounding may be in the way of the last one.
    for _ in range(2):
        counts += ends_at(begin, counts) <= finish
    return counts, ends_at


def _searched(times: np.ndarray, lengths: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """For moments (n, m) the number of points of each of n paths that come before."""
    if len(lengths) == 1:
        return times.searchsorted(moments[0])[None]
    offsets = np.cumsum(lengths) - lengths
    numbers = _as_floats(times, moments)
    if numbers is None:
        found = [times[i : i + n].searchsorted(row) for i, n, row in zip(offsets, lengths, moments, strict=True)]
        return np.array(found, np.int64).reshape(moments.shape)
    # Complex numbers are sorted by their real parts first: those are the paths.
    paths = np.arange(len(lengths))
    points, wanted = np.empty(len(times), complex), np.empty(moments.shape, complex)
    points.real, points.imag = np.repeat(paths, lengths), numbers[0]
    wanted.real, wanted.imag = paths[:, None], numbers[1]
    return points.searchsorted(wanted.ravel()).reshape(moments.shape) - offsets[:, None]


def _as_floats(times: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Both as float64 in the same order, if it can hold them."""
    dtype = np.result_type(times, moments)
    if dtype.kind == "f":
        return times, moments
    numbers = [array.astype(dtype).view(np.int64) for array in (times, moments)]
    extremes = [int(extreme) for array in numbers if array.size for extreme in (array.min(), array.max())]
    lowest = min(extremes, default=0)
    if max(extremes, default=0) - lowest > _EXACT:
        return None
    return (numbers[0] - lowest).astype(np.float64), (numbers[1] - lowest).astype(np.float64)


def window_bounds(times: Any, window: Any, stride: Any = None, *, span: Any = None) -> tuple[Any, Any]:
    """Which points lie in windows of some duration: what `sig_windows` makes of `times`.

    Window k is the time from ``start + k * stride`` up to, but not including, ``start + k * stride + window``, where
    `start` is the first of the times. There are as many windows as lie within the data, up to the last time.

    Parameters
    ----------
    times : array of shape (length,) or (..., length), or sequence of arrays of shape (length,)
        When the points are, of one path, of a batch, or of paths of unequal lengths: real numbers or datetimes, none
        less than the one before.
    window : float
        How long a window is; a timedelta, if times are datetimes.
    stride : float, default None
        Time from the start of one window to the start of the next; None takes `window`.
    span : (start, stop), default None
        Moments where the first window starts, and where the last one must have ended; None in place of one is the first
        or the last time of the path.

    Returns
    -------
    first, stop : arrays of integers of shape (..., n_windows), or lists of arrays
        Window k has the points ``first[k]``, ..., ``stop[k] - 1``; none, if the two are equal. In a batch, paths with
        fewer windows than others have windows without points behind them, at their end.

    Raises
    ------
    TypeError
        If times, durations or moments are neither real numbers nor datetimes.
    ValueError
        If times decrease or are not finite, or a duration is not above 0.

    Notes
    -----
    Bounds are compared exactly with times, as float64 or, where all of them are whole numbers or datetimes, as these: a
    time that is on a bound but for rounding may be on either side. Bounds are not added up. If the window is a whole
    number m of strides, up to rounding, the end of one window is the start of the m-th behind it, to the last bit.

    Examples
    --------
    >>> import siglib
    >>> siglib.window_bounds([0.0, 0.5, 0.7, 2.2, 3.0], window=1.0)
    (array([0, 3, 3]), array([3, 3, 4]))
    """
    found = times_of_paths("times", times)
    check_order("times", found.moments, found.lengths)
    slices = time_slices(found.moments, found.lengths, window, stride, span)
    if found.batch is None:
        first, stop = ([row[:n] for row, n in zip(at, slices.counts, strict=True)] for at in slices[:2])
        return first, stop
    shape = (*found.batch, slices.first.shape[1])
    return slices.first.reshape(shape), slices.stop.reshape(shape)
