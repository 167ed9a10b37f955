"""Segments and joins: golden files, the definition, gradients, identities, the GPU, refusals."""

from typing import Any

import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits
from golden import Case, cases
from gpu import Gpu

import siglib

SIZES = [(1, 1), (1, 5), (2, 1), (2, 2), (2, 7), (3, 4), (4, 3), (5, 4), (6, 2), (9, 3), (17, 2)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
prepends = pytest.mark.parametrize("prepend", [False, True], ids=["append", "prepend"])
scalar_terms = pytest.mark.parametrize("scalar_term", [False, True], ids=["", "scalar_term"])


@pytest.mark.parametrize("case", cases("03_combine_join", "linear_sig", "sig_join", "sig_join_backprop"))
def test_golden(case: Case) -> None:
    results = getattr(siglib, case.function)(*case.args, **case.kwargs)
    for result, expected in zip(results if isinstance(results, tuple) else (results,), case.outputs, strict=True):
        assert_close(result, expected)


def tensors(rng: np.random.Generator, batch: int, d: int, degree: int) -> np.ndarray:
    """Any numbers in the place of signatures, of the size that levels have."""
    return np.concatenate([rng.standard_normal((batch, d**n)) / d ** (n / 2) for n in range(1, degree + 1)], axis=1)


def segment(displacement: np.ndarray, degree: int) -> np.ndarray:
    """The signature of the path from 0 to the displacement."""
    return reference.signature(np.stack([np.zeros_like(displacement), displacement], axis=-2), degree)


def joined(sig: np.ndarray, displacement: np.ndarray, degree: int, prepend: bool) -> np.ndarray:
    """The definition: a product of two signatures."""
    parts = sig, segment(displacement, degree)
    return reference.combine(*(parts[::-1] if prepend else parts), displacement.shape[-1], degree)


def with_scalar(rows: np.ndarray, scalar_term: bool, value: float) -> np.ndarray:
    return np.insert(rows, 0, value, axis=-1) if scalar_term else rows


@scalar_terms
@sizes
def test_linear_sig(dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], scalar_term: bool) -> None:
    d, degree = size
    displacement = rng.standard_normal((11, d)).astype(dtype)
    result = siglib.linear_sig(displacement, d, degree, scalar_term=scalar_term)
    assert result.dtype == dtype
    assert_close(result, with_scalar(segment(displacement.astype(float), degree), scalar_term, 1.0))


@scalar_terms
@sizes
def test_linear_sig_backprop(
    dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], scalar_term: bool
) -> None:
    d, degree = size
    displacement = rng.standard_normal((3, d)).astype(dtype)
    derivs = tensors(rng, 3, d, degree).astype(dtype)
    path = np.stack([np.zeros((3, d)), displacement], axis=1)
    expected = reference.signature_gradient(path, derivs.astype(float), degree)[:, 1]
    given = with_scalar(derivs, scalar_term, 5.0)
    result = siglib.linear_sig_backprop(given, displacement, d, degree, scalar_term=scalar_term)
    assert_close(result, expected, 1e-12 if dtype == np.float64 else 2e-4)


@prepends
@scalar_terms
@sizes
def test_sig_join(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    scalar_term: bool,
    prepend: bool,
) -> None:
    """Full lane groups and dead lanes; the tensors need not be signatures."""
    d, degree = size
    for batch in (1, 4, 8, 19):
        sig = tensors(rng, batch, d, degree).astype(dtype)
        displacement = rng.standard_normal((batch, d)).astype(dtype)
        expected = joined(sig.astype(float), displacement.astype(float), degree, prepend)
        given = with_scalar(sig, scalar_term, 17.0)
        result = siglib.sig_join(given, displacement, d, degree, prepend=prepend)
        assert_close(result, with_scalar(expected, scalar_term, 1.0))


@prepends
@scalar_terms
@sizes
def test_sig_join_backprop(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    scalar_term: bool,
    prepend: bool,
) -> None:
    """From the gradients of the product and of the segment."""
    d, degree = size
    sig, derivs = (tensors(rng, 11, d, degree).astype(dtype) for _ in range(2))
    displacement = rng.standard_normal((11, d)).astype(dtype)
    parts = sig.astype(float), segment(displacement.astype(float), degree)
    gradients = reference.combine_gradients(derivs.astype(float), *(parts[::-1] if prepend else parts), d, degree)
    d_sig, d_segment = gradients[::-1] if prepend else gradients
    path = np.stack([np.zeros((11, d)), displacement], axis=1)
    d_displacement = reference.signature_gradient(path, d_segment, degree)[:, 1]
    results = siglib.sig_join_backprop(
        with_scalar(derivs, scalar_term, 3.0), with_scalar(sig, scalar_term, 17.0), displacement, d, degree,
        prepend=prepend,
    )  # fmt: skip
    tolerance = 1e-12 if dtype == np.float64 else 2e-4
    assert_close(results[0], with_scalar(d_sig, scalar_term, 0.0), tolerance)
    assert_close(results[1], d_displacement, tolerance)


def test_a_path_point_by_point(rng: np.random.Generator) -> None:
    """Appending or prepending all increments gives the signature of the path."""
    path = rng.standard_normal((2, 7, 3))
    increments = np.diff(path, axis=1)
    after, before = np.zeros((2, 120)), np.zeros((2, 120))
    for i in range(6):
        after = siglib.sig_join(after, increments[:, i], 3, 4)
        before = siglib.sig_join(before, increments[:, 5 - i], 3, 4, prepend=True)
    assert_close(after, reference.signature(path, 4))
    assert_close(before, reference.signature(path, 4))


