"""THE dispatch: from the arrays of a call to the loops, the views that loops read, and where results are born.

Requirements. The arrays that come in decide: results belong to the same library, dtype and device. No framework is
imported here: an object can only be a torch tensor if torch is already in `sys.modules`. GPU arrays are never moved
to the CPU silently. Whatever NumPy can turn into an array of real numbers (lists, integers) counts as NumPy.
Nothing is copied back: loops write to memory that the caller gets. A tensor in main memory is a NumPy array from the
dispatch to the result, a second name for the same memory, as NumPy is by far the quicker one to ask and to reshape.
Loops know two formats, float32 and float64; half precision is computed in float32. An operation that would lose too
many digits in float32 takes `on.double()` for its work.

    on, path, derivs = backend_for(path=path, derivs=derivs)   # arrays of one library, one device, one format
    out = on.empty(path.shape)
    on.loops.path.transform_path_backprop(on.view(derivs), on.view(out), ...)
    return on.result(out)
"""

import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import cache, lru_cache
from typing import Any, TypeAlias

import numpy as np

from .. import _cpu
from .array_likes import (
    LazyPaths,
    Ragged,
    UnequalLengthsError,
    is_table,
    numbers_of_table,
    packed_lengths,
    refusal_of_lengths,
    refusal_of_list,
    refusal_of_series,
    refusal_of_shapes,
)
from .tracing import loaded_jax, loaded_torch, refuse_traced

# An array of any supported library, or what NumPy can turn into one.
Array: TypeAlias = Any

_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)
_NATIVE_ENDIAN = {"little": "<", "big": ">"}[sys.byteorder]


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
        on = _NUMPY_BACKENDS.get(dtype)
        if on is not None:
            return on, arrays
    on = _cupy_backend_of_plain(arrays)
    if on is not None:
        return on, arrays
    named = dict(zip(names, arrays, strict=True))
    _refuse_unequal(named)
    libraries = {library_of(value) for value in arrays}
    if libraries == {"numpy"}:
        return _numpy_backend_for(named)
    if libraries == {"torch"}:
        return _torch_backend_for(named)
    if libraries == {"cupy"}:
        return _cupy_backend_for(named)
    raise refusal(named)


class DaskArraysError(TypeError):
    """Some arrays of a call are Dask's: for `dask.py`, which does not go through here, and an error for all others."""


class JaxArraysError(TypeError):
    """Some arrays of a call are JAX's: for `jax.py`, which does not go through here, and an error for all others."""


def _refuse_unequal(arrays: dict[str, Array]) -> None:
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


def refuse_dask(**arrays: Array) -> None:
    """DaskArraysError for arrays of Dask, by functions that have no blocks."""
    if any(library_of(array) == "dask" for array in arrays.values()):
        raise refusal(arrays)


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
    return TypeError(f"arrays of one call must come from one library, got {_describe(arrays)}")


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


def as_double(array: Array) -> Array:
    """An array of any library, or a view that loops read, in float64; with its graph, and itself if it is that."""
    if library_of(array) == "torch":
        return array.double()
    if library_of(array) == "jax":
        # JAX has no float64 but by jax_enable_x64.
        return in_dtype(array, loaded_jax().numpy.result_type(float)) if array.dtype == _FLOAT32 else array
    with device_of(array):
        return array.astype(_FLOAT64, copy=False)


def as_dtype_of(array: Array, like: Array) -> Array:
    """An array in the dtype of another one of its library."""
    return array.to(like.dtype) if library_of(array) == "torch" else array.astype(like.dtype, copy=False)


def has_own_dtype(array: Array) -> bool:
    """Whether an array has a floating dtype; lists and integers adapt to the arrays of a call that have one."""
    if isinstance(array, (list, tuple)):
        return False
    dtype = getattr(array, "dtype", None)
    return getattr(dtype, "is_floating_point", getattr(dtype, "kind", "f") not in "iub")


def namespace_of(array: Array) -> Any:
    """The module with the functions for this array: numpy, cupy, torch, jax.numpy or dask.array."""
    library = library_of(array)
    return sys.modules[{"jax": "jax.numpy", "dask": "dask.array"}.get(library, library)]


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


