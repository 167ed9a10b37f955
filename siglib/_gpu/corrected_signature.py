"""Launchers of signatures with corrections; arguments as in `siglib/_cpu/corrected_signature.pyx`."""

from functools import lru_cache
from typing import Any, NamedTuple

from .._tables.transform import NO_TRANSFORM, Transform
from . import chen
from ._launch import c_type, dtype_name, empty, launch, launch_each, most_shared
from .increments import chunks_of_each, increments_of_chunks, paths_of
from .signature_plan import BLOCK, SignaturePlan, chunk_length, make_staging, paths_of_block
from .sizes import check_words, slabs
from .tensor import index_type

# Levels of the tree for few letters, so that it fits into registers with what a correction of level 2 needs: dtype ->
# letters -> levels. One less for higher levels.
_DEPTHS = {"float32": {2: 5, 3: 4, 4: 3, 5: 3}, "float64": {2: 5, 3: 3, 4: 2, 5: 2}}
# Letters of a tile for many: in float32 with a correction of level 2, and else.
_LONG_TILE, _SHORT_TILE = 6, 4
# Shared memory for the rows of the correction.
_TERM_BYTES = 16 << 10
_FEWEST_STAGED = 2


@lru_cache(maxsize=1024)
def make_corrected_plan(d: int, degree: int, m: int, dtype: str) -> SignaturePlan:
    """The plan for `d` letters, 2 or more, and terms up to level `m`; depends on nothing else, so neither do bits."""
    depth = _DEPTHS[dtype].get(d)
    if depth is not None:
        depth = min(degree, max(2, depth - (m > 2)))
        return SignaturePlan(d, degree - depth, depth, d, d, 1, 1, d ** (degree - depth))
    n = -(-d // (_LONG_TILE if dtype == "float32" and m == 2 else _SHORT_TILE))
    tile = -(-d // n)
    return SignaturePlan(0, degree - 2, 2, tile, tile, n, n, d ** (degree - 2) * n * n)


class Rows(NamedTuple):
    """A correction (batch or 1, segments or 1, n_terms) as CUDA functions read it."""

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
    n_paths, length, dimension = path.shape
    d, n_rows, n_words = transform.width(dimension), length - 1, out.shape[1] - scalar_term
    rows = make_rows(correction)
    if d == 1:
        _one_channel(path, rows, out, degree, m, int(scalar_term))
        return
    plan = make_corrected_plan(d, degree, m, dtype_name(path))
    chunk = chunk_length(plan, n_words, n_rows)
    n_chunks = -(-n_rows // chunk)
    n_bytes = n_chunks * n_words * path.itemsize + chen.join_bytes(n_chunks, d, degree, path.itemsize)
    for slab in slabs(n_paths, n_bytes):
        x, result = path[slab], out[slab]
        if n_chunks == 1:
            sig_of_chunks(x, rows.of(slab), result, degree, m, chunk, transform, int(scalar_term))
            continue
        chunks = empty((len(x), n_chunks, n_words), path)
        sig_of_chunks(x, rows.of(slab), chunks.reshape(-1, n_words), degree, m, chunk, transform)
        chen.join(chunks, result, d, degree, scalar_term)


def sig_of_chunks(
    path: Any, rows: Rows, out: Any, degree: int, m: int, chunk: int, transform: Transform, scalar_term: int = 0
) -> None:
    """Signatures of the time chunks of paths, of `chunk` increments each, fewer in the last one of a path.

    path (batch, length, dimension), of two channels or more with time; out (batch times chunks, scalar_term + length).
    """
    paths, d = paths_of(path, transform, chunk), transform.width(path.shape[2])
    n_virtual = len(path) * chunks_of_each(paths)
    plan = make_corrected_plan(d, degree, m, dtype_name(path))
    n_slots = paths_of_block(plan)
    row_bytes = n_slots * rows.n_terms * path.itemsize
    n_staged = _TERM_BYTES // row_bytes if rows.row_step else chunk
    terms_staged = rows.row_step > 0 and n_staged >= min(chunk, _FEWEST_STAGED)
    most = min(chunk, n_staged) if terms_staged else chunk
    staging = make_staging(plan, d, most, path.itemsize, most_shared() - row_bytes * most * terms_staged)
    n, width, dx = staging.n, staging.width, 0
    if n == 0:
        # No shared memory can hold an increment.
        n, terms_staged = chunk, False
        vector = 16 // path.itemsize
        width = -(-max(plan.n_roots * plan.T1, plan.n_tops * plan.T2) // vector) * vector
        dx = increments_of_chunks(paths, path, len(path), chunk, width)
    launch(
        "corrected_signature.cu",
        f"corrected_forward<{c_type(path)}, {plan.template}, {m}, {index_type(out.shape[1])}>",
        -(-n_virtual * plan.n_items // BLOCK),
        BLOCK,
        staging.shared + row_bytes * n * terms_staged,
        paths=paths,
        terms=rows.terms,
        dx=dx,
        out=out,
        n_virtual=n_virtual,
        n_roots=plan.n_roots,
        n_tops=plan.n_tops,
        term_path=rows.path_step,
        term_row=rows.row_step,
        n_terms=rows.n_terms,
        n_staged=n,
        width=width,
        shared_stride=staging.stride,
        n_slots=n_slots,
        terms_staged=int(terms_staged),
        out_stride=out.shape[1],
        scalar_term=scalar_term,
    )


def _totals(path: Any, rows: Rows, m: int) -> Any:
    """One channel: sums of the increments and of the rows of the correction, (batch, m)."""
    n_paths = len(path)
    totals = empty((n_paths, m), path)
    launch_each(
        n_paths * 32,
        "corrected_signature.cu",
        f"corrected_totals<{c_type(path)}>",
        BLOCK,
        paths=paths_of(path, NO_TRANSFORM),
        terms=rows.terms,
        totals=totals,
        n_paths=n_paths,
        term_path=rows.path_step,
        term_row=rows.row_step,
        m=m,
    )
    return totals


def _one_channel(path: Any, rows: Rows, out: Any, degree: int, m: int, scalar_term: int) -> None:
    launch_each(
        len(path),
        "corrected_signature.cu",
        f"corrected_powers<{c_type(path)}>",
        BLOCK,
        totals=_totals(path, rows, m),
        out=out,
        n_paths=len(path),
        degree=degree,
        m=m,
        out_stride=out.shape[1],
        scalar_term=scalar_term,
    )
