"""Launchers of signature kernels and their gradients; arguments as in `siglib/_cpu/signature_kernel.pyx`.

A plan is a function of the sizes of a call, the dtype and the device: how many rows a lane takes, how many warps work
on a pair, how many blocks run at a time. Memory that blocks need of their own bounds their number; more pairs than
blocks go through the blocks one after another.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._launch import c_type, empty, launch, most_shared, n_processors

# The codes of `_kernel_problem.py` and `static_kernels.py`.
_PAIRWISE, _GRAM, _SYMMETRIC = 0, 1, 2
_GIVEN, _LINEAR, _POLYNOMIAL = -1, 0, 2
# Those of `signature_kernel_points.cuh`: what cells are made of.
_FROM_CELLS, _FROM_INCREMENTS, _FROM_PRODUCTS, _FROM_DISTANCES = range(4)
_SOURCES = {_GIVEN: _FROM_CELLS, _LINEAR: _FROM_INCREMENTS, _POLYNOMIAL: _FROM_PRODUCTS}
# Numbers from one row of the window to the next, and from one row of slopes.
_STRIDE, _SLOPE_STRIDE = 66, 33
# Columns of the window. Letters for which there is a kernel with coefficients in registers: more are padded, up to 16.
_WINDOW = 64
_LETTERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
_MOST_LETTERS = 16
# Rows that a lane may take: with more, float32 would have to look at its range in every step.
_ROWS = {"float": (1, 2, 4), "double": (1, 2, 4, 8)}
# Steps between two looks at the range of numbers, and cells that numbers may pass in between.
_LOOK, _CELLS = {"float": 4, "double": 8}, {"float": 8, "double": 32}
# Warps that a multiprocessor should have to work on, and bytes that blocks may have of their own, all together.
_WARPS, _SCRATCH_BYTES = 16, 2**28


@dataclass(frozen=True)
class _Cells:
    """The cells of the grids of one call."""

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
        return _SOURCES.get(self.kind, _FROM_DISTANCES)

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
        return self.source in (_FROM_PRODUCTS, _FROM_DISTANCES)

    def shared_numbers(self, per_lane: int, *, backward: bool = False) -> int:
        """Numbers of a warp's shared memory; see `make_room` of `signature_kernel_cells.cuh`, and who calls it."""
        n = self.band_cells(per_lane) + 1
        letters = 0 if self.source == _FROM_CELLS else _padded(n * self.letters)
        edges = 2 * n if self.points else 0
        if not backward:
            return letters + _padded(n * _STRIDE + edges)
        n_rows = 32 * per_lane + 1
        slopes = n_rows * _SLOPE_STRIDE + 1024 // self.look(per_lane)
        own = 0 if self.source == _FROM_CELLS else 32 * self.letters
        return own + letters + _padded(n_rows * _STRIDE + edges + slopes + edges)


