"""What torch keeps of a call for its gradient: checkpoints, hooks of saved tensors, tensors that are overwritten."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import optional
from operations import DIFFERENTIABLE
from test_torch import gradients_of

import siglib

torch: Any = optional("torch")

SAMPLES = [(3, 4, 2), (2, 3, 2)]
MORE: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "sig with correction": (lambda x, c: siglib.sig(x, 2, correction=c), [(2, 4, 2), (3, 4)]),
    "log_sig with correction": (lambda x, c: siglib.log_sig(x, 2, correction=c), [(2, 4, 2), (4,)]),
    "extract_sig_coef": (lambda x: siglib.extract_sig_coef(siglib.sig(x, 2), [(0, 1)], 2), [(4, 2)]),
    "log_sig_windows": (lambda x: siglib.log_sig_windows(x, 2, window=3), [(5, 2)]),
    "log_sig_prefixes": (lambda x: siglib.log_sig_prefixes(x, 2), [(5, 2)]),
    "extract_branched_sig_coef": (
        lambda x: siglib.extract_branched_sig_coef(siglib.branched_sig(x, 2), ((0,), 1), 2),
        [(4, 2)],
    ),
    "branched_sig_windows": (lambda x: siglib.branched_sig_windows(x, 2, window=3, planar=True), [(5, 2)]),
    "branched_log_sig_prefixes": (lambda x: siglib.branched_log_sig_prefixes(x, 2, planar=True), [(5, 2)]),
    "sig_score": (lambda x, y: siglib.sig_score(x, y, dyadic_order=0), SAMPLES),
    "expected_sig_score": (lambda x, y: siglib.expected_sig_score(x, y, dyadic_order=0), SAMPLES),
    "sig_mmd": (lambda x, y: siglib.sig_mmd(x, y, dyadic_order=0), SAMPLES),
    "learned kernel": (
        lambda x, y, s: siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(s[0] ** 2 + 1)),
        [*SAMPLES, (1,)],
    ),
}
CASES = {str(operation): (operation, operation.shapes) for operation in DIFFERENTIABLE} | MORE
every_case = pytest.mark.parametrize("name", CASES)


def arrays_of(shapes: list[tuple[int, ...]]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]


@every_case
def test_checkpoint(name: str) -> None:
    f, shapes = CASES[name]
    arrays = arrays_of(shapes)
    expected = gradients_of(f, arrays)

    def checkpointed(*arrays: Any) -> Any:
        return torch.utils.checkpoint.checkpoint(f, *arrays, use_reentrant=False)

    assert all(map(torch.equal, gradients_of(checkpointed, arrays), expected))


@every_case
def test_saved_tensors_elsewhere(name: str) -> None:
    f, shapes = CASES[name]
    arrays = arrays_of(shapes)
    expected = gradients_of(f, arrays)
    with torch.autograd.graph.save_on_cpu():
        assert all(map(torch.equal, gradients_of(f, arrays), expected))


@every_case
def test_saved_tensors_are_read_once(name: str) -> None:
    f, shapes = CASES[name]
    arrays = arrays_of(shapes)
    expected = gradients_of(f, arrays)
    read: dict[int, int] = {}

    def pack(tensor: Any) -> tuple[int, Any]:
        read[len(read)] = 0
        return len(read) - 1, tensor.clone()

    def unpack(packed: tuple[int, Any]) -> Any:
        read[packed[0]] += 1
        return packed[1]

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        assert all(map(torch.equal, gradients_of(f, arrays), expected))
    assert read
    assert set(read.values()) == {1}


@pytest.mark.parametrize("function", [siglib.sig, siglib.log_sig])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_corrections_may_be_overwritten(function: Any, shape: tuple[int, ...]) -> None:
    """The gradient is that of the correction as it was in the call."""
    path, correction = arrays_of([(2, 4, 2), shape])
    expected = gradients_of(lambda x, c: function(x, 2, correction=c), [path, correction])

    def f(path: Any, correction: Any) -> Any:
        own = correction * 1
        out = function(path, 2, correction=own)
        own.detach().zero_()
        own.detach().fill_(9)
        return out

    assert all(map(torch.equal, gradients_of(f, [path, correction]), expected))

    def with_constant(path: Any) -> Any:
        constant = correction.clone()
        out = function(path, 2, correction=constant)
        constant.zero_()
        return out

    assert torch.equal(gradients_of(with_constant, [path])[0], expected[0])
