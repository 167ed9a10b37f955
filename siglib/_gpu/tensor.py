"""Launchers of products of signatures."""

from typing import Any

from ._launch import c_type, launch

BLOCK = 256
# A warp shares sums of so many terms.
_LONG_SUM = 48


def template(array: Any, d: int, n_words: int) -> str:
    """Arguments of the templates in tensor.cu: number type, letters if few, type of indices."""
    return f"{c_type(array)}, {d if 2 <= d <= 5 else 0}, {index_type(n_words)}"


def index_type(n_words: int) -> str:
    """The integer type for the indices of the numbers of a signature."""
    return "int" if n_words < 2**31 else "long long"


def sig_combine(
    sig1: Any, sig2: Any, out: Any, dimension: int, degree: int, scalar_term1: bool, scalar_term2: bool, n_threads: int
) -> None:
    """sig1, out (batch, scalar_term1 + length); sig2 (batch, scalar_term2 + length)."""
    n_rows, n_words = out.shape[0], out.shape[1] - scalar_term1
    if n_words == 0:
        out[...] = 1
        return
    launch(
        "tensor.cu",
        f"sig_combine<{template(out, dimension, n_words)}>",
        n_rows * -(-n_words // BLOCK),
        BLOCK,
        a=sig1,
        b=sig2,
        out=out,
        n_rows=n_rows,
        d=dimension,
        n_words=n_words,
        a_scalar=int(scalar_term1),
        b_scalar=int(scalar_term2),
    )


def sig_combine_backprop(
    derivs: Any,
    sig1: Any,
    sig2: Any,
    sig1_derivs: Any,
    sig2_derivs: Any,
    dimension: int,
    degree: int,
    scalar_term1: bool,
    scalar_term2: bool,
    n_threads: int,
) -> None:
    """derivs, sig1, sig1_derivs (batch, scalar_term1 + length); sig2, sig2_derivs (batch, scalar_term2 + length)."""
    n_rows, n_words = sig1.shape[0], sig1.shape[1] - scalar_term1
    if n_words == 0:
        sig1_derivs[...] = 0
        sig2_derivs[...] = 0
        return
    n_tiles, n_long = adjoint_tiles(dimension, degree, n_words)
    launch(
        "tensor.cu",
        f"sig_combine_backprop<{template(sig1, dimension, n_words)}>",
        n_rows * n_tiles,
        BLOCK,
        derivs=derivs,
        a=sig1,
        b=sig2,
        a_derivs=sig1_derivs,
        b_derivs=sig2_derivs,
        n_tiles=n_tiles,
        d=dimension,
        degree=degree,
        n_words=n_words,
        n_long=n_long,
        a_scalar=int(scalar_term1),
        b_scalar=int(scalar_term2),
    )


def adjoint_tiles(d: int, degree: int, n_words: int) -> tuple[int, int]:
    """(blocks for the adjoint of one product, how many words of a factor have sums that a warp shares)."""
    n_long = n_long_words(d, degree)
    return -(-2 * n_long // (BLOCK // 32)) + -(-2 * (n_words - n_long) // BLOCK), n_long


def n_long_words(d: int, degree: int) -> int:
    """Number of words that so many words can follow that a warp should share their sum: all of the lowest levels."""
    n_words, size, n_following = 0, 1, sum(d**n for n in range(1, degree + 1))
    for n in range(1, degree + 1):
        size *= d
        n_following -= d ** (degree - n + 1)  # words of length degree - n at most
        if n_following < _LONG_SUM:
            break
        n_words += size
    return n_words
