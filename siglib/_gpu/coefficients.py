"""Launchers of single coefficients; arguments as in `siglib/_cpu/coefficients.pyx`, but for the tables of words.

Those are the ones of `siglib/_gpu/word_chains.py`: `chains` and `pieces` in main memory and, as `on_device` and
`pieces_on_device`, on the GPU; `suffixes`; and for results their `columns`. Pieces are None for paths that are not cut.
"""

from typing import Any

from .coefficients_backprop import sig_coef_backprop
from .coefficients_chains import chunk_length, chunks_of, entries, join, n_increments, slabs
from .word_chains import Chains

__all__ = ["sig_coef", "sig_coef_backprop"]


def sig_coef(
    path: Any,
    columns: tuple[Any, Any],
    chains: Chains,
    on_device: tuple[Any, ...],
    pieces: Chains | None,
    pieces_on_device: tuple[Any, ...] | None,
    suffixes: Any,
    out: Any,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    n_threads: int,
) -> None:
    """path (batch, length, dimension); out (batch, m), the columns of `columns`."""
    if out.size == 0:
        return
    if len(chains.letters) == 0:
        out.fill(1)
        return
    transform = (time_aug, lead_lag, end_time)
    n_rows = n_increments(path, lead_lag)
    tables = Chains(*on_device)
    if pieces is None or pieces_on_device is None or chunk_length(n_rows) == n_rows:
        entries(path, chains, tables, columns, out, n_rows, *transform)
        return
    chunk = chunk_length(n_rows)
    for piece in slabs(len(path), -(-n_rows // chunk) * len(pieces.letters) * path.itemsize):
        chunks = chunks_of(path[piece], pieces, Chains(*pieces_on_device), chunk, *transform)
        join("join_chunks", chunks, (out[piece],), out.shape[1], chains, tables, suffixes, columns)
