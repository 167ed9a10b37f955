"""What estimators take as series: every documented kind gives what the plain arrays give, or an error that says why."""

from typing import Any

import hypothesis
import numpy as np
import pytest
from cases import random_paths
from checking import assert_same_bits, optional
from hypothesis import strategies as st

import siglib

sklearn = optional("sklearn")
from siglib.sklearn import (  # noqa: E402
    LogSignatureTransformer,
    RandomSignatureFeatures,
    SignatureKernelTransformer,
    SignatureNystroem,
    SignatureTransformer,
    as_series,
)

LENGTHS = [5, 3, 9, 5, 3, 5]
NAMES = ["acc x", "acc y"]


@pytest.fixture
def ragged(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal((length, 2)) for length in LENGTHS]


def long_columns(rng: np.random.Generator, ragged: list[np.ndarray], ids: list[Any], moments: Any) -> dict[str, Any]:
    """A long table with shuffled rows, but for the first one of each series, in order."""
    key = np.repeat(np.array(ids), [len(one) for one in ragged])
    time = np.concatenate([moments(len(one)) for one in ragged])
    points = np.concatenate(ragged)
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    others = rng.permutation(np.setdiff1d(np.arange(len(key)), first))
    order = np.concatenate([first, others])
    return {"id": key[order], "t": time[order], NAMES[0]: points[order, 0], NAMES[1]: points[order, 1]}


def expected(ragged: list[np.ndarray]) -> np.ndarray:
    return np.stack([siglib.sig(one, 3, time_aug=True) for one in ragged])


