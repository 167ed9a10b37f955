"""Launchers of segments, joins, and products of logarithms on trees; arguments as in `siglib/_cpu/branched_join.py`,
without the loops."""

from typing import Any

from .._tables.forests import branched_length, log_length
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
    parts = _in_order(bsig, segment, prepend)
    branched.branched_sig_combine(*parts, out, displacement.shape[1], degree, planar, n_threads)


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
    parts, gradients = _in_order(bsig, segment, prepend), _in_order(bsig_derivs, segment_derivs, prepend)
    dimension = displacement.shape[1]
    branched.branched_sig_combine_backprop(derivs, *parts, *gradients, dimension, degree, planar, n_threads)
    linear_branched_sig_backprop(segment_derivs, displacement, displacement_derivs, degree, planar, n_threads)


def branched_log_sig_combine(
    log_sig1: Any,
    log_sig2: Any,
    out: Any,
    dimension: int,
    degree: int,
    planar: bool,
    method: int,
    n_threads: int,
) -> None:
    """log(exp log_sig1 * exp log_sig2), all of one method."""
    trees = dimension, degree, planar
    bsig1, bsig2 = (_exp(part, *trees, method) for part in (log_sig1, log_sig2))
    product = empty(bsig1.shape, bsig1)
    branched.branched_sig_combine(bsig1, bsig2, product, *trees, n_threads)
    branched.branched_sig_to_log_sig(product, out, *trees, method, n_threads)


def branched_log_sig_combine_backprop(
    derivs: Any,
    log_sig1: Any,
    log_sig2: Any,
    log_sig1_derivs: Any,
    log_sig2_derivs: Any,
    dimension: int,
    degree: int,
    planar: bool,
    method: int,
    n_threads: int,
) -> None:
    trees = dimension, degree, planar
    bsig1, bsig2 = (_exp(part, *trees, method) for part in (log_sig1, log_sig2))
    product, by_product, by_bsig1, by_bsig2 = (empty(bsig1.shape, bsig1) for _ in range(4))
    branched.branched_sig_combine(bsig1, bsig2, product, *trees, n_threads)
    branched.branched_sig_to_log_sig_backprop(derivs, product, by_product, *trees, method, n_threads)
    branched.branched_sig_combine_backprop(by_product, bsig1, bsig2, by_bsig1, by_bsig2, *trees, n_threads)
    branched.branched_logsig_to_sig_backprop(by_bsig1, log_sig1, log_sig1_derivs, *trees, method, n_threads)
    branched.branched_logsig_to_sig_backprop(by_bsig2, log_sig2, log_sig2_derivs, *trees, method, n_threads)


def branched_log_sig_join(
    log_sig: Any,
    displacement: Any,
    out: Any,
    degree: int,
    planar: bool,
    method: int,
    prepend: bool,
    n_threads: int,
) -> None:
    """Branched log-signatures, without scalar term, of paths with a segment put behind or in front."""
    parts = _in_order(log_sig, _log_of_segment(log_sig, displacement), prepend)
    branched_log_sig_combine(*parts, out, displacement.shape[1], degree, planar, method, n_threads)


def branched_log_sig_join_backprop(
    derivs: Any,
    log_sig: Any,
    displacement: Any,
    log_sig_derivs: Any,
    displacement_derivs: Any,
    degree: int,
    planar: bool,
    method: int,
    prepend: bool,
    n_threads: int,
) -> None:
    dimension, segment_derivs = displacement.shape[1], empty(log_sig.shape, log_sig)
    parts = _in_order(log_sig, _log_of_segment(log_sig, displacement), prepend)
    gradients = _in_order(log_sig_derivs, segment_derivs, prepend)
    branched_log_sig_combine_backprop(derivs, *parts, *gradients, dimension, degree, planar, method, n_threads)
    displacement_derivs[...] = segment_derivs[:, :dimension] if degree else 0


def _in_order(path: Any, segment: Any, prepend: bool) -> tuple[Any, Any]:
    return (segment, path) if prepend else (path, segment)


def _log_of_segment(log_sig: Any, displacement: Any) -> Any:
    """The displacement, at the single nodes, which come first by every method."""
    log = empty(log_sig.shape, log_sig)
    log.fill(0)
    if log.shape[1]:
        log[:, : displacement.shape[1]] = displacement
    return log


def _exp(log_sig: Any, dimension: int, degree: int, planar: bool, method: int) -> Any:
    """The branched signature, with a scalar term if the logarithm has one."""
    skip = log_sig.shape[1] - log_length(dimension, degree, planar, method)
    out = empty((log_sig.shape[0], branched_length(dimension, degree, planar) + skip), log_sig)
    branched.branched_logsig_to_sig(log_sig, out, dimension, degree, planar, method, 1)
    return out
