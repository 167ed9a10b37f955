"""Derivatives of log-signatures along a direction."""

from .._call.libraries import Array
from .._call.tracing import without_compiler
from .log_sig import LOG_SIG
from .logarithm import SIG_TO_LOG_SIG


@without_compiler
def log_sig_jvp(
    path: Array,
    direction: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Derivative of `log_sig` along a direction: how log-signatures change as paths move, to first order.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them.
    direction : array of the shape of `path`
        How the points move.
    degree, time_aug, lead_lag, end_time, method, scalar_term, n_jobs
        As for `log_sig`.

    Returns
    -------
    array of the shape of ``log_sig(path, degree, ...)``
        Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `log_sig`, and if `direction` has another shape than `path`.

    See Also
    --------
    log_sig_backprop : the transpose of this linear map.
    sig_jvp : the same for signatures, with a word on cost and accuracy.

    Notes
    -----
    Differentiable in PyTorch, any number of times.

    Examples
    --------
    The displacement, and the area between path and chord, as the corner of a path moves right:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> move = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    >>> siglib.log_sig_jvp(path, move, 2)
    array([0. , 0. , 0.5])
    """
    return LOG_SIG.along(
        (path,),
        (direction,),
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        method=method,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


@without_compiler
def sig_to_log_sig_jvp(
    sig: Array,
    direction: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    n_jobs: int = 1,
) -> Array:
    """Derivative of `sig_to_log_sig` along a direction.

    Parameters
    ----------
    sig : array of shape (..., sig_length(dimension, degree, ...))
        Signatures, with or without the scalar term.
    direction : array of the shape of `sig`
        How they move; the entry of the scalar term has no effect.
    dimension, degree, time_aug, lead_lag, method, n_jobs
        As for `sig_to_log_sig`.

    Returns
    -------
    array of the shape of ``sig_to_log_sig(sig, dimension, degree, ...)``
        Of the library, dtype and device of `sig`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `sig_to_log_sig`, and if `direction` has another shape than `sig`.

    See Also
    --------
    sig_to_log_sig_backprop : the transpose of this linear map.

    Notes
    -----
    It computes `degree` logarithms, or one more if `degree` is odd, in one call. Differentiable in PyTorch, any
    number of times.

    Examples
    --------
    At degree 2 the word 01 of the logarithm is ``S(01) - S(0) S(1) / 2``; here S(0) grows:

    >>> import numpy as np, siglib
    >>> sig = siglib.sig(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 5.0]]), 2)
    >>> siglib.sig_to_log_sig_jvp(sig, np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), 2, 2)
    array([ 1. ,  0. , -2.5])
    """
    return SIG_TO_LOG_SIG.along(
        (sig,),
        (direction,),
        dimension=dimension,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        method=method,
        n_jobs=n_jobs,
    )
