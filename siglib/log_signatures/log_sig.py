"""Log-signatures: signatures without their redundancy, from signatures or from paths, and the gradients of both.

The loops are `_cpu/log_signature.pyx` and `_gpu/cuda/log_signature.cu`; the tables that they follow come from
`lyndon.py` and are prepared on first use.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._call.backend import backend_for, widened
from .._call.formats import as_double
from .._call.libraries import Array, DaskArraysError
from .._call.operation import Operation
from .._call.options import (
    as_bool,
    as_count,
    as_int,
    as_n_threads,
    as_positive,
    as_transform,
    as_valid_n_jobs,
)
from .._call.shapes import path_shape
from .._call.tracing import without_compiler
from .._tables import grades, lyndon
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension, checked_tensor_length
from .._tables.transform import Transform
from ..paths.series import with_clock
from ..signatures.corrections import as_correction, refuse_correction, refuse_lead_lag
from ..signatures.ragged import RAGGED_SIG
from ..signatures.ragged import takes as takes_ragged
from ..signatures.sig import SIG
from .logarithm import SIG_TO_LOG_SIG, has_extra_term
from .parts import (
    PATH_METHOD,
    as_path_method,
    blocks_of,
    log_length,
    needs_double,
    put,
    put_logs,
    straight,
    tables_for,
    taken,
)
from .windows import log_sig_prefixes


def log_sig_length(dimension: int, degree: int, *, time_aug: bool = False, lead_lag: bool = False) -> int:
    """Number of coordinates of a log-signature: of Lyndon words of length 1 to `degree`.

    This is the length of the results of methods 1 and 2; method 0 gives `sig_length` numbers.

    Parameters
    ----------
    dimension : int
        Number of channels of the path, at least 1.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Count the channels that these transforms add: ``d`` is ``dimension``, twice that with `lead_lag`, plus one with
        `time_aug`.

    Returns
    -------
    int
        The sum of ``sum(mu(k) * d**(n // k) for k dividing n) / n`` over n = 1..degree, mu being the Möbius function
        (Witt's formula).

    Raises
    ------
    TypeError, ValueError
        For what is no integer or too small, or where the length of the signature is beyond 64 bits.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993, section 4.1 and corollary 4.14.

    Examples
    --------
    >>> import siglib
    >>> siglib.log_sig_length(3, 4), siglib.sig_length(3, 4)
    (32, 120)
    """
    dimension, degree = as_positive("dimension", dimension), as_count("degree", degree)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    return lyndon.log_sig_size(dimension, degree)


class _LogSig(Operation):
    """The log-signature of a path; with a correction, `log_sig` is made of two operations."""

    name = "log_sig"
    arrays = ("path",)
    options = ("degree", "time_aug", "lead_lag", "end_time", "method", "scalar_term", "n_jobs")
    meanings = {"method": PATH_METHOD}
    derivs_name = "log_sig_derivs"

    def sizes(self, o: Any, path: Any) -> tuple[Any, ...]:
        """(shape, dimension after transforms, method of the coordinates, scalar_term, whether the path is one segment,
        whether float64 is needed)."""
        batch, points, dimension = path_shape("path", path)
        basis = as_path_method(o.method)
        dimension = augmented_dimension(dimension, o.time_aug, o.lead_lag)
        length = log_length(dimension, o.degree, basis, o.scalar_term)
        one_segment = points == 2 and not o.lead_lag and o.degree > 0
        double = needs_double(dimension, o.degree, o.method)
        return (*batch, length), dimension, basis, o.scalar_term and basis == 0, one_segment, double

    def polynomial(self, o: Any, path: Any) -> Polynomial:
        term = o.scalar_term and o.method == 0
        return grades.of_path(o.degree, o, term + o.transform.width(path[-1]))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array) -> None:
        _, dimension, method, scalar_term, one_segment, double = sizes
        transform, n_threads = o.transform, as_n_threads(o.n_jobs)
        paths, rows = on.paths(path), on.rows(out)
        if one_segment:
            write_segment(on, paths, rows, int(scalar_term), transform)
            return
        work = on.double() if double else on
        tables = tables_for(work, dimension, o.degree, method)
        sig_length = checked_tensor_length(dimension, o.degree) + scalar_term
        blocks = blocks_of(work, len(paths), sig_length)
        sigs = work.scratch((blocks.step, sig_length))
        options = (dimension, o.degree, method, scalar_term, n_threads)
        for start in blocks:
            # A slice costs as much as a tenth of a small call: a batch of one block goes as it is.
            path, row, sig = paths, rows, sigs
            if len(blocks) > 1:
                block = slice(start, start + blocks.step)
                path, row = paths[block], rows[block]
                sig = sigs[: len(path)]
            if work is not on:
                path = taken(work, path)
            work.loops.signature.sig(path, sig, o.degree, scalar_term, transform, n_threads)
            if work is on:
                work.loops.log_signature.sig_to_log_sig(sig, tables, row, *options)
            else:
                put_logs(work, sig, tables, row, options)

    def ragged(self, dimension: int, o: Any) -> Callable[..., Any] | None:
        return _ragged_log_sig if takes_ragged(dimension, o) else None

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        shape, _, method, scalar_term, _, _ = sizes
        return has_extra_term(derivs, "path", shape, method, scalar_term)

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array) -> tuple[Any]:
        _, dimension, method, scalar_term, one_segment, double = sizes
        result = on.empty(path.shape)
        paths, rows, gradients = on.paths(path), on.rows(derivs), on.paths(result)
        if one_segment:
            write_segment_derivs(on, rows, gradients, int(scalar_term))
            return (result,)
        work, n_threads = on.double() if double else on, as_n_threads(o.n_jobs)
        tables = tables_for(work, dimension, o.degree, method, backward=True)
        sig_length = checked_tensor_length(dimension, o.degree) + scalar_term
        blocks = blocks_of(work, len(paths), sig_length)
        sigs, sig_derivs = work.scratch((blocks.step, sig_length)), work.scratch((blocks.step, sig_length))
        options = (o.degree, scalar_term, o.transform, n_threads)
        for start in blocks:
            path, deriv, part, sig, sig_deriv = paths, rows, gradients, sigs, sig_derivs
            if len(blocks) > 1:
                block = slice(start, start + blocks.step)
                path, deriv, part = paths[block], rows[block], gradients[block]
                sig, sig_deriv = sigs[: len(path)], sig_derivs[: len(path)]
            gradient = part
            if work is not on:
                path, deriv, gradient = taken(work, path), taken(work, deriv), work.scratch(path.shape)
            work.loops.signature.sig(path, sig, *options)
            work.loops.log_signature.sig_to_log_sig_backprop(
                sig, deriv, tables, sig_deriv, dimension, o.degree, method, scalar_term, n_threads
            )
            work.loops.signature.sig_backprop(path, sig, sig_deriv, gradient, *options)
            if work is not on:
                put(work, gradient, part)
        return (result,)


LOG_SIG = _LogSig()


def _ragged_log_sig(
    points: Array, *, starts: Array, lengths: Array, method: Any, scalar_term: Any, lead_lag: bool, **options: Any
) -> Array:
    """The logarithms of `RAGGED_SIG`; of clean options."""
    method = as_int("method", method, 0)
    basis = as_path_method(method)
    dimension = augmented_dimension(points.shape[1], options["time_aug"], lead_lag)
    back, points = widened(points=points)
    if needs_double(dimension, options["degree"], method):
        points = as_double(points)
    scalar_term = bool(scalar_term) and basis == 0
    sig = RAGGED_SIG(points, starts=starts, lengths=lengths, lead_lag=lead_lag, scalar_term=scalar_term, **options)
    log_sig = SIG_TO_LOG_SIG(
        sig,
        dimension=dimension,
        degree=options["degree"],
        time_aug=False,
        lead_lag=False,
        method=basis,
        n_jobs=options["n_jobs"],
    )
    if not lead_lag:
        log_sig = straight(log_sig, dimension + scalar_term, lengths <= 2)
    return back(log_sig)


def log_sig(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    stream: bool = False,
    correction: Array = None,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
    out: Array = None,
) -> Array:
    """Truncated log-signature of piecewise linear paths.

    The log-signature says the same as the signature in the fewest possible numbers: the first level is the
    displacement, the second holds the signed areas between the path and its chord, seen in each pair of channels, and
    so on. The signatures are computed for a block of paths at a time and never stored for the whole batch.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. Lists and integers are taken as float64. A path of length 0 or 1 is constant: its
        log-signature is zero.
    degree : int
        Truncation level, at least 0. Degree 0 leaves nothing (but the scalar term).
    time_aug : bool, default False
        Add time as the last channel, running evenly from 0 to `end_time`.
    lead_lag : bool, default False
        Replace the path by its lead-lag transform, of twice as many channels. See `transform_path`.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    method : {1, 2, 3, 0}
        1, the default: values at the Lyndon words; 2: coordinates in the Lyndon basis; 3: the same coordinates, where
        other libraries join increments by the Baker-Campbell-Hausdorff formula (here computed as for 2, which is
        several times faster, and always in float64); 0: values at all words. See `sig_to_log_sig`.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty word, always 0, in front. Without effect for the other methods.
    stream : bool, default False
        The log-signatures of all prefixes of the path: the same as `log_sig_prefixes`. Not together with `correction`.
    correction : array of shape (C,), (length - 1, C) or (..., length - 1, C), default None
        Terms of higher levels that are added to the increments of the segments, as for `sig`; for methods 0, 1 and 2.
        If they are no combinations of brackets, methods 1 and 2 show a part of the logarithm only. The signatures of
        the whole batch are stored then.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    times : array of shape (length,) or (..., length), or sequence of n arrays, default None
        When the points were measured, taken for the time that `time_aug` adds instead of an even clock: see `Series`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.
    out : numpy.ndarray, optional
        Where to write the result, a block at a time: an array of its shape and dtype, such as a `numpy.memmap`. Only
        for NumPy arrays. Not with `stream` or a `correction`.

    Returns
    -------
    array of shape (..., log_sig_length(dimension, degree, ...)), or (..., sig_length(...)) for method 0
        With `stream`, (..., length, ...). Of the library, dtype and device of `path`. NaN and infinity propagate,
        without a warning.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        For a path without channels or of fewer than two axes, a negative degree, an unknown method, or sizes out of
        reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Differentiable with respect to `path` and `correction`, once, in PyTorch; see `log_sig_backprop`.

    The logarithm loses digits, more of them on higher levels. So for arrays in lower precision than float64, method 3
    is computed in float64 and rounded at the end, as are the other methods from degree 6 on (5 with one or two
    channels); below, 95 of 100 random walks in float32 are right to 3e-5 of the largest entry of a level. In float64
    random walks are right to 5e-14 at level 5 and 3e-8 at level 10. The log-signature of a path of two points is its
    displacement, and exactly 0 at all other words.

    References
    ----------
    K.-T. Chen, "Integration of paths, geometric invariants and a generalized Baker-Hausdorff formula", Annals of
    Mathematics 65 (1957).
    J. Reizenstein and B. Graham, "The iisignature library", ACM Transactions on Mathematical Software 46 (2020),
    arXiv:1802.08252.

    Examples
    --------
    One step right, then one step up: displacement (1, 1), area 1/2.

    >>> import siglib
    >>> siglib.log_sig([[0, 0], [1, 0], [1, 1]], 2)
    array([1. , 1. , 0.5])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    correction = as_correction(correction)
    stream = as_bool("stream", stream)
    if out is not None and (stream or correction is not None):
        raise ValueError("log_sig takes no out with stream or a correction")
    if stream:
        refuse_correction(correction)
        return log_sig_prefixes(
            path,
            degree,
            time_aug=time_aug,
            lead_lag=lead_lag,
            end_time=end_time,
            method=method,
            scalar_term=scalar_term,
            n_jobs=n_jobs,
        )
    if correction is not None:
        return _corrected(path, correction, degree, time_aug, lead_lag, end_time, method, scalar_term, n_jobs)
    return (LOG_SIG if out is None else LOG_SIG.into(out))(
        path,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        method=method,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )


class _Corrected(NamedTuple):
    """The clean options of a log-signature with a correction, and those of the logarithm."""

    sig: dict[str, Any]
    log: dict[str, Any]
    double: bool


def _corrected_options(
    path: Array, degree: Any, time_aug: Any, lead_lag: Any, end_time: Any, method: Any, scalar_term: Any, n_jobs: Any
) -> _Corrected:
    time_aug, lead_lag, end_time = as_transform(time_aug, lead_lag, end_time)
    refuse_lead_lag(lead_lag)
    method = as_count("method", method)
    if method > 2:
        raise ValueError(f"method must be 0, 1 or 2 with a correction, got {method}")
    degree, n_jobs = as_int("degree", degree, 2), as_valid_n_jobs("n_jobs", n_jobs)
    dimension = path_shape("path", tuple(path.shape))[2] + time_aug
    sig = {"degree": degree, "time_aug": time_aug, "lead_lag": False, "end_time": end_time, "n_jobs": n_jobs}
    sig["scalar_term"] = as_bool("scalar_term", scalar_term) and method == 0
    log = {"dimension": dimension, "degree": degree, "time_aug": False, "lead_lag": False, "method": method}
    return _Corrected(sig, log | {"n_jobs": n_jobs}, needs_double(dimension, degree, method))


def _corrected(path: Array, correction: Array, *options: Any) -> Array:
    """`log_sig` with a correction."""
    as_given, path, correction = widened(path=path, correction=correction)
    found = _corrected_options(path, *options)
    if found.double:
        path, correction = as_double(path), as_double(correction)
    return as_given(SIG_TO_LOG_SIG(SIG(path, correction, **found.sig), **found.log))


def _corrected_backprop(
    path: Array, derivs: Array, correction: Array, correction_deriv: bool, *options: Any
) -> tuple[Any, ...]:
    arrays = {"path": path, "log_sig_derivs": derivs, "correction": correction}
    try:
        on, path, derivs, correction = backend_for(**arrays)
    except DaskArraysError:
        on = None
        back, path, derivs, correction = widened(**arrays)
    found = _corrected_options(path, *options)
    if found.double:
        path, correction, derivs = map(as_double, (path, correction, derivs))
    if on is not None:
        back = (on.double() if found.double else on).result
    sig = SIG.compute((path, correction), SIG.clean(found.sig))
    (sig_derivs,) = SIG_TO_LOG_SIG.backprop(derivs, None, sig, **found.log)
    gradients = SIG.backprop(sig_derivs, sig, path, correction, needs=(True, correction_deriv), **found.sig)
    return tuple(None if gradient is None else back(gradient) for gradient in gradients)


def write_segment(on: Any, paths: Any, rows: Any, start: int, transform: Transform) -> None:
    """Log-signatures of paths of two points: the displacement from `start` on, time last, and zeros for all else."""
    letters = start + paths.shape[2]
    time_aug, _, end_time = transform
    with on.current(), np.errstate(all="ignore"):
        rows[:, :start] = 0
        rows[:, start:letters] = paths[:, 1] - paths[:, 0]
        rows[:, letters:] = 0
        if time_aug:
            rows[:, letters] = end_time


def write_segment_derivs(on: Any, derivs: Any, gradients: Any, start: int) -> None:
    """The adjoint of `write_segment`."""
    with on.current():
        gradients[:, 1] = derivs[:, start : start + gradients.shape[2]]
        gradients[:, 0] = -gradients[:, 1]


@without_compiler
def log_sig_backprop(
    path: Array,
    log_sig_derivs: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    correction: Array = None,
    correction_deriv: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Any:
    """Gradient of `log_sig` with respect to the path and, if asked for, the correction.

    The signatures are computed anew for a block of paths at a time; then `sig_to_log_sig_backprop` gives the
    derivatives with respect to them and `sig_backprop` those with respect to the paths. Nothing of the size of all
    signatures is stored.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The paths that were given to `log_sig`.
    log_sig_derivs : array of the shape of ``log_sig(path, ...)``
        Derivatives of a function F with respect to the log-signatures. For method 0 the entry of the scalar term has no
        effect; it may be there even if `scalar_term` is False.
    degree, time_aug, lead_lag, end_time, method, scalar_term, correction, lengths, times, n_jobs
        As they were given to `log_sig`.
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
        If the shapes do not go together, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    Examples
    --------
    How the area under a path changes with its points:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> siglib.log_sig_backprop(path, np.array([0.0, 0.0, 1.0]), 2)
    array([[-0.5,  0. ],
           [ 0.5, -0.5],
           [ 0. ,  0.5]])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    correction, correction_deriv = as_correction(correction), as_bool("correction_deriv", correction_deriv)
    if correction is not None:
        gradients = _corrected_backprop(
            path,
            log_sig_derivs,
            correction,
            correction_deriv,
            *(degree, time_aug, lead_lag, end_time, method, scalar_term, n_jobs),
        )
        return gradients if correction_deriv else gradients[0]
    if correction_deriv:
        raise ValueError("correction_deriv is True, but there is no correction")
    return LOG_SIG.backprop(
        log_sig_derivs,
        None,
        path,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        method=method,
        scalar_term=scalar_term,
        n_jobs=n_jobs,
    )[0]
