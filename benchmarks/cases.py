"""What is measured, in one place: the shapes, and for every operation its arguments and its call.

A new operation is one entry in `OPERATIONS`. `compare.py` calls it from siglib and from pysiglib, the asv benchmarks
from siglib alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

import siglib


class Shape(NamedTuple):
    """A batch of paths, and the degree to which their signatures are taken."""

    batch: int
    length: int
    dimension: int
    degree: int

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))})"


class KernelShape(NamedTuple):
    """Two batches of paths; every path of one meets every path of the other in a Gram matrix."""

    batch: int
    length: int
    dimension: int

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))})"


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


def brownian(shape: Shape | KernelShape, dtype: Any, seed: int = 2024) -> np.ndarray:
    """Random walks whose end is at a distance of about one: signatures of a sensible size."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((shape.batch, shape.length, shape.dimension)) / np.sqrt(shape.length)
    return steps.cumsum(axis=1).astype(dtype)


def like(array: np.ndarray) -> np.ndarray:
    """Random numbers of the same shape and dtype, for cotangents."""
    return np.random.default_rng(7).standard_normal(array.shape).astype(array.dtype)


def path_of(shape: Shape, dtype: Any) -> tuple[np.ndarray]:
    return (brownian(shape, dtype),)


def path_and_derivs(shape: Shape, dtype: Any) -> tuple[np.ndarray, ...]:
    path = brownian(shape, dtype)
    sig = siglib.sig(path, shape.degree)
    return path, sig, like(sig)


def sig_of(shape: Shape, dtype: Any) -> tuple[np.ndarray]:
    return (siglib.sig(brownian(shape, dtype), shape.degree),)


def sig_and_derivs(shape: Shape, dtype: Any) -> tuple[np.ndarray, ...]:
    (sig,) = sig_of(shape, dtype)
    lyndon = np.empty((shape.batch, siglib.log_sig_length(shape.dimension, shape.degree)), dtype)
    return sig, like(lyndon)


def two_sigs(shape: Shape, dtype: Any) -> tuple[np.ndarray, ...]:
    (sig,) = sig_of(shape, dtype)
    return sig, np.ascontiguousarray(sig[::-1])


def two_sigs_and_derivs(shape: Shape, dtype: Any) -> tuple[np.ndarray, ...]:
    sig1, sig2 = two_sigs(shape, dtype)
    return like(sig1), sig1, sig2


