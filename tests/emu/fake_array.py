"""Arrays of the stand-in for CuPy: NumPy's, without the conversions that CuPy refuses or that would wait for the GPU."""

import ctypes
import weakref
from typing import Any

import numpy as np

from .emulator import EmulatorError, bounds
from .fake_device import Device, Memory, MemoryPointer, current, get_current_stream

# The arrays whose addresses somebody knows; the last one that begins there.
asked_for: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def array_at(address: int, dtype: np.dtype) -> Any:
    """The array that begins there; or numbers of this dtype from there to the end of one whose address is known."""
    found = asked_for.get(address)
    if found is not None and found.dtype != np.uint8:
        return found
    for array in list(asked_for.values()):
        first, stop = bounds(array._array)
        if first <= address < stop and array.dtype in (dtype, np.uint8):
            buffer = (ctypes.c_ubyte * (stop - address)).from_address(address)
            part = object.__new__(ndarray)
            part._array = np.frombuffer(buffer, dtype, (stop - address) // dtype.itemsize)
            part._memory = array._memory
            return part
    raise EmulatorError(f"there is no array of {dtype} at the address {address}")


class ndarray:  # noqa: N801
    """NumPy's array, under another name and without the conversions that CuPy refuses."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: MemoryPointer | None = None, strides: Any = None, order: str = "C"
    ) -> None:
        dtype, new = np.dtype(dtype), memptr is None
        n_bytes = int(np.prod(shape)) * dtype.itemsize
        if memptr is None and (current.allocator is None or n_bytes == 0):
            if n_bytes:
                current.refuse_capture("memory is asked for")
            self._array = np.empty(shape, dtype, order)
            self._memory = Memory(self._array.ctypes.data, n_bytes, self._array, current.device, written=False)
        else:
            if memptr is None:
                found = current.allocator(n_bytes)
                memptr = MemoryPointer(Memory(found.ptr, n_bytes, found, found.mem.device, written=False), 0)
            self._memory = memptr.mem
            # Without numbers there may be no memory either, but NumPy wants an address.
            buffer = (ctypes.c_ubyte * max(8, memptr.mem.size - memptr.offset)).from_address(memptr.ptr or id(self))
            self._array = np.ndarray(shape, dtype, buffer, strides=strides, order=order)
        if new:
            poison(self._array)

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: wrap(self._array.T, self))
    device = property(lambda self: Device(self._memory.device))

    @property
    def data(self) -> Any:
        """Where the numbers are. Whoever asks may hand the address to a kernel, in a struct."""
        address = self._array.ctypes.data
        asked_for[address] = self
        return MemoryPointer(self._memory, address - self._memory.address)

    def _read(self) -> np.ndarray:
        """The numbers, which somebody must have written, as the current stream sees them."""
        self._memory.read()
        if not self._memory.marks(self._array).all():
            raise EmulatorError("an array is read that has not been written")
        return self._array

    def get(self) -> np.ndarray:
        numbers = self._read().copy()
        get_current_stream().synchronize()
        return numbers

    def fill(self, value: Any) -> None:
        self[...] = value

    def astype(self, dtype: Any, copy: bool = True) -> "ndarray":
        return self if not copy and self.dtype == dtype else new_array(self._read().astype(dtype))

    def __getitem__(self, index: Any) -> "ndarray":
        index = _index(index)
        if not any(part is ... for part in index):
            index = (*index, ...)  # so that one number is a view, too
        return wrap(self._array[index], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        index = _index(index)
        value = plain(value)
        self._memory.write()
        self._array[index] = value
        marks = np.zeros(self._array.shape, bool)
        marks[index] = True
        written = self._memory.marks(self._array)
        if written.size:
            written[marks] = 1

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __len__(self) -> int:
        return len(self._array)

    def __float__(self) -> float:
        raise EmulatorError("a number of an array on the GPU was asked for: that waits for the GPU")

    __int__ = __bool__ = __index__ = item = tolist = __float__  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"fake {self._array!r}"


def _index(index: Any) -> tuple[Any, ...]:
    """An index of NumPy's, unless it is a mask, of which CuPy asks the device how many there are."""
    index = plain(index if isinstance(index, tuple) else (index,))
    for part in index:
        if isinstance(part, (np.ndarray, list)):
            if np.asarray(part).dtype == bool:
                raise EmulatorError("a mask is an index: CuPy waits for the GPU to count it")
    return index


def wrap(result: Any, source: ndarray | None = None) -> Any:
    """An array of NumPy's as one of ours; of the memory of `source` if it is a view of it."""
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    if source is None or not np.may_share_memory(result, source._array):
        return new_array(np.asarray(result))
    array = object.__new__(ndarray)
    array._array, array._memory = result, source._memory
    return array


def new_array(numbers: np.ndarray) -> ndarray:
    """Other memory with these numbers."""
    array = ndarray(numbers.shape, numbers.dtype)
    array[...] = _wrap_plain(numbers)
    return array


def _wrap_plain(numbers: np.ndarray) -> ndarray:
    array = object.__new__(ndarray)
    array._array = numbers
    array._memory = Memory(numbers.ctypes.data, numbers.nbytes, numbers, current.device, written=True)
    return array


def from_host(numbers: np.ndarray) -> ndarray:
    """A copy on the current device, in the order of the current stream."""
    current.refuse_capture("an array is copied from the host")
    return new_array(numbers)


def plain(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._read()
    return type(value)(map(plain, value)) if isinstance(value, (tuple, list)) else value


def _method(name: str) -> Any:
    """A method that looks at no numbers: a view, if NumPy can make one."""

    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self._array, name)(*args, **kwargs)
        if not np.may_share_memory(result, self._array):
            self._read()
        return wrap(result, self)

    return call


def _operator(name: str) -> Any:
    def call(self: ndarray, *others: Any, **options: Any) -> Any:
        return wrap(getattr(self._read(), name)(*map(plain, others), **options))

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
        self[...] = wrap(getattr(self._read(), name)(plain(other)))
        return self

    return call


for _name in ("add", "sub", "mul", "truediv"):
    setattr(ndarray, f"__i{_name}__", _in_place(f"__{_name}__"))


def poison(numbers: np.ndarray) -> None:
    """NaN, or -1, everywhere."""
    if numbers.size:
        numbers.reshape(-1, order="A").view(np.uint8)[...] = 0xFF
