"""Tests of the CUDA backend: CuPy, on the emulator or on a GPU, and tensors that play being on a GPU."""

import importlib
import types
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from emu import emulator, fake_cupy

from siglib._call import backend as _backend
from siglib._gpu import _launch, backends, constants, window_plan


class Gpu:
    """CuPy as a test sees it."""

    def __init__(self, cupy: Any, name: str) -> None:
        self.cupy, self.name = cupy, name

    def array(self, numbers: Any) -> Any:
        """The numbers on the GPU, C-contiguous."""
        return self.cupy.asarray(np.ascontiguousarray(numbers))

    def numpy(self, result: Any) -> Any:
        """A result's numbers in main memory, or those of a tuple of results, after checks of what it is."""
        if isinstance(result, tuple):
            return tuple(map(self.numpy, result))
        assert isinstance(result, self.cupy.ndarray)
        return result.get()


def use_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """CuPy, or the emulator in its place, as long as a test runs."""
    _forget(monkeypatch)
    if name == "emulator":
        if not emulator.available():
            pytest.skip("g++, which builds kernels for the emulator, is not installed")
        yield Gpu(fake_cupy.install(monkeypatch), name)
    else:
        yield Gpu(importlib.import_module("cupy"), name)
    _backend._library_of_class.cache_clear()
    constants._constants.clear()
    backends.cupy_backend.cache_clear()
    backends.torch_backend.cache_clear()


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What siglib remembers of one CuPy is of no use with another."""
    for cache in ("_kernels", "_shared", "_attributes"):
        monkeypatch.setattr(_launch, cache, {})
    monkeypatch.setattr(window_plan, "_plans", OrderedDict())
    _backend._library_of_class.cache_clear()
    constants._constants.clear()
    backends.cupy_backend.cache_clear()
    backends.torch_backend.cache_clear()


def real_gpu() -> bool:
    """Whether this machine has CuPy and a GPU for it."""
    try:
        return bool(importlib.import_module("cupy").cuda.runtime.getDeviceCount())
    except Exception:  # CuPy raises errors of its own where there is no driver
        return False


def tensors_on_gpu(monkeypatch: pytest.MonkeyPatch, torch: Any) -> Any:
    """Make siglib take tensors in main memory for tensors on a GPU, on a stream with the number of the result."""
    stream = types.SimpleNamespace(cuda_stream=1234)
    monkeypatch.setattr(_backend, "_is_on_gpu", lambda tensor: True)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stream)
    return stream.cuda_stream
