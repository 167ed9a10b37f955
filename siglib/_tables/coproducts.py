"""Products of branched signatures: the ways to cut a tree into what is pruned and the trunk with the root.

    (X * Y)(tree) = sum over cuts of X(pruned) Y(trunk)

where X is the signature of the earlier path. A cut of a tree takes off some of its branches, at most one on the way
from the root to each leaf, or the whole tree. The coproduct of a forest of children is that of the trees above one
root: in trees that are not planar it is the product of those of its trees; in planar ones a vertex loses its first few
children only, they stay in order, and those from different vertices are shuffled.

*Elements* are what may be pruned or stay: 0 is nothing, 1 + i the i-th coefficient of the branched signature; if that
has trees, the forests of several trees follow, of up to degree - 1 nodes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .forests import Forests, basis_counts, forests, joined, levels, shuffles, single
from .lyndon import Ints, _chunks, _collected, _products, _starts, _Sums
from .sizes import SizeError
from .tree_words import Terms, checked_terms, sums_of

# Pairs of forests are written as one number.
_MAX_ELEMENTS = 2**20


class Cuts(NamedTuple):
    """Row i, of the i-th coefficient: `ways[k]` times (element pruned[k], element trunk[k]), starts[i] <= k <
    starts[i + 1].

    The last term of a row is (0, the whole), the only one with nothing pruned. The first ends[n] coefficients have up
    to n nodes. `products[j]` are the two elements whose product is that of the j-th forest of several trees: a tree and
    a tree or an earlier forest; there are none if planar.
    """

    starts: Ints
    pruned: NDArray[np.int32]
    trunks: NDArray[np.int32]
    ways: Ints
    ends: Ints
    products: NDArray[np.int32]


def build_cuts(dimension: int, degree: int, planar: bool) -> Cuts:
    """All cuts of all coefficients of a branched signature. dimension and degree at least 1."""
    table = forests(dimension, degree if planar else degree - 1, planar)
    if len(table.first) > _MAX_ELEMENTS:
        raise SizeError("branched signatures of this dimension and degree are too large to be multiplied")
    ends = np.concatenate([[0], np.cumsum(basis_counts(dimension, degree, planar))])
    found = _planar_cuts(table) if planar else _tree_cuts(table, degree)
    rows, pruned, trunks, ways = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((trunks, pruned == 0, rows))
    elements = _element_numbers(table, int(ends[-1]))
    several = np.flatnonzero(table.rest > 0) if not planar else np.zeros(0, np.int64)
    products = np.stack([single(table, table.first[several]), table.rest[several]], axis=1)
    return Cuts(
        _starts(rows, int(ends[-1])),
        elements[pruned[order]],
        trunks[order].astype(np.int32),
        ways[order],
        ends,
        elements[products],
    )


def _element_numbers(table: Forests, size: int) -> NDArray[np.int32]:
    """The elements of forests, and behind these of the trees that are larger; `size` coefficients."""
    if table.planar:
        return np.arange(size + 1, dtype=np.int32)
    places = _trees_as_forests(table, np.arange(size))
    found = np.zeros(places.max() + 1, np.int32)
    several = np.flatnonzero(table.rest > 0)
    found[places] = np.arange(1, size + 1)
    found[several] = size + 1 + np.arange(len(several))
    return found


def _trees_as_forests(table: Forests, trees: Ints) -> Ints:
    """The forests that are single trees; trees that are larger follow behind all forests."""
    n_listed = table.dimension * int(table.starts[-2]) if len(table.starts) > 2 else 0
    found = trees - n_listed + len(table.first)
    listed = trees < n_listed
    found[listed] = single(table, trees[listed])
    return found


def _tree_cuts(table: Forests, degree: int) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """Rows, pruned forests, trunks and ways of trees that are not planar."""
    size, of_forests, of_trees, n_terms = len(table.first), [_nothing()], [], 0
    for n in range(1, degree + 1):
        first = table.dimension * int(table.starts[n - 1])
        trees = first + np.arange(table.dimension * (len(of_forests[-1].starts) - 1))
        rows, pruned, trunks, ways = _below_roots(table, of_forests[-1])
        whole = _trees_as_forests(table, trees)
        n_terms = checked_terms(n_terms + len(rows) + len(trees))
        yield first + rows, pruned, trunks + 1, ways
        yield trees, whole, np.zeros_like(trees), np.ones_like(trees)
        if n < degree:
            # The same with trunks as forests, for the products of trees.
            cut = rows, pruned * size + single(table, trunks), ways
            of_trees.append(sums_of([cut, (trees - first, whole * size, np.ones_like(trees))], size**2, len(trees)))
            of_forests.append(_products_of_first(table, n, of_trees, of_forests))


def _planar_cuts(table: Forests) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """Rows, pruned forests, trunks and ways of planar forests."""
    size, of_forests, n_terms = len(table.first), _nothing(), 0
    # Of forests whose trees all stay, cut further up; of trees alike.
    staying, of_trees = [_nothing()], []
    for n, level in enumerate(levels(table), 1):
        rows, pruned, trunks, ways = _below_roots(table, of_forests)
        cut = rows, pruned * size + single(table, trunks), ways
        of_trees.append(sums_of([cut], size**2, table.dimension * (len(of_forests.starts) - 1)))
        staying.append(_products_of_first(table, n, of_trees, staying))
        terms: list[Terms] = []
        # The first few trees are pruned: `before`.
        rows, before, after = np.arange(len(level)), np.zeros_like(level), level
        while len(rows):
            for m in range(n + 1):
                group = np.flatnonzero(table.nodes[after] == m)
                if len(group):
                    one = _Sums(np.arange(len(rows) + 1), before * size, np.ones_like(before))
                    terms += _merged(table, rows[group], one, group, staying[m], after[group] - table.starts[m])
            rows, before, after = (part[after > 0] for part in (rows, before, after))
            before = joined(table, before, single(table, table.first[after]))
            after = table.rest[after]
        of_forests = sums_of(terms, size**2, len(level))
        n_terms = checked_terms(n_terms + len(of_forests.codes))
        counts = np.diff(of_forests.starts)
        yield np.repeat(level - 1, counts), of_forests.codes // size, of_forests.codes % size, of_forests.coefficients


def _nothing() -> _Sums:
    """The coproduct of the empty forest."""
    return _Sums(np.arange(2), np.zeros(1, np.int64), np.ones(1, np.int64))


def _below_roots(table: Forests, of_forests: _Sums) -> tuple[Ints, Ints, Ints, Ints]:
    """The cuts of trees that leave the root, from those of their forests of children: the tree's place among those of
    as many nodes, what is pruned, the trunk and the ways."""
    children = np.repeat(np.arange(len(of_forests.starts) - 1), np.diff(of_forests.starts))
    pruned, trunk = np.divmod(of_forests.codes, len(table.first))
    label, n = np.arange(table.dimension)[:, None], table.dimension
    rows, trees = children * n + label, trunk * n + label
    return rows.ravel(), np.tile(pruned, n), trees.ravel(), np.tile(of_forests.coefficients, n)


def _products_of_first(table: Forests, n: int, of_trees: list[_Sums], of_forests: list[_Sums]) -> _Sums:
    """The coproducts of forests of n nodes: those of the first tree times those of the rest."""
    terms: list[Terms] = []
    for m, group, trees, rests in _by_first(table, n):
        terms += _merged(table, group, of_trees[m - 1], trees, of_forests[n - m], rests)
    return sums_of(terms, len(table.first) ** 2, int(table.starts[n + 1] - table.starts[n]))


def _by_first(table: Forests, n: int) -> Iterator[tuple[int, Ints, Ints, Ints]]:
    """The forests of n nodes by the nodes m of their first trees: m, and of each the place among those of n nodes, the
    place of its first tree among those of m, and that of the rest among those of n - m."""
    start, stop = table.starts[n : n + 2]
    first, rest = table.first[start:stop], table.rest[start:stop]
    m_of = n - table.nodes[rest]
    for m in range(1, n + 1):
        group = np.flatnonzero(m_of == m)
        yield m, group, first[group] - table.dimension * table.starts[m - 1], rest[group] - table.starts[n - m]


def _merged(
    table: Forests, rows: Ints, left: _Sums, left_rows: Ints, right: _Sums, right_rows: Ints
) -> Iterator[Terms]:
    """Terms of the products left[left_rows[i]] right[right_rows[i]], to rows[i]: pruned parts are shuffled if planar,
    trunks are put side by side."""
    size = len(table.first)
    for piece in _chunks(np.diff(left.starts)[left_rows] * np.diff(right.starts)[right_rows]):
        row, a, b = _products(left, left_rows[piece], right, right_rows[piece])
        pruned, trunk = left.codes[a] // size, joined(table, left.codes[a] % size, right.codes[b] % size)
        coefficient = left.coefficients[a] * right.coefficients[b]
        if table.planar:
            way, pruned = shuffles(table, pruned, right.codes[b] // size)
            row, trunk, coefficient = row[way], trunk[way], coefficient[way]
        else:
            pruned = joined(table, pruned, right.codes[b] // size)
        yield _collected(size**2, rows[piece][row], pruned * size + trunk, coefficient)
