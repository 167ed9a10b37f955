"""Caches of tables: what they keep, and how much."""

import threading
import time
from typing import Any

import numpy as np
import pytest
from gpu import Gpu

import siglib
from siglib._gpu import constants, window_plan
from siglib._tables import lyndon_cache
from siglib._tables.cache import TABLES, Cache


def table(n: int) -> tuple[np.ndarray]:
    return (np.zeros(n, np.int8),)


def bytes_of(cache: Cache) -> int:
    """Of the arrays that it keeps; each counts once."""
    arrays: dict[int, int] = {}

    def look(value: Any) -> None:
        if isinstance(value, (tuple, list)):
            for item in value:
                look(item)
        elif hasattr(value, "nbytes"):
            arrays[id(value)] = value.nbytes

    for entry in cache.ring:
        look(entry.value)
    return sum(arrays.values())


def test_what_was_not_asked_for_goes() -> None:
    cache = Cache(10_000)
    for n in range(5):
        cache.put(n, table(3000 if n else 1000))
        cache.get(0)
    assert 0 in cache
    assert 4 in cache
    assert 1 not in cache
    assert bytes_of(cache) <= cache.n_bytes <= 10_000
    # The newest one stays, whatever its size: it is in use.
    cache.put("large", table(50_000))
    assert list(cache.entries) == ["large"]
    cache.put("small", table(10))
    assert list(cache.entries) == ["small"]
    cache.put("small", table(20))
    assert cache.n_bytes < 1000
    cache.clear()
    assert cache.n_bytes == 0
    assert cache.get("small") is None


def test_shared_arrays_count_once() -> None:
    cache = Cache(10_000)
    shared = table(5000)
    for n in range(3):
        cache.put(n, (shared, table(100)))
    assert len(cache.entries) == 3
    assert bytes_of(cache) == 5300 <= cache.n_bytes <= 8000
    for n in range(3, 40):
        cache.put(n, table(3000))
    assert bytes_of(cache) <= cache.n_bytes <= 10_000


def test_threads_build_once() -> None:
    cache, built = Cache(10_000), []

    @cache.keep
    def slow(n: int) -> tuple[np.ndarray]:
        built.append(n)
        time.sleep(0.02)
        return table(n)

    threads = [threading.Thread(target=slow, args=(3,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [3]
    assert slow(3) is slow(3)


def test_tables_of_words_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    path = np.random.default_rng(0).standard_normal((40, 3))
    monkeypatch.setattr(TABLES, "most_bytes", 300_000)
    for n in range(40):
        words = [(n % 3, i % 3, i // 3 % 3, n // 9) for i in range(9)] + [(0,) * (n + 1)]
        siglib.sig_coef(path, words if n // 9 < 3 else [(0, n % 3)] * (n + 1))
        siglib.IntervalSignature(path, 1 + n % 8).sig(0, 30)
    assert bytes_of(TABLES) <= TABLES.n_bytes <= 300_000
    assert len(TABLES.ring) > 3


def test_lyndon_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = lyndon_cache._cache
    monkeypatch.setattr(cache, "most_bytes", 100_000)
    path = np.random.default_rng(0).standard_normal((9, 3))
    expected = [siglib.log_sig(path, degree, method=2) for degree in range(1, 7)]
    for degree in (*range(1, 7), *range(6, 0, -1)):
        assert np.array_equal(siglib.log_sig(path, degree, method=2), expected[degree - 1])
        assert bytes_of(cache) <= cache.n_bytes
        assert cache.n_bytes <= 100_000 or len(cache.ring) == 1


def test_clear_cache_empties_all(emulated: Gpu) -> None:
    rng = np.random.default_rng(0)
    for array in (rng.standard_normal((30, 2)), emulated.array(rng.standard_normal((30, 2)))):
        siglib.sig_coef(array, [(0, 1), (1, 1)])
        siglib.log_sig(array, 3, method=2)
        siglib.sig_windows(array, 2, 4)
        siglib.IntervalSignature(array, 2).sig(20, 1)
    caches = (lyndon_cache._cache.ring, TABLES.ring, constants._constants.ring, window_plan._plans)
    assert all(caches)
    siglib.clear_cache()
    assert not any(caches)
