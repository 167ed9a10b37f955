"""What operations on windows share: which windows there are, shapes, and the calls of the loops."""

from typing import Any

import numpy as np

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import path_shape, vector_shape
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import checked_tensor_length
from .._tables.transform import Transform
from ..paths.transform import transform_backprop, transformed


class WindowOperation(Operation):
    """Signatures of windows of paths: `count` and `windows` say which."""

    arrays = ("path",)
    derivs_name = "sig_derivs"

    def count(self, o: Any, batch: tuple[int, ...], length: int) -> int:
        """Number of windows of a path, or the error."""
        raise NotImplementedError

    def windows(self, o: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last points of all windows, (n_windows,) or (*batch, n_windows); an empty one has one point."""
        raise NotImplementedError

    def check(self, o: Any, length: int) -> None:
        """ValueError for windows that are not in the path; `windows` raises it, too."""

    def sizes(self, o: Any, path: Any) -> tuple[Any, ...]:
        batch, length, dimension = path_shape("path", path)
        n = self.count(o, batch, length)
        return ((*batch, n, checked_tensor_length(o.transform.width(dimension), o.degree) + o.scalar_term),)

    def polynomial(self, o: Any, path: Any) -> Polynomial:
        d = o.transform.width(path[-1])
        return grades.of_path(o.degree, o, o.scalar_term + d, n_top=d**o.degree)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array) -> None:
        if 0 in sizes[0][:-1]:
            # No tables either: the paths that are not there may be long.
            self.check(o, path.shape[-2])
            return
        transform, n_threads = o.transform, as_n_threads(o.n_jobs)
        paths = transformed(on, path, transform, n_threads)
        tables, time_step = self._tables(o, path.shape[-2]), _time_step(on, paths, transform)
        on.loops.windows.sig_windows(paths, *tables, on.rows(out), o.degree, o.scalar_term, time_step, n_threads)

    def adapted(self, o: Any, derivs: Any, out: Any, *shapes: Any) -> Any:
        _, length = vector_shape("sig_derivs", derivs)
        shape = self.sizes(o, *shapes)[0]
        return self.replaced(o, "scalar_term", length == shape[-1] + 1)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        if derivs != sizes[0]:
            shape = (*sizes[0][:-1], sizes[0][-1] - o.scalar_term)
            raise ValueError(
                f"sig_derivs must have shape {shape} (or one more on the last axis, for the scalar term), got {derivs}"
            )
        return False

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array) -> tuple[Any]:
        gradient = on.empty(path.shape)
        if 0 in gradient.shape:
            return (gradient,)
        transform, n_threads = o.transform, as_n_threads(o.n_jobs)
        paths = transformed(on, path, transform, n_threads)
        tables, time_step = self._tables(o, path.shape[-2]), _time_step(on, paths, transform)
        whole = not (transform.time_aug or transform.lead_lag)
        found = on.paths(gradient) if whole else on.scratch(paths.shape)
        on.loops.windows.sig_windows_backprop(
            paths, *tables, on.rows(derivs), found, o.degree, o.scalar_term, time_step, n_threads
        )
        if not whole:
            transform_backprop(on, found, on.paths(gradient), transform.lead_lag, n_threads)
        return (gradient,)

    def _tables(self, o: Any, length: int) -> tuple[np.ndarray, ...]:
        """(first point of each window, last point, windows by their last points), all (1 or batch, n_windows).

        With lead-lag the points are those of the transformed path.
        """
        first, last = self.windows(o, length)
        if first.ndim == 1:
            first, last = first[None], last[None]
        elif first.ndim > 2 or first.size == 0:
            first, last = (points.reshape(-1 if points.size else 1, points.shape[-1]) for points in (first, last))
        first, last = np.ascontiguousarray(first), np.ascontiguousarray(last)
        if o.lead_lag:
            first, last = 2 * first, 2 * last
        if (last[:, 1:] < last[:, :-1]).any():
            order = np.argsort(last, axis=-1, kind="stable")
        else:
            order = np.arange(last.shape[1], dtype=np.int64)[None]
            if len(last) != 1:
                order = np.broadcast_to(order, last.shape)
        return first, last, np.ascontiguousarray(order, dtype=np.int64)


def n_windows(o: Any, batch: tuple[int, ...], length: int) -> int:
    """Number of windows that options ask for; looks at no start or end, but at their shapes."""
    starts, ends, window, stride = o.starts, o.ends, o.window, o.stride
    if (starts is None) != (ends is None):
        raise ValueError("starts and ends go together: give both or none")
    if starts is None:
        if window == 0:
            raise ValueError("give window, a number of points, or starts and ends")
        return (length - window) // stride + 1 if length >= window else 0
    if window != 0 or stride != 1:
        raise ValueError("give either window and stride, or starts and ends")
    shapes = {}
    for name, indices in (("starts", starts), ("ends", ends)):
        shapes[name] = tuple(indices.shape)
        if len(shapes[name]) == 0 or (len(shapes[name]) > 1 and shapes[name][:-1] != tuple(batch)):
            raise ValueError(
                f"{name} must have shape (n_windows,) or (*batch, n_windows), got {shapes[name]} for paths of batch "
                f"shape {tuple(batch)}"
            )
    if shapes["starts"] != shapes["ends"]:
        raise ValueError(f"starts and ends must have the same shape, got {shapes['starts']} and {shapes['ends']}")
    return shapes["starts"][-1]


def windows_of(o: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last points of the windows that options ask for; ValueError if they are not in the path."""
    if o.starts is None:
        first = np.arange(max(length - o.window + 1, 0), step=min(o.stride, length + 1), dtype=np.int64)
        return first, first + (min(o.window, length + 1) - 1)
    first, stop = o.starts, o.ends
    wrong = (first < 0) | (stop < first) | (stop > length)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"windows must satisfy 0 <= start <= end <= {length}, the number of points, got start {first[at]} and "
            f"end {stop[at]} at index {at if len(at) > 1 else at[0]}"
        )
    return first, np.maximum(stop - 1, first)


def _time_step(on: Any, paths: Any, transform: Transform) -> float:
    """How far time advances with each increment; 0 if loops take it as a channel like others, as in float64.

    Differences of the rounded times of a long float32 path are too coarse for short windows.
    """
    if not (transform.time_aug and on.dtype_name == "float32"):
        return 0.0
    return float(transform.end_time) / max(paths.shape[1] - 1, 1)
