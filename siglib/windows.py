"""Signatures and log-signatures of all prefixes of a path, and of any number of its windows, in one call each.

A window is a slice of a path. One kernel (`_cpu/windows.pyx`) takes all of them, with the work that they have in common
done once; prefixes are the windows that begin at the first point.
"""

import math
from typing import Any

import numpy as np

from ._autograd import differentiable
from ._backend import Array, backend_for, library_of, widened
from ._checks import (
    as_float,
    as_int,
    as_n_threads,
    path_shape,
    vector_shape,
)
from .log_signature import sig_to_log_sig
from .path import transform_path, transform_path_backprop
from .signature import sig_length

# The kernel's work grows with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 64


def _n_windows(batch: tuple[int, ...], length: int, window: Any, stride: Any, starts: Any, ends: Any) -> int:
    """Number of windows of a path; looks at no start or end."""
    window = as_int("window", window, 0)
    stride = as_int("stride", stride, 1)
    if (starts is None) != (ends is None):
        raise ValueError("starts and ends go together: give both or none")
    if starts is None:
        if window == 0:
            raise ValueError("give window, a number of points, or starts and ends")
        return (length - window) // stride + 1 if length >= window else 0
    if window != 0 or stride != 1:
        raise ValueError("give either window and stride, or starts and ends")
    shapes = {}
    for name, indices in (("starts", starts), ("ends", ends)):
        shapes[name] = tuple(indices.shape) if hasattr(indices, "shape") else np.shape(indices)
        if len(shapes[name]) == 0 or (len(shapes[name]) > 1 and shapes[name][:-1] != tuple(batch)):
            raise ValueError(
                f"{name} must have shape (n_windows,) or (*batch, n_windows), got {shapes[name]} for paths of batch "
                f"shape {tuple(batch)}"
            )
    if shapes["starts"] != shapes["ends"]:
        raise ValueError(f"starts and ends must have the same shape, got {shapes['starts']} and {shapes['ends']}")
    return shapes["starts"][-1]


def _indices(name: str, indices: Any) -> np.ndarray:
    """Points as an array of int64."""
    if library_of(indices) == "torch":
        indices = indices.detach().cpu().numpy()
    elif library_of(indices) == "cupy":
        indices = indices.get()
    array = np.asarray(indices)
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    return array.astype(np.int64)


def _tables(length: int, lead_lag: bool, window: int, stride: int, starts: Any, ends: Any) -> tuple[np.ndarray, ...]:
    """(first point of each window, last point, windows by their last points), all (1 or batch, n_windows).

    With lead-lag the points are those of the transformed path. An empty window counts as one point.
    """
    first: Any
    last: Any
    if starts is None:
        first = np.arange(max(length - window + 1, 0), step=min(stride, length + 1), dtype=np.int64)
        last = first + (window - 1)
    else:
        first, stop = _indices("starts", starts), _indices("ends", ends)
        wrong = (first < 0) | (stop < first) | (stop > length)
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"windows must satisfy 0 <= start <= end <= {length}, the number of points, got start {first[at]} and "
                f"end {stop[at]} at index {at if len(at) > 1 else at[0]}"
            )
        last = np.maximum(stop - 1, first)
    first, last = (np.ascontiguousarray(a).reshape(math.prod(a.shape[:-1]), a.shape[-1]) for a in (first, last))
    if lead_lag:
        first, last = 2 * first, 2 * last
    if (last[:, 1:] < last[:, :-1]).any():
        order = np.argsort(last, axis=-1, kind="stable")
    else:
        order = np.broadcast_to(np.arange(last.shape[1]), last.shape)
    return first, last, np.ascontiguousarray(order, dtype=np.int64)


def _length(path: Array) -> int:
    """Number of points of a path."""
    return path_shape("path", tuple(path.shape) if hasattr(path, "shape") else np.shape(path))[1]


def _prefixes(length: int) -> dict[str, Any]:
    """Prefixes as windows."""
    return {"window": 0, "stride": 1, "starts": np.zeros(length, np.int64), "ends": np.arange(1, length + 1)}


