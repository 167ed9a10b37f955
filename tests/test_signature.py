"""Values of signatures and their products: golden files, definitions, identities, edges, refusals."""

import itertools
import math

import numpy as np
import pytest
import reference
from cases import SIZES, random_paths, transforms
from checking import assert_close, assert_same_bits, layouts
from golden import Case, cases, without_correction

import siglib

# Golden files


@pytest.mark.parametrize("case", cases("03_sig", "sig", accept=without_correction))
def test_sig_golden(case: Case) -> None:
    assert_close(siglib.sig(*case.args, **case.kwargs), case.outputs[0])


@pytest.mark.parametrize("case", cases("03_04_iisignature", "sig"))
def test_sig_golden_iisignature(case: Case) -> None:
    assert_close(siglib.sig(*case.args, **case.kwargs), case.outputs[0])


@pytest.mark.parametrize("case", cases("03_combine_join", "sig_combine"))
def test_sig_combine_golden(case: Case) -> None:
    assert_close(siglib.sig_combine(*case.args, **case.kwargs), case.outputs[0])


@pytest.mark.parametrize("case", cases("03_lengths", "sig_length"))
def test_sig_length_golden(case: Case) -> None:
    assert siglib.sig_length(*case.args, **case.kwargs) == case.outputs[0]


# Definitions


@pytest.mark.parametrize(("dimension", "degree"), SIZES)
def test_sig_is_the_product_of_exponentials(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int
) -> None:
    paths = random_paths(rng, 3, 6, dimension, dtype=dtype)
    sig = siglib.sig(paths, degree)
    assert sig.dtype == dtype
    assert_close(sig, reference.signature(paths, degree))


@transforms
@pytest.mark.parametrize("scalar_term", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize(("dimension", "degree"), [(1, 5), (2, 0), (2, 1), (2, 4), (3, 3), (5, 2), (8, 2)])
def test_sig_with_transforms(
    dtype: np.dtype,
    rng: np.random.Generator,
    dimension: int,
    degree: int,
    length: int,
    scalar_term: bool,
    transform: dict,
) -> None:
    paths = random_paths(rng, 2, length, dimension, dtype=dtype)
    sig = siglib.sig(paths, degree, scalar_term=scalar_term, **transform)
    assert sig.dtype == dtype
    assert_close(sig, reference.signature(paths, degree, scalar_term=scalar_term, **transform))


@pytest.mark.parametrize("word", reference.words(2, 4)[1:])
def test_sig_holds_iterated_integrals(rng: np.random.Generator, word: tuple[int, ...]) -> None:
    path = random_paths(rng, 5, 2)
    coefficient = siglib.sig(path, 4)[siglib.word_to_idx(word, 2)]
    assert_close(coefficient, reference.iterated_integral(path, word))


def test_sig_of_a_parabola_converges_to_its_integrals() -> None:
    """x = (t, t^2) on [0, 1]: S(01) = integral of t d(t^2) = 2/3, S(011) = integral of (2/3) t^3 d(t^2) = 4/15, ..."""
    t = np.linspace(0, 1, 20001)
    sig = siglib.sig(np.stack([t, t * t], axis=1), 3)
    exact = {(0,): 1, (1,): 1, (0, 1): 2 / 3, (1, 0): 1 / 3, (0, 1, 1): 4 / 15, (0, 0, 0): 1 / 6, (1, 1, 1): 1 / 6}
    for word, value in exact.items():
        assert_close(sig[siglib.word_to_idx(word, 2)], value, 1e-8)


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 20])
def test_sig_of_one_channel_is_powers_of_its_increment(dtype: np.dtype, rng: np.random.Generator, degree: int) -> None:
    path = random_paths(rng, 50, 1, dtype=dtype)
    powers = [float(path[-1, 0] - path[0, 0]) ** k / math.factorial(k) for k in range(1, degree + 1)]
    assert_close(siglib.sig(path, degree), powers)


