"""How windows are cut into blocks, scans and rows: on the host, from integers alone, and as tables on the device.

A *block* is a run of windows, ordered by their last points, that have a point in common: its *middle*, where the first
of them ends. A *scan* starts at a middle and takes increments one by one, to the left or to the right; what it has
after some number of *steps* is a *row*. A window is the product of a row from the left and one from the right. Where
every window is a row by itself (prefixes, windows that do not overlap) nothing is multiplied: the plan is `direct`.

Points of several paths with windows of their own count on from path to path. Where all paths have the same windows the
plan is for one of them.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .._tables.cache import when_clearing
from . import plans
from ._launch import cupy
from .constants import uploaded

_LEFT, _RIGHT = 0, 1
# Bytes of the rows of windows of one block, of either side.
_BLOCK_BYTES = 16 << 20
_LEAST_WINDOWS = 16
# Plans that are kept, on the device too: so many windows in all.
_KEPT_WINDOWS = 1 << 20
# Steps from state to state where nothing else asks for them.
_STATE_STEPS = 32
_plans: OrderedDict[tuple[Any, ...], "WindowPlan"] = OrderedDict()
_lock = threading.Lock()


def _forget() -> None:
    with _lock:
        _plans.clear()


when_clearing(_forget)


class Slab(NamedTuple):
    """Some of a plan's blocks, with their scans, rows, windows and steps, for some of the paths that share the plan."""

    first_path: int
    n_paths: int
    blocks: slice
    scans: slice
    rows: slice
    windows: slice
    steps: slice


