"""torch.func.vmap: a mapped axis becomes a batch axis, or the elements are computed one by one."""

import sys
from collections.abc import Callable
from typing import Any


def batched(operation: Any, call: Callable[..., Any], info: Any, in_dims: Any, tensors: Any, o: Any) -> tuple[Any, Any]:
    """The mapped axis becomes the first batch axis where arrays may have any number of them."""
    n, k = operation.n_arrays, operation.n_batched(*tensors)
    if k == 0 or any(axis is not None for axis in in_dims[k:n]):

        def empty(shapes: list[Any]) -> Any:
            return tensors[0].new_empty((0, *operation.sizes(o, *shapes[: operation.n_shared])[0]))

        return _one_by_one(call, info, in_dims[:n], tensors, empty), 0
    arrays = [*_batch_first(info, in_dims[:k], tensors[:k]), *tensors[k:n]]
    shapes = [None if a is None else tuple(a.shape[1 if i < k else 0 :]) for i, a in enumerate(arrays)]
    operation.sizes(o, *shapes[: operation.n_shared])
    return call(*arrays), 0


def batched_backprop(
    operation: Any, call: Callable[..., Any], info: Any, in_dims: Any, inputs: Any, needs: Any
) -> tuple[Any, Any]:
    """The same for gradients; inputs are the derivatives, the result or None, and the arrays."""
    n, tensors = operation.n_arrays, inputs[2:]
    k = operation.n_batched(*tensors)
    # Gradients of arrays without batch axes are sums over a batch, but wanted for each element.
    sums = any(needs[k:])
    if k == 0 or sums or any(axis is not None for axis in in_dims[2 + k :]):

        def empty(shapes: list[Any]) -> Any:
            found = zip(shapes[2:], tensors, needs, strict=True)
            like = inputs[0]
            return tuple(
                like.new_empty((0, *s)) if need and t is not None else like.new_empty((0, 0)) for s, t, need in found
            )

        return _one_by_one(call, info, in_dims, inputs, empty), (0,) * n
    gradients = call(*_batch_first(info, in_dims[: 2 + k], inputs[: 2 + k]), *inputs[2 + k :])
    # What is empty stands for no gradient and has no such axis.
    return gradients, tuple(0 if i < k and needs[i] else None for i in range(n))


def _one_by_one(call: Any, info: Any, in_dims: tuple[int | None, ...], inputs: Any, empty: Any) -> Any:
    """The results of all elements of a mapped axis, stacked."""
    torch: Any = sys.modules["torch"]
    if info.batch_size == 0:
        return empty(
            [
                None
                if array is None
                else tuple(n for i, n in enumerate(array.shape) if axis is None or i != axis % array.ndim)
                for axis, array in zip(in_dims, inputs, strict=True)
            ]
        )
    results = [
        call(*(a if axis is None else a.select(axis, i) for axis, a in zip(in_dims, inputs, strict=True)))
        for i in range(info.batch_size)
    ]
    if isinstance(results[0], torch.Tensor):
        return torch.stack(results)
    return tuple(map(torch.stack, zip(*results, strict=True)))


def _batch_first(info: Any, in_dims: tuple[int | None, ...], arrays: Any) -> list[Any]:
    return [
        array
        if array is None
        else array.expand(info.batch_size, *array.shape)
        if axis is None
        else array.movedim(axis, 0)
        for array, axis in zip(arrays, in_dims, strict=True)
    ]
