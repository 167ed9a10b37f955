"""Arrays of JAX: the values of NumPy, to the bit, and every derivative and transform."""

import itertools
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import assert_same_bits, optional
from operations import DIFFERENTIABLE, Differentiable

import siglib
from siglib._call.operation import OPERATIONS

jax = optional("jax")
jnp = jax.numpy

TESTS = itertools.count(1)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """float64 is there, as it is for those who ask JAX for it."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)
    # What was compiled for one test is of little use to the next, and takes much memory.
    if next(TESTS) % 16 == 0:
        jax.clear_caches()


def numbers_for(operation: Differentiable, dtype: Any = np.float64, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(0.7 * rng.standard_normal(shape)).astype(dtype) for shape in operation.shapes]


def function_of(operation: Differentiable) -> Any:
    """The operation as JAX wants functions: it keeps a weak reference."""
    return lambda *arrays: operation(*arrays)


def loss_of(operation: Differentiable) -> Any:
    """A function that is not linear in the result, whose gradient is `2 * result` there."""
    return lambda *arrays: (operation(*arrays) ** 2).sum()


def gradients_of_numpy(operation: Differentiable, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The gradient of `loss_of` by finite differences of the NumPy function."""
    found = []
    for k, array in enumerate(arrays):
        gradient = np.empty_like(array)
        for index in np.ndindex(array.shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = [a.copy() for a in arrays]
                moved[k][index] += step
                values.append((operation(*moved) ** 2).sum())
            gradient[index] = (values[0] - values[1]) / 2e-5
        found.append(gradient)
    return found


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_are_those_of_numpy(operation: Differentiable, dtype: Any) -> None:
    arrays = numbers_for(operation, dtype)
    expected = operation(*arrays)
    for call in (operation, jax.jit(function_of(operation))):
        found = call(*map(jnp.asarray, arrays))
        assert isinstance(found, jax.Array)
        assert_same_bits(np.asarray(found), expected)


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
def test_gradients(operation: Differentiable) -> None:
    arrays = numbers_for(operation)
    where = tuple(range(len(arrays)))
    expected = gradients_of_numpy(operation, arrays)
    gradient = jax.grad(loss_of(operation), where)
    at_once = gradient(*map(jnp.asarray, arrays))
    for found in (at_once, jax.jit(gradient)(*map(jnp.asarray, arrays))):
        for mine, same, numeric in zip(found, at_once, expected, strict=True):
            assert_same_bits(np.asarray(mine), np.asarray(same))
            np.testing.assert_allclose(mine, numeric, rtol=1e-5, atol=1e-6 * (1 + np.abs(numeric).max(initial=0)))


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
def test_directions_agree_with_gradients(operation: Differentiable) -> None:
    """<v, J u> is the same from both sides."""
    arrays = [jnp.asarray(array) for array in numbers_for(operation)]
    directions = [jnp.asarray(array) for array in numbers_for(operation, seed=1)]
    out, pushed = jax.jvp(function_of(operation), arrays, directions)
    assert_same_bits(np.asarray(out), np.asarray(operation(*arrays)))
    derivs = jnp.asarray(np.random.default_rng(2).standard_normal(out.shape))
    pulled = jax.vjp(function_of(operation), *arrays)[1](derivs)
    expected = sum(float((g * u).sum()) for g, u in zip(pulled, directions, strict=True))
    scale = float(jnp.abs(pushed).max(initial=0)) * float(jnp.abs(derivs).sum()) + 1
    assert abs(float((pushed * derivs).sum()) - expected) <= 1e-9 * scale


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
def test_mapping_is_a_loop(operation: Differentiable) -> None:
    arrays = [np.stack([a, b, -a]) for a, b in zip(numbers_for(operation), numbers_for(operation, seed=1), strict=True)]
    alone = [operation(*(jnp.asarray(array[i]) for array in arrays)) for i in range(3)]
    given = [jnp.asarray(np.moveaxis(array, 0, -1)) for array in arrays]
    axes = (-1,) * len(arrays)
    together = jax.vmap(function_of(operation), axes)(*given)
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-11, atol=1e-12)
    gradient = jax.grad(loss_of(operation))
    found = jax.jit(jax.vmap(gradient, axes))(*given)
    for i in range(3):
        expected = gradient(*(jnp.asarray(array[i]) for array in arrays))
        np.testing.assert_allclose(found[i], expected, rtol=1e-9, atol=1e-10 * (1 + np.abs(expected).max()))
    first = jax.vmap(function_of(operation), (-1,) + (None,) * (len(arrays) - 1))(
        given[0], *(jnp.asarray(a[0]) for a in arrays[1:])
    )
    np.testing.assert_allclose(first[0], alone[0], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
def test_second_derivatives(operation: Differentiable) -> None:
    """All ways to a Hessian agree, and it is symmetric."""
    arrays = [jnp.asarray(array) for array in numbers_for(operation)]
    loss = loss_of(operation)
    hessian = jax.hessian(lambda first: loss(first, *arrays[1:]))(arrays[0])
    n = arrays[0].size
    matrix = np.asarray(hessian).reshape(n, n)
    scale = np.abs(matrix).max(initial=1.0)
    tolerance = 1e-6 if "kernel" in operation.name else 1e-10
    np.testing.assert_allclose(matrix, matrix.T, atol=tolerance * scale)
    direction = jnp.asarray(numbers_for(operation, seed=3)[0])
    gradient = jax.grad(loss)
    step = 1e-5
    difference = (
        gradient(arrays[0] + step * direction, *arrays[1:]) - gradient(arrays[0] - step * direction, *arrays[1:])
    ) / (2 * step)
    np.testing.assert_allclose(matrix @ np.asarray(direction).ravel(), difference.ravel(), rtol=1e-5, atol=1e-5 * scale)
    reverse = jax.grad(lambda first: (gradient(first, *arrays[1:]) * direction).sum())(arrays[0])
    np.testing.assert_allclose(reverse.ravel(), matrix @ np.asarray(direction).ravel(), atol=tolerance * scale)


def test_third_derivatives() -> None:
    path = jnp.asarray(np.random.default_rng(0).standard_normal((4, 2)))

    def last(path: Any) -> Any:
        return siglib.sig(path, 3)[-1]

    expected = jax.jacfwd(jax.hessian(last))(path)
    # The last word is that of channel 1 alone, D**3 / 6: its third derivatives are products of three signs.
    ends = np.zeros((4, 2))
    ends[0, 1], ends[3, 1] = -1, 1
    np.testing.assert_allclose(expected, np.multiply.outer(np.multiply.outer(ends, ends), ends), atol=1e-12)
    for way in (jax.jacrev(jax.jacrev(jax.jacrev(last))), jax.jacrev(jax.jacfwd(jax.jacrev(last)))):
        np.testing.assert_allclose(way(path), expected, atol=1e-12)


def test_a_training_step_falls() -> None:
    """Parameters in front of and behind a signature, in one compiled step."""
    rng = np.random.default_rng(0)
    paths = jnp.asarray(rng.standard_normal((16, 10, 2)).cumsum(1) * 0.3)
    target = paths[:, -1, 0] * paths[:, -1, 1]
    parameters = {"in": jnp.eye(2), "out": jnp.zeros(siglib.log_sig_length(2, 3))}

    def loss(parameters: Any) -> Any:
        return ((siglib.log_sig(paths @ parameters["in"], 3) @ parameters["out"] - target) ** 2).mean()

    @jax.jit
    def step(parameters: Any) -> Any:
        return jax.tree.map(lambda p, g: p - 0.05 * g, parameters, jax.grad(loss)(parameters))

    losses = []
    for _ in range(30):
        losses.append(float(loss(parameters)))
        parameters = step(parameters)
    assert all(later < earlier for earlier, later in zip(losses, losses[1:], strict=False))


# What goes in


def test_dtypes() -> None:
    path = np.random.default_rng(0).standard_normal((5, 2))
    for name in ("float16", "bfloat16", "float32", "float64"):
        assert siglib.sig(jnp.asarray(path, name), 2).dtype == name
    assert siglib.sig(jnp.arange(10).reshape(5, 2), 2).dtype == np.float64
    # Lists and arrays of NumPy adapt to arrays of JAX.
    single = jnp.asarray(siglib.sig(path.astype(np.float32), 2))
    assert siglib.sig_combine(single, np.asarray(single, np.float64), 2, 2).dtype == np.float32


def test_no_float64() -> None:
    jax.config.update("jax_enable_x64", False)
    path = np.random.default_rng(0).standard_normal((2, 5, 2)).astype(np.float32)
    for call in (lambda p: siglib.log_sig(p, 7, method=3), lambda p: siglib.sig_windows(p, 2, 3)):
        assert_same_bits(np.asarray(jax.jit(call)(jnp.asarray(path))), call(path))
    # Windows of logarithms are made of several operations: in between, there is no float64.
    windows = siglib.log_sig_windows(jnp.asarray(path), 3, 3, method=3)
    np.testing.assert_allclose(windows, siglib.log_sig_windows(path, 3, 3, method=3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.sig(jnp.zeros((3, 2), complex), 2), TypeError, "path must be an array of real numbers"),
        (
            lambda: siglib.sig(jnp.zeros(3), 2),
            ValueError,
            r"path must have shape \(..., length, dimension\), got \(3,\)",
        ),
        (
            lambda: siglib.sig_combine(jnp.zeros(6), jnp.zeros(6, np.float32), 2, 2),
            TypeError,
            "share a dtype, got sig1: float64, sig2: float32",
        ),
        (lambda: siglib.sig_combine(jnp.zeros((2, 6)), jnp.zeros((3, 6)), 2, 2), ValueError, "batch"),
        (lambda: jax.jit(siglib.sig)(jnp.zeros((3, 2)), 2), TypeError, "degree must be an integer"),
        (lambda: siglib.SigStream(2, 2).push(jnp.zeros(2)), TypeError, r"array of JAX.*numpy.asarray\(point\)"),
        (lambda: jax.jit(siglib.SigStream(2, 2).push)(jnp.zeros(2)), TypeError, "array of JAX"),
        (lambda: siglib.sig_backprop(*[jnp.zeros((3, 2))] * 3, 2), TypeError, "array of JAX"),
    ],
)
def test_what_is_refused(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_other_libraries_are_refused() -> None:
    torch = optional("torch")
    with pytest.raises(TypeError, match="JAX|one library"):
        siglib.sig_combine(jnp.zeros(6), torch.zeros(6), 2, 2)


# Static kernels


def gaussian(sigma: Any) -> Any:
    def kernel(x: Any, y: Any) -> Any:
        k = jnp.exp(-((x[:, :, None] - y[:, None]) ** 2).sum(-1) / sigma)
        return k[:, 1:, 1:] - k[:, :-1, 1:] - k[:, 1:, :-1] + k[:, :-1, :-1]

    return kernel


@pytest.mark.parametrize(
    "options",
    [{}, {"normalize": True}, {"log": True}, {"return_grid": True}, {"time_aug": True, "lead_lag": True}],
    ids=str,
)
@pytest.mark.parametrize("name", ["sig_kernel", "sig_kernel_gram", "branched_sig_kernel", "branched_sig_kernel_gram"])
def test_functions_are_static_kernels(name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(0.5 * rng.standard_normal((3, length, 2))) for length in (5, 4))
    numbers = (2,) if "branched" in name else ()

    def call(x: Any, y: Any, kernel: Any) -> Any:
        return getattr(siglib, name)(x, y, *numbers, dyadic_order=1, static_kernel=kernel, **options)

    expected, kernel = call(x, y, siglib.RBFKernel(1.5)), gaussian(1.5)
    np.testing.assert_allclose(call(x, y, kernel), expected, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(lambda x, y: call(x, y, kernel))(x, y), expected, rtol=1e-12)
    found, same = (jax.grad(lambda x, k=k: call(x, y, k).sum())(x) for k in (kernel, siglib.RBFKernel(1.5)))
    np.testing.assert_allclose(found, same, rtol=1e-9, atol=1e-11)
    total = lambda sigma: call(x, y, gaussian(sigma)).sum()  # noqa: E731
    np.testing.assert_allclose(jax.grad(total)(1.5), (total(1.5 + 1e-5) - total(1.5 - 1e-5)) / 2e-5, rtol=1e-6)


def test_functions_that_are_refused() -> None:
    path = np.zeros((2, 3, 2))
    with pytest.raises(TypeError, match="static_kernel must be a siglib.StaticKernel, got .* are for arrays of JAX"):
        siglib.sig_kernel(path, path, dyadic_order=0, static_kernel=gaussian(1.0))
    with pytest.raises(ValueError, match=r"static_kernel must return an array of shape \(2, 2, 2\), got \(2, 3, 3\)"):
        siglib.sig_kernel(jnp.asarray(path), jnp.asarray(path), dyadic_order=0, static_kernel=lambda x, y: x @ y.mT)


def test_paths_of_one_point_have_kernel_one() -> None:
    path = jnp.zeros((2, 1, 3))
    for other in (path, jnp.ones((2, 4, 3))):
        np.testing.assert_array_equal(siglib.sig_kernel(path, other, dyadic_order=0, static_kernel=gaussian(1.0)), 1.0)


def test_metrics() -> None:
    rng = np.random.default_rng(0)
    x, y = (0.5 * rng.standard_normal((n, 4, 2)) for n in (3, 4))
    for name in ("sig_mmd", "sig_score", "expected_sig_score"):
        call = lambda x, y, name=name: getattr(siglib, name)(x, y, dyadic_order=1)  # noqa: E731
        np.testing.assert_allclose(jax.jit(call)(jnp.asarray(x), jnp.asarray(y)), call(x, y), rtol=1e-12)


# The interface


def test_jax_api() -> None:
    import siglib.jax_api
    import siglib.torch_api

    assert {n for n in vars(siglib.torch_api) if not n.startswith("_")} == set(siglib.jax_api.__all__)
    path = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    found = siglib.jax_api.sig(path, 2)
    assert isinstance(found, jax.Array)
    np.testing.assert_array_equal(found, siglib.sig(path, 2))
    np.testing.assert_array_equal(
        siglib.jax_api.sig_combine(sig1=found, sig2=np.asarray(found), dimension=2, degree=2),
        siglib.sig_combine(found, found, 2, 2),
    )
    assert siglib.jax_api.sig_length(2, 2) == 6
    assert siglib.jax_api.sig.__doc__ == siglib.sig.__doc__


@pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
def test_jax_api_takes_lists(operation: Differentiable) -> None:
    import siglib.jax_api

    arrays = numbers_for(operation)
    function = getattr(siglib.jax_api, operation.name)
    found = function(*[array.tolist() for array in arrays], *operation.numbers, **operation.options)
    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found, operation(*arrays), rtol=1e-11, atol=1e-12)


