"""What libraries know of an operation: its declaration, and options that are clean.

Nothing here computes anything; `operation.py` has the calls.
"""

import threading
from collections import namedtuple
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from .._tables.grades import Polynomial
from .._tables.transform import Transform
from .libraries import Array
from .options import MEANINGS, Meaning

_PLAIN = frozenset((int, bool, float, str, type(None)))


class _NotPlainError(Exception):
    """An option is not of a plain type."""


def _kept_where_possible(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which keeps its results for options and shapes that hold no arrays."""
    known = lru_cache(maxsize=512)(function)

    def call(*args: Any) -> Any:
        try:
            return known(*args)
        except TypeError:
            return function(*args)

    return call


class _Options:
    """What the options of an operation are besides a tuple."""

    @cached_property
    def transform(self) -> Transform:
        """The transform of the path."""
        return Transform(self.time_aug, self.lead_lag, self.end_time)  # type: ignore[attr-defined]


class Declaration:
    """What an operation takes and gives, and of what its calls are made.

    * `arrays`: names of the arrays that go in. The last one may be None if it ends in "?". The last `n_numbers` are
      parameters: tuples of numbers, or float64 tensors whatever the dtype of the others.
    * `options`: names of the options; `MEANINGS` says what they mean, or `meanings` for this operation. They are
      cleaned once a call, and everything behind it takes them as `o`, with one attribute each.
    * `keeps_out`: whether `backward` reads the result. The name of an option, if it does where that option is set.
    * `follows_points`: whether the result has an axis along the path, or the name of the option that gives it one.
    * `n_batched`: how many of the arrays, the first ones, have their batch axes in common, so that torch.func.vmap may
      add one: all of them, unless it says otherwise. A call that maps any other array is computed element by element.
    * `takes_out`: whether callers of the public gradient give it the result.
    * `derivs_name`, `out_name`: what it calls the derivatives and the result, for errors, and `backprop_names` what it
      calls the arrays, if not the same.
    """

    name: ClassVar[str]
    arrays: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]]
    meanings: ClassVar[dict[str, Meaning]] = {}
    n_numbers: ClassVar[int] = 0
    keeps_out: ClassVar[bool | str] = False
    follows_points: ClassVar[bool | str] = False
    derivs_name: ClassVar[str] = "derivs"
    out_name: ClassVar[str] = "out"
    takes_out: ClassVar[bool] = False
    backprop_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.names = tuple(name.rstrip("?") for name in self.arrays)
        self.n_arrays = len(self.names)
        self.n_shared = self.n_arrays - self.n_numbers
        self.has_optional = any(name.endswith("?") for name in self.arrays)
        self._all_needed = (True,) * self.n_arrays
        self.shared_names = self.names[: self.n_shared]
        self.saved_names = ("derivs", "out", *self.shared_names)
        # What public functions call directions: after the number of an array, or its name if it is optional.
        self.direction_names = tuple(
            f"{name.rstrip('?')}_direction"
            if name.endswith("?")
            else f"direction{name.lstrip('abcdefghijklmnopqrstuvwxyz_')}"
            for name in self.arrays[: self.n_shared]
        )
        self.meaning = [(name, self.meanings.get(name) or MEANINGS[name]) for name in self.options]
        self._cleaners = [(name, meaning.clean) for name, meaning in self.meaning]
        self._known = lru_cache(maxsize=512, typed=True)(self._clean_plain)
        self.Options: Any = type("Options", (_Options, namedtuple("Options", self.options)), {})
        self._array_options = [(name, m.clean) for name, m in self.meaning if m.schema == "Tensor?"]
        self._array_places = [self.options.index(name) for name, _ in self._array_options]
        keep = _kept_where_possible if self._array_options else lru_cache(maxsize=512)
        self.known_sizes: Any = keep(self.sizes)
        self._known_backprop: Any = keep(self._backprop_sizes)
        self._made: dict[Any, Any] = {}
        self._lock = threading.RLock()

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

    def ragged(self, dimension: int, o: Any) -> Callable[..., Any] | None:
        """What computes this, on the CPU, from the points of all paths of unequal lengths at once.

        It takes the same options, and `starts` and `lengths`. None: runs of paths are padded.
        """
        return None

    def skips_padding(self, o: Any) -> bool:
        """Whether loops leave out the repeats of a last point; such an operation has an option `padded`."""
        return False

    def polynomial(self, o: Any, *shapes: Any) -> Polynomial | None:
        """In which arrays it is a polynomial of which degree, if it is one: `tangents.py` makes derivatives of that."""
        return None

    def stacked(self, o: Any, n: int) -> Any:
        """The options for `n` calls in one, whose arrays have one more batch axis, the first."""
        return o

    def keeps(self, o: Any) -> bool:
        """Whether the backward pass of a call with these options reads the result."""
        return getattr(o, self.keeps_out) if isinstance(self.keeps_out, str) else self.keeps_out

    # For public gradients, where callers give what torch knows itself

    def adapted(self, o: Any, derivs: Any, out: Any, *shapes: Any) -> Any:
        """Options, with those that only shapes tell, such as a stored scalar term."""
        return o

    def backprop_sizes(self, o: Any, *shapes: Any) -> tuple[Any, ...]:
        """`sizes`: other than these only where the gradient gives the arrays other names."""
        return self.sizes(o, *shapes)

    def has_extra_term(self, derivs: Any, o: Any, sizes: tuple[Any, ...]) -> bool:
        """Whether derivatives of this shape have a scalar term that the result has not, or ValueError."""
        if derivs != sizes[0]:
            raise ValueError(f"{self.derivs_name} must have shape {sizes[0]}, got {derivs}")
        return False

    # Options

    def clean(self, options: dict[str, Any]) -> Any:
        """The clean options of a call, each read once."""
        try:
            return self._known(**options)
        except (_NotPlainError, TypeError):
            return self._clean(options)

    def _clean_plain(self, **options: Any) -> Any:
        """The same for plain values, which are no objects that may say something else tomorrow, and may be kept."""
        if not _PLAIN.issuperset(map(type, options.values())):
            raise _NotPlainError
        return self._clean(options)

    def _clean(self, options: dict[str, Any]) -> Any:
        return self.Options._make([clean(name, options[name]) for name, clean in self._cleaners])

    def replaced(self, o: Any, name: str, value: Any) -> Any:
        """Clean options with another value of one of them."""
        i = self.options.index(name)
        return self.Options._make((*o[:i], value, *o[i + 1 :]))

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

    # Shapes, and what is made once

    def shapes_of(self, arrays: Any) -> list[Any]:
        """Shapes of the arrays that have some; None for what is not there."""
        if self.n_numbers:
            arrays = arrays[: self.n_shared]
        return [None if array is None else tuple(array.shape) for array in arrays]

    def made(self, maker: Callable[[Any], Any]) -> Any:
        """What `maker` makes of this operation, made once."""
        made = self._made.get(maker)
        if made is None:
            with self._lock:
                made = self._made.get(maker) or self._made.setdefault(maker, maker(self))
        return made

    def _backprop_sizes(self, o: Any, derivs: Any, out: Any, *shapes: Any) -> tuple[Any, tuple[Any, ...], bool]:
        """What a public gradient makes of its options and shapes."""
        o = self.adapted(o, derivs, out, *shapes)
        sizes = self.backprop_sizes(o, *shapes)
        return o, sizes, self.has_extra_term(derivs, o, sizes)
