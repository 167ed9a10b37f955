"""Log-signatures to the digits that they promise: against exact fractions, level by level, in both dtypes.

Paths are multiples of 1/64, which both dtypes hold exactly.
"""

import pickle
from typing import Any

import exact
import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu

import siglib

SINGLE, DOUBLE = np.dtype("float32"), np.dtype("float64")
# What float64 leaves after the logarithm, and what its rounding to float32 adds.
LIMITS = {DOUBLE: 1e-8, SINGLE: 1e-6}
SIZES = [(2, 5), (2, 9), (3, 6), (5, 4)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
methods = pytest.mark.parametrize("method", [0, 1, 2, 3])


def walk(rng: np.random.Generator, *shape: int, scale: float = 64.0) -> np.ndarray:
    """Random walks in units of 1/64."""
    return np.round(np.cumsum(rng.standard_normal(shape) / 3 * scale, axis=-2)).astype(int)


def floats(path: np.ndarray, dtype: Any) -> np.ndarray:
    return (path / 64).astype(dtype)


def exact_levels(path: np.ndarray, degree: int, method: int) -> exact.Levels:
    """The exact log-signature of `floats(path)`."""
    levels = exact.in_coordinates(exact.log_signature(path, degree), path.shape[-1], method)
    return [level / 64.0**n for n, level in enumerate(levels, 1)]


@methods
@sizes
def test_every_level_of_ordinary_paths(
    dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], method: int
) -> None:
    """Eight points, alone and in a batch: float32 loses no more than rounding where float64 is used inside."""
    d, degree = size
    path = walk(rng, 8, d)
    levels = exact_levels(path, degree, method)
    in_double = method == 3 or degree >= (5 if d == 2 else 6)
    limit = LIMITS[dtype] if in_double or dtype == DOUBLE else 1e-4
    alone = floats(path, dtype)
    for found in (
        siglib.log_sig(alone, degree, method=method),
        siglib.log_sig(np.stack([alone] * 11), degree, method=method)[9],
        siglib.log_sig_windows(alone, degree, starts=[0, 3], ends=[8, 7], method=method)[0],
        siglib.log_sig(alone, degree, method=method, stream=True)[-1],
    ):
        assert found.dtype == dtype
        assert max(exact.errors(found, levels)) <= limit


@pytest.mark.parametrize("noise", [0.01, 0.001])
@pytest.mark.parametrize("size", [(2, 4), (2, 6), (3, 4)], ids=str)
def test_nearly_straight_paths(dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], noise: float) -> None:
    """Series with a common trend: what is left of the logarithm is far smaller than what cancels in it."""
    d, degree = size
    line = np.linspace(0, 1, 30)[:, None] * np.array([1.0, 1.3, -0.7])[:d]
    path = np.round((line + noise * rng.standard_normal((30, d)).cumsum(axis=0) / 5) * 2**20).astype(int)
    levels = exact.in_coordinates(exact.log_signature(path, degree), d, 3)
    levels = [level / 2.0 ** (20 * n) for n, level in enumerate(levels, 1)]
    found = siglib.log_sig((path / 2**20).astype(dtype), degree, method=3)
    assert max(exact.errors(found, levels)) <= (1e-7 if dtype == DOUBLE else 1e-6)


@methods
def test_straight_paths_of_many_points(dtype: np.dtype, method: int) -> None:
    """In units in which they are far from 1: nothing but rounding of float64, relative to the power of the size."""
    path = (np.arange(1, 9)[:, None] * np.array([11.0, -7.0])).astype(dtype)
    found = siglib.log_sig(path, 5, method=method)
    size = np.abs(path[-1] - path[0]).sum().astype(float)
    words = reference.words(2, 5)[1:] if method == 0 else reference.lyndon_words(2, 5)
    powers = size ** np.array([len(word) for word in words])
    assert_same_bits(found[:2], path[-1] - path[0])
    assert np.abs(found[2:] / powers[2:]).max() <= 1e-13


SEGMENT = np.array([[3000.0, 60000.0], [3300.3, 66000.1]])


