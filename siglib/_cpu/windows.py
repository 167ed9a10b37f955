"""Signatures of windows on the CPU: by the loops of `windows.pyx`, or as paths of their own, whichever is faster.

Those are paths of one length if windows slide evenly, otherwise paths of unequal lengths.

Arguments as in `windows.pyx`, behind `loops`, the compiled modules of one floating type.
"""

from typing import Any

import numpy as np

from .._tables.transform import NO_TRANSFORM, Transform
from .separate_slices import separate_slices
from .separate_windows import SlidingWindows, separate_windows

# The work of windows.pyx grows with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 64


def sig_windows(
    loops: Any,
    path: np.ndarray,
    starts: np.ndarray,
    lasts: np.ndarray,
    order: np.ndarray,
    out: np.ndarray,
    degree: int,
    scalar_term: bool,
    time_step: float,
    n_threads: int,
) -> None:
    n_words = out.shape[1] - scalar_term
    windows = separate_windows(starts, lasts, n_words + scalar_term, backward=False)
    if windows is not None:
        copies, transform = _separate(windows, path, time_step)
        loops.signature.sig(copies, out, degree, scalar_term, transform, n_threads)
        return
    slices = None if time_step else separate_slices(path.shape, starts, lasts, degree, backward=False)
    if slices is not None:
        options = (degree, scalar_term, NO_TRANSFORM, n_threads)
        loops.signature.ragged_sig(_points_of(path), *slices, out, *options)
    elif path.shape[2] > 1 or degree <= _MAX_DEGREE_OF_ONE_CHANNEL:
        loops.windows.sig_windows(path, starts, lasts, order, out, degree, scalar_term, time_step, n_threads)
    else:
        total = np.empty((len(out), 1), out.dtype)
        loops.windows.sig_windows(path, starts, lasts, order, total, 1, False, 0.0, n_threads)
        out[:, :1] = 1
        out[:, int(scalar_term) :] = _powers(total, degree)


def sig_windows_backprop(
    loops: Any,
    path: np.ndarray,
    starts: np.ndarray,
    lasts: np.ndarray,
    order: np.ndarray,
    derivs: np.ndarray,
    out: np.ndarray,
    degree: int,
    scalar_term: bool,
    time_step: float,
    n_threads: int,
) -> None:
    windows = separate_windows(starts, lasts, derivs.shape[1] - scalar_term, backward=True)
    if windows is not None:
        copies, transform = _separate(windows, path, time_step)
        sig, gradients = np.empty(derivs.shape, path.dtype), np.empty(copies.shape, path.dtype)
        options = (degree, scalar_term, transform, n_threads)
        loops.signature.sig(copies, sig, *options)
        loops.signature.sig_backprop(copies, sig, derivs, gradients, *options)
        # Time has no gradient.
        windows.add_up(gradients, out[..., : copies.shape[-1]])
        return
    slices = None if time_step else separate_slices(path.shape, starts, lasts, degree, backward=True)
    if slices is not None:
        points, sig = _points_of(path), np.empty(derivs.shape, path.dtype)
        options = (degree, scalar_term, NO_TRANSFORM, n_threads)
        loops.signature.ragged_sig(points, *slices, sig, *options)
        loops.signature.ragged_sig_backprop(points, *slices, sig, derivs, _points_of(out), *options)
    elif path.shape[2] == 1 and degree > _MAX_DEGREE_OF_ONE_CHANNEL:
        total = np.empty((len(derivs), 1), path.dtype)
        loops.windows.sig_windows(path, starts, lasts, order, total, 1, False, 0.0, n_threads)
        # The derivative of X^n / n! is X^(n-1) / (n-1)!.
        with np.errstate(all="ignore"):
            derivs = derivs[:, int(scalar_term) :]
            derivs = derivs[:, :1] + (derivs[:, 1:] * _powers(total, degree - 1)).sum(axis=1, keepdims=True)
        loops.windows.sig_windows_backprop(path, starts, lasts, order, derivs, out, 1, False, 0.0, n_threads)
    else:
        loops.windows.sig_windows_backprop(
            path, starts, lasts, order, derivs, out, degree, scalar_term, time_step, n_threads
        )


def _separate(windows: SlidingWindows, path: np.ndarray, time_step: float) -> tuple[np.ndarray, Transform]:
    """The windows as paths of their own, and what the loops of signatures are told about time."""
    if time_step == 0:
        return windows.of(path), NO_TRANSFORM
    return windows.of(path[..., :-1]), Transform(True, False, time_step * (windows.points - 1))


def _points_of(path: np.ndarray) -> np.ndarray:
    """The points of all paths, one path behind another."""
    return path.reshape(-1, path.shape[2])


def _powers(total: np.ndarray, degree: int) -> np.ndarray:
    """total**n / n! for n = 1..degree: what signatures of one channel are."""
    with np.errstate(all="ignore"):
        return np.cumprod(total / np.arange(1, degree + 1, dtype=total.dtype), axis=1)
