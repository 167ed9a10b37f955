"""What test modules share besides fixtures: optional packages, tolerances, awkward memory layouts."""

import importlib
from typing import Any

import numpy as np
import pytest
from emu import nvrtc

from siglib._call.operation import OPERATIONS

TOLERANCE = {"float64": 1e-11, "float32": 2e-4, "float16": 5e-3, "bfloat16": 4e-2}


def optional(package: str) -> Any:
    """The module `package`; skips the calling test (or module) where it is not installed.

    `pytest --require=torch` makes its absence an error of the whole run instead.
    """
    return pytest.importorskip(package, reason=f"{package} is not installed")


def require(packages: list[str]) -> None:
    """Fail the run unless all these packages can be imported, cupy with a GPU; "nvrtc" is NVIDIA's compiler."""
    for package in packages:
        try:
            if package == "nvrtc":
                nvrtc.load()
            else:
                importlib.import_module(package)
            if package == "cupy":
                importlib.import_module("cupy").cuda.runtime.getDeviceCount()
        except Exception as error:  # CuPy and cuda.pathfinder raise errors of their own
            raise pytest.UsageError(f"--require={package}: {error}") from None


def error_of(actual: Any, expected: Any) -> float:
    """max |actual - expected| / max(1, max |expected|); entries that are NaN in both count as equal."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.size == 0:
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.where(
            (actual == expected) | (np.isnan(actual) & np.isnan(expected)), 0.0, np.abs(actual - expected)
        )
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    return float(np.where(np.isnan(difference), np.inf, difference).max() / scale)


def assert_close(actual: Any, expected: Any, tolerance: float | None = None) -> None:
    """`actual` has the shape of `expected` and its values, to the tolerance of its dtype unless one is given."""
    name = str(actual.dtype).rpartition(".")[2]
    assert tuple(actual.shape) == np.shape(expected)
    tolerance = TOLERANCE[name] if tolerance is None else tolerance
    if hasattr(actual, "detach"):
        actual = actual.detach().cpu().double().numpy()
    error = error_of(actual, expected)
    assert error <= tolerance, f"error {error:.3g} is above {tolerance:.3g}"


def assert_as_exact_everywhere(gradient: Any, expected: Any) -> None:
    """Gradients of one path (length, dimension): between two time chunks they are as exact as inside."""
    errors = np.abs(gradient - expected).max(axis=1)[1:-1]
    assert errors.max() <= 4 * np.quantile(errors, 0.95)


def smooth_path(length: int, dimension: int, size: float = 1.0) -> np.ndarray:
    """A path (1, length, dimension) in float32 whose gradients at points are small differences."""
    times = np.linspace(0, 1, length)
    return size * np.stack([np.sin((3 + k) * times + k) for k in range(dimension)], axis=1)[None].astype(np.float32)


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Equal dtype, shape and bytes."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes()


def layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers in other memory: orders, strides, offsets, byte orders and rights that callers may come with."""
    spread = np.zeros(tuple(3 * n for n in array.shape), array.dtype)
    spread = spread[tuple(slice(1, None, 3) for _ in array.shape)]
    spread[...] = array
    backwards = tuple(slice(None, None, -1) for _ in array.shape)
    readonly = array.copy()
    readonly.flags.writeable = False
    unaligned = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    return {
        "fortran": np.asfortranarray(array),
        "strided": spread,
        "reversed": np.ascontiguousarray(array[backwards])[backwards],
        "readonly": readonly,
        "unaligned": unaligned,
        "big-endian": array.astype(array.dtype.newbyteorder(">")),
    }


def operators(name: str) -> tuple[Any, Any, Any]:
    """The declaration of an operation, and its two operators for torch's compiler."""
    torch, declared = optional("torch"), OPERATIONS[name]
    declared.operator_name()
    return (
        declared,
        getattr(torch.ops.siglib, name).default,
        getattr(torch.ops.siglib, f"{name}_backprop").default,
    )
