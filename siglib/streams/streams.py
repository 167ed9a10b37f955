"""Streams: signatures of a path that arrives point by point.

Expanding streams answer for any interval of what came so far; window streams give the signature of every full window.
Both only copy points when they arrive, and compute when they are asked. Threads may share a stream: whatever it
remembers is read and changed with the lock of its points, and loops run on what was taken with it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._call.libraries import Array, library_of, namespace_of
from .._call.options import as_bool, as_int, as_n_jobs, as_n_threads
from .._call.tracing import left_to_python
from .._tables.locks import release
from ..log_signatures.log_sig import log_sig_length
from ..log_signatures.logarithm import sig_to_log_sig
from ..log_signatures.parts import straight
from ..signatures.combine import sig_combine
from ..signatures.sig import sig_length
from ..signatures.windows import sig_windows
from .growing_path import OfPoints, Points, copy_of
from .interval_table import Intervals
from .intervals import as_point

# How many points of the past are dropped at a time, at least.
_DROP = 1024
# With more points than this, window streams compute what is complete.
_MANY = 8192
# Less than any checkpoint.
_LEAST = -(2**63)


def _as_stream_method(method: Any, allowed: tuple[int, ...]) -> int:
    method = as_int("method", method, 0)
    if method not in allowed:
        raise ValueError(f"method must be one of {allowed}, got {method}")
    return method


class _Stream(OfPoints):
    """Options that all streams share."""

    _scalar_term = False
    _method: int | None = None
    _double = False

    def __init__(self, dimension: int, degree: int, n_jobs: int) -> None:
        self._dimension = as_int("dimension", dimension, 1)
        self._degree = as_int("degree", degree, 0)
        sig_length(self._dimension, self._degree)
        self._n_jobs = as_n_jobs(n_jobs)
        as_n_threads(self._n_jobs)
        self._points = Points(self._dimension, self._double)

    @property
    def batch_shape(self) -> tuple[int, ...] | None:
        """Batch axes of the points; None before the first one came."""
        return self._points.batch

    def _result(self, sig: Array, n_points: np.ndarray) -> Array:
        """What the caller wants of signatures (n, ...) of pieces of so many points."""
        return self._points.on.result(self._values(sig, n_points))

    def _values(self, sig: Array, n_points: np.ndarray) -> Array:
        """The same in the dtype that we compute in."""
        if self._method is not None:
            # Methods 2 and 3 are two ways to the same coordinates.
            method = 2 if self._method == 3 else self._method
            sig = sig_to_log_sig(sig, self._dimension, self._degree, method=method, n_jobs=self._n_jobs)
            sig = straight(sig, self._dimension, (n_points <= 2).reshape(-1, *(1,) * (sig.ndim - 2)))
        return sig


class SigStream(_Stream):
    """Signatures of any interval of a path that arrives point by point.

    Every `push` and every `push_batch` makes a *checkpoint*, and intervals are those between checkpoints: pieces of the
    path from the point of one to the point of another. Checkpoints are counted from 0 and keep their numbers when older
    ones are dropped.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Truncation level, at least 0.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    See Also
    --------
    IntervalSignature : the same for a path that is known, with points for indices.

    Notes
    -----
    To push is to copy the points. A query is a few products of stored signatures, with no inverse in them: as exact for
    the last points of a long stream as for the first, in float32 too. Points that are not finite have an effect on the
    intervals that contain them, and on no others.

    Streams can be pickled and copied, and threads may share one: queries run side by side, while others push and pop.

    For PyTorch, gradients reach every pushed point that requires one. Then all points are kept.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.SigStream(2, 2)
    >>> for point in ([0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]):
    ...     stream.push(point)
    >>> stream.sig(0, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    >>> stream.sig(1, 3)
    array([-1. ,  1. ,  0.5,  0. , -1. ,  0.5])
    """

    def __init__(self, dimension: int, degree: int, *, scalar_term: bool = False, n_jobs: int = 1) -> None:
        super().__init__(dimension, degree, n_jobs)
        self._scalar_term = as_bool("scalar_term", scalar_term)
        self._intervals = Intervals(self._points, self._degree, self._n_jobs)
        self._at: list[int] = []  # the points of the checkpoints, those that were dropped included
        self._first = 0  # of _at: the oldest checkpoint
        self._start = 0  # its number
        self._offset = 0  # how many points were dropped
        self._before: Any = None  # the signature of what was dropped

    @property
    def size(self) -> int:
        """Number of checkpoints."""
        with self._points.lock:
            return len(self._at) - self._first

    @property
    def start_index(self) -> int:
        """Number of the oldest checkpoint."""
        return self._start

    @property
    def end_index(self) -> int:
        """Number of the newest checkpoint; `start_index` - 1 if there is none."""
        with self._points.lock:
            return self._start + self.size - 1

    @left_to_python
    def push(self, point: Array) -> None:
        """Add one point, of shape (..., dimension); it is copied. TypeError or ValueError if it does not go with the
        ones before."""
        points = self._points
        lock = points.lock
        # In half the time of `with`.
        try:
            lock.acquire()
            self._at.append(self._offset + points.push(point))
        except BaseException:
            release(lock)
            raise
        lock.release()

    @left_to_python
    def push_batch(self, points: Array, *, checkpoints: bool = False) -> None:
        """Add points, of shape (..., n, dimension); they are copied.

        They make one checkpoint, at the last of them, and one more at the first if the stream was empty. With
        `checkpoints=True` each of them makes one.
        """
        checkpoints = as_bool("checkpoints", checkpoints)
        with self._points.lock:
            before = self._points.n
            self._points.extend(points)
            last = self._offset + self._points.n - 1
            if checkpoints:
                self._at.extend(range(self._offset + before, last + 1))
            elif self._points.n > before:
                if before == 0:
                    self._at.append(last if self._points.n == 1 else self._offset)
                if self._points.n - before > (before == 0):
                    self._at.append(last)

    @left_to_python
    def sig(self, start: int, end: int) -> Array:
        """Signature of the path between two checkpoints, both counted; backwards if `start` is behind `end`.

        IndexError if they are not between `start_index` and `end_index`.
        """
        return self.sig_batch([(start, end)])[0]

    @left_to_python
    def sig_batch(self, intervals: Sequence[tuple[int, int]]) -> Array:
        """Signatures of many intervals (start, end), stacked along a new first axis. ValueError if there is none."""
        self._points.refuse_traced()
        if isinstance(intervals, np.ndarray) and intervals.dtype.kind in "iu" and intervals.shape[1:] == (2,):
            pairs: Any = intervals.astype(np.int64)
        else:
            pairs = [(as_int("start", s, _LEAST), as_int("end", e, _LEAST)) for s, e in intervals]
        if len(pairs) == 0:
            raise ValueError("intervals must hold at least one pair (start, end)")
        with self._points.lock:
            points = self._points_of(pairs)
            starts, ends = points[:, 0], points[:, 1]
            ready = self._intervals.ready(starts, ends)
        sig = self._intervals.unrounded(ready, starts, ends, self._scalar_term)
        return self._result(sig, np.abs(ends - starts) + 1)

    def _points_of(self, pairs: Any) -> np.ndarray:
        """The points of pairs of checkpoints, an array of two columns or a list. IndexError if there are none such."""
        start, stop = self._start, self.end_index + 1
        to_place = self._first - start
        if isinstance(pairs, np.ndarray):
            wrong = np.argwhere((pairs < start) | (pairs >= stop))
            if len(wrong):
                as_point(("start", "end")[wrong[0][1]], int(pairs[tuple(wrong[0])]), start, stop)
        else:
            for s, e in pairs:
                if not (start <= s < stop and start <= e < stop):
                    as_point("start", s, start, stop)
                    as_point("end", e, start, stop)
            if len(pairs) <= 8:
                at, offset = self._at, self._offset
                return np.array([(at[s + to_place] - offset, at[e + to_place] - offset) for s, e in pairs])
        return np.array(self._at, np.int64)[np.asarray(pairs) + to_place] - self._offset

    @left_to_python
    def sig_all(self, *, rebase: bool = False) -> Array:
        """Signatures from the first point to every checkpoint, stacked along a new first axis.

        The first point is that of the stream, also if its checkpoint was dropped; with `rebase=True` it is the oldest
        checkpoint. ValueError if the stream is empty.
        """
        rebase = as_bool("rebase", rebase)
        self._points.refuse_traced()
        with self._points.lock:
            if self.size == 0:
                raise ValueError("the stream is empty")
            ends = np.array(self._at[self._first :], np.int64) - self._offset
            starts = np.full_like(ends, ends[0] if rebase else 0)
            ready, before, dropped = self._intervals.ready(starts, ends), self._before, self._offset
        sig = self._intervals.unrounded(ready, starts, ends, self._scalar_term)
        n_points = ends - starts + 1
        if before is not None and not rebase:
            before = namespace_of(sig).broadcast_to(before, sig.shape)
            sig = sig_combine(before, sig, self._dimension, self._degree, n_jobs=self._n_jobs)
            n_points = n_points + dropped
        return self._result(sig, n_points)

    @left_to_python
    def pop_front(self) -> None:
        """Drop the oldest checkpoint. ValueError unless there are two."""
        with self._points.lock:
            if self.size < 2:
                raise ValueError(f"pop_front needs at least two checkpoints, got {self.size}")
            self._first += 1
            self._start += 1
            n = self._at[self._first] - self._offset
            if n >= max(_DROP, self._points.n // 2) and self._points.pieces is None:
                self._drop(n)

    def _drop(self, n: int) -> None:
        """Forget the first n points, but for the signature of the path up to the next one."""
        start, end = np.array([0]), np.array([n])
        past = self._intervals.values(self._intervals.ready(start, end), start, end, self._scalar_term)[0]
        if self._before is not None:
            past = sig_combine(self._before, past, self._dimension, self._degree)
        self._before = past
        self._points.drop(n)
        self._intervals.clear()
        self._offset += n
        del self._at[: self._first]
        self._first = 0


class LogSigStream(SigStream):
    """Log-signatures of any interval of a path that arrives point by point.

    The same as `SigStream`, with log-signatures for results: coordinates in the Lyndon basis. They are computed in
    float64, and rounded at the end to the dtype of the points.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Truncation level, at least 0.
    method : {2, 3}, default 2
        Both give the same.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.LogSigStream(2, 2)
    >>> stream.push_batch([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], checkpoints=True)
    >>> stream.sig(0, 2)
    array([1. , 1. , 0.5])
    """

    _double = True

    def __init__(self, dimension: int, degree: int, *, method: int = 2, n_jobs: int = 1) -> None:
        super().__init__(dimension, degree, n_jobs=n_jobs)
        self._method = _as_stream_method(method, (2, 3))
        log_sig_length(self._dimension, self._degree)


class SigWindowStream(_Stream):
    """Signatures of sliding windows of a path that arrives point by point.

    Window k has the points ``k * stride, ..., k * stride + window_size - 1`` of all that were ever pushed.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Truncation level, at least 0.
    window_size : int
        Number of points of a window, at least 1.
    stride : int, default 1
        Number of points from the start of one window to the next, at least 1; it may be more than `window_size`.
        Segments between windows are left out unless it is less.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    See Also
    --------
    sig_windows : the same for a path that is known.

    Notes
    -----
    Streams can be pickled and copied, and threads may share one.

    For PyTorch, gradients reach every pushed point that requires one. Then all points are kept, and `sig` computes all
    windows anew; otherwise every window is computed once.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.SigWindowStream(2, 2, 3)
    >>> stream.push_batch([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> stream.push([0.0, 1.0])
    >>> stream.num_windows
    2
    >>> stream.sig()
    array([[ 1. ,  1. ,  0.5,  1. ,  0. ,  0.5],
           [-1. ,  1. ,  0.5,  0. , -1. ,  0.5]])
    """

    def __init__(
        self,
        dimension: int,
        degree: int,
        window_size: int,
        *,
        stride: int = 1,
        scalar_term: bool = False,
        n_jobs: int = 1,
    ) -> None:
        super().__init__(dimension, degree, n_jobs)
        self._window = as_int("window_size", window_size, 1)
        self._stride = as_int("stride", stride, 1)
        self._scalar_term = as_bool("scalar_term", scalar_term)
        self._offset = 0  # how many points were dropped
        self._done: list[Any] = []  # windows as they were computed
        self._n_done = 0

    @property
    def num_windows(self) -> int:
        """Number of windows that are complete."""
        with self._points.lock:
            n = self._offset + self._points.n
        return (n - self._window) // self._stride + 1 if n >= self._window else 0

    @left_to_python
    def push(self, point: Array) -> None:
        """Add one point, of shape (..., dimension); it is copied. TypeError or ValueError if it does not go with the
        ones before."""
        points = self._points
        lock = points.lock
        try:
            lock.acquire()
            if points.push(point) >= _MANY:
                self._compute()
        except BaseException:
            release(lock)
            raise
        lock.release()

    @left_to_python
    def push_batch(self, points: Array) -> None:
        """Add points, of shape (..., n, dimension); they are copied."""
        with self._points.lock:
            self._points.extend(points)
            if self._points.n > _MANY:
                self._compute()

    @left_to_python
    def sig(self) -> Array:
        """All windows so far, stacked along a new first axis. ValueError if there is none."""
        self._points.refuse_traced()
        with self._points.lock:
            n = self.num_windows
            if n == 0:
                raise ValueError(f"no window is complete: it takes {self._window} points, got {self._points.n}")
            watched = self._points.watched()
            if watched is None:
                self._compute()
                self._done = [_joined(self._done)]
            done, starts = self._done.copy(), np.arange(self._n_done, n) * self._stride - self._offset
        if watched is None:
            # What was handed out may be changed.
            return copy_of(done[0])
        return _joined([*done, self._result(self._windows(watched, starts), np.full(len(starts), self._window))])

    def _windows(self, path: Array, starts: np.ndarray) -> Array:
        out = sig_windows(
            path,
            self._degree,
            starts=starts,
            ends=starts + self._window,
            scalar_term=self._scalar_term,
            n_jobs=self._n_jobs,
        )
        xp = namespace_of(out)
        out = xp.moveaxis(out, -2, 0)
        return out if library_of(out) == "torch" else xp.ascontiguousarray(out)

    def _compute(self) -> None:
        """Windows that are complete by now; points that no later one needs are dropped."""
        n = self.num_windows
        if n == self._n_done or self._points.pieces is not None:
            return
        sig = self._windows(self._points.path(), np.arange(self._n_done, n) * self._stride - self._offset)
        self._done.append(self._result(self._points.on.given(sig), np.full(n - self._n_done, self._window)))
        self._n_done = n
        unused = min(n * self._stride - self._offset, self._points.n)
        if unused > 0:
            self._points.drop(unused)
            self._offset += unused


class LogSigWindowStream(SigWindowStream):
    """Log-signatures of sliding windows of a path that arrives point by point.

    The same as `SigWindowStream`, with log-signatures for results. They are computed in float64, and rounded at the end
    to the dtype of the points.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Truncation level, at least 0.
    window_size : int
        Number of points of a window, at least 1.
    stride : int, default 1
        Number of points from the start of one window to the next, at least 1; it may be more than `window_size`.
    method : {2, 3, 1, 0}, default 2
        In which coordinates, see `sig_to_log_sig`; 3 gives what 2 gives.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.LogSigWindowStream(2, 2, 3)
    >>> stream.push_batch([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> stream.sig()
    array([[ 1. ,  1. ,  0.5],
           [-1. ,  1. ,  0.5]])
    """

    _double = True

    def __init__(
        self, dimension: int, degree: int, window_size: int, *, stride: int = 1, method: int = 2, n_jobs: int = 1
    ) -> None:
        super().__init__(dimension, degree, window_size, stride=stride, n_jobs=n_jobs)
        self._method = _as_stream_method(method, (0, 1, 2, 3))
        if self._method:
            log_sig_length(self._dimension, self._degree)


def _joined(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else namespace_of(parts[0]).concatenate(parts)
