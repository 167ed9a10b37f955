"""Inputs that several test modules try: transforms, sizes, random paths."""

import math

import numpy as np
import pytest

TRANSFORMS = [
    {},
    {"time_aug": True, "end_time": 2.5},
    {"lead_lag": True},
    {"time_aug": True, "lead_lag": True, "end_time": 0.7},
]
transforms = pytest.mark.parametrize(
    "transform", TRANSFORMS, ids=lambda t: "+".join(k for k in t if k != "end_time") or "plain"
)
# Every dimension with a degree that fills all levels, and small dimensions deep enough for long suffixes.
SIZES = [
    *[(d, n) for d in (1, 2, 3) for n in (0, 1, 2, 3, 4, 5, 8)],
    *[(d, n) for d in (4, 5) for n in (0, 1, 2, 3, 4, 6)],
    *[(d, n) for d in (6, 7, 8, 9, 10, 11) for n in (1, 2, 3, 4)],
    *[(d, n) for d in (12, 16, 17) for n in (1, 2, 3)],
    *[(d, n) for d in (33, 70) for n in (1, 2)],
    (1, 40),
    (2, 12),
]


def random_paths(rng: np.random.Generator, *shape: int, dtype: object = np.float64) -> np.ndarray:
    """Random walks whose total size does not grow with their length."""
    steps = rng.standard_normal(shape) / math.sqrt(max(shape[-2], 1))
    return np.cumsum(steps, axis=-2).astype(dtype)
