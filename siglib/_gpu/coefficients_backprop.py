"""Launcher of the gradient of single coefficients; arguments as in `coefficients.py`.

Long paths are cut as there: the coefficients of all chunks are computed anew, walks along the chunks give those of the
whole path at the end of each chunk, and their cotangents, and then all chunks are walked back side by side, with
increments of zero before and behind (`increments_backprop` in `cuda/increments.cu`).
"""

from typing import Any

from ._launch import c_type, empty, launch, n_processors
from .coefficients_chains import (
    BLOCK,
    blocks,
    chunk_length,
    chunks_of,
    entries,
    join,
    lengths,
    long_block,
    n_increments,
    slabs,
    source_of,
    staged_numbers,
)
from .sizes import SCRATCH_BYTES
from .word_chains import LINE, Chains

_POINT_THREADS = 256
# Parts, and long chains, that have sums of their own.
_MOST_SUMS = 64
# Numbers in shared memory that wait to be summed, and increments that they are of.
_SUMMED, _MOST_SUMMED_ROWS = 4096, 8
# Bytes of what one block writes down for a long chain.
_MOST_SCHEME = 1 << 30


def coefficients_backprop(
    path: Any,
    coefs: Any,
    coef_columns: Any,
    derivs: Any,
    deriv_columns: tuple[Any, Any],
    chains: Chains,
    on_device: tuple[Any, ...],
    pieces: Chains | None,
    pieces_on_device: tuple[Any, ...] | None,
    suffixes: Any,
    out: Any,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
) -> None:
    """path, out (batch, length, dimension); coefs (batch, m'): the coefficients of entries at coef_columns, or
    (batch, 0): they are computed; derivs (batch, m): derivatives, of the entries at deriv_columns."""
    n_rows, n_entries = n_increments(path, lead_lag), len(chains.letters)
    if out.size == 0:
        return
    if n_entries == 0 or n_rows == 0:
        out.fill(0)
        return
    transform, tables = (time_aug, lead_lag, end_time), Chains(*on_device)
    chunk = n_rows if pieces is None else chunk_length(n_rows)
    n_chunks = -(-n_rows // chunk)
    margin = int(n_chunks > 1)
    walked = chunk + 2 * margin
    d = source_of(path, chunk, *transform)[5]
    line_bytes = n_chunks * walked * d * path.itemsize
    most = max(1, min(_MOST_SUMS, SCRATCH_BYTES // line_bytes))
    n_sums = min(most, len(chains.parts)) + min(most, chains.n_long)
    numbers = 2 * n_entries + (len(pieces.letters) if pieces else 0)
    for piece in slabs(len(path), n_sums * line_bytes + n_chunks * numbers * path.itemsize):
        x, g = path[piece], derivs[piece]
        if pieces is not None and pieces_on_device is not None and n_chunks > 1:
            chunks = chunks_of(x, pieces, Chains(*pieces_on_device), chunk, *transform)
            walk = (chains, tables, suffixes)
            states, cotangents = (empty((len(x) * n_chunks, n_entries), x) for _ in range(2))
            join("join_chunks", chunks, (states,), n_entries, *walk, (0, 0))
            join("join_chunks_backprop", chunks, (g, cotangents), g.shape[1], *walk, deriv_columns)
            at_ends = (states, 0, n_entries, cotangents, 0, 0, n_entries)
        elif coefs.shape[1]:
            at_ends = (coefs[piece], coef_columns, coefs.shape[1], g, *deriv_columns, g.shape[1])
        else:
            states = empty((len(x), n_entries), x)
            entries(x, chains, tables, (0, 0), states, chunk, *transform)
            at_ends = (states, 0, n_entries, g, *deriv_columns, g.shape[1])
        gx = empty((len(x) * n_chunks, n_sums, walked, d), x)
        _parts_back(x, chains, tables, at_ends, gx, most, margin, *transform)
        _long_back(x, chains, tables, at_ends, gx, most, *transform)
        result = out[piece]
        launch(
            "increments.cu",
            f"increments_backprop<{c_type(path)}>",
            -(-result.size // _POINT_THREADS),
            _POINT_THREADS,
            (gx, result, result.size, *result.shape[1:], d, n_sums, n_chunks, chunk, margin, int(lead_lag)),
        )


def _parts_back(
    path: Any,
    chains: Chains,
    tables: Chains,
    at_ends: tuple[Any, ...],
    gx: Any,
    most: int,
    margin: int,
    *transform: Any,
) -> None:
    """The sums of all parts to the first rows of gx (chunks of paths, sums, increments, letters): `most` rows."""
    n_virtual, n_sums, walked = gx.shape[:3]
    source = source_of(path, walked - 2 * margin, *transform)
    for first in range(0, len(chains.parts), most):
        some = slice(first, first + most)
        parts = chains.parts[some]
        staged, letters = staged_numbers(parts), int(parts[:, 0].max())
        n_group = max(1, min(_MOST_SUMMED_ROWS, _SUMMED // (letters * LINE)))
        launch(
            "coefficients_backprop.cu",
            f"coefficients_backprop<{c_type(path)}, {lengths(chains)}>",
            blocks(parts, n_virtual),
            BLOCK,
            (
                *(path, n_virtual, *source, tables.parts[some], tables.letters, tables.channels),
                *(tables.sum_starts[some], tables.sums, chains.sum_starts.shape[1] - 1),
                *(*at_ends, gx, n_sums, 0, int(first > 0), staged, n_group, margin),
            ),
            (staged + n_group * letters * LINE) * path.itemsize,
        )


def _long_back(
    path: Any, chains: Chains, tables: Chains, at_ends: tuple[Any, ...], gx: Any, most: int, *transform: Any
) -> None:
    """The sums of long chains to the rows behind those."""
    n_sums = gx.shape[1]
    first_sum = min(most, len(chains.parts))
    for first in range(0, chains.n_long, most):
        threads, shared = long_block(chains, 6, path.itemsize, "sig_coef_backprop")
        letters = chains.longest_long
        n_chains = min(most, chains.n_long - first)
        size = (letters + 1) ** 2
        if size * path.itemsize > _MOST_SCHEME:
            raise MemoryError(f"a word of {letters} letters is too long for scratch memory in sig_coef_backprop")
        n_blocks = min(len(path) * n_chains, 16 * n_processors(), max(1, SCRATCH_BYTES // (size * path.itemsize)))
        schemes = empty((n_blocks, size), path)
        launch(
            "coefficients_long_backprop.cu",
            f"long_coefficients_backprop<{c_type(path)}>",
            n_blocks,
            threads,
            (
                *(path, len(path), *source_of(path, gx.shape[2], *transform)[:10], tables.letters),
                *(tables.long_starts[first : first + n_chains + 1], n_chains, *at_ends),
                *(gx, n_sums, first_sum, int(first > 0), schemes, size),
            ),
            shared,
        )
