"""Signatures of intervals of a path that grows, from products of stored pieces.

Points are kept. Blocks of them have signatures that never change, and so do products of neighbouring blocks, arranged
as a disjoint sparse table: on its level l, runs of 2**(l + 1) blocks, with the products from every block to the middle
of its run, or from there to the block. Any two blocks lie on both sides of the middle of one run, so a product of any
number of blocks is one product of two entries. An interval is that, and the points before and after its blocks: one
call of loops (`_cpu/intervals.pyx`, `_gpu/cuda/intervals.cu`), which fills the table as well.

No inverse is taken. So a short interval of a long path is as exact as the signature of a short path, and a number that
is not finite has an effect on the intervals that contain it, and on no others. Everything is computed when it is first
needed: to append a point is to copy it. Entries of the table, and so the signatures of intervals, depend on their
points and not on when they were computed. An entry that an interval may need is never written again, so loops read
the table while other threads let it grow.

Small blocks leave few increments to multiply with, and make a large table. With 16 increments the table of 100 000
points of dimension 5 has 507 MB at degree 4 in float64, less than one signature for each point would take (624 MB), and
1000 long intervals take 1.2 us each; with 32 increments 234 MB and 1.9 us; with 8, 1.1 GB and hardly less time.
"""

import math
from typing import Any

import numpy as np

from .._call.libraries import Array, as_tensor, namespace_of
from .._call.options import as_n_threads
from .._tables.cache import TABLES
from ..signatures.sig import sig_length
from ..signatures.windows import sig_windows
from .growing_path import Points

# Increments of a block. An interval of no more is computed from its points alone.
_BLOCK = 16

# What loops read: the path with its graph, if it has one, and then nothing else; points; the table.
Ready = tuple[Any, Any, Any]


