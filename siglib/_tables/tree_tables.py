"""The tables of branched signatures as loops read them, built once and kept.

Sparse matrices are (starts, columns, values): row i has `values[k]` in `columns[k]`, starts[i] <= k < starts[i + 1].
`transposed` gives the transpose in the same form, for gradients. Degree 0 has empty tables.
"""

from typing import Any

import numpy as np

from .cache import TABLES
from .coproducts import Cuts, build_cuts
from .cut_gathers import by_pruned, by_trunks
from .forests import basis_counts, lyndon_counts
from .lyndon import Ints, SparseMatrix, _starts
from .lyndon_forests import build_brackets, build_coordinates, times
from .sizes import tensor_length
from .tree_flow import build_flow, chain_elements
from .tree_words import build_tree_words, words_of

Table = tuple[Any, ...]


@TABLES.keep
def word_matrix(dimension: int, degree: int, planar: bool, dtype: str, transposed: bool) -> Table:
    """From signatures to branched signatures, or from log-signatures at all words to those at all trees or forests."""
    if not _any(dimension, degree):
        return _empty(dtype)
    return _form(_tree_words(dimension, degree, planar), tensor_length(dimension, degree), dtype, transposed)


@TABLES.keep
def time_trees(dimension: int, degree: int, planar: bool) -> tuple[Any, ...]:
    """Of the trees or planar forests whose labels are all the last one, time: their places, how many nodes they have,
    and how many times they have the word of so many letters."""
    starts, trees, counts = word_matrix(dimension, degree, planar, "float64", True)
    words = np.array([tensor_length(dimension, n) - 1 for n in range(1, degree + 1)])
    places = np.concatenate([np.arange(starts[word], starts[word + 1]) for word in words])
    nodes = np.repeat(np.arange(1, degree + 1), starts[words + 1] - starts[words])
    return trees[places], nodes, counts[places]


@TABLES.keep
def chain_matrix(dimension: int, degree: int, planar: bool, dtype: str) -> Table:
    """From branched signatures without correction to signatures: a word is the chain of its letters, the last one at
    the root."""
    if not _any(dimension, degree):
        return _empty(dtype)
    chains = chain_elements(dimension, degree, degree, planar) - 1
    starts = [tensor_length(dimension, n) for n in range(degree + 1)]
    # Chains come by their labels from the root on: the words are read backwards.
    backwards = [
        np.arange(dimension**n).reshape([dimension] * n).transpose().ravel() + starts[n - 1]
        for n in range(1, degree + 1)
    ]
    columns = chains[np.concatenate(backwards)]
    return _frozen(np.arange(len(columns) + 1), columns.astype(np.int32), np.ones(len(columns), dtype))


@TABLES.keep
def coefficient_words(forms: tuple[Any, ...], planar: bool) -> tuple[tuple[int, ...], ...]:
    """The words whose coefficients give those of trees or planar forests, which are in the form of `trees.as_forest`,
    or () for none."""
    return words_of(forms, planar)[0]


@TABLES.keep
def coefficient_matrix(forms: tuple[Any, ...], planar: bool, dtype: str, transposed: bool) -> Table:
    """From the coefficients of `coefficient_words` to those of the trees."""
    words, matrix = words_of(forms, planar)
    return _form(matrix, len(words), dtype, transposed)


@TABLES.keep
def log_word_matrix(dimension: int, degree: int, method: int, dtype: str, transposed: bool) -> Table:
    """From log-signatures at all words to planar branched ones of method 1 or 2."""
    if not _any(dimension, degree):
        return _empty(dtype)
    n_words = tensor_length(dimension, degree)
    matrix = times(_coordinates(dimension, degree, method), _tree_words(dimension, degree, True), n_words)
    return _form(matrix, n_words, dtype, transposed)


@TABLES.keep
def coordinate_matrix(dimension: int, degree: int, method: int, dtype: str, transposed: bool) -> Table:
    """From logarithms at all planar forests to their coordinates of method 1 or 2."""
    if not _any(dimension, degree):
        return _empty(dtype)
    n_forests = sum(basis_counts(dimension, degree, True))
    return _form(_coordinates(dimension, degree, method), n_forests, dtype, transposed)


