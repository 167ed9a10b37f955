"""Log-signatures: signatures without their redundancy, from signatures or from paths, and the gradients of both.

The kernels are `_cpu/log_signature.pyx` and `_gpu/cuda/log_signature.cu`; the tables that they follow come from
`_lyndon.py` and are prepared on first use.
"""

from typing import Any

import numpy as np

from . import _lyndon
from ._autograd import differentiable
from ._backend import Array, as_double, backend_for, widened
from ._checks import (
    SizeError,
    as_bool,
    as_int,
    as_n_jobs,
    as_n_threads,
    as_transform,
    augmented_dimension,
    check_batch,
    check_like,
    check_no_variant,
    has_scalar_term,
    is_empty,
    path_shape,
    size_error,
    vector_shape,
)
from ._corrected import corrected_sig, refuse_lead_lag, sig_corrected_backprop
from ._log_signature_parts import (
    PathSizes,
    as_method,
    blocks_of,
    log_length,
    needs_double,
    path_sizes,
    put,
    tables_for,
    taken,
)
from ._tracing import without_compiler
from ._variants import is_no_stream, refuse_correction, variants


def log_sig_length(dimension: int, degree: int, *, time_aug: bool = False, lead_lag: bool = False) -> int:
    """Number of coordinates of a log-signature: of Lyndon words of length 1 to `degree`.

    This is the length of the results of methods 1 and 2; method 0 gives `sig_length` numbers.

    Parameters
    ----------
    dimension : int
        Number of channels of the path, at least 1.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Count the channels that these transforms add: ``d`` is ``dimension``, twice that with `lead_lag`, plus one with
        `time_aug`.

    Returns
    -------
    int
        The sum of ``sum(mu(k) * d**(n // k) for k dividing n) / n`` over n = 1..degree, mu being the Möbius function
        (Witt's formula).

    Raises
    ------
    TypeError, ValueError
        For what is no integer or too small, or where the length of the signature is beyond 64 bits.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993, section 4.1 and corollary 4.14.

    Examples
    --------
    >>> import siglib
    >>> siglib.log_sig_length(3, 4), siglib.sig_length(3, 4)
    (32, 120)
    """
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    return _lyndon.log_sig_size(dimension, degree)


def _sizes(
    sig: tuple[int, ...], dimension: Any, degree: Any, time_aug: Any, lead_lag: Any, method: Any
) -> tuple[int, int, int, bool, int]:
    """(dimension after transforms, degree, method, whether `sig` has the scalar term, length of the log-signature)."""
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    method = as_method(method)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    scalar_term = has_scalar_term("sig", vector_shape("sig", sig)[1], dimension, degree)
    return dimension, degree, method, scalar_term, log_length(dimension, degree, method, scalar_term)


def _sig_to_log_sig_shape(
    sig: tuple[int, ...],
    dimension: int,
    degree: int,
    *,
    time_aug: bool,
    lead_lag: bool,
    method: int,
    n_jobs: int,
) -> tuple[int, ...]:
    as_n_threads(n_jobs)
    return (*sig[:-1], _sizes(sig, dimension, degree, time_aug, lead_lag, method)[-1])


def _sig_to_log_sig_vjp(derivs: Array, out: Array, sig: Array, *args: Any, **options: Any) -> tuple[Array]:
    return (sig_to_log_sig_backprop(sig, derivs, *args, **options),)