@hypothesis.settings(deadline=None)
@hypothesis.given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=8), seed=st.integers(0, 2**32 - 1))
def test_series_of_any_lengths_get_what_they_get_alone(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    series = [rng.standard_normal((length, 2)) for length in lengths]
    train = [rng.standard_normal((4, 2)), rng.standard_normal((6, 2))]
    for transformer in (
        SignatureTransformer(2, time_aug=True, windows="dyadic", depth=2),
        LogSignatureTransformer(2, windows="sliding", window=0.5, stride=0.25, base_point="zero"),
        SignatureKernelTransformer(time_aug=True),
        SignatureNystroem(2, random_state=0, sigma=1.0),
        RandomSignatureFeatures(3, degree=2, random_state=0, lead_lag=True),
    ):
        out = transformer.fit(train).transform(series)
        for row, one in zip(out, series, strict=True):
            np.testing.assert_allclose(row, transformer.transform([one])[0], rtol=1e-12, atol=1e-13)


def test_bits_of_series_are_those_of_a_batch_of_their_length(ragged: list[np.ndarray]) -> None:
    out = SignatureTransformer(3, time_aug=True).fit_transform(ragged)
    for length in set(LENGTHS):
        rows = [i for i, n in enumerate(LENGTHS) if n == length]
        assert_same_bits(out[rows], siglib.sig(np.stack([ragged[i] for i in rows]), 3, time_aug=True))


def test_lists_and_arrays_of_objects(ragged: list[np.ndarray]) -> None:
    transformer = SignatureTransformer(3, time_aug=True).fit(ragged)
    wanted = transformer.transform(ragged)
    np.testing.assert_allclose(wanted, expected(ragged), rtol=1e-12)
    objects = np.empty(len(ragged), object)
    objects[:] = ragged
    for X in (tuple(ragged), [one.tolist() for one in ragged], objects, as_series(ragged)):
        assert_same_bits(transformer.transform(X), wanted)
    first = LogSignatureTransformer(layout="channels_first").fit_transform([one.T for one in ragged])
    assert_same_bits(first, LogSignatureTransformer().fit_transform(ragged))


def test_arrays(rng: np.random.Generator, dtype: np.dtype) -> None:
    X = random_paths(rng, 4, 6, 3, dtype=dtype)
    wanted = siglib.sig(X, 3)
    assert_same_bits(SignatureTransformer().fit_transform(X), wanted)
    first = SignatureTransformer(layout="channels_first").fit_transform(X.swapaxes(1, 2))
    np.testing.assert_allclose(first, wanted, rtol=1e-6 if dtype == np.float32 else 1e-13, atol=1e-6)
    assert first.dtype == dtype
    assert_same_bits(SignatureTransformer().fit_transform(list(X)), wanted)
    # A table: a row for each series of one channel.
    assert_same_bits(SignatureTransformer().fit_transform(X[:, :, 0]), siglib.sig(X[:, :, :1], 3))


def test_series_of_one_channel_and_different_lengths() -> None:
    out = SignatureTransformer(2).fit_transform([[1, 2, 4], [0, 2]])
    np.testing.assert_allclose(out, [[3, 4.5], [2, 2]])


@pytest.mark.parametrize(
    ("ids", "moments"),
    [
        (["b", "a", "c", "f", "e", "d"], np.arange),
        ([3, 1, 2, 7, 5, 0], lambda n: np.datetime64("2024-01-01", "ms") + np.arange(n) * np.timedelta64(7, "ms")),
    ],
)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_long_data_frames(rng: Any, ragged: list[np.ndarray], library: str, ids: list[Any], moments: Any) -> None:
    frames = optional(library)
    columns = long_columns(rng, ragged, ids, moments)
    frame = frames.DataFrame(columns)
    transformer = SignatureTransformer(3, time_aug=True, series="id", time="t")
    wanted = SignatureTransformer(3, time_aug=True).fit_transform(ragged)
    assert_same_bits(transformer.fit_transform(frame), wanted)
    assert transformer.feature_names_in_.tolist() == NAMES
    assert transformer.n_features_in_ == 2
    assert transformer.get_feature_names_out()[:4].tolist() == [*NAMES, "time", "acc x · acc x"]
    one = SignatureTransformer(3, series="id", time="t", channels=["acc y"]).fit_transform(frame)
    assert_same_bits(one, SignatureTransformer(3).fit_transform([path[:, 1:] for path in ragged]))
    split = as_series(frame, series="id", time="t")
    for given, path in zip(split, ragged, strict=True):
        np.testing.assert_array_equal(given, path)
    transformer.set_output(transform=library)
    out = transformer.fit_transform(frame)
    assert list(out.columns) == transformer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(out.to_numpy(), wanted)
    if library == "pandas":
        assert out.index.tolist() == ids
        assert out.index.name == "id"


def test_time_as_a_channel(rng: np.random.Generator, ragged: list[np.ndarray]) -> None:
    pandas = optional("pandas")
    frame = pandas.DataFrame(long_columns(rng, ragged, list("abcdef"), lambda n: np.sqrt(np.arange(n))))
    out = SignatureTransformer(2, series="id", time="t", channels=["acc x", "t"]).fit_transform(frame)
    paths = [np.column_stack([path[:, 0], np.sqrt(np.arange(len(path)))]) for path in ragged]
    assert_same_bits(out, SignatureTransformer(2).fit_transform(paths))


def test_frames_of_pandas_of_other_kinds(rng: np.random.Generator, ragged: list[np.ndarray]) -> None:
    pandas = optional("pandas")
    frame = pandas.DataFrame(long_columns(rng, ragged, list("badcef"), np.arange))
    wanted = SignatureTransformer(2).fit_transform(ragged)
    # An index of two levels, as sktime has it; categories; nullable numbers; times of a time zone; objects.
    assert_same_bits(SignatureTransformer(2).fit_transform(frame.set_index(["id", "t"])), wanted)
    other = frame.astype({"id": "category", "acc x": "Float64", "acc y": object})
    other["t"] = pandas.to_datetime(other["t"], unit="h", utc=True)
    assert_same_bits(SignatureTransformer(2, series="id", time="t").fit_transform(other), wanted)
    # Rows that come in order need no time.
    in_order = frame.sort_values("t", kind="stable").drop(columns="t")
    out = SignatureTransformer(2, series="id").fit(in_order)
    np.testing.assert_allclose(
        out.transform(in_order), wanted[[list("badcef").index(key) for key in in_order["id"].unique()]]
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_lists_of_data_frames(ragged: list[np.ndarray], library: str) -> None:
    frames = [optional(library).DataFrame(dict(zip(NAMES, path.T, strict=True))) for path in ragged]
    wanted = SignatureTransformer(2).fit_transform(ragged)
    # Columns are channels: a layout is that of arrays.
    for layout in ("channels_last", "channels_first"):
        for X in (frames, as_series(frames), as_series(frames)[:]):
            transformer = SignatureTransformer(2, layout=layout).fit(X)
            assert_same_bits(transformer.transform(X), wanted)
            assert transformer.get_feature_names_out()[:2].tolist() == NAMES
    swapped = [*frames[:-1], frames[-1][NAMES[::-1]]]
    with pytest.raises(ValueError, match="same columns in the same order, got 'acc x', 'acc y' and 'acc y', 'acc x'"):
        transformer.fit(swapped)
    with pytest.raises(ValueError, match="must have the channels"):
        transformer.transform(swapped[-1:])


def test_lists_of_data_frames_of_other_kinds(ragged: list[np.ndarray]) -> None:
    pandas = optional("pandas")
    wanted = SignatureTransformer(2).fit_transform(ragged)
    nullable = [pandas.DataFrame(path).astype("Float64") for path in ragged]
    transformer = SignatureTransformer(2).fit(nullable)
    assert_same_bits(transformer.transform(nullable), wanted)
    assert transformer.get_feature_names_out()[:2].tolist() == ["x0", "x1"]
    columns = [pandas.Series(path[:, 0]).astype("Float64") for path in ragged]
    assert_same_bits(
        SignatureTransformer(2).fit_transform(columns), SignatureTransformer(2).fit_transform([p[:, 0] for p in ragged])
    )


def test_series_keep_the_names_of_a_long_data_frame(rng: np.random.Generator, ragged: list[np.ndarray]) -> None:
    pandas = optional("pandas")
    frame = pandas.DataFrame(long_columns(rng, ragged, list("abcdef"), np.arange))
    split = as_series(frame, series="id", time="t")
    assert SignatureTransformer(1).fit(split[::2]).get_feature_names_out().tolist() == NAMES


def test_wide_frames_are_tables(rng: np.random.Generator) -> None:
    pandas = optional("pandas")
    X = rng.standard_normal((5, 4))
    frame = pandas.DataFrame(X, columns=["mon", "tue", "wed", "thu"], index=list("abcde"))
    transformer = SignatureTransformer(2, time_aug=True).set_output(transform="pandas")
    out = transformer.fit_transform(frame)
    assert out.index.tolist() == list("abcde")
    assert out.columns.tolist() == ["x", "time", "x · x", "x · time", "time · x", "time · time"]
    np.testing.assert_array_equal(out, siglib.sig(X[:, :, None], 2, time_aug=True))
    with pytest.raises(ValueError, match="feature names should match"):
        transformer.transform(frame[["tue", "mon", "wed", "thu"]])


FRAME = {"id": [1, 1, 2], "t": [0, 1, 0], "x": [1.0, 2.0, 3.0], "word": ["a", "b", "c"]}
REFUSALS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (np.zeros((2, 3, 2)), {"layout": "rows"}, ValueError, "layout must be 'channels_last' or 'channels_first'"),
    (np.zeros((2, 2, 3, 2)), {}, ValueError, "X must have shape"),
    (np.zeros((2, 0, 2)), {}, ValueError, "at least one moment|0 feature"),
    (np.zeros((2, 3, 0)), {}, ValueError, "at least one"),
    (np.zeros((0, 3, 2)), {}, ValueError, "0 sample"),
    (np.full((2, 3, 2), np.nan), {}, ValueError, "NaN"),
    (np.zeros((2, 3, 2), complex), {}, ValueError, "Complex data not supported"),
    ([np.zeros((3, 2)), np.zeros((4, 3))], {}, ValueError, "the same number of channels, got 2 and 3"),
    ([np.zeros((3, 2)), np.zeros((4,))], {}, ValueError, r"got shapes \(3, 2\), \(4,\)"),
    ([np.zeros((3, 2)), np.zeros((0, 2))], {}, ValueError, "at least one moment, got none in number 1"),
    ([np.zeros((3, 2)), np.full((4, 2), np.inf)], {}, ValueError, "infinity"),
    ([[[1, 2], [3]], [[1, 2]]], {}, ValueError, "no array"),
    (np.zeros((2, 3)), {"series": "id"}, TypeError, "must be a data frame, got ndarray"),
    (np.zeros((2, 3)), {"time": "t"}, ValueError, "name that of the series"),
    (FRAME, {"series": "who"}, ValueError, "series: X has no column 'who', its columns are 'id', 't'"),
    (FRAME, {"series": "id", "time": "when"}, ValueError, "time: X has no column"),
    (FRAME, {"series": "id", "time": "t", "channels": "x"}, TypeError, "channels must be a list"),
    (FRAME, {"series": "id", "time": "t", "channels": []}, ValueError, "no column for a channel"),
    (FRAME, {"series": "id", "time": "t", "channels": ["y"]}, ValueError, "channels: X has no column 'y'"),
    (FRAME, {"series": "id", "time": "t"}, TypeError, "real numbers.*'word'"),
    ({**FRAME, "t": [1, 1, 0]}, {"series": "id", "time": "t", "channels": ["x"]}, ValueError, "two rows for the time 1"),
    ({**FRAME, "t": [1, np.nan, 0]}, {"series": "id", "time": "t", "channels": ["x"]}, ValueError, "has no time"),
    ({**FRAME, "id": [1, np.nan, 0]}, {"series": "id", "time": "t", "channels": ["x"]}, ValueError, "no series"),
    ({**FRAME, "x": [1, np.nan, 0]}, {"series": "id", "time": "t", "channels": ["x"]}, ValueError, "NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("X", "options", "error", "message"), REFUSALS)
def test_refusals(X: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    if isinstance(X, dict):
        X = optional("pandas").DataFrame(X)
    with pytest.raises(error, match=message):
        SignatureTransformer(**options).fit(X)
    with pytest.raises(error, match=message):
        as_series(X, **options)


def test_refusals_of_polars() -> None:
    polars = optional("polars")
    with pytest.raises(TypeError, match="channels must hold real numbers, got column 'word' of dtype String"):
        SignatureTransformer(series="id", time="t").fit(polars.DataFrame(FRAME))
    with pytest.raises(ValueError, match="NaN"):
        SignatureTransformer(series="id", time="t", channels=["x"]).fit(polars.DataFrame({**FRAME, "x": [1, None, 2]}))


@pytest.mark.parametrize("gaps", ["forward", "linear", "drop"])
def test_gaps(rng: np.random.Generator, gaps: str) -> None:
    points = rng.standard_normal((4, 6, 2))
    points[0, 2, 1] = points[1, 0, 0] = points[3, 3:, 1] = np.nan
    expected = siglib.sig(siglib.Series(points, gaps=gaps), 2)
    transformer = SignatureTransformer(2, gaps=gaps)
    np.testing.assert_allclose(transformer.fit_transform(points), expected, atol=1e-12)
    ragged = [points[0], points[1, :4], points[2], points[3, :5]]
    expected = siglib.sig(siglib.Series(ragged, gaps=gaps), 2)
    np.testing.assert_allclose(transformer.fit_transform(ragged), expected, atol=1e-12)
    table = points[:3, :, 1]
    expected = siglib.sig(siglib.Series(table[..., None], gaps=gaps), 2)
    np.testing.assert_allclose(transformer.fit_transform(table), expected, atol=1e-12)
    with pytest.raises(ValueError, match="NaN"):
        SignatureTransformer(2).fit(points)
    points[2, :, 0] = np.nan
    message = "leaves no moment of series 2" if gaps == "drop" else "series 2 of X has a channel without any number"
    with pytest.raises(ValueError, match=message):
        transformer.fit(points)
    with pytest.raises(ValueError, match="gaps must be None, 'forward', 'linear' or 'drop', got 'nearest'"):
        SignatureTransformer(2, gaps="nearest").fit(points)


@pytest.mark.parametrize("unit", [1.0, np.timedelta64(1, "h")])
def test_gaps_of_frames_are_filled_in_time(unit: Any) -> None:
    pandas = optional("pandas")
    moments = np.array([0, 3, 4, 0, 1, 5])
    times = moments * unit if isinstance(unit, float) else np.datetime64("2024-01-01") + moments * unit
    values = [1.0, np.nan, 2.0, 0.0, np.nan, 5.0]
    frame = pandas.DataFrame({"who": list("aaabbb"), "when": times, "x": values}).sample(frac=1, random_state=0)
    paths = [[[1.0], [1.75], [2.0]], [[0.0], [1.0], [5.0]]]
    transformer = SignatureTransformer(2, lead_lag=True, series="who", time="when", gaps="linear")
    found = dict(zip(frame["who"].drop_duplicates(), transformer.fit_transform(frame), strict=True))
    for who, path in zip("ab", paths, strict=True):
        np.testing.assert_allclose(found[who], siglib.sig(path, 2, lead_lag=True), atol=1e-12)


def test_other_series_than_those_of_the_training(ragged: list[np.ndarray]) -> None:
    pandas = optional("pandas")
    transformer = SignatureTransformer().fit(ragged)
    with pytest.raises(ValueError, match="X has 3 features, but SignatureTransformer is expecting 2"):
        transformer.transform(np.zeros((2, 4, 3)))
    with pytest.raises(ValueError, match="X has 1 features"):
        transformer.transform(np.zeros((2, 4)))
    frame = pandas.DataFrame({"id": [1, 1], "x": [0, 1], "y": [2, 3]})
    transformer = SignatureTransformer(series="id").fit(frame)
    with pytest.raises(ValueError, match="must have the channels"):
        transformer.transform(frame[["id", "y", "x"]])


@pytest.mark.parametrize("lead_lag", [False, True])
def test_the_clock_of_a_data_frame(rng: np.random.Generator, ragged: list[np.ndarray], lead_lag: bool) -> None:
    pandas = optional("pandas")
    times = [np.cumsum(rng.uniform(0.1, 2.0, len(one))) for one in ragged]
    draw = iter(times)
    frame = pandas.DataFrame(long_columns(rng, ragged, list("abcdef"), lambda n: next(draw)))
    options = {"series": "id", "time": "t", "time_aug": "time", "lead_lag": lead_lag}
    found = SignatureTransformer(3, rescaling="post", **options).fit_transform(frame)
    plain = SignatureTransformer(3, rescaling="post", time_aug=True, lead_lag=lead_lag).fit(ragged)
    weights = plain.transform(ragged)[0] / siglib.sig(ragged[0], 3, time_aug=True, lead_lag=lead_lag)
    for row, one, t in zip(found, ragged, times, strict=True):
        alone = siglib.sig(one, 3, time_aug=True, times=t, lead_lag=lead_lag) * weights.round()
        np.testing.assert_allclose(row, alone, rtol=1e-10, atol=1e-12)
    names = SignatureTransformer(2, **options).fit(frame).get_feature_names_out()
    assert "time" in names
    # A point in front is of the first moment.
    found = LogSignatureTransformer(2, base_point="zero", **options).fit_transform(frame)
    series = siglib.Series(ragged, times=times, base_point=True)
    np.testing.assert_allclose(
        found, siglib.log_sig(series, 2, time_aug=True, lead_lag=lead_lag), rtol=1e-10, atol=1e-12
    )
    gram = SignatureKernelTransformer(sigma=1.0, dyadic_order=1, **options).fit_transform(frame)
    both = siglib.Series(ragged, times=times)
    kernels = siglib.sig_kernel_gram(
        both,
        both,
        dyadic_order=1,
        static_kernel=siglib.RBFKernel(1.0),
        time_aug=True,
        lead_lag=lead_lag,
        normalize=True,
    )
    np.testing.assert_allclose(gram, kernels, rtol=1e-9)
    frame["t"] = pandas.Timestamp("2026-01-01") + pandas.to_timedelta(frame["t"], unit="s")
    again = LogSignatureTransformer(2, base_point="zero", **options).fit_transform(frame)
    np.testing.assert_allclose(again, found, rtol=1e-7, atol=1e-7)
    with pytest.raises(ValueError, match='time_aug="time" needs a data frame with a column of times'):
        SignatureTransformer(2, time_aug="time").fit(ragged)
    with pytest.raises(ValueError, match='time_aug="time" says when series end'):
        SignatureTransformer(2, end_time=2.0, **options).fit(frame)
    with pytest.raises(TypeError, match="time_aug must be True or False"):
        SignatureTransformer(2, time_aug="clock").fit(ragged)
