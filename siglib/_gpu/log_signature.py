"""Launchers of logarithms of signatures; arguments as in `siglib/_cpu/log_signature.pyx`.

The tables come from `lyndon_cache.level_tables`: `segments` are the ends of the levels, `entries` the rows of the
matrix; for the gradient the matrix is the transpose.

A signature whose tensors fit into shared memory belongs to one block, and the call is one launch; larger ones are cut
into slabs of bounded memory, with a launch for each step. Sums are the same either way.
"""

from typing import Any

from ._launch import USUAL_SHARED, c_type, empty, launch, n_processors
from .sizes import check_words, literal, pieces, shared_bytes, words_up_to

_THREADS = 256
_SMALL_BLOCK = 128


def _threads(n_words: int) -> int:
    """Threads that share a signature in its block: whole warps, several words for each thread."""
    threads = 32
    while threads < _THREADS and threads < n_words:
        threads *= 2
    return threads


def _per_block(batch: int, threads: int, n_bytes: int) -> int:
    """Signatures of one block: several if they are small, and there are enough to keep the device busy."""
    return max(1, min(_SMALL_BLOCK // threads, USUAL_SHARED // max(n_bytes, 1), batch // (4 * n_processors())))


def _fits(n_numbers: int, itemsize: int) -> bool:
    return n_numbers * itemsize <= shared_bytes()


def _steps(index: Any, dimension: int, degree: int, method: int) -> int:
    """The degree of the logarithm: 1 if there are Lyndon words of one letter only, which is all that is asked for."""
    return 1 if method and index.shape[0] == dimension else degree


def _or_absent(array: Any) -> Any:
    return array if array.size else 0


def sig_to_log_sig(
    sig: Any,
    index: Any,
    segments: Any,
    entries: Any,
    starts: Any,
    columns: Any,
    values: Any,
    out: Any,
    dimension: int,
    degree: int,
    method: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    """sig (batch, scalar_term + length); out (batch, number of Lyndon words), for method 0 of the shape of sig."""
    if degree == 0:
        out.fill(0)
        return
    batch, length, n_lyndon = sig.shape[0], sig.shape[1] - scalar_term, index.shape[0]
    check_words(length)
    matrix = (_or_absent(segments), _or_absent(entries), starts, _or_absent(columns), _or_absent(values))
    degree = _steps(index, dimension, degree, method)
    skip, out_skip, n_levels = int(scalar_term), int(scalar_term and method == 0), segments.shape[0]
    # t^(1), t^(3), .. take turns in the first part of the memory, t^(2), t^(4), .. in the second.
    first, second = words_up_to(dimension, degree - 1), words_up_to(dimension, degree - 2)
    x_shared = method == 2 and n_levels > 0 and _fits(first + max(second, n_lyndon), sig.itemsize)
    t_size = first + (max(second, n_lyndon) if x_shared else second)
    kernel = f"{c_type(sig)}, {literal(dimension)}"
    if _fits(t_size, sig.itemsize):
        threads = _threads(max(first, n_lyndon, length if method == 0 else 0))
        per_block = _per_block(batch, threads, t_size * sig.itemsize)
        launch(
            "log_signature.cu",
            f"log_sig<{kernel}, {method}>",
            -(-batch // per_block),
            threads * per_block,
            (
                *(sig, _or_absent(index), *matrix, out, batch, dimension, degree, length, n_lyndon, n_levels),
                *(skip, out_skip, threads, t_size, first, int(x_shared)),
            ),
            t_size * per_block * sig.itemsize,
        )
        return
    for piece, n_blocks in pieces(batch, t_size * sig.itemsize, length):
        p, result = sig[piece], out[piece]
        n = p.shape[0]
        t = empty((n, t_size), sig)
        for k in range(degree - 1, 0, -1):
            launch(
                "log_signature.cu",
                f"log_step<{kernel}>",
                n * n_blocks,
                _THREADS,
                (
                    *(p, t, dimension, degree, length, skip, n_blocks, t_size),
                    *(k, first if k % 2 else 0, 0 if k % 2 else first),
                ),
            )
        launch(
            "log_signature.cu",
            f"log_last_step<{kernel}, {method}>",
            n * n_blocks,
            _THREADS,
            (p, t, _or_absent(index), result, dimension, length, n_lyndon, skip, out_skip, n_blocks, t_size),
        )
        if n_levels:
            _solve(result, matrix, result, n_levels)


def _solve(source: Any, matrix: tuple[Any, ...], x: Any, n_levels: int) -> None:
    """x = M^-1 source."""
    launch(
        "log_signature.cu",
        f"log_solve<{c_type(x)}>",
        x.shape[0],
        _THREADS,
        (source, *matrix, x, x.shape[1], n_levels),
    )


def sig_to_log_sig_backprop(
    sig: Any,
    log_sig_derivs: Any,
    index: Any,
    segments: Any,
    entries: Any,
    starts: Any,
    columns: Any,
    values: Any,
    out: Any,
    dimension: int,
    degree: int,
    method: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    """Adjoint of `sig_to_log_sig`. sig, out (batch, scalar_term + length); log_sig_derivs like `out` there."""
    if degree == 0:
        out.fill(0)
        return
    batch, length, n_lyndon = sig.shape[0], sig.shape[1] - scalar_term, index.shape[0]
    check_words(length)
    matrix = (_or_absent(segments), _or_absent(entries), starts, _or_absent(columns), _or_absent(values))
    degree = _steps(index, dimension, degree, method)
    skip, out_skip, n_levels = int(scalar_term), int(scalar_term and method == 0), segments.shape[0]
    # t^(1), t^(2), .. one after another; then the cotangent of p, and those of t^(k), odd and even ones taking turns.
    sizes = [words_up_to(dimension, degree - k) for k in range(1, degree)]
    n_shorter, n_tails = (sizes or [0])[0], sum(sizes)
    t_size = n_tails + 2 * n_shorter + (sizes[1] if len(sizes) > 1 else 0)
    with_x = max(t_size, n_lyndon if method == 2 else 0)
    kernel = f"{c_type(sig)}, {literal(dimension)}"
    if _fits(with_x, sig.itemsize):
        threads = _threads(max(n_shorter, n_lyndon))
        per_block = _per_block(batch, threads, with_x * sig.itemsize)
        launch(
            "log_signature.cu",
            f"log_sig_backprop<{kernel}, {method}>",
            -(-batch // per_block),
            threads * per_block,
            (
                *(sig, log_sig_derivs, _or_absent(index), *matrix, out, batch, dimension, degree, length, n_shorter),
                *(n_lyndon, n_levels, skip, out_skip, threads, with_x, n_tails),
            ),
            with_x * per_block * sig.itemsize,
        )
        return
    begins = [sum(sizes[:k]) for k in range(degree)]
    g_p, g_t = n_tails, (n_tails + 2 * n_shorter, n_tails + n_shorter)
    for piece, n_blocks in pieces(batch, with_x * sig.itemsize, length):
        p, derivs, result = sig[piece], log_sig_derivs[piece], out[piece]
        n = p.shape[0]
        t = empty((n, t_size), sig)
        if n_levels:
            x = empty(derivs.shape, sig)
            _solve(derivs, matrix, x, n_levels)
            derivs = x
        launch(
            "log_signature.cu",
            f"log_seed<{c_type(sig)}, {method}>",
            n,
            _THREADS,
            (derivs, _or_absent(index), result, length, n_lyndon, skip, out_skip),
        )
        for k in range(degree - 1, 0, -1):
            launch(
                "log_signature.cu",
                f"log_step<{kernel}>",
                n * n_blocks,
                _THREADS,
                (p, t, dimension, degree, length, skip, n_blocks, t_size, k, begins[k % (degree - 1)], begins[k - 1]),
            )
        for k in range(degree):
            launch(
                "log_signature.cu",
                f"log_step_backprop<{c_type(sig)}>",
                n * n_blocks,
                _THREADS,
                (
                    *(p, result, t, dimension, degree, length, skip, n_blocks, t_size),
                    *(k, begins[min(k, degree - 2)], g_p, g_t[k % 2], g_t[1 - k % 2]),
                ),
            )
        launch(
            "log_signature.cu",
            f"log_finish<{c_type(sig)}>",
            n * n_blocks,
            _THREADS,
            (t, result, length, n_shorter, skip, n_blocks, t_size, g_p),
        )
