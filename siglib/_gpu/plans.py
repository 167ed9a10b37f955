"""Launch plans: what a call launches, with everything worked out that does not depend on where its arrays are.

The body of an operation runs once for all calls alike, with arrays that have no numbers (`recording.py`). What it
launches becomes a plan: CUDA functions that are ready, grids, arguments, and one piece of scratch memory for all that
the call needs. A call that finds its plan makes its results and its scratch memory, works out addresses, and launches.

Calls are alike if they have one backend (which is one device and one dtype), operation and options, with the same
numbers where these are arrays, and arrays of the same shapes and strides. Addresses, streams, allocators and the
numbers of a static kernel are those of each call. Plans are never changed, so that all threads share them. They hold
tables on the device: when tables go, all plans go.

To make a plan takes as long as three calls without one. So the first call of a kind goes step by step.
"""

import itertools
import struct
import threading
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from .._tables.cache import when_clearing
from . import _launch
from .copies import launch_of
from .recording import (
    Assign,
    Memory,
    NotPlannedError,
    Number,
    Numbers,
    Place,
    Recorded,
    RecordedBackend,
    Recorder,
    Struct,
)

# Plans that are kept.
_MOST_PLANS = 1024
# Scratch arrays begin at multiples of so many bytes.
_ALIGNMENT = 256
# Whether plans are made for the first call of its kind.
AT_ONCE = False
# Whether scratch arrays share one piece of memory, and one the bytes of another that is no longer needed.
SHARED_SCRATCH = True

_pack = struct.Struct("@P").pack
_plans: dict[Any, Any] = {}  # plans; None where there can be none; or that such a call was there
_lock = threading.Lock()
_n_forgotten = 0  # how often all plans were
_UNKNOWN, _SEEN = object(), object()
# What says that a body needs more than shapes.
_NEEDS_NUMBERS = (NotPlannedError, TypeError, AttributeError)


def forget() -> None:
    """Make all plans anew, as tables that they hold are to go."""
    global _n_forgotten
    with _lock:
        _n_forgotten += 1
        _plans.clear()


when_clearing(forget)


class _Arguments:
    """The arguments of all launches of a plan, each of them once, and where in a list of all a launch has its own."""

    def __init__(self, places: dict[int, tuple[int, int]]) -> None:
        self._places = places
        self.constants: list[Any] = []
        self.addresses: dict[tuple[int, int], int] = {}  # of a memory's number and an offset
        self.structs: dict[tuple[int, int, bytes, np.dtype], int] = {}
        self._known: dict[Any, int] = {}

    def find(self, value: Any) -> tuple[int, int]:
        """The kind of an argument, and its number among those."""
        if type(value) is Place:
            return 1, self.addresses.setdefault(self.place(value), len(self.addresses))
        if type(value) is Struct:
            key = (*self.place(value.place), value.rest, value.dtype)
            return 2, self.structs.setdefault(key, len(self.structs))
        if type(value) is Number:
            return 3, value.place
        # -0.0 is not 0.0, nor 1 the same as 1.0.
        own = (type(value), repr(value)) if isinstance(value, (int, float)) else id(value)
        if own not in self._known:
            self._known[own] = len(self.constants)
            self.constants.append(value)
        return 0, self._known[own]

    def place(self, place: Place) -> tuple[int, int]:
        memory, offset = self._places[place.memory.number]
        return memory, offset + place.offset

    def begins(self) -> tuple[int, ...]:
        """Where in the list those of each kind begin."""
        return tuple(itertools.accumulate((0, len(self.constants), len(self.addresses), len(self.structs))))


class Plan:
    """What calls alike launch."""

    def __init__(self, on: Any, recorder: Recorder, n_arrays: int, outs: tuple[Any, ...], more: Any) -> None:
        """`outs`: what the body returns, arrays or None; `more`: what else it returns."""
        for out in outs:
            if out is not None and not (out.memory.result and out.is_whole and out.dtype == on.dtype_name):
                raise NotPlannedError("a result is no array of its own")
        self._on, self._more = on, more
        self._shapes = [None if out is None else out.shape for out in outs]
        results = [out.memory.number for out in outs if out is not None]
        # Memories that the call knows, by their numbers here and there: arrays, results, and then scratch.
        places = {number: (i, 0) for i, number in enumerate((*range(n_arrays), *results))}
        steps = _without_copies(recorder.steps, places, results)
        self._scratch = _put_scratch(steps, places)
        arguments = _Arguments(places)
        launches = [launch_of(step) if type(step) is Assign else step for step in steps]
        found = [(run, [arguments.find(arg) for arg in args]) for run, args in _launch.ready(launches)]
        begins = arguments.begins()
        self._steps = [
            (run, step.grid, step.block, step.shared, itemgetter(*[begins[kind] + number for kind, number in args]))
            for step, (run, args) in zip(launches, found, strict=True)
        ]
        self._constants = arguments.constants
        self._addresses, self._structs = list(arguments.addresses), list(arguments.structs)

    def __call__(self, arrays: Any, numbers: Any) -> tuple[tuple[Any, ...], Any]:
        """The results of a call, and what else the body returned."""
        on = self._on
        if not on.is_current():
            with on.current():
                return self._run(arrays, numbers, None)
        return self._run(arrays, numbers, on.stream())

    def _run(self, arrays: Any, numbers: Any, stream: Any) -> tuple[tuple[Any, ...], Any]:
        on = self._on
        outs = [None if shape is None else on.new(shape) for shape in self._shapes]
        known = [array for array in (*arrays, *outs) if array is not None]
        known += [on.memory(n, dtype) for n, dtype in self._scratch]
        places = on.addresses(known)
        addresses = [places[memory] + offset for memory, offset in self._addresses]
        structs = [
            np.frombuffer(_pack(places[memory] + offset) + rest, dtype)[0]
            for memory, offset, rest, dtype in self._structs
        ]
        values = (*self._constants, *addresses, *structs, *numbers)
        for run, grid, block, shared, chosen in self._steps:
            run(grid, block, chosen(values), shared_mem=shared, stream=stream)
        return tuple(outs), self._more


