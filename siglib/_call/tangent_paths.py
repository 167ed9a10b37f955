"""What `tangents.py` computes, for one path in main memory and nothing else that moves: most calls.

Loops make all points of a line, and sums of what is found there, in one pass each. Paths go in groups whose arrays stay
in the caches: new memory takes longer than the arithmetic. And fewer nodes are enough where it is known what an
operation is for the path, or which entries of the result are the top level: that of the direction alone gives the
highest power.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .._tables.grades import PATH, Polynomial
from .cpu_backends import numpy_backend
from .tangent_nodes import Node, beside_zero, nodes, nodes_of_both
from .tangent_scales import TINY

# Paths of a group have, at all nodes, about so many numbers, and gradients as many: that fits into the second-level
# cache, and malloc keeps it for the next group. Where there may be several threads, so many for each of some. Gradients
# at all nodes should fill the lanes.
_AT_ONCE = 2**15
_THREADS = 8
_BYTES_OF_LANES = 64

Array = Any


def is_alone(polynomial: Polynomial, arrays: list[Array], directions: list[Array]) -> bool:
    """Whether there is a path, which moves, and nothing else; with numbers, and no options for each path."""
    path, *rest = arrays
    return (
        not polynomial.together
        and polynomial.arrays[0] == PATH
        and directions[0] is not None
        and path.size > 0
        and all(array is None for array in rest)
    )


class _Plan(NamedTuple):
    """Nodes, how many of them, the first, are those of gradients, and weights as loops take them.

    `has_far`: the last node of gradients is the direction alone, where levels below the top one do not count.
    """

    nodes: np.ndarray
    n_gradients: int
    weights: np.ndarray
    of_gradients: np.ndarray
    has_far: bool = False


@lru_cache(maxsize=64)
def _plan(degree: int, has_far: bool, has_values: bool, has_gradients: bool, is_known: bool) -> _Plan:
    """For an operation of this degree and its gradients, at least one of which is wanted.

    `has_far`: levels are homogeneous, and entries of the top one known. `is_known`: what the operation is for the path,
    which stands behind the nodes.
    """
    if has_gradients and degree % 2 == 0 and has_far:
        return _with_far(degree, has_values, is_known)
    if not has_values:
        return _of_pairs(nodes(degree - 1), (), keep=float(degree > 2), has_gradients=True)
    if not has_gradients:
        return _of_pairs(nodes(degree), (), keep=float(degree > 1), has_gradients=False)
    shared, more = nodes_of_both(degree)
    plan = _of_pairs(shared, more, keep=1.0, has_gradients=True)
    if not (more and is_known):
        return plan
    e = [*plan.nodes[: plan.n_gradients, 1], 2.0]
    weights = beside_zero(e)
    return _made([(1.0, x) for x in e], plan.n_gradients, [weights] * 2, list(plan.of_gradients[0, :-1]))


def _of_pairs(shared: tuple[Node, ...], more: tuple[Node, ...], *, keep: float, has_gradients: bool) -> _Plan:
    """The nodes ahead and behind."""
    pairs = [(node, sign) for node in (*shared, *more) for sign in (1.0, -1.0)]
    n = 2 * len(shared) if has_gradients else 0
    weights = [0.5 * sign * node.weight for node, sign in pairs] + [0.0]
    gradient = [0.5 * sign * node.of_gradients for node, sign in pairs[:n]]
    return _made([(keep, sign * node.e) for node, sign in pairs], n, [weights] * 2, gradient)


def _with_far(degree: int, has_values: bool, is_known: bool) -> _Plan:
    """Of an even degree: the direction tells the highest powers, which leaves polynomials of one degree less."""
    shared = nodes(degree - 3) if degree > 2 else ()
    e = [sign * node.e for node in shared for sign in (1.0, -1.0)]
    gradient = [0.5 * sign * node.of_gradients for node in shared for sign in (1.0, -1.0)]
    far = -sum(w * x ** (degree - 1) for w, x in zip(gradient, e, strict=True)) if e else 1.0
    rows: list[list[float]] = []
    more: list[float] = []
    outer = 2.0 if e else 1.0
    if has_values and is_known:
        more = [outer]
        *weights, at_zero = beside_zero([*e, outer])
        of_top = -sum(w * x**degree for w, x in zip(weights, [*e, outer], strict=True))
        rows = [[*weights[:-1], at_far, weights[-1], at_zero] for at_far in (0.0, of_top)]
    elif has_values:
        more = [outer, -outer]
        weights = beside_zero([*e, *more])
        rows = [[*weights[:-3], 0.0, *weights[-3:]]] * 2
    steps = [*[(1.0, x) for x in e], (0.0, 1.0), *[(1.0, x) for x in more]]
    return _made(steps, len(e) + 1, rows, [*gradient, far])._replace(has_far=True)


def _made(steps: list[Any], n_gradients: int, weights: list[Any], gradient: list[float]) -> _Plan:
    return _Plan(np.array(steps), n_gradients, np.array(weights), np.array([[*gradient, 0.0]] * 2))


def derivatives(
    polynomial: Polynomial,
    path: Array,
    direction: Array,
    call: Callable[[Array], Array] | None = None,
    backprop: Callable[[Array, Array | None, Array], Array] | None = None,
    derivs: Array = None,
    known: Array = None,
) -> tuple[Array | None, Array | None]:
    """The derivatives of `call(paths)` and of `backprop(derivs, result or None, paths)` along a direction.

    Either of them may be None. `known` is `call(path)`, or None.
    """
    loops = numpy_backend(path.dtype).loops.lines
    (*batch, length, dimension), n, degree = path.shape, polynomial.n_linear, polynomial.degree
    n_paths = math.prod(batch)
    is_homogeneous = polynomial.duration == 0 and n > 0
    has_far = is_homogeneous and (degree == 2 or polynomial.n_top > 0)
    plan = _plan(degree, has_far, call is not None, backprop is not None, known is not None)
    fallback = TINY if is_homogeneous or (backprop is None and polynomial.duration == 0) else 1.0
    n_lower = 0
    if plan.has_far and derivs is not None:
        n_lower = n if degree == 2 else derivs.shape[-1] - polynomial.n_top
    q, per_path = plan.n_gradients, len(plan.nodes) * length * dimension
    if derivs is not None:
        derivs = derivs.reshape(n_paths, *derivs.shape[len(batch) :])
        per_path += q * math.prod(derivs.shape[1:])
    at_once = _AT_ONCE * _THREADS if polynomial.parallel else _AT_ONCE
    lanes = _BYTES_OF_LANES // path.dtype.itemsize
    multiple = lanes // math.gcd(lanes, q or len(plan.nodes))
    n_groups = -(-n_paths // (max(at_once // per_path // multiple, 1) * multiple))
    size = -(-n_paths // (n_groups * multiple)) * multiple
    paths, directions = (np.ascontiguousarray(a).reshape(n_paths, length, dimension) for a in (path, direction))
    known = None if known is None else np.ascontiguousarray(known).reshape(n_paths, *known.shape[len(batch) :])
    values: Array = None
    gradient: Array = None if backprop is None else np.empty_like(paths)
    stack: Array = np.empty((0, 0))
    seeds: Array = stack
    for start in range(0, n_paths, size):
        part = slice(start, start + size)
        some, ours = paths[part], directions[part]
        scales = np.empty(len(some))
        if stack.shape[1] != len(some):
            stack = np.empty((len(plan.nodes), *some.shape), path.dtype)
        loops.along(some, ours, plan.nodes, polynomial.duration, fallback, stack, scales)
        out = None
        if call is not None:
            out = call(stack)
            if values is None:
                values = np.empty((n_paths, *out.shape[2:]), path.dtype)
            rest = None if known is None else known[part]
            _sum(loops, out, rest, plan.weights, n_lower, scales, values[part])
        if backprop is not None:
            if seeds.shape[1] != len(some):
                seeds = np.empty((q, len(some), *derivs.shape[1:]), path.dtype)
            seeds[...] = derivs[part]
            # What is linear has no second derivative, and may be large.
            seeds[..., :n] = 0
            seeds[q - plan.has_far :, ..., :n_lower] = 0
            found = backprop(seeds, None if out is None else out[:q], stack[:q])
            _sum(loops, found, None, plan.of_gradients, 0, scales, gradient[part])
    values = None if values is None else values.reshape(*batch, *values.shape[1:])
    return values, None if gradient is None else gradient.reshape(path.shape)


def _sum(loops: Any, found: Array, known: Array, weights: Array, n_first: int, scales: Array, out: Array) -> None:
    """The weighted sums of what was found at all nodes, whose axes behind those of paths are rows and entries."""
    if found.size == 0:
        return
    # Short rows take long, and matter only where some entries have other weights.
    k = found.shape[-1] if n_first else math.prod(found.shape[2:])
    rows = known.reshape(-1, k) if known is not None else np.empty((0, k), found.dtype)
    loops.summed(found.reshape(len(found), -1, k), rows, weights, n_first, scales, out.reshape(-1, k))
