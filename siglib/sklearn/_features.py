"""Signatures and log-signatures of series, or of windows of them, as features with names."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._call.options import as_positive
from ..log_signatures.log_sig import log_sig
from ..log_signatures.windows import log_sig_windows
from ..signatures.sig import sig
from ..signatures.windows import sig_windows
from ..signatures.words import lyndon_words
from ._base import SeriesTransformer
from ._names import log_signature_names, signature_names
from ._paths import Paths
from ._series import Series
from ._windows import as_windows


class _SignatureFeatures(SeriesTransformer):
    """What signatures and log-signatures have in common."""

    degree: Any
    windows: Any
    window: Any
    stride: Any
    depth: Any
    rescaling: Any

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the channels and, with `scale`, their sizes.

        Parameters
        ----------
        X : array, list or data frame
            The training series; see the class.
        y : ignored

        Returns
        -------
        self
        """
        paths, found = self._learn(X)
        self._windows = as_windows(self.windows, self.window, self.stride, self.depth)
        rows, first = paths.groups[0]
        if self._windows.kind != "global" and self._has_clock() and self.lead_lag:
            raise ValueError('windows count points, so they do not go together with lead_lag and time_aug="time"')
        self._weights = self._level_weights(first.shape[2])
        if self._windows.kind == "time":
            *_, n = self._windows.in_time(self._moments(found), self.augmentations_.more_points)
            if n == 0:
                raise ValueError(f"no training series is as long as a window of {self.window}")
            self._window_names = self._windows.names_in_time(n)
            none = np.zeros((1, n), np.int64)
            self._n_features_out = self._features(first[:1], none, none).shape[1]
            return self
        # One path tells how many features there are, and whether the options go together.
        self._window_names = self._windows.names(first.shape[1])
        self._n_features_out = Paths([(rows[:1] * 0, first[:1])], 1).vectors(self._features).shape[1]
        return self

    def transform(self, X: Any) -> Any:
        """The features of series.

        Parameters
        ----------
        X : array, list or data frame
            Series with the channels of the training series, and of any lengths.

        Returns
        -------
        array of shape (series, features)
        """
        paths, found = self._paths(X)
        if self._windows.kind == "time":
            return self._rows(self._features_in_time(paths, found), X, found)
        out = paths.vectors(self._features)
        if out.shape[1] != self._n_features_out:
            raise ValueError(
                f"series of length {paths.lengths[0]} have {out.shape[1]} features, the training series had "
                f"{self._n_features_out}: give windows as shares of the path"
            )
        return self._rows(out, X, found)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> np.ndarray:
        """Names of the features: words of channel names, behind the window if there are several.

        Parameters
        ----------
        input_features : list of str, default None
            Names of the channels; None takes those of the data frame, or x0, x1 and so on.

        Returns
        -------
        array of str
        """
        words = self._words(self._channel_names(input_features))
        return np.array([window + word for window in self._window_names for word in words], dtype=object)

    def _features_in_time(self, paths: Paths, found: Series) -> np.ndarray:
        """Of windows of real time, as many as there were in the training series."""
        starts, ends, _ = self._windows.in_time(self._moments(found), self.augmentations_.more_points)
        n, out = len(self._window_names), np.empty((paths.n, self._n_features_out), paths.dtype)
        for rows, group in paths.groups:
            first, stop = np.full((2, len(rows), n), group.shape[1])
            first[:, : starts.shape[1]], stop[:, : ends.shape[1]] = starts[rows, :n], ends[rows, :n]
            out[rows] = self._features(group, first, stop)
        return out

    def _moments(self, found: Series) -> list[np.ndarray]:
        if found.moments is None:
            raise ValueError('windows="time" needs a long data frame with a column of times: name it, time=...')
        return found.moments

    def _features(
        self, paths: np.ndarray, starts: np.ndarray | None = None, ends: np.ndarray | None = None
    ) -> np.ndarray:
        """Of paths of one length, of shape (paths, features); of given windows, or of those that fit the length."""
        options = {**self._transform(), **self._coordinates(), "n_jobs": self._threads()}
        if self._windows.kind == "global":
            out = self._of_paths(paths, self.degree, **options)[:, None]
        else:
            if starts is None:
                starts, ends = self._windows.slices(paths.shape[1])
                if not len(starts):
                    raise ValueError(f"a series of length {paths.shape[1]} has no window of {self.window} points")
            out = self._of_windows(paths, self.degree, starts=starts, ends=ends, **options)
        if self._weights is not None:
            out = out * self._weights.astype(out.dtype)
        return out.reshape(len(out), -1)

    def _level_weights(self, dimension: int) -> np.ndarray | None:
        """The factor of each feature."""
        degree = as_positive("degree", self.degree)
        if self.rescaling is None:
            return None
        if self.rescaling == "post":
            of_level = [float(math.factorial(level)) for level in range(1, degree + 1)]
        elif self.rescaling == "pre":
            size = math.factorial(degree) ** (1.0 / degree)
            of_level = [size**level for level in range(1, degree + 1)]
        else:
            raise ValueError(f"rescaling must be None, 'pre' or 'post', got {self.rescaling!r}")
        transform = self._transform()
        width = (2 * dimension if transform["lead_lag"] else dimension) + bool(transform["time_aug"])
        return np.array([of_level[length - 1] for length in self._word_lengths(width)])

    # What differs between the two: functions of paths and of windows, their option of coordinates, their words.

    _of_paths: Any
    _of_windows: Any

    def _coordinates(self) -> dict[str, Any]:
        return {}

    def _words(self, channels: list[str]) -> list[str]:
        raise NotImplementedError

    def _word_lengths(self, width: int) -> list[int]:
        """Of all words, or of those that the features belong to."""
        return [level for level in range(1, self.degree + 1) for _ in range(width**level)]


