"""JAX: arrays and traced values of JAX in every call, through the primitives of `jax_primitives.py`.

Dispatch raises `JaxArraysError` where it meets an array of JAX, and whoever can go on from there comes here. siglib
never imports JAX: an array of it can only exist if JAX is there.
"""

import sys
from typing import Any

import numpy as np

from .backend import Array, library_of, refusal

_KERNEL_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def call(operation: Any, arrays: tuple[Array, ...], o: Any) -> Array:
    """The operation on arrays of JAX, with options that are clean."""
    from . import jax_primitives as primitives

    n = operation.n_shared
    shared = {name: a for name, a in zip(operation.shared_names, arrays[:n], strict=True) if a is not None}
    found, dtype = _arrays(shared)
    if any(library_of(number) != "numpy" for number in arrays[n:]):
        raise TypeError(f"siglib.{operation.name} takes parameters of static kernels as numbers beside arrays of JAX")
    this = primitives.make_call(operation, o, tuple(arrays[n:]), len(found))
    this.shape(*found)  # shapes that do not fit raise here what they raise for everybody
    return _as(primitives.forward(this, found), dtype)


def _as(array: Array, dtype: Any) -> Array:
    return array if array.dtype == dtype else array.astype(dtype)


def widened(**arrays: Array) -> tuple[Any, ...]:
    """As `backend.widened`."""
    found, dtype = _arrays(arrays)
    return (lambda result: _as(result, dtype), *found)


def of_one_dtype(arrays: dict[str, Array]) -> list[Array]:
    """The arrays in the dtype that their results will have."""
    found, dtype = _arrays(arrays)
    return [_as(array, dtype) for array in found]


def functions() -> Any:
    """The module jax.numpy, or None where nobody has imported JAX."""
    return sys.modules.get("jax.numpy")


def rows_of(function: Any, array: Array) -> Array:
    """The function of each element of the first axis, one after the other."""
    return sys.modules["jax"].lax.map(function, array)


def _arrays(arrays: dict[str, Array]) -> tuple[list[Array], Any]:
    """Arrays of JAX in a dtype of kernels, and the dtype of the result.

    Those of NumPy, and lists, adapt to the dtype of the others, as they do in JAX.
    """
    jnp = functions()
    if jnp is None:
        raise refusal(arrays)
    own = {}
    for name, value in arrays.items():
        library = library_of(value)
        if library not in ("jax", "numpy"):
            raise refusal(arrays)
        if library == "numpy":
            value = arrays[name] = _of_numpy(name, value)
        if not (jnp.issubdtype(value.dtype, np.floating) or value.dtype.kind in "iub"):
            raise TypeError(f"{name} must be an array of real numbers, got dtype {value.dtype}")
        if library == "jax" and value.dtype.kind not in "iub":
            own[name] = value.dtype
    if len(set(own.values())) > 1:
        raise TypeError(
            "arrays of one call must share a dtype, got " + ", ".join(f"{name}: {d}" for name, d in own.items())
        )
    dtype = next(iter(own.values()), jnp.result_type(float))
    kernel_dtype = dtype if dtype in _KERNEL_DTYPES else np.dtype(np.float32)
    found = [value if library_of(value) == "jax" else jnp.asarray(value, kernel_dtype) for value in arrays.values()]
    return [_as(value, kernel_dtype) for value in found], dtype


def _of_numpy(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be turned into an array: {error}") from None


def as_double(array: Array) -> Array:
    """The array in float64 where JAX has that dtype (`jax_enable_x64`), or as it is."""
    return array.astype(functions().result_type(float)) if array.dtype == np.float32 else array
