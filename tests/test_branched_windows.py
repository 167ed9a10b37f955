"""Windows, prefixes and streams of branched signatures and log-signatures: slices, golden files, gradients."""

import copy
import json
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from golden import _decode, arrays

import siglib

# Planar or not, and methods of logarithms, None for signatures.
KINDS = [(False, None), (True, None), (False, 0), (True, 0), (True, 1), (True, 2)]
every_kind = pytest.mark.parametrize(("planar", "method"), KINDS)
FLAGS: list[dict[str, Any]] = [{}, {"time_aug": True, "end_time": 1.5}, {"time_aug": True, "lead_lag": True}]
CASES = [
    record
    for record in json.loads(str(arrays("07_streams")["meta"]))["cases"]
    if record["class"].startswith("Branched")
]


def whole(path: Any, degree: int, planar: bool, method: int | None, **options: Any) -> Any:
    """Of a whole path."""
    if method is None:
        return siglib.branched_sig(path, degree, planar=planar, **options)
    return siglib.branched_log_sig(path, degree, planar=planar, method=method, **options)


def of_windows(path: Any, degree: int, *window: int, planar: bool, method: int | None, **options: Any) -> Any:
    if method is None:
        return siglib.branched_sig_windows(path, degree, *window, planar=planar, **options)
    return siglib.branched_log_sig_windows(path, degree, *window, planar=planar, method=method, **options)


def of_prefixes(path: Any, degree: int, *, planar: bool, method: int | None, **options: Any) -> Any:
    if method is None:
        return siglib.branched_sig_prefixes(path, degree, planar=planar, **options)
    return siglib.branched_log_sig_prefixes(path, degree, planar=planar, method=method, **options)


# Windows and prefixes


@every_kind
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("scalar_term", [False, True])
def test_windows_are_slices(
    rng: np.random.Generator, planar: bool, method: int | None, flags: dict[str, Any], scalar_term: bool
) -> None:
    paths = random_paths(rng, 2, 9, 2)
    longer = siglib.transform_path(paths, **flags)
    options: Any = {"planar": planar, "method": method, "scalar_term": scalar_term}
    starts, ends = np.array([3, 0, 5, 2, 4]), np.array([9, 2, 6, 2, 7])
    step = 2 if flags.get("lead_lag") else 1
    for found, bounds in (
        (of_windows(paths, 3, 4, 2, **options, **flags), [(0, 4), (2, 6), (4, 8)]),
        (of_windows(paths, 3, starts=starts, ends=ends, **options, **flags), list(zip(starts, ends, strict=True))),
        (of_prefixes(paths, 3, **options, **flags), [(0, k + 1) for k in range(9)]),
    ):
        assert found.shape[:-1] == (2, len(bounds))
        for k, (start, end) in enumerate(bounds):
            piece = longer[:, step * start : max(step * end - step + 1, 0)]
            assert_close(found[:, k], whole(piece, 3, **options), 1e-12)


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_dtypes(rng: np.random.Generator, planar: bool, method: int | None, dtype: Any) -> None:
    paths = random_paths(rng, 2, 9, 2).astype(dtype)
    options: Any = {"planar": planar, "method": method}
    for function, args in ((of_windows, (3, 5)), (of_prefixes, (3,))):
        found = function(paths, *args, **options)
        assert found.dtype == dtype
        assert_close(found, function(paths.astype(float), *args, **options), 1e-5 if dtype == np.float32 else 5e-3)


def test_method_3_is_computed_in_float64(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 20, 9, 2).astype(np.float32)
    exact = siglib.branched_log_sig_windows(paths.astype(float), 4, 6, planar=True, method=2)
    found = siglib.branched_log_sig_windows(paths, 4, 6, planar=True, method=3)
    assert_same_bits(found, exact.astype(np.float32))
    found = siglib.branched_log_sig_prefixes(paths, 4, planar=True, method=3)
    exact = siglib.branched_log_sig_prefixes(paths.astype(float), 4, planar=True, method=2)
    assert_same_bits(found, exact.astype(np.float32))


@pytest.mark.parametrize("planar", [False, True])
def test_default_method_and_segments(rng: np.random.Generator, planar: bool) -> None:
    path = random_paths(rng, 6, 3) * 1e6
    expected = siglib.branched_log_sig_windows(path, 3, 4, planar=planar, method=int(planar))
    assert_same_bits(siglib.branched_log_sig_windows(path, 3, 4, planar=planar), expected)
    segments = siglib.branched_log_sig_windows(path, 3, 2, planar=planar)
    assert_same_bits(segments[:, :3], np.diff(path, axis=0))
    assert not segments[:, 3:].any()
    assert not siglib.branched_log_sig_prefixes(path, 3, planar=planar)[1, 3:].any()


