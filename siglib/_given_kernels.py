"""Signature kernels of static kernels that users wrote: their Python code gives the double increments, pair by pair.

Pairs go through it in chunks, so that memory stays bounded; the compiled kernels do the rest.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._backend import Array, as_tensor, library_of, namespace_of
from ._kernel_problem import _NO_PARAMETERS, _NOTHING, GRAM, PAIRWISE, SYMMETRIC, Problem
from .static_kernels import GIVEN, Context

# Bytes of double increments and paths in a chunk, unless the caller says how many pairs to take.
_CHUNK_BYTES = 2**25
_NUMBERS = np.zeros(3)


class GivenProblem(Problem):
    """A problem with a static kernel of the user, `given`."""

    def chunks(self, x: Array, y: Array, layout: int) -> Iterator[tuple[Any, Any]]:
        """Indices of the pairs, into `x` and into `y`, a chunk at a time."""
        n1, n2 = x.shape[0], y.shape[0]
        if layout == SYMMETRIC:
            first, second = np.triu_indices(n1)
        elif layout == GRAM:
            first, second = np.divmod(np.arange(n1 * n2), n2)
        else:
            first = second = np.arange(n1)
        per_pair = x.shape[1] * y.shape[1] + (x.shape[1] + y.shape[1]) * x.shape[2]
        size = max(1, _CHUNK_BYTES // (8 * per_pair)) if self.max_batch < 0 else self.max_batch**2
        for start in range(0, len(first), size):
            yield first[start : start + size], second[start : start + size]

    def increments(self, ctx: Context, x: Array, y: Array) -> Any:
        """The double increments, checked: a contiguous NumPy array of shape (pairs, cells)."""
        shape = (x.shape[0], x.shape[1] - 1, y.shape[1] - 1)
        return self.checked("__call__", self.given(ctx, x, y), x, shape).reshape(len(x), -1)

    def checked(self, method: str, result: Any, like: Array, shape: tuple[int, ...]) -> Any:
        """What the user's code returned, as a contiguous NumPy array."""
        name = f"{type(self.given).__name__}.{method}"
        if library_of(result) != library_of(like) or not hasattr(result, "dtype"):
            raise TypeError(f"{name} must return a {type(like).__name__}, got {type(result).__name__}")
        if result.dtype != like.dtype:
            raise TypeError(f"{name} must return dtype {like.dtype}, as it was given, got {result.dtype}")
        if tuple(result.shape) != shape:
            raise ValueError(f"{name} must return shape {shape}, got {tuple(result.shape)}")
        return np.ascontiguousarray(result.detach().numpy() if hasattr(result, "detach") else result)

    def as_given(self, array: Array) -> Array:
        """An array as the user's code wants it."""
        return as_tensor(array) if self.given.tensors_only else array

    def like(self, array: Any, other: Array) -> Array:
        """A NumPy array in the library of `other`."""
        return array if namespace_of(other) is np else as_tensor(array)

    def _values(self, x: Array, y: Array, length1: int, length2: int, layout: int, out: Any, exponent: Any) -> None:
        x, y = self.as_given(x), self.as_given(y)
        for first, second in self.chunks(x, y, layout):
            cells = self.increments(Context(), x[first], y[second])
            mantissas, exponents = np.empty(len(cells), out.dtype), np.empty(len(cells), out.dtype)
            self.kernels.sig_kernel(
                cells,
                _NOTHING[out.dtype.name],
                mantissas,
                exponents,
                _NUMBERS,
                length1,
                length2,
                self.dimension,
                GIVEN,
                PAIRWISE,
                *self.orders,
                self.wavefront,
                self.n_threads,
            )
            for where in self.places(first, second, layout, y.shape[0]):
                out[where], exponent[where] = mantissas, exponents

    def places(self, first: Any, second: Any, layout: int, n2: int) -> list[Any]:
        """Where the results of pairs belong."""
        if layout == PAIRWISE:
            return [first]
        return [first * n2 + second] + [second * n2 + first] * (layout == SYMMETRIC)

    def _grids(self, out: Any) -> None:
        x, y = self.as_given(self.x), self.as_given(self.y)
        for first, second in self.chunks(x, y, self.layout):
            cells = self.increments(Context(), x[first], y[second])
            grids = np.empty((len(cells), *self.grid_shape), out.dtype)
            self.kernels.sig_kernel_grid(
                cells,
                _NOTHING[out.dtype.name],
                grids,
                _NUMBERS,
                self.length1,
                self.length2,
                self.dimension,
                GIVEN,
                PAIRWISE,
                *self.orders,
                self.n_threads,
            )
            for i, where in enumerate(self.places(first, second, self.layout, y.shape[0])):
                out[where] = grids.swapaxes(1, 2) if i else grids

    def _pull(
        self, derivs: Any, x: Array, y: Array, layout: int, log: bool, d_x: Any, d_y: Any, d_parameters: Any
    ) -> None:
        x, y = self.as_given(x), self.as_given(y)
        length1, length2, n2 = x.shape[1], y.shape[1], y.shape[0]
        left, right = d_x is not None, d_y is not None or layout == SYMMETRIC
        to_y = d_x if layout == SYMMETRIC else d_y
        for first, second in self.chunks(x, y, layout):
            ctx, some_x, some_y = Context(), x[first], y[second]
            cells = self.increments(ctx, some_x, some_y)
            where = self.places(first, second, layout, n2)
            some = derivs[where[0]]
            if layout == SYMMETRIC:
                # Both entries of a pair have their derivative; those on the diagonal are one entry.
                some = some + derivs[where[1]] * (first != second)[:, None]
            d_cells = np.zeros_like(cells)
            self.kernels.sig_kernel_backprop(
                np.ascontiguousarray(some, derivs.dtype),
                cells,
                _NOTHING[derivs.dtype.name],
                d_cells,
                _NOTHING[derivs.dtype.name],
                _NO_PARAMETERS,
                _NUMBERS,
                length1,
                length2,
                self.dimension,
                GIVEN,
                PAIRWISE,
                *self.orders,
                log,
                True,
                False,
                self.wavefront,
                self.n_threads,
            )
            seeds = self.like(d_cells.reshape(len(first), length1 - 1, length2 - 1), some_x)
            if left:
                np.add.at(d_x, first, self.checked("grad_x", self.given.grad_x(ctx, seeds), some_x, some_x.shape))
            if right:
                np.add.at(to_y, second, self.checked("grad_y", self.given.grad_y(ctx, seeds), some_y, some_y.shape))
