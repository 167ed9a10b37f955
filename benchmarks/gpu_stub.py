"""A stand-in for CuPy whose kernels do nothing: what is called, and which kernels it needs, where no GPU is.

It is the stand-in of the tests, with the device of an H200. Arrays have memory, as a rule untouched, and what is
computed is garbage.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

import gpu as test_gpu  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from emu import fake_array, fake_cupy, fake_device  # noqa: E402

# Of every launch, the name of the kernel.
launched: list[str] = []
_ATTRIBUTES = {"MultiProcessorCount": 132, "MaxSharedMemoryPerBlockOptin": 232448, "WarpSize": 32}


class _Module:
    def __init__(self, **_: Any) -> None:
        pass

    def get_function(self, name: str) -> "_Kernel":
        return _Kernel(name)


class _Kernel:
    shared_size_bytes = 400
    kernel = property(lambda self: self)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: Any, **__: Any) -> None:
        launched.append(self._name.partition("<")[0])


def install(torch: Any = None) -> Any:
    """Put it in the place of CuPy for the rest of the process; take tensors for tensors on a GPU if torch is given."""
    np.seterr(all="ignore")
    patch = pytest.MonkeyPatch()
    patch.setattr(fake_cupy, "RawModule", _Module)
    patch.setattr(fake_device.Device, "attributes", _ATTRIBUTES)
    patch.setattr(fake_array, "poison", lambda numbers: None)
    made = fake_device.Memory.__init__

    def written(memory: Any, *args: Any, **kwargs: Any) -> None:
        made(memory, *args, **kwargs)
        memory.written = None

    patch.setattr(fake_device.Memory, "__init__", written)
    if torch is not None:
        test_gpu.tensors_on_gpu(patch, torch)
    return fake_cupy.install(patch)
