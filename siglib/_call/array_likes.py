"""What is nearly an array: columns of a table that NumPy takes for objects, and paths of different lengths.

For calls that either convert slowly or fail: nothing here is in the way of arrays. No library is imported for it;
tables are known by what pandas gives them.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .tracing import loaded_torch


class UnequalLengthsError(TypeError, ValueError):
    """Paths that are no one array: an error, unless the call can take them one run after another."""


class Ragged:
    """What every class of paths of unequal lengths is, for those who need not know more."""

    points: Any

    def __len__(self) -> int:
        raise NotImplementedError

    def with_points(self, points: Any) -> "Ragged":
        """The same with other points."""
        raise NotImplementedError


class LazyPaths(Ragged):
    """What series are that become paths in the call that takes them: `series_calls.py` says how."""

    batch: tuple[int, ...] | None
    ragged: Any
    is_plain: Any
    paths: Any
    flattened: Any


def refusal_of_series(name: str) -> UnequalLengthsError:
    """The error for a series where only paths are taken."""
    return UnequalLengthsError(
        f"{name} is a series, which this function does not take: siglib.transform_path makes a path of it"
    )


# How many lengths a message lists.
_MAX_LISTED = 6


def is_table(value: Any) -> bool:
    """Whether a value is a data frame, or a column of one."""
    return hasattr(value, "iloc") and hasattr(value, "to_numpy")


def numbers_of_table(name: str, table: Any) -> np.ndarray:
    """A table as float64, if its columns hold real numbers and booleans, nullable ones and Python's numbers included.

    Missing values are NaN. TypeError that names the column if one holds anything else.
    """
    if not hasattr(table, "columns"):
        return _numbers_of_column(name, table.name, table)
    out = np.empty(table.shape)
    for i, (label, column) in enumerate(table.items()):
        out[:, i] = _numbers_of_column(name, label, column)
    return out


def _numbers_of_column(name: str, label: Any, column: Any) -> np.ndarray:
    dtype = column.dtype
    kind = getattr(dtype, "kind", "O")
    reason = ""
    # Text and times have a conversion, too, to numbers that nobody means.
    known = kind in "iubO" or (kind == "f" and dtype.itemsize <= 8)
    if known and not (kind == "O" and any(isinstance(cell, (str, bytes)) for cell in column.to_numpy(object))):
        try:
            return column.to_numpy(float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            reason = f" ({error})"
    raise TypeError(f"{name} must hold real numbers, at most float64, got column {label!r} of dtype {dtype}{reason}")


def refusal_of_list(name: str, parts: Iterable[Any]) -> Exception | None:
    """The error for arrays of different lengths, or tensors, that should be one array; None if they are something
    else."""
    try:
        shapes = _shapes(parts)
    except (TypeError, ValueError):
        return None
    return refusal_of_shapes(name, shapes, set(shapes))


def refusal_of_shapes(name: str, shapes: list[tuple[int, ...]], kinds: set[tuple[int, ...]]) -> Exception | None:
    """The same for arrays of these shapes, each of which is one of `kinds`."""
    if not shapes or () in kinds:
        return None
    if len(kinds) == 1:
        return UnequalLengthsError(f"{name} is a list of arrays: stack them into one first")
    if min(map(len, kinds)) < 2:
        lengths = _listed([shape[0] for shape in shapes])
        return ValueError(f"{name} cannot be turned into an array: its rows have lengths {lengths}, and must have one")
    if len({shape[-1] for shape in kinds}) > 1:
        return ValueError(f"{name} holds paths of shapes {_listed(shapes)}: all must have the same number of channels")
    return refusal_of_lengths(f"{name} holds paths", [shape[-2] for shape in shapes])


def refusal_of_lengths(what: str, lengths: list[int]) -> UnequalLengthsError:
    """The error that says that these cannot be one array, and what to do."""
    return UnequalLengthsError(
        f"{what} of lengths {_listed(lengths)}, and an array has one length: pad the shorter ones by repeating their "
        "last point, which leaves signatures as they are unless time is added, or take them one by one"
    )


def as_counts(name: str, values: Any) -> np.ndarray:
    """A sequence of integers, or an array or a tensor of them, as int64."""
    counts = np.asarray(values.tolist() if hasattr(values, "tolist") else list(values))
    if counts.size and counts.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {counts.dtype}")
    return counts.astype(np.int64)


def packed_paths(packed: Any) -> tuple[Any, np.ndarray]:
    """The paths in a PackedSequence of torch, padded, with their graph, and their lengths."""
    torch: Any = loaded_torch()
    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    return padded, lengths.numpy()


def packed_lengths(packed: Any) -> list[int]:
    """Lengths of the paths in a PackedSequence of torch."""
    at_times = np.asarray(packed.batch_sizes)
    lengths = [int((at_times > i).sum()) for i in range(int(at_times.max(initial=0)))]
    order = packed.unsorted_indices
    return lengths if order is None else [lengths[i] for i in order.tolist()]


def _shapes(parts: Iterable[Any]) -> list[tuple[int, ...]]:
    """Shapes of the arrays in nested lists."""
    shapes: list[tuple[int, ...]] = []
    for part in parts:
        if hasattr(part, "shape"):
            shapes.append(part.shape if type(part) is np.ndarray else tuple(part.shape))
            continue
        try:
            shapes.append(np.shape(part))
        except ValueError:
            shapes.extend(_shapes(part))
    return shapes


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values[:_MAX_LISTED])) + (", ..." if len(values) > _MAX_LISTED else "")
