"""Single coefficients on the GPU: definitions, time chunks, long words, edges; every kernel in the check build."""

import itertools
import math

import numpy as np
import pytest
from cases import TRANSFORMS, random_paths
from checking import assert_close, assert_same_bits
from gpu import Gpu
from reference_coefficients import coefficients, prefixes

import siglib
from siglib._gpu import coefficients_chains as launcher
from siglib._gpu import word_chains

TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
LONG = (0, 1, 1, 0) * 5
# One word, many, chains of several lengths, shared prefixes, repeated and empty words, more chains than threads, words
# of the most letters that registers hold and of more, alone and among others.
WORDS = {
    "one letter": [(0,)],
    "one word": [(0, 1, 1, 0, 1)],
    "shared": [(1,), (), (0, 1), (1, 1, 0), (0, 1), (1,), (), (0, 0, 0, 0)],
    "begin alike": [(0, 1, 0, 1, 0), (0, 1, 0, 1), (0, 1, 0, 1, 1), (0, 1, 0), (1, 1, 0, 1), (1,)],
    "many": [*itertools.product((0, 1), repeat=8)][:150],
    "longest": [(0, 1, 0) * 4, (1,)],
    "of several kernels": [(0, 1, 0) * 4, (1, 1, 0) * 3, (1, 0, 0, 1) * 2, (1, 0, 1), ()],
    "long": [LONG],
    "long and short": [(), LONG, (0, 1), LONG[:13], (*LONG[:15], 1, 1), ()],
}
sets_of_words = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
transforms = pytest.mark.parametrize("transform", TRANSFORMS[1:], ids=str)


