"""PyTorch autograd, once for all operations.

A public operation is plain Python over arrays and knows nothing of gradients. `differentiable` puts one question in front of it: does
torch want more than values from this call? There are three answers.

* No (NumPy arrays, tensors that do not require grad): the operation runs as it is.
* A gradient, or a transform of torch.func: the call becomes a `torch.autograd.Function`, whose backward pass is a second one around `vjp`.
* A trace (torch.compile, torch.export, a tensor subclass): the call becomes the operator `torch.ops.siglib.<name>`, its gradient the
  operator `<name>_backprop`. Torch knows both by schema, shape rule and derivative, so it traces them without looking inside.

All three run the same two bodies, `operation` and `vjp`. The torch side of an operation is made when torch first asks for it: siglib
never imports torch. Second derivatives are not implemented: asking for one is an error.
"""

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from ._backend import torch_tensors
from ._checks import as_bool, as_float, as_int

P = ParamSpec("P")
R = TypeVar("R")

# How an option is written in an operator's schema, by its annotation; anything else is an optional tensor without a gradient (`correction`).
_SCHEMA_TYPES = {int: "SymInt", bool: "bool", float: "float", str: "str"}
# What makes an option the plain Python value that a schema wants, np.int64(3) -> 3, or raises what the operation would raise.
_PLAIN: dict[Any, Callable[[str, Any], Any]] = {
    int: functools.partial(as_int, minimum=-(2**63)),
    bool: as_bool,
    float: as_float,
}


