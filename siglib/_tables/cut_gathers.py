"""The cuts of trees, listed for gradients of products: by what stays, and by the trees of what is pruned.

Of a product (X * Y)_i, the sum over its cuts of ways X[pruned] Y[trunk], the derivative by Y_j sums over the cuts with
trunk j, and that by X_j over those that prune tree j, times X at the other trees that they prune.
"""

import numpy as np
from numpy.typing import NDArray

from .coproducts import Cuts
from .lyndon import Ints, _starts

Elements = NDArray[np.int32]


def by_trunks(cuts: Cuts) -> tuple[Ints, Elements, Elements, Ints]:
    """Starts, and of each cut what is pruned, the whole and the ways; row j has those whose trunk is element 1 + j."""
    order = np.argsort(cuts.trunks, kind="stable")
    order = order[cuts.trunks[order] > 0]
    starts = _starts(cuts.trunks[order].astype(np.int64) - 1, len(cuts.starts) - 1)
    return starts, cuts.pruned[order], _wholes(cuts)[order], cuts.ways[order]


def by_pruned(cuts: Cuts) -> tuple[Ints, Elements, Elements, Elements, Ints]:
    """Starts, and of each cut what else is pruned, the whole, the trunk and the ways; row j has those that prune
    element 1 + j, as often as they do."""
    trees, others = _taken_out(len(cuts.starts) - 1, cuts.products)
    which, cut = np.nonzero(trees[:, cuts.pruned])
    pruned = cuts.pruned[cut]
    tree, other = trees[which, pruned], others[which, pruned]
    order = np.lexsort((cut, tree))
    starts = _starts(tree[order].astype(np.int64) - 1, len(cuts.starts) - 1)
    cut = cut[order]
    return starts, other[order], _wholes(cuts)[cut], cuts.trunks[cut], cuts.ways[cut]


def _wholes(cuts: Cuts) -> Elements:
    """The element that each cut is of."""
    return np.repeat(np.arange(1, len(cuts.starts), dtype=np.int32), np.diff(cuts.starts))


def _taken_out(n: int, products: Elements) -> tuple[Elements, Elements]:
    """(most trees, elements): the i-th tree of each element, or 0, and the element that the others make."""
    size = n + 1 + len(products)
    first, rest = products.T.astype(np.int64)
    keys = first * size + rest
    order = np.argsort(keys)
    tree, other = np.zeros(size, np.int32), np.zeros(size, np.int32)
    tree[1 : n + 1] = np.arange(1, n + 1)
    tree[n + 1 :], other[n + 1 :] = first, rest
    trees, others = [tree], [other]
    while True:
        # The next tree of a forest is one of the rest; the first one stays with the others.
        tree, other = np.zeros(size, np.int32), np.zeros(size, np.int32)
        taken, left = trees[-1][rest], others[-1][rest]
        several = np.flatnonzero((taken > 0) & (left > 0))
        joined = first.copy()
        joined[several] = n + 1 + order[np.searchsorted(keys, first[several] * size + left[several], sorter=order)]
        tree[n + 1 :], other[n + 1 :] = taken, np.where(taken > 0, joined, 0)
        if not tree.any():
            return np.array(trees), np.array(others)
        trees.append(tree)
        others.append(other)
