"""Tables that are built once and kept in memory, up to a number of bytes.

Threads may race for a table: one builds it, the others wait. A look-up that finds something takes no lock.
"""

import functools
import sys
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from .locks import give_lock

F = TypeVar("F", bound=Callable[..., Any])

# What an entry takes besides its key and its table, about.
_OVERHEAD = 500

_forgetting: list[Callable[[], None]] = []


class Entry:
    """A value in one of a cache's dictionaries, and whether it was asked for since the cache last looked at it."""

    __slots__ = ("home", "key", "used", "value")

    def __init__(self, home: dict[Any, "Entry"], key: Hashable, value: Any) -> None:
        self.home, self.key, self.value, self.used = home, key, value, False

    def parts(self) -> Iterator[tuple[int, int]]:
        """The identity and the bytes of each thing that it keeps."""
        yield from _parts(self.key)
        yield from _parts(self.value)


class Cache:
    """Values by key. Beyond `most_bytes` those are dropped that were not asked for of late; never the newest one."""

    lock: Any

    def __init__(self, most_bytes: int) -> None:
        give_lock(self)
        self.most_bytes, self.n_bytes = most_bytes, 0
        self.entries: dict[Hashable, Entry] = {}
        self.ring: deque[Entry] = deque()  # those of all dictionaries, in the order in which they may be dropped
        self._parts: Counter[int] = Counter()  # how many entries have this array: they may share some
        when_clearing(self.clear)

    def __contains__(self, key: Hashable) -> bool:
        return key in self.entries

    def get(self, key: Hashable) -> Any:
        """The value, or None."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        entry.used = True
        return entry.value

    def once(self, key: Hashable, build: Callable[[], Any], home: dict[Any, Entry] | None = None) -> Any:
        """The value, built by the first caller."""
        home = self.entries if home is None else home
        entry = home.get(key)
        if entry is None:
            with self.lock:
                entry = home.get(key)
                if entry is None:
                    return self.put(key, build(), home)
        entry.used = True
        return entry.value

    def put(self, key: Hashable, value: Any, home: dict[Any, Entry] | None = None) -> Any:
        """Keep a value in place of one that there may be, and return it."""
        home = self.entries if home is None else home
        with self.lock:
            old = home.get(key)
            if old is not None:
                self.ring.remove(old)
                self._drop(old)
            new = Entry(home, key, value)
            self.ring.append(new)
            home[key] = new
            for part, size in new.parts():
                self._parts[part] += 1
                if self._parts[part] == 1:
                    self.n_bytes += size
            self.n_bytes += _OVERHEAD
            while self.n_bytes > self.most_bytes and len(self.ring) > 1:
                oldest = self.ring.popleft()
                if oldest.used or oldest is new:
                    oldest.used = False
                    self.ring.append(oldest)
                else:
                    self._drop(oldest)
        return value

    def _drop(self, entry: Entry) -> None:
        entry.home.pop(entry.key, None)
        for part, size in entry.parts():
            self._parts[part] -= 1
            if self._parts[part] == 0:
                del self._parts[part]
                self.n_bytes -= size
        self.n_bytes -= _OVERHEAD

    def clear(self) -> None:
        with self.lock:
            for entry in self.ring:
                entry.home.pop(entry.key, None)
            self.ring.clear()
            self._parts.clear()
            self.n_bytes = 0

    def keep(self, function: F) -> F:
        """A function whose values are kept; its arguments are hashable, and come by position."""
        entries: dict[Any, Entry] = {}

        @functools.wraps(function)
        def kept(*args: Any) -> Any:
            entry = entries.get(args)
            if entry is None:
                return self.once(args, lambda: function(*args), entries)
            entry.used = True
            return entry.value

        return kept  # type: ignore[return-value]


def when_clearing(forget: Callable[[], None]) -> None:
    """Call this from `clear_all`, too."""
    _forgetting.append(forget)


def clear_all() -> None:
    """Empty every cache of tables."""
    for forget in _forgetting:
        forget()


def _parts(value: Any) -> Iterator[tuple[int, int]]:
    """Of each array, text and sequence."""
    n_bytes = getattr(value, "nbytes", None)
    if n_bytes is not None:
        yield id(value), n_bytes
    elif isinstance(value, (str, tuple, list)):
        yield id(value), sys.getsizeof(value)
        if not isinstance(value, str):
            for item in value:
                yield from _parts(item)


# Tables of words, and whatever else has no cache of its own.
TABLES = Cache(2**28)
