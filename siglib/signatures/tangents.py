"""Derivatives of signatures and coefficients along a direction."""

from typing import Any

from .._call.libraries import Array
from .._call.options import as_bool
from .._call.tracing import without_compiler
from .._tables.word_trie import Word
from .coefficients import SIG_COEF, _as_text
from .corrections import as_correction, refuse_correction
from .prefixes import SIG_PREFIXES
from .sig import SIG


@without_compiler
def sig_jvp(
    path: Array,
    direction: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
    stream: bool = False,
    correction: Array = None,
    correction_direction: Array = None,
    n_jobs: int = 1,
) -> Array:
    """Derivative of `sig` along a direction: how signatures change as paths move, to first order.

    It is the derivative of ``sig(path + t * direction)`` at t = 0, exact to rounding: signatures are polynomials, whose
    derivatives follow from a few of their values.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them.
    direction : array of the shape of `path`
        How the points move.
    degree, time_aug, lead_lag, end_time, scalar_term, stream, correction, n_jobs
        As for `sig`.
    correction_direction : array of the shape of `correction`, default None
        How the correction moves; it stays as it is by default.

    Returns
    -------
    array of the shape of ``sig(path, degree, ...)``
        Of the library, dtype and device of `path`. 0 at the scalar term, and at words of time alone.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If the shapes do not go together, or for what `sig` refuses.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    sig_backprop : the transpose of this linear map.

    Notes
    -----
    It computes `degree` signatures, or one more if `degree` is odd, in one call. In float64 the error of a
    level is some 1e-14 of its largest entry, also where the direction is much rougher than the path; 1e-12 if a single
    point of a smooth path moves. Differentiable in PyTorch, any number of times.

    Examples
    --------
    The area under one step right and one step up, as the corner moves right:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> move = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    >>> siglib.sig_jvp(path, move, 2)
    array([ 0. ,  0. ,  0. ,  0.5, -0.5,  0. ])
    """
    options: dict[str, Any] = {
        "degree": degree,
        "time_aug": time_aug,
        "lead_lag": lead_lag,
        "end_time": end_time,
        "scalar_term": scalar_term,
        "n_jobs": n_jobs,
    }
    correction = as_correction(correction)
    if as_bool("stream", stream):
        refuse_correction(correction)
        return SIG_PREFIXES.along((path,), (direction,), **options)
    return SIG.along((path, correction), (direction, correction_direction), **options)


@without_compiler
def sig_coef_jvp(
    path: Array,
    direction: Array,
    words: Word | list[Word],
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    prefixes: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Derivative of `sig_coef` along a direction: how coefficients change as paths move, to first order.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them.
    direction : array of the shape of `path`
        How the points move.
    words, time_aug, lead_lag, end_time, prefixes, n_jobs
        As for `sig_coef`.

    Returns
    -------
    array of the shape of ``sig_coef(path, words, ...)``
        Of the library, dtype and device of `path`; as exact as `sig_jvp`, relative to the coefficients of `path` and of
        ``path + r * direction``, with r such that both summands are about as large.

    Raises
    ------
    TypeError, ValueError
        As `sig_coef`, and if `direction` has another shape than `path`.

    Notes
    -----
    It computes as much as n calls of `sig_coef`, n being the length of the longest word, or one more if that is odd.
    Differentiable in PyTorch, any number of times.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> move = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    >>> siglib.sig_coef_jvp(path, move, [(0, 1), (1, 0)])
    array([ 0.5, -0.5])
    """
    return SIG_COEF.along(
        (path,),
        (direction,),
        words=_as_text(words),
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        prefixes=prefixes,
        n_jobs=n_jobs,
    )
