"""Whether torch is there, and whether it watches a call: compiles, records or transforms what is done with tensors.

Loops read and write memory. Where torch watches operators, a tensor may have no memory, or one that nothing has
written yet, and what loops do is not seen. Differentiable operations reach torch as operators then (`torch.py`);
everything else is refused here, on its way to the memory of a tensor.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .._tables.locks import give_lock

P = ParamSpec("P")
R = TypeVar("R")

_whole: Any = None  # the module torch, once its import was over


def loaded_torch() -> Any:
    """The module torch, or None where it is not imported, or not to its end: another thread may be importing it."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and _is_whole() else None


def _is_whole() -> bool:
    global _whole
    torch = sys.modules.get("torch")
    if torch is _whole:
        return torch is not None
    if getattr(getattr(torch, "__spec__", None), "_initializing", False) or not hasattr(torch, "compiler"):
        return False
    _whole = torch
    return True


def loaded_jax() -> Any:
    """The module jax, or None where it is not imported, or not to its end."""
    jax = sys.modules.get("jax")
    return jax if hasattr(jax, "Array") and hasattr(jax, "numpy") and hasattr(jax, "lax") else None


# The mark of torch.compiler.assume_constant_result: the compiler calls this function instead of tracing it.
_is_whole._dynamo_marked_constant = True  # type: ignore[attr-defined]


def is_compiling() -> bool:
    """Whether torch.compile is tracing this call: it sees another function here."""
    return False


# What the compiler traces instead. Nothing is faster to ask, and torch need not be there.
is_compiling._torchdynamo_inline = lambda: True  # type: ignore[attr-defined]


