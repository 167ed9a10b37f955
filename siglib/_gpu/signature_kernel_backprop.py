"""Launchers of the gradients of signature kernels; arguments as in `siglib/_cpu/signature_kernel.pyx`."""

from typing import Any

from . import signature_kernel_plan
from ._launch import empty, launch, launch_each
from .signature_kernel_plan import (
    FROM_CELLS,
    LINEAR,
    SYMMETRIC,
    Cells,
    KernelPlan,
    backward_plan,
    cells_of,
    n_pairs_of,
)
from .sizes import slab_length


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
    padded: bool,
    wavefront: bool,
    n_threads: int,
) -> None:
    """derivs (pairs, 1) or (pairs, nodes of the refined grid); d_path1, d_path2 as path1, path2; d_parameters (3).

    What is not wanted is not read: left_deriv, right_deriv, an empty d_parameters. Repeats of last points (`padded`)
    are no special case here.
    """
    cells = cells_of(path1, length1, length2, dimension, static_kernel, order1, order2, order)
    outs = wanted_gradients(d_path1, d_path2, left_deriv, right_deriv, layout)
    n_pairs = n_pairs_of(layout, path1.shape[0], path2.shape[0])
    if n_pairs == 0:
        fill_with_zeros(outs, d_parameters)
        return
    second = _wants_second(cells, outs, d_parameters, layout)
    plan = backward_plan(cells, order, derivs.shape[1] > 1, second, n_pairs)
    options = plan.options(cells, order, parameters) | {"log_derivs": int(log_derivs)}
    gradients_of_pairs(cells, plan, derivs, path1, path2, outs, d_parameters, layout, options)


def wanted_gradients(d_path1: Any, d_path2: Any, left: bool, right: bool, layout: int) -> tuple[Any, Any]:
    """The gradients to write, None where there is none: of a symmetric layout the first one has both."""
    return d_path1 if left else None, d_path2 if right and layout != SYMMETRIC else None


def fill_with_zeros(outs: tuple[Any, Any], d_parameters: Any) -> None:
    for out in (*outs, d_parameters):
        if out is not None:
            out.fill(0)


def _wants_second(cells: Cells, outs: tuple[Any, Any], d_parameters: Any, layout: int) -> bool:
    """Whether pairs need the gradients of their second paths."""
    if outs[1] is not None or (outs[0] is not None and layout == SYMMETRIC):
        return True
    return d_parameters.size > 0 and cells.kind == LINEAR


def gradients_of_pairs(
    cells: Cells,
    plan: KernelPlan,
    derivs: Any,
    path1: Any,
    path2: Any,
    outs: tuple[Any, Any],
    d_parameters: Any,
    layout: int,
    options: dict[str, Any],
) -> None:
    """Gradients of all pairs by the kernel of a plan, and their sums. `options`: what the kernel is told besides."""
    batch1, batch2 = path1.shape[0], path2.shape[0]
    n_pairs = n_pairs_of(layout, batch1, batch2)
    given, wants1 = cells.source == FROM_CELLS, outs[0] is not None
    wants2 = _wants_second(cells, outs, d_parameters, layout)
    # Gradients of pairs, as many at a time as scratch memory holds.
    size1, size2 = _sizes(cells, plan)
    bytes_of_pair = cells.itemsize * (size1 * wants1 + size2 * wants2) + 24
    slab = n_pairs if given else slab_length(n_pairs, bytes_of_pair, signature_kernel_plan.SCRATCH_BYTES)
    gradient1 = outs[0] if given else empty(slab * size1, path1) if wants1 else 0
    gradient2 = empty(slab * size2, path1) if wants2 and not given else 0
    gradient_numbers = empty(slab * 3, d_parameters) if d_parameters.size else 0
    n_blocks, n_warps = plan.blocks_and_warps(cells, slab, cells.itemsize)
    scratch = {
        "carry": empty(n_blocks * (plan.own_of_block + n_warps * plan.own_of_warp), path1),
        "states": empty(n_blocks * n_warps * plan.states_of_warp, path1),
    }
    if plan.slopes_of_warp:
        scratch["slopes"] = empty(n_blocks * n_warps * plan.slopes_of_warp, path1)
    gradients = {"gradient1": gradient1, "gradient2": gradient2}
    sizes = {name: options[name] for name in ("n1", "n2", "d")}
    for first in range(0, n_pairs, slab):
        n = min(slab, n_pairs - first)
        pairs = {"first_pair": first, "n_pairs": n, "batch1": batch1, "batch2": batch2, "layout": layout}
        launch(
            f"{plan.name}.cu",
            plan.instance(cells),
            min(n_blocks, n),
            32 * n_warps,
            n_warps * plan.bytes_of_warp,
            derivs=derivs,
            path1=path1,
            path2=path2 if path2.size else path1,
            gradient_numbers=gradient_numbers,
            **gradients,
            **scratch,
            **pairs,
            **options,
        )
        if not given:
            for out, second in zip(outs, ("false", "true"), strict=True):
                if out is not None:
                    launch_each(
                        out.size,
                        "signature_kernel_sums.cu",
                        f"sum_of_pairs<{cells.type}, {int(cells.points)}, {plan.per_lane}, {second}>",
                        out=out,
                        size=out.size,
                        starts=int(first == 0),
                        order1=cells.order1,
                        size1=size1,
                        row_groups=plan.groups,
                        **gradients,
                        **pairs,
                        **sizes,
                    )
        if d_parameters.size:
            launch(
                "signature_kernel_sums.cu",
                "sum_of_numbers",
                1,
                32,
                numbers=gradient_numbers,
                out=d_parameters,
                n=n,
                starts=int(first == 0),
            )


def _sizes(cells: Cells, plan: KernelPlan) -> tuple[int, int]:
    """Numbers of one pair's gradients: of its first path, which has a part for each band, and of its second."""
    points = int(cells.points)
    n_bands, rows = cells.n_bands(plan.per_lane), cells.band_cells(plan.per_lane) + points
    if plan.groups:
        shift = cells.order1 - (plan.groups.bit_length() - 1)
        rows = (32 * plan.per_lane) >> shift
    return n_bands * rows * cells.dimension, (cells.n2 + points) * cells.dimension
