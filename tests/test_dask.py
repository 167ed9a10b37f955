"""Arrays of Dask: the numbers of NumPy arrays, block by block."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checking import assert_close, optional
from chunks import in_chunks
from operations import ALL, Operation, name_of, results_of

import siglib

dask = optional("dask")
da = optional("dask.array")

METRICS = {"sig_mmd", "sig_score", "expected_sig_score"}
WITH_ARRAYS = [operation for operation in ALL if operation.shapes and not operation.name.endswith("_jvp")]
TANGENTS = [operation for operation in ALL if operation.name.endswith("_jvp")]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with dask.config.set(scheduler="sync"):
        yield


def paths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).cumsum(-2) / shape[-2] ** 0.5


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("operation", WITH_ARRAYS, ids=name_of)
def test_every_function_takes_arrays_in_chunks(operation: Operation) -> None:
    arrays = operation.arrays()
    chunked = operation(*[in_chunks(array, 1) for array in arrays])
    for found, expected in zip(chunked, operation(*arrays), strict=True):
        if expected is None:
            assert found is None
            continue
        assert isinstance(found, da.Array)
        values = found.compute()
        # What Dask says of an array before it is computed holds.
        assert (found.shape, found.dtype) == (values.shape, values.dtype) == (expected.shape, expected.dtype)
        assert found.chunks == da.asarray(found.map_blocks(lambda block: block)).chunks
        if operation.name in METRICS:
            assert_close(values, expected)
        else:
            assert np.array_equal(values, expected, equal_nan=True)


@pytest.mark.parametrize("operation", TANGENTS, ids=name_of)
def test_derivatives_along_directions_are_refused(operation: Operation) -> None:
    with pytest.raises(TypeError, match="is an array of Dask, which is not taken here"):
        operation(*[in_chunks(array, 1) for array in operation.arrays()])


@pytest.mark.parametrize("name", ["float32", "float16", "int64"])
def test_dtypes_of_results(name: str, rng: np.random.Generator) -> None:
    x = (2 * paths(rng, 4, 6, 2)).astype(name)
    chunked = in_chunks(x, 3)
    for call in (
        lambda p: siglib.sig(p, 3),
        lambda p: siglib.log_sig_windows(p, 2, 3),
        lambda p: siglib.sig_kernel_gram(p, p, dyadic_order=2),
    ):
        expected = call(x)
        assert call(chunked).dtype == expected.dtype
        assert np.array_equal(call(chunked).compute(), expected)


def test_several_batch_axes_and_arrays_of_numpy_beside(rng: np.random.Generator) -> None:
    x, y = paths(rng, 3, 4, 5, 2), paths(rng, 3, 4, 6, 2)
    expected = siglib.sig_kernel(x, y, dyadic_order=1)
    assert np.array_equal(siglib.sig_kernel(in_chunks(x, 2, 3), y, dyadic_order=1).compute(), expected)
    assert np.array_equal(siglib.sig_kernel(in_chunks(x, 2, 3), in_chunks(y, 1, 2), dyadic_order=1).compute(), expected)
    assert np.array_equal(siglib.sig(in_chunks(x, 2, 3), 3).compute(), siglib.sig(x, 3))
    # One path is one block, whatever its chunks.
    assert np.array_equal(siglib.sig(in_chunks(x[0, 0]), 3).compute(), siglib.sig(x[0, 0], 3))
    assert siglib.sig(da.zeros((0, 5, 2)), 2).compute().shape == (0, 6)


def test_windows_and_corrections_of_each_path(rng: np.random.Generator) -> None:
    x = paths(rng, 4, 8, 2)
    starts = rng.integers(0, 4, (4, 3))
    ends = starts + rng.integers(1, 5, (4, 3))
    found = siglib.log_sig_windows(in_chunks(x, 3), 2, starts=starts, ends=ends)
    assert np.array_equal(found.compute(), siglib.log_sig_windows(x, 2, starts=starts, ends=ends))
    correction = rng.standard_normal((4, 7, 4))
    expected = siglib.sig(x, 3, correction=correction)
    assert np.array_equal(siglib.sig(in_chunks(x, 3), 3, correction=correction).compute(), expected)
    derivs = rng.standard_normal(expected.shape)
    # A correction that all paths share has the sum of their gradients.
    for shared in (correction, correction[0], correction[0, 0]):
        sig = siglib.sig(x, 3, correction=shared)
        expected = siglib.sig_backprop(x, sig, derivs, 3, correction=shared, correction_deriv=True)
        found = siglib.sig_backprop(
            in_chunks(x, 3), in_chunks(sig, 2), derivs, 3, correction=shared, correction_deriv=True
        )
        for array, values in zip(found, expected, strict=True):
            assert_close(array.compute(), values)


GRAMS: list[dict[str, Any]] = [
    {"dyadic_order": 0},
    {"dyadic_order": 1, "normalize": True},
    {"dyadic_order": (1, 0), "static_kernel": siglib.RBFKernel(1.0), "log": True},
    {"method": "polynomial", "order": 4, "time_aug": True},
    {"dyadic_order": 0, "return_grid": True},
]


@pytest.mark.parametrize("options", GRAMS, ids=lambda options: "-".join(options))
def test_gram_matrices_of_a_sample_with_itself(options: dict[str, Any], rng: np.random.Generator) -> None:
    x = paths(rng, 11, 6, 2)
    expected = siglib.sig_kernel_gram(x, x, **options)
    chunked = in_chunks(x, 4)
    for other in (chunked, in_chunks(x, 4)):
        assert np.array_equal(siglib.sig_kernel_gram(chunked, other, **options).compute(), expected)
    # Batch axes are flattened first: only then are the same pairs computed in the same order.
    several = siglib.sig_kernel_gram(in_chunks(x[:6].reshape(2, 3, 6, 2), 2, 2), in_chunks(x, 3), **options)
    assert np.array_equal(
        several.compute().reshape(6, *expected.shape[1:]), siglib.sig_kernel_gram(x[:6], x, **options)
    )
    y = in_chunks(x[:6].reshape(2, 3, 6, 2), 2, 2)
    found = siglib.sig_kernel_gram(y, y, **options).compute()
    assert np.array_equal(found.reshape(6, 6, *expected.shape[2:]), siglib.sig_kernel_gram(x[:6], x[:6], **options))


def test_symmetric_gram_matrices_take_half_the_work(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, n_pairs = in_chunks(paths(rng, 12, 5, 2), 3), []
    operation = type(siglib._call.operation.OPERATIONS["sig_kernel_gram"])
    forward = operation.forward

    def counted(self: Any, on: Any, out: Any, *rest: Any) -> None:
        n_pairs.append(out.size)
        forward(self, on, out, *rest)

    monkeypatch.setattr(operation, "forward", counted)
    gram = siglib.sig_kernel_gram(x, x, dyadic_order=0).compute()
    assert sum(n_pairs) == 10 * 9
    assert np.array_equal(gram, gram.T)
    n_pairs.clear()
    siglib.sig_mmd(x, x[:6], dyadic_order=0).compute()
    assert sum(n_pairs) == (10 + 3 + 8) * 9


@pytest.mark.parametrize("options", GRAMS[:4], ids=lambda options: "-".join(options))
def test_metrics_never_hold_a_gram_matrix(options: dict[str, Any], rng: np.random.Generator) -> None:
    x, y = paths(rng, 13, 6, 2), paths(rng, 9, 7, 2)
    options = {k: v for k, v in options.items() if k != "log"}
    largest = 0

    def measure(key: Any, result: Any, *_: Any) -> None:
        nonlocal largest
        largest = max(largest, getattr(result, "nbytes", 0))

    for function in (siglib.sig_mmd, siglib.sig_score, siglib.expected_sig_score):
        found = function(in_chunks(x, 4), in_chunks(y, 4), **options)
        with dask.callbacks.Callback(posttask=measure):
            values = found.compute()
        assert_close(values, function(x, y, **options))
    # What tasks hand on is a block of paths at most.
    assert largest <= max(x[:4].nbytes, y[:4].nbytes)


def test_chunks_are_chosen_by_what_they_cost() -> None:
    whole = da.zeros((20_000, 100, 3), chunks=-1)
    gram = siglib.sig_kernel_gram(whole, whole, dyadic_order=0)
    # About a second each, at some ten microseconds a pair.
    assert 100 <= gram.chunks[0][0] <= 2000
    assert gram.numblocks[0] == gram.numblocks[1] > 1
    assert siglib.sig_kernel_gram(whole, whole, dyadic_order=3).chunks[0][0] < gram.chunks[0][0]
    assert (
        siglib.sig(whole, 8).numblocks[0]
        > siglib.sig(whole, 6).numblocks[0]
        >= siglib.sig(whole[:100], 2).numblocks[0]
        == 1
    )
    # Those who have cut their arrays know why.
    assert siglib.sig(whole.rechunk((10_000, -1, -1)), 6).chunks[0] == (10_000, 10_000)
    assert siglib.sig_kernel_gram(whole.rechunk((10_000, -1, -1)), whole[:5], dyadic_order=0).chunks == (
        (10_000,) * 2,
        (5,),
    )


def test_what_cannot_be_computed_is_refused(rng: np.random.Generator) -> None:
    x = in_chunks(paths(rng, 4, 5, 2), 2)
    unknown = x[x.sum((1, 2)) > 0]
    with pytest.raises(ValueError, match=r"path has blocks of unknown shapes: call compute_chunk_sizes"):
        siglib.sig(unknown, 2)
    with pytest.raises(TypeError, match=r"path must be an array, got a Delayed of Dask"):
        siglib.sig(dask.delayed(np.zeros)((3, 2)), 2)
    with pytest.raises(TypeError, match="path1: float64, path2: float32"):
        siglib.sig_kernel(x, x.astype("float32"), dyadic_order=0)
    with pytest.raises(TypeError, match="path must be an array of real numbers"):
        siglib.sig(x.astype(complex), 2)
    # Shapes and options are looked at when the function is called, not by a worker.
    with pytest.raises(ValueError, match="path1 and path2 must have the same batch shape"):
        siglib.sig_kernel(x, x[:3], dyadic_order=0)
    with pytest.raises(ValueError, match="degree must be at least 0"):
        siglib.sig(x, -1)
    with pytest.raises(ValueError, match="sig_derivs must have"):
        siglib.sig_backprop(x, siglib.sig(x, 2), da.zeros((4, 5)), 2)
    with pytest.raises(ValueError, match="derivs must have shape"):
        siglib.sig_kernel_gram_backprop(da.zeros((4, 3)), x, x, dyadic_order=0)
    with pytest.raises(ValueError, match="sample1 must hold at least 2 paths"):
        siglib.sig_mmd(x[:1], x, dyadic_order=0)
    # What has no blocks.
    for call in (
        lambda: siglib.sig([x[0], x[1, :3]], 2),
        lambda: siglib.gram_to_file(x, x, "gram.npy", dyadic_order=0),
    ):
        with pytest.raises(TypeError, match=" is an array of Dask, which is not taken here| must be an array of NumPy"):
            call()
    # A stream keeps its path in memory.
    with pytest.raises(TypeError, match=r"points is an array of Dask, which is not taken here: pass points\.compute"):
        siglib.SigStream(2, 2).push_batch(x[0])
    with pytest.raises(TypeError, match=r"path2 is of torch\.fx: beside arrays of Dask only those of NumPy are taken"):
        siglib.sig_kernel(x, type("Proxy", (), {"__module__": "torch.fx.proxy"})(), dyadic_order=0)
    # Nobody wants to read how the call came to Dask.
    with pytest.raises(ValueError, match="degree must be") as caught:
        siglib.sig_windows(x, -2, 3)
    assert caught.value.__context__ is None
    with pytest.raises(TypeError, match="starts is an array of Dask"):
        siglib.sig_windows(x, 2, starts=da.zeros(2, dtype=int), ends=[1, 2])


def test_results_of_tuples() -> None:
    """A gradient that nobody asked for is no array, of Dask either."""
    x = da.zeros((2, 3, 2), chunks=1)
    assert results_of(siglib.sig_kernel_backprop(da.ones(2), x, x, dyadic_order=0))[1] is None
