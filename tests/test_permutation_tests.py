"""Permutation tests from their definitions: statistics, p-values, and how often they are wrong."""

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, optional

import siglib

SOLVERS: list[dict[str, Any]] = [{"dyadic_order": 1}, {"method": "polynomial", "order": 6}]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=["finite_difference", "polynomial"])


def hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741
    """Without bias, as a mean over all pairs, triples and quadruples of different indices."""
    n = len(k)
    pairs, triples, quadruples = (list(itertools.permutations(range(n), size)) for size in (2, 3, 4))
    return (
        np.mean([k[i, j] * l[i, j] for i, j in pairs])
        + np.mean([k[i, j] * l[q, r] for i, j, q, r in quadruples])
        - 2 * np.mean([k[i, j] * l[i, q] for i, j, q in triples])
    )


@solvers
@pytest.mark.parametrize("normalize", [False, True])
def test_two_sample_statistic_is_the_discrepancy(rng: np.random.Generator, solver: dict, normalize: bool) -> None:
    x, y = random_paths(rng, 5, 6, 2), random_paths(rng, 3, 7, 2)
    options = {**solver, "normalize": normalize, "static_kernel": siglib.RBFKernel(1.5), "time_aug": True}
    test = siglib.two_sample_test(x, y, permutations=20, rng=0, **options)
    assert_close(np.float64(test.statistic), siglib.sig_mmd(x, y, **options), 1e-12)
    assert test.permuted.shape == (20,)
    assert test.p_value == (1 + np.sum(test.permuted >= test.statistic - 1e-12)) / 21


def test_two_sample_permutations_are_the_discrepancies_of_labellings(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 3, 6, 2), random_paths(rng, 2, 6, 2)
    paths = np.concatenate([x, y])
    labellings = [
        siglib.sig_mmd(paths[list(chosen)], np.delete(paths, chosen, axis=0), dyadic_order=0)
        for chosen in itertools.combinations(range(5), 3)
    ]
    test = siglib.two_sample_test(x, y, permutations=400, rng=1, dyadic_order=0)
    nearest = np.abs(test.permuted[:, None] - np.array(labellings))
    assert nearest.min(axis=1).max() < 1e-12
    assert set(nearest.argmin(axis=1)) == set(range(10)), "some labels are never dealt out"


def test_samples_of_unequal_lengths(rng: np.random.Generator) -> None:
    x, y = ([rng.standard_normal((length, 2)) for length in lengths] for lengths in ((4, 7, 5, 4, 6), (3, 5, 5, 8, 4)))
    padded = np.full((5, 9, 2), np.nan)
    for row, path in zip(padded, y, strict=True):
        row[: len(path)] = path
    lengths = [len(path) for path in y]
    options: dict[str, Any] = {"dyadic_order": 1, "time_aug": True, "rng": 0, "permutations": 50}
    gram = [[float(siglib.sig_kernel(a, b, dyadic_order=1, time_aug=True)) for b in x + y] for a in x + y]
    k, l, between = np.array(gram)[:5, :5], np.array(gram)[5:, 5:], np.array(gram)[:5, 5:]  # noqa: E741
    mmd = (k.sum() - k.trace() + l.sum() - l.trace()) / 20 - 2 * between.mean()
    for test, expected in ((siglib.two_sample_test, mmd), (siglib.independence_test, hsic(k, l))):
        found = test(x, y, **options)
        assert_close(np.float64(found.statistic), expected, 1e-12)
        again = test(x, padded, lengths2=lengths, **options)
        assert_close(np.float64(again.statistic), expected, 1e-12)
        assert again.p_value == found.p_value
    with pytest.raises(ValueError, match="sample2 must hold at least 2 paths, got 1"):
        siglib.two_sample_test(x, y[:1], dyadic_order=0)


@solvers
def test_independence_statistic_is_its_definition(rng: np.random.Generator, solver: dict) -> None:
    x, y = random_paths(rng, 6, 5, 2), random_paths(rng, 6, 8, 3)
    kernels = siglib.RBFKernel(0.8), siglib.Matern32Kernel(1.2)
    k = siglib.sig_kernel_gram(x, x, static_kernel=kernels[0], **solver)
    l = siglib.sig_kernel_gram(y, y, static_kernel=kernels[1], **solver)  # noqa: E741
    test = siglib.independence_test(x, y, static_kernel=kernels, permutations=30, rng=0, **solver)
    assert_close(np.float64(test.statistic), hsic(k, l), 1e-12)
    orders = [list(order) for order in itertools.permutations(range(6))]
    sizes = np.array([hsic(k, l[np.ix_(order, order)]) for order in orders[::30]])
    many = siglib.independence_test(x, y, static_kernel=kernels, permutations=6000, rng=0, **solver).permuted
    assert np.abs(many[:, None] - sizes).min(axis=0).max() < 1e-12
    assert 0.0 < test.p_value <= 1.0


def test_independence_of_samples_of_one_kernel(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 5, 5, 2), random_paths(rng, 5, 4, 2)
    rbf = siglib.RBFKernel(0.8)
    one = siglib.independence_test(x, y, static_kernel=rbf, dyadic_order=0, rng=0)
    two = siglib.independence_test(x, y, static_kernel=(rbf, rbf), dyadic_order=0, rng=0)
    assert one[:2] == two[:2]


