"""Gradients of signatures on the GPU: against the definition, and every kernel in the check build."""

import numpy as np
import pytest
import reference
from cases import TRANSFORMS, random_paths
from checking import assert_as_exact_everywhere, assert_close, assert_same_bits, optional, smooth_path
from gpu import Gpu, tensors_on_gpu

import siglib
from siglib._gpu import signature_backprop as launcher

TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
# Every depth of the tree with and without a suffix, letters compiled in and not, tiles that fit and that do not, items
# that share a block and that fill several.
SIZES = [
    *[(1, 1), (1, 6), (2, 1), (2, 2), (2, 3), (2, 7), (3, 2), (3, 3), (3, 5), (4, 2), (4, 4), (5, 2), (5, 4), (6, 2)],
    *[(6, 3), (7, 4), (9, 2), (10, 3), (17, 2), (17, 3), (20, 1), (33, 2)],
]
sizes = pytest.mark.parametrize(("d", "degree"), SIZES)
# A few of them, for builds that take long.
SOME = pytest.mark.parametrize(("d", "degree"), [(2, 4), (2, 6), (4, 3), (3, 4), (5, 3), (7, 3), (17, 2)])


def check(
    gpu: Gpu,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    degree: int,
    dtype: np.dtype,
    scalar_term: bool = False,
    **options: object,
) -> np.ndarray:
    """The gradient, compared with the exact one."""
    path = random_paths(rng, *shape, dtype=dtype)
    sig = reference.signature(path, degree, scalar_term=scalar_term, **options).astype(dtype)
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    out = siglib.sig_backprop(gpu.array(path), gpu.array(sig), gpu.array(derivs), degree, **options)
    assert out.dtype == dtype
    gradient = gpu.numpy(out)
    expected = reference.signature_gradient(path, derivs[:, scalar_term:], degree, **options)
    assert_close(gradient, expected, TOLERANCE[np.dtype(dtype).name])
    return gradient


