"""Launchers of branched signature kernels, and what blocks need; arguments as in `siglib/_cpu/branched_kernel.pyx`.

Paths, static kernels and gradients of pairs are those of signature kernels.
"""

from functools import lru_cache
from typing import Any

from . import signature_kernel_plan
from ._launch import c_type, empty, launch
from .signature_kernel_plan import GRAM, SYMMETRIC, Cells, KernelPlan, n_pairs_of

# Depths up to this one are known to the compiler, and kept in registers.
_MOST_IN_REGISTERS = 4
# Numbers of a lane for each depth, and of what goes from one band to the next, forward and backward: N_KEPT and so on
# of `branched_kernel_sweep.cuh` and `branched_kernel_adjoint.cuh`.
_KEPT, _KEPT_BACK = 4, 10
_CARRIED, _CARRIED_UP = 2, 4


def branched_cells(
    path: Any, length1: int, length2: int, dimension: int, static_kernel: int, order1: int, order2: int
) -> Cells:
    """Cells hold a quarter of their coefficients."""
    return _cells(c_type(path), length1, length2, dimension, static_kernel, order1, order2)


@lru_cache(maxsize=1024)
def _cells(
    number: str, length1: int, length2: int, dimension: int, static_kernel: int, order1: int, order2: int
) -> Cells:
    factor = 0.25 / (2.0**order1 * 2.0**order2)
    return Cells(number, length1 - 1, length2 - 1, dimension, static_kernel, order1, order2, factor)


def branched_plan(cells: Cells, depth: int, grids: bool, *, backward: bool = False) -> KernelPlan:
    return _plan(cells, depth, grids, backward, signature_kernel_plan.SCRATCH_BYTES)


@lru_cache(maxsize=1024)
def _plan(cells: Cells, depth: int, grids: bool, backward: bool, scratch: int) -> KernelPlan:
    few = depth <= _MOST_IN_REGISTERS
    row = depth * cells.carry_numbers(1) * (_CARRIED + _CARRIED_UP * backward)
    most_warps = max(1, scratch // (cells.itemsize * row))
    return KernelPlan(
        "branched_kernel_backprop" if backward else "branched_kernel",
        (cells.source, cells.letters, depth if few else 0, grids),
        1,
        cells.itemsize * cells.shared_numbers(1, cells.letters, backward=backward),
        min(most_warps, 8 if backward else 16),
        row + depth * 32 * cells.n_bands(1) * backward,
        row,
        0 if few else 32 * depth * (_KEPT + _KEPT_BACK * backward),
    )


def branched_sig_kernel(
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
    depth: int,
    log: bool,
    n_threads: int,
) -> None:
    """path1 (batch1, length1 * dimension), path2 (batch2, length2 * dimension); out (pairs, 1), or (pairs, nodes of the
    refined grid). log: the logarithms instead, not of grids.

    For given cells, path1 is (batch1, (length1 - 1) * (length2 - 1)) and path2 is not read.
    """
    batch1, batch2, grids = path1.shape[0], path2.shape[0], out.shape[1] > 1
    if depth == 0 or length1 < 2 or length2 < 2:
        out.fill(0 if log else 1)
        return
    # A grid is not symmetric.
    layout = GRAM if grids and layout == SYMMETRIC else layout
    n_pairs = n_pairs_of(layout, batch1, batch2)
    if n_pairs == 0:
        return
    cells = branched_cells(path1, length1, length2, dimension, static_kernel, order1, order2)
    plan = branched_plan(cells, depth, grids)
    n_blocks, n_warps = plan.blocks_and_warps(cells, n_pairs, cells.itemsize)
    launch(
        f"{plan.name}.cu",
        plan.instance(cells),
        n_blocks,
        32 * n_warps,
        n_warps * plan.bytes_of_warp,
        path1=path1,
        path2=path2 if path2.size else path1,
        out=out,
        carry=empty(n_blocks * (plan.own_of_block + n_warps * plan.own_of_warp), out),
        states=empty(n_blocks * n_warps * plan.states_of_warp, out),
        n_pairs=n_pairs,
        batch1=batch1,
        batch2=batch2,
        layout=layout,
        depth=depth,
        log=int(log),
        **plan.options(cells, 0, parameters),
    )
