"""A stand-in for CuPy: arrays in main memory, kernels on the emulator. Stricter than CuPy where CuPy is silent.

`install` puts it in the place of `cupy`. It has what siglib uses, no more. Where CuPy would go on and compute nonsense,
it raises: wrong number or types of arguments, a grid or block of 0 or beyond the limits, shared memory that was not
asked for, arrays turned into NumPy's without `get`. What `empty` returns is filled with NaN, and the check build of the
emulator reports who reads it before it was written.
"""

import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import emulator

MODE = "exact"  # build of the emulator that launches use
FALLING = False  # whether threads run from the last to the first
LOG: list[tuple[str, tuple[int, ...], tuple[int, ...], int]] = []  # launches: name, grid, block, shared memory

_MOST_SHARED = 99 << 10  # of sm_86 and sm_120, the smallest of the newer ones
_MOST_BLOCKS = (2**31 - 1, 65535, 65535)


class _Memory:
    """What an allocation holds: its bytes, and which of them have been written."""

    def __init__(self, array: np.ndarray, written: bool) -> None:
        self.base = array.ctypes.data
        self.owner = array
        self.written = None if written else np.zeros(array.nbytes // 4 + 2, np.uint8)


class ndarray:  # noqa: N801
    """NumPy's array, under another name and without the conversions that CuPy refuses."""

    __array_priority__ = 100

    def __init__(self, array: np.ndarray, memory: _Memory | None = None) -> None:
        self._array = array
        self._memory = memory or _Memory(array, written=True)

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: self._view(self._array.T))
    device = property(lambda self: cuda.Device(0))
    data = property(lambda self: types.SimpleNamespace(ptr=self._array.ctypes.data))

    def _view(self, array: np.ndarray) -> "ndarray":
        if np.may_share_memory(array, self._array):
            return ndarray(array, self._memory)
        self._check_written()
        return ndarray(array)

    def _check_written(self) -> None:
        if self._memory.written is not None and not self._memory.written[: self._memory.owner.nbytes // 4].all():
            first = np.lib.array_utils.byte_bounds(self._array)[0] if self.size else self._memory.base
            start = (first - self._memory.base) // 4
            if self.size and not self._memory.written[start : start + max(1, self._array.itemsize // 4)].all():
                raise emulator.EmulatorError("an array is read that has not been written")

    def get(self) -> np.ndarray:
        return self._array.copy()

    def reshape(self, *shape: Any, order: str = "C") -> "ndarray":
        return self._view(self._array.reshape(*shape, order=order))

    def astype(self, dtype: Any, copy: bool = True) -> "ndarray":
        return self._view(self._array.astype(dtype, copy=copy))

    def copy(self, order: str = "C") -> "ndarray":
        return ndarray(self._array.copy(order))

    def view(self, dtype: Any = None) -> "ndarray":
        return self._view(self._array.view() if dtype is None else self._array.view(dtype))

    def transpose(self, *axes: Any) -> "ndarray":
        return self._view(self._array.transpose(*axes))

    def fill(self, value: Any) -> None:
        self[...] = value

    def __getitem__(self, index: Any) -> "ndarray":
        return self._view(np.asarray(self._array[_plain(index)]))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        self._array[_plain(index)] = _plain(value)
        self._mark(np.asarray(self._array[_plain(index)]))

    def _mark(self, part: np.ndarray) -> None:
        written = self._memory.written
        if written is None:
            return
        mark = np.ndarray(self._memory.owner.nbytes, np.uint8, np.zeros(self._memory.owner.nbytes, np.uint8))
        if part.size and np.may_share_memory(part, self._memory.owner):
            offset = part.ctypes.data - self._memory.base
            np.lib.stride_tricks.as_strided(
                mark[offset : offset + 1], (*part.shape, part.itemsize), (*part.strides, 1)
            )[...] = 1
            written[: len(mark) // 4] |= mark[: len(mark) // 4 * 4].reshape(-1, 4)[:, 0]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __len__(self) -> int:
        return len(self._array)

    def __float__(self) -> float:
        raise emulator.EmulatorError("a number of an array on the GPU was asked for: that waits for the GPU")

    __int__ = __bool__ = __index__ = item = tolist = __float__  # type: ignore[assignment]

    def _buffer(self) -> emulator.Buffer:
        return emulator.Buffer(self._array, self._memory.written, self._memory.base)


def _operator(name: str) -> Any:
    def apply(self: ndarray, *others: Any) -> ndarray:
        return ndarray(getattr(self._array, name)(*map(_plain, others)))

    return apply


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "neg", "pow", "eq", "ne", "lt", "gt"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _plain(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._array
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    array = np.empty(shape, dtype, order)
    array.reshape(-1, order="A").view(np.uint8)[...] = 0xFF
    return ndarray(array, _Memory(array, written=False))


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    return ndarray(np.zeros(shape, dtype))


def asarray(value: Any, dtype: Any = None) -> ndarray:
    if isinstance(value, ndarray):
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    return ndarray(np.array(value, dtype))  # a copy: another memory


array = asarray


def ascontiguousarray(value: ndarray) -> ndarray:
    return value._view(np.ascontiguousarray(value._array))


def asnumpy(value: ndarray) -> np.ndarray:
    return value.get()


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
        self.max_dynamic_shared_size_bytes = 48 << 10
        emulator.build(code, names, MODE)

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0) -> None:
        for what, sizes, limits in (("grid", grid, _MOST_BLOCKS), ("block", block, (1024, 1024, 64))):
            if not isinstance(sizes, tuple) or not all(type(n) is int for n in sizes):
                raise TypeError(f"{what} must be a tuple of int, got {sizes!r}")
            if not all(0 < n <= limit for n, limit in zip(sizes, limits, strict=False)):
                raise ValueError(f"{what} {sizes} is outside of 1..{limits}")
        if np.prod(block) > 1024:
            raise ValueError(f"block {block} has more than 1024 threads")
        if shared_mem > min(_MOST_SHARED, self.max_dynamic_shared_size_bytes):
            raise ValueError(f"{shared_mem} bytes of shared memory were not asked for")
        LOG.append((self._name, tuple(grid), tuple(block), shared_mem))
        args = [arg._buffer() if isinstance(arg, ndarray) else arg for arg in args]
        if any(isinstance(arg, np.ndarray) for arg in args):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        library = emulator.build(self._code, self._names, MODE)
        one = (1, 1, 1)
        library.launch(self._name, (*grid, *one)[:3], (*block, *one)[:3], args, shared_mem, FALLING)


class _Device:
    def __init__(self, number: int = 0) -> None:
        self.id = number

    attributes = property(
        lambda self: {"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": _MOST_SHARED, "WarpSize": 32}
    )

    def __enter__(self) -> "_Device":
        return self

    def __exit__(self, *error: Any) -> None: ...

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


cuda: Any = types.ModuleType("cupy.cuda")
cuda.Device = _Device
cuda.runtime = types.SimpleNamespace(getDevice=lambda: 0)


def install(monkeypatch: Any) -> types.ModuleType:
    """Make `import cupy` find this module as long as the test runs."""
    this = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "cupy", this)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    return this
