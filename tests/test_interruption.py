"""Ctrl-C during long calls.

Most tests ask for an interrupt at a certain look at signals, of which there is one at every opportunity then: they need
no clock, and see whether a call was ended from within.
"""

import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import siglib
from siglib._cpu import _interruption

NEVER = 10**9


@pytest.fixture(autouse=True)
def _as_always() -> Iterator[None]:
    yield
    _interruption.interrupt_at_look(-1)


def paths(*shape: int) -> np.ndarray:
    """Random walks that end some units from where they start."""
    return np.random.default_rng(shape).normal(size=shape).cumsum(-2) / np.sqrt(shape[-2])


def ones_like(operation: Callable, *arguments: Any, **options: Any) -> np.ndarray:
    return np.ones_like(operation(*arguments, **options))


class Calls(dict[str, Callable[[int], Any]]):
    """Functions of the number of threads."""

    def add(self, name: str, operation: Callable, *arguments: Any, **options: Any) -> None:
        self[f"{operation.__name__}, {name}"] = lambda n_jobs: operation(*arguments, n_jobs=n_jobs, **options)


@cache
def of_paths() -> Calls:
    calls = Calls()
    for name, path, degree, options in (
        ("many", paths(2000, 20, 3), 4, {}),
        ("few", paths(2, 20_000, 3), 4, {}),
        ("one", paths(1, 400_000, 2), 2, {}),
        ("channels", paths(2, 3000, 64), 2, {}),
        ("level 1", paths(100_000, 3, 3), 1, {}),
        ("transformed", paths(2, 20_000, 2), 5, {"time_aug": True, "lead_lag": True}),
        ("line", paths(5000, 200, 1), 5, {}),
    ):
        calls.add(name, siglib.sig, path, degree, **options)
        out = siglib.sig(path, degree, **options)
        calls.add(name, siglib.sig_backprop, path, out, np.ones_like(out), degree, **options)
        if name != "line":
            calls.add(name, siglib.log_sig, path, degree, **options)
            derivs = ones_like(siglib.log_sig, path, degree, **options)
            calls.add(name, siglib.log_sig_backprop, path, derivs, degree, **options)
    for name, path in (("many", paths(8000, 20, 3)), ("one", paths(1, 400_000, 2))):
        for options in ({"lead_lag": True}, {"time_aug": True}):
            longer = siglib.transform_path(path, **options)
            calls.add(f"{name}, {options}", siglib.transform_path, path, **options)
            calls.add(f"{name}, {options}", siglib.transform_path_backprop, longer, **options)
    for name, path in (("corrected, many", paths(400, 20, 3)), ("corrected, few", paths(1, 5000, 3))):
        options = {"correction": 0.001 * np.ones(9)}
        out = siglib.sig(path, 4, **options)
        calls.add(name, siglib.sig, path, 4, **options)
        calls.add(name, siglib.sig_backprop, path, out, np.ones_like(out), 4, correction_deriv=True, **options)
    return calls


