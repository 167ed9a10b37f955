"""Windows of some duration, computed as slices of points.

Paths of unequal lengths are taken one behind another, as one path with the windows of all.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .._call.array_likes import LazyPaths, UnequalLengthsError
from .._call.backend import widened
from .._call.formats import as_double
from .._call.libraries import Array, device_of, library_of, namespace_of
from .._call.options import as_bool, as_float
from .._call.ragged import RaggedPaths, as_ragged, is_ragged
from .._call.shapes import path_shape
from .._call.times import TimesOfPaths, check_order, since_first, times_of_paths
from .._call.tracing import without_compiler
from ..paths.transform import transform_path, transform_path_backprop
from .window_bounds import Slices, time_slices

_TRANSFORM = {"time_aug": False, "lead_lag": False, "end_time": 1.0}


class TimeWindows:
    """A call for windows in time as one for slices: of `path`, from `starts` to `ends`, with `lead_lag`.

    Added time is a channel of `path`, in float64: differences of rounded times would be too coarse for short windows.
    """

    def __init__(
        self,
        path: Any,
        window: Any,
        stride: Any,
        times: Any,
        span: Any,
        starts: Any,
        ends: Any,
        time_aug: Any,
        lead_lag: Any,
        end_time: Any,
        derivs: Any = None,
    ) -> None:
        if times is None:
            raise ValueError("span goes with times: windows that are counted in points begin with the first point")
        if isinstance(path, LazyPaths):
            raise ValueError(
                "times are for windows of paths, and path is a series, whose windows count points: take those of "
                "siglib.transform_path, which makes a path of it"
            )
        if starts is not None or ends is not None:
            raise ValueError("give either times, or starts and ends")
        self._time_aug, self.lead_lag = as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag)
        end_time = as_float("end_time", end_time)
        if self._time_aug and end_time != 1.0:
            raise ValueError(f"times say when a path ends: leave out end_time, got {end_time}")
        self._ragged = self._read(path, derivs)
        *batch, length, _ = self.path.shape
        found = times_of_paths("times", times)
        if self._ragged is None:
            _check_shape(found, tuple(batch), length)
        else:
            found = _cut(found, self._ragged)
        check_order("times", found.moments, found.lengths)
        slices = time_slices(found.moments, found.lengths, window, stride, span)
        self._counts = slices.counts
        if self._is_list():
            self.starts, self.ends = _one_behind_another(slices, found.lengths)
        else:
            self.starts, self.ends = (
                points.reshape(*(found.batch or ()), points.shape[1]) for points in (slices.first, slices.stop)
            )
        if self._time_aug:
            self._add_time(self._rows_of_time(found))

    def _read(self, path: Any, derivs: Any) -> RaggedPaths | None:
        """Sets path and derivatives; the paths of unequal lengths, if they are such."""
        try:
            self._widen(path, derivs)
        except UnequalLengthsError:
            if not is_ragged(path):
                raise
            ragged = self._ragged = as_ragged("path", path)
            if ragged.padded_length is None:
                self._widen(ragged.points, _joined(derivs, ragged))
            else:
                with device_of(ragged.points):
                    shape = (len(ragged), ragged.padded_length, ragged.dimension)
                    self._widen(ragged.points.reshape(shape), derivs)
            return ragged
        path_shape("path", tuple(self.path.shape))
        return None

    def _widen(self, path: Any, derivs: Any) -> None:
        if derivs is None:
            self._back, self.path = widened(path=path)
        else:
            self._back, self.path, self.derivs = widened(path=path, sig_derivs=derivs)

    def _is_list(self) -> bool:
        """Whether each path has a result of its own."""
        return self._ragged is not None and self._ragged.padded_length is None

    def _rows_of_time(self, found: TimesOfPaths) -> np.ndarray:
        """The time of each point of `path`, without those batch axes that it is the same for."""
        time = since_first(found.moments, found.lengths)
        if self._ragged is None:
            return time.reshape(*(found.batch or ()), self.path.shape[-2])
        if self._is_list():
            return time
        rows = np.zeros(self.path.shape[:-1])
        rows[np.arange(rows.shape[1]) < found.lengths[:, None]] = time
        return rows

    def _add_time(self, time: np.ndarray) -> None:
        self.path = as_double(self.path)
        if hasattr(self, "derivs"):
            self.derivs = as_double(self.derivs)
        if self.lead_lag:
            self.path = transform_path(self.path, lead_lag=True)
            time = _halfway(time)
            # A window without points has no rows.
            self.starts, self.ends = (
                np.minimum(at, time.shape[-1]) for at in (2 * self.starts, 2 * self.ends - (self.ends > self.starts))
            )
        xp = namespace_of(self.path)
        where = {"device": self.path.device} if library_of(self.path) == "torch" else {}
        column = np.array(np.broadcast_to(time, self.path.shape[:-1]))[..., None]
        with device_of(self.path):
            self.path = xp.concatenate([self.path, xp.asarray(column, **where)], -1)

    def call(self, function: Callable[..., Array], *args: Any, **options: Any) -> Any:
        """The windows by a function that takes slices."""
        lead_lag = self.lead_lag and not self._time_aug
        return function(self.path, *args, starts=self.starts, ends=self.ends, lead_lag=lead_lag, **options)

    def checked_out(self, out: Any) -> Any:
        """Memory of the caller's for the result; TypeError if that is no array, or computed in another dtype."""
        if self._is_list():
            raise TypeError("out is for one array of paths, and path is a list")
        dtype = self._back(self.path[..., :0]).dtype
        if dtype != self.path.dtype:
            raise TypeError(
                f"out goes with float64 here, in which the result is computed before it is rounded to {dtype}"
            )
        return out

    def results(self, out: Array) -> Any:
        """What `call` returned, as the caller gets it."""
        out = self._back(out)
        if not self._is_list():
            return out
        ends = np.cumsum(self._counts)
        return [out[end - n : end] for end, n in zip(ends.tolist(), self._counts.tolist(), strict=True)]

    def gradient(self, gradient: Array) -> Any:
        """The same for the gradient of `path`."""
        if self._time_aug:
            gradient = gradient[..., :-1]
            if self.lead_lag:
                gradient = transform_path_backprop(gradient, lead_lag=True)
        gradient = self._back(gradient)
        return self._ragged.parts(gradient) if self._ragged is not None and self._is_list() else gradient


