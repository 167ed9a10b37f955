"""Mistakes in the gradient of signatures."""

from typing import Any
from unittest import mock

import numpy as np
import reference
from checking import assert_as_exact_everywhere, assert_close, smooth_path

import siglib
from siglib._gpu import signature_backprop as launcher

from . import Mutant


def _check(gpu: Any, shape: tuple[int, ...], degree: int, scalar_term: bool = False, **options: Any) -> None:
    rng = np.random.default_rng(0)
    path = 0.3 * rng.standard_normal(shape)
    sig = reference.signature(path, degree, scalar_term=scalar_term, **options)
    derivs = rng.standard_normal(sig.shape)
    gradient = siglib.sig_backprop(*map(gpu.array, (path, sig, derivs)), degree, **options)
    expected = reference.signature_gradient(path, derivs[:, scalar_term:], degree, **options)
    assert_close(gpu.numpy(gradient), expected, 1e-12)


def check_everywhere(gpu: Any, path: np.ndarray) -> None:
    """A gradient in float32, of degree 3: as exact at points between chunks as elsewhere."""
    exact = path.astype(float)
    sig = siglib.sig(exact, 3)
    derivs = np.random.default_rng(0).standard_normal(sig.shape)
    given = (gpu.array(array.astype(np.float32)) for array in (path, sig, derivs))
    gradient = gpu.numpy(siglib.sig_backprop(*given, 3))
    assert_as_exact_everywhere(gradient[0], siglib.sig_backprop(exact, sig, derivs, 3)[0])


def _several_launches() -> Any:
    """Not a block for each path."""
    return mock.patch.object(launcher, "make_block", lambda *args: None)


def few_letters(gpu: Any) -> None:
    """Letters compiled in, and a suffix."""
    _check(gpu, (3, 9, 2), 6, scalar_term=True)


def root_tiles(gpu: Any) -> None:
    """Letters compiled in, and the root of the tree in tiles."""
    _check(gpu, (3, 4, 4), 4)


def many_steps(gpu: Any) -> None:
    _check(gpu, (2, 22, 2), 6)


def many_rows(gpu: Any) -> None:
    """Of which as many share a block as it has places for."""
    _check(gpu, (13, 4, 3), 4)


def many_letters(gpu: Any) -> None:
    """Tiles at the root and at the top, and a suffix."""
    _check(gpu, (2, 4, 17), 2)
    _check(gpu, (3, 4, 7), 3)


def several_blocks(gpu: Any) -> None:
    """Of items for each path, letters compiled in and not."""
    _check(gpu, (2, 2, 3), 8)
    _check(gpu, (1, 3, 6), 5)


def few_sums(gpu: Any) -> None:
    """Blocks that take several parts of a path's items, one after another."""
    with mock.patch.object(launcher, "_MOST_SUMS", 1):
        several_blocks(gpu)


def transforms(gpu: Any) -> None:
    _check(gpu, (3, 6, 2), 3, lead_lag=True, time_aug=True, end_time=0.7)


def chunks(gpu: Any) -> None:
    with mock.patch.object(launcher, "_chunk", lambda *args: 3), _several_launches():
        _check(gpu, (2, 13, 3), 4)
        _check(gpu, (2, 17, 2), 3)


def borders(gpu: Any) -> None:
    """Of many chunks of a smooth path."""
    check_everywhere(gpu, smooth_path(2003, 6))


def unstaged(gpu: Any) -> None:
    with mock.patch.object(launcher, "shared_bytes", lambda: 0):
        _check(gpu, (3, 5, 7), 3)
        with mock.patch.object(launcher, "_chunk", lambda *args: 3), _several_launches():
            _check(gpu, (2, 9, 2), 3)


def one_level(gpu: Any) -> None:
    _check(gpu, (3, 5, 2), 1, lead_lag=True)
    _check(gpu, (3, 5, 1), 4)