@cache
def of_signatures() -> Calls:
    calls = Calls()
    for name, batch, *size in (
        ("many", 8000, 3, 4),
        ("one", 1, 2, 17),
        ("one, wide", 1, 13, 5),
        ("one, brackets", 1, 6, 6),
    ):
        path = paths(batch, 5, size[0])
        x, sig = path[:, 0], siglib.sig(path, size[1])
        derivs = np.ones_like(sig)
        if name != "one, brackets":
            calls.add(name, siglib.sig_combine, sig, sig, *size)
            calls.add(name, siglib.sig_combine_backprop, derivs, sig, sig, *size)
            calls.add(name, siglib.sig_join, sig, x, *size)
            calls.add(name, siglib.sig_join_backprop, derivs, sig, x, *size)
            calls.add(name, siglib.linear_sig, x, *size)
            calls.add(name, siglib.linear_sig_backprop, derivs, x, *size)
        # Brackets of long words have too many terms.
        for method in {"many": (0, 1, 2), "one, brackets": (1, 2)}.get(name, (0,)):
            log_sig = siglib.sig_to_log_sig(sig, *size, method=method)
            log_derivs, with_method = np.ones_like(log_sig), f"{name}, {method}"
            calls.add(with_method, siglib.logsig_to_sig, log_sig, *size, method=method)
            calls.add(with_method, siglib.logsig_to_sig_backprop, log_sig, derivs, *size, method=method)
        if name in ("many", "one, brackets"):
            calls.add(name, siglib.log_sig_combine, log_sig, log_sig, *size)
            calls.add(name, siglib.log_sig_combine_backprop, log_derivs, log_sig, log_sig, *size)
            calls.add(name, siglib.log_sig_join, log_sig, x, *size)
            calls.add(name, siglib.log_sig_join_backprop, log_derivs, log_sig, x, *size)
        else:
            log_derivs = ones_like(siglib.sig_to_log_sig, sig, *size)
            calls.add(name, siglib.sig_to_log_sig, sig, *size)
            calls.add(name, siglib.sig_to_log_sig_backprop, sig, log_derivs, *size)
    sig = siglib.sig(paths(8000, 5, 3), 4)
    for method in (0, 1, 2):
        log_derivs = ones_like(siglib.sig_to_log_sig, sig, 3, 4, method=method)
        calls.add(f"many, {method}", siglib.sig_to_log_sig, sig, 3, 4, method=method)
        calls.add(f"many, {method}", siglib.sig_to_log_sig_backprop, sig, log_derivs, 3, 4, method=method)
    return calls


@cache
def of_words() -> Calls:
    calls, rng = Calls(), np.random.default_rng(0)
    chains = [tuple(rng.integers(0, 3, 7).tolist()) for _ in range(9)]
    long_words = [tuple(rng.integers(0, 3, 300).tolist()) for _ in range(2)]
    for name, path, words in (
        ("trie, many", paths(2000, 20, 3), siglib.words(3, 4)),
        ("trie, few", paths(2, 5000, 3), siglib.words(3, 4)),
        ("chains, many", paths(2000, 20, 3), chains),
        ("chains, few", paths(2, 20_000, 3), chains),
        ("long", paths(2, 300, 3), long_words),
    ):
        coefs = siglib.sig_coef(path, words, prefixes=True)
        calls.add(name, siglib.sig_coef, path, words)
        calls.add(name, siglib.sig_coef_backprop, path, words, coefs, np.ones_like(coefs))
    for name, path in (("trees, many", paths(4000, 20, 3)), ("trees, few", paths(2, 10_000, 3))):
        trees = list(siglib.trees(3, 4))
        coefs = siglib.branched_sig_coef(path, trees)
        calls.add(name, siglib.branched_sig_coef, path, trees)
        calls.add(name, siglib.branched_sig_coef_backprop, path, trees, coefs, np.ones_like(coefs))
    return calls


@cache
def of_windows() -> Calls:
    calls, rng = Calls(), np.random.default_rng(0)
    for name, path, *window in (
        ("many", paths(40, 300, 2), 30, 2),
        ("pieces", paths(1, 20_000, 2), 19_000, 1),
        ("one", paths(1, 60_000, 2), 60_000, 1),
    ):
        derivs = ones_like(siglib.sig_windows, path, 4, *window)
        calls.add(name, siglib.sig_windows, path, 4, *window)
        calls.add(name, siglib.sig_windows_backprop, path, derivs, 4, *window)
        calls.add(name, siglib.log_sig_windows, path, 4, *window)
    path = paths(1, 3000, 3)
    calls.add("", siglib.sig_prefixes, path, 4)
    calls.add("", siglib.sig_prefixes_backprop, path, ones_like(siglib.sig_prefixes, path, 4), 4)
    starts, ends = rng.integers(0, 3000, (2, 500))
    calls["intervals"] = lambda n: siglib.IntervalSignature(path[0], 4, n_jobs=n).sig_batch(starts, ends)
    return calls


