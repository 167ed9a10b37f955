"""JAX: arrays and traced values of JAX in every operation, through the primitives of `jax_primitives.py`.

Dispatch raises `JaxArraysError` where it meets an array of JAX, and whoever can go on from there comes here. siglib
never imports JAX: an array of it can only exist if JAX is there.
"""

from collections.abc import Callable
from typing import Any

from .formats import in_dtype, jax_arrays
from .libraries import Array, library_of
from .tracing import loaded_jax


def call(operation: Any, arrays: tuple[Array, ...], o: Any) -> Array:
    """The operation on arrays of JAX, with options that are clean."""
    n = operation.n_shared
    found, dtype = jax_arrays(
        {name: a for name, a in zip(operation.shared_names, arrays[:n], strict=True) if a is not None}
    )
    if any(library_of(number) != "numpy" for number in arrays[n:]):
        raise TypeError(f"siglib.{operation.name} takes parameters of static kernels as numbers beside arrays of JAX")
    from . import jax_primitives as primitives

    this = primitives.make_call(operation, o, tuple(arrays[n:]), len(found))
    this.shape(*found)  # shapes that do not fit raise here what they raise for everybody
    return in_dtype(primitives.forward(this, found), dtype)


def rows_of(function: Callable[[Array], Array], array: Array) -> Array:
    """The function of each element of the first axis, one after the other."""
    return loaded_jax().lax.map(function, array)