@methods
@pytest.mark.parametrize("degree", [1, 2, 4, 7])
def test_one_segment(dtype: np.dtype, degree: int, method: int) -> None:
    """The displacement, and exactly 0 behind it: alone, as a window, as a prefix, in streams and as an interval."""
    path = np.concatenate([SEGMENT, SEGMENT[1:] + 1, SEGMENT[:1]]).astype(dtype)
    displacements = np.diff(path, axis=0)
    expected = siglib.linear_log_sig(displacements, 2, degree, method=method)
    assert_same_bits(siglib.log_sig(path[:2], degree, method=method), expected[0])
    assert_same_bits(siglib.log_sig(path[None, :2], degree, method=method), expected[:1])
    assert_same_bits(siglib.log_sig_windows(path, degree, 2, method=method), expected)
    some = siglib.log_sig_windows(path, degree, starts=[1, 0, 2, 2], ends=[3, 4, 4, 3], method=method)
    assert_same_bits(some[[0, 2]], expected[1:])
    assert_same_bits(some[3], np.zeros_like(expected[0]))
    assert_close(some[1], siglib.log_sig(path, degree, method=method), 1e-3)
    assert_same_bits(siglib.log_sig_prefixes(path[:3], degree, method=method)[1], expected[0])
    windows = siglib.LogSigWindowStream(2, degree, 2, method=method)
    windows.push_batch(path)
    assert_same_bits(windows.sig(), expected)
    if method == 3:
        return
    interval = siglib.IntervalSignature(path, degree)
    assert_same_bits(interval.log_sig(1, 2, method=method), expected[1])
    assert_same_bits(interval.log_sig_batch([0, 2, 3], [1, 3, 2], method=method)[:2], expected[[0, 2]])
    assert_same_bits(
        interval.log_sig(2, 1, method=method), siglib.linear_log_sig(-displacements[1], 2, degree, method=method)
    )


@pytest.mark.parametrize("method", [2, 3])
def test_one_segment_of_a_stream(dtype: np.dtype, method: int) -> None:
    stream = siglib.LogSigStream(2, 5, method=method)
    for point in SEGMENT.astype(dtype):
        stream.push(point)
    expected = siglib.linear_log_sig(np.diff(SEGMENT.astype(dtype), axis=0)[0], 2, 5, method=2)
    assert_same_bits(stream.sig(0, 1), expected)
    assert_same_bits(stream.sig(1, 0)[2:], np.zeros_like(expected[2:]))
    assert_same_bits(stream.sig_all()[1], expected)


@methods
@pytest.mark.parametrize(
    "options",
    [{"time_aug": True, "end_time": 2.5}, {"lead_lag": True}, {"scalar_term": True}],
    ids=["time", "lead", ""],
)
def test_one_segment_transformed(dtype: np.dtype, method: int, options: dict[str, Any]) -> None:
    """Time makes no corner; lead-lag does."""
    path = np.array([[0.25, 1.5], [1.0, -0.5]], dtype)
    found = siglib.log_sig(path, 4, method=method, **options)
    windows = siglib.log_sig_windows(path[None], 4, 2, method=method, **options)[0, 0]
    if "lead_lag" in options:
        transformed = siglib.transform_path(path, lead_lag=True)
        assert_close(found, siglib.log_sig(transformed, 4, method=method), 1e-6)
        assert_close(windows, found, 1e-6)
        assert np.abs(found[4:]).max() > 0.1
        return
    displacement = np.diff(
        siglib.transform_path(path, **{k: v for k, v in options.items() if k != "scalar_term"}), axis=0
    )
    scalar_term = "scalar_term" in options
    d = displacement.shape[-1]
    expected = siglib.linear_log_sig(displacement[0], d, 4, method=method, scalar_term=scalar_term)
    assert_same_bits(found, expected)
    assert_same_bits(windows, expected)


@methods
def test_gradient_of_one_segment(dtype: np.dtype, rng: np.random.Generator, method: int) -> None:
    """The log-signature is the displacement there, whatever the degree: words of several letters have no derivative."""
    path = rng.standard_normal((3, 2, 2)).astype(dtype)
    derivs = rng.standard_normal(siglib.log_sig(path, 6, method=method, time_aug=True).shape).astype(dtype)
    gradient = siglib.log_sig_backprop(path, derivs, 6, method=method, time_aug=True)
    assert_same_bits(gradient, np.stack([-derivs[:, :2], derivs[:, :2]], axis=1))


