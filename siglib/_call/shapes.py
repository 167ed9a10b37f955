"""Shapes of arrays that come in: each check returns what follows from a shape or raises, naming the argument."""

from .._tables.sizes import SizeError, checked_tensor_length


def has_scalar_term(name: str, length: int, dimension: int, degree: int) -> bool:
    """Whether a signature-like array of this length stores the scalar term; ValueError if neither format fits."""
    expected = checked_tensor_length(dimension, degree)
    if length == expected:
        return False
    if length == expected + 1:
        return True
    raise ValueError(
        f"{name} must have length {expected} (or {expected + 1} with the scalar term) on its last axis for dimension "
        f"{dimension} and degree {degree}, got {length}"
    )


def path_shape(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """(batch, length, dimension) of an array of paths."""
    if len(shape) < 2:
        raise ValueError(f"{name} must have shape (..., length, dimension), got {tuple(shape)}")
    if shape[-1] == 0:
        raise ValueError(f"{name} must have at least one channel on its last axis, got shape {tuple(shape)}")
    return shape[:-2], shape[-2], shape[-1]


def size_error(error: Exception, path: tuple[int, ...]) -> Exception:
    """The error for a path of this shape: it says so where the axes look swapped."""
    length, dimension = path[-2:]
    suspicion = f". path has {length} points of {dimension} channels: are its last two axes swapped?"
    kind = MemoryError if isinstance(error, MemoryError) else SizeError
    return kind(f"{error}{suspicion * (dimension > length)}")


def vector_shape(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """(batch, length) of an array of signature-like vectors."""
    if len(shape) < 1:
        raise ValueError(f"{name} must have shape (..., length), got a single number")
    return shape[:-1], shape[-1]


def check_batch(name: str, batch: tuple[int, ...], other_name: str, other: tuple[int, ...]) -> None:
    """ValueError unless two arrays have the same batch shape: nothing is broadcast."""
    if tuple(batch) != tuple(other):
        raise ValueError(
            f"{name} and {other_name} must have the same batch shape, got {tuple(batch)} and {tuple(other)}"
        )


def check_like(name: str, shape: tuple[int, ...], first_name: str, first: tuple[int, ...], scalar_term: bool) -> bool:
    """Whether an array has one entry more than the first one, to be dropped; ValueError if they do not go together."""
    batch, length = vector_shape(name, shape)
    check_batch(first_name, first[:-1], name, batch)
    extra = length - first[-1]
    if extra == 0:
        return False
    if extra == 1 and not scalar_term:
        return True
    also = "" if scalar_term else f" (or {first[-1] + 1})"
    raise ValueError(f"{name} must have length {first[-1]}{also} on its last axis, as {first_name} has, got {length}")
