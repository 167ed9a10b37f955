"""Corrections of branched signatures on the GPU: against the CPU in float64, which is held against the definition."""

from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from correction_cases import kinds, make
from gpu import Gpu, tensors_on_gpu

import siglib
from siglib._gpu import sizes, tree_flow

# (dimension, degree, highest level of the correction).
SIZES = [(1, 2, 2), (1, 5, 3), (2, 2, 2), (2, 4, 2), (2, 4, 4), (3, 3, 3), (7, 2, 2)]
PLANARS = pytest.mark.parametrize("planar", [False, True], ids=["trees", "planar"])


def tolerance(dtype: np.dtype) -> float:
    return 1e-12 if dtype == np.float64 else 3e-5


def check(
    gpu: Gpu,
    rng: np.random.Generator,
    path: np.ndarray,
    correction: np.ndarray,
    degree: int,
    scalar_term: bool = False,
    **options: Any,
) -> list[np.ndarray]:
    """Values, and gradients for both; returns what was found."""
    given, exact = (gpu.array(path), gpu.array(correction)), (path.astype(float), correction.astype(float))
    found = siglib.branched_sig(given[0], degree, correction=given[1], scalar_term=scalar_term, **options)
    bsig = siglib.branched_sig(exact[0], degree, correction=exact[1], scalar_term=scalar_term, **options)
    derivs = rng.standard_normal(bsig.shape).astype(path.dtype)
    wanted = {"correction_deriv": True, **options}
    gradients = siglib.branched_sig_backprop(
        given[0], gpu.array(bsig.astype(path.dtype)), gpu.array(derivs), degree, correction=given[1], **wanted
    )
    expected = siglib.branched_sig_backprop(exact[0], bsig, derivs.astype(float), degree, correction=exact[1], **wanted)
    results = [gpu.numpy(part) for part in (found, *gradients)]
    for one, other in zip(results, (bsig, *expected), strict=True):
        assert one.dtype == path.dtype
        assert_close(one, other, tolerance(path.dtype))
    return results


@PLANARS
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_values_and_gradients(
    gpu: Gpu, rng: np.random.Generator, dtype: np.dtype, size: tuple[int, int, int], planar: bool
) -> None:
    path, correction = make(rng, size, "rows of each path", (3,), 6, dtype)
    check(gpu, rng, path, correction, size[1], planar=planar)


@PLANARS
@kinds
@pytest.mark.parametrize("length", [2, 5])
def test_shapes(gpu: Gpu, rng: np.random.Generator, planar: bool, kind: str, length: int) -> None:
    # No numbers are no correction.
    for batch in ((), (2, 3), (0,))[: 2 if kind == "rows of each path" else 3]:
        path, correction = make(rng, (2, 3, 2), kind, batch, length)
        check(gpu, rng, path, correction, 3, scalar_term=True, planar=planar)


@PLANARS
@kinds
def test_time_strides_and_short_paths(gpu: Gpu, rng: np.random.Generator, planar: bool, kind: str) -> None:
    path, correction = make(rng, (2, 3, 3), kind, (2,), 5)
    check(gpu, rng, path, correction, 3, planar=planar, time_aug=True, end_time=0.6)
    reversed_path = siglib.branched_sig(
        gpu.array(path)[:, ::-1, ::-1], 3, planar=planar, correction=gpu.array(correction)
    )
    expected = siglib.branched_sig(path[:, ::-1, ::-1].copy(), 3, planar=planar, correction=correction)
    assert_close(gpu.numpy(reversed_path), expected, 1e-12)
    for length in (0, 1):
        path = random_paths(rng, 3, length, 2)
        out = siglib.branched_sig(gpu.array(path), 3, planar=planar, correction=gpu.array(np.ones(4)), scalar_term=True)
        assert_same_bits(gpu.numpy(out), siglib.branched_sig(path, 3, planar=planar, scalar_term=True))


@PLANARS
def test_float32_of_a_long_path(gpu: Gpu, rng: np.random.Generator, planar: bool) -> None:
    """Segments that are taken off again leave their digits."""
    path = (np.cumsum(rng.standard_normal((1, 500, 2)), axis=1) / 500**0.5).astype(np.float32)
    correction = np.float32([-0.5, 0.1, -0.1, -0.5]) / 500
    arrays = path.astype(float), correction.astype(float)
    bsig = siglib.branched_sig(arrays[0], 3, correction=arrays[1], planar=planar)
    derivs = rng.standard_normal(bsig.shape)
    options = {"planar": planar, "correction_deriv": True}
    single = [gpu.array(array.astype(np.float32)) for array in (path, bsig, derivs)]
    found = siglib.branched_sig_backprop(*single, 3, correction=gpu.array(correction), **options)
    expected = siglib.branched_sig_backprop(arrays[0], bsig, derivs, 3, correction=arrays[1], **options)
    for one, other in zip(gpu.numpy(found), expected, strict=True):
        assert_close(one, other, 1e-3)


