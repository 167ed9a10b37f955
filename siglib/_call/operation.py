"""One declaration for each operation, and the calls of NumPy, CuPy, and torch where it wants no more than values.

A declaration says which arrays go in, which options there are, what shape the result has, and how forward and backward
are computed from arrays of kernels. Every library that may call reads it: `torch.py` makes gradients of it,
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

import threading
from collections import namedtuple
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

from .._tables.sizes import SizeError
from . import torch as guest
from .backend import Array, backend_of
from .options import MEANINGS, Meaning
from .shapes import size_error
from .tracing import is_compiling, loaded_torch

# All operations by name; torch and tests go through them.
OPERATIONS: dict[str, "Operation"] = {}


class Operation:
    """What libraries know of an operation.

    * `arrays`: names of the arrays that go in. One that ends in "?" may be None. The last `n_numbers` of them are
      parameters: tuples of numbers, or float64 tensors whatever the dtype of the others.
    * `options`: names of the options; `MEANINGS` says what they mean, or `meanings` for this operation. They are
      cleaned once a call, and everything behind it takes them as `o`, with one attribute each.
    * `keeps_out`: whether `backward` reads the result. The name of an option, if it does where that option is set.
    * `n_batched`: how many of the arrays, the first ones, have their batch axes in common, so that torch.func.vmap may
      add one: all of them, unless it says otherwise. A call that maps any other array is computed element by element.
    * `derivs_name`, `out_name`: what the public gradient calls the derivatives and the result, for errors, and
      `backprop_names` what it calls the arrays, if not the same.
    """

    name: ClassVar[str]
    arrays: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]]
    meanings: ClassVar[dict[str, Meaning]] = {}
    n_numbers: ClassVar[int] = 0
    keeps_out: ClassVar[bool | str] = False
    derivs_name: ClassVar[str] = "derivs"
    out_name: ClassVar[str] = "out"
    backprop_names: ClassVar[tuple[str, ...]] = ()
    # Whether sizes may be kept: not if options hold arrays.
    keeps_sizes: ClassVar[bool] = True

    def __init__(self) -> None:
        self.names = tuple(name.rstrip("?") for name in self.arrays)
        self.n_arrays = len(self.names)
        self.n_shared = self.n_arrays - self.n_numbers
        self.has_optional = any(name.endswith("?") for name in self.arrays)
        self.shared_names = self.names[: self.n_shared]
        self.meaning = [(name, self.meanings.get(name) or MEANINGS[name]) for name in self.options]
        self._cleaners = [(name, meaning.clean) for name, meaning in self.meaning]
        self._array_options = [(name, m.clean) for name, m in self.meaning if m.schema == "Tensor?"]
        self.Options: Any = namedtuple("Options", self.options)  # type: ignore[misc]
        self.known_sizes = lru_cache(maxsize=512)(self.sizes) if self.keeps_sizes else self.sizes
        self._made: dict[Any, Any] = {}
        self._lock = threading.RLock()
        OPERATIONS[self.name] = self

        def operator_name() -> str:
            guest.operators(self)
            return self.name

        # The mark of torch.compiler.assume_constant_result: the compiler calls this function instead of tracing it.
        operator_name._dynamo_marked_constant = True  # type: ignore[attr-defined]
        self.operator_name = operator_name

    # What a declaration says

    def sizes(self, o: Any, *shapes: Any) -> tuple[Any, ...]:
        """The shape of the result, and behind it whatever else follows from options and shapes that fit; or the error.

        Sizes may be the symbols of torch's compiler.
        """
        raise NotImplementedError

    def forward(self, on: Any, out: Array, o: Any, sizes: tuple[Any, ...], *arrays: Array) -> None:
        """Write the result to `out`; arrays are as the backend `on` computes with them."""
        raise NotImplementedError

    def backward(
        self,
        on: Any,
        needs: tuple[bool, ...],
        derivs: Array,
        out: Array,
        o: Any,
        sizes: tuple[Any, ...],
        *arrays: Array,
    ) -> tuple[Any, ...]:
        """For each array the gradient of sum(derivs * result), new and of its shape, or None where it is not needed.

        `derivs` is of the result's shape; `out` is the result where `keeps_out`, or None.
        """
        raise NotImplementedError

    def n_batched(self, *arrays: Array) -> int:
        """How many of the arrays have their batch axes in common."""
        return self.n_shared

    def keeps(self, o: Any) -> bool:
        """Whether the backward pass of a call with these options reads the result."""
        return getattr(o, self.keeps_out) if isinstance(self.keeps_out, str) else self.keeps_out

    def fit(self, derivs: Array, o: Any, sizes: tuple[Any, ...]) -> Array:
        """Derivatives that a caller gives to the public gradient, in the shape of the result; or ValueError."""
        if tuple(derivs.shape) != sizes[0]:
            raise ValueError(f"{self.derivs_name} must have shape {sizes[0]}, got {tuple(derivs.shape)}")
        return derivs

    def adapted(self, o: Any, derivs: Array, out: Array, *arrays: Array) -> Any:
        """Options of a public gradient, with those that only its arrays tell, such as a stored scalar term."""
        return o

    def backprop_sizes(self, o: Any, *shapes: Any) -> tuple[Any, ...]:
        """`sizes` for the public gradient: other than this only where it gives the arrays other names."""
        return self.known_sizes(o, *shapes)

    # Calls

    def __call__(self, *arrays: Array, **options: Any) -> Any:
        """The operation on the caller's arrays, with all options by name."""
        torch = loaded_torch()
        if torch is not None:
            if is_compiling():
                dtypes = {array.dtype for array in arrays if isinstance(array, torch.Tensor)}
                if dtypes:
                    operator = getattr(torch.ops.siglib, self.operator_name())
                    inputs = guest.plain_inputs(self, torch, arrays, options)
                    return guest.call_operator(torch, operator, dtypes, inputs)
            elif guest.is_watched(torch, arrays):
                return guest.watched(self, torch, arrays, options)
        return self.compute(arrays, self.clean(options))

    def clean(self, options: dict[str, Any]) -> Any:
        """The clean options of a call, each read once."""
        return self.Options._make([clean(name, options[name]) for name, clean in self._cleaners])

    def clean_but_arrays(self, options: dict[str, Any]) -> Any:
        """The same where torch traces: options that are arrays stay for those who may look at their numbers."""
        return self.Options._make(
            [
                meaning.clean(name, options[name])
                if meaning.schema != "Tensor?"
                else meaning.plain(name, options[name])
                if isinstance(options[name], (list, tuple))
                else options[name]
                for name, meaning in self.meaning
            ]
        )

    def clean_arrays(self, o: Any) -> Any:
        """And those options, clean at last."""
        if not self._array_options:
            return o
        return o._replace(**{name: clean(name, getattr(o, name)) for name, clean in self._array_options})

    def compute(self, arrays: Any, o: Any) -> Any:
        """The result of a call that nobody watches."""
        on, found = self.dispatch((), (), arrays)
        out, _ = self.run(on, found, o)
        return on.result(out)

    def run(self, on: Any, arrays: Any, o: Any) -> tuple[Array, tuple[Any, ...]]:
        """The result, not yet in the caller's dtype, and the sizes of this call."""
        shapes = self.shapes_of(arrays)
        try:
            sizes = self.known_sizes(o, *shapes)
            out = on.empty(sizes[0])
        except (SizeError, MemoryError) as error:
            raise (size_error(error, shapes[0]) if self.names[0] == "path" else error) from None
        self.forward(on, out, o, sizes, *arrays)
        return out, sizes

    def backprop(self, derivs: Array, out: Array, *arrays: Array, needs: Any = None, **options: Any) -> tuple[Any, ...]:
        """The public gradient; `out` is None where the caller gives no result."""
        o = self.clean(options)
        if out is None:
            on, (derivs, *found) = self.dispatch((self.derivs_name,), (derivs,), arrays, self.backprop_names)
        else:
            names = (self.derivs_name, self.out_name)
            on, (derivs, out, *found) = self.dispatch(names, (derivs, out), arrays, self.backprop_names)
        o = self.adapted(o, derivs, out, *found)
        sizes = self.backprop_sizes(o, *self.shapes_of(found))
        derivs = self.fit(derivs, o, sizes)
        needs = (True,) * self.n_arrays if needs is None else needs
        return self.pulled(on, needs, derivs, out, o, sizes, found)

    def pulled(
        self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: tuple[Any, ...], arrays: Any
    ) -> tuple[Any, ...]:
        """Gradients in the caller's dtype, None for those that are not needed."""
        found = self.backward(on, needs, derivs, out, o, sizes, *arrays)
        return tuple(
            on.result(gradient) if need and gradient is not None and i < self.n_shared else gradient if need else None
            for i, (gradient, need) in enumerate(zip(found, needs, strict=True))
        )

    def dispatch(
        self, more_names: tuple[str, ...], more: tuple[Array, ...], arrays: Any, names: tuple[str, ...] = ()
    ) -> tuple[Any, tuple[Any, ...]]:
        """The backend of a call, and its arrays, `more` and `arrays`, as it computes with them."""
        names = names or self.shared_names
        shared, numbers = (arrays, ()) if not self.n_numbers else (arrays[: self.n_shared], arrays[self.n_shared :])
        if not self.has_optional or all(array is not None for array in shared):
            on, *found = backend_of((*more_names, *names), (*more, *shared))
            return on, (*found, *numbers)
        there = [(name, array) for name, array in zip(names, shared, strict=True) if array is not None]
        on, *found = backend_of((*more_names, *(name for name, _ in there)), (*more, *(array for _, array in there)))
        given = iter(found[len(more) :])
        return on, (*found[: len(more)], *(None if array is None else next(given) for array in shared), *numbers)

    def shapes_of(self, arrays: Any) -> list[Any]:
        """Shapes of arrays; None for what is not there or has none."""
        return [tuple(array.shape) if array is not None else None for array in arrays[: self.n_shared]]

    def made(self, maker: Callable[["Operation"], Any]) -> Any:
        """What `maker` makes of this operation, made once."""
        made = self._made.get(maker)
        if made is None:
            with self._lock:
                made = self._made.get(maker) or self._made.setdefault(maker, maker(self))
        return made
