"""Mistakes in the kernels of signatures with corrections."""

from typing import Any

import numpy as np
from checking import assert_close
from reference_correction import corrected_signature, width_of

import siglib

from . import Mutant


def _check(gpu: Any, shape: tuple[int, ...], degree: int, m: int, rows: tuple[int, ...], **options: Any) -> None:
    rng = np.random.default_rng(0)
    path = 0.3 * rng.standard_normal(shape)
    correction = 0.1 * rng.standard_normal((*rows, width_of(shape[-1], m)))
    out = gpu.numpy(siglib.sig(gpu.array(path), degree, correction=gpu.array(correction), **options))
    assert_close(out, corrected_signature(path, correction, degree, **options), 1e-13)


def few_letters(gpu: Any) -> None:
    """Trees with and without a suffix."""
    _check(gpu, (3, 5, 2), 3, 3, (3, 4))
    _check(gpu, (2, 5, 2), 7, 3, (4,))


def many_letters(gpu: Any) -> None:
    """Tiles that are larger than what is left for them, and a suffix."""
    _check(gpu, (2, 4, 7), 3, 2, (2, 3))


def chunks(gpu: Any) -> None:
    _check(gpu, (2, 200, 2), 2, 2, (2, 199))


def one_channel(gpu: Any) -> None:
    _check(gpu, (3, 40, 1), 4, 3, (39,))


KERNEL, TREE = "corrected_signature.cu", "corrected_tree.cuh"
MUTANTS = [
    Mutant("no barrier before the load", KERNEL, "            __syncthreads();\n            // A warp for", "            // A warp for", chunks),
    Mutant("no barrier after the load", KERNEL, "            __syncthreads();\n        }\n        for (int k", "        }\n        for (int k", few_letters),
    Mutant("rows of another chunk", KERNEL, "(k - b_k * n_chunks) * chunk + first;", "first;", chunks, "exact"),
    Mutant("rows behind the end", KERNEL, "smaller((long long)n, larger(n_rows - first_row, 0LL))", "n", chunks),
    Mutant("increments behind the end", KERNEL, "smaller(n, n_mine - first) - 1", "n - 1", chunks),
    Mutant("paths beyond the batch", KERNEL, "if (v >= n_virtual) return;", "if (v > n_virtual) return;", few_letters),
    Mutant("a letter that no word has", TREE, "terms.powers[1] - 1)", "terms.powers[2])", many_letters),
    Mutant("the first letters of the rest", TREE, "letter * powers[q - 1] + heads[q - 1];", "letter * powers[q - 1];", few_letters, "exact"),
    Mutant("terms of the suffix", TREE, "if (q <= n) sum += l[n - 1][q - 1] * v[n - q];", "", few_letters, "exact"),
    Mutant("terms across the border", TREE, "if (q <= SUFFIX + 1) above", "if (q <= 1) above", few_letters, "exact"),
    Mutant("a parent for a grandparent", TREE, "above[q - 2][k - 1];", "next[0][k - 1];", few_letters, "exact"),
    Mutant("a divisor of the tree", TREE, "z[k] * (T(1) / T(k))", "z[k] * (T(1) / T(k + 1))", few_letters, "exact"),
    Mutant("a divisor of the suffix", TREE, "sum * (T(1) / T(k))", "sum * (T(1) / T(k + 1))", few_letters, "exact"),
    Mutant("only half a warp adds", KERNEL, "by = 16; by > 0", "by = 8; by > 0", one_channel),
    Mutant("single lanes leave", KERNEL, "    if (b >= n_paths) return;\n    const T* points", "    if (b >= n_paths || lane == 31) return;\n    const T* points", one_channel),
    Mutant("a weight of the powers", KERNEL, "sum += (T)q * l[q - 1]", "sum += l[q - 1]", one_channel, "exact"),
]  # fmt: skip
