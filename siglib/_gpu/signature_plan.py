"""How a signature is cut into threads: which coefficients one thread keeps in registers, where a path is cut in time.

Plans depend on dimension, degree and dtype; where a path is cut depends on its length, too. Neither depends on the
batch, but for the size of tiles, which changes no sum: the bits of a result do not depend on what else is computed in
the same call. `cuda/signature_tree.cuh` explains the names.
"""

from functools import lru_cache
from typing import NamedTuple

from .increments import CHUNK_BYTES, packed

# Levels of the tree for few letters, chosen so that it fits into registers: dtype -> letters -> levels.
_DEPTHS = {"float32": {2: 5, 3: 4, 4: 3, 5: 3}, "float64": {2: 5, 3: 3, 4: 3, 5: 2}}
# Coefficients of the top level that a thread keeps where the tree is cut into tiles.
_TILE = {"float32": 128, "float64": 64}
_LONGEST_TILE = 16
_SMALL_TILE = 4
BLOCK = 128
_MANY_CHUNKS, _FEW_WORDS = 32, 512
# Of paths whose signatures are whole: increments of a part, unless there are as many parts as threads, and then; and
# bytes of a part in shared memory at a time, at most.
_SHORT_PART, _LONG_PART = 32, 128
_ROW_BYTES = 256


class SignaturePlan(NamedTuple):
    """What one thread computes. `template` are the integers that the CUDA functions are instantiated with."""

    D: int  # number of letters if it is compiled in, or 0
    suffix: int  # letters of the suffix
    P: int  # levels of the tree
    T1: int  # letters of a root tile
    T2: int  # letters of a top tile
    n_roots: int  # root tiles
    n_tops: int  # top tiles
    n_items: int  # threads for one virtual path

    @property
    def whole(self) -> bool:
        """Whether a thread has a whole signature (`cuda/signature_whole.cu`)."""
        return self.D > 0 and self.suffix == 0

    @property
    def template(self) -> str:
        return f"{self.D}, {self.suffix}, {self.P}, {self.T1}, {self.T2}"


