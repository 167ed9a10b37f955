"""Branched signatures on the GPU: against the CPU, whose results are held against the definition elsewhere."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cases import random_paths, transforms
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu, tensors_on_gpu

import siglib
from siglib._gpu import sparse
from siglib.branched.log_sig import BRANCHED_LOG_SIG

# What is the same in all calls of what has no function of its own: the gradient of logarithms.
UNCHANGED = {"time_aug": False, "lead_lag": False, "end_time": 1.0, "scalar_term": False, "n_jobs": 1}
TOLERANCE = {"float64": 1e-13, "float32": 2e-5}
sizes = pytest.mark.parametrize(("d", "degree"), [(1, 1), (1, 4), (2, 1), (2, 4), (3, 3), (7, 2)])
planars = pytest.mark.parametrize("planar", [False, True], ids=["trees", "planar"])
methods = pytest.mark.parametrize(
    ("planar", "method"), [(False, 0), (True, 0), (True, 1), (True, 2), (True, 3)], ids=str
)
shapes = pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 3)], ids=str)


def same(gpu: Gpu, function: str, *args: Any, **options: Any) -> None:
    """A function of arrays gives what the CPU computes in float64."""
    arrays = [arg for arg in args if isinstance(arg, np.ndarray)]
    rest, dtype = args[len(arrays) :], arrays[0].dtype
    found = gpu.numpy(getattr(siglib, function)(*map(gpu.array, arrays), *rest, **options))
    expected = getattr(siglib, function)(*(array.astype(float) for array in arrays), *rest, **options)
    if not isinstance(found, tuple):
        found, expected = (found,), (expected,)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        assert_close(one, other, TOLERANCE[dtype.name])


def check(gpu: Gpu, rng: np.random.Generator, path: np.ndarray, degree: int, planar: bool, **options: Any) -> None:
    """Values and gradients of paths."""
    scalar_term = options.pop("scalar_term", False)
    same(gpu, "branched_sig", path, degree, planar=planar, scalar_term=scalar_term, **options)
    bsig = siglib.branched_sig(path, degree, planar=planar, scalar_term=scalar_term, **options)
    derivs = rng.standard_normal(bsig.shape).astype(path.dtype)
    same(gpu, "branched_sig_backprop", path, bsig, derivs, degree, planar=planar, **options)


def check_log(gpu: Gpu, rng: np.random.Generator, path: np.ndarray, degree: int, planar: bool, method: int) -> None:
    """Logarithms and their gradients."""
    same(gpu, "branched_log_sig", path, degree, planar=planar, method=method)
    shape = siglib.branched_log_sig(path, degree, planar=planar, method=method).shape
    derivs = rng.standard_normal(shape).astype(path.dtype)
    options = {"degree": degree, "planar": planar, "method": method, **UNCHANGED}
    found = gpu.numpy(BRANCHED_LOG_SIG.backprop(gpu.array(derivs), None, gpu.array(path), **options)[0])
    assert found.dtype == path.dtype
    expected = BRANCHED_LOG_SIG.backprop(derivs.astype(float), None, path.astype(float), **options)[0]
    assert_close(found, expected, TOLERANCE[path.dtype.name])


@sizes
@planars
def test_values_and_gradients(
    gpu: Gpu, rng: np.random.Generator, d: int, degree: int, planar: bool, dtype: np.dtype
) -> None:
    check(gpu, rng, random_paths(rng, 3, 5, d, dtype=dtype), degree, planar)


@planars
def test_checked(checked_gpu: Gpu, rng: np.random.Generator, planar: bool) -> None:
    check(checked_gpu, rng, random_paths(rng, 3, 4, 2), 3, planar, scalar_term=True)
    same(checked_gpu, "linear_branched_sig", rng.standard_normal((3, 2)), 2, 3, planar=planar, scalar_term=True)


@transforms
@planars
def test_transforms(gpu: Gpu, rng: np.random.Generator, planar: bool, transform: dict) -> None:
    check(gpu, rng, random_paths(rng, 2, 4, 2), 3, planar, **transform)
    same(gpu, "branched_log_sig", random_paths(rng, 2, 4, 2), 3, planar=planar, **transform)


@planars
@pytest.mark.parametrize("scalar_term", [False, True])
@shapes
def test_shapes_and_scalar_terms(
    gpu: Gpu, rng: np.random.Generator, shape: tuple[int, ...], planar: bool, scalar_term: bool
) -> None:
    for degree in (0, 3):
        check(gpu, rng, random_paths(rng, *shape, 4, 2), degree, planar, scalar_term=scalar_term)
        options = {"planar": planar, "scalar_term": scalar_term}
        same(gpu, "branched_log_sig", random_paths(rng, *shape, 4, 2), degree, method=0, **options)


@planars
@pytest.mark.parametrize("length", [0, 1, 2])
def test_short_paths(gpu: Gpu, rng: np.random.Generator, planar: bool, length: int) -> None:
    check(gpu, rng, random_paths(rng, 3, length, 2), 3, planar)
    same(gpu, "branched_log_sig", random_paths(rng, 3, length, 2), 3, planar=planar)


@methods
def test_logarithms(gpu: Gpu, rng: np.random.Generator, planar: bool, method: int, dtype: np.dtype) -> None:
    for d, degree in ((1, 3), (2, 4), (3, 3)):
        path = random_paths(rng, 3, 5, d, dtype=dtype)
        check_log(gpu, rng, path, degree, planar, method)


@planars
@pytest.mark.parametrize("items", [1, 4])
@pytest.mark.parametrize("batch", [1, 4, 5, 12, 13, 42, 43, 85, 86, 170, 173])
def test_batches_that_fill_blocks_and_do_not(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, planar: bool, items: int, batch: int
) -> None:
    """256 threads have 42 and some paths of 6 trees each, or as many groups of 4; no path changes another's bits."""
    monkeypatch.setattr(sparse, "_BUSY_THREADS", 0 if items > 1 else 2**40)
    path = random_paths(rng, batch, 4, 2)
    check(gpu, rng, path, 2, planar, scalar_term=True)
    out = gpu.numpy(siglib.branched_sig(gpu.array(path), 2, planar=planar))
    assert_same_bits(out[-1], gpu.numpy(siglib.branched_sig(gpu.array(path[-1]), 2, planar=planar)))


