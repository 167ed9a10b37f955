"""Launchers of path transforms; arguments as in `siglib/_cpu/path.pyx`."""

from typing import Any

from .._tables.time import time_grid
from .._tables.transform import Transform
from ._launch import c_type, launch

_BLOCK = 256


def strides(array: Any) -> tuple[int, ...]:
    """Strides of an array, counted in numbers."""
    return tuple(stride // array.itemsize for stride in array.strides)


def time_steps(end_time: float, n_rows: int) -> tuple[float, float]:
    """What kernels are told about time: its step, and what rounds it."""
    return float(end_time) / max(n_rows, 1), time_grid(end_time)


def transform_path(path: Any, out: Any, transform: Transform, n_threads: int) -> None:
    """path (batch, length, d); out (batch, length or 2 length - 1, d or 2 d, + 1 with time)."""
    time_aug, lead_lag, end_time = transform
    launch(
        "path.cu",
        f"transform_path<{c_type(path)}>",
        -(-out.size // _BLOCK),
        _BLOCK,
        (
            path,
            out,
            out.size,
            out.shape[1],
            path.shape[2],
            *strides(path),
            int(time_aug),
            int(lead_lag),
            float(end_time),
        ),
    )


def transform_path_backprop(derivs: Any, out: Any, lead_lag: bool, n_threads: int) -> None:
    """derivs as `out` of transform_path, its time channel (if any) last and not read; out (batch, length, d)."""
    launch(
        "path.cu",
        f"transform_path_backprop<{c_type(derivs)}>",
        -(-out.size // _BLOCK),
        _BLOCK,
        (derivs, out, out.size, out.shape[1], out.shape[2], *strides(derivs), int(lead_lag)),
    )
