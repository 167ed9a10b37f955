"""Definitions in plain NumPy: slow, and meant to be obviously right. Nothing here uses siglib.

A tensor is a list of levels: `levels[k]` has shape (d,) * k, level 0 is a number. Flat arrays hold the levels one after
another in lexicographic order of words, with or without the scalar level 0.
"""

import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np

Levels = list[np.ndarray]
Word = tuple[int, ...]

# Tensors


def to_levels(flat: np.ndarray, d: int, degree: int, scalar: float) -> Levels:
    """Levels of one flat tensor that does not store its scalar term; `scalar` becomes level 0."""
    levels, start = [np.array(float(scalar))], 0
    for k in range(1, degree + 1):
        levels.append(np.asarray(flat[start : start + d**k], np.float64).reshape((d,) * k))
        start += d**k
    assert start == len(flat)
    return levels


def to_flat(levels: Levels, scalar_term: bool = False) -> np.ndarray:
    """One flat array; the scalar term is stored only if asked for."""
    parts = [level.reshape(-1) for level in levels[0 if scalar_term else 1 :]]
    return np.concatenate(parts) if parts else np.zeros(0)


def one(d: int, degree: int) -> Levels:
    """The unit: 1 on the empty word."""
    return [np.ones(()) if k == 0 else np.zeros((d,) * k) for k in range(degree + 1)]


def tensor_product(a: Levels, b: Levels) -> Levels:
    """(a (x) b)_n = sum over k of a_k (x) b_{n-k}."""
    return [sum(np.multiply.outer(a[k], b[n - k]) for k in range(n + 1)) for n in range(len(a))]


def exp(a: Levels) -> Levels:
    """1 + a + a (x) a / 2! + ..., for a without scalar term."""
    d, degree = _dimension(a), len(a) - 1
    total = power = one(d, degree)
    for k in range(1, degree + 1):
        power = [level / k for level in tensor_product(power, a)]
        total = [x + y for x, y in zip(total, power, strict=True)]
    return total


def log(s: Levels) -> Levels:
    """(s - 1) - (s - 1)^2 / 2 + (s - 1)^3 / 3 - ..., for s with scalar term 1."""
    d, degree = _dimension(s), len(s) - 1
    rest = [np.zeros(()), *s[1:]]
    power = one(d, degree)
    total = [np.zeros_like(level) for level in power]
    for k in range(1, degree + 1):
        power = tensor_product(power, rest)
        total = [x - (-1) ** k / k * y for x, y in zip(total, power, strict=True)]
    return total


def _dimension(a: Levels) -> int:
    return a[1].shape[0] if len(a) > 1 else 0


def tensor_exp(flat: np.ndarray, d: int, degree: int) -> np.ndarray:
    """`exp` of one flat tensor without scalar term."""
    return to_flat(exp(to_levels(flat, d, degree, 0.0)))


def tensor_log(flat: np.ndarray, d: int, degree: int) -> np.ndarray:
    """`log` of one flat signature without scalar term."""
    return to_flat(log(to_levels(flat, d, degree, 1.0)))


def combine(flat1: np.ndarray, flat2: np.ndarray, d: int, degree: int) -> np.ndarray:
    """Product of two flat signatures without scalar terms."""
    return to_flat(tensor_product(to_levels(flat1, d, degree, 1.0), to_levels(flat2, d, degree, 1.0)))


# Paths


