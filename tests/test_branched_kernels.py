"""Branched signatures below the public functions: golden files, definitions, identities, gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import reference_branched as definition
from checking import assert_close, assert_same_bits
from golden import Case, arrays, cases
from test_interruption import NEVER, is_interrupted

import siglib
from siglib import _cpu
from siglib._cpu import _interruption
from siglib._tables import tree_tables
from siglib._tables.forests import branched_length, log_length
from siglib._tables.transform import NO_TRANSFORM, Transform


class Launchers:
    """The launchers of a topic, those of the dtype of the first array."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def __getattr__(self, name: str) -> Callable[..., None]:
        topic = self.topic
        return lambda *args, **options: getattr(getattr(_cpu.loops[args[0].dtype.name], topic), name)(*args, **options)


branched = Launchers("branched")
SIZES = [(1, 1), (1, 5), (2, 1), (2, 2), (2, 4), (3, 3), (5, 2)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
planars = pytest.mark.parametrize("planar", [False, True], ids=["trees", "planar"])
# Log-signatures: not planar, and planar by each method.
methods = pytest.mark.parametrize(("planar", "method"), [(False, 0), (True, 0), (True, 1), (True, 2)], ids=str)
# Fewer than lanes, as many, more.
BATCHES = [1, 8, 19]
STEP = 1e-6


def rows(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.reshape(-1, array.shape[-1]))


def called(function: Callable[..., None], *args: Any, length: int, scalar_term: bool = False, **options: Any) -> Any:
    """The result of a launcher that writes one array of `length` numbers a row; one thread."""
    first = args[0]
    out = np.full((first.shape[0], length + scalar_term), np.nan, first.dtype)
    function(*args, out, **options, n_threads=1)
    return out


def branched_sig(path: np.ndarray, degree: int, planar: bool, scalar_term: bool = False) -> np.ndarray:
    """Of paths (batch, length, dimension), without correction."""
    d = path.shape[-1]
    return called(
        branched.branched_sig,
        siglib.sig(path, degree, scalar_term=scalar_term),
        length=branched_length(d, degree, planar),
        scalar_term=scalar_term,
        dimension=d,
        degree=degree,
        planar=planar,
    )


def vectors(rng: np.random.Generator, batch: int, size: tuple[int, int], planar: bool, dtype: Any) -> np.ndarray:
    """Coefficients that need not belong to a path."""
    return rng.uniform(-1, 1, (batch, branched_length(*size, planar))).astype(dtype)


def paths(rng: np.random.Generator, batch: int, length: int, dimension: int, dtype: Any = np.float64) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, (batch, length, dimension)).astype(dtype)


def assert_gradient(
    value: Callable[[np.ndarray], np.ndarray], at: np.ndarray, derivs: np.ndarray, gradient: np.ndarray
) -> None:
    """The gradient of <value, derivs>, along a direction, by central differences."""
    assert gradient.shape == at.shape
    direction = np.random.default_rng(7).standard_normal(at.shape)
    difference = ((value(at + STEP * direction) - value(at - STEP * direction)) * derivs).sum() / (2 * STEP)
    assert_close(np.sum(gradient * direction), difference, 1e-7)


# Golden files


