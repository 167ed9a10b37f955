"""PyTorch: gradients of all operations, and calls that torch traces.

`Operation` asks one question here: does torch want more than values from this call? There are three answers.

* No (tensors that do not require grad): the operation computes as it does for everybody.
* A gradient, or a transform of torch.func: the call becomes a `torch.autograd.Function`. Its backward pass is a second
  one, around `Operation.backward`.
* A trace (torch.compile, torch.export, a tensor subclass): the call becomes the operator `torch.ops.siglib.<name>`, its
  gradient the operator `<name>_backprop`. Torch traces them without looking inside; see `torch_operator.py`.

All three run the same two bodies, forward and backward. The torch side of an operation is made when torch first asks
for it: siglib never imports torch. Derivatives of gradients, and along directions, are in `torch_second_order.py`.
"""

import sys
from typing import Any, NamedTuple

import numpy as np

from .backend import backend_of_tensors
from .formats import kernel_dtype, torch_tensors
from .torch_operator import Operators, bits, register
from .torch_second_order import (
    added,
    as_primals,
    backprop_tangent,
    both_tangents,
    both_tangents_of_numbers,
    chosen,
    forward_mode,
    help_of,
    here,
    tangent,
)
from .torch_vmap import batched, batched_backprop
from .tracing import is_functionalized, is_traced, is_transformed, untraced


def operators(operation: Any) -> Operators:
    """The operators of an operation, registered at their first use."""
    return operation.made(register)


# Calls that torch compiles: all of this is traced


