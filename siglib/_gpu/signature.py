"""Launchers of signatures; arguments as in `siglib/_cpu/signature.pyx`."""

from typing import Any

from .._tables.transform import Transform
from ._launch import c_type, empty, launch, most_shared, n_processors
from .path import strides, time_steps
from .signature_plan import BLOCK, chunk_length, make_plan, make_staging, small_tiles
from .sizes import SCRATCH_BYTES
from .tensor import index_type, multiply_chunks, sig_combine, sig_combine_backprop

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
    time_aug, lead_lag, end_time = transform
    n_paths, length, dimension = path.shape
    n_words = out.shape[1] - scalar_term
    d = (2 * dimension if lead_lag else dimension) + time_aug
    n_rows = 2 * (length - 1) if lead_lag else length - 1
    if n_paths == 0 or out.size == 0:
        return
    if n_words == 0 or n_rows < 1:
        out[:, scalar_term:] = 0
        if scalar_term:
            out[:, 0] = 1
        return
    if d == 1:
        b, point, _ = strides(path)
        args = (path, out, n_paths, b, point, length, degree, out.shape[1], int(scalar_term))
        launch("signature.cu", f"sig_powers<{c_type(path)}>", -(-n_paths * 32 // BLOCK), BLOCK, args)
        return
    chunk = chunk_length(make_plan(d, degree, path.dtype.name), n_words, n_rows)
    n_chunks = -(-n_rows // chunk)
    if n_chunks == 1:
        sig_of_chunks(path, out, degree, chunk, *transform, int(scalar_term))
        return
    slab = max(1, SCRATCH_BYTES // (n_chunks * n_words * path.itemsize))
    for first in range(0, n_paths, slab):
        part = path[first : first + slab]
        chunks = empty((len(part) * n_chunks, n_words), path)
        sig_of_chunks(part, chunks, degree, chunk, *transform)
        multiply_chunks(chunks, out[first : first + slab], d, n_chunks, scalar_term)


def sig_of_chunks(
    path: Any,
    out: Any,
    degree: int,
    chunk: int,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    scalar_term: int = 0,
) -> None:
    """Signatures of the time chunks of paths, of `chunk` increments each, fewer in the last one of a path.

    path (batch, length, dimension), at least one increment long and with two channels after its transforms; out
    (batch times chunks, scalar_term + D + ... + D^degree).
    """
    n_paths, length, dimension = path.shape
    d = (2 * dimension if lead_lag else dimension) + time_aug
    n_rows = 2 * (length - 1) if lead_lag else length - 1
    n_chunks = -(-n_rows // chunk)
    n_virtual = n_paths * n_chunks
    plan = make_plan(d, degree, path.dtype.name)
    staging = make_staging(plan, d, chunk, path.itemsize, most_shared())
    if staging.n == 0 or n_virtual * plan.n_items < _FEW_THREADS * n_processors():
        # The same numbers, to the bit, by more threads with fewer registers.
        plan = small_tiles(plan, d)
        staging = staging if staging.n == 0 else make_staging(plan, d, chunk, path.itemsize, most_shared())
    launch(
        "signature.cu",
        f"sig_forward<{c_type(path)}, {plan.template}, {int(staging.n > 0)}, {index_type(out.shape[1])}>",
        -(-n_virtual * plan.n_items // BLOCK),
        BLOCK,
        (
            path,
            out,
            n_virtual,
            *strides(path),
            n_rows,
            dimension,
            d,
            int(time_aug),
            int(lead_lag),
            *time_steps(end_time, n_rows),
            n_chunks,
            chunk,
            plan.n_roots,
            plan.n_tops,
            staging.n or chunk,
            staging.width,
            staging.stride,
            out.shape[1],
            scalar_term,
        ),
        staging.shared,
    )
