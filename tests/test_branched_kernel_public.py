"""Branched signature kernels as users call them; the compiled loops are in `test_branched_signature_kernel.py`."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_branched as definition
from cases import random_paths
from checking import assert_close, assert_same_bits, operators, optional
from golden import Case, cases
from kernel_cases import Quadratic
from test_branched_kernels import assert_gradient, branched_sig

import siglib

# Arguments behind the paths, and options.
CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((2, 0), {}),
    ((1, (2, 1)), {}),
    ((3, 1), {"static_kernel": siglib.RBFKernel(2.0)}),
    ((2, 0), {"time_aug": True, "lead_lag": True, "end_time": 0.5}),
    ((2, 1), {"static_kernel": Quadratic()}),
]
calls_of_all_kinds = pytest.mark.parametrize("call", CALLS, ids=str)
SCALINGS = [{}, {"normalize": True}, {"log": True}, {"return_grid": True}]
scalings = pytest.mark.parametrize("scaling", SCALINGS, ids=str)


def paths(rng: np.random.Generator, *shape: int, dtype: Any = np.float64) -> np.ndarray:
    return 0.4 * random_paths(rng, *shape, dtype=dtype)


@pytest.mark.parametrize("case", cases("06_branched_kernel", "branched_sig_kernel", "branched_sig_kernel_gram"))
def test_golden(case: Case) -> None:
    result = getattr(siglib, case.function)(*case.args, **case.kwargs)
    assert result.shape == case.outputs[0].shape
    assert_close(result, case.outputs[0])


@pytest.mark.parametrize(
    "case", cases("06_branched_kernel", "branched_sig_kernel_backprop", "branched_sig_kernel_gram_backprop")
)
def test_golden_backprop(case: Case) -> None:
    results = getattr(siglib, case.function)(*case.args, **case.kwargs)
    for path, result, expected in zip(case.args[1:3], results, case.outputs, strict=True):
        if expected is None:
            assert result is None
        else:
            # A single path's gradient was recorded with a batch axis.
            assert_close(result, expected.reshape(path.shape))


def test_sum_over_forests(rng: np.random.Generator) -> None:
    """Each tree counts with the product of both signatures, divided by its symmetries."""
    x, y = 0.4 * paths(rng, 3, 3, 2), 0.4 * paths(rng, 2, 4, 2)
    coarse, fine = (siglib.branched_sig_kernel_gram(x, y, 2, order) for order in (4, 5))
    bsigs = [branched_sig(path, 6, False) for path in (x, y)]
    expected = [[definition.kernel_of_trees(a, b, 2, 6, 2) for b in bsigs[1]] for a in bsigs[0]]
    assert_close(fine + (fine - coarse) / 3, np.array(expected), 1e-6)


@pytest.mark.parametrize("orders", [1, (0, 2), [1, 0]])
def test_scheme(orders: Any, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = paths(rng, 2, 2, 5, 3, dtype=dtype), paths(rng, 3, 4, 3, dtype=dtype)
    pair = tuple(orders) if isinstance(orders, (tuple, list)) else (orders, orders)
    expected = np.array([[[definition.kernel_grid(a, b, 2, pair) for b in y] for a in some] for some in x])
    gram = siglib.branched_sig_kernel_gram(x, y, 2, orders)
    assert gram.shape == (2, 2, 3)
    assert gram.dtype == dtype
    assert_close(gram, expected[..., -1, -1])
    assert_close(siglib.branched_sig_kernel_gram(x, y, 2, orders, return_grid=True), expected)
    assert_close(siglib.branched_sig_kernel_gram(x, y, 2, orders, log=True), np.log(expected[..., -1, -1]))
    assert_close(siglib.branched_sig_kernel(x[0, 0], y[1], 2, orders), expected[0, 0, 1, -1, -1])
    assert_close(siglib.branched_sig_kernel(x[:, 0], y[:2], 2, orders), expected[[0, 1], 0, [0, 1], -1, -1])


def test_first_depths(rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = paths(rng, 4, 5, 3, dtype=dtype), paths(rng, 4, 3, 3, dtype=dtype)
    assert_same_bits(siglib.branched_sig_kernel(x, y, 0, 1), np.ones(4, dtype))
    total = ((x[:, -1] - x[:, 0]) * (y[:, -1] - y[:, 0])).sum(axis=1)
    assert_close(siglib.branched_sig_kernel(x, y, 1, 1), np.exp(total))


@calls_of_all_kinds
@scalings
def test_batches_are_pairs(
    call: tuple[tuple[Any, ...], dict[str, Any]], scaling: dict[str, Any], rng: np.random.Generator
) -> None:
    args, options = call[0], call[1] | scaling
    x, y = paths(rng, 3, 5, 2), paths(rng, 4, 4, 2)
    gram = siglib.branched_sig_kernel_gram(x, y, *args, **options)
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            assert_close(siglib.branched_sig_kernel(a, b, *args, **options), gram[i, j])
    assert_close(siglib.branched_sig_kernel(x, y[:3], *args, **options), gram[[0, 1, 2], [0, 1, 2]])
    if "return_grid" not in scaling and not isinstance(args[1], tuple):
        same = siglib.branched_sig_kernel_gram(x, x, *args, **options)
        assert_same_bits(same, same.T)
        assert_same_bits(same, siglib.branched_sig_kernel_gram(x, x.copy(), *args, **options))
    same = siglib.branched_sig_kernel_gram(x, x, *args, **options)
    assert_close(
        same, siglib.branched_sig_kernel_gram(x, np.vstack([x, y[:1, [0, 1, 2, 3, 3]]]), *args, **options)[:, :3]
    )


def test_transforms_come_first(rng: np.random.Generator) -> None:
    x, y = paths(rng, 3, 4, 2), paths(rng, 3, 3, 2)
    flags = {"time_aug": True, "lead_lag": True, "end_time": 0.6}
    moved = (siglib.transform_path(path, **flags) for path in (x, y))
    assert_close(siglib.branched_sig_kernel(x, y, 2, 1, **flags), siglib.branched_sig_kernel(*moved, 2, 1))


@calls_of_all_kinds
def test_normalised(call: tuple[tuple[Any, ...], dict[str, Any]], rng: np.random.Generator, dtype: np.dtype) -> None:
    args, options = call
    x, y = paths(rng, 5, 4, 2, dtype=dtype), paths(rng, 5, 6, 2, dtype=dtype)
    own1, own2 = (siglib.branched_sig_kernel(path, path, *args, **options) for path in (x, y))
    expected = siglib.branched_sig_kernel_gram(x, y, *args, **options) / np.sqrt(own1[:, None] * own2)
    gram = siglib.branched_sig_kernel_gram(x, y, *args, normalize=True, **options)
    assert_close(gram, expected)
    assert_close(siglib.branched_sig_kernel(x, y, *args, normalize=True, **options), expected.diagonal())
    same = siglib.branched_sig_kernel_gram(x, x, *args, normalize=True, **options)
    assert_same_bits(same.diagonal(), np.ones(5, dtype))
    assert_same_bits(siglib.branched_sig_kernel(x, x.copy(), *args, normalize=True, **options), np.ones(5, dtype))
    if not isinstance(args[1], tuple):
        # The scheme is an inner product, however coarse.
        assert (np.linalg.eigvalsh(same.astype(np.float64)) > -1e-6).all()


def test_beyond_the_range_of_numbers(dtype: np.dtype) -> None:
    """Logarithms and normalised kernels are right where kernels overflow."""
    line = np.array([[0.0], [12.0]], dtype)
    last = np.array([0.0, 1.0, 0.9], dtype)[:, None, None] * line
    size = 10.0 if dtype == np.float64 else 1.0
    logs = size * np.array([[144.0, 129.6], [129.6, 116.64]])
    scaled = (size**0.5 * last[1:]).astype(dtype)
    with pytest.warns(RuntimeWarning, match="branched signature kernels overflow .*normalize=True"):
        assert np.isinf(siglib.branched_sig_kernel_gram(scaled, scaled, 1, 0)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_close(siglib.branched_sig_kernel_gram(scaled, scaled, 1, 0, log=True), logs)
        result = siglib.branched_sig_kernel_gram(scaled, scaled, 1, 0, normalize=True)
        own = np.diag(logs)
        assert_close(result, np.exp(logs - own[:, None] / 2 - own / 2), 1e-11 if dtype == np.float64 else 1e-3)
    with pytest.warns(RuntimeWarning, match="branched signature kernels overflow .*: scale the paths down"):
        siglib.branched_sig_kernel_gram(scaled, scaled, 1, 0, return_grid=True)


@scalings
def test_lower_depths_that_overflow(scaling: dict[str, Any], rng: np.random.Generator, dtype: np.dtype) -> None:
    x = 40 * paths(rng, 3, 5, 2, dtype=dtype)
    message = "branched signature kernels are not finite: kernels of a lower depth.* overflow .*. Scale the paths down"
    with pytest.warns(RuntimeWarning, match=message):
        result = siglib.branched_sig_kernel(x, x + 1, 4, 0, **scaling)
    if scaling and "return_grid" not in scaling:
        assert np.isnan(result).all()
    with pytest.warns(RuntimeWarning, match="gradients of signature kernels overflow"):
        siglib.branched_sig_kernel_backprop(np.ones(3, dtype), x, x + 1, 4, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_paths(value: float, rng: np.random.Generator) -> None:
    """Only their own kernels suffer, and nobody warns."""
    x, y = paths(rng, 3, 4, 2), paths(rng, 3, 4, 2)
    x[1, 2, 0] = value
    for options in SCALINGS[:3]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = siglib.branched_sig_kernel(x, y, 2, 0, **options)
            siglib.branched_sig_kernel_backprop(np.ones(3), x, y, 2, 0)
        assert np.isfinite(result).tolist() == [True, False, True]


@pytest.mark.parametrize("static_kernel", [None, siglib.Matern32Kernel(1.0), Quadratic()])
@pytest.mark.parametrize("length", [0, 1])
def test_short_paths(length: int, static_kernel: Any, rng: np.random.Generator, dtype: np.dtype) -> None:
    x, y = np.ones((2, length, 3), dtype), paths(rng, 2, 5, 3, dtype=dtype)
    options: dict[str, Any] = {"static_kernel": static_kernel}
    assert_same_bits(siglib.branched_sig_kernel(x, y, 2, 1, **options), np.ones(2, dtype))
    assert_same_bits(siglib.branched_sig_kernel_gram(y, x, 2, 1, **options), np.ones((2, 2), dtype))
    assert_same_bits(siglib.branched_sig_kernel_gram(x, x, 2, 1, **options), np.ones((2, 2), dtype))
    assert_same_bits(siglib.branched_sig_kernel(x, y, 2, 1, return_grid=True, **options), np.ones((2, 1, 9), dtype))
    assert_same_bits(siglib.branched_sig_kernel(x, y, 2, 1, log=True, **options), np.zeros(2, dtype))
    for derivs, grid in ((np.ones(2, dtype), False), (np.ones((2, 1, 9), dtype), True)):
        left, right = siglib.branched_sig_kernel_backprop(
            derivs, x, y, 2, 1, right_deriv=True, return_grid=grid, **options
        )
        assert_same_bits(left, np.zeros_like(x))
        assert_same_bits(right, np.zeros_like(y))


def test_empty_batches(dtype: np.dtype) -> None:
    none, some = np.zeros((0, 4, 2), dtype), np.zeros((3, 5, 2), dtype)
    for x, y in ((none, some), (some, none), (none, none), (np.zeros((2, 0, 4, 2), dtype), some)):
        for options in SCALINGS:
            gram = siglib.branched_sig_kernel_gram(x, y, 2, 0, **options)
            grid = (x.shape[-2], y.shape[-2]) if options == {"return_grid": True} else ()
            assert gram.shape == (*x.shape[:-2], *y.shape[:-2], *grid)
            assert gram.dtype == dtype
        derivs = np.zeros((*x.shape[:-2], *y.shape[:-2]), dtype)
        left, right = siglib.branched_sig_kernel_gram_backprop(derivs, x, y, 2, 0, right_deriv=True)
        assert_same_bits(left, np.zeros_like(x))
        assert_same_bits(right, np.zeros_like(y))
    assert siglib.branched_sig_kernel(none, none, 2, 0).shape == (0,)


@pytest.mark.parametrize(
    ("args", "options", "error", "message"),
    [
        ((-1, 0), {}, ValueError, "depth must be at least 0, got -1"),
        ((1001, 0), {}, ValueError, "depth must be at most 1000, got 1001"),
        ((2.0, 0), {}, TypeError, "depth must be an integer, got 2.0"),
        ((True, 0), {}, TypeError, "depth must be an integer"),
        ((None, 0), {}, TypeError, "depth must be an integer"),
        ((2, None), {}, TypeError, "dyadic_order must be an integer"),
        ((2, -1), {}, ValueError, "dyadic_order must be at least 0"),
        ((2, (0, 31)), {}, ValueError, "dyadic_order must be at most 30, got 31"),
        ((2, (0, 1, 2)), {}, ValueError, "dyadic_order must be an integer or a pair of them"),
        ((2, 30), {}, ValueError, "dyadic_order=30 makes .* steps of path1"),
        ((2, 0), {"static_kernel": siglib.RBFKernel}, TypeError, "give an object, not the class"),
        ((2, 0), {"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
        ((2, 0), {"normalize": 1}, TypeError, "normalize must be True or False"),
        ((2, 0), {"normalize": True, "log": True}, ValueError, "normalize and log do not go together"),
        ((2, 0), {"return_grid": True, "normalize": True}, ValueError, "return_grid and normalize do not go together"),
    ],
)
def test_refused_options(args: tuple[Any, ...], options: dict, error: type[Exception], message: str) -> None:
    path = np.zeros((2, 4, 3))
    for function in (siglib.branched_sig_kernel, siglib.branched_sig_kernel_gram):
        with pytest.raises(error, match=message):
            function(path, path, *args, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: siglib.branched_sig_kernel(f(2, 3, 2), f(3, 3, 2), 1, 0), "batch"),
        (lambda f: siglib.branched_sig_kernel_gram(f(2, 3, 2), f(3, 3, 3), 1, 0), "same number of channels"),
        (lambda f: siglib.branched_sig_kernel(f(2), f(2), 1, 0), "path1"),
        (
            lambda f: siglib.branched_sig_kernel_backprop(f(3), f(2, 3, 2), f(2, 4, 2), 1, 0),
            r"derivs must have shape \(2,\), that of the kernels, got \(3,\)",
        ),
        (
            lambda f: siglib.branched_sig_kernel_gram_backprop(f(2), f(2, 3, 2), f(3, 4, 2), 1, 0),
            r"derivs must have shape \(2, 3\)",
        ),
        (
            lambda f: siglib.branched_sig_kernel_backprop(f(2), f(2, 3, 2), f(2, 4, 2), 2, 1, k_stack=f(2, 2, 5, 7)),
            r"k_stack must have shape \(2, 3, 5, 7\), that of the grids, got \(2, 2, 5, 7\)",
        ),
        (
            lambda f: siglib.branched_sig_kernel_gram_backprop(
                f(2, 3), f(2, 3, 2), f(3, 4, 2), 2, 0, k_stack=f(2, 3, 3, 4)
            ),
            r"k_stack must have shape \(2, 3, 3, 3, 4\)",
        ),
        (
            lambda f: siglib.branched_sig_kernel_gram(f(2, 3, 2), f(2, 3, 2), 1, 0, max_batch=0),
            "max_batch must not be 0",
        ),
    ],
)
def test_refused_shapes(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(lambda *shape: np.zeros(shape))


@calls_of_all_kinds
@pytest.mark.parametrize("grid", [False, True])
def test_backprop(call: tuple[tuple[Any, ...], dict[str, Any]], grid: bool, rng: np.random.Generator) -> None:
    args, options = call[0], call[1] | {"return_grid": grid}
    x, y = paths(rng, 3, 4, 2), paths(rng, 3, 3, 2)
    for function, backprop in (
        (siglib.branched_sig_kernel, siglib.branched_sig_kernel_backprop),
        (siglib.branched_sig_kernel_gram, siglib.branched_sig_kernel_gram_backprop),
    ):
        derivs = rng.standard_normal(function(x, y, *args, **options).shape)
        left, right = backprop(derivs, x, y, *args, right_deriv=True, **options)
        assert_gradient(lambda at, f=function: f(at, y, *args, **options), x, derivs, left)
        assert_gradient(lambda at, f=function: f(x, at, *args, **options), y, derivs, right)
        nothing, again = backprop(derivs, x, y, *args, left_deriv=False, right_deriv=True, **options)
        assert nothing is None
        assert_close(again, right)


def test_gradients_of_single_pairs(rng: np.random.Generator, dtype: np.dtype) -> None:
    """Derivatives, and the grids that nobody needs, may have an axis for the pair."""
    x, y = paths(rng, 5, 2, dtype=dtype), paths(rng, 4, 2, dtype=dtype)
    left, right = siglib.branched_sig_kernel_backprop(np.array(2.0, dtype), x, y, 2, 0, right_deriv=True)
    assert left.shape == x.shape
    assert right.shape == y.shape
    for function in (siglib.branched_sig_kernel_backprop, siglib.branched_sig_kernel_gram_backprop):
        for stack in (np.zeros((3, 5, 4)), np.zeros((1, 3, 5, 4))):
            again, _ = function(np.array([2.0], dtype), x, y, 2, 0, k_stack=stack)
            assert_same_bits(again, left)


def test_chunks_of_user_kernels(rng: np.random.Generator) -> None:
    x, y = paths(rng, 3, 5, 2), paths(rng, 4, 4, 2)
    kernel = Quadratic()
    gram = siglib.branched_sig_kernel_gram(x, y, 2, 1, static_kernel=kernel, max_batch=2)
    assert kernel.pairs == [4, 4, 4]
    assert_close(gram, siglib.branched_sig_kernel_gram(x, y, 2, 1, static_kernel=siglib.PolynomialKernel(2.0, 0.0)))


# PyTorch


@scalings
@pytest.mark.parametrize("kind", ["pairs", "gram", "same"])
@pytest.mark.parametrize("learned", [False, True])
def test_gradcheck(scaling: dict[str, Any], kind: str, learned: bool, rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(paths(rng, 2, n, 2), requires_grad=True) for n in (4, 3))
    sigma = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    function = siglib.branched_sig_kernel if kind == "pairs" else siglib.branched_sig_kernel_gram

    def call(x: Any, y: Any, sigma: Any) -> Any:
        kernel = siglib.RBFKernel(sigma) if learned else None
        return function(x, x if kind == "same" else y, 2, 1, static_kernel=kernel, **scaling)

    torch.autograd.gradcheck(call, (x, y, sigma))


@scalings
def test_gradcheck_of_user_kernels(scaling: dict[str, Any], rng: np.random.Generator) -> None:
    torch = optional("torch")
    x = torch.tensor(paths(rng, 2, 4, 2), requires_grad=True)
    torch.autograd.gradcheck(
        lambda x: siglib.branched_sig_kernel_gram(x, x, 2, 0, static_kernel=Quadratic(), **scaling), (x,)
    )


def programs() -> dict[str, Callable[..., Any]]:
    gram, pairs, rbf = siglib.branched_sig_kernel_gram, siglib.branched_sig_kernel, siglib.RBFKernel
    return {
        "gram": lambda x, y, s: gram(x, y, 2, 1),
        "same": lambda x, y, s: gram(x, x, 2, 1, time_aug=True),
        "normalised": lambda x, y, s: gram(x, y, 2, (0, 1), normalize=True),
        "grid": lambda x, y, s: pairs(x, y, 1, 1, return_grid=True),
        "learned": lambda x, y, s: pairs(x, y, 2, 0, static_kernel=rbf(s), log=True),
    }


@pytest.mark.parametrize("name", ["gram", "same", "normalised", "grid", "learned"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile(name: str) -> None:
    torch = optional("torch")
    torch._dynamo.reset()
    program = programs()[name]
    results = []
    for function in (program, torch.compile(program, fullgraph=True, backend="aot_eager")):
        leaves = [torch.tensor(paths(np.random.default_rng(n), 3, n, 2), requires_grad=True) for n in (4, 5)]
        leaves.append(torch.tensor(0.7, requires_grad=True))
        out = function(*leaves)
        out.sin().sum().backward()
        results.append([out, *(leaf.grad for leaf in leaves)])
    for eager, traced in zip(*results, strict=True):
        assert (eager is None) == (traced is None)
        assert eager is None or torch.equal(eager, traced)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_vmap(rng: np.random.Generator) -> None:
    torch = optional("torch")
    x, y = (torch.tensor(paths(rng, 3, n, 2)) for n in (4, 5))
    mapped = torch.func.vmap(lambda a, b: siglib.branched_sig_kernel(a, b, 2, 1))(x, y)
    assert torch.equal(mapped, siglib.branched_sig_kernel(x, y, 2, 1))
    rows = torch.func.vmap(lambda a: siglib.branched_sig_kernel_gram(a, y, 2, 1))(x)
    torch.testing.assert_close(rows, siglib.branched_sig_kernel_gram(x, y, 2, 1))


@pytest.mark.parametrize("name", ["branched_sig_kernel", "branched_sig_kernel_gram"])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("scaling", ["normalize", "log", "return_grid", None])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kernel_operators(name: str, requires_grad: bool, scaling: str | None, rng: np.random.Generator) -> None:
    """All checks that torch has for operators, for those that the compiler sees, and for their gradients."""
    torch = optional("torch")
    operation, forward, backward = operators(name)
    x, y = (torch.tensor(paths(rng, 2, n, 2), requires_grad=requires_grad) for n in (4, 3))
    parameters = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=requires_grad)
    options: dict[str, Any] = {
        "static_kernel": 0, "same": False, "equal": False, "order1": 1, "order2": 0, "depth": 2, "time_aug": True, "lead_lag": False,
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
