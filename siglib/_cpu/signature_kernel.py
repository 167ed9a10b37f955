"""Signature kernels on the CPU: what stands beside the loops of `signature_kernel.pyx`."""

from typing import Any

import numpy as np


def add_paths(loops: Any, to: np.ndarray, index: np.ndarray, paths: np.ndarray) -> None:
    """to[index[i]] += paths[i], one after the other."""
    np.add.at(to, index, np.asarray(paths))
