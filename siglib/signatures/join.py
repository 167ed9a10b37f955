"""Signatures of one straight segment, and signatures of paths that are prolonged by one, with gradients.

The loops are `_cpu/join.pyx`; on a GPU they are made of those for signatures and products (`_gpu/join.py`).
"""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import check_batch, check_like, has_scalar_term, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import checked_tensor_length


def check_displacement(shape: tuple[int, ...], dimension: int) -> tuple[int, ...]:
    """The batch shape of displacements; ValueError if they have not `dimension` channels."""
    batch, channels = vector_shape("displacement", shape)
    if channels != dimension:
        raise ValueError(
            f"displacement must have shape (..., dimension), here {dimension} on the last axis, got {tuple(shape)}"
        )
    return batch


class _LinearSig(Operation):
    name = "linear_sig"
    arrays = ("displacement",)
    options = ("dimension", "degree", "scalar_term", "n_jobs")

    def sizes(self, o: Any, displacement: Any) -> tuple[Any, ...]:
        batch = check_displacement(displacement, o.dimension)
        return ((*batch, checked_tensor_length(o.dimension, o.degree) + o.scalar_term),)

    def polynomial(self, o: Any, displacement: Any) -> Polynomial:
        return grades.of_vectors(o.degree, grades.displacement(o.dimension))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, displacement: Array) -> None:
        n_threads = as_n_threads(o.n_jobs)
        on.loops.join.linear_sig(on.rows(displacement), on.rows(out), o.degree, o.scalar_term, n_threads)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("derivs", derivs, "the signature", sizes[0], True)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, displacement: Array
    ) -> tuple[Any]:
        gradient = on.empty(displacement.shape)
        on.loops.join.linear_sig_backprop(
            on.rows(derivs), on.rows(displacement), on.rows(gradient), o.degree, o.scalar_term, as_n_threads(o.n_jobs)
        )
        return (gradient,)


LINEAR_SIG = _LinearSig()


def linear_sig(
    displacement: Array, dimension: int, degree: int, *, scalar_term: bool = False, n_jobs: int = 1
) -> Array:
    """Signature of one straight segment: the exponential of its displacement.

    On a word of length k it is the product of the displacement's entries at the letters, divided by k!.

    Parameters
    ----------
    displacement : array of shape (..., dimension)
        Last point minus first point of the segments.
    dimension : int
        Number of channels, at least 1.
    degree : int
        Truncation level, at least 0.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., sig_length(dimension, degree))
        Of the library, dtype and device of `displacement`.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        If the last axis of `displacement` has not length `dimension`, or the result more than 2**63 numbers.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to `displacement`, once, in PyTorch; see `linear_sig_backprop`.

    References
    ----------
    K.-T. Chen, "Integration of paths: a faithful representation of paths by noncommutative formal power series",
    Transactions of the AMS 89 (1958).

    Examples
    --------
    >>> import siglib
    >>> siglib.linear_sig([1.0, 2.0], 2, 2)
    array([1. , 2. , 0.5, 1. , 1. , 2. ])
    """
    return LINEAR_SIG(displacement, dimension=dimension, degree=degree, scalar_term=scalar_term, n_jobs=n_jobs)


@without_compiler
def linear_sig_backprop(
    derivs: Array, displacement: Array, dimension: int, degree: int, *, scalar_term: bool = False, n_jobs: int = 1
) -> Array:
    """Gradient of `linear_sig` with respect to the displacement.

    Parameters
    ----------
    derivs : array of the shape of ``linear_sig(displacement, ...)``
        Derivatives of a function F with respect to the signatures. The entry of the scalar term has no effect.
    displacement, dimension, degree, scalar_term, n_jobs
        As they were given to `linear_sig`.

    Returns
    -------
    array of the shape of `displacement`
        Derivatives of F with respect to `displacement`. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If the shapes do not go together.

    Examples
    --------
    The word 01 is the product of both entries, divided by 2:

    >>> import numpy as np, siglib
    >>> siglib.linear_sig_backprop(np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), np.array([3.0, 5.0]), 2, 2)
    array([2.5, 1.5])
    """
    return LINEAR_SIG.backprop(
        derivs, None, displacement, dimension=dimension, degree=degree, scalar_term=scalar_term, n_jobs=n_jobs
    )[0]


