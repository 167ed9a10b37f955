"""Operators for PyTorch's compiler: `torch.ops.siglib.<name>` and `<name>_backprop`, registered at their first use.

Torch knows an operator by its schema (arrays, then all options, by position), its body, a shape rule for tensors
without data, its derivative, and a rule for vmap. All of it comes from the declaration of the operation.
"""

import sys
from typing import Any, NamedTuple

from . import torch_autograd
from .formats import torch_tensors
from .torch_second_order import (
    added,
    as_primals,
    backprop_tangent,
    both_tangents,
    chosen,
    forward_mode,
    help_of,
    tangent,
    with_operators,
)
from .torch_vmap import batched, batched_backprop


class Operators(NamedTuple):
    """An operation and its gradient."""

    forward: Any
    backprop: Any
    library: Any  # torch forgets the operators when this is collected


def bits(needs: Any) -> int:
    """Which gradients are wanted, as one bit for each array."""
    return sum(1 << i for i, need in enumerate(needs) if need)


def register(operation: Any) -> Operators:
    """Define the two operators of an operation."""
    torch: Any = sys.modules["torch"]
    library = torch.library.Library("siglib", "FRAGMENT")
    n, n_saved = operation.n_arrays, operation.n_arrays + bool(operation.keeps_out)
    schemas = [f"{meaning.schema} {name}" for name, meaning in operation.meaning]

    def define(name: str, inputs: list[str], results: str, body: Any, fake: Any, batch: Any) -> Any:
        library.define(f"{name}({', '.join(inputs + schemas)}) -> {results}", tags=(torch.Tag.pt2_compliant_tag,))
        library.impl(name, body, "CompositeExplicitAutograd")
        operator = getattr(torch.ops.siglib, name).default

        def batching_rule(info: Any, in_dims: Any, *inputs: Any) -> Any:
            return batch(operator, info, in_dims, inputs)

        torch.library.register_fake(operator, fake, lib=library)
        torch.library.register_vmap(operator, batching_rule, lib=library)
        return operator

    def named(options: Any) -> dict[str, Any]:
        return dict(zip(operation.options, options, strict=True))

    def known(options: Any) -> Any:
        """Options for sizes, without their numbers where they are tensors."""
        pairs = zip(operation.meaning, options, strict=True)
        values = [v if m.schema == "Tensor?" else m.clean(name, v) for (name, m), v in pairs]
        return operation.Options._make(values)

    # Forward

    def forward(*inputs: Any) -> Any:
        return operation.compute(inputs[:n], operation.clean(named(inputs[n:])))

    def fake(*inputs: Any) -> Any:
        there = {k: v for k, v in zip(operation.shared_names, inputs, strict=False) if v is not None}
        _, dtype = torch_tensors(there)
        shapes = [None if array is None else tuple(array.shape) for array in inputs[: operation.n_shared]]
        shape = operation.sizes(known(inputs[n:]), *shapes)[0]
        return torch.empty(shape, dtype=dtype, device=inputs[0].device)

    def rule(operator: Any, info: Any, in_dims: Any, inputs: Any) -> Any:
        options = inputs[n:]
        return batched(
            operation, lambda *tensors: operator(*tensors, *options), info, in_dims[:n], inputs[:n], known(options)
        )

    # Backward: derivatives, the result if it is kept, the arrays, which gradients are wanted, options

    def split(inputs: Any) -> tuple[Any, Any, tuple[bool, ...], Any]:
        """The result or None, the arrays, what is wanted, options."""
        saved, options = inputs[:n_saved], inputs[n_saved + 1 :]
        needs = tuple(bool(inputs[n_saved] >> i & 1) for i in range(n))
        return (saved[0] if operation.keeps_out else None), saved[-n:], needs, options

    def one_or_all(gradients: Any) -> Any:
        return gradients[0] if n == 1 else tuple(gradients)

    def backprop(derivs: Any, *inputs: Any) -> Any:
        out, arrays, needs, options = split(inputs)
        o = operation.clean(named(options))
        keeps = operation.keeps(o)
        names = ("derivs", *["out"] * keeps, *operation.shared_names)
        on, (seeds, *found) = operation.dispatch((derivs, *[out] * keeps, *arrays), names)
        out = found.pop(0) if keeps else None
        sizes = operation.known_sizes(o, *operation.shapes_of(found))
        results = operation.pulled(on, needs, seeds, out, o, sizes, found)
        # Operators give tensors only: an empty one stands for no gradient.
        return one_or_all([derivs.new_empty(0) if result is None else result for result in results])

    def fake_backprop(derivs: Any, *inputs: Any) -> Any:
        _, arrays, needs, _ = split(inputs)
        pairs = zip(arrays, needs, strict=True)
        return one_or_all([derivs.new_empty(0) if not w or a is None else a.new_empty(a.shape) for a, w in pairs])

    def backprop_rule(operator: Any, info: Any, in_dims: Any, inputs: Any) -> Any:
        derivs, rest = inputs[0], inputs[1:]
        out, arrays, needs, options = split(rest)
        bits = rest[n_saved]

        def call(derivs: Any, out: Any, *arrays: Any) -> Any:
            results = operator(derivs, *([out] if operation.keeps_out else []), *arrays, bits, *options)
            return (results,) if n == 1 else results

        out_dim = (in_dims[1],) if operation.keeps_out else (None,)
        dims = (in_dims[0], *out_dim, *in_dims[1 + n_saved - n : 1 + n_saved])
        results, where = batched_backprop(operation, call, info, dims, (derivs, out, *arrays), needs)
        return one_or_all(results), one_or_all(where)

    tensors = [f"Tensor? {a.rstrip('?')}" if a.endswith("?") else f"Tensor {a}" for a in operation.arrays]
    saved = ["Tensor out"] * bool(operation.keeps_out) + tensors
    whole = define(operation.name, tensors, "Tensor", forward, fake, rule)
    gradient = define(
        f"{operation.name}_backprop",
        ["Tensor derivs", *saved, "int needs"],
        "Tensor" if n == 1 else f"({', '.join(['Tensor'] * n)})",
        backprop,
        fake_backprop,
        backprop_rule,
    )

    # Derivatives

    def save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.options = inputs[n:]
        out = [output if operation.keeps(known(ctx.options)) else output.detach().new_empty(0)]
        ctx.save_for_backward(*out * bool(operation.keeps_out), *inputs[:n])
        ctx.save_for_forward(*inputs[:n])

    def backward(ctx: Any, needs: tuple[bool, ...], derivs: Any) -> Any:
        saved = ctx.saved_tensors
        results = gradient(derivs, *map(help_of, saved[:-n]), *saved[-n:], bits(needs[:n]), *ctx.options)
        return *chosen((results,) if n == 1 else results, needs[:n]), *(None for _ in ctx.options)

    def jvp(ctx: Any, *directions: Any) -> Any:
        with forward_mode(), with_operators():
            o = operation.clean_but_arrays(named(ctx.options))
            return tangent(operation, o, as_primals(ctx.saved_tensors), directions[:n])

    def save_gradient(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        derivs, *rest = inputs
        out, arrays, ctx.needs, ctx.options = split(rest)
        ctx.save_for_backward(derivs, out, *arrays)
        ctx.save_for_forward(derivs, out, *arrays)
        ctx.set_materialize_grads(False)

    def apply(o: Any, needs: Any, derivs: Any, out: Any, *tensors: Any) -> Any:
        options = [meaning.plain(name, value) for (name, meaning), value in zip(operation.meaning, o, strict=True)]
        kept = [derivs.new_empty(0) if out is None else out] * bool(operation.keeps_out)
        results = gradient(derivs, *kept, *tensors, bits(needs), *options)
        return (results,) if n == 1 else results

    def backward_of_gradient(ctx: Any, needs: tuple[bool, ...], *directions: Any) -> Any:
        derivs, _, *tensors = ctx.saved_tensors
        o, directions = operation.clean_but_arrays(named(ctx.options)), chosen(directions, ctx.needs)
        wanted = (needs[0], *needs[1 + n_saved - n : 1 + n_saved])
        with with_operators():
            first, *more = both_tangents(operation, apply, o, derivs, tensors, directions, wanted)
        return first, *[None] * (n_saved - n), *more, None, *(None for _ in ctx.options)

    def jvp_of_gradient(ctx: Any, derivs_direction: Any, *directions: Any) -> Any:
        o = operation.clean_but_arrays(named(ctx.options))
        with forward_mode(), with_operators():
            derivs, out, *tensors = as_primals(ctx.saved_tensors)
            moves = directions[n_saved - n : n_saved]
            results = backprop_tangent(operation, apply, o, derivs, tensors, moves, ctx.needs)
            if derivs_direction is not None:
                own = apply(o, ctx.needs, derivs_direction, out, *tensors)
                results = tuple(map(added, results, chosen(own, ctx.needs)))
            return one_or_all([derivs.new_empty(0) if result is None else result for result in results])

    torch_autograd.register(library, whole, operation.name, save, backward, jvp)
    backprop_name = f"{operation.name}_backprop"
    torch_autograd.register(library, gradient, backprop_name, save_gradient, backward_of_gradient, jvp_of_gradient)
    return Operators(whole, gradient, library)
