"""Dask: arrays in chunks, of which every block is computed by itself, wherever the scheduler sends it.

Dispatch raises `DaskArraysError` where it meets an array of Dask, and whoever can go on from there comes here. A task
gets blocks, which are NumPy arrays, and computes what a call of its own would; nothing else has to be told about Dask.
siglib never imports Dask: an array of it can only exist if Dask is there.

Batch axes may be in chunks, all others are made one. `dask_arrays.py` has what arrays are taken, and `dask_pairs.py`
what is of all pairs of two batches.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from operator import getitem
from typing import Any

import numpy as np

from .array_likes import Ragged
from .block_sizes import items_per_task
from .blocks import is_batched, n_core_axes, options_of_block
from .dask_arrays import Chunks, arrays_of_dask, chunked
from .libraries import Array
from .progress import muted

# How many times over a gradient takes what its function does, about.
_BACKPROP = 3


# Tasks, which are sent to workers


class Task:
    """A call of an operation on blocks, between which stand the arguments that are no arrays.

    Options go there as a tuple, since their classes are made when siglib is imported.
    """

    def __init__(self, operation: Any, places: tuple[int, ...], arguments: Sequence[Any]) -> None:
        self.operation, self.places = operation, places
        self.arguments = [None if i in places else argument for i, argument in enumerate(arguments)]

    def filled(self, blocks: tuple[Any, ...]) -> tuple[Any, ...]:
        arguments = list(self.arguments)
        for i, block in zip(self.places, blocks, strict=True):
            arguments[i] = block
        return tuple(arguments)

    def __call__(self, o: tuple[Any, ...], *blocks: Any) -> Any:
        options, arguments = self.operation.Options._make(o), self.filled(blocks)
        with muted():
            if any(isinstance(block, Ragged) for block in blocks):
                return self.operation(*arguments, **options._asdict())
            return self.operation.compute(arguments, options)


class BackpropTask(Task):
    """The same for its gradient: the derivatives and the result stand in front of the arrays."""

    def __init__(self, operation: Any, places: tuple[int, ...], arguments: Sequence[Any], needs: Any) -> None:
        super().__init__(operation, places, arguments)
        self.needs = needs

    def __call__(self, o: tuple[Any, ...], *blocks: Any) -> Any:
        options = self.operation.Options._make(o)._asdict()
        return self.operation.backprop(*self.filled(blocks), needs=self.needs, **options)


def under(n_axes: int, block: Any) -> Any:
    """A block behind so many axes of length 1."""
    return block.reshape((1,) * n_axes + block.shape)


# Operations on batches


def call(operation: Any, arrays: tuple[Array, ...], o: Any) -> Array:
    """The operation on batches, with options that are clean."""
    places, found, dtype = _given(operation.shared_names, arrays[: operation.n_shared])
    shapes = _shapes(operation.n_shared, places, found)
    shape = operation.known_sizes(o, *shapes)[0]
    n = found[0].ndim - n_core_axes(operation)
    batched = [is_batched(operation.arrays[i], a, found[0]) for i, a in zip(places, found, strict=True)]
    found = _aligned(found, batched, n, shape, operation.seconds(o, shape, *shapes))
    task = Task(operation, places, arrays)
    name, graph, chunks = _mapped(operation, task, o, found, batched, n)
    graph = {(*key, *(0,) * (len(shape) - n)): value for key, value in graph.items()}
    return chunked(name, graph, found, (*chunks, *((size,) for size in shape[n:])), dtype)


def backprop(
    operation: Any, derivs: Array, out: Array, arrays: tuple[Array, ...], needs: Any, options: dict[str, Any]
) -> tuple[Any, ...]:
    """The public gradient of an operation on batches."""
    o, n_shared = operation.clean(options), operation.n_shared
    names = (operation.derivs_name, operation.out_name, *(operation.backprop_names or operation.shared_names))
    places, found, dtype = _given(names, (derivs, out, *arrays[:n_shared]))
    shapes = _shapes(2 + n_shared, places, found)
    _, sizes, _ = operation._known_backprop(o, *shapes)
    first = found[places.index(2)]
    n = first.ndim - n_core_axes(operation)
    # A single pair has derivatives of shape () or (1,); both have no batch axes.
    all_names = (operation.derivs_name, operation.out_name, *operation.arrays)
    batched = [is_batched(all_names[i], a, first) for i, a in zip(places, found, strict=True)]
    seconds = _BACKPROP * operation.seconds(o, sizes[0], *shapes[2:])
    found = _aligned(found, batched, n, first.shape, seconds)
    task = BackpropTask(operation, places, (derivs, out, *arrays), needs)
    name, graph, chunks = _mapped(operation, task, o, found, batched, n)
    gradients: list[Any] = [None] * operation.n_arrays
    for i, has_batch, array in zip(places, batched, found, strict=True):
        k = i - 2
        if k < 0 or not needs[k]:
            continue
        own, rest = f"{name}-{k}", array.shape[n:] if has_batch else array.shape
        zeros = (0,) * len(rest)
        parts: dict[Any, Any] = {(own, *key[1:], *zeros): (getitem, key, k) for key in graph}
        if not has_batch:
            # Every block has a gradient of the whole: theirs is the sum.
            parts = {key: (partial(under, n), value) for key, value in parts.items()}
            chunks = tuple((1,) * len(sizes) for sizes in chunks)
        gradient = chunked(own, {**graph, **parts}, found, (*chunks, *((size,) for size in rest)), dtype)
        gradients[k] = gradient if has_batch else gradient.sum(tuple(range(n)))
    return tuple(gradients)


def _given(names: Sequence[str], arrays: Sequence[Array]) -> tuple[tuple[int, ...], list[Any], np.dtype]:
    """(where the arrays stand that are there, these as arrays of Dask, dtype of the result)."""
    there = {name: array for name, array in zip(names, arrays, strict=True) if array is not None}
    places = tuple([i for i, array in enumerate(arrays) if array is not None])
    return places, *arrays_of_dask(there)


def _shapes(n: int, places: tuple[int, ...], arrays: list[Any]) -> list[Any]:
    shapes: list[Any] = [None] * n
    for i, array in zip(places, arrays, strict=True):
        shapes[i] = tuple(array.shape)
    return shapes


def _aligned(arrays: list[Any], batched: list[bool], n: int, shape: tuple[int, ...], seconds: float) -> list[Any]:
    """The arrays with the same chunks along `n` batch axes, and one along all others; a path takes so many seconds."""
    with_batch = [a for a, has_batch in zip(arrays, batched, strict=True) if has_batch and a.ndim >= n]
    finest = max(with_batch, key=lambda a: math.prod(a.numblocks[:n]))
    batch = finest.chunks[:n]
    if n and all(len(sizes) == 1 for sizes in batch):
        numbers = sum(math.prod(a.shape[n:]) for a in with_batch) + math.prod(shape[n:])
        batch = cut(tuple(finest.shape[:n]), items_per_task(seconds, numbers))
    return [
        a.rechunk((*batch, *a.shape[n:]) if has_batch else a.shape) if a.ndim else a
        for a, has_batch in zip(arrays, batched, strict=True)
    ]


def cut(batch: tuple[int, ...], n_items: int) -> Chunks:
    """Even chunks of at most so many items: the last axes stay whole as long as they are that short."""
    chunks: list[tuple[int, ...]] = []
    for size in reversed(batch):
        n_chunks = max(-(-size // max(n_items, 1)), 1)
        step, longer = divmod(size, n_chunks)
        chunks.append((step + 1,) * longer + (step,) * (n_chunks - longer))
        n_items //= max(size, 1)
    return tuple(reversed(chunks))


def _mapped(
    operation: Any, task: Any, o: Any, arrays: list[Any], batched: list[bool], n: int
) -> tuple[str, dict[Any, Any], Chunks]:
    """(name, tasks by name and block, chunks of the batch axes)."""
    from dask.base import tokenize

    chunks = arrays[0].chunks[:n]
    name = f"siglib-{operation.name}-{tokenize(type(task).__name__, tuple(o), vars(task), *[a.name for a in arrays])}"
    edges = [np.cumsum([0, *sizes]) for sizes in chunks]
    graph = {}
    for block in product(*[range(len(sizes)) for sizes in chunks]):
        keys = [
            (a.name, *block, *(0,) * (a.ndim - n)) if has_batch else (a.name, *(0,) * a.ndim)
            for a, has_batch in zip(arrays, batched, strict=True)
        ]
        where = tuple(slice(at[i], at[i + 1]) for at, i in zip(edges, block, strict=True))
        graph[(name, *block)] = (partial(task, tuple(options_of_block(operation, o, where))), *keys)
    return name, graph, chunks


def picked(array: Any, places: list[int]) -> Any:
    """The entries at these places of the last axis."""
    array = array.rechunk({array.ndim - 1: -1})
    chunks = (*array.chunks[:-1], (len(places),))
    return array.map_blocks(np.take, np.array(places, np.int64), axis=-1, chunks=chunks, dtype=array.dtype)


def applied(name: str, function: Callable[[Any], Any], array: Any, n_axes: int) -> Any:
    """`function` on blocks of one array, all of whose axes but the last `n_axes` are batch axes."""
    from dask.base import tokenize

    (array,), dtype = arrays_of_dask({name: array})
    n = max(array.ndim - n_axes, 0)
    # On no items it tells what shape a result has, and raises what it raises for all.
    shape = function(np.zeros((*(0,) * n, *array.shape[n:]), dtype)).shape[n:]
    array = array.rechunk(dict.fromkeys(range(n, array.ndim), -1))
    own = f"siglib-{name}-{tokenize(function, array.name)}"
    graph = {
        (own, *block, *(0,) * len(shape)): (function, (array.name, *block, *(0,) * (array.ndim - n)))
        for block in product(*[range(len(sizes)) for sizes in array.chunks[:n]])
    }
    return chunked(own, graph, [array], (*array.chunks[:n], *((size,) for size in shape)), dtype)
