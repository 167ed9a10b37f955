"""Launchers of the forward scans of windows, which signatures and their gradients have in common."""

from typing import Any

from ._launch import c_type, empty, launch_each
from .tensor import index_type
from .window_plan import Slab, WindowPlan

_SCAN_THREADS = 128
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
    launch_each(
        slab.n_paths * n_scans * n_items,
        "windows.cu",
        f"windows_scan<{c_type(out)}, {degree - 1}, {letters}, {index_type(out.shape[-1])}>",
        _SCAN_THREADS,
        dx=dx[slab.first_path :],
        dx_path=n_increments * width,
        width=width,
        scan_first=first[slab.scans],
        scan_side=side[slab.scans],
        scan_rows=begins[slab.scans.start :],
        row_steps=steps,
        row_target=where,
        out=out,
        n_paths=slab.n_paths,
        n_scans=n_scans,
        n_letters=d,
        first_row=first_row,
        path_rows=path_rows,
        stride=out.shape[-1],
        scalar_term=scalar_term,
    )
