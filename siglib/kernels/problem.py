"""One call of a signature kernel, from checked options to compiled kernels: values, grids, and the adjoint.

A `Problem` holds the transformed paths, and which pairs of them are asked for (`layout`). Its functions work on
views of arrays, NumPy's or CuPy's; they are given the paths again, so that k(x, x) and k(y, y) of a normalisation come
from the same code. `given.py` has the same three for static kernels that users wrote, `branched_problem.py` has the
compiled kernels that solve branched problems (`solve`, `solve_grid`, `solve_backprop`).
"""

import math
import threading
from functools import lru_cache
from typing import Any

from .._call.backend import numbers_for
from .._call.libraries import Array
from .._call.options import as_n_threads
from .._tables.transform import Transform
from ..paths.transform import transform_backprop
from .options import grid_length, transformed_length

# Which pairs of paths: row by row, every one of path1 with every one of path2, or path1 with itself, each pair once.
PAIRWISE, GRAM, SYMMETRIC = 0, 1, 2
# What kernels find on the way: see `sig_kernel` of `siglib/_cpu/signature_kernel.pyx`.
NEGATIVE_BASE, OVERFLOW = 1, 2


class _Notes(threading.local):
    """What kernels have found in this thread; a public function clears it first, and warns afterwards."""

    found = 0

    def take(self) -> int:
        """All of it, which is then forgotten."""
        found, self.found = self.found, 0
        return found


notes = _Notes()


def _use_wavefront(n_pairs: int, rows: int, columns: int) -> bool:
    """Whether to sweep each pair along anti-diagonals, for few pairs with large grids. All parts of a call do the same.

    One pair fills the lanes that way, and takes a quarter of the time of a group of pairs with one pair in it.
    """
    return n_pairs <= 2 and min(rows, columns) >= 64


def _plan(kind: type, gram: bool, o: Any, shape1: tuple[int, ...], shape2: tuple[int, ...]) -> dict[str, Any]:
    """What follows from options, which are of this kind, and from shapes: attributes of problems."""
    length1, length2 = (transformed_length(shape[-2], o.lead_lag) for shape in (shape1, shape2))
    n1, n2 = math.prod(shape1[:-2]), math.prod(shape2[:-2])
    n_pairs = n1 * n2 if gram else n1
    grid_shape = grid_length("path1", length1, o.order1), grid_length("path2", length2, o.order2)
    return {
        "shape1": shape1,
        "shape2": shape2,
        "transform": o.transform,
        "length1": length1,
        "length2": length2,
        "dimension": o.transform.width(shape1[-1]),
        "n1": n1,
        "n2": n2,
        "n_pairs": n_pairs,
        "grid_shape": grid_shape,
        "same": o.same,
        "equal": o.equal,
        # Without equal orders k(x, y) and k(y, x) differ, and mirroring would be wrong.
        "layout": (SYMMETRIC if o.equal and o.order1 == o.order2 else GRAM) if gram else PAIRWISE,
        "static_kernel": o.static_kernel,
        "given": o.given,
        "max_batch": o.max_batch,
        "padded": o.padded,
        "wavefront": _use_wavefront(n_pairs, *grid_shape),
    }


_known_plan = lru_cache(maxsize=512)(_plan)


