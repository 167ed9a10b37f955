"""Launchers of single coefficients; arguments as in `siglib/_cpu/coefficients.py`.

Words become chains (`word_chains.py`): those of the words and, for long paths that are cut in time, of their sub-words.
"""

from typing import Any, NamedTuple

from .._tables.transform import Transform
from . import word_chains
from .coefficients_backprop import coefficients_backprop
from .coefficients_chains import chunk_length, chunks_of, entries, join
from .constants import constant
from .increments import n_increments
from .sizes import slabs
from .word_chains import Chains

__all__ = ["sig_coef", "sig_coef_backprop"]


class _Words(NamedTuple):
    """The chains of words in main memory and on the GPU, and of their sub-words: None for paths that are not cut."""

    chains: Chains
    on_device: tuple[Any, ...]
    pieces: Chains | None = None
    pieces_on_device: tuple[Any, ...] | None = None
    suffixes: Any = None


def _words(length: int, text: str) -> _Words:
    whole = word_chains.chains(text)
    if length <= word_chains.CHUNK or whole.n_long:
        return _Words(whole, constant(word_chains.chains, text))
    return _Words(
        whole,
        constant(word_chains.chains, text),
        word_chains.pieces(text),
        constant(word_chains.pieces, text),
        *constant(word_chains.suffixes, text),
    )


def sig_coef(path: Any, words: str, prefixes: bool, out: Any, transform: Transform, n_threads: int) -> None:
    """path (batch, length, dimension); out (batch, m): coefficients of encoded words, or of all their prefixes."""
    columns = constant(word_chains.columns, words, prefixes)
    _coefficients(path, columns, *_words(path.shape[1], words), out, transform)


def sig_coef_backprop(
    path: Any,
    words: str,
    coefs: Any,
    derivs: Any,
    prefixes: bool,
    out: Any,
    transform: Transform,
    n_threads: int,
) -> None:
    """path, out (batch, length, dimension); coefs (batch, m'): the coefficients of all prefixes, or None: they are
    computed; derivs (batch, m): derivatives, of the words or, if `prefixes`, of all prefixes."""
    coefficients_backprop(
        path,
        derivs[:, :0] if coefs is None else coefs,
        None if coefs is None else constant(word_chains.prefix_columns, words)[0],
        derivs,
        constant(word_chains.columns, words, prefixes),
        *_words(path.shape[1], words),
        out,
        transform,
    )


def _coefficients(
    path: Any,
    columns: tuple[Any, Any],
    chains: Chains,
    on_device: tuple[Any, ...],
    pieces: Chains | None,
    pieces_on_device: tuple[Any, ...] | None,
    suffixes: Any,
    out: Any,
    transform: Transform,
) -> None:
    """path (batch, length, dimension); out (batch, m), the columns of `columns`."""
    if out.size == 0:
        return
    if len(chains.letters) == 0:
        out.fill(1)
        return
    n_rows = n_increments(path, transform)
    tables = Chains(*on_device)
    if pieces is None or pieces_on_device is None or chunk_length(n_rows) == n_rows:
        entries(path, chains, tables, columns, out, n_rows, transform)
        return
    chunk = chunk_length(n_rows)
    for piece in slabs(len(path), -(-n_rows // chunk) * len(pieces.letters) * path.itemsize):
        chunks = chunks_of(path[piece], pieces, Chains(*pieces_on_device), chunk, transform)
        join("join_chunks", chunks, {"out": out[piece]}, out.shape[1], chains, tables, suffixes, columns)
