"""Gradients of single coefficients on the GPU: against the definition, and every kernel in the check build."""

import math

import numpy as np
import pytest
import reference
from cases import TRANSFORMS, random_paths
from checking import assert_as_exact_everywhere, assert_close, assert_same_bits, optional, smooth_path
from gpu import Gpu, tensors_on_gpu
from reference_coefficients import coefficients, coefficients_gradient, prefixes
from test_gpu_coefficients import LONG, WORDS

import siglib
from siglib._gpu import coefficients_backprop, coefficients_chains, word_chains

TOLERANCE = {"float64": 1e-11, "float32": 1e-3}
sets_of_words = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)


@pytest.fixture(params=[False, True], ids=["whole", "cut"])
def short_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time chunks of three increments, and none."""
    if request.param:
        monkeypatch.setattr(word_chains, "CHUNK", 3)


def arrays_of(
    rng: np.random.Generator, shape: tuple[int, ...], words: list, dtype: object, **transform: object
) -> list:
    """A path, the coefficients of its prefixes, and derivatives."""
    path = random_paths(rng, *shape, dtype=dtype)
    coefs = coefficients(path, prefixes(words), **transform).astype(dtype)
    return [path, coefs, rng.standard_normal(coefs.shape).astype(dtype)]


def check(
    gpu: Gpu, rng: np.random.Generator, shape: tuple[int, ...], words: list, dtype: np.dtype, **transform: object
) -> np.ndarray:
    """The gradient, compared with the exact one; for long words in one direction, with a difference quotient."""
    path, coefs, derivs = arrays_of(rng, shape, words, dtype, **transform)
    out = siglib.sig_coef_backprop(gpu.array(path), words, gpu.array(coefs), gpu.array(derivs), **transform)
    assert out.dtype == dtype
    gradient = gpu.numpy(out)
    if max(map(len, words)) <= 8 and shape[-1] < 10:
        expected = coefficients_gradient(path, prefixes(words), derivs, **transform)
        assert_close(gradient, expected, TOLERANCE[dtype.name])
        return gradient
    direction = random_paths(rng, *shape)
    moved = reference.directional_derivative(
        lambda x: coefficients(x, prefixes(words), **transform), path.astype(np.float64), direction
    )
    expected = np.sum(moved * derivs, axis=1)
    assert_close(np.sum(gradient * direction, axis=(1, 2)), expected, {"float64": 1e-8, "float32": 1e-3}[dtype.name])
    return gradient


@sets_of_words
@pytest.mark.usefixtures("short_chunks")
def test_gradients(gpu: Gpu, rng: np.random.Generator, words: list, dtype: np.dtype) -> None:
    check(gpu, rng, (3, 12, 2), words, dtype)


@pytest.mark.parametrize("transform", TRANSFORMS[1:], ids=str)
@pytest.mark.usefixtures("short_chunks")
def test_transforms(gpu: Gpu, rng: np.random.Generator, transform: dict, dtype: np.dtype) -> None:
    for words in (WORDS["shared"], [(0, 3), (4, 1, 2), ()] if len(transform) == 3 else [(0, 2, 1)], WORDS["long"]):
        if max(map(max, filter(None, words))) < 2 + len(transform):
            check(gpu, rng, (2, 8, 2), words, dtype, **transform)


@pytest.mark.parametrize("words", [[(0, 1), (1,)], [(0, 1) * 7]], ids=["short", "long"])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_central_differences(gpu: Gpu, rng: np.random.Generator, words: list, transform: dict) -> None:
    path, coefs, derivs = arrays_of(rng, (1, 4, 2), words, np.float64, **transform)
    path *= 3
    coefs = coefficients(path, prefixes(words), **transform)
    numeric = reference.numeric_gradient(lambda x: np.vdot(coefficients(x, prefixes(words), **transform), derivs), path)
    out = siglib.sig_coef_backprop(gpu.array(path), words, gpu.array(coefs), gpu.array(derivs), **transform)
    assert_close(gpu.numpy(out), numeric, 1e-7)


@pytest.mark.parametrize("n_points", [7, 8, 9, 10, 13, 20])
def test_any_number_of_chunks(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, n_points: int) -> None:
    monkeypatch.setattr(word_chains, "CHUNK", 3)
    check(gpu, np.random.default_rng(n_points), (2, n_points, 2), WORDS["begin alike"], np.dtype(np.float64))


def test_long_paths(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    check(gpu, rng, (2, 300, 3), [(0, 1, 2, 1), (2,), (0, 0), (), (0, 1, 2, 0, 1), (1, 1, 0)], dtype)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([(0, 1, 0, 1), (0, 0, 1), (1, 0, 1, 1)], {}),
        ([(0, 2, 1, 2), (2, 1, 0)], {"time_aug": True}),
        ([(0, 2, 1, 3), (2, 1, 0), (3, 3)], {"lead_lag": True}),
    ],
)
def test_gradients_at_the_borders_of_chunks(gpu: Gpu, words: list, options: dict) -> None:
    path = smooth_path(4000, 2, 2.0)
    exact = path.astype(float)
    coefs = siglib.sig_coef(exact, words, prefixes=True, **options)
    derivs = np.random.default_rng(0).standard_normal(coefs.shape).astype(np.float32)
    given = map(gpu.array, (path, coefs.astype(np.float32), derivs))
    gradient = gpu.numpy(siglib.sig_coef_backprop(next(given), words, *given, **options))
    expected = siglib.sig_coef_backprop(exact, words, coefs, derivs.astype(float), **options)
    assert_close(gradient, expected, 1e-4)
    assert_as_exact_everywhere(gradient[0], expected[0])


def test_many_paths_in_a_block(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    for batch in (1, 127, 130):
        check(gpu, rng, (batch, 4, 3), [(0, 2), (2, 2, 1)], dtype)


def test_channels_without_words(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    check(gpu, rng, (3, 5, 40), [(7, 30), (30, 2, 7), (11,)], dtype)
    check(gpu, rng, (2, 3, 150), [(i, 149 - i) for i in range(150)], dtype)


def test_random_words(gpu: Gpu, rng: np.random.Generator) -> None:
    for letters, n, longest in ((1, 5, 6), (2, 30, 6), (5, 40, 4), (9, 40, 3)):
        words = [tuple(rng.integers(0, letters, rng.integers(0, longest + 1)).tolist()) for _ in range(n)]
        check(gpu, rng, (3, 9, letters + 1), words, np.dtype(np.float64))


def test_coefficients_are_computed_where_there_are_none(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch keeps the result only, which may not have all prefixes; of paths cut in time, they are of no use."""
    torch = optional("torch")
    stream = tensors_on_gpu(monkeypatch, torch)
    for words in ([(0, 1, 1), (), (1,), (0, 1), (0, 1, 1)], [(0, 1) * 7, (1, 0)]):
        for prefixes_too in (False, True):
            for chunk in (128, 3):
                monkeypatch.setattr(word_chains, "CHUNK", chunk)
                path = torch.rand(2, 2, 8, dtype=torch.float64).mT.requires_grad_()
                assert torch.autograd.gradcheck(
                    lambda x, w=words, p=prefixes_too: siglib.sig_coef(x, w, prefixes=p, lead_lag=True), path
                )
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}


