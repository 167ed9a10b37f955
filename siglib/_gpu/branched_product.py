"""Launchers of products of branched signatures; all arrays are of one shape, with or without scalar term."""

from typing import Any

from .._tables import tree_tables
from ._launch import c_type, launch
from .constants import constant
from .sizes import check_words

_THREADS = 256


def combine(bsig1: Any, bsig2: Any, out: Any, dimension: int, degree: int, planar: bool) -> None:
    """out = bsig1 * bsig2; scalar terms are taken and set to be 1."""
    if degree == 0:
        out.fill(1)
        return
    starts, pruned, trunks, ways, _, products = _cuts(dimension, degree, planar, out)
    _sums((bsig1, bsig2), (starts, pruned, trunks, ways), products, out, 1.0)


def combine_backprop(
    derivs: Any,
    bsig1: Any,
    bsig2: Any,
    bsig1_derivs: Any,
    bsig2_derivs: Any,
    dimension: int,
    degree: int,
    planar: bool,
) -> None:
    """Adjoint of `combine`. The scalar terms have derivatives 0."""
    if degree == 0:
        bsig1_derivs.fill(0)
        bsig2_derivs.fill(0)
        return
    products, trees = _cuts(dimension, degree, planar, derivs)[-1], (dimension, degree, planar, derivs.dtype.name)
    _sums((bsig1, derivs), constant(tree_tables.cuts_by_trunks, *trees), products, bsig2_derivs, 0.0)
    _sums((bsig1, derivs, bsig2), constant(tree_tables.cuts_by_pruned, *trees), products, bsig1_derivs, 0.0)


def _cuts(dimension: int, degree: int, planar: bool, like: Any) -> Any:
    return constant(tree_tables.cut_tables, dimension, degree, planar, like.dtype.name)


def _sums(factors: tuple[Any, ...], table: tuple[Any, ...], products: Any, out: Any, scalar: float) -> None:
    """Sums of the ways times two or three factors; the table has starts, an element for each factor, and the ways."""
    starts, pruned, second, *third, ways = table
    batch, n = out.shape[0], starts.shape[0] - 1
    check_words(out.shape[1])
    launch(
        "branched_product.cu",
        f"cut_sums<{c_type(out)}, {len(factors)}>",
        -(-batch * n // _THREADS),
        _THREADS,
        (
            *(*factors[:2], factors[2] if third else 0, starts, pruned, second, third[0] if third else 0, ways),
            *(products if products.size else 0, out, batch, n, out.shape[1] - n, scalar),
        ),
    )
