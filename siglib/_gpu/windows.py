"""Launchers of signatures of windows; arguments as in `siglib/_cpu/windows.pyx`.

`window_plan.py` explains the words. Rows of scans lie in scratch memory, a slab of the plan at a time; how large slabs
are changes no sum.
"""

from typing import Any

import numpy as np

from ._launch import c_type, empty, launch
from .path import strides
from .sizes import SCRATCH_BYTES
from .tensor import index_type, template
from .window_plan import Slab, WindowPlan, plan_for

__all__ = ["sig_windows"]

_SCAN_THREADS = 128
_THREADS = 256
# Top words of a thread.
_MOST_LETTERS = 8


def sig_windows(
    path: Any,
    starts: np.ndarray,
    lasts: np.ndarray,
    order: np.ndarray,
    out: Any,
    degree: int,
    scalar_term: bool,
    n_jobs: int,
) -> None:
    """path (batch, length, dimension); starts, lasts, order (batch or 1, n_windows) on the host; out (batch *
    n_windows, scalar_term + n_words). Window k is of points starts[k]..lasts[k]; lasts[order] ascends.
    """
    _, length, d = path.shape
    n_words = out.shape[1] - scalar_term
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    if n_words == 0 or length < 2:
        out[:, scalar_term:] = 0
        if scalar_term:
            out[:, 0] = 1
        return
    if d == 1 and degree > 1:
        total = empty((out.shape[0], 1), out)
        sig_windows(path, starts, lasts, order, total, 1, False, n_jobs)
        args = (total, out, out.shape[0], degree, int(scalar_term))
        launch("windows.cu", f"windows_powers<{c_type(out)}>", -(-out.shape[0] // _THREADS), _THREADS, args)
        return
    plan = plan_for(length, starts, lasts, order, n_words * out.itemsize)
    dx, n_windows = increments(path, d), starts.shape[1]
    if plan.direct:
        for slab in plan.slabs(len(path), SCRATCH_BYTES, 0):
            result = out[slab.first_path * n_windows :]
            scan(plan, slab, dx, result, degree, (*plan.window_tables, n_windows, int(scalar_term)))
        return
    for slab in plan.slabs(len(path), SCRATCH_BYTES, n_words * out.itemsize):
        rows = scanned_rows(plan, slab, dx, degree, n_words)
        tables = (table[slab.windows] for table in plan.window_tables)
        n_there, result = slab.windows.stop - slab.windows.start, out[slab.first_path * n_windows :]
        launch(
            "windows.cu",
            f"windows_multiply<{template(out, d, n_words)}>",
            -(-slab.n_paths * n_there * n_words // _THREADS),
            _THREADS,
            (
                *(rows, *tables, result, slab.n_paths, n_there, d, n_words),
                *(slab.rows.start, rows.shape[1], n_windows, int(scalar_term)),
            ),
        )


def scanned_rows(plan: WindowPlan, slab: Slab, dx: Any, degree: int, n_words: int) -> Any:
    """All rows of a slab, (paths, rows, n_words)."""
    rows = empty((slab.n_paths, slab.rows.stop - slab.rows.start, n_words), dx)
    scan(plan, slab, dx, rows, degree, (0, rows.shape[1], 0))
    return rows


def scan(plan: WindowPlan, slab: Slab, dx: Any, out: Any, degree: int, target: tuple[Any, int, int]) -> None:
    """The rows of a slab's scans to `out`; target: a table of where each goes or 0, rows of a path, scalar term."""
    _, n_increments, d = dx.shape
    where, path_rows, scalar_term = target
    first, side, rows, steps = plan.scan_tables
    n_scans, letters = slab.scans.stop - slab.scans.start, min(d, _MOST_LETTERS)
    n_items = d ** (degree - 1) * -(-d // letters)
    launch(
        "windows.cu",
        f"windows_scan<{c_type(out)}, {degree - 1}, {letters}, {index_type(out.shape[-1])}>",
        -(-slab.n_paths * n_scans * n_items // _SCAN_THREADS),
        _SCAN_THREADS,
        (
            *(dx[slab.first_path :], n_increments * d, d, first[slab.scans], side[slab.scans]),
            *(rows[slab.scans.start :], steps, where, out, slab.n_paths, n_scans, d),
            *(slab.rows.start, path_rows, out.shape[-1], scalar_term),
        ),
    )


def increments(path: Any, width: int) -> Any:
    """The increments of the paths, (batch, length - 1, width), with zeros behind the channels."""
    n_paths, length, d = path.shape
    out = empty((n_paths, length - 1, width), path)
    sizes = (out.size, 1, length - 1, length - 1, width)
    args = (path, *strides(path), d, length - 1, 0, 0, 0.0, out, *sizes)
    launch("increments.cu", f"path_increments<{c_type(path)}>", -(-out.size // _THREADS), _THREADS, args)
    return out