class SignatureTransformer(_SignatureFeatures):
    """Truncated signatures of series as features: `siglib.sig` as a transformer of scikit-learn.

    Series come as an array of shape (series, length, channels); as a table with a row for each series of one channel;
    as a list of arrays or data frames (length, channels) of any lengths; or as a long data frame, of pandas or polars,
    with a row for each moment of each series.

    Parameters
    ----------
    degree : int, default 3
        Truncation level, at least 1.
    windows : {"global", "sliding", "expanding", "dyadic", "time"}, default "global"
        Features of the whole series, or of windows of it, one after another: windows of one width, windows that all
        begin at the start, or the series, its halves, its quarters and so on, `depth` times; or windows of real time,
        see `siglib.sig_windows`, from the first moment of each series on, of a data frame with a column of times.
    window, stride : int, float or timedelta, default None
        Width of sliding windows, or of the first expanding one, and how far one is from the next, `window` by default:
        as numbers of points, or as shares of the series, above 0 and at most 1, if they are floats. Windows in shares
        fit series of any lengths, and share their end points where they meet. Of windows of real time, durations; there
        are as many as the longest training series has: those that a series does not reach have features of no points,
        zero, and what comes later is left out.
    depth : int, default 3
        How many times dyadic windows are halved, at least 1.
    rescaling : {"pre", "post"}, default None
        Factors for the levels, which fall like 1/k!: "post" multiplies level k by k!, "pre" is the signature of the
        path times ``(degree!) ** (1 / degree)``.
    time_aug : bool or "time", default False
        Add time as a channel: an even clock, or with "time" the `time` of the data frame, as it is if it holds numbers,
        in seconds if it holds datetimes. See `siglib.transform_path`.
    lead_lag : bool, default False
        Take the lead-lag path.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    scale : {"std", "max_abs"} or sequence of float, default None
        Divide each channel by its standard deviation or its largest absolute value in the training series, or by the
        given numbers.
    cumulative_sum : bool, default False
        Sum up along each series.
    base_point : "zero" or sequence of float, default None
        A point to put in front of each series, so that features see where it starts.
    invisibility_reset : bool, default False
        Append a channel "visible", 1 along the series, and 0 in two more points: the last one and the origin. So
        features see where the series ends.
    layout : {"channels_last", "channels_first"}, default "channels_last"
        Shape of series: (length, channels), or (channels, length) as sktime and aeon have them.
    series, time : str, default None
        Columns of a long data frame: which series a row belongs to, and by what its moments are sorted.
    channels : list of str, default None
        Its columns that are channels; None takes all others.
    gaps : {"forward", "linear", "drop"}, default None
        What happens to NaN, as in `siglib.Series`; None refuses it. Linear in the `time` of a data frame if that holds
        numbers or datetimes, else by the number of moments.
    n_jobs : int, default None
        Number of threads: None is 1, -1 all processors. The result does not depend on it.

    Attributes
    ----------
    n_features_in_ : int
        Number of channels, or of columns of a table.
    n_channels_ : int
        Number of channels.
    feature_names_in_ : array of str
        Names of the channels, if there are any.
    augmentations_ : tuple
        What is done to points, with the sizes that `scale` has learned.

    Notes
    -----
    A path of length L is a point for each moment: its features are those of the straight lines between them. NaN, but
    for `gaps`, and infinity are refused. Series of different lengths are computed in groups of equal length, without
    padding.

    References
    ----------
    J. Morrill, A. Fermanian, P. Kidger and T. Lyons, "A generalised signature method for multivariate time series
    feature extraction", 2020, arXiv:2006.00873.

    Examples
    --------
    >>> import numpy as np
    >>> from siglib.sklearn import SignatureTransformer
    >>> right_then_up = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> transformer = SignatureTransformer(2).fit([right_then_up])
    >>> transformer.transform([right_then_up, 2 * right_then_up[:2]])
    array([[1. , 1. , 0.5, 1. , 0. , 0.5],
           [2. , 0. , 2. , 0. , 0. , 0. ]])
    >>> transformer.get_feature_names_out(["east", "north"]).tolist()
    ['east', 'north', 'east · east', 'east · north', 'north · east', 'north · north']
    """

    _of_paths = staticmethod(sig)
    _of_windows = staticmethod(sig_windows)

    def __init__(
        self,
        degree: int = 3,
        *,
        windows: str = "global",
        window: int | float | None = None,
        stride: int | float | None = None,
        depth: int = 3,
        rescaling: str | None = None,
        time_aug: bool | str = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        scale: Any = None,
        cumulative_sum: bool = False,
        base_point: Any = None,
        invisibility_reset: bool = False,
        layout: str = "channels_last",
        series: Any = None,
        time: Any = None,
        channels: Any = None,
        gaps: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.degree = degree
        self.windows = windows
        self.window = window
        self.stride = stride
        self.depth = depth
        self.rescaling = rescaling
        self.time_aug = time_aug
        self.lead_lag = lead_lag
        self.end_time = end_time
        self.scale = scale
        self.cumulative_sum = cumulative_sum
        self.base_point = base_point
        self.invisibility_reset = invisibility_reset
        self.layout = layout
        self.series = series
        self.time = time
        self.channels = channels
        self.gaps = gaps
        self.n_jobs = n_jobs

    def _words(self, channels: list[str]) -> list[str]:
        return signature_names(channels, self.degree)


class LogSignatureTransformer(_SignatureFeatures):
    """Log-signatures of series as features: `siglib.log_sig` as a transformer of scikit-learn.

    They hold what signatures hold without its redundancy, in far fewer numbers: displacements, areas between pairs of
    channels, and so on.

    Parameters
    ----------
    degree : int, default 3
        Truncation level, at least 1.
    method : {1, 2, 3, 0}, default 1
        In which coordinates, see `siglib.log_sig`: of Lyndon words (1), in the basis of Lyndon brackets (2, 3), or of
        all words (0).
    windows, window, stride, depth, rescaling
        As for `SignatureTransformer`.
    time_aug, lead_lag, end_time, scale, cumulative_sum, base_point, invisibility_reset
        As for `SignatureTransformer`.
    layout, series, time, channels, gaps, n_jobs
        As for `SignatureTransformer`.

    Examples
    --------
    >>> import numpy as np
    >>> from siglib.sklearn import LogSignatureTransformer
    >>> right_then_up = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> transformer = LogSignatureTransformer(2).fit([right_then_up])
    >>> transformer.transform([right_then_up])
    array([[1. , 1. , 0.5]])
    >>> transformer.get_feature_names_out(["east", "north"]).tolist()
    ['east', 'north', 'area(east, north)']
    """

    method: Any
    _of_paths = staticmethod(log_sig)
    _of_windows = staticmethod(log_sig_windows)

    def __init__(
        self,
        degree: int = 3,
        *,
        method: int = 1,
        windows: str = "global",
        window: int | float | None = None,
        stride: int | float | None = None,
        depth: int = 3,
        rescaling: str | None = None,
        time_aug: bool | str = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        scale: Any = None,
        cumulative_sum: bool = False,
        base_point: Any = None,
        invisibility_reset: bool = False,
        layout: str = "channels_last",
        series: Any = None,
        time: Any = None,
        channels: Any = None,
        gaps: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.degree = degree
        self.method = method
        self.windows = windows
        self.window = window
        self.stride = stride
        self.depth = depth
        self.rescaling = rescaling
        self.time_aug = time_aug
        self.lead_lag = lead_lag
        self.end_time = end_time
        self.scale = scale
        self.cumulative_sum = cumulative_sum
        self.base_point = base_point
        self.invisibility_reset = invisibility_reset
        self.layout = layout
        self.series = series
        self.time = time
        self.channels = channels
        self.gaps = gaps
        self.n_jobs = n_jobs

    def _coordinates(self) -> dict[str, Any]:
        return {"method": self.method}

    def _words(self, channels: list[str]) -> list[str]:
        return log_signature_names(channels, self.degree, self.method)

    def _word_lengths(self, width: int) -> list[int]:
        if self.method == 0:
            return super()._word_lengths(width)
        return [len(word) for word in lyndon_words(width, self.degree)]
