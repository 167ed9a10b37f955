"""Signature kernels in PyTorch: gradients of everything, parameters of static kernels included, and the compiler."""

import functools
from typing import Any

import numpy as np
import pytest
import reference_kernels as reference
from checking import assert_close, optional

import siglib

torch = optional("torch")

SOLVERS: list[dict[str, Any]] = [
    {"dyadic_order": 0},
    {"dyadic_order": (1, 2)},
    {"method": "polynomial", "order": 5},
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"normalize": True},
    {"log": True},
    {"return_grid": True},
    {"time_aug": True},
    {"lead_lag": True},
]
KERNELS = [
    ("ScaledLinearKernel", [1.3]),
    ("RBFKernel", [1.3]),
    ("PolynomialKernel", [2.5, 6.0, 0.1]),
    ("Matern12Kernel", [1.3]),
    ("Matern32Kernel", [1.3]),
    ("Matern52Kernel", [1.3]),
    ("RationalQuadraticKernel", [1.3, 0.8]),
]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=str)
options = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: next(iter(option), "plain"))
kernels = pytest.mark.parametrize(("name", "values"), KERNELS, ids=lambda value: value if type(value) is str else "")


def paths(*shape: int, size: float = 0.3, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return (size * torch.randn(shape, dtype=torch.float64, generator=generator)).requires_grad_()


@options
@solvers
def test_gradients_of_kernels(solver: dict[str, Any], option: dict[str, Any]) -> None:
    # Logarithms need positive kernels: of small paths.
    size = 0.1 if "log" in option else 0.4
    x, y = paths(3, 6, 2, size=size), paths(3, 5, 2, size=size, seed=1)
    assert torch.autograd.gradcheck(lambda a, b: siglib.sig_kernel(a, b, **solver, **option), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: siglib.sig_kernel_gram(a, b, **solver, **option), (x, y[:2].detach()))


@pytest.mark.parametrize("size", [30.0, 300.0, 5000.0])
@pytest.mark.parametrize("batch", [1, 9])
def test_gradients_of_logarithms_beyond_the_range_of_numbers(size: float, batch: int) -> None:
    # One pair is swept along its diagonals, nine pairs side by side.
    rng = np.random.default_rng(3)
    x = np.cumsum(rng.standard_normal((90, 3)), axis=0)
    x *= np.sqrt(size / np.sum(np.diff(x, axis=0) ** 2))
    y = x[:80] + 0.01 * rng.standard_normal((80, 3))
    dx, dy = 0.01 * rng.standard_normal((90, 3)), 0.01 * rng.standard_normal((80, 3))

    def slope(dx: Any, dy: Any, h: float = 1e-4) -> float:
        return (reference.log_kernel(x + h * dx, y + h * dy) - reference.log_kernel(x - h * dx, y - h * dy)) / (2 * h)

    by_x, by_y = slope(dx, 0 * dy), slope(0 * dx, dy)
    a, b = (torch.tensor(path).expand(batch, -1, -1).clone().requires_grad_() for path in (x, y))
    siglib.sig_kernel(a, b, dyadic_order=0, log=True).sum().backward()
    for i in range(batch):
        assert_close(np.sum(a.grad[i].numpy() * dx), by_x, 1e-6)
        assert_close(np.sum(b.grad[i].numpy() * dy), by_y, 1e-6)


@options
@solvers
def test_gradients_of_symmetric_grams(solver: dict[str, Any], option: dict[str, Any]) -> None:
    x = paths(3, 5, 2, size=0.1 if "log" in option else 0.4)
    assert torch.autograd.gradcheck(lambda a: siglib.sig_kernel_gram(a, a, **solver, **option), (x,))


@pytest.mark.parametrize("option", [{}, {"normalize": True}], ids=str)
def test_paths_of_equal_numbers_keep_gradients_of_their_own(option: dict[str, Any]) -> None:
    x = paths(3, 5, 2, size=0.4)
    weights = torch.arange(9.0, dtype=torch.float64).reshape(3, 3)

    def gradient(left: Any, right: Any) -> Any:
        gram = siglib.sig_kernel_gram(left, right, dyadic_order=1, **option)
        return torch.autograd.grad((weights * gram).sum(), x)[0]

    other = x.detach().clone()
    other[2, 4, 1] += 1e-9  # not the same numbers: no pair stands for another one
    left, right = gradient(x, other), gradient(other, x)
    assert (left - right).abs().max() > 0.01
    for same in (x.detach(), x.detach().clone()):
        assert_close(gradient(x, same).numpy(), left.numpy(), 1e-7)
        assert_close(gradient(same, x).numpy(), right.numpy(), 1e-7)
    for twice in ((x, x), (x, x[:]), (x[:], x), (x, x.clone())):
        assert_close(gradient(*twice).numpy(), (left + right).numpy(), 1e-7)


@kernels
def test_gradients_of_parameters(name: str, values: list[float]) -> None:
    parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    kernel = getattr(siglib, name)
    x, y = paths(3, 6, 2), paths(2, 5, 2, seed=1)

    def gram(a: Any, b: Any, *p: Any) -> Any:
        return siglib.sig_kernel_gram(a, b, dyadic_order=1, static_kernel=kernel(*p))

    def normalised(a: Any, *p: Any) -> Any:
        return siglib.sig_kernel_gram(a, a, dyadic_order=1, static_kernel=kernel(*p), normalize=True)

    assert torch.autograd.gradcheck(gram, (x, y, *parameters))
    assert torch.autograd.gradcheck(normalised, (x, *parameters))


@kernels
def test_gradients_of_parameters_for_a_single_long_pair(name: str, values: list[float]) -> None:
    x, y = (paths(1, 70, 2, size=0.1, seed=seed).detach().cumsum(1) for seed in (0, 1))

    def k(*parameters: Any) -> Any:
        return siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=getattr(siglib, name)(*parameters))

    parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    assert torch.autograd.gradcheck(k, parameters)


