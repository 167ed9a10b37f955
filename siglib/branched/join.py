"""Branched signatures of one straight segment, and of paths that are prolonged by one, with gradients."""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import check_batch, check_like, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from ..signatures.join import check_displacement
from .shapes import checked_length, has_scalar_term


class _LinearBranchedSig(Operation):
    name = "linear_branched_sig"
    arrays = ("displacement",)
    options = ("dimension", "degree", "planar", "scalar_term", "n_jobs")

    def sizes(self, o: Any, displacement: Any) -> tuple[Any, ...]:
        batch = check_displacement(displacement, o.dimension)
        return ((*batch, checked_length(o.dimension, o.degree, o.planar) + o.scalar_term),)

    def polynomial(self, o: Any, displacement: Any) -> Polynomial:
        return grades.of_vectors(o.degree, grades.displacement(o.dimension))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, displacement: Array) -> None:
        options = (o.degree, o.planar, as_n_threads(o.n_jobs))
        on.loops.branched_join.linear_branched_sig(on.rows(displacement), on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("derivs", derivs, "the branched signature", sizes[0], o.scalar_term)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, displacement: Array
    ) -> tuple[Any]:
        gradient = on.empty(displacement.shape)
        on.loops.branched_join.linear_branched_sig_backprop(
            on.rows(derivs), on.rows(displacement), on.rows(gradient), o.degree, o.planar, as_n_threads(o.n_jobs)
        )
        return (gradient,)


LINEAR_BRANCHED_SIG = _LinearBranchedSig()


def linear_branched_sig(
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Branched signature of one straight segment: the exponential of its displacement.

    Its coefficient at a tree that is not planar is the product of the displacements of the labels over the tree's
    factorial, the product of the numbers of nodes of all its subtrees.

    Parameters
    ----------
    displacement : array of shape (..., dimension)
        Last point minus first point of each segment.
    dimension : int
        Number of channels of the path, with all transforms, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    scalar_term : bool, default False
        Put the coefficient of the empty tree, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of shape (..., branched_sig_length(dimension, degree, ...))
        Of the library, dtype and device of `displacement`.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to `displacement`, once, in PyTorch; see `linear_branched_sig_backprop`.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.linear_branched_sig(np.array([3.0]), 1, 3)
    array([3. , 4.5, 9. , 4.5])
    """
    return LINEAR_BRANCHED_SIG(
        displacement, dimension=dimension, degree=degree, planar=planar, scalar_term=scalar_term, n_jobs=n_jobs
    )


@without_compiler
def linear_branched_sig_backprop(
    derivs: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `linear_branched_sig` with respect to the displacement.

    Parameters
    ----------
    derivs : array of the shape of its result
        Derivatives of a function F with respect to the branched signature. The entry of the scalar term has no effect;
        it may be there in any case.
    displacement, dimension, degree, planar, scalar_term, n_jobs
        As they were given to `linear_branched_sig`.

    Returns
    -------
    array of shape (..., dimension)
        Derivatives of F with respect to `displacement`. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.linear_branched_sig_backprop(np.array([1.0, 1.0]), np.array([3.0]), 1, 2)
    array([4.])
    """
    return LINEAR_BRANCHED_SIG.backprop(
        derivs,
        None,
        displacement,
        dimension=dimension,
        degree=degree,
        planar=planar,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )[0]


class _BranchedSigJoin(Operation):
    name = "branched_sig_join"
    arrays = ("bsig", "displacement")
    options = ("dimension", "degree", "planar", "prepend", "n_jobs")

    def sizes(self, o: Any, bsig: Any, displacement: Any) -> tuple[Any, ...]:
        """(shape, scalar term of bsig)."""
        scalar_term = has_scalar_term("bsig", bsig, o.dimension, o.degree, o.planar)
        batch = vector_shape("bsig", bsig)[0]
        check_batch("bsig", batch, "displacement", check_displacement(displacement, o.dimension))
        return bsig, scalar_term

    def polynomial(self, o: Any, bsig: Any, displacement: Any) -> Polynomial:
        term = has_scalar_term("bsig", bsig, o.dimension, o.degree, o.planar)
        bsigs = grades.branched(o.dimension, o.degree, o.planar, term)
        return grades.of_vectors(o.degree, bsigs, grades.displacement(o.dimension))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, bsig: Array, displacement: Array) -> None:
        options = (o.degree, o.planar, o.prepend, as_n_threads(o.n_jobs))
        on.loops.branched_join.branched_sig_join(on.rows(bsig), on.rows(displacement), on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("derivs", derivs, "bsig", *sizes)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, bsig: Array, displacement: Array
    ) -> tuple[Any, ...]:
        gradients = on.empty(bsig.shape), on.empty(displacement.shape)
        on.loops.branched_join.branched_sig_join_backprop(
            *map(on.rows, (derivs, bsig, displacement, *gradients)),
            *(o.degree, o.planar, o.prepend, as_n_threads(o.n_jobs)),
        )
        return gradients


BRANCHED_SIG_JOIN = _BranchedSigJoin()


def branched_sig_join(
    bsig: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    prepend: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Branched signature of a path that is prolonged by one straight segment.

    Parameters
    ----------
    bsig : array of shape (..., branched_sig_length(dimension, degree, ...))
        Branched signatures, with or without the scalar term.
    displacement : array of shape (..., dimension)
        Last point minus first point of each segment.
    dimension : int
        Number of channels of the path, with all transforms, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    prepend : bool, default False
        Put the segment in front of the path in place of behind it.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of the shape of `bsig`
        Of the library, dtype and device of the branched signatures.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to `bsig` and `displacement`, once, in PyTorch; see `branched_sig_join_backprop`.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> bsig = siglib.branched_sig(np.array([[0.0, 0.0], [1.0, 0.0]]), 2)
    >>> siglib.branched_sig_join(bsig, np.array([0.0, 1.0]), 2, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    """
    return BRANCHED_SIG_JOIN(
        bsig, displacement, dimension=dimension, degree=degree, planar=planar, prepend=prepend, n_jobs=n_jobs
    )


@without_compiler
def branched_sig_join_backprop(
    derivs: Array,
    bsig: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    prepend: bool = False,
    n_jobs: int = 1,
) -> tuple[Array, Array]:
    """Gradients of `branched_sig_join` with respect to the branched signatures and the displacements.

    Parameters
    ----------
    derivs : array of the shape of `bsig`
        Derivatives of a function F with respect to the result. The entry of the scalar term has no effect.
    bsig, displacement, dimension, degree, planar, prepend, n_jobs
        As they were given to `branched_sig_join`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `bsig` and `displacement`, of their shapes. Tensors come without an autograd
        graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.branched_sig_join_backprop(np.array([1.0, 2.0]), np.zeros(2), np.ones(2), 2, 1)
    (array([1., 2.]), array([1., 2.]))
    """
    return BRANCHED_SIG_JOIN.backprop(
        derivs,
        None,
        bsig,
        displacement,
        dimension=dimension,
        degree=degree,
        planar=planar,
        prepend=prepend,
        n_jobs=n_jobs,
    )
