"""Options that several test modules of signature kernels try, and a static kernel as users may write one."""

from typing import Any

import pytest

import siglib

OPTIONS = [
    {"dyadic_order": 0},
    {"dyadic_order": (2, 1)},
    {"method": "polynomial", "order": 5},
    {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(2.0)},
    {"dyadic_order": 0, "time_aug": True, "lead_lag": True, "end_time": 0.5},
]
options_of_all_kinds = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options)))


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
