"""Branched signatures on the CPU: operations on rows of NumPy arrays, from compiled loops and tables.

Behind `loops`, the compiled modules of one floating type, all arrays are C-contiguous, of one dtype, float64 or
float32, and have one row for each item; `out` is written.
Branched signatures and logarithms may begin with a scalar term: then the length of the row is one more. dimension
counts the channels after all transforms, and is at least 1. What `x_backprop` gets and writes is what `x` reads, in the
order derivatives, arguments, results.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from .._tables import tree_tables
from .._tables.forests import branched_length, log_length
from .._tables.sizes import tensor_length
from .._tables.time import sets_time_words, time_powers
from .._tables.transform import Transform

Array = np.ndarray


def branched_sig(loops: Any, sig: Array, out: Array, dimension: int, degree: int, planar: bool, n_threads: int) -> None:
    """From signatures, with or without scalar term."""
    table = tree_tables.word_matrix(dimension, degree, planar, loops.dtype, False)
    _apply(loops, table, sig, out, tensor_length(dimension, degree), 1.0, n_threads)


def branched_sig_backprop(
    loops: Any, derivs: Array, out: Array, dimension: int, degree: int, planar: bool, n_threads: int
) -> None:
    """From derivatives by branched signatures to those by signatures."""
    table = tree_tables.word_matrix(dimension, degree, planar, loops.dtype, True)
    _apply(loops, table, derivs, out, branched_length(dimension, degree, planar), 0.0, n_threads)


def sig_of_branched_sig(
    loops: Any, bsig: Array, out: Array, dimension: int, degree: int, planar: bool, n_threads: int
) -> None:
    """The signature that a branched signature without correction came from: its values at chains."""
    table = tree_tables.chain_matrix(dimension, degree, planar, loops.dtype)
    _apply(loops, table, bsig, out, branched_length(dimension, degree, planar), 1.0, n_threads)


def branched_log_sig(
    loops: Any, log_sig: Array, out: Array, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    """From log-signatures at all words (method 0), with or without scalar term, to branched ones of method 0, 1 or 2;
    only method 0 may have a scalar term."""
    table = _log_table(dimension, degree, planar, method, loops.dtype, False)
    _apply(loops, table, log_sig, out, tensor_length(dimension, degree), 0.0, n_threads)


def branched_log_sig_backprop(
    loops: Any, derivs: Array, out: Array, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    table = _log_table(dimension, degree, planar, method, loops.dtype, True)
    _apply(loops, table, derivs, out, log_length(dimension, degree, planar, method), 0.0, n_threads)


def coefficients(loops: Any, coefs: Array, out: Array, forms: Any, planar: bool, n_threads: int) -> None:
    """From the coefficients of `tree_tables.coefficient_words` to those of trees."""
    table = tree_tables.coefficient_matrix(forms, planar, loops.dtype, False)
    _apply(loops, table, coefs, out, coefs.shape[1], 0.0, n_threads)


def coefficients_backprop(loops: Any, derivs: Array, out: Array, forms: Any, planar: bool, n_threads: int) -> None:
    table = tree_tables.coefficient_matrix(forms, planar, loops.dtype, True)
    _apply(loops, table, derivs, out, derivs.shape[1], 0.0, n_threads)


def branched_sig_combine(
    loops: Any, bsig1: Array, bsig2: Array, out: Array, dimension: int, degree: int, planar: bool, n_threads: int
) -> None:
    """Products, bsig1 being the earlier path. Scalar terms are taken to be 1."""
    table = tree_tables.cut_tables(dimension, degree, planar, loops.dtype)
    loops.branched_product.combine(bsig1, bsig2, *table, out, n_threads)


def branched_sig_combine_backprop(
    loops: Any,
    derivs: Array,
    bsig1: Array,
    bsig2: Array,
    bsig1_derivs: Array,
    bsig2_derivs: Array,
    dimension: int,
    degree: int,
    planar: bool,
    n_threads: int,
) -> None:
    table = tree_tables.cut_tables(dimension, degree, planar, loops.dtype)
    loops.branched_product.combine_backprop(derivs, bsig1, bsig2, *table, bsig1_derivs, bsig2_derivs, n_threads)


def branched_sig_to_log_sig(
    loops: Any, bsig: Array, out: Array, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    """Logarithms of any branched signatures, by method 0, 1 or 2; only method 0 may have a scalar term."""
    dtype = loops.dtype
    table = tree_tables.cut_tables(dimension, degree, planar, dtype)
    log = out if method == 0 else np.empty_like(bsig)
    loops.branched_product.series(bsig, *table, _log_constants(degree, dtype), log, 0.0, True, n_threads)
    if method:
        coordinates = tree_tables.coordinate_matrix(dimension, degree, method, dtype, False)
        _apply(loops, coordinates, log, out, branched_length(dimension, degree, planar), 0.0, n_threads)


def branched_sig_to_log_sig_backprop(
    loops: Any,
    derivs: Array,
    bsig: Array,
    out: Array,
    dimension: int,
    degree: int,
    planar: bool,
    method: int,
    n_threads: int,
) -> None:
    dtype = loops.dtype
    table = tree_tables.cut_tables(dimension, degree, planar, dtype)
    if method:
        coordinates = tree_tables.coordinate_matrix(dimension, degree, method, dtype, True)
        log_derivs = np.empty_like(bsig)
        _apply(loops, coordinates, derivs, log_derivs, log_length(dimension, degree, planar, method), 0.0, n_threads)
    else:
        log_derivs = derivs
    loops.branched_product.series_backprop(
        bsig, log_derivs, *table, _log_constants(degree, dtype), out, True, n_threads
    )


def branched_logsig_to_sig(
    loops: Any, log_sig: Array, out: Array, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    """Exponentials: the inverse of `branched_sig_to_log_sig`."""
    dtype = loops.dtype
    table = tree_tables.cut_tables(dimension, degree, planar, dtype)
    log = _expanded(loops, log_sig, out, dimension, degree, method, n_threads)
    loops.branched_product.series(log, *table, _exp_constants(degree, dtype), out, 1.0, planar, n_threads)


def branched_logsig_to_sig_backprop(
    loops: Any,
    derivs: Array,
    log_sig: Array,
    out: Array,
    dimension: int,
    degree: int,
    planar: bool,
    method: int,
    n_threads: int,
) -> None:
    dtype = loops.dtype
    table = tree_tables.cut_tables(dimension, degree, planar, dtype)
    log = _expanded(loops, log_sig, derivs, dimension, degree, method, n_threads)
    log_derivs = np.empty_like(log) if method else out
    loops.branched_product.series_backprop(
        log, derivs, *table, _exp_constants(degree, dtype), log_derivs, planar, n_threads
    )
    if method:
        expansion = tree_tables.expansion_matrix(dimension, degree, method, dtype, True)
        _apply(loops, expansion, log_derivs, out, branched_length(dimension, degree, planar), 0.0, n_threads)


def corrected_branched_sig(
    loops: Any,
    path: Array,
    correction: Array,
    out: Array,
    degree: int,
    m: int,
    planar: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """path (batch, length, dimension), of any strides, at least two points; correction (batch or 1, length - 1 or 1,
    D^2 + .. + D^m) with D channels, time being the last of them if `time_aug`. 2 <= m <= degree; or m = 1 without any
    numbers in the correction."""
    dimension = path.shape[-1] + transform.time_aug
    tables = tree_tables.flow_tables(dimension, degree, m, planar, loops.dtype)
    loops.branched_flow.branched_sig(path, correction, *tables[:8], out, transform, n_threads)
    if sets_time_words(transform.time_aug, out.itemsize, path.shape[1] - 1):
        places, nodes, counts = tree_tables.time_trees(dimension, degree, planar)
        skip = out.shape[1] - branched_length(dimension, degree, planar)
        with np.errstate(over="ignore"):
            out[:, places + skip] = counts * np.array(time_powers(transform.end_time, degree))[nodes]


def corrected_branched_sig_backprop(
    loops: Any,
    derivs: Array,
    path: Array,
    correction: Array,
    bsig: Array,
    path_derivs: Array,
    correction_derivs: Array,
    degree: int,
    m: int,
    planar: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """path_derivs is C-contiguous; correction_derivs (batch, as correction), or (0, 0, 0) if not wanted."""
    tables = tree_tables.flow_tables(path.shape[-1] + transform.time_aug, degree, m, planar, loops.dtype)
    loops.branched_flow.branched_sig_backprop(
        path, correction, bsig, derivs, *tables, path_derivs, correction_derivs, transform, n_threads
    )


def _apply(loops: Any, table: Any, vectors: Array, out: Array, n_columns: int, scalar: float, n_threads: int) -> None:
    skip = vectors.shape[1] - n_columns
    loops.sparse.apply(vectors, *table, out, skip, scalar, n_threads)


def _log_table(dimension: int, degree: int, planar: bool, method: int, dtype: str, transposed: bool) -> Any:
    if method == 0:
        return tree_tables.word_matrix(dimension, degree, planar, dtype, transposed)
    return tree_tables.log_word_matrix(dimension, degree, method, dtype, transposed)


def _expanded(
    loops: Any, log_sig: Array, like: Array, dimension: int, degree: int, method: int, n_threads: int
) -> Array:
    """The logarithm at all trees or forests, in the shape of `like`."""
    if method == 0:
        return log_sig
    log = np.empty_like(like)
    expansion = tree_tables.expansion_matrix(dimension, degree, method, loops.dtype, False)
    _apply(loops, expansion, log_sig, log, log_length(dimension, degree, True, method), 0.0, n_threads)
    return log


@lru_cache(maxsize=256)
def _log_constants(degree: int, dtype: str) -> Array:
    """Of the series of log(1 + x)."""
    return np.array([0.0, *((-1) ** (k - 1) / k for k in range(1, degree + 1))], dtype)


@lru_cache(maxsize=256)
def _exp_constants(degree: int, dtype: str) -> Array:
    """Of the series of exp x - 1."""
    return np.concatenate([[0.0], np.cumprod(1 / np.arange(1.0, degree + 1))]).astype(dtype)
