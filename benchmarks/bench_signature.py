"""asv: signatures over the history of the project. Shapes and calls are those of `cases.py`."""

import numpy as np
from cases import CHANNEL_SHAPES, OPERATIONS, SHAPES, SIG_SHAPES, TINY

import siglib


class _Timed:
    """Times one operation for every shape, precision and number of threads."""

    operation = ""
    params = (SHAPES, ("float64", "float32"), (1, 2))
    param_names = ("shape", "dtype", "n_jobs")

    def setup(self, shape, dtype, n_jobs):
        chosen = OPERATIONS[self.operation]
        self.call = chosen.ready(siglib, shape, n_jobs, *chosen.arrays(shape, np.dtype(dtype)))

    def time_call(self, shape, dtype, n_jobs):
        self.call()


class Sig(_Timed):
    operation = "sig"


class SigBackprop(_Timed):
    operation = "sig_backprop"


class SigOfManyChannels(Sig):
    params = (CHANNEL_SHAPES, *_Timed.params[1:])


class SigBackpropOfManyChannels(SigBackprop):
    params = (CHANNEL_SHAPES, *_Timed.params[1:])


class SigCombine(_Timed):
    operation = "sig_combine"
    params = (SIG_SHAPES, *_Timed.params[1:])


class SigCombineBackprop(_Timed):
    operation = "sig_combine_backprop"
    params = (SIG_SHAPES, *_Timed.params[1:])


class SigOverhead(_Timed):
    operation = "sig"
    params = ((TINY,), ("float64",), (1,))
