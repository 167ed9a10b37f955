"""All ways in which torch traces or transforms programs: a call becomes an operator, or there is a clear error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import assert_close, optional
from kernel_cases import Quadratic

import siglib

torch: Any = optional("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

# An operation of every kind, of a path of 5 points and 2 channels.
TRACEABLE: dict[str, Callable[[Any], Any]] = {
    "path": lambda x: siglib.transform_path(x, lead_lag=True),
    "signature": lambda x: siglib.sig(x, 2, time_aug=True),
    "correction": lambda x: siglib.sig(x, 2, correction=x[:2].reshape(-1)),
    "log-signature": lambda x: siglib.log_sig(x, 3),
    "corrected log-signature": lambda x: siglib.log_sig(x, 2, correction=x[:2].reshape(-1)),
    "join": lambda x: siglib.sig_join(siglib.linear_sig(x[0], 2, 2), x[1], 2, 2),
    "windows": lambda x: siglib.sig_windows(x, 2, window=3),
    "windows of lists": lambda x: siglib.sig_windows(x, 2, starts=[0, 1], ends=[3, 5]),
    "log-windows": lambda x: siglib.log_sig_windows(x, 2, starts=np.array([0, 1]), ends=torch.tensor([3, 5])),
    "prefixes": lambda x: siglib.sig(x, 2, stream=True),
    "coefficients": lambda x: siglib.sig_coef(x, [(0, 1), (1, 1, 0)]),
    "extracted coefficients": lambda x: siglib.extract_sig_coef(siglib.sig(x, 2), [(0, 1)], 2),
    "branched signature": lambda x: siglib.branched_sig(x, 2, planar=True),
    "branched windows": lambda x: siglib.branched_sig_windows(x, 2, window=3),
    "branched log-prefixes": lambda x: siglib.branched_log_sig_prefixes(x, 2, planar=True),
    "coefficients of trees": lambda x: siglib.branched_sig_coef(x, [((0,), (1,), 1), None]),
    "corrected coefficients of trees": lambda x: siglib.branched_sig_coef(x, ((0,), 1), correction=x[:2].reshape(-1)),
    "extracted coefficients of trees": lambda x: siglib.extract_branched_sig_coef(siglib.branched_sig(x, 2), ((0,), 1), 2),
    "kernel": lambda x: siglib.sig_kernel(x / 4, x / 2, dyadic_order=1, normalize=True),
    "kernel with a parameter": lambda x: siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=siglib.RBFKernel(x[0, 0] ** 2 + 1)),
    "gram": lambda x: siglib.sig_kernel_gram(torch.stack([x, -x]), torch.stack([x, x * x]), dyadic_order=0),
    "metric": lambda x: siglib.sig_mmd(torch.stack([x, -x]), torch.stack([x, x * x]), dyadic_order=0),
    "score": lambda x: siglib.sig_score(torch.stack([x, -x]), x * x, dyadic_order=0),
}  # fmt: skip


def in_stream(x: Any) -> Any:
    stream = siglib.SigStream(2, 2)
    stream.push_batch(x, checkpoints=True)
    return stream.sig(0, 3)


def in_windows(x: Any) -> Any:
    stream = siglib.LogSigWindowStream(2, 2, 3)
    stream.push(x[0])
    stream.push_batch(x[1:])
    return stream.sig()


# What reads the memory of tensors.
UNTRACEABLE: dict[str, Callable[[Any], Any]] = {
    "stream": in_stream,
    "window stream": in_windows,
    "intervals": lambda x: siglib.IntervalSignature(x, 2).sig(0, 3),
    "backprop": lambda x: siglib.sig_backprop(x, torch.ones(6, dtype=x.dtype), torch.ones(6, dtype=x.dtype), 2),
    "kernel in Python": lambda x: siglib.sig_kernel(x, x, dyadic_order=0, static_kernel=Quadratic()),
}


def module_of(f: Callable[[Any], Any]) -> Any:
    class Module(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return f(x)

    return Module()


def made_by(mode: str) -> Callable[..., Any]:
    def trace(f: Callable[[Any], Any], x: Any) -> Any:
        from torch.fx.experimental.proxy_tensor import make_fx

        return make_fx(f, tracing_mode=mode)(x)

    return trace


# A program from an example: it must be right for other paths.
WAYS: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {
    "jit.trace": lambda f, x: torch.jit.trace(f, x, check_trace=False),
    "jit.trace with gradients": lambda f, x: torch.jit.trace(f, x.clone().requires_grad_(), check_trace=False),
    "make_fx": made_by("real"),
    "make_fx of fake tensors": made_by("fake"),
    "make_fx of symbols": made_by("symbolic"),
    "make_fx of vmap": lambda f, x: lambda y: made_by("real")(torch.func.vmap(f), x[None])(y[None])[0],
    "functionalize": lambda f, x: torch.func.functionalize(f),
    "make_fx of functionalize": lambda f, x: made_by("real")(torch.func.functionalize(f), x),
    "vmap": lambda f, x: lambda y: torch.func.vmap(f)(torch.stack([x, y]))[1],
    "functionalize of vmap": lambda f, x: lambda y: torch.func.functionalize(torch.func.vmap(f))(y[None])[0],
    "compile": lambda f, x: torch.compile(f, fullgraph=True, backend="aot_eager"),
    "export": lambda f, x: torch.export.export(module_of(f), (x,), strict=False).module(),
    "strict export": lambda f, x: torch.export.export(module_of(f), (x,), strict=True).module(),
}
ways = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch.manual_seed(0)
    torch._dynamo.reset()


def fill_memory() -> None:
    """Memory that the next small tensors get: what nothing writes is not zero by chance."""
    for n in (1, 2, 3, 4, 6, 9, 12, 18, 30, 64):
        for _ in range(3):
            torch.full((n,), 777.0, dtype=torch.float64)


@ways
@pytest.mark.parametrize("kind", TRACEABLE)
def test_traced_programs_compute(way: str, kind: str) -> None:
    f = TRACEABLE[kind]
    example, other = torch.rand(2, 5, 2, dtype=torch.float64)
    program = WAYS[way](f, example)
    expected = f(other)
    fill_memory()
    assert_close(program(other), expected.numpy(), 1e-13)


@ways
@pytest.mark.parametrize("kind", UNTRACEABLE)
def test_what_cannot_be_traced_is_an_error(way: str, kind: str) -> None:
    f, x = UNTRACEABLE[kind], torch.rand(5, 2, dtype=torch.float64)
    if kind == "kernel in Python" and way == "vmap":
        assert_close(WAYS[way](f, x)(x), f(x).numpy(), 1e-13)
        return
    with pytest.raises(RuntimeError, match=r"memory of .*differentiable functions can be traced"):
        WAYS[way](f, x)(x)


@ways
@pytest.mark.parametrize("kind", ["push", "query", "window push", "window query"])
def test_streams_made_before(way: str, kind: str) -> None:
    """Neither points that are traced go into a stream, nor its results into a program."""
    x = torch.rand(5, 2, dtype=torch.float64)
    stream, windows = siglib.SigStream(2, 2), siglib.SigWindowStream(2, 2, 3)
    for growing in (stream, windows):
        for point in x:
            growing.push(point)
    expected = stream.sig(0, 3), windows.sig()
    calls: dict[str, Callable[[Any], Any]] = {
        "push": lambda x: (stream.push(x[0]), x)[1],
        "query": lambda x: stream.sig(0, 3) + x.sum(),
        "window push": lambda x: (windows.push(x[0]), x)[1],
        "window query": lambda x: windows.sig() + x.sum(),
    }
    with pytest.raises(RuntimeError, match=r"memory of .*differentiable functions can be traced"):
        WAYS[way](calls[kind], x)(x)
    assert torch.equal(stream.sig(0, 3), expected[0])
    assert torch.equal(windows.sig(), expected[1])


@pytest.mark.parametrize("kind", UNTRACEABLE)
@pytest.mark.filterwarnings("ignore:.*lru_cache:UserWarning")
def test_programs_that_may_break_leave_to_python_what_cannot_be_traced(kind: str) -> None:
    f, x = UNTRACEABLE[kind], torch.rand(5, 2, dtype=torch.float64)
    compiled = torch.compile(lambda x: f(2 * x) + 1, backend="aot_eager")
    assert torch.equal(compiled(x), f(2 * x) + 1)
    assert torch.equal(compiled(3 * x), f(6 * x) + 1)


@pytest.mark.parametrize("kind", TRACEABLE)
def test_gradients_and_tangents(kind: str) -> None:
    """Gradients by torch.func, also traced, and of recorded programs, and tangents."""
    f, x = TRACEABLE[kind], torch.rand(5, 2, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(f(leaf).sum(), leaf)
    gradient = torch.func.grad(lambda x: f(x).sum())
    assert_close(gradient(x), expected.numpy(), 1e-13)
    assert_close(made_by("real")(gradient, 2 * x)(x), expected.numpy(), 1e-13)
    recorded = torch.jit.trace(f, 2 * x, check_trace=False)
    assert_close(torch.autograd.grad(recorded(leaf).sum(), leaf)[0], expected.numpy(), 1e-13)
    tangent = torch.func.jvp(f, (x,), (x,))[1].sum()
    assert_close(tangent, (expected * x).sum().numpy(), 1e-11)
    if kind not in ("correction", "corrected log-signature", "join"):
        with pytest.raises(RuntimeError, match=r"functionalize does not go together with derivatives of siglib\.\w+"):
            torch.func.functionalize(gradient)(x)


@pytest.mark.parametrize("kind", UNTRACEABLE)
def test_gradients_of_what_cannot_be_traced(kind: str) -> None:
    f, x = UNTRACEABLE[kind], torch.rand(5, 2, dtype=torch.float64)
    if kind != "kernel in Python":
        with pytest.raises(RuntimeError, match="a transform of torch.func does not see"):
            torch.func.grad(lambda x: f(x).sum())(x)
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, x)
            with pytest.raises(RuntimeError, match="forward-mode differentiation does not see"):
                f(dual)


@pytest.mark.parametrize("kind", TRACEABLE)
def test_fake_tensors(kind: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    f, x = TRACEABLE[kind], torch.rand(5, 2)
    shape = f(x).shape
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for given in (x, mode.from_tensor(x)):
            out = f(given)
            assert type(out) is FakeTensor
            assert out.shape == shape


@pytest.mark.parametrize("kind", UNTRACEABLE)
def test_fake_tensors_have_no_memory(kind: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = torch.rand(5, 2)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for given in (x, mode.from_tensor(x)):
            with pytest.raises(RuntimeError, match=r"memory of .*differentiable functions can be traced"):
                UNTRACEABLE[kind](given)


def test_modes_that_only_watch_change_nothing() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.rand(5, 2, dtype=torch.float64)
    for f in (*TRACEABLE.values(), in_stream, in_windows):
        expected = f(x)
        with FlopCounterMode(display=False):
            assert torch.equal(f(x), expected)


def test_symbolic_trace_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"path is a Proxy of torch.fx.*use torch.export or make_fx"):
        torch.fx.symbolic_trace(lambda x: siglib.sig(x, 2))


def test_recorded_programs_take_other_lengths_and_dtypes_of_the_example() -> None:
    """Where the program has no other sizes in it."""
    for kind in (torch.float16, torch.float32):
        x = torch.rand(5, 2).to(kind)
        program = torch.jit.trace(lambda x: siglib.sig(x, 2), x, check_trace=False)
        more = torch.rand(3, 7, 2).to(kind)
        assert torch.equal(program(more), siglib.sig(more, 2))