def numbers_for(on: Any, numbers: Any) -> Any:
    """A tuple of numbers, or a tensor of them, as loops take them.

    That is a NumPy array of float64; on a GPU it may be a view of the tensor, which must be on the same device then.
    """
    if type(numbers) is tuple:
        return np.array(numbers, np.float64)
    if library_of(numbers) != "torch":
        return numbers
    numbers = numbers.detach()
    if not _is_on_gpu(numbers):
        return numbers.numpy()
    if (numbers.device.index or 0) != on.device:
        raise TypeError(f"parameters of the static kernel are on {numbers.device}, and the paths are not")
    return on.from_torch(numbers)


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


def on_host(array: Array) -> np.ndarray:
    """The array in main memory, as NumPy's; without its graph."""
    library = library_of(array)
    if library == "torch":
        return array.detach().cpu().numpy()
    return array.get() if library == "cupy" else array


def is_on_gpu(array: Array) -> bool:
    """Whether looking at a number of this array means waiting for a GPU."""
    return library_of(array) == "cupy" or (library_of(array) == "torch" and _is_on_gpu(array))


def device_of(array: Array) -> Any:
    """A context in which arithmetic with this array is done on its device."""
    return array.device if library_of(array) == "cupy" else nullcontext()


_NOTHING = {(n, dtype): np.empty((0,) * n, dtype) for n in (1, 2) for dtype in ("float32", "float64")}


