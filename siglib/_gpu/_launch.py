"""Compiles CUDA functions and launches them. The only module that does.

    launch("path.cu", f"transform_path<{c_type(path)}>", grid, block, paths=..., out=out, size=out.size, end_time=1.0)

compiles this instantiation of a template in `cuda/path.cu` at first use, for the current device, and runs it on CuPy's
current stream. Whoever calls has made the arrays' device and the right stream the current ones (`_call/backend.py`).

What a call needs is compiled side by side: see `call`.

Arguments come by the names that the function has for them. They are pointers to numbers, `long long` and `double`: what
CuPy makes of arrays, Python's int and float; and structs by value, NumPy's scalars of a structured dtype
(`increments.py`). 0 stands for an array that is not there.
"""

import contextlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from . import _source
from .recording import Launch, Recorder, Struct

Size = int | tuple[int, ...]

# `SIGLIB_CUDA_OPTIONS` has more of them, such as -lineinfo for profilers.
OPTIONS = ("-std=c++17", *os.environ.get("SIGLIB_CUDA_OPTIONS", "").split())
MOST_BLOCKS = (2**31 - 1, 65535, 65535)
# More shared memory than this, static and dynamic, must be asked for.
USUAL_SHARED = 48 << 10
# What of it is left for CUDA functions' own static arrays.
_STATIC_SHARED = 1 << 10

_C_TYPES = {"f": "float", "d": "double"}
_NAMES = {"f": "float32", "d": "float64"}
_kernels: dict[tuple[int, str, str], "_Kernel"] = {}
_shared: dict[tuple[int, str, str], int] = {}
_attributes: dict[tuple[int, str], int] = {}
_growing = threading.Lock()
_pack_address = struct.Struct("@P").pack


def cupy() -> Any:
    """The module; arrays of it came in, or `_call/backend.py` has looked for it."""
    import cupy

    return cupy


def functions() -> Any:
    """Those of `cupy` that make arrays, or what stands for them while a call is written down."""
    return cupy() if _calls.recorder is None else _calls.recorder.functions


def dtype_name(array: Any) -> str:
    """What NumPy calls the numbers of this array, "float64" or "float32"; NumPy itself takes a while to say so."""
    return _NAMES[array.dtype.char]


def c_type(array: Any) -> str:
    """What C++ calls the numbers of this array: "float" or "double"."""
    return _C_TYPES[array.dtype.char]


def empty(shape: Size, like: Any) -> Any:
    """Scratch memory in the dtype of `like`, on the current device and for its current stream."""
    recorder = _calls.recorder
    return cupy().ndarray(shape, like.dtype) if recorder is None else recorder.array(shape, like.dtype)


def struct_of(array: Any, rest: bytes, dtype: np.dtype) -> Any:
    """A struct that a CUDA function takes by value: the address of an array, and the bytes behind it."""
    if _calls.recorder is None:
        return np.frombuffer(_pack_address(array.data.ptr) + rest, dtype)[0]
    return Struct(array.place, rest, dtype)


def n_processors() -> int:
    """Number of multiprocessors of the current device."""
    return _attribute("MultiProcessorCount")


def most_shared() -> int:
    """Bytes of dynamic shared memory that one block may have on the current device."""
    return _attribute("MaxSharedMemoryPerBlockOptin") - _STATIC_SHARED


def memory_bytes() -> int:
    """Memory of the current device, whoever uses it."""
    device = cupy().cuda.runtime.getDevice()
    value = _attributes.get((device, "memory"))
    if value is None:
        value = _attributes[device, "memory"] = int(cupy().cuda.Device(device).mem_info[1])
    return value


def _attribute(name: str) -> int:
    device = cupy().cuda.runtime.getDevice()
    value = _attributes.get((device, name))
    if value is None:
        value = _attributes[device, name] = int(cupy().cuda.Device(device).attributes[name])
    return value


def refuse_while_capturing(what: str) -> None:
    """RuntimeError if CuPy's current stream is being captured into a graph, which would not hold what is done now."""
    if cupy().cuda.get_current_stream().is_capturing():
        raise RuntimeError(f"{what} in this call, which a CUDA graph cannot capture: make the same call once before")


