"""The CPU kernels, built for the best instruction set that this machine runs.

`SIGLIB_CPU=baseline|avx2|avx512` overrides the choice. Every kernel takes one floating type; `kernels[dtype]` is the
namespace of kernel modules specialised for it: `kernels["float64"].signature.sig(...)`.

Where a call has to be planned first, cut or taken apart, `<topic>.py` beside `<topic>.pyx` does that: its functions
stand in front of the compiled ones, and get all of those of their floating type as `loops`. The arguments behind that
are those of `_gpu/<topic>.py`.
"""

import functools
import importlib
import inspect
import os
from types import SimpleNamespace

from . import _cpuid

_MODULES = (
    "path",
    "series",
    "signature",
    "corrected_signature",
    "join",
    "coefficients",
    "windows",
    "intervals",
    "log_signature",
    "exponential",
    "log_join",
    "signature_kernel",
    "lines",
    "sparse",
    "branched_product",
    "branched_flow",
    "branched_kernel",
)
# Topics with a Python module in front.
_PLANNED = ("corrected_signature", "windows", "coefficients", "signature_kernel", "branched", "branched_join")
_C_NAMES = {"float64": "double", "float32": "float"}


def usable_instruction_sets() -> list[str]:
    """Instruction sets that were built and that this machine runs, fastest first."""
    here = os.path.dirname(_cpuid.__file__)
    built = "\n".join(os.listdir(here))
    return [name for name in _cpuid.supported() if f"_signature_{name}." in built]


def _choose() -> str:
    wanted = os.environ.get("SIGLIB_CPU")
    usable = usable_instruction_sets()
    if not wanted:
        return usable[0]
    if wanted not in usable:
        raise ImportError(f"SIGLIB_CPU={wanted!r} cannot run here; possible: {', '.join(usable)}")
    return wanted


def load(instruction_set: str) -> dict[str, SimpleNamespace]:
    """The kernel modules of one instruction set, specialised: dtype name -> module name -> kernel name."""
    spaces = {dtype: SimpleNamespace(dtype=dtype) for dtype in _C_NAMES}
    for stem in _MODULES:
        module = importlib.import_module(f"{__name__}._{stem}_{instruction_set}")
        for dtype, c_name in _C_NAMES.items():
            functions = {
                name: function[c_name] for name, function in vars(module).items() if hasattr(function, "__signatures__")
            }
            setattr(spaces[dtype], stem, SimpleNamespace(**functions))
    return {dtype: _planned(loops) for dtype, loops in spaces.items()}


def _planned(loops: SimpleNamespace) -> SimpleNamespace:
    """The kernels of one floating type, with what plans their calls in front."""
    space = SimpleNamespace(**vars(loops))
    for topic in _PLANNED:
        module = importlib.import_module(f"{__name__}.{topic}")
        functions = {
            name: functools.partial(function, loops)
            for name, function in vars(module).items()
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
        }
        compiled = vars(getattr(loops, topic, SimpleNamespace()))
        setattr(space, topic, SimpleNamespace(**compiled | functions))
    return space


instruction_set = _choose()
loops = load(instruction_set)
