"""Signatures of windows and prefixes: the definition applied to every slice, exact gradients, and the edges."""

import numpy as np
import pytest
import reference
from cases import random_paths, transforms
from checking import assert_close, assert_same_bits
from reference_windows import by_definition, gradient_by_definition, random_windows, slices_of, sliding

import siglib

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
SIZES = [(1, 5), (2, 1), (2, 2), (2, 4), (2, 7), (3, 3), (3, 4), (3, 5), (4, 3), (5, 2), (5, 4), (6, 3), (7, 2), (9, 3)]


# Definition


@pytest.mark.parametrize(
    ("window", "stride"), [(1, 1), (2, 1), (2, 3), (4, 3), (7, 1), (7, 2), (7, 9), (8, 4), (20, 1), (23, 5), (25, 1)]
)
@pytest.mark.parametrize(("dimension", "degree"), [(2, 3), (5, 2)])
def test_sliding_windows(
    dtype: np.dtype, rng: np.random.Generator, dimension: int, degree: int, window: int, stride: int
) -> None:
    paths = random_paths(rng, 3, 25, dimension, dtype=dtype)
    starts, ends = sliding(25, window, stride)
    out = siglib.sig_windows(paths, degree, window, stride)
    assert out.dtype == dtype
    assert_close(out, by_definition(paths, starts, ends, degree), TOLERANCE[dtype.name])
    assert_same_bits(siglib.sig_windows(paths, degree, starts=starts, ends=ends), out)


@pytest.mark.parametrize(("dimension", "degree"), SIZES)
def test_any_windows(
    dtype: np.dtype, rng: np.random.Generator, instruction_set: str, dimension: int, degree: int
) -> None:
    paths = random_paths(rng, 3, 18, dimension, dtype=dtype)
    for shape in ((19,), (3, 11)):
        starts, ends = random_windows(rng, 18, *shape)
        out = siglib.sig_windows(paths, degree, starts=starts, ends=ends)
        assert_close(out, by_definition(paths, starts, ends, degree), TOLERANCE[dtype.name])


@pytest.mark.parametrize(("batch", "length"), [(1, 12), (2, 12), (17, 12), (1, 70)])
def test_prefixes(dtype: np.dtype, rng: np.random.Generator, batch: int, length: int) -> None:
    paths = random_paths(rng, batch, length, 3, dtype=dtype)
    expected = by_definition(paths, np.zeros(length, int), np.arange(1, length + 1), 4)
    assert_close(siglib.sig_prefixes(paths, 4), expected, TOLERANCE[dtype.name])


