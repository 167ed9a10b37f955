"""Gram matrices a block at a time: of one that is symmetric, the blocks from the diagonal on, and their transposes."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._call.blocks import apart, transposed

Where = tuple[slice, slice]


def spans(n: int, side: int) -> list[slice]:
    """0 to n in even parts of at most `side`: none is a single path, which kernels compute in another order."""
    count = max(-(-n // side), 1)
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def blocks_of(symmetric: bool, n1: int, n2: int, side: int) -> Iterator[tuple[Where, bool]]:
    """Rows and columns of all blocks, and whether their transposes are wanted, too."""
    for i, rows in enumerate(spans(n1, side)):
        for j, columns in enumerate(spans(n2, side)):
            if not symmetric or i <= j:
                yield (rows, columns), symmetric and i < j


class GramBlocks:
    """A call of a Gram operation on NumPy arrays, cut into blocks of pairs."""

    def __init__(self, operation: Any, on: Any, o: Any, arrays: Any, side: int) -> None:
        path1, path2, self.parameters = arrays
        self.n_batch_axes = path1.ndim + path2.ndim - 4
        self.operation, self.on, self.o, self.side = operation, on, o, side
        self.apart = apart(operation, o)
        self.x, self.y = (path.reshape(math.prod(path.shape[:-2]), *path.shape[-2:]) for path in (path1, path2))
        self.symmetric = o.equal and o.order1 == o.order2

    def __iter__(self) -> Iterator[tuple[Where, bool]]:
        return blocks_of(self.symmetric, len(self.x), len(self.y), self.side)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def as_matrix(self, out: Any) -> Any:
        """The result, with one axis for each of the two batches: the same memory."""
        matrix = out.reshape(len(self.x), len(self.y), *out.shape[self.n_batch_axes :])
        if not np.may_share_memory(matrix, out):
            raise ValueError(f"out must have batch axes that are one without a copy, got strides {out.strides}")
        return matrix

    def n_pairs(self, where: Where, mirrored: bool) -> int:
        """How many entries of the matrix a block gives."""
        rows, columns = where
        return (rows.stop - rows.start) * (columns.stop - columns.start) * (2 if mirrored else 1)

    def compute(self, where: Where) -> Any:
        """The block, in the dtype of kernels."""
        rows, columns = where
        o = self.o if self.o.equal and rows == columns else self.apart
        arrays = self.x[rows], self.y[columns], self.parameters
        sizes = self.operation.known_sizes(o, arrays[0].shape, arrays[1].shape)
        part = self.on.empty(sizes[0])
        self.operation.forward(self.on, part, o, sizes, *arrays)
        return part

    def write(self, put: Callable[[Where, Any], None], done: Callable[[int], None]) -> None:
        """Hand every block to `put`, with the place that it has in the matrix."""
        for where, mirrored in self:
            self.write_one(where, mirrored, put)
            done(self.n_pairs(where, mirrored))

    def write_one(self, where: Where, mirrored: bool, put: Callable[[Where, Any], None]) -> None:
        """The same for one of them."""
        part = self.compute(where)
        put(where, part)
        if mirrored:
            put((where[1], where[0]), transposed(part))
