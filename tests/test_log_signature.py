"""Log-signatures: golden files, the definition, gradients, identities, threads, layouts, refusals."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits, layouts, optional
from golden import Case, cases, without_correction

import siglib

FUNCTIONS = ("log_sig", "sig_to_log_sig", "sig_to_log_sig_backprop")
# (dimension, degree): every specialised dimension, wide rows that are cut, the trivial ones.
SIZES = [
    (1, 1),
    (1, 4),
    (2, 1),
    (2, 2),
    (2, 3),
    (2, 7),
    (3, 2),
    (3, 5),
    (4, 4),
    (5, 3),
    (5, 4),
    (6, 3),
    (7, 3),
    (9, 2),
    (11, 3),
    (19, 2),
    (3, 1),
]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
methods = pytest.mark.parametrize("method", [0, 1, 2])
scalar_terms = pytest.mark.parametrize("scalar_term", [False, True], ids=["", "scalar_term"])


@pytest.mark.parametrize(
    "case",
    cases("04_log_sig", *FUNCTIONS, accept=without_correction) + cases("03_04_iisignature", "log_sig"),
)
def test_golden(case: Case) -> None:
    assert_close(getattr(siglib, case.function)(*case.args, **case.kwargs), case.outputs[0])


def sig_length(d: int, degree: int) -> int:
    return sum(d**n for n in range(1, degree + 1))


def word_index(word: tuple[int, ...], d: int) -> int:
    """Where a word stands in a signature without scalar term."""
    return sum((letter + 1) * d**i for i, letter in enumerate(reversed(word))) - 1


def tensors(
    rng: np.random.Generator, shape: tuple[int, ...], d: int, degree: int, scalar_term: bool = False
) -> np.ndarray:
    """Any numbers in the place of signatures, of the size that levels have; a stored scalar term is nonsense."""
    levels = [rng.standard_normal((*shape, d**n)) / d ** (n / 2) for n in range(1, degree + 1)]
    if scalar_term:
        levels.insert(0, np.full((*shape, 1), 17.0))
    return np.concatenate([*levels, np.zeros((*shape, 0))], axis=-1)


def project(log: np.ndarray, d: int, degree: int, method: int) -> np.ndarray:
    """What `method` shows of a full logarithm."""
    if method == 0:
        return log
    lyndon = [word_index(word, d) for word in reference.lyndon_words(d, degree)]
    values = log[..., lyndon]
    return values if method == 1 else np.linalg.solve(reference.lyndon_projection(d, degree), values.T).T


def log_of(sig: np.ndarray, d: int, degree: int, method: int, scalar_term: bool = False) -> np.ndarray:
    """The definition, for a stack of signatures."""
    rows = sig[:, scalar_term:].astype(np.float64)
    log = project(np.array([reference.tensor_log(row, d, degree) for row in rows]), d, degree, method)
    return np.insert(log, 0, 0.0, axis=1) if scalar_term and method == 0 else log


def log_derivative(flat: np.ndarray, direction: np.ndarray, d: int, degree: int) -> np.ndarray:
    """Directional derivative of log(1 + x) = sum_k c_k x^k: sum_k c_k sum_j x^j (x) dx (x) x^(k-1-j)."""
    x, dx = (reference.to_levels(v, d, degree, 0.0) for v in (flat, direction))
    powers = [reference.unit(x)]
    for _ in range(degree):
        powers.append(reference.tensor_product(powers[-1], x))
    total = np.zeros(len(flat))
    for k in range(1, degree + 1):
        for j in range(k):
            term = reference.tensor_product(reference.tensor_product(powers[j], dx), powers[k - 1 - j])
            total += (-1) ** (k - 1) / k * reference.to_flat(term)
    return total


@methods
@scalar_terms
@sizes
def test_definition(
    dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], scalar_term: bool, method: int
) -> None:
    sig = tensors(rng, (5,), *size, scalar_term).astype(dtype)
    log = siglib.sig_to_log_sig(sig, *size, method=method)
    assert log.dtype == dtype
    assert_close(log, log_of(sig, *size, method, scalar_term))


@methods
@scalar_terms
@sizes
def test_backprop_against_the_derivative(
    dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], scalar_term: bool, method: int
) -> None:
    """<gradient, direction> = <derivs, derivative along the direction>, at tensors that are no signatures."""
    sig = tensors(rng, (3,), *size, scalar_term).astype(dtype)
    derivs = rng.standard_normal(log_of(sig, *size, method, scalar_term).shape).astype(dtype)
    gradient = siglib.sig_to_log_sig_backprop(sig, derivs, *size, method=method)
    assert gradient.dtype == dtype
    assert gradient.shape == sig.shape
    if scalar_term:
        assert not gradient[:, 0].any()
        gradient, sig = gradient[:, 1:], sig[:, 1:]
        derivs = derivs[:, 1:] if method == 0 else derivs
    for _ in range(3):
        direction = tensors(rng, (3,), *size)
        change = [log_derivative(*pair, *size) for pair in zip(sig.astype(np.float64), direction, strict=True)]
        change = project(np.array(change), *size, method)
        assert_close(
            (gradient * direction).sum(axis=1), (derivs * change).sum(axis=1), 1e-11 if dtype == np.float64 else 1e-3
        )


@methods
@pytest.mark.parametrize("size", [(2, 4), (3, 3), (6, 2)], ids=str)
def test_backprop_against_finite_differences(rng: np.random.Generator, size: tuple[int, int], method: int) -> None:
    sig = tensors(rng, (1,), *size)
    derivs = rng.standard_normal(log_of(sig, *size, method).shape)
    expected = reference.numeric_gradient(lambda s: float((derivs * log_of(s, *size, method)).sum()), sig)
    assert_close(siglib.sig_to_log_sig_backprop(sig, derivs, *size, method=method), expected, 1e-8)


@methods
@scalar_terms
@pytest.mark.parametrize("size", [(2, 2), (2, 5), (3, 3), (5, 3), (7, 2)], ids=str)
def test_every_batch_size(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    scalar_term: bool,
    method: int,
) -> None:
    """Full lane groups, dead lanes and signatures on their own: no row disturbs another, all instruction sets agree."""
    tolerance = 1e-13 if dtype == np.float64 else 1e-5
    all_sigs = tensors(rng, (33,), *size, scalar_term).astype(dtype)
    expected = log_of(all_sigs, *size, method, scalar_term)
    all_derivs = rng.standard_normal(expected.shape).astype(dtype)
    alone = [
        siglib.sig_to_log_sig_backprop(*row, *size, method=method) for row in zip(all_sigs, all_derivs, strict=True)
    ]
    for batch in [*range(1, 21), 33]:
        sig, derivs = all_sigs[:batch], all_derivs[:batch]
        assert_close(siglib.sig_to_log_sig(sig, *size, method=method), expected[:batch])
        assert_close(siglib.sig_to_log_sig_backprop(sig, derivs, *size, method=method), alone[:batch], tolerance)


@pytest.mark.usefixtures("eight_processors")
@methods
@pytest.mark.parametrize("size", [(2, 6), (3, 4), (8, 2)], ids=str)
@pytest.mark.parametrize("batch", [3, 16, 50])
def test_threads_do_not_change_a_bit(
    dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], batch: int, method: int
) -> None:
    sig = tensors(rng, (batch,), *size).astype(dtype)
    log = siglib.sig_to_log_sig(sig, *size, method=method)
    gradient = siglib.sig_to_log_sig_backprop(sig, log, *size, method=method)
    paths = rng.standard_normal((batch, 7, size[0])).astype(dtype)
    from_path = siglib.log_sig(paths, size[1], method=method)
    path_gradient = siglib.log_sig_backprop(paths, log, size[1], method=method)
    for n_jobs in (2, 3, 7, -1):
        assert_same_bits(siglib.sig_to_log_sig(sig, *size, method=method, n_jobs=n_jobs), log)
        assert_same_bits(siglib.sig_to_log_sig_backprop(sig, log, *size, method=method, n_jobs=n_jobs), gradient)
        assert_same_bits(siglib.log_sig(paths, size[1], method=method, n_jobs=n_jobs), from_path)
        assert_same_bits(siglib.log_sig_backprop(paths, log, size[1], method=method, n_jobs=n_jobs), path_gradient)


TRANSFORMS = [{}, {"time_aug": True, "end_time": 2.5}, {"lead_lag": True}, {"time_aug": True, "lead_lag": True}]
transforms = pytest.mark.parametrize(
    "options", TRANSFORMS, ids=lambda o: "+".join(k for k in o if k != "end_time") or "plain"
)


@methods
@scalar_terms
@transforms
@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_log_sig(
    dtype: np.dtype, rng: np.random.Generator, options: dict[str, Any], length: int, scalar_term: bool, method: int
) -> None:
    paths = (rng.standard_normal((2, 2, length, 2)) / 2).astype(dtype)
    log = siglib.log_sig(paths, 3, method=method, scalar_term=scalar_term, **options)
    d = reference.transform_path(np.zeros((1, 2)), **options).shape[-1]
    sigs = np.array([reference.signature(path, 3, **options) for path in paths.reshape(4, length, 2)])
    expected = np.concatenate([np.zeros((4, int(scalar_term and method == 0))), log_of(sigs, d, 3, method)], axis=1)
    assert_close(log, expected.reshape(2, 2, -1))


@methods
@scalar_terms
@transforms
def test_log_sig_backprop(rng: np.random.Generator, options: dict[str, Any], scalar_term: bool, method: int) -> None:
    paths = rng.standard_normal((2, 4, 2)) / 2
    d = reference.transform_path(paths[0], **options).shape[-1]
    shape = siglib.log_sig(paths, 3, method=method, scalar_term=scalar_term, **options).shape
    derivs = rng.standard_normal(shape)

    def total(paths: np.ndarray) -> float:
        log = log_of(reference.signature(paths, 3, **options), d, 3, method)
        return float((derivs[:, -log.shape[1] :] * log).sum())

    gradient = siglib.log_sig_backprop(paths, derivs, 3, method=method, scalar_term=scalar_term, **options)
    assert_close(gradient, reference.numeric_gradient(total, paths), 1e-8)


@transforms
@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_method_3_has_the_coordinates_of_method_2(
    dtype: np.dtype, rng: np.random.Generator, options: dict[str, Any], length: int
) -> None:
    """Joining increments by the Baker-Campbell-Hausdorff formula, here from the definition of both sides."""
    paths = (rng.standard_normal((2, length, 2)) / 2).astype(dtype)
    log = siglib.log_sig(paths, 3, method=3, **options)
    d = reference.transform_path(np.zeros((1, 2)), **options).shape[-1]
    assert_close(log, log_of(np.array([reference.signature(path, 3, **options) for path in paths]), d, 3, 2))
    derivs = rng.standard_normal(log.shape).astype(dtype)
    double = [array.astype(float) for array in (paths, derivs)]
    assert_same_bits(
        siglib.log_sig_backprop(paths, derivs, 3, method=3, **options),
        siglib.log_sig_backprop(*double, 3, method=2, **options).astype(dtype),
    )


@methods
def test_log_sig_in_blocks(dtype: np.dtype, rng: np.random.Generator, method: int) -> None:
    """More paths than fit into one block of scratch memory."""
    paths = rng.standard_normal((700, 3, 4)).astype(dtype)
    log = siglib.log_sig(paths, 5, method=method)
    derivs = rng.standard_normal(log.shape).astype(dtype)
    gradient = siglib.log_sig_backprop(paths, derivs, 5, method=method)
    for part in (slice(0, 32), slice(60, 100), slice(640, 700)):
        assert_close(
            log[part], log_of(reference.signature(paths[part], 5), 4, 5, method), 1e-11 if dtype == np.float64 else 1e-3
        )
        assert_close(
            siglib.log_sig_backprop(paths[part], derivs[part], 5, method=method),
            gradient[part],
            1e-12 if dtype == np.float64 else 1e-3,
        )


def test_log_sig_does_not_store_all_signatures(rng: np.random.Generator) -> None:
    paths = rng.standard_normal((2000, 3, 5))
    siglib.prepare_log_sig(5, 4, 1)
    tracemalloc.start()
    try:
        log = siglib.log_sig(paths, 4)
        gradient = siglib.log_sig_backprop(paths, log, 4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < log.nbytes + gradient.nbytes + 4 * 2**20 < paths.shape[0] * sig_length(5, 4) * 8


@pytest.mark.parametrize("size", [(2, 8), (3, 5), (4, 4), (6, 3)], ids=str)
def test_methods_agree(rng: np.random.Generator, size: tuple[int, int]) -> None:
    """Method 1 is a part of method 0 and P times method 2."""
    d, degree = size
    sig = siglib.sig(rng.standard_normal((3, 6, d)) / 2, degree)
    log, words, basis = (siglib.sig_to_log_sig(sig, *size, method=method) for method in (0, 1, 2))
    assert_close(words, log[:, [word_index(word, d) for word in reference.lyndon_words(*size)]])
    assert_close(words, basis @ reference.lyndon_projection(*size).T)


@pytest.mark.parametrize("size", [(2, 6), (3, 4), (4, 3)], ids=str)
def test_lyndon_basis_spans_the_log_signature(rng: np.random.Generator, size: tuple[int, int]) -> None:
    """The log of a path's signature is the sum of its coordinates times the expanded brackets."""
    path = rng.standard_normal((6, size[0])) / 2
    total = [np.zeros((size[0],) * n) for n in range(1, size[1] + 1)]
    for word, coordinate in zip(reference.lyndon_words(*size), siglib.log_sig(path, size[1], method=2), strict=True):
        total[len(word) - 1] += coordinate * reference.bracket(word, size[0])
    assert_close(siglib.log_sig(path, size[1], method=0), np.concatenate([level.ravel() for level in total]))


