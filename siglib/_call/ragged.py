"""Paths of unequal lengths, from lists, padded arrays, and what torch has for them.

Paths are sorted by length. A run of them is padded to its longest by repeating last points, which adds increments of
zero: signatures, kernels and everything made of them stay what they are. In PyTorch a run is gathered by differentiable
operators, so that gradients come back to where points came from.
"""

import copy
from typing import Any

import numpy as np

from .array_likes import LazyPaths, Ragged, as_counts, packed_paths, refusal_of_series
from .backend import WIDENED, backend_of
from .formats import FORMATS, in_dtype, jax_arrays, numpy_array, torch_tensors
from .libraries import Array, device_of, library_of, namespace_of, refuse_dask
from .shapes import path_shape


def runs_of(lengths: np.ndarray, padding: float) -> list[np.ndarray]:
    """Indices of the lengths that go together, each run and all of them in falling order.

    Those of one length stay together. Others join longer ones as long as all padding of the run is at most so many
    points. Paths of one point do not: repeated, it would be a difference, which NaN has not.
    """
    order = np.argsort(-lengths, kind="stable")
    found, counts = np.unique(-lengths, return_counts=True)
    borders, longest, position, total = [], -1, 0, 0
    for length, count in zip((-found).tolist(), counts.tolist(), strict=True):
        total += (longest - length) * count
        # A path without points has none to repeat.
        if longest < 0 or total > padding or length <= 1:
            borders.append(position)
            longest, total = length, 0
        position += count
    return np.split(order, borders[1:]) if borders else []


