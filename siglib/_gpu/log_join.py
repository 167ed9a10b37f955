"""Launchers of products of log-signatures, arguments as in `siglib/_cpu/log_join.pyx`, tables from
`lyndon_cache.product_level_tables`.

Made of exponentials, products and logarithms, in float64, for a block of the batch at a time.
"""

from collections.abc import Iterator
from typing import Any

from ._launch import c_type, functions, launch
from .exponential import contract, tails, tails_backprop, tensors
from .join import sig_join, sig_join_backprop
from .log_signature import sig_to_log_sig, sig_to_log_sig_backprop
from .sizes import slabs, words_up_to
from .tensor import BLOCK, sig_combine, sig_combine_backprop


class _Product:
    """The steps of a product in float64; `tables` as they come, those of the gradient or not."""

    def __init__(self, tables: tuple[Any, ...], dimension: int, degree: int) -> None:
        self.log_tables: tuple[Any, Any, Any, Any, Any, Any] = tables[:6]
        self.matrix, self.transposed = tables[6:11], tables[11:]
        self.sizes = (dimension, degree)
        self.length = words_up_to(dimension, degree)

    def blocks(self, batch: int) -> Iterator[slice]:
        # Of two factors coordinates, all steps and as many cotangents; the product, its logarithm and cotangents.
        return slabs(batch, 8 * 4 * (self.sizes[1] + 2) * self.length)

    def empty(self, *shape: int) -> Any:
        return functions().empty(shape, "float64")

    def exp(self, *log_sigs: Any) -> tuple[Any, list[Any]]:
        """Tensors, and the steps to their exponentials, for one array after another."""
        out = self.empty(sum(map(len, log_sigs)), self.length)
        p = tensors(log_sigs, self.matrix, self.length, out)
        return p, tails(p, *self.sizes, out)

    def exp_backprop(self, derivs: Any, p: Any, steps: list[Any], *outs: Any) -> None:
        """Gradients to `outs`, from derivatives by the exponentials."""
        g_p, g = tails_backprop(derivs, p, steps[:-1], *self.sizes)
        done = 0
        for out in outs:
            part = slice(done, done + len(out))
            contract(g_p[part] if steps[:-1] else 0, g[part], self.transposed, out)
            done += len(out)

    def log(self, sig: Any, first: Any, second: Any, out: Any) -> None:
        """The logarithm of a product, or one of its factors where the other one is zero."""
        logs = self.empty(*out.shape)
        sig_to_log_sig(sig, self.log_tables, logs, *self.sizes, 2, False, 1)
        launch(
            "exponential.cu",
            f"put_products<{c_type(out)}, {c_type(logs)}>",
            len(out),
            BLOCK,
            log=logs,
            first=first,
            second=second,
            out=out,
            n_first=first.shape[1],
            n_second=second.shape[1],
            n_out=out.shape[1],
        )

    def log_backprop(self, sig: Any, derivs: Any) -> Any:
        out, derivs = self.empty(*sig.shape), derivs.astype("float64", copy=False)
        sig_to_log_sig_backprop(sig, derivs, self.log_tables, out, *self.sizes, 2, False, 1)
        return out


def log_sig_combine(
    log_sig1: Any, log_sig2: Any, tables: tuple[Any, ...], out: Any, dimension: int, degree: int, n_threads: int
) -> None:
    """log_sig1, log_sig2, out (batch, number of Lyndon words)."""
    if degree == 0 or out.shape[0] == 0:
        return
    steps = _Product(tables, dimension, degree)
    for block in steps.blocks(out.shape[0]):
        x, y = log_sig1[block], log_sig2[block]
        _, (*_, sigs) = steps.exp(x, y)
        sig, n = steps.empty(len(x), steps.length), len(x)
        sig_combine(sigs[:n], sigs[n:], sig, dimension, degree, False, False, 1)
        steps.log(sig, x, y, out[block])


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
        p, found = steps.exp(log_sig1[block], log_sig2[block])
        n, sigs, by_sigs = len(p) // 2, found[-1], steps.empty(*p.shape)
        sig = steps.empty(n, steps.length)
        sig_combine(sigs[:n], sigs[n:], sig, dimension, degree, False, False, 1)
        g = steps.log_backprop(sig, derivs[block])
        sig_combine_backprop(g, sigs[:n], sigs[n:], by_sigs[:n], by_sigs[n:], dimension, degree, False, False, 1)
        steps.exp_backprop(by_sigs, p, found, out1[block], out2[block])


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
        x, v = log_sig[block], displacement[block]
        _, (*_, before) = steps.exp(x)
        sig = steps.empty(*before.shape)
        sig_join(before, v, sig, degree, False, prepend, 1)
        steps.log(sig, x, v, out[block])


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
        v = displacement[block]
        p, found = steps.exp(log_sig[block])
        sig, g_before = steps.empty(*p.shape), steps.empty(*p.shape)
        sig_join(found[-1], v, sig, degree, False, prepend, 1)
        g = steps.log_backprop(sig, derivs[block])
        sig_join_backprop(g, found[-1], v, g_before, out_displacement[block], degree, False, prepend, 1)
        steps.exp_backprop(g_before, p, found, out[block])