def options_of(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    transform = {name: case.kwargs[name] for name in ("time_aug", "lead_lag", "end_time") if name in case.kwargs}
    return transform, {"planar": case.kwargs.get("planar", False), "n_threads": 1}


def is_plain(record: dict[str, Any]) -> bool:
    return record["kwargs"].get("correction") is None


@pytest.mark.parametrize("case", cases("06_branched_sig", "branched_sig", accept=is_plain))
def test_golden_branched_sig(case: Case) -> None:
    transform, options = options_of(case)
    path, degree = case.args
    d = siglib.transform_path(path, **transform).shape[-1]
    out = np.empty(rows(case.outputs[0]).shape)
    branched.branched_sig(rows(siglib.sig(path, degree, **transform)), out, d, degree, **options)
    assert_close(out.reshape(case.outputs[0].shape), case.outputs[0])


@pytest.mark.parametrize("case", cases("06_branched_sig", "branched_sig_backprop", accept=is_plain))
def test_golden_branched_sig_backprop(case: Case) -> None:
    transform, options = options_of(case)
    path, _, derivs, degree = case.args
    sig = siglib.sig(path, degree, **transform)
    d = siglib.transform_path(path, **transform).shape[-1]
    sig_derivs = np.empty_like(rows(sig))
    branched.branched_sig_backprop(rows(derivs), sig_derivs, d, degree, **options)
    assert_close(siglib.sig_backprop(path, sig, sig_derivs.reshape(sig.shape), degree, **transform), case.outputs[0])


@pytest.mark.parametrize("case", cases("06_branched_sig", "branched_sig_combine", "branched_sig_combine_backprop"))
def test_golden_combine(case: Case) -> None:
    _, options = options_of(case)
    *given, d, degree = case.args
    out = [np.empty(rows(output).shape) for output in case.outputs]
    getattr(branched, case.function)(*map(rows, given), *out, d, degree, **options)
    for result, expected in zip(out, case.outputs, strict=True):
        assert_close(result.reshape(expected.shape), expected)


@pytest.mark.parametrize(
    "case", cases("06_branched_log", "branched_sig_to_log_sig", "branched_sig_to_log_sig_backprop")
)
def test_golden_logarithms(case: Case) -> None:
    _, options = options_of(case)
    *given, d, degree = case.args
    method = case.kwargs.get("method")
    method = min(2, int(options["planar"]) if method is None else method)
    out = np.empty(rows(case.outputs[0]).shape)
    # The golden files have the derivatives behind.
    getattr(branched, case.function)(*map(rows, given[::-1]), out, d, degree, method=method, **options)
    assert_close(out.reshape(case.outputs[0].shape), case.outputs[0])


@pytest.mark.parametrize("case", cases("06_branched_log", "branched_log_sig", accept=is_plain))
def test_golden_branched_log_sig(case: Case) -> None:
    transform, options = options_of(case)
    path, degree = case.args
    method = case.kwargs.get("method")
    method = min(2, int(options["planar"]) if method is None else method)
    d = siglib.transform_path(path, **transform).shape[-1]
    log_sig = rows(siglib.log_sig(path, degree, method=0, **transform))
    out = np.empty(rows(case.outputs[0]).shape)
    branched.branched_log_sig(log_sig, out, d, degree, method=method, **options)
    assert_close(out.reshape(case.outputs[0].shape), case.outputs[0])


def levels_of(correction: np.ndarray, dimension: int) -> int:
    m, width = 1, 0
    while width < correction.shape[-1]:
        m += 1
        width += dimension**m
    assert width == correction.shape[-1]
    return m


@pytest.mark.parametrize("case", cases("06_branched_correction", "branched_sig"))
def test_golden_corrections(case: Case) -> None:
    """Other libraries are wrong where trees branch: there the file has numbers that follow the definition."""
    transform, options = options_of(case)
    assert not transform
    path, degree = case.args
    correction = case.kwargs["correction"]
    expected = arrays("06_branched_correction")[case.record["oracle_outputs"][0]["array"]]
    path = path.reshape(-1, *path.shape[-2:])
    shape = (1, -1, correction.shape[-1]) if correction.ndim < 3 else (-1, path.shape[1] - 1, correction.shape[-1])
    out = np.empty(rows(expected).shape)
    branched.corrected_branched_sig(
        path,
        correction.reshape(shape),
        out,
        degree,
        levels_of(correction, path.shape[-1]),
        transform=NO_TRANSFORM,
        **options,
    )
    assert_close(out.reshape(expected.shape), expected)


# Without correction


@sizes
@planars
@pytest.mark.parametrize("batch", BATCHES)
def test_branched_sig(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    planar: bool,
    batch: int,
) -> None:
    path = paths(rng, batch, 4, size[0], dtype)
    result = branched_sig(path, size[1], planar)
    for i in {0, batch - 1}:
        assert_close(result[i], definition.branched_sig(path[i], size[1], planar))
    with_scalar = branched_sig(path, size[1], planar, scalar_term=True)
    assert_same_bits(with_scalar[:, 1:], result)
    assert (with_scalar[:, 0] == 1).all()


@pytest.mark.parametrize("size", [(1, 5), (2, 4), (3, 4)], ids=str)
def test_words_of_trees(size: tuple[int, int]) -> None:
    """The words of a tree are the orders of its nodes with children before parents."""
    starts, columns, values = tree_tables.word_matrix(*size, False, "float64", False)
    index = {word: i for i, word in enumerate(reference.words(*size)[1:])}
    for row, tree in enumerate(definition.trees(*size, False)):
        counts = np.zeros(len(index))
        for word in definition.orders(tree):
            counts[index[word]] += 1
        found = np.zeros(len(index))
        found[columns[starts[row] : starts[row + 1]]] = values[starts[row] : starts[row + 1]]
        assert_close(found, counts, 0.0)


@pytest.mark.parametrize("size", [(1, 5), (2, 4), (3, 3)], ids=str)
def test_trees_are_sums_of_planar_trees(rng: np.random.Generator, size: tuple[int, int]) -> None:
    path = paths(rng, 3, 5, size[0])
    index = {forest: i for i, forest in enumerate(definition.trees(*size, True))}
    planar = branched_sig(path, size[1], True)
    sums = [
        planar[:, [index[(order,)] for order in definition.planar_orders(tree)]].sum(axis=1)
        for tree in definition.trees(*size, False)
    ]
    assert_close(branched_sig(path, size[1], False), np.transpose(sums))


@sizes
@planars
def test_branched_sig_backprop(dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], planar: bool) -> None:
    """The transpose of a linear map."""
    sig = rng.uniform(-1, 1, (11, len(reference.words(*size)) - 1)).astype(dtype)
    options = {"dimension": size[0], "degree": size[1], "planar": planar}
    value = called(branched.branched_sig, sig, length=branched_length(*size, planar), **options)
    derivs = rng.uniform(-1, 1, value.shape).astype(dtype)
    gradient = called(branched.branched_sig_backprop, derivs, length=sig.shape[1], **options)
    assert_close((gradient * sig).sum(axis=1), (derivs * value).sum(axis=1))
    with_scalar = np.concatenate([np.full((11, 1), np.nan, dtype), derivs], axis=1)
    result = called(branched.branched_sig_backprop, with_scalar, length=sig.shape[1], scalar_term=True, **options)
    assert_same_bits(result[:, 1:], gradient)
    assert (result[:, 0] == 0).all()


