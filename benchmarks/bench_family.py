"""asv: what belongs to signatures beside themselves, over the history of the project.

Shapes and calls are those of `cases.py`, where it has them.
"""

from cases import (
    COEF_SHAPES,
    CORRECTED_SHAPES,
    OPERATIONS,
    PREFIX_SHAPES,
    SEPARATE_WINDOW_SHAPES,
    SHAPES,
    SIG_SHAPES,
    WINDOW_SHAPES,
    brownian,
    like,
    some_words,
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
        self.arrays = OPERATIONS[self.operation].arrays(shape, dtype)

    def time_call(self, shape, dtype, n_jobs):
        OPERATIONS[self.operation].call(siglib, shape, n_jobs, *self.arrays)


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


class PrefixesBackprop:
    params = (PREFIX_SHAPES, PRECISIONS, THREADS)
    param_names = ("shape", "dtype", "n_jobs")

    def setup(self, shape, dtype, n_jobs):
        self.path = brownian(shape, dtype)
        self.derivs = like(siglib.sig_prefixes(self.path, shape.degree))

    def time_call(self, shape, dtype, n_jobs):
        siglib.sig_prefixes_backprop(self.path, self.derivs, shape.degree, n_jobs=n_jobs)


class LogWindows:
    params = (WINDOW_SHAPES, PRECISIONS, THREADS)
    param_names = ("shape", "dtype", "n_jobs")

    def setup(self, shape, dtype, n_jobs):
        self.path = brownian(shape, dtype)

    def time_windows(self, shape, dtype, n_jobs):
        siglib.log_sig_windows(self.path, shape.degree, 50, n_jobs=n_jobs)

    def time_prefixes(self, shape, dtype, n_jobs):
        siglib.log_sig_prefixes(self.path, shape.degree, n_jobs=n_jobs)


class Coefficients:
    params = ((1, 50, 500), COEF_SHAPES, PRECISIONS, THREADS)
    param_names = ("n_words", "shape", "dtype", "n_jobs")

    def setup(self, n_words, shape, dtype, n_jobs):
        self.path, self.words = brownian(shape, dtype), some_words(shape, n_words)
        self.coefs = siglib.sig_coef(self.path, self.words, prefixes=True)
        self.derivs = like(self.coefs)

    def time_forward(self, n_words, shape, dtype, n_jobs):
        siglib.sig_coef(self.path, self.words, n_jobs=n_jobs)

    def time_backward(self, n_words, shape, dtype, n_jobs):
        siglib.sig_coef_backprop(self.path, self.words, self.coefs, self.derivs, n_jobs=n_jobs)


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


class LogSigJoin:
    params = (SIG_SHAPES, PRECISIONS, THREADS)
    param_names = ("shape", "dtype", "n_jobs")

    def setup(self, shape, dtype, n_jobs):
        path = brownian(shape, dtype)
        self.log_sig, self.step = siglib.log_sig(path, shape.degree, method=2), like(path[:, 0])

    def time_call(self, shape, dtype, n_jobs):
        siglib.log_sig_join(self.log_sig, self.step, shape.dimension, shape.degree, n_jobs=n_jobs)


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
