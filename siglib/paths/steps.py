"""How series become paths, step by step: gaps, scale and sums, then points, channels, rows and time.

Each step is a function of the points of all paths, and knows how derivatives go back through it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._call.libraries import Array, is_on_gpu, library_of, namespace_of, on_host
from .._call.ragged import indices_like, zeros
from .._call.tracing import holds_numbers, is_traced_by_jax
from .prepare import EXTEND_PATHS, FILL_GAPS, starts_of


class Points(NamedTuple):
    """The points of all paths in one array, on their way, and how derivatives go back."""

    points: Array
    starts: np.ndarray
    lengths: np.ndarray
    times: Any  # of all paths, from `time_starts` on
    time_starts: np.ndarray
    pulls: tuple[Callable[[Array], Array], ...] = ()

    def options(self) -> dict[str, Any]:
        """What both operations are told of them."""
        # No times at all would be an even clock: points that are added to paths without any have time 0.
        times = np.zeros(1) if self.times is not None and not len(self.times) else self.times
        return {
            "times": times,
            "starts": self.starts,
            "lengths": self.lengths,
            "time_starts": self.time_starts,
        }

    def behind(self, points: Array, lengths: np.ndarray, pull: Callable[[Array], Array]) -> "Points":
        """The result of a step: paths one behind the other."""
        return self._replace(points=points, lengths=lengths, starts=starts_of(lengths), pulls=(*self.pulls, pull))


def begin(series: Any) -> Points:
    """The points as they came."""
    n = len(series)
    if series.ragged is None:
        points = series.array.reshape(n * series.array.shape[-2], series.dimension)
        starts = starts_of(series.lengths)
    else:
        points, starts = series.array, series.ragged.starts
    times = None if series.clocks is None else series.clocks.times
    time_starts = np.zeros(n, np.int64) if series.clocks is None else series.clocks.starts
    return Points(points, np.ascontiguousarray(starts), np.ascontiguousarray(series.lengths), times, time_starts)


def filled(series: Any, state: Points, n_jobs: int) -> Points:
    """Behind gaps, scale and sums."""
    missing = None if series.gaps == "propagate" else _missing(series.gaps, state.points)
    if missing is not None and series.gaps == "drop":
        state, missing = _without(state, on_host(missing)), None
    if series.scale is not None:
        state = _scaled(series.scale, state, missing)
    if missing is None and not (series.cumulative_sum or series.increments):
        return state
    options = state.options() | {
        "missing": missing,
        "linear": series.gaps == "linear",
        "cumulative": series.cumulative_sum or series.increments,
        "n_jobs": n_jobs,
    }
    if series.increments:
        # Of an increment counts the time of the point that it leads to.
        options["time_starts"] = state.time_starts + 1
    points = state.points

    def pull(derivs: Array) -> Array:
        return FILL_GAPS.backprop(derivs, None, points, **options)[0]

    return state.behind(FILL_GAPS(points, **options), state.lengths, pull)


def _missing(gaps: str, points: Array) -> Any:
    """Where gaps are, 1 there and 0 elsewhere; None if there are none, where that is known.

    Bytes in main memory, and 32 bits on a GPU.
    """
    if library_of(points) == "jax":
        if is_traced_by_jax(points):
            raise TypeError(f'gaps="{gaps}" looks at numbers, which traced arrays of JAX do not have')
        missing = np.isnan(np.asarray(points))
    elif not holds_numbers(points):
        raise TypeError(f'gaps="{gaps}" looks at numbers, which tensors do not have where torch transforms calls')
    elif library_of(points) == "torch":
        missing = namespace_of(points).isnan(points.detach())
        if is_on_gpu(points):
            return missing.to(namespace_of(points).int32).contiguous()
        missing = missing.numpy()
    elif library_of(points) == "cupy":
        return namespace_of(points).ascontiguousarray(namespace_of(points).isnan(points).astype("int32"))
    else:
        missing = np.isnan(points)
    return np.ascontiguousarray(missing).view(np.uint8) if missing.any() else None


def _scaled(scale: Array, state: Points, missing: Any) -> Points:
    points = state.points
    if library_of(points) in ("torch", "jax"):
        # NaN times a derivative of zero would be NaN in the gradient of the scale.
        points = _without_nan(points, missing)
        points = _without_nan(points, _padding(state))

    def pull(derivs: Array) -> Array:
        return derivs * scale

    return state._replace(points=points * scale, pulls=(*state.pulls, pull))


def _without_nan(points: Array, where: Any) -> Array:
    """Points with zeros where something is not 0; None for nowhere."""
    if where is None:
        return points
    xp = namespace_of(points)
    if isinstance(where, np.ndarray):
        where = indices_like(where, points)
    return xp.where(where != 0, xp.zeros_like(points), points)


def _padding(state: Points) -> Any:
    """1 for the rows in no path, which may hold anything, and 0 for others; None if there are none."""
    n_points = int(state.points.shape[0])
    if int(state.lengths.sum()) == n_points:
        return None
    change = np.zeros(n_points + 1, np.int64)
    np.add.at(change, state.starts, 1)
    np.add.at(change, state.starts + state.lengths, -1)
    return (np.cumsum(change)[:-1] == 0)[:, None]


def extended(series: Any, state: Points, time_aug: bool, lead_lag: bool, end_time: float, n_jobs: int) -> Points:
    """Behind everything that adds points, channels and rows."""
    options = state.options() | {
        "first": series.has_base or series.increments,
        "sums": series.increments,
        "reset": series.invisibility_reset,
        "lead_lag": lead_lag,
        "rectilinear": series.rectilinear,
        "time_aug": time_aug,
        "end_time": end_time,
        "n_jobs": n_jobs,
    }
    points, base = state.points, series.base_point
    result = EXTEND_PATHS(points, base, **options)

    def pull(derivs: Array) -> Array:
        return EXTEND_PATHS.backprop(derivs, None, points, base, **options)[0]

    return state.behind(result, EXTEND_PATHS.n_rows(EXTEND_PATHS.clean(options)), pull)


def _without(state: Points, missing: np.ndarray) -> Points:
    """The points without those that have a gap in any channel."""
    path = np.repeat(np.arange(len(state.lengths)), state.lengths)
    place = np.arange(len(path)) - np.repeat(starts_of(state.lengths), state.lengths)
    at = state.starts[path] + place
    kept = ~missing[at].any(1)
    path, place, at = path[kept], place[kept], at[kept]
    lengths = np.bincount(path, minlength=len(state.lengths)).astype(np.int64)
    shape, rows = tuple(state.points.shape), indices_like(at, state.points)

    def pull(derivs: Array) -> Array:
        out = zeros(shape, derivs)
        out[rows] = derivs
        return out

    found = state.behind(state.points[rows], lengths, pull)
    if state.times is None:
        return found
    when = state.time_starts[path] + place
    times = state.times[when if isinstance(state.times, np.ndarray) else indices_like(when, state.times)]
    return found._replace(times=times, time_starts=starts_of(lengths))
