"""What is called on a GPU's day, group by group: at sizes of benchmarks, and tiny, for tools that make it slow."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import siglib

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

import operations  # noqa: E402  # the table of operations that the tests share

Shapes = tuple[tuple[int, ...], ...]


class Case(NamedTuple):
    """`call(*arrays)` for arrays of these shapes, the first of which are paths; `tiny` for the same call on less."""

    name: str
    call: Callable[..., Any]
    shapes: Shapes
    tiny: Shapes

    def arrays(self, tiny: bool) -> list[np.ndarray]:
        """Numbers that float32 has, in float64: random walks about as long as 1, or derivatives."""
        rng = np.random.default_rng(len(self.name))
        made = []
        for shape in self.tiny if tiny else self.shapes:
            numbers = rng.standard_normal(shape)
            if len(shape) == 3:
                numbers = numbers.cumsum(axis=1) / np.sqrt(shape[1])
            made.append(numbers.astype(np.float32).astype(np.float64))
        return made


def _of_paths(name: str, call: Callable[..., Any], batch: int, length: int, d: int) -> Case:
    return Case(f"{name} {(batch, length, d)}", call, ((batch, length, d),), ((2, min(length, 70), d),))


def _with_derivs(name: str, call: Callable[..., Any], path: tuple[int, int, int], words: int) -> Case:
    batch, length, d = path
    return Case(f"{name} {path}", call, (path, (batch, words)), ((2, min(length, 70), d), (2, words)))


def _sig_cases() -> list[Case]:
    cases = []
    for d, degree in ((1, 4), (2, 3), (8, 3), (16, 3), (5, 5), (10, 4)):
        n = siglib.sig_length(d, degree)
        cases += [
            _of_paths(f"sig {degree}", lambda x, m=degree: siglib.sig(x, m), 64, 1000, d),
            _with_derivs(
                f"sig_backprop {degree}",
                lambda x, g, m=degree: siglib.sig_backprop(x, siglib.sig(x, m), g, m),
                (64, 1000, d),
                n,
            ),
        ]
    augmented = {"time_aug": True, "lead_lag": True}
    cases.append(_of_paths("sig 3 augmented", lambda x: siglib.sig(x, 3, **augmented), 64, 500, 3))
    cases.append(_of_paths("sig 3, one path", lambda x: siglib.sig(x, 3), 1, 20000, 4))
    cases.append(
        _of_paths("sig_combine", lambda x: siglib.sig_combine(siglib.sig(x, 4), siglib.sig(x, 4), 5, 4), 64, 50, 5)
    )
    return cases


def _log_cases() -> list[Case]:
    cases = []
    for d, degree in ((2, 8), (5, 5), (10, 3)):
        for method in (0, 1, 2):
            n = siglib.sig_length(d, degree) if method == 0 else siglib.log_sig_length(d, degree)
            cases += [
                _of_paths(
                    f"log_sig {degree}, {method}",
                    lambda x, m=degree, k=method: siglib.log_sig(x, m, method=k),
                    *(64, 500, d),
                ),
                _with_derivs(
                    f"log_sig_backprop {degree}, {method}",
                    lambda x, g, m=degree, k=method: siglib.log_sig_backprop(x, g, m, method=k),
                    (64, 500, d),
                    n,
                ),
            ]
    return cases


def _window_cases() -> list[Case]:
    cases = [
        _of_paths("sig_windows 3", lambda x: siglib.sig_windows(x, 3, 50), 16, 1000, 5),
        _of_paths("sig_prefixes 3", lambda x: siglib.sig_prefixes(x, 3), 16, 1000, 5),
        _of_paths("sig_prefixes 4, 2", lambda x: siglib.sig_prefixes(x, 4), 16, 1000, 2),
        _of_paths("branched_sig 3", lambda x: siglib.branched_sig(x, 3), 64, 500, 3),
    ]
    for name, gradient in (
        ("sig_windows_backprop", lambda x, g: siglib.sig_windows_backprop(x, g, 3, 50)),
        ("sig_prefixes_backprop", lambda x, g: siglib.sig_prefixes_backprop(x, g, 3)),
    ):
        shapes = []
        for batch, length in ((16, 1000), (2, 70)):
            n = length - 49 if "windows" in name else length
            shapes.append(((batch, length, 5), (batch, n, siglib.sig_length(5, 3))))
        cases.append(Case(name, gradient, *shapes))
    return cases


def _coefficient_cases() -> list[Case]:
    words = [tuple(int(letter) for letter in f"{k:05d}"[:n]) for k in range(0, 44444, 1111) for n in (3, 5)]
    words = [tuple(letter % 5 for letter in word) for word in words]
    return [
        _of_paths("sig_coef", lambda x: siglib.sig_coef(x, words), 64, 500, 5),
        _with_derivs(
            "sig_coef_backprop",
            lambda x, g: siglib.sig_coef_backprop(x, words, siglib.sig_coef(x, words, prefixes=True), g),
            (64, 500, 5),
            sum(map(len, words)),
        ),
    ]


_SOLVERS: dict[str, dict[str, Any]] = {
    "linear": {"dyadic_order": 0},
    "linear, order 1": {"dyadic_order": 1},
    "RBF": {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(1.0)},
    "polynomial method": {"method": "polynomial", "order": 4},
    "RBF, polynomial method": {"method": "polynomial", "order": 4, "static_kernel": siglib.RBFKernel(1.0)},
}


def _kernel_cases() -> list[Case]:
    cases = []
    for d in (3, 8):
        shapes = (((16, 200, d), (12, 150, d)), ((2, 40, d), (2, 70, d)))
        for name, options in _SOLVERS.items():
            for more in ({}, {"log": True}, {"normalize": True}):
                title = " ".join([f"gram {name} d={d}", *more])
                cases.append(
                    Case(title, lambda x, y, o=options, m=more: siglib.sig_kernel_gram(x, y, **o, **m), *shapes)
                )
    return cases


def _gradient_cases() -> list[Case]:
    cases = []
    for d, length in ((3, 150), (8, 201), (8, 110)):
        shapes = (((12, length, d), (10, 90, d), (12, 10)), ((2, 60, d), (2, 40, d), (2, 2)))
        for name, options in _SOLVERS.items():
            cases.append(
                Case(
                    f"gram_backprop {name} d={d} L={length}",
                    lambda x, y, g, o=options: siglib.sig_kernel_gram_backprop(g, x, y, right_deriv=True, **o),
                    *shapes,
                )
            )
    return cases


def _table_cases() -> list[Case]:
    cases = []
    for operation in operations.OPERATIONS + operations.OF_ALL_PAIRS:
        if "correction" in operation.options:  # it would have to be an array of the same library
            continue
        shapes = tuple(operation.shapes)
        cases.append(Case(operations.name_of(operation), operation, shapes, shapes))
    return cases


GROUPS: dict[str, Callable[[], list[Case]]] = {
    "operations": _table_cases,
    "signatures": _sig_cases,
    "logarithms": _log_cases,
    "windows": _window_cases,
    "coefficients": _coefficient_cases,
    "kernels": _kernel_cases,
    "gradients": _gradient_cases,
}

# What profilers look at: float32, long enough that one launch is worth it.
PROFILED: dict[str, Callable[..., Case]] = {
    "sig": lambda d, m: _of_paths("sig", lambda x: siglib.sig(x, m), 256, 10000, d),
    "sig_backprop": lambda d, m: _with_derivs(
        "sig_backprop",
        lambda x, g: siglib.sig_backprop(x, siglib.sig(x, m), g, m),
        (256, 10000, d),
        siglib.sig_length(d, m),
    ),
    "gram": lambda: Case(
        "gram", lambda x, y: siglib.sig_kernel_gram(x, y, dyadic_order=0), ((128, 500, 5),) * 2, ((2, 70, 5),) * 2
    ),
    "gram_backprop": lambda: Case(
        "gram_backprop",
        lambda x, y, g: siglib.sig_kernel_gram_backprop(g, x, y, right_deriv=True, dyadic_order=0),
        ((128, 500, 5), (128, 500, 5), (128, 128)),
        ((2, 70, 5), (2, 70, 5), (2, 2)),
    ),
}
