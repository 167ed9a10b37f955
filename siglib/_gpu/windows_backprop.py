"""Launcher of the gradient of signatures of windows; arguments as in `siglib/_cpu/windows.pyx`.

A slab of the plan at a time: the forward scans again, cotangents of their rows, the way back along the scans, and
gradients of increments, which are added to those of the slabs before. What scans have for an increment is added in the
order of the blocks, whatever the slabs.
"""

from typing import Any

import numpy as np

from ._launch import c_type, empty, launch, launch_each
from .increments import increments_backprop, increments_of_windows
from .signature_backprop import THREADS, make_plan
from .sizes import check_words, scratch_bytes
from .window_plan import Slab, WindowPlan, plan_for
from .window_scans import scan, scanned_rows
from .windows import sig_windows

# Shared memory for what a block knows of its scans.
_SCAN_BYTES = 12 * THREADS
# Numbers of a row that one warp takes.
_WARP_WORDS = 256
_MOST_WARPS = 64


def sig_windows_backprop(
    path: Any,
    starts: np.ndarray,
    lasts: np.ndarray,
    order: np.ndarray,
    derivs: Any,
    out: Any,
    degree: int,
    scalar_term: bool,
    time_step: float,
    n_threads: int,
) -> None:
    """Adjoint of `sig_windows`. derivs (batch * n_windows, scalar_term + n_words); out of the shape of path."""
    n_paths, length, d = path.shape
    n_words = derivs.shape[1] - scalar_term
    if derivs.shape[0] == 0 or n_words == 0 or length < 2:
        out.fill(0)
        return
    check_words(n_words)
    g = derivs[:, 1:] if scalar_term else derivs
    if d == 1 and degree > 1:
        g, n_words, degree = _total_derivs(path, starts, lasts, order, g, degree), 1, 1
    plan = plan_for(length, starts, lasts, order, n_words * path.itemsize)
    cut = make_plan(d, degree, path.itemsize) if degree > 1 else None
    dx = increments_of_windows(path, cut.padded if cut else d, time_step, plan.longest)
    n_sums = cut.n_sums if cut else 1
    # Rows as windows share them and their cotangents, or a few states.
    row_bytes = 0 if plan.direct else (2 if degree > 1 else 1) * n_words * path.itemsize
    state_bytes = n_words * path.itemsize // 32 if plan.direct and degree > 1 else 0
    gradients = empty((n_paths, length - 1, d), path)
    for slab in plan.slabs(n_paths, scratch_bytes(), row_bytes, n_sums * d * path.itemsize + state_bytes):
        states: Any = _states(plan, slab, dx, d, degree, n_words) if degree > 1 else 0
        first_window = slab.first_path * starts.shape[1]
        if plan.direct:
            g_rows, where = g[first_window:], (plan.window_tables[0], starts.shape[1])
        else:
            g_rows = _row_derivs(plan, slab, states, g[first_window:], n_words, d, degree, starts.shape[1])
            where = (0, g_rows.shape[1])
        n_steps = slab.steps.stop - slab.steps.start
        gx = empty((slab.n_paths, n_steps, n_sums, d), path)
        if cut:
            _scan_back(plan, slab, dx, states, g_rows, where, gx, cut, n_words)
        else:
            _sum_back(plan, slab, g_rows, where, gx)
        _gather(plan, slab, gx, gradients)
    increments_backprop(gradients[:, None], out)


def _total_derivs(path: Any, starts: np.ndarray, lasts: np.ndarray, order: np.ndarray, derivs: Any, degree: int) -> Any:
    """One channel: cotangents of the windows' total increments, (batch * n_windows, 1)."""

    n = derivs.shape[0]
    total, g = empty((n, 1), path), empty((n, 1), path)
    sig_windows(path, starts, lasts, order, total, 1, False, 0.0, 1)
    launch_each(
        n,
        "windows_backprop.cu",
        f"windows_powers_backprop<{c_type(g)}>",
        total=total,
        derivs=derivs,
        out=g,
        n_windows=n,
        degree=degree,
        stride=derivs.strides[0] // derivs.itemsize,
    )
    return g


def _states(plan: WindowPlan, slab: Slab, dx: Any, d: int, degree: int, n_words: int) -> Any:
    """What the forward scans leave for the way back, (paths, states, n_words): all rows if windows are products."""
    if not plan.direct:
        return scanned_rows(plan, slab, dx, d, degree, n_words)
    first, stop = _state_range(plan, slab)
    states = empty((slab.n_paths, stop - first, n_words), dx)
    scan(plan, slab, dx, states, d, degree, plan.states[1], (0, first, stop - first, 0))
    return states


def _state_range(plan: WindowPlan, slab: Slab) -> tuple[int, int]:
    begins = plan.states[0]
    return int(begins[slab.scans.start]), int(begins[slab.scans.stop])