def test_nothing() -> None:
    for planar in (False, True):
        assert siglib.branched_sig_windows(np.zeros((2, 3, 2)), 2, 4, planar=planar).shape == (
            2,
            0,
            10 if planar else 6,
        )
        assert siglib.branched_sig_windows(np.zeros((0, 3, 2)), 2, 2, planar=planar).shape == (
            0,
            2,
            10 if planar else 6,
        )
        assert (
            siglib.branched_sig_prefixes(np.zeros((3, 2)), 0, planar=planar, scalar_term=True).tolist() == [[1.0]] * 3
        )
        out = siglib.branched_log_sig_prefixes(np.zeros((3, 2)), 0, planar=planar, method=0, scalar_term=True)
        assert out.tolist() == [[0.0]] * 3
        assert siglib.branched_log_sig_prefixes(np.zeros((0, 2)), 2, planar=planar).shape == (0, 7 if planar else 6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"degree": -1}, ValueError, "degree must be at least 0"),
        ({"degree": 2.5}, TypeError, "degree must be an integer"),
        ({"planar": 1}, TypeError, "planar must be True or False"),
        ({"scalar_term": "a"}, TypeError, "scalar_term must be True or False"),
        ({"path": np.zeros(3)}, ValueError, "path must have shape"),
        ({"path": np.zeros((3, 0))}, ValueError, "at least one channel"),
        ({"degree": 60}, ValueError, "more coefficients than 64 bits can count"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
    ],
)
@every_kind
def test_refused(planar: bool, method: int | None, options: dict[str, Any], error: Any, message: str) -> None:
    call: Any = {"path": np.zeros((4, 2)), "degree": 2, "planar": planar, "method": method, **options}
    with pytest.raises(error, match=message):
        of_prefixes(**call)
    with pytest.raises(error, match=message):
        of_windows(call.pop("path"), call.pop("degree"), 2, **call)


def test_refused_windows_and_methods() -> None:
    path = np.zeros((4, 2))
    for function in (siglib.branched_sig_windows, siglib.branched_log_sig_windows):
        with pytest.raises(ValueError, match="give window"):
            function(path, 2)
        with pytest.raises(ValueError, match="windows must satisfy"):
            function(path, 2, starts=[0], ends=[5])
    for call in (
        lambda **o: siglib.branched_log_sig_prefixes(path, 2, **o),
        lambda **o: siglib.branched_log_sig_windows(path, 2, 2, **o),
        lambda **o: siglib.BranchedLogSigStream(2, 2, **o),
        lambda **o: siglib.BranchedLogSigWindowStream(2, 2, 2, **o),
    ):
        for method in (1, 2, 3):
            with pytest.raises(ValueError, match="method"):
                call(method=method)
        with pytest.raises(ValueError, match="method must be at most"):
            call(method=4, planar=True)
        with pytest.raises(TypeError, match="method must be an integer"):
            call(method="a")
    with pytest.raises(ValueError, match="method must be at most 2"):
        siglib.BranchedLogSigStream(2, 2, method=3, planar=True)


# Streams


@pytest.mark.parametrize("record", CASES, ids=[f"{i}-{r['class']}" for i, r in enumerate(CASES)])
def test_golden_streams(record: dict[str, Any]) -> None:
    stream = getattr(siglib, record["class"])(*record["args"], **record["kwargs"])
    for name, *rest in record["ops"]:
        decoded = [_decode("07_streams", item) for item in rest]
        if name in ("push", "push_batch", "pop_front"):
            getattr(stream, name)(*decoded)
        elif len(decoded) == 1:
            assert getattr(stream, name) == decoded[0]
        else:
            assert_close(getattr(stream, name)(*decoded[0]), decoded[1])


def stream_of(planar: bool, method: int | None, *window: int, **options: Any) -> Any:
    name = f"Branched{'' if method is None else 'Log'}Sig{'Window' if window else ''}Stream"
    more = {} if method is None else {"method": method}
    return getattr(siglib, name)(2, 3, *window, planar=planar, **more, **options)


