"""PyTorch: derivatives of gradients, and forward mode, for all operations.

Both are derivatives along directions, which `tangents.py` makes of a few calls. Those calls are differentiable
functions themselves, and what stands around them is arithmetic of torch's: so derivatives of every order follow.
"""

import sys
from collections.abc import Callable
from typing import Any


def tangent(operation: Any, o: Any, tensors: Any, directions: Any) -> Any:
    """The derivative of the result along directions; None for tensors that stay, and if all of them do."""
    if all(direction is None for direction in directions):
        return None
    torch: Any = sys.modules["torch"]
    return operation.tangent(torch, o, list(tensors), list(directions), operation.called)


def backprop_tangent(
    operation: Any,
    gradient: Callable[..., Any],
    o: Any,
    derivs: Any,
    tensors: Any,
    directions: Any,
    wanted: tuple[bool, ...],
) -> tuple[Any, ...]:
    """The derivatives of the gradients that are wanted, while the tensors move and `derivs` stay.

    `gradient(o, needs, derivs, out, *tensors)` is the gradient as a differentiable function.
    """
    torch: Any = sys.modules["torch"]
    if all(direction is None for direction in directions) or not any(wanted):
        return (None,) * len(tensors)

    def pulled(o: Any, needs: tuple[bool, ...], derivs: Any, tensors: Any) -> tuple[Any, ...]:
        out = None
        if operation.keeps(o):
            # Only a help for the gradient, which is a function of the other two.
            with torch.no_grad():
                out = operation.called(o, [None if tensor is None else tensor.detach() for tensor in tensors])
        results = gradient(o, needs, derivs, out, *tensors)
        return tuple(result if need else None for result, need in zip(results, needs, strict=True))

    return operation.backprop_tangent(torch, o, derivs, list(tensors), list(directions), wanted, pulled)


def added(first: Any, second: Any) -> Any:
    """The sum of what is there."""
    return second if first is None else first if second is None else first + second
