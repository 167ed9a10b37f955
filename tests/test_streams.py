"""Streams: golden files, slices, and what goes in and out of them over time."""

import json
import pickle
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from golden import _decode, arrays

import siglib

EXPANDING = [siglib.SigStream, siglib.LogSigStream]
WINDOWS = [siglib.SigWindowStream, siglib.LogSigWindowStream]
CASES = [
    record
    for record in json.loads(str(arrays("07_streams")["meta"]))["cases"]
    if not record["class"].startswith("Branched")
]


def value_of(stream: Any, piece: np.ndarray, degree: int) -> np.ndarray:
    """What the stream gives for a piece of the path."""
    return siglib.log_sig(piece, degree, method=2) if "Log" in type(stream).__name__ else siglib.sig(piece, degree)


@pytest.mark.parametrize("record", CASES, ids=[f"{i}-{r['class']}" for i, r in enumerate(CASES)])
def test_golden(record: dict[str, Any]) -> None:
    stream = getattr(siglib, record["class"])(*record["args"], **record["kwargs"])
    for name, *rest in record["ops"]:
        decoded = [_decode("07_streams", item) for item in rest]
        if name in ("push", "push_batch", "pop_front"):
            getattr(stream, name)(*decoded)
        elif len(decoded) == 1:
            assert getattr(stream, name) == decoded[0]
        else:
            assert_close(getattr(stream, name)(*decoded[0]), decoded[1])


@pytest.mark.parametrize("cls", EXPANDING)
def test_a_long_stream(cls: Any, rng: np.random.Generator) -> None:
    """Points come one by one and in batches, checkpoints go, and every interval is that of its points."""
    path = random_paths(rng, 6000, 2)
    stream = cls(2, 3)
    assert (stream.size, stream.start_index, stream.end_index, stream.batch_shape) == (0, 0, -1, None)
    at, points = 0, []
    while at < len(path):
        n = int(rng.integers(1, 200))
        if n < 100:
            stream.push(path[at])
            n = 1
            points.append(at)
        else:
            n = min(n, len(path) - at)
            checkpoints = bool(rng.integers(2))
            stream.push_batch(path[at : at + n], checkpoints=checkpoints)
            points += range(at, at + n) if checkpoints else [at, at + n - 1][at > 0 or n == 1 :]
        at += n
        while stream.size > 900:
            stream.pop_front()
        assert stream.end_index == len(points) - 1
        for s, e in rng.integers(stream.start_index, stream.end_index + 1, (2, 2)):
            low, high = points[min(s, e)], points[max(s, e)]
            piece = path[low : high + 1] if s <= e else path[low : high + 1][::-1]
            assert_close(stream.sig(int(s), int(e)), value_of(stream, piece, 3), 1e-10)
    assert stream.start_index > 1000
    first = stream.start_index
    for rebase, origin in ((False, 0), (True, points[first])):
        out = stream.sig_all(rebase=rebase)
        assert out.shape[0] == stream.size == 900
        for k in (0, 450, 899):
            assert_close(out[k], value_of(stream, path[origin : points[first + k] + 1], 3), 1e-10)
    pairs = rng.integers(first, stream.end_index + 1, (50, 2))
    expected = np.array([stream.sig(int(s), int(e)) for s, e in pairs])
    assert_close(stream.sig_batch(pairs), expected)
    assert_close(stream.sig_batch([tuple(map(int, pair)) for pair in pairs]), expected)
    assert_close(pickle.loads(pickle.dumps(stream)).sig_all(), stream.sig_all(), 1e-12)