@lru_cache(maxsize=1024)
def make_plan(d: int, degree: int, dtype: str) -> SignaturePlan:
    """The plan for signatures over `d` letters, of degree 1 or more."""
    if degree == 1:
        return SignaturePlan(0, 0, 1, 1, 1, d, 1, d)
    depth = _DEPTHS[dtype].get(d)
    if depth is not None:
        depth = min(depth, degree)
        return SignaturePlan(d, degree - depth, depth, d, d, 1, 1, d ** (degree - depth))
    T1, T2 = min(
        ((t1, t2) for t1 in range(1, _LONGEST_TILE + 1) for t2 in range(1, _LONGEST_TILE + 1)),
        key=lambda tile: _cost(d, tile[0], tile[1], dtype),
    )
    n_roots, n_tops = -(-d // T1), -(-d // T2)
    return SignaturePlan(0, degree - 2, 2, T1, T2, n_roots, n_tops, d ** (degree - 2) * n_roots * n_tops)


def _cost(d: int, t1: int, t2: int, dtype: str) -> float:
    """Instructions of all tiles of one suffix, for one increment; infinite if a tile does not fit into registers."""
    if t1 * t2 > _TILE[dtype]:
        return float("inf")
    n_tiles = -(-d // t1) * -(-d // t2)
    return n_tiles * (t1 * t2 + 2 * t1 + _loads(t1, dtype) + _loads(t2, dtype) + 8)


def _loads(n: int, dtype: str) -> int:
    """Load instructions for n letters, at most 16 bytes each."""
    for at_once in (4, 2) if dtype == "float32" else (2,):
        if n % at_once == 0:
            return n // at_once
    return n


def chunk_length(plan: SignaturePlan, n_words: int, n_rows: int) -> int:
    """Increments in a time chunk; all of them if the path is too short to be cut."""
    chunk = 64 if plan.suffix == 0 else 128 if n_words <= 8192 else 256
    # Where many chunks are left all the same: joining half as many takes half the time.
    if plan.suffix > 0 and n_words >= _FEW_WORDS and n_rows >= _MANY_CHUNKS * chunk:
        chunk *= 2
    return chunk if n_rows > 2 * chunk else n_rows


def segment_length(n_rows: int) -> int:
    """Increments of a path that one block takes: all of them, but of very long paths, whose segments are joined."""
    n_segments = -(-n_rows // (_LONG_PART * BLOCK))
    return -(-n_rows // n_segments)


def n_parts(n_rows: int, most: int = BLOCK) -> int:
    """Parts, a power of two, into which a block cuts so many increments for its threads."""
    parts = 1
    while parts < most and _SHORT_PART * parts < n_rows:
        parts *= 2
    return parts


@lru_cache(maxsize=1024)
def small_tiles(plan: SignaturePlan, d: int) -> SignaturePlan:
    """The same coefficients in smaller tiles, where there are tiles: more threads, which need fewer registers."""
    if plan.D or plan.P == 1:
        return plan
    n = -(-d // _SMALL_TILE)
    return SignaturePlan(0, plan.suffix, 2, _SMALL_TILE, _SMALL_TILE, n, n, d**plan.suffix * n * n)


class Staging(NamedTuple):
    """The increments that a block keeps in shared memory, in numbers; `shared` in bytes. Nothing if `n` is 0."""

    n: int
    width: int
    stride: int
    shared: int


_STAGED_BYTES = 24 << 10
_MOST_STAGED = 64


def paths_of_block(plan: SignaturePlan) -> int:
    """The most virtual paths that a block of `BLOCK` threads has items of."""
    n = plan.n_items
    return BLOCK // n if BLOCK % n == 0 else 1 if n % BLOCK == 0 else (BLOCK - 2) // n + 2


@lru_cache(maxsize=1024)
def make_staging(plan: SignaturePlan, d: int, chunk: int, itemsize: int, most_shared: int) -> Staging:
    """Shared memory for blocks of `BLOCK` threads."""
    if plan.P == 1:
        return Staging(0, 0, 0, 0)
    n_paths = paths_of_block(plan)
    vector = 16 // itemsize
    width = d if plan.D else -(-max(plan.n_roots * plan.T1, plan.n_tops * plan.T2) // vector) * vector
    # Rows that share a warp start in different banks, each with what is loaded together.
    pack = packed(width, itemsize)
    pad = pack if n_paths > 1 else 0
    n = min(_MOST_STAGED, chunk, (_STAGED_BYTES // (n_paths * itemsize) - pad) // width)
    if n < 1:
        n = min(1, (most_shared // (n_paths * itemsize) - pad) // width)
    if n < 1:
        return Staging(0, 0, 0, 0)
    stride = n * width
    if n_paths > 1:
        stride = (stride // pack | 1) * pack
    return Staging(n, width, stride, n_paths * stride * itemsize)


class WholeStaging(NamedTuple):
    """Increments of each thread's part that a block keeps in shared memory, a compile-time constant; and bytes."""

    rows: int
    shared: int


@lru_cache(maxsize=256)
def make_whole_staging(d: int, n_words: int, parts: int, itemsize: int) -> WholeStaging:
    """Shared memory for what threads are told of their parts, and for increments or signatures that are handed over."""
    pack = packed(d, itemsize)
    # So many increments that a thread loads the same one of several parts.
    at_a_time = BLOCK // (d // pack)
    rows = max(n for n in range(1, at_a_time + 1) if at_a_time % n == 0 and n * d * itemsize <= _ROW_BYTES)
    staged = BLOCK * (rows * d // pack | 1) * pack
    return WholeStaging(rows, BLOCK * CHUNK_BYTES + max(staged, n_words * (BLOCK // 2) * (parts > 1)) * itemsize)
