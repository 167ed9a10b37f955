"""Mistakes in path.cu."""

from typing import Any

import numpy as np
import reference
from checking import assert_close

import siglib

from . import Mutant


def transforms(gpu: Any) -> None:
    path = np.random.default_rng(0).standard_normal((2, 5, 3))
    options = {"time_aug": True, "lead_lag": True, "end_time": 0.7}
    out = siglib.transform_path(gpu.array(path), **options)
    assert_close(gpu.numpy(out), reference.transform_path(path, **options))
    gradient = gpu.numpy(siglib.transform_path_backprop(out, **options))
    assert_close(gradient, reference.transform_path_gradient(gpu.numpy(out), **options))


MUTANTS = [
    Mutant("one thread too many", "path.cu", "if (index >= size) return;", "if (index > size) return;", transforms),
    Mutant("rows by the wrong stride", "path.cu", "k * paths.point +", "k * paths.channel +", transforms),
    Mutant("lead and lag exchanged", "path.cu", "j < d ? row / 2 : (row + 1) / 2", "j < d ? (row + 1) / 2 : row / 2", transforms),
    Mutant("past the last point", "path.cu", "if (k < length - 1) total", "if (k < length) total", transforms),
    Mutant("a copy forgotten", "path.cu", "if (k > 0) total", "if (k > 1) total", transforms),
]  # fmt: skip
