"""What operations are as polynomials: their degree, and where the levels of signature-like vectors are."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from .forests import basis_counts, lyndon_counts
from .lyndon import count_lyndon_words


class Level(NamedTuple):
    """Entries of a vector that scale like the same power of the path."""

    weight: int
    start: int
    stop: int


class Grade(NamedTuple):
    """What an array is: "path" (points of channels, which scale like the path), "vector" of levels, or "rows", such
    vectors for all segments of a path.
    """

    kind: str
    levels: tuple[Level, ...] = ()


class Polynomial(NamedTuple):
    """An operation as a polynomial in its arrays.

    Level n of the result is a polynomial of weight n, where an entry of level k of an array has weight k. `weight` is
    that of the top level, `degree` the degree in all arrays together. The first `n_linear` entries of the result are of
    degree 1. `duration` is what time scales like, if a path has some. `n_top`: how many entries of the
    result, the last ones, are its top level; 0 if that is not known. `together`: options are those of all paths
    together. `parallel`: calls may take several threads.
    """

    weight: int
    arrays: tuple[Grade, ...]
    degree: int
    n_linear: int = 0
    duration: float = 0.0
    n_top: int = 0
    together: bool = False
    parallel: bool = False


PATH = Grade("path")


def of_path(weight: int, o: Any, n_linear: int = 0, *more: Grade, n_top: int = 0) -> Polynomial:
    """An operation on a path with the options of a transform."""
    return Polynomial(weight, (PATH, *more), weight, n_linear, abs(o.end_time) if o.time_aug else 0.0, n_top)


def of_vectors(weight: int, *arrays: Grade, degree: int | None = None) -> Polynomial:
    """An operation on vectors."""
    return Polynomial(weight, arrays, weight if degree is None else min(degree, weight))


def _grade(counts: Iterable[int], start: int, kind: str = "vector", first: int = 1) -> Grade:
    levels = []
    for weight, count in enumerate(counts, first):
        levels.append(Level(weight, start, start + count))
        start += count
    return Grade(kind, tuple(levels))


def displacement(dimension: int) -> Grade:
    return _grade([dimension], 0)


def tensor(dimension: int, degree: int, scalar_term: bool) -> Grade:
    """Signatures."""
    return _grade([dimension**n for n in range(1, degree + 1)], int(scalar_term))


def logarithm(dimension: int, degree: int, method: int, scalar_term: bool) -> Grade:
    """Their logarithms, at all words for method 0."""
    if method == 0:
        return tensor(dimension, degree, scalar_term)
    return _grade([count_lyndon_words(dimension, n) for n in range(1, degree + 1)], 0)


def correction(dimension: int, m: int) -> Grade:
    """Terms of segments, of levels 2 to m."""
    return _grade([dimension**n for n in range(2, m + 1)], 0, "rows", 2)


def branched(dimension: int, degree: int, planar: bool, scalar_term: bool) -> Grade:
    """Branched signatures."""
    return _grade(basis_counts(dimension, degree, planar), int(scalar_term))


def branched_logarithm(dimension: int, degree: int, planar: bool, method: int, scalar_term: bool) -> Grade:
    """Their logarithms."""
    if method == 0:
        return branched(dimension, degree, planar, scalar_term)
    return _grade(lyndon_counts(dimension, degree), 0)
