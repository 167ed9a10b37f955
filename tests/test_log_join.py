"""Products of log-signatures: golden files, the definition, gradients, identities, the GPU, refusals."""

from typing import Any

import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits
from golden import Case, cases
from gpu import Gpu
from test_exponential import exp_of, log_sigs

import siglib

SIZES = [(1, 1), (1, 4), (2, 1), (2, 2), (2, 5), (3, 4), (5, 3), (6, 2)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
prepends = pytest.mark.parametrize("prepend", [False, True], ids=["append", "prepend"])
FUNCTIONS = ["linear_log_sig", "log_sig_combine", "log_sig_join"]


@pytest.mark.parametrize("case", cases("04_log_combine_join", *FUNCTIONS, *(f"{name}_backprop" for name in FUNCTIONS)))
def test_golden(case: Case) -> None:
    results = getattr(siglib, case.function)(*case.args, **case.kwargs)
    for result, expected in zip(results if isinstance(results, tuple) else (results,), case.outputs, strict=True):
        assert_close(result, expected)


def coordinates_of(sig: np.ndarray, d: int, degree: int) -> np.ndarray:
    """Of the logarithm, in the Lyndon basis."""
    index = {word: i for i, word in enumerate(reference.words(d, degree)[1:])}
    lyndon = [index[word] for word in reference.lyndon_words(d, degree)]
    values = reference.tensor_log(sig, d, degree)[..., lyndon]
    return np.linalg.solve(reference.lyndon_projection(d, degree), values.T).T


def combined(a: np.ndarray, b: np.ndarray, d: int, degree: int) -> np.ndarray:
    """The definition: log(exp a (x) exp b)."""
    return coordinates_of(reference.combine(exp_of(a, d, degree, 2), exp_of(b, d, degree, 2), d, degree), d, degree)


def as_log(displacement: np.ndarray, degree: int) -> np.ndarray:
    """The coordinates of a segment."""
    d = displacement.shape[-1]
    zeros = np.zeros((*displacement.shape[:-1], len(reference.lyndon_words(d, degree)) - d))
    return np.concatenate([displacement, zeros], axis=-1)


def joined(log_sig: np.ndarray, displacement: np.ndarray, degree: int, prepend: bool) -> np.ndarray:
    parts = log_sig, as_log(displacement, degree)
    return combined(*(parts[::-1] if prepend else parts), displacement.shape[-1], degree)


@sizes
def test_log_sig_combine(
    instruction_set: str, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int]
) -> None:
    a, b = (log_sigs(rng, 11, *size, 2).astype(dtype) for _ in range(2))
    result = siglib.log_sig_combine(a, b, *size)
    assert result.dtype == dtype
    assert_close(result, combined(a, b, *size))
    derivs = rng.standard_normal(a.shape).astype(dtype)
    gradients = siglib.log_sig_combine_backprop(derivs, a, b, *size)
    for i, gradient in enumerate(gradients):
        direction = log_sigs(rng, 11, *size, 2)
        change = reference.directional_derivative(
            lambda x, i=i: combined(*((x, b) if i == 0 else (a, x)), *size), (a, b)[i].astype(float), direction
        )
        assert_close(
            (gradient * direction).sum(axis=1), (derivs * change).sum(axis=1), 1e-8 if dtype == np.float64 else 1e-3
        )


@prepends
@sizes
def test_log_sig_join(dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], prepend: bool) -> None:
    a, x = log_sigs(rng, 11, *size, 2).astype(dtype), rng.standard_normal((11, size[0])).astype(dtype)
    result = siglib.log_sig_join(a, x, *size, prepend=prepend)
    assert result.dtype == dtype
    assert_close(result, joined(a, x, size[1], prepend))
    derivs = rng.standard_normal(a.shape).astype(dtype)
    d_log_sig, d_displacement = siglib.log_sig_join_backprop(derivs, a, x, *size, prepend=prepend)
    moved = log_sigs(rng, 11, *size, 2), rng.standard_normal(x.shape)
    change = reference.directional_derivative(
        lambda t: joined(a + t * moved[0], x + t * moved[1], size[1], prepend), np.zeros(1), np.ones(1)
    )
    assert_close(
        (d_log_sig * moved[0]).sum(axis=1) + (d_displacement * moved[1]).sum(axis=1),
        (derivs * change).sum(axis=1),
        1e-8 if dtype == np.float64 else 1e-3,
    )


@pytest.mark.parametrize("method", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [(1, 3), (2, 4), (5, 2), (3, 1), (3, 0)], ids=str)
def test_linear_log_sig(dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], method: int) -> None:
    d, degree = size
    x = rng.standard_normal((2, 3, d)).astype(dtype)
    for scalar_term in (False, True):
        start = int(scalar_term and method == 0)
        log_sig = siglib.linear_log_sig(x, d, degree, method=method, scalar_term=scalar_term)
        length = siglib.sig_length(d, degree) if method == 0 else siglib.log_sig_length(d, degree)
        expected = np.zeros((2, 3, start + length), dtype)
        expected[..., start : start + d] = x if degree else 0
        assert_same_bits(log_sig, expected)
        derivs = rng.standard_normal(log_sig.shape).astype(dtype)
        gradient = siglib.linear_log_sig_backprop(derivs, x, d, degree, method=method, scalar_term=scalar_term)
        assert_same_bits(gradient, derivs[..., start : start + d] if degree else np.zeros_like(x))


