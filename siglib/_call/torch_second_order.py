"""PyTorch: derivatives of gradients, and forward mode, for all operations.

Both are derivatives along directions, which `tangents.py` makes of a few calls. Those calls are differentiable
functions themselves, and what stands around them is arithmetic of torch's: so derivatives of every order follow.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .backend import backend_of_tensors
from .libraries import namespace_of
from .tracing import constant


class _Here(threading.local):
    """Whether a derivative of an operator is being computed in this thread."""

    operators = False


here = _Here()


@contextmanager
def with_operators() -> Iterator[None]:
    """Derivatives of operators are made of operators: torch is in the middle of one of its transforms."""
    before, here.operators = here.operators, True
    try:
        yield
    finally:
        here.operators = before


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
                out = operation.called(o, list(map(constant, tensors)))
        return chosen(gradient(o, needs, derivs, out, *tensors), needs)

    return operation.backprop_tangent(torch, o, derivs, list(tensors), list(directions), wanted, pulled)


def both_tangents(
    operation: Any,
    gradient: Callable[..., Any],
    o: Any,
    derivs: Any,
    tensors: Any,
    directions: Any,
    wanted: tuple[bool, ...],
) -> tuple[Any, ...]:
    """`tangent` if wanted, which the first of `wanted` says, and `backprop_tangent`."""
    if all(direction is None for direction in directions):
        return (None,) * (1 + len(tensors))
    if not wanted[0]:
        return None, *backprop_tangent(operation, gradient, o, derivs, tensors, directions, wanted[1:])
    if not any(wanted[1:]):
        return tangent(operation, o, tensors, directions), *(None,) * len(tensors)

    def pulled(o: Any, needs: tuple[bool, ...], derivs: Any, tensors: Any, out: Any) -> tuple[Any, ...]:
        out = constant(out) if operation.keeps(o) else None
        return chosen(gradient(o, needs, derivs, out, *tensors), needs)

    torch: Any = sys.modules["torch"]
    arrays, moves = list(tensors), list(directions)
    return operation.both_tangents(torch, o, derivs, arrays, moves, wanted[1:], operation.called, pulled)


def both_tangents_of_numbers(
    operation: Any, o: Any, derivs: Any, out: Any, tensors: Any, directions: Any, wanted: tuple[bool, ...]
) -> tuple[Any, ...]:
    """What `both_tangents` gives, without a graph; gradients are wanted. `out` is the result, if it is kept.

    In main memory it is arithmetic of NumPy's, which takes a third of the time on arrays as small as most are.
    """
    known = out if operation.keeps(o) else None
    names = ("derivs", "out", *operation.shared_names, *operation.direction_names)
    on, (derivs, known, *arrays) = backend_of_tensors(names, (derivs, known, *tensors, *directions), derivs.dtype)
    n, xp = len(tensors), namespace_of(derivs)

    def called(o: Any, arrays: Any) -> Any:
        return operation.run(on, arrays, o)[0]

    def pulled(o: Any, needs: Any, derivs: Any, arrays: Any, out: Any = None) -> Any:
        if out is None and operation.keeps(o):
            out = called(o, arrays)
        sizes = operation.known_sizes(o, *operation.shapes_of(arrays))
        return chosen(operation.backward(on, needs, derivs, out, o, sizes, *arrays), needs)

    what = (xp, o, derivs, arrays[:n], arrays[n:], wanted[1:])
    with np.errstate(all="ignore"):
        found = (
            operation.both_tangents(*what, called, pulled, known)
            if wanted[0]
            else (None, *operation.backprop_tangent(*what, pulled))
        )
    return tuple(None if d is None else on.result(np.asarray(d) if xp is np else d) for d in found)


def help_of(out: Any) -> Any:
    """The result without its graph, for the gradient: a function of the other arrays, which it only helps to compute.

    Otherwise torch would compute one more gradient, of nothing.
    """
    return None if out is None else constant(out)


def as_primals(tensors: Any) -> list[Any]:
    """The tensors without the tangents of the innermost level, whose derivative is just being computed."""
    unpack = sys.modules["torch"].autograd.forward_ad.unpack_dual
    return [None if tensor is None else unpack(tensor).primal for tensor in tensors]


def forward_mode() -> Any:
    """A context that is for forward mode what `create_graph` is for gradients: tangents have tangents in it."""
    return sys.modules["torch"].autograd.forward_ad._set_fwd_grad_enabled(True)


def chosen(results: Any, needs: Any) -> tuple[Any, ...]:
    """Results that are needed; None for the others, which are empty."""
    return tuple(result if need else None for result, need in zip(results, needs, strict=True))


def added(first: Any, second: Any) -> Any:
    """The sum of what is there."""
    return second if first is None else first if second is None else first + second
