"""Series of any lengths in groups of equal length, and what is computed for all of them.

Features of a group are one call of siglib. Kernels take all series in one call, whatever their lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels.sig_kernel import sig_kernel, sig_kernel_gram
from ..paths.transform import transform_path


class Paths:
    """Paths with the same channels: groups of (rows, array of shape (rows, length, channels))."""

    def __init__(self, groups: list[tuple[Any, np.ndarray]], n: int) -> None:
        self.groups, self.n = groups, n

    @classmethod
    def of(cls, points: np.ndarray | list[np.ndarray]) -> Paths:
        """From one array, or from series one by one."""
        if isinstance(points, np.ndarray):
            return cls([(np.arange(len(points)), points)], len(points))
        lengths = np.array([len(series) for series in points])
        order = np.argsort(lengths, kind="stable")
        cuts = np.flatnonzero(np.diff(lengths[order])) + 1
        groups = [(rows, np.stack([points[row] for row in rows])) for rows in np.split(order, cuts)]
        return cls(groups, len(points))

    @property
    def dimension(self) -> int:
        return self.groups[0][1].shape[2]

    @property
    def dtype(self) -> np.dtype:
        return self.groups[0][1].dtype

    @property
    def lengths(self) -> list[int]:
        """The different lengths, in ascending order."""
        return [paths.shape[1] for _, paths in self.groups]

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Paths:
        """What `function` makes of the paths of each group."""
        return Paths([(rows, function(paths)) for rows, paths in self.groups], self.n)

    def with_times(self, times: list[np.ndarray], more: tuple[int, int], lead_lag: bool) -> Paths:
        """The paths with their times as the last channel, behind lead-lag.

        So many points that were put in front of each path and behind it are of its first and of its last moment.
        """
        groups = []
        for rows, paths in self.groups:
            clocks = np.stack([np.pad(times[row], more, mode="edge") for row in rows])
            groups.append((rows, transform_path(paths, times=clocks, time_aug=True, lead_lag=lead_lag)))
        return Paths(groups, self.n)

    def chosen(self, rows: np.ndarray) -> Paths:
        """Some of the paths, in the order of `rows`."""
        place = np.full(self.n, -1)
        place[rows] = np.arange(len(rows))
        parts = [(place[of_group], paths) for of_group, paths in self.groups]
        groups = [(at[at >= 0], paths[at >= 0]) for at, paths in parts if (at >= 0).any()]
        return Paths(groups, len(rows))

    def vectors(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """One row of numbers for each path; `function` gives those of a group, of shape (rows, ...)."""
        out = None
        for rows, paths in self.groups:
            part = function(paths)
            if out is None:
                out = np.empty((self.n, *part.shape[1:]), part.dtype)
            if part.shape[1:] != out.shape[1:]:
                raise ValueError(
                    f"series of lengths {self.groups[0][1].shape[1]} and {paths.shape[1]} have different numbers of "
                    f"features, {out.shape[1]} and {part.shape[1]}: give windows as shares of the path"
                )
            out[rows] = part
        return out if out is not None else np.empty((0, 0))

    def gram(self, other: Paths, **options: Any) -> np.ndarray:
        """Kernels of all pairs, in the wider dtype; of paths with themselves each pair is computed once."""
        if self.dtype != other.dtype:
            dtype = np.result_type(self.dtype, other.dtype)
            self, other = (paths.map(lambda array: array.astype(dtype, copy=False)) for paths in (self, other))
        mine = self._together()
        return sig_kernel_gram(mine, mine if self is other else other._together(), **options)

    def _together(self) -> np.ndarray | list[np.ndarray]:
        """All paths in their order: an array if they have one length, or one by one."""
        order = np.argsort(np.concatenate([rows for rows, _ in self.groups]))
        if len(self.groups) == 1:
            return self.groups[0][1][order]
        listed = [path for _, paths in self.groups for path in paths]
        return [listed[i] for i in order]

    def own_kernels(self, **options: Any) -> np.ndarray:
        """Kernels of each path with itself."""
        mine = self._together()
        return sig_kernel(mine, mine, **options)

    def some_points(self, n: int, **transform: Any) -> np.ndarray:
        """Up to `n` points of the transformed paths, at random but the same ones every time."""
        parts = [transform_path(paths, **transform) for _, paths in self.groups]
        points = np.concatenate([part.reshape(-1, part.shape[2]) for part in parts]).astype(np.float64, copy=False)
        return points if len(points) <= n else points[np.random.default_rng(0).choice(len(points), n, replace=False)]
