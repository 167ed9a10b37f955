"""What siglib's kernels should take on a GPU, by count: beside the bounds of `compare_gpu.py`, all that surrounds the
multiply-adds as well. Increments on their way to shared memory, the joining of time chunks, sums over items, traffic,
and launches.

Instructions are those of the SASS that NVRTC 13.0 makes for Hopper (`nvidia-cuda-nvdisasm` shows it), in the order of
float32 and float64: of an item and increment in the loops over increments, read there; of what is shared by the items
of a block, counted by hand. Latencies, and what overlaps, are estimates. Times of the host are not in it.
"""

import math
from typing import Any, NamedTuple

from calls import KernelShape, Shape

from siglib._gpu import chen, signature_backprop, signature_backprop_block, signature_plan
from siglib._gpu.sizes import SHARED_BYTES, words_up_to

N_PROCESSORS, SCHEDULERS, WARP = 132, 4, 32
# Seconds: of a launch behind another one, and of a load that comes from memory, or, asked for before, from its cache.
LAUNCH, LATENCY, CACHE_LATENCY = 2e-6, 0.7e-6, 0.3e-6
# Cycles between two instructions of a warp that is alone, and blocks that hide each other's waiting.
ALONE, HIDING = 2, 3
ITEM_SIZE = {"float32": 4, "float64": 8}

# Instructions of one increment, forward and backward; in float64 two cycles of the double pipe for each that it takes,
# if these are more.
FORWARD = {
    (2, 2): (10.3, 16),
    (2, 3): (27.5, 48),
    (3, 4): (190, 348),
    (4, 2): (27.5, 48),
    (4, 3): (119, 224),
    (8, 3): (100, 166),
    (16, 3): (166, 150),
    (3, 5): (199, 142),
    (5, 5): (224, 104),
    (10, 4): (155, 138),
}
BACKWARD = {
    (2, 2): (31, 30),
    (2, 3): (83, 120),
    (4, 3): (317, 270),
    (8, 3): (251, 220),
    (16, 3): (396, 300),
    (3, 5): (263, 400),
    (5, 5): (634, 280),
    (10, 4): (371, 330),
}
# Of a number that is staged: several at a time, where points lie side by side at multiples of 16 bytes, or one alone;
# what a thread does before the first of a tile. Loads of numbers that it has under way.
STAGED_TOGETHER, STAGED_ALONE, TILE = (9.4, 18), (29, 30), 150
TOGETHER_AT_ONCE, ALONE_AT_ONCE = (16, 8), (8, 4)
# The same where a thread has a whole signature, and sizes are known to the compiler, by letters; a piece of memory that
# is asked for; a step that multiplies signatures of parts, beside a load, a store and n operations for a word of level
# n, or if teams of threads do.
WHOLE_STAGED = {2: (6.3, 9.9), 4: (4.4, 9.5), 3: (13.4, 15.5), 5: (16.8, 16)}
WHOLE_TILE, LINE, WHOLE_AT_ONCE, STEP, STEP_OF_TEAMS = 80, 4, {4: (32, 8), 2: (32, 8), 3: (8, 4), 5: (8, 4)}, 22, 70
# Gradients of few letters, a block for each path. Of an increment on the way to the signature of its chunk and back, as
# above; of a step of the scan over chunks; and of a chunk, all the rest.
BLOCK = {
    (2, 2): ((9, 9), (33, 40), (26, 26), (550, 550)),
    (2, 3): ((15, 16), (85, 144), (60, 60), (650, 650)),
    (4, 3): ((31, 24), (318, 312), (170, 104), (1100, 1000)),
}
# There: of a pack of 8 or 16 bytes that is staged, and of one that is stored; packs that are under way, on both walks.
PACK_STAGED, PACK_STORED, PACKS_UNDER_WAY = {8: 14, 16: 21}, 16, (16, 8)
# Of an item's share in the sums of one increment, with letters known to the compiler and not.
SUMS, SUMS_OF_TILES = 60, 120
# Of a word and a chunk that is joined, by level; of a term of a sum of the adjoint.
JOINED = {1: 24, 2: 28, 3: 34, 4: 41, 5: 52}
ADJOINT_TERM = 14
# Of a thread that makes gradients of points from those of increments: with one channel, and for each one more.
POINTS, ONE_CHANNEL, ANOTHER_CHANNEL = 4, 300, 14
# Of a cell: instructions, or cycles of the double pipe; so many for each letter, and the rest. Forward and backward.
CELL = {"float32": (1, 9.7), "float64": (2, 13.4)}
CELL_BACKWARD = {"float32": (6, 69), "float64": (12, 78)}
# A thread takes so many chunks side by side; what it waits for after the first of them, in loads.
TOGETHER, CUTS_WAIT, BLOCK_OF_JOIN = 16, 0.7, 256
# Of a term that one thread adds up after others have found it: instructions, and its wait in loads.
ADDED, ADDED_WAIT = 8, 0.01