@cache
def of_pairs() -> Calls:
    calls, some, pair = Calls(), paths(20, 60, 3), paths(2, 700, 3)
    for name, path, options in (
        ("many", some, {"dyadic_order": 0}),
        ("many, orders", some, {"dyadic_order": (1, 2)}),
        ("many, rbf", some, {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(1.0)}),
        ("many, polynomial", some, {"method": "polynomial", "order": 4}),
        ("one", pair[:1], {"dyadic_order": 0}),
        ("one, rbf", pair[:1], {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(1.0)}),
        ("two, polynomial", pair, {"method": "polynomial", "order": 4}),
    ):
        other = 0.9 * path
        derivs = ones_like(siglib.sig_kernel_gram, path, other, **options)
        options |= {"static_kernel": options.get("static_kernel", siglib.LinearKernel())}
        both = options | {"left_deriv": True, "right_deriv": True}
        calls.add(name, siglib.sig_kernel, path, other, **options)
        calls.add(name, siglib.sig_kernel_backprop, derivs[0], path, other, **both)
        calls.add(name, siglib.sig_kernel_gram, path, other, **options)
        calls.add(f"{name}, symmetric", siglib.sig_kernel_gram, path, path, **options)
        calls.add(name, siglib.sig_kernel_gram_backprop, derivs, path, other, **both)
    calls.add("grid", siglib.sig_kernel_gram, some, some, dyadic_order=0, return_grid=True)
    small = 0.3 * some
    calls.add("", siglib.branched_sig_kernel, small, -small, 3, 1)
    calls.add("", siglib.branched_sig_kernel_backprop, np.ones(20), small, -small, 3, 1, right_deriv=True)
    calls.add("", siglib.branched_sig_kernel_gram, small, -small, 3, 0)
    calls.add("symmetric", siglib.branched_sig_kernel_gram, small, small, 3, 0)
    calls.add("", siglib.branched_sig_kernel_gram_backprop, np.ones((20, 20)), small, -small, 3, 0)
    calls.add("", siglib.sig_mmd, some, 0.9 * some, dyadic_order=0)
    return calls


@cache
def of_trees() -> Calls:
    calls = Calls()
    for name, path in (("many", paths(3000, 20, 3)), ("few", paths(2, 20_000, 3))):
        for with_options, options in ((name, {}), (f"{name}, corrected", {"correction": 0.001 * np.ones(9)})):
            out = siglib.branched_sig(path[:, :200], 4, **options)
            calls.add(with_options, siglib.branched_sig, path[:, :200], 4, **options)
            calls.add(with_options, siglib.branched_sig_backprop, path[:, :200], out, out, 4, **options)
        calls.add(name, siglib.branched_log_sig, path, 4)
    for name, batch, planar in (("trees", 3000, False), ("forests", 1000, True)):
        path, size, options = paths(batch, 5, 3), (3, 4), {"planar": planar}
        x, bsig = path[:, 0], siglib.branched_sig(path, 4, **options)
        log_sig = siglib.branched_sig_to_log_sig(bsig, *size, **options)
        for function, arrays in (
            (siglib.branched_sig_combine, (bsig, bsig)),
            (siglib.branched_sig_combine_backprop, (bsig, bsig, bsig)),
            (siglib.branched_sig_join, (bsig, x)),
            (siglib.branched_sig_join_backprop, (bsig, bsig, x)),
            (siglib.linear_branched_sig, (x,)),
            (siglib.linear_branched_sig_backprop, (bsig, x)),
            (siglib.branched_sig_to_log_sig, (bsig,)),
            (siglib.branched_sig_to_log_sig_backprop, (bsig, log_sig)),
            (siglib.branched_logsig_to_sig, (log_sig,)),
            (siglib.branched_logsig_to_sig_backprop, (log_sig, bsig)),
        ):
            calls.add(name, function, *arrays, *size, **options)
    coordinates = siglib.branched_sig_to_log_sig(bsig, *size, method=2, **options)
    calls.add(name, siglib.branched_log_sig_combine, coordinates, coordinates, *size)
    calls.add(name, siglib.branched_log_sig_combine_backprop, coordinates, coordinates, coordinates, *size)
    calls.add(name, siglib.branched_log_sig_join, coordinates, x, *size)
    calls.add(name, siglib.branched_log_sig_join_backprop, coordinates, coordinates, x, *size)
    return calls


