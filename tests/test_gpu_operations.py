"""Every operation of the table on a GPU: the numbers of the CPU, in arrays of the caller's library."""

import inspect
from typing import Any

import numpy as np
import pytest
from checking import optional
from gpu import Gpu, tensors_on_gpu
from operations import ALL, DIFFERENTIABLE, OF_ARRAYS, OTHERS, Differentiable, kinds_of, name_of, results_of

import siglib

# Calls with all their arguments by name; of what is an array, a GPU has its own.
CALLS = [
    (
        name_of(o),
        o.name,
        inspect.signature(getattr(siglib, o.name)).bind(*o.arrays(), *o.numbers, **o.options).arguments,
    )
    for o in ALL
] + [(name, name, arguments) for name, arguments in OTHERS if name in OF_ARRAYS]


def test_every_operation_has_a_call() -> None:
    assert {name for _, name, _ in CALLS} == {*OF_ARRAYS}


@pytest.mark.parametrize(("name", "arguments"), [call[1:] for call in CALLS], ids=[call[0] for call in CALLS])
def test_arrays(gpu: Gpu, name: str, arguments: dict[str, Any]) -> None:
    function = getattr(siglib, name)
    if "permutations" in arguments:
        arguments = {**arguments, "rng": 0}
    arrays = {*kinds_of(name), "correction"} & arguments.keys()
    given = {**arguments, **{parameter: gpu.array(arguments[parameter]) for parameter in arrays}}
    results = results_of(function(**given))
    for result, expected in zip(results, results_of(function(**arguments)), strict=True):
        if not isinstance(result, float | np.ndarray):  # p-values are no arrays of a GPU
            assert result.dtype == np.float64
            result = gpu.numpy(result)
        np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
def test_gradients_of_tensors(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, operation: Differentiable) -> None:
    torch = optional("torch")

    def result_and_gradients() -> tuple[Any, ...]:
        leaves = operation.tensors(requires_grad=True)
        out = operation(*leaves)
        weights = torch.from_numpy(np.random.default_rng(1).standard_normal(tuple(out.shape)))
        return out, *torch.autograd.grad(out, leaves, weights)

    expected = result_and_gradients()
    tensors_on_gpu(monkeypatch, torch)
    found = result_and_gradients()
    assert emulated.cupy.LOG
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
