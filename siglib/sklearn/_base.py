"""What all estimators share: how they read series, what they learn of them first, and how they name them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._call.options import as_n_jobs
from ._augmentations import augmentations_for
from ._names import path_channels
from ._paths import Paths
from ._series import (
    DTYPES,
    Series,
    check_layout,
    finite,
    is_listed,
    is_long,
    numbers_of_moments,
    refuse_columns,
    series_of_array,
    series_of_frame,
    series_of_list,
    without_gaps,
)


class SeriesTransformer(TransformerMixin, BaseEstimator):
    """Base of the transformers: series to rows of numbers. The parameters are theirs."""

    layout: Any
    series: Any
    time: Any
    channels: Any
    gaps: Any
    scale: Any
    cumulative_sum: Any
    base_point: Any
    invisibility_reset: Any
    time_aug: Any
    lead_lag: Any
    end_time: Any
    n_jobs: Any

    feature_names_in_: Any
    _is_table: bool

    def _read(self, X: Any, reset: bool) -> Series:
        """X as series without gaps; `reset` learns how many channels or columns there are, and their names."""
        return without_gaps(self._read_as_it_is(X, reset), self.gaps)

    def _read_as_it_is(self, X: Any, reset: bool) -> Series:
        check_layout(self.layout)
        if is_long(X, self.series):
            return self._checked(series_of_frame(X, self.series, self.time, self.channels, self.gaps), reset)
        refuse_columns(self.time, self.channels)
        if is_listed(X):
            return self._checked(series_of_list(X, self.layout, self.gaps), reset)
        is_table = (len(X.shape) if hasattr(X, "shape") else np.asarray(X).ndim) == 2
        if is_table and (reset or self._is_table):
            # A row for each series: columns and their names are scikit-learn's business.
            found = series_of_array(validate_data(self, X, dtype=DTYPES, reset=reset, **finite(self.gaps)), self.layout)
            self._is_table, self.n_channels_ = True, 1
            return found
        return self._checked(
            series_of_array(check_array(X, dtype=DTYPES, allow_nd=True, **finite(self.gaps)), self.layout), reset
        )

    def _checked(self, found: Series, reset: bool) -> Series:
        n = found.points[0].shape[1]
        if reset:
            self._is_table, self.n_channels_ = False, n
            self.n_features_in_ = n
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            if found.names is not None:
                self.feature_names_in_ = np.array(found.names, dtype=object)
        elif n != self.n_channels_:
            raise ValueError(
                f"X has {n} features, but {type(self).__name__} is expecting {self.n_channels_} features as input: "
                "they are the channels of the series"
            )
        names = getattr(self, "feature_names_in_", None)
        if not self._is_table and names is not None and found.names is not None and list(names) != found.names:
            raise ValueError(f"X must have the channels {list(names)} of the training series, got {found.names}")
        return found

    def _learn(self, X: Any) -> tuple[Paths, Series]:
        """The training paths, after their augmentations, and the series that they come from."""
        found = self._read(X, reset=True)
        self.augmentations_ = augmentations_for(
            found.points,
            scale=self.scale,
            cumulative_sum=self.cumulative_sum,
            base_point=self.base_point,
            invisibility_reset=self.invisibility_reset,
        )
        return self._augmented(found), found

    def _paths(self, X: Any) -> tuple[Paths, Series]:
        """Paths to transform, and the series that they come from."""
        check_is_fitted(self)
        found = self._read(X, reset=False)
        return self._augmented(found), found

    def _augmented(self, found: Series) -> Paths:
        paths = Paths.of(found.points).map(self.augmentations_.applied_to)
        if not self._has_clock():
            return paths
        times = numbers_of_moments(found.moments)
        if times is None:
            raise ValueError(
                'time_aug="time" needs a data frame with a column of times, numbers or datetimes: time=...'
            )
        if self.end_time != 1.0:
            raise ValueError(f'time_aug="time" says when series end: leave out end_time, got {self.end_time!r}')
        return paths.with_times(times, self.augmentations_.more_points, self.lead_lag)

    def _has_clock(self) -> bool:
        """Whether time is that of the data frame, which is added to paths at once; `siglib` looks at other values."""
        return isinstance(self.time_aug, str) and self.time_aug == "time"

    def _transform(self) -> dict[str, Any]:
        """What is left to be done to paths."""
        if self._has_clock():
            return {"time_aug": False, "lead_lag": False, "end_time": 1.0}
        return {"time_aug": self.time_aug, "lead_lag": self.lead_lag, "end_time": self.end_time}

    def _threads(self) -> int:
        return 1 if self.n_jobs is None else as_n_jobs(self.n_jobs)

    def _rows(self, out: np.ndarray, X: Any, found: Series) -> Any:
        """The result; as a data frame, if that is wanted and the series have names of their own, with these names."""
        if found.ids is not None and _get_output_config("transform", self)["dense"] == "pandas" and hasattr(X, "iloc"):
            frame = type(X)(out, index=found.ids, columns=self.get_feature_names_out())
            frame.index.name = self.series
            return frame
        return out

    def _channel_names(self, input_features: Any) -> list[str]:
        """Names of the channels of the paths behind augmentations and transforms."""
        check_is_fitted(self)
        names = self._input_names(input_features)
        return path_channels(self.augmentations_.channels(names), time_aug=bool(self.time_aug), lead_lag=self.lead_lag)

    def _input_names(self, input_features: Any) -> list[str]:
        known = getattr(self, "feature_names_in_", None)
        if input_features is not None:
            input_features = [str(name) for name in np.asarray(input_features, dtype=object).tolist()]
            if known is not None and list(known) != input_features:
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(input_features) != self.n_features_in_:
                raise ValueError(
                    "input_features should have length equal to number of features "
                    f"({self.n_features_in_}), got {len(input_features)}"
                )
        if self._is_table:
            return ["x"]
        chosen: Sequence[str] | None = known if input_features is None else input_features
        return [f"x{i}" for i in range(self.n_channels_)] if chosen is None else list(chosen)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.gaps is not None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
