"""How functions of siglib are called where they are measured: their arrays, their other arguments, at any shape.

Which arrays a function takes says the table of operations, `tests/operations.py`.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import siglib

# At the end: the tests have a `cases.py`, too.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from operations import OF_ARRAYS as OF_ARRAYS  # noqa: E402
from operations import kinds_of  # noqa: E402


class Shape(NamedTuple):
    """A batch of paths, and the degree to which their signatures are taken."""

    batch: int
    length: int
    dimension: int
    degree: int

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))})"


class KernelShape(NamedTuple):
    """Two batches of paths; every path of one meets every path of the other in a Gram matrix."""

    batch: int
    length: int
    dimension: int

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))})"


def brownian(shape: Shape | KernelShape, dtype: Any, seed: int = 2024) -> np.ndarray:
    """Random walks whose end is at a distance of about one: signatures of a sensible size."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((shape.batch, shape.length, shape.dimension)) / np.sqrt(shape.length)
    return steps.cumsum(axis=1).astype(dtype)


def like(array: np.ndarray) -> np.ndarray:
    """Random numbers of the same shape and dtype, for cotangents."""
    return np.random.default_rng(7).standard_normal(array.shape).astype(array.dtype)


@dataclass(frozen=True)
class Operation:
    """`ready(library, shape, n_jobs, *arrays)()` with the arrays that `arrays(shape, dtype)` makes."""

    arrays: Callable[..., tuple[np.ndarray, ...]]
    ready: Callable[..., Callable[[], Any]]
    shapes: tuple[Any, ...]


def by_hand(arrays: Callable[..., tuple[np.ndarray, ...]], call: Callable[..., Any], shapes: Any) -> Operation:
    """An operation that `call(library, shape, n_jobs, *arrays)` computes, in other ways for other libraries."""
    return Operation(arrays, partial(partial, call), shapes)


def _unchanged(array: np.ndarray) -> np.ndarray:
    return array


class _Function:
    """A public function: arrays by their kinds, degree and dimension from the shape, options as given.

    What goes with the shape or the library is an option `f(library, shape, dtype)`.
    """

    def __init__(self, name: str, options: dict[str, Any], reach: float = 1.0) -> None:
        self.name, self.options, self.reach = name, options, reach

    # Looked at when it is called: older versions, whose speed is measured too, have fewer functions.

    @cached_property
    def kinds(self) -> dict[str, str]:
        return kinds_of(self.name)

    @cached_property
    def takes(self) -> dict[str, Any]:
        """All parameters, and their defaults."""
        return {key: p.default for key, p in inspect.signature(getattr(siglib, self.name)).parameters.items()}

    def arrays(self, shape: Any, dtype: Any, convert: Callable[[np.ndarray], Any] = _unchanged) -> tuple[Any, ...]:
        """What goes in; `convert` makes arrays of another library of NumPy's."""
        made: dict[str, Any] = {}
        # Derivatives and results come after what they belong to, whatever their place is.
        for parameter in sorted(self.kinds, key=lambda p: self.kinds[p] in ("out", "derivs")):
            kind = self.kinds[parameter]
            if kind in ("out", "derivs"):
                result = self.result(shape, dtype, convert)
                made[parameter] = result if kind == "out" else convert(like(np.empty(tuple(result.shape), dtype)))
            elif parameter.startswith("direction"):
                # Of the shape of what moves: path1 by direction1.
                moved = next(name for name in made if name.endswith(parameter.removeprefix("direction")))
                made[parameter] = convert(like(np.empty(tuple(made[moved].shape), dtype)))
            else:
                n_before = sum(self.kinds[other] == kind for other in made)
                made[parameter] = convert(getattr(self, kind)(shape, dtype, n_before))
        return tuple(made[parameter] for parameter in self.kinds)

    def ready(self, lib: Any, shape: Any, n_jobs: int, *arrays: np.ndarray) -> Callable[[], Any]:
        given, rest = dict(zip(self.kinds, arrays, strict=True)), dict(self.options)
        dtype = arrays[0].dtype
        rest = {key: value(lib, shape, dtype) if callable(value) else value for key, value in rest.items()}
        # By position where it has to be: other libraries have other names for some parameters.
        positional = [
            given[key] if key in given else rest.pop(key) if key in rest else getattr(shape, key)
            for key, default in self.takes.items()
            if default is inspect.Parameter.empty
        ]
        rest |= {key: array for key, array in given.items() if self.takes[key] is not inspect.Parameter.empty}
        if "n_jobs" in self.takes:
            rest["n_jobs"] = n_jobs
        return partial(getattr(lib, self.name), *positional, **rest)

    def result(self, shape: Any, dtype: Any, convert: Callable[[np.ndarray], Any]) -> Any:
        """What the function gives of which this one is the gradient."""
        name = self.name.removesuffix("_backprop")
        takes = inspect.signature(getattr(siglib, name)).parameters
        options = {key: value for key, value in self.options.items() if key in takes}
        if "prefixes" in takes:
            options["prefixes"] = True
        function = _Function(name, options, self.reach)
        return function.ready(siglib, shape, 1, *function.arrays(shape, dtype, convert))()

    def path(self, shape: Any, dtype: Any, n_before: int) -> np.ndarray:
        return self.reach * brownian(shape, dtype, 2024 + n_before)

    def displacement(self, shape: Shape, dtype: Any, n_before: int) -> np.ndarray:
        return like(np.empty((shape.batch, shape.dimension), dtype))

    def sig(self, shape: Shape, dtype: Any, n_before: int) -> np.ndarray:
        return self._turned(siglib.sig(brownian(shape, dtype), shape.degree), n_before)

    def log_sig(self, shape: Shape, dtype: Any, n_before: int) -> np.ndarray:
        method = self.options.get("method", 1 if "method" in self.takes else 2)
        return self._turned(siglib.log_sig(brownian(shape, dtype), shape.degree, method=method), n_before)

    def bsig(self, shape: Shape, dtype: Any, n_before: int) -> np.ndarray:
        planar = self.options.get("planar", False)
        return self._turned(siglib.branched_sig(brownian(shape, dtype), shape.degree, planar=planar), n_before)

    def blogsig(self, shape: Shape, dtype: Any, n_before: int) -> np.ndarray:
        planar, method = self.options.get("planar", False), self.options.get("method")
        if "planar" not in self.takes:
            planar, method = True, 2
        found = siglib.branched_log_sig(brownian(shape, dtype), shape.degree, planar=planar, method=method)
        return self._turned(found, n_before)

    @staticmethod
    def _turned(array: np.ndarray, n_before: int) -> np.ndarray:
        """The second of two arrays has the rows of the first in the opposite order."""
        return np.ascontiguousarray(array[::-1]) if n_before else array


def measured(name: str, shapes: tuple[Any, ...], reach: float = 1.0, **options: Any) -> Operation:
    """A public function with these options, of paths that end at a distance of about `reach`."""
    function = _Function(name, options, reach)
    return Operation(function.arrays, function.ready, shapes)
