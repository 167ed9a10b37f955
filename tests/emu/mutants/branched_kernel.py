"""Mistakes in the kernels of branched signature kernels."""

from typing import Any

import numpy as np
from cases import random_paths
from checking import assert_close

import siglib

from . import Mutant


def paths(*lengths: int, batch: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.4 * random_paths(rng, batch, length, 2) for length in lengths]


def same(gpu: Any, name: str, arrays: list[np.ndarray], *args: Any, **options: Any) -> None:
    function = getattr(siglib, name)
    found, expected = (
        gpu.numpy(function(*map(gpu.array, arrays), *args, **options)),
        function(*arrays, *args, **options),
    )
    for one, other in zip(np.atleast_1d(found) if "backprop" not in name else found, expected, strict=True):
        assert_close(one, other)


def values(gpu: Any) -> None:
    """Several bands and tiles, two rows and four columns for each cell; two blocks of several warps."""
    same(gpu, "branched_sig_kernel", paths(40, 18, batch=2), 3, (1, 2))


def deep(gpu: Any) -> None:
    """Depths in memory."""
    same(gpu, "branched_sig_kernel", paths(40, 5), 5, 0)


def gradients(gpu: Any) -> None:
    """Several bands, and cells of several rows and columns."""
    same(gpu, "branched_sig_kernel_backprop", [np.ones(1), *paths(40, 9)], 3, (1, 2), right_deriv=True)


def grid_gradients(gpu: Any) -> None:
    """A last column that ends a tile."""
    x, y = paths(20, 34)
    derivs = np.random.default_rng(1).standard_normal((1, 20, 34))
    same(gpu, "branched_sig_kernel_backprop", [derivs, x, y], 2, 0, right_deriv=True, return_grid=True)


FORWARD, BACKWARD = "branched_kernel.cu", "branched_kernel_backprop.cu"
SWEEP, ADJOINT = "branched_kernel_sweep.cuh", "branched_kernel_adjoint.cuh"

MUTANTS = [
    Mutant("a warp too close behind", SWEEP, "phase - 2 * warp", "phase - warp", values),
    Mutant("no barrier", SWEEP, "        __syncthreads();\n        const", "        const", values),
    Mutant("one carry for all blocks", FORWARD, "carry + blockIdx.x *", "carry + 0 *", values),
    Mutant("no edge from above", SWEEP, "if (lane == 0) up = above ?", "if (lane == 0) up = false ?", values, "exact"),
    Mutant("one column off", SWEEP, "above + column + 31 :", "above + column + 30 :", values, "exact"),
    Mutant("an old corner", SWEEP, "s.at(ABOVE, m) = up;", "s.at(ABOVE, m) = now;", values, "exact"),
    Mutant("columns of a cell", SWEEP, "window[(column >> p.order2)", "window[(column >> 0)", values, "exact"),
    Mutant("rows of a cell", SWEEP, "lane >> p.order1, p", "lane >> 0, p", values, "exact"),
    Mutant("depths in each other's place", SWEEP, "which * n + m) * 32", "which + m) * 32", deep, "exact"),
    Mutant("a warp too close behind", BACKWARD, "phase - 2 * warp", "phase - warp", gradients),
    Mutant("one tile too few", BACKWARD, "(p.columns + 31) / 32 + 1", "(p.columns + 30) / 32 + 1", grid_gradients, "exact"),
    Mutant("the wrong turn", BACKWARD, "(turn + n_warps) % (n_warps + 1)", "turn % (n_warps + 1)", gradients, "exact"),
    Mutant("the last row off", ADJOINT, "p.carry + node + 30", "p.carry + node + 31", gradients, "exact"),
    Mutant("sums of rows forgotten", ADJOINT, "ends ? ends[m * stride] : s", "ends ? (T)0 : s", gradients, "exact"),
    Mutant("no border", ADJOINT, "border ? (T)0 : sum_below - rest", "sum_below + rest", gradients, "exact"),
    Mutant("three cells around a node", ADJOINT, "(weight_below + s.at(WEIGHT_BELOW, m))", "weight_below", gradients, "exact"),
    Mutant("an old corner", ADJOINT, "s.at(CORNER, m) = s.at(BELOW, m)", "s.at(CORNER, m) = s.at(BACK_VALUE, m)", gradients, "exact"),
    Mutant("a row's own nodes alone", ADJOINT, "s.at(COLUMN, m) = column + by_sum", "s.at(COLUMN, m) = by_sum", gradients, "exact"),
    Mutant("the last column of a cell", ADJOINT, "== parts ? d : by_columns + d", "== parts ? d : d", gradients, "exact"),
    Mutant("seeds of the row above", ADJOINT, "seeds[(row + 1LL) *", "seeds[(row + 0LL) *", grid_gradients, "exact"),
]  # fmt: skip
