"""The operation behind `sig_coef`, as torch differentiates and compiles it; words are checked and encoded already."""

import math
from typing import Any

import numpy as np

from .._call.backend import Array, backend_for
from .._call.options import as_bool, as_float, as_n_threads
from .._call.shapes import check_batch, path_shape, vector_shape
from .._call.torch import differentiable
from .._gpu import word_chains
from .._tables.cache import TABLES
from .._tables.sizes import augmented_dimension
from .._tables.time import sets_time_words, time_powers
from .._tables.word_trie import NO_PIECES, Tables, pieces, powers, tables

_NO_COLUMNS = np.zeros(0, np.int32)


def _check_letters(tables: Tables, dimension: int, time_aug: bool, lead_lag: bool) -> None:
    channels = augmented_dimension(dimension, time_aug, lead_lag)
    if tables.n_channels > channels:
        raise ValueError(f"the letters of words must be in [0, {channels}), got {tables.n_channels - 1}")


@TABLES.keep
def _plan(
    path: tuple[int, ...], words: str, time_aug: bool, lead_lag: bool
) -> tuple[tuple[int, ...], Tables, tuple[Any, ...]]:
    """The batch axes, the tables of the words, and three tables of their pieces: empty for batches that fill the lanes
    of every instruction set, and for short paths."""
    batch, length, dimension = path_shape("path", path)
    found = tables(words)
    _check_letters(found, dimension, time_aug, lead_lag)
    trie, joins = pieces(words) if math.prod(batch) < 16 and length > 16 else NO_PIECES
    return batch, found, (*trie, joins)


def _columns(on: Any, words: str, found: Tables, prefixes: bool) -> Any:
    """Which column of a result has what the kernels compute."""
    if on.on_gpu:
        return on.constant(word_chains.columns, words, prefixes)
    return found.prefix_columns if prefixes else found.columns


def _prefix_columns(on: Any, words: str, found: Tables) -> Any:
    """The same for coefficients that kernels read."""
    if on.on_gpu:
        return on.constant(word_chains.prefix_columns, words)[0]
    return found.prefix_columns


def _tables(on: Any, length: int, words: str, found: Tables, found_pieces: tuple[Any, ...]) -> tuple[Any, ...]:
    """The words as kernels read them: tries on the CPU, chains on a GPU; and their sub-words, for time chunks."""
    if not on.on_gpu:
        return *found.trie, *found_pieces
    whole = word_chains.chains(words), on.constant(word_chains.chains, words)
    if length <= word_chains.CHUNK or whole[0].n_long:
        return *whole, None, None, None
    return (
        *whole,
        *(word_chains.pieces(words), on.constant(word_chains.pieces, words)),
        *on.constant(word_chains.suffixes, words),
    )


def _sig_coef_shape(
    path: tuple[int, ...],
    *,
    words: str,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    prefixes: bool,
    n_jobs: int,
) -> tuple[int, ...]:
    batch, _, dimension = path_shape("path", path)
    as_float("end_time", end_time)
    as_n_threads(n_jobs)
    found = tables(words)
    _check_letters(found, dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    return (*batch, len(found.prefix_columns if as_bool("prefixes", prefixes) else found.columns))


def _sig_coef_vjp(
    derivs: Array, out: Array, path: Array, *, words: str, prefixes: bool, **options: Any
) -> tuple[Array]:
    on, path, derivs, out = backend_for(path=path, derivs=derivs, out=out)
    return (_pull(on, path, words, out if prefixes else None, derivs, prefixes, **options),)


def _pull(
    on: Any,
    path: Array,
    words: str,
    coefs: Array,
    derivs: Array,
    prefixes: bool,
    *,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    n_jobs: int,
) -> Array:
    """The gradient; `coefs`: the coefficients of all prefixes, or None; `prefixes`: whether `derivs` is theirs."""
    _, found, found_pieces = _plan(path.shape, words, time_aug, lead_lag)
    out = on.empty(path.shape)
    on.kernels.coefficients.sig_coef_backprop(
        on.paths(path),
        on.rows(derivs)[:, :0] if coefs is None else on.rows(coefs),
        _NO_COLUMNS if coefs is None else _prefix_columns(on, words, found),
        on.rows(derivs),
        _columns(on, words, found, prefixes),
        *_tables(on, path.shape[-2], words, found, found_pieces),
        on.paths(out),
        time_aug,
        lead_lag,
        as_float("end_time", end_time),
        as_n_threads(n_jobs),
    )
    return on.result(out)


@differentiable(_sig_coef_vjp, _sig_coef_shape, needs_out="prefixes")
def sig_coef(
    path: Array,
    *,
    words: str,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    prefixes: bool,
    n_jobs: int,
) -> Array:
    """`siglib.sig_coef` with encoded words."""
    on, path = backend_for(path=path)
    time_aug, lead_lag = as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag)
    batch, found, found_pieces = _plan(path.shape, words, time_aug, lead_lag)
    prefixes = as_bool("prefixes", prefixes)
    end_time, n_threads = as_float("end_time", end_time), as_n_threads(n_jobs)
    out = on.empty((*batch, len(found.prefix_columns if prefixes else found.columns)))
    rows = on.rows(out)
    on.kernels.coefficients.sig_coef(
        on.paths(path),
        _columns(on, words, found, prefixes),
        *_tables(on, path.shape[-2], words, found, found_pieces),
        rows,
        time_aug,
        lead_lag,
        end_time,
        n_threads,
    )
    if sets_time_words(time_aug, rows.itemsize, path.shape[-2] - 1):
        time = augmented_dimension(path.shape[-1], True, lead_lag) - 1
        with on.current():
            for place, length in powers(words, time, prefixes):
                rows[:, place] = time_powers(end_time, length)[-1]
    return on.result(out)


def sig_coef_backprop(path: Array, words: str, coefs: Array, derivs: Array, **options: Any) -> Array:
    """`siglib.sig_coef_backprop` with encoded words."""
    on, path, coefs, derivs = backend_for(path=path, coefs=coefs, derivs=derivs)
    n_prefixes = len(tables(words).prefix_columns)
    expected = path_shape("path", path.shape)[0]
    for name, array in (("coefs", coefs), ("derivs", derivs)):
        batch, length = vector_shape(name, array.shape)
        check_batch("path", expected, name, batch)
        if length != n_prefixes:
            raise ValueError(
                f"{name} must have length {n_prefixes} on its last axis, one entry for each prefix of "
                f"each word (prefixes=True), got {length}"
            )
    return _pull(on, path, words, coefs, derivs, True, **options)
