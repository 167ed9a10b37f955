"""Features of windows of real time, of series in data frames: what each window gives alone."""

from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, optional

import siglib

optional("sklearn")
from siglib.sklearn import LogSignatureTransformer, SignatureTransformer  # noqa: E402

pandas = optional("pandas")
SERIES = {"a": (30, 10.0), "b": (50, 20.0), "c": (4, 3.0), "d": (1, 0.0)}
OPTIONS: dict[str, Any] = {"windows": "time", "series": "who", "time": "when", "channels": ["x", "y"]}


def long_frame(rng: np.random.Generator) -> Any:
    """Series of different lengths and durations, rows in any order."""
    parts = []
    for who, (n, duration) in SERIES.items():
        path = random_paths(rng, n, 2)
        times = 5.0 + np.sort(rng.uniform(0, duration, n))
        parts.append(pandas.DataFrame({"who": who, "when": times, "x": path[:, 0], "y": path[:, 1]}))
    return pandas.concat(parts).sample(frac=1, random_state=1)


def series_of(frame: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """(points, times) of each, in the order in which they appear."""
    parts = [frame[frame.who == who].sort_values("when") for who in dict.fromkeys(frame.who)]
    return [(part[["x", "y"]].to_numpy(), part.when.to_numpy()) for part in parts]


@pytest.mark.parametrize("cls", [SignatureTransformer, LogSignatureTransformer])
@pytest.mark.parametrize("transform", [{}, {"lead_lag": True}])
def test_features_are_those_of_the_windows(rng: np.random.Generator, cls: Any, transform: dict[str, Any]) -> None:
    frame = long_frame(rng)
    function = siglib.sig_windows if cls is SignatureTransformer else siglib.log_sig_windows
    transformer = cls(2, window=4.0, stride=2.0, **OPTIONS, **transform)
    out = transformer.fit_transform(frame)
    names = transformer.get_feature_names_out()
    assert names[0].startswith("0:4 x") and len(names) == len(set(names)) == out.shape[1]
    longest = 0
    for row, (points, times) in zip(out, series_of(frame), strict=True):
        expected = function(points, 2, 4.0, 2.0, times=times, **transform).ravel()
        assert_close(row[: expected.size], expected, 1e-12)
        assert not row[expected.size :].any()
        longest = max(longest, expected.size)
    assert longest == out.shape[1]
    # Series that go on longer are features of what the training series had.
    short = cls(2, window=4.0, stride=2.0, **OPTIONS, **transform).fit(frame[frame.who == "a"])
    few = len(short.get_feature_names_out())
    assert_close(short.transform(frame), out[:, :few], 1e-12)


def test_points_that_are_added_belong_to_the_ends(rng: np.random.Generator) -> None:
    frame = long_frame(rng)
    frame = frame[frame.who == "a"]
    options = {"base_point": "zero", "invisibility_reset": True, "window": 4.0, **OPTIONS}
    out = SignatureTransformer(2, **options).fit_transform(frame)
    ((points, times),) = series_of(frame)
    points = np.concatenate([np.zeros((1, 2)), points, points[-1:], np.zeros((1, 2))])
    points = np.column_stack([points, np.repeat([1.0, 0.0], [len(points) - 2, 2])])
    times = np.concatenate([times[:1], times, times[-1:], times[-1:]])
    assert_close(out[0], siglib.sig_windows(points, 2, 4.0, times=times).ravel(), 1e-12)


def test_datetimes(rng: np.random.Generator) -> None:
    frame = long_frame(rng)
    expected = SignatureTransformer(2, window=4.0, **OPTIONS).fit_transform(frame)
    frame["when"] = pandas.Timestamp("2020-02-27") + pandas.to_timedelta(frame.when, unit="D")
    for window in (pandas.Timedelta("4D"), np.timedelta64(96, "h")):
        transformer = SignatureTransformer(2, window=window, **OPTIONS).set_output(transform="pandas")
        out = transformer.fit_transform(frame)
        assert_close(out.to_numpy(), expected, 1e-12)
    assert out.columns[0] == "0 hours:96 hours x"


@pytest.mark.parametrize("kind", ["time zone", "objects", "dates"])
def test_datetimes_that_are_no_numpy_dtype(rng: np.random.Generator, kind: str) -> None:
    """For windows, and for lines through gaps."""
    frame = long_frame(rng)
    frame["when"] = pandas.Timestamp("2020-02-27") + pandas.to_timedelta(frame.when.rank(), unit="D")
    frame.loc[frame.index[4], "x"] = np.nan
    options = {"window": pandas.Timedelta("4D"), "gaps": "linear", **OPTIONS}
    expected = SignatureTransformer(2, **options).fit_transform(frame)
    given = frame.assign(
        when={
            "time zone": frame.when.dt.tz_localize("Asia/Tokyo"),
            "objects": frame.when.astype(object),
            "dates": frame.when.dt.date,
        }[kind]
    )
    assert_close(SignatureTransformer(2, **options).fit_transform(given), expected, 1e-12)
    indexed = given.set_index(["who", "when"])
    options |= {"series": None, "time": None}
    assert_close(SignatureTransformer(2, **options).fit_transform(indexed), expected, 1e-12)


def test_refusals(rng: np.random.Generator) -> None:
    frame = long_frame(rng)
    with pytest.raises(ValueError, match="needs a long data frame with a column of times: name it, time="):
        SignatureTransformer(2, windows="time", window=1.0).fit(np.zeros((2, 5, 1)))
    with pytest.raises(ValueError, match="no training series is as long as a window of 30.0"):
        SignatureTransformer(2, window=30.0, **OPTIONS).fit(frame)
    with pytest.raises(ValueError, match="windows='time' needs a window: a duration"):
        SignatureTransformer(2, **OPTIONS).fit(frame)
    with pytest.raises(ValueError, match="window must be a duration above 0, got -1"):
        SignatureTransformer(2, window=-1.0, **OPTIONS).fit(frame)
    with pytest.raises(TypeError, match="window must be a real number"):
        SignatureTransformer(2, window=np.timedelta64(1, "D"), **OPTIONS).fit(frame)
