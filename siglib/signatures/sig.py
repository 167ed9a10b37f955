"""Signatures: the iterated integrals of a path, and the gradient."""

from collections.abc import Callable
from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_bool, as_count, as_n_threads
from .._call.shapes import check_batch, check_like, has_scalar_term, path_shape, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension, checked_tensor_length
from ..paths.series import with_clock
from .corrections import (
    CorrectedSizes,
    as_correction,
    corrected_backprop,
    corrected_forward,
    correction_grade,
    refuse_correction,
    refuse_lead_lag,
)
from .prefixes import SIG_PREFIXES
from .ragged import RAGGED_SIG, takes


def sig_length(
    dimension: int, degree: int, *, time_aug: bool = False, lead_lag: bool = False, scalar_term: bool = False
) -> int:
    """Number of coefficients of a signature: d + d**2 + ... + d**degree.

    Parameters
    ----------
    dimension : int
        Number of channels of the path, at least 0.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Count the channels that these transforms add: ``d`` is ``dimension``, twice that with `lead_lag`, plus one
        with `time_aug`.
    scalar_term : bool, default False
        Count the constant coefficient of the empty word, too.

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        For what is no integer, is negative, or gives a length that 64 bits cannot count.

    Examples
    --------
    >>> import siglib
    >>> siglib.sig_length(3, 4)
    120
    >>> siglib.sig_length(3, 4, time_aug=True, lead_lag=True, scalar_term=True)
    2801
    """
    dimension, degree = as_count("dimension", dimension), as_count("degree", degree)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    return checked_tensor_length(dimension, degree) + as_bool("scalar_term", scalar_term)


class _Sig(Operation):
    """The signature; with a correction, that of `corrections.py`."""

    name = "sig"
    arrays = ("path", "correction?")
    options = ("degree", "time_aug", "lead_lag", "end_time", "scalar_term", "n_jobs")
    keeps_out = True
    derivs_name, takes_out, out_name = "sig_derivs", True, "sig"

    def sizes(self, o: Any, path: Any, correction: Any) -> tuple[Any, ...]:
        """(shape, what follows from the correction)."""
        if correction is not None:
            refuse_lead_lag(o.lead_lag)
            corrected = CorrectedSizes(path, correction, o.degree, o.time_aug, o.scalar_term)
            return corrected.shape, corrected
        batch, _, dimension = path_shape("path", path)
        length = checked_tensor_length(augmented_dimension(dimension, o.time_aug, o.lead_lag), o.degree)
        return (*batch, length + o.scalar_term), None

    def adapted(self, o: Any, derivs: Any, out: Any, path: Any, correction: Any) -> Any:
        batch, _, dimension = path_shape("path", path)
        sig_batch, length = vector_shape("sig", out)
        check_batch("path", batch, "sig", sig_batch)
        dimension = augmented_dimension(dimension, o.time_aug, o.lead_lag)
        return self.replaced(o, "scalar_term", has_scalar_term("sig", length, dimension, o.degree))

    def n_batched(self, *arrays: Array) -> int:
        # A correction may have the batch axes of the path, or none: each path is computed on its own then.
        return 1 if arrays[1] is None else 0

    def ragged(self, dimension: int, o: Any) -> Callable[..., Any] | None:
        return RAGGED_SIG if takes(dimension, o) else None

    def polynomial(self, o: Any, path: Any, correction: Any) -> Polynomial:
        more = () if correction is None else (correction_grade(path[-1], correction[-1]),)
        d = o.transform.width(path[-1])
        return grades.of_path(o.degree, o, o.scalar_term + d, *more, n_top=d**o.degree)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array, correction: Array) -> None:
        if correction is not None:
            corrected_forward(on, out, o, sizes[1], path, correction)
            return
        on.loops.signature.sig(
            on.paths(path), on.rows(out), o.degree, o.scalar_term, o.transform, as_n_threads(o.n_jobs)
        )

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("sig_derivs", derivs, "sig", sizes[0], o.scalar_term)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array, correction: Array
    ) -> tuple[Any, ...]:
        if correction is not None:
            return corrected_backprop(on, needs, derivs, out, o, sizes[1], path, correction)
        gradient = on.empty(path.shape)
        on.loops.signature.sig_backprop(
            on.paths(path),
            on.rows(out),
            on.rows(derivs),
            on.paths(gradient),
            o.degree,
            o.scalar_term,
            o.transform,
            as_n_threads(o.n_jobs),
        )
        return gradient, None


SIG = _Sig()