@methods
@pytest.mark.parametrize("size", [(2, 8), (3, 6), (3, 4)], ids=str)
def test_gradients(rng: np.random.Generator, size: tuple[int, int], method: int) -> None:
    """In float32 those of float64."""
    d, degree = size
    path = floats(walk(rng, 5, 9, d), SINGLE)
    derivs = rng.standard_normal(siglib.log_sig(path, degree, method=method).shape).astype(SINGLE)
    gradient = siglib.log_sig_backprop(path, derivs, degree, method=method)
    wanted = siglib.log_sig_backprop(path.astype(DOUBLE), derivs.astype(DOUBLE), degree, method=method)
    assert gradient.dtype == SINGLE
    if method == 3 or degree >= 6:
        assert_same_bits(gradient, wanted.astype(SINGLE))
    else:
        assert_close(gradient, wanted, 1e-4)


@pytest.mark.parametrize("size", [(2, 10), (3, 5)], ids=str)
def test_products(rng: np.random.Generator, size: tuple[int, int]) -> None:
    """Products of log-signatures in float32, and their gradients, are those of float64."""
    d, degree = size
    path = walk(rng, 13, 9, d)
    whole = [exact_levels(one, degree, 2) for one in path[:2]]
    longer = [exact_levels(one[:6], degree, 2) for one in path[:2]]
    double = floats(path, DOUBLE)
    parts = [siglib.log_sig(double[:, part], degree, method=2) for part in (slice(0, 5), slice(4, 9))]
    displacement = double[:, 5] - double[:, 4]
    # Rounded coordinates are the input: the exact result of the unrounded ones is as near as they are.
    single = [part.astype(SINGLE) for part in parts]
    combined = siglib.log_sig_combine(*single, d, degree)
    joined = siglib.log_sig_join(single[0], displacement.astype(SINGLE), d, degree)
    for i in range(2):
        assert max(exact.errors(combined[i], whole[i])) <= 1e-4
        assert max(exact.errors(joined[i], longer[i])) <= 1e-4
    derivs = rng.standard_normal(parts[0].shape).astype(SINGLE)
    calls: list[tuple[Any, tuple[np.ndarray, ...], dict[str, Any]]] = [
        (siglib.log_sig_combine, tuple(single), {}),
        (siglib.log_sig_combine_backprop, (derivs, *single), {}),
    ]
    for prepend in (False, True):
        pair = (single[0], displacement.astype(SINGLE))
        calls.append((siglib.log_sig_join, pair, {"prepend": prepend}))
        calls.append((siglib.log_sig_join_backprop, (derivs, *pair), {"prepend": prepend}))
    for function, arrays, options in calls:
        results = function(*arrays, d, degree, **options)
        wanted = function(*(array.astype(DOUBLE) for array in arrays), d, degree, **options)
        if isinstance(results, np.ndarray):
            results, wanted = (results,), (wanted,)
        for result, expected in zip(results, wanted, strict=True):
            assert_same_bits(result, expected.astype(SINGLE))


@pytest.mark.parametrize("batch", [1, 13])
def test_products_with_nothing(dtype: np.dtype, rng: np.random.Generator, batch: int) -> None:
    """Where one side is zero the other is the result, to the last bit; a first segment is its displacement."""
    a, x = rng.standard_normal((batch, 14)).astype(dtype), rng.standard_normal((batch, 2)).astype(dtype)
    zero = np.zeros_like(a)
    assert_same_bits(siglib.log_sig_combine(a, zero, 2, 5), a)
    assert_same_bits(siglib.log_sig_combine(zero, a, 2, 5), a)
    for prepend in (False, True):
        assert_same_bits(siglib.log_sig_join(a, np.zeros_like(x), 2, 5, prepend=prepend), a)
        line = siglib.linear_log_sig(x, 2, 5, method=2)
        assert_same_bits(siglib.log_sig_join(zero, x, 2, 5, prepend=prepend), line)
    mixed = np.where(np.arange(batch)[:, None] % 2 == 0, zero, a)
    assert_same_bits(siglib.log_sig_combine(mixed, a, 2, 5)[::2], a[::2])


