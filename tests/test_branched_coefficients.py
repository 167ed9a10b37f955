"""Single coefficients of branched signatures: golden files, definitions, gradients, and what is refused."""

from typing import Any

import numpy as np
import pytest
import reference_branched as reference
from cases import random_paths
from checking import assert_close, optional
from golden import Case, cases

import siglib

TREES: list[Any] = [((1,), (0,), 1), (0,), None, ((((0,), 1), (1,), 0)), (0,), [[[0], [0], 1], 0]]
FORESTS: list[Any] = [((1,), (0,)), (0,), None, (((0,), (1,), 0),), ((0,), ((1,), 1)), [[[1], [0], 0], [1]]]


@pytest.mark.parametrize(
    "case", cases("06_branched_sig", "branched_sig_coef", "branched_sig_coef_backprop", "extract_branched_sig_coef")
)
def test_golden(case: Case) -> None:
    assert_close(getattr(siglib, case.function)(*case.args, **case.kwargs), case.outputs[0])


@pytest.mark.parametrize("correction", [None, 0.3 * np.arange(4.0) - 0.5])
@pytest.mark.parametrize("planar", [False, True])
def test_definition(rng: np.random.Generator, planar: bool, correction: Any) -> None:
    paths = random_paths(rng, 3, 5, 2)
    trees = FORESTS if planar else TREES
    rows = None if correction is None else np.tile(correction, (4, 1))
    basis = reference.trees(2, 4, planar)
    index = {tree: i for i, tree in enumerate(basis)}
    found = siglib.branched_sig_coef(paths, trees, planar=planar, correction=correction)
    for path, row in zip(paths, found, strict=True):
        values = reference.branched_sig(path, 4, planar, rows)
        for tree, value in zip(trees, row, strict=True):
            if tree is None:
                assert value == 1
                continue
            whole = _as_tuples(tree)
            if planar:
                whole = (whole,) if isinstance(whole[-1], int) else whole
            else:
                whole = reference.canonical(whole, index)
            assert_close(value, values[index[whole]])


def _as_tuples(tree: Any) -> Any:
    return tree if isinstance(tree, int) else tuple(map(_as_tuples, tree))


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("flags", [{}, {"time_aug": True, "end_time": 2.0}, {"time_aug": True, "lead_lag": True}])
def test_all_trees_are_the_branched_signature(
    rng: np.random.Generator, planar: bool, dtype: Any, flags: dict[str, Any]
) -> None:
    paths = random_paths(rng, 2, 6, 2).astype(dtype)
    d = siglib.transform_path(paths, **flags).shape[-1]
    trees = list(siglib.trees(d, 3, planar=planar))
    expected = siglib.branched_sig(paths.astype(float), 3, planar=planar, scalar_term=True, **flags)
    found = siglib.branched_sig_coef(paths, trees, planar=planar, **flags)
    assert found.dtype == dtype
    tolerance = {np.float64: 1e-12, np.float32: 1e-5, np.float16: 5e-3}[dtype]
    assert_close(found, expected, tolerance)
    bsig = siglib.branched_sig(paths, 3, planar=planar, scalar_term=True, **flags)
    picked = siglib.extract_branched_sig_coef(
        bsig, trees[::-1], 2, planar=planar, scalar_term=True, time_aug=d % 2 == 1, lead_lag=d > 3
    )
    assert picked.dtype == dtype
    assert np.array_equal(picked, bsig[..., ::-1])


def test_many_paths_in_several_blocks(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 3000, 4, 2)
    tree = (*((i % 2,) for i in range(9)), 0)
    whole = siglib.branched_sig_coef(paths, tree, n_jobs=2)
    assert whole.shape == (3000, 1)
    assert np.array_equal(whole, siglib.branched_sig_coef(paths, tree))
    # A root behind leaves: the integral of the product of their coefficients.
    y = np.concatenate([np.zeros((3000, 1, 2)), np.diff(paths, axis=1)], axis=1).cumsum(axis=1)
    nodes, weights = np.polynomial.legendre.leggauss(10)
    total = np.zeros(3000)
    for k in range(3):
        step = y[:, k + 1] - y[:, k]
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            x = y[:, k] + node * step
            total += weight * x[:, 0] ** 5 * x[:, 1] ** 4 * step[:, 0]
    assert_close(whole[:, 0], total)


