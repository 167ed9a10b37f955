"""Path transforms on the GPU, through the public functions."""

import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits
from gpu import Gpu

import siglib

OPTIONS = [
    {"time_aug": time_aug, "lead_lag": lead_lag, "end_time": 0.7}
    for time_aug in (False, True)
    for lead_lag in (False, True)
]
options = pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o['time_aug']:d}{o['lead_lag']:d}")


@options
@pytest.mark.parametrize("shape", [(5, 2), (3, 1, 3), (2, 3, 17, 1), (4, 9, 20), (0, 4, 2), (3, 0, 2)])
def test_values_and_gradient(
    gpu: Gpu, shape: tuple[int, ...], options: dict, dtype: np.dtype, rng: np.random.Generator
) -> None:
    path = rng.standard_normal(shape).astype(dtype)
    out = siglib.transform_path(gpu.array(path), **options)
    assert out.dtype == dtype
    assert_close(gpu.numpy(out), reference.transform_path(path, **options), 1e-6)
    assert_same_bits(gpu.numpy(out), siglib.transform_path(path, **options))
    derivs = rng.standard_normal(out.shape).astype(dtype)
    gradient = gpu.numpy(siglib.transform_path_backprop(gpu.array(derivs), **options))
    assert_close(gradient, reference.transform_path_gradient(derivs, **options), 1e-6)


@options
def test_strides_and_half_precision(gpu: Gpu, options: dict, rng: np.random.Generator) -> None:
    path = rng.standard_normal((4, 3, 6)).astype(np.float16)
    for view in (path[::2, ::-1], path.transpose(2, 0, 1), path[:, :, ::2], np.broadcast_to(path[0], (5, 3, 6))):
        given = gpu.array(path)
        given = {
            path[::2, ::-1].strides: lambda a: a[::2, ::-1],
            path.transpose(2, 0, 1).strides: lambda a: a.transpose(2, 0, 1),
            path[:, :, ::2].strides: lambda a: a[:, :, ::2],
        }.get(view.strides, lambda a: gpu.cupy.broadcast_to(a[0], (5, 3, 6)))(given)
        out = siglib.transform_path(given, **options)
        assert_same_bits(gpu.numpy(out), siglib.transform_path(view, **options))


@options
def test_checked(emulated: Gpu, options: dict, dtype: np.dtype, rng: np.random.Generator) -> None:
    emulated.cupy.MODE = "check"
    path = rng.standard_normal((3, 50, 2)).astype(dtype)
    out = siglib.transform_path(emulated.array(path), **options)
    assert_same_bits(emulated.numpy(out), siglib.transform_path(path, **options))
    emulated.numpy(siglib.transform_path_backprop(out, **options))
