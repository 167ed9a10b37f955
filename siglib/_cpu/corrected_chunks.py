"""Corrected signatures of few long paths: cut in time, so that chunks of one path fill the lanes, and joined by Chen's
identity in a tree.

Functions of arrays that the loops read, with `loops` the modules of one floating type.
"""

import math
from typing import Any

import numpy as np

from .._tables.time import sets_time_words, time_powers
from .._tables.transform import Transform

# Chunks have at least so many segments for each level, to pay for their products.
_SEGMENTS_PER_LEVEL = 16
# A machine's widest vector. The result depends on shapes and dtype alone, not on the machine.
_LANE_BYTES = 64


def chunk_count(batch: int, n_rows: int, degree: int, itemsize: int) -> int:
    """Into how many chunks, a power of two, each path is cut; 1 if that does not pay."""
    width = _LANE_BYTES // itemsize
    if batch == 0 or batch >= width:
        return 1
    chunks = width // math.gcd(batch, width)
    return chunks if n_rows >= chunks * _SEGMENTS_PER_LEVEL * degree else 1


class Chunks:
    """A call that is cut into `chunks` chunks of equal length, and a rest of less than `chunks` segments."""

    def __init__(
        self, loops: Any, path: Any, correction: Any, chunks: int, sizes: Any, end_time: float, n: int
    ) -> None:
        self.loops, self.path, self.correction, self.sizes, self.n = loops, path, correction, sizes, n
        self.batch, self.chunks = len(path), chunks
        self.n_rows = path.shape[1] - 1
        self.length = self.n_rows // chunks
        self.split = self.length * chunks
        self.end_time = end_time
        self.d = path.shape[2] + sizes.time_aug
        self.n_words = sizes.shape[-1] - sizes.scalar_term

    def _pieces(self) -> list[tuple[Any, Any, float]]:
        """(paths, corrections, end time) of the chunks and of the rest, if there is one."""
        starts = np.arange(self.chunks)[:, None] * self.length + np.arange(self.length + 1)
        paths = self.path[:, starts].reshape(self.batch * self.chunks, self.length + 1, -1)
        rows = rest = self.correction
        if rows.shape[1] > 1:
            rest = np.ascontiguousarray(rows[:, self.split :])
            shape = (len(rows) * self.chunks, self.length, rows.shape[2])
            rows = np.ascontiguousarray(rows[:, : self.split]).reshape(shape)
            if len(self.correction) == 1:
                rows = np.tile(rows, (self.batch, 1, 1))
        elif len(rows) > 1:
            rows = np.repeat(rows, self.chunks, axis=0)
        step = self.end_time / self.n_rows
        pieces = [(paths, rows, step * self.length)]
        if self.split < self.n_rows:
            pieces.append((self.path[:, self.split :], rest, step * (self.n_rows - self.split)))
        return pieces

    def _options(self, end_time: float) -> tuple[Any, ...]:
        return (self.sizes.degree, self.sizes.m, False, Transform(self.sizes.time_aug, False, end_time), self.n)

    def _sigs(self) -> list[Any]:
        """Signatures of all pieces, without scalar term."""
        found = []
        for paths, rows, end_time in self._pieces():
            sigs = np.empty((len(paths), self.n_words), self.path.dtype)
            self.loops.corrected_signature.sig(paths, rows, sigs, *self._options(end_time))
            found.append(sigs)
        return found

    def _product(self, a: Any, b: Any) -> Any:
        out = np.empty(a.shape, a.dtype)
        self.loops.signature.sig_combine(a, b, out, self.d, self.sizes.degree, False, False, self.n)
        return out

    def _product_backprop(self, derivs: Any, a: Any, b: Any) -> tuple[Any, Any]:
        g_a, g_b = np.empty(a.shape, a.dtype), np.empty(b.shape, b.dtype)
        sizes = (self.d, self.sizes.degree, False, False, self.n)
        self.loops.signature.sig_combine_backprop(derivs, a, b, g_a, g_b, *sizes)
        return g_a, g_b

    def _halves(self, sigs: Any) -> tuple[Any, Any]:
        """Every other signature, and the ones behind them."""
        return np.ascontiguousarray(sigs[0::2]), np.ascontiguousarray(sigs[1::2])

    def sig(self, out: Any) -> None:
        """The signatures, to out (batch, scalar_term + n_words)."""
        sigs, *rest = self._sigs()
        while len(sigs) > self.batch:
            sigs = self._product(*self._halves(sigs))
        if rest:
            sigs = self._product(sigs, rest[0])
        skip = int(self.sizes.scalar_term)
        out[:, :skip] = 1
        out[:, skip:] = sigs
        if sets_time_words(self.sizes.time_aug, out.itemsize, self.n_rows):
            place = skip - 1
            for n, power in enumerate(time_powers(self.end_time, self.sizes.degree)[1:], 1):
                place += self.d**n  # time is the last letter
                out[:, place] = power

    def sig_backprop(self, derivs: Any, out: Any, row_derivs: Any) -> None:
        """Adjoint of `sig`: the cotangents of path and, unless row_derivs is empty, of the correction."""
        sigs, *rest = self._sigs()
        levels = [sigs]
        while len(levels[-1]) > self.batch:
            levels.append(self._product(*self._halves(levels[-1])))
        cotangents = [np.ascontiguousarray(derivs[:, int(self.sizes.scalar_term) :])]
        if rest:
            cotangents = list(self._product_backprop(cotangents[0], levels[-1], rest[0]))
        for level in reversed(levels[:-1]):
            wider = np.empty(level.shape, level.dtype)
            wider[0::2], wider[1::2] = self._product_backprop(cotangents[0], *self._halves(level))
            cotangents[0] = wider
        out[...] = 0
        wanted = len(row_derivs) > 0
        if wanted:
            row_derivs[...] = 0
        first = 0
        for (paths, rows, end_time), sig, cotangent in zip(self._pieces(), [sigs, *rest], cotangents, strict=True):
            g_paths = np.empty(paths.shape, paths.dtype)
            g_rows = np.empty((len(paths) if wanted else 0, *rows.shape[1:]), paths.dtype)
            borders = np.empty((len(paths), 2, paths.shape[2]), paths.dtype)
            options = self._options(end_time)
            self.loops.corrected_signature.sig_of_chunks_backprop(
                paths, rows, sig, cotangent, g_paths, g_rows, borders, *options
            )
            self._add(g_paths, g_rows, borders, out, row_derivs, first)
            first = self.split

    def _add(self, g_paths: Any, g_rows: Any, borders: Any, out: Any, row_derivs: Any, first: int) -> None:
        """Add the cotangents of pieces of one length, the first of which starts at point `first`.

        Between two chunks the gradient is a difference of what both have, and errors of the walk along each would not
        cancel. Each is taken relative to an increment of zero between them, whose gradient both know with that error.
        """
        chunks, n_points = len(g_paths) // self.batch, g_paths.shape[1]
        g_paths = g_paths.reshape(self.batch, chunks, n_points, -1)
        borders = borders.reshape(self.batch, chunks, 2, -1)
        for chunk in range(chunks):
            start = first + chunk * (n_points - 1)
            stop = start + n_points
            if start > 0:
                g_paths[:, chunk, 0] += borders[:, chunk, 0]
            if stop < self.n_rows + 1:
                g_paths[:, chunk, -1] -= borders[:, chunk, 1]
            out[:, start:stop] += g_paths[:, chunk]
        if len(row_derivs) == 0:
            return
        g_rows = g_rows.reshape(self.batch, -1, *g_rows.shape[1:])
        if self.correction.shape[1] > 1:
            g_rows = g_rows.reshape(self.batch, -1, g_rows.shape[-1])
            row_derivs[:, first : first + g_rows.shape[1]] = g_rows
        else:
            row_derivs += g_rows.sum(axis=1)
