"""Segments, joins and products of logarithms of branched signatures, and single coefficients, below the public
functions."""

from typing import Any

import numpy as np
import pytest
import reference_branched as definition
from checking import assert_close
from golden import Case, cases
from test_branched_kernels import (
    Launchers,
    assert_gradient,
    branched,
    branched_sig,
    called,
    log_options,
    methods,
    paths,
    planars,
    rows,
)

import siglib
from siglib._cpu import loops
from siglib._tables import tree_tables
from siglib._tables.forests import log_length
from siglib.branched import trees

branched_join = Launchers("branched_join")

SIZES = [(1, 4), (2, 1), (2, 3), (3, 3)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
prepends = pytest.mark.parametrize("prepend", [False, True], ids=["append", "prepend"])


@pytest.mark.parametrize(
    "case",
    cases(
        "06_branched_sig",
        "linear_branched_sig",
        "linear_branched_sig_backprop",
        "branched_sig_join",
        "branched_sig_join_backprop",
    ),
)
def test_golden_segments(case: Case) -> None:
    given = [rows(arg) for arg in case.args if isinstance(arg, np.ndarray)]
    degree = case.args[-1]
    out = [np.empty(rows(output).shape) for output in case.outputs]
    options = {"planar": case.kwargs.get("planar", False), "n_threads": 1}
    if "join" in case.function:
        options["prepend"] = case.kwargs.get("prepend", False)
    getattr(branched_join, case.function)(*given, *out, degree, **options)
    for result, expected in zip(out, case.outputs, strict=True):
        assert_close(result.reshape(expected.shape), expected)


@pytest.mark.parametrize("case", cases("06_branched_log", "branched_log_sig_join", "branched_log_sig_join_backprop"))
def test_golden_join_of_logarithms(case: Case) -> None:
    given = [rows(arg) for arg in case.args if isinstance(arg, np.ndarray)]
    degree = case.args[-1]
    out = [np.empty(rows(output).shape) for output in case.outputs]
    options = {"planar": True, "method": 2, "prepend": case.kwargs.get("prepend", False), "n_threads": 1}
    getattr(branched_join, case.function)(*given, *out, degree, **options)
    for result, expected in zip(out, case.outputs, strict=True):
        assert_close(result.reshape(expected.shape), expected)


@sizes
@planars
@prepends
def test_join(dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], planar: bool, prepend: bool) -> None:
    d, degree = size
    path = paths(rng, 9, 5, d, dtype)
    rest, displacement = path[:, :-1], path[:, -1] - path[:, -2]
    if prepend:
        rest, displacement = path[:, 1:], path[:, 1] - path[:, 0]
    for scalar_term in (False, True):
        whole, part = (branched_sig(points, degree, planar, scalar_term) for points in (path, rest))
        out = np.empty_like(part)
        branched_join.branched_sig_join(part, displacement, out, degree, planar, prepend, 1)
        assert_close(out, whole)
        segment = np.empty_like(part)
        branched_join.linear_branched_sig(displacement, segment, degree, planar, 1)
        points = np.stack([np.zeros_like(displacement), displacement], axis=1)
        assert_close(segment, branched_sig(points, degree, planar, scalar_term))


@sizes
@methods
def test_log_combine(rng: np.random.Generator, size: tuple[int, int], planar: bool, method: int) -> None:
    path = paths(rng, 9, 7, size[0])
    length = log_length(*size, planar, method)
    options = log_options(size, planar, method)
    whole, x, y = (
        called(branched.branched_sig_to_log_sig, branched_sig(part, size[1], planar), length=length, **options)
        for part in (path, path[:, :4], path[:, 3:])
    )

    def combined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return called(branched_join.branched_log_sig_combine, a, b, length=length, **options)

    assert_close(combined(x, y), whole)
    derivs = rng.uniform(-1, 1, x.shape)
    gradients = np.empty_like(x), np.empty_like(x)
    branched_join.branched_log_sig_combine_backprop(derivs, x, y, *gradients, **options, n_threads=1)
    assert_gradient(lambda at: combined(at, y), x, derivs, gradients[0])
    assert_gradient(lambda at: combined(x, at), y, derivs, gradients[1])


@planars
def test_coefficients(dtype: np.dtype, rng: np.random.Generator, planar: bool) -> None:
    """Those of some trees are sums of those of their words."""
    path = paths(rng, 5, 6, 2, dtype)
    basis = definition.trees(2, 4, planar)
    chosen = [basis[i] for i in rng.permutation(len(basis))[:20]]
    forms = tuple(trees.as_forest(tree, 2, 4, planar) for tree in chosen)
    forms = (*forms, (), forms[0])
    words = tree_tables.coefficient_words(forms, planar)
    table: Any = tree_tables.coefficient_matrix(forms, planar, dtype.name, False)
    out = np.empty((5, len(forms)), dtype)
    values = np.ascontiguousarray(siglib.sig_coef(path, list(words)))
    loops[dtype.name].sparse.apply(values, *table, out, 0, 0.0, 1)
    bsig = branched_sig(path, 4, planar)
    assert_close(out[:, :20], bsig[:, [basis.index(tree) for tree in chosen]])
    assert_close(out[:, 20], np.ones(5))
    assert_close(out[:, 21], out[:, 0])


def test_children_come_in_any_order() -> None:
    one, other = (trees.as_forest(tree, 2, 4, False) for tree in [((0,), ((1,), 0), 1), (((1,), 0), (0,), 1)])
    assert tree_tables.coefficient_words((one,), False) == tree_tables.coefficient_words((other,), False)