def test_there_and_back(rng: np.random.Generator) -> None:
    displacement = rng.standard_normal((9, 3))
    sig = siglib.linear_sig(displacement, 3, 5)
    assert_close(siglib.sig_join(sig, -displacement, 3, 5), np.zeros(sig.shape), 1e-14)


def test_degree_zero_and_empty_batches() -> None:
    assert siglib.linear_sig(np.ones((2, 3)), 3, 0, scalar_term=True).tolist() == [[1.0], [1.0]]
    assert siglib.linear_sig_backprop(np.ones((2, 0)), np.ones((2, 3)), 3, 0).tolist() == [[0.0] * 3] * 2
    assert siglib.sig_join(np.ones(1), np.ones(3), 3, 0).tolist() == [1.0]
    d_sig, d_displacement = siglib.sig_join_backprop(np.ones(1), np.ones(1), np.ones(3), 3, 0)
    assert (d_sig.tolist(), d_displacement.tolist()) == ([0.0], [0.0] * 3)
    assert siglib.linear_sig(np.ones((0, 2)), 2, 3).shape == (0, 14)
    assert siglib.sig_join(np.ones((2, 0, 14)), np.ones((2, 0, 2)), 2, 3).shape == (2, 0, 14)


@prepends
@pytest.mark.parametrize("size", [(1, 3), (2, 4), (3, 2), (6, 2)], ids=str)
def test_gpu(gpu: Gpu, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], prepend: bool) -> None:
    d, degree = size
    sig, derivs = (with_scalar(tensors(rng, 5, d, degree), True, 2.0).astype(dtype) for _ in range(2))
    displacement = rng.standard_normal((5, d)).astype(dtype)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    on_gpu = [gpu.array(array) for array in (derivs, sig, displacement)]
    assert_close(
        gpu.numpy(siglib.linear_sig(on_gpu[2], d, degree)), segment(displacement.astype(float), degree), tolerance
    )
    assert_close(
        gpu.numpy(siglib.linear_sig_backprop(on_gpu[0], on_gpu[2], d, degree, scalar_term=True)),
        siglib.linear_sig_backprop(derivs, displacement, d, degree, scalar_term=True),
        tolerance,
    )
    expected = with_scalar(joined(sig[:, 1:].astype(float), displacement.astype(float), degree, prepend), True, 1.0)
    assert_close(gpu.numpy(siglib.sig_join(*on_gpu[1:], d, degree, prepend=prepend)), expected, tolerance)
    results = gpu.numpy(siglib.sig_join_backprop(*on_gpu, d, degree, prepend=prepend))
    wanted = siglib.sig_join_backprop(derivs, sig, displacement, d, degree, prepend=prepend)
    for result, gradient in zip(results, wanted, strict=True):
        assert_close(result, gradient, tolerance)


def test_inputs_are_not_changed(rng: np.random.Generator) -> None:
    sig, derivs, displacement = tensors(rng, 9, 3, 3), tensors(rng, 9, 3, 3), rng.standard_normal((9, 3))
    kept = sig.copy(), derivs.copy(), displacement.copy()
    siglib.sig_join(sig, displacement, 3, 3)
    siglib.sig_join_backprop(derivs, sig, displacement, 3, 3)
    for array, before in zip((sig, derivs, displacement), kept, strict=True):
        assert_same_bits(array, before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.linear_sig(np.ones(3), 2, 2), ValueError, r"displacement must have .* 2 on the last axis, got \(3,\)"),
        (lambda: siglib.linear_sig(1.0, 2, 2), ValueError, "displacement must have shape .*single number"),
        (lambda: siglib.linear_sig(np.ones(2), 0, 2), ValueError, "dimension must be at least 1"),
        (lambda: siglib.linear_sig(np.ones(2), 2, 2, scalar_term=1), TypeError, "scalar_term must be True or False"),
        (lambda: siglib.linear_sig(np.ones(2), 2, 70), ValueError, r"2\*\*63"),
        (lambda: siglib.linear_sig_backprop(np.ones(5), np.ones(2), 2, 2), ValueError, "derivs must have length 6"),
        (lambda: siglib.linear_sig_backprop(np.ones((2, 6)), np.ones(2), 2, 2), ValueError, "same batch shape"),
        (lambda: siglib.sig_join(np.ones(5), np.ones(2), 2, 2), ValueError, "sig must have length 6"),
        (lambda: siglib.sig_join(np.ones(6), np.ones(3), 2, 2), ValueError, "displacement must have shape"),
        (lambda: siglib.sig_join(np.ones((3, 6)), np.ones((2, 2)), 2, 2), ValueError, r"same batch shape, got \(3,\) and \(2,\)"),
        (lambda: siglib.sig_join(np.ones(6), np.ones(2), 2, 2, prepend=1), TypeError, "prepend must be True or False"),
        (lambda: siglib.sig_join(np.ones(6), np.ones(2), 2, 2, n_jobs=0), ValueError, "n_jobs"),
        (lambda: siglib.sig_join_backprop(np.ones(5), np.ones(6), np.ones(2), 2, 2), ValueError, "d_out must have length 6"),
        (lambda: siglib.sig_join(np.ones(6), np.ones(2, np.float32), 2, 2), TypeError, "share a dtype"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
