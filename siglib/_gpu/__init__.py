"""The CUDA backend: not part of this version. Arrays on a GPU are refused, and never moved to the CPU."""

import importlib.util
from typing import NoReturn


def refuse(described: str) -> NoReturn:
    """Raise what a user with arrays on a GPU needs to know; `described` names the arguments and where they are."""
    advice = f"Copy the data to main memory to compute there; got {described}"
    if importlib.util.find_spec("cupy") is None:
        raise ImportError(
            "arrays on a GPU need CuPy: pip install 'pathsiglib[cuda12]' or 'pathsiglib[cuda13]', to match your CUDA "
            f"version. The CUDA kernels themselves are not part of this version yet. {advice}"
        )
    raise TypeError(f"the CUDA kernels are not part of this version of siglib. {advice}")
