"""Calls with series that become paths: what is prepared is handed to the operation, some paths at a time.

Series (`siglib/paths/series.py`) say themselves what is to be done. Where they add time, the operation must not do it
again, and lead-lag comes before time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .array_likes import LazyPaths, UnequalLengthsError
from .backend import widened
from .libraries import Array, device_of, is_on_gpu, library_of, namespace_of
from .progress import told_as_one
from .ragged import RaggedPaths, as_ragged, is_ragged, zeros

# Bytes of paths that are prepared at a time, in main memory and on a GPU; and how many paths a call should have.
_BYTES, _GPU_BYTES = 2**22, 2**27
_FEWEST = 64

_TRANSFORM = {"time_aug": False, "lead_lag": False, "end_time": 1.0}


def call(operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """An operation on series."""
    back, arrays = _in_one_dtype(operation, arrays)
    if operation.names[0] != "path":
        return back(_of_sides(operation, arrays, options))
    series, *rest = arrays
    if any(array is not None for array in rest):
        return back(_of_one(operation, series, rest, options))
    # Options are refused before anything is prepared.
    operation.clean(options)
    if _follows(operation, options):
        return back(_of_one(operation, series, rest, options))
    n_paths = _n_together(series, bool(options["lead_lag"]))
    if n_paths >= len(series) or series.is_plain and not _takes(series, options) or series.watched():
        return back(_of_one(operation, series, rest, options))
    return back(_reshaped(_in_parts(operation, series, rest, options, n_paths), series))


def _in_one_dtype(operation: Any, arrays: tuple[Any, ...]) -> tuple[Callable[[Any], Any], tuple[Any, ...]]:
    """Half precision is computed in single precision, and is what results are rounded to."""
    n = operation.n_shared
    names = dict(zip(map(id, arrays[:n]), operation.names, strict=False))
    given = {id(a): a for a in arrays[:n] if isinstance(a, (LazyPaths, RaggedPaths))}
    if all(a.points.dtype.itemsize > 2 for a in given.values()):
        return _as_it_is, arrays
    finish = widened(path=next(iter(given.values())).points)[0]
    others: dict[int, Any] = {}
    for a in arrays[:n]:
        if a is None or id(a) in given:
            continue
        try:
            found = widened(**{names[id(a)]: a})[1]
        except UnequalLengthsError:
            if not is_ragged(a):
                raise
            given[id(a)] = as_ragged(names[id(a)], a)
        else:
            # Lists of numbers adapt to the rest.
            others[id(a)] = found if hasattr(a, "dtype") else a
    single = {key: a.with_points(widened(path=a.points)[1]) for key, a in given.items()}

    def back(result: Any) -> Any:
        return [finish(part) for part in result] if isinstance(result, list) else finish(result)

    return back, tuple((single | others).get(id(a), a) for a in arrays)


def _as_it_is(result: Any) -> Any:
    return result


def _follows(operation: Any, options: dict[str, Any]) -> bool:
    follows = operation.follows_points
    return bool(options[follows]) if isinstance(follows, str) else follows


def _takes(series: Any, options: dict[str, Any]) -> bool:
    return bool(series.takes_transform(*(options.get(name, _TRANSFORM[name]) for name in _TRANSFORM)))


def _n_together(series: Any, lead_lag: bool) -> int:
    """How many paths are prepared at a time."""
    size = _GPU_BYTES if is_on_gpu(series.points) else _BYTES
    most = max(_FEWEST, int(size // max(1, series.bytes_each(lead_lag))))
    n_parts = -(-len(series) // most)
    return -(-len(series) // max(1, n_parts))


def _halves(name: str, series: Any, takes: bool, options: dict[str, Any]) -> bool:
    """Whether results along the path come for two rows where one is wanted, that of each point; or ValueError."""
    if not (takes and (series.rectilinear or options.get("lead_lag", False))) or name == "transform_path":
        return False
    if "windows" in name:
        what = 'interpolation="rectilinear"' if series.rectilinear else "times together with lead_lag"
        raise ValueError(f"windows count points, and {what} makes two rows of each: take windows of transform_path")
    return True


def _half(result: Any) -> Any:
    """Every second row."""
    return [part[::2] for part in result] if isinstance(result, list) else result[..., ::2, :]


def _spread(derivs: Any) -> Any:
    """Adjoint of `_half`."""
    if isinstance(derivs, (list, tuple)):
        return [_spread(part) for part in derivs]
    shape = (*derivs.shape[:-2], max(2 * derivs.shape[-2] - 1, 0), derivs.shape[-1])
    with device_of(derivs):
        out = zeros(shape, derivs)
        out[..., ::2, :] = derivs
        return out


def _check_correction(takes: bool, rest: Any) -> None:
    if takes and any(array is not None for array in rest):
        raise ValueError("a correction leaves time out, and does not go together with times or rectilinear paths")


def _ready(series: Any, takes: bool, options: dict[str, Any]) -> tuple[Any, Callable[[Any], Any]]:
    """The paths of a series, and what takes derivatives of them back; those that are no series are one array."""
    n_jobs = options.get("n_jobs", 1)
    if not takes:
        return series.prepared(n_jobs=n_jobs)
    return series.prepared(**{name: options.get(name, _TRANSFORM[name]) for name in _TRANSFORM}, n_jobs=n_jobs)


def _of_one(operation: Any, series: Any, rest: Any, options: dict[str, Any]) -> Any:
    """All paths together."""
    takes = _takes(series, options)
    if series.is_plain and not takes:
        return operation(series.paths(), *rest, **options)
    path, _ = _ready(series, takes, options)
    _check_correction(takes, rest)
    halves = _follows(operation, options) and _halves(operation.name, series, takes, options)
    result = operation(path, *rest, **options | (_TRANSFORM if takes else {}))
    result = _half(result) if halves else result
    return _reshaped(result, series) if isinstance(path, RaggedPaths) else result


def _in_parts(operation: Any, series: Any, rest: Any, options: dict[str, Any], n_paths: int) -> Array:
    """The same for some paths at a time."""
    n, takes = len(series), _takes(series, options)
    after = options | (_TRANSFORM if takes else {})
    results, out = [], None
    with told_as_one(operation.name, n, n_paths < n) as part:
        for first in range(0, n, n_paths):
            last = min(first + n_paths, n)
            with part(last - first):
                path, _ = _ready(series.part(first, last), takes, options)
                result = operation(path, *rest, **after)
            if library_of(result) != "numpy":
                results.append(result)
                continue
            if out is None:
                out = np.empty((n, *result.shape[1:]), result.dtype)
            out[first:last] = result
    if out is not None:
        return out
    with device_of(results[0]):
        return namespace_of(results[0]).concatenate(results, 0)


def _reshaped(result: Any, series: Any) -> Any:
    """Results of single paths with the batch axes that their points have."""
    if series.batch is None or isinstance(result, list):
        return result
    with device_of(result):
        return result.reshape(*series.batch, *result.shape[1:])


def of_function(function: Callable[..., Any], series: Any, args: Any, options: dict[str, Any]) -> Any:
    """A function of paths that is made of several operations."""
    takes = _takes(series, options)
    path, _ = _ready(series, takes, options)
    halves = _halves(function.__name__, series, takes, options)
    options = {name: value for name, value in options.items() if not (takes and name in _TRANSFORM)}
    result = function(path, *args, **options)
    result = _half(result) if halves else result
    return _reshaped(result, series) if isinstance(path, RaggedPaths) else result


def _sides(
    operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]
) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """Both sides of kernels as paths, what takes derivatives of them back, and the options of the operation then."""
    kind: Any = next(type(side) for side in arrays[:2] if isinstance(side, LazyPaths))
    takes = any(isinstance(side, LazyPaths) and _takes(side, options) for side in arrays[:2])
    found: list[tuple[Any, Any]] = []
    for name, side in zip(operation.names[:2], arrays[:2], strict=True):
        if found and side is arrays[0]:
            found.append(found[0])
        elif isinstance(side, LazyPaths):
            plain = side.is_plain and not takes
            found.append((side.paths(), _as_it_is) if plain else _ready(side, takes, options))
        else:
            found.append(_ready(kind.named(name, side), takes, options) if takes else (side, None))
    paths, pulls = zip(*found, strict=True)
    return list(paths), list(pulls), options | (_TRANSFORM if takes else {})


def _of_sides(operation: Any, arrays: tuple[Any, ...], options: dict[str, Any]) -> Any:
    paths, _, options = _sides(operation, arrays, options)
    return operation(*paths, *arrays[2:], **options)


# Gradients that are public


def backprop(
    of_ragged: Callable[..., Any],
    operation: Any,
    derivs: Any,
    out: Any,
    arrays: tuple[Any, ...],
    needs: tuple[bool, ...],
    options: dict[str, Any],
) -> tuple[Any, ...]:
    """The public gradient, with respect to the points of series, as these came.

    `of_ragged` gives those for paths of unequal lengths.
    """
    n_sides = 1 if operation.names[0] == "path" else 2
    if n_sides == 1:
        takes = _takes(arrays[0], options)
        _check_correction(takes, arrays[1:])
        path, pull = _ready(arrays[0], takes, options)
        paths, pulls, after = [path], [pull], options | (_TRANSFORM if takes else {})
        if _follows(operation, options) and _halves(operation.name, arrays[0], takes, options):
            derivs = _spread(derivs)
        derivs, out = (_flat(array, arrays[0]) if isinstance(path, RaggedPaths) else array for array in (derivs, out))
    else:
        paths, pulls, after = _sides(operation, arrays, options)
    rest = arrays[n_sides:]
    if any(isinstance(path, RaggedPaths) or is_ragged(path) for path in paths):
        found = of_ragged(operation, derivs, out, (*paths, *rest), needs, after, lambda paths, total: (paths, total))
    else:
        found = operation.backprop(derivs, out, *paths, *rest, needs=needs, **after)
    gradients: list[Any] = []
    for side, pull, gradient in zip(arrays, pulls, found, strict=False):
        ragged, total = gradient if isinstance(gradient, tuple) else (None, gradient)
        if total is None:
            gradients.append(None)
        elif not isinstance(side, LazyPaths):
            total = total if pull is None else pull(total)
            gradients.append(total if ragged is None or not hasattr(ragged, "parts") else _parts(ragged, total, side))
        else:
            total = pull(total)
            gradients.append(total if side.ragged is None else side.ragged.parts(total))
    return *gradients, *found[n_sides:]


def _parts(ragged: RaggedPaths, total: Array, side: Any) -> Any:
    """Gradients of the other side, which is no series, as it came."""
    return ragged.parts(total) if is_ragged(side) else total.reshape(tuple(side.shape))


def _flat(array: Any, series: Any) -> Any:
    """Derivatives, or results, of single paths, one behind the other, where the points have several batch axes."""
    if array is None or series.batch is None:
        return array
    with device_of(array):
        return array.reshape(len(series), *array.shape[len(series.batch) :])
