"""Corrected signatures: golden files, the definition, gradients, Itô's lift, torch, refusals."""

import math
from typing import Any

import numpy as np
import pytest
import reference
from cases import random_paths
from checking import assert_close, assert_same_bits, operators, optional
from correction_cases import SIZES, kinds, make
from golden import Case, cases
from reference_correction import corrected_signature

import siglib

sizes = pytest.mark.parametrize("size", SIZES, ids=str)
TRANSFORMS: list[dict[str, Any]] = [{}, {"time_aug": True, "end_time": 1.5}]
transforms = pytest.mark.parametrize("transform", TRANSFORMS, ids=["", "time_aug"])


def with_correction(record: dict[str, Any]) -> bool:
    return record["kwargs"].get("correction") is not None


@pytest.mark.parametrize(
    "case",
    cases("03_sig", "sig", "sig_backprop", accept=with_correction)
    + cases("04_log_sig", "log_sig", accept=with_correction),
)
def test_golden(case: Case) -> None:
    assert_close(getattr(siglib, case.function)(*case.args, **case.kwargs), case.outputs[0])


@kinds
@transforms
@sizes
def test_definition(
    instruction_set: str, dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int, int], kind: str,
    transform: dict[str, Any],
) -> None:  # fmt: skip
    for batch in ((), (2, 4), (11,)):
        path, correction = make(rng, size, kind, batch, 5, dtype)
        result = siglib.sig(path, size[1], correction=correction, scalar_term=True, **transform)
        expected = corrected_signature(path, correction, size[1], **transform)
        assert result.dtype == dtype
        assert_close(result, np.insert(expected, 0, 1.0, axis=-1))


@kinds
@transforms
@sizes
def test_backprop(
    dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int, int], kind: str, transform: dict[str, Any]
) -> None:
    """<gradients, direction> = <derivs, derivative along the direction>."""
    path, correction = make(rng, size, kind, (9,), 5, dtype)
    degree = size[1]
    sig = siglib.sig(path, degree, correction=correction, **transform)
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    gradients = siglib.sig_backprop(
        path, sig, derivs, degree, correction=correction, correction_deriv=True, **transform
    )
    assert gradients[0].shape == path.shape
    assert gradients[1].shape == correction.shape
    alone = siglib.sig_backprop(path, sig, derivs, degree, correction=correction, **transform)
    assert_same_bits(alone, gradients[0])
    exact = path.astype(float), correction.astype(float)
    for i, gradient in enumerate(gradients):
        assert gradient.dtype == dtype
        direction = rng.standard_normal(exact[i].shape)
        change = reference.directional_derivative(
            lambda x, i=i: corrected_signature(*((x, exact[1]) if i == 0 else (exact[0], x)), degree, **transform),
            exact[i],
            direction,
        )
        error = abs(float((gradient * direction).sum() - (derivs * change).sum()))
        scale = float(np.abs(derivs * change).sum()) + 1
        assert error / scale < (1e-8 if dtype == np.float64 else 1e-4)


@kinds
@transforms
@pytest.mark.parametrize("batch", [(), (1,), (2,), (3,), (4,), (7,)], ids=str)
def test_few_long_paths(
    monkeypatch: pytest.MonkeyPatch, dtype: np.dtype, rng: np.random.Generator, batch: tuple[int, ...], kind: str,
    transform: dict[str, Any],
) -> None:  # fmt: skip
    """Cut into chunks in time, with a rest and without one: values and gradients are those of a part of a batch."""
    monkeypatch.setattr("siglib._cpu.corrected_chunks._SEGMENTS_PER_LEVEL", 2)
    for n_points in (1 + 16 * 2 * 2, 1 + 16 * 2 * 2 + 9):
        path, correction = make(rng, (2, 2, 2), kind, batch, n_points, dtype)
        sig = siglib.sig(path, 2, correction=correction, **transform)
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        assert_close(sig, corrected_signature(path, correction, 2, **transform), tolerance)
        derivs = rng.standard_normal(sig.shape).astype(dtype)
        options = {"correction_deriv": True, **transform}
        gradients = siglib.sig_backprop(path, sig, derivs, 2, correction=correction, **options)
        # As a part of a batch that is not cut.
        many = np.broadcast_to(path, (16, *path.shape))
        rows = np.broadcast_to(correction, (16, *correction.shape)) if kind == "rows of each path" else correction
        of_one = np.zeros((16, *sig.shape), dtype)
        of_one[3] = derivs
        sigs = siglib.sig(many, 2, correction=rows, **transform)
        assert_close(sigs[3], sig.astype(float), tolerance)
        wanted = siglib.sig_backprop(many, sigs, of_one, 2, correction=rows, **options)
        assert_close(gradients[0], wanted[0][3].astype(float), 10 * tolerance)
        of_rows = wanted[1][3] if kind == "rows of each path" else wanted[1]
        assert_close(gradients[1], of_rows.astype(float), 10 * tolerance)


