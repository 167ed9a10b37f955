"""Definitions in plain NumPy: slow, and meant to be obviously right. Nothing here uses siglib.

A tensor is a list of levels: `levels[k]` has shape (..., d**k), words in lexicographic order, level 0 the scalar
term. Flat arrays hold the levels one after another along the last axis, with or without level 0. Leading axes are
batch axes.
"""

import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np

Levels = list[np.ndarray]
Word = tuple[int, ...]

# Tensors


def to_levels(flat: np.ndarray, d: int, degree: int, scalar: float) -> Levels:
    """Levels of flat tensors that do not store their scalar term; `scalar` becomes level 0."""
    flat = np.asarray(flat, np.float64)
    levels, start = [np.full((*flat.shape[:-1], 1), float(scalar))], 0
    for k in range(1, degree + 1):
        levels.append(flat[..., start : start + d**k])
        start += d**k
    assert start == flat.shape[-1]
    return levels


def to_flat(levels: Levels, scalar_term: bool = False) -> np.ndarray:
    """One flat array; the scalar term is stored only if asked for."""
    return np.concatenate([levels[0][..., :0], *levels[0 if scalar_term else 1 :]], axis=-1)


def unit(like: Levels) -> Levels:
    """1 on the empty word, 0 on all others."""
    return [np.full_like(level, float(k == 0)) for k, level in enumerate(like)]


def outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All products a[u] b[v], in the order of the words u v."""
    product = a[..., :, None] * b[..., None, :]
    return product.reshape(*product.shape[:-2], product.shape[-2] * product.shape[-1])


def tensor_product(a: Levels, b: Levels) -> Levels:
    """(a (x) b)_n = sum over k of a_k (x) b_{n-k}."""
    return [sum(outer(a[k], b[n - k]) for k in range(n + 1)) for n in range(len(a))]


def exp(a: Levels) -> Levels:
    """1 + a + a (x) a / 2! + ..., for a without scalar term."""
    total = power = unit(a)
    for k in range(1, len(a)):
        power = [level / k for level in tensor_product(power, a)]
        total = [x + y for x, y in zip(total, power, strict=True)]
    return total


def log(s: Levels) -> Levels:
    """(s - 1) - (s - 1)^2 / 2 + (s - 1)^3 / 3 - ..., for s with scalar term 1."""
    power = unit(s)
    rest = [x - y for x, y in zip(s, power, strict=True)]
    total = [np.zeros_like(level) for level in s]
    for k in range(1, len(s)):
        power = tensor_product(power, rest)
        total = [x - (-1) ** k / k * y for x, y in zip(total, power, strict=True)]
    return total


def tensor_exp(flat: np.ndarray, d: int, degree: int) -> np.ndarray:
    """`exp` of flat tensors without scalar term."""
    return to_flat(exp(to_levels(flat, d, degree, 0.0)))


def tensor_log(flat: np.ndarray, d: int, degree: int) -> np.ndarray:
    """`log` of flat signatures without scalar term."""
    return to_flat(log(to_levels(flat, d, degree, 1.0)))


def combine(flat1: np.ndarray, flat2: np.ndarray, d: int, degree: int) -> np.ndarray:
    """Product of flat signatures without scalar terms."""
    return to_flat(tensor_product(to_levels(flat1, d, degree, 1.0), to_levels(flat2, d, degree, 1.0)))


def combine_gradients(
    derivs: np.ndarray, flat1: np.ndarray, flat2: np.ndarray, d: int, degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of sum(derivs * combine(flat1, flat2)): flat1[u] * flat2[v] is one term of the word u v."""
    a, b, g = (to_levels(flat, d, degree, 1.0) for flat in (flat1, flat2, derivs))
    a_derivs, b_derivs = ([np.zeros_like(level) for level in g] for _ in range(2))
    for m in range(degree + 1):
        for n in range(degree + 1 - m):
            matrix = g[m + n].reshape(*g[m + n].shape[:-1], d**m, d**n)
            a_derivs[m] += np.einsum("...uv,...v->...u", matrix, b[n])
            b_derivs[n] += np.einsum("...uv,...u->...v", matrix, a[m])
    return to_flat(a_derivs), to_flat(b_derivs)


# Paths


