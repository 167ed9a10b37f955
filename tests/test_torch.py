"""PyTorch: tensors in and out, gradients, torch.func, torch.compile."""

import itertools
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import TOLERANCE, assert_close, assert_same_bits, optional
from operations import DIFFERENTIABLE, Differentiable, kinds_of

import siglib
from siglib._call.operation import OPERATIONS as DECLARED

torch: Any = optional("torch")


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    torch.manual_seed(0)


# Parts of functions, and tested with them: windows and streams of branched signatures, paths of unequal lengths, series.
PARTS = {"branched_sig_of_sig", "branched_log_sig_of_log_sig", "ragged_sig", "fill_gaps", "extend_paths"}
operations = pytest.mark.parametrize("operation", DIFFERENTIABLE, ids=str)
# One of each function, for what does not depend on options.
FIRST = [next(group) for _, group in itertools.groupby(DIFFERENTIABLE, key=lambda operation: operation.name)]
each_function = pytest.mark.parametrize("operation", FIRST, ids=str)


def gradients_of(operation: Callable[..., Any], arrays: list[Any], seed: int = 1) -> list[Any]:
    """Gradients of the result's product with fixed random numbers."""
    arrays = [array.detach().clone().requires_grad_() for array in arrays]
    out = operation(*arrays)
    weights = torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(out.shape))).to(out.dtype)
    return list(torch.autograd.grad((out * weights).sum(), arrays))


