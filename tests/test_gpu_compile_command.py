"""The command that compiles a list of kernels beforehand, and the list that programs write."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gpu import Gpu

import siglib
from siglib._gpu import compile as command


def test_a_list() -> None:
    text = (
        "path.cu  transform_path<float>  # a comment\n\n# another\nsparse.cu a<b, 2>\npath.cu transform_path<float>\n"
    )
    assert command.read_list(text) == [("path.cu", "transform_path<float>"), ("sparse.cu", "a<b, 2>")]
    with pytest.raises(ValueError, match=r"each line must have a file and a kernel, got 'path\.cu'"):
        command.read_list("path.cu")


def test_programs_write_it(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each kernel once, in the order in which they are needed."""
    monkeypatch.setenv("SIGLIB_CUDA_KERNELS", str(tmp_path / "list.txt"))
    for dtype in (np.float32, np.float64, np.float32):
        siglib.transform_path(emulated.array(np.ones((3, 2), dtype)))
    kernels = command.read_list((tmp_path / "list.txt").read_text())
    assert kernels == [("path.cu", "transform_path<float>"), ("path.cu", "transform_path<double>")]
    assert [command.compile_one(*kernel).error for kernel in kernels] == ["", ""]
    assert (tmp_path / "list.txt").read_text().count("\n") == 4


def test_what_fails_is_named(emulated: Gpu) -> None:
    assert "there is no kernel nothing in path.cu" in command.compile_one("path.cu", "nothing<float>").error
    assert "BuildError" in command.compile_one("path.cu", "transform_path<double, 3>").error


def test_the_command(tmp_path: Path) -> None:
    """What went wrong in its processes."""
    (tmp_path / "list.txt").write_text("path.cu nothing<float>\n")
    done = subprocess.run(
        [sys.executable, "-m", "siglib._gpu.compile", str(tmp_path / "list.txt"), "--jobs", "2"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "FAILED path.cu nothing<float>: ValueError: there is no kernel nothing" in done.stdout
    assert "0 of 1 kernels compiled" in done.stdout


def test_the_extras_bring_a_compiler() -> None:
    """And its headers, which CuPy alone takes from a CUDA toolkit."""
    text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    for version in (12, 13):
        assert f'\ncuda{version} = ["cupy-cuda{version}x[ctk]>=' in text