@differentiable(_sig_to_log_sig_vjp, _sig_to_log_sig_shape, needs_out=False)
def sig_to_log_sig(
    sig: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    n_jobs: int = 1,
) -> Array:
    """Log-signatures from signatures.

    The logarithm is that of the truncated tensor algebra: with S = 1 + x,

        log S = x - x (x) x / 2 + x (x) x (x) x / 3 - ...,

    where ``(u (x) v)(w)`` is the sum of ``u(w1) v(w2)`` over all ways to cut the word w in two. For the signature of a
    path it is a combination of brackets of channels, with far fewer independent numbers than words. They can be given
    in three ways, by `method`.

    Parameters
    ----------
    sig : array of shape (..., sig_length(dimension, degree, ...))
        Signatures with or without the scalar term, which counts as 1 whatever is stored. They need not be signatures of
        paths: the formula above is applied to any numbers.
    dimension : int
        Number of channels of the path, at least 1.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Whether the signatures were computed with these transforms.
    method : {1, 2, 0}
        What is returned.

        * 1, the default: ``log S`` at the Lyndon words, ordered by length and then alphabetically.
        * 2: the coordinates of ``log S`` in the Lyndon basis, one for each Lyndon word w in the same order: ``log S``
          is the sum of coordinates times brackets ``[w]``. The bracket of a letter is that letter, and ``[w] = [u] (x)
          [v] - [v] (x) [u]`` for w = u v, v being the longest proper suffix of w that is a Lyndon word. If `sig` is no
          signature, these are the coordinates of the combination of brackets that agrees with ``log S`` at the Lyndon
          words.
        * 0: ``log S`` at all words, in the format of `sig`; a scalar term is 0.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., log_sig_length(dimension, degree, ...)), or of the shape of `sig` for method 0
        Of the library, dtype and device of `sig`.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        If the length of `sig` does not fit `dimension` and `degree`, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    log_sig : the same from paths, without storing their signatures.
    prepare_log_sig : builds in advance the tables that methods 1 and 2 build on first use.

    Notes
    -----
    Differentiable with respect to `sig`, once, in PyTorch; see `sig_to_log_sig_backprop`.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993: theorem 3.2 for the logarithm, section 5.1 for the
    basis.
    J. Reizenstein and B. Graham, "The iisignature library", ACM Transactions on Mathematical Software 46 (2020),
    arXiv:1802.08252.

    Examples
    --------
    One step right, then one step up. The log-signature is the displacement and the area between path and chord:

    >>> import siglib
    >>> sig = siglib.sig([[0, 0], [1, 0], [1, 1]], 2)
    >>> siglib.sig_to_log_sig(sig, 2, 2)
    array([1. , 1. , 0.5])
    >>> siglib.sig_to_log_sig(sig, 2, 2, method=0)
    array([ 1. ,  1. ,  0. ,  0.5, -0.5,  0. ])
    """
    on, sig = backend_for(sig=sig)
    dimension, degree, method, scalar_term, length = _sizes(sig.shape, dimension, degree, time_aug, lead_lag, method)
    n_threads = as_n_threads(n_jobs)
    out = on.empty((*sig.shape[:-1], length))
    on.kernels.log_signature.sig_to_log_sig(
        on.rows(sig),
        *tables_for(on, dimension, degree, method),
        on.rows(out),
        dimension,
        degree,
        method,
        scalar_term,
        n_threads,
    )
    return on.result(out)


