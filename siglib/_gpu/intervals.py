"""Launcher of signatures of intervals; arguments as in `siglib/_cpu/intervals.pyx`."""

from typing import Any

from ._launch import empty, launch
from .increments import strides
from .sizes import shared_bytes, slab_length
from .tensor import template

_MOST_THREADS = 256


def interval_sig(
    points: Any,
    table: Any,
    starts: Any,
    ends: Any,
    reversed_words: Any,
    out: Any,
    degree: int,
    block: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    """points (length, batch, dimension); table (levels, blocks, batch, n_words), a disjoint sparse table of blocks of
    `block` increments; starts, ends (n_queries); reversed_words (n_words): the place of every word read backwards; out
    (n_queries, batch, scalar_term + n_words).
    """
    n_paths, d = points.shape[1:]
    n_words, n_items = out.shape[2] - scalar_term, out.shape[0] * n_paths
    if n_items == 0 or n_words == 0:
        out[...] = 1
        return
    size = 1 + degree + 2 * block * d + 2 * n_words
    is_shared = size * out.itemsize <= shared_bytes()
    step = n_items if is_shared else slab_length(n_items, size * out.itemsize)
    scratch = 0 if is_shared else empty((step, size), out)
    out_query, out_path, _ = strides(out)
    for first in range(0, n_items, step):
        launch(
            "intervals.cu",
            f"interval_sig<{template(out, d, n_words)}, {int(is_shared)}>",
            min(step, n_items - first),
            min(_MOST_THREADS, -(-n_words // 32) * 32),
            size * out.itemsize if is_shared else 0,
            points=points,
            table=table if table.size else 0,
            starts=starts,
            ends=ends,
            reversed=reversed_words,
            out=out,
            scratch=scratch,
            first_item=first,
            n_paths=n_paths,
            dimension=d,
            degree=degree,
            n_words=n_words,
            block=block,
            n_blocks=table.shape[1],
            out_query=out_query,
            out_path=out_path,
            scalar_term=int(scalar_term),
        )
