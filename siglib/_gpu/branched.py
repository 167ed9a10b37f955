"""Launchers of branched signatures; arguments as in `siglib/_cpu/branched.py`, without the loops.

Sums over trees are those of the tables of the CPU, copied to the device once.
"""

from collections.abc import Sequence
from math import factorial
from typing import Any

from .._tables import tree_tables
from .._tables.forests import branched_length, log_length
from .._tables.sizes import tensor_length
from .._tables.transform import Transform
from . import sparse
from ._launch import empty
from .constants import constant
from .tree_flow import flow, flow_backprop
from .tree_products import combine, combine_backprop, series, series_backprop


def branched_sig(sig: Any, out: Any, dimension: int, degree: int, planar: bool, n_threads: int) -> None:
    """From signatures, with or without scalar term."""
    matrix = constant(tree_tables.word_matrix, dimension, degree, planar, out.dtype.name, False)
    _apply(sig, matrix, out, tensor_length(dimension, degree), 1.0)


def branched_sig_backprop(derivs: Any, out: Any, dimension: int, degree: int, planar: bool, n_threads: int) -> None:
    """From derivatives by branched signatures to those by signatures."""
    matrix = constant(tree_tables.word_matrix, dimension, degree, planar, out.dtype.name, True)
    _apply(derivs, matrix, out, branched_length(dimension, degree, planar), 0.0)


def sig_of_branched_sig(bsig: Any, out: Any, dimension: int, degree: int, planar: bool, n_threads: int) -> None:
    """The signature that a branched signature without correction came from: its values at chains."""
    matrix = constant(tree_tables.chain_matrix, dimension, degree, planar, out.dtype.name)
    _apply(bsig, matrix, out, branched_length(dimension, degree, planar), 1.0)


