"""Mistakes in the kernels of branched signatures with corrections."""

from typing import Any

import numpy as np
from checking import assert_close
from correction_cases import make

import siglib

from . import Mutant


def values(gpu: Any) -> None:
    for planar in (False, True):
        path, correction = make(np.random.default_rng(0), (2, 4, 3), "rows of each path", (2,), 4)
        found = siglib.branched_sig(
            gpu.array(path), 4, correction=gpu.array(correction), planar=planar, scalar_term=True
        )
        expected = siglib.branched_sig(path, 4, correction=correction, planar=planar, scalar_term=True)
        assert_close(gpu.numpy(found), expected)


def gradients(gpu: Any) -> None:
    """Corrections of each segment, and one for all of them."""
    for kind in ("rows of each path", "one row"):
        path, correction = make(np.random.default_rng(0), (2, 4, 3), kind, (2,), 4)
        bsig = siglib.branched_sig(path, 4, correction=correction)
        arrays = path, bsig, np.random.default_rng(1).standard_normal(bsig.shape)
        options = {"correction_deriv": True}
        found = siglib.branched_sig_backprop(*map(gpu.array, arrays), 4, correction=gpu.array(correction), **options)
        expected = siglib.branched_sig_backprop(*arrays, 4, correction=correction, **options)
        for one, other in zip(gpu.numpy(found), expected, strict=True):
            assert_close(one, other)


STEP, FORWARD, BACKWARD = "branched_flow.cuh", "branched_flow.cu", "branched_flow_backprop.cu"

MUTANTS = [
    Mutant("no barrier", STEP, "        __syncthreads();\n", "", values),
    Mutant("V in its own place", STEP, "k & 1 ? even : odd, w", "even, w", values),
    Mutant("a term too few", STEP, "k < count; k++", "k < count - 1; k++", values, "exact"),
    Mutant("one correction for all segments", STEP, "row * term_row + ", "0 * term_row + ", values, "exact"),
    Mutant("the ways forgotten", STEP, "term * weight_ways[j]", "term", values, "exact"),
    Mutant("the segment before", FORWARD, "segments.load(row - 1, next)", "segments.load(row, next)", values, "exact"),
    Mutant("one correction for all paths", FORWARD, "correction + path * term_path", "correction", values, "exact"),
    Mutant("weights not yet read", FORWARD, "*next = now + n_weights", "*next = now", values),
    Mutant("segments put on", BACKWARD, "step(x, even, odd, now, (T)-1", "step(x, even, odd, now, (T)1", gradients, "exact"),
    Mutant("no barrier", BACKWARD, "            above = v;\n            v += ends[degree - k + 1] + 1;\n            __syncthreads();", "            above = v;\n            v += ends[degree - k + 1] + 1;", gradients),
    Mutant("chains that are too long", BACKWARD, "ends[smaller(t.m, nodes - n)]", "ends[t.m]", gradients),
    Mutant("the first weights forgotten", BACKWARD, "by_weight[j] + factor * total", "factor * total", gradients, "exact"),
    Mutant("half a warp", BACKWARD, "for (int i = 16; i > 0; i /= 2)", "for (int i = 8; i > 0; i /= 2)", gradients, "exact"),
    Mutant("read when it has changed", BACKWARD, "if (k > 1) g[e] += total", "g[e] += total", gradients),
    Mutant("the first cotangent lost", BACKWARD, "if (k == 2) for_elements", "if (k == 0) for_elements", gradients, "exact"),
    Mutant("the last segment alone", BACKWARD, "row == 0 ? total : *at + total", "row >= 0 ? total : *at + total", gradients, "exact"),
    Mutant("the ways forgotten", BACKWARD, "by_weight[j] * weight_ways[j]", "by_weight[j]", gradients, "exact"),
]  # fmt: skip