@without_compiler
def sig_to_log_sig_backprop(
    sig: Array,
    log_sig_derivs: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `sig_to_log_sig` with respect to the signatures.

    Given the derivatives g of a function F with respect to the log-signature, this returns its derivatives with respect
    to the signature: the transpose of the Jacobian of `sig_to_log_sig` at `sig`, applied to g. It is exact (the adjoint
    of the formulas that `sig_to_log_sig` evaluates, not a finite difference or a truncated series), and takes about
    twice the time of the forward operation.

    With S = 1 + x, and one product for each letter of the longest words, the forward operation is Horner's scheme,
    downwards from ``t[degree] = 0``:

        t[k] = c[k+1] x + x (x) t[k+1],   c[k] = (-1)**(k-1) / k,   log S = t[0].

    If ``gt[k]`` is the derivative of F with respect to ``t[k]``, then ``gt[0]`` is g itself for method 0; for method 1
    it is g at the Lyndon words and 0 at all others; for method 2 it is the solution m of ``transpose(P) m = g`` at the
    Lyndon words and 0 at all others, P being the unit lower triangular matrix that takes coordinates in the Lyndon
    basis to values at Lyndon words. The scheme is then run upwards, k = 0, ..., degree - 1. For all words w = u v cut
    in two non-empty parts,

        gx(w) += c[k+1] gt[k](w),   gx(u) += gt[k](w) t[k+1](v),   gt[k+1](v) += gt[k](w) x(u),

    and gx is the result. All ``t[k]`` are computed anew from `sig`, in scratch memory that does not grow with the
    batch.

    Parameters
    ----------
    sig : array of shape (..., sig_length(dimension, degree, ...))
        The signatures that were given to `sig_to_log_sig`. The map is differentiated in all numbers of the array as
        independent variables, so `sig` need not be a signature of a path.
    log_sig_derivs : array of shape (..., log_sig_length(dimension, degree, ...)), or of the shape of `sig` for method 0
        Derivatives of F with respect to the log-signatures; of the batch shape, dtype, library and device of `sig`. For
        method 0 the entry of the scalar term has no effect; it may be there even if `sig` has none.
    dimension, degree, time_aug, lead_lag, method, n_jobs
        As they were given to `sig_to_log_sig`.

    Returns
    -------
    array of the shape of `sig`
        Derivatives of F with respect to `sig`; 0 at the scalar term. A new array; a tensor comes without an autograd
        graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    In PyTorch this is what `sig_to_log_sig` does in a backward pass: ``loss.backward()`` calls it. It is not
    differentiable itself.

    For the gradient with respect to a path, give the result to `sig_backprop`, or use `log_sig_backprop`.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993: theorem 3.2 for the logarithm, section 5.1 for the
    basis.
    P. Kidger and T. Lyons, "Signatory: differentiable computations of the signature and logsignature transforms, on
    both CPU and GPU", ICLR 2021, arXiv:2001.00706, for the logarithm of signatures and its derivative.

    Examples
    --------
    At degree 2 the word 01 of ``log S`` is ``S(01) - S(0) S(1) / 2``. Its gradient in the words 0, 1, 00, 01, 10, 11:

    >>> import numpy as np, siglib
    >>> sig = siglib.sig(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 5.0]]), 2)
    >>> area = np.array([0.0, 0.0, 1.0])
    >>> siglib.sig_to_log_sig_backprop(sig, area, 2, 2)
    array([-2.5, -1.5,  0. ,  1. ,  0. ,  0. ])
    """
    on, sig, log_sig_derivs = backend_for(sig=sig, log_sig_derivs=log_sig_derivs)
    dimension, degree, method, scalar_term, length = _sizes(sig.shape, dimension, degree, time_aug, lead_lag, method)
    log_sig_derivs = _checked_derivs(log_sig_derivs, "sig", (*sig.shape[:-1], length), method, scalar_term)
    n_threads = as_n_threads(n_jobs)
    out = on.empty(sig.shape)
    on.kernels.log_signature.sig_to_log_sig_backprop(
        on.rows(sig),
        on.rows(log_sig_derivs),
        *tables_for(on, dimension, degree, method, backward=True),
        on.rows(out),
        dimension,
        degree,
        method,
        scalar_term,
        n_threads,
    )
    return on.result(out)


def _checked_derivs(derivs: Array, name: str, expected: tuple[int, ...], method: int, scalar_term: bool) -> Array:
    """The derivatives of a log-signature of shape `expected`; for method 0 a superfluous scalar entry is dropped."""
    if method == 0:
        return (
            derivs[..., 1:]
            if check_like("log_sig_derivs", derivs.shape, "the log-signature", expected, scalar_term)
            else derivs
        )
    batch, length = vector_shape("log_sig_derivs", derivs.shape)
    check_batch(name, expected[:-1], "log_sig_derivs", batch)
    if length != expected[-1]:
        raise ValueError(
            f"log_sig_derivs must have length {expected[-1]} on its last axis, one for each Lyndon word, got {length}"
        )
    return derivs


def _path_sizes(
    path: tuple[int, ...], degree: Any, transform: tuple[bool, bool, float], method: Any, scalar_term: Any
) -> tuple[int, int, PathSizes]:
    """(dimension after transforms, degree, what follows from these)."""
    dimension = path_shape("path", path)[2]
    degree = as_int("degree", degree, 0)
    method = as_int("method", method, 0)
    scalar_term = as_bool("scalar_term", scalar_term)
    time_aug, lead_lag, _ = transform
    if time_aug or lead_lag:
        dimension = augmented_dimension(dimension, time_aug, lead_lag)
    return dimension, degree, path_sizes(dimension, degree, method, scalar_term)


def _log_sig_shape(
    path: tuple[int, ...],
    degree: int,
    *,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    method: int,
    scalar_term: bool,
    stream: bool,
    correction: Array,
    n_jobs: int,
) -> tuple[int, ...]:
    as_n_threads(n_jobs)
    check_no_variant(stream, correction)
    transform = as_transform(time_aug, lead_lag, end_time)
    return (*path[:-2], _path_sizes(path, degree, transform, method, scalar_term)[2].length)


def _log_sig_vjp(derivs: Array, out: Array, path: Array, degree: int, *, stream: bool, **options: Any) -> tuple[Array]:
    return (log_sig_backprop(path, derivs, degree, **options),)


def _corrected_sizes(
    path: Array, degree: Any, time_aug: bool, lead_lag: bool, method: Any, scalar_term: Any
) -> tuple[int, int, int, bool]:
    """(dimension after time augmentation, degree, method, scalar_term) of a log-signature with a correction."""
    refuse_lead_lag(lead_lag)
    method = as_int("method", method, 0)
    if method > 2:
        raise ValueError(f"method must be 0, 1 or 2 with a correction, got {method}")
    degree = as_int("degree", degree, 2)
    dimension = augmented_dimension(path_shape("path", path.shape)[2], time_aug, False)
    return dimension, degree, method, as_bool("scalar_term", scalar_term) and method == 0


def _corrected_log_sig(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    correction: Array,
    n_jobs: int = 1,
) -> Array:
    """`log_sig` with a correction that is not empty."""
    as_given, path, correction = widened(path=path, correction=correction)
    time_aug, lead_lag, end_time = as_transform(time_aug, lead_lag, end_time)
    n_jobs = as_n_jobs(n_jobs)
    dimension, degree, method, scalar_term = _corrected_sizes(path, degree, time_aug, lead_lag, method, scalar_term)
    if needs_double(dimension, degree, method):
        path, correction = as_double(path), as_double(correction)
    sig = corrected_sig(
        path,
        degree,
        time_aug=time_aug,
        end_time=end_time,
        scalar_term=scalar_term,
        correction=correction,
        n_jobs=n_jobs,
    )
    return as_given(sig_to_log_sig(sig, dimension, degree, method=method, n_jobs=n_jobs))


def _log_sig_stream(
    path: Array,
    degree: int,
    *,
    stream: bool,
    method: int = 1,
    scalar_term: bool = False,
    correction: Array = None,
    **options: Any,
) -> Array:
    """`log_sig` with a stream."""
    from .log_windows import log_sig_prefixes  # which itself imports this module

    refuse_correction(correction)
    return log_sig_prefixes(path, degree, method=method, scalar_term=scalar_term, **options)


@variants(stream=(is_no_stream, _log_sig_stream), correction=(is_empty, _corrected_log_sig))
@differentiable(_log_sig_vjp, _log_sig_shape, needs_out=False)
def log_sig(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    stream: bool = False,
    correction: Array = None,
    n_jobs: int = 1,
) -> Array:
    """Truncated log-signature of piecewise linear paths.

    The log-signature says the same as the signature in the fewest possible numbers: the first level is the
    displacement, the second holds the signed areas between the path and its chord, seen in each pair of channels, and
    so on. The signatures are computed for a block of paths at a time and never stored for the whole batch.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. Lists and integers are taken as float64. A path of length 0 or 1 is constant: its
        log-signature is zero.
    degree : int
        Truncation level, at least 0. Degree 0 leaves nothing (but the scalar term).
    time_aug : bool, default False
        Add time as the last channel, running evenly from 0 to `end_time`.
    lead_lag : bool, default False
        Replace the path by its lead-lag transform, of twice as many channels. See `transform_path`.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    method : {1, 2, 3, 0}
        1, the default: values at the Lyndon words; 2: coordinates in the Lyndon basis; 3: the same coordinates, where
        other libraries join increments by the Baker-Campbell-Hausdorff formula (here computed as for 2, which is
        several times faster, and always in float64); 0: values at all words. See `sig_to_log_sig`.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty word, always 0, in front. Without effect for the other methods.
    stream : bool, default False
        The log-signatures of all prefixes of the path: the same as `log_sig_prefixes`. Not together with `correction`.
    correction : array of shape (C,), (length - 1, C) or (..., length - 1, C), default None
        Terms of higher levels that are added to the increments of the segments, as for `sig`; for methods 0, 1 and 2.
        If they are no combinations of brackets, methods 1 and 2 show a part of the logarithm only. The signatures of
        the whole batch are stored then.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., log_sig_length(dimension, degree, ...)), or (..., sig_length(...)) for method 0
        With `stream`, (..., length, ...). Of the library, dtype and device of `path`. NaN and infinity propagate,
        without a warning.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        For a path without channels or of fewer than two axes, a negative degree, an unknown method, or sizes out of
        reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to `path` and `correction`, once, in PyTorch; see `log_sig_backprop`.

    The logarithm loses digits, more of them on higher levels. So for arrays in lower precision than float64, method 3
    is computed in float64 and rounded at the end, as are the other methods from degree 6 on (5 with one or two
    channels); below, 95 of 100 random walks in float32 are right to 3e-5 of the largest entry of a level. In float64
    random walks are right to 5e-14 at level 5 and 3e-8 at level 10. The log-signature of a path of two points is its
    displacement, and exactly 0 at all other words.

    References
    ----------
    K.-T. Chen, "Integration of paths, geometric invariants and a generalized Baker-Hausdorff formula", Annals of
    Mathematics 65 (1957).
    J. Reizenstein and B. Graham, "The iisignature library", ACM Transactions on Mathematical Software 46 (2020),
    arXiv:1802.08252.

    Examples
    --------
    One step right, then one step up: displacement (1, 1), area 1/2.

    >>> import siglib
    >>> siglib.log_sig([[0, 0], [1, 0], [1, 1]], 2)
    array([1. , 1. , 0.5])
    """
    check_no_variant(stream, correction)
    transform, n_threads = as_transform(time_aug, lead_lag, end_time), as_n_threads(n_jobs)
    on, path = backend_for(path=path)
    try:
        dimension, degree, sizes = _path_sizes(path.shape, degree, transform, method, scalar_term)
        out = on.empty((*path.shape[:-2], sizes.length))
    except (SizeError, MemoryError) as error:
        raise size_error(error, path.shape) from None
    method, scalar_term, double, sig_length, _ = sizes
    paths, rows = on.paths(path), on.rows(out)
    if paths.shape[1] == 2 and degree and not transform[1]:
        _segment(on, paths, rows, int(scalar_term), transform)
        return on.result(out)
    work = on.double() if double else on
    tables = tables_for(work, dimension, degree, method)
    blocks = blocks_of(work, len(paths), sig_length)
    sigs = work.scratch((blocks.step, sig_length))
    for start in blocks:
        # A slice costs as much as a tenth of a small call: a batch of one block goes as it is.
        path, row, sig = paths, rows, sigs
        if len(blocks) > 1:
            block = slice(start, start + blocks.step)
            path, row = paths[block], rows[block]
            sig = sigs[: len(path)]
        log = row
        if work is not on:
            path, log = taken(work, path), work.scratch(row.shape)
        work.kernels.signature.sig(path, sig, degree, scalar_term, *transform, n_threads)
        work.kernels.log_signature.sig_to_log_sig(sig, *tables, log, dimension, degree, method, scalar_term, n_threads)
        if work is not on:
            put(work, log, row)
    return on.result(out)


def _segment(on: Any, paths: Any, rows: Any, start: int, transform: tuple[bool, bool, float]) -> None:
    """Log-signatures of paths of two points: the displacement from `start` on, time last, and zeros for all else."""
    letters = start + paths.shape[2]
    time_aug, _, end_time = transform
    with on.current(), np.errstate(all="ignore"):
        rows[:, :start] = 0
        rows[:, start:letters] = paths[:, 1] - paths[:, 0]
        rows[:, letters:] = 0
        if time_aug:
            rows[:, letters] = end_time


@without_compiler
def log_sig_backprop(
    path: Array,
    log_sig_derivs: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    correction: Array = None,
    correction_deriv: bool = False,
    n_jobs: int = 1,
) -> Any:
    """Gradient of `log_sig` with respect to the path and, if asked for, the correction.

    The signatures are computed anew for a block of paths at a time; then `sig_to_log_sig_backprop` gives the
    derivatives with respect to them and `sig_backprop` those with respect to the paths. Nothing of the size of all
    signatures is stored.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The paths that were given to `log_sig`.
    log_sig_derivs : array of the shape of ``log_sig(path, ...)``
        Derivatives of a function F with respect to the log-signatures. For method 0 the entry of the scalar term has no
        effect; it may be there even if `scalar_term` is False.
    degree, time_aug, lead_lag, end_time, method, scalar_term, correction, n_jobs
        As they were given to `log_sig`.
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
        If the shapes do not go together, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    Examples
    --------
    How the area under a path changes with its points:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> siglib.log_sig_backprop(path, np.array([0.0, 0.0, 1.0]), 2)
    array([[-0.5,  0. ],
           [ 0.5, -0.5],
           [ 0. ,  0.5]])
    """
    correction_deriv = as_bool("correction_deriv", correction_deriv)
    time_aug, lead_lag, end_time = transform = as_transform(time_aug, lead_lag, end_time)
    n_threads = as_n_threads(n_jobs)
    if not is_empty(correction):
        on, path, log_sig_derivs, correction = backend_for(
            path=path, log_sig_derivs=log_sig_derivs, correction=correction
        )
        dimension, degree, method, scalar_term = _corrected_sizes(path, degree, time_aug, lead_lag, method, scalar_term)
        if needs_double(dimension, degree, method):
            on = on.double()
            path, correction, log_sig_derivs = map(as_double, (path, correction, log_sig_derivs))
        with_time: dict[str, Any] = {"time_aug": time_aug, "end_time": end_time, "n_jobs": n_threads}
        sig = corrected_sig(path, degree, scalar_term=scalar_term, correction=correction, **with_time)
        derivs = sig_to_log_sig_backprop(sig, log_sig_derivs, dimension, degree, method=method, n_jobs=n_threads)
        found = sig_corrected_backprop(
            path, correction, sig, derivs, degree, scalar_term, correction_deriv, **with_time
        )
        gradients = tuple(None if gradient is None else on.result(gradient) for gradient in found)
        return gradients if correction_deriv else gradients[0]
    if correction_deriv:
        raise ValueError("correction_deriv is True, but there is no correction")
    on, path, log_sig_derivs = backend_for(path=path, log_sig_derivs=log_sig_derivs)
    dimension, degree, sizes = _path_sizes(path.shape, degree, transform, method, scalar_term)
    method, scalar_term, double, sig_length, length = sizes
    log_sig_derivs = _checked_derivs(log_sig_derivs, "path", (*path.shape[:-2], length), method, scalar_term)
    out = on.empty(path.shape)
    paths, derivs, gradients = on.paths(path), on.rows(log_sig_derivs), on.paths(out)
    if paths.shape[1] == 2 and degree and not lead_lag:
        with on.current():
            gradients[:, 1] = derivs[:, int(scalar_term) : int(scalar_term) + paths.shape[2]]
            gradients[:, 0] = -gradients[:, 1]
        return on.result(out)
    work = on.double() if double else on
    tables = tables_for(work, dimension, degree, method, backward=True)
    blocks = blocks_of(work, len(paths), sig_length)
    sigs, sig_derivs = work.scratch((blocks.step, sig_length)), work.scratch((blocks.step, sig_length))
    options = (degree, scalar_term, *transform, n_threads)
    for start in blocks:
        path, deriv, out_part, sig, sig_deriv = paths, derivs, gradients, sigs, sig_derivs
        if len(blocks) > 1:
            block = slice(start, start + blocks.step)
            path, deriv, out_part = paths[block], derivs[block], gradients[block]
            sig, sig_deriv = sigs[: len(path)], sig_derivs[: len(path)]
        gradient = out_part
        if work is not on:
            path, deriv, gradient = taken(work, path), taken(work, deriv), work.scratch(path.shape)
        work.kernels.signature.sig(path, sig, *options)
        work.kernels.log_signature.sig_to_log_sig_backprop(
            sig, deriv, *tables, sig_deriv, dimension, degree, method, scalar_term, n_threads
        )
        work.kernels.signature.sig_backprop(path, sig, sig_deriv, gradient, *options)
        if work is not on:
            put(work, gradient, out_part)
    return on.result(out)
