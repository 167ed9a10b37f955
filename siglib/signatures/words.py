"""Words: which coefficient of a signature or log-signature stands where.

Letters are the channels 0, ..., d - 1 of a path. A signature lists its coefficients by length of their words, then
lexicographically; a log-signature in Lyndon coordinates lists Lyndon words in the same order.
"""

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from .._call.options import as_bool, as_int
from .._tables.lyndon import letters_of, lyndon_codes

Word = tuple[int, ...]

# A list of words larger than this (in units of 8 bytes: 8 GiB) is taken for a mistake.
_MAX_LIST_SIZE = 2**30


def _as_word(word: Iterable[Any]) -> Word:
    """`word` as a tuple of Python ints."""
    refusal = f"word must be a sequence of letters (integers), got {type(word).__name__}"
    if isinstance(word, (str, bytes, Set, Mapping)):
        raise TypeError(refusal)
    try:
        letters = tuple(word)
    except TypeError:
        raise TypeError(refusal) from None
    try:
        # Old versions of NumPy take its booleans for indices, with a warning; new ones refuse.
        if any(isinstance(letter, np.bool_) for letter in letters):
            raise TypeError
        return tuple(int.__index__(operator.index(letter)) for letter in letters)
    except TypeError:
        raise TypeError(f"the letters of a word must be integers, got {letters!r}") from None


def _check_size(alphabet_size: int, max_length: int) -> None:
    """ValueError if the words of this length would not fit into memory."""
    huge = max_length > 64 and alphabet_size > 1
    if huge or alphabet_size**max_length * (max_length + 8) > _MAX_LIST_SIZE:
        raise ValueError(f"there are too many words of length {max_length} over {alphabet_size} letters for a list")