@without_compiler
def by_time(
    function: Callable[..., Array],
    path: Any,
    degree: Any,
    window: Any,
    stride: Any,
    times: Any,
    span: Any,
    starts: Any,
    ends: Any,
    time_aug: Any,
    lead_lag: Any,
    end_time: Any,
    out: Any = None,
    **options: Any,
) -> Any:
    """A function of windows for those in time."""
    call = TimeWindows(path, window, stride, times, span, starts, ends, time_aug, lead_lag, end_time)
    if out is not None:
        options["out"] = call.checked_out(out)
    return call.results(call.call(function, degree, **options))


def in_time(function: Any) -> Any:
    """A function of windows, made of several operations, that takes those of real time, too.

    It has parameters `times` and `span`, which it need not look at.
    """

    @wraps(function)
    def call(
        path: Any,
        degree: Any,
        window: Any = 0,
        stride: Any = None,
        *,
        times: Any = None,
        span: Any = None,
        starts: Any = None,
        ends: Any = None,
        **options: Any,
    ) -> Any:
        if times is None and span is None:
            return function(path, degree, window, stride, starts=starts, ends=ends, **options)
        if options.get("lengths") is not None:
            path = RaggedPaths(path, options["lengths"])
        transform = [options.pop(name, default) for name, default in _TRANSFORM.items()]
        options.pop("lengths", None)
        return by_time(function, path, degree, window, stride, times, span, starts, ends, *transform, **options)

    return call


def _joined(derivs: Any, ragged: RaggedPaths) -> Any:
    """Derivatives for each path of a list as those of one."""
    if derivs is None:
        return None
    if len(derivs) != len(ragged):
        raise ValueError(f"sig_derivs must hold an array for each of {len(ragged)} paths, got {len(derivs)}")
    with device_of(derivs[0]):
        return namespace_of(derivs[0]).concatenate(list(derivs), 0)


def _check_shape(times: TimesOfPaths, batch: tuple[int, ...], length: int) -> None:
    """ValueError unless times are those of all paths, or of each."""
    if times.batch is not None and times.batch in ((), batch) and (times.lengths == length).all():
        return
    shape = "a list" if times.batch is None else f"shape {(*times.batch, *times.lengths[:1].tolist())}"
    each = f" or {(*batch, length)}" if batch else ""
    raise ValueError(f"times must have shape {(length,)}{each}, a time for each point of path, got {shape}")


def _cut(times: TimesOfPaths, ragged: RaggedPaths) -> TimesOfPaths:
    """Times of paths of unequal lengths, without padding."""
    # Lengths of Dask are asked for here.
    n, lengths, padded = len(ragged), np.asarray(ragged.lengths, np.int64), ragged.padded_length
    if padded is not None and times.batch in ((), (n,)) and (times.lengths == padded).all():
        rows = np.broadcast_to(times.moments.reshape(*times.batch, padded), (n, padded))
        return TimesOfPaths(rows[np.arange(padded) < lengths[:, None]], lengths, (n,))
    if times.batch in (None, (n,)) and np.array_equal(times.lengths, lengths):
        return TimesOfPaths(times.moments, lengths, (n,))
    raise ValueError(
        f"times must hold an array for each of {n} paths, as long as the path, got lengths "
        f"{times.lengths[:6].tolist()} for paths of lengths {lengths[:6].tolist()}"
    )


def _one_behind_another(slices: Slices, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slices of all paths as those of one."""
    offsets = (np.cumsum(lengths) - lengths)[:, None]
    there = np.arange(slices.first.shape[1]) < slices.counts[:, None]
    return (slices.first + offsets)[there], (slices.stop + offsets)[there]


def _halfway(time: np.ndarray) -> np.ndarray:
    """Times of the rows of a lead-lag path, between whose points there is one more."""
    out = np.empty((*time.shape[:-1], max(2 * time.shape[-1] - 1, 0)))
    out[..., ::2] = time
    out[..., 1::2] = (time[..., 1:] + time[..., :-1]) / 2
    return out
