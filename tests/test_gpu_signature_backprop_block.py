"""Gradients of signatures of few letters, a block for each path, on the GPU."""

from collections.abc import Iterator

import numpy as np
import pytest
from cases import random_paths
from checking import assert_as_exact_everywhere, assert_close, assert_same_bits, smooth_path
from gpu import Gpu

import siglib
from siglib._gpu import plans, signature_plan
from siglib._gpu import signature_backprop as launcher
from siglib._gpu import signature_backprop_block as blocks

TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
# Trees of every number of letters, with all levels that fit into registers and with fewer.
SIZES = [(2, 2), (2, 3), (2, 4), (2, 5), (3, 2), (3, 3), (4, 2), (4, 3), (5, 2), (5, 3)]
sizes = pytest.mark.parametrize(("d", "degree"), SIZES)
NAME = "sig_backward_block"


def check(
    gpu: Gpu,
    path: np.ndarray,
    degree: int,
    rng: np.random.Generator,
    *,
    launches: int = 1,
    scalar_term: bool = False,
    **options: object,
) -> np.ndarray:
    """The gradient, compared with that of the CPU in float64; `launches` of the kernel, and no other one with it."""
    exact = np.ascontiguousarray(path).astype(float)
    sig = siglib.sig(exact, degree, scalar_term=scalar_term, **options)
    derivs = rng.standard_normal(sig.shape).astype(path.dtype)
    arrays = gpu.array(path), gpu.array(sig.astype(path.dtype)), gpu.array(derivs)
    if gpu.name == "emulator":
        gpu.cupy.LOG.clear()
    gradient = gpu.numpy(siglib.sig_backprop(*arrays, degree, **options))
    if gpu.name == "emulator":
        names = [launch.name for launch in gpu.cupy.LOG]
        assert sum(NAME in name for name in names) == launches
        assert launches == 0 or len(names) == launches
    expected = siglib.sig_backprop(exact, sig, derivs.astype(float), degree, **options)
    assert_close(gradient, expected, TOLERANCE[path.dtype.name])
    return gradient


def fits(d: int, degree: int, dtype: np.dtype) -> bool:
    return launcher.make_plan(d, degree, dtype.itemsize).s == 0


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As many chunks as a block has threads for, of two increments or more."""
    monkeypatch.setattr(signature_plan, "_SHORT_PART", 2)
    blocks.make_block.cache_clear()
    yield
    blocks.make_block.cache_clear()


@sizes
@pytest.mark.parametrize("n_points", [2, 33, 34, 66, 150])
def test_lengths(gpu: Gpu, d: int, degree: int, n_points: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    """One chunk and several, the last one as long as others and not."""
    launches = int(fits(d, degree, dtype))
    check(gpu, random_paths(rng, 3, n_points, d, dtype=dtype), degree, rng, launches=launches, scalar_term=True)


@sizes
@pytest.mark.parametrize("n_points", [4, 130, 257, 300])
@pytest.mark.usefixtures("short_chunks")
def test_many_chunks(gpu: Gpu, d: int, degree: int, n_points: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    """2, 64 and 128 of them; with 300 points the last ones have nothing."""
    launches = int(fits(d, degree, dtype))
    check(gpu, random_paths(rng, 2, n_points, d, dtype=dtype), degree, rng, launches=launches)


@pytest.mark.parametrize(("d", "degree"), [(2, 3), (4, 3), (3, 3)])
@pytest.mark.parametrize("options", [{"time_aug": True}, {"time_aug": True, "end_time": 0.3}], ids=str)
@pytest.mark.parametrize("n_points", [7, 100])
def test_time(
    gpu: Gpu, d: int, degree: int, options: dict, n_points: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Its channel is in the signature and not in the gradient."""
    check(gpu, random_paths(rng, 5, n_points, d - 1, dtype=dtype), degree, rng, **options)


