"""Arrays of Dask for tests."""

from typing import Any

import numpy as np
from checking import optional


def in_chunks(array: np.ndarray, *sizes: int) -> Any:
    """Chunks of these sizes along the first axes, and of 2 along the others."""
    return optional("dask.array").from_array(array, chunks=(*sizes, *(2,) * (array.ndim - len(sizes)))[: array.ndim])
