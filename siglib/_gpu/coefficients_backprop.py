"""Launcher of the gradient of single coefficients; arguments as in `coefficients.py`.

Long paths are cut as there: the coefficients of all chunks are computed anew, walks along the chunks give those of the
whole path at the end of each chunk, and their cotangents, and then all chunks are walked back side by side, with
increments of zero before and behind (`increments_backprop` in `cuda/increments.cu`).
"""

from collections.abc import Iterator
from typing import Any

from .._tables.transform import Transform
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
    runs,
    staged_numbers,
)
from .increments import increments_backprop, n_increments, paths_of
from .sizes import scratch_bytes, slabs
from .word_chains import LINE, Chains

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
    transform: Transform,
) -> None:
    """path, out (batch, length, dimension); coefs (batch, m'): the coefficients of entries at coef_columns, or
    (batch, 0): they are computed; derivs (batch, m): derivatives, of the entries at deriv_columns."""
    n_rows, n_entries = n_increments(path, transform), len(chains.letters)
    if out.size == 0:
        return
    if n_entries == 0 or n_rows == 0:
        out.fill(0)
        return
    tables, d = Chains(*on_device), transform.width(path.shape[2])
    chunk = n_rows if pieces is None else chunk_length(n_rows)
    n_chunks = -(-n_rows // chunk)
    margin = int(n_chunks > 1)
    walked = chunk + 2 * margin
    line_bytes = n_chunks * walked * d * path.itemsize
    most = max(1, min(_MOST_SUMS, scratch_bytes() // line_bytes))
    n_sums = min(most, len(chains.parts)) + min(most, chains.n_long)
    numbers = 2 * n_entries + (len(pieces.letters) if pieces else 0)
    for slab in slabs(len(path), n_sums * line_bytes + n_chunks * numbers * path.itemsize):
        x, g = path[slab], derivs[slab]
        if pieces is not None and pieces_on_device is not None and n_chunks > 1:
            chunks = chunks_of(x, pieces, Chains(*pieces_on_device), chunk, transform)
            walk = (chains, tables, suffixes)
            states, cotangents = (empty((len(x) * n_chunks, n_entries), x) for _ in range(2))
            join("join_chunks", chunks, {"out": states}, n_entries, *walk, (0, 0))
            join("join_chunks_backprop", chunks, {"derivs": g, "out": cotangents}, g.shape[1], *walk, deriv_columns)
            at_ends = _at_ends(states, 0, cotangents, (0, 0))
        elif coefs.shape[1]:
            at_ends = _at_ends(coefs[slab], coef_columns, g, deriv_columns)
        else:
            states = empty((len(x), n_entries), x)
            entries(x, chains, tables, (0, 0), states, chunk, transform)
            at_ends = _at_ends(states, 0, g, deriv_columns)
        gx = empty((len(x) * n_chunks, n_sums, walked, d), x)
        paths = paths_of(x, transform, chunk)
        _parts_back(paths, chains, tables, at_ends, gx, most, margin)
        _long_back(paths, chains, tables, at_ends, gx, most)
        increments_backprop(gx, out[slab], n_chunks, margin, transform.lead_lag)


def _at_ends(states: Any, state_columns: Any, derivs: Any, columns: tuple[Any, Any]) -> dict[str, Any]:
    """What functions are told of the ends of chunks: coefficients and derivatives, and in which columns these are."""
    starts, order = columns
    return {
        "states": states,
        "state_columns": state_columns,
        "n_states": states.shape[1],
        "derivs": derivs,
        "starts": starts,
        "columns": order,
        "n_derivs": derivs.shape[1],
    }


def _parts_back(
    paths: Any, chains: Chains, tables: Chains, at_ends: dict[str, Any], gx: Any, most: int, margin: int
) -> None:
    """The sums of all parts to the first rows of gx (chunks of paths, sums, increments, letters): `most` rows."""
    n_virtual, n_sums = gx.shape[:2]
    for some, first in _at_a_time(chains.parts, most):
        parts = chains.parts[some]
        staged, letters = staged_numbers(parts), int(parts[:, 0].max())
        n_group = max(1, min(_MOST_SUMMED_ROWS, _SUMMED // (letters * LINE)))
        launch(
            "coefficients_backprop.cu",
            f"coefficients_backprop<{c_type(gx)}, {lengths(parts)}>",
            blocks(parts, n_virtual),
            BLOCK,
            (staged + n_group * letters * LINE) * gx.itemsize,
            paths=paths,
            n_virtual=n_virtual,
            parts=tables.parts[some],
            letters=tables.letters,
            channels=tables.channels,
            sum_starts=tables.sum_starts[some],
            sums=tables.sums,
            n_channels=chains.sum_starts.shape[1] - 1,
            gx=gx,
            n_sums=n_sums,
            first_sum=some.start - first,
            adds=int(first > 0),
            n_staged=staged,
            n_group=n_group,
            margin=margin,
            **at_ends,
        )


def _at_a_time(parts: Any, most: int) -> Iterator[tuple[slice, int]]:
    """`runs` of parts, and the first part of all `most` parts that they are of."""
    for first in range(0, len(parts), most):
        for run in runs(parts[first : first + most]):
            yield slice(first + run.start, first + run.stop), first


def _long_back(paths: Any, chains: Chains, tables: Chains, at_ends: dict[str, Any], gx: Any, most: int) -> None:
    """The sums of long chains to the rows behind those; these paths are not cut."""
    n_paths, n_sums = gx.shape[:2]
    for first in range(0, chains.n_long, most):
        threads, shared = long_block(chains, 6, gx.itemsize, "sig_coef_backprop")
        letters = chains.longest_long
        n_chains = min(most, chains.n_long - first)
        size = (letters + 1) ** 2
        if size * gx.itemsize > _MOST_SCHEME:
            raise MemoryError(f"a word of {letters} letters is too long for scratch memory in sig_coef_backprop")
        n_blocks = min(n_paths * n_chains, 16 * n_processors(), max(1, scratch_bytes() // (size * gx.itemsize)))
        launch(
            "coefficients_long_backprop.cu",
            f"long_coefficients_backprop<{c_type(gx)}>",
            n_blocks,
            threads,
            shared,
            paths=paths,
            n_paths=n_paths,
            letters=tables.letters,
            starts_of_chains=tables.long_starts[first : first + n_chains + 1],
            n_chains=n_chains,
            gx=gx,
            n_sums=n_sums,
            first_sum=min(most, len(chains.parts)),
            adds=int(first > 0),
            schemes=empty((n_blocks, size), gx),
            scheme_size=size,
            **at_ends,
        )
