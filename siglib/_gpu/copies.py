"""Copies and numbers that bodies of operations write to arrays, as launches of a plan."""

from typing import Any

from ._launch import MOST_BLOCKS, c_type
from .recording import Assign, Launch, NotPlannedError, Recorded

_FILE = "copies.cu"
_THREADS = 256
# Axes of arrays as CUDA functions take them.
_AXES = 4


def launch_of(step: Assign) -> Launch:
    """What writes these numbers."""
    to, value = step.to, step.value
    arrays = {"to": to, "from": value} if isinstance(value, Recorded) else {"to": to}
    if any(array.dtype.char not in "fd" for array in arrays.values()):
        raise NotPlannedError("numbers of another type are written")
    if isinstance(value, Recorded) and to.may_overlap(value):
        raise NotPlannedError("numbers are copied to where others are read")
    n_blocks = -(-to.size // _THREADS)
    if n_blocks > MOST_BLOCKS[0]:
        raise NotPlannedError("too many numbers for one launch")
    shape, *strides = _merged(*arrays.values())
    args: dict[str, Any] = {f"n{i}": shape[i] for i in range(1, _AXES)}
    for name, found in zip(arrays, strides, strict=True):
        args |= {f"{name}{i}": found[i] for i in range(_AXES)}
    args |= {name: array.place for name, array in arrays.items()}
    if "from" in arrays:
        function = f"copy_numbers<{c_type(value)}, {c_type(to)}>"
    else:
        function, args["value"] = f"fill_numbers<{c_type(to)}>", float(value)
    return Launch(_FILE, function, (n_blocks,), (_THREADS,), 0, args | {"size": to.size})


def _merged(*arrays: Recorded) -> tuple[list[int], ...]:
    """The shape of arrays, and the strides of each in numbers, with axes made one where they can be."""
    axes: list[list[int]] = []  # of how many numbers, and the strides
    for i, n in enumerate(arrays[0].shape):
        if n == 1:
            continue
        strides = [array.strides[i] // array.itemsize for array in arrays]
        if any(array.strides[i] % array.itemsize for array in arrays):
            raise NotPlannedError("numbers are not apart by whole numbers")
        if axes and all(before == n * by for before, by in zip(axes[-1][1:], strides, strict=True)):
            axes[-1] = [axes[-1][0] * n, *strides]
        else:
            axes.append([n, *strides])
    if len(axes) > _AXES:
        raise NotPlannedError("an array of many axes is copied")
    axes = [[1] + [0] * len(arrays)] * (_AXES - len(axes)) + axes
    return tuple(map(list, zip(*axes, strict=True)))
