"""Lyndon words, their brackets and the tables that the log-signature kernels read.

Computed once on the host with plain NumPy, level by level, without a Python loop over words; shared by all backends. A
word of length n over the letters 0..d-1 is its code, the number with these n digits in base d: its position inside
level n of a signature. All tables list Lyndon words by length, then lexicographically.

Sources: J.-P. Duval, "Génération d'une section des classes de conjugaison et arbre des mots de Lyndon", Theoretical
Computer Science 60 (1988), for the words; C. Reutenauer, "Free Lie Algebras" (1993), chapter 5, for standard
factorisation and bracket basis.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._tables.sizes import SizeError, checked_tensor_length

# The loops count words shorter than the degree, and Lyndon words, with 32 bits; more than this many would not fit
# into memory anyway.
_MAX_SHORTER = 2**31 - 1
_MAX_LYNDON = 2**28
_MAX_LETTERS = 2**16
# Terms of brackets held in memory at a time.
_CHUNK = 2**21
# Most letters that one row of a loop computes side by side.
_ROW_WIDTH = 8

Ints = NDArray[np.int64]


class Words(NamedTuple):
    """Words of one length: their codes in ascending order, and of each the length of its longest Lyndon prefix."""

    codes: Ints
    periods: Ints


class SparseMatrix(NamedTuple):
    """A square integer matrix by rows: row i has `values[k]` in `columns[k]`, starts[i] <= k < starts[i + 1]."""

    starts: Ints
    columns: NDArray[np.int32]
    values: Ints


class LevelMatrix(NamedTuple):
    """The rows of a strictly triangular matrix that are not empty, in levels that can be solved at once: a row has
    entries only in columns that belong to earlier levels, or to empty rows.

    Level l is ends[l - 1] <= e < ends[l] (the first from 0); row `rows[e]` has `values[k]` in `columns[k]`,
    starts[e] <= k < starts[e + 1].
    """

    ends: Ints
    rows: NDArray[np.int32]
    starts: Ints
    columns: NDArray[np.int32]
    values: Ints


class LyndonTables(NamedTuple):
    """What the loops need to know about the Lyndon words of length 1 to `degree`.

    `index` (n,): where each word stands in a signature without scalar term. Words that agree but for the last letter
    form rows of consecutive words, cut at 8 words. `segments` (m, 4): word length n > 1, words per row, number of rows,
    position of the first row in `entries`. A row takes 2n - 1 entries: the rank of its first word w among all Lyndon
    words, then for i = 1..n-1 the positions of the prefix w[:i] and the suffix w[i:] in a signature.
    """

    index: Ints  # type: ignore[assignment]  # hides tuple.index
    segments: Ints
    entries: NDArray[np.int32]


def mobius(n: int) -> int:
    """Möbius function: (-1)^k for a product of k distinct primes, 0 if a square divides n."""
    result, factor = 1, 2
    while factor * factor <= n:
        if n % factor == 0:
            n //= factor
            if n % factor == 0:
                return 0
            result = -result
        factor += 1
    return -result if n > 1 else result


def count_lyndon_words(dimension: int, length: int) -> int:
    """Number of Lyndon words of one length (Witt's formula), exact for any size."""
    return sum(mobius(k) * dimension ** (length // k) for k in range(1, length + 1) if length % k == 0) // length


def log_sig_size(dimension: int, degree: int) -> int:
    """Number of Lyndon words of length 1 to `degree`; ValueError if the signature passes what 64 bits can count."""
    if dimension == 1:
        return min(degree, 1)
    checked_tensor_length(dimension, degree)
    return sum(count_lyndon_words(dimension, length) for length in range(1, degree + 1))


def prenecklaces(dimension: int, degree: int) -> list[Words]:
    """The words of each length 1..degree that are prefixes of powers of Lyndon words.

    u j is one if the letter j is at least the letter c that would continue u with its period; it is Lyndon (its period
    is its length) if j > c, and keeps the period of u if j = c. So each level follows from the one before.
    """
    codes = np.arange(dimension, dtype=np.int64)
    levels = [Words(codes, np.ones(dimension, np.int64))]
    for length in range(2, degree + 1):
        codes, periods = levels[-1]
        least = _continuation(levels[-1], dimension)
        repeats = dimension - least
        letters = _ragged_arange(repeats) + np.repeat(least, repeats)
        grown = np.where(letters > np.repeat(least, repeats), length, np.repeat(periods, repeats))
        levels.append(Words(np.repeat(codes, repeats) * dimension + letters, grown))
    return levels


def lyndon_codes(dimension: int, degree: int) -> list[Ints]:
    """Codes of the Lyndon words of each length 1..degree, ascending (lexicographic)."""
    levels = prenecklaces(dimension, degree)
    return [level.codes[level.periods == length] for length, level in enumerate(levels, 1)]


def letters_of(codes: Ints, dimension: int, length: int) -> Ints:
    """The letters of words of one length: shape (number of words, length)."""
    return codes[:, None] // dimension ** np.arange(length - 1, -1, -1, dtype=np.int64) % dimension


def _continuation(words: Words, dimension: int) -> Ints:
    """The letter that continues each word with its own period."""
    return words.codes // dimension ** (words.periods - 1) % dimension


def _ragged_arange(counts: Ints) -> Ints:
    """0..counts[0]-1, 0..counts[1]-1, ..."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0, dtype=np.int64) - np.repeat(ends - counts, counts)


def _rank(sorted_codes: Ints, codes: Ints) -> Ints:
    """Positions of `codes` in `sorted_codes`, -1 where absent."""
    if len(sorted_codes) == 0:
        return np.full(len(codes), -1, np.int64)
    rank = np.searchsorted(sorted_codes, codes)
    rank[rank == len(sorted_codes)] = 0
    return np.where(sorted_codes[rank] == codes, rank, -1)


def level_start(dimension: int, length: int) -> int:
    """Where the words of one length begin in a signature without scalar term."""
    return length - 1 if dimension == 1 else (dimension**length - dimension) // (dimension - 1)


@lru_cache(maxsize=256)
def checked_size(dimension: int, degree: int) -> int:
    """`log_sig_size`, or SizeError if the Lyndon tables of this dimension and degree are out of reach."""
    n_shorter = checked_tensor_length(dimension, degree) // dimension
    size = log_sig_size(dimension, degree)
    if n_shorter > _MAX_SHORTER or size > _MAX_LYNDON or (dimension == 1 and degree > _MAX_LETTERS):
        raise SizeError(f"the log-signature of dimension {dimension} and degree {degree} is too large")
    return size


def build_tables(dimension: int, degree: int) -> LyndonTables:
    """The tables for one dimension and degree, both at least 1."""
    checked_size(dimension, degree)
    levels = prenecklaces(dimension, degree)
    index = [level.codes[level.periods == n] + level_start(dimension, n) for n, level in enumerate(levels, 1)]
    segments: list[tuple[int, int, int, int]] = []
    entries: list[Ints] = []
    n_entries, n_words = 0, dimension
    for n in range(2, degree + 1):
        # Rows: u c for every prenecklace u of length n - 1 and all letters c after the one that continues u.
        first = _continuation(levels[n - 2], dimension) + 1
        widths = dimension - first
        ranks = n_words + np.cumsum(widths) - widths
        n_words += int(widths.sum())
        # Long rows are cut.
        n_cuts = -(-widths // _ROW_WIDTH)
        shift = _ragged_arange(n_cuts) * _ROW_WIDTH
        prefix = np.repeat(levels[n - 2].codes, n_cuts)
        first = np.repeat(first, n_cuts) + shift
        ranks = np.repeat(ranks, n_cuts) + shift
        widths = np.minimum(np.repeat(widths, n_cuts) - shift, _ROW_WIDTH)
        rows = np.empty((len(prefix), 2 * n - 1), np.int64)
        rows[:, 0] = ranks
        for i in range(1, n):
            scale = dimension ** (n - 1 - i)
            rows[:, 2 * i - 1] = level_start(dimension, i) + prefix // scale
            rows[:, 2 * i] = level_start(dimension, n - i) + prefix % scale * dimension + first
        for width in range(1, _ROW_WIDTH + 1):
            chosen = rows[widths == width]
            if len(chosen):
                segments.append((n, width, len(chosen), n_entries))
                entries.append(chosen.ravel())
                n_entries += chosen.size
    return LyndonTables(
        np.concatenate(index),
        np.array(segments, np.int64).reshape(-1, 4),
        np.concatenate(entries).astype(np.int32) if entries else np.zeros(0, np.int32),
    )


class _Sums(NamedTuple):
    """Sparse integer combinations of words: row i holds `coefficients[k]` times the word `codes[k]`, k in
    starts[i]..starts[i+1].
    """

    starts: Ints
    codes: Ints
    coefficients: Ints


_NO_TERMS = tuple(np.zeros(0, np.int64) for _ in range(3))


def _collected(n_codes: int, rows: Ints, codes: Ints, coefficients: Ints) -> tuple[Ints, Ints, Ints]:
    """The terms sorted by row and code, equal ones added up, zeros dropped."""
    keys = rows * n_codes + codes
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    is_first = np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]
    sums = np.add.reduceat(coefficients[order], np.flatnonzero(is_first)) if len(keys) else coefficients
    keys = keys[is_first][sums != 0]
    return keys // n_codes, keys % n_codes, sums[sums != 0]


def _starts(rows: Ints, n_rows: int) -> Ints:
    """Where each row begins in the ascending list `rows`, and the end."""
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])


def _products(left: _Sums, left_rows: Ints, right: _Sums, right_rows: Ints) -> tuple[Ints, Ints, Ints]:
    """All pairs of terms of left[left_rows[i]] and right[right_rows[i]]: i, position in left, position in right."""
    n_left = np.diff(left.starts)[left_rows]
    n_right = np.diff(right.starts)[right_rows]
    row = np.repeat(np.arange(len(left_rows)), n_left * n_right)
    pair = _ragged_arange(n_left * n_right)
    a, b = np.divmod(pair, n_right[row])
    return row, left.starts[left_rows][row] + a, right.starts[right_rows][row] + b


def _standard_factorisation(codes: list[Ints], dimension: int, n: int) -> tuple[Ints, Ints, Ints]:
    """For each Lyndon word w = u v of length n, v its longest proper Lyndon suffix: length of u, ranks of u and v in
    their levels.
    """
    words = codes[n - 1]
    lengths, u_ranks, v_ranks = (np.zeros(len(words), np.int64) for _ in range(3))
    open_words = np.arange(len(words))
    for i in range(1, n):
        scale = dimension ** (n - i)
        rank = _rank(codes[n - i - 1], words[open_words] % scale)
        found = open_words[rank >= 0]
        lengths[found] = i
        v_ranks[found] = rank[rank >= 0]
        u_ranks[found] = _rank(codes[i - 1], words[found] // scale)
        open_words = open_words[rank < 0]
    return lengths, u_ranks, v_ranks


def _bracket(brackets: list[_Sums], dimension: int, k: int, n: int, u: Ints, v: Ints) -> tuple[Ints, Ints, Ints]:
    """Terms (row, code, coefficient) of [u_i][v_i] - [v_i][u_i], the u_i of length k and the v_i of length n - k given
    by their ranks.
    """
    left, right = brackets[k - 1], brackets[n - k - 1]
    row, a, b = _products(left, u, right, v)
    coefficient = left.coefficients[a] * right.coefficients[b]
    uv = left.codes[a] * dimension ** (n - k) + right.codes[b]
    vu = right.codes[b] * dimension**k + left.codes[a]
    return np.concatenate([row, row]), np.concatenate([uv, vu]), np.concatenate([coefficient, -coefficient])


def _chunks(sizes: Ints) -> list[slice]:
    """Cut a range of rows so that the rows of a piece have about `_CHUNK` terms together."""
    pieces = np.cumsum(sizes) // _CHUNK
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(pieces)) + 1, [len(sizes)]])
    return [slice(a, b) for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True) if b > a]


def build_projection(dimension: int, degree: int) -> SparseMatrix:
    """P - 1: off-diagonal coefficients of the Lyndon words (rows) in the expanded Lyndon brackets (columns).

    P is unit lower triangular; it turns coordinates in the Lyndon basis into the coefficients of the Lyndon words.
    """
    checked_size(dimension, degree)
    codes = lyndon_codes(dimension, degree)
    brackets = [_Sums(np.arange(dimension + 1), codes[0], np.ones(dimension, np.int64))]
    found: list[tuple[Ints, Ints, Ints]] = []
    n_words = dimension
    for n in range(2, degree + 1):
        words = codes[n - 1]
        lengths, u, v = _standard_factorisation(codes, dimension, n)
        terms: list[tuple[Ints, Ints, Ints]] = []
        for k in range(1, n):
            group = np.flatnonzero(lengths == k)
            sizes = np.diff(brackets[k - 1].starts)[u[group]] * np.diff(brackets[n - k - 1].starts)[v[group]]
            for piece in _chunks(sizes):
                row, code, coefficient = _bracket(brackets, dimension, k, n, u[group[piece]], v[group[piece]])
                if n == degree:
                    # Nothing is built from the longest brackets: only their Lyndon words count.
                    keep = _rank(words, code) >= 0
                    row, code, coefficient = row[keep], code[keep], coefficient[keep]
                terms.append(_collected(dimension**n, group[piece][row], code, coefficient))
        row, code, coefficient = (np.concatenate(part) for part in zip(*terms, strict=True)) if terms else _NO_TERMS
        order = np.argsort(row, kind="stable")
        row, code, coefficient = row[order], code[order], coefficient[order]
        brackets.append(_Sums(_starts(row, len(words)), code, coefficient))
        rank = _rank(words, code)
        keep = (rank >= 0) & (rank != row)
        found.append((rank[keep] + n_words, row[keep] + n_words, coefficient[keep]))
        n_words += len(words)
    return _sparse_matrix(n_words, found)


def invert(matrix: SparseMatrix) -> SparseMatrix:
    """P^-1 - 1 from P - 1 = M: the sum of the powers (-M)^k, which ends because M is strictly triangular."""
    size = len(matrix.starts) - 1
    minus = _Sums(matrix.starts, matrix.columns.astype(np.int64), -matrix.values)
    found, power = [], minus
    while len(power.codes):
        rows = np.repeat(np.arange(size), np.diff(power.starts))
        found.append((rows, power.codes, power.coefficients))
        # power times -M: every entry (row, column) meets the row `column` of -M.
        single = _Sums(np.arange(len(rows) + 1), power.codes, power.coefficients)
        pair, a, b = _products(single, np.arange(len(rows)), minus, power.codes)
        row, code, value = _collected(size, rows[pair], minus.codes[b], single.coefficients[a] * minus.coefficients[b])
        power = _Sums(_starts(row, size), code, value)
    return _sparse_matrix(size, found)


def _sparse_matrix(size: int, found: list[tuple[Ints, Ints, Ints]]) -> SparseMatrix:
    rows, columns, values = (np.concatenate(part) for part in zip(*found, strict=True)) if found else _NO_TERMS
    rows, columns, values = _collected(size, rows, columns, values)
    return SparseMatrix(_starts(rows, size), columns.astype(np.int32), values)


def transposed(matrix: SparseMatrix) -> SparseMatrix:
    """The transpose, its rows sorted by column."""
    size = len(matrix.starts) - 1
    rows = np.repeat(np.arange(size), np.diff(matrix.starts))
    order = np.argsort(matrix.columns, kind="stable")
    columns = matrix.columns[order].astype(np.int64)
    return SparseMatrix(_starts(columns, size), rows[order].astype(np.int32), matrix.values[order])


def by_levels(matrix: SparseMatrix) -> LevelMatrix:
    """The rows of a strictly triangular matrix, lower or upper, in levels."""
    counts = np.diff(matrix.starts)
    rows = np.flatnonzero(counts)
    depths = np.zeros(len(counts), np.int64)
    while len(rows):
        # A row is one level behind the last row that it reads.
        found = np.maximum.reduceat(depths[matrix.columns], matrix.starts[rows]) + 1
        if np.array_equal(found, depths[rows]):
            break
        depths[rows] = found
    rows = rows[np.argsort(depths[rows], kind="stable")]
    entries = np.repeat(matrix.starts[rows], counts[rows]) + _ragged_arange(counts[rows])
    return LevelMatrix(
        np.cumsum(np.bincount(depths[rows])[1:]),
        rows.astype(np.int32),
        np.concatenate([[0], np.cumsum(counts[rows])]),
        matrix.columns[entries],
        matrix.values[entries],
    )