KINDS = [of_paths, of_signatures, of_words, of_windows, of_pairs, of_trees]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a is b if a is None else np.array_equal(a, b)


def is_interrupted(call: Callable[[int], Any], n_jobs: int, look: int) -> bool:
    """Whether an interrupt at that look ends the call from within; if there is no such look, it must be complete."""
    before = _interruption.stopped_calls()
    _interruption.interrupt_at_look(look)
    try:
        call(n_jobs)
    except KeyboardInterrupt:
        assert _interruption.stopped_calls() == before + 1
        return True
    finally:
        _interruption.interrupt_at_look(-1)
    assert _interruption.stopped_calls() == before
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_ends_and_works_on(kind):
    """With many units of work, and with few that are long."""
    for name, call in kind().items():
        expected = call(1)
        _interruption.interrupt_at_look(NEVER)
        assert same(call(1), expected), name
        n_looks = NEVER - _interruption.looks_to_come()
        # Each loop looks when it begins and when it is done: there must be more.
        assert n_looks >= 5, name
        for look in {0, 1, n_looks // 3, n_looks // 2, n_looks - 2, n_looks - 1}:
            assert is_interrupted(call, 1, look), (name, look)
        assert not is_interrupted(call, 1, n_looks), name
        assert same(call(1), expected), name
        # Of two threads the one that called may have little to do, but it looks.
        assert is_interrupted(call, 2, 0), name
        for look in range(1, 8):
            is_interrupted(call, 2, look)
        assert same(call(2), expected), name


def test_all_functions_are_there():
    """The kinds have all functions that take a number of threads, but for those that consist of others."""
    tested = {name.split(",")[0] for kind in KINDS for name in kind()}
    made_of_others = {
        "log_sig_prefixes",
        "gram_to_file",
        "linear_log_sig",
        "linear_log_sig_backprop",
        "linear_branched_log_sig",
        "linear_branched_log_sig_backprop",
        "branched_sig_windows",
        "branched_sig_prefixes",
        "branched_log_sig_windows",
        "branched_log_sig_prefixes",
        "sig_score",
        "expected_sig_score",
        "two_sample_test",
        "independence_test",
        "sig_jvp",
        "sig_coef_jvp",
        "log_sig_jvp",
        "sig_to_log_sig_jvp",
        "sig_kernel_jvp",
        "sig_kernel_gram_jvp",
    }
    functions = {
        function.__name__
        for function in vars(siglib).values()
        if inspect.isfunction(function) and "n_jobs" in inspect.signature(function).parameters
    }
    assert functions == tested - {"intervals"} | made_of_others


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs to see the memory of a process")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_memory_is_free_again(n_jobs):
    def pages() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0])

    kinds = [call for kind in KINDS for name, call in kind().items() if ", one" in name]
    # What threads and caches take they keep.
    for call in kinds:
        is_interrupted(call, n_jobs, 1)
    before = pages()
    for call in kinds:
        for look in range(10):
            is_interrupted(call, n_jobs, look)
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 64 << 20


