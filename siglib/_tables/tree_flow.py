"""Branched signatures of segments with corrections: which coefficients a step changes, and by how much.

A segment with increment dx and correction c is exp(l) for the functional l that is dx at single nodes and c at chains,
trees without branches, and 0 at all others. It multiplies the signature of what follows from the left,

    V^(k)(tree) = X(tree) + 1/k sum over chains that can be pruned of l(chain) V^(k+1)(trunk),   k = degree, .., 1,

with V^(degree+1) = 1 at nothing. The cuts that prune one chain are those of `coproducts.py`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._lyndon import Ints, _starts
from .coproducts import Cuts
from .forests import forests, single


class Flow(NamedTuple):
    """Row i, of the i-th coefficient: weight `weights[k]` times V at element sources[k], starts[i] <= k <
    starts[i + 1].

    Element 0 is nothing, 1 + i the i-th coefficient; the first ends[n] coefficients have up to n nodes. Weight j is
    `weight_ways[j]` times l at place `weight_terms[j]`: letters, then the numbers of the correction.
    """

    starts: Ints
    sources: NDArray[np.int32]
    weights: NDArray[np.int32]
    ends: Ints
    weight_terms: NDArray[np.int32]
    weight_ways: Ints


def build_flow(cuts: Cuts, dimension: int, degree: int, m: int, planar: bool) -> Flow:
    """The flow of corrections of levels 2..m <= degree; m = 1 for none."""
    chains = chain_elements(dimension, degree, m, planar)
    # The place of each element in l, or -1.
    places = np.full(max(int(cuts.pruned.max()), int(chains.max())) + 1, -1, np.int64)
    places[chains] = np.arange(len(chains))
    kept = places[cuts.pruned] >= 0
    rows = np.repeat(np.arange(len(cuts.starts) - 1), np.diff(cuts.starts))[kept]
    n_ways = int(cuts.ways.max()) + 1
    found, weights = np.unique(places[cuts.pruned[kept]] * n_ways + cuts.ways[kept], return_inverse=True)
    return Flow(
        _starts(rows, len(cuts.starts) - 1),
        cuts.trunks[kept],
        weights.ravel().astype(np.int32),
        cuts.ends,
        (found // n_ways).astype(np.int32),
        found % n_ways,
    )


def chain_elements(dimension: int, degree: int, m: int, planar: bool) -> Ints:
    """The elements of all chains of 1..m nodes by their labels, lexicographically, the root's first."""
    table = forests(dimension, degree if planar else degree - 1, planar)
    trees = np.arange(dimension)
    found = [trees]
    for _ in range(1, m):
        # A new root below all chains: its label is the first.
        trees = (single(table, trees) * dimension + np.arange(dimension)[:, None]).ravel()
        found.append(trees)
    chains = np.concatenate(found)
    return single(table, chains) if planar else chains + 1