@TABLES.keep
def _reversal(dimension: int, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """The signature of the reversed path is ``signs * sig[words]``: words are reversed, odd ones change sign."""
    words, signs, start = [], [], 0
    level = np.zeros(1, np.int64)
    for n in range(1, degree + 1):
        # A letter behind the word stands in front of the reversed one.
        letters = np.arange(dimension) * dimension ** (n - 1)
        level = (letters[None, :] + level[:, None]).reshape(-1)
        words.append(start + level)
        signs.append(np.full(len(level), (-1) ** n))
        start += len(level)
    return np.concatenate(words or [np.zeros(0, np.int64)]), np.concatenate(signs or [np.zeros(0, np.int64)])


class Intervals:
    """Signatures of intervals of `points`: the blocks and their products."""

    def __init__(self, points: Points, degree: int, n_jobs: int) -> None:
        self.points, self.degree, self.n_jobs = points, degree, n_jobs
        self.length = sig_length(points.dimension, degree)
        # Of one channel the increment is enough: all other levels are its powers.
        self._degree = min(degree, 1) if points.dimension == 1 else degree
        self._length = sig_length(points.dimension, self._degree)
        self.clear()

    def clear(self) -> None:
        self._n_blocks = 0
        self._table: Any = None  # (levels, blocks, batch, length)
        self._in_double: Intervals | None = None

    def twin(self, points: Points) -> "Intervals":
        """The same for other points, without a table."""
        return Intervals(points, self.degree, self.n_jobs)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_n_blocks": 0, "_table": None, "_in_double": None}

    def double(self) -> "Intervals":
        """The same in float64, for logarithms that float32 is too coarse for. Points and products are kept anew for it,
        from the first time that it is asked for.
        """
        if self.points.on.dtype_name == "float64":
            return self
        if self._in_double is None:
            self._in_double = Intervals(Points(self.points.dimension, double=True), self.degree, self.n_jobs)
        self._in_double.points.follow(self.points)
        return self._in_double

    def ready(self, starts: np.ndarray, ends: np.ndarray) -> Ready:
        """What loops read for these intervals, whatever other threads do to the points meanwhile. To be called with
        the lock, as everything that changes the table.
        """
        points = self.points
        if points.pieces is not None:
            return points.watched(), None, None
        if self._table is None:
            self._table = points.on.scratch((1, 0, points.n_paths, self._length))
        if len(starts) and points.n_paths and np.abs(ends - starts).max() > _BLOCK:
            self._grow()
        return None, points.by_time(), self._table

    def _compute(self, ready: Ready, starts: np.ndarray, ends: np.ndarray, out: Any, scalar_term: bool = False) -> None:
        """Signatures between points into out (n, batch, scalar_term + length)."""
        on = self.points.on
        words, _ = on.constant(_reversal, self.points.dimension, self._degree)
        _, points, table = ready
        starts, ends = (on.from_host(np.ascontiguousarray(at)) for at in (starts, ends))
        on.loops.intervals.interval_sig(
            points,
            table,
            starts,
            ends,
            words,
            out,
            self._degree,
            _BLOCK,
            scalar_term,
            as_n_threads(self.n_jobs),
        )

    def _grow(self) -> None:
        """Blocks that are complete by now, and their entries of the table."""
        on, old, new = self.points.on, self._n_blocks, (self.points.n - 1) // _BLOCK
        if new <= old:
            return
        n_levels = new.bit_length()
        if old == 0 or new > self._table.shape[1]:
            capacity = max(16, 1 << (new - 1).bit_length())
            table = on.scratch((capacity.bit_length(), capacity, self.points.n_paths, self._length))
            if old > 0:
                with on.current():
                    table[: self._table.shape[0], :old] = self._table[:, :old]
            self._table = table
        fresh = np.arange(old, new)
        self._fill(0, fresh, fresh, fresh)
        for level in range(1, n_levels):
            half = 1 << level
            # Blocks of right halves: products of all blocks from the middle. Their pieces are on lower levels.
            right = fresh[(fresh & half) != 0]
            self._fill(level, right, right & -half, right)
            # Left halves whose last block is new: products of all blocks up to the middle.
            middles = np.arange((old // half) * half, new + 1, half)
            middles = middles[(middles > old) & (middles & half != 0)]
            left = (middles[:, None] - half + np.arange(half)).reshape(-1)
            self._fill(level, left, left, left | (half - 1))
        self._n_blocks = new

    def _fill(self, level: int, where: np.ndarray, first: np.ndarray, last: np.ndarray) -> None:
        """Entries of one level, products of the blocks first..last; so many at a time that they stay in the cache."""
        on, shape = self.points.on, self._table.shape[2:]
        ready = None, self.points.by_time(), self._table
        n = max(64, on.block_bytes // max(1, math.prod(shape) * self._table.itemsize))
        for i in range(0, len(where), n):
            out = on.scratch((len(where[i : i + n]), *shape))
            self._compute(ready, first[i : i + n] * _BLOCK, (last[i : i + n] + 1) * _BLOCK, out)
            with on.current():
                self._table[level, on.from_host(where[i : i + n])] = out

    def values(self, ready: Ready, starts: np.ndarray, ends: np.ndarray, scalar_term: bool, axis: int = 0) -> Any:
        """Signatures between points, reversed where the start is behind the end, of the caller's library, in the
        dtype of the loops.

        (n, *batch, length), or the axis of n last but one for axis=-2.
        """
        on, batch, n_paths, n = self.points.on, self.points.batch or (), self.points.n_paths, len(starts)
        length = scalar_term + self.length
        out = on.empty((n, *batch, length) if axis == 0 else (*batch, n, length))
        rows = on.view(out)
        rows = rows.reshape(n, n_paths, length) if axis == 0 else rows.reshape(n_paths, n, length).transpose(1, 0, 2)
        if self._degree == self.degree:
            self._compute(ready, starts, ends, rows, scalar_term)
            return on.given(out)
        power = total = on.scratch((n, n_paths, 1))
        self._compute(ready, starts, ends, total)
        with on.current(), np.errstate(all="ignore"):
            rows[..., :scalar_term] = 1
            for k in range(1, self.degree + 1):
                power = total if k == 1 else power * total / k
                rows[..., scalar_term + k - 1] = power[..., 0]
        return on.given(out)

    def results(self, ready: Ready, starts: np.ndarray, ends: np.ndarray, scalar_term: bool, axis: int = 0) -> Array:
        """`unrounded` in the dtype of the caller's points."""
        return self.points.on.result(self.unrounded(ready, starts, ends, scalar_term, axis))

    def unrounded(self, ready: Ready, starts: np.ndarray, ends: np.ndarray, scalar_term: bool, axis: int = 0) -> Array:
        """`values`, with a graph if the points have one."""
        self.points.refuse_traced()
        if ready[0] is not None:
            return self._watched_results(ready[0], starts, ends, scalar_term, axis)
        return self.values(ready, starts, ends, scalar_term, axis)

    def _watched_results(self, path: Any, starts: np.ndarray, ends: np.ndarray, scalar_term: bool, axis: int) -> Any:
        """The same from all points."""
        low, high = np.minimum(starts, ends), np.maximum(starts, ends)
        values = sig_windows(path, self.degree, starts=low, ends=high + 1, scalar_term=scalar_term, n_jobs=self.n_jobs)
        if (starts > ends).any():
            words, signs = _reversal(self.points.dimension, self.degree)
            if scalar_term:
                words, signs = np.concatenate([[0], words + 1]), np.concatenate([[1], signs])
            words, signs, is_back = (as_tensor(a).to(values.device) for a in (words, signs, starts > ends))
            backwards = (values * signs.to(values.dtype))[..., words]
            values = namespace_of(values).where(is_back[:, None], backwards, values)
        return values.movedim(-2, axis)
