"""The same functions under the name that code written for `pysiglib.jax_api` expects; arrays become JAX's.

There is one implementation: the functions of `siglib` itself take arrays of JAX. Those here also take whatever
`jax.numpy.asarray` takes, and give arrays of JAX.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import jax.numpy as jnp

from . import torch_api as _functions
from ._call.operation import OPERATIONS as _OPERATIONS

# What functions call their arrays: as operations do, and the samples of those that are made of several.
_ARRAYS = frozenset(name for operation in _OPERATIONS.values() for name in operation.shared_names) | {
    "sample",
    "sample1",
    "sample2",
    "y",
}


def _of_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose arrays may be anything that JAX makes an array of."""
    names = list(inspect.signature(function).parameters)
    places = [i for i, name in enumerate(names) if name in _ARRAYS]

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        given = list(args)
        for i in places:
            if i < len(given):
                given[i] = _as_array(given[i])
        for name in options.keys() & _ARRAYS:
            options[name] = _as_array(options[name])
        return function(*given, **options)

    return call


def _as_array(value: Any) -> Any:
    return None if value is None else jnp.asarray(value)


def _takes_arrays(function: Any) -> bool:
    return inspect.isfunction(function) and not _ARRAYS.isdisjoint(inspect.signature(function).parameters)


__all__ = [name for name in vars(_functions) if not name.startswith("_")]
globals().update(
    {
        name: _of_jax(function) if _takes_arrays(function) else function
        for name, function in vars(_functions).items()
        if not name.startswith("_")
    }
)
