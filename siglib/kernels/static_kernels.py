"""Static kernels: kernels of points that signature kernels lift to kernels of paths.

A signature kernel takes a static kernel as an object. It reads the parameters of the classes below and computes them in
its own loops; `__call__`, `grad_x` and `grad_y` serve those who build kernels of their own out of these.
"""

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from .._call.libraries import Array, is_on_gpu, namespace_of
from .._call.options import as_float
from .._call.torch import stacked_numbers
from .._call.tracing import settled, values_are_known

# The codes by which kernels know static kernels.
GIVEN, LINEAR, RBF, POLYNOMIAL, MATERN12, MATERN32, MATERN52, RATIONAL_QUADRATIC = range(-1, 7)

# Held for the decision which thread warns; kernels have no lock of their own, as they are copied and pickled.
_warning = threading.Lock()


class Context:
    """What a static kernel keeps between its values and their gradient.

    `sig_kernel` and the other functions make a new one for every batch of pairs. `saved_tensors` holds what
    ``save_for_backward`` was given, `saved_for_y` what ``save_for_grad_y`` was given, as tuples; both are empty first.

    Examples
    --------
    >>> import siglib
    >>> ctx = siglib.Context()
    >>> ctx.save_for_backward(1.0, 2.0)
    >>> ctx.saved_tensors
    (1.0, 2.0)
    """

    def __init__(self) -> None:
        self.saved_tensors: tuple[Any, ...] = ()
        self.saved_for_y: tuple[Any, ...] = ()

    def save_for_backward(self, *args: Any) -> None:
        """Keep what `grad_x` and `grad_y` need, as ``saved_tensors``."""
        self.saved_tensors = args

    def save_for_grad_y(self, *args: Any) -> None:
        """Keep what `grad_x` has found and `grad_y` may use, as ``saved_for_y``; empty if only `grad_y` is called."""
        self.saved_for_y = args


class StaticKernel(ABC):
    """Base class of static kernels; derive from it for a kernel of your own.

    A kernel kappa enters a signature kernel by its double increments over the segments of two paths,

        G[i, j] = kappa(x[i+1], y[j+1]) - kappa(x[i], y[j+1]) - kappa(x[i+1], y[j]) + kappa(x[i], y[j]).

    ``kernel(ctx, x, y)`` computes them for a batch of pairs: `x` has shape (pairs, length1, dimension), `y` (pairs,
    length2, dimension), the result (pairs, length1 - 1, length2 - 1) in the same dtype. Given the derivatives `derivs`
    of a function with respect to G, of the shape of G, ``grad_x(ctx, derivs)`` gives its derivatives with respect to
    `x`, of the shape of `x`, and ``grad_y(ctx, derivs)`` those with respect to `y`. Whichever of them is wanted is
    called after ``kernel(ctx, x, y)`` with the same `Context`; `grad_x` comes first. Lengths are at least 2, and kappa
    must be symmetric.

    The arrays are of the caller's library: NumPy arrays for NumPy arrays, tensors for tensors, in float32 or float64,
    paths already transformed. Set the class attribute ``tensors_only = True`` to be given tensors in any case; classes
    written for pySigLib need that, if they are to be used with NumPy arrays.

    Parameters of such a kernel that are tensors get no gradient; those of the kernels of siglib do.

    Raises
    ------
    TypeError
        From a signature kernel, if one of the functions returns something else than an array of the right library and
        dtype, or ValueError, if its shape is wrong.

    Examples
    --------
    The sum of two kernels, with NumPy or PyTorch:

    >>> import numpy as np, siglib
    >>> class Sum(siglib.StaticKernel):
    ...     def __init__(self, *kernels):
    ...         self.kernels = kernels
    ...
    ...     def __call__(self, ctx, x, y):
    ...         contexts = [siglib.Context() for _ in self.kernels]
    ...         ctx.save_for_backward(*contexts)
    ...         return sum(kernel(c, x, y) for kernel, c in zip(self.kernels, contexts))
    ...
    ...     def grad_x(self, ctx, derivs):
    ...         return sum(kernel.grad_x(c, derivs) for kernel, c in zip(self.kernels, ctx.saved_tensors))
    ...
    ...     def grad_y(self, ctx, derivs):
    ...         return sum(kernel.grad_y(c, derivs) for kernel, c in zip(self.kernels, ctx.saved_tensors))
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> two = Sum(siglib.LinearKernel(), siglib.LinearKernel())
    >>> same = siglib.ScaledLinearKernel(2**0.5)
    >>> kernels = [siglib.sig_kernel(path, path, dyadic_order=3, static_kernel=kernel) for kernel in (two, same)]
    >>> bool(np.isclose(*kernels))
    True
    """

    tensors_only: ClassVar[bool] = False
    _code: ClassVar[int] = GIVEN

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Whoever overrides a method of a kernel of siglib wants it called.
        if "_code" not in vars(cls) and not vars(cls).keys().isdisjoint(("__call__", "grad_x", "grad_y")):
            cls._code = GIVEN

    @abstractmethod
    def __call__(self, ctx: Context, x: Array, y: Array) -> Array:
        """Double increments of the kernel, of shape (pairs, length1 - 1, length2 - 1)."""

    @abstractmethod
    def grad_x(self, ctx: Context, derivs: Array) -> Array:
        """Derivatives with respect to `x`, from those with respect to the double increments."""

    @abstractmethod
    def grad_y(self, ctx: Context, derivs: Array) -> Array:
        """Derivatives with respect to `y`, from those with respect to the double increments."""

    def _parameters(self) -> tuple[Any, ...]:
        """Three numbers, tensors of one element among them, as the compiled kernels take them."""
        return (0.0, 0.0, 0.0)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({options})"


