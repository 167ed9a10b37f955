"""Branched log-signatures of paths.

Products go through the sparse matrix that makes branched signatures of signatures, and with them logarithms: it is
applied to the log-signature at all words.
"""

from typing import Any

from .._call.backend import widened
from .._call.formats import as_double
from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_bool, as_count, as_n_threads, as_valid_n_jobs
from .._call.shapes import path_shape
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import checked_tensor_length
from ..log_signatures.log_sig import write_segment, write_segment_derivs
from ..log_signatures.parts import blocks_of, needs_double, put, tables_for, taken
from ..paths.series import with_clock
from ..signatures.corrections import as_correction
from .logarithm import BRANCHED_SIG_TO_LOG_SIG
from .shapes import METHOD, check_method, checked_log_length, default_method
from .sig import BRANCHED_SIG


class _BranchedLogSig(Operation):
    name = "branched_log_sig"
    arrays = ("path",)
    options = ("degree", "planar", "time_aug", "lead_lag", "end_time", "method", "scalar_term", "n_jobs")
    meanings = {"method": METHOD}

    def sizes(self, o: Any, path: Any) -> tuple[Any, ...]:
        """(shape, channels of the transformed path, method of the coordinates, whether there is a scalar term, whether
        the path is one segment, whether float64 is needed)."""
        check_method(o.method, o.planar, 3)
        batch, points, dimension = path_shape("path", path)
        d, basis = int(o.transform.width(dimension)), min(o.method, 2)
        scalar_term = o.scalar_term and basis == 0
        length = checked_log_length(d, o.degree, o.planar, basis) + scalar_term
        one_segment = points == 2 and not o.lead_lag and o.degree > 0
        return (*batch, length), d, basis, scalar_term, one_segment, needs_double(d, o.degree, o.method)

    def polynomial(self, o: Any, path: Any) -> Polynomial:
        term = o.scalar_term and o.method == 0
        return grades.of_path(o.degree, o, term + o.transform.width(path[-1]))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array) -> None:
        _, d, basis, scalar_term, one_segment, double = sizes
        paths, rows, n_threads = on.paths(path), on.rows(out), as_n_threads(o.n_jobs)
        if one_segment:
            write_segment(on, paths, rows, int(scalar_term), o.transform)
            return
        work = on.double() if double else on
        tables, length = tables_for(work, d, o.degree, 0), checked_tensor_length(d, o.degree)
        blocks = blocks_of(work, len(paths), 2 * length)
        for start in blocks:
            block = slice(start, start + blocks.step)
            x, row = paths[block], rows[block]
            sig, log = work.scratch((len(x), length)), work.scratch((len(x), length))
            target = row if work is on else work.scratch(row.shape)
            work.loops.signature.sig(taken(work, x), sig, o.degree, False, o.transform, n_threads)
            work.loops.log_signature.sig_to_log_sig(sig, tables, log, d, o.degree, 0, False, n_threads)
            work.loops.branched.branched_log_sig(log, target, d, o.degree, o.planar, basis, n_threads)
            if work is not on:
                put(work, target, row)

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array) -> tuple[Any]:
        _, d, basis, scalar_term, one_segment, double = sizes
        result, n_threads = on.empty(path.shape), as_n_threads(o.n_jobs)
        paths, rows, gradients = on.paths(path), on.rows(derivs), on.paths(result)
        if one_segment:
            write_segment_derivs(on, rows, gradients, int(scalar_term))
            return (result,)
        work = on.double() if double else on
        tables = tables_for(work, d, o.degree, 0, backward=True)
        length = checked_tensor_length(d, o.degree)
        blocks = blocks_of(work, len(paths), 3 * length)
        for start in blocks:
            block = slice(start, start + blocks.step)
            x, part = taken(work, paths[block]), gradients[block]
            sig, g_sig, g_log = (work.scratch((len(x), length)) for _ in range(3))
            target = part if work is on else work.scratch(part.shape)
            g_rows = taken(work, rows[block])
            work.loops.signature.sig(x, sig, o.degree, False, o.transform, n_threads)
            work.loops.branched.branched_log_sig_backprop(g_rows, g_log, d, o.degree, o.planar, basis, n_threads)
            work.loops.log_signature.sig_to_log_sig_backprop(
                sig, g_log, tables, g_sig, d, o.degree, 0, False, n_threads
            )
            work.loops.signature.sig_backprop(x, sig, g_sig, target, o.degree, False, o.transform, n_threads)
            if work is not on:
                put(work, target, part)
        return (result,)


