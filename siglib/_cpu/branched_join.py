"""Segments, joins and products of branched log-signatures on the CPU, made of the operations of `branched.py`.

Arrays are as there. What `x_backprop` gets and writes is what `x` reads, in the order derivatives, arguments, results.
"""

from typing import Any

import numpy as np

from .._tables.forests import branched_length, log_length
from .._tables.sizes import tensor_length
from . import branched

Array = np.ndarray


def linear_branched_sig(loops: Any, displacement: Array, out: Array, degree: int, planar: bool, n_threads: int) -> None:
    """Branched signatures of straight segments; displacement (batch, dimension)."""
    sig = _linear_sig(loops, displacement, degree, n_threads)
    branched.branched_sig(loops, sig, out, displacement.shape[1], degree, planar, n_threads)


def linear_branched_sig_backprop(
    loops: Any, derivs: Array, displacement: Array, out: Array, degree: int, planar: bool, n_threads: int
) -> None:
    dimension = displacement.shape[1]
    sig_derivs = np.empty((len(derivs), tensor_length(dimension, degree)), derivs.dtype)
    branched.branched_sig_backprop(loops, derivs, sig_derivs, dimension, degree, planar, n_threads)
    loops.join.linear_sig_backprop(sig_derivs, displacement, out, degree, False, n_threads)


def branched_sig_join(
    loops: Any, bsig: Array, displacement: Array, out: Array, degree: int, planar: bool, prepend: bool, n_threads: int
) -> None:
    """Branched signatures of paths with a segment put behind or in front."""
    segment = np.empty_like(bsig)
    linear_branched_sig(loops, displacement, segment, degree, planar, n_threads)
    branched.branched_sig_combine(
        loops, *_in_order(bsig, segment, prepend), out, displacement.shape[1], degree, planar, n_threads
    )


def branched_sig_join_backprop(
    loops: Any,
    derivs: Array,
    bsig: Array,
    displacement: Array,
    bsig_derivs: Array,
    displacement_derivs: Array,
    degree: int,
    planar: bool,
    prepend: bool,
    n_threads: int,
) -> None:
    segment, segment_derivs = np.empty_like(bsig), np.empty_like(bsig)
    linear_branched_sig(loops, displacement, segment, degree, planar, n_threads)
    branched.branched_sig_combine_backprop(
        loops,
        derivs,
        *_in_order(bsig, segment, prepend),
        *_in_order(bsig_derivs, segment_derivs, prepend),
        displacement.shape[1],
        degree,
        planar,
        n_threads,
    )
    linear_branched_sig_backprop(loops, segment_derivs, displacement, displacement_derivs, degree, planar, n_threads)


def branched_log_sig_combine(
    loops: Any,
    log_sig1: Array,
    log_sig2: Array,
    out: Array,
    dimension: int,
    degree: int,
    planar: bool,
    method: int,
    n_threads: int,
) -> None:
    """log(exp log_sig1 * exp log_sig2), all of one method; planar 0, 1 or 2, otherwise 0."""
    bsig1, bsig2 = (_exp(loops, part, dimension, degree, planar, method, n_threads) for part in (log_sig1, log_sig2))
    product = np.empty_like(bsig1)
    branched.branched_sig_combine(loops, bsig1, bsig2, product, dimension, degree, planar, n_threads)
    branched.branched_sig_to_log_sig(loops, product, out, dimension, degree, planar, method, n_threads)


def branched_log_sig_combine_backprop(
    loops: Any,
    derivs: Array,
    log_sig1: Array,
    log_sig2: Array,
    log_sig1_derivs: Array,
    log_sig2_derivs: Array,
    dimension: int,
    degree: int,
    planar: bool,
    method: int,
    n_threads: int,
) -> None:
    bsig1, bsig2 = (_exp(loops, part, dimension, degree, planar, method, n_threads) for part in (log_sig1, log_sig2))
    product, by_product, by_bsig1, by_bsig2 = (np.empty_like(bsig1) for _ in range(4))
    branched.branched_sig_combine(loops, bsig1, bsig2, product, dimension, degree, planar, n_threads)
    branched.branched_sig_to_log_sig_backprop(
        loops, derivs, product, by_product, dimension, degree, planar, method, n_threads
    )
    branched.branched_sig_combine_backprop(
        loops, by_product, bsig1, bsig2, by_bsig1, by_bsig2, dimension, degree, planar, n_threads
    )
    for part, log_sig, out in ((by_bsig1, log_sig1, log_sig1_derivs), (by_bsig2, log_sig2, log_sig2_derivs)):
        branched.branched_logsig_to_sig_backprop(
            loops, part, log_sig, out, dimension, degree, planar, method, n_threads
        )


def branched_log_sig_join(
    loops: Any,
    log_sig: Array,
    displacement: Array,
    out: Array,
    degree: int,
    planar: bool,
    method: int,
    prepend: bool,
    n_threads: int,
) -> None:
    """Branched log-signatures, without scalar term, of paths with a segment put behind or in front."""
    parts = _in_order(log_sig, _log_of_segment(log_sig, displacement), prepend)
    branched_log_sig_combine(loops, *parts, out, displacement.shape[1], degree, planar, method, n_threads)


def branched_log_sig_join_backprop(
    loops: Any,
    derivs: Array,
    log_sig: Array,
    displacement: Array,
    log_sig_derivs: Array,
    displacement_derivs: Array,
    degree: int,
    planar: bool,
    method: int,
    prepend: bool,
    n_threads: int,
) -> None:
    dimension = displacement.shape[1]
    segment_derivs = np.empty_like(log_sig)
    branched_log_sig_combine_backprop(
        loops,
        derivs,
        *_in_order(log_sig, _log_of_segment(log_sig, displacement), prepend),
        *_in_order(log_sig_derivs, segment_derivs, prepend),
        dimension,
        degree,
        planar,
        method,
        n_threads,
    )
    displacement_derivs[...] = segment_derivs[:, :dimension] if degree else 0


def _in_order(path: Array, segment: Array, prepend: bool) -> tuple[Array, Array]:
    return (segment, path) if prepend else (path, segment)


def _log_of_segment(log_sig: Array, displacement: Array) -> Array:
    """The displacement, at the single nodes, which come first by every method."""
    log = np.zeros_like(log_sig)
    if log.shape[1]:
        log[:, : displacement.shape[1]] = displacement
    return log


def _linear_sig(loops: Any, displacement: Array, degree: int, n_threads: int) -> Array:
    sig = np.empty((len(displacement), tensor_length(displacement.shape[1], degree)), displacement.dtype)
    loops.join.linear_sig(displacement, sig, degree, False, n_threads)
    return sig


def _exp(loops: Any, log_sig: Array, dimension: int, degree: int, planar: bool, method: int, n_threads: int) -> Array:
    """The branched signature, with a scalar term if the logarithm has one."""
    skip = log_sig.shape[1] - log_length(dimension, degree, planar, method)
    out = np.empty((len(log_sig), branched_length(dimension, degree, planar) + skip), log_sig.dtype)
    branched.branched_logsig_to_sig(loops, log_sig, out, dimension, degree, planar, method, n_threads)
    return out