@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 6), (3, 4), (5, 5), (10, 3), (16, 2), (2, 0), (4, 1)])
@pytest.mark.parametrize(("scalar1", "scalar2"), [(False, False), (True, True), (False, True)])
@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (0,)], ids=str)
def test_sig_combine_is_the_tensor_product(
    dtype: np.dtype,
    rng: np.random.Generator,
    dimension: int,
    degree: int,
    scalar1: bool,
    scalar2: bool,
    batch: tuple[int, ...],
) -> None:
    """A stored scalar term counts as 1 whatever it is; that of sig2 is dropped where sig1 has none."""
    sig1, sig2 = rng.standard_normal((2, *batch, siglib.sig_length(dimension, degree))).astype(dtype)
    expected = reference.combine(sig1, sig2, dimension, degree)
    if scalar1:
        sig1, expected = np.insert(sig1, 0, 7.0, axis=-1), np.insert(expected, 0, 1.0, axis=-1)
    if scalar2:
        sig2 = np.insert(sig2, 0, -3.0, axis=-1)
    result = siglib.sig_combine(sig1, sig2, dimension, degree)
    assert result.dtype == dtype
    assert_close(result, expected)


@transforms
def test_sig_combine_takes_the_dimension_of_the_path(rng: np.random.Generator, transform: dict) -> None:
    flags = {name: value for name, value in transform.items() if name != "end_time"}
    length = siglib.sig_length(2, 3, **flags)
    sig1, sig2 = rng.standard_normal((2, 4, length))
    width = reference.transform_path(np.zeros((1, 2)), **transform).shape[1]
    assert_close(siglib.sig_combine(sig1, sig2, 2, 3, **flags), reference.combine(sig1, sig2, width, 3))


@pytest.mark.parametrize("scalar_term", [False, True])
@pytest.mark.parametrize("dimension", range(5))
@pytest.mark.parametrize("degree", range(6))
def test_sig_length_counts_words(dimension: int, degree: int, scalar_term: bool) -> None:
    expected = len(reference.words(dimension, degree)) - (not scalar_term)
    assert siglib.sig_length(dimension, degree, scalar_term=scalar_term) == expected


def test_sig_length_is_exact_up_to_64_bits() -> None:
    assert siglib.sig_length(2, 61) == 2**62 - 2
    assert siglib.sig_length(np.int64(10), np.uint8(18)) == int("1" * 18) * 10
    for dimension, degree in [(2, 63), (2, 2**64 + 2), (10**10, 2), (2**70, 10**9)]:
        with pytest.raises(ValueError, match="coefficients"):
            siglib.sig_length(dimension, degree)


# Identities


@pytest.mark.parametrize(("dimension", "degree"), [(1, 6), (2, 7), (3, 5), (5, 4), (7, 3), (10, 3), (16, 2)])
class TestIdentities:
    def test_chen(self, rng: np.random.Generator, dimension: int, degree: int) -> None:
        """The signature of one path after another is the product of their signatures."""
        first, second = random_paths(rng, 5, 9, dimension), random_paths(rng, 5, 4, dimension)
        joined = np.concatenate([first, second + first[:, -1:] - second[:, :1]], axis=1)
        product = siglib.sig_combine(siglib.sig(first, degree), siglib.sig(second, degree), dimension, degree)
        assert_close(siglib.sig(joined, degree), product)

    def test_time_reversal_is_the_inverse(self, rng: np.random.Generator, dimension: int, degree: int) -> None:
        paths = random_paths(rng, 5, 9, dimension)
        backwards = siglib.sig(paths[:, ::-1], degree)
        product = siglib.sig_combine(siglib.sig(paths, degree), backwards, dimension, degree)
        assert_close(product, np.zeros(product.shape))

    def test_shuffle_product(self, rng: np.random.Generator, dimension: int, degree: int) -> None:
        sig = siglib.sig(random_paths(rng, 9, dimension), degree, scalar_term=True)
        words = [tuple(rng.integers(0, dimension, k)) for k in range(degree + 1) for _ in range(2)]
        for u, v in itertools.product(words, repeat=2):
            if len(u) + len(v) <= degree:
                indices = [siglib.word_to_idx(w, dimension, scalar_term=True) for w in (u, v)]
                shuffled = [
                    siglib.word_to_idx(w, dimension, scalar_term=True) for w in reference.shuffles(tuple(u), tuple(v))
                ]
                assert_close(np.prod(sig[indices]), sig[shuffled].sum())

    def test_speed_does_not_matter(self, rng: np.random.Generator, dimension: int, degree: int) -> None:
        """Points inserted on the segments and points repeated change nothing."""
        paths = random_paths(rng, 3, 9, dimension)
        middle = 0.25 * paths[:, :-1] + 0.75 * paths[:, 1:]
        slower = np.stack([paths[:, :-1], middle, middle], axis=2).reshape(3, 24, dimension)
        slower = np.concatenate([slower, paths[:, -1:]], axis=1)
        assert_close(siglib.sig(slower, degree), siglib.sig(paths, degree))

    def test_place_does_not_matter(self, rng: np.random.Generator, dimension: int, degree: int) -> None:
        paths = random_paths(rng, 3, 9, dimension)
        assert_close(siglib.sig(paths + 17.0, degree), siglib.sig(paths, degree))

    def test_there_and_back_is_nothing(self, rng: np.random.Generator, dimension: int, degree: int) -> None:
        paths = random_paths(rng, 3, 9, dimension)
        sig = siglib.sig(np.concatenate([paths, paths[:, -2::-1]], axis=1), degree)
        assert_close(sig, np.zeros(sig.shape))


