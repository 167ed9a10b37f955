"""Mistakes in the kernels of branched signatures."""

from typing import Any
from unittest import mock

import numpy as np
from checking import assert_close

import siglib
from siglib._gpu import sparse

from . import Mutant


def signatures(gpu: Any) -> None:
    """Values and gradients; the CPU kernels are held against the definition elsewhere."""
    rng = np.random.default_rng(0)
    path = rng.standard_normal((5, 4, 2))
    expected = siglib.branched_sig(path, 3, scalar_term=True)
    assert_close(gpu.numpy(siglib.branched_sig(gpu.array(path), 3, scalar_term=True)), expected)
    derivs = rng.standard_normal(expected.shape)
    gradient = siglib.branched_sig_backprop(*map(gpu.array, (path, expected, derivs)), 3)
    assert_close(gpu.numpy(gradient), siglib.branched_sig_backprop(path, expected, derivs, 3))


def several(gpu: Any) -> None:
    """Several vectors of a thread, the last groups not full."""
    with mock.patch.object(sparse, "_BUSY_THREADS", 0):
        signatures(gpu)


def products(gpu: Any) -> None:
    """Values and gradients of vectors that are no branched signatures."""
    arrays = np.random.default_rng(0).standard_normal((3, 3, 1 + siglib.branched_sig_length(2, 4)))
    on_gpu = [gpu.array(array) for array in arrays]
    product = gpu.numpy(siglib.branched_sig_combine(*on_gpu[:2], 2, 4))
    assert_close(product, siglib.branched_sig_combine(*arrays[:2], 2, 4))
    gradients = gpu.numpy(siglib.branched_sig_combine_backprop(*on_gpu, 2, 4))
    for found, expected in zip(gradients, siglib.branched_sig_combine_backprop(*arrays, 2, 4), strict=True):
        assert_close(found, expected)


def series(gpu: Any) -> None:
    """Logarithms, exponentials and their gradients."""
    arrays = np.random.default_rng(0).standard_normal((2, 3, siglib.branched_sig_length(2, 4)))
    on_gpu = [gpu.array(array) for array in arrays]
    for there in (siglib.branched_sig_to_log_sig, siglib.branched_logsig_to_sig):
        assert_close(gpu.numpy(there(on_gpu[0], 2, 4)), there(arrays[0], 2, 4))
    for back in (siglib.branched_sig_to_log_sig_backprop, siglib.branched_logsig_to_sig_backprop):
        assert_close(gpu.numpy(back(*on_gpu, 2, 4)), back(*arrays, 2, 4))


SPARSE, PRODUCT = "sparse.cu", "branched_product.cu"
MUTANTS = [
    Mutant("a row too many", SPARSE, "if (group >= n_groups) return;", "if (group > n_groups) return;", several),
    Mutant("the last entry left out", SPARSE, "k < end;", "k + 1 < end;", signatures, "exact"),
    Mutant("the scalar term forgotten", SPARSE, "if (out_skip && row == 0)", "if (out_skip && row == n_rows)", signatures, "exact"),
    Mutant("the scalar term read", SPARSE, "* stride + skip;", "* stride;", signatures, "exact"),
    Mutant("vectors beyond the batch", SPARSE, "smaller(group + j * n_groups, batch - 1)", "(group + j * n_groups)", several),
    Mutant("results beyond the batch", SPARSE, "if (b >= batch) continue;", "if (b > batch) continue;", several),
    Mutant("another vector's sum", SPARSE, "value * x[j][column]", "value * x[0][column]", several, "exact"),
    Mutant("a product beyond the batch", PRODUCT, "if (b >= batch) return;", "if (b > batch) return;", products),
    Mutant("one tree of a forest only", PRODUCT, "while (element > n) {", "if (element > n) {", products),
    Mutant("the last cut left out", PRODUCT, "k < end;", "k + 1 < end;", products, "exact"),
    Mutant("nothing left is not 1", PRODUCT, "(T)nothing", "(T)0", products, "exact"),
    Mutant("wholes beyond the limit", PRODUCT, "if (second[k] > limit) break;", "", series),
    Mutant("X at nothing", PRODUCT, "element < least || ", "", series, "exact"),
    Mutant("logarithms are 0 on forests", PRODUCT, " || element > most", "", series, "exact"),
    Mutant("steps not added up", PRODUCT, "add ? out[begin + i] : (T)0", "(T)0", series, "exact"),
    Mutant("the ways forgotten", PRODUCT, "T term = ways[k] * value_at", "T term = value_at", products, "exact"),
]  # fmt: skip