def _without_copies(steps: list[Any], places: dict[int, tuple[int, int]], results: list[int]) -> list[Any]:
    """The steps but for those that copy scratch memory to a result, whole: the scratch memory is the result then."""
    users = [{memory.number for memory in _memories(step)} for step in steps]
    kept = []
    for i, step in enumerate(steps):
        if type(step) is Assign and isinstance(step.value, Recorded) and step.to.memory.number in results:
            to, value = step.to, step.value
            source, target = value.memory.number, to.memory.number
            if (
                (source not in places and to.is_whole and value.is_whole and to.dtype == value.dtype)
                and not any(target in some for some in users[:i])
                and not any(source in some for some in users[i + 1 :])
            ):
                places[source] = places[target]
                continue
        kept.append(step)
    return kept


def _memories(step: Any) -> list[Memory]:
    if type(step) is Assign:
        return [step.to.memory, *([step.value.memory] if isinstance(step.value, Recorded) else [])]
    found = [arg.place if type(arg) is Struct else arg for arg in step.args.values()]
    return [arg.memory for arg in found if type(arg) is Place]


def _put_scratch(steps: list[Any], places: dict[int, tuple[int, int]]) -> list[tuple[int, Any]]:
    """Places for all scratch memory: numbers and dtype of each allocation. Whoever is there at one time is apart."""
    spans: dict[int, list[Any]] = {}
    for i, step in enumerate(steps):
        for memory in _memories(step):
            if memory.number not in places:
                spans.setdefault(memory.number, [memory, i, i])[2] = i
    first = 1 + max([memory for memory, _ in places.values()], default=-1)
    if not SHARED_SCRATCH:
        for i, number in enumerate(spans):
            places[number] = (first + i, 0)
        return [(memory.n_bytes // memory.dtype.itemsize, memory.dtype) for memory, *_ in spans.values()]
    taken: list[tuple[int, int, int, int]] = []
    for memory, begin, end in sorted(spans.values(), key=lambda span: -span[0].n_bytes):
        size = -(-max(memory.n_bytes, 1) // _ALIGNMENT) * _ALIGNMENT
        at = 0
        for low, high, since, until in sorted(taken):
            if since <= end and begin <= until and low < at + size and at < high:
                at = high
        taken.append((at, at + size, begin, end))
        places[memory.number] = (first, at)
    return [(max(high for _, high, _, _ in taken), np.dtype(np.uint8))] if taken else []


def call(
    on: Any,
    body: Callable[..., Any],
    known: Any,
    options: Any,
    more: Any,
    arrays: tuple[Any, ...],
    numbers: tuple[float, ...] | None = None,
) -> tuple[tuple[Any, ...], Any] | None:
    """What `body(on, options, more, *arrays)` returns, (results, something else), by a plan; None if there can be none.

    `arrays` may be None; `numbers` come last, as an array in main memory would. `known` is all that is to be known of
    `options`, and can be looked up. `more` follows from the other arguments.
    """
    key = (on, body, known, on.layouts(arrays))
    plan = _plans.get(key, _UNKNOWN)
    if type(plan) is not Plan:
        if plan is None:
            return None
        if plan is _UNKNOWN and not AT_ONCE:
            _keep(key, _SEEN)
            return None
        plan = _made(key, on, body, options, more, arrays, numbers)
        if plan is None:
            return None
    return plan(arrays, numbers or ())


def _keep(key: Any, plan: Any) -> None:
    with _lock:
        if len(_plans) >= _MOST_PLANS:
            for old in list(itertools.islice(_plans, _MOST_PLANS // 2)):
                del _plans[old]
        _plans[key] = plan


def _made(key: Any, on: Any, body: Any, options: Any, more: Any, arrays: Any, numbers: Any) -> Plan | None:
    recorder, before = Recorder(), _n_forgotten
    given: list[Any] = [
        None if layout is None else recorder.argument(layout[0], on.dtype_name, on.byte_strides(layout[1]))
        for layout in key[3]
    ]
    n_arrays = len(recorder.memories)
    if numbers is not None:
        given.append(Numbers(len(numbers)))
    plan = None
    with on.current():
        try:
            with _launch.recording(recorder):
                outs, rest = body(RecordedBackend(on, recorder), options, more, *given)
            plan = Plan(on, recorder, n_arrays, outs, rest)
        except _NEEDS_NUMBERS:
            pass
        except Exception:
            # Whatever it is: the call itself says it.
            return None
    # Tables may have gone meanwhile, and nobody would tell.
    if before == _n_forgotten:
        _keep(key, plan)
    return plan
