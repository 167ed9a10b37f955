"""Exact derivatives along a direction, of every operation that is a polynomial, from a few of its values.

If f is a polynomial of degree at most n and e[0], e[1], ... are m = ceil(n / 2) numbers, there are weights w with

    d/dt f(x + t u) at 0  =  sum over k of w[k] (f(x + e[k] u) - f(x - e[k] u)) / 2.

At the positive Chebyshev nodes the weights are small: this is no difference quotient, nothing tends to 0, and rounding
grows by the sum of their sizes only (7.4 for degree 8). For that the direction must be about as large as x. So u is
scaled, by a power of two for each path: of a path its range counts, not its length, and of a vector each level as the
power of the path that it is (`Polynomial`). Translations, which have no effect, are taken off first.

All of it is arithmetic that NumPy, CuPy and PyTorch have in common, with one call of the operation for all nodes; so it
can be differentiated itself. The gradient of a polynomial is one, too: `backprop_tangent` is its derivative along a
direction, of one degree less, with which gradients have gradients. `both_tangents` takes both together.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._tables.grades import Grade, Polynomial
from . import tangent_paths
from .tangent_nodes import Node, nodes, nodes_of_both
from .tangent_scales import scale_of

# All nodes of a call go together if the arrays of all of them have at most so many numbers; else two by two.
_TOGETHER = 2**22

Array = Any
Call = Callable[[list[Array | None]], tuple[Array | None, ...]]


def tangent(xp: Any, polynomial: Polynomial, call: Call, arrays: list[Array], directions: list[Array]) -> Array:
    """Derivative of `call(arrays)[0]` along directions, None for arrays that stay where they are.

    `call` computes many at once: the arrays that it is given have one more axis in front, but those that are no batch.
    """
    if xp is np and tangent_paths.is_alone(polynomial, arrays, directions):
        rest = [None] * (len(arrays) - 1)
        return tangent_paths.derivatives(polynomial, arrays[0], directions[0], lambda stack: call([stack, *rest])[0])[0]
    degree, weight = polynomial.degree, polynomial.weight
    line = _line(xp, polynomial, weight, True, arrays, directions, linear=degree == 1)
    return _over_scale(xp, line, _sums(xp, line, nodes(degree), call))[0]


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
        return _no_gradients(xp, arrays, wanted)
    if xp is np and wanted[0] and tangent_paths.is_alone(polynomial, arrays, directions):
        rest = [None] * (len(arrays) - 1)

        def pull(seeds: Array, _: Array | None, stack: Array) -> Array:
            return call(seeds, [stack, *rest])[0]

        return tangent_paths.derivatives(polynomial, arrays[0], directions[0], None, pull, derivs)[1], *rest
    degree, weight, homogeneous = polynomial.degree - 1, polynomial.weight - 1, polynomial.n_linear > 0
    whole, values, moves = _with_derivs(xp, polynomial, derivs, arrays, directions, wanted)
    line = _line(xp, whole, weight, homogeneous, values, moves, linear=degree == 1)

    def gradients(stacks: list[Array | None]) -> tuple[Array | None, ...]:
        return call(stacks[0], stacks[1:])

    return _like(arrays, _over_scale(xp, line, _sums(xp, line, nodes(degree), gradients)))


def both_tangents(
    xp: Any,
    polynomial: Polynomial,
    call: Callable[[list[Array | None]], Array],
    backprop: Callable[[Array, Array, list[Array | None]], tuple[Array | None, ...]],
    derivs: Array,
    arrays: list[Array],
    directions: list[Array],
    wanted: tuple[bool, ...],
    known: Array | None = None,
) -> tuple[Array | None, ...]:
    """`tangent` of `call(arrays)`, and behind it `backprop_tangent` of `backprop(derivs, result, arrays)`.

    Gradients are computed where results are, which they may read. `known` is `call(arrays)`, if that is known.
    """
    if polynomial.degree < 2:
        first = tangent(xp, polynomial, lambda stacks: (call(stacks),), arrays, directions)
        return first, *_no_gradients(xp, arrays, wanted)
    if xp is np and wanted[0] and tangent_paths.is_alone(polynomial, arrays, directions):
        rest = [None] * (len(arrays) - 1)

        def run(stack: Array) -> Array:
            return call([stack, *rest])

        def pull(seeds: Array, out: Array, stack: Array) -> Array:
            return backprop(seeds, out, [stack, *rest])[0]

        return *tangent_paths.derivatives(polynomial, arrays[0], directions[0], run, pull, derivs, known), *rest
    weight, homogeneous = polynomial.weight, polynomial.n_linear > 0
    whole, values, moves = _with_derivs(xp, polynomial, derivs, arrays, directions, wanted)
    line = _line(xp, whole, weight, homogeneous, values, moves)

    def both(stacks: list[Array | None]) -> tuple[Array | None, ...]:
        out = call(stacks[1:])
        return out, *backprop(stacks[0], out, stacks[1:])

    shared, more = nodes_of_both(polynomial.degree)
    sums = _sums(xp, line, shared, both)
    if more:
        sums[0] = sums[0] + _sums(xp, line, more, lambda stacks: (call(stacks[1:]),))[0]
    first, *gradients = _over_scale(xp, line, sums)
    return first, *_like(arrays, gradients)


def _no_gradients(xp: Any, arrays: list[Array], wanted: tuple[bool, ...]) -> tuple[Array | None, ...]:
    return tuple(xp.zeros_like(a) if want and a is not None else None for a, want in zip(arrays, wanted, strict=True))


def _with_derivs(
    xp: Any,
    polynomial: Polynomial,
    derivs: Array,
    arrays: list[Array],
    directions: list[Array],
    wanted: tuple[bool, ...],
) -> tuple[Polynomial, list[Array], list[Array]]:
    """The gradient as a polynomial, its arrays and directions."""
    n = polynomial.n_linear
    if n:
        # What is linear has no second derivative, and may be large.
        derivs = xp.concatenate([xp.zeros_like(derivs[..., :n]), derivs[..., n:]], -1)
    wanted_rows = [d is not None or want for d, want in zip(directions, wanted, strict=True)]
    grades = tuple(
        grade if not (grade.kind == "rows" and moves) else grade._replace(kind="all rows")
        for grade, moves in zip(polynomial.arrays, wanted_rows, strict=True)
    )
    return polynomial._replace(arrays=(Grade("fixed"), *grades)), [derivs, *arrays], [None, *directions]


def _like(arrays: list[Array], found: Sequence[Array | None]) -> tuple[Array | None, ...]:
    return tuple(
        None if d is None or a is None else _summed_to(d, tuple(a.shape)) for d, a in zip(found, arrays, strict=True)
    )


class _Line(NamedTuple):
    """Kinds of arrays, where they start and how far they move to a node at 1; and by which scale that is too far."""

    kinds: list[str]
    starts: list[Array]
    moves: list[Array | None]
    scale: Array


def _line(
    xp: Any,
    polynomial: Polynomial,
    weight: int,
    homogeneous: bool,
    arrays: list[Array],
    directions: list[Array],
    *,
    linear: bool = False,
) -> _Line:
    """The arrays along directions. `homogeneous`: what is computed there is 0 at 0, but for constants."""
    batch = _batch_of(polynomial, arrays)
    starts, moves = [], []
    for grade, array, direction in zip(polynomial.arrays, arrays, directions, strict=True):
        moved = direction is not None and array is not None
        if array is not None and (grade.kind == "all rows" or (grade.kind == "rows" and moved)):
            array = xp.broadcast_to(array, (*batch, _n_rows(polynomial, arrays), array.shape[-1]))
            direction = xp.broadcast_to(direction, array.shape) if moved else None
        if moved and linear:
            # Where it is linear, where it starts does not matter.
            array = xp.zeros_like(array)
        elif moved and grade.kind == "path" and array.shape[-2] > 0:
            array, direction = array - array[..., :1, :], direction - direction[..., :1, :]
        starts.append(array)
        moves.append(direction if moved else None)
    scale = scale_of(xp, polynomial, weight, homogeneous, starts, moves)
    moves = [None if u is None else u * _spread(scale, u.ndim) for u in moves]
    return _Line([grade.kind for grade in polynomial.arrays], starts, moves, scale)


def _sums(xp: Any, line: _Line, found: tuple[Node, ...], call: Call) -> list[Any]:
    """The weighted sums of all results of `call`."""
    size = 2 * len(found) * sum(math.prod(a.shape) for a in line.starts if a is not None)
    groups = [found] if size <= _TOGETHER else [(node,) for node in found]
    n = len(groups[0])
    fixed = [_repeated(xp, *parts, n=2 * n) for parts in zip(line.kinds, line.starts, line.moves, strict=True)]
    sums: list[Any] = []
    for group in groups:
        results = call(
            [
                there if move is None else _stacked(xp, start, move, group)
                for there, start, move in zip(fixed, line.starts, line.moves, strict=True)
            ]
        )
        if not sums:
            sums = [None] * len(results)
        for i, result in enumerate(results):
            if result is not None:
                for k, node in enumerate(group):
                    weight = 0.5 * (node.of_gradients if i else node.weight)
                    sums[i] = _added(xp, sums[i], result[k] - result[n + k], weight)
    return sums


# NumPy works in place: new memory takes longer than the arithmetic


def _repeated(xp: Any, kind: str, start: Array, move: Array | None, n: int) -> Array:
    """An array that stays where it is at `n` nodes."""
    if start is None or move is not None or kind == "rows":
        return start
    array = xp.broadcast_to(start, (n, *start.shape))
    return np.ascontiguousarray(array) if xp is np else array


def _stacked(xp: Any, start: Array, move: Array, group: tuple[Node, ...]) -> Array:
    """An array at all nodes: first those ahead, then those behind."""
    if xp is not np:
        steps = [node.e * move for node in group]
        return xp.stack([start + step for step in steps] + [start - step for step in steps], 0)
    n = len(group)
    out = np.empty((2 * n, *start.shape), start.dtype)
    for k, node in enumerate(group):
        step = np.multiply(move, node.e, out=out[n + k, ...])
        np.add(start, step, out=out[k, ...])
        np.subtract(start, step, out=step)
    return out


def _added(xp: Any, total: Array | None, change: Array, weight: float) -> Array:
    if xp is not np:
        change = change * weight
        return change if total is None else total + change
    change *= weight
    if total is None:
        return change
    total += change
    return total


def _over_scale(xp: Any, line: _Line, sums: list[Any]) -> list[Any]:
    if xp is not np:
        return [None if s is None else s / _spread(line.scale, s.ndim) for s in sums]
    for i, s in enumerate(sums):
        if s is not None:
            s /= _spread(line.scale, s.ndim)
            sums[i] = s  # one number is a new one
    return sums


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
        max(array.shape[-2] - 1, 0)
        for grade, array in zip(polynomial.arrays, arrays, strict=True)
        if grade.kind == "path"
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
