"""A path that grows, and the signatures of its intervals, from products of stored pieces."""

from typing import Any

import numpy as np

from .._call.indices import host_indices
from .._call.libraries import Array
from .._call.options import as_bool, as_int, as_n_jobs, as_n_threads
from .._call.tracing import left_to_python
from ..log_signatures.logarithm import sig_to_log_sig
from ..log_signatures.parts import as_method, needs_double, straight
from .growing_path import OfPoints, Points
from .growing_times import GrowingTimes
from .interval_table import Intervals


class IntervalSignature(OfPoints):
    """A path whose signature can be asked for on any interval, as often as you like, while the path grows.

    What is asked for again and again is computed once: a query takes a few products, however long the interval. It uses
    no inverse, so short intervals of very long paths are exact, in float32 as well, and numbers that are not finite
    stay in the intervals that contain them. To append a point is to copy it; the rest is done when it is needed.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The first points of one path or of a batch of them. They are copied.
    degree : int
        Truncation level, at least 0.
    times : array of shape (length,), default None
        When the points are, the same for all paths of a batch: real numbers or datetimes, which never go back.
        Then intervals are of time: one from `start` to `end` has the points with ``start <= time < end``.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front of signatures.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For what is no path of at least one point, for times that decrease or are not finite, or an option of the wrong
        type.

    Notes
    -----
    Objects can be pickled and copied, and threads may share one: queries run side by side, while others append. For
    PyTorch, gradients reach every point that requires one; then queries are
    computed from the points alone, and a pickled object has no graph.

    Memory is that of the points and, with n blocks of 16 increments, of about ``n * log2(n)`` signatures.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = siglib.IntervalSignature([[0.0, 0.0], [1.0, 0.0]], 2)
    >>> path.append([[1.0, 1.0], [0.0, 1.0]])
    >>> len(path)
    4
    >>> path.sig(0, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    >>> path.sig_batch([0, 1], [2, 3])
    array([[ 1. ,  1. ,  0.5,  1. ,  0. ,  0.5],
           [-1. ,  1. ,  0.5,  0. , -1. ,  0.5]])

    The same in time, where the end is not in the interval:

    >>> path = siglib.IntervalSignature([[0.0, 0.0], [1.0, 0.0]], 2, times=[0.0, 0.5])
    >>> path.append([[1.0, 1.0], [0.0, 1.0]], times=[1.7, 4.0])
    >>> path.sig(0.0, 4.0)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    >>> path.times
    array([0. , 0.5, 1.7, 4. ])
    """

    _times: GrowingTimes | None = None

    def __init__(
        self, path: Array, degree: int, *, times: Array = None, scalar_term: bool = False, n_jobs: int = 1
    ) -> None:
        n_jobs = as_n_jobs(n_jobs)
        as_n_threads(n_jobs)
        degree = as_int("degree", degree, 0)
        self._scalar_term = as_bool("scalar_term", scalar_term)
        self._points = Points()
        if times is not None:
            self._times = GrowingTimes()
        self._add(path, "path", times)
        if self._points.n == 0:
            raise ValueError("path must have at least one point, got none")
        self._intervals = Intervals(self._points, degree, n_jobs)

    def __len__(self) -> int:
        return self._points.n

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Batch axes of the path."""
        return self._points.batch or ()

    @property
    def times(self) -> np.ndarray | None:
        """When the points are, a copy; None if that is not known."""
        if self._times is None:
            return None
        with self._points.lock:
            return self._times.known().copy()

    @left_to_python
    def append(self, points: Array, times: Array = None) -> None:
        """Add points at the end.

        Parameters
        ----------
        points : array of shape (..., n, dimension)
            Of the library, dtype and batch shape of the path. They are copied.
        times : array of shape (n,), default None
            When they are, if the path has times: not before the last one.

        Raises
        ------
        TypeError, ValueError
            If they do not go with the path.
        """
        with self._points.lock:
            self._add(points, "points", times)

    def _add(self, points: Array, name: str, times: Array) -> None:
        if self._times is None:
            if times is not None:
                raise ValueError("times must be given with the first points of a path, or never")
            self._points.extend(points, name)
            return
        if times is None:
            raise ValueError("times must be given with all points of a path that has times, got none")
        found = self._times.checked(times)
        self._points.extend(points, name, len(found))
        self._times.extend(found)

    @left_to_python
    def sig(self, start: Any, end: Any) -> Array:
        """Signature of the path from point `start` to point `end`, both counted, or of an interval of time.

        Parameters
        ----------
        start, end : int, or moments if the path has times
            Points, from 0. If `start` is behind `end`, the piece is run through backwards. Of moments the earlier one
            is in the interval, the later one is not; they may lie outside of the path, and be infinite. An interval of
            no or one point has the signature of a constant path.

        Returns
        -------
        array of shape (..., sig_length(dimension, degree))

        Raises
        ------
        TypeError
            If they are no integers, or moments.
        IndexError
            If the path has no such points.
        """
        return self._results(*self._interval(start, end))[..., 0, :]

    @left_to_python
    def sig_batch(self, starts: Array, ends: Array) -> Array:
        """Signatures of many intervals.

        Parameters
        ----------
        starts, ends : arrays of integers of shape (n,), or of moments if the path has times
            Ends as in `sig`; interval k is from ``starts[k]`` to ``ends[k]``, and backwards where that is less.

        Returns
        -------
        array of shape (..., n, sig_length(dimension, degree))

        Raises
        ------
        TypeError, ValueError
            If they are no such arrays.
        IndexError
            If the path has no such points.
        """
        return self._results(*self._many(starts, ends))

    def _results(self, starts: np.ndarray, ends: np.ndarray) -> Array:
        return self._points.on.result(self._unrounded(starts, ends))

    def _unrounded(self, starts: np.ndarray, ends: np.ndarray, double: bool = False) -> Array:
        """Signatures in the dtype that they are computed in."""
        intervals = self._intervals
        with self._points.lock:
            if double:
                intervals = intervals.double()
            ready = intervals.ready(starts, ends)
        return intervals.unrounded(ready, starts, ends, self._scalar_term, axis=-2)

    @left_to_python
    def log_sig(self, start: Any, end: Any, *, method: int = 1) -> Array:
        """Log-signature of the path from `start` to `end`; see `sig`, and `sig_to_log_sig` for `method`."""
        return self._log(*self._interval(start, end), method)[..., 0, :]

    @left_to_python
    def log_sig_batch(self, starts: Array, ends: Array, *, method: int = 1) -> Array:
        """Log-signatures of many intervals; see `sig_batch`, and `sig_to_log_sig` for `method`."""
        return self._log(*self._many(starts, ends), method)

    def _interval(self, start: Any, end: Any) -> tuple[np.ndarray, np.ndarray]:
        """One interval as two arrays of points."""
        if self._times is not None:
            return self._in_time([start], [end])
        n = self._points.n
        at = np.array([as_point("start", start, 0, n), as_point("end", end, 0, n)], np.int64)
        return at[:1], at[1:]

    def _many(self, starts: Any, ends: Any) -> tuple[np.ndarray, np.ndarray]:
        if self._times is not None:
            return self._in_time(starts, ends)
        starts, ends = as_points("starts", starts, len(self)), as_points("ends", ends, len(self))
        if len(starts) != len(ends):
            raise ValueError(f"starts and ends must have the same length, got {len(starts)} and {len(ends)}")
        return starts, ends

    def _in_time(self, starts: Any, ends: Any) -> tuple[np.ndarray, np.ndarray]:
        assert self._times is not None
        with self._points.lock:
            return self._times.between(starts, ends)

    def _log(self, starts: np.ndarray, ends: np.ndarray, method: Any) -> Array:
        """Log-signatures of intervals, from signatures that were not rounded to the dtype of the points."""
        on, dimension, degree, method = (
            self._points.on,
            self._points.dimension,
            self._intervals.degree,
            as_method(method),
        )
        double = needs_double(dimension, degree, method)
        sig = self._unrounded(starts, ends, double)
        log_sig = sig_to_log_sig(sig, dimension, degree, method=method, n_jobs=self._intervals.n_jobs)
        n_letters = dimension + (self._scalar_term and method == 0)
        log_sig = straight(log_sig, n_letters, np.abs(ends - starts) <= 1)
        return (on.double() if double else on).result(log_sig)


def as_point(name: str, value: Any, first: int, stop: int) -> int:
    """`value` as an index first..stop - 1."""
    if not first <= (value := as_int(name, value, -(2**63))) < stop:
        raise IndexError(f"{name} must be from {first} to {stop - 1}, got {value}")
    return value


def as_points(name: str, values: Any, stop: int) -> np.ndarray:
    """An array of points 0..stop - 1."""
    array = host_indices(name, values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    wrong = np.flatnonzero((array < 0) | (array >= stop))
    if len(wrong):
        raise IndexError(f"{name} must be from 0 to {stop - 1}, got {array[wrong[0]]} at index {wrong[0]}")
    return array
