"""Signature features of series: their values, windows and names from definitions, and how they live in scikit-learn."""

import pickle
import re
from math import factorial
from typing import Any

import hypothesis
import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from hypothesis import strategies as st

import siglib

sklearn = optional("sklearn")
from sklearn.base import clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import FeatureUnion, make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from siglib.sklearn import LogSignatureTransformer, SignatureTransformer  # noqa: E402
from siglib.sklearn._windows import as_windows  # noqa: E402

TRANSFORMERS = [SignatureTransformer, LogSignatureTransformer]
transformers = pytest.mark.parametrize("cls", TRANSFORMERS)


# A table of numbers counts as series of one channel, so that every check of scikit-learn applies.
@parametrize_with_checks(
    [
        SignatureTransformer(),
        LogSignatureTransformer(),
        SignatureTransformer(2, time_aug=True, lead_lag=True, windows="dyadic", depth=1, rescaling="post", scale="std"),
        LogSignatureTransformer(2, method=2, base_point="zero", invisibility_reset=True, cumulative_sum=True),
    ]
)
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


# Values


@pytest.mark.parametrize(
    "options", [{}, {"time_aug": True, "end_time": 2.0}, {"lead_lag": True}, {"time_aug": True, "lead_lag": True}]
)
def test_features_are_signatures(rng: np.random.Generator, dtype: np.dtype, options: dict[str, Any]) -> None:
    X = random_paths(rng, 5, 7, 2, dtype=dtype)
    assert_same_bits(SignatureTransformer(3, **options).fit_transform(X), siglib.sig(X, 3, **options))
    for method in range(4):
        transformer = LogSignatureTransformer(3, method=method, **options)
        assert_same_bits(transformer.fit_transform(X), siglib.log_sig(X, 3, method=method, **options))


def test_augmentations() -> None:
    path = np.array([[1.0, 2.0], [3.0, 5.0]])

    def points(**options: Any) -> np.ndarray:
        transformer = SignatureTransformer(1, **options).fit([path])
        return transformer.augmentations_.applied_to(path[None])[0]

    np.testing.assert_array_equal(points(), path)
    np.testing.assert_array_equal(points(base_point="zero"), [[0, 0], [1, 2], [3, 5]])
    np.testing.assert_array_equal(points(base_point=[7, 8.5]), [[7, 8.5], [1, 2], [3, 5]])
    np.testing.assert_array_equal(points(cumulative_sum=True), [[1, 2], [4, 7]])
    np.testing.assert_array_equal(points(invisibility_reset=True), [[1, 2, 1], [3, 5, 1], [3, 5, 0], [0, 0, 0]])
    np.testing.assert_array_equal(points(scale=[2, 4]), [[0.5, 0.5], [1.5, 1.25]])
    np.testing.assert_array_equal(points(scale="max_abs"), [[1 / 3, 2 / 5], [1, 1]])
    np.testing.assert_array_equal(points(scale="std"), [[1, 2 / 1.5], [3, 5 / 1.5]])
    all_of_them = points(scale=[2, 4], cumulative_sum=True, base_point="zero", invisibility_reset=True)
    np.testing.assert_array_equal(all_of_them, [[0, 0, 1], [0.5, 0.5, 1], [2, 1.75, 1], [2, 1.75, 0], [0, 0, 0]])


def test_scale_is_that_of_the_training_series(rng: np.random.Generator) -> None:
    train = [10 * rng.standard_normal((length, 2)) + [0, 100] for length in (4, 9, 6)]
    test = rng.standard_normal((3, 5, 2))
    sizes = np.concatenate(train).std(axis=0)
    transformer = SignatureTransformer(2, scale="std").fit(train)
    assert_close(transformer.transform(test), siglib.sig(test / sizes, 2), 1e-13)
    # A channel that never changes has no size to divide by.
    constant = np.stack([np.full((4, 5), 0.1), np.arange(20.0).reshape(4, 5)], axis=2)
    out = SignatureTransformer(1, scale="std").fit_transform(constant)
    np.testing.assert_allclose(out, [[0.0, 4 / np.arange(20).std()]] * 4)
    assert np.isfinite(SignatureTransformer(1, scale="max_abs").fit_transform(0 * constant)).all()


