"""asv: what belongs to signatures beside themselves, over the history of the project.

Shapes and calls are those of `cases.py`; objects that keep a path have calls of their own.
"""

import numpy as np
from calls import brownian
from cases import (
    BRANCHED_SHAPES,
    COEF_SHAPES,
    CORRECTED_SHAPES,
    OPERATIONS,
    PREFIX_SHAPES,
    SEPARATE_WINDOW_SHAPES,
    SHAPES,
    SIG_SHAPES,
    THE_REST,
    WINDOW_SHAPES,
)

import siglib

PRECISIONS = ("float64", "float32")
THREADS = (1, 2)


class _Timed:
    """Times one operation for every shape, precision and number of threads."""

    operation = ""
    params = (SIG_SHAPES, PRECISIONS, THREADS)
    param_names = ("shape", "dtype", "n_jobs")

    def setup(self, shape, dtype, n_jobs):
        self.take((OPERATIONS | THE_REST)[self.operation], shape, dtype, n_jobs)

    def take(self, operation, shape, dtype, n_jobs):
        self.call = operation.ready(siglib, shape, n_jobs, *operation.arrays(shape, np.dtype(dtype)))

    def time_call(self, shape, dtype, n_jobs):
        self.call()


class Windows(_Timed):
    operation = "sig_windows, 50 points"
    params = (WINDOW_SHAPES, PRECISIONS, THREADS)


class WindowsBackprop(Windows):
    operation = "sig_windows_backprop, 50 points"


class SeparateWindows(_Timed):
    operation = "sig_windows, 50 points, stride 50"
    params = (SEPARATE_WINDOW_SHAPES, PRECISIONS, THREADS)


class SeparateWindowsBackprop(SeparateWindows):
    operation = "sig_windows_backprop, 50 points, stride 50"


class Prefixes(_Timed):
    operation = "sig_prefixes"
    params = (PREFIX_SHAPES, PRECISIONS, THREADS)


class PrefixesBackprop(Prefixes):
    operation = "sig_prefixes_backprop"


class LogWindows(Windows):
    operation = "log_sig_windows"


class LogPrefixes(Prefixes):
    operation = "log_sig_prefixes"


class Coefficients(_Timed):
    operation = "sig_coef"
    params = ((1, 50, 500), COEF_SHAPES, PRECISIONS, THREADS)
    param_names = ("n_words", "shape", "dtype", "n_jobs")

    def setup(self, n_words, shape, dtype, n_jobs):
        self.take(OPERATIONS[f"{self.operation}, {n_words} words"], shape, dtype, n_jobs)

    def time_call(self, n_words, shape, dtype, n_jobs):
        self.call()


class CoefficientsBackprop(Coefficients):
    operation = "sig_coef_backprop"


class Corrected(_Timed):
    operation = "sig, corrected"
    params = (CORRECTED_SHAPES, PRECISIONS, THREADS)


class CorrectedBackprop(Corrected):
    operation = "sig_backprop, corrected"


class LogSigMethod3(_Timed):
    operation = "log_sig, method 3"
    params = (SHAPES, PRECISIONS, THREADS)


class SigJoin(_Timed):
    operation = "sig_join"


class LogSigToSig(_Timed):
    operation = "logsig_to_sig, method 2"


class LogSigCombine(_Timed):
    operation = "log_sig_combine"


class Branched(_Timed):
    params = (
        [name for name, operation in OPERATIONS.items() if operation.shapes is BRANCHED_SHAPES],
        BRANCHED_SHAPES,
        PRECISIONS,
        THREADS,
    )
    param_names = ("operation", "shape", "dtype", "n_jobs")

    def setup(self, operation, shape, dtype, n_jobs):
        self.take(OPERATIONS[operation], shape, dtype, n_jobs)

    def time_call(self, operation, shape, dtype, n_jobs):
        self.call()


class TheRest:
    """What `cases.py` has no shapes for, at the one that it gives all of these."""

    params = (list(THE_REST), PRECISIONS, THREADS)
    param_names = ("operation", "dtype", "n_jobs")

    def setup(self, operation, dtype, n_jobs):
        (shape,) = THE_REST[operation].shapes
        self.call = THE_REST[operation].ready(
            siglib, shape, n_jobs, *THE_REST[operation].arrays(shape, np.dtype(dtype))
        )

    def time_call(self, operation, dtype, n_jobs):
        self.call()


class Intervals:
    """A thousand intervals of a path that is known, and the table that they are looked up in."""

    params = (PREFIX_SHAPES, PRECISIONS, THREADS)
    param_names = ("shape", "dtype", "n_jobs")

    def setup(self, shape, dtype, n_jobs):
        self.path = brownian(shape, dtype)[0]
        self.table = siglib.IntervalSignature(self.path, shape.degree, n_jobs=n_jobs)
        starts = [(7919 * k) % (shape.length // 2) for k in range(1000)]
        self.starts, self.ends = starts, [s + 100 + 3 * k for k, s in enumerate(starts)]
        self.table.sig_batch(self.starts, self.ends)

    def time_first(self, shape, dtype, n_jobs):
        siglib.IntervalSignature(self.path, shape.degree, n_jobs=n_jobs).sig(self.starts[0], self.ends[-1])

    def time_thousand(self, shape, dtype, n_jobs):
        self.table.sig_batch(self.starts, self.ends)


class Streams:
    """A hundred points that arrive one by one, then the signature of all, or of the windows that they complete."""

    params = (PREFIX_SHAPES, PRECISIONS, THREADS)
    param_names = ("shape", "dtype", "n_jobs")

    def setup(self, shape, dtype, n_jobs):
        self.points = brownian(shape, dtype)[0, :100]

    def time_push(self, shape, dtype, n_jobs):
        stream = siglib.SigStream(shape.dimension, shape.degree, n_jobs=n_jobs)
        for point in self.points:
            stream.push(point)
        stream.sig_all()

    def time_push_windows(self, shape, dtype, n_jobs):
        stream = siglib.SigWindowStream(shape.dimension, shape.degree, 50, n_jobs=n_jobs)
        for point in self.points:
            stream.push(point)
        stream.sig()
