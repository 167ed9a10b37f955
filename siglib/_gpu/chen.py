"""Launchers of `cuda/signature_join.cu`, which joins the time chunks of paths, and of its adjoint."""

from typing import Any

from ._launch import c_type, empty, launch, n_processors
from .sizes import literal, shared_bytes, words_up_to
from .tensor import index_type

_BLOCK = 256
# Chunks that a thread takes side by side.
_TOGETHER = 16
# Words of a level up to this length have a CUDA function of their own.
_LONGEST_LITERAL = 5
# First letters that a thread takes where there are threads enough.
_LETTERS = 4
_FEW_THREADS = 256
# Threads that share a word where there are not.
_PARTS = 8
# With no more words of full length all levels go in one launch.
_FEW_WORDS = 256
# A level of more words is shared by several blocks.
_MANY_WORDS = 4096
# Of few paths: chunks that a thread takes side by side, the fewest words of full length that a block takes, and blocks
# at most.
_FEW_TOGETHER = 8
_WORDS_OF_SHARE = 32
_BLOCKS_OF_PROCESSOR = 2
# Chunks that a block of the adjoint takes.
_ADJOINT_TOGETHER = 4


def join_bytes(n_chunks: int, d: int, degree: int, itemsize: int) -> int:
    """Scratch memory of `join` for a path."""
    return n_chunks * words_up_to(d, degree - 1) * itemsize


def join(chunks: Any, out: Any, d: int, degree: int, scalar_term: bool) -> None:
    """The signatures of paths, out (paths, scalar_term + length), from those of their chunks (paths, n_chunks, length),
    at least two."""
    if degree > 1 and _join_few(chunks, out, d, degree, scalar_term):
        return
    if d**degree <= _FEW_WORDS:
        _join_lower(chunks, empty((*chunks.shape[:2], words_up_to(d, degree - 1)), chunks), d, degree, out, scalar_term)
        return
    prefixes = join_prefixes(chunks, d, degree, out, scalar_term)
    _join_level(chunks, prefixes, d, degree, out=out, scalar_term=scalar_term)


