"""Sets of words as the CUDA functions of `sig_coef` read them: chains, as flat tables.

A *chain* is a word that is no prefix of another one. One thread computes it, with the coefficients of all its prefixes
in registers. Chains of equal length make *parts*, one for a block of threads. Chains of more than `LONGEST` letters are
*long*: they get a block each.

An *entry* is a letter of a chain, and stands for the prefix that ends there. Entries of a part come letter by letter,
all chains side by side, so that neighbouring threads read neighbouring numbers; those of a long chain follow one
another. A prefix that several chains have is an entry of each; the first one is its *owner*, which writes the
coefficient and takes its derivative.

Tables are built once for each set of words and kept.
"""

from typing import NamedTuple

import numpy as np

from .._tables.cache import TABLES
from .._tables.word_trie import Growing, Word, decode

# Letters of a chain whose numbers fit into registers.
LONGEST = 12
# Chains of a part, at most: the threads of a block (THREADS in coefficients.cuh).
MOST_CHAINS = 128
# How far apart a chain's values lie in a block's shared memory (LINE in coefficients.cuh).
LINE = MOST_CHAINS + 1
# A block takes several paths as long as they have no more letters in one increment than this.
_MOST_LETTERS = 2048
# The fewest increments of a time chunk; paths with no more points are not cut.
CHUNK = 128


class Chains(NamedTuple):
    """All chains of a set of words; the tables are int32."""

    # For each part: length, chains, paths of a block, first entry, first place in `channels`, number of places.
    parts: np.ndarray
    # For each entry its letter: a place among the part's channels, or in long chains the channel itself.
    letters: np.ndarray
    channels: np.ndarray  # the distinct letters of each part
    # The entries that have a channel, in a block's shared memory: for each part and channel where they start in `sums`,
    # and the end; then LINE times the place in the chain, plus the chain.
    sum_starts: np.ndarray
    sums: np.ndarray
    long_starts: np.ndarray  # the first entry of each long chain, and the end

    @property
    def n_long(self) -> int:
        return len(self.long_starts) - 1

    @property
    def longest_long(self) -> int:
        """Letters of the longest chain, which is the first of the long ones."""
        return int(self.long_starts[1] - self.long_starts[0])


class _Layout(NamedTuple):
    chains: Chains
    words: list[tuple[int, list[Word]]]  # of each part, with the first entry
    nodes: np.ndarray  # for each entry its node in the tree of words


@TABLES.keep
def _layout(text: str) -> _Layout:
    return _make(decode(text))


@TABLES.keep
def _piece_layout(text: str) -> _Layout:
    return _make([word[i:] for word in decode(text) for i in range(len(word))])


def chains(text: str) -> Chains:
    """The chains of encoded words."""
    return _layout(text).chains


def pieces(text: str) -> Chains:
    """The chains of all their sub-words, which time chunks need, and for which there must be no long chains."""
    return _piece_layout(text).chains


@TABLES.keep
def suffixes(text: str) -> tuple[np.ndarray]:
    """Where `pieces` has the rest of a chain, from each entry of `chains` on: an entry, and how many entries the next
    letter is away.
    """
    tree = Growing()
    at: dict[int, tuple[int, int]] = {}
    for first, words in _piece_layout(text).words:
        for column, word in enumerate(words):
            for node in tree.insert(word):
                at.setdefault(node, (first + column, len(words)))
    rows = [
        at[tree.insert(word[i:])[-1]]
        for _, words in _layout(text).words
        for i in range(len(words[0]))
        for word in words
    ]
    return (np.array(rows, np.int32).reshape(-1, 2),)


