"""Signature kernels in scikit-learn: Gram matrices, Gaussian processes, features of low rank and random ones."""

import pickle
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
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor  # noqa: E402
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel  # noqa: E402
from sklearn.kernel_ridge import KernelRidge  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.svm import SVC  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from siglib.sklearn import (  # noqa: E402
    RandomSignatureFeatures,
    SignatureKernel,
    SignatureKernelTransformer,
    SignatureNystroem,
    as_series,
)

STATIC_KERNELS = {
    "linear": lambda sigma: siglib.ScaledLinearKernel(1.0 / sigma**0.5),
    "rbf": siglib.RBFKernel,
    "matern12": siglib.Matern12Kernel,
    "matern32": siglib.Matern32Kernel,
    "matern52": siglib.Matern52Kernel,
    "rational_quadratic": siglib.RationalQuadraticKernel,
}
static_kernels = pytest.mark.parametrize("name", STATIC_KERNELS)


@parametrize_with_checks(
    [
        SignatureKernelTransformer(),
        SignatureKernelTransformer("linear", normalize=False, order=8, scale="max_abs"),
        SignatureNystroem(random_state=0),
        RandomSignatureFeatures(10),
        RandomSignatureFeatures(5, static_kernel="matern32", time_aug=True, normalize=False),
    ]
)
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


# Gram matrices


@static_kernels
def test_kernels_of_arrays(rng: np.random.Generator, dtype: np.dtype, name: str) -> None:
    train, test = random_paths(rng, 5, 6, 2, dtype=dtype), random_paths(rng, 3, 8, 2, dtype=dtype)
    options: dict[str, Any] = {"time_aug": True, "end_time": 0.5, "normalize": True, "dyadic_order": 1}
    transformer = SignatureKernelTransformer(name, sigma=1.5, width=2.0, time_aug=True, end_time=0.5)
    static_kernel = STATIC_KERNELS[name](3.0)
    gram = siglib.sig_kernel_gram(train, train, static_kernel=static_kernel, **options)
    assert_same_bits(transformer.fit_transform(train), gram)
    assert_close(transformer.transform(train), gram)
    assert_same_bits(
        transformer.transform(test), siglib.sig_kernel_gram(test, train, static_kernel=static_kernel, **options)
    )
    own = SignatureKernelTransformer(static_kernel, time_aug=True, end_time=0.5).fit_transform(train)
    assert_same_bits(own, gram)


@pytest.mark.parametrize("cls", [SignatureKernelTransformer, SignatureNystroem])
def test_series_of_another_dtype_than_the_training_series(rng: np.random.Generator, cls: Any) -> None:
    train, test = random_paths(rng, 5, 6, 2), random_paths(rng, 3, 8, 2, dtype=np.float32)
    transformer = cls(**({"random_state": 0} if cls is SignatureNystroem else {})).fit(train)
    assert_same_bits(transformer.transform(test), transformer.transform(test.astype(np.float64)))
    narrow, kernel = cls(**transformer.get_params()).fit(train.astype(np.float32)), SignatureKernel()
    assert narrow.transform(test).dtype == np.float32
    assert narrow.transform(train).dtype == np.float64
    wide = as_series(test.astype(np.float64))
    assert_same_bits(kernel(as_series(train), as_series(test)), kernel(as_series(train), wide))


def test_polynomials_and_kernels_that_are_not_normalised(rng: np.random.Generator) -> None:
    X = random_paths(rng, 5, 6, 2)
    transformer = SignatureKernelTransformer("rbf", sigma=2.0, order=7, normalize=False)
    expected = siglib.sig_kernel_gram(X, X, method="polynomial", order=7, static_kernel=siglib.RBFKernel(2.0))
    assert_same_bits(transformer.fit_transform(X), expected)


