"""Launcher of the gradient of signatures; arguments as in `siglib/_cpu/signature.pyx`.

Long paths are cut into time chunks, `_chunk` increments each whatever the batch: the signatures of the chunks are
computed anew, the adjoint of their product gives the cotangent of each, and all chunks are walked back side by side,
with increments of zero before and behind (`increments_backprop` in `cuda/increments.cu`). Of few letters all of that is
one launch (`signature_backprop_block.py`).
"""

from functools import lru_cache
from typing import Any, NamedTuple

from .._tables.transform import Transform
from . import chen
from ._launch import USUAL_SHARED, c_type, empty, launch, launch_each
from .increments import (
    CHUNK_BYTES,
    equal_increments_backprop,
    increments_backprop,
    increments_of_chunks,
    n_increments,
    packed,
    paths_of,
)
from .signature import sig_of_chunks
from .signature_backprop_block import is_near, make_block, sig_backprop_block
from .sizes import check_words, shared_bytes, slabs, words_up_to

THREADS = 128
# For a dimension known at compile time: levels of the tree for degrees up to the one given, and letters at its root.
# What fits into 255 registers, which the suffix needs some of, too.
_TREES: dict[int, dict[int, tuple[tuple[tuple[int, int], ...], int]]] = {
    4: {2: (((14, 5), (99, 4)), 2), 3: (((99, 3),), 3), 4: (((99, 3),), 4), 5: (((99, 3),), 5)},
    8: {2: (((10, 4), (12, 3), (99, 2)), 2), 3: (((10, 3), (99, 2)), 3), 4: (((99, 3),), 2), 5: (((99, 2),), 5)},
}
# One path alone has enough for the device, and its chunks would take too much memory.
_MANY_ITEMS = 8192
# Blocks that share the items of a path have sums of their own, at most so many.
_MOST_SUMS = 256
# Numbers that the tile of a run-time dimension may hold.
_TILE_NUMBERS = {4: 200, 8: 112}


