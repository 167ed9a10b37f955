"""Launchers of products of log-signatures, arguments as in `siglib/_cpu/log_join.pyx`, tables from
`lyndon_cache.product_level_tables`.

Made of exponentials, products and logarithms, in float64, for a block of the batch at a time.
"""

from collections.abc import Iterator
from typing import Any

from ._launch import functions
from .exponential import logsig_to_sig, logsig_to_sig_backprop
from .join import sig_join, sig_join_backprop
from .log_signature import sig_to_log_sig, sig_to_log_sig_backprop
from .sizes import slabs, words_up_to
from .tensor import sig_combine, sig_combine_backprop

# Signatures that are held for each row of a block.
_SIGNATURES = 6


class _Product:
    """The steps of a product in float64; `tables` as they come, those of the gradient or not."""

    def __init__(self, tables: tuple[Any, ...], dimension: int, degree: int) -> None:
        self.log_tables: tuple[Any, Any, Any, Any, Any, Any] = tables[:6]
        self.matrix = tables[6:11]
        self.exp_tables = tables[6:]
        self.sizes = (dimension, degree)
        self.length = words_up_to(dimension, degree)

    def blocks(self, batch: int) -> Iterator[slice]:
        return slabs(batch, 8 * _SIGNATURES * self.length)

    def empty(self, *shape: int) -> Any:
        return functions().empty(shape, "float64")

    def exp(self, log_sig: Any) -> Any:
        sig = self.empty(len(log_sig), self.length)
        logsig_to_sig(log_sig, self.matrix, sig, *self.sizes, False, 1)
        return sig

    def exp_backprop(self, log_sig: Any, derivs: Any) -> Any:
        out = self.empty(*log_sig.shape)
        logsig_to_sig_backprop(log_sig, derivs, self.exp_tables, out, *self.sizes, False, 1)
        return out

    def log(self, sig: Any, n_lyndon: int) -> Any:
        out = self.empty(len(sig), n_lyndon)
        sig_to_log_sig(sig, self.log_tables, out, *self.sizes, 2, False, 1)
        return out

    def log_backprop(self, sig: Any, derivs: Any) -> Any:
        out = self.empty(*sig.shape)
        sig_to_log_sig_backprop(sig, derivs, self.log_tables, out, *self.sizes, 2, False, 1)
        return out


def _double(array: Any) -> Any:
    return array.astype("float64", copy=False)


def _where_zero(test: Any, wanted: Any, out: Any) -> None:
    """The rows of `out` where those of `test` are zero become those of `wanted`, with zeros behind."""
    zero = ~(test != 0).any(axis=1)[:, None]
    n = wanted.shape[1]
    out[:, :n] = functions().where(zero, wanted, out[:, :n])
    out[:, n:] = functions().where(zero, functions().zeros((), out.dtype), out[:, n:])


def log_sig_combine(
    log_sig1: Any, log_sig2: Any, tables: tuple[Any, ...], out: Any, dimension: int, degree: int, n_threads: int
) -> None:
    """log_sig1, log_sig2, out (batch, number of Lyndon words)."""
    if degree == 0 or out.shape[0] == 0:
        return
    steps = _Product(tables, dimension, degree)
    for block in steps.blocks(out.shape[0]):
        x, y, result = log_sig1[block], log_sig2[block], out[block]
        sig1, sig2 = steps.exp(_double(x)), steps.exp(_double(y))
        sig = steps.empty(*sig1.shape)
        sig_combine(sig1, sig2, sig, dimension, degree, False, False, 1)
        result[...] = steps.log(sig, out.shape[1])
        _where_zero(y, x, result)
        _where_zero(x, y, result)


def log_sig_combine_backprop(
    derivs: Any,
    log_sig1: Any,
    log_sig2: Any,
    tables: tuple[Any, ...],
    out1: Any,
    out2: Any,
    dimension: int,
    degree: int,
    n_threads: int,
) -> None:
    """Adjoint of `log_sig_combine`; all arrays are of one shape."""
    if degree == 0 or out1.shape[0] == 0:
        return
    steps = _Product(tables, dimension, degree)
    for block in steps.blocks(out1.shape[0]):
        x, y = _double(log_sig1[block]), _double(log_sig2[block])
        sig1, sig2 = steps.exp(x), steps.exp(y)
        sig, derivs1, derivs2 = (steps.empty(*sig1.shape) for _ in range(3))
        sig_combine(sig1, sig2, sig, dimension, degree, False, False, 1)
        g = steps.log_backprop(sig, _double(derivs[block]))
        sig_combine_backprop(g, sig1, sig2, derivs1, derivs2, dimension, degree, False, False, 1)
        out1[block] = steps.exp_backprop(x, derivs1)
        out2[block] = steps.exp_backprop(y, derivs2)


def log_sig_join(
    log_sig: Any,
    displacement: Any,
    tables: tuple[Any, ...],
    out: Any,
    dimension: int,
    degree: int,
    prepend: bool,
    n_threads: int,
) -> None:
    """log_sig, out (batch, number of Lyndon words); displacement (batch, dimension)."""
    if degree == 0 or out.shape[0] == 0:
        return
    steps = _Product(tables, dimension, degree)
    for block in steps.blocks(out.shape[0]):
        x, v, result = log_sig[block], displacement[block], out[block]
        before = steps.exp(_double(x))
        sig = steps.empty(*before.shape)
        sig_join(before, _double(v), sig, degree, False, prepend, 1)
        result[...] = steps.log(sig, out.shape[1])
        _where_zero(v, x, result)
        _where_zero(x, v, result)


def log_sig_join_backprop(
    derivs: Any,
    log_sig: Any,
    displacement: Any,
    tables: tuple[Any, ...],
    out: Any,
    out_displacement: Any,
    dimension: int,
    degree: int,
    prepend: bool,
    n_threads: int,
) -> None:
    """Adjoint of `log_sig_join`: out like log_sig, out_displacement like displacement."""
    if degree == 0 or out.shape[0] == 0:
        out_displacement[...] = 0
        return
    steps = _Product(tables, dimension, degree)
    for block in steps.blocks(out.shape[0]):
        x, v = _double(log_sig[block]), _double(displacement[block])
        before = steps.exp(x)
        sig, g_before, g_v = steps.empty(*before.shape), steps.empty(*before.shape), steps.empty(*v.shape)
        sig_join(before, v, sig, degree, False, prepend, 1)
        g = steps.log_backprop(sig, _double(derivs[block]))
        sig_join_backprop(g, before, v, g_before, g_v, degree, False, prepend, 1)
        out[block] = steps.exp_backprop(x, g_before)
        out_displacement[block] = g_v
