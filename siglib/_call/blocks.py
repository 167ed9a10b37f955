"""Calls on batches, a block at a time: what a block is, and running one after the other in this process."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .array_likes import UnequalLengthsError
from .block_sizes import items_per_step, vector_seconds
from .formats import numpy_array
from .indices import INDICES
from .libraries import Array, library_of
from .progress import muted, told


def n_core_axes(operation: Any) -> int:
    """How many axes of the first array are not of the batch: those of paths, of points of many paths, or of vectors."""
    return 2 if operation.names[0].startswith(("path", "points")) else 1


def is_batched(name: str, array: Array, first: Array) -> bool:
    """Whether an array has the batch axes of the first one: those that are optional, as a correction, need not."""
    return not name.endswith("?") or array.ndim == first.ndim


def options_of_block(operation: Any, o: Any, where: tuple[slice, ...]) -> Any:
    """Options, of which those that are indices, of windows, may have batch axes, too."""
    for name, meaning in operation.meaning:
        value = getattr(o, name)
        if meaning is INDICES and isinstance(value, np.ndarray) and value.ndim > 1:
            o = operation.replaced(o, name, value[where])
    return o


def transposed(block: Any) -> Any:
    """A block of a Gram matrix on the other side of the diagonal; grids are transposed, too."""
    block = block.swapaxes(0, 1)
    return block.swapaxes(2, 3) if block.ndim == 4 else block


def apart(operation: Any, o: Any) -> Any:
    """Options of a Gram operation for a block of pairs of different paths."""
    return operation.replaced(operation.replaced(o, "same", False), "equal", False)


def check_out(out: Any, shape: tuple[int, ...], dtype: Any, arrays: dict[str, Any]) -> None:
    """TypeError or ValueError unless a result of this shape and dtype can be written to `out`."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a NumPy array, got a {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype}, that of the result, got {out.dtype}")
    if out.shape != tuple(shape):
        raise ValueError(f"out must have shape {tuple(shape)}, that of the result, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable: open a numpy.memmap with mode 'r+' or 'w+'")
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and np.may_share_memory(out, array):
            raise ValueError(f"out and {name} must not share memory")


@contextmanager
def of_one_length() -> Iterator[None]:
    """Around what takes the arrays of a call with `out`, for paths that are no array: the error says so."""
    try:
        yield
    except UnequalLengthsError as error:
        raise ValueError(f"out is for results of arrays of paths of one length: {error}") from None


def put(operation: Any, on: Any, out: Any, o: Any, arrays: Any) -> None:
    """The result of a call to `out`, NumPy's, which is of its shape and any layout."""
    sizes = operation.known_sizes(o, *operation.shapes_of(arrays))
    if out.dtype == on.view_dtype and out.flags.c_contiguous and out.flags.aligned:
        operation.forward(on, out, o, sizes, *arrays)
        return
    part = on.empty(sizes[0])
    operation.forward(on, part, o, sizes, *arrays)
    with np.errstate(over="ignore"):
        out[...] = part


def run(operation: Any, on: Any, out: Any, o: Any, arrays: Any, step: int, done: Callable[[int], None]) -> None:
    """The same, `step` entries of the first batch axis at a time, which there must be."""
    n = len(out)
    for start in range(0, n, step):
        where = slice(start, start + step)
        parts = list(arrays)
        for i, name in enumerate(operation.arrays[: operation.n_shared]):
            if parts[i] is not None and is_batched(name, parts[i], arrays[0]):
                parts[i] = parts[i][where]
        put(operation, on, out[where], options_of_block(operation, o, (where,)), parts)
        done(min(step, n - start))


def fill(
    name: str, out: Any, call: Callable[..., Array], path: Any, indices: tuple[Any, ...], numbers: int, n_threads: int
) -> Any:
    """`call(paths, *indices)`, made of several operations, of all paths to `out`, a block at a time.

    Results have two axes behind those of the batch, with so many numbers to a row on the way; `indices` may have batch
    axes.
    """
    if library_of(path) != "numpy":
        raise TypeError(f"out is for results of NumPy arrays, and path is of {library_of(path)}")
    path = numpy_array("path", path)
    given, has_batch = path, path.ndim > 2
    if not has_batch:
        path = path[None]

    def part(where: slice) -> Array:
        return call(path[where], *[at[where] if at is not None and at.ndim > 1 else at for at in indices])

    # Of no paths it tells what the result is, and raises what it raises for all.
    none = part(slice(0, 0))
    shape = *path.shape[:-2], *none.shape[-2:]
    check_out(out, shape if has_batch else shape[1:], none.dtype, {"path": given})
    per_entry, (n_rows, _) = math.prod(path.shape[1:-2]), shape[-2:]
    seconds = vector_seconds(path.shape[-2] + n_rows, numbers)
    step = max(1, items_per_step(seconds, n_rows * numbers, n_threads) // max(per_entry, 1))
    rows = out if has_batch else out[None]
    with told(name, len(path) * per_entry, len(path) > step) as done:
        for start in range(0, len(path), step):
            where = slice(start, start + step)
            with muted():
                rows[where] = part(where)
            done(len(rows[where]) * per_entry)
    return out
