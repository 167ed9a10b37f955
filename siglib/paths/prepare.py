"""What makes paths of series: gaps filled and values summed up, then points, channels, rows and time added.

Two operations on the points of all paths, one behind the other, wherever each path starts there. Both are linear in the
points: where gaps are is an option, so that derivatives know it, too.
"""

from typing import Any

import numpy as np

from .._call.libraries import Array, is_on_gpu
from .._call.operation import Operation
from .._call.options import FLAG, Meaning, as_n_threads
from .._call.tracing import loaded_torch
from .._tables.grades import PATH, Polynomial

_NOTHING = {(n, dtype): np.empty((0,) * n, dtype) for n, dtype in ((1, "float64"), (2, "uint8"))}


def _clean(name: str, value: Any) -> Any:
    """Arrays of our own; what operators of torch have made tensors comes back."""
    if type(value) is np.ndarray or value is None or not hasattr(value, "detach") or is_on_gpu(value):
        return value
    return value.detach().numpy()


def _as_tensor(name: str, value: Any) -> Any:
    torch: Any = loaded_torch()
    return value if value is None or isinstance(value, torch.Tensor) else torch.as_tensor(value, device="cpu")


ARRAY = Meaning(_clean, _as_tensor, "Tensor?")


def _there(on: Any, value: Any, n_axes: int = 1, dtype: str = "float64") -> Any:
    """An option where loops read it."""
    if value is None:
        value = _NOTHING[n_axes, dtype]
    return on.from_host(value) if type(value) is np.ndarray else on.view(value)


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """Where paths start that stand one behind the other."""
    return np.cumsum(lengths) - lengths


def _zeros(on: Any, shape: tuple[int, ...]) -> Any:
    """A result to which derivatives are added."""
    out = on.empty(shape)
    out[...] = 0
    return out


class _FillGaps(Operation):
    """Paths of the same lengths: numbers in place of those that are missing, then, if wanted, cumulative sums.

    points (..., n_points, dimension) to (..., sum of lengths, dimension). `missing` (n_points, dimension) says where
    gaps are, `times` when points are, from `time_starts` on; None for an even clock. Not `linear`: the last number that
    was observed stands in a gap.
    """

    name = "fill_gaps"
    arrays = ("points",)
    options = ("missing", "times", "starts", "lengths", "time_starts", "linear", "cumulative", "n_jobs")
    meanings = {
        **dict.fromkeys(("missing", "times", "starts", "lengths", "time_starts"), ARRAY),
        **dict.fromkeys(("linear", "cumulative"), FLAG),
    }

    def sizes(self, o: Any, points: Any) -> tuple[Any, ...]:
        return ((*points[:-2], int(o.lengths.sum()), points[-1]),)

    def polynomial(self, o: Any, points: Any) -> Polynomial:
        return Polynomial(1, (PATH,), 1)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, points: Array) -> None:
        on.loops.series.fill_gaps(on.paths(points), *self._where(on, o), on.paths(out), *self._how(o))

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, points: Array) -> Any:
        gradient = _zeros(on, points.shape)
        on.loops.series.fill_gaps_backprop(on.paths(derivs), *self._where(on, o), on.paths(gradient), *self._how(o))
        return (gradient,)

    def _where(self, on: Any, o: Any) -> list[Any]:
        indices = (o.starts, o.lengths, o.time_starts, starts_of(o.lengths))
        return [_there(on, o.missing, 2, "uint8"), _there(on, o.times), *[_there(on, array) for array in indices]]

    def _how(self, o: Any) -> tuple[Any, ...]:
        return o.linear, o.cumulative, as_n_threads(o.n_jobs)


class _ExtendPaths(Operation):
    """Paths with what is added to them.

    points (..., n_points, dimension), and base (..., paths, dimension) or None for 0, to (..., rows, width). In this
    order: a point in front of each path, the base (`first`), which is added to all others, too, if these are sums of
    increments (`sums`); two points at the end and a channel that shows them (`reset`); lead-lag or rectilinear rows;
    time, by `times` or, if None, evenly up to `end_time`.
    """

    name = "extend_paths"
    arrays = ("points", "base?")
    options = (
        *("times", "starts", "lengths", "time_starts", "first", "sums", "reset"),
        *("lead_lag", "rectilinear", "time_aug", "end_time", "n_jobs"),
    )
    meanings = {
        **dict.fromkeys(("times", "starts", "lengths", "time_starts"), ARRAY),
        **dict.fromkeys(("first", "sums", "reset", "rectilinear"), FLAG),
    }

    @staticmethod
    def n_rows(o: Any) -> np.ndarray:
        """Rows of each path behind it."""
        n_points = o.lengths + o.first
        if o.reset:
            n_points = np.where(n_points > 0, n_points + 2, 0)
        return np.maximum(2 * n_points - 1, 0) if o.lead_lag or o.rectilinear else n_points

    @staticmethod
    def width(o: Any, dimension: int) -> int:
        """Channels of each row."""
        return (dimension + o.reset) * (2 if o.lead_lag else 1) + o.time_aug

    def sizes(self, o: Any, points: Any, base: Any) -> tuple[Any, ...]:
        return ((*points[:-2], int(self.n_rows(o).sum()), self.width(o, points[-1])),)

    def polynomial(self, o: Any, points: Any, base: Any) -> Polynomial:
        return Polynomial(1, (PATH,) if base is None else (PATH, PATH), 1)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, points: Array, base: Array) -> None:
        on.loops.series.extend_paths(
            on.paths(points),
            on.scratch((0, 0, 0)) if base is None else on.rows(base, 2).reshape(-1, *base.shape[-2:]),
            _there(on, o.times),
            *[_there(on, array) for array in (o.starts, o.lengths, o.time_starts, starts_of(self.n_rows(o)))],
            on.paths(out),
            _flags(o),
            o.end_time,
            as_n_threads(o.n_jobs),
        )

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, points: Array, base: Array
    ) -> Any:
        gradient = _zeros(on, points.shape)
        of_base = None if base is None else _zeros(on, base.shape)
        on.loops.series.extend_paths_backprop(
            on.paths(derivs),
            *[_there(on, array) for array in (o.starts, o.lengths, starts_of(self.n_rows(o)))],
            on.paths(gradient),
            on.scratch((0, 0, 0)) if of_base is None else on.paths(of_base),
            _flags(o),
            as_n_threads(o.n_jobs),
        )
        return gradient, of_base


def _flags(o: Any) -> np.ndarray:
    return np.array([o.first, o.sums, o.reset, o.lead_lag, o.rectilinear, o.time_aug], np.int64)


FILL_GAPS = _FillGaps()
EXTEND_PATHS = _ExtendPaths()