@transformers
@pytest.mark.parametrize("windows", [{}, {"windows": "dyadic", "depth": 1}])
def test_rescaling(rng: np.random.Generator, cls: Any, windows: dict[str, Any]) -> None:
    X = random_paths(rng, 4, 6, 2)
    options: dict[str, Any] = {"time_aug": True, **windows}
    size = factorial(3) ** (1 / 3)
    # The time of a path that is scaled is scaled, too.
    scaled = cls(3, scale=[1 / size, 1 / size], end_time=size, **options).fit_transform(X)
    assert_close(cls(3, rescaling="pre", **options).fit_transform(X), scaled, 1e-12)
    plain, post = cls(3, **options).fit_transform(X), cls(3, rescaling="post", **options)
    names = post.fit(X).get_feature_names_out()
    level = [1 + name.count(" · ") + name.count("area(") for name in names]
    assert set(level) == {1, 2, 3}
    assert_close(post.transform(X), plain * [factorial(k) for k in level], 1e-13)


# Windows


@hypothesis.given(
    length=st.integers(1, 40), window=st.floats(0.05, 1), stride=st.floats(0.05, 1), kind=st.sampled_from(["sliding", "expanding"])
)  # fmt: skip
def test_windows_in_shares(length: int, window: float, stride: float, kind: str) -> None:
    windows = as_windows(kind, window, stride, None)
    starts, ends = windows.slices(length)
    assert len(starts) == len(windows.slices(7)[0]) == len(windows.names(7)) >= 1
    assert np.all((starts >= 0) & (starts < ends) & (ends <= length))
    at = np.arange(len(starts)) * stride
    assert np.all(np.abs(ends - 1 - (at + window) * (length - 1)) < 1 + 1e-6)
    assert np.all(starts == 0) if kind == "expanding" else np.all(np.abs(starts - at * (length - 1)) < 1 + 1e-6)


@pytest.mark.parametrize("parts", range(1, 13))
@pytest.mark.parametrize("length", [2, 7, 50, 1000])
def test_windows_that_make_up_the_path(parts: int, length: int) -> None:
    starts, ends = as_windows("sliding", 1 / parts, None, None).slices(length)
    assert len(starts) == parts
    assert starts[0] == 0
    assert ends[-1] == length
    np.testing.assert_array_equal(starts[1:], ends[:-1] - 1)


@hypothesis.given(length=st.integers(1, 40), depth=st.integers(1, 5))
def test_dyadic_windows_are_halves_of_halves(length: int, depth: int) -> None:
    starts, ends = as_windows("dyadic", None, None, depth).slices(length)
    assert len(starts) == 2 ** (depth + 1) - 1
    assert (starts[0], ends[0]) == (0, length)
    for i in range(2**depth - 1):
        left, right = 2 * i + 1, 2 * i + 2
        assert starts[left] == starts[i]
        assert ends[right] == ends[i]
        assert ends[left] - 1 == starts[right]


def test_windows_in_points() -> None:
    sliding = as_windows("sliding", 4, 2, None).slices(9)
    np.testing.assert_array_equal(sliding, [[0, 2, 4], [4, 6, 8]])
    expanding = as_windows("expanding", 4, 2, None).slices(9)
    np.testing.assert_array_equal(expanding, [[0, 0, 0], [4, 6, 8]])


@transformers
@pytest.mark.parametrize(
    "windows",
    [
        {"windows": "sliding", "window": 4, "stride": 2},
        {"windows": "sliding", "window": 0.5, "stride": 0.25},
        {"windows": "expanding", "window": 0.25},
        {"windows": "dyadic", "depth": 2},
    ],
)
def test_features_of_windows(rng: np.random.Generator, cls: Any, windows: dict[str, Any]) -> None:
    X = random_paths(rng, 3, 9, 2)
    options = {"time_aug": True, "lead_lag": True}
    transformer = cls(2, **windows, **options)
    out = transformer.fit_transform(X)
    function = siglib.sig if cls is SignatureTransformer else siglib.log_sig
    moved = siglib.transform_path(X, **options)
    slices = as_windows(windows["windows"], windows.get("window"), windows.get("stride"), windows.get("depth")).slices(
        9
    )
    parts = [function(moved[:, 2 * start : 2 * end - 1], 2) for start, end in zip(*slices, strict=True)]
    assert_close(out, np.concatenate(parts, axis=1), 1e-12)
    names = transformer.get_feature_names_out()
    assert len(names) == out.shape[1]
    assert len(set(names)) == len(names)