ITEM, CUT, KERNEL = "signature_item.cuh", "signature_cut.cuh", "signature_backprop.cu"
POINTS, LOADER, JOIN = "increments.cu", "increments.cuh", "signature_join.cu"
MUTANTS = [
    Mutant("the later coefficient", ITEM, "(x * Bs[i + 1] + earlier)", "(x * Bs[i + 1] + later)", few_letters, "exact"),
    Mutant("a cotangent not handed down", ITEM, "sum += child_b[i];", "", few_letters, "exact"),
    Mutant("a divisor in the tree", ITEM, "i < P - Q; ++i) b[i] *= inverse<T>(i + 1);", "i < P - Q; ++i) b[i] *= inverse<T>(i + 2);", few_letters, "exact"),
    Mutant("a divisor along the suffix", ITEM, "const T h = e * inverse<T>(N - k + 1);", "const T h = e * inverse<T>(N - k + 2);", few_letters, "exact"),
    Mutant("an ending forgotten", ITEM, "if (k > 1) g_a[k - 2] += e;", "if (k > 2) g_a[k - 2] += e;", few_letters, "exact"),
    Mutant("the increment not taken off", ITEM, "a[n - 1] -= suffix[n - 1] * c;", "", few_letters, "exact"),
    Mutant("the order of the endings", ITEM, "for (int n = S; n > 0; --n) {", "for (int n = 1; n <= S; ++n) {", few_letters, "exact"),
    Mutant("a letter of the root", ITEM, "g_x += total;", "g_x = total;", few_letters, "exact"),
    Mutant("first against last letters", ITEM, "child_reversed, power * d,", "child_reversed, power,", few_letters),
    Mutant("no barrier after the load", KERNEL, "                __syncthreads();\n            }\n            for (int group", "            }\n            for (int group", few_letters),
    Mutant("no barrier before the sums", KERNEL, "                __syncthreads();\n                sum_items", "                sum_items", few_letters),
    Mutant("no barrier after the sums", KERNEL, "                __syncthreads();\n            }\n        }\n    }\n}", "            }\n        }\n    }\n}", many_steps),
    Mutant("cotangents of every tile", KERNEL, "at.root_tile == 0 && at.top_tile == 0 &&", "", root_tiles, "exact"),
    Mutant("cotangents of every top tile", KERNEL, "if (!exists || (cotangent && r < P && at.top_tile > 0)) return 0;", "if (!exists) return 0;", many_letters, "exact"),
    Mutant("cotangents of every longer suffix", KERNEL, "at.w < size ? g[start + at.w]", "at.w >= 0 ? g[start + at.w % size]", few_letters, "exact"),
    Mutant("the letters of other tiles", CUT, "first_root + i == j", "i == j", root_tiles, "exact"),
    Mutant("the letters of the suffix", CUT, "letters[i] == j", "letters[0] == j", few_letters, "exact"),
    Mutant("no barrier before the rows' places are read", KERNEL, "    __syncthreads();\n    for (int part", "    for (int part", few_letters),
    Mutant("rows beyond the batch", KERNEL, "m < n_group && first_row + place < n_all;", "m < n_group;", few_letters),
    Mutant("steps beyond the end", KERNEL, "smaller(MG, end - step - group)", "MG", many_steps),
    Mutant("increments beyond the end", LOADER, "(unsigned)row < (unsigned)chunk.length", "(unsigned)row <= (unsigned)chunk.length", many_rows),
    Mutant("a later part alone", KERNEL, "part < n_sums ? total : *result + total", "total", few_sums, "exact"),
    Mutant("threads beyond the last row of threads", CUT, "c < columns && sharing.place < sharing.place_step", "c < columns", many_rows),
    Mutant("a share of the sums left out", CUT, "mask = lanes / 2; mask > 0", "mask = lanes / 2; mask > 1", several_blocks, "exact"),
    Mutant("the root's tile", CUT, "top * cut.n_roots + root_tile", "top * cut.n_roots", many_letters, "exact"),
    Mutant("items of the block before", CUT, "larger(0, first % period - offset)", "larger(0, first % period)", several_blocks, "exact"),
    Mutant("the sum's place", KERNEL, "(r * n_sums + sum_number)", "(r + sum_number)", several_blocks),
    Mutant("another row's increments", KERNEL, "((live ? row : 0ll) * padded + step + k) * dp", "(step + k) * dp", unstaged, "exact"),
    Mutant("another chunk's increments", POINTS, "(chunk_number - b * paths.n_chunks) * paths.chunk + k", "k", unstaged, "exact"),
    Mutant("a sum forgotten", POINTS, "i_sum < n_sums; ++i_sum", "i_sum < 1; ++i_sum", several_blocks, "exact"),
    Mutant("lead and lag exchanged", POINTS, "Numbers total = total_at(row + n_channels);\n        add(total, total_at(row + d), 1);", "Numbers total = total_at(row);\n        add(total, total_at(row + d + n_channels), 1);", transforms, "exact"),
    Mutant("the last point", POINTS, "if (k >= 0 && k + 1 < length) behind =", "if (k >= 0 && k < length) behind =", transforms),
    Mutant("another increment of zero", POINTS, "gradient_of_zero(row - across)", "gradient_of_zero(row - across - d)", borders, "exact"),
    Mutant("chunks that know no other", POINTS, "add(to, gradient_of_zero(row - d), -1);", "", borders, "exact"),
    Mutant("no increment of zero", KERNEL, "step - (int)margin", "step", chunks, "exact"),
    Mutant("increments before the chunk", LOADER, "(unsigned)row < (unsigned)chunk.length", "row < chunk.length", chunks),
    Mutant("increments before the chunk", POINTS, "k >= 0 && ", "", unstaged),
    Mutant("the first point", POINTS, "Numbers before = {};", "Numbers before = gradient_at(row);", many_steps),
    Mutant("points of the next chunk", POINTS, "            place -= chunk;\n            row += across;", "            place -= chunk;", chunks, "exact"),
    Mutant("the chunk before", POINTS, "        chunk_number--;\n        place += chunk;", "", chunks),
    Mutant("several gradients of one point", POINTS, "first = group * POINTS;", "first = group;", many_steps),
    Mutant("the lag forgotten", POINTS, "if (lead_lag) total += g[b * stride + n_channels + i];", "", one_level, "exact"),
    Mutant("a power", POINTS, "power *= x / (T)n;", "power *= x / (T)(n + 1);", one_level, "exact"),
    Mutant("longest words of the chunk", JOIN, "found[i * n_lower + start + u] = sums[i];", "found[i * n_lower + start + u] = 0;", chunks, "exact"),
    Mutant("longest words behind the chunk", JOIN, "sums[i] += p.rows[i][first_start + u] * cotangent;", "sums[i] += 0;", chunks, "exact"),
    Mutant("the first chunk has no prefix", JOIN, "if (first + i > 0) sums[i] += p.rows[i][u]", "sums[i] += p.rows[i][u]", chunks),
    Mutant("shorter words of the chunk", JOIN, "before[start + u] += sum;", "before[start + u] += 0;", chunks, "exact"),
    Mutant("shorter words of another chunk", JOIN, "sum_suffixes(before + n_lower,", "sum_suffixes(before,", chunks, "exact"),
    Mutant("cotangents without a barrier", JOIN, "        __syncthreads();\n        end = start;", "        end = start;", chunks),
    Mutant("sums without a barrier", JOIN, "            __syncthreads();\n        }\n        for (unsigned word = start", "        }\n        for (unsigned word = start", chunks),
    Mutant("one chunk more", JOIN, "if (c - i < 0) break;", "", chunks),
    Mutant("chunks beyond the last", JOIN, "(first + smaller(i, n - 1)) * stride", "(first + i) * stride", chunks),
    Mutant("the cotangent of the product", JOIN, "lower.rows[i][start + v] + sums[i];", "sums[i];", chunks, "exact"),
    Mutant("the longest words of another path", KERNEL, "top + path_number * top_stride", "top + from * top_stride", chunks),
    Mutant("the chunk's number", KERNEL, "derivs + from * stride", "derivs + path_number * stride", chunks, "exact"),
]  # fmt: skip