@pytest.mark.parametrize(
    ("dimension", "degree", "length", "same_rows", "transform"),
    [(2, 4, 40_000, True, {}), (2, 3, 20_003, False, {"time_aug": True}), (1, 3, 20_003, True, {"time_aug": True})],
)
def test_gradients_at_the_borders_of_chunks(
    instruction_set: str, dimension: int, degree: int, length: int, same_rows: bool, transform: dict[str, Any]
) -> None:
    """They are as exact as elsewhere: small differences, for a smooth path, of what two chunks have computed."""
    times = np.linspace(0, 1, length)
    path = np.stack([np.sin((3 + k) * times + k) for k in range(dimension)], axis=1)[None]
    correction = np.sin(3 * times[1:, None] + np.arange(dimension**2)) / length
    options = {"correction": correction[0] if same_rows else correction, **transform}
    sigs = siglib.sig(path, degree, **options)
    derivs = np.random.default_rng(0).standard_normal(sigs.shape)
    whole = np.repeat(path, 16, axis=0), np.repeat(sigs, 16, axis=0), np.repeat(derivs, 16, axis=0)  # is not cut
    difference = siglib.sig_backprop(path, sigs, derivs, degree, **options)[0]
    difference -= siglib.sig_backprop(*whole, degree, **options)[0]
    errors = np.abs(difference).max(axis=1)[1:-1]
    assert errors.max() <= 4 * np.quantile(errors, 0.99)


@kinds
@transforms
def test_every_entry_of_the_gradients(
    instruction_set: str, rng: np.random.Generator, kind: str, transform: dict[str, Any]
) -> None:
    path, correction = make(rng, (2, 3, 3), kind, (2,), 3)
    derivs = rng.standard_normal((2, siglib.sig_length(2, 3, time_aug=bool(transform))))
    sig = siglib.sig(path, 3, correction=correction, **transform)
    gradients = siglib.sig_backprop(path, sig, derivs, 3, correction=correction, correction_deriv=True, **transform)

    def total(path: np.ndarray, correction: np.ndarray) -> float:
        return float((derivs * corrected_signature(path, correction, 3, **transform)).sum())

    assert_close(gradients[0], reference.numeric_gradient(lambda x: total(x, correction), path), 1e-8)
    assert_close(gradients[1], reference.numeric_gradient(lambda c: total(path, c), correction), 1e-8)


