"""Branched signatures as linear images of ordinary ones: each tree or planar forest is a sum of words.

A path without corrections integrates its increments along the nodes of a tree, children before their parent. So the
value of a tree is the sum of the ordinary coefficients of all words that list its nodes in such an order, and that of a
forest the sum over all orders of its nodes. The last letter is the label of a root, and what comes before it are the
words of the forest without that root: its children count as trees. In a planar forest the trees count one after the
other: the last letter is the last root, and the trees above it are shuffled with those before it.

Products go through, and with them logarithms: what is true for signatures is true for log-signatures.
"""

from collections import Counter
from math import comb
from typing import Any

import numpy as np

from .forests import Forests, forests, joined, shuffles, single, without_last
from .lyndon import (
    Ints,
    SparseMatrix,
    _collected,
    _products,
    _ragged_arange,
    _starts,
    _Sums,
    level_start,
)
from .sizes import SizeError

# More terms than this are not built: that would take gigabytes.
MAX_TERMS = 2**24
# Those of single trees are Python objects, of this many nodes at most.
_MAX_SINGLE_TERMS = 2**20
MAX_NODES = 100

Terms = tuple[Ints, Ints, Ints]  # rows, codes, coefficients
Form = tuple[Any, ...]  # a tree or forest in tuples


def build_tree_words(dimension: int, degree: int, planar: bool) -> SparseMatrix:
    """The matrix A: a row for each coefficient of a branched signature, a column for each word; both without scalar
    term. dimension and degree at least 1."""
    table = forests(dimension, degree if planar else degree - 1, planar)
    levels, n_terms = [], 0
    found = _Sums(np.arange(2), np.zeros(1, np.int64), np.ones(1, np.int64))
    for n in range(1, degree + 1):
        if not planar:
            levels.append(_with_labels(found, dimension))
        if n < len(table.starts) - 1:
            found = _words_of_forests(table, n, found, n_terms)
        if planar:
            levels.append(found)
        n_terms = checked_terms(n_terms + len(levels[-1].codes))
    columns = [level.codes + level_start(dimension, n) for n, level in enumerate(levels, 1)]
    counts = np.concatenate([np.diff(level.starts) for level in levels])
    return SparseMatrix(
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate(columns).astype(np.int32),
        np.concatenate([level.coefficients for level in levels]),
    )


def _words_of_forests(table: Forests, n: int, smaller: _Sums, n_terms: int) -> _Sums:
    """The words of all forests of n nodes, from those of n - 1; n_terms: how many terms there are already."""
    row, forest, label = _without_root(table, n)
    # A forest and a label are one number.
    d, first = table.dimension, table.starts[n - 1]
    row, place, ways = _collected(len(table.first) * d, row, forest * d + label, np.ones(len(row), np.int64))
    forest, label = place // d - first, place % d
    checked_terms(n_terms + int(np.diff(smaller.starts)[forest].sum()))
    entry, _, b = _products(_Sums(np.arange(len(row) + 1), forest, ways), np.arange(len(row)), smaller, forest)
    terms = row[entry], smaller.codes[b] * d + label[entry], ways[entry] * smaller.coefficients[b]
    return sums_of([terms], d**n, int(table.starts[n + 1] - table.starts[n]))


