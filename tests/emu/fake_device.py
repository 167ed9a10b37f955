"""Devices, streams and memory of the stand-in for CuPy. There are two devices; all of their memory is main memory.

Streams do at once what they are given, but it counts as done for another stream only behind an event that it waited
for, or when the host has waited: memory that another stream has written is refused until then. No stream waits for
another by itself, not even for the one of number 0. While a stream is captured nothing can be waited for or copied from
the host, and there is no memory, unless an allocator is set that has some for the graph.
"""

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .emulator import EmulatorError

N_DEVICES = 2
USUAL_SHARED = 48 << 10
MOST_SHARED = 99 << 10  # of sm_86 and sm_120, the smallest of the newer ones


class _Current:
    """What CuPy computes with at the moment."""

    def __init__(self) -> None:
        self.device = 0
        self.streams = [0] * N_DEVICES
        self.allocator: Callable[[int], MemoryPointer] | None = None
        self.captured: set[Place] = set()

    stream = property(lambda self: self.streams[self.device])
    place = property(lambda self: (self.device, self.stream))

    def refuse_capture(self, what: str) -> None:
        if self.place in self.captured:
            raise EmulatorError(f"{what} while the stream is captured")


# A stream, by its device and number; and how much each stream has done, as far as somebody knows.
Place = tuple[int, int]
Known = Counter[Place]

current = _Current()
_done: Known = Counter()
_seen_by_host: Known = Counter()
_seen: dict[Place, Known] = {}


def _seen_by(place: Place) -> Known:
    return _seen.setdefault(place, Counter()) | _seen_by_host


class Memory:
    """An allocation: its address, its device, and a byte for each 4 bytes that says whether they were written."""

    def __init__(self, address: int, size: int, owner: Any, device: int, written: bool) -> None:
        self.address, self.size, self.owner, self.device = address, size, owner, device
        self.written = None if written else np.zeros(size // 4 + 1, np.uint8)
        self.writer: tuple[Place, int] | None = None  # the stream that wrote it last, and what it had done by then

    def write(self) -> None:
        """The current stream writes something."""
        self.read()
        _done[current.place] += 1
        self.writer = current.place, _done[current.place]

    def read(self) -> None:
        """It reads something."""
        if self.writer is None or self.writer[0] == current.place:
            return
        place, when = self.writer
        if _seen_by(current.place)[place] < when:
            raise EmulatorError(f"stream {current.place} takes memory that stream {place} may still be writing")

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

    @property
    def device_id(self) -> int:
        return self.mem.device

    def __add__(self, offset: Any) -> Any:
        return MemoryPointer(self.mem, self.offset + offset)


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

    def synchronize(self) -> None:
        for place in list(_done):
            if place[0] == self.id:
                Stream(place[1], self.id).synchronize()

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class Event:
    def __init__(self) -> None:
        self._known: Known = Counter()

    def record(self, stream: "Stream | None" = None) -> None:
        place = (stream or get_current_stream())._place
        self._known = _seen_by(place) | Counter({place: _done[place]})


class Stream:
    _numbers = itertools.count(1 << 20)

    def __init__(self, ptr: int | None = None, device: int | None = None, *, non_blocking: bool = False) -> None:
        self.ptr = next(self._numbers) if ptr is None else ptr
        self.device_id = current.device if device is None else device
        self._before: list[int] = []

    _place = property(lambda self: (self.device_id, self.ptr))

    @staticmethod
    def from_external(stream: Any) -> "Stream":
        version, ptr = stream.__cuda_stream__()
        if version != 0:
            raise TypeError("an unknown version of the protocol")
        return Stream(ptr)

    def __enter__(self) -> "Stream":
        if self.device_id != current.device:
            raise RuntimeError(f"a stream of device {self.device_id} with device {current.device}")
        self._before.append(current.stream)
        current.streams[self.device_id] = self.ptr
        return self

    def __exit__(self, *error: Any) -> None:
        current.streams[self.device_id] = self._before.pop()

    def synchronize(self) -> None:
        if self._place in current.captured:
            raise EmulatorError("a stream that is captured is waited for")
        for place, when in (_seen_by(self._place) | Counter({self._place: _done[self._place]})).items():
            _seen_by_host[place] = max(_seen_by_host[place], when)

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        _seen[self._place] = _seen_by(self._place) | event._known

    def begin_capture(self) -> None:
        current.captured.add(self._place)

    def end_capture(self) -> None:
        current.captured.remove(self._place)

    def is_capturing(self) -> bool:
        return self._place in current.captured


def get_current_stream() -> Stream:
    return Stream(current.stream)


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    before, current.allocator = current.allocator, allocator
    try:
        yield
    finally:
        current.allocator = before