@sizes
def test_gradients(gpu: Gpu, d: int, degree: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    check(gpu, rng, (3, 7, d), degree, dtype)
    check(gpu, rng, (2, 2, d), degree, dtype, scalar_term=True)


@pytest.mark.parametrize(("d", "degree"), [(1, 1), (1, 3), (2, 3), (3, 2), (4, 2)])
@pytest.mark.parametrize("transform", TRANSFORMS[1:], ids=str)
def test_transforms(gpu: Gpu, d: int, degree: int, transform: dict, dtype: np.dtype, rng: np.random.Generator) -> None:
    check(gpu, rng, (3, 9, d), degree, dtype, **transform)


@pytest.mark.parametrize(("d", "degree"), [(1, 3), (2, 3), (6, 2)])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_central_differences(gpu: Gpu, d: int, degree: int, transform: dict, rng: np.random.Generator) -> None:
    path = random_paths(rng, 1, 4, d)
    sig = reference.signature(path, degree, **transform)
    derivs = rng.standard_normal(sig.shape)
    numeric = reference.numeric_gradient(lambda x: np.vdot(reference.signature(x, degree, **transform), derivs), path)
    gradient = siglib.sig_backprop(gpu.array(path), gpu.array(sig), gpu.array(derivs), degree, **transform)
    assert_close(gpu.numpy(gradient), numeric, 1e-7)


@pytest.mark.parametrize(("d", "degree", "length"), [(2, 2, 200), (2, 5, 300), (6, 2, 300)])
def test_long_paths_are_cut(
    gpu: Gpu,
    monkeypatch: pytest.MonkeyPatch,
    d: int,
    degree: int,
    length: int,
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    """Chunks of equal and of unequal length."""
    monkeypatch.setattr(launcher, "make_block", lambda *args: None)
    check(gpu, rng, (2, length, d), degree, dtype)


@pytest.mark.parametrize("n_points", [8, 10, 13, 16, 31])
@pytest.mark.parametrize(("d", "degree", "transform"), [(2, 4, {}), (3, 3, {"time_aug": True, "lead_lag": True})])
def test_any_number_of_chunks(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, n_points: int, d: int, degree: int, transform: dict
) -> None:
    """Odd and even numbers of them; with lead-lag, chunks end at points."""
    monkeypatch.setattr(launcher, "_chunk", lambda *args: 4 if transform else 3)
    monkeypatch.setattr(launcher, "make_block", lambda *args: None)
    rng = np.random.default_rng(n_points)
    check(gpu, rng, (2, n_points, d), degree, np.dtype(np.float64), **transform)


@pytest.mark.parametrize(
    ("dimension", "degree", "length", "options"),
    [
        (2, 4, 4000, {}),
        (6, 3, 2003, {}),
        (2, 4, 4000, {"time_aug": True}),
        (1, 4, 4000, {"lead_lag": True}),
        (2, 4, 2001, {"lead_lag": True}),
    ],
)
@pytest.mark.parametrize("staged", [True, False])
def test_gradients_at_the_borders_of_chunks(
    gpu: Gpu,
    monkeypatch: pytest.MonkeyPatch,
    dimension: int,
    degree: int,
    length: int,
    options: dict,
    staged: bool,
) -> None:
    if not staged:
        monkeypatch.setattr(launcher, "shared_bytes", lambda: 0)
    monkeypatch.setattr(launcher, "make_block", lambda *args: None)
    path = smooth_path(length, dimension, 2.0)
    exact = path.astype(float)
    sig = siglib.sig(exact, degree, **options)
    derivs = np.random.default_rng(0).standard_normal(sig.shape).astype(np.float32)
    given = map(gpu.array, (path, sig.astype(np.float32), derivs))
    gradient = gpu.numpy(siglib.sig_backprop(*given, degree, **options))
    expected = siglib.sig_backprop(exact, sig, derivs.astype(float), degree, **options)
    assert_close(gradient, expected, 1e-4)
    assert_as_exact_everywhere(gradient[0], expected[0])


def test_bits_do_not_depend_on_the_batch(gpu: Gpu, rng: np.random.Generator) -> None:
    for d, degree, length in ((2, 6, 300), (8, 3, 9), (3, 5, 20)):
        path = random_paths(rng, 11, length, d, dtype=np.float32)
        sig = siglib.sig(path, degree)
        derivs = rng.standard_normal(sig.shape).astype(np.float32)
        arrays = tuple(map(gpu.array, (path, sig, derivs)))
        together = gpu.numpy(siglib.sig_backprop(*arrays, degree))
        for b in (0, 7):
            alone = siglib.sig_backprop(*(array[b] for array in arrays), degree)
            assert_same_bits(gpu.numpy(alone), together[b])


def test_slabs(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scratch memory for a part of the batch at a time changes nothing."""
    monkeypatch.setattr(launcher, "make_block", lambda *args: None)
    for shape, degree in (((5, 200, 2), 2), ((4, 5, 3), 4)):
        gradients = []
        for n_bytes in (1 << 30, 2 << 13):
            monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", n_bytes)
            gradients.append(check(gpu, np.random.default_rng(0), shape, degree, np.dtype(np.float64)))
        assert_same_bits(*gradients)


def test_blocks_that_take_several_parts(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(launcher, "_MOST_SUMS", 2)
    check(gpu, rng, (2, 4, 3), 8, np.dtype(np.float32))
    check(gpu, rng, (2, 4, 7), 5, np.dtype(np.float64))


def test_increments_that_do_not_fit_into_shared_memory(
    checked_gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(launcher, "shared_bytes", lambda: 0)
    check(checked_gpu, rng, (3, 5, 7), 3, np.dtype(np.float64))
    check(checked_gpu, rng, (2, 5, 4), 2, np.dtype(np.float64), time_aug=True, lead_lag=True)


@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 2), (3, 1, 2), (1, 0, 5, 2), (2, 3, 4, 2), (4, 2)])
@pytest.mark.parametrize("degree", [0, 1, 3])
def test_edges(gpu: Gpu, shape: tuple[int, ...], degree: int) -> None:
    path = np.arange(np.prod(shape), dtype=float).reshape(shape) ** 2 / 100
    sig = siglib.sig(path, degree)
    derivs = np.cos(np.arange(sig.size)).reshape(sig.shape)
    out = gpu.numpy(siglib.sig_backprop(gpu.array(path), gpu.array(sig), gpu.array(derivs), degree))
    assert_close(out, siglib.sig_backprop(path, sig, derivs, degree), 1e-13)


def test_strides(gpu: Gpu, rng: np.random.Generator) -> None:
    path = random_paths(rng, 6, 8, 4)
    given = gpu.array(path)
    for view in (lambda a: a[::2, ::-1], lambda a: a.transpose(1, 2, 0), lambda a: a[:, :, 1::2], lambda a: a.T):
        sig = siglib.sig(np.ascontiguousarray(view(path)), 3)
        derivs = rng.standard_normal(sig.shape)
        out = siglib.sig_backprop(view(given), gpu.array(sig), gpu.array(derivs), 3)
        assert_close(gpu.numpy(out), siglib.sig_backprop(np.ascontiguousarray(view(path)), sig, derivs, 3))


def test_not_a_number_stays_in_its_path(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    """Also where several paths share a block."""
    path = random_paths(rng, 11, 6, 3, dtype=dtype)
    sig = siglib.sig(path, 3)
    derivs = gpu.array(rng.standard_normal(sig.shape).astype(dtype))
    clean = gpu.numpy(siglib.sig_backprop(gpu.array(path), gpu.array(sig), derivs, 3))
    path[4, 2, 1] = np.nan
    spoiled = gpu.numpy(siglib.sig_backprop(gpu.array(path), gpu.array(sig), derivs, 3))
    assert_same_bits(np.delete(spoiled, 4, axis=0), np.delete(clean, 4, axis=0))
    assert np.isnan(spoiled[4]).any()


def test_gradients_of_tensors(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = optional("torch")
    stream = tensors_on_gpu(monkeypatch, torch)
    path = torch.rand(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: siglib.sig(x, 3, lead_lag=True, scalar_term=True), path)
    monkeypatch.setattr(launcher, "_chunk", lambda *args: 2)
    path = torch.rand(2, 2, 6, dtype=torch.float64).mT.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: siglib.sig(x, 3), path)
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}


@SOME
@pytest.mark.parametrize("falling", [False, True])
def test_checked(
    emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, d: int, degree: int, falling: bool
) -> None:
    emulated.cupy.MODE = "check"
    emulated.cupy.FALLING = falling
    monkeypatch.setattr(launcher, "make_block", lambda *args: None)
    check(emulated, rng, (3, 6, d), degree, np.dtype(np.float64))
    monkeypatch.setattr(launcher, "_chunk", lambda *args: 3)
    check(emulated, rng, (2, 9, d), degree, np.dtype(np.float64))


@pytest.mark.parametrize("options", [{}, {"lead_lag": True}, {"time_aug": True, "lead_lag": True}], ids=str)
@pytest.mark.parametrize("d", [4, 6, 8])
def test_points_checked(
    emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, d: int, options: dict, dtype: np.dtype
) -> None:
    """Several channels at a time, where they lie at multiples of so many."""
    emulated.cupy.MODE = "check"
    monkeypatch.setattr(launcher, "make_block", lambda *args: None)
    monkeypatch.setattr(launcher, "_chunk", lambda *args: 4)
    check(emulated, rng, (2, 11, d), 2, dtype, **options)


@pytest.mark.parametrize("options", [{}, {"time_aug": True, "lead_lag": True}], ids=str)
def test_one_level_checked(emulated: Gpu, rng: np.random.Generator, options: dict) -> None:
    emulated.cupy.MODE = "check"
    check(emulated, rng, (3, 5, 2), 1, np.dtype(np.float32), **options)
    check(emulated, rng, (3, 5, 1), 4, np.dtype(np.float32))


@pytest.mark.parametrize("itemsize", [4, 8])
def test_every_plan_covers_all_words(itemsize: int) -> None:
    """Tiles and suffixes together are all words of full length; every letter has its place in a staged increment."""
    for d in [*range(2, 40), 70, 128, 1000]:
        for degree in range(2, 9 if d < 6 else 6):
            plan = launcher.make_plan(d, degree, itemsize)
            assert plan.s + plan.p == degree
            roots, tops = -(-d // plan.t1), -(-d // plan.t2)
            assert plan.n_items == d**plan.s * roots * (1 if plan.literal else tops)
            assert plan.padded >= max(roots * plan.t1, tops * plan.t2) >= d
            assert plan.literal == d or (plan.p == 2 and plan.literal == 0)
