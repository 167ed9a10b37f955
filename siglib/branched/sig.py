"""Branched signatures of paths, and the gradient.

Without a correction they are a constant sparse matrix times the signature; with one, a flow on forests.
"""

from collections.abc import Callable
from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_bool, as_n_threads
from .._call.shapes import check_batch, check_like, path_shape, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension, checked_tensor_length
from ..log_signatures.parts import blocks_of
from ..paths.series import with_clock
from ..signatures.corrections import CorrectedSizes, as_correction, correction_grade, refuse_lead_lag
from ..signatures.ragged import RAGGED_SIG
from ..signatures.ragged import takes as takes_ragged
from .of_words import BRANCHED_SIG_OF_SIG
from .shapes import checked_length, has_scalar_term


class _BranchedSig(Operation):
    name = "branched_sig"
    arrays = ("path", "correction?")
    options = ("degree", "planar", "time_aug", "lead_lag", "end_time", "scalar_term", "n_jobs")
    keeps_out = True
    derivs_name, takes_out, out_name = "bsig_derivs", True, "bsig"

    def sizes(self, o: Any, path: Any, correction: Any) -> tuple[Any, ...]:
        """(shape, channels of the transformed path, what follows from the correction)."""
        batch, _, dimension = path_shape("path", path)
        d = int(o.transform.width(dimension))
        shape = (*batch, checked_length(d, o.degree, o.planar) + o.scalar_term)
        if correction is None:
            return shape, d, None
        refuse_lead_lag(o.lead_lag)
        return shape, d, CorrectedSizes(path, correction, o.degree, o.time_aug, False)

    def n_batched(self, *arrays: Array) -> int:
        return 1 if arrays[1] is None else 0

    def polynomial(self, o: Any, path: Any, correction: Any) -> Polynomial:
        more = () if correction is None else (correction_grade(path[-1], correction[-1]),)
        return grades.of_path(o.degree, o, o.scalar_term + o.transform.width(path[-1]), *more)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array, correction: Array) -> None:
        _, d, corrected = sizes
        rows, n_threads = on.rows(out), as_n_threads(o.n_jobs)
        if corrected is not None:
            _corrected(on, rows, o, corrected, path, correction, n_threads)
            return
        paths, length = on.paths(path), checked_tensor_length(d, o.degree)
        for block, sigs in blocks_of_sigs(on, len(paths), length):
            on.loops.signature.sig(paths[block], sigs, o.degree, False, o.transform, n_threads)
            on.loops.branched.branched_sig(sigs, rows[block], d, o.degree, o.planar, n_threads)

    def ragged(self, dimension: int, o: Any) -> Callable[..., Any] | None:
        return _ragged_branched_sig if takes_ragged(dimension, o) else None

    def adapted(self, o: Any, derivs: Any, out: Any, path: Any, correction: Any) -> Any:
        batch, _, dimension = path_shape("path", path)
        check_batch("path", batch, "bsig", vector_shape("bsig", out)[0])
        scalar_term = has_scalar_term("bsig", out, o.transform.width(dimension), o.degree, o.planar)
        return self.replaced(o, "scalar_term", scalar_term)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        return check_like("bsig_derivs", derivs, "bsig", sizes[0], o.scalar_term)

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array, correction: Array
    ) -> tuple[Any, ...]:
        _, d, corrected = sizes
        gradient, n_threads = on.empty(path.shape), as_n_threads(o.n_jobs)
        paths, rows, g_rows, gradients = on.paths(path), on.rows(out), on.rows(derivs), on.paths(gradient)
        if corrected is not None:
            return gradient, _corrected_backprop(
                on, needs[1], g_rows, rows, gradients, o, corrected, path, correction, n_threads
            )
        length = checked_tensor_length(d, o.degree)
        for block, sigs in blocks_of_sigs(on, len(paths), length):
            g_sigs, trees = on.scratch(sigs.shape), (d, o.degree, o.planar, n_threads)
            # The signature is among the coefficients: at chains.
            on.loops.branched.sig_of_branched_sig(rows[block], sigs, *trees)
            on.loops.branched.branched_sig_backprop(g_rows[block], g_sigs, *trees)
            on.loops.signature.sig_backprop(
                paths[block], sigs, g_sigs, gradients[block], o.degree, False, o.transform, n_threads
            )
        return gradient, None