@pytest.mark.parametrize("batch", [1, 4, 9])
def test_batches_that_do_not_fill_their_blocks(gpu: Gpu, batch: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    check(gpu, random_paths(rng, batch, 70, 4, dtype=dtype), 3, rng)
    check(gpu, random_paths(rng, batch, 6, 2, dtype=dtype), 4, rng)


def test_strides(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    path = random_paths(rng, 4, 40, 8, dtype=dtype)
    given = gpu.array(path)
    for view in (lambda a: a[::2, ::-1, :4], lambda a: a[:, :, 1::2], lambda a: a[:, :, 3:7], lambda a: a[..., ::-4]):
        degree, x = 3, view(path)
        sig = siglib.sig(np.ascontiguousarray(x), degree)
        derivs = rng.standard_normal(sig.shape).astype(dtype)
        out = siglib.sig_backprop(view(given), gpu.array(sig), gpu.array(derivs), degree)
        expected = siglib.sig_backprop(np.ascontiguousarray(x), sig, derivs, degree)
        assert_close(gpu.numpy(out), expected, TOLERANCE[dtype.name])


def test_what_goes_through_several_launches(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead-lag, and paths that are too long for a block: the same gradient."""
    rng = np.random.default_rng(0)
    path = random_paths(rng, 2, 300, 4)
    together = check(gpu, path, 3, np.random.default_rng(1))
    check(gpu, path[:, :40, :2], 3, rng, launches=0, lead_lag=True)
    monkeypatch.setattr(blocks, "_MOST", 2)
    blocks.make_block.cache_clear()
    plans.forget()
    assert_close(check(gpu, path, 3, np.random.default_rng(1), launches=0), together, 1e-12)
    blocks.make_block.cache_clear()


def test_points_that_are_far_from_each_other(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Further than 32 bits tell; here further than from one end of a path to the other."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(blocks, "_NEAR", 4 * 64)
    check(gpu, random_paths(rng, 2, 30, 4), 3, rng, launches=0)


def test_bits_do_not_depend_on_the_batch(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    for d, degree, n_points in ((4, 3, 300), (4, 3, 70), (3, 2, 9), (2, 4, 1100)):
        path = random_paths(rng, 7, n_points, d, dtype=dtype)
        sig = siglib.sig(path, degree)
        derivs = rng.standard_normal(sig.shape).astype(dtype)
        arrays = tuple(map(gpu.array, (path, sig, derivs)))
        together = gpu.numpy(siglib.sig_backprop(*arrays, degree))
        for b in (0, 3, 6):
            alone = siglib.sig_backprop(*(array[b] for array in arrays), degree)
            assert_same_bits(gpu.numpy(alone), together[b])


@pytest.mark.parametrize(("d", "degree"), [(4, 3), (2, 5), (3, 3)])
@pytest.mark.parametrize("options", [{}, {"time_aug": True}], ids=str)
def test_points_between_chunks(gpu: Gpu, d: int, degree: int, options: dict) -> None:
    """Of a smooth path, whose gradients are small differences: as exact there as elsewhere."""
    path = smooth_path(6000, d - len(options), 2.0)
    gradient = check(gpu, path, degree, np.random.default_rng(0), **options)
    exact = path.astype(float)
    sig = siglib.sig(exact, degree, **options)
    derivs = np.random.default_rng(0).standard_normal(sig.shape).astype(np.float32)
    expected = siglib.sig_backprop(exact, sig, derivs.astype(float), degree, **options)
    assert_as_exact_everywhere(gradient[0], expected[0])


def test_not_a_number_stays_in_its_path(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    """Of a block that has several."""
    path = random_paths(rng, 5, 70, 4, dtype=dtype)
    sig = siglib.sig(path, 3)
    derivs = gpu.array(rng.standard_normal(sig.shape).astype(dtype))
    clean = gpu.numpy(siglib.sig_backprop(gpu.array(path), gpu.array(sig), derivs, 3))
    path[1, 50, 1] = np.nan
    spoiled = gpu.numpy(siglib.sig_backprop(gpu.array(path), gpu.array(sig), derivs, 3))
    assert_same_bits(np.delete(spoiled, 1, axis=0), np.delete(clean, 1, axis=0))
    assert np.isnan(spoiled[1]).all(axis=-1)[40:60].all()


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize(("d", "degree"), [(2, 4), (3, 3), (4, 3), (5, 2)])
@pytest.mark.usefixtures("short_chunks")
def test_checked(emulated: Gpu, rng: np.random.Generator, d: int, degree: int, falling: bool, dtype: np.dtype) -> None:
    emulated.cupy.MODE = "check"
    emulated.cupy.FALLING = falling
    check(emulated, random_paths(rng, 3, 6, d, dtype=dtype), degree, rng)
    check(emulated, random_paths(rng, 2, 30, d, dtype=dtype), degree, rng)
    check(emulated, random_paths(rng, 1, 300, d, dtype=dtype), degree, rng)
    check(emulated, random_paths(rng, 3, 40, d - 1, dtype=dtype), degree, rng, time_aug=True)


@pytest.mark.parametrize("itemsize", [4, 8])
@sizes
def test_blocks_have_room_for_all_chunks(d: int, degree: int, itemsize: int) -> None:
    plan = launcher.make_plan(d, degree, itemsize)
    if plan.s > 0:
        return
    for n in [*range(1, 300), 999, 4096, 4097, 9999, 16384, 32768, 32769, 100000]:
        block = blocks.make_block(d, degree, plan.t1, n, itemsize)
        if block is None:
            assert n > blocks._MOST * blocks.THREADS * plan.t1 // d
            continue
        assert block.columns * block.chunk >= n
        assert block.per_block * block.columns == blocks.THREADS * plan.t1 // d
        assert block.shared <= 48 << 10