def test_many_paths_share_the_matrix(emulated: Gpu, rng: np.random.Generator) -> None:
    """Where there are enough of them."""
    for batch, kernel in ((700, "apply_sparse<float, 1>"), (900, "apply_sparse<float, 4>")):
        emulated.cupy.LOG.clear()
        same(emulated, "branched_sig", random_paths(rng, batch, 3, 2, dtype=np.float32), 3)
        assert [launch.name for launch in emulated.cupy.LOG][-1] == kernel


@methods
def test_paths_in_blocks(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, planar: bool, method: int
) -> None:
    """Blocks of paths, the last one not full."""
    monkeypatch.setattr("siglib.log_signatures.parts._BLOCK_PATHS", 2)
    monkeypatch.setattr("siglib._gpu.backends._GpuBackend.block_bytes", 0)
    path = random_paths(rng, 5, 4, 2)
    check(gpu, rng, path, 3, planar)
    check_log(gpu, rng, path, 3, planar, method)


@planars
@pytest.mark.parametrize("scalar_term", [False, True])
def test_segments(gpu: Gpu, rng: np.random.Generator, planar: bool, scalar_term: bool, dtype: np.dtype) -> None:
    for d, degree in ((1, 3), (2, 4), (3, 0)):
        displacement = rng.standard_normal((3, d)).astype(dtype)
        length = siglib.branched_sig_length(d, degree, planar=planar) + scalar_term
        derivs = rng.standard_normal((3, length)).astype(dtype)
        options = {"planar": planar, "scalar_term": scalar_term}
        same(gpu, "linear_branched_sig", displacement, d, degree, **options)
        same(gpu, "linear_branched_sig_backprop", derivs, displacement, d, degree, **options)
        same(gpu, "linear_branched_log_sig", displacement, d, degree, **options)


def vectors(rng: np.random.Generator, batch: int, d: int, degree: int, planar: bool, dtype: Any = float) -> np.ndarray:
    """Two vectors that are no branched signatures, and derivatives: all their numbers count."""
    return rng.standard_normal((3, batch, siglib.branched_sig_length(d, degree, planar=planar))).astype(dtype)


