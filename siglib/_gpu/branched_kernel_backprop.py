"""Launcher of the gradients of branched signature kernels; arguments as in `siglib/_cpu/branched_kernel.pyx`."""

from typing import Any

from .branched_kernel import branched_cells, branched_plan
from .signature_kernel_backprop import fill_with_zeros, gradients_of_pairs, wanted_gradients
from .signature_kernel_plan import n_pairs_of


def branched_sig_kernel_backprop(
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
    depth: int,
    log_derivs: bool,
    left_deriv: bool,
    right_deriv: bool,
    n_threads: int,
) -> None:
    """derivs (pairs, 1) or (pairs, nodes of the refined grid); d_path1, d_path2 as path1, path2; d_parameters (3).

    What is not wanted is not read: left_deriv, right_deriv, an empty d_parameters. For a symmetric layout d_path1 has
    the whole gradient.
    """
    outs = wanted_gradients(d_path1, d_path2, left_deriv, right_deriv, layout)
    n_pairs = n_pairs_of(layout, path1.shape[0], path2.shape[0])
    if n_pairs == 0 or depth == 0 or length1 < 2 or length2 < 2:
        fill_with_zeros(outs, d_parameters)
        return
    cells = branched_cells(path1, length1, length2, dimension, static_kernel, order1, order2)
    plan = branched_plan(cells, depth, derivs.shape[1] > 1, backward=True)
    options = plan.options(cells, 0, parameters) | {"depth": depth, "log_derivs": int(log_derivs)}
    gradients_of_pairs(cells, plan, derivs, path1, path2, outs, d_parameters, layout, options)
