"""Moments and durations as options: real numbers, or datetimes and timedeltas, read once, to main memory.

They stay what they are, whole numbers and datetimes exact, and are compared without a tolerance.
"""

import datetime
import math
from typing import Any, NamedTuple

import numpy as np

from .array_likes import is_table, numbers_of_table
from .backend import library_of, refusal
from .options import as_any_int, as_float
from .tracing import refuse_traced

# Sums of three whole numbers up to here are exact in 64 bits.
_LARGEST = 2**61


def as_times(name: str, values: Any) -> np.ndarray:
    """Moments as an array of float64, int64 or datetime64 that nobody else can change."""
    library = library_of(values)
    if library == "torch":
        refuse_traced({name: values})
        if values.requires_grad:
            raise TypeError(f"{name} requires a gradient, and there is none with respect to it: pass {name}.detach()")
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    elif library == "cupy":
        values = values.get()
    elif library not in ("numpy", "jax"):
        raise refusal({name: values})
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} cannot be turned into an array: {error}") from None
    if array.dtype == object and is_table(values):
        array = numbers_of_table(name, values)
    if array.size == 0 and array.dtype.kind != "M":
        return array.astype(np.float64)
    if array.dtype.kind == "M" and np.datetime_data(array.dtype)[0] != "generic":
        return array.copy()
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return array.astype(np.float64)
    if array.dtype.kind in "iu":
        if array.min() < -_LARGEST or array.max() > _LARGEST:
            raise ValueError(f"{name} must be from -2**61 to 2**61 where they are integers, got {array.max()}")
        return array.astype(np.int64)
    raise TypeError(f"{name} must hold real numbers of at most 64 bits, or datetimes, got dtype {array.dtype}")


class TimesOfPaths(NamedTuple):
    """Times of paths, those of each behind those of another; `batch` is the shape of an array, None for a list."""

    moments: np.ndarray
    lengths: np.ndarray
    batch: tuple[int, ...] | None


def times_of_paths(name: str, values: Any) -> TimesOfPaths:
    """Times from an array of shape (..., length), or a list of arrays; their order is not checked."""
    parts = _parts(values)
    found = None if parts is None else [as_times(f"{name}[{i}]", part) for i, part in enumerate(parts)]
    if found is None or len({part.shape for part in found}) == 1:
        array = as_times(name, values) if found is None else np.stack(found)
        if array.ndim == 0:
            raise ValueError(f"{name} must have shape (..., length), got a single number")
        n = math.prod(array.shape[:-1])
        return TimesOfPaths(array.reshape(-1), np.full(n, array.shape[-1], np.int64), array.shape[:-1])
    for i, part in enumerate(found):
        if part.ndim != 1:
            raise ValueError(f"{name}[{i}] must have shape (length,), got {part.shape}")
    if len({are_datetimes(part) for part in found if part.size}) > 1:
        raise TypeError(f"{name} must hold numbers or datetimes, not both")
    lengths = np.array([len(part) for part in found], np.int64)
    return TimesOfPaths(np.concatenate([part for part in found if part.size]), lengths, None)


def _parts(values: Any) -> Any:
    """The arrays in a list of some, or in a nested tensor; None for what is one array itself."""
    if getattr(values, "is_nested", False):
        return values.unbind()
    if isinstance(values, (list, tuple)) and any(
        isinstance(part, (list, tuple)) or getattr(part, "shape", ()) for part in values
    ):
        return values
    return None


def are_datetimes(times: np.ndarray) -> bool:
    """Whether moments are no numbers."""
    return times.dtype.kind == "M"


def as_moment(name: str, value: Any, times: np.ndarray) -> Any:
    """A moment that can be compared with these."""
    if are_datetimes(times):
        value = getattr(value, "to_datetime64", lambda: value)()
        if isinstance(value, (np.datetime64, datetime.date)):
            moment = np.datetime64(value)
            if not np.isnat(moment):
                return moment
        raise TypeError(f"{name} must be a datetime, as times are, got {value!r} of type {type(value).__name__}")
    return _number(name, value, times)


def as_duration(name: str, value: Any, times: np.ndarray) -> Any:
    """How long something takes, above 0: a number, or a timedelta if times are datetimes."""
    if not are_datetimes(times):
        number = _number(name, value, times)
        if not number > 0:
            raise ValueError(f"{name} must be a duration above 0, got {number}")
        return number
    value = getattr(value, "to_timedelta64", lambda: value)()
    if not isinstance(value, (np.timedelta64, datetime.timedelta)):
        raise TypeError(
            f"{name} must be a timedelta, as times are datetimes, got {value!r} of type {type(value).__name__}"
        )
    duration = np.timedelta64(value)
    if np.datetime_data(duration.dtype)[0] in ("Y", "M", "generic"):
        raise ValueError(f"{name} must be a timedelta of days or shorter units, got {value!r}")
    if not duration > np.timedelta64(0):
        raise ValueError(f"{name} must be a duration above 0, got {duration}")
    return duration


def _number(name: str, value: Any, times: np.ndarray) -> int | float:
    """A finite number, whole if it and all times are."""
    if isinstance(value, (np.timedelta64, np.datetime64)):
        # To Python they are integers.
        raise TypeError(f"{name} must be a real number, as times are, got {value!r}")
    if times.dtype.kind == "i" and hasattr(value, "__index__") and not isinstance(value, (bool, np.ndarray)):
        whole = as_any_int(name, value)
        if abs(whole) > _LARGEST:
            raise ValueError(f"{name} must be from -2**61 to 2**61 where times are integers, got {whole}")
        return whole
    number = as_float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    return number


def check_order(name: str, times: np.ndarray, lengths: np.ndarray) -> None:
    """ValueError unless moments, those of one path behind those of another, are finite and never go back."""
    wrong = np.isnat(times) if are_datetimes(times) else ~np.isfinite(times)
    falls = np.zeros(len(times), bool)
    falls[1:] = times[1:] < times[:-1]
    ends = np.cumsum(lengths)
    falls[(ends - lengths)[lengths > 0]] = False
    wrong |= falls
    if not wrong.any():
        return
    at = int(wrong.argmax())
    path = int(np.searchsorted(ends, at, "right"))
    where = f"index {at - ends[path] + lengths[path]}" + (f" of path {path}" if len(lengths) > 1 else "")
    if falls[at]:
        raise ValueError(f"{name} must not decrease, got {times[at]} after {times[at - 1]} at {where}")
    raise ValueError(f"{name} must be finite, got {times[at]} at {where}")


def since_first(times: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Times of paths, one behind another, from the first one of each path on, in float64."""
    if are_datetimes(times):
        raise TypeError(
            "times must be real numbers to be added to a path by time_aug, such as seconds from a first moment, got "
            f"dtype {times.dtype}"
        )
    there = lengths > 0
    first = times[(np.cumsum(lengths) - lengths)[there]]
    return (times - np.repeat(first, lengths[there])).astype(np.float64)