@pytest.mark.parametrize("method", [0, 1, 2])
@kinds
@transforms
def test_log_sig(rng: np.random.Generator, kind: str, transform: dict[str, Any], method: int) -> None:
    path, correction = make(rng, (2, 4, 3), kind, (3,), 4)
    options: dict[str, Any] = {"method": method, "scalar_term": True, "correction": correction, **transform}
    d = 2 + bool(transform)

    def definition(path: np.ndarray, correction: np.ndarray) -> np.ndarray:
        log = reference.tensor_log(corrected_signature(path, correction, 4, **transform), d, 4)
        if method == 0:
            return np.insert(log, 0, 0.0, axis=-1)
        index = {word: i for i, word in enumerate(reference.words(d, 4)[1:])}
        values = log[..., [index[word] for word in reference.lyndon_words(d, 4)]]
        return values if method == 1 else np.linalg.solve(reference.lyndon_projection(d, 4), values.T).T

    result = siglib.log_sig(path, 4, **options)
    assert_close(result, definition(path, correction))
    derivs = rng.standard_normal(result.shape)
    gradients = siglib.log_sig_backprop(path, derivs, 4, correction_deriv=True, **options)
    assert_same_bits(siglib.log_sig_backprop(path, derivs, 4, **options), gradients[0])
    for i, gradient in enumerate(gradients):
        direction = rng.standard_normal(gradient.shape)
        change = reference.directional_derivative(
            lambda x, i=i: definition(*((x, correction) if i == 0 else (path, x))), (path, correction)[i], direction
        )
        assert abs(float((gradient * direction).sum() - (derivs * change).sum())) < 1e-7


def test_hermite_polynomials(rng: np.random.Generator) -> None:
    """In one channel Itô's lift is He_n(X, T) / n!, whatever the path: d/dX He_n = n He_(n-1), He_2 = X^2 - T."""
    path = random_paths(rng, 3, 20, 1)
    sig = siglib.sig(path, 6, correction=np.full(1, -0.5 / 19))
    x = path[:, -1, 0] - path[:, 0, 0]
    hermite = [np.ones(3), x]
    for n in range(1, 6):
        hermite.append(x * hermite[-1] - n * hermite[-2])
    assert_close(sig, np.stack([hermite[n] / math.factorial(n) for n in range(1, 7)], axis=1))


def test_expectation_of_brownian_motion(rng: np.random.Generator) -> None:
    """Levels 1 to 3 of Itô's lift have mean 0; the signature itself has that of exp(Sigma T / 2) at level 2."""
    root = np.array([[0.8, 0.0], [0.3, 0.5]])
    covariance, n_rows = root @ root.T, 6
    steps = rng.standard_normal((40000, n_rows + 1, 2)) @ root.T / math.sqrt(n_rows)
    path = steps.cumsum(axis=1)
    correction = -0.5 * covariance.ravel() / n_rows
    for given, expected in (
        (correction, np.zeros(14)),
        (None, np.concatenate([np.zeros(2), covariance.ravel() / 2, np.zeros(8)])),
    ):
        sig = siglib.sig(path, 3, correction=given)
        assert (np.abs(sig.mean(axis=0) - expected) < 5 * sig.std(axis=0) / math.sqrt(len(sig))).all()


@kinds
def test_a_path_that_does_not_move(rng: np.random.Generator, kind: str) -> None:
    """What is left is the exponential of the corrections, which are multiplied in order."""
    _, correction = make(rng, (2, 4, 2), kind, (3,), 6)
    sig = siglib.sig(np.ones((3, 6, 2)), 4, correction=correction)
    assert_close(sig, corrected_signature(np.zeros((3, 6, 2)), correction, 4))
    if kind == "one row":
        flat = np.zeros((3, 30))
        flat[:, 2:6] = 5 * correction
        assert_close(sig, reference.tensor_exp(flat, 2, 4))


@kinds
def test_chen(rng: np.random.Generator, kind: str) -> None:
    path, correction = make(rng, (3, 4, 3), kind, (2,), 8)
    parts = correction if kind == "one row" else correction[..., :4, :], correction if kind == "one row" else correction[..., 4:, :]  # fmt: skip
    first = siglib.sig(path[:, :5], 4, correction=parts[0])
    second = siglib.sig(path[:, 4:], 4, correction=parts[1])
    assert_close(siglib.sig_combine(first, second, 3, 4), siglib.sig(path, 4, correction=correction))


