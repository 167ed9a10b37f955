"""Log-signatures of paths that are put together, from the log-signatures of their parts, with gradients.

All of it goes through signatures: exponentials, a product, a logarithm. This is exact, and needs far fewer operations
than the Baker-Campbell-Hausdorff series written out in brackets. It is computed in float64 for arrays of any dtype. The
loops are `_cpu/log_join.pyx` and `_gpu/log_join.py`.
"""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import check_batch, check_like, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades, lyndon_cache
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension
from ..signatures.join import check_displacement
from .exponential import check_lyndon_length
from .parts import PATH_METHOD, as_path_method, log_length


def _tables(on: Any, dimension: int, degree: int, backward: bool = False) -> tuple[Any, ...]:
    """What the loops have to know about Lyndon words and brackets."""
    if on.solves_by_levels:
        return on.constant(lyndon_cache.product_level_tables, dimension, degree, backward)
    return on.constant(lyndon_cache.product_tables, dimension, degree)


class StraightOperation(Operation):
    """Logarithms of straight segments: the letters are the displacement, and all else is zero.

    `sizes` are the shape, the place of the first letter, and how many there are.
    """

    arrays = ("displacement",)

    def polynomial(self, o: Any, displacement: Any) -> Polynomial:
        return grades.of_vectors(o.degree, grades.displacement(o.dimension), degree=1)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, displacement: Array) -> None:
        _, start, letters = sizes
        rows, letter_rows = on.rows(out), on.rows(displacement)
        with on.current():
            rows[:, :start] = 0
            rows[:, start : start + letters] = letter_rows[:, :letters]
            rows[:, start + letters :] = 0

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, displacement: Array
    ) -> tuple[Any]:
        _, start, letters = sizes
        gradient = on.empty(displacement.shape)
        rows, deriv_rows = on.rows(gradient), on.rows(derivs)
        with on.current():
            rows[:, :letters] = deriv_rows[:, start : start + letters]
            rows[:, letters:] = 0
        return (gradient,)


class _LinearLogSig(StraightOperation):
    name = "linear_log_sig"
    options = ("dimension", "degree", "method", "scalar_term", "n_jobs")
    meanings = {"method": PATH_METHOD}

    def sizes(self, o: Any, displacement: Any) -> tuple[Any, ...]:
        """(shape, position of the first letter, number of letters)."""
        method = as_path_method(o.method)
        scalar_term = o.scalar_term and method == 0
        batch = check_displacement(displacement, o.dimension)
        letters = o.dimension if o.degree > 0 else 0
        return (*batch, log_length(o.dimension, o.degree, method, scalar_term)), int(scalar_term), letters

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("derivs", derivs, "the log-signature", sizes[0], True)


LINEAR_LOG_SIG = _LinearLogSig()


