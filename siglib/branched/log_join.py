"""Branched log-signatures of segments, and of paths that are put together, with gradients.

Products are those of planar forests in the coordinates of method 2. They are computed in float64.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_bool, as_n_threads
from .._call.shapes import check_batch, check_like, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from ..log_signatures.join import StraightOperation
from ..log_signatures.parts import put, taken
from ..signatures.join import check_displacement
from .logarithm import log_derivs_have_extra_term
from .shapes import METHOD, check_method, checked_log_length, default_method


def _in_double(on: Any, name: str, rows: Sequence[Array], outs: Sequence[Array], *options: Any) -> None:
    """A launcher of joins in float64, whatever the dtype of the arrays."""
    work = on.double()
    function: Callable[..., None] = getattr(work.loops.branched_join, name)
    given, results = [on.rows(array) for array in rows], [on.rows(array) for array in outs]
    if work is on:
        function(*given, *results, *options)
        return
    found = [work.scratch(result.shape) for result in results]
    function(*(taken(work, array) for array in given), *found, *options)
    for values, result in zip(found, results, strict=True):
        put(work, values, result)


def _check_log_length(name: str, shape: Any, dimension: int, degree: int) -> tuple[int, ...]:
    """The batch axes of planar log-signatures in brackets."""
    batch, length = vector_shape(name, shape)
    expected = checked_log_length(dimension, degree, True, 2)
    if length != expected:
        raise ValueError(
            f"{name} must have length {expected} on its last axis, that of planar branched log-signatures of method 2 "
            f"of dimension {dimension} and degree {degree}, got {length}"
        )
    return batch


class _LinearBranchedLogSig(StraightOperation):
    name = "linear_branched_log_sig"
    options = ("dimension", "degree", "planar", "method", "scalar_term", "n_jobs")
    meanings = {"method": METHOD}

    def sizes(self, o: Any, displacement: Any) -> tuple[Any, ...]:
        """(shape, position of the first letter, number of letters)."""
        check_method(o.method, o.planar, 3)
        scalar_term = o.scalar_term and o.method == 0
        batch = check_displacement(displacement, o.dimension)
        length = checked_log_length(o.dimension, o.degree, o.planar, min(o.method, 2))
        return (*batch, length + scalar_term), int(scalar_term), int(o.dimension) if o.degree > 0 else 0

    def polynomial(self, o: Any, displacement: Any) -> Polynomial:
        return grades.of_vectors(o.degree, grades.displacement(o.dimension), degree=1)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return log_derivs_have_extra_term(derivs, "derivs", "displacement", sizes[0], o.method, bool(sizes[1]))


LINEAR_BRANCHED_LOG_SIG = _LinearBranchedLogSig()


def linear_branched_log_sig(
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    scalar_term: bool = False,
    method: int | None = None,
    n_jobs: int = 1,
) -> Array:
    """Branched log-signature of one straight segment: its displacement, and zeros behind.

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
        With method 0, put the entry of the empty tree, always 0, in front.
    method : {None, 0, 1, 2, 3}, default None
        0: the logarithm at all trees or planar forests. For planar forests also 1: its entries at those that are Lyndon
        words in trees, and 2: coordinates in the basis of their standard brackets. 3 has the coordinates of 2, computed
        in float64 for arrays of any dtype. None is 1 if planar, otherwise 0.
    n_jobs : int, default 1
        Without effect on so little work; checked as everywhere.

    Returns
    -------
    array of shape (..., length)
        As `branched_log_sig` gives it. Of the library, dtype and device of `displacement`.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to `displacement`, once, in PyTorch; see `linear_branched_log_sig_backprop`.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.linear_branched_log_sig(np.array([1.0, 2.0]), 2, 2)
    array([1., 2., 0., 0., 0., 0.])
    """
    planar = as_bool("planar", planar)
    return LINEAR_BRANCHED_LOG_SIG(
        displacement,
        dimension=dimension,
        degree=degree,
        planar=planar,
        method=default_method(method, planar),
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


@without_compiler
def linear_branched_log_sig_backprop(
    derivs: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    scalar_term: bool = False,
    method: int | None = None,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `linear_branched_log_sig` with respect to the displacement: the derivatives of single nodes.

    Parameters
    ----------
    derivs : array of the shape of its result
        Derivatives of a function F with respect to the log-signature. The entry of a scalar term has no effect.
    displacement, dimension, degree, planar, scalar_term, method, n_jobs
        As they were given to `linear_branched_log_sig`.

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
    >>> siglib.linear_branched_log_sig_backprop(np.arange(6.0), np.array([1.0, 2.0]), 2, 2)
    array([0., 1.])
    """
    planar = as_bool("planar", planar)
    return LINEAR_BRANCHED_LOG_SIG.backprop(
        derivs,
        None,
        displacement,
        dimension=dimension,
        degree=degree,
        planar=planar,
        method=default_method(method, planar),
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )[0]


