"""The kernels of both kinds: the same functions with the same arguments, whichever the public functions call."""

import ast
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

import siglib
from siglib import _cpu
from siglib._gpu import launcher

TOPICS = {topic: found for topic, found in vars(_cpu.loops["float64"]).items() if isinstance(found, SimpleNamespace)}
# Of halves and of chunks on the CPU, which are prepared and joined otherwise on a GPU.
CPU_ONLY = {("corrected_signature", "sig_of_chunks_backprop")}
CPU_ONLY |= {("log_signature", name) for name in ("put_singles", "sig_to_log_sig_singles")}
# On GPUs padded paths go through the kernels of one length.
CPU_ONLY |= {("signature", "ragged_sig"), ("signature", "ragged_sig_backprop")}
# Loops that `branched.py` calls, on the CPU as on a GPU.
CPU_ONLY |= {(topic, name) for topic in ("branched_product", "branched_flow") for name in vars(TOPICS[topic])}
# Arithmetic around calls, which arrays on a GPU have functions of their libraries for.
CPU_ONLY |= {("lines", name) for name in vars(TOPICS["lines"])}
FUNCTIONS = sorted({(topic, name) for topic, functions in TOPICS.items() for name in vars(functions)} - CPU_ONLY)


@pytest.mark.parametrize(("topic", "name"), FUNCTIONS, ids=".".join)
def test_both_kinds_take_the_same_arguments(topic: str, name: str) -> None:
    here = inspect.signature(getattr(TOPICS[topic], name))
    assert list(inspect.signature(launcher(topic, name)).parameters) == list(here.parameters)


@pytest.mark.parametrize(("topic", "name"), sorted(CPU_ONLY), ids=".".join)
def test_others_are_for_one_kind_only(topic: str, name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        launcher(topic, name)


def test_public_functions_call_no_others() -> None:
    """Every `loops.<topic>.<name>` outside of the two folders is one of those."""
    root = Path(siglib.__file__).parent
    called = {
        (node.value.attr, node.attr)
        for file in root.rglob("*.py")
        if file.relative_to(root).parts[0] not in ("_cpu", "_gpu")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
        if isinstance(node.value.value, ast.Attribute) and node.value.value.attr == "loops"
    }
    assert called
    assert called <= {*FUNCTIONS, *CPU_ONLY}
