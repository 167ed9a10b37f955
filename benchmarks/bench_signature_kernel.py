"""asv: signature kernels over the history of the project. Shapes and calls are those of `cases.py`."""

import numpy as np
from cases import (
    BRANCHED_GRAM_SHAPES,
    BRANCHED_PAIR_SHAPES,
    FEW_KERNEL_SHAPES,
    KERNEL_SHAPES,
    OPERATIONS,
    PAIR_SHAPES,
    STATIC_KERNELS,
)

import siglib


class _Timed:
    """Times one operation for every variant, shape, precision and number of threads."""

    operation = ""
    params = (("linear", "RBF", "linear, one batch"), KERNEL_SHAPES, ("float64", "float32"), (1, 2))
    param_names = ("variant", "shape", "dtype", "n_jobs")

    def setup(self, variant, shape, dtype, n_jobs):
        chosen = OPERATIONS[f"{self.operation}, {variant}"]
        self.call = chosen.ready(siglib, shape, n_jobs, *chosen.arrays(shape, np.dtype(dtype)))

    def time_call(self, variant, shape, dtype, n_jobs):
        self.call()


class SigKernelGram(_Timed):
    operation = "sig_kernel_gram"


class SigKernelGramBackprop(_Timed):
    operation = "sig_kernel_gram_backprop"
    params = (("linear", "RBF"), *_Timed.params[1:])


class SigKernelGramVariants(_Timed):
    operation = "sig_kernel_gram"
    params = ((*list(STATIC_KERNELS)[2:], "linear, polynomial method"), FEW_KERNEL_SHAPES, *_Timed.params[2:])


class SigKernelGramBackpropVariants(SigKernelGramVariants):
    operation = "sig_kernel_gram_backprop"


class SigKernelPair(_Timed):
    operation = "sig_kernel"
    params = (("one pair",), PAIR_SHAPES, *_Timed.params[2:])


class SigKernelPairBackprop(SigKernelPair):
    operation = "sig_kernel_backprop"


class BranchedSigKernelGram:
    """At depth 3."""

    params = (
        ("branched_sig_kernel_gram", "branched_sig_kernel_gram_backprop"),
        BRANCHED_GRAM_SHAPES,
        ("float64", "float32"),
        (1, 2),
    )
    param_names = ("operation", "shape", "dtype", "n_jobs")

    def setup(self, operation, shape, dtype, n_jobs):
        chosen = OPERATIONS[operation]
        self.call = chosen.ready(siglib, shape, n_jobs, *chosen.arrays(shape, np.dtype(dtype)))

    def time_call(self, operation, shape, dtype, n_jobs):
        self.call()


class BranchedSigKernelPair(BranchedSigKernelGram):
    params = (
        ("branched_sig_kernel, one pair", "branched_sig_kernel_backprop, one pair"),
        BRANCHED_PAIR_SHAPES,
        *BranchedSigKernelGram.params[2:],
    )
