"""What callers may pass: every kind of array, number and option gives the right result or an error that names what is wrong."""

import fractions
import inspect
import multiprocessing
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
import reference
from checking import TOLERANCE, assert_close, assert_same_bits, layouts
from hypothesis import strategies as st
from operations import NAMES, OF_ALL_PAIRS, OF_ARRAYS, OPERATIONS, Operation, kinds_of, name_of, results_of
from strategies import strategy_for

import siglib
from siglib._call import options as _checks

# A batch axis is that of all arrays and of the result.
operations = pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
all_operations = pytest.mark.parametrize("operation", OPERATIONS + OF_ALL_PAIRS, ids=name_of)


# Memory


@all_operations
@pytest.mark.parametrize("layout", layouts(np.ones((1, 1))))
def test_memory_layout(operation: Operation, layout: str, dtype: np.dtype) -> None:
    """Orders, strides, offsets, byte orders and rights change no bit of the result, and inputs stay as they were."""
    arrays = operation.arrays(dtype)
    expected = operation(*arrays)
    given = [layouts(array)[layout] for array in arrays]
    for actual, wanted in zip(operation(*given), expected, strict=True):
        assert_same_bits(actual, wanted)
        assert actual.flags.c_contiguous
        assert actual.dtype == dtype
    for array, before in zip(given, arrays, strict=True):
        np.testing.assert_array_equal(array, before)


@all_operations
def test_broadcast_arrays(operation: Operation) -> None:
    """Arrays with zero strides: one element for the whole batch."""
    arrays = operation.arrays()
    given = [np.broadcast_to(array[0], array.shape) for array in arrays]
    expected = operation(*[np.ascontiguousarray(array) for array in given])
    for actual, wanted in zip(operation(*given), expected, strict=True):
        assert_same_bits(actual, wanted)


@all_operations
def test_results_own_their_memory(operation: Operation) -> None:
    arrays = operation.arrays()
    for result in operation(*arrays):
        assert type(result) is np.ndarray
        assert result.flags.writeable
        assert not any(np.shares_memory(result, array) for array in arrays)


@operations
def test_batch_axes(operation: Operation) -> None:
    """Any number of leading axes, none and empty ones included."""
    arrays = operation.arrays()
    whole = operation(*arrays)
    single = operation(*[array[1] for array in arrays])
    many = operation(*[np.stack([array[None]] * 3) for array in arrays])
    empty = operation(*[np.zeros((2, 0, 3, *array.shape[1:])) for array in arrays])
    for a, b, c, d in zip(whole, single, many, empty, strict=True):
        assert_close(b, a[1], 1e-14)
        assert_close(c, np.stack([a[None]] * 3), 1e-14)
        assert d.shape == (2, 0, 3, *a.shape[1:])


@pytest.mark.usefixtures("eight_processors")
@operations
def test_bits_do_not_depend_on_threads(operation: Operation) -> None:
    arrays = [np.random.default_rng(3).standard_normal((40, *shape[1:])) for shape in operation.shapes]
    expected = operation(*arrays)
    for n_jobs in (2, 3, -1, 1000, np.int64(2)):
        for actual, wanted in zip(operation(*arrays, n_jobs=n_jobs), expected, strict=True):
            assert_same_bits(actual, wanted)


# Kinds of numbers


@all_operations
@pytest.mark.parametrize("kind", ["bool", "int8", "uint16", "int64", ">i4"])
def test_integers_become_float64(operation: Operation, kind: str) -> None:
    arrays = [array.astype(kind) for array in operation.arrays(np.int8)]
    expected = operation(*[array.astype(np.float64) for array in arrays])
    for actual, wanted in zip(operation(*arrays), expected, strict=True):
        assert_same_bits(actual, wanted)


@all_operations
def test_lists_become_float64(operation: Operation) -> None:
    arrays = operation.arrays()
    expected = operation(*arrays)
    for actual, wanted in zip(operation(*[array.tolist() for array in arrays]), expected, strict=True):
        assert_same_bits(actual, wanted)


