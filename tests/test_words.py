"""Words: order, Lyndon words by their definition, indices, and refusals."""

import itertools

import numpy as np
import pytest
import reference
from golden import Case, cases

import siglib

SMALL = [(0, 3), (1, 0), (1, 5), (2, 0), (2, 1), (2, 7), (3, 5), (5, 3), (10, 2)]


@pytest.mark.parametrize(
    "case",
    cases("02_words", "words", "words_of_length", "lyndon_words", "lyndon_words_of_length", "is_lyndon", "word_to_idx"),
)
def test_golden(case: Case) -> None:
    result = getattr(siglib, case.function)(*case.args, **case.kwargs)
    assert type(result) is type(case.outputs[0])
    assert result == case.outputs[0]


@pytest.mark.parametrize("case", cases("02_words", "idx_to_word"))
def test_golden_idx_to_word(case: Case) -> None:
    assert siglib.idx_to_word(*case.args, **case.kwargs) == tuple(case.outputs)


@pytest.mark.parametrize(("d", "n"), SMALL)
def test_words_are_all_tuples_in_order(d: int, n: int) -> None:
    assert siglib.words(d, n) == reference.words(d, n)
    assert siglib.words_of_length(d, n) == reference.words_of_length(d, n)


@pytest.mark.parametrize(("d", "n"), SMALL)
def test_lyndon_words_are_the_words_smaller_than_their_rotations(d: int, n: int) -> None:
    expected = reference.lyndon_words(d, n)
    assert siglib.lyndon_words(d, n) == expected
    assert siglib.lyndon_words_of_length(d, n) == [word for word in expected if len(word) == n]


@pytest.mark.parametrize("word", reference.words(3, 6))
def test_is_lyndon_is_the_definition(word: tuple[int, ...]) -> None:
    assert siglib.is_lyndon(word) is reference.is_lyndon(word)


@pytest.mark.parametrize(("d", "n"), [(2, 20), (7, 5), (30, 3)])
def test_number_of_lyndon_words_solves_witts_equation(d: int, n: int) -> None:
    """Every word is a power of a rotation of one Lyndon word: sum over e | n of e * count(e) = d ** n."""
    assert sum(e * len(siglib.lyndon_words_of_length(d, e)) for e in range(1, n + 1) if n % e == 0) == d**n


@pytest.mark.parametrize("scalar_term", [False, True])
@pytest.mark.parametrize(("d", "n"), [(1, 6), (2, 6), (3, 4), (10, 3)])
def test_index_is_the_position_in_words(d: int, n: int, scalar_term: bool) -> None:
    listed = reference.words(d, n)[0 if scalar_term else 1 :]
    assert [siglib.word_to_idx(word, d, scalar_term=scalar_term) for word in listed] == list(range(len(listed)))
    assert [siglib.idx_to_word(idx, d, scalar_term=scalar_term) for idx in range(len(listed))] == listed


def test_indices_beyond_64_bits_are_exact() -> None:
    word = tuple(itertools.islice(itertools.cycle((1, 0, 2)), 100))
    idx = siglib.word_to_idx(word, 3)
    assert idx > 2**64
    assert siglib.idx_to_word(idx, 3) == word


@pytest.mark.parametrize(
    "word", [[0, 1, 1], (np.int64(0), np.uint8(1), True), np.array([0, 1, 1]), range(0), iter((0, 1, 1))]
)
def test_any_sequence_of_integers_is_a_word(word: object) -> None:
    expected = () if isinstance(word, range) else (0, 1, 1)
    assert siglib.word_to_idx(word, 2, scalar_term=True) == reference.words(2, 3).index(expected)


def test_results_are_python_integers() -> None:
    word = siglib.idx_to_word(np.int64(100), np.int32(3))
    assert [type(letter) for letter in word] == [int] * len(word)
    assert type(siglib.word_to_idx(np.array([0, 1], np.uint8), np.int64(200))) is int
    assert siglib.word_to_idx(np.array([199, 199], np.uint8), np.uint8(200)) == 200 + 200 * 199 + 199
    assert siglib.is_lyndon(np.array([0, 1])) is True


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.words(-1, 2), ValueError, "alphabet_size must be at least 0, got -1"),
        (lambda: siglib.words(2, -1), ValueError, "max_length must be at least 0, got -1"),
        (lambda: siglib.words(2.0, 2), TypeError, "alphabet_size must be an integer, got 2.0"),
        (lambda: siglib.words(2, 100), ValueError, "too many words"),
        (lambda: siglib.words(1, 10**9), ValueError, "too many"),
        (lambda: siglib.words(10**40, 10**40), ValueError, "too many words"),
        (lambda: siglib.words_of_length(2, -1), ValueError, "length must be at least 0, got -1"),
        (lambda: siglib.words_of_length(2, "3"), TypeError, "length must be an integer"),
        (lambda: siglib.words_of_length(10, 12), ValueError, "too many words"),
        (lambda: siglib.words_of_length(1, 10**12), ValueError, "too many words"),
        (lambda: siglib.lyndon_words(2, 70), ValueError, "too many words"),
        (lambda: siglib.lyndon_words(2, None), TypeError, "max_length must be an integer"),
        (lambda: siglib.lyndon_words_of_length(-2, 3), ValueError, "alphabet_size must be at least 0, got -2"),
        (lambda: siglib.lyndon_words_of_length(2, -3), ValueError, "length must be at least 0, got -3"),
        (lambda: siglib.is_lyndon((0, -1)), ValueError, r"at least 0, got \(0, -1\)"),
        (lambda: siglib.is_lyndon(3), TypeError, "word must be a sequence of letters"),
        (lambda: siglib.is_lyndon("01"), TypeError, "word must be a sequence of letters"),
        (lambda: siglib.is_lyndon({0, 1}), TypeError, "word must be a sequence of letters"),
        (lambda: siglib.is_lyndon((0.0, 1.0)), TypeError, "letters of a word must be integers"),
        (lambda: siglib.is_lyndon((np.True_, 1)), TypeError, "letters of a word must be integers"),
        (lambda: siglib.word_to_idx((), 2), ValueError, "empty word"),
        (lambda: siglib.word_to_idx((0, 2), 2), ValueError, r"in \[0, 2\), got \(0, 2\)"),
        (lambda: siglib.word_to_idx((-1,), 2), ValueError, r"in \[0, 2\), got \(-1,\)"),
        (lambda: siglib.word_to_idx((0,), 0), ValueError, r"in \[0, 0\)"),
        (lambda: siglib.word_to_idx((0,), 2.0), TypeError, "alphabet_size must be an integer"),
        (lambda: siglib.word_to_idx((0,), 2, scalar_term=1), TypeError, "scalar_term must be True or False"),
        (lambda: siglib.idx_to_word(-2, 2), ValueError, "idx must be at least 0, got -2"),
        (lambda: siglib.idx_to_word(-1, 2, scalar_term=True), ValueError, "idx must be at least 0, got -1"),
        (lambda: siglib.idx_to_word(2.0, 2), TypeError, "idx must be an integer"),
        (lambda: siglib.idx_to_word(0, 0), ValueError, "alphabet_size must be at least 1, got 0"),
        (lambda: siglib.idx_to_word(10**40, 1), ValueError, "too many words"),
    ],
)
def test_refusals_name_the_argument(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
