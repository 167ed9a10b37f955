"""Static kernels written by users: with values and gradients of the built-in kernel that they repeat."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits
from kernel_cases import Quadratic

import siglib

BUILT_IN = siglib.PolynomialKernel(2.0, gamma=0.0)


@pytest.mark.parametrize("layout", ["plain", "transposed"])
@pytest.mark.parametrize(
    "solver", [{"dyadic_order": (1, 0)}, {"dyadic_order": 1}, {"method": "polynomial", "order": 4}]
)
@pytest.mark.parametrize("max_batch", [-1, 1, 2])
def test_user_kernels(layout: str, solver: dict, max_batch: int, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = random_paths(rng, 4, 5, 2, dtype=dtype) / 2, random_paths(rng, 3, 4, 2, dtype=dtype) / 2
    kernel = Quadratic(layout)
    for second in (y, x):
        for more in ({}, {"normalize": True}, {"log": True}, {"return_grid": True}, {"time_aug": True}):
            gram = siglib.sig_kernel_gram(x, second, static_kernel=kernel, max_batch=max_batch, **solver, **more)
            assert_close(gram, siglib.sig_kernel_gram(x, second, static_kernel=BUILT_IN, **solver, **more))
        derivs = rng.standard_normal((4, len(second))).astype(dtype)
        gradients, expected = (
            siglib.sig_kernel_gram_backprop(derivs, x, second, static_kernel=k, right_deriv=True, **solver)
            for k in (kernel, BUILT_IN)
        )
        for a, b in zip(gradients, expected, strict=True):
            assert a.dtype == dtype
            assert_close(a, b)
    single = siglib.sig_kernel(x[0], y[0], static_kernel=kernel, **solver)
    assert_close(single, siglib.sig_kernel(x[0], y[0], static_kernel=BUILT_IN, **solver))
    _, right = siglib.sig_kernel_backprop(
        np.ones(3, dtype), x[:3], y, static_kernel=kernel, left_deriv=False, right_deriv=True, **solver
    )
    _, wanted = siglib.sig_kernel_backprop(
        np.ones(3, dtype), x[:3], y, static_kernel=BUILT_IN, left_deriv=False, right_deriv=True, **solver
    )
    assert_close(right, wanted)


@pytest.mark.parametrize("dyadic_order", [0, (1, 2)])
@pytest.mark.parametrize("batch", [1, 3])
def test_user_kernels_on_long_paths(dyadic_order: Any, batch: int, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = random_paths(rng, batch, 90, 2, dtype=dtype) / 2, random_paths(rng, batch, 75, 2, dtype=dtype) / 2
    (value, gradient), (wanted_value, wanted_gradient) = (
        (
            siglib.sig_kernel(x, y, static_kernel=kernel, dyadic_order=dyadic_order),
            siglib.sig_kernel_backprop(
                np.ones(batch, dtype), x, y, static_kernel=kernel, dyadic_order=dyadic_order, right_deriv=True
            ),
        )
        for kernel in (Quadratic(), BUILT_IN)
    )
    assert_close(value, wanted_value)
    for a, b in zip(gradient, wanted_gradient, strict=True):
        assert_close(a, b)


def test_pairs_come_in_chunks() -> None:
    x, y = np.zeros((5, 3, 2)), np.zeros((3, 4, 2))
    for second, pairs in ((y, 15), (x, 15)):
        kernel = Quadratic()
        siglib.sig_kernel_gram(x, second, dyadic_order=0, static_kernel=kernel, max_batch=2)
        assert max(kernel.pairs) == 4
        assert sum(kernel.pairs) == pairs
        kernel = Quadratic()
        siglib.sig_kernel_gram(x, second, dyadic_order=0, static_kernel=kernel)
        assert kernel.pairs == [pairs]
    kernel = Quadratic()
    siglib.sig_kernel_gram(np.zeros((8, 1000, 2)), np.ones((8, 1000, 2)), dyadic_order=0, static_kernel=kernel)
    assert sum(kernel.pairs) == 64
    assert max(kernel.pairs) < 8


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda increments: increments[:, 1:], ValueError, r"Wrong.__call__ must return shape \(2, 3, 2\), got \(2, 2, 2\)"),
        (lambda increments: increments[0], ValueError, r"Wrong.__call__ must return shape \(2, 3, 2\), got \(3, 2\)"),
        (lambda increments: increments.astype(np.float32), TypeError, "Wrong.__call__ must return dtype float64, .* got float32"),
        (lambda increments: increments.tolist(), TypeError, "Wrong.__call__ must return a ndarray, got list"),
        (lambda increments: None, TypeError, "Wrong.__call__ must return a ndarray, got NoneType"),
    ],
)  # fmt: skip
def test_refused_results_of_user_kernels(change: Callable, error: type[Exception], message: str) -> None:
    class Wrong(Quadratic):
        where = "__call__"

        def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
            increments = super().__call__(ctx, x, y)
            return change(increments) if self.where == "__call__" else increments

        def grad_x(self, ctx: Any, derivs: Any) -> Any:
            return super().grad_x(ctx, derivs)[:, 1:]

    x, y = np.zeros((2, 4, 2)), np.zeros((2, 3, 2))
    kernel = Wrong()
    with pytest.raises(error, match=message):
        siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=kernel)
    kernel.where = "grad_x"
    with pytest.raises(ValueError, match=r"Wrong.grad_x must return shape \(2, 4, 2\), got \(2, 3, 2\)"):
        siglib.sig_kernel_backprop(np.ones(2), x, y, dyadic_order=0, static_kernel=kernel)


def test_overridden_built_in_kernels_are_called() -> None:
    class Counted(siglib.RBFKernel):
        calls = 0

        def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
            self.calls += 1
            return super().__call__(ctx, x, y)

    class Named(siglib.RBFKernel):
        name = "rbf"

    x = np.array([[0.0], [1.0], [0.5]])
    expected = siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=siglib.RBFKernel(0.5))
    counted = Counted(0.5)
    assert_close(siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=counted), expected)
    assert counted.calls == 1
    assert_same_bits(siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=Named(0.5)), expected)


def test_parameters_may_change_between_calls() -> None:
    x = np.array([[0.0], [1.0], [0.5]])
    kernel = siglib.RBFKernel(0.5)
    siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=kernel)
    kernel.sigma = 2.0
    expected = siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=siglib.RBFKernel(2.0))
    assert_same_bits(siglib.sig_kernel(x, x, dyadic_order=1, static_kernel=kernel), expected)


def test_negative_base_warns_once(rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 3, 4, 2), -random_paths(rng, 3, 4, 2) * 3
    kernel = siglib.PolynomialKernel(2.5, gamma=0.0)
    with pytest.warns(
        RuntimeWarning, match=r"<x, y> \+ gamma is negative somewhere and degree=2.5 is no integer"
    ) as record:
        siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=kernel)
    assert len(record) == 1
    siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=kernel)  # no second warning
    siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=siglib.PolynomialKernel(6.0, gamma=0.0))
    siglib.sig_kernel(abs(x), abs(y), dyadic_order=0, static_kernel=siglib.PolynomialKernel(2.5))
