"""Log-signatures of windows and prefixes of a path in one call."""

from ._backend import Array, widened
from ._checks import as_bool, as_int, as_n_jobs
from ._log_signature_parts import as_path_method
from .log_signature import sig_to_log_sig
from .prefixes import sig_prefixes
from .windows import sig_windows


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
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Log-signatures of many windows of a path, sliding ones or any others, in one call.

    Parameters
    ----------
    path, degree, window, stride, starts, ends, time_aug, lead_lag, end_time, n_jobs
        As in `sig_windows`.
    method : int, default 1
        In which coordinates, see `log_sig`.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty word, always 0, in front. Without effect for the other methods.

    Returns
    -------
    array of shape (..., n_windows, log_sig_length(dimension, degree, ...)), or as `sig_windows` for method 0
        Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `sig_windows` and `log_sig`.

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
    method, degree, n_jobs = as_path_method(method), as_int("degree", degree, 0), as_n_jobs(n_jobs)
    time_aug, lead_lag = as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag)
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
        scalar_term=as_bool("scalar_term", scalar_term) and method == 0,
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
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Log-signatures of all prefixes of a path, in one call.

    Parameters
    ----------
    path, degree, time_aug, lead_lag, end_time, n_jobs
        As in `sig_prefixes`.
    method : int, default 1
        In which coordinates, see `log_sig`.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty word, always 0, in front. Without effect for the other methods.

    Returns
    -------
    array of shape (..., length, log_sig_length(dimension, degree, ...)), or as `sig_prefixes` for method 0
        Row k is the log-signature of the first k + 1 points. Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `sig_prefixes` and `log_sig`.

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
    method, degree, n_jobs = as_path_method(method), as_int("degree", degree, 0), as_n_jobs(n_jobs)
    time_aug, lead_lag = as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag)
    back, path = widened(path=path)
    sig = sig_prefixes(
        path,
        degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=as_bool("scalar_term", scalar_term) and method == 0,
        n_jobs=n_jobs,
    )
    return back(_logarithms(path, sig, degree, time_aug, lead_lag, method, n_jobs))


def _logarithms(
    path: Array, sig: Array, degree: int, time_aug: bool, lead_lag: bool, method: int, n_jobs: int
) -> Array:
    return sig_to_log_sig(
        sig, path.shape[-1], degree, time_aug=time_aug, lead_lag=lead_lag, method=method, n_jobs=n_jobs
    )
