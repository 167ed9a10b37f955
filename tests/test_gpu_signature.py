"""Signatures on the GPU, through the public functions: against the definition, and every kernel in the check build."""

import numpy as np
import pytest
import reference
from checking import assert_close, assert_same_bits
from gpu import Gpu

import siglib
from siglib._gpu import _launch
from siglib._gpu.signature_plan import chunk_length, make_plan, n_parts, segment_length, small_tiles
from siglib._gpu.sizes import scratch_bytes

TOLERANCE = {"float64": 1e-13, "float32": 3e-6}
TRANSFORMS = {"time_aug": True, "lead_lag": True, "end_time": 0.7}
# Every depth of the tree with and without a suffix, letters compiled in and not, tiles that fit and that do not.
SIZES = [
    *[
        (1, 1),
        (1, 6),
        (2, 1),
        (2, 2),
        (2, 3),
        (2, 5),
        (2, 7),
        (3, 2),
        (3, 4),
        (3, 5),
        (4, 3),
        (4, 4),
        (5, 2),
        (5, 3),
        (5, 4),
    ],
    *[(6, 2), (6, 3), (7, 3), (8, 3), (9, 2), (10, 3), (17, 2), (20, 1), (33, 2)],
]
sizes = pytest.mark.parametrize(("d", "degree"), SIZES)


