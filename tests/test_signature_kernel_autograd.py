"""Signature kernels in PyTorch: parameters, one array twice, kernels of the user, operators and the compiler.

What holds for every differentiable function is in test_torch.py; gradients by option in test_signature_kernel_torch.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_kernels as reference
from cases import random_paths
from checking import assert_close, assert_same_bits, operators, optional
from kernel_cases import Quadratic, options_of_all_kinds

import siglib
from siglib.kernels.problem import Problem

PARAMETERS = [
    (siglib.ScaledLinearKernel, (0.8,)),
    (siglib.RBFKernel, (1.3,)),
    (siglib.PolynomialKernel, (2.0, 9.0, 0.01)),
    (siglib.Matern12Kernel, (1.1,)),
    (siglib.Matern32Kernel, (0.9,)),
    (siglib.Matern52Kernel, (0.9,)),
    (siglib.RationalQuadraticKernel, (1.2, 0.6)),
]
SCALINGS = [{}, {"normalize": True}, {"log": True}, {"return_grid": True}]


@pytest.mark.parametrize(("kernel", "values"), PARAMETERS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("options", SCALINGS, ids=str)
def test_gradcheck_of_parameters(
    kernel: Any, values: tuple[float, ...], options: dict, rng: np.random.Generator
) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(random_paths(rng, 2, n, 2), requires_grad=True) for n in (4, 3))
    numbers = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]
    solver = {"dyadic_order": 1, **options}
    assert torch.autograd.gradcheck(
        lambda x, y, *numbers: siglib.sig_kernel_gram(x, y, static_kernel=kernel(*numbers), **solver), (x, y, *numbers)
    )
    assert torch.autograd.gradcheck(
        lambda x, *numbers: siglib.sig_kernel_gram(x, x, static_kernel=kernel(*numbers), **solver), (x, *numbers)
    )
    y = y.detach()
    assert torch.autograd.gradcheck(
        lambda *numbers: siglib.sig_kernel(x.detach(), y, static_kernel=kernel(*numbers), **{**solver, "dyadic_order": (0, 1)}),
        numbers,
    )  # fmt: skip


@options_of_all_kinds
@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_gradcheck_of_one_array_twice(options: dict, scaling: dict, rng: np.random.Generator) -> None:
    torch = optional("torch")
    x = torch.tensor(random_paths(rng, 3, 4, 2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: siglib.sig_kernel_gram(x, x, **options, **scaling), x)
    assert torch.autograd.gradcheck(lambda x: siglib.sig_kernel(x, x, **options, **scaling), x)


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
def test_gradcheck_of_user_kernels(scaling: dict, rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(random_paths(rng, 2, n, 2) / 2, requires_grad=True) for n in (4, 3))
    kernel = Quadratic()
    for solver in ({"dyadic_order": 0}, {"method": "polynomial", "order": 3}):
        options = {"static_kernel": kernel, **solver, **scaling}
        for f in (siglib.sig_kernel, siglib.sig_kernel_gram):
            assert torch.autograd.gradcheck(lambda x, y, f=f, options=options: f(x, y, **options), (x, y))
            assert torch.autograd.gradcheck(lambda x, f=f, options=options: f(x, x, **options), x)
    assert kernel.types == {torch.Tensor}


def test_tensors_only(rng: np.random.Generator) -> None:
    torch = optional("torch")

    class OfTensors(Quadratic):
        tensors_only = True

    x, y = random_paths(rng, 3, 4, 2), random_paths(rng, 3, 5, 2)[:, ::-1]
    kernel = OfTensors()
    out = siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=kernel)
    assert type(out) is np.ndarray
    assert_close(out, siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=Quadratic()))
    left, _ = siglib.sig_kernel_gram_backprop(np.ones((3, 3)), x, y, dyadic_order=0, static_kernel=kernel)
    assert type(left) is np.ndarray
    assert kernel.types == {torch.Tensor}


def test_gradients_beyond_the_range_of_numbers() -> None:
    """Of log k and of normalised kernels of straight paths, where k itself overflows."""
    torch = optional("torch")
    for kind, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-4)):
        t = torch.linspace(0, 1, 1001, dtype=kind)[:, None]
        a, b = (torch.tensor(value, dtype=kind, requires_grad=True) for value in (600.0, 560.0))

        def slope(a: float, b: float, step: float = 1e-3) -> float:
            """d/da log I_0(2 sqrt(a b))."""
            return (
                reference.log_bessel(2 * ((a + step) * b) ** 0.5) - reference.log_bessel(2 * ((a - step) * b) ** 0.5)
            ) / (2 * step)

        siglib.sig_kernel(a * t, b * t, method="polynomial", order=8, log=True).backward()
        wanted = slope(600.0, 560.0)
        assert_close(a.grad, wanted, tolerance)
        a.grad = None
        normalised = siglib.sig_kernel(a * t, b * t, method="polynomial", order=8, normalize=True)
        normalised.backward()
        # k(x, x) depends on a twice.
        assert_close(a.grad, float(normalised.detach()) * (wanted - slope(600.0, 600.0)), 20 * tolerance)


def test_parameters_of_another_dtype(rng: np.random.Generator) -> None:
    """Parameters keep their precision, and their gradients their dtype."""
    torch = optional("torch")
    for kind in (torch.float32, torch.float16, torch.float64):
        x = torch.tensor(random_paths(rng, 3, 4, 2)).to(kind)
        for parameter in (torch.tensor(0.7), torch.tensor([0.7], dtype=torch.float64)):
            sigma = torch.nn.Parameter(parameter)
            out = siglib.sig_kernel_gram(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(sigma))
            assert out.dtype is kind
            out.sum().backward()
            assert sigma.grad.dtype is sigma.dtype
            assert sigma.grad.shape == sigma.shape
            expected = siglib.sig_kernel_gram(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(float(parameter)))
            assert torch.equal(out, expected)


def test_numpy_paths_and_tensor_parameters(rng: np.random.Generator) -> None:
    torch = optional("torch")
    x = random_paths(rng, 4, 2)
    expected = siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(0.5))
    assert_same_bits(
        siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(torch.tensor(0.5))), expected
    )
    learned = siglib.RBFKernel(torch.tensor(0.5, requires_grad=True))
    with pytest.raises(TypeError, match="must come from one library, got path1: numpy.ndarray"):
        siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=learned)


def test_only_wanted_gradients_are_computed(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = optional("torch")
    asked = []
    values_backprop = Problem.values_backprop

    def spy(self: Any, derivs: Any, x: Any, y: Any, layout: int, log: bool, *wanted: bool) -> Any:
        asked.append((layout, *wanted))
        return values_backprop(self, derivs, x, y, layout, log, *wanted)

    monkeypatch.setattr(Problem, "values_backprop", spy)
    x, y = (torch.tensor(random_paths(rng, 2, 4, 2)) for _ in range(2))
    sigma = torch.tensor(0.5, requires_grad=True)
    learned = siglib.RBFKernel(sigma)
    x.requires_grad_()
    siglib.sig_kernel_gram(x, y, dyadic_order=0).sum().backward()
    siglib.sig_kernel_gram(y, x, dyadic_order=0).sum().backward()
    siglib.sig_kernel_gram(x, x, dyadic_order=0).sum().backward()
    siglib.sig_kernel_gram(y, y, dyadic_order=0, static_kernel=learned).sum().backward()
    siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=learned).sum().backward()
    assert asked == [(1, True, False, False), (1, False, True, False), (2, True, False, False), (2, False, False, True), (0, True, False, True)]  # fmt: skip


def test_results_may_be_overwritten(rng: np.random.Generator) -> None:
    """Unless they are normalised: then torch says so."""
    torch = optional("torch")
    x = torch.tensor(random_paths(rng, 3, 4, 2), requires_grad=True)
    siglib.sig_kernel_gram(x, x, dyadic_order=0).fill_diagonal_(0).sum().backward()
    gram = siglib.sig_kernel_gram(x, x, dyadic_order=0, normalize=True).fill_diagonal_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gram.sum().backward()


def test_vmap_over_parameters_and_one_side(rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(random_paths(rng, 3, n, 2)) for n in (4, 5))
    sigmas = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def kernels(sigma: Any, x: Any, y: Any) -> Any:
        return siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(sigma))

    def pairs(sigma: Any, x: Any, y: Any) -> Any:
        return siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(sigma))

    for f in (kernels, pairs):
        expected = torch.stack([f(s, x, y) for s in sigmas])
        assert_close(torch.func.vmap(f, in_dims=(0, None, None))(sigmas, x, y), expected.numpy(), 1e-14)
        expected = torch.stack([f(1.0, a, b) for a, b in zip(x, y, strict=True)])
        assert_close(torch.func.vmap(lambda a, b, f=f: f(1.0, a, b))(x, y), expected.numpy(), 1e-14)
        expected = torch.stack([f(1.0, a, y[0]) for a in x])
        assert_close(torch.func.vmap(lambda a, f=f: f(1.0, a, y[0]))(x), expected.numpy(), 1e-14)
        # A gradient for every element, of parameters too.
        grads = torch.func.vmap(torch.func.grad(lambda s, a, f=f: f(s, a, y[0]).sum(), (0, 1)), (None, 0))(sigmas[0], x)
        each = [torch.func.grad(lambda s, a, f=f: f(s, a, y[0]).sum(), (0, 1))(sigmas[0], a) for a in x]
        for i in range(2):
            assert_close(grads[i], torch.stack([e[i] for e in each]).numpy(), 1e-13)
        assert torch.func.vmap(lambda a, f=f: f(1.0, a, y[0]))(x[:0]).shape == (0,)


def programs(torch: Any) -> dict[str, Callable[..., Any]]:
    return {
        "gram": lambda x, y, s: siglib.sig_kernel_gram(x, y, dyadic_order=1),
        "same": lambda x, y, s: siglib.sig_kernel_gram(x, x, dyadic_order=1, time_aug=True),
        "normalised": lambda x, y, s: siglib.sig_kernel_gram(x, y, dyadic_order=(0, 1), normalize=True),
        "log": lambda x, y, s: siglib.sig_kernel(x, y, method="polynomial", order=4, log=True),
        "grid": lambda x, y, s: siglib.sig_kernel(x, y, dyadic_order=1, return_grid=True),
        "constant": lambda x, y, s: siglib.sig_kernel(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(0.8)),
        "learned": lambda x, y, s: siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(s)),
    }


@pytest.mark.parametrize("name", ["gram", "same", "normalised", "log", "grid", "constant", "learned"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile(name: str, rng: np.random.Generator) -> None:
    torch = optional("torch")
    torch._dynamo.reset()
    program = programs(torch)[name]
    compiled = torch.compile(program, fullgraph=True, backend="aot_eager")
    for kind in (torch.float64, torch.float32):
        results = []
        for function in (program, compiled):
            leaves = [
                torch.tensor(random_paths(np.random.default_rng(n), 3, n, 2)).to(kind).requires_grad_() for n in (4, 5)
            ]
            leaves.append(torch.tensor(0.7, requires_grad=True))
            out = function(*leaves)
            out.sin().sum().backward()
            results.append([out, *(leaf.grad for leaf in leaves)])
        for eager, traced in zip(*results, strict=True):
            assert (eager is None) == (traced is None)
            if eager is not None:
                assert eager.dtype is traced.dtype
                assert torch.equal(eager, traced)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_user_kernels_break_the_graph(rng: np.random.Generator) -> None:
    torch = optional("torch")
    torch._dynamo.reset()
    kernel = Quadratic()
    x = torch.tensor(random_paths(rng, 3, 4, 2))
    compiled = torch.compile(
        lambda x: siglib.sig_kernel_gram(2 * x, x, dyadic_order=0, static_kernel=kernel) + 1, backend="eager"
    )
    assert torch.equal(compiled(x), siglib.sig_kernel_gram(2 * x, x, dyadic_order=0, static_kernel=kernel) + 1)


@pytest.mark.parametrize("name", ["sig_kernel", "sig_kernel_gram"])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("scaling", ["normalize", "log", "return_grid", None])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kernel_operators(name: str, requires_grad: bool, scaling: str | None, rng: np.random.Generator) -> None:
    """All checks that torch has for operators, for those that the compiler sees, and for their gradients."""
    torch = optional("torch")
    operation, forward, backward = operators(name)
    x, y = (torch.tensor(random_paths(rng, 2, n, 2), requires_grad=requires_grad) for n in (4, 3))
    parameters = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=requires_grad)
    options: dict[str, Any] = {
        "static_kernel": 0, "same": False, "equal": False, "order1": 1, "order2": 0, "order": 0, "time_aug": True, "lead_lag": False,
        "end_time": 1.0, "n_jobs": 1, "return_grid": False, "normalize": False, "log": False, "max_batch": -1, "given": None,
        "padded": False,
        "total": True,
    }  # fmt: skip
    options |= {scaling: True} if scaling else {}
    torch.library.opcheck(forward, (x, y, parameters), options)
    out = operation(x, y, parameters, **options).detach()
    saved = (torch.rand_like(out), out, x.detach(), y.detach(), parameters.detach(), 7)
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(backward, saved, options, test_utils=tests)


def test_learning_a_width(rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = torch.tensor(random_paths(rng, 8, 5, 2)), torch.tensor(random_paths(rng, 8, 5, 2) * 2)
    width = torch.nn.Parameter(torch.tensor(0.0))
    optimiser = torch.optim.SGD([width], lr=0.5)
    losses = []
    for _ in range(10):
        optimiser.zero_grad()
        kernel = siglib.RBFKernel(width.exp())
        loss = -siglib.sig_mmd(x, y, dyadic_order=0, static_kernel=kernel)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
