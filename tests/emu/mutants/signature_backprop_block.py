"""Mistakes in the gradient of signatures of few letters, a block for each path."""

from typing import Any
from unittest import mock

import numpy as np
from checking import assert_close, smooth_path

import siglib
from siglib._gpu import signature_backprop_block as blocks
from siglib._gpu import signature_plan

from . import Mutant
from .signature_backprop import check_everywhere


def _check(gpu: Any, shape: tuple[int, ...], degree: int, few: int = 2, dtype: str = "float64", **options: Any) -> None:
    """With time chunks of `few` increments at least."""
    rng = np.random.default_rng(0)
    path = rng.standard_normal(shape) / shape[1] ** 0.5
    sig = siglib.sig(path, degree, **options)
    derivs = rng.standard_normal(sig.shape)
    given = [gpu.array(array.astype(dtype)) for array in (path, sig, derivs)]
    blocks.make_block.cache_clear()
    with mock.patch.object(signature_plan, "_SHORT_PART", few):
        gradient = siglib.sig_backprop(*given, degree, **options)
    blocks.make_block.cache_clear()
    expected = siglib.sig_backprop(path, sig, derivs, degree, **options)
    assert_close(gpu.numpy(gradient), expected, 1e-12 if dtype == "float64" else 1e-5)


def chunks(gpu: Any) -> None:
    """All of a block's threads have one, some of them nothing."""
    _check(gpu, (1, 300, 3), 3)


def halves(gpu: Any) -> None:
    """Two threads share a chunk."""
    _check(gpu, (2, 20, 4), 3)


def whole(gpu: Any) -> None:
    """One thread has all of it."""
    _check(gpu, (2, 20, 4), 3, dtype="float32")


def rounds(gpu: Any) -> None:
    """More increments than there is room for at a time."""
    _check(gpu, (3, 70, 3), 3, few=32)


def several_paths(gpu: Any) -> None:
    """In a block, and not as many as it has room for."""
    _check(gpu, (5, 70, 4), 3, few=32)


def short(gpu: Any) -> None:
    """Paths that are not cut."""
    _check(gpu, (5, 6, 4), 3, few=32)


def time(gpu: Any) -> None:
    _check(gpu, (3, 70, 3), 2, few=32, time_aug=True)


def borders(gpu: Any) -> None:
    """Points between the chunks of a smooth path."""
    check_everywhere(gpu, smooth_path(4001, 4))


