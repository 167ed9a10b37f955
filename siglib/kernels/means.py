"""Means of signature kernels over pairs of paths: of NumPy, PyTorch and CuPy from one Gram matrix, of Dask from sums of
its blocks, none of which outlives the task that has made it.
"""

from functools import partial
from typing import Any

import numpy as np

from .._call import dask_pairs
from .._call.dask_arrays import is_in_chunks
from .._call.libraries import Array, device_of
from .._call.progress import muted
from .options import seconds_of_pair
from .sig_kernel import sig_kernel_gram


def mean_of_pairs(sample: Array, options: dict[str, Any]) -> Array:
    """Mean of k(x_i, x_j) over i != j."""
    m = len(sample)
    n_pairs = m * (m - 1)
    if is_in_chunks(sample):
        orders = options["dyadic_order"]
        is_symmetric = orders is None or orders[0] == orders[1]
        on_diagonal = partial(_sum_apart, options)
        return _sums(partial(_sum, options), on_diagonal, sample, sample, options, is_symmetric).sum() / n_pairs
    gram = sig_kernel_gram(sample, sample, **options)
    with device_of(gram):
        return apart(gram).sum() / n_pairs


def mean_of_all(x: Array, y: Array, options: dict[str, Any]) -> Array:
    """Mean of all k(x_i, y_j)."""
    if is_in_chunks(x):
        n_pairs = x.shape[0] * y.shape[0]
        return _sums(partial(_sum, options), None, x, y, options, False).sum() / n_pairs
    return sig_kernel_gram(x, y, **options).mean()


def means_over_first(x: Array, y: Array, options: dict[str, Any]) -> Array:
    """Mean of k(x_i, y_j) over i, for each j."""
    if is_in_chunks(x):
        return _sums(partial(_column_sums, options), None, x, y, options, False, keep=True).sum(0) / x.shape[0]
    return sig_kernel_gram(x, y, **options).mean(0)


def apart(gram: Array) -> Array:
    """The entries off the diagonal: rows of m + 1 entries, each starting behind an entry of the diagonal."""
    m = gram.shape[0]
    return gram.reshape(m * m)[1:].reshape(max(m - 1, 0), m + 1)[:, :-1]


def _sums(
    function: Any, on_diagonal: Any, x: Any, y: Any, options: dict[str, Any], is_symmetric: bool, keep: bool = False
) -> Any:
    """An array of Dask with the sum of each block of pairs; with `keep`, of each of its columns."""
    same = y is x
    x = dask_pairs.flat(x)
    y = x if same else dask_pairs.flat(y)

    def sizes(x: Any, y: Any) -> Any:
        return (1,) * len(x[0]), y[0] if keep else (1,) * len(y[0])

    return dask_pairs.pairs(
        f"siglib-{function.func.__name__.strip('_')}",
        function,
        on_diagonal,
        x,
        y,
        seconds=seconds_of_pair(
            x.shape, y.shape, options["dyadic_order"] or (0, 0), options["lead_lag"], options["order"]
        ),
        transpose=np.transpose if is_symmetric else None,
        dtype=np.dtype(np.float64),
        sizes=sizes,
    )


# What workers compute


def gram_of_blocks(x: Any, y: Any, options: dict[str, Any]) -> Any:
    """The Gram matrix of two blocks, in a task."""
    with muted():
        return sig_kernel_gram(x, y, **options)


def _sum(options: dict[str, Any], x: Any, y: Any) -> Any:
    return _quiet_sum(gram_of_blocks(x, y, options))


def _sum_apart(options: dict[str, Any], x: Any, y: Any) -> Any:
    return _quiet_sum(apart(gram_of_blocks(x, x, options)))


def _column_sums(options: dict[str, Any], x: Any, y: Any) -> Any:
    return _quiet_sum(gram_of_blocks(x, y, options), axis=0)


def _quiet_sum(gram: Any, axis: int | None = None) -> Any:
    # Where kernels overflow, sums of them do, too: `sig_kernel_gram` has warned.
    with np.errstate(invalid="ignore", over="ignore"):
        return gram.sum(axis=axis, dtype=np.float64, keepdims=True)
