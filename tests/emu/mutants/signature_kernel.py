"""Mistakes in the kernels of signature kernels."""

from typing import Any

import numpy as np
import reference_kernels
from cases import random_paths
from checking import assert_close
from test_signature_kernel_range import turning_pair

import siglib

from . import Mutant


def paths(*lengths: int, dimension: int = 2, batch: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [random_paths(rng, batch, length, dimension) for length in lengths]


def values(gpu: Any) -> None:
    """Several bands and tiles, by registers and by the window, letters in two parts; one block of several warps."""
    for dimension, options in ((2, {}), (17, {}), (9, {"static_kernel": siglib.RBFKernel(5.0)})):
        x, y = paths(70, 40, dimension=dimension)
        expected = siglib.sig_kernel(x, y, dyadic_order=0, **options)
        assert_close(gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), dyadic_order=0, **options)), expected)


def exponents(gpu: Any) -> None:
    """A kernel that is no small number: of two lines, in float32."""
    x, y = (np.linspace(0, 30, n, dtype=np.float32)[:, None] for n in (70, 40))
    expected = siglib.sig_kernel(x, y, dyadic_order=0)
    assert expected > 1e20
    assert_close(gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), dyadic_order=0)) / expected, np.ones(()), 1e-4)


def cells(gpu: Any) -> None:
    """Refined cells."""
    for dimension in (2, 17):
        x, y = paths(20, 18, dimension=dimension)
        expected = reference_kernels.kernel(x, y, dyadic_order=(2, 1))
        assert_close(gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), dyadic_order=(2, 1))), expected)


def large_values(gpu: Any) -> None:
    """Far beyond the range of float32 within a few columns."""
    rng = np.random.default_rng(5)
    x, y = (30 * random_paths(rng, 2, length, 2)[:1] for length in (150, 170))
    expected = siglib.sig_kernel(x, y, dyadic_order=0, log=True)
    found = siglib.sig_kernel(*(gpu.array(path.astype(np.float32)) for path in (x, y)), dyadic_order=0, log=True)
    assert_close(gpu.numpy(found), expected, 1e-5)


def vanishing(gpu: Any) -> None:
    """Values that vanish beside others, and count later: unknown, not wrong."""
    x, y = turning_pair(np.dtype(np.float32), 60, 20, 8.0)
    expected = siglib.sig_kernel(x, y, dyadic_order=0, log=True)
    found = float(gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), dyadic_order=0, log=True)))
    assert np.isnan(found) or abs(found / expected - 1) < 1e-4


def gradients(gpu: Any) -> None:
    """Both gradients, several bands and tiles, cells of two rows, and kernels of points."""
    for dimension, options in (
        (9, {"dyadic_order": (1, 0)}),
        (3, {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(1.5)}),
    ):
        x, y = paths(40, 37, dimension=dimension)
        derivs = np.arange(1.0, 5.0).reshape(2, 2)
        found = siglib.sig_kernel_gram_backprop(*map(gpu.array, (derivs, x, y)), right_deriv=True, **options)
        expected = siglib.sig_kernel_gram_backprop(derivs, x, y, right_deriv=True, **options)
        for gradient, on_cpu in zip(found, expected, strict=True):
            assert_close(gpu.numpy(gradient), on_cpu)


def linear_gradients(gpu: Any) -> None:
    """Few channels: sums in registers."""
    x, y = paths(40, 37, dimension=2)
    derivs = np.arange(1.0, 5.0).reshape(2, 2)
    found = siglib.sig_kernel_gram_backprop(*map(gpu.array, (derivs, x, y)), right_deriv=True, dyadic_order=(2, 1))
    expected = siglib.sig_kernel_gram_backprop(derivs, x, y, right_deriv=True, dyadic_order=(2, 1))
    for gradient, on_cpu in zip(found, expected, strict=True):
        assert_close(gpu.numpy(gradient), on_cpu)


def polynomial(gpu: Any) -> None:
    x, y = paths(40, 37, batch=1)
    options = {"method": "polynomial", "order": 4}
    expected = reference_kernels.kernel(x, y, order=4)
    assert_close(gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), **options)), expected)
    derivs = np.ones(1)
    found = siglib.sig_kernel_backprop(*map(gpu.array, (derivs, x, y)), right_deriv=True, **options)
    for gradient, on_cpu in zip(
        found, siglib.sig_kernel_backprop(derivs, x, y, right_deriv=True, **options), strict=True
    ):
        assert_close(gpu.numpy(gradient), on_cpu)


CELLS, SWEEP, ADJOINT, PULL = (f"signature_kernel_{name}.cuh" for name in ("cells", "sweep", "adjoint", "pull"))
FORWARD, LINEAR, BACKWARD = "signature_kernel.cu", "signature_kernel_linear.cu", "signature_kernel_backprop.cu"
PRODUCTS, LINEAR_BACKWARD = "signature_kernel_linear.cuh", "signature_kernel_linear_backprop.cu"
NUMBERS, SUMS, CELL = "signature_kernel_numbers.cuh", "signature_kernel_sums.cu", "signature_kernel_polynomial.cuh"

