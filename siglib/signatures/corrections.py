"""Signatures of paths whose segments have terms of higher levels: `sig(..., correction=...)`, and its gradients.

The kernels are `_cpu/corrected_signature.pyx` and `_gpu/corrected_signature.py`.
"""

from typing import Any

import numpy as np

from .._call.backend import Array, backend_for, library_of
from .._call.options import as_bool, as_float, as_int, as_n_threads
from .._call.shapes import path_shape
from .._call.torch import differentiable
from .._cpu.corrected_chunks import Chunks, chunk_count
from .._tables.cache import TABLES
from .._tables.sizes import checked_tensor_length

# Time and scratch memory grow with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 2**10


def corrected_sig(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    horner: bool = True,
    scalar_term: bool = False,
    correction: Array,
    n_jobs: int = 1,
) -> Array:
    """`sig` with a correction that is not empty."""
    as_bool("horner", horner)
    refuse_lead_lag(lead_lag)
    if library_of(correction) == "torch":
        # For the gradient, which then does not see it if the caller changes his in place. It is small.
        correction = correction.clone()
    return sig_corrected(
        path, correction, degree, time_aug=time_aug, end_time=end_time, scalar_term=scalar_term, n_jobs=n_jobs
    )


def refuse_lead_lag(lead_lag: Any) -> None:
    if as_bool("lead_lag", lead_lag):
        raise ValueError("correction cannot be used together with lead_lag: leave one of them out")


class _Sizes:
    """What follows from the shapes of a path and its correction, or the error if they do not go together."""

    def __init__(
        self, path: tuple[int, ...], correction: tuple[int, ...], degree: Any, time_aug: Any, scalar_term: Any
    ) -> None:
        batch, length, self.dimension = path_shape("path", path)
        self.degree = as_int("degree", degree, 0)
        self.time_aug = as_bool("time_aug", time_aug)
        self.scalar_term = as_bool("scalar_term", scalar_term)
        self.n_rows = max(length - 1, 0)
        d = self.dimension + self.time_aug
        self.shape = (*batch, checked_tensor_length(d, self.degree) + self.scalar_term)
        if d == 1 and self.degree > _MAX_DEGREE_OF_ONE_CHANNEL:
            raise ValueError(
                f"correction of one channel takes degrees up to {_MAX_DEGREE_OF_ONE_CHANNEL}, got {self.degree}"
            )
        if self.degree < 2:
            raise ValueError(f"correction needs degree 2 or more, got {self.degree}")
        if len(correction) == 0:
            raise ValueError("correction must have at least one axis, got a single number")
        self.m, width = 2, self.dimension**2
        while width < correction[-1] and self.m < self.degree:
            self.m += 1
            width += self.dimension**self.m
        if width != correction[-1]:
            raise ValueError(
                f"correction must have the words of levels 2 to m on its last axis, for an m up to degree: "
                f"{self.dimension}**2 + ... + {self.dimension}**m numbers, got {correction[-1]}"
            )
        known = [(), (length - 1,), (*batch, length - 1)]
        if tuple(correction[:-1]) not in known:
            raise ValueError(
                f"correction must have shape (C,), (length - 1, C) or (..., length - 1, C), here with length - 1 = "
                f"{length - 1} and batch axes {tuple(batch)}, got {tuple(correction)}"
            )
        self.per_path = len(correction) > 2 and len(correction) == len(path)
        self.words = correction[-1]

    def rows(self, on: Any, array: Any) -> Any:
        """The correction for kernels: (batch or 1, segments or 1, words); with time, words of time, too."""
        array = on.xp.ascontiguousarray(array)
        if self.per_path:
            array = array.reshape(-1, self.n_rows, self.words)
        else:
            array = array.reshape(1, -1, self.words)
        if not self.time_aug:
            return array
        wide = on.xp.zeros((*array.shape[:-1], _width(self.dimension + 1, self.m)), array.dtype)
        wide[..., self._places(on)] = array
        return wide

    def rows_backprop(self, on: Any, gradients: Any, out: Any) -> None:
        """Adjoint of `rows`, from (batch, segments or 1, words) to the array of the correction's shape."""
        if self.time_aug:
            gradients = gradients[..., self._places(on)]
        out[...] = gradients.reshape(out.shape) if self.per_path else gradients.sum(axis=0).reshape(out.shape)

    def _places(self, on: Any) -> Any:
        return on.constant(_places_without_time, self.dimension, self.m)[0]


def _width(dimension: int, m: int) -> int:
    """Number of words of levels 2 to m."""
    return sum(dimension**level for level in range(2, m + 1))


@TABLES.keep
def _places_without_time(dimension: int, m: int) -> tuple[Any]:
    """Where the words without time, the letter behind `dimension` others, stand among all words of levels 2 to m."""
    places, start, codes = [], 0, np.arange(dimension)
    for level in range(2, m + 1):
        codes = (codes[:, None] * (dimension + 1) + np.arange(dimension)).ravel()
        places.append(start + codes)
        start += (dimension + 1) ** level
    return (np.concatenate(places),)


