"""Sizes of signature kernels on the GPU: what cells there are, and how many rows, warps and blocks work on them.

A plan is a function of the sizes of a call, the dtype and the device, and is made once for all calls alike. Memory that
blocks need of their own bounds their number; more pairs than blocks go through the blocks one after another.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ._launch import c_type, most_shared, n_processors
from .recording import Numbers

# The codes of `_kernel_problem.py` and `static_kernels.py`.
PAIRWISE, GRAM, SYMMETRIC = 0, 1, 2
GIVEN, LINEAR, POLYNOMIAL = -1, 0, 2
# Those of `signature_kernel_points.cuh`: what cells are made of.
FROM_CELLS, FROM_INCREMENTS, FROM_PRODUCTS, FROM_DISTANCES = range(4)
_SOURCES = {GIVEN: FROM_CELLS, LINEAR: FROM_INCREMENTS, POLYNOMIAL: FROM_PRODUCTS}
# Numbers from one row of the window to the next, and from one row of slopes.
_STRIDE, _SLOPE_STRIDE = 66, 33
# Columns of the window of the linear kernel, some of them twice.
_SLOTS = 72
# Orders of the polynomial method above this one are high.
_HIGH_ORDER = 8
# Letters for which there is a kernel with coefficients in registers: others are padded. Backward eight at most.
_LETTERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
_MOST_LETTERS_BACKWARD = 8
# Rows that a lane may take: with more, float32 would have to look at its range in every step.
_ROWS = {"float": (1, 2, 4), "double": (1, 2, 4, 8)}
# Steps between two looks at the range of numbers, and cells that numbers may pass in between.
_LOOK, _CELLS = {"float": 4, "double": 8}, {"float": 8, "double": 32}
# Warps that a multiprocessor should have to work on, and bytes that blocks may have of their own, all together.
WARPS, SCRATCH_BYTES = 16, 2**28


@dataclass(frozen=True, eq=False)  # there is one for all calls alike
class Cells:
    """The cells of the grids of a call."""

    type: str
    n1: int
    n2: int
    dimension: int
    kind: int
    order1: int
    order2: int
    factor: float

    @property
    def source(self) -> int:
        return _SOURCES.get(self.kind, FROM_DISTANCES)

    @property
    def itemsize(self) -> int:
        return 4 if self.type == "float" else 8

    @property
    def letters(self) -> int:
        """Letters that are multiplied at a time."""
        return 2 if self.dimension <= 2 else 4 if self.dimension <= 4 else 8

    @property
    def rows(self) -> int:
        return self.n1 << self.order1

    def rows_of_lane(self, most: int) -> int:
        """Rows that a lane takes: `most`, or as many as fill the lanes."""
        while most > 1 and self.rows < 32 * most:
            most //= 2
        return most

    def n_bands(self, per_lane: int) -> int:
        return -(-self.rows // (32 * per_lane))

    @property
    def n_tiles(self) -> int:
        """Tiles of 32 steps that a warp takes over a band."""
        return ((self.n2 << self.order2) + 30) // 32 + 1

    def band_cells(self, per_lane: int) -> int:
        """Rows of cells in a band."""
        return max((32 * per_lane) >> self.order1, 1)

    def look(self, per_lane: int) -> int:
        """Steps between two looks at the range of numbers."""
        return min(_LOOK[self.type], _CELLS[self.type] // per_lane)

    def carry_numbers(self, per_lane: int) -> int:
        """Numbers that one band gives to the next: differences, and exponents."""
        n = 32 * self.n_tiles + 32
        return n + n // self.look(per_lane)

    @property
    def points(self) -> bool:
        """Whether cells come from a kernel at points, the nodes between cells."""
        return self.source in (FROM_PRODUCTS, FROM_DISTANCES)

    def shared_numbers(self, per_lane: int, letters: int, *, backward: bool = False) -> int:
        """Numbers of a warp's shared memory, for so many letters at a time; see `make_room` of
        `signature_kernel_cells.cuh`, and who calls it."""
        n, letters = self.band_cells(per_lane) + 1, 0 if self.source == FROM_CELLS else letters
        edges = 2 * n if self.points else 0
        if not backward:
            return _padded(n * letters) + _padded(n * _STRIDE + edges)
        n_rows = 32 * per_lane + 1
        slopes = n_rows * _SLOPE_STRIDE + 1024 // self.look(per_lane)
        return 32 * letters + _padded(n * letters) + _padded(n_rows * _STRIDE + edges + slopes + edges)


def _padded(n: int) -> int:
    return -(-n // 4) * 4


def n_pairs_of(layout: int, batch1: int, batch2: int) -> int:
    if layout == PAIRWISE:
        return batch1
    return batch1 * batch2 if layout == GRAM else batch1 * (batch1 + 1) // 2


def cells_of(
    path: Any, length1: int, length2: int, dimension: int, static_kernel: int, order1: int, order2: int, order: int
) -> Cells:
    return _cells(c_type(path), length1, length2, dimension, static_kernel, order1, order2, order > 0)


@lru_cache(maxsize=1024)
def _cells(
    number: str, length1: int, length2: int, dimension: int, static_kernel: int, order1: int, order2: int, exact: bool
) -> Cells:
    factor = 1.0 if exact else 1.0 / (math.sqrt(12.0) * 2.0**order1 * 2.0**order2)
    return Cells(number, length1 - 1, length2 - 1, dimension, static_kernel, order1, order2, factor)


@dataclass(frozen=True, eq=False)  # there is one for all calls alike
class KernelPlan:
    """Which kernel, and what its blocks need."""

    name: str  # of the file and the function
    template: tuple[Any, ...]  # what is between < and >, behind the type
    per_lane: int  # rows
    bytes_of_warp: int  # shared memory
    most_warps: int  # of a block
    own_of_block: int  # numbers of global memory: what bands carry on to each other
    own_of_warp: int
    states_of_warp: int = 0  # of the tiles of a band, backward
    slopes_of_warp: int = 0  # derivatives of edges, backward by the polynomial method
    groups: int = 0  # of rows in a cell, if that is how gradients of rows come

    def instance(self, cells: Cells) -> str:
        return _instance(self, cells)

    def options(self, cells: Cells, order: int, parameters: Any) -> dict[str, Any]:
        """What kernels are told of the cells, and of the static kernel: its parameters from the device, or by value."""
        options = _sizes_of(self, cells, order).copy()
        on_host = isinstance(parameters, (np.ndarray, Numbers))
        p0, p1, p2 = parameters.tolist() if on_host else (0.0, 0.0, 0.0)
        options["parameters"] = 0 if on_host else parameters
        if "kind" in options:
            options["p0"], options["p1"], options["p2"] = p0, p1, p2
        else:
            options["scale"] = p0
        return options

    def blocks_and_warps(self, cells: Cells, n_pairs: int, itemsize: int) -> tuple[int, int]:
        """Blocks of the grid, and warps of a block: many for each pair where pairs are too few to fill the device."""
        return _blocks_and_warps(self, cells, n_pairs, itemsize, SCRATCH_BYTES, WARPS, n_processors(), most_shared())


@lru_cache(maxsize=1024)
def _instance(plan: KernelPlan, cells: Cells) -> str:
    words = (str(word).lower() for word in plan.template)
    return f"{plan.name}<{', '.join((cells.type, *words))}>"


@lru_cache(maxsize=1024)
def _sizes_of(plan: KernelPlan, cells: Cells, order: int) -> dict[str, Any]:
    sizes: dict[str, Any] = {"n1": cells.n1, "n2": cells.n2, "d": cells.dimension}
    if order > 0:
        return sizes | {"order": order, "kind": cells.kind}
    sizes |= {"order1": cells.order1, "order2": cells.order2, "factor": cells.factor}
    return sizes if plan.name.startswith("signature_kernel_linear") else sizes | {"kind": cells.kind}


@lru_cache(maxsize=1024)
def _blocks_and_warps(
    plan: KernelPlan, cells: Cells, n_pairs: int, itemsize: int, scratch: int, warps: int, processors: int, shared: int
) -> tuple[int, int]:
    own = itemsize * (plan.own_of_block + plan.own_of_warp + plan.states_of_warp + plan.slopes_of_warp)
    n_blocks = min(n_pairs, 32 * processors, max(1, scratch // own))
    # A kilobyte of shared memory is left for what kernels have besides.
    n_bands = cells.n_bands(plan.per_lane)
    most = min(plan.most_warps, n_bands, (shared - 1024) // plan.bytes_of_warp)
    n_warps = max(1, min(-(-warps * processors // n_blocks), most))
    # A few more if bands come out even then: nobody idles in the last round.
    even = (n for n in range(n_warps, min(most, 2 * n_warps) + 1) if n_bands % n == 0)
    return n_blocks, next(even, n_warps)


def _order(order: int) -> int:
    """The order, if it is one that is known to the compiler, or 0."""
    return order if order <= 12 else 0


def _letters(cells: Cells) -> int:
    return next(n for n in _LETTERS if n >= cells.dimension)


def _window_numbers(letters: int, itemsize: int) -> int:
    """Size of the window of `signature_kernel_linear.cuh`."""
    n_bytes = letters * itemsize
    slot = letters if n_bytes <= 8 else (-(-n_bytes // 16) | 1) * 16 // itemsize
    return _SLOTS * slot


def _rows_for_pairs(cells: Cells, n_pairs: int, most: int, warps: int) -> int:
    """Rows of a lane, fewer where that makes more work for warps to share."""
    per_lane = cells.rows_of_lane(most)
    while per_lane > 2 and n_pairs * cells.n_bands(per_lane) < warps // 2:
        per_lane //= 2
    return per_lane


def forward_plan(cells: Cells, order: int, grids: bool, n_pairs: int) -> KernelPlan:
    return _forward_plan(cells, order, grids, n_pairs, WARPS * n_processors())


@lru_cache(maxsize=1024)
def _forward_plan(cells: Cells, order: int, grids: bool, n_pairs: int, warps: int) -> KernelPlan:
    if order > 0:
        return KernelPlan(
            "signature_kernel_polynomial",
            (cells.source, cells.letters, _order(order), grids),
            1,
            cells.itemsize * cells.shared_numbers(1, cells.letters),
            8,
            cells.n2 * (order + 2),
            cells.n2 * (order + 2),
        )
    if cells.kind == LINEAR and cells.dimension <= max(_LETTERS) and not grids:
        letters = _letters(cells)
        # Increments of a lane's rows must fit into its registers.
        most = max(n for n in _ROWS[cells.type] if n == 1 or n * letters * cells.itemsize <= 256)
        per_lane = _rows_for_pairs(cells, n_pairs, most, warps)
        return KernelPlan(
            "signature_kernel_linear",
            (letters, per_lane, min(cells.order1, per_lane.bit_length() - 1), cells.order2 > 0),
            per_lane,
            cells.itemsize * (_window_numbers(letters, cells.itemsize) + 32),
            # MOST_THREADS of signature_kernel_linear.cu.
            8 if per_lane > 2 or per_lane * letters * cells.itemsize > 128 else 16,
            cells.carry_numbers(per_lane),
            cells.carry_numbers(per_lane),
        )
    per_lane = cells.rows_of_lane(min(max(_ROWS[cells.type]), (2 if cells.type == "float" else 1) << cells.order1))
    return KernelPlan(
        "signature_kernel",
        (cells.source, cells.letters, per_lane, grids),
        per_lane,
        cells.itemsize * cells.shared_numbers(per_lane, cells.letters),
        16,
        cells.carry_numbers(per_lane),
        cells.carry_numbers(per_lane),
    )


def backward_plan(cells: Cells, order: int, grids: bool, second: bool, n_pairs: int) -> KernelPlan:
    """`second`: whether gradients of the second paths are wanted.

    A block has the rows that bands leave below; for each warp and once more, those that they leave above; for each warp
    a row that nobody reads.
    """
    return _backward_plan(cells, order, grids, second, n_pairs, WARPS * n_processors())


@lru_cache(maxsize=1024)
def _backward_plan(cells: Cells, order: int, grids: bool, second: bool, n_pairs: int, warps: int) -> KernelPlan:
    if order > 0:
        carry, n_bands = cells.n2 * (order + 2), cells.n_bands(1)
        # Beside polynomials of high order letters take no time, but where the compiler sees many.
        letters = min(cells.letters, 2) if _order(order) > _HIGH_ORDER else cells.letters
        return KernelPlan(
            "signature_kernel_polynomial_backprop",
            (cells.source, letters, _order(order), grids),
            1,
            cells.itemsize * cells.shared_numbers(1, letters, backward=True),
            8,
            (n_bands + 1) * carry,
            2 * carry,
            cells.n_tiles * (2 * order + 4) * 32,
            32 * (2 * order + 1) * 32,
        )
    if cells.kind == LINEAR and cells.dimension <= _MOST_LETTERS_BACKWARD and not grids:
        letters = _letters(cells)
        per_lane = _rows_for_pairs(cells, n_pairs, 4 if cells.type == "float" else 2, warps)
        shift = min(cells.order1, per_lane.bit_length() - 1)
        shared = (
            _window_numbers(letters, cells.itemsize) + 32 * letters + 32 * per_lane * 32 + 1024 // cells.look(per_lane)
        )
        return KernelPlan(
            "signature_kernel_linear_backprop",
            (letters, per_lane, shift, second),
            per_lane,
            cells.itemsize * shared,
            8,
            (cells.n_bands(per_lane) + 1) * cells.carry_numbers(per_lane),
            2 * cells.carry_numbers(per_lane),
            cells.n_tiles * (per_lane + 3) * 32,
            groups=1 << (cells.order1 - shift),
        )
    per_lane = cells.rows_of_lane(2 if cells.type == "float" else 1)
    return KernelPlan(
        "signature_kernel_backprop",
        (cells.source, cells.letters, per_lane, grids),
        per_lane,
        cells.itemsize * cells.shared_numbers(per_lane, cells.letters, backward=True),
        8,
        (cells.n_bands(per_lane) + 1) * cells.carry_numbers(per_lane),
        2 * cells.carry_numbers(per_lane),
        cells.n_tiles * (per_lane + 3) * 32,
    )