KERNEL, PRODUCT = "signature_backprop_block.cu", "signature_product.cuh"
MUTANTS = [
    Mutant("no barrier before chunks are read", KERNEL, "    __syncthreads();\n\n    // The signature of the chunk.", "\n    // The signature of the chunk.", rounds),
    Mutant("no barrier before the walk", KERNEL, "        __syncwarp();\n        expect(step - N", "        expect(step - N", rounds),
    Mutant("no barrier after the walk", KERNEL, "        }\n        __syncwarp();\n    }\n    __syncthreads();", "        }\n    }\n    __syncthreads();", rounds),
    Mutant("no barrier before products are written", KERNEL, "    __syncthreads();\n\n    // The products", "\n    // The products", chunks),
    Mutant("no barrier before products are read", KERNEL, "        __syncthreads();\n        if (step >= columns) break;", "        if (step >= columns) break;", chunks),
    Mutant("no barrier after products are read", KERNEL, "        __syncthreads();\n    }\n\n    // The cotangent", "    }\n\n    // The cotangent", chunks),
    Mutant("no barrier after the cotangent", KERNEL, "    __syncthreads();\n\n    // Back,", "\n    // Back,", chunks),
    Mutant("no barrier before the way back", KERNEL, "        __syncwarp();\n        expect(step + N", "        expect(step + N", rounds),
    Mutant("no barrier before points are stored", KERNEL, "        __syncwarp();\n        constexpr int V", "        constexpr int V", rounds),
    Mutant("no barrier after points are stored", KERNEL, "        __syncwarp();\n    }\n    __syncthreads();\n    if", "    }\n    __syncthreads();\n    if", time),
    Mutant("no barrier before points between chunks", KERNEL, "    __syncthreads();\n    if (!exists) return;", "    if (!exists) return;", chunks),
    Mutant("a letter written while it is read", KERNEL, "if constexpr (ITEMS > 1) __syncwarp();", "", halves),
    Mutant("the other thread's gradient", KERNEL, "first ? item.g_inner[j] : other, 1)", "first ? other : item.g_inner[j], 1)", halves, "exact"),
    Mutant("the other half's letters", KERNEL, "first ? other : total)", "total)", halves, "exact"),
    Mutant("the other half's root", KERNEL, "load_letters<T, T1>(mine + k * D + first, root);", "load_letters<T, T1>(mine + k * D, root);", halves, "exact"),
    Mutant("nothing stands for chunks that are not there", KERNEL, "staged[i * (PLACES + 1) + PLACES] = 0;", "staged[i * (PLACES + 1) + PLACES] = 1;", chunks, "exact"),
    Mutant("the products of other paths", KERNEL, "c >= step ? place - step : PLACES", "place >= step ? place - step : PLACES", several_paths, "exact"),
    Mutant("the products of other paths behind", KERNEL, "c + step < columns ?", "place + step < PLACES ?", several_paths, "exact"),
    Mutant("this chunk is before itself", KERNEL, "c > 0 ? place - 1 : PLACES", "c > 0 ? place : PLACES", chunks, "exact"),
    Mutant("this chunk is behind itself", KERNEL, "c + 1 < columns ? place + 1 : PLACES", "c + 1 < columns ? place : PLACES", chunks, "exact"),
    Mutant("factors in the wrong order", PRODUCT, "left.template get<K>(u % LEFT) * right.template get<R - K>(u / LEFT)", "left.template get<K>(u / power<D>(R - K)) * right.template get<R - K>(u % power<D>(R - K))", whole, "exact"),
    Mutant("nothing behind", KERNEL, "add_behind<T, D, P, T1, 1, 1>(", "if (c < 0) add_behind<T, D, P, T1, 1, 1>(", whole, "exact"),
    Mutant("nothing before", KERNEL, "add_before<T, D, P, T1, 1, 1>(", "if (c < 0) add_before<T, D, P, T1, 1, 1>(", whole, "exact"),
    Mutant("words of another tile", KERNEL, "first * ENDS + word", "word", halves, "exact"),
    Mutant("words read backwards", KERNEL, "reversed<D, L>(v)]", "v]", halves, "exact"),
    Mutant("another path's cotangent", KERNEL, "place_of_path * stride", "first_path * stride", several_paths, "exact"),
    Mutant("the cotangent of a path that is not there", KERNEL, "path < n_paths ? path : 0;", "path;", several_paths),
    Mutant("another path's signature", KERNEL, "place_of_path * sig_stride", "first_path * sig_stride", short, "exact"),
    Mutant("the signature of a path that is cut", KERNEL, "n_chunks > 1 ? old", "n_chunks > 9 ? old", several_paths, "exact"),
    Mutant("no increment of zero", KERNEL, "margin = n_chunks > 1", "margin = 0", borders, "exact"),
    Mutant("the gradient of the zero before the first", KERNEL, "begin = c == 0 ? margin : 0", "begin = 0", chunks, "exact"),
    Mutant("the gradient of the zero behind the last", KERNEL, "step + k >= begin && step + k < end", "step + k >= begin", chunks, "exact"),
    Mutant("the chunk before forgotten", KERNEL, "is_last ? gradient[j] : to[first + j] + change[j]", "is_last ? gradient[j] : to[first + j]", whole, "exact"),
    Mutant("the last point", KERNEL, "is_last ? gradient[j] : to[first + j] + change[j]", "to[first + j] + change[j]", whole),
    Mutant("points beyond the chunk", KERNEL, "(unsigned)point < (unsigned)target.length", "point >= 0", chunks),
    Mutant("points before the chunk", KERNEL, "(unsigned)point < (unsigned)target.length", "point < target.length", chunks),
    Mutant("gradients of time", KERNEL, "if (first + j >= n_channels) break;", "", time),
    Mutant("points with time", KERNEL, "store_points<T, D, N, D - 1, 1, OF_WARP>", "store_points<T, D, N, D, 1, OF_WARP>", time),
    Mutant("the next row of points", KERNEL, "if (BY_ROW > 0 && k >= N) {", "if (k > N) {", rounds),
]  # fmt: skip
