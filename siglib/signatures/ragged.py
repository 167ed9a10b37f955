"""Signatures of paths of unequal lengths by one kernel, which knows where each path starts, and how long it is.

For `sig`, of arrays in main memory. The other operations take such paths one run after another
(`_call/ragged_calls.py`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._call.block_sizes import items_per_step, vector_seconds
from .._call.indices import INDICES
from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.progress import told
from .._call.ragged import indices_like
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension, checked_tensor_length, goes_through_trees


class _RaggedSig(Operation):
    """Signatures of slices of an array of points, each a path on its own. `starts` and `lengths` are checked."""

    name = "ragged_sig"
    arrays = ("points",)
    options = ("starts", "lengths", "degree", "time_aug", "lead_lag", "end_time", "scalar_term", "n_jobs")
    meanings = {"starts": INDICES, "lengths": INDICES}
    keeps_out = True
    takes_out, out_name, derivs_name = True, "sig", "sig_derivs"

    def n_batched(self, *arrays: Array) -> int:
        # Points have no batch axes.
        return 0

    def sizes(self, o: Any, points: Any) -> tuple[Any, ...]:
        length = checked_tensor_length(augmented_dimension(points[1], o.time_aug, o.lead_lag), o.degree)
        return ((o.starts.shape[0], length + o.scalar_term),)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, points: Array) -> None:
        on.loops.signature.ragged_sig(
            on.view(points), *_in_order(o), on.rows(out), o.degree, o.scalar_term, o.transform, as_n_threads(o.n_jobs)
        )

    def run_in_blocks(self, on: Any, out: Array, o: Any, sizes: Any, arrays: Any) -> None:
        # Of some paths at a time; their points stay together.
        n, width = sizes[0]
        seconds = vector_seconds(int(o.lengths.sum()) // max(n, 1), width)
        step = items_per_step(seconds, width, as_n_threads(o.n_jobs))
        with told("sig", n, n > step) as done:
            for first in range(0, n, step):
                where = slice(first, min(first + step, n))
                some = self.replaced(self.replaced(o, "starts", o.starts[where]), "lengths", o.lengths[where])
                self.forward(on, out[where], some, sizes, *arrays)
                done(where.stop - first)

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

    # Derivatives along directions: nodes are more paths, behind those there are

    def polynomial(self, o: Any, points: Any) -> Polynomial:
        polynomial = grades.of_path(o.degree, o, o.scalar_term + o.transform.width(points[-1]))
        return polynomial._replace(together=True)

    def tangent(self, xp: Any, o: Any, arrays: Any, directions: Any, called: Callable[..., Any]) -> Array:
        return super().tangent(xp, o, *_from_first_points(xp, o, arrays, directions), self._called(called))

    def backprop_tangent(
        self,
        xp: Any,
        o: Any,
        derivs: Array,
        arrays: Any,
        directions: Any,
        wanted: tuple[bool, ...],
        pulled: Callable[..., Any],
    ) -> tuple[Any, ...]:
        arrays, directions = _from_first_points(xp, o, arrays, directions)
        return super().backprop_tangent(xp, o, derivs, arrays, directions, wanted, self._pulled(pulled))

    def both_tangents(
        self,
        xp: Any,
        o: Any,
        derivs: Array,
        arrays: Any,
        directions: Any,
        wanted: tuple[bool, ...],
        called: Callable[..., Any],
        pulled: Callable[..., Any],
        known: Array = None,
    ) -> tuple[Any, ...]:
        arrays, directions = _from_first_points(xp, o, arrays, directions)
        return super().both_tangents(
            xp, o, derivs, arrays, directions, wanted, self._called(called), self._pulled(pulled)
        )

    def _of_all(self, o: Any, stack: Array) -> Any:
        """Options for many calls in one, whose points stand one behind the other."""
        n, n_points = stack.shape[:2]
        starts = (np.arange(n)[:, None] * n_points + o.starts).ravel()
        return self.replaced(self.replaced(o, "starts", starts), "lengths", np.tile(o.lengths, n))

    def _called(self, called: Callable[..., Any]) -> Callable[..., Any]:
        def call(o: Any, stacks: Any) -> Array:
            return _apart(called(self._of_all(o, stacks[0]), [_together(stacks[0])]), len(stacks[0]))

        return call

    def _pulled(self, pulled: Callable[..., Any]) -> Callable[..., Any]:
        def call(o: Any, wanted: Any, derivs: Array, stacks: Any, *out: Array) -> tuple[Any, ...]:
            o, points = self._of_all(o, stacks[0]), [_together(stacks[0])]
            (gradient,) = pulled(o, wanted, _together(derivs), points, *map(_together, out))
            return (_apart(gradient, len(stacks[0])),)

        return call


def _together(stack: Array) -> Array:
    """What belongs to many calls, as what belongs to one."""
    return stack.reshape(stack.shape[0] * stack.shape[1], stack.shape[2])


def _apart(result: Array, n: int) -> Array:
    return result.reshape(n, result.shape[0] // n, result.shape[1])


def _from_first_points(xp: Any, o: Any, arrays: Any, directions: Any) -> tuple[list[Array], list[Array]]:
    """Points and directions from the first of each path, so that paths that are far apart are not taken for large."""
    first = np.arange(arrays[0].shape[0])
    for start, length in zip(o.starts.tolist(), o.lengths.tolist(), strict=True):
        first[start : start + length] = start
    at = indices_like(first, arrays[0])
    return [a - a[at] for a in arrays], [None if d is None else d - d[at] for d in directions]


def _in_order(o: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and lengths in falling order of lengths, and the rows of their signatures."""
    order = np.argsort(-o.lengths, kind="stable")
    return o.starts[order], o.lengths[order], order


def takes(dimension: int, o: Any) -> bool:
    """Whether the kernel computes such signatures."""
    return goes_through_trees(dimension, augmented_dimension(dimension, o.time_aug, o.lead_lag), o.degree)


RAGGED_SIG = _RaggedSig()
