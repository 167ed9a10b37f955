"""Branched signature kernels on the GPU, through the public functions: against the scheme and the CPU in float64."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference_branched as definition
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu, tensors_on_gpu
from kernel_cases import Quadratic

import siglib
from siglib._gpu import branched_kernel, signature_kernel_plan

# Lengths, dimension, dyadic orders, depth: one band and several, letters below and above those multiplied at a time, a
# last column that ends a tile, cells larger than a band, depths in registers and in memory.
SIZES = [
    (2, 2, 2, (0, 0), 1),
    (66, 34, 2, (0, 0), 2),
    (12, 7, 9, (2, 3), 3),
    (3, 4, 2, (6, 7), 4),
    (34, 5, 2, (1, 0), 5),
]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
RBF = siglib.RBFKernel(1.2)


def tolerance(dtype: np.dtype) -> float:
    return 1e-11 if dtype == np.float64 else 3e-5


def paths(rng: np.random.Generator, *shape: int, dtype: Any = np.float64) -> np.ndarray:
    return (0.4 * random_paths(rng, *shape)).astype(dtype)


def same(gpu: Gpu, name: str, x: np.ndarray, y: np.ndarray, *args: Any, derivs: Any = None, **options: Any) -> None:
    """A kernel, or its gradients if `derivs` are given, is what the CPU computes in float64."""
    function = getattr(siglib, name if derivs is None else f"{name}_backprop")
    arrays = [x, y] if derivs is None else [derivs, x, y]
    if derivs is not None:
        options["right_deriv"] = True
    found = gpu.numpy(function(*map(gpu.array, arrays), *args, **options))
    expected = function(*(array.astype(float) for array in arrays), *args, **options)
    for one, other in zip(*(part if derivs is not None else (part,) for part in (found, expected)), strict=True):
        assert one.dtype == x.dtype
        assert_close(one, other, tolerance(x.dtype))


@sizes
def test_values_and_gradients(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype, size: tuple[Any, ...]) -> None:
    length1, length2, dimension, orders, depth = size
    x, y = paths(rng, 3, length1, dimension, dtype=dtype), paths(rng, 2, length2, dimension, dtype=dtype)
    out = gpu.numpy(siglib.branched_sig_kernel_gram(gpu.array(x), gpu.array(y), depth, orders))
    expected = [[definition.kernel_grid(a, b, depth, orders)[-1, -1] for b in y.astype(float)] for a in x.astype(float)]
    assert out.dtype == dtype
    assert_close(out, np.array(expected), tolerance(dtype))
    derivs = rng.standard_normal((3, 2)).astype(dtype)
    same(gpu, "branched_sig_kernel_gram", x, y, depth, orders, derivs=derivs)


@pytest.mark.parametrize(("orders", "depth"), [((1, 0), 2), ((0, 1), 5)])
def test_grids(gpu: Gpu, rng: np.random.Generator, dtype: np.dtype, orders: tuple[int, int], depth: int) -> None:
    x, y = paths(rng, 2, 20, 2, dtype=dtype), paths(rng, 2, 37, 2, dtype=dtype)
    options = {"return_grid": True}
    same(gpu, "branched_sig_kernel", x, y, depth, orders, **options)
    same(gpu, "branched_sig_kernel_gram", x, x, depth, orders, **options)
    shape = siglib.branched_sig_kernel(x, y, depth, orders, **options).shape
    derivs = rng.standard_normal(shape).astype(dtype)
    same(gpu, "branched_sig_kernel", x, y, depth, orders, derivs=derivs, **options)


@pytest.mark.parametrize(
    "static_kernel",
    [RBF, siglib.PolynomialKernel(3.0, 0.5, 0.3), Quadratic()],
    ids=lambda kernel: type(kernel).__name__,
)
def test_static_kernels(gpu: Gpu, rng: np.random.Generator, static_kernel: Any) -> None:
    x, y = paths(rng, 2, 40, 2), paths(rng, 2, 35, 2)
    for name, shape in (("branched_sig_kernel", (2,)), ("branched_sig_kernel_gram", (2, 2))):
        same(gpu, name, x, y, 2, (0, 1), static_kernel=static_kernel)
        derivs = rng.standard_normal(shape)
        same(gpu, name, x, y, 2, (0, 1), derivs=derivs, static_kernel=static_kernel)


def test_symmetric_scaled_and_transformed(gpu: Gpu, rng: np.random.Generator) -> None:
    x, y = paths(rng, 5, 12, 1), paths(rng, 2, 9, 1)
    given = gpu.array(x)
    for options in ({"normalize": True}, {"log": True}, {"time_aug": True, "end_time": 0.7}):
        same(gpu, "branched_sig_kernel_gram", x, y, 2, 1, **options)
        found = gpu.numpy(siglib.branched_sig_kernel_gram(given, given, 2, 1, **options))
        assert_close(found, siglib.branched_sig_kernel_gram(x, x, 2, 1, **options), 1e-11)
        assert_same_bits(found, found.T)
        if "normalize" in options:
            assert (np.diag(found) == 1).all()
    x, y = x[:, :5], y[:, :5]
    same(gpu, "branched_sig_kernel_gram", x, y, 2, 1, lead_lag=True)
    same(gpu, "branched_sig_kernel_gram", x, y, 2, 1, derivs=rng.standard_normal((5, 2)), lead_lag=True)


def test_beyond_the_range(gpu: Gpu) -> None:
    """Kernels that overflow are infinite, their logarithms right; where lower depths overflow, there is nothing."""
    line = np.linspace(0.0, 6.5, 40)[:, None]
    given = gpu.array(line)
    assert gpu.numpy(siglib.branched_sig_kernel(given, given, 2, 0)) == np.inf
    same(gpu, "branched_sig_kernel", line, line, 2, 0, log=True)
    assert gpu.numpy(siglib.branched_sig_kernel(given, given, 2, 0, normalize=True)) == 1
    far = gpu.array(10 * line)
    assert np.isnan(gpu.numpy(siglib.branched_sig_kernel(far, far, 2, 0, log=True)))


def test_float32_at_length_500(gpu: Gpu, rng: np.random.Generator) -> None:
    """Rows that are taken off again keep their digits."""
    x, y = (np.cumsum(rng.standard_normal((1, 500, 2)), axis=1) * 0.03 for _ in range(2))
    found = siglib.branched_sig_kernel_backprop(
        *(gpu.array(part.astype(np.float32)) for part in (np.ones(1), x, y)), 2, 0, right_deriv=True
    )
    expected = siglib.branched_sig_kernel_backprop(np.ones(1), x, y, 2, 0, right_deriv=True)
    for one, other in zip(gpu.numpy(found), expected, strict=True):
        assert_close(one, other, 1e-3)


def test_no_pairs_short_paths_and_no_depth(gpu: Gpu, dtype: np.dtype) -> None:
    for shape1, shape2, depth in (
        ((0, 5, 2), (3, 5, 2), 2),
        ((2, 1, 2), (3, 5, 2), 2),
        ((2, 0, 2), (2, 0, 2), 2),
        ((2, 5, 2), (3, 4, 2), 0),
    ):
        x, y = np.ones(shape1, dtype), np.ones(shape2, dtype)
        for options in ({}, {"log": True}, {"return_grid": True}):
            out = gpu.numpy(siglib.branched_sig_kernel_gram(gpu.array(x), gpu.array(y), depth, 1, **options))
            assert_same_bits(out, siglib.branched_sig_kernel_gram(x, y, depth, 1, **options))
        derivs = gpu.array(np.ones((shape1[0], shape2[0]), dtype))
        found = siglib.branched_sig_kernel_gram_backprop(derivs, gpu.array(x), gpu.array(y), depth, 1, right_deriv=True)
        for gradient, like in zip(gpu.numpy(found), (x, y), strict=True):
            assert_same_bits(gradient, np.zeros_like(like))


@pytest.mark.parametrize("depth", [2, 5])
def test_bits_depend_on_nothing_else(
    emulated: Gpu, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    """Not on scratch memory, on how many warps and blocks there are, and which threads come first."""
    x, y = emulated.array(paths(rng, 3, 100, 2)), emulated.array(paths(rng, 2, 40, 2))
    derivs = emulated.array(rng.standard_normal((3, 2)))
    warps, found = [], []
    for n_bytes, most, falling in ((2**28, 2**28, False), (2**28, 1, False), (3000, 2**28, True)):
        monkeypatch.setattr(signature_kernel_plan, "SCRATCH_BYTES", n_bytes)
        monkeypatch.setattr(signature_kernel_plan, "WARPS", min(most, 16))
        emulated.cupy.FALLING = falling
        found.append([emulated.numpy(siglib.branched_sig_kernel_gram(x, y, depth, 0))])
        warps.append(emulated.cupy.LOG[-2][2])
        gradients = siglib.branched_sig_kernel_gram_backprop(derivs, x, y, depth, 0, right_deriv=True)
        found[-1] += emulated.numpy(gradients)
    assert warps[0] > warps[1]
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert_same_bits(one, other)


def test_checked(checked_gpu: Gpu, rng: np.random.Generator) -> None:
    """One block of several warps, several bands and tiles, in registers and in memory."""
    x, y = paths(rng, 1, 70, 2), paths(rng, 1, 35, 2)
    for depth in (2, 5):
        same(checked_gpu, "branched_sig_kernel", x, y, depth, 0, derivs=np.ones(1))
    x, y = paths(rng, 1, 20, 2), paths(rng, 1, 18, 2)
    shape = siglib.branched_sig_kernel(x, y, 2, (1, 2), return_grid=True).shape
    options = {"return_grid": True, "static_kernel": RBF}
    same(checked_gpu, "branched_sig_kernel", x, y, 2, (1, 2), **options)
    same(checked_gpu, "branched_sig_kernel", x, y, 2, (1, 2), derivs=rng.standard_normal(shape), **options)


def test_gradients_through_torch(emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """With respect to both paths and the parameters of static kernels, normalised, of logarithms, of one batch."""
    torch = optional("torch")
    x, y = torch.tensor(paths(rng, 2, 12, 2)), torch.tensor(paths(rng, 3, 9, 2))

    def gradients() -> list[Any]:
        sigma, scale = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.7, 1.3))
        given = [x.clone().requires_grad_(), y.clone().requires_grad_()]
        value = siglib.branched_sig_kernel_gram(
            given[0], given[0], 2, 1, static_kernel=siglib.RBFKernel(sigma), log=True
        ).sum()
        for static_kernel in (siglib.RBFKernel(sigma), siglib.ScaledLinearKernel(scale)):
            options = {"static_kernel": static_kernel, "normalize": True}
            value = value + siglib.branched_sig_kernel_gram(*given, 2, 1, **options).sum()
        return [value.detach(), *torch.autograd.grad(value, [*given, sigma, scale])]

    expected = gradients()
    tensors_on_gpu(monkeypatch, torch)
    before = len(emulated.cupy.LOG)
    for found, on_cpu in zip(gradients(), expected, strict=True):
        assert_close(found, on_cpu, 1e-10)
    assert len(emulated.cupy.LOG) > before + 10


def test_memory_grows_with_length() -> None:
    """Not with the size of the grid: a few rows and columns for each pair."""
    path = SimpleNamespace(dtype=np.dtype(np.float64))
    for backward in (False, True):
        own = []
        for length in (1000, 2000, 4000):
            cells = branched_kernel.branched_cells(path, length, length, 2, 0, 0, 0)
            plan = branched_kernel.branched_plan(cells, 3, False, backward=backward)
            own.append(plan.own_of_block + plan.own_of_warp)
            assert own[-1] < 40 * 3 * length
        assert 1.9 < own[2] / own[1] < 2.1


def test_largest_sizes() -> None:
    """The deepest kernels of the longest grids: one warp, and memory that is counted right."""
    path = SimpleNamespace(dtype=np.dtype(np.float64))
    cells = branched_kernel.branched_cells(path, 2, 2, 2, 0, 30, 30)
    plan = branched_kernel.branched_plan(cells, 1000, False, backward=True)
    assert plan.own_of_block > 6 * 1000 * 2**30
    assert plan.most_warps == 1