MUTANTS = [
    Mutant("a warp too close behind", FORWARD, "phase - 2 * warp", "phase - warp", values),
    Mutant("no barrier", FORWARD, "            __syncthreads();\n", "", values),
    Mutant("a row of differences too few", FORWARD, "(n_warps + 1) * carry_size", "n_warps * carry_size", values),
    Mutant("a warp too close behind", LINEAR, "phase - 2 * warp", "phase - warp", values),
    Mutant("one column off", PRODUCTS, "((32 * tile - lane) & (WINDOW - 1))", "((32 * tile - lane + 1) & (WINDOW - 1))", values),
    Mutant("one refined column off", PRODUCTS, "(32 * tile + first + i - lane) >> p.order2", "(32 * tile + first + i - lane + 1) >> p.order2", cells),
    Mutant("columns behind the last", PRODUCTS, "if (slot < SLOTS - WINDOW) {", "if (false) {", values),
    Mutant("columns that start over", PRODUCTS, "if (at >= WINDOW * SLOT<T, D>) at -= WINDOW * SLOT<T, D>;", "", values),
    Mutant("numbers carried in not yet written", PRODUCTS, "    strip[lane] = carried.D;\n    __syncwarp();\n    struct", "    strip[lane] = carried.D;\n    struct", values),
    Mutant("numbers carried in with an old exponent", PRODUCTS, "            strip[lane] = carried.D;\n", "", large_values, "exact"),
    Mutant("exponents of looks before", SWEEP, "if (lane >= first / Pace<T, R>::LOOK) mine = last;", "mine = last;", large_values, "exact"),
    Mutant("exponents of looks behind", SWEEP, "if (lane >= first / Pace<T, R>::LOOK) mine = last;", "", large_values, "exact"),
    Mutant("a letter too few", CELLS, "while (c0 < p.d)", "while (c0 + 1 < p.d)", values),
    Mutant("the edge not kept", CELLS, "next_edge[row] = kappa", "next_edge[row] = 0 * kappa", values),
    Mutant("rows past the end", CELLS, "row + k * STEP < end", "row + k * STEP <= end", values),
    Mutant("tail not cleared", SWEEP, "row[p.carry - 32 + lane] = 0;", "", values),
    Mutant("wrong corner", SWEEP, "corner = left;", "corner = s.k[r];", values),
    Mutant("rows of a cell", SWEEP, "(lane * R + r) >> p.order1, p", "(lane * R + r) >> 1, p", cells),
    Mutant("columns of a cell", PRODUCTS, ">> p.order2) & (WINDOW", ">> 0) & (WINDOW", cells),
    Mutant("no margin", SWEEP, "if (lane >= k) exponent", "if (false) exponent", large_values, "exact"),
    Mutant("carried exponents", SWEEP, "if (lane == 0) shift", "if (false) shift", large_values, "exact"),
    Mutant("not swept again", NUMBERS, "return sweeps;", "return false;", vanishing, "exact"),
    Mutant("the same bound twice", NUMBERS, "!trial.second ? v * factor", "true ? v * factor", vanishing, "exact"),
    Mutant("any result", NUMBERS, "return a == b || difference", "return true || difference", vanishing, "exact"),
    Mutant("a step too early", ADJOINT, "carry_out[step + 31] = E", "carry_out[step + 30] = E", gradients),
    Mutant("old product", ADJOINT, "E = (E + s.gL[r]) + s.hL[r];\n                s.gL[r] = g * s.L[r];",
           "s.gL[r] = g * s.L[r];\n                E = (E + s.gL[r]) + s.hL[r];", gradients),
    Mutant("parts of a cell", PULL, "part < parts; part++", "part < 1; part++", gradients),
    Mutant("the next tile's column", PULL, "next = begins ? (T)0 : right[row]", "next = 0", gradients),
    Mutant("the row between bands", PULL, "add_to(to.first + (long long)n * p.d", "add_to(to.first + (long long)0 * p.d", gradients),
    Mutant("the first nodes", PULL, "SOURCE != FROM_INCREMENTS ? -1 : tile", "SOURCE != FROM_INCREMENTS ? 0 : tile", gradients),
    Mutant("weights not yet read", PULL, "        __syncwarp();\n        T mine[C]", "        T mine[C]", gradients),
    Mutant("lost state", ADJOINT, "to[(R + 1) * 32 + lane] = s.D;", "to[(R + 1) * 32 + lane] = 0;", gradients),
    Mutant("one tile off", BACKWARD, "2 * p.n_tiles - 1 - step", "2 * p.n_tiles - 2 - step", gradients),
    Mutant("rows in each other's place", BACKWARD, "(n_warps + 1 + warp) * carry_size", "0 * carry_size", gradients),
    Mutant("rows in each other's place", LINEAR_BACKWARD, "(n_warps + 1 + warp) * carry_size", "0 * carry_size", linear_gradients),
    Mutant("sums of the lane below", LINEAR_BACKWARD, "if (lane == 31) sum = 0;", "", linear_gradients),
    Mutant("columns of a cell", LINEAR_BACKWARD, "i < parts; i++", "i < 1; i++", linear_gradients),
    Mutant("strip not yet written", LINEAR_BACKWARD, "    __syncwarp();\n    if (lane * parts", "    if (lane * parts", linear_gradients),
    Mutant("groups of rows", SUMS, "row * groups + i) * p.d", "row + i) * p.d", linear_gradients),
    Mutant("bands of a row", SUMS, "smaller(row, p.n1 - 1)", "smaller(row - 1, p.n1 - 1)", gradients),
    Mutant("exponents the other way", "signature_kernel_scales.cu", "(int)exponent[at]", "-(int)exponent[at]", exponents),
    Mutant("one pair too few", SUMS, "a < batch1 && a * batch2 + path < end", "a < batch1 - 1 && a * batch2 + path < end", gradients),
    Mutant("constants on both edges", CELL, "T u = p > 0 ? a[p] : (T)0", "T u = a[p]", polynomial),
    Mutant("slopes of the other edge", CELL, "last_u + factor * t", "last_u + factor * s", polynomial),
    Mutant("power too high", CELL, "u[p] = power * a[p]", "u[p] = power * x * a[p]", polynomial),
    Mutant("the edge from above", CELL, "if (lane == 0 && above) load_edge", "if (false) load_edge", polynomial),
]  # fmt: skip