def numbers_of(kernel: StaticKernel) -> Any:
    """The parameters of a kernel: a tuple of three floats, or a float64 tensor if any of them is a tensor."""
    values = kernel._parameters()
    for value in values:
        if type(value) is not float:
            return stacked_numbers(values)
    return values


def _value(parameter: Any) -> float:
    """The number that a parameter is."""
    return parameter if isinstance(parameter, float) else float(parameter.detach())


def _parameter(name: str, value: Any, *, positive: bool) -> Any:
    """A parameter as a float, or as the tensor of one element that it is; ValueError if it is out of range."""
    number = value = settled(name, value)
    if hasattr(value, "requires_grad"):
        if value.numel() != 1 or not value.is_floating_point():
            raise TypeError(
                f"{name} must be a number or a tensor of one, got shape {tuple(value.shape)}, {value.dtype}"
            )
        try:
            if not values_are_known():
                return value
            number = float(value.detach())
        except RuntimeError:
            # Mapped by vmap: it has no single value.
            return value
    else:
        number = value = as_float(name, value)
    if number < 0 or (positive and number == 0):
        raise ValueError(f"{name} must be {'positive' if positive else 'at least 0'}, got {number}")
    return value


# Double increments and their adjoint


def _double_increments(kappa: Array) -> Array:
    return kappa[:, 1:, 1:] - kappa[:, 1:, :-1] - kappa[:, :-1, 1:] + kappa[:, :-1, :-1]


def _of_points(xp: Any, derivs: Array) -> Array:
    """Derivatives with respect to the kernel at all points, from those with respect to its double increments."""
    pairs, rows, columns = derivs.shape
    out = xp.zeros((pairs, rows + 1, columns + 1), dtype=derivs.dtype)
    out[:, 1:, 1:] += derivs
    out[:, 1:, :-1] -= derivs
    out[:, :-1, 1:] -= derivs
    out[:, :-1, :-1] += derivs
    return out


def _of_path(xp: Any, derivs: Array) -> Array:
    """Derivatives with respect to a path, from those with respect to its increments."""
    pairs, n, dimension = derivs.shape
    out = xp.zeros((pairs, n + 1, dimension), dtype=derivs.dtype)
    out[:, 1:] += derivs
    out[:, :-1] -= derivs
    return out


class ScaledLinearKernel(StaticKernel):
    """The inner product, scaled: kappa(x, y) = scale**2 <x, y>.

    Parameters
    ----------
    scale : float or tensor of one element, default 1.0
        Factor of both paths, at least 0. A PyTorch tensor that requires grad gets its gradient.

    Raises
    ------
    TypeError, ValueError
        If `scale` is no number, or is negative.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.ScaledLinearKernel(2.0)
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    11.302
    """

    _code = LINEAR

    def __init__(self, scale: float | Array = 1.0) -> None:
        self.scale = _parameter("scale", scale, positive=False)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.scale, 0.0, 0.0)

    def __call__(self, ctx: Context, x: Array, y: Array) -> Array:
        dx, dy = x[:, 1:] - x[:, :-1], y[:, 1:] - y[:, :-1]
        square = self._parameters()[0] ** 2
        ctx.save_for_backward(dx, dy, square)
        return square * (dx @ dy.swapaxes(1, 2))

    def grad_x(self, ctx: Context, derivs: Array) -> Array:
        _, dy, square = ctx.saved_tensors
        return _of_path(namespace_of(derivs), square * (derivs @ dy))

    def grad_y(self, ctx: Context, derivs: Array) -> Array:
        dx, _, square = ctx.saved_tensors
        return _of_path(namespace_of(derivs), square * (derivs.swapaxes(1, 2) @ dx))


