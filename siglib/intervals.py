"""A path that grows, and the signatures of its intervals, from products of stored pieces.

Points are kept. Blocks of them have signatures that never change, and so do products of neighbouring blocks, arranged
as a disjoint sparse table: on its level l, runs of 2**(l + 1) blocks, with the products from every block to the middle
of its run, or from there to the block. Any two blocks lie on both sides of the middle of one run, so a product of any
number of blocks is one product of two entries. An interval is that, and the points before and after its blocks.

No inverse is taken. So a short interval of a long path is as exact as the signature of a short path, and a number that
is not finite has an effect on the intervals that contain it, and on no others. Everything is computed when it is first
needed: to append a point is to copy it.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ._backend import Array, as_tensor, backend_for, library_of, namespace_of
from ._checks import as_bool, as_int, as_n_threads, path_shape
from .log_signature import sig_to_log_sig
from .signature import sig_combine, sig_length
from .windows import sig_windows

# Increments of a block, and up to how many an interval is computed from its points alone.
_BLOCK = 32
_DIRECT = 2 * _BLOCK
# Numbers of the results that are computed at a time.
_CHUNK_NUMBERS = 2**20


@lru_cache(maxsize=16)
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


class Points:
    """The points of a growing path, or batch of paths, of one library and dtype, copied on arrival.

    Tensors that require a gradient are kept as well, for gradients to reach them.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.n = 0
        self.batch: tuple[int, ...] | None = None
        self.library = ""
        self.result_dtype: Any = None
        self.pieces: list[Any] | None = None
        self._data: Any = None  # (capacity, *batch, dimension)
        self._fast: Any = None

    def push(self, point: Array) -> None:
        """One point, of shape (*batch, dimension)."""
        if type(point) is np.ndarray and self._fast == (point.dtype, point.shape) and self.n < len(self._data):
            self._data[self.n] = point
            self.n += 1
            return
        on, array = backend_for(point=point)
        if array.ndim == 0:
            raise ValueError(f"point must have shape (..., {self.dimension}), got a single number")
        self._extend("point", on, array[..., None, :], point if library_of(point) == "torch" else None)

    def extend(self, points: Array, name: str = "points") -> None:
        """Any number of points, of shape (*batch, n, dimension)."""
        on, array = backend_for(**{name: points})
        path_shape(name, array.shape)
        self._extend(name, on, array, points if library_of(points) == "torch" else None)

    def _extend(self, name: str, on: Any, array: Any, tensor: Any) -> None:
        batch, n, dimension = array.shape[:-2], array.shape[-2], array.shape[-1]
        if on.on_gpu:
            raise TypeError(f"{name} is on a GPU, where streams and intervals do not run yet: move it to the CPU")
        if dimension != self.dimension:
            raise ValueError(f"{name} must have {self.dimension} channels on its last axis, got {dimension}")
        library = "numpy" if tensor is None else "torch"
        if self.batch is None:
            if n == 0:
                return
            self.batch, self.library, self.result_dtype = tuple(batch), library, on.result_dtype
            self._data = np.empty((64, *batch, dimension), on.dtype_name)
            if library == "numpy" and on.dtype == on.result_dtype:
                self._fast = (self._data.dtype, self._data.shape[1:])
        if tuple(batch) != self.batch:
            raise ValueError(f"{name} must have batch shape {self.batch}, as before, got {tuple(batch)}")
        if library != self.library or on.result_dtype != self.result_dtype:
            raise ValueError(
                f"{name} must be of {self.library} and {self.result_dtype}, as before, got {library} and "
                f"{on.result_dtype}"
            )
        if self.n + n > len(self._data):
            room = np.empty((max(64, 2 * (self.n + n)), *self._data.shape[1:]), self._data.dtype)
            room[: self.n] = self._data[: self.n]
            self._data = room
        if tensor is not None:
            wanted = tensor.requires_grad and namespace_of(tensor).is_grad_enabled()
            if self.pieces is None and wanted:
                self.pieces = [self.tensor(self.path())] if self.n else []
            if self.pieces is not None and n:
                # A view of the caller's memory would follow its later changes.
                piece = tensor.clone() if wanted else tensor.detach().clone()
                self.pieces.append(piece[..., None, :] if piece.ndim == len(batch) + 1 else piece)
        self._data[self.n : self.n + n] = np.moveaxis(on.view(array), -2, 0)
        self.n += n

    def path(self) -> np.ndarray:
        """All points, (*batch, n, dimension); a view."""
        return np.moveaxis(self._data[: self.n], 0, -2)

    def flat(self) -> np.ndarray:
        """All points, batch axes made one; a view."""
        data = self._data[: self.n]
        return data.reshape(self.n, -1 if data.size else math.prod(self.batch or ()), self.dimension).transpose(1, 0, 2)

    def tensor(self, values: np.ndarray) -> Any:
        """What kernels computed, as the caller's library has it."""
        if self.library == "torch":
            return as_tensor(values).to(self.result_dtype)
        return values.astype(self.result_dtype, copy=False)

    def watched(self) -> Any:
        """The whole path as a tensor with a graph, or None."""
        return None if self.pieces is None else namespace_of(self.pieces[0]).cat(self.pieces, dim=-2)

    def drop(self, n: int) -> None:
        """Forget the first n points."""
        self._data = self._data[n : self.n].copy()
        self.n -= n

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copies: without room for more points, without a graph."""
        state = self.__dict__ | {"pieces": None}
        if self._data is not None:
            state["_data"] = self._data[: max(self.n, 1)].copy()
        return state


class Intervals:
    """Signatures of intervals of `points`: the blocks and their products."""

    def __init__(self, points: Points, degree: int, n_jobs: int) -> None:
        self.points, self.degree, self.n_jobs = points, degree, n_jobs
        self.length = sig_length(points.dimension, degree)
        self.clear()

    def clear(self) -> None:
        self._n_blocks = 0
        self._table: Any = None  # (levels, blocks, batch, length)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_n_blocks": 0, "_table": None}

    def _product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return sig_combine(a, b, self.points.dimension, self.degree, n_jobs=self.n_jobs)

    def _windows(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Signatures from points to points, (n, batch, length)."""
        flat = self.points.flat()
        out = sig_windows(flat, self.degree, starts=starts, ends=ends + 1, n_jobs=self.n_jobs)
        return out.transpose(1, 0, 2)

    def _grow(self) -> None:
        """Blocks that are complete by now, and their entries of the table."""
        old, new = self._n_blocks, (self.points.n - 1) // _BLOCK
        if new <= old:
            return
        n_levels = new.bit_length()
        if self._table is None or n_levels > self._table.shape[0] or new > self._table.shape[1]:
            capacity = max(16, 1 << (new - 1).bit_length())
            flat = self.points.flat()
            table = np.zeros((capacity.bit_length(), capacity, flat.shape[0], self.length), flat.dtype)
            if self._table is not None:
                table[: self._table.shape[0], :old] = self._table[:, :old]
            self._table = table
        table = self._table
        fresh = np.arange(old, new)
        table[0, old:new] = self._windows(fresh * _BLOCK, (fresh + 1) * _BLOCK)
        self._n_blocks = new
        for level in range(1, n_levels):
            half = 1 << level
            # Blocks of right halves: products of all blocks from the middle. Their pieces are on lower levels.
            right = fresh[(fresh & half) != 0]
            middle = right & -half
            self._fill(level, right, middle, right)
            # Left halves whose last block is new: products of all blocks up to the middle.
            middles = np.arange((old // half) * half, new + 1, half)
            middles = middles[(middles > old) & (middles & half != 0)]
            left = (middles[:, None] - half + np.arange(half)).reshape(-1)
            self._fill(level, left, left, left | (half - 1))

    def _fill(self, level: int, where: np.ndarray, first: np.ndarray, last: np.ndarray) -> None:
        """Entries of one level: products of the blocks first..last."""
        if len(where):
            self._table[level, where] = self.blocks(first, last)

    def blocks(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Products of the blocks first..last, for arrays of both."""
        level = np.frexp((first ^ last).astype(np.float64))[1] - 1
        out = self._table[np.maximum(level, 0), first]
        many = np.flatnonzero(level >= 0)
        if len(many):
            out[many] = self._product(out[many], self._table[level[many], last[many]])
        return out

    def query(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Signatures between points, (n, batch, length), reversed where the start is behind the end.

        So many at a time that what is handed from one product to the next stays in the cache.
        """
        n = max(64, _CHUNK_NUMBERS // max(1, self.length * math.prod(self.points.batch or ())))
        if len(starts) <= n:
            return self._query(starts, ends)
        return np.concatenate([self._query(starts[i : i + n], ends[i : i + n]) for i in range(0, len(starts), n)])

    def _query(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        low, high = np.minimum(starts, ends), np.maximum(starts, ends)
        is_far = high - low > _DIRECT
        far, near = np.flatnonzero(is_far), np.flatnonzero(~is_far)
        if len(far) == 0:
            out = self._windows(low, high)
        else:
            self._grow()
            first, stop = -(-low[far] // _BLOCK), high[far] // _BLOCK
            pieces = self._windows(
                np.concatenate([low[far], stop * _BLOCK]), np.concatenate([first * _BLOCK, high[far]])
            )
            middle = self.blocks(first, stop - 1)
            long = self._product(self._product(pieces[: len(far)], middle), pieces[len(far) :])
            if len(near) == 0:
                out = long
            else:
                out = np.empty((len(low), *long.shape[1:]), long.dtype)
                out[far] = long
                out[near] = self._windows(low[near], high[near])
        backwards = np.flatnonzero(starts > ends)
        if len(backwards):
            words, signs = _reversal(self.points.dimension, self.degree)
            out[backwards] = (out[backwards] * signs.astype(out.dtype))[..., words]
        return out

    def results(self, starts: np.ndarray, ends: np.ndarray, scalar_term: bool, axis: int = 0) -> Array:
        """`query` in the caller's library: (n, *batch, length), or the axis of n last but one for axis=-2."""
        watched = self.points.watched()
        if watched is not None:
            return self._watched_results(watched, starts, ends, scalar_term, axis)
        values = self.query(starts, ends)
        values = values.reshape(len(starts), *(self.points.batch or ()), self.length)
        if scalar_term:
            values = np.concatenate([np.ones((*values.shape[:-1], 1), values.dtype), values], axis=-1)
        return self.points.tensor(np.ascontiguousarray(np.moveaxis(values, 0, axis)))

    def _watched_results(self, path: Any, starts: np.ndarray, ends: np.ndarray, scalar_term: bool, axis: int) -> Any:
        """The same with a graph, from all points."""
        low, high = np.minimum(starts, ends), np.maximum(starts, ends)
        values = sig_windows(path, self.degree, starts=low, ends=high + 1, scalar_term=scalar_term, n_jobs=self.n_jobs)
        if (starts > ends).any():
            words, signs = _reversal(self.points.dimension, self.degree)
            if scalar_term:
                words, signs = np.concatenate([[0], words + 1]), np.concatenate([[1], signs])
            backwards = (values * as_tensor(signs).to(values.dtype))[..., as_tensor(words)]
            values = namespace_of(values).where(as_tensor(starts > ends)[:, None], backwards, values)
        return values.movedim(-2, axis)


class IntervalSignature:
    """A path whose signature can be asked for on any interval, as often as you like, while the path grows.

    What is asked for again and again is computed once: a query takes a few products, however long the interval. It uses
    no inverse, so short intervals of very long paths are exact, in float32 as well, and numbers that are not finite
    stay in the intervals that contain them. To append a point is to copy it; the rest is done when it is needed.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The first points of one path or of a batch of them. They are copied.
    degree : int
        Truncation level, at least 0.
    scalar_term : bool, default False
        Put the coefficient of the empty word, always 1, in front of signatures.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For what is no path of at least one point, an option of the wrong type, or arrays on a GPU.

    Notes
    -----
    Objects can be pickled and copied. For PyTorch, gradients reach every point that requires one; then queries are
    computed from the points alone, and a pickled object has no graph.

    Memory is that of the points and, with n blocks of 32 increments, of ``n * log2(n)`` signatures.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = siglib.IntervalSignature([[0.0, 0.0], [1.0, 0.0]], 2)
    >>> path.append([[1.0, 1.0], [0.0, 1.0]])
    >>> len(path)
    4
    >>> path.sig(0, 2)
    array([1. , 1. , 0.5, 1. , 0. , 0.5])
    >>> path.sig_batch([0, 1], [2, 3])
    array([[ 1. ,  1. ,  0.5,  1. ,  0. ,  0.5],
           [-1. ,  1. ,  0.5,  0. , -1. ,  0.5]])
    """

    def __init__(self, path: Array, degree: int, *, scalar_term: bool = False, n_jobs: int = 1) -> None:
        as_n_threads(n_jobs)
        shape = path_shape("path", tuple(path.shape) if hasattr(path, "shape") else np.shape(path))
        self._points = Points(shape[2])
        self._intervals = Intervals(self._points, as_int("degree", degree, 0), n_jobs)
        self._scalar_term = as_bool("scalar_term", scalar_term)
        if shape[1] == 0:
            raise ValueError(f"path must have at least one point, got shape {(*shape[0], *shape[1:])}")
        self._points.extend(path, "path")

    def __len__(self) -> int:
        return self._points.n

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Batch axes of the path."""
        return self._points.batch or ()

    def append(self, points: Array) -> None:
        """Add points at the end.

        Parameters
        ----------
        points : array of shape (..., n, dimension)
            Of the library, dtype and batch shape of the path. They are copied.

        Raises
        ------
        TypeError, ValueError
            If they do not go with the path.
        """
        self._points.extend(points)

    def sig(self, start: int, end: int) -> Array:
        """Signature of the path from point `start` to point `end`, both counted.

        Parameters
        ----------
        start, end : int
            Points, from 0. If `start` is behind `end`, the piece is run through backwards.

        Returns
        -------
        array of shape (..., sig_length(dimension, degree))

        Raises
        ------
        TypeError
            If they are no integers.
        IndexError
            If the path has no such points.
        """
        return self.sig_batch([as_point("start", start, 0, len(self))], [as_point("end", end, 0, len(self))])[..., 0, :]

    def sig_batch(self, starts: Array, ends: Array) -> Array:
        """Signatures of many intervals.

        Parameters
        ----------
        starts, ends : arrays of integers of shape (n,)
            Points as in `sig`; interval k is from ``starts[k]`` to ``ends[k]``, and backwards where that is less.

        Returns
        -------
        array of shape (..., n, sig_length(dimension, degree))

        Raises
        ------
        TypeError, ValueError
            If they are no such arrays.
        IndexError
            If the path has no such points.
        """
        starts, ends = as_points("starts", starts, len(self)), as_points("ends", ends, len(self))
        if len(starts) != len(ends):
            raise ValueError(f"starts and ends must have the same length, got {len(starts)} and {len(ends)}")
        return self._intervals.results(starts, ends, self._scalar_term, axis=-2)

    def log_sig(self, start: int, end: int, *, method: int = 1) -> Array:
        """Log-signature of the path from point `start` to point `end`; see `sig`, and `sig_to_log_sig` for `method`."""
        return self._log(self.sig(start, end), method)

    def log_sig_batch(self, starts: Array, ends: Array, *, method: int = 1) -> Array:
        """Log-signatures of many intervals; see `sig_batch`, and `sig_to_log_sig` for `method`."""
        return self._log(self.sig_batch(starts, ends), method)

    def _log(self, sig: Array, method: int) -> Array:
        return sig_to_log_sig(
            sig, self._points.dimension, self._intervals.degree, method=method, n_jobs=self._intervals.n_jobs
        )


def as_point(name: str, value: Any, first: int, stop: int) -> int:
    """`value` as an index first..stop - 1."""
    if not first <= (value := as_int(name, value, -(2**63))) < stop:
        raise IndexError(f"{name} must be from {first} to {stop - 1}, got {value}")
    return value


def as_points(name: str, values: Any, stop: int) -> np.ndarray:
    """An array of points 0..stop - 1."""
    if library_of(values) == "torch":
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    array = array.astype(np.int64)
    wrong = np.flatnonzero((array < 0) | (array >= stop))
    if len(wrong):
        raise IndexError(f"{name} must be from 0 to {stop - 1}, got {array[wrong[0]]} at index {wrong[0]}")
    return array
