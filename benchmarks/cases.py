"""What is measured, in one place: operations, with the shapes and options that they are measured with.

Which arrays an operation takes says the table of the tests, so an entry of `OPERATIONS` is a name, shapes and
options. What is in that table and has no entry here is one of `THE_REST`. `compare.py` calls `OPERATIONS` from siglib
and from pysiglib, the asv benchmarks call both dictionaries from siglib alone.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import others
from calls import OF_ARRAYS, KernelShape, Operation, Shape, by_hand, measured

import siglib

# Long and short, wide and narrow, deep and shallow; one long path alone, and a batch smaller than a vector.
SHAPES = (
    Shape(64, 1000, 5, 5),
    Shape(32, 1000, 10, 4),
    Shape(32, 1000, 2, 8),
    Shape(256, 100, 3, 4),
    Shape(1, 10000, 5, 5),
    Shape(64, 1024, 16, 3),
    Shape(16, 256, 4, 7),
    Shape(1024, 20, 4, 4),
)
# Hundreds of channels, and millions of words: sensors, embeddings.
CHANNEL_SHAPES = (
    Shape(1, 270, 1345, 1),
    Shape(8, 50, 300, 1),
    Shape(1, 50, 100, 2),
    Shape(8, 270, 100, 2),
    Shape(1, 270, 300, 2),
    Shape(1, 1000, 500, 2),
    Shape(1, 270, 1000, 2),
    Shape(1, 100, 20, 5),
)
# For operations on signatures the length of the path they came from does not matter.
SIG_SHAPES = tuple(shape._replace(length=min(shape.length, 50)) for shape in SHAPES)
TINY = Shape(1, 4, 2, 2)
# For single coefficients; the degree is the length of the longest words.
COEF_SHAPES = (Shape(64, 500, 5, 6), Shape(256, 100, 3, 5), Shape(32, 1000, 10, 4), Shape(1, 10000, 5, 6))

KERNEL_SHAPES = (
    KernelShape(16, 100, 5),
    KernelShape(16, 500, 5),
    KernelShape(8, 1000, 8),
    KernelShape(32, 200, 3),
    KernelShape(16, 256, 32),
)
# For what others need very long for, or much memory.
FEW_KERNEL_SHAPES = (KernelShape(16, 100, 5), KernelShape(32, 200, 3))
# One pair: all that runs side by side must be found within its grid.
PAIR_SHAPES = (KernelShape(1, 2000, 2), KernelShape(1, 2000, 5), KernelShape(1, 2000, 8), KernelShape(1, 500, 3))
# Branched kernels: one pair alone has no others to share a vector with.
BRANCHED_GRAM_SHAPES = (KernelShape(64, 129, 3), KernelShape(16, 257, 5))
BRANCHED_PAIR_SHAPES = (KernelShape(1, 129, 3), KernelShape(1, 500, 3))


# Trees and planar forests are many: few channels, few nodes.
BRANCHED_SHAPES = (Shape(64, 129, 2, 4), Shape(64, 129, 3, 4), Shape(64, 129, 2, 5))
# Others need seconds for longer ones.
CORRECTED_SHAPES = (Shape(64, 257, 3, 4), Shape(32, 257, 5, 4), Shape(64, 257, 2, 6), Shape(32, 129, 10, 3))
WINDOW_SHAPES = (Shape(8, 1000, 3, 4), Shape(8, 1000, 5, 4))
SEPARATE_WINDOW_SHAPES = (Shape(64, 1000, 3, 4), Shape(64, 1000, 5, 4))
PREFIX_SHAPES = (Shape(1, 10000, 3, 4), Shape(1, 10000, 5, 4))
INTERVAL_SHAPES = (Shape(1, 20000, 3, 4), Shape(1, 20000, 3, 5), Shape(1, 20000, 5, 4))


@lru_cache
def some_words(shape: Shape, n: int) -> list[tuple[int, ...]]:
    """`n` random words of half to the whole degree's length."""
    rng = np.random.default_rng(n)
    lengths = rng.integers((shape.degree + 1) // 2, shape.degree + 1, n)
    return [tuple(rng.integers(0, shape.dimension, length).tolist()) for length in lengths]


def ito(lib: Any, shape: Shape, dtype: Any) -> np.ndarray:
    """The same term at level 2 for every segment."""
    return (-0.5 * np.eye(shape.dimension).ravel() / shape.length).astype(dtype)


# How names of operations begin, or go on, that belong to neither signatures and log-signatures nor kernels.
_FAMILY = (
    "branched",
    "sig_join",
    "sig_coef",
    "sig_windows",
    "sig_prefixes",
    "logsig_to_sig",
    "log_sig_combine",
    "IntervalSignature",
)
_FAMILY_OPTIONS = ("corrected", "method 3")


def group_of(name: str) -> str:
    """Signatures, the rest of their family, and kernels have tables of their own."""
    if "kernel" in name:
        return "kernels"
    return "family" if name.startswith(_FAMILY) or name.endswith(_FAMILY_OPTIONS) else "signatures"


STATIC_KERNELS: dict[str, Callable[..., Any]] = {
    "linear": lambda lib, s: None,
    "RBF": lambda lib, s: lib.RBFKernel(float(s.dimension)),
    "polynomial": lambda lib, s: lib.PolynomialKernel(2.0),
    "Matern 1/2": lambda lib, s: lib.Matern12Kernel(float(s.dimension)),
    "Matern 3/2": lambda lib, s: lib.Matern32Kernel(float(s.dimension)),
    "Matern 5/2": lambda lib, s: lib.Matern52Kernel(float(s.dimension)),
    "rational quadratic": lambda lib, s: lib.RationalQuadraticKernel(float(s.dimension)),
}
FINITE_DIFFERENCE = {"dyadic_order": 0}
POLYNOMIAL = {"method": "polynomial", "order": 6}
KINDS = {"branched": False, "planar": True}
OPERATIONS: dict[str, Operation] = {}


def add(name: str, shapes: tuple[Any, ...] = SHAPES, variant: str = "", **options: Any) -> None:
    """A public function with these options; `variant` is what its name goes on with."""
    OPERATIONS[f"{name}, {variant}" if variant else name] = measured(name, shapes, **options)


for _name in ("sig", "sig_backprop"):
    add(_name)
for _name in ("sig_combine", "sig_combine_backprop"):
    add(_name, SIG_SHAPES)
for _name in ("sig", "sig_backprop"):
    add(_name, CHANNEL_SHAPES, "many channels")
for _kind, _planar in KINDS.items():
    for _name in ("branched_sig", "branched_sig_backprop", "branched_log_sig", "branched_sig_combine"):
        add(_name, BRANCHED_SHAPES, _kind, planar=_planar)
add("branched_sig", BRANCHED_SHAPES, "planar, corrected", planar=True, correction=ito)
for _name in ("sig", "sig_backprop"):
    add(_name, CORRECTED_SHAPES, "corrected", correction=ito)
add("sig_join", SIG_SHAPES)
add("logsig_to_sig", SIG_SHAPES, "method 2", method=2)
add("log_sig_combine", SIG_SHAPES)
for _name in ("sig_to_log_sig", "sig_to_log_sig_backprop"):
    for _method in (1, 2):
        add(_name, SIG_SHAPES, f"method {_method}", method=_method)
for _method in (1, 2, 3):
    add("log_sig", SHAPES, f"method {_method}", method=_method)
for _n in (1, 50, 500):
    for _name in ("sig_coef", "sig_coef_backprop"):
        add(_name, COEF_SHAPES, f"{_n} words", words=lambda lib, s, dtype, n=_n: some_words(s, n))
    OPERATIONS[f"sig_coef_backprop, {_n} words"] = others.with_copied_derivs(
        OPERATIONS[f"sig_coef_backprop, {_n} words"]
    )
for _name, _stride, _shapes in (
    ("50 points", 1, WINDOW_SHAPES),
    ("50 points, stride 50", 50, SEPARATE_WINDOW_SHAPES),
):
    OPERATIONS[f"sig_windows, {_name}"] = others.windows(_shapes, _stride)
    OPERATIONS[f"sig_windows_backprop, {_name}"] = others.windows_backprop(_shapes, _stride)
OPERATIONS["sig_prefixes"] = by_hand(others.path_of, others.expanding, PREFIX_SHAPES)
for _n, _points, _name in (
    (1000, 10, "short"),
    (1000, 100, "middle"),
    (1000, 0, "long"),
    (10000, 10, "short"),
    (10000, 0, "long"),
):
    OPERATIONS[f"IntervalSignature, {_n} {_name} intervals"] = others.intervals(INTERVAL_SHAPES, _n, _points)
OPERATIONS["IntervalSignature, one interval"] = by_hand(others.path_of, others.ask_once, INTERVAL_SHAPES)


def add_gram(name: str, kernel: Callable[..., Any], shapes: tuple[KernelShape, ...], **scheme: Any) -> None:
    """Gram matrices of two batches, and their gradients for both."""
    scheme["static_kernel"] = lambda lib, s, dtype: kernel(lib, s)
    add("sig_kernel_gram", shapes, name, **scheme)
    add("sig_kernel_gram_backprop", shapes, name, right_deriv=True, **scheme)


for _name, _kernel in STATIC_KERNELS.items():
    add_gram(_name, _kernel, KERNEL_SHAPES if _name in ("linear", "RBF") else FEW_KERNEL_SHAPES, **FINITE_DIFFERENCE)
add_gram("linear, polynomial method", STATIC_KERNELS["linear"], FEW_KERNEL_SHAPES, **POLYNOMIAL)
OPERATIONS["sig_kernel_gram, linear, one batch"] = by_hand(
    others.path_of,
    lambda lib, s, n_jobs, x: lib.sig_kernel_gram(x, x, n_jobs=n_jobs, **FINITE_DIFFERENCE),
    KERNEL_SHAPES,
)
add("sig_kernel", PAIR_SHAPES, "one pair", **FINITE_DIFFERENCE)
add("sig_kernel_backprop", PAIR_SHAPES, "one pair", right_deriv=True, **FINITE_DIFFERENCE)
# Kernels of depth 3 are three exponentials deep: of longer paths they overflow.
for _name, _shapes, _variant in (
    ("branched_sig_kernel_gram", BRANCHED_GRAM_SHAPES, ""),
    ("branched_sig_kernel", BRANCHED_PAIR_SHAPES, ", one pair"),
):
    for _key, _options in ((_name, {}), (f"{_name}_backprop", {"right_deriv": True})):
        OPERATIONS[_key + _variant] = measured(_key, _shapes, 0.5, depth=3, **FINITE_DIFFERENCE, **_options)

# What is measured for the history of the project alone: the rest of the table of operations, at one shape. Arguments
# that most have no default for, by name.
SOME = {Shape: (Shape(64, 100, 3, 4),), KernelShape: (KernelShape(16, 100, 5),)}
ARGUMENTS = {
    "words": lambda lib, s, dtype: some_words(s, 50),
    "trees": lambda lib, s, dtype: list(siglib.trees(s.dimension, s.degree)[1:][-50:]),
    "dyadic_order": 0,
    "depth": 2,
    "static_kernel": lambda lib, s, dtype: lib.RBFKernel(float(s.dimension)),
    "window": 50,
}
THE_REST: dict[str, Operation] = {}
for _name in sorted({*OF_ARRAYS} - {name.partition(",")[0] for name in OPERATIONS}):
    _takes = inspect.signature(getattr(siglib, _name)).parameters
    THE_REST[_name] = measured(
        _name,
        SOME[KernelShape if "static_kernel" in _takes else Shape],
        **{key: value for key, value in ARGUMENTS.items() if key in _takes},
    )
