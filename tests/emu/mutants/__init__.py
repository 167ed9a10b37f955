"""Deliberate mistakes in siglib's kernels, by topic: tests that cannot find them would prove nothing.

A module of this package has `MUTANTS`, a list. `tests/test_gpu_mutants.py` takes all modules that are here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Mutant(NamedTuple):
    """One mistake: in `cuda/<file>`, `old` becomes `new`.

    `problem(gpu)` calls public functions and asserts what they give: it must pass with the kernels as they are, and fail
    or be reported by the emulator with this mistake. `mode` is the build of the emulator that finds it.
    """

    name: str
    file: str
    old: str
    new: str
    problem: Callable[[Any], None]
    mode: str = "check"
