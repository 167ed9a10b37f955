"""Derivatives of operators: what `torch.library.register_autograd` does, and inside of torch.func, too.

A transform of torch.func that is compiled meets operators. There an ordinary `torch.autograd.Function` is refused; one
that belongs to a single level of transforms is what torch itself makes of functions there.
"""

import sys
from collections.abc import Callable
from typing import Any

from .torch_second_order import forward_mode


def register(
    library: Any, operator: Any, name: str, save: Callable[..., None], backward: Callable[..., Any], jvp: Any
) -> None:
    """The derivatives of an operator: `save(ctx, inputs, output)`, `backward(ctx, needs, *derivs)`, and `jvp(ctx,
    *directions)`, all without options that are no tensors.
    """
    torch: Any = sys.modules["torch"]
    core = torch._C

    def below(keyset: Any, *inputs: Any) -> Any:
        with core._AutoDispatchBelowAutograd():
            return operator.redispatch(keyset & core._after_autograd_keyset, *inputs)

    def lowered(keyset: Any, *inputs: Any) -> Any:
        # Functions run without derivatives; but there may be other levels below, that want some.
        with torch.enable_grad(), forward_mode():
            return below(keyset, *inputs)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        save(ctx, inputs[1:], output)

    def pulled(ctx: Any, *derivs: Any) -> Any:
        return None, *backward(ctx, ctx.needs_input_grad[1:], *derivs)

    def pushed(ctx: Any, _: Any, *directions: Any) -> Any:
        return jvp(ctx, *directions)

    methods: dict[str, Any] = {"forward": below, "setup_context": setup_context, "backward": pulled, "jvp": pushed}
    members = {method: staticmethod(function) for method, function in methods.items()}
    function: Any = type(name, (torch.autograd.Function,), members)
    members["forward"] = staticmethod(lowered)
    of_one_level: Any = type(name, (torch.autograd.function._SingleLevelFunction,), members)

    def implementation(keyset: Any, *inputs: Any) -> Any:
        if not core._are_functorch_transforms_active():
            wanted = torch.is_grad_enabled() and core._any_requires_grad(*inputs)
            if not wanted and torch.autograd.forward_ad._current_level < 0:
                return below(keyset, *inputs)
            return function.apply(keyset, *inputs)
        # Compiled programs enter levels of forward mode without a word to Python: nobody can ask for them.
        allowed = core._functorch.get_single_level_autograd_function_allowed()
        core._functorch.set_single_level_autograd_function_allowed(True)
        try:
            return of_one_level.apply(keyset, *inputs)
        finally:
            core._functorch.set_single_level_autograd_function_allowed(allowed)

    library.impl(name, implementation, "Autograd", with_keyset=True)
