"""At which points of a line `tangents.py` computes operations, and with which weights."""

import math
from functools import lru_cache
from typing import NamedTuple


class Node(NamedTuple):
    """Where an operation is computed, at x + e u and x - e u, and the weights of its result and of its gradients."""

    e: float
    weight: float
    of_gradients: float


@lru_cache(maxsize=64)
def nodes(degree: int) -> tuple[Node, ...]:
    """Nodes and weights for polynomials of this degree."""
    return tuple(Node(e, w, w) for e, w in _with_weights(_chebyshev(degree)))


@lru_cache(maxsize=64)
def nodes_of_both(degree: int) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Nodes for a polynomial of this degree, at least 2, and its gradients, of one less; and those for it alone.

    An odd degree takes one more, further out, where its weight is small.
    """
    shared = nodes(degree - 1)
    weighted = _with_weights([node.e for node in shared] + [1.5] * (degree % 2))
    n = len(shared)
    return (
        tuple(Node(e, w, node.weight) for (e, w), node in zip(weighted[:n], shared, strict=True)),
        tuple(Node(e, w, w) for e, w in weighted[n:]),
    )


def beside_zero(e: list[float]) -> list[float]:
    """The weights of derivatives at 0 of polynomials, from their values at `e`; and of that at 0, behind them."""
    weights = [math.prod(y / (y - x) for y in e if y != x) / x for x in e]
    return [*weights, -sum(1 / x for x in e)]


def _chebyshev(degree: int) -> list[float]:
    m = max((degree + 1) // 2, 1)
    return [math.cos((2 * k + 1) * math.pi / (4 * m)) for k in range(m)] if m > 1 else [1.0]


def _with_weights(e: list[float]) -> list[tuple[float, float]]:
    # w[k] e[k] is the Lagrange polynomial of the squares, at 0.
    squares = [x * x for x in e]
    return [(x, math.prod(s / (s - own) for s in squares if s != own) / x) for x, own in zip(e, squares, strict=True)]
