"""Gradients of signatures with corrections on the GPU: path and correction, against the definition and in the check
build."""

from typing import Any

import numpy as np
import pytest
import reference
from checking import assert_as_exact_everywhere, assert_close, assert_same_bits, optional, smooth_path
from correction_cases import kinds, make
from gpu import Gpu, tensors_on_gpu
from reference_correction import corrected_signature

import siglib
from siglib._gpu import corrected_signature_backprop as launcher

TIME: dict[str, Any] = {"time_aug": True, "end_time": 1.5}
# (dimension, degree, highest level of the correction): letters compiled in and not, one level of partial results and
# more, corrections shorter than a signature and as long.
SIZES = [(1, 4, 3), (2, 2, 2), (2, 5, 3), (3, 4, 4), (4, 3, 2), (5, 3, 2), (7, 3, 2)]
# What a call keeps in shared memory at most: nothing, all but the cotangent, everything.
PLACES = [0, 4000, 1 << 30]


def backprop(gpu: Gpu, path: Any, sig: Any, derivs: Any, degree: int, correction: Any, **options: Any) -> Any:
    arrays = map(gpu.array, (path, sig, derivs))
    return gpu.numpy(siglib.sig_backprop(*arrays, degree, correction=gpu.array(correction), **options))


def check(gpu: Gpu, rng: np.random.Generator, path: Any, degree: int, correction: Any, **transform: Any) -> Any:
    """<gradients, direction> = <derivs, derivative along the direction>."""
    exact = path.astype(float), correction.astype(float)
    sig = corrected_signature(*exact, degree, **transform).astype(path.dtype)
    derivs = rng.standard_normal(sig.shape).astype(path.dtype)
    gradients = backprop(gpu, path, sig, derivs, degree, correction, correction_deriv=True, **transform)
    gpu.assert_same(backprop(gpu, path, sig, derivs, degree, correction, **transform), gradients[0])
    for i, gradient in enumerate(gradients):
        assert gradient.dtype == path.dtype
        assert gradient.shape == exact[i].shape
        direction = rng.standard_normal(exact[i].shape)
        change = reference.directional_derivative(
            lambda x, i=i: corrected_signature(*((x, exact[1]) if i == 0 else (exact[0], x)), degree, **transform),
            exact[i],
            direction,
        )
        error = abs(float((gradient * direction).sum() - (derivs * change).sum()))
        assert error / (float(np.abs(derivs * change).sum()) + 1) < (1e-8 if path.dtype == np.float64 else 1e-4)
    return gradients


@kinds
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gradients(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int, int], kind: str) -> None:
    path, correction = make(rng, size, kind, (3,), 5, dtype)
    check(gpu, rng, path, size[1], correction)


@kinds
@pytest.mark.parametrize("size", [(1, 3, 2), (2, 3, 3)], ids=str)
def test_time(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int, int], kind: str) -> None:
    path, correction = make(rng, size, kind, (3,), 5, dtype)
    check(gpu, rng, path, size[1], correction, **TIME)


@kinds
@pytest.mark.parametrize("transform", [{}, TIME], ids=["", "time_aug"])
def test_every_entry(gpu: Gpu, rng: np.random.Generator, kind: str, transform: dict[str, Any]) -> None:
    path, correction = make(rng, (2, 3, 3), kind, (2,), 3)
    sig = corrected_signature(path, correction, 3, **transform)
    # With the empty word in front, which has no effect.
    derivs = rng.standard_normal((2, 1 + sig.shape[1]))
    gradients = backprop(
        gpu, path, np.insert(sig, 0, 1.0, axis=1), derivs, 3, correction, correction_deriv=True, **transform
    )

    def total(path: np.ndarray, correction: np.ndarray) -> float:
        return float((derivs[:, 1:] * corrected_signature(path, correction, 3, **transform)).sum())

    assert_close(gradients[0], reference.numeric_gradient(lambda x: total(x, correction), path), 1e-8)
    assert_close(gradients[1], reference.numeric_gradient(lambda c: total(path, c), correction), 1e-8)


@kinds
@pytest.mark.parametrize("n_points", [7, 9, 14, 150])
def test_long_paths_are_cut(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, dtype: np.dtype, rng: np.random.Generator, kind: str, n_points: int
) -> None:
    """Chunks of equal and unequal length, their number even and odd."""
    if n_points < 100:
        monkeypatch.setattr(launcher, "_CHUNK", 2)
    path, correction = make(rng, (2, 3, 2), kind, (2,), n_points, dtype)
    check(gpu, rng, path, 3, correction)


@kinds
@pytest.mark.parametrize("n_bytes", PLACES)
def test_places(
    checked_gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, kind: str, n_bytes: int
) -> None:
    """In shared memory and in scratch memory, with several tiles of increments; without races or wild accesses."""
    monkeypatch.setattr(launcher, "shared_bytes", lambda: n_bytes)
    monkeypatch.setattr(launcher, "_LONGEST_TILE", 3)
    path, correction = make(rng, (4, 4, 2), kind, (2,), 6)
    state = launcher.make_state(4, 4, 16, 16 * (kind == "one row"), 5, 8)
    assert (state.n_scratch == 0, state.shared > 0) == (n_bytes == PLACES[2], n_bytes > 0)
    check(checked_gpu, rng, path, 4, correction)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("size", [(1, 3, 2), (2, 4, 3), (3, 3, 2), (6, 3, 2)], ids=str)
def test_checked(
    emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, size: tuple[int, int, int], falling: bool
) -> None:
    emulated.cupy.MODE, emulated.cupy.FALLING = "check", falling
    monkeypatch.setattr(launcher, "_CHUNK", 2)
    for kind in ("one row", "rows", "rows of each path"):
        path, correction = make(rng, size, kind, (2,), 6)
        check(emulated, rng, path, size[1], correction)