@pytest.mark.parametrize("shape", [(0, 2), (1, 2), (3, 0, 2), (0, 5, 2)])
def test_paths_without_segments(shape: tuple[int, ...]) -> None:
    path = np.ones(shape)
    for correction in (None, np.ones(4)):
        found = siglib.branched_sig_coef(path, [(0,), None, ((1,), 0)], correction=correction)
        assert found.shape == (*shape[:-2], 3)
        assert np.array_equal(found, np.broadcast_to([0.0, 1.0, 0.0], found.shape))
        grad = siglib.branched_sig_coef_backprop(path, [(0,), None, ((1,), 0)], found, found, correction=correction)
        assert grad.shape == shape
        assert not grad.any()


def test_time_alone_is_exact() -> None:
    path = np.zeros((1000, 1), np.float32)
    found = siglib.branched_sig_coef(path, [((1,), (1,), 1), (((1,), 1), 1)], time_aug=True, end_time=3.0)
    assert found.tolist() == [9.0, 4.5]


def test_correction_of_a_higher_level_than_the_trees(rng: np.random.Generator) -> None:
    path = random_paths(rng, 4, 2)
    correction = rng.standard_normal(4 + 8)
    found = siglib.branched_sig_coef(path, [(0,), ((0,), 1)], correction=correction)
    expected = siglib.branched_sig(path, 3, correction=correction)
    assert_close(found, siglib.extract_branched_sig_coef(expected, [(0,), ((0,), 1)], 2))
    assert_close(siglib.branched_sig_coef(path, (0,), correction=correction), path[-1:, 0] - path[0, 0])


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("per_segment", [False, True])
def test_gradient(rng: np.random.Generator, planar: bool, per_segment: bool) -> None:
    """Against central differences, for path and correction."""
    path, trees = random_paths(rng, 2, 4, 2), (FORESTS if planar else TREES)
    derivs = rng.standard_normal((2, len(trees)))
    options = {"time_aug": True, "end_time": 0.7, "planar": planar}
    for correction in (None, rng.standard_normal((3, 4) if per_segment else (4,))):

        def value(path: Any, correction: Any = correction) -> float:
            return float((derivs * siglib.branched_sig_coef(path, trees, correction=correction, **options)).sum())

        coefs = siglib.branched_sig_coef(path, trees, correction=correction, **options)
        call = {"correction": correction, "correction_deriv": correction is not None, **options}
        found = siglib.branched_sig_coef_backprop(path, trees, coefs, derivs, **call)
        if correction is None:
            assert_close(found, differences(value, path), 1e-7)
            continue
        assert_close(found[0], differences(value, path), 1e-7)
        assert_close(found[1], differences(lambda c: value(path, c), correction), 1e-7)
        alone = siglib.branched_sig_coef_backprop(path, trees, coefs, derivs, correction=correction, **options)
        assert np.array_equal(alone, found[0])


