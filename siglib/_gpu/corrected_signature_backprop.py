"""Launcher of the gradient of signatures with corrections; arguments as in `siglib/_cpu/corrected_signature.pyx`.

A block walks a row back, that is a path or, of a long one, a time chunk of it, whose signature is computed anew then,
with increments of zero before and behind (`increments_backprop` in `cuda/increments.cu`).
"""

from typing import Any, NamedTuple

from .._tables.transform import Transform
from . import chen
from ._launch import c_type, empty, launch, launch_each
from .corrected_signature import make_rows, sig_of_chunks
from .increments import equal_increments_backprop, increments_backprop, paths_of
from .sizes import check_words, literal, shared_bytes, slabs, words_up_to

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
    batch, n_points, dimension = path.shape
    d, n_rows, stride = transform.width(dimension), n_points - 1, sig.shape[1]
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
    for slab in slabs(batch, numbers * path.itemsize):
        x, s, g, terms = path[slab], sig[slab], sig_derivs[slab], rows.of(slab)
        if n_chunks > 1:
            s = empty((len(x), n_chunks, length), path)
            sig_of_chunks(x, terms, s.reshape(-1, length), degree, m, chunk, transform)
            cotangents = chen.join_backprop(s, g, d, degree, length)
            n_lower = words_up_to(d, degree - 1)
            cotangents[:, :, n_lower:] = g[:, None, n_lower:]
            g = cotangents
        n = len(x) * n_chunks
        gx = empty((n, 1, walked, d), path)
        scratch = empty((n, state.n_scratch), path) if state.n_scratch else 0
        term_derivs: Any = correction_derivs[slab] if wanted else 0
        if summed and n_chunks > 1:
            term_derivs = empty((n, rows.n_terms), path)
        launch(
            "corrected_backprop.cu",
            f"corrected_backward<{c_type(path)}, {literal(d)}>",
            n,
            state.threads,
            state.shared,
            paths=paths_of(x, transform, chunk),
            terms=terms.terms,
            term_path=terms.path_step,
            term_row=terms.row_step,
            n_terms=terms.n_terms,
            sig=s,
            derivs=g,
            stride=length if n_chunks > 1 else stride,
            gx=gx,
            term_derivs=term_derivs,
            scratch=scratch,
            n_scratch=state.n_scratch,
            margin=margin,
            degree_given=degree,
            m_given=m,
            tile=state.tile,
        )
        if summed and n_chunks > 1:
            _sum_chunks(term_derivs, correction_derivs[slab], n_chunks)
        increments_backprop(gx, out[slab], n_chunks, margin)


def _sum_chunks(parts: Any, out: Any, n_chunks: int) -> None:
    launch_each(
        out.size,
        "corrected_backprop.cu",
        f"sum_of_chunks<{c_type(out)}>",
        parts=parts,
        out=out,
        size=out.size,
        n_chunks=n_chunks,
        n_terms=parts.shape[1],
    )


def _one_channel(sig: Any, derivs: Any, out: Any, correction_derivs: Any, degree: int, m: int, stride: int) -> None:
    """One channel: all increments have the same gradient, and all rows of the correction."""
    batch, n_points, _ = out.shape
    gradients = empty((batch, m), out)
    launch_each(
        gradients.size,
        "corrected_backprop.cu",
        f"corrected_powers_backprop<{c_type(out)}>",
        sig=sig,
        derivs=derivs,
        out=gradients,
        size=gradients.size,
        degree=degree,
        m=m,
        stride=stride,
    )
    equal_increments_backprop(gradients, out, m)
    if len(correction_derivs):
        n_equal = (n_points - 1) // correction_derivs.shape[1]
        correction_derivs[...] = n_equal * gradients[:, None, 1:]
