"""Signatures with corrections on the GPU: against the definition, and every kernel in the check build."""

import math
from typing import Any

import numpy as np
import pytest
import reference
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from correction_cases import kinds, make
from gpu import Gpu, tensors_on_gpu
from reference_correction import corrected_signature

import siglib
from siglib._gpu import corrected_signature as launcher

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
# (dimension, degree, highest level of the correction): every depth of the tree, with suffixes shorter and longer than
# what a correction reaches over, letters compiled in and not, tiles that fit and that do not.
SIZES = [
    *[(1, 2, 2), (1, 5, 3), (2, 2, 2), (2, 6, 4), (2, 7, 2), (3, 3, 3), (3, 5, 2), (4, 4, 2), (5, 3, 3)],
    *[(6, 2, 2), (6, 4, 3), (7, 3, 2), (9, 2, 2)],
]
# A few of them, for builds that take long.
SOME = [(1, 3, 2), (2, 6, 2), (3, 4, 3), (7, 3, 2)]
TIME: dict[str, Any] = {"time_aug": True, "end_time": 1.5}


def call(function: Any, gpu: Gpu, path: Any, degree: int, correction: Any, **options: Any) -> Any:
    return gpu.numpy(function(gpu.array(path), degree, correction=gpu.array(correction), **options))


@kinds
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_definition(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int, int], kind: str) -> None:
    for batch, options in (((), {}), ((2, 4), {"scalar_term": True})):
        path, correction = make(rng, size, kind, batch, 5, dtype)
        result = call(siglib.sig, gpu, path, size[1], correction, **options)
        expected = corrected_signature(path, correction, size[1])
        assert result.dtype == dtype
        assert_close(result[..., bool(options) :], expected, TOLERANCE[dtype.name])
        assert not options or (result[..., 0] == 1).all()


@kinds
@pytest.mark.parametrize("size", [(1, 3, 2), (2, 3, 3), (5, 3, 2)], ids=str)
def test_time(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int, int], kind: str) -> None:
    path, correction = make(rng, size, kind, (3,), 5, dtype)
    result = call(siglib.sig, gpu, path, size[1], correction, **TIME)
    assert_close(result, corrected_signature(path, correction, size[1], **TIME), TOLERANCE[dtype.name])


@kinds
@pytest.mark.parametrize("size", [(2, 2, 2), (2, 6, 3), (6, 2, 2)], ids=str)
@pytest.mark.parametrize("length", [200, 300])
def test_long_paths_are_cut(
    gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int, int], kind: str, length: int
) -> None:
    """Chunks of equal and of unequal length, and as few rows of the correction staged as in a long chunk."""
    path, correction = make(rng, size, kind, (2,), length, dtype)
    result = call(siglib.sig, gpu, path, size[1], correction, **TIME)
    assert_close(result, corrected_signature(path, correction, size[1], **TIME), 10 * TOLERANCE[dtype.name])


@kinds
@pytest.mark.parametrize("size", [(2, 3, 3), (7, 2, 2)], ids=str)
def test_what_does_not_fit_into_shared_memory(
    checked_gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, size: tuple[int, int, int], kind: str
) -> None:
    """Rows of the correction, and then increments, too: they are read from memory."""
    path, correction = make(rng, size, kind, (3,), 6)
    expected = corrected_signature(path, correction, size[1])
    monkeypatch.setattr(launcher, "_TERM_BYTES", 0)
    assert_close(call(siglib.sig, checked_gpu, path, size[1], correction), expected, 1e-12)
    monkeypatch.setattr("siglib._gpu.signature_plan._STAGED_BYTES", 0)
    monkeypatch.setattr(launcher, "most_shared", lambda: 0)
    assert_close(call(siglib.sig, checked_gpu, path, size[1], correction), expected, 1e-12)


@kinds
def test_slabs(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, kind: str) -> None:
    """Scratch memory for a part of the batch at a time changes nothing."""
    path, correction = make(rng, (2, 3, 2), kind, (5,), 300)
    results = []
    for n_bytes in (1 << 30, 2 * 5 * 14 * 8):
        monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", n_bytes)
        results.append(call(siglib.sig, gpu, path, 3, correction))
    assert_same_bits(*results)


@kinds
def test_bits_do_not_depend_on_the_batch(gpu: Gpu, rng: np.random.Generator, kind: str) -> None:
    for size, length in (((2, 3, 3), 300), ((8, 3, 2), 6), ((3, 5, 2), 20), ((1, 3, 2), 40)):
        path, correction = make(rng, size, kind, (11,), length, np.float32)
        together = call(siglib.sig, gpu, path, size[1], correction)
        for b in (0, 7):
            rows = correction[b] if kind == "rows of each path" else correction
            assert_same_bits(call(siglib.sig, gpu, path[b], size[1], rows), together[b])