@hypothesis.given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=7), seed=st.integers(0, 2**32 - 1), normalize=st.booleans()
)  # fmt: skip
def test_kernels_of_any_lengths(lengths: list[int], seed: int, normalize: bool) -> None:
    rng = np.random.default_rng(seed)
    train = [rng.standard_normal((length, 2)) / 2 for length in lengths]
    test = train[::2]
    transformer = SignatureKernelTransformer(sigma=2.0, dyadic_order=2, normalize=normalize, lead_lag=True)
    gram = transformer.fit_transform(train)
    options: dict[str, Any] = {"static_kernel": siglib.RBFKernel(2.0), "dyadic_order": 2, "lead_lag": True}
    expected = [[siglib.sig_kernel(x, y, normalize=normalize, **options) for y in train] for x in train]
    np.testing.assert_allclose(gram, expected, rtol=1e-12)
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_allclose(transformer.transform(test), expected[::2], rtol=1e-12)


def test_the_median_of_distances(rng: np.random.Generator) -> None:
    X = [rng.standard_normal((length, 2)) for length in (4, 7, 4)]
    points = np.concatenate([siglib.transform_path(path, time_aug=True) for path in X])
    squares = np.sum((points[:, None] - points[None]) ** 2, axis=2)
    median = np.median(squares[np.triu_indices(len(points), 1)])
    assert np.isclose(SignatureKernelTransformer(time_aug=True).fit(X).sigma_, median)
    assert np.isclose(SignatureKernelTransformer("linear", time_aug=True, width=3.0).fit(X).sigma_, 3 * median)
    assert np.isclose(SignatureKernelTransformer("matern32", time_aug=True).fit(X).sigma_, np.sqrt(median))
    assert SignatureKernelTransformer().fit(np.ones((3, 4, 2))).sigma_ == 1.0
    # Units cancel, and a sample of many points is near the median of all.
    many = rng.standard_normal((50, 100, 2))
    sigma = SignatureKernelTransformer().fit(many).sigma_
    assert np.isclose(SignatureKernelTransformer().fit(10 * many).sigma_, 100 * sigma)
    assert abs(sigma - 4 * np.log(2)) < 0.3


# In scikit-learn