def paths(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return (0.3 * rng.standard_normal(shape)).astype(dtype)


@pytest.fixture(params=["large", "small"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tiles for batches that fill a GPU, and for smaller ones."""
    monkeypatch.setattr("siglib._gpu.signature._FEW_THREADS", {"large": 0, "small": 2**40}[request.param])
    return request.param


@sizes
def test_values(gpu: Gpu, d: int, degree: int, dtype: np.dtype, rng: np.random.Generator, tiles: str) -> None:
    if tiles == "small" and small_tiles(make_plan(d, degree, dtype.name), d) == make_plan(d, degree, dtype.name):
        return  # there are none
    for shape, options in (((5, 6, d), {}), ((2, 2, d), {"scalar_term": True})):
        path = paths(rng, shape, dtype)
        out = gpu.numpy(siglib.sig(gpu.array(path), degree, **options))
        assert out.dtype == dtype
        assert_close(out, reference.signature(path, degree, **options), TOLERANCE[dtype.name])


@pytest.mark.parametrize(("d", "degree"), [(1, 3), (1, 4), (2, 3), (3, 2), (4, 2)])
@pytest.mark.parametrize("options", [TRANSFORMS, {"time_aug": True}, {"lead_lag": True, "scalar_term": True}])
def test_transforms(gpu: Gpu, d: int, degree: int, options: dict, dtype: np.dtype, rng: np.random.Generator) -> None:
    path = paths(rng, (3, 7, d), dtype)
    out = gpu.numpy(siglib.sig(gpu.array(path), degree, **options))
    assert_close(out, reference.signature(path, degree, **options), TOLERANCE[dtype.name])


@pytest.mark.parametrize(
    ("d", "degree", "length"),
    [(2, 2, 200), (2, 6, 600), (3, 4, 700), (6, 2, 300), (2, 1, 1000), (5, 4, 300), (7, 3, 400)],
)
def test_long_paths_are_cut(
    gpu: Gpu, d: int, degree: int, length: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """Chunks of equal and of unequal length, their number even and odd, few words and many."""
    path = paths(rng, (2, length, d), dtype) / np.sqrt(length)
    expected = reference.signature(path, degree, scalar_term=True)
    out = gpu.numpy(siglib.sig(gpu.array(path), degree, scalar_term=True))
    assert_close(out, expected, TOLERANCE[dtype.name])


@pytest.mark.parametrize(("d", "degree", "length"), [(2, 7, 600), (3, 4, 300), (7, 3, 600), (11, 2, 2250)])
def test_bits_do_not_depend_on_how_chunks_are_joined(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, d: int, degree: int, length: int
) -> None:
    """By threads with several words, by several threads for a word; all levels by one block, each by several, or all by
    those of a first letter."""
    path = paths(rng, (2, length, d), np.dtype(np.float64)) / np.sqrt(length)
    expected = reference.signature(path, degree, scalar_term=True)
    results = []
    for few_words, few_threads, many_words, few_letters, shared in (
        (0, 0, 4096, 0, 0),
        (0, 100, 4096, 0, 0),
        (0, 2**40, 4096, 0, 0),
        (0, 0, 5, 0, 0),
        (0, 2**40, 0, 0, 0),
        (256, 0, 0, 0, 0),
        (0, 0, 0, 1, 2**17),
        (0, 0, 0, 30, 2**17),
        (0, 0, 5, 30, 0),
    ):
        monkeypatch.setattr("siglib._gpu.chen._FEW_WORDS", few_words)
        monkeypatch.setattr("siglib._gpu.chen._FEW_THREADS", few_threads)
        monkeypatch.setattr("siglib._gpu.chen._MANY_WORDS", many_words)
        monkeypatch.setattr("siglib._gpu.chen._BLOCKS_OF_PROCESSOR", few_letters)
        monkeypatch.setattr("siglib._gpu.chen._WORDS_OF_SHARE", 3)
        monkeypatch.setattr("siglib._gpu.sizes.SHARED_BYTES", shared)
        results.append(gpu.numpy(siglib.sig(gpu.array(path), degree, scalar_term=True)))
        assert_close(results[-1], expected, 1e-13)
        assert_same_bits(results[-1], results[0])


@pytest.mark.parametrize(
    ("d", "degree", "n_rows", "short"),
    [(2, 2, 33, 32), (2, 5, 64, 1), (3, 3, 65, 1), (4, 3, 50, 3), (5, 2, 3, 1), (4, 2, 130, 2), (2, 3, 301, 2)],
)
def test_parts_of_a_block(
    checked_gpu: Gpu,
    monkeypatch: pytest.MonkeyPatch,
    d: int,
    degree: int,
    n_rows: int,
    short: int,
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    """2 to 128 parts of a path, the last ones shorter than others or empty; blocks of several paths, the last not full."""
    monkeypatch.setattr("siglib._gpu.signature_plan._SHORT_PART", short)
    path = paths(rng, (3, n_rows + 1, d), dtype) / dtype.type(n_rows**0.5)
    for options in ({}, {"scalar_term": True}):
        out = checked_gpu.numpy(siglib.sig(checked_gpu.array(path), degree, **options))
        assert_close(out, reference.signature(path, degree, **options), TOLERANCE[dtype.name])


@pytest.mark.parametrize("options", [TRANSFORMS, {"time_aug": True}, {"lead_lag": True}])
def test_parts_of_transformed_paths(gpu: Gpu, options: dict, dtype: np.dtype, rng: np.random.Generator) -> None:
    for d, length in ((1, 100), (2, 70)):
        path = paths(rng, (2, length, d), dtype) / dtype.type(8)
        for given in (gpu.array(path), gpu.array(np.ascontiguousarray(path[::-1, :, ::-1]))[::-1, :, ::-1]):
            out = gpu.numpy(siglib.sig(given, 3, **options))
            assert_close(out, reference.signature(path, 3, **options), TOLERANCE[dtype.name])


def test_segments_of_very_long_paths(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, dtype: np.dtype, rng: np.random.Generator
) -> None:
    monkeypatch.setattr("siglib._gpu.signature_plan._LONG_PART", 1)
    path = paths(rng, (2, 301, 2), dtype) / dtype.type(16)
    out = gpu.numpy(siglib.sig(gpu.array(path), 3, scalar_term=True, time_aug=True))
    assert_close(out, reference.signature(path, 3, scalar_term=True, time_aug=True), TOLERANCE[dtype.name])


def test_how_paths_are_cut_into_parts() -> None:
    assert [n_parts(n) for n in (1, 32, 33, 64, 65, 2048, 2049, 10000, 16384)] == [1, 1, 2, 2, 4, 64, 128, 128, 128]
    assert [segment_length(n) for n in (1, 16384, 16385, 10**6)] == [1, 16384, 8193, 16130]


def test_bits_do_not_depend_on_the_batch(gpu: Gpu, rng: np.random.Generator) -> None:
    for d, degree, length in ((2, 4, 300), (4, 3, 70), (8, 3, 9), (3, 5, 20)):
        path = paths(rng, (11, length, d), np.dtype(np.float32))
        together = gpu.numpy(siglib.sig(gpu.array(path), degree))
        for b in (0, 7):
            gpu.assert_same(gpu.numpy(siglib.sig(gpu.array(path[b]), degree)), together[b])


def test_bits_do_not_depend_on_tiles(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    for d, degree in ((7, 3), (17, 2), (8, 4)):
        path = paths(rng, (2, 9, d), np.dtype(np.float32))
        results = []
        for few_threads in (0, 2**40):
            monkeypatch.setattr("siglib._gpu.signature._FEW_THREADS", few_threads)
            results.append(gpu.numpy(siglib.sig(gpu.array(path), degree)))
        gpu.assert_same(*results)


def test_chunks_are_longer_where_there_are_many() -> None:
    plan = make_plan(8, 3, "float32")
    assert [chunk_length(plan, 584, n) for n in (256, 257, 4095, 4096)] == [256, 128, 128, 256]
    plan = make_plan(2, 2, "float32")
    assert [chunk_length(plan, 6, n) for n in (128, 129, 10000)] == [128, 64, 64]


def test_scratch_memory_is_a_share_of_the_devices(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, expected in ((8 << 30, 128 << 20), (24 << 30, 384 << 20), (141 << 30, 2 << 30)):
        monkeypatch.setitem(_launch._attributes, (0, "memory"), memory)
        assert scratch_bytes() == expected
    monkeypatch.delitem(_launch._attributes, (0, "memory"))
    assert _launch.memory_bytes() == emulated.cupy.cuda.Device().mem_info[1]


def test_slabs(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Scratch memory for a part of the batch at a time changes nothing."""
    path = paths(rng, (5, 300, 6), np.dtype(np.float64))
    expected = gpu.numpy(siglib.sig(gpu.array(path), 3))
    monkeypatch.setattr("siglib._gpu.sizes.SCRATCH_BYTES", 2 * 3 * (258 + 42) * 8)
    assert_same_bits(gpu.numpy(siglib.sig(gpu.array(path), 3)), expected)


def test_increments_that_do_not_fit_into_shared_memory(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, dtype: np.dtype, rng: np.random.Generator
) -> None:
    monkeypatch.setattr("siglib._gpu.signature.most_shared", lambda: 0)
    monkeypatch.setattr("siglib._gpu.signature_plan._STAGED_BYTES", 0)
    for d, degree, options in ((7, 3, {}), (9, 2, TRANSFORMS)):
        path = paths(rng, (3, 5, d), dtype)
        out = gpu.numpy(siglib.sig(gpu.array(path), degree, **options))
        assert_close(out, reference.signature(path, degree, **options), TOLERANCE[dtype.name])


@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 2), (3, 1, 2), (1, 0, 5, 2), (2, 3, 4, 2), (4, 2)])
@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("scalar_term", [False, True])
def test_edges(gpu: Gpu, shape: tuple[int, ...], degree: int, scalar_term: bool) -> None:
    path = np.arange(np.prod(shape), dtype=float).reshape(shape) ** 2 / 100
    out = gpu.numpy(siglib.sig(gpu.array(path), degree, scalar_term=scalar_term))
    assert_close(out, siglib.sig(path, degree, scalar_term=scalar_term), 1e-13)


