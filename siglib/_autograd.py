"""PyTorch autograd, once for all operations.

A public operation is plain Python over arrays and knows nothing of gradients. `differentiable` puts one question in
front of it: does torch want more than values from this call? There are three answers.

* No (NumPy arrays, tensors that do not require grad): the operation runs as it is.
* A gradient, or a transform of torch.func: the call becomes a `torch.autograd.Function`. Its backward pass is a second
  one, around `vjp`.
* A trace (torch.compile, torch.export, a tensor subclass): the call becomes the operator `torch.ops.siglib.<name>`, its
  gradient the operator `<name>_backprop`. Torch traces them without looking inside; see `_torch_operator.py`.

All three run the same two bodies, the operation and `vjp`. The torch side of an operation is made when torch first asks
for it: siglib never imports torch. Second and forward-mode derivatives are not implemented: asking for one is an error.
"""

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ._backend import torch_tensors
from ._torch_operator import plain_casts, register
from ._tracing import is_compiling, is_functionalized, is_traced, is_transformed, loaded_torch, untraced

P = ParamSpec("P")
R = TypeVar("R")


def differentiable(
    vjp: Callable[..., tuple[Any, ...]],
    shape: Callable[..., tuple[int, ...]],
    n_arrays: int = 1,
    needs_out: bool | str = True,
    n_numbers: int = 0,
    n_batched: int | None = None,
    selective: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a public operation differentiable for torch tensors.

    The operation takes `n_arrays` arrays first, then options, which are annotated `int`, `bool`, `float` or `str`.

    * `vjp(derivs, out, *arrays, **options)` gives a tuple: for each array the gradient of `sum(derivs * out)`, a new
      array of its shape. `out` is the result of the operation, or None unless `needs_out`: then torch need not keep it.
      `needs_out` may be the name of an option: `out` is empty where that option is False.
    * `shape(*array_shapes, **options)` gives the shape of the result, or raises what the operation raises for such
      shapes and options. torch.compile calls it with symbolic sizes.

    `options` are all parameters after the arrays by name, also those that were left at their default.

    * The last `n_numbers` of the arrays are parameters: tuples of numbers, or float64 tensors whatever the dtype of the
      other arrays.
    * The first `n_batched` arrays (None: all) have their batch axes in common, so that torch.func.vmap may add one. A
      call that maps any other array, or has none that may be batched, is computed element by element.
    * If `selective`, `vjp` gets one more option, `needs`: for each array whether its gradient is wanted. It gives None
      for those that are not.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        operation = TorchOperation(function, vjp, shape, n_arrays, needs_out, n_numbers, n_batched, selective)
        n_shared = n_arrays - n_numbers
        array_names = operation.array_names
        operator_name = operation.operator_name

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            if n_arrays == 1 and args and type(args[0]) is np.ndarray and not is_compiling():
                return function(*args, **kwargs)
            torch = loaded_torch()
            if torch is None:
                return function(*args, **kwargs)
            if is_compiling():
                shared = args[:n_shared]
                named = [kwargs[name] for name in array_names if name in kwargs]
                dtypes = {v.dtype for v in (*shared, *named) if isinstance(v, torch.Tensor)}
                if not dtypes:
                    return function(*args, **kwargs)
                if n_numbers:
                    numbers = [_as_tensor(torch, v) for v in args[n_shared:n_arrays]]
                    args = (*shared, *numbers, *args[n_arrays:])  # type: ignore[assignment]
                args, kwargs = operation.plain(args, kwargs)  # type: ignore[assignment]
                operator = getattr(torch.ops.siglib, operator_name())
                if dtypes == {torch.float16} or dtypes == {torch.bfloat16}:
                    return _in_single_precision(torch, operator, dtypes.pop(), args, kwargs)
                return operator(*args, **kwargs)
            arrays = args[:n_arrays] if len(args) >= n_arrays else (*args, *kwargs.values())
            return (operation if _is_watched(torch, arrays) else function)(*args, **kwargs)

        call.register_operator = operator_name  # type: ignore[attr-defined]
        return call

    return decorate


def _in_single_precision(torch: Any, operator: Any, dtype: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Half precision in compiled programs: the operator sees float32, so that its gradient needs no rounded result."""

    def single(value: Any) -> Any:
        return value.float() if isinstance(value, torch.Tensor) and value.dtype is dtype else value

    return operator(*map(single, args), **{name: single(value) for name, value in kwargs.items()}).to(dtype)


def _as_tensor(torch: Any, numbers: Any) -> Any:
    """Parameters as torch wants them: a float64 tensor."""
    if isinstance(numbers, torch.Tensor):
        return numbers
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")


def stacked_numbers(values: tuple[Any, ...]) -> Any:
    """One float64 tensor of numbers, some of which are tensors of one element; with their graph, on their device."""
    torch = sys.modules["torch"]
    device = next(value.device for value in values if isinstance(value, torch.Tensor))
    return torch.stack(
        [
            value.reshape(()).to(torch.float64)
            if isinstance(value, torch.Tensor)
            # Not torch.tensor: that copies to a GPU, which a call that is being captured into a graph must not.
            else torch.full((), value, dtype=torch.float64, device=device)
            for value in values
        ]
    )


def _is_watched(torch: Any, arrays: tuple[Any, ...]) -> bool:
    """Whether torch wants more than values from these arrays."""
    for array in arrays:
        if isinstance(array, torch.Tensor) and (
            (array.requires_grad and torch.is_grad_enabled()) or is_transformed(torch) or is_traced(torch, array)
        ):
            return True
    return False


class TorchOperation:
    """One operation as torch sees it: its parameters, and the bodies that functions and operators share.

    Torch passes `inputs`: all parameters by position, where trailing options that have their default may be missing.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        vjp: Any,
        shape: Any,
        n_arrays: int,
        needs_out: bool | str,
        n_numbers: int,
        n_batched: int | None,
        selective: bool,
    ) -> None:
        self.name = function.__name__
        self.function, self.vjp, self.shape = function, vjp, shape
        self.selective = selective
        self.n_shared = n_arrays - n_numbers
        self.n_batched = n_arrays if n_batched is None else n_batched
        self.out_option = needs_out if isinstance(needs_out, str) else None
        self.signature = inspect.signature(function, eval_str=True)
        parameters = list(self.signature.parameters.values())
        self.n_arrays = n_arrays
        self.array_names = [p.name for p in parameters[:n_arrays]]
        self.saved_names = ["out", *self.array_names] if needs_out else self.array_names
        self.options = parameters[n_arrays:]
        self.defaults = {p.name: p.default for p in self.options}
        self.casts = plain_casts(self.options)
        self.is_plain = {p.name: p.annotation in (int, bool, float, str) for p in self.options}
        self._names = [p.name for p in parameters]
        self._keywords = {p.name: p.default for p in self.options if p.kind is p.KEYWORD_ONLY}
        self._n_positional = len(parameters) - len(self._keywords)
        self._made: dict[Any, Any] = {}
        self._lock = threading.RLock()

        def operator_name() -> str:
            self.make(register)
            return self.name

        # The mark of torch.compiler.assume_constant_result: the compiler calls this function instead of tracing it.
        operator_name._dynamo_marked_constant = True  # type: ignore[attr-defined]
        self.operator_name = operator_name

    def make(self, maker: Callable[["TorchOperation"], Any]) -> Any:
        """What `maker` makes of this operation, made once."""
        made = self._made.get(maker)
        if made is None:
            with self._lock:
                made = self._made.get(maker) or self._made.setdefault(maker, maker(self))
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The operation, watched by torch."""
        torch = sys.modules["torch"]
        inputs = self._bind(args, kwargs)
        arrays, result_dtype = torch_tensors(dict(zip(self.array_names[: self.n_shared], inputs, strict=False)))
        arrays.extend(_as_tensor(torch, numbers) for numbers in inputs[self.n_shared : self.n_arrays])
        # Clean, as the operation and its gradient both read them. Objects, such as static kernels, stay what they are.
        options = [
            cast(name, value) if self.is_plain[name] or isinstance(value, (list, tuple)) else value
            for (name, cast), value in zip(self.casts.items(), inputs[self.n_arrays :], strict=True)
        ]
        transformed = is_transformed(torch)
        if transformed and not is_functionalized(torch, self.name):
            out = self.make(_make_functions)[1].apply(*arrays, *options)
        elif transformed or any(is_traced(torch, array) for array in arrays):
            out = self.operator(*arrays, *options)
        else:
            out = self.make(_make_functions)[0].apply(*arrays, *options)
        return out if out.dtype is result_dtype else out.to(result_dtype)

    def operator(self, *inputs: Any) -> Any:
        """The operation as one operator."""
        arrays = inputs[: self.n_arrays]
        with untraced(sys.modules["torch"]):
            # Wrong options and shapes raise here what the operation would raise, instead of torch's complaint.
            options = self.plain_options(inputs[self.n_arrays :])
            self.shape(*(tuple(array.shape) for array in arrays), **self.named(options))
            forward = self.make(register).forward
        return forward(*arrays, *options)

    def backprop_operator(self, derivs: Any, *inputs: Any) -> Any:
        """Its gradient as one operator; `inputs` as in `backprop`."""
        n = len(self.saved_names) + self.selective
        with untraced(sys.modules["torch"]):
            options = self.plain_options(inputs[n:])
            backprop = self.make(register).backprop
        return backprop(derivs, *inputs[:n], *options)

    def plain_options(self, options: Any) -> list[Any]:
        """Options by position as operators take them."""
        return [cast(name, value) for (name, cast), value in zip(self.casts.items(), options, strict=False)]

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """All parameters by position. The general way takes 9 microseconds: usual calls go without it."""
        if len(args) == self._n_positional and kwargs.keys() <= self._keywords.keys():
            return [*args, *(self._keywords | kwargs).values()]
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return list(bound.arguments.values())

    def plain(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call with options as operators take them; traced by torch.compile."""
        casts = self.casts
        values = [casts[n](n, v) if n in casts else v for n, v in zip(self._names, args, strict=False)]
        named = {n: casts[n](n, v) if n in casts else v for n, v in kwargs.items()}
        return (*values, *args[len(values) :]), named

    def named(self, options: Any) -> dict[str, Any]:
        """Options by name."""
        return {**self.defaults, **dict(zip(self.defaults, options, strict=False))}

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs[: self.n_arrays], **self.named(inputs[self.n_arrays :]))

    def backprop(self, derivs: Any, *inputs: Any) -> Any:
        """`inputs` are what was saved, which gradients are wanted (if `selective`), and the options."""
        saved, options = inputs[: len(self.saved_names)], inputs[len(self.saved_names) :]
        out = saved[0] if len(saved) > self.n_arrays else None
        arrays = saved[-self.n_arrays :]
        if not self.selective:
            return self.one_or_all(self.vjp(derivs, out, *arrays, **self.named(options)))
        needs = self.wanted(options[0])
        results = self.vjp(derivs, out, *arrays, needs=needs, **self.named(options[1:]))
        # Operators give tensors only: an empty one stands for no gradient.
        return tuple(
            gradient if wanted else array.new_empty(0)
            for gradient, wanted, array in zip(results, needs, arrays, strict=True)
        )

    def wanted(self, needs: int) -> tuple[bool, ...]:
        """Which gradients are wanted, from one bit for each array."""
        return tuple(bool(needs >> i & 1) for i in range(self.n_arrays))

    def one_or_all(self, gradients: tuple[Any, ...]) -> Any:
        return gradients[0] if self.n_arrays == 1 else tuple(gradients)

    def save(self, ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        arrays = inputs[: self.n_arrays]
        ctx.options = inputs[self.n_arrays :]
        if self.out_option is not None and not self.named(ctx.options)[self.out_option]:
            output = output.detach().new_empty(0)
        ctx.save_for_backward(*((output, *arrays) if len(self.saved_names) > self.n_arrays else arrays))

    def gradients(self, ctx: Any, saved: Any, backprop: Callable[..., Any], derivs: Any) -> tuple[Any, ...]:
        """Gradients of all inputs: None for the options. `saved` are the saved tensors, which may be read only once."""
        none = (None for _ in ctx.options)
        if not self.selective:
            results = backprop(derivs, *saved, *ctx.options)
            return (*((results,) if self.n_arrays == 1 else results), *none)
        wanted = ctx.needs_input_grad[: self.n_arrays]
        needs = sum(1 << i for i, want in enumerate(wanted) if want)
        results = backprop(derivs, *saved, needs, *ctx.options)
        return (*(result if want else None for result, want in zip(results, wanted, strict=True)), *none)

    def no_second_derivative(self, *_: Any) -> Any:
        raise RuntimeError(f"second derivatives of siglib.{self.name} are not implemented")

    def no_forward_mode(self, *_: Any) -> Any:
        raise RuntimeError(f"forward-mode derivatives of siglib.{self.name} are not implemented")

    def batched(self, call: Any, info: Any, in_dims: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        """torch.func.vmap: the mapped axis becomes the first batch axis where arrays may have any number of them."""
        n, k = self.n_arrays, self.n_batched
        if k == 0 or any(axis is not None for axis in in_dims[k:n]):
            return _one_by_one(call, info, in_dims[:n], inputs, self._empty_result), 0
        arrays = [*_batch_first(info, in_dims[:k], inputs[:k]), *inputs[k:n]]
        shapes = [tuple(array.shape[1 if i < k else 0 :]) for i, array in enumerate(arrays)]
        self.shape(*shapes, **self.named(inputs[n:]))
        return call(*arrays, *inputs[n:]), 0

    def batched_backprop(self, call: Any, info: Any, in_dims: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        n = 1 + len(self.saved_names)
        k = n - (self.n_arrays - self.n_batched)
        # Gradients of arrays without batch axes are sums over a batch, but wanted for each element.
        sums = self.selective and inputs[n] >> self.n_batched
        if self.n_batched == 0 or sums or any(axis is not None for axis in in_dims[k:n]):
            return _one_by_one(call, info, in_dims[:n], inputs, self._empty_gradients), self.one_or_all(
                (0,) * self.n_arrays
            )
        gradients = call(*_batch_first(info, in_dims[:k], inputs[:k]), *inputs[k:])
        return gradients, self.one_or_all((0,) * self.n_batched + (None,) * (self.n_arrays - self.n_batched))

    def _empty_result(self, shapes: list[tuple[int, ...]], inputs: tuple[Any, ...]) -> Any:
        shape = self.shape(*shapes, **self.named(inputs[self.n_arrays :]))
        return inputs[0].new_empty((0, *shape))

    def _empty_gradients(self, shapes: list[tuple[int, ...]], inputs: tuple[Any, ...]) -> Any:
        arrays = zip(shapes[-self.n_arrays :], inputs[1 + len(self.saved_names) - self.n_arrays :], strict=False)
        return self.one_or_all(tuple(array.new_empty((0, *shape)) for shape, array in arrays))


def _one_by_one(call: Any, info: Any, in_dims: tuple[int | None, ...], inputs: Any, empty: Any) -> Any:
    """The results of all elements of a mapped axis, stacked."""
    torch: Any = sys.modules["torch"]
    if info.batch_size == 0:
        shapes = [
            tuple(n for i, n in enumerate(array.shape) if axis is None or i != axis % array.ndim)
            for axis, array in zip(in_dims, inputs, strict=False)
        ]
        return empty(shapes, inputs)
    arrays, options = inputs[: len(in_dims)], inputs[len(in_dims) :]
    results = [
        call(*(a if axis is None else a.select(axis, i) for axis, a in zip(in_dims, arrays, strict=True)), *options)
        for i in range(info.batch_size)
    ]
    if isinstance(results[0], torch.Tensor):
        return torch.stack(results)
    return tuple(map(torch.stack, zip(*results, strict=True)))


def _batch_first(info: Any, in_dims: tuple[int | None, ...], arrays: tuple[Any, ...]) -> list[Any]:
    return [
        array.expand(info.batch_size, *array.shape) if axis is None else array.movedim(axis, 0)
        for array, axis in zip(arrays, in_dims, strict=True)
    ]


def _make_functions(operation: TorchOperation) -> tuple[Any, Any]:
    """Two kinds of `torch.autograd.Function`: for eager gradients, and, 15 microseconds slower, for torch.func."""
    torch: Any = sys.modules["torch"]

    # Inside of all transforms the call may be traced: make_fx(torch.func.grad(...)).
    class TransformableBackprop(torch.autograd.Function):
        setup_context = staticmethod(lambda ctx, inputs, output: None)
        backward = staticmethod(operation.no_second_derivative)
        jvp = staticmethod(operation.no_forward_mode)

        @staticmethod
        def forward(derivs: Any, *inputs: Any) -> Any:
            traced = is_traced(torch, derivs)
            return (operation.backprop_operator if traced else operation.backprop)(derivs, *inputs)

        @staticmethod
        def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
            return operation.batched_backprop(TransformableBackprop.apply, info, in_dims, inputs)

    class Transformable(torch.autograd.Function):
        setup_context = staticmethod(operation.save)
        jvp = staticmethod(operation.no_forward_mode)

        @staticmethod
        def forward(*inputs: Any) -> Any:
            traced = any(is_traced(torch, array) for array in inputs[: operation.n_arrays])
            return (operation.operator if traced else operation.forward)(*inputs)

        @staticmethod
        def backward(ctx: Any, derivs: Any) -> Any:
            return operation.gradients(ctx, ctx.saved_tensors, TransformableBackprop.apply, derivs)

        @staticmethod
        def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
            return operation.batched(Transformable.apply, info, in_dims, inputs)

    class Eager(torch.autograd.Function):
        jvp = staticmethod(operation.no_forward_mode)

        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            out = operation.forward(*inputs)
            operation.save(ctx, inputs, out)
            return out

        @staticmethod
        def backward(ctx: Any, derivs: Any) -> Any:
            # Every reading calls the hooks of saved tensors; those of checkpoints allow one.
            saved = ctx.saved_tensors
            if not _is_watched(torch, (derivs, *saved)):
                backprop = operation.backprop
            elif is_traced(torch, derivs):
                backprop = operation.backprop_operator
            else:
                backprop = TransformableBackprop.apply
            return operation.gradients(ctx, saved, backprop, derivs)

    Eager.__name__ = Transformable.__name__ = operation.name
    return Eager, Transformable
