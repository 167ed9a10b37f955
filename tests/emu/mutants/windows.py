"""Mistakes in the kernels of windows."""

from typing import Any

import numpy as np
from checking import assert_close
from reference_windows import by_definition, random_windows

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
]  # fmt: skip