class _BranchedLogSigCombine(Operation):
    name = "branched_log_sig_combine"
    arrays = ("blogsig1", "blogsig2")
    options = ("dimension", "degree", "n_jobs")

    def sizes(self, o: Any, blogsig1: Any, blogsig2: Any) -> tuple[Any, ...]:
        _check_log_length("blogsig1", blogsig1, o.dimension, o.degree)
        check_like("blogsig2", blogsig2, "blogsig1", blogsig1, True)
        return (blogsig1,)

    def polynomial(self, o: Any, *shapes: Any) -> Polynomial:
        return grades.of_vectors(o.degree, *[grades.branched_logarithm(o.dimension, o.degree, True, 2, False)] * 2)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, *blogsigs: Array) -> None:
        options = (o.dimension, o.degree, True, 2, as_n_threads(o.n_jobs))
        _in_double(on, "branched_log_sig_combine", blogsigs, (out,), *options)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, *blogsigs: Array
    ) -> tuple[Any, ...]:
        gradients = tuple(on.empty(blogsig.shape) for blogsig in blogsigs)
        options = (o.dimension, o.degree, True, 2, as_n_threads(o.n_jobs))
        _in_double(on, "branched_log_sig_combine_backprop", (derivs, *blogsigs), gradients, *options)
        return gradients


BRANCHED_LOG_SIG_COMBINE = _BranchedLogSigCombine()


def branched_log_sig_combine(
    blogsig1: Array, blogsig2: Array, dimension: int, degree: int, *, n_jobs: int = 1
) -> Array:
    """Planar branched log-signature of one path followed by another: the Baker-Campbell-Hausdorff product.

    Parameters
    ----------
    blogsig1, blogsig2 : arrays of shape (..., branched_log_sig_length(dimension, degree, planar=True))
        Planar branched log-signatures of method 2 or 3, of equal batch shape.
    dimension : int
        Number of channels of the path, with all transforms, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of the shape of `blogsig1`
        Of the library, dtype and device of the log-signatures. float32 is computed in float64 and rounded at the end.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to both, once, in PyTorch; see `branched_log_sig_combine_backprop`.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> options = {"planar": True, "method": 2}
    >>> first, second = (siglib.branched_log_sig(part, 2, **options) for part in (path[:2], path[1:]))
    >>> siglib.branched_log_sig_combine(first, second, 2, 2)
    array([ 1. ,  1. ,  0.5,  0. ,  0.5, -0.5,  0. ])
    """
    return BRANCHED_LOG_SIG_COMBINE(blogsig1, blogsig2, dimension=dimension, degree=degree, n_jobs=n_jobs)


@without_compiler
def branched_log_sig_combine_backprop(
    derivs: Array, blogsig1: Array, blogsig2: Array, dimension: int, degree: int, *, n_jobs: int = 1
) -> tuple[Array, Array]:
    """Gradients of `branched_log_sig_combine` with respect to both log-signatures.

    Parameters
    ----------
    derivs : array of the shape of `blogsig1`
        Derivatives of a function F with respect to the product.
    blogsig1, blogsig2, dimension, degree, n_jobs
        As they were given to `branched_log_sig_combine`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `blogsig1` and `blogsig2`, of their shapes. Tensors come without an autograd
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
    >>> siglib.branched_log_sig_combine_backprop(np.array([1.0, 2.0]), np.zeros(2), np.ones(2), 2, 1)
    (array([1., 2.]), array([1., 2.]))
    """
    return BRANCHED_LOG_SIG_COMBINE.backprop(
        derivs, None, blogsig1, blogsig2, dimension=dimension, degree=degree, n_jobs=n_jobs
    )


