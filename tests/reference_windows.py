"""Signatures of windows and their gradients by definition: every slice on its own."""

import numpy as np
import reference


def slices_of(paths: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> list[list[np.ndarray]]:
    """Window k of path b is [b][k]."""
    starts, ends = (np.broadcast_to(a, (len(paths), np.shape(a)[-1])) for a in (starts, ends))
    return [[path[i:j] for i, j in zip(s, e, strict=True)] for path, s, e in zip(paths, starts, ends, strict=True)]


def by_definition(
    paths: np.ndarray, starts: np.ndarray, ends: np.ndarray, degree: int, scalar_term: bool = False
) -> np.ndarray:
    """The signature of every slice."""
    return np.array(
        [
            [
                reference.signature(piece.astype(np.float64)[None], degree, scalar_term=scalar_term)[0]
                for piece in windows
            ]
            for windows in slices_of(paths, starts, ends)
        ]
    )


def gradient_by_definition(
    paths: np.ndarray, starts: np.ndarray, ends: np.ndarray, derivs: np.ndarray, degree: int
) -> np.ndarray:
    """The sum of the slices' own gradients."""
    out = np.zeros(paths.shape)
    starts, ends = (np.broadcast_to(a, (len(paths), np.shape(a)[-1])) for a in (starts, ends))
    for b, k in np.ndindex(starts.shape):
        i, j = starts[b, k], ends[b, k]
        if j - i > 1:
            piece = paths[b : b + 1, i:j].astype(np.float64)
            out[b, i:j] += reference.signature_gradient(piece, derivs[b, k][None].astype(np.float64), degree)[0]
    return out


def sliding(length: int, window: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    starts = np.arange(0, length - window + 1, stride)
    return starts, starts + window


def random_windows(rng: np.random.Generator, length: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Any slices, empty ones and single points among them."""
    ends = np.sort(rng.integers(0, length + 1, (*shape, 2)), axis=-1)
    return ends[..., 0], ends[..., 1]
