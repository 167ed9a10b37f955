"""The kernels of both kinds: the same functions with the same arguments, whichever the public functions call."""

import ast
import inspect
from pathlib import Path

import pytest

import siglib
from siglib import _cpu
from siglib._gpu import launcher

# Of halves and of chunks on the CPU, which are prepared and joined otherwise on a GPU.
CPU_ONLY = {("log_signature", "put_singles"), ("corrected_signature", "sig_of_chunks_backprop")}
FUNCTIONS = sorted(
    (topic, name)
    for topic, functions in vars(_cpu.kernels["float64"]).items()
    for name in vars(functions)
    if (topic, name) not in CPU_ONLY
)


@pytest.mark.parametrize(("topic", "name"), FUNCTIONS, ids=".".join)
def test_both_kinds_take_the_same_arguments(topic: str, name: str) -> None:
    here = inspect.signature(getattr(getattr(_cpu.kernels["float64"], topic), name))
    assert list(inspect.signature(launcher(topic, name)).parameters) == list(here.parameters)


def test_public_functions_call_no_others() -> None:
    """Every `kernels.<topic>.<name>` outside of the two folders is one of those."""
    root = Path(siglib.__file__).parent
    called = {
        (node.value.attr, node.attr)
        for file in root.rglob("*.py")
        if file.relative_to(root).parts[0] not in ("_cpu", "_gpu")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
        if isinstance(node.value.value, ast.Attribute) and node.value.value.attr == "kernels"
    }
    assert called
    assert called <= {*FUNCTIONS, *CPU_ONLY}
