"""Log-signatures of paths that are put together, from the log-signatures of their parts, with gradients.

All of it goes through signatures: exponentials, a product, a logarithm. This is exact, and needs far fewer operations
than the Baker-Campbell-Hausdorff series written out in brackets. It is computed in float64 for arrays of any dtype. The
kernels are `_cpu/log_join.pyx` and `_gpu/log_join.py`.
"""

from typing import Any

from .._call.backend import Array, backend_for
from .._call.options import as_bool, as_int, as_n_threads
from .._call.shapes import check_batch, check_like, vector_shape
from .._call.torch import differentiable
from .._call.tracing import without_compiler
from .._tables import lyndon_cache
from .._tables.sizes import augmented_dimension
from ..signatures.join import check_displacement
from .exponential import check_lyndon_length
from .parts import as_path_method, log_length


def _tables(on: Any, dimension: int, degree: int, backward: bool = False) -> tuple[Any, ...]:
    """What the kernels have to know about Lyndon words and brackets."""
    if on.solves_by_levels:
        return on.constant(lyndon_cache.product_level_tables, dimension, degree, backward)
    return on.constant(lyndon_cache.product_tables, dimension, degree)


def _linear_sizes(
    displacement: tuple[int, ...], dimension: Any, degree: Any, method: Any, scalar_term: Any
) -> tuple[int, int, tuple[int, ...]]:
    """(position of the first letter, number of letters, shape of the log-signature)."""
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    method = as_path_method(method)
    scalar_term = as_bool("scalar_term", scalar_term) and method == 0
    batch = check_displacement(displacement, dimension)
    letters = dimension if degree > 0 else 0
    return int(scalar_term), letters, (*batch, log_length(dimension, degree, method, scalar_term))


def _linear_log_sig_shape(
    displacement: tuple[int, ...], dimension: int, degree: int, *, method: int, scalar_term: bool, n_jobs: int
) -> tuple[int, ...]:
    as_n_threads(n_jobs)
    return _linear_sizes(displacement, dimension, degree, method, scalar_term)[2]


def _linear_log_sig_vjp(derivs: Array, out: Array, displacement: Array, *args: Any, **options: Any) -> tuple[Array]:
    return (linear_log_sig_backprop(derivs, displacement, *args, **options),)


@differentiable(_linear_log_sig_vjp, _linear_log_sig_shape, needs_out=False)
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
    on, displacement = backend_for(displacement=displacement)
    start, letters, shape = _linear_sizes(displacement.shape, dimension, degree, method, scalar_term)
    as_n_threads(n_jobs)
    out = on.empty(shape)
    rows, letter_rows = on.rows(out), on.rows(displacement)
    with on.current():
        rows[:, :start] = 0
        rows[:, start : start + letters] = letter_rows[:, :letters]
        rows[:, start + letters :] = 0
    return on.result(out)


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
    on, derivs, displacement = backend_for(derivs=derivs, displacement=displacement)
    start, letters, shape = _linear_sizes(displacement.shape, dimension, degree, method, scalar_term)
    check_like("derivs", derivs.shape, "the log-signature", shape, True)
    as_n_threads(n_jobs)
    out = on.empty(displacement.shape)
    rows, deriv_rows = on.rows(out), on.rows(derivs)
    with on.current():
        rows[:, :letters] = deriv_rows[:, start : start + letters]
        rows[:, letters:] = 0
    return on.result(out)


def _combine_sizes(
    log_sig1: tuple[int, ...], log_sig2: tuple[int, ...], dimension: Any, degree: Any, time_aug: Any, lead_lag: Any
) -> tuple[int, int]:
    """(dimension after transforms, degree)."""
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    batch, length = vector_shape("log_sig1", log_sig1)
    check_lyndon_length("log_sig1", length, dimension, degree)
    check_like("log_sig2", log_sig2, "log_sig1", log_sig1, True)
    return dimension, degree


def _log_sig_combine_shape(
    log_sig1: tuple[int, ...],
    log_sig2: tuple[int, ...],
    dimension: int,
    degree: int,
    *,
    time_aug: bool,
    lead_lag: bool,
    n_jobs: int,
) -> tuple[int, ...]:
    _combine_sizes(log_sig1, log_sig2, dimension, degree, time_aug, lead_lag)
    as_n_threads(n_jobs)
    return tuple(log_sig1)