@TABLES.keep
def expansion_matrix(dimension: int, degree: int, method: int, dtype: str, transposed: bool) -> Table:
    """From coordinates of method 1 or 2 to logarithms at all planar forests."""
    if not _any(dimension, degree):
        return _empty(dtype)
    n_lyndon = sum(lyndon_counts(dimension, degree))
    lyndon, matrix = build_brackets(dimension, degree)
    if method == 1:
        # E P^-1: of the coordinates of method 2 only the columns of Lyndon forests are left.
        inverse = _coordinates(dimension, degree, 2)
        place = np.zeros(int(lyndon.words[-1]), np.int32)
        place[lyndon.words - 1] = np.arange(n_lyndon)
        matrix = times(matrix, inverse._replace(columns=place[inverse.columns]), n_lyndon)
    return _form(matrix, n_lyndon, dtype, transposed)


@TABLES.keep
def cut_tables(dimension: int, degree: int, planar: bool, dtype: str) -> Table:
    """`coproducts.Cuts`: starts, pruned, trunks, ways, ends, products."""
    if not _any(dimension, degree):
        starts, columns, values = _empty(dtype)
        return starts, columns, columns, values, starts, columns.reshape(0, 2)
    cuts = _cuts(dimension, degree, planar)
    return _frozen(*cuts._replace(ways=cuts.ways.astype(dtype)))


@TABLES.keep
def cuts_by_trunks(dimension: int, degree: int, planar: bool, dtype: str) -> Table:
    """`cut_gathers.by_trunks`: starts, pruned, wholes, ways. dimension and degree at least 1."""
    starts, pruned, wholes, ways = by_trunks(_cuts(dimension, degree, planar))
    return _frozen(starts, pruned, wholes, ways.astype(dtype))


@TABLES.keep
def cuts_by_pruned(dimension: int, degree: int, planar: bool, dtype: str) -> Table:
    """`cut_gathers.by_pruned`: starts, what else is pruned, wholes, trunks, ways. dimension and degree at least 1."""
    starts, others, wholes, trunks, ways = by_pruned(_cuts(dimension, degree, planar))
    return _frozen(starts, others, wholes, trunks, ways.astype(dtype))


@TABLES.keep
def flow_tables(dimension: int, degree: int, m: int, planar: bool, dtype: str) -> Table:
    """`tree_flow.Flow`, the first eight for what goes forward. dimension and degree at least 1."""
    flow = build_flow(_cuts(dimension, degree, planar), dimension, degree, m, planar)
    return _frozen(*flow._replace(weight_ways=flow.weight_ways.astype(dtype)))


@TABLES.keep
def flow_starts(dimension: int, degree: int, m: int, planar: bool, dtype: str) -> Table:
    """For who takes elements one by one in the order of `Flow.rows`: where the sources of each begin, and behind the
    last one; where its weights begin. And where the weights of each number of l begin."""
    runs, *_, weight_terms = flow_tables(dimension, degree, m, planar, dtype)[:7]
    lengths = runs[:, 1] - runs[:, 0]
    starts = np.concatenate([[0], np.cumsum(np.repeat(runs[:, 2], lengths))])
    n_terms = sum(dimension**q for q in range(1, m + 1))
    return _frozen(starts, np.repeat(runs[:, 3], lengths), np.searchsorted(weight_terms, np.arange(n_terms + 1)))


@TABLES.keep
def _tree_words(dimension: int, degree: int, planar: bool) -> SparseMatrix:
    return build_tree_words(dimension, degree, planar)


@TABLES.keep
def _coordinates(dimension: int, degree: int, method: int) -> SparseMatrix:
    return build_coordinates(dimension, degree, method)


@TABLES.keep
def _cuts(dimension: int, degree: int, planar: bool) -> Cuts:
    return build_cuts(dimension, degree, planar)


def _any(dimension: int, degree: int) -> bool:
    return dimension > 0 and degree > 0


def _empty(dtype: str) -> Table:
    return _frozen(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, dtype))


def _form(matrix: SparseMatrix, n_columns: int, dtype: str, transposed: bool) -> Table:
    starts, columns, values = matrix
    if transposed:
        order = np.argsort(columns, kind="stable")
        rows: Ints = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        starts = _starts(columns[order].astype(np.int64), n_columns)
        columns, values = rows[order].astype(np.int32), values[order]
    return _frozen(starts, columns, values.astype(dtype))


def _frozen(*arrays: np.ndarray) -> Table:
    """Tables are shared: nobody may write to them."""
    for array in arrays:
        array.flags.writeable = False
    return arrays
