"""`siglib.progress`: who is told what, and that results stay what they are."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from checking import assert_close, optional

import siglib
from siglib._call import block_sizes, series_calls
from siglib._call import progress as module

Told = list[tuple[str, int, int]]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of a few paths, whatever they take."""
    monkeypatch.setattr(block_sizes, "_STEP_SECONDS", 1e-9)
    monkeypatch.setattr(block_sizes, "_STEP_ITEMS", 4)
    monkeypatch.setattr(block_sizes, "_STEP_SIDE", 4)
    yield
    assert not module.watchers


def paths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).cumsum(-2) / shape[-2] ** 0.5


def watched(call: Callable[[], Any]) -> tuple[Any, Told]:
    told: Told = []
    with siglib.progress(lambda *now: told.append(now)):
        return call(), told


def check_told(told: Told, name: str, total: int) -> None:
    """Counts that grow to the total, in several steps."""
    assert {now[0] for now in told} == {name}
    assert {now[2] for now in told} == {total}
    done = [now[1] for now in told]
    assert done == sorted(set(done))
    assert done[0] > 0
    assert done[-1] == total
    assert len(done) > 1


@pytest.mark.parametrize("name", ["float64", "float32", "float16"])
def test_batches(name: str, rng: np.random.Generator) -> None:
    x = paths(rng, 3, 5, 6, 2).astype(name)
    starts = rng.integers(0, 3, (3, 5, 4))
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("sig", lambda: siglib.sig(x, 3)),
        ("log_sig", lambda: siglib.log_sig(x, 3)),
        ("sig_windows", lambda: siglib.sig_windows(x, 2, starts=starts, ends=starts + 3)),
        ("sig_kernel", lambda: siglib.sig_kernel(x, x[::-1], dyadic_order=1)),
        ("branched_sig", lambda: siglib.branched_sig(x, 2)),
    ]
    for function, call in calls:
        found, told = watched(call)
        check_told(told, function, 15)
        assert np.array_equal(found, call())
        assert found.dtype == name
    correction = rng.standard_normal((3, 5, 5, 4)).astype(name)
    for some in (correction, correction[0, 0]):
        found, told = watched(lambda some=some: siglib.sig(x, 2, correction=some))
        check_told(told, "sig", 15)
        assert np.array_equal(found, siglib.sig(x, 2, correction=some))


@pytest.mark.parametrize("options", [{}, {"time_aug": True, "scalar_term": True}], ids=str)
def test_paths_of_unequal_lengths(options: dict[str, Any], rng: np.random.Generator) -> None:
    lengths = rng.integers(0, 9, 50)
    padded = paths(rng, 50, 9, 2)
    listed = [path[:n].copy() for path, n in zip(padded, lengths, strict=True)]
    for call in (lambda: siglib.sig(listed, 3, **options), lambda: siglib.sig(padded, 3, lengths=lengths, **options)):
        found, told = watched(call)
        check_told(told, "sig", 50)
        assert np.array_equal(found, call())
    torch = optional("torch")
    found, told = watched(lambda: siglib.sig([torch.from_numpy(path) for path in listed], 3, **options))
    check_told(told, "sig", 50)
    assert np.array_equal(found.numpy(), siglib.sig(listed, 3, **options))


def test_series(rng: np.random.Generator) -> None:
    points = np.where(rng.random((50, 9, 2)) < 0.2, np.nan, paths(rng, 50, 9, 2))
    series = siglib.Series(points, gaps="linear", base_point=rng.standard_normal((50, 2)), cumulative_sum=True)
    for call in (lambda: siglib.sig(series, 3), lambda: siglib.transform_path(series, time_aug=True)):
        found, _ = watched(call)
        assert np.array_equal(found, call())


def test_runs_and_parts_are_one_call(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_calls, "_BYTES", 1)
    x = [path[:n] for path, n in zip(paths(rng, 80, 90, 2), rng.integers(0, 91, 80), strict=True)]
    times = np.arange(6.0)
    calls: list[tuple[str, int, Callable[[], Any]]] = [
        ("sig_coef", 80, lambda: siglib.sig_coef(x, [(0, 1)], time_aug=True)),
        ("sig", 80, lambda: siglib.sig(x, 2, correction=np.ones(4))),
        ("sig_kernel", 80, lambda: siglib.sig_kernel(x, x[::-1], dyadic_order=0)),
        ("sig_kernel_gram", 6400, lambda: siglib.sig_kernel_gram(x, x, method="polynomial", order=2)),
        ("sig_kernel_gram", 2400, lambda: siglib.sig_kernel_gram(x, x[:30], method="polynomial", order=2)),
        ("sig", 200, lambda: siglib.sig(paths(np.random.default_rng(0), 200, 6, 2), 2, times=times, time_aug=True)),
    ]
    for function, total, call in calls:
        found, told = watched(call)
        check_told(told, function, total)
        assert_close(found, call())


