"""Launchers of signatures of windows; arguments as in `siglib/_cpu/windows.pyx`.

`window_plan.py` explains the words. Rows of scans lie in scratch memory, a slab of the plan at a time; how large slabs
are changes no sum.
"""

from typing import Any

import numpy as np

from .._tables.time import sets_time_words
from ._launch import c_type, empty, launch_each
from .increments import increments_of_windows
from .sizes import scratch_bytes
from .tensor import template
from .window_plan import WindowPlan, plan_for
from .window_scans import scan, scanned_rows


def sig_windows(
    path: Any,
    starts: np.ndarray,
    lasts: np.ndarray,
    order: np.ndarray,
    out: Any,
    degree: int,
    scalar_term: bool,
    time_step: float,
    n_threads: int,
) -> None:
    """path (batch, length, dimension); starts, lasts, order (batch or 1, n_windows) on the host; out (batch *
    n_windows, scalar_term + n_words). Window k is of points starts[k]..lasts[k]; lasts[order] ascends. time_step: if
    not 0, the last channel is time, which advances by it.
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
        sig_windows(path, starts, lasts, order, total, 1, False, 0.0, n_threads)
        launch_each(
            len(out),
            "windows.cu",
            f"windows_powers<{c_type(out)}>",
            total=total,
            out=out,
            n_windows=len(out),
            degree=degree,
            scalar_term=int(scalar_term),
        )
        return
    plan = plan_for(length, starts, lasts, order, n_words * out.itemsize)
    dx, n_windows = increments_of_windows(path, d, time_step, plan.longest), starts.shape[1]
    if plan.direct:
        for slab in plan.slabs(len(path), scratch_bytes(), 0):
            result = out[slab.first_path * n_windows :]
            target = (*plan.window_tables, slab.rows.start, n_windows, int(scalar_term))
            scan(plan, slab, dx, result, d, degree, plan.scan_tables[2:], target)
        _set_time_words(plan, out, time_step, d, degree, scalar_term)
        return
    for slab in plan.slabs(len(path), scratch_bytes(), n_words * out.itemsize):
        rows = scanned_rows(plan, slab, dx, d, degree, n_words)
        left_row, right_row, window = (table[slab.windows] for table in plan.window_tables)
        n_there, result = slab.windows.stop - slab.windows.start, out[slab.first_path * n_windows :]
        launch_each(
            slab.n_paths * n_there * n_words,
            "windows.cu",
            f"windows_multiply<{template(out, d, n_words)}>",
            rows=rows,
            left_row=left_row,
            right_row=right_row,
            window=window,
            out=result,
            n_paths=slab.n_paths,
            n_windows=n_there,
            n_letters=d,
            n_words=n_words,
            first_row=slab.rows.start,
            path_rows=rows.shape[1],
            path_windows=n_windows,
            scalar_term=int(scalar_term),
        )
    _set_time_words(plan, out, time_step, d, degree, scalar_term)


def _set_time_words(plan: WindowPlan, out: Any, time_step: float, d: int, degree: int, scalar_term: bool) -> None:
    """The words of time alone, in signatures of float32 paths with time."""
    if not sets_time_words(time_step != 0, out.itemsize, plan.longest):
        return
    launch_each(
        len(out),
        "windows.cu",
        f"windows_time<{c_type(out)}>",
        out=out,
        n_increments=plan.increments_table,
        n_windows=len(out),
        n_tabled=plan.n_windows,
        time_step=time_step,
        d=d,
        degree=degree,
        stride=out.shape[1],
        scalar_term=int(scalar_term),
    )