class SignatureBackpropPlan(NamedTuple):
    """How items are cut for one dimension and degree, and what a block does at a time."""

    literal: int  # the dimension in the CUDA function's name, 0 for one of run time
    s: int  # letters of a suffix
    p: int  # levels of the tree
    t1: int  # letters at its root
    t2: int  # and at its top
    group: int  # increments that are summed over items at a time
    n_items: int  # of a row
    padded: int  # letters of a staged increment

    @property
    def template(self) -> str:
        """The integers that CUDA functions are instantiated with."""
        return f"{self.literal}, {self.s}, {self.p}, {self.t1}, {self.t2}, {self.group}"

    @property
    def n_parts(self) -> int:
        """Blocks that the items of a row fill."""
        return -(-self.n_items // THREADS)

    @property
    def n_sums(self) -> int:
        """Blocks that share a row: each has sums of its own."""
        return min(_MOST_SUMS, self.n_parts)

    def sum_bytes(self, itemsize: int) -> int:
        """Shared memory for what the items of a block have as gradients of increments."""
        return self.group * (self.literal or self.t1 + self.t2 + self.s) * (THREADS + 1) * itemsize


@lru_cache(maxsize=1024)
def make_plan(d: int, degree: int, itemsize: int) -> SignatureBackpropPlan:
    """For d > 1 and degree > 1; depends on nothing else, so neither do the bits of a gradient."""
    if d in _TREES[itemsize]:
        levels, t1 = _TREES[itemsize][d]
        p = min(degree, next(p for most, p in levels if degree <= most))
        t2 = literal = d
        n_values, s = d, degree - p
        n_items = d**s * -(-d // t1)
        padded = -(-d // t1) * t1
    else:
        literal, p, s = 0, 2, degree - 2
        t1, t2 = _tile(d, s, itemsize)
        n_values = t1 + t2 + s
        n_items = d**s * -(-d // t1) * -(-d // t2)
        padded = max(-(-d // t1) * t1, -(-d // t2) * t2)
    group = 8
    while group > 1 and group * n_values * (THREADS + 1) * itemsize > 36 << 10:
        group //= 2
    return SignatureBackpropPlan(literal, s, p, t1, t2, group, n_items, padded)


def _tile(d: int, s: int, itemsize: int) -> tuple[int, int]:
    """The tile (t1, t2) with the fewest operations for all d * d pairs of letters."""
    best = None
    for t1 in range(1, min(d, 16) + 1):
        for t2 in range(1, min(d, 16) + 1):
            if t1 * t2 + 4 * t1 + 2 * t2 + 6 * s > _TILE_NUMBERS[itemsize] and t1 * t2 > 1:
                continue
            operations = -(-d // t1) * -(-d // t2) * (2 * t1 * t2 + 12 * t1 + 5 * t2 + 12 * s + 60)
            if best is None or operations < best[0]:
                best = operations, t1, t2
    assert best is not None
    return best[1:]


class Rows(NamedTuple):
    """How paths of one length are cut into time chunks, and how blocks take them."""

    n_increments: int  # of a path
    n_chunks: int
    chunk: int  # increments of each
    margin: int  # increments of zero before and behind them
    per_block: int  # rows, that is chunks, of a block
    n_sums: int  # blocks that share a row
    tile: int  # increments in shared memory at a time
    staged: bool  # whether they are there at all
    shared: int  # bytes of a block

    @property
    def padded(self) -> int:
        """Increments of a row where they are not staged."""
        return -(-self.walked // self.tile) * self.tile

    @property
    def walked(self) -> int:
        """Increments of a row, with those of zero."""
        return self.chunk + 2 * self.margin


def make_rows(plan: SignatureBackpropPlan, n_increments: int, length: int, itemsize: int) -> Rows:
    """For paths of so many increments, and signatures of so many numbers."""
    chunk = _chunk(n_increments, length, plan.n_items)
    per_block = max(1, THREADS // plan.n_items)
    sums = per_block * CHUNK_BYTES + plan.sum_bytes(itemsize)
    tile = plan.group
    # Rows of a block start in different banks, each with what is loaded together.
    pad = packed(plan.literal, itemsize)
    while tile < 32 and per_block * (2 * tile * plan.padded + pad) * itemsize <= min(USUAL_SHARED - sums, 16 << 10):
        tile *= 2
    tiles = per_block * (tile * plan.padded + pad) * itemsize
    staged = sums + tiles <= shared_bytes()
    return Rows(
        *(n_increments, -(-n_increments // chunk), chunk, int(chunk < n_increments)),
        *(per_block, plan.n_sums, tile, staged),
        sums + (tiles if staged else 0),
    )


def _chunk(n_increments: int, length: int, n_items: int) -> int:
    """Increments of a time chunk; all of them if there is but one."""
    walked = 64 if n_items == 1 else 128 if length <= 8192 else 256
    chunk = walked - 2  # two of them are zero
    return chunk if n_increments > 2 * chunk and n_items < _MANY_ITEMS else n_increments


def sig_backprop(
    path: Any,
    sig: Any,
    sig_derivs: Any,
    out: Any,
    degree: int,
    scalar_term: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """path, out (batch, length, dimension); sig, sig_derivs (batch, scalar_term + D + ... + D^degree)."""
    batch, n_points, n_channels = path.shape
    d, n_rows = transform.width(n_channels), n_increments(path, transform)
    length = sig.shape[1] - scalar_term
    if batch == 0 or n_points == 0:
        return
    if degree == 0 or n_rows == 0:
        out.fill(0)
        return
    check_words(length)
    if scalar_term:
        sig, sig_derivs = sig[:, 1:], sig_derivs[:, 1:]
    if degree == 1 or d == 1:
        _one_level(sig, sig_derivs, out, degree, length + scalar_term, transform.lead_lag)
        return
    plan = make_plan(d, degree, path.itemsize)
    block = None
    if plan.literal and plan.s == 0 and not transform.lead_lag:
        block = make_block(d, degree, plan.t1, n_rows, path.itemsize)
    if block is not None and is_near(path, block):
        sig_backprop_block(block, path, sig, sig_derivs, out, transform)
        return
    rows = make_rows(plan, n_rows, length, path.itemsize)
    numbers = rows.n_chunks * (
        rows.n_sums * rows.walked * d
        + (4 * words_up_to(d, degree - 1) if rows.n_chunks > 1 else 0)
        + (0 if rows.staged else rows.padded * plan.padded)
    )
    for slab in slabs(batch, numbers * path.itemsize):
        x, s, g = path[slab], sig[slab], sig_derivs[slab]
        lower = g
        if rows.n_chunks > 1:
            s, lower = _chunk_cotangents(x, g, d, degree, rows, transform)
        gx = _backward(plan, x, s, lower, g, d, rows, transform)
        increments_backprop(gx, out[slab], rows.n_chunks, rows.margin, transform.lead_lag)


def _one_level(sig: Any, derivs: Any, out: Any, degree: int, stride: int, lead_lag: bool) -> None:
    """Gradients where all increments have the same: of degree 1, or of one channel."""
    n_paths, g = len(out), derivs
    if degree > 1:
        g = empty((n_paths, 1), out)
        launch_each(
            n_paths,
            "increments.cu",
            f"powers_backprop<{c_type(out)}>",
            sig=sig,
            derivs=derivs,
            g=g,
            n_paths=n_paths,
            degree=degree,
            stride=stride,
        )
        stride = 1
    equal_increments_backprop(g, out, stride, lead_lag)


def _chunk_cotangents(path: Any, derivs: Any, d: int, degree: int, rows: Rows, transform: Transform) -> tuple[Any, Any]:
    """The signatures of all chunks, and their cotangents, for words below `degree`: (paths, n_chunks, words) each.

    Neither is needed for longer words: walking back, no coefficients of full length count, and the cotangents of these
    are the same for every chunk.
    """
    length = words_up_to(d, degree - 1)
    chunks = empty((path.shape[0], rows.n_chunks, length), path)
    sig_of_chunks(path, chunks.reshape(-1, length), degree - 1, rows.chunk, transform)
    return chunks, chen.join_backprop(chunks, derivs, d, degree)


def _backward(
    plan: SignatureBackpropPlan, path: Any, sig: Any, derivs: Any, top: Any, d: int, rows: Rows, transform: Transform
) -> Any:
    """Gradients of the increments: (rows, n_sums, chunk, d), to be added up; a row is a chunk of a path.

    sig, derivs: of rows, for words below the degree; top: derivs of paths, of which those of the longest words count.
    """
    paths, n = paths_of(path, transform, rows.chunk), len(path) * rows.n_chunks
    dx: Any = 0
    if not rows.staged:
        dx = increments_of_chunks(paths, path, len(path), rows.padded, plan.padded, rows.margin)
    gx = empty((n, rows.n_sums, rows.walked, d), path)
    launch(
        "signature_backprop.cu",
        f"sig_backward<{c_type(path)}, {plan.template}, {str(rows.staged).lower()}>",
        -(-n // rows.per_block) * rows.n_sums,
        THREADS,
        rows.shared,
        paths=paths,
        dx=dx,
        padded=rows.padded,
        sig=sig,
        derivs=derivs,
        top=top,
        stride=sig.strides[-2] // sig.itemsize,
        top_stride=top.strides[0] // top.itemsize,
        gx=gx,
        rows=n,
        margin=rows.margin,
        n_padded=plan.padded,
        tile=rows.tile,
        n_suffixes=d**plan.s,
        n_parts=plan.n_parts,
        n_sums=rows.n_sums,
    )
    return gx