def plain_inputs(operation: Any, torch: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
    """The arguments of a call as its operator takes them."""
    n = operation.n_shared
    numbers = [as_numbers(torch, value) for value in arrays[n:]]
    return [*arrays[:n], *numbers, *[meaning.plain(name, options[name]) for name, meaning in operation.meaning]]


def call_operator(torch: Any, operator: Any, dtypes: set[Any], inputs: list[Any]) -> Any:
    """The operator; it sees half precision as float32, so that its gradient needs no rounded result."""
    if dtypes == {torch.float16} or dtypes == {torch.bfloat16}:
        dtype = dtypes.pop()
        single = [v.float() if isinstance(v, torch.Tensor) and v.dtype is dtype else v for v in inputs]
        return operator(*single).to(dtype)
    return operator(*inputs)


# Calls that torch watches


def is_watched(torch: Any, arrays: tuple[Any, ...]) -> bool:
    """Whether torch wants more than values from these arrays."""
    tensor_class, has_graphs, tensors = torch.Tensor, torch.is_grad_enabled(), []
    for array in arrays:
        # Torch takes microseconds to say that something else is none of its tensors.
        if array is not None and type(array) is not np.ndarray and isinstance(array, tensor_class):
            if has_graphs and array.requires_grad:
                return True
            tensors.append(array)
    return bool(tensors) and (is_transformed(torch) or is_traced(torch, *tensors))


def watched(operation: Any, torch: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The operation, watched by torch."""
    inputs: Any = arrays
    numbers: tuple[Any, ...] = ()
    if operation.n_numbers:
        n = operation.n_shared
        inputs, numbers = arrays[:n], arrays[n:]
    result_dtype = kernel_dtype(torch, inputs)
    if result_dtype is None:
        inputs, result_dtype = torch_tensors(dict(zip(operation.shared_names, inputs, strict=True)))
    transformed = is_transformed(torch)
    given = (*inputs, *[value for value in numbers if type(value) is not tuple]) if numbers else inputs
    if not (transformed or is_traced(torch, *given)):
        if numbers:
            # A tensor of the memory of an array takes a third of the time, and no tracer sees it.
            more = [torch.from_numpy(np.array(v, np.float64)) if type(v) is tuple else v for v in numbers]
            inputs = (*inputs, *more)
        out = operation.made(_functions).apply_eager(operation.clean(options), *inputs)
    else:
        inputs = (*inputs, *[as_numbers(torch, value) for value in numbers])
        o = operation.clean_but_arrays(options)
        if transformed and not is_functionalized(torch, operation.name):
            out = operation.made(_functions).transformable.apply(o, *inputs)
        else:
            out = _as_operator(operation, o, *inputs)
    return out if out.dtype is result_dtype else out.to(result_dtype)


def applied(operation: Any, torch: Any, tensors: Any, o: Any) -> Any:
    """The operation on tensors in a format of loops, with options that are clean."""
    if not here.operators and is_transformed(torch) and not is_functionalized(torch, operation.name):
        return operation.made(_functions).transformable.apply(o, *tensors)
    if here.operators or any(is_traced(torch, tensor) for tensor in tensors if tensor is not None):
        return _as_operator(operation, o, *tensors)
    return operation.made(_functions).eager.apply(o, *tensors)


def as_numbers(torch: Any, numbers: Any) -> Any:
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


# The bodies of functions: inputs are tensors in a format of loops, or None, and options are clean


def _forward(operation: Any, o: Any, tensors: Any) -> tuple[Any, Any]:
    """The result and the sizes of the call."""
    n = operation.n_shared
    on, arrays = backend_of_tensors(operation.shared_names, tensors[:n], tensors[0].dtype)
    out, sizes = operation.run(on, (*arrays, *tensors[n:]), o)
    return on.result(out), sizes


def _backward(operation: Any, o: Any, sizes: Any, needs: Any, derivs: Any, saved: Any) -> tuple[Any, ...]:
    """Gradients of all tensors, None where none is needed; `saved` are the result or None, and the tensors."""
    n = 1 + operation.n_shared
    on, (derivs, out, *arrays) = backend_of_tensors(operation.saved_names, (derivs, *saved[:n]), saved[1].dtype)
    arrays.extend(saved[n:])
    if sizes is None:
        sizes = operation.known_sizes(o, *operation.shapes_of(arrays))
    return operation.pulled(on, needs, derivs, out, o, sizes, arrays)


def _as_operator(operation: Any, o: Any, *tensors: Any) -> Any:
    """The operation as one operator, which torch traces."""
    with untraced(sys.modules["torch"]):
        # Shapes that do not fit raise here what the operation would raise, instead of torch's complaint.
        operation.sizes(o, *operation.shapes_of(tensors))
        options = [meaning.plain(name, value) for (name, meaning), value in zip(operation.meaning, o, strict=True)]
        forward = operators(operation).forward
    return forward(*tensors, *options)


def _backprop_operator(operation: Any, o: Any, needs: Any, derivs: Any, out: Any, tensors: Any) -> tuple[Any, ...]:
    """Its gradient as one operator."""
    with untraced(sys.modules["torch"]):
        options = [meaning.plain(name, value) for (name, meaning), value in zip(operation.meaning, o, strict=True)]
        backprop = operators(operation).backprop
    saved = [out] * bool(operation.keeps_out) + [*tensors]
    results = backprop(derivs, *saved, bits(needs), *options)
    results = (results,) if operation.n_arrays == 1 else results
    return tuple(result if need else None for result, need in zip(results, needs, strict=True))


class _Functions(NamedTuple):
    """Two kinds of `torch.autograd.Function`: for eager gradients, and, 15 microseconds slower, for torch.func."""

    eager: Any
    apply_eager: Any  # `eager.apply` outside of all transforms
    transformable: Any


def _functions(operation: Any) -> _Functions:
    torch: Any = sys.modules["torch"]

    may_keep = bool(operation.keeps_out)

    def apply_eager(o: Any, *tensors: Any) -> Any:
        # Without what `Function.apply` asks for torch.func, but for tensors that have left one of its transforms.
        return apply(o, *[None if tensor is None else unwrapped(tensor) for tensor in tensors])

    def second_gradients(ctx: Any, needs: Any, directions: Any) -> Any:
        derivs, out, *tensors = ctx.saved_tensors
        directions = chosen(directions, ctx.needs)
        _, _, first, _, *more = needs
        wanted = (first, *more)
        moves = any(direction is not None for direction in directions)
        plain = not operation.n_numbers and not is_watched(torch, (derivs, *tensors, *directions))
        if plain and moves and any(more):
            o = operation.clean_arrays(ctx.o)
            first, *more = both_tangents_of_numbers(operation, o, derivs, out, tensors, directions, wanted)
        else:
            apply = TransformableBackprop.apply
            first, *more = both_tangents(operation, apply, ctx.o, derivs, tensors, directions, wanted)
        return None, None, first, None, *more

    # Inside of all transforms the call may be traced: make_fx(torch.func.grad(...)).
    class TransformableBackprop(torch.autograd.Function):
        @staticmethod
        def forward(o: Any, needs: Any, derivs: Any, out: Any, *tensors: Any) -> Any:
            if any(is_traced(torch, tensor) for tensor in (derivs, *tensors) if tensor is not None):
                results = _backprop_operator(operation, o, needs, derivs, out, tensors)
            else:
                results = _backward(operation, operation.clean_arrays(o), None, needs, derivs, (out, *tensors))
            # The results of a function are tensors; an empty one stands for no gradient.
            return tuple(derivs.new_empty(0) if result is None else result for result in results)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.o, ctx.needs, *tensors = inputs
            ctx.save_for_backward(*tensors)
            ctx.save_for_forward(*tensors)
            ctx.set_materialize_grads(False)

        @staticmethod
        def backward(ctx: Any, *directions: Any) -> Any:
            return second_gradients(ctx, ctx.needs_input_grad, directions)

        @staticmethod
        def jvp(ctx: Any, *directions: Any) -> Any:
            _, _, derivs_direction, _, *tensor_directions = directions
            apply, needs = TransformableBackprop.apply, ctx.needs
            with forward_mode():
                derivs, out, *tensors = as_primals(ctx.saved_tensors)
                results = backprop_tangent(operation, apply, ctx.o, derivs, tensors, tensor_directions, needs)
                if derivs_direction is not None:
                    own = apply(ctx.o, needs, derivs_direction, out, *tensors)
                    results = tuple(map(added, results, chosen(own, needs)))
            return tuple(derivs.new_empty(0) if result is None else result for result in results)

        @staticmethod
        def vmap(info: Any, in_dims: Any, o: Any, needs: Any, *inputs: Any) -> Any:
            def call(*tensors: Any) -> Any:
                return TransformableBackprop.apply(o, needs, *tensors)

            return batched_backprop(operation, call, info, in_dims[2:], inputs, needs)

    # The same for `Eager`, in two thirds of the time: there is no transform whose rules it must follow.
    class EagerBackprop(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, o: Any, sizes: Any, needs: Any, derivs: Any, out: Any, *tensors: Any) -> Any:
            results = _backward(operation, o, sizes, needs, derivs, (out, *tensors))
            TransformableBackprop.setup_context(ctx, (o, needs, derivs, out, *tensors), None)
            return tuple(derivs.new_empty(0) if result is None else result for result in results)

        @staticmethod
        def backward(ctx: Any, *directions: Any) -> Any:
            return None, *second_gradients(ctx, ctx.needs_input_grad[1:], directions)

    class Transformable(torch.autograd.Function):
        @staticmethod
        def forward(o: Any, *tensors: Any) -> Any:
            if is_traced(torch, *tensors):
                return _as_operator(operation, o, *tensors)
            return _forward(operation, operation.clean_arrays(o), tensors)[0]

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.o, *tensors = inputs
            ctx.save_for_backward(output if may_keep and operation.keeps(ctx.o) else None, *tensors)
            ctx.save_for_forward(*tensors)

        @staticmethod
        def backward(ctx: Any, derivs: Any) -> Any:
            needs = ctx.needs_input_grad[1:]
            out, *tensors = ctx.saved_tensors
            return None, *chosen(TransformableBackprop.apply(ctx.o, needs, derivs, help_of(out), *tensors), needs)

        @staticmethod
        def jvp(ctx: Any, _: Any, *directions: Any) -> Any:
            with forward_mode():
                return tangent(operation, ctx.o, as_primals(ctx.saved_tensors), directions)

        @staticmethod
        def vmap(info: Any, in_dims: Any, o: Any, *tensors: Any) -> Any:
            return batched(operation, lambda *t: Transformable.apply(o, *t), info, in_dims[1:], tensors, o)

    class Eager(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, o: Any, *tensors: Any) -> Any:
            out, sizes = _forward(operation, o, tensors)
            ctx.call = o, sizes
            ctx.save_for_backward(out if may_keep and operation.keeps(o) else None, *tensors)
            return out

        @staticmethod
        def backward(ctx: Any, derivs: Any) -> Any:
            # Every reading of saved tensors calls their hooks, and those of checkpoints allow one.
            (o, sizes), saved, needs = ctx.call, ctx.saved_tensors, ctx.needs_input_grad[1:]
            # What nobody watched when it was saved is watched now only together with what comes in, or by gradients.
            asked = torch.is_grad_enabled() or is_transformed(torch) or is_traced(torch, derivs)
            if not (asked and is_watched(torch, (derivs, *saved))):
                return None, *_backward(operation, o, sizes, needs, derivs, saved)
            out, *tensors = saved
            if is_traced(torch, derivs):
                return None, *_backprop_operator(operation, o, needs, derivs, out, tensors)
            given = (needs, derivs, help_of(out), *tensors)
            if is_transformed(torch):
                return None, *chosen(TransformableBackprop.apply(o, *given), needs)
            return None, *chosen(EagerBackprop.apply(o, sizes, *given), needs)

    Eager.__name__ = Transformable.__name__ = operation.name
    apply, unwrapped = super(torch.autograd.Function, Eager).apply, torch._C._functorch.unwrap_if_dead
    return _Functions(Eager, apply_eager, Transformable)
