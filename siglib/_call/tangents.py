"""Exact derivatives along a direction, of every operation that is a polynomial, from a few of its values.

If f is a polynomial of degree at most n and e[0], e[1], ... are m = ceil(n / 2) numbers, there are weights w with

    d/dt f(x + t u) at 0  =  sum over k of w[k] (f(x + e[k] u) - f(x - e[k] u)) / 2.

At the positive Chebyshev nodes the weights are small: this is no difference quotient, nothing tends to 0, and rounding
grows by the sum of their sizes only (7.4 for degree 8). For that the direction must be about as large as x. So u is
scaled, by a power of two for each path: of a path its range counts, not its length, and of a vector each level as the
power of the path that it is (`Polynomial`). Translations, which have no effect, are taken off first.

All of it is arithmetic that NumPy, CuPy and PyTorch have in common, with one call of the operation for all nodes; so it
can be differentiated itself. The gradient of a polynomial is one, too: `backprop_tangent` is its derivative along a
direction, of one degree less, with which gradients have gradients.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .._tables.grades import Grade, Polynomial
from .tracing import constant

# All nodes of a call go together if the arrays of all of them have at most so many numbers; else two by two.
_TOGETHER = 2**22
# How large directions are where there is nothing to compare with and only linear parts count. Powers of it, as high
# as degrees may reach, are numbers of float32.
_TINY = 2.0**-24
_LARGEST_EXPONENT = 100

Array = Any
Call = Callable[[list[Array | None]], tuple[Array | None, ...]]


@lru_cache(maxsize=64)
def nodes(degree: int) -> tuple[tuple[float, float], ...]:
    """Nodes and weights for polynomials of this degree."""
    m = max((degree + 1) // 2, 1)
    if m == 1:
        return ((1.0, 1.0),)
    e = [math.cos((2 * k + 1) * math.pi / (4 * m)) for k in range(m)]
    # w[k] e[k] is the Lagrange polynomial of the squares, at 0.
    squares = [x * x for x in e]
    return tuple(
        (x, math.prod(s / (s - own) for s in squares if s != own) / x) for x, own in zip(e, squares, strict=True)
    )


def tangent(xp: Any, polynomial: Polynomial, call: Call, arrays: list[Array], directions: list[Array]) -> Array:
    """Derivative of `call(arrays)[0]` along directions, None for arrays that stay where they are.

    `call` computes many at once: the arrays that it is given have one more axis in front, but those that are no batch.
    """
    return _derivative(xp, polynomial, polynomial.degree, polynomial.weight, True, call, arrays, directions)[0]


def backprop_tangent(
    xp: Any,
    polynomial: Polynomial,
    call: Callable[[Array, list[Array | None]], tuple[Array | None, ...]],
    derivs: Array,
    arrays: list[Array],
    directions: list[Array],
    wanted: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """Derivatives of the gradients `call(derivs, arrays)` along directions of the arrays; `derivs` stay."""
    if polynomial.degree < 2:
        return tuple(
            xp.zeros_like(a) if want and a is not None else None for a, want in zip(arrays, wanted, strict=True)
        )
    n = polynomial.n_linear
    if n:
        # What is linear has no second derivative, and may be large.
        derivs = xp.concatenate([xp.zeros_like(derivs[..., :n]), derivs[..., n:]], -1)

    def stacked_call(stacks: list[Array | None]) -> tuple[Array | None, ...]:
        return call(stacks[0], stacks[1:])

    degree, weight = polynomial.degree - 1, polynomial.weight - 1
    wanted_rows = [d is not None or want for d, want in zip(directions, wanted, strict=True)]
    grades = tuple(
        grade if not (grade.kind == "rows" and moves) else grade._replace(kind="all rows")
        for grade, moves in zip(polynomial.arrays, wanted_rows, strict=True)
    )
    whole = polynomial._replace(arrays=(Grade("fixed"), *grades))
    found = _derivative(xp, whole, degree, weight, n > 0, stacked_call, [derivs, *arrays], [None, *directions])
    return tuple(
        None if d is None or a is None else _summed_to(d, tuple(a.shape)) for d, a in zip(found, arrays, strict=True)
    )


def _derivative(
    xp: Any,
    polynomial: Polynomial,
    degree: int,
    weight: int,
    homogeneous: bool,
    call: Call,
    arrays: list[Array],
    directions: list[Array],
) -> tuple[Array | None, ...]:
    """Derivatives of all results of `call`. `homogeneous`: its value at 0 is 0, but for constants."""
    batch = _batch_of(polynomial, arrays)
    starts, moves = [], []
    for grade, array, direction in zip(polynomial.arrays, arrays, directions, strict=True):
        moved = direction is not None and array is not None
        if array is not None and (grade.kind == "all rows" or (grade.kind == "rows" and moved)):
            array = xp.broadcast_to(array, (*batch, _n_rows(polynomial, arrays), array.shape[-1]))
            direction = xp.broadcast_to(direction, array.shape) if moved else None
        if moved and degree == 1:
            # Where it is linear, where it starts does not matter.
            array = xp.zeros_like(array)
        elif moved and grade.kind == "path" and array.shape[-2] > 0:
            array, direction = array - array[..., :1, :], direction - direction[..., :1, :]
        starts.append(array)
        moves.append(direction if moved else None)
    kinds = [grade.kind for grade in polynomial.arrays]
    scale = _scale(xp, polynomial, weight, homogeneous, starts, moves)
    moves = [None if u is None else u * _spread(scale, u.ndim) for u in moves]
    found = nodes(degree)
    size = 2 * len(found) * sum(math.prod(a.shape) for a in starts if a is not None)
    groups = [found] if size <= _TOGETHER else [(pair,) for pair in found]
    sums: list[Any] = []
    for group in groups:
        places = [e for e, _ in group] + [-e for e, _ in group]
        stacks = [
            None
            if x is None
            else xp.stack([x + e * u for e in places], 0)
            if u is not None
            else x
            if kind == "rows"
            else xp.broadcast_to(x, (len(places), *x.shape))
            for kind, x, u in zip(kinds, starts, moves, strict=True)
        ]
        results = call(stacks)
        if not sums:
            sums = [None] * len(results)
        for i, result in enumerate(results):
            if result is not None:
                for k, (_, w) in enumerate(group):
                    term = (result[k] - result[len(group) + k]) * (0.5 * w)
                    sums[i] = term if sums[i] is None else sums[i] + term
    return tuple(None if s is None else s / _spread(scale, s.ndim) for s in sums)


# Scales


def _scale(
    xp: Any, polynomial: Polynomial, weight: int, homogeneous: bool, starts: list[Array], moves: list[Array]
) -> Array:
    """By which power of two directions are multiplied, for each path."""
    one = next(u for u in moves if u is not None)
    own: list[tuple[int, Array]] = []
    ours: list[tuple[int, Array]] = []
    for grade, x, u in zip(polynomial.arrays, starts, moves, strict=True):
        if u is not None and 0 not in u.shape:
            own += _sizes(xp, grade, x)
            ours += _sizes(xp, grade, u)
        elif x is not None and grade.kind in ("path", "vector") and 0 not in x.shape:
            own += _sizes(xp, grade, x)
    if not ours:
        return xp.ones_like(one[..., 0].sum(-1) if one.ndim > 1 else one.sum())
    size = xp.zeros_like(ours[0][1]) + polynomial.duration
    for k, s in own:
        size = xp.maximum(size, s ** (1.0 / k))
    fallback = _TINY if homogeneous and not polynomial.duration else 1.0
    logarithm = xp.log2(xp.where(size > 0, size, xp.zeros_like(size) + fallback))
    # What may be squared must not be larger than what is there; of the rest it does no harm.
    exponent = rest = xp.zeros_like(size) + math.inf
    for k, s in ours:
        room = k * logarithm - xp.log2(s)
        if 2 * k <= max(weight, 2):
            exponent = xp.minimum(exponent, room)
        else:
            rest = xp.minimum(rest, room)
    exponent = xp.where(xp.isfinite(exponent), exponent, rest)
    exponent = xp.where(xp.isfinite(exponent), exponent, xp.zeros_like(exponent))
    return xp.exp2(xp.clip(xp.round(exponent), -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def _sizes(xp: Any, grade: Grade, array: Array) -> list[tuple[int, Array]]:
    """The weights of all levels, and how large each is, for each path; what is not finite does not count."""
    array = constant(array)
    array = xp.where(xp.isfinite(array), array, xp.zeros_like(array))
    if grade.kind == "path":
        return [(1, xp.amax(xp.amax(array, -2) - xp.amin(array, -2), -1))]
    parts = [(k, array[..., i:j]) for k, i, j in grade.levels if i < j]
    if grade.kind == "vector":
        return [(k, xp.amax(xp.abs(part), -1)) for k, part in parts]
    return [(k, xp.amax(xp.amax(xp.abs(xp.cumsum(part, -2)), -1), -1)) for k, part in parts]


# Shapes


def _batch_of(polynomial: Polynomial, arrays: list[Array]) -> tuple[int, ...]:
    """The batch axes that all arrays have."""
    return next(
        tuple(array.shape[: -2 if grade.kind == "path" else -1])
        for grade, array in zip(polynomial.arrays, arrays, strict=True)
        if grade.kind in ("path", "vector")
    )


def _n_rows(polynomial: Polynomial, arrays: list[Array]) -> int:
    """Number of segments of the paths."""
    return next(
        array.shape[-2] - 1 for grade, array in zip(polynomial.arrays, arrays, strict=True) if grade.kind == "path"
    )


def _spread(scale: Array, n_axes: int) -> Array:
    """One number for each path, as an array of so many axes."""
    return scale.reshape((*scale.shape, *(1,) * (n_axes - scale.ndim)))


def _summed_to(array: Array, shape: tuple[int, ...]) -> Array:
    """The sum over the axes that `broadcast_to` made of `shape`."""
    while array.ndim > len(shape):
        array = array.sum(0)
    for axis, n in enumerate(shape):
        if n == 1 != array.shape[axis]:
            array = array.sum(axis)[(slice(None),) * axis + (None,)]
    return array
