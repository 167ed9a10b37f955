"""Logarithms and exponentials of branched signatures, and the gradients of both."""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_bool, as_n_threads
from .._call.shapes import check_batch, check_like, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension
from .shapes import METHOD, check_method, checked_length, checked_log_length, default_method, has_scalar_term


def log_derivs_have_extra_term(
    derivs: Any, name: str, first: str, expected: Any, method: int, scalar_term: bool
) -> bool:
    """Whether derivatives of a logarithm have a scalar entry too many, as they may for method 0, or ValueError."""
    if method == 0:
        return check_like(name, derivs, "the logarithm", expected, scalar_term)
    batch, length = vector_shape(name, derivs)
    check_batch(first, expected[:-1], name, batch)
    if length != expected[-1]:
        raise ValueError(f"{name} must have length {expected[-1]} on its last axis, got {length}")
    return False


class _BranchedSigToLogSig(Operation):
    name = "branched_sig_to_log_sig"
    arrays = ("bsig",)
    options = ("dimension", "degree", "time_aug", "lead_lag", "planar", "method", "n_jobs")
    meanings = {"method": METHOD}
    derivs_name = "blogsig_derivs"

    def sizes(self, o: Any, bsig: Any) -> tuple[Any, ...]:
        """(shape, channels after transforms, whether bsig has a scalar term)."""
        check_method(o.method, o.planar, 2)
        d = int(augmented_dimension(o.dimension, o.time_aug, o.lead_lag))
        scalar_term = has_scalar_term("bsig", bsig, d, o.degree, o.planar)
        length = checked_log_length(d, o.degree, o.planar, o.method) + (scalar_term and o.method == 0)
        return (*bsig[:-1], length), d, scalar_term

    def _rows(self, on: Any, bsig: Array, o: Any, sizes: Any) -> Any:
        # Compressed logarithms have no scalar term, and neither has what they are computed from.
        return on.rows(bsig[..., 1:] if sizes[2] and o.method else bsig)

    def polynomial(self, o: Any, bsig: Any) -> Polynomial:
        d = int(augmented_dimension(o.dimension, o.time_aug, o.lead_lag))
        term = has_scalar_term("bsig", bsig, d, o.degree, o.planar)
        return grades.of_vectors(o.degree, grades.branched(d, o.degree, o.planar, term))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, bsig: Array) -> None:
        options = (sizes[1], o.degree, o.planar, o.method, as_n_threads(o.n_jobs))
        on.loops.branched.branched_sig_to_log_sig(self._rows(on, bsig, o, sizes), on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return log_derivs_have_extra_term(derivs, "blogsig_derivs", "bsig", sizes[0], o.method, sizes[2])

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, bsig: Array) -> tuple[Any]:
        rows, gradient = self._rows(on, bsig, o, sizes), on.empty(bsig.shape)
        options = (sizes[1], o.degree, o.planar, o.method, as_n_threads(o.n_jobs))
        whole = on.rows(gradient)
        found = whole if rows.shape == whole.shape else on.scratch(rows.shape)
        on.loops.branched.branched_sig_to_log_sig_backprop(on.rows(derivs), rows, found, *options)
        if found is not whole:
            with on.current():
                whole[:, :1] = 0
                whole[:, 1:] = found
        return (gradient,)


BRANCHED_SIG_TO_LOG_SIG = _BranchedSigToLogSig()


def branched_sig_to_log_sig(
    bsig: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    planar: bool = False,
    method: int | None = None,
    n_jobs: int = 1,
) -> Array:
    """Logarithms of branched signatures, of paths or any others.

    Parameters
    ----------
    bsig : array of shape (..., branched_sig_length(...))
        Branched signatures, with or without the scalar term, which counts as 1.
    dimension : int
        Number of channels of the path, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    time_aug, lead_lag : bool, default False
        Whether the branched signatures were computed with these transforms: `dimension` does not count their channels.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    method : {None, 0, 1, 2}, default None
        0: the logarithm at all trees or planar forests. For planar forests also 1: its entries at those that are Lyndon
        words in trees, and 2: coordinates in the basis of their standard brackets. None is 1 if planar, otherwise 0.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of shape (..., length)
        Of the library, dtype and device of `bsig`. Method 0: of the shape of `bsig`, 0 at a scalar term. Otherwise of
        length ``branched_log_sig_length(channels, degree, planar=True)``.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Trees that are not planar are a commutative algebra, on which a branched signature is multiplicative: its logarithm
    is the direction of the flow that ends there, and has no values on forests. For planar forests it is a power series
    in the product of `branched_sig_combine`.

    Differentiable with respect to `bsig`, once, in PyTorch; see `branched_sig_to_log_sig_backprop`.

    Examples
    --------
    The logarithm of a segment is its displacement:

    >>> import numpy as np, siglib
    >>> bsig = siglib.linear_branched_sig(np.array([3.0]), 1, 3)
    >>> siglib.branched_sig_to_log_sig(bsig, 1, 3)
    array([3., 0., 0., 0.])
    """
    planar = as_bool("planar", planar)
    return BRANCHED_SIG_TO_LOG_SIG(
        bsig,
        dimension=dimension,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        planar=planar,
        method=default_method(method, planar),
        n_jobs=n_jobs,
    )


