"""Branched signatures and their logarithms: golden files, definitions, identities, gradients, refusals."""

from typing import Any

import numpy as np
import pytest
import reference_branched as definition
from cases import random_paths, transforms
from checking import assert_close
from golden import Case, arrays, cases

import siglib

SIZES = [(1, 4), (2, 1), (2, 3), (3, 2)]
sizes = pytest.mark.parametrize(("dimension", "degree"), SIZES)
planars = pytest.mark.parametrize("planar", [False, True], ids=["trees", "planar"])
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


@pytest.mark.parametrize(
    "case",
    cases(
        "06_branched_sig",
        "branched_sig",
        "branched_sig_backprop",
        "branched_sig_combine",
        "branched_sig_combine_backprop",
        "linear_branched_sig",
        "linear_branched_sig_backprop",
        "branched_sig_join",
        "branched_sig_join_backprop",
    )
    + cases(
        "06_branched_log",
        "branched_log_sig",
        "branched_sig_to_log_sig",
        "branched_sig_to_log_sig_backprop",
        "branched_log_sig_join",
        "branched_log_sig_join_backprop",
        "linear_branched_log_sig",
        "linear_branched_log_sig_backprop",
    ),
)
def test_golden(case: Case) -> None:
    found = getattr(siglib, case.function)(*case.args, **case.kwargs)
    for actual, expected in zip(found if isinstance(found, tuple) else (found,), case.outputs, strict=True):
        assert_close(actual, expected, 1e-10)


@pytest.mark.parametrize("case", cases("06_branched_correction", "branched_sig"))
def test_golden_corrections(case: Case) -> None:
    """Other libraries are wrong where trees branch: there the file has numbers that follow the definition."""
    expected = arrays("06_branched_correction")[case.record["oracle_outputs"][0]["array"]]
    assert_close(siglib.branched_sig(*case.args, **case.kwargs), expected, 1e-12)


@sizes
@planars
def test_chens_identity(rng: np.random.Generator, dimension: int, degree: int, planar: bool, dtype: np.dtype) -> None:
    path = random_paths(rng, 3, 9, dimension, dtype=dtype)
    first, second = (siglib.branched_sig(part, degree, planar=planar) for part in (path[:, :5], path[:, 4:]))
    whole = siglib.branched_sig(path, degree, planar=planar)
    assert whole.dtype == dtype
    product = siglib.branched_sig_combine(first, second, dimension, degree, planar=planar)
    assert_close(product, whole, TOLERANCE[dtype.name])
    joined = siglib.branched_sig_join(first, path[:, 5] - path[:, 4], dimension, degree, planar=planar)
    assert_close(joined, siglib.branched_sig(path[:, :6], degree, planar=planar), TOLERANCE[dtype.name])


@transforms
@planars
def test_transforms_come_first(transform: dict, rng: np.random.Generator, planar: bool) -> None:
    path = random_paths(rng, 2, 5, 1)
    transformed = siglib.transform_path(path, **transform)
    for function in (siglib.branched_sig, siglib.branched_log_sig):
        expected = function(transformed, 3, planar=planar)
        assert_close(function(path, 3, planar=planar, **transform), expected, 1e-13)


@sizes
def test_values_at_trees_are_products_at_forests(rng: np.random.Generator, dimension: int, degree: int) -> None:
    """The planar value of a forest of single nodes is a word's; the sum over their orders is the product."""
    path = random_paths(rng, 6, dimension)
    bsig = siglib.branched_sig(path, degree, planar=True)
    increments = path[-1] - path[0]
    for i in range(dimension):
        assert_close(bsig[siglib.tree_to_idx(((i,),), dimension, degree, planar=True)], increments[i], 1e-13)
        for j in range(dimension if degree > 1 else 0):
            both = [siglib.tree_to_idx(pair, dimension, degree, planar=True) for pair in (((i,), (j,)), ((j,), (i,)))]
            assert_close(bsig[both].sum(), increments[i] * increments[j], 1e-13)


