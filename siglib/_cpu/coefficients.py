"""Single coefficients on the CPU: words become the tries that `coefficients.pyx` walks, for few long paths those of
their pieces, too.

Arguments behind `loops`, the compiled modules of one floating type, as in `siglib/_gpu/coefficients.py`.
"""

from typing import Any

import numpy as np

from .._tables.transform import Transform
from .._tables.word_trie import NO_PIECES, pieces, tables

_NO_COLUMNS = np.zeros(0, np.int32)
_NO_PIECES = (*NO_PIECES.trie, NO_PIECES.joins)


def sig_coef(
    loops: Any,
    path: np.ndarray,
    words: str,
    prefixes: bool,
    out: np.ndarray,
    transform: Transform,
    n_threads: int,
) -> None:
    """path (batch, length, dimension); out (batch, m): coefficients of encoded words, or of all their prefixes."""
    found = tables(words)
    columns = found.prefix_columns if prefixes else found.columns
    trie = _trie(path, words)
    loops.coefficients.sig_coef(path, columns, *found.trie, *trie, out, transform, n_threads)


def sig_coef_backprop(
    loops: Any,
    path: np.ndarray,
    words: str,
    coefs: np.ndarray | None,
    derivs: np.ndarray,
    prefixes: bool,
    out: np.ndarray,
    transform: Transform,
    n_threads: int,
) -> None:
    """path, out (batch, length, dimension); coefs (batch, m'): the coefficients of all prefixes, or None: they are
    computed; derivs (batch, m): derivatives, of the words or, if `prefixes`, of all prefixes."""
    found = tables(words)
    loops.coefficients.sig_coef_backprop(
        path,
        derivs[:, :0] if coefs is None else coefs,
        _NO_COLUMNS if coefs is None else found.prefix_columns,
        derivs,
        found.prefix_columns if prefixes else found.columns,
        *found.trie,
        *_trie(path, words),
        out,
        transform,
        n_threads,
    )


def _trie(path: np.ndarray, words: str) -> tuple[Any, ...]:
    """Three tables of the pieces of words: empty for short paths and for batches that fill the lanes of every
    instruction set."""
    if len(path) >= 16 or path.shape[1] <= 16:
        return _NO_PIECES
    trie, joins = pieces(words)
    return *trie, joins
