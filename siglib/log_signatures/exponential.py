"""Signatures from log-signatures, and the gradient.

The kernels are `_cpu/exponential.pyx`; on a GPU they are made of products (`_gpu/exponential.py`).
"""

from typing import Any

from .._call.backend import Array, backend_for
from .._call.options import as_bool, as_int, as_n_threads
from .._call.shapes import check_batch, check_like, has_scalar_term, vector_shape
from .._call.torch import differentiable
from .._call.tracing import without_compiler
from .._tables import brackets, lyndon, lyndon_cache
from .._tables.sizes import augmented_dimension, checked_tensor_length
from .parts import by_blocks

# Scratch memory grows with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 2**12


def _sizes(
    log_sig: tuple[int, ...],
    dimension: Any,
    degree: Any,
    time_aug: Any,
    lead_lag: Any,
    method: Any,
    scalar_term: Any,
) -> tuple[int, int, int, bool, tuple[int, ...]]:
    """(dimension after transforms, degree, method, whether the signature has the scalar term, its shape)."""
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    method = as_int("method", method, 0)
    if method == 3:
        raise ValueError("method 3 has the coordinates of method 2: use that")
    if method > 3:
        raise ValueError(f"method must be 0, 1 or 2, got {method}")
    scalar_term = as_bool("scalar_term", scalar_term)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    batch, length = vector_shape("log_sig", log_sig)
    n_words = checked_tensor_length(dimension, degree)
    if dimension == 1 and degree > _MAX_DEGREE_OF_ONE_CHANNEL:
        raise ValueError(f"one channel takes degrees up to {_MAX_DEGREE_OF_ONE_CHANNEL}, got {degree}")
    if method == 0:
        scalar_term = has_scalar_term("log_sig", length, dimension, degree)
    else:
        check_lyndon_length("log_sig", length, dimension, degree)
    return dimension, degree, method, scalar_term, (*batch, n_words + scalar_term)


def check_lyndon_length(name: str, length: int, dimension: int, degree: int) -> None:
    """ValueError unless there is one number for each Lyndon word, and the tables of brackets are within reach."""
    checked_size, check_brackets = lyndon.checked_size, brackets.check_size
    if type(dimension) is not int:
        # The symbolic sizes of torch.compile cannot be looked up in a cache.
        checked_size, check_brackets = checked_size.__wrapped__, check_brackets.__wrapped__  # type: ignore[assignment]
    expected = checked_size(dimension, degree)
    if length != expected:
        raise ValueError(
            f"{name} must have length {expected} on its last axis, one for each Lyndon word of dimension {dimension} "
            f"and degree {degree}, got {length}"
        )
    check_brackets(dimension, degree)


def _working(on: Any, method: int) -> Any:
    """The backend that computes: what starts from coordinates in the Lyndon basis is computed in float64."""
    return on.double() if method == 2 else on


def tables(on: Any, dimension: int, degree: int, method: int, backward: bool = False) -> tuple[Any, ...]:
    """What the kernels of this backend have to know about brackets."""
    if on.solves_by_levels:
        build = lyndon_cache.expansion_level_tables
        return on.constant(build, dimension, degree, method, on.dtype_name, backward)
    return on.constant(lyndon_cache.expansion_tables, dimension, degree, method, on.dtype_name)


def _logsig_to_sig_shape(
    log_sig: tuple[int, ...],
    dimension: int,
    degree: int,
    *,
    time_aug: bool,
    lead_lag: bool,
    method: int,
    scalar_term: bool,
    n_jobs: int,
) -> tuple[int, ...]:
    as_n_threads(n_jobs)
    return _sizes(log_sig, dimension, degree, time_aug, lead_lag, method, scalar_term)[-1]


def _logsig_to_sig_vjp(derivs: Array, out: Array, log_sig: Array, *args: Any, **options: Any) -> tuple[Array]:
    return (logsig_to_sig_backprop(log_sig, derivs, *args, **options),)


