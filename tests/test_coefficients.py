"""Single coefficients: golden files, definitions, identities, gradients, threads, edges, refusals."""

import itertools
from typing import Any

import numpy as np
import pytest
import reference
from cases import random_paths, transforms
from checking import assert_close, assert_same_bits, layouts, optional
from golden import Case, cases
from reference_coefficients import coefficients, coefficients_gradient, prefixes

import siglib

GRADIENT_TOLERANCE = {"float64": 1e-11, "float32": 1e-3}

# One word, many, deep and shallow ones, repeated ones, ones that begin alike, and none that have a letter.
WORDS = [
    [(0,)],
    [()],
    [(1, 0)],
    [(0, 1, 1, 0, 1, 0, 0)],
    [(1,), (), (0, 1), (1, 1, 0), (0, 1), (1,), (), (0, 0, 0, 0)],
    [(0, 1, 0, 1, 0), (0, 1, 0, 1), (0, 1, 0, 1, 1), (0, 1, 0), (1, 1, 0, 1), (1,)],
    list(itertools.product((0, 1), repeat=4)),
]
sets_of_words = pytest.mark.parametrize("words", WORDS, ids=lambda words: f"{len(words)} of {len(words[-1])}")


def random_words(rng: np.random.Generator, letters: int, n: int, longest: int) -> list[tuple[int, ...]]:
    return [tuple(rng.integers(0, letters, rng.integers(0, longest + 1)).tolist()) for _ in range(n)]


def gradient_of(paths: np.ndarray, words: list, derivs: np.ndarray, **options: Any) -> np.ndarray:
    coefs = siglib.sig_coef(paths, words, prefixes=True, **options)
    return siglib.sig_coef_backprop(paths, words, coefs, derivs, **options)


# Golden files


@pytest.mark.parametrize("case", cases("03_coef", "sig_coef", "sig_coef_backprop", "extract_sig_coef"))
def test_golden(case: Case) -> None:
    assert_close(getattr(siglib, case.function)(*case.args, **case.kwargs), case.outputs[0])


# Definitions


@sets_of_words
@transforms
@pytest.mark.parametrize(("batch", "length"), [(1, 2), (3, 7), (17, 70)])
def test_values_are_the_definition(
    dtype: np.dtype, rng: np.random.Generator, words: list, transform: dict, batch: int, length: int
) -> None:
    paths = random_paths(rng, batch, length, 2, dtype=dtype)
    expected = coefficients(paths, words, **transform)
    assert_close(siglib.sig_coef(paths, words, **transform), expected)
    expected = coefficients(paths, prefixes(words), **transform)
    assert_close(siglib.sig_coef(paths, words, prefixes=True, **transform), expected)


@sets_of_words
@transforms
@pytest.mark.parametrize(("batch", "length"), [(1, 2), (9, 7)])
def test_gradient_is_exact(
    dtype: np.dtype, rng: np.random.Generator, words: list, transform: dict, batch: int, length: int
) -> None:
    paths = random_paths(rng, batch, length, 2, dtype=dtype)
    derivs = rng.standard_normal((batch, len(prefixes(words)))).astype(dtype)
    expected = coefficients_gradient(paths, prefixes(words), derivs, **transform)
    assert_close(gradient_of(paths, words, derivs, **transform), expected, GRADIENT_TOLERANCE[dtype.name])


@pytest.mark.parametrize("letters", [1, 2, 5, 11])
@pytest.mark.parametrize("longest", [1, 3, 8])
def test_random_words(rng: np.random.Generator, instruction_set: str, letters: int, longest: int) -> None:
    """Every shape of trie, in every instruction set; channels that no word uses; both precisions."""
    for dtype, n in itertools.product((np.dtype(np.float64), np.dtype(np.float32)), (1, 4, 40)):
        words = random_words(rng, letters, n, longest)
        paths = random_paths(rng, 6, 30, letters + 2, dtype=dtype)
        assert_close(siglib.sig_coef(paths, words), coefficients(paths, words))
        derivs = rng.standard_normal((6, len(prefixes(words)))).astype(dtype)
        direction = random_paths(rng, *paths.shape)
        exact = paths.astype(np.float64)
        moved = reference.directional_derivative(lambda x, w=words: coefficients(x, prefixes(w)), exact, direction)
        gradient = gradient_of(paths, words, derivs)
        assert_close(
            np.sum(gradient * direction, axis=(1, 2)),
            np.sum(moved * derivs, axis=1),
            1e-8 if dtype == np.float64 else 1e-3,
        )


