"""Paths with corrections that several test modules try."""

from typing import Any

import numpy as np
import pytest
from cases import random_paths
from reference_correction import width_of

# (dimension, degree, highest level of the correction): every specialised dimension, and more.
SIZES = [
    *[(1, 2, 2), (1, 5, 3), (2, 2, 2), (2, 3, 3), (2, 6, 2), (2, 6, 4), (3, 4, 2), (3, 4, 3), (4, 3, 2)],
    *[(5, 3, 2), (5, 4, 2), (5, 3, 3), (6, 3, 2), (6, 3, 3), (9, 2, 2)],
]
kinds = pytest.mark.parametrize("kind", ["one row", "rows", "rows of each path"])


def make(
    rng: np.random.Generator,
    size: tuple[int, int, int],
    kind: str,
    batch: tuple[int, ...],
    length: int,
    dtype: Any = float,
) -> tuple[np.ndarray, np.ndarray]:
    """Paths, and a correction of one of the three shapes."""
    d, _, m = size
    path = random_paths(rng, *batch, length, d, dtype=dtype)
    shape = {"one row": (), "rows": (length - 1,), "rows of each path": (*batch, length - 1)}[kind]
    correction = rng.standard_normal((*shape, width_of(d, m))) / (length * d**1.5)
    return path, correction.astype(dtype)