def test_logarithm_of_an_exponential(rng: np.random.Generator) -> None:
    tensor = tensors(rng, (), 3, 4)
    assert_close(siglib.sig_to_log_sig(reference.tensor_exp(tensor, 3, 4), 3, 4, method=0), tensor)


@methods
def test_reversed_path_has_the_negative(rng: np.random.Generator, method: int) -> None:
    path = rng.standard_normal((8, 3))
    assert_close(siglib.log_sig(path[::-1], 4, method=method), -siglib.log_sig(path, 4, method=method))


@methods
@scalar_terms
def test_layouts(dtype: np.dtype, rng: np.random.Generator, scalar_term: bool, method: int) -> None:
    sig = tensors(rng, (3, 2), 3, 3, scalar_term).astype(dtype)
    log = siglib.sig_to_log_sig(sig, 3, 3, method=method)
    gradient = siglib.sig_to_log_sig_backprop(sig, log, 3, 3, method=method)
    for (name, laid_sig), laid_log in zip(layouts(sig).items(), layouts(log).values(), strict=True):
        assert_same_bits(siglib.sig_to_log_sig(laid_sig, 3, 3, method=method).astype(dtype), log), name
        (
            assert_same_bits(
                siglib.sig_to_log_sig_backprop(laid_sig, laid_log, 3, 3, method=method).astype(dtype), gradient
            ),
            name,
        )
    part = siglib.sig_to_log_sig(sig[1:, :1], 3, 3, method=method)
    assert_same_bits(part, np.ascontiguousarray(log[1:, :1]))