@sizes
@planars
def test_chains_are_words(rng: np.random.Generator, size: tuple[int, int], planar: bool) -> None:
    path = paths(rng, 11, 5, size[0])
    sig = siglib.sig(path, size[1])
    options = {"dimension": size[0], "degree": size[1], "planar": planar}
    bsig = branched_sig(path, size[1], planar)
    assert_same_bits(called(branched.sig_of_branched_sig, bsig, length=sig.shape[1], **options), sig)


@planars
def test_nothing_to_compute(planar: bool) -> None:
    options = {"dimension": 2, "planar": planar}
    ones = called(branched.branched_sig, np.ones((3, 1)), length=0, scalar_term=True, degree=0, **options)
    assert_same_bits(ones, np.ones((3, 1)))
    assert called(branched.branched_sig, np.ones((0, 6)), length=6, degree=2, **options).shape == (0, 6)
    assert called(branched.branched_sig_combine, ones, ones, length=0, scalar_term=True, degree=0, **options).sum() == 3
    log = called(branched.branched_sig_to_log_sig, ones, length=0, scalar_term=True, degree=0, method=0, **options)
    assert_same_bits(log, np.zeros((3, 1)))


# Products


@sizes
@planars
@pytest.mark.parametrize("batch", BATCHES)
def test_combine(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    planar: bool,
    batch: int,
) -> None:
    x, y = (vectors(rng, batch, size, planar, dtype) for _ in range(2))
    options = {"length": x.shape[1], "dimension": size[0], "degree": size[1], "planar": planar}
    result = called(branched.branched_sig_combine, x, y, **options)
    for i in {0, batch - 1}:
        assert_close(result[i], definition.combine(x[i], y[i], *size, planar))
    # Whatever scalar terms come: they are 1.
    x1, y1 = (np.concatenate([np.full((batch, 1), np.nan, dtype), part], axis=1) for part in (x, y))
    with_scalar = called(branched.branched_sig_combine, x1, y1, scalar_term=True, **options)
    assert_same_bits(with_scalar[:, 1:], result)
    assert (with_scalar[:, 0] == 1).all()


