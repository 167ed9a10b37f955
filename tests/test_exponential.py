"""Signatures from log-signatures: golden files, the definition, gradients, identities, the GPU, refusals."""

from typing import Any

import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits
from golden import Case, cases
from gpu import Gpu

import siglib
from siglib._tables import lyndon_cache

SIZES = [(1, 1), (1, 4), (2, 1), (2, 2), (2, 6), (3, 4), (4, 3), (5, 3), (6, 3), (9, 2)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
methods = pytest.mark.parametrize("method", [0, 1, 2])
scalar_terms = pytest.mark.parametrize("scalar_term", [False, True], ids=["", "scalar_term"])


@pytest.mark.parametrize("case", cases("04_log_sig", "logsig_to_sig", "logsig_to_sig_backprop"))
def test_golden(case: Case) -> None:
    assert_close(getattr(siglib, case.function)(*case.args, **case.kwargs), case.outputs[0])


def expansion(d: int, degree: int) -> np.ndarray:
    """The brackets of the Lyndon words, one in each column, written out in words."""
    columns = []
    for word in reference.lyndon_words(d, degree):
        levels = [np.zeros(d**n) for n in range(1, degree + 1)]
        levels[len(word) - 1] = reference.bracket(word, d).ravel()
        columns.append(np.concatenate(levels))
    return np.array(columns).T


def matrix_of(d: int, degree: int, method: int) -> np.ndarray:
    """What takes a log-signature of this method to values at all words."""
    brackets = expansion(d, degree)
    if method == 0:
        return np.eye(len(brackets))
    return brackets if method == 2 else brackets @ np.linalg.inv(reference.lyndon_projection(d, degree))


def exp_of(log_sig: np.ndarray, d: int, degree: int, method: int) -> np.ndarray:
    """The definition."""
    return reference.tensor_exp(log_sig.astype(float) @ matrix_of(d, degree, method).T, d, degree)


def log_sigs(rng: np.random.Generator, batch: int, d: int, degree: int, method: int) -> np.ndarray:
    """Any numbers: not those of a path."""
    lengths = [d**n for n in range(1, degree + 1)]
    if method:
        words = reference.lyndon_words(d, degree)
        lengths = [sum(len(word) == n for word in words) for n in range(1, degree + 1)]
    return np.concatenate([rng.standard_normal((batch, n)) / d ** (k / 2) for k, n in enumerate(lengths, 1)], axis=1)


def with_scalar(rows: np.ndarray, scalar_term: bool, value: float) -> np.ndarray:
    return np.insert(rows, 0, value, axis=-1) if scalar_term else rows


@methods
@scalar_terms
@sizes
def test_definition(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    scalar_term: bool,
    method: int,
) -> None:
    for batch in (1, 7, 8, 19):
        log_sig = log_sigs(rng, batch, *size, method).astype(dtype)
        given = with_scalar(log_sig, scalar_term and method == 0, 17.0)
        result = siglib.logsig_to_sig(given, *size, method=method, scalar_term=scalar_term)
        assert result.dtype == dtype
        assert_close(result, with_scalar(exp_of(log_sig, *size, method), scalar_term, 1.0))


@methods
@scalar_terms
@sizes
def test_backprop(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    scalar_term: bool,
    method: int,
) -> None:
    """<gradient, direction> = <derivs, derivative along the direction>."""
    log_sig = log_sigs(rng, 9, *size, method).astype(dtype)
    derivs = rng.standard_normal((9, siglib.sig_length(*size))).astype(dtype)
    skip = scalar_term and method == 0
    gradient = siglib.logsig_to_sig_backprop(
        with_scalar(log_sig, skip, 17.0), with_scalar(derivs, scalar_term, 3.0), *size, method=method,
        scalar_term=scalar_term,
    )  # fmt: skip
    assert gradient.dtype == dtype
    assert not gradient[:, : int(skip)].any()
    direction = log_sigs(rng, 9, *size, method)
    change = reference.directional_derivative(lambda x: exp_of(x, *size, method), log_sig.astype(float), direction)
    assert_close(
        (gradient[:, int(skip) :] * direction).sum(axis=1), (derivs * change).sum(axis=1),
        1e-8 if dtype == np.float64 else 1e-3,
    )  # fmt: skip


@methods
@pytest.mark.parametrize("size", [(2, 7), (3, 5), (5, 3)], ids=str)
def test_there_and_back(rng: np.random.Generator, size: tuple[int, int], method: int) -> None:
    """The inverse of the logarithm, at signatures of paths."""
    sig = siglib.sig(rng.standard_normal((9, 6, size[0])) / 2, size[1])
    log_sig = siglib.sig_to_log_sig(sig, *size, method=method)
    assert_close(siglib.logsig_to_sig(log_sig, *size, method=method), sig)
    sig = siglib.logsig_to_sig(log_sigs(rng, 9, *size, 2), *size, method=2)
    assert_close(siglib.logsig_to_sig(siglib.sig_to_log_sig(sig, *size, method=method), *size, method=method), sig)


@pytest.mark.parametrize("size", [(1, 3), (2, 6), (3, 4), (5, 3)], ids=str)
def test_expansion(size: tuple[int, int]) -> None:
    """The sparse matrices, against brackets."""
    for method in (1, 2):
        starts, rows, values = lyndon_cache.expansion_tables(*size, method, "float64")
        dense = np.zeros((siglib.sig_length(*size), len(starts) - 1))
        np.add.at(dense, (rows, np.repeat(np.arange(len(starts) - 1), np.diff(starts))), values)
        assert_close(dense, matrix_of(*size, method))


def test_degree_zero_and_empty_batches() -> None:
    for method in (0, 1, 2):
        one = siglib.logsig_to_sig(np.zeros((2, 0)), 3, 0, method=method, scalar_term=True)
        assert one.tolist() == ([[], []] if method == 0 else [[1.0], [1.0]])
        assert siglib.logsig_to_sig(np.zeros((0, 14 if method == 0 else 5)), 2, 3, method=method).shape == (0, 14)
    assert siglib.logsig_to_sig_backprop(np.ones(1), np.ones(1), 3, 0, method=0).tolist() == [0.0]


@methods
@pytest.mark.parametrize("size", [(1, 3), (2, 4), (3, 2), (6, 2), (3, 1)], ids=str)
def test_gpu(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int],
    method: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 1 << 12)
    log_sig = with_scalar(log_sigs(rng, 7, *size, method), method == 0, 17.0).astype(dtype)
    derivs = rng.standard_normal((7, 1 + siglib.sig_length(*size))).astype(dtype)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    result = siglib.logsig_to_sig(gpu.array(log_sig), *size, method=method, scalar_term=True)
    expected = exp_of(log_sig[:, int(method == 0) :], *size, method)
    assert_close(gpu.numpy(result), with_scalar(expected, True, 1.0), tolerance)
    gradient = siglib.logsig_to_sig_backprop(
        gpu.array(log_sig), gpu.array(derivs), *size, method=method, scalar_term=True
    )
    wanted = siglib.logsig_to_sig_backprop(log_sig, derivs, *size, method=method, scalar_term=True)
    assert_close(gpu.numpy(gradient), wanted, tolerance)


