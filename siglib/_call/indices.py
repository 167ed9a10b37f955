"""Options that are arrays of integers, such as the ends of windows: read once, to main memory, unless torch traces."""

import sys
from typing import Any

import numpy as np

from .libraries import library_of, refusal
from .options import Meaning
from .tracing import refuse_traced, untraceable


def host_indices(name: str, indices: Any) -> np.ndarray:
    """Points as an array of int64 that nobody else can change."""
    library = library_of(indices)
    if library == "torch":
        refuse_traced({name: indices})
        indices = indices.detach().cpu().numpy()
    elif library == "cupy":
        indices = indices.get()
    elif library != "numpy":
        raise refusal({name: indices})
    try:
        array = np.asarray(indices)
    except ValueError as error:
        raise ValueError(f"{name} cannot be turned into an array: {error}") from None
    if array.size == 0:
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    return array.astype(np.int64)


def _clean(name: str, indices: Any) -> np.ndarray | None:
    return None if indices is None else host_indices(name, indices)


def _as_tensor(name: str, value: Any) -> Any:
    """Indices, or None, as operators of torch take them."""
    torch: Any = sys.modules["torch"]
    if value is None or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, (list, tuple, range)):
        items = [
            _as_tensor(name, item) if isinstance(item, (list, tuple, np.ndarray, np.generic)) else item
            for item in value
        ]
        if any(isinstance(item, torch.Tensor) for item in items):
            return torch.stack([torch.as_tensor(item, device="cpu") for item in items])
        return torch.as_tensor(items, device="cpu")
    if not isinstance(value, np.ndarray):
        value = np.asarray(value)
        if value.dtype == object:
            raise RuntimeError(untraceable("torch", name))
    return torch.as_tensor(value, device="cpu")


INDICES = Meaning(_clean, _as_tensor, "Tensor?")
