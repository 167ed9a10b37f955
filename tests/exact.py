"""Log-signatures in exact arithmetic, from the definition. Nothing here uses siglib.

A path has integer points. Level n of its log-signature is a sum of products of n increments with rational coefficients:
scaling a path by s multiplies it by s**n. So the exact values of any path of floats follow from one of integers.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import reference

Levels = list[np.ndarray]


def _product(a: Levels, b: Levels) -> Levels:
    """Levels 1, 2, ... of a product, of tensors that begin at level 1."""
    out = [np.full(level.shape, Fraction(0)) for level in a]
    for i, u in enumerate(a):
        for j in range(len(a) - 1 - i):
            out[i + j + 1] = out[i + j + 1] + np.multiply.outer(u, b[j]).ravel()
    return out


def _plus(*tensors: Levels) -> Levels:
    return [sum(levels[1:], levels[0]) for levels in zip(*tensors, strict=True)]


def log_signature(path: np.ndarray, degree: int) -> Levels:
    """Levels 1 to `degree` of the logarithm of the signature, as fractions; `path` (length, dimension), integers."""
    total: Levels | None = None
    for increment in np.diff(path, axis=0):
        x = np.array([Fraction(int(v)) for v in increment], object)
        segment = [x]
        for n in range(2, degree + 1):
            segment.append(np.multiply.outer(segment[-1], x).ravel() / n)
        total = segment if total is None else _plus(total, segment, _product(total, segment))
    assert total is not None
    log = power = total
    for k in range(2, degree + 1):
        power = _product(power, total)
        log = _plus(log, [level * Fraction((-1) ** (k - 1), k) for level in power])
    return log


@lru_cache(maxsize=16)
def _basis(d: int, degree: int) -> tuple[list[list[int]], list[np.ndarray]]:
    """For each level the positions of the Lyndon words, and the rows of P."""
    lyndon = reference.lyndon_words(d, degree)
    projection = reference.lyndon_projection(d, degree)
    places, rows, first = [], [], 0
    for n in range(1, degree + 1):
        words = [word for word in lyndon if len(word) == n]
        places.append([sum(letter * d**i for i, letter in enumerate(reversed(word))) for word in words])
        rows.append(projection[first : first + len(words), first : first + len(words)])
        first += len(words)
    return places, rows


def in_coordinates(log: Levels, d: int, method: int) -> Levels:
    """What `method` shows of each level, in floats that are right to rounding."""
    if method == 0:
        return [level.astype(float) for level in log]
    found = []
    for level, places, rows in zip(log, *_basis(d, len(log)), strict=True):
        values = list(level[places])
        if method > 1:
            for i, row in enumerate(rows):
                for j in np.flatnonzero(row[:i]):
                    values[i] -= int(row[j]) * values[j]
        found.append(np.array(values, float))
    return found


def errors(found: np.ndarray, exact: Levels) -> list[float]:
    """The largest error of each level, relative to its largest entry."""
    bounds = np.cumsum([0, *map(len, exact)])
    return [
        float(np.abs(found[a:b].astype(float) - level).max() / np.abs(level).max())
        for a, b, level in zip(bounds, bounds[1:], exact, strict=False)
    ]
