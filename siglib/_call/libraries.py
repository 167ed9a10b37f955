"""Which library an array is of, where it is, and the errors for arrays that do not go together.

No framework is imported here: an object can only be a torch tensor if torch is already in `sys.modules`.
"""

import sys
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from .array_likes import (
    LazyPaths,
    Ragged,
    UnequalLengthsError,
    packed_lengths,
    refusal_of_lengths,
    refusal_of_list,
    refusal_of_series,
    refusal_of_shapes,
)
from .tracing import loaded_torch

# An array of any supported library, or what NumPy can turn into one.
Array: TypeAlias = Any


def library_of(array: Array) -> str:
    """The library that an array belongs to: "torch", "cupy", or "numpy", which judges everything unknown.

    "jax" and "dask" have their own ways (`jax.py`, `dask.py`), and "torch.fx" is recognised for its error.
    """
    torch = loaded_torch()
    # First, and not through the cache, of which torch.compile warns.
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    cls: Any = type(array)
    return _library_of_class(cls)


@lru_cache(maxsize=256)
def _library_of_class(cls: type) -> str:
    array_class = getattr(sys.modules.get("cupy"), "ndarray", None)
    if array_class is not None and issubclass(cls, array_class):
        return "cupy"
    # The classes of JAX, those of traced values too, are spread over many modules.
    modules = [f"{base.__module__}." for base in cls.__mro__]
    if any(module.startswith(("jax.", "jaxlib.")) for module in modules):
        return "jax"
    if any(module.startswith("dask.") for module in modules):
        return "dask"
    return "torch.fx" if any(module.startswith("torch.fx.") for module in modules) else "numpy"


def namespace_of(array: Array) -> Any:
    """The module with the functions for this array: numpy, cupy, torch, jax.numpy or dask.array."""
    library = library_of(array)
    return sys.modules[{"jax": "jax.numpy", "dask": "dask.array"}.get(library, library)]


def device_of(array: Array) -> Any:
    """A context in which arithmetic with this array is done on its device."""
    return array.device if library_of(array) == "cupy" else nullcontext()


def is_on_gpu(array: Array) -> bool:
    """Whether looking at a number of this array means waiting for a GPU."""
    return library_of(array) == "cupy" or (library_of(array) == "torch" and is_cuda(array))


def is_cuda(tensor: Any) -> bool:
    return tensor.is_cuda


def on_host(array: Array) -> np.ndarray:
    """The array in main memory, as NumPy's; without its graph."""
    library = library_of(array)
    if library == "torch":
        return array.detach().cpu().numpy()
    return array.get() if library == "cupy" else array


def has_own_dtype(array: Array) -> bool:
    """Whether an array has a floating dtype; lists and integers adapt to the arrays of a call that have one."""
    if isinstance(array, (list, tuple)):
        return False
    dtype = getattr(array, "dtype", None)
    return getattr(dtype, "is_floating_point", getattr(dtype, "kind", "f") not in "iub")


def as_dtype_of(array: Array, like: Array) -> Array:
    """An array in the dtype of another one of its library."""
    return array.to(like.dtype) if library_of(array) == "torch" else array.astype(like.dtype, copy=False)


def as_tensor(array: Array) -> Any:
    """The array as a tensor; TypeError where torch is not loaded."""
    torch = loaded_torch()
    if torch is None:
        raise TypeError("a static kernel with tensors_only=True needs torch: import it first")
    if isinstance(array, torch.Tensor):
        return array
    if library_of(array) == "cupy":
        return torch.from_dlpack(array)
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def hold_equal_numbers(array1: Array, array2: Array) -> bool:
    """Whether two arrays surely hold the same numbers: one place in memory, or equal contents of main memory.

    Looks at numbers, so it is not for traced tensors. Nobody waits for a GPU here: there, only places are compared.
    """
    if array1 is array2:
        return True
    if type(array1) is np.ndarray and type(array2) is np.ndarray:
        if array1.shape != array2.shape or array1.dtype != array2.dtype or not array1.size:
            return False
        # Most arrays differ in their first number. Bits are compared, so that NaN is equal to itself.
        first = array1.item(0)
        if first == first != array2.item(0) or array1.dtype.kind != "f":
            return False
        return np.array_equal(_bits(array1), _bits(array2))
    library = library_of(array1)
    if library in ("numpy", "jax") or library != library_of(array2):
        return False
    if array1.shape != array2.shape or array1.dtype != array2.dtype:
        return False
    if library == "dask":
        # Names stand for what is computed.
        return array1.name == array2.name
    if library == "torch":
        if array1.layout is not array2.layout or array1.device != array2.device or array1.is_nested:
            return False
        if array1.data_ptr() == array2.data_ptr() and array1.stride() == array2.stride():
            return True
        return array1.is_cpu and sys.modules["torch"].equal(array1, array2)
    return array1.data.ptr == array2.data.ptr and array1.strides == array2.strides


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


class DaskArraysError(TypeError):
    """Some arrays of a call are Dask's: for `dask.py`, which does not go through here, and an error for all others."""


class JaxArraysError(TypeError):
    """Some arrays of a call are JAX's: for `jax.py`, which does not go through here, and an error for all others."""


def refuse_dask(**arrays: Array) -> None:
    """DaskArraysError for arrays of Dask, by functions that have no blocks."""
    if any(library_of(array) == "dask" for array in arrays.values()):
        raise refusal(arrays)


def refuse_unequal(arrays: dict[str, Array]) -> None:
    """UnequalLengthsError for paths that are no array; for lists of numbers the attempt to make one will tell."""
    for name, value in arrays.items():
        if isinstance(value, LazyPaths):
            raise refusal_of_series(name)
        if isinstance(value, Ragged):
            raise UnequalLengthsError(f"{name} holds paths of unequal lengths, which this function does not take")
        if not isinstance(value, (list, tuple)) or not value:
            continue
        kinds = set(map(type, value))
        if kinds == {np.ndarray}:
            # NumPy would find out, too, but a hundred times slower.
            shapes = [item.shape for item in value]
            different = set(shapes)
            if len(different) > 1 and (reason := refusal_of_shapes(name, shapes, different)):
                raise reason
        elif any(library_of(item) != "numpy" for item in value):
            if hasattr(value, "batch_sizes"):
                raise refusal_of_lengths(f"{name} is a PackedSequence of paths", packed_lengths(value))
            raise refusal_of_list(name, value) or TypeError(
                f"{name} is a {type(value).__name__} of tensors: stack them into one tensor first"
            )


def refusal(arrays: dict[str, Array]) -> TypeError:
    """The error for arrays of several libraries, or of one that is not supported."""
    for name, value in arrays.items():
        if library_of(value) == "dask":
            return DaskArraysError(f"{name} is an array of Dask, which is not taken here: pass {name}.compute()")
        if library_of(value) == "jax":
            return JaxArraysError(f"{name} is an array of JAX, which is not taken here: pass numpy.asarray({name})")
        if library_of(value) == "torch.fx":
            return TypeError(
                f"{name} is a {type(value).__name__} of torch.fx, which traces Python code: use torch.export or "
                "make_fx, which trace operators, or torch.fx.wrap"
            )
    return TypeError(f"arrays of one call must come from one library, got {describe(arrays)}")


def describe(arrays: dict[str, Array]) -> str:
    """Names, types and, where they have one, devices of the arrays of a call, for messages."""
    words = []
    for name, value in arrays.items():
        device = getattr(value, "device", None)
        words.append(f"{name}: {type(value).__module__}.{type(value).__name__}" + (f" on {device}" if device else ""))
    return ", ".join(words)