class _SigJoin(Operation):
    name = "sig_join"
    arrays = ("sig", "displacement")
    options = ("dimension", "degree", "prepend", "n_jobs")
    derivs_name = "d_out"

    def sizes(self, o: Any, sig: Any, displacement: Any) -> tuple[Any, ...]:
        """(shape, scalar term of sig)."""
        batch, length = vector_shape("sig", sig)
        scalar_term = has_scalar_term("sig", length, o.dimension, o.degree)
        check_batch("sig", batch, "displacement", check_displacement(displacement, o.dimension))
        return sig, scalar_term

    def polynomial(self, o: Any, sig: Any, displacement: Any) -> Polynomial:
        sigs = grades.tensor(o.dimension, o.degree, has_scalar_term("sig", sig[-1], o.dimension, o.degree))
        return grades.of_vectors(o.degree, sigs, grades.displacement(o.dimension))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, sig: Array, displacement: Array) -> None:
        options = (o.degree, sizes[1], o.prepend, as_n_threads(o.n_jobs))
        on.loops.join.sig_join(on.rows(sig), on.rows(displacement), on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("d_out", derivs, "sig", *sizes)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, sig: Array, displacement: Array
    ) -> tuple[Any, ...]:
        d_sig, d_displacement = on.empty(sig.shape), on.empty(displacement.shape)
        on.loops.join.sig_join_backprop(
            on.rows(derivs),
            on.rows(sig),
            on.rows(displacement),
            on.rows(d_sig),
            on.rows(d_displacement),
            o.degree,
            sizes[1],
            o.prepend,
            as_n_threads(o.n_jobs),
        )
        return d_sig, d_displacement


SIG_JOIN = _SigJoin()


def sig_join(
    sig: Array, displacement: Array, dimension: int, degree: int, *, prepend: bool = False, n_jobs: int = 1
) -> Array:
    """Signature of a path that is prolonged by one straight segment.

    The product of `sig` and ``linear_sig(displacement)``, or with `prepend` in the other order, by Horner's scheme:
    about one multiplication for each coefficient.

    Parameters
    ----------
    sig : array of shape (..., sig_length(dimension, degree))
        Signatures, with or without the scalar term, which counts as 1 whatever is stored.
    displacement : array of shape (..., dimension)
        Last point minus first point of the segments; of the batch shape of `sig`.
    dimension : int
        Number of channels, at least 1. For signatures of transformed paths the channels of the transform count.
    degree : int
        Truncation level, at least 0.
    prepend : bool, default False
        Put the segments in front of the paths instead of behind them.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of the shape of `sig`
        Of the library, dtype and device of the arrays.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together.

    Notes
    -----
    Differentiable with respect to both arrays, once, in PyTorch; see `sig_join_backprop`.

    References
    ----------
    P. Kidger and T. Lyons, "Signatory: differentiable computations of the signature and logsignature transforms, on
    both CPU and GPU", ICLR 2021, arXiv:2001.00706, for the scheme.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> siglib.sig_join(siglib.sig(path[:2], 2), path[2] - path[1], 2, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    """
    return SIG_JOIN(sig, displacement, dimension=dimension, degree=degree, prepend=prepend, n_jobs=n_jobs)


@without_compiler
def sig_join_backprop(
    d_out: Array,
    sig: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    prepend: bool = False,
    n_jobs: int = 1,
) -> tuple[Array, Array]:
    """Gradients of `sig_join` with respect to the signatures and the displacements.

    Parameters
    ----------
    d_out : array of the shape of `sig`
        Derivatives of a function F with respect to ``sig_join(sig, displacement, ...)``. The entry of the scalar term
        has no effect; it may be there even if `sig` has none.
    sig, displacement, dimension, degree, prepend, n_jobs
        As they were given to `sig_join`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `sig` (0 at the scalar term) and `displacement`, of their shapes. Tensors come
        without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together.

    Examples
    --------
    The first level of the result is the sum of both:

    >>> import numpy as np, siglib
    >>> siglib.sig_join_backprop(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0]), 2, 1)
    (array([1., 2.]), array([1., 2.]))
    """
    return SIG_JOIN.backprop(
        d_out, None, sig, displacement, dimension=dimension, degree=degree, prepend=prepend, n_jobs=n_jobs
    )
