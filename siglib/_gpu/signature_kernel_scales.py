"""Launchers of what signature kernels become once they are computed, where nobody looks at numbers: see
`siglib/kernels/operations.py`, which has all of it for arrays in main memory."""

from typing import Any

from ._launch import c_type, empty, launch_each
from .increments import strides

_FILE = "signature_kernel_scales.cu"


def apply_exponents(out: Any, exponent: Any) -> None:
    """out, mantissas, times 2^exponent; both (pairs)."""
    launch_each(out.size, _FILE, f"apply_exponents<{c_type(out)}>", out=out, exponent=exponent, n=out.size)


def logarithms(out: Any, exponent: Any) -> None:
    """out, mantissas, become logarithms of out * 2^exponent; both (pairs)."""
    launch_each(out.size, _FILE, f"logarithms<{c_type(out)}>", out=out, exponent=exponent, n=out.size)


def normalised(found: Any, own1: Any, own2: Any, out: Any, pairwise: bool) -> None:
    """Mantissas and exponents, of pairs and of each path with itself; out (pairs), in other memory."""
    launch_each(
        out.size,
        _FILE,
        f"normalised<{c_type(out)}>",
        mantissa=found[0],
        exponent=found[1],
        own_mantissa1=own1[0],
        own_exponent1=own1[1],
        own_mantissa2=own2[0],
        own_exponent2=own2[1],
        out=out,
        **_pairs(out, own1[0], own2[0], pairwise),
    )


def branched(logs: Any, own1: Any, own2: Any, out: Any, pairwise: bool, normalize: bool, log: bool) -> None:
    """Branched kernels from logarithms, of pairs and, where they are normalised, of each path with itself."""
    launch_each(
        out.size,
        _FILE,
        f"branched<{c_type(out)}>",
        logs=logs,
        own1=own1,
        own2=own2,
        out=out,
        normalize=int(normalize),
        log=int(log),
        **_pairs(out, own1, own2, pairwise),
    )


def _pairs(out: Any, own1: Any, own2: Any, pairwise: bool) -> dict[str, int]:
    stride = strides(own1)[0] if own1.size > 1 else 1
    return {"n": out.size, "n2": len(own2), "pairwise": int(pairwise), "own_stride": stride}


def seeds_of_pairs(derivs: Any, kernels: Any, seeds: Any, own: Any) -> None:
    """From derivatives by normalised kernels to those by logarithms of kernels: of pairs, and of paths with themselves.

    All (pairs); `own` is for both paths.
    """
    n = seeds.size
    launch_each(n, _FILE, f"seeds_of_pairs<{c_type(seeds)}>", derivs=derivs, kernels=kernels, seeds=seeds, own=own, n=n)


def seeds_of_gram(derivs: Any, kernels: Any, seeds: Any, own1: Any, own2: Any, n1: int, n2: int) -> None:
    """The same for all pairs; own1 (n1), own2 (n2), or None for a matrix with kernels of paths with themselves."""
    symmetric = own1 is None
    launch_each(
        32 * (n1 if symmetric else n1 + n2),
        _FILE,
        f"seeds_of_gram<{c_type(seeds)}>",
        derivs=derivs,
        kernels=kernels,
        seeds=seeds,
        own1=0 if symmetric else own1,
        own2=0 if symmetric else own2,
        n1=n1,
        n2=n2,
        symmetric=int(symmetric),
    )


def sum_of_three(a: Any, b: Any, c: Any) -> Any:
    """a + (b + c), contiguous arrays of one shape."""
    out = empty(a.shape, a)
    launch_each(out.size, _FILE, f"sum_of_three<{c_type(out)}>", a=a, b=b, c=c, out=out, n=out.size)
    return out