@PLANARS
def test_memory_of_all_kinds(gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, planar: bool) -> None:
    """Shared memory, scratch memory, and slabs of a batch: the same bits."""
    path, correction = make(rng, (2, 4, 2), "rows of each path", (3,), 5)
    results = []
    for shared, scratch in ((2**16, 2**27), (0, 2**27), (0, 1)):
        monkeypatch.setattr(sizes, "SHARED_BYTES", shared)
        monkeypatch.setattr(sizes, "SCRATCH_BYTES", scratch)
        results.append(check(gpu, np.random.default_rng(1), path, correction, 4, planar=planar))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            assert_same_bits(one, other)


@PLANARS
def test_bits_depend_on_nothing_else(emulated: Gpu, rng: np.random.Generator, planar: bool) -> None:
    """Not on other paths, nor on which threads come first."""
    path, correction = make(rng, (3, 3, 2), "one row", (3,), 4)
    results = check(emulated, np.random.default_rng(1), path, correction, 3, planar=planar)
    emulated.cupy.FALLING = True
    for one, other in zip(
        results, check(emulated, np.random.default_rng(1), path, correction, 3, planar=planar), strict=True
    ):
        assert_same_bits(one, other)
    alone = siglib.branched_sig(emulated.array(path[1]), 3, planar=planar, correction=emulated.array(correction))
    assert_same_bits(emulated.numpy(alone), results[0][1])


@PLANARS
@pytest.mark.parametrize("kind", ["one row", "rows of each path"])
def test_checked(
    checked_gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, planar: bool, kind: str
) -> None:
    path, correction = make(rng, (2, 4, 3), kind, (2,), 4)
    check(checked_gpu, rng, path, correction, 4, planar=planar, scalar_term=True)
    monkeypatch.setattr(sizes, "SHARED_BYTES", 0)
    check(checked_gpu, rng, path, correction, 4, planar=planar)


@PLANARS
def test_what_is_made_of_them(gpu: Gpu, rng: np.random.Generator, planar: bool) -> None:
    """Logarithms and chosen trees."""
    path, correction = make(rng, (2, 3, 2), "rows", (2,), 5)
    given = gpu.array(path), gpu.array(correction)
    for method in (0, 1, 2) if planar else (0,):
        options = {"planar": planar, "method": method}
        found = siglib.branched_log_sig(given[0], 3, correction=given[1], **options)
        assert_close(gpu.numpy(found), siglib.branched_log_sig(path, 3, correction=correction, **options), 1e-12)
    trees = [((0,), (1,), 0), None, (1,)]
    found = siglib.branched_sig_coef(given[0], trees, planar=planar, correction=given[1])
    coefs = siglib.branched_sig_coef(path, trees, planar=planar, correction=correction)
    assert_close(gpu.numpy(found), coefs, 1e-12)
    derivs = rng.standard_normal(coefs.shape)
    found = siglib.branched_sig_coef_backprop(
        given[0], trees, found, gpu.array(derivs), planar=planar, correction=given[1]
    )
    expected = siglib.branched_sig_coef_backprop(path, trees, coefs, derivs, planar=planar, correction=correction)
    assert_close(gpu.numpy(found), expected, 1e-12)


@PLANARS
def test_gradients_of_tensors(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, planar: bool) -> None:
    torch = optional("torch")
    path, correction = (torch.rand(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 2), (2, 4)))

    def gradients() -> list[Any]:
        options = {"planar": planar, "correction": correction, "time_aug": True}
        value = siglib.branched_sig(path, 3, **options).square().sum()
        value = value + siglib.branched_log_sig(path, 3, **options).square().sum()
        return list(torch.autograd.grad(value, (path, correction)))

    expected = gradients()
    stream = tensors_on_gpu(monkeypatch, torch)
    for found, on_cpu in zip(gradients(), expected, strict=True):
        assert_close(found, on_cpu, 1e-12)
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}


def test_threads() -> None:
    """A warp for small signatures, a whole block for large ones."""
    assert [tree_flow._threads(n) for n in (1, 64, 65, 1000, 10**6)] == [32, 32, 64, 256, 256]
