"""The Lyndon tables of `lyndon.py`, built once per dimension and degree, kept in memory, and on disk if the caller
asks for it.

The first call that needs a table builds it. Files (`lyndon_files.py`) are only touched by
`prepare_log_sig(..., use_disk=True)`, which loads or writes them, and `clear_cache(use_disk=True)`, which removes them.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import brackets, lyndon, lyndon_files
from .cache import Cache, clear_all
from .lyndon import LyndonTables, SparseMatrix

_FOLDER = "siglib"

_NO_MATRIX = SparseMatrix(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))

_cache = Cache(2**30)
_entries = _cache.entries
_cache_dir: Path | None = None


def _once(key: tuple[Any, ...], build: Callable[[], Any]) -> Any:
    """The value of `key`, built by the first caller."""
    return _cache.once(key, lambda: _frozen(build()))


def _frozen(arrays: Any) -> Any:
    """Tables are shared: nobody may write to them."""
    for array in arrays:
        array.flags.writeable = False
    return arrays


def tables(dimension: int, degree: int) -> LyndonTables:
    """Lyndon words as the loops read them."""
    return _once(("tables", dimension, degree), lambda: lyndon.build_tables(dimension, degree))


def projection(dimension: int, degree: int) -> SparseMatrix:
    """P - 1, see `lyndon.build_projection`."""
    return _once(("projection", dimension, degree), lambda: lyndon.build_projection(dimension, degree))


def kernel_tables(dimension: int, degree: int, method: int, dtype: str) -> tuple[Any, ...]:
    """The constants of the log-signature kernels: the tables, then starts, columns and values of P - 1; empty where
    `method` needs none.
    """
    empty = np.zeros(0, np.int64)
    words = (
        tables(dimension, degree)
        if method and degree
        else LyndonTables(empty, empty.reshape(0, 4), empty.astype(np.int32))
    )
    matrix = (
        projection(dimension, degree) if method == 2 and degree else SparseMatrix(empty, empty.astype(np.int32), empty)
    )
    return (*words, matrix.starts, matrix.columns, matrix.values.astype(dtype))


def packed_tables(dimension: int, degree: int, method: int, dtype: str) -> np.ndarray:
    """The same in one array of integers, for loops on the CPU: six would cost a small call as much as its logarithm.

    The places where each begins, then one after another; what has other numbers fills integers up.
    """
    entry = _entries.get((dimension, degree, method, dtype))
    if entry is not None:
        entry.used = True
        return entry.value

    def build() -> np.ndarray:
        arrays = kernel_tables(dimension, degree, method, dtype)
        sizes = [-(-array.nbytes // 8) for array in arrays]
        places = len(arrays) + np.cumsum([0, *sizes])
        packed = np.zeros(places[-1], np.int64)
        packed[: len(arrays)] = places[:-1]
        for array, place, size in zip(arrays, places, sizes, strict=False):
            packed[place : place + size].view(array.dtype)[: array.size] = array.ravel()
        packed.flags.writeable = False
        return packed

    return _cache.once((dimension, degree, method, dtype), build)


def level_tables(dimension: int, degree: int, method: int, dtype: str, transposed: bool) -> tuple[Any, ...]:
    """The constants of the log-signature kernels that solve level by level: where the Lyndon words stand; then, for
    method 2, the rows of P - 1 or of its transpose as a `lyndon.LevelMatrix`, empty for others.
    """
    transposed = transposed and method == 2

    def build() -> tuple[Any, ...]:
        index, _, _, starts, columns, _ = kernel_tables(dimension, degree, method, dtype)
        matrix = SparseMatrix(starts, columns, projection(dimension, degree).values) if len(starts) else _NO_MATRIX
        ends, rows, starts, columns, values = lyndon.by_levels(lyndon.transposed(matrix) if transposed else matrix)
        return index, ends, rows, starts, columns, values.astype(dtype)

    return _once((dimension, degree, method, dtype, transposed), build)


def expansion(dimension: int, degree: int, method: int) -> SparseMatrix:
    """E of `brackets`, or for method 1 E P^-1: a row for each word, a column for each Lyndon word."""

    def build() -> SparseMatrix:
        if method == 1:
            return brackets.times_inverse(expansion(dimension, degree, 2), projection(dimension, degree))
        return brackets.build_expansion(dimension, degree)

    return _once(("expansion", dimension, degree, method), build)


def expansion_tables(dimension: int, degree: int, method: int, dtype: str) -> tuple[Any, ...]:
    """The constants of the loops of exponentials: `expansion` by columns, as starts, rows and values; empty for
    method 0 and degree 0.
    """

    def build() -> tuple[Any, ...]:
        if method == 0 or degree == 0:
            empty = np.zeros(0, np.int64)
            return empty, empty.astype(np.int32), empty.astype(dtype)
        n_lyndon = lyndon.checked_size(dimension, degree)
        starts, rows, values = brackets.by_columns(expansion(dimension, degree, method), n_lyndon)
        return starts, rows, values.astype(dtype)

    return _once(("expansion", dimension, degree, method, dtype), build)


def expansion_level_tables(dimension: int, degree: int, method: int, dtype: str, backward: bool) -> tuple[Any, ...]:
    """The same, negated, for loops that solve level by level: a `lyndon.LevelMatrix` of one level, for vectors that
    hold the coordinates first and all words behind; with `backward` that of the transpose, too.
    """

    def build() -> tuple[Any, ...]:
        starts, columns, values = expansion_tables(dimension, degree, 0, dtype)
        if method == 0 or degree == 0:
            return (starts, columns, starts, columns, values) * (1 + backward)
        matrix = expansion(dimension, degree, method)
        n_words, n_lyndon = len(matrix.starts) - 1, lyndon.checked_size(dimension, degree)
        values = -matrix.values.astype(dtype)
        starts = np.concatenate([np.zeros(n_lyndon, np.int64), matrix.starts])
        levels = lyndon.by_levels(SparseMatrix(starts, matrix.columns, values))
        if not backward:
            return tuple(levels)
        starts, rows, values = brackets.by_columns(matrix, n_lyndon)
        starts = np.concatenate([starts, np.full(n_words, starts[-1])])
        rows, values = (rows + n_lyndon).astype(np.int32), -values.astype(dtype)
        return (*levels, *lyndon.by_levels(SparseMatrix(starts, rows, values)))

    return _once(("expansion", dimension, degree, method, dtype, backward), build)


def product_tables(dimension: int, degree: int) -> tuple[Any, ...]:
    """The constants of the loops of products of log-signatures: of the logarithm, then of the exponential."""
    key = ("product", dimension, degree)
    return _cache.get(key) or _once(
        key, lambda: kernel_tables(dimension, degree, 2, "float64") + expansion_tables(dimension, degree, 2, "float64")
    )


def product_level_tables(dimension: int, degree: int, backward: bool) -> tuple[Any, ...]:
    """The same for loops that solve level by level; with `backward` those of the gradient."""

    def build() -> tuple[Any, ...]:
        sizes = (dimension, degree, 2, "float64", backward)
        return level_tables(*sizes) + expansion_level_tables(*sizes)

    return _once(("product", dimension, degree, backward), build)


def prepare(dimension: int, degree: int, method: int, use_disk: bool, levels: bool) -> None:
    """Build, or load, what `method` needs for this dimension and degree; with `levels`, what it needs on a GPU, too."""
    if method == 0 or degree == 0:
        return
    if use_disk:
        lyndon_files.remove(_folder(), all_files=False)
        _prepare_on_disk("tables", LyndonTables, _check_tables, lyndon.build_tables, dimension, degree)
        if method > 1:
            _prepare_on_disk("projection", SparseMatrix, _check_projection, lyndon.build_projection, dimension, degree)
    for dtype in ("float64", "float32"):
        packed_tables(dimension, degree, method, dtype)
        for transposed in (False, True) if levels else ():
            level_tables(dimension, degree, method, dtype, transposed)


def _prepare_on_disk(
    kind: str, table: Any, check: Callable[..., bool], build: Any, dimension: int, degree: int
) -> None:
    lyndon.checked_size(dimension, degree)
    key, path = (kind, dimension, degree), _folder() / f"{kind}_{dimension}_{degree}.npz"
    with _cache.lock:
        stored = lyndon_files.load(path, table, dimension, degree)
        if stored is not None and check(stored, dimension, degree):
            _once(key, lambda: stored)
        else:
            lyndon_files.store(path, _once(key, lambda: build(dimension, degree)), dimension, degree)


def _all_in(array: np.ndarray, low: int, high: int) -> bool:
    """Whether all numbers are in low..high-1."""
    return array.size == 0 or bool(low <= array.min() and array.max() < high)


def _check_tables(stored: LyndonTables, dimension: int, degree: int) -> bool:
    """Whether a stored table is what the loops may follow blindly."""
    n_words = lyndon.log_sig_size(dimension, degree)
    if not _same_form(stored, (np.int64, np.int64, np.int32), (1, 2, 1)):
        return False
    index, segments, entries = stored
    expected = [
        codes + lyndon.level_start(dimension, n) for n, codes in enumerate(lyndon.lyndon_codes(dimension, degree), 1)
    ]
    if not np.array_equal(index, np.concatenate(expected)) or segments.shape[1] != 4:
        return False
    position = 0
    for n, width, n_rows, start in segments.tolist():
        stop = start + n_rows * (2 * n - 1)
        if start != position or not (2 <= n <= degree and 1 <= width <= 8 and 0 < n_rows and stop <= len(entries)):
            return False
        rows = entries[start:stop].reshape(n_rows, 2 * n - 1)
        # Words, prefixes and suffixes all stay inside of their arrays.
        shorter = lyndon.level_start(dimension, n)
        if not _all_in(rows[:, 0], 0, n_words - width + 1) or not _all_in(rows[:, 1::2], 0, shorter):
            return False
        if not _all_in(rows[:, 2::2], 0, shorter - width + 1):
            return False
        position = stop
    return position == len(entries)


def _check_projection(stored: SparseMatrix, dimension: int, degree: int) -> bool:
    """Whether a stored matrix is strictly lower triangular and of the right size."""
    if not _same_form(stored, (np.int64, np.int32, np.int64), (1, 1, 1)):
        return False
    starts, columns, values = stored
    size = lyndon.log_sig_size(dimension, degree)
    if len(starts) != size + 1 or len(columns) != len(values) or starts[0] != 0 or starts[-1] != len(columns):
        return False
    counts = np.diff(starts)
    return (
        _all_in(counts, 0, len(columns) + 1)
        and _all_in(np.repeat(np.arange(size), counts) - columns, 1, size)
        and _all_in(columns, 0, size)
    )


def _same_form(stored: Any, dtypes: tuple[Any, ...], ndims: tuple[int, ...]) -> bool:
    return all(a.dtype == dtype and a.ndim == ndim for a, dtype, ndim in zip(stored, dtypes, ndims, strict=True))


def _folder() -> Path:
    """The folder of the files: `siglib` in the directory that was set, or else in that of the system for caches."""
    if _cache_dir is not None:
        return _cache_dir / _FOLDER
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / _FOLDER


def set_directory(directory: Path) -> None:
    """Keep files in the folder `siglib` of this directory from now on."""
    global _cache_dir
    if not directory.is_dir():
        raise ValueError(f"dir must be an existing directory, got {str(directory)!r}")
    _cache_dir = directory.resolve()


def clear(use_disk: bool) -> None:
    """Forget all tables of the library, and remove our files if `use_disk`."""
    clear_all()
    if use_disk:
        with _cache.lock:
            lyndon_files.remove(_folder(), all_files=True)