@without_compiler
def branched_sig_to_log_sig_backprop(
    bsig: Array,
    blogsig_derivs: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    planar: bool = False,
    method: int | None = None,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `branched_sig_to_log_sig` with respect to the branched signatures.

    Parameters
    ----------
    bsig : array of shape (..., branched_sig_length(...))
        What was given to `branched_sig_to_log_sig`.
    blogsig_derivs : array of the shape of its result
        Derivatives of a function F with respect to the logarithm. The entry of a scalar term has no effect.
    dimension, degree, time_aug, lead_lag, planar, method, n_jobs
        As they were given to `branched_sig_to_log_sig`.

    Returns
    -------
    array of the shape of `bsig`
        Derivatives of F with respect to `bsig`. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.branched_sig_to_log_sig_backprop(np.array([3.0, 4.5]), np.array([0.0, 1.0]), 1, 2)
    array([-3.,  1.])
    """
    planar = as_bool("planar", planar)
    return BRANCHED_SIG_TO_LOG_SIG.backprop(
        blogsig_derivs,
        None,
        bsig,
        dimension=dimension,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        planar=planar,
        method=default_method(method, planar),
        n_jobs=n_jobs,
    )[0]


class _BranchedLogsigToSig(Operation):
    name = "branched_logsig_to_sig"
    arrays = ("blogsig",)
    options = ("dimension", "degree", "planar", "method", "scalar_term", "n_jobs")
    meanings = {"method": METHOD}
    derivs_name = "bsig_derivs"

    def sizes(self, o: Any, blogsig: Any) -> tuple[Any, ...]:
        """(shape, whether the branched signature has a scalar term)."""
        check_method(o.method, o.planar, 2)
        batch, length = vector_shape("blogsig", blogsig)
        if o.method == 0:
            scalar_term = has_scalar_term("blogsig", blogsig, o.dimension, o.degree, o.planar)
            return blogsig, scalar_term
        expected = checked_log_length(o.dimension, o.degree, o.planar, o.method)
        if length != expected:
            raise ValueError(f"blogsig must have length {expected} on its last axis, got {length}")
        return (*batch, checked_length(o.dimension, o.degree, o.planar) + o.scalar_term), o.scalar_term

    def polynomial(self, o: Any, blogsig: Any) -> Polynomial:
        d, term = o.dimension, o.method == 0 and has_scalar_term("blogsig", blogsig, o.dimension, o.degree, o.planar)
        return grades.of_vectors(o.degree, grades.branched_logarithm(d, o.degree, o.planar, o.method, term))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, blogsig: Array) -> None:
        options = (o.dimension, o.degree, o.planar, o.method, as_n_threads(o.n_jobs))
        on.loops.branched.branched_logsig_to_sig(on.rows(blogsig), on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("bsig_derivs", derivs, "the branched signature", *sizes)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, blogsig: Array
    ) -> tuple[Any]:
        gradient = on.empty(blogsig.shape)
        options = (o.dimension, o.degree, o.planar, o.method, as_n_threads(o.n_jobs))
        on.loops.branched.branched_logsig_to_sig_backprop(
            on.rows(derivs), on.rows(blogsig), on.rows(gradient), *options
        )
        return (gradient,)


BRANCHED_LOGSIG_TO_SIG = _BranchedLogsigToSig()


def branched_logsig_to_sig(
    blogsig: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    method: int | None = None,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Branched signatures from their logarithms: the inverse of `branched_sig_to_log_sig`.

    Parameters
    ----------
    blogsig : array of shape (..., length)
        Logarithms, of any origin. Of method 0 with or without an entry for the scalar term, which has no effect.
    dimension : int
        Number of channels of the path, with all transforms, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    method : {None, 0, 1, 2}, default None
        0: the logarithm at all trees or planar forests. For planar forests also 1: its entries at those that are Lyndon
        words in trees, and 2: coordinates in the basis of their standard brackets. None is 1 if planar, otherwise 0.
    scalar_term : bool, default False
        Put the coefficient of the empty tree, always 1, in front. With method 0 it is there if `blogsig` has an entry
        for it.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of shape (..., branched_sig_length(dimension, degree, ...))
        Of the library, dtype and device of `blogsig`.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to `blogsig`, once, in PyTorch; see `branched_logsig_to_sig_backprop`.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.branched_logsig_to_sig(np.array([3.0, 0.0, 0.0, 0.0]), 1, 3)
    array([3. , 4.5, 9. , 4.5])
    """
    planar = as_bool("planar", planar)
    return BRANCHED_LOGSIG_TO_SIG(
        blogsig,
        dimension=dimension,
        degree=degree,
        planar=planar,
        method=default_method(method, planar),
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


@without_compiler
def branched_logsig_to_sig_backprop(
    blogsig: Array,
    bsig_derivs: Array,
    dimension: int,
    degree: int,
    *,
    planar: bool = False,
    method: int | None = None,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `branched_logsig_to_sig` with respect to the logarithms.

    Parameters
    ----------
    blogsig : array of shape (..., length)
        What was given to `branched_logsig_to_sig`.
    bsig_derivs : array of the shape of its result
        Derivatives of a function F with respect to the branched signature. The entry of a scalar term has no effect.
    dimension, degree, planar, method, scalar_term, n_jobs
        As they were given to `branched_logsig_to_sig`.

    Returns
    -------
    array of the shape of `blogsig`
        Derivatives of F with respect to `blogsig`. New; tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> siglib.branched_logsig_to_sig_backprop(np.array([3.0, 0.0]), np.array([0.0, 1.0]), 1, 2)
    array([3., 1.])
    """
    planar = as_bool("planar", planar)
    return BRANCHED_LOGSIG_TO_SIG.backprop(
        bsig_derivs,
        None,
        blogsig,
        dimension=dimension,
        degree=degree,
        planar=planar,
        method=default_method(method, planar),
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )[0]