# Edges


@pytest.mark.parametrize("scalar_term", [False, True])
@pytest.mark.parametrize("length", [0, 1])
@transforms
@pytest.mark.parametrize("batch", [(), (1,), (9,), (2, 3), (0,)], ids=str)
def test_a_path_that_does_not_move_has_the_trivial_signature(
    dtype: np.dtype, batch: tuple[int, ...], transform: dict, length: int, scalar_term: bool
) -> None:
    sig = siglib.sig(np.ones((*batch, length, 2), dtype), 3, scalar_term=scalar_term, **transform)
    expected = reference.signature(np.ones((*batch, 1, 2)), 3, scalar_term=scalar_term, **transform)
    assert sig.dtype == dtype
    assert_close(sig, expected, 0.0)
    assert not sig[..., int(scalar_term) :].any()
    assert (sig[..., : int(scalar_term)] == 1).all()


@pytest.mark.parametrize("scalar_term", [False, True])
@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (0,)], ids=str)
def test_degree_zero(batch: tuple[int, ...], scalar_term: bool) -> None:
    assert_close(siglib.sig(np.ones((*batch, 4, 2)), 0, scalar_term=scalar_term), np.ones((*batch, int(scalar_term))))


@pytest.mark.parametrize("shape", [(0, 5, 2), (3, 0, 5, 2), (0, 0, 0, 1), (2, 2, 2, 5, 2), (1, 1, 5, 2), (2, 0, 0, 3)])
def test_batch_axes_are_kept(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    paths = random_paths(rng, *shape)
    sig = siglib.sig(paths, 3)
    assert sig.flags.c_contiguous
    assert_close(sig, reference.signature(paths, 3))


@pytest.mark.parametrize("end_time", [0.0, -2.0, 1e-3, 3])
def test_end_time_is_any_number(rng: np.random.Generator, end_time: float) -> None:
    path = random_paths(rng, 6, 2)
    expected = reference.signature(path, 3, time_aug=True, end_time=end_time)
    assert_close(siglib.sig(path, 3, time_aug=True, end_time=end_time), expected)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1)))))
@transforms
def test_memory_layout_does_not_matter(dtype: np.dtype, rng: np.random.Generator, layout: str, transform: dict) -> None:
    paths = random_paths(rng, 2, 5, 6, 3, dtype=dtype)
    other = layouts(paths)[layout]
    np.testing.assert_array_equal(siglib.sig(other, 3, **transform), siglib.sig(paths, 3, **transform))
    np.testing.assert_array_equal(other, paths)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1)))))
def test_memory_layout_does_not_matter_to_sig_combine(dtype: np.dtype, rng: np.random.Generator, layout: str) -> None:
    sig1, sig2 = rng.standard_normal((2, 3, 5, 39)).astype(dtype)
    other1, other2 = layouts(sig1)[layout], layouts(sig2)[layout]
    np.testing.assert_array_equal(siglib.sig_combine(other1, other2, 3, 3), siglib.sig_combine(sig1, sig2, 3, 3))
    np.testing.assert_array_equal(other1, sig1)
    np.testing.assert_array_equal(other2, sig2)