@lru_cache
def some_words(shape: Shape, n: int) -> list[tuple[int, ...]]:
    """`n` random words of half to the whole degree's length."""
    rng = np.random.default_rng(n)
    lengths = rng.integers((shape.degree + 1) // 2, shape.degree + 1, n)
    return [tuple(rng.integers(0, shape.dimension, length).tolist()) for length in lengths]


def path_and_coefs(shape: Shape, dtype: Any, n: int) -> tuple[np.ndarray, ...]:
    path = brownian(shape, dtype)
    coefs = siglib.sig_coef(path, some_words(shape, n), prefixes=True)
    return path, coefs, like(coefs)


def two_batches(shape: KernelShape, dtype: Any) -> tuple[np.ndarray, ...]:
    return brownian(shape, dtype), brownian(shape, dtype, seed=2025)


def two_batches_and_derivs(shape: KernelShape, dtype: Any) -> tuple[np.ndarray, ...]:
    return like(np.empty((shape.batch, shape.batch), dtype)), *two_batches(shape, dtype)


def pairs_and_derivs(shape: KernelShape, dtype: Any) -> tuple[np.ndarray, ...]:
    return like(np.empty(shape.batch, dtype)), *two_batches(shape, dtype)


@dataclass(frozen=True)
class Operation:
    """`call(library, shape, n_jobs, *arrays)` with the arrays that `arrays(shape, dtype)` makes."""

    arrays: Callable[..., tuple[np.ndarray, ...]]
    call: Callable[..., Any]
    shapes: tuple[Any, ...] = SHAPES


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


OPERATIONS = {
    "sig": Operation(path_of, lambda lib, s, n_jobs, path: lib.sig(path, s.degree, n_jobs=n_jobs)),
    "sig_backprop": Operation(
        path_and_derivs,
        lambda lib, s, n_jobs, path, sig, derivs: lib.sig_backprop(path, sig, derivs, s.degree, n_jobs=n_jobs),
    ),
    "sig_combine": Operation(
        two_sigs,
        lambda lib, s, n_jobs, sig1, sig2: lib.sig_combine(sig1, sig2, s.dimension, s.degree, n_jobs=n_jobs),
        SIG_SHAPES,
    ),
    "sig_combine_backprop": Operation(
        two_sigs_and_derivs,
        lambda lib, s, n_jobs, derivs, sig1, sig2: lib.sig_combine_backprop(
            derivs, sig1, sig2, s.dimension, s.degree, n_jobs=n_jobs
        ),
        SIG_SHAPES,
    ),
}

for _name in ("sig", "sig_backprop"):
    OPERATIONS[f"{_name}, many channels"] = replace(OPERATIONS[_name], shapes=CHANNEL_SHAPES)


def path_and_correction(shape: Shape, dtype: Any) -> tuple[np.ndarray, ...]:
    """Itô's lift: the same term at level 2 for every segment."""
    correction = -0.5 * np.eye(shape.dimension).ravel() / shape.length
    return brownian(shape, dtype), correction.astype(dtype)


def corrected_and_derivs(shape: Shape, dtype: Any) -> tuple[np.ndarray, ...]:
    path, correction = path_and_correction(shape, dtype)
    sig = siglib.sig(path, shape.degree, correction=correction)
    return path, correction, sig, like(sig)


# Trees and planar forests are many: few channels, few nodes.
BRANCHED_SHAPES = (Shape(64, 129, 2, 4), Shape(64, 129, 3, 4), Shape(64, 129, 2, 5))
KINDS = {"branched": False, "planar": True}


def bsig_and_derivs(shape: Shape, dtype: Any, planar: bool) -> tuple[np.ndarray, ...]:
    path = brownian(shape, dtype)
    bsig = siglib.branched_sig(path, shape.degree, planar=planar)
    return path, bsig, like(bsig)


def two_bsigs(shape: Shape, dtype: Any, planar: bool) -> tuple[np.ndarray, ...]:
    bsig = siglib.branched_sig(brownian(shape, dtype), shape.degree, planar=planar)
    return bsig, np.ascontiguousarray(bsig[::-1])


for _kind, _planar in KINDS.items():
    OPERATIONS[f"branched_sig, {_kind}"] = Operation(
        path_of,
        lambda lib, s, n_jobs, path, planar=_planar: lib.branched_sig(path, s.degree, planar=planar, n_jobs=n_jobs),
        BRANCHED_SHAPES,
    )
    OPERATIONS[f"branched_sig_backprop, {_kind}"] = Operation(
        partial(bsig_and_derivs, planar=_planar),
        lambda lib, s, n_jobs, path, bsig, derivs, planar=_planar: lib.branched_sig_backprop(
            path, bsig, derivs, s.degree, planar=planar, n_jobs=n_jobs
        ),
        BRANCHED_SHAPES,
    )
    OPERATIONS[f"branched_log_sig, {_kind}"] = Operation(
        path_of,
        lambda lib, s, n_jobs, path, planar=_planar: lib.branched_log_sig(path, s.degree, planar=planar, n_jobs=n_jobs),
        BRANCHED_SHAPES,
    )
    OPERATIONS[f"branched_sig_combine, {_kind}"] = Operation(
        partial(two_bsigs, planar=_planar),
        lambda lib, s, n_jobs, a, b, planar=_planar: lib.branched_sig_combine(
            a, b, s.dimension, s.degree, planar=planar, n_jobs=n_jobs
        ),
        BRANCHED_SHAPES,
    )
OPERATIONS["branched_sig, planar, corrected"] = Operation(
    path_and_correction,
    lambda lib, s, n_jobs, path, c: lib.branched_sig(path, s.degree, planar=True, correction=c, n_jobs=n_jobs),
    BRANCHED_SHAPES,
)

# Others need seconds for longer ones.
CORRECTED_SHAPES = (Shape(64, 257, 3, 4), Shape(32, 257, 5, 4), Shape(64, 257, 2, 6), Shape(32, 129, 10, 3))
OPERATIONS["sig, corrected"] = Operation(
    path_and_correction,
    lambda lib, s, n_jobs, path, c: lib.sig(path, s.degree, correction=c, n_jobs=n_jobs),
    CORRECTED_SHAPES,
)
OPERATIONS["sig_backprop, corrected"] = Operation(
    corrected_and_derivs,
    lambda lib, s, n_jobs, path, c, sig, derivs: lib.sig_backprop(
        path, sig, derivs, s.degree, correction=c, n_jobs=n_jobs
    ),
    CORRECTED_SHAPES,
)
OPERATIONS["sig_join"] = Operation(
    lambda s, dtype: (*sig_of(s, dtype), like(np.empty((s.batch, s.dimension), dtype))),
    lambda lib, s, n_jobs, sig, x: lib.sig_join(sig, x, s.dimension, s.degree, n_jobs=n_jobs),
    SIG_SHAPES,
)
OPERATIONS["logsig_to_sig, method 2"] = Operation(
    lambda s, dtype: (siglib.log_sig(brownian(s, dtype), s.degree, method=2),),
    lambda lib, s, n_jobs, log_sig: lib.logsig_to_sig(log_sig, s.dimension, s.degree, method=2, n_jobs=n_jobs),
    SIG_SHAPES,
)
OPERATIONS["log_sig_combine"] = Operation(
    lambda s, dtype: (siglib.log_sig(brownian(s, dtype), s.degree, method=2),) * 2,
    lambda lib, s, n_jobs, a, b: lib.log_sig_combine(a, b, s.dimension, s.degree, n_jobs=n_jobs),
    SIG_SHAPES,
)

for _method in (1, 2):
    OPERATIONS[f"sig_to_log_sig, method {_method}"] = Operation(
        sig_of,
        lambda lib, s, n_jobs, sig, method=_method: lib.sig_to_log_sig(
            sig, s.dimension, s.degree, method=method, n_jobs=n_jobs
        ),
        SIG_SHAPES,
    )
for _method in (1, 2):
    OPERATIONS[f"sig_to_log_sig_backprop, method {_method}"] = Operation(
        sig_and_derivs,
        lambda lib, s, n_jobs, sig, derivs, method=_method: lib.sig_to_log_sig_backprop(
            sig, derivs, s.dimension, s.degree, method=method, n_jobs=n_jobs
        ),
        SIG_SHAPES,
    )
for _method in (1, 2, 3):
    OPERATIONS[f"log_sig, method {_method}"] = Operation(
        path_of,
        lambda lib, s, n_jobs, path, method=_method: lib.log_sig(path, s.degree, method=method, n_jobs=n_jobs),
    )

for _n in (1, 50, 500):
    OPERATIONS[f"sig_coef, {_n} words"] = Operation(
        path_of,
        lambda lib, s, n_jobs, path, n=_n: lib.sig_coef(path, some_words(s, n), n_jobs=n_jobs),
        COEF_SHAPES,
    )
    # pysiglib overwrites the derivatives that it is given.
    OPERATIONS[f"sig_coef_backprop, {_n} words"] = Operation(
        lambda shape, dtype, n=_n: path_and_coefs(shape, dtype, n),
        lambda lib, s, n_jobs, path, coefs, derivs, n=_n: lib.sig_coef_backprop(
            path, some_words(s, n), coefs, derivs.copy(), n_jobs=n_jobs
        ),
        COEF_SHAPES,
    )


def windows_of(path: np.ndarray, length: int, stride: int) -> np.ndarray:
    """All windows of so many points, copied: (batch * n_windows, length, dimension). No view: pysiglib copies those."""
    views = np.lib.stride_tricks.sliding_window_view(path, length, axis=1)[:, ::stride].swapaxes(-1, -2)
    return views.reshape(-1, length, path.shape[-1]).copy()


def sliding(lib: Any, shape: Shape, n_jobs: int, path: np.ndarray, copies: np.ndarray, stride: int = 1) -> Any:
    """Signatures of all windows; libraries that have no such function take the copies."""
    if hasattr(lib, "sig_windows"):
        sigs = lib.sig_windows(path, shape.degree, copies.shape[-2], stride, n_jobs=n_jobs)
        return sigs.reshape(-1, sigs.shape[-1])
    return lib.sig(copies, shape.degree, n_jobs=n_jobs)


def sliding_backprop(
    lib: Any,
    shape: Shape,
    n_jobs: int,
    path: np.ndarray,
    copies: np.ndarray,
    sig: np.ndarray,
    derivs: np.ndarray,
    stride: int = 1,
) -> Any:
    if hasattr(lib, "sig_windows"):
        derivs = derivs.reshape(*path.shape[:-2], -1, derivs.shape[-1])
        return lib.sig_windows_backprop(path, derivs, shape.degree, copies.shape[-2], stride, n_jobs=n_jobs)
    # The gradient of the path is the sum over the copies of each point.
    found = lib.sig_backprop(copies, sig, derivs, shape.degree, n_jobs=n_jobs)
    found = found.reshape(*path.shape[:-2], -1, *copies.shape[-2:])
    gradient = np.zeros_like(path)
    for point in range(found.shape[-2]):
        gradient[..., point : point + stride * found.shape[-3] : stride, :] += found[..., point, :]
    return gradient


def path_and_windows(shape: Shape, dtype: Any, stride: int = 1) -> tuple[np.ndarray, ...]:
    path = brownian(shape, dtype)
    return path, windows_of(path, min(50, shape.length), stride)


def path_windows_and_derivs(shape: Shape, dtype: Any, stride: int = 1) -> tuple[np.ndarray, ...]:
    path, copies = path_and_windows(shape, dtype, stride)
    sig = siglib.sig(copies, shape.degree)
    return path, copies, sig, like(sig)


WINDOW_SHAPES = (Shape(8, 1000, 3, 4), Shape(8, 1000, 5, 4))
SEPARATE_WINDOW_SHAPES = (Shape(64, 1000, 3, 4), Shape(64, 1000, 5, 4))
for _name, _stride, _shapes in (
    ("50 points", 1, WINDOW_SHAPES),
    ("50 points, stride 50", 50, SEPARATE_WINDOW_SHAPES),
):
    OPERATIONS[f"sig_windows, {_name}"] = Operation(
        partial(path_and_windows, stride=_stride), partial(sliding, stride=_stride), _shapes
    )
    OPERATIONS[f"sig_windows_backprop, {_name}"] = Operation(
        partial(path_windows_and_derivs, stride=_stride), partial(sliding_backprop, stride=_stride), _shapes
    )


def expanding(lib: Any, shape: Shape, n_jobs: int, path: np.ndarray) -> Any:
    """Signatures of all prefixes of a single path; other libraries' streams keep them."""
    path = path.reshape(shape.length, shape.dimension)
    if hasattr(lib, "sig_prefixes"):
        return lib.sig_prefixes(path, shape.degree, n_jobs=n_jobs)
    stream = lib.SigStream(shape.dimension, shape.degree, n_jobs=n_jobs)
    for point in path:
        stream.push(point)
    return stream.sig_all()


PREFIX_SHAPES = (Shape(1, 10000, 3, 4), Shape(1, 10000, 5, 4))
OPERATIONS["sig_prefixes"] = Operation(path_of, expanding, PREFIX_SHAPES)

INTERVAL_SHAPES = (Shape(1, 20000, 3, 4), Shape(1, 20000, 3, 5), Shape(1, 20000, 5, 4))


@lru_cache(maxsize=4)
def queryable(lib: Any, shape: Shape, dtype: Any) -> Any:
    """A path that can be asked for intervals; what it takes to make it is not measured."""
    path = brownian(shape, dtype)[0]
    if hasattr(lib, "IntervalSignature"):
        return lib.IntervalSignature(path, shape.degree)
    stream = lib.SigStream(shape.dimension, shape.degree)
    for point in path:
        stream.push(point)
    return stream


@lru_cache(maxsize=4)
def some_intervals(shape: Shape, n: int, points: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Random intervals of so many points, or of any number if `points` is 0; as an array and as a list."""
    rng = np.random.default_rng(n + points)
    if points == 0:
        pairs = np.sort(rng.integers(0, shape.length, (n, 2)), axis=1)
    else:
        points = min(points, shape.length)
        pairs = rng.integers(0, shape.length - points + 1, (n, 1)) + [0, points - 1]
    return pairs, [tuple(pair) for pair in pairs.tolist()]


def ask(lib: Any, shape: Shape, path: np.ndarray, n: int, points: int) -> Any:
    """Signatures of `n` intervals on one thread: pysiglib takes no more for them."""
    source = queryable(lib, shape, path.dtype)
    pairs, as_list = some_intervals(shape, n, points)
    return source.sig_batch(*pairs.T) if hasattr(lib, "IntervalSignature") else source.sig_batch(as_list)


for _n, _points, _name in (
    (1000, 10, "short"),
    (1000, 100, "middle"),
    (1000, 0, "long"),
    (10000, 10, "short"),
    (10000, 0, "long"),
):
    OPERATIONS[f"IntervalSignature, {_n} {_name} intervals"] = Operation(
        path_of,
        lambda lib, s, n_jobs, path, n=_n, points=_points: ask(lib, s, path, n, points),
        INTERVAL_SHAPES,
    )
OPERATIONS["IntervalSignature, one interval"] = Operation(
    path_of,
    lambda lib, s, n_jobs, path: queryable(lib, s, path.dtype).sig(s.length // 9, s.length - 1),
    INTERVAL_SHAPES,
)

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


def _add_gram(name: str, kernel: Callable[..., Any], shapes: tuple[KernelShape, ...], **scheme: Any) -> None:
    """Gram matrices of two batches, and their gradients for both."""
    OPERATIONS[f"sig_kernel_gram, {name}"] = Operation(
        two_batches,
        lambda lib, s, n_jobs, x, y: lib.sig_kernel_gram(x, y, static_kernel=kernel(lib, s), n_jobs=n_jobs, **scheme),
        shapes,
    )
    OPERATIONS[f"sig_kernel_gram_backprop, {name}"] = Operation(
        two_batches_and_derivs,
        lambda lib, s, n_jobs, derivs, x, y: lib.sig_kernel_gram_backprop(
            derivs, x, y, right_deriv=True, static_kernel=kernel(lib, s), n_jobs=n_jobs, **scheme
        ),
        shapes,
    )


for _name, _kernel in STATIC_KERNELS.items():
    _add_gram(_name, _kernel, KERNEL_SHAPES if _name in ("linear", "RBF") else FEW_KERNEL_SHAPES, **FINITE_DIFFERENCE)
_add_gram("linear, polynomial method", STATIC_KERNELS["linear"], FEW_KERNEL_SHAPES, **POLYNOMIAL)

OPERATIONS["sig_kernel_gram, linear, one batch"] = Operation(
    path_of, lambda lib, s, n_jobs, x: lib.sig_kernel_gram(x, x, n_jobs=n_jobs, **FINITE_DIFFERENCE), KERNEL_SHAPES
)
OPERATIONS["sig_kernel, one pair"] = Operation(
    two_batches, lambda lib, s, n_jobs, x, y: lib.sig_kernel(x, y, n_jobs=n_jobs, **FINITE_DIFFERENCE), PAIR_SHAPES
)
OPERATIONS["sig_kernel_backprop, one pair"] = Operation(
    pairs_and_derivs,
    lambda lib, s, n_jobs, derivs, x, y: lib.sig_kernel_backprop(
        derivs, x, y, right_deriv=True, n_jobs=n_jobs, **FINITE_DIFFERENCE
    ),
    PAIR_SHAPES,
)
