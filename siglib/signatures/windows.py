"""Signatures of any number of windows of a path in one call, and their gradient.

A window is a slice of a path. One loop (`_cpu/windows.pyx`) takes all of them, with the work that they have in common
done once.
"""

from typing import Any

from .._call.indices import INDICES
from .._call.libraries import Array, namespace_of
from .._call.ragged import RaggedPaths
from .._call.tracing import without_compiler
from .time_windows import TimeWindows, by_time
from .window_operations import WindowOperation, n_windows, windows_of


class _SigWindows(WindowOperation):
    name = "sig_windows"
    follows_points = True
    options = (
        "degree",
        "window",
        "stride",
        "starts",
        "ends",
        "time_aug",
        "lead_lag",
        "end_time",
        "scalar_term",
        "n_jobs",
    )
    meanings = {"starts": INDICES, "ends": INDICES}

    def count(self, o: Any, batch: tuple[int, ...], length: int) -> int:
        return n_windows(o, batch, length)

    def check(self, o: Any, length: int) -> None:
        if o.starts is not None:
            windows_of(o, length)

    def windows(self, o: Any, length: int) -> Any:
        return windows_of(o, length)

    def stacked(self, o: Any, n: int) -> Any:
        if o.starts is None or len(o.starts.shape) == 1:
            return o
        xp = namespace_of(o.starts)
        starts, ends = (xp.broadcast_to(indices, (n, *indices.shape)) for indices in (o.starts, o.ends))
        return self.replaced(self.replaced(o, "starts", starts), "ends", ends)


SIG_WINDOWS = _SigWindows()


