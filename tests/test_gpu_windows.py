"""Signatures of windows and prefixes on the GPU: the definition, edges, and every kernel in the check build."""

import numpy as np
import pytest
from cases import random_paths, transforms
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu, tensors_on_gpu
from reference_windows import by_definition, gradient_by_definition, random_windows, sliding

import siglib
from siglib._gpu import window_plan

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
# Suffixes of every length, all letters in a tile and not.
SIZES = [(1, 5), (2, 1), (2, 2), (2, 7), (3, 3), (3, 4), (5, 3), (6, 2), (9, 2), (11, 3), (20, 1)]
sizes = pytest.mark.parametrize(("dimension", "degree"), SIZES)


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (2, 1), (2, 3), (5, 1), (5, 2), (5, 9), (13, 1), (14, 1)])
def test_sliding_windows(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, window: int, stride: int) -> None:
    paths = random_paths(rng, 3, 14, 3, dtype=dtype)
    starts, ends = sliding(14, window, stride)
    out = siglib.sig_windows(gpu.array(paths), 3, window, stride)
    assert out.dtype == dtype
    assert_close(gpu.numpy(out), by_definition(paths, starts, ends, 3), TOLERANCE[dtype.name])


@sizes
def test_any_windows(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int) -> None:
    paths = random_paths(rng, 3, 12, dimension, dtype=dtype)
    for shape, scalar_term in (((13,), False), ((3, 9), True)):
        starts, ends = random_windows(rng, 12, *shape)
        out = siglib.sig_windows(gpu.array(paths), degree, starts=starts, ends=ends, scalar_term=scalar_term)
        expected = by_definition(paths, starts, ends, degree, scalar_term=scalar_term)
        assert_close(gpu.numpy(out), expected, TOLERANCE[dtype.name])


@pytest.mark.parametrize("scalar_term", [False, True])
@sizes
def test_prefixes(gpu: Gpu, rng: np.random.Generator, dimension: int, degree: int, scalar_term: bool) -> None:
    paths = random_paths(rng, 2, 9, dimension)
    expected = by_definition(paths, np.zeros(9, int), np.arange(1, 10), degree, scalar_term=scalar_term)
    out = siglib.sig_prefixes(gpu.array(paths), degree, scalar_term=scalar_term)
    assert_close(gpu.numpy(out), expected, TOLERANCE["float64"])


@pytest.mark.parametrize(("dimension", "degree"), [(2, 4), (9, 2)])
def test_in_the_check_build(checked_gpu: Gpu, rng: np.random.Generator, dimension: int, degree: int) -> None:
    paths = random_paths(rng, 2, 7, dimension)
    starts, ends = random_windows(rng, 7, 2, 6)
    out = siglib.sig_windows(checked_gpu.array(paths), degree, starts=starts, ends=ends, scalar_term=True)
    assert_close(checked_gpu.numpy(out), by_definition(paths, starts, ends, degree, scalar_term=True), 1e-12)
    expected = by_definition(paths, np.zeros(7, int), np.arange(1, 8), degree)
    assert_close(checked_gpu.numpy(siglib.sig_prefixes(checked_gpu.array(paths), degree)), expected, 1e-12)


@transforms
def test_transforms_come_before_windows(gpu: Gpu, rng: np.random.Generator, transform: dict) -> None:
    path = random_paths(rng, 9, 2)
    transformed = siglib.transform_path(path, **transform)
    scale = 2 if transform.get("lead_lag") else 1
    starts, ends = np.array([0, 3, 9, 4]), np.array([4, 9, 9, 4])
    expected = [
        siglib.sig(transformed[scale * i : max(scale * (j - 1), scale * i) + 1], 3)
        for i, j in zip(starts, ends, strict=True)
        if i < 9
    ]
    out = gpu.numpy(siglib.sig_windows(gpu.array(path), 3, starts=starts, ends=ends, **transform))
    assert_close(np.delete(out, 2, axis=0), np.array(expected), 1e-12)
    assert not out[2].any()


@pytest.mark.parametrize("method", [0, 1, 2])
def test_log_signatures(gpu: Gpu, rng: np.random.Generator, method: int) -> None:
    paths = random_paths(rng, 2, 8, 3)
    expected = siglib.log_sig_windows(paths, 3, 4, 2, method=method)
    assert_close(gpu.numpy(siglib.log_sig_windows(gpu.array(paths), 3, 4, 2, method=method)), expected, 1e-12)
    expected = siglib.log_sig_prefixes(paths, 3, method=method)
    assert_close(gpu.numpy(siglib.log_sig_prefixes(gpu.array(paths), 3, method=method)), expected, 1e-12)


