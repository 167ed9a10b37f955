"""Signatures of all prefixes of a path in one call, and their gradient.

Prefixes are the windows that begin at the first point.
"""

from typing import Any

import numpy as np

from .._call.libraries import Array
from .._call.tracing import without_compiler
from ..paths.series import with_clock
from .window_operations import WindowOperation


class _SigPrefixes(WindowOperation):
    """The windows that begin at the first point."""

    name = "sig_prefixes"
    follows_points = True
    options = ("degree", "time_aug", "lead_lag", "end_time", "scalar_term", "n_jobs")

    def count(self, o: Any, batch: tuple[int, ...], length: int) -> int:
        return length

    def windows(self, o: Any, length: int) -> Any:
        return np.zeros(length, np.int64), np.arange(length)


SIG_PREFIXES = _SigPrefixes()


def sig_prefixes(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
    out: Array = None,
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
        Take prefixes of the transformed path, see `transform_path`: time runs over the whole path, and with `lead_lag`
        a prefix is the lead-lag path of its points. There are as many as points of `path` itself, also then.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    times : array of shape (length,) or (..., length), or sequence of n arrays, default None
        When the points were measured, taken for the time that `time_aug` adds instead of an even clock: see `Series`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.
    out : numpy.ndarray, optional
        Where to write the result, a block at a time: an array of its shape and dtype, such as a `numpy.memmap`. Only
        for NumPy arrays.

    Returns
    -------
    array of shape (..., length, sig_length(dimension, degree, ...))
        Row k is the signature of the first k + 1 points; row 0, of one point, is zero. Of the library, dtype and device
        of `path`.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
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
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    return (SIG_PREFIXES if out is None else SIG_PREFIXES.into(out))(
        path,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


@without_compiler
def sig_prefixes_backprop(
    path: Array,
    sig_derivs: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths: Any = None,
    times: Any = None,
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
    degree, time_aug, lead_lag, end_time, lengths, times, n_jobs
        As they were given to `sig_prefixes`.

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
    >>> path = np.zeros((3, 1))
    >>> siglib.sig_prefixes_backprop(path, np.array([[1.0], [10.0], [100.0]]), 1).ravel()
    array([-110.,   10.,  100.])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    return SIG_PREFIXES.backprop(
        sig_derivs,
        None,
        path,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=False,
        n_jobs=n_jobs,
    )[0]
