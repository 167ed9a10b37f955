"""The points of a path that grows, as streams and interval queries keep them."""

import math
from typing import Any

import numpy as np

from ._backend import Array, as_tensor, backend_for, library_of, namespace_of
from ._checks import path_shape


class Points:
    """The points of a growing path, or batch of paths, of one library and dtype, copied on arrival.

    Tensors that require a gradient are kept as well, for gradients to reach them.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.n = 0
        self.batch: tuple[int, ...] | None = None
        self.pieces: list[Any] | None = None
        self.on: Any = None  # the backend of the points
        self._none: Any = None  # no points, as the caller's library has them
        self._data: Any = None  # (capacity, *batch, dimension)
        self._fast: Any = None

    @property
    def n_paths(self) -> int:
        """Number of paths in a batch."""
        return math.prod(self.batch or ())

    def push(self, point: Array) -> None:
        """One point, of shape (*batch, dimension)."""
        if type(point) is np.ndarray and self._fast == (point.dtype, point.shape) and self.n < len(self._data):
            self._data[self.n] = point
            self.n += 1
            return
        on, array = backend_for(point=point)
        if array.ndim == 0:
            raise ValueError(f"point must have shape (..., {self.dimension}), got a single number")
        self._extend("point", on, array[..., None, :], point if library_of(point) == "torch" else None)

    def extend(self, points: Array, name: str = "points") -> None:
        """Any number of points, of shape (*batch, n, dimension)."""
        on, array = backend_for(**{name: points})
        path_shape(name, array.shape)
        self._extend(name, on, array, points if library_of(points) == "torch" else None)

    def _extend(self, name: str, on: Any, array: Any, tensor: Any) -> None:
        batch, n, dimension = array.shape[:-2], array.shape[-2], array.shape[-1]
        if on.on_gpu:
            raise TypeError(f"{name} is on a GPU, where streams and intervals do not run yet: move it to the CPU")
        if dimension != self.dimension:
            raise ValueError(f"{name} must have {self.dimension} channels on its last axis, got {dimension}")
        if self.batch is None:
            if n == 0:
                return
            self._begin(on, tuple(batch))
        if tuple(batch) != self.batch:
            raise ValueError(f"{name} must have batch shape {self.batch}, as before, got {tuple(batch)}")
        if type(on) is not type(self.on) or on.result_dtype != self.on.result_dtype:
            raise ValueError(
                f"{name} must be of {library_of(self._none)} and {self.on.result_dtype}, as before, got "
                f"{'numpy' if tensor is None else 'torch'} and {on.result_dtype}"
            )
        if self.n + n > len(self._data):
            room = np.empty((max(64, 2 * (self.n + n)), *self._data.shape[1:]), self._data.dtype)
            room[: self.n] = self._data[: self.n]
            self._data = room
        if tensor is not None:
            wanted = tensor.requires_grad and namespace_of(tensor).is_grad_enabled()
            if self.pieces is None and wanted:
                self.pieces = [self.tensor(self.path())] if self.n else []
            if self.pieces is not None and n:
                # A view of the caller's memory would follow its later changes.
                piece = tensor.clone() if wanted else tensor.detach().clone()
                self.pieces.append(piece[..., None, :] if piece.ndim == len(batch) + 1 else piece)
        self._data[self.n : self.n + n] = np.moveaxis(on.view(array), -2, 0)
        self.n += n

    def _begin(self, on: Any, batch: tuple[int, ...]) -> None:
        """What the first points decide."""
        self.on, self.batch = on, batch
        self._none = on.result(on.empty((0,)))
        self._data = np.empty((64, *batch, self.dimension), on.dtype_name)
        if library_of(self._none) == "numpy" and on.dtype == on.result_dtype:
            self._fast = (self._data.dtype, self._data.shape[1:])

    def path(self) -> np.ndarray:
        """All points, (*batch, n, dimension); a view."""
        return np.moveaxis(self._data[: self.n], 0, -2)

    def by_time(self) -> np.ndarray:
        """All points, (n, number of paths, dimension); a view."""
        return self._data[: self.n].reshape(self.n, self.n_paths, self.dimension)

    def tensor(self, values: np.ndarray) -> Any:
        """What kernels computed, as the caller's library has it."""
        return self.on.result(as_tensor(values) if library_of(self._none) == "torch" else values)

    def watched(self) -> Any:
        """The whole path as a tensor with a graph, or None."""
        return None if self.pieces is None else namespace_of(self.pieces[0]).cat(self.pieces, dim=-2)

    def drop(self, n: int) -> None:
        """Forget the first n points."""
        self._data = self._data[n : self.n].copy()
        self.n -= n

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copies: without room for more points, without a graph."""
        state = self.__dict__ | {"pieces": None, "on": None}
        if self._data is not None:
            state["_data"] = self._data[: max(self.n, 1)].copy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        if self._none is not None:
            (self.on, _) = backend_for(points=self._none)