def test_extracting_has_a_gradient(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = optional("torch")
    tensors_on_gpu(monkeypatch, torch)
    sig = torch.rand(2, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda s: siglib.extract_sig_coef(s, [(0, 1), (1,), (0, 1)], 2) ** 2, sig)


def test_bits_do_not_depend_on_the_batch(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, dtype: np.dtype
) -> None:
    """Nor on how much of it fits into scratch memory."""
    for words in (WORDS["begin alike"], WORDS["long and short"]):
        for chunk in (128, 3):
            monkeypatch.setattr(word_chains, "CHUNK", chunk)
            path, coefs, derivs = map(gpu.array, arrays_of(rng, (5, 9, 2), words, dtype))
            together = gpu.numpy(siglib.sig_coef_backprop(path, words, coefs, derivs))
            for b in (0, 3):
                alone = siglib.sig_coef_backprop(path[b], words, coefs[b], derivs[b])
                assert_same_bits(gpu.numpy(alone), together[b])
            with monkeypatch.context() as patch:
                patch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 2000)
                assert_same_bits(gpu.numpy(siglib.sig_coef_backprop(path, words, coefs, derivs)), together)


def test_sums_of_several_launches(gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """More parts and long chains than have sums of their own."""
    words = [*WORDS["long and short"], (1,) * 13, (1, 0, 0), (1, 0, 1, 0, 0)]
    for most in (1, 2):
        monkeypatch.setattr(coefficients_backprop, "_MOST_SUMS", most)
        check(gpu, rng, (2, 6, 2), words, np.dtype(np.float64))


def test_blocks_that_take_several_long_chains(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 1)
    check(gpu, rng, (3, 5, 2), WORDS["long and short"], np.dtype(np.float64))


@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 2), (3, 1, 2), (1, 0, 5, 2), (2, 3, 4, 2), (4, 2)], ids=str)
@pytest.mark.parametrize("words", [[(0, 1), (), (1,)], [()], [LONG, (), (0,)]], ids=["some", "none", "long"])
def test_edges(gpu: Gpu, shape: tuple[int, ...], words: list) -> None:
    path = np.arange(math.prod(shape), dtype=float).reshape(shape) ** 2 / 100
    flat = path.reshape(math.prod(shape[:-2]), *shape[-2:])
    coefs = coefficients(flat, prefixes(words)).reshape(*shape[:-2], -1 if path.size else len(prefixes(words)))
    derivs = np.cos(np.arange(coefs.size)).reshape(coefs.shape)
    out = gpu.numpy(siglib.sig_coef_backprop(gpu.array(path), words, gpu.array(coefs), gpu.array(derivs)))
    assert_close(out, siglib.sig_coef_backprop(path, words, coefs, derivs), 1e-13)