@every_kind
@pytest.mark.parametrize("scalar_term", [False, True])
def test_stream(rng: np.random.Generator, planar: bool, method: int | None, scalar_term: bool) -> None:
    path = random_paths(rng, 3, 60, 2)
    stream = stream_of(planar, method, scalar_term=scalar_term)
    assert (stream.size, stream.start_index, stream.end_index, stream.batch_shape) == (0, 0, -1, None)
    for k in range(20):
        stream.push(path[:, k])
    stream.push_batch(path[:, 20:50], checkpoints=True)
    stream.push_batch(path[:, 50:])
    points = [*range(50), 59]
    for _ in range(7):
        stream.pop_front()
    assert (stream.size, stream.start_index, stream.end_index, stream.batch_shape) == (44, 7, 50, (3,))

    def expected(start: int, end: int) -> Any:
        low, high = points[min(start, end)], points[max(start, end)]
        piece = path[:, low : high + 1] if start <= end else path[:, low : high + 1][:, ::-1]
        return whole(piece, 3, planar, method, scalar_term=scalar_term)

    pairs = [(7, 50), (30, 9), (12, 12), (49, 50), (20, 33)]
    for start, end in pairs:
        assert_close(stream.sig(start, end), expected(start, end), 1e-11)
    assert_close(stream.sig_batch(pairs), np.array([expected(*pair) for pair in pairs]), 1e-11)
    assert_close(stream.sig_all(), np.array([expected(0, k) for k in range(7, 51)]), 1e-11)
    assert_close(stream.sig_all(rebase=True), np.array([expected(7, k) for k in range(7, 51)]), 1e-11)
    for twin in (pickle.loads(pickle.dumps(stream)), copy.copy(stream), copy.deepcopy(stream)):
        twin.push(path[:, 0])
        assert_close(twin.sig_batch(pairs), stream.sig_batch(pairs), 1e-12)
        assert twin.end_index == 51
    assert stream.end_index == 50


@every_kind
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (2, 1), (5, 3), (3, 7)])
def test_window_stream(rng: np.random.Generator, planar: bool, method: int | None, window: int, stride: int) -> None:
    path = random_paths(rng, 9000, 2)
    stream = stream_of(planar, method, window, stride=stride)
    with pytest.raises(ValueError, match="no window is complete"):
        stream.sig()
    stream.push(path[0])
    stream.push_batch(path[1:20])
    assert_close(stream.sig(), of_windows(path[:20], 3, window, stride, planar=planar, method=method), 1e-12)
    stream.push_batch(path[20:])
    assert stream.num_windows == (9000 - window) // stride + 1
    expected = of_windows(path, 3, window, stride, planar=planar, method=method)
    assert_close(stream.sig(), expected, 1e-11)
    assert_same_bits(pickle.loads(pickle.dumps(stream)).sig(), stream.sig())
    stream.sig()[:] = 0
    assert_close(stream.sig(), expected, 1e-11)


@every_kind
def test_streams_in_float32(rng: np.random.Generator, planar: bool, method: int | None) -> None:
    path = random_paths(rng, 30, 2).astype(np.float32)
    stream, windows = stream_of(planar, method), stream_of(planar, method, 9)
    stream.push_batch(path, checkpoints=True)
    windows.push_batch(path)
    exact = path.astype(float)
    for found, expected in (
        (stream.sig(3, 29), whole(exact[3:], 3, planar, method)),
        (windows.sig(), of_windows(exact, 3, 9, planar=planar, method=method)),
    ):
        assert found.dtype == np.float32
        if method is None:
            assert_close(found, expected, 1e-5)
        else:
            # Computed in float64, rounded once.
            assert_close(found, expected, 2e-7)


@pytest.mark.parametrize(
    ("wrong", "error"), [((0, 2), ValueError), (("a", 2), TypeError), ((2, -1), ValueError), ((2, 40), ValueError)]
)
@pytest.mark.parametrize("name", ["Sig", "LogSig", "SigWindow", "LogSigWindow"])
def test_refused_streams(name: str, wrong: Any, error: Any) -> None:
    cls, more = getattr(siglib, f"Branched{name}Stream"), ((4,) if "Window" in name else ())
    with pytest.raises(error):
        cls(*wrong, *more)
    for option in ("planar", "scalar_term"):
        with pytest.raises(TypeError, match=f"{option} must be True or False"):
            cls(2, 2, *more, **{option: 2})
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        cls(2, 2, *more, n_jobs=0)


def test_threads_share_a_stream(rng: np.random.Generator) -> None:
    path, stream = random_paths(rng, 400, 2), siglib.BranchedLogSigStream(2, 3, planar=True)
    stream.push_batch(path[:200], checkpoints=True)
    expected, failed = stream.sig(10, 150), []

    def ask() -> None:
        for _ in range(50):
            if not np.array_equal(stream.sig(10, 150), expected):
                failed.append(1)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for point in path[200:]:
        stream.push(point)
    for thread in threads:
        thread.join()
    assert not failed
    assert_close(stream.sig(0, 399), siglib.branched_log_sig(path, 3, planar=True), 1e-11)


# PyTorch


