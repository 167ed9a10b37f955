"""A stand-in for CuPy: arrays in main memory, kernels on the emulator. Stricter than CuPy where CuPy is silent.

`install` puts it in the place of `cupy`. It has what siglib uses, and any function of NumPy's under the same name.
Where CuPy would go on and compute nonsense, or wait for the GPU, it raises: wrong number or types of arguments, a grid
of 0 or beyond the limits, shared memory that was not asked for, arrays of another device, arrays turned into NumPy's or
into numbers without `get`, masks as indices, functions whose result is as long as numbers say, what is not ordered
among streams (`fake_device.py`), and arrays read before anything was written to them: `empty` fills them with NaN, and marks
each number that is written.
"""

import contextlib
import functools
import sys
import types
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import emulator
from .fake_array import array_at, from_host, ndarray, plain, wrap
from .fake_device import (
    MOST_SHARED,
    N_DEVICES,
    USUAL_SHARED,
    Device,
    Event,
    MemoryPointer,
    Stream,
    UnownedMemory,
    current,
    get_current_stream,
    using_allocator,
)

__version__ = "14.2.0"


class Launch(NamedTuple):
    """What was launched, and how."""

    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    device: int
    stream: int


MODE = "exact"  # build of the emulator that launches use
FALLING = False  # whether threads run from the last to the first
LOG: list[Launch] = []

_MOST_BLOCKS = (2**31 - 1, 65535, 65535)
_MOST_THREADS = (1024, 1024, 64)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return ndarray(shape, dtype, order=order)


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    made = empty(shape, dtype)
    made[...] = 0
    return made


def empty_like(like: ndarray, dtype: Any = None) -> ndarray:
    return empty(like.shape, dtype or like.dtype)


def zeros_like(like: ndarray, dtype: Any = None) -> ndarray:
    return zeros(like.shape, dtype or like.dtype)


def asarray(value: Any, dtype: Any = None) -> ndarray:
    if isinstance(value, ndarray):
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    return from_host(np.array(value, dtype))


array = asarray


def ascontiguousarray(value: ndarray) -> ndarray:
    return value if value.flags.c_contiguous else value.copy()


def asnumpy(value: ndarray) -> np.ndarray:
    return value.get()


# Their results are as long as the numbers say, which CuPy asks the device for.
_WAITING = ("argwhere", "compress", "extract", "flatnonzero", "nonzero", "unique")


def __getattr__(name: str) -> Any:
    """Any other function: NumPy's, on the numbers."""
    if name in _WAITING:
        raise emulator.EmulatorError(f"{name} waits for the GPU")
    found = getattr(np, name)
    if name.startswith("_") or not callable(found) or isinstance(found, type):
        return found

    @functools.wraps(found)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = found(*map(plain, args), **{key: plain(value) for key, value in kwargs.items()})
        return tuple(map(wrap, result)) if isinstance(result, tuple) else wrap(result)

    return call


class RawModule:
    def __init__(self, *, code: str, options: tuple[str, ...], name_expressions: tuple[str, ...]) -> None:
        if not isinstance(options, tuple) or not all(isinstance(option, str) for option in options):
            raise TypeError("options must be a tuple of str")
        self._code, self._names = code, name_expressions

    def get_function(self, name: str) -> "RawKernel":
        if name not in self._names:
            raise KeyError(name)
        return RawKernel(self._code, self._names, name)


class RawKernel:
    def __init__(self, code: str, names: tuple[str, ...], name: str) -> None:
        self._code, self._names, self._name = code, names, name
        self._device = current.device
        self.shared_size_bytes = emulator.build(code, names, MODE).static_shared
        self.max_dynamic_shared_size_bytes = USUAL_SHARED - self.shared_size_bytes

    kernel = property(lambda self: self)

    def __call__(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        args: Sequence[Any],
        *,
        shared_mem: int = 0,
        stream: Stream | None = None,
    ) -> None:
        with stream or contextlib.nullcontext():
            self._launch(grid, block, args, shared_mem)

    def _launch(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared_mem: int) -> None:
        for what, sizes, limits in (("grid", grid, _MOST_BLOCKS), ("block", block, _MOST_THREADS)):
            if not isinstance(sizes, tuple) or not all(type(n) is int for n in sizes):
                raise TypeError(f"{what} must be a tuple of int, got {sizes!r}")
            if not all(0 < n <= limit for n, limit in zip(sizes, limits, strict=False)):
                raise ValueError(f"{what} {sizes} is outside of 1..{limits}")
        if not isinstance(args, tuple):
            raise TypeError(f"args must be a tuple, got {type(args).__name__}")
        if np.prod(block) > 1024:
            raise ValueError(f"block {block} has more than 1024 threads")
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise ValueError(f"{shared_mem} bytes of shared memory were not asked for")
        if shared_mem + self.shared_size_bytes > MOST_SHARED:
            raise ValueError(f"{shared_mem} bytes of shared memory, and those of static arrays, are more than there is")
        if self._device != current.device:
            raise ValueError(f"a kernel of device {self._device} runs on device {current.device}")
        LOG.append(Launch(self._name, tuple(grid), tuple(block), shared_mem, current.device, current.stream))
        library = emulator.build(self._code, self._names, MODE)
        one = (1, 1, 1)
        types = library.types[self._name]
        if len(args) == len(types):
            args = list(map(_pointed, args, types))
        arguments = [_argument(arg, types[min(i, len(types) - 1)]) for i, arg in enumerate(args)]
        library.launch(self._name, (*grid, *one)[:3], (*block, *one)[:3], arguments, shared_mem, FALLING)
        for arg, c_type in zip(args, types, strict=True):
            if isinstance(arg, ndarray) and not c_type.startswith("const "):
                arg._memory.write()
                if MODE != "check":
                    arg._memory.marks(arg._array)[...] = 1


def _pointed(value: Any, c_type: str) -> Any:
    """The array at an address, for a pointer."""
    if not c_type.endswith("*") or type(value) is not int or value == 0:
        return value
    return array_at(value, emulator.DTYPES[c_type.removesuffix("*").removeprefix("const ")])


def _argument(value: Any, c_type: str) -> Any:
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, np.void):
        pointers = [name for name in value.dtype.names or () if value.dtype[name] == np.uintp and value[name]]
        of = emulator.DTYPES[c_type.partition("<")[2].rstrip(">")]
        arrays = {name: _argument(array_at(value[name].item(), of), "") for name in pointers}
        return emulator.Struct(value, arrays)
    if not isinstance(value, ndarray):
        return value
    if value._memory.device != current.device:
        raise ValueError(f"an array of device {value._memory.device} goes to a kernel on device {current.device}")
    value._memory.read()
    return emulator.Buffer(value._array, value._memory.written, value._memory.address)


cuda: Any = types.ModuleType("cupy.cuda")
cuda.Device = Device
cuda.Stream = Stream
cuda.Event = Event
cuda.get_current_stream = get_current_stream
cuda.MemoryPointer = MemoryPointer
cuda.UnownedMemory = UnownedMemory
cuda.using_allocator = using_allocator
cuda.runtime = types.SimpleNamespace(
    getDevice=lambda: current.device, setDevice=lambda n: Device(n).__enter__(), getDeviceCount=lambda: N_DEVICES
)


def install(monkeypatch: Any) -> Any:
    """Make `import cupy` find this module as long as the test runs."""
    this = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "cupy", this)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    monkeypatch.setattr(this, "MODE", "exact")
    monkeypatch.setattr(this, "FALLING", False)
    LOG.clear()
    current.__init__()  # type: ignore[misc]
    return this
