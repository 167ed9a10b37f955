"""Paths of unequal lengths: what each gives alone, for every function of paths, from all that may hold them."""

import warnings
from typing import Any

import numpy as np
import pytest
from checking import assert_same_bits, optional
from gpu import Gpu
from hypothesis import given, settings
from hypothesis import strategies as st
from operations import OF_ALL_PAIRS, OPERATIONS, Operation

import siglib

LENGTHS = [4, 1, 6, 2, 4, 5, 6]
RNG = np.random.default_rng(5)
PATHS = [RNG.standard_normal((length, 3)) for length in LENGTHS]
OTHERS = [RNG.standard_normal((length, 3)) for length in reversed(LENGTHS)]


def padded(paths: list[np.ndarray], behind: float = np.nan, length: int = 7) -> np.ndarray:
    out = np.full((len(paths), length, paths[0].shape[1]), behind, paths[0].dtype)
    for row, path in zip(out, paths, strict=True):
        row[: len(path)] = path
    return out


def of_paths() -> list[Any]:
    """Functions of the table that take one array of paths, first of all, and give one result for each."""
    found = []
    for operation in OPERATIONS:
        name = operation.name
        if name == "branched_sig_coef" and "correction" in operation.options:
            continue  # see `test_refused_calls`
        if len(operation.shapes) == 1 and len(operation.shapes[0]) == 3 and not name.endswith("_backprop"):
            found.append(pytest.param(operation, id=" ".join([name, *operation.options])))
    return found


def of_pairs(kind: list[Operation]) -> list[Any]:
    return [
        pytest.param(operation, id=" ".join([operation.name, *operation.options]))
        for operation in kind
        if len(operation.shapes) == 2 and "kernel" in operation.name and not operation.options.get("return_grid")
    ]


@pytest.mark.parametrize("operation", of_paths())
def test_each_path_gives_what_it_gives_alone(operation: Operation) -> None:
    paths = PATHS
    if "correction" in operation.options or "starts" in operation.options:
        paths = [path for path in PATHS if len(path) > 4]  # the last window ends at point 5
        if "starts" in operation.options:
            paths = [*paths, np.concatenate([paths[0], paths[1]])]
    alone = [operation(path)[0] for path in paths]
    together = operation(paths)[0]
    assert len(together) == len(paths)
    for mine, expected in zip(together, alone, strict=True):
        assert mine.shape == expected.shape
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-13)
    length = max(map(len, paths)) + 1
    n_points = list(map(len, paths))
    from_padded = operation(siglib.RaggedPaths(padded(paths, length=length), n_points))[0]
    for mine, same in zip(operation(padded(paths, length=length), lengths=n_points)[0], from_padded, strict=True):
        assert_same_bits(mine, same)
    for mine, same in zip(from_padded, together, strict=True):
        if isinstance(together, list):
            assert not mine[len(same) :].any()
            mine = mine[: len(same)]
        assert_same_bits(mine, same)


@pytest.mark.parametrize("operation", of_pairs(OPERATIONS))
def test_pairs_of_paths(operation: Operation) -> None:
    expected = [operation(*pair)[0] for pair in zip(PATHS, OTHERS, strict=True)]
    np.testing.assert_allclose(operation(PATHS, OTHERS)[0], expected, rtol=1e-10)
    mixed = operation(siglib.RaggedPaths(padded(PATHS), LENGTHS), OTHERS)[0]
    np.testing.assert_allclose(mixed, expected, rtol=1e-10)
    for mine in (
        operation(padded(PATHS), OTHERS, lengths1=LENGTHS)[0],
        operation(PATHS, padded(OTHERS), lengths2=LENGTHS[::-1])[0],
    ):
        np.testing.assert_array_equal(mine, mixed)


@pytest.mark.parametrize("operation", of_pairs(OF_ALL_PAIRS))
def test_gram_matrices(operation: Operation) -> None:
    expected = [[operation(x[None], y[None])[0][0, 0] for y in OTHERS[:4]] for x in PATHS]
    np.testing.assert_allclose(operation(PATHS, OTHERS[:4])[0], expected, rtol=1e-10)
    own = operation(PATHS, PATHS)[0]
    np.testing.assert_array_equal(own, own.T)
    np.testing.assert_allclose(own, [[operation(x[None], y[None])[0][0, 0] for y in PATHS] for x in PATHS], rtol=1e-10)
    both = padded(PATHS)
    np.testing.assert_array_equal(operation(both, both, lengths1=LENGTHS, lengths2=LENGTHS)[0], own)
    equal = np.stack([path[:2] for path in OTHERS if len(path) > 1])
    expected = [[operation(x[None], y[None])[0][0, 0] for y in equal] for x in PATHS]
    np.testing.assert_allclose(operation(PATHS, equal)[0], expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["sig_score", "expected_sig_score", "sig_mmd"])
