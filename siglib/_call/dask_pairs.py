"""Dask: all pairs of two batches, a task for each pair of blocks; of what is symmetric those from the diagonal on."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from operator import getitem
from typing import Any

from .block_sizes import side_of_task
from .blocks import apart, transposed
from .dask import BackpropTask, Task, cut, under
from .dask_arrays import Chunks, arrays_of_dask, chunked, widened
from .libraries import Array

# How many results one task adds up.
_ADDED = 16


def gram(operation: Any, arrays: tuple[Array, ...], o: Any, symmetric: bool) -> Array:
    """The Gram matrix of two batches of paths, with options that are clean."""
    given = dict(zip(operation.shared_names, arrays[: operation.n_shared], strict=True))
    (path1, path2), dtype = arrays_of_dask(given)
    shape = operation.known_sizes(o, tuple(path1.shape), tuple(path2.shape))[0]
    batch1, batch2 = path1.shape[:-2], path2.shape[:-2]
    rest = shape[len(batch1) + len(batch2) :]
    task = Task(operation, (0, 1), arrays)
    x = flat(path1)
    found = pairs(
        f"siglib-{operation.name}",
        partial(task, tuple(apart(operation, o))),
        partial(task, tuple(o)) if o.equal else None,
        x,
        x if o.equal else flat(path2),
        seconds=operation.seconds(o, shape, tuple(path1.shape), tuple(path2.shape)),
        transpose=transposed if symmetric else None,
        rest=rest,
        dtype=dtype,
    )
    return found.reshape(shape)


def flat(paths: Any) -> Any:
    """Paths with one batch axis, and only that in chunks, of which none is empty if there are paths."""
    length, dimension = paths.shape[-2:]
    paths = paths.rechunk({paths.ndim - 2: -1, paths.ndim - 1: -1})
    if paths.ndim != 3:
        paths = paths.reshape(math.prod(paths.shape[:-2]), length, dimension)
    # A mask leaves empty ones where it leaves nothing.
    sizes = tuple(size for size in paths.chunks[0] if size)
    return paths.rechunk((sizes, length, dimension)) if sizes and sizes != paths.chunks[0] else paths


def cut_for_pairs(x: Any, y: Any, seconds: float) -> tuple[Any, Any]:
    """Two batches, of which one that is in one chunk is cut so that tasks take neither too long nor too short."""
    side = side_of_task(seconds)
    return tuple(p if p.numblocks[0] > 1 else p.rechunk((cut(p.shape[:1], side)[0], *p.shape[1:])) for p in (x, y))


def pairs(
    name: str,
    function: Callable[..., Any],
    on_diagonal: Callable[..., Any] | None,
    x: Any,
    y: Any,
    *,
    seconds: float,
    transpose: Callable[[Any], Any] | None,
    rest: tuple[int, ...] = (),
    dtype: Any,
    sizes: Callable[[Chunks, Chunks], Chunks] | None = None,
) -> Any:
    """An array of Dask of `function(block of x, block of y)`, of shape (n1, n2, *rest), for all pairs of blocks.

    `on_diagonal` is for pairs of a block with itself, where `y` is `x`, and `transpose` makes a block below the
    diagonal of the one above it: without it all of them are computed. `sizes` gives the chunks of the result if they
    are not those of the paths.
    """
    from dask.base import tokenize

    same = y is x
    x, y = cut_for_pairs(x, y, seconds)
    y = x if same else y
    name = f"{name}-{tokenize(x.name, y.name, function, on_diagonal, transpose, rest)}"
    zeros, graph = (0,) * len(rest), dict[Any, Any]()
    for i, j in product(range(x.numblocks[0]), range(y.numblocks[0])):
        if transpose is not None and i > j:
            graph[(name, i, j, *zeros)] = (transpose, (name, j, i, *zeros))
        else:
            pair = on_diagonal if on_diagonal is not None and same and i == j else function
            graph[(name, i, j, *zeros)] = (pair, (x.name, i, 0, 0), (y.name, j, 0, 0))
    chunks = (x.chunks[0], y.chunks[0]) if sizes is None else sizes(x.chunks, y.chunks)
    return chunked(name, graph, [x, y], (*chunks, *((size,) for size in rest)), dtype)


def blocks_of_pairs(n1: int, n2: int | None = None) -> Iterator[tuple[int, int]]:
    """All pairs of `n1` blocks with `n2` others; without `n2`, of `n1` blocks with each other, each pair once."""
    return ((i, j) for i in range(n1) for j in (range(i, n1) if n2 is None else range(n2)))


def summed(name: str, graph: dict[Any, Any], add: Callable[[list[Any]], Any], dependencies: list[Any]) -> Any:
    """A Delayed of Dask: what the tasks of a graph return, added by `add`, some of them at a time."""
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    keys, level = list(graph), 0
    while len(keys) > 1 or level == 0:
        level += 1
        parts = [keys[k : k + _ADDED] for k in range(0, len(keys), _ADDED)]
        found = {(f"{name}-sum", level, k): (add, part) for k, part in enumerate(parts)}
        keys, graph = list(found), {**graph, **found}
    layers = HighLevelGraph.from_collections(name, graph, dependencies=dependencies)
    return Delayed(keys[0], layers, layer=name)


def gram_backprop(
    operation: Any, derivs: Array, arrays: tuple[Array, ...], needs: Any, options: dict[str, Any]
) -> tuple[Any, ...]:
    """Gradients of a Gram matrix: of every block with respect to its paths, summed along rows and columns of blocks."""
    from dask.base import tokenize

    o = operation.clean(options)
    names = (operation.derivs_name, *operation.shared_names)
    # Sums are taken before anything is rounded to half precision.
    back, derivs, path1, path2 = widened(**dict(zip(names, (derivs, *arrays[:2]), strict=True)))
    shape1, shape2 = tuple(path1.shape), tuple(path2.shape)
    _, sizes, _ = operation._known_backprop(o, tuple(derivs.shape), None, shape1, shape2)
    rest = sizes[0][len(shape1) + len(shape2) - 4 :]
    x, y = cut_for_pairs(flat(path1), flat(path2), operation.seconds(o, sizes[0], shape1, shape2))
    derivs = derivs.reshape((x.shape[0], y.shape[0], *rest)).rechunk((x.chunks[0], y.chunks[0], *rest))
    o = apart(operation, o)
    task = BackpropTask(operation, (0, 2, 3), (derivs, None, *arrays), needs)
    call = partial(task, tuple(o))
    name = f"siglib-{operation.name}-backprop-{tokenize(vars(task), tuple(o), needs, derivs.name, x.name, y.name)}"
    zeros = (0,) * len(rest)
    graph = {
        (name, i, j): (call, (derivs.name, i, j, *zeros), (x.name, i, 0, 0), (y.name, j, 0, 0))
        for i, j in product(range(x.numblocks[0]), range(y.numblocks[0]))
    }
    gradients: list[Any] = [None] * operation.n_arrays
    for k, (paths, other, shape) in enumerate(((x, y, shape1), (y, x, shape2))):
        if needs[k]:
            own = f"{name}-{k}"
            parts = {(own, key[2 - k], key[1 + k], 0, 0): (partial(under, 1), (getitem, key, k)) for key in graph}
            chunks = ((1,) * other.numblocks[0], *paths.chunks)
            found = chunked(own, {**graph, **parts}, [derivs, x, y], chunks, x.dtype)
            gradients[k] = back(found.sum(0).reshape(shape))
    return tuple(gradients)
