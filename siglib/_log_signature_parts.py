"""What all operations on log-signatures share: methods, lengths, tables of Lyndon words, blocks of bounded memory."""

from typing import Any

from . import _lyndon, _lyndon_cache
from ._checks import as_int, checked_tensor_length

# `log_sig` takes a multiple of so many paths at a time.
_BLOCK_PATHS = 32
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


def log_length(dimension: int, degree: int, method: int, scalar_term: bool) -> int:
    """Length of a log-signature, the transforms' channels counted in `dimension`."""
    if method == 0:
        if dimension == 1 and degree > _MAX_DEGREE_OF_ONE_CHANNEL:
            raise ValueError(f"method 0 takes degrees up to {_MAX_DEGREE_OF_ONE_CHANNEL} for one channel, got {degree}")
        return checked_tensor_length(dimension, degree) + scalar_term
    checked_size = _lyndon.checked_size
    # The symbolic sizes of torch.compile cannot be looked up in a cache.
    return checked_size(dimension, degree) if type(dimension) is int else checked_size.__wrapped__(dimension, degree)


def tables_for(on: Any, dimension: int, degree: int, method: int, backward: bool = False) -> tuple[Any, ...]:
    """What the kernels of this backend have to know about Lyndon words."""
    if on.solves_by_levels:
        return on.constant(_lyndon_cache.level_tables, dimension, degree, method, on.dtype_name, backward)
    return on.constant(_lyndon_cache.kernel_tables, dimension, degree, method, on.dtype_name)


def blocks_of(on: Any, batch: int, sig_length: int, item_size: int) -> range:
    """Starts of blocks of paths whose signatures the backend takes at a time; the step is the largest block. Depends on
    shapes alone.
    """
    step = max(1, on.block_bytes // (max(sig_length, 1) * item_size * _BLOCK_PATHS)) * _BLOCK_PATHS
    return range(0, batch, min(step, max(batch, 1)))
