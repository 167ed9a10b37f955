"""Lengths of branched vectors, as all operations on them check them."""

from typing import Any

from .._call.options import Meaning, as_any_int, as_count, as_int
from .._call.shapes import vector_shape
from .._tables.forests import branched_length, log_length
from .._tables.sizes import checked_tensor_length


def checked_length(dimension: Any, degree: int, planar: bool) -> int:
    """Length of a branched signature without the scalar term; SizeError if nothing can hold it or the signature."""
    dimension = int(dimension)
    checked_tensor_length(dimension, degree)
    return branched_length(dimension, degree, planar)


def checked_log_length(dimension: Any, degree: int, planar: bool, method: int) -> int:
    """Length of its logarithm."""
    checked_length(dimension, degree, planar)
    return log_length(int(dimension), degree, planar, method)


def has_scalar_term(name: str, shape: Any, dimension: Any, degree: int, planar: bool) -> bool:
    """Whether branched signatures of this shape store the scalar term; ValueError if they fit in neither way."""
    length, expected = vector_shape(name, shape)[1], checked_length(dimension, degree, planar)
    if length not in (expected, expected + 1):
        kind = "planar forests" if planar else "trees"
        raise ValueError(
            f"{name} must have length {expected} (or {expected + 1} with the scalar term) on its last axis, for "
            f"{kind} of dimension {dimension} and degree {degree}, got {length}"
        )
    return bool(length != expected)


def default_method(method: Any, planar: bool) -> Any:
    """The method that None stands for."""
    return (1 if planar else 0) if method is None else method


def check_method(method: int, planar: bool, largest: int) -> None:
    """ValueError for methods that there are not: those in brackets are of planar forests."""
    if method > largest:
        what = "of branched log-signatures from paths" if largest == 3 else "here: method 2 has the coordinates of 3"
        raise ValueError(f"method must be at most {largest} {what}, got {method}")
    if method and not planar:
        raise ValueError(f"method {method} needs planar=True: trees that are not planar have method 0 only")


def as_path_method(method: Any, planar: bool, largest: int = 3) -> tuple[int, int]:
    """The method of a caller, checked, and that of its coordinates: 3 has those of 2, always in float64."""
    method = as_int("method", default_method(method, planar), 0)
    check_method(method, planar, largest)
    return method, min(method, 2)


METHOD = Meaning(as_count, as_any_int, "SymInt")
