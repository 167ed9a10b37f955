"""Launcher of sparse matrices times many vectors; arguments as in `siglib/_cpu/sparse.pyx`."""

from typing import Any

from ._launch import c_type, launch_each, n_processors
from .sizes import check_words

# Vectors of a thread that shares the matrix among them, where there are enough to keep the device busy.
_MANY = 4
_BUSY_THREADS = 1024


def apply(
    vectors: Any, starts: Any, columns: Any, values: Any, out: Any, skip: int, scalar: float, n_threads: int
) -> None:
    """out = the matrix times each of the vectors.

    vectors (batch, skip + columns of the matrix); out (batch, rows, or one more: the number before them is `scalar`).
    """
    batch, n_rows = out.shape[0], starts.shape[0] - 1
    check_words(max(vectors.shape[1], out.shape[1]))
    out_skip = out.shape[1] - n_rows
    if values.shape[0] == 0:
        out.fill(0)
        out[:, :out_skip] = scalar
        return
    n_items = _MANY if batch * n_rows >= _MANY * _BUSY_THREADS * n_processors() else 1
    n_groups = -(-batch // n_items)
    launch_each(
        n_groups * n_rows,
        "sparse.cu",
        f"apply_sparse<{c_type(out)}, {n_items}>",
        vectors=vectors,
        starts=starts,
        columns=columns,
        values=values,
        out=out,
        batch=batch,
        n_groups=n_groups,
        n_rows=n_rows,
        stride=vectors.shape[1],
        skip=skip,
        out_skip=out_skip,
        scalar=scalar,
    )
