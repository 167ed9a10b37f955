"""Objects that threads share: every answer is that of a state that the object had."""

import copy
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu

import siglib
from siglib._call.options import as_n_threads
from siglib.streams.interval_table import Intervals

# The points of a stream are k * STEP: the signature between two of them follows from their numbers, without rounding.
STEP = np.array([1.0, 2.0])
WINDOWS = [(siglib.SigWindowStream, 8192), (siglib.LogSigWindowStream, 50)]


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run(*calls: Callable[[], Any]) -> list[Any]:
    """What these calls give, made by threads that start together."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def work(i: int) -> None:
        barrier.wait()
        try:
            results[i] = calls[i]()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def line(count: Any) -> np.ndarray:
    """The signature of degree 2 of so many steps."""
    x = np.asarray(count)[..., None] * STEP
    return np.concatenate([x, (x[..., :, None] * x[..., None, :] / 2).reshape(*x.shape[:-1], 4)], -1)


@pytest.fixture
def slow_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads have their turn before each level of a table."""
    fill = Intervals._fill

    def slow(self: Any, *args: Any) -> None:
        time.sleep(1e-3)
        fill(self, *args)

    monkeypatch.setattr(Intervals, "_fill", slow)


def check_queries(
    array: Callable[[np.ndarray], Any], numpy: Callable[[Any], np.ndarray], n_threads: int, lengths: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    path = rng.standard_normal((lengths[-1], 3)) / 10
    alone, shared = (siglib.IntervalSignature(array(path[:10]), 3) for _ in range(2))
    for n in lengths:
        for intervals in (alone, shared):
            intervals.append(array(path[len(intervals) : n]))
        queries = rng.integers(0, n, (n_threads, 2, 20))

        def ask(i: int, query: np.ndarray) -> Any:
            # While others are at it.
            time.sleep(i * 7e-4)
            return shared.sig_batch(*query)

        results = run(*(partial(ask, i, query) for i, query in enumerate(queries)))
        for query, found in zip(queries, results, strict=True):
            expected = numpy(alone.sig_batch(*query))
            assert_same_bits(numpy(found), expected)
            assert_same_bits(numpy(shared.sig_batch(*query)), expected)


@pytest.mark.usefixtures("slow_table")
def test_queries_of_one_interval_signature() -> None:
    """Threads that only ask build the table between them."""
    check_queries(lambda a: a, lambda a: a, 16, (100, 250, 700))


@pytest.mark.usefixtures("slow_table")
def test_queries_on_a_gpu(emulated: Gpu) -> None:
    check_queries(emulated.array, emulated.numpy, 6, (100, 250))


def test_appends_and_queries() -> None:
    path = siglib.IntervalSignature(0 * STEP[None], 2)
    n_threads, n = 4, 300
    steps = np.arange(3)[:, None] * STEP

    def append() -> None:
        for _ in range(n):
            path.append(steps)

    def ask() -> None:
        while len(path) <= n_threads * n:
            at = np.random.default_rng(len(path)).integers(0, len(path), (2, 9))
            # Whoever appends, all increments are 0, STEP or -2 STEP.
            values = path.sig_batch(*at)
            assert (np.abs(values[:, 0]) <= 2).all()
            assert (values[:, 1] == 2 * values[:, 0]).all()

    run(*[append] * n_threads, *[ask] * 3)
    assert len(path) == 1 + 3 * n_threads * n
    ends = np.arange(len(path))
    assert_close(
        path.sig_batch(np.zeros_like(ends), ends), line(np.concatenate([[0], np.tile([0, 1, 2], n_threads * n)]))
    )


def test_pushes_from_many_threads() -> None:
    """None is lost."""
    stream, windows = siglib.SigStream(2, 2), siglib.SigWindowStream(2, 1, 2)

    def push() -> None:
        for _ in range(2000):
            stream.push(STEP)
            windows.push(STEP)
            stream.push_batch(STEP[None])

    run(*[push] * 8)
    assert stream.size == 32_000
    assert windows.num_windows == 15_999
    assert not stream.sig_all().any()
    assert not windows.sig().any()


def test_a_stream_that_moves_on() -> None:
    """One thread pushes and pops, others ask: never for points that are gone."""
    stream = siglib.SigStream(2, 2)
    stream.push_batch(np.arange(3000)[:, None] * STEP, checkpoints=True)
    done = threading.Event()

    def move() -> None:
        for k in range(3000, 15_000):
            stream.push(k * STEP)
            if k % 2:
                stream.pop_front()
                stream.pop_front()
        done.set()

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        answers = 0
        while not done.is_set() or not answers:
            first, last = stream.start_index, stream.end_index
            assert 0 <= last - first
            pairs = rng.integers(first, last + 1, (4, 2))
            try:
                found = stream.sig_batch(pairs)
            except IndexError:  # gone meanwhile
                continue
            assert_close(found, line(pairs[:, 1] - pairs[:, 0]), 1e-9)
            answers += 1

    def ask_for_all() -> None:
        while not done.is_set():
            found = stream.sig_all(rebase=True)
            assert_close(found[-1], line(len(found) - 1), 1e-9)
            found = stream.sig_all()
            assert_close(found[-1] - found[0], line(found[-1, 0]) - line(found[0, 0]), 1e-9)

    run(move, *(partial(ask, seed) for seed in range(4)), ask_for_all)
    assert stream.end_index == 14_999


@pytest.mark.parametrize(("cls", "many"), WINDOWS)
def test_window_streams(cls: Any, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every window is computed once, whoever asks."""
    monkeypatch.setattr(siglib.streams.streams, "_MANY", many)
    stream = cls(2, 2, 5, stride=3)
    stream.push_batch(np.arange(20)[:, None] * STEP)
    expected = line(4) if cls is siglib.SigWindowStream else siglib.sig_to_log_sig(line(4), 2, 2, method=2)
    done = threading.Event()

    def push() -> None:
        for k in range(20, 3000):
            stream.push(k * STEP)
        done.set()

    def ask() -> None:
        n = 0
        while not done.is_set():
            least, found = stream.num_windows, stream.sig()
            assert len(found) >= max(n, least)
            n = len(found)
            assert (found == expected).all()

    run(push, *[ask] * 5)
    assert len(stream.sig()) == stream.num_windows == (3000 - 5) // 3 + 1


def copies(original: Any) -> list[Any]:
    return [copy.copy(original), copy.deepcopy(original), pickle.loads(pickle.dumps(original))]


def test_copies_while_points_come() -> None:
    stream, path = siglib.SigStream(2, 2), siglib.IntervalSignature(0 * STEP[None], 2)
    windows = siglib.SigWindowStream(2, 2, 3)
    stream.push(0 * STEP)
    for k in range(3):
        windows.push(k * STEP)
    done = threading.Event()

    def push() -> None:
        for k in range(1, 4000):
            stream.push(k * STEP)
            path.append(k * STEP[None])
            windows.push((k + 2) * STEP)
            if k % 3 == 0:
                stream.pop_front()
        done.set()

    def take() -> None:
        while not done.is_set():
            for twin in copies(stream):
                n = twin.end_index
                twin.push((n + 1) * STEP)
                assert_close(twin.sig(twin.start_index, n + 1), line(n + 1 - twin.start_index), 1e-9)
            for twin in copies(path):
                assert_close(twin.sig(0, len(twin) - 1), line(len(twin) - 1), 1e-9)
            for twin in copies(windows):
                assert (twin.sig() == line(2)).all()

    run(push, take, take)


@pytest.mark.parametrize("cls", [siglib.SigStream, siglib.SigWindowStream, siglib.IntervalSignature])
def test_copies_go_their_own_way(cls: Any, rng: np.random.Generator) -> None:
    points = random_paths(rng, 300, 2)
    if cls is siglib.IntervalSignature:
        original = cls(points[:200], 2)
        add, value = cls.append, lambda path: path.sig(0, len(path) - 1)
    else:
        original = cls(2, 2, *[40] * (cls is siglib.SigWindowStream))
        original.push_batch(points[:200])
        add, value = cls.push_batch, lambda stream: stream.sig(0, 1) if cls is siglib.SigStream else stream.sig()[-1]
    expected = value(original)
    for twin in copies(original):
        add(twin, points[200:])
        add(original, np.zeros((0, 2)))
        assert_same_bits(value(original), expected)
        add(twin, points[:200])
        if cls is siglib.SigStream:
            assert (twin.size, original.size) == (4, 2)
            assert_close(twin.sig(0, 2), siglib.sig(points, 2))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@pytest.mark.parametrize("cls", [siglib.SigStream, siglib.SigWindowStream])
def test_interrupted_pushes_leave_locks_open(cls: Any) -> None:
    """Wherever the interrupt comes."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for k in range(300):
            stream = cls(2, 1, *[2] * (cls is siglib.SigWindowStream))
            stream.push(0 * STEP)
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + k * 1e-7)
                while True:
                    stream.push(STEP)
            except KeyboardInterrupt:
                pass
            (is_free,) = run(lambda lock=stream._points.lock: lock.acquire(blocking=False))
            assert is_free
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes that are copies")
def test_a_fork_finds_locks_open() -> None:
    """Although a thread that does not exist in the child had them."""
    stream = siglib.SigStream(2, 2)
    stream.push(0 * STEP)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with stream._points.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python and JAX warn of forks beside threads
        child = os.fork()
    if child == 0:
        stream.push(STEP)
        os._exit(not np.array_equal(stream.sig(0, 1), line(1)))
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(child, 9)
        ended = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert ended[1] == 0


class Product(siglib.StaticKernel):
    """A kernel of the user's, with a built-in one inside."""

    def __init__(self) -> None:
        self.kernel = siglib.RBFKernel(0.7)

    def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
        return self.kernel(ctx, x, y)

    def grad_x(self, ctx: Any, derivs: Any) -> Any:
        return self.kernel.grad_x(ctx, derivs)

    def grad_y(self, ctx: Any, derivs: Any) -> Any:
        return self.kernel.grad_y(ctx, derivs)


def test_user_kernels(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one call keeps for its gradient is out of reach of others."""
    monkeypatch.setattr("siglib.kernels.given._CHUNK_BYTES", 1)
    kernel = Product()
    paths = [(random_paths(rng, 6, n, 2), random_paths(rng, 6, n, 2)) for n in range(4, 12)]
    ones = np.ones(6)

    def gradients(x: np.ndarray, y: np.ndarray) -> Any:
        return siglib.sig_kernel_backprop(ones, x, y, dyadic_order=1, static_kernel=kernel, right_deriv=True)

    expected = [gradients(*pair) for pair in paths]
    for found, wanted in zip(run(*(partial(gradients, *pair) for pair in paths)), expected, strict=True):
        for a, b in zip(found, wanted, strict=True):
            assert_same_bits(a, b)


def test_one_warning_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(array: Any) -> bool:
        time.sleep(1e-2)
        return False

    monkeypatch.setattr("siglib.kernels.static_kernels.is_on_gpu", slow)
    messages = []
    monkeypatch.setattr(warnings, "warn", lambda message, *args, **kwargs: messages.append(message))
    kernel = siglib.PolynomialKernel(2.5, gamma=0.0)
    x = np.array([[[0.0], [1.0]]])
    run(*[lambda: kernel(siglib.Context(), x, -x)] * 8)
    assert len(messages) == 1


LONG = np.random.default_rng(0).standard_normal((2000, 100, 3))
SMALL = 0.1 * LONG
DERIVS = np.ones((2000, 363))
LONG_CALLS: dict[str, Callable[[], Any]] = {
    "sig": lambda: siglib.sig(LONG, 5),
    "sig_backprop": lambda: siglib.sig_backprop(LONG, DERIVS, DERIVS, 5),
    "log_sig": lambda: siglib.log_sig(LONG, 5),
    "sig_windows": lambda: siglib.sig_windows(LONG[:200], 4, 10),
    "branched_sig": lambda: siglib.branched_sig(LONG[:500], 4),
    "sig_kernel_gram": lambda: siglib.sig_kernel_gram(LONG[:60], LONG[60:130], dyadic_order=0),
    "branched_sig_kernel": lambda: siglib.branched_sig_kernel(LONG, SMALL, 2, 0),
}


@pytest.mark.parametrize("name", LONG_CALLS)
def test_another_thread_runs_while_kernels_do(name: str) -> None:
    """Python never takes its lock from a thread here: another one runs only where the lock is given back."""
    main, seen = threading.get_ident(), set()
    LONG_CALLS[name]()  # tables are made
    for _ in range(50):
        begin, end = threading.Event(), threading.Event()

        def look(begin: threading.Event = begin, end: threading.Event = end) -> None:
            begin.wait()
            # NumPy gives the lock back, too, on the way to the kernel: one look would often be there.
            while not end.is_set():
                frame = sys._current_frames()[main]
                seen.add(Path(frame.f_code.co_filename).parent.parent.name + " " + frame.f_code.co_name)
                time.sleep(1e-4)

        thread = threading.Thread(target=look)
        thread.start()
        sys.setswitchinterval(1000)
        try:
            begin.set()
            LONG_CALLS[name]()
        finally:
            end.set()
            sys.setswitchinterval(1e-6)
        thread.join()
        # The function that calls the compiled one.
        if seen & {"siglib forward", "siglib backward", "siglib solve", "siglib sig_windows"}:
            return
    raise AssertionError(f"the other thread saw {seen}")


@pytest.mark.usefixtures("eight_processors")
def test_all_processors_are_those_that_openmp_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in (("3", 3), (" 2,4", 2), ("20", 8), ("0", 8), ("many", 8), ("", 8), ("-2", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert as_n_threads(-1) == expected
        assert as_n_threads(-2) == expected - 1
        # Who says how many gets them.
        assert as_n_threads(5) == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(ValueError, match="n_jobs=-2 leaves no thread: this process may use 1 processors"):
        siglib.sig(np.eye(2), 2, n_jobs=-2)


@pytest.mark.usefixtures("eight_processors")
def test_all_processors_are_those_that_threadpoolctl_leaves() -> None:
    threadpoolctl = optional("threadpoolctl")
    for limit in (1, 3):
        with threadpoolctl.threadpool_limits(limits=limit, user_api="openmp"):
            assert as_n_threads(-1) == limit
            assert as_n_threads(5) == 5
    assert as_n_threads(-1) == 8