def test_zeros_and_nothing_correct_nothing(rng: np.random.Generator) -> None:
    path = random_paths(rng, 3, 5, 2)
    plain, log = siglib.sig(path, 3), siglib.log_sig(path, 3)
    assert_close(siglib.sig(path, 3, correction=np.zeros(4)), plain, 1e-14)
    for correction in (None, np.zeros(0), np.zeros((3, 0, 4)), []):
        assert_same_bits(siglib.sig(path, 3, correction=correction, lead_lag=False), plain)
        assert_same_bits(siglib.log_sig(path, 3, correction=correction, method=1), log)
        assert siglib.sig(path, 1, correction=correction, lead_lag=True).shape == (3, 4)


@pytest.mark.parametrize("length", [0, 1])
def test_short_paths(dtype: np.dtype, length: int) -> None:
    path, correction = np.ones((2, length, 2), dtype), np.ones(4, dtype)
    sig = siglib.sig(path, 2, correction=correction, scalar_term=True)
    assert sig.tolist() == [[1.0, *[0.0] * 6]] * 2
    gradients = siglib.sig_backprop(path, sig, sig, 2, correction=correction, correction_deriv=True)
    assert [gradient.tolist() for gradient in gradients] == [np.zeros((2, length, 2)).tolist(), [0.0] * 4]


def test_empty_batch() -> None:
    path, correction = np.ones((2, 0, 5, 2)), np.ones(4)
    sig = siglib.sig(path, 3, correction=correction)
    assert sig.shape == (2, 0, 14)
    gradients = siglib.sig_backprop(path, sig, sig, 3, correction=correction, correction_deriv=True)
    assert gradients[0].shape == path.shape
    assert gradients[1].tolist() == [0.0] * 4


@pytest.mark.usefixtures("eight_processors")
@kinds
def test_threads_and_layouts_do_not_change_a_bit(dtype: np.dtype, rng: np.random.Generator, kind: str) -> None:
    path, correction = make(rng, (3, 4, 3), kind, (40,), 5, dtype)
    sig = siglib.sig(path, 4, correction=correction)
    gradients = siglib.sig_backprop(path, sig, sig, 4, correction=correction, correction_deriv=True)
    for n_jobs in (2, 3, -1):
        assert_same_bits(siglib.sig(path, 4, correction=correction, n_jobs=n_jobs), sig)
        again = siglib.sig_backprop(path, sig, sig, 4, correction=correction, correction_deriv=True, n_jobs=n_jobs)
        for gradient, wanted in zip(again, gradients, strict=True):
            assert_same_bits(gradient, wanted)
    laid_out = np.asfortranarray(path), np.asfortranarray(correction)
    assert_same_bits(siglib.sig(laid_out[0], 4, correction=laid_out[1]), sig)


def test_half_precision(rng: np.random.Generator) -> None:
    """Computed in float32, and rounded once."""
    path, correction = make(rng, (2, 3, 2), "rows", (3,), 5, np.float16)
    wide = path.astype(np.float32), correction.astype(np.float32)
    for function, options in ((siglib.sig, {}), (siglib.log_sig, {"method": 2})):
        expected = function(wide[0], 3, correction=wide[1], **options)
        assert_same_bits(function(path, 3, correction=correction, **options), expected.astype(np.float16))
    sig = siglib.sig(path, 3, correction=correction)
    gradients = siglib.sig_backprop(path, sig, sig, 3, correction=correction, correction_deriv=True)
    wanted = siglib.sig_backprop(wide[0], *[sig.astype(np.float32)] * 2, 3, correction=wide[1], correction_deriv=True)
    for gradient, exact in zip(gradients, wanted, strict=True):
        assert_same_bits(gradient, exact.astype(np.float16))
    log = siglib.log_sig(path, 3, correction=correction)
    gradients = siglib.log_sig_backprop(path, log, 3, correction=correction, correction_deriv=True)
    assert [gradient.dtype for gradient in gradients] == [np.float16] * 2