class Time(NamedTuple):
    """Seconds: of signatures, kernels or gradients themselves, and of what joins their chunks."""

    kernel: float
    joining: float = 0.0

    @property
    def total(self) -> float:
        return self.kernel + self.joining


def _launch(
    device: Any, threads: float, instructions: float, n_bytes: float, block: int = 128, waits: float = 0
) -> float:
    """One kernel; `waits` are loads that a thread waits for one after another."""
    clock = device.multiply_adds["float32"] / (N_PROCESSORS * SCHEDULERS * WARP)
    blocks = math.ceil(threads / block)
    per_processor = math.ceil(blocks / N_PROCESSORS)
    issue = per_processor * block / WARP * instructions / (SCHEDULERS * clock)
    busy = max(issue, ALONE * instructions / clock, n_bytes / device.bandwidth)
    waves = math.ceil(per_processor / HIDING)
    return LAUNCH + busy + waits * LATENCY * waves / min(HIDING, per_processor)


def _staged(d: int, dtype: str) -> tuple[float, int]:
    """Instructions of a number, and how many numbers a thread waits for at a time."""
    which = dtype == "float64"
    together = d % (16 // ITEM_SIZE[dtype]) == 0
    instructions, at_once = (STAGED_TOGETHER, TOGETHER_AT_ONCE) if together else (STAGED_ALONE, ALONE_AT_ONCE)
    return instructions[which], at_once[which]


def signatures(device: Any, shape: Shape, dtype: str, chunk: int | None = None, degree: int | None = None) -> Time:
    """Of paths; with `chunk`, of their chunks alone, in a smaller degree."""
    d, n_rows, size = shape.dimension, shape.length - 1, ITEM_SIZE[dtype]
    n = degree or shape.degree
    n_words = words_up_to(d, n)
    plan = signature_plan.make_plan(d, n, dtype)
    if plan.whole:
        return _whole(device, shape, dtype, chunk, n)
    length = chunk or signature_plan.chunk_length(plan, n_words, n_rows)
    n_chunks = math.ceil(n_rows / length)
    inner = FORWARD.get((d, n), (1.15 * _multiply_adds(d, n) / plan.n_items + 12,) * 2)[dtype == "float64"]
    if shape.batch * n_chunks * plan.n_items < 256 * N_PROCESSORS:
        small = signature_plan.small_tiles(plan, d)
        inner, plan = inner if small == plan else min(inner, 45), small
    staging = signature_plan.make_staging(plan, d, length, size, 227 << 10)
    n_paths = max(1, signature_plan.BLOCK / plan.n_items)
    instructions, at_once = _staged(d, dtype)
    numbers = n_paths * staging.width / signature_plan.BLOCK  # that a thread stages for an increment
    tiles = math.ceil(length / staging.n) if staging.n else 0
    waits = tiles * math.ceil(numbers * max(staging.n, 1) / at_once)
    own = _launch(
        device,
        shape.batch * n_chunks * plan.n_items,
        500 + length * (inner + numbers * instructions) + tiles * TILE,
        size * shape.batch * (n_rows * d + n_chunks * n_words),
        waits=waits,
    )
    return Time(own, 0.0 if chunk or n_chunks == 1 else joining(device, shape.batch, n_chunks, d, n, size))


def _whole(device: Any, shape: Shape, dtype: str, chunk: int | None, degree: int) -> Time:
    """The same where a thread has a whole signature, of one of the parts that a block multiplies."""
    d, n_rows, size, which = shape.dimension, shape.length - 1, ITEM_SIZE[dtype], dtype == "float64"
    n_words, block = words_up_to(d, degree), signature_plan.BLOCK
    segment = chunk or signature_plan.segment_length(n_rows)
    parts = 1 if chunk else signature_plan.n_parts(segment)
    length, n_segments = math.ceil(segment / parts), math.ceil(n_rows / segment)
    inner = FORWARD.get((d, degree), (1.1 * _multiply_adds(d, degree) + 8, 2.1 * _multiply_adds(d, degree)))[which]
    rows = signature_plan.make_whole_staging(d, n_words, parts, size).rows
    tiles = math.ceil(length / rows)
    of_tile = WHOLE_TILE + rows * d * WHOLE_STAGED[d][which] + math.ceil(rows * d * size / 32) * LINE
    loads = tiles * math.ceil(rows * d / WHOLE_AT_ONCE[d][which])
    # Of warps in which threads have nothing to do all instructions are counted: none of them waits for fewer.
    operations = (2 if which else 1) * sum(k * d**k for k in range(1, degree + 1))
    teams = min(block // d ** (degree - 1), block // 4)
    steps = [block >> k for k in range(1, parts.bit_length())]
    products = sum(STEP_OF_TEAMS if left <= teams else STEP + 2 * n_words + operations for left in steps)
    products += 2 * n_words if steps and steps[-1] <= teams else 0
    walk = 500 + length * inner + tiles * of_tile
    own, whole = (
        _launch(
            device,
            shape.batch * n_segments * parts,
            instructions,
            size * shape.batch * (n_rows * d + n_segments * n_words),
            waits=1 + (loads - 1) * CACHE_LATENCY / LATENCY,
        )
        for instructions in (walk, walk + products)
    )
    one = chunk or n_segments == 1
    return Time(own, whole - own + (0 if one else joining(device, shape.batch, n_segments, d, degree, size)))


def _in_parts(n_chunks: int, words: float, level: int, together: int, few: int) -> tuple[float, float]:
    """Instructions and waits of a block for words of one level that its threads share, as many of them as it takes at a
    time; each thread takes `together` chunks side by side, or `few`, whether they are there or not."""
    parts = max(1, int(BLOCK_OF_JOIN // words))
    turns = math.ceil((n_chunks - 1) / (together * parts))
    # One thread of a word adds up all of its terms; other warps wait.
    warps = math.ceil(min(words, BLOCK_OF_JOIN) / WARP) / (BLOCK_OF_JOIN / WARP)
    each = together if (n_chunks - 1) / parts > few else few
    work = turns * each * JOINED.get(level, 60) + ADDED * n_chunks * warps
    return work, turns + ADDED_WAIT * n_chunks


def joining(device: Any, batch: int, n_chunks: int, d: int, degree: int, size: int, *, prefixes: bool = False) -> float:
    """All levels of few words are one launch, and the levels of many one each; of few paths all levels are one, unless
    `prefixes` are wanted."""
    work = waited = 0.0
    n_own = words_up_to(d, degree - 1) // d
    shared = size * (BLOCK_OF_JOIN * chen._FEW_TOGETHER + n_chunks * n_own)
    most = chen._BLOCKS_OF_PROCESSOR * N_PROCESSORS
    if not prefixes and degree > 1 and batch * d <= most and shared <= SHARED_BYTES:
        n_shares = max(1, min(most // (batch * d), d ** (degree - 1) // chen._WORDS_OF_SHARE))
        for n in range(1, degree + 1):
            words = math.ceil(d ** (n - 1) / (n_shares if n == degree else 1))
            rounds = math.ceil(words / BLOCK_OF_JOIN)
            instructions, waits = _in_parts(n_chunks, words, n, chen._FEW_TOGETHER, chen._FEW_TOGETHER // 4)
            work += rounds * instructions
            # What is before a chunk is in shared memory; cuts wait where the compiler does not know the level.
            waited += rounds * waits * (1 + CUTS_WAIT * (n - 1) * (n > 4))
        n_bytes = size * batch * n_chunks * words_up_to(d, degree)
        return _launch(device, batch * d * n_shares * BLOCK_OF_JOIN, 200 + work, n_bytes, BLOCK_OF_JOIN, waited)
    in_one = degree if d**degree <= 256 else max([n for n in range(1, degree) if d**n <= 4096], default=0)
    seconds = 0.0
    for n in range(1, in_one + 1):
        rounds = math.ceil(d**n / BLOCK_OF_JOIN)
        instructions, waits = _in_parts(n_chunks, d**n, n, TOGETHER, TOGETHER // 4)
        work += rounds * instructions
        waited += rounds * waits * (1 + CUTS_WAIT * (n > 1))
    if in_one:
        n_bytes = 2 * size * batch * n_chunks * words_up_to(d, in_one)
        seconds += _launch(device, batch * BLOCK_OF_JOIN, 200 + work, n_bytes, BLOCK_OF_JOIN, waited)
    for n in range(in_one + 1, degree + 1):
        letters = 4 if batch * d**n / 4 >= 256 * N_PROCESSORS else 1
        parts = 8 if batch * d**n < 256 * N_PROCESSORS else 1
        work, waits = 100 + n_chunks * letters * JOINED.get(n, 60), 0.0
        if parts > 1:
            work, waits = _in_parts(n_chunks, BLOCK_OF_JOIN / parts, n, TOGETHER, TOGETHER)
            work += 100
        n_bytes = size * batch * n_chunks * words_up_to(d, n)
        seconds += _launch(
            device, batch * d**n * parts / letters, work, n_bytes, BLOCK_OF_JOIN, waits * (1 + CUTS_WAIT * (n > 1))
        )
    return seconds


def gradients(device: Any, shape: Shape, dtype: str) -> Time:
    d, n_rows, size, which = shape.dimension, shape.length - 1, ITEM_SIZE[dtype], dtype == "float64"
    n_words = words_up_to(d, shape.degree)
    plan = signature_backprop.make_plan(d, shape.degree, size)
    if plan.literal and plan.s == 0:
        block = signature_backprop_block.make_block(d, shape.degree, plan.t1, n_rows, size)
        if block is not None:
            return _gradients_in_blocks(device, shape, dtype, plan, block)
    chunk = signature_backprop._chunk(n_rows, n_words, plan.n_items)
    n_chunks, lower = math.ceil(n_rows / chunk), words_up_to(d, shape.degree - 1)
    walked = chunk + (2 if n_chunks > 1 else 0)
    joined = 0.0
    if n_chunks > 1:
        joined += signatures(device, shape, dtype, chunk, shape.degree - 1).total
        joined += joining(device, shape.batch, n_chunks, d, shape.degree - 1, size, prefixes=True)
        terms = (shape.degree - 1) * d**shape.degree * n_chunks
        for _ in range(2):  # by the longest words, before and behind a chunk
            joined += _launch(
                device,
                shape.batch * math.ceil(n_chunks / 4) * 256,
                4 * terms / n_chunks / 256 * ADJOINT_TERM,
                size * shape.batch * n_chunks * 3 * lower,
                256,
            )
        joined += _launch(device, shape.batch * 512, 100, size * shape.batch * n_chunks * 3 * lower, 512, n_chunks / 8)
    per_block = max(1, signature_backprop.THREADS // plan.n_items)
    threads = shape.batch * n_chunks / per_block * signature_backprop.THREADS * plan.n_parts
    instructions, _ = _staged(d, dtype)
    sums = SUMS if plan.literal else SUMS_OF_TILES
    staged = per_block * plan.padded / signature_backprop.THREADS * instructions
    step = BACKWARD[d, shape.degree][which] + sums + staged
    own = _launch(
        device,
        threads,
        800 + walked * step,
        size * shape.batch * (2 * n_rows * d + 2 * n_chunks * lower + n_words),
        waits=math.ceil(walked / 32) * 2,
    )
    n_numbers, together = shape.batch * shape.length * d, next(n for n in (16 // size, 2, 1) if d % n == 0)
    instructions = ONE_CHANNEL + (together - 1) * ANOTHER_CHANNEL
    own += _launch(device, n_numbers / (POINTS * together), instructions, 2 * size * n_numbers, 256)
    return Time(own, joined)


def _gradients_in_blocks(
    device: Any,
    shape: Shape,
    dtype: str,
    plan: signature_backprop.SignatureBackpropPlan,
    block: signature_backprop_block.Block,
) -> Time:
    """One launch; the signatures of chunks and what joins them are in it."""
    d, size, which = shape.dimension, ITEM_SIZE[dtype], dtype == "float64"
    there, back, scan, once = (counts[which] for counts in BLOCK[d, shape.degree])
    pack = min(16, d * size)
    packs = d * size / pack / plan.n_items  # of an increment, that a thread stages and stores
    n = int(block.template.rpartition(" ")[2])  # increments in shared memory at a time
    walked = block.chunk + (2 if block.columns > 1 else 0)
    tiles = [math.ceil(steps / n) for steps in (block.chunk, walked)]
    loads = sum(
        of_walk * math.ceil(n * packs / under_way) for of_walk, under_way in zip(tiles, PACKS_UNDER_WAY, strict=True)
    )
    own = _launch(
        device,
        math.ceil(shape.batch / block.per_block) * signature_backprop.THREADS,
        once
        + math.log2(block.columns) * scan
        + (block.chunk if block.columns > 1 else 0) * (there + packs * PACK_STAGED[pack])
        + walked * (back + packs * (PACK_STAGED[pack] + PACK_STORED))
        + sum(tiles) * math.ceil(n * d * size / plan.n_items / 32) * LINE,
        size * shape.batch * (3 * shape.length * d + words_up_to(d, shape.degree)),
        # The first increments, the cotangent, and points between chunks.
        waits=3 + (loads - 1) * CACHE_LATENCY / LATENCY,
    )
    return Time(own)


def grams(device: Any, shape: KernelShape, dtype: str, backward: bool = False) -> Time:
    """Of pairs of paths, in bands of 128 rows and tiles of 32 columns."""
    n, d = shape.length - 1, shape.dimension
    rows, columns = math.ceil(n / 128) * 128, ((n + 30) // WARP + 1) * WARP
    letter, rest = (CELL_BACKWARD if backward else CELL)[dtype]
    issued = letter * d + rest
    cells = shape.batch**2 * rows * columns
    clock = device.multiply_adds["float32"] / (N_PROCESSORS * SCHEDULERS * WARP)
    busy = cells / WARP * issued / (N_PROCESSORS * SCHEDULERS * clock)
    blocks = math.ceil(shape.batch**2 / N_PROCESSORS)
    return Time(LAUNCH + busy * blocks * N_PROCESSORS / shape.batch**2)


def _multiply_adds(d: int, degree: int) -> float:
    return float(sum((degree - k + 1) * d**k for k in range(1, degree + 1)))
