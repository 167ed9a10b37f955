"""All that siglib wants to know of a GPU, by one command, in eight minutes.

    python benchmarks/gpu_day.py --wheels FOLDER --out FOLDER [--only STEP ...] [--dry-run]

Nothing is built or fetched. Wheels that lie in FOLDER are installed aside, without what they depend on: siglib's for
this Python, and pysiglib's, to compare with. Without a wheel of siglib the installed one is taken, and without pysiglib
there is nothing beside it. CuPy must be there, PyTorch, pytest, compute-sanitizer and ncu should.

Steps go from the most valuable to the least, each under a limit, and write into few files as they go; `summary.txt` and
the output have a few lines of each. What a step starts are processes of their own, since an error of CUDA's ends the
process that meets it; what they have written until the whole program is killed is in files `.part`. `--dry-run` does
what needs no GPU, to find mistakes of this program before the day: collects the tests, lists the kernels and compiles a
few, makes the calls on a stand-in for CuPy.
"""

import argparse
import contextlib
import importlib.util
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
# Seconds for everything, and what is left of it for the last words.
WHOLE = 8 * 60
_LAST_WORDS = 3
_SUMMARY_LINES = 12


class Command(NamedTuple):
    """A process: a name for it, its arguments, and more environment."""

    name: str
    argv: list[str]
    env: dict[str, str] = {}


class Step(NamedTuple):
    """Commands that are run `width` at a time, for so many seconds in all; `prepare` makes them at its turn."""

    name: str
    file: str  # the one with all their output, without .txt
    seconds: float
    width: int
    prepare: Callable[["Day"], list[Command]]


class Day:
    """Where things lie, and how long there is."""

    def __init__(self, wheels: Path | None, out: Path, work: Path, dry: bool) -> None:
        self.wheels, self.out, self.work, self.dry = wheels, out, work, dry
        self.site, self.kernels = work / "site", work / "kernels.txt"
        # A dry run looks for mistakes, on machines that may be slow.
        self.patience = 4 if dry else 1
        self.end = time.monotonic() + WHOLE * self.patience
        self.env = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONUNBUFFERED": "1",
            "CUPY_CACHE_DIR": str(work / "cache"),
            "PYTHONWARNINGS": "ignore",
            # The same for all steps, or they would compile everything anew. Changes no instruction.
            "SIGLIB_CUDA_OPTIONS": "-lineinfo",
        }

    def script(self, name: str, *arguments: str) -> list[str]:
        return [sys.executable, str(HERE / name), *arguments, *["--dry-run"][: self.dry]]

    def say(self, line: str) -> None:
        print(line, flush=True)
        with (self.out / "summary.txt").open("a") as summary:
            summary.write(line + "\n")


