"""asv: log-signatures over the history of the project. Shapes and calls are those of `cases.py`."""

import numpy as np
from cases import OPERATIONS, SHAPES, SIG_SHAPES

import siglib


class _Timed:
    """Times one operation for every method, shape, precision and number of threads."""

    operation = ""
    params = ((1, 2), SHAPES, ("float64", "float32"), (1, 2))
    param_names = ("method", "shape", "dtype", "n_jobs")

    def setup(self, method, shape, dtype, n_jobs):
        chosen = OPERATIONS[f"{self.operation}, method {method}"]
        self.call = chosen.ready(siglib, shape, n_jobs, *chosen.arrays(shape, np.dtype(dtype)))

    def time_call(self, method, shape, dtype, n_jobs):
        self.call()


class LogSig(_Timed):
    operation = "log_sig"


class SigToLogSig(_Timed):
    operation = "sig_to_log_sig"
    params = ((1, 2), SIG_SHAPES, *_Timed.params[2:])


class SigToLogSigBackprop(_Timed):
    operation = "sig_to_log_sig_backprop"
    params = ((1, 2), SIG_SHAPES, *_Timed.params[2:])
