"""Launchers of branched signatures; arguments as in `siglib/_cpu/branched.py`, without the loops.

Sums over trees are those of the tables of the CPU, copied to the device once.
"""

from typing import Any

from .._tables import tree_tables
from .._tables.forests import branched_length, log_length
from .._tables.sizes import tensor_length
from .branched_product import combine, combine_backprop
from .constants import constant
from .sparse import apply


def branched_sig(sig: Any, out: Any, dimension: int, degree: int, planar: bool, n_threads: int) -> None:
    """From signatures, with or without scalar term."""
    matrix = constant(tree_tables.word_matrix, dimension, degree, planar, out.dtype.name, False)
    apply(sig, matrix, out, tensor_length(dimension, degree), 1.0)


def branched_sig_backprop(derivs: Any, out: Any, dimension: int, degree: int, planar: bool, n_threads: int) -> None:
    """From derivatives by branched signatures to those by signatures."""
    matrix = constant(tree_tables.word_matrix, dimension, degree, planar, out.dtype.name, True)
    apply(derivs, matrix, out, branched_length(dimension, degree, planar), 0.0)


def sig_of_branched_sig(bsig: Any, out: Any, dimension: int, degree: int, planar: bool, n_threads: int) -> None:
    """The signature that a branched signature without correction came from: its values at chains."""
    matrix = constant(tree_tables.chain_matrix, dimension, degree, planar, out.dtype.name)
    apply(bsig, matrix, out, branched_length(dimension, degree, planar), 1.0)


def branched_log_sig(
    log_sig: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    """From log-signatures at all words (method 0), with or without scalar term, to branched ones of method 0, 1 or 2;
    only method 0 may have a scalar term."""
    matrix = _log_matrix(dimension, degree, planar, method, out.dtype.name, False)
    apply(log_sig, matrix, out, tensor_length(dimension, degree), 0.0)


def branched_log_sig_backprop(
    derivs: Any, out: Any, dimension: int, degree: int, planar: bool, method: int, n_threads: int
) -> None:
    matrix = _log_matrix(dimension, degree, planar, method, out.dtype.name, True)
    apply(derivs, matrix, out, log_length(dimension, degree, planar, method), 0.0)


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


def _log_matrix(dimension: int, degree: int, planar: bool, method: int, dtype: str, transposed: bool) -> Any:
    if method == 0:
        return constant(tree_tables.word_matrix, dimension, degree, planar, dtype, transposed)
    return constant(tree_tables.log_word_matrix, dimension, degree, method, dtype, transposed)
