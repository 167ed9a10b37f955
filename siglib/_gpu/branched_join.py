"""Launchers of segments and joins on trees; arguments as in `siglib/_cpu/branched_join.py`, without the loops."""

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


def branched_sig_join(
    bsig: Any, displacement: Any, out: Any, degree: int, planar: bool, prepend: bool, n_threads: int
) -> None:
    """Branched signatures of paths with a segment put behind or in front."""
    segment = empty(bsig.shape, bsig)
    linear_branched_sig(displacement, segment, degree, planar, n_threads)
    first, second = (segment, bsig) if prepend else (bsig, segment)
    branched.branched_sig_combine(first, second, out, displacement.shape[1], degree, planar, n_threads)


def branched_sig_join_backprop(
    derivs: Any,
    bsig: Any,
    displacement: Any,
    bsig_derivs: Any,
    displacement_derivs: Any,
    degree: int,
    planar: bool,
    prepend: bool,
    n_threads: int,
) -> None:
    segment, segment_derivs = empty(bsig.shape, bsig), empty(bsig.shape, bsig)
    linear_branched_sig(displacement, segment, degree, planar, n_threads)
    first, second = (segment, bsig) if prepend else (bsig, segment)
    first_derivs, second_derivs = (segment_derivs, bsig_derivs) if prepend else (bsig_derivs, segment_derivs)
    branched.branched_sig_combine_backprop(
        derivs, first, second, first_derivs, second_derivs, displacement.shape[1], degree, planar, n_threads
    )
    linear_branched_sig_backprop(segment_derivs, displacement, displacement_derivs, degree, planar, n_threads)