def _sig_windows_shape(
    path: tuple[int, ...],
    degree: int,
    window: int,
    stride: int,
    *,
    starts: Array,
    ends: Array,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    scalar_term: bool,
    n_jobs: int,
) -> tuple[int, ...]:
    batch, length, dimension = path_shape("path", path)
    as_float("end_time", end_time)
    as_n_threads(n_jobs)
    n_windows = _n_windows(batch, length, window, stride, starts, ends)
    n_words = sig_length(dimension, degree, time_aug=time_aug, lead_lag=lead_lag, scalar_term=scalar_term)
    return (*batch, n_windows, n_words)


def _check_on_cpu(on: Any, name: str) -> None:
    if on.on_gpu:
        raise TypeError(f"path is on a GPU, where {name} does not run yet: move it to the CPU")


def _transformed(path: Array, time_aug: bool, lead_lag: bool, end_time: float) -> Array:
    if not (time_aug or lead_lag) or path.shape[-2] == 0:
        return path
    return transform_path(path, time_aug=time_aug, lead_lag=lead_lag, end_time=end_time)


def _forward(
    name: str,
    path: Array,
    degree: int,
    window: int,
    stride: int,
    *,
    starts: Array,
    ends: Array,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    scalar_term: bool,
    n_jobs: int,
) -> Array:
    on, path = backend_for(path=path)
    shape = _sig_windows_shape(
        path.shape,
        degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )
    _check_on_cpu(on, name)
    tables = _tables(path.shape[-2], lead_lag, window, stride, starts, ends)
    out = on.empty(shape)
    path = _transformed(path, time_aug, lead_lag, end_time)
    inputs = (on.paths(path), *tables)
    if path.shape[-1] > 1 or degree <= _MAX_DEGREE_OF_ONE_CHANNEL:
        on.kernels.windows.sig_windows(*inputs, on.rows(out), degree, scalar_term, as_n_threads(n_jobs))
    else:
        total = on.scratch((math.prod(shape[:-1]), 1))
        on.kernels.windows.sig_windows(*inputs, total, 1, False, as_n_threads(n_jobs))
        rows = on.rows(out)
        rows[:, :1] = 1
        rows[:, int(scalar_term) :] = _powers(total, degree)
    return on.result(out)


def _powers(total: np.ndarray, degree: int) -> np.ndarray:
    """total**n / n! for n = 1..degree: what signatures of one channel are."""
    with np.errstate(all="ignore"):
        return np.cumprod(total / np.arange(1, degree + 1, dtype=total.dtype), axis=1)


def _backward(
    name: str,
    path: Array,
    sig_derivs: Array,
    degree: int,
    window: int,
    stride: int,
    *,
    starts: Array,
    ends: Array,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    n_jobs: int,
) -> Array:
    on, path, sig_derivs = backend_for(path=path, sig_derivs=sig_derivs)
    shape = _sig_windows_shape(
        path.shape,
        degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=False,
        n_jobs=n_jobs,
    )
    _check_on_cpu(on, name)
    batch, length = vector_shape("sig_derivs", sig_derivs.shape)
    if tuple(batch) != shape[:-1] or length not in (shape[-1], shape[-1] + 1):
        raise ValueError(
            f"sig_derivs must have shape {shape} (or one more on the last axis, for the scalar term), got "
            f"{tuple(sig_derivs.shape)}"
        )
    tables = _tables(path.shape[-2], lead_lag, window, stride, starts, ends)
    transformed = _transformed(path, time_aug, lead_lag, end_time)
    out = on.empty(transformed.shape)
    inputs, derivs, n_threads = (on.paths(transformed), *tables), on.rows(sig_derivs), as_n_threads(n_jobs)
    scalar_term = length > shape[-1]
    if path.shape[-1] == 1 and transformed is path and degree > _MAX_DEGREE_OF_ONE_CHANNEL:
        total = on.scratch((math.prod(shape[:-1]), 1))
        on.kernels.windows.sig_windows(*inputs, total, 1, False, n_threads)
        # The derivative of X^n / n! is X^(n-1) / (n-1)!.
        with np.errstate(all="ignore"):
            derivs = derivs[:, int(scalar_term) :]
            derivs = derivs[:, :1] + (derivs[:, 1:] * _powers(total, degree - 1)).sum(axis=1, keepdims=True)
        degree, scalar_term = 1, False
    on.kernels.windows.sig_windows_backprop(*inputs, derivs, on.paths(out), degree, scalar_term, n_threads)
    if transformed is not path:
        out = transform_path_backprop(out, time_aug=time_aug, lead_lag=lead_lag, end_time=end_time)
    return on.result(out)


