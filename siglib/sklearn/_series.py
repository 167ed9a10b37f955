"""Series as users have them, as arrays of points: the one place that knows arrays, lists and data frames."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_array

from .._call.array_likes import is_table, numbers_of_table
from .._call.times import without_objects
from ..paths.transform import transform_path

LAYOUTS = ("channels_last", "channels_first")
GAPS = (None, "forward", "linear", "drop")
DTYPES = [np.float64, np.float32]
# How many names a message lists.
_MAX_LISTED = 8


class Series(NamedTuple):
    """Series with the same channels, each of shape (length, channels), in float64 or all in float32."""

    points: np.ndarray | list[np.ndarray]
    """One array (series, length, channels) if all lengths are equal."""
    names: list[str] | None = None
    """Names of the channels, where the user has any."""
    ids: np.ndarray | None = None
    """What the series of a data frame are called there."""
    moments: list[np.ndarray] | None = None
    """When the points of each are, where a data frame says it."""


class OneSeries:
    """A series as one object among others, an array of shape (length, channels) in `points`.

    Arrays as elements of an array of objects confuse NumPy: comparing two of them gives more than one truth.
    """

    __slots__ = ("columns", "points")

    def __init__(self, points: np.ndarray, columns: list[str] | None = None) -> None:
        self.points, self.columns = points, columns

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.points, dtype) if copy else np.asarray(self.points, dtype)

    def __repr__(self) -> str:
        return f"OneSeries of shape {self.points.shape}"


def is_listed(X: Any) -> bool:
    """Whether X is a list of series, and no table of numbers with a row for each."""
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and np.ndim(_array(X[0])) > 0
    if not isinstance(X, (list, tuple)) or not len(X):
        return False
    arrays = [_array(item) for item in X]
    return any(array.ndim == 2 for array in arrays) or len({array.shape for array in arrays if array.ndim}) > 1


def is_long(X: Any, series: Any) -> bool:
    """Whether X is a data frame with a row for each moment of each series."""
    return series is not None or getattr(getattr(X, "index", None), "nlevels", 1) > 1


def series_of_array(X: np.ndarray, layout: str) -> Series:
    """A checked array: a table has a row for each series of one channel."""
    if X.ndim == 2:
        return Series(X[:, :, None])
    if X.ndim != 3:
        raise ValueError(
            f"X must have shape (series, length, channels), or (series, length) for one channel, got {X.shape}"
        )
    X = X.swapaxes(1, 2) if layout == "channels_first" else X
    if 0 in X.shape[1:]:
        raise ValueError(f"X must have at least one moment and one channel, got {X.shape[1]} and {X.shape[2]}")
    return Series(X)


def series_of_list(X: Sequence[Any], layout: str, gaps: Any = None) -> Series:
    """Series one by one, of any lengths."""
    arrays = [_array(item) for item in X]
    if all(array.ndim == 1 for array in arrays):
        arrays = [array[:, None] for array in arrays]
    elif not all(array.ndim == 2 for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays[:_MAX_LISTED])
        raise ValueError(f"X must list series of shape (length, channels), all of them, got shapes {shapes}")
    elif layout == "channels_first":
        # Columns are channels, wherever arrays have theirs.
        arrays = [array if hasattr(item, "columns") else array.T for item, array in zip(X, arrays, strict=True)]
    widths = sorted({array.shape[1] for array in arrays})
    if len(widths) > 1:
        raise ValueError(f"all series of X must have the same number of channels, got {widths[0]} and {widths[-1]}")
    return Series(_split(np.concatenate(arrays), [len(array) for array in arrays], gaps), _common_names(X))


def _common_names(X: Sequence[Any]) -> list[str] | None:
    """Names of the channels, where series have columns with names, all of them in one order."""
    labels = [getattr(item, "columns", None) for item in X]
    named = [label for label in labels if label is not None and all(isinstance(name, str) for name in label)]
    different = sorted({tuple(label) for label in named})
    if len(different) > 1:
        raise ValueError(
            "all series of X must have the same columns in the same order, got "
            f"{_listed(list(different[0]))} and {_listed(list(different[1]))}"
        )
    return list(different[0]) if different else None


def series_of_frame(X: Any, series: Any, time: Any, channels: Any, gaps: Any = None) -> Series:
    """A long data frame: the series in the order in which they appear, the moments in that of their time."""
    labels, moments = _labels_of(X), None
    if series is None:
        keys, moments = (np.asarray(X.index.get_level_values(level).to_numpy()) for level in (0, 1))
    else:
        _check_labels(labels, {"series": [series], "time": [] if time is None else [time]})
        keys = _column(X, series)
        if time is not None:
            moments = _column(X, time)
    if moments is not None:
        moments = without_objects(moments)
    if channels is None:
        channels = [label for label in labels if label not in (series, time)]
    elif isinstance(channels, str) or not isinstance(channels, Sequence):
        raise TypeError(f"channels must be a list of column names, got {channels!r}")
    _check_labels(labels, {"channels": list(channels)})
    if not channels:
        raise ValueError(f"X has no column for a channel, only {_listed(labels)}")
    ids, codes = _codes(keys)
    order = np.argsort(codes, kind="stable") if moments is None else _order_in_time(codes, moments, ids)
    points = np.column_stack([_numbers(X, label) for label in channels])[order]
    counts = np.bincount(codes, minlength=len(ids)).tolist()
    of_series = None if moments is None else np.split(moments[order], np.cumsum(counts)[:-1])
    return Series(_split(points, counts, gaps), [str(label) for label in channels], ids, of_series)


def as_series(
    X: Any, *, layout: str = "channels_last", series: Any = None, time: Any = None, channels: Any = None
) -> np.ndarray:
    """Series of any kind as a NumPy array of objects, which every function of scikit-learn can index and split.

    Estimators of `siglib.sklearn` take what comes as it is. Use this where scikit-learn itself looks at the data: to
    cross-validate on a long data frame, whose rows are no samples, and for `GaussianProcessRegressor`, which takes no
    arrays of three axes.

    Parameters
    ----------
    X : array, list or data frame
        As for `SignatureTransformer`.
    layout, series, time, channels
        As for `SignatureTransformer`.

    Returns
    -------
    numpy.ndarray of shape (series,)
        Its elements are objects with an array ``points`` of shape (length, channels), which `numpy.asarray` gives, too,
        and the names of channels of data frames as ``columns``. They need no `layout` or other settings in estimators.

    Raises
    ------
    TypeError, ValueError
        If X cannot be read.

    Examples
    --------
    >>> from siglib.sklearn import as_series
    >>> series = as_series([[1.0, 2.0, 4.0], [0.0, 1.0]])
    >>> [one.points.shape for one in series]
    [(3, 1), (2, 1)]
    """
    found = read(X, layout, series, time, channels)
    out = np.empty(len(found.points), object)
    for i, one in enumerate(found.points):
        out[i] = OneSeries(one, found.names)
    return out


def read(X: Any, layout: str = "channels_last", series: Any = None, time: Any = None, channels: Any = None) -> Series:
    """Series of any kind that an estimator takes."""
    check_layout(layout)
    if is_long(X, series):
        return series_of_frame(X, series, time, channels)
    refuse_columns(time, channels)
    if is_listed(X):
        return series_of_list(X, layout)
    return series_of_array(check_array(X, dtype=DTYPES, allow_nd=True), layout)


def check_layout(layout: Any) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be 'channels_last' or 'channels_first', got {layout!r}")


def refuse_columns(time: Any, channels: Any) -> None:
    if time is not None or channels is not None:
        raise ValueError(
            "time and channels name columns of a long data frame: name that of the series, too (series=...)"
        )


def _array(item: Any) -> np.ndarray:
    try:
        array = np.asarray(item)
    except ValueError as error:
        raise ValueError(f"X lists something that is no array: {error}") from None
    # Nullable columns.
    return numbers_of_table("X", item) if array.dtype == object and is_table(item) else array


def without_gaps(found: Series, gaps: Any) -> Series:
    """The series with numbers where gaps were, or without these moments."""
    if gaps is None:
        return found
    if gaps not in GAPS[1:]:
        raise ValueError(f"gaps must be None, 'forward', 'linear' or 'drop', got {gaps!r}")
    points, moments = found.points, found.moments
    filled = transform_path(points, gaps=gaps, times=numbers_of_moments(moments) if gaps == "linear" else None)
    if gaps == "drop":
        # Arrays are padded behind: what is left of each series tells how much.
        counts = [int((~np.isnan(one).any(axis=1)).sum()) for one in points]
        if min(counts, default=1) == 0:
            raise ValueError(f"gaps='drop' leaves no moment of series {counts.index(0)}")
        filled = [one[:count] for one, count in zip(filled, counts, strict=True)]
        filled = np.stack(filled) if len(set(counts)) == 1 else filled
        if moments is not None:
            moments = [m[~np.isnan(one).any(axis=1)] for m, one in zip(moments, points, strict=True)]
    for i, one in enumerate(filled):
        if np.isnan(one).any():
            raise ValueError(f"series {i} of X has a channel without any number: no gap of it can be filled")
    return found._replace(points=filled, moments=moments)


def numbers_of_moments(moments: list[np.ndarray] | None) -> list[np.ndarray] | None:
    """Times of rows as numbers, if they are numbers or datetimes."""
    if not moments or any(m.dtype.kind not in "iufM" for m in moments):
        return None
    if moments[0].dtype.kind == "M":
        first = min(m[0] for m in moments)
        moments = [(m - first) / np.timedelta64(1, "s") for m in moments]
    return [m.astype(np.float64) for m in moments]


def finite(gaps: Any) -> dict[str, Any]:
    """What scikit-learn is told of NaN."""
    return {} if gaps is None else {"ensure_all_finite": "allow-nan"}


def _split(points: np.ndarray, lengths: list[int], gaps: Any = None) -> np.ndarray | list[np.ndarray]:
    """Checked points of all series, one after another, as series."""
    if min(lengths, default=1) == 0:
        raise ValueError(f"every series of X must have at least one moment, got none in number {lengths.index(0)}")
    points = check_array(points, dtype=DTYPES, **finite(gaps))
    if len(set(lengths)) == 1:
        return points.reshape(len(lengths), lengths[0], -1)
    return np.split(points, np.cumsum(lengths)[:-1])


def _labels_of(frame: Any) -> list[Any]:
    labels = getattr(frame, "columns", None)
    if labels is None or hasattr(labels[0] if len(labels) else "", "to_numpy"):
        # Tables of Arrow keep columns there.
        labels = getattr(frame, "column_names", None)
    if labels is None or not hasattr(frame, "__getitem__"):
        raise TypeError(f"series names a column, so X must be a data frame, got {type(frame).__name__}")
    return list(labels)


def _check_labels(labels: list[Any], wanted: dict[str, list[Any]]) -> None:
    for name, chosen in wanted.items():
        for label in chosen:
            if labels.count(label) != 1:
                what = "more than one column" if label in labels else "no column"
                raise ValueError(f"{name}: X has {what} {label!r}, its columns are {_listed(labels)}")


def _column(frame: Any, label: Any) -> np.ndarray:
    return np.asarray(frame[label].to_numpy())


def _numbers(frame: Any, label: Any) -> np.ndarray:
    column = frame[label]
    array = np.asarray(column.to_numpy())
    if array.dtype.kind in "fiub":
        return array
    if is_table(column):
        return numbers_of_table("X", column)
    raise TypeError(f"channels must hold real numbers, got column {label!r} of dtype {column.dtype}")


def _codes(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the series are called, in the order in which they appear, and for each row which of them it belongs to."""
    if any(key is None or key != key for key in (keys.tolist() if keys.dtype == object else keys[keys != keys])):
        raise ValueError("series: a row of X belongs to no series, its entry is missing")
    numbers: dict[Any, int] = {}
    codes = np.array([numbers.setdefault(key, len(numbers)) for key in keys.tolist()], np.intp)
    first = np.unique(codes, return_index=True)[1]
    return keys[first], codes


def _order_in_time(codes: np.ndarray, moments: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Rows by series, then by time."""
    try:
        known, ranks = np.unique(moments, return_inverse=True)
    except TypeError:
        raise TypeError(f"time must hold moments that can be compared, got dtype {moments.dtype}") from None
    if any(moment != moment for moment in known[-1:]):
        raise ValueError("time: a row of X has no time, its entry is missing")
    order = np.lexsort((ranks, codes))
    twice = (np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0)
    if twice.any():
        row = order[int(twice.argmax())]
        raise ValueError(f"time: series {ids[codes[row]]!r} has two rows for the time {moments[row]}")
    return order


def _listed(labels: list[Any]) -> str:
    return ", ".join(map(repr, labels[:_MAX_LISTED])) + (", ..." if len(labels) > _MAX_LISTED else "")
