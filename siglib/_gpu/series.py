"""Launchers of what makes paths of series; arguments as in `siglib/_cpu/series.pyx`."""

from typing import Any

import numpy as np

from ._launch import c_type, launch_each
from .increments import strides


def _or_nothing(array: Any) -> Any:
    return array if array.size else 0


def fill_gaps(
    points: Any,
    missing: Any,
    times: Any,
    starts: Any,
    lengths: Any,
    time_starts: Any,
    out_starts: Any,
    out: Any,
    linear: bool,
    cumulative: bool,
    n_threads: int,
) -> None:
    """points (batch, n_points, d); missing (n_points, d), or empty if nothing is; times: empty for an even clock;
    starts, lengths, time_starts, out_starts (paths,); out (batch, sum of lengths, d)."""
    _go_along("fill_gaps", points, missing, times, starts, lengths, time_starts, out_starts, out, linear, cumulative)


def fill_gaps_backprop(
    derivs: Any,
    missing: Any,
    times: Any,
    starts: Any,
    lengths: Any,
    time_starts: Any,
    out_starts: Any,
    out: Any,
    linear: bool,
    cumulative: bool,
    n_threads: int,
) -> None:
    """derivs as `out` of fill_gaps; out as its points, 0 before: derivatives are added."""
    name = "fill_gaps_backprop"
    _go_along(name, derivs, missing, times, starts, lengths, time_starts, out_starts, out, linear, cumulative)


def _go_along(
    name: str,
    given: Any,
    missing: Any,
    times: Any,
    starts: Any,
    lengths: Any,
    time_starts: Any,
    out_starts: Any,
    out: Any,
    linear: bool,
    cumulative: bool,
) -> None:
    batch_stride, point, channel = strides(given)
    batch, n_out, d = out.shape
    backward = name == "fill_gaps_backprop"
    launch_each(
        batch * len(starts) * d if given.size else 0,
        "series.cu",
        f"{name}<{c_type(out)}>",
        missing=_or_nothing(missing),
        times=_or_nothing(times),
        starts=starts,
        lengths=lengths,
        time_starts=time_starts,
        out_starts=out_starts,
        out=out,
        size=batch * len(starts) * d,
        paths=len(starts),
        d=d,
        batch_stride=batch_stride,
        point=point,
        channel=channel,
        linear=int(linear),
        cumulative=int(cumulative),
        **{"derivs": given, "n_points": n_out} if backward else {"points": given, "n_out": n_out},
    )


def extend_paths(
    points: Any,
    base: Any,
    times: Any,
    starts: Any,
    lengths: Any,
    time_starts: Any,
    out_starts: Any,
    out: Any,
    flags: np.ndarray,
    end_time: float,
    n_threads: int,
) -> None:
    """points (batch, n_points, d); base (batch, paths, d), empty for 0; times: empty for an even clock; starts,
    lengths, time_starts, out_starts (paths,); flags: first, sums, reset, lead_lag, rectilinear, clock; out (batch,
    rows, width)."""
    batch_stride, point, channel = strides(points)
    first, sums, reset, lead_lag, rectilinear, clock = flags.tolist()
    launch_each(
        out.size,
        "series.cu",
        f"extend_paths<{c_type(out)}>",
        points=points,
        base=_or_nothing(base),
        times=_or_nothing(times),
        starts=starts,
        lengths=lengths,
        time_starts=time_starts,
        out_starts=out_starts,
        out=out,
        size=out.size,
        paths=len(starts),
        d=points.shape[2],
        n_rows=out.shape[1],
        width=out.shape[2],
        batch_stride=batch_stride,
        point=point,
        channel=channel,
        first=first,
        sums=sums,
        reset=reset,
        lead_lag=lead_lag,
        rectilinear=rectilinear,
        clock=clock,
        end_time=float(end_time),
    )


def extend_paths_backprop(
    derivs: Any, starts: Any, lengths: Any, out_starts: Any, out: Any, base: Any, flags: np.ndarray, n_threads: int
) -> None:
    """derivs as `out` of extend_paths; out as its points, 0 before; base as its base, empty if not wanted."""
    batch_stride, row, channel = strides(derivs)
    first, sums, reset, lead_lag, rectilinear, _ = flags.tolist()
    paths, d = len(starts), out.shape[2]
    common = {
        "derivs": derivs,
        "lengths": lengths,
        "out_starts": out_starts,
        "paths": paths,
        "d": d,
        "batch_stride": batch_stride,
        "row": row,
        "channel": channel,
        "reset": reset,
        "lead_lag": lead_lag,
        "rectilinear": rectilinear,
    }
    launch_each(
        out.size if derivs.size else 0,
        "series.cu",
        f"extend_paths_backprop<{c_type(out)}>",
        starts=starts,
        out=out,
        size=out.size,
        n_points=out.shape[1],
        first=first,
        **common,
    )
    if base.size and derivs.size:
        launch_each(
            base.size, "series.cu", f"base_backprop<{c_type(out)}>", out=base, size=base.size, sums=sums, **common
        )
