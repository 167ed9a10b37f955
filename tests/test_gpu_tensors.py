"""PyTorch's tensors on a GPU: values, streams, gradients and graphs of every operation, against main memory."""

import warnings
from typing import Any

import numpy as np
import pytest
from checking import assert_close, assert_same_bits
from gpu import Tensors
from operations import DIFFERENTIABLE, OF_ALL_PAIRS, OPERATIONS, Differentiable, Operation, name_of

import siglib

operations = pytest.mark.parametrize("operation", OPERATIONS + OF_ALL_PAIRS, ids=name_of)


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Nothing but main memory warns of solvers that are too coarse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def random_arrays(operation: Operation, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) / 2 for shape in operation.shapes]


def with_tensors(tensors: Tensors, operation: Operation) -> Operation:
    """The operation, with a correction that is a tensor, too."""
    if "correction" not in operation.options:
        return operation
    correction = tensors.tensor(np.array(operation.options["correction"]))
    return operation._replace(options={**operation.options, "correction": correction})


@operations
def test_values(tensors: Tensors, operation: Operation) -> None:
    """On the current stream, and on another one with the tables that the first call has copied."""
    arrays = random_arrays(operation, 1)
    expected = operation(*arrays)
    operation = with_tensors(tensors, operation)
    first = tensors.numpy(operation(*map(tensors.tensor, arrays)))
    with tensors.stream():
        second = tensors.numpy(operation(*map(tensors.tensor, arrays)))
    for result, again, on_cpu in zip(first, second, expected, strict=True):
        assert_close(result, on_cpu, 1e-11)
        assert_same_bits(again, result)


@operations
def test_graphs(tensors: Tensors, operation: Operation) -> None:
    """A captured call computes with the numbers that its tensors have when the graph is launched."""
    first, then = (list(map(tensors.tensor, random_arrays(operation, seed))) for seed in (1, 2))
    results = tensors.numpy(tensors.captured(with_tensors(tensors, operation), first, then))
    for result, on_cpu in zip(results, operation(*random_arrays(operation, 2)), strict=True):
        assert_close(result, on_cpu, 1e-11)


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
def test_gradients(tensors: Tensors, operation: Differentiable) -> None:
    """Those of a call that autograd sees: on a GPU they are computed by a thread of PyTorch's."""
    arrays = random_arrays(operation, 3)
    gradients = []
    for make in (tensors.torch.from_numpy, tensors.tensor):
        given = [make(array).requires_grad_() for array in arrays]
        with pytest.MonkeyPatch.context() as patch:
            if make is not tensors.tensor:
                patch.setattr("siglib._call.libraries.is_cuda", lambda tensor: False)
            result = operation(*given)
            weights = tensors.torch.linspace(-1, 1, result.numel(), dtype=result.dtype, device=result.device)
            found = tensors.torch.autograd.grad((result.flatten() * weights).sum(), given)
        gradients.append([gradient.cpu().numpy() for gradient in found])
    for on_cpu, found in zip(*gradients, strict=True):
        assert_close(found, on_cpu, 1e-10)


def test_training_step_in_a_graph(tensors: Tensors) -> None:
    """Forward and backward, captured together."""

    def step(path: Any) -> Any:
        path = path.detach().requires_grad_()
        (gradient,) = tensors.torch.autograd.grad(siglib.log_sig(path, 3).square().sum(), path)
        return gradient

    first, then = (np.random.default_rng(seed).standard_normal((2, 300, 2)) / 20 for seed in (1, 2))
    found = tensors.numpy(tensors.captured(step, [tensors.tensor(first)], [tensors.tensor(then)]))
    assert_close(found, siglib.log_sig_backprop(then, 2 * siglib.log_sig(then, 3), 3), 1e-11)


def test_half_precision(tensors: Tensors) -> None:
    path = np.linspace(0, 1, 12).reshape(6, 2) ** 2
    for dtype in (tensors.torch.float16, tensors.torch.bfloat16, tensors.torch.float32):
        out = siglib.sig(tensors.tensor(path, dtype), 3)
        assert out.dtype is dtype
        assert_close(out, siglib.sig(path, 3), 2e-2)


def test_what_a_graph_cannot_hold(tensors: Tensors) -> None:
    """Kernels that are not compiled yet, windows that are new, intervals: errors, not garbage."""
    path = tensors.tensor(np.linspace(0, 1, 12).reshape(6, 2) ** 2)
    intervals = siglib.IntervalSignature(path, 2)
    windows = iter([[2, 3], [2, 4]])
    degree = iter([2, 3])

    calls = [
        lambda path: siglib.sig(path, next(degree)),
        lambda path: siglib.sig_windows(path, 2, starts=[0, 0], ends=next(windows)),
        lambda path: intervals.sig_batch([0, 1], [3, 5]),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="a CUDA graph cannot capture: make the same call once before"):
            tensors.captured(call, [path], [path])
