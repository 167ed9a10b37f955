"""Features of series in chunks of Dask, by estimators of scikit-learn, and discrepancies without all pairs."""

from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, optional

import siglib

dask = optional("dask")
da = optional("dask.array")
sklearn = optional("sklearn")


def features(estimator: Any, paths: Any) -> Any:
    width = len(estimator.get_feature_names_out())
    return paths.map_blocks(estimator.transform, drop_axis=2, chunks=(paths.chunks[0], (width,)), dtype=paths.dtype)


def mean_of_pairs(f: Any) -> Any:
    total, n = f.sum(0), len(f)
    return (total @ total - (f * f).sum()) / (n * (n - 1))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["RandomSignatureFeatures", "SignatureNystroem", "LogSignatureTransformer"])
def test_estimators_map_blocks(name: str, dtype: str, rng: np.random.Generator) -> None:
    from siglib import sklearn as estimators

    x = random_paths(rng, 23, 8, 2, dtype=np.dtype(dtype))
    more = {} if name.startswith("Log") else {"n_components": 7, "random_state": 0}
    estimator = getattr(estimators, name)(**more).fit(x[:15])
    expected = estimator.transform(x)
    found = features(estimator, da.from_array(x, chunks=(6, -1, -1)))
    assert found.shape == expected.shape
    values = found.compute(scheduler="sync")
    assert found.dtype == values.dtype == expected.dtype
    assert_close(values, expected, 1e-12 if dtype == "float64" else 1e-5)


def test_a_discrepancy_without_pairs(rng: np.random.Generator) -> None:
    from siglib.sklearn import RandomSignatureFeatures

    first, second = 0.5 * random_paths(rng, 60, 8, 2), 0.5 * random_paths(rng, 50, 8, 2)
    second += np.linspace(0, 1, 8)[:, None]
    random = RandomSignatureFeatures(3000, random_state=0, sigma=1.0).fit(first[:20])
    x, y = (features(random, da.from_array(paths, chunks=(9, -1, -1))) for paths in (first, second))
    found = mean_of_pairs(x) + mean_of_pairs(y) - 2 * x.mean(0) @ y.mean(0)
    options: dict[str, Any] = {"dyadic_order": 2, "static_kernel": siglib.RBFKernel(1.0), "normalize": True}
    expected = siglib.sig_mmd(first, second, **options)
    assert expected > 0.05
    # What is left is the error of the features, and of levels above the fourth.
    assert abs(float(found.compute(scheduler="sync")) - expected) < 0.1 * expected
