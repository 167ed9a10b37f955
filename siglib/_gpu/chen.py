"""Launchers of the tree of products that joins the time chunks of paths, and of its adjoint."""

from typing import Any

from ._launch import empty, launch
from .tensor import adjoint_tiles, multiply_neighbours, template

_THREADS = 256


def join(chunks: Any, dimension: int) -> list[Any]:
    """The rounds of the tree over `chunks` (paths, n_chunks, length), the chunks first, down to two factors.

    The product of the last two, which is the whole signature, is not formed.
    """
    rounds = [chunks]
    while rounds[-1].shape[1] > 2:
        rounds.append(_neighbours(rounds[-1], dimension))
    return rounds


def _neighbours(before: Any, dimension: int) -> Any:
    """Products of the chunks 0 and 1, 2 and 3, and so on."""
    n_paths, n_chunks, length = before.shape
    after = empty((n_paths, (n_chunks + 1) // 2, length), before)
    multiply_neighbours(before, after, n_paths, n_chunks, dimension)
    return after


def join_backprop(rounds: list[Any], derivs: Any, dimension: int, degree: int) -> Any:
    """Adjoint of `join`: cotangents of the chunks, from `derivs` (paths, 1, length) of their product."""
    n_tiles, n_long = adjoint_tiles(dimension, degree, derivs.shape[-1])
    for before in reversed(rounds):
        n_paths, n_chunks, length = before.shape
        found = empty(before.shape, before)
        launch(
            "tensor.cu",
            f"chen_round_backprop<{template(before, dimension, length)}>",
            n_paths * derivs.shape[1] * n_tiles,
            _THREADS,
            factors=before,
            g_out=derivs,
            g_factors=found,
            n_in=n_chunks,
            n_tiles=n_tiles,
            d=dimension,
            degree=degree,
            n_words=length,
            n_long=n_long,
        )
        derivs = found
    return derivs
