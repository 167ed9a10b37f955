"""One declaration for each operation, and the calls of NumPy, CuPy, and torch where it wants no more than values.

A declaration says which arrays go in, which options there are, what shape the result has, and how forward and backward
are computed from arrays of loops. Every library that may call reads it: `torch.py` makes gradients of it,
`torch_operator.py` operators for torch's compiler. A public function is its signature, its documentation and one call:

    class _SigCombine(Operation):
        name = "sig_combine"
        arrays = ("sig1", "sig2")
        options = ("dimension", "degree", "time_aug", "lead_lag", "n_jobs")

        def sizes(self, o, sig1, sig2): ...
        def forward(self, on, out, o, sizes, sig1, sig2): ...
        def backward(self, on, needs, derivs, out, o, sizes, sig1, sig2): ...

    SIG_COMBINE = _SigCombine()

    def sig_combine(sig1, sig2, dimension, degree, *, time_aug=False, lead_lag=False, n_jobs=1):
        return SIG_COMBINE(sig1, sig2, dimension=dimension, degree=degree, ...)
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .._tables.grades import Grade, Polynomial
from .._tables.sizes import SizeError
from . import blocks, dask, ragged_calls, tangents
from . import jax as jax_guest
from . import torch as guest
from .array_likes import LazyPaths, UnequalLengthsError
from .backend import backend_of, widened
from .block_sizes import items_per_step, vector_seconds
from .declaration import Declaration
from .libraries import Array, DaskArraysError, JaxArraysError, device_of, library_of, namespace_of, refuse_dask
from .options import as_n_threads
from .progress import is_watched, told, watchers
from .shapes import size_error
from .tracing import is_compiling, loaded_torch

# All operations by name; torch and tests go through them.
OPERATIONS: dict[str, "Operation"] = {}
# Of an option that is an array, in the key of a launch plan: thousands of plans may be kept.
_MOST_PLANNED_BYTES = 2**13
# A product of signatures, or a logarithm, goes through them about so often.
_ROWS_OF_VECTOR = 8


def _named(name: str) -> "Operation":
    return OPERATIONS[name]


class Operation(Declaration):
    """An operation of which a declaration says all that there is to know, called by any library."""

    def __init__(self) -> None:
        super().__init__()
        self._forward_body, self._backward_body = self._forward_of_plan, self._backward_of_plan
        OPERATIONS[self.name] = self

        def operator_name() -> str:
            guest.operators(self)
            return self.name

        # The mark of torch.compiler.assume_constant_result: the compiler calls this function instead of tracing it.
        operator_name._dynamo_marked_constant = True  # type: ignore[attr-defined]
        self.operator_name = operator_name

    def __reduce__(self) -> Any:
        # Other processes have made their own.
        return _named, (self.name,)

    # Derivatives along directions, by `tangents.py`, in the library `xp` of the arrays; directions are None for arrays
    # that stay where they are. `called(o, arrays)` is the operation, `pulled(o, needs, derivs, arrays)` its gradient

    def tangent(self, xp: Any, o: Any, arrays: Any, directions: Any, called: Callable[..., Any]) -> Array:
        """The derivative of the result."""
        polynomial = self._found_polynomial(o, arrays)

        def call(stacks: Any) -> tuple[Any, ...]:
            return (called(self.stacked(o, len(stacks[0])), stacks),)

        return tangents.tangent(xp, polynomial, call, arrays, directions)

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
        """The derivatives of those gradients that are wanted, `derivs` staying as they are."""
        polynomial = self._found_polynomial(o, arrays)

        def call(g: Any, stacks: Any) -> Any:
            return pulled(self.stacked(o, len(g)), wanted, g, stacks)

        return tangents.backprop_tangent(xp, polynomial, call, derivs, arrays, directions, wanted)

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
        """`tangent`, and behind it `backprop_tangent`, of `pulled(o, needs, derivs, arrays, result)`.

        It takes less time than one after the other. The result may be None where the gradient does not read it.
        `known` is the result for these arrays, or None.
        """
        polynomial = self._found_polynomial(o, arrays)

        def call(stacks: Any) -> Any:
            return called(self.stacked(o, len(stacks[0])), stacks)

        def backprop(g: Any, out: Any, stacks: Any) -> Any:
            return pulled(self.stacked(o, len(g)), wanted, g, stacks, out)

        return tangents.both_tangents(xp, polynomial, call, backprop, derivs, arrays, directions, wanted, known)

    def _found_polynomial(self, o: Any, arrays: Any) -> Polynomial:
        polynomial = self.polynomial(o, *self.shapes_of(arrays))
        if polynomial is None:
            raise RuntimeError(f"derivatives of siglib.{self.name} along directions are not implemented")
        missing = self.n_shared - len(polynomial.arrays)
        together, parallel = polynomial.together or self.stacked(o, 1) is not o, o.n_jobs != 1
        if missing or together or parallel:
            grades = polynomial.arrays + (Grade("fixed"),) * missing
            return polynomial._replace(arrays=grades, together=together, parallel=parallel)
        return polynomial

    def along(self, arrays: Any, directions: Any, *numbers: Any, **options: Any) -> Array:
        """The derivative along directions, in the library of the arrays, as public functions give it.

        Parameters, the `numbers`, stay as they are.
        """
        n_needed = self.n_shared - self.has_optional
        if n_needed > 1 and all(direction is None for direction in directions):
            raise TypeError(
                f"{' or '.join(self.direction_names)} must be an array of real numbers, got NoneType for both"
            )
        names = (*self.shared_names, *self.direction_names)
        given = dict(zip(names, (*arrays, *directions), strict=True))
        needed = (*self.shared_names[:n_needed], *self.direction_names[: n_needed == 1])
        there = {name: array for name, array in given.items() if array is not None or name in needed}
        refuse_dask(**there)
        try:
            back, *found = widened(**there)
        except UnequalLengthsError:
            if not ragged_calls.takes(self, arrays):
                raise
            found = []
        if not found:
            return ragged_calls.along(self, arrays, directions, numbers, options)
        clean = dict(zip(there, found, strict=True))
        o, n = self.clean(options), self.n_shared
        values = [clean.get(name) for name in names]
        arrays, directions = values[:n], values[n:]
        for i, (array, direction) in enumerate(zip(arrays, directions, strict=True)):
            if direction is not None and array is None:
                raise ValueError(f"{names[n + i]} needs {names[i]}, which is None")
            if direction is not None and tuple(direction.shape) != tuple(array.shape):
                raise ValueError(
                    f"{names[n + i]} must have the shape of {names[i]}, {tuple(array.shape)}, got "
                    f"{tuple(direction.shape)}"
                )
        self.known_sizes(o, *self.shapes_of(arrays))
        with device_of(arrays[0]), np.errstate(all="ignore"):
            xp, stay = namespace_of(arrays[0]), [None] * len(numbers)
            if xp is loaded_torch():
                numbers = tuple(guest.as_numbers(xp, value) for value in numbers)
            return back(self.tangent(xp, o, [*arrays, *numbers], [*directions, *stay], self.called))

    # Calls

    def __call__(self, *arrays: Array, **options: Any) -> Any:
        """The operation on the caller's arrays, with all options by name."""
        # One plain array is nobody's but NumPy's, unless the compiler shows it.
        plain = self.n_arrays == 1 and type(arrays[0]) is np.ndarray and not is_compiling()
        torch = None if plain else loaded_torch()
        if torch is not None:
            if is_compiling():
                dtypes = {array.dtype for array in arrays if isinstance(array, torch.Tensor)}
                if dtypes:
                    operator = getattr(torch.ops.siglib, self.operator_name())
                    inputs = guest.plain_inputs(self, torch, arrays, options)
                    return guest.call_operator(torch, operator, dtypes, inputs)
                if ragged_calls.takes(self, arrays):
                    raise ragged_calls.refusal_to_compile(self)
                torch = None
        try:
            if torch is not None and guest.is_watched(torch, arrays):
                return guest.watched(self, torch, arrays, options)
            o = self.clean(options)
            on, found = self.dispatch(arrays, self.shared_names)
        except JaxArraysError:
            return self.in_jax(jax_guest.call, arrays, self.clean(options))
        except DaskArraysError:
            is_dask = True
        except UnequalLengthsError:
            is_dask = False
            if not ragged_calls.takes(self, arrays):
                raise
        else:
            return on.result(self.run(on, found, o)[0])
        if is_dask:
            return self.in_dask(arrays, self.clean(options))
        return ragged_calls.call(self, arrays, options)

    def in_jax(self, call: Callable[..., Any], arrays: tuple[Any, ...], o: Any) -> Any:
        """The operation on arrays of JAX; `call` computes it as the declaration says."""
        return call(self, arrays, o)

    def in_dask(self, arrays: tuple[Any, ...], o: Any) -> Any:
        """The operation on arrays of Dask."""
        return dask.call(self, arrays, o)

    def backprop_in_dask(
        self, derivs: Array, out: Array, arrays: tuple[Any, ...], needs: Any, options: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The public gradient for arrays of Dask."""
        return dask.backprop(self, derivs, out, arrays, needs, options)

    def called(self, o: Any, arrays: Any) -> Any:
        """The operation with options that are clean."""
        torch = loaded_torch()
        if torch is not None and guest.is_watched(torch, arrays):
            return guest.applied(self, torch, arrays, o)
        return self.compute(arrays, o)

    def compute(self, arrays: Any, o: Any) -> Any:
        """The result of a call that nobody watches."""
        try:
            on, found = self.dispatch(arrays, self.shared_names)
        except DaskArraysError:
            on = None
        if on is None:
            return self.in_dask(arrays, o)
        out, _ = self.run(on, found, o)
        return on.result(out)

    def run(self, on: Any, arrays: Any, o: Any) -> tuple[Array, tuple[Any, ...]]:
        """The result, not yet in the caller's dtype, and the sizes of this call."""
        shared = arrays[: self.n_shared] if self.n_numbers else arrays
        try:
            if on.device is not None:
                planned = self._by_plan(on, self._forward_body, o, None, None, arrays)
                if planned is not None:
                    return planned[0][0], planned[1]
            sizes = self.known_sizes(o, *[None if array is None else array.shape for array in shared])
            out = on.empty(sizes[0])
        except (SizeError, MemoryError) as error:
            raise (size_error(error, arrays[0].shape) if self.names[0] == "path" else error) from None
        if on.device is not None:
            on.call(self.forward, on, out, o, sizes, *arrays)
        elif watchers and is_watched():
            self.run_in_blocks(on, out, o, sizes, arrays)
        else:
            self.forward(on, out, o, sizes, *arrays)
        return out, sizes

    def _by_plan(self, on: Any, body: Any, o: Any, needs: Any, more: Any, arrays: Any) -> Any:
        """What a GPU's backend makes of a body by a plan, or None if there can be none: it would need numbers.

        `needs` are those of a gradient, which the body takes with the options.
        """
        known = o
        for i in self._array_places:
            if o[i] is not None:
                if type(o[i]) is not np.ndarray or o[i].nbytes > _MOST_PLANNED_BYTES:
                    return None
                # Whoever has the same indices, or the like, finds the same plan.
                known = self.Options._make((*known[:i], (o[i].dtype, o[i].shape, o[i].tobytes()), *known[i + 1 :]))
        options, known = (o, known) if needs is None else ((needs, o), (needs, known))
        if not self.n_numbers:
            return on.run(body, known, options, more, arrays)
        *arrays, numbers = arrays
        if type(numbers) is not tuple:
            if not getattr(numbers, "is_cpu", False):
                return None
            numbers = numbers.tolist()
        return on.run(body, known, options, more, arrays, tuple([float(number) for number in numbers]))

    def _forward_of_plan(self, on: Any, o: Any, _: Any, *arrays: Any) -> tuple[tuple[Any], Any]:
        shared = arrays[: self.n_shared] if self.n_numbers else arrays
        sizes = self.known_sizes(o, *[None if array is None else array.shape for array in shared])
        out = on.empty(sizes[0])
        self.forward(on, out, o, sizes, *arrays)
        return (out,), sizes

    def _backward_of_plan(self, on: Any, options: Any, sizes: Any, *arrays: Any) -> tuple[tuple[Any, ...], None]:
        needs, o = options
        return self.backward(on, needs, arrays[0], arrays[1], o, sizes, *arrays[2:]), None

    def into(self, out: Any) -> Callable[..., Any]:
        """A function as `__call__` that writes the result to `out`, a NumPy array of its shape and dtype."""
        return partial(self._written, out)

    def _written(self, out: Any, *arrays: Array, **options: Any) -> Any:
        o, given = self.clean(options), dict(zip(self.shared_names, arrays[: self.n_shared], strict=True))
        for name, array in given.items():
            if isinstance(array, LazyPaths):
                raise ValueError(
                    f"out is for results of arrays of paths of one length: {name} has times, gaps or the like"
                )
            if array is not None and library_of(array) != "numpy":
                raise TypeError(f"out is for results of NumPy arrays, and {name} is of {library_of(array)}")
        with blocks.of_one_length():
            on, found = self.dispatch(arrays, self.shared_names)
        sizes = self.known_sizes(o, *self.shapes_of(found))
        blocks.check_out(out, sizes[0], on.result_dtype, given)
        self.run_in_blocks(on, out, o, sizes, found)
        return out

    def run_in_blocks(self, on: Any, out: Any, o: Any, sizes: tuple[Any, ...], arrays: Any) -> None:
        """The result to `out`, a NumPy array of any layout, a block at a time; whoever wants to know is told."""
        shape = sizes[0]
        if arrays[0].ndim == blocks.n_core_axes(self) or 0 in shape:
            blocks.put(self, on, out, o, arrays)
            return
        per_entry = math.prod(arrays[0].shape[1 : arrays[0].ndim - blocks.n_core_axes(self)])
        step = max(1, self._step(o, shape, arrays) // per_entry)
        with told(self.name, len(out) * per_entry, len(out) > step) as done:
            blocks.run(self, on, out, o, arrays, step, lambda n: done(n * per_entry))

    def _step(self, o: Any, shape: Any, arrays: Any) -> int:
        """How many paths are computed between two reports."""
        numbers = math.prod(shape[arrays[0].ndim - blocks.n_core_axes(self) :])
        seconds = self.seconds(o, shape, *self.shapes_of(arrays))
        return items_per_step(seconds, numbers, as_n_threads(getattr(o, "n_jobs", 1)))

    def seconds(self, o: Any, shape: Any, *shapes: Any) -> float:
        """About how long one entry of a batch takes, whose result has this shape."""
        n = len(shapes[0]) - blocks.n_core_axes(self)
        first, result = shapes[0][n:], shape[n:]
        rows = first[0] if len(first) == 2 else _ROWS_OF_VECTOR
        return vector_seconds(rows + (result[0] if len(result) == 2 else 0), result[-1])

    def backprop(self, derivs: Array, out: Array, *arrays: Array, needs: Any = None, **options: Any) -> tuple[Any, ...]:
        """The public gradient; `out` is None unless it takes the result."""
        o = self.clean(options)
        names = self.backprop_names or self.shared_names
        try:
            if not self.takes_out:
                on, (derivs, *found) = self.dispatch((derivs, *arrays), (self.derivs_name, *names))
            else:
                given = (derivs, out, *arrays)
                on, (derivs, out, *found) = self.dispatch(given, (self.derivs_name, self.out_name, *names))
        except DaskArraysError:
            on, call = None, self.backprop_in_dask
        except UnequalLengthsError:
            if not ragged_calls.takes(self, arrays):
                raise
            on, call = None, partial(ragged_calls.backprop, self)
        if on is None:
            return call(derivs, out, arrays, needs or self._all_needed, options)
        shape = None if out is None else tuple(out.shape)
        o, sizes, extra = self._known_backprop(o, tuple(derivs.shape), shape, *self.shapes_of(found))
        if extra:
            derivs = derivs[..., 1:]
        return self.pulled(on, needs or self._all_needed, derivs, out, o, sizes, found)

    def pulled(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: tuple[Any, ...], arrays: Any
    ) -> tuple[Any, ...]:
        """Gradients in the caller's dtype, None for those that are not needed."""
        if on.device is None:
            found = self.backward(on, needs, derivs, out, o, sizes, *arrays)
        else:
            given = (derivs, out, *arrays)
            planned = self._by_plan(on, self._backward_body, o, tuple(needs), sizes, given)
            found = on.call(self.backward, on, needs, derivs, out, o, sizes, *arrays) if planned is None else planned[0]
        if needs is self._all_needed and not on.changes_results:
            return found
        wanted, n = list(found), self.n_shared if on.changes_results else 0
        for i, need in enumerate(needs):
            if not need:
                wanted[i] = None
            elif i < n and wanted[i] is not None:
                wanted[i] = on.result(wanted[i])
        return tuple(wanted)

    def dispatch(self, arrays: Any, names: tuple[str, ...]) -> tuple[Any, Any]:
        """The backend of a call, and the arrays as it computes with them.

        `names` are those of the arrays that belong to one library. Behind them are parameters, which stay what they
        are, and the last of them may be None.
        """
        if self.n_numbers:
            n = len(names)
            on, found = backend_of(names, arrays[:n])
            return on, (*found, *arrays[n:])
        if self.has_optional and arrays[-1] is None:
            on, found = backend_of(names[:-1], arrays[:-1])
            return on, (*found, None)
        return backend_of(names, arrays)
