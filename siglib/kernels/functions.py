"""Static kernels as functions of JAX: any `function(x, y)` that JAX can differentiate.

JAX computes the double increments of all pairs; what is left is an operation on them. It is the signature kernel
itself, with a static kernel that hands on what stands in the place of the first paths.
"""

from collections.abc import Callable
from typing import Any

from .._call.jax import rows_of
from .._call.libraries import Array, library_of, namespace_of
from .._call.tracing import loaded_jax
from .static_kernels import Context, StaticKernel


class FunctionKernel(StaticKernel):
    """A function that computes double increments, as `StaticKernel.__call__` does, without a context."""

    def __init__(self, function: Callable[[Array, Array], Array]) -> None:
        self.function = function

    def _refused(self) -> TypeError:
        return TypeError(
            f"static_kernel must be a siglib.StaticKernel, got {self.function!r}: functions are for arrays of JAX"
        )

    def __call__(self, ctx: Context, x: Array, y: Array) -> Array:
        raise self._refused()

    def grad_x(self, ctx: Context, derivs: Array) -> Array:
        raise self._refused()

    def grad_y(self, ctx: Context, derivs: Array) -> Array:
        raise self._refused()


class _Increments(StaticKernel):
    """Double increments that were computed before: rows of the first paths behind a row of nothing."""

    def __call__(self, ctx: Context, x: Array, y: Array) -> Array:
        return x[:, 1:]

    def grad_x(self, ctx: Context, derivs: Array) -> Array:
        xp = namespace_of(derivs)
        return xp.concatenate([xp.zeros_like(derivs[:, :1]), derivs], 1)

    def grad_y(self, ctx: Context, derivs: Array) -> Array:
        n, _, n_segments = derivs.shape
        return namespace_of(derivs).zeros((n, n_segments + 1, n_segments), derivs.dtype)


_INCREMENTS = _Increments()


def is_function(static_kernel: Any) -> bool:
    """Whether this may be such a function: not where there is no JAX."""
    return callable(static_kernel) and not isinstance(static_kernel, (type, StaticKernel)) and loaded_jax() is not None


def in_jax(call: Callable[..., Array], operation: Any, pairwise: Any, arrays: tuple[Array, ...], o: Any) -> Array:
    """A signature kernel with a function as its static kernel; `call(operation, arrays, o)` computes one without."""
    from ..paths.transform import transform_path

    jnp = loaded_jax().numpy
    kernel = o.given.function
    first, second = (
        transform_path(jnp.asarray(path), time_aug=o.time_aug, lead_lag=o.lead_lag, end_time=o.end_time)
        for path in arrays[:2]
    )
    shape = operation.sizes(o, *operation.shapes_of(arrays))[0]
    first, second = (path.reshape(-1, *path.shape[-2:]) for path in (first, second))
    off = dict.fromkeys(("time_aug", "lead_lag", "same", "equal", "normalize", "log"), False)
    plain = pairwise.Options._make(o._replace(given=_INCREMENTS, **off))

    def of_pairs(x: Array, y: Array) -> Array:
        expected = (x.shape[0], max(x.shape[1] - 1, 0), max(y.shape[1] - 1, 0))
        cells = jnp.zeros(expected, x.dtype) if 0 in expected[1:] else kernel(x, y)
        if library_of(cells) != "jax" or tuple(cells.shape) != expected:
            raise ValueError(
                f"static_kernel must return an array of shape {expected}, got {getattr(cells, 'shape', cells)!r}"
            )
        # A path of no segments has kernel 1: one channel that does not move.
        rows = jnp.pad(cells, ((0, 0), (1, 0), (0, 1 if cells.shape[2] == 0 else 0)))
        columns = jnp.zeros((x.shape[0], y.shape[1], rows.shape[2]), x.dtype)
        return call(pairwise, (rows, columns, arrays[2]), plain)

    def row(one: Array) -> Array:
        return of_pairs(jnp.broadcast_to(one, (second.shape[0], *one.shape)), second)

    found = (rows_of(row, first) if operation.gram else of_pairs(first, second)).reshape(shape)
    if o.log:
        return jnp.log(found)
    if not o.normalize:
        return found
    own1, own2 = of_pairs(first, first), of_pairs(second, second)
    if operation.gram:
        own1, own2 = own1[:, None], own2[None]
    return (found.reshape(*jnp.broadcast_shapes(own1.shape, own2.shape)) / jnp.sqrt(own1 * own2)).reshape(shape)
