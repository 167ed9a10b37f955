"""The backends for arrays on a GPU: CuPy's arrays, and PyTorch's CUDA tensors.

Kernels see CuPy arrays in both cases. For a tensor that is a second name for the same memory: nothing is copied, and
nobody waits. Everything is launched on the device of the arrays: for tensors on PyTorch's current stream, with scratch
memory from PyTorch's allocator, so that a call can be captured into a CUDA graph; for CuPy arrays on CuPy's.
"""

import math
import sys
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np

from . import Launchers, plans, require_cupy
from ._launch import call, refuse_while_capturing
from .constants import constant

__all__ = ["CupyBackend", "TorchCudaBackend", "cupy_backend", "require_cupy", "torch_backend"]


class _GpuBackend:
    """What both have in common. `device` is the number of the GPU."""

    solves_by_levels = True  # which tables the CUDA functions of log-signatures take
    block_bytes = 2**27  # how much a call of several CUDA functions hands from one to the next at a time
    can_look = False  # looking at a number means waiting for it

    def __init__(self, cupy: Any, device: int, dtype: Any, result_dtype: Any) -> None:
        self.xp = cupy  # the module whose arrays `view` gives
        self.device = device
        self.dtype = dtype  # what the CUDA functions compute in: float32 or float64 of the caller's library
        self.result_dtype = result_dtype  # what the caller gets
        self.changes_results = dtype != result_dtype  # whether `result` does anything
        self.dtype_name = str(dtype).removeprefix("torch.")
        self.loops = Launchers(self.call)
        self.scales = self.loops.signature_kernel_scales  # what kernels become where nobody looks at them

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, where it belongs; CUDA functions that are missing are compiled side by side."""
        with self.current():
            return call(function, *args)

    def run(
        self,
        body: Callable[..., Any],
        known: Any,
        options: Any,
        more: Any,
        arrays: tuple[Any, ...],
        numbers: tuple[float, ...] | None = None,
    ) -> Any:
        """`body(self, options, more, *arrays, numbers)`, by a plan, or None if there can be none: see `plans.py`."""
        return plans.call(self, body, known, options, more, arrays, numbers)

    # What plans ask

    def is_current(self) -> bool:
        """Whether the device is CuPy's current one."""
        return self.xp.cuda.runtime.getDevice() == self.device

    def stream(self) -> Any:
        """The stream to launch on, if not on CuPy's current one."""
        return None

    def layouts(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Shape and strides of each array, as its library gives them; None for what is not there."""
        raise NotImplementedError

    def byte_strides(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """These strides, counted in bytes."""
        raise NotImplementedError

    def new(self, shape: tuple[int, ...]) -> Any:
        """`empty`, where the device is the current one."""
        raise NotImplementedError

    def memory(self, n: int, dtype: Any) -> Any:
        """Scratch memory for so many numbers, where the device is the current one."""
        raise NotImplementedError

    def addresses(self, arrays: list[Any]) -> list[int]:
        """Where arrays begin, those of `new` and `memory` among them."""
        raise NotImplementedError

    def double(self) -> Any:
        """The backend that computes in float64 what this one does, with the same results' dtype."""
        raise NotImplementedError

    def current(self) -> Any:
        """A context in which CuPy computes where, and in the order, that the caller's library does."""
        raise NotImplementedError

    def given(self, array: Any) -> Any:
        """An array as one of the caller's library: it is one. Tensors know the streams that use their memory."""
        return array

    def nothing(self, shape: tuple[int, ...], dtype: str) -> Any:
        """What stands for an array that CUDA functions do not read, of so many axes."""
        return self.xp.empty(shape, dtype)

    def scratch(self, shape: tuple[int, ...]) -> Any:
        """Memory for what one CUDA function hands to the next, as `view` gives arrays; uninitialised."""
        with self.current():
            return self.xp.empty(shape, self.dtype_name)

    def constant(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, tables as a tuple of NumPy arrays, on the device; copied there once."""
        with self.current():
            return constant(function, *args)

    def from_host(self, array: np.ndarray) -> Any:
        """A copy on the device of an array in main memory, for this call."""
        with self.current():
            refuse_while_capturing("an array is copied to the GPU")
            return self.xp.ascontiguousarray(self.xp.asarray(array))


class CupyBackend(_GpuBackend):
    def layouts(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple([None if array is None else (array.shape, array.strides) for array in arrays])

    def byte_strides(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        return strides

    def new(self, shape: tuple[int, ...]) -> Any:
        return self.xp.ndarray(shape, self.dtype)

    def memory(self, n: int, dtype: Any) -> Any:
        return self.xp.ndarray(n, dtype)

    def addresses(self, arrays: list[Any]) -> list[int]:
        return [array.data.ptr for array in arrays]

    def double(self) -> Any:
        return cupy_backend(self.xp, self.device, np.dtype(np.float64), self.result_dtype)

    def current(self) -> Any:
        return self.xp.cuda.Device(self.device)

    def empty(self, shape: tuple[int, ...]) -> Any:
        with self.current():
            return self.xp.empty(shape, self.dtype)

    def view(self, array: Any) -> Any:
        """What CUDA functions read or write: the array itself."""
        return array

    def from_torch(self, tensor: Any) -> Any:
        """A CuPy array of the memory of a tensor on the same device, ready for CuPy's current stream."""
        with self.current():
            return self.xp.from_dlpack(tensor)

    def rows(self, array: Any, n_axes: int = 1) -> Any:
        """`array` for CUDA functions, C-contiguous, its last `n_axes` axes made one and its batch axes made one.

        The same memory if it was C-contiguous.
        """
        shape = array.shape
        if array.flags.c_contiguous:
            if len(shape) == 2 and n_axes == 1:
                return array
            return array.reshape(math.prod(shape[:-n_axes]), math.prod(shape[-n_axes:]))
        with self.current():
            return self.xp.ascontiguousarray(array).reshape(math.prod(shape[:-n_axes]), math.prod(shape[-n_axes:]))

    def paths(self, array: Any) -> Any:
        """`array` of shape (..., length, dimension) for CUDA functions, its batch axes made one; of any strides."""
        if array.ndim == 3:
            return array
        shape = array.shape
        with self.current():
            return array.reshape(math.prod(shape[:-2]), shape[-2], shape[-1])

    def result(self, array: Any) -> Any:
        """The array in the dtype that the caller's arrays had."""
        if self.dtype == self.result_dtype:
            return array
        with self.current():
            return array.astype(self.result_dtype)


class TorchCudaBackend(_GpuBackend):
    def __init__(self, cupy: Any, torch_device: Any, dtype: Any, result_dtype: Any) -> None:
        super().__init__(cupy, torch_device.index or 0, dtype, result_dtype)
        self.torch_device = torch_device
        self._streams: dict[int, Any] = {}

    def layouts(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple([None if array is None else (array.shape, array.stride()) for array in arrays])

    def byte_strides(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        itemsize = self.dtype.itemsize
        return tuple([stride * itemsize for stride in strides])

    def new(self, shape: tuple[int, ...]) -> Any:
        return sys.modules["torch"].empty(shape, dtype=self.dtype, device=self.torch_device)

    empty = new

    def memory(self, n: int, dtype: Any) -> Any:
        torch = sys.modules["torch"]
        return torch.empty(n * dtype.itemsize, dtype=torch.uint8, device=self.torch_device)

    def addresses(self, arrays: list[Any]) -> list[int]:
        return [array.data_ptr() for array in arrays]

    def double(self) -> Any:
        return torch_backend(self.xp, self.torch_device, sys.modules["torch"].float64, self.result_dtype)

    def current(self) -> Any:
        return _Current(self)

    def stream(self) -> Any:
        """PyTorch's current stream, as CuPy knows streams."""
        stream = sys.modules["torch"].cuda.current_stream(self.torch_device)
        known = self._streams.get(stream.cuda_stream)
        if known is None:
            known = self._streams[stream.cuda_stream] = self.xp.cuda.Stream.from_external(_Stream(stream))
        return known

    def _allocate(self, size: int) -> Any:
        """Memory from PyTorch's allocator, for CuPy. PyTorch has it back when no array of CuPy's uses it any more."""
        torch = sys.modules["torch"]
        return self._pointer(torch.empty(size, dtype=torch.uint8, device=self.torch_device), size)

    def _pointer(self, tensor: Any, size: int) -> Any:
        cuda = self.xp.cuda
        return cuda.MemoryPointer(cuda.UnownedMemory(tensor.data_ptr(), size, tensor, self.device), 0)

    def view(self, array: Any) -> Any:
        """What CUDA functions read or write: a CuPy array of the same memory."""
        dtype, shape = _numpy_dtype(array.dtype), tuple(array.shape)
        if array.is_contiguous():
            return self.xp.ndarray(shape, dtype, self._pointer(array, array.nbytes))
        strides = tuple([stride * dtype.itemsize for stride in array.stride()])
        size = dtype.itemsize + sum([(n - 1) * stride for n, stride in zip(shape, strides, strict=True)])
        return self.xp.ndarray(shape, dtype, self._pointer(array, size), strides)

    from_torch = view

    def rows(self, array: Any, n_axes: int = 1) -> Any:
        """`array` for CUDA functions, C-contiguous, its last `n_axes` axes made one and its batch axes made one.

        The same memory if it was C-contiguous.
        """
        shape = array.shape
        if len(shape) == 2 and n_axes == 1 and array.is_contiguous():
            return self.view(array)
        return self.view(array.contiguous().view(math.prod(shape[:-n_axes]), math.prod(shape[-n_axes:])))

    def paths(self, array: Any) -> Any:
        """`array` of shape (..., length, dimension) for CUDA functions, its batch axes made one; of any strides."""
        shape = array.shape
        return self.view(array if len(shape) == 3 else array.reshape(math.prod(shape[:-2]), shape[-2], shape[-1]))

    def result(self, array: Any) -> Any:
        """The tensor in the dtype that the caller's tensors had."""
        return array if self.dtype is self.result_dtype else array.to(self.result_dtype)


@cache
def _numpy_dtype(dtype: Any) -> np.dtype:
    """What NumPy has for a dtype of PyTorch's."""
    return np.dtype(str(dtype).removeprefix("torch."))


class _Active(threading.local):
    """Whose context this thread is in, and the stream there."""

    on: Any = None
    stream: Any = None


_active = _Active()


class _Current:
    """Makes the device, the stream and the allocator of a backend CuPy's current ones, or, where one fails, none.

    Nothing is to be done inside of such a context, unless PyTorch's stream is another one there.
    """

    __slots__ = ("_allocator", "_before", "_on", "_outer", "_stream")

    def __init__(self, on: TorchCudaBackend) -> None:
        self._on = on

    def __enter__(self) -> None:
        on = self._on
        if _active.on is on and on.stream() is _active.stream:
            self._stream = None
            return
        cuda = on.xp.cuda
        self._before = cuda.runtime.getDevice()
        try:
            if self._before != on.device:
                cuda.runtime.setDevice(on.device)
            self._stream = on.stream()
            self._allocator = cuda.using_allocator(on._allocate)
            self._stream.__enter__()
            try:
                self._allocator.__enter__()
            except BaseException:
                self._stream.__exit__(None, None, None)
                raise
        except BaseException:
            self._leave_device()
            raise
        self._outer = _active.on, _active.stream
        _active.on, _active.stream = on, self._stream

    def __exit__(self, *error: Any) -> None:
        if self._stream is None:
            return
        _active.on, _active.stream = self._outer
        try:
            self._allocator.__exit__(None, None, None)
            self._stream.__exit__(None, None, None)
        finally:
            self._leave_device()

    def _leave_device(self) -> None:
        if self._before != self._on.device:
            self._on.xp.cuda.runtime.setDevice(self._before)


class _Stream:
    """A stream of PyTorch's in the form that CuPy asks for; not every version of PyTorch has it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._stream.cuda_stream


cupy_backend = lru_cache(maxsize=64)(CupyBackend)
torch_backend = lru_cache(maxsize=64)(TorchCudaBackend)