def test_one_point_repeated_in_memory_is_a_path() -> None:
    path = np.broadcast_to(np.array([1.0, 2.0]), (3, 5, 2))
    assert_close(siglib.sig(path, 3), np.zeros((3, 14)), 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_not_a_number_stays_in_its_path_and_channel(dtype: np.dtype, rng: np.random.Generator, value: float) -> None:
    paths = random_paths(rng, 11, 6, 3, dtype=dtype)
    clean = siglib.sig(paths, 3)
    spoiled = paths.copy()
    spoiled[4, 2, 1] = value
    sig = siglib.sig(spoiled, 3)
    words = reference.words(3, 3)[1:]
    uses_channel = np.array([1 in word for word in words])
    assert_same_bits(np.delete(sig, 4, axis=0), np.delete(clean, 4, axis=0))
    assert_close(sig[4, ~uses_channel], clean[4, ~uses_channel])
    assert not np.isfinite(sig[4, uses_channel]).any()


def test_half_precision_is_computed_in_single(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 3, 6, 2, dtype=np.float16)
    sig = siglib.sig(paths, 3)
    assert_same_bits(sig, siglib.sig(paths.astype(np.float32), 3).astype(np.float16))


def test_lists_and_integers_are_float64() -> None:
    expected = np.array([2.0, 1.0, 2.0, 2.0, 0.0, 0.5])
    for path in ([[0, 0], [2, 0], [2, 1]], np.array([[0, 0], [2, 0], [2, 1]], np.int8)):
        assert_same_bits(siglib.sig(path, 2), expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.sig(np.zeros(3), 2), ValueError, r"path must have shape .* got \(3,\)"),
        (lambda: siglib.sig(3.0, 2), ValueError, r"path must have shape .* got \(\)"),
        (lambda: siglib.sig(np.zeros((4, 0)), 2), ValueError, r"path .*one channel.* \(4, 0\)"),
        (lambda: siglib.sig(np.zeros((4, 2)), -1), ValueError, "degree must be at least 0, got -1"),
        (lambda: siglib.sig(np.zeros((4, 2)), 2.0), TypeError, "degree must be an integer, got 2.0"),
        (lambda: siglib.sig(np.zeros((4, 2)), True), TypeError, "degree must be an integer"),
        (lambda: siglib.sig(np.zeros((4, 2)), 100), ValueError, "coefficients"),
        (lambda: siglib.sig(np.zeros((4, 2)), 2, time_aug=1), TypeError, "time_aug must be True or False"),
        (lambda: siglib.sig(np.zeros((4, 2)), 2, lead_lag=None), TypeError, "lead_lag must be True or False"),
        (lambda: siglib.sig(np.zeros((4, 2)), 2, end_time="1"), TypeError, "end_time must be a real number"),
        (lambda: siglib.sig(np.zeros((4, 2)), 2, n_jobs=0), ValueError, "n_jobs must not be 0"),
        (lambda: siglib.sig(np.zeros((4, 2)), 2, n_jobs=-(10**6)), ValueError, "n_jobs=-1000000 leaves no thread"),
        (lambda: siglib.sig(np.zeros((4, 2)), 2, correction=np.ones(3)), ValueError, "correction"),
        (lambda: siglib.sig(np.zeros((4, 2), complex), 2), TypeError, "path must be .* real"),
        (lambda: siglib.sig([[1, 2], [3]], 2), ValueError, "path"),
        (lambda: siglib.sig_length(2.5, 2), TypeError, "dimension must be an integer"),
        (lambda: siglib.sig_length(-1, 2), ValueError, "dimension must be at least 0"),
        (lambda: siglib.sig_length(2, -1), ValueError, "degree must be at least 0"),
        (
            lambda: siglib.sig_combine(np.zeros(5), np.zeros(5), 2, 2),
            ValueError,
            "sig1 must have length 6 .*or 7.* got 5",
        ),
        (lambda: siglib.sig_combine(np.zeros(6), np.zeros(5), 2, 2), ValueError, "sig2 must have length 6.* got 5"),
        (lambda: siglib.sig_combine(np.zeros(7), np.zeros(6), 2, 2), ValueError, "sig2 must have length 7.* got 6"),
        (lambda: siglib.sig_combine(np.zeros((2, 6)), np.zeros(6), 2, 2), ValueError, r"sig1 .*sig2 .*\(2,\) and \(\)"),
        (lambda: siglib.sig_combine(np.zeros((2, 6)), np.zeros((3, 6)), 2, 2), ValueError, r"\(2,\) and \(3,\)"),
        (
            lambda: siglib.sig_combine(np.zeros((2, 6)), np.zeros((2, 6)), 0, 2),
            ValueError,
            "dimension must be at least 1",
        ),
        (lambda: siglib.sig_combine(np.zeros(6), np.zeros(6, np.float32), 2, 2), TypeError, "float64.*float32"),
        (lambda: siglib.sig_combine(1.0, 1.0, 2, 2), ValueError, "sig1"),
    ],
)
def test_refusals_name_the_argument(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