def _sig_windows_vjp(
    derivs: Array, out: Array, path: Array, degree: int, window: int, stride: int, *, scalar_term: bool, **options: Any
) -> tuple[Array]:
    return (sig_windows_backprop(path, derivs, degree, window, stride, **options),)


@differentiable(_sig_windows_vjp, _sig_windows_shape, needs_out=False)
def sig_windows(
    path: Array,
    degree: int,
    window: int = 0,
    stride: int = 1,
    *,
    starts: Array = None,
    ends: Array = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
    n_jobs: int = 1,
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
    window : int
        Number of points of a window, at least 1. Leave it out if `starts` and `ends` are given.
    stride : int, default 1
        Number of points from the start of one window to the start of the next, at least 1.
    starts, ends : arrays of integers of shape (n_windows,) or (..., n_windows), default None
        Slices: window k has the points ``starts[k]``, ``starts[k] + 1``, ..., ``ends[k] - 1``. Either the same for all
        paths, or with the batch axes of `path`. They must satisfy ``0 <= start <= end <= length``.
    time_aug, lead_lag : bool, default False
        Transform the path, see `transform_path`, before windows are taken: time runs over the whole path.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., n_windows, sig_length(dimension, degree, ...))
        Of the library, dtype and device of `path`. There are ``(length - window) // stride + 1`` sliding windows, none
        if the path is shorter than one. A window of no or one point has the signature of a constant path, zero. NaN and
        infinity in the path reach the windows that see them, and no others.

    Raises
    ------
    TypeError
        For what is no array of real numbers, an option of the wrong type, or a path on a GPU: this operation has no
        CUDA kernel yet.
    ValueError
        For a path without channels or of fewer than two axes, windows that are not in the path, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
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
    """
    return _forward(
        "sig_windows",
        path,
        degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


def sig_windows_backprop(
    path: Array,
    sig_derivs: Array,
    degree: int,
    window: int = 0,
    stride: int = 1,
    *,
    starts: Array = None,
    ends: Array = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
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
    degree, window, stride, starts, ends, time_aug, lead_lag, end_time, n_jobs
        As they were given to `sig_windows`.

    Returns
    -------
    array of shape (..., length, dimension)
        Derivatives of F with respect to `path`. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, are on a GPU, or an option has the wrong type.
    ValueError
        If the shapes do not go together.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.zeros((4, 1))
    >>> siglib.sig_windows_backprop(path, np.array([[1.0], [10.0]]), 1, window=3).ravel()
    array([ -1., -10.,   1.,  10.])
    """
    return _backward(
        "sig_windows_backprop",
        path,
        sig_derivs,
        degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        n_jobs=n_jobs,
    )


def _sig_prefixes_shape(path: tuple[int, ...], degree: int, **options: Any) -> tuple[int, ...]:
    # As many prefixes as windows of one point.
    return _sig_windows_shape(path, degree, 1, 1, starts=None, ends=None, **options)


def _sig_prefixes_vjp(
    derivs: Array, out: Array, path: Array, degree: int, *, scalar_term: bool, **options: Any
) -> tuple[Array]:
    return (sig_prefixes_backprop(path, derivs, degree, **options),)


