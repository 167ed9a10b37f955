"""The points of a path that grows, as streams and interval queries keep them.

On the CPU they are NumPy arrays, of tensors as well: to write one point into a tensor takes several times as long. On a
GPU they are arrays of the caller's library, whose allocator and order of work they follow.

Threads may share them. Who changes points, or takes what loops read, holds their lock; loops run without it, on
views of the memory: points are only ever written behind those that are there, and dropped by moving to other memory.
"""

import math
from typing import Any

import numpy as np

from .._call.backend import backend_for
from .._call.libraries import Array, as_tensor, has_own_dtype, library_of, namespace_of
from .._call.shapes import path_shape
from .._call.tracing import refuse_traced
from .._tables.locks import give_lock


class Points:
    """The points of a growing path, or batch of paths, of one library and dtype, copied on arrival.

    Tensors that require a gradient are kept as well, for gradients to reach them. `lock` is that of the whole object
    that the points belong to. With `double` everything is computed in float64: the points are kept in it, which is
    little beside the signatures.
    """

    lock: Any

    def __init__(self, dimension: int | None = None, double: bool = False) -> None:
        give_lock(self)
        self.dimension: Any = dimension  # None: that of the first points
        self._double = double
        self.n = 0
        self.batch: tuple[int, ...] | None = None
        self.pieces: list[Any] | None = None
        self.on: Any = None  # the backend of the points
        self._none: Any = None  # no points, as the caller's library has them
        self._data: Any = None  # (capacity, *batch, dimension)
        # Points of this type, dtype and shape need no look.
        self._fast_type: Any = None
        self._fast_dtype: Any = None
        self._fast_shape: Any = None
        self._is_numpy = False

    @property
    def n_paths(self) -> int:
        """Number of paths in a batch."""
        return math.prod(self.batch or ())

    def push(self, point: Array) -> int:
        """One point, of shape (*batch, dimension). Returns its place."""
        if type(point) is self._fast_type and point.dtype is self._fast_dtype and point.shape == self._fast_shape:
            n, data = self.n, self._data
            if n < len(data):
                if self._is_numpy:
                    data[n] = point
                    self.n = n + 1
                    return n
                if point.is_cpu:
                    refuse_traced({"point": point})
                    self._watch(point)
                    as_tensor(data)[n] = point.detach()
                    self.n = n + 1
                    return n
        on, array = self._converted("point", point)
        if array.ndim == 0:
            raise ValueError(f"point must have shape (..., {self.dimension}), got a single number")
        self._extend("point", on, array[..., None, :], point if library_of(point) == "torch" else None)
        return self.n - 1

    def extend(self, points: Array, name: str = "points", n_times: int | None = None) -> None:
        """Any number of points, of shape (*batch, n, dimension); exactly `n_times` if there are times."""
        on, array = self._converted(name, points)
        _, n, _ = path_shape(name, array.shape)
        if n_times not in (None, n):
            raise ValueError(f"times must have shape ({n},), a time for each point of {name}, got ({n_times},)")
        self._extend(name, on, array, points if library_of(points) == "torch" else None)

    def _converted(self, name: str, points: Array) -> tuple[Any, Any]:
        """The backend of points, and the points as it computes with them. Lists and integers adapt to what came before,
        as they adapt to other arrays in calls.
        """
        if self.on is not None and library_of(points) == library_of(self._none) and not has_own_dtype(points):
            on, _, array = backend_for(none=self._none, **{name: points})
            return on, array
        on, array = backend_for(**{name: points})
        return on, array

    def _extend(self, name: str, on: Any, array: Any, tensor: Any) -> None:
        batch, n, dimension = array.shape[:-2], array.shape[-2], array.shape[-1]
        if self.dimension is None:
            self.dimension = dimension
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
                f"{library_of(on.given(array))} and {on.result_dtype}"
            )
        if on.device != self.on.device:
            raise ValueError(f"{name} must be on GPU {self.on.device}, as before, got one on GPU {on.device}")
        if self.n + n > len(self._data):
            room = self._room(max(64, 2 * (self.n + n)))
            with on.current():
                room[: self.n] = self._data[: self.n]
            self._data = room
        if tensor is not None and n:
            self._watch(tensor)
        with on.current():
            self._data[self.n : self.n + n] = namespace_of(array).moveaxis(array, -2, 0)
        self.n += n

    def _watch(self, tensor: Any) -> None:
        """Keep a tensor with its graph, if gradients may be wanted. To be called before its points are stored."""
        wanted = tensor.requires_grad and namespace_of(tensor).is_grad_enabled()
        if self.pieces is None and wanted:
            self.pieces = [self.on.result(self.path()).clone()] if self.n else []
        if self.pieces is not None:
            # A view of the caller's memory would follow its later changes.
            self.pieces.append(tensor.clone() if wanted else tensor.detach().clone())

    def _begin(self, on: Any, batch: tuple[int, ...]) -> None:
        """What the first points decide."""
        self.on, self.batch = on.double() if self._double else on, batch
        self._none = on.result(on.empty((0,)))
        self._data = self._room(64)
        if on.can_look and on.dtype == on.result_dtype:
            self._fast_type = type(self._none)
            self._fast_dtype, self._fast_shape = self._none.dtype, (*batch, self.dimension)
            self._is_numpy = self._fast_type is np.ndarray

    def _room(self, n: int) -> Any:
        """Memory for n points."""
        return self.on.empty((n, *(self.batch or ()), self.dimension))

    def path(self) -> Any:
        """All points, (*batch, n, dimension); a view."""
        return namespace_of(self._data).moveaxis(self._data[: self.n], 0, -2)

    def by_time(self) -> Any:
        """All points for loops, (n, number of paths, dimension); a view."""
        return self.on.view(self._data[: self.n].reshape(self.n, self.n_paths, self.dimension))

    def refuse_traced(self) -> None:
        """RuntimeError if torch watches operators: it would not see what comes from these points."""
        if library_of(self._none) == "torch":
            refuse_traced({"the points": self._none})

    def watched(self) -> Any:
        """The whole path as a tensor with a graph, in the dtype of the loops, or None."""
        if self.pieces is None:
            return None
        n_axes = len(self.batch or ()) + 2
        # Points that came one by one have no axis of time.
        pieces = [piece if piece.ndim == n_axes else piece[..., None, :] for piece in self.pieces]
        return namespace_of(pieces[0]).cat(pieces, dim=-2).to(self.on.dtype)

    def follow(self, others: "Points") -> None:
        """Add those of others, of which these are the first ones, that are missing here."""
        self._extend("points", others.on, others.path()[..., self.n :, :], None)
        self.pieces = others.pieces

    def drop(self, n: int) -> None:
        """Forget the first n points."""
        self._data = copy_of(self._data[n : self.n])
        self.n -= n

    def twin(self) -> "Points":
        """The same points, which go on without these: in the same memory, with no room for more."""
        twin = Points.__new__(Points)
        twin.__dict__ |= self.__dict__
        give_lock(twin)
        if self._data is not None:
            twin._data = self._data[: self.n]
        if self.pieces is not None:
            twin.pieces = self.pieces.copy()
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deep copies: without room for more points, without a graph."""
        state = self.__dict__ | {"pieces": None, "on": None}
        del state["lock"]
        if self._data is not None:
            state["_data"] = copy_of(self._data[: self.n])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        give_lock(self)
        self.__dict__ |= state
        if self._none is not None:
            (on, _) = backend_for(points=self._none)
            self.on = on.double() if self._double else on


class OfPoints:
    """An object with points that threads may share: copies and pickles of it are those of one moment."""

    _points: Points

    def __getstate__(self) -> dict[str, Any]:
        with self._points.lock:
            points = self._points.twin()
            state = self.__dict__.copy()
            for name, value in state.items():
                if type(value) is list:
                    state[name] = value.copy()
            if "_times" in state:
                state["_times"] = state["_times"].twin()
        state["_points"] = points
        if "_intervals" in state:
            state["_intervals"] = state["_intervals"].twin(points)
        return state

    def __copy__(self) -> Any:
        twin = type(self).__new__(type(self))
        twin.__dict__ |= self.__getstate__()
        return twin


def copy_of(array: Any) -> Any:
    """The same numbers in memory of their own, without a graph."""
    return array.detach().clone() if library_of(array) == "torch" else array.copy()