def differences(f: Any, x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    found = np.empty(x.shape)
    for at in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[at] = h
        found[at] = (f(x + step) - f(x - step)) / (2 * h)
    return found


DEEP: Any = (0,)
for _ in range(150):
    DEEP = (DEEP, 0)
WIDE = (*((i,) for i in range(14)), 0)


@pytest.mark.parametrize(
    ("trees", "options", "error", "message"),
    [
        ([], {}, ValueError, "trees must not be empty"),
        ("a", {}, TypeError, "trees must be a tree, None, or a list of such, got str"),
        (np.zeros(2), {}, TypeError, "trees must be a tree"),
        ([(0,), 1.5], {}, TypeError, "label of a tree must be an integer|children of a tree"),
        ([(0,), "a"], {}, TypeError, "label of a tree must be an integer"),
        ((True,), {}, TypeError, "label of a tree must be an integer, got True"),
        ((), {}, ValueError, "the empty tree is None"),
        ((-1,), {}, ValueError, "label of a tree must be at least 0"),
        ((2,), {}, ValueError, r"labels of trees must be in \[0, 2\), got 2"),
        ((2**40,), {}, ValueError, "must be less than dimension="),
        (((0,), (1,)), {}, TypeError, "must be its root's label"),
        (((0,), (5,)), {"planar": True}, ValueError, "labels of trees must be in"),
        (DEEP, {}, ValueError, "at most 100 nodes, got more"),
        ((DEEP, (0,)), {"planar": True}, ValueError, "at most 100 nodes, got more"),
        (WIDE, {"path": np.zeros((3, 14))}, ValueError, "need a table of"),
        (((*((0,),) * 40, 0), (*((0,),) * 40, 0)), {"planar": True}, ValueError, "need a table of"),
        ((*((0,),) * 30, 0), {}, ValueError, r"2\*\*63"),
        ((0,), {"planar": 1}, TypeError, "planar must be True or False"),
        ((0,), {"correction": np.zeros(3)}, ValueError, "correction must have"),
        ((0,), {"correction": np.zeros(4), "lead_lag": True}, ValueError, "lead_lag"),
        ([], {"correction": np.zeros(4)}, ValueError, "trees must not be empty"),
        ((3,), {"correction": np.zeros(4)}, ValueError, "must be less than dimension=2, got 3"),
        ((0,), {"path": np.zeros(3)}, ValueError, "path must have shape"),
        ((0,), {"path": np.zeros(3), "correction": np.zeros(4)}, ValueError, "path must have shape"),
    ],
)
def test_refused(trees: Any, options: dict[str, Any], error: Any, message: str) -> None:
    options = {"path": np.zeros((3, 2)), **options}
    with pytest.raises(error, match=message):
        siglib.branched_sig_coef(trees=trees, **options)
    if "path" not in options and "correction" not in options:
        with pytest.raises(error, match=message):
            siglib.prepare_branched_sig_coef(2, trees, **options)


def test_refused_gradients() -> None:
    path, trees = np.zeros((2, 3, 2)), [(0,), (1,)]
    good = np.zeros((2, 2))
    for correction in (None, np.zeros(4)):
        for name, wrong in (("coefs", np.zeros((2, 3))), ("derivs", np.zeros((2, 1)))):
            arrays = {"coefs": good, "derivs": good, name: wrong}
            with pytest.raises(ValueError, match=f"{name} must have length 2 on its last axis, one entry per tree"):
                siglib.branched_sig_coef_backprop(path, trees, **arrays, correction=correction)
            arrays[name] = np.zeros((3, 2))
            with pytest.raises(ValueError, match=f"path and {name} must have the same batch shape"):
                siglib.branched_sig_coef_backprop(path, trees, **arrays, correction=correction)
    with pytest.raises(ValueError, match="there is no correction"):
        siglib.branched_sig_coef_backprop(path, trees, good, good, correction_deriv=True)
    with pytest.raises(TypeError, match="share a dtype"):
        siglib.branched_sig_coef_backprop(path, trees, good, good.astype(np.float32))


@pytest.mark.parametrize(
    ("bsig", "trees", "options", "error", "message"),
    [
        (np.zeros(6), ((0,), (1,), 0), {}, IndexError, "bsig has degree 2, which is less than 3"),
        (np.zeros(6), DEEP, {}, ValueError, "at most 100 nodes"),
        (np.zeros(7), (0,), {}, ValueError, "pass scalar_term=True"),
        (np.zeros(6), None, {}, ValueError, "only with scalar_term=True"),
        (np.zeros(6), (2,), {}, ValueError, "less than dimension=2, got 2"),
        (np.zeros(6), (0,), {"planar": True}, ValueError, "length of a branched signature of dimension 2"),
        (np.zeros(()), (0,), {}, ValueError, "a single number"),
        (np.zeros(6), "a", {}, TypeError, "trees must be"),
    ],
)
def test_refused_extraction(bsig: Any, trees: Any, options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.extract_branched_sig_coef(bsig, trees, 2, **options)


def test_extraction_of_nothing() -> None:
    assert siglib.extract_branched_sig_coef(np.ones((2, 6)), [], 2).shape == (2, 0)
    assert siglib.extract_branched_sig_coef(np.ones((2, 1)), None, 2, scalar_term=True).tolist() == [[1.0], [1.0]]
    assert siglib.extract_branched_sig_coef(np.ones((2, 0)), [], 1).shape == (2, 0)


def test_labels_of_other_types() -> None:
    """What is kept for a tree is not taken for one that only compares equal."""
    path = np.array([[0.0, 0.0], [1.0, 2.0]])
    bsig = siglib.branched_sig(path, 2)
    for _ in range(2):
        assert siglib.branched_sig_coef(path, ((0,), 1)).tolist() == [1.0]
        assert siglib.branched_sig_coef(path, ((np.int8(0),), np.int64(1))).tolist() == [1.0]
        assert siglib.extract_branched_sig_coef(bsig, [[[np.int8(0)], 1]], 2).tolist() == [1.0]
        for wrong in (((False,), True), ((0.0,), 1.0)):
            with pytest.raises(TypeError, match="label of a tree must be an integer"):
                siglib.branched_sig_coef(path, wrong)
            with pytest.raises(TypeError, match="label of a tree must be an integer"):
                siglib.extract_branched_sig_coef(bsig, wrong, 2)


# PyTorch


@pytest.mark.parametrize("planar", [False, True])
def test_torch(rng: np.random.Generator, planar: bool) -> None:
    torch: Any = optional("torch")
    trees = FORESTS if planar else TREES
    path = torch.from_numpy(random_paths(rng, 2, 4, 2)).requires_grad_()
    correction = torch.from_numpy(rng.standard_normal(4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: siglib.branched_sig_coef(x, trees, planar=planar), path)
    assert torch.autograd.gradcheck(
        lambda x, c: siglib.branched_sig_coef(x, trees, planar=planar, correction=c), (path, correction)
    )
    bsig = siglib.branched_sig(path, 4, planar=planar, scalar_term=True).detach().requires_grad_()

    def extract(x: Any) -> Any:
        return siglib.extract_branched_sig_coef(x, trees, 2, planar=planar, scalar_term=True)

    assert_close(extract(bsig).detach(), siglib.branched_sig_coef(path, trees, planar=planar).detach().numpy())
    assert torch.autograd.gradgradcheck(lambda x: extract(x) ** 2, bsig)
    out = siglib.branched_sig_coef(path.detach().half(), trees, planar=planar)
    assert out.dtype is torch.float16
    out = siglib.branched_sig_coef(path.detach().half(), trees, planar=planar, correction=correction.detach().half())
    assert out.dtype is torch.float16


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled(rng: np.random.Generator, dynamic: bool) -> None:
    torch: Any = optional("torch")
    path = torch.from_numpy(random_paths(rng, 2, 4, 2)).requires_grad_()

    def function(x: Any) -> Any:
        chosen = siglib.branched_sig_coef(x, [((1,), (0,), 1), None, (0,)])
        corrected = siglib.branched_sig_coef(x, [((1,), (0,), 1), (0,)], correction=x[0, :2].reshape(-1))
        bsig = siglib.branched_sig(x, 3, planar=True)
        return (
            chosen.sum() + corrected.sum() + siglib.extract_branched_sig_coef(bsig, ((1,), (0,)), 2, planar=True).sum()
        )

    compiled = torch.compile(function, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for x in (path, torch.cat([path, path, path]).detach().requires_grad_()):
        assert_close(compiled(x).detach(), function(x).detach().numpy())
        assert_close(torch.autograd.grad(compiled(x), x)[0], torch.autograd.grad(function(x), x)[0].numpy())
    chosen = torch.compile(siglib.branched_sig_coef, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for trees in ((0,), [((0,), 1), ((1,), 1)]):
        assert_close(chosen(path, trees).detach(), siglib.branched_sig_coef(path, trees).detach().numpy())


def test_vmap(rng: np.random.Generator) -> None:
    torch: Any = optional("torch")
    path = torch.from_numpy(random_paths(rng, 3, 4, 2))
    trees = [((1,), (0,), 1), None]
    gradient = torch.func.grad(lambda x: siglib.branched_sig_coef(x, trees).sum())
    expected = [gradient(x) for x in path]
    assert_close(torch.func.vmap(gradient)(path), torch.stack(expected).numpy())