def spirals(rng: np.random.Generator, n: int = 40) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Turns to the left and to the right, of any lengths, with noise: the series, their sides, and how far they turn."""
    side = np.arange(n) % 2
    ends = rng.uniform(1, 4, n)
    times = [np.linspace(0, end, rng.integers(8, 20)) for end in ends]
    X = [np.column_stack([np.cos(t), (2 * s - 1) * np.sin(t)]) for t, s in zip(times, side, strict=True)]
    return [path + 0.02 * rng.standard_normal(path.shape) for path in X], side, ends


@pytest.mark.parametrize("machine", [SVC(kernel="precomputed"), KernelRidge(kernel="precomputed", alpha=1e-3)])
def test_machines_with_precomputed_kernels(rng: np.random.Generator, machine: Any) -> None:
    X, side, ends = spirals(rng)
    y = side if isinstance(machine, SVC) else ends
    pipeline = make_pipeline(SignatureKernelTransformer(dyadic_order=2), machine)
    search = GridSearchCV(pipeline, {"signaturekerneltransformer__width": [0.3, 1.0, 3.0]}, cv=4).fit(X, y)
    assert search.best_score_ > 0.95
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


@pytest.mark.parametrize("cls", [SignatureKernelTransformer, SignatureNystroem, RandomSignatureFeatures])
def test_copies_names_and_threads(rng: np.random.Generator, cls: Any) -> None:
    optional("pandas")
    X = [rng.standard_normal((length, 2)) for length in (4, 6, 4, 5)]
    seed = {} if cls is SignatureKernelTransformer else {"random_state": 0}
    fitted = cls(**seed).fit(X)
    expected = fitted.transform(X)
    for other in (clone(fitted).fit(X), pickle.loads(pickle.dumps(fitted)), cls(**seed, n_jobs=-1).fit(X)):
        assert_same_bits(other.transform(X), expected)
    frame = cls(**seed).set_output(transform="pandas").fit(X).transform(X)
    assert list(frame.columns) == fitted.get_feature_names_out().tolist()
    assert len(set(frame.columns)) == expected.shape[1]


# Gaussian processes


def test_the_kernel_of_gaussian_processes(rng: np.random.Generator) -> None:
    X, Y = (as_series([rng.standard_normal((n, 2)) / 2 for n in lengths]) for lengths in [(4, 6, 4), (5, 4)])
    options: dict[str, Any] = {"dyadic_order": 1, "time_aug": True}
    for normalize in (False, True):
        kernel = SignatureKernel(1.5, static_kernel="matern52", normalize=normalize, time_aug=True)
        given = {**options, "normalize": normalize, "static_kernel": siglib.Matern52Kernel(1.5)}
        expected = [[siglib.sig_kernel(np.asarray(x), np.asarray(y), **given) for y in Y] for x in X]
        np.testing.assert_allclose(kernel(X, Y), expected, rtol=1e-12)
        np.testing.assert_allclose(kernel.diag(X), np.diag(kernel(X)), rtol=1e-12)
        assert kernel(X).dtype == np.float64
    assert kernel.theta == np.log([1.5])
    assert kernel.clone_with_theta(np.log([2.5])).sigma == pytest.approx(2.5)
    assert clone(kernel) == kernel
    assert repr(kernel) == "SignatureKernel(matern52, sigma=1.5)"
    assert not kernel.is_stationary()


@static_kernels
@pytest.mark.parametrize("normalize", [False, True])
def test_gradients_with_respect_to_the_width(rng: np.random.Generator, name: str, normalize: bool) -> None:
    """Against tensors, whose gradients are those of the static kernel itself."""
    torch = optional("torch")
    X = random_paths(rng, 4, 6, 2)
    kernel = SignatureKernel(1.5, static_kernel=name, normalize=normalize)
    gram, gradient = kernel(X, eval_gradient=True)
    assert gradient.shape == (4, 4, 1)
    sigma = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    paths = torch.tensor(X)
    tensors = siglib.sig_kernel_gram(
        paths, paths, static_kernel=STATIC_KERNELS[name](sigma), dyadic_order=1, normalize=normalize
    )
    assert_close(gram, tensors.detach().numpy(), 1e-12)
    for i, j in [(0, 0), (0, 1), (2, 3)]:
        (exact,) = torch.autograd.grad(tensors[i, j], sigma, retain_graph=True)
        assert abs(gradient[i, j, 0] - 1.5 * float(exact)) < 1e-7 * max(1, abs(float(exact)))
    fixed = SignatureKernel(1.5, "fixed", static_kernel=name)(X, eval_gradient=True)[1]
    assert fixed.shape == (4, 4, 0)


def test_gaussian_processes(rng: np.random.Generator) -> None:
    X, side, ends = spirals(rng)
    X = as_series(X)
    # A width that is far off, for the fit to mend.
    kernel = ConstantKernel(1.0) * SignatureKernel(0.01, dyadic_order=2) + WhiteKernel(1e-2, "fixed")
    process = GaussianProcessRegressor(kernel, normalize_y=True).fit(X[:30], ends[:30])
    assert process.score(X[30:], ends[30:]) > 0.95
    assert process.kernel_.k1.k2.sigma > 0.1
    assert process.log_marginal_likelihood_value_ > process.log_marginal_likelihood(kernel.theta)
    classifier = GaussianProcessClassifier(SignatureKernel(1.0, "fixed", dyadic_order=2)).fit(X[:30], side[:30])
    assert classifier.score(X[30:], side[30:]) == 1.0


# Low rank


def test_nystroem_is_exact_on_its_landmarks(rng: np.random.Generator) -> None:
    X = [rng.standard_normal((length, 2)) for length in rng.integers(3, 7, 25)]
    gram = SignatureKernelTransformer(order=8, sigma=2.0).fit_transform(X)
    nystroem = SignatureNystroem(10, random_state=0, order=8, sigma=2.0).fit(X)
    features = nystroem.transform(X)
    assert features.shape == (25, 10)
    rows = nystroem.component_indices_
    assert len(set(rows)) == 10
    np.testing.assert_allclose(features @ features[rows].T, gram[:, rows], atol=1e-7)
    # Projections: never more than the kernel itself, and all of it with all landmarks.
    assert np.linalg.eigvalsh(gram - features @ features.T)[0] > -1e-7
    everything = SignatureNystroem(100, random_state=0, order=8, sigma=2.0).fit_transform(X)
    assert everything.shape == (25, 25)
    np.testing.assert_allclose(everything @ everything.T, gram, atol=1e-7)


def test_more_landmarks_are_better(rng: np.random.Generator) -> None:
    X = random_paths(rng, 60, 8, 2)
    gram = SignatureKernelTransformer(dyadic_order=3).fit_transform(X)
    errors = []
    for n in (5, 15, 45):
        features = SignatureNystroem(n, random_state=1, dyadic_order=3).fit_transform(X)
        errors.append(np.linalg.norm(features @ features.T - gram))
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_equal_landmarks(rng: np.random.Generator) -> None:
    """A Gram matrix without an inverse."""
    X = np.repeat(random_paths(rng, 3, 6, 2), 4, axis=0)
    features = SignatureNystroem(12, random_state=0, order=8).fit_transform(X)
    np.testing.assert_allclose(features @ features.T, SignatureKernelTransformer(order=8).fit_transform(X), atol=1e-6)


# Random features


@static_kernels
def test_waves_have_the_static_kernel_for_a_mean(rng: np.random.Generator, name: str) -> None:
    """Level 1 of the kernel of two segments is the double increment of the static kernel."""
    X = random_paths(rng, 4, 2, 3)
    features = RandomSignatureFeatures(
        200_000, degree=1, static_kernel=name, sigma=1.7, normalize=False, random_state=0
    ).fit_transform(X)[:, 1:]
    pairs = np.repeat(X, 4, axis=0), np.tile(X, (4, 1, 1))
    increments = STATIC_KERNELS[name](1.7)(siglib.Context(), *pairs)[:, 0, 0].reshape(4, 4)
    assert_close(features @ features.T, increments, 0.02)


@pytest.mark.parametrize("options", [{}, {"time_aug": True}, {"lead_lag": True}])
def test_levels_of_random_features_are_levels_of_the_kernel(rng: np.random.Generator, options: dict[str, Any]) -> None:
    X = random_paths(rng, 3, 5, 2)
    n = 100_000
    transformer = RandomSignatureFeatures(
        n, degree=3, static_kernel="linear", sigma=1.0, normalize=False, random_state=0, **options
    )
    features = transformer.fit_transform(X)
    assert np.all(features[:, 0] == 1.0)
    sig = siglib.sig(X, 3, **options)
    names = transformer.get_feature_names_out()
    width = siglib.sig_length(2, 1, **options)
    start = 0
    for level in (1, 2, 3):
        mine = features[:, [name.startswith(f"level {level} ") for name in names]]
        assert mine.shape == (3, n)
        part = sig[:, start : (start := start + width**level)]
        exact = part @ part.T
        # The error is that of a mean: a few times the spread of the products over the root of their number.
        products = n * mine[:, None] * mine[None]
        assert np.all(np.abs(products.mean(axis=2) - exact) < 5 * products.std(axis=2) / np.sqrt(n))


def rms_error(X: Any, gram: np.ndarray, n: int, **options: Any) -> float:
    """Over several draws of waves."""
    errors = []
    for seed in range(20):
        features = RandomSignatureFeatures(n, random_state=seed, **options).fit_transform(X)
        errors.append(features @ features.T - gram)
    return float(np.sqrt(np.mean(np.square(errors))))


@pytest.mark.parametrize("normalize", [False, True])
def test_random_features_tend_to_the_signature_kernel(rng: np.random.Generator, normalize: bool) -> None:
    """The error falls like the root of their number: 64 times as many have an eighth of it."""
    X = [path / 2 for path in (rng.standard_normal((length, 2)).cumsum(axis=0) / 3 for length in (6, 9, 6, 7))]
    options: dict[str, Any] = {"sigma": 2.0, "normalize": normalize, "time_aug": True}
    gram = SignatureKernelTransformer(dyadic_order=4, **options).fit_transform(X)
    errors = [rms_error(X, gram, n, degree=6, **options) for n in (50, 3200)]
    assert 5 < errors[0] / errors[1] < 12
    assert errors[1] < 0.05


def test_what_is_cut_off_above_the_degree_stays(rng: np.random.Generator) -> None:
    X = random_paths(rng, 4, 6, 2)
    gram = SignatureKernelTransformer("linear", sigma=1.0, dyadic_order=5, normalize=False).fit_transform(X)
    options: dict[str, Any] = {"static_kernel": "linear", "sigma": 1.0, "normalize": False}
    first = siglib.sig(X, 1)
    cut = np.abs(gram - 1 - first @ first.T).max()
    assert cut > 0.1
    features = RandomSignatureFeatures(100_000, degree=1, random_state=0, **options).fit_transform(X)
    assert abs(np.abs(features @ features.T - gram).max() - cut) < 0.1


def test_random_features_in_blocks(rng: np.random.Generator, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    from siglib.sklearn import _random_features

    X = random_paths(rng, 7, 6, 2, dtype=dtype)
    transformer = RandomSignatureFeatures(9, degree=3, random_state=0).fit(X)
    expected = transformer.transform(X)
    assert expected.dtype == dtype
    assert expected.shape == (7, 28)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1.0, rtol=1e-5)
    monkeypatch.setattr(_random_features, "_BLOCK_SIZE", 400)
    np.testing.assert_allclose(transformer.transform(X), expected, rtol=1e-4 if dtype == np.float32 else 1e-12)


def test_linear_models_on_random_features(rng: np.random.Generator) -> None:
    X, side, _ = spirals(rng)
    model = make_pipeline(RandomSignatureFeatures(200, random_state=0), LogisticRegression(C=100))
    assert model.fit(X[:30], side[:30]).score(X[30:], side[30:]) >= 0.9


# Refusals

SHARED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"static_kernel": "gauss"}, ValueError, "static_kernel must be one of 'linear', 'rbf'"),
    ({"sigma": 0.0}, ValueError, "sigma and width must be positive"),
    ({"sigma": "mean"}, ValueError, "sigma must be a positive number or 'median'"),
    ({"sigma": None}, TypeError, "sigma must be a real number"),
    ({"width": -1.0}, ValueError, "sigma and width must be positive"),
    ({"width": "wide"}, TypeError, "width must be a real number"),
    ({"normalize": "yes"}, TypeError, "normalize must be True or False"),
    ({"time_aug": 1}, TypeError, "time_aug must be True or False"),
    ({"scale": "mean"}, ValueError, "scale must be"),
    ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer"),
]
REFUSALS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    *((cls, *case) for cls in (SignatureKernelTransformer, SignatureNystroem) for case in SHARED),
    *((RandomSignatureFeatures, *case) for case in SHARED if "n_jobs" not in case[0]),
    (SignatureKernelTransformer, {"static_kernel": siglib.RBFKernel}, TypeError, "give an object, not the class"),
    (SignatureKernelTransformer, {"dyadic_order": -1}, ValueError, "dyadic_order must be at least 0"),
    (SignatureKernelTransformer, {"dyadic_order": None}, ValueError, "needs a dyadic_order"),
    (SignatureKernelTransformer, {"order": 1}, ValueError, "order must be at least 2"),
    (SignatureNystroem, {"n_components": 0}, ValueError, "n_components must be at least 1"),
    (SignatureNystroem, {"random_state": "a"}, ValueError, "seed"),
    (RandomSignatureFeatures, {"n_components": 2.5}, TypeError, "n_components must be an integer"),
    (RandomSignatureFeatures, {"degree": 0}, ValueError, "degree must be at least 1"),
    (RandomSignatureFeatures, {"static_kernel": siglib.RBFKernel(1.0)}, ValueError, "static_kernel must be one of"),
]


@pytest.mark.parametrize(("cls", "options", "error", "message"), REFUSALS)
def test_refusals(cls: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cls(**options).fit(np.zeros((3, 4, 2)))


def test_refusals_of_the_kernel() -> None:
    X = np.zeros((3, 4, 2))
    with pytest.raises(ValueError, match="only be evaluated when Y is None"):
        SignatureKernel()(X, X, eval_gradient=True)
    with pytest.raises(ValueError, match="static_kernel must be one of"):
        SignatureKernel(static_kernel=siglib.RBFKernel(1.0))(X)
