"""Launchers of exponentials; arguments as in `siglib/_cpu/exponential.pyx`, tables from
`lyndon_cache.expansion_level_tables`.

With the product of signatures, which counts 1 for the empty word, Horner's scheme t = (p + p (x) t) / k is
((1 + p) (x) (1 + t) - (1 + t)) / k.
"""

from typing import Any

from ._launch import empty, functions
from .log_signature import matrix_of, solve
from .sizes import slabs
from .tensor import sig_combine, sig_combine_backprop


def _apply(vectors: Any, matrix: tuple[Any, ...], n_first: int, n_rest: int, transposed: bool) -> Any:
    """The matrix from the first numbers of a vector to the rest, or its transpose the other way, applied."""
    source = empty((vectors.shape[0], n_first + n_rest), vectors)
    given, wanted = slice(None, n_first), slice(n_first, None)
    if transposed:
        given, wanted = wanted, given
    source[:, given] = vectors
    source[:, wanted] = 0
    solve(source, matrix_of(*matrix), source, matrix[0].shape[0])
    return functions().ascontiguousarray(source[:, wanted])


def _tensors(log_sig: Any, matrix: tuple[Any, ...], n_words: int, scalar_term: bool) -> Any:
    """What log-signatures stand for: numbers for all words."""
    if matrix[0].size:
        return _apply(log_sig, matrix, log_sig.shape[1], n_words, False)
    return functions().ascontiguousarray(log_sig[:, int(scalar_term) :])


def _tails(p: Any, dimension: int, degree: int) -> list[Any]:
    """t^(degree-1), .., t^(0) of Horner's scheme; the last one is exp(p) - 1."""
    tails = [p / degree]
    for k in range(degree - 1, 0, -1):
        t = tails[-1]
        following = empty(p.shape, p)
        sig_combine(p, t, following, dimension, degree, False, False, 1)
        following -= t
        following /= k
        tails.append(following)
    return tails


def logsig_to_sig(
    log_sig: Any, tables: tuple[Any, ...], out: Any, dimension: int, degree: int, scalar_term: bool, n_threads: int
) -> None:
    """log_sig (batch, number of Lyndon words), or of the shape of out; out (batch, scalar_term + length)."""
    if scalar_term:
        out[:, 0] = 1
    if degree == 0 or out.shape[0] == 0:
        return
    n_words = out.shape[1] - scalar_term
    for slab in slabs(out.shape[0], degree * n_words * out.itemsize):
        p = _tensors(log_sig[slab], tables, n_words, scalar_term)
        out[slab, int(scalar_term) :] = _tails(p, dimension, degree)[-1]


def logsig_to_sig_backprop(
    log_sig: Any,
    sig_derivs: Any,
    tables: tuple[Any, ...],
    out: Any,
    dimension: int,
    degree: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    """Adjoint of `logsig_to_sig`: out of the shape of log_sig; tables: the matrix, and that of the transpose."""
    matrix, transposed = tables[:5], tables[5:]
    if degree == 0 or out.shape[0] == 0:
        out[...] = 0
        return
    skip = int(scalar_term)
    n_words = sig_derivs.shape[1] - skip
    for slab in slabs(out.shape[0], 2 * degree * n_words * out.itemsize):
        p = _tensors(log_sig[slab], matrix, n_words, scalar_term)
        *tails, _ = _tails(p, dimension, degree)
        g = functions().ascontiguousarray(sig_derivs[slab, skip:])
        g_p = empty(p.shape, p)
        g_p[...] = 0
        for k, t in enumerate(reversed(tails), 1):
            g = g / k
            part, g_t = empty(p.shape, p), empty(p.shape, p)
            sig_combine_backprop(g, p, t, part, g_t, dimension, degree, False, False, 1)
            g_p += part
            g = g_t - g
        g_p += g / degree
        if matrix[0].size:
            out[slab] = _apply(g_p, transposed, out.shape[1], n_words, True)
        else:
            out[slab, :skip] = 0
            out[slab, skip:] = g_p
