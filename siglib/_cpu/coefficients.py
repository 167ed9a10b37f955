"""Single coefficients on the CPU: words become the tries that `coefficients.pyx` walks, for few long paths those of
their pieces, too.

Arguments behind `loops`, the compiled modules of one floating type, as in `siglib/_gpu/coefficients.py`.
"""

from typing import Any

import numpy as np

from .._tables.cache import TABLES
from .._tables.transform import Transform
from .._tables.word_trie import NO_PIECES, pieces, tables

_NO_COLUMNS = np.zeros(0, np.int32)


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
    loops.coefficients.sig_coef(path, *_tables(words, prefixes, _is_cut(path)), out, transform, n_threads)


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
    loops.coefficients.sig_coef_backprop(
        path,
        derivs[:, :0] if coefs is None else coefs,
        _NO_COLUMNS if coefs is None else tables(words).prefix_columns,
        derivs,
        *_tables(words, prefixes, _is_cut(path)),
        out,
        transform,
        n_threads,
    )


def _is_cut(path: np.ndarray) -> bool:
    """Whether loops may cut these paths in time: not short ones, nor batches that fill the lanes of every instruction
    set."""
    return len(path) < 16 < path.shape[1]


@TABLES.keep
def _tables(words: str, prefixes: bool, is_cut: bool) -> tuple[np.ndarray, ...]:
    """All tables of a call, found at once: the columns, those of the trie, and three of the pieces."""
    found = tables(words)
    trie, joins = pieces(words) if is_cut else NO_PIECES
    return found.prefix_columns if prefixes else found.columns, *found.trie, *trie, joins
