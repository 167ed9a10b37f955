"""Signature kernels and metrics from their definitions, in plain NumPy: slow, and meant to be obviously right.

Nothing here uses siglib. Leading axes are batch axes. Everything is analytic in its inputs and asks for no particular
dtype: complex numbers give exact derivatives (`exact_derivative`), arrays of `decimal.Decimal` give the linear kernel
by both schemes far beyond the range of floating-point numbers.
"""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from reference import signature, transform_path

# Static kernels


def _inner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x * y).sum(axis=-1)


def _squared_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((x - y) ** 2).sum(axis=-1)


def _polynomial(
    x: np.ndarray, y: np.ndarray, degree: float = 3.0, gamma: float = 1.0, scale: float = 1.0
) -> np.ndarray:
    base = _inner(x, y) + gamma
    if float(degree).is_integer():
        return scale * base**degree
    positive = base.real > 0  # elsewhere the power is not a real number, and counts as 0
    return scale * np.where(positive, np.where(positive, base, 1.0) ** degree, 0.0)


def _matern32(x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    u = np.sqrt(3 * _squared_distance(x, y)) / sigma
    return (1 + u) * np.exp(-u)


def _matern52(x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    u = np.sqrt(5 * _squared_distance(x, y)) / sigma
    return (1 + u + u**2 / 3) * np.exp(-u)


# Class name in siglib -> kappa(x, y, parameters by name) of points x, y (..., d).
STATIC_KERNELS: dict[str, Callable[..., np.ndarray]] = {
    "LinearKernel": _inner,
    "ScaledLinearKernel": lambda x, y, scale=1.0: scale**2 * _inner(x, y),
    "RBFKernel": lambda x, y, sigma: np.exp(-_squared_distance(x, y) / sigma),
    "PolynomialKernel": _polynomial,
    "Matern12Kernel": lambda x, y, sigma: np.exp(-np.sqrt(_squared_distance(x, y)) / sigma),
    "Matern32Kernel": _matern32,
    "Matern52Kernel": _matern52,
    "RationalQuadraticKernel": lambda x, y, sigma, alpha=1.0: (
        (1 + _squared_distance(x, y) / (2 * alpha * sigma**2)) ** -alpha
    ),
}


def double_increments(x: np.ndarray, y: np.ndarray, static_kernel: str = "LinearKernel", **parameters: Any) -> Any:
    """G_ij = kappa(x_{i+1}, y_{j+1}) - kappa(x_i, y_{j+1}) - kappa(x_{i+1}, y_j) + kappa(x_i, y_j), (..., n1, n2)."""
    kappa = STATIC_KERNELS[static_kernel](x[..., :, None, :], y[..., None, :, :], **parameters)
    return kappa[..., 1:, 1:] - kappa[..., :-1, 1:] - kappa[..., 1:, :-1] + kappa[..., :-1, :-1]


# The two schemes: from double increments (..., n1, n2) to the grid of kernel values


def finite_difference_grid(cells: np.ndarray, order1: int = 0, order2: int = 0) -> np.ndarray:
    """Every cell cut into 2**order1 by 2**order2 equal ones, then corner by corner."""
    g = np.moveaxis(cells / 2 ** (order1 + order2), (-2, -1), (0, 1))
    g = np.repeat(np.repeat(g, 2**order1, axis=0), 2**order2, axis=1)
    a, b = 1 + g / 2 + g * g / 12, 1 - g * g / 12
    grid = np.ones((g.shape[0] + 1, g.shape[1] + 1, *g.shape[2:]), g.dtype)
    for p in range(g.shape[0]):
        for q in range(g.shape[1]):
            grid[p + 1, q + 1] = (grid[p + 1, q] + grid[p, q + 1]) * a[p, q] - grid[p, q] * b[p, q]
    return np.moveaxis(grid, (0, 1), (-2, -1))


def polynomial_grid(cells: np.ndarray, order: int) -> np.ndarray:
    """Solutions on the edges of every cell as polynomials with powers up to `order`; see `docs/mathematics.md`."""
    number = Decimal if cells.dtype == object else float
    powers = range(order + 1)

    def f(n: int) -> Any:
        return number(math.factorial(n))

    # Of the coefficient q of an edge, to the power p of the opposite edge and of the edge across the corner.
    opposite = np.array([[f(q) / (f(p - q) * f(p)) if 1 <= q <= p else number(0) for q in powers] for p in powers])
    opposite_power = np.array([[max(p - q, 0) for q in powers] for p in powers])
    across = np.array([[f(q) / (f(p) * f(p + q)) for q in powers] for p in powers])
    r = np.moveaxis(cells, (-2, -1), (0, 1))
    n1, n2, *batch = r.shape
    grid = np.ones((n1 + 1, n2 + 1, *batch), r.dtype)
    one = np.full((*batch, order + 1, 1), number(0), r.dtype)
    one[..., 0, 0] = 1
    lower = [one] * n2
    for i in range(n1):
        left = one
        for j in range(n2):
            power = np.stack([r[i, j] ** p if p else 0 * r[i, j] + 1 for p in powers], axis=-1)
            along, corner = opposite * power[..., opposite_power], across * power[..., :, None]
            right, top = along @ left + corner @ lower[j], along @ lower[j] + corner @ left
            grid[i + 1, j + 1] = (right.sum(axis=(-2, -1)) + top.sum(axis=(-2, -1))) / 2
            left, lower[j] = right, top
    return np.moveaxis(grid, (0, 1), (-2, -1))


# Kernels


def kernel(
    x: np.ndarray,
    y: np.ndarray,
    *,
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    static_kernel: str = "LinearKernel",
    parameters: dict[str, Any] | None = None,
    transform: dict[str, Any] | None = None,
    return_grid: bool = False,
) -> np.ndarray:
    """k(x, y) for paths (..., length, dimension), pair by pair; the polynomial method if `order` is given."""
    x, y = (_transformed(path, **(transform or {})) for path in (x, y))
    cells = double_increments(x, y, static_kernel, **(parameters or {}))
    if order is None:
        orders = dyadic_order if isinstance(dyadic_order, tuple) else (dyadic_order, dyadic_order)
        grid = finite_difference_grid(cells, *orders)
    else:
        grid = polynomial_grid(cells, order)
    return grid if return_grid else grid[..., -1, -1]


def _transformed(path: np.ndarray, **transform: Any) -> np.ndarray:
    if not transform:
        return path
    # Linear in the points but for the clock, which is real.
    real = transform_path(path.real, **transform)
    if not np.iscomplexobj(path):
        return real
    imaginary = transform_path(path.imag, **{**transform, "end_time": 0.0})
    return real + 1j * imaginary


def gram(x: np.ndarray, y: np.ndarray, **options: Any) -> np.ndarray:
    """k(x_i, y_j) for paths x (m, length1, dimension), y (n, length2, dimension)."""
    return kernel(x[:, None], y[None, :], **options)


def decimals(array: np.ndarray) -> np.ndarray:
    """The same numbers, exactly."""
    return np.vectorize(Decimal, otypes=[object])(np.asarray(array, np.float64))


def log_kernel(x: np.ndarray, y: np.ndarray, dyadic_order: Any = 0, order: int | None = None) -> float:
    """Natural logarithm of the linear kernel of two single paths, with 28 digits and no limits."""
    return float(kernel(decimals(x), decimals(y), dyadic_order=dyadic_order, order=order).item().ln())


def log_slope(x: np.ndarray, y: np.ndarray, dx: np.ndarray, dy: np.ndarray, **options: Any) -> float:
    """Derivative of `log_kernel` along (dx, dy), by differences of 70 digits."""
    with localcontext() as context:
        context.prec = 70
        step = Decimal(10) ** -20
        x, y, dx, dy = (decimals(array) for array in (x, y, dx, dy))
        ends = [kernel(x + h * dx, y + h * dy, **options).item().ln() for h in (step, -step)]
        return float((ends[0] - ends[1]) / (2 * step))


def truncated_kernel(x: np.ndarray, y: np.ndarray, degree: int) -> np.ndarray:
    """Inner product of the signatures up to `degree`, the leading 1 included."""
    return _inner(signature(x, degree, scalar_term=True), signature(y, degree, scalar_term=True))


def bessel(z: Any) -> Any:
    """Sum of z^n / (n!)^2: I_0(2 sqrt(z)), for negative z J_0(2 sqrt(-z)). The kernel of straight lines, z = <a, b>."""
    return sum(z**n / math.factorial(n) ** 2 for n in range(60))


def log_bessel(z: Any) -> Any:
    """log I_0(z) for large z, by the asymptotic series."""
    return z - np.log(2 * np.pi * z) / 2 + np.log1p(1 / (8 * z) + 9 / (128 * z**2) + 225 / (3072 * z**3))


# Metrics, from Gram matrices


def _mean_of_different(matrix: np.ndarray) -> float:
    m = len(matrix)
    return sum(matrix[i, j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))


def mmd(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy."""
    return _mean_of_different(xx) - 2 * np.mean(xy) + _mean_of_different(yy)


def score(xx: np.ndarray, xy: np.ndarray, lam: float = 1.0) -> np.ndarray:
    """lam E k(x, x') - 2 E k(x, y) for every y."""
    return lam * _mean_of_different(xx) - 2 * np.mean(xy, axis=0)


# Derivatives


def exact_derivative(f: Callable[[Any], Any], x: Any, direction: Any) -> Any:
    """Derivative of an analytic function along `direction`, exact to rounding.

    f(x + ih) = f(x) + i h f'(x) + O(h^2): with h = 1e-40 nothing is subtracted and nothing is left of the rest.
    """
    return np.imag(f(x + 1e-40j * direction)) / 1e-40


def exact_gradient(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """Gradient of an analytic function that maps arrays (n, *x.shape) to n numbers, all entries at once."""
    directions = np.eye(x.size).reshape(x.size, *x.shape)
    return exact_derivative(f, x, directions).reshape(x.shape)
