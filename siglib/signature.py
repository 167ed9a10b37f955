"""Signatures: the iterated integrals of a path, their product, and the gradients of both.

Every function has a `_..._shape` companion for torch.compile (`_autograd.py`): it checks sizes and options, and gives
the shape of the result. Both rest on one function of `_..._sizes`, which gives the clean options as well.
"""

from typing import Any

from ._autograd import differentiable
from ._backend import Array, backend_for
from ._checks import (
    SizeError,
    as_bool,
    as_int,
    as_n_threads,
    as_transform,
    augmented_dimension,
    check_batch,
    check_like,
    check_no_variant,
    checked_tensor_length,
    has_scalar_term,
    is_empty,
    path_shape,
    size_error,
    vector_shape,
)
from ._corrected import corrected_sig, refuse_lead_lag, sig_corrected_backprop
from ._tracing import without_compiler
from ._variants import is_no_stream, refuse_correction, variants


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
    dimension = as_int("dimension", dimension, 0)
    degree = as_int("degree", degree, 0)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    return checked_tensor_length(dimension, degree) + as_bool("scalar_term", scalar_term)


def _sizes(
    path: tuple[int, ...], degree: Any, transform: tuple[bool, bool, float], scalar_term: Any
) -> tuple[int, bool, tuple[int, ...]]:
    """(degree, scalar_term, shape of the signature)."""
    batch, _, dimension = path_shape("path", path)
    degree = as_int("degree", degree, 0)
    scalar_term = as_bool("scalar_term", scalar_term)
    time_aug, lead_lag, _ = transform
    length = checked_tensor_length(augmented_dimension(dimension, time_aug, lead_lag), degree)
    return degree, scalar_term, (*batch, length + scalar_term)


def _sig_shape(
    path: tuple[int, ...],
    degree: int,
    *,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    horner: bool,
    scalar_term: bool,
    stream: bool,
    correction: Array,
    n_jobs: int,
) -> tuple[int, ...]:
    as_bool("horner", horner)
    check_no_variant(stream, correction)
    as_n_threads(n_jobs)
    return _sizes(path, degree, as_transform(time_aug, lead_lag, end_time), scalar_term)[-1]


def _sig_vjp(
    derivs: Array,
    out: Array,
    path: Array,
    degree: int,
    *,
    horner: bool,
    scalar_term: bool,
    stream: bool,
    **options: Any,
) -> tuple[Array]:
    return (sig_backprop(path, out, derivs, degree, **options),)


def _sig_stream(
    path: Array, degree: int, *, stream: bool, horner: bool = True, correction: Array = None, **options: Any
) -> Array:
    """`sig` with a stream."""
    from .prefixes import sig_prefixes  # which itself imports this module

    as_bool("horner", horner)
    refuse_correction(correction)
    return sig_prefixes(path, degree, **options)


@variants(stream=(is_no_stream, _sig_stream), correction=(is_empty, corrected_sig))
@differentiable(_sig_vjp, _sig_shape)
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
    n_jobs: int = 1,
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
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

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
    as_bool("horner", horner)
    check_no_variant(stream, correction)
    transform, n_threads = as_transform(time_aug, lead_lag, end_time), as_n_threads(n_jobs)
    on, path = backend_for(path=path)
    try:
        degree, scalar_term, shape = _sizes(path.shape, degree, transform, scalar_term)
        out = on.empty(shape)
    except (SizeError, MemoryError) as error:
        raise size_error(error, path.shape) from None
    on.kernels.signature.sig(on.paths(path), on.rows(out), degree, scalar_term, *transform, n_threads)
    return on.result(out)


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
    degree, time_aug, lead_lag, end_time, correction, n_jobs
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
    if is_empty(correction):
        on, path, sig, sig_derivs = backend_for(path=path, sig=sig, sig_derivs=sig_derivs)
    else:
        on, path, sig, sig_derivs, correction = backend_for(
            path=path, sig=sig, sig_derivs=sig_derivs, correction=correction
        )
    degree = as_int("degree", degree, 0)
    time_aug, lead_lag, end_time = transform = as_transform(time_aug, lead_lag, end_time)
    n_threads = as_n_threads(n_jobs)
    batch, _, dimension = path_shape("path", path.shape)
    sig_batch, length = vector_shape("sig", sig.shape)
    check_batch("path", batch, "sig", sig_batch)
    dimension = augmented_dimension(dimension, time_aug, lead_lag)
    scalar_term = has_scalar_term("sig", length, dimension, degree)
    if check_like("sig_derivs", sig_derivs.shape, "sig", sig.shape, scalar_term):
        sig_derivs = sig_derivs[..., 1:]
    correction_deriv = as_bool("correction_deriv", correction_deriv)
    if not is_empty(correction):
        refuse_lead_lag(lead_lag)
        found = sig_corrected_backprop(
            path,
            correction,
            sig,
            sig_derivs,
            degree,
            scalar_term,
            correction_deriv,
            time_aug=time_aug,
            end_time=end_time,
            n_jobs=n_threads,
        )
        gradients = tuple(None if gradient is None else on.result(gradient) for gradient in found)
        return gradients if correction_deriv else gradients[0]
    if correction_deriv:
        raise ValueError("correction_deriv is True, but there is no correction")
    out = on.empty(path.shape)
    on.kernels.signature.sig_backprop(
        on.paths(path), on.rows(sig), on.rows(sig_derivs), on.paths(out), degree, scalar_term, *transform, n_threads
    )
    return on.result(out)