@pytest.mark.parametrize(("d", "degree"), [(1, 1), (1, 5), (2, 1), (2, 4), (3, 3), (7, 2), (2, 0)])
@planars
def test_products(gpu: Gpu, rng: np.random.Generator, d: int, degree: int, planar: bool, dtype: np.dtype) -> None:
    first, second, derivs = vectors(rng, 3, d, degree, planar, dtype)
    same(gpu, "branched_sig_combine", first, second, d, degree, planar=planar)
    same(gpu, "branched_sig_combine_backprop", derivs, first, second, d, degree, planar=planar)


@planars
@pytest.mark.parametrize("batch", [0, 1, 42, 43, 85, 86])
def test_batches_of_products(gpu: Gpu, rng: np.random.Generator, planar: bool, batch: int) -> None:
    """That fill blocks of threads and do not."""
    first, second, derivs = vectors(rng, batch, 2, 2, planar)
    same(gpu, "branched_sig_combine", first, second, 2, 2, planar=planar)
    same(gpu, "branched_sig_combine_backprop", derivs, first, second, 2, 2, planar=planar)


@planars
def test_scalar_terms_of_products(gpu: Gpu, rng: np.random.Generator, planar: bool) -> None:
    for degree in (0, 3):
        plain = vectors(rng, 4, 2, degree, planar)
        first, second, derivs = np.insert(plain, 0, 7.0, axis=-1)
        for one, other in ((first, second), (plain[0], second)):
            same(gpu, "branched_sig_combine", one, other, 2, degree, planar=planar)
            same(gpu, "branched_sig_combine_backprop", derivs, one, other, 2, degree, planar=planar)


@planars
def test_products_checked(checked_gpu: Gpu, rng: np.random.Generator, planar: bool) -> None:
    first, second, derivs = np.insert(vectors(rng, 3, 2, 4, planar), 0, 7.0, axis=-1)
    same(checked_gpu, "branched_sig_combine", first, second, 2, 4, planar=planar)
    same(checked_gpu, "branched_sig_combine_backprop", derivs, first, second, 2, 4, planar=planar)


@planars
@pytest.mark.parametrize("prepend", [False, True])
def test_joins(gpu: Gpu, rng: np.random.Generator, planar: bool, prepend: bool, dtype: np.dtype) -> None:
    for degree in (0, 3):
        bsig, _, derivs = vectors(rng, 4, 2, degree, planar, dtype)
        displacement = rng.standard_normal((4, 2)).astype(dtype)
        options = {"planar": planar, "prepend": prepend}
        same(gpu, "branched_sig_join", bsig, displacement, 2, degree, **options)
        same(gpu, "branched_sig_join_backprop", derivs, bsig, displacement, 2, degree, **options)


series = pytest.mark.parametrize(("planar", "method"), [(False, 0), (True, 0), (True, 1), (True, 2)], ids=str)


def check_series(
    gpu: Gpu, rng: np.random.Generator, bsig: np.ndarray, d: int, degree: int, planar: bool, method: int
) -> None:
    """Logarithms, exponentials and gradients of vectors with or without scalar term."""
    options = {"planar": planar, "method": method}
    same(gpu, "branched_sig_to_log_sig", bsig, d, degree, **options)
    log = siglib.branched_sig_to_log_sig(bsig, d, degree, **options)
    derivs = rng.standard_normal(log.shape).astype(bsig.dtype)
    same(gpu, "branched_sig_to_log_sig_backprop", bsig, derivs, d, degree, **options)
    log = rng.standard_normal(log.shape).astype(bsig.dtype)
    same(gpu, "branched_logsig_to_sig", log, d, degree, **options)
    shape = siglib.branched_logsig_to_sig(log, d, degree, **options).shape
    derivs = rng.standard_normal(shape).astype(bsig.dtype)
    same(gpu, "branched_logsig_to_sig_backprop", log, derivs, d, degree, **options)


@series
@pytest.mark.parametrize(("d", "degree"), [(1, 1), (1, 5), (2, 1), (2, 4), (3, 3), (2, 0)])
def test_series(
    gpu: Gpu, rng: np.random.Generator, d: int, degree: int, planar: bool, method: int, dtype: np.dtype
) -> None:
    bsig = vectors(rng, 3, d, degree, planar, dtype)[0]
    check_series(gpu, rng, bsig, d, degree, planar, method)
    check_series(gpu, rng, np.insert(bsig, 0, 7.0, axis=-1), d, degree, planar, method)
    check_series(gpu, rng, bsig[:0], d, degree, planar, method)


