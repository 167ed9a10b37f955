"""Planar forests as words whose letters are trees, and coordinates of planar branched log-signatures.

The logarithm of a planar branched signature is a Lie polynomial under concatenation of forests. So it is known from its
values at the forests that are Lyndon words in trees, ordered as trees are listed (method 1), or from its coordinates in
the basis of their standard brackets (method 2): the values at Lyndon forests are P times the coordinates, P unit lower
triangular, and the values at all forests E times the coordinates.
"""

from typing import NamedTuple

import numpy as np

from .forests import Forests, find, forests, joined
from .lyndon import Ints, SparseMatrix, _chunks, _collected, _products, _starts, _Sums, invert
from .tree_words import Terms, checked_terms, sums_of


class LyndonForests(NamedTuple):
    """The Lyndon words among planar forests, in their order; of those of several trees the two factors, of others 0.

    The right factor is the longest proper suffix that is Lyndon, which is the least proper suffix.
    """

    words: Ints
    left: Ints
    right: Ints


def lyndon_forests(table: Forests) -> LyndonForests:
    """All of them, from all planar forests."""
    rank = _ranks(table)
    # The least proper suffix of each forest, 0 for those without any.
    least = np.zeros_like(table.first)
    for n in range(2, len(table.starts) - 1):
        level = np.arange(table.starts[n], table.starts[n + 1])
        rests = table.rest[level]
        below = least[rests]
        least[level] = np.where((below == 0) | (rank[rests] < rank[below]), rests, below)
    words = np.flatnonzero((least == 0) | (rank < rank[least]))[1:]
    right = least[words]
    return LyndonForests(words, _without_suffix(table, words, right), right)


def _ranks(table: Forests) -> Ints:
    """The rank of each forest in the order of words, where a prefix comes before what it begins."""
    letters, rests = [], np.arange(len(table.first))
    while rests.any():
        letters.append(table.first[rests])
        rests = table.rest[rests]
    ranks = np.empty_like(table.first)
    ranks[np.lexsort(letters[::-1])] = np.arange(len(ranks))
    return ranks


def _without_suffix(table: Forests, words: Ints, suffixes: Ints) -> Ints:
    """The words without these suffixes; 0 where there is none."""
    found = np.zeros_like(words)
    inside = np.flatnonzero(suffixes > 0)
    if len(inside):
        rests = table.rest[words[inside]]
        tails = _without_suffix(table, rests, np.where(rests == suffixes[inside], 0, suffixes[inside]))
        found[inside] = find(table, table.first[words[inside]], tails)
    return found


def build_brackets(dimension: int, degree: int) -> tuple[LyndonForests, SparseMatrix]:
    """The Lyndon forests, and the matrix E: a row for each planar forest of 1..degree nodes, a column for each of
    them, the standard bracket written out in forests."""
    table = forests(dimension, degree, True)
    lyndon = lyndon_forests(table)
    size, n_words = len(table.first), len(lyndon.words)
    place = np.full(size, -1, np.int64)
    place[lyndon.words] = np.arange(n_words)
    nodes = table.nodes[lyndon.words]
    letters = np.flatnonzero(lyndon.right == 0)
    # Brackets by the place of their words; those of fewer nodes come first.
    brackets = _Sums(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    for n in range(1, degree + 1):
        level = np.flatnonzero(nodes == n)
        start = len(brackets.starts) - 1
        single_trees, several = (part[nodes[part] == n] for part in (letters, np.flatnonzero(lyndon.right > 0)))
        terms: list[Terms] = [(single_trees - start, lyndon.words[single_trees], np.ones_like(single_trees))]
        left, right = place[lyndon.left[several]], place[lyndon.right[several]]
        for piece in _chunks(np.diff(brackets.starts)[left] * np.diff(brackets.starts)[right]):
            row, a, b = _products(brackets, left[piece], brackets, right[piece])
            rows, ways = several[piece][row] - start, brackets.coefficients[a] * brackets.coefficients[b]
            u, v = brackets.codes[a], brackets.codes[b]
            terms += [(rows, joined(table, u, v), ways), (rows, joined(table, v, u), -ways)]
        found = sums_of(terms, size, len(level))
        brackets = _Sums(
            np.concatenate([brackets.starts, brackets.starts[-1] + found.starts[1:]]),
            np.concatenate([brackets.codes, found.codes]),
            np.concatenate([brackets.coefficients, found.coefficients]),
        )
        checked_terms(len(brackets.codes))
    columns = np.repeat(np.arange(n_words), np.diff(brackets.starts))
    return lyndon, _matrix(brackets.codes - 1, columns, brackets.coefficients, size - 1, n_words)


def build_coordinates(dimension: int, degree: int, method: int) -> SparseMatrix:
    """From values of the logarithm at all planar forests to its coordinates of method 1 or 2."""
    table = forests(dimension, degree, True)
    if method == 1:
        lyndon = lyndon_forests(table)
        n = len(lyndon.words)
        return SparseMatrix(np.arange(n + 1), (lyndon.words - 1).astype(np.int32), np.ones(n, np.int64))
    lyndon, expansion = build_brackets(dimension, degree)
    n = len(lyndon.words)
    place = np.full(len(table.first) - 1, -1, np.int64)
    place[lyndon.words - 1] = np.arange(n)
    rows = np.repeat(place, np.diff(expansion.starts))
    # P - 1, from the rows of E that are Lyndon.
    kept = (rows >= 0) & (rows != expansion.columns)
    below = _matrix(rows[kept], expansion.columns[kept].astype(np.int64), expansion.values[kept], n, n)
    inverse = invert(below)
    places = np.concatenate([np.arange(n), np.repeat(np.arange(n), np.diff(inverse.starts))])
    columns = np.concatenate([np.arange(n), inverse.columns])
    values = np.concatenate([np.ones(n, np.int64), inverse.values])
    return _matrix(places, lyndon.words[columns] - 1, values, n, len(table.first) - 1)


def times(left: SparseMatrix, right: SparseMatrix, n_columns: int) -> SparseMatrix:
    """The product of two sparse matrices, the right one with n_columns columns."""
    rows = np.repeat(np.arange(len(left.starts) - 1), np.diff(left.starts))
    entries = _Sums(np.arange(len(rows) + 1), left.columns.astype(np.int64), left.values)
    sums = _Sums(right.starts, right.columns.astype(np.int64), right.values)
    entry, _, b = _products(entries, np.arange(len(rows)), sums, entries.codes)
    return _matrix(
        rows[entry], sums.codes[b], entries.coefficients[entry] * sums.coefficients[b], len(left.starts) - 1, n_columns
    )


def _matrix(rows: Ints, columns: Ints, values: Ints, n_rows: int, n_columns: int) -> SparseMatrix:
    rows, columns, values = _collected(n_columns, rows, columns, values)
    return SparseMatrix(_starts(rows, n_rows), columns.astype(np.int32), values)
