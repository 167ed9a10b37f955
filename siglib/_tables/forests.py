"""Forests of rooted trees with labels 0..d-1 at their nodes, numbered in the order in which branched signatures list
them.

A tree is its root's label and the forest of its root's children, a forest is its first tree and the rest. Both are
numbers: forest 0 is empty, forests come by number of nodes, and tree t has the children `t // d` and the label `t % d`,
so that trees come by number of nodes as well, then by children. Forests of the same number of nodes are ordered as
words whose letters are their trees. In planar forests (Munthe-Kaas and Wright) the order of trees counts; others
(Butcher, Connes and Kreimer) are multisets, written down with ascending trees.

Everything is done for arrays of numbers, and nothing loops over forests in Python.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .cache import TABLES
from .lyndon import Ints, _ragged_arange, mobius
from .sizes import MAX_LENGTH, SizeError

# More trees or forests than this are not listed: they would take a gigabyte.
MAX_LISTED = 2**23
_UNCOUNTABLE = "branched signatures of dimension {} and this degree have more coefficients than 64 bits can count"


class Forests(NamedTuple):
    """All forests of 0..degree nodes: the first tree and the rest of each, -1 and 0 for the empty one.

    Those of n nodes are starts[n]..starts[n + 1] - 1, trees of n nodes d starts[n - 1]..d starts[n] - 1. `keys` is
    ascending: see `find`.
    """

    planar: bool
    dimension: int
    starts: Ints
    nodes: Ints
    first: Ints
    rest: Ints
    keys: Ints


def forest_counts(dimension: int, degree: int, planar: bool) -> list[int]:
    """Number of forests of 0..degree nodes; SizeError if they pass what 64 bits can count."""
    counts, weighted = [1], [0]
    for n in range(1, degree + 1 if dimension else 1):
        if planar:
            # Catalan numbers times words of labels.
            counts.append(counts[-1] * 2 * (2 * n - 1) * dimension // (n + 1))
        else:
            # Euler's transform: n F_n = sum_k F_(n-k) sum_(j | k) j T_j, where T_j = d F_(j-1) counts trees.
            weighted.append(sum(j * dimension * counts[j - 1] for j in range(1, n + 1) if n % j == 0))
            counts.append(sum(weighted[k] * counts[n - k] for k in range(1, n + 1)) // n)
        if sum(counts) > MAX_LENGTH:
            raise SizeError(_UNCOUNTABLE.format(dimension))
    return counts + [0] * (degree + 1 - len(counts)) if dimension else [1] + [0] * min(degree, 1)


def tree_counts(dimension: int, degree: int, planar: bool) -> list[int]:
    """Number of trees of 1..degree nodes."""
    if degree == 0 or dimension == 0:
        return []
    counts = [dimension * count for count in forest_counts(dimension, degree - 1, planar)]
    if sum(counts) > MAX_LENGTH:
        raise SizeError(_UNCOUNTABLE.format(dimension))
    return counts


def basis_counts(dimension: int, degree: int, planar: bool) -> list[int]:
    """Coefficients of a branched signature with 1..degree nodes: forests if planar, otherwise trees."""
    return forest_counts(dimension, degree, True)[1:] if planar else tree_counts(dimension, degree, False)


def lyndon_counts(dimension: int, degree: int) -> list[int]:
    """Planar forests of 1..degree nodes that are Lyndon words in trees: the free Lie algebra has as many elements.

    From prod_n (1 - z^n)^(-L_n) = sum_n F_n z^n, the series of all forests.
    """
    counts = forest_counts(dimension, degree, True)
    powers = [0]
    found = []
    for n in range(1, len(counts)):
        powers.append(n * counts[n] - sum(powers[k] * counts[n - k] for k in range(1, n)))
        found.append(sum(mobius(n // k) * powers[k] for k in range(1, n + 1) if n % k == 0) // n)
    return found


def branched_length(dimension: int, degree: int, planar: bool) -> int:
    """Number of coefficients of a branched signature without the scalar term."""
    return sum(basis_counts(dimension, degree, planar))


def log_length(dimension: int, degree: int, planar: bool, method: int) -> int:
    """Number of coordinates of its logarithm without the scalar term."""
    return sum(lyndon_counts(dimension, degree)) if method else branched_length(dimension, degree, planar)


@TABLES.keep
def forests(dimension: int, degree: int, planar: bool) -> Forests:
    """All forests of up to `degree` nodes; SizeError if they are too many to list. dimension at least 1."""
    counts = forest_counts(dimension, degree, planar)
    if sum(counts) > MAX_LISTED:
        raise SizeError(f"there are too many trees of {dimension} labels for branched signatures of this degree")
    starts = np.concatenate([[0], np.cumsum(counts)])
    nodes = np.repeat(np.arange(degree + 1), counts)
    first, rest = np.full(starts[-1], -1, np.int64), np.zeros(starts[-1], np.int64)
    for n in range(1, degree + 1):
        found = [_grown(first, starts, dimension, m, n - m, planar) for m in range(1, n + 1)]
        first[starts[n] : starts[n + 1]] = np.concatenate([trees for trees, _ in found])
        rest[starts[n] : starts[n + 1]] = np.concatenate([rests for _, rests in found])
    table = Forests(planar, dimension, starts, nodes, first, rest, nodes)
    table = table._replace(keys=_keys(table, nodes, first, rest))
    for array in table[2:]:
        array.flags.writeable = False
    return table


def _grown(first: Ints, starts: Ints, dimension: int, m: int, n_rest: int, planar: bool) -> tuple[Ints, Ints]:
    """Forests whose first tree has m nodes and the rest n_rest, as their first trees and rests."""
    trees = np.arange(dimension * starts[m - 1], dimension * starts[m])
    low, high = starts[n_rest], starts[n_rest + 1]
    if planar or n_rest == 0:
        lows = np.full(len(trees), low)
    else:
        # A multiset goes on with trees that are not less.
        lows = low + np.searchsorted(first[low:high], trees)
    counts = high - lows
    return np.repeat(trees, counts), np.repeat(lows, counts) + _ragged_arange(counts)


def _keys(table: Forests, nodes: Ints, first: Ints, rest: Ints) -> Ints:
    """What orders forests: nodes, then the first tree, then the rest."""
    n_trees = table.dimension * int(table.starts[-2])
    return (nodes * n_trees + first) * len(table.first) + rest


def nodes_of_trees(table: Forests, trees: Ints) -> Ints:
    return table.nodes[trees // table.dimension] + 1


def find(table: Forests, trees: Ints, rests: Ints) -> Ints:
    """The forests of these first trees and rests. Those of multisets are not less than the first trees."""
    nodes = nodes_of_trees(table, trees) + table.nodes[rests]
    return np.searchsorted(table.keys, _keys(table, nodes, trees, rests))


def single(table: Forests, trees: Ints) -> Ints:
    """The forests of one tree each."""
    return find(table, trees, np.zeros_like(trees))


def joined(table: Forests, left: Ints, right: Ints) -> Ints:
    """The forests of all trees of left[i] and right[i]: one after the other if planar, otherwise the union."""
    if not table.planar:
        # The one with the least tree first; an empty one behind all others.
        last = table.first.max(initial=0) + 1
        a, b = (np.where(side == 0, last, table.first[side]) for side in (left, right))
        left, right = np.where(a <= b, left, right), np.where(a <= b, right, left)
    found = left + right
    both = np.flatnonzero((left > 0) & (right > 0))
    if len(both):
        heads = table.first[left[both]]
        found[both] = find(table, heads, joined(table, table.rest[left[both]], right[both]))
    return found


def shuffles(table: Forests, left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """All ways to merge the words of trees left[i] and right[i]: i and the planar forest, for each way."""
    single_way = (left == 0) | (right == 0)
    pairs, found = [np.flatnonzero(single_way)], [left[single_way] + right[single_way]]
    open_pairs = np.flatnonzero(~single_way)
    if len(open_pairs):
        a, b = left[open_pairs], right[open_pairs]
        for head, rests in ((table.first[a], (table.rest[a], b)), (table.first[b], (a, table.rest[b]))):
            way, tail = shuffles(table, *rests)
            pairs.append(open_pairs[way])
            found.append(find(table, head[way], tail))
    return np.concatenate(pairs), np.concatenate(found)


def without_last(table: Forests) -> tuple[Ints, Ints]:
    """Each forest without its last tree, and that tree; 0 and -1 for the empty one."""
    before, last = np.zeros_like(table.first), table.first.copy()
    for level in levels(table):
        level = level[table.rest[level] > 0]
        rests = table.rest[level]
        last[level] = last[rests]
        before[level] = find(table, table.first[level], before[rests])
    return before, last


def levels(table: Forests) -> Iterator[Ints]:
    """The forests of 1, 2, ... nodes."""
    for start, stop in zip(table.starts[1:-1], table.starts[2:], strict=True):
        yield np.arange(start, stop)