class RaggedPaths(Ragged):
    """Paths of unequal lengths, for every function that takes paths.

    Lists of arrays go into these functions as they are. This is for paths that are padded to one length already.

    Parameters
    ----------
    path : array of shape (n, length, dimension), or sequence of n arrays of shape (length, dimension)
        The paths; those in a sequence may have any lengths. An array of Dask is taken beside `lengths`.
    lengths : sequence of n int, optional
        How many points each path has, from 0 to `length`. What stands behind them is never looked at, and gets
        gradients of zero.

    Raises
    ------
    TypeError
        If the paths are not of one library, device and dtype, or lengths are no integers.
    ValueError
        If shapes do not go together, or a length is not in range.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> padded = np.array([[[0.0], [1.0], [3.0]], [[0.0], [2.0], [np.nan]]])
    >>> siglib.sig(siglib.RaggedPaths(padded, lengths=[3, 2]), 2)
    array([[3. , 4.5],
           [2. , 2. ]])
    """

    def __init__(self, path: Any, lengths: Any = None) -> None:
        self._fill(path, lengths, "path", "lengths")

    @classmethod
    def named(cls, name: str, path: Any, lengths: Any = None, lengths_name: str = "lengths") -> "RaggedPaths":
        """The same for an argument of another name."""
        found = cls.__new__(cls)
        found._fill(path, lengths, name, lengths_name)
        return found

    @classmethod
    def through(
        cls, points: Array, starts: np.ndarray, lengths: np.ndarray, padded_length: int | None
    ) -> "RaggedPaths":
        """Paths through points in one array; results are as for paths that are padded to a length if one is given."""
        found = cls.__new__(cls)
        found.points, found.starts, found.lengths, found.padded_length = points, starts, lengths, padded_length
        return found

    def _fill(self, path: Any, lengths: Any, name: str, lengths_name: str) -> None:
        self.padded_length: int | None = None
        if isinstance(path, LazyPaths):
            raise ValueError(f"{name} is a series, which has its {lengths_name} already: give them to siglib.Series")
        if lengths is None:
            refuse_dask(**{name: path})
            self._of_list(name, list(path))
            return
        library = library_of(path)
        if library == "numpy":
            path = numpy_array(name, path)
        elif library == "dask":
            # Raises what other functions raise for arrays of Dask.
            WIDENED["dask"](**{name: path})
        batch, length, dimension = path_shape(name, tuple(path.shape))
        if len(batch) != 1:
            raise ValueError(
                f"{name} must have shape (n, length, dimension) beside {lengths_name}, got {tuple(path.shape)}"
            )
        # Those of Dask are looked at by workers.
        are_numbers = library_of(lengths) != "dask"
        if are_numbers:
            lengths = as_counts(lengths_name, lengths)
        elif library == "dask":
            WIDENED["dask"](**{lengths_name: lengths})
            if lengths.dtype.kind not in "iu":
                raise TypeError(f"{lengths_name} must be integers, got dtype {lengths.dtype}")
        else:
            refuse_dask(**{lengths_name: lengths})
        if lengths.shape != batch:
            raise ValueError(f"{lengths_name} must have shape {batch}, one for each path, got {lengths.shape}")
        if are_numbers and lengths.size and (lengths.min() < 0 or lengths.max() > length):
            raise ValueError(f"{lengths_name} must be from 0 to {length}, got {lengths.min()} to {lengths.max()}")
        self.padded_length = length
        self.lengths = lengths
        if library == "dask":
            # Each block will be paths of unequal lengths of its own.
            self.points = path
            return
        self.starts = np.arange(batch[0], dtype=np.int64) * length
        with device_of(path):
            self.points = path.reshape(batch[0] * length, dimension)

    def _of_list(self, name: str, parts: list[Any]) -> None:
        if not parts:
            raise ValueError(f"{name} is an empty list: an array tells how many channels there are")
        arrays = _arrays(name, parts)
        shapes = [array.shape for array in arrays]
        for shape in set(shapes):
            if len(shape) != 2 or shape[1] == 0:
                i = shapes.index(shape)
                raise ValueError(f"{name}[{i}] must have shape (length, dimension), got {tuple(shape)}")
        channels = {shape[1] for shape in shapes}
        if len(channels) > 1:
            raise ValueError(
                f"{name} holds paths of {min(channels)} and {max(channels)} channels: all must have as many"
            )
        self.lengths = np.array([shape[0] for shape in shapes], np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        with device_of(arrays[0]):
            self.points = namespace_of(arrays[0]).concatenate(arrays, 0)

    def with_points(self, points: Array) -> "RaggedPaths":
        """Paths of the same lengths through other points."""
        other = copy.copy(self)
        other.points = points
        return other

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def dimension(self) -> int:
        """Number of channels."""
        return int(self.points.shape[-1])

    def runs(self, padding: float) -> list[np.ndarray]:
        """Indices of the paths that go together, as `runs_of` cuts them."""
        return runs_of(self.lengths, padding)

    def padded(self, run: np.ndarray) -> Array:
        """The paths of a run, of shape (n, length of the longest, dimension)."""
        lengths = self.lengths[run]
        length = int(lengths.max(initial=0))
        at = self.starts[run][:, None] + np.minimum(np.arange(length), np.maximum(lengths - 1, 0)[:, None])
        with device_of(self.points):
            if library_of(self.points) == "numpy":
                return self.points.take(at, axis=0)
            return self.points[indices_like(at, self.points)]

    def spread(self, run: np.ndarray, gradient: np.ndarray, out: np.ndarray) -> None:
        """Adjoint of `padded`, for NumPy and CuPy: adds to the gradients of all points."""
        for i, k in enumerate(run.tolist()):
            start, length = int(self.starts[k]), int(self.lengths[k])
            if length:
                out[start : start + length] += gradient[i, :length]
                out[start + length - 1] += gradient[i, length:].sum(0)

    def parts(self, points: Array) -> Any:
        """Numbers for all points, as the caller gave the paths: a list, or an array that is padded."""
        if self.padded_length is not None:
            return points.reshape(len(self), self.padded_length, points.shape[1])
        return [points[start : start + n] for start, n in zip(self.starts.tolist(), self.lengths.tolist(), strict=True)]


def _arrays(name: str, parts: list[Any]) -> list[Array]:
    """Arrays of one library, dtype and device."""
    if set(map(type, parts)) == {np.ndarray} and len({part.dtype for part in parts}) == 1 and parts[0].dtype in FORMATS:
        return parts
    named = {f"{name}[{i}]": part for i, part in enumerate(parts)}
    if library_of(parts[0]) == "torch":
        return torch_tensors(named)[0]
    if library_of(parts[0]) == "jax":
        found, dtype = jax_arrays(named)
        return [in_dtype(array, dtype) for array in found]
    on, arrays = backend_of(named, parts)
    return [on.result(array) for array in arrays]


def indices_like(at: np.ndarray, like: Array) -> Array:
    """Indices where those of an array have to be."""
    xp = namespace_of(like)
    return xp.asarray(at, device=like.device) if library_of(like) == "torch" else xp.asarray(at)


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Zeros in the library, dtype and device of an array."""
    with device_of(like):
        return like.new_zeros(shape) if library_of(like) == "torch" else namespace_of(like).zeros(shape, like.dtype)


def is_chunked(value: Any) -> bool:
    """Whether these are paths in chunks of Dask, of one length or not."""
    return library_of(value.points if isinstance(value, RaggedPaths) else value) == "dask"


def is_ragged(value: Any) -> bool:
    """Whether dispatch may have taken a value for paths that are no one array."""
    # First: a nested tensor has no shape, and says so by an error.
    if getattr(value, "is_nested", False) or not hasattr(value, "shape"):
        return True
    return value.dtype == object and value.ndim == 1


def as_ragged(name: str, value: Any) -> RaggedPaths:
    """Paths of unequal lengths from what dispatch has found to be some."""
    if isinstance(value, RaggedPaths):
        return value
    if isinstance(value, LazyPaths):
        raise refusal_of_series(name)
    if hasattr(value, "batch_sizes"):
        return RaggedPaths(*packed_paths(value))
    if getattr(value, "is_nested", False):
        value = value.unbind()
    return RaggedPaths.named(name, list(value))


def side_of(name: str, paths: Any) -> Any:
    """One side of kernels, paths of one length included, whose other side has paths of unequal lengths."""
    if isinstance(paths, LazyPaths):
        return paths
    if is_ragged(paths):
        return as_ragged(name, paths)
    batch, length, _ = path_shape(name, tuple(paths.shape))
    if len(batch) != 1:
        raise ValueError(
            f"{name} must have shape (n, length, dimension) beside paths of unequal lengths, got {tuple(paths.shape)}"
        )
    return RaggedPaths(paths, [length] * batch[0])


def sides_of(lengths1: Any, lengths2: Any, **paths: Any) -> list[Any]:
    """Both sides of kernels by name, some of which are padded; the same object twice if they are the same paths."""
    (name1, path1), (name2, path2) = paths.items()
    first, second = path1, path2
    if lengths1 is not None:
        first = RaggedPaths.named(name1, path1, lengths1, "lengths1")
    if path2 is path1 and _are_equal(lengths1, lengths2):
        second = first
    elif lengths2 is not None:
        second = RaggedPaths.named(name2, path2, lengths2, "lengths2")
    return [first, second]


def _are_equal(lengths1: Any, lengths2: Any) -> bool:
    """Of lengths of Dask nobody looks at the numbers."""
    if lengths1 is lengths2:
        return True
    return not (is_chunked(lengths1) or is_chunked(lengths2)) and np.array_equal(lengths1, lengths2)
