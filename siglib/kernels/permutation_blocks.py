"""Permutation tests of samples in chunks: a task computes the kernels of a pair of blocks, and hands on their sums for
all permutations, so that nobody ever holds a Gram matrix.

Two samples: labels of all paths are dealt out here, as for arrays of NumPy, and go along with the blocks, as bits.

Independence: a pair of blocks of the first sample needs the kernels of the partners. So partners are dealt out within
blocks: then theirs are in the same pair of blocks of the second sample. These permutations are a group, and under
independence none of them changes the law of the data, which is all that a p-value needs.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from .._call import dask_pairs
from .means import gram_of_blocks
from .options import seconds_of_pair

# Permutations are taken in steps with about this many numbers.
_STEP = 2**22
# Partners are dealt out among so many pairs at least, on average.
_SMALLEST_BLOCK = 20


def _seconds(x: Any, y: Any, options: dict[str, Any]) -> float:
    return seconds_of_pair(x.shape, y.shape, options["dyadic_order"] or (0, 0), options["lead_lag"], options["order"])


def _computed(name: str, tasks: dict[tuple[Any, ...], Any], add: Any, dependencies: list[Any]) -> Any:
    from dask.base import tokenize

    # Random numbers are in the tasks: the same name is the same numbers.
    name = f"siglib-{name}-{tokenize(*tasks.values())}"
    return dask_pairs.summed(name, {(name, *where): task for where, task in tasks.items()}, add, dependencies).compute()


# Two samples


def sums_of_labels(
    x: Any, y: Any, labels: Iterator[np.ndarray], n_labels: int, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, float]:
    """For each labelling, 0 or 1 for each path of both samples: (sums of kernels off the diagonal over pairs of 1 and
    1, over pairs of 1 and any); and the largest kernel, NaN if some are.
    """
    x, y = dask_pairs.flat(x), dask_pairs.flat(y)
    x, y = dask_pairs.cut_for_pairs(x, y, max(_seconds(a, b, options) for a, b in ((x, x), (x, y), (y, y))))
    bits = _bits(labels, n_labels, x.shape[0] + y.shape[0])
    sides, start = [], 0
    for paths in (x, y):
        ends = start + np.cumsum(paths.chunks[0])
        places = enumerate(zip([start, *ends[:-1]], ends, strict=True))
        sides.append([((paths.name, i, 0, 0), bits[:, a:b]) for i, (a, b) in places])
        start = int(ends[-1])
    first, second = sides
    own, other = partial(_forms_within, options, n_labels), partial(_forms_between, options, n_labels)
    tasks = {}
    for k, blocks in enumerate(sides):
        for i, j in dask_pairs.blocks_of_pairs(len(blocks)):
            tasks[(k, i, j)] = (own, *blocks[i]) if i == j else (other, *blocks[i], *blocks[j])
    for i, j in dask_pairs.blocks_of_pairs(len(first), len(second)):
        tasks[(2, i, j)] = (other, *first[i], *second[j])
    return _computed("two_sample_test", tasks, _added_forms, [x, y])


def _bits(labels: Iterator[np.ndarray], n_labels: int, n: int) -> np.ndarray:
    """Labellings as the bits of bytes: one of a thousand labellings is a bit in each of a hundred rows."""
    out = np.zeros((-(-n_labels // 8), n), np.uint8)
    for k, labelling in enumerate(labels):
        out[k // 8] |= labelling.astype(np.uint8) << (k % 8)
    return out


def _labels(bits: np.ndarray, n_labels: int, where: slice) -> np.ndarray:
    """Some labellings, those of a slice of bytes, as float64 numbers (paths, labellings)."""
    count = min(8 * where.stop, n_labels) - 8 * where.start
    return np.unpackbits(bits[where].T, axis=1, count=count, bitorder="little").astype(np.float64)


def _forms(gram: np.ndarray, bits1: np.ndarray, bits2: np.ndarray, n_labels: int) -> Iterator[tuple[Any, Any, Any]]:
    """For some labellings at a time: (sums over pairs of 1 and 1, over pairs of 1 and any, over pairs of any and 1)."""
    n_bytes, columns = len(bits1), gram.sum(axis=0)
    step = max(1, _STEP // (8 * sum(gram.shape)))
    for start in range(0, n_bytes, step):
        where = slice(start, min(start + step, n_bytes))
        first, second = _labels(bits1, n_labels, where), _labels(bits2, n_labels, where)
        sums = gram.T @ first
        yield np.einsum("ik,ik->k", sums, second), sums.sum(axis=0), columns @ second


# What workers compute


def _forms_between(
    options: dict[str, Any], n_labels: int, x: Any, bits1: np.ndarray, y: Any, bits2: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of a block and its transpose, on the other side of the diagonal."""
    gram = gram_of_blocks(x, y, options).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        parts = [(2.0 * both, rows + columns) for both, rows, columns in _forms(gram, bits1, bits2, n_labels)]
    return *_joined(parts), float(np.abs(gram).max(initial=0.0))


