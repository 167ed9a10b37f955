"""Log-signatures on the GPU: against the definition and the CPU kernels, and every kernel in the check build."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu, tensors_on_gpu

import siglib
from siglib._gpu import log_signature as launchers
from siglib._tables import lyndon

TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
# (dimension, degree, method, dtype): every number of letters that kernels are compiled for, and others; every method.
CASES = [
    *[
        (d, n, 1, "float64")
        for d, n in ((1, 1), (1, 4), (2, 1), (2, 2), (2, 7), (3, 4), (4, 3), (5, 3), (6, 3), (17, 2))
    ],
    *[(d, n, 2, "float32") for d, n in ((1, 3), (2, 2), (2, 8), (3, 5), (6, 3))],
    *[(d, n, 0, "float64") for d, n in ((1, 5), (2, 1), (2, 3), (6, 2))],
    *[(d, n, 0, "float32") for d, n in ((2, 6), (7, 3))],
    (2, 8, 2, "float64"),
]
cases = pytest.mark.parametrize(("d", "degree", "method", "dtype"), CASES)
# A few of them, for builds that take long.
SOME = [(2, 5, 2, "float64"), (2, 4, 0, "float32"), (6, 3, 1, "float64"), (2, 2, 2, "float64")]


def expected_log(sig: np.ndarray, d: int, degree: int, method: int) -> np.ndarray:
    """The logarithm of tensors without scalar term."""
    levels = reference.log(reference.to_levels(sig, d, degree, 1.0))
    if method == 0:
        return reference.to_flat(levels)
    index = {word: i for i, word in enumerate(reference.words(d, degree)[1:])}
    found = reference.to_flat(levels)[..., [index[word] for word in reference.lyndon_words(d, degree)]]
    return found if method == 1 else np.linalg.solve(reference.lyndon_projection(d, degree), found[..., None])[..., 0]


def tensors(rng: np.random.Generator, batch: int, d: int, degree: int, dtype: str) -> np.ndarray:
    """Tensors that are no signatures: all their numbers count."""
    return rng.standard_normal((batch, siglib.sig_length(d, degree))).astype(dtype)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signature is too large for shared memory, and every second one for the scratch memory."""
    monkeypatch.setattr("siglib._gpu.sizes.SHARED_BYTES", 0)
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 1 << 12)


def check(gpu: Gpu, rng: np.random.Generator, batch: int, d: int, degree: int, method: int, dtype: str) -> None:
    """Values against the definition, gradients against the CPU kernels in double precision."""
    sig = tensors(rng, batch, d, degree, dtype)
    out = siglib.sig_to_log_sig(gpu.array(sig), d, degree, method=method)
    assert out.dtype == dtype
    assert_close(gpu.numpy(out), expected_log(sig, d, degree, method), TOLERANCE[dtype])
    derivs = rng.standard_normal(out.shape).astype(dtype)
    gradient = gpu.numpy(siglib.sig_to_log_sig_backprop(gpu.array(sig), gpu.array(derivs), d, degree, method=method))
    assert gradient.dtype == dtype
    exact = siglib.sig_to_log_sig_backprop(sig.astype(float), derivs.astype(float), d, degree, method=method)
    assert_close(gradient, exact, TOLERANCE[dtype])


@cases
def test_values_and_gradients(gpu: Gpu, rng: np.random.Generator, d: int, degree: int, method: int, dtype: str) -> None:
    check(gpu, rng, 5, d, degree, method, dtype)


@pytest.mark.parametrize(("d", "degree", "method", "dtype"), [*SOME, (1, 4, 1, "float32"), (1, 6, 0, "float64")])
def test_large_signatures(
    gpu: Gpu, large: None, rng: np.random.Generator, d: int, degree: int, method: int, dtype: str
) -> None:
    """With a launch for each step."""
    check(gpu, rng, 3, d, degree, method, dtype)


@pytest.mark.parametrize(("d", "degree", "method", "dtype"), SOME)
@pytest.mark.parametrize("falling", [False, True])
def test_checked(
    emulated: Gpu, rng: np.random.Generator, d: int, degree: int, method: int, dtype: str, falling: bool
) -> None:
    emulated.cupy.MODE = "check"
    emulated.cupy.FALLING = falling
    check(emulated, rng, 3, d, degree, method, dtype)