@series
def test_series_in_slabs(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, planar: bool, method: int
) -> None:
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 0)
    check_series(gpu, rng, vectors(rng, 3, 2, 3, planar)[0], 2, 3, planar, method)


@series
def test_series_checked(checked_gpu: Gpu, rng: np.random.Generator, planar: bool, method: int) -> None:
    check_series(checked_gpu, rng, np.insert(vectors(rng, 3, 2, 4, planar)[0], 0, 7.0, axis=-1), 2, 4, planar, method)


@pytest.mark.parametrize("prepend", [False, True])
def test_joins_of_logarithms(gpu: Gpu, rng: np.random.Generator, prepend: bool, dtype: np.dtype) -> None:
    for degree in (0, 1, 3):
        length = siglib.branched_log_sig_length(2, degree, planar=True)
        first, second, derivs = rng.standard_normal((3, 4, length)).astype(dtype)
        same(gpu, "branched_log_sig_combine", first, second, 2, degree)
        same(gpu, "branched_log_sig_combine_backprop", derivs, first, second, 2, degree)
        displacement = rng.standard_normal((4, 2)).astype(dtype)
        same(gpu, "branched_log_sig_join", first, displacement, 2, degree, prepend=prepend)
        same(gpu, "branched_log_sig_join_backprop", derivs, first, displacement, 2, degree, prepend=prepend)


@planars
def test_gradients_of_tensors(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, planar: bool) -> None:
    torch = optional("torch")
    stream = tensors_on_gpu(monkeypatch, torch)
    path = torch.rand(2, 4, 2, dtype=torch.float64, requires_grad=True)
    for function in (siglib.branched_sig, siglib.branched_log_sig):
        assert torch.autograd.gradcheck(lambda x, f=function: f(x, 3, planar=planar, time_aug=True), path)
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}


def test_tables_are_copied_once(emulated: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    path = emulated.array(random_paths(rng, 2, 4, 2))
    copied = []
    asarray = emulated.cupy.asarray
    monkeypatch.setattr(emulated.cupy, "asarray", lambda table: copied.append(1) or asarray(table))
    for _ in range(3):
        siglib.branched_sig(path, 3)
    assert len(copied) == 1
    siglib.clear_cache()
    siglib.branched_sig(path, 3)
    assert len(copied) == 2


def test_vectors_beyond_32_bits_are_refused() -> None:
    """No such array is made: the launcher looks at shapes first."""
    small, large = SimpleNamespace(shape=(1, 3)), SimpleNamespace(shape=(1, 2**31))
    matrix = (SimpleNamespace(shape=(4,)), None, None)
    for vectors, out in ((small, large), (large, small)):
        with pytest.raises(ValueError, match="2147483648 numbers is too long for the GPU"):
            sparse.apply(vectors, *matrix, out, 0, 0.0, 1)


@pytest.mark.parametrize("planar", [False, True], ids=["trees", "planar"])
def test_windows_and_coefficients(gpu: Gpu, rng: np.random.Generator, planar: bool) -> None:
    path = random_paths(rng, 3, 12, 2)
    trees = [((0,), 1), None, ((0,), (1,), 0)] if not planar else [((0,), (1,)), None, (((0,), 1),)]
    for call in (
        lambda x: siglib.branched_sig_coef(x, trees, planar=planar),
        lambda x: siglib.branched_sig_windows(x, 3, 5, 2, planar=planar),
        lambda x: siglib.branched_sig_prefixes(x, 2, planar=planar, time_aug=True),
        lambda x: siglib.branched_log_sig_windows(x, 3, 5, planar=planar),
    ):
        assert_close(gpu.numpy(call(gpu.array(path))), call(path), 1e-12)
    coefs = siglib.branched_sig_coef(path, trees, planar=planar)
    derivs = rng.standard_normal(coefs.shape)
    found = siglib.branched_sig_coef_backprop(
        gpu.array(path), trees, gpu.array(coefs), gpu.array(derivs), planar=planar
    )
    assert_close(gpu.numpy(found), siglib.branched_sig_coef_backprop(path, trees, coefs, derivs, planar=planar), 1e-11)