def test_reports_may_call(rng: np.random.Generator) -> None:
    x, told, inner = [path[: 5 + i % 2] for i, path in enumerate(paths(rng, 20, 6, 2))], [], []

    def report(*now: Any) -> None:
        told.append(now)
        with siglib.progress(lambda *then: inner.append(then)):
            siglib.log_sig(paths(rng, 8, 6, 2), 2)

    with siglib.progress(report):
        siglib.sig_prefixes(x, 2)
    assert told == [("sig_prefixes", done, 20) for done in (4, 8, 10, 14, 18, 20)]
    assert inner == [("log_sig", 4, 8), ("log_sig", 8, 8)] * 6


@pytest.mark.parametrize("options", [{}, {"normalize": True}, {"log": True}, {"return_grid": True}], ids=str)
def test_gram_matrices(options: dict[str, Any], rng: np.random.Generator) -> None:
    x, y = 0.5 * paths(rng, 10, 6, 2), 0.5 * paths(rng, 2, 7, 5, 2)
    for a, b in ((x, y), (x, x), (y, y), (y, x)):
        found, told = watched(lambda a=a, b=b: siglib.sig_kernel_gram(a, b, dyadic_order=1, **options))
        expected = siglib.sig_kernel_gram(a, b, dyadic_order=1, **options)
        check_told(told, "sig_kernel_gram", int(np.prod(a.shape[:-2]) * np.prod(b.shape[:-2])))
        assert np.array_equal(found, expected)
    found, told = watched(lambda: siglib.branched_sig_kernel_gram(x, x, 2, 1))
    check_told(told, "branched_sig_kernel_gram", 100)
    assert np.array_equal(found, siglib.branched_sig_kernel_gram(x, x, 2, 1))


def test_metrics(rng: np.random.Generator) -> None:
    x, y = paths(rng, 10, 6, 2), paths(rng, 9, 5, 2)
    found, told = watched(lambda: siglib.sig_mmd(x, y, dyadic_order=0))
    assert_close(found, siglib.sig_mmd(x, y, dyadic_order=0))
    assert {total for _, _, total in told} == {100, 81, 90}


def test_what_shows_nothing(rng: np.random.Generator, capsys: pytest.CaptureFixture) -> None:
    x = paths(rng, 10, 6, 2)
    siglib.sig_kernel_gram(x, x, dyadic_order=0)
    assert capsys.readouterr() == ("", "")
    # A single block, and nothing at all.
    for call in (
        lambda: siglib.sig(x[0], 3),
        lambda: siglib.sig(x[:3], 3),
        lambda: siglib.sig(x[:0], 3),
        lambda: siglib.sig_kernel_gram(x[:0], x, dyadic_order=0),
    ):
        found, told = watched(call)
        assert not told
        assert np.array_equal(found, call())


def test_threads_and_blocks_in_blocks(rng: np.random.Generator) -> None:
    x, told, inner = paths(rng, 10, 6, 2), [], []
    with siglib.progress(lambda *now: told.append((threading.get_ident(), *now))):
        threads = [threading.Thread(target=lambda: siglib.sig(x, 2)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with siglib.progress(lambda *now: inner.append(now)):
            siglib.log_sig(x, 2)
        siglib.sig(x, 3)
    check_told(inner, "log_sig", 10)
    assert [now[2] for now in told].count(10) == 4
    assert len({now[0] for now in told}) >= 2


def test_what_a_report_raises_ends_the_call(rng: np.random.Generator) -> None:
    def stop(name: str, done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"), siglib.progress(stop):
        siglib.sig(paths(rng, 10, 6, 2), 2)
    with pytest.raises(TypeError, match="report must be callable, got 3 of type int"), siglib.progress(3):
        pass


def test_a_line_without_tqdm(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with siglib.progress():
        siglib.sig(paths(rng, 10, 6, 2), 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("\rsig: ")
    assert err.endswith("\rsig: 100 %, 0 s left \n")


def test_a_bar_of_tqdm(rng: np.random.Generator, capsys: pytest.CaptureFixture) -> None:
    optional("tqdm")
    with siglib.progress():
        siglib.sig(paths(rng, 10, 6, 2), 2)
    assert "sig: 100%" in capsys.readouterr().err


def test_without_a_console(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    x = paths(rng, 10, 6, 2)
    monkeypatch.setattr(sys, "stderr", None)
    for _ in range(2):
        with siglib.progress():
            assert np.array_equal(siglib.sig(x, 2), siglib.sig(x, 2))
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert capsys.readouterr().out == ""


def test_arrays_of_dask_show_nothing_here(rng: np.random.Generator) -> None:
    da = optional("dask.array")
    x = paths(rng, 20, 6, 2)
    chunked = da.from_array(x, chunks=(10, 6, 2))
    for call in (lambda p: siglib.sig(p, 2), lambda p: siglib.sig_mmd(p, p, dyadic_order=0)):
        found, told = watched(lambda call=call: call(chunked).compute(scheduler="sync"))
        assert not told
        assert_close(found, call(x))
