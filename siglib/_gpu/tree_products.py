"""Launchers of products of branched signatures and of power series; all arrays are of one shape, with or without scalar
term.

A power series is Horner's scheme, as in `siglib/_cpu/branched_product.pyx`, with a launch for each step.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .._tables import tree_tables
from . import sizes
from ._launch import c_type, dtype_name, empty, launch_each
from .constants import constant

_ALL = 2**31 - 1


class Cuts(NamedTuple):
    """The tables of some trees on the device: starts, an element for each factor, ways."""

    cuts: tuple[Any, ...]
    by_trunks: tuple[Any, ...]
    by_pruned: tuple[Any, ...]
    products: Any
    ends: list[int]  # the first ends[n] coefficients have up to n nodes


def combine(bsig1: Any, bsig2: Any, out: Any, dimension: int, degree: int, planar: bool) -> None:
    """out = bsig1 * bsig2; scalar terms are taken and set to be 1."""
    if degree == 0:
        out.fill(1)
        return
    cuts = _cuts(dimension, degree, planar, out, False)
    _sums((bsig1, bsig2), cuts.cuts, cuts, out, 1.0)


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
    cuts = _cuts(dimension, degree, planar, derivs, True)
    _sums((bsig1, derivs), cuts.by_trunks, cuts, bsig2_derivs, 0.0)
    _sums((bsig1, derivs, bsig2), cuts.by_pruned, cuts, bsig1_derivs, 0.0)


def series(
    vectors: Any,
    constants: Sequence[float],
    out: Any,
    dimension: int,
    degree: int,
    planar: bool,
    scalar: float,
    extended: bool,
) -> None:
    """out = c_1 X + c_2 X * X + .. of vectors, with `scalar` as the scalar term; constants: 0, c_1, c_2, ...

    extended: whether X on forests of several trees is the product of its values on the trees, or 0.
    """
    if degree == 0:
        out.fill(scalar)
        return
    cuts = _cuts(dimension, degree, planar, out, False)
    for slab in _slabs(out, 1):
        x, result = vectors[slab], out[slab]
        other = empty(result.shape, result)
        for k in range(degree, 0, -1):
            target, source = (result, other) if k % 2 else (other, result)
            _step(x, source, constants[k], cuts, cuts.ends[degree - k + 1], target, scalar, extended)


def series_backprop(
    derivs: Any,
    vectors: Any,
    constants: Sequence[float],
    out: Any,
    dimension: int,
    degree: int,
    planar: bool,
    extended: bool,
) -> None:
    """Adjoint of `series`. The scalar terms have derivatives 0."""
    if degree == 0:
        out.fill(0)
        return
    cuts = _cuts(dimension, degree, planar, out, True)
    for slab in _slabs(out, degree + 2):
        x, g, result = vectors[slab], derivs[slab], out[slab]
        # What each step reads, the last one first: nothing but its constant.
        tails = [x]
        for k in range(degree, 1, -1):
            tails.append(empty(x.shape, x))
            _step(x, tails[-2], constants[k], cuts, cuts.ends[degree - k + 1], tails[-1], 0.0, extended)
        for k in range(1, degree + 1):
            n, y = cuts.ends[degree - k + 1], tails.pop()
            most = _ALL if extended else 0
            _sums((x, g, y), cuts.by_pruned, cuts, result, 0.0, constants[k], n, 0, most, n, k > 1)
            if k < degree:
                g_y = empty(x.shape, x)
                _sums((x, g), cuts.by_trunks, cuts, g_y, 0.0, 1.0, cuts.ends[degree - k], 1, _most(cuts, extended), n)
                g = g_y


def _step(x: Any, y: Any, y_0: float, cuts: Cuts, n: int, out: Any, scalar: float, extended: bool) -> None:
    """The first n coefficients of X * (y_0 + Y), X being 0 at nothing."""
    _sums((x, y), cuts.cuts, cuts, out, scalar, y_0, n, 1, _most(cuts, extended))


def _most(cuts: Cuts, extended: bool) -> int:
    """The last element at which X is not 0."""
    return _ALL if extended else cuts.ends[-1]


def _cuts(dimension: int, degree: int, planar: bool, like: Any, backward: bool) -> Cuts:
    trees = dimension, degree, planar, dtype_name(like)
    *cuts, _, products = constant(tree_tables.cut_tables, *trees)
    by_trunks = constant(tree_tables.cuts_by_trunks, *trees) if backward else ()
    by_pruned = constant(tree_tables.cuts_by_pruned, *trees) if backward else ()
    return Cuts(tuple(cuts), by_trunks, by_pruned, products, tree_tables.cut_tables(*trees)[4].tolist())


def _slabs(out: Any, n_arrays: int) -> Iterator[slice]:
    """Parts of a batch of which so many arrays fit into the scratch memory."""
    step = max(1, sizes.scratch_bytes() // (n_arrays * out.shape[1] * out.itemsize))
    for start in range(0, out.shape[0], step):
        yield slice(start, start + step)


def _sums(
    factors: tuple[Any, ...],
    table: tuple[Any, ...],
    cuts: Cuts,
    out: Any,
    scalar: float,
    nothing: float = 1.0,
    n_rows: int | None = None,
    least: int = 0,
    most: int = _ALL,
    limit: int = _ALL,
    add: bool = False,
) -> None:
    """Sums of the ways times two or three factors, see `cut_sums`."""
    starts, pruned, second, *third, ways = table
    batch, n, products = out.shape[0], cuts.ends[-1], cuts.products
    sizes.check_words(out.shape[1])
    rows = n if n_rows is None else n_rows
    launch_each(
        batch * rows,
        "branched_product.cu",
        f"cut_sums<{c_type(out)}, {len(factors)}>",
        x=factors[0],
        y=factors[1],
        z=factors[2] if third else 0,
        starts=starts,
        pruned=pruned,
        second=second,
        third=third[0] if third else 0,
        ways=ways,
        products=products if products.size else 0,
        out=out,
        batch=batch,
        n=n,
        n_rows=rows,
        skip=out.shape[1] - n,
        scalar=scalar,
        nothing=nothing,
        least=least,
        most=most,
        limit=limit,
        add=int(add),
    )
