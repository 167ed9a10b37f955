"""Signatures of paths of unequal lengths by one kernel, which knows where each path starts, and how long it is.

For `sig`, of arrays in main memory. The other operations take such paths one run after another
(`_call/ragged_calls.py`).
"""

from typing import Any

import numpy as np

from .._call.backend import Array
from .._call.indices import INDICES
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._tables.sizes import augmented_dimension, checked_tensor_length

# Fewer channels are faster through trees than as products of matrices: as in `_cpu/two_levels.pxd`.
_CHANNELS_OF_TWO_LEVELS = 32


class _RaggedSig(Operation):
    """Signatures of slices of an array of points, each a path on its own. `starts` and `lengths` are checked."""

    name = "ragged_sig"
    arrays = ("points",)
    options = ("starts", "lengths", "degree", "time_aug", "lead_lag", "end_time", "scalar_term", "n_jobs")
    meanings = {"starts": INDICES, "lengths": INDICES}
    keeps_out = True
    takes_out, out_name, derivs_name = True, "sig", "sig_derivs"

    def sizes(self, o: Any, points: Any) -> tuple[Any, ...]:
        length = checked_tensor_length(augmented_dimension(points[1], o.time_aug, o.lead_lag), o.degree)
        return ((o.starts.shape[0], length + o.scalar_term),)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, points: Array) -> None:
        on.loops.signature.ragged_sig(
            on.view(points), *_in_order(o), on.rows(out), o.degree, o.scalar_term, o.transform, as_n_threads(o.n_jobs)
        )

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, points: Array
    ) -> tuple[Any, ...]:
        gradient = on.empty(points.shape)
        on.loops.signature.ragged_sig_backprop(
            on.view(points),
            *_in_order(o),
            on.rows(out),
            on.rows(derivs),
            on.rows(gradient),
            o.degree,
            o.scalar_term,
            o.transform,
            as_n_threads(o.n_jobs),
        )
        return (gradient,)


def _in_order(o: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and lengths in falling order of lengths, and the rows of their signatures."""
    order = np.argsort(-o.lengths, kind="stable")
    return o.starts[order], o.lengths[order], order


def takes(dimension: int, o: Any) -> bool:
    """Whether the kernel computes such signatures: neither differences nor powers nor products of matrices."""
    if augmented_dimension(dimension, o.time_aug, o.lead_lag) == 1:
        return False
    return o.degree > 2 or (o.degree == 2 and dimension < _CHANNELS_OF_TWO_LEVELS)


RAGGED_SIG = _RaggedSig()