def words_of_length(alphabet_size: int, length: int) -> list[Word]:
    """All words of one length in lexicographic order.

    Parameters
    ----------
    alphabet_size : int
        Number of letters, at least 0; the letters are 0, ..., alphabet_size - 1.
    length : int
        Number of letters of each word, at least 0.

    Returns
    -------
    list of tuple of int
        The ``alphabet_size ** length`` words. Length 0 gives the empty word only.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If an argument is negative, or the list would not fit into memory.

    Examples
    --------
    >>> import siglib
    >>> siglib.words_of_length(2, 2)
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    alphabet_size = as_int("alphabet_size", alphabet_size, 0)
    length = as_int("length", length, 0)
    if alphabet_size == 0:
        return [] if length else [()]
    _check_size(alphabet_size, length)
    if alphabet_size == 1:
        return [(0,) * length]
    return list(itertools.product(range(alphabet_size), repeat=length))


def words(alphabet_size: int, max_length: int) -> list[Word]:
    """All words of length 0 to `max_length`, by length, then lexicographic: the order of a signature with scalar term.

    Parameters
    ----------
    alphabet_size : int
        Number of letters, at least 0.
    max_length : int
        Length of the longest words, at least 0; the degree of a signature.

    Returns
    -------
    list of tuple of int
        The empty word, then the ``alphabet_size + ... + alphabet_size ** max_length`` others. Leave out the first for a
        signature without scalar term.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If an argument is negative, or the list would not fit into memory.

    See Also
    --------
    word_to_idx : the position of one word in this list.

    Examples
    --------
    >>> import siglib
    >>> siglib.words(2, 2)
    [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1)]
    """
    alphabet_size = as_int("alphabet_size", alphabet_size, 0)
    max_length = as_int("max_length", max_length, 0)
    if alphabet_size == 0:
        return [()]
    _check_size(alphabet_size, max_length)
    if alphabet_size == 1 and max_length * max_length > _MAX_LIST_SIZE:
        raise ValueError(f"there are too many letters in the words of length up to {max_length} for a list")
    letters = range(alphabet_size)
    return [word for length in range(max_length + 1) for word in itertools.product(letters, repeat=length)]


def _lyndon_words(alphabet_size: int, max_length: int) -> list[list[Word]]:
    """Lyndon words of each length 1, ..., max_length in lexicographic order."""
    if alphabet_size == 0 or max_length == 0:
        return []
    if alphabet_size == 1:
        return [[(0,)]]
    _check_size(alphabet_size, max_length)
    levels = enumerate(lyndon_codes(alphabet_size, max_length), 1)
    return [list(map(tuple, letters_of(codes, alphabet_size, length).tolist())) for length, codes in levels]


def lyndon_words_of_length(alphabet_size: int, length: int) -> list[Word]:
    """All Lyndon words of one length in lexicographic order.

    Parameters
    ----------
    alphabet_size : int
        Number of letters, at least 0.
    length : int
        Number of letters of each word, at least 0.

    Returns
    -------
    list of tuple of int
        Witt's formula counts them: ``sum(mobius(length / e) * alphabet_size ** e for e dividing length) / length``.
        None for length 0.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If an argument is negative, or the list would not fit into memory.

    Examples
    --------
    >>> import siglib
    >>> siglib.lyndon_words_of_length(2, 4)
    [(0, 0, 0, 1), (0, 0, 1, 1), (0, 1, 1, 1)]
    """
    alphabet_size = as_int("alphabet_size", alphabet_size, 0)
    length = as_int("length", length, 0)
    levels = _lyndon_words(alphabet_size, length)
    return levels[-1] if levels and length == len(levels) else []


def lyndon_words(alphabet_size: int, max_length: int) -> list[Word]:
    """All Lyndon words of length 1 to `max_length`, by length, then lexicographic: the order of a log-signature.

    A word is Lyndon if it is strictly smaller than each of its proper suffixes. The Lyndon words of length up to the
    degree index the coefficients of log-signatures of methods 1 and 2.

    Parameters
    ----------
    alphabet_size : int
        Number of letters, at least 0.
    max_length : int
        Length of the longest words, at least 0; the degree of a log-signature.

    Returns
    -------
    list of tuple of int
        The words; `siglib.log_sig_length` of them.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If an argument is negative, or the list would not fit into memory.

    Examples
    --------
    >>> import siglib
    >>> siglib.lyndon_words(2, 3)
    [(0,), (1,), (0, 1), (0, 0, 1), (0, 1, 1)]
    """
    alphabet_size = as_int("alphabet_size", alphabet_size, 0)
    max_length = as_int("max_length", max_length, 0)
    return [word for level in _lyndon_words(alphabet_size, max_length) for word in level]


def is_lyndon(word: Sequence[int]) -> bool:
    """Whether a word is strictly smaller than each of its proper suffixes.

    Parameters
    ----------
    word : sequence of int
        Letters, each at least 0.

    Returns
    -------
    bool
        False for the empty word, True for single letters.

    Raises
    ------
    TypeError
        If `word` is not a sequence of integers.
    ValueError
        If a letter is negative.

    Examples
    --------
    >>> import siglib
    >>> siglib.is_lyndon((0, 1, 1)), siglib.is_lyndon((0, 1, 0))
    (True, False)
    """
    letters = _as_word(word)
    if not letters:
        return False
    if min(letters) < 0:
        raise ValueError(f"the letters of a word must be at least 0, got {letters}")
    # Duval's test in one pass: `period` is the length of the longest Lyndon prefix that the letters so far repeat.
    period = 1
    for i in range(1, len(letters)):
        if letters[i] < letters[i - period]:
            return False
        if letters[i] > letters[i - period]:
            period = i + 1
    return period == len(letters)


def word_to_idx(word: Sequence[int], alphabet_size: int, *, scalar_term: bool = False) -> int:
    """The position of a word's coefficient in a signature.

    Parameters
    ----------
    word : sequence of int
        Letters, each in 0, ..., alphabet_size - 1.
    alphabet_size : int
        Number of letters, at least 0: the dimension of the (augmented) path.
    scalar_term : bool, default False
        Whether the signature stores the coefficient 1 of the empty word in front.

    Returns
    -------
    int
        Index into the last axis of the signature.

    Raises
    ------
    TypeError
        If `word` is not a sequence of integers, or another argument has the wrong type.
    ValueError
        If a letter is outside the alphabet, or `word` is empty and `scalar_term` is False.

    See Also
    --------
    idx_to_word : the inverse.

    Examples
    --------
    >>> import siglib
    >>> siglib.word_to_idx((1, 0), 2)
    4
    >>> siglib.word_to_idx((1, 0), 2, scalar_term=True)
    5
    """
    letters = _as_word(word)
    alphabet_size = as_int("alphabet_size", alphabet_size, 0)
    scalar_term = as_bool("scalar_term", scalar_term)
    if not letters and not scalar_term:
        raise ValueError("the empty word has an index only with scalar_term=True")
    idx = 0
    for letter in letters:
        if not 0 <= letter < alphabet_size:
            raise ValueError(f"the letters of a word must be in [0, {alphabet_size}), got {letters}")
        idx = idx * alphabet_size + letter + 1
    return idx if scalar_term else idx - 1


def idx_to_word(idx: int, alphabet_size: int, *, scalar_term: bool = False) -> Word:
    """The word whose coefficient stands at a position of a signature.

    Parameters
    ----------
    idx : int
        Index into the last axis of a signature, at least 0.
    alphabet_size : int
        Number of letters, at least 1: the dimension of the (augmented) path.
    scalar_term : bool, default False
        Whether the signature stores the coefficient 1 of the empty word in front.

    Returns
    -------
    tuple of int
        The word.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `idx` is negative, or `alphabet_size` less than 1.

    See Also
    --------
    word_to_idx : the inverse.

    Examples
    --------
    >>> import siglib
    >>> [siglib.idx_to_word(idx, 2) for idx in range(5)]
    [(0,), (1,), (0, 0), (0, 1), (1, 0)]
    """
    idx = as_int("idx", idx, 0)
    alphabet_size = as_int("alphabet_size", alphabet_size, 1)
    if not as_bool("scalar_term", scalar_term):
        idx += 1
    if alphabet_size == 1:
        _check_size(1, idx)
        return (0,) * idx
    # Digits 1, ..., alphabet_size (there is no zero), last letter first.
    letters = []
    while idx:
        idx, letter = divmod(idx - 1, alphabet_size)
        letters.append(letter)
    return tuple(reversed(letters))
