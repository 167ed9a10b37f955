"""Mistakes in single coefficients and their gradient."""

import itertools
from typing import Any
from unittest import mock

import numpy as np
import reference
from checking import assert_close
from reference_coefficients import coefficients, prefixes

import siglib
from siglib._gpu import coefficients_backprop, word_chains

from . import Mutant

# Chains of two lengths that begin alike, repeated words and the empty one, a channel without words.
WORDS = [(0, 1, 0, 1), (), (0, 1, 3), (0, 1), (3, 3, 0, 1), (0, 1), (0, 0, 0, 0)]
LONG = [(0, 1, 1, 0) * 4, (1, 0), (0, 1, 1) * 5]


def _check(gpu: Any, shape: tuple[int, ...], words: list, **options: Any) -> None:
    rng = np.random.default_rng(0)
    path = rng.standard_normal(shape)
    out = siglib.sig_coef(gpu.array(path), words, **options)
    assert_close(gpu.numpy(out), coefficients(path, words, **options), 1e-12)


def _check_gradient(gpu: Any, shape: tuple[int, ...], words: list, **options: Any) -> None:
    rng = np.random.default_rng(0)
    path, direction = rng.standard_normal((2, *shape))
    all_words = prefixes(words)
    coefs = coefficients(path, all_words, **options)
    derivs = rng.standard_normal(coefs.shape)
    gradient = siglib.sig_coef_backprop(gpu.array(path), words, gpu.array(coefs), gpu.array(derivs), **options)
    moved = reference.directional_derivative(lambda x: coefficients(x, all_words, **options), path, direction)
    expected = np.sum(moved * derivs, axis=1)
    assert_close(np.sum(gpu.numpy(gradient) * direction, axis=(1, 2)), expected, 1e-9)


def values(gpu: Any) -> None:
    _check(gpu, (3, 38, 4), WORDS)


def several_paths(gpu: Any) -> None:
    """More than fit into a block, with transforms."""
    _check(gpu, (45, 3, 4), WORDS)
    _check(gpu, (3, 4, 3), WORDS, lead_lag=True, time_aug=True)


def chunks(gpu: Any) -> None:
    with mock.patch.object(word_chains, "CHUNK", 3):
        _check(gpu, (2, 12, 4), WORDS)


def long_words(gpu: Any) -> None:
    _check(gpu, (2, 4, 2), LONG)
    _check(gpu, (2, 3, 2), [LONG[0], ()])


def gradient(gpu: Any) -> None:
    _check_gradient(gpu, (3, 38, 4), WORDS)


def gradient_of_many_words(gpu: Any) -> None:
    _check_gradient(gpu, (1, 3, 3), [*itertools.product(range(3), repeat=4)])


def gradient_of_several_paths(gpu: Any) -> None:
    _check_gradient(gpu, (45, 3, 4), WORDS)


def gradient_of_chunks(gpu: Any) -> None:
    with mock.patch.object(word_chains, "CHUNK", 3):
        _check_gradient(gpu, (2, 12, 4), WORDS)


def gradient_of_all_channels(gpu: Any) -> None:
    """Chunks of a path whose increments are read as they are."""
    with mock.patch.object(word_chains, "CHUNK", 3):
        _check_gradient(gpu, (2, 12, 2), [(0, 1, 1)])


def gradient_in_rounds(gpu: Any) -> None:
    """More parts and long words than have sums of their own."""
    with mock.patch.object(coefficients_backprop, "_MOST_SUMS", 1):
        _check_gradient(gpu, (2, 4, 4), WORDS)
        _check_gradient(gpu, (2, 4, 2), LONG)


def gradient_of_long_words(gpu: Any) -> None:
    _check_gradient(gpu, (2, 4, 2), LONG)


