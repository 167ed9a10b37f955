"""Dask: which arrays of it are taken, paths of unequal lengths among them, and how new ones are made of tasks."""

import math
import sys
from functools import partial
from typing import Any

import numpy as np

from .backend import WIDENED, backend_of
from .libraries import Array, has_own_dtype, library_of
from .ragged import RaggedPaths

Chunks = tuple[tuple[int, ...], ...]


def arrays_of_dask(arrays: dict[str, Array]) -> tuple[list[Any], np.dtype]:
    """All arrays as those of Dask, and the dtype of the result; or the errors that NumPy arrays would raise."""
    da: Any = sys.modules["dask.array"]
    arrays = {k: _padded(k, value) if isinstance(value, RaggedPaths) else value for k, value in arrays.items()}
    samples = []
    for name, value in arrays.items():
        if isinstance(value, Padded):
            value = value.points
        library = library_of(value)
        if library not in ("dask", "numpy"):
            raise TypeError(f"{name} is of {library}: beside arrays of Dask only those of NumPy are taken")
        if library == "dask":
            _check(name, value)
            value = np.empty((0,) * value.ndim, value.dtype)
        samples.append(value)
    on, found = backend_of(tuple(arrays), samples)
    dtype = np.dtype(on.result_dtype)
    result = []
    for given, value in zip(arrays.values(), found, strict=True):
        if not isinstance(given, Padded) and library_of(given) == "numpy":
            value = np.asarray(given) if has_own_dtype(given) else value.astype(dtype)
            given = da.from_array(value, chunks=-1)
        result.append(given)
    return result, dtype


def _check(name: str, value: Any) -> None:
    """TypeError or ValueError for what is of Dask and no array of NumPy blocks of known shapes."""
    if not isinstance(value, sys.modules["dask.array"].Array):
        raise TypeError(
            f"{name} must be an array, got a {type(value).__name__} of Dask: make it one, such as by "
            "to_dask_array(lengths=True)"
        )
    if library_of(value._meta) != "numpy" or not isinstance(value._meta, np.ndarray):
        raise TypeError(f"{name} must be an array of Dask with blocks of NumPy, got {type(value._meta).__name__}")
    if value.dtype == object:
        raise TypeError(
            f"{name} is an array of Dask of objects: pad paths to one length and pass lengths, or call siglib with the "
            "list of each block by map_blocks"
        )
    if any(math.isnan(n) for n in value.shape):
        raise ValueError(f"{name} has blocks of unknown shapes: call compute_chunk_sizes() on it first")


def widened(**arrays: Array) -> tuple[Any, ...]:
    """As `backend.widened`."""
    found, dtype = arrays_of_dask(arrays)
    kernel_dtype = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float32)
    return (partial(_astype, dtype=dtype), *[_astype(array, kernel_dtype) for array in found])


WIDENED["dask"] = widened


def _astype(array: Array, dtype: np.dtype) -> Array:
    return array if array.dtype == dtype else array.astype(dtype)


class Padded:
    """Paths of unequal lengths, padded to one, in chunks: like an array of Dask of shape (n, length, dimension), whose
    blocks are `RaggedPaths`.
    """

    def __init__(self, points: Any, lengths: Any) -> None:
        from dask.base import tokenize

        self.points, self.lengths = points, lengths
        self.shape, self.ndim, self.dtype = points.shape, points.ndim, points.dtype
        self.chunks, self.numblocks = points.chunks, points.numblocks
        self.name = f"siglib-padded-{tokenize(points.name, lengths)}"

    def __len__(self) -> int:
        return int(self.shape[0])

    def rechunk(self, chunks: Any) -> "Padded":
        return Padded(self.points.rechunk(chunks), self.lengths)

    def astype(self, dtype: Any) -> "Padded":
        return Padded(self.points.astype(dtype), self.lengths)

    def reshape(self, *shape: int) -> "Padded":
        """There is but one axis of paths."""
        return self

    def __dask_graph__(self) -> Any:
        from dask.highlevelgraph import HighLevelGraph

        points, lengths = self.points, self.lengths
        if library_of(lengths) == "dask":
            lengths = lengths.rechunk((self.chunks[0],))
            parts: list[Any] = [(lengths.name, i) for i in range(len(self.chunks[0]))]
        else:
            parts = np.split(lengths, np.cumsum(self.chunks[0])[:-1])
        tasks = {(self.name, i, 0, 0): (RaggedPaths, (points.name, i, 0, 0), part) for i, part in enumerate(parts)}
        collections = [array for array in (points, lengths) if library_of(array) == "dask"]
        return HighLevelGraph.from_collections(self.name, tasks, dependencies=collections)

    def __dask_layers__(self) -> tuple[str]:
        return (self.name,)


def is_in_chunks(samples: Any) -> bool:
    """Whether paths, as `widened` gives them, are in chunks."""
    return isinstance(samples, Padded) or library_of(samples) == "dask"


def _padded(name: str, paths: RaggedPaths) -> Padded:
    """Paths of unequal lengths, in chunks."""
    points = paths.points
    if library_of(points) != "dask":
        if paths.padded_length is None or library_of(points) != "numpy":
            raise TypeError(
                f"{name} holds paths of unequal lengths: beside arrays of Dask pass a padded array, and lengths"
            )
        da: Any = sys.modules["dask.array"]
        points = da.from_array(points.reshape(len(paths), paths.padded_length, paths.dimension), chunks=-1)
    return Padded(points, paths.lengths)


def chunked(name: str, graph: Any, dependencies: list[Any], chunks: Chunks, dtype: np.dtype) -> Any:
    from dask.highlevelgraph import HighLevelGraph

    da: Any = sys.modules["dask.array"]
    layers = HighLevelGraph.from_collections(name, graph, dependencies=dependencies)
    return da.Array(layers, name, chunks, dtype=dtype, meta=np.empty((0,) * len(chunks), dtype))