@pytest.mark.parametrize(("planar", "method"), [(False, 0), (True, 0), (True, 1), (True, 2)])
@sizes
def test_logarithms(rng: np.random.Generator, dimension: int, degree: int, planar: bool, method: int) -> None:
    path, options = random_paths(rng, 2, 6, dimension), {"planar": planar, "method": method}
    log = siglib.branched_log_sig(path, degree, **options)
    bsig = siglib.branched_sig(path, degree, planar=planar)
    assert_close(siglib.branched_sig_to_log_sig(bsig, dimension, degree, **options), log, 1e-12)
    assert_close(siglib.branched_logsig_to_sig(log, dimension, degree, **options), bsig, 1e-12)
    if method == 2:
        parts = [siglib.branched_log_sig(part, degree, **options) for part in (path[:, :3], path[:, 2:])]
        assert_close(siglib.branched_log_sig_combine(*parts, dimension, degree), log, 1e-12)


@planars
def test_one_segment_is_its_displacement(planar: bool, dtype: np.dtype) -> None:
    path = np.array([[0.1, 0.7], [1.3, -2.4]], dtype)
    log = siglib.branched_log_sig(path, 4, planar=planar, time_aug=True, end_time=3.0)
    assert log[:3].tolist() == [*(path[1] - path[0]).tolist(), 3.0]
    assert not log[3:].any()


def test_zero_corrections_change_nothing(rng: np.random.Generator) -> None:
    """A cherry of one segment has a third of its cube, with or without."""
    path = random_paths(rng, 5, 2)
    for planar in (False, True):
        expected = siglib.branched_sig(path, 4, planar=planar)
        assert_close(siglib.branched_sig(path, 4, planar=planar, correction=np.zeros(4)), expected, 1e-13)


def test_ito_integrals_of_squares(rng: np.random.Generator) -> None:
    """With the correction of Brownian motion the tree with two leaves is the Itô integral of x**2, a left sum up to
    what a fine grid leaves."""
    n = 4000
    path = np.concatenate([[0.0], np.cumsum(rng.choice([-1.0, 1.0], n))])[:, None] / np.sqrt(n)
    dx, dt = np.diff(path[:, 0]), 1 / n
    bsig = siglib.branched_sig(path, 3, correction=np.array([-0.5 * dt]))
    cherry = bsig[siglib.tree_to_idx(((0,), (0,), 0), 1, 3)]
    assert cherry == pytest.approx((path[:-1, 0] ** 2 * dx).sum(), abs=3 / np.sqrt(n))


@planars
def test_gradients_of_corrections(planar: bool, rng: np.random.Generator) -> None:
    path, correction = random_paths(rng, 2, 4, 2), rng.standard_normal((3, 4))
    bsig = siglib.branched_sig(path, 3, planar=planar, correction=correction)
    derivs = rng.standard_normal(bsig.shape)
    found = siglib.branched_sig_backprop(
        path, bsig, derivs, 3, planar=planar, correction=correction, correction_deriv=True
    )

    def loss(p: np.ndarray, c: np.ndarray) -> float:
        return float((siglib.branched_sig(p, 3, planar=planar, correction=c) * derivs).sum())

    for i, given in enumerate((path, correction)):
        expected = np.zeros_like(given)
        for at in np.ndindex(given.shape):
            step = np.zeros_like(given)
            step[at] = 1e-6
            ends = [loss(*[a + s * step if i == j else a for j, a in enumerate((path, correction))]) for s in (1, -1)]
            expected[at] = (ends[0] - ends[1]) / 2e-6
        assert_close(found[i], expected, 1e-8)