@pytest.mark.parametrize("length", [9, 20, 60])
def test_long_words(dtype: np.dtype, rng: np.random.Generator, length: int) -> None:
    paths = random_paths(rng, 3, 8, 2, dtype=dtype) * 3
    words = [tuple(rng.integers(0, 2, length).tolist()) for _ in range(2)]
    words.append((*words[0][: length // 2], 1, 1))
    expected = coefficients(paths, prefixes(words))
    assert_close(siglib.sig_coef(paths, words, prefixes=True), expected, 1e-11 if dtype == np.float64 else 1e-3)
    derivs = rng.standard_normal(expected.shape).astype(dtype)
    direction = random_paths(rng, *paths.shape)
    exact = paths.astype(np.float64)
    moved = reference.directional_derivative(lambda x: coefficients(x, prefixes(words)), exact, direction)
    gradient = gradient_of(paths, words, derivs)
    wanted = np.sum(moved * derivs, axis=1)
    assert_close(np.sum(gradient * direction, axis=(1, 2)), wanted, 1e-7 if dtype == np.float64 else 1e-2)


def test_a_word_of_four_hundred_letters(rng: np.random.Generator) -> None:
    """Of a straight line: x^n / n!."""
    path = np.array([[0.0, 0.0], [50.0, 60.0], [100.0, 120.0]])
    expected = np.exp(200 * np.log(100.0) + 200 * np.log(120.0) - np.sum(np.log(np.arange(1, 401))))
    value = siglib.sig_coef(path, (0, 1) * 200)
    assert_close(value / expected, np.ones(1), 1e-10)


@pytest.mark.parametrize(("n_letters", "n"), [(400, 400), (1500, 1500), (4000, 700)])
def test_very_long_words_of_one_letter(n_letters: int, n: int) -> None:
    """X^n / n! of the total increment X, whose derivative has opposite signs at both ends, and is 0 in between."""
    total = n * 0.38
    path = np.array([[0.0], [0.2], [0.5], [1.0]]) * total
    word = (0,) * n_letters
    expected = np.exp(n * np.log(total) - np.sum(np.log(np.arange(1, n + 1))))
    coefs = siglib.sig_coef(path, word, prefixes=True)
    assert_close(coefs[n - 1 : n] / expected, np.ones(1), 1e-10)
    derivs = np.zeros(n_letters)
    derivs[n - 1] = total / n / expected
    assert_close(siglib.sig_coef_backprop(path, word, coefs, derivs), np.array([[-1.0], [0.0], [0.0], [1.0]]), 1e-10)


def test_not_a_number_in_long_words(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 1, 6, 2)
    word = (0,) * 30 + (1,) + (0,) * 30
    paths[0, 5, 1] = np.nan
    coefs = siglib.sig_coef(paths, word, prefixes=True)
    assert np.isfinite(coefs[0, :30]).all()
    assert np.isnan(coefs[0, 30:]).all()


@transforms
@pytest.mark.parametrize("batch", [1, 3])
def test_long_paths(dtype: np.dtype, rng: np.random.Generator, batch: int, transform: dict) -> None:
    """Small batches of them are cut in time; words too long for that are not."""
    paths = random_paths(rng, batch, 1100, 3, dtype=dtype)
    words = [(0, 1, 2, 1), (2,), (0, 0), (), (0, 1, 2, 0, 1), (1, 1, 0)]
    tolerance = {"float64": 1e-11, "float32": 1e-3}[dtype.name]
    expected = coefficients(paths, prefixes(words), **transform)
    assert_close(siglib.sig_coef(paths, words, prefixes=True, **transform), expected, tolerance)
    derivs = rng.standard_normal(expected.shape).astype(dtype)
    whole = siglib.sig(paths.astype(np.float64), 5, scalar_term=True, **transform)
    places = [siglib.word_to_idx(w, 3 * (1 + ("lead_lag" in transform)) + ("time_aug" in transform), scalar_term=True)
              for w in prefixes(words)]  # fmt: skip
    whole_derivs = np.zeros_like(whole)
    for column, place in enumerate(places):
        whole_derivs[:, place] += derivs[:, column]
    wanted = siglib.sig_backprop(paths.astype(np.float64), whole, whole_derivs, 5, **transform)
    assert_close(gradient_of(paths, words, derivs, **transform), wanted, tolerance)
    paths = paths[:, :300]
    word = (0, 1, 2) * 6
    assert_close(siglib.sig_coef(paths, word, **transform), coefficients(paths, [word], **transform), tolerance)


# Identities


@transforms
def test_extracting_gives_the_same(dtype: np.dtype, rng: np.random.Generator, transform: dict) -> None:
    paths = random_paths(rng, 2, 3, 20, 2, dtype=dtype)
    words = [(0, 1), (1,), (), (1, 0, 0, 1), (1,)]
    flags = {name: value for name, value in transform.items() if name != "end_time"}
    whole = siglib.sig(paths, 4, scalar_term=True, **transform)
    extracted = siglib.extract_sig_coef(whole, words, 2, scalar_term=True, **flags)
    assert extracted.dtype == dtype
    assert extracted.flags.c_contiguous
    assert_close(siglib.sig_coef(paths, words, **transform), extracted)
    expected = coefficients(paths.reshape(6, 20, 2), words, **transform).reshape(2, 3, 5)
    assert_close(extracted, expected)


def test_shuffle_identity(rng: np.random.Generator) -> None:
    """S(u) S(v) is the sum of S over all interleavings of u and v."""
    paths = random_paths(rng, 4, 30, 3)
    u, v = (0, 2, 1), (1, 0)
    total = siglib.sig_coef(paths, reference.shuffles(u, v)).sum(axis=1)
    product = siglib.sig_coef(paths, [u, v])
    assert_close(product[:, 0] * product[:, 1], total, 1e-13)


def test_joined_paths(rng: np.random.Generator) -> None:
    """Chen: S(w) of one path after another is the sum over w = u v of S(u) S(v)."""
    x, y = random_paths(rng, 2, 40, 2)
    word = (0, 1, 1, 0, 1)
    before = siglib.sig_coef(x, [word[:n] for n in range(6)])
    after = siglib.sig_coef(y, [word[n:] for n in range(6)])
    whole = siglib.sig_coef(reference.concatenate([x, y]), word)
    assert_close(whole, np.array([before @ after]), 1e-13)


@pytest.mark.parametrize(
    ("words", "length", "options"),
    [
        ([(0, 1, 0, 1), (0, 0, 1), (1, 0, 1, 1)], 40_000, {}),
        ([(0, 1, 0)], 40_000, {}),
        ([(0, 1, 2), (2, 1), (1,)], 20_003, {"time_aug": True}),
        ([(0, 2, 4), (2, 1), (3, 3)], 20_001, {"time_aug": True, "lead_lag": True}),
    ],
)
def test_gradients_at_the_borders_of_chunks(instruction_set: str, words: list, length: int, options: dict) -> None:
    """They are as exact as elsewhere: small differences, for a smooth path, of what two chunks have computed."""
    times = np.linspace(0, 1, length)
    path = np.stack([np.sin(3 * times), np.sin(4 * times + 1)], axis=1)[None]
    derivs = np.random.default_rng(0).standard_normal((1, sum(map(len, words))))
    whole = np.repeat(path, 16, axis=0)  # is not cut
    difference = gradient_of(path, words, derivs, **options)[0]
    difference -= gradient_of(whole, words, np.repeat(derivs, 16, axis=0), **options)[0]
    errors = np.abs(difference).max(axis=1)[1:-1]
    assert errors.max() <= 5 * np.quantile(errors, 0.99)


def test_order_and_duplicates_are_kept(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 9, 20, 3)
    words = random_words(rng, 3, 30, 5)
    values = siglib.sig_coef(paths, words)
    order = rng.permutation(np.concatenate([np.arange(30), np.arange(10)]))
    assert_close(siglib.sig_coef(paths, [words[i] for i in order]), values[:, order], 1e-14)


# Threads, memory, repetition


@pytest.mark.usefixtures("eight_processors")
@pytest.mark.parametrize("shape", [(1, 3000, 2), (3, 700, 2), (40, 60, 2), (130, 10, 2)])
def test_bits_do_not_depend_on_threads(dtype: np.dtype, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    paths = random_paths(rng, *shape, dtype=dtype)
    words = random_words(rng, 2, 20, 6)
    coefs = siglib.sig_coef(paths, words, prefixes=True)
    derivs = rng.standard_normal(coefs.shape).astype(dtype)
    gradient = siglib.sig_coef_backprop(paths, words, coefs, derivs)
    for n_jobs in (2, 3, -1, 100):
        assert_same_bits(siglib.sig_coef(paths, words, prefixes=True, n_jobs=n_jobs), coefs)
        assert_same_bits(siglib.sig_coef_backprop(paths, words, coefs, derivs, n_jobs=n_jobs), gradient)


@pytest.mark.parametrize("layout", layouts(np.ones((1, 1))))
def test_gradient_of_any_layout_changes_no_argument(dtype: np.dtype, rng: np.random.Generator, layout: str) -> None:
    words = [(0, 1), (2, 0, 1), ()]
    paths = random_paths(rng, 10, 9, 3, dtype=dtype)
    coefs = siglib.sig_coef(paths, words, prefixes=True)
    arrays = paths, coefs, rng.standard_normal(coefs.shape).astype(dtype)
    given = [layouts(array)[layout] for array in arrays]
    expected = siglib.sig_coef_backprop(paths, words, *arrays[1:])
    for _ in range(2):
        assert_same_bits(siglib.sig_coef_backprop(given[0], words, *given[1:]), expected)
    for array, before in zip(given, arrays, strict=True):
        np.testing.assert_array_equal(array, before)


# Edges


@transforms
@pytest.mark.parametrize("length", [0, 1])
def test_paths_that_do_not_move(dtype: np.dtype, length: int, transform: dict) -> None:
    words = [(0,), (), (1, 0)]
    paths = np.ones((4, length, 2), dtype)
    assert_close(siglib.sig_coef(paths, words, **transform), np.tile([0.0, 1.0, 0.0], (4, 1)), 0.0)
    coefs = siglib.sig_coef(paths, words, prefixes=True, **transform)
    assert coefs.shape == (4, 4)
    gradient = siglib.sig_coef_backprop(paths, words, coefs, coefs, **transform)
    assert_close(gradient, np.zeros((4, length, 2)), 0.0)


@pytest.mark.parametrize("batch", [(), (0,), (2, 0, 3), (1,), (2, 3)], ids=str)
def test_batch_axes(dtype: np.dtype, rng: np.random.Generator, batch: tuple[int, ...]) -> None:
    paths = random_paths(rng, *batch, 6, 2, dtype=dtype)
    coefs = siglib.sig_coef(paths, (0, 1, 1), prefixes=True)
    assert coefs.shape == (*batch, 3)
    assert siglib.sig_coef(paths, (0, 1, 1)).shape == (*batch, 1)
    assert siglib.sig_coef_backprop(paths, (0, 1, 1), coefs, coefs).shape == paths.shape


def test_one_channel(rng: np.random.Generator) -> None:
    """Powers of the total increment."""
    paths = random_paths(rng, 3, 12, 1)
    total = paths[:, -1] - paths[:, 0]
    assert_close(siglib.sig_coef(paths, [(0,), (0, 0), (0, 0, 0)]), total ** [1, 2, 3] / [1, 2, 6], 1e-13)


def test_only_empty_words() -> None:
    paths = np.arange(12.0).reshape(2, 3, 2)
    assert siglib.sig_coef(paths, [(), ()]).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert siglib.sig_coef(paths, (), prefixes=True).tolist() == [[1.0], [1.0]]
    assert_close(siglib.sig_coef_backprop(paths, (), np.ones((2, 1)), np.ones((2, 1))), np.zeros((2, 3, 2)), 0.0)


def test_not_a_number_stays_in_its_channel_and_path(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 20, 30, 3)
    expected = siglib.sig_coef(paths, [(0, 1), (2, 0)])
    paths[4, 7, 1] = np.nan
    expected[4, 0] = np.nan
    assert_close(siglib.sig_coef(paths, [(0, 1), (2, 0)]), expected, 1e-14)


def test_letters_of_numpy_and_other_sequences(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 2, 5, 2)
    expected = siglib.sig_coef(paths, [(0, 1)])
    for words in ([[0, 1]], [np.array([0, 1])], (np.int64(0), np.int8(1)), [(np.int64(0), 1)]):
        assert_same_bits(siglib.sig_coef(paths, words), expected)


def test_no_words_to_extract() -> None:
    assert siglib.extract_sig_coef(np.ones((2, 6)), [], 2).shape == (2, 0)


def test_extracting_without_levels() -> None:
    assert siglib.extract_sig_coef(np.ones((2, 1)), (), 2, scalar_term=True).tolist() == [[1.0], [1.0]]
    assert siglib.extract_sig_coef(np.ones((2, 0)), [], 1).shape == (2, 0)


# Refusals


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ([], ValueError, "words must not be empty"),
        (((0,), (1,)), TypeError, "the letters of a word must be integers"),
        ([0, 1], TypeError, "word must be a sequence of letters .* got int"),
        ("01", TypeError, "words must be a tuple of letters or a list of such words, got str"),
        (["01"], TypeError, "word must be a sequence of letters .* got str"),
        (None, TypeError, "words must be a tuple of letters or a list of such words, got NoneType"),
        ([(0.0,)], TypeError, "the letters of a word must be integers"),
        ([(True,)], None, ""),
        ([(np.True_,)], TypeError, "the letters of a word must be integers"),
        ([(0, -1)], ValueError, r"at least 0, .* got \(0, -1\)"),
        ([(0, 2)], ValueError, r"the letters of words must be in \[0, 2\), got 2"),
        ([(0, 10**30)], ValueError, r"below 2\*\*31, got \(0, 10+\)"),
    ],
)
def test_refused_words(words: Any, error: Any, message: str) -> None:
    path = np.zeros((3, 2))
    siglib.sig_coef(path, [(0,), (1,)])  # what is known already must not hide wrong types
    if error is None:
        assert siglib.sig_coef(path, words).shape == (1,)
        return
    with pytest.raises(error, match=message):
        siglib.sig_coef(path, words)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prefixes": 1}, TypeError, "prefixes must be True or False, got 1"),
        ({"time_aug": "no"}, TypeError, "time_aug must be True or False, got 'no'"),
        ({"lead_lag": None}, TypeError, "lead_lag must be True or False"),
        ({"end_time": "1"}, TypeError, "end_time must be a real number, got '1'"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
    ],
)
def test_refused_options(options: dict, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.sig_coef(np.zeros((3, 2)), (0,), **options)
    if "prefixes" not in options:
        with pytest.raises(error, match=message):
            siglib.sig_coef_backprop(np.zeros((3, 2)), (0,), np.zeros(1), np.zeros(1), **options)


@pytest.mark.parametrize(
    ("coefs", "derivs", "error", "message"),
    [
        (np.zeros((4, 2)), np.zeros((4, 2)), ValueError, r"coefs must have length 3 .* \(prefixes=True\), got 2"),
        (np.zeros((4, 3)), np.zeros((4, 2)), ValueError, r"derivs must have length 3 .* got 2"),
        (np.zeros(3), np.zeros(3), ValueError, r"path and coefs must have the same batch shape, got \(4,\) and \(\)"),
        (np.zeros((4, 3)), np.zeros((5, 3)), ValueError, r"path and derivs must have .* got \(4,\) and \(5,\)"),
        (np.zeros((4, 3), np.float32), np.zeros((4, 3)), TypeError, "share a dtype"),
        (np.float64(1), np.zeros((4, 3)), ValueError, "coefs must have shape"),
    ],
)
def test_refused_gradients(coefs: Any, derivs: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.sig_coef_backprop(np.zeros((4, 5, 2)), [(0, 1), (1,)], coefs, derivs)


@pytest.mark.parametrize(
    ("sig", "words", "options", "error", "message"),
    [
        (np.ones(6), [(0, 1, 1)], {}, IndexError, "degree 2, which is less than 3, the length of the longest word"),
        (np.ones(6), [()], {}, ValueError, "the empty word has an index only with scalar_term=True"),
        (np.ones(6), [(2,)], {}, ValueError, r"must be in \[0, 2\), got \(2,\)"),
        (np.ones(7), [(0,)], {}, ValueError, "length of a signature .* got 7 .*pass scalar_term=True"),
        (np.ones(6), [(0,)], {"scalar_term": True}, ValueError, "got 6 .*pass scalar_term=False"),
        (np.ones(0), [], {"scalar_term": True}, ValueError, "length of a signature .* got 0"),
        (np.ones(6), [(0,)], {"time_aug": True}, ValueError, "signature of dimension 3 .* got 6"),
        (np.ones(6), [(0,)], {"time_aug": 1}, TypeError, "time_aug must be True or False"),
        (np.float64(1), [(0,)], {}, ValueError, r"sig must have shape \(\.\.\., length\)"),
        (np.ones(6), "0", {}, TypeError, "words must be a tuple"),
    ],
)
def test_refused_extractions(sig: Any, words: Any, options: dict, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.extract_sig_coef(sig, words, 2, **options)


def test_extracting_on_a_gpu(emulated: Any, rng: np.random.Generator) -> None:
    sig = rng.standard_normal((3, 6))
    found = siglib.extract_sig_coef(emulated.array(sig), [(1, 0), (1,)], 2)
    assert_same_bits(emulated.numpy(found), sig[:, [4, 1]])


# PyTorch: what is particular to these operations; the rest is in test_torch.py


def test_gradients_of_tensors() -> None:
    torch = optional("torch")
    path = torch.rand(3, 5, 2, dtype=torch.float64, requires_grad=True)
    words = [(0, 1, 1), (), (1,), (0, 1), (0, 1, 1)]
    for prefixes_too in (False, True):
        for options in ({}, {"time_aug": True, "lead_lag": True, "end_time": 0.5}):
            assert torch.autograd.gradcheck(
                lambda x, p=prefixes_too, o=options: siglib.sig_coef(x, words, prefixes=p, **o), path
            )
    cotangent = torch.rand(3, 10, dtype=torch.float64)
    before = cotangent.clone()
    out = siglib.sig_coef(path, words, prefixes=True)
    first, second = (torch.autograd.grad(out, path, cotangent, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(cotangent, before)


def test_gradients_of_long_tensors() -> None:
    """Cut in time."""
    torch = optional("torch")
    path = torch.rand(1, 700, 2, dtype=torch.float64).requires_grad_()
    words = [(0, 1, 1), (), (1, 0)]
    (found,) = torch.autograd.grad(siglib.sig_coef(path, words).sum(), path)
    whole = siglib.sig(path, 3, scalar_term=True)
    (expected,) = torch.autograd.grad(siglib.extract_sig_coef(whole, words, 2, scalar_term=True).sum(), path)
    assert_close(found, expected.numpy(), 1e-11)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_extracting_from_tensors() -> None:
    torch = optional("torch")
    sig = torch.rand(2, 6, dtype=torch.float64, requires_grad=True)
    words = [(0, 1), (1,), (0, 1)]
    out = siglib.extract_sig_coef(sig, words, 2)
    assert torch.equal(out, sig[:, [3, 1, 3]])
    assert out.is_contiguous()
    assert torch.autograd.gradgradcheck(lambda s: siglib.extract_sig_coef(s, words, 2) ** 2, sig)
    half = sig.detach().to(torch.float16)
    assert torch.equal(siglib.extract_sig_coef(half, words, 2), half[:, [3, 1, 3]])
    for dynamic in (False, True):
        torch._dynamo.reset()
        compiled = torch.compile(
            lambda s: siglib.extract_sig_coef(s, words, 2) * 2, fullgraph=True, dynamic=dynamic, backend="aot_eager"
        )
        assert torch.equal(compiled(sig), 2 * out)
