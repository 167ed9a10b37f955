"""THE dispatch: from the arrays of a call to the backend that computes it, and the arrays as it takes them.

Requirements. The arrays that come in decide: results belong to the same library, dtype and device. GPU arrays are never
moved to the CPU silently. Loops know two formats, float32 and float64 (`formats.py`). An operation that would lose too
many digits in float32 takes `on.double()` for its work.

    on, path, derivs = backend_for(path=path, derivs=derivs)   # arrays of one library, one device, one format
    out = on.empty(path.shape)
    on.loops.path.transform_path_backprop(on.view(derivs), on.view(out), ...)
    return on.result(out)
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from . import libraries
from .cpu_backends import NUMPY_BACKENDS, NumpyBackend, torch_cpu_backend
from .formats import FLOAT32, FLOAT64, common_dtype, in_dtype, jax_arrays, numpy_array, torch_tensors
from .libraries import Array, DaskArraysError, JaxArraysError, describe, library_of, refusal, refuse_unequal
from .tracing import refuse_traced


def backend_for(**arrays: Array) -> tuple[Any, ...]:
    """The backend for these arrays, and the arrays as it computes with them, in the order given.

    Raises TypeError for arrays of several libraries, devices or dtypes, and for what is no array of real numbers.
    """
    on, found = backend_of(arrays, tuple(arrays.values()))
    return (on, *found)


def backend_of(names: Iterable[str], arrays: Sequence[Array]) -> tuple[Any, Sequence[Any]]:
    """The same for arrays and their names apart: the backend, and the arrays as it computes with them."""
    dtype = None
    for value in arrays:
        if type(value) is not np.ndarray or not value.flags.aligned or (dtype is not None and value.dtype is not dtype):
            break
        dtype = value.dtype
    else:
        # The way that nearly every NumPy call takes: plain arrays of one format of the loops.
        on = NUMPY_BACKENDS.get(dtype)
        if on is not None:
            return on, arrays
    on = _cupy_backend_of_plain(arrays)
    if on is not None:
        return on, arrays
    named = dict(zip(names, arrays, strict=True))
    refuse_unequal(named)
    found = {library_of(value) for value in arrays}
    if found == {"numpy"}:
        return _numpy_backend_for(named)
    if found == {"torch"}:
        return _torch_backend_for(named)
    if found == {"cupy"}:
        return _cupy_backend_for(named)
    raise refusal(named)


def _numpy_backend_for(arrays: dict[str, Array]) -> tuple[Any, list[Any]]:
    converted = {name: numpy_array(name, value) for name, value in arrays.items()}
    # Lists and integers have no floating dtype of their own: they adapt to the arrays that have one.
    own = {
        name: array.dtype
        for name, array in converted.items()
        if array.dtype.kind not in "iub" and not isinstance(arrays[name], (list, tuple))
    }
    result_dtype = common_dtype(own, default=FLOAT64)
    dtype = FLOAT64 if result_dtype == FLOAT64 else FLOAT32
    on = NUMPY_BACKENDS[dtype] if dtype == result_dtype else NumpyBackend(dtype, result_dtype)
    with np.errstate(over="ignore"):
        # Loops read numbers in place, with any strides, but aligned.
        return on, [np.require(array, dtype, "A") for array in converted.values()]


def _torch_backend_for(arrays: dict[str, Array]) -> tuple[Any, list[Any]]:
    tensors, result_dtype = torch_tensors(arrays)
    refuse_traced(arrays)
    return backend_of_tensors(arrays, tensors, result_dtype)


def backend_of_tensors(names: Iterable[str], tensors: Sequence[Any], result_dtype: Any) -> tuple[Any, list[Any]]:
    """The backend for tensors that `torch_tensors` made, and the tensors as it computes with them.

    All but the first one may be None, which stays what it is.
    """
    first = tensors[0]
    if not libraries.is_cuda(first):
        views = []
        for tensor in tensors:
            view = None
            if tensor is not None:
                # Also without its graph, and without the mark of numbers that are the negative of those in memory.
                view = tensor.numpy(force=True)
                if not view.flags.aligned:
                    view = view.copy()
            views.append(view)
        return torch_cpu_backend(first.dtype, result_dtype), views

    def words() -> str:
        return describe({name: tensor for name, tensor in zip(names, tensors, strict=True) if tensor is not None})

    gpu = gpu_package()
    on = gpu.torch_backend(gpu.require_cupy(words), first.device, first.dtype, result_dtype)
    return on, [None if tensor is None else _readable(tensor.detach()) for tensor in tensors]


def _readable(tensor: Any) -> Any:
    """The tensor, or a copy if its memory does not hold its values as loops read them."""
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    return tensor.clone() if tensor.data_ptr() % tensor.element_size() else tensor


def _cupy_backend_for(arrays: dict[str, Array]) -> tuple[Any, list[Any]]:
    gpu = gpu_package()
    cupy = gpu.require_cupy(lambda: describe(arrays))
    devices = {array.device.id for array in arrays.values()}
    if len(devices) > 1:
        raise TypeError(f"arrays of one call must be on one device, got {describe(arrays)}")
    for name, array in arrays.items():
        if not (array.dtype.kind in "iub" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)):
            raise TypeError(f"{name} must be an array of real numbers, at most float64, got dtype {array.dtype}")
    own = {name: array.dtype for name, array in arrays.items() if array.dtype.kind == "f"}
    result_dtype = common_dtype(own, default=FLOAT64)
    dtype = FLOAT64 if result_dtype == FLOAT64 else FLOAT32
    on = gpu.cupy_backend(cupy, devices.pop(), dtype, result_dtype)
    with on.current():
        return on, [_aligned(array.astype(dtype, copy=False)) for array in arrays.values()]


def _cupy_backend_of_plain(arrays: Sequence[Any]) -> Any:
    """The way that nearly every call with CuPy takes: arrays of one format on one device. None if these are others."""
    cupy = sys.modules.get("cupy")
    plain, dtype, device = getattr(cupy, "ndarray", None), None, -1
    for array in arrays:
        if type(array) is not plain:
            return None
        data = array.data
        if dtype is None:
            dtype, device = array.dtype, data.device_id
        elif array.dtype is not dtype or data.device_id != device:
            return None
        if data.ptr % dtype.itemsize:
            return None
    if dtype is FLOAT64 or dtype is FLOAT32:
        return gpu_package().cupy_backend(cupy, device, dtype, dtype)
    return None


def _aligned(array: Any) -> Any:
    """The CuPy array, or a copy if its memory does not hold numbers as loops read them."""
    return array.copy() if array.data.ptr % array.itemsize else array


@cache
def gpu_package() -> Any:
    """`_gpu.backends`, which is only loaded when arrays on a GPU come in."""
    from .._gpu import backends

    return backends


# What guests, which import this module, do in place of `widened`.
WIDENED: dict[str, Callable[..., Any]] = {}


def widened(**arrays: Array) -> tuple[Any, ...]:
    """A function that makes a result what the caller's arrays were, and the arrays in the dtype that loops use.

    For operations made of others, which must not round in between. Tensors keep their graph.
    """
    if any(library_of(array) == "torch" for array in arrays.values()):
        tensors, dtype = torch_tensors(arrays)
        return (lambda result: result.to(dtype), *tensors)
    try:
        on, *given = backend_for(**arrays)
    except JaxArraysError:
        found, wanted = jax_arrays(arrays)
        return (lambda result: in_dtype(result, wanted), *found)
    except DaskArraysError:
        return WIDENED["dask"](**arrays)

    def back(result: Array) -> Array:
        with on.current(), np.errstate(over="ignore"):
            return on.result(on.xp.asarray(result, on.dtype))

    return (back, *given)


def numbers_for(on: Any, numbers: Any) -> Any:
    """A tuple of numbers, or a tensor of them, as loops take them.

    That is a NumPy array of float64; on a GPU it may be a view of the tensor, which must be on the same device then.
    """
    if type(numbers) is tuple:
        return np.array(numbers, np.float64)
    if library_of(numbers) != "torch":
        return numbers
    numbers = numbers.detach()
    if not libraries.is_cuda(numbers):
        return numbers.numpy()
    if (numbers.device.index or 0) != on.device:
        raise TypeError(f"parameters of the static kernel are on {numbers.device}, and the paths are not")
    return on.from_torch(numbers)
