"""Launchers of logarithms of signatures; arguments as in `siglib/_cpu/log_signature.pyx`.

The tables are those of `lyndon_cache.level_tables`: `segments` are the ends of the levels, `entries` the rows of the
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


def matrix_of(ends: Any, rows: Any, starts: Any, columns: Any, values: Any) -> dict[str, Any]:
    """A matrix by levels, by the names that CUDA functions have for it."""
    return {
        "ends": _or_absent(ends),
        "rows": _or_absent(rows),
        "starts": starts,
        "columns": _or_absent(columns),
        "values": _or_absent(values),
    }


def sig_to_log_sig(
    sig: Any,
    tables: tuple[Any, ...],
    out: Any,
    dimension: int,
    degree: int,
    method: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    """sig (batch, scalar_term + length); out (batch, number of Lyndon words), for method 0 of the shape of sig."""
    index, segments, entries, starts, columns, values = tables
    if degree == 0:
        out.fill(0)
        return
    batch, length, n_lyndon = sig.shape[0], sig.shape[1] - scalar_term, index.shape[0]
    check_words(length)
    matrix = matrix_of(segments, entries, starts, columns, values)
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
            t_size * per_block * sig.itemsize,
            sig=sig,
            index=_or_absent(index),
            out=out,
            batch=batch,
            dimension=dimension,
            degree=degree,
            length=length,
            n_lyndon=n_lyndon,
            n_levels=n_levels,
            skip=skip,
            out_skip=out_skip,
            width=threads,
            t_size=t_size,
            second=first,
            x_shared=int(x_shared),
            **matrix,
        )
        return
    for piece, n_blocks in pieces(batch, t_size * sig.itemsize, length):
        p, result = sig[piece], out[piece]
        n = p.shape[0]
        t = empty((n, t_size), sig)
        # What the CUDA functions of all steps are told.
        step = {"sig": p, "t": t, "length": length, "skip": skip, "n_blocks": n_blocks, "t_size": t_size}
        for k in range(degree - 1, 0, -1):
            launch(
                "log_signature.cu",
                f"log_step<{kernel}>",
                n * n_blocks,
                _THREADS,
                dimension=dimension,
                degree=degree,
                k=k,
                source=first if k % 2 else 0,
                target=0 if k % 2 else first,
                **step,
            )
        launch(
            "log_signature.cu",
            f"log_last_step<{kernel}, {method}>",
            n * n_blocks,
            _THREADS,
            index=_or_absent(index),
            out=result,
            dimension=dimension,
            n_lyndon=n_lyndon,
            out_skip=out_skip,
            **step,
        )
        if n_levels:
            solve(result, matrix, result, n_levels)


def solve(source: Any, matrix: dict[str, Any], x: Any, n_levels: int) -> None:
    """x = M^-1 source."""
    launch(
        "log_signature.cu",
        f"log_solve<{c_type(x)}>",
        x.shape[0],
        _THREADS,
        source=source,
        x=x,
        n_lyndon=x.shape[1],
        n_levels=n_levels,
        **matrix,
    )


def sig_to_log_sig_backprop(
    sig: Any,
    log_sig_derivs: Any,
    tables: tuple[Any, ...],
    out: Any,
    dimension: int,
    degree: int,
    method: int,
    scalar_term: bool,
    n_threads: int,
) -> None:
    """Adjoint of `sig_to_log_sig`. sig, out (batch, scalar_term + length); log_sig_derivs like `out` there."""
    index, segments, entries, starts, columns, values = tables
    if degree == 0:
        out.fill(0)
        return
    batch, length, n_lyndon = sig.shape[0], sig.shape[1] - scalar_term, index.shape[0]
    check_words(length)
    matrix = matrix_of(segments, entries, starts, columns, values)
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
            with_x * per_block * sig.itemsize,
            sig=sig,
            derivs=log_sig_derivs,
            index=_or_absent(index),
            out=out,
            batch=batch,
            dimension=dimension,
            degree=degree,
            length=length,
            n_shorter=n_shorter,
            n_lyndon=n_lyndon,
            n_levels=n_levels,
            skip=skip,
            out_skip=out_skip,
            width=threads,
            t_size=with_x,
            g=n_tails,
            **matrix,
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
            solve(derivs, matrix, x, n_levels)
            derivs = x
        launch(
            "log_signature.cu",
            f"log_seed<{c_type(sig)}, {method}>",
            n,
            _THREADS,
            derivs=derivs,
            index=_or_absent(index),
            out=result,
            length=length,
            n_lyndon=n_lyndon,
            skip=skip,
            out_skip=out_skip,
        )
        step = {"t": t, "length": length, "skip": skip, "n_blocks": n_blocks, "t_size": t_size}
        word_step = {"sig": p, "dimension": dimension, "degree": degree, **step}
        for k in range(degree - 1, 0, -1):
            launch(
                "log_signature.cu",
                f"log_step<{kernel}>",
                n * n_blocks,
                _THREADS,
                k=k,
                source=begins[k % (degree - 1)],
                target=begins[k - 1],
                **word_step,
            )
        for k in range(degree):
            launch(
                "log_signature.cu",
                f"log_step_backprop<{c_type(sig)}>",
                n * n_blocks,
                _THREADS,
                out=result,
                k=k,
                next=begins[min(k, degree - 2)],
                g_p=g_p,
                g=g_t[k % 2],
                g_next=g_t[1 - k % 2],
                **word_step,
            )
        launch(
            "log_signature.cu",
            f"log_finish<{c_type(sig)}>",
            n * n_blocks,
            _THREADS,
            out=result,
            n_shorter=n_shorter,
            g_p=g_p,
            **step,
        )
