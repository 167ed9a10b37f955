"""Tables of the host on the devices that read them, copied once, for all streams."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .._tables.cache import Cache
from . import plans
from ._launch import cupy, refuse_while_capturing

_constants = Cache(2**30)


def constant(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, tables as a tuple of NumPy arrays, on the current device.

    `function` caches what it returns: new tables replace the copy.
    """
    tables = function(*args)
    key = (cupy().cuda.runtime.getDevice(), function, *args)
    known = _constants.get(key)
    if known is None or known[0] is not tables:
        known, n = (tables, uploaded(*tables)), len(_constants.ring)
        _constants.put(key, known)
        if len(_constants.ring) <= n:
            plans.forget()  # they hold tables that others have taken the place of
    return known[1]


def uploaded(*tables: np.ndarray) -> tuple[Any, ...]:
    """Copies of the tables on the current device, for CUDA functions on any of its streams, now and later.

    The copy is made on a stream of its own, for which the host waits: work that was given to the device before is not
    waited for. The memory is the driver's own, which takes it back when all functions that may read it are done; that
    of a pool would go to other work of the stream on which it was allocated, whoever still reads it on another one.
    """
    refuse_while_capturing("tables are copied to the GPU")
    # One copy for all: numbers of 8 bytes, two of them to begin each table at a multiple of 16.
    begins = np.append(0, np.cumsum([-(-table.nbytes // 16) * 2 for table in tables]))
    packed = np.zeros(begins[-1], np.int64)
    for begin, table in zip(begins, tables, strict=False):
        packed[begin:].view(np.uint8)[: table.nbytes] = np.ascontiguousarray(table).reshape(-1).view(np.uint8)
    cuda = cupy().cuda
    stream = _copying_stream(cuda, cuda.runtime.getDevice())
    with cuda.using_allocator(None), stream:
        there = cupy().asarray(packed)
        stream.synchronize()
    parts = [there[begin:end] for begin, end in zip(begins.tolist(), begins[1:].tolist(), strict=False)]
    return tuple(
        part.view(table.dtype)[: math.prod(table.shape)].reshape(table.shape)
        for part, table in zip(parts, tables, strict=True)
    )


@cache
def _copying_stream(cuda: Any, device: int) -> Any:
    """A stream of the device, which is the current one, that waits for no other."""
    return cuda.Stream(non_blocking=True)
