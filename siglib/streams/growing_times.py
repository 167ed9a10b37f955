"""When the points of a path that grows are, and which of them lie in an interval of time."""

import copy
from typing import Any

import numpy as np

from .._call.times import are_datetimes, as_times, check_order, in_one_unit, in_unit_of


class GrowingTimes:
    """The times of the points of a path: moments that never go back.

    They are added and looked at under the lock of the path, and only the first `n` of them count.
    """

    def __init__(self) -> None:
        self._data = np.empty(0)
        self.n = 0

    def checked(self, times: Any) -> np.ndarray:
        """Times that can come next; they are not added yet."""
        found = as_times("times", times)
        if found.ndim != 1:
            raise ValueError(f"times must have shape (n,), a time for each point, got {found.shape}")
        check_order("times", found, np.array([len(found)]))
        if self.n and len(found):
            if are_datetimes(found) != are_datetimes(self._data):
                raise TypeError("times must be numbers or datetimes as before, not both")
            if are_datetimes(found):
                # The finer unit is for all of them.
                found = in_one_unit(times=found, **{"the first times": self.known()})[0]
            if found[0] < self._data[self.n - 1]:
                raise ValueError(
                    f"times must not decrease, got {found[0]} behind {self._data[self.n - 1]}, that of the last point"
                )
        return found

    def extend(self, times: np.ndarray) -> None:
        """Add what `checked` has returned."""
        n = self.n + len(times)
        dtype = np.result_type(self._data, times) if self.n else times.dtype
        if n > len(self._data) or dtype != self._data.dtype:
            room = np.empty(max(64, 2 * n), dtype)
            room[: self.n] = self._data[: self.n]
            self._data = room
        self._data[self.n : n] = times
        self.n = n

    def known(self) -> np.ndarray:
        """All times; a view."""
        return self._data[: self.n]

    def between(self, starts: Any, ends: Any) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last point of each interval; in falling order for those that go backwards.

        An interval without points gets one point twice: both have the signature of a constant path.
        """
        start, end = self._moments("starts", starts), self._moments("ends", ends)
        if len(start) != len(end):
            raise ValueError(f"starts and ends must have the same length, got {len(start)} and {len(end)}")
        times = self.known()
        first = times.searchsorted(np.minimum(start, end))
        last = np.maximum(times.searchsorted(np.maximum(start, end)) - 1, first)
        first, last = np.minimum(first, self.n - 1), np.minimum(last, self.n - 1)
        return np.where(start > end, last, first), np.where(start > end, first, last)

    def _moments(self, name: str, values: Any) -> np.ndarray:
        found = as_times(name, values)
        if found.ndim != 1:
            raise ValueError(f"{name} must have shape (n,), got {found.shape}")
        if len(found) and are_datetimes(found) != are_datetimes(self._data):
            kind = "a datetime" if are_datetimes(self._data) else "a number"
            raise TypeError(f"{name} must be {kind}, as times are, got {found[0]}")
        if (found != found).any():
            raise ValueError(f"{name} must not be {found[found != found][0]}")
        if not len(found):
            return found.astype(self._data.dtype)
        return in_unit_of(self._data, found) if are_datetimes(found) else found

    def twin(self) -> "GrowingTimes":
        """The same times, which go on without these: in the same memory, with no room for more."""
        twin = copy.copy(self)
        twin._data = self.known()
        return twin
