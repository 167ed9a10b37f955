"""Branched signature kernels below the public functions: golden files, the scheme, trees, gradients."""

from typing import Any

import numpy as np
import pytest
import reference_branched as definition
from checking import assert_close, assert_same_bits
from golden import Case, cases
from test_branched_kernels import assert_gradient, branched_sig
from test_interruption import NEVER, is_interrupted

import siglib
from siglib import _cpu
from siglib._cpu import _interruption

PAIRWISE, GRAM, SYMMETRIC = 0, 1, 2
LINEAR, RBF, GIVEN = 0, 1, -1
NO_PARAMETERS = (1.0, 0.0, 0.0)
# Lengths of both paths, dyadic orders, depth: cells that fill tiles and blocks, and that do not; depths of every kind.
SHAPES = [
    (5, 4, (0, 0), 1),
    (2, 2, (0, 0), 3),
    (9, 34, (0, 0), 2),
    (6, 70, (1, 0), 3),
    (13, 3, (2, 1), 4),
    (4, 7, (3, 2), 6),
    (3, 3, (0, 0), 0),
    (1, 4, (0, 0), 2),
]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def flat(paths: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(paths.reshape(-1, paths.shape[-2] * paths.shape[-1]))


def options_of(
    x: np.ndarray, y: np.ndarray, depth: int, orders: tuple[int, int], layout: int, kind: int, parameters: Any
) -> tuple[Any, ...]:
    return (
        np.array(parameters, np.float64),
        x.shape[-2],
        y.shape[-2],
        x.shape[-1],
        kind,
        layout,
        *orders,
        depth,
    )


def kernels_of(
    x: np.ndarray,
    y: np.ndarray,
    depth: int,
    orders: tuple[int, int] = (0, 0),
    layout: int = PAIRWISE,
    *,
    kind: int = LINEAR,
    parameters: Any = NO_PARAMETERS,
    grid: bool = False,
    log: bool = False,
    n_threads: int = 1,
) -> np.ndarray:
    """Of paths (batch, length, dimension): shape (pairs,), or (pairs, *nodes of the grid)."""
    nodes = [((path.shape[-2] - 1) << order) + 1 for path, order in zip((x, y), orders, strict=True)]
    n_pairs = x.shape[0] if layout == PAIRWISE else x.shape[0] * y.shape[0]
    out = np.full((n_pairs, nodes[0] * nodes[1] if grid else 1), np.nan, x.dtype)
    options = options_of(x, y, depth, orders, layout, kind, parameters)
    function = _cpu.loops[x.dtype.name].branched_kernel.branched_sig_kernel
    assert function(flat(x), flat(y), out, *options, log, n_threads) == 0
    return out.reshape(n_pairs, *nodes) if grid else out[:, 0]


def gradients_of(
    derivs: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    depth: int,
    orders: tuple[int, int] = (0, 0),
    layout: int = PAIRWISE,
    *,
    kind: int = LINEAR,
    parameters: Any = NO_PARAMETERS,
    log: bool = False,
    wanted: tuple[bool, bool, bool] = (True, True, True),
    n_threads: int = 1,
) -> list[np.ndarray]:
    """By the first paths, the second ones, and the parameters; empty where not wanted."""
    derivs = np.ascontiguousarray(derivs.reshape(len(derivs), -1), x.dtype)
    found = [
        np.full_like(flat(path), np.nan) if want else np.empty((0, 0), x.dtype)
        for path, want in zip((x, y), wanted[:2], strict=True)
    ]
    by_parameters = np.full(3 if wanted[2] else 0, np.nan)
    options = options_of(x, y, depth, orders, layout, kind, parameters)
    function = _cpu.loops[x.dtype.name].branched_kernel.branched_sig_kernel_backprop
    assert function(derivs, flat(x), flat(y), *found, by_parameters, *options, log, *wanted[:2], n_threads) == 0
    paths = [
        part.reshape(path.shape) if want else part for part, path, want in zip(found, (x, y), wanted[:2], strict=True)
    ]
    return [*paths, by_parameters]


def paths(rng: np.random.Generator, batch: int, length: int, dimension: int = 2, dtype: Any = np.float64) -> np.ndarray:
    return rng.uniform(-0.4, 0.4, (batch, length, dimension)).astype(dtype)


@pytest.mark.parametrize("case", cases("06_branched_kernel", "branched_sig_kernel", "branched_sig_kernel_gram"))
def test_golden(case: Case) -> None:
    x, y, depth, order = case.args
    orders = order if isinstance(order, tuple) else (order, order)
    layout = GRAM if case.function.endswith("gram") else PAIRWISE
    if case.kwargs.get("time_aug"):
        x, y = (siglib.transform_path(path, time_aug=True) for path in (x, y))
    x, y = (path.reshape(-1, *path.shape[-2:]) for path in (x, y))
    options: dict[str, Any] = {}
    if "static_kernel" in case.kwargs:
        sigma = case.record["kwargs"]["static_kernel"]["params"]["sigma"]
        options = {"kind": RBF, "parameters": (sigma, 0, 0)}
    result = kernels_of(x, y, depth, orders, layout, grid=case.kwargs.get("return_grid", False), **options)
    if case.kwargs.get("normalize"):
        own = [kernels_of(path, path, depth, orders, log=True) for path in (x, y)]
        log = kernels_of(x, y, depth, orders, layout, log=True).reshape(len(x), len(y))
        result = np.exp(log - own[0][:, None] / 2 - own[1] / 2)
    assert_close(result.reshape(case.outputs[0].shape), case.outputs[0])


@pytest.mark.parametrize(
    "case", cases("06_branched_kernel", "branched_sig_kernel_backprop", "branched_sig_kernel_gram_backprop")
)
def test_golden_backprop(case: Case) -> None:
    derivs, x, y, depth, order = case.args
    orders = order if isinstance(order, tuple) else (order, order)
    gram = "gram" in case.function
    x, y = (path.reshape(-1, *path.shape[-2:]) for path in (x, y))
    derivs = derivs.reshape(len(x) * len(y) if gram else len(x), -1)
    results = gradients_of(derivs, x, y, depth, orders, GRAM if gram else PAIRWISE)
    for result, expected in zip(results[:2], case.outputs, strict=True):
        assert_close(result.reshape(expected.shape), expected)


@shapes
def test_scheme(
    instruction_set: str, dtype: np.dtype, rng: np.random.Generator, shape: tuple[int, int, tuple[int, int], int]
) -> None:
    length1, length2, orders, depth = shape
    x, y = paths(rng, 3, length1, dtype=dtype), paths(rng, 4, length2, dtype=dtype)
    expected = np.array([definition.kernel_grid(a, b, depth, orders) for a in x for b in y])
    assert_close(kernels_of(x, y, depth, orders, GRAM, grid=True), expected)
    assert_close(kernels_of(x, y, depth, orders, GRAM), expected[:, -1, -1])
    assert_close(kernels_of(x, y, depth, orders, GRAM, log=True), np.log(expected[:, -1, -1]))
    assert_close(kernels_of(x, y[:3], depth, orders), expected[:, -1, -1].reshape(3, 4).diagonal())


def test_exponentials(instruction_set: str, dtype: np.dtype, rng: np.random.Generator) -> None:
    """The kernel of depth 1 of two segments is the exponential of their inner product."""
    limit = 0.98 * np.log(np.finfo(dtype).max)
    numbers = np.concatenate(
        [rng.uniform(-limit, limit, 20_000), rng.uniform(-3, 3, 20_000), rng.normal(0, 1e-4, 1000)]
    )
    numbers = np.append(numbers, [0.0, np.nan, 2 * limit, -2 * limit]).astype(dtype)
    x = np.zeros((len(numbers), 2, 1), dtype)
    x[:, 1, 0] = numbers
    y = np.broadcast_to(np.array([[0.0], [1.0]], dtype), x.shape)
    found = kernels_of(x, y, 1)
    with np.errstate(over="ignore"):
        exact = np.exp(numbers.astype(np.float64))
    np.testing.assert_array_equal(found[-3:], [np.nan, np.inf, 0])
    assert (np.abs(found[:-3] / exact[:-3] - 1) <= 1.5 * np.finfo(dtype).eps).all()


@pytest.mark.parametrize("batch", [1, 2, 7, 12])
def test_symmetric_layout(dtype: np.dtype, rng: np.random.Generator, batch: int) -> None:
    x = paths(rng, batch, 6, dtype=dtype)
    assert_close(kernels_of(x, x, 3, (1, 1), SYMMETRIC), kernels_of(x, x, 3, (1, 1), GRAM))


def test_given_cells(rng: np.random.Generator) -> None:
    """Cells of a user's kernel stand in place of the first paths."""
    x, y = paths(rng, 11, 6), paths(rng, 11, 40)
    cells = np.ascontiguousarray((np.diff(x, axis=1) @ np.diff(y, axis=1).transpose(0, 2, 1)).reshape(11, -1))
    options = (np.array(NO_PARAMETERS), 6, 40, 0, GIVEN, PAIRWISE, 1, 0, 3)
    module = _cpu.loops["float64"].branched_kernel
    out, nothing = np.empty((11, 1)), np.empty((0, 0))
    module.branched_sig_kernel(cells, nothing, out, *options, False, 1)
    assert_close(out[:, 0], kernels_of(x, y, 3, (1, 0)))
    derivs, gradient = rng.uniform(-1, 1, (11, 1)), np.empty_like(cells)
    module.branched_sig_kernel_backprop(
        derivs, cells, nothing, gradient, nothing, np.empty(0), *options, False, True, False, 1
    )

    def value(at: np.ndarray) -> np.ndarray:
        moved = np.empty((11, 1))
        module.branched_sig_kernel(at, nothing, moved, *options, False, 1)
        return moved

    assert_gradient(value, cells, derivs, gradient)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_sum_over_forests(rng: np.random.Generator, depth: int) -> None:
    """The kernel is the inner product of branched signatures over forests, divided by their symmetries."""
    x, y = (path * 0.5 for path in (paths(rng, 3, 3), paths(rng, 3, 4)))
    coarse, fine = (kernels_of(x, y, depth, (order, order)) for order in (5, 6))
    bsigs = [branched_sig(path, 6, False) for path in (x, y)]
    expected = [definition.kernel_of_trees(a, b, 2, 6, depth) for a, b in zip(*bsigs, strict=True)]
    # The error of the scheme is divided by four with each order; what is left is that, and trees of 7 nodes.
    assert_close(fine + (fine - coarse) / 3, np.array(expected), 1e-6)


def test_second_order_convergence(rng: np.random.Generator) -> None:
    x, y = paths(rng, 5, 4), paths(rng, 5, 5)
    values = [kernels_of(x, y, 3, (order, order)) for order in range(3, 7)]
    steps = np.linalg.norm(np.diff(values, axis=0), axis=1)
    assert (np.abs(steps[:-1] / steps[1:] - 4) < 0.5).all()


@shapes
@pytest.mark.parametrize("kind", [LINEAR, RBF], ids=["linear", "rbf"])
@pytest.mark.parametrize("log", [False, True], ids=["kernel", "log"])
def test_backprop(
    instruction_set: str, rng: np.random.Generator, shape: tuple[int, int, tuple[int, int], int], kind: int, log: bool
) -> None:
    length1, length2, orders, depth = shape
    x, y = paths(rng, 3, length1), paths(rng, 4, length2)
    derivs = rng.uniform(-1, 1, 12)
    options: dict[str, Any] = {"kind": kind, "parameters": (1.2, 0, 0), "log": log}
    by_x, by_y, by_parameters = gradients_of(derivs, x, y, depth, orders, GRAM, **options)
    assert_gradient(lambda at: kernels_of(at, y, depth, orders, GRAM, **options), x, derivs, by_x)
    assert_gradient(lambda at: kernels_of(x, at, depth, orders, GRAM, **options), y, derivs, by_y)

    def of_parameter(at: np.ndarray) -> np.ndarray:
        return kernels_of(x, y, depth, orders, GRAM, kind=kind, parameters=(float(at[0]), 0, 0), log=log)

    assert_gradient(of_parameter, np.array([1.2]), derivs, by_parameters[:1])
    # Pair by pair, and only what is wanted.
    pairs = [np.repeat(x, 4, axis=0), np.tile(y, (3, 1, 1))]
    single = gradients_of(derivs, *pairs, depth, orders, wanted=(True, False, False), **options)
    assert_close(single[0].reshape(3, 4, *x.shape[1:]).sum(axis=1), by_x)
    single = gradients_of(derivs, *pairs, depth, orders, wanted=(False, True, False), **options)
    assert_close(single[1].reshape(3, 4, *y.shape[1:]).sum(axis=0), by_y)


@shapes
def test_grid_backprop(rng: np.random.Generator, shape: tuple[int, int, tuple[int, int], int]) -> None:
    length1, length2, orders, depth = shape
    x, y = paths(rng, 9, length1), paths(rng, 9, length2)
    value = kernels_of(x, y, depth, orders, grid=True)
    derivs = rng.uniform(-1, 1, value.shape)
    before = derivs.copy()
    gradients = gradients_of(derivs, x, y, depth, orders)
    assert_same_bits(derivs, before)
    assert_gradient(lambda at: kernels_of(at, y, depth, orders, grid=True), x, derivs, gradients[0])
    assert_gradient(lambda at: kernels_of(x, at, depth, orders, grid=True), y, derivs, gradients[1])


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_symmetric_backprop(dtype: np.dtype, rng: np.random.Generator, batch: int) -> None:
    """Both sides of the matrix, in one gradient."""
    x = paths(rng, batch, 6, dtype=dtype)
    derivs = rng.uniform(-1, 1, batch * batch).astype(dtype)
    both = gradients_of(derivs, x, x, 2, (1, 1), GRAM)
    result = gradients_of(derivs, x, x, 2, (1, 1), SYMMETRIC, wanted=(True, False, True))
    assert_close(result[0], both[0] + both[1])
    assert_close(result[2], both[2], 1e-9 if dtype == np.float64 else 1e-3)


def test_float32_gradients_of_long_paths(rng: np.random.Generator) -> None:
    """Rows that are taken off again keep their digits."""
    x, y = (np.cumsum(rng.standard_normal((3, 200, 2)), axis=1) * 0.03 for _ in range(2))
    expected = gradients_of(np.ones(9), x, y, 3, (1, 1), GRAM)
    result = gradients_of(np.ones(9), x.astype(np.float32), y.astype(np.float32), 3, (1, 1), GRAM)
    for one, other in zip(result[:2], expected[:2], strict=True):
        assert_close(one, other, 1e-3)


def test_threads(rng: np.random.Generator) -> None:
    x, y = paths(rng, 20, 6), paths(rng, 21, 7)
    derivs = rng.uniform(-1, 1, 420)
    assert_same_bits(kernels_of(x, y, 2, (1, 1), GRAM, n_threads=4), kernels_of(x, y, 2, (1, 1), GRAM))
    many = gradients_of(derivs, x, y, 2, (1, 1), GRAM, n_threads=4)
    for one, other in zip(gradients_of(derivs, x, y, 2, (1, 1), GRAM), many, strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize("shape", [(40, 12), (2, 300)], ids=["many", "long"])
def test_interruption(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    x = paths(rng, *shape)
    derivs = np.ones(shape[0] ** 2)
    for call in (
        lambda n_threads: kernels_of(x, x, 2, layout=GRAM, n_threads=n_threads),
        lambda n_threads: gradients_of(derivs, x, x, 2, layout=GRAM, n_threads=n_threads),
    ):
        call(1)
        _interruption.interrupt_at_look(NEVER)
        call(1)
        n_looks = NEVER - _interruption.looks_to_come()
        assert n_looks >= 5
        for look in {0, n_looks // 2, n_looks - 1}:
            assert is_interrupted(call, 1, look)
        assert not is_interrupted(call, 1, n_looks)
        assert is_interrupted(call, 2, 0)