def test_windows_of_points_need_one_number_of_windows(rng: np.random.Generator) -> None:
    transformer = SignatureTransformer(1, windows="sliding", window=3).fit(np.zeros((2, 9, 1)))
    assert transformer.get_feature_names_out().tolist() == ["0:3 x0", "3:6 x0", "6:9 x0"]
    assert transformer.transform([np.zeros((10, 1)), np.zeros((11, 1))]).shape == (2, 3)
    with pytest.raises(ValueError, match="series of length 6 have 2 features, the training series had 3"):
        transformer.transform([np.zeros((6, 1))])
    with pytest.raises(ValueError, match="series of lengths 6 and 9 have different numbers of features, 2 and 3"):
        transformer.transform([np.zeros((6, 1)), np.zeros((9, 1))])
    with pytest.raises(ValueError, match="a series of length 2 has no window of 3 points"):
        transformer.transform([np.zeros((2, 1))])


# Names


def expansion(name: str, letters: dict[str, int]) -> dict[tuple[int, ...], float]:
    """Which words a name of brackets stands for, with which factors."""
    found = re.fullmatch(r"area\((\w+), (\w+)\)", name)
    if found:
        name = f"[{found[1]}, {found[2]}]"
    if name in letters:
        return {(letters[name],): 1.0}
    depth = 0
    for i, character in enumerate(name):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 1:
            left, right = expansion(name[1:i], letters), expansion(name[i + 2 : -1], letters)
    out: dict[tuple[int, ...], float] = {}
    for u, a in left.items():
        for v, b in right.items():
            out[u + v] = out.get(u + v, 0.0) + a * b
            out[v + u] = out.get(v + u, 0.0) - a * b
    return out


def test_names_of_signatures_say_which_coefficients_they_are(rng: np.random.Generator) -> None:
    X = random_paths(rng, 4, 6, 2)
    transformer = SignatureTransformer(3, time_aug=True, lead_lag=True).fit(X)
    letters = {name: i for i, name in enumerate(["a lag", "b lag", "a lead", "b lead", "time"])}
    names = transformer.get_feature_names_out(["a", "b"])
    words = [tuple(letters[channel] for channel in name.split(" · ")) for name in names]
    assert_close(transformer.transform(X), siglib.sig_coef(X, words, time_aug=True, lead_lag=True), 1e-13)


def test_names_of_log_signatures_are_areas_and_words(rng: np.random.Generator) -> None:
    X = random_paths(rng, 4, 6, 3)
    transformer = LogSignatureTransformer(3).fit(X)
    out = dict(zip(transformer.get_feature_names_out(list("abc")), transformer.transform(X).T, strict=True))
    coefficient = lambda *word: siglib.sig_coef(X, word)[:, 0]  # noqa: E731
    assert_close(out["b"], X[:, -1, 1] - X[:, 0, 1], 1e-13)
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        area = (coefficient(i, j) - coefficient(j, i)) / 2
        assert_close(out[f"area({'abc'[i]}, {'abc'[j]})"], area, 1e-13)
    expanded = siglib.log_sig(X, 3, method=0)
    assert_close(out["a · c · b"], expanded[:, siglib.word_to_idx((0, 2, 1), 3)], 1e-13)
    assert not any("[" in name for name in out)


def test_names_of_brackets_expand_to_the_log_signature(rng: np.random.Generator) -> None:
    X = random_paths(rng, 3, 6, 2)
    transformer = LogSignatureTransformer(5, method=2, time_aug=True).fit(X)
    names = transformer.get_feature_names_out(["a", "b"])
    total = np.zeros((3, siglib.sig_length(3, 5)))
    for name, values in zip(names, transformer.transform(X).T, strict=True):
        for word, factor in expansion(name, {"a": 0, "b": 1, "time": 2}).items():
            total[:, siglib.word_to_idx(word, 3)] += factor * values
    assert_close(total, siglib.log_sig(X, 5, method=0, time_aug=True), 1e-12)
    assert "[a, [a, b]]" in names


def test_names_of_augmentations_and_windows(rng: np.random.Generator) -> None:
    X = random_paths(rng, 2, 8, 1)
    names = SignatureTransformer(1, time_aug=True, invisibility_reset=True).fit(X).get_feature_names_out(["p"])
    assert names.tolist() == ["p", "visible", "time"]
    dyadic = SignatureTransformer(1, windows="dyadic", depth=1).fit(X).get_feature_names_out(["p"])
    assert dyadic.tolist() == ["1/1 p", "1/2 p", "2/2 p"]
    shares = SignatureTransformer(1, windows="expanding", window=0.5, stride=0.25).fit(X).get_feature_names_out(["p"])
    assert shares.tolist() == ["0%:50% p", "0%:75% p", "0%:100% p"]
    with pytest.raises(ValueError, match="input_features should have length equal"):
        SignatureTransformer().fit(X).get_feature_names_out(["p", "q"])


# In scikit-learn


