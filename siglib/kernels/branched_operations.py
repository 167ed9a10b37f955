"""The operations behind branched signature kernels: those of signature kernels with other compiled loops.

Branched kernels are exponentials, and the loops give their logarithms. The scheme is an inner product itself, whatever
the order, so that kernels are positive and normalised ones at most 1: nothing is ever too coarse for that.
"""

from typing import Any

import numpy as np

from .._call.libraries import Array
from .._call.tracing import without_compiler
from .given import GivenProblem
from .operations import KernelOperation, are_finite, own_values, warn_if_not_finite, warn_of_cells
from .problem import GRAM, OVERFLOW, PAIRWISE, SYMMETRIC, Problem, notes

# How many lower depths are looked at, to see how fast kernels change.
_DEPTHS = 8


class BranchedProblem(Problem):
    """A problem whose values are logarithms, for a number of depths in place of an order."""

    subject = "branched signature kernels"
    limit = "kernels of a lower depth, or double increments of the static kernel,"

    def orders_of(self, o: Any) -> tuple[int, int, int]:
        return o.order1, o.order2, o.depth

    @property
    def too_coarse(self) -> str:
        return f"{self.limit} overflow {self.on.dtype_name}. Scale the paths down"

    def values(self, x: Array, y: Array, layout: int, out: Any) -> tuple[Any, ...]:
        """The logarithms, written to `out`, a view of one axis."""
        if x.shape[1] < 2 or y.shape[1] < 2 or out.size == 0:
            out[...] = 0
        else:
            self._values(x, y, x.shape[1], y.shape[1], layout, (out,))
        return (out,)

    def solve(
        self, x: Any, y: Any, outs: tuple[Any, ...], parameters: Any, length1: int, length2: int, kind: int, layout: int
    ) -> None:
        (out,) = outs
        found = self.loops.branched_kernel.branched_sig_kernel(
            x,
            y,
            out.reshape(-1, 1),
            parameters,
            length1,
            length2,
            self.dimension,
            kind,
            layout,
            *self.orders,
            True,
            self.n_threads,
        )
        if found:
            notes.found |= found

    def solve_grid(self, x: Any, y: Any, out: Any, parameters: Any, kind: int, layout: int) -> None:
        found = self.loops.branched_kernel.branched_sig_kernel(
            x,
            y,
            out.reshape(len(out), -1),
            parameters,
            self.length1,
            self.length2,
            self.dimension,
            kind,
            # A grid is not symmetric.
            GRAM if layout == SYMMETRIC else layout,
            *self.orders,
            False,
            self.n_threads,
        )
        if found:
            notes.found |= found

    def solve_backprop(
        self,
        derivs: Any,
        x: Any,
        y: Any,
        d_x: Any,
        d_y: Any,
        d_parameters: Any,
        parameters: Any,
        length1: int,
        length2: int,
        kind: int,
        layout: int,
        log: bool,
        left: bool,
        right: bool,
    ) -> None:
        found = self.loops.branched_kernel.branched_sig_kernel_backprop(
            derivs,
            x,
            y,
            d_x,
            d_y,
            d_parameters,
            parameters,
            length1,
            length2,
            self.dimension,
            kind,
            layout,
            *self.orders,
            log,
            left,
            right,
            self.n_threads,
        )
        if found:
            notes.found |= found
        if self.on.can_look and not all(map(are_finite, (d_x, d_y))) and all(map(are_finite, (derivs, x, y))):
            notes.found |= OVERFLOW


class GivenBranchedProblem(BranchedProblem, GivenProblem):
    """The same with a static kernel of the user."""


def _write(problem: BranchedProblem, view: Any, normalize: bool, log: bool) -> None:
    """Kernels to `view`, of one axis."""
    if not problem.on.can_look:
        _write_unseen(problem, view, normalize, log)
        return
    found = problem.values(problem.x, problem.y, problem.layout, view)
    logs, finite = view.copy(), np.isfinite(view)
    with np.errstate(all="ignore"):
        if normalize:
            # In float64, since logarithms may be large: exactly 1 where x = y.
            own1, own2 = (own.astype(np.float64) for (own,) in own_values(problem, found))
            own = own1 + own2 if problem.layout == PAIRWISE else (own1[:, None] + own2).reshape(-1)
            finite &= np.isfinite(own)
            view[:] = np.exp(logs - 0.5 * own)
        elif not log:
            np.exp(logs, out=view)
    if not normalize and not log:
        warn_if_not_finite(problem, logs, view)
        return
    view[:] = np.where(finite, view, np.nan)
    warn_of_cells(problem, ~finite)


def _write_unseen(problem: BranchedProblem, view: Any, normalize: bool, log: bool) -> None:
    """The same on a GPU."""
    found = problem.values(problem.x, problem.y, problem.layout, problem.on.scratch(view.shape))
    (own1,), (own2,) = own_values(problem, found) if normalize else (found, found)
    problem.on.scales.branched(*found, own1, own2, view, problem.layout == PAIRWISE, normalize, log)


class _BranchedOperation(KernelOperation):
    options = tuple("depth" if name == "order" else name for name in KernelOperation.options)
    meanings = KernelOperation.meanings | {"depth": KernelOperation.meanings["order"]}
    problems = BranchedProblem, GivenBranchedProblem

    def times(self, o: Any) -> int:
        return o.depth

    def write(self, problem: Any, view: Any, normalize: bool, log: bool) -> None:
        _write(problem, view, normalize, log)

    def lower(self, o: Any) -> Any:
        plain = dict.fromkeys(("return_grid", "normalize", "log"), False) | dict.fromkeys(("same", "equal"), True)

        def kernels(x: Array, numbers: Any) -> list[Array]:
            # Those of many depths have no end, or hardly differ from the last of these.
            depths = range(min(o.depth, _DEPTHS))
            return [BRANCHED_SIG_KERNEL.called(o._replace(depth=depth, **plain), (x, x, numbers)) for depth in depths]

        return kernels

    def grids(self, o: Any, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], int]:
        return "k_stack", (*shape[:-2], o.depth + 1, *shape[-2:]), 3


class _BranchedSigKernel(_BranchedOperation):
    name = "branched_sig_kernel"
    gram = False


class _BranchedSigKernelGram(_BranchedOperation):
    name = "branched_sig_kernel_gram"
    gram = True


BRANCHED_SIG_KERNEL, BRANCHED_SIG_KERNEL_GRAM = _BranchedSigKernel(), _BranchedSigKernelGram()
given_branched_sig_kernel = without_compiler(BRANCHED_SIG_KERNEL.__call__)
given_branched_sig_kernel_gram = without_compiler(BRANCHED_SIG_KERNEL_GRAM.__call__)
