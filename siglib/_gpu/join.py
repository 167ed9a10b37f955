"""Segments and joins, arguments as in `siglib/_cpu/join.pyx`: made of signatures of two points, and products."""

from typing import Any

from .._tables.transform import NO_TRANSFORM
from ._launch import c_type, empty, launch_each
from .signature import sig
from .signature_backprop import sig_backprop
from .tensor import sig_combine, sig_combine_backprop


def _two_points(displacement: Any, like: Any) -> Any:
    """Paths from 0 to the displacements, in the type of `like`."""
    batch, d = displacement.shape
    path = empty((batch, 2, d), like)
    launch_each(
        path.size,
        "path.cu",
        f"paths_of_two_points<{c_type(displacement)}, {c_type(like)}>",
        displacement=displacement,
        out=path,
        size=path.size,
        d=d,
    )
    return path


def linear_sig(displacement: Any, out: Any, degree: int, scalar_term: bool, n_threads: int) -> None:
    """displacement (batch, dimension), of any type; out (batch, scalar_term + length)."""
    sig(_two_points(displacement, out), out, degree, scalar_term, NO_TRANSFORM, n_threads)


def linear_sig_backprop(
    derivs: Any, displacement: Any, out: Any, degree: int, scalar_term: bool, n_threads: int
) -> None:
    """derivs (batch, scalar_term + length); displacement, out (batch, dimension)."""
    segment = empty(derivs.shape, derivs)
    linear_sig(displacement, segment, degree, scalar_term, n_threads)
    _segment_backprop(displacement, segment, derivs, out, degree, scalar_term, n_threads)


def _segment_backprop(
    displacement: Any, segment: Any, derivs: Any, out: Any, degree: int, scalar_term: bool, n_threads: int
) -> None:
    """`linear_sig_backprop`, given the signatures of the segments."""
    path = _two_points(displacement, derivs)
    gradient = empty(path.shape, path)
    sig_backprop(path, segment, derivs, gradient, degree, scalar_term, NO_TRANSFORM, n_threads)
    out[...] = gradient[:, 1]


def sig_join(
    sig: Any, displacement: Any, out: Any, degree: int, scalar_term: bool, prepend: bool, n_threads: int
) -> None:
    """sig, out (batch, scalar_term + length); displacement (batch, dimension)."""
    segment = empty(sig.shape, sig)
    linear_sig(displacement, segment, degree, scalar_term, n_threads)
    first, second = (segment, sig) if prepend else (sig, segment)
    sig_combine(first, second, out, displacement.shape[1], degree, scalar_term, scalar_term, n_threads)


def sig_join_backprop(
    derivs: Any,
    sig: Any,
    displacement: Any,
    sig_derivs: Any,
    displacement_derivs: Any,
    degree: int,
    scalar_term: bool,
    prepend: bool,
    n_threads: int,
) -> None:
    """derivs, sig, sig_derivs (batch, scalar_term + length); displacement, displacement_derivs (batch, dimension)."""
    segment, segment_derivs = empty(sig.shape, sig), empty(sig.shape, sig)
    linear_sig(displacement, segment, degree, scalar_term, n_threads)
    first, second = (segment, sig) if prepend else (sig, segment)
    first_derivs, second_derivs = (segment_derivs, sig_derivs) if prepend else (sig_derivs, segment_derivs)
    d = displacement.shape[1]
    sig_combine_backprop(
        derivs, first, second, first_derivs, second_derivs, d, degree, scalar_term, scalar_term, n_threads
    )
    _segment_backprop(displacement, segment, segment_derivs, displacement_derivs, degree, scalar_term, n_threads)
