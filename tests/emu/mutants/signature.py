"""Mistakes in the kernels of signatures and their products."""

from typing import Any
from unittest import mock

import numpy as np
import reference
from checking import assert_close

import siglib
from siglib._gpu import chen as launcher
from siglib._gpu import signature_plan

from . import Mutant


def signatures(gpu: Any) -> None:
    transforms = {"lead_lag": True, "time_aug": True, "end_time": 0.7, "scalar_term": True}
    for shape, degree, options in (
        ((3, 9, 2), 6, {}),
        ((3, 6, 2), 4, transforms),
        ((3, 7, 7), 3, {}),
        ((2, 5, 9), 2, {"scalar_term": True}),
    ):
        path = 0.3 * np.random.default_rng(0).standard_normal(shape)
        out = gpu.numpy(siglib.sig(gpu.array(path), degree, **options))
        assert_close(out, reference.signature(path, degree, **options), 1e-13)


def one_channel(gpu: Any) -> None:
    path = np.random.default_rng(0).standard_normal((3, 40, 1))
    assert_close(gpu.numpy(siglib.sig(gpu.array(path), 4)), reference.signature(path, 4), 1e-13)


def many_paths() -> Any:
    """Chunks are joined as those of many paths."""
    return mock.patch.object(launcher, "_BLOCKS_OF_PROCESSOR", 0)


def chunks(gpu: Any) -> None:
    for shape, degree in (((2, 290, 3), 2), ((2, 700, 2), 8)):
        path = np.random.default_rng(0).standard_normal(shape) / 20
        with many_paths():
            out = gpu.numpy(siglib.sig(gpu.array(path), degree, scalar_term=True))
        assert_close(out, reference.signature(path, degree, scalar_term=True), 1e-13)


def parts(gpu: Any) -> None:
    """Several in a block, some of them empty, multiplied by single threads, then by teams; one with several tiles; and
    one that is shorter than others."""
    for shape, degree, short in (((3, 41, 4), 3, 1), ((2, 21, 4), 3, 32), ((2, 150, 2), 2, 1)):
        path = np.random.default_rng(0).standard_normal(shape) / 6
        with mock.patch.object(signature_plan, "_SHORT_PART", short):
            out = gpu.numpy(siglib.sig(gpu.array(path), degree, scalar_term=True))
        assert_close(out, reference.signature(path, degree, scalar_term=True), 1e-13)


def many_levels(gpu: Any) -> None:
    """Of more words than a block has threads, in one launch."""
    path = np.random.default_rng(0).standard_normal((1, 270, 2)) / 16
    with many_paths():
        assert_close(gpu.numpy(siglib.sig(gpu.array(path), 10)), reference.signature(path, 10), 1e-13)


def few_paths(gpu: Any) -> None:
    """All levels in one launch, by blocks with a first letter each, and by several for its longest words; few chunks for
    a thread, and many."""
    with mock.patch.multiple(launcher, _BLOCKS_OF_PROCESSOR=30, _WORDS_OF_SHARE=40):
        for length, d, degree in ((700, 3, 5), (1300, 8, 3)):
            path = np.random.default_rng(0).standard_normal((1, length, d)) / 40
            out = gpu.numpy(siglib.sig(gpu.array(path), degree, scalar_term=True))
            assert_close(out, reference.signature(path, degree, scalar_term=True), 1e-13)


def many_chunks(gpu: Any) -> None:
    """More than the threads that share a word take at a time."""
    path = np.random.default_rng(0).standard_normal((1, 2250, 11)) / 40
    assert_close(gpu.numpy(siglib.sig(gpu.array(path), 2)), reference.signature(path, 2), 1e-12)


def one_level_a_launch(gpu: Any) -> None:
    """Several first letters for a thread, fewer for the last one."""
    with many_paths(), mock.patch.multiple(launcher, _FEW_THREADS=0, _MANY_WORDS=0, _FEW_WORDS=0):
        chunks(gpu)
        path = np.random.default_rng(0).standard_normal((1, 140, 6)) / 12
        assert_close(gpu.numpy(siglib.sig(gpu.array(path), 2)), reference.signature(path, 2), 1e-13)


