"""Mistakes in the kernels of log-signatures."""

from typing import Any
from unittest import mock

import numpy as np
from checking import assert_close

import siglib
from siglib._gpu import log_signature as launchers
from siglib._gpu import sizes

from . import Mutant


def logarithms(gpu: Any) -> None:
    """Values and gradients; the CPU kernels are held against the definition elsewhere."""
    sig = np.random.default_rng(0).standard_normal((3, 1 + siglib.sig_length(2, 6)))
    expected = siglib.sig_to_log_sig(sig, 2, 6, method=2)
    assert_close(gpu.numpy(siglib.sig_to_log_sig(gpu.array(sig), 2, 6, method=2)), expected)
    gradient = siglib.sig_to_log_sig_backprop(gpu.array(sig), gpu.array(expected), 2, 6, method=2)
    assert_close(gpu.numpy(gradient), siglib.sig_to_log_sig_backprop(sig, expected, 2, 6, method=2))


def large(gpu: Any) -> None:
    """With a launch for each step, several blocks for each signature."""

    def pieces(batch: int, n_bytes: int, n_words: int) -> list[tuple[slice, int]]:
        return [(slice(0, 1), 3), (slice(1, batch), 2)]

    with mock.patch.object(sizes, "SHARED_BYTES", 0), mock.patch.object(launchers, "pieces", pieces):
        logarithms(gpu)


def many(gpu: Any) -> None:
    """Several signatures in a block, the last block not full."""
    rng = np.random.default_rng(0)
    sig, derivs = rng.standard_normal((1031, 6)), rng.standard_normal((1031, 3))
    with mock.patch.object(launchers, "n_processors", lambda: 1):
        out = siglib.sig_to_log_sig(gpu.array(sig), 2, 2, method=2)
        assert_close(gpu.numpy(out), siglib.sig_to_log_sig(sig, 2, 2, method=2))
        gradient = siglib.sig_to_log_sig_backprop(gpu.array(sig), gpu.array(derivs), 2, 2, method=1)
        assert_close(gpu.numpy(gradient), siglib.sig_to_log_sig_backprop(sig, derivs, 2, 2, method=1))


def long_words(gpu: Any) -> None:
    """Sums that are shared by all lanes of a warp, by teams of one warp and of several."""
    rng = np.random.default_rng(0)
    sig, derivs = rng.standard_normal((2, 2, siglib.sig_length(2, 7)))
    gradient = siglib.sig_to_log_sig_backprop(gpu.array(sig), gpu.array(derivs), 2, 7, method=0)
    assert_close(gpu.numpy(gradient), siglib.sig_to_log_sig_backprop(sig, derivs, 2, 7, method=0))


WORDS, LOG, KERNELS = "tensor_words.cuh", "tensor_log.cuh", "log_signature.cu"
MUTANTS = [
    Mutant("a letter of the suffix lost", WORDS, "suffix += (word - prefix * d + 1) * power;", "suffix += (word - prefix * d) * power;", logarithms),
    Mutant("the shortest prefix forgotten", WORDS, "prefix > 0; prefix = word / d", "prefix > 1; prefix = word / d", logarithms, "exact"),
    Mutant("a word too many", WORDS, "first < end;", "first <= end;", logarithms),
    Mutant("a prefix moved", WORDS, "(u + 1) * size", "u * size", logarithms, "exact"),
    Mutant("lanes not added up", WORDS, "mask > 0; mask /= 2", "mask > 1; mask /= 2", long_words, "exact"),
    Mutant("lanes of another word added up", WORDS, "sum_of_parts(total, share.parts, 32 / share.parts)", "sum_of_parts(total, share.parts, 1)", logarithms, "exact"),
    Mutant("every lane adds its word", WORDS, "u < size && share.part == 0", "u < size", logarithms),
    Mutant("a share left out", WORDS, "v = part; v < size; v += parts", "v = part + 1; v < size; v += parts", long_words, "exact"),
    Mutant("words of other lengths", WORDS, "words_up_to(d, top - n)", "words_up_to(d, top - n - 1)", logarithms, "exact"),
    Mutant("a sign", LOG, "k % 2 ? (T)1 : (T)-1", "k % 2 ? (T)-1 : (T)1", logarithms, "exact"),
    Mutant("one word too few", LOG, "w < n_words; w +=", "w + 1 < n_words; w +=", logarithms),
    Mutant("the coefficient forgotten", LOG, "(c * g[u] + sum)", "(g[u] + sum)", logarithms, "exact"),
    Mutant("an old cotangent added", LOG, "(k > 0 ? g_p[u] : (T)0)", "g_p[u]", logarithms),
    Mutant("another step's coefficient", LOG, "log_coefficient<T>(k + 1)", "log_coefficient<T>(k + 2)", logarithms, "exact"),
    Mutant("an entry of the matrix left out", LOG, "i < levels.starts[e + 1]", "i + 1 < levels.starts[e + 1]", logarithms, "exact"),
    Mutant("levels run together", LOG, "        start = end;\n        __syncthreads();", "        start = end;", logarithms),
    Mutant("a level's first row twice", LOG, "start = end;", "start = end - 1;", logarithms),
    Mutant("no barrier between steps", KERNELS, "alive ? words_up_to(d, (int)degree - k) : 0;\n        horner_step<T, D>(p, k % 2 ? even : odd, log_coefficient<T>(k + 1), k % 2 ? odd : even, n_words, d, team);\n        __syncthreads();", "alive ? words_up_to(d, (int)degree - k) : 0;\n        horner_step<T, D>(p, k % 2 ? even : odd, log_coefficient<T>(k + 1), k % 2 ? odd : even, n_words, d, team);", logarithms),
    Mutant("no barrier before the basis", KERNELS, "    if (METHOD == 1) return;\n    __syncthreads();", "    if (METHOD == 1) return;", logarithms),
    Mutant("no barrier between steps back", KERNELS, "        begin += words_up_to(d, (int)degree - k - 1);\n        __syncthreads();", "        begin += words_up_to(d, (int)degree - k - 1);", logarithms),
    Mutant("no barrier before the Lyndon words", KERNELS, "    if (METHOD > 0) {\n        __syncthreads();", "    if (METHOD > 0) {", many),
    Mutant("both tensors in one place", KERNELS, "T* even = odd + second;", "T* even = odd;", logarithms),
    Mutant("signatures beyond the batch", KERNELS, "const bool alive = row < batch;", "const bool alive = true;", many),
    Mutant("the scalar term left", KERNELS, "result[-1] = 0;", "result[-1] = result[-1];", logarithms),
    Mutant("the wrong step's tensor", KERNELS, "begin += words_up_to(d, (int)degree - k - 1);", "begin += words_up_to(d, (int)degree - k);", logarithms),
    Mutant("large: a step's source", KERNELS, "mine + source, log_coefficient<T>((int)k + 1)", "mine + target, log_coefficient<T>((int)k + 1)", large),
    Mutant("large: the blocks do the same words", KERNELS, "blockIdx.x % (unsigned)n_blocks * blockDim.x + threadIdx.x", "threadIdx.x", large),
    Mutant("large: no barrier after the copy", KERNELS, "x[r] = source[r];\n    __syncthreads();", "x[r] = source[r];", large),
    Mutant("large: a cotangent not copied", KERNELS, "w < n_shorter; w += team.n_threads) result[w] = source[w];", "w + 1 < n_shorter; w += team.n_threads) result[w] = source[w];", large, "exact"),
]  # fmt: skip
