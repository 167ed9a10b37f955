"""Launchers of signature kernels; arguments as in `siglib/_cpu/signature_kernel.pyx`."""

from typing import Any

from ._launch import c_type, empty, launch, launch_each
from .signature_kernel_plan import Cells, cells_of, forward_plan, n_pairs_of


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
    cells = cells_of(path1, length1, length2, dimension, static_kernel, order1, order2, order)
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
    cells = cells_of(path1, length1, length2, dimension, static_kernel, order1, order2, order)
    _forward(cells, path1, path2, out, out, parameters, layout, order, True)


def _forward(
    cells: Cells,
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
    n_pairs = n_pairs_of(layout, batch1, batch2)
    if n_pairs == 0:
        return
    plan = forward_plan(cells, order, grids, n_pairs)
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
        exponent=exponent,
        carry=empty(n_blocks * (plan.own_of_block + n_warps * plan.own_of_warp), out),
        first_pair=0,
        n_pairs=n_pairs,
        batch1=batch1,
        batch2=batch2,
        layout=layout,
        **plan.options(cells, order, parameters),
    )


def add_paths(to: Any, index: Any, paths: Any) -> None:
    """to[index[i]] += paths[i], in the order of i; to (n, size), paths (m, size), index (m) of int64."""
    n, size = to.shape
    launch_each(
        to.size,
        "signature_kernel_sums.cu",
        f"add_paths<{c_type(to)}>",
        out=to,
        index=index,
        values=paths,
        n=n,
        m=index.size,
        size=size,
    )