def sig_windows(
    path: Array,
    degree: int,
    window: Any = 0,
    stride: Any = None,
    *,
    times: Any = None,
    span: Any = None,
    starts: Array = None,
    ends: Array = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
    lengths: Any = None,
    n_jobs: int = 1,
    out: Array = None,
) -> Array:
    """Signatures of many windows of a path, sliding ones or any others, in one call.

    Entry k of the result is the signature of a slice of the path: of ``path[k * stride : k * stride + window]``, or of
    ``path[starts[k] : ends[k]]``. Windows may overlap, repeat and come in any order. Work that they have in common is
    done once: sliding windows of any width cost about two steps and one product each.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. Lists and integers are taken as float64.
    degree : int
        Truncation level, at least 0.
    window : int, or float if there are `times`
        Number of points of a window, at least 1, or how long it is. Leave it out if `starts` and `ends` are given.
    stride : int, or float if there are `times`, default None
        Number of points from the start of one window to the start of the next, at least 1, or the time between the two.
        None is one point, or `window`. Windows of points share one, and no segment between them is left out, if it is
        less than `window`.
    times : array of shape (length,) or (..., length), default None
        When the points are, for all paths or for each: then windows are those of some duration, see the notes. Real
        numbers or datetimes, none less than the one before. For a list of paths, a list of arrays.
    span : (start, stop), default None
        Moments where the first window starts, and where the last one must have ended; None in place of one is the first
        or the last of the times.
    starts, ends : arrays of integers of shape (n_windows,) or (..., n_windows), default None
        Slices: window k has the points ``starts[k]``, ``starts[k] + 1``, ..., ``ends[k] - 1``. Either the same for all
        paths, or with the batch axes of `path`. They must satisfy ``0 <= start <= end <= length``. They are looked at
        in main memory: if they are on a GPU the call waits for them.
    time_aug, lead_lag : bool, default False
        Take windows of the transformed path, see `transform_path`: time runs over the whole path, and with `lead_lag` a
        window is the lead-lag path of its points. All of the above count points of `path` itself, also then. With
        `times` these are what is added, and half-way between two points with `lead_lag` what is half-way between them.
    end_time : float, default 1.0
        Where time ends, if `time_aug`. Not with `times`, which say it.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.
    out : numpy.ndarray, optional
        Where to write the result, a block at a time: an array of its shape and dtype, such as a `numpy.memmap`. Only
        for NumPy arrays.

    Returns
    -------
    array of shape (..., n_windows, sig_length(dimension, degree, ...))
        Of the library, dtype and device of `path`. There are ``(length - window) // stride + 1`` sliding windows, none
        if the path is shorter than one. A window of no or one point has the signature of a constant path, zero. NaN and
        infinity in the path reach the windows that see them, and no others. For a list of paths, a list; in an array,
        paths with fewer windows than others have rows of windows without points behind their own.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        For a path without channels or of fewer than two axes, windows that are not in the path, times that decrease or
        are not finite, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    window_bounds : which points lie in windows of some duration.
    sig_prefixes : windows that all start at the first point.
    log_sig_windows : their log-signatures.
    IntervalSignature : for a path that grows, or intervals that are asked for one by one.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch; see `sig_windows_backprop`. It takes about the time of four
    calls forward.

    Windows with a point m in common are products ``S(start, m) (x) S(m, end)`` of two scans that start there (Chen's
    identity), the way van Herk (1992) takes running maxima. Only increments of a window enter its signature, and no
    inverse is taken: short windows of a long path are as exact as the signatures of copied slices.

    With `times`, window k has the points with ``start + k * stride <= time < start + k * stride + window``, where
    `start` is the first of the times, or that of `span`. There are as many windows as end by the last of the times, or
    of `span`: so the last point is in a window only if `span` goes beyond it. Segments between the points of two
    windows are in neither. For more of how bounds are compared see `window_bounds`.

    References
    ----------
    M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels", Pattern
    Recognition Letters 13 (1992).

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> siglib.sig_windows(path, 2, window=3)
    array([[ 1. ,  1. ,  0.5,  1. ,  0. ,  0.5],
           [-1. ,  1. ,  0.5,  0. , -1. ,  0.5]])
    >>> siglib.sig_windows(path, 1, starts=[0, 1, 0], ends=[4, 3, 1])
    array([[0., 1.],
           [0., 1.],
           [0., 0.]])

    With ``stride=2`` windows of two points leave out the segment in the middle, and windows of three make up the whole
    path of five points:

    >>> path = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])
    >>> [float(siglib.sig_windows(path, 1, window=window, stride=2).sum()) for window in (2, 3)]
    [2.0, 4.0]

    In time, where the second window has no points:

    >>> times = [0.0, 0.3, 0.7, 2.1, 2.8]
    >>> siglib.sig_windows(path, 1, window=1.0, times=times, span=(0.0, 3.0)).ravel()
    array([2., 0., 1.])
    """
    if lengths is not None:
        path = RaggedPaths(path, lengths)
    if times is not None or span is not None:
        return by_time(
            sig_windows,
            path,
            degree,
            window,
            stride,
            times,
            span,
            starts,
            ends,
            time_aug,
            lead_lag,
            end_time,
            out,
            scalar_term=scalar_term,
            n_jobs=n_jobs,
        )
    return (SIG_WINDOWS if out is None else SIG_WINDOWS.into(out))(
        path,
        degree=degree,
        window=window,
        stride=1 if stride is None else stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


@without_compiler
def sig_windows_backprop(
    path: Array,
    sig_derivs: Array,
    degree: int,
    window: Any = 0,
    stride: Any = None,
    *,
    times: Any = None,
    span: Any = None,
    starts: Array = None,
    ends: Array = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `sig_windows` with respect to the path.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The path that was given to `sig_windows`.
    sig_derivs : array of the shape of its result
        Derivatives of a function F with respect to the signatures. The entry of the scalar term has no effect; it may
        be there or not.
    degree, window, stride, times, span, starts, ends, time_aug, lead_lag, end_time, lengths, n_jobs
        As they were given to `sig_windows`.

    Returns
    -------
    array of shape (..., length, dimension)
        Derivatives of F with respect to `path`. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If the shapes do not go together.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.zeros((4, 1))
    >>> siglib.sig_windows_backprop(path, np.array([[1.0], [10.0]]), 1, window=3).ravel()
    array([ -1., -10.,   1.,  10.])
    """
    if lengths is not None:
        path = RaggedPaths(path, lengths)
    if times is not None or span is not None:
        call = TimeWindows(
            path, window, stride, times, span, starts, ends, time_aug, lead_lag, end_time, derivs=sig_derivs
        )
        return call.gradient(call.call(sig_windows_backprop, call.derivs, degree, n_jobs=n_jobs))
    return SIG_WINDOWS.backprop(
        sig_derivs,
        None,
        path,
        degree=degree,
        window=window,
        stride=1 if stride is None else stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=False,
        n_jobs=n_jobs,
    )[0]