def _ragged_branched_sig(points: Array, *, planar: bool, scalar_term: bool, **options: Any) -> Array:
    """The same matrix times `RAGGED_SIG`."""
    sig = RAGGED_SIG(points, scalar_term=False, **options)
    dimension = augmented_dimension(points.shape[1], options["time_aug"], options["lead_lag"])
    return BRANCHED_SIG_OF_SIG(
        sig,
        dimension=dimension,
        degree=options["degree"],
        planar=planar,
        scalar_term=scalar_term,
        n_jobs=options["n_jobs"],
    )


def blocks_of_sigs(on: Any, batch: int, length: int) -> Any:
    """Blocks of paths, and memory for their signatures, which stay in a cache."""
    blocks = blocks_of(on, batch, length)
    sigs = on.scratch((blocks.step, length))
    for start in blocks:
        yield slice(start, start + blocks.step), sigs[: min(blocks.step, batch - start)]


def _corrected(
    on: Any, rows: Any, o: Any, corrected: CorrectedSizes, path: Array, correction: Array, n_threads: int
) -> None:
    if corrected.is_empty:
        with on.current():
            rows[:, : int(o.scalar_term)] = 1
            rows[:, int(o.scalar_term) :] = 0
        return
    with on.current():
        terms = corrected.rows(on, on.view(correction))
    on.loops.branched.corrected_branched_sig(
        on.paths(path), terms, rows, o.degree, corrected.m, o.planar, o.transform, n_threads
    )


def _corrected_backprop(
    on: Any,
    wanted: bool,
    derivs: Any,
    rows: Any,
    gradients: Any,
    o: Any,
    corrected: CorrectedSizes,
    path: Array,
    correction: Array,
    n_threads: int,
) -> Array:
    """The gradient for the path to `gradients`; returns that for the correction, or None."""
    result = on.empty(correction.shape) if wanted else None
    if corrected.is_empty:
        with on.current():
            gradients[...] = 0
            if result is not None:
                on.view(result)[...] = 0
        return result
    paths = on.paths(path)
    with on.current():
        terms = corrected.rows(on, on.view(correction))
    term_derivs = on.scratch((len(paths), *terms.shape[1:]) if wanted else (0, 0, 0))
    on.loops.branched.corrected_branched_sig_backprop(
        derivs, paths, terms, rows, gradients, term_derivs, o.degree, corrected.m, o.planar, o.transform, n_threads
    )
    if result is not None:
        with on.current():
            corrected.rows_backprop(on, term_derivs, on.view(result))
    return result


BRANCHED_SIG = _BranchedSig()