class Problem:
    """The pairs of one call: paths and parameters as the backend computes with them, and clean options."""

    # From `_plan`: making them takes as long as a small kernel.
    shape1: tuple[int, ...]
    shape2: tuple[int, ...]
    transform: Transform
    length1: int
    length2: int
    dimension: int
    n1: int
    n2: int
    n_pairs: int
    grid_shape: tuple[int, int]
    same: bool
    equal: bool
    layout: int
    static_kernel: int
    given: Any
    max_batch: int
    padded: bool
    wavefront: bool

    # Whether gradients are added to what is there.
    adds_gradients = False
    # For warnings: what is computed, and what may overflow on the way.
    subject = "signature kernels"
    limit = "double increments of the static kernel"

    def __init__(self, gram: bool, on: Any, path1: Array, path2: Array, parameters: Any, o: Any, shape: Any) -> None:
        # Kernels that users wrote are for nobody else to keep alive.
        plan: Any = _plan if o.given is not None else _known_plan
        self.__dict__.update(plan(type(o), gram, o, tuple(path1.shape), tuple(path2.shape)))
        self.on, self.loops, self.shape = on, on.loops, shape
        self.n_threads = as_n_threads(o.n_jobs)
        self.orders = self.orders_of(o)
        self.parameters = numbers_for(on, parameters)
        self.x = self.transformed(path1, self.n1)
        self.y = self.x if o.equal else self.transformed(path2, self.n2)

    def orders_of(self, o: Any) -> tuple[int, int, int]:
        """The orders of the solver, as compiled kernels take them."""
        return o.order1, o.order2, o.order

    @property
    def too_coarse(self) -> str:
        """What to do about results that no exact solution has."""
        option = "order" if self.orders[2] else "dyadic_order"
        return f"the solver is too coarse for paths of this size. Raise {option}, or scale the paths down"

    def transformed(self, path: Array, n: int) -> Array:
        """The n paths as signature kernels see them, as the backend gives arrays, of shape (n, length, dimension)."""
        if path.ndim == 2:
            path = path[None]
        elif path.ndim != 3:
            with self.on.current():
                path = path.reshape(n, *path.shape[-2:])
        if not (self.transform.time_aug or self.transform.lead_lag):
            return path
        out = self.on.empty((n, transformed_length(path.shape[1], self.transform.lead_lag), self.dimension))
        self.on.loops.path.transform_path(self.on.view(path), self.on.view(out), self.transform, self.n_threads)
        return out

    def nothing(self) -> Any:
        """What stands for an array that kernels do not read."""
        return self.on.nothing((0, 0), self.on.dtype_name)

    def no_parameters(self) -> Any:
        return self.on.nothing((0,), "float64")

    def untransformed(self, gradient: Any, shape: tuple[int, ...]) -> Array:
        """The gradient with respect to the caller's paths, from that with respect to the transformed ones."""
        out = self.on.empty(shape)
        view = self.on.paths(out)
        if self.transform.time_aug or self.transform.lead_lag:
            transform_backprop(self.on, gradient, view, self.transform.lead_lag, self.n_threads)
        else:
            view[...] = gradient
        return out

    def values(self, x: Array, y: Array, layout: int, out: Any) -> tuple[Any, ...]:
        """Mantissas, written to `out`, a view of one axis, and exponents: kernels are out * 2**exponent."""
        exponent = self.on.xp.empty_like(out)
        length1, length2 = x.shape[1], y.shape[1]
        if length1 < 2 or length2 < 2 or out.size == 0:
            out[...] = 1
            exponent[...] = 0
        else:
            self._values(x, y, length1, length2, layout, (out, exponent))
        return out, exponent

    def _values(self, x: Array, y: Array, length1: int, length2: int, layout: int, outs: tuple[Any, ...]) -> None:
        x, y, kind = self.on.rows(x, 2), self.on.rows(y, 2), self.static_kernel
        self.solve(x, y, outs, self.parameters, length1, length2, kind, layout)

    def grids(self, out: Any) -> None:
        """Write the kernel at all nodes of the grids to `out`, a view of shape (pairs, rows, columns)."""
        if self.length1 < 2 or self.length2 < 2 or out.size == 0:
            out[...] = 1
        else:
            self._grids(out)

    def _grids(self, out: Any) -> None:
        rows = self.on.rows(self.x, 2), self.on.rows(self.y, 2)
        self.solve_grid(*rows, out, self.parameters, self.static_kernel, self.layout)

    def values_backprop(
        self, derivs: Any, x: Array, y: Array, layout: int, log: bool, left: bool, right: bool, numbers: bool
    ) -> tuple[Any, Any, Any]:
        """Gradients with respect to `x`, `y` and the parameters, as views; None where unwanted.

        `derivs`, of shape (pairs, 1) or (pairs, nodes of a grid), are with respect to kernels, or to their logarithms.
        In the symmetric layout the whole gradient goes to `x`.
        """
        xp = self.on.xp
        computed = x.shape[1] >= 2 and y.shape[1] >= 2 and len(derivs) > 0 and (left or right or numbers)
        # CUDA functions write everything, and zeros would be one launch more.
        new = xp.zeros if self.on.can_look or self.adds_gradients or not computed else xp.empty
        d_x = new(tuple(x.shape), derivs.dtype) if left else None
        d_y = new(tuple(y.shape), derivs.dtype) if right else None
        d_parameters = new(3) if numbers else None
        if computed:
            self._values_backprop(derivs, x, y, layout, log, d_x, d_y, d_parameters)
        return d_x, d_y, d_parameters

    def _values_backprop(
        self, derivs: Any, x: Array, y: Array, layout: int, log: bool, d_x: Any, d_y: Any, d_parameters: Any
    ) -> None:
        nothing = self.nothing()
        self.solve_backprop(
            derivs,
            self.on.rows(x, 2),
            self.on.rows(y, 2),
            nothing if d_x is None else d_x.reshape(len(d_x), -1),
            nothing if d_y is None else d_y.reshape(len(d_y), -1),
            self.no_parameters() if d_parameters is None else d_parameters,
            self.parameters,
            x.shape[1],
            y.shape[1],
            self.static_kernel,
            layout,
            log,
            d_x is not None,
            d_y is not None,
        )

    # The compiled kernels. `x` and `y` are rows: paths, or the cells of a user's kernel, and nothing.

    def solve(
        self, x: Any, y: Any, outs: tuple[Any, ...], parameters: Any, length1: int, length2: int, kind: int, layout: int
    ) -> None:
        """Write what `values` wants to `outs`."""
        found = self.loops.signature_kernel.sig_kernel(
            x,
            y,
            *outs,
            parameters,
            length1,
            length2,
            self.dimension,
            kind,
            layout,
            *self.orders,
            self.wavefront,
            self.n_threads,
        )
        if found:
            notes.found |= found

    def solve_grid(self, x: Any, y: Any, out: Any, parameters: Any, kind: int, layout: int) -> None:
        """Write grids."""
        lengths = self.length1, self.length2, self.dimension
        found = self.loops.signature_kernel.sig_kernel_grid(
            x, y, out, parameters, *lengths, kind, layout, *self.orders, self.n_threads
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
        """Write gradients with respect to rows, where `left` and `right` want them, and to the parameters."""
        found = self.loops.signature_kernel.sig_kernel_backprop(
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
            self.padded,
            self.wavefront,
            self.n_threads,
        )
        if found:
            notes.found |= found