@sizes
@planars
def test_chen(rng: np.random.Generator, size: tuple[int, int], planar: bool) -> None:
    path = paths(rng, 9, 7, size[0])
    parts = [branched_sig(part, size[1], planar) for part in (path[:, :4], path[:, 3:])]
    options = {"length": parts[0].shape[1], "dimension": size[0], "degree": size[1], "planar": planar}
    whole = called(branched.branched_sig_combine, *parts, **options)
    assert_close(whole, branched_sig(path, size[1], planar))
    # The inverse is the signature of the path that runs backwards.
    backwards = branched_sig(path[:, ::-1], size[1], planar)
    assert_close(called(branched.branched_sig_combine, whole, backwards, **options), np.zeros_like(whole))


@sizes
@planars
def test_products_are_associative(rng: np.random.Generator, size: tuple[int, int], planar: bool) -> None:
    x, y, z = (vectors(rng, 5, size, planar, np.float64) for _ in range(3))
    options = {"length": x.shape[1], "dimension": size[0], "degree": size[1], "planar": planar}

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return called(branched.branched_sig_combine, a, b, **options)

    assert_close(product(product(x, y), z), product(x, product(y, z)), 1e-10)


@sizes
@planars
@pytest.mark.parametrize("scalar_term", [False, True], ids=["plain", "scalar"])
def test_combine_backprop(
    instruction_set: str, rng: np.random.Generator, size: tuple[int, int], planar: bool, scalar_term: bool
) -> None:
    x, y, derivs = (vectors(rng, 11, size, planar, np.float64) for _ in range(3))
    options = {"dimension": size[0], "degree": size[1], "planar": planar}
    given = [np.pad(part, ((0, 0), (int(scalar_term), 0)), constant_values=3) for part in (derivs, x, y)]
    gradients = [np.full_like(given[0], np.nan) for _ in range(2)]
    branched.branched_sig_combine_backprop(*given, *gradients, **options, n_threads=1)
    for i, (gradient, at) in enumerate(zip(gradients, (x, y), strict=True)):

        def value(moved: np.ndarray, i: int = i) -> np.ndarray:
            both = (moved, y) if i == 0 else (x, moved)
            return called(branched.branched_sig_combine, *both, length=x.shape[1], **options)

        if scalar_term:
            assert (gradient[:, 0] == 0).all()
        assert_gradient(value, at, derivs, gradient[:, int(scalar_term) :])


# Logarithms


def log_options(size: tuple[int, int], planar: bool, method: int) -> dict[str, Any]:
    return {"dimension": size[0], "degree": size[1], "planar": planar, "method": method}


@sizes
@methods
def test_log_of_paths(rng: np.random.Generator, size: tuple[int, int], planar: bool, method: int) -> None:
    """The logarithm of the branched signature is the image of the logarithm of the signature."""
    path = paths(rng, 11, 6, size[0])
    options = log_options(size, planar, method)
    length = log_length(*size, planar, method)
    log_sig = siglib.log_sig(path, size[1], method=0)
    image = called(branched.branched_log_sig, log_sig, length=length, **options)
    bsig = branched_sig(path, size[1], planar)
    assert_close(called(branched.branched_sig_to_log_sig, bsig, length=length, **options), image)
    derivs = rng.uniform(-1, 1, image.shape)
    gradient = called(branched.branched_log_sig_backprop, derivs, length=log_sig.shape[1], **options)
    assert_close((gradient * log_sig).sum(axis=1), (derivs * image).sum(axis=1))


