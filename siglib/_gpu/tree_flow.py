"""Launchers of branched signatures with corrections, and their gradients: a block for each path."""

from typing import Any

from .._tables import tree_tables
from .._tables.transform import Transform
from ._launch import c_type, empty, launch
from .constants import constant
from .corrected_signature import make_rows
from .increments import increments_backprop, paths_of
from .sizes import check_words, shared_bytes, slabs

_THREADS = 256
_FORWARD = ("rows", "starts", "weight_starts", "sources", "weights", "ends", "weight_terms", "weight_ways")
_BACKWARD = ("source_ends", "source_targets", "source_weights", "weight_ends", "weight_targets", "weight_sources")


def flow(path: Any, correction: Any, out: Any, degree: int, m: int, planar: bool, transform: Transform) -> None:
    """Arguments as of `branched.corrected_branched_sig`."""
    d = transform.width(path.shape[2])
    ends, n_weights = _sizes(d, degree, m, planar, path.dtype.name)
    tables = _tables(d, degree, m, planar, path.dtype.name)
    rows = make_rows(correction)
    n, n_partial = ends[-1], ends[-2] + 1
    check_words(out.shape[1])
    numbers = n + 1 + 2 * n_partial + 2 * n_weights
    n_scratch, shared = _memory(numbers, path.itemsize)
    for slab in slabs(len(path), n_scratch * path.itemsize):
        x, terms, result = path[slab], rows.of(slab), out[slab]
        launch(
            "branched_flow.cu",
            f"branched_flow<{c_type(path)}>",
            len(x),
            _threads(n),
            shared,
            paths=paths_of(x, transform),
            correction=terms.terms,
            out=result,
            scratch=empty((len(x), n_scratch), path) if n_scratch else 0,
            term_path=terms.path_step,
            term_row=terms.row_step,
            n_weights=n_weights,
            degree=degree,
            skip=out.shape[1] - n,
            n_scratch=n_scratch,
            **{name: tables[name] for name in _FORWARD},
        )


def flow_backprop(
    derivs: Any,
    path: Any,
    correction: Any,
    bsig: Any,
    path_derivs: Any,
    correction_derivs: Any,
    degree: int,
    m: int,
    planar: bool,
    transform: Transform,
) -> None:
    """Arguments as of `branched.corrected_branched_sig_backprop`."""
    d, n_rows = transform.width(path.shape[2]), path.shape[1] - 1
    ends, n_weights = _sizes(d, degree, m, planar, path.dtype.name)
    tables = _tables(d, degree, m, planar, path.dtype.name)
    rows = make_rows(correction)
    n, n_partial = ends[-1], ends[-2] + 1
    check_words(bsig.shape[1])
    n_kept = sum(end + 1 for end in ends[1:-1])
    numbers = 2 * (n + 1) + 2 * n_partial + n_kept + 3 * n_weights
    n_scratch, shared = _memory(numbers, path.itemsize)
    for slab in slabs(len(path), (n_rows * d + n_scratch) * path.itemsize):
        x, terms = path[slab], rows.of(slab)
        gx = empty((len(x), 1, n_rows, d), path)
        launch(
            "branched_flow_backprop.cu",
            f"branched_flow_backprop<{c_type(path)}>",
            len(x),
            _threads(n),
            shared,
            paths=paths_of(x, transform),
            correction=terms.terms,
            bsig=bsig[slab],
            derivs=derivs[slab],
            gx=gx,
            term_derivs=correction_derivs[slab] if correction_derivs.size else 0,
            scratch=empty((len(x), n_scratch), path) if n_scratch else 0,
            term_path=terms.path_step,
            term_row=terms.row_step,
            n_terms=terms.n_terms,
            n_weights=n_weights,
            n_kept=n_kept,
            degree_given=degree,
            m=m,
            skip=bsig.shape[1] - n,
            n_scratch=n_scratch,
            **tables,
        )
        increments_backprop(gx, path_derivs[slab])


def _sizes(dimension: int, degree: int, m: int, planar: bool, dtype: str) -> tuple[list[int], int]:
    """How many coefficients have up to n nodes, by n, and the number of weights."""
    found = tree_tables.flow_tables(dimension, degree, m, planar, dtype)
    return found[5].tolist(), len(found[6])


def _tables(dimension: int, degree: int, m: int, planar: bool, dtype: str) -> dict[str, Any]:
    """The tables on the device by the names that CUDA functions have for them."""
    options = dimension, degree, m, planar, dtype
    _, _, *found = constant(tree_tables.flow_tables, *options)
    names = ("rows", "sources", "weights", "ends", "weight_terms", "weight_ways", *_BACKWARD)
    starts = constant(tree_tables.flow_starts, *options)
    of_rows = zip(("starts", "weight_starts", "term_starts"), starts, strict=True)
    return {**dict(zip(names, found, strict=True)), **dict(of_rows)}


def _memory(numbers: int, itemsize: int) -> tuple[int, int]:
    """Numbers of scratch memory, or bytes of shared memory, for one path."""
    bytes_needed = numbers * itemsize
    return (0, bytes_needed) if bytes_needed <= shared_bytes() else (numbers, 0)


def _threads(n: int) -> int:
    """Threads of a block for n coefficients."""
    threads = 32
    while threads < _THREADS and 2 * threads < n:
        threads *= 2
    return threads