@kinds
def test_slabs(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, kind: str) -> None:
    """Scratch memory for a part of the batch at a time changes nothing."""
    path, correction = make(rng, (2, 3, 2), kind, (5,), 150)
    results = []
    for n_bytes in (1 << 30, 2 * 3 * 200 * 8):
        monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", n_bytes)
        results.append(check(gpu, np.random.default_rng(0), path, 3, correction))
    for i in range(2):
        assert_same_bits(results[0][i], results[1][i])


def test_bits_do_not_depend_on_the_batch(gpu: Gpu, rng: np.random.Generator) -> None:
    for size, length in (((2, 3, 3), 150), ((8, 3, 2), 6), ((1, 3, 2), 40)):
        path, correction = make(rng, size, "rows of each path", (11,), length, np.float32)
        sig = corrected_signature(path, correction, size[1]).astype(np.float32)
        derivs = rng.standard_normal(sig.shape).astype(np.float32)
        together = backprop(gpu, path, sig, derivs, size[1], correction, correction_deriv=True)
        for b in (0, 7):
            alone = backprop(gpu, path[b], sig[b], derivs[b], size[1], correction[b], correction_deriv=True)
            assert_same_bits(alone[0], together[0][b])
            assert_same_bits(alone[1], together[1][b])


@pytest.mark.parametrize("degree", [3, 4])
def test_gradients_at_the_borders_of_chunks(gpu: Gpu, degree: int) -> None:
    path, correction = smooth_path(2003, 2), 1e-4 * np.cos(np.arange(4, dtype=np.float32))
    exact, exact_correction = path.astype(float), correction.astype(float)
    sig = siglib.sig(exact, degree, correction=exact_correction)
    derivs = np.random.default_rng(0).standard_normal(sig.shape).astype(np.float32)
    given = path, sig.astype(np.float32), derivs
    gradient, of_correction = backprop(gpu, *given, degree, correction, correction_deriv=True)
    expected = siglib.sig_backprop(
        exact, sig, derivs.astype(float), degree, correction=exact_correction, correction_deriv=True
    )
    assert_close(gradient, expected[0], 1e-4)
    assert_close(of_correction, expected[1], 1e-4)
    assert_as_exact_everywhere(gradient[0], expected[0][0])


@pytest.mark.parametrize("shape", [(2, 0, 5, 2), (0, 5, 2), (2, 0, 2), (2, 1, 2)])
def test_edges(gpu: Gpu, shape: tuple[int, ...]) -> None:
    path, correction, sig = np.ones(shape), np.ones(4), np.zeros((*shape[:-2], 6))
    gradients = backprop(gpu, path, sig, sig, 2, correction, correction_deriv=True)
    assert_same_bits(gradients[0], np.zeros(shape))
    assert_same_bits(gradients[1], np.zeros(4))


def test_not_a_number_stays_in_its_path(gpu: Gpu, rng: np.random.Generator) -> None:
    path, correction = make(rng, (3, 3, 2), "rows", (5,), 6)
    sig = corrected_signature(path, correction, 3)
    derivs = rng.standard_normal(sig.shape)
    clean = backprop(gpu, path, sig, derivs, 3, correction)
    path[2, 3, 1] = np.nan
    spoiled = backprop(gpu, path, sig, derivs, 3, correction)
    assert_same_bits(np.delete(spoiled, 2, axis=0), np.delete(clean, 2, axis=0))
    assert np.isnan(spoiled[2]).any()


@pytest.mark.parametrize("method", [0, 1, 2])
def test_log_sig(gpu: Gpu, rng: np.random.Generator, method: int) -> None:
    """The gradients of the values at Lyndon words, or at all words, by differences of the definition."""
    path, correction = make(rng, (2, 3, 2), "rows", (2,), 4)
    places = [reference.words(2, 3)[1:].index(word) for word in reference.lyndon_words(2, 3)]
    projection = np.linalg.inv(reference.lyndon_projection(2, 3))

    def log(path: np.ndarray, correction: np.ndarray) -> np.ndarray:
        values = reference.tensor_log(corrected_signature(path, correction, 3), 2, 3)
        return {0: lambda v: v, 1: lambda v: v[:, places], 2: lambda v: v[:, places] @ projection.T}[method](values)

    derivs = rng.standard_normal(log(path, correction).shape)
    arrays = gpu.array(path), gpu.array(derivs)
    options = {"method": method, "correction": gpu.array(correction), "correction_deriv": True}
    gradients = gpu.numpy(siglib.log_sig_backprop(*arrays, 3, **options))
    for i, exact in enumerate((path, correction)):
        wanted = reference.numeric_gradient(
            lambda x, i=i: np.vdot(derivs, log(*((x, correction) if i == 0 else (path, x)))), exact
        )
        assert_close(gradients[i], wanted, 1e-7)


@kinds
def test_gradients_of_tensors(
    emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, kind: str
) -> None:
    torch = optional("torch")
    stream = tensors_on_gpu(monkeypatch, torch)
    monkeypatch.setattr(launcher, "_CHUNK", 1)
    path, correction = (torch.tensor(array, requires_grad=True) for array in make(rng, (2, 3, 2), kind, (2,), 4))
    assert torch.autograd.gradcheck(lambda x, c: siglib.sig(x, 3, correction=c, **TIME), (path, correction))
    assert torch.autograd.gradcheck(lambda x, c: siglib.log_sig(x, 3, correction=c), (path, correction))
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}