def spirals(rng: np.random.Generator, n: int = 40) -> tuple[list[np.ndarray], np.ndarray]:
    """Turns to the left and to the right, of any lengths, with noise."""
    y = np.arange(n) % 2
    times = [np.linspace(0, rng.uniform(1, 5), rng.integers(8, 30)) for _ in y]
    X = [np.column_stack([np.cos(t), (2 * side - 1) * np.sin(t)]) for t, side in zip(times, y, strict=True)]
    return [path + 0.05 * rng.standard_normal(path.shape) for path in X], y


@transformers
def test_pipelines_and_searches(rng: np.random.Generator, cls: Any) -> None:
    X, y = spirals(rng)
    pipeline = make_pipeline(cls(), StandardScaler(), LogisticRegression(max_iter=1000))
    name = cls.__name__.lower()
    grid = {f"{name}__degree": [1, 2], f"{name}__time_aug": [False, True]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_score_ >= 0.95
    assert search.best_params_[f"{name}__degree"] == 2
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(X), search.best_estimator_.predict_proba(X))


def test_unions_with_names(rng: np.random.Generator) -> None:
    optional("pandas")
    X, _ = spirals(rng)
    union = FeatureUnion([("sig", SignatureTransformer(1)), ("log", LogSignatureTransformer(2))])
    out = union.set_output(transform="pandas").fit_transform(X)
    assert out.columns.tolist() == ["sig__x0", "sig__x1", "log__x0", "log__x1", "log__area(x0, x1)"]


@transformers
def test_copies(rng: np.random.Generator, cls: Any) -> None:
    X = random_paths(rng, 4, 6, 2)
    fitted = cls(2, scale="std", windows="sliding", window=0.5, rescaling="pre").fit(X)
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    assert not hasattr(fresh, "n_channels_")
    assert_same_bits(fresh.fit(X).transform(X), fitted.transform(X))
    assert_same_bits(pickle.loads(pickle.dumps(fitted)).transform(X), fitted.transform(X))


@pytest.mark.usefixtures("eight_processors")
@transformers
def test_threads(rng: np.random.Generator, cls: Any) -> None:
    X = [rng.standard_normal((length, 2)) for length in rng.integers(3, 9, 50)]
    assert_same_bits(cls(3, n_jobs=-1).fit_transform(X), cls(3).fit_transform(X))


REFUSALS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"degree": 0}, ValueError, "degree must be at least 1"),
    ({"degree": 1.5}, TypeError, "degree must be an integer"),
    ({"time_aug": "yes"}, TypeError, "time_aug must be True or False"),
    ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
    ({"windows": "rolling"}, ValueError, "windows must be one of 'global', 'sliding', 'expanding', 'dyadic'"),
    ({"windows": "sliding"}, ValueError, "needs a window"),
    ({"windows": "sliding", "window": 0}, ValueError, "window must be at least 1"),
    ({"windows": "sliding", "window": 1.5}, ValueError, "window must be a share of the path"),
    ({"windows": "sliding", "window": np.nan}, ValueError, "window must be a share of the path"),
    ({"windows": "sliding", "window": 0.5, "stride": 1}, TypeError, "both be numbers of points or both shares"),
    ({"windows": "sliding", "window": "a"}, TypeError, "window must be an integer"),
    ({"windows": "dyadic", "depth": 0}, ValueError, "depth must be at least 1"),
    ({"windows": "dyadic", "window": 3}, ValueError, "window and stride belong to"),
    ({"window": 3}, ValueError, "window and stride belong to"),
    ({"rescaling": "both"}, ValueError, "rescaling must be None, 'pre' or 'post'"),
    ({"scale": "mean"}, ValueError, "scale must be"),
    ({"scale": [1.0]}, ValueError, r"scale must hold a number for each of 2 channels, got shape \(1,\)"),
    ({"scale": [1.0, 0.0]}, ValueError, "scale must hold positive numbers"),
    ({"scale": ["a", "b"]}, TypeError, "scale must hold a real number"),
    ({"base_point": "one"}, ValueError, "base_point must be"),
    ({"base_point": [1.0, 2.0, 3.0]}, ValueError, "base_point must hold a number for each of 2 channels"),
    ({"cumulative_sum": 1}, TypeError, "cumulative_sum must be True or False"),
    ({"invisibility_reset": None}, TypeError, "invisibility_reset must be True or False"),
]


@transformers
@pytest.mark.parametrize(("options", "error", "message"), REFUSALS)
def test_refusals(cls: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cls(**options).fit(np.zeros((2, 4, 2)))


def test_coordinates_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="method"):
        LogSignatureTransformer(method=7).fit(np.zeros((2, 4, 2)))
