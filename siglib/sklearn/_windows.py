"""Which parts of a path have features of their own: as slices of its points, in one list for all lengths."""

from typing import Any, NamedTuple

import numpy as np

from .._call.options import as_positive
from .._call.times import check_order, times_of_paths
from ..signatures.window_bounds import time_slices

KINDS = ("global", "sliding", "expanding", "dyadic", "time")


class Windows(NamedTuple):
    """Checked settings. Windows in shares of the path fit paths of all lengths."""

    kind: str
    window: Any
    stride: Any
    depth: int

    def slices(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """(starts, ends) of the windows of a path with this many points."""
        last = length - 1
        if self.kind == "dyadic":
            cuts = [np.arange(2**level + 1) * last // 2**level for level in range(self.depth + 1)]
            starts, ends = np.concatenate([cut[:-1] for cut in cuts]), np.concatenate([cut[1:] + 1 for cut in cuts])
        elif isinstance(self.window, int):
            ends = np.arange(self.window, length + 1, self.stride)
            starts = ends - self.window
        else:
            # Shares of the segments, rounded down, so that windows that share an end do so for every length. Those of
            # an inch beyond the path are meant to end with it.
            n = int((1.0 - self.window) / self.stride + 1e-9) + 1
            shares = np.arange(n) * self.stride
            starts = np.floor(shares * last + 1e-9).astype(np.intp)
            ends = np.floor(np.minimum(shares + self.window, 1.0) * last + 1e-9).astype(np.intp) + 1
        return (np.zeros_like(starts) if self.kind == "expanding" else starts), ends

    def in_time(self, moments: list[np.ndarray], extra: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int]:
        """(first points, ends, number of windows that the longest series has) of windows of real time.

        Both are arrays (series, windows), with windows without points behind those of shorter series. So many points
        that were put in front of each series and behind it are of its first and of its last moment.
        """
        found = times_of_paths("time", moments)
        ends = np.cumsum(found.lengths)
        copies = np.ones(len(found.moments), np.intp)
        copies[ends - found.lengths] += extra[0]
        copies[ends - 1] += extra[1]
        times, lengths = np.repeat(found.moments, copies), found.lengths + sum(extra)
        check_order("time", times, lengths)
        slices = time_slices(times, lengths, self.window, self.stride, None)
        return slices.first, slices.stop, slices.first.shape[1]

    def names_in_time(self, n: int) -> list[str]:
        """What is written in front of the features of each of `n` windows of real time."""
        bounds = [(k * self.stride, k * self.stride + self.window) for k in range(n)]
        if isinstance(self.window, (int, float)):
            return [f"{start:g}:{end:g} " for start, end in bounds]
        return [f"{start}:{end} " for start, end in bounds]

    def names(self, length: int) -> list[str]:
        """What is written in front of the features of each window; `length` is that of a training series."""
        if self.kind == "global":
            return [""]
        if self.kind == "dyadic":
            return [f"{i + 1}/{2**level} " for level in range(self.depth + 1) for i in range(2**level)]
        if isinstance(self.window, int):
            return [f"{start}:{end} " for start, end in zip(*self.slices(length), strict=True)]
        shares = np.arange(len(self.slices(length)[0])) * self.stride
        starts = np.zeros_like(shares) if self.kind == "expanding" else shares
        ends = np.minimum(shares + self.window, 1.0)
        return [f"{100 * start:g}%:{100 * end:g}% " for start, end in zip(starts.round(6), ends.round(6), strict=True)]


def as_windows(kind: Any, window: Any, stride: Any, depth: Any) -> Windows:
    if kind not in KINDS:
        raise ValueError(f"windows must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    if kind not in ("sliding", "expanding", "time"):
        if window is not None or stride is not None:
            raise ValueError(f"window and stride belong to sliding and expanding windows, not to windows={kind!r}")
        return Windows(kind, 0, 0, as_positive("depth", depth) if kind == "dyadic" else 0)
    if window is None:
        what = "a duration" if kind == "time" else "a number of points, or a share of the path as a float"
        raise ValueError(f"windows={kind!r} needs a window: {what}")
    stride = window if stride is None else stride
    if kind == "time":
        # Checked with the times, whose kind they have.
        return Windows(kind, window, stride, 0)
    if isinstance(window, float) != isinstance(stride, float):
        raise TypeError(
            f"window and stride must both be numbers of points or both shares, got {window!r} and {stride!r}"
        )
    return Windows(kind, _size("window", window), _size("stride", stride), 0)


def _size(name: str, size: Any) -> int | float:
    if not isinstance(size, float):
        return as_positive(name, size)
    if not 1e-6 <= size <= 1:
        raise ValueError(f"{name} must be a share of the path above 0 and at most 1, got {size}")
    return size
