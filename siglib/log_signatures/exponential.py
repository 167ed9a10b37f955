"""Signatures from log-signatures, and the gradient.

The loops are `_cpu/exponential.pyx`; on a GPU they are made of products (`_gpu/exponential.py`).
"""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import Meaning, as_any_int, as_count, as_n_threads
from .._call.shapes import check_batch, check_like, has_scalar_term, vector_shape
from .._call.tracing import without_compiler
from .._tables import brackets, grades, lyndon, lyndon_cache
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension, checked_tensor_length
from .parts import by_blocks

# Scratch memory grows with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 2**12


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


def _tables(on: Any, dimension: int, degree: int, method: int, backward: bool = False) -> tuple[Any, ...]:
    """What the loops of this backend have to know about brackets."""
    if on.solves_by_levels:
        build = lyndon_cache.expansion_level_tables
        return on.constant(build, dimension, degree, method, on.dtype_name, backward)
    return on.constant(lyndon_cache.expansion_tables, dimension, degree, method, on.dtype_name)


def _as_method(name: str, value: Any) -> int:
    method = as_count(name, value)
    if method == 3:
        raise ValueError("method 3 has the coordinates of method 2: use that")
    if method > 3:
        raise ValueError(f"method must be 0, 1 or 2, got {method}")
    return method


class _LogsigToSig(Operation):
    name = "logsig_to_sig"
    arrays = ("log_sig",)
    options = ("dimension", "degree", "time_aug", "lead_lag", "method", "scalar_term", "n_jobs")
    meanings = {"method": Meaning(_as_method, as_any_int, "SymInt")}
    derivs_name = "sig_derivs"

    def sizes(self, o: Any, log_sig: Any) -> tuple[Any, ...]:
        """(shape, dimension after transforms, whether the signature has the scalar term)."""
        dimension, scalar_term = augmented_dimension(o.dimension, o.time_aug, o.lead_lag), o.scalar_term
        batch, length = vector_shape("log_sig", log_sig)
        n_words = checked_tensor_length(dimension, o.degree)
        if dimension == 1 and o.degree > _MAX_DEGREE_OF_ONE_CHANNEL:
            raise ValueError(f"one channel takes degrees up to {_MAX_DEGREE_OF_ONE_CHANNEL}, got {o.degree}")
        if o.method == 0:
            scalar_term = has_scalar_term("log_sig", length, dimension, o.degree)
        else:
            check_lyndon_length("log_sig", length, dimension, o.degree)
        return (*batch, n_words + scalar_term), dimension, scalar_term

    def polynomial(self, o: Any, log_sig: Any) -> Polynomial:
        dimension = augmented_dimension(o.dimension, o.time_aug, o.lead_lag)
        term = o.method == 0 and has_scalar_term("log_sig", log_sig[-1], dimension, o.degree)
        return grades.of_vectors(o.degree, grades.logarithm(dimension, o.degree, o.method, term))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, log_sig: Array) -> None:
        work, function, matrix, options = self._work(on, "logsig_to_sig", o, sizes, backward=False)

        def compute(log_sigs: Any, sigs: Any) -> None:
            function(log_sigs, matrix, sigs, *options)

        by_blocks(on, work, compute, (on.rows(log_sig),), on.rows(out))

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        shape, _, scalar_term = sizes
        batch, _ = vector_shape("sig_derivs", derivs)
        check_batch("log_sig", shape[:-1], "sig_derivs", batch)
        return check_like("sig_derivs", derivs, "the signature", shape, scalar_term)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, log_sig: Array
    ) -> tuple[Any]:
        gradient = on.empty(log_sig.shape)
        work, function, matrix, options = self._work(on, "logsig_to_sig_backprop", o, sizes, backward=True)

        def compute(log_sigs: Any, sig_derivs: Any, gradients: Any) -> None:
            function(log_sigs, sig_derivs, matrix, gradients, *options)

        by_blocks(on, work, compute, (on.rows(log_sig), on.rows(derivs)), on.rows(gradient))
        return (gradient,)

    def _work(self, on: Any, function: str, o: Any, sizes: Any, backward: bool) -> tuple[Any, ...]:
        """The backend that computes, its function, tables and options: float64 for coordinates in the Lyndon basis."""
        _, dimension, scalar_term = sizes
        work = on.double() if o.method == 2 else on
        options = (dimension, o.degree, scalar_term, as_n_threads(o.n_jobs))
        tables = _tables(work, dimension, o.degree, o.method, backward)
        return work, getattr(work.loops.exponential, function), tables, options


LOGSIG_TO_SIG = _LogsigToSig()


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
    return LOGSIG_TO_SIG(
        log_sig,
        dimension=dimension,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        method=method,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


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
    return LOGSIG_TO_SIG.backprop(
        sig_derivs,
        None,
        log_sig,
        dimension=dimension,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        method=method,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )[0]
