"""THE dispatch: from the arrays of a call to the kernels, the views that kernels read, and where results are born.

Requirements. The arrays that come in decide: results belong to the same library, dtype and device. No framework is imported here: an
object can only be a torch tensor if torch is already in `sys.modules`. GPU arrays are never moved to the CPU silently. Whatever NumPy can
turn into a float array (lists, integers) counts as NumPy. Nothing is converted back: results are allocated in the caller's library
and kernels write through views.

    on, path, derivs = backend_for(path=path, derivs=derivs)
    out = on.empty(path.shape)
    on.kernels.signature.sig_backprop(on.view(path), ..., on.view(out), ...)
    return on.result(out)
"""

import sys
from functools import lru_cache
from typing import Any

import numpy as np

from . import _cpu

_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)


@lru_cache(maxsize=256)
def library_of(cls: type) -> str:
    """ "torch", "cupy" or "numpy": the library whose arrays `cls` belongs to; everything unknown is NumPy's to judge."""
    for library, array_name in (("torch", "Tensor"), ("cupy", "ndarray")):
        module = sys.modules.get(library)
        array_class = getattr(module, array_name, None)
        if array_class is not None and issubclass(cls, array_class):
            return library
    return "numpy"


class NumpyBackend:
    """NumPy arrays: computed in `dtype` (float32 or float64), returned in `result_dtype`."""

    library = "numpy"

    def __init__(self, dtype: np.dtype, result_dtype: np.dtype) -> None:
        self.dtype = dtype
        self.result_dtype = result_dtype
        self.kernels = _cpu.kernels[dtype.name]

    def empty(self, shape: tuple[int, ...]) -> Any:
        return np.empty(shape, self.dtype)

    def view(self, array: Any) -> Any:
        """What the kernels read or write: the same memory."""
        return array

    def result(self, array: Any) -> Any:
        """The array in the dtype that the caller's arrays had."""
        return array if self.dtype is self.result_dtype else array.astype(self.result_dtype)


_NUMPY_BACKENDS = {dtype: NumpyBackend(dtype, dtype) for dtype in (_FLOAT32, _FLOAT64)}


def _numpy_array(name: str, value: Any) -> tuple[np.ndarray, bool]:
    """`value` as an array with a real floating dtype, and whether the dtype was its own (an integer or list adapts to others)."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill or drop the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be turned into an array: {error}") from None
    kind = array.dtype.kind
    if kind in "iub":
        return array.astype(np.float64), False
    if kind == "f" and array.dtype.itemsize <= 8 or array.dtype.name == "bfloat16":
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        return array, isinstance(value, np.ndarray)
    raise TypeError(f"{name} must be an array of real numbers (float32, float64 or smaller), got dtype {array.dtype} ({type(value).__name__})")


def _numpy_backend_for(arrays: dict[str, Any]) -> tuple[Any, ...]:
    own: dict[str, np.dtype] = {}
    converted: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        converted[name], has_own_dtype = _numpy_array(name, value)
        if has_own_dtype:
            own[name] = converted[name].dtype
    if len(set(own.values())) > 1:
        raise TypeError("arrays of one call must share a dtype, got " + ", ".join(f"{n}: {d}" for n, d in own.items()))
    result_dtype = next(iter(own.values()), _FLOAT64)
    dtype = _FLOAT64 if result_dtype == _FLOAT64 else _FLOAT32
    on = _NUMPY_BACKENDS[dtype] if dtype == result_dtype else NumpyBackend(dtype, result_dtype)
    # Alignment: the kernels read numbers in place, whatever the strides.
    return (on, *(np.require(array, dtype, "A") for array in converted.values()))


class TorchCpuBackend:
    """Torch tensors in main memory: kernels see them as NumPy views, results are torch's own tensors."""

    library = "torch"

    def __init__(self, torch: Any, dtype: Any, result_dtype: Any) -> None:
        self._torch = torch
        self.dtype = dtype
        self.result_dtype = result_dtype
        self.kernels = _cpu.kernels["float64" if dtype is torch.float64 else "float32"]

    def empty(self, shape: tuple[int, ...]) -> Any:
        return self._torch.empty(shape, dtype=self.dtype)

    def view(self, array: Any) -> Any:
        return array.detach().numpy()

    def result(self, array: Any) -> Any:
        return array if self.dtype is self.result_dtype else array.to(self.result_dtype)


@lru_cache(maxsize=8)
def _torch_cpu_backend(dtype: Any, result_dtype: Any) -> TorchCpuBackend:
    return TorchCpuBackend(sys.modules["torch"], dtype, result_dtype)


def _torch_backend_for(arrays: dict[str, Any]) -> tuple[Any, ...]:
    torch = sys.modules["torch"]
    tensors: dict[str, Any] = {}
    for name, value in arrays.items():
        if library_of(type(value)) != "torch":
            raise TypeError(f"arrays of one call must come from one library, got {_describe(arrays)}")
        if value.layout is not torch.strided:
            raise TypeError(f"{name} must be a dense tensor, got layout {value.layout}")
        if value.is_complex():
            raise TypeError(f"{name} must be a tensor of real numbers, got dtype {value.dtype}")
        tensors[name] = value
    devices = {tensor.device for tensor in tensors.values()}
    if len(devices) > 1:
        raise TypeError(f"tensors of one call must be on one device, got {', '.join(f'{n}: {t.device}' for n, t in tensors.items())}")
    if devices.pop().type != "cpu":
        _refuse_device(arrays)
    own = {name: tensor.dtype for name, tensor in tensors.items() if tensor.dtype.is_floating_point}
    if len(set(own.values())) > 1:
        raise TypeError("tensors of one call must share a dtype, got " + ", ".join(f"{n}: {d}" for n, d in own.items()))
    result_dtype = next(iter(own.values()), torch.get_default_dtype())
    dtype = torch.float64 if result_dtype is torch.float64 else torch.float32
    on = _torch_cpu_backend(dtype, result_dtype)
    return (on, *(tensor.detach().to(dtype).resolve_neg() for tensor in tensors.values()))


def _describe(arrays: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {type(value).__module__}.{type(value).__name__}" for name, value in arrays.items())


def _refuse_device(arrays: dict[str, Any]) -> None:
    raise TypeError(f"siglib runs on CPU arrays so far: move them to the CPU first; got {_describe(arrays)}")


def backend_for(**arrays: Any) -> tuple[Any, ...]:
    """The backend for these arrays, and the arrays as it computes with them, in the order given.

    Raises TypeError for arrays of several libraries, devices or dtypes, and for what is no array of real numbers.
    """
    dtype = None
    for value in arrays.values():
        if type(value) is not np.ndarray or not value.flags.aligned:
            break
        if dtype is None:
            dtype = value.dtype
        elif value.dtype is not dtype:
            break
    else:
        # The way that nearly every NumPy call takes: plain arrays of one native dtype.
        on = _NUMPY_BACKENDS.get(dtype) if dtype.isnative else None
        if on is not None:
            return (on, *arrays.values())
    libraries = {library_of(type(value)) for value in arrays.values()}
    if "cupy" in libraries:
        _refuse_device(arrays)
    if "torch" in libraries:
        return _torch_backend_for(arrays)
    return _numpy_backend_for(arrays)