def test_the_page_runs() -> None:
    page = (Path(__file__).parent.parent / "docs" / "jax.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    losses = []
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
        if "parameters" in names:
            losses.append(float(names["loss"](names["parameters"], names["paths"], names["targets"])))
            zero = jax.tree.map(jnp.zeros_like, names["parameters"])
            assert losses[-1] < 0.5 * float(names["loss"](zero, names["paths"], names["targets"]))
    assert names["hessian"].shape == (50, 3, 50, 3)
    assert losses


def test_siglib_does_not_import_jax() -> None:
    code = "import sys, siglib, numpy as np; siglib.sig(np.eye(2), 2); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_every_operation_is_tested() -> None:
    """All that are differentiable, but for those that public functions make of others."""
    called = {operation.name for operation in DIFFERENTIABLE}
    assert {"sig", "log_sig", "sig_kernel_gram", "branched_sig_kernel_gram"} <= called & OPERATIONS.keys()


@pytest.mark.parametrize("options", [{}, {"time_aug": True, "lead_lag": True}], ids=str)
@pytest.mark.parametrize("name", ["sig", "log_sig", "branched_sig", "sig_prefixes", "sig_kernel_gram"])
def test_paths_of_unequal_lengths(name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    paths = [0.5 * rng.standard_normal((length, 2)) for length in (4, 1, 6, 4)]

    def call(paths: Any) -> Any:
        if name == "sig_kernel_gram":
            return siglib.sig_kernel_gram(paths, paths, dyadic_order=0, **options)
        return getattr(siglib, name)(paths, 2, **options)

    def loss(paths: Any) -> Any:
        return sum((part**2).sum() for part in call(paths))

    ours = [jnp.asarray(path) for path in paths]
    for mine, expected in zip(call(ours), call(paths), strict=True):
        assert isinstance(mine, jax.Array)
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-13)
    gradients = jax.jit(jax.grad(loss))(ours)
    direction = [rng.standard_normal(path.shape) for path in paths]
    moved = [loss([p + step * u for p, u in zip(paths, direction, strict=True)]) for step in (1e-5, -1e-5)]
    slope = sum(float((g * u).sum()) for g, u in zip(gradients, direction, strict=True))
    np.testing.assert_allclose(slope, (moved[0] - moved[1]) / 2e-5, rtol=1e-6)