def test_metrics(name: str) -> None:
    x, y = [path * 0.3 for path in PATHS], [path * 0.2 for path in OTHERS]
    function, options = getattr(siglib, name), {"dyadic_order": 1}
    # Repeating the last point changes no kernel.
    for side in (x, y):
        side[:] = [np.concatenate([path, np.repeat(path[-1:], 7 - len(path), 0)]) for path in side]
    expected = function(np.stack(x), np.stack(y), **options)
    x, y = ([path[:n] for path, n in zip(side, n, strict=True)] for side, n in ((x, LENGTHS), (y, LENGTHS[::-1])))
    found = function(x, y, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    both = {"lengths1": LENGTHS, "lengths2": LENGTHS[::-1]}
    np.testing.assert_array_equal(function(padded(x), padded(y), **both, **options), found)
    with pytest.raises(ValueError, match="at least 2 paths, got 1"):
        function(siglib.RaggedPaths(x[:1]), y, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"time_aug": True, "end_time": 3.0}, {"lead_lag": True}, {"time_aug": True, "lead_lag": True}], ids=str)  # fmt: skip
def test_bits_are_those_of_a_batch_of_one_length(dtype: Any, options: dict[str, Any]) -> None:
    """Paths that fill the lanes, so that the plan is the same; also longer than those whose time is set."""
    rng = np.random.default_rng(1)
    paths = [rng.standard_normal((length, 2)).astype(dtype) for length in rng.integers(1, 90, 40)]
    together = siglib.sig(paths, 4, **options)
    for path, mine in zip(paths, together, strict=True):
        assert_same_bits(siglib.sig(np.stack([path] * 40), 4, **options)[0], mine)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40),
    st.integers(1, 4),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 2]),
)
def test_any_lengths(lengths: list[int], dimension: int, degree: int, time_aug: bool, lead_lag: bool, n: int) -> None:
    rng = np.random.default_rng(len(lengths))
    paths = [rng.standard_normal((length, dimension)) for length in lengths]
    options = {"time_aug": time_aug, "lead_lag": lead_lag, "n_jobs": n}
    together = siglib.sig(paths, degree, **options)
    alone = np.stack([siglib.sig(path, degree, **options) for path in paths])
    np.testing.assert_allclose(together, alone, rtol=1e-11, atol=1e-11 * (1 + np.abs(alone).max(initial=0)))
    derivs = rng.standard_normal(together.shape)
    gradients = siglib.sig_backprop(paths, together, derivs, degree, **options)
    for path, sig, deriv, mine in zip(paths, alone, derivs, gradients, strict=True):
        expected = siglib.sig_backprop(path, sig, deriv, degree, **options)
        np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-10 * (1 + np.abs(expected).max(initial=0)))


def test_few_long_paths_are_cut_in_time() -> None:
    rng = np.random.default_rng(2)
    paths = [rng.standard_normal((length, 2)).cumsum(0) for length in (3000, 17, 1999, 0, 700)]
    for options in ({}, {"time_aug": True}, {"lead_lag": True}):
        together = siglib.sig(paths, 3, **options)
        derivs = rng.standard_normal(together.shape)
        gradients = siglib.sig_backprop(paths, together, derivs, 3, **options)
        for path, mine, deriv, gradient in zip(paths, together, derivs, gradients, strict=True):
            alone = siglib.sig(path, 3, **options)
            np.testing.assert_allclose(mine, alone, rtol=1e-9, atol=1e-9 * np.abs(alone).max(initial=1))
            expected = siglib.sig_backprop(path, alone, deriv, 3, **options)
            np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max(initial=1))


def test_coefficients_of_prefixes_of_words_are_one_array() -> None:
    """They have no axis along the path."""
    words = [(0, 1), (2,)]
    together = siglib.sig_coef(PATHS, words, prefixes=True)
    np.testing.assert_allclose(together, [siglib.sig_coef(path, words, prefixes=True) for path in PATHS], rtol=1e-12)
    assert isinstance(together, np.ndarray)
    from_padded = siglib.sig_coef(padded(PATHS), words, prefixes=True, lengths=LENGTHS)
    np.testing.assert_array_equal(from_padded, together)