def test_exponentials(rng: np.random.Generator) -> None:
    """Of coordinates in the Lyndon basis: in float32 those of float64, in blocks as well."""
    log = siglib.log_sig(floats(walk(rng, 300, 8, 2), DOUBLE), 10, method=2).astype(SINGLE)
    for scalar_term in (False, True):
        sig = siglib.logsig_to_sig(log, 2, 10, method=2, scalar_term=scalar_term)
        wanted = siglib.logsig_to_sig(log.astype(DOUBLE), 2, 10, method=2, scalar_term=scalar_term)
        assert_same_bits(sig, wanted.astype(SINGLE))
        derivs = rng.standard_normal(sig.shape).astype(SINGLE)
        gradient = siglib.logsig_to_sig_backprop(log, derivs, 2, 10, method=2, scalar_term=scalar_term)
        wanted = siglib.logsig_to_sig_backprop(
            log.astype(DOUBLE), derivs.astype(DOUBLE), 2, 10, method=2, scalar_term=scalar_term
        )
        assert_same_bits(gradient, wanted.astype(SINGLE))


def numbers(path: Any) -> dict[str, Any]:
    """Log-signatures of a path by every way there is, for methods that are computed in float64 at degree 8."""
    out: dict[str, Any] = {}
    for method in (0, 1, 2):
        interval = siglib.IntervalSignature(path[:30], 8)
        interval.append(path[30:])
        out[f"interval {method}"] = interval.log_sig_batch([0, 50, 3], [59, 2, 20], method=method)
        out[f"grown {method}"] = pickle.loads(pickle.dumps(interval)).log_sig(1, 40, method=method)
        out[f"windows {method}"] = siglib.log_sig_windows(path, 8, 20, 7, method=method)
        out[f"prefixes {method}"] = siglib.log_sig_prefixes(path, 8, method=method)
    for method in (2, 3):
        stream = siglib.LogSigStream(2, 3, method=method)
        stream.push_batch(path[:20], checkpoints=True)
        for point in path[20:]:
            stream.push(point)
        out[f"stream {method}"] = stream.sig_batch([(0, 59), (40, 3), (7, 8)])
        stream.pop_front()
        out[f"all {method}"] = stream.sig_all()
        out[f"pickled {method}"] = pickle.loads(pickle.dumps(stream)).sig(3, 50)
        windows = siglib.LogSigWindowStream(2, 3, 9, method=method, stride=4)
        windows.push_batch(path)
        out[f"window stream {method}"] = windows.sig()
    out["low degree"] = siglib.log_sig_windows(path, 3, 20, 7, method=3)
    out["transformed"] = siglib.log_sig(path, 5, method=3, time_aug=True, lead_lag=True)
    correction = path[0, 0] * np.ones(4, path.dtype)
    out["corrected"] = siglib.log_sig(path, 7, correction=correction)
    return out


def test_streams_windows_and_intervals(rng: np.random.Generator) -> None:
    """In float32 they are those of float64, rounded at the end."""
    path = floats(walk(rng, 60, 2), SINGLE)
    wanted = numbers(path.astype(DOUBLE))
    for name, found in numbers(path).items():
        assert_same_bits(found, wanted[name].astype(SINGLE))


def test_streams_that_drop_points(dtype: np.dtype, rng: np.random.Generator) -> None:
    """The signature of what was dropped goes on unrounded; a stream of two points in all is one segment."""
    path = floats(walk(rng, 3000, 2, scale=4), dtype)
    stream = siglib.LogSigStream(2, 4)
    stream.push_batch(path, checkpoints=True)
    for _ in range(2500):
        stream.pop_front()
    assert_close(stream.sig_all()[-1], siglib.log_sig(path.astype(DOUBLE), 4, method=2), 1e-6)


def test_half_precision(rng: np.random.Generator) -> None:
    """Computed in float64, rounded once."""
    path = floats(walk(rng, 4, 8, 2, scale=8), np.float16)
    found = siglib.log_sig(path, 4, method=3)
    assert_same_bits(found, siglib.log_sig(path.astype(DOUBLE), 4, method=3).astype(np.float16))


def test_large_numbers_become_infinite_quietly() -> None:
    """What float32 does not hold is infinite, without a warning, as everywhere."""
    path = np.array([[0.0, 0.0], [1e20, 0.0], [1e20, 1e20]], np.float32)
    with np.errstate(all="raise"):
        log = siglib.log_sig(path, 2, method=3)
        windows = siglib.log_sig_windows(path, 2, 3, method=3)
    assert np.isinf(log[2])
    assert np.isinf(windows[0, 2])