def test_handlers_that_do_not_raise():
    """They run within the call, may call the library, and the call goes on."""
    call = of_paths()["sig, many"]
    other = of_pairs()["sig_kernel_gram, many"]
    expected, others = call(1), other(1)
    seen = []

    def handler(number: int, frame: Any) -> None:
        seen.append(same(other(1), others))

    before = signal.signal(signal.SIGINT, handler)
    try:
        for look in (0, 1, 3):
            _interruption.interrupt_at_look(look)
            assert same(call(1), expected)
            # The interrupt has come, and during the call, whose end does not look.
            assert _interruption.looks_to_come() == -1
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [True] * 3


def test_handlers_may_be_interrupted():
    """A call in a handler is ended by the handler of another signal, and with it the call that is interrupted."""
    call, other = of_paths()["sig, many"], of_pairs()["sig_kernel_gram, many"]
    expected = call(1)

    def handler(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)
        assert is_interrupted(other, 1, 2)
        _interruption.interrupt_at_look(0)
        other(1)

    before = signal.signal(signal.SIGINT, handler)
    stopped = _interruption.stopped_calls()
    try:
        _interruption.interrupt_at_look(2)
        with pytest.raises(KeyboardInterrupt):
            call(1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert _interruption.stopped_calls() == stopped + 3
    _interruption.interrupt_at_look(-1)
    assert same(call(1), expected)


def test_other_threads_do_not_look():
    """Only the main thread handles signals; it is the one to be interrupted."""
    call = of_paths()["sig, many"]
    expected, results = call(2), []
    _interruption.interrupt_at_look(0)
    thread = threading.Thread(target=lambda: results.append(call(2)))
    thread.start()
    thread.join()
    assert same(results[0], expected)
    assert _interruption.looks_to_come() == 0


def test_streams_go_on():
    """What a stream had it has afterwards, and what an interrupt left half done is done later."""
    points = paths(4000, 2)

    def pushed() -> siglib.SigStream:
        stream = siglib.SigStream(2, 4)
        stream.push_batch(points, checkpoints=True)
        return stream

    expected = pushed().sig_batch([(5, 3990), (3000, 17)])
    stream = pushed()
    for look in (0, 1, 2, 5, 9, 14):
        assert is_interrupted(lambda n_jobs: stream.sig_batch([(5, 3990), (3000, 17)]), 1, look)
    assert np.array_equal(stream.sig_batch([(5, 3990), (3000, 17)]), expected)
    windows = siglib.SigWindowStream(2, 4, 50)
    windows.push_batch(points)
    for look in (0, 1, 4):
        assert is_interrupted(lambda n_jobs: windows.sig(), 1, look)
    again = siglib.SigWindowStream(2, 4, 50)
    again.push_batch(points)
    assert np.array_equal(windows.sig(), again.sig())


class Enough(Exception):
    """What the handler of a timer raises."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("shape", [(200, 20_000, 4), (3, 200_000, 4)])
def test_a_signal_ends_a_call_that_takes_for_ever(n_jobs, shape):
    """Hours, if nobody looked: of lane groups, and of pairs along anti-diagonals."""

    def handler(number: int, frame: Any) -> None:
        raise Enough

    path = paths(*shape)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Enough):
            siglib.sig_kernel_gram(path, path, dyadic_order=0, n_jobs=n_jobs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isfinite(siglib.sig_kernel(path[0, :10], path[1, :10], dyadic_order=0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_thread_that_forks_becomes_the_main_one():
    program = """
import os, threading
import numpy as np, siglib
from siglib._cpu import _interruption

path = np.ones((4000, 20, 3)).cumsum(1)
siglib.sig(path, 4)
_interruption.interrupt_at_look(10**9)
siglib.sig(path, 4)

def fork():
    child = os.fork()
    if child == 0:
        _interruption.interrupt_at_look(1)
        try:
            siglib.sig(path, 4)
        except KeyboardInterrupt:
            os._exit(17)
        os._exit(1)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

codes = []
thread = threading.Thread(target=fork)
thread.start()
thread.join()
print(codes)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[17]", done.stderr
