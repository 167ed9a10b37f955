"""Signature kernels on the GPU, through the public functions: against definitions and the CPU."""

from typing import Any

import numpy as np
import pytest
import reference_kernels
from cases import random_paths
from checking import assert_close, assert_same_bits
from gpu import Gpu

import siglib
from siglib._gpu import signature_kernel_plan
from siglib.kernels.operations import SIG_KERNEL_GRAM

KERNELS: dict[str, dict[str, float]] = {
    "LinearKernel": {},
    "ScaledLinearKernel": {"scale": 0.7},
    "RBFKernel": {"sigma": 0.8},
    "PolynomialKernel": {"degree": 3.0, "gamma": 0.5, "scale": 0.3},
    "Matern12Kernel": {"sigma": 1.3},
    "Matern32Kernel": {"sigma": 1.3},
    "Matern52Kernel": {"sigma": 1.3},
    "RationalQuadraticKernel": {"sigma": 1.1, "alpha": 0.6},
}
# Lengths, dimension, dyadic orders: one band and several, letters below and above those multiplied at a time, single
# cells, cells larger than a band.
SIZES = [
    (2, 2, 1, (0, 0)),
    (5, 9, 2, (0, 0)),
    (40, 34, 3, (0, 0)),
    (70, 100, 5, (0, 0)),
    (33, 40, 19, (0, 0)),
    (20, 18, 4, (1, 1)),
    (12, 7, 3, (2, 3)),
    (3, 4, 2, (7, 6)),
    (20, 18, 9, (1, 2)),
    (3, 4, 9, (7, 6)),
    (3, 66, 2, (0, 0)),
    (66, 3, 2, (0, 2)),
]
sizes = pytest.mark.parametrize(("length1", "length2", "dimension", "orders"), SIZES, ids=str)


def tolerance(dtype: np.dtype) -> float:
    return 1e-11 if dtype == np.float64 else 2e-5


def static_kernel(name: str) -> Any:
    return getattr(siglib, name)(**KERNELS[name])


