"""Signature coefficients at single words, in plain NumPy: slow, and meant to be obviously right."""

import math

import numpy as np
from reference import Word, signature_gradient, transform_path, words


def coefficients_of_prefixes(paths: np.ndarray, word: Word) -> list[np.ndarray]:
    """S of the first 0, 1, ... letters of a word, which may be of any length; `paths` (batch, length, dimension).

    Segment by segment: of a word, the first j letters belong to the path before, the others to a straight line.
    """
    values = [np.ones(len(paths)), *(np.zeros(len(paths)) for _ in word)]
    for increment in np.moveaxis(np.diff(np.asarray(paths, np.float64), axis=1), 1, 0):
        for n in range(len(word), 0, -1):
            values[n] = sum(
                values[j] * math.prod(increment[:, letter] for letter in word[j:n]) / math.factorial(n - j)
                for j in range(n + 1)
            )
    return values


def coefficients(paths: np.ndarray, of_words: list[Word], **transform: object) -> np.ndarray:
    """One column a word."""
    points = transform_path(paths, **transform)
    known: dict[Word, np.ndarray] = {}
    for word in sorted(of_words, key=len, reverse=True):
        if word not in known:
            known.update((word[:n], value) for n, value in enumerate(coefficients_of_prefixes(points, word)))
    return np.stack([known[word] for word in of_words], axis=-1)


def prefixes(of_words: list[Word]) -> list[Word]:
    """For every word its prefixes of length 1, 2, ...; for the empty word itself."""
    return [word[:n] for word in of_words for n in range(1 if word else 0, len(word) + 1)]


def coefficients_gradient(
    paths: np.ndarray, of_words: list[Word], derivs: np.ndarray, **transform: object
) -> np.ndarray:
    """Gradient of sum(derivs * coefficients(paths)): that of whole signatures, with zeros at all other words."""
    dimension = transform_path(paths, **transform).shape[-1]
    degree = max(map(len, of_words))
    place = {word: i for i, word in enumerate(words(dimension, degree))}
    whole = np.zeros((len(paths), len(place)))
    for column, word in enumerate(of_words):
        whole[:, place[word]] += derivs[:, column]
    return signature_gradient(paths, whole[:, 1:], degree, **transform)
