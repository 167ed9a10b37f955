"""Mistakes in what signature kernels become once they are computed."""

from typing import Any

import kernel_cases
import numpy as np
from cases import random_paths
from checking import assert_close

import siglib
from siglib._gpu import signature_kernel_scales as scales

from . import Mutant


def kernels(gpu: Any) -> None:
    """Lines, whose kernels need exponents, or overflow if they are branched; and nothing."""
    lines = np.array([3.0, 0.0, 180.0, 200.0, 150.0, 1.0, 20.0])[:, None, None] * np.linspace(0, 1, 40)[:, None]
    for name, numbers, scale in (("sig_kernel", (), 1), ("branched_sig_kernel", (1,), 100)):
        x, y = lines[:4] / scale, lines[4:] / scale
        for scaling in ({}, {"log": True}, {"normalize": True}):
            for function, first, second in ((f"{name}_gram", x, y), (f"{name}_gram", x, x), (name, x[:3], y)):
                options = {"dyadic_order": 0, **scaling}
                expected = getattr(siglib, function)(first, second, *numbers, **options)
                on_gpu = gpu.array(first)
                other = on_gpu if second is first else gpu.array(second)
                found = gpu.numpy(getattr(siglib, function)(on_gpu, other, *numbers, **options))
                np.testing.assert_allclose(found, expected, 1e-10, 1e-12)


def unknown(gpu: Any) -> None:
    """What is not positive and finite has no logarithm, and normalises nothing."""
    numbers = np.array([0.0, -1.0, np.inf, np.nan, 0.5])
    given, zeros, ones, out = (gpu.array(array) for array in (numbers, 0 * numbers[:1].repeat(5), np.ones(5), numbers))
    scales.logarithms(out, zeros)
    np.testing.assert_allclose(gpu.numpy(out), [np.nan] * 4 + [np.log(0.5)])
    for own in ((given, given), (given, ones), (ones, given)):
        scales.normalised((ones, zeros), *((part, zeros) for part in own), out, True)
        assert np.isnan(gpu.numpy(out)).tolist() == [True] * 4 + [False]
    scales.normalised((given, zeros), (ones, zeros), (ones, zeros), out, True)
    np.testing.assert_allclose(gpu.numpy(out), [0.0, -1.0, np.nan, np.nan, 0.5])
    for normalize in (False, True):
        scales.branched(given, ones, ones, out, True, normalize, True)
        expected = np.exp(numbers - 1) if normalize else numbers
        np.testing.assert_allclose(gpu.numpy(out), np.where(np.isfinite(numbers), expected, np.nan))
    scales.branched(ones, given, ones, out, True, True, False)
    assert np.isnan(gpu.numpy(out)).tolist() == [False, False, True, True, False]


def gradients(gpu: Any) -> None:
    """More rows and columns than lanes; derivatives that are not the same for both paths of a pair."""
    rng = np.random.default_rng(0)
    for name, n1, n2 in (("sig_kernel", 3, 3), ("sig_kernel_gram", 2, 34), ("sig_kernel_gram", 34, 34)):
        x = random_paths(rng, n1, 3, 1)
        y = x if n1 == n2 == 34 else random_paths(rng, n2, 3, 1)
        on_gpu = [gpu.array(x), gpu.array(y)]
        on_gpu[1] = on_gpu[0] if y is x else on_gpu[1]
        derivs, out = rng.standard_normal((2, n1, n2) if name.endswith("gram") else (2, n1))
        derivs[1], out[1] = 0, np.nan
        expected = kernel_cases.gradients(name, derivs, out, x, y, normalize=True)
        found = kernel_cases.gradients(name, gpu.array(derivs), gpu.array(out), *on_gpu, normalize=True)
        for gradient, on_cpu in zip(found, expected, strict=True):
            assert_close(gpu.numpy(gradient), on_cpu)


SCALES = "signature_kernel_scales.cu"
MUTANTS = [
    Mutant("exponents left out", SCALES, "(double)exponent[at] * 0.69", "0 * (double)exponent[at] * 0.69", kernels, "exact"),
    Mutant("what is not finite stays", SCALES, "magnitude(found) <= Range<double>::most() ? (T)found", "true ? (T)found", unknown, "exact"),
    Mutant("a pair too many", SCALES, "    if (at < n) out[at] = ldexp", "    if (at <= n) out[at] = ldexp", kernels),
    Mutant("an odd exponent", SCALES, "(double)(1 + (both & 1))", "1.0", kernels, "exact"),
    Mutant("the same path twice", SCALES, "*j = pairwise ? at : at - *i * n2;", "*j = *i;", kernels, "exact"),
    Mutant("pairs taken for a matrix", SCALES, "*i = pairwise ? at : quotient(at, n2);", "*i = quotient(at, n2);", kernels, "exact"),
    Mutant("a row in place of the diagonal", SCALES, "split(own_mantissa1, own_exponent1, i * own_stride)", "split(own_mantissa1, own_exponent1, i)", kernels, "exact"),
    Mutant("negative kernels", SCALES, "own1.m > 0 && own2.m > 0 && product < 2", "product < 2", unknown, "exact"),
    Mutant("infinite kernels", SCALES, "product < 2 && magnitude(k.m) < 1", "product < 2", unknown, "exact"),
    Mutant("infinite logarithms", SCALES, "finite && magnitude(own)", "magnitude(own)", unknown, "exact"),
    Mutant("half of a logarithm", SCALES, "(double)value - 0.5 * own", "(double)value - own", kernels, "exact"),
    Mutant("branched: the diagonal", SCALES, "(double)own2[j * own_stride]", "(double)own2[j]", kernels, "exact"),
    Mutant("NaN where there is no derivative", SCALES, "derivs[at] == 0 ? 0.0 : ", "", gradients, "exact"),
    Mutant("pairs: all of it to both", SCALES, "own[at] = (T)(-0.5 * seed);", "own[at] = (T)(-seed);", gradients, "exact"),
    Mutant("the first lanes of a row", SCALES, "has_row && j < n2; j += 32", "has_row && j < 32; j += 32", gradients, "exact"),
    Mutant("a column without its end", SCALES, "has_column && i < n1; i += 32", "has_column && i < 32; i += 32", gradients, "exact"),
    Mutant("lanes not added up", SCALES, "by > 0; by /= 2) sum +=", "by > 1; by /= 2) sum +=", gradients, "exact"),
    Mutant("the diagonal keeps its seed", SCALES, "(-0.5 * row + -0.5 * column));", "0.0);", gradients, "exact"),
    Mutant("two writers of the diagonal", SCALES, "if (!symmetric || j != line) seeds", "seeds", gradients),
    Mutant("a part of a sum left out", SCALES, "a[at] + (b[at] + c[at])", "a[at] + b[at]", gradients, "exact"),
]  # fmt: skip
