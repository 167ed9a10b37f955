"""Mistakes in the kernels of signatures with corrections."""

from typing import Any
from unittest import mock

import numpy as np
import reference
from checking import assert_close
from reference_correction import corrected_signature, width_of

import siglib
from siglib._gpu import corrected_signature_backprop as launcher

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


def _check_gradients(gpu: Any, shape: tuple[int, ...], degree: int, m: int, rows: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    arrays = 0.3 * rng.standard_normal(shape), 0.1 * rng.standard_normal((*rows, width_of(shape[-1], m)))
    sig = corrected_signature(*arrays, degree)
    derivs = rng.standard_normal(sig.shape)
    path, correction = map(gpu.array, arrays)
    given = path, gpu.array(sig), gpu.array(derivs), degree
    gradients = gpu.numpy(siglib.sig_backprop(*given, correction=correction, correction_deriv=True))
    for i, gradient in enumerate(gradients):
        direction = rng.standard_normal(arrays[i].shape)
        change = reference.directional_derivative(
            lambda x, i=i: corrected_signature(*((x, arrays[1]) if i == 0 else (arrays[0], x)), degree),
            arrays[i],
            direction,
        )
        assert abs((gradient * direction).sum() - (derivs * change).sum()) < 1e-8


def gradients(gpu: Any) -> None:
    _check_gradients(gpu, (2, 4, 3), 4, 3, (2, 3))
    _check_gradients(gpu, (2, 4, 2), 4, 2, ())


def gradients_in_tiles(gpu: Any) -> None:
    with mock.patch.object(launcher, "_LONGEST_TILE", 2):
        gradients(gpu)


def gradients_of_chunks(gpu: Any) -> None:
    with mock.patch.object(launcher, "_CHUNK", 2):
        _check_gradients(gpu, (2, 8, 2), 3, 2, ())
        _check_gradients(gpu, (2, 8, 2), 3, 2, (2, 7))


def gradients_of_one_channel(gpu: Any) -> None:
    _check_gradients(gpu, (3, 5, 1), 4, 3, (4,))


BACK = "corrected_backprop.cu"
KERNEL, TREE = "corrected_signature.cu", "corrected_tree.cuh"
MUTANTS = [
    Mutant("no barrier before the load", KERNEL, "            __syncthreads();\n            // A warp for", "            // A warp for", chunks),
    Mutant("no barrier after the load", KERNEL, "            __syncthreads();\n        }\n        for (int k", "        }\n        for (int k", few_letters),
    Mutant("rows of another chunk", KERNEL, "(k - b_k * paths.n_chunks) * paths.chunk + first;", "first;", chunks, "exact"),
    Mutant("rows behind the end", KERNEL, "smaller((long long)n, larger(paths.n_rows - first_row, 0LL))", "n", chunks),
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
    Mutant("no barrier after taking off", BACK, "        n_next = n_next / d - 1;\n        __syncthreads();", "        n_next = n_next / d - 1;", gradients),
    Mutant("no barrier between partial results", BACK, "        v = next_v;\n        __syncthreads();", "        v = next_v;", gradients),
    Mutant("no barrier before the cotangents", BACK, "            __syncthreads();\n            add_cotangents", "            add_cotangents", gradients),
    Mutant("no barrier behind the cotangents", BACK, "degree);\n            __syncthreads();\n        }", "degree);\n        }", gradients),
    Mutant("no barrier after the load", BACK, "        __syncthreads();\n        for (int k = smaller", "        for (int k = smaller", gradients),
    Mutant("increments of another tile", BACK, "own = first + (int)k - n_before;", "own = (int)k - n_before;", gradients_in_tiles, "exact"),
    Mutant("cotangents not weighted", BACK, "(T)k * b[word]", "b[word]", gradients, "exact"),
    Mutant("a divisor of the cotangents", BACK, "T(1) / T(k + 1), next_b", "T(1) / T(k), next_b", gradients, "exact"),
    Mutant("longer terms than there are", BACK, "q < m && first < n_words", "first < n_words", gradients),
    Mutant("the whole word as a term", BACK, "if (prefix == 0) return total + l[suffix - 1];", "if (prefix == 0) return total;", gradients, "exact"),
    Mutant("the increment put on", BACK, "T(-1) / T(k_off)", "T(1) / T(k_off)", gradients, "exact"),
    Mutant("the empty word left out", BACK, "if (share.part == 0) total += b[start + w];", "", gradients, "exact"),
    Mutant("a share of the sums left out", BACK, "sum_of_parts(total, share.parts, 1)", "sum_of_parts(total, share.parts / 2, 1)", gradients, "exact"),
    Mutant("the last row instead of the sum", BACK, "row.sums[w - d] += gradient;", "row.sums[w - d] = gradient;", gradients, "exact"),
    Mutant("rows of the first chunk", BACK, "(b * paths.n_rows + start + own)", "(b * paths.n_rows + own)", gradients_of_chunks),
    Mutant("terms of no increment", BACK, "term_derivs && exists ? m", "term_derivs ? m", gradients_of_chunks),
    Mutant("increments of other chunks", BACK, "own < 0 || own >= n_there ? (T)0", "false ? (T)0", gradients_of_chunks),
    Mutant("a chunk left out", BACK, "i = 0; i < n_chunks", "i = 1; i < n_chunks", gradients_of_chunks, "exact"),
    Mutant("a suffix too long", BACK, "n - q - 1]", "n - q]", gradients_of_one_channel),
]  # fmt: skip
