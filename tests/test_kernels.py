"""The kernel modules: the same ones in every instruction set, and how one is chosen."""

import importlib
import inspect
import os
import subprocess
import sys
from typing import Any

import pytest

from siglib import _cpu

INSTRUCTION_SETS = _cpu.usable_instruction_sets()


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def described(instruction_set: str) -> dict[str, tuple[Any, ...]]:
    """module.kernel -> (parameters, docstring, dtypes)."""
    modules = {stem: importlib.import_module(f"siglib._cpu._{stem}_{instruction_set}") for stem in _cpu._MODULES}
    return {
        f"{stem}.{name}": (inspect.signature(kernel), kernel.__doc__, sorted(kernel.__signatures__))
        for stem, module in modules.items()
        for name, kernel in vars(module).items()
        if hasattr(kernel, "__signatures__")
    }


def test_baseline_is_always_usable() -> None:
    assert INSTRUCTION_SETS[-1] == "baseline"
    assert _cpu.instruction_set in INSTRUCTION_SETS


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_instruction_sets_hold_the_same_kernels(name: str) -> None:
    kernels = described(name)
    assert kernels == described("baseline")
    assert set(kernels) >= {"signature.sig", "signature.sig_backprop", "signature.sig_combine", "path.transform_path"}
    for _, _, dtypes in kernels.values():
        assert dtypes == ["double", "float"]
    loaded = _cpu.load(name)
    assert set(loaded) == {"float64", "float32"}
    for dtype, modules in loaded.items():
        assert modules.dtype == dtype
        topics = {stem: set(vars(fs)) for stem, fs in vars(modules).items() if stem != "dtype"}
        found = {f"{stem}.{kernel}" for stem, names in topics.items() for kernel in names}
        assert found >= set(kernels)
        # What plans calls in front of compiled functions may have more.
        assert {name.partition(".")[0] for name in found - set(kernels)} <= set(_cpu._PLANNED)


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_environment_variable_chooses(name: str) -> None:
    code = "import siglib; from siglib import _cpu; print(_cpu.instruction_set, siglib.sig([[0], [2]], 2))"
    result = run(code, SIGLIB_CPU=name)
    assert result.stdout == f"{name} [2. 2.]\n", result.stderr


def test_the_fastest_is_chosen_by_default() -> None:
    for value in ("", INSTRUCTION_SETS[0]):
        result = run("from siglib import _cpu; print(_cpu.instruction_set)", SIGLIB_CPU=value)
        assert result.stdout == f"{INSTRUCTION_SETS[0]}\n", result.stderr


def test_an_impossible_choice_names_the_possible_ones() -> None:
    result = run("import siglib", SIGLIB_CPU="mmx")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "SIGLIB_CPU='mmx'" in last
    assert all(name in last for name in INSTRUCTION_SETS)