def run_python(code: str) -> str:
    """Output of a program in a Python of its own, to see what first calls do."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_differentiable_function_is_tested() -> None:
    assert {operation.name for operation in DIFFERENTIABLE} == DECLARED.keys() - PARTS


# Values


@operations
@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "bfloat16"])
def test_values_are_those_of_numpy(operation: Differentiable, kind: str) -> None:
    tensors = operation.tensors(dtype=getattr(torch, kind))
    computed_in = torch.float64 if kind == "float64" else torch.float32
    expected = operation(*[tensor.to(computed_in).numpy() for tensor in tensors])
    for requires_grad in (False, True):
        out = operation(*[tensor.requires_grad_(requires_grad) for tensor in tensors])
        assert type(out) is torch.Tensor
        assert out.dtype is getattr(torch, kind)
        assert out.device.type == "cpu"
        assert out.requires_grad is requires_grad
        assert out.is_contiguous()
        assert torch.equal(out.detach(), torch.from_numpy(expected).to(out.dtype))


@operations
def test_no_graph_unless_asked_for(operation: Differentiable) -> None:
    tensors = operation.tensors(requires_grad=True)
    expected = operation(*tensors).detach()
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            out = operation(*tensors)
        assert not out.requires_grad
        assert torch.equal(out, expected)


@each_function
def test_memory_layouts(operation: Differentiable) -> None:
    """Transposed, strided, offset, expanded and negated views change neither values nor gradients."""
    tensors = operation.tensors()
    expected, expected_gradients = operation(*tensors), gradients_of(operation, tensors)
    views: dict[str, Callable[[Any], Any]] = {
        "transposed": lambda t: t.movedim(-1, 0).contiguous().movedim(0, -1),
        "strided": lambda t: torch.stack([t, t], dim=-1)[..., 0],
        "offset": lambda t: torch.cat([t.new_zeros(1), t.reshape(-1)])[1:].view(t.shape),
        "negated": lambda t: torch.complex(torch.zeros_like(t), -t).conj().imag,
    }
    for view in views.values():
        given = [view(tensor) for tensor in tensors]
        assert torch.equal(operation(*given), expected)
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        out = operation(*[view(leaf) for leaf in leaves])
        weights = torch.from_numpy(np.random.default_rng(1).standard_normal(tuple(out.shape)))
        for actual, wanted in zip(torch.autograd.grad((out * weights).sum(), leaves), expected_gradients, strict=True):
            assert torch.equal(actual, wanted)
    assert views["negated"](tensors[0]).is_neg()
    constant = [tensor[:1].expand_as(tensor) for tensor in tensors]
    assert torch.equal(operation(*constant), operation(*[tensor.contiguous() for tensor in constant]))


def test_unaligned_memory() -> None:
    memory = bytearray(8 * 6 + 1)
    path = torch.frombuffer(memory, dtype=torch.float64, offset=1, count=6).view(3, 2)
    path.copy_(torch.arange(6.0).view(3, 2) ** 2)
    assert torch.equal(siglib.sig(path, 2), siglib.sig(path.clone(), 2))


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64"])
def test_integers_become_the_default_dtype(kind: str) -> None:
    path = torch.tensor([[0, 1], [1, 0], [1, 1]]).to(getattr(torch, kind))
    assert siglib.sig(path, 1).dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        out = siglib.sig(path, 1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert out.dtype is torch.float64
    assert out.tolist() == [1.0, 0.0]
    ones = torch.ones(2, dtype=torch.float64)
    assert siglib.sig_combine(ones, torch.tensor([3, 4]), 2, 1).tolist() == [4.0, 5.0]
    assert siglib.sig_combine(torch.tensor([3, 4]), ones.requires_grad_(), 2, 1).dtype is torch.float64


def test_default_device_does_not_matter() -> None:
    path = torch.ones(3, 2, device="cpu")
    torch.set_default_device("meta")
    try:
        out = siglib.sig(path, 2)
    finally:
        torch.set_default_device(None)
    assert out.device.type == "cpu"
    assert out.tolist() == [0.0] * 6


def test_parameters_and_subclasses() -> None:
    class Subclass(torch.Tensor):
        pass

    path = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    out = siglib.sig(torch.nn.Parameter(path), 1)
    assert type(out) is torch.Tensor
    assert out.requires_grad
    out = siglib.sig(path.as_subclass(Subclass), 1)
    assert isinstance(out, torch.Tensor)
    assert out.tolist() == [1.0, 2.0]
    leaf = path.clone().as_subclass(Subclass).requires_grad_()
    siglib.sig(leaf, 1).sum().backward()
    assert leaf.grad.tolist() == [[-1.0, -1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: siglib.sig(torch.ones(3, 2).to_sparse(), 2), TypeError, "path must be a dense tensor, got layout torch.sparse_coo"),
        (lambda: siglib.sig(torch.ones(3, 2, dtype=torch.complex64), 2), TypeError, "path must be a tensor of real numbers.*complex64"),
        (lambda: siglib.sig(torch.ones(3, 2, device="meta"), 2), TypeError, "computes on the CPU and on CUDA devices, got path: torch.Tensor on meta"),
        (
            lambda: siglib.sig(torch.ones(3, 2, device="meta", requires_grad=True), 2),
            TypeError,
            "computes on the CPU and on CUDA devices, got path: torch.Tensor on meta",
        ),
        (
            lambda: siglib.sig_combine(torch.ones(2), torch.ones(2, device="meta"), 2, 1),
            TypeError,
            "must be on one device, got sig1: torch.Tensor on cpu, sig2: torch.Tensor on meta",
        ),
        (
            lambda: siglib.sig_combine(torch.ones(2), torch.ones(2).double(), 2, 1),
            TypeError,
            "must share a dtype, got sig1: torch.float32, sig2: torch.float64",
        ),
        (lambda: siglib.sig_combine(torch.ones(2), np.ones(2), 2, 1), TypeError, "one library, got sig1: torch.Tensor.*sig2: numpy.ndarray"),
        (lambda: siglib.sig_combine(np.ones(2), torch.ones(2), 2, 1), TypeError, "one library, got sig1: numpy.ndarray.*sig2: torch.Tensor"),
        (
            lambda: siglib.sig_combine(np.ones(2), torch.ones(2, requires_grad=True), 2, 1),
            TypeError,
            "one library, got sig1: numpy.ndarray.*sig2: torch.Tensor",
        ),
        (lambda: siglib.sig([torch.ones(2), torch.ones(2)], 2), ValueError, r"path\[0\] must have shape \(length, dimension\), got \(2,\)"),
        (lambda: siglib.sig(torch.ones(3), 2), ValueError, r"path must have shape \(\.\.\., length, dimension\), got \(3,\)"),
        (lambda: siglib.sig(torch.ones(3, 2).to(torch.float8_e5m2), 2), TypeError, "must be float16, bfloat16, float32 or float64"),
    ],
)  # fmt: skip
def test_refused_tensors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"degree": 2.5}, TypeError, "degree must be an integer, got 2.5"),
        ({"degree": -1}, ValueError, "degree must be at least 0, got -1"),
        ({"degree": 63}, ValueError, "has more than"),
        ({"time_aug": 1}, TypeError, "time_aug must be True or False, got 1"),
        ({"horner": None}, TypeError, "horner must be True or False, got None"),
        ({"end_time": "1"}, TypeError, "end_time must be a real number"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
        ({"correction": torch.ones(3)}, ValueError, "correction must have the words of levels 2 to m"),
    ],
)
def test_refused_options_are_the_same_with_gradients(options: dict, error: type[Exception], message: str) -> None:
    class Subclass(torch.Tensor):
        pass

    path = torch.zeros(3, 2)
    for given in (path, path.clone().requires_grad_(), path.as_subclass(Subclass)):
        with pytest.raises(error, match=message):
            siglib.sig(given, **{"degree": 2, **options})


def test_every_form_of_a_call() -> None:
    """With gradients, too, arguments come by position or by name, and wrong calls raise what Python raises."""
    path = torch.rand(3, 2, requires_grad=True)
    expected = siglib.sig(path, 2)
    for out in (
        siglib.sig(path, degree=2),
        siglib.sig(degree=2, path=path),
        siglib.sig(path, np.int64(2), time_aug=np.False_),
    ):
        assert torch.equal(out, expected)
        assert out.requires_grad
    for call in (
        lambda: siglib.sig(path),
        lambda: siglib.sig(path, 2, True),
        lambda: siglib.sig(path, 2, degree=2),
        lambda: siglib.sig(path, 2, no_such_option=1),
    ):
        with pytest.raises(TypeError, match="argument"):
            call()


def test_too_large_for_memory() -> None:
    for requires_grad in (False, True):
        with pytest.raises(MemoryError):
            siglib.sig(torch.zeros(3, 2, requires_grad=requires_grad), 50)


# First derivatives


@operations
def test_gradcheck(operation: Differentiable) -> None:
    assert torch.autograd.gradcheck(operation, operation.tensors(requires_grad=True), check_batched_grad=True)


@each_function
@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_gradients_in_lower_precision(operation: Differentiable, kind: str) -> None:
    tensors = operation.tensors(dtype=getattr(torch, kind))
    for actual, wanted in zip(
        gradients_of(operation, tensors), gradients_of(operation, [t.double() for t in tensors]), strict=True
    ):
        assert actual.dtype is getattr(torch, kind)
        assert_close(actual, wanted.numpy(), 4 * TOLERANCE[kind])


@each_function
def test_gradient_of_some_arrays(operation: Differentiable) -> None:
    """Each array gets the same gradient, whether or not the others require theirs."""
    tensors = operation.tensors()
    expected = gradients_of(operation, tensors)
    for i, wanted in enumerate(expected):

        def of_one(tensor: Any, i: int = i) -> Any:
            return operation(*tensors[:i], tensor, *tensors[i + 1 :])

        (actual,) = gradients_of(of_one, [tensors[i]])
        assert torch.equal(actual, wanted)


def test_one_tensor_in_two_places() -> None:
    x = torch.rand(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: siglib.sig_combine(x, x, 2, 2), x)


@each_function
def test_cotangents_are_left_alone(operation: Differentiable) -> None:
    """Expanded, strided and read-only cotangents work; a second backward pass gives the same gradient."""
    tensors = operation.tensors(requires_grad=True)
    out = operation(*tensors)
    plain = torch.autograd.grad(out, tensors, torch.ones_like(out), retain_graph=True)
    weights = torch.rand(*out.shape, 2, dtype=out.dtype)
    copy = weights.clone()
    strided = torch.autograd.grad(out, tensors, weights[..., 0], retain_graph=True)
    for _ in range(2):
        expanded = torch.autograd.grad(out, tensors, torch.ones((), dtype=out.dtype).expand_as(out), retain_graph=True)
        assert all(map(torch.equal, expanded, plain))
        again = torch.autograd.grad(out, tensors, weights[..., 0].contiguous(), retain_graph=True)
        assert all(map(torch.equal, again, strided))
    assert torch.equal(weights, copy)


@each_function
def test_empty_batches(operation: Differentiable) -> None:
    tensors = [torch.zeros(0, 2, *tensor.shape[1:], requires_grad=True) for tensor in operation.tensors()]
    out = operation(*tensors)
    assert out.shape[:2] == (0, 2)
    out.sum().backward()
    for tensor in tensors:
        assert tensor.grad.shape == tensor.shape


@pytest.mark.parametrize("length", [0, 1])
def test_constant_paths_have_zero_gradient(length: int) -> None:
    path = torch.ones(2, length, 3, requires_grad=True)
    siglib.sig(path, 2, time_aug=True).sum().backward()
    assert torch.equal(path.grad, torch.zeros(2, length, 3))


def test_changed_tensors_are_noticed() -> None:
    """Torch refuses to differentiate if the path or its signature was overwritten after the call."""
    for overwritten in ("path", "sig"):
        leaf = torch.rand(3, 2, requires_grad=True)
        path = leaf * 1
        sig = siglib.sig(path, 2)
        loss = (sig * torch.arange(6.0)).sum()
        (path if overwritten == "path" else sig).detach().zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@each_function
def test_tensors_that_have_left_a_transform(operation: Differentiable) -> None:
    """What a transform of torch.func calls its tensors can be used behind it, too, and leads to the same gradients."""
    tensors, kept = [tensor.requires_grad_() for tensor in operation.tensors()], []

    def keep(*inner: Any) -> Any:
        kept.extend(inner)
        return inner[0].sum()

    torch.func.grad(keep, argnums=tuple(range(len(tensors))))(*tensors)
    out, expected = operation(*kept), operation(*tensors)
    assert torch.equal(out, expected)
    found = torch.autograd.grad(out.sum(), tensors)
    assert all(map(torch.equal, found, torch.autograd.grad(expected.sum(), tensors)))


def test_results_may_be_overwritten_if_their_gradient_does_not_need_them() -> None:
    tensors = [torch.rand(6, requires_grad=True) for _ in range(2)]
    siglib.sig_combine(*tensors, 2, 2).mul_(2).sum().backward()
    expected = siglib.sig_combine_backprop(torch.full((6,), 2.0), *tensors, 2, 2)
    assert all(torch.equal(tensor.grad, wanted) for tensor, wanted in zip(tensors, expected, strict=True))


def test_backprop_functions_give_no_graph() -> None:
    path = torch.rand(3, 2, requires_grad=True)
    sig = siglib.sig(path, 2)
    derivs = torch.rand(6, requires_grad=True)
    (expected,) = torch.autograd.grad(sig, path, derivs)
    gradient = siglib.sig_backprop(path, sig, derivs, 2)
    assert not gradient.requires_grad
    assert torch.equal(gradient, expected)
    assert not any(g.requires_grad for g in siglib.sig_combine_backprop(derivs, sig, sig, 2, 2))
    assert not siglib.transform_path_backprop(path).requires_grad


def test_training_step() -> None:
    """Signature features in a module: the loss goes down."""
    torch.manual_seed(0)
    layer, head = torch.nn.Linear(3, 2), torch.nn.Linear(siglib.sig_length(2, 3), 1)
    paths, target = torch.randn(16, 10, 3), torch.randn(16, 1)
    optimiser = torch.optim.SGD([*layer.parameters(), *head.parameters()], lr=1e-3)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = ((head(siglib.sig(layer(paths), 3)) - target) ** 2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters() if parameter.ndim == 2)


# torch.func


@operations
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_vmap(operation: Differentiable, axis: int) -> None:
    batches = [operation.tensors(seed=seed) for seed in range(3)]
    stacked = [torch.stack(tensors, dim=axis) for tensors in zip(*batches, strict=True)]
    expected = torch.stack([operation(*tensors) for tensors in batches])
    assert_close(torch.func.vmap(operation, in_dims=axis)(*stacked), expected.numpy(), 1e-14)
    out_last = torch.func.vmap(operation, in_dims=axis, out_dims=-1)(*stacked)
    assert_close(out_last, expected.movedim(0, -1).numpy(), 1e-14)


def test_vmap_over_some_arrays() -> None:
    a, b = torch.rand(4, 6), torch.rand(6)
    expected = torch.stack([siglib.sig_combine(row, b, 2, 2) for row in a])
    assert torch.equal(torch.func.vmap(lambda x, y: siglib.sig_combine(x, y, 2, 2), in_dims=(0, None))(a, b), expected)
    expected = torch.stack([siglib.sig_combine(b, row, 2, 2) for row in a])
    assert torch.equal(torch.func.vmap(lambda x: siglib.sig_combine(b, x, 2, 2))(a), expected)


def test_vmap_sees_the_shape_of_one_element() -> None:
    """A batch of vectors is not one path, even though its shape is that of a path."""
    with pytest.raises(ValueError, match=r"path must have shape \(\.\.\., length, dimension\), got \(3,\)"):
        torch.func.vmap(lambda row: siglib.sig(row, 2))(torch.rand(5, 3))
    with pytest.raises(ValueError, match=r"same batch shape, got \(2,\) and \(\)"):
        torch.func.vmap(lambda x, y: siglib.sig_combine(x, y, 2, 1), in_dims=(None, 0))(
            torch.rand(2, 2), torch.rand(2, 2)
        )


@operations
def test_func_grad_and_jacrev(operation: Differentiable) -> None:
    tensors = operation.tensors()
    every = tuple(range(len(tensors)))

    def loss(*arrays: Any) -> Any:
        return (operation(*arrays) ** 2).sum()

    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    expected = torch.autograd.grad(loss(*leaves), leaves)
    assert all(map(torch.equal, torch.func.grad(loss, argnums=every)(*tensors), expected))
    assert all(map(torch.equal, torch.func.vjp(loss, *tensors)[1](torch.ones((), dtype=torch.float64)), expected))
    jacobians = torch.autograd.functional.jacobian(operation, tuple(tensors))
    for actual, wanted in zip(torch.func.jacrev(operation, argnums=every)(*tensors), jacobians, strict=True):
        assert_close(actual, wanted.numpy(), 1e-14)
    # Gradients per sample: vmap over grad.
    stacked = [torch.stack([tensor, 2 * tensor]) for tensor in tensors]
    per_sample = torch.func.vmap(torch.func.grad(loss, argnums=every))(*stacked)
    for actual, one, two in zip(
        per_sample, expected, torch.func.grad(loss, argnums=every)(*[2 * t for t in tensors]), strict=True
    ):
        assert_close(actual, torch.stack([one, two]).numpy(), 1e-13)


# torch.library, torch.compile


def calls_of_operators(operation: Differentiable, tensors: list[Any]) -> list[tuple[Any, list[Any], dict[str, Any]]]:
    """Those that the compiler would see in a call and its backward pass: operators with their arguments."""
    from torch.utils._python_dispatch import TorchDispatchMode

    calls = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if operator.namespace == "siglib":
                calls.append((operator, [*args], kwargs or {}))
            return operator(*args, **(kwargs or {}))

    with Watch():
        out = operation(*tensors)
        torch.autograd.grad(out, tensors, torch.rand_like(out))
    return calls


@operations
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_opcheck(operation: Differentiable, requires_grad: bool) -> None:
    """All checks that torch has for operators, for the one that the compiler sees, and for its gradient."""
    tensors = operation.tensors(requires_grad=True)
    (forward, args, options), (backward, saved, more) = calls_of_operators(operation, tensors)
    args[: len(tensors)] = operation.tensors(requires_grad=requires_grad)
    torch.library.opcheck(forward, args, options)
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(backward, saved, more, test_utils=tests)


@operations
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile(operation: Differentiable) -> None:
    """One graph without breaks, forward and backward, with the very same numbers."""
    torch._dynamo.reset()

    def program(*arrays: Any) -> Any:
        return operation(*[array * 2 for array in arrays]).sin()

    compiled = torch.compile(program, fullgraph=True, backend="aot_eager")
    tensors = operation.tensors()
    assert torch.equal(compiled(*tensors), program(*tensors))
    for actual, wanted in zip(gradients_of(compiled, tensors), gradients_of(program, tensors), strict=True):
        assert torch.equal(actual, wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_other_dtypes() -> None:
    """Half precision and integers, mixed ones too, are what they are without the compiler."""
    torch._dynamo.reset()
    compiled = torch.compile(siglib.sig_combine, fullgraph=True, backend="aot_eager")
    a, b = torch.rand(6), torch.rand(6)
    for x, y in ((a.half(), b.half()), (a.bfloat16(), b.bfloat16()), (a.int(), b.long()), (a.double(), b.long())):
        expected = siglib.sig_combine(x, y, 2, degree=2)
        out = compiled(x, y, 2, degree=2)
        assert out.dtype is expected.dtype
        assert torch.equal(out, expected)
        if x.is_floating_point():
            for actual, wanted in zip(
                gradients_of(lambda x, y=y: compiled(x, y, 2, degree=2), [x]),
                gradients_of(lambda x, y=y: siglib.sig_combine(x, y, 2, degree=2), [x]),
                strict=True,
            ):
                assert torch.equal(actual, wanted)
    with pytest.raises(RuntimeError, match="must share a dtype, got sig1: torch.float32, sig2: torch.float16"):
        compiled(a, b.half(), 2, degree=2)


@operations
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_dynamic_batch(operation: Differentiable) -> None:
    """One compilation for all batch sizes."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    compiled = torch.compile(operation, fullgraph=True, dynamic=True, backend=backend)
    for batch in (17, 19, 23):  # equal to no other length, as the compiler would take them for the same one
        axes = [2 if kind == "path" else 1 for kind in kinds_of(operation.name).values()]
        tensors = [torch.rand(batch, *shape[-n:]) / 4 for shape, n in zip(operation.shapes, axes, strict=True)]
        assert torch.equal(compiled(*tensors), operation(*tensors))
    assert len(graphs) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_dynamic_length_and_gradient() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda x: siglib.sig(x, 2, lead_lag=True), fullgraph=True, dynamic=True, backend="aot_eager"
    )
    for shape in ((2, 5, 3), (4, 6, 3), (3, 2, 4)):
        path = torch.rand(shape, dtype=torch.float64)
        for actual, wanted in zip(
            gradients_of(compiled, [path]), gradients_of(lambda x: siglib.sig(x, 2, lead_lag=True), [path]), strict=True
        ):
            assert torch.equal(actual, wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_vmap() -> None:
    torch._dynamo.reset()
    paths = torch.rand(3, 4, 2)
    compiled = torch.compile(torch.func.vmap(lambda x: siglib.sig(x, 2)), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(paths), siglib.sig(paths, 2))


def test_first_call_inside_of_compile() -> None:
    code = """
        import torch, siglib
        compiled = torch.compile(lambda x: siglib.sig(x, 2), fullgraph=True, backend="aot_eager")
        path = torch.tensor([[0.0], [2.0]], requires_grad=True)
        out = compiled(path)
        out.sum().backward()
        print(out.tolist(), path.grad.tolist())
        """
    assert run_python(code) == "[2.0, 2.0] [[-3.0], [3.0]]\n"


def test_first_calls_from_many_threads() -> None:
    code = """
        import threading, torch, siglib
        gradients = []
        barrier = threading.Barrier(8)
        def work(n):
            path = torch.tensor([[0.0], [2.0]], requires_grad=True)
            barrier.wait()
            siglib.sig(path if n % 2 else path.as_subclass(type("S", (torch.Tensor,), {})), 2).sum().backward()
            gradients.append(path.grad.tolist())
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(gradients == [[[-3.0], [3.0]]] * 8)
        """
    assert run_python(code) == "True\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_export() -> None:
    class Features(torch.nn.Module):
        def forward(self, path: Any) -> Any:
            return siglib.sig(path, 2, time_aug=True)

    path = torch.rand(3, 4, 2)
    exported = torch.export.export(Features(), (path,), dynamic_shapes={"path": {0: torch.export.Dim("batch")}})
    assert any(node.target is torch.ops.siglib.sig.default for node in exported.graph.nodes)
    more = torch.rand(5, 4, 2)
    assert torch.equal(exported.module()(more), siglib.sig(more, 2, time_aug=True))


def test_tracing_records_the_operator() -> None:
    """Modes that watch operators see the call instead of its result."""
    from torch.fx.experimental.proxy_tensor import make_fx

    graph = make_fx(lambda x: siglib.sig(x, 2) + 1)(torch.rand(4, 2))
    path = torch.rand(4, 2)
    assert torch.equal(graph(path), siglib.sig(path, 2) + 1)


def test_tensors_without_data_stay_on_their_device() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        assert siglib.sig(torch.empty(3, 2, device="cuda"), 2).device.type == "cuda"
        with pytest.raises(TypeError, match=r"on the CPU and on CUDA devices, got path: .*FakeTensor on meta"):
            siglib.sig(torch.empty(3, 2, device="meta"), 2)


def test_numpy_arrays_next_to_torch() -> None:
    path = np.random.default_rng(0).standard_normal((3, 2))
    out = siglib.sig(path, 2)
    assert type(out) is np.ndarray
    assert_same_bits(out, siglib.sig(torch.from_numpy(path), 2).numpy())
