"""Signatures of many channels: level 1 as a difference, level 2 as a product of matrices, deep levels in larger trees.

Which way a call takes depends on channels and degree; sizes here lie on both sides of every border: channels that fill
vectors and tiles and those that do not, one block of channels and several, parts of a path and of a sum.
"""

import numpy as np
import pytest
import reference
from cases import random_paths, transforms
from checking import assert_close, assert_same_bits, layouts

import siglib

CHANNELS = [31, 32, 33, 47, 48, 49, 96, 97, 100, 130]
GRADIENT_TOLERANCE = {"float64": 1e-11, "float32": 1e-3}


def gradient_of_sig(paths: np.ndarray, derivs: np.ndarray, degree: int, **options: object) -> np.ndarray:
    return siglib.sig_backprop(paths, siglib.sig(paths, degree, **options), derivs, degree, **options)


def assert_moves_with(paths: np.ndarray, derivs: np.ndarray, gradient: np.ndarray, **options: object) -> None:
    """The gradient along a random direction is the central difference, exact where a signature is quadratic."""
    direction = np.random.default_rng(5).standard_normal(paths.shape)
    ends = [(reference.signature(paths + h * direction, 2, **options) * derivs).sum(axis=-1) for h in (0.5, -0.5)]
    along = (gradient.astype(np.float64) * direction).sum(axis=(-2, -1))
    scale = np.linalg.norm(gradient.astype(np.float64), axis=(-2, -1)) * np.linalg.norm(direction, axis=(-2, -1))
    assert (np.abs(ends[0] - ends[1] - along) <= GRADIENT_TOLERANCE[gradient.dtype.name] * scale).all()


# Definitions


@transforms
@pytest.mark.parametrize("length", [2, 3, 6])
@pytest.mark.parametrize("dimension", CHANNELS)
def test_level_2_of_many_channels(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, length: int, transform: dict
) -> None:
    paths = random_paths(rng, 3, length, dimension, dtype=dtype)
    sig = siglib.sig(paths, 2, **transform)
    assert_close(sig, reference.signature(paths, 2, **transform))
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    assert_moves_with(paths, derivs, siglib.sig_backprop(paths, sig, derivs, 2, **transform), **transform)


@transforms
@pytest.mark.parametrize("dimension", [33, 50])
def test_gradient_of_level_2_at_every_point(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, transform: dict
) -> None:
    paths = random_paths(rng, 2, 5, dimension, dtype=dtype)
    derivs = rng.standard_normal((2, siglib.sig(paths[0], 2, **transform).size)).astype(dtype)
    expected = reference.signature_gradient(paths, derivs, 2, **transform)
    assert_close(gradient_of_sig(paths, derivs, 2, **transform), expected, GRADIENT_TOLERANCE[dtype.name])


@transforms
@pytest.mark.parametrize("length", [64, 65, 128, 129, 257, 258, 513, 514])
def test_long_paths_of_many_channels(dtype: np.dtype, rng: np.random.Generator, length: int, transform: dict) -> None:
    paths = random_paths(rng, 2, length, 35, dtype=dtype)
    sig = siglib.sig(paths, 2, scalar_term=True, **transform)
    assert_close(sig, reference.signature(paths, 2, scalar_term=True, **transform))
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    gradient = siglib.sig_backprop(paths, sig, derivs, 2, **transform)
    assert_moves_with(paths, derivs[:, 1:], gradient, **transform)


@pytest.mark.parametrize("dimension", [257, 300])
def test_more_channels_than_a_sum_takes_at_once(dtype: np.dtype, rng: np.random.Generator, dimension: int) -> None:
    paths = random_paths(rng, 2, 4, dimension, dtype=dtype)
    sig = siglib.sig(paths, 2)
    assert_close(sig, reference.signature(paths, 2))
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    assert_moves_with(paths, derivs, siglib.sig_backprop(paths, sig, derivs, 2))


@transforms
@pytest.mark.parametrize("length", [2, 3, 70])
@pytest.mark.parametrize("dimension", [1, 3, 100])
def test_level_1_is_the_last_point_minus_the_first(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, length: int, transform: dict
) -> None:
    paths = 100 * random_paths(rng, 3, length, dimension, dtype=dtype)
    copies = 2 if "lead_lag" in transform else 1
    expected = np.concatenate([paths[:, -1] - paths[:, 0]] * copies, axis=-1)
    sig = siglib.sig(paths, 1, **transform)
    assert_same_bits(sig[:, : copies * dimension], expected)
    assert_close(sig, reference.signature(paths, 1, **transform), 1e-5)
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    gradient = siglib.sig_backprop(paths, sig, derivs, 1, **transform)
    assert_close(gradient, reference.signature_gradient(paths, derivs, 1, **transform))
    assert not gradient[:, 1:-1].any()


def test_points_in_between_do_not_count_at_degree_1(dtype: np.dtype, rng: np.random.Generator) -> None:
    paths = random_paths(rng, 2, 7, 5, dtype=dtype)
    spoiled = paths.copy()
    spoiled[:, 1:-1] = np.nan
    assert_same_bits(siglib.sig(spoiled, 1), siglib.sig(paths, 1))
    spoiled[0, -1, 2] = np.inf
    assert siglib.sig(spoiled, 1)[0, 2] == np.inf


# Larger trees, for long suffixes and many channels


