"""Arrays of NumPy, torch and JAX in one of the two formats that loops know, float32 and float64.

Whatever NumPy can turn into an array of real numbers (lists, integers) counts as NumPy. Half precision is computed in
float32. Lists and integers adapt to the arrays of a call that have a floating dtype.
"""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from .array_likes import is_table, numbers_of_table, refusal_of_lengths, refusal_of_list
from .libraries import Array, describe, device_of, library_of, refusal, refuse_unequal
from .tracing import loaded_jax

FLOAT64 = np.dtype(np.float64)
FLOAT32 = np.dtype(np.float32)
FORMATS = (FLOAT32, FLOAT64)  # what loops compute in
_NATIVE_ENDIAN = {"little": "<", "big": ">"}[sys.byteorder]


def numpy_array(name: str, value: Any) -> np.ndarray:
    """`value` as an array of real numbers in native byte order; not yet in a format of the loops."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill or drop the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        reason = refusal_of_list(name, value) if isinstance(value, (list, tuple)) else None
        raise reason or ValueError(f"{name} cannot be turned into an array: {error}") from None
    dtype = array.dtype
    if dtype.kind in "iub":
        return array
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return array.astype(dtype.newbyteorder("=")) if dtype.byteorder not in ("=", _NATIVE_ENDIAN) else array
    if dtype.name == "bfloat16":
        return array
    if is_table(value):
        return numbers_of_table(name, value)
    if dtype.kind == "O" and array.ndim == 1 and (reason := refusal_of_list(name, array)):
        raise reason
    raise TypeError(
        f"{name} must be an array of real numbers, at most float64, got dtype {dtype} (from {type(value).__name__})"
    )


def kernel_dtype(torch: Any, tensors: Iterable[Any]) -> Any:
    """The dtype of plain tensors of one format of the loops on one device, which most calls have; or None.

    None among the tensors, behind the first one, is left out.
    """
    dtype, is_cpu, device, plain, strided = None, True, None, torch.Tensor, torch.strided
    for tensor in tensors:
        if tensor is None and dtype is not None:
            continue
        if type(tensor) is not plain and type(tensor) is not torch.nn.Parameter:
            return None
        if tensor.layout is not strided or tensor.is_nested:
            return None
        if dtype is None:
            dtype, is_cpu = tensor.dtype, tensor.is_cpu
            if not is_cpu:
                if not tensor.is_cuda:
                    return None
                device = tensor.device
        elif tensor.dtype is not dtype or tensor.is_cpu is not is_cpu or (not is_cpu and tensor.device != device):
            return None
    return dtype if dtype is torch.float64 or dtype is torch.float32 else None


def torch_tensors(arrays: dict[str, Array]) -> tuple[list[Any], Any]:
    """The tensors in the format that loops compute in, with their autograd graph, and the dtype of the result.

    None stays what it is, behind the first tensor. Raises what `backend_for` raises for tensors. Looks at no values: it
    works for traced tensors too.
    """
    torch = sys.modules["torch"]
    given = list(arrays.values())
    dtype = kernel_dtype(torch, given)
    if dtype is not None:
        return given, dtype
    arrays = {name: value for name, value in arrays.items() if value is not None}
    for name, value in arrays.items():
        if library_of(value) != "torch":
            refuse_unequal(arrays)
            raise refusal(arrays)
        if value.is_nested:
            lengths = [part.shape[0] for part in value.unbind()]
            raise refusal_of_lengths(f"{name} is a nested tensor of paths", lengths)
        if value.layout is not torch.strided or value.is_quantized:
            raise TypeError(f"{name} must be a dense tensor, got layout {value.layout}, dtype {value.dtype}")
        if value.is_complex():
            raise TypeError(f"{name} must be a tensor of real numbers, got dtype {value.dtype}")
    if not all(tensor.is_cpu for tensor in arrays.values()):
        devices = {str(tensor.device) for tensor in arrays.values()}
        if len(devices) > 1:
            raise TypeError(f"tensors of one call must be on one device, got {describe(arrays)}")
        if not devices.pop().startswith("cuda"):
            raise TypeError(f"siglib computes on the CPU and on CUDA devices, got {describe(arrays)}")
    own = {name: tensor.dtype for name, tensor in arrays.items() if tensor.dtype.is_floating_point}
    result_dtype = common_dtype(own, default=torch.get_default_dtype())
    if result_dtype is torch.float64 or result_dtype is torch.float32:
        dtype = result_dtype
    elif result_dtype is torch.float16 or result_dtype is torch.bfloat16:
        dtype = torch.float32
    else:
        raise TypeError(f"tensors must be float16, bfloat16, float32 or float64, got {result_dtype}")
    return [tensor if tensor is None or tensor.dtype is dtype else tensor.to(dtype) for tensor in given], result_dtype


def jax_arrays(arrays: dict[str, Array]) -> tuple[list[Any], Any]:
    """Arrays of JAX in the format that loops compute in, and the dtype of the result.

    Those of NumPy, and lists, adapt to the dtype of the others, as they do in JAX.
    """
    jax = loaded_jax()
    if jax is None or any(library_of(value) not in ("jax", "numpy") for value in arrays.values()):
        raise refusal(arrays)
    found = {name: value if library_of(value) == "jax" else numpy_array(name, value) for name, value in arrays.items()}
    own = {}
    for name, value in found.items():
        if not (jax.numpy.issubdtype(value.dtype, np.floating) or value.dtype.kind in "iub"):
            raise TypeError(f"{name} must be an array of real numbers, got dtype {value.dtype}")
        if value is arrays[name] and library_of(value) == "jax" and value.dtype.kind not in "iub":
            own[name] = value.dtype
    dtype = common_dtype(own, default=jax.numpy.result_type(float))
    kernel_dtype = dtype if dtype in FORMATS else FLOAT32
    return [in_dtype(jax.numpy.asarray(value), kernel_dtype) for value in found.values()], dtype


def in_dtype(array: Array, dtype: Any) -> Array:
    """An array of JAX, in this dtype."""
    return array if array.dtype == dtype else array.astype(dtype)


def as_double(array: Array) -> Array:
    """An array of any library, or a view that loops read, in float64; with its graph, and itself if it is that."""
    if library_of(array) == "torch":
        return array.double()
    if library_of(array) == "jax":
        # JAX has no float64 but by jax_enable_x64.
        return in_dtype(array, loaded_jax().numpy.result_type(float)) if array.dtype == FLOAT32 else array
    with device_of(array):
        return array.astype(FLOAT64, copy=False)


def common_dtype(dtypes: dict[str, Any], default: Any) -> Any:
    if len(set(dtypes.values())) > 1:
        raise TypeError(
            "arrays of one call must share a dtype, got " + ", ".join(f"{name}: {d}" for name, d in dtypes.items())
        )
    return next(iter(dtypes.values()), default)
