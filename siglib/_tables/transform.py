"""The transform of a path, one value from the options of a call to the loaders of both kinds of loops."""

from typing import NamedTuple

from .sizes import augmented_dimension


class Transform(NamedTuple):
    """What is done to a path before anything else, as all loops take it."""

    time_aug: bool
    lead_lag: bool
    end_time: float

    def width(self, dimension: int) -> int:
        """Number of channels of a path that has `dimension` of them before."""
        return augmented_dimension(dimension, self.time_aug, self.lead_lag)


NO_TRANSFORM = Transform(False, False, 1.0)
