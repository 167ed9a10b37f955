"""How far `tangents.py` goes along a direction: about as far as arrays are large, by a power of two for each path."""

import math
from typing import Any

import numpy as np

from .._tables.grades import Grade, Polynomial
from .libraries import Array
from .tracing import constant

# How large directions are where there is nothing to compare with and only linear parts count. Powers of it, as high
# as degrees may reach, are numbers of float32.
TINY = 2.0**-24
_LARGEST_EXPONENT = 100


def scale_of(
    xp: Any, polynomial: Polynomial, weight: int, homogeneous: bool, starts: list[Array], moves: list[Array]
) -> Array:
    """By which power of two directions are multiplied, for each path."""
    one = next(u for u in moves if u is not None)
    own: list[tuple[int, Array]] = []
    ours: list[tuple[int, Array]] = []
    for grade, x, u in zip(polynomial.arrays, starts, moves, strict=True):
        if u is not None and 0 not in u.shape:
            own += _sizes(xp, grade, x, polynomial.together)
            ours += _sizes(xp, grade, u, polynomial.together)
        elif x is not None and grade.kind in ("path", "vector") and 0 not in x.shape:
            own += _sizes(xp, grade, x, polynomial.together)
    if not ours:
        return xp.ones_like(one[..., 0].sum(-1) if one.ndim > 1 else one.sum())
    zero = xp.zeros_like(ours[0][1])
    size = zero + polynomial.duration
    for k, s in own:
        size = xp.maximum(size, s ** (1.0 / k))
    fallback = TINY if homogeneous and not polynomial.duration else 1.0
    logarithm = xp.log2(xp.where(size > 0, size, zero + fallback))
    # What may be squared must not be larger than what is there; of the rest it does no harm.
    exponent = rest = zero + math.inf
    for k, s in ours:
        room = k * logarithm - xp.log2(s)
        if 2 * k <= max(weight, 2):
            exponent = xp.minimum(exponent, room)
        else:
            rest = xp.minimum(rest, room)
    exponent = xp.where(xp.isfinite(exponent), exponent, rest)
    exponent = xp.where(xp.isfinite(exponent), exponent, zero)
    return xp.exp2(xp.clip(xp.round(exponent), -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def _sizes(xp: Any, grade: Grade, array: Array, together: bool) -> list[tuple[int, Array]]:
    """The weights of all levels, and how large each is, for each path; what is not finite does not count."""
    array = constant(array)
    if grade.kind == "path":
        if together:
            # These may be points of many paths.
            array = _finite(xp, array)
        axis = -2
        if xp is np:
            # Channels in rows take a tenth of the time there. Torch's older vmap has no rule for that.
            array, axis = np.ascontiguousarray(np.swapaxes(array, -2, -1)), -1
        return [(1, xp.amax(_finite(xp, xp.amax(array, axis) - xp.amin(array, axis)), -1))]
    array = _finite(xp, array)
    # Torch's older vmap cannot slice off nothing.
    n = array.shape[-1]
    parts = [(k, array if j - i == n else array[..., i:j]) for k, i, j in grade.levels if i < j]
    if grade.kind == "vector":
        return [(k, xp.amax(xp.abs(part), -1)) for k, part in parts]
    return [(k, xp.amax(xp.amax(xp.abs(xp.cumsum(part, -2)), -1), -1)) for k, part in parts]


def _finite(xp: Any, array: Array) -> Array:
    """What is finite, and else 0."""
    return xp.where(xp.isfinite(array), array, xp.zeros_like(array))
