"""Path transforms: definition, golden files, the adjoint, layouts, refusals."""

import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits, layouts
from golden import Case, cases

import siglib

OPTIONS = [
    {},
    {"time_aug": True, "end_time": 2.5},
    {"lead_lag": True},
    {"time_aug": True, "lead_lag": True, "end_time": -0.7},
]
options = pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda o: "+".join(k for k in o if k != "end_time") or "plain"
)


@pytest.mark.parametrize("case", cases("02_transform_path", "transform_path", "transform_path_backprop"))
def test_golden(case: Case) -> None:
    assert_close(getattr(siglib, case.function)(*case.args, **case.kwargs), case.outputs[0])


@options
@pytest.mark.parametrize("length", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("dimension", [*range(1, 12), 16, 17, 24])
def test_definition(dtype: np.dtype, rng: np.random.Generator, dimension: int, length: int, options: dict) -> None:
    paths = rng.standard_normal((3, length, dimension)).astype(dtype)
    transformed = siglib.transform_path(paths, **options)
    assert transformed.dtype == dtype
    expected = [reference.transform_path(path, **options) for path in paths]
    assert_close(
        transformed, np.array(expected), 1e-6 if dtype == np.float32 else 0.0 if "time_aug" not in options else 1e-15
    )


@options
@pytest.mark.parametrize("length", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("dimension", [*range(1, 12), 16, 17, 24])
def test_backprop_is_the_adjoint(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, length: int, options: dict
) -> None:
    """Entry by entry: the cotangent of x[l, i] is the sum of the cotangents of its copies."""
    path = np.arange(length * dimension, dtype=float).reshape(length, dimension)
    shape = reference.transform_path(path, **options).shape
    derivs = rng.standard_normal((2, *shape)).astype(dtype)
    # Which entry of the path each entry of the transformed path is a copy of.
    source = reference.transform_path(path, **{**options, "end_time": 0.0}).astype(int)
    expected = np.zeros((2, length * dimension))
    width = shape[1] - bool(options.get("time_aug"))
    for r in range(shape[0]):
        for j in range(width):
            expected[:, source[r, j]] += derivs[:, r, j]
    gradient = siglib.transform_path_backprop(derivs, **options)
    assert gradient.dtype == dtype
    assert_close(gradient, expected.reshape(2, length, dimension), 1e-6 if dtype == np.float32 else 1e-15)


@pytest.mark.parametrize("end_time", [1.0, 0.1, -3.7, 1e300, 5e-324, 0.0, 1])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 50, 1001])
@pytest.mark.parametrize("lead_lag", [False, True])
def test_time_is_linspace_to_the_last_bit(length: int, end_time: float, lead_lag: bool) -> None:
    transformed = siglib.transform_path(np.zeros((length, 1)), time_aug=True, lead_lag=lead_lag, end_time=end_time)
    assert_same_bits(transformed[:, -1], np.linspace(0.0, end_time, len(transformed)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("end_time", [np.inf, -np.inf, np.nan])
def test_time_need_not_be_finite(end_time: float) -> None:
    transformed = siglib.transform_path(np.zeros((4, 1)), time_aug=True, end_time=end_time)
    np.testing.assert_array_equal(transformed[:, -1], np.linspace(0.0, end_time, 4))


@options
def test_every_instruction_set(instruction_set: str, dtype: np.dtype, rng: np.random.Generator, options: dict) -> None:
    path = rng.standard_normal((2, 6, 3)).astype(dtype)
    transformed = siglib.transform_path(path, **options)
    assert_close(transformed, np.array([reference.transform_path(p, **options) for p in path]), 1e-6)
    inner = np.vdot(
        transformed[..., : 6 if options.get("lead_lag") else 3], transformed[..., : 6 if options.get("lead_lag") else 3]
    )
    assert_close(np.vdot(siglib.transform_path_backprop(transformed, **options), path), inner, 1e-6)


@options
@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 4, 2), (1, 4, 2), (2, 3, 4, 2), (2, 1, 3, 1, 2), (2, 0, 0, 5)])
def test_leading_batch_axes(rng: np.random.Generator, shape: tuple[int, ...], options: dict) -> None:
    paths = rng.standard_normal(shape)
    transformed = siglib.transform_path(paths, **options)
    gradient = siglib.transform_path_backprop(transformed, **options)
    assert transformed.shape[:-2] == shape[:-2]
    assert transformed.shape[-2:] == reference.transform_path(np.zeros(shape[-2:]), **options).shape
    assert gradient.shape == shape
    for index in np.ndindex(*shape[:-2]):
        assert_same_bits(transformed[index], siglib.transform_path(paths[index], **options))
        assert_same_bits(gradient[index], siglib.transform_path_backprop(transformed[index], **options))


