"""NVIDIA's compiler takes the kernels, for every architecture, and they fit into registers. No GPU is needed."""

import importlib.resources

import pytest
from emu import nvrtc

from siglib._gpu import _source

TABLES = sorted(nvrtc.BUDGETS.glob("*.txt"))
FILES = sorted(
    file.name
    for file in importlib.resources.files("siglib._gpu").joinpath("cuda").iterdir()
    if file.name.endswith(".cu")
)


@pytest.fixture(autouse=True)
def compiler() -> None:
    if not nvrtc.available():
        pytest.skip("nvidia-cuda-nvrtc and cuda-pathfinder are not installed")


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_registers(table: nvrtc.Path, architecture: int) -> None:
    budgets = nvrtc.read_budget(table)
    over = {}
    for file in dict.fromkeys(budget.file for budget in budgets):
        allowed = {budget.kernel: budget.usage for budget in budgets if budget.file == file}
        for name, usage in nvrtc.compile_for(_source.read(file), list(allowed), architecture).items():
            if usage.registers > allowed[name].registers or usage.spilled > allowed[name].spilled:
                over[name] = f"{usage}, in the table: {allowed[name]}"
    if nvrtc.version() == nvrtc.MEASURED_WITH:
        assert not over


def test_every_file_is_in_a_table() -> None:
    """Every `.cu`, so that whatever the emulator takes is a program for NVIDIA's compiler, too."""
    assert FILES
    assert {budget.file for table in TABLES for budget in nvrtc.read_budget(table)} >= set(FILES)


def test_messages_name_the_file_and_the_line() -> None:
    source = _source.read("path.cu").replace("return row * step", "return row * stepp")
    line = 1 + _source.text("path.cu").split("return row * step")[0].count("\n")
    with pytest.raises(ValueError, match=rf'path.cu\({line}\): error: identifier "stepp" is undefined'):
        nvrtc.compile_for(source, ["transform_path<float>"], 90)
