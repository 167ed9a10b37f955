"""Derivatives along directions, and of gradients, on the GPU: what the CPU finds."""

from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, optional
from gpu import Gpu, tensors_on_gpu

import siglib


def test_along_directions(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    limit = 1e-12 if dtype == np.float64 else 1e-5
    x, u = random_paths(rng, 2, 5, 2, dtype=dtype), random_paths(rng, 2, 5, 2, dtype=dtype)
    for function, options in [
        (siglib.sig_jvp, {"degree": 3, "time_aug": True}),
        (siglib.log_sig_jvp, {"degree": 3}),
        (siglib.sig_coef_jvp, {"words": [(0, 1, 1), (1,)]}),
    ]:
        expected = function(x, u, **options)
        assert_close(gpu.numpy(function(gpu.array(x), gpu.array(u), **options)), expected, limit)
    for function in (siglib.sig_kernel_jvp, siglib.sig_kernel_gram_jvp):
        options = {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(2.0)}
        expected = function(x, x[:, ::-1], u, **options)
        found = gpu.numpy(function(gpu.array(x), gpu.array(x[:, ::-1]), gpu.array(u), **options))
        assert_close(found, expected, 100 * limit)


@pytest.mark.parametrize("name", ["sig", "log_sig", "sig_kernel"])
def test_gradients_of_gradients(
    emulated: Gpu, name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch: Any = optional("torch")
    numbers = random_paths(rng, 2, 5, 2)

    def penalty(x: Any) -> Any:
        other = x.detach().flip(-2)
        out = siglib.sig_kernel(x, other, dyadic_order=0) if name == "sig_kernel" else getattr(siglib, name)(x, 3)
        (gradient,) = torch.autograd.grad((out**2).sum(), x, create_graph=True)
        return torch.autograd.grad((gradient**2).sum(), x)[0]

    expected = penalty(torch.tensor(numbers, requires_grad=True)).numpy()
    tensors_on_gpu(monkeypatch, torch)
    before = len(emulated.cupy.LOG)
    assert_close(penalty(torch.tensor(numbers, requires_grad=True)), expected, 1e-10 * np.abs(expected).max())
    assert len(emulated.cupy.LOG) > before + 5
