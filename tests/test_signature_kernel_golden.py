"""Signature kernels, Gram matrices, static kernels and metrics against golden files."""

import warnings
from typing import Any

import pytest
from checking import assert_close
from golden import Case, cases

import siglib

KERNELS = ("05_sig_kernel", "05_static_kernels")


def call(case: Case) -> Any:
    """The recorded call; what a non-integer power of a negative number is worth a warning for is not tested here."""
    args = [case.args[0]] * 2 if has_one_sample_twice(case.record) else case.args
    with warnings.catch_warnings():
        if case.kwargs.get("static_kernel") is not None:
            warnings.simplefilter("ignore", RuntimeWarning)
        return getattr(siglib, case.function)(*args, **case.kwargs)


def has_equal_orders(record: dict[str, Any]) -> bool:
    """Whether kernels are symmetric in their two paths: then it does not matter which half of a Gram matrix is taken."""
    return not isinstance(record["kwargs"].get("dyadic_order"), dict)


def has_one_sample_twice(record: dict[str, Any]) -> bool:
    """Recorded with one array as both arguments; the file holds it twice."""
    return "SAME object" in record.get("note", "")


@pytest.mark.parametrize("case", [case for file in KERNELS for case in cases(file, "sig_kernel")])
def test_sig_kernel(case: Case) -> None:
    assert_close(call(case), case.outputs[0])


@pytest.mark.parametrize("case", [case for file in KERNELS for case in cases(file, "sig_kernel_backprop")])
def test_sig_kernel_backprop(case: Case) -> None:
    gradients = call(case)
    assert isinstance(gradients, tuple)
    for path, actual, expected in zip(case.args[1:], gradients, case.outputs, strict=True):
        if expected is None:
            assert actual is None
        else:
            # A single path's gradient was recorded with a batch axis.
            assert_close(actual, expected.reshape(path.shape))


@pytest.mark.parametrize(
    "case",
    cases("05_gram_metrics", "sig_kernel_gram", accept=lambda r: has_equal_orders(r) or not has_one_sample_twice(r)),
)
def test_sig_kernel_gram(case: Case) -> None:
    assert_close(call(case), case.outputs[0])


@pytest.mark.parametrize(
    "case",
    cases("05_gram_metrics", "sig_kernel_gram", accept=lambda r: has_one_sample_twice(r) and not has_equal_orders(r)),
)
def test_sig_kernel_gram_of_unequal_orders_is_not_mirrored(case: Case) -> None:
    """The recorded matrix repeats its upper half; ours is the one that a copy of the sample gives."""
    matrix = call(case)
    recorded = case.outputs[0]
    for i in range(len(matrix)):
        assert_close(matrix[i, i:], recorded[i, i:])
    copied = siglib.sig_kernel_gram(case.args[0], case.args[1].copy(), **case.kwargs)
    assert_close(matrix, copied)


@pytest.mark.parametrize("case", cases("05_gram_metrics", "sig_kernel_gram_backprop"))
def test_sig_kernel_gram_backprop(case: Case) -> None:
    for actual, expected in zip(call(case), case.outputs, strict=True):
        assert_close(actual, expected)


# With unequal orders the recorded metrics mirror half of a matrix that is not symmetric.
@pytest.mark.parametrize(
    "case", cases("05_gram_metrics", "sig_mmd", "sig_score", "expected_sig_score", accept=has_equal_orders)
)
def test_metrics(case: Case) -> None:
    assert_close(call(case), case.outputs[0])