def test_windows_given_on_the_gpu(gpu: Gpu, rng: np.random.Generator) -> None:
    path = random_paths(rng, 2, 9, 2)
    starts, ends = random_windows(rng, 9, 2, 5)
    out = siglib.sig_windows(gpu.array(path), 2, starts=gpu.array(starts), ends=gpu.array(ends))
    assert_close(gpu.numpy(out), by_definition(path, starts, ends, 2), 1e-12)


def test_strides(gpu: Gpu, rng: np.random.Generator) -> None:
    path = random_paths(rng, 18, 4, 3)
    out = siglib.sig_windows(gpu.array(path)[::2].swapaxes(0, 1)[..., ::-1], 2, 4)
    starts, ends = sliding(9, 4, 1)
    assert_close(gpu.numpy(out), by_definition(path[::2].swapaxes(0, 1)[..., ::-1], starts, ends, 2), 1e-12)


@pytest.mark.parametrize("n_bytes", [1, 2000, 20000])
def test_bits_do_not_depend_on_batch_and_slabs(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    paths = random_paths(rng, 3, 30, 3)
    starts, ends = random_windows(rng, 30, 3, 17)
    whole = gpu.numpy(siglib.sig_windows(gpu.array(paths), 3, 6))
    any_windows = gpu.numpy(siglib.sig_windows(gpu.array(paths), 3, starts=starts, ends=ends))
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", n_bytes)
    assert_same_bits(gpu.numpy(siglib.sig_windows(gpu.array(paths), 3, 6)), whole)
    assert_same_bits(gpu.numpy(siglib.sig_windows(gpu.array(paths), 3, starts=starts, ends=ends)), any_windows)
    for k, path in enumerate(paths):
        assert_same_bits(gpu.numpy(siglib.sig_windows(gpu.array(path), 3, 6)), whole[k])
        one = gpu.numpy(siglib.sig_windows(gpu.array(path), 3, starts=starts[k], ends=ends[k]))
        assert_same_bits(one, any_windows[k])


def test_blocks_of_few_windows(gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What memory asks for where signatures are large."""
    paths = random_paths(rng, 2, 20, 2)
    monkeypatch.setattr(window_plan, "_BLOCK_BYTES", 0)
    monkeypatch.setattr(window_plan, "_LEAST_WINDOWS", 3)
    starts, ends = sliding(20, 12, 1)
    out = gpu.numpy(siglib.sig_windows(gpu.array(paths), 3, 12))
    assert_close(out, by_definition(paths, starts, ends, 3), 1e-12)
    plan = window_plan.plan_for(20, starts[None], ends[None] - 1, np.arange(9)[None], 1)
    assert plan.block_windows.tolist() == [0, 3, 6, 9]


def test_what_is_shared(emulated: Gpu, rng: np.random.Generator) -> None:
    """Prefixes and windows that do not overlap are written by scans; a plan is made once for the same windows."""
    path = emulated.array(random_paths(rng, 2, 20, 2))
    for call, n_products in (
        (lambda: siglib.sig_prefixes(path, 3), 0),
        (lambda: siglib.sig_windows(path, 3, 5, 5), 0),
        (lambda: siglib.sig_windows(path, 3, 5, 4), 0),
        (lambda: siglib.sig_windows(path, 3, 5, 3), 1),
        (lambda: siglib.sig_windows(path, 3, starts=[3, 3], ends=[5, 5]), 1),
    ):
        emulated.cupy.LOG.clear()
        call()
        assert sum("windows_multiply" in launch.name for launch in emulated.cupy.LOG) == n_products
        plans = len(window_plan._plans)
        call()
        assert len(window_plan._plans) == plans
    assert next(reversed(window_plan._plans.values())).row_steps.tolist() == [1, 0]


def test_plans_are_forgotten(emulated: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of those that are kept at most, at once: to give memory back is to wait for the GPU."""
    monkeypatch.setattr(window_plan, "_KEPT_WINDOWS", 25)
    for n in (5, 6, 7, 5, 8, 9):
        siglib.sig_prefixes(emulated.array(random_paths(rng, n, 2)), 2)
    assert [plan.n_windows for plan in window_plan._plans.values()] == [8, 9]


@pytest.mark.parametrize("degree", [1, 2, 70])
@pytest.mark.parametrize("scalar_term", [False, True])
def test_one_channel(gpu: Gpu, rng: np.random.Generator, degree: int, scalar_term: bool) -> None:
    """Signatures of one channel are powers of the increment over factorials."""
    path = random_paths(rng, 6, 1)
    expected = np.cumprod((path[2:] - path[:-2]) / np.arange(1, degree + 1), axis=1)
    if scalar_term:
        expected = np.concatenate([np.ones((4, 1)), expected], axis=1)
    out = gpu.numpy(siglib.sig_windows(gpu.array(path), degree, 3, scalar_term=scalar_term))
    assert_close(out, expected, 1e-14)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_windows(gpu: Gpu, rng: np.random.Generator, value: float) -> None:
    paths = random_paths(rng, 2, 30, 3)
    paths[0, 15] = value
    finite = np.isfinite(gpu.numpy(siglib.sig_windows(gpu.array(paths), 3, 8))).all(axis=-1)
    expected = np.ones((2, 23), bool)
    expected[0, 8:16] = False
    assert (finite == expected).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_gradients_of_windows_that_see_nothing_infinite(gpu: Gpu, rng: np.random.Generator, value: float) -> None:
    paths = random_paths(rng, 2, 40, 3)
    for starts, ends in (sliding(40, 8, 1), sliding(40, 17, 2), sliding(40, 8, 8), random_windows(rng, 40, 30)):
        derivs = rng.standard_normal((2, len(starts), siglib.sig_length(3, 3)))
        options = {"starts": starts, "ends": ends}
        before = gpu.numpy(siglib.sig_windows_backprop(gpu.array(paths), gpu.array(derivs), 3, **options))
        for point in (0, 13, 20, 39):
            broken = paths.copy()
            broken[1, point, 2] = value
            gradient = gpu.numpy(siglib.sig_windows_backprop(gpu.array(broken), gpu.array(derivs), 3, **options))
            assert_same_bits(gradient[0], before[0])
            sees = (starts <= point) & (point < ends)
            reached = [np.arange(i, j) for i, j in zip(starts[sees], ends[sees], strict=True)]
            free = np.setdiff1d(np.arange(40), np.concatenate([np.zeros(0, int), *reached]))
            expected = gradient_by_definition(paths[1:], starts[~sees], ends[~sees], derivs[1:, ~sees], 3)
            assert_close(gradient[1, free], expected[0, free], 1e-12)


@pytest.mark.parametrize("scalar_term", [False, True])
def test_nothing_to_do(gpu: Gpu, scalar_term: bool) -> None:
    def call(path: np.ndarray, degree: int = 2, *args: int, **options: object) -> np.ndarray:
        return gpu.numpy(siglib.sig_windows(gpu.array(path), degree, *args, scalar_term=scalar_term, **options))

    n = 6 + scalar_term
    assert call(np.zeros((3, 2)), 2, 4).shape == (0, n)
    assert call(np.zeros((0, 9, 2)), 2, 4).shape == (0, 6, n)
    assert call(np.zeros((9, 2)), starts=[], ends=[]).shape == (0, n)
    assert gpu.numpy(siglib.sig_prefixes(gpu.array(np.zeros((2, 0, 2))), 2)).shape == (2, 0, 6)
    constant = np.zeros((1, n))
    constant[:, :scalar_term] = 1
    for length in (0, 1, 4):
        assert_same_bits(call(np.ones((length, 2)), starts=[0], ends=[0]), constant)
        assert_same_bits(call(np.ones((length, 2)), starts=[length], ends=[length]), constant)
    degree_0 = call(np.ones((9, 2)), 0, 3)
    assert degree_0.shape == (7, int(scalar_term))
    assert degree_0.all()


# Gradients


def check_gradient(
    gpu: Gpu, rng: np.random.Generator, paths: np.ndarray, starts: np.ndarray, ends: np.ndarray, degree: int
) -> np.ndarray:
    """The gradient for the windows, compared with the exact one; and the same with a scalar term."""
    n = siglib.sig_length(paths.shape[-1], degree)
    derivs = rng.standard_normal((len(paths), starts.shape[-1], 1 + n)).astype(paths.dtype)
    out = siglib.sig_windows_backprop(gpu.array(paths), gpu.array(derivs[..., 1:]), degree, starts=starts, ends=ends)
    assert out.dtype == paths.dtype
    gradient = gpu.numpy(out)
    expected = gradient_by_definition(paths, starts, ends, derivs[..., 1:], degree)
    assert_close(gradient, expected, 20 * TOLERANCE[paths.dtype.name])
    out = siglib.sig_windows_backprop(gpu.array(paths), gpu.array(derivs), degree, starts=starts, ends=ends)
    assert_same_bits(gpu.numpy(out), gradient)
    return gradient


@pytest.mark.parametrize(
    ("dimension", "degree"),
    [*SIZES, (2, 3), (2, 9), (3, 2), (3, 6), (4, 3), (4, 5), (5, 2), (5, 4), (6, 3), (7, 4), (17, 2), (10, 3)],
)
def test_gradient_of_any_windows(
    gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int
) -> None:
    paths = random_paths(rng, 2, 8, dimension, dtype=dtype)
    for shape in ((7,), (2, 6)):
        check_gradient(gpu, rng, paths, *random_windows(rng, 8, *shape), degree)


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (2, 1), (2, 3), (5, 1), (5, 3), (5, 7), (12, 1)])
def test_gradient_of_sliding_windows(
    gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, window: int, stride: int
) -> None:
    paths = random_paths(rng, 2, 14, 3, dtype=dtype)
    check_gradient(gpu, rng, paths, *sliding(14, window, stride), 3)