@methods
@pytest.mark.parametrize("batch", [(0,), (3, 0), (0, 2)], ids=str)
def test_empty_batch(dtype: np.dtype, batch: tuple[int, ...], method: int) -> None:
    sig = np.zeros((*batch, sig_length(3, 3)), dtype)
    log = siglib.sig_to_log_sig(sig, 3, 3, method=method)
    paths = np.zeros((*batch, 4, 3), dtype)
    assert log.shape == (*batch, 39 if method == 0 else 14)
    assert log.dtype == dtype
    assert siglib.sig_to_log_sig_backprop(sig, log, 3, 3, method=method).shape == sig.shape
    assert siglib.log_sig(paths, 3, method=method).shape == log.shape
    assert siglib.log_sig_backprop(paths, log, 3, method=method).shape == paths.shape


@methods
@scalar_terms
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_degree_zero(batch: tuple[int, ...], scalar_term: bool, method: int) -> None:
    length = int(scalar_term and method == 0)
    paths = np.ones((*batch, 4, 3))
    assert_same_bits(siglib.log_sig(paths, 0, method=method, scalar_term=scalar_term), np.zeros((*batch, length)))
    assert_same_bits(
        siglib.log_sig_backprop(paths, np.ones((*batch, length)), 0, method=method, scalar_term=scalar_term),
        np.zeros(paths.shape),
    )
    sig = np.ones((*batch, int(scalar_term)))
    log = siglib.sig_to_log_sig(sig, 3, 0, method=method)
    assert_same_bits(log, np.zeros((*batch, length)))
    assert_same_bits(siglib.sig_to_log_sig_backprop(sig, log, 3, 0, method=method), np.zeros(sig.shape))


