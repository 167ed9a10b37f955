"""Options and fixtures of the whole test suite."""

import os
import signal
import sys
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from checking import optional, require
from gpu import EmulatedTensors, Gpu, Tensors, real_gpu, torch_on_gpu, use_gpu

from siglib import _cpu
from siglib._call import options as _checks

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a job in the background of a shell: tests that press Ctrl-C would wait for nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="fail if this optional package (torch, dask, distributed, cupy, nvrtc, pandas, polars, sklearn) is missing instead of skipping; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    require([package for option in config.getoption("--require") for package in option.split(",") if package])


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A working folder of their own: programs that tests start would import sources without kernels from the project's."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


@pytest.fixture(params=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """Each dtype that kernels compute in."""
    return np.dtype(request.param)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that differ between tests but not between runs."""
    return np.random.default_rng(list(request.node.name.encode()))


@pytest.fixture(autouse=True)
def same_tensors(request: pytest.FixtureRequest) -> None:
    """The same for torch's random numbers, where a test has imported it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """`n_jobs` up to 8 gets that many threads, whatever the machine has."""
    monkeypatch.setattr(_checks, "hardware_threads", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture(params=_cpu.usable_instruction_sets())
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each instruction set of this machine in turn; siglib computes with it as long as the test runs."""
    for dtype_name, modules in _cpu.load(request.param).items():
        for stem, functions in vars(modules).items():
            monkeypatch.setattr(_cpu.loops[dtype_name], stem, functions)
    return request.param


@pytest.fixture(params=["emulator", "cupy"] if real_gpu() else ["emulator"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """CuPy: on the emulator, and on a GPU where there is one."""
    yield from use_gpu(request.param, monkeypatch)


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """CuPy on the emulator: for what only the emulator can tell."""
    yield from use_gpu("emulator", monkeypatch)


@pytest.fixture(params=["emulator", "cuda"] if torch_on_gpu() else ["emulator"])
def tensors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tensors]:
    """PyTorch's tensors: in main memory for the emulator, and on a GPU where there is one."""
    torch = optional("torch")
    if request.param == "cuda":
        for _ in use_gpu("cupy", monkeypatch):
            yield Tensors(torch)
        return
    for _ in use_gpu("emulator", monkeypatch):
        yield EmulatedTensors(torch, monkeypatch)


@pytest.fixture(params=["exact", "check"])
def checked_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """CuPy on the emulator, in the build that follows the source and in the one that reports what is wrong with it."""
    for made in use_gpu("emulator", monkeypatch):
        made.cupy.MODE = request.param
        yield made
