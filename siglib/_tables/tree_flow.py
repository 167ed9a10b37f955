"""Branched signatures of segments with corrections: which coefficients a step changes, and by how much.

A segment with increment dx and correction c is exp(l) for the functional l that is dx at single nodes and c at chains,
trees without branches, and 0 at all others. It multiplies the signature of what follows from the left,

    V^(k)(tree) = X(tree) + 1/k sum over chains that can be pruned of l(chain) V^(k+1)(trunk),   k = degree, .., 1,

with V^(degree+1) = 1 at nothing. The cuts that prune one chain are those of `coproducts.py`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .coproducts import Cuts
from .forests import forests, single
from .lyndon import Ints, _ragged_arange

Places = NDArray[np.int32]


class Flow(NamedTuple):
    """Coefficients of as many nodes with the same weights make up a run: (first, stop, count, weight, source) says that
    element rows[i], first <= i < stop, has `count` terms, weight `weights[weight + k]` times V at element
    sources[source + count (i - first) + k]. The first run_ends[n] runs have up to n nodes.

    Element 0 is nothing, 1 + i the i-th coefficient; the first ends[n] coefficients have up to n nodes. Weight j is
    `weight_ways[j]` times l at place `weight_terms[j]`: letters, then the numbers of the correction.

    The same terms by source: source e is read by the elements source_targets[k] with weight source_weights[k],
    source_ends[e, 0] <= k < source_ends[e, q] for chains of up to q nodes. And by weight: weight j multiplies element
    weight_sources[k] in weight_targets[k], weight_ends[j, 0] <= k < weight_ends[j, n] for targets of up to n nodes.
    """

    runs: Ints
    run_ends: Ints
    rows: Places
    sources: Places
    weights: Places
    ends: Ints
    weight_terms: Places
    weight_ways: Ints
    source_ends: Ints
    source_targets: Places
    source_weights: Places
    weight_ends: Ints
    weight_targets: Places
    weight_sources: Places


def build_flow(cuts: Cuts, dimension: int, degree: int, m: int, planar: bool) -> Flow:
    """The flow of corrections of levels 2..m <= degree; m = 1 for none."""
    chains = chain_elements(dimension, degree, m, planar)
    # The place of each element in l, or -1.
    places = np.full(max(int(cuts.pruned.max()), int(chains.max())) + 1, -1, np.int64)
    places[chains] = np.arange(len(chains))
    kept = places[cuts.pruned] >= 0
    n_rows = len(cuts.starts) - 1
    rows = np.repeat(np.arange(n_rows), np.diff(cuts.starts))[kept]
    sources = cuts.trunks[kept].astype(np.int64)
    n_ways = int(cuts.ways.max()) + 1
    found, weights = np.unique(places[cuts.pruned[kept]] * n_ways + cuts.ways[kept], return_inverse=True)
    weights = weights.ravel()
    nodes = np.concatenate([[0], np.repeat(np.arange(1, degree + 1), np.diff(cuts.ends))])
    # Targets are ordered by their nodes, so that what is left out comes last.
    targets = rows + 1
    by_source, by_weight = np.lexsort((targets, sources)), np.lexsort((targets, weights))
    chain_nodes = nodes[targets] - nodes[sources]
    n_sources = int(cuts.ends[-2]) + 1
    source_ends = np.searchsorted(
        (sources * (degree + 1) + chain_nodes)[by_source],
        np.arange(n_sources)[:, None] * (degree + 1) + np.arange(m + 1),
        "right",
    )
    weight_ends = np.searchsorted(
        (weights * (degree + 1) + nodes[targets])[by_weight],
        np.arange(len(found))[:, None] * (degree + 1) + np.arange(degree + 1),
        "right",
    )
    runs, run_ends, order, firsts = _runs(rows, weights, nodes[1:], degree)
    rank = np.argsort(order)
    by_row = np.lexsort((weights, rank[rows]))
    return Flow(
        runs,
        run_ends,
        _places(order + 1),
        _places(sources[by_row]),
        _places(weights[by_row][firsts]),
        cuts.ends,
        _places(found // n_ways),
        found % n_ways,
        source_ends.astype(np.int64),
        _places(targets[by_source]),
        _places(weights[by_source]),
        weight_ends.astype(np.int64),
        _places(targets[by_weight]),
        _places(sources[by_weight]),
    )


def _runs(rows: Ints, weights: Ints, nodes: Ints, degree: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Runs, how many there are of up to n nodes, the rows in their order, and which terms have the weights of a run
    when terms are sorted by row and weight."""
    counts = np.bincount(rows, minlength=len(nodes))
    # The weights of each row, and -1 behind them.
    forms = np.full((len(nodes), int(counts.max())), -1, np.int64)
    forms[rows[np.lexsort((weights, rows))], _ragged_arange(counts)] = weights[np.lexsort((weights, rows))]
    order = np.lexsort((*forms.T[::-1], counts, nodes))
    kinds = np.column_stack([nodes, forms])[order]
    first = np.flatnonzero(np.append(True, (kinds[1:] != kinds[:-1]).any(axis=1)))
    counts = counts[order]
    source = np.concatenate([[0], np.cumsum(counts)])[first]
    weight = np.concatenate([[0], np.cumsum(counts[first])])[:-1]
    runs = np.stack([first, np.append(first[1:], len(order)), counts[first], weight, source], axis=1)
    firsts = np.repeat(source, counts[first]) + _ragged_arange(counts[first])
    return runs, np.searchsorted(nodes[order][first], np.arange(degree + 1), "right"), order, firsts


def _places(numbers: Ints) -> Places:
    return numbers.astype(np.int32)


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
