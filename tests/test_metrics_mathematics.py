"""Scores and discrepancies from their definitions, and what their estimates must satisfy."""

import itertools
from typing import Any

import numpy as np
import pytest
import reference_kernels as reference
from cases import random_paths
from checking import assert_close

import siglib

SCHEMES: list[dict[str, Any]] = [
    {"dyadic_order": 1},
    {"dyadic_order": (0, 2)},
    {"method": "polynomial", "order": 6},
]
schemes = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: "-".join(map(str, s.values())))
TRANSFORM = {"time_aug": True, "end_time": 2.0}


def references(x: np.ndarray, y: np.ndarray, scheme: dict[str, Any], **options: Any) -> list[np.ndarray]:
    """Gram matrices of x with x, x with y, y with y, in double precision."""
    options |= {key: value for key, value in scheme.items() if key != "method"}
    x, y = x.astype(np.float64), y.astype(np.float64)
    return [reference.gram(a, b, **options) for a, b in ((x, x), (x, y), (y, y))]


@schemes
def test_metrics_are_their_definitions(dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = random_paths(rng, 5, 6, 2, dtype=dtype), random_paths(rng, 3, 7, 2, dtype=dtype)
    xx, xy, yy = references(x, y, scheme)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    mmd = siglib.sig_mmd(x, y, **scheme)
    assert mmd.shape == ()
    assert mmd.dtype == dtype
    assert_close(mmd, reference.mmd(xx, xy, yy), tolerance)
    assert_close(siglib.sig_score(x, y, **scheme), reference.score(xx, xy), tolerance)
    assert_close(siglib.sig_score(x, y, lam=0.3, **scheme), reference.score(xx, xy, 0.3), tolerance)
    assert_close(siglib.sig_score(x, y[0], **scheme), reference.score(xx, xy)[:1], tolerance)
    expected = np.mean(reference.score(xx, xy, 0.3))[None]
    assert_close(siglib.expected_sig_score(x, y, lam=0.3, **scheme), expected, tolerance)


@schemes
def test_metrics_of_normalised_kernels(dtype: np.dtype, rng: np.random.Generator, scheme: dict[str, Any]) -> None:
    x, y = random_paths(rng, 5, 6, 2, dtype=dtype), random_paths(rng, 3, 7, 2, dtype=dtype)
    xx, xy, yy = references(x, y, scheme)
    own1, own2 = np.sqrt(np.diag(xx)), np.sqrt(np.diag(yy))
    xx, xy, yy = xx / np.outer(own1, own1), xy / np.outer(own1, own2), yy / np.outer(own2, own2)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    options = {**scheme, "normalize": True}
    assert_close(siglib.sig_mmd(x, y, **options), reference.mmd(xx, xy, yy), tolerance)
    assert_close(siglib.sig_score(x, y, lam=0.3, **options), reference.score(xx, xy, 0.3), tolerance)
    expected = np.mean(reference.score(xx, xy, 0.3))[None]
    assert_close(siglib.expected_sig_score(x, y, lam=0.3, **options), expected, tolerance)


@pytest.mark.parametrize("name", ["sig_mmd", "sig_score", "expected_sig_score"])
def test_metrics_of_paths_whose_kernels_overflow(name: str) -> None:
    """Straight lines of three lengths: normalised kernels of lines are 1, or nearly 0 where the lengths differ much."""
    t = np.linspace(0, 1, 300)[:, None] * np.ones(3)
    x = np.stack([600 * t, 600 * t])
    metric = getattr(siglib, name)
    solver: dict[str, Any] = {"method": "polynomial", "order": 12}
    with pytest.warns(
        RuntimeWarning, match="overflow float64: take normalize=True, which does not, or scale"
    ) as record:
        metric(x, x * 0.5, **solver)
    assert {warning.filename for warning in record} == {__file__}
    value = metric(x, 0.01 * x, normalize=True, **solver)
    # k(x, x) = 1 among the lines of one sample; between the samples exp(2 a b - a a - b b) with a b the product of lengths.
    assert_close(value, {"sig_mmd": 2.0}.get(name, 1.0) * np.ones(np.shape(value)), 1e-6)


def test_metrics_take_kernels_transforms_and_batch_axes(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 6, 5, 2), random_paths(rng, 4, 5, 2)
    options: dict[str, Any] = {"static_kernel": siglib.RBFKernel(1.1), "dyadic_order": 1, **TRANSFORM}
    xx, xy, yy = references(
        x, y, {"dyadic_order": 1}, static_kernel="RBFKernel", parameters={"sigma": 1.1}, transform=TRANSFORM
    )
    batched = x.reshape(2, 3, 5, 2), y.reshape(2, 2, 5, 2)
    for a, b in ((x, y), batched):
        assert_close(siglib.sig_mmd(a, b, **options), reference.mmd(xx, xy, yy), 1e-12)
        score = siglib.sig_score(a, b, **options)
        assert score.shape == b.shape[:-2]
        assert_close(score.ravel(), reference.score(xx, xy), 1e-12)


def test_the_estimate_has_no_bias(rng: np.random.Generator) -> None:
    """Over all ways to split one set of paths into two samples the estimates of the squared distance average to 0."""
    paths = random_paths(rng, 6, 5, 2)
    estimates = []
    for chosen in itertools.combinations(range(6), 3):
        others = [i for i in range(6) if i not in chosen]
        estimates.append(siglib.sig_mmd(paths[list(chosen)], paths[others], dyadic_order=0))
    assert abs(np.mean(estimates)) < 1e-14
    assert min(estimates) < 0.0 < max(estimates)


def test_samples_of_one_law_are_close_and_others_are_not(rng: np.random.Generator) -> None:
    rough, other = random_paths(rng, 2, 60, 20, 2)
    smooth = np.linspace(0.0, 1.0, 20)[:, None] * (rough[:, -1:] - rough[:, :1])
    same = siglib.sig_mmd(rough, other, dyadic_order=0, time_aug=True)
    different = siglib.sig_mmd(rough, smooth, dyadic_order=0, lead_lag=True)
    assert abs(same) < 0.2 * different


def test_the_score_is_lowest_for_what_the_sample_is_about(rng: np.random.Generator) -> None:
    line = np.linspace(0.0, 1.0, 10)[:, None] * np.array([1.0, 0.5])
    sample = line + 0.05 * random_paths(rng, 20, 10, 2)
    score = siglib.sig_score(sample, np.stack([line, -line, np.zeros_like(line)]), dyadic_order=0)
    assert np.argmin(score) == 0
