"""Version and configuration of the installed library."""

import importlib.metadata
import platform
import sys

from . import _cpu
from ._call.options import hardware_threads
from ._call.tracing import loaded_torch

__version__ = importlib.metadata.version("pathsiglib")


def show_config() -> None:
    """Print what siglib runs on: instruction set, threads, and the versions of the libraries already imported.

    Examples
    --------
    >>> import siglib
    >>> siglib.show_config()  # doctest: +ELLIPSIS
    siglib ...
    """
    print(f"siglib {__version__}")
    print(f"  python           {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(f"  instruction set  {_cpu.instruction_set} (usable: {', '.join(_cpu.usable_instruction_sets())})")
    print(f"  processors       {hardware_threads()}")
    for name in ("numpy", "torch", "cupy"):
        module = sys.modules.get(name)
        print(f"  {name:<16} {getattr(module, '__version__', 'not imported')}")
    torch = loaded_torch()
    if torch is not None:
        print(f"  CUDA (torch)     {torch.version.cuda or 'no'}")
