"""Options of a function that other functions serve: `correction` and `stream` of `sig` and `log_sig`."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from ._checks import as_bool, is_empty

P = ParamSpec("P")
R = TypeVar("R")


def variants(**options: tuple[Callable[[Any], bool], Callable[..., Any]]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let other functions take the calls in which an option is not off: for each option whether it is, and a function.

    What comes first counts. It stands in front of `_autograd.differentiable`: each function has its own gradient.
    """
    ways = [(option, *way) for option, way in options.items()]

    def decorate(plain: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(plain)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            for option, is_off, function in ways:
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
