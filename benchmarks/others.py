"""Windows, prefixes and intervals, which other libraries compute with other functions."""

from functools import lru_cache, partial
from typing import Any

import numpy as np
from calls import Operation, Shape, brownian, by_hand, like

import siglib


def with_copied_derivs(operation: Operation) -> Operation:
    """For gradients of pysiglib's that overwrite the derivatives, the last array."""

    def call(lib: Any, shape: Shape, n_jobs: int, *arrays: np.ndarray) -> Any:
        return operation.ready(lib, shape, n_jobs, *arrays[:-1], arrays[-1].copy())()

    return by_hand(operation.arrays, call, operation.shapes)


def path_of(shape: Shape, dtype: Any) -> tuple[np.ndarray]:
    return (brownian(shape, dtype),)


def windows_of(path: np.ndarray, length: int, stride: int) -> np.ndarray:
    """All windows of so many points, copied: (batch * n_windows, length, dimension). No view: pysiglib copies those."""
    views = np.lib.stride_tricks.sliding_window_view(path, length, axis=1)[:, ::stride].swapaxes(-1, -2)
    return views.reshape(-1, length, path.shape[-1]).copy()


def sliding(lib: Any, shape: Shape, n_jobs: int, path: np.ndarray, copies: np.ndarray, stride: int = 1) -> Any:
    """Signatures of all windows; libraries that have no such function take the copies."""
    if hasattr(lib, "sig_windows"):
        sigs = lib.sig_windows(path, shape.degree, copies.shape[-2], stride, n_jobs=n_jobs)
        return sigs.reshape(-1, sigs.shape[-1])
    return lib.sig(copies, shape.degree, n_jobs=n_jobs)


def sliding_backprop(
    lib: Any,
    shape: Shape,
    n_jobs: int,
    path: np.ndarray,
    copies: np.ndarray,
    sig: np.ndarray,
    derivs: np.ndarray,
    stride: int = 1,
) -> Any:
    if hasattr(lib, "sig_windows"):
        derivs = derivs.reshape(*path.shape[:-2], -1, derivs.shape[-1])
        return lib.sig_windows_backprop(path, derivs, shape.degree, copies.shape[-2], stride, n_jobs=n_jobs)
    # The gradient of the path is the sum over the copies of each point.
    found = lib.sig_backprop(copies, sig, derivs, shape.degree, n_jobs=n_jobs)
    found = found.reshape(*path.shape[:-2], -1, *copies.shape[-2:])
    gradient = np.zeros_like(path)
    for point in range(found.shape[-2]):
        gradient[..., point : point + stride * found.shape[-3] : stride, :] += found[..., point, :]
    return gradient


def path_and_windows(shape: Shape, dtype: Any, stride: int = 1) -> tuple[np.ndarray, ...]:
    path = brownian(shape, dtype)
    return path, windows_of(path, min(50, shape.length), stride)


def path_windows_and_derivs(shape: Shape, dtype: Any, stride: int = 1) -> tuple[np.ndarray, ...]:
    path, copies = path_and_windows(shape, dtype, stride)
    sig = siglib.sig(copies, shape.degree)
    return path, copies, sig, like(sig)


def windows(shapes: tuple[Shape, ...], stride: int) -> Operation:
    return by_hand(partial(path_and_windows, stride=stride), partial(sliding, stride=stride), shapes)


def windows_backprop(shapes: tuple[Shape, ...], stride: int) -> Operation:
    return by_hand(partial(path_windows_and_derivs, stride=stride), partial(sliding_backprop, stride=stride), shapes)


def expanding(lib: Any, shape: Shape, n_jobs: int, path: np.ndarray) -> Any:
    """Signatures of all prefixes of a single path; other libraries' streams keep them."""
    path = path.reshape(shape.length, shape.dimension)
    if hasattr(lib, "sig_prefixes"):
        return lib.sig_prefixes(path, shape.degree, n_jobs=n_jobs)
    stream = lib.SigStream(shape.dimension, shape.degree, n_jobs=n_jobs)
    for point in path:
        stream.push(point)
    return stream.sig_all()


@lru_cache(maxsize=4)
def queryable(lib: Any, shape: Shape, dtype: Any) -> Any:
    """A path that can be asked for intervals; what it takes to make it is not measured."""
    path = brownian(shape, dtype)[0]
    if hasattr(lib, "IntervalSignature"):
        return lib.IntervalSignature(path, shape.degree)
    stream = lib.SigStream(shape.dimension, shape.degree)
    for point in path:
        stream.push(point)
    return stream


@lru_cache(maxsize=4)
def some_intervals(shape: Shape, n: int, points: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Random intervals of so many points, or of any number if `points` is 0; as an array and as a list."""
    rng = np.random.default_rng(n + points)
    if points == 0:
        pairs = np.sort(rng.integers(0, shape.length, (n, 2)), axis=1)
    else:
        points = min(points, shape.length)
        pairs = rng.integers(0, shape.length - points + 1, (n, 1)) + [0, points - 1]
    return pairs, [tuple(pair) for pair in pairs.tolist()]


def ask(lib: Any, shape: Shape, n_jobs: int, path: np.ndarray, n: int, points: int) -> Any:
    """Signatures of `n` intervals on one thread: pysiglib takes no more for them."""
    source = queryable(lib, shape, path.dtype)
    pairs, as_list = some_intervals(shape, n, points)
    return source.sig_batch(*pairs.T) if hasattr(lib, "IntervalSignature") else source.sig_batch(as_list)


def intervals(shapes: tuple[Shape, ...], n: int, points: int) -> Operation:
    return by_hand(path_of, partial(ask, n=n, points=points), shapes)


def ask_once(lib: Any, shape: Shape, n_jobs: int, path: np.ndarray) -> Any:
    return queryable(lib, shape, path.dtype).sig(shape.length // 9, shape.length - 1)
