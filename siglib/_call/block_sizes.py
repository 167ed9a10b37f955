"""How large the blocks are in which long work is done: a task, or a step between two looks at the time."""

import math

# A block should take about a second: then to send it around costs nothing, and a lost one is soon made again.
_SECONDS = 1.0
# What a block may hold, with its arrays and its result.
_BYTES = 2**27
# What kernels do with a number; to be right within a factor of ten is enough here.
_SECONDS_PER_NUMBER = 1e-9


def items_per_block(numbers: int, held: int) -> int:
    """Items of a batch of which each takes so many multiplications and holds so many numbers."""
    return max(1, min(int(_SECONDS / (_SECONDS_PER_NUMBER * max(numbers, 1))), _BYTES // (8 * max(held, 1))))


def pair_seconds(rows: int, columns: int, depth: int) -> float:
    """About how long a pair takes whose grid has so many nodes, each of which is computed so many times over."""
    return _SECONDS_PER_NUMBER * max(rows * columns * max(depth, 1), 100)


def pairs_per_side(seconds: float) -> int:
    """Rows and columns of a square block of pairs of which each takes so long; more than a pair, as kernels compute one
    or two of them in another order.
    """
    return max(4, min(int(math.sqrt(_SECONDS / seconds)), math.isqrt(_BYTES // 8)))