def test_lists_integers_and_half_precision() -> None:
    assert_same_bits(siglib.log_sig([[0, 0], [1, 0], [1, 1]], 2), np.array([1.0, 1.0, 0.5]))
    assert_same_bits(siglib.sig_to_log_sig([1, 1, 0.5, 1, 0, 0.5], 2, 2), np.array([1.0, 1.0, 0.5]))
    half = siglib.log_sig(np.array([[0, 0], [1, 0], [1, 1]], np.float16), 2)
    assert_same_bits(half, np.array([1.0, 1.0, 0.5], np.float16))


@methods
def test_nan_stays_in_its_row(rng: np.random.Generator, method: int) -> None:
    sig = tensors(rng, (9,), 3, 3)
    clean = siglib.sig_to_log_sig(sig, 3, 3, method=method)
    derivs = rng.standard_normal(clean.shape)
    clean_gradient = siglib.sig_to_log_sig_backprop(sig, derivs, 3, 3, method=method)
    sig[4, 1] = np.nan
    log, gradient = (
        siglib.sig_to_log_sig(sig, 3, 3, method=method),
        siglib.sig_to_log_sig_backprop(sig, derivs, 3, 3, method=method),
    )
    others = np.arange(9) != 4
    assert_same_bits(log[others], clean[others])
    assert_same_bits(gradient[others], clean_gradient[others])
    assert np.isnan(log[4]).any()
    assert np.isnan(gradient[4]).any()


