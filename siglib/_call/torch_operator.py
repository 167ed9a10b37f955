"""Operators for PyTorch's compiler: `torch.ops.siglib.<name>` and `<name>_backprop`, registered at their first use.

Torch knows an operator by its schema (the parameters of the public function, all by position or name), its body, a
shape rule for tensors without data, its derivative, and a rule for vmap. All of it comes from a `TorchOperation`.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .backend import torch_tensors
from .options import as_bool, as_float, as_int
from .tracing import untraceable

# How an option is written in a schema, by its annotation; anything else is a tensor without a gradient (`correction`).
_SCHEMA_TYPES = {int: "SymInt", bool: "bool", float: "float", str: "str"}
# What makes an option the plain value that a schema wants, np.int64(3) -> 3, or raises what the operation would raise.
_PLAIN: dict[Any, Callable[[str, Any], Any]] = {
    int: functools.partial(as_int, minimum=-(2**63)),
    bool: as_bool,
    float: as_float,
    str: lambda name, value: value,
}


class Operators(NamedTuple):
    """An operation and its gradient."""

    forward: Any
    backprop: Any
    library: Any  # torch forgets the operators when this is collected


def plain_casts(options: list[inspect.Parameter]) -> dict[str, Callable[[str, Any], Any]]:
    """What makes options the values that schemas want, by name."""
    return {p.name: _PLAIN.get(p.annotation, _as_tensor) for p in options}


def _as_tensor(name: str, value: Any) -> Any:
    """An option that is an array of integers, or None."""
    torch: Any = sys.modules["torch"]
    if value is None or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, (list, tuple, range)):
        items = [
            _as_tensor(name, item) if isinstance(item, (list, tuple, np.ndarray, np.generic)) else item
            for item in value
        ]
        if any(isinstance(item, torch.Tensor) for item in items):
            return torch.stack([torch.as_tensor(item, device="cpu") for item in items])
        return torch.as_tensor(items, device="cpu")
    if not isinstance(value, np.ndarray):
        value = np.asarray(value)
        if value.dtype == object:
            raise RuntimeError(untraceable("torch", name))
    return torch.as_tensor(value, device="cpu")


def register(operation: Any) -> Operators:
    """Define the two operators of a `TorchOperation`."""
    torch: Any = sys.modules["torch"]
    library = torch.library.Library("siglib", "FRAGMENT")
    n = operation.n_arrays

    def define(name: str, inputs: list[str], results: str, body: Any, fake: Any, batched: Any) -> Any:
        parameters = inputs + [_schema(option) for option in operation.options]
        library.define(f"{name}({', '.join(parameters)}) -> {results}", tags=(torch.Tag.pt2_compliant_tag,))
        library.impl(name, body, "CompositeExplicitAutograd")
        operator = getattr(torch.ops.siglib, name).default

        def batching_rule(info: Any, in_dims: Any, *inputs: Any) -> Any:
            return batched(operator, info, in_dims, inputs)

        torch.library.register_fake(operator, fake, lib=library)
        torch.library.register_vmap(operator, batching_rule, lib=library)
        return operator

    def fake(*inputs: Any) -> Any:
        _, dtype = torch_tensors(dict(zip(operation.array_names[: operation.n_shared], inputs, strict=False)))
        shape = operation.shape(*(array.shape for array in inputs[:n]), **operation.named(inputs[n:]))
        return torch.empty(shape, dtype=dtype, device=inputs[0].device)

    def fake_backprop(derivs: Any, *inputs: Any) -> Any:
        arrays = inputs[: len(operation.saved_names)][-n:]
        wanted = operation.wanted(inputs[len(operation.saved_names)]) if operation.selective else (True,) * n
        return operation.one_or_all(
            tuple(a.new_empty(a.shape if want else 0) for a, want in zip(arrays, wanted, strict=True))
        )

    def tensors(names: list[str]) -> list[str]:
        return [f"Tensor {name}" for name in names]

    forward = define(
        operation.name, tensors(operation.array_names), "Tensor", operation.forward, fake, operation.batched
    )
    backprop = define(
        f"{operation.name}_backprop",
        tensors(["derivs", *operation.saved_names]) + ["int needs"] * operation.selective,
        "Tensor" if n == 1 else f"({', '.join(['Tensor'] * n)})",
        operation.backprop,
        fake_backprop,
        operation.batched_backprop,
    )

    def backward(ctx: Any, derivs: Any) -> Any:
        return operation.gradients(ctx, ctx.saved_tensors, backprop, derivs)

    torch.library.register_autograd(forward, backward, setup_context=operation.save, lib=library)
    torch.library.register_autograd(backprop, operation.no_second_derivative, lib=library)
    return Operators(forward, backprop, library)


def _schema(parameter: inspect.Parameter) -> str:
    kind = _SCHEMA_TYPES.get(parameter.annotation, "Tensor?")
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{kind} {parameter.name}{default}"
