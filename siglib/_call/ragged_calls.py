"""Calls with paths of unequal lengths: cut into runs of paths of nearly one length, for every operation.

An operation needs no kernels for them, whatever the library: which of its arrays are paths is in their names, and
`follows_points` says whether its result has an axis along the path. Such results come in runs of equal lengths, as do
corrections, and nothing is padded. Where time is added, each path has its own clock, which stands still behind its end.
"""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from .._tables.time import time_grid
from . import series_calls
from .array_likes import LazyPaths, UnequalLengthsError, refusal_of_series
from .dask import applied
from .formats import numpy_array
from .libraries import Array, device_of, hold_equal_numbers, is_on_gpu, library_of, namespace_of, refuse_dask
from .progress import told_as_one
from .ragged import RaggedPaths, as_ragged, indices_like, is_chunked, is_ragged, runs_of, side_of, zeros

# Padding that takes about the time of one more call: points of paths, and cells of kernels.
_POINTS = 1500
_CELLS = 20_000
# Padding of one side of a Gram matrix, as a share of its points.
_SHARE = 0.1
# Where loops leave padding out, it takes memory alone: another share, or so many points.
_FREE_SHARE, _FREE_POINTS = 1.0, 2**14


class _Clock(NamedTuple):
    """Transforms that padded paths go through before the call, since each has a time of its own."""

    lead_lag: bool
    end_time: float

    def transformed(self, path: Array, lengths: np.ndarray) -> Array:
        """The padded paths, with lead and lag, and each with its time."""
        xp = namespace_of(path)
        n_rows = np.maximum(lengths - 1, 0) * (2 if self.lead_lag else 1)
        if self.lead_lag and path.shape[1]:
            k = np.arange(2 * path.shape[1] - 1)
            lag, lead = (path[:, indices_like(at, path)] for at in (k // 2, (k + 1) // 2))
            path = xp.concatenate([lag, lead], -1)
        elif self.lead_lag:
            path = xp.concatenate([path, path], -1)
        row = np.minimum(np.arange(path.shape[1]), n_rows[:, None])
        time = row * (self.end_time / np.maximum(n_rows, 1))[:, None]
        if path.dtype.itemsize == 4:
            time = (time + time_grid(self.end_time)) - time_grid(self.end_time)
        device = {"device": path.device} if library_of(path) == "torch" else {}
        return xp.concatenate([path, xp.asarray(time, dtype=path.dtype, **device)[..., None]], -1)

    def pulled(self, gradient: Array, dimension: int) -> Array:
        """Adjoint of `transformed`."""
        if not self.lead_lag or not gradient.shape[1]:
            return gradient[..., :dimension]
        lag, lead = gradient[..., :dimension], gradient[..., dimension : 2 * dimension]
        total = lag[:, ::2] + lead[:, ::2]
        total[:, :-1] += lag[:, 1::2]
        total[:, 1:] += lead[:, 1::2]
        return total


class _Call:
    """What all these calls have in common."""

    def __init__(self, operation: Any, options: dict[str, Any], *, padded: bool = True, on_gpu: bool = False) -> None:
        self.operation = operation
        self.o = operation.clean(options)
        follows = operation.follows_points
        self.follows = getattr(self.o, follows) if isinstance(follows, str) else follows
        # The polynomial method is not exact where increments are zero: orders are cut there, too.
        self.padded = padded and not self.follows and not getattr(self.o, "order", 0)
        self.skips_padding = self.padded and not on_gpu and operation.skips_padding(self.o)
        self.options = options | {"padded": True} if self.skips_padding else options
        self.clock: _Clock | None = None
        if self.padded and self.o.time_aug:
            self.clock = _Clock(self.o.lead_lag, self.o.end_time)
            self.options = self.options | {"time_aug": False, "lead_lag": False}

    def path(self, ragged: RaggedPaths, run: np.ndarray) -> Array:
        """A run as the operation takes it."""
        path = ragged.padded(run)
        if self.clock is None:
            return path
        with device_of(path):
            return self.clock.transformed(path, ragged.lengths[run])

    def pull(self, ragged: RaggedPaths, run: np.ndarray, gradient: Array, total: Array) -> None:
        """Adjoint of `path`: adds to the gradient of all points."""
        with device_of(gradient):
            if self.clock is not None:
                gradient = self.clock.pulled(gradient, ragged.dimension)
            ragged.spread(run, gradient, total)


def _in_order(results: list[Array], runs: list[np.ndarray], axis: int = 0) -> Array:
    """Results of runs as one array, in the order of the caller's paths."""
    with device_of(results[0]):
        together = namespace_of(results[0]).concatenate(results, axis)
        at = indices_like(np.argsort(np.concatenate(runs)), together)
        return together[at] if axis == 0 else together[:, at]


def takes(operation: Any, arrays: tuple[Any, ...]) -> bool:
    """Whether these are paths of unequal lengths, and not some other list of arrays."""
    names = ("path", "path1", "path2")
    return any(name in names and is_ragged(value) for name, value in zip(operation.names, arrays, strict=True))


def refusal_to_compile(operation: Any) -> TypeError:
    return TypeError(
        f"siglib.{operation.name} got paths of unequal lengths, or a series, which torch.compile cannot trace: leave "
        "the call out by torch.compiler.disable"
    )


def call(operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """An operation on paths of unequal lengths, or on series that become paths."""
    if any(isinstance(array, LazyPaths) for array in arrays):
        return series_calls.call(operation, arrays, options)
    if any(map(is_chunked, arrays[: operation.n_shared])):
        if operation.names[0] != "path":
            _refuse_grids(_Call(operation, options))
        return operation.in_dask(arrays, operation.clean(options))
    if operation.names[0] == "path":
        return _of_paths(operation, arrays, options)
    return (_of_all_pairs if operation.gram else _of_pairs)(operation, arrays, options)


# One array of paths, and a correction or nothing


def _of_paths(operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    path, *rest = arrays
    ragged = as_ragged("path", path)
    call = _Call(operation, options, padded=all(array is None for array in rest))
    whole = _whole(call, ragged)
    if whole is not None:
        return whole(ragged.points, starts=ragged.starts, lengths=ragged.lengths, **options)
    runs = ragged.runs(_POINTS if call.padded else 0)
    if not runs:
        return operation(ragged.points.reshape(0, ragged.padded_length, ragged.dimension), *rest, **options)
    results = []
    with told_as_one(operation.name, len(ragged), len(runs) > 1) as part:
        for run in runs:
            corrections = [_correction(array, ragged, run) for array in rest]
            with part(len(run)):
                results.append(operation(call.path(ragged, run), *corrections, **call.options))
    if not call.follows:
        return _in_order(results, runs)
    rows = _listed(results, runs)
    return rows if ragged.padded_length is None else _stacked(rows, _n_rows(call, ragged, ragged.padded_length))


def one_length_at_a_time(function: Any) -> Any:
    """A function of a path, made of several operations, that takes paths of unequal lengths, too: one call a length.

    Its result has an axis along the path.
    """

    @wraps(function)
    def call(path: Any, *args: Any, **options: Any) -> Any:
        try:
            return function(path, *args, **options)
        except UnequalLengthsError:
            if not is_ragged(path):
                raise
        if isinstance(path, LazyPaths):
            return series_calls.of_function(call, path, args, options)
        ragged = as_ragged("path", path)
        if is_chunked(ragged):
            return applied("path", partial(_of_block, call, args, options), ragged, 2)
        runs = ragged.runs(0)
        if not runs:
            return function(ragged.points.reshape(0, ragged.padded_length, ragged.dimension), *args, **options)
        rows = _listed([function(ragged.padded(run), *args, **options) for run in runs], runs)
        if ragged.padded_length is None:
            return rows
        longest = rows[int(ragged.lengths.argmax())].shape[0]
        if ragged.lengths.max() < ragged.padded_length:
            longest = function(zeros((ragged.padded_length, ragged.dimension), ragged.points), *args, **options).shape[
                0
            ]
        return _stacked(rows, longest)

    return call


def _of_block(function: Any, args: tuple[Any, ...], options: dict[str, Any], path: Any) -> Any:
    return function(path, *args, **options)


def _listed(results: list[Array], runs: list[np.ndarray]) -> list[Array]:
    """Results of runs, one by one, in the order of the caller's paths."""
    found = dict(zip(np.concatenate(runs).tolist(), [row for rows in results for row in rows], strict=True))
    return [found[i] for i in range(len(found))]


def _whole(call: _Call, ragged: RaggedPaths) -> Any:
    """The operation that takes all paths at once, if there is one."""
    if not call.padded or is_on_gpu(ragged.points):
        return None
    return call.operation.ragged(ragged.dimension, call.o)


def _n_rows(call: _Call, ragged: RaggedPaths, length: int) -> int:
    """Rows of the result of a path of this length."""
    return call.operation.sizes(call.o, (length, ragged.dimension))[0][0]


def _stacked(rows: list[Array], length: int) -> Array:
    """Rows as one array, with zeros behind each."""
    if library_of(rows[0]) == "numpy":
        # Memory that nobody writes to is not there yet: what is padded costs nothing.
        out = np.zeros((len(rows), length, *rows[0].shape[1:]), rows[0].dtype)
        for place, row in zip(out, rows, strict=True):
            place[: len(row)] = row
        return out
    padded = []
    with device_of(rows[0]):
        xp = namespace_of(rows[0])
        for row in rows:
            missing = length - row.shape[0]
            padded.append(xp.concatenate([row, zeros((missing, *row.shape[1:]), row)], 0) if missing else row)
        return xp.stack(padded)


def _correction(correction: Any, ragged: RaggedPaths, run: np.ndarray) -> Any:
    """That of a run of equal lengths: one for all segments, or from those of each path."""
    if correction is None:
        return None
    if len(correction) and not getattr(correction[0], "shape", ()) and not isinstance(correction[0], (list, tuple)):
        return correction
    if len(correction) != len(ragged):
        raise ValueError(
            f"correction must have shape (C,), or be one array of shape (length - 1, C) for each of {len(ragged)} "
            f"paths of unequal lengths, got {len(correction)}"
        )
    n_segments = max(int(ragged.lengths[run[0]]) - 1, 0)
    parts = [correction[i] for i in run.tolist()]
    if ragged.padded_length is not None:
        parts = [part[:n_segments] for part in parts]
    with device_of(parts[0]):
        return namespace_of(parts[0]).stack(parts)


# Two arrays of paths


def _both(path1: Any, path2: Any) -> tuple[RaggedPaths, RaggedPaths]:
    """Both sides; one object if they are the same paths, whose matrix is then mirrored."""
    first = side_of("path1", path1)
    if path2 is path1 or _hold_the_same(path1, path2):
        return first, first
    second = side_of("path2", path2)
    plain = type(first.points) is np.ndarray and np.array_equal(first.lengths, second.lengths)
    return first, first if plain and hold_equal_numbers(first.points, second.points) else second


def _hold_the_same(path1: Any, path2: Any) -> bool:
    """Whether these are two lists of the same arrays."""
    lists = isinstance(path1, (list, tuple)) and type(path1) is type(path2) and not hasattr(path1, "batch_sizes")
    return lists and len(path1) == len(path2) and all(map(is_, path1, path2))


def _of_pairs(operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    call, first, second = _kernel_call(operation, arrays, options)
    _check_pairs(first, second)
    runs = _pairs(call, first.lengths, second.lengths)
    if not runs:
        return operation(first.points[None, :0][:0], second.points[None, :0][:0], *arrays[2:], **call.options)
    results = []
    with told_as_one(operation.name, len(first), len(runs) > 1) as part:
        for run in runs:
            x = call.path(first, run)
            y = x if first is second else call.path(second, run)
            with part(len(run)):
                results.append(operation(x, y, *arrays[2:], **call.options))
    return _in_order(results, runs)


def _check_pairs(first: RaggedPaths, second: RaggedPaths) -> None:
    if len(first) != len(second):
        raise ValueError(f"path1 and path2 must hold as many paths, got {len(first)} and {len(second)}")


def _of_all_pairs(operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    call, first, second = _kernel_call(operation, arrays, options)
    runs1, runs2 = _cut(call, first.lengths), _cut(call, second.lengths)
    if not (runs1 and runs2):
        return zeros((len(first), len(second)), first.points)
    symmetric = first is second and call.o.order1 == call.o.order2
    paths1 = [call.path(first, run) for run in runs1]
    paths2 = paths1 if first is second else [call.path(second, run) for run in runs2]
    rows: list[list[Array]] = []
    with told_as_one(operation.name, len(first) * len(second), len(runs1) * len(runs2) > 1) as part:
        for i, x in enumerate(paths1):
            row = [rows[j][i].T for j in range(i)] if symmetric else []
            for y in paths2[len(row) :]:
                same = {"same": x is y, "equal": x is y}
                with part(len(x) * len(y) * (2 if symmetric and x is not y else 1)):
                    row.append(operation(x, y, *arrays[2:], **call.options | same))
            rows.append(row)
    return _in_order([_in_order(row, runs2, axis=1) for row in rows], runs1)


def _kernel_call(
    operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]
) -> tuple[_Call, RaggedPaths, RaggedPaths]:
    first, second = _both(*arrays[:2])
    call = _Call(operation, options, on_gpu=is_on_gpu(first.points))
    _refuse_grids(call)
    if first.dimension != second.dimension:
        raise ValueError(
            f"path1 and path2 must have the same number of channels, got {first.dimension} and {second.dimension}"
        )
    return call, first, second


def _refuse_grids(call: _Call) -> None:
    if call.follows:
        raise ValueError("return_grid does not go together with paths of unequal lengths: their grids differ in shape")


def _pairs(call: _Call, lengths1: np.ndarray, lengths2: np.ndarray) -> list[np.ndarray]:
    """Pairs that go together."""
    runs: list[np.ndarray] = []
    cells = _CELLS if call.padded else 0
    for run in runs_of(lengths1, cells / max(1.0, float(lengths2.sum()) / max(1, len(lengths2)))):
        longest = max(1, int(lengths1[run[0]]))
        runs.extend(run[part] for part in runs_of(lengths2[run], cells / longest))
    return runs


def _cut(call: _Call, lengths: np.ndarray) -> list[np.ndarray]:
    """Runs of one side of a Gram matrix."""
    if call.skips_padding:
        return runs_of(lengths, max(_FREE_SHARE * float(lengths.sum()), _FREE_POINTS))
    share = _SHARE if call.padded else 0.0
    return runs_of(lengths, share * float(lengths.sum()) / max(1.0, len(lengths) ** 0.5))


# Derivatives along directions


def along(
    operation: Any, arrays: Sequence[Any], directions: Sequence[Any], numbers: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Along directions that have the lengths of their paths, one length at a time."""
    for name, array in zip(operation.names, arrays, strict=False):
        if isinstance(array, LazyPaths):
            raise refusal_of_series(name)
    call, n = _Call(operation, options), 1 if operation.names[0] == "path" else 2
    if any(array is not None for array in (*arrays[n:], *directions[n:])):
        raise ValueError("derivatives of corrected signatures take paths of one length: take them one by one")
    if n > 1:
        _refuse_grids(call)
    sides, moves = [], []
    for name, array, direction in zip(operation.names[:n], arrays, directions, strict=False):
        refuse_dask(**{name: array.points if isinstance(array, RaggedPaths) else array})
        sides.append(side_of(name, array))
        moves.append(None if direction is None else side_of(name.replace("path", "direction"), direction))
        if moves[-1] is not None and not np.array_equal(moves[-1].lengths, sides[-1].lengths):
            raise ValueError(f"{name.replace('path', 'direction')} must have the lengths of {name}")

    def part(*runs: np.ndarray) -> Any:
        there = [side.padded(run) for side, run in zip(sides, runs, strict=True)]
        moved = [None if move is None else move.padded(run) for move, run in zip(moves, runs, strict=True)]
        rest = [None] * (len(arrays) - n)
        return operation.along([*there, *rest], [*moved, *rest], *numbers, **options)

    # Of no paths there is one run, of none, which tells what the result is.
    none = np.arange(0)
    runs = [side.runs(0) or [none] for side in sides]
    if n == 1:
        results = [part(run) for run in runs[0]]
        if not call.follows:
            return _in_order(results, runs[0])
        ragged, rows = sides[0], _listed(results, runs[0])
        if ragged.padded_length is None:
            return rows
        n_rows = _n_rows(call, ragged, ragged.padded_length)
        return _stacked(rows, n_rows) if rows else zeros((0, n_rows, *results[0].shape[2:]), results[0])
    if operation.gram:
        rows = [_in_order([part(run1, run2) for run2 in runs[1]], runs[1], axis=1) for run1 in runs[0]]
        return _in_order(rows, runs[0])
    _check_pairs(*sides)
    pairs = [run[also] for run in runs[0] for also in runs_of(sides[1].lengths[run], 0)] or [none]
    return _in_order([part(run, run) for run in pairs], pairs)


# Gradients that are public


def backprop(
    operation: Any, derivs: Any, out: Any, arrays: tuple[Any, ...], needs: tuple[bool, ...], options: dict[str, Any]
) -> tuple[Any, ...]:
    """The public gradient of an operation on paths of unequal lengths: like the paths, a list or a padded array."""
    if any(isinstance(array, LazyPaths) for array in arrays):
        return series_calls.backprop(gradients, operation, derivs, out, arrays, needs, options)
    if any(map(is_chunked, arrays[: operation.n_shared])):
        return operation.backprop_in_dask(derivs, out, arrays, needs, options)
    return gradients(operation, derivs, out, arrays, needs, options, RaggedPaths.parts)


def gradients(
    operation: Any,
    derivs: Any,
    out: Any,
    arrays: tuple[Any, ...],
    needs: tuple[bool, ...],
    options: dict[str, Any],
    parts: Callable[[RaggedPaths, Array], Any],
) -> tuple[Any, ...]:
    """The same in the form that `parts(paths, gradients of all points)` gives them."""
    if operation.names[0] != "path":
        return _backprop_of_kernels(operation, derivs, arrays, needs, options, parts)
    path, *rest = arrays
    ragged = as_ragged("path", path)
    call = _Call(operation, options, padded=all(array is None for array in rest))
    whole = _whole(call, ragged)
    if hasattr(whole, "backprop"):
        (total,) = whole.backprop(derivs, out, ragged.points, starts=ragged.starts, lengths=ragged.lengths, **options)
        return parts(ragged, total), *[None for _ in rest]
    derivs = _checked_rows(operation.derivs_name, derivs, call, ragged)
    out = None if out is None else _checked_rows(operation.out_name, out, call, ragged)
    total = zeros(tuple(ragged.points.shape), ragged.points)
    of_rest: list[tuple[np.ndarray, list[Any]]] = []
    for run in ragged.runs(_POINTS if call.padded else 0):
        n_rows = _n_rows(call, ragged, int(ragged.lengths[run[0]])) if call.follows else None
        given = [None if array is None else _rows(array, run, n_rows) for array in (derivs, out)]
        corrections = [_correction(array, ragged, run) for array in rest]
        gradient, *more = operation.backprop(*given, call.path(ragged, run), *corrections, needs=needs, **call.options)
        call.pull(ragged, run, gradient, total)
        of_rest.append((run, more))
    of_corrections = [
        None if array is None or not need else _of_corrections(array, ragged, [(run, more[i]) for run, more in of_rest])
        for i, (array, need) in enumerate(zip(rest, needs[1:], strict=False))
    ]
    return parts(ragged, total), *of_corrections


def _of_corrections(correction: Any, ragged: RaggedPaths, found: list[tuple[np.ndarray, Array]]) -> Any:
    """Gradients with respect to what `_correction` takes, in the same form."""
    if not found:
        return correction
    if found[0][1].ndim == 1:
        return sum((part for _, part in found[1:]), found[0][1])
    parts = _listed([part for _, part in found], [run for run, _ in found])
    return parts if ragged.padded_length is None else _stacked(parts, max(ragged.padded_length - 1, 0))


def _checked_rows(name: str, array: Any, call: _Call, ragged: RaggedPaths) -> Any:
    """What has something for every path: one row, or all rows that the result has, with their padding or without."""
    if not call.follows:
        array = _as_array(name, array, ragged.points)
    what = "an array" if call.follows else "a row"
    n = len(array) if getattr(array, "shape", None) != () and hasattr(array, "__len__") else 0
    if n != len(ragged):
        raise ValueError(f"{name} must hold {what} for each of {len(ragged)} paths, got {n}")
    if not call.follows:
        return array
    n_rows = {int(length): _n_rows(call, ragged, int(length)) for length in set(ragged.lengths.tolist())}
    padded = None if ragged.padded_length is None else _n_rows(call, ragged, ragged.padded_length)
    for i, (length, part) in enumerate(zip(ragged.lengths.tolist(), array, strict=True)):
        found = part.shape[0] if getattr(part, "shape", ()) else 0
        if found not in (n_rows[length], padded):
            raise ValueError(f"{name}[{i}] must have {n_rows[length]} rows, as the result for path {i}, got {found}")
    return array


def _as_array(name: str, numbers: Any, like: Array) -> Any:
    """Lists of numbers as an array like the points."""
    if not isinstance(numbers, (list, tuple)):
        return numbers
    found = numpy_array(name, numbers)
    where = {"device": like.device} if library_of(like) == "torch" else {}
    with device_of(like):
        return namespace_of(like).asarray(found, dtype=like.dtype, **where)


def _rows(array: Any, run: np.ndarray, n_rows: int | None) -> Array:
    """What belongs to the paths of a run: one row each, or so many in one of a list, or of a padded array."""
    if n_rows is None:
        return array[indices_like(run, array)]
    parts = [array[i][:n_rows] for i in run.tolist()]
    with device_of(parts[0]):
        return namespace_of(parts[0]).stack(parts)


def _backprop_of_kernels(
    operation: Any,
    derivs: Any,
    arrays: tuple[Any, ...],
    needs: tuple[bool, ...],
    options: dict[str, Any],
    parts: Callable[[RaggedPaths, Array], Any],
) -> tuple[Any, ...]:
    call, *sides = _kernel_call(operation, arrays, options)
    totals = [zeros(tuple(side.points.shape), side.points) for side in sides]
    if operation.gram:
        pairs = [(run1, run2) for run1 in _cut(call, sides[0].lengths) for run2 in _cut(call, sides[1].lengths)]
    else:
        pairs = [(run, run) for run in _pairs(call, sides[0].lengths, sides[1].lengths)]
    shape = (len(sides[0]), len(sides[1])) if operation.gram else (len(sides[0]),)
    derivs = _as_array("derivs", derivs, sides[0].points)
    if tuple(derivs.shape) != shape:
        raise ValueError(f"derivs must have shape {shape}, that of the kernels, got {tuple(derivs.shape)}")
    for runs in pairs:
        given = derivs[indices_like(runs[0], derivs)]
        if operation.gram:
            given = given[:, indices_like(runs[1], derivs)]
        paths = [call.path(side, run) for side, run in zip(sides, runs, strict=True)]
        more = call.options | {"same": False, "equal": False}
        found = operation.backprop(given, None, *paths, *arrays[2:], needs=needs, **more)
        for side, run, gradient, total in zip(sides, runs, found, totals, strict=False):
            if gradient is not None:
                call.pull(side, run, gradient, total)
    return *[
        parts(side, total) if need else None for side, total, need in zip(sides, totals, needs, strict=False)
    ], None
