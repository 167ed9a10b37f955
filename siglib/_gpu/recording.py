"""What a call launches, found out from shapes alone: arrays without numbers, and the backend that has them.

A `Recorder` is given to the body of an operation in the place of its backend, and arrays that have a shape, a dtype,
strides and a place in some memory, but nobody knows where that memory will be. What is launched, and which scratch
memory it needs as long as it lives, is written down; `plans.py` makes a plan of that, which serves all calls alike.

Whatever cannot be done without numbers, or would have to be done anew in every call, is a `NotPlannedError` or another
one. Such calls are computed step by step.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from . import Launchers

# Where NumPy believes memories to be, far from each other. Nobody looks there: NumPy works out views.
_FIRST_ADDRESS, _APART = 1 << 62, 1 << 48
_DONE = nullcontext()


class NotPlannedError(Exception):
    """The call cannot be written down."""


class Memory:
    """Memory that is there when a plan runs: an array of the caller's, a result, or scratch."""

    __slots__ = ("dtype", "n_bytes", "number", "result", "shape")

    def __init__(self, number: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.number, self.shape, self.dtype = number, shape, dtype
        self.n_bytes = math.prod(shape) * dtype.itemsize
        self.result = False  # whether the caller's library made it, so that the caller may have it


class Place(NamedTuple):
    """Where an array begins when a plan runs: so many bytes behind the beginning of a memory."""

    memory: Memory
    offset: int


class Struct:
    """A struct that a CUDA function takes by value: an address, and the bytes behind it."""

    def __init__(self, place: Place, rest: bytes, dtype: np.dtype) -> None:
        self.place, self.rest, self.dtype = place, rest, dtype

    def __getitem__(self, name: str) -> Any:
        address = bytes(self.dtype.itemsize - len(self.rest))
        return np.frombuffer(address + self.rest, self.dtype)[0][name]


class Number(NamedTuple):
    """One of a call's numbers in main memory, such as a parameter of a static kernel."""

    place: int


class Numbers:
    """Numbers in main memory, which a launch is told by value: a plan serves all of them."""

    def __init__(self, n: int) -> None:
        self._found = [Number(i) for i in range(n)]

    def tolist(self) -> list[Any]:
        return self._found


class Launch(NamedTuple):
    file: str
    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    args: dict[str, Any]  # `Place`, `Struct` and `Number` stand for what a call knows


class Assign(NamedTuple):
    """Numbers are copied, or one number is written: a launch of `copies.py`."""

    to: "Recorded"
    value: Any


class _Phantom:
    """What NumPy makes an array of that is nowhere."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype, strides: tuple[int, ...] | None) -> None:
        self.__array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "typestr": dtype.str,
            "strides": strides,
            "version": 3,
        }


class Recorded:
    """An array without numbers, as launchers and bodies of operations take arrays."""

    __slots__ = ("_array", "_recorder", "memory")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recorder: "Recorder", memory: Memory, array: np.ndarray) -> None:
        self._recorder, self.memory, self._array = recorder, memory, array

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its memory, in order."""
        return self._array.flags.c_contiguous and self._array.nbytes == self.memory.n_bytes

    @property
    def place(self) -> Place:
        return Place(self.memory, self._array.ctypes.data - _address(self.memory))

    def may_overlap(self, other: "Recorded") -> bool:
        """Whether both may have numbers in one place."""
        return self.memory is other.memory and np.may_share_memory(self._array, other._array)

    def _view(self, array: np.ndarray) -> "Recorded":
        return Recorded(self._recorder, self.memory, array)

    def __getitem__(self, index: Any) -> "Recorded":
        index = index if isinstance(index, tuple) else (index,)
        if not all(part is None or part is ... or isinstance(part, (int, slice)) for part in index):
            raise NotPlannedError("an index of numbers")
        return self._view(self._array[index if ... in index else (*index, ...)])

    def __setitem__(self, index: Any, value: Any) -> None:
        to = self[index]
        if isinstance(value, Recorded):
            if value.shape != to.shape:
                raise NotPlannedError("numbers are broadcast")
        elif isinstance(value, np.generic):
            value = value.item()
        elif not isinstance(value, (int, float)):
            raise NotPlannedError(f"a {type(value).__name__} is written")
        if to.size:
            self._recorder.steps.append(Assign(to, value))

    def fill(self, value: float) -> None:
        self[...] = value

    def reshape(self, *shape: Any) -> "Recorded":
        if not self._array.flags.c_contiguous:
            raise NotPlannedError("a copy of another shape")
        return self._view(self._array.reshape(*shape))

    def astype(self, dtype: Any, copy: bool = True) -> "Recorded":
        if not copy and self._array.dtype == dtype:
            return self
        found = self._recorder.array(self.shape, dtype)
        found[...] = self
        return found

    def _refuse(self, *args: Any) -> Any:
        raise NotPlannedError("numbers are looked at")

    __array__ = __bool__ = __iter__ = __eq__ = __ne__ = __contains__ = _refuse


def _address(memory: Memory) -> int:
    return _FIRST_ADDRESS + memory.number * _APART


class Recorder:
    """Writes down one call."""

    def __init__(self) -> None:
        self.memories: list[Memory] = []
        self.steps: list[Launch | Assign] = []
        self.functions = _Functions(self)

    def argument(self, shape: Any, dtype: Any, strides: Any = None) -> Recorded:
        """An array of the caller's."""
        memory = Memory(len(self.memories), tuple(shape), np.dtype(dtype))
        self.memories.append(memory)
        phantom: Any = _Phantom(_address(memory), memory.shape, memory.dtype, strides)
        return Recorded(self, memory, np.asarray(phantom))

    def array(self, shape: Any, dtype: Any) -> Recorded:
        """New memory."""
        return self.argument((shape,) if isinstance(shape, int) else shape, dtype)

    def launch(
        self, file: str, name: str, grid: tuple[int, ...], block: tuple[int, ...], shared: int, args: dict[str, Any]
    ) -> None:
        for key, value in args.items():
            if isinstance(value, Recorded):
                args[key] = value.place
        self.steps.append(Launch(file, name, grid, block, shared, args))


class _Functions:
    """What bodies of operations ask of `cupy` where they need no numbers."""

    def __init__(self, recorder: Recorder) -> None:
        self.empty = recorder.array
        self._recorder = recorder

    def empty_like(self, like: Recorded) -> Recorded:
        return self._recorder.array(like.shape, like.dtype)

    def zeros(self, shape: Any, dtype: Any = float) -> Recorded:
        made = self._recorder.array(shape, dtype)
        made.fill(0)
        return made

    def zeros_like(self, like: Recorded) -> Recorded:
        return self.zeros(like.shape, like.dtype)

    def ascontiguousarray(self, array: Recorded) -> Recorded:
        return array if array.flags.c_contiguous else array.astype(array.dtype)

    def __getattr__(self, name: str) -> Any:
        raise NotPlannedError(name)


class RecordedBackend:
    """A backend of `backends.py`, with the arrays of a recorder."""

    can_look = False

    def __init__(self, on: Any, recorder: Recorder) -> None:
        self._on, self._recorder = on, recorder
        self.xp = recorder.functions
        self.device, self.solves_by_levels, self.block_bytes = on.device, on.solves_by_levels, on.block_bytes
        self.dtype, self.result_dtype, self.changes_results = on.dtype, on.result_dtype, on.changes_results
        self.dtype_name = on.dtype_name
        self.loops = Launchers(self.call)
        self.scales = self.loops.signature_kernel_scales

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def current(self) -> Any:
        return _DONE

    def double(self) -> "RecordedBackend":
        return self if self.dtype_name == "float64" else RecordedBackend(self._on.double(), self._recorder)

    def empty(self, shape: Any) -> Recorded:
        made = self._recorder.array(shape, self.dtype_name)
        made.memory.result = True
        return made

    def scratch(self, shape: Any) -> Recorded:
        return self._recorder.array(shape, self.dtype_name)

    def nothing(self, shape: Any, dtype: str) -> Recorded:
        return self._recorder.array(shape, dtype)

    def constant(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._on.constant(function, *args)

    def view(self, array: Recorded) -> Recorded:
        return array

    def rows(self, array: Recorded, n_axes: int = 1) -> Recorded:
        shape = array.shape
        if len(shape) == 2 and n_axes == 1 and array.flags.c_contiguous:
            return array
        array = self.xp.ascontiguousarray(array)
        return array.reshape(math.prod(shape[:-n_axes]), math.prod(shape[-n_axes:]))

    def paths(self, array: Recorded) -> Recorded:
        shape = array.shape
        return array if len(shape) == 3 else array.reshape(math.prod(shape[:-2]), shape[-2], shape[-1])

    def __getattr__(self, name: str) -> Any:
        raise NotPlannedError(name)
