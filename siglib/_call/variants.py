"""Options of a function that other functions serve: `correction` and `stream` of `sig` and `log_sig`."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from .options import as_bool, is_empty

P = ParamSpec("P")
R = TypeVar("R")


def variant(
    option: str, is_off: Callable[[Any], bool], function: Callable[..., Any]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let `function` take the calls in which `option` is not off.

    It stands in front of `_autograd.differentiable`: each of the two functions has its own gradient.
    """

    def decorate(plain: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(plain)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            if option in kwargs:
                value = kwargs.pop(option)
                if not is_off(value):
                    return function(*args, **{option: value}, **kwargs)
            return plain(*args, **kwargs)

        return call

    return decorate


def is_no_stream(stream: Any) -> bool:
    """Whether the signature of the whole path is wanted, not those of all prefixes."""
    return not as_bool("stream", stream)


def refuse_correction(correction: Any) -> None:
    """For streams, which take none."""
    if not is_empty(correction):
        raise ValueError("correction cannot be used together with stream: leave one of them out")
