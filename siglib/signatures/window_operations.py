"""What all functions of windows share: which windows there are, shapes, and the calls of the kernels.

The kernels are `_cpu/windows.pyx`, and those of signatures for windows that have little in common.
"""

import math
from typing import Any

import numpy as np

from .._call.backend import Array, backend_for, library_of, refusal
from .._call.options import as_bool, as_int, as_n_threads, as_transform
from .._call.shapes import path_shape, size_error, vector_shape
from .._call.tracing import refuse_traced
from .._cpu.separate_windows import SlidingWindows, separate_windows
from .._tables.sizes import SizeError, augmented_dimension, checked_tensor_length
from ..paths.transform import transform_path, transform_path_backprop

# The kernel's work grows with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 64


def _n_windows(batch: tuple[int, ...], length: int, window: int, stride: int, starts: Any, ends: Any) -> int:
    """Number of windows of a path; looks at no start or end, but at their shapes."""
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


def host_indices(name: str, indices: Any) -> np.ndarray:
    """Points as an array of int64."""
    library = library_of(indices)
    if library == "torch":
        refuse_traced({name: indices})
        indices = indices.detach().cpu().numpy()
    elif library == "cupy":
        indices = indices.get()
    elif library != "numpy":
        raise refusal({name: indices})
    try:
        array = np.asarray(indices)
    except ValueError as error:
        raise ValueError(f"{name} cannot be turned into an array: {error}") from None
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    return array.astype(np.int64)


def _tables(
    length: int, lead_lag: bool, window: int, stride: int, starts: Any, ends: Any, prefixes: bool
) -> tuple[np.ndarray, ...]:
    """(first point of each window, last point, windows by their last points), all (1 or batch, n_windows).

    With lead-lag the points are those of the transformed path. An empty window counts as one point.
    """
    first: Any
    last: Any
    if prefixes:
        first, last = np.zeros(length, np.int64), np.arange(length)
    elif starts is None:
        first = np.arange(max(length - window + 1, 0), step=min(stride, length + 1), dtype=np.int64)
        last = first + (min(window, length + 1) - 1)
    else:
        first, stop = starts, ends
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