@pytest.mark.parametrize("scalar_term", [False, True])
@planars
def test_edges(planar: bool, scalar_term: bool) -> None:
    options: dict[str, Any] = {"planar": planar, "scalar_term": scalar_term}
    for length in (0, 1):
        constant = siglib.branched_sig(np.ones((length, 2)), 3, **options)
        assert constant.tolist() == [1.0] * scalar_term + [0.0] * siglib.branched_sig_length(2, 3, planar=planar)
        assert not siglib.branched_sig(np.ones((length, 2)), 2, **options, correction=np.ones(4))[scalar_term:].any()
    assert siglib.branched_sig(np.ones((4, 2)), 0, **options).tolist() == [1.0] * scalar_term
    assert siglib.branched_sig(np.ones((0, 4, 2)), 2, **options).shape[0] == 0
    assert siglib.branched_sig(np.zeros((0, 2)), 2, lead_lag=True, **options).shape[0] > 0


def test_scalar_terms_count_as_one(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 6)), rng.standard_normal((2, 6))
    product = siglib.branched_sig_combine(a, b, 2, 2)
    stored = siglib.branched_sig_combine(np.c_[[5.0, 7.0], a], np.c_[[3.0, 2.0], b], 2, 2)
    assert_close(stored[:, 1:], product, 1e-14)
    assert (stored[:, 0] == 1).all()
    assert_close(siglib.branched_sig_combine(a, np.c_[[3.0, 2.0], b], 2, 2), product, 1e-14)
    by_a, by_b = siglib.branched_sig_combine_backprop(product, a, np.c_[[3.0, 2.0], b], 2, 2)
    expected = siglib.branched_sig_combine_backprop(product, a, b, 2, 2)
    assert_close(by_a, expected[0], 1e-14)
    assert_close(by_b[:, 1:], expected[1], 1e-14)
    assert not by_b[:, 0].any()


PATHS = np.ones((3, 5, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.branched_sig(PATHS, -1), ValueError, "degree must be at least 0, got -1"),
        (lambda: siglib.branched_sig(PATHS, 2, planar=1), TypeError, "planar must be True or False"),
        (lambda: siglib.branched_sig(PATHS, 10**6), ValueError, "more than|more coefficients"),
        (lambda: siglib.branched_sig_backprop(PATHS, np.ones((2, 6)), np.ones((2, 6)), 2), ValueError, "same batch shape"),
        (lambda: siglib.branched_sig_backprop(PATHS, np.ones((3, 5)), np.ones((3, 5)), 2), ValueError, "bsig must have length 6"),
        (lambda: siglib.branched_sig_combine(np.ones(6), np.ones(5), 2, 2), ValueError, "bsig2 must have length 6"),
        (lambda: siglib.branched_sig_join(np.ones(6), np.ones(3), 2, 2), ValueError, "displacement must have shape"),
        (lambda: siglib.branched_log_sig(PATHS, 2, method=1), ValueError, "method 1 needs planar=True"),
        (lambda: siglib.branched_log_sig(PATHS, 2, planar=True, method=4), ValueError, "method must be at most 3"),
        (lambda: siglib.branched_log_sig(PATHS, 2, planar=True, method=3, correction=np.ones(4)), ValueError, "with a correction"),
        (lambda: siglib.branched_sig_to_log_sig(np.ones(10), 2, 2, planar=True, method=3), ValueError, "method must be at most 2"),
        (lambda: siglib.branched_log_sig_join(np.ones(6), np.ones(2), 2, 2), ValueError, "blogsig must have length 7"),
        (lambda: siglib.branched_sig_backprop(PATHS, np.ones((3, 6)), np.ones((3, 6)), 2, correction_deriv=True), ValueError, "no correction"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_definition_of_trees(rng: np.random.Generator) -> None:
    """Linear extensions of a tree, leaves first, are words of the signature."""
    path = random_paths(rng, 5, 2)
    bsig, sig = siglib.branched_sig(path, 4), siglib.sig(path, 4)
    for tree in siglib.trees(2, 4)[1:]:
        words = definition.orders(tree)
        expected = sum(sig[siglib.word_to_idx(word, 2)] for word in words)
        assert bsig[siglib.tree_to_idx(tree, 2, 4)] == pytest.approx(expected, abs=1e-13)
