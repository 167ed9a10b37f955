"""What small calls cost besides the arithmetic: one path, or one pair, of 50 points, beside pysiglib, in one process.

    pip install ".[bench]" && python benchmarks/overhead.py

prints times of NumPy calls and of PyTorch's forward and backward passes together, and what PyTorch takes for a function
that does nothing: less than that no pass can take. Both libraries take turns, and each is judged by its fastest round.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pysiglib
import pysiglib.torch_api
import torch
from compare import fastest_rounds

import siglib

LENGTH, DIMENSION, DEGREE = 50, 3, 3

# Name, number of paths, and the call, by the module that it is made of.
CALLS: tuple[tuple[str, int, Callable[..., Any]], ...] = (
    ("sig", 1, lambda lib, x: lib.sig(x, DEGREE)),
    ("log_sig, method 1", 1, lambda lib, x: lib.log_sig(x, DEGREE, method=1)),
    ("log_sig, method 2", 1, lambda lib, x: lib.log_sig(x, DEGREE, method=2)),
    ("sig_kernel, order 0", 2, lambda lib, x, y: lib.sig_kernel(x, y, dyadic_order=0)),
    ("sig_kernel, order 1", 2, lambda lib, x, y: lib.sig_kernel(x, y, dyadic_order=1)),
)


class Nothing(torch.autograd.Function):
    """What comes in, forward and backward."""

    @staticmethod
    def forward(ctx: Any, *paths: Any) -> Any:
        ctx.save_for_backward(*paths)
        return paths[0].detach().clone()

    @staticmethod
    def backward(ctx: Any, derivs: Any) -> Any:
        return (derivs.clone(), *[torch.zeros_like(path) for path in ctx.saved_tensors[1:]])


def both_passes(function: Callable[..., Any], paths: list[Any]) -> Callable[[], None]:
    def call() -> None:
        function(*paths).sum().backward()
        for path in paths:
            path.grad = None

    return call


def microseconds(ours: Callable[[], Any], theirs: Callable[[], Any], budget: float) -> str:
    mine, other = fastest_rounds(ours, theirs, budget)
    return f"{1e6 * mine:.1f} | {1e6 * other:.1f} | {other / mine:.2f}x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="budget of a figure")
    budget = parser.parse_args().seconds
    torch.set_num_threads(1)
    pysiglib.prepare_log_sig(DIMENSION, DEGREE, 3)
    rng = np.random.default_rng(0)
    print("| | NumPy: siglib, us | pysiglib, us | ratio | PyTorch: siglib, us | pysiglib, us | ratio | nothing, us |")
    print("|---|" + "---:|" * 7)
    for name, n_paths, function in CALLS:
        arrays = [0.1 * rng.standard_normal((LENGTH, DIMENSION)).cumsum(0) for _ in range(n_paths)]
        paths = [torch.tensor(array, requires_grad=True) for array in arrays]
        plain = microseconds(lambda: function(siglib, *arrays), lambda: function(pysiglib, *arrays), budget)  # noqa: B023
        ours = both_passes(lambda *x: function(siglib, *x), paths)  # noqa: B023
        theirs = both_passes(lambda *x: function(pysiglib.torch_api, *x), paths)  # noqa: B023
        nothing = both_passes(Nothing.apply, paths)
        passes, floor = microseconds(ours, theirs, budget), fastest_rounds(nothing, nothing, budget / 4)
        print(f"| {name} | {plain} | {passes} | {1e6 * min(floor):.1f} |")


if __name__ == "__main__":
    main()
