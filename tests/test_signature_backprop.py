"""Gradients of signatures and their products: golden files, exact gradients, finite differences, adjoints, refusals."""

import numpy as np
import pytest
import reference
from cases import SIZES, random_paths, transforms
from checking import assert_close, assert_same_bits, layouts
from golden import Case, cases, without_correction

import siglib

GRADIENT_TOLERANCE = {"float64": 1e-11, "float32": 1e-3}


def gradient_of_sig(paths: np.ndarray, derivs: np.ndarray, degree: int, **options: object) -> np.ndarray:
    return siglib.sig_backprop(paths, siglib.sig(paths, degree, **options), derivs, degree, **options)


# Golden files


@pytest.mark.parametrize("case", cases("03_sig", "sig_backprop", accept=without_correction))
def test_sig_backprop_golden(case: Case) -> None:
    assert_close(siglib.sig_backprop(*case.args, **case.kwargs), case.outputs[0])


@pytest.mark.parametrize("case", cases("03_04_iisignature", "sig_backprop"))
def test_sig_backprop_golden_iisignature(case: Case) -> None:
    # That library's gradient is computed in single precision.
    assert_close(siglib.sig_backprop(*case.args, **case.kwargs), case.outputs[0], 1e-6)


@pytest.mark.parametrize("case", cases("03_combine_join", "sig_combine_backprop"))
def test_sig_combine_backprop_golden(case: Case) -> None:
    for actual, expected in zip(siglib.sig_combine_backprop(*case.args, **case.kwargs), case.outputs, strict=True):
        assert_close(actual, expected)


# Definitions


@pytest.mark.parametrize(("dimension", "degree"), SIZES)
def test_sig_backprop_is_the_exact_gradient(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int
) -> None:
    paths = random_paths(rng, 3, 5, dimension, dtype=dtype)
    derivs = rng.standard_normal((3, siglib.sig_length(dimension, degree))).astype(dtype)
    gradient = gradient_of_sig(paths, derivs, degree)
    assert gradient.dtype == dtype
    expected = reference.signature_gradient(paths, derivs, degree)
    assert_close(gradient, expected, GRADIENT_TOLERANCE[dtype.name])


@transforms
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize(("dimension", "degree"), [(1, 5), (2, 0), (2, 1), (2, 4), (3, 3), (5, 2), (8, 2)])
def test_sig_backprop_with_transforms(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int, length: int, transform: dict
) -> None:
    paths = random_paths(rng, 2, length, dimension, dtype=dtype)
    sig = siglib.sig(paths, degree, **transform)
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    gradient = siglib.sig_backprop(paths, sig, derivs, degree, **transform)
    assert gradient.dtype == dtype
    expected = reference.signature_gradient(paths, derivs, degree, **transform)
    assert_close(gradient, expected, GRADIENT_TOLERANCE[dtype.name])


@transforms
@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 4), (3, 3)])
def test_sig_backprop_against_central_differences(
    rng: np.random.Generator, dimension: int, degree: int, transform: dict
) -> None:
    paths = random_paths(rng, 2, 5, dimension)
    derivs = rng.standard_normal(siglib.sig(paths, degree, **transform).shape)
    numeric = reference.numeric_gradient(lambda x: np.vdot(reference.signature(x, degree, **transform), derivs), paths)
    assert_close(gradient_of_sig(paths, derivs, degree, **transform), numeric, 1e-7)


@pytest.mark.parametrize(("dimension", "degree"), [(2, 6), (3, 5), (5, 4), (10, 3)])
@pytest.mark.parametrize("batch", [1, 3, 7, 13])
def test_sig_backprop_is_the_adjoint_of_moving_the_path(
    rng: np.random.Generator, batch: int, dimension: int, degree: int
) -> None:
    """<J v, g> = <v, J^T g> in a random direction v that moves all paths."""
    paths, directions = random_paths(rng, 2, batch, 40, dimension)
    derivs = rng.standard_normal((batch, siglib.sig_length(dimension, degree)))
    moved = reference.directional_derivative(lambda x: siglib.sig(x, degree), paths, directions)
    gradient = gradient_of_sig(paths, derivs, degree)
    assert_close(np.sum(gradient * directions, axis=(1, 2)), np.sum(moved * derivs, axis=1), 1e-7)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)], ids=str)
