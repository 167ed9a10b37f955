"""The CUDA functions, for CuPy arrays and for PyTorch's tensors on a GPU.

Imported by `_call/backend.py` when the first such array comes in; nothing here is loaded before. `backends.py` has the
two backends; `path.py`, `signature.py` and so on launch the functions that lie in `cuda/`, and have the functions of
`siglib/_cpu/*.pyx`, name for name and argument for argument.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np


def require_cupy(describe: Callable[[], str]) -> Any:
    """The module `cupy`; `describe()` names the arguments of a call and where they are, for the error without it."""
    try:
        import cupy
    except ImportError as error:
        raise ImportError(
            "arrays on a GPU need CuPy, 14.2 or newer: pip install 'pathsiglib[cuda12]' or 'pathsiglib[cuda13]', "
            f"to match your CUDA version; got {describe()}"
        ) from error
    return cupy


class Launchers:
    """`loops.<topic>.<name>(...)`: the launchers, each called through `call(function, *args)`."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __getattr__(self, topic: str) -> "_Topic":
        if topic.startswith("_"):
            raise AttributeError(topic)
        found = _Topic(topic, self._call)
        setattr(self, topic, found)
        return found


def launcher(topic: str, name: str) -> Callable[..., Any]:
    """A function of a topic. Gradients may have a module of their own."""
    for module in (topic, f"{topic}_backprop") if name.endswith("_backprop") else (topic,):
        try:
            found = importlib.import_module(f"{__name__}.{module}")
        except ModuleNotFoundError:
            continue
        if hasattr(found, name):
            return getattr(found, name)
    raise NotImplementedError(f"{name} is computed on the CPU only, so far: pass arrays in main memory")


class _Topic:
    def __init__(self, topic: str, call: Callable[..., Any]) -> None:
        self._topic, self._call = topic, call

    def __getattr__(self, name: str) -> Any:
        function, call = launcher(self._topic, name), self._call

        def kernel(*args: Any) -> Any:
            # Options come as the user gave them. NumPy's numbers would reach a function in another size than Python's.
            return call(function, *[arg.item() if isinstance(arg, np.generic) else arg for arg in args])

        setattr(self, name, kernel)
        return kernel
