"""Launchers of exponentials; arguments as in `siglib/_cpu/exponential.pyx`, tables from
`lyndon_cache.expansion_level_tables`.

The parts are for `log_join.py` as well: tensors of log-signatures, Horner's scheme, and the adjoints of both.
"""

from collections.abc import Sequence
from typing import Any

from ._launch import c_type, empty, launch, launch_each
from .increments import strides
from .log_signature import matrix_of
from .sizes import slabs
from .tensor import BLOCK, adjoint_tiles, template

_FILE = "exponential.cu"


def tensors(log_sigs: Sequence[Any], matrix: tuple[Any, ...], n_words: int, like: Any) -> Any:
    """Numbers for all words, in the type of `like`, of log-signatures by a matrix; those of one array after another."""
    n, n_first = sum(map(len, log_sigs)), log_sigs[0].shape[1]
    x, done = empty((n, n_first + n_words), like), 0
    for log_sig in log_sigs:
        launch(
            _FILE,
            f"expand<{c_type(log_sig)}, {c_type(like)}>",
            len(log_sig),
            BLOCK,
            given=log_sig,
            x=x[done : done + len(log_sig)],
            n_first=n_first,
            length=n_first + n_words,
            n_levels=matrix[0].shape[0],
            **matrix_of(*matrix),
        )
        done += len(log_sig)
    return x[:, n_first:]


def contract(g_p: Any, g: Any, matrix: tuple[Any, ...], out: Any) -> None:
    """The adjoint of `tensors`, from the sum of two cotangents, as `tails_backprop` gives them; out: the gradient."""
    n_first, n_words = out.shape[1], g.shape[1]
    launch(
        _FILE,
        f"contract<{c_type(out)}, {c_type(g)}>",
        len(out),
        BLOCK,
        a=g_p,
        b=g,
        x=empty((len(out), n_first + n_words), g),
        out=out,
        n_first=n_first,
        length=n_first + n_words,
        n_levels=matrix[0].shape[0],
        b_stride=strides(g)[0],
        **matrix_of(*matrix),
    )


def tails(p: Any, dimension: int, degree: int, last: Any = None) -> list[Any]:
    """t^(degree-1), .., t^(1) of Horner's scheme, and to `last`, if it is given, t^(0), which is exp(p) - 1.

    `last` may have a place for the scalar term in front.
    """
    found: list[Any] = []
    n_rows, n_words = p.shape
    for k in range(degree, 0 if last is not None else 1, -1):
        t, out = found[-1] if found else None, last if k == 1 else empty((n_rows, n_words), p)
        launch(
            _FILE,
            f"exp_step<{template(p, dimension, n_words)}>",
            n_rows * -(-n_words // BLOCK),
            BLOCK,
            p=p,
            t=0 if t is None else t,
            out=out,
            n_rows=n_rows,
            d=dimension,
            n_words=n_words,
            p_stride=strides(p)[0],
            skip=out.shape[1] - n_words,
            divisor=float(k),
        )
        found.append(out)
    return found


def tails_backprop(g: Any, p: Any, found: Sequence[Any], dimension: int, degree: int) -> tuple[Any, Any]:
    """Cotangents of p in two parts, of which the first may be 0, from those of exp(p) and all t^(k) but the last."""
    g_p: Any = 0
    n_rows, n_words = p.shape
    for k, t in enumerate(reversed(found), 1):
        n_tiles, n_long = adjoint_tiles(dimension, degree, n_words)
        g_p, g_t = empty((n_rows, n_words), p) if k == 1 else g_p, empty((n_rows, n_words), p)
        launch(
            _FILE,
            f"exp_step_backprop<{template(p, dimension, n_words)}>",
            n_rows * n_tiles,
            BLOCK,
            g=g,
            p=p,
            t=t,
            g_p=g_p,
            g_t=g_t,
            n_tiles=n_tiles,
            d=dimension,
            degree=degree,
            n_words=n_words,
            n_long=n_long,
            g_stride=strides(g)[0],
            p_stride=strides(p)[0],
            first=int(k == 1),
            divisor=float(k + 1),
        )
        g = g_t
    return g_p, g


def _given_tensors(log_sig: Any, matrix: tuple[Any, ...], n_words: int, scalar_term: bool) -> Any:
    """What log-signatures stand for; without a matrix they are given at all words."""
    if matrix[0].size:
        return tensors([log_sig], matrix, n_words, log_sig)
    return log_sig[:, int(scalar_term) :]


def logsig_to_sig(
    log_sig: Any, tables: tuple[Any, ...], out: Any, dimension: int, degree: int, scalar_term: bool, n_threads: int
) -> None:
    """log_sig (batch, number of Lyndon words), or of the shape of out; out (batch, scalar_term + length)."""
    if degree == 0 or out.shape[0] == 0:
        out.fill(1)
        return
    n_words = out.shape[1] - scalar_term
    for slab in slabs(out.shape[0], (degree + 1) * n_words * out.itemsize):
        p = _given_tensors(log_sig[slab], tables, n_words, scalar_term)
        tails(p, dimension, degree, out[slab])


def logsig_to_sig_backprop(
    log_sig: Any,
    sig_derivs: Any,
    tables: tuple[Any, ...],
    out: Any,
    dimension: int,
    degree: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    """Adjoint of `logsig_to_sig`: out of the shape of log_sig; tables: the matrix, and that of the transpose."""
    matrix, transposed = tables[:5], tables[5:]
    if degree == 0 or out.shape[0] == 0:
        out.fill(0)
        return
    skip = int(scalar_term)
    n_words = sig_derivs.shape[1] - skip
    for slab in slabs(out.shape[0], 2 * (degree + 1) * n_words * out.itemsize):
        p = _given_tensors(log_sig[slab], matrix, n_words, scalar_term)
        found = tails(p, dimension, degree)
        g_p, g = tails_backprop(sig_derivs[slab, skip:], p, found, dimension, degree)
        if matrix[0].size:
            contract(g_p, g, transposed, out[slab])
            continue
        launch_each(
            len(p) * n_words,
            _FILE,
            f"sum_of_cotangents<{c_type(p)}>",
            a=g_p,
            b=g,
            out=out[slab],
            size=len(p) * n_words,
            n_words=n_words,
            b_stride=strides(g)[0],
            skip=skip,
        )