@kinds
def test_torch(rng: np.random.Generator, kind: str) -> None:
    torch = optional("torch")
    path, correction = (torch.tensor(array, requires_grad=True) for array in make(rng, (2, 3, 3), kind, (2,), 4))
    assert torch.autograd.gradcheck(
        lambda x, c: siglib.sig(x, 3, correction=c, time_aug=True, end_time=2.0), (path, correction)
    )
    assert torch.autograd.gradcheck(lambda x, c: siglib.sig(x, 3, correction=c), (path, correction))
    assert torch.autograd.gradcheck(lambda x, c: siglib.log_sig(x, 3, correction=c, method=2), (path, correction))
    sig = siglib.sig(path, 3, correction=correction.detach())
    assert_same_bits(sig.detach().numpy(), siglib.sig(path.detach().numpy(), 3, correction=correction.detach().numpy()))
    (gradient,) = torch.autograd.grad(siglib.sig(path.detach(), 3, correction=correction).sum(), correction)
    assert gradient.shape == correction.shape
    half = siglib.sig(path.half(), 3, correction=correction.half())
    assert half.dtype is torch.float16
    assert torch.autograd.gradgradcheck(
        lambda x, c: siglib.sig(x, 3, correction=c, time_aug=True), (path, correction), check_fwd_over_rev=True
    )


def test_torch_compile_and_vmap(rng: np.random.Generator) -> None:
    torch = optional("torch")
    arrays = make(rng, (2, 3, 2), "rows of each path", (3,), 4)
    path, correction = (torch.tensor(array, requires_grad=True) for array in arrays)

    def call(x: Any, c: Any) -> Any:
        return siglib.sig(x, 3, correction=c)

    expected = call(path, correction)
    assert_close(torch.compile(call, fullgraph=True, backend="aot_eager")(path, correction), expected.detach().numpy())
    assert_close(torch.func.vmap(call)(path, correction), expected.detach().numpy())
    assert_close(torch.func.vmap(call, (0, None))(path, correction[0]), call(path, correction[0]).detach().numpy())
    options = (3, False, False, 1.0, False, 1)
    _, forward, _ = operators("sig")
    torch.library.opcheck(forward, (path, correction, *options))


PATH = np.ones((3, 5, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.sig(PATH, 2, correction=np.ones(5)), ValueError, r"2\*\*2 \+ ... \+ 2\*\*m numbers, got 5"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones(12)), ValueError, "levels 2 to m .* m up to degree"),
        (lambda: siglib.sig(PATH[..., :1], 2**40, correction=np.ones(1)), ValueError, "degrees up to 1024, got"),
        (lambda: siglib.sig(PATH, 1, correction=np.ones(4)), ValueError, "correction needs degree 2 or more, got 1"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones((3, 4))), ValueError, r"correction must have shape .* got \(3, 4\)"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones((1, 4, 4))), ValueError, r"batch axes \(3,\), got \(1, 4, 4\)"),
        (lambda: siglib.sig(PATH, 2, correction=np.float64(1)), ValueError, "single number"),
        (lambda: siglib.sig(PATH, 2, correction="no"), TypeError, "correction must be an array of real numbers"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones(4, np.float32)), TypeError, "share a dtype, got path: float64, corr"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones(4), lead_lag=True), ValueError, "together with lead_lag"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones(4), horner=1), TypeError, "horner must be True or False"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones(4), n_jobs=0), ValueError, "n_jobs"),
        (lambda: siglib.sig(PATH, 2, correction=np.ones(4), depth=2), TypeError, "argument"),
        (lambda: siglib.log_sig(PATH, 2, correction=np.ones(4), method=3), ValueError, "method must be 0, 1 or 2 with a corr"),
        (lambda: siglib.log_sig(PATH, 2, correction=np.ones(4), lead_lag=True), ValueError, "together with lead_lag"),
        (
            lambda: siglib.sig_backprop(PATH, np.ones((3, 6)), np.ones((3, 6)), 2, correction_deriv=True),
            ValueError,
            "correction_deriv is True, but there is no correction",
        ),
        (
            lambda: siglib.log_sig_backprop(PATH, np.ones((3, 3)), 2, correction_deriv=True),
            ValueError,
            "correction_deriv is True, but there is no correction",
        ),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