def _join_few(chunks: Any, out: Any, d: int, degree: int, scalar_term: bool) -> bool:
    """`join` in one launch, to the bit the same, if paths are few and what is before chunks fits into shared memory."""
    n_paths, n_chunks, stride = chunks.shape
    most = _BLOCKS_OF_PROCESSOR * n_processors()
    n_tails = d ** (degree - 1)
    n_own = words_up_to(d, degree - 1) // d
    shared = (_BLOCK * _FEW_TOGETHER + n_chunks * n_own) * chunks.itemsize
    if n_paths * d > most or shared > shared_bytes():
        return False
    n_shares = max(1, min(most // (n_paths * d), n_tails // _WORDS_OF_SHARE))
    launch(
        "signature_join.cu",
        f"join_few<{_template(chunks, d)}>",
        n_paths * d * n_shares,
        _BLOCK,
        shared,
        chunks=chunks,
        out=out,
        stride=stride,
        n_chunks=n_chunks,
        n_own=n_own,
        d=d,
        degree=degree,
        n_shares=n_shares,
        out_stride=out.shape[1],
        scalar_term=int(scalar_term),
    )
    return True


def join_prefixes(chunks: Any, d: int, degree: int, out: Any = None, scalar_term: bool = False) -> Any:
    """The products of all chunks before each but the first, (paths, n_chunks, words below `degree`); chunks (paths,
    n_chunks, at least these words). Those of all chunks to out if it is given."""
    n_paths, n_chunks, stride = chunks.shape
    n_lower = words_up_to(d, degree - 1)
    prefixes = empty((n_paths, n_chunks, n_lower), chunks)
    in_one = degree - 1
    while in_one > 0 and d**in_one > _MANY_WORDS:
        in_one -= 1
    if in_one > 0:
        _join_lower(chunks, prefixes, d, in_one, out, scalar_term)
    for level in range(in_one + 1, degree):
        _join_level(chunks, prefixes, d, level, prefixes, out, scalar_term)
    return prefixes


def _join_lower(chunks: Any, prefixes: Any, d: int, levels: int, out: Any, scalar_term: bool) -> None:
    launch(
        "signature_join.cu",
        f"join_lower<{_template(chunks, d)}>",
        len(chunks),
        _BLOCK,
        _BLOCK * _TOGETHER * chunks.itemsize,
        chunks=chunks,
        prefixes=prefixes,
        out=0 if out is None else out,
        stride=chunks.shape[2],
        n_chunks=chunks.shape[1],
        n_lower=prefixes.shape[-1],
        d=d,
        levels=levels,
        out_stride=0 if out is None else out.shape[1],
        scalar_term=int(scalar_term),
    )


def _template(chunks: Any, d: int, *sizes: int) -> str:
    return ", ".join(map(str, (c_type(chunks), literal(d), *sizes, index_type(chunks.shape[-1]))))


def _join_level(
    chunks: Any, prefixes: Any, d: int, level: int, kept: Any = 0, out: Any = None, scalar_term: bool = False
) -> None:
    n_paths, n_chunks, stride = chunks.shape
    n_tails = d ** (level - 1)
    # The same numbers by one thread for several words, by one for each, or by several.
    few = _FEW_THREADS * n_processors()
    letters = _LETTERS if n_paths * n_tails * -(-d // _LETTERS) >= few else 1
    parts = _PARTS if n_paths * n_tails * d < few else 1
    n_blocks = -(-n_tails * -(-d // letters) // (_BLOCK // parts))
    launch(
        "signature_join.cu",
        f"join_level<{_template(chunks, d, level if level <= _LONGEST_LITERAL else 0, letters, parts)}>",
        n_paths * n_blocks,
        _BLOCK,
        _BLOCK * _TOGETHER * chunks.itemsize if parts > 1 else 0,
        chunks=chunks,
        prefixes=prefixes,
        kept=kept,
        out=0 if out is None else out,
        stride=stride,
        n_chunks=n_chunks,
        n_lower=prefixes.shape[-1],
        d=d,
        level=level,
        start=words_up_to(d, level - 1),
        tail_size=n_tails,
        n_blocks=n_blocks,
        out_stride=0 if out is None else out.shape[1],
        scalar_term=int(scalar_term),
    )


def join_backprop(chunks: Any, derivs: Any, d: int, degree: int, length: int = 0) -> Any:
    """Cotangents of the chunks of paths, (paths, n_chunks, length), for words below `degree`, at least 2; those of
    longer words are those of the whole signature. derivs (paths, words up to `degree`), perhaps after one more number.
    chunks (paths, n_chunks, at least the words below `degree`). `length` is that of these words unless it is given.
    """
    n_paths, n_chunks, stride = chunks.shape
    prefixes = join_prefixes(chunks, d, degree)
    n_lower = prefixes.shape[-1]
    length = length or n_lower
    cotangents, found = empty(prefixes.shape, chunks), empty((n_paths, n_chunks, length), chunks)
    name = c_type(chunks)
    sizes = {
        "derivs_stride": derivs.strides[0] // derivs.itemsize,
        "n_chunks": n_chunks,
        "n_lower": n_lower,
        "dimension": d,
        "degree": degree,
    }
    n_blocks = -(-(n_chunks - 1) // _ADJOINT_TOGETHER)
    launch(
        "signature_join.cu",
        f"join_backprop_top<{name}>",
        n_paths * n_blocks,
        _BLOCK,
        chunks=chunks,
        derivs=derivs,
        cotangents=cotangents,
        stride=stride,
        n_blocks=n_blocks,
        **sizes,
    )
    launch(
        "signature_join.cu",
        f"join_backprop_lower<{name}>",
        n_paths,
        2 * _BLOCK,
        chunks=chunks,
        derivs=derivs,
        cotangents=cotangents,
        stride=stride,
        **sizes,
    )
    n_blocks = -(-n_chunks // _ADJOINT_TOGETHER)
    launch(
        "signature_join.cu",
        f"join_backprop_chunks<{name}>",
        n_paths * n_blocks,
        _BLOCK,
        prefixes=prefixes,
        derivs=derivs,
        cotangents=cotangents,
        out=found,
        n_blocks=n_blocks,
        out_stride=length,
        **sizes,
    )
    return found