@pytest.mark.parametrize(("in_sig", "in_derivs"), [(True, True), (False, True)])
def test_sig_backprop_ignores_the_scalar_term(
    dtype: np.dtype, rng: np.random.Generator, in_sig: bool, in_derivs: bool, batch: tuple[int, ...]
) -> None:
    paths = random_paths(rng, *batch, 6, 3, dtype=dtype)
    sig = siglib.sig(paths, 3)
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    expected = siglib.sig_backprop(paths, sig, derivs, 3)
    if in_sig:
        sig = np.insert(sig, 0, 5.0, axis=-1)
    if in_derivs:
        derivs = np.insert(derivs, 0, 9.0, axis=-1)
    assert_same_bits(siglib.sig_backprop(paths, sig, derivs, 3), expected)


@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 6), (3, 4), (5, 5), (10, 3), (16, 2), (2, 0), (4, 1)])
@pytest.mark.parametrize(("scalar1", "scalar2"), [(False, False), (True, True), (False, True)])
@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (0,)], ids=str)
def test_sig_combine_backprop_is_the_exact_gradient(
    dtype: np.dtype,
    rng: np.random.Generator,
    dimension: int,
    degree: int,
    scalar1: bool,
    scalar2: bool,
    batch: tuple[int, ...],
) -> None:
    """Gradients have the shape of their signature, 0 at the scalar term."""
    length = siglib.sig_length(dimension, degree)
    derivs, sig1, sig2 = rng.standard_normal((3, *batch, length)).astype(dtype)
    expected1, expected2 = reference.combine_gradients(derivs, sig1, sig2, dimension, degree)
    if scalar1:
        sig1, expected1 = np.insert(sig1, 0, 7.0, axis=-1), np.insert(expected1, 0, 0.0, axis=-1)
        derivs = np.insert(derivs, 0, 11.0, axis=-1)
    if scalar2:
        sig2, expected2 = np.insert(sig2, 0, -3.0, axis=-1), np.insert(expected2, 0, 0.0, axis=-1)
    sig1_derivs, sig2_derivs = siglib.sig_combine_backprop(derivs, sig1, sig2, dimension, degree)
    assert sig1_derivs.dtype == sig2_derivs.dtype == dtype
    assert_close(sig1_derivs, expected1)
    assert_close(sig2_derivs, expected2)


@transforms
def test_sig_combine_backprop_takes_the_dimension_of_the_path(rng: np.random.Generator, transform: dict) -> None:
    flags = {name: value for name, value in transform.items() if name != "end_time"}
    derivs, sig1, sig2 = rng.standard_normal((3, 4, siglib.sig_length(2, 3, **flags)))
    width = reference.transform_path(np.zeros((1, 2)), **transform).shape[1]
    actual = siglib.sig_combine_backprop(derivs, sig1, sig2, 2, 3, **flags)
    for result, expected in zip(actual, reference.combine_gradients(derivs, sig1, sig2, width, 3), strict=True):
        assert_close(result, expected)


# Edges


@pytest.mark.parametrize("length", [0, 1])
@transforms
@pytest.mark.parametrize("batch", [(), (1,), (9,), (2, 3), (0,)], ids=str)
def test_a_path_that_does_not_move_has_gradient_zero(
    dtype: np.dtype, batch: tuple[int, ...], transform: dict, length: int
) -> None:
    paths = np.ones((*batch, length, 2), dtype)
    sig = siglib.sig(paths, 3, **transform)
    gradient = siglib.sig_backprop(paths, sig, np.ones_like(sig), 3, **transform)
    assert_same_bits(gradient, np.zeros(paths.shape, dtype))


@pytest.mark.parametrize("scalar_term", [False, True])
@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3), (0,)], ids=str)
def test_degree_zero_has_gradient_zero(batch: tuple[int, ...], scalar_term: bool) -> None:
    paths = np.ones((*batch, 4, 2))
    sig = siglib.sig(paths, 0, scalar_term=scalar_term)
    assert_same_bits(siglib.sig_backprop(paths, sig, np.ones_like(sig), 0), np.zeros(paths.shape))


