"""Mistakes in the kernel of intervals."""

from typing import Any

import numpy as np
from checking import assert_close

import siglib

from . import Mutant


def intervals(gpu: Any) -> None:
    """Of two paths, in both directions: points in front, blocks, points behind, and no block."""
    paths = 0.3 * np.random.default_rng(0).standard_normal((2, 90, 2)).cumsum(axis=1)
    starts, ends = np.array([0, 3, 70, 14, 20, 16, 33, 80]), np.array([89, 70, 5, 33, 30, 32, 33, 15])
    out = siglib.IntervalSignature(gpu.array(paths), 3, scalar_term=True).sig_batch(starts, ends)
    expected = [
        [
            siglib.sig(path[s : e + 1] if s <= e else path[e : s + 1][::-1], 3, scalar_term=True)
            for s, e in zip(starts, ends, strict=True)
        ]
        for path in paths
    ]
    assert_close(gpu.numpy(out), np.array(expected), 1e-11)


FILE = "intervals.cu"
MUTANTS = [
    Mutant("the block behind", FILE, "right = high / block - 1;", "right = high / block;", intervals),
    Mutant("a point in front", FILE, "n_head = first - low;", "n_head = first - low - (first > low);", intervals),
    Mutant("the order in front", FILE, "in_front ? interval.n_head - 1 - step : step", "step", intervals),
    Mutant("the other side", FILE, "interval.last + step - interval.n_head", "interval.last + step", intervals),
    Mutant("the level", FILE, "31 - __clz((int)differ)", "32 - __clz((int)differ)", intervals),
    Mutant("the table's other factor", FILE, "+ interval.right) * n_paths", "+ interval.left) * n_paths", intervals),
    Mutant("signs", FILE, ".length % 2) value", ".length % 2 == 0) value", intervals),
    Mutant("words read forwards", FILE, "start > end ? reversed[word] : word", "word", intervals),
    Mutant("a factorial", FILE, "factor * (x[rest] * inverse[w.length])", "factor * x[rest]", intervals),
    Mutant("steps without a barrier", FILE, "        __syncthreads();\n        T* const", "        T* const", intervals),
]  # fmt: skip
