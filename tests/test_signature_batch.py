"""Which path gets which numbers: batches of all sizes, long paths, threads, instruction sets.

Kernels compute several (path, suffix) items side by side, put what is left of a batch into mixed groups, and cut long
paths in time where paths are few. What goes wrong there goes wrong for some batch sizes only: every size is tried,
and every path and cotangent differs from all others. Expected values are computed once per size, for a pool of paths
that the batches are slices of.
"""

from functools import cache

import numpy as np
import pytest
import reference
from cases import random_paths
from checking import assert_close, assert_same_bits

import siglib

BATCHES = [*range(1, 21), 33, 64]
TOLERANCE = {"float64": 1e-11, "float32": 1e-3}
CONFIGS = [
    # dimension, degree, length, options
    (1, 4, 6, {}),
    (2, 3, 9, {}),
    (2, 8, 5, {}),
    (2, 11, 3, {}),
    (3, 8, 3, {}),
    (4, 7, 3, {}),
    (7, 5, 3, {}),
    (3, 5, 5, {}),
    (4, 5, 4, {}),
    (5, 3, 6, {}),
    (5, 4, 4, {}),
    (7, 3, 4, {}),
    (10, 3, 4, {}),
    (17, 2, 4, {}),
    (2, 3, 5, {"time_aug": True, "lead_lag": True, "end_time": 1.5}),
    (3, 3, 6, {"time_aug": True}),
    (2, 4, 4, {"lead_lag": True}),
]
LONG_CONFIGS = [
    # dimension, degree, length, options: the length around which few paths are cut into chunks, and far beyond
    *[(2, 2, length, {}) for length in (32, 33, 63, 64, 65, 66, 67, 97, 100, 129, 257, 1000, 1025, 5000)],
    *[(2, 4, length, {}) for length in (65, 66, 129, 130, 131, 200, 514, 1000)],
    *[(3, 3, length, {}) for length in (97, 98, 99, 146, 333)],
    *[(5, 3, length, {}) for length in (97, 101, 500)],
    *[(10, 2, length, {}) for length in (65, 150)],
    *[(1, 3, length, {}) for length in (97, 400)],
    *[(2, 3, length, {"lead_lag": True}) for length in (33, 48, 49, 50, 51, 74, 100, 333)],
    *[(1, 4, length, {"lead_lag": True, "time_aug": True}) for length in (33, 65, 66, 301)],
    *[(2, 3, length, {"time_aug": True, "end_time": 3.0}) for length in (97, 98, 301)],
    # enough work for each group to be shared among threads
    *[
        (2, 10, 130, {}),
        (3, 7, 80, {}),
        (3, 8, 110, {}),
        (4, 6, 60, {}),
        (5, 4, 400, {}),
        (2, 6, 160, {"lead_lag": True}),
    ],
]


def name_of(config: tuple) -> str:
    dimension, degree, length, options = config
    return f"d{dimension}-N{degree}-L{length}" + "".join(f"-{key}" for key in options if key != "end_time")


@cache
def pool(index: int, long: bool) -> tuple[np.ndarray, ...]:
    """(paths, derivs, signatures, gradients) of the config with this index, exact to rounding."""
    dimension, degree, length, options = (LONG_CONFIGS if long else CONFIGS)[index]
    rng = np.random.default_rng(index)
    # Rounded to single precision: both dtypes compute with the same numbers.
    paths = random_paths(rng, 4 if long else 64, length, dimension, dtype=np.float32).astype(np.float64)
    sigs = reference.signature(paths, degree, **options)
    derivs = rng.standard_normal(sigs.shape).astype(np.float32).astype(np.float64)
    return paths, derivs, sigs, reference.signature_gradient(paths, derivs, degree, **options)


def check(index: int, long: bool, batch: int, dtype: np.dtype, first: int = 0, n_jobs: int = 1) -> None:
    """sig and sig_backprop of `batch` paths of the pool."""
    _, degree, _, options = (LONG_CONFIGS if long else CONFIGS)[index]
    paths, derivs, sigs, gradients = (array[first : first + batch] for array in pool(index, long))
    paths, derivs = paths.astype(dtype), derivs.astype(dtype)
    sig = siglib.sig(paths, degree, n_jobs=n_jobs, **options)
    assert_close(sig, sigs, TOLERANCE[dtype.name])
    gradient = siglib.sig_backprop(paths, sig, derivs, degree, n_jobs=n_jobs, **options)
    assert_close(gradient, gradients, TOLERANCE[dtype.name])


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("index", range(len(CONFIGS)), ids=lambda i: name_of(CONFIGS[i]))
def test_every_batch_size(dtype: np.dtype, index: int, batch: int) -> None:
    check(index, False, batch, dtype, first=min(batch % 7, 64 - batch))


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
@pytest.mark.parametrize("index", range(len(LONG_CONFIGS)), ids=lambda i: name_of(LONG_CONFIGS[i]))
def test_long_paths_in_small_batches(dtype: np.dtype, index: int, batch: int) -> None:
    check(index, True, batch, dtype, first=4 - batch)


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 12, 20, 33])
@pytest.mark.parametrize("index", range(len(CONFIGS)), ids=lambda i: name_of(CONFIGS[i]))
def test_every_instruction_set(instruction_set: str, dtype: np.dtype, index: int, batch: int) -> None:
    check(index, False, batch, dtype)


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
@pytest.mark.parametrize("index", range(0, len(LONG_CONFIGS), 3), ids=lambda i: name_of(LONG_CONFIGS[i]))
def test_every_instruction_set_on_long_paths(instruction_set: str, dtype: np.dtype, index: int, batch: int) -> None:
    check(index, True, batch, dtype)


