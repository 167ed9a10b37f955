"""What makes paths of series, on the GPU, through the public functions."""

from typing import Any

import numpy as np
import pytest
from gpu import Gpu
from reference_series import prepared
from test_series import CASES, LENGTHS, points_for

import siglib

cases = pytest.mark.parametrize(("options", "transform"), CASES, ids=[str(i) for i in range(len(CASES))])


def _check(gpu: Gpu, options: dict[str, Any], transform: dict[str, Any], dtype: np.dtype) -> None:
    points = [path.astype(dtype) for path in points_for(options)]
    close = {"rtol": 1e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    on_gpu, here = (siglib.Series(list(map(kind, points)), **options) for kind in (gpu.array, np.asarray))
    for mine, expected in zip(
        siglib.transform_path(on_gpu, **transform), siglib.transform_path(here, **transform), strict=True
    ):
        np.testing.assert_allclose(gpu.numpy(mine), expected, **close)
    sigs = siglib.sig(here, 2, **transform)
    derivs = np.random.default_rng(0).standard_normal(sigs.shape).astype(dtype)
    found = siglib.sig_backprop(on_gpu, gpu.array(sigs), gpu.array(derivs), 2, **transform)
    close = {"rtol": 1e-3, "atol": 1e-3} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    for mine, expected in zip(found, siglib.sig_backprop(here, sigs, derivs, 2, **transform), strict=True):
        np.testing.assert_allclose(gpu.numpy(mine), expected, **close)


@cases
def test_values_and_gradients(gpu: Gpu, options: dict[str, Any], transform: dict[str, Any], dtype: np.dtype) -> None:
    _check(gpu, options, transform, dtype)


@cases
def test_checked(emulated: Gpu, options: dict[str, Any], transform: dict[str, Any]) -> None:
    emulated.cupy.MODE = "check"
    _check(emulated, options, transform, np.dtype(np.float64))


def test_padded_arrays_and_times_on_the_gpu(gpu: Gpu) -> None:
    padded = np.full((5, 7, 2), np.nan)
    for row, path in zip(padded, points_for({}), strict=True):
        row[: len(path)] = path
    times = np.tile(np.arange(7.0), (5, 1)) ** 2
    options = {"lengths": LENGTHS, "base_point": True, "gaps": "forward"}
    expected = siglib.sig(siglib.Series(padded, times=times, **options), 2, time_aug=True)
    for clock in (times, gpu.array(times), times[0]):
        found = siglib.sig(siglib.Series(gpu.array(padded), times=clock, **options), 2, time_aug=True)
        np.testing.assert_allclose(gpu.numpy(found), expected, rtol=1e-12)


def test_times_here_and_there(gpu: Gpu) -> None:
    """Times on the GPU of points in main memory, and lists of both."""
    times = [np.arange(float(length)) ** 2 for length in LENGTHS]
    paths = points_for({})
    expected = siglib.sig(paths, 2, times=times, time_aug=True)
    on_gpu = list(map(gpu.array, times))
    for clocks in (times, on_gpu, [*times[:2], *on_gpu[2:]]):
        found = siglib.sig(list(map(gpu.array, paths)), 2, times=clocks, time_aug=True)
        np.testing.assert_allclose(gpu.numpy(found), expected, rtol=1e-12)
        np.testing.assert_array_equal(siglib.sig(paths, 2, times=clocks, time_aug=True), expected)
    longest = int(np.argmax(LENGTHS))
    found = siglib.sig(paths[longest], 2, times=on_gpu[longest], time_aug=True)
    np.testing.assert_allclose(found, expected[longest], rtol=1e-12)


@pytest.mark.parametrize("more", [{}, {"increments": True}])
def test_gradients_of_the_base_point(tensors: Any, more: dict[str, Any]) -> None:
    """By a difference, which is exact for what is linear."""
    rng = np.random.default_rng(3)
    points, base, derivs = rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 2)), rng.standard_normal((2, 12))
    options = {"invisibility_reset": True, **more}
    given = [tensors.tensor(array).requires_grad_() for array in (points, base)]
    out = siglib.sig(siglib.Series(given[0], base_point=given[1], **options), 2)
    out.backward(tensors.tensor(derivs))
    for i in range(2):
        path = prepared(points[i], base_point=base[i], **options)
        inner = siglib.sig_backprop(path, siglib.sig(path, 2), derivs[i], 2)
        for at in range(2):
            moved = base[i] + np.eye(2)[at]
            change = prepared(points[i], base_point=moved, **options) - path
            np.testing.assert_allclose(given[1].grad[i, at].item(), (change * inner).sum(), rtol=1e-9, atol=1e-10)
        for at in np.ndindex(4, 2):
            moved = points[i].copy()
            moved[at] += 1
            change = prepared(moved, base_point=base[i], **options) - path
            np.testing.assert_allclose(given[0].grad[(i, *at)].item(), (change * inner).sum(), rtol=1e-9, atol=1e-10)