def sig_windows_shape(
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
    as_n_threads(n_jobs)
    transform = as_transform(time_aug, lead_lag, end_time)
    return _sizes(path, degree, window, stride, starts, ends, transform, scalar_term)[-1]


def _sizes(
    path: tuple[int, ...],
    degree: Any,
    window: Any,
    stride: Any,
    starts: Any,
    ends: Any,
    transform: tuple[bool, bool, float],
    scalar_term: Any,
) -> tuple[int, int, int, bool, tuple[int, ...]]:
    """(degree, window, stride, scalar_term, shape of the signatures)."""
    batch, length, dimension = path_shape("path", path)
    window, stride = as_int("window", window, 0), as_int("stride", stride, 1)
    n_windows = _n_windows(batch, length, window, stride, starts, ends)
    degree, scalar_term = as_int("degree", degree, 0), as_bool("scalar_term", scalar_term)
    time_aug, lead_lag, _ = transform
    n_words = checked_tensor_length(augmented_dimension(dimension, time_aug, lead_lag), degree)
    return degree, window, stride, scalar_term, (*batch, n_windows, n_words + scalar_term)


def _on_host(starts: Any, ends: Any) -> tuple[Any, Any]:
    """Starts and ends, unless they are None, as arrays that nobody else can change."""
    return (
        None if starts is None else host_indices("starts", starts),
        None if ends is None else host_indices("ends", ends),
    )


def _transformed(path: Array, time_aug: bool, lead_lag: bool, end_time: float) -> Array:
    if not (time_aug or lead_lag) or path.shape[-2] == 0:
        return path
    return transform_path(path, time_aug=time_aug, lead_lag=lead_lag, end_time=end_time)


def _time_step(on: Any, transformed: Array, time_aug: bool, end_time: float) -> float:
    """How far time advances with each increment; 0 if kernels take it as a channel like others, as in float64.

    Differences of the rounded times of a long float32 path are too coarse for short windows.
    """
    if not (time_aug and on.dtype_name == "float32"):
        return 0.0
    return float(end_time) / max(transformed.shape[-2] - 1, 1)


def _separate(windows: SlidingWindows, paths: np.ndarray, time_step: float) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The windows as paths of their own, and what the kernels of signatures are told about time."""
    if time_step == 0:
        return windows.of(paths), (False, False, 1.0)
    return windows.of(paths[..., :-1]), (True, False, time_step * (windows.points - 1))


def windows_forward(
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
    prefixes: bool = False,
) -> Array:
    """`sig_windows`, or with `prefixes`, where windows must be those of one point, `sig_prefixes`."""
    on, path = backend_for(path=path)
    time_aug, lead_lag, end_time = transform = as_transform(time_aug, lead_lag, end_time)
    n_threads = as_n_threads(n_jobs)
    starts, ends = _on_host(starts, ends)
    try:
        degree, window, stride, scalar_term, shape = _sizes(
            path.shape, degree, window, stride, starts, ends, transform, scalar_term
        )
        out = on.empty(shape)
    except (SizeError, MemoryError) as error:
        raise size_error(error, path.shape) from None
    if starts is None and 0 in shape[:-2]:
        # No tables either: the paths that are not there may be long.
        return on.result(out)
    tables = _tables(path.shape[-2], lead_lag, window, stride, starts, ends, prefixes)
    transformed = _transformed(path, time_aug, lead_lag, end_time)
    paths, time_step = on.paths(transformed), _time_step(on, transformed, time_aug, end_time)
    rows = on.rows(out)
    windows = None if on.on_gpu else separate_windows(tables[0], tables[1], shape[-1], backward=False)
    if windows is not None:
        copies, time = _separate(windows, paths, time_step)
        on.kernels.signature.sig(copies, rows, degree, scalar_term, *time, n_threads)
    elif on.on_gpu or paths.shape[-1] > 1 or degree <= _MAX_DEGREE_OF_ONE_CHANNEL:
        on.kernels.windows.sig_windows(paths, *tables, rows, degree, scalar_term, time_step, n_threads)
    else:
        total = on.scratch((math.prod(shape[:-1]), 1))
        on.kernels.windows.sig_windows(paths, *tables, total, 1, False, 0.0, n_threads)
        rows[:, :1] = 1
        rows[:, int(scalar_term) :] = _powers(total, degree)
    return on.result(out)


def _powers(total: np.ndarray, degree: int) -> np.ndarray:
    """total**n / n! for n = 1..degree: what signatures of one channel are."""
    with np.errstate(all="ignore"):
        return np.cumprod(total / np.arange(1, degree + 1, dtype=total.dtype), axis=1)


def windows_backward(
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
    prefixes: bool = False,
) -> Array:
    on, path, sig_derivs = backend_for(path=path, sig_derivs=sig_derivs)
    time_aug, lead_lag, end_time = transform = as_transform(time_aug, lead_lag, end_time)
    n_threads = as_n_threads(n_jobs)
    starts, ends = _on_host(starts, ends)
    degree, window, stride, _, shape = _sizes(path.shape, degree, window, stride, starts, ends, transform, False)
    batch, length = vector_shape("sig_derivs", sig_derivs.shape)
    if tuple(batch) != shape[:-1] or length not in (shape[-1], shape[-1] + 1):
        raise ValueError(
            f"sig_derivs must have shape {shape} (or one more on the last axis, for the scalar term), got "
            f"{tuple(sig_derivs.shape)}"
        )
    if starts is None and 0 in shape[:-2]:
        return on.result(on.empty(path.shape))
    tables = _tables(path.shape[-2], lead_lag, window, stride, starts, ends, prefixes)
    transformed = _transformed(path, time_aug, lead_lag, end_time)
    out = on.empty(transformed.shape)
    paths, derivs = on.paths(transformed), on.rows(sig_derivs)
    time_step = _time_step(on, transformed, time_aug, end_time)
    scalar_term = length > shape[-1]
    windows = None if on.on_gpu else separate_windows(tables[0], tables[1], shape[-1], backward=True)
    if windows is not None:
        _separate_backprop(on, windows, paths, time_step, derivs, on.paths(out), degree, scalar_term, n_threads)
    elif not on.on_gpu and transformed.shape[-1] == 1 and degree > _MAX_DEGREE_OF_ONE_CHANNEL:
        total = on.scratch((math.prod(shape[:-1]), 1))
        on.kernels.windows.sig_windows(paths, *tables, total, 1, False, 0.0, n_threads)
        # The derivative of X^n / n! is X^(n-1) / (n-1)!.
        with np.errstate(all="ignore"):
            derivs = derivs[:, int(scalar_term) :]
            derivs = derivs[:, :1] + (derivs[:, 1:] * _powers(total, degree - 1)).sum(axis=1, keepdims=True)
        on.kernels.windows.sig_windows_backprop(paths, *tables, derivs, on.paths(out), 1, False, 0.0, n_threads)
    else:
        on.kernels.windows.sig_windows_backprop(
            paths, *tables, derivs, on.paths(out), degree, scalar_term, time_step, n_threads
        )
    if transformed is not path:
        out = transform_path_backprop(out, time_aug=time_aug, lead_lag=lead_lag, end_time=end_time)
    return on.result(out)


def _separate_backprop(
    on: Any,
    windows: SlidingWindows,
    paths: Array,
    time_step: float,
    derivs: Array,
    out: Array,
    degree: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    copies, time = _separate(windows, paths, time_step)
    sig, gradients = on.scratch(derivs.shape), on.scratch(copies.shape)
    options = (degree, scalar_term, *time, n_threads)
    on.kernels.signature.sig(copies, sig, *options)
    on.kernels.signature.sig_backprop(copies, sig, derivs, gradients, *options)
    # Time has no gradient.
    windows.add_up(gradients, out[..., : copies.shape[-1]])
