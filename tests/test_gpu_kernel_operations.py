"""What is built on signature kernels, on the GPU: logarithms, normalisation, gradients through PyTorch, metrics."""

import warnings
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from gpu import Gpu, tensors_on_gpu
from kernel_cases import gradients

import siglib

SOLVERS = [{"dyadic_order": 1}, {"dyadic_order": (0, 1)}, {"method": "polynomial", "order": 4}]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=str)


def tolerance(dtype: np.dtype) -> float:
    return 1e-11 if dtype == np.float64 else 2e-5


@solvers
@pytest.mark.parametrize("scaling", ["log", "normalize"])
def test_logarithms_and_normalised(
    gpu: Gpu, solver: dict, scaling: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    x, y = 3 * random_paths(rng, 2, 20, 2, dtype=dtype), 3 * random_paths(rng, 3, 40, 2, dtype=dtype)
    options = {**solver, scaling: True}
    found = gpu.numpy(siglib.sig_kernel_gram(gpu.array(x), gpu.array(y), **options))
    assert_close(found, quiet(siglib.sig_kernel_gram, x, y, **options), 10 * tolerance(dtype))
    given = gpu.array(x)
    found = gpu.numpy(siglib.sig_kernel_gram(given, given, **options))
    assert_close(found, quiet(siglib.sig_kernel_gram, x, x, **options), 10 * tolerance(dtype))
    if scaling == "normalize":
        assert (np.diag(found) == 1).all()


def quiet(function: Any, *args: Any, **options: Any) -> Any:
    """What the CPU says, without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **options)


def test_far_beyond_the_range(gpu: Gpu, rng: np.random.Generator) -> None:
    """Logarithms are right, kernels that are negative have none, those that overflow are infinite; nothing warns."""
    x, y = 30 * random_paths(rng, 2, 70, 2), 30 * random_paths(rng, 2, 100, 2)
    for dtype, limit in (("float64", 1e-11), ("float32", 1e-5)):
        given = gpu.array(x.astype(dtype))
        found = gpu.numpy(siglib.sig_kernel_gram(given, given, dyadic_order=4, log=True))
        expected = quiet(siglib.sig_kernel_gram, x, x, dyadic_order=4, log=True)
        assert_close(found.diagonal(), expected.diagonal(), limit)
    found = gpu.numpy(siglib.sig_kernel_gram(gpu.array(x), gpu.array(y), dyadic_order=0, log=True))
    assert_close(found, quiet(siglib.sig_kernel_gram, x, y, dyadic_order=0, log=True), 1e-11)
    line = np.linspace(0.0, 400.0, 100)[:, None]
    assert gpu.numpy(siglib.sig_kernel(gpu.array(line), gpu.array(line), dyadic_order=0)) == np.inf
    found = gpu.numpy(siglib.sig_kernel(gpu.array(line), gpu.array(line), dyadic_order=0, log=True))
    assert_close(found, siglib.sig_kernel(line, line, dyadic_order=0, log=True), 1e-11)


def test_large_cells_are_right_or_nan(gpu: Gpu, dtype: np.dtype) -> None:
    """Never 0 or infinity, which might be taken for kernels."""
    for size in (1.0, 1e2, 1e4, 1e9, 1e18, 1e25):
        x, y = (size * np.arange(n, dtype=float)[:, None].astype(dtype) for n in (9, 40))
        both = np.stack([x[:, :1], x / 3])
        for option in ("log", "normalize"):
            options: dict[str, Any] = {"dyadic_order": 0, option: True}
            found = gpu.numpy(siglib.sig_kernel_gram(gpu.array(both), gpu.array(y[None]), **options))
            expected = quiet(siglib.sig_kernel_gram, both, y[None], **options)
            right = np.isclose(found, expected, rtol=1e-3)
            assert (right | np.isnan(found)).all()
            assert right.all() or size > 1.0


def test_float32_at_length_1000(gpu: Gpu, rng: np.random.Generator) -> None:
    x = random_paths(rng, 2, 1000, 5)
    expected = siglib.sig_kernel_gram(x[:1], x[1:], dyadic_order=0)
    found = gpu.numpy(
        siglib.sig_kernel_gram(*(gpu.array(p.astype(np.float32)) for p in (x[:1], x[1:])), dyadic_order=0)
    )
    assert_close(found, expected, 5e-5)


def test_no_pairs_and_short_paths(gpu: Gpu, dtype: np.dtype) -> None:
    for shape1, shape2 in (
        ((0, 5, 2), (3, 5, 2)),
        ((2, 5, 2), (0, 1, 2)),
        ((2, 1, 2), (3, 5, 2)),
        ((2, 0, 2), (2, 0, 2)),
    ):
        x, y = np.zeros(shape1, dtype), np.zeros(shape2, dtype)
        out = siglib.sig_kernel_gram(gpu.array(x), gpu.array(y), dyadic_order=1)
        assert_same_bits(gpu.numpy(out), siglib.sig_kernel_gram(x, y, dyadic_order=1))
        derivs = np.ones(out.shape, dtype)
        both = {"left_deriv": True, "right_deriv": True}
        found = siglib.sig_kernel_gram_backprop(*map(gpu.array, (derivs, x, y)), dyadic_order=1, **both)
        for gradient, like in zip(found, (x, y), strict=True):
            assert_same_bits(gpu.numpy(gradient), np.zeros_like(like))


def test_transforms_strides_and_half_precision(gpu: Gpu, rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal((4, n, 6)).astype(np.float16) / 8 for n in (9, 7))
    options = {"dyadic_order": 1, "time_aug": True, "lead_lag": True, "end_time": 0.7}
    found = siglib.sig_kernel(gpu.array(x)[:, ::2, ::-1], gpu.array(y)[::-1], **options)
    expected = siglib.sig_kernel(x[:, ::2, ::-1].astype(float), y[::-1].astype(float), **options)
    assert found.dtype == np.float16
    assert_close(gpu.numpy(found), expected, 2e-3)
    derivs = rng.standard_normal(4).astype(np.float32)
    left, right = siglib.sig_kernel_backprop(
        *(gpu.array(a.astype(np.float32)) for a in (derivs, x, y)), right_deriv=True, **options
    )
    expected = siglib.sig_kernel_backprop(*(a.astype(np.float32) for a in (derivs, x, y)), right_deriv=True, **options)
    assert_close(gpu.numpy(left), expected[0], 2e-5)
    assert_close(gpu.numpy(right), expected[1], 2e-5)


class Squares(siglib.StaticKernel):
    """A kernel in the words of any library: the sum of two kernels of siglib."""

    def __init__(self, tensors_only: bool = False) -> None:
        self.kernels = (siglib.LinearKernel(), siglib.RBFKernel(1.5))
        self.tensors_only = tensors_only  # type: ignore[misc]

    def __call__(self, ctx: siglib.Context, x: Any, y: Any) -> Any:
        ctx.save_for_backward(*(siglib.Context() for _ in self.kernels))
        return sum(kernel(c, x, y) for kernel, c in zip(self.kernels, ctx.saved_tensors, strict=True))

    def grad_x(self, ctx: siglib.Context, derivs: Any) -> Any:
        return sum(kernel.grad_x(c, derivs) for kernel, c in zip(self.kernels, ctx.saved_tensors, strict=True))

    def grad_y(self, ctx: siglib.Context, derivs: Any) -> Any:
        return sum(kernel.grad_y(c, derivs) for kernel, c in zip(self.kernels, ctx.saved_tensors, strict=True))


@pytest.mark.parametrize("name", ["sig_kernel", "sig_kernel_gram"])
def test_kernels_of_users(gpu: Gpu, name: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 3, 12, 2, dtype=dtype), random_paths(rng, 3, 9, 2, dtype=dtype)
    options: dict[str, Any] = {"dyadic_order": 1, "static_kernel": Squares()}
    if name == "sig_kernel_gram":
        options["max_batch"] = 2
    given = gpu.array(x), gpu.array(y)
    out = getattr(siglib, name)(*given, **options)
    assert_close(gpu.numpy(out), getattr(siglib, name)(x, y, **options), tolerance(dtype))
    derivs = rng.standard_normal(out.shape).astype(dtype)
    backprop = getattr(siglib, f"{name}_backprop")
    found = backprop(gpu.array(derivs), *given, right_deriv=True, **options)
    for gradient, on_cpu in zip(found, backprop(derivs, x, y, right_deriv=True, **options), strict=True):
        assert_close(gpu.numpy(gradient), on_cpu, tolerance(dtype))
    found = getattr(siglib, name)(given[0], given[0], **options)
    assert_close(gpu.numpy(found), getattr(siglib, name)(x, x, **options), tolerance(dtype))
    grids = getattr(siglib, name)(given[0], given[0], return_grid=True, **options)
    assert_close(gpu.numpy(grids), getattr(siglib, name)(x, x, return_grid=True, **options), tolerance(dtype))


@pytest.mark.parametrize("name", ["sig_score", "expected_sig_score", "sig_mmd"])
def test_metrics(gpu: Gpu, name: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    x, y = random_paths(rng, 4, 12, 2, dtype=dtype), random_paths(rng, 3, 9, 2, dtype=dtype)
    found = getattr(siglib, name)(gpu.array(x), gpu.array(y), dyadic_order=1)
    expected = getattr(siglib, name)(x, y, dyadic_order=1)
    assert found.dtype == dtype
    assert_close(gpu.numpy(found), expected, 1e-5)


def test_bits_depend_on_no_other_pair(emulated: Gpu, dtype: np.dtype, rng: np.random.Generator) -> None:
    """A pair alone has many warps, one of many pairs has one."""
    x, y = random_paths(rng, 40, 100, 3, dtype=dtype), random_paths(rng, 2, 70, 3, dtype=dtype)
    gram = emulated.numpy(siglib.sig_kernel_gram(emulated.array(x), emulated.array(y), dyadic_order=0))
    many = emulated.cupy.LOG[-2]
    alone = emulated.numpy(siglib.sig_kernel(emulated.array(x[3]), emulated.array(y[1]), dyadic_order=0))
    assert emulated.cupy.LOG[-2].name == many.name
    assert emulated.cupy.LOG[-2].block > many.block
    assert_same_bits(alone, gram[3, 1])


@pytest.mark.parametrize("layout", ["pairs", "all", "one sample"])
@pytest.mark.parametrize("name", ["sig_kernel", "branched_sig_kernel"])
def test_gradients_of_normalised(gpu: Gpu, name: str, layout: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    """Rows and columns of more than a warp. Where there is no derivative, a kernel may be NaN."""
    n1, n2 = (40, 40) if layout == "pairs" else (36, 35)
    x, y = random_paths(rng, n1, 4, 2, dtype=dtype), random_paths(rng, n2, 5, 2, dtype=dtype)
    name, shape = (name, (n1,)) if layout == "pairs" else (f"{name}_gram", (n1, n2))
    on_gpu = [gpu.array(x), gpu.array(y)]
    if layout == "one sample":
        y, shape, on_gpu[1] = x, (n1, n1), on_gpu[0]
    derivs, out = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
    derivs[3], out[3] = 0, np.nan
    expected = gradients(name, derivs, out, x, y, normalize=True)
    found = gradients(name, gpu.array(derivs), gpu.array(out), *on_gpu, normalize=True)
    for gradient, on_cpu in zip(found, expected, strict=True):
        assert_close(gpu.numpy(gradient), on_cpu, 10 * tolerance(dtype))


def test_what_has_no_logarithm(gpu: Gpu, dtype: np.dtype) -> None:
    """It is NaN, as on the CPU; other pairs are not concerned. Branched kernels that overflow are infinite."""
    x = np.zeros((4, 3, 1), dtype)
    x[1, 1:, 0], x[2, 1, 0], x[3, 1:, 0] = (1.0, 2.0), np.nan, (30.0, -30.0)
    for function in (siglib.sig_kernel_gram, siglib.branched_sig_kernel_gram):
        depth = (1,) if function is siglib.branched_sig_kernel_gram else ()
        for scaling in ("log", "normalize", "neither"):
            options: dict[str, Any] = {"dyadic_order": 0} | ({scaling: True} if scaling != "neither" else {})
            expected = quiet(function, x, x, *depth, **options)
            given = gpu.array(x)
            for found in (function(given, given, *depth, **options), function(given, gpu.array(x), *depth, **options)):
                assert_close(gpu.numpy(found), expected, 10 * tolerance(dtype))
            pairs = getattr(siglib, function.__name__.removesuffix("_gram"))
            expected = quiet(pairs, x, x[::-1], *depth, **options)
            found = pairs(gpu.array(x), gpu.array(x[::-1]), *depth, **options)
            assert_close(gpu.numpy(found), expected, 10 * tolerance(dtype))


@solvers
def test_gradients_through_torch(
    emulated: Gpu, solver: dict, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    torch = optional("torch")
    x, y = torch.tensor(random_paths(rng, 2, 12, 2)), torch.tensor(random_paths(rng, 3, 9, 2))

    def gradients() -> list[Any]:
        sigma = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        paths = [x.clone().requires_grad_(), y.clone().requires_grad_()]
        kernel = siglib.RBFKernel(sigma)
        value = siglib.sig_kernel_gram(*paths, static_kernel=kernel, normalize=True, **solver).sum()
        value = value + siglib.sig_kernel_gram(paths[0], paths[0], static_kernel=kernel, log=True, **solver).sum()
        value = value + siglib.sig_mmd(*paths, static_kernel=kernel, **solver)
        return [value.detach(), *torch.autograd.grad(value, [*paths, sigma])]

    expected = gradients()
    tensors_on_gpu(monkeypatch, torch)
    before = len(emulated.cupy.LOG)
    for found, on_cpu in zip(gradients(), expected, strict=True):
        assert_close(found, on_cpu, 1e-10)
    assert len(emulated.cupy.LOG) > before + 10


def test_gradients_of_tensors_with_kernels_of_users(
    emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    torch = optional("torch")
    x, y = torch.tensor(random_paths(rng, 2, 12, 2)), torch.tensor(random_paths(rng, 3, 9, 2))

    def gradients() -> list[Any]:
        paths = [x.clone().requires_grad_(), y.clone().requires_grad_()]
        value = siglib.sig_kernel_gram(*paths, static_kernel=Squares(), dyadic_order=1).sum()
        return [value.detach(), *torch.autograd.grad(value, paths)]

    expected = gradients()
    tensors_on_gpu(monkeypatch, torch)
    for found, on_cpu in zip(gradients(), expected, strict=True):
        assert_close(found, on_cpu, 1e-10)