def _padded(n: int) -> int:
    return -(-n // 4) * 4


def _n_pairs(layout: int, batch1: int, batch2: int) -> int:
    if layout == _PAIRWISE:
        return batch1
    return batch1 * batch2 if layout == _GRAM else batch1 * (batch1 + 1) // 2


def _numbers(parameters: Any) -> tuple[Any, float, float, float]:
    """The static kernel's parameters as kernels take them: from the device, or by value."""
    if isinstance(parameters, np.ndarray):
        p0, p1, p2 = (float(number) for number in parameters)
        return 0, p0, p1, p2
    return parameters, 0.0, 0.0, 0.0


def _cells(
    path: Any, length1: int, length2: int, dimension: int, static_kernel: int, order1: int, order2: int, order: int
) -> _Cells:
    factor = 1.0 if order else 1.0 / (math.sqrt(12.0) * 2.0**order1 * 2.0**order2)
    return _Cells(c_type(path), length1 - 1, length2 - 1, dimension, static_kernel, order1, order2, factor)


def _literal(order: int) -> int:
    """The order, if it is one that is known to the compiler, or 0."""
    return order if order <= 12 else 0


def _n_warps(n_pairs: int, n_bands: int, bytes_of_warp: int) -> int:
    """Warps for each pair: more than one where pairs are too few to fill the device."""
    wanted = -(-_WARPS * n_processors() // n_pairs)
    # A kilobyte is left for what kernels have besides.
    return max(1, min(wanted, 16, n_bands, (most_shared() - 1024) // bytes_of_warp))


def sig_kernel(
    path1: Any,
    path2: Any,
    out: Any,
    exponent: Any,
    parameters: Any,
    length1: int,
    length2: int,
    dimension: int,
    static_kernel: int,
    layout: int,
    order1: int,
    order2: int,
    order: int,
    wavefront: bool,
    n_threads: int,
) -> None:
    """path1 (batch1, length1 * dimension), path2 (batch2, length2 * dimension); out, exponent (pairs): out *
    2^exponent.

    For given cells, path1 is (batch1, (length1 - 1) * (length2 - 1)) and path2 is not read.
    """
    cells = _cells(path1, length1, length2, dimension, static_kernel, order1, order2, order)
    _forward(cells, path1, path2, out, exponent, parameters, layout, order, False)


def sig_kernel_grid(
    path1: Any,
    path2: Any,
    out: Any,
    parameters: Any,
    length1: int,
    length2: int,
    dimension: int,
    static_kernel: int,
    layout: int,
    order1: int,
    order2: int,
    order: int,
    n_threads: int,
) -> None:
    """Paths as in `sig_kernel`; out (pairs, rows + 1, columns + 1): the kernel at all nodes of the refined grid."""
    cells = _cells(path1, length1, length2, dimension, static_kernel, order1, order2, order)
    _forward(cells, path1, path2, out, out, parameters, layout, order, True)


def _forward(
    cells: _Cells,
    path1: Any,
    path2: Any,
    out: Any,
    exponent: Any,
    parameters: Any,
    layout: int,
    order: int,
    grids: bool,
) -> None:
    batch1, batch2 = path1.shape[0], path2.shape[0]
    n_pairs = _n_pairs(layout, batch1, batch2)
    if n_pairs == 0:
        return
    device_numbers, *numbers = _numbers(parameters)
    if order > 0:
        bytes_of_warp = cells.itemsize * cells.shared_numbers(1)
        n_warps = min(_n_warps(n_pairs, cells.n_bands(1), bytes_of_warp), 8)
        own = (n_warps + 1) * cells.n2 * (order + 2)
        n_blocks = min(n_pairs, 32 * n_processors(), max(1, _SCRATCH_BYTES // (own * cells.itemsize)))
        launch(
            "signature_kernel_polynomial.cu",
            f"signature_kernel_polynomial<{cells.type}, {cells.source}, {cells.letters}, {_literal(order)}, "
            f"{str(grids).lower()}>",
            n_blocks,
            32 * n_warps,
            (
                path1,
                path2 if path2.size else path1,
                out,
                exponent,
                empty(n_blocks * own, out),
                device_numbers,
                0,
                n_pairs,
                batch1,
                batch2,
                layout,
                cells.n1,
                cells.n2,
                cells.dimension,
                order,
                cells.kind,
                *numbers,
            ),
            shared=n_warps * bytes_of_warp,
        )
        return
    if cells.kind == _LINEAR and cells.dimension <= _MOST_LETTERS and not grids:
        _forward_linear(cells, path1, path2, out, exponent, device_numbers, numbers, layout, n_pairs)
        return
    per_lane = cells.rows_of_lane(min(max(_ROWS[cells.type]), (2 if cells.type == "float" else 1) << cells.order1))
    bytes_of_warp = cells.itemsize * cells.shared_numbers(per_lane)
    n_warps = _n_warps(n_pairs, cells.n_bands(per_lane), bytes_of_warp)
    own = (n_warps + 1) * cells.carry_numbers(per_lane)
    n_blocks = min(n_pairs, 32 * n_processors(), max(1, _SCRATCH_BYTES // (own * cells.itemsize)))
    launch(
        "signature_kernel.cu",
        f"signature_kernel<{cells.type}, {cells.source}, {cells.letters}, {per_lane}, {str(grids).lower()}>",
        n_blocks,
        32 * n_warps,
        (
            path1,
            path2 if path2.size else path1,
            out,
            exponent,
            empty(n_blocks * own, out),
            device_numbers,
            0,
            n_pairs,
            batch1,
            batch2,
            layout,
            cells.n1,
            cells.n2,
            cells.dimension,
            cells.order1,
            cells.order2,
            cells.kind,
            *numbers,
            cells.factor,
        ),
        shared=n_warps * bytes_of_warp,
    )


def _forward_linear(
    cells: _Cells,
    path1: Any,
    path2: Any,
    out: Any,
    exponent: Any,
    device_numbers: Any,
    numbers: list[float],
    layout: int,
    n_pairs: int,
) -> None:
    """Linear kernel, few channels: coefficients in registers."""
    letters = next(n for n in _LETTERS if n >= cells.dimension)
    # Increments of a lane's rows must fit into its registers; and there should be work for all warps.
    per_lane = cells.rows_of_lane(max(n for n in _ROWS[cells.type] if n == 1 or n * letters * cells.itemsize <= 256))
    while per_lane > 2 and n_pairs * cells.n_bands(per_lane) < _WARPS // 2 * n_processors():
        per_lane //= 2
    shift = min(cells.order1, per_lane.bit_length() - 1)
    bytes_of_warp = cells.itemsize * letters * _WINDOW
    # MOST_THREADS of signature_kernel_linear.cu.
    most = 8 if per_lane > 2 or per_lane * letters * cells.itemsize > 128 else 16
    n_warps = min(_n_warps(n_pairs, cells.n_bands(per_lane), bytes_of_warp), most)
    own = (n_warps + 1) * cells.carry_numbers(per_lane)
    n_blocks = min(n_pairs, 32 * n_processors(), max(1, _SCRATCH_BYTES // (own * cells.itemsize)))
    launch(
        "signature_kernel_linear.cu",
        f"signature_kernel_linear<{cells.type}, {letters}, {per_lane}, {shift}>",
        n_blocks,
        32 * n_warps,
        (
            path1,
            path2,
            out,
            exponent,
            empty(n_blocks * own, out),
            device_numbers,
            0,
            n_pairs,
            path1.shape[0],
            path2.shape[0],
            layout,
            cells.n1,
            cells.n2,
            cells.dimension,
            cells.order1,
            cells.order2,
            numbers[0],
            cells.factor,
        ),
        shared=n_warps * bytes_of_warp,
    )


def sig_kernel_backprop(
    derivs: Any,
    path1: Any,
    path2: Any,
    d_path1: Any,
    d_path2: Any,
    d_parameters: Any,
    parameters: Any,
    length1: int,
    length2: int,
    dimension: int,
    static_kernel: int,
    layout: int,
    order1: int,
    order2: int,
    order: int,
    log_derivs: bool,
    left_deriv: bool,
    right_deriv: bool,
    wavefront: bool,
    n_threads: int,
) -> None:
    """derivs (pairs, 1) or (pairs, nodes of the refined grid); d_path1, d_path2 as path1, path2; d_parameters (3).

    What is not wanted is not read: left_deriv, right_deriv, an empty d_parameters.
    """
    cells = _cells(path1, length1, length2, dimension, static_kernel, order1, order2, order)
    batch1, batch2 = path1.shape[0], path2.shape[0]
    n_pairs = _n_pairs(layout, batch1, batch2)
    outs = (d_path1 if left_deriv else None, d_path2 if right_deriv and layout != _SYMMETRIC else None)
    if n_pairs == 0:
        for out in (*outs, d_parameters):
            if out is not None:
                out.fill(0)
        return
    _backward(cells, derivs, path1, path2, outs, d_parameters, parameters, layout, order, log_derivs)


def _backward(
    cells: _Cells,
    derivs: Any,
    path1: Any,
    path2: Any,
    outs: tuple[Any, Any],
    d_parameters: Any,
    parameters: Any,
    layout: int,
    order: int,
    log_derivs: bool,
) -> None:
    batch1, batch2 = path1.shape[0], path2.shape[0]
    n_pairs = _n_pairs(layout, batch1, batch2)
    given = cells.source == _FROM_CELLS
    per_lane = cells.rows_of_lane(2 if cells.type == "float" and not order else 1)
    n_bands, points = cells.n_bands(per_lane), int(cells.points)
    # Gradients of pairs: those of the first paths have a part for each band.
    size1 = n_bands * (cells.band_cells(per_lane) + points) * cells.dimension
    size2 = (cells.n2 + points) * cells.dimension
    wants1 = outs[0] is not None
    wants2 = (wants1 and layout == _SYMMETRIC) or outs[1] is not None
    wants2 = wants2 or (d_parameters.size > 0 and cells.kind == _LINEAR)
    bytes_of_pair = cells.itemsize * (size1 * wants1 + size2 * wants2) + 24
    slab = n_pairs if given else max(1, min(n_pairs, _SCRATCH_BYTES // bytes_of_pair))
    gradient1 = outs[0] if given else empty(slab * size1, path1) if wants1 else 0
    gradient2 = empty(slab * size2, path1) if wants2 and not given else 0
    gradient_numbers = empty(slab * 3, d_parameters) if d_parameters.size else 0
    # What blocks need of their own: what each band carries on; and for each warp the same upwards and a row that nobody
    # reads, the states of a band, and by the polynomial method slopes.
    bytes_of_warp = cells.itemsize * cells.shared_numbers(per_lane, backward=True)
    if order:
        carry, slopes, state = cells.n2 * (order + 2), 32 * (2 * order + 1) * 32, (2 * order + 4) * 32
    else:
        carry, slopes, state = cells.carry_numbers(per_lane), 0, (per_lane + 3) * 32
    of_block, of_warp = (n_bands + 1) * carry, 2 * carry + cells.n_tiles * state + slopes
    n_blocks = min(slab, 32 * n_processors(), max(1, _SCRATCH_BYTES // (cells.itemsize * (of_block + of_warp))))
    n_warps = min(_n_warps(n_blocks, n_bands, bytes_of_warp), 8)
    scratch = [
        empty(n_blocks * (of_block + 2 * n_warps * carry), path1),
        empty(n_blocks * n_warps * cells.n_tiles * state, path1),
    ]
    if order:
        scratch.append(empty(n_blocks * n_warps * slopes, path1))
    grids = str(derivs.shape[1] > 1).lower()
    device_numbers, *numbers = _numbers(parameters)
    name, literal = "signature_kernel_backprop", per_lane
    orders: tuple[int, ...] = (cells.order1, cells.order2)
    factor: tuple[float, ...] = (cells.factor,)
    if order:
        name, literal, orders, factor = "signature_kernel_polynomial_backprop", _literal(order), (order,), ()
    for first in range(0, n_pairs, slab):
        n = min(slab, n_pairs - first)
        launch(
            f"{name}.cu",
            f"{name}<{cells.type}, {cells.source}, {cells.letters}, {literal}, {grids}>",
            min(n_blocks, n),
            32 * n_warps,
            (
                derivs,
                path1,
                path2 if path2.size else path1,
                gradient1,
                gradient2,
                gradient_numbers,
                *scratch,
                device_numbers,
                first,
                n,
                batch1,
                batch2,
                layout,
                cells.n1,
                cells.n2,
                cells.dimension,
                *orders,
                cells.kind,
                int(log_derivs),
                *numbers,
                *factor,
            ),
            shared=n_warps * bytes_of_warp,
        )
        if not given:
            for out, second in zip(outs, ("false", "true"), strict=True):
                if out is not None:
                    launch(
                        "signature_kernel_sums.cu",
                        f"sum_of_pairs<{cells.type}, {points}, {per_lane}, {second}>",
                        -(-out.size // 256),
                        256,
                        (
                            gradient1,
                            gradient2,
                            out,
                            out.size,
                            int(first == 0),
                            first,
                            n,
                            batch1,
                            batch2,
                            layout,
                            cells.n1,
                            cells.n2,
                            cells.dimension,
                            cells.order1,
                        ),
                    )
        if d_parameters.size:
            launch(
                "signature_kernel_sums.cu",
                "sum_of_numbers",
                1,
                32,
                (gradient_numbers, d_parameters, n, int(first == 0)),
            )


def add_paths(out: Any, index: Any, paths: Any) -> None:
    """out[index[i]] += paths[i], in the order of i; out (n, size), paths (m, size), index (m) of int64."""
    n, size = out.shape
    launch(
        "signature_kernel_sums.cu",
        f"add_paths<{c_type(out)}>",
        -(-out.size // 256),
        256,
        (out, index, paths, n, index.size, size),
    )
