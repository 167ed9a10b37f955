"""Launchers of the forward scans of windows, which signatures and their gradients have in common."""

from typing import Any

from .._tables.time import time_grid
from ._launch import c_type, empty, launch
from .path import strides
from .tensor import index_type
from .window_plan import Slab, WindowPlan

_SCAN_THREADS = 128
_THREADS = 256
# Top words of a thread.
_MOST_LETTERS = 8


def scanned_rows(plan: WindowPlan, slab: Slab, dx: Any, d: int, degree: int, n_words: int) -> Any:
    """All rows of a slab, (paths, rows, n_words)."""
    rows = empty((slab.n_paths, slab.rows.stop - slab.rows.start, n_words), dx)
    scan(plan, slab, dx, rows, d, degree, plan.scan_tables[2:], (0, slab.rows.start, rows.shape[1], 0))
    return rows


def scan(
    plan: WindowPlan, slab: Slab, dx: Any, out: Any, d: int, degree: int, rows: tuple[Any, Any], target: tuple[Any, ...]
) -> None:
    """What a slab's scans have after some steps, to `out`.

    rows: tables of where the rows of each scan begin, and of their steps; target: a table of where each row goes or 0,
    the first row, rows of a path, scalar term.
    """
    _, n_increments, width = dx.shape
    first, side, *_ = plan.scan_tables
    begins, steps = rows
    where, first_row, path_rows, scalar_term = target
    n_scans, letters = slab.scans.stop - slab.scans.start, min(d, _MOST_LETTERS)
    n_items = d ** (degree - 1) * -(-d // letters)
    launch(
        "windows.cu",
        f"windows_scan<{c_type(out)}, {degree - 1}, {letters}, {index_type(out.shape[-1])}>",
        -(-slab.n_paths * n_scans * n_items // _SCAN_THREADS),
        _SCAN_THREADS,
        (
            *(dx[slab.first_path :], n_increments * width, width, first[slab.scans], side[slab.scans]),
            *(begins[slab.scans.start :], steps, where, out, slab.n_paths, n_scans, d),
            *(first_row, path_rows, out.shape[-1], scalar_term),
        ),
    )


def increments(path: Any, width: int, time_step: float, longest: int) -> Any:
    """The increments of the paths, (batch, length - 1, width), with zeros behind the channels.

    time_step: if not 0, the last channel is time, which advances by it, in windows of `longest` increments at most.
    """
    n_paths, length, d = path.shape
    out = empty((n_paths, length - 1, width), path)
    sizes = (out.size, 1, length - 1, length - 1, width, 0)
    time = int(time_step != 0)
    args = (path, *strides(path), d - time, length - 1, time, 0, time_step, time_grid(time_step * longest), out, *sizes)
    launch("increments.cu", f"path_increments<{c_type(path)}>", -(-out.size // _THREADS), _THREADS, args)
    return out