def test_strides(gpu: Gpu, rng: np.random.Generator) -> None:
    words = WORDS["shared"]
    path = random_paths(rng, 6, 8, 4)
    given = gpu.array(path)
    for view in (lambda a: a[::2, ::-1], lambda a: a.transpose(1, 2, 0), lambda a: a[:, :, 1::2], lambda a: a.T):
        coefs = coefficients(view(path), prefixes(words))
        derivs = rng.standard_normal(coefs.shape)
        out = siglib.sig_coef_backprop(view(given), words, gpu.array(coefs), gpu.array(derivs))
        assert_close(gpu.numpy(out), coefficients_gradient(view(path), prefixes(words), derivs), 1e-11)


def test_not_a_number_stays_in_its_path(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype) -> None:
    """Also where several paths share a block."""
    words = WORDS["begin alike"]
    path, coefs, derivs = arrays_of(rng, (11, 6, 2), words, dtype)
    clean = gpu.numpy(siglib.sig_coef_backprop(gpu.array(path), words, gpu.array(coefs), gpu.array(derivs)))
    path[4, 2, 1] = np.nan
    spoiled = gpu.numpy(siglib.sig_coef_backprop(gpu.array(path), words, gpu.array(coefs), gpu.array(derivs)))
    assert_same_bits(np.delete(spoiled, 4, axis=0), np.delete(clean, 4, axis=0))
    assert np.isnan(spoiled[4]).any()


def test_words_that_do_not_fit(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    path, coefs = gpu.array(np.ones((3, 2))), gpu.array(np.ones(20))
    with monkeypatch.context() as patch:
        patch.setattr(coefficients_chains, "most_shared", lambda: 6 * 21 * 8 - 1)
        with pytest.raises(MemoryError, match=r"of 20 letters .* shared memory in sig_coef_backprop"):
            siglib.sig_coef_backprop(path, LONG, coefs, coefs)
    monkeypatch.setattr(coefficients_backprop, "_MOST_SCHEME", 21 * 21 * 8 - 1)
    with pytest.raises(MemoryError, match=r"of 20 letters .* scratch memory in sig_coef_backprop"):
        siglib.sig_coef_backprop(path, LONG, coefs, coefs)


@pytest.mark.parametrize("name", ["one word", "shared", "long and short"])
@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.usefixtures("short_chunks")
def test_checked(emulated: Gpu, rng: np.random.Generator, name: str, falling: bool) -> None:
    emulated.cupy.MODE = "check"
    emulated.cupy.FALLING = falling
    check(emulated, rng, (3, 8, 2), WORDS[name], np.dtype(np.float64))
    check(emulated, rng, (2, 5, 2), WORDS[name], np.dtype(np.float32), time_aug=True, lead_lag=True)
