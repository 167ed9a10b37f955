"""Static kernels by name, with a width that data may choose."""

import math
from typing import Any

import numpy as np

from .._call.options import as_float
from ..kernels.options import as_static_kernel
from ..kernels.static_kernels import (
    Matern12Kernel,
    Matern32Kernel,
    Matern52Kernel,
    RationalQuadraticKernel,
    RBFKernel,
    ScaledLinearKernel,
    StaticKernel,
)
from ._paths import Paths

# Widths of these are squared distances, those of the others distances.
SQUARED = ("linear", "rbf")
_CLASSES: dict[str, Any] = {
    "linear": lambda sigma: ScaledLinearKernel(1.0 / math.sqrt(sigma)),
    "rbf": RBFKernel,
    "matern12": Matern12Kernel,
    "matern32": Matern32Kernel,
    "matern52": Matern52Kernel,
    "rational_quadratic": RationalQuadraticKernel,
}
# The median is that of the distances between all pairs of so many points.
_N_POINTS = 500


def check_name(name: Any) -> None:
    if name not in _CLASSES:
        raise ValueError(f"static_kernel must be one of {', '.join(map(repr, _CLASSES))}, got {name!r}")


def static_kernel_for(static_kernel: Any, sigma: float) -> StaticKernel:
    """The static kernel of this name and width; an object is taken as it is."""
    if not isinstance(static_kernel, str):
        return as_static_kernel(static_kernel)
    check_name(static_kernel)
    return _CLASSES[static_kernel](sigma)


def width_for(static_kernel: Any, sigma: Any, width: Any, paths: Paths, **transform: Any) -> float:
    """`sigma` if it is a number; for "median" that of the distances in the data, or of their squares; times `width`."""
    if isinstance(sigma, str):
        if sigma != "median":
            raise ValueError(f"sigma must be a positive number or 'median', got {sigma!r}")
        if not isinstance(static_kernel, str):
            return 1.0
        square = median_squared_distance(paths.some_points(_N_POINTS, **transform))
        sigma = square if static_kernel in SQUARED else math.sqrt(square)
    sigma = as_float("sigma", sigma) * as_float("width", width)
    if not 0.0 < sigma < math.inf:
        raise ValueError(f"sigma and width must be positive numbers, their product is {sigma}")
    return sigma


def median_squared_distance(points: np.ndarray) -> float:
    """Of all pairs of different points; 1 if there are none."""
    squares = np.sum((points[:, None] - points[None]) ** 2, axis=2)
    squares = squares[squares > 0]
    return float(np.median(squares)) if squares.size else 1.0