@kinds
def test_strides(gpu: Gpu, rng: np.random.Generator, kind: str) -> None:
    path, correction = make(rng, (3, 3, 2), kind, (4,), 6)
    expected = call(siglib.sig, gpu, path, 3, correction)
    laid_out = gpu.array(path.T).T, gpu.array(correction.T).T
    assert not laid_out[0].flags.c_contiguous
    assert_same_bits(gpu.numpy(siglib.sig(laid_out[0], 3, correction=laid_out[1])), expected)


@pytest.mark.parametrize("shape", [(2, 0, 5, 2), (0, 5, 2), (2, 0, 2), (2, 1, 2)])
def test_edges(gpu: Gpu, shape: tuple[int, ...]) -> None:
    path, correction = np.ones(shape), np.ones(4)
    result = call(siglib.sig, gpu, path, 2, correction, scalar_term=True)
    assert_same_bits(result, siglib.sig(path, 2, correction=correction, scalar_term=True))


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("size", SOME, ids=str)
def test_checked(emulated: Gpu, rng: np.random.Generator, size: tuple[int, int, int], falling: bool) -> None:
    """Without races, accesses outside of arrays, or anything undefined; in both orders of threads."""
    emulated.cupy.MODE, emulated.cupy.FALLING = "check", falling
    for kind in ("one row", "rows", "rows of each path"):
        path, correction = make(rng, size, kind, (3,), 4)
        expected = corrected_signature(path, correction, size[1])
        assert_close(call(siglib.sig, emulated, path, size[1], correction), expected, 1e-12)


def test_checked_in_chunks(emulated: Gpu, rng: np.random.Generator) -> None:
    emulated.cupy.MODE = "check"
    path, correction = make(rng, (2, 2, 2), "rows of each path", (2,), 200)
    assert_close(call(siglib.sig, emulated, path, 2, correction), corrected_signature(path, correction, 2), 1e-12)


def test_hermite_polynomials(gpu: Gpu, rng: np.random.Generator) -> None:
    """In one channel Itô's lift is He_n(X, T) / n!, whatever the path: d/dX He_n = n He_(n-1), He_2 = X^2 - T."""
    path = random_paths(rng, 3, 60, 1)
    sig = call(siglib.sig, gpu, path, 6, np.full(1, -0.5 / 59))
    x = path[:, -1, 0] - path[:, 0, 0]
    hermite = [np.ones(3), x]
    for n in range(1, 6):
        hermite.append(x * hermite[-1] - n * hermite[-2])
    assert_close(sig, np.stack([hermite[n] / math.factorial(n) for n in range(1, 7)], axis=1), 1e-12)


@kinds
def test_chen(gpu: Gpu, rng: np.random.Generator, kind: str) -> None:
    path, correction = make(rng, (3, 4, 3), kind, (2,), 8)
    first_rows, last_rows = (correction,) * 2 if kind == "one row" else (correction[..., :4, :], correction[..., 4:, :])
    first = siglib.sig(gpu.array(path[:, :5]), 4, correction=gpu.array(first_rows))
    second = siglib.sig(gpu.array(path[:, 4:]), 4, correction=gpu.array(last_rows))
    whole = call(siglib.sig, gpu, path, 4, correction)
    assert_close(gpu.numpy(siglib.sig_combine(first, second, 3, 4)), whole, 1e-13)


@pytest.mark.parametrize("method", [0, 1, 2])
def test_log_sig(gpu: Gpu, rng: np.random.Generator, method: int) -> None:
    path, correction = make(rng, (2, 4, 3), "rows", (3,), 4)
    result = call(siglib.log_sig, gpu, path, 4, correction, method=method)
    log = reference.tensor_log(corrected_signature(path, correction, 4), 2, 4)
    index = {word: i for i, word in enumerate(reference.words(2, 4)[1:])}
    values = log[..., [index[word] for word in reference.lyndon_words(2, 4)]]
    expected = {0: log, 1: values, 2: np.linalg.solve(reference.lyndon_projection(2, 4), values.T).T}[method]
    assert_close(result, expected, 1e-12)


def test_half_precision(gpu: Gpu, rng: np.random.Generator) -> None:
    """Computed in float32, and rounded once."""
    path, correction = make(rng, (2, 3, 2), "rows", (3,), 5, np.float16)
    wide = call(siglib.sig, gpu, path.astype(np.float32), 3, correction.astype(np.float32))
    assert_same_bits(call(siglib.sig, gpu, path, 3, correction), wide.astype(np.float16))


def test_tensors(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """They are computed on torch's stream, what stands before and behind the kernels included."""
    torch = optional("torch")
    path, correction = make(rng, (2, 3, 2), "rows", (3,), 5)
    expected = corrected_signature(path, correction, 3, **TIME)
    stream = tensors_on_gpu(monkeypatch, torch)
    result = siglib.sig(torch.tensor(path), 3, correction=torch.tensor(correction), **TIME)
    assert_close(result, expected, 1e-12)
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}


def test_mixed_devices_are_refused(gpu: Gpu) -> None:
    with pytest.raises(TypeError, match="one library"):
        siglib.sig(gpu.array(np.ones((4, 2))), 2, correction=np.ones(4))