def plan_for(length: int, starts: np.ndarray, lasts: np.ndarray, order: np.ndarray, row_bytes: int) -> "WindowPlan":
    """The plan for windows as `sig_windows` takes them, of paths of `length` points; at least one window."""
    most = max(_LEAST_WINDOWS, _BLOCK_BYTES // row_bytes)
    key = (cupy().cuda.runtime.getDevice(), length, most, starts.shape, starts.tobytes(), lasts.tobytes())
    with _lock:
        plan = _plans.get(key)
        if plan is None:
            plan = _plans[key] = WindowPlan(length, starts, lasts, order, most)
            if sum(kept.n_windows for kept in _plans.values()) > _KEPT_WINDOWS:
                # Half of them at once, and seldom: to give memory back is to wait for the device.
                while len(_plans) > 1 and sum(kept.n_windows for kept in _plans.values()) > _KEPT_WINDOWS // 2:
                    _plans.popitem(last=False)
                plans.forget()
        _plans.move_to_end(key)
    return plan


class WindowPlan:
    """Blocks, scans and rows. Arrays with one more entry than there are things say where those of each begin."""

    def __init__(self, length: int, starts: np.ndarray, lasts: np.ndarray, order: np.ndarray, most: int) -> None:
        n_paths, n = starts.shape
        self.n_windows = n_paths * n
        self.shared = n_paths == 1
        # A window without points may lie behind the last point, with lead-lag two points behind it.
        apart = length + 2
        path = np.arange(n_paths)[:, None]
        start, last = ((np.take_along_axis(table, order, 1) + path * apart).ravel() for table in (starts, lasts))
        self.window = (order + path * n).ravel()  # in the order of the blocks

        self.n_increments = (lasts - starts).ravel()
        self.longest = int(self.n_increments.max())

        first = _first_windows(start, last, most)
        n_blocks = len(first)
        self.block_windows = np.append(first, self.n_windows)
        block = np.repeat(np.arange(n_blocks), np.diff(self.block_windows))
        middle = last[first]
        left, right = middle[block] - start, last - middle[block]

        # Rows in the order of blocks, sides and steps; windows that share one find the same.
        left_key, right_key = ((2 * block + side) * apart + steps for side, steps in ((_LEFT, left), (_RIGHT, right)))
        alone = np.where(left > 0, left_key, right_key)
        self.direct = not ((left > 0) & (right > 0)).any() and len(np.unique(alone)) == self.n_windows
        keys = alone if self.direct else np.concatenate([left_key, right_key])
        key, row_of = np.unique(keys, return_inverse=True)
        self.row_of = row_of.reshape(-1, self.n_windows)
        self.row_steps = key % apart
        scan_of_row = key // apart
        begins = np.flatnonzero(np.diff(scan_of_row, prepend=-1))
        self.scan_rows = np.append(begins, len(key))
        block_and_side = scan_of_row[begins]
        self.scan_side = block_and_side % 2
        self.scan_block = block_and_side // 2
        self.scan_steps = np.append(0, np.cumsum(self.row_steps[self.scan_rows[1:] - 1]))
        self.block_scans = np.searchsorted(self.scan_block, np.arange(n_blocks + 1))

        # Increments count on from path to path, too.
        self.middle = middle // apart * (length - 1) + np.minimum(middle % apart, length - 1)
        self.scan_first = self.middle[self.scan_block] - (self.scan_side == _LEFT)

    def slabs(self, n_paths: int, n_bytes: int, per_row: int, per_step: int = 0) -> Iterator[Slab]:
        """Parts with about `n_bytes` of scratch memory, one block at least; so much for each row and step."""
        scans = self.scan_rows[self.block_scans], self.scan_steps[self.block_scans]
        size = scans[0] * per_row + scans[1] * per_step
        n_blocks = len(size) - 1
        if not self.shared:
            n_paths = 1
        n_at_once = min(n_paths, max(1, n_bytes // max(1, int(size[-1]))))
        for path in range(0, n_paths, n_at_once):
            first = 0
            while first < n_blocks:
                stop = max(first + 1, int(np.searchsorted(size, size[first] + n_bytes, "right")) - 1)
                yield self._slab(path, min(n_at_once, n_paths - path), slice(first, stop))
                first = stop

    def _slab(self, first_path: int, n_paths: int, blocks: slice) -> Slab:
        def part(table: np.ndarray, of: slice) -> slice:
            return slice(int(table[of.start]), int(table[of.stop]))

        scans = part(self.block_scans, blocks)
        return Slab(
            first_path=first_path,
            n_paths=n_paths,
            blocks=blocks,
            scans=scans,
            rows=part(self.scan_rows, scans),
            windows=part(self.block_windows, blocks),
            steps=part(self.scan_steps, scans),
        )

    @cached_property
    def scan_tables(self) -> tuple[Any, ...]:
        """Of each scan: its first increment, its side, where its rows begin; the steps of each row. On the device."""
        return _uploaded(self.scan_first, self.scan_side, self.scan_rows, self.row_steps)

    @cached_property
    def window_tables(self) -> tuple[Any, ...]:
        """Of each window in the order of the blocks: its rows, the window's number. If direct: windows of rows."""
        if self.direct:
            target = np.empty_like(self.window)
            target[self.row_of[0]] = self.window
            return _uploaded(target)
        return _uploaded(*self.row_of, self.window)

    @cached_property
    def states(self) -> tuple[np.ndarray, tuple[Any, ...]]:
        """Where the states of each scan begin, which its way back loads. On the device: the same, and steps of each."""
        if not self.direct:
            return self.scan_rows, self.scan_tables[2:]
        n_steps = np.diff(self.scan_steps)
        begins = np.append(0, np.cumsum(-(-n_steps // _STATE_STEPS)))
        to_the_last = np.repeat(begins[1:], np.diff(begins)) - 1 - np.arange(begins[-1])
        return begins, _uploaded(begins, np.repeat(n_steps, np.diff(begins)) - _STATE_STEPS * to_the_last)

    @cached_property
    def entry_tables(self) -> tuple[Any, ...]:
        """Where each row's entries begin; of each entry the window and the other factor's row; the side of each row."""
        entries = np.argsort(self.row_of, axis=None, kind="stable")
        begins = np.searchsorted(self.row_of.ravel()[entries], np.arange(len(self.row_steps) + 1))
        other = self.row_of[::-1].ravel()[entries]
        side = np.repeat(self.scan_side, np.diff(self.scan_rows))
        return _uploaded(begins, self.window[entries % self.n_windows], other, side)

    @cached_property
    def block_tables(self) -> tuple[Any, ...]:
        """Of each block: the increment behind its middle, the first one that it or a later block takes, where the steps
        of its scans begin, to the left and to the right."""
        begins = self.scan_steps[self.block_scans]
        left = np.zeros_like(self.middle)
        is_left = self.scan_side == _LEFT
        left[self.scan_block[is_left]] = np.diff(self.scan_steps)[is_left]
        lowest = np.minimum.accumulate((self.middle - left)[::-1])[::-1]
        return _uploaded(self.middle, lowest, begins, begins[:-1] + left)

    @cached_property
    def increments_table(self) -> Any:
        """How many increments each window has, on the device."""
        return _uploaded(self.n_increments)[0]

    @cached_property
    def step_table(self) -> Any:
        """Where the steps of each scan begin, on the device."""
        return _uploaded(self.scan_steps)[0]


def _uploaded(*tables: np.ndarray) -> tuple[Any, ...]:
    return uploaded(*(table.astype(np.int64, copy=False) for table in tables))


def _first_windows(start: np.ndarray, last: np.ndarray, most: int) -> np.ndarray:
    """The first window of each block; `last` ascends."""
    numbers = np.arange(len(start))
    # Windows before a block begin before its middle, too: the first one that does not exceeds all.
    meets = np.searchsorted(np.maximum.accumulate(start), last, "right")
    stop = np.minimum(meets, numbers + most)
    # Windows that begin where the first one is a single point need no rows on the left.
    changes = np.append(np.flatnonzero(np.diff(start)) + 1, len(start))
    run = changes[np.searchsorted(changes, numbers, "right")]
    stop = np.where(start == last, np.maximum(stop, np.minimum(meets, run)), stop).tolist()
    first, found = 0, []
    while first < len(stop):
        found.append(first)
        first = stop[first]
    return np.array(found)
