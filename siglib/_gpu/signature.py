"""Launchers of signatures; arguments as in `siglib/_cpu/signature.pyx`."""

from typing import Any

from .._tables.transform import Transform
from . import chen
from ._launch import c_type, dtype_name, empty, launch, launch_each, most_shared, n_processors
from .increments import CHUNK_BYTES, chunks_of_each, n_increments, paths_of
from .signature_plan import (
    BLOCK,
    SignaturePlan,
    Staging,
    chunk_length,
    make_plan,
    make_staging,
    make_whole_staging,
    n_parts,
    paths_of_block,
    segment_length,
    small_tiles,
)
from .sizes import slabs
from .tensor import index_type, sig_combine, sig_combine_backprop

__all__ = ["sig", "sig_combine", "sig_combine_backprop"]

# So many threads on each multiprocessor leave most of it idle.
_FEW_THREADS = 256


def sig(
    path: Any,
    out: Any,
    degree: int,
    scalar_term: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """path (batch, length, dimension); out (batch, scalar_term + D + ... + D^degree)."""
    n_paths, n_words = len(path), out.shape[1] - scalar_term
    d, n_rows = transform.width(path.shape[2]), n_increments(path, transform)
    if n_paths == 0 or out.size == 0:
        return
    if n_words == 0 or n_rows < 1:
        out[:, scalar_term:] = 0
        if scalar_term:
            out[:, 0] = 1
        return
    if d == 1:
        launch_each(
            n_paths * 32,
            "signature.cu",
            f"sig_powers<{c_type(path)}>",
            BLOCK,
            paths=paths_of(path, transform),
            out=out,
            n_paths=n_paths,
            degree=degree,
            out_stride=out.shape[1],
            scalar_term=int(scalar_term),
        )
        return
    plan = make_plan(d, degree, dtype_name(path))
    chunk = segment_length(n_rows) if plan.whole else chunk_length(plan, n_words, n_rows)
    parts = n_parts(chunk) if plan.whole else 1
    n_chunks = -(-n_rows // chunk)
    if n_chunks == 1:
        sig_of_chunks(path, out, degree, chunk, transform, int(scalar_term), parts)
        return
    n_bytes = n_chunks * n_words * path.itemsize + chen.join_bytes(n_chunks, d, degree, path.itemsize)
    for slab in slabs(n_paths, n_bytes):
        part = path[slab]
        chunks = empty((len(part), n_chunks, n_words), path)
        sig_of_chunks(part, chunks.reshape(-1, n_words), degree, chunk, transform, parts=parts)
        chen.join(chunks, out[slab], d, degree, scalar_term)


def sig_of_chunks(
    path: Any, out: Any, degree: int, chunk: int, transform: Transform, scalar_term: int = 0, parts: int = 1
) -> None:
    """Signatures of the time chunks of paths, of `chunk` increments each, fewer in the last one of a path.

    path (batch, length, dimension), at least one increment long and with two channels after its transforms; out
    (batch times chunks, scalar_term + D + ... + D^degree). Signatures that threads have whole are cut into `parts`.
    """
    paths, d = paths_of(path, transform, chunk), transform.width(path.shape[2])
    n_virtual = len(path) * chunks_of_each(paths)
    plan = make_plan(d, degree, dtype_name(path))
    if plan.whole:
        _sig_whole(paths, out, plan, n_virtual, min(chunk, n_increments(path, transform)), parts, scalar_term)
        return
    staging = _staging(plan, d, chunk, path.itemsize)
    if staging.n == 0 or n_virtual * plan.n_items < _FEW_THREADS * n_processors():
        # The same numbers, to the bit, by more threads with fewer registers.
        plan = small_tiles(plan, d)
        staging = staging if staging.n == 0 else _staging(plan, d, chunk, path.itemsize)
    n_places = paths_of_block(plan) if staging.n else 0
    launch(
        "signature.cu",
        f"sig_forward<{c_type(path)}, {plan.template}, {int(staging.n > 0)}, {index_type(out.shape[1])}>",
        -(-n_virtual * plan.n_items // BLOCK),
        BLOCK,
        staging.shared + n_places * CHUNK_BYTES,
        paths=paths,
        out=out,
        n_virtual=n_virtual,
        n_roots=plan.n_roots,
        n_tops=plan.n_tops,
        n_places=n_places,
        n_staged=staging.n or chunk,
        width=staging.width,
        shared_stride=staging.stride,
        out_stride=out.shape[1],
        scalar_term=scalar_term,
    )


def _sig_whole(
    paths: Any, out: Any, plan: SignaturePlan, n_virtual: int, chunk: int, parts: int, scalar_term: int
) -> None:
    staging = make_whole_staging(plan.D, out.shape[1] - scalar_term, parts, out.itemsize)
    launch(
        "signature_whole.cu",
        f"sig_whole<{c_type(out)}, {plan.D}, {plan.P}, {staging.rows}>",
        -(-n_virtual * parts // BLOCK),
        BLOCK,
        staging.shared,
        paths=paths,
        out=out,
        n_virtual=n_virtual,
        n_parts=parts,
        part=-(-chunk // parts),
        out_stride=out.shape[1],
        scalar_term=scalar_term,
    )


def _staging(plan: SignaturePlan, d: int, chunk: int, itemsize: int) -> Staging:
    return make_staging(plan, d, chunk, itemsize, most_shared() - CHUNK_BYTES * paths_of_block(plan))