@sizes
@planars
@pytest.mark.parametrize("scalar_term", [False, True], ids=["plain", "scalar"])
def test_log_is_a_power_series(
    dtype: np.dtype, rng: np.random.Generator, size: tuple[int, int], planar: bool, scalar_term: bool
) -> None:
    """Of any vectors. If not planar, powers of X are not known from trees alone, but exp log X is."""
    x = vectors(rng, 9, size, planar, dtype)
    options = log_options(size, planar, 0)
    given = np.pad(x, ((0, 0), (int(scalar_term), 0)), constant_values=1)
    log = called(branched.branched_sig_to_log_sig, given, length=x.shape[1], scalar_term=scalar_term, **options)
    if scalar_term:
        assert (log[:, 0] == 0).all()
    exp = called(branched.branched_logsig_to_sig, log, length=x.shape[1], scalar_term=scalar_term, **options)
    assert_close(exp, given, 1e-10 if dtype == np.float64 else 1e-3)
    if planar and dtype == np.float64:
        # exp and log with powers by the definition of the product.
        for i in range(2):
            power, total = x[i], np.zeros_like(x[i])
            for k in range(1, size[1] + 1):
                total += (-1) ** (k - 1) / k * power
                # combine has unit terms: X * Y = 1 + X + Y + the product without them.
                power = definition.combine(x[i], power, *size, True) - x[i] - power
            assert_close(log[i, int(scalar_term) :], total)


@sizes
def test_exp_is_a_flow(rng: np.random.Generator, size: tuple[int, int]) -> None:
    """exp l for l at chains is a segment with correction."""
    d, degree = size
    basis = definition.trees(d, degree, False)
    terms: dict[tuple[int, ...], float] = {}
    log = np.zeros((1, len(basis)))
    for i, tree in enumerate(basis):
        labels: tuple[int, ...] = ()
        while len(tree) == 2:
            labels, tree = (*labels, tree[-1]), tree[0]
        if len(tree) == 1:
            log[0, i] = terms[(*labels, tree[-1])] = rng.uniform(-1, 1)
    expected = definition.flow(terms, dict.fromkeys(basis, 0.0), basis, False)
    result = called(branched.branched_logsig_to_sig, log, length=len(basis), **log_options(size, False, 0))
    assert_close(result[0], np.array([expected[tree] for tree in basis]))


@sizes
@methods
def test_log_backprop(
    instruction_set: str, rng: np.random.Generator, size: tuple[int, int], planar: bool, method: int
) -> None:
    x = vectors(rng, 11, size, planar, np.float64) * 0.5
    options = log_options(size, planar, method)
    length = log_length(*size, planar, method)

    def log(at: np.ndarray) -> np.ndarray:
        return called(branched.branched_sig_to_log_sig, at, length=length, **options)

    def exp(at: np.ndarray) -> np.ndarray:
        return called(branched.branched_logsig_to_sig, at, length=x.shape[1], **options)

    derivs = rng.uniform(-1, 1, (11, length))
    gradient = called(branched.branched_sig_to_log_sig_backprop, derivs, x, length=x.shape[1], **options)
    assert_gradient(log, x, derivs, gradient)
    derivs = rng.uniform(-1, 1, x.shape)
    at = rng.uniform(-0.5, 0.5, (11, length))
    gradient = called(branched.branched_logsig_to_sig_backprop, derivs, at, length=length, **options)
    assert_gradient(exp, at, derivs, gradient)
    assert_close(log(exp(at)), at, 1e-10)


# Corrections


def corrected(
    path: np.ndarray, correction: np.ndarray, degree: int, planar: bool, time_aug: bool = False, n_threads: int = 1
) -> np.ndarray:
    d = path.shape[-1] + time_aug
    out = np.full((path.shape[0], branched_length(d, degree, planar)), np.nan, path.dtype)
    m = levels_of(correction, d)
    branched.corrected_branched_sig(
        path, correction, out, degree, m, planar, Transform(time_aug, False, 2.0), n_threads
    )
    return out


def corrections(rng: np.random.Generator, shape: tuple[int, int], dimension: int, m: int, dtype: Any) -> np.ndarray:
    width = sum(dimension**q for q in range(2, m + 1))
    return rng.uniform(-0.5, 0.5, (*shape, width)).astype(dtype)


@pytest.mark.parametrize("size", [(1, 5), (2, 1), (2, 4), (3, 3)], ids=str)
@planars
@pytest.mark.parametrize("shape", ["all", "segments", "paths"])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_correction(
    instruction_set: str,
    dtype: np.dtype,
    rng: np.random.Generator,
    size: tuple[int, int],
    planar: bool,
    shape: str,
    m: int,
) -> None:
    d, degree = size
    m = min(m, degree)
    path = paths(rng, 11, 4, d, dtype)
    lead = {"all": (1, 1), "segments": (1, 3), "paths": (11, 3)}[shape]
    correction = corrections(rng, lead, d, m, dtype)
    result = corrected(path, correction, degree, planar)
    for i in (0, 10):
        own = np.broadcast_to(correction[min(i, lead[0] - 1)], (3, correction.shape[-1]))
        assert_close(result[i], definition.branched_sig(path[i], degree, planar, own))