@sizes
def test_gradient_of_prefixes(gpu: Gpu, rng: np.random.Generator, dimension: int, degree: int) -> None:
    check_gradient(gpu, rng, random_paths(rng, 3, 7, dimension), np.zeros(7, int), np.arange(1, 8), degree)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 1), (2, 6), (3, 4), (7, 3)])
def test_gradient_in_the_check_build(checked_gpu: Gpu, rng: np.random.Generator, dimension: int, degree: int) -> None:
    paths = random_paths(rng, 2, 6, dimension)
    check_gradient(checked_gpu, rng, paths, *random_windows(rng, 6, 2, 5), degree)
    check_gradient(checked_gpu, rng, paths, np.zeros(6, int), np.arange(1, 7), degree)


@pytest.mark.parametrize(("dimension", "degree"), [(3, 8), (6, 4)])
def test_gradient_of_large_signatures(gpu: Gpu, rng: np.random.Generator, dimension: int, degree: int) -> None:
    """A scan fills several blocks."""
    paths = random_paths(rng, 2, 4, dimension)
    check_gradient(gpu, rng, paths, np.array([0, 1, 0]), np.array([3, 4, 2]), degree)
    check_gradient(gpu, rng, paths, np.zeros(4, int), np.arange(1, 5), degree)


def test_gradient_of_long_windows(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    """States are loaded on the way back; scans of one block differ in length."""
    paths = random_paths(rng, 2, 90, 2, dtype=dtype)
    check_gradient(gpu, rng, paths, np.array([0, 10, 80, 3]), np.array([70, 90, 85, 35]), 3)
    check_gradient(gpu, rng, paths, np.array([0, 0, 0, 75]), np.array([1, 33, 66, 90]), 3)


@transforms
def test_gradient_with_transforms(gpu: Gpu, rng: np.random.Generator, transform: dict) -> None:
    path = random_paths(rng, 2, 7, 2)
    sig = siglib.sig_windows(path, 2, 4, **transform)
    derivs = rng.standard_normal(sig.shape)
    expected = siglib.sig_windows_backprop(path, derivs, 2, 4, **transform)
    out = siglib.sig_windows_backprop(gpu.array(path), gpu.array(derivs), 2, 4, **transform)
    assert_close(gpu.numpy(out), expected, 1e-12)
    derivs = rng.standard_normal((2, 7, sig.shape[-1]))
    expected = siglib.sig_prefixes_backprop(path, derivs, 2, **transform)
    out = siglib.sig_prefixes_backprop(gpu.array(path), gpu.array(derivs), 2, **transform)
    assert_close(gpu.numpy(out), expected, 1e-12)


@pytest.mark.parametrize("n_bytes", [1, 3000, 20000])
@pytest.mark.parametrize("degree", [1, 3])
def test_bits_of_gradients_do_not_depend_on_batch_and_slabs(
    gpu: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, n_bytes: int, degree: int
) -> None:
    paths = random_paths(rng, 3, 20, 3)
    n = siglib.sig_length(3, degree)
    tables = [
        (*sliding(20, 6, 1), (3, 15, n)),
        (np.zeros(20, int), np.arange(1, 21), (3, 20, n)),
        (*random_windows(rng, 20, 3, 9), (3, 9, n)),
    ]
    derivs = [rng.standard_normal(shape) for *_, shape in tables]

    def gradients(part: slice) -> list[np.ndarray]:
        return [
            gpu.numpy(
                siglib.sig_windows_backprop(
                    *(gpu.array(paths[part]), gpu.array(g[part]), degree),
                    starts=starts[part] if starts.ndim > 1 else starts,
                    ends=ends[part] if ends.ndim > 1 else ends,
                )
            )
            for (starts, ends, _), g in zip(tables, derivs, strict=True)
        ]

    whole = gradients(slice(None))
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", n_bytes)
    for part in (slice(None), slice(1, 2)):
        for actual, expected in zip(gradients(part), whole, strict=True):
            assert_same_bits(actual, expected[part])


@pytest.mark.parametrize("degree", [1, 2, 70])
def test_gradient_of_one_channel(gpu: Gpu, rng: np.random.Generator, degree: int) -> None:
    path = random_paths(rng, 6, 1)
    powers = np.cumprod((path[2:] - path[:-2]) / np.arange(1, degree + 1), axis=1)
    derivs = rng.standard_normal((4, degree))
    slope = (derivs * np.concatenate([np.ones((4, 1)), powers[:, :-1]], axis=1)).sum(1, keepdims=True)
    expected = np.zeros((6, 1))
    expected[2:] += slope
    expected[:-2] -= slope
    out = siglib.sig_windows_backprop(gpu.array(path), gpu.array(derivs), degree, 3)
    assert_close(gpu.numpy(out), expected, 1e-13)


def test_gradient_of_nothing(gpu: Gpu) -> None:
    def call(path: np.ndarray, derivs: np.ndarray, degree: int, **options: object) -> np.ndarray:
        return gpu.numpy(siglib.sig_windows_backprop(gpu.array(path), gpu.array(derivs), degree, **options))

    assert not call(np.ones((9, 2)), np.ones((7, 6)), 2, window=3)[3:6].any()
    assert not call(np.ones((3, 2)), np.ones((0, 6)), 2, window=9).any()
    assert not call(np.ones((3, 2)), np.ones((2, 1)), 0, window=2).any()
    assert not call(np.ones((1, 2)), np.ones((1, 6)), 2, window=1).any()
    assert not call(np.ones((3, 2)), np.ones((2, 6)), 2, starts=[1, 3], ends=[1, 3]).any()
    assert call(np.ones((0, 9, 2)), np.ones((0, 7, 6)), 2, window=3).shape == (0, 9, 2)
    assert call(np.ones((0, 2)), np.ones((1, 6)), 2, starts=[0], ends=[0]).shape == (0, 2)


def test_torch(emulated: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors on the GPU, with autograd; windows given as tensors, too."""
    torch = optional("torch")
    stream = tensors_on_gpu(monkeypatch, torch)
    path = random_paths(rng, 2, 8, 2)
    starts, ends = random_windows(rng, 8, 2, 5)
    cases = [
        (lambda x, index: siglib.sig_windows(x, 3, starts=index(starts), ends=index(ends)), starts, ends, 3),
        (lambda x, index: siglib.log_sig_windows(x, 1, 5, 2), *sliding(8, 5, 2), 1),
        (lambda x, index: siglib.sig_prefixes(x, 2), np.zeros(8, int), np.arange(1, 9), 2),
        (lambda x, index: siglib.log_sig_prefixes(x, 1), np.zeros(8, int), np.arange(1, 9), 1),
    ]
    for call, first, last, degree in cases:
        tensor = torch.tensor(path, requires_grad=True)
        out = call(tensor, torch.tensor)
        assert_close(out, by_definition(path, first, last, degree), 1e-12)
        derivs = rng.standard_normal(out.shape)
        (gradient,) = torch.autograd.grad(out, tensor, torch.tensor(derivs))
        assert_close(gradient, gradient_by_definition(path, first, last, derivs, degree), 1e-12)
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}
