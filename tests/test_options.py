"""Options are read once: a call that looked twice at an object could get two numbers, of which kernels see one."""

import inspect
from numbers import Real
from typing import Any

import numpy as np
import pytest
from checking import assert_same_bits, optional
from operations import ALL, NAMES, OTHERS, Operation, kinds_of, name_of, results_of

import siglib


class Counted:
    """A number that counts how often it is read."""

    def __init__(self, value: Any) -> None:
        self.value, self.n_reads = value, 0

    def _read(self) -> Any:
        self.n_reads += 1
        return self.value


class Integer(Counted):
    __index__ = Counted._read


class Number(Counted):
    __float__ = Counted._read


class Indices(Counted):
    """An array of which NumPy makes a new one at every look."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self._read())


Real.register(Number)


def counted(value: Any) -> Any:
    """The same value as something that counts, or None for what is no option of this kind."""
    if type(value) is tuple and value and all(type(item) in (int, tuple) for item in value):
        return tuple(counted(item) for item in value)
    kinds = {int: Integer, float: Number, np.ndarray: Indices}
    return kinds[type(value)](value) if type(value) in kinds else None


def counters(value: Any) -> list[Counted]:
    return [c for item in value for c in counters(item)] if type(value) is tuple else [value]


def arguments_of(operation: Operation, arrays: list[Any]) -> dict[str, Any]:
    """All arguments of a call by name, those that were left at their default, too."""
    bound = inspect.signature(getattr(siglib, operation.name)).bind(*arrays, *operation.numbers, **operation.options)
    bound.apply_defaults()
    return bound.arguments


CALLS = [(name_of(o), o.name, arguments_of(o, o.arrays())) for o in ALL] + [
    (name, name, dict(inspect.signature(getattr(siglib, name)).bind(**given).arguments)) for name, given in OTHERS
]


def test_every_function_is_in_the_table() -> None:
    # Where torch is imported, `siglib.signature` is a second name of `siglib.sig`.
    public = {name for name in vars(siglib) if not name.startswith("_") and callable(vars(siglib)[name])}
    # Paths are no operation.
    assert {*NAMES} == public - {"signature", "RaggedPaths", "Series"}


def test_every_array_is_of_a_known_kind() -> None:
    for operation in ALL:
        parameters = [*inspect.signature(getattr(siglib, operation.name)).parameters]
        assert [*kinds_of(operation.name)] == parameters[: len(operation.shapes)]


@pytest.mark.parametrize(("name", "arguments"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_options_and_arrays_are_read_once(name: str, arguments: dict[str, Any]) -> None:
    function = getattr(siglib, name)
    expected = function(**arguments)
    n_counted = 0
    for option, value in arguments.items():
        stand_in = counted(value)
        if stand_in is None:
            continue
        n_counted += 1
        result = function(**{**arguments, option: stand_in})
        assert [c.n_reads for c in counters(stand_in)] == [1] * len(counters(stand_in)), option
        if isinstance(expected, np.ndarray):
            assert_same_bits(result, expected)
    assert n_counted


@pytest.mark.parametrize(
    "operation", [o for o in ALL if "backprop" not in o.name and "correction" not in o.options], ids=name_of
)
def test_options_are_read_once_with_gradients(operation: Operation) -> None:
    """The gradient follows the numbers that the call saw."""
    torch = optional("torch")
    for option, value in arguments_of(operation, operation.arrays()).items():
        if type(value) not in (int, float):
            continue
        tensors = [torch.tensor(array, requires_grad=True) for array in operation.arrays()]
        stand_in = counted(value)
        arguments = {**arguments_of(operation, tensors), option: stand_in}
        results = results_of(getattr(siglib, operation.name)(**arguments))
        sum(result.sum() for result in results).backward()
        assert stand_in.n_reads == 1, option


def test_questions_of_objects_are_read_once() -> None:
    intervals = siglib.IntervalSignature(np.eye(3), 2)
    stream = siglib.SigStream(3, 2)
    stream.push_batch(np.eye(3), checkpoints=True)
    for ask in (intervals.sig, intervals.log_sig, stream.sig, lambda start, end: stream.sig_batch([(start, end)])):
        start, end = Integer(0), Integer(2)
        ask(start, end)
        assert (start.n_reads, end.n_reads) == (1, 1)
    starts, ends = Indices([0, 1]), Indices([2, 0])
    intervals.sig_batch(starts, ends)
    assert (starts.n_reads, ends.n_reads) == (1, 1)


def test_subclasses_of_int_become_plain() -> None:
    class Odd(int):
        def __pow__(self, other: Any, mod: Any = None) -> int:
            return 1

        def __lt__(self, other: Any) -> bool:
            return False

    assert siglib.sig_length(Odd(3), Odd(4)) == 120
    with pytest.raises(ValueError, match="degree must be at least 0, got -1"):
        siglib.sig_length(3, Odd(-1))
