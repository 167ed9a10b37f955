"""A stand-in for CuPy: arrays in main memory, kernels on the emulator. Stricter than CuPy where CuPy is silent.

`install` puts it in the place of `cupy`. It has what siglib uses, and any function of NumPy's under the same name.
Where CuPy would go on and compute nonsense, or wait for the GPU, it raises: wrong number or types of arguments, a grid
of 0 or beyond the limits, shared memory that was not asked for, arrays of another device, arrays turned into NumPy's or
into numbers without `get`, and arrays read before anything was written to them: `empty` fills them with NaN, and marks
each number that is written.
"""

import contextlib
import ctypes
import functools
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import emulator

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

_N_DEVICES = 2
_MOST_SHARED = 99 << 10  # of sm_86 and sm_120, the smallest of the newer ones
_MOST_BLOCKS = (2**31 - 1, 65535, 65535)
_MOST_THREADS = (1024, 1024, 64)

_device = 0
_stream = 0
_allocator: Callable[[int], "MemoryPointer"] | None = None


class _Memory:
    """An allocation: its address, its device, and a byte for each 4 bytes that says whether they were written."""

    def __init__(self, address: int, size: int, owner: Any, device: int, written: bool) -> None:
        self.address, self.size, self.owner, self.device = address, size, owner, device
        self.written = None if written else np.zeros(size // 4 + 1, np.uint8)

    def marks(self, part: np.ndarray) -> np.ndarray:
        """Those bytes, for the numbers of `part`."""
        if self.written is None or part.itemsize % 4 or part.size == 0:
            return np.zeros(0, np.uint8)
        return np.lib.stride_tricks.as_strided(
            self.written[(part.ctypes.data - self.address) // 4 :],
            (*part.shape, part.itemsize // 4),
            (*(stride // 4 for stride in part.strides), 1),
        )


class UnownedMemory(_Memory):
    def __init__(self, ptr: int, size: int, owner: Any, device_id: int) -> None:
        super().__init__(ptr, size, owner, device_id, written=True)


class MemoryPointer(NamedTuple):
    mem: _Memory
    offset: int

    @property
    def ptr(self) -> int:
        return self.mem.address + self.offset


class ndarray:  # noqa: N801
    """NumPy's array, under another name and without the conversions that CuPy refuses."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: MemoryPointer | None = None, strides: Any = None, order: str = "C"
    ) -> None:
        dtype = np.dtype(dtype)
        if memptr is None:
            self._array = np.empty(shape, dtype, order)
            _poison(self._array)
            self._memory = _Memory(self._array.ctypes.data, self._array.nbytes, self._array, _device, written=False)
            return
        self._memory = memptr.mem
        # Without numbers there may be no memory either, but NumPy wants an address.
        buffer = (ctypes.c_ubyte * max(8, memptr.mem.size - memptr.offset)).from_address(memptr.ptr or id(self))
        self._array = np.ndarray(shape, dtype, buffer, strides=strides)

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: _wrap(self._array.T, self))
    device = property(lambda self: cuda.Device(self._memory.device))
    data = property(lambda self: types.SimpleNamespace(ptr=self._array.ctypes.data))

    def _read(self) -> np.ndarray:
        """The numbers, which somebody must have written."""
        if not self._memory.marks(self._array).all():
            raise emulator.EmulatorError("an array is read that has not been written")
        return self._array

    def get(self) -> np.ndarray:
        return self._read().copy()

    def fill(self, value: Any) -> None:
        self[...] = value

    def astype(self, dtype: Any, copy: bool = True) -> "ndarray":
        return self if not copy and self.dtype == dtype else _new(self._read().astype(dtype))

    def __getitem__(self, index: Any) -> "ndarray":
        index = _plain(index if isinstance(index, tuple) else (index,))
        if not any(part is ... for part in index):
            index = (*index, ...)  # so that one number is a view, too
        return _wrap(self._array[index], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        self._array[_plain(index)] = _plain(value)
        marks = np.zeros(self._array.shape, bool)
        marks[_plain(index)] = True
        written = self._memory.marks(self._array)
        if written.size:
            written[marks] = 1

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __len__(self) -> int:
        return len(self._array)

    def __float__(self) -> float:
        raise emulator.EmulatorError("a number of an array on the GPU was asked for: that waits for the GPU")

    __int__ = __bool__ = __index__ = item = tolist = __float__  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"fake {self._array!r}"


def _wrap(result: Any, source: ndarray | None = None) -> Any:
    """An array of NumPy's as one of ours; of the memory of `source` if it is a view of it."""
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    if source is None or not np.may_share_memory(result, source._array):
        return _new(np.asarray(result))
    array = object.__new__(ndarray)
    array._array, array._memory = result, source._memory
    return array


def _new(numbers: np.ndarray) -> ndarray:
    """Other memory with these numbers."""
    array = ndarray(numbers.shape, numbers.dtype)
    array[...] = _wrap_plain(numbers)
    return array


def _wrap_plain(numbers: np.ndarray) -> ndarray:
    array = object.__new__(ndarray)
    array._array = numbers
    array._memory = _Memory(numbers.ctypes.data, numbers.nbytes, numbers, _device, written=True)
    return array


def _plain(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._read()
    return type(value)(map(_plain, value)) if isinstance(value, (tuple, list)) else value


def _method(name: str) -> Any:
    """A method that looks at no numbers: a view, if NumPy can make one."""

    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self._array, name)(*args, **kwargs)
        if not np.may_share_memory(result, self._array):
            self._read()
        return _wrap(result, self)

    return call


def _operator(name: str) -> Any:
    def call(self: ndarray, *others: Any) -> Any:
        return _wrap(getattr(self._read(), name)(*map(_plain, others)))

    return call


for _name in ("reshape", "ravel", "view", "transpose", "swapaxes", "squeeze"):
    setattr(ndarray, _name, _method(_name))
for _name in ("copy", "sum", "all", "any", "max", "min", "cumsum", "mean"):
    setattr(ndarray, _name, _operator(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__"))
for _name in ("neg", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge", "and", "or"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _in_place(name: str) -> Any:
    def call(self: ndarray, other: Any) -> ndarray:
        self[...] = _wrap(getattr(self._read(), name)(_plain(other)))
        return self

    return call


for _name in ("add", "sub", "mul", "truediv"):
    setattr(ndarray, f"__i{_name}__", _in_place(f"__{_name}__"))


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    if _allocator is None:
        return ndarray(shape, dtype, order=order)
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pointer = _allocator(n_bytes)
    memory = _Memory(pointer.ptr, n_bytes, pointer, pointer.mem.device, written=False)
    made = ndarray(shape, dtype, MemoryPointer(memory, 0))
    _poison(made._array)
    return made


def _poison(numbers: np.ndarray) -> None:
    """NaN, or -1, everywhere."""
    if numbers.size:
        numbers.reshape(-1, order="A").view(np.uint8)[...] = 0xFF


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
    return _new(np.array(value, dtype))


array = asarray


def ascontiguousarray(value: ndarray) -> ndarray:
    return value if value.flags.c_contiguous else value.copy()


def asnumpy(value: ndarray) -> np.ndarray:
    return value.get()


def __getattr__(name: str) -> Any:
    """Any other function: NumPy's, on the numbers."""
    found = getattr(np, name)
    if name.startswith("_") or not callable(found) or isinstance(found, type):
        return found

    @functools.wraps(found)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = found(*map(_plain, args), **{key: _plain(value) for key, value in kwargs.items()})
        return tuple(map(_wrap, result)) if isinstance(result, tuple) else _wrap(result)

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
        self._device = _device
        self.max_dynamic_shared_size_bytes = 48 << 10
        emulator.build(code, names, MODE)

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0) -> None:
        for what, sizes, limits in (("grid", grid, _MOST_BLOCKS), ("block", block, _MOST_THREADS)):
            if not isinstance(sizes, tuple) or not all(type(n) is int for n in sizes):
                raise TypeError(f"{what} must be a tuple of int, got {sizes!r}")
            if not all(0 < n <= limit for n, limit in zip(sizes, limits, strict=False)):
                raise ValueError(f"{what} {sizes} is outside of 1..{limits}")
        if not isinstance(args, tuple):
            raise TypeError(f"args must be a tuple, got {type(args).__name__}")
        if np.prod(block) > 1024:
            raise ValueError(f"block {block} has more than 1024 threads")
        if shared_mem > min(_MOST_SHARED, self.max_dynamic_shared_size_bytes):
            raise ValueError(f"{shared_mem} bytes of shared memory were not asked for")
        if self._device != _device:
            raise ValueError(f"a kernel of device {self._device} runs on device {_device}")
        LOG.append(Launch(self._name, tuple(grid), tuple(block), shared_mem, _device, _stream))
        library = emulator.build(self._code, self._names, MODE)
        one = (1, 1, 1)
        arguments = list(map(_argument, args))
        library.launch(self._name, (*grid, *one)[:3], (*block, *one)[:3], arguments, shared_mem, FALLING)
        if MODE != "check":
            for arg, c_type in zip(args, library.types[self._name], strict=True):
                if isinstance(arg, ndarray) and not c_type.startswith("const "):
                    arg._memory.marks(arg._array)[...] = 1


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if not isinstance(value, ndarray):
        return value
    if value._memory.device != _device:
        raise ValueError(f"an array of device {value._memory.device} goes to a kernel on device {_device}")
    return emulator.Buffer(value._array, value._memory.written, value._memory.address)


class _Device:
    def __init__(self, number: int | None = None) -> None:
        if number is not None and type(number) is not int:
            raise TypeError(f"the number of a device must be an int, got {type(number).__name__}")
        self.id = _device if number is None else number
        if not 0 <= self.id < _N_DEVICES:
            raise ValueError(f"there is no device {number}")
        self._before: list[int] = []

    attributes = property(
        lambda self: {"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": _MOST_SHARED, "WarpSize": 32}
    )

    def __enter__(self) -> "_Device":
        global _device
        self._before.append(_device)
        _device = self.id
        return self

    def __exit__(self, *error: Any) -> None:
        global _device
        _device = self._before.pop()

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class _Stream:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr
        self._before: list[int] = []

    @staticmethod
    def from_external(stream: Any) -> "_Stream":
        version, ptr = stream.__cuda_stream__()
        if version != 0:
            raise TypeError("an unknown version of the protocol")
        return _Stream(ptr)

    def __enter__(self) -> "_Stream":
        global _stream
        self._before.append(_stream)
        _stream = self.ptr
        return self

    def __exit__(self, *error: Any) -> None:
        global _stream
        _stream = self._before.pop()


@contextlib.contextmanager
def _using_allocator(allocator: Any = None) -> Iterator[None]:
    global _allocator
    before, _allocator = _allocator, allocator
    try:
        yield
    finally:
        _allocator = before


cuda: Any = types.ModuleType("cupy.cuda")
cuda.Device = _Device
cuda.Stream = _Stream
cuda.MemoryPointer = MemoryPointer
cuda.UnownedMemory = UnownedMemory
cuda.using_allocator = _using_allocator
cuda.runtime = types.SimpleNamespace(getDevice=lambda: _device, getDeviceCount=lambda: _N_DEVICES)


def install(monkeypatch: Any) -> Any:
    """Make `import cupy` find this module as long as the test runs."""
    this = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "cupy", this)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    monkeypatch.setattr(this, "MODE", "exact")
    monkeypatch.setattr(this, "FALLING", False)
    LOG.clear()
    return this