class _BranchedLogSigJoin(Operation):
    name = "branched_log_sig_join"
    arrays = ("blogsig", "displacement")
    options = ("dimension", "degree", "prepend", "n_jobs")

    def sizes(self, o: Any, blogsig: Any, displacement: Any) -> tuple[Any, ...]:
        batch = _check_log_length("blogsig", blogsig, o.dimension, o.degree)
        check_batch("blogsig", batch, "displacement", check_displacement(displacement, o.dimension))
        return (blogsig,)

    def polynomial(self, o: Any, *shapes: Any) -> Polynomial:
        blogsigs = grades.branched_logarithm(o.dimension, o.degree, True, 2, False)
        return grades.of_vectors(o.degree, blogsigs, grades.displacement(o.dimension))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, *arrays: Array) -> None:
        _in_double(on, "branched_log_sig_join", arrays, (out,), o.degree, True, 2, o.prepend, as_n_threads(o.n_jobs))

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, *arrays: Array
    ) -> tuple[Any, ...]:
        gradients = tuple(on.empty(array.shape) for array in arrays)
        options = (o.degree, True, 2, o.prepend, as_n_threads(o.n_jobs))
        _in_double(on, "branched_log_sig_join_backprop", (derivs, *arrays), gradients, *options)
        return gradients


BRANCHED_LOG_SIG_JOIN = _BranchedLogSigJoin()


def branched_log_sig_join(
    blogsig: Array, displacement: Array, dimension: int, degree: int, *, prepend: bool = False, n_jobs: int = 1
) -> Array:
    """Planar branched log-signature of a path that is prolonged by one straight segment.

    Parameters
    ----------
    blogsig : array of shape (..., branched_log_sig_length(dimension, degree, planar=True))
        Planar branched log-signatures of method 2 or 3.
    displacement : array of shape (..., dimension)
        Last point minus first point of each segment.
    dimension : int
        Number of channels of the path, with all transforms, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    prepend : bool, default False
        Put the segment in front of the path in place of behind it.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of the shape of `blogsig`
        Of the library, dtype and device of the log-signatures. float32 is computed in float64 and rounded at the end.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to `blogsig` and `displacement`, once, in PyTorch; see
    `branched_log_sig_join_backprop`.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> log = siglib.linear_branched_log_sig(np.array([1.0, 0.0]), 2, 2, planar=True)
    >>> siglib.branched_log_sig_join(log, np.array([0.0, 1.0]), 2, 2)
    array([ 1. ,  1. ,  0.5,  0. ,  0.5, -0.5,  0. ])
    """
    return BRANCHED_LOG_SIG_JOIN(
        blogsig, displacement, dimension=dimension, degree=degree, prepend=prepend, n_jobs=n_jobs
    )


@without_compiler
def branched_log_sig_join_backprop(
    derivs: Array,
    blogsig: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    prepend: bool = False,
    n_jobs: int = 1,
) -> tuple[Array, Array]:
    """Gradients of `branched_log_sig_join` with respect to the log-signatures and the displacements.

    Parameters
    ----------
    derivs : array of the shape of `blogsig`
        Derivatives of a function F with respect to the result.
    blogsig, displacement, dimension, degree, prepend, n_jobs
        As they were given to `branched_log_sig_join`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `blogsig` and `displacement`, of their shapes. Tensors come without an
        autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.branched_log_sig_join_backprop(np.array([1.0, 2.0]), np.zeros(2), np.ones(2), 2, 1)
    (array([1., 2.]), array([1., 2.]))
    """
    return BRANCHED_LOG_SIG_JOIN.backprop(
        derivs, None, blogsig, displacement, dimension=dimension, degree=degree, prepend=prepend, n_jobs=n_jobs
    )