@differentiable(_logsig_to_sig_vjp, _logsig_to_sig_shape, needs_out=False)
def logsig_to_sig(
    log_sig: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Signatures from log-signatures: the inverse of `sig_to_log_sig`.

    The exponential of the truncated tensor algebra, 1 + x + x (x) x / 2! + ..., of the tensor x that the
    log-signature stands for.

    Parameters
    ----------
    log_sig : array of shape (..., log_sig_length(dimension, degree, ...)), or (..., sig_length(...)) for method 0
        Log-signatures. For method 0 any numbers, with or without the scalar term, which counts as 0 whatever is
        stored.
    dimension : int
        Number of channels of the path, at least 1.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Whether the log-signatures were computed with these transforms.
    method : {1, 2, 0}
        What `log_sig` holds. 1, the default: values at the Lyndon words; 2: coordinates in the Lyndon basis, as of
        methods 2 and 3 of `log_sig`; 0: values at all words.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front. For method 0 the result has the format of `log_sig`
        instead.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., sig_length(dimension, degree, ...))
        Of the library, dtype and device of `log_sig`.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        If the length of `log_sig` does not fit `dimension` and `degree`, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to `log_sig`, once, in PyTorch; see `logsig_to_sig_backprop`.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993: section 3.1 for the exponential, section 5.1 for
    the basis.

    Examples
    --------
    >>> import siglib
    >>> siglib.logsig_to_sig([1.0, 1.0, 0.5], 2, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    """
    on, log_sig = backend_for(log_sig=log_sig)
    dimension, degree, method, scalar_term, shape = _sizes(
        log_sig.shape, dimension, degree, time_aug, lead_lag, method, scalar_term
    )
    n_threads = as_n_threads(n_jobs)
    out = on.empty(shape)
    work = _working(on, method)
    matrix = tables(work, dimension, degree, method)
    kernel = work.kernels.exponential.logsig_to_sig

    def compute(log_sigs: Any, sigs: Any) -> None:
        kernel(log_sigs, *matrix, sigs, dimension, degree, scalar_term, n_threads)

    by_blocks(on, work, compute, (on.rows(log_sig),), on.rows(out))
    return on.result(out)


@without_compiler
def logsig_to_sig_backprop(
    log_sig: Array,
    sig_derivs: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `logsig_to_sig` with respect to the log-signatures.

    Exact: the adjoint of Horner's scheme for the exponential, then that of the expansion of brackets.

    Parameters
    ----------
    log_sig : array
        The log-signatures that were given to `logsig_to_sig`.
    sig_derivs : array of the shape of ``logsig_to_sig(log_sig, ...)``
        Derivatives of a function F with respect to the signatures. The entry of the scalar term has no effect; it may
        be there even if the signature has none.
    dimension, degree, time_aug, lead_lag, method, scalar_term, n_jobs
        As they were given to `logsig_to_sig`.

    Returns
    -------
    array of the shape of `log_sig`
        Derivatives of F with respect to `log_sig`; 0 at the scalar term. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, for an unknown method, or sizes out of reach.

    Examples
    --------
    At degree 2 the word 01 of the signature is the area plus half of the product of both displacements:

    >>> import numpy as np, siglib
    >>> word_01 = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    >>> siglib.logsig_to_sig_backprop(np.array([3.0, 5.0, 0.25]), word_01, 2, 2)
    array([2.5, 1.5, 1. ])
    """
    on, log_sig, sig_derivs = backend_for(log_sig=log_sig, sig_derivs=sig_derivs)
    dimension, degree, method, scalar_term, shape = _sizes(
        log_sig.shape, dimension, degree, time_aug, lead_lag, method, scalar_term
    )
    batch, _ = vector_shape("sig_derivs", sig_derivs.shape)
    check_batch("log_sig", shape[:-1], "sig_derivs", batch)
    if check_like("sig_derivs", sig_derivs.shape, "the signature", shape, scalar_term):
        sig_derivs = sig_derivs[..., 1:]
    n_threads = as_n_threads(n_jobs)
    out = on.empty(log_sig.shape)
    work = _working(on, method)
    matrix = tables(work, dimension, degree, method, backward=True)
    kernel = work.kernels.exponential.logsig_to_sig_backprop

    def compute(log_sigs: Any, derivs: Any, gradients: Any) -> None:
        kernel(log_sigs, derivs, *matrix, gradients, dimension, degree, scalar_term, n_threads)

    by_blocks(on, work, compute, (on.rows(log_sig), on.rows(sig_derivs)), on.rows(out))
    return on.result(out)
