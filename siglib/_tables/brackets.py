"""From coordinates of log-signatures to values at all words: the expansion of Lyndon brackets.

The columns of the matrix E are the brackets of the Lyndon words, written out in words; so E takes coordinates in the
Lyndon basis (method 2) to log S. For values at Lyndon words (method 1) it is E P^-1.
"""

from functools import lru_cache

import numpy as np

from . import lyndon
from .lyndon import Ints, SparseMatrix

# More terms than this are not built: brackets of n letters have up to 2^(n-1).
_MAX_TERMS = 2**26


@lru_cache(maxsize=256)
def check_size(dimension: int, degree: int) -> None:
    """ValueError if the brackets of this dimension and degree have too many terms."""
    size = 0
    for n in range(1, degree + 1):
        size += lyndon.count_lyndon_words(dimension, n) * 2 ** (n - 1)
        if size > _MAX_TERMS:
            raise ValueError(f"the brackets of dimension {dimension} and degree {degree} have too many terms")


def build_expansion(dimension: int, degree: int) -> SparseMatrix:
    """E: a row for each word of length 1 to `degree`, a column for each Lyndon word; both numbers at least 1."""
    lyndon.checked_size(dimension, degree)
    check_size(dimension, degree)
    codes = lyndon.lyndon_codes(dimension, degree)
    brackets = [lyndon._Sums(np.arange(dimension + 1), codes[0], np.ones(dimension, np.int64))]
    for n in range(2, degree + 1):
        lengths, u, v = lyndon._standard_factorisation(codes, dimension, n)
        terms: list[tuple[Ints, Ints, Ints]] = []
        for k in range(1, n):
            group = np.flatnonzero(lengths == k)
            sizes = np.diff(brackets[k - 1].starts)[u[group]] * np.diff(brackets[n - k - 1].starts)[v[group]]
            for piece in lyndon._chunks(sizes):
                row, code, coefficient = lyndon._bracket(brackets, dimension, k, n, u[group[piece]], v[group[piece]])
                terms.append(lyndon._collected(dimension**n, group[piece][row], code, coefficient))
        row, code, coefficient = (
            (np.concatenate(part) for part in zip(*terms, strict=True)) if terms else lyndon._NO_TERMS
        )
        order = np.argsort(row, kind="stable")
        row, code, coefficient = row[order], code[order], coefficient[order]
        brackets.append(lyndon._Sums(lyndon._starts(row, len(codes[n - 1])), code, coefficient))
    words, columns, values, n_words = [], [], [], 0
    for n, level in enumerate(brackets, 1):
        words.append(level.codes + lyndon.level_start(dimension, n))
        columns.append(n_words + np.repeat(np.arange(len(codes[n - 1])), np.diff(level.starts)))
        values.append(level.coefficients)
        n_words += len(codes[n - 1])
    n_rows = lyndon.level_start(dimension, degree + 1)
    return _matrix(n_rows, n_words, np.concatenate(words), np.concatenate(columns), np.concatenate(values))


def times_inverse(expansion: SparseMatrix, projection: SparseMatrix) -> SparseMatrix:
    """E P^-1, from E and P - 1."""
    inverse = lyndon.invert(projection)
    n_rows, n_words = len(expansion.starts) - 1, len(projection.starts) - 1
    rows = np.repeat(np.arange(n_rows), np.diff(expansion.starts))
    columns = expansion.columns.astype(np.int64)
    single = lyndon._Sums(np.arange(len(rows) + 1), columns, expansion.values)
    right = lyndon._Sums(inverse.starts, inverse.columns.astype(np.int64), inverse.values)
    entry, a, b = lyndon._products(single, np.arange(len(rows)), right, columns)
    return _matrix(
        n_rows,
        n_words,
        np.concatenate([rows, rows[entry]]),
        np.concatenate([columns, right.codes[b]]),
        np.concatenate([expansion.values, single.coefficients[a] * right.coefficients[b]]),
    )


def _matrix(n_rows: int, n_columns: int, rows: Ints, columns: Ints, values: Ints) -> SparseMatrix:
    """The entries row by row, equal places added up."""
    rows, columns, values = lyndon._collected(n_columns, rows, columns, values)
    return SparseMatrix(lyndon._starts(rows, n_rows), columns.astype(np.int32), values)


def by_columns(matrix: SparseMatrix, n_columns: int) -> SparseMatrix:
    """The transpose of a matrix that need not be square."""
    rows = np.repeat(np.arange(len(matrix.starts) - 1), np.diff(matrix.starts))
    order = np.argsort(matrix.columns, kind="stable")
    starts = lyndon._starts(matrix.columns[order].astype(np.int64), n_columns)
    return SparseMatrix(starts, rows[order].astype(np.int32), matrix.values[order])
