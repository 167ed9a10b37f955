"""Launchers of the tree of products that joins the time chunks of paths, and of its adjoint."""

from typing import Any

from ._launch import c_type, empty, launch
from .tensors import literal

_THREADS = 256


def _n_blocks(length: int) -> int:
    """Blocks for one product."""
    return max(1, min(64, -(-length // 1024)))


def join(chunks: Any, dimension: int) -> list[Any]:
    """Every round of the tree over `chunks` (paths, n_chunks, length), down to two factors; the chunks themselves first.

    The product of the last two, which is the whole signature, is not formed.
    """
    rounds = [chunks]
    while rounds[-1].shape[1] > 2:
        rounds.append(join_neighbours(rounds[-1], dimension))
    return rounds


def join_neighbours(before: Any, dimension: int) -> Any:
    """Products of the chunks 0 and 1, 2 and 3, and so on."""
    n_paths, n_chunks, length = before.shape
    after = empty((n_paths, (n_chunks + 1) // 2, length), before)
    n_blocks = _n_blocks(length)
    launch(
        "chen.cu",
        f"chen_round<{c_type(before)}, {literal(dimension)}>",
        n_paths * after.shape[1] * n_blocks,
        _THREADS,
        (before, after, dimension, length, n_chunks, n_blocks),
    )
    return after


def join_backprop(rounds: list[Any], derivs: Any, dimension: int, degree: int) -> Any:
    """Adjoint of `join`: cotangents of the chunks, from `derivs` (paths, 1, length) of their product."""
    n_blocks = _n_blocks(derivs.shape[-1])
    for before in reversed(rounds):
        n_paths, n_chunks, length = before.shape
        found = empty(before.shape, before)
        launch(
            "chen.cu",
            f"chen_round_backprop<{c_type(before)}>",
            n_paths * derivs.shape[1] * n_blocks,
            _THREADS,
            (before, derivs, found, dimension, degree, length, n_chunks, n_blocks),
        )
        derivs = found
    return derivs