@pytest.mark.parametrize("half", [False, True])
def test_torch(rng: np.random.Generator, half: bool) -> None:
    """Values and gradients of tensors in lower precision, of every kind of call."""
    torch = optional("torch")
    dtype = torch.bfloat16 if half else torch.float32
    path = torch.tensor(floats(walk(rng, 40, 2, scale=8), DOUBLE)).to(dtype)
    numbers = path.double().numpy()

    def streamed(x: Any) -> Any:
        stream = siglib.LogSigStream(2, 4)
        stream.push_batch(x)
        return stream.sig(0, 1)

    def window_stream(x: Any) -> Any:
        stream = siglib.LogSigWindowStream(2, 4, 9)
        stream.push_batch(x)
        return stream.sig()

    for call in (
        lambda x: siglib.log_sig(x, 4, method=3),
        lambda x: siglib.log_sig(x, 7, method=1),
        lambda x: siglib.log_sig_windows(x, 7, 9, method=2),
        lambda x: siglib.log_sig_windows(x, 4, starts=[0, 3], ends=[30, 5], method=3),
        lambda x: siglib.log_sig_prefixes(x, 4, method=3),
        lambda x: siglib.IntervalSignature(x, 7).log_sig_batch([0, 30], [39, 3]),
        streamed,
        window_stream,
    ):
        double = torch.tensor(numbers, requires_grad=True)
        single = path.clone().requires_grad_()
        wanted, found = call(double), call(single)
        assert found.dtype == dtype
        assert_same_bits(found.detach().float().numpy(), wanted.detach().to(dtype).float().numpy())
        weights = torch.arange(wanted.numel(), dtype=torch.float64).reshape(wanted.shape) % 7
        (wanted * weights).sum().backward()
        (found * weights.to(dtype)).sum().backward()
        assert single.grad.dtype == dtype
        assert_close(single.grad.float(), double.grad.numpy(), 5e-2 if half else 1e-6)


def test_torch_gradients_of_short_windows(rng: np.random.Generator) -> None:
    """Windows of one segment have zeros behind their letters, also under the compiler, under vmap and in gradients."""
    torch = optional("torch")
    path = torch.tensor(rng.standard_normal((3, 6, 2)) * 100, requires_grad=True)
    starts, ends = torch.tensor([0, 2, 3]), torch.tensor([6, 4, 4])

    def windows(x: Any) -> Any:
        return siglib.log_sig_windows(x, 5, starts=starts, ends=ends, method=2)

    log = windows(path)
    assert not log[:, 1:, 2:].any()
    (gradient,) = torch.autograd.grad(log[:, 1:, 2:].sum() + log[:, 1, 0].sum(), path)
    expected = np.zeros((3, 6, 2))
    expected[:, 2, 0], expected[:, 3, 0] = -1, 1
    assert_same_bits(gradient.numpy(), expected)
    assert_same_bits(torch.func.vmap(windows)(path).detach().numpy(), log.detach().numpy())
    compiled = torch.compile(windows, backend="eager", fullgraph=True)
    assert_same_bits(compiled(path).detach().numpy(), log.detach().numpy())
    prefixes = torch.compile(lambda x: siglib.log_sig_prefixes(x, 5, method=3), backend="eager", fullgraph=True)
    assert not prefixes(path.detach().float())[:, 1, 2:].any()


