"""Compiles CUDA sources with NVIDIA's compiler, for any GPU, without one: registers and spills of every kernel.

`python -m emu.nvrtc emu/budget/path.txt`, in the folder `tests`, prints the table anew as measured;
`python -m emu.nvrtc --times emu/budget/*.txt` prints how long kernels take to compile, the slowest last.
"""

import ctypes
import functools
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ARCHITECTURES = (75, 80, 90, 100, 120)
# Of the compiler that the budgets were measured with; another one gives other numbers.
MEASURED_WITH = (13, 0)
BUDGETS = Path(__file__).parent / "budget"


class Usage(NamedTuple):
    """What a kernel takes: registers, and bytes that did not fit into them."""

    registers: int
    spilled: int


class Budget(NamedTuple):
    """One line of a table in `budget/`: what a kernel may take, on every architecture."""

    file: str
    kernel: str
    usage: Usage


@functools.cache
def load() -> Any:
    """The compiler's library; an error of cuda.pathfinder's if it is not installed."""
    from cuda.pathfinder import load_nvidia_dynamic_lib

    return ctypes.CDLL(load_nvidia_dynamic_lib("nvrtc").abs_path)


def available() -> bool:
    """Whether the compiler is installed."""
    try:
        load()
    except Exception:  # of cuda.pathfinder, if the compiler is missing
        return False
    return True


def version() -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    load().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def compile_for(source: str, names: Sequence[str], architecture: int) -> dict[str, Usage]:
    """What each of the kernels takes on GPUs of this architecture; ValueError with the compiler's words if it fails."""
    library = load()
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    try:
        for name in names:
            library.nvrtcAddNameExpression(program, name.encode())
        options = [f"-arch=sm_{architecture}".encode(), b"-std=c++17", b"--ptxas-options=-v"]
        status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        words = log.value.decode()
        if status:
            raise ValueError(words)
        found = _usages(words)
        return {name: found[_lowered(program, name)] for name in names}
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _lowered(program: Any, name: str) -> str:
    lowered = ctypes.c_char_p()
    load().nvrtcGetLoweredName(program, name.encode(), ctypes.byref(lowered))
    assert lowered.value is not None
    return lowered.value.decode()


def _usages(log: str) -> dict[str, Usage]:
    """The report of the assembler, by the kernels' mangled names."""
    found = {}
    for entry in re.split(r"Compiling entry function '", log)[1:]:
        name = entry.partition("'")[0]
        stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", entry).groups()  # type: ignore[union-attr]
        registers = re.search(r"Used (\d+) registers", entry)[1]  # type: ignore[index]
        found[name] = Usage(int(registers), max(int(stores), int(loads)))
    return found


def read_budget(path: Path) -> list[Budget]:
    """A table: file, kernel, registers, bytes spilled; `#` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    fields = (re.fullmatch(r"(\S+)\s+(.+?)\s+(\d+)\s+(\d+)", line) for line in lines if line)
    return [Budget(f[1], f[2], Usage(int(f[3]), int(f[4]))) for f in fields]  # type: ignore[index]


def measured(budgets: Sequence[Budget]) -> dict[tuple[str, str], Usage]:
    """The most that each kernel takes on any architecture."""
    from siglib._gpu import _source

    most: dict[tuple[str, str], Usage] = {}
    for file in dict.fromkeys(budget.file for budget in budgets):
        names = [budget.kernel for budget in budgets if budget.file == file]
        for architecture in ARCHITECTURES:
            for name, usage in compile_for(_source.read(file), names, architecture).items():
                before = most.get((file, name), Usage(0, 0))
                most[file, name] = Usage(max(before.registers, usage.registers), max(before.spilled, usage.spilled))
    return most


def print_times(paths: Sequence[Path], rounds: int = 3) -> None:
    """Seconds that each kernel takes alone: the least of several rounds, on a machine with nothing else to do."""
    from siglib._gpu import _source

    found = []
    for budget in (budget for path in paths for budget in read_budget(path)):
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            compile_for(_source.read(budget.file), [budget.kernel], 90)
            seconds.append(time.perf_counter() - start)
        found.append((min(seconds), budget.file, budget.kernel))
    for least, file, kernel in sorted(found):
        print(f"{least:6.2f} s  {file} {kernel}")


def main(path: Path) -> None:
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            print(line)
    usages = measured(read_budget(path))
    width = max(len(kernel) for _, kernel in usages)
    for (file, kernel), usage in usages.items():
        print(f"{file:<20} {kernel:<{width}} {usage.registers:4d} {usage.spilled:4d}")


if __name__ == "__main__":
    if sys.argv[1] == "--times":
        print_times([Path(path) for path in sys.argv[2:]])
    else:
        main(Path(sys.argv[1]))