@pytest.mark.parametrize("batch", [1, 2, 5, 8, 16, 17])
@pytest.mark.parametrize(("dimension", "degree"), [(21, 3), (24, 3), (8, 6), (3, 10)])
def test_deep_signatures_of_batches(
    dtype: np.dtype, rng: np.random.Generator, batch: int, dimension: int, degree: int
) -> None:
    paths = random_paths(rng, batch, 4, dimension, dtype=dtype)
    assert_close(siglib.sig(paths, degree), reference.signature(paths, degree))


@pytest.mark.parametrize(("dimension", "degree"), [(21, 3), (33, 3), (21, 4), (7, 6), (3, 9)])
def test_gradients_of_deep_signatures(dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int) -> None:
    paths = random_paths(rng, 1, 3, dimension, dtype=dtype)
    derivs = rng.standard_normal((1, siglib.sig_length(dimension, degree))).astype(dtype)
    expected = reference.signature_gradient(paths, derivs, degree)
    assert_close(gradient_of_sig(paths, derivs, degree), expected, GRADIENT_TOLERANCE[dtype.name])


# Precision


def test_gradients_of_long_paths_lose_nothing(rng: np.random.Generator) -> None:
    """Nothing is taken off again: rounding does not grow with the length of the path."""
    paths = rng.standard_normal((1, 2000, 40)).cumsum(axis=1).astype(np.float32)
    derivs = rng.standard_normal((1, siglib.sig_length(40, 2))).astype(np.float32)
    exact = gradient_of_sig(paths.astype(np.float64), derivs.astype(np.float64), 2)[:, 1:-1]
    assert np.abs(gradient_of_sig(paths, derivs, 2)[:, 1:-1] - exact).max() <= 1e-6 * np.abs(exact).max()


# Layouts, threads, numbers that are not finite


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1)))))
def test_memory_layout_does_not_matter(dtype: np.dtype, rng: np.random.Generator, layout: str, degree: int) -> None:
    paths = random_paths(rng, 3, 5, 37, dtype=dtype)
    other = layouts(paths)[layout]
    sig = siglib.sig(paths, degree)
    np.testing.assert_array_equal(siglib.sig(other, degree), sig)
    gradient = siglib.sig_backprop(paths, sig, sig, degree)
    np.testing.assert_array_equal(siglib.sig_backprop(other, layouts(sig)[layout], sig, degree), gradient)


@transforms
@pytest.mark.parametrize(("batch", "dimension", "degree"), [(1, 300, 2), (5, 101, 2), (7, 40, 1), (1, 24, 3)])
def test_bits_do_not_depend_on_threads(
    dtype: np.dtype, rng: np.random.Generator, batch: int, dimension: int, degree: int, transform: dict
) -> None:
    paths = random_paths(rng, batch, 9, dimension, dtype=dtype)
    sig = siglib.sig(paths, degree, **transform)
    gradient = siglib.sig_backprop(paths, sig, sig, degree, **transform)
    for n_jobs in (2, 3):
        assert_same_bits(siglib.sig(paths, degree, n_jobs=n_jobs, **transform), sig)
        assert_same_bits(siglib.sig_backprop(paths, sig, sig, degree, n_jobs=n_jobs, **transform), gradient)


@pytest.mark.parametrize("dimension", [40, 110])
@pytest.mark.parametrize("length", [6, 11])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_not_a_number_stays_in_its_path_and_channel(
    dtype: np.dtype, rng: np.random.Generator, value: float, length: int, dimension: int
) -> None:
    paths = random_paths(rng, 3, length, dimension, dtype=dtype)
    clean = siglib.sig(paths, 2)
    for point in (0, 1, length - 2, length - 1):
        spoiled = paths.copy()
        spoiled[1, point, 37] = value
        sig = siglib.sig(spoiled, 2)
        uses_channel = np.array([37 in word for word in reference.words(dimension, 2)[1:]])
        assert_same_bits(sig[1, ~uses_channel], clean[1, ~uses_channel])
        assert not np.isfinite(sig[1, uses_channel]).any()
        assert_same_bits(sig[::2], clean[::2])
        gradient = siglib.sig_backprop(spoiled, sig, clean, 2)
        assert_same_bits(gradient[::2], siglib.sig_backprop(paths, clean, clean, 2)[::2])
        assert not np.isfinite(gradient[1]).all()


# Log-signatures, which start from them


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("method", [0, 1, 2])
def test_log_signatures_of_many_channels(dtype: np.dtype, rng: np.random.Generator, method: int, degree: int) -> None:
    paths = random_paths(rng, 2, 5, 101, dtype=dtype)
    expected = reference.tensor_log(reference.signature(paths, degree), 101, degree)
    if method:
        # Up to level 2 coordinates are values at Lyndon words: single letters, and two letters in order.
        first, second = np.triu_indices(101, k=1)
        square = expected[:, 101:].reshape(2, -1, 101)[:, first, second] if degree > 1 else expected[:, :0]
        expected = np.concatenate([expected[:, :101], square], axis=-1)
    log = siglib.log_sig(paths, degree, method=method)
    assert_close(log, expected)
    derivs = rng.standard_normal(log.shape).astype(dtype)
    gradient = siglib.log_sig_backprop(paths, derivs, degree, method=method)
    # Quadratic in the path: a central difference is exact.
    direction = rng.standard_normal(paths.shape)
    ends = [siglib.log_sig(paths + h * direction, degree, method=method) for h in (0.5, -0.5)]
    along = ((ends[0] - ends[1]) * derivs).sum(axis=-1)
    assert_close((gradient * direction).sum(axis=(-2, -1)), along, GRADIENT_TOLERANCE[dtype.name])