@pytest.mark.parametrize("shape", [(0, 5, 2), (3, 0, 5, 2), (2, 2, 2, 5, 2), (1, 1, 5, 2), (2, 0, 0, 3)])
def test_batch_axes_are_kept(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    paths = random_paths(rng, *shape)
    derivs = rng.standard_normal((*shape[:-2], siglib.sig_length(shape[-1], 3)))
    gradient = gradient_of_sig(paths, derivs, 3)
    assert gradient.flags.c_contiguous
    expected = [
        reference.signature_gradient(paths[index][None], derivs[index][None], 3) for index in np.ndindex(*shape[:-2])
    ]
    assert_close(gradient, np.array(expected).reshape(shape))


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1)))))
@transforms
def test_memory_layout_does_not_matter(dtype: np.dtype, rng: np.random.Generator, layout: str, transform: dict) -> None:
    paths = random_paths(rng, 2, 5, 6, 3, dtype=dtype)
    sig = siglib.sig(paths, 3, **transform)
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    expected = siglib.sig_backprop(paths, sig, derivs, 3, **transform)
    arrays = (paths, sig, derivs)
    others = tuple(layouts(array)[layout] for array in arrays)
    np.testing.assert_array_equal(siglib.sig_backprop(*others, 3, **transform), expected)
    for other, array in zip(others, arrays, strict=True):
        np.testing.assert_array_equal(other, array)


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1)))))
def test_memory_layout_does_not_matter_to_sig_combine(dtype: np.dtype, rng: np.random.Generator, layout: str) -> None:
    arrays = rng.standard_normal((3, 2, 5, 39)).astype(dtype)
    others = [layouts(array)[layout] for array in arrays]
    expected = siglib.sig_combine_backprop(*arrays, 3, 3)
    for actual, value in zip(siglib.sig_combine_backprop(*others, 3, 3), expected, strict=True):
        np.testing.assert_array_equal(actual, value)
    for other, array in zip(others, arrays, strict=True):
        np.testing.assert_array_equal(other, array)


def test_one_cotangent_repeated_in_memory(rng: np.random.Generator) -> None:
    """What the gradient of a sum looks like: one number with strides 0."""
    paths = random_paths(rng, 5, 6, 2)
    ones = np.broadcast_to(1.0, (5, 14))
    assert_same_bits(gradient_of_sig(paths, ones, 3), gradient_of_sig(paths, np.ones((5, 14)), 3))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_not_a_number_stays_in_its_path(dtype: np.dtype, rng: np.random.Generator) -> None:
    paths = random_paths(rng, 11, 6, 3, dtype=dtype)
    derivs = rng.standard_normal((11, 39)).astype(dtype)
    clean = gradient_of_sig(paths, derivs, 3)
    paths[4, 2, 1] = np.nan
    spoiled = gradient_of_sig(paths, derivs, 3)
    assert_same_bits(np.delete(spoiled, 4, axis=0), np.delete(clean, 4, axis=0))
    assert np.isnan(spoiled[4]).any()


PATHS, SIGS = np.zeros((3, 4, 2)), np.zeros((3, 6))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.sig_backprop(np.zeros(3), SIGS, SIGS, 2), ValueError, r"path must have shape .* got \(3,\)"),
        (lambda: siglib.sig_backprop(PATHS, SIGS[:2], SIGS[:2], 2), ValueError, r"path .*sig .*\(3,\) and \(2,\)"),
        (lambda: siglib.sig_backprop(PATHS, SIGS[0], SIGS[0], 2), ValueError, r"path .*sig .*\(3,\) and \(\)"),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS[:2], 2), ValueError, r"sig .*sig_derivs .*\(3,\) and \(2,\)"),
        (lambda: siglib.sig_backprop(PATHS, SIGS[:, 1:], SIGS, 2), ValueError, "sig must have length 6 .*or 7.* got 5"),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS[:, 1:], 2), ValueError, "sig_derivs must have length 6.* got 5"),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS, 3), ValueError, "sig must have length 14"),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS, 2, time_aug=True), ValueError, "sig must have length 12"),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS, 2, lead_lag=True), ValueError, "sig must have length 20"),
        (
            lambda: siglib.sig_backprop(PATHS, SIGS, SIGS.astype("f4"), 2),
            TypeError,
            "share a dtype, got .*float32.*float64",
        ),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS, 2.0), TypeError, "degree must be an integer"),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS, 2, n_jobs=0), ValueError, "n_jobs must not be 0"),
        (lambda: siglib.sig_backprop(PATHS, SIGS, SIGS, 2, end_time="1"), TypeError, "end_time must be a real number"),
        (lambda: siglib.sig_combine_backprop(SIGS, SIGS, SIGS[:2], 2, 2), ValueError, r"\(3,\) and \(2,\)"),
        (lambda: siglib.sig_combine_backprop(SIGS[:2], SIGS, SIGS, 2, 2), ValueError, r"deriv.*\(3,\) and \(2,\)"),
        (
            lambda: siglib.sig_combine_backprop(SIGS[:, 1:], SIGS, SIGS, 2, 2),
            ValueError,
            "deriv must have length 6.* got 5",
        ),
        (lambda: siglib.sig_combine_backprop(SIGS, SIGS, SIGS, 2, 3), ValueError, "sig1 must have length 14"),
    ],
)
def test_refusals_name_the_argument(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
