"""Paths of unequal lengths in chunks of Dask: what they are in memory, block by block."""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checking import assert_close, optional
from chunks import in_chunks
from operations import ALL, Operation, name_of

import siglib

dask = optional("dask")
da = optional("dask.array")

LENGTHS = np.array([4, 1, 6, 0, 7, 5, 6])
OTHERS = LENGTHS[::-1].copy()


def names_of_lengths(operation: Operation) -> list[str]:
    return [name for name in inspect.signature(getattr(siglib, operation.name)).parameters if "lengths" in name]


TAKING = [operation for operation in ALL if operation.shapes and names_of_lengths(operation)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with dask.config.set(scheduler="sync"):
        yield


def paths(rng: np.random.Generator) -> np.ndarray:
    """What stands behind the end of a path is nobody's business."""
    x = rng.standard_normal((7, 7, 2)).cumsum(1) / 3
    return np.where(np.arange(7)[:, None] < LENGTHS[:, None, None], x, np.nan)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("operation", TAKING, ids=name_of)
def test_every_function_that_takes_lengths(operation: Operation, rng: np.random.Generator) -> None:
    arrays = operation.arrays()
    names = list(inspect.signature(getattr(siglib, operation.name)).parameters)
    lengths = {}
    for name in names_of_lengths(operation):
        # "lengths1" is of the first array of paths, as is "lengths".
        first = [i for i, k in enumerate(names) if k in ("path", "path1", "sample", "sample1")][0]
        shape = arrays[first if name != "lengths2" else first + 1].shape
        if len(shape) == 3:
            lengths[name] = rng.integers(1, shape[1] + 1, shape[0])
    chunked = [in_chunks(array, 1) for array in arrays]
    try:
        expected = operation(*arrays, **lengths)
    except (TypeError, ValueError) as error:
        with pytest.raises(type(error)):
            operation(*chunked, **lengths)[0].compute()
        return
    for of_dask in (False, True):
        given = {name: da.from_array(n, chunks=2) if of_dask else n for name, n in lengths.items()}
        found = operation(*chunked, **given)
        if operation.name.endswith("_test"):
            assert_close(np.float64(found[0]), expected[0])
            continue
        for array, values in zip(found, expected, strict=True):
            if values is None:
                assert array is None
                continue
            assert (array.shape, array.dtype) == (values.shape, values.dtype)
            assert_close(array.compute(), values)


@pytest.mark.parametrize("options", [{}, {"time_aug": True, "lead_lag": True}], ids=["plain", "transformed"])
def test_blocks_are_paths_of_unequal_lengths(options: dict[str, Any], rng: np.random.Generator) -> None:
    x = paths(rng)
    chunked = in_chunks(x, 3)
    for function in (siglib.sig, siglib.log_sig, siglib.sig_prefixes):
        expected = function(x, 3, lengths=LENGTHS, **options)
        for lengths in (LENGTHS, LENGTHS.tolist(), da.from_array(LENGTHS, chunks=2)):
            assert_close(function(chunked, 3, lengths=lengths, **options).compute(), expected, 1e-12)
        assert_close(function(siglib.RaggedPaths(chunked, LENGTHS), 3, **options).compute(), expected, 1e-12)
    x, chunked = (array[LENGTHS > 2] for array in (x, chunked))
    options = options | {"lengths": LENGTHS[LENGTHS > 2]}
    found = siglib.log_sig_windows(chunked, 2, 3, **options).compute()
    assert_close(found, siglib.log_sig_windows(x, 2, 3, **options), 1e-12)


def test_gram_matrices_and_what_is_made_of_them(rng: np.random.Generator) -> None:
    x, y = paths(rng), paths(rng)[::-1]
    chunked, options = in_chunks(x, 3), {"dyadic_order": 1, "time_aug": True}
    expected = siglib.sig_kernel_gram(x, x, lengths1=LENGTHS, lengths2=LENGTHS, **options)
    for lengths in (LENGTHS, da.from_array(LENGTHS, chunks=2)):
        gram = siglib.sig_kernel_gram(chunked, chunked, lengths1=lengths, lengths2=lengths, **options).compute()
        assert_close(gram, expected, 1e-12)
        assert np.array_equal(gram, gram.T)
    both = {"lengths1": LENGTHS, "lengths2": OTHERS}
    expected = siglib.sig_kernel_gram(x, y, **both, **options)
    for other in (y, in_chunks(y, 4), siglib.RaggedPaths(y, OTHERS)):
        lengths2 = None if isinstance(other, siglib.RaggedPaths) else OTHERS
        found = siglib.sig_kernel_gram(chunked, other, lengths1=LENGTHS, lengths2=lengths2, **options)
        assert_close(found.compute(), expected, 1e-12)
    # Beside paths of one length.
    full = np.nan_to_num(y)
    expected = siglib.sig_kernel_gram(x, full, lengths1=LENGTHS, **options)
    assert_close(siglib.sig_kernel_gram(chunked, full, lengths1=LENGTHS, **options).compute(), expected, 1e-12)
    for metric in (siglib.sig_mmd, siglib.sig_score, siglib.expected_sig_score):
        found = metric(chunked, in_chunks(y, 4), **both, **options)
        assert_close(found.compute(), metric(x, y, **both, **options), 1e-12)
        found = metric(full, chunked, lengths2=LENGTHS, **options)
        assert_close(found.compute(), metric(full, x, lengths2=LENGTHS, **options), 1e-12)
    for test in (siglib.two_sample_test, siglib.independence_test):
        found = test(in_chunks(x, 7), in_chunks(y, 7), rng=0, permutations=9, **both, **options)
        assert_close(np.float64(found.statistic), test(x, y, rng=0, permutations=9, **both, **options).statistic, 1e-12)


def test_dtypes(rng: np.random.Generator) -> None:
    for dtype in ("float32", "float16", "int64"):
        x = np.nan_to_num(2 * paths(rng)).astype(dtype)
        expected = siglib.sig(x, 3, lengths=LENGTHS)
        found = siglib.sig(in_chunks(x, 3), 3, lengths=LENGTHS)
        assert found.dtype == expected.dtype
        assert np.array_equal(found.compute(), expected)
        expected = siglib.sig_mmd(x, x[1:], dyadic_order=3, lengths1=LENGTHS)
        found = siglib.sig_mmd(in_chunks(x, 3), x[1:], dyadic_order=3, lengths1=LENGTHS)
        assert found.dtype == expected.dtype


def test_paths_that_are_objects(rng: np.random.Generator) -> None:
    bags = optional("dask.bag")
    x = paths(rng)
    some = [path[:n] for path, n in zip(x, LENGTHS, strict=True)]
    found = (
        bags.from_sequence(some, npartitions=3)
        .map_partitions(lambda part: list(siglib.log_sig(list(part), 3)))
        .compute()
    )
    assert_close(np.stack(found), siglib.log_sig(some, 3), 1e-12)
    objects = np.empty(len(some), object)
    objects[:] = some
    chunked, chunks = da.from_array(objects, chunks=3), ((3, 3, 1), (5,))
    found = chunked.map_blocks(lambda part: siglib.log_sig(list(part), 3), new_axis=1, chunks=chunks, dtype=float)
    assert_close(found.compute(), siglib.log_sig(some, 3), 1e-12)
    with pytest.raises(TypeError, match=r"path is an array of Dask of objects.*by map_blocks"):
        siglib.log_sig(chunked, 3)


def test_what_is_refused(rng: np.random.Generator) -> None:
    x = in_chunks(np.nan_to_num(paths(rng)), 3)
    options = {"dyadic_order": 0, "lengths1": LENGTHS}
    for error, message, call in (
        (ValueError, r"lengths must have shape \(7,\), one for each path, got \(3,\)", lambda: siglib.sig(x, 2, lengths=LENGTHS[:3])),
        (ValueError, "lengths must be from 0 to 7, got 2 to 9", lambda: siglib.sig(x, 2, lengths=LENGTHS + 2)),
        (ValueError, "lengths must be from 0 to 7, got 0 to 8", lambda: siglib.sig(np.zeros((7, 7, 2)), 2, lengths=LENGTHS + (LENGTHS == 7))),
        (ValueError, "lengths must be from 0 to 7, got", lambda: siglib.sig(x, 2, lengths=da.from_array(LENGTHS + 2)).compute()),
        (TypeError, "lengths must be integers, got dtype float64", lambda: siglib.sig(x, 2, lengths=da.from_array(LENGTHS / 2))),
        (TypeError, "lengths must be an array, got a Delayed", lambda: siglib.sig(x, 2, lengths=dask.delayed(list)())),
        (TypeError, "lengths is an array of Dask", lambda: siglib.sig(np.zeros((7, 7, 2)), 2, lengths=da.from_array(LENGTHS))),
        (ValueError, "path has blocks of unknown shapes", lambda: siglib.sig(x[x.sum((1, 2)) > 0], 2, lengths=LENGTHS)),
        (ValueError, r"path must have shape \(n, length, dimension\) beside lengths", lambda: siglib.sig(x[0], 2, lengths=LENGTHS)),
        (TypeError, "must be an array, got a Delayed", lambda: siglib.sig(dask.delayed(np.zeros)(3), 2, lengths=LENGTHS)),
        (ValueError, "return_grid does not go", lambda: siglib.sig_kernel_gram(x, x, return_grid=True, **options)),
        (ValueError, "same number of channels", lambda: siglib.sig_kernel_gram(x, x[..., :1], **options)),
        (TypeError, "sample2 holds paths of unequal lengths: beside arrays of Dask pass a padded array", lambda: siglib.sig_mmd(x, [np.zeros((3, 2)), np.zeros((4, 2))], **options)),
        (TypeError, "path is an array of Dask, which is not taken here", lambda: siglib.RaggedPaths(x)),
        (TypeError, "path is an array of Dask, which is not taken here", lambda: siglib.sig_jvp(siglib.RaggedPaths(x, LENGTHS), [np.zeros((n, 2)) for n in LENGTHS], 2)),
        (ValueError, "degree must be at least 0", lambda: siglib.sig(x, -1, lengths=LENGTHS)),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call()