def test_inputs_are_not_changed(rng: np.random.Generator) -> None:
    sig, derivs = tensors(rng, (9,), 3, 3, True), rng.standard_normal((9, 14))
    kept = sig.copy(), derivs.copy()
    siglib.sig_to_log_sig(sig, 3, 3, method=2)
    siglib.sig_to_log_sig_backprop(sig, derivs, 3, 3, method=2)
    assert_same_bits(sig, kept[0])
    assert_same_bits(derivs, kept[1])


def test_scalar_entry_of_derivs_is_dropped(rng: np.random.Generator) -> None:
    """For method 0 the derivatives may have the scalar term that the signature lacks."""
    sig, derivs = tensors(rng, (2,), 2, 3), rng.standard_normal((2, 15))
    expected = siglib.sig_to_log_sig_backprop(sig, derivs[:, 1:], 2, 3, method=0)
    assert_same_bits(siglib.sig_to_log_sig_backprop(sig, derivs, 2, 3, method=0), expected)


def test_first_use_in_many_threads(rng: np.random.Generator) -> None:
    sig = tensors(rng, (3,), 3, 5)
    expected = siglib.sig_to_log_sig(sig, 3, 5, method=2)
    for _ in range(5):
        siglib.clear_cache()
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: siglib.sig_to_log_sig(sig, 3, 5, method=2), range(16)))
        for result in results:
            assert_same_bits(result, expected)