@TABLES.keep
def columns(text: str, prefixes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where results have the entries: `starts` and `order`.

    Columns order[starts[e] : starts[e + 1]] are those of entry e, none if it is no owner. The entry behind the last one
    is the empty word.
    """
    nodes, of_entry = _nodes_of_columns(text, prefixes), _layout(text).nodes
    owner = np.full(max(nodes.max(), of_entry.max(initial=0)) + 1, len(of_entry))
    owner[of_entry[::-1]] = np.arange(len(of_entry))[::-1]
    entries = owner[nodes]
    order = np.argsort(entries, kind="stable")
    return _starts(entries[order], len(of_entry) + 1), order.astype(np.int32)


@TABLES.keep
def prefix_columns(text: str) -> tuple[np.ndarray]:
    """For each entry a column of the result with all prefixes where its coefficient is."""
    nodes, of_entry = _nodes_of_columns(text, True), _layout(text).nodes
    column = np.zeros(nodes.max() + 1, np.int32)
    column[nodes] = np.arange(len(nodes))
    return (column[of_entry],)


def _nodes_of_columns(text: str, prefixes: bool) -> np.ndarray:
    tree = Growing()
    found = [tree.insert(word) or [0] for word in decode(text)]
    return np.array([node for nodes in found for node in (nodes if prefixes else nodes[-1:])])


def _starts(groups: np.ndarray, n: int) -> np.ndarray:
    """Where each of n groups starts in a sorted array of their numbers, and the end."""
    return np.searchsorted(groups, np.arange(n + 1)).astype(np.int32)


def _make(words: list[Word]) -> _Layout:
    tree = Growing()
    ends = {nodes[-1]: (word, nodes) for word in words if (nodes := tree.insert(word))}
    found = [chain for end, chain in ends.items() if not tree.children[end]]
    found.sort(key=lambda chain: (-len(chain[0]), chain[0]))
    n_long = sum(len(word) > LONGEST for word, _ in found)
    parts = [part for length in range(LONGEST, 0, -1) for part in _parts(length, found[n_long:])]
    n_channels = 1 + max((max(word) for word, _ in found[n_long:]), default=-1)

    sizes: list[tuple[int, ...]] = []
    letters: list[np.ndarray] = [np.zeros(0, int)]
    channels, sum_starts, sums, all_nodes = (letters.copy() for _ in range(4))
    n_entries = n_places = 0
    for part in parts:
        length, n = len(part[0][0]), len(part)
        table = np.array([word for word, _ in part]).T.reshape(-1)
        distinct, places = np.unique(table, return_inverse=True)
        n_paths = max(1, min(MOST_CHAINS // n, _MOST_LETTERS // len(distinct)))
        order = np.argsort(table, kind="stable")
        sizes.append((length, n, n_paths, n_entries, n_places, len(distinct)))
        letters.append(places)
        channels.append(distinct)
        sum_starts.append(n_entries + _starts(table[order], n_channels))
        sums.append((LINE * np.arange(length)[:, None] + np.arange(n)).reshape(-1)[order])
        all_nodes.append(np.array([nodes for _, nodes in part]).T.reshape(-1))
        n_entries += len(table)
        n_places += len(distinct)
    for word, nodes in found[:n_long]:
        letters.append(np.array(word))
        all_nodes.append(np.array(nodes))
    made = Chains(
        np.array(sizes, np.int32).reshape(-1, 6),
        np.concatenate(letters).astype(np.int32),
        np.concatenate(channels).astype(np.int32),
        np.array(sum_starts[1:], np.int32).reshape(len(parts), n_channels + 1),
        np.concatenate(sums).astype(np.int32),
        np.cumsum([n_entries, *(len(word) for word, _ in found[:n_long])]).astype(np.int32),
    )
    by_part = [(size[3], [word for word, _ in part]) for size, part in zip(sizes, parts, strict=True)]
    return _Layout(made, by_part, np.concatenate(all_nodes))


def _parts(length: int, found: list[tuple[Word, list[int]]]) -> list[list[tuple[Word, list[int]]]]:
    """The chains of this length in parts of nearly equal size."""
    equal = [chain for chain in found if len(chain[0]) == length]
    n_parts = -(-len(equal) // MOST_CHAINS)
    return [equal[i * len(equal) // n_parts : (i + 1) * len(equal) // n_parts] for i in range(n_parts)]
