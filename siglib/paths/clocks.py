"""The times of series: one clock for all paths, or one for each, in one array."""

from typing import Any, NamedTuple

import numpy as np

from .._call.formats import numpy_array
from .._call.libraries import Array, device_of, is_on_gpu, library_of, namespace_of, on_host, refuse_dask
from .._call.tracing import is_transformed, refuse_watched_times
from .prepare import starts_of


class Clocks(NamedTuple):
    """Times of all paths, and where those of each path start."""

    times: Array
    starts: np.ndarray

    @classmethod
    def of(
        cls,
        times: Any,
        like: Array,
        batch: tuple[int, ...] | None,
        lengths: np.ndarray,
        padded_length: int | None,
        more: bool,
    ) -> "Clocks":
        """Checked times for paths of these lengths, in an array of these batch axes if there is one.

        `padded_length` is the length of that array, or of one that is padded; `more`: there is one time more than
        points.
        """
        n, n_times = len(lengths), lengths + more
        longest = int(lengths.max(initial=0)) if batch is None or padded_length is None else padded_length
        if getattr(times, "is_nested", False):
            times = list(times.unbind())
        listed = isinstance(times, (list, tuple)) and any(np.ndim(part) for part in map(_plain, times))
        if listed:
            if len(times) != n:
                raise ValueError(f"times must be one array, or one for each of {n} paths, got {len(times)}")
            parts = [_checked_dtype(f"times[{i}]", part, like) for i, part in enumerate(times)]
            for i, (part, wanted) in enumerate(zip(parts, n_times.tolist(), strict=True)):
                shape = tuple(part.shape)
                padded = wanted if padded_length is None else padded_length + more
                if shape not in ((wanted,), (padded,)):
                    raise ValueError(f"times[{i}] must have shape ({wanted},), as path {i} has, got {shape}")
                parts[i] = part[:wanted]
            flat, starts = _joined(parts), starts_of(n_times)
        else:
            array = _checked_dtype("times", times, like)
            flat, starts = _of_one_array(array, batch, n, longest + more)
        found = cls(flat, starts)
        if isinstance(flat, np.ndarray):
            found._check(n_times, like)
        return found

    def part(self, first: int, last: int) -> "Clocks":
        """Those of some of the paths."""
        return self._replace(starts=self.starts[first:last])

    def _is_shared(self) -> bool:
        return not self.starts[-1:].any()

    def _is_fine(self, n_times: np.ndarray, shared: bool, like: Array) -> bool:
        """Whether a quick look finds nothing wrong: times of paths of one length that grow, in the dtype of points."""
        if not len(n_times):
            return True
        n = len(self.times) if shared else int(n_times[0])
        if len(self.times) < 2 or self.times.size != (n if shared else n * len(n_times)) or n_times.min() < n:
            return False
        times = self.times.reshape(-1, n)
        if not np.isfinite(times[:, [0, -1]]).all():
            return False
        if like.dtype.itemsize < 8:
            times = times.astype(np.float32)
            return bool((times[:, 1:] > times[:, :-1]).all())
        return bool((times[:, 1:] >= times[:, :-1]).all())

    def _check(self, n_times: np.ndarray, like: Array) -> None:
        """ValueError unless times are finite and do not decrease."""
        shared = self._is_shared()
        if self._is_fine(n_times, shared, like):
            return
        if shared:
            n_times = n_times.max(initial=0, keepdims=True)
        path = np.repeat(np.arange(len(n_times)), n_times)
        place = np.arange(len(path)) - np.repeat(starts_of(n_times), n_times)
        times = self.times[self.starts[path] + place]
        wrong = ~np.isfinite(times)
        if wrong.any():
            i = int(wrong.argmax())
            raise ValueError(f"times must be finite, got {times[i]} at point {place[i]} of path {path[i]}")
        steps = np.diff(times)
        steps[place[1:] == 0] = 0
        if (steps < 0).any():
            i = int((steps < 0).argmax())
            raise ValueError(
                f"times must not decrease, got {times[i]} and then {times[i + 1]} at points {place[i]} and "
                f"{place[i + 1]} of path {path[i]}"
            )
        if like.dtype.itemsize < 8:
            lost = (steps > 0) & (np.diff(times.astype(np.float32)) == 0)
            if lost.any():
                i = int(lost.argmax())
                raise ValueError(
                    f"times {times[i]} and {times[i + 1]} of path {path[i]} are one number in float32, which the "
                    "points have: count them from a moment close by, or in other units"
                )


def _of_one_array(array: Array, batch: tuple[int, ...] | None, n: int, longest: int) -> tuple[Array, np.ndarray]:
    """One clock for all paths, or one for each in an array with the batch axes of the points."""
    shape = tuple(array.shape)
    wanted = (n,) if batch is None else batch
    fits = len(shape) > 0 and (shape[-1] == longest if batch is not None else shape[-1] >= longest)
    if not fits or shape[:-1] not in ((), wanted):
        many = f" or {(*wanted, longest)}" if wanted else ""
        raise ValueError(f"times must have shape ({longest},){many}, as the points have, got {shape}")
    if shape[:-1] == ():
        return array, np.zeros(n, np.int64)
    return array.reshape(n * shape[-1]), np.arange(n, dtype=np.int64) * shape[-1]


def _joined(parts: list[Array]) -> Array:
    """Times of one path behind those of another: on a GPU if all are there."""
    if not (parts and all(map(is_on_gpu, parts))):
        return np.concatenate([on_host(part) for part in parts]) if parts else np.empty(0)
    with device_of(parts[0]):
        return namespace_of(parts[0]).concatenate(parts, 0)


def _plain(part: Any) -> Any:
    return part if hasattr(part, "ndim") else np.asarray(part)


def _checked_dtype(name: str, times: Any, like: Array) -> Array:
    """Times in float64: an array of NumPy, or of the caller's library where times and points are on a GPU."""
    refuse_dask(**{name: times})
    refuse_watched_times(name, times)
    if getattr(getattr(times, "dtype", None), "kind", "f") in "mM":
        raise TypeError(f"{name} must hold real numbers, such as seconds from a first moment, got dtype {times.dtype}")
    if is_on_gpu(times) and not is_on_gpu(like):
        times = on_host(times)
    if is_on_gpu(times):
        xp = namespace_of(times)
        contiguous = times.contiguous() if library_of(times) == "torch" else xp.ascontiguousarray(times)
        return contiguous.to(xp.float64) if library_of(times) == "torch" else contiguous.astype(xp.float64, copy=False)
    if library_of(times) == "torch":
        # Transforms of torch know no memory, but numbers.
        times = times.tolist() if is_transformed(namespace_of(times)) else times.numpy(force=True)
    elif library_of(times) == "jax":
        times = np.asarray(times)
    return np.asarray(numpy_array(name, times), np.float64, order="C")