def _combine_sizes(
    sig1: tuple[int, ...], sig2: tuple[int, ...], dimension: int, degree: int, time_aug: bool, lead_lag: bool
) -> tuple[int, int, bool, bool]:
    """(dimension after transforms, degree, scalar_term of sig1, scalar_term of sig2)."""
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    scalar_term = has_scalar_term("sig1", vector_shape("sig1", sig1)[1], dimension, degree)
    return dimension, degree, scalar_term, check_like("sig2", sig2, "sig1", sig1, scalar_term) or scalar_term


def _sig_combine_shape(
    sig1: tuple[int, ...],
    sig2: tuple[int, ...],
    dimension: int,
    degree: int,
    *,
    time_aug: bool,
    lead_lag: bool,
    n_jobs: int,
) -> tuple[int, ...]:
    _combine_sizes(sig1, sig2, dimension, degree, time_aug, lead_lag)
    as_n_threads(n_jobs)
    return tuple(sig1)


def _sig_combine_vjp(
    derivs: Array, out: Array, sig1: Array, sig2: Array, *args: Any, **options: Any
) -> tuple[Array, Array]:
    return sig_combine_backprop(derivs, sig1, sig2, *args, **options)


@differentiable(_sig_combine_vjp, _sig_combine_shape, n_arrays=2, needs_out=False)
def sig_combine(
    sig1: Array,
    sig2: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Product of two signatures: the signature of one path followed by another (Chen's identity).

    The value on a word is the sum, over all ways to cut it in two, of `sig1` on the first part times `sig2` on the
    second. On the empty word both count as 1, whatever is stored.

    Parameters
    ----------
    sig1, sig2 : arrays of shape (..., sig_length(dimension, degree, ...))
        Signatures of equal batch shape, with or without the scalar term. If `sig2` has it and `sig1` has not, it is
        dropped.
    dimension : int
        Number of channels of the paths, at least 1.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Whether the signatures were computed with these transforms.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of the shape of `sig1`
        Of the library, dtype and device of the signatures.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together.

    Notes
    -----
    Differentiable with respect to both signatures, once, in PyTorch; see `sig_combine_backprop`.

    References
    ----------
    K.-T. Chen, "Iterated integrals and exponential homomorphisms", Proceedings of the London Mathematical Society
    s3-4 (1954).

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> first, second = siglib.sig(path[:2], 2), siglib.sig(path[1:], 2)
    >>> siglib.sig_combine(first, second, 2, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    """
    on, sig1, sig2 = backend_for(sig1=sig1, sig2=sig2)
    dimension, degree, scalar_term1, scalar_term2 = _combine_sizes(
        sig1.shape, sig2.shape, dimension, degree, time_aug, lead_lag
    )
    n_threads = as_n_threads(n_jobs)
    out = on.empty(sig1.shape)
    on.kernels.signature.sig_combine(
        on.rows(sig1), on.rows(sig2), on.rows(out), dimension, degree, scalar_term1, scalar_term2, n_threads
    )
    return on.result(out)


@without_compiler
def sig_combine_backprop(
    deriv: Array,
    sig1: Array,
    sig2: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    n_jobs: int = 1,
) -> tuple[Array, Array]:
    """Gradients of `sig_combine` with respect to both signatures.

    Parameters
    ----------
    deriv : array of the shape of `sig1`
        Derivatives of a function F with respect to ``sig_combine(sig1, sig2, ...)``. The entry of the scalar term
        has no effect; it may be there even if `sig1` has none.
    sig1, sig2, dimension, degree, time_aug, lead_lag, n_jobs
        As they were given to `sig_combine`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `sig1` and `sig2`, of their shapes; 0 at the scalar terms. Tensors come
        without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together.

    Examples
    --------
    The first level of the product is the sum of the first levels:

    >>> import numpy as np, siglib
    >>> siglib.sig_combine_backprop(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0]), 2, 1)
    (array([1., 2.]), array([1., 2.]))
    """
    on, deriv, sig1, sig2 = backend_for(deriv=deriv, sig1=sig1, sig2=sig2)
    dimension, degree, scalar_term1, scalar_term2 = _combine_sizes(
        sig1.shape, sig2.shape, dimension, degree, time_aug, lead_lag
    )
    if check_like("deriv", deriv.shape, "sig1", sig1.shape, scalar_term1):
        deriv = deriv[..., 1:]
    n_threads = as_n_threads(n_jobs)
    sig1_derivs, sig2_derivs = on.empty(sig1.shape), on.empty(sig2.shape)
    on.kernels.signature.sig_combine_backprop(
        on.rows(deriv),
        on.rows(sig1),
        on.rows(sig2),
        on.rows(sig1_derivs),
        on.rows(sig2_derivs),
        dimension,
        degree,
        scalar_term1,
        scalar_term2,
        n_threads,
    )
    return on.result(sig1_derivs), on.result(sig2_derivs)
