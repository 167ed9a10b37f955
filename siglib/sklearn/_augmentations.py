"""What is done to the points of a path before its signature: scale, cumulative sum, base point, invisibility reset."""

from typing import Any, NamedTuple

import numpy as np

from .._call.options import as_bool


class Augmentations(NamedTuple):
    """Settings that are known once the training series are.

    In this order: divide each channel by its scale, sum up along the path, put the base point in front, and append to
    each path a channel that is 1 along it, and 0 in two more points, the last one and the origin.
    """

    scale: np.ndarray | None
    cumulative_sum: bool
    base_point: np.ndarray | None
    invisibility_reset: bool

    def applied_to(self, paths: np.ndarray) -> np.ndarray:
        """What becomes of paths of one length, of shape (paths, length, channels)."""
        n, _, dimension = paths.shape
        if self.scale is not None:
            paths = paths / self.scale.astype(paths.dtype)
        if self.cumulative_sum:
            paths = np.cumsum(paths, axis=1)
        if self.base_point is not None:
            first = np.broadcast_to(self.base_point.astype(paths.dtype), (n, 1, dimension))
            paths = np.concatenate([first, paths], axis=1)
        if self.invisibility_reset:
            ends = np.concatenate([paths[:, -1:], np.zeros_like(paths[:, -1:])], axis=1)
            visible = np.ones((n, paths.shape[1] + 2, 1), paths.dtype)
            visible[:, -2:] = 0
            paths = np.concatenate([np.concatenate([paths, ends], axis=1), visible], axis=2)
        return paths

    @property
    def more_points(self) -> tuple[int, int]:
        """How many points a path gets in front and behind."""
        return int(self.base_point is not None), 2 * int(self.invisibility_reset)

    def channels(self, names: list[str]) -> list[str]:
        """Names of the channels behind it."""
        return [*names, "visible"] if self.invisibility_reset else names


def augmentations_for(
    points: np.ndarray | list[np.ndarray],
    *,
    scale: Any,
    cumulative_sum: Any,
    base_point: Any,
    invisibility_reset: Any,
) -> Augmentations:
    """Checked settings for estimators that learn from these series."""
    dimension = points[0].shape[1]
    return Augmentations(
        _scale(scale, points, dimension),
        as_bool("cumulative_sum", cumulative_sum),
        _base_point(base_point, dimension),
        as_bool("invisibility_reset", invisibility_reset),
    )


def _scale(scale: Any, points: np.ndarray | list[np.ndarray], dimension: int) -> np.ndarray | None:
    if scale is None:
        return None
    if isinstance(scale, str):
        flat = np.concatenate(list(points)).astype(np.float64, copy=False)
        if scale == "std":
            sizes = flat.std(axis=0)
            # A constant channel has a spread of its rounding only.
            sizes[sizes <= 1e-12 * np.abs(flat).max(axis=0)] = 0
        elif scale == "max_abs":
            sizes = np.abs(flat).max(axis=0)
        else:
            raise ValueError(f"scale must be None, 'std', 'max_abs' or a number for each channel, got {scale!r}")
        return np.where(sizes > 0, sizes, 1.0)
    sizes = _numbers_for_channels("scale", scale, dimension)
    if not np.all((sizes > 0) & np.isfinite(sizes)):
        raise ValueError(f"scale must hold positive numbers, got {sizes}")
    return sizes


def _base_point(base_point: Any, dimension: int) -> np.ndarray | None:
    if base_point is None:
        return None
    if isinstance(base_point, str):
        if base_point != "zero":
            raise ValueError(f"base_point must be None, 'zero' or a number for each channel, got {base_point!r}")
        return np.zeros(dimension)
    return _numbers_for_channels("base_point", base_point, dimension)


def _numbers_for_channels(name: str, numbers: Any, dimension: int) -> np.ndarray:
    array = np.asarray(numbers)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold a real number for each channel, got {numbers!r}")
    if array.shape != (dimension,):
        raise ValueError(f"{name} must hold a number for each of {dimension} channels, got shape {array.shape}")
    return array.astype(np.float64)