def transform_path(
    path: np.ndarray, time_aug: bool = False, lead_lag: bool = False, end_time: float = 1.0
) -> np.ndarray:
    """Lead-lag: row r is (x[r // 2], x[(r + 1) // 2]). Time: a last channel that grows evenly from 0 to end_time."""
    rows = [np.asarray(row, np.float64) for row in path]
    if lead_lag:
        rows = [np.concatenate([rows[r // 2], rows[(r + 1) // 2]]) for r in range(2 * len(rows) - 1)]
    if time_aug:
        rows = [np.append(row, r * end_time / max(len(rows) - 1, 1)) for r, row in enumerate(rows)]
    width = (2 if lead_lag else 1) * path.shape[1] + time_aug
    return np.array(rows).reshape(len(rows), width)


def signature(
    path: np.ndarray,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
) -> np.ndarray:
    """Product of the exponentials of the increments; `path` (..., length, dimension)."""
    path = np.asarray(path, np.float64)
    if path.ndim > 2:
        options = {"time_aug": time_aug, "lead_lag": lead_lag, "end_time": end_time, "scalar_term": scalar_term}
        results = [signature(element, degree, **options) for element in path.reshape(-1, *path.shape[-2:])]
        width = len(signature(np.zeros((1, path.shape[-1])), degree, **options))
        return np.array(results).reshape(*path.shape[:-2], width)
    points = transform_path(path, time_aug, lead_lag, end_time)
    d = points.shape[1]
    total = one(d, degree)
    for increment in np.diff(points, axis=0):
        levels = [np.zeros((d,) * k) for k in range(degree + 1)]
        if degree >= 1:
            levels[1] = increment
        total = tensor_product(total, exp(levels))
    return to_flat(total, scalar_term)


def iterated_integral(path: np.ndarray, word: Word) -> float:
    """Integral of dx^{w_1} ... dx^{w_k} over t_1 < ... < t_k.

    A sum over the segments l_1 <= ... <= l_k that the times fall in: within a segment the path moves evenly, so r
    times in one segment contribute the volume 1 / r! of their simplex.
    """
    increments = np.diff(np.asarray(path, np.float64), axis=0)
    total = 0.0
    for segments in itertools.combinations_with_replacement(range(len(increments)), len(word)):
        volume = math.prod(math.factorial(segments.count(s)) for s in set(segments))
        total += math.prod(increments[s, letter] for s, letter in zip(segments, word, strict=True)) / volume
    return total


# Words


def words_of_length(d: int, length: int) -> list[Word]:
    """All words of this length, lexicographic."""
    return [()] if length == 0 else [(*word, letter) for word in words_of_length(d, length - 1) for letter in range(d)]


def words(d: int, degree: int) -> list[Word]:
    """All words of length 0 to `degree`: the order of a signature with scalar term."""
    return [word for k in range(degree + 1) for word in words_of_length(d, k)]


def is_lyndon(word: Word) -> bool:
    """Strictly smaller than each of its proper rotations (and not empty)."""
    return bool(word) and all(word < word[i:] + word[:i] for i in range(1, len(word)))


def lyndon_words(d: int, degree: int) -> list[Word]:
    """Lyndon words by length, then lexicographic."""
    return [word for word in words(d, degree) if is_lyndon(word)]


def standard_factors(word: Word) -> tuple[Word, Word]:
    """(u, v): v is the longest proper suffix of the Lyndon word that is Lyndon itself."""
    for i in range(1, len(word)):
        if is_lyndon(word[i:]):
            return word[:i], word[i:]
    raise ValueError(word)


def bracket(word: Word, d: int) -> np.ndarray:
    """The Lie bracket of a Lyndon word, shape (d,) * len(word): e_i for a letter, else that of its standard factors."""
    if len(word) == 1:
        return np.eye(d)[word[0]]
    u, v = (bracket(factor, d) for factor in standard_factors(word))
    return np.multiply.outer(u, v) - np.multiply.outer(v, u)


def lyndon_projection(d: int, degree: int) -> np.ndarray:
    """P[i, j] = coefficient of Lyndon word i in the bracket of Lyndon word j.

    So the coefficients of a Lie element at the Lyndon words are P times its coordinates in the basis of brackets.
    """
    lyndon = lyndon_words(d, degree)
    projection = np.zeros((len(lyndon), len(lyndon)))
    for j, word in enumerate(lyndon):
        coefficients = bracket(word, d)
        for i, other in enumerate(lyndon):
            if len(other) == len(word):
                projection[i, j] = coefficients[other]
    return projection


def shuffles(u: Word, v: Word) -> list[Word]:
    """All interleavings of two words, with repetitions: S(u) S(v) = sum of S over them."""
    results = []
    for places in itertools.combinations(range(len(u) + len(v)), len(u)):
        letters_u, letters_v = iter(u), iter(v)
        results.append(tuple(next(letters_u) if i in places else next(letters_v) for i in range(len(u) + len(v))))
    return results


# Derivatives


def numeric_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of a scalar function, one entry at a time."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (f(up) - f(down)) / (2 * step)
    return gradient


def directional_derivative(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, direction: np.ndarray, step: float = 1e-5
) -> np.ndarray:
    """Central difference of an array-valued function along `direction`."""
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


def concatenate(paths: Iterable[np.ndarray]) -> np.ndarray:
    """One path that runs through the given ones in turn, each moved to start where the last one ended."""
    first, *others = (np.asarray(path, np.float64) for path in paths)
    for path in others:
        first = np.concatenate([first, first[-1] + path[1:] - path[0]])
    return first