@sizes
def test_values(
    gpu: Gpu,
    length1: int,
    length2: int,
    dimension: int,
    orders: tuple[int, int],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    x, y = random_paths(rng, 3, length1, dimension, dtype=dtype), random_paths(rng, 2, length2, dimension, dtype=dtype)
    out = siglib.sig_kernel_gram(gpu.array(x), gpu.array(y), dyadic_order=orders)
    expected = reference_kernels.gram(x.astype(float), y.astype(float), dyadic_order=orders)
    assert out.dtype == dtype
    assert_close(gpu.numpy(out), expected, tolerance(dtype))


@pytest.mark.parametrize("name", KERNELS)
def test_static_kernels(gpu: Gpu, name: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 2, 40, 3, dtype=dtype), random_paths(rng, 2, 37, 3, dtype=dtype)
    options = {"dyadic_order": (0, 1), "static_kernel": static_kernel(name)}
    out = siglib.sig_kernel(gpu.array(x), gpu.array(y), **options)
    expected = reference_kernels.kernel(
        x.astype(float), y.astype(float), dyadic_order=(0, 1), static_kernel=name, parameters=KERNELS[name]
    )
    assert_close(gpu.numpy(out), expected, tolerance(dtype))
    derivs = rng.standard_normal(2).astype(dtype)
    options |= {"left_deriv": True, "right_deriv": True}
    found = siglib.sig_kernel_backprop(*map(gpu.array, (derivs, x, y)), **options)
    for gradient, on_cpu in zip(found, siglib.sig_kernel_backprop(derivs, x, y, **options), strict=True):
        assert_close(gpu.numpy(gradient), on_cpu, tolerance(dtype))


@sizes
@pytest.mark.parametrize("name", ["LinearKernel", "RBFKernel"])
def test_gradients(
    gpu: Gpu,
    name: str,
    length1: int,
    length2: int,
    dimension: int,
    orders: tuple[int, int],
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    x, y = random_paths(rng, 3, length1, dimension, dtype=dtype), random_paths(rng, 2, length2, dimension, dtype=dtype)
    derivs = rng.standard_normal((3, 2)).astype(dtype)
    options = {"dyadic_order": orders, "static_kernel": static_kernel(name)}
    both = {"left_deriv": True, "right_deriv": True}
    expected = siglib.sig_kernel_gram_backprop(derivs, x, y, **options, **both)
    given = tuple(map(gpu.array, (derivs, x, y)))
    for gradient, on_cpu in zip(siglib.sig_kernel_gram_backprop(*given, **options, **both), expected, strict=True):
        assert_close(gpu.numpy(gradient), on_cpu, tolerance(dtype))
    left, nothing = siglib.sig_kernel_gram_backprop(*given, **options)
    assert nothing is None
    assert_close(gpu.numpy(left), expected[0], tolerance(dtype))


@pytest.mark.parametrize("dimension", [1, 3, 5])
def test_gradients_of_high_order(checked_gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, dimension: int) -> None:
    """Their letters come in smaller groups."""
    x, y = (random_paths(rng, 2, n, dimension, dtype=dtype) * dtype.type(0.3) for n in (36, 34))
    derivs = rng.standard_normal(2).astype(dtype)
    options = {"method": "polynomial", "order": 12, "static_kernel": siglib.RBFKernel(0.9)}
    arrays = map(checked_gpu.array, (derivs, x, y))
    found = siglib.sig_kernel_backprop(*arrays, **options, right_deriv=True)
    expected = siglib.sig_kernel_backprop(derivs, x, y, **options, right_deriv=True)
    for gradient, on_cpu in zip(found, expected, strict=True):
        assert_close(checked_gpu.numpy(gradient), on_cpu)


def test_grids_and_their_gradients(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 2, 20, 3, dtype=dtype), random_paths(rng, 2, 37, 3, dtype=dtype)
    for options in (
        {"dyadic_order": (1, 0)},
        {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(1.2)},
    ):
        out = siglib.sig_kernel_gram(gpu.array(x), gpu.array(x), return_grid=True, **options)
        assert_close(gpu.numpy(out), siglib.sig_kernel_gram(x, x.copy(), return_grid=True, **options), tolerance(dtype))
        given = gpu.array(x)
        out = siglib.sig_kernel_gram(given, given, return_grid=True, **options)
        assert_close(gpu.numpy(out), siglib.sig_kernel_gram(x, x, return_grid=True, **options), tolerance(dtype))
        out = siglib.sig_kernel(gpu.array(x), gpu.array(y), return_grid=True, **options)
        assert_close(gpu.numpy(out), siglib.sig_kernel(x, y, return_grid=True, **options), tolerance(dtype))
        derivs = rng.standard_normal(out.shape).astype(dtype)
        found = siglib.sig_kernel_backprop(
            *map(gpu.array, (derivs, x, y)), return_grid=True, right_deriv=True, **options
        )
        expected = siglib.sig_kernel_backprop(derivs, x, y, return_grid=True, right_deriv=True, **options)
        for gradient, on_cpu in zip(found, expected, strict=True):
            assert_close(gpu.numpy(gradient), on_cpu, tolerance(dtype))


@pytest.mark.parametrize("same", [False, True])
def test_bounded_memory(
    gpu: Gpu, same: bool, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Whatever does not fit into the scratch memory goes through it piece by piece: the bits are the same."""
    x, y = random_paths(rng, 5, 40, 3, dtype=dtype), random_paths(rng, 4, 37, 3, dtype=dtype)
    first = gpu.array(x)
    second = first if same else gpu.array(y)
    gradients = []
    for n_bytes in (2**28, 3000, 1):
        monkeypatch.setattr(signature_kernel_plan, "SCRATCH_BYTES", n_bytes)
        out = siglib.sig_kernel_gram(first, second, dyadic_order=0)
        derivs = gpu.cupy.ones(out.shape, dtype)
        # The gradient with respect to both arguments, each pair once, is what PyTorch asks for.
        given, options = (derivs, None, first, second, (1.0, 0.0, 0.0)), {**_OPTIONS, "same": same, "equal": same}
        parts = SIG_KERNEL_GRAM.backprop(*given, needs=(True, True, True), **options)
        gradients.append([gpu.numpy(part) for part in (out, *parts)])
    for others in gradients[1:]:
        for gradient, other in zip(gradients[0][:3], others[:3], strict=True):
            assert_same_bits(gradient, other)
        assert_close(others[3], gradients[0][3], tolerance(dtype))


_OPTIONS: dict[str, Any] = {
    "static_kernel": 0, "order1": 0, "order2": 0, "order": 0, "time_aug": False, "lead_lag": False, "end_time": 1.0,
    "n_jobs": 1, "return_grid": False, "normalize": False, "log": False, "max_batch": -1, "given": None, "padded": False, "total": True,
}  # fmt: skip


def test_order_of_threads(emulated: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    """Bits do not depend on which threads come first."""
    x, y = (
        emulated.array(random_paths(rng, 2, 70, 3, dtype=dtype)),
        emulated.array(random_paths(rng, 2, 40, 3, dtype=dtype)),
    )
    derivs = emulated.array(np.ones((2, 2), dtype))
    found = []
    for falling in (False, True):
        emulated.cupy.FALLING = falling
        for options in ({"dyadic_order": 0}, {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(1.0)}):
            found.append(emulated.numpy(siglib.sig_kernel_gram(x, y, **options)))
            found += siglib.sig_kernel_gram_backprop(derivs, x, y, right_deriv=True, **options)
    for rising, falling in zip(found[:6], found[6:], strict=True):
        assert_same_bits(*(a if isinstance(a, np.ndarray) else a.get() for a in (rising, falling)))
