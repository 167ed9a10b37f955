"""Compiles CUDA kernels and launches them. The only module that does.

    launch("path.cu", f"transform_path<{c_type(path)}>", grid, block, (path, out, length, end_time))

compiles this instantiation of a template in `cuda/path.cu` at first use, for the current device, and runs it on CuPy's
current stream. Whoever calls has made the arrays' device and the right stream the current ones (`_call/backend.py`).

Kernel parameters are pointers to numbers, `long long` and `double`: what CuPy makes of arrays, Python's int and float.
0 stands for an array that is not there.
"""

import threading
from collections.abc import Sequence
from typing import Any

from . import _source

Size = int | tuple[int, ...]

OPTIONS = ("-std=c++17",)
MOST_BLOCKS = (2**31 - 1, 65535, 65535)
# More dynamic shared memory than this must be asked for.
USUAL_SHARED = 48 << 10

_C_TYPES = {"f": "float", "d": "double"}
_kernels: dict[tuple[int, str, str], Any] = {}
_shared: dict[tuple[int, str, str], int] = {}
_attributes: dict[tuple[int, str], int] = {}
_growing = threading.Lock()


def cupy() -> Any:
    """The module; arrays of it came in, or `_call/backend.py` has looked for it."""
    import cupy

    return cupy


def c_type(array: Any) -> str:
    """What C++ calls the numbers of this array: "float" or "double"."""
    return _C_TYPES[array.dtype.char]


def empty(shape: Size, like: Any) -> Any:
    """Scratch memory in the dtype of `like`, on the current device and for its current stream."""
    return cupy().empty(shape, like.dtype)


def n_processors() -> int:
    """Number of multiprocessors of the current device."""
    return _attribute("MultiProcessorCount")


def most_shared() -> int:
    """Bytes of shared memory that one block may have on the current device."""
    return _attribute("MaxSharedMemoryPerBlockOptin")


def _attribute(name: str) -> int:
    device = cupy().cuda.runtime.getDevice()
    value = _attributes.get((device, name))
    if value is None:
        value = _attributes[device, name] = int(cupy().cuda.Device(device).attributes[name])
    return value


def launch(file: str, name: str, grid: Size, block: Size, args: Sequence[Any], shared: int = 0) -> None:
    """Run kernel `name`, an instantiation such as "fill<float, 2>", of `cuda/<file>`; nothing for an empty grid.

    `shared` is the dynamic shared memory of a block, in bytes.
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
    key = (cupy().cuda.runtime.getDevice(), file, name)
    kernel = _kernels.get(key)
    if kernel is None:
        module = cupy().RawModule(code=_source.read(file), options=OPTIONS, name_expressions=(name,))
        kernel = _kernels[key] = module.get_function(name)
    if shared > USUAL_SHARED and shared > _shared.get(key, 0):
        # A property of the kernel on this device; it only grows, whichever thread is first.
        with _growing:
            if shared > _shared.get(key, 0):
                kernel.max_dynamic_shared_size_bytes = _shared[key] = shared
    kernel(grid, block, args, shared_mem=shared)
