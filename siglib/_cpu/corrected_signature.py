"""Corrected signatures on the CPU: by the loops of `corrected_signature.pyx`, few long paths cut in time before.

Arguments as in `corrected_signature.pyx`, behind `loops`, the compiled modules of one floating type.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from .._tables.transform import Transform
from .corrected_chunks import Chunks, chunk_count


def sig(
    loops: Any,
    path: np.ndarray,
    correction: np.ndarray,
    out: np.ndarray,
    degree: int,
    m: int,
    scalar_term: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    chunks = _chunks(loops, path, correction, out.shape, degree, m, scalar_term, transform, n_threads)
    if chunks is not None:
        chunks.sig(out)
    else:
        loops.corrected_signature.sig(path, correction, out, degree, m, scalar_term, transform, n_threads)


def sig_backprop(
    loops: Any,
    path: np.ndarray,
    correction: np.ndarray,
    sig: np.ndarray,
    sig_derivs: np.ndarray,
    out: np.ndarray,
    correction_derivs: np.ndarray,
    degree: int,
    m: int,
    scalar_term: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    chunks = _chunks(loops, path, correction, sig.shape, degree, m, scalar_term, transform, n_threads)
    if chunks is not None:
        chunks.sig_backprop(sig_derivs, out, correction_derivs)
    else:
        loops.corrected_signature.sig_backprop(
            path, correction, sig, sig_derivs, out, correction_derivs, degree, m, scalar_term, transform, n_threads
        )


def _chunks(
    loops: Any,
    path: np.ndarray,
    correction: np.ndarray,
    shape: tuple[int, ...],
    degree: int,
    m: int,
    scalar_term: bool,
    transform: Transform,
    n_threads: int,
) -> Chunks | None:
    """The call, cut in time, if that pays."""
    n = chunk_count(len(path), path.shape[1] - 1, degree, path.itemsize)
    if n == 1:
        return None
    sizes = SimpleNamespace(degree=degree, m=m, scalar_term=scalar_term, time_aug=transform.time_aug, shape=shape)
    return Chunks(loops, path, correction, n, sizes, transform.end_time, n_threads)
