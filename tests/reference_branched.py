"""Branched signatures in plain Python, from their definitions. Nothing here uses siglib.

A tree is the tuple of its root's children and its label, `((0,), (1,), 2)`; a planar forest a tuple of trees.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.polynomial import polynomial

Tree = Any
Values = dict[Tree, Any]


def trees(dimension: int, degree: int, planar: bool) -> list[Tree]:
    """All trees, or planar forests, of 1..degree nodes in the order of a branched signature."""
    listed: list[Tree] = []
    sizes: list[int] = []
    ends = [0]

    def sequences(n: int, first: int) -> Iterator[tuple[int, ...]]:
        """Indices of listed trees with n nodes in total, ascending if not planar."""
        if n == 0:
            yield ()
        for i in range(first, len(listed)):
            if sizes[i] <= n:
                yield from ((i, *rest) for rest in sequences(n - sizes[i], 0 if planar else i))

    for n in range(1, degree + 1):
        found = [tuple(listed[i] for i in sequence) for sequence in sequences(n - 1, 0)]
        listed += [(*children, label) for children in found for label in range(dimension)]
        sizes += [n] * (len(listed) - len(sizes))
        ends.append(len(listed))
    if not planar:
        return listed
    return [tuple(listed[i] for i in sequence) for n in range(1, degree + 1) for sequence in sequences(n, 0)]


def n_nodes(tree: Tree) -> int:
    """Nodes of a tree or a forest."""
    return sum(1 if isinstance(item, int) else n_nodes(item) for item in tree)


def depth_of(tree: Tree) -> int:
    return 1 + max((depth_of(child) for child in tree[:-1]), default=0)


def canonical(tree: Tree, index: dict[Tree, int]) -> Tree:
    """A tree that is not planar with its children in order, `index` being the place of each tree."""
    return (*sorted((canonical(child, index) for child in tree[:-1]), key=index.__getitem__), tree[-1])


def symmetry(tree: Tree) -> int:
    """The number of ways to map a tree to itself."""
    product = 1
    for child, count in Counter(tree[:-1]).items():
        product *= symmetry(child) ** count * int(np.prod(range(1, count + 1)))
    return product


def shuffles(left: tuple[Any, ...], right: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if not left or not right:
        return [left + right]
    return [(left[0], *rest) for rest in shuffles(left[1:], right)] + [
        (right[0], *rest) for rest in shuffles(left, right[1:])
    ]


def orders(tree: Tree) -> list[tuple[int, ...]]:
    """The words of a tree that is not planar: all orders of its nodes with children before parents, as labels."""
    nodes: list[tuple[int, int]] = []  # label, parent

    def add(part: Tree, parent: int) -> None:
        nodes.append((part[-1], parent))
        place = len(nodes) - 1
        for child in part[:-1]:
            add(child, place)

    add(tree, -1)
    return [
        tuple(nodes[i][0] for i in order)
        for order in itertools.permutations(range(len(nodes)))
        if all(parent < 0 or order.index(i) < order.index(parent) for i, (_, parent) in enumerate(nodes))
    ]


def planar_orders(tree: Tree) -> list[Tree]:
    """All ways to order the children of all nodes, as planar trees; equal ones as often as they arise."""
    found = []
    for children in itertools.permutations(tree[:-1]):
        found += [(*parts, tree[-1]) for parts in itertools.product(*map(planar_orders, children))]
    return found


# Signatures


def root_chains(tree: Tree) -> Iterator[tuple[tuple[int, ...], tuple[Tree, ...]]]:
    """The trunks of a tree that are chains: labels from the root on, and the trees that are pruned."""
    yield (tree[-1],), tree[:-1]
    for i, child in enumerate(tree[:-1]):
        for labels, pruned in root_chains(child):
            yield (tree[-1], *labels), (*tree[:i], *tree[i + 1 : -1], *pruned)


def last_chains(forest: Tree) -> Iterator[tuple[tuple[int, ...], list[Tree]]]:
    """The chains that a planar forest may lose last, and the forests that are left, as shuffles."""
    left, tree, labels = [forest[:-1]], forest[-1], ()
    while True:
        labels = (*labels, tree[-1])
        yield labels, [whole for part in left for whole in shuffles(part, tree[:-1])]
        if len(tree) == 1:
            return
        left = [whole for part in left for whole in shuffles(part, tree[:-2])]
        tree = tree[-2]


def flow(terms: dict[tuple[int, ...], float], before: Values, basis: list[Tree], planar: bool) -> Values:
    """X after a segment: at u = 1 of X' = X * l, where l is `terms` at chains, labels from the root on.

    Every X_u is a polynomial in u, integrated exactly; if not planar it is a product on forests.
    """
    at: dict[Tree, np.ndarray] = {(): np.ones(1)}
    for tree in basis:
        slope = np.zeros(1)
        if planar:
            for labels, forests in last_chains(tree):
                for forest in forests:
                    slope = polynomial.polyadd(slope, terms.get(labels, 0.0) * at[forest])
        else:
            for labels, pruned in root_chains(tree):
                product = np.array([terms.get(labels, 0.0)])
                for part in pruned:
                    product = polynomial.polymul(product, at[part])
                slope = polynomial.polyadd(slope, product)
        at[tree] = polynomial.polyadd([before[tree]], polynomial.polyint(slope))
    return {tree: at[tree].sum() for tree in basis}


def branched_sig(points: np.ndarray, degree: int, planar: bool, correction: np.ndarray | None = None) -> np.ndarray:
    """The branched signature of one path (length, dimension); correction (length - 1, d^2 + .. + d^m)."""
    d = points.shape[1]
    basis = trees(d, degree, planar)
    values: Values = dict.fromkeys(basis, 0.0)
    for k, increment in enumerate(np.diff(points, axis=0)):
        terms = {(i,): float(x) for i, x in enumerate(increment)}
        if correction is not None:
            words = (word for q in itertools.count(2) for word in itertools.product(range(d), repeat=q))
            terms.update(zip(words, map(float, correction[k]), strict=False))
        values = flow(terms, values, basis, planar)
    return np.array([values[tree] for tree in basis])


# Products


def cuts(tree: Tree) -> list[tuple[tuple[Tree, ...], Tree | None]]:
    """All cuts of a tree that is not planar: what is pruned, and the trunk."""
    whole: list[tuple[tuple[Tree, ...], Tree | None]] = [((tree,), None)]
    for parts in itertools.product(*map(cuts, tree[:-1])):
        pruned = tuple(part for cut, _ in parts for part in cut)
        whole.append((pruned, (*(trunk for _, trunk in parts if trunk is not None), tree[-1])))
    return whole


def planar_cuts(forest: Tree) -> list[tuple[tuple[Tree, ...], Tree]]:
    """All left-admissible cuts of a planar forest: what is pruned, shuffled, and the trunk."""
    found = []
    for j in range(len(forest) + 1):
        parts: list[tuple[tuple[Tree, ...], Tree]] = [(forest[:j], ())]
        for tree in forest[j:]:
            parts = [
                (pruned, (*trunk, (*inner_trunk, tree[-1])))
                for cut, trunk in parts
                for inner, inner_trunk in planar_cuts(tree[:-1])
                for pruned in shuffles(cut, inner)
            ]
        found += parts
    return found


def combine(x: np.ndarray, y: np.ndarray, dimension: int, degree: int, planar: bool) -> np.ndarray:
    """The product of two vectors of coefficients, x being the earlier path."""
    basis = trees(dimension, degree, planar)
    index = {tree: i for i, tree in enumerate(basis)}
    result = np.zeros(len(basis))
    for i, tree in enumerate(basis):
        if planar:
            for pruned, trunk in planar_cuts(tree):
                result[i] += (x[index[pruned]] if pruned else 1.0) * (y[index[trunk]] if trunk else 1.0)
        else:
            for pruned, trunk in cuts(tree):
                left = np.prod([x[index[canonical(part, index)]] for part in pruned])
                result[i] += left * (1.0 if trunk is None else y[index[canonical(trunk, index)]])
    return result


# Kernels


def kernel_grid(
    x: np.ndarray, y: np.ndarray, depth: int, orders: tuple[int, int] = (0, 0), cells: np.ndarray | None = None
) -> np.ndarray:
    """The kernel of one pair of paths at all nodes of the refined grid, as the scheme defines it."""
    if cells is None:
        cells = np.diff(x, axis=0) @ np.diff(y, axis=0).T
    cells = np.kron(cells, np.full((2 ** orders[0], 2 ** orders[1]), 0.5 ** sum(orders)))
    k = np.ones((cells.shape[0] + 1, cells.shape[1] + 1))
    for _ in range(depth):
        corners = (k[1:, 1:] + k[1:, :-1] + k[:-1, 1:] + k[:-1, :-1]) / 4
        sums = np.zeros_like(k)
        sums[1:, 1:] = np.cumsum(np.cumsum(cells * corners, axis=0), axis=1)
        k = np.exp(sums)
    return k


def kernel_of_trees(x: np.ndarray, y: np.ndarray, dimension: int, degree: int, depth: int) -> float:
    """The kernel of two branched signatures: the exponential of a sum over trees up to a depth, of their degree."""
    basis = trees(dimension, degree, False)
    return float(
        np.exp(sum(a * b / symmetry(tree) for tree, a, b in zip(basis, x, y, strict=True) if depth_of(tree) <= depth))
    )