BRANCHED_LOG_SIG = _BranchedLogSig()


def branched_log_sig(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    planar: bool = False,
    scalar_term: bool = False,
    method: int | None = None,
    correction: Array = None,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Branched log-signature of piecewise linear paths: the logarithm of `branched_sig`.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them.
    degree : int
        Number of nodes of the largest trees, at least 0.
    time_aug, lead_lag, end_time
        Transforms of the path, as in `branched_sig`.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    scalar_term : bool, default False
        With method 0, put the entry of the empty tree, always 0, in front.
    method : {None, 0, 1, 2, 3}, default None
        0: the logarithm at all trees or planar forests. For planar forests also 1: its entries at those that are Lyndon
        words in trees, and 2: coordinates in the basis of their standard brackets. 3 has the coordinates of 2, computed
        in float64 for arrays of any dtype. None is 1 if planar, otherwise 0.
    correction : array, default None
        As in `branched_sig`; not with method 3.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    times : array of shape (length,) or (..., length), or sequence of n arrays, default None
        When the points were measured, taken for the time that `time_aug` adds instead of an even clock: see `Series`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Returns
    -------
    array of shape (..., length)
        Of the library, dtype and device of `path`. Method 0: as long as the branched signature. Otherwise of length
        ``branched_log_sig_length(channels, degree, planar=True)``. A path of one segment has its displacement, and 0
        for all trees of more nodes.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, or there are more trees than can be listed.

    Notes
    -----
    Differentiable with respect to `path` and `correction`, once, in PyTorch. In float32 the work is done in float64
    where the logarithm would lose too many digits, as in `log_sig`.

    Examples
    --------
    One step right, then one step up. Half of the difference of the two chains is the area:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> siglib.branched_log_sig(path, 2)
    array([ 1. ,  1. ,  0. ,  0.5, -0.5,  0. ])
    >>> siglib.branched_log_sig(path, 2, planar=True)
    array([ 1. ,  1. ,  0.5,  0. ,  0.5, -0.5,  0. ])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    planar, correction = as_bool("planar", planar), as_correction(correction)
    method = default_method(method, planar)
    if correction is None:
        return BRANCHED_LOG_SIG(
            path,
            degree=degree,
            planar=planar,
            time_aug=time_aug,
            lead_lag=lead_lag,
            end_time=end_time,
            method=method,
            scalar_term=scalar_term,
            n_jobs=n_jobs,
        )
    degree, method = as_count("degree", degree), as_count("method", method)
    if method > 2:
        raise ValueError(f"method must be 0, 1 or 2 with a correction, got {method}")
    check_method(method, planar, 2)
    time_aug, n_jobs = as_bool("time_aug", time_aug), as_valid_n_jobs("n_jobs", n_jobs)
    as_given, path, correction = widened(path=path, correction=correction)
    dimension = path_shape("path", tuple(path.shape))[2] + time_aug
    if needs_double(dimension, degree, method):
        path, correction = as_double(path), as_double(correction)
    bsig = BRANCHED_SIG(
        path,
        correction,
        degree=degree,
        planar=planar,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=as_bool("scalar_term", scalar_term) and method == 0,
        n_jobs=n_jobs,
    )
    log_options = {"dimension": dimension, "degree": degree, "time_aug": False, "lead_lag": False, "planar": planar}
    return as_given(BRANCHED_SIG_TO_LOG_SIG(bsig, **log_options, method=method, n_jobs=n_jobs))
