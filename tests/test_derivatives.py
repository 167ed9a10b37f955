"""Derivatives along directions, and of gradients: in PyTorch, and by the functions named ..._jvp."""

import inspect
import itertools
from typing import Any

import numpy as np
import pytest
import reference
from checking import assert_close, error_of, operators, optional, smooth_path
from operations import DIFFERENTIABLE, Differentiable

import siglib

torch: Any = optional("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

operations = pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
# One of each function, for what does not depend on options.
FIRST = [next(group) for _, group in itertools.groupby(DIFFERENTIABLE, key=lambda operation: operation.name)]
each_function = pytest.mark.parametrize("operation", FIRST, ids=str)
SIGNATURES = [operation for operation in FIRST if "kernel" not in operation.name]


def tolerance_of(operation: Differentiable) -> float:
    """Kernels are no polynomials."""
    return 2e-10 if "kernel" in operation.name else 1e-12


def close(actual: Any, expected: Any, tolerance: float) -> None:
    assert_close(actual, expected.detach().numpy(), tolerance * max(1.0, float(expected.abs().max())))


@operations
def test_second_derivatives_and_forward_mode_against_differences(operation: Differentiable) -> None:
    tensors = operation.tensors(requires_grad=True)
    assert torch.autograd.gradcheck(
        operation, tensors, check_forward_ad=True, check_backward_ad=False, fast_mode=True, check_undefined_grad=False
    )
    assert torch.autograd.gradgradcheck(operation, tensors, check_fwd_over_rev=True, fast_mode=True)


@operations
def test_all_ways_to_second_derivatives_agree(operation: Differentiable) -> None:
    tensors, tolerance = operation.tensors(), tolerance_of(operation)
    every = tuple(range(len(tensors)))

    def f(*arrays: Any) -> Any:
        return (operation(*arrays) ** 2).sum()

    hessian = torch.autograd.functional.hessian(f, tuple(tensors))
    older = torch.autograd.functional.hessian(f, tuple(tensors), vectorize=True)
    forward = torch.func.hessian(f, argnums=every)(*tensors)
    backward = torch.func.jacrev(torch.func.jacrev(f, argnums=every), argnums=every)(*tensors)
    assert any(bool((block != 0).any()) for row in hessian for block in row)
    for i, j in itertools.product(every, every):
        close(older[i][j], hessian[i][j], tolerance)
        close(forward[i][j], hessian[i][j], tolerance)
        close(backward[i][j], hessian[i][j], tolerance)
        transposed = hessian[j][i].permute(*range(tensors[j].ndim, hessian[j][i].ndim), *range(tensors[j].ndim))
        close(hessian[i][j], transposed, tolerance)
    jacobians = torch.func.jacrev(operation, argnums=every)(*tensors)
    for actual, wanted in zip(torch.func.jacfwd(operation, argnums=every)(*tensors), jacobians, strict=True):
        close(actual, wanted, tolerance)


@each_function
def test_mapped(operation: Differentiable) -> None:
    tensors, tolerance = operation.tensors(), tolerance_of(operation)
    stacks = [torch.stack([tensor, 2 * tensor, tensor / 2], 1) for tensor in tensors]

    def f(x: Any, *rest: Any) -> Any:
        return (operation(x, *rest) ** 2).sum()

    def push(*arrays: Any) -> Any:
        return torch.func.jvp(operation, arrays, arrays)[1]

    for g in (torch.func.hessian(f), torch.func.jacfwd(f), push):
        mapped = torch.func.vmap(g, in_dims=1)(*stacks)
        for i in range(3):
            close(mapped[i], g(*[stack[:, i] for stack in stacks]), tolerance)


@each_function
def test_penalties_against_differences(operation: Differentiable) -> None:
    """The step of training with a penalty on the size of gradients."""
    tensors = operation.tensors(requires_grad=True)

    def penalty(x: Any) -> Any:
        loss = (operation(x, *tensors[1:]) ** 2).sum() + (x**3).sum()
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return (gradient**2).sum()

    (found,) = torch.autograd.grad(penalty(tensors[0]), tensors[0])
    x, u = tensors[0].detach(), operation.tensors(seed=3)[0]
    high, low = (penalty((x + h * u).requires_grad_()).item() for h in (1e-5, -1e-5))
    assert (found * u).sum().item() == pytest.approx((high - low) / 2e-5, rel=1e-6, abs=1e-6 * float(found.abs().sum()))


COMPILED = [o for o in FIRST if o.name in ("sig", "log_sig", "sig_combine", "sig_kernel")]


@pytest.mark.parametrize("operation", COMPILED, ids=str)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_compiled(operation: Differentiable) -> None:
    x, *rest = operation.tensors()

    def f(x: Any) -> Any:
        return (operation(x, *rest) ** 2).sum()

    def penalty(x: Any) -> Any:
        return (torch.func.grad(f)(x) ** 2).sum()

    for g in (torch.func.grad(f), torch.func.grad(penalty)):
        compiled = torch.compile(g, backend="aot_eager", fullgraph=True)
        close(compiled(x), g(x), tolerance_of(operation))


def test_operators_keep_outer_levels() -> None:
    """What is compiled inside of two transforms is an operator to both of them."""
    operators("sig")
    x = torch.randn(4, 2, dtype=torch.float64)

    def of_operator(x: Any) -> Any:
        return (torch.ops.siglib.sig(x, None, 2, False, False, 1.0, False, 1) ** 2).sum()

    def of_function(x: Any) -> Any:
        return (siglib.sig(x, 2) ** 2).sum()

    for transform in (torch.func.hessian, lambda f: torch.func.jacrev(torch.func.grad(f))):
        close(transform(of_operator)(x), transform(of_function)(x), 1e-13)


def test_third_derivatives() -> None:
    """The third derivative of level 3 along x is level 3 of x, six times; and of a kernel, by differences."""
    x = torch.randn(6, 2, dtype=torch.float64)

    def along(f: Any) -> Any:
        return lambda y: torch.func.jvp(f, (y,), (x,))[1]

    third = along(along(along(lambda y: siglib.sig(y, 3))))(x)
    level = torch.arange(14) >= 6
    close(third * level, 6 * siglib.sig(x, 3) * level, 1e-12)
    assert torch.autograd.gradgradcheck(
        lambda y: torch.autograd.grad((siglib.sig(y, 3) ** 2).sum(), y, create_graph=True)[0],
        x.clone().requires_grad_(),
        fast_mode=True,
    )

    other = torch.randn(5, 2, dtype=torch.float64) / 2

    def second(y: Any) -> Any:
        return along(along(lambda z: siglib.sig_kernel(z, other, dyadic_order=0)))(y)

    z = 0.3 * x
    difference = (second(z + 1e-4 * x) - second(z - 1e-4 * x)) / 2e-4
    assert_close(along(second)(z), difference.numpy(), 1e-5 * float(difference.abs()))


def test_hessian_of_a_displacement() -> None:
    """|x[-1] - x[0]|**2 has the second differences of a segment."""
    hessian = torch.func.hessian(lambda x: (siglib.sig(x, 1) ** 2).sum())(torch.randn(4, 2, dtype=torch.float64))
    expected = np.zeros((4, 2, 4, 2))
    for c in range(2):
        expected[0, c, 0, c] = expected[3, c, 3, c] = 2
        expected[0, c, 3, c] = expected[3, c, 0, c] = -2
    assert_close(hessian, expected, 1e-14)


@pytest.mark.parametrize(
    "kernel",
    [
        lambda a: siglib.ScaledLinearKernel(a),
        lambda a: siglib.RBFKernel(2 * a),
        lambda a: siglib.Matern32Kernel(3 * a),
        lambda a: siglib.Matern52Kernel(3 * a),
        lambda a: siglib.RationalQuadraticKernel(a, 2 * a),
        lambda a: siglib.PolynomialKernel(2.0, a, 0.5),
    ],
    ids=["scaled", "rbf", "matern32", "matern52", "rational", "polynomial"],
)
@pytest.mark.parametrize(
    "options", [{"dyadic_order": 1}, {"method": "polynomial", "order": 5, "normalize": True}], ids=str
)
@pytest.mark.parametrize("gram", [False, True])
def test_parameters_of_static_kernels(kernel: Any, options: dict[str, Any], gram: bool) -> None:
    function = siglib.sig_kernel_gram if gram else siglib.sig_kernel
    x, y = Differentiable("", [(2, 4, 2), (2, 3, 2)]).tensors(requires_grad=True)
    a = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)

    def f(x: Any, y: Any, a: Any) -> Any:
        return function(x / 2, y / 2, static_kernel=kernel(a), **options)

    assert torch.autograd.gradgradcheck(f, (x, y, a), fast_mode=True)
    hessian = torch.autograd.functional.hessian(lambda *arrays: f(*arrays).sum(), (x, y, a))
    for i, j in itertools.product(range(3), range(3)):
        block, other = hessian[i][j].reshape(-1), hessian[j][i]
        n = [x, y, a][j].ndim
        other = other.permute((*range(n, other.ndim), *range(n))).reshape(-1)
        close(block, other, 1e-6)