def _row_derivs(
    plan: WindowPlan, slab: Slab, rows: Any, derivs: Any, n_words: int, d: int, degree: int, n_windows: int
) -> Any:
    """Cotangents of a slab's rows, (paths, rows, n_words)."""
    n_rows = slab.rows.stop - slab.rows.start
    g_rows = empty((slab.n_paths, n_rows, n_words), derivs)
    begins, window, other, side = plan.entry_tables
    team = max(1, min(_MOST_WARPS, n_words // _WARP_WORDS))
    launch_each(
        slab.n_paths * n_rows * team * 32,
        "windows_backprop.cu",
        f"windows_multiply_backprop<{c_type(derivs)}>",
        rows=rows,
        g=derivs,
        g_rows=g_rows,
        row_entries=begins[slab.rows.start :],
        entry_window=window,
        entry_other=other,
        right=side[slab.rows],
        n_paths=slab.n_paths,
        n_rows=n_rows,
        first_row=slab.rows.start,
        path_windows=n_windows,
        g_stride=derivs.strides[0] // derivs.itemsize,
        n_words=n_words,
        dimension=d,
        degree=degree,
        team=team,
    )
    return g_rows


def _scan_back(
    plan: WindowPlan,
    slab: Slab,
    dx: Any,
    states: Any,
    g_rows: Any,
    where: tuple[Any, int],
    gx: Any,
    cut: Any,
    n_words: int,
) -> None:
    """Gradients of increments, from cotangents of the rows; where: a table of where these are or 0, rows of a path."""
    _, n_increments, width = dx.shape
    first, side, rows, steps = plan.scan_tables
    state_rows, state_steps = plan.states[1]
    scans, target, path_rows = slab.scans, *where
    n_scans = scans.stop - scans.start
    n_virtual, per_block = slab.n_paths * n_scans, max(1, THREADS // cut.n_items)
    launch(
        "windows_backprop.cu",
        f"windows_scan_backprop<{c_type(gx)}, {cut.template}>",
        -(-n_virtual // per_block) * cut.n_sums,
        THREADS,
        _SCAN_BYTES + cut.sum_bytes(gx.itemsize),
        dx=dx[slab.first_path :],
        dx_path=n_increments * width,
        width=width,
        scan_first=first[scans],
        scan_side=side[scans],
        scan_steps=plan.step_table[scans.start :],
        scan_rows=rows[scans.start :],
        row_steps=steps,
        g_target=target,
        scan_states=state_rows[scans.start :],
        state_steps=state_steps,
        states=states,
        g=g_rows,
        gx=gx,
        n_virtual=n_virtual,
        n_scans=n_scans,
        first_row=slab.rows.start,
        first_state=_state_range(plan, slab)[0],
        path_rows=path_rows,
        path_states=states.shape[1],
        path_steps=gx.shape[1],
        n_words=n_words,
        g_stride=g_rows.strides[-2] // g_rows.itemsize,
        dimension=gx.shape[-1],
        n_suffixes=gx.shape[-1] ** cut.s,
        n_parts=cut.n_parts,
        n_sums=cut.n_sums,
    )


def _sum_back(plan: WindowPlan, slab: Slab, g_rows: Any, where: tuple[Any, int], gx: Any) -> None:
    """The same for degree 1."""
    _, _, rows, steps = plan.scan_tables
    target, path_rows = where
    scans, d = slab.scans, gx.shape[-1]
    n_scans = scans.stop - scans.start
    launch_each(
        slab.n_paths * n_scans * d,
        "windows_backprop.cu",
        f"windows_sums_backprop<{c_type(gx)}>",
        scan_steps=plan.step_table[scans.start :],
        scan_rows=rows[scans.start :],
        row_steps=steps,
        g_target=target,
        g=g_rows,
        gx=gx,
        n_paths=slab.n_paths,
        n_scans=n_scans,
        first_row=slab.rows.start,
        path_rows=path_rows,
        path_steps=gx.shape[1],
        g_stride=g_rows.strides[-2] // g_rows.itemsize,
        d=d,
    )


def _gather(plan: WindowPlan, slab: Slab, gx: Any, out: Any) -> None:
    """Adds what a slab's scans have to the gradients of increments, out (paths, increments, d)."""
    middle, lowest, begin, split = plan.block_tables
    blocks, d = slab.blocks, out.shape[2]
    out = out[slab.first_path :][: slab.n_paths] if plan.shared else out
    launch_each(
        out.size,
        "windows_backprop.cu",
        f"windows_gather<{c_type(out)}>",
        gx=gx,
        out=out,
        middle=middle[blocks],
        lowest=lowest[blocks],
        begin=begin[blocks.start : blocks.stop + 1],
        split=split[blocks],
        n_paths=slab.n_paths,
        n_increments=out.size // (slab.n_paths * d),
        n_blocks=blocks.stop - blocks.start,
        path_steps=gx.shape[1],
        n_sums=gx.shape[2],
        d=d,
        is_first=int(blocks.start == 0),
    )
