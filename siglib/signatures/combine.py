"""The product of signatures, and its gradient. The loops are those of `signature`."""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import check_like, has_scalar_term, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension


class _SigCombine(Operation):
    name = "sig_combine"
    arrays = ("sig1", "sig2")
    options = ("dimension", "degree", "time_aug", "lead_lag", "n_jobs")
    derivs_name = "deriv"

    def sizes(self, o: Any, sig1: Any, sig2: Any) -> tuple[Any, ...]:
        """(shape, dimension after transforms, scalar term of sig1, scalar term of sig2)."""
        dimension = augmented_dimension(o.dimension, o.time_aug, o.lead_lag)
        scalar_term = has_scalar_term("sig1", vector_shape("sig1", sig1)[1], dimension, o.degree)
        return sig1, dimension, scalar_term, check_like("sig2", sig2, "sig1", sig1, scalar_term) or scalar_term

    def polynomial(self, o: Any, *shapes: Any) -> Polynomial:
        dimension = augmented_dimension(o.dimension, o.time_aug, o.lead_lag)
        terms = [has_scalar_term("sig", shape[-1], dimension, o.degree) for shape in shapes]
        return grades.of_vectors(o.degree, *(grades.tensor(dimension, o.degree, term) for term in terms), degree=2)

    def forward(self, on: Any, out: Array, o: Any, sizes: tuple[Any, ...], sig1: Array, sig2: Array) -> None:
        _, dimension, term1, term2 = sizes
        on.loops.signature.sig_combine(
            on.rows(sig1), on.rows(sig2), on.rows(out), dimension, o.degree, term1, term2, as_n_threads(o.n_jobs)
        )

    def has_extra_term(self, derivs: Any, o: Any, sizes: tuple[Any, ...]) -> bool:
        shape, _, scalar_term, _ = sizes
        return check_like("deriv", derivs, "sig1", shape, scalar_term)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: tuple[Any, ...], sig1: Array, sig2: Array
    ) -> tuple[Array, Array]:
        _, dimension, term1, term2 = sizes
        d_sig1, d_sig2 = on.empty(sig1.shape), on.empty(sig2.shape)
        on.loops.signature.sig_combine_backprop(
            on.rows(derivs),
            on.rows(sig1),
            on.rows(sig2),
            on.rows(d_sig1),
            on.rows(d_sig2),
            dimension,
            o.degree,
            term1,
            term2,
            as_n_threads(o.n_jobs),
        )
        return d_sig1, d_sig2


SIG_COMBINE = _SigCombine()


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
    return SIG_COMBINE(
        sig1, sig2, dimension=dimension, degree=degree, time_aug=time_aug, lead_lag=lead_lag, n_jobs=n_jobs
    )


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
    return SIG_COMBINE.backprop(
        deriv, None, sig1, sig2, dimension=dimension, degree=degree, time_aug=time_aug, lead_lag=lead_lag, n_jobs=n_jobs
    )
