"""Corrected signatures in plain NumPy, from their definition. Nothing here uses siglib."""

from typing import Any

import numpy as np
import reference


def width_of(dimension: int, m: int) -> int:
    """Numbers of a correction of levels 2..m."""
    return sum(dimension**q for q in range(2, m + 1))


def segments(path: np.ndarray, correction: np.ndarray, degree: int, **transform: Any) -> list[reference.Levels]:
    """x + c of every segment: x the increment, c the correction on words without time."""
    points = reference.transform_path(path, **transform)
    d, channels = path.shape[-1], points.shape[-1]
    n_rows = points.shape[-2] - 1
    rows = np.broadcast_to(correction, (*path.shape[:-2], n_rows, correction.shape[-1]))
    found = []
    for row in range(n_rows):
        levels = [np.zeros((*path.shape[:-2], channels**q)) for q in range(degree + 1)]
        levels[1] = points[..., row + 1, :] - points[..., row, :]
        start, q = 0, 2
        while start < correction.shape[-1]:
            numbers = rows[..., row, start : start + d**q].reshape(*path.shape[:-2], *[d] * q)
            padding = [(0, 0)] * (path.ndim - 2) + [(0, channels - d)] * q
            levels[q] = np.pad(numbers, padding).reshape(*path.shape[:-2], channels**q)
            start, q = start + d**q, q + 1
        found.append(levels)
    return found


def corrected_signature(path: np.ndarray, correction: np.ndarray, degree: int, **transform: Any) -> np.ndarray:
    """The product of exp(x + c) over the segments, without scalar term; `path` (..., length, dimension)."""
    path, correction = np.asarray(path, np.float64), np.asarray(correction, np.float64)
    parts = segments(path, correction, degree, **transform)
    total = reference.unit(parts[0])
    for levels in parts:
        total = reference.tensor_product(total, reference.exp(levels))
    return reference.to_flat(total)