def test_of_a_path(rng: np.random.Generator) -> None:
    """Chen's identity, and one segment after the other."""
    path = rng.standard_normal((3, 9, 2))
    whole = siglib.log_sig(path, 5, method=3)
    parts = siglib.log_sig(path[:, :4], 5, method=3), siglib.log_sig(path[:, 3:], 5, method=2)
    assert_close(siglib.log_sig_combine(*parts, 2, 5), whole)
    increments = np.diff(path, axis=1)
    after, before = np.zeros((3, 14)), np.zeros((3, 14))
    for i in range(8):
        after = siglib.log_sig_join(after, increments[:, i], 2, 5)
        before = siglib.log_sig_join(before, increments[:, 7 - i], 2, 5, prepend=True)
    assert_close(after, whole)
    assert_close(before, whole)


def test_in_blocks(rng: np.random.Generator) -> None:
    """More than fit into one block of scratch memory."""
    a, b = (log_sigs(rng, 700, 4, 5, 2) for _ in range(2))
    derivs = rng.standard_normal(a.shape)
    result, gradients = siglib.log_sig_combine(a, b, 4, 5), siglib.log_sig_combine_backprop(derivs, a, b, 4, 5)
    for part in (slice(0, 32), slice(680, 700)):
        assert_close(siglib.log_sig_combine(a[part], b[part], 4, 5), result[part], 1e-13)
        for i, gradient in enumerate(siglib.log_sig_combine_backprop(derivs[part], a[part], b[part], 4, 5)):
            assert_close(gradient, gradients[i][part], 1e-12)


def test_degree_zero_and_empty_batches() -> None:
    assert siglib.log_sig_combine(np.ones((2, 0)), np.ones((2, 0)), 3, 0).shape == (2, 0)
    assert siglib.log_sig_join(np.ones((2, 0)), np.ones((2, 3)), 3, 0).shape == (2, 0)
    assert siglib.log_sig_join_backprop(np.ones(0), np.ones(0), np.ones(3), 3, 0)[1].tolist() == [0.0] * 3
    assert siglib.log_sig_combine(np.ones((0, 5)), np.ones((0, 5)), 2, 3).shape == (0, 5)
    assert siglib.log_sig_join(np.ones((0, 5)), np.ones((0, 2)), 2, 3).shape == (0, 5)


@pytest.mark.parametrize("size", [(2, 4), (3, 2), (6, 2)], ids=str)
def test_gpu(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int]) -> None:
    d, degree = size
    a, b, derivs = (log_sigs(rng, 5, *size, 2).astype(dtype) for _ in range(3))
    x = rng.standard_normal((5, d)).astype(dtype)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    calls = [
        ("log_sig_combine", (a, b), {}),
        ("log_sig_combine_backprop", (derivs, a, b), {}),
        ("log_sig_join", (a, x), {"prepend": True}),
        ("log_sig_join_backprop", (derivs, a, x), {}),
        ("linear_log_sig", (x,), {"method": 0, "scalar_term": True}),
        ("linear_log_sig_backprop", (derivs, x), {}),
    ]
    for name, arrays, options in calls:
        function = getattr(siglib, name)
        wanted = function(*arrays, *size, **options)
        results = gpu.numpy(function(*map(gpu.array, arrays), *size, **options))
        for result, expected in zip(
            results if isinstance(results, tuple) else (results,),
            wanted if isinstance(wanted, tuple) else (wanted,),
            strict=True,
        ):
            assert_close(result, expected, tolerance)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.linear_log_sig(np.ones(3), 2, 2), ValueError, "displacement must have shape"),
        (lambda: siglib.linear_log_sig(np.ones(2), 2, 2, method=4), ValueError, "method must be 0, 1, 2 or 3, got 4"),
        (lambda: siglib.linear_log_sig_backprop(np.ones(4), np.ones(2), 2, 2), ValueError, "derivs must have length 3 on"),
        (lambda: siglib.log_sig_combine(np.ones(6), np.ones(5), 2, 3), ValueError, "log_sig1 must have length 5 .* got 6"),
        (lambda: siglib.log_sig_combine(np.ones(5), np.ones(6), 2, 3), ValueError, "log_sig2 must have length 5 on"),
        (lambda: siglib.log_sig_combine(np.ones((2, 5)), np.ones(5), 2, 3), ValueError, "same batch shape"),
        (lambda: siglib.log_sig_combine(np.ones(5), np.ones(5), 2, 3, lead_lag=1), TypeError, "lead_lag must be"),
        (lambda: siglib.log_sig_combine_backprop(np.ones(4), np.ones(5), np.ones(5), 2, 3), ValueError, "deriv must have"),
        (lambda: siglib.log_sig_join(np.ones(5), np.ones(3), 2, 3), ValueError, "displacement must have shape"),
        (lambda: siglib.log_sig_join(np.ones(6), np.ones(2), 2, 3), ValueError, "log_sig must have length 5"),
        (lambda: siglib.log_sig_join(np.ones(5), np.ones((1, 2)), 2, 3), ValueError, "log_sig and displacement"),
        (lambda: siglib.log_sig_join(np.ones(5), np.ones(2), 2, 3, prepend=None), TypeError, "prepend must be"),
        (lambda: siglib.log_sig_join_backprop(np.ones(4), np.ones(5), np.ones(2), 2, 3), ValueError, "d_out must have"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
