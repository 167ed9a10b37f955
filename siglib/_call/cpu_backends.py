"""The backends for arrays in main memory: loops, views that loops read, and where results are born.

Nothing is copied back: loops write to memory that the caller gets. A tensor in main memory is a NumPy array from the
dispatch to the result, a second name for the same memory, as NumPy is by far the quicker one to ask and to reshape.
"""

import math
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from .. import _cpu
from .formats import FLOAT64, FORMATS
from .libraries import Array

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
        return self if self.dtype is FLOAT64 else _numpy_double(self.result_dtype)

    def result(self, array: Any) -> Array:
        """The array in the dtype that the caller's arrays had."""
        if self.dtype is self.result_dtype:
            return array
        with np.errstate(over="ignore"):
            return array.astype(self.result_dtype)


NUMPY_BACKENDS: dict[Any, NumpyBackend] = {dtype: NumpyBackend(dtype, dtype) for dtype in FORMATS}


def numpy_backend(dtype: Any) -> NumpyBackend:
    """The backend for arrays of one of the dtypes of loops."""
    return NUMPY_BACKENDS[dtype]


@lru_cache(maxsize=16)
def _numpy_double(result_dtype: Any) -> NumpyBackend:
    return NumpyBackend(FLOAT64, result_dtype)


class TorchCpuBackend(_CpuBackend):
    changes_results = True

    def __init__(self, dtype: Any, result_dtype: Any) -> None:
        super().__init__(dtype, result_dtype)
        self._from_numpy = sys.modules["torch"].from_numpy

    def double(self) -> Any:
        return torch_cpu_backend(sys.modules["torch"].float64, self.result_dtype)

    def given(self, array: Any) -> Array:
        return self._from_numpy(array) if type(array) is np.ndarray else array

    def result(self, array: Any) -> Array:
        """A tensor of the dtype that the caller's tensors had."""
        tensor = self._from_numpy(array) if type(array) is np.ndarray else array
        return tensor if tensor.dtype is self.result_dtype else tensor.to(self.result_dtype)


@lru_cache(maxsize=16)
def torch_cpu_backend(dtype: Any, result_dtype: Any) -> TorchCpuBackend:
    return TorchCpuBackend(dtype, result_dtype)


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