def test_a_point_without_a_number_is_a_constant_path_beside_others_too() -> None:
    for n_channels, degree in ((1, 1), (1, 3), (2, 1), (3, 2)):
        paths = [np.full((1, n_channels), np.nan), RNG.standard_normal((5, n_channels))]
        for transform in ({}, {"lead_lag": True}, {"time_aug": True}):
            for function in (siglib.sig, siglib.log_sig, siglib.branched_sig):
                together = function(paths, degree, **transform)
                np.testing.assert_array_equal(together[0], function(paths[0], degree, **transform))
                assert not together[0].any()
        gram = siglib.sig_kernel_gram(paths, paths[1:], dyadic_order=0)
        assert gram[0, 0] == 1.0
        assert np.isfinite(gram).all()


def test_one_nan_stays_with_its_path() -> None:
    paths = [path.copy() for path in PATHS]
    paths[2][3, 1] = np.nan
    together, clean = siglib.sig(paths, 3), siglib.sig(PATHS, 3)
    assert np.isnan(together[2]).any()
    np.testing.assert_array_equal(np.delete(together, 2, 0), np.delete(clean, 2, 0))


@pytest.mark.parametrize("options", [{}, {"time_aug": True}, {"lead_lag": True}, {"time_aug": True, "lead_lag": True}], ids=str)  # fmt: skip
@pytest.mark.parametrize("name", ["sig", "log_sig", "sig_coef", "sig_prefixes", "sig_windows"])
def test_public_gradients(name: str, options: dict[str, Any]) -> None:
    options = dict(options)
    what = {"sig_coef": [[(0, 1), (2,)]], "sig_windows": [2, 2]}.get(name, [2])
    # The gradient of coefficients takes those of all prefixes.
    more = {"prefixes": True} if name == "sig_coef" else {}
    values = getattr(siglib, name)(PATHS, *what, **more, **options)
    derivs = [RNG.standard_normal(value.shape) for value in values]
    backprop = getattr(siglib, f"{name}_backprop")

    def gradients(path: Any, value: Any, deriv: Any) -> Any:
        if name == "sig_coef":
            return backprop(path, *what, value, deriv, **options)
        return backprop(path, *([value] if name == "sig" else []), deriv, *what, **options)

    expected = [gradients(*given) for given in zip(PATHS, values, derivs, strict=True)]
    together = derivs if isinstance(values, list) else np.stack(derivs)
    for mine, alone in zip(gradients(PATHS, values, together), expected, strict=True):
        np.testing.assert_allclose(mine, alone, rtol=1e-11, atol=1e-12)
    options["lengths"] = LENGTHS
    from_padded = gradients(padded(PATHS), values, together)
    assert from_padded.shape == (7, 7, 3)
    for mine, alone, length in zip(from_padded, expected, LENGTHS, strict=True):
        np.testing.assert_allclose(mine[:length], alone, rtol=1e-11, atol=1e-12)
        assert not mine[length:].any()


def test_derivatives_that_do_not_fit_are_refused() -> None:
    paths = [np.ones((3, 2)), np.ones((2, 2))]
    for derivs, message in (
        ([np.ones((3, 6))], r"sig_derivs must hold an array for each of 2 paths, got 1"),
        ([np.ones((3, 6)), np.ones((2, 6)), np.ones((2, 6))], r"sig_derivs must hold .* for each of 2 paths, got 3"),
        ([np.ones((4, 6)), np.ones((2, 6))], r"sig_derivs\[0\] must have 3 rows, as the result for path 0, got 4"),
        ([np.ones((3, 6)), 1.0], r"sig_derivs\[1\] must have 2 rows, as the result for path 1, got 0"),
        (1.0, r"sig_derivs must hold an array for each of 2 paths, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            siglib.sig_prefixes_backprop(paths, derivs, 2)
        with pytest.raises(ValueError, match=message):
            siglib.sig_windows_backprop(paths, derivs, 2, 1)
    with pytest.raises(ValueError, match=r"sig_derivs\[0\] must have 3 rows, as the result for path 0, got 4"):
        siglib.sig_prefixes_backprop(np.ones((2, 3, 2)), np.ones((2, 4, 6)), 2, lengths=[3, 2])
    for n in (1, 3):
        with pytest.raises(ValueError, match=f"log_sig_derivs must hold a row for each of 2 paths, got {n}"):
            siglib.log_sig_backprop(paths, np.ones((n, 3)), 2)


def test_derivatives_in_lists_of_numbers() -> None:
    derivs = RNG.standard_normal((2, 3))
    paths = [RNG.standard_normal((n, 2)).astype(np.float32) for n in (4, 3)]
    for mine, same in zip(
        *[siglib.log_sig_backprop(paths, d, 2) for d in (derivs.tolist(), derivs.astype("f4"))], strict=True
    ):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine, same)
    square = derivs[:, :2]
    found = [
        siglib.sig_kernel_gram_backprop(d, paths, paths, dyadic_order=0) for d in (square.tolist(), square.astype("f4"))
    ]
    for mine, same in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_array_equal(mine, same)


@pytest.mark.parametrize("gram", [False, True])
def test_public_gradients_of_kernels(gram: bool) -> None:
    name = "sig_kernel_gram_backprop" if gram else "sig_kernel_backprop"
    derivs = RNG.standard_normal((7, 7) if gram else 7)
    options = {"dyadic_order": 1, "right_deriv": True, "time_aug": True}
    found = getattr(siglib, name)(derivs, PATHS, OTHERS, **options)
    for side in (0, 1):
        for i, mine in enumerate(found[side]):
            pairs = [(i, j) if side == 0 else (j, i) for j in range(7)] if gram else [(i, i)]
            expected = sum(
                siglib.sig_kernel_backprop(derivs[a, b] if gram else derivs[i], PATHS[a], OTHERS[b], **options)[side]
                for a, b in pairs
            )
            np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-11)
    lengths = {"lengths1": LENGTHS, "lengths2": LENGTHS[::-1]}
    from_padded = getattr(siglib, name)(derivs, padded(PATHS), padded(OTHERS), **lengths, **options)
    for side, same in zip(from_padded, found, strict=True):
        for mine, alone in zip(side, same, strict=True):
            np.testing.assert_array_equal(mine[: len(alone)], alone)
            assert not mine[len(alone) :].any()