def without_compiler(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which torch.compile leaves to Python: a call of it breaks the graph."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        if is_compiling():
            torch: Any = sys.modules["torch"]
            torch._dynamo.graph_break(msg=untraceable("torch.compile", "arrays"))
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def values_are_known() -> bool:
    """Whether there is a number to look at: compiled and exported programs are for all numbers."""
    return not (is_compiling() or sys.modules["torch"].compiler.is_compiling())


def is_transformed(torch: Any) -> bool:
    """Whether the call is inside of a transform of torch.func, or of forward-mode differentiation."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch.autograd.forward_ad._current_level >= 0


def is_traced(torch: Any, *tensors: Any) -> bool:
    """Whether a call with these tensors must reach torch as one operator; some may be None.

    Subclasses of torch.Tensor, dispatch modes (fake tensors, make_fx) and torch.jit.trace watch operators, and so does
    the older kind of vmap that `torch.autograd.grad(..., is_grads_batched=True)` uses.
    """
    if torch._C._len_torch_dispatch_stack() > 0 or torch._C._is_tracing():
        return True
    plain, is_batched = torch.Tensor, torch._C._functorch.is_legacy_batchedtensor
    for tensor in tensors:
        if tensor is None:
            continue
        if (type(tensor) is not plain and type(tensor) is not torch.nn.Parameter) or is_batched(tensor):
            return True
    return False


def constant(array: Any) -> Any:
    """The numbers of an array, of which nothing has derivatives any more."""
    jax = loaded_jax()
    if jax is not None and isinstance(array, jax.Array):
        return jax.lax.stop_gradient(array)
    torch = loaded_torch()
    # The older kind of vmap cannot take tensors from their graph.
    if torch is None or not isinstance(array, torch.Tensor) or torch._C._functorch.is_legacy_batchedtensor(array):
        return array
    return array.detach()


def holds_numbers(*arrays: Any) -> bool:
    """Whether a call may look at the numbers of its arrays: not where torch traces or transforms it."""
    torch = loaded_torch()
    if torch is None:
        return True
    if not values_are_known() or is_transformed(torch):
        return False
    tensors = [array for array in arrays if isinstance(array, torch.Tensor)]
    return not (tensors and is_traced(torch, *tensors))


def is_traced_by_jax(array: Any) -> bool:
    """Whether JAX traces a call with this array, which has no numbers then."""
    jax = loaded_jax()
    return jax is not None and isinstance(array, jax.core.Tracer)


def is_functionalized(torch: Any, name: str) -> bool:
    """Whether one of the transforms around this call of siglib.<name> is torch.func.functionalize.

    It knows operators only, and torch's transforms that differentiate know none that Python defines: RuntimeError for
    both together.
    """
    functorch = torch._C._functorch
    if functorch.peek_interpreter_stack() is None:
        return False
    levels, kinds = {level.key() for level in functorch.get_interpreter_stack()}, functorch.TransformType
    if kinds.Functionalize not in levels:
        return False
    if levels & {kinds.Grad, kinds.Jvp}:
        raise RuntimeError(
            f"torch.func.functionalize does not go together with derivatives of siglib.{name} by torch.func: leave it "
            "out, or differentiate by torch.autograd"
        )
    return True


@contextmanager
def untraced(torch: Any) -> Iterator[None]:
    """torch.jit.trace looks away: the sizes of tensors are numbers here, where it would record them."""
    state = torch._C._get_tracing_state()
    if state is None:
        yield
        return
    torch._C._set_tracing_state(None)
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)


def refuse_traced(tensors: dict[str, Any]) -> None:
    """RuntimeError if loops must not touch the memory of one of these tensors, since torch watches operators.

    torch.compile leaves the call to Python instead, and has this error to show where it must not.
    """
    torch: Any = sys.modules["torch"]
    if is_compiling():
        torch._dynamo.graph_break(msg=untraceable("torch.compile", ", ".join(tensors)))
        return
    for name, tensor in tensors.items():
        watcher = _watcher(torch, tensor)
        if watcher is not None:
            raise RuntimeError(untraceable(watcher, name))


def refuse_watched_times(name: str, times: Any) -> None:
    """TypeError for times that torch or JAX differentiates or transforms: results have no derivatives in them."""
    if is_traced_by_jax(times):
        raise TypeError(f"{name} must hold numbers, which traced arrays of JAX do not have: take them from outside")
    torch = loaded_torch()
    if torch is None or not isinstance(times, torch.Tensor):
        return
    if times.requires_grad:
        raise TypeError(f"{name} requires a gradient, and there is none with respect to times: pass {name}.detach()")
    forward_ad = torch.autograd.forward_ad
    if torch._C._functorch.maybe_get_level(times) >= 0 or (
        forward_ad._current_level >= 0 and forward_ad.unpack_dual(times).tangent is not None
    ):
        raise TypeError(f"{name} is transformed by torch, and there is no derivative with respect to times")


def left_to_python(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of an object with points and a lock, which torch.compile cannot trace, as it would mark its own.

    It costs a call nothing, and the compiler shows the message where it must not leave the call to Python.
    """
    function._torchdynamo_disable = True  # type: ignore[attr-defined]
    function._torchdynamo_disable_msg = untraceable("torch.compile", "the points")  # type: ignore[attr-defined]
    return function


def untraceable(watcher: str, name: str) -> str:
    """The message for calls that cannot be traced."""
    return (
        f"{watcher} does not see what siglib would do with the memory of {name}: only siglib.sig and the other "
        "differentiable functions can be traced. Use them instead of streams, IntervalSignature, functions named "
        "..._backprop and static kernels in Python, or take this call out of what is traced"
    )


def _watcher(torch: Any, tensor: Any) -> str | None:
    """What watches operators instead of memory."""
    if torch._C._is_tracing():
        return "torch.jit.trace"
    if torch._C._functorch.peek_interpreter_stack() is not None or torch._is_functional_tensor(tensor):
        return "a transform of torch.func"
    forward_ad = torch.autograd.forward_ad
    if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
        return "forward-mode differentiation"
    if torch._C._len_torch_dispatch_stack() > 0 and any(
        torch._C._get_dispatch_mode(mode) is not None for mode in torch._C._TorchDispatchModeKey.__members__.values()
    ):
        return "a tracer of torch"
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return type(tensor).__name__
    return None


def settled(name: str, value: Any) -> Any:
    """An option as it is; but NumPy's numbers, which torch.compile takes for arrays, as the numbers that they are.

    The compiled program is right for this number only, and looks at it whenever it runs.
    """
    if not isinstance(value, np.ndarray) or not is_compiling():
        return value
    torch: Any = sys.modules["torch"]
    text = _text_of(value)
    number = text == "True" if text in ("True", "False") else float(text) if set(text) & set(".en") else int(text)
    torch._assert_async(
        torch.as_tensor(value) == number,
        f"{name} is not {number} any more, as it was when this call was compiled: pass a number of Python's own",
    )
    return number


def _text_of(value: Any) -> str:
    # Texts stay constants in compiled programs; numbers may become variables.
    return repr(value.item())


_text_of._dynamo_marked_constant = True  # type: ignore[attr-defined]
left_to_python(give_lock)
