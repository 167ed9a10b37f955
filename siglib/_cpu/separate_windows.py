"""Windows that have little in common, as paths of their own.

What `_cpu/windows.pyx` shares among windows pays if they overlap. The kernels of signatures are faster for sliding
windows that do not, or by half at most; such windows are a view of the path, with other strides.
"""

from typing import NamedTuple

import numpy as np

# Measured, with AVX2 and AVX-512. Signatures of so few numbers stay in the first-level cache, and pay for windows of
# few points; others do not.
_SMALL_SIG = 384
_MIN_POINTS = {True: 4, False: 16}


class SlidingWindows(NamedTuple):
    """`n` windows of `points` points of every path, the first at point `start`, each `stride` points behind another."""

    start: int
    points: int
    stride: int
    n: int

    def of(self, path: np.ndarray) -> np.ndarray:
        """(batch * n, points, dimension): a view where strides can say it."""
        return self._view(path, self.points).reshape(-1, self.points, path.shape[-1])

    def add_up(self, gradients: np.ndarray, out: np.ndarray) -> None:
        """Adjoint of `of`, of windows that overlap by half at most."""
        gradients = gradients.reshape(len(out), self.n, self.points, out.shape[-1])
        out[...] = 0
        own = min(self.points, self.stride)
        self._view(out, own)[...] = gradients[:, :, :own]
        self._view(out[:, own:], self.points - own)[...] += gradients[:, :, own:]

    def _view(self, path: np.ndarray, points: int) -> np.ndarray:
        shape = (len(path), self.n, points, path.shape[-1])
        batch, point, channel = path.strides
        return np.lib.stride_tricks.as_strided(
            path[:, self.start :], shape, (batch, self.stride * point, point, channel)
        )


def separate_windows(first: np.ndarray, last: np.ndarray, n_words: int, backward: bool) -> SlidingWindows | None:
    """Windows from their first and last points, (1 or batch, n_windows), if it is faster to compute them one by one."""
    if first.shape[0] != 1 or first.shape[1] == 0:
        return None
    points = int(last[0, 0] - first[0, 0]) + 1
    stride = int(first[0, 1] - first[0, 0]) if first.shape[1] > 1 else points
    # Gradients of single windows have to be added up: they may share their ends.
    most = 1 if backward else points // 2
    if points < _MIN_POINTS[n_words <= _SMALL_SIG and not backward] or points - stride > most:
        return None
    if (last - first != points - 1).any() or (first[:, 1:] - first[:, :-1] != stride).any():
        return None
    return SlidingWindows(int(first[0, 0]), points, stride, first.shape[1])
