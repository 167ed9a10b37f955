"""Sizes that launchers of CUDA functions on tensors have in common."""

from collections.abc import Iterator

from ._launch import memory_bytes, most_shared, n_processors

# Scratch memory of one piece of a batch: a share of the device's, within bounds. A number here takes its place.
SCRATCH_BYTES: int | None = None
_SHARE_OF_MEMORY = 64
_SCRATCH_BOUNDS = 128 << 20, 2 << 30
# Shared memory of a block, of which two find room on a multiprocessor then.
SHARED_BYTES = 96 << 10
_MOST_WORDS = 2**31 - 1


def words_up_to(dimension: int, length: int) -> int:
    """Number of words of length 1..length, 0 if there are none."""
    return sum(dimension**n for n in range(1, length + 1))


def shared_bytes() -> int:
    """How much shared memory a block takes at most."""
    return min(SHARED_BYTES, most_shared())


def scratch_bytes() -> int:
    """How much scratch memory one piece of a batch may take, on the current device."""
    if SCRATCH_BYTES is not None:
        return SCRATCH_BYTES
    least, most = _SCRATCH_BOUNDS
    return max(least, min(most, memory_bytes() // _SHARE_OF_MEMORY))


def check_words(length: int) -> None:
    """CUDA functions count the words of one signature with 32 bits."""
    if length > _MOST_WORDS:
        raise ValueError(f"a signature of {length} numbers is too long for the GPU: at most {_MOST_WORDS}")


def literal(dimension: int) -> int:
    """The dimension if CUDA functions are compiled for it, or else 0."""
    return dimension if 2 <= dimension <= 5 else 0


def slabs(batch: int, n_bytes: int) -> Iterator[slice]:
    """Parts of a batch whose scratch memory, `n_bytes` for each of it, is bounded."""
    step = slab_length(batch, n_bytes)
    for start in range(0, batch, step):
        yield slice(start, min(start + step, batch))


def slab_length(batch: int, n_bytes: int, most_bytes: int | None = None) -> int:
    """How many of a batch `slabs` takes at a time: one at least; with another bound if it is given."""
    return max(1, min(batch, (most_bytes or scratch_bytes()) // max(n_bytes, 1)))


def pieces(batch: int, n_bytes: int, n_words: int) -> Iterator[tuple[slice, int]]:
    """`slabs` of signatures of so many words, and how many blocks share a signature."""
    n_blocks = max(1, min(-(-n_words // 1024), 16 * n_processors() // slab_length(batch, n_bytes)))
    for slab in slabs(batch, n_bytes):
        yield slab, n_blocks