@planars
def test_correction_of_zeros_changes_nothing(rng: np.random.Generator, planar: bool) -> None:
    path = paths(rng, 9, 6, 2)
    zeros = corrected(path, np.zeros((1, 1, 12)), 4, planar)
    assert_close(zeros, branched_sig(path, 4, planar))
    assert_close(corrected(path, np.zeros((1, 1, 0)), 4, planar), zeros)


@planars
def test_correction_with_time(dtype: np.dtype, rng: np.random.Generator, planar: bool) -> None:
    path = paths(rng, 9, 5, 1, dtype)
    correction = corrections(rng, (1, 1), 2, 2, dtype)
    augmented = siglib.transform_path(path, time_aug=True, end_time=2.0)
    assert_close(corrected(path, correction, 3, planar, time_aug=True), corrected(augmented, correction, 3, planar))


@planars
def test_corrected_paths_of_any_strides(rng: np.random.Generator, planar: bool) -> None:
    path = paths(rng, 9, 5, 2)
    correction = corrections(rng, (9, 4), 2, 2, np.float64)
    strided = np.asfortranarray(np.repeat(path, 2, axis=1))[:, ::2]
    assert_same_bits(corrected(strided, correction, 3, planar), corrected(path, correction, 3, planar))


@pytest.mark.parametrize("size", [(1, 5), (2, 1), (2, 4), (3, 3)], ids=str)
@planars
@pytest.mark.parametrize("shape", ["all", "segments", "paths"])
@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("time_aug", [False, True], ids=["plain", "time"])
def test_correction_backprop(
    instruction_set: str,
    rng: np.random.Generator,
    size: tuple[int, int],
    planar: bool,
    shape: str,
    m: int,
    time_aug: bool,
) -> None:
    d, degree = size
    m = min(m, degree)
    path = paths(rng, 11, 4, d)
    lead = {"all": (1, 1), "segments": (1, 3), "paths": (11, 3)}[shape]
    correction = corrections(rng, lead, d + time_aug, m, np.float64)
    bsig = corrected(path, correction, degree, planar, time_aug)
    derivs = rng.uniform(-1, 1, bsig.shape)
    gradient = np.full_like(path, np.nan)
    by_correction = np.full((11, *correction.shape[1:]), np.nan)
    options = degree, m, planar, Transform(time_aug, False, 2.0), 1
    branched.corrected_branched_sig_backprop(derivs, path, correction, bsig, gradient, by_correction, *options)
    assert_gradient(lambda at: corrected(at, correction, degree, planar, time_aug), path, derivs, gradient)
    if lead[0] == 1:
        by_correction = by_correction.sum(axis=0, keepdims=True)
    if m > 1:
        assert_gradient(lambda at: corrected(path, at, degree, planar, time_aug), correction, derivs, by_correction)
    alone = np.full_like(path, np.nan)
    branched.corrected_branched_sig_backprop(derivs, path, correction, bsig, alone, np.empty((0, 0, 0)), *options)
    assert_same_bits(alone, gradient)


# Threads


@planars
def test_threads(rng: np.random.Generator, planar: bool) -> None:
    path = paths(rng, 70, 5, 2)
    correction = corrections(rng, (1, 1), 2, 2, np.float64)
    sig = siglib.sig(path, 4)
    results = []
    for n_threads in (1, 4):
        bsig = np.empty((70, branched_length(2, 4, planar)))
        product, log = np.empty_like(bsig), np.empty_like(bsig)
        branched.branched_sig(sig, bsig, 2, 4, planar, n_threads)
        branched.branched_sig_combine(bsig, bsig, product, 2, 4, planar, n_threads)
        branched.branched_sig_to_log_sig(bsig, log, 2, 4, planar, 0, n_threads)
        results.append([bsig, product, log, corrected(path, correction, 4, planar, n_threads=n_threads)])
    for one, many in zip(*results, strict=True):
        assert_same_bits(one, many)


