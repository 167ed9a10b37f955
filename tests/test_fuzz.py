"""Random calls reach every operation of the table, and find out what is wrong."""

import inspect
from collections import Counter
from pathlib import Path
from typing import Any

import fuzz
import numpy as np
import pytest
from operations import NAMES

import siglib


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counter[str]:
    """How many results each public function gave."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> Any:
        function = vars(siglib)[name]

        def call(*args: Any, **options: Any) -> Any:
            result = function(*args, **options)
            counts[name] += 1
            return result

        call.__signature__ = inspect.signature(function)
        return call

    siglib.set_cache_dir(tmp_path)
    for name in NAMES:
        if inspect.isfunction(vars(siglib)[name]):
            monkeypatch.setattr(siglib, name, counted(name))
    return counts


@pytest.mark.filterwarnings("ignore")
def test_every_operation_gives_results(results: Counter[str]) -> None:
    calls = fuzz.all_calls()
    assert calls.keys() == {*NAMES} - fuzz.NOTHING_TO_TRY
    for number, (name, call) in enumerate(calls.items()):
        tries = (call(np.random.default_rng([number, k])) for k in range(40))
        assert any(tries), name
    silent = {name for name in NAMES if inspect.isfunction(vars(siglib)[name])} - results.keys() - fuzz.NOTHING_TO_TRY
    assert not silent
