"""Permutation tests of samples in chunks: the numbers of NumPy arrays, from blocks that nobody keeps."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, optional
from chunks import in_chunks

import siglib
from siglib.kernels import permutation_blocks

dask = optional("dask")
da = optional("dask.array")

OPTIONS: list[dict[str, Any]] = [
    {"dyadic_order": 1},
    {"method": "polynomial", "order": 5, "normalize": True},
    {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(1.0), "time_aug": True},
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with dask.config.set(scheduler="sync"):
        yield


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
@pytest.mark.parametrize("sizes", [(4, 3), (13, 9), (13, 2)])
def test_two_samples_in_chunks(options: dict[str, Any], sizes: tuple[int, int], rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 13, 6, 2), random_paths(rng, 9, 7, 2)
    options = options | {"permutations": 70}
    mine, theirs = np.random.default_rng(5), np.random.default_rng(5)
    expected = siglib.two_sample_test(x, y, rng=theirs, **options)
    found = siglib.two_sample_test(in_chunks(x, sizes[0]), in_chunks(y, sizes[1]), rng=mine, **options)
    assert type(found.statistic) is float
    assert_close(np.float64(found.statistic), expected.statistic, 1e-12)
    # The same labels, and as many random numbers.
    assert_close(found.permuted, expected.permuted, 1e-12)
    assert found.p_value == expected.p_value
    assert mine.random() == theirs.random()


@pytest.mark.parametrize("name", ["two_sample_test", "independence_test"])
def test_empty_chunks_change_nothing(name: str, rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 60, 5, 2), random_paths(rng, 60, 4, 2)
    more = np.insert(x, [30] * 30, 99.0, axis=0)
    with_hole = in_chunks(more, 30)[in_chunks(more, 30)[:, 0, 0] < 99.0].compute_chunk_sizes()
    assert with_hole.chunks[0] == (30, 0, 30)
    test = getattr(siglib, name)
    lengths = {"lengths1": da.from_array(rng.integers(1, 6, 60), chunks=7)}
    for options in ({}, lengths):
        options = {"permutations": 20, "dyadic_order": 0, **options}
        expected = test(in_chunks(x, 30), in_chunks(y, 30), rng=3, **options)
        found = test(with_hole, in_chunks(y, 30), rng=3, **options)
        assert_close(found.permuted, expected.permuted, 1e-12)
        assert found.p_value == expected.p_value


@pytest.mark.parametrize("name", ["two_sample_test", "independence_test"])
def test_no_gram_matrix_is_kept(name: str, rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 120, 5, 2), random_paths(rng, 120, 5, 2)
    largest = 0

    def size(result: Any) -> int:
        parts = result.values() if isinstance(result, dict) else result
        return sum(map(size, parts)) if isinstance(result, (tuple, dict)) else getattr(result, "nbytes", 0)

    def measure(key: Any, result: Any, *_: Any) -> None:
        nonlocal largest
        largest = max(largest, size(result))

    with dask.callbacks.Callback(posttask=measure):
        getattr(siglib, name)(in_chunks(x, 40), in_chunks(y, 40), dyadic_order=0, permutations=30)
    assert 0 < largest < 40 * 40 * 8


def test_partners_are_dealt_out_within_chunks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation_blocks, "_SMALLEST_BLOCK", 2)
    x, y = random_paths(rng, 6, 5, 2), random_paths(rng, 6, 8, 3)
    kernels = siglib.RBFKernel(0.8), siglib.Matern32Kernel(1.2)
    options: dict[str, Any] = {"dyadic_order": 0, "static_kernel": kernels}
    orders = [[*a, *b, 5] for a, b in itertools.product(*[itertools.permutations(c) for c in ((0, 1, 2), (3, 4))])]
    sizes = [siglib.independence_test(x, y[order], permutations=1, **options).statistic for order in orders]
    chunked = da.from_array(x, chunks=((3, 2, 1), -1, -1))
    found = siglib.independence_test(chunked, y, permutations=400, rng=0, **options)
    assert_close(np.float64(found.statistic), sizes[0], 1e-12)
    apart = np.abs(found.permuted[:, None] - np.array(sizes))
    assert apart.min(axis=1).max() < 1e-12
    assert set(apart.argmin(axis=1)) == set(range(12)), "some partners are never dealt out"
    assert found.p_value == (1 + np.sum(found.permuted >= found.statistic - 1e-12)) / 401
    monkeypatch.setattr(permutation_blocks, "_STEP", 7)
    again = siglib.independence_test(chunked, y, permutations=400, rng=0, **options)
    assert_close(again.permuted, found.permuted, 1e-12)


def test_partners_in_one_chunk_are_those_of_all_pairs(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 4, 5, 2), random_paths(rng, 4, 5, 2)
    orders = [list(order) for order in itertools.permutations(range(4))]
    sizes = [siglib.independence_test(x, y[order], dyadic_order=0, permutations=1).statistic for order in orders]
    found = siglib.independence_test(in_chunks(x, 4), in_chunks(y, 4), dyadic_order=0, permutations=900, rng=0)
    apart = np.abs(found.permuted[:, None] - np.array(sizes))
    assert apart.min(axis=0).max() < 1e-12
    assert apart.min(axis=1).max() < 1e-12


def test_false_positives_are_as_rare_as_the_level_says(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """p-values of true hypotheses are uniform: of 200, those of at most 0.2 are 40 give or take 6."""
    monkeypatch.setattr(permutation_blocks, "_SMALLEST_BLOCK", 2)
    found = np.zeros(2)
    for _ in range(200):
        x, y = (in_chunks(paths, 4) for paths in rng.standard_normal((2, 8, 4, 1)).cumsum(axis=2) / 4)
        options: dict[str, Any] = {"permutations": 39, "rng": rng, "dyadic_order": 0}
        found += [
            siglib.two_sample_test(x, y, **options).p_value <= 0.2,
            siglib.independence_test(x, y, **options).p_value <= 0.2,
        ]
    assert np.all(found > 15)
    assert np.all(found < 65)


def test_what_depends_is_found(rng: np.random.Generator) -> None:
    x = rng.standard_normal((60, 10, 1)).cumsum(axis=1) / 4
    y = x * rng.choice([-1.0, 1.0], (60, 1, 1))
    options: dict[str, Any] = {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(1.0), "rng": 0}
    assert siglib.independence_test(in_chunks(x, 20), in_chunks(y, 30), **options).p_value < 0.02


def test_what_is_not_finite_and_what_is_refused(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 45, 6, 2), random_paths(rng, 45, 6, 2)
    x[2, 3, 1] = np.nan
    for function in (siglib.two_sample_test, siglib.independence_test):
        test = function(in_chunks(x, 23), in_chunks(y, 23), dyadic_order=0, permutations=5)
        assert np.isnan([test.statistic, test.p_value, *test.permuted]).all()
        with pytest.raises(ValueError, match="sample2 must hold at least"):
            function(in_chunks(x, 23), y[:1], dyadic_order=0)
    with pytest.raises(ValueError, match="sample1 is cut into chunks of 15 pairs"):
        siglib.independence_test(in_chunks(x, 15), in_chunks(y, 15), dyadic_order=0)
    with pytest.raises(ValueError, match="got 45 and 44 paths"):
        siglib.independence_test(in_chunks(x, 45), in_chunks(y[:44], 44), dyadic_order=0)
