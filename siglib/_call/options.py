"""Checks of options, lengths and shapes: each returns the clean value or raises, naming the argument.

Every option is read once, where a call begins. What follows uses the clean value, as another look at an object may give
another number, and loops trust their numbers.
"""

import operator
import os
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from .._cpu._cpuid import max_threads
from .._tables.transform import Transform
from .tracing import settled

_forked = False
# Of OpenMP, before anybody has set a limit.
_MAX_THREADS = max_threads()


def _after_fork() -> None:
    global _forked
    _forked = True


# GCC's OpenMP run-time hangs in the child of a fork when its parent had used threads: such a child computes on one
# thread.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def as_int(name: str, value: Any, minimum: int) -> int:
    """`value` as an int of at least `minimum`; anything with `__index__` but bool counts as an integer."""
    if type(value) is not int:
        value = settled(name, value)
        if isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        try:
            value = operator.index(value)
            if type(value) is not int:
                # A subclass is its own index.
                value = int.__index__(value)
        except TypeError:
            raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}") from None
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return value


def as_bool(name: str, value: Any) -> bool:
    """`value` as a bool; only Python's and NumPy's own booleans are taken."""
    if value is True or value is False:
        return value
    value = settled(name, value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {value!r} of type {type(value).__name__}")


def as_float(name: str, value: Any) -> float:
    """`value` as a Python float; any real number but bool is taken, NaN and infinity too."""
    if type(value) is float:
        return value
    value = settled(name, value)
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{name} must be a number that a float can hold, got one beyond 1.8e308") from None
    raise TypeError(f"{name} must be a real number, got {value!r} of type {type(value).__name__}")


def hardware_threads() -> int:
    """Number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _share() -> int:
    """Number of processors that are left to this thread.

    Pools of workers set `OMP_NUM_THREADS` in each of their processes, and `threadpoolctl.threadpool_limits` a number of
    OpenMP's, for the thread that calls it.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    n = int(given) if given.isascii() and given.isdigit() else 0
    shares = [hardware_threads(), *([n] if n > 0 else [])]
    limit = max_threads()
    if limit != _MAX_THREADS:
        shares.append(limit)
    return min(shares)


def as_n_threads(n_jobs: Any) -> int:
    """Number of threads that `n_jobs` asks for: k > 0 is k threads, -1 all processors, -k all but k - 1.

    "All" are those that `OMP_NUM_THREADS` and `threadpoolctl` allow. Never more than there are processors: more would
    gain nothing, and where the system refuses a thread the OpenMP run-time ends the process.
    """
    if type(n_jobs) is int and n_jobs == 1:
        return 1
    n_jobs = as_int("n_jobs", n_jobs, -(2**31))
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0: give a number of threads, or -1 for all processors")
    if n_jobs < 0:
        available = _share()
        if available + 1 + n_jobs < 1:
            raise ValueError(f"n_jobs={n_jobs} leaves no thread: this process may use {available} processors")
        n_jobs = available + 1 + n_jobs
    return 1 if _forked else min(n_jobs, hardware_threads())


def as_n_jobs(n_jobs: Any) -> int:
    """`n_jobs` as an int, to be passed on to functions that make threads of it: they say whether it leaves any."""
    return as_int("n_jobs", n_jobs, -(2**31))


def as_transform(time_aug: Any, lead_lag: Any, end_time: Any) -> Transform:
    """The options of a path's transforms."""
    return Transform(as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag), as_float("end_time", end_time))


def as_count(name: str, value: Any) -> int:
    """An integer of at least 0."""
    return value if type(value) is int and value >= 0 else as_int(name, value, 0)


def as_positive(name: str, value: Any) -> int:
    """An integer of at least 1."""
    return value if type(value) is int and value >= 1 else as_int(name, value, 1)


def as_any_int(name: str, value: Any) -> int:
    """An integer that 64 bits hold."""
    return as_int(name, value, -(2**63))


def as_text(name: str, value: Any) -> str:
    """A text of our own, such as encoded words."""
    return value


def as_valid_n_jobs(name: str, n_jobs: Any) -> int:
    """`n_jobs` as an int that leaves a thread; see `as_n_threads`, which says how many, where the threads start."""
    if type(n_jobs) is int and n_jobs == 1:
        return 1
    n_jobs = as_n_jobs(n_jobs)
    as_n_threads(n_jobs)
    return n_jobs


class Meaning(NamedTuple):
    """What an option means: how a value that a caller gives becomes clean, and how torch's operators pass it on."""

    clean: Callable[[str, Any], Any]
    plain: Callable[[str, Any], Any]  # the value of an operator's schema; what it may be is asked where it runs
    schema: str


COUNT = Meaning(as_count, as_any_int, "SymInt")
POSITIVE = Meaning(as_positive, as_any_int, "SymInt")
INTEGER = Meaning(as_any_int, as_any_int, "SymInt")
FLAG = Meaning(as_bool, as_bool, "bool")
NUMBER = Meaning(as_float, as_float, "float")
TEXT = Meaning(as_text, as_text, "str")

# One meaning for each name, in the whole package. An operation that needs another one says so in its declaration.
MEANINGS = {
    "dimension": POSITIVE,
    "degree": COUNT,
    "time_aug": FLAG,
    "lead_lag": FLAG,
    "end_time": NUMBER,
    "scalar_term": FLAG,
    "planar": FLAG,
    "prepend": FLAG,
    "prefixes": FLAG,
    "window": COUNT,
    "stride": POSITIVE,
    "method": COUNT,
    "words": TEXT,
    "n_jobs": Meaning(as_valid_n_jobs, as_any_int, "SymInt"),
}