def windows_around(rng: np.random.Generator, length: int, middle: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Any windows with a point in common."""
    return rng.integers(0, middle + 1, shape), rng.integers(middle + 1, length + 1, shape)


@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 6), (3, 4), (4, 3), (5, 3), (6, 2), (7, 2)])
def test_one_block_in_pieces(
    dtype: np.dtype, rng: np.random.Generator, instruction_set: str, dimension: int, degree: int
) -> None:
    """Few windows that share a point with many others: prefixes, and windows of any starts, of one path and of two."""
    paths = random_paths(rng, 2, 130, dimension, dtype=dtype)
    n = siglib.sig_length(dimension, degree)
    for batch, starts, ends in (
        (1, np.zeros(130, int), np.arange(1, 131)),
        (2, *windows_around(rng, 130, 9, 90)),
        (2, *windows_around(rng, 130, 9, 2, 90)),
    ):
        out = siglib.sig_windows(paths[:batch], degree, starts=starts, ends=ends)
        derivs = rng.standard_normal((batch, starts.shape[-1], n)).astype(dtype)
        gradient = siglib.sig_windows_backprop(paths[:batch], derivs, degree, starts=starts, ends=ends)
        expected, expected_gradient = np.zeros(out.shape), np.zeros(gradient.shape)
        for b, windows in enumerate(slices_of(paths[:batch], starts, ends)):
            for k, piece in enumerate(windows):
                expected[b, k] = sig = siglib.sig(piece.astype(np.float64), degree)
                part = siglib.sig_backprop(piece.astype(np.float64), sig, derivs[b, k].astype(np.float64), degree)
                start = np.broadcast_to(starts, (batch, len(windows)))[b, k]
                expected_gradient[b, start : start + len(piece)] += part
        assert_close(out, expected, TOLERANCE[dtype.name])
        assert_close(gradient, expected_gradient, 20 * TOLERANCE[dtype.name])


def test_prefixes_of_a_long_path(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Several groups of pieces; every prefix is the one before times a segment."""
    path = random_paths(rng, 6000, 2, dtype=dtype)
    out = siglib.sig_prefixes(path, 3)
    assert_close(out[-1], siglib.sig(path.astype(np.float64), 3), TOLERANCE[dtype.name])
    segments = siglib.sig(np.stack([path[:-1], path[1:]], axis=1).astype(np.float64), 3)
    expected = siglib.sig_combine(out[:-1].astype(np.float64), segments, 2, 3)
    assert_close(out[1:], expected, TOLERANCE[dtype.name])
    derivs = rng.standard_normal(out.shape).astype(dtype)
    gradient = siglib.sig_prefixes_backprop(path, derivs, 3)
    # Moving the whole path changes nothing, and scaling it by 1 + t scales level k by 1 + k t.
    assert_close(gradient.sum(axis=0, dtype=float), np.zeros(2), 1e3 * TOLERANCE[dtype.name] * np.abs(gradient).max())
    levels = np.repeat([1, 2, 3], [2, 4, 8])
    expected_slope = (derivs.astype(float) * out.astype(float) * levels).sum()
    assert (
        abs((gradient.astype(float) * path).sum() - expected_slope)
        < 100 * TOLERANCE[dtype.name] * np.abs(derivs.astype(float) * out * levels).sum()
    )
    for n_jobs in (2, 3):
        assert_same_bits(siglib.sig_prefixes(path, 3, n_jobs=n_jobs), out)
        assert_same_bits(siglib.sig_prefixes_backprop(path, derivs, 3, n_jobs=n_jobs), gradient)


def test_more_windows_than_slots(rng: np.random.Generator) -> None:
    """Wide windows of many numbers are cut into several blocks."""
    paths = random_paths(rng, 1, 400, 8)
    starts, ends = sliding(400, 300, 1)
    out = siglib.sig_windows(paths, 4, 300)
    direct = np.stack([siglib.sig(paths[0, i:j], 4) for i, j in zip(starts, ends, strict=True)])
    assert_close(out[0], direct, 1e-12)


@pytest.mark.parametrize("stride", [12, 16, 17])
def test_separate_windows_from_any_point(rng: np.random.Generator, stride: int) -> None:
    """Windows that slide without having much in common, behind the first point, of a path with other strides."""
    paths = random_paths(rng, 70, 3, 2).swapaxes(0, 1)[:, ::-1]
    starts = np.arange(5, 55, stride)
    out = siglib.sig_windows(paths, 3, starts=starts, ends=starts + 16, scalar_term=True)
    assert (out[..., 0] == 1).all()
    assert_close(out[..., 1:], by_definition(paths, starts, starts + 16, 3), 1e-12)
    derivs = rng.standard_normal(out.shape)
    gradient = siglib.sig_windows_backprop(paths, derivs, 3, starts=starts, ends=starts + 16)
    assert_close(gradient, gradient_by_definition(paths, starts, starts + 16, derivs[..., 1:], 3), 1e-12)


# Identities


def test_windows_are_signatures_of_slices(dtype: np.dtype, rng: np.random.Generator) -> None:
    paths = random_paths(rng, 2, 60, 3, dtype=dtype)
    starts, ends = random_windows(rng, 60, 2, 40)
    out = siglib.sig_windows(paths, 4, starts=starts, ends=ends)
    for b, windows in enumerate(slices_of(paths, starts, ends)):
        for k, piece in enumerate(windows):
            assert_close(out[b, k], siglib.sig(piece, 4).astype(np.float64), TOLERANCE[dtype.name])


def test_neighbouring_windows_combine(rng: np.random.Generator) -> None:
    path = random_paths(rng, 40, 3)
    out = siglib.sig_windows(path, 4, starts=[3, 17, 3], ends=[18, 31, 31])
    assert_close(siglib.sig_combine(out[0], out[1], 3, 4), out[2])


@transforms
def test_transforms_come_before_windows(rng: np.random.Generator, transform: dict) -> None:
    path = random_paths(rng, 9, 2)
    transformed = siglib.transform_path(path, **transform)
    scale = 2 if transform.get("lead_lag") else 1
    expected = [siglib.sig(transformed[scale * i : scale * (i + 3) + 1], 3) for i in range(6)]
    assert_close(siglib.sig_windows(path, 3, 4, **transform), np.array(expected))
    expected = [siglib.sig(transformed[: scale * i + 1], 3) for i in range(9)]
    assert_close(siglib.sig_prefixes(path, 3, **transform), np.array(expected))


@pytest.mark.parametrize("method", [0, 1, 2])
def test_log_signatures(dtype: np.dtype, rng: np.random.Generator, method: int) -> None:
    paths = random_paths(rng, 2, 12, 3, dtype=dtype)
    expected = [[siglib.log_sig(path[i : i + 5], 3, method=method) for i in range(0, 8, 2)] for path in paths]
    assert_close(siglib.log_sig_windows(paths, 3, 5, 2, method=method), np.array(expected), TOLERANCE[dtype.name])
    expected = [[siglib.log_sig(path[: i + 1], 3, method=method) for i in range(12)] for path in paths]
    assert_close(siglib.log_sig_prefixes(paths, 3, method=method), np.array(expected), TOLERANCE[dtype.name])


def test_short_windows_of_a_long_path_are_exact(rng: np.random.Generator) -> None:
    """In float32, after 100 000 steps of a random walk; what inverses of prefixes would not give."""
    path = rng.standard_normal((100_000, 3)).cumsum(0).astype(np.float32)
    starts = rng.integers(0, 99_980, 50)
    out = siglib.sig_windows(path, 5, starts=starts, ends=starts + 10)
    exact = siglib.sig_windows(path.astype(np.float64), 5, starts=starts, ends=starts + 10)
    assert_close(out, exact, 1e-5)


# Gradients


@pytest.mark.parametrize(("dimension", "degree"), SIZES)
def test_gradient_of_any_windows(
    dtype: np.dtype, rng: np.random.Generator, instruction_set: str, dimension: int, degree: int
) -> None:
    paths = random_paths(rng, 2, 10, dimension, dtype=dtype)
    for shape in ((7,), (2, 6)):
        starts, ends = random_windows(rng, 10, *shape)
        n = siglib.sig_length(dimension, degree)
        derivs = rng.standard_normal((2, shape[-1], n)).astype(dtype)
        gradient = siglib.sig_windows_backprop(paths, derivs, degree, starts=starts, ends=ends)
        assert gradient.dtype == dtype
        assert_close(gradient, gradient_by_definition(paths, starts, ends, derivs, degree), 20 * TOLERANCE[dtype.name])


@pytest.mark.parametrize(
    ("window", "stride"), [(1, 1), (2, 1), (5, 1), (5, 3), (5, 7), (12, 1), (16, 1), (16, 15), (17, 17), (16, 18)]
)
def test_gradient_of_sliding_windows(dtype: np.dtype, rng: np.random.Generator, window: int, stride: int) -> None:
    length = 14 if window < 14 else 50
    paths = random_paths(rng, 2, length, 3, dtype=dtype)
    starts, ends = sliding(length, window, stride)
    derivs = rng.standard_normal((2, len(starts), 40)).astype(dtype)
    gradient = siglib.sig_windows_backprop(paths, derivs[..., 1:], 3, window, stride)
    expected = gradient_by_definition(paths, starts, ends, derivs[..., 1:], 3)
    assert_close(gradient, expected, 20 * TOLERANCE[dtype.name])
    assert_same_bits(siglib.sig_windows_backprop(paths, derivs, 3, window, stride), gradient)


def test_gradient_of_prefixes(dtype: np.dtype, rng: np.random.Generator) -> None:
    paths = random_paths(rng, 3, 9, 2, dtype=dtype)
    derivs = rng.standard_normal((3, 9, 30)).astype(dtype)
    expected = gradient_by_definition(paths, np.zeros(9, int), np.arange(1, 10), derivs, 4)
    assert_close(siglib.sig_prefixes_backprop(paths, derivs, 4), expected, 20 * TOLERANCE[dtype.name])


@transforms
def test_gradient_with_transforms(rng: np.random.Generator, transform: dict) -> None:
    path = random_paths(rng, 7, 2)
    derivs = rng.standard_normal(
        (4, siglib.sig_length(2, 2, **{k: v for k, v in transform.items() if k != "end_time"}))
    )
    expected = reference.numeric_gradient(
        lambda x: float((siglib.sig_windows(x, 2, 4, **transform) * derivs).sum()), path
    )
    assert_close(siglib.sig_windows_backprop(path, derivs, 2, 4, **transform), expected, 1e-8)


@pytest.mark.parametrize("degree", [64, 65, 200])
def test_one_channel(rng: np.random.Generator, degree: int) -> None:
    """Signatures of one channel are powers of the increment over factorials."""
    path = random_paths(rng, 6, 1)
    increments = path[2:] - path[:-2]
    expected = np.cumprod(increments / np.arange(1, degree + 1), axis=1)
    out = siglib.sig_windows(path, degree, 3, scalar_term=True)
    assert_close(out, np.concatenate([np.ones((4, 1)), expected], axis=1), 1e-14)
    derivs = rng.standard_normal((4, degree))
    slope = (derivs * np.concatenate([np.ones((4, 1)), expected[:, :-1]], axis=1)).sum(1, keepdims=True)
    gradient = np.zeros((6, 1))
    gradient[2:] += slope
    gradient[:-2] -= slope
    assert_close(siglib.sig_windows_backprop(path, derivs, degree, 3), gradient, 1e-13)


# Edges


def test_threads_do_not_change_bits(rng: np.random.Generator) -> None:
    paths = random_paths(rng, 3, 120, 3)
    derivs = rng.standard_normal((3, 101, 39))
    for n_jobs in (2, 5):
        assert_same_bits(siglib.sig_windows(paths, 3, 20, n_jobs=n_jobs), siglib.sig_windows(paths, 3, 20))
        assert_same_bits(
            siglib.sig_windows_backprop(paths, derivs, 3, 20, n_jobs=n_jobs),
            siglib.sig_windows_backprop(paths, derivs, 3, 20),
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_windows(rng: np.random.Generator, value: float, dtype: np.dtype) -> None:
    paths = random_paths(rng, 2, 60, 3, dtype=dtype)
    paths[0, 30] = value
    finite = np.isfinite(siglib.sig_windows(paths, 3, 8)).all(axis=-1)
    expected = np.ones((2, 53), bool)
    expected[0, 23:31] = False
    assert (finite == expected).all()
    path = random_paths(rng, 300, 3, dtype=dtype)
    path[200] = value
    finite = np.isfinite(siglib.sig_prefixes(path, 3)).all(axis=-1)
    assert (finite == (np.arange(300) < 200)).all()


# Blocks, pieces and lanes of every kind, of 64 points.
WINDOWS = {
    "sliding": sliding(64, 8, 1),
    "wide": sliding(64, 17, 2),
    "few": sliding(64, 40, 12),
    "apart": sliding(64, 8, 8),
    "any": random_windows(np.random.default_rng(5), 64, 40),
    "nested": (np.arange(30), np.arange(64, 34, -1)),
    "one start": (np.zeros(60, int), np.arange(2, 62)),
}


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("batch", [1, 2, 9])
@pytest.mark.parametrize(("dimension", "degree"), [(1, 3), (2, 3), (3, 2)])
def test_gradients_of_windows_that_see_nothing_infinite(
    instruction_set: str, rng: np.random.Generator, dimension: int, degree: int, batch: int, windows: str
) -> None:
    starts, ends = WINDOWS[windows]
    paths = random_paths(rng, batch, 64, dimension)
    derivs = rng.standard_normal((batch, len(starts), siglib.sig_length(dimension, degree)))
    before = siglib.sig_windows_backprop(paths, derivs, degree, starts=starts, ends=ends)
    for value in (np.nan, np.inf):
        for point in (0, 3, 20, 31, 47, 63):
            b = point % batch
            broken = paths.copy()
            broken[b, point, -1] = value
            gradient = siglib.sig_windows_backprop(broken, derivs, degree, starts=starts, ends=ends)
            others = np.arange(batch) != b
            assert_same_bits(gradient[others], before[others])
            sees = (starts <= point) & (point < ends)
            reached = [np.arange(i, j) for i, j in zip(starts[sees], ends[sees], strict=True)]
            free = np.setdiff1d(np.arange(64), np.concatenate([np.zeros(0, int), *reached]))
            expected = gradient_by_definition(
                paths[b : b + 1], starts[~sees], ends[~sees], derivs[b : b + 1, ~sees], degree
            )
            assert_close(gradient[b, free], expected[0, free], 1e-12)


def test_gradients_of_windows_before_an_overflow(dtype: np.dtype, rng: np.random.Generator) -> None:
    """Nothing in the path is infinite, but signatures of windows that see the jump are."""
    path = random_paths(rng, 100, 2, dtype=dtype)
    derivs = rng.standard_normal((91, 14)).astype(dtype)
    starts, ends = sliding(100, 10, 1)
    for jump in range(50, 61):
        broken = path.copy()
        broken[jump:, 0] += np.finfo(dtype).max / 8
        gradient = siglib.sig_windows_backprop(broken, derivs, 3, 10)
        assert not np.isfinite(gradient[jump - 1]).all()
        before = slice(0, jump - 9)  # the windows before the jump
        expected = gradient_by_definition(path[None], starts[before], ends[before], derivs[None, before], 3)[0]
        assert_close(gradient[before], expected[before], TOLERANCE[dtype.name])


@pytest.mark.parametrize("scalar_term", [False, True])
def test_nothing_to_do(scalar_term: bool) -> None:
    n = 6 + scalar_term
    assert siglib.sig_windows(np.zeros((3, 2)), 2, 4, scalar_term=scalar_term).shape == (0, n)
    assert siglib.sig_windows(np.zeros((0, 9, 2)), 2, 4, scalar_term=scalar_term).shape == (0, 6, n)
    assert siglib.sig_windows(np.zeros((9, 2)), 2, starts=[], ends=[], scalar_term=scalar_term).shape == (0, n)
    assert siglib.sig_prefixes(np.zeros((2, 0, 2)), 2, scalar_term=scalar_term).shape == (2, 0, n)
    constant = np.zeros((1, n))
    constant[:, :scalar_term] = 1
    for length in (0, 1, 4):
        out = siglib.sig_windows(np.ones((length, 2)), 2, starts=[0], ends=[0], scalar_term=scalar_term)
        assert_same_bits(out, constant)
    assert_same_bits(siglib.sig_windows(np.ones((4, 2)), 2, starts=[4], ends=[4], scalar_term=scalar_term), constant)
    assert siglib.sig_windows(np.ones((9, 2)), 0, 3, scalar_term=scalar_term).shape == (7, int(scalar_term))
    assert not siglib.sig_windows_backprop(np.ones((9, 2)), np.ones((7, n)), 2, 3)[3:6].any()
    assert not siglib.sig_windows_backprop(np.ones((3, 2)), np.ones((0, 6)), 2, 9).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "give window, a number of points, or starts and ends"),
        ({"window": -1}, ValueError, "window must be at least 0, got -1"),
        ({"window": 2.0}, TypeError, "window must be an integer"),
        ({"window": 2, "stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ({"starts": [0]}, ValueError, "starts and ends go together"),
        ({"window": 2, "starts": [0], "ends": [1]}, ValueError, "either window and stride, or starts and ends"),
        ({"starts": [0], "ends": [1, 2]}, ValueError, r"same shape, got \(1,\) and \(2,\)"),
        (
            {"starts": [[0]], "ends": [[1]]},
            ValueError,
            r"starts must have shape \(n_windows,\) or \(\*batch, n_windows",
        ),
        ({"starts": 0, "ends": 1}, ValueError, r"starts must have shape"),
        ({"starts": [0.0], "ends": [1]}, TypeError, "starts must hold integers, got dtype float64"),
        ({"starts": [0, 1], "ends": [1, 6]}, ValueError, r"0 <= start <= end <= 5.*got start 1 and end 6 at index 1"),
        ({"starts": [-1], "ends": [1]}, ValueError, "got start -1 and end 1 at index 0"),
        ({"starts": [3], "ends": [2]}, ValueError, "got start 3 and end 2"),
    ],
)
def test_refused_windows(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.sig_windows(np.zeros((2, 5, 2)), 2, **options)


@pytest.mark.parametrize("size", [6, 2**63 - 1, 2**63, 10**30])
def test_windows_longer_than_the_path(size: int) -> None:
    path = np.ones((5, 2))
    assert siglib.sig_windows(path, 2, size, size).shape == (0, 6)
    assert siglib.sig_windows(path, 2, 2, size).shape == (1, 6)
    assert siglib.log_sig_windows(path, 2, size).shape == (0, 3)
    assert not siglib.sig_windows_backprop(path, np.ones((0, 6)), 2, size).any()


def test_refused_derivatives() -> None:
    with pytest.raises(ValueError, match=r"sig_derivs must have shape \(2, 4, 6\) .* got \(2, 3, 6\)"):
        siglib.sig_windows_backprop(np.zeros((2, 5, 2)), np.zeros((2, 3, 6)), 2, 2)


def test_empty_batches_of_long_paths() -> None:
    """Nothing of the size of paths that are not there."""
    path = np.zeros((0, 2**45, 2))
    assert siglib.sig_prefixes(path, 2).shape == (0, 2**45, 6)
    assert siglib.sig_prefixes_backprop(path, np.zeros((0, 2**45, 6)), 2, lead_lag=False).shape == path.shape
    assert siglib.sig_windows(path, 2, window=8, stride=8).shape == (0, 2**42, 6)
    assert siglib.sig_windows_backprop(path, np.zeros((0, 2**42, 6)), 2, window=8, stride=8).shape == path.shape
    assert siglib.log_sig_prefixes(path, 2).shape == (0, 2**45, 3)
    assert siglib.IntervalSignature(path, 2).sig(0, 2**44).shape == (0, 6)
    with pytest.raises(ValueError, match="0 <= start <= end"):
        siglib.sig_windows(np.zeros((0, 5, 2)), 2, starts=[0], ends=[6])