@pytest.mark.usefixtures("eight_processors")
@options
@pytest.mark.parametrize("n_jobs", [2, 3, -1])
def test_threads_do_not_change_bits(rng: np.random.Generator, n_jobs: int, options: dict) -> None:
    paths = rng.standard_normal((37, 500, 3))  # large enough for threads to start
    transformed = siglib.transform_path(paths, **options)
    assert_same_bits(siglib.transform_path(paths, **options, n_jobs=n_jobs), transformed)
    gradient = siglib.transform_path_backprop(transformed, **options)
    assert_same_bits(siglib.transform_path_backprop(transformed, **options, n_jobs=n_jobs), gradient)


@options
@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1)))))
def test_memory_layout_does_not_matter(dtype: np.dtype, rng: np.random.Generator, layout: str, options: dict) -> None:
    paths = rng.standard_normal((2, 3, 5, 2)).astype(dtype)
    other = layouts(paths)[layout]
    transformed = siglib.transform_path(paths, **options)
    result = siglib.transform_path(other, **options)
    np.testing.assert_array_equal(result, transformed)
    np.testing.assert_array_equal(other, paths)
    other = layouts(transformed)[layout]
    expected = siglib.transform_path_backprop(transformed, **options)
    np.testing.assert_array_equal(siglib.transform_path_backprop(other, **options), expected)
    np.testing.assert_array_equal(other, transformed)


@options
def test_the_result_is_new(options: dict) -> None:
    path = np.ones((4, 2))
    for result in (
        siglib.transform_path(path, **options),
        siglib.transform_path_backprop(np.ones((5, 5)), time_aug=True),
    ):
        result[...] = 7
    np.testing.assert_array_equal(path, np.ones((4, 2)))


def test_nested_lists_of_integers() -> None:
    assert_same_bits(
        siglib.transform_path([[1, 2], [3, 4]], time_aug=True), np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 1.0]])
    )


def test_half_precision_comes_back_as_it_came() -> None:
    transformed = siglib.transform_path(np.array([[1.5], [2.5]], np.float16), lead_lag=True)
    assert_same_bits(transformed, np.array([[1.5, 1.5], [1.5, 2.5], [2.5, 2.5]], np.float16))


def test_nan_stays_in_its_point() -> None:
    path = np.zeros((3, 2))
    path[1, 0] = np.nan
    transformed = siglib.transform_path(path, lead_lag=True)
    np.testing.assert_array_equal(transformed, reference.transform_path(path, lead_lag=True))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.transform_path(np.zeros(3)), ValueError, r"path must have shape .* got \(3,\)"),
        (lambda: siglib.transform_path([1, 2, 3]), ValueError, r"path must have shape .* got \(3,\)"),
        (
            lambda: siglib.transform_path(np.zeros((3, 0)), lead_lag=True),
            ValueError,
            r"one channel .*got shape \(3, 0\)",
        ),
        (
            lambda: siglib.transform_path(np.zeros((3, 2)), time_aug=1),
            TypeError,
            "time_aug must be True or False, got 1",
        ),
        (lambda: siglib.transform_path(np.zeros((3, 2)), lead_lag="yes"), TypeError, "lead_lag must be True or False"),
        (lambda: siglib.transform_path(np.zeros((3, 2)), end_time="1"), TypeError, "end_time must be a real number"),
        (lambda: siglib.transform_path(np.zeros((3, 2)), n_jobs=0), ValueError, "n_jobs"),
        (lambda: siglib.transform_path(np.zeros((3, 2)), n_jobs=1.0), TypeError, "n_jobs"),
        (lambda: siglib.transform_path(np.zeros((3, 2), complex)), TypeError, "path must be .* real"),
        (lambda: siglib.transform_path("path"), TypeError, "path must be .* real"),
        (lambda: siglib.transform_path_backprop(np.zeros(3)), ValueError, r"derivs must have shape .* got \(3,\)"),
        (lambda: siglib.transform_path_backprop(np.zeros((4, 4)), lead_lag=True), ValueError, r"odd length.* \(4, 4\)"),
        (
            lambda: siglib.transform_path_backprop(np.zeros((5, 3)), lead_lag=True),
            ValueError,
            r"even number.* \(5, 3\)",
        ),
        (
            lambda: siglib.transform_path_backprop(np.zeros((5, 4)), lead_lag=True, time_aug=True),
            ValueError,
            r"odd number of channels with time.* \(5, 4\)",
        ),
        (lambda: siglib.transform_path_backprop(np.zeros((5, 1)), time_aug=True), ValueError, "besides time"),
        (lambda: siglib.transform_path_backprop(np.zeros((5, 0))), ValueError, "at least one channel"),
        (lambda: siglib.transform_path_backprop(np.zeros((5, 0)), time_aug=True), ValueError, "at least one channel"),
        (lambda: siglib.transform_path_backprop(np.zeros((5, 0)), lead_lag=True), ValueError, "at least one channel"),
        (lambda: siglib.transform_path_backprop(np.zeros((5, 4)), end_time=None), TypeError, "end_time"),
        (lambda: siglib.transform_path_backprop(np.zeros((5, 4)), n_jobs=0), ValueError, "n_jobs"),
    ],
)
def test_refusals_name_the_argument(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
