"""What callers may pass to compiled programs: all that they may pass without the compiler."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from checking import optional
from operations import OF_ALL_PAIRS, OPERATIONS, Operation, name_of

import siglib

torch: Any = optional("torch")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
all_operations = pytest.mark.parametrize("operation", OPERATIONS + OF_ALL_PAIRS, ids=name_of)


@pytest.fixture(autouse=True)
def _nothing_compiled() -> None:
    torch._dynamo.reset()


def numbers_of_numpy(value: Any) -> Any:
    """The same option in the types of NumPy."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int16(value)
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, list) and all(isinstance(item, int) for item in value):
        return np.array(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(numbers_of_numpy, value))
    return value


def as_tensors(operation: Operation, kind: str) -> Operation:
    """The operation for tensors: its correction is one, too."""
    options = dict(operation.options)
    if "correction" in options:
        options["correction"] = torch.tensor(options["correction"], dtype=getattr(torch, kind))
    return operation._replace(options=options)


def compiled_of(operation: Operation) -> Callable[..., list[Any]]:
    """One graph. Backprops, which are for those who write their own gradients, break it."""
    fullgraph = not operation.name.endswith(("_backprop", "_jvp"))
    return torch.compile(lambda *arrays: operation(*arrays), fullgraph=fullgraph, backend="eager")


def assert_same(actual: list[Any], wanted: list[Any]) -> None:
    assert len(actual) == len(wanted)
    for one, other in zip(actual, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype is other.dtype
            assert torch.equal(one, other)


@all_operations
@pytest.mark.parametrize("kind", ["float64", "float16", "int64"])
def test_arrays(operation: Operation, kind: str) -> None:
    if kind == "int64" and operation.name in ("sig_score", "expected_sig_score", "sig_mmd"):
        pytest.skip("a mean of integers")
    arrays = [torch.from_numpy(array).to(getattr(torch, kind)) for array in operation.arrays()]
    operation = as_tensors(operation, kind if kind != "int64" else "float32")
    assert_same(compiled_of(operation)(*arrays), operation(*arrays))


@all_operations
def test_options_of_numpy(operation: Operation) -> None:
    arrays = [torch.from_numpy(array) for array in operation.arrays()]
    operation = as_tensors(operation, "float64")
    given = operation._replace(
        numbers=numbers_of_numpy(tuple(operation.numbers)),
        options={name: numbers_of_numpy(value) for name, value in operation.options.items()},
    )
    assert_same(compiled_of(given)(*arrays), operation(*arrays))


class Two:
    """A number of a type of its own."""

    def __index__(self) -> int:
        return 2


@pytest.mark.parametrize(
    "call",
    [
        lambda x: siglib.sig(x, Two()),
        lambda x: siglib.sig(path=x, degree=2, time_aug=True, end_time=3),
        lambda x: siglib.sig(x, 2, time_aug=True, end_time=Fraction(1, 2)),
        lambda x: siglib.sig(x, 2, n_jobs=np.int8(-1), horner=np.False_),
        lambda x: siglib.sig(x, 2, stream=np.True_, scalar_term=np.True_),
        lambda x: siglib.sig(x, 2, correction=None),
        lambda x: siglib.log_sig(x, 2, method=np.uint8(2)),
        lambda x: siglib.log_sig(x, np.int64(2), method=np.int64(0), scalar_term=np.True_),
        lambda x: siglib.sig_windows(x, 2, np.int64(3), stride=np.int32(2)),
        lambda x: siglib.sig_windows(x, 2, starts=[0, 1], ends=(3, 4)),
        lambda x: siglib.sig_windows(x, 2, starts=range(2), ends=np.array([3, 4], np.uint8)),
        lambda x: siglib.sig_windows(x, 2, starts=[np.int64(0)], ends=torch.tensor([3])),
        lambda x: siglib.sig_windows(x, 2, starts=[], ends=[]),
        lambda x: siglib.sig_windows(x, 2, starts=[[0, 1], [1, 2]], ends=[[3, 4], [4, 5]]),
        lambda x: siglib.log_sig_windows(x, 2, starts=[0, 1], ends=[3, 4], time_aug=np.True_),
        lambda x: siglib.sig_coef(x, (np.int64(0), 1), prefixes=np.True_),
        lambda x: siglib.sig_coef(x, [(0, 1), [1, 1], np.array([1, 0])]),
        lambda x: siglib.extract_sig_coef(siglib.sig(x, 2), [(np.int64(0), 1)], np.int64(2)),
        lambda x: siglib.sig_kernel(x, x, dyadic_order=[np.int64(1), 0], normalize=np.True_),
        lambda x: siglib.sig_kernel_gram(x, x, method="polynomial", order=np.int64(4), max_batch=np.int64(3)),
        lambda x: siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(np.float32(2))),
        lambda x: siglib.sig_mmd(x, 2 * x, dyadic_order=np.int64(0), static_kernel=siglib.RBFKernel(2)),
        lambda x: siglib.sig_score(x, 2 * x, dyadic_order=0, lam=np.float64(0.5)),
    ],
)  # fmt: skip
def test_options_of_other_types(call: Callable[[Any], Any]) -> None:
    x = torch.rand(2, 5, 2, dtype=torch.float64)
    assert_same([torch.compile(call, fullgraph=True, backend="eager")(x)], [call(x)])


def test_numbers_of_numpy_that_change() -> None:
    """A program is compiled for one of them, and says so where it meets another."""
    x = torch.rand(5, 2)
    compiled = torch.compile(lambda x, flag: siglib.sig(x, 2, time_aug=flag), fullgraph=True, backend="aot_eager")
    for _ in range(2):
        assert torch.equal(compiled(x, np.True_), siglib.sig(x, 2, time_aug=True))
    with pytest.raises(RuntimeError, match="time_aug is not True any more, as it was when this call was compiled"):
        compiled(x, np.False_)


@pytest.mark.parametrize("dynamic", [False, True, None])
def test_windows_that_change(dynamic: bool | None) -> None:
    compiled = torch.compile(
        lambda x, starts, ends: siglib.sig_windows(x, 2, starts=starts, ends=ends),
        fullgraph=True,
        dynamic=dynamic,
        backend="aot_eager",
    )
    x = torch.rand(2, 5, 2)
    for starts, ends in (([0, 1], [3, 4]), ([1, 2], [4, 5]), (np.array([0, 2]), [3, 3]), (np.array([1, 1]), [1, 5])):
        assert torch.equal(compiled(x, starts, ends), siglib.sig_windows(x, 2, starts=starts, ends=ends))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"degree": 2.5}, TypeError, "degree must be an integer"),
        ({"degree": np.float32(2.5)}, TypeError, "degree must be an integer"),
        ({"degree": -1}, ValueError, "degree must be at least 0"),
        ({"time_aug": 1}, TypeError, "time_aug must be True or False"),
        ({"time_aug": np.int64(1)}, TypeError, "time_aug must be True or False"),
        ({"end_time": True}, TypeError, "end_time must be a real number"),
        ({"end_time": np.True_}, TypeError, "end_time must be a real number"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
    ],
)
def test_refused_options_are_refused(options: dict, error: type[Exception], message: str) -> None:
    x = torch.rand(5, 2)

    def call(x: Any) -> Any:
        return siglib.sig(x, **{"degree": 2, **options})

    with pytest.raises(error, match=message):
        call(x)
    with pytest.raises(RuntimeError, match=f"{error.__name__}|{message}"):
        torch.compile(call, fullgraph=True, backend="eager")(x)