def sig(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    horner: bool = True,
    scalar_term: bool = False,
    stream: bool = False,
    correction: Array = None,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
    out: Array = None,
) -> Array:
    """Truncated signature of piecewise linear paths.

    The signature holds the iterated integrals of the path, one for each word ``i1 ... ik`` over its channels,

        S(i1 ... ik) = integral over t1 < ... < tk of dx[i1](t1) ... dx[ik](tk),

    for all words of length 1 to `degree`, ordered by length and then alphabetically. It is computed as the product
    of the exponentials of the path's increments (Chen's identity).

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. Lists and integers are taken as float64. A path of length 0 or 1 is constant:
        its signature is zero.
    degree : int
        Truncation level, at least 0.
    time_aug : bool, default False
        Add time as the last channel, running evenly from 0 to `end_time`.
    lead_lag : bool, default False
        Replace the path by its lead-lag transform, of twice as many channels. See `transform_path`.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    horner : bool, default True
        Without effect: there is one order of evaluation. Kept for code written for other libraries.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    stream : bool, default False
        The signatures of all prefixes of the path, those of its first point, its first two points, and so on: the same
        as `sig_prefixes`. Not together with `correction`.
    correction : array of shape (C,), (length - 1, C) or (..., length - 1, C), default None
        Terms of levels 2 to m, m at most `degree`, that are added to the increments of the segments, their first level,
        before the exponential is taken: C = d**2 + ... + d**m numbers for each segment, level after level, words over
        the channels of `path` (without time) in alphabetical order. One row for all segments of all paths, one for each
        segment of all paths, or one for each segment of each path. The Itô lift of Brownian motion with covariance
        Sigma per unit of time has ``-Sigma * dt / 2`` at level 2. Of the library, dtype and device of `path`;
        not together with `lead_lag`. Arrays without numbers count as None.
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
    array of shape (..., sig_length(dimension, degree, ...)), or (..., length, sig_length(...)) with `stream`
        Of the library, dtype and device of `path`. float16 and bfloat16 are computed in float32. NaN and infinity
        propagate to the words that use their channel, without a warning. At degree 1, where a signature is the last
        point minus the first, points in between may go unread.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        For a path without channels or of fewer than two axes, a negative degree, a length beyond 64 bits, or a
        correction that does not fit.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to `path` and `correction`, once, in PyTorch; see `sig_backprop`, and for `stream`
    `sig_prefixes_backprop`.

    References
    ----------
    K.-T. Chen, "Integration of paths: a faithful representation of paths by noncommutative formal power series",
    Transactions of the AMS 89 (1958).

    J. Reizenstein and B. Graham, "The iisignature library: efficient calculation of iterated-integral signatures and
    log signatures", ACM Transactions on Mathematical Software 46 (2020), arXiv:1802.08252.

    P. Kidger and T. Lyons, "Signatory: differentiable computations of the signature and logsignature transforms, on
    both CPU and GPU", ICLR 2021, arXiv:2001.00706.

    Examples
    --------
    One step right, then one step up. The area under the path is the difference of the words 01 and 10:

    >>> import siglib
    >>> siglib.sig([[0, 0], [1, 0], [1, 1]], 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])

    The same in the sense of Itô, each segment being a step of Brownian motion of variance 1: S(00) is the sum of
    x dx at the left ends of the segments.

    >>> import numpy as np
    >>> siglib.sig([[0, 0], [1, 0], [1, 1]], 2, correction=-0.5 * np.eye(2).ravel())
    array([ 1. ,  1. , -0.5,  1. ,  0. , -0.5])

    All prefixes:

    >>> siglib.sig([[0, 0], [1, 0], [1, 1]], 2, stream=True)
    array([[0. , 0. , 0. , 0. , 0. , 0. ],
           [1. , 0. , 0.5, 0. , 0. , 0. ],
           [1. , 1. , 0.5, 1. , 0. , 0.5]])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    as_bool("horner", horner)
    correction = as_correction(correction)
    if as_bool("stream", stream):
        refuse_correction(correction)
        return (SIG_PREFIXES if out is None else SIG_PREFIXES.into(out))(
            path,
            degree=degree,
            time_aug=time_aug,
            lead_lag=lead_lag,
            end_time=end_time,
            scalar_term=scalar_term,
            n_jobs=n_jobs,
        )
    return (SIG if out is None else SIG.into(out))(
        path,
        correction,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


signature = sig


@without_compiler
def sig_backprop(
    path: Array,
    sig: Array,
    sig_derivs: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    correction: Array = None,
    correction_deriv: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Any:
    """Gradient of `sig` with respect to the path and, if asked for, the correction.

    The signatures of the path's parts are recovered from that of the whole path, one increment after another, so that
    memory does not grow with the length of the path (Reizenstein and Graham 2020; Kidger and Lyons 2020).

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The path that `sig` was computed from.
    sig : array of shape (..., sig_length(...))
        Its signature, with or without the scalar term. The gradient is wrong if this is not the signature of `path`.
    sig_derivs : array of the shape of `sig`
        Derivatives of a function F with respect to the coefficients of `sig`. The entry of the scalar term has no
        effect; it may be there even if `sig` has none.
    degree, time_aug, lead_lag, end_time, correction, lengths, times, n_jobs
        As they were given to `sig`.
    correction_deriv : bool, default False
        Whether the gradient with respect to `correction` is wanted, too.

    Returns
    -------
    array of shape (..., length, dimension)
        Derivatives of F with respect to `path`. New; tensors come without an autograd graph. With `correction_deriv`
        a tuple of this and the derivatives with respect to `correction`, of its shape.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If the shapes do not go together.

    Examples
    --------
    The first level of a signature is the last point minus the first:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> siglib.sig_backprop(path, siglib.sig(path, 1), np.array([1.0, 2.0]), 1)
    array([[-1., -2.],
           [ 0.,  0.],
           [ 1.,  2.]])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    correction, correction_deriv = as_correction(correction), as_bool("correction_deriv", correction_deriv)
    if correction_deriv and correction is None:
        raise ValueError("correction_deriv is True, but there is no correction")
    gradients = SIG.backprop(
        sig_derivs,
        sig,
        path,
        correction,
        needs=None if correction is None else (True, correction_deriv),
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=False,
        n_jobs=n_jobs,
    )
    return gradients if correction_deriv else gradients[0]