def long_calls() -> dict[str, Callable[[int], list[np.ndarray]]]:
    """Launchers with work for many looks at signals, as functions of the number of threads."""
    rng = np.random.default_rng(5)
    sig = rng.uniform(-1, 1, (4000, 62))
    bsig = vectors(rng, 4000, (2, 5), True, np.float64)
    few = vectors(rng, 8, (3, 5), True, np.float64)
    path, zigzag = paths(rng, 400, 30, 2), paths(rng, 2, 3000, 2)
    correction = corrections(rng, (1, 1), 2, 2, np.float64)
    plain = {"degree": 5, "planar": True}

    def results(function: Callable[..., None], *given: Any, like: list[np.ndarray], **options: Any) -> Any:
        def call(n_threads: int) -> list[np.ndarray]:
            out = [np.zeros_like(array) for array in like]
            function(*given, *out, **options, n_threads=n_threads)
            return out

        return call

    def flows(points: np.ndarray) -> list[Any]:
        options = {**plain, "m": 2, "transform": NO_TRANSFORM}
        values = vectors(rng, len(points), (2, 5), True, np.float64)
        like = [points, np.zeros((len(points), 1, 4))]
        return [
            results(branched.corrected_branched_sig, points, correction, like=[values], **options),
            results(branched.corrected_branched_sig_backprop, values, points, correction, values, like=like, **options),
        ]

    options = {**plain, "dimension": 2}
    log = {**options, "method": 0}
    few_options = {**options, "dimension": 3}
    return {
        "words": results(branched.branched_sig, sig, like=[bsig], **options),
        "combine": results(branched.branched_sig_combine, bsig, bsig, like=[bsig], **options),
        "combine_backprop": results(
            branched.branched_sig_combine_backprop, bsig, bsig, bsig, like=[bsig] * 2, **options
        ),
        "one group": results(branched.branched_sig_combine, few, few, like=[few], **few_options),
        "one group back": results(branched.branched_sig_combine_backprop, few, few, few, like=[few] * 2, **few_options),
        "log": results(branched.branched_sig_to_log_sig, bsig, like=[bsig], **log),
        "log_backprop": results(branched.branched_sig_to_log_sig_backprop, bsig, bsig, like=[bsig], **log),
        **dict(zip(("flow", "flow_backprop"), flows(path), strict=True)),
        **dict(zip(("long flow", "long flow_backprop"), flows(zigzag), strict=True)),
    }


def test_interruption() -> None:
    for name, call in long_calls().items():
        expected = call(1)
        _interruption.interrupt_at_look(NEVER)
        call(1)
        n_looks = NEVER - _interruption.looks_to_come()
        # The loop looks when it begins and when it is done: there must be more.
        assert n_looks >= 4, name
        for look in {0, n_looks // 2, n_looks - 1}:
            assert is_interrupted(call, 1, look), name
        assert not is_interrupted(call, 1, n_looks), name
        assert is_interrupted(call, 2, 0), name
        for one, other in zip(call(2), expected, strict=True):
            assert_same_bits(one, other)


def test_tables_cannot_be_written() -> None:
    for table in (
        tree_tables.word_matrix(2, 3, False, "float64", False),
        tree_tables.word_matrix(2, 3, True, "float32", True),
        tree_tables.log_word_matrix(2, 3, 2, "float64", False),
        tree_tables.coordinate_matrix(2, 3, 1, "float64", True),
        tree_tables.expansion_matrix(2, 3, 1, "float64", False),
        tree_tables.cut_tables(2, 3, False, "float64"),
        tree_tables.flow_tables(2, 3, 2, True, "float64"),
        tree_tables.chain_matrix(2, 3, True, "float64"),
    ):
        assert not any(array.flags.writeable for array in table)


@pytest.mark.parametrize("build", [tree_tables.word_matrix, tree_tables.cut_tables], ids=["words", "cuts"])
@pytest.mark.parametrize("size", [(3, 12), (1000, 5)], ids=str)
@planars
def test_tables_out_of_reach(build: Callable[..., Any], size: tuple[int, int], planar: bool) -> None:
    more = (False,) if build is tree_tables.word_matrix else ()
    with pytest.raises(ValueError, match="branched signatures of this|too many trees"):
        build(*size, planar, "float64", *more)
