"""Mistakes in series.cu."""

from typing import Any

import numpy as np
from checking import assert_close
from reference_series import prepared

import siglib
from siglib.paths.transform import TRANSFORM_PATH

from . import Mutant

LENGTHS = (5, 3)


def _check(gpu: Any, options: dict[str, Any], **transform: Any) -> None:
    """Values, and the gradient, which is a sum over rows that differ where one point does."""
    rng = np.random.default_rng(0)
    paths = [rng.standard_normal((n, 2)) for n in LENGTHS]
    if "gaps" in options:
        paths[0][[0, 2, 3], [0, 0, 1]] = paths[0][3, 0] = paths[1][2, 1] = np.nan
    more = [
        {"times": np.arange(len(path) + 1.0)[: len(path) + options.get("increments", False)] ** 2} for path in paths
    ]
    series = siglib.Series([gpu.array(path) for path in paths], times=[m["times"] for m in more], **options)
    rows = siglib.transform_path(series, **transform)
    derivs = [rng.standard_normal(tuple(row.shape)) for row in rows]
    plain = {"time_aug": False, "lead_lag": False, "end_time": 1.0, "n_jobs": 1} | transform
    (gradients,) = TRANSFORM_PATH.backprop([gpu.array(g) for g in derivs], None, series, **plain)
    for path, extra, row, deriv, gradient in zip(paths, more, rows, derivs, gradients, strict=True):
        expected = prepared(path, **options, **extra, **transform)
        assert_close(gpu.numpy(row), expected)
        found = gpu.numpy(gradient)
        for at in np.ndindex(*path.shape):
            moved = path.copy()
            moved[at] += 1
            change = prepared(moved, **options, **extra, **transform) - expected
            assert_close(found[at], 0.0 if np.isnan(path[at]) else (change * deriv).sum(), 1e-9)


def gaps(gpu: Any) -> None:
    _check(gpu, {"gaps": "linear", "cumulative_sum": True})
    _check(gpu, {"gaps": "forward"})


def lead_lag(gpu: Any) -> None:
    _check(gpu, {"base_point": [1.0, 2.0], "invisibility_reset": True}, time_aug=True, lead_lag=True)


def rectilinear(gpu: Any) -> None:
    _check(gpu, {"interpolation": "rectilinear", "base_point": True}, time_aug=True)
    _check(gpu, {"increments": True, "base_point": [1.0, -1.0]}, time_aug=True)


MUTANTS = [
    Mutant("a gap is filled from itself", "series.cu", "if (behind <= k)", "if (behind < k)", gaps),
    Mutant("the last number forgotten", "series.cu", "value = x[k * point];\n            before = k;", "value = x[k * point];\n            before = before < 0 ? k : before;", gaps),
    Mutant("sums begin anew", "series.cu", "total += value;\n            value = (T)total;", "total = value;\n            value = (T)total;", gaps),
    Mutant("weights exchanged in the gradient", "series.cu", "y[behind * d] += (T)(part * value);", "y[behind * d] += (T)((1 - part) * value);", gaps),
    Mutant("leading gaps have no gradient", "series.cu", "if (behind >= 0) y", "if (behind > k + 1) y", gaps),
    Mutant("the time of the next point", "series.cu", "now[from] + 0.5 * (now[to] - now[from])", "now[to]", lead_lag),
    Mutant("the last point is visible", "series.cu", "j < n ? (T)1", "j <= n ? (T)1", lead_lag),
    Mutant("the copy at the end has no gradient", "series.cu", "if (reset && k == length - 1)", "if (reset && k == length)", lead_lag),
    Mutant("a copy forgotten", "series.cu", "if (j > 0) total += at[wide", "if (j > 1) total += at[wide", lead_lag),
    Mutant("past the last row", "series.cu", "if (j < n_points - 1) total", "if (j < n_points) total", rectilinear),
    Mutant("values move first", "series.cu", "(is_lead ? (r + 1) / 2 : r / 2) : r", "(is_lead ? r / 2 : (r + 1) / 2) : r", rectilinear),
    Mutant("the start is not added", "series.cu", "(k < 0 || sums)", "(k < 0)", rectilinear),
    Mutant("the path behind", "series.cu", "if (starts[middle] <= row)", "if (starts[middle] < row)", rectilinear),
]  # fmt: skip