def test_length() -> None:
    for d, degree in [(1, 3), (2, 0), (2, 6), (3, 4), (5, 3)]:
        assert siglib.log_sig_length(d, degree) == len(reference.lyndon_words(d, degree))
    assert siglib.log_sig_length(2, 4, time_aug=True, lead_lag=True) == len(reference.lyndon_words(5, 4))
    # Witt's formula for primes: (d^p - d) / p, added to the shorter words.
    assert siglib.log_sig_length(2, 61) - siglib.log_sig_length(2, 60) == (2**61 - 2) // 61
    assert siglib.log_sig_length(10**9, 2) == 10**9 + (10**18 - 10**9) // 2


SIG = np.zeros((2, 14))
REFUSALS = [
    (lambda: siglib.sig_to_log_sig(np.zeros((2, 13)), 2, 3), ValueError, "sig must have length 14"),
    (lambda: siglib.sig_to_log_sig(1.0, 2, 3), ValueError, "single number"),
    (lambda: siglib.sig_to_log_sig(SIG, 2, 3, method=3), ValueError, "method 3 starts from paths"),
    (lambda: siglib.sig_to_log_sig(SIG, 2, 3, method=4), ValueError, "method must be"),
    (lambda: siglib.sig_to_log_sig(SIG, 2, 3, method=-1), ValueError, "method must be at least 0"),
    (lambda: siglib.sig_to_log_sig(SIG, 2, 3, method="1"), TypeError, "method must be an integer"),
    (lambda: siglib.sig_to_log_sig(SIG, 2.0, 3), TypeError, "dimension must be an integer"),
    (lambda: siglib.sig_to_log_sig(SIG, 0, 3), ValueError, "dimension must be at least 1"),
    (lambda: siglib.sig_to_log_sig(SIG, 2, -3), ValueError, "degree must be at least 0"),
    (lambda: siglib.sig_to_log_sig(SIG, 2, 3, time_aug=1), TypeError, "time_aug must be True or False"),
    (lambda: siglib.sig_to_log_sig(SIG, 2, 3, n_jobs=0), ValueError, "n_jobs"),
    (lambda: siglib.sig_to_log_sig(np.zeros(14, complex), 2, 3), TypeError, "real numbers"),
    (
        lambda: siglib.sig_to_log_sig_backprop(SIG, np.zeros((2, 6)), 2, 3),
        ValueError,
        "log_sig_derivs must have length 5",
    ),
    (
        lambda: siglib.sig_to_log_sig_backprop(SIG, np.zeros((2, 14)), 2, 3),
        ValueError,
        "log_sig_derivs must have length 5",
    ),
    (lambda: siglib.sig_to_log_sig_backprop(SIG, np.zeros(5), 2, 3), ValueError, "same batch shape"),
    (
        lambda: siglib.sig_to_log_sig_backprop(np.zeros((200000, 14)), np.zeros(14), 2, 3, method=0),
        ValueError,
        "same batch shape",
    ),
    (
        lambda: siglib.sig_to_log_sig_backprop(np.zeros((2, 15)), np.zeros((2, 14)), 2, 3, method=0),
        ValueError,
        "length 15",
    ),
    (lambda: siglib.sig_to_log_sig_backprop(SIG, np.zeros((2, 5), np.float32), 2, 3), TypeError, "dtype"),
    (lambda: siglib.sig_to_log_sig_backprop(SIG, np.zeros((2, 5)), 2, 3, method=3), ValueError, "method 3"),
    (lambda: siglib.log_sig(np.zeros(3), 2), ValueError, "path must have shape"),
    (lambda: siglib.log_sig(np.zeros((3, 0)), 2), ValueError, "at least one channel"),
    (lambda: siglib.log_sig(np.zeros((3, 2)), 2, method=4), ValueError, "method must be 0, 1, 2 or 3, got 4"),
    (lambda: siglib.log_sig(np.zeros((3, 2)), 2, end_time="1"), TypeError, "end_time"),
    (lambda: siglib.log_sig(np.zeros((3, 2)), 2, scalar_term=1), TypeError, "scalar_term"),
    (
        lambda: siglib.log_sig(np.zeros((3, 2)), 2, correction=np.zeros((2, 2))),
        ValueError,
        "correction must have the words of levels 2 to m",
    ),
    (lambda: siglib.log_sig(np.zeros((3, 2)), 2, n_jobs="a"), TypeError, "n_jobs"),
    (lambda: siglib.log_sig(np.zeros((3, 2)), 100), ValueError, "2\\*\\*63"),
    (lambda: siglib.log_sig(np.zeros((3, 2)), 45), ValueError, "too large"),
    (lambda: siglib.log_sig_backprop(np.zeros((4, 3, 2)), np.zeros((3, 3)), 2), ValueError, "path and log_sig_derivs"),
    (lambda: siglib.log_sig(np.zeros((3, 1)), 5000, method=0), ValueError, "degrees up to 4096"),
    (lambda: siglib.log_sig_length(0, 2), ValueError, "dimension"),
    (lambda: siglib.log_sig_length(2, 2**64), ValueError, "2\\*\\*63"),
]