@all_operations
def test_half_precision_is_computed_in_float32(operation: Operation) -> None:
    arrays = operation.arrays(np.float16)
    expected = operation(*[array.astype(np.float32) for array in arrays])
    for actual, wanted in zip(operation(*arrays), expected, strict=True):
        with np.errstate(over="ignore"):
            assert_same_bits(actual, wanted.astype(np.float16))


def test_half_precision_overflows_to_infinity() -> None:
    result = siglib.sig(np.array([[0.0], [1000.0]], np.float16), 2)
    assert result.tolist() == [1000.0, np.inf]


def test_bfloat16_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    path = np.array([[0, 0], [1, 2], [3, 1]], ml_dtypes.bfloat16)
    result = siglib.sig(path, 2)
    assert result.dtype == ml_dtypes.bfloat16
    assert_close(result, reference.signature(path.astype(float), 2), TOLERANCE["bfloat16"])


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_lists_and_integers_adapt_to_the_other_array(kind: str) -> None:
    ones = np.ones(6, kind)
    for other in ([0, 1, 2, 3, 4, 5], [0.5] * 6, np.arange(6), (True,) * 6):
        for result in (siglib.sig_combine(ones, other, 2, 2), siglib.sig_combine(other, ones, 2, 2)):
            assert result.dtype == kind
        assert_close(siglib.sig_combine(ones, other, 2, 2), reference.combine(np.ones(6), np.array(other, float), 2, 2))


class Subclass(np.ndarray):
    """A subclass as libraries make them."""


