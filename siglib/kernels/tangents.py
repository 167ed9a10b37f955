"""Derivatives of signature kernels, and of their gradients, along directions.

Kernels are no polynomials of the paths, but functions that powers approach fast: the sum of `_call/tangents.py` is
their derivative but for an error that falls with the power 8 of how far the paths move. So directions are scaled down
until a kernel changes by a quarter of itself at most, and all of it is done in float64.

How much a kernel changes is estimated from lengths. Let a path have the length V as its static kernel measures it, and
a direction U: double increments change by U V in all, and no kernel by a larger part of itself, as a rule.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .._call.formats import as_double
from .._call.libraries import Array
from .._call.tangent_nodes import nodes
from .._call.tracing import constant
from .static_kernels import LINEAR, MATERN12, MATERN32, MATERN52, POLYNOMIAL, RATIONAL_QUADRATIC, RBF

# As many nodes as for polynomials of this degree, and by which part of itself a kernel may change.
_DEGREE = 8
_CHANGE = 0.25
# Of all nodes together, if their paths have at most so many numbers; else one by one.
_TOGETHER = 2**22
# Where points coincide, only so many derivatives of these kernels of points are continuous. Nodes at such a part of
# sigma balance the error that comes of it against rounding.
_KINKS = {MATERN32: 2.0**-24, MATERN52: 2.0**-10}
_LARGEST_EXPONENT = 100


class NoDerivativesError(RuntimeError, ValueError):
    """An error in what was asked for, of the kind that torch raises where there is no derivative."""


def check(name: str, o: Any) -> None:
    """The error for static kernels that have no such derivatives."""
    if o.given is not None:
        raise NoDerivativesError(
            f"second derivatives of siglib.{name}, and those along directions, are not implemented for static kernels "
            "written in Python"
        )
    if o.static_kernel == MATERN12:
        raise NoDerivativesError(
            f"siglib.{name} with Matern12Kernel has no second derivatives, nor any along directions, since that kernel "
            "has a kink where points coincide: take Matern32Kernel or a smoother one"
        )


class Move(NamedTuple):
    """Paths of a call in float64, and how they and the parameters move: None for what stays."""

    x: Array
    y: Array
    numbers: Any
    u: Array | None
    v: Array | None
    w: Array | None


def moved(o: Any, pairwise: bool, arrays: Any, directions: Any) -> Move:
    """What moves, in float64. Paths that are the same move as one."""
    x, y, numbers = arrays
    u, v, w = directions
    x, y = as_double(x), as_double(y)
    u, v = (None if direction is None else as_double(direction) for direction in (u, v))
    # Where paths start does not matter to most kernels, and digits that it takes are lost.
    if o.static_kernel == LINEAR:
        x, y = (path - constant(path[..., :1, :]) if path.shape[-2] else path for path in (x, y))
    elif o.static_kernel != POLYNOMIAL and 0 not in x.shape:
        start = constant(x[..., :1, :] if pairwise else x.reshape(-1, x.shape[-1])[:1])
        x, y = x - start, y - start
    if o.same:
        u = v if u is None else u
        return Move(x, x, numbers, u, u, w)
    return Move(x, y, numbers, u, v, w)


def weighted_sum(xp: Any, move: Move, scale: Array, together: bool, call: Callable[..., Any]) -> list[Any]:
    """Derivatives of what `call(n, x, y, numbers)` gives, some of which may be None.

    If `together`, it takes `n` nodes at once, with an axis for them in front of all but the numbers; else one, and `n`
    is 0.
    """
    pairs = nodes(_DEGREE)
    places = [sign * node.e for node in pairs for sign in (1.0, -1.0)]
    x, y, numbers, u, v, w = move
    together = together and 2 * len(pairs) * (math.prod(x.shape) + math.prod(y.shape)) <= _TOGETHER

    def at(array: Any, direction: Any, e: float) -> Any:
        if direction is None:
            return array
        return array + e * direction * _spread(scale, direction.ndim)

    same = y is x
    results: list[Any] = []
    if together:
        stack_x = xp.stack([at(x, u, e) for e in places], 0)
        stack_y = stack_x if same else xp.stack([at(y, v, e) for e in places], 0)
        found = call(len(places), stack_x, stack_y, numbers)
        results = [[None if part is None else part[k] for part in found] for k in range(len(places))]
    else:
        for e in places:
            at_x = at(x, u, e)
            results.append(call(0, at_x, at_x if same else at(y, v, e), at(numbers, w, e)))
    sums: list[Any] = []
    for i, first in enumerate(results[0]):
        if first is None:
            sums.append(None)
            continue
        total = sum(0.5 * node.weight * (results[2 * k][i] - results[2 * k + 1][i]) for k, node in enumerate(pairs))
        sums.append(total / _spread(scale, total.ndim))
    return sums


# How far to go


class _Extent(NamedTuple):
    """Of each path, or the largest of them: its length, that of its direction, and how far points and directions are
    from 0.
    """

    length: Array
    move: Array
    size: Array
    step: Array


def scale_of(xp: Any, o: Any, move: Move, uniform: bool, lower: Callable[..., list[Array]] | None = None) -> Array:
    """A power of two for each pair of paths, or one for all: what directions are multiplied by.

    `lower(x, numbers)`, for branched kernels, are those of lower depths of each path with itself.
    """
    x, y, numbers, u, v, w = (part if type(part) is tuple else constant(part) for part in move)
    first, second = (_extent(xp, o, *pair, uniform) for pair in ((x, u), (y, v)))
    factor, width, relative = _of_static_kernel(xp, o, first, second, numbers, w)
    vx, vy = factor * first.length, factor * second.length
    ux, uy = (factor * (part.move + 2 * part.step * part.length / width) for part in (first, second))
    linear, square = ux * vy + uy * vx, ux * uy
    if o.normalize:
        linear, square = linear + ux * vx + uy * vy, square + ux * ux + uy * uy
    if lower is not None:
        growth = _growth(
            xp, xp.maximum(vx, vy) ** 2, [_largest(xp, k, uniform) for p in (x, y) for k in lower(p, numbers)]
        )
        linear, square = linear * growth, square * growth
    step = first.step + second.step
    linear = linear + 4 * step / width + 4 * relative * (1 + vx * vy)
    largest = xp.maximum(linear / _CHANGE, xp.sqrt(square / _CHANGE))
    kink = _KINKS.get(o.static_kernel)
    if kink is not None:
        largest = xp.maximum(largest, step / (width * kink))
    exponent = -xp.ceil(xp.log2(xp.where(largest > 0, largest, xp.ones_like(largest))))
    exponent = xp.where(xp.isfinite(exponent), exponent, xp.zeros_like(exponent))
    return xp.exp2(xp.clip(exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def _extent(xp: Any, o: Any, path: Array, direction: Array | None, uniform: bool) -> _Extent:
    copies, duration = 1 + o.lead_lag, abs(o.end_time) if o.time_aug else 0.0
    length, size = copies * _length(xp, path) + duration, _size(xp, path)
    move, step = xp.zeros_like(length), xp.zeros_like(length)
    if direction is not None:
        move, step = copies * _length(xp, direction), _size(xp, direction)
    return _Extent(*[_largest(xp, part, uniform) for part in (length, move, size, step)])


def _length(xp: Any, path: Array) -> Array:
    steps = path[..., 1:, :] - path[..., :-1, :]
    return xp.sqrt((steps * steps).sum(-1)).sum(-1)


def _size(xp: Any, path: Array) -> Array:
    squares = (path * path).sum(-1)
    return xp.sqrt(xp.amax(squares, -1)) if path.shape[-2] else squares.sum(-1)


def _largest(xp: Any, numbers: Array, uniform: bool) -> Array:
    if not uniform or not numbers.ndim:
        return numbers
    # One path that is not finite must not spoil the scale of all.
    numbers = xp.where(xp.isfinite(numbers), numbers, xp.zeros_like(numbers))
    return xp.amax(numbers) if math.prod(numbers.shape) else numbers.sum()


def _growth(xp: Any, area: Array, lower: list[Array]) -> Array:
    """By how much more branched kernels change than kernels: log k is an integral of a kernel of one depth less.

    `lower` has those of depth 0, 1, and so on, of each path with itself.
    """
    depth = len(lower) // 2
    growth = xp.zeros_like(area)
    for k1, k2 in zip(lower[:depth], lower[depth:], strict=True):
        growth = xp.maximum(k1, k2) * (1 + area * growth)
    return growth


def _of_static_kernel(
    xp: Any, o: Any, first: _Extent, second: _Extent, numbers: Any, moves: Any
) -> tuple[Any, Any, Any]:
    """How long a path of length 1 is at most, how far points go until the kernel of points is another, and by which
    part of themselves parameters move.
    """
    a, b, c = numbers[0], numbers[1], numbers[2]
    da, db, dc = (0.0, 0.0, 0.0) if moves is None else (abs(moves[0]), abs(moves[1]), abs(moves[2]))
    kind = o.static_kernel
    if kind == LINEAR:
        return abs(a), math.inf, da / abs(a) if moves is not None else 0.0
    if kind == POLYNOMIAL:
        square = xp.maximum(first.size, second.size) ** 2
        base = square + abs(b)
        factor = (c * a * base ** (a - 2) * (base + abs(a - 1) * square)) ** 0.5
        width = base / ((a + 1) * square**0.5)
        return factor, width, da * (1 + abs(xp.log(base))) + a * db / base + dc / c
    width = (0.5 * a) ** 0.5 if kind == RBF else a
    factor = {MATERN32: 3.0, MATERN52: 5 / 3}.get(kind, 1.0) ** 0.5 / width
    if kind == RATIONAL_QUADRATIC:
        return factor, xp.minimum(width + 0 * first.size, width * (2 * b) ** 0.5), da / a + db / b
    return factor, width, da / a


def _spread(scale: Array, n_axes: int) -> Array:
    return scale.reshape((*scale.shape, *(1,) * (n_axes - scale.ndim)))