def test_false_positives_are_as_rare_as_the_level_says(rng: np.random.Generator) -> None:
    """p-values of true hypotheses are uniform: of 300, those of at most 0.2 are 60 give or take 7."""
    found = np.zeros(2)
    for _ in range(300):
        x, y = rng.standard_normal((2, 6, 4, 1)).cumsum(axis=2) / 4
        options: dict[str, Any] = {"permutations": 99, "rng": rng, "dyadic_order": 0}
        found += [
            siglib.two_sample_test(x, y, **options).p_value <= 0.2,
            siglib.independence_test(x, y, **options).p_value <= 0.2,
        ]
    assert np.all(found > 30)
    assert np.all(found < 90)


def test_what_differs_and_what_depends_is_found(rng: np.random.Generator) -> None:
    x, noise = rng.standard_normal((2, 30, 15, 1)).cumsum(axis=2) / 4
    options: dict[str, Any] = {"rng": rng, "dyadic_order": 0, "static_kernel": siglib.RBFKernel(1.0), "time_aug": True}
    assert siglib.two_sample_test(x, 3 * noise, **options).p_value < 0.02
    # No linear dependence: the sign of every path is dealt out anew.
    y = x * rng.choice([-1.0, 1.0], (30, 1, 1))
    assert siglib.independence_test(x, y, **options).p_value < 0.02


def test_equal_samples(rng: np.random.Generator) -> None:
    """No permutation of equal paths is other than the data: ties count, whatever rounding says."""
    x = np.repeat(random_paths(rng, 1, 6, 2), 8, axis=0)
    assert siglib.two_sample_test(x, x, dyadic_order=0, rng=0).p_value == 1.0
    assert siglib.independence_test(x, x, dyadic_order=0, rng=0).p_value == 1.0


@pytest.mark.parametrize("name", ["two_sample_test", "independence_test"])
def test_blocks_of_permutations_and_seeds(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from siglib.kernels import permutation_tests

    function = getattr(siglib, name)
    x, y = random_paths(rng, 5, 6, 2), random_paths(rng, 5, 6, 2)
    first = function(x, y, dyadic_order=0, permutations=50, rng=3)
    again = function(x, y, dyadic_order=0, permutations=50, rng=np.random.default_rng(3))
    assert first.p_value == again.p_value
    np.testing.assert_array_equal(first.permuted, again.permuted)
    monkeypatch.setattr(permutation_tests, "_BLOCK_SIZE", 70)
    np.testing.assert_allclose(
        function(x, y, dyadic_order=0, permutations=50, rng=3).permuted, first.permuted, atol=1e-13
    )
    assert not np.array_equal(function(x, y, dyadic_order=0, permutations=50, rng=4).permuted, first.permuted)
    assert pickle.loads(pickle.dumps(first)).p_value == first.p_value


@pytest.mark.parametrize("name", ["two_sample_test", "independence_test"])
def test_what_is_not_finite(rng: np.random.Generator, name: str) -> None:
    x, y = random_paths(rng, 5, 6, 2), random_paths(rng, 5, 6, 2)
    x[2, 3, 1] = np.nan
    test = getattr(siglib, name)(x, y, dyadic_order=0, permutations=5)
    assert np.isnan([test.statistic, test.p_value, *test.permuted]).all()


@pytest.mark.parametrize("name", ["two_sample_test", "independence_test"])
def test_tensors_and_float32(rng: np.random.Generator, name: str) -> None:
    torch = optional("torch")
    x, y = random_paths(rng, 5, 6, 2, dtype=np.float32), random_paths(rng, 5, 6, 2, dtype=np.float32)
    function = getattr(siglib, name)
    expected = function(x, y, dyadic_order=0, rng=0)
    given = function(torch.tensor(x, requires_grad=True), torch.tensor(y), dyadic_order=0, rng=0)
    assert given[:2] == expected[:2]
    assert type(given.statistic) is float
    assert type(given.permuted) is np.ndarray


REFUSALS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("both", {"permutations": 0}, ValueError, "permutations must be at least 1"),
    ("both", {"permutations": 2.5}, TypeError, "permutations must be an integer"),
    ("both", {"rng": "yes"}, TypeError, "rng must be"),
    ("both", {"rng": -1}, ValueError, "rng must be"),
    ("both", {"dyadic_order": (0, 1)}, ValueError, "dyadic_order must be the same for both"),
    ("both", {"dyadic_order": None}, ValueError, "needs a dyadic_order"),
    ("both", {"sample2": np.zeros((1, 4, 2))}, ValueError, "sample2 must hold at least"),
    ("both", {"static_kernel": "rbf"}, TypeError, "static_kernel"),
    ("two_sample_test", {"sample2": np.zeros((5, 4, 3))}, ValueError, "number of channels"),
    ("independence_test", {"sample2": np.zeros((6, 4, 2))}, ValueError, "got 5 and 6 paths"),
    ("independence_test", {"static_kernel": (None, None, None)}, ValueError, "a pair of them, got 3"),
]


@pytest.mark.parametrize(("name", "options", "error", "message"), REFUSALS)
def test_refusals(name: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    for function in ["two_sample_test", "independence_test"] if name == "both" else [name]:
        arguments = {"sample1": np.zeros((5, 4, 2)), "sample2": np.zeros((5, 4, 2)), "dyadic_order": 0, **options}
        with pytest.raises(error, match=message):
            getattr(siglib, function)(**arguments)