@pytest.mark.usefixtures("eight_processors")
@pytest.mark.parametrize(
    ("shape", "degree"),
    [
        ((64, 50, 3), 4),
        ((37, 40, 2), 5),
        ((5, 60, 5), 4),
        ((1, 3000, 5), 4),
        ((2, 2000, 3), 3),
        ((3, 30, 10), 4),
        ((1, 40, 4), 7),
        ((11, 3, 2), 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("transform", [{}, {"time_aug": True, "lead_lag": True}], ids=["plain", "time_aug+lead_lag"])
def test_threads_do_not_change_bits(
    dtype: np.dtype, rng: np.random.Generator, shape: tuple[int, ...], degree: int, transform: dict
) -> None:
    if transform:
        degree = min(degree, 3)
    paths = random_paths(rng, *shape, dtype=dtype)
    sig = siglib.sig(paths, degree, **transform)
    derivs = rng.standard_normal(sig.shape).astype(dtype)
    gradient = siglib.sig_backprop(paths, sig, derivs, degree, **transform)
    for n_jobs in (1, 2, 3, -1):
        assert_same_bits(siglib.sig(paths, degree, n_jobs=n_jobs, **transform), sig)
        assert_same_bits(siglib.sig_backprop(paths, sig, derivs, degree, n_jobs=n_jobs, **transform), gradient)


@pytest.mark.usefixtures("eight_processors")
@pytest.mark.parametrize("n_jobs", [2, 3, -1])
def test_threads_do_not_change_bits_of_products(dtype: np.dtype, rng: np.random.Generator, n_jobs: int) -> None:
    arrays = rng.standard_normal((3, 37, siglib.sig_length(4, 5))).astype(dtype)
    assert_same_bits(siglib.sig_combine(*arrays[:2], 4, 5, n_jobs=n_jobs), siglib.sig_combine(*arrays[:2], 4, 5))
    results = siglib.sig_combine_backprop(*arrays, 4, 5, n_jobs=n_jobs)
    for actual, expected in zip(results, siglib.sig_combine_backprop(*arrays, 4, 5), strict=True):
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("index", range(len(CONFIGS)), ids=lambda i: name_of(CONFIGS[i]))
def test_the_result_does_not_depend_on_the_batch(dtype: np.dtype, index: int) -> None:
    """A path alone and a path among others: the same to rounding."""
    _, degree, _, options = CONFIGS[index]
    paths, derivs = (array[:13].astype(dtype) for array in pool(index, False)[:2])
    sig = siglib.sig(paths, degree, **options)
    gradient = siglib.sig_backprop(paths, sig, derivs, degree, **options)
    for b in range(13):
        alone = siglib.sig(paths[b], degree, **options)
        assert_close(alone, sig[b], 1e-13 if dtype == np.float64 else 1e-5)
        gradient_alone = siglib.sig_backprop(paths[b], sig[b], derivs[b], degree, **options)
        assert_close(gradient_alone, gradient[b], 1e-12 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("index", range(len(CONFIGS)), ids=lambda i: name_of(CONFIGS[i]))
def test_the_same_call_gives_the_same_bits(dtype: np.dtype, index: int) -> None:
    _, degree, _, options = CONFIGS[index]
    paths, derivs = (array[:11].astype(dtype) for array in pool(index, False)[:2])
    sig = siglib.sig(paths, degree, **options)
    gradient = siglib.sig_backprop(paths, sig, derivs, degree, **options)
    for _ in range(3):
        np.full(sig.size, np.nan, dtype)  # what memory held before must not matter
        assert_same_bits(siglib.sig(paths, degree, **options), sig)
        assert_same_bits(siglib.sig_backprop(paths, sig, derivs, degree, **options), gradient)


@pytest.mark.parametrize(
    ("dimension", "degree", "length", "options"),
    [
        (2, 4, 40_000, {}),
        (2, 3, 20_003, {"time_aug": True}),
        (2, 2, 20_001, {"lead_lag": True, "time_aug": True}),
        (6, 3, 20_003, {}),
    ],
)
def test_gradients_at_the_borders_of_chunks(
    instruction_set: str, dimension: int, degree: int, length: int, options: dict
) -> None:
    """They are as exact as elsewhere: small differences, for a smooth path, of what two chunks have computed."""
    times = np.linspace(0, 1, length)
    path = np.stack([np.sin((3 + k) * times + k) for k in range(dimension)], axis=1)[None]
    sigs = siglib.sig(path, degree, **options)
    derivs = np.random.default_rng(0).standard_normal(sigs.shape)
    whole = np.repeat(path, 16, axis=0), np.repeat(sigs, 16, axis=0), np.repeat(derivs, 16, axis=0)  # is not cut
    difference = siglib.sig_backprop(path, sigs, derivs, degree, **options)[0]
    difference -= siglib.sig_backprop(*whole, degree, **options)[0]
    errors = np.abs(difference).max(axis=1)[1:-1]
    assert errors.max() <= 5 * np.quantile(errors, 0.99)
