"""The benchmarks reach every operation of the table, and can call what they measure."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operations import OF_ARRAYS

import siglib

FOLDER = Path(__file__).parents[1] / "benchmarks"


def loaded(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """A module of the benchmarks, whose names are those of modules of the tests, too."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    kept = {key: sys.modules.pop(key) for key in ("cases",) if key in sys.modules}
    try:
        return __import__(name)
    finally:
        for key in ("cases", "calls", "others"):
            sys.modules.pop(key, None)
        sys.modules.update(kept)


def test_every_operation_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a small shape, with a result of finite numbers."""
    cases = loaded(monkeypatch, "cases")
    operations = cases.OPERATIONS | cases.THE_REST
    assert {*OF_ARRAYS} <= {name.partition(",")[0] for name in operations}
    for name, operation in operations.items():
        small = operation.shapes[0]._replace(batch=min(operation.shapes[0].batch, 4), length=51, dimension=2)
        if hasattr(small, "degree"):
            small = small._replace(degree=min(small.degree, 3))
        arrays = operation.arrays(small, np.dtype("float32"))
        results = operation.ready(siglib, small, 1, *arrays)()
        for result in results if isinstance(results, tuple) else (results,):
            assert result is None or np.isfinite(result).all(), name


def test_long_work_is_measured(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    scale = loaded(monkeypatch, "scale")
    program = [str(FOLDER / "scale.py"), "progress", "file", "--batch", "400", "--series", "100", "--points", "400"]
    monkeypatch.setattr(sys, "argv", program)
    scale.main()
    shown = capfd.readouterr().out
    assert "progress: sig_kernel_gram: " in shown
    assert "file: killed after " in shown
    assert "; the numbers of one call" in shown