def _shape(
    path: tuple[int, ...],
    correction: tuple[int, ...],
    degree: int,
    *,
    time_aug: bool,
    end_time: float,
    scalar_term: bool,
    n_jobs: int,
) -> tuple[int, ...]:
    as_float("end_time", end_time)
    as_n_threads(n_jobs)
    return _Sizes(path, correction, degree, time_aug, scalar_term).shape


def _vjp(
    derivs: Array,
    out: Array,
    path: Array,
    correction: Array,
    degree: int,
    *,
    scalar_term: bool,
    needs: Any,
    **options: Any,
) -> tuple[Any, Any]:
    gradients = sig_corrected_backprop(path, correction, out, derivs, degree, scalar_term, needs[1], **options)
    return gradients[0] if needs[0] else None, gradients[1]


# Under vmap every path is computed on its own: the correction may have the path's batch axes, or none.
@differentiable(_vjp, _shape, n_arrays=2, n_batched=0, selective=True)
def sig_corrected(
    path: Array,
    correction: Array,
    degree: int,
    *,
    time_aug: bool = False,
    end_time: float = 1.0,
    scalar_term: bool = False,
    n_jobs: int = 1,
) -> Array:
    """The signature of a path and its correction, as torch sees it: two arrays."""
    on, path, correction = backend_for(path=path, correction=correction)
    end_time, n_threads = as_float("end_time", end_time), as_n_threads(n_jobs)
    sizes = _Sizes(path.shape, correction.shape, degree, time_aug, scalar_term)
    out = on.empty(sizes.shape)
    result = on.rows(out)
    if sizes.n_rows == 0 or 0 in sizes.shape[:-1]:
        with on.current():
            result[:, : sizes.scalar_term] = 1
            result[:, sizes.scalar_term :] = 0
        return on.result(out)
    paths = on.paths(path)
    with on.current():
        rows = sizes.rows(on, on.view(correction))
    chunks = _chunk_count(on, paths, sizes)
    if chunks > 1:
        Chunks(on.kernels, paths, rows, chunks, sizes, end_time, n_threads).sig(result)
    else:
        on.kernels.corrected_signature.sig(
            paths,
            rows,
            result,
            sizes.degree,
            sizes.m,
            sizes.scalar_term,
            sizes.time_aug,
            end_time,
            n_threads,
        )
    return on.result(out)


def _chunk_count(on: Any, paths: Any, sizes: _Sizes) -> int:
    """Into how many chunks we cut the paths here. For a GPU the launchers do that."""
    return 1 if on.on_gpu else chunk_count(len(paths), sizes.n_rows, sizes.degree, paths.itemsize)


def sig_corrected_backprop(
    path: Array,
    correction: Array,
    sig: Array,
    sig_derivs: Array,
    degree: int,
    scalar_term: bool,
    correction_deriv: bool,
    *,
    time_aug: bool = False,
    end_time: float = 1.0,
    n_jobs: int = 1,
) -> tuple[Array, Array]:
    """Gradients of `sig_corrected` with respect to the path and, or None, the correction.

    The signature and its derivatives are of equal shape.
    """
    on, path, correction, sig, sig_derivs = backend_for(
        path=path, correction=correction, sig=sig, sig_derivs=sig_derivs
    )
    end_time, n_threads = as_float("end_time", end_time), as_n_threads(n_jobs)
    sizes = _Sizes(path.shape, correction.shape, degree, time_aug, scalar_term)
    out = on.empty(path.shape)
    gradient = on.empty(correction.shape) if correction_deriv else None
    if sizes.n_rows == 0 or 0 in sizes.shape[:-1]:
        with on.current():
            on.view(out)[...] = 0
            if correction_deriv:
                on.view(gradient)[...] = 0
        return on.result(out), None if gradient is None else on.result(gradient)
    paths = on.paths(path)
    with on.current():
        rows = sizes.rows(on, on.view(correction))
    row_derivs = on.scratch((len(paths) if correction_deriv else 0, *rows.shape[1:]))
    chunks = _chunk_count(on, paths, sizes)
    if chunks > 1:
        pieces = Chunks(on.kernels, paths, rows, chunks, sizes, end_time, n_threads)
        pieces.sig_backprop(on.rows(sig_derivs), on.paths(out), row_derivs)
    else:
        on.kernels.corrected_signature.sig_backprop(
            paths,
            rows,
            on.rows(sig),
            on.rows(sig_derivs),
            on.paths(out),
            row_derivs,
            sizes.degree,
            sizes.m,
            sizes.scalar_term,
            sizes.time_aug,
            end_time,
            n_threads,
        )
    if gradient is None:
        return on.result(out), None
    with on.current():
        sizes.rows_backprop(on, row_derivs, on.view(gradient))
    return on.result(out), on.result(gradient)