class Running:
    """A process that was started, and the file that its output goes to."""

    _numbers = itertools.count(1)

    def __init__(self, day: Day, command: Command) -> None:
        self.command, self.start = command, time.monotonic()
        self._part = day.out / f"{next(self._numbers)}.part"
        with self._part.open("wb") as output:
            self.process = subprocess.Popen(
                command.argv,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=day.env | command.env,
                cwd=day.work,
                start_new_session=True,
            )

    def stop(self) -> None:
        """With everything that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def text(self) -> str:
        """All that it has written, once it is stopped; the file goes."""
        text = self._part.read_bytes().decode(errors="replace")
        self._part.unlink()
        return text


def run(day: Day, step: Step) -> bool:
    """One step: its part of a file, and its lines in the summary; whether all went well."""
    seconds = min(step.seconds * day.patience, day.end - time.monotonic() - _LAST_WORDS)
    if seconds < 5:
        day.say(f"== {step.name}: no time left")
        return False
    start, failed, last = time.monotonic(), [], []
    totals: Counter[str] = Counter()
    try:
        for done, why in _finished(day, step, start + seconds):
            text = done.text()
            with (day.out / f"{step.file}.txt").open("a") as file:
                took = time.monotonic() - done.start
                file.write(f"===== {step.name}, {done.command.name}: {why} after {took:.1f} s\n{text}\n")
            if why != "done":
                failed.append(f"   {done.command.name}: {why}")
            last += [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR", ">"))]
            for number, what in re.findall(r"^TOTAL (\d+) (.*)$", text, re.MULTILINE):
                totals[what] += int(number)
    except Exception as error:  # a mistake of this program's must not take the other steps with it
        failed.append(f"   {type(error).__name__}: {error}")
    took = time.monotonic() - start
    day.say(f"== {step.name}: {took:.0f} s of {seconds:.0f}, {'all done' if not failed else f'{len(failed)} failed'}")
    if totals:
        day.say("   " + ", ".join(f"{number} {what}" for what, number in totals.items()))
    for lines in (failed, last):
        for line in lines[:_SUMMARY_LINES]:
            day.say(line[:200])
        if len(lines) > _SUMMARY_LINES:
            day.say(f"   and {len(lines) - _SUMMARY_LINES} more lines like these in {step.file}.txt")
    return not failed


def _finished(day: Day, step: Step, end: float) -> Iterator[tuple[Running, str]]:
    """Each process when it is done, or at the end of the step's time; and whether it was, in a few words."""
    waiting = step.prepare(day)
    running: list[Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < step.width:
                running.append(Running(day, waiting.pop(0)))
            time.sleep(0.02)
            late = time.monotonic() > end
            for one in list(running):
                status = one.process.poll()
                if status is None and not late:
                    continue
                one.stop()
                running.remove(one)
                yield one, "done" if status == 0 else "out of time" if status is None else f"exit status {status}"
            if late:
                for command in waiting:
                    day.say(f"   {command.name}: not begun")
                return
    finally:
        for one in running:
            one.stop()


# The steps


def install(day: Day) -> list[Command]:
    """Each wheel by itself: one that does not fit this Python must not keep the others away."""
    wheels = sorted(day.wheels.glob("*.whl")) if day.wheels else []
    for what in ("pathsiglib", "pysiglib"):
        if not any(wheel.name.startswith(what) for wheel in wheels):
            day.say(f"   no wheel of {what}")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--upgrade"]
    return [Command(f"install {wheel.name}", [*pip, "--target", str(day.site), str(wheel)]) for wheel in wheels]


def versions(day: Day) -> list[Command]:
    commands = [Command("versions", day.script("gpu_values.py", "--versions"))]
    if shutil.which("nvidia-smi"):
        commands.append(Command("nvidia-smi", ["nvidia-smi"]))
    return commands


def list_kernels(day: Day) -> list[Command]:
    """On a stand-in for CuPy that notes which kernels are asked for."""
    list_them = [sys.executable, str(HERE / "gpu_values.py"), "--kernels"]
    env = {"SIGLIB_CUDA_KERNELS": str(day.kernels), "PYTHONPATH": day.env["PYTHONPATH"]}
    return [Command(f"kernels of {group}", [*list_them, group], env) for group in (*GROUPS, "speed")]


def compile_kernels(day: Day) -> list[Command]:
    if day.dry:
        return [Command("compile", day.script("gpu_values.py", "--compile-some", str(day.kernels)))]
    argv = [sys.executable, "-m", "siglib._gpu.compile", str(day.kernels), "--jobs", "16"]
    return [Command("compile", argv)]


GROUPS = ("operations", "signatures", "logarithms", "windows", "coefficients", "kernels", "gradients", "hard")


def values(day: Day) -> list[Command]:
    return [Command(group, day.script("gpu_values.py", group)) for group in GROUPS]


def tests(day: Day) -> list[Command]:
    """A process for each file of tests, those that take long first; on a dry run they are only counted."""
    files = sorted(TESTS.glob("test_gpu_*.py"), key=lambda file: -file.stat().st_size)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    if day.dry:
        argv += ["--collect-only", "-k", "emulator"]
    else:
        argv += ["--require=cupy", "-k", "cupy or cuda"]
        if importlib.util.find_spec("pytest_timeout"):
            argv += ["--timeout", "30"]
    wrapped = [sys.executable, str(HERE / "gpu_values.py"), "--pytest", *argv]
    if day.dry:
        return [Command("all tests", [*wrapped, *map(str, files)])]
    return [Command(file.stem, [*wrapped, str(file)]) for file in files]


def speed(day: Day) -> list[Command]:
    """`--bounds` for a dry run: the same shapes and the same rows."""
    arguments = ["--day", *["--bounds"][: day.dry], "--dtypes"]
    argv = [sys.executable, str(HERE / "compare_gpu.py"), *arguments]
    return [Command(dtype, [*argv, dtype]) for dtype in ("float32", "float64")]


def _tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/local/cuda/bin:/opt/nvidia/nsight-compute")


RACES = ("signatures", "logarithms", "kernels", "gradients")


def sanitize(day: Day) -> list[Command]:
    tool = _tool("compute-sanitizer")
    if tool is None and not day.dry:
        day.say("   compute-sanitizer is not there")
        return []
    checks = [("memcheck", group) for group in GROUPS] + [("racecheck", group) for group in RACES]
    checks += [("synccheck", group) for group in RACES]
    if day.dry:
        checks = [("memcheck", "hard")]  # what differs from `values` is the option
    prefix = [] if day.dry else [str(tool), "--error-exitcode", "7", "--print-limit", "20", "--tool"]
    return [
        Command(
            f"{check} {group}",
            [*prefix, *[check][: len(prefix)], *day.script("gpu_values.py", "--tiny", group)],
        )
        for check, group in checks
    ]


# Kernels that are looked at, and the calls that launch them.
PROFILED = {
    "sig_forward": "sig 8 3",
    "sig_whole": "sig 4 3",
    "join_level": "sig 16 3",
    "sig_backward": "sig_backprop 8 3",
    "sig_backward_block": "sig_backprop 4 3",
    "signature_kernel_linear": "gram",
    "signature_kernel_linear_backprop": "gram_backprop",
}


def profile(day: Day) -> list[Command]:
    tool = _tool("ncu")
    if tool is None and not day.dry:
        day.say("   ncu is not there")
        return []
    commands = []
    for kernel, call in PROFILED.items():
        options = ["--clock-control", "none", "--set", "full", "--import-source", "no", "--page", "details"]
        options += ["--kernel-name", kernel, "--launch-skip", "1", "--launch-count", "1"]
        prefix = [] if day.dry else [str(tool), *options, "--print-details", "all"]
        argv = day.script("gpu_values.py", "--profile", kernel, *call.split())
        commands.append(Command(kernel, [*prefix, *argv]))
    return commands


STEPS = [
    Step("install", "begin", 15, 1, install),
    Step("versions", "begin", 10, 2, versions),
    Step("list", "begin", 15, 16, list_kernels),
    Step("compile", "begin", 30, 1, compile_kernels),
    Step("values", "values", 70, 8, values),
    Step("tests", "tests", 90, 12, tests),
    Step("speed", "speed", 90, 1, speed),
    Step("sanitizer", "sanitizer", 80, 8, sanitize),
    Step("ncu", "ncu", 90, 1, profile),
]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="the folder with wheels")
    parser.add_argument("--out", type=Path, required=True, help="the folder for what was found")
    parser.add_argument("--only", nargs="+", default=[], choices=[step.name for step in STEPS], metavar="STEP")
    parser.add_argument("--dry-run", action="store_true", help="do what needs no GPU")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for file in {"summary", *(step.file for step in STEPS)}:
        (given.out / f"{file}.txt").unlink(missing_ok=True)
    # Stop what was started when somebody stops this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        wheels = given.wheels and given.wheels.resolve()
        day = Day(wheels, given.out.resolve(), Path(work), given.dry_run)
        start = time.monotonic()
        day.say(f"siglib on a GPU{', dry' if given.dry_run else ''}: {time.strftime('%Y-%m-%d %H:%M')}")
        went_well = [run(day, step) for step in STEPS if not given.only or step.name in given.only]
        day.say(f"== {time.monotonic() - start:.0f} s in all")
    return int(not all(went_well))


if __name__ == "__main__":
    raise SystemExit(main())
