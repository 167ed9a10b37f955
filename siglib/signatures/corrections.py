"""Signatures of paths whose segments have terms of higher levels: `sig(..., correction=...)`, and its gradients.

The loops are `_cpu/corrected_signature.pyx` and `_gpu/corrected_signature.py`.
"""

from typing import Any

import numpy as np

from .._call.libraries import Array, library_of
from .._call.options import as_n_threads
from .._call.shapes import path_shape
from .._tables import grades
from .._tables.cache import TABLES
from .._tables.grades import Grade
from .._tables.sizes import checked_tensor_length

# Time and scratch memory grow with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 2**10


def refuse_lead_lag(lead_lag: bool) -> None:
    if lead_lag:
        raise ValueError("correction cannot be used together with lead_lag: leave one of them out")


def as_correction(correction: Any) -> Any:
    """The correction of a call, or None where there is nothing to correct: an array without numbers."""
    if correction is None:
        return None
    if isinstance(correction, (list, tuple)):
        return correction if len(correction) else None
    if 0 in getattr(correction, "shape", (1,)):
        return None
    # A copy for the gradient, which then does not see it if the caller changes his in place. It is small.
    return correction.clone() if library_of(correction) == "torch" else correction


def refuse_correction(correction: Any) -> None:
    """For streams, which take none."""
    if correction is not None:
        raise ValueError("correction cannot be used together with stream: leave one of them out")


def correction_grade(dimension: int, width: int) -> Grade:
    """The levels of a correction of so many numbers for each segment."""
    m, found = 2, dimension**2
    while found < width:
        m += 1
        found += dimension**m
    return grades.correction(dimension, m)


class CorrectedSizes:
    """What follows from the shapes of a path and its correction, or the error if they do not go together."""

    def __init__(
        self, path: tuple[int, ...], correction: tuple[int, ...], degree: int, time_aug: bool, scalar_term: bool
    ) -> None:
        batch, length, self.dimension = path_shape("path", path)
        self.degree, self.time_aug, self.scalar_term = degree, time_aug, scalar_term
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
        known = [(), (self.n_rows,), (*batch, self.n_rows)]
        if tuple(correction[:-1]) not in known:
            raise ValueError(
                f"correction must have shape (C,), (length - 1, C) or (..., length - 1, C), here with length - 1 = "
                f"{self.n_rows} and batch axes {tuple(batch)}, got {tuple(correction)}"
            )
        self.per_path = len(correction) > 2 and len(correction) == len(path)
        self.words = correction[-1]
        self.is_empty = self.n_rows == 0 or 0 in batch

    def rows(self, on: Any, array: Any) -> Any:
        """The correction for loops: (batch or 1, segments or 1, words); with time, words of time, too."""
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


def corrected_forward(on: Any, out: Array, o: Any, sizes: CorrectedSizes, path: Array, correction: Array) -> None:
    """The signatures of paths and their corrections."""
    result = on.rows(out)
    if sizes.is_empty:
        with on.current():
            result[:, : sizes.scalar_term] = 1
            result[:, sizes.scalar_term :] = 0
        return
    with on.current():
        rows = sizes.rows(on, on.view(correction))
    on.loops.corrected_signature.sig(
        on.paths(path),
        rows,
        result,
        o.degree,
        sizes.m,
        sizes.scalar_term,
        o.transform,
        as_n_threads(o.n_jobs),
    )


def corrected_backprop(
    on: Any,
    needs: tuple[bool, ...],
    derivs: Array,
    sig: Array,
    o: Any,
    sizes: CorrectedSizes,
    path: Array,
    correction: Array,
) -> tuple[Array, Array]:
    """Gradients with respect to the path and, or None, the correction."""
    out = on.empty(path.shape)
    gradient = on.empty(correction.shape) if needs[1] else None
    if sizes.is_empty:
        with on.current():
            on.view(out)[...] = 0
            if gradient is not None:
                on.view(gradient)[...] = 0
        return out, gradient
    paths = on.paths(path)
    with on.current():
        rows = sizes.rows(on, on.view(correction))
    row_derivs = on.scratch((len(paths) if needs[1] else 0, *rows.shape[1:]))
    on.loops.corrected_signature.sig_backprop(
        paths,
        rows,
        on.rows(sig),
        on.rows(derivs),
        on.paths(out),
        row_derivs,
        o.degree,
        sizes.m,
        sizes.scalar_term,
        o.transform,
        as_n_threads(o.n_jobs),
    )
    if gradient is not None:
        with on.current():
            sizes.rows_backprop(on, row_derivs, on.view(gradient))
    return out, gradient
