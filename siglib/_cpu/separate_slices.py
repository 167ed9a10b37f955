"""Windows of all widths that have little in common, as paths of unequal lengths.

`_cpu/windows.pyx` shares work among windows that overlap, and its lanes go in step: where windows differ from block to
block, and from path to path, most of them wait. The kernel for paths of unequal lengths takes windows by their lengths.
"""

from typing import NamedTuple

import numpy as np

from .._tables.sizes import goes_through_trees

# Fewer windows are not worth the look at them.
_MIN_WINDOWS = 32
# Measured with AVX-512: up to so many increments in all windows for each of the path, and where as many paths as there
# are lanes have the same windows, so that no lane waits.
_MOST, _MOST_IN_STEP = 5, 1
_LANES = 8


class Slices(NamedTuple):
    """Windows of all paths, whose points stand one behind another, by falling lengths, as loops take them."""

    starts: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray


def separate_slices(
    path: tuple[int, ...], first: np.ndarray, last: np.ndarray, degree: int, backward: bool
) -> Slices | None:
    """Windows from their first and last points, (1 or batch, n_windows), if it is faster to compute them one by one.

    Only of those that move on along the path, unevenly. Gradients are for windows that share no point.
    """
    batch, length, dimension = path
    n_alike = batch // len(first)
    if first.size * n_alike < _MIN_WINDOWS or length < 2:
        return None
    if not goes_through_trees(dimension, dimension, degree):
        return None
    steps, widths = np.diff(first), last - first
    if len(first) == 1 and (steps == steps[:, :1]).all() and (widths == widths[0, 0]).all():
        return None
    if (steps < 0).any() or (np.diff(last) < 0).any() or (first[:, 0] == first[:, -1]).all():
        return None
    most = _MOST_IN_STEP if n_alike >= _LANES else _MOST
    if int(widths.sum()) * n_alike > most * batch * (length - 1) or (backward and _overlap(first, last)):
        return None
    # A window without points may stand behind the last one.
    starts = np.minimum(first, length - 1) + np.arange(batch)[:, None] * length
    lengths = np.broadcast_to(widths + 1, starts.shape).ravel()
    rows = np.argsort(-lengths, kind="stable")
    if backward:
        # Those of one point have no gradient, and may be of a point that another one has.
        rows = rows[: np.count_nonzero(lengths > 1)]
    return Slices(starts.ravel()[rows], lengths[rows], rows)


def _overlap(first: np.ndarray, last: np.ndarray) -> bool:
    """Whether windows of more than a point share one."""
    reach = np.maximum.accumulate(np.where(last > first, last, -1), axis=1)
    return bool((first[:, 1:] <= reach[:, :-1])[last[:, 1:] > first[:, 1:]].any())
