"""Launchers of what coefficients and their gradients have in common: the entries of chains, and time chunks joined."""

from typing import Any

from .._tables.transform import Transform
from . import word_chains
from ._launch import c_type, empty, launch, most_shared
from .increments import chunks_of_each, n_increments, paths_of
from .word_chains import Chains

BLOCK = word_chains.MOST_CHAINS
# Threads for a chain that is too long for registers.
_MOST_LONG_THREADS = 256
# Numbers of increments in a block's shared memory.
_STAGED = 4096
# Increments of a path in shared memory, at most (coefficients.cuh).
_STAGED_ROWS = 32
# Of the lengths of one function's chains, added up: about what it takes to compile it. One of the longest, or the
# shorter half of them.
_MOST_SQUARES = 150


def chunk_length(n_rows: int) -> int:
    """Increments of a time chunk, all if there is but one: depends on the length of the path only.

    Chunks of very long paths are longer, as the chunks are joined one after another. An even number: with lead-lag
    chunks end at points.
    """
    shortest = word_chains.CHUNK
    return max(shortest, 2 * -(-n_rows // (2 * shortest))) if n_rows > 2 * shortest else n_rows


def blocks(parts: Any, n_virtual: int) -> tuple[int, int]:
    """A grid of blocks for the paths of each part; parts that have more paths in a block leave some idle."""
    return -(-n_virtual // int(parts[:, 2].min())), len(parts)


def staged_numbers(parts: Any) -> int:
    """Numbers of increments that a block keeps in shared memory."""
    return min(_STAGED, int((parts[:, 2] * (_STAGED_ROWS * parts[:, 5] + 1)).max()))


def runs(parts: Any) -> list[slice]:
    """Parts, which are sorted by length, as CUDA functions take them: not so many lengths that compiling takes long."""
    found, begin, squares, last = [], 0, 0, 0
    for i, length in enumerate(parts[:, 0].tolist()):
        if length == last:
            continue
        if begin < i and squares + length**2 > _MOST_SQUARES:
            found.append(slice(begin, i))
            begin, squares = i, 0
        squares, last = squares + length**2, length
    return [*found, slice(begin, len(parts))]


def lengths(parts: Any) -> int:
    """Which CUDA function: bit n says whether there are chains of n letters."""
    return sum(1 << length for length in {*parts[:, 0].tolist()})


def entries(
    path: Any, chains: Chains, tables: Chains, columns: tuple[Any, Any], out: Any, chunk: int, transform: Transform
) -> None:
    """The coefficients of all chunks of paths: of the entries at `columns`, or of all entries without any (0, 0)."""
    paths = paths_of(path, transform, chunk)
    n_virtual = len(path) * chunks_of_each(paths)
    starts, order = columns
    to = {"out": out, "starts": starts, "columns": order, "n_entries": len(chains.letters), "n_columns": out.shape[1]}
    for some in runs(chains.parts) if len(chains.parts) else ():
        parts = chains.parts[some]
        staged = staged_numbers(parts)
        launch(
            "coefficients.cu",
            f"coefficients<{c_type(path)}, {lengths(parts)}>",
            blocks(parts, n_virtual),
            BLOCK,
            staged * path.itemsize,
            paths=paths,
            n_virtual=n_virtual,
            parts=tables.parts[some],
            letters=tables.letters,
            channels=tables.channels,
            n_staged=staged,
            **to,
        )
    if chains.n_long:
        threads, shared = long_block(chains, 4, path.itemsize, "sig_coef")
        launch(
            "coefficients_long.cu",
            f"long_coefficients<{c_type(path)}>",
            n_virtual * chains.n_long,
            threads,
            shared,
            paths=paths,
            letters=tables.letters,
            starts_of_chains=tables.long_starts,
            n_chains=chains.n_long,
            writes_empty=int(len(chains.parts) == 0),
            **to,
        )


def long_block(chains: Chains, n_rows: int, itemsize: int, name: str) -> tuple[int, int]:
    """Threads and bytes of shared memory of a block that has one long chain, and some numbers for each letter."""
    letters = chains.longest_long
    shared = n_rows * (letters + 1) * itemsize
    if shared > most_shared():
        raise MemoryError(f"a word of {letters} letters is too long for the GPU's shared memory in {name}")
    return min(_MOST_LONG_THREADS, -(-letters // 32) * 32), shared


def chunks_of(path: Any, pieces: Chains, tables: Chains, chunk: int, transform: Transform) -> Any:
    """The coefficients of all sub-words of all chunks: (paths, n_chunks, entries of pieces)."""
    n_chunks = -(-n_increments(path, transform) // chunk)
    chunks = empty((len(path) * n_chunks, len(pieces.letters)), path)
    entries(path, pieces, tables, (0, 0), chunks, chunk, transform)
    return chunks.reshape(len(path), n_chunks, -1)


def join(
    kernel: str,
    chunks: Any,
    arrays: dict[str, Any],
    n_columns: int,
    chains: Chains,
    tables: Chains,
    suffixes: Any,
    columns: tuple[Any, Any],
) -> None:
    """Launch `kernel`: the walk along the chunks of paths, or the one back. `arrays` are the CUDA function's."""
    n_paths, n_chunks, n_pieces = chunks.shape
    starts, order = columns
    for some in runs(chains.parts):
        parts = chains.parts[some]
        launch(
            "coefficients_join.cu",
            f"{kernel}<{c_type(chunks)}, {lengths(parts)}>",
            (-(-n_paths * int(parts[:, 1].max()) // BLOCK), len(parts)),
            BLOCK,
            chunks=chunks,
            n_paths=n_paths,
            n_chunks=n_chunks,
            n_pieces=n_pieces,
            parts=tables.parts[some],
            suffixes=suffixes,
            starts=starts,
            columns=order,
            n_entries=len(chains.letters),
            n_columns=n_columns,
            **arrays,
        )