def linear_log_sig(
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Log-signature of one straight segment: its displacement, and zeros behind.

    Parameters
    ----------
    displacement : array of shape (..., dimension)
        Last point minus first point of the segments.
    dimension : int
        Number of channels, at least 1.
    degree : int
        Truncation level, at least 0.
    method : {1, 2, 3, 0}
        As for `log_sig`. Method 0 gives as many numbers as a signature has, the others one for each Lyndon word.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty word, always 0, in front. Without effect for the other methods.
    n_jobs : int, default 1
        Accepted for symmetry: there is nothing to compute.

    Returns
    -------
    array of shape (..., log_sig_length(dimension, degree)), or (..., sig_length(...)) for method 0
        Of the library, dtype and device of `displacement`.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        If the last axis of `displacement` has not length `dimension`, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to `displacement`, once, in PyTorch; see `linear_log_sig_backprop`.

    Examples
    --------
    >>> import siglib
    >>> siglib.linear_log_sig([1.0, 2.0], 2, 3)
    array([1., 2., 0., 0., 0.])
    """
    return LINEAR_LOG_SIG(
        displacement, dimension=dimension, degree=degree, method=method, scalar_term=scalar_term, n_jobs=n_jobs
    )


@without_compiler
def linear_log_sig_backprop(
    derivs: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    method: int = 1,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `linear_log_sig` with respect to the displacement: the derivatives of the letters.

    Parameters
    ----------
    derivs : array of the shape of ``linear_log_sig(displacement, ...)``
        Derivatives of a function F with respect to the log-signatures.
    displacement, dimension, degree, method, scalar_term, n_jobs
        As they were given to `linear_log_sig`.

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
    >>> import numpy as np, siglib
    >>> siglib.linear_log_sig_backprop(np.arange(5.0), np.ones(2), 2, 3)
    array([0., 1.])
    """
    return LINEAR_LOG_SIG.backprop(
        derivs,
        None,
        displacement,
        dimension=dimension,
        degree=degree,
        method=method,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )[0]


class _LogSigCombine(Operation):
    name = "log_sig_combine"
    arrays = ("log_sig1", "log_sig2")
    options = ("dimension", "degree", "time_aug", "lead_lag", "n_jobs")
    derivs_name, backprop_names = "deriv", ("ls1", "ls2")

    def sizes(self, o: Any, log_sig1: Any, log_sig2: Any) -> tuple[Any, ...]:
        """(shape, dimension after transforms)."""
        return self._sizes(o, log_sig1, log_sig2, self.arrays)

    def backprop_sizes(self, o: Any, *shapes: Any) -> tuple[Any, ...]:
        return self._sizes(o, shapes[0], shapes[1], self.backprop_names)

    def _sizes(self, o: Any, log_sig1: Any, log_sig2: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
        name1, name2 = names
        dimension = augmented_dimension(o.dimension, o.time_aug, o.lead_lag)
        check_lyndon_length(name1, vector_shape(name1, log_sig1)[1], dimension, o.degree)
        check_like(name2, log_sig2, name1, log_sig1, True)
        return log_sig1, dimension

    def polynomial(self, o: Any, *shapes: Any) -> Polynomial:
        dimension = augmented_dimension(o.dimension, o.time_aug, o.lead_lag)
        return grades.of_vectors(o.degree, *[grades.logarithm(dimension, o.degree, 2, False)] * 2)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, log_sig1: Array, log_sig2: Array) -> None:
        tables = _tables(on, sizes[1], o.degree)
        options = (sizes[1], o.degree, as_n_threads(o.n_jobs))
        on.loops.log_join.log_sig_combine(on.rows(log_sig1), on.rows(log_sig2), tables, on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("deriv", derivs, "ls1", sizes[0], True)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, log_sig1: Array, log_sig2: Array
    ) -> tuple[Any, ...]:
        gradients = on.empty(log_sig1.shape), on.empty(log_sig2.shape)
        on.loops.log_join.log_sig_combine_backprop(
            *map(on.rows, (derivs, log_sig1, log_sig2)),
            _tables(on, sizes[1], o.degree, backward=True),
            *map(on.rows, gradients),
            sizes[1],
            o.degree,
            as_n_threads(o.n_jobs),
        )
        return gradients


LOG_SIG_COMBINE = _LogSigCombine()


def log_sig_combine(
    log_sig1: Array,
    log_sig2: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Log-signature of one path followed by another: the Baker-Campbell-Hausdorff product.

    The logarithm of the product of both exponentials, for any coordinates, also those of no path. Computed in float64
    and rounded to the dtype of the arrays. If one of the two is zero, the other is the result.

    Parameters
    ----------
    log_sig1, log_sig2 : arrays of shape (..., log_sig_length(dimension, degree, ...))
        Coordinates in the Lyndon basis, as methods 2 and 3 of `log_sig` give them, of equal batch shape.
    dimension : int
        Number of channels of the paths, at least 1.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Whether the log-signatures were computed with these transforms.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of the shape of `log_sig1`
        Of the library, dtype and device of the log-signatures.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or sizes are out of reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to both log-signatures, once, in PyTorch; see `log_sig_combine_backprop`.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993, section 3.4.

    Examples
    --------
    One step right and one step up span the area 1/2:

    >>> import siglib
    >>> siglib.log_sig_combine([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], 2, 2)
    array([1. , 1. , 0.5])
    """
    return LOG_SIG_COMBINE(
        log_sig1, log_sig2, dimension=dimension, degree=degree, time_aug=time_aug, lead_lag=lead_lag, n_jobs=n_jobs
    )


@without_compiler
def log_sig_combine_backprop(
    deriv: Array,
    ls1: Array,
    ls2: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    n_jobs: int = 1,
) -> tuple[Array, Array]:
    """Gradients of `log_sig_combine` with respect to both log-signatures.

    Parameters
    ----------
    deriv : array of the shape of `ls1`
        Derivatives of a function F with respect to ``log_sig_combine(ls1, ls2, ...)``.
    ls1, ls2, dimension, degree, time_aug, lead_lag, n_jobs
        As they were given to `log_sig_combine`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `ls1` and `ls2`, of their shapes. Tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or sizes are out of reach.

    Examples
    --------
    How the area that two segments span changes with them:

    >>> import numpy as np, siglib
    >>> right, up = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    >>> siglib.log_sig_combine_backprop(np.array([0.0, 0.0, 1.0]), right, up, 2, 2)
    (array([0.5, 0. , 1. ]), array([0. , 0.5, 1. ]))
    """
    return LOG_SIG_COMBINE.backprop(
        deriv, None, ls1, ls2, dimension=dimension, degree=degree, time_aug=time_aug, lead_lag=lead_lag, n_jobs=n_jobs
    )


class _LogSigJoin(Operation):
    name = "log_sig_join"
    arrays = ("log_sig", "displacement")
    options = ("dimension", "degree", "prepend", "n_jobs")
    derivs_name = "d_out"

    def sizes(self, o: Any, log_sig: Any, displacement: Any) -> tuple[Any, ...]:
        batch, length = vector_shape("log_sig", log_sig)
        check_lyndon_length("log_sig", length, o.dimension, o.degree)
        check_batch("log_sig", batch, "displacement", check_displacement(displacement, o.dimension))
        return (log_sig,)

    def polynomial(self, o: Any, *shapes: Any) -> Polynomial:
        log_sigs = grades.logarithm(o.dimension, o.degree, 2, False)
        return grades.of_vectors(o.degree, log_sigs, grades.displacement(o.dimension))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, log_sig: Array, displacement: Array) -> None:
        tables = _tables(on, o.dimension, o.degree)
        options = (o.dimension, o.degree, o.prepend, as_n_threads(o.n_jobs))
        on.loops.log_join.log_sig_join(on.rows(log_sig), on.rows(displacement), tables, on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("d_out", derivs, "log_sig", sizes[0], True)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, log_sig: Array, displacement: Array
    ) -> tuple[Any, ...]:
        gradients = on.empty(log_sig.shape), on.empty(displacement.shape)
        on.loops.log_join.log_sig_join_backprop(
            *map(on.rows, (derivs, log_sig, displacement)),
            _tables(on, o.dimension, o.degree, backward=True),
            *map(on.rows, gradients),
            o.dimension,
            o.degree,
            o.prepend,
            as_n_threads(o.n_jobs),
        )
        return gradients


LOG_SIG_JOIN = _LogSigJoin()


def log_sig_join(
    log_sig: Array, displacement: Array, dimension: int, degree: int, *, prepend: bool = False, n_jobs: int = 1
) -> Array:
    """Log-signature of a path that is prolonged by one straight segment.

    The same as ``log_sig_combine(log_sig, linear_log_sig(displacement, ..., method=2))``, or with `prepend` in the
    other order, but faster. Computed in float64, too.

    Parameters
    ----------
    log_sig : array of shape (..., log_sig_length(dimension, degree))
        Coordinates in the Lyndon basis, as methods 2 and 3 of `log_sig` give them.
    displacement : array of shape (..., dimension)
        Last point minus first point of the segments; of the batch shape of `log_sig`.
    dimension : int
        Number of channels, at least 1. For log-signatures of transformed paths the channels of the transform count.
    degree : int
        Truncation level, at least 0.
    prepend : bool, default False
        Put the segments in front of the paths instead of behind them.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of the shape of `log_sig`
        Of the library, dtype and device of the arrays.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or sizes are out of reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to both arrays, once, in PyTorch; see `log_sig_join_backprop`.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993, section 3.4.

    Examples
    --------
    >>> import siglib
    >>> siglib.log_sig_join([1.0, 0.0, 0.0], [0.0, 1.0], 2, 2)
    array([1. , 1. , 0.5])
    >>> siglib.log_sig_join([1.0, 0.0, 0.0], [0.0, 1.0], 2, 2, prepend=True)
    array([ 1. ,  1. , -0.5])
    """
    return LOG_SIG_JOIN(log_sig, displacement, dimension=dimension, degree=degree, prepend=prepend, n_jobs=n_jobs)


@without_compiler
def log_sig_join_backprop(
    d_out: Array,
    log_sig: Array,
    displacement: Array,
    dimension: int,
    degree: int,
    *,
    prepend: bool = False,
    n_jobs: int = 1,
) -> tuple[Array, Array]:
    """Gradients of `log_sig_join` with respect to the log-signatures and the displacements.

    Parameters
    ----------
    d_out : array of the shape of `log_sig`
        Derivatives of a function F with respect to ``log_sig_join(log_sig, displacement, ...)``.
    log_sig, displacement, dimension, degree, prepend, n_jobs
        As they were given to `log_sig_join`.

    Returns
    -------
    (array, array)
        Derivatives of F with respect to `log_sig` and `displacement`, of their shapes. Tensors come without an autograd
        graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or sizes are out of reach.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> right, up = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0])
    >>> siglib.log_sig_join_backprop(np.array([0.0, 0.0, 1.0]), right, up, 2, 2)
    (array([0.5, 0. , 1. ]), array([0. , 0.5]))
    """
    return LOG_SIG_JOIN.backprop(
        d_out, None, log_sig, displacement, dimension=dimension, degree=degree, prepend=prepend, n_jobs=n_jobs
    )