def launch_each(n: int, file: str, name: str, threads: int = 256, /, **args: Any) -> None:
    """`launch` with a thread for each of n numbers, `threads` of them in a block."""
    launch(file, name, -(-n // threads), threads, **args)


class _Kernel(NamedTuple):
    run: Any
    in_order: Callable[[dict[str, Any]], tuple[Any, ...]]  # arguments by name, as the CUDA function takes them
    n_parameters: int
    usual_shared: int  # bytes of dynamic shared memory that need not be asked for


def launch(file: str, name: str, grid: Size, block: Size, shared: int = 0, /, **args: Any) -> None:
    """Run CUDA function `name`, an instantiation such as "fill<float, 2>", of `cuda/<file>`; nothing for an empty grid.

    `shared` is the dynamic shared memory of a block, in bytes; `args` are the function's arguments by its own names.
    """
    if type(grid) is int:
        grid = (grid,)
    if type(block) is int:
        block = (block,)
    for n_blocks, most in zip(grid, MOST_BLOCKS, strict=False):  # type: ignore[arg-type]
        if n_blocks == 0:
            return
        if n_blocks > most:
            raise ValueError(f"the batch is too large for one launch on the GPU: {n_blocks} blocks, at most {most}")
    if _calls.recorder is not None:
        _calls.recorder.launch(file, name, grid, block, shared, args)  # type: ignore[arg-type]
        return
    key = (cupy().cuda.runtime.getDevice(), file, name)
    kernel = _kernels.get(key)
    if _calls.listed is not None:
        if kernel is None:
            _calls.listed[key] = None
        return
    if kernel is None:
        refuse_while_capturing(f"{name} is compiled")
        if _calls.may_begin_again:
            raise _MissingKernelError
        kernel = _kernels[key] = built(file, name)
    in_order = _in_order(kernel, file, name, args)
    _ask_for_shared(key, kernel, shared)
    kernel.run(grid, block, in_order, shared_mem=shared)


def ready(launches: list[Launch]) -> list[tuple[Any, tuple[Any, ...]]]:
    """CUDA functions for the current device that may be launched so, and their arguments in order."""
    device = cupy().cuda.runtime.getDevice()
    missing = list(dict.fromkeys(key for launch in launches if (key := (device, *launch[:2])) not in _kernels))
    if missing:
        refuse_while_capturing(f"{missing[0][2]} is compiled")
        _compile_side_by_side(missing)
    found = []
    for launch in launches:
        key = (device, launch.file, launch.name)
        kernel = _kernels[key]
        # What CuPy itself calls behind a question for the device.
        found.append((kernel.run.kernel, _in_order(kernel, launch.file, launch.name, launch.args)))
        _ask_for_shared(key, kernel, launch.shared)
    return found


def _in_order(kernel: _Kernel, file: str, name: str, args: dict[str, Any]) -> tuple[Any, ...]:
    """Arguments by name as the CUDA function takes them."""
    try:
        in_order = kernel.in_order(args)
    except KeyError:
        raise _refusal(file, name, args) from None
    if len(args) > kernel.n_parameters:
        raise _refusal(file, name, args)
    return in_order


def _ask_for_shared(key: tuple[int, str, str], kernel: _Kernel, shared: int) -> None:
    if shared > kernel.usual_shared and shared > _shared.get(key, 0):
        # A property of the CUDA function on this device; it only grows, whichever thread is first.
        with _growing:
            if shared > _shared.get(key, 0):
                kernel.run.max_dynamic_shared_size_bytes = _shared[key] = shared


class _MissingKernelError(Exception):
    """A CUDA function has to be compiled."""


class _Calls(threading.local):
    may_begin_again = False
    recorder: Recorder | None = None  # while a call is only written down
    listed: dict[tuple[int, str, str], None] | None = None  # while functions are only listed, those that are missing


_calls = _Calls()


@contextlib.contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Nothing is launched in this thread, and there is no memory: `recorder` writes both down."""
    _calls.recorder = recorder
    try:
        yield
    finally:
        _calls.recorder = None


def call(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, which launches CUDA functions and may be called again: what it writes, it writes whole.

    It is called once more where functions are missing, and launches nothing then: these are compiled side by side,
    which takes the time of the slowest one. Calls within calls are part of the outermost one.
    """
    if _calls.may_begin_again or _calls.listed is not None:
        return function(*args)
    _calls.may_begin_again = True
    try:
        return function(*args)
    except _MissingKernelError:
        pass
    finally:
        _calls.may_begin_again = False
    _calls.listed = {}
    try:
        # Numbers that nobody has computed may be refused; the CUDA functions up to there are known.
        with contextlib.suppress(Exception):
            function(*args)
        missing = list(_calls.listed)
    finally:
        _calls.listed = None
    if len(missing) > 1:
        _compile_side_by_side(missing)
    return function(*args)


def _compile_side_by_side(kernels: list[tuple[int, str, str]]) -> None:
    def built_there(device: int, file: str, name: str) -> _Kernel:
        with cupy().cuda.Device(device):
            return built(file, name)

    with ThreadPoolExecutor(min(len(kernels), os.cpu_count() or 1)) as pool:
        _kernels.update(zip(kernels, pool.map(lambda kernel: built_there(*kernel), kernels), strict=True))


def built(file: str, name: str) -> _Kernel:
    """The CUDA function for the current device, from CuPy's cache on disk or from the compiler."""
    parameters = _source.parameters(file, name.partition("<")[0])
    assert len(parameters) > 1  # or itemgetter gives no tuple
    module = cupy().RawModule(code=_source.read(file), options=OPTIONS, name_expressions=(name,))
    function = module.get_function(name)
    if "SIGLIB_CUDA_KERNELS" in os.environ:  # a list for `compile.py`
        with open(os.environ["SIGLIB_CUDA_KERNELS"], "a", encoding="utf-8") as kernels:
            kernels.write(f"{file} {name}\n")
    return _Kernel(function, itemgetter(*parameters), len(parameters), USUAL_SHARED - function.shared_size_bytes)


def _refusal(file: str, name: str, args: dict[str, Any]) -> TypeError:
    parameters = _source.parameters(file, name.partition("<")[0])
    missing = ", ".join(parameter for parameter in parameters if parameter not in args)
    unknown = ", ".join(arg for arg in args if arg not in parameters)
    what = [f"{names} {are}" for names, are in ((missing, "missing"), (unknown, "unknown")) if names]
    return TypeError(f"arguments of {name} in {file}: {'; '.join(what)}")
