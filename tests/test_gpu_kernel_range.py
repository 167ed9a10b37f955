"""Signature kernels of large cells on the GPU: right numbers, or NaN where they may be wrong, never another number."""

import warnings
from typing import Any

import numpy as np
import pytest
from gpu import Gpu
from test_signature_kernel_range import SCHEMES, SIZES, TOLERANCE, rising_pair, schemes, turning_pair

import siglib
from siglib.kernels.operations import SIG_KERNEL


def assert_right_or_unknown(found: Any, expected: Any, tolerance: float) -> bool:
    """Returns whether all is known."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    known = ~np.isnan(found)
    # Beyond the range both are infinite.
    finite = known & np.isfinite(expected)
    assert (found[known & ~finite] == expected[known & ~finite]).all()
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    assert (np.abs(found[finite] - expected[finite]) <= tolerance * scale).all()
    return bool(known.all())


def on_cpu(function: Any, *args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


@pytest.mark.parametrize(("length1", "length2"), [(2, 2), (9, 6), (40, 37)])
@schemes
def test_logarithms(gpu: Gpu, dtype: np.dtype, scheme: dict[str, Any], length1: int, length2: int) -> None:
    for power in SIZES[dtype.name]:
        x, y = rising_pair(dtype, length1, length2, power)
        expected = on_cpu(siglib.sig_kernel, x, y, log=True, **scheme)
        found = gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), log=True, **scheme))
        known = assert_right_or_unknown(found, expected, 10 * TOLERANCE[dtype.name])
        assert known or power > 0


@pytest.mark.parametrize("scheme", [SCHEMES[0], SCHEMES[4]], ids=["finite_difference", "polynomial"])
@pytest.mark.parametrize("columns", [3, 20, 70])
@pytest.mark.parametrize("size", [1.0, 2.0, 4.0, 8.0, 30.0, 400.0])
def test_values_that_vanish(gpu: Gpu, dtype: np.dtype, columns: int, scheme: dict[str, Any], size: float) -> None:
    x, y = turning_pair(dtype, 120, columns, size)
    for a, b in ((x, y), (y, x), (x[::-1], y[::-1])):
        expected = on_cpu(siglib.sig_kernel, a, b, log=True, **scheme)
        found = gpu.numpy(siglib.sig_kernel(gpu.array(a), gpu.array(b), log=True, **scheme))
        known = assert_right_or_unknown(found, expected, 10 * TOLERANCE[dtype.name])
        assert known or size > 1


def gradients_of(arrays: Any, a: Any, b: Any, derivs: Any, scheme: dict[str, Any], **how: bool) -> list[Any]:
    orders = scheme.get("dyadic_order", 0)
    order1, order2 = orders if isinstance(orders, tuple) else (orders, orders)
    options: dict[str, Any] = {
        "static_kernel": 0, "order1": order1, "order2": order2, "order": scheme.get("order", 0), "time_aug": False,
        "lead_lag": False, "end_time": 1.0, "n_jobs": 1, "return_grid": False, "normalize": False, "log": False,
        "max_batch": -1, "given": None, "padded": False, "same": False, "equal": False, "total": False,
    }  # fmt: skip
    given = (arrays(derivs[None]), None, arrays(a[None]), arrays(b[None]), (1.0, 0.0, 0.0))
    found = on_cpu(SIG_KERNEL.backprop, *given, needs=(True, True, False), **options | how)[:2]
    return [gradient if isinstance(gradient, np.ndarray) else gradient.get() for gradient in found]


@pytest.mark.parametrize("scheme", [SCHEMES[0], SCHEMES[1], SCHEMES[4]], ids=str)
@pytest.mark.parametrize("columns", [3, 20, 70])
@pytest.mark.parametrize("size", [1.0, 3.0, 8.0, 30.0, 400.0])
def test_gradients_of_logarithms(gpu: Gpu, dtype: np.dtype, columns: int, scheme: dict[str, Any], size: float) -> None:
    x, y = turning_pair(dtype, 60, columns, size)
    for a, b in ((x, y), (y, x), (x[::-1], y[::-1]), (y[::-1], x[::-1])):
        derivs = np.ones((), dtype)
        expected = gradients_of(np.ascontiguousarray, a, b, derivs, scheme, log=True)
        for gradient, on_the_cpu in zip(gradients_of(gpu.array, a, b, derivs, scheme, log=True), expected, strict=True):
            known = assert_right_or_unknown(gradient, on_the_cpu, 3e3 * TOLERANCE[dtype.name])
            assert known or size > 1


@pytest.mark.parametrize("scheme", [SCHEMES[0], SCHEMES[4]], ids=["finite_difference", "polynomial"])
@pytest.mark.parametrize("rows", [10, 60])
def test_grids_and_seeds_that_vanish(gpu: Gpu, dtype: np.dtype, scheme: dict[str, Any], rows: int) -> None:
    size = {"float32": 4.0, "float64": 30.0}[dtype.name]
    x, y = turning_pair(dtype, rows, 20, size)
    for a, b in ((x, y), (y, x), (x[::-1], y[::-1])):
        expected = on_cpu(siglib.sig_kernel, a, b, return_grid=True, **scheme)
        found = gpu.numpy(siglib.sig_kernel(gpu.array(a), gpu.array(b), return_grid=True, **scheme))
        ratios = np.where(np.isfinite(expected), found / np.where(np.isfinite(expected), expected, 1), found)
        assert_right_or_unknown(ratios, np.where(np.isfinite(expected), 1, expected), 1e-3)
        # Each node of a column by itself would be right: beside those that follow they are small.
        derivs = np.zeros(expected.shape, dtype)
        derivs[:, 5] = derivs[-1, -1] = 1
        exact = gradients_of(np.ascontiguousarray, a, b, derivs, scheme, return_grid=True)
        for gradient, right in zip(gradients_of(gpu.array, a, b, derivs, scheme, return_grid=True), exact, strict=True):
            if np.isfinite(right).all():
                assert_right_or_unknown(gradient, right, 1e-3)


@pytest.mark.parametrize("dimension", [2, 17])
def test_bits_of_a_pair_do_not_depend_on_others(gpu: Gpu, dimension: int) -> None:
    """One that is swept twice leaves nothing to those behind it."""
    rng = np.random.default_rng(3)
    x, y = (0.2 * rng.standard_normal((6, 70, dimension)).astype(np.float32) for _ in range(2))
    expected = gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), dyadic_order=0))
    x[2] *= 300
    found = gpu.numpy(siglib.sig_kernel(gpu.array(x), gpu.array(y), dyadic_order=0))
    others = np.arange(6) != 2
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(found[others], expected[others])
