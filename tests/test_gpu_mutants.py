"""Deliberate mistakes in the kernels are found: by a wrong value, or by the emulator's report."""

import importlib
import pkgutil
from functools import cache

import pytest
from emu import mutants
from emu.emulator import BuildError, EmulatorError
from emu.mutants import Mutant
from gpu import Gpu

from siglib._gpu import _source

MUTANTS: list[Mutant] = [
    mutant
    for topic in pkgutil.iter_modules(mutants.__path__)
    for mutant in importlib.import_module(f"emu.mutants.{topic.name}").MUTANTS
]
_PROBLEMS = {(mutant.problem, mutant.mode): None for mutant in MUTANTS}


@pytest.mark.parametrize(("problem", "mode"), _PROBLEMS, ids=lambda value: getattr(value, "__name__", value))
def test_the_kernels_pass(emulated: Gpu, problem: object, mode: str) -> None:
    emulated.cupy.MODE = mode
    problem(emulated)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.name}")
def test_the_mistake_is_found(emulated: Gpu, mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    text = _source.text
    assert mutant.old in text(mutant.file), "the kernel has changed: this mistake cannot be made any more"

    def mutated(name: str) -> str:
        return text(name).replace(mutant.old, mutant.new) if name == mutant.file else text(name)

    monkeypatch.setattr(_source, "text", mutated)
    monkeypatch.setattr(_source, "read", cache(_source.read.__wrapped__))
    emulated.cupy.MODE = mutant.mode
    try:
        mutant.problem(emulated)
    except (EmulatorError, AssertionError):
        pass
    except BuildError as error:
        pytest.fail(f"this mistake does not compile: {error}")
    else:
        pytest.fail("nothing has found this mistake")
