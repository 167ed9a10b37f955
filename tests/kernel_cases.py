"""Options that several test modules of signature kernels try, and a static kernel as users may write one."""

from typing import Any

import pytest

import siglib
from siglib._call.backend import backend_of
from siglib.kernels.operations import OPERATIONS

OPTIONS = [
    {"dyadic_order": 0},
    {"dyadic_order": (2, 1)},
    {"method": "polynomial", "order": 5},
    {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(2.0)},
    {"dyadic_order": 0, "time_aug": True, "lead_lag": True, "end_time": 0.5},
]
options_of_all_kinds = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options)))


def gradients(
    name: str, derivs: Any, out: Any, x: Any, y: Any, *, numbers: bool = True, **options: Any
) -> tuple[Any, ...]:
    """What autograd has of a kernel with `RBFKernel(1.5)`, by both paths and its numbers; `out` is the result.

    For arrays of any library. Where `x` is `y`, the first gradient is that of both.
    """
    operation = OPERATIONS[name]
    o = operation.clean(
        {
            **dict.fromkeys(operation.options, False),
            "static_kernel": siglib.RBFKernel._code,
            "order1": 0,
            "order2": 0,
            "end_time": 1.0,
            "n_jobs": 1,
            "max_batch": -1,
            "given": None,
            "same": x is y,
            "equal": x is y,
            "total": True,
            "depth" if "depth" in operation.options else "order": 2 if "depth" in operation.options else 0,
            **options,
        }
    )
    on, (derivs, out, *paths) = backend_of(("derivs", "out", "path1", "path2"), (derivs, out, x, y))
    sizes = operation.known_sizes(o, *operation.shapes_of([*paths, None]))
    return operation.pulled(on, (True, True, numbers), derivs, out, o, sizes, [*paths, (1.5, 0.0, 0.0)])


class Quadratic(siglib.StaticKernel):
    """<x, y>**2, computed in a few ways that users may choose."""

    def __init__(self, layout: str = "plain") -> None:
        self.layout = layout
        self.pairs: list[int] = []
        self.types: set[type] = set()

    def __call__(self, ctx: siglib.Context, x: Any, y: Any) -> Any:
        assert x.ndim == y.ndim == 3
        self.pairs.append(len(x))
        self.types.add(type(x))
        products = x @ y.swapaxes(1, 2)
        ctx.save_for_backward(x, y, products)
        kappa = products**2
        increments = kappa[:, 1:, 1:] - kappa[:, 1:, :-1] - kappa[:, :-1, 1:] + kappa[:, :-1, :-1]
        if self.layout == "transposed":
            return (increments.swapaxes(1, 2) + 0).swapaxes(1, 2)
        return increments

    def slopes(self, ctx: siglib.Context, derivs: Any) -> Any:
        assert derivs.ndim == 3
        out = 0 * ctx.saved_tensors[2]
        out[:, 1:, 1:] += derivs
        out[:, 1:, :-1] -= derivs
        out[:, :-1, 1:] -= derivs
        out[:, :-1, :-1] += derivs
        return 2 * out * ctx.saved_tensors[2]

    def grad_x(self, ctx: siglib.Context, derivs: Any) -> Any:
        slopes = self.slopes(ctx, derivs)
        ctx.save_for_grad_y(slopes)
        return slopes @ ctx.saved_tensors[1]

    def grad_y(self, ctx: siglib.Context, derivs: Any) -> Any:
        slopes = ctx.saved_for_y[0] if ctx.saved_for_y else self.slopes(ctx, derivs)
        return slopes.swapaxes(1, 2) @ ctx.saved_tensors[0]
