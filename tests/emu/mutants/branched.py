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


SPARSE = "sparse.cu"
MUTANTS = [
    Mutant("a row too many", SPARSE, "if (group >= n_groups) return;", "if (group > n_groups) return;", several),
    Mutant("the last entry left out", SPARSE, "k < end;", "k + 1 < end;", signatures, "exact"),
    Mutant("the scalar term forgotten", SPARSE, "if (out_skip && row == 0)", "if (out_skip && row == n_rows)", signatures, "exact"),
    Mutant("the scalar term read", SPARSE, "* stride + skip;", "* stride;", signatures, "exact"),
    Mutant("vectors beyond the batch", SPARSE, "smaller(group + j * n_groups, batch - 1)", "(group + j * n_groups)", several),
    Mutant("results beyond the batch", SPARSE, "if (b >= batch) continue;", "if (b > batch) continue;", several),
    Mutant("another vector's sum", SPARSE, "value * x[j][column]", "value * x[0][column]", several, "exact"),
]  # fmt: skip