def test_inputs_are_not_changed(rng: np.random.Generator) -> None:
    log_sig, derivs = log_sigs(rng, 9, 3, 3, 1), rng.standard_normal((9, 39))
    kept = log_sig.copy(), derivs.copy()
    siglib.logsig_to_sig(log_sig, 3, 3)
    siglib.logsig_to_sig_backprop(log_sig, derivs, 3, 3)
    assert_same_bits(log_sig, kept[0])
    assert_same_bits(derivs, kept[1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.logsig_to_sig(np.ones(6), 2, 3), ValueError, "log_sig must have length 5 .* got 6"),
        (lambda: siglib.logsig_to_sig(np.ones(5), 2, 3, method=0), ValueError, "log_sig must have length 14"),
        (lambda: siglib.logsig_to_sig(np.ones(5), 2, 3, method=3), ValueError, "method 3 has the coordinates of method 2"),
        (lambda: siglib.logsig_to_sig(np.ones(5), 2, 3, method=4), ValueError, "method must be 0, 1 or 2, got 4"),
        (lambda: siglib.logsig_to_sig(np.ones(5), 2, 3, method="1"), TypeError, "method must be an integer"),
        (lambda: siglib.logsig_to_sig(1.0, 2, 3), ValueError, "single number"),
        (lambda: siglib.logsig_to_sig(np.ones(5000), 1, 5000, method=0), ValueError, "degrees up to 4096"),
        (lambda: siglib.logsig_to_sig(np.ones(siglib.log_sig_length(2, 18)), 2, 18), ValueError, "too many terms"),
        (lambda: siglib.logsig_to_sig(np.ones(5), 2, 3, scalar_term=0), TypeError, "scalar_term"),
        (lambda: siglib.logsig_to_sig_backprop(np.ones(5), np.ones(13), 2, 3), ValueError, "sig_derivs must have length 14"),
        (lambda: siglib.logsig_to_sig_backprop(np.ones((2, 5)), np.ones(14), 2, 3), ValueError, "log_sig and sig_derivs"),
        (lambda: siglib.logsig_to_sig_backprop(np.ones(5), np.ones(14, np.float32), 2, 3), TypeError, "share a dtype"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