class LinearKernel(ScaledLinearKernel):
    """The inner product, kappa(x, y) = <x, y>: the signature kernel proper, and the default.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.LinearKernel()
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    2.28
    """

    def __init__(self) -> None:
        pass

    def _parameters(self) -> tuple[Any, ...]:
        return (1.0, 0.0, 0.0)


class PolynomialKernel(StaticKernel):
    """Powers of the inner product: kappa(x, y) = scale (<x, y> + gamma)**degree.

    Parameters
    ----------
    degree : float or tensor of one element, default 3.0
        The exponent, at least 0. If it is no integer, a negative base counts as 0, with one RuntimeWarning per object.
    gamma : float or tensor of one element, default 1.0
        What is added to the inner product.
    scale : float or tensor of one element, default 1.0
        The factor, at least 0. PyTorch tensors that require grad get their gradient.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no number, or `degree` or `scale` is negative.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.PolynomialKernel(2.0, gamma=1.0)
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    7.159
    """

    _code = POLYNOMIAL

    def __init__(self, degree: float | Array = 3.0, gamma: float | Array = 1.0, scale: float | Array = 1.0) -> None:
        self.degree = _parameter("degree", degree, positive=False)
        self.gamma = gamma if hasattr(gamma, "requires_grad") else as_float("gamma", gamma)
        self.scale = _parameter("scale", scale, positive=False)
        self._has_warned = False

    def _parameters(self) -> tuple[Any, ...]:
        return (self.degree, self.gamma, self.scale)

    def _warn_of_negative_base(self, warn: Callable[[str], None]) -> None:
        """Once for each object."""
        with _warning:
            first, self._has_warned = not self._has_warned, True
        if first:
            warn(
                f"PolynomialKernel: <x, y> + gamma is negative somewhere and degree={_value(self.degree)} is no "
                "integer: such values count as 0. Take an integer degree, or a larger gamma"
            )

    def __call__(self, ctx: Context, x: Array, y: Array) -> Array:
        base = x @ y.swapaxes(1, 2) + self.gamma
        if _value(self.degree) % 1:
            # On a GPU nobody waits for numbers to warn about them.
            if not self._has_warned and not is_on_gpu(base) and bool((base < 0).any()):
                self._warn_of_negative_base(lambda message: warnings.warn(message, RuntimeWarning, stacklevel=4))
            base = base * (base > 0)
        ctx.save_for_backward(x, y, base)
        return _double_increments(self.scale * base**self.degree)

    def _slopes(self, ctx: Context, derivs: Array) -> Array:
        """Derivatives with respect to the inner products."""
        xp, base, degree = namespace_of(derivs), ctx.saved_tensors[2], _value(self.degree)
        if degree % 1:
            positive = base > 0
            slope = positive * xp.where(positive, base, xp.ones_like(base)) ** (degree - 1)
        else:
            slope = base ** (degree - 1) if degree else xp.zeros_like(base)
        return _of_points(xp, derivs) * (_value(self.scale) * degree * slope)

    def grad_x(self, ctx: Context, derivs: Array) -> Array:
        return self._slopes(ctx, derivs) @ ctx.saved_tensors[1]

    def grad_y(self, ctx: Context, derivs: Array) -> Array:
        return self._slopes(ctx, derivs).swapaxes(1, 2) @ ctx.saved_tensors[0]


class _DistanceKernel(StaticKernel):
    """Kernels of the distance of two points, computed from their differences."""

    def __init__(self, sigma: float | Array) -> None:
        self.sigma = _parameter("sigma", sigma, positive=True)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.sigma, 0.0, 0.0)

    @abstractmethod
    def _profile(self, xp: Any, square: Array) -> tuple[Array, Array]:
        """The kernel as a function of the squared distance, and its derivative."""

    def __call__(self, ctx: Context, x: Array, y: Array) -> Array:
        square = sum(_difference(x, y, c) ** 2 for c in range(x.shape[2]))
        kappa, slope = self._profile(namespace_of(x), square)
        ctx.save_for_backward(x, y, slope)
        return _double_increments(kappa)

    def grad_x(self, ctx: Context, derivs: Array) -> Array:
        x, y, slope = ctx.saved_tensors
        xp = namespace_of(derivs)
        weights = 2 * _of_points(xp, derivs) * slope
        ctx.save_for_grad_y(weights)
        return xp.stack([(weights * _difference(x, y, c)).sum(2) for c in range(x.shape[2])], -1)

    def grad_y(self, ctx: Context, derivs: Array) -> Array:
        x, y, slope = ctx.saved_tensors
        xp = namespace_of(derivs)
        weights = ctx.saved_for_y[0] if ctx.saved_for_y else 2 * _of_points(xp, derivs) * slope
        return xp.stack([-(weights * _difference(x, y, c)).sum(1) for c in range(x.shape[2])], -1)


