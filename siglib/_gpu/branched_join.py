"""Launchers of segments on trees; arguments as in `siglib/_cpu/branched_join.py`, without the loops."""

from typing import Any

from .._tables.sizes import tensor_length
from . import branched, join
from ._launch import empty


def linear_branched_sig(displacement: Any, out: Any, degree: int, planar: bool, n_threads: int) -> None:
    """Branched signatures of straight segments; displacement (batch, dimension)."""
    batch, dimension = displacement.shape
    sig = empty((batch, tensor_length(dimension, degree)), displacement)
    join.linear_sig(displacement, sig, degree, False, n_threads)
    branched.branched_sig(sig, out, dimension, degree, planar, n_threads)


def linear_branched_sig_backprop(
    derivs: Any, displacement: Any, out: Any, degree: int, planar: bool, n_threads: int
) -> None:
    batch, dimension = displacement.shape
    sig_derivs = empty((batch, tensor_length(dimension, degree)), derivs)
    branched.branched_sig_backprop(derivs, sig_derivs, dimension, degree, planar, n_threads)
    join.linear_sig_backprop(sig_derivs, displacement, out, degree, False, n_threads)