def transform_path(
    path: np.ndarray, time_aug: bool = False, lead_lag: bool = False, end_time: float = 1.0
) -> np.ndarray:
    """Lead-lag: row r is (x[r // 2], x[(r + 1) // 2]). Time: a last channel that grows evenly from 0 to end_time."""
    path = np.asarray(path, np.float64)
    if lead_lag:
        r = np.arange(max(2 * path.shape[-2] - 1, 0))
        path = np.concatenate([path[..., r // 2, :], path[..., (r + 1) // 2, :]], axis=-1)
    if time_aug:
        n = path.shape[-2]
        time = np.arange(n) * end_time / max(n - 1, 1)
        path = np.concatenate([path, np.broadcast_to(time[:, None], (*path.shape[:-1], 1))], axis=-1)
    return path


def transform_path_gradient(
    derivs: np.ndarray, time_aug: bool = False, lead_lag: bool = False, end_time: float = 1.0
) -> np.ndarray:
    """Gradient of sum(derivs * transform_path(path)): each point collects the cotangents of its copies."""
    derivs = np.asarray(derivs, np.float64)
    derivs = derivs[..., : derivs.shape[-1] - time_aug]
    if not lead_lag:
        return derivs
    d = derivs.shape[-1] // 2
    gradient = np.zeros((*derivs.shape[:-2], (derivs.shape[-2] + 1) // 2, d))
    for r in range(derivs.shape[-2]):
        gradient[..., r // 2, :] += derivs[..., r, :d]
        gradient[..., (r + 1) // 2, :] += derivs[..., r, d:]
    return gradient


def _segment(increment: np.ndarray, degree: int) -> Levels:
    """Signature of a straight line: increment^{(x) k} / k!."""
    levels = [np.ones((*increment.shape[:-1], 1))]
    for k in range(1, degree + 1):
        levels.append(outer(levels[-1], increment) / k)
    return levels


def signature(
    path: np.ndarray,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
) -> np.ndarray:
    """Product of the signatures of the segments; `path` (..., length, dimension)."""
    points = transform_path(path, time_aug, lead_lag, end_time)
    total = unit(_segment(np.zeros((*points.shape[:-2], points.shape[-1])), degree))
    for row in range(points.shape[-2] - 1):
        total = tensor_product(total, _segment(points[..., row + 1, :] - points[..., row, :], degree))
    return to_flat(total, scalar_term)


def signature_gradient(
    path: np.ndarray,
    derivs: np.ndarray,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
) -> np.ndarray:
    """Gradient of sum(derivs * signature(path)), exact; `path` (batch, length, dimension), no scalar term in `derivs`.

    The signature is before (x) segment (x) after for each segment, and the derivative of a segment along the letter i
    is the sum over k of 1 / k! times all products of k - 1 increments and one letter i.
    """
    points = transform_path(path, time_aug, lead_lag, end_time)
    batch, length, d = points.shape
    increments = np.diff(points, axis=1)
    gradient = np.zeros(points.shape)
    if length < 2 or degree < 1:
        return transform_path_gradient(gradient, time_aug, lead_lag)
    start = unit(_segment(np.zeros((batch, d)), degree))
    before, after = [start], [start]
    for row in range(length - 2):
        before.append(tensor_product(before[-1], _segment(increments[:, row], degree)))
        after.append(tensor_product(_segment(increments[:, length - 2 - row], degree), after[-1]))
    after.reverse()
    for b in range(batch):  # one path at a time, all its segments (axis 0) and letters (axis 1) at once
        x = increments[b][:, None, :]
        segment = _segment(x, degree)
        # segment_{k+1} = segment_k (x) x / (k + 1), so it moves with segment_k and with the last x.
        moved = [np.zeros((length - 1, d, 1))]
        for k in range(degree):
            moved.append((outer(moved[-1], x) + outer(segment[k], np.eye(d)[None])) / (k + 1))
        first = [np.stack([levels[k][b] for levels in before])[:, None] for k in range(degree + 1)]
        last = [np.stack([levels[k][b] for levels in after])[:, None] for k in range(degree + 1)]
        moved_signature = to_flat(tensor_product(tensor_product(first, moved), last))
        increment_gradient = moved_signature @ derivs[b]
        gradient[b, 1:] += increment_gradient
        gradient[b, :-1] -= increment_gradient
    return transform_path_gradient(gradient, time_aug, lead_lag)


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