def _forms_within(
    options: dict[str, Any], n_labels: int, x: Any, bits: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Of a block on the diagonal."""
    gram = gram_of_blocks(x, x, options).astype(np.float64)
    largest = float(np.abs(gram).max(initial=0.0))
    np.fill_diagonal(gram, 0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        parts = [(both, rows) for both, rows, _ in _forms(gram, bits, bits, n_labels)]
    return *_joined(parts), largest


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    both, rows = zip(*parts, strict=True)
    return np.concatenate(both), np.concatenate(rows)


def _added_forms(parts: list[Any]) -> tuple[np.ndarray, np.ndarray, float]:
    both, rows, largest = zip(*parts, strict=True)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.sum(both, axis=0), np.sum(rows, axis=0), float(np.max(largest))


# Independence


def hsic_of_partners(
    x: Any, y: Any, permutations: int, rng: np.random.Generator, options: list[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """HSIC without bias of the data and of random partners, and the largest kernel of both samples, NaN if some are."""
    x, y = dask_pairs.flat(x), dask_pairs.flat(y)
    seconds = sum(_seconds(paths, paths, o) for paths, o in zip((x, y), options, strict=True))
    x, y = dask_pairs.cut_for_pairs(x, y, seconds)
    chunks = max(x.chunks[0], y.chunks[0], key=len)
    n, n_blocks = x.shape[0], len(chunks)
    if n_blocks > 1 and n < _SMALLEST_BLOCK * n_blocks:
        raise ValueError(
            f"sample1 is cut into chunks of {n / n_blocks:.3g} pairs, among which partners are dealt out: rechunk it "
            f"to chunks of {_SMALLEST_BLOCK} and more"
        )
    x, y = (paths.rechunk((chunks, *paths.shape[1:])) for paths in (x, y))
    seeds = [int(seed) for seed in rng.integers(2**63, size=n_blocks)]
    task = partial(_products, options, permutations)
    tasks = {}
    for i, j in dask_pairs.blocks_of_pairs(n_blocks):
        where = ((i, seeds[i]), (j, seeds[j]))
        tasks[(i, j)] = (partial(task, where), *[(a.name, k, 0, 0) for k in (i, j) for a in (x, y)])
    products, rows, largest = _computed("independence_test", tasks, _added_products, [x, y])
    # What is left of the centred matrices are sums of rows, and of all.
    of_rows = np.zeros(permutations + 1)
    for i, seed in enumerate(seeds):
        first, second = rows[i]
        parts = [second[order] @ first for order in _orders(seed, len(first), permutations, len(first))]
        of_rows += np.concatenate([[second @ first], *parts])
    total = math.prod(sum(float(row[k].sum()) for row in rows.values()) for k in range(2))
    return (products - 2.0 / (n - 2) * of_rows + total / ((n - 1) * (n - 2))) / (n * (n - 3)), largest


def _orders(seed: int, n: int, permutations: int, numbers_each: int) -> Iterator[np.ndarray]:
    """The permutations of a block, some of them at a time: everybody who asks gets the same."""
    rng, step = np.random.default_rng(seed), max(1, _STEP // numbers_each)
    for start in range(0, permutations, step):
        yield rng.permuted(np.tile(np.arange(n), (min(step, permutations - start), 1)), axis=1)


def _products(
    options: list[dict[str, Any]], permutations: int, where: Any, x1: Any, y1: Any, x2: Any, y2: Any
) -> tuple[np.ndarray, dict[int, np.ndarray], np.ndarray]:
    """Of a pair of blocks: (sums of products of kernels of both samples, for the data and all permutations; sums of
    rows of kernels by block; largest kernels).
    """
    (i, seed1), (j, seed2) = where
    sides = zip(((x1, x2), (y1, y2)), options, strict=True)
    first, second = (gram_of_blocks(*blocks, o).astype(np.float64) for blocks, o in sides)
    largest = np.array([np.abs(first).max(initial=0.0), np.abs(second).max(initial=0.0)])
    if i == j:
        np.fill_diagonal(first, 0.0)
        np.fill_diagonal(second, 0.0)
    sums = [np.vdot(first, second)]
    n1, n2 = first.shape
    with np.errstate(invalid="ignore", over="ignore"):
        for orders in zip(*[_orders(s, n, permutations, n1 + n2) for s, n in ((seed1, n1), (seed2, n2))], strict=True):
            sums += [np.vdot(first, second[order1][:, order2]) for order1, order2 in zip(*orders, strict=True)]
        rows = {i: np.stack([first.sum(axis=1), second.sum(axis=1)])}
        if i != j:
            rows[j] = np.stack([first.sum(axis=0), second.sum(axis=0)])
        return np.array(sums) * (1.0 if i == j else 2.0), rows, largest


def _added_products(parts: list[Any]) -> tuple[np.ndarray, dict[int, np.ndarray], np.ndarray]:
    rows: dict[int, np.ndarray] = {}
    with np.errstate(invalid="ignore", over="ignore"):
        for _, some, _ in parts:
            for i, row in some.items():
                rows[i] = rows[i] + row if i in rows else row
        return np.sum([part[0] for part in parts], axis=0), rows, np.max([part[2] for part in parts], axis=0)