@pytest.mark.parametrize("gram", [False, True])
def test_paths_that_are_the_same(gram: bool) -> None:
    function = siglib.sig_kernel_gram if gram else siglib.sig_kernel
    # Short ones: the kernel of a long path with itself may come out negative, which is a warning.
    x = (0.3 * torch.randn(2, 4, 2, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(2, 2, dtype=torch.float64)[0 if not gram else slice(None)]

    def f(x: Any, y: Any) -> Any:
        return (weights * function(x, y, dyadic_order=0)).sum()

    own = torch.autograd.functional.hessian(lambda x: f(x, x), x)
    blocks = torch.autograd.functional.hessian(f, (x, x.detach().clone()))
    close(own, sum(block for row in blocks for block in row), 1e-10)
    close(torch.func.hessian(lambda x: f(x, x))(x.detach()), own, 1e-10)


def test_kernels_without_second_derivatives() -> None:
    class Own(siglib.LinearKernel):
        def __call__(self, ctx: Any, x: Any, y: Any) -> Any:
            return super().__call__(ctx, x, y)

    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    for kernel, message in [(Own(), "static kernels written in Python"), (siglib.Matern12Kernel(1.0), "has a kink")]:
        for function in (siglib.sig_kernel, siglib.sig_kernel_gram):
            out = function(x, x.detach() + 1, dyadic_order=0, static_kernel=kernel)
            (gradient,) = torch.autograd.grad(out.sum(), x, create_graph=True)
            with pytest.raises(RuntimeError, match=message):
                gradient.sum().backward()
        with pytest.raises(RuntimeError, match=message):
            siglib.sig_kernel_jvp(x.detach(), x.detach(), x.detach(), dyadic_order=0, static_kernel=kernel)


# Accuracy


def jet_product(a: list[Any], b: list[Any]) -> list[Any]:
    """Of tensors, their derivatives along u and v, and along both."""
    product = reference.tensor_product

    def add(*terms: Any) -> Any:
        return [sum(levels) for levels in zip(*terms, strict=True)]

    return [
        product(a[0], b[0]),
        add(product(a[1], b[0]), product(a[0], b[1])),
        add(product(a[2], b[0]), product(a[0], b[2])),
        add(product(a[3], b[0]), product(a[1], b[2]), product(a[2], b[1]), product(a[0], b[3])),
    ]


def jet_of_signature(path: np.ndarray, u: np.ndarray, v: np.ndarray, degree: int) -> list[np.ndarray]:
    """The signature, its derivatives along u and v, and along both, with as many digits as the machine has."""
    d = path.shape[-1]
    sizes = [d**n for n in range(degree + 1)]
    steps = [np.diff(np.asarray(array, np.longdouble), axis=0) for array in (path, u, v)]

    def levels(first: Any, scalar: float) -> Any:
        out = [np.zeros(n, np.longdouble) for n in sizes]
        out[0][0] = scalar
        out[1][:] = first
        return out

    nothing = levels(0, 0.0)
    total = [levels(0, 1.0), nothing, nothing, nothing]
    for step in zip(*steps, strict=True):
        x = [levels(part, 0.0) for part in step] + [nothing]
        # exp(x) = 1 + x (1 + x / 2 (1 + x / 3 (...)))
        exponential = [levels(0, 1.0), nothing, nothing, nothing]
        for n in range(degree, 0, -1):
            exponential = jet_product([[level / n for level in part] for part in x], exponential)
            exponential[0][0] = exponential[0][0] + 1
        total = jet_product(total, exponential)
    return [np.concatenate(part[1:]) for part in total]


KINDS = ["brownian", "smooth", "noise", "spike"]
# What is far from a smooth path is the worst case: a spike has no size but that of one point.
TOLERANCES = {"float64": (1e-12, 1e-11), "float32": (1e-4, 1e-3)}


def path_of(kind: str, length: int) -> np.ndarray:
    rng = np.random.default_rng(len(kind))
    if kind == "brownian":
        return rng.standard_normal((length, 3)).cumsum(0) / length**0.5
    if kind == "smooth":
        return smooth_path(length, 3)[0].astype(np.float64)
    if kind == "noise":
        return rng.standard_normal((length, 3))
    spike = np.zeros((length, 3))
    spike[length // 2] = [1.0, -2.0, 0.5]
    return spike


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("direction", KINDS)
@pytest.mark.parametrize("kind", KINDS[:3])
def test_accuracy_of_signatures(kind: str, direction: str, dtype: str) -> None:
    """Relative to the largest entry of a level, however rough paths and directions are, and wherever they are."""
    length, degree = 400, 4
    path, u = path_of(kind, length).astype(dtype), path_of(direction, length).astype(dtype)
    v = path_of("smooth", length)[::-1].astype(dtype)
    exact = jet_of_signature(path, u, v, degree)
    found = siglib.sig_jvp(path, u, degree)
    derivs = np.random.default_rng(1).standard_normal(len(found)).astype(dtype)
    leaf = torch.tensor(path, requires_grad=True)
    (gradient,) = torch.autograd.grad(siglib.sig(leaf, degree), leaf, torch.tensor(derivs), create_graph=True)
    (second,) = torch.autograd.grad((gradient * torch.tensor(u)).sum(), leaf)
    start = 0
    for n in range(1, degree + 1):
        level = slice(start, start + 3**n)
        start += 3**n
        # A spike moves no endpoint.
        largest = np.abs(exact[1][level]).max() or np.abs(u).max()
        assert np.abs(found[level] - exact[1][level]).max() < TOLERANCES[dtype][0] * largest, n
    # Summed against v: relative to what is summed.
    actual, expected = (second.double().numpy() * v).sum(), (derivs * exact[3]).sum()
    size = np.abs(second.double().numpy() * v).sum() + np.abs(derivs * exact[3]).sum()
    assert abs(actual - float(expected)) < TOLERANCES[dtype][1] * size


@pytest.mark.parametrize("degree", range(1, 7))
def test_accuracy_of_both_gradients_of_a_gradient(degree: int) -> None:
    """To the path and to the derivatives, which share what is computed, with a graph and without."""
    length = 12
    path, u, v = (path_of(kind, length) for kind in ("brownian", "noise", "smooth"))
    exact = jet_of_signature(path, u, v, degree)
    derivs = np.random.default_rng(1).standard_normal(len(exact[0]))
    leaves = torch.tensor(path, requires_grad=True), torch.tensor(derivs, requires_grad=True)
    (gradient,) = torch.autograd.grad(siglib.sig(leaves[0], degree), *leaves, create_graph=True)
    for create_graph in (False, True):
        second, tangent = torch.autograd.grad(
            gradient, leaves, torch.tensor(u), retain_graph=True, create_graph=create_graph
        )
        start = 0
        for n in range(1, degree + 1):
            level = slice(start, start + 3**n)
            start += 3**n
            expected = exact[1][level].astype(np.float64)
            assert_close(tangent[level], expected, 1e-12 * np.abs(expected).max())
        expected, summed = float((derivs * exact[3]).sum()), second.detach().numpy() * v
        assert abs(summed.sum() - expected) <= 1e-12 * (np.abs(summed).sum() + abs(expected))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("degree", range(1, 7))
@pytest.mark.parametrize(
    ("function", "options"),
    [
        (siglib.sig, {}),
        (siglib.sig, {"time_aug": True, "end_time": 0.5}),
        (siglib.sig, {"lead_lag": True, "scalar_term": True, "n_jobs": 2}),
        (siglib.log_sig, {}),
        (siglib.sig_windows, {"window": 30, "stride": 12}),
        (siglib.sig_windows, {"starts": [[0, 5], [3, 3], [0, 0]], "ends": [[60, 20], [4, 9], [1, 2]]}),
    ],
)
def test_gradients_of_gradients_of_many_paths(function: Any, options: dict[str, Any], degree: int, dtype: str) -> None:
    """Loops for paths, in groups, and torch's arithmetic for whatever moves find the same; for each path alone, too."""
    rng = np.random.default_rng(degree)
    shape = (3, 2) if "starts" in options else (2, 37)
    if "starts" in options:
        options = {name: np.stack([value, value], 1) for name, value in options.items()}
    numbers, direction = rng.standard_normal((2, *shape, 60, 2)).cumsum(-2)
    direction[0, 1] = 7.0
    # Channels first in memory.
    path = torch.tensor(numbers.swapaxes(-1, -2), dtype=getattr(torch, dtype)).transpose(-1, -2).requires_grad_()
    u = torch.tensor(direction, dtype=path.dtype)

    def second(path: Any, derivs: Any, u: Any, create_graph: bool) -> Any:
        leaf = derivs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(function(path, degree, **options), path, leaf, create_graph=True)
        if not gradient.requires_grad:
            return torch.zeros_like(path), torch.zeros_like(leaf)
        found = torch.autograd.grad(gradient, (path, leaf), u, create_graph=create_graph, materialize_grads=True)
        return [part.detach() for part in found]

    derivs = torch.tensor(rng.standard_normal(function(path, degree, **options).shape), dtype=path.dtype)
    found, expected = second(path, derivs, u, False), second(path, derivs, u, True)
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for i in range(2):
        close(found[i], expected[i], tolerance)
        assert not found[i][0, 1].any() and found[i].any() == expected[i].any()
    if "starts" not in options:
        for k in ((0, 0), (1, 36)):
            alone = second(path[k].detach().requires_grad_(), derivs[k], u[k], False)
            for i in range(2):
                close(found[i][k], alone[i], tolerance)


@pytest.mark.parametrize("static_kernel", [None, siglib.RBFKernel(1.0)])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_not_finite_stays_in_its_rows(value: float, static_kernel: Any) -> None:
    rng = np.random.default_rng(0)
    path, other = 0.3 * rng.standard_normal((4, 6, 2)), 0.3 * rng.standard_normal((3, 5, 2))
    # A direction that is far too long for a kernel, unless it is scaled.
    u = 1e4 * rng.standard_normal(path.shape)
    options: dict[str, Any] = {"dyadic_order": 0, "static_kernel": static_kernel}
    expected = np.delete(siglib.sig_kernel_gram_jvp(path, other, u, **options), 1, 0)
    for array in (path, u):
        kept = array[1, 2, 0]
        array[1, 2, 0] = value
        found = siglib.sig_kernel_gram_jvp(path, other, u, **options)
        array[1, 2, 0] = kept
        assert not np.isfinite(found[1]).any()
        assert_close(np.delete(found, 1, 0), expected, 1e-10 * np.abs(expected).max())


def test_padding_changes_no_second_derivatives() -> None:
    points = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 6, 2)))

    def curvature(padding: float) -> Any:
        path = points.clone()
        path[1, 3:] = padding
        path.requires_grad_()
        sig = siglib.sig(path, 3, lengths=[6, 3, 5])
        (gradient,) = torch.autograd.grad(sig.square().sum(), path, create_graph=True)
        return torch.autograd.grad((gradient * points).sum(), path)[0]

    expected = curvature(0.0)
    for padding in (np.nan, np.inf, 1e200):
        close(curvature(padding), expected, 1e-13)