def differentiable(
    vjp: Callable[..., tuple[Any, ...]], shape: Callable[..., tuple[int, ...]], n_arrays: int = 1
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a public operation differentiable for torch tensors.

    The operation takes `n_arrays` arrays first, then options, which are annotated `int`, `bool`, `float` or `str`.

    * `vjp(derivs, out, *arrays, **options)` gives a tuple: for each array the gradient of `sum(derivs * out)`, a new array of its shape.
    * `shape(*array_shapes, **options)` gives the shape of the result, or raises what the operation raises for such shapes and
      options. torch.compile calls it with symbolic sizes.

    `options` are all parameters after the arrays by name, also those that were left at their default.
    """

    def decorate(operation: Callable[P, R]) -> Callable[P, R]:
        through = _Through(operation, vjp, shape, n_arrays)
        operator_name = through.operator_name

        @functools.wraps(operation)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            torch = sys.modules.get("torch")
            if torch is None:
                return operation(*args, **kwargs)
            if torch.compiler.is_compiling():
                dtypes = {v.dtype for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor)}
                if dtypes:
                    operator = getattr(torch.ops.siglib, operator_name())
                    if dtypes in ({torch.float16}, {torch.bfloat16}):
                        return _in_single_precision(torch, operator, *dtypes, args, kwargs)
                    return operator(*args, **kwargs)
                return operation(*args, **kwargs)
            arrays = args[:n_arrays] if len(args) >= n_arrays else (*args, *kwargs.values())
            return (through if _is_watched(torch, arrays) else operation)(*args, **kwargs)

        call.register_operator = operator_name  # type: ignore[attr-defined]
        return call

    return decorate


def _in_single_precision(torch: Any, operator: Any, dtype: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Half precision in compiled programs: the operator sees float32, so that its gradient starts from an exact result, too."""

    def single(value: Any) -> Any:
        return value.float() if isinstance(value, torch.Tensor) else value

    return operator(*map(single, args), **{name: single(value) for name, value in kwargs.items()}).to(dtype)


def _is_watched(torch: Any, arrays: tuple[Any, ...]) -> bool:
    """Whether torch wants more than values from these arrays."""
    for array in arrays:
        if isinstance(array, torch.Tensor) and (
            (array.requires_grad and torch.is_grad_enabled()) or _is_transformed(torch) or _is_traced(torch, array)
        ):
            return True
    return False


def _is_transformed(torch: Any) -> bool:
    """Whether the call is inside of a transform of torch.func, or of forward-mode differentiation."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch.autograd.forward_ad._current_level >= 0


def _is_traced(torch: Any, array: Any) -> bool:
    """Whether the call must reach torch as one operator.

    Subclasses of torch.Tensor and dispatch modes (fake tensors, make_fx) watch operators, and so does the older kind of vmap that
    `torch.autograd.grad(..., is_grads_batched=True)` uses.
    """
    return (
        type(array) not in (torch.Tensor, torch.nn.Parameter)
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.is_legacy_batchedtensor(array)
    )


class _Through:
    """One operation as torch sees it: checks the call as the operation would, then hands it to the Function or the operator."""

    def __init__(self, operation: Callable[..., Any], vjp: Any, shape: Any, n_arrays: int) -> None:
        self.name = operation.__name__
        self.operation, self.vjp, self.shape, self.n_arrays = operation, vjp, shape, n_arrays
        self.signature = inspect.signature(operation, eval_str=True)
        parameters = list(self.signature.parameters.values())
        self.array_names = [p.name for p in parameters[:n_arrays]]
        self.options = parameters[n_arrays:]
        self.defaults = {p.name: p.default for p in self.options}
        self.keywords = {p.name: p.default for p in self.options if p.kind is p.KEYWORD_ONLY}
        self.n_required = len(parameters) - len(self.keywords)
        self._made: dict[str, Any] = {}
        self._lock = threading.RLock()

        def operator_name() -> str:
            self._make("operator", _make_operator)
            return self.name

        # As torch.compiler.assume_constant_result does, without torch: the compiler calls this function instead of tracing it.
        operator_name._dynamo_marked_constant = True  # type: ignore[attr-defined]
        self.operator_name = operator_name

    def _make(self, kind: str, maker: Callable[..., Any]) -> Any:
        made = self._made.get(kind)
        if made is None:
            with self._lock:
                made = self._made.get(kind) or self._made.setdefault(kind, maker(sys.modules["torch"], self))
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        torch = sys.modules["torch"]
        inputs = self.bind(args, kwargs)
        arrays, result_dtype = torch_tensors(dict(zip(self.array_names, inputs, strict=False)))
        if any(_is_traced(torch, array) for array in arrays):
            out = self.call_operator(arrays, inputs[self.n_arrays :])
        else:
            function = self._make("functions", _make_functions)[_is_transformed(torch)]
            out = function.apply(*arrays, *inputs[self.n_arrays :])
        return out if out.dtype is result_dtype else out.to(result_dtype)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """All parameters by position. The general way takes 9 microseconds, so the usual form of a call goes without."""
        if len(args) == self.n_required and kwargs.keys() <= self.keywords.keys():
            return [*args, *(self.keywords | kwargs).values()]
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return list(bound.arguments.values())

    def call_operator(self, arrays: list[Any], options: list[Any]) -> Any:
        """The operator; wrong options and shapes raise here what the operation would raise, instead of torch's complaint."""
        plain = []
        for parameter, value in zip(self.options, options, strict=True):
            cast = _PLAIN.get(parameter.annotation)
            plain.append(value if cast is None else cast(parameter.name, value))
        self.shape(*(tuple(array.shape) for array in arrays), **self.named(plain))
        return self._make("operator", _make_operator)(*arrays, *plain)

    def named(self, options: Any) -> dict[str, Any]:
        """Options by name; torch leaves out trailing options that have their default value."""
        return {**self.defaults, **dict(zip(self.defaults, options, strict=False))}

    def forward(self, *inputs: Any) -> Any:
        return self.operation(*inputs[: self.n_arrays], **self.named(inputs[self.n_arrays :]))

    def backprop(self, derivs: Any, out: Any, *inputs: Any) -> Any:
        gradients = self.vjp(derivs, out, *inputs[: self.n_arrays], **self.named(inputs[self.n_arrays :]))
        return gradients[0] if self.n_arrays == 1 else tuple(gradients)

    def save(self, ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(output, *inputs[: self.n_arrays])
        ctx.options = inputs[self.n_arrays :]

    def gradients(self, ctx: Any, backprop: Callable[..., Any], derivs: Any) -> tuple[Any, ...]:
        results = backprop(derivs, *ctx.saved_tensors, *ctx.options)
        return (*((results,) if self.n_arrays == 1 else results), *(None for _ in ctx.options))

    def no_second_derivative(self, *_: Any) -> Any:
        raise RuntimeError(f"second derivatives of siglib.{self.name} are not implemented")

    def no_forward_mode(self, *_: Any) -> Any:
        raise RuntimeError(f"forward-mode derivatives of siglib.{self.name} are not implemented")

    def batched(self, call: Any, info: Any, in_dims: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        """torch.func.vmap of the operation: it takes any leading batch axes, so the mapped axis becomes the first of them."""
        n = self.n_arrays
        arrays = _batch_first(info, in_dims[:n], inputs[:n])
        self.shape(*(tuple(array.shape[1:]) for array in arrays), **self.named(inputs[n:]))
        return call(*arrays, *inputs[n:]), 0

    def batched_backprop(self, call: Any, info: Any, in_dims: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        n = 2 + self.n_arrays
        gradients = call(*_batch_first(info, in_dims[:n], inputs[:n]), *inputs[n:])
        return gradients, 0 if self.n_arrays == 1 else (0,) * self.n_arrays


def _batch_first(info: Any, in_dims: tuple[int | None, ...], arrays: tuple[Any, ...]) -> list[Any]:
    return [
        array.expand(info.batch_size, *array.shape) if axis is None else array.movedim(axis, 0)
        for array, axis in zip(arrays, in_dims, strict=True)
    ]


def _make_functions(torch: Any, through: _Through) -> tuple[Any, Any]:
    """The operation as two kinds of `torch.autograd.Function`: for eager gradients, and for torch.func, which costs 15 microseconds more."""

    class TransformableBackprop(torch.autograd.Function):
        forward = staticmethod(through.backprop)
        setup_context = staticmethod(lambda ctx, inputs, output: None)
        backward = staticmethod(through.no_second_derivative)
        jvp = staticmethod(through.no_forward_mode)
        vmap = staticmethod(lambda *args: through.batched_backprop(TransformableBackprop.apply, *args[:2], args[2:]))

    class Transformable(torch.autograd.Function):
        forward = staticmethod(through.forward)
        setup_context = staticmethod(through.save)
        jvp = staticmethod(through.no_forward_mode)
        backward = staticmethod(lambda ctx, derivs: through.gradients(ctx, TransformableBackprop.apply, derivs))
        vmap = staticmethod(lambda *args: through.batched(Transformable.apply, *args[:2], args[2:]))

    class Eager(torch.autograd.Function):
        jvp = staticmethod(through.no_forward_mode)

        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            out = through.forward(*inputs)
            through.save(ctx, inputs, out)
            return out

        @staticmethod
        def backward(ctx: Any, derivs: Any) -> Any:
            if not _is_watched(torch, (derivs, *ctx.saved_tensors)):
                backprop = through.backprop
            elif _is_traced(torch, derivs):
                through.operator_name()
                backprop = getattr(torch.ops.siglib, f"{through.name}_backprop")
            else:
                backprop = TransformableBackprop.apply
            return through.gradients(ctx, backprop, derivs)

    Eager.__name__ = Transformable.__name__ = through.name
    return Eager, Transformable


def _make_operator(torch: Any, through: _Through) -> Any:
    """Define `torch.ops.siglib.<name>` and `<name>_backprop`, for the compiler."""
    library = torch.library.Library("siglib", "FRAGMENT")
    through.library = library  # torch forgets the operators when it is collected
    n = through.n_arrays

    def define(
        name: str, arrays: list[str], results: str, body: Any, fake: Any, backward: Any, save: Any, batched: Any
    ) -> Any:
        parameters = [f"Tensor {array}" for array in arrays] + [_schema(p) for p in through.options]
        library.define(f"{name}({', '.join(parameters)}) -> {results}", tags=(torch.Tag.pt2_compliant_tag,))
        library.impl(name, body, "CompositeExplicitAutograd")
        made = getattr(torch.ops.siglib, name).default
        torch.library.register_fake(made, fake, lib=library)
        torch.library.register_autograd(made, backward, setup_context=save, lib=library)
        torch.library.register_vmap(
            made, lambda info, in_dims, *inputs: batched(made, info, in_dims, inputs), lib=library
        )
        return made

    def fake(*inputs: Any) -> Any:
        _, dtype = torch_tensors(dict(zip(through.array_names, inputs, strict=False)))
        shape = through.shape(*(array.shape for array in inputs[:n]), **through.named(inputs[n:]))
        return torch.empty(shape, dtype=dtype, device=inputs[0].device)

    def fake_backprop(derivs: Any, out: Any, *inputs: Any) -> Any:
        gradients = tuple(array.new_empty(array.shape) for array in inputs[:n])
        return gradients[0] if n == 1 else gradients

    backprop = define(
        f"{through.name}_backprop",
        ["derivs", "out", *through.array_names],
        "Tensor" if n == 1 else f"({', '.join(['Tensor'] * n)})",
        through.backprop,
        fake_backprop,
        through.no_second_derivative,
        None,
        through.batched_backprop,
    )

    def backward(ctx: Any, derivs: Any) -> Any:
        return through.gradients(ctx, backprop, derivs)

    return define(
        through.name, through.array_names, "Tensor", through.forward, fake, backward, through.save, through.batched
    )


def _schema(parameter: inspect.Parameter) -> str:
    kind = _SCHEMA_TYPES.get(parameter.annotation, "Tensor?")
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{kind} {parameter.name}{default}"
