"""Mistakes in the kernels of windows."""

from typing import Any

import numpy as np
from checking import assert_close
from reference_windows import by_definition, gradient_by_definition, random_windows

import siglib

from . import Mutant


def any_windows(gpu: Any) -> None:
    """Of two paths, the same and others for each; letters that fit into one tile, and that do not."""
    rng = np.random.default_rng(0)
    for d, degree, *shape in ((2, 4, 6), (3, 3, 2, 6), (9, 2, 5)):
        paths = 0.3 * rng.standard_normal((2, 7, d))
        starts, ends = random_windows(rng, 7, *shape)
        out = siglib.sig_windows(gpu.array(paths), degree, starts=starts, ends=ends, scalar_term=True)
        assert_close(gpu.numpy(out), by_definition(paths, starts, ends, degree, scalar_term=True), 1e-13)


def prefixes(gpu: Any) -> None:
    rng = np.random.default_rng(0)
    for d, degree in ((2, 4), (9, 2)):
        paths = 0.3 * rng.standard_normal((2, 5, d))
        expected = by_definition(paths, np.zeros(5, int), np.arange(1, 6), degree, scalar_term=True)
        assert_close(gpu.numpy(siglib.sig_prefixes(gpu.array(paths), degree, scalar_term=True)), expected, 1e-13)


def one_channel(gpu: Any) -> None:
    path = np.random.default_rng(0).standard_normal((2, 5, 1))
    expected = by_definition(path, np.arange(3), np.arange(3) + 3, 4, scalar_term=True)
    assert_close(gpu.numpy(siglib.sig_windows(gpu.array(path), 4, 3, scalar_term=True)), expected, 1e-13)


def _check_gradient(gpu: Any, paths: np.ndarray, starts: np.ndarray, ends: np.ndarray, degree: int) -> None:
    n = siglib.sig_length(paths.shape[-1], degree, scalar_term=True)
    derivs = np.random.default_rng(0).standard_normal((len(paths), starts.shape[-1], n))
    gradient = siglib.sig_windows_backprop(gpu.array(paths), gpu.array(derivs), degree, starts=starts, ends=ends)
    expected = gradient_by_definition(paths, starts, ends, derivs[..., 1:], degree)
    assert_close(gpu.numpy(gradient), expected, 1e-12)


def gradient_of_any_windows(gpu: Any) -> None:
    rng = np.random.default_rng(0)
    for d, degree, *shape in ((2, 1, 6), (2, 6, 6), (3, 4, 2, 6), (7, 3, 5)):
        _check_gradient(gpu, 0.3 * rng.standard_normal((2, 7, d)), *random_windows(rng, 7, *shape), degree)


def gradient_of_prefixes(gpu: Any) -> None:
    rng = np.random.default_rng(0)
    for d, degree in ((2, 1), (3, 4)):
        _check_gradient(gpu, 0.3 * rng.standard_normal((2, 6, d)), np.zeros(6, int), np.arange(1, 7), degree)


def gradient_of_large_signatures(gpu: Any) -> None:
    """A scan fills several blocks; a tree has several tiles."""
    rng = np.random.default_rng(0)
    for d, degree in ((3, 8), (6, 4), (17, 2)):
        _check_gradient(gpu, 0.3 * rng.standard_normal((2, 3, d)), np.array([0, 1, 0]), np.array([3, 3, 2]), degree)


def gradient_of_one_channel(gpu: Any) -> None:
    path = np.random.default_rng(0).standard_normal((2, 5, 1))
    _check_gradient(gpu, path, np.arange(3), np.arange(3) + 3, 4)


def gradient_before_a_jump(gpu: Any) -> None:
    """Coefficients after it are so large that little would be left of the others if it was only taken off again."""
    path = 0.3 * np.random.default_rng(0).standard_normal((1, 7, 2))
    path[0, 6:] += 1e6
    derivs = np.ones((1, 4, 14))
    derivs[0, 3] = 0
    starts, ends = np.full(4, 1), np.arange(4, 8)
    gradient = siglib.sig_windows_backprop(gpu.array(path), gpu.array(derivs), 3, starts=starts, ends=ends)
    assert_close(gpu.numpy(gradient), gradient_by_definition(path, starts, ends, derivs, 3), 1e-12)