def _difference(x: Array, y: Array, channel: int) -> Array:
    """Differences of one channel at all pairs of points."""
    return x[:, :, None, channel] - y[:, None, :, channel]


class RBFKernel(_DistanceKernel):
    """The Gaussian kernel, ``exp(-|x - y|**2 / sigma)``: sigma neither squared nor doubled.

    Parameters
    ----------
    sigma : float or tensor of one element
        The width, as a squared distance; positive. A PyTorch tensor that requires grad gets its gradient.

    Raises
    ------
    TypeError, ValueError
        If `sigma` is no number, or not positive.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.RBFKernel(1.0)
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    2.725
    """

    _code = RBF

    def _profile(self, xp: Any, square: Array) -> tuple[Array, Array]:
        kappa = xp.exp(-square / self.sigma)
        return kappa, -kappa / self.sigma


class Matern12Kernel(_DistanceKernel):
    """The exponential kernel, ``exp(-|x - y| / sigma)``.

    It has a kink where x = y: its gradient is taken to be 0 there.

    Parameters
    ----------
    sigma : float or tensor of one element
        The width, as a distance; positive. A PyTorch tensor that requires grad gets its gradient.

    Raises
    ------
    TypeError, ValueError
        If `sigma` is no number, or not positive.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.Matern12Kernel(1.0)
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    2.725
    """

    _code = MATERN12

    def _profile(self, xp: Any, square: Array) -> tuple[Array, Array]:
        r = xp.sqrt(square)
        kappa = xp.exp(-r / self.sigma)
        apart = r > 0
        return kappa, -kappa * apart / (2 * self.sigma * (r + ~apart))


class Matern32Kernel(_DistanceKernel):
    """The Matern kernel of smoothness 3/2: ``(1 + u) exp(-u)``, ``u = sqrt(3) |x - y| / sigma``.

    Parameters
    ----------
    sigma : float or tensor of one element
        The width, as a distance; positive. A PyTorch tensor that requires grad gets its gradient.

    Raises
    ------
    TypeError, ValueError
        If `sigma` is no number, or not positive.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.Matern32Kernel(1.0)
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    2.333
    """

    _code = MATERN32

    def _profile(self, xp: Any, square: Array) -> tuple[Array, Array]:
        u = xp.sqrt(3 * square) / self.sigma
        decay = xp.exp(-u)
        return (1 + u) * decay, -1.5 * decay / self.sigma**2


class Matern52Kernel(_DistanceKernel):
    """The Matern kernel of smoothness 5/2: ``(1 + u + u**2 / 3) exp(-u)``, ``u = sqrt(5) |x - y| / sigma``.

    Parameters
    ----------
    sigma : float or tensor of one element
        The width, as a distance; positive. A PyTorch tensor that requires grad gets its gradient.

    Raises
    ------
    TypeError, ValueError
        If `sigma` is no number, or not positive.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.Matern52Kernel(1.0)
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    2.204
    """

    _code = MATERN52

    def _profile(self, xp: Any, square: Array) -> tuple[Array, Array]:
        u = xp.sqrt(5 * square) / self.sigma
        decay = xp.exp(-u)
        return (1 + u + u * u / 3) * decay, -5 / 6 * (1 + u) * decay / self.sigma**2


class RationalQuadraticKernel(_DistanceKernel):
    """A mixture of Gaussian kernels of all widths: ``(1 + |x - y|**2 / (2 alpha sigma**2))**(-alpha)``.

    Parameters
    ----------
    sigma : float or tensor of one element
        The width, as a distance; positive.
    alpha : float or tensor of one element, default 1.0
        How fast the tails fall; positive. PyTorch tensors that require grad get their gradient.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no number, or not positive.

    Examples
    --------
    >>> import siglib
    >>> kernel = siglib.RationalQuadraticKernel(1.0, alpha=2.0)
    >>> round(float(siglib.sig_kernel([[0], [1]], [[0], [1]], dyadic_order=8, static_kernel=kernel)), 3)
    1.86
    """

    _code = RATIONAL_QUADRATIC

    def __init__(self, sigma: float | Array, alpha: float | Array = 1.0) -> None:
        super().__init__(sigma)
        self.alpha = _parameter("alpha", alpha, positive=True)

    def _parameters(self) -> tuple[Any, ...]:
        return (self.sigma, self.alpha, 0.0)

    def _profile(self, xp: Any, square: Array) -> tuple[Array, Array]:
        width = 2 * self.sigma**2
        base = 1 + square / (self.alpha * width)
        kappa = base**-self.alpha
        return kappa, -kappa / (base * width)
