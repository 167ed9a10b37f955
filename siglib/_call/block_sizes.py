"""How large the blocks are in which long work is done: tasks that are sent around, or steps between two reports."""

import math

# A task should take about a second: then to send it around costs nothing, and a lost one is soon made again.
_TASK_SECONDS = 1.0
# Between two reports.
_STEP_SECONDS = 0.2
# What a block may hold, with its arrays and its result.
_BYTES = 2**27
# What kernels do with a number; to be right within a factor of ten is enough here.
_SECONDS_PER_NUMBER = 1e-9
# A step is made of so many paths, or of so many rows and columns of pairs, at least: fewer would take longer each.
_STEP_ITEMS, _STEP_SIDE = 64, 128


def vector_seconds(rows: int, numbers: int) -> float:
    """About how long a path of so many rows takes that becomes so many numbers."""
    return _SECONDS_PER_NUMBER * (rows * max(numbers, 1) + 100)


def pair_seconds(rows: int, columns: int, times: int) -> float:
    """About how long a pair takes whose grid has so many nodes, each of which is computed so many times over."""
    return _SECONDS_PER_NUMBER * max(rows * columns * max(times, 1), 100)


def items_per_task(seconds: float, numbers: int) -> int:
    """Items of a batch of which each takes so long and holds so many numbers."""
    return max(1, min(int(_TASK_SECONDS / seconds), _BYTES // (8 * max(numbers, 1))))


def items_per_step(seconds: float, numbers: int, n_threads: int) -> int:
    """The same for a step."""
    items = max(1, int(n_threads * _STEP_SECONDS / seconds) // _STEP_ITEMS) * _STEP_ITEMS
    return max(1, min(items, _BYTES // (8 * max(numbers, 1))))


def side_of_task(seconds: float) -> int:
    """Rows and columns of a square block of pairs of which each takes so long; more than a pair, as kernels compute one
    or two of them in another order.
    """
    return max(4, min(int(math.sqrt(_TASK_SECONDS / seconds)), math.isqrt(_BYTES // 8)))


def side_of_step(seconds: float, numbers: int, n_threads: int) -> int:
    """The same for a step, where a pair gives so many numbers."""
    side = max(_STEP_SIDE, int(math.sqrt(n_threads * _STEP_SECONDS / seconds)))
    return max(1, min(side, math.isqrt(_BYTES // (8 * max(numbers, 1)))))