def branched_sig(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    planar: bool = False,
    scalar_term: bool = False,
    correction: Array = None,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Branched signature of piecewise linear paths: iterated integrals indexed by trees instead of words.

    The coefficient of the tree with the children t1, ..., tk and the label i at its root is

        X([t1, ..., tk], i) = integral of X(t1) ... X(tk) dx[i],

    children being integrated before their root. For a path of finite variation these are sums of coefficients of the
    signature; with a correction, as for Itô integrals or for jumps, they hold more, since products of integrals are no
    sums of integrals then.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. A path of length 0 or 1 is constant: its branched signature is zero.
    degree : int
        Number of nodes of the largest trees, at least 0.
    time_aug : bool, default False
        Add time as the last channel, running evenly from 0 to `end_time`.
    lead_lag : bool, default False
        Replace the path by its lead-lag transform. See `transform_path`.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    planar : bool, default False
        Coefficients of ordered forests of planar trees (Munthe-Kaas and Wright), in place of those of trees whose
        children have no order (Butcher, Connes and Kreimer). See `trees` for the order of the coefficients.
    scalar_term : bool, default False
        Put the coefficient of the empty tree, always 1, in front.
    correction : array of shape (C,), (length - 1, C) or (..., length - 1, C), default None
        Terms at chains of 2 to m nodes, m at most `degree`, that are added to the increments of the segments before the
        exponential is taken: C = d**2 + ... + d**m numbers for each segment, in the layout of `sig`. The entry of the
        word ``i1 ... ik`` belongs to the chain with i1 at its root and ik at its leaf. Not together with `lead_lag`.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    times : array of shape (length,) or (..., length), or sequence of n arrays, default None
        When the points were measured, taken for the time that `time_aug` adds instead of an even clock: see `Series`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., branched_sig_length(channels, degree, ...))
        Of the library, dtype and device of `path`; channels are counted after the transforms.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        For a path without channels or of fewer than two axes, a negative degree, more trees than can be listed, or a
        correction that does not fit.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    sig : iterated integrals indexed by words.
    branched_sig_coef : the coefficients of chosen trees.

    Notes
    -----
    Differentiable with respect to `path` and `correction`, once, in PyTorch; see `branched_sig_backprop`.

    References
    ----------
    M. Gubinelli, "Ramification of rough paths", Journal of Differential Equations 248 (2010), arXiv:math/0610300.

    M. Hairer and D. Kelly, "Geometric versus non-geometric rough paths", Annales de l'IHP 51 (2015), arXiv:1210.6294.

    Examples
    --------
    One step of size 2. The chain of two nodes has half of its square, the tree with two leaves a third of its cube:

    >>> import numpy as np, siglib
    >>> siglib.trees(1, 3)
    (None, (0,), ((0,), 0), ((0,), (0,), 0), (((0,), 0), 0))
    >>> siglib.branched_sig(np.array([[0.0], [2.0]]), 3).round(3)
    array([2.   , 2.   , 2.667, 1.333])

    In the sense of Itô, for a Brownian motion with steps of variance 1, the integral of x dx of one step is 0 in the
    mean: (x**2 - 1) / 2.

    >>> siglib.branched_sig(np.array([[0.0], [2.0]]), 2, correction=np.array([-0.5]))
    array([2. , 1.5])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    return BRANCHED_SIG(
        path,
        as_correction(correction),
        degree=degree,
        planar=planar,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


@without_compiler
def branched_sig_backprop(
    path: Array,
    bsig: Array,
    bsig_derivs: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    planar: bool = False,
    correction: Array = None,
    correction_deriv: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Any:
    """Gradient of `branched_sig` with respect to the path and, if asked for, the correction.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The path that `branched_sig` was computed from.
    bsig : array of shape (..., branched_sig_length(...))
        Its branched signature, with or without the scalar term. The gradient is wrong if it is another one.
    bsig_derivs : array of the shape of `bsig`
        Derivatives of a function F with respect to the coefficients. The entry of the scalar term has no effect; it may
        be there even if `bsig` has none.
    degree, time_aug, lead_lag, end_time, planar, correction, lengths, times, n_jobs
        As they were given to `branched_sig`.
    correction_deriv : bool, default False
        Whether the gradient with respect to `correction` is wanted, too.

    Returns
    -------
    array of shape (..., length, dimension)
        Derivatives of F with respect to `path`. New; tensors come without an autograd graph. With `correction_deriv`
        a tuple of this and the derivatives with respect to `correction`, of its shape.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If the shapes do not go together.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0], [2.0]])
    >>> siglib.branched_sig_backprop(path, siglib.branched_sig(path, 2), np.array([0.0, 1.0]), 2)
    array([[-2.],
           [ 2.]])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    correction, correction_deriv = as_correction(correction), as_bool("correction_deriv", correction_deriv)
    if correction_deriv and correction is None:
        raise ValueError("correction_deriv is True, but there is no correction")
    gradients = BRANCHED_SIG.backprop(
        bsig_derivs,
        bsig,
        path,
        correction,
        needs=None if correction is None else (True, correction_deriv),
        degree=degree,
        planar=planar,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=False,
        n_jobs=n_jobs,
    )
    return gradients if correction_deriv else gradients[0]