@differentiable(_sig_prefixes_vjp, _sig_prefixes_shape, needs_out=False)
def sig_prefixes(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Signatures of all prefixes of a path: of ``path[:1]``, ``path[:2]``, ..., and the whole path, in one call.

    Other libraries call this the stream, or the expanding signature. It costs little more than to write the result.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. Lists and integers are taken as float64.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Transform the path, see `transform_path`, before prefixes are taken: time runs over the whole path.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., length, sig_length(dimension, degree, ...))
        Row k is the signature of the first k + 1 points; row 0, of one point, is zero. Of the library, dtype and device
        of `path`.

    Raises
    ------
    TypeError
        For what is no array of real numbers, an option of the wrong type, or a path on a GPU: this operation has no
        CUDA kernel yet.
    ValueError
        For a path without channels or of fewer than two axes, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    sig_windows : the same for windows.
    log_sig_prefixes : log-signatures.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch; see `sig_prefixes_backprop`.

    Examples
    --------
    >>> import siglib
    >>> siglib.sig_prefixes([[0, 0], [1, 0], [1, 1]], 2)
    array([[0. , 0. , 0. , 0. , 0. , 0. ],
           [1. , 0. , 0.5, 0. , 0. , 0. ],
           [1. , 1. , 0.5, 1. , 0. , 0.5]])
    """
    length = _length(path)
    return _forward(
        "sig_prefixes",
        path,
        degree,
        **_prefixes(length),
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


def sig_prefixes_backprop(
    path: Array,
    sig_derivs: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `sig_prefixes` with respect to the path.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The path that was given to `sig_prefixes`.
    sig_derivs : array of the shape of its result
        Derivatives of a function F with respect to the signatures. The entry of the scalar term has no effect; it may
        be there or not.
    degree, time_aug, lead_lag, end_time, n_jobs
        As they were given to `sig_prefixes`.

    Returns
    -------
    array of shape (..., length, dimension)
        Derivatives of F with respect to `path`. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, are on a GPU, or an option has the wrong type.
    ValueError
        If the shapes do not go together.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.zeros((3, 1))
    >>> siglib.sig_prefixes_backprop(path, np.array([[1.0], [10.0], [100.0]]), 1).ravel()
    array([-110.,   10.,  100.])
    """
    length = _length(path)
    return _backward(
        "sig_prefixes_backprop",
        path,
        sig_derivs,
        degree,
        **_prefixes(length),
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        n_jobs=n_jobs,
    )


def log_sig_windows(
    path: Array,
    degree: int,
    window: int = 0,
    stride: int = 1,
    *,
    starts: Array = None,
    ends: Array = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    n_jobs: int = 1,
) -> Array:
    """Log-signatures of many windows of a path, sliding ones or any others, in one call.

    Parameters
    ----------
    path, degree, window, stride, starts, ends, time_aug, lead_lag, end_time, n_jobs
        As in `sig_windows`.
    method : int, default 1
        In which coordinates, see `sig_to_log_sig`.

    Returns
    -------
    array of shape (..., n_windows, log_sig_length(dimension, degree, ...)), or as `sig_windows` for method 0
        Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `sig_windows` and `sig_to_log_sig`.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch.

    Examples
    --------
    Displacement and area of every corner of a path:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> siglib.log_sig_windows(path, 2, window=3)
    array([[ 1. ,  1. ,  0.5],
           [-1. ,  1. ,  0.5]])
    """
    back, path = widened(path=path)
    sig = sig_windows(
        path,
        degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        n_jobs=n_jobs,
    )
    return back(_logarithms(path, sig, degree, time_aug, lead_lag, method, n_jobs))


def log_sig_prefixes(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    n_jobs: int = 1,
) -> Array:
    """Log-signatures of all prefixes of a path, in one call.

    Parameters
    ----------
    path, degree, time_aug, lead_lag, end_time, n_jobs
        As in `sig_prefixes`.
    method : int, default 1
        In which coordinates, see `sig_to_log_sig`.

    Returns
    -------
    array of shape (..., length, log_sig_length(dimension, degree, ...)), or as `sig_prefixes` for method 0
        Row k is the log-signature of the first k + 1 points. Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `sig_prefixes` and `sig_to_log_sig`.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch.

    Examples
    --------
    >>> import siglib
    >>> siglib.log_sig_prefixes([[0, 0], [1, 0], [1, 1]], 2)
    array([[0. , 0. , 0. ],
           [1. , 0. , 0. ],
           [1. , 1. , 0.5]])
    """
    back, path = widened(path=path)
    sig = sig_prefixes(path, degree, time_aug=time_aug, lead_lag=lead_lag, end_time=end_time, n_jobs=n_jobs)
    return back(_logarithms(path, sig, degree, time_aug, lead_lag, method, n_jobs))


def _logarithms(
    path: Array, sig: Array, degree: int, time_aug: bool, lead_lag: bool, method: int, n_jobs: int
) -> Array:
    return sig_to_log_sig(
        sig, path.shape[-1], degree, time_aug=time_aug, lead_lag=lead_lag, method=method, n_jobs=n_jobs
    )