@every_kind
def test_gradients(rng: np.random.Generator, planar: bool, method: int | None) -> None:
    torch: Any = optional("torch")
    path = torch.from_numpy(random_paths(rng, 2, 5, 2)).requires_grad_()
    options: Any = {"planar": planar, "method": method, "scalar_term": True}
    assert torch.autograd.gradcheck(lambda x: of_windows(x, 3, 3, time_aug=True, **options), path)
    assert torch.autograd.gradcheck(lambda x: of_prefixes(x, 3, **options), path)
    assert torch.autograd.gradcheck(lambda x: of_windows(x, 2, starts=[0, 2], ends=[3, 5], **options), path)

    def streams(x: Any) -> Any:
        stream, windows = stream_of(planar, method), stream_of(planar, method, 3, stride=2)
        for target in (stream, windows):
            target.push(x[:, 0])
            target.push_batch(x[:, 1:])
        return torch.cat([stream.sig_batch([(0, 1), (1, 0)]), stream.sig_all(), windows.sig()])

    assert torch.autograd.gradcheck(streams, path)
    assert streams(path.detach()).grad_fn is None


@every_kind
def test_compiled_and_mapped(rng: np.random.Generator, planar: bool, method: int | None) -> None:
    torch: Any = optional("torch")
    path = torch.from_numpy(random_paths(rng, 2, 5, 2)).requires_grad_()
    options: Any = {"planar": planar, "method": method}

    def function(x: Any) -> Any:
        return of_windows(x, 2, 3, **options).sum() + (of_prefixes(x, 3, lead_lag=True, **options) ** 2).sum()

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    (expected,) = torch.autograd.grad(function(path), path)
    assert_close(torch.autograd.grad(compiled(path), path)[0], expected.numpy())
    mapped = torch.func.vmap(torch.func.grad(function))(path.detach())
    assert_close(mapped, expected.numpy())


# Preparation


def test_preparation_builds_what_calls_need(monkeypatch: pytest.MonkeyPatch) -> None:
    from siglib._tables import tree_tables, tree_words

    trees: Any = [((0,), 1), ((0,), (1,), 1), None]
    siglib.clear_cache()
    for planar in (False, True):
        for method in (0, 1, 2, 3) if planar else (0,):
            siglib.prepare_branched_log_sig(2, 3, method, planar=planar, device="cpu", use_disk=False)
    siglib.prepare_branched_sig(1, 2, time_aug=True, lead_lag=True, planar=False, use_disk=True)
    siglib.prepare_branched_sig_coef(2, trees)

    def fail(*args: Any) -> Any:
        raise AssertionError("a table was built twice")

    for module, names in (
        (tree_tables, ("build_tree_words", "build_cuts", "build_coordinates", "words_of")),
        (tree_words, ("words_of",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, fail)
    path = np.random.default_rng(0).standard_normal((4, 2))
    for planar in (False, True):
        bsig = siglib.branched_sig(path, 3, planar=planar)
        siglib.branched_sig_backprop(path, bsig, bsig, 3, planar=planar)
        siglib.branched_sig_combine(bsig, bsig, 2, 3, planar=planar)
        for method in (0, 1, 2, 3) if planar else (0,):
            siglib.branched_log_sig(path, 3, planar=planar, method=method)
            siglib.branched_sig_to_log_sig(bsig, 2, 3, planar=planar, method=min(method, 2))
    siglib.branched_sig(path[:, :1], 2, time_aug=True, lead_lag=True)
    coefs = siglib.branched_sig_coef(path, trees)
    siglib.branched_sig_coef_backprop(path, trees, coefs, coefs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.prepare_branched_sig(0, 3), ValueError, "dimension must be at least 1"),
        (lambda: siglib.prepare_branched_sig(2, -1), ValueError, "degree must be at least 0"),
        (lambda: siglib.prepare_branched_sig(2, 60), ValueError, "more coefficients than 64 bits can count"),
        (lambda: siglib.prepare_branched_sig(2, 3, use_disk=1), TypeError, "use_disk must be True or False"),
        (lambda: siglib.prepare_branched_sig(2, 3, planar=0), TypeError, "planar must be True or False"),
        (lambda: siglib.prepare_branched_sig(2, 3, device="gpu"), ValueError, "device must be"),
        (lambda: siglib.prepare_branched_log_sig(2, 3, 1), ValueError, "method 1 needs planar=True"),
        (lambda: siglib.prepare_branched_log_sig(2, 3, 4, planar=True), ValueError, "method must be at most 3"),
        (lambda: siglib.prepare_branched_log_sig(2, 3, None), TypeError, "method must be an integer"),
        (lambda: siglib.prepare_branched_sig_coef(2, (2,)), ValueError, r"labels of trees must be in \[0, 2\), got 2"),
        (lambda: siglib.prepare_branched_sig_coef(2, [], time_aug=True), ValueError, "trees must not be empty"),
    ],
)
def test_refused_preparation(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_prepared_labels_count_transforms() -> None:
    siglib.prepare_branched_sig_coef(1, (2,), time_aug=True, lead_lag=True)
