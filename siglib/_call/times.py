"""Moments and durations as options: real numbers, or datetimes and timedeltas, read once, to main memory.

They stay what they are, whole numbers and datetimes exact, and are compared without a tolerance.
"""

import datetime
import math
from typing import Any, NamedTuple

import numpy as np

from .array_likes import is_table, numbers_of_table
from .libraries import library_of, refusal
from .options import as_any_int, as_float
from .tracing import refuse_traced, refuse_watched_times

# Sums of three whole numbers up to here are exact in 64 bits.
_LARGEST = 2**61


def as_times(name: str, values: Any) -> np.ndarray:
    """Moments as an array of float64, int64 or datetime64 that nobody else can change."""
    library = library_of(values)
    if library == "jax":
        refuse_watched_times(name, values)
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
    array = without_objects(array)
    if array.dtype.kind == "M" and np.datetime_data(array.dtype)[0] != "generic":
        return _in_plain_unit(name, array)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return array.astype(np.float64)
    if array.dtype.kind in "iu":
        if array.min() < -_LARGEST or array.max() > _LARGEST:
            raise ValueError(f"{name} must be from -2**61 to 2**61 where they are integers, got {array.max()}")
        return array.astype(np.int64)
    raise TypeError(f"{name} must hold real numbers of at most 64 bits, or datetimes, got dtype {array.dtype}")


def without_objects(moments: np.ndarray) -> np.ndarray:
    """Datetimes of Python or pandas as those of NumPy, in UTC if they have a time zone; all else as it is."""
    if moments.dtype != object or not moments.size:
        return moments
    if not all(isinstance(moment, (datetime.date, np.datetime64)) for moment in moments.flat):
        return moments
    return np.array([_datetime64(moment) for moment in moments.flat]).reshape(moments.shape)


def _datetime64(moment: Any) -> np.datetime64:
    if hasattr(moment, "to_datetime64"):
        return moment.to_datetime64()
    if getattr(moment, "tzinfo", None) is not None:
        moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return np.datetime64(moment)


def _in_plain_unit(name: str, moments: np.ndarray) -> np.ndarray:
    """A copy of datetimes; months and years, which have no length, as their first days, and 25 seconds in seconds."""
    unit, count = np.datetime_data(moments.dtype)
    if unit in ("Y", "M"):
        unit = "D"
    elif count == 1:
        return moments.copy()
    return in_one_unit(**{name: moments, "unit": np.empty(0, f"M8[{unit}]")})[0]


def in_one_unit(**values: Any) -> list[Any]:
    """Datetimes and timedeltas in the finest of their units; ValueError if 64 bits cannot hold one.

    NumPy would go on with other numbers then.
    """
    unit = np.result_type(*{value.dtype for value in values.values()}).str[3:]
    found = []
    for name, value in values.items():
        try:
            converted = value.astype(value.dtype.str[:3] + unit)
            fits = bool(np.all((converted.astype(value.dtype) == value) | np.isnat(value)))
        except OverflowError:
            fits = False
        if not fits:
            raise ValueError(
                f"{name} must fit into 64 bits in units of {unit[1:-1]}, the finest of the call: use a coarser one"
            )
        found.append(converted)
    return found


def in_unit_of(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Datetimes in the unit of others, rounded up, and cut off at what 64 bits hold: as many of `times` are before."""
    if times.dtype == moments.dtype:
        return moments
    found = moments.astype(times.dtype)
    back = found.astype(moments.dtype)
    if np.result_type(times, moments) == moments.dtype:
        return found + (back < moments).astype(np.int64)
    most = np.int64(np.iinfo(np.int64).max)
    cut = np.where(moments.astype(np.int64) > 0, most, -most).view(times.dtype)
    return np.where(back == moments, found, cut)


class TimesOfPaths(NamedTuple):
    """Times of paths, those of each behind those of another; `batch` is the shape of an array, None for a list."""

    moments: np.ndarray
    lengths: np.ndarray
    batch: tuple[int, ...] | None


def times_of_paths(name: str, values: Any) -> TimesOfPaths:
    """Times from an array of shape (..., length), or a list of arrays; their order is not checked."""
    parts = _parts(values)
    found = None if parts is None else [as_times(f"{name}[{i}]", part) for i, part in enumerate(parts)]
    if found is not None:
        kinds = {are_datetimes(part) for part in found if part.size}
        if len(kinds) > 1:
            raise TypeError(f"{name} must hold numbers or datetimes, not both")
        if True in (kinds or set(map(are_datetimes, found))):
            # Lists without anything are no datetimes.
            found = [part if part.size or are_datetimes(part) else part.astype("M8[D]") for part in found]
            found = in_one_unit(**{f"{name}[{i}]": part for i, part in enumerate(found)})
    if found is None or len({part.shape for part in found}) == 1:
        array = as_times(name, values) if found is None else np.stack(found)
        if array.ndim == 0:
            raise ValueError(f"{name} must have shape (..., length), got a single number")
        n = math.prod(array.shape[:-1])
        return TimesOfPaths(array.reshape(-1), np.full(n, array.shape[-1], np.int64), array.shape[:-1])
    for i, part in enumerate(found):
        if part.ndim != 1:
            raise ValueError(f"{name}[{i}] must have shape (length,), got {part.shape}")
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
        if isinstance(value, (np.datetime64, datetime.date)):
            moment = _datetime64(value)
            if not np.isnat(moment):
                return _in_plain_unit(name, np.array(moment))[()]
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