def branched_log_sig(
    log_sig: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    """From log-signatures at all words (method 0), with or without scalar term, to branched ones of method 0, 1 or 2;
    only method 0 may have a scalar term."""
    matrix = _log_matrix(dimension, degree, planar, method, out.dtype.name, False)
    _apply(log_sig, matrix, out, tensor_length(dimension, degree), 0.0)


def branched_log_sig_backprop(
    derivs: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    matrix = _log_matrix(dimension, degree, planar, method, out.dtype.name, True)
    _apply(derivs, matrix, out, log_length(dimension, degree, planar, method), 0.0)


def coefficients(coefs: Any, out: Any, forms: Any, planar: bool, n_threads: int) -> None:
    """From the coefficients of `tree_tables.coefficient_words` to those of trees."""
    matrix = constant(tree_tables.coefficient_matrix, forms, planar, out.dtype.name, False)
    _apply(coefs, matrix, out, coefs.shape[1], 0.0)


def coefficients_backprop(derivs: Any, out: Any, forms: Any, planar: bool, n_threads: int) -> None:
    matrix = constant(tree_tables.coefficient_matrix, forms, planar, out.dtype.name, True)
    _apply(derivs, matrix, out, derivs.shape[1], 0.0)


def branched_sig_combine(
    bsig1: Any, bsig2: Any, out: Any, dimension: int, degree: int, planar: bool, n_threads: int
) -> None:
    """Products, bsig1 being the earlier path. Scalar terms are taken to be 1."""
    combine(bsig1, bsig2, out, dimension, degree, planar)


def branched_sig_combine_backprop(
    derivs: Any,
    bsig1: Any,
    bsig2: Any,
    bsig1_derivs: Any,
    bsig2_derivs: Any,
    dimension: int,
    degree: int,
    planar: bool,
    n_threads: int,
) -> None:
    combine_backprop(derivs, bsig1, bsig2, bsig1_derivs, bsig2_derivs, dimension, degree, planar)


def branched_sig_to_log_sig(
    bsig: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    """Logarithms of any branched signatures, by method 0, 1 or 2; only method 0 may have a scalar term."""
    log = empty(bsig.shape, bsig) if method else out
    series(bsig, _log_constants(degree), log, dimension, degree, planar, 0.0, True)
    if method:
        matrix = constant(tree_tables.coordinate_matrix, dimension, degree, method, out.dtype.name, False)
        _apply(log, matrix, out, branched_length(dimension, degree, planar), 0.0)


def branched_sig_to_log_sig_backprop(
    derivs: Any, bsig: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    log_derivs = derivs
    if method:
        matrix = constant(tree_tables.coordinate_matrix, dimension, degree, method, out.dtype.name, True)
        log_derivs = empty(bsig.shape, bsig)
        _apply(derivs, matrix, log_derivs, log_length(dimension, degree, planar, method), 0.0)
    series_backprop(log_derivs, bsig, _log_constants(degree), out, dimension, degree, planar, True)


def branched_logsig_to_sig(
    log_sig: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    """Exponentials: the inverse of `branched_sig_to_log_sig`."""
    log = _expanded(log_sig, out, dimension, degree, method)
    series(log, _exp_constants(degree), out, dimension, degree, planar, 1.0, planar)


def branched_logsig_to_sig_backprop(
    derivs: Any, log_sig: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    log = _expanded(log_sig, derivs, dimension, degree, method)
    log_derivs = empty(log.shape, log) if method else out
    series_backprop(derivs, log, _exp_constants(degree), log_derivs, dimension, degree, planar, planar)
    if method:
        matrix = constant(tree_tables.expansion_matrix, dimension, degree, method, out.dtype.name, True)
        _apply(log_derivs, matrix, out, branched_length(dimension, degree, planar), 0.0)


def corrected_branched_sig(
    path: Any,
    correction: Any,
    out: Any,
    degree: int,
    m: int,
    planar: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """path (batch, length, dimension), of any strides, at least two points; correction (batch or 1, length - 1 or 1,
    D^2 + .. + D^m) with D channels, time being the last of them if `time_aug`. 2 <= m <= degree; or m = 1 without any
    numbers in the correction."""
    flow(path, correction, out, degree, m, planar, transform)


def corrected_branched_sig_backprop(
    derivs: Any,
    path: Any,
    correction: Any,
    bsig: Any,
    path_derivs: Any,
    correction_derivs: Any,
    degree: int,
    m: int,
    planar: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """path_derivs is C-contiguous; correction_derivs (batch, as correction), or (0, 0, 0) if not wanted."""
    flow_backprop(derivs, path, correction, bsig, path_derivs, correction_derivs, degree, m, planar, transform)


def _expanded(log_sig: Any, like: Any, dimension: int, degree: int, method: int) -> Any:
    """The logarithm at all trees or forests, in the shape of `like`."""
    if method == 0:
        return log_sig
    log = empty(like.shape, like)
    matrix = constant(tree_tables.expansion_matrix, dimension, degree, method, like.dtype.name, False)
    _apply(log_sig, matrix, log, log_length(dimension, degree, True, method), 0.0)
    return log


def _log_constants(degree: int) -> Sequence[float]:
    """Of the series of log(1 + x)."""
    return [0.0, *((-1) ** (k - 1) / k for k in range(1, degree + 1))]


def _exp_constants(degree: int) -> Sequence[float]:
    """Of the series of exp x - 1."""
    return [0.0, *(1 / factorial(k) for k in range(1, degree + 1))]


def _apply(vectors: Any, matrix: Any, out: Any, n_columns: int, scalar: float) -> None:
    starts, columns, values = matrix
    sparse.apply(vectors, starts, columns, values, out, vectors.shape[1] - n_columns, scalar, 1)


def _log_matrix(dimension: int, degree: int, planar: bool, method: int, dtype: str, transposed: bool) -> Any:
    if method == 0:
        return constant(tree_tables.word_matrix, dimension, degree, planar, dtype, transposed)
    return constant(tree_tables.log_word_matrix, dimension, degree, method, dtype, transposed)
