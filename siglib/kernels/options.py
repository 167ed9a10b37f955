"""Options and shapes of signature kernels: clean values, or errors that name the argument."""

from typing import Any

from .._call.block_sizes import pair_seconds
from .._call.options import as_bool, as_int, as_n_jobs, as_transform
from .._call.shapes import check_batch, path_shape
from .functions import FunctionKernel, is_function
from .static_kernels import LinearKernel, StaticKernel

# Grids beyond this many steps along one path are refused: nobody could wait for them.
_MAX_STEPS = 2**31
# Deeper trees have more nodes than anybody could sum: kernels that still change there have long overflowed.
_MAX_DEPTH = 1000
_LINEAR_KERNEL = LinearKernel()


def solver_orders(method: Any, dyadic_order: Any, order: Any) -> tuple[int, int, int]:
    """(order1, order2, order) as kernels take them: `order` is 0 for finite differences."""
    if method == "finite_difference":
        if order is not None:
            raise ValueError(f"order belongs to method='polynomial': leave it at None, got {order!r}")
        if dyadic_order is None:
            raise ValueError(
                "method='finite_difference' needs a dyadic_order: an integer, 0 or more, or a pair of them"
            )
        return *dyadic_orders(dyadic_order), 0
    if method == "polynomial":
        if dyadic_order is not None:
            raise ValueError(
                f"dyadic_order belongs to method='finite_difference': leave it at None, got {dyadic_order!r}"
            )
        if order is None:
            raise ValueError("method='polynomial' needs an order: an integer from 2 to 64")
        order = as_int("order", order, 2)
        if order > 64:
            raise ValueError(f"order must be at most 64, got {order}")
        return 0, 0, order
    if not isinstance(method, str):
        raise TypeError(f"method must be 'finite_difference' or 'polynomial', got {method!r}")
    raise ValueError(f"method must be 'finite_difference' or 'polynomial', got {method!r}")


def dyadic_orders(dyadic_order: Any) -> tuple[int, int]:
    """Those of both paths."""
    if isinstance(dyadic_order, (tuple, list)):
        if len(dyadic_order) != 2:
            raise ValueError(f"dyadic_order must be an integer or a pair of them, got {dyadic_order!r}")
        return _dyadic_order(dyadic_order[0]), _dyadic_order(dyadic_order[1])
    order = _dyadic_order(dyadic_order)
    return order, order


def _dyadic_order(value: Any) -> int:
    value = as_int("dyadic_order", value, 0)
    if value > 30:
        raise ValueError(f"dyadic_order must be at most 30, got {value}: the grid would have 4**{value} nodes a cell")
    return value


def as_depth(depth: Any) -> int:
    """The depth of a branched kernel."""
    depth = as_int("depth", depth, 0)
    if depth > _MAX_DEPTH:
        raise ValueError(f"depth must be at most {_MAX_DEPTH}, got {depth}")
    return depth


def as_static_kernel(static_kernel: Any) -> StaticKernel:
    """The static kernel: the linear one for None."""
    if static_kernel is None:
        return _LINEAR_KERNEL
    if isinstance(static_kernel, StaticKernel):
        return static_kernel
    if is_function(static_kernel):
        return FunctionKernel(static_kernel)
    hint = ": give an object, not the class" if isinstance(static_kernel, type) else ""
    raise TypeError(f"static_kernel must be a siglib.StaticKernel, got {static_kernel!r}{hint}")


def as_max_batch(max_batch: Any) -> int:
    """-1, or a positive number."""
    max_batch = as_int("max_batch", max_batch, -1)
    if max_batch == 0:
        raise ValueError("max_batch must not be 0: give a positive number, or -1 for no limit")
    return max_batch


def as_gram_options(
    *,
    method: Any,
    dyadic_order: Any,
    order: Any,
    static_kernel: Any,
    time_aug: Any,
    lead_lag: Any,
    end_time: Any,
    n_jobs: Any,
    max_batch: Any,
    normalize: Any,
) -> dict[str, Any]:
    """Clean options for functions that call `sig_kernel_gram` more than once."""
    order1, order2, order = solver_orders(method, dyadic_order, order)
    time_aug, lead_lag, end_time = as_transform(time_aug, lead_lag, end_time)
    return {
        "method": "polynomial" if order else "finite_difference",
        "dyadic_order": None if order else (order1, order2),
        "order": order or None,
        "static_kernel": as_static_kernel(static_kernel),
        "time_aug": time_aug,
        "lead_lag": lead_lag,
        "end_time": end_time,
        "n_jobs": as_n_jobs(n_jobs),
        "max_batch": as_max_batch(max_batch),
        "normalize": as_bool("normalize", normalize),
    }


def transformed_length(length: int, lead_lag: bool) -> int:
    return 2 * length - 1 if lead_lag and length > 0 else length


def grid_length(name: str, length: int, dyadic_order: int) -> int:
    """Nodes of the grid along a path of this length; those of length 0 and 1 have one node."""
    steps = (length - 1 if length > 0 else 0) << dyadic_order
    if steps >= _MAX_STEPS:
        raise ValueError(f"dyadic_order={dyadic_order} makes {steps} steps of {name}, of length {length}: too many")
    return steps + 1


def seconds_of_pair(
    path1: tuple[int, ...], path2: tuple[int, ...], orders: tuple[int, int], lead_lag: bool, times: int | None
) -> float:
    """About how long a pair of paths of these shapes takes; `times` is how often each node of the grid is computed."""
    nodes = [
        grid_length(name, transformed_length(shape[-2], lead_lag), order)
        for name, shape, order in (("path1", path1, orders[0]), ("path2", path2, orders[1]))
    ]
    return pair_seconds(nodes[0], nodes[1], times or 1)


def kernel_shape(
    gram: bool,
    path1: tuple[int, ...],
    path2: tuple[int, ...],
    *,
    order1: int,
    order2: int,
    lead_lag: bool,
    return_grid: bool,
) -> tuple[int, ...]:
    """Shape of the result, or an error for shapes that do not go together."""
    batch1, length1, dimension1 = path_shape("path1", path1)
    batch2, length2, dimension2 = path_shape("path2", path2)
    if dimension1 != dimension2:
        raise ValueError(
            f"path1 and path2 must have the same number of channels, got shapes {tuple(path1)} and {tuple(path2)}"
        )
    if gram:
        batch = (*batch1, *batch2)
    else:
        check_batch("path1", batch1, "path2", batch2)
        batch = tuple(batch1)
    rows = grid_length("path1", transformed_length(length1, lead_lag), order1)
    columns = grid_length("path2", transformed_length(length2, lead_lag), order2)
    return (*batch, rows, columns) if return_grid else batch