class Exporter:
    """An object that NumPy can turn into an array."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([[0.0, 1.0], [2.0, 4.0]])


@pytest.mark.parametrize(
    "path",
    [
        np.array([[0.0, 1.0], [2.0, 4.0]]).view(Subclass),
        np.array([[0.0, 1.0], [2.0, 4.0]]).view(np.matrix),
        Exporter(),
        memoryview(np.array([[0.0, 1.0], [2.0, 4.0]])),
        ((0, 1), (2, 4)),
        [np.array([0.0, 1.0]), np.array([2.0, 4.0])],
        [[np.float32(0), 1], [2, np.float64(4)]],
    ],
    ids=["subclass", "matrix", "__array__", "memoryview", "tuple", "rows", "scalars"],
)
def test_array_likes(path: Any) -> None:
    result = siglib.sig(path, 1)
    assert type(result) is np.ndarray
    assert result.dtype == np.float64
    assert result.tolist() == [2.0, 3.0]


def test_objects_with_a_dtype_keep_it() -> None:
    class SinglePrecision:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.ones(2, np.float32)

    for value in (SinglePrecision(), memoryview(np.ones(2, np.float32))):
        assert siglib.sig_combine(value, value, 2, 1).dtype == np.float32
        assert siglib.sig_combine(value, [1, 2.5], 2, 1).dtype == np.float32
        with pytest.raises(TypeError, match="share a dtype, got sig1: float32, sig2: float64"):
            siglib.sig_combine(value, np.ones(2), 2, 1)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (np.ma.masked_array([[0.0], [1.0]]), TypeError, "path is a masked array"),
        (np.zeros((2, 2), complex), TypeError, "path must be an array of real numbers.*complex128"),
        ([[1j]], TypeError, "path must be an array of real numbers.*complex128"),
        (np.zeros((2, 2), object), TypeError, "path must be an array of real numbers.*object"),
        (np.zeros((2, 2), "U3"), TypeError, "path must be an array of real numbers.*<U3"),
        (np.zeros((2, 2), "M8[s]"), TypeError, "path must be an array of real numbers.*datetime64"),
        (np.zeros((2, 2), [("x", float)]), TypeError, "path must be an array of real numbers"),
        (None, TypeError, "path must be an array of real numbers.*NoneType"),
        ("path", TypeError, "path must be an array of real numbers.*str"),
        ({"a": 1}, TypeError, "path must be an array of real numbers.*dict"),
        ([[1.0, 2.0], [3.0]], ValueError, "path cannot be turned into an array"),
        (1.5, ValueError, r"path must have shape \(\.\.\., length, dimension\), got \(\)"),
        (np.float64(1.5), ValueError, r"path must have shape \(\.\.\., length, dimension\), got \(\)"),
        (np.zeros(3), ValueError, r"path must have shape \(\.\.\., length, dimension\), got \(3,\)"),
        ([], ValueError, r"path must have shape \(\.\.\., length, dimension\), got \(0,\)"),
        (np.zeros((4, 0)), ValueError, r"path must have at least one channel.*\(4, 0\)"),
    ],
)
def test_refused_paths(path: Any, error: type[Exception], message: str) -> None:
    for call in (siglib.sig, lambda path, degree: siglib.transform_path(path)):
        with pytest.raises(error, match=message):
            call(path, 2)


def array_of_jax(module: str) -> Any:
    """What looks like an array of JAX, of a class of this module."""

    class ArrayImpl:
        shape, ndim, dtype = (2, 2), 2, np.dtype(np.float32)

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.zeros((2, 2), np.float32)

    ArrayImpl.__module__ = module
    return type("Subclass", (ArrayImpl,), {})() if module == "jaxlib._jax" else ArrayImpl()


@all_operations
def test_none_is_no_array(operation: Operation) -> None:
    arrays = operation.arrays()
    # Either of two directions may be left out.
    n_needed = 2 if operation.name.startswith("sig_kernel") and operation.name.endswith("_jvp") else len(arrays)
    for i, array in enumerate(arrays[:n_needed]):
        arrays[i] = None
        with pytest.raises(TypeError, match="must be an array of real numbers, .*NoneType"):
            operation(*arrays)
        arrays[i] = array


@pytest.mark.parametrize("module", ["jaxlib._jax", "jaxlib.xla_extension", "jax._src.array", "jax"])
def test_arrays_of_jax_are_refused(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not become arrays of NumPy in silence, where there is no JAX to take them."""
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    array, path = array_of_jax(module), np.zeros((5, 2), np.float32)
    calls: dict[str, list[Callable[[], Any]]] = {
        "path": [
            lambda: siglib.sig(array, 2),
            lambda: siglib.log_sig_windows(array, 2, window=2),
            lambda: siglib.sig_prefixes(array, 2),
            lambda: siglib.IntervalSignature(array, 2),
        ],
        "sig": [lambda: siglib.extract_sig_coef(array, (0,), 2)],
        "sig2": [lambda: siglib.sig_combine(np.zeros(6), array, 2, 2)],
        "correction": [lambda: siglib.sig(path, 2, correction=array)],
        "starts": [lambda: siglib.sig_windows(np.stack([path] * 2), 2, starts=array, ends=array)],
        "path2": [lambda: siglib.sig_kernel(path, array, dyadic_order=0)],
        "sample1": [lambda: siglib.sig_mmd(array, path[None], dyadic_order=0)],
        "point": [lambda: siglib.SigStream(2, 2).push(array)],
    }
    for name, group in calls.items():
        for call in group:
            with pytest.raises(TypeError, match=rf"^{name} is an array of JAX.*pass numpy.asarray\({name}\)"):
                call()
    with pytest.raises(TypeError, match=r"path\[0\] is an array of JAX"):
        siglib.sig([array, array], 2)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is double here")
def test_long_double_is_refused() -> None:
    with pytest.raises(TypeError, match="at most float64, got dtype"):
        siglib.sig(np.zeros((2, 2), np.longdouble), 2)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS + OF_ALL_PAIRS if len(o.shapes) > 1], ids=name_of)
def test_dtypes_must_agree(operation: Operation) -> None:
    arrays = operation.arrays()
    arrays[1] = arrays[1].astype(np.float32)
    with pytest.raises(TypeError, match=r"share a dtype, got .*(float64.*: float32|float32.*: float64)"):
        operation(*arrays)