def _without_root(table: Forests, n: int) -> Terms:
    """The forests of n nodes, by their places, without a root that may come last, and the label of the root: each way
    that it can."""
    d, start, stop = table.dimension, table.starts[n], table.starts[n + 1]
    rows = np.arange(stop - start)
    if table.planar:
        before, last = (part[start:stop] for part in without_last(table))
        way, forest = shuffles(table, before, last // d)
        return way, forest, last[way] % d
    found = []
    before, after = np.zeros_like(rows), rows + start
    while len(rows):
        tree, rests = table.first[after], table.rest[after]
        found.append((rows, joined(table, joined(table, before, rests), tree // d), tree % d))
        before = joined(table, before, single(table, tree))
        rows, before, after = (part[rests > 0] for part in (rows, before, rests))
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def checked_terms(n_terms: int) -> int:
    """The number, or SizeError if a table of so many terms is out of reach."""
    if n_terms > MAX_TERMS:
        raise SizeError(f"branched signatures of this dimension and degree need a table of {n_terms} terms or more")
    return n_terms


def sums_of(terms: list[Terms], n_codes: int, n_rows: int) -> _Sums:
    """Rows of terms that may be in several pieces, equal ones added up."""
    row, code, coefficient = (np.concatenate(part) for part in zip(*terms, strict=True))
    row, code, coefficient = _collected(n_codes, row, code, coefficient)
    return _Sums(_starts(row, n_rows), code, coefficient)


def _with_labels(sums: _Sums, dimension: int) -> _Sums:
    """The trees with these forests of children, and each label: a letter behind the words of the forest."""
    counts = np.repeat(np.diff(sums.starts), dimension)
    terms = np.repeat(np.repeat(sums.starts[:-1], dimension), counts) + _ragged_arange(counts)
    labels = np.repeat(np.arange(len(counts)) % dimension, counts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return _Sums(starts, sums.codes[terms] * dimension + labels, sums.coefficients[terms])


def words_of(forms: tuple[Form, ...], planar: bool) -> tuple[tuple[tuple[int, ...], ...], SparseMatrix]:
    """Single trees or planar forests, as tuples of trees, () for none: all words that they need, by length and then
    lexicographically, and the matrix of how often, a row for each form."""
    known = _Known()
    sums = [_words_of(form, planar, known) for form in forms]
    words = sorted(set().union(*sums), key=lambda word: (len(word), word))
    checked_terms(sum(map(len, sums)))
    place = {word: i for i, word in enumerate(words)}
    rows = np.repeat(np.arange(len(forms)), [len(found) for found in sums])
    columns = np.array([place[word] for found in sums for word in found], np.int64)
    counts = [count for found in sums for count in found.values()]
    if max(counts, default=0) >= 2**63:
        raise SizeError("trees have a coefficient that is 2**63 or more times that of a word")
    values = np.array(counts, np.int64)
    rows, columns, values = _collected(len(words), rows, columns, values)
    return tuple(words), SparseMatrix(_starts(rows, len(forms)), columns.astype(np.int32), values)


class _Known(dict[Form, Counter[tuple[int, ...]]]):
    """The words of forests and how often each, and how many terms these are."""

    def __init__(self) -> None:
        super().__init__({(): Counter({(): 1})})
        self.n_terms = 1

    def count(self, n: int) -> None:
        """n terms more, or SizeError."""
        self.n_terms += n
        if self.n_terms > _MAX_SINGLE_TERMS:
            raise SizeError(f"the coefficients of these trees need a table of {self.n_terms} terms or more")


def _words_of(form: Form, planar: bool, known: _Known) -> Counter[tuple[int, ...]]:
    """The words of a forest and how often each."""
    if form not in known:
        found: Counter[tuple[int, ...]] = Counter()
        n_terms = 0
        for i, tree in enumerate(form):
            if planar and i < len(form) - 1:
                continue
            others = form[:i] + form[i + 1 :]
            known.count(comb(len(others) + len(tree) - 1, len(others)) if planar else 1)
            for rest in _form_shuffles(others, tree[:-1]) if planar else [_sorted(others + tree[:-1])]:
                for word, count in _words_of(rest, planar, known).items():
                    found[(*word, tree[-1])] += count
            known.count(len(found) - n_terms)
            n_terms = len(found)
        known[form] = found
    return known[form]


def _sorted(form: Form) -> Form:
    """A forest with its trees in one order, so that it is met again."""
    return tuple(sorted(form, key=repr))


def _form_shuffles(left: Form, right: Form) -> list[Form]:
    if not left or not right:
        return [left + right]
    return [
        *((left[0], *rest) for rest in _form_shuffles(left[1:], right)),
        *((right[0], *rest) for rest in _form_shuffles(left, right[1:])),
    ]
