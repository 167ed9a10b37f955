"""The program for a GPU's day, which must not lose what it finds: limits, what is written when, mistakes of a step."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu_day.py"


@pytest.fixture(scope="module")
def gpu_day() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_day", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def day(gpu_day: Any, tmp_path: Path) -> Any:
    for folder in ("out", "work"):
        (tmp_path / folder).mkdir()
    return gpu_day.Day(None, tmp_path / "out", tmp_path / "work", dry=False)


def python(gpu_day: Any, name: str, text: str) -> Any:
    return gpu_day.Command(name, [sys.executable, "-c", text])


def files(day: Any) -> dict[str, str]:
    return {file.name: file.read_text() for file in day.out.iterdir()}


def test_a_step(gpu_day: Any, day: Any) -> None:
    """Everything is in its file; failures, and the sums of what was counted, in the summary."""
    commands = [
        python(gpu_day, "one", "print('TOTAL 3 calls')\nprint('ok')"),
        python(gpu_day, "two", "print('FAILED this')\nprint('TOTAL 4 calls')\nraise SystemExit(5)"),
    ]
    assert not gpu_day.run(day, gpu_day.Step("name", "file", 60, 2, lambda day: commands))
    assert set(files(day)) == {"file.txt", "summary.txt"}
    for words in ("name, one: done after", "name, two: exit status 5 after", "ok\n", "FAILED this"):
        assert words in files(day)["file.txt"]
    lines = files(day)["summary.txt"].splitlines()
    assert lines[0].endswith("of 60, 1 failed")
    assert lines[1:] == ["   7 calls", "   two: exit status 5", "FAILED this"]


def test_limits(gpu_day: Any, day: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes too long is stopped with all that it started; what it has written is kept."""
    monkeypatch.setattr(gpu_day, "_LAST_WORDS", -10)
    text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        "print('FAILED', child.pid, flush=True)\ntime.sleep(100)"
    )
    commands = [python(gpu_day, "long", text), python(gpu_day, "never", "")]
    start = time.monotonic()
    assert not gpu_day.run(day, gpu_day.Step("name", "file", 5, 1, lambda day: commands))
    assert time.monotonic() - start < 50
    summary = files(day)["summary.txt"]
    assert "   never: not begun" in summary
    assert "   long: out of time" in summary
    child = int(summary.partition("FAILED ")[2])
    with pytest.raises(ProcessLookupError):
        for _ in range(500):  # until the system has noticed
            os.kill(child, 0)
            if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
                raise ProcessLookupError
            time.sleep(0.02)


def test_no_time_is_left(gpu_day: Any, day: Any) -> None:
    day.end = time.monotonic() + 1
    assert not gpu_day.run(day, gpu_day.Step("name", "file", 60, 2, lambda day: pytest.fail("it was begun")))
    assert files(day) == {"summary.txt": "== name: no time left\n"}


def test_a_mistake_is_no_end(gpu_day: Any, day: Any) -> None:
    def mistaken(day: Any) -> Any:
        raise OSError("no such thing")

    assert not gpu_day.run(day, gpu_day.Step("name", "file", 60, 2, mistaken))
    assert "OSError: no such thing" in files(day)["summary.txt"]


def test_what_was_written_survives(gpu_day: Any, day: Any) -> None:
    """When the program itself is killed."""
    running = gpu_day.Running(day, python(gpu_day, "one", "print('so far', flush=True)\nimport time\ntime.sleep(100)"))
    try:
        for _ in range(1000):
            if "so far\n" in files(day).values():
                break
            time.sleep(0.02)
        assert "so far\n" in files(day).values()
    finally:
        running.stop()
    assert running.text() == "so far\n"
    assert files(day) == {}


def test_steps_fit(gpu_day: Any) -> None:
    """A limit for each; few files; the most valuable ones get all of their time."""
    assert all(step.seconds > 0 for step in gpu_day.STEPS)
    assert sum(step.seconds for step in gpu_day.STEPS[:-1]) < gpu_day.WHOLE - 60
    assert len({"summary", *(step.file for step in gpu_day.STEPS)}) <= 8


def test_a_dry_run(tmp_path: Path) -> None:
    """Of what takes little time; the others are run apart from the tests."""
    argv = [sys.executable, str(PROGRAM), "--dry-run", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*argv, "--only", "versions", "speed", "sanitizer"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "summary.txt").read_text() == done.stdout
    for words in ("siglib on a GPU, dry", "== versions:", "== speed:", "2 calls, 0 of them wrong", "s in all"):
        assert words in done.stdout