@pytest.mark.parametrize("method", [1, 3])
def test_gpu(gpu: Gpu, rng: np.random.Generator, method: int) -> None:
    """float32 on the GPU: to the digits of the CPU's float64, forward and backward."""
    path = floats(walk(rng, 3, 9, 2), SINGLE)
    degree = 7 if method == 1 else 4
    on_gpu = gpu.array(path)
    wanted = siglib.log_sig(path.astype(DOUBLE), degree, method=method)
    found = siglib.log_sig(on_gpu, degree, method=method)
    assert found.dtype == SINGLE
    assert_close(gpu.numpy(found), wanted, 1e-6)
    derivs = rng.standard_normal(wanted.shape).astype(SINGLE)
    gradient = siglib.log_sig_backprop(on_gpu, gpu.array(derivs), degree, method=method)
    assert gradient.dtype == SINGLE
    exact_gradient = siglib.log_sig_backprop(path.astype(DOUBLE), derivs.astype(DOUBLE), degree, method=method)
    assert_close(gpu.numpy(gradient), exact_gradient, 1e-6)
    windows = gpu.numpy(siglib.log_sig_windows(on_gpu, degree, starts=[0, 2], ends=[9, 4], method=method))
    assert_close(
        windows, siglib.log_sig_windows(path.astype(DOUBLE), degree, starts=[0, 2], ends=[9, 4], method=method), 1e-6
    )
    assert not windows[:, 1, 2:].any()
    assert not gpu.numpy(siglib.log_sig_prefixes(on_gpu, degree, method=method))[:, 1, 2:].any()
    line = siglib.linear_log_sig(path[:, 1] - path[:, 0], 2, degree, method=method)
    assert_same_bits(gpu.numpy(siglib.log_sig(gpu.array(path[:, :2]), degree, method=method)), line)
    short = gpu.numpy(siglib.log_sig_backprop(gpu.array(path[:, :2]), gpu.array(derivs), degree, method=method))
    assert_same_bits(short, np.stack([-derivs[:, :2], derivs[:, :2]], axis=1))


def test_products_and_streams_on_a_gpu(gpu: Gpu, rng: np.random.Generator) -> None:
    path = floats(walk(rng, 5, 9, 2), SINGLE)
    a, b = (
        siglib.log_sig(path[:, part].astype(DOUBLE), 8, method=2).astype(SINGLE) for part in (slice(0, 5), slice(4, 9))
    )
    a[0] = 0
    x = path[:, 5] - path[:, 4]
    derivs = rng.standard_normal(a.shape).astype(SINGLE)
    for name, arrays in (
        ("log_sig_combine", (a, b)),
        ("log_sig_combine_backprop", (derivs, a, b)),
        ("log_sig_join", (a, x)),
        ("log_sig_join_backprop", (derivs, a, x)),
    ):
        function = getattr(siglib, name)
        wanted = function(*(array.astype(DOUBLE) for array in arrays), 2, 8)
        found = gpu.numpy(function(*map(gpu.array, arrays), 2, 8))
        for one, expected in zip(
            found if isinstance(found, tuple) else (found,),
            wanted if isinstance(wanted, tuple) else (wanted,),
            strict=True,
        ):
            assert one.dtype == SINGLE
            assert_close(one, expected, 1e-6)
    assert_same_bits(gpu.numpy(siglib.log_sig_combine(gpu.array(a), gpu.array(b), 2, 8))[0], b[0])
    assert_same_bits(
        gpu.numpy(siglib.log_sig_join(gpu.array(a), gpu.array(x), 2, 8))[0], siglib.linear_log_sig(x[0], 2, 8, method=2)
    )
    stream = siglib.LogSigStream(2, 4)
    stream.push_batch(gpu.array(path), checkpoints=True)
    found = gpu.numpy(stream.sig_all())
    assert_close(np.moveaxis(found, 0, -2), siglib.log_sig_prefixes(path.astype(DOUBLE), 4, method=2), 1e-6)
    assert not found[1, :, 2:].any()
    interval = siglib.IntervalSignature(gpu.array(path), 7)
    found = gpu.numpy(interval.log_sig_batch([0, 3], [8, 4], method=1))
    assert_close(found[:, 0], siglib.log_sig(path.astype(DOUBLE), 7, method=1), 1e-6)


def test_dynamic_shapes_of_windows(rng: np.random.Generator) -> None:
    """One program of the compiler for paths of any length, with windows and prefixes of one segment."""
    torch = optional("torch")

    def call(x: Any) -> Any:
        return siglib.log_sig_windows(x, 3, 2, method=3), siglib.log_sig_prefixes(x, 3, method=2)

    compiled = torch.compile(call, backend="eager", fullgraph=True, dynamic=True)
    for length in (5, 6, 9):
        path = torch.tensor(rng.standard_normal((2, length, 2)))
        for found, wanted in zip(compiled(path), call(path), strict=True):
            assert_same_bits(found.numpy(), wanted.numpy())
