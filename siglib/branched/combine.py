"""Products of branched signatures, and the gradient."""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import check_like
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .shapes import has_scalar_term


class _BranchedSigCombine(Operation):
    name = "branched_sig_combine"
    arrays = ("bsig1", "bsig2")
    options = ("dimension", "degree", "planar", "n_jobs")

    def sizes(self, o: Any, bsig1: Any, bsig2: Any) -> tuple[Any, ...]:
        """(shape, scalar term of bsig1, whether bsig2 has one more)."""
        scalar_term = has_scalar_term("bsig1", bsig1, o.dimension, o.degree, o.planar)
        return bsig1, scalar_term, check_like("bsig2", bsig2, "bsig1", bsig1, scalar_term)

    def polynomial(self, o: Any, *shapes: Any) -> Polynomial:
        terms = [has_scalar_term("bsig", shape, o.dimension, o.degree, o.planar) for shape in shapes]
        return grades.of_vectors(o.degree, *(grades.branched(o.dimension, o.degree, o.planar, term) for term in terms))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, bsig1: Array, bsig2: Array) -> None:
        second = bsig2[..., 1:] if sizes[2] else bsig2
        trees = (o.dimension, o.degree, o.planar, as_n_threads(o.n_jobs))
        on.loops.branched.branched_sig_combine(on.rows(bsig1), on.rows(second), on.rows(out), *trees)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("derivs", derivs, "bsig1", sizes[0], sizes[1])

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, bsig1: Array, bsig2: Array
    ) -> tuple[Any, ...]:
        second = bsig2[..., 1:] if sizes[2] else bsig2
        d_bsig1, d_bsig2 = on.empty(bsig1.shape), on.empty(second.shape)
        on.loops.branched.branched_sig_combine_backprop(
            *map(on.rows, (derivs, bsig1, second, d_bsig1, d_bsig2)),
            *(o.dimension, o.degree, o.planar, as_n_threads(o.n_jobs)),
        )
        if sizes[2]:
            whole = on.empty(bsig2.shape)
            with on.current():
                on.view(whole)[..., :1] = 0
                on.view(whole)[..., 1:] = on.view(d_bsig2)
            d_bsig2 = whole
        return d_bsig1, d_bsig2


BRANCHED_SIG_COMBINE = _BranchedSigCombine()


def branched_sig_combine(
    bsig1: Array, bsig2: Array, dimension: int, degree: int, *, planar: bool = False, n_jobs: int = 1
) -> Array:
    """Product of two branched signatures: that of one path followed by another (Chen's identity).

    The value at a tree is the sum over its admissible cuts: `bsig1` at the forest that is cut off, which is integrated
    first, times `bsig2` at what is left with the root. On the empty tree both count as 1, whatever is stored.

    Parameters
    ----------
    bsig1, bsig2 : arrays of shape (..., branched_sig_length(dimension, degree, ...))
        Branched signatures of equal batch shape, with or without the scalar term. If `bsig2` has it and `bsig1` has
        not, it is dropped.
    dimension : int
        Number of channels of the path, with all transforms, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of the shape of `bsig1`
        Of the library, dtype and device of the branched signatures.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to both, once, in PyTorch; see `branched_sig_combine_backprop`.

    References
    ----------
    A. Connes and D. Kreimer, "Hopf algebras, renormalization and noncommutative geometry", Communications in
    Mathematical Physics 199 (1998), arXiv:hep-th/9808042.

    H. Munthe-Kaas and W. Wright, "On the Hopf algebraic structure of Lie group integrators", Foundations of
    Computational Mathematics 8 (2008), arXiv:math/0603023.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> first, second = siglib.branched_sig(path[:2], 2), siglib.branched_sig(path[1:], 2)
    >>> siglib.branched_sig_combine(first, second, 2, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    """
    return BRANCHED_SIG_COMBINE(bsig1, bsig2, dimension=dimension, degree=degree, planar=planar, n_jobs=n_jobs)


@without_compiler
def branched_sig_combine_backprop(
    derivs: Array, bsig1: Array, bsig2: Array, dimension: int, degree: int, *, planar: bool = False, n_jobs: int = 1
) -> tuple[Array, Array]:
    """Gradients of `branched_sig_combine` with respect to both branched signatures.

    Parameters
    ----------
    derivs : array of the shape of `bsig1`
        Derivatives of a function F with respect to the product. The entry of the scalar term has no effect; it may be
        there even if `bsig1` has none.
    bsig1, bsig2, dimension, degree, planar, n_jobs
        As they were given to `branched_sig_combine`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `bsig1` and `bsig2`, of their shapes; 0 at the scalar terms. Tensors come
        without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.branched_sig_combine_backprop(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0]), 2, 1)
    (array([1., 2.]), array([1., 2.]))
    """
    return BRANCHED_SIG_COMBINE.backprop(
        derivs, None, bsig1, bsig2, dimension=dimension, degree=degree, planar=planar, n_jobs=n_jobs
    )