# What may hold them


def test_objects_and_tuples() -> None:
    expected = siglib.sig(PATHS, 2)
    array = np.empty(len(PATHS), object)
    array[:] = PATHS
    for given_paths in (array, tuple(PATHS), [path.tolist() for path in PATHS]):
        np.testing.assert_array_equal(siglib.sig(given_paths, 2), expected)
    single = siglib.sig([path.astype(np.float32) for path in PATHS], 2)
    assert single.dtype == np.float32
    half = siglib.sig([path.astype(np.float16) for path in PATHS], 2)
    assert half.dtype == np.float16
    assert siglib.sig(siglib.RaggedPaths(np.zeros((0, 4, 3)), []), 2).shape == (0, 12)


@pytest.mark.parametrize(
    ("paths", "error", "message"),
    [
        ([np.zeros((2, 3)), np.zeros((3, 2))], ValueError, "same number of channels"),
        (
            [np.zeros((2, 3)), np.zeros((3, 3), np.float32)],
            TypeError,
            r"share a dtype, got path\[0\]: float64, path\[1\]",
        ),
        ([np.zeros(2), np.zeros(3)], ValueError, "its rows have lengths 2, 3"),
        ([np.zeros((1, 2, 3)), np.zeros((1, 3, 3))], ValueError, r"path\[0\] must have shape \(length, dimension\)"),
        ([np.zeros((2, 3)), np.zeros((3, 3), complex)], TypeError, r"path\[1\] must be an array of real numbers"),
    ],
)
def test_refused_lists(paths: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.sig(paths, 2)


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([3, 2], ValueError, r"lengths must have shape \(7,\), one for each path, got \(2,\)"),
        ([8, 1, 1, 1, 1, 1, 1], ValueError, "lengths must be from 0 to 7, got 1 to 8"),
        ([-1, 1, 1, 1, 1, 1, 1], ValueError, "lengths must be from 0 to 7, got -1 to 1"),
        ([1.5] * 7, TypeError, "lengths must be integers, got dtype float64"),
    ],
)
def test_refused_lengths(lengths: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        siglib.RaggedPaths(padded(PATHS), lengths)
    with pytest.raises(ValueError, match=r"must have shape \(n, length, dimension\)"):
        siglib.RaggedPaths(PATHS[0], [1])


def test_refused_calls() -> None:
    with pytest.raises(ValueError, match=r"lengths2 must have shape \(7,\), one for each path, got \(2,\)"):
        siglib.sig_kernel(PATHS, padded(OTHERS), dyadic_order=0, lengths2=[1, 2])
    with pytest.raises(ValueError, match=r"y must have shape \(n, length, dimension\) beside lengths2, got \(7, 3\)"):
        siglib.sig_score(PATHS, padded(OTHERS)[0], dyadic_order=0, lengths2=[1])
    with pytest.raises(ValueError, match="path holds paths of lengths 4, 1, 6"):
        siglib.sig(PATHS, 2, lengths=LENGTHS)
    with pytest.raises(ValueError, match="return_grid does not go together with paths of unequal lengths"):
        siglib.sig_kernel(PATHS, OTHERS, dyadic_order=0, return_grid=True)
    with pytest.raises(ValueError, match="must hold as many paths, got 7 and 6"):
        siglib.sig_kernel(PATHS, OTHERS[1:], dyadic_order=0)
    with pytest.raises(ValueError, match=r"path2 must have shape \(n, length, dimension\) beside"):
        siglib.sig_kernel_gram(PATHS, OTHERS[0], dyadic_order=0)
    with pytest.raises(ValueError, match=r"correction must have shape \(C,\), or be one array .* for each of 7 paths"):
        siglib.sig(PATHS, 2, correction=np.zeros((3, 9)))
    with pytest.raises(ValueError, match="path holds paths of lengths 4, 1, 6"):
        siglib.branched_sig_coef(PATHS, ((0,), 1), correction=[0.5] * 9)
    with pytest.raises(ValueError, match="lengths 4, 1, 6, 2, 4, 5"):
        siglib.SigStream(3, 2).push(PATHS)


def test_corrections_of_each_path() -> None:
    paths = [path for path in PATHS if len(path) > 1]
    corrections = [RNG.standard_normal((len(path) - 1, 9)) for path in paths]
    expected = [siglib.sig(path, 2, correction=c) for path, c in zip(paths, corrections, strict=True)]
    np.testing.assert_allclose(siglib.sig(paths, 2, correction=corrections), expected, rtol=1e-12)
    # A path without points has no segments, as one of a single point.
    more = [*paths, np.empty((0, 3)), np.ones((1, 3))]
    found = siglib.sig(more, 2, correction=[*corrections, np.empty((0, 9)), np.empty((0, 9))])
    np.testing.assert_allclose(found, [*expected, np.zeros(12), np.zeros(12)], rtol=1e-12)


# CuPy


@pytest.mark.parametrize("options", [{}, {"time_aug": True, "lead_lag": True}], ids=str)
@pytest.mark.parametrize("name", ["sig", "log_sig", "branched_sig", "sig_coef", "sig_prefixes", "sig_kernel_gram"])
def test_arrays_on_a_gpu(gpu: Gpu, name: str, options: dict[str, Any]) -> None:
    def call(paths: Any) -> Any:
        if name == "sig_kernel_gram":
            return siglib.sig_kernel_gram(paths, paths, dyadic_order=0, **options)
        return getattr(siglib, name)(paths, [(0, 1), (2,)] if name == "sig_coef" else 2, **options)

    for mine, expected in zip(call([gpu.array(path) for path in PATHS]), call(PATHS), strict=True):
        assert type(mine) is gpu.cupy.ndarray
        np.testing.assert_allclose(gpu.numpy(mine), expected, rtol=1e-11, atol=1e-12)
    if name == "sig":
        derivs = RNG.standard_normal((7, len(expected)))
        paths = gpu.array(padded(PATHS))
        gradient = siglib.sig_backprop(
            paths, call([*map(gpu.array, PATHS)]), gpu.array(derivs), 2, lengths=LENGTHS, **options
        )
        of_numpy = siglib.sig_backprop(padded(PATHS), call(PATHS), derivs, 2, lengths=LENGTHS, **options)
        np.testing.assert_allclose(gpu.numpy(gradient), of_numpy, rtol=1e-11, atol=1e-12)


# PyTorch


@pytest.fixture
def torch() -> Any:
    return optional("torch")


@pytest.mark.parametrize("options", [{}, {"time_aug": True, "lead_lag": True}], ids=str)
@pytest.mark.parametrize("name", ["sig", "log_sig", "branched_sig", "sig_coef", "sig_prefixes", "sig_kernel_gram"])
def test_gradients_of_tensors(torch: Any, name: str, options: dict[str, Any]) -> None:
    def call(paths: Any, others: Any) -> Any:
        if name == "sig_kernel_gram":
            return siglib.sig_kernel_gram(paths, others, dyadic_order=0, **options)
        return getattr(siglib, name)(paths, [(0, 1), (2,)] if name == "sig_coef" else 2, **options)

    def loss(results: Any) -> Any:
        return sum((result**2).sum() for result in results)

    ours = [torch.tensor(path, requires_grad=True) for path in PATHS]
    loss(call(ours, [torch.tensor(path) for path in OTHERS])).backward()
    alone = [torch.tensor(path, requires_grad=True) for path in PATHS]
    for path in alone:
        others = [torch.tensor(other[None]) for other in OTHERS]
        if name == "sig_kernel_gram":
            loss([call(path[None], other) for other in others]).backward()
        else:
            loss([call(path, others)]).backward()
    for mine, expected in zip(ours, alone, strict=True):
        torch.testing.assert_close(mine.grad, expected.grad, rtol=1e-10, atol=1e-11)


def test_gradients_come_back_in_kind(torch: Any) -> None:
    tensors = [torch.tensor(path) for path in PATHS]
    expected = siglib.sig(PATHS, 2)

    packed = torch.nn.utils.rnn.pack_sequence(tensors, enforce_sorted=False)
    data = packed.data.requires_grad_()
    out = siglib.sig(packed, 2)
    np.testing.assert_array_equal(out.detach(), expected)
    out[:, 0].sum().backward()
    assert data.grad.shape == data.shape
    # Level 1 of channel 0: the last points minus the first.
    assert data.grad[:, 0].abs().sum() == 2 * sum(length > 1 for length in LENGTHS)

    for layout in (torch.strided, torch.jagged):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls them a prototype
            nested = torch.nested.nested_tensor(tensors, layout=layout, requires_grad=True)
        out = siglib.sig(nested, 2)
        np.testing.assert_array_equal(out.detach(), expected)
        out[:, 0].sum().backward()
        assert nested.grad.is_nested
        for gradient, length in zip(nested.grad.unbind(), LENGTHS, strict=True):
            assert gradient.shape == (length, 3)
            assert gradient[0, 0] == (-1 if length > 1 else 0)

    tensor = torch.tensor(padded(PATHS), requires_grad=True)
    siglib.sig(siglib.RaggedPaths(tensor, torch.tensor(LENGTHS)), 2)[:, 0].sum().backward()
    for gradient, length in zip(tensor.grad, LENGTHS, strict=True):
        assert not gradient[length:].any()
        assert gradient[length - 1, 0] == (1 if length > 1 else 0)


def test_tensors_of_one_length_in_a_list(torch: Any) -> None:
    tensors = [torch.tensor(path[:2]) for path in PATHS if len(path) > 1]
    torch.testing.assert_close(siglib.sig(tensors, 2), siglib.sig(torch.stack(tensors), 2))


def test_the_compiler_says_what_to_do(torch: Any) -> None:
    tensors = [torch.tensor(path) for path in PATHS]
    compiled = torch.compile(lambda paths: siglib.sig(paths, 2), backend="eager", fullgraph=True)
    with pytest.raises((TypeError, torch._dynamo.exc.TorchDynamoException), match="unequal lengths"):
        compiled(tensors)


KERNELS = [
    siglib.LinearKernel(), siglib.RBFKernel(0.8), siglib.PolynomialKernel(3, 0.5), siglib.Matern32Kernel(1.2)
]  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
@pytest.mark.parametrize("dyadic_order", [0, (1, 2), 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_repeats_of_last_points_are_left_out(kernel: Any, dyadic_order: Any, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 40, 37)
    paths = [rng.standard_normal((length, 2)).cumsum(0).astype(dtype) / 8 for length in lengths]
    padded = np.stack([path[np.minimum(np.arange(40), len(path) - 1)] for path in paths])
    options = {"static_kernel": kernel, "dyadic_order": dyadic_order}
    # Sixteen copies of a pair fill the lanes, and have no padding.
    expected = np.array(
        [[siglib.sig_kernel(np.stack([x] * 16), np.stack([y] * 16), **options)[0] for y in paths] for x in paths[:9]]
    )
    for n_jobs in (1, 2):
        assert_same_bits(siglib.sig_kernel_gram(padded[:9], padded, n_jobs=n_jobs, **options), expected)
        if isinstance(dyadic_order, int):
            assert_same_bits(siglib.sig_kernel_gram(padded, padded, n_jobs=n_jobs, **options)[:9, 9:], expected[:, 9:])
    assert_same_bits(siglib.sig_kernel(padded[:9], padded[9:18], **options), np.diag(expected[:, 9:18]).copy())


def test_repeats_of_last_points_have_gradients_of_their_own() -> None:
    x, y = RNG.standard_normal((2, 5, 4, 2))
    x, y = (np.concatenate([path, path[:, -1:], path[:, -1:]], 1) for path in (x, y))
    direction, derivs = RNG.standard_normal(x.shape), RNG.standard_normal((5, 5))
    left, _ = siglib.sig_kernel_gram_backprop(derivs, x, y, dyadic_order=1)
    step = 1e-5
    high, low = (siglib.sig_kernel_gram(x + h * direction, y, dyadic_order=1) for h in (step, -step))
    assert np.sum(left * direction) == pytest.approx(np.sum(derivs * (high - low)) / (2 * step), rel=1e-8)
    assert np.abs(left[:, -1]).min() > 1e-6


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: type(kernel).__name__)
@pytest.mark.parametrize("same", [False, True])
def test_gradients_of_many_lengths(kernel: Any, same: bool) -> None:
    rng = np.random.default_rng(4)
    paths, others = (
        [rng.standard_normal((length, 2)).cumsum(0) / 8 for length in rng.integers(1, 30, n)] for n in (21, 19)
    )
    others = paths if same else others
    derivs = rng.standard_normal((len(paths), len(others)))
    options = {"static_kernel": kernel, "dyadic_order": 1, "left_deriv": True, "right_deriv": True}
    left, right = siglib.sig_kernel_gram_backprop(derivs, paths, others, **options)
    for i, path in enumerate(paths):
        alone = sum(siglib.sig_kernel_backprop(derivs[i, j], path, y, **options)[0] for j, y in enumerate(others))
        assert left[i] == pytest.approx(alone, rel=1e-10, abs=1e-12)
    for j, path in enumerate(others):
        alone = sum(siglib.sig_kernel_backprop(derivs[i, j], x, path, **options)[1] for i, x in enumerate(paths))
        assert right[j] == pytest.approx(alone, rel=1e-10, abs=1e-12)


def test_infinity_at_the_end_is_no_padding() -> None:
    path = np.array([[0.0], [1.0], [np.inf], [np.inf], [np.inf]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(siglib.sig_kernel_gram(path[None], np.ones((3, 5, 1)).cumsum(1), dyadic_order=0)).all()


def test_equal_lists_have_a_symmetric_gram_matrix() -> None:
    copies = [path.copy() for path in PATHS]
    for others in (list(PATHS), copies):
        gram = siglib.sig_kernel_gram(PATHS, others, dyadic_order=0)
        assert_same_bits(gram, gram.T)
    # Each side has a gradient of its own all the same.
    derivs = RNG.standard_normal((7, 7))
    both = siglib.sig_kernel_gram_backprop(derivs, PATHS, copies, dyadic_order=0, left_deriv=True, right_deriv=True)
    back = siglib.sig_kernel_gram_backprop(derivs.T, PATHS, copies, dyadic_order=0, left_deriv=True, right_deriv=True)
    for mine, theirs in zip(both[0], back[1], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{}, {"time_aug": True}, {"lead_lag": True, "scalar_term": True}])
def test_second_derivatives(options: dict[str, Any]) -> None:
    torch = optional("torch")
    # Paths that are far apart, and small beside that.
    leaves = [
        (torch.from_numpy(RNG.standard_normal((length, 2))) + 100.0 * length).requires_grad_() for length in (4, 1, 6)
    ]
    assert torch.autograd.gradgradcheck(lambda *paths: siglib.sig(list(paths), 3, **options), leaves, fast_mode=True)

    def curvature(sig: Any) -> Any:
        (gradient,) = torch.autograd.grad(sig.square().sum(), leaves[0], create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), leaves[0])[0]

    alone = curvature(siglib.sig(leaves[0], 3, **options))
    torch.testing.assert_close(curvature(siglib.sig(leaves, 3, **options)), alone, rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("name", ["sig", "log_sig", "branched_sig"])
def test_mapped_axes_of_torch(name: str) -> None:
    torch = optional("torch")
    paths, lengths = torch.from_numpy(0.5 * RNG.standard_normal((4, 5, 2))), [5, 0, 1, 3]

    def score(x: Any) -> Any:
        return getattr(siglib, name)(x, 3, lengths=lengths, time_aug=True).square().sum()

    expected = torch.autograd.functional.hessian(score, paths)
    assert bool((expected != 0).any())
    for hessian in (torch.func.hessian, lambda f: torch.func.jacrev(torch.func.jacrev(f))):
        torch.testing.assert_close(hessian(score)(paths), expected, rtol=1e-10, atol=1e-10)
    stack = torch.stack([paths, 2 * paths, paths.flip(1)], 1)
    mapped = torch.func.vmap(torch.func.grad(score), in_dims=1)(stack)
    for i in range(3):
        torch.testing.assert_close(mapped[i], torch.func.grad(score)(stack[:, i]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shared", [False, True])
def test_second_derivatives_of_corrected_signatures(shared: bool) -> None:
    torch = optional("torch")
    points, terms = (torch.from_numpy(RNG.standard_normal(shape)).requires_grad_() for shape in ((4, 4, 2), (4, 3, 4)))

    def sig(x: Any, c: Any) -> Any:
        paths = [path[:n] for path, n in zip(x, (4, 0, 1, 3), strict=True)]
        rows = [row[:n] for row, n in zip(c, (3, 0, 0, 2), strict=True)]
        return siglib.sig(paths, 3, correction=c[0, 0] if shared else rows)

    assert torch.autograd.gradgradcheck(sig, [points, terms], fast_mode=True)


def test_derivatives_along_directions() -> None:
    moves, more = ([RNG.standard_normal(path.shape) for path in paths] for paths in (PATHS, OTHERS))
    for function, numbers in ((siglib.sig_jvp, (3,)), (siglib.log_sig_jvp, (3,)), (siglib.sig_coef_jvp, ([(0, 1)],))):
        alone = [function(path, move, *numbers, time_aug=True) for path, move in zip(PATHS, moves, strict=True)]
        np.testing.assert_allclose(function(PATHS, moves, *numbers, time_aug=True), alone, rtol=1e-11, atol=1e-13)
    rows = siglib.sig_jvp(PATHS, moves, 2, stream=True)
    for row, path, move in zip(rows, PATHS, moves, strict=True):
        np.testing.assert_allclose(row, siglib.sig_jvp(path, move, 2, stream=True), rtol=1e-11, atol=1e-13)
    alone = [
        [siglib.sig_kernel_jvp(x, y, u, None, dyadic_order=1) for y in OTHERS]
        for x, u in zip(PATHS, moves, strict=True)
    ]
    found = siglib.sig_kernel_gram_jvp(PATHS, OTHERS, moves, None, dyadic_order=1)
    np.testing.assert_allclose(found, alone, rtol=1e-8, atol=1e-8)
    both = [siglib.sig_kernel_jvp(*pair, dyadic_order=1) for pair in zip(PATHS, OTHERS, moves, more, strict=True)]
    np.testing.assert_allclose(
        siglib.sig_kernel_jvp(PATHS, OTHERS, moves, more, dyadic_order=1), both, rtol=1e-8, atol=1e-8
    )
    # Padded ones give rows that are padded, as without directions; and there may be none.
    lengths = [len(path) for path in PATHS]
    both_padded = [siglib.RaggedPaths(padded(some), lengths) for some in (PATHS, moves)]
    together = siglib.sig_jvp(*both_padded, 2, stream=True)
    assert together.shape == siglib.sig(both_padded[0], 2, stream=True).shape
    for place, row, length in zip(together, rows, lengths, strict=True):
        np.testing.assert_array_equal(place[:length], row)
        assert not place[length:].any()
    nothing = siglib.RaggedPaths(np.empty((0, 6, 3)), [])
    assert siglib.sig_jvp(nothing, nothing, 2).shape == (0, 12)
    assert siglib.sig_jvp(nothing, nothing, 2, stream=True).shape == (0, 6, 12)
    assert siglib.sig_kernel_jvp(nothing, nothing, nothing, dyadic_order=0).shape == (0,)
    assert siglib.sig_kernel_gram_jvp(nothing, PATHS, None, moves, dyadic_order=0).shape == (0, len(PATHS))
    with pytest.raises(ValueError, match="direction must have the lengths of path"):
        siglib.sig_jvp(PATHS, moves[::-1], 2)
    with pytest.raises(ValueError, match="corrected signatures take paths of one length"):
        siglib.sig_jvp(PATHS, moves, 2, correction=np.ones((7, 9)))


def test_gradients_of_corrected_signatures() -> None:
    paths = [path for path in PATHS if len(path) > 1]
    corrections = [RNG.standard_normal((len(path) - 1, 9)) for path in paths]
    derivs = RNG.standard_normal((len(paths), 39))
    both = {"correction_deriv": True, "time_aug": False}

    def alone(i: int, correction: Any) -> Any:
        sig = siglib.sig(paths[i], 3, correction=correction)
        return siglib.sig_backprop(paths[i], sig, derivs[i], 3, correction=correction, **both)

    expected = [alone(i, corrections[i]) for i in range(len(paths))]
    sig = siglib.sig(paths, 3, correction=corrections)
    found = siglib.sig_backprop(paths, sig, derivs, 3, correction=corrections, **both)
    for i, (of_path, of_correction) in enumerate(expected):
        np.testing.assert_allclose(found[0][i], of_path, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found[1][i], of_correction, rtol=1e-12, atol=1e-14)
    lengths = [len(path) for path in paths]
    wide = np.stack([np.concatenate([c, np.full((6 - len(c), 9), np.nan)]) for c in corrections])
    in_one = siglib.sig_backprop(padded(paths), sig, derivs, 3, correction=wide, lengths=lengths, **both)
    for i, (of_path, of_correction) in enumerate(expected):
        np.testing.assert_allclose(in_one[0][i, : lengths[i]], of_path, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(in_one[1][i, : lengths[i] - 1], of_correction, rtol=1e-12, atol=1e-14)
        assert not in_one[0][i, lengths[i] :].any() and not in_one[1][i, lengths[i] - 1 :].any()
    shared = corrections[0][0]
    sig = siglib.sig(paths, 3, correction=shared)
    found = siglib.sig_backprop(paths, sig, derivs, 3, correction=shared, **both)[1]
    np.testing.assert_allclose(found, sum(alone(i, shared)[1] for i in range(len(paths))), rtol=1e-12)