def test_strides(gpu: Gpu, rng: np.random.Generator) -> None:
    path = paths(rng, (6, 8, 4), np.dtype(np.float64))
    given = gpu.array(path)
    for view in (lambda a: a[::2, ::-1], lambda a: a.transpose(1, 2, 0), lambda a: a[:, :, 1::2], lambda a: a.T):
        out = gpu.numpy(siglib.sig(view(given), 3))
        assert_same_bits(out, gpu.numpy(siglib.sig(gpu.array(view(path)), 3)))


def test_nan_and_infinity_stay_in_their_words(gpu: Gpu) -> None:
    path = np.zeros((1, 5, 3))
    path[0, 2, 1] = np.nan
    out = gpu.numpy(siglib.sig(gpu.array(path), 2))
    np.testing.assert_array_equal(np.isnan(out), np.isnan(reference.signature(path, 2)))


@sizes
def test_checked(emulated: Gpu, d: int, degree: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without races, accesses outside of arrays, or anything undefined; in both orders of threads."""
    monkeypatch.setattr("siglib._gpu.signature._FEW_THREADS", 0 if degree % 2 else 2**40)
    emulated.cupy.MODE = "check"
    dtype = np.dtype([np.float32, np.float64][degree % 2])
    path = paths(rng, (2, 4, d), dtype)
    expected = reference.signature(path, degree)
    assert_close(emulated.numpy(siglib.sig(emulated.array(path), degree)), expected, TOLERANCE[dtype.name])
    emulated.cupy.FALLING = True
    assert_close(emulated.numpy(siglib.sig(emulated.array(path), degree)), expected, TOLERANCE[dtype.name])


@pytest.mark.parametrize(("d", "degree", "length"), [(2, 2, 200), (3, 3, 300), (6, 2, 150), (4, 5, 270)])
def test_checked_in_chunks(emulated: Gpu, d: int, degree: int, length: int, rng: np.random.Generator) -> None:
    emulated.cupy.MODE = "check"
    path = paths(rng, (1, length, d), np.dtype(np.float64)) / np.sqrt(length)
    out = emulated.numpy(siglib.sig(emulated.array(path), degree, scalar_term=True))
    assert_close(out, reference.signature(path, degree, scalar_term=True), 1e-13)


@pytest.mark.parametrize("dtype_name", ["float32", "float64"])
def test_plans(dtype_name: str) -> None:
    """Tiles cover all letters, and fit into registers."""
    for d in (*range(2, 40), 64, 100, 257):
        for degree in range(1, 5):
            plan = make_plan(d, degree, dtype_name)
            assert plan.suffix + plan.P == degree
            assert (plan.n_roots - 1) * plan.T1 < d <= plan.n_roots * plan.T1
            assert plan.P == 1 or (plan.n_tops - 1) * plan.T2 < d <= plan.n_tops * plan.T2
            assert plan.T1 * plan.T2 <= {"float32": 128, "float64": 64}[dtype_name]


# Products


PRODUCTS = [(1, 3), (2, 1), (2, 5), (3, 4), (5, 3), (6, 2), (9, 3)]


@pytest.mark.parametrize(("d", "degree"), PRODUCTS)
def test_products(checked_gpu: Gpu, d: int, degree: int, dtype: np.dtype, rng: np.random.Generator) -> None:
    n = siglib.sig_length(d, degree)
    a, b, derivs = (rng.standard_normal((3, n)).astype(dtype) for _ in range(3))
    out = checked_gpu.numpy(siglib.sig_combine(checked_gpu.array(a), checked_gpu.array(b), d, degree))
    assert_close(out, reference.combine(a, b, d, degree), TOLERANCE[dtype.name])
    arrays = map(checked_gpu.array, (derivs, a, b))
    gradients = checked_gpu.numpy(siglib.sig_combine_backprop(*arrays, d, degree))
    for actual, expected in zip(gradients, reference.combine_gradients(derivs, a, b, d, degree), strict=True):
        assert_close(actual, expected, TOLERANCE[dtype.name])


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 3)])
@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 1), (0, 1)])
@pytest.mark.parametrize("degree", [0, 2])
def test_products_with_the_empty_word(
    gpu: Gpu, shape: tuple[int, ...], first: int, second: int, degree: int, rng: np.random.Generator
) -> None:
    n = siglib.sig_length(3, degree)
    a, derivs, b = (rng.standard_normal((*shape, n + scalar)) for scalar in (first, first, second))
    arguments = (gpu.array(a), gpu.array(b), 3, degree)
    out = gpu.numpy(siglib.sig_combine(*arguments))
    assert_close(out, siglib.sig_combine(a, b, 3, degree), 1e-13)
    gradients = gpu.numpy(siglib.sig_combine_backprop(gpu.array(derivs), *arguments))
    for actual, expected in zip(gradients, siglib.sig_combine_backprop(derivs, a, b, 3, degree), strict=True):
        assert_close(actual, expected, 1e-13)
