"""Signature kernels of static kernels that users wrote: their Python code gives the double increments, pair by pair.

Pairs go through it in chunks, so that memory stays bounded; the compiled kernels do the rest.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._call.libraries import Array, as_tensor, library_of, namespace_of
from .problem import GRAM, PAIRWISE, SYMMETRIC, Problem
from .static_kernels import GIVEN, Context

# Bytes of double increments and paths in a chunk, unless the caller says how many pairs to take.
_CHUNK_BYTES = 2**25
_NUMBERS = np.zeros(3)


class GivenProblem(Problem):
    """A problem with a static kernel of the user, `given`."""

    adds_gradients = True

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
        """The double increments, checked: a contiguous view of shape (pairs, cells)."""
        shape = (x.shape[0], x.shape[1] - 1, y.shape[1] - 1)
        return self.checked("__call__", self.given(ctx, x, y), x, shape).reshape(len(x), -1)

    def checked(self, method: str, result: Any, like: Array, shape: tuple[int, ...]) -> Any:
        """What the user's code returned, as a contiguous view."""
        name = f"{type(self.given).__name__}.{method}"
        if library_of(result) != library_of(like) or not hasattr(result, "dtype"):
            raise TypeError(f"{name} must return a {type(like).__name__}, got {type(result).__name__}")
        if result.dtype != like.dtype:
            raise TypeError(f"{name} must return dtype {like.dtype}, as it was given, got {result.dtype}")
        if tuple(result.shape) != shape:
            raise ValueError(f"{name} must return shape {shape}, got {tuple(result.shape)}")
        return self.on.xp.ascontiguousarray(
            self.on.from_torch(result.detach()) if hasattr(result, "detach") else result
        )

    def as_given(self, array: Array) -> Array:
        """An array as the user's code wants it."""
        return as_tensor(array) if self.given.tensors_only else self.on.given(array)

    def picked(self, paths: Array, index: Any) -> Array:
        """The paths of this index, an array on the host."""
        with self.on.current():
            return paths[index if isinstance(paths, np.ndarray) else _index_like(index, paths)]

    def _values(self, x: Array, y: Array, length1: int, length2: int, layout: int, outs: tuple[Any, ...]) -> None:
        x, y = self.as_given(x), self.as_given(y)
        for first, second in self.chunks(x, y, layout):
            cells = self.increments(Context(), self.picked(x, first), self.picked(y, second))
            parts = tuple([self.on.xp.empty(len(cells), out.dtype) for out in outs])
            nothing = self.nothing()
            self.solve(cells, nothing, parts, _NUMBERS, length1, length2, GIVEN, PAIRWISE)
            for where in self.places(first, second, layout, y.shape[0]):
                where = self.on.from_host(where)
                for out, part in zip(outs, parts, strict=True):
                    out[where] = part

    def places(self, first: Any, second: Any, layout: int, n2: int) -> list[Any]:
        """Where the results of pairs belong."""
        if layout == PAIRWISE:
            return [first]
        return [first * n2 + second] + [second * n2 + first] * (layout == SYMMETRIC)

    def _grids(self, out: Any) -> None:
        x, y = self.as_given(self.x), self.as_given(self.y)
        for first, second in self.chunks(x, y, self.layout):
            cells = self.increments(Context(), self.picked(x, first), self.picked(y, second))
            grids = self.on.xp.empty((len(cells), *self.grid_shape), out.dtype)
            self.solve_grid(cells, self.nothing(), grids, _NUMBERS, GIVEN, PAIRWISE)
            for i, where in enumerate(self.places(first, second, self.layout, y.shape[0])):
                out[self.on.from_host(where)] = grids.swapaxes(1, 2) if i else grids

    def _values_backprop(
        self, derivs: Any, x: Array, y: Array, layout: int, log: bool, d_x: Any, d_y: Any, d_parameters: Any
    ) -> None:
        x, y = self.as_given(x), self.as_given(y)
        length1, length2, n2 = x.shape[1], y.shape[1], y.shape[0]
        left, right = d_x is not None, d_y is not None or layout == SYMMETRIC
        to_y = d_x if layout == SYMMETRIC else d_y
        for first, second in self.chunks(x, y, layout):
            ctx, some_x, some_y = Context(), self.picked(x, first), self.picked(y, second)
            cells = self.increments(ctx, some_x, some_y)
            xp = self.on.xp
            where = [self.on.from_host(place) for place in self.places(first, second, layout, n2)]
            some = derivs[where[0]]
            if layout == SYMMETRIC:
                # Both entries of a pair have their derivative; those on the diagonal are one entry.
                some = some + derivs[where[1]] * self.on.from_host(first != second)[:, None]
            seeds = self.on.empty((len(first), length1 - 1, length2 - 1))
            d_cells = self.on.view(seeds).reshape(cells.shape)
            nothing = self.nothing()
            self.solve_backprop(
                xp.ascontiguousarray(some.astype(derivs.dtype, copy=False)),
                cells,
                nothing,
                d_cells,
                nothing,
                self.no_parameters(),
                _NUMBERS,
                length1,
                length2,
                GIVEN,
                PAIRWISE,
                log,
                True,
                False,
            )
            seeds = self.as_given(seeds)
            if left:
                self.add(d_x, first, self.checked("grad_x", self.given.grad_x(ctx, seeds), some_x, some_x.shape))
            if right:
                self.add(to_y, second, self.checked("grad_y", self.given.grad_y(ctx, seeds), some_y, some_y.shape))

    def add(self, to: Any, index: Any, paths: Any) -> None:
        """to[index[i]] += paths[i], one after the other."""
        self.loops.signature_kernel.add_paths(
            to.reshape(len(to), -1), self.on.from_host(index), paths.reshape(len(index), -1)
        )


def _index_like(index: Any, paths: Array) -> Any:
    """The index as an array of the library and device of `paths`."""
    if library_of(paths) == "torch":
        return as_tensor(index).to(paths.device)
    return namespace_of(paths).asarray(index)