HEADER, FORWARD, JOIN = "coefficients.cuh", "coefficients.cu", "coefficients_join.cu"
BACK, LONG_HEADER, LONG_FORWARD = "coefficients_backprop.cu", "coefficients_long.cuh", "coefficients_long.cu"
LONG_BACK = "coefficients_long_backprop.cu"
MUTANTS = [
    Mutant("a divisor", HEADER, "x[k] * (T(1) / T(r + 1))", "x[k] * (T(1) / T(r + 2))", values, "exact"),
    Mutant("threads left over", HEADER, "live = slot < part.n_paths && v < n_virtual;", "live = v < n_virtual;", several_paths),
    Mutant("paths beyond the batch", HEADER, "v_first + slot < n_virtual, first", "true, first", values),
    Mutant("channels by their place", HEADER, "part.n_channels == paths.d ? nullptr", "true ? nullptr", values),
    Mutant("rows of paths overlap", HEADER, "stride((n * part.n_channels) | 1)", "stride(part.n_channels)", values),
    Mutant("one column of each entry", HEADER, "i < starts[entry + 1]; i++) row[columns[i]] = value;", "i < starts[entry] + 1; i++) row[columns[i]] = value;", values),
    Mutant("one derivative of each entry", HEADER, "i < starts[entry + 1]; i++) total", "i < starts[entry] + 1; i++) total", gradient, "exact"),
    Mutant("no barrier before the load", FORWARD, "        __syncthreads();\n        load_stage", "        load_stage", values),
    Mutant("no barrier after the load", FORWARD, "        __syncthreads();\n        for (int i", "        for (int i", values),
    Mutant("no empty word", FORWARD, "call.n_entries, T(1), row)", "call.n_entries, T(0), row)", values, "exact"),
    Mutant("paths of another part", FORWARD, "Part part(parts, blockIdx.y)", "Part part(parts, 0)", values),
    Mutant("another channel", "increments.cuh", "channels ? channels[c] : c", "c", values, "exact"),
    Mutant("a sub-word of another chunk", JOIN, "call.chunks + (b * call.n_chunks + c) * call.n_pieces;\n#pragma unroll\n        for (int k = N - 1", "call.chunks + b * call.n_chunks * call.n_pieces;\n#pragma unroll\n        for (int k = N - 1", chunks, "exact"),
    Mutant("longer words first", JOIN, "for (int k = N - 1; k >= 0; k--) {\n            T total", "for (int k = 0; k < N; k++) {\n            T total", chunks, "exact"),
    Mutant("a sub-word left out", JOIN, "for (int k = j + 1; k < N; k++)", "for (int k = j + 2; k < N; k++)", gradient_of_chunks, "exact"),
    Mutant("cotangents a chunk too early", JOIN, "for (int k = 0; k < N; k++) row[entry + k * part.n_chains] = g[k];\n#pragma unroll\n        for (int j", "for (int k = 0; k < N; k++) if (c > 0) row[entry + k * part.n_chains - call.n_entries] = g[k];\n#pragma unroll\n        for (int j", gradient_of_chunks),
    Mutant("no increment of zero", HEADER, "given, margin);", "given);", gradient_of_chunks),
    Mutant("increments before the chunk", "increments.cuh", "if (row < 0 || row >=", "if (row >=", gradient_of_chunks),
    Mutant("increments before the chunk", "increments.cuh", "(unsigned)row < (unsigned)chunk.length", "row < chunk.length", gradient_of_all_channels),
    Mutant("the divisor of a cotangent", BACK, "const T h = b * (T(1) / T(m - j + 1));", "const T h = b;", gradient, "exact"),
    Mutant("a cotangent not handed down", BACK, "if (j > 1) g[j - 2] += b;", "", gradient, "exact"),
    Mutant("increments put on, not off", BACK, "back[k] = -x[k];", "back[k] = x[k];", gradient, "exact"),
    Mutant("no barrier before the sums", BACK, "            __syncthreads();\n            add_up", "            add_up", gradient),
    Mutant("no barrier after the sums", BACK, "n_there, values);\n            __syncthreads();", "n_there, values);", gradient),
    Mutant("sums of another path", BACK, "m * chain_values + slot * part.n_chains", "m * chain_values", gradient_of_several_paths, "exact"),
    Mutant("a share of the sums left out", BACK, "by = lanes / 2; by > 0", "by = lanes / 2; by > 1", gradient_of_many_words, "exact"),
    Mutant("steps beyond the group", BACK, "const bool exists = m < n && ", "const bool exists = ", gradient),
    Mutant("a later part alone", BACK, "call.adds ? *result + total : total", "total", gradient_in_rounds, "exact"),
    Mutant("no barrier between two powers", LONG_HEADER, "        __syncthreads();\n", "", long_words),
    Mutant("a power too few", LONG_HEADER, "for (int r = n; r > 0; r--)", "for (int r = n - 1; r > 0; r--)", long_words),
    Mutant("the empty word twice or never", LONG_FORWARD, "if (writes_empty && chain == 0", "if (!writes_empty && chain == 0", long_words, "exact"),
    Mutant("no barrier between two rows of the scheme", LONG_BACK, "T(1));\n        __syncthreads();", "T(1));", gradient_of_long_words),
    Mutant("cotangents of shorter words", LONG_BACK, "if (r > 1) g[k] += now[k];", "if (r > 2) g[k] += now[k];", gradient_of_long_words, "exact"),
    Mutant("a later long word alone", LONG_BACK, "adds ? result[channel] + total : total", "total", gradient_in_rounds, "exact"),
]  # fmt: skip
