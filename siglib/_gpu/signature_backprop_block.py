"""The gradient of signatures of few letters in one launch, of `cuda/signature_backprop_block.cu`.

A block has all time chunks of a path, as many as paths of that length have, or those of several paths. Paths with more
increments than it can take go through `signature_backprop.py`, step by step, as do those with lead-lag, and those whose
points are very far from each other.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from .._tables.transform import Transform
from ._launch import c_type, launch
from .increments import CHUNK_BYTES, packed, paths_of, strides
from .signature_plan import n_parts
from .sizes import words_up_to

THREADS = 128
# Increments of a time chunk, at most.
_MOST = 256
# Increments of a chunk in shared memory at a time, and the bytes that all of them take there at most.
_STAGED, _STAGED_BYTES = (8, 32), 42 << 10
# Points of a chunk are at most so many numbers from each other, and increments before and behind it are asked for.
_NEAR, _AROUND = 1 << 31, 64
# Of `Target` in the CUDA function.
_TARGET_BYTES = 16


class Block(NamedTuple):
    """What a block does for paths of one length."""

    template: str  # the integers that the CUDA function is instantiated with
    columns: int  # chunks of a path
    per_block: int  # paths
    chunk: int  # increments of each, but perhaps the last ones
    row: int  # numbers between those of one chunk and the next
    shared: int  # bytes


@lru_cache(maxsize=1024)
def make_block(d: int, degree: int, t1: int, n_increments: int, itemsize: int) -> Block | None:
    """For trees whose root has t1 letters in each thread; None for paths that are too long. Depends on nothing else: so
    the bits of a gradient do not depend on the batch."""
    places = THREADS * t1 // d
    columns = n_parts(n_increments, places)
    chunk = -(-n_increments // columns)
    if chunk > _MOST:
        return None
    # Rows of neighbours begin in different banks, and vectors of numbers at multiples of their size.
    vector = packed(d, itemsize)
    fewest, staged = _STAGED
    while staged > fewest and (staged // 2 >= chunk + 2 or places * (staged * d + vector) * itemsize > _STAGED_BYTES):
        staged //= 2
    row = staged * d + vector
    numbers = max(places * row, 2 * words_up_to(d, degree - 1) * (places + 1))
    shared = places * (CHUNK_BYTES + _TARGET_BYTES) + numbers * itemsize
    return Block(f"{d}, {degree}, {t1}, {staged}", columns, places // columns, chunk, row, shared)


def is_near(path: Any, block: Block) -> bool:
    """Whether the points of a chunk are."""
    _, point, channel = strides(path)
    return (block.chunk + _AROUND) * abs(point) + path.shape[2] * abs(channel) < _NEAR


def sig_backprop_block(block: Block, path: Any, sig: Any, derivs: Any, out: Any, transform: Transform) -> None:
    """path, out (batch, length, dimension); sig, derivs (batch, D + ... + D^degree), perhaps after one more number."""
    launch(
        "signature_backprop_block.cu",
        f"sig_backward_block<{c_type(path)}, {block.template}>",
        -(-len(path) // block.per_block),
        THREADS,
        block.shared,
        paths=paths_of(path, transform, block.chunk),
        sig=sig,
        derivs=derivs,
        out=out,
        sig_stride=strides(sig)[0],
        stride=strides(derivs)[0],
        n_paths=len(path),
        n_columns=block.columns,
        row=block.row,
    )