# Shapes


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if len(o.shapes) > 1], ids=name_of)
def test_batch_axes_must_agree(operation: Operation) -> None:
    arrays, names = operation.arrays(), "|".join(kinds_of(operation.name))
    for i, array in enumerate(arrays):
        for other in (array[:1], array[0], np.stack([array] * 2)):
            with pytest.raises(ValueError, match=rf"\b({names}) must have (the same batch |the |)shape.*, got "):
                operation(*arrays[:i], other, *arrays[i + 1 :])


@all_operations
def test_axes_of_one_item(operation: Operation) -> None:
    """Arrays that lack them, or are longer than the degree or the other arrays ask for."""
    arrays = operation.arrays()
    for i, (name, kind) in enumerate(kinds_of(operation.name).items()):
        wrong = [np.zeros(3) if kind == "path" else np.float64(3)]
        if kind != "path":
            wrong.append(np.zeros((*arrays[i].shape[:-1], arrays[i].shape[-1] + 5)))
        for other in wrong:
            # Directions are compared with what moves.
            with pytest.raises(
                ValueError, match=rf"\b(direction\d? must have the shape of {name},|{name} .*must have) .*got "
            ):
                operation(*arrays[:i], other, *arrays[i + 1 :])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: siglib.sig_combine(1.0, 2.0, 1, 1), r"sig1 must have shape \(\.\.\., length\), got a single number"),
        (
            lambda: siglib.sig_combine(np.zeros(5), np.zeros(6), 2, 2),
            r"sig1 must have length 6 \(or 7 with the scalar term\).*got 5",
        ),
        (
            lambda: siglib.sig_combine(np.zeros(6), np.zeros(5), 2, 2),
            r"sig2 must have length 6 \(or 7\).*as sig1 has, got 5",
        ),
        (
            lambda: siglib.sig_combine(np.zeros(7), np.zeros(6), 2, 2),
            r"sig2 must have length 7 on its last axis, as sig1 has, got 6",
        ),
        (
            lambda: siglib.sig_combine(np.zeros((3, 6)), np.zeros((2, 6)), 2, 2),
            r"sig1 and sig2 must have the same batch shape, got \(3,\) and \(2,\)",
        ),
        (
            lambda: siglib.sig_combine(np.zeros((1, 6)), np.zeros(6), 2, 2),
            r"sig1 and sig2 must have the same batch shape, got \(1,\) and \(\)",
        ),
        (
            lambda: siglib.sig_combine_backprop(np.zeros(3), np.zeros(6), np.zeros(6), 2, 2),
            r"deriv must have length 6 \(or 7\).*as sig1 has, got 3",
        ),
        (
            lambda: siglib.sig_backprop(np.zeros((3, 2)), np.zeros(8), np.zeros(8), 2),
            r"sig must have length 6 \(or 7.*got 8",
        ),
        (
            lambda: siglib.sig_backprop(np.zeros((3, 2)), np.zeros(6), np.zeros(8), 2),
            r"sig_derivs must have length 6 \(or 7\).*got 8",
        ),
        (
            lambda: siglib.sig_backprop(np.zeros((3, 2)), np.zeros(7), np.zeros(6), 2),
            r"sig_derivs must have length 7 on.*got 6",
        ),
        (
            lambda: siglib.sig(np.zeros((3, 2)), 2, correction=[0.0]),
            r"correction must have the words of levels 2 to m .*, got 1",
        ),
    ],
)
def test_refused_shapes(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("length", [0, 1])
@pytest.mark.parametrize("options", [{}, {"time_aug": True}, {"lead_lag": True}, {"time_aug": True, "lead_lag": True}])
def test_short_paths_are_constant(length: int, options: dict, dtype: np.dtype) -> None:
    path = np.full((3, length, 2), 7.0, dtype)
    sig = siglib.sig(path, 3, scalar_term=True, **options)
    expected = np.zeros((3, siglib.sig_length(2, 3, scalar_term=True, **options)))
    expected[:, 0] = 1.0
    assert_close(sig, expected, 0.0)
    gradient = siglib.sig_backprop(path, sig, np.ones_like(sig), 3, **options)
    assert_close(gradient, np.zeros((3, length, 2)), 0.0)


@pytest.mark.parametrize("scalar_term", [False, True])
def test_degree_zero(scalar_term: bool, dtype: np.dtype) -> None:
    path = np.arange(24, dtype=dtype).reshape(3, 4, 2)
    sig = siglib.sig(path, 0, scalar_term=scalar_term)
    assert_close(sig, np.ones((3, int(scalar_term))), 0.0)
    assert_close(siglib.sig_backprop(path, sig, sig, 0), np.zeros((3, 4, 2)), 0.0)
    assert_close(siglib.sig_combine(2 * sig, 3 * sig, 2, 0), np.ones((3, int(scalar_term))), 0.0)
    for gradient in siglib.sig_combine_backprop(sig, sig, sig, 2, 0):
        assert_close(gradient, np.zeros((3, int(scalar_term))), 0.0)


def test_extra_scalar_terms_are_dropped() -> None:
    """A second argument may store the scalar term where the first does not."""
    rng = np.random.default_rng(2)
    path, a, b, derivs = rng.standard_normal((4, 3, 2)), *rng.standard_normal((3, 4, 6))
    longer = [np.concatenate([np.full((4, 1), 9.0), x], axis=1) for x in (a, b, derivs)]
    assert_same_bits(siglib.sig_combine(a, longer[1], 2, 2), siglib.sig_combine(a, b, 2, 2))
    assert_same_bits(siglib.sig_backprop(path, a, longer[2], 2), siglib.sig_backprop(path, a, derivs, 2))
    d1, d2 = siglib.sig_combine_backprop(longer[2], a, longer[1], 2, 2)
    e1, e2 = siglib.sig_combine_backprop(derivs, a, b, 2, 2)
    assert_same_bits(d1, e1)
    assert_same_bits(d2[:, 1:], e2)
    assert (d2[:, 0] == 0).all()


def test_stored_scalar_terms_count_as_one() -> None:
    rng = np.random.default_rng(2)
    a, b, derivs = rng.standard_normal((3, 4, 6))
    longer = [np.concatenate([np.full((4, 1), 9.0), x], axis=1) for x in (a, b, derivs)]
    product = siglib.sig_combine(longer[0], longer[1], 2, 2)
    assert_same_bits(product[:, 1:], siglib.sig_combine(a, b, 2, 2))
    assert (product[:, 0] == 1).all()
    for gradient in siglib.sig_combine_backprop(longer[2], longer[0], longer[1], 2, 2):
        assert (gradient[:, 0] == 0).all()


# Options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"degree": 2.0}, TypeError, "degree must be an integer, got 2.0 of type float"),
        ({"degree": "2"}, TypeError, "degree must be an integer, got '2' of type str"),
        ({"degree": None}, TypeError, "degree must be an integer, got None"),
        ({"degree": True}, TypeError, "degree must be an integer, got True"),
        ({"degree": -1}, ValueError, "degree must be at least 0, got -1"),
        ({"degree": 63}, ValueError, "dimension 2 and degree 63 has more than"),
        ({"degree": 10**30}, ValueError, "has more than"),
        ({"time_aug": 1}, TypeError, "time_aug must be True or False, got 1 of type int"),
        ({"lead_lag": "no"}, TypeError, "lead_lag must be True or False, got 'no'"),
        ({"scalar_term": None}, TypeError, "scalar_term must be True or False, got None"),
        ({"horner": 0}, TypeError, "horner must be True or False, got 0"),
        ({"end_time": "1"}, TypeError, "end_time must be a real number, got '1'"),
        ({"end_time": 1j}, TypeError, "end_time must be a real number"),
        ({"end_time": True}, TypeError, "end_time must be a real number"),
        ({"end_time": 10**400}, ValueError, "end_time must be a number that a float can hold"),
        ({"end_time": -fractions.Fraction(10**400)}, ValueError, "end_time must be a number that a float can hold"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
        ({"n_jobs": -(10**6)}, ValueError, "leaves no thread"),
        ({"n_jobs": -(2**40)}, ValueError, "n_jobs must be at least"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer"),
    ],
)
def test_refused_options(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.sig(np.zeros((3, 2)), **{"degree": 2, **options})


def test_numbers_of_numpy_are_options_too() -> None:
    path = np.array([[0.0, 0.0], [1.0, 2.0]])
    result = siglib.sig(path, np.int8(2), time_aug=np.True_, end_time=np.float32(2), n_jobs=np.uint8(1))
    assert_same_bits(result, siglib.sig(path, 2, time_aug=True, end_time=2))


def test_n_jobs_below_zero_counts_from_all_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero or fewer threads are an error, also for a single path."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    siglib.sig([[0, 1]], 1, n_jobs=-processors)
    with pytest.raises(ValueError, match=f"n_jobs={-processors - 1} leaves no thread.* {processors} processors"):
        siglib.sig([[0, 1]], 1, n_jobs=-processors - 1)


def test_n_jobs_never_exceeds_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checks, "hardware_threads", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = {n_jobs: _checks.as_n_threads(n_jobs) for n_jobs in (1, 2, 3, 4, 1024, 2**40, -1, -2, -3, np.int64(5))}
    assert threads == {1: 1, 2: 2, 3: 3, 4: 3, 1024: 3, 2**40: 3, -1: 3, -2: 2, -3: 1, 5: 3}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to take processors away")
def test_processors_that_were_taken_away_get_no_threads() -> None:
    code = """
        import os, numpy as np, siglib
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        before = len(os.listdir("/proc/self/task"))
        siglib.sig(np.ones((1000, 20, 3)), 4, n_jobs=64)
        assert len(os.listdir("/proc/self/task")) == before
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_options_are_keyword_only_and_known() -> None:
    path = np.zeros((3, 2))
    for call in (
        lambda: siglib.sig(path, 2, True),
        lambda: siglib.sig(path, 2, tme_aug=True),
        lambda: siglib.sig(path),
    ):
        with pytest.raises(TypeError, match=r"sig\(\)"):
            call()
    assert siglib.sig(degree=1, path=path).shape == (2,)


@pytest.mark.parametrize(
    "call",
    [
        lambda d: siglib.sig_combine(np.zeros(0), np.zeros(0), d, 0),
        lambda d: siglib.sig_to_log_sig(np.zeros(0), d, 0),
        lambda d: siglib.logsig_to_sig(np.zeros(0), d, 0),
        lambda d: siglib.log_sig_combine(np.zeros(0), np.zeros(0), d, 0),
        lambda d: siglib.SigStream(d, 0),
    ],
)
def test_dimensions_of_more_than_64_bits(call: Any) -> None:
    """Also where the degree leaves nothing to compute."""
    with pytest.raises(ValueError, match=r"dimension must be less than 2\*\*63 - 1, got 1000"):
        call(10**30)


@pytest.mark.parametrize("correction", [None, np.zeros(0), np.zeros((4, 0, 3))])
def test_empty_correction_and_horner_change_nothing(correction: Any) -> None:
    path = [[0.0, 1.0], [2.0, 5.0]]
    for horner in (False, True):
        assert_same_bits(siglib.sig(path, 2, horner=horner, correction=correction), siglib.sig(path, 2))


@pytest.mark.parametrize(
    ("dimension", "degree", "length"),
    [(0, 5, 0), (1, 5, 5), (3, 0, 0), (3, 4, 120), (2, 61, 2**62 - 2), (10**18, 1, 10**18)],
)
def test_sig_length(dimension: int, degree: int, length: int) -> None:
    assert siglib.sig_length(dimension, degree) == length
    assert siglib.sig_length(dimension, degree, scalar_term=True) == length + 1


@pytest.mark.parametrize(
    ("dimension", "degree", "error"),
    [
        (-1, 2, ValueError),
        (2, -1, ValueError),
        (2, 2**64 + 2, ValueError),
        (2**64 + 2, 2, ValueError),
        (2.0, 2, TypeError),
    ],
)
def test_refused_sig_length(dimension: Any, degree: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="dimension|degree"):
        siglib.sig_length(dimension, degree)


def test_too_large_for_memory() -> None:
    for degree in (40, 55):
        with pytest.raises(MemoryError):
            siglib.sig(np.zeros((3, 2)), degree)
    with pytest.raises(MemoryError):
        siglib.sig(np.zeros((3, 1)), 2**50)


@pytest.mark.parametrize(
    "call",
    [
        lambda path: siglib.sig(path, 4),
        lambda path: siglib.sig(path, 2, time_aug=True),
        lambda path: siglib.log_sig(path, 4),
        lambda path: siglib.log_sig(path, 2),
        lambda path: siglib.log_sig(path, 2, method=0),
        lambda path: siglib.sig_windows(path, 2, window=2),
        lambda path: siglib.log_sig_windows(path, 2, window=2),
        lambda path: siglib.sig_prefixes(path, 4),
    ],
)
def test_transposed_paths(call: Callable[[Any], Any]) -> None:
    """What is too large names the sizes and, where channels outnumber points, the likely reason."""
    message = "path has 3 points of 1000000 channels: are its last two axes swapped"
    with pytest.raises((ValueError, MemoryError), match=rf"1000000.*{message}|GiB.*{message}"):
        call(np.broadcast_to(0.0, (3, 10**6)))
    with pytest.raises((ValueError, MemoryError)) as caught:
        call(np.broadcast_to(0.0, (10**6 + 1, 10**6)))
    assert "swapped" not in str(caught.value)


# Values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_numbers_stay_in_their_channel(value: float, dtype: np.dtype) -> None:
    path = np.arange(12, dtype=dtype).reshape(4, 3)
    path[2, 1] = value
    result = siglib.sig(path, 2)
    expected = reference.signature(np.arange(12).reshape(4, 3), 2)
    touched = np.array([1 in word for word in reference.words(3, 2)[1:]])
    assert np.isnan(result[touched][1:]).all()
    np.testing.assert_array_equal(result[~touched], expected[~touched].astype(dtype))


# Processes


def _sum_of_signature(n_jobs: int) -> float:
    return float(siglib.sig(np.arange(4000.0).reshape(20, 100, 2), 3, n_jobs=n_jobs).sum())


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_threads() -> None:
    """OpenMP threads do not survive a fork: the child computes without them instead of waiting forever."""
    expected = _sum_of_signature(2)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_sum_of_signature, (2,)).get(timeout=60) == expected
        assert pool.apply_async(_sum_of_signature, (-1,)).get(timeout=60) == expected
    assert _sum_of_signature(2) == expected


# Anything at all


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.signature(getattr(siglib, name)).parameters])
@hypothesis.settings(
    max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True, database=None
)
@hypothesis.given(data=st.data())
def test_anything_returns_or_raises(name: str, data: st.DataObject) -> None:
    """No input ends the interpreter, hangs, or raises anything but the errors that are documented."""
    function = getattr(siglib, name)
    given = {}
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.default is parameter.empty or data.draw(st.booleans(), f"with {key}"):
            given[key] = data.draw(strategy_for(name, key), key)
    documented = (TypeError, ValueError, MemoryError, *[IndexError] * (name == "extract_sig_coef"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            returned = function(**given)
    except documented as error:
        assert str(error)
        return
    if name in OF_ARRAYS:
        for result in results_of(returned):
            if result is not None:
                assert type(result) is np.ndarray
                assert result.dtype.kind == "f"