def test_gradients_of_metrics() -> None:
    x, y = paths(3, 5, 2), paths(4, 5, 2, seed=1)
    for metric in (siglib.sig_mmd, siglib.sig_score, siglib.expected_sig_score):
        for option in ({}, {"normalize": True}):
            f = functools.partial(metric, dyadic_order=0, **option)
            assert torch.autograd.gradcheck(f, (x, y))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_programs() -> None:
    def loss(a: Any, b: Any) -> Any:
        return siglib.sig_kernel_gram(a, b, dyadic_order=1, static_kernel=siglib.RBFKernel(1.0)).sum()

    x, y = paths(3, 6, 2), paths(2, 5, 2, seed=1)
    (expected,) = torch.autograd.grad(loss(x, y), x)
    torch._dynamo.reset()
    (actual,) = torch.autograd.grad(torch.compile(loss, fullgraph=True, backend="aot_eager")(x, y), x)
    assert_close(actual, expected.numpy(), 1e-13)


class Tripled(siglib.StaticKernel):
    """3 <x, y>, with its adjoint, written by a user."""

    def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
        dx, dy = x.diff(dim=1), y.diff(dim=1)
        ctx.save_for_backward(dx, dy)
        return 3 * dx @ dy.mT

    def grad_x(self, ctx: Any, derivs: Any) -> Any:
        return self._points(3 * derivs @ ctx.saved_tensors[1])

    def grad_y(self, ctx: Any, derivs: Any) -> Any:
        return self._points(3 * derivs.mT @ ctx.saved_tensors[0])

    @staticmethod
    def _points(increments: Any) -> Any:
        pad = torch.nn.functional.pad
        return pad(increments, (0, 0, 1, 0)) - pad(increments, (0, 0, 0, 1))


@solvers
def test_kernels_of_the_user(solver: dict[str, Any]) -> None:
    x, y = paths(3, 6, 2), paths(2, 5, 2, seed=1)
    built_in = siglib.ScaledLinearKernel(3**0.5)
    expected = siglib.sig_kernel_gram(x, y, static_kernel=built_in, **solver)
    actual = siglib.sig_kernel_gram(x, y, static_kernel=Tripled(), max_batch=2, **solver)
    assert_close(actual, expected.detach().numpy(), 1e-12)
    assert torch.autograd.gradcheck(
        lambda a, b: siglib.sig_kernel_gram(a, b, static_kernel=Tripled(), **solver), (x, y)
    )