def _log_sig_combine_vjp(
    derivs: Array, out: Array, log_sig1: Array, log_sig2: Array, *args: Any, **options: Any
) -> tuple[Array, Array]:
    return log_sig_combine_backprop(derivs, log_sig1, log_sig2, *args, **options)


@differentiable(_log_sig_combine_vjp, _log_sig_combine_shape, n_arrays=2, needs_out=False)
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
    on, log_sig1, log_sig2 = backend_for(log_sig1=log_sig1, log_sig2=log_sig2)
    dimension, degree = _combine_sizes(log_sig1.shape, log_sig2.shape, dimension, degree, time_aug, lead_lag)
    n_threads = as_n_threads(n_jobs)
    out = on.empty(log_sig1.shape)
    on.kernels.log_join.log_sig_combine(
        on.rows(log_sig1),
        on.rows(log_sig2),
        *_tables(on, dimension, degree),
        on.rows(out),
        dimension,
        degree,
        n_threads,
    )
    return on.result(out)


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
    on, deriv, ls1, ls2 = backend_for(deriv=deriv, ls1=ls1, ls2=ls2)
    dimension, degree = _combine_sizes(ls1.shape, ls2.shape, dimension, degree, time_aug, lead_lag)
    check_like("deriv", deriv.shape, "ls1", ls1.shape, True)
    n_threads = as_n_threads(n_jobs)
    d_ls1, d_ls2 = on.empty(ls1.shape), on.empty(ls2.shape)
    on.kernels.log_join.log_sig_combine_backprop(
        *map(on.rows, (deriv, ls1, ls2)),
        *_tables(on, dimension, degree, backward=True),
        *map(on.rows, (d_ls1, d_ls2)),
        dimension,
        degree,
        n_threads,
    )
    return on.result(d_ls1), on.result(d_ls2)


def _join_sizes(
    log_sig: tuple[int, ...], displacement: tuple[int, ...], dimension: Any, degree: Any, prepend: Any
) -> tuple[int, int, bool]:
    """(dimension, degree, prepend)."""
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    batch, length = vector_shape("log_sig", log_sig)
    check_lyndon_length("log_sig", length, dimension, degree)
    check_batch("log_sig", batch, "displacement", check_displacement(displacement, dimension))
    return dimension, degree, as_bool("prepend", prepend)


def _log_sig_join_shape(
    log_sig: tuple[int, ...],
    displacement: tuple[int, ...],
    dimension: int,
    degree: int,
    *,
    prepend: bool,
    n_jobs: int,
) -> tuple[int, ...]:
    _join_sizes(log_sig, displacement, dimension, degree, prepend)
    as_n_threads(n_jobs)
    return tuple(log_sig)


def _log_sig_join_vjp(
    derivs: Array, out: Array, log_sig: Array, displacement: Array, *args: Any, **options: Any
) -> tuple[Array, Array]:
    return log_sig_join_backprop(derivs, log_sig, displacement, *args, **options)


@differentiable(_log_sig_join_vjp, _log_sig_join_shape, n_arrays=2, needs_out=False)
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
    on, log_sig, displacement = backend_for(log_sig=log_sig, displacement=displacement)
    dimension, degree, prepend = _join_sizes(log_sig.shape, displacement.shape, dimension, degree, prepend)
    n_threads = as_n_threads(n_jobs)
    out = on.empty(log_sig.shape)
    on.kernels.log_join.log_sig_join(
        on.rows(log_sig),
        on.rows(displacement),
        *_tables(on, dimension, degree),
        on.rows(out),
        dimension,
        degree,
        prepend,
        n_threads,
    )
    return on.result(out)


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
    on, d_out, log_sig, displacement = backend_for(d_out=d_out, log_sig=log_sig, displacement=displacement)
    dimension, degree, prepend = _join_sizes(log_sig.shape, displacement.shape, dimension, degree, prepend)
    check_like("d_out", d_out.shape, "log_sig", log_sig.shape, True)
    n_threads = as_n_threads(n_jobs)
    d_log_sig, d_displacement = on.empty(log_sig.shape), on.empty(displacement.shape)
    on.kernels.log_join.log_sig_join_backprop(
        *map(on.rows, (d_out, log_sig, displacement)),
        *_tables(on, dimension, degree, backward=True),
        *map(on.rows, (d_log_sig, d_displacement)),
        dimension,
        degree,
        prepend,
        n_threads,
    )
    return on.result(d_log_sig), on.result(d_displacement)
