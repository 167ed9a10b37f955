"""Launchers of signatures with corrections; arguments as in `siglib/_cpu/corrected_signature.pyx`."""

from functools import lru_cache
from typing import Any, NamedTuple

from .._tables.transform import Transform
from ._launch import c_type, empty, launch, most_shared
from .path import strides, time_steps
from .signature_plan import BLOCK, Plan, chunk_length, make_staging, paths_of_block
from .sizes import SCRATCH_BYTES, check_words
from .tensor import index_type, multiply_chunks

# Levels of the tree for few letters, so that it fits into registers with what a correction of level 2 needs: dtype ->
# letters -> levels. One less for higher levels.
_DEPTHS = {"float32": {2: 5, 3: 4, 4: 3, 5: 3}, "float64": {2: 5, 3: 3, 4: 2, 5: 2}}
# Letters of a tile for many: in float32 with a correction of level 2, and else.
_LONG_TILE, _SHORT_TILE = 6, 4
# Shared memory for the rows of the correction.
_TERM_BYTES = 16 << 10
_FEWEST_STAGED = 2
_POINT_THREADS = 256


@lru_cache(maxsize=1024)
def make_corrected_plan(d: int, degree: int, m: int, dtype: str) -> Plan:
    """The plan for `d` letters, 2 or more, and terms up to level `m`; depends on nothing else, so neither do bits."""
    depth = _DEPTHS[dtype].get(d)
    if depth is not None:
        depth = min(degree, max(2, depth - (m > 2)))
        return Plan(d, degree - depth, depth, d, d, 1, 1, d ** (degree - depth))
    n = -(-d // (_LONG_TILE if dtype == "float32" and m == 2 else _SHORT_TILE))
    tile = -(-d // n)
    return Plan(0, degree - 2, 2, tile, tile, n, n, d ** (degree - 2) * n * n)


class Rows(NamedTuple):
    """A correction (batch or 1, segments or 1, n_terms) as kernels read it."""

    terms: Any
    path_step: int  # numbers from one path's to the next one's
    row_step: int  # numbers from one segment's to the next one's
    n_terms: int

    def of(self, paths: slice) -> "Rows":
        return self if self.path_step == 0 else self._replace(terms=self.terms[paths])


def make_rows(correction: Any) -> Rows:
    n_paths, n_rows, n_terms = correction.shape
    check_words(n_terms)
    path_step = n_rows * n_terms if n_paths > 1 else 0
    return Rows(correction, path_step, n_terms if n_rows > 1 else 0, n_terms)


def sig(
    path: Any,
    correction: Any,
    out: Any,
    degree: int,
    m: int,
    scalar_term: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """path (batch, length, dimension); correction (batch or 1, length - 1 or 1, d^2 + .. + d^m), d channels with time;
    out (batch, scalar_term + length). At least one segment; degree and m at least 2."""
    time_aug, _, end_time = transform
    n_paths, length, dimension = path.shape
    d, n_rows, n_words = dimension + time_aug, length - 1, out.shape[1] - scalar_term
    rows = make_rows(correction)
    if d == 1:
        _one_channel(path, rows, out, degree, m, int(scalar_term))
        return
    plan = make_corrected_plan(d, degree, m, path.dtype.name)
    chunk = chunk_length(plan, n_words, n_rows)
    n_chunks = -(-n_rows // chunk)
    slab = max(1, SCRATCH_BYTES // (n_chunks * n_words * path.itemsize))
    for first in range(0, n_paths, slab):
        part = slice(first, min(first + slab, n_paths))
        x, result = path[part], out[part]
        if n_chunks == 1:
            sig_of_chunks(x, rows.of(part), result, degree, m, chunk, time_aug, end_time, int(scalar_term))
            continue
        chunks = empty((len(x) * n_chunks, n_words), path)
        sig_of_chunks(x, rows.of(part), chunks, degree, m, chunk, time_aug, end_time)
        multiply_chunks(chunks, result, d, n_chunks, scalar_term)


def sig_of_chunks(
    path: Any,
    rows: Rows,
    out: Any,
    degree: int,
    m: int,
    chunk: int,
    time_aug: bool,
    end_time: float,
    scalar_term: int = 0,
) -> None:
    """Signatures of the time chunks of paths, of `chunk` increments each, fewer in the last one of a path.

    path (batch, length, dimension), of two channels or more with time; out (batch times chunks, scalar_term + length).
    """
    n_paths, length, dimension = path.shape
    d, n_rows = dimension + time_aug, length - 1
    n_chunks = -(-n_rows // chunk)
    n_virtual = n_paths * n_chunks
    plan = make_corrected_plan(d, degree, m, path.dtype.name)
    n_slots = paths_of_block(plan)
    row_bytes = n_slots * rows.n_terms * path.itemsize
    n_staged = _TERM_BYTES // row_bytes if rows.row_step else chunk
    terms_staged = rows.row_step > 0 and n_staged >= min(chunk, _FEWEST_STAGED)
    most = min(chunk, n_staged) if terms_staged else chunk
    staging = make_staging(plan, d, most, path.itemsize, most_shared() - row_bytes * most * terms_staged)
    source = (*strides(path), n_rows, dimension, d, int(time_aug), *time_steps(end_time, n_rows), n_chunks, chunk)
    n, width, dx = staging.n, staging.width, 0
    if n == 0:
        n, terms_staged = chunk, False
        width, dx = _increments(path, plan, n_rows, n_chunks, chunk, time_aug, end_time)
    launch(
        "corrected_signature.cu",
        f"corrected_forward<{c_type(path)}, {plan.template}, {m}, {index_type(out.shape[1])}>",
        -(-n_virtual * plan.n_items // BLOCK),
        BLOCK,
        (
            *(path, rows.terms, dx, out, n_virtual, *source, plan.n_roots, plan.n_tops),
            *(rows.path_step, rows.row_step, rows.n_terms, n, width, staging.stride, n_slots, int(terms_staged)),
            *(out.shape[1], scalar_term),
        ),
        staging.shared + row_bytes * n * terms_staged,
    )


def _increments(
    path: Any, plan: Plan, n_rows: int, n_chunks: int, chunk: int, time_aug: bool, end_time: float
) -> tuple[int, Any]:
    """Increments of all chunks in memory, where no shared memory can hold one: their width, and they."""
    vector = 16 // path.itemsize
    width = -(-max(plan.n_roots * plan.T1, plan.n_tops * plan.T2) // vector) * vector
    dx = empty((len(path) * n_chunks, chunk, width), path)
    launch(
        "increments.cu",
        f"path_increments<{c_type(path)}>",
        -(-dx.size // _POINT_THREADS),
        _POINT_THREADS,
        (
            *(path, *strides(path), path.shape[2], n_rows, int(time_aug), 0, *time_steps(end_time, n_rows)),
            *(dx, dx.size, n_chunks, chunk, chunk, width, 0),
        ),
    )
    return width, dx


def _totals(path: Any, rows: Rows, m: int) -> Any:
    """One channel: sums of the increments and of the rows of the correction, (batch, m)."""
    n_paths, length, _ = path.shape
    b, point, _ = strides(path)
    totals = empty((n_paths, m), path)
    args = (path, rows.terms, totals, n_paths, b, point, length - 1, rows.path_step, rows.row_step, m)
    launch("corrected_signature.cu", f"corrected_totals<{c_type(path)}>", -(-n_paths * 32 // BLOCK), BLOCK, args)
    return totals


def _one_channel(path: Any, rows: Rows, out: Any, degree: int, m: int, scalar_term: int) -> None:
    args = (_totals(path, rows, m), out, len(path), degree, m, out.shape[1], scalar_term)
    launch("corrected_signature.cu", f"corrected_powers<{c_type(path)}>", -(-len(path) // BLOCK), BLOCK, args)
