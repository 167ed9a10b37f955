"""Paths as CUDA functions load their increments, and the launchers of `cuda/increments.cu`."""

import math
import struct
from functools import lru_cache
from typing import Any

import numpy as np

from .._tables.sizes import augmented_dimension
from .._tables.time import time_grid
from .._tables.transform import Transform
from ._launch import c_type, empty, launch, launch_each, struct_of

# `Paths` of `cuda/increments.cuh`, member for member.
_PATHS = np.dtype(
    [
        ("points", np.uintp),
        ("path", np.int64),
        ("point", np.int64),
        ("channel", np.int64),
        ("n_rows", np.int64),
        ("n_chunks", np.int64),
        ("chunk", np.int64),
        ("dimension", np.int32),
        ("d", np.int32),
        ("time_aug", np.bool_),
        ("lead_lag", np.bool_),
        ("time_step", np.float64),
        ("time_grid", np.float64),
    ],
    align=True,
)
# Size of `Chunk` there.
CHUNK_BYTES = 32
# Points of a thread of `increments_backprop`.
_POINTS = 4
# Fills it faster than NumPy does.
_PACK = struct.Struct("@" + "".join(_PATHS[name].char for name in _PATHS.names or ())).pack
_POINTER_BYTES = struct.calcsize("@P")


def strides(array: Any) -> tuple[int, ...]:
    """Strides of an array, counted in numbers."""
    return tuple(stride // array.itemsize for stride in array.strides)


def packed(width: int, itemsize: int) -> int:
    """Numbers of so many side by side that are loaded together: `packed` of `cuda/increments.cuh`."""
    return next(n for n in (16 // itemsize, 2, 1) if width % n == 0)


def n_increments(path: Any, transform: Transform) -> int:
    """Increments of the transformed path."""
    return max(path.shape[1] - 1, 0) * (2 if transform.lead_lag else 1)


def paths_of(path: Any, transform: Transform, chunk: int | None = None) -> np.void:
    """What functions are told about path (batch, length, dimension), as one argument; keep `path` until the launch.

    In time chunks of `chunk` increments of the transformed path, or in one.
    """
    time_aug, lead_lag, end_time = transform
    n_rows = n_increments(path, transform)
    step = float(end_time) / (n_rows or 1)
    return _filled(path, n_rows, chunk or n_rows, path.shape[2], time_aug, lead_lag, step, time_grid(end_time))


def _filled(
    path: Any, n_rows: int, chunk: int, dimension: int, time_aug: bool, lead_lag: bool, step: float, grid: float
) -> np.void:
    rest = _packed(path.strides, path.itemsize, n_rows, chunk, dimension, time_aug, lead_lag, step, grid)
    return struct_of(path, rest, _PATHS)


@lru_cache(maxsize=4096)
def _packed(
    strides: tuple[int, int, int],
    size: int,
    n_rows: int,
    chunk: int,
    dimension: int,
    time_aug: bool,
    lead_lag: bool,
    step: float,
    grid: float,
) -> bytes:
    """All but the pointer."""
    batch, point, channel = strides
    n_chunks = -(-n_rows // chunk) if n_rows else 1
    d = augmented_dimension(dimension, time_aug, lead_lag)
    packed = _PACK(
        *(0, batch // size, point // size, channel // size, n_rows, n_chunks, chunk, dimension, d),
        *(time_aug, lead_lag, step, grid),
    )
    return packed[_POINTER_BYTES:]


def chunks_of_each(paths: np.void) -> int:
    """Time chunks of one path."""
    return paths["n_chunks"].item()


def increments_of_chunks(paths: np.void, like: Any, n_paths: int, padded: int, width: int, margin: int = 0) -> Any:
    """The increments of all chunks of paths, (n_paths * n_chunks, padded, width): from row `margin` on, with zeros
    before and behind them, and behind the channels."""
    out = empty((n_paths * chunks_of_each(paths), padded, width), like)
    name = f"path_increments<{c_type(out)}>"
    launch_each(
        out.size,
        "increments.cu",
        name,
        paths=paths,
        out=out,
        size=out.size,
        padded=padded,
        n_padded=width,
        margin=margin,
    )
    return out


def increments_of_windows(path: Any, width: int, time_step: float, longest: int) -> Any:
    """The increments of the paths, (batch, length - 1, width), with zeros behind the channels.

    time_step: if not 0, the last channel is time, which advances by it, in windows of `longest` increments at most.
    """
    n_paths, length, d = path.shape
    time_aug, n_rows = time_step != 0, length - 1
    grid = time_grid(time_step * longest)
    paths = _filled(path, n_rows, n_rows, d - time_aug, time_aug, False, time_step, grid)
    return increments_of_chunks(paths, path, n_paths, n_rows, width)


def increments_backprop(gx: Any, out: Any, n_chunks: int = 1, margin: int = 0, lead_lag: bool = False) -> None:
    """The adjoint. gx (batch * n_chunks, n_sums, margin + chunk + margin, d): gradients of the increments, in sums to
    be added; out (batch, length, dimension): of the points."""
    n_sums, walked, d = gx.shape[1:]
    batch, length, n_channels = out.shape
    together = packed(math.gcd(d, n_channels), out.itemsize)
    n_blocks = -(-(-(-length // _POINTS) * (n_channels // together)) // 256)
    launch(
        "increments.cu",
        f"increments_backprop<{c_type(out)}, {int(n_sums == 1)}, {together}>",
        batch * n_blocks,
        256,
        gx=gx,
        out=out,
        n_blocks=n_blocks,
        length=length,
        n_channels=n_channels,
        d=d,
        n_sums=n_sums,
        n_chunks=n_chunks,
        chunk=walked - 2 * margin,
        margin=margin,
        lead_lag=int(lead_lag),
    )


def equal_increments_backprop(g: Any, out: Any, stride: int, lead_lag: bool = False) -> None:
    """The same where all increments of a path have one gradient: g (batch, ...), rows `stride` numbers apart."""
    launch_each(
        out.size,
        "increments.cu",
        f"equal_increments_backprop<{c_type(out)}>",
        g=g,
        out=out,
        size=out.size,
        length=out.shape[1],
        n_channels=out.shape[2],
        stride=stride,
        lead_lag=int(lead_lag),
    )
