"""Mistakes in the kernels of exponentials, of products of log-signatures, and of copies in plans."""

from typing import Any

import numpy as np
from checking import assert_close

import siglib

from . import Mutant


def exponentials(gpu: Any) -> None:
    """Values and gradients from all kinds of coordinates; the CPU kernels are held against the definition elsewhere."""
    rng = np.random.default_rng(0)
    n_words, n_lyndon = siglib.sig_length(2, 4), siglib.log_sig_length(2, 4)
    for method, width in ((0, 1 + n_words), (1, n_lyndon), (2, n_lyndon)):
        log_sig, derivs = rng.standard_normal((3, width)), rng.standard_normal((3, 1 + n_words))
        options = {"method": method, "scalar_term": True}
        found = siglib.logsig_to_sig(gpu.array(log_sig), 2, 4, **options)
        assert_close(gpu.numpy(found), siglib.logsig_to_sig(log_sig, 2, 4, **options))
        found = siglib.logsig_to_sig_backprop(gpu.array(log_sig), gpu.array(derivs), 2, 4, **options)
        assert_close(gpu.numpy(found), siglib.logsig_to_sig_backprop(log_sig, derivs, 2, 4, **options))


def products(gpu: Any) -> None:
    """Some factors are zero, so that the others come back as they are; and gradients."""
    rng = np.random.default_rng(0)
    x, y, derivs = rng.standard_normal((3, 5, siglib.log_sig_length(3, 3)))
    step = rng.standard_normal((5, 3))
    x[1:3], y[2:4], step[2:4], x[0, 6], y[0, 7] = 0, 0, 0, 0, 0
    for name, other in (("log_sig_combine", y), ("log_sig_join", step)):
        found = gpu.numpy(getattr(siglib, name)(gpu.array(x), gpu.array(other), 3, 3))
        assert_close(found, getattr(siglib, name)(x, other, 3, 3))
        assert (found[3] == x[3]).all()
        assert (found[1, : other.shape[1]] == other[1]).all()
        gradients = getattr(siglib, f"{name}_backprop")(derivs, x, other, 3, 3)
        found = getattr(siglib, f"{name}_backprop")(*map(gpu.array, (derivs, x, other)), 3, 3)
        for gradient, on_cpu in zip(found, gradients, strict=True):
            assert_close(gpu.numpy(gradient), on_cpu)


def copies(gpu: Any) -> None:
    """Of arrays that are not contiguous."""
    rng = np.random.default_rng(0)
    sig = rng.standard_normal((2, 3, 4, siglib.sig_length(2, 3)))
    on_gpu, sig = gpu.array(sig)[:, ::-1, ::2], sig[:, ::-1, ::2]
    assert_close(gpu.numpy(siglib.sig_to_log_sig(on_gpu, 2, 3)), siglib.sig_to_log_sig(sig, 2, 3))
    steps = rng.standard_normal((300, 2))
    assert_close(gpu.numpy(siglib.linear_log_sig(gpu.array(steps), 2, 2)), siglib.linear_log_sig(steps, 2, 2))


EXP, COPIES, PATH = "exponential.cu", "copies.cu", "path.cu"
MUTANTS = [
    Mutant("no barrier before the matrix", EXP, "(T)given[r] : (T)0;\n    __syncthreads();", "(T)given[r] : (T)0;", exponentials),
    Mutant("no barrier before the transpose", EXP, "+ b[r - n_first];\n    __syncthreads();", "+ b[r - n_first];", exponentials),
    Mutant("words begin with something", EXP, "(T)given[r] : (T)0", "(T)given[r] : (T)1", exponentials),
    Mutant("a cotangent forgotten", EXP, "(a ? a[r - n_first] : (T)0) + b[r - n_first]", "b[r - n_first]", exponentials, "exact"),
    Mutant("rows of the wrong length", EXP, "b += blockIdx.x * b_stride;", "b += blockIdx.x * length;", exponentials),
    Mutant("the scalar term has a gradient", EXP, "mine[-1] = 0;", "mine[-1] = 1;", exponentials, "exact"),
    Mutant("the empty word twice", EXP, "Divisor<D, I>((I)d)) - t[word];", "Divisor<D, I>((I)d));", exponentials, "exact"),
    Mutant("no scalar term", EXP, "mine[-1] = 1;", "mine[-1] = 0;", exponentials, "exact"),
    Mutant("no factorials", EXP, "mine[word] = sum / (T)divisor;", "mine[word] = sum;", exponentials, "exact"),
    Mutant("an old cotangent added", EXP, "(first ? (T)0 : g_p[at])", "g_p[at]", exponentials),
    Mutant("the empty word's cotangent", EXP, "(value - g[word]) / (T)divisor", "value / (T)divisor", exponentials, "exact"),
    Mutant("zero is not noticed", EXP, "if (is_first && is_second)", "if (is_first || is_second)", products, "exact"),
    Mutant("every thread looks for itself", EXP, "is_first = __syncthreads_or(is_first);", "", products, "exact"),
    Mutant("letters that are not there", EXP, "i < n_second ? second[i] : (S)0", "second[i]", products),
    Mutant("another factor comes back", EXP, "else if (is_first)", "else if (is_second)", products, "exact"),
    Mutant("a path that begins elsewhere", PATH, "(T)displacement[b * d + index - row * d] : (T)0", "(T)displacement[b * d + index - row * d] : (T)1", products, "exact"),
    Mutant("an axis lost", COPIES, "h * by0 + i * by1 + j * by2 + k * by3", "i * by1 + j * by2 + k * by3", copies, "exact"),
    Mutant("one number too many", COPIES, "if (index < size) to[place_of", "to[place_of", copies),
    Mutant("strides of the other array", COPIES, "from[place_of(index, n, from0", "from[place_of(index, n, to0", copies, "exact"),
]  # fmt: skip