@pytest.mark.parametrize("call, error, message", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_correction_none_or_empty_is_fine(rng: np.random.Generator) -> None:
    path = rng.standard_normal((4, 2))
    expected = siglib.log_sig(path, 3)
    assert_same_bits(siglib.log_sig(path, 3, correction=None), expected)
    assert_same_bits(siglib.log_sig(path, 3, correction=np.zeros(0)), expected)


@methods
def test_torch(rng: np.random.Generator, method: int) -> None:
    torch = optional("torch")
    sig = torch.tensor(tensors(rng, (2, 3), 2, 3), requires_grad=True)
    log = siglib.sig_to_log_sig(sig, 2, 3, method=method)
    assert_same_bits(log.detach().numpy(), siglib.sig_to_log_sig(sig.detach().numpy(), 2, 3, method=method))
    assert torch.autograd.gradcheck(lambda s: siglib.sig_to_log_sig(s, 2, 3, method=method), sig)
    path = torch.tensor(rng.standard_normal((2, 5, 2)), requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda p: siglib.log_sig(p, 3, method=method, time_aug=True, scalar_term=True), path
    )


@methods
def test_torch_compile_and_vmap(rng: np.random.Generator, method: int) -> None:
    torch = optional("torch")
    path = torch.tensor(rng.standard_normal((4, 5, 2)), requires_grad=True)
    log = siglib.log_sig(path, 3, method=method)
    assert_same_bits(torch.func.vmap(lambda p: siglib.log_sig(p, 3, method=method))(path).detach(), log.detach())

    def both(path: Any) -> Any:
        return siglib.log_sig(path, 3, method=method), siglib.sig_to_log_sig(siglib.sig(path, 3), 2, 3, method=method)

    for compiled in torch.compile(both, fullgraph=True, backend="aot_eager")(path):
        assert_close(compiled, log.detach().numpy())
