"""Launcher of the gradient of signatures with corrections; arguments as in `siglib/_cpu/corrected_signature.pyx`.

A block walks a row back, that is a path or, of a long one, a time chunk of it, whose signature is computed anew then,
with increments of zero before and behind (`increments_backprop` in `cuda/increments.cu`).
"""

from typing import Any, NamedTuple

from .._tables.transform import Transform
from . import chen
from ._launch import c_type, empty, launch
from .corrected_signature import make_rows, sig_of_chunks
from .path import strides, time_steps
from .sizes import SCRATCH_BYTES, check_words, literal, shared_bytes, words_up_to

# Increments of a time chunk, unless its signature is so large that the chunks of one path would take too much memory.
_CHUNK = 64
_MOST_CHUNK_NUMBERS = 1 << 24
_THREADS = 256
# What increments and their corrections take of the shared memory of a block.
_TILE_BYTES = 8 << 10
_LONGEST_TILE = 16


class State(NamedTuple):
    """What a block keeps of its row, in numbers, and where."""

    tile: int  # increments at a time
    n_scratch: int  # in scratch memory: nothing, the cotangent, or everything
    shared: int  # bytes in shared memory
    threads: int


def make_state(d: int, degree: int, n_terms: int, n_sums: int, chunk: int, itemsize: int) -> State:
    """For rows of up to `chunk` increments and `n_terms` numbers that correct each; `n_sums` numbers for their sums."""
    n_words, width = words_up_to(d, degree), d + n_terms
    tile = max(1, min(_LONGEST_TILE, chunk, _TILE_BYTES // (width * itemsize)))
    n_partial = sum(words_up_to(d, n) for n in range(1, degree))
    rest = words_up_to(d, degree - 1) + 2 * n_partial + n_sums + tile * width
    threads = 32
    while threads < _THREADS and 2 * threads < n_words:
        threads *= 2
    most = shared_bytes()
    if (n_words + rest) * itemsize <= most:
        return State(tile, 0, (n_words + rest) * itemsize, threads)
    if rest * itemsize <= most:
        return State(tile, n_words, rest * itemsize, threads)
    return State(tile, n_words + rest, 0, threads)


def chunk_of(n_rows: int, n_words: int) -> int:
    """Increments of a time chunk; all of them if there is but one."""
    chunk = max(_CHUNK, -(-n_rows * n_words // _MOST_CHUNK_NUMBERS))
    return chunk if n_rows > 2 * chunk else n_rows


def sig_backprop(
    path: Any,
    correction: Any,
    sig: Any,
    sig_derivs: Any,
    out: Any,
    correction_derivs: Any,
    degree: int,
    m: int,
    scalar_term: bool,
    transform: Transform,
    n_threads: int,
) -> None:
    """Adjoint of `sig`. sig, sig_derivs (batch, scalar_term + length); out like path; correction_derivs (batch, as
    correction), or empty if not wanted."""
    time_aug, _, end_time = transform

    batch, n_points, dimension = path.shape
    d, n_rows, stride = dimension + time_aug, n_points - 1, sig.shape[1]
    length = stride - scalar_term
    wanted = len(correction_derivs) > 0
    sig, sig_derivs = sig[:, int(scalar_term) :], sig_derivs[:, int(scalar_term) :]
    if d == 1:
        _one_channel(sig, sig_derivs, out, correction_derivs, degree, m, stride)
        return
    rows = make_rows(correction)
    check_words(length)
    chunk = chunk_of(n_rows, length)
    n_chunks = -(-n_rows // chunk)
    margin = int(n_chunks > 1)
    walked = chunk + 2 * margin
    summed = wanted and rows.row_step == 0
    state = make_state(d, degree, rows.n_terms, rows.n_terms * summed, walked, path.itemsize)
    numbers = n_chunks * (walked * d + state.n_scratch + rows.n_terms * summed + (4 * length if n_chunks > 1 else 0))
    step = max(1, SCRATCH_BYTES // (numbers * path.itemsize))
    for start in range(0, batch, step):
        piece = slice(start, min(start + step, batch))
        x, s, g, terms = path[piece], sig[piece], sig_derivs[piece], rows.of(piece)
        if n_chunks > 1:
            s = empty((len(x), n_chunks, length), path)
            sig_of_chunks(x, terms, s.reshape(-1, length), degree, m, chunk, time_aug, end_time)
            top = empty((len(x), 1, length), path)
            top[:, 0] = g
            g = chen.join_backprop(chen.join(s, d), top, d, degree)
        n = len(x) * n_chunks
        gx = empty((n, walked, d), path)
        scratch = empty((n, state.n_scratch), path) if state.n_scratch else 0
        term_derivs: Any = correction_derivs[piece] if wanted else 0
        if summed and n_chunks > 1:
            term_derivs = empty((n, rows.n_terms), path)
        launch(
            "corrected_backprop.cu",
            f"corrected_backward<{c_type(path)}, {literal(d)}>",
            n,
            state.threads,
            (
                *(x, *strides(x), dimension, n_rows, int(time_aug), *time_steps(end_time, n_rows)),
                *(terms.terms, terms.path_step, terms.row_step, terms.n_terms),
                *(s, g, length if n_chunks > 1 else stride, gx, term_derivs, scratch, state.n_scratch),
                *(n_chunks, chunk, margin, d, degree, m, state.tile),
            ),
            state.shared,
        )
        if summed and n_chunks > 1:
            _sum_chunks(term_derivs, correction_derivs[piece], n_chunks)
        _points_backprop(gx, out[piece], d, n_chunks, chunk, margin)


def _sum_chunks(parts: Any, out: Any, n_chunks: int) -> None:
    launch(
        "corrected_backprop.cu",
        f"sum_of_chunks<{c_type(out)}>",
        -(-out.size // _THREADS),
        _THREADS,
        (parts, out, out.size, n_chunks, parts.shape[1]),
    )


def _points_backprop(gx: Any, out: Any, d: int, n_chunks: int, chunk: int, margin: int) -> None:
    """Gradients of points, from those of increments."""
    _, n_points, dimension = out.shape
    launch(
        "increments.cu",
        f"increments_backprop<{c_type(out)}>",
        -(-out.size // _THREADS),
        _THREADS,
        (gx, out, out.size, n_points, dimension, d, 1, n_chunks, chunk, margin, 0),
    )


def _one_channel(sig: Any, derivs: Any, out: Any, correction_derivs: Any, degree: int, m: int, stride: int) -> None:
    """One channel: all increments have the same gradient, and all rows of the correction."""
    batch, n_points, _ = out.shape
    gradients = empty((batch, m), out)
    launch(
        "corrected_backprop.cu",
        f"corrected_powers_backprop<{c_type(out)}>",
        -(-gradients.size // _THREADS),
        _THREADS,
        (sig, derivs, gradients, gradients.size, degree, m, stride),
    )
    launch(
        "increments.cu",
        f"equal_increments_backprop<{c_type(out)}>",
        -(-out.size // _THREADS),
        _THREADS,
        (gradients, out, out.size, n_points, 1, m, 0),
    )
    if len(correction_derivs):
        n_equal = (n_points - 1) // correction_derivs.shape[1]
        correction_derivs[...] = n_equal * gradients[:, None, 1:]
