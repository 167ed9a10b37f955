"""The operations behind signature kernels, as torch differentiates and compiles them; options are checked already.

Compiled kernels give mantissas and exponents. Here they become kernels, logarithms, or normalised kernels, which are
right wherever they can be represented, whether or not the kernels they are made of can. So are their gradients: both
are functions of log k, and the adjoint takes derivatives with respect to log k.

The arithmetic is that of views, NumPy's or CuPy's. Warnings look at the results. On a GPU that would mean to wait for
it in every call, and a call that is being captured into a graph has no results: there is no such warning there.
"""

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .._call import dask_pairs
from .._call.block_sizes import side_of_step
from .._call.formats import as_double
from .._call.indices import INDICES
from .._call.libraries import Array, as_dtype_of
from .._call.operation import OPERATIONS, Operation
from .._call.options import FLAG, INTEGER, Meaning, as_n_threads
from .._call.progress import told
from .._call.tracing import without_compiler
from . import tangents
from .functions import FunctionKernel, in_jax
from .given import GivenProblem
from .gram_blocks import GramBlocks
from .options import kernel_shape, seconds_of_pair
from .problem import GRAM, PAIRWISE, SYMMETRIC, Problem


def warn(message: str) -> None:
    """At the line of the caller, whichever public function it called, and whether or not torch stands between."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("siglib", "torch"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=level)


# Values


def _write_grid(problem: Problem, view: Any) -> None:
    """Grids to `view`, of the shape of the result."""
    view = view.reshape(problem.n_pairs, *problem.grid_shape)
    problem.grids(view)
    warn_if_not_finite(problem, view, view, return_grid=True)


def _write(problem: Problem, view: Any, normalize: bool, log: bool) -> None:
    """Kernels to `view`, of one axis."""
    if not problem.on.can_look:
        _write_unseen(problem, view, normalize, log)
        return
    _, exponent = problem.values(problem.x, problem.y, problem.layout, view)
    if problem.equal:
        _warn_if_negative(problem, view)
    if normalize:
        view[:] = _normalised(problem, view, exponent)
    elif log:
        view[:] = _logarithm(problem, view, exponent)
    else:
        mantissa = view
        if np.count_nonzero(exponent):
            mantissa = view.copy()
            with np.errstate(over="ignore", under="ignore"):
                np.ldexp(mantissa, exponent.astype(np.intc), out=view)
        warn_if_not_finite(problem, mantissa, view)


def _write_unseen(problem: Problem, view: Any, normalize: bool, log: bool) -> None:
    """The same on a GPU."""
    on = problem.on
    # A result of a normalisation must not take the place of a k(x, x) that others need.
    found = problem.values(problem.x, problem.y, problem.layout, on.scratch(view.shape) if normalize else view)
    if normalize:
        on.scales.normalised(found, *own_values(problem, found), view, problem.layout == PAIRWISE)
    elif log:
        on.scales.logarithms(*found)
    else:
        on.scales.apply_exponents(*found)


def warn_if_not_finite(problem: Problem, mantissa: Any, out: Any, return_grid: bool = False) -> None:
    if not problem.on.can_look or are_finite(out):
        return
    finite_paths = _have_finite_paths(problem).all()
    if not return_grid and warn_of_cells(problem, ~np.isfinite(mantissa)):
        return
    if (np.isfinite(mantissa) & ~np.isfinite(out)).any() or (np.isinf(out).any() and finite_paths):
        warn(
            f"{problem.subject} overflow {out.dtype}: "
            + (
                "scale the paths down"
                if return_grid
                else "take normalize=True, which does not, or scale the paths down"
            )
        )
    elif finite_paths:
        warn(f"{problem.subject} are not finite: {problem.too_coarse}")


def are_finite(array: Any) -> bool:
    """Whether all numbers of a NumPy array are finite. To count takes a small array a fifth of the time of `all`."""
    return np.count_nonzero(np.isfinite(array)) == array.size


def _have_finite_paths(problem: Problem) -> Any:
    """Which pairs have finite paths."""
    first, second = (np.isfinite(problem.on.view(path)).all(axis=(1, 2)) for path in (problem.x, problem.y))
    return first & second if problem.layout == PAIRWISE else (first[:, None] & second).reshape(-1)


def warn_of_cells(problem: Problem, not_finite: Any) -> bool:
    """Warn of pairs without a mantissa though their paths are finite; returns whether there are any.

    Kernels have no limit, but what they are made of has.
    """
    n = int((not_finite & _have_finite_paths(problem)).sum())
    if n:
        warn(
            f"{n} {problem.subject} are not finite: {problem.limit} overflow {problem.on.dtype_name}. "
            "Scale the paths down"
        )
    return n > 0


def _warn_if_negative(problem: Problem, mantissa: Any) -> None:
    """Every k(x, x) is positive, as a square."""
    own = mantissa if problem.layout == PAIRWISE else mantissa[:: problem.n1 + 1]
    if own.size and own.min() < 0:
        warn(f"the signature kernel of a path with itself is negative: {problem.too_coarse}")


def _logarithm(problem: Problem, mantissa: Any, exponent: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        log = np.log(mantissa, dtype=np.float64)
        log += exponent * math.log(2.0)
    right = np.isfinite(log)
    if not right.all():
        log[~right] = np.nan
        not_positive = mantissa <= 0
        if not_positive.any():
            warn(
                f"{not_positive.sum()} signature kernels are not positive, their logarithm is NaN: {problem.too_coarse}"
            )
        warn_of_cells(problem, ~np.isfinite(mantissa))
    return log


def own_values(problem: Any, found: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
    """Values of k(x, x) and of k(y, y) for all paths, as `values` gives them: those that were `found` are taken."""
    if problem.layout == SYMMETRIC:
        own = tuple([part[:: problem.n1 + 1] for part in found])
        return own, own
    if problem.equal and problem.layout == PAIRWISE:
        return found, found
    empty, dtype = problem.on.xp.empty, problem.on.dtype_name
    return tuple([problem.values(p, p, PAIRWISE, empty(p.shape[0], dtype)) for p in (problem.x, problem.y)])


def _normalised(problem: Problem, mantissa: Any, exponent: Any) -> Any:
    """k(x, y) / sqrt(k(x, x) k(y, y)) in float64, from mantissas and exponents: exactly 1 where x = y."""
    shape: tuple[int, ...] = (-1,)
    own1, own2 = own_values(problem, (mantissa, exponent))
    m1, e1 = _split(*own1)
    m2, e2 = _split(*own2)
    m, e = _split(mantissa, exponent)
    if problem.layout != PAIRWISE:
        shape = (problem.n1, problem.n2)
        m1, e1 = m1[:, None], e1[:, None]
    with np.errstate(all="ignore"):
        # sqrt(m1 m2 2^(e1 + e2)), with an even exponent. In IEEE arithmetic sqrt(m * m) is m.
        both = e1 + e2
        product = m1 * m2 * (1 + (both & 1))
        power = np.clip(e.reshape(shape) - (both >> 1), -(2**30), 2**30).astype(np.intc)
        value = np.ldexp(m.reshape(shape) / np.sqrt(product), power)
        # Mantissas that are positive and finite have such a product.
        right = (m1 > 0) & (m2 > 0) & (product < 2)
    if not right.all():
        value[~right] = np.nan
        not_positive = (m1 <= 0) | (m2 <= 0)
        if not_positive.any():
            warn(
                f"{not_positive.sum()} normalised signature kernels are NaN, since k(x, x) or k(y, y) is not positive: "
                f"{problem.too_coarse}"
            )
        warn_of_cells(problem, ~(np.isfinite(m1) & np.isfinite(m2)).reshape(-1))
    if not np.isfinite(m).all():
        value[~np.isfinite(m).reshape(shape)] = np.nan
        warn_of_cells(problem, ~np.isfinite(m))
    tolerance = 1e-6 if mantissa.dtype == np.float64 else 1e-3
    above = np.abs(value) > 1 + tolerance
    if above.any():
        warn(
            f"{above.sum()} normalised signature kernels are above 1, up to {np.nanmax(np.abs(value)):.6g}: "
            f"{problem.too_coarse}"
        )
    return value.reshape(-1)


def _split(mantissa: Any, exponent: Any) -> tuple[Any, Any]:
    """Mantissas in [0.5, 1) as float64, and integer exponents."""
    mantissa, more = np.frexp(mantissa.astype(np.float64))
    with np.errstate(invalid="ignore"):
        return mantissa, exponent.astype(np.int64) + more


# Gradients


def _gradients(
    problem: Problem,
    derivs: Array,
    needs: tuple[bool, bool, bool],
    out: Array,
    total: bool,
    return_grid: bool,
    normalize: bool,
    log: bool,
) -> tuple[Any, ...]:
    """Gradients with respect to both arrays of paths and the parameters; None where not needed.

    `derivs` are the derivatives with respect to the result, which is `out` if that is needed. If `total` and the paths
    are one array, the first gradient is that with respect to both arguments, and the second is zero.
    """
    on, x, y = problem.on, problem.x, problem.y
    left, right, numbers = needs
    derivs = on.view(derivs)
    # Paths of equal numbers that are two arrays each have a gradient of their own.
    keep = total and problem.same and not return_grid
    layout = problem.layout if keep else (PAIRWISE if problem.layout == PAIRWISE else GRAM)
    if layout == SYMMETRIC:
        left, right = left or right, False
    log = log or normalize
    n_columns = math.prod(problem.grid_shape) if return_grid else 1
    seeds = on.xp.ascontiguousarray(derivs).reshape(problem.n_pairs, n_columns)
    seeds1 = seeds2 = None
    if normalize:
        seeds, seeds1, seeds2 = _seeds_of_normalised(problem, layout, seeds[:, 0], on.view(out).reshape(-1))
    d_x, d_y, d_numbers = problem.values_backprop(seeds, x, y, layout, log, left, right, numbers)
    # Those of k(x, x) and k(y, y) in a normalisation, on both their arguments.
    if seeds1 is not None and (left or numbers):
        own_x = problem.values_backprop(seeds1, x, x, PAIRWISE, log, left, left, numbers)
        d_x = _sum(on, d_x, *own_x[:2]) if left else None
    if seeds2 is not None and (right or numbers):
        own_y = problem.values_backprop(seeds2, y, y, PAIRWISE, log, right, right, numbers)
        d_y = _sum(on, d_y, *own_y[:2]) if right else None
    if seeds1 is not None and numbers:
        d_numbers = _sum(on, own_y[2], d_numbers, own_x[2])
    if layout == SYMMETRIC and needs[1]:
        d_y = on.xp.zeros_like(d_x)
    return (
        problem.untransformed(d_x, problem.shape1) if needs[0] else None,
        problem.untransformed(d_y, problem.shape2) if needs[1] else None,
        d_numbers,
    )


def _sum(on: Any, first: Any, second: Any, third: Any) -> Any:
    """first + (second + third)"""
    return first + (second + third) if on.can_look else on.scales.sum_of_three(first, second, third)


def _seeds_of_normalised(problem: Problem, layout: int, derivs: Any, out: Any) -> tuple[Any, Any, Any]:
    """Derivatives with respect to log k(x, y), log k(x, x) and log k(y, y): those of N times N, -N/2 and -N/2."""
    if not problem.on.can_look:
        return _unseen_seeds(problem, layout, derivs, out)
    with np.errstate(invalid="ignore"):
        seeds = np.where(derivs == 0, 0.0, derivs.astype(np.float64) * out)
    if layout == PAIRWISE:
        own1 = own2 = -0.5 * seeds
    else:
        seeds = seeds.reshape(problem.n1, problem.n2)
        own1, own2 = -0.5 * seeds.sum(1), -0.5 * seeds.sum(0)
        if layout == SYMMETRIC:
            # k(x, x) and k(y, y) are entries of the matrix itself.
            seeds.reshape(-1)[:: problem.n1 + 1] += own1 + own2
    as_column = [s.astype(derivs.dtype).reshape(-1, 1) for s in (seeds, own1, own2)]
    return as_column[0], *((None, None) if layout == SYMMETRIC else as_column[1:])


def _unseen_seeds(problem: Problem, layout: int, derivs: Any, out: Any) -> tuple[Any, Any, Any]:
    """The same on a GPU."""
    on, n1, n2 = problem.on, problem.n1, problem.n2
    seeds = on.scratch((problem.n_pairs, 1))
    if layout == PAIRWISE:
        own = on.scratch(seeds.shape)
        on.scales.seeds_of_pairs(derivs, out, seeds, own)
        return seeds, own, own
    own1, own2 = (None, None) if layout == SYMMETRIC else (on.scratch((n1, 1)), on.scratch((n2, 1)))
    on.scales.seeds_of_gram(derivs, out, seeds, own1, own2, n1, n2)
    return seeds, own1, own2


def _as_tensor(problem: Problem, numbers: Any, like: Any) -> Any:
    """Three numbers, as a tensor where `like` is. From a GPU to main memory, that waits for the GPU."""
    if isinstance(numbers, np.ndarray):
        return like.new_tensor(numbers)
    if like.is_cpu:
        with problem.on.current():
            return like.new_tensor(numbers.get())
    out = like.new_empty(3)
    with problem.on.current():
        problem.on.from_torch(out)[:] = numbers
    return out


# The two operations


def fits(shape: tuple[int, ...], expected: tuple[int, ...], n_axes: int) -> bool:
    """Whether a shape is the expected one; that of a single pair, of `n_axes`, may have an axis for it."""
    return shape == expected or (len(expected) == n_axes and shape == (1, *expected))


class KernelOperation(Operation):
    """Kernels with the static kernel's code and parameters.

    `same`: path2 is path1; `equal`: both hold the same numbers; `padded`: last points are repeated, and derivatives by
    the repeats may all go to the first of them, which is faster; `total`: the gradients with respect to the same paths
    are one, with respect to both arguments.
    """

    arrays = ("path1", "path2", "parameters")
    n_numbers = 1
    options: ClassVar[tuple[str, ...]] = (
        "static_kernel",
        "same",
        "equal",
        "order1",
        "order2",
        "order",
        "time_aug",
        "lead_lag",
        "end_time",
        "n_jobs",
        "return_grid",
        "normalize",
        "log",
        "max_batch",
        "given",
        "padded",
        "total",
    )
    meanings = {
        **dict.fromkeys(("static_kernel", "order1", "order2", "order", "max_batch"), INTEGER),
        **dict.fromkeys(("same", "equal", "return_grid", "normalize", "log", "padded", "total"), FLAG),
        "given": Meaning(lambda name, value: value, INDICES.plain, "Tensor?"),
    }
    keeps_out = "normalize"
    follows_points = "return_grid"
    gram: ClassVar[bool]
    # Kinds of problems: with static kernels that are compiled, and with those that users wrote.
    problems: ClassVar[tuple[type[Problem], type[Problem]]] = (Problem, GivenProblem)

    def __init__(self) -> None:
        super().__init__()
        known = self.known_sizes
        # Not with the kernels that users wrote, which nobody else should keep alive.
        self.known_sizes = lambda o, *shapes: (known if o.given is None else self.sizes)(o, *shapes)

    def n_batched(self, *arrays: Array) -> int:
        return 0 if self.gram else 2

    def sizes(self, o: Any, path1: Any, path2: Any) -> tuple[Any, ...]:
        options = {"order1": o.order1, "order2": o.order2, "lead_lag": o.lead_lag, "return_grid": o.return_grid}
        return (kernel_shape(self.gram, path1, path2, **options),)

    def problem(self, on: Any, o: Any, sizes: Any, path1: Array, path2: Array, parameters: Any) -> Problem:
        return self.problems[o.given is not None](self.gram, on, path1, path2, parameters, o, sizes[0])

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, *arrays: Any) -> None:
        problem = self.problem(on, o, sizes, *arrays)
        with on.current():
            if o.return_grid:
                _write_grid(problem, on.view(out))
            else:
                self.write(problem, on.view(out).reshape(problem.n_pairs), o.normalize, o.log)

    def write(self, problem: Any, view: Any, normalize: bool, log: bool) -> None:
        """Kernels to `view`, of one axis; normalised, or their logarithms, if asked for."""
        _write(problem, view, normalize, log)

    def times(self, o: Any) -> int:
        """How many times over each node of a grid is computed."""
        return o.order

    def seconds(self, o: Any, shape: Any, *shapes: Any) -> float:
        return seconds_of_pair(shapes[0], shapes[1], (o.order1, o.order2), o.lead_lag, self.times(o))

    def run_in_blocks(self, on: Any, out: Any, o: Any, sizes: Any, arrays: Any) -> None:
        if not self.gram or 0 in sizes[0]:
            super().run_in_blocks(on, out, o, sizes, arrays)
            return
        seconds = self.seconds(o, sizes[0], *self.shapes_of(arrays))
        batch_axes = arrays[0].ndim + arrays[1].ndim - 4
        found = GramBlocks(
            self, on, o, arrays, side_of_step(seconds, math.prod(sizes[0][batch_axes:]), as_n_threads(o.n_jobs))
        )
        rows = found.as_matrix(out)

        def put(where: Any, part: Any) -> None:
            with np.errstate(over="ignore"):
                rows[where] = part

        with told(self.name, len(found.x) * len(found.y), len(found) > 1) as done:
            found.write(put, done)

    def in_dask(self, arrays: tuple[Any, ...], o: Any) -> Any:
        if not self.gram:
            return super().in_dask(arrays, o)
        return dask_pairs.gram(self, arrays, o, o.equal and o.order1 == o.order2)

    def backprop_in_dask(
        self, derivs: Array, out: Array, arrays: tuple[Any, ...], needs: Any, options: dict[str, Any]
    ) -> tuple[Any, ...]:
        if not self.gram:
            return super().backprop_in_dask(derivs, out, arrays, needs, options)
        return dask_pairs.gram_backprop(self, derivs, arrays, needs, options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        if not fits(derivs, sizes[0], 2 * o.return_grid):
            raise ValueError(f"derivs must have shape {sizes[0]}, that of the kernels, got {derivs}")
        return False

    def check_grid(self, grid: Any, o: Any, path1: tuple[int, ...], path2: tuple[int, ...]) -> None:
        """ValueError unless `grid`, which nobody reads, has the shape of the grids of these paths."""
        name, expected, n_axes = self.grids(o, self.sizes(self.replaced(o, "return_grid", True), path1, path2)[0])
        shape = tuple(getattr(grid, "shape", ()))
        if not fits(shape, expected, n_axes):
            raise ValueError(f"{name} must have shape {expected}, that of the grids, got {shape}")

    def grids(self, o: Any, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], int]:
        """What callers of the gradient may give: its name, its shape, and how many axes a single pair has."""
        return "k_grid", shape, 2

    def backward(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, *arrays: Any
    ) -> tuple[Any, ...]:
        problem = self.problem(on, o, sizes, *arrays)
        with on.current():
            found = _gradients(problem, derivs, needs, out, o.total, o.return_grid, o.normalize, o.log)
        return (
            found
            if found[2] is None or type(arrays[2]) is tuple
            else (*found[:2], _as_tensor(problem, found[2], arrays[2]))
        )

    def in_jax(self, call: Callable[..., Any], arrays: tuple[Any, ...], o: Any) -> Array:
        if not isinstance(o.given, FunctionKernel):
            return call(self, arrays, o)
        return in_jax(call, self, OPERATIONS[self.name.removesuffix("_gram")], arrays, o)

    def tangent(self, xp: Any, o: Any, arrays: Any, directions: Any, called: Callable[..., Any]) -> Array:
        def call(o: Any, n: int, arrays: Any) -> tuple[Any, ...]:
            return (called(o, arrays),)

        return self._along(xp, o, arrays, directions, False, call, arrays[:1])[0]

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
        derivs = as_double(derivs)

        def call(o: Any, n: int, arrays: Any) -> Any:
            return pulled(o, wanted, xp.broadcast_to(derivs, (n, *derivs.shape)) if n else derivs, arrays)

        return self._along(xp, o, arrays, directions, wanted[2], call, arrays)

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
        derivs = as_double(derivs)

        def call(o: Any, n: int, arrays: Any) -> Any:
            out = called(o, arrays)
            g = xp.broadcast_to(derivs, (n, *derivs.shape)) if n else derivs
            return out, *pulled(o, wanted, g, arrays, out)

        return self._along(xp, o, arrays, directions, wanted[2], call, [arrays[0], *arrays])

    def _along(
        self, xp: Any, o: Any, arrays: Any, directions: Any, uniform: bool, call: Callable[..., Any], like: Any
    ) -> tuple[Any, ...]:
        """Derivatives of what `call(o, n, arrays)` gives, in the dtypes of `like`. `uniform`: of one scale for all."""
        tangents.check(self.name, o)
        move = tangents.moved(o, not self.gram, arrays, directions)
        uniform = self.gram or move.w is not None or uniform
        scale = tangents.scale_of(xp, o, move, uniform, self.lower(o))
        o = self.replaced(o, "equal", o.same)
        found = tangents.weighted_sum(xp, move, scale, not uniform, lambda n, *arrays: call(o, n, list(arrays)))
        return tuple(None if d is None else as_dtype_of(d, a) for d, a in zip(found, like, strict=True))

    def lower(self, o: Any) -> Any:
        """For kernels of a depth: those of lower depths, of paths with themselves, as a function."""
        return None


class _PlainKernelOperation(KernelOperation):
    """Without trees."""

    def skips_padding(self, o: Any) -> bool:
        return o.given is None and o.order == 0


class _SigKernel(_PlainKernelOperation):
    name = "sig_kernel"
    gram = False


class _SigKernelGram(_PlainKernelOperation):
    name = "sig_kernel_gram"
    gram = True


SIG_KERNEL, SIG_KERNEL_GRAM = _SigKernel(), _SigKernelGram()
given_sig_kernel = without_compiler(SIG_KERNEL.__call__)
given_sig_kernel_gram = without_compiler(SIG_KERNEL_GRAM.__call__)
