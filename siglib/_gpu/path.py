"""Launchers of path transforms; arguments as in `siglib/_cpu/path.pyx`."""

from typing import Any

from .._tables.transform import Transform
from ._launch import c_type, launch_each
from .increments import paths_of, strides


def transform_path(path: Any, out: Any, transform: Transform, n_threads: int) -> None:
    """path (batch, length, d); out (batch, length or 2 length - 1, d or 2 d, + 1 with time)."""
    launch_each(
        out.size,
        "path.cu",
        f"transform_path<{c_type(path)}>",
        paths=paths_of(path, transform),
        out=out,
        size=out.size,
        end_time=float(transform.end_time),
    )


def transform_path_backprop(derivs: Any, out: Any, lead_lag: bool, n_threads: int) -> None:
    """derivs as `out` of transform_path, its time channel (if any) last and not read; out (batch, length, d)."""
    derivs_stride, row, channel = strides(derivs)
    launch_each(
        out.size,
        "path.cu",
        f"transform_path_backprop<{c_type(derivs)}>",
        derivs=derivs,
        out=out,
        size=out.size,
        length=out.shape[1],
        d=out.shape[2],
        derivs_stride=derivs_stride,
        row=row,
        channel=channel,
        lead_lag=int(lead_lag),
    )