@pytest.mark.parametrize("cls", WINDOWS)
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (5, 1), (5, 3), (3, 7), (40, 2)])
def test_window_streams(cls: Any, rng: np.random.Generator, window: int, stride: int) -> None:
    path = random_paths(rng, 20_000, 2)
    stream = cls(2, 2, window, stride=stride)
    with pytest.raises(ValueError, match="no window is complete"):
        stream.sig()
    at = 0
    while at < len(path):
        n = min(int(rng.integers(1, 4000)), len(path) - at)
        if n < 1000:
            stream.push(path[at])
            n = 1
        else:
            stream.push_batch(path[at : at + n])
        at += n
        n_windows = max(0, (at - window) // stride + 1)
        assert stream.num_windows == n_windows
        if n_windows:
            out = stream.sig()
            assert len(out) == n_windows
            for k in (0, n_windows // 2, n_windows - 1):
                assert_close(out[k], value_of(stream, path[k * stride : k * stride + window], 2), 1e-12)
            out[:] = 0
    assert_same_bits(pickle.loads(pickle.dumps(stream)).sig(), stream.sig())


@pytest.mark.parametrize("cls", EXPANDING + WINDOWS)
def test_one_buffer_for_all_points(cls: Any, rng: np.random.Generator) -> None:
    """Points are copied: the caller's array may be used again."""
    path = random_paths(rng, 9, 2)
    stream = cls(2, 2, 9) if cls in WINDOWS else cls(2, 2)
    buffer = np.empty(2)
    for point in path[:5]:
        buffer[:] = point
        stream.push(buffer)
    rest = path[5:].copy()
    stream.push_batch(rest)
    rest[:] = 0
    out = stream.sig()[0] if cls in WINDOWS else stream.sig(stream.start_index, stream.end_index)
    assert_close(out, value_of(stream, path, 2))


@pytest.mark.parametrize("cls", EXPANDING + WINDOWS)
def test_refused(cls: Any) -> None:
    more = (4,) if cls in WINDOWS else ()
    for wrong, error in (((0, 2), ValueError), (("a", 2), TypeError), ((2, -1), ValueError), ((2, "b"), TypeError)):
        with pytest.raises(error):
            cls(*wrong, *more)
    if cls in WINDOWS:
        with pytest.raises(ValueError, match="window_size must be at least 1"):
            cls(2, 2, 0)
        with pytest.raises(ValueError, match="stride must be at least 1"):
            cls(2, 2, 3, stride=0)
    if "Log" in cls.__name__:
        with pytest.raises(ValueError, match="method must be one of"):
            cls(2, 2, *more, method=7)
    stream = cls(2, 2, *more)
    stream.push(np.zeros((3, 2)))
    assert stream.batch_shape == (3,)
    with pytest.raises(ValueError, match="point must have 2 channels"):
        stream.push(np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"point must have batch shape \(3,\), as before, got \(\)"):
        stream.push(np.zeros(2))
    with pytest.raises(ValueError, match="of numpy and float64, as before, got numpy and float32"):
        stream.push(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="a single number"):
        stream.push(1.0)
    stream.push_batch(np.zeros((3, 0, 2)))
    if cls in EXPANDING:
        assert stream.size == 1
        for start, end, error in ((0, 1, IndexError), (0, -1, IndexError), (-1, 0, IndexError), (0.0, 0, TypeError)):
            with pytest.raises(error):
                stream.sig(start, end)
        with pytest.raises(ValueError, match="at least one pair"):
            stream.sig_batch([])
        with pytest.raises(ValueError, match="at least two checkpoints, got 1"):
            stream.pop_front()
        with pytest.raises(ValueError, match="the stream is empty"):
            cls(2, 2).sig_all()


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_batch_axes(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    paths = random_paths(rng, *shape, 200, 2)
    stream, windows = siglib.SigStream(2, 2, scalar_term=True), siglib.SigWindowStream(2, 2, 50, scalar_term=True)
    for k in range(200):
        stream.push(paths[..., k, :])
        windows.push(paths[..., k, :])
    assert_close(stream.sig(3, 190), siglib.sig(paths[..., 3:191, :], 2, scalar_term=True))
    assert stream.sig_all().shape == (200, *shape, 7)
    assert_close(windows.sig()[7], siglib.sig(paths[..., 7:57, :], 2, scalar_term=True))


# PyTorch


@pytest.mark.parametrize("kind", ["float64", "float32", "float16"])
def test_tensors(rng: np.random.Generator, kind: str) -> None:
    torch: Any = optional("torch")
    points = torch.from_numpy(random_paths(rng, 40, 2)).to(getattr(torch, kind))
    stream, windows = siglib.SigStream(2, 2), siglib.LogSigWindowStream(2, 2, 9)
    for point in points:
        stream.push(point)
        windows.push(point)
    assert_close(stream.sig(3, 30), siglib.sig(points[3:31].double().numpy(), 2))
    assert_close(windows.sig()[4], siglib.log_sig(points[4:13].double().numpy(), 2, method=2))
    assert stream.sig(3, 30).dtype is points.dtype


@pytest.mark.parametrize("cls", EXPANDING + WINDOWS)
def test_gradients_reach_every_point(rng: np.random.Generator, cls: Any) -> None:
    torch: Any = optional("torch")

    def run(points: Any) -> Any:
        stream = cls(2, 3, 5, stride=2) if cls in WINDOWS else cls(2, 3)
        stream.push(points[:, 0])
        stream.push(points[:, 1].detach())
        stream.push_batch(points[:, 2:9])
        stream.push(points[:, 9])
        if cls in WINDOWS:
            return stream.sig()
        return torch.cat([stream.sig_batch([(0, 3), (3, 1), (2, 2)]), stream.sig_all()])

    points = torch.from_numpy(random_paths(rng, 2, 10, 2)).requires_grad_()
    assert run(points).grad_fn is not None
    values = run(points.detach())
    assert values.grad_fn is None
    assert_close(run(points), values.numpy())
    frozen = points.detach().clone()

    def with_frozen_point(points: Any) -> Any:
        # Point 1 is pushed without its graph: keep it where it is.
        return run(torch.cat([points[:, :1], frozen[:, 1:2], points[:, 2:]], dim=1))

    assert torch.autograd.gradcheck(with_frozen_point, (points,))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_lists_and_integers_adapt_to_the_points_before(kind: str) -> None:
    """As they adapt to the other arrays of a call."""
    first = np.array([[0.0, 1.0], [0.5, 0.25]], kind)
    more = [[1, 2], [3, 5]]
    expected = siglib.sig(np.concatenate([first, np.array(more, kind)]), 2)
    for points in (more, tuple(map(tuple, more)), np.array(more), np.array(more, np.uint8)):
        stream, window, intervals = (
            siglib.SigStream(2, 2),
            siglib.SigWindowStream(2, 2, 4),
            siglib.IntervalSignature(first, 2),
        )
        stream.push_batch(first)
        window.push_batch(first)
        for point in points:
            stream.push(point)
        window.push_batch(points)
        intervals.append(points)
        for result in (stream.sig(0, stream.end_index), window.sig()[0], intervals.sig(0, 3)):
            assert result.dtype == kind
            assert_close(result, expected)


def test_integer_tensors_adapt_to_the_points_before() -> None:
    torch = optional("torch")
    stream = siglib.SigStream(2, 2)
    stream.push(torch.zeros(2, dtype=torch.float32))
    stream.push(torch.tensor([1, 2]))
    assert stream.sig(0, 1).dtype is torch.float32
    assert stream.sig(0, 1).tolist() == [1.0, 2.0, 0.5, 1.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="point must be of torch and torch.float32, as before, got numpy and float64"):
        stream.push([1, 2])