@pytest.mark.parametrize(("d", "degree", "method", "dtype"), SOME[:3])
def test_large_signatures_checked(
    emulated: Gpu, large: None, rng: np.random.Generator, d: int, degree: int, method: int, dtype: str
) -> None:
    emulated.cupy.MODE = "check"
    check(emulated, rng, 3, d, degree, method, dtype)


@pytest.mark.parametrize("method", [0, 1, 2])
def test_small_and_large_have_the_same_bits(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, method: int
) -> None:
    sig = gpu.array(tensors(rng, 5, 2, 6, "float32"))
    derivs = gpu.array(rng.standard_normal(siglib.sig_to_log_sig(sig, 2, 6, method=method).shape).astype("float32"))

    def both() -> tuple[np.ndarray, ...]:
        log_sig = siglib.sig_to_log_sig(sig, 2, 6, method=method)
        return gpu.numpy((log_sig, siglib.sig_to_log_sig_backprop(sig, derivs, 2, 6, method=method)))

    small = both()
    monkeypatch.setattr("siglib._gpu.sizes.SHARED_BYTES", 0)
    for one, other in zip(small, both(), strict=True):
        gpu.assert_same(one, other)


def test_results_before_the_basis_in_global_memory(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tensors fit into shared memory, the Lyndon words do not."""
    monkeypatch.setattr("siglib._gpu.sizes.SHARED_BYTES", 8 * (30 + 14))
    check(gpu, rng, 3, 2, 5, 2, "float64")
    monkeypatch.setattr("siglib._gpu.sizes.SHARED_BYTES", 8 * (62 + 30))
    check(gpu, rng, 3, 2, 6, 2, "float64")


@pytest.mark.parametrize("method", [0, 1])
def test_gradient_against_central_differences(gpu: Gpu, rng: np.random.Generator, method: int) -> None:
    sig = tensors(rng, 1, 2, 3, "float64")
    derivs = rng.standard_normal(expected_log(sig, 2, 3, method).shape)
    numeric = reference.numeric_gradient(lambda x: np.vdot(expected_log(x, 2, 3, method), derivs), sig)
    gradient = siglib.sig_to_log_sig_backprop(gpu.array(sig), gpu.array(derivs), 2, 3, method=method)
    assert_close(gpu.numpy(gradient), numeric, 1e-7)


def test_many_small_signatures_share_blocks(gpu: Gpu, rng: np.random.Generator) -> None:
    """Of several signatures in a block, the last block not full; none changes the bits of another."""
    sig = tensors(rng, 1031, 2, 2, "float64")
    together = gpu.numpy(siglib.sig_to_log_sig(gpu.array(sig), 2, 2))
    assert_close(together, expected_log(sig, 2, 2, 1))
    assert_same_bits(gpu.numpy(siglib.sig_to_log_sig(gpu.array(sig[7]), 2, 2)), together[7])
    derivs = rng.standard_normal((1031, 3))
    gradient = gpu.numpy(siglib.sig_to_log_sig_backprop(gpu.array(sig), gpu.array(derivs), 2, 2))
    assert_close(gradient, siglib.sig_to_log_sig_backprop(sig, derivs, 2, 2))


@pytest.mark.parametrize("method", [0, 1, 2])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)], ids=str)
def test_shapes_and_scalar_terms(gpu: Gpu, rng: np.random.Generator, shape: tuple[int, ...], method: int) -> None:
    sig = rng.standard_normal((*shape, siglib.sig_length(2, 3)))
    with_scalar = np.insert(sig, 0, 7.0, axis=-1)
    expected = siglib.sig_to_log_sig(with_scalar, 2, 3, method=method)
    out = siglib.sig_to_log_sig(gpu.array(with_scalar), 2, 3, method=method)
    assert_close(gpu.numpy(out), expected)
    derivs = rng.standard_normal(expected.shape)
    gradient = siglib.sig_to_log_sig_backprop(gpu.array(with_scalar), gpu.array(derivs), 2, 3, method=method)
    expected = siglib.sig_to_log_sig_backprop(with_scalar, derivs, 2, 3, method=method)
    assert_close(gpu.numpy(gradient), expected)


@pytest.mark.parametrize("method", [0, 1, 2])
@pytest.mark.parametrize("shape", [(3, 7), (7,)], ids=str)
def test_degree_zero(gpu: Gpu, shape: tuple[int, ...], method: int) -> None:
    sig = np.zeros((*shape[:-1], 1))
    out = siglib.sig_to_log_sig(gpu.array(sig), 2, 0, method=method)
    assert_close(gpu.numpy(out), siglib.sig_to_log_sig(sig, 2, 0, method=method))
    gradient = siglib.sig_to_log_sig_backprop(gpu.array(sig), out, 2, 0, method=method)
    assert_close(gpu.numpy(gradient), np.zeros(sig.shape))


@pytest.mark.parametrize("transform", [{}, {"time_aug": True, "lead_lag": True, "end_time": 0.5}], ids=str)
@pytest.mark.parametrize("method", [0, 1, 2])
def test_log_sig_of_paths_in_blocks(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, method: int, transform: dict
) -> None:
    """Blocks of paths, the last one not full, and their gradients."""
    monkeypatch.setattr("siglib.log_signatures.parts._BLOCK_PATHS", 2)
    monkeypatch.setattr("siglib._gpu.backends._GpuBackend.block_bytes", 0)
    path = random_paths(rng, 5, 6, 2)
    out = siglib.log_sig(gpu.array(path), 3, method=method, **transform)
    assert_close(gpu.numpy(out), siglib.log_sig(path, 3, method=method, **transform))
    derivs = rng.standard_normal(out.shape)
    gradient = siglib.log_sig_backprop(gpu.array(path), gpu.array(derivs), 3, method=method, **transform)
    assert_close(gpu.numpy(gradient), siglib.log_sig_backprop(path, derivs, 3, method=method, **transform))


@pytest.mark.parametrize("method", [0, 1, 2])
def test_gradients_of_tensors(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, method: int) -> None:
    torch = optional("torch")
    stream = tensors_on_gpu(monkeypatch, torch)
    path = torch.rand(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: siglib.log_sig(x, 3, method=method, time_aug=True), path)
    sig = torch.rand(2, 14, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: siglib.sig_to_log_sig(x, 2, 3, method=method), sig)
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}


def test_tables_are_copied_once(emulated: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    sig = emulated.array(tensors(rng, 2, 2, 4, "float64"))
    copied = []
    asarray = emulated.cupy.asarray
    monkeypatch.setattr(emulated.cupy, "asarray", lambda table: copied.append(1) or asarray(table))
    for _ in range(3):
        siglib.sig_to_log_sig(sig, 2, 4, method=2)
    assert len(copied) == 1
    siglib.clear_cache()
    siglib.sig_to_log_sig(sig, 2, 4, method=2)
    assert len(copied) == 2


@pytest.mark.parametrize("device", ["cuda", "both"])
def test_prepared(emulated: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """Nothing is left to build for the first call."""
    siglib.clear_cache()
    siglib.prepare_log_sig(2, 6, 2, device=device)
    for name in ("build_tables", "build_projection", "by_levels"):
        monkeypatch.setattr(lyndon, name, None)
    check(emulated, rng, 2, 2, 6, 2, "float64")


def test_signatures_beyond_32_bits_are_refused() -> None:
    """No such array is made: the launcher looks at shapes first."""
    sig = SimpleNamespace(shape=(1, 2**32 - 2))
    index = SimpleNamespace(shape=(0,))
    with pytest.raises(ValueError, match="4294967294 numbers is too long for the GPU"):
        launchers.sig_to_log_sig(sig, (index, *[None] * 5), None, 2, 31, 0, False, 1)


@pytest.mark.parametrize(("d", "degree"), [(1, 3), (2, 2), (2, 5), (2, 9), (3, 6), (5, 4)])
def test_levels_of_the_projection(d: int, degree: int) -> None:
    """Rows of a level read no row of the same or a later level, and all entries are there."""
    matrix = lyndon.build_projection(d, degree)
    size = len(matrix.starts) - 1
    dense = np.zeros((size, size), np.int64)
    dense[np.repeat(np.arange(size), np.diff(matrix.starts)), matrix.columns] = matrix.values
    for part, expected in ((matrix, dense), (lyndon.transposed(matrix), dense.T)):
        levels = lyndon.by_levels(part)
        found = np.zeros_like(dense)
        found[np.repeat(levels.rows, np.diff(levels.starts)), levels.columns] = levels.values
        np.testing.assert_array_equal(found, expected)
        level = np.full(size, -1)
        level[levels.rows] = np.searchsorted(levels.ends, np.arange(len(levels.rows)), side="right")
        assert (level[levels.columns] < np.repeat(level[levels.rows], np.diff(levels.starts))).all()
