"""What all operations on log-signatures share: methods, precision, lengths, tables of Lyndon words, blocks of bounded
memory, and paths of one segment.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._call.libraries import Array, device_of, library_of, namespace_of
from .._call.options import Meaning, as_any_int, as_int
from .._tables import lyndon, lyndon_cache
from .._tables.sizes import checked_tensor_length

# `log_sig` takes a multiple of so many paths at a time.
_BLOCK_PATHS = 32
# In float32 the logarithm loses more digits with every level, as its terms cancel. Relative to the largest entry of a
# level, 95 of 100 random walks of 8 or 50 points keep an error below 1e-4 up to level 5. With two channels a level has
# few entries, and they may all be small: there one walk in 100 passes 1e-4 at level 5.
_LAST_SINGLE_DEGREE = 5
_LAST_SINGLE_DEGREE_OF_TWO_CHANNELS = 4
# Scratch memory grows with the square of the degree if there is one channel.
_MAX_DEGREE_OF_ONE_CHANNEL = 2**12


def as_method(method: Any) -> int:
    """The method of a function of signatures: 0, 1 or 2."""
    method = as_int("method", method, 0)
    if method == 3:
        raise ValueError("method 3 starts from paths: method 2 gives the same coordinates from signatures")
    if method > 3:
        raise ValueError(f"method must be 0, 1 or 2, got {method}")
    return method


def as_path_method(method: Any) -> int:
    """The method of a function of paths: 3 names the coordinates of 2, which are computed in one way."""
    method = as_int("method", method, 0)
    if method > 3:
        raise ValueError(f"method must be 0, 1, 2 or 3, got {method}")
    return 2 if method == 3 else method


# The method of functions of signatures, and of paths. The number of the latter stays, as 3 asks for float64.
METHOD = Meaning(lambda name, value: as_method(value), as_any_int, "SymInt")


def _as_any_method(name: str, value: Any) -> int:
    method = as_int(name, value, 0)
    as_path_method(method)
    return method


PATH_METHOD = Meaning(_as_any_method, as_any_int, "SymInt")


def needs_double(dimension: int, degree: int, method: int) -> bool:
    """Whether the log-signature of a path is computed in float64 for arrays of any dtype, signature and all.

    `method` is that of the caller: what asks for method 3 wants exact numbers at every degree, as does everything that
    starts from log-signatures.
    """
    last = _LAST_SINGLE_DEGREE_OF_TWO_CHANNELS if dimension <= 2 else _LAST_SINGLE_DEGREE
    return method == 3 or degree > last


def taken(on: Any, view: Any) -> Any:
    """What loops read, in the dtype that `on` computes in: a copy if it is of another."""
    if on.can_look:
        return view.astype(on.view_dtype, copy=False)
    with on.current():
        return view.astype(on.dtype_name, copy=False)


def put(on: Any, values: Any, view: Any) -> None:
    """Write the float64 numbers that `on` computed to a view in float32, C-contiguous as they are."""
    if on.can_look:
        # In a small call NumPy takes as long to be told that numbers may overflow as loops take for the rest.
        if values.ndim > 2:
            values, view = values.reshape(len(values), -1), view.reshape(len(view), -1)
        on.loops.log_signature.put_singles(values, view)
        return
    with on.current():
        view[...] = values


def put_logs(on: Any, sig: Any, tables: Any, view: Any, options: tuple[Any, ...]) -> None:
    """Write logarithms of the float64 signatures that `on` computed to a view as `put` does."""
    if on.can_look:
        on.loops.log_signature.sig_to_log_sig_singles(sig, tables, view, *options)
        return
    logs = on.scratch(view.shape)
    on.loops.log_signature.sig_to_log_sig(sig, tables, logs, *options)
    put(on, logs, view)


def by_blocks(on: Any, work: Any, function: Callable[..., None], rows: Sequence[Any], out: Any) -> None:
    """`function(*rows, out)` in the dtype of `work`, where that is not the one of `on` copying blocks of rows."""
    if work is on:
        function(*rows, out)
        return
    blocks = blocks_of(work, len(out), max(array.shape[1] for array in (*rows, out)))
    for start in blocks:
        block = slice(start, start + blocks.step)
        result = work.scratch(out[block].shape)
        function(*(taken(work, array[block]) for array in rows), result)
        put(work, result, out[block])


def straight(log_sig: Array, n_letters: int, is_straight: Any) -> Array:
    """The log-signatures of paths of which some are one segment: those have zeros behind their letters.

    `is_straight` says which: an array that broadcasts to the batch axes, or True, which is copied to no GPU. NumPy
    arrays are changed in place. Rounding would leave something there, which in large units is not small. The
    derivative is 0 there, too.
    """
    xp = namespace_of(log_sig)
    if xp is np:
        log_sig[np.broadcast_to(is_straight, log_sig.shape[:-1]), n_letters:] = 0
        return log_sig
    if library_of(log_sig) == "torch":
        behind = xp.arange(log_sig.shape[-1], device=log_sig.device) >= n_letters
        if is_straight is not True:
            behind = xp.as_tensor(is_straight, device=log_sig.device)[..., None] & behind
        return log_sig.masked_fill(behind, 0.0)
    with device_of(log_sig):
        behind = xp.arange(log_sig.shape[-1]) >= n_letters
        if is_straight is not True:
            behind = xp.asarray(is_straight)[..., None] & behind
        return xp.where(behind, xp.zeros((), log_sig.dtype), log_sig)


def log_length(dimension: int, degree: int, method: int, scalar_term: bool) -> int:
    """Length of a log-signature, the transforms' channels counted in `dimension`."""
    if method == 0:
        if dimension == 1 and degree > _MAX_DEGREE_OF_ONE_CHANNEL:
            raise ValueError(f"method 0 takes degrees up to {_MAX_DEGREE_OF_ONE_CHANNEL} for one channel, got {degree}")
        return checked_tensor_length(dimension, degree) + scalar_term
    checked_size = lyndon.checked_size
    # The symbolic sizes of torch.compile cannot be looked up in a cache.
    return checked_size(dimension, degree) if type(dimension) is int else checked_size.__wrapped__(dimension, degree)


def tables_for(on: Any, dimension: int, degree: int, method: int, backward: bool = False) -> Any:
    """What the loops of this backend have to know about Lyndon words."""
    if on.solves_by_levels:
        return on.constant(lyndon_cache.level_tables, dimension, degree, method, on.dtype_name, backward)
    return on.constant(lyndon_cache.packed_tables, dimension, degree, method, on.dtype_name)


def blocks_of(on: Any, batch: int, sig_length: int) -> range:
    """Starts of blocks of paths whose signatures the backend takes at a time; the step is the largest block. Depends on
    shapes and on the dtype of `on` alone.
    """
    if batch <= _BLOCK_PATHS:
        return range(0, batch, max(batch, 1))
    item_size = 8 if on.dtype_name == "float64" else 4
    step = max(1, on.block_bytes // (max(sig_length, 1) * item_size * _BLOCK_PATHS)) * _BLOCK_PATHS
    return range(0, batch, min(step, max(batch, 1)))