def few_words(gpu: Any) -> None:
    """Several threads for a word, fewer words than a block has room for."""
    with many_paths(), mock.patch.multiple(launcher, _FEW_THREADS=2**40, _MANY_WORDS=0, _FEW_WORDS=0):
        path = np.random.default_rng(0).standard_normal((1, 140, 6)) / 12
        assert_close(gpu.numpy(siglib.sig(gpu.array(path), 2)), reference.signature(path, 2), 1e-13)


def products(gpu: Any) -> None:
    rng = np.random.default_rng(0)
    for d, degree in ((3, 4), (9, 3)):
        n = siglib.sig_length(d, degree)
        derivs, a, b = rng.standard_normal((3, 2, n))
        out = gpu.numpy(siglib.sig_combine(gpu.array(a), gpu.array(b), d, degree))
        assert_close(out, reference.combine(a, b, d, degree), 1e-13)
        gradients = gpu.numpy(siglib.sig_combine_backprop(*map(gpu.array, (derivs, a, b)), d, degree))
        for actual, expected in zip(gradients, reference.combine_gradients(derivs, a, b, d, degree), strict=True):
            assert_close(actual, expected, 1e-13)


JOIN, WHOLE, PRODUCT = "signature_join.cu", "signature_whole.cu", "signature_product.cuh"
MUTANTS = [
    Mutant("no barrier before the load", "signature.cu", "            __syncthreads();\n            load_increments", "            load_increments", chunks),
    Mutant("no barrier after the load", "signature.cu", "            __syncthreads();\n        }\n        for (int k", "        }\n        for (int k", signatures),
    Mutant("one path of the block too few", "signature.cu", "(int)(v_last - v_first) + 1;", "(int)(v_last - v_first);", signatures),
    Mutant("paths beyond the batch", "signature.cu", "if (v >= n_virtual) return;", "if (v > n_virtual) return;", signatures),
    Mutant("an increment forgotten", "signature.cu", "for (int k = n - 1; k >= 0; k--)", "for (int k = n - 1; k > 0; k--)", signatures),
    Mutant("a wrong letter", "signature.cu", "x[i] = now[w[i]]", "x[i] = now[w[0]]", signatures),
    Mutant("words beyond the letters", "signature_tree.cuh", "if (D == 0 && letter >= d) continue;", "", signatures),
    Mutant("first against last letters", "signature_tree.cuh", "weights[q - 1] * d", "weights[q - 1]", signatures),
    Mutant("a divisor", "signature_tree.cuh", "T(SUFFIX + r - k + 1)", "T(SUFFIX + r - k + 2)", signatures),
    Mutant("a divisor of the ending", "signature_tree.cuh", "T(n - k + 1)", "T(n - k + 2)", signatures),
    Mutant("new instead of old coefficients", "signature_tree.cuh", "for (int n = SUFFIX; n >= 1; n--)", "for (int n = 1; n <= SUFFIX; n++)", signatures),
    Mutant("increments behind the chunk", "increments.cuh", "(unsigned)row < (unsigned)chunk.length", "row >= 0", chunks),
    Mutant("members of the struct exchanged", "increments.cuh", "long long n_chunks, chunk;", "long long chunk, n_chunks;", chunks),
    Mutant("points by the wrong stride", "increments.cuh", "row * paths.point +", "row * paths.channel +", signatures),
    Mutant("lead for lag", "increments.cuh", "if (lead == bool(row & 1))", "if (lead != bool(row & 1))", signatures),
    Mutant("letters of the padding", "increments.cuh", "c < paths.dimension ? first : -n", "first", signatures),
    Mutant("only half a warp adds", "signature.cu", "for (int by = 16; by > 0; by /= 2) total", "for (int by = 8; by > 0; by /= 2) total", one_channel),
    Mutant("single lanes leave", "signature.cu", "if (b >= n_paths) return;", "if (b >= n_paths || lane == 31) return;", one_channel),
    Mutant("no barrier before the load", WHOLE, "        __syncthreads();\n        load_increments", "        load_increments", parts),
    Mutant("no barrier after the load", WHOLE, "        __syncthreads();\n        expect", "        expect", parts),
    Mutant("parts in the order of threads", WHOLE, "2 * number + (turn / bit & 1)", "number + bit * (turn / bit & 1)", parts, "exact"),
    Mutant("an increment of a part forgotten", WHOLE, "number * part, part", "number * part, part - 1", parts, "exact"),
    Mutant("increments of the next path", "increments.cuh", "smaller(most, length - from) : 0", "most : 0", parts),
    Mutant("handed over too early", WHOLE, "        __syncthreads();\n        if (left <= t", "        if (left <= t", parts),
    Mutant("taken too early", WHOLE, "        __syncthreads();\n        const Handed", "        const Handed", parts),
    Mutant("a product of the wrong ends", PRODUCT, "get<R - K>(u / LEFT)", "get<R - K>(u % power<D>(R - K))", parts, "exact"),
    Mutant("words of teams that are still read", WHOLE, "    else\n        __syncthreads();\n", "", parts),
    Mutant("words of teams read too early", WHOLE, "    if constexpr (N == P) __syncthreads();", "", parts),
    Mutant("a cut of a team's word forgotten", WHOLE, "for (int k = 1; k < N; k++) {\n        rest /= D;\n        at -= rest * R;", "for (int k = 1; k < N - 1; k++) {\n        rest /= D;\n        at -= rest * R;", parts, "exact"),
    Mutant("factors in the wrong order", JOIN, "prefix_words[i] = prefixes + there * n_lower;", "prefix_words[i] = prefixes + smaller(there + 1, n_chunks - 1) * n_lower;", chunks, "exact"),
    Mutant("the product with the chunk itself", JOIN, "before(c + i, place, sum);\n                sum += shared[i * n_words + slot];", "sum += shared[i * n_words + slot];\n                before(c + i, place, sum);", chunks, "exact"),
    Mutant("chunks that are not there", JOIN, "if (c + i >= n_chunks) break;", "", one_level_a_launch),
    Mutant("letters that are not there", JOIN, "letters[r] = smaller((I)(first + r), (I)(by_d.d - 1));", "letters[r] = (I)(first + r);", one_level_a_launch, "check"),
    Mutant("levels without a barrier", JOIN, "        __syncthreads();\n        start += size;\n        tail_size = size;", "        start += size;\n        tail_size = size;", many_levels),
    Mutant("a cut of chunks forgotten", JOIN, "for (int k = n - 1; k > 0; k--) {\n        const I shorter", "for (int k = n - 1; k > 1; k--) {\n        const I shorter", chunks, "exact"),
    Mutant("first letters of another thread", JOIN, "                                      group * R, before", "                                      group, before", one_level_a_launch, "check"),
    Mutant("terms without a barrier", JOIN, "        __syncthreads();\n        if (live && part == 0) {", "        if (live && part == 0) {", chunks),
    Mutant("terms of the next chunks too early", JOIN, "            }\n        }\n        __syncthreads();\n    }\n    if (live && part == 0)", "            }\n        }\n    }\n    if (live && part == 0)", many_chunks),
    Mutant("chunks of another thread", JOIN, "c + mine, n_mine", "c, n_mine", chunks, "exact"),
    Mutant("fewer chunks than are left", JOIN, "each = (here + parts - 1) / parts;", "each = here / parts;", chunks),
    Mutant("longest words among the prefixes", JOIN, "if (place < n_lower) found", "found", chunks),
    Mutant("levels of prefixes with one first letter", JOIN, "own_start -= prefix_size", "own_start -= own_start", few_paths),
    Mutant("longest words of another block", JOIN, "longest ? share * each : 0", "0", few_paths),
    Mutant("longest words among the prefixes of few", JOIN, "if (!longest) own[", "own[", few_paths),
    Mutant("prefixes with every first letter", JOIN, "own_start - start - first * tail_size", "own_start - start", few_paths),
    Mutant("chunks that are too many", JOIN, "FEW == C || each <= FEW", "true", few_paths),
    Mutant("threads without a word", JOIN, "group, group < by_d.d,", "group, true,", few_words),
    Mutant("one cut forgotten", "tensor.cuh", "prefix > 0; prefix = by_d.of(word))", "prefix > (I)by_d.d; prefix = by_d.of(word))", products),
    Mutant("a quotient too small", "common.cuh", "(unsigned)n - quotient * (unsigned)d >= (unsigned)d", "(unsigned)n - quotient * (unsigned)d > (unsigned)d", products, "exact"),
    Mutant("one lane adds", "tensor.cuh", "for (int by = 16; by > 0; by /= 2) sum", "for (int by = 16; by > 32; by /= 2) sum", products),
    Mutant("long words skipped", "tensor.cuh", "(by_warp ? 0 : n_long)", "(by_warp ? 0 : n_long - 1)", products),
]  # fmt: skip
