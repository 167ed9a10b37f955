"""Branched signatures and logarithms from those at words, without a correction: one constant matrix, and its adjoint.

What is computed for words, such as windows and streams, becomes branched by these operations.
"""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import vector_shape
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import checked_tensor_length
from .shapes import METHOD, check_method, checked_length, checked_log_length


def _batch_of(sig: Any, o: Any) -> Any:
    """The batch axes of signatures, or logarithms of method 0, without a scalar term."""
    batch, length = vector_shape("sig", sig)
    expected = checked_tensor_length(o.dimension, o.degree)
    if length != expected:
        raise ValueError(f"sig must have length {expected} on its last axis, got {length}")
    return batch


class _BranchedSigOfSig(Operation):
    name = "branched_sig_of_sig"
    arrays = ("sig",)
    options = ("dimension", "degree", "planar", "scalar_term", "n_jobs")

    def sizes(self, o: Any, sig: Any) -> tuple[Any, ...]:
        return ((*_batch_of(sig, o), checked_length(o.dimension, o.degree, o.planar) + o.scalar_term),)

    def polynomial(self, o: Any, sig: Any) -> Polynomial:
        return grades.of_vectors(o.degree, grades.tensor(o.dimension, o.degree, False), degree=1)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, sig: Array) -> None:
        options = (int(o.dimension), o.degree, o.planar, as_n_threads(o.n_jobs))
        on.loops.branched.branched_sig(on.rows(sig), on.rows(out), *options)

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, sig: Array) -> tuple[Any]:
        gradient, options = on.empty(sig.shape), (int(o.dimension), o.degree, o.planar, as_n_threads(o.n_jobs))
        on.loops.branched.branched_sig_backprop(on.rows(derivs), on.rows(gradient), *options)
        return (gradient,)


BRANCHED_SIG_OF_SIG = _BranchedSigOfSig()


class _BranchedLogSigOfLogSig(Operation):
    name = "branched_log_sig_of_log_sig"
    arrays = ("sig",)
    options = ("dimension", "degree", "planar", "method", "scalar_term", "n_jobs")
    meanings = {"method": METHOD}

    def sizes(self, o: Any, sig: Any) -> tuple[Any, ...]:
        check_method(o.method, o.planar, 2)
        length = checked_log_length(o.dimension, o.degree, o.planar, o.method)
        return ((*_batch_of(sig, o), length + (o.scalar_term and o.method == 0)),)

    def polynomial(self, o: Any, sig: Any) -> Polynomial:
        return grades.of_vectors(o.degree, grades.tensor(o.dimension, o.degree, False), degree=1)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, sig: Array) -> None:
        options = (int(o.dimension), o.degree, o.planar, o.method, as_n_threads(o.n_jobs))
        on.loops.branched.branched_log_sig(on.rows(sig), on.rows(out), *options)

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, sig: Array) -> tuple[Any]:
        gradient = on.empty(sig.shape)
        options = (int(o.dimension), o.degree, o.planar, o.method, as_n_threads(o.n_jobs))
        on.loops.branched.branched_log_sig_backprop(on.rows(derivs), on.rows(gradient), *options)
        return (gradient,)


BRANCHED_LOG_SIG_OF_LOG_SIG = _BranchedLogSigOfLogSig()
