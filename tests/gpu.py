"""Tests of the CUDA backend: CuPy, on the emulator or on a GPU, and tensors on a GPU, or that play being there."""

import contextlib
import importlib
import itertools
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from checking import assert_close, assert_same_bits
from emu import emulator, fake_cupy

from siglib._call import libraries as _libraries
from siglib._gpu import _launch, backends, constants, plans, window_plan


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

    def assert_same(self, actual: Any, expected: Any) -> None:
        """The same numbers from two instantiations of a kernel: on a GPU the compiler may fuse other multiply-adds."""
        if self.name == "emulator":
            assert_same_bits(actual, expected)
        else:
            assert actual.dtype == expected.dtype
            assert_close(actual, expected, 1e-13 if actual.dtype == np.float64 else 1e-5)


def use_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """CuPy, or the emulator in its place, as long as a test runs."""
    _forget(monkeypatch)
    if name == "emulator":
        if not emulator.available():
            pytest.skip("g++, which builds kernels for the emulator, is not installed")
        yield Gpu(fake_cupy.install(monkeypatch), name)
    else:
        yield Gpu(importlib.import_module("cupy"), name)
    _libraries._library_of_class.cache_clear()
    constants._constants.clear()
    backends.cupy_backend.cache_clear()
    backends.torch_backend.cache_clear()


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What siglib remembers of one CuPy is of no use with another."""
    for cache in ("_kernels", "_shared", "_attributes"):
        monkeypatch.setattr(_launch, cache, {})
    monkeypatch.setattr(window_plan, "_plans", OrderedDict())
    monkeypatch.setattr(plans, "AT_ONCE", True)  # or few tests would come to them
    monkeypatch.setattr(plans, "_keep", lambda key, plan: None)  # or a test that changes a constant would see no change
    monkeypatch.setattr(plans, "SHARED_SCRATCH", False)  # or the emulator would not see where one array ends
    plans.forget()
    _libraries._library_of_class.cache_clear()
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
    monkeypatch.setattr(_libraries, "is_cuda", lambda tensor: True)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stream)
    known: deque[Any] = deque(maxlen=256)  # what the emulator is told of tensors, by their addresses

    def addresses(on: Any, tensors: list[Any]) -> list[int]:
        known.extend(on.view(tensor) for tensor in tensors)
        return [view.data.ptr for view in list(known)[len(known) - len(tensors) :]]

    monkeypatch.setattr(backends.TorchCudaBackend, "addresses", addresses)
    return stream.cuda_stream


class Tensors:
    """PyTorch's tensors as a test sees them, on a GPU."""

    name = "cuda"

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.device = torch.device("cuda")

    def tensor(self, numbers: Any, dtype: Any = None) -> Any:
        return self.torch.as_tensor(numbers, dtype=dtype, device=self.device)

    def numpy(self, result: Any) -> Any:
        """A result's numbers in main memory, or those of several, after checks of what it is."""
        if isinstance(result, (tuple, list)):
            return type(result)(map(self.numpy, result))
        assert isinstance(result, self.torch.Tensor)
        assert result.device.type == self.device.type
        return result.detach().cpu().numpy()

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Another stream is PyTorch's current one."""
        cuda = self.torch.cuda
        other = cuda.Stream()
        other.wait_stream(cuda.current_stream())
        with cuda.stream(other):
            yield
        cuda.current_stream().wait_stream(other)

    def captured(self, function: Callable[..., Any], first: list[Any], then: list[Any]) -> Any:
        """What a graph of `function`, made with some tensors, says of other numbers."""
        given = [tensor.clone() for tensor in first]
        with self.stream():
            function(*given)
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph):
            result = function(*given)
        for tensor, numbers in zip(given, then, strict=True):
            tensor.copy_(numbers)
        graph.replay()
        self.torch.cuda.synchronize()
        return result


class EmulatedTensors(Tensors):
    """The same in main memory: streams are numbers, and a graph is a call while nothing may be waited for."""

    name = "emulator"

    def __init__(self, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(torch)
        self.device = torch.device("cpu")
        self._patch = monkeypatch
        self._numbers = itertools.count(5000)
        tensors_on_gpu(monkeypatch, torch)

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        with self._patch.context() as patch:
            other = types.SimpleNamespace(cuda_stream=next(self._numbers))
            patch.setattr(self.torch.cuda, "current_stream", lambda device=None: other)
            yield

    def captured(self, function: Callable[..., Any], first: list[Any], then: list[Any]) -> Any:
        with self.stream():
            function(*first)
        with self.stream():
            stream = fake_cupy.Stream(self.torch.cuda.current_stream().cuda_stream)
            stream.begin_capture()
            try:
                return function(*then)
            finally:
                stream.end_capture()


def torch_on_gpu() -> bool:
    """Whether PyTorch and CuPy have a GPU here."""
    try:
        return real_gpu() and importlib.import_module("torch").cuda.is_available()
    except ImportError:
        return False