BACK, CUT = "windows_backprop.cu", "signature_cut.cuh"
MUTANTS = [
    Mutant("scans beyond the paths", "windows.cu", "if (path >= n_paths) return;\n    const long long scan", "if (path > n_paths) return;\n    const long long scan", any_windows),
    Mutant("right for left", "windows.cu", "right = scan_side[scan] != 0", "right = scan_side[scan] == 0", any_windows),
    Mutant("words not read backwards", "windows.cu", "letters[SUFFIX - k] = letter", "letters[k - 1] = letter", prefixes),
    Mutant("beginnings by every thread", "windows.cu", "part * power == suffix ? part", "true ? part", prefixes),
    Mutant("endings by too few threads", "windows.cu", "suffix < above ?", "suffix < power ?", any_windows),
    Mutant("top words in the order of the left", "windows.cu", "right ? 1 : n_suffixes", "right ? n_suffixes : n_suffixes", prefixes),
    Mutant("letters beyond the last one", "windows.cu", "if (j0 + j < d) target", "target", prefixes),
    Mutant("an increment too few", "windows.cu", "taken < steps;", "taken + 1 < steps;", prefixes),
    Mutant("backwards in time", "windows.cu", "right ? width : -width", "right ? width : width", any_windows),
    Mutant("rows of the first slab", "windows.cu", "path * path_rows - first_row;", "path * path_rows + first_row + 1;", any_windows),
    Mutant("factors exchanged", "windows.cu", "rows + (first + left_row[k]) * n_words, rows + (first + right_row[k])", "rows + (first + right_row[k]) * n_words, rows + (first + left_row[k])", any_windows),
    Mutant("no empty word of products", "windows.cu", "if (scalar_term && word == 0) target[0] = 1;", "", any_windows),
    Mutant("no empty word of rows", "windows.cu", "if (scalar_term && in_scan == 0) target[-1] = 1;", "", prefixes),
    Mutant("no factorials", "windows.cu", "power * total[k] / (T)n", "power * total[k]", one_channel),
    Mutant("the side of a row", BACK, "if (right[row])", "if (!right[row])", gradient_of_any_windows, "exact"),
    Mutant("the last window of a row alone", BACK, "entry == first ? found : target[w] + found", "found", gradient_of_any_windows, "exact"),
    Mutant("a window's own cotangent", BACK, "const T found = g_window[w] + sum;", "const T found = sum;", gradient_of_any_windows, "exact"),
    Mutant("rows of no path", BACK, "if (path >= n_paths) return;\n    const unsigned in_team", "if (path > n_paths) return;\n    const unsigned in_team", gradient_of_any_windows),
    Mutant("cotangents of the last row alone", BACK, "                    walk.row--;", "                    walk.row -= 100;", gradient_of_prefixes, "exact"),
    Mutant("states of the scan before", BACK, "walk.state >= walk.first_state && ", "", gradient_of_prefixes),
    Mutant("states that are not loaded", BACK, "                    walk.state--;", "                    walk.state -= 100;", gradient_before_a_jump, "exact"),
    Mutant("forwards in time", BACK, "walk.right ? -width : width", "walk.right ? -width : -width", gradient_of_any_windows),
    Mutant("the wrong last increment", BACK, "n_steps - 1 : 1 - n_steps", "n_steps - 1 : -n_steps", gradient_of_any_windows),
    Mutant("steps of shorter scans", BACK, "step + m < lengths[place];", "step + m < end;", gradient_of_any_windows),
    Mutant("no barrier before lengths are read", BACK, "    __syncthreads();\n    int end", "    int end", gradient_of_any_windows),
    Mutant("no barrier before the sums", BACK, "            __syncthreads();\n            sum_items", "            sum_items", gradient_of_any_windows),
    Mutant("one block's sum alone", BACK, "taken * n_sums + sum_number", "taken * n_sums", gradient_of_large_signatures, "exact"),
    Mutant("a sum forgotten", BACK, "i < n_sums; i++", "i < 1; i++", gradient_of_large_signatures, "exact"),
    Mutant("the scan to the right forgotten", BACK, "if (low > 0) {", "if (low > 100) {", gradient_of_any_windows, "exact"),
    Mutant("beyond the scan to the right", BACK, "if (step < begin[low]) add(step);", "add(step);", gradient_of_any_windows),
    Mutant("beyond the scan to the left", BACK, "if (step < split[block]) add(step);", "add(step);", gradient_of_any_windows, "exact"),
    Mutant("a cotangent after its step", BACK, "there > row_steps[row]; there--", "there >= row_steps[row]; there--", gradient_of_prefixes),
    Mutant("no factorials backwards", BACK, "power = power * total[k] / (T)n;", "power = power * total[k];", gradient_of_one_channel, "exact"),
    Mutant("suffixes not read backwards", CUT, "letters[backwards ? S - 1 - n : n]", "letters[n]", gradient_of_any_windows, "exact"),
    Mutant("words not read backwards", CUT, "(long long)at.w * sizes[r - 1] + reversed", "(long long)at.w * sizes[r - 1] + word", gradient_of_prefixes, "exact"),
    Mutant("endings for every item", CUT, "return first && !is_first ? -1 : ending;", "return ending;", gradient_of_any_windows, "exact"),
    Mutant("cotangents of every top tile", CUT, "exists && (r == P || at.top_tile == 0)", "exists", gradient_of_large_signatures, "exact"),
    Mutant("gradients of the suffix in the order of the left", CUT, "(backwards ? S - 1 - i : i)", "i", gradient_of_large_signatures, "exact"),
]  # fmt: skip
