"""Branched signatures as linear images of ordinary ones: each tree or planar forest is a sum of words.

A path without corrections integrates its increments along the nodes of a tree, children before their parent. So the
value of a tree is the sum of the ordinary coefficients of all words that list its nodes in such an order: the words of
a tree are the shuffles of those of its children, each followed by the root's label, and those of a forest that is not
planar the shuffles of those of its trees. In a planar forest the trees count one after the other: the last root is the
last letter, behind all shuffles of the trees before it with the trees above it.

Products go through, and with them logarithms: what is true for signatures is true for log-signatures.
"""

from collections.abc import Iterator

import numpy as np

from .._checks import SizeError
from .._lyndon import (
    Ints,
    SparseMatrix,
    _chunks,
    _collected,
    _products,
    _ragged_arange,
    _starts,
    _Sums,
    level_start,
)
from .forests import Forests, forests, shuffles, without_last

# More terms than this are not built: they would take a gigabyte.
MAX_TERMS = 2**26

Terms = tuple[Ints, Ints, Ints]  # rows, codes, coefficients


def build_tree_words(dimension: int, degree: int, planar: bool) -> SparseMatrix:
    """The matrix A: a row for each coefficient of a branched signature, a column for each word; both without scalar
    term. dimension and degree at least 1."""
    levels = list(_planar(dimension, degree) if planar else _not_planar(dimension, degree))
    columns = [level.codes + level_start(dimension, n) for n, level in enumerate(levels, 1)]
    counts = np.concatenate([np.diff(level.starts) for level in levels])
    return SparseMatrix(
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate(columns).astype(np.int32),
        np.concatenate([level.coefficients for level in levels]),
    )


def _not_planar(dimension: int, degree: int) -> Iterator[_Sums]:
    """The words of trees of 1, 2, ..., `degree` nodes."""
    table = forests(dimension, degree - 1, False)
    of_forests, of_trees, n_terms = [_nothing()], [], 0
    for n in range(1, degree + 1):
        of_trees.append(_with_labels(of_forests[-1], dimension))
        n_terms = checked_terms(n_terms + len(of_trees[-1].codes))
        yield of_trees[-1]
        if n == degree:
            return
        terms = []
        for m, group, trees, rests in by_first(table, n):
            left, right = of_trees[m - 1], of_forests[n - m]
            for piece in _chunks(np.diff(left.starts)[trees] * np.diff(right.starts)[rests]):
                row, a, b = _products(left, trees[piece], right, rests[piece])
                coefficient = left.coefficients[a] * right.coefficients[b]
                for codes in _word_shuffles(left.codes[a], m, right.codes[b], n - m, dimension):
                    terms.append(_collected(dimension**n, group[piece][row], codes, coefficient))
        of_forests.append(sums_of(terms, dimension**n, int(table.starts[n + 1] - table.starts[n])))


def _planar(dimension: int, degree: int) -> Iterator[_Sums]:
    """The words of planar forests of 1, 2, ..., `degree` nodes."""
    table = forests(dimension, degree, True)
    before, last = without_last(table)
    found, n_terms = _nothing(), 0
    for n in range(1, degree + 1):
        start, stop = table.starts[n : n + 2]
        row, forest = shuffles(table, before[start:stop], last[start:stop] // dimension)
        row, below, ways = _collected(len(table.first), row, forest, np.ones(len(row), np.int64))
        checked_terms(n_terms + int(np.diff(found.starts)[below - table.starts[n - 1]].sum()))
        single = _Sums(np.arange(len(row) + 1), below, ways)
        entry, a, b = _products(single, np.arange(len(row)), found, below - table.starts[n - 1])
        codes = found.codes[b] * dimension + last[start:stop][row[entry]] % dimension
        terms = _collected(dimension**n, row[entry], codes, ways[a] * found.coefficients[b])
        found = sums_of([terms], dimension**n, int(stop - start))
        n_terms += len(found.codes)
        yield found


def checked_terms(n_terms: int) -> int:
    """The number, or SizeError if a table of so many terms is out of reach."""
    if n_terms > MAX_TERMS:
        raise SizeError(f"branched signatures of this dimension and degree need a table of {n_terms} terms or more")
    return n_terms


def by_first(table: Forests, n: int) -> Iterator[tuple[int, Ints, Ints, Ints]]:
    """The forests of n nodes by the nodes m of their first trees: m, and of each the place among those of n nodes, the
    place of its first tree among those of m, and that of the rest among those of n - m."""
    start, stop = table.starts[n : n + 2]
    first, rest = table.first[start:stop], table.rest[start:stop]
    m_of = n - table.nodes[rest]
    for m in range(1, n + 1):
        group = np.flatnonzero(m_of == m)
        yield m, group, first[group] - table.dimension * table.starts[m - 1], rest[group] - table.starts[n - m]


def sums_of(terms: list[Terms], n_codes: int, n_rows: int) -> _Sums:
    """Rows of terms that may be in several pieces, equal ones added up."""
    row, code, coefficient = (np.concatenate(part) for part in zip(*terms, strict=True))
    row, code, coefficient = _collected(n_codes, row, code, coefficient)
    return _Sums(_starts(row, n_rows), code, coefficient)


def _nothing() -> _Sums:
    """The empty forest is the empty word."""
    return _Sums(np.arange(2), np.zeros(1, np.int64), np.ones(1, np.int64))


def _with_labels(sums: _Sums, dimension: int) -> _Sums:
    """The trees with these forests of children, and each label: a letter behind the words of the forest."""
    counts = np.repeat(np.diff(sums.starts), dimension)
    terms = np.repeat(np.repeat(sums.starts[:-1], dimension), counts) + _ragged_arange(counts)
    labels = np.repeat(np.arange(len(counts)) % dimension, counts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return _Sums(starts, sums.codes[terms] * dimension + labels, sums.coefficients[terms])


def _word_shuffles(u: Ints, n_u: int, v: Ints, n_v: int, dimension: int) -> list[Ints]:
    """All shuffles of the words u[i] and v[i] of n_u and n_v letters, an array for each of the ways."""
    if n_u == 0 or n_v == 0:
        return [u if n_v == 0 else v]
    return [
        *(w * dimension + u % dimension for w in _word_shuffles(u // dimension, n_u - 1, v, n_v, dimension)),
        *(w * dimension + v % dimension for w in _word_shuffles(u, n_u, v // dimension, n_v - 1, dimension)),
    ]
