"""Sets of words as the loops of `sig_coef` read them: tries of their prefixes, as flat tables.

A trie has one node for each distinct prefix but the empty one, in preorder, children by height: leaves first, the
highest last. The *height* of a node is the length of the longest way down from it. Loops do not walk the tries,
they follow *programs*, made here: lists of steps on subtrees. A subtree of height 1 or 2 is one step, and so is a run
of leaves: they are taken in registers. For higher ones a step enters the top node, and in the backward pass another
one leaves it; partial results wait in memory in between.

Tables are built once for each set of words and kept.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .cache import TABLES

Word = tuple[int, ...]

# Words up to this length may be cut in time: their sub-words grow with the square of the length. For longer ones there
# is a loop of its own.
_MAX_CUT_LENGTH = 16
# Subtrees up to this height are one step of a program.
_MAX_FUSED = 2
# A chain: a subtree without branches, of at most this many nodes. Those have loops of their own.
_MAX_CHAIN = 8


class Trie(NamedTuple):
    """One trie, in two flat arrays.

    `nodes`, int32: for each node the place of its letter's first power in the table of powers, the number of its
    children that are leaves, and of those of height 1.

    `program`, int64: the eight sizes in the order of `Trie` in `_cpu/coefficients_trie.pxd`; for each letter its
    channel, the place of its first power, and the number of its powers; then the steps of the forward pass and those of
    the backward pass. A step is (kind, node, from, to). The kind is the height of a subtree, or minus it to leave its
    top node; 0 is a run of leaves, with their number as `to`. Partial results come from and go to rows in the forward
    pass, places on a stack in the backward pass. Then of each node its parent, -1 for the root, and the number of its
    letter. Last come the chains below the root, if all that is there are chains:
    how many, and for each its length and the number of each letter; otherwise 0. Then the ways from the root to leaves
    in order, if there are words too long to be cut: their number, that of vectors of 8 letters in all of them, and for
    each its length, how many of its nodes belong to a way before, its nodes, and the numbers of its letters; or 0, 0.
    """

    nodes: np.ndarray
    program: np.ndarray


class Tables(NamedTuple):
    """What every call needs for its words."""

    n_channels: int  # one more than the greatest letter
    columns: np.ndarray  # (m,), int32: the node of each entry of the result, -1 for the empty word
    prefix_columns: np.ndarray  # (m',), int32: the same for `prefixes=True`
    trie: Trie  # the prefixes


class Pieces(NamedTuple):
    """What calls need besides that are cut in time."""

    trie: Trie  # all sub-words
    joins: np.ndarray  # int64, for each prefix: see `_joins`


def encode(words: Iterable[Word]) -> str:
    """The words as text: "0,1;2;" are the words (0, 1), (2,) and ()."""
    return ";".join([",".join(map(str, word)) for word in words])


def decode(text: str) -> list[Word]:
    return [tuple(map(int, word.split(","))) if word else () for word in text.split(";")]


@TABLES.keep
def tables(text: str) -> Tables:
    """The tables of encoded words."""
    words = decode(text)
    growing = Growing()
    found = [growing.insert(word) for word in words]
    trie, number = growing.trie()
    return Tables(
        1 + max((letter for word in words for letter in word), default=-1),
        np.array([number[nodes[-1]] if nodes else -1 for nodes in found], np.int32),
        np.array([number[node] for nodes in found for node in nodes or [0]], np.int32),
        trie,
    )


@TABLES.keep
def powers(text: str, letter: int, prefixes: bool) -> tuple[tuple[int, int], ...]:
    """The entries of a result whose words are one letter again and again: (place, length of the word)."""
    words = decode(text)
    if prefixes:
        words = [word[:n] for word in words for n in range(1, len(word) + 1) or [0]]
    return tuple((place, len(word)) for place, word in enumerate(words) if {*word} == {letter})


@TABLES.keep
def pieces(text: str) -> Pieces:
    """The pieces of encoded words; `NO_PIECES` if words are too long to be cut."""
    words = decode(text)
    if max(map(len, words)) > _MAX_CUT_LENGTH:
        return NO_PIECES
    growing, growing_pieces = Growing(), Growing()
    found = [growing.insert(word) for word in words]
    # Of a single chain all pieces are chains, if they share nothing: more of them, but faster ones.
    apart = len(growing.children) - 1 == max(map(len, words)) <= _MAX_CHAIN
    found_pieces = [[growing_pieces.insert(word[i:], i * apart) for i in range(len(word))] for word in words]
    trie, piece_number = growing_pieces.trie()
    return Pieces(trie, np.array(_joins(found, growing.trie()[1], found_pieces, piece_number), np.int64))


def _joins(
    found: list[list[int]], number: list[int], found_pieces: list[list[list[int]]], piece_number: list[int]
) -> list[int]:
    """For each prefix w, shortest first: its node, its length n, its node among the pieces, and for j = 1..n - 1 the
    node of its first j letters, and the node among the pieces of the rest.
    """
    by_node: dict[int, list[int]] = {}
    for nodes, rests in zip(found, found_pieces, strict=True):
        for n, node in enumerate(nodes, 1):
            if node not in by_node:
                row = [number[node], n, piece_number[rests[0][n - 1]]]
                for j in range(1, n):
                    row += [number[nodes[j - 1]], piece_number[rests[j][n - j - 1]]]
                by_node[node] = row
    return [entry for row in sorted(by_node.values(), key=lambda row: row[1]) for entry in row]


class Growing:
    """A trie while words are put into it. Node 0 is the empty word; a node comes after its parent."""

    def __init__(self) -> None:
        self.children: list[dict[tuple[int, int], int]] = [{}]  # for each node, by `part` and letter

    def insert(self, word: Word, part: int = 0) -> list[int]:
        """The nodes of the word's prefixes, which it shares with words of the same part."""
        node, nodes = 0, []
        for letter in word:
            following = self.children[node].get((part, letter))
            if following is None:
                following = self.children[node][part, letter] = len(self.children)
                self.children.append({})
            node = following
            nodes.append(node)
        return nodes

    def chains(self, heights: list[int], letter_number: dict[int, int]) -> list[int]:
        """The last part of a program: see `Trie`."""
        if any(len(siblings) > 1 for siblings in self.children[1:]) or heights[0] > _MAX_CHAIN:
            return [0]
        found = [len(self.children[0])]
        for height, letter, node in sorted((heights[child], key[1], child) for key, child in self.children[0].items()):
            found += [height + 1, letter_number[letter]]
            for _ in range(height):
                (((_, letter), node),) = self.children[node].items()
                found.append(letter_number[letter])
        return found

    def ways(self, number: list[int], letter_number: dict[int, int]) -> list[int]:
        """The ways from the root to all leaves, as at the end of a program: see `Trie`."""
        above = {child: (node, key[1]) for node, below in enumerate(self.children) for key, child in below.items()}
        n_ways, n_vectors, found = 0, 0, []
        taken: set[int] = set()
        for leaf in above:
            if self.children[leaf]:
                continue
            nodes, letters, node = [], [], leaf
            while node:
                nodes.append(node)
                node, letter = above[node]
                letters.append(letter_number[letter])
            n_taken = sum(node in taken for node in nodes)
            taken.update(nodes)
            found += [len(nodes), n_taken, *(number[node] for node in reversed(nodes)), *reversed(letters)]
            n_ways, n_vectors = n_ways + 1, n_vectors + (len(nodes) + 7) // 8
        return [n_ways, n_vectors, *found]

    def trie(self) -> tuple[Trie, list[int]]:
        """The tables, and the number that each node has in them: -1 for the empty word."""
        children, n_nodes = self.children, len(self.children)
        heights = [0] * n_nodes
        for node in range(n_nodes - 1, -1, -1):
            heights[node] = max((heights[child] + 1 for child in children[node].values()), default=0)
        powers: dict[int, int] = {}
        for siblings in children:
            for (_, letter), node in siblings.items():
                powers[letter] = max(powers.get(letter, 0), heights[node] + 1)
        place, letters = 0, []
        for letter in sorted(powers):
            letters.append((letter, place, powers[letter]))
            place += powers[letter]
        first_power = {letter: start for letter, start, _ in letters}

        number = [-1] * n_nodes
        nodes: list[tuple[int, int, int]] = []
        forward: list[tuple[int, int, int, int]] = []
        backward: list[tuple[int, int, int, int]] = []
        highest = heights[0] - 1 if n_nodes > 1 else 0
        n_rows, n_places = 1, highest + 1
        # What is still to do, last first: (node, letter, its row or that of its parent's, first free row, place of its
        # parent's partial results, first free place), or a step of the backward program.
        to_do: list[tuple[int, ...]] = []

        def push_children(node: int, row: int, free_row: int, at: int, free_place: int, fused: bool) -> None:
            ordered = sorted((heights[child], letter, child) for (_, letter), child in children[node].items())
            for i, (_, letter, child) in reversed(list(enumerate(ordered))):
                last = i == len(ordered) - 1 and node != 0
                to_do.append((child, letter, row, free_row, at, free_place, fused, last))

        push_children(0, 0, 1, 0, n_places, False)
        while to_do:
            item = to_do.pop()
            if len(item) == 4:
                backward.append(item)
                continue
            node, letter, row, free_row, at, free_place, fused, last = item
            height, index = heights[node], len(nodes)
            number[node] = index
            below = [heights[child] for child in children[node].values()]
            nodes.append((first_power[letter], below.count(0), below.count(1)))
            if fused:
                push_children(node, 0, 0, 0, 0, True)
            elif height == 0:
                previous = forward[-1] if forward else (1, 0, 0, 0)
                if previous[0] == 0 and previous[2] == row and previous[1] + previous[3] == index:
                    forward.pop(), backward.pop()
                    index, count = previous[1], previous[3] + 1
                else:
                    count = 1
                forward.append((0, index, row, count))
                backward.append((0, index, at, count))
            elif height <= _MAX_FUSED:
                forward.append((height, index, row, 0))
                backward.append((height, index, at, 0))
                push_children(node, 0, 0, 0, 0, True)
            else:
                # The last child takes its parent's row over: nobody needs it any more.
                own, next_free = (row, free_row) if last else (free_row, free_row + 1)
                forward.append((height, index, row, own))
                backward.append((height, index, at, free_place))
                to_do.append((-height, index, at, free_place))
                n_rows, n_places = max(n_rows, next_free), max(n_places, free_place + height)
                push_children(node, own, next_free, free_place, free_place + height, False)
        n_operations = sum(heights[node] + 1 for node in range(1, n_nodes))
        sizes = (place, n_rows, n_places, highest, n_operations, len(letters), len(forward), len(backward))
        letter_number = {letter: i for i, (letter, _, _) in enumerate(letters)}
        chains = self.chains(heights, letter_number)
        ways = self.ways(number, letter_number) if heights[0] > _MAX_CUT_LENGTH else [0, 0]
        above = {child: node for node, siblings in enumerate(children) for child in siblings.values()}
        links = sorted(
            (number[child], number[above[child]], letter_number[letter])
            for siblings in children
            for (_, letter), child in siblings.items()
        )
        parents = [(parent, letter) for _, parent, letter in links]
        program = [*sizes, *itertools.chain(*letters, *forward, *backward, *parents), *chains, *ways]
        return Trie(np.array(nodes, np.int32).reshape(-1), np.array(program, np.int64)), number


NO_PIECES = Pieces(Growing().trie()[0], np.zeros(0, np.int64))