@pytest.fixture(params=[False, True], ids=["whole", "cut"])
def short_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time chunks of three increments, and none."""
    if request.param:
        monkeypatch.setattr(word_chains, "CHUNK", 3)


def check(
    gpu: Gpu, rng: np.random.Generator, shape: tuple[int, ...], words: list, dtype: np.dtype, **transform: object
) -> None:
    """The coefficients, compared with the definition."""
    path = random_paths(rng, *shape, dtype=dtype)
    for of_prefixes in (False, True):
        out = siglib.sig_coef(gpu.array(path), words, prefixes=of_prefixes, **transform)
        assert out.dtype == dtype
        expected = coefficients(path, prefixes(words) if of_prefixes else words, **transform)
        assert_close(gpu.numpy(out), expected, TOLERANCE[dtype.name])


@sets_of_words
@pytest.mark.usefixtures("short_chunks")
def test_values(gpu: Gpu, rng: np.random.Generator, words: list, dtype: np.dtype) -> None:
    check(gpu, rng, (3, 12, 2), words, dtype)


@transforms
@pytest.mark.usefixtures("short_chunks")
def test_transforms(gpu: Gpu, rng: np.random.Generator, transform: dict, dtype: np.dtype) -> None:
    for words in (WORDS["shared"], [(0, 3), (4, 1, 2), ()] if len(transform) == 3 else [(0, 2, 1)], WORDS["long"]):
        check(gpu, rng, (2, 8, 2), words, dtype, **transform)


@pytest.mark.parametrize("n_points", [7, 8, 9, 10, 13, 20])
def test_any_number_of_chunks(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, n_points: int) -> None:
    monkeypatch.setattr(word_chains, "CHUNK", 3)
    rng = np.random.default_rng(n_points)
    check(gpu, rng, (2, n_points, 2), WORDS["begin alike"], np.dtype(np.float64))


def test_long_paths(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    check(gpu, rng, (2, 300, 3), [(0, 1, 2, 1), (2,), (0, 0), (), (0, 1, 2, 0, 1), (1, 1, 0)], dtype)
    assert launcher.chunk_length(256) == 256
    assert launcher.chunk_length(257) == 128
    assert launcher.chunk_length(10**6) == 7814


def test_many_paths_in_a_block(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    for batch in (1, 127, 128, 130):
        check(gpu, rng, (batch, 4, 3), [(0, 2), (2, 2, 1)], dtype)


def test_channels_without_words(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    check(gpu, rng, (3, 5, 40), [(7, 30), (30, 2, 7), (11,)], dtype)
    check(gpu, rng, (2, 3, 300), [(i, 299 - i) for i in range(300)], dtype)


def test_random_words(gpu: Gpu, rng: np.random.Generator) -> None:
    for letters, n, longest in ((1, 5, 6), (2, 30, 6), (5, 40, 4), (11, 40, 3)):
        words = [tuple(rng.integers(0, letters, rng.integers(0, longest + 1)).tolist()) for _ in range(n)]
        check(gpu, rng, (3, 9, letters + 1), words, np.dtype(np.float64))


def test_a_word_of_four_hundred_letters(gpu: Gpu) -> None:
    """Of a straight line: x^n / n!."""
    path = np.array([[0.0, 0.0], [50.0, 60.0], [100.0, 120.0]])
    expected = np.exp(200 * np.log(100.0) + 200 * np.log(120.0) - np.sum(np.log(np.arange(1, 401))))
    value = siglib.sig_coef(gpu.array(path), (0, 1) * 200)
    assert_close(gpu.numpy(value) / expected, np.ones(1), 1e-10)


def test_bits_do_not_depend_on_the_batch(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, dtype: np.dtype
) -> None:
    """Nor on how much of it fits into scratch memory."""
    path = random_paths(rng, 5, 9, 2, dtype=dtype)
    for words in (WORDS["begin alike"], WORDS["long and short"]):
        for chunk in (128, 3):
            monkeypatch.setattr(word_chains, "CHUNK", chunk)
            monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 1 << 27)
            together = gpu.numpy(siglib.sig_coef(gpu.array(path), words))
            for b in (0, 3):
                alone = gpu.numpy(siglib.sig_coef(gpu.array(path[b]), words))
                assert_same_bits(alone, together[b])
            monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 1)
            assert_same_bits(gpu.numpy(siglib.sig_coef(gpu.array(path), words)), together)


@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 2), (3, 1, 2), (1, 0, 5, 2), (2, 3, 4, 2), (4, 2)], ids=str)
@pytest.mark.parametrize("words", [[(0, 1), (), (1,)], [()], [LONG, (), (0,)]], ids=["some", "none", "long"])
def test_edges(gpu: Gpu, shape: tuple[int, ...], words: list) -> None:
    path = np.arange(math.prod(shape), dtype=float).reshape(shape) ** 2 / 100
    batch = shape[:-2]
    for of_prefixes in (False, True):
        out = siglib.sig_coef(gpu.array(path), words, prefixes=of_prefixes)
        expected = coefficients(path.reshape(math.prod(batch), *shape[-2:]), prefixes(words) if of_prefixes else words)
        assert_close(gpu.numpy(out), expected.reshape(*batch, expected.shape[1]), 1e-13)


def test_strides(gpu: Gpu, rng: np.random.Generator) -> None:
    path = random_paths(rng, 6, 8, 4)
    given = gpu.array(path)
    for view in (lambda a: a[::2, ::-1], lambda a: a.transpose(1, 2, 0), lambda a: a[:, :, 1::2], lambda a: a.T):
        out = siglib.sig_coef(view(given), WORDS["shared"])
        assert_close(gpu.numpy(out), coefficients(view(path), WORDS["shared"]))


def test_not_a_number_stays_in_its_channel_and_path(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    path = random_paths(rng, 20, 9, 3, dtype=dtype)
    expected = gpu.numpy(siglib.sig_coef(gpu.array(path), [(0, 1), (2, 0)]))
    path[4, 7, 1] = np.nan
    expected[4, 0] = np.nan
    assert_same_bits(gpu.numpy(siglib.sig_coef(gpu.array(path), [(0, 1), (2, 0)])), expected)


def test_words_that_do_not_fit(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "most_shared", lambda: 4 * 21 * 8 - 1)
    with pytest.raises(MemoryError, match="a word of 20 letters is too long for the GPU's shared memory in sig_coef"):
        siglib.sig_coef(gpu.array(np.ones((3, 2))), LONG)


def test_half_precision(gpu: Gpu, rng: np.random.Generator) -> None:
    path = random_paths(rng, 3, 5, 2).astype(np.float16)
    out = siglib.sig_coef(gpu.array(path), [(0, 1), ()])
    assert out.dtype == np.float16
    assert_close(gpu.numpy(out), coefficients(path, [(0, 1), ()]))


@pytest.mark.parametrize("name", ["one word", "shared", "long and short"])
@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.usefixtures("short_chunks")
def test_checked(emulated: Gpu, rng: np.random.Generator, name: str, falling: bool) -> None:
    emulated.cupy.MODE = "check"
    emulated.cupy.FALLING = falling
    check(emulated, rng, (3, 8, 2), WORDS[name], np.dtype(np.float64))
    check(emulated, rng, (2, 5, 2), WORDS[name], np.dtype(np.float32), time_aug=True, lead_lag=True)