class _CpuBackend:
    """What NumPy arrays and torch tensors in main memory have in common: loops, and constants made on the host.

    The backends for arrays on a GPU, with the same methods, are in `_gpu/backends.py`.
    """

    xp = np  # the module whose arrays `view` gives
    solves_by_levels = False  # which tables the loops of log-signatures take
    block_bytes = 2**20  # how much a call of several loops hands from one to the next at a time: what a cache holds
    can_look = True  # whether looking at a number means no waiting
    changes_results = False  # whether `result` does anything
    device = None  # number of the GPU
    _current = nullcontext()

    def __init__(self, dtype: Any, result_dtype: Any) -> None:
        self.dtype = dtype  # what the loops compute in: float32 or float64 of the caller's library
        self.result_dtype = result_dtype  # what the caller gets
        self.dtype_name = str(dtype).removeprefix("torch.")
        self.view_dtype = np.dtype(self.dtype_name)
        self.loops = _cpu.loops[self.dtype_name]

    def current(self) -> Any:
        """A context for arithmetic with views."""
        return self._current

    def double(self) -> Any:
        """The backend that computes in float64 what this one does, with the same results' dtype."""
        raise NotImplementedError

    def constant(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, a table that loops read, where they can read it. `function` caches what it returns."""
        return function(*args)

    def from_host(self, array: np.ndarray) -> Any:
        """An array in main memory where loops can read it, for this call."""
        return array

    def nothing(self, shape: tuple[int, ...], dtype: str) -> Any:
        """What stands for an array that loops do not read, of so many axes."""
        return _NOTHING[len(shape), dtype]

    def scratch(self, shape: tuple[int, ...]) -> Any:
        """Memory for what one function hands to the next, as `view` gives arrays; uninitialised."""
        return np.empty(shape, self.view_dtype)

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Memory for a result; uninitialised."""
        try:
            array = np.empty(shape, self.view_dtype)
        except (MemoryError, ValueError):
            _refuse_size(shape, self.view_dtype)
            raise
        if array.nbytes > _MEMORY:
            _refuse_size(shape, self.view_dtype)
        return array

    def view(self, array: Any) -> Any:
        """What loops read or write: the array itself."""
        return array

    def given(self, array: Any) -> Array:
        """An array as one of the caller's library, of the same memory."""
        return array

    def from_torch(self, tensor: Any) -> Any:
        """The same for tensors, whatever library the call is of."""
        return tensor.numpy()

    def rows(self, array: Array, n_axes: int = 1) -> Any:
        """`array` for loops, C-contiguous, its last `n_axes` axes made one and its batch axes made one.

        The same memory if it was C-contiguous.
        """
        view = np.ascontiguousarray(array)
        if n_axes == 1 and 0 < view.ndim <= 2:
            return view if view.ndim == 2 else view[None]
        shape = view.shape
        if len(shape) == n_axes + 1:
            return view.reshape(shape[0], math.prod(shape[1:]))
        return view.reshape(math.prod(shape[:-n_axes]), math.prod(shape[-n_axes:]))

    def paths(self, array: Array) -> Any:
        """`array` of shape (..., length, dimension) for loops, its batch axes made one; of any strides."""
        if array.ndim <= 3:
            return array if array.ndim == 3 else array[None]
        shape = array.shape
        return array.reshape(math.prod(shape[:-2]), shape[-2], shape[-1])


class NumpyBackend(_CpuBackend):
    def __init__(self, dtype: Any, result_dtype: Any) -> None:
        super().__init__(dtype, result_dtype)
        self.changes_results = dtype is not result_dtype

    def double(self) -> Any:
        return self if self.dtype is _FLOAT64 else _numpy_double(self.result_dtype)

    def result(self, array: Any) -> Array:
        """The array in the dtype that the caller's arrays had."""
        if self.dtype is self.result_dtype:
            return array
        with np.errstate(over="ignore"):
            return array.astype(self.result_dtype)


_NUMPY_BACKENDS: dict[Any, NumpyBackend] = {dtype: NumpyBackend(dtype, dtype) for dtype in (_FLOAT32, _FLOAT64)}


def numpy_backend(dtype: Any) -> NumpyBackend:
    """The backend for arrays of one of the dtypes of loops."""
    return _NUMPY_BACKENDS[dtype]


@lru_cache(maxsize=16)
def _numpy_double(result_dtype: Any) -> NumpyBackend:
    return NumpyBackend(_FLOAT64, result_dtype)


def _numpy_backend_for(arrays: dict[str, Array]) -> tuple[Any, list[Any]]:
    converted = {name: numpy_array(name, value) for name, value in arrays.items()}
    # Lists and integers have no floating dtype of their own: they adapt to the arrays that have one.
    own = {
        name: array.dtype
        for name, array in converted.items()
        if array.dtype.kind not in "iub" and not isinstance(arrays[name], (list, tuple))
    }
    result_dtype = _common_dtype(own, default=_FLOAT64)
    dtype = _FLOAT64 if result_dtype == _FLOAT64 else _FLOAT32
    on = _NUMPY_BACKENDS[dtype] if dtype == result_dtype else NumpyBackend(dtype, result_dtype)
    with np.errstate(over="ignore"):
        # Loops read numbers in place, with any strides, but aligned.
        return on, [np.require(array, dtype, "A") for array in converted.values()]


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


class TorchCpuBackend(_CpuBackend):
    changes_results = True

    def __init__(self, dtype: Any, result_dtype: Any) -> None:
        super().__init__(dtype, result_dtype)
        self._from_numpy = sys.modules["torch"].from_numpy

    def double(self) -> Any:
        return _torch_cpu_backend(sys.modules["torch"].float64, self.result_dtype)

    def given(self, array: Any) -> Array:
        return self._from_numpy(array) if type(array) is np.ndarray else array

    def result(self, array: Any) -> Array:
        """A tensor of the dtype that the caller's tensors had."""
        tensor = self._from_numpy(array) if type(array) is np.ndarray else array
        return tensor if tensor.dtype is self.result_dtype else tensor.to(self.result_dtype)


@lru_cache(maxsize=16)
def _torch_cpu_backend(dtype: Any, result_dtype: Any) -> TorchCpuBackend:
    return TorchCpuBackend(dtype, result_dtype)


def _torch_backend_for(arrays: dict[str, Array]) -> tuple[Any, list[Any]]:
    tensors, result_dtype = torch_tensors(arrays)
    refuse_traced(arrays)
    return backend_of_tensors(arrays, tensors, result_dtype)


def backend_of_tensors(names: Iterable[str], tensors: Sequence[Any], result_dtype: Any) -> tuple[Any, list[Any]]:
    """The backend for tensors that `torch_tensors` made, and the tensors as it computes with them.

    All but the first one may be None, which stays what it is.
    """
    first = tensors[0]
    if not _is_on_gpu(first):
        views = []
        for tensor in tensors:
            view = None
            if tensor is not None:
                # Also without its graph, and without the mark of numbers that are the negative of those in memory.
                view = tensor.numpy(force=True)
                if not view.flags.aligned:
                    view = view.copy()
            views.append(view)
        return _torch_cpu_backend(first.dtype, result_dtype), views

    def describe() -> str:
        return _describe({name: tensor for name, tensor in zip(names, tensors, strict=True) if tensor is not None})

    gpu = gpu_package()
    on = gpu.torch_backend(gpu.require_cupy(describe), first.device, first.dtype, result_dtype)
    return on, [None if tensor is None else _readable(tensor.detach()) for tensor in tensors]


def _is_on_gpu(tensor: Any) -> bool:
    return tensor.is_cuda


def _readable(tensor: Any) -> Any:
    """The tensor, or a copy if its memory does not hold its values as loops read them."""
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    return tensor.clone() if tensor.data_ptr() % tensor.element_size() else tensor


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
            _refuse_unequal(arrays)
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
            raise TypeError(f"tensors of one call must be on one device, got {_describe(arrays)}")
        if not devices.pop().startswith("cuda"):
            raise TypeError(f"siglib computes on the CPU and on CUDA devices, got {_describe(arrays)}")
    own = {name: tensor.dtype for name, tensor in arrays.items() if tensor.dtype.is_floating_point}
    result_dtype = _common_dtype(own, default=torch.get_default_dtype())
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
    dtype = _common_dtype(own, default=jax.numpy.result_type(float))
    kernel_dtype = dtype if dtype in _NUMPY_BACKENDS else _FLOAT32
    return [in_dtype(jax.numpy.asarray(value), kernel_dtype) for value in found.values()], dtype


def in_dtype(array: Array, dtype: Any) -> Array:
    """An array of JAX, in this dtype."""
    return array if array.dtype == dtype else array.astype(dtype)


def _common_dtype(dtypes: dict[str, Any], default: Any) -> Any:
    if len(set(dtypes.values())) > 1:
        raise TypeError(
            "arrays of one call must share a dtype, got " + ", ".join(f"{name}: {d}" for name, d in dtypes.items())
        )
    return next(iter(dtypes.values()), default)


def _describe(arrays: dict[str, Array]) -> str:
    """Names, types and, where they have one, devices of the arrays of a call, for messages."""
    words = []
    for name, value in arrays.items():
        device = getattr(value, "device", None)
        words.append(f"{name}: {type(value).__module__}.{type(value).__name__}" + (f" on {device}" if device else ""))
    return ", ".join(words)


def _cupy_backend_for(arrays: dict[str, Array]) -> tuple[Any, list[Any]]:
    gpu = gpu_package()
    cupy = gpu.require_cupy(lambda: _describe(arrays))
    devices = {array.device.id for array in arrays.values()}
    if len(devices) > 1:
        raise TypeError(f"arrays of one call must be on one device, got {_describe(arrays)}")
    for name, array in arrays.items():
        if not (array.dtype.kind in "iub" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)):
            raise TypeError(f"{name} must be an array of real numbers, at most float64, got dtype {array.dtype}")
    own = {name: array.dtype for name, array in arrays.items() if array.dtype.kind == "f"}
    result_dtype = _common_dtype(own, default=_FLOAT64)
    dtype = _FLOAT64 if result_dtype == _FLOAT64 else _FLOAT32
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
    if dtype is _FLOAT64 or dtype is _FLOAT32:
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


def _memory_of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**63


_MEMORY = _memory_of_machine()


def _refuse_size(shape: tuple[int, ...], dtype: Any) -> None:
    """Refuse what cannot fit: systems that overcommit memory grant it, and end the process that fills it."""
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > _MEMORY:
        raise MemoryError(
            f"a result of shape {tuple(shape)} needs {n_bytes / 2**30:.0f} GiB, more than this machine has"
        )
