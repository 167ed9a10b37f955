"""Devices, streams and memory of the stand-in for CuPy. There are two devices; all of their memory is main memory."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

N_DEVICES = 2
MOST_SHARED = 99 << 10  # of sm_86 and sm_120, the smallest of the newer ones


class _Current:
    """What CuPy computes with at the moment."""

    device = 0
    stream = 0
    allocator: Callable[[int], "MemoryPointer"] | None = None


current = _Current()


class Memory:
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


class UnownedMemory(Memory):
    def __init__(self, ptr: int, size: int, owner: Any, device_id: int) -> None:
        super().__init__(ptr, size, owner, device_id, written=True)


class MemoryPointer(NamedTuple):
    mem: Memory
    offset: int

    @property
    def ptr(self) -> int:
        return self.mem.address + self.offset


class Device:
    def __init__(self, number: int | None = None) -> None:
        if number is not None and type(number) is not int:
            raise TypeError(f"the number of a device must be an int, got {type(number).__name__}")
        self.id = current.device if number is None else number
        if not 0 <= self.id < N_DEVICES:
            raise ValueError(f"there is no device {number}")
        self._before: list[int] = []

    attributes = property(
        lambda self: {"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": MOST_SHARED, "WarpSize": 32}
    )

    mem_info = property(lambda self: (4 << 30, 8 << 30))

    def __enter__(self) -> "Device":
        self._before.append(current.device)
        current.device = self.id
        return self

    def __exit__(self, *error: Any) -> None:
        current.device = self._before.pop()

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class Stream:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr
        self._before: list[int] = []

    @staticmethod
    def from_external(stream: Any) -> "Stream":
        version, ptr = stream.__cuda_stream__()
        if version != 0:
            raise TypeError("an unknown version of the protocol")
        return Stream(ptr)

    def __enter__(self) -> "Stream":
        self._before.append(current.stream)
        current.stream = self.ptr
        return self

    def __exit__(self, *error: Any) -> None:
        current.stream = self._before.pop()


def get_current_stream() -> Stream:
    return Stream(current.stream)


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    before, current.allocator = current.allocator, allocator
    try:
        yield
    finally:
        current.allocator = before