def test_what_is_not_finite_stays_in_its_path() -> None:
    path, u = np.random.default_rng(0).standard_normal((2, 5, 30, 2))
    expected = siglib.sig_jvp(path, u, 3)
    for array in (path, u):
        array[2, 7, 1] = np.inf
        found = siglib.sig_jvp(path, u, 3)
        assert not np.isfinite(found[2]).all()
        np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(expected, 2, 0))
        array[2, 7, 1] = 0.0


def test_translations_and_scales_take_no_digits() -> None:
    path, u = path_of("brownian", 100), path_of("smooth", 100)
    expected = siglib.sig_jvp(path, u, 4)
    assert error_of(siglib.sig_jvp(path + 1e4, u + 1e6, 4), expected) < 1e-9
    for factor in (1e-12, 1e12):
        assert_close(siglib.sig_jvp(path, u * factor, 4) / factor, expected, 1e-12 * np.abs(expected).max())
    kernel = siglib.sig_kernel_jvp(path, path[::-1], u, dyadic_order=0)
    moved = siglib.sig_kernel_jvp(path + 1e4, path[::-1] - 1e4, u, dyadic_order=0)
    assert_close(moved, kernel, 1e-9 * abs(kernel))


@pytest.mark.parametrize("size", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("static_kernel", [siglib.LinearKernel(), siglib.RBFKernel(1.0)], ids=str)
@pytest.mark.parametrize("direction", KINDS)
def test_accuracy_of_kernels(size: float, static_kernel: Any, direction: str) -> None:
    """Forward mode against exact gradients; u^T H v against v^T H u."""
    x, y, v = size * path_of("brownian", 100), size * path_of("smooth", 80), path_of("smooth", 100)[::-1].copy()
    u = path_of(direction, 100)
    options: dict[str, Any] = {"dyadic_order": 0, "static_kernel": static_kernel}
    gradient, _ = siglib.sig_kernel_backprop(np.array(1.0), x, y, **options)
    found = siglib.sig_kernel_jvp(x, y, u, **options)
    assert abs(found - (gradient * u).sum()) < 2e-10 * np.abs(gradient * u).sum()
    leaf = torch.tensor(x, requires_grad=True)
    (graph,) = torch.autograd.grad(siglib.sig_kernel(leaf, torch.tensor(y), **options), leaf, create_graph=True)
    products = []
    for first, second in [(u, v), (v, u)]:
        (hessian_product,) = torch.autograd.grad((graph * torch.tensor(first)).sum(), leaf, retain_graph=True)
        products.append(hessian_product.numpy() * second)
    assert abs(products[0].sum() - products[1].sum()) < 1e-9 * sum(np.abs(p).sum() for p in products)


def matern_jet(smoothness: float, z: np.ndarray, u: np.ndarray, v: np.ndarray) -> list[Any]:
    """A Matern kernel of width 1 of differences of points, its derivatives along u and v, and along both."""
    a = (2 * smoothness) ** 0.5
    r = np.sqrt((z * z).sum(-1))
    zu, zv, uv, decay = (z * u).sum(-1), (z * v).sum(-1), (u * v).sum(-1), np.exp(-a * r)
    if smoothness == 1.5:
        direction = a * zu * zv / np.where(r > 0, r, 1)
        value, slope, both = 1 + a * r, -(a**2), uv - direction
        return [value * decay, slope * decay * zu, slope * decay * zv, slope * decay * both]
    value, slope = 1 + a * r + (a * r) ** 2 / 3, -(a**2) / 3
    both = (1 + a * r) * uv - a**2 * zu * zv
    return [value * decay, slope * (1 + a * r) * decay * zu, slope * (1 + a * r) * decay * zv, slope * decay * both]


def jet_of_kernel(increments: list[Any]) -> list[float]:
    """The recurrence of signature kernels, of increments with their derivatives along u and v, and along both."""

    def product(a: Any, b: Any) -> Any:
        return np.array(
            [a[0] * b[0], a[0] * b[1] + a[1] * b[0], a[0] * b[2] + a[2] * b[0], a[0] * b[3] + a[3] * b[0]]
        ) + [0, 0, 0, a[1] * b[2] + a[2] * b[1]]

    one = np.array([1.0, 0, 0, 0])
    n, m = increments[0].shape
    rows = [[one] * (m + 1)]
    for i in range(n):
        row = [one]
        for j in range(m):
            p = np.array([part[i, j] for part in increments])
            square = product(p, p) / 12
            row.append(product(row[j] + rows[i][j + 1], one + p / 2 + square) - product(rows[i][j], one - square))
        rows.append(row)
    return list(rows[-1][-1])


@pytest.mark.parametrize("smoothness, tolerance", [(1.5, 5e-7), (2.5, 2e-10)])
@pytest.mark.parametrize("kind", ["same", "one point", "near"])
def test_accuracy_of_kernels_with_few_derivatives(kind: str, smoothness: float, tolerance: float) -> None:
    """Those of Matern kernels jump where points coincide."""
    x, u = path_of("brownian", 20), path_of("noise", 20)
    v = path_of("smooth", 20)
    y = {"same": x, "one point": v - v[10] + x[10], "near": x + 0.05}[kind]
    z, u_axes, v_axes = x[:, None] - y, u[:, None] + 0 * y, v[:, None] + 0 * y
    jets = matern_jet(smoothness, z, u_axes, v_axes)
    exact = jet_of_kernel([np.diff(np.diff(part, axis=0), axis=1) for part in jets])
    static_kernel = {1.5: siglib.Matern32Kernel, 2.5: siglib.Matern52Kernel}[smoothness](1.0)
    options: dict[str, Any] = {"dyadic_order": 0, "static_kernel": static_kernel}
    assert_close(siglib.sig_kernel(x, y, **options), np.array(exact[0]), 1e-12 * exact[0])
    gradient, _ = siglib.sig_kernel_backprop(np.array(1.0), x, y, **options)
    for direction, expected in [(u, exact[1]), (v, exact[2])]:
        found = siglib.sig_kernel_jvp(x, y, direction, **options)
        assert abs(found - expected) < tolerance * np.abs(gradient * direction).sum()
    leaf = torch.tensor(x, requires_grad=True)
    (graph,) = torch.autograd.grad(siglib.sig_kernel(leaf, torch.tensor(y), **options), leaf, create_graph=True)
    (second,) = torch.autograd.grad((graph * torch.tensor(u)).sum(), leaf)
    assert abs((second.numpy() * v).sum() - exact[3]) < tolerance * np.abs(second.numpy() * v).sum()


# The functions named ..._jvp


JVPS = [o for o in DIFFERENTIABLE if hasattr(siglib, f"{o.name}_jvp")]


@pytest.mark.parametrize("operation", JVPS, ids=str)
def test_numpy_functions(operation: Differentiable) -> None:
    function = getattr(siglib, f"{operation.name}_jvp")
    tensors, directions = operation.tensors(), operation.tensors(seed=7)
    expected = torch.func.jvp(operation, tuple(tensors), tuple(directions))[1]
    arrays = [tensor.numpy() for tensor in (*tensors, *directions)]
    found = function(*arrays, *operation.numbers, **operation.options)
    close(torch.from_numpy(np.asarray(found)), expected, 1e-13)
    # A tensor's derivative is one, with a graph.
    leaves = [tensor.requires_grad_() for tensor in (*tensors, *directions)]
    assert torch.autograd.gradcheck(
        lambda *a: function(*a, *operation.numbers, **operation.options), leaves, fast_mode=True
    )


def test_numpy_functions_take_the_options_of_what_they_differentiate() -> None:
    for name in sorted({operation.name for operation in JVPS}):
        more = inspect.signature(getattr(siglib, f"{name}_jvp")).parameters
        own = inspect.signature(getattr(siglib, name)).parameters
        left_out = {"max_batch", "horner", "out", "lengths", "lengths1", "lengths2", "times"} | (
            {"stream", "correction"} if name == "log_sig" else set()
        )
        assert {p: own[p].default for p in own if p not in left_out} == {
            p: more[p].default for p in more if "direction" not in p
        }


def test_streams_and_corrections() -> None:
    rng = np.random.default_rng(0)
    path, u = rng.standard_normal((2, 2, 5, 2))
    correction, c = rng.standard_normal((2, 2, 4, 4))
    found = siglib.sig_jvp(path, u, 3, correction=correction, correction_direction=c)
    h = 1e-5
    high, low = (siglib.sig(path + e * u, 3, correction=correction + e * c) for e in (h, -h))
    assert_close(found, (high - low) / (2 * h), 1e-8)
    assert_close(siglib.sig_jvp(path, u, 3, stream=True)[:, -1], siglib.sig_jvp(path, u, 3), 1e-13)
    one = siglib.sig_jvp(path, u, 3, correction=correction[0, 0])
    high, low = (siglib.sig(path + e * u, 3, correction=correction[0, 0]) for e in (h, -h))
    assert_close(one, (high - low) / (2 * h), 1e-8)


def test_what_numpy_functions_refuse() -> None:
    x, kernel = np.eye(3), siglib.sig_kernel_jvp
    with pytest.raises(ValueError, match=r"direction must have the shape of path, \(3, 3\), got \(2, 3\)"):
        siglib.sig_jvp(x, x[:2], 2)
    with pytest.raises(TypeError, match="direction must be an array of real numbers, .*NoneType"):
        siglib.log_sig_jvp(x, None, 2)
    with pytest.raises(TypeError, match="share a dtype, got path: float64, direction: float32"):
        siglib.sig_jvp(x, x.astype(np.float32), 2)
    with pytest.raises(ValueError, match="correction_direction needs correction, which is None"):
        siglib.sig_jvp(x, x, 2, correction_direction=np.ones(9))
    with pytest.raises(TypeError, match="direction1 or direction2 must be an array of real numbers"):
        kernel(x, x, dyadic_order=0)
    with pytest.raises(ValueError, match=r"direction2 must have the shape of path2, \(3, 3\), got \(2, 3\)"):
        kernel(x, x, direction2=x[:2], dyadic_order=0)
