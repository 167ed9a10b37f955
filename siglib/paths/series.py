"""Series as they come, as one lazy value that every function of paths takes: times, gaps, augmentations."""

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .._call.array_likes import LazyPaths, UnequalLengthsError
from .._call.backend import backend_of
from .._call.formats import jax_arrays, numpy_array, torch_tensors
from .._call.libraries import Array, as_dtype_of, device_of, has_own_dtype, library_of, namespace_of
from .._call.options import as_bool
from .._call.ragged import RaggedPaths, as_ragged, is_ragged
from .._call.ragged_calls import one_length_at_a_time
from .._call.shapes import path_shape
from .._call.torch import is_watched
from .._call.tracing import left_to_python, loaded_torch
from .clocks import Clocks
from .steps import begin, extended, filled

_GAPS = ("propagate", "forward", "linear", "drop")
_INTERPOLATIONS = ("linear", "rectilinear")


class Series(LazyPaths):
    """Series of measurements and how they become paths, for every function that takes paths.

    Nothing is computed here. A function that gets a series fills gaps, scales, sums up and adds points for as many
    paths at a time as a cache holds, and goes on with these: what is prepared is never there as a whole unless
    gradients or kernels need it. Everything is differentiable with respect to `points`, and in PyTorch with respect to
    `scale` and `base_point`, too.

    In this order: gaps, scale, cumulative sum or increments, base point, invisibility reset, interpolation or lead-lag,
    time.

    Parameters
    ----------
    points : array of shape (..., length, dimension), or sequence of n arrays of shape (length, dimension)
        What was measured, NaN where nothing was; all that `sig` takes for a path.
    times : array of shape (length,) or (..., length), or sequence of n arrays of shape (length,), default None
        When points were measured: one clock for all, or one for each path. Times must not decrease. Where time is added
        (`time_aug=True`) these are taken as they are, instead of an even clock up to `end_time`. There is no gradient
        with respect to them. With `increments` there is one time more than increments: that of the first point.
    end_times : array of shape (...,), or sequence of n float, default None
        In place of `times`: each path has a clock that goes evenly from 0, at its first point, to a number of its own,
        at least 0, at its last one.
    lengths : sequence of n int, default None
        How many points each path has, if `points` and `times` are padded to one length: see `RaggedPaths`.
    gaps : {"propagate", "forward", "linear", "drop"}, default "propagate"
        What happens to NaN, channel by channel. ``"propagate"``: it goes into the result. ``"forward"``: the last
        number that was observed stands in the gap. ``"linear"``: the line through both neighbours does, in time if
        there are `times`, else by the number of points. Before the first number stands the first one, behind the last
        one the last. A channel without any number stays NaN. ``"drop"``: points with a gap in any channel are left out.
    scale : float or array of shape (dimension,), default None
        Factors of the channels.
    cumulative_sum : bool, default False
        Replace points by the sums of all points up to them.
    base_point : True or array of shape (dimension,) or (..., dimension), default None
        A point in front of each path, zero or given. Its time is that of the point behind it.
    invisibility_reset : bool, default False
        Append a channel that is 1 along the path, and two points: the last one and then zero, where it is 0. Their
        times are that of the last point. The signature then depends on where a path is, not only on how it moves.
    interpolation : {"linear", "rectilinear"}, default "linear"
        How the path goes from point to point. ``"rectilinear"``: first time goes on, and then values jump; it has
        ``2 * length - 1`` rows, needs `time_aug`, and does not go together with `lead_lag`.
    increments : bool, default False
        The rows of `points` are increments. The path starts at `base_point`, or at zero, and has a point more.

    Raises
    ------
    TypeError
        If an argument has the wrong type, or arrays are not of one library, device and dtype.
    ValueError
        If shapes or options do not go together, or times decrease, are not finite, or are so close to one another that
        float32 points could not tell them apart.

    Notes
    -----
    With `lead_lag` the row between two points has the time half-way between theirs: evenly spaced times give what no
    times give. Times on a GPU are not looked at.

    References
    ----------
    Gaps and rectilinear paths: J. Morrill, P. Kidger, L. Yang and T. Lyons, "On the choice of interpolation scheme for
    neural CDEs", Transactions on Machine Learning Research (2022). Rectilinear paths as "time-joined" ones: D. Levin,
    T. Lyons and H. Ni, "Learning from the past, predicting the statistics for the future, learning an evolving system",
    arXiv:1309.0260. Base point: P. Kidger and T. Lyons, "Signatory", ICLR 2021, arXiv:2001.00706. Invisibility reset:
    Y. Wu, H. Ni, T. Lyons and R. Hudson, "Signature features with the visibility transformation", ICPR 2020,
    arXiv:2004.04006. Cumulative sums: I. Chevyrev and A. Kormilitzin, "A primer on the signature method in machine
    learning", arXiv:1603.03788.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> points = np.array([[1.0, 5.0], [np.nan, 5.5], [2.0, 6.5]])
    >>> series = siglib.Series(points, times=[0.0, 3.0, 4.0], gaps="linear", base_point=True)
    >>> siglib.transform_path(series, time_aug=True)
    array([[0.  , 0.  , 0.  ],
           [1.  , 5.  , 0.  ],
           [1.75, 5.5 , 3.  ],
           [2.  , 6.5 , 4.  ]])
    >>> siglib.sig(series, 2, time_aug=True)[:3]
    array([2. , 6.5, 4. ])
    """

    _name = "points"

    @left_to_python
    def __init__(
        self,
        points: Any,
        *,
        times: Any = None,
        end_times: Any = None,
        lengths: Any = None,
        gaps: str = "propagate",
        scale: Any = None,
        cumulative_sum: bool = False,
        base_point: Any = None,
        invisibility_reset: bool = False,
        interpolation: str = "linear",
        increments: bool = False,
    ) -> None:
        self._take_points(points, lengths)
        self.gaps = _one_of("gaps", gaps, _GAPS)
        self.rectilinear = _one_of("interpolation", interpolation, _INTERPOLATIONS) == "rectilinear"
        self.cumulative_sum = as_bool("cumulative_sum", cumulative_sum)
        self.invisibility_reset = as_bool("invisibility_reset", invisibility_reset)
        self.increments = as_bool("increments", increments)
        if self.increments and self.cumulative_sum:
            raise ValueError("increments and cumulative_sum do not go together: increments are summed up once")
        if self.increments and self.gaps == "drop":
            raise ValueError('gaps must not be "drop" for increments: the path would lose what it goes there')
        self.scale = None if scale is None else self._channels("scale", scale)
        self.has_base = base_point is not None and base_point is not False
        self.base_point = self._base(base_point) if self.has_base and base_point is not True else None
        self.clocks: Clocks | None = None
        if end_times is not None:
            if times is not None:
                raise ValueError("give either times or end_times")
            times = self._even_times(end_times)
        if times is not None:
            self.clocks = Clocks.of(times, self.like, self.batch, self.lengths, self.padded_length, self.increments)

    @classmethod
    def named(cls, name: str, points: Any, **options: Any) -> "Series":
        """The same for an argument of another name."""
        found = cls.__new__(cls)
        found._name = name
        Series.__init__(found, points, **options)
        return found

    def _even_times(self, end_times: Any) -> list[np.ndarray]:
        """Times of the points of each path, from where they end."""
        if getattr(end_times, "requires_grad", False):
            raise TypeError("end_times requires a gradient, and there is none with respect to times")
        if library_of(end_times) == "torch":
            end_times = end_times.numpy(force=True)
        ends = numpy_array("end_times", end_times)
        shape = (len(self),) if self.batch is None else self.batch
        if ends.shape != shape:
            raise ValueError(f"end_times must have shape {shape}, a number for each path, got {ends.shape}")
        if not (np.isfinite(ends).all() and (ends >= 0).all()):
            raise ValueError("end_times must hold finite numbers of at least 0")
        n_times = (self.lengths + self.increments).tolist()
        return [np.linspace(0.0, end, n) for end, n in zip(ends.reshape(-1).tolist(), n_times, strict=True)]

    def _take_points(self, points: Any, lengths: Any) -> None:
        """Points as a whole array, with its batch axes, or as those of paths of unequal lengths."""
        name = self._name
        self.ragged: RaggedPaths | None = None
        self.batch: tuple[int, ...] | None = None
        if isinstance(points, LazyPaths):
            raise TypeError(f"{name} is a series already: give all options at once")
        if isinstance(points, RaggedPaths) and lengths is not None:
            raise ValueError(f"lengths are known: {name} are paths of unequal lengths")
        if lengths is not None:
            self.ragged = RaggedPaths.named(name, points, lengths)
        else:
            try:
                self.array = _one_array(name, points)
            except UnequalLengthsError:
                if not is_ragged(points):
                    raise
                self.ragged = as_ragged(name, points)
        if self.ragged is not None:
            self.lengths, self.array = self.ragged.lengths, self.ragged.points
            return
        self.batch, length, _ = path_shape(name, tuple(self.array.shape))
        self.lengths = np.full(int(np.prod(self.batch, dtype=np.int64)), length, np.int64)

    @property
    def like(self) -> Array:
        """An array of the library, dtype and device of the points."""
        return self.array

    @property
    def dimension(self) -> int:
        """Channels of the points."""
        return int(self.array.shape[-1])

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def points(self) -> Array:
        """The points as one array."""
        return self.array

    @property
    def padded_length(self) -> int | None:
        """The length of the array in which paths came, if there is one."""
        return int(self.array.shape[-2]) if self.ragged is None else self.ragged.padded_length

    def with_points(self, points: Array) -> "Series":
        """The same series of other points, of the same shape."""
        other = copy.copy(self)
        other.array = points
        if self.ragged is not None:
            other.ragged = self.ragged.with_points(points)
        for name in ("scale", "base_point"):
            given = getattr(self, name)
            if given is not None and given.dtype != points.dtype:
                setattr(other, name, as_dtype_of(given, points))
        return other

    def flattened(self) -> "Series":
        """The same with one batch axis."""
        return self.part(0, len(self))

    def _channels(self, name: str, numbers: Any) -> Array:
        """A number for each channel, or one for all, in the library of the points."""
        array = _array_like(name, numbers, self.like)
        if tuple(array.shape) not in ((), (self.dimension,)):
            raise ValueError(
                f"{name} must be a number or have shape ({self.dimension},), one for each channel, got "
                f"{tuple(array.shape)}"
            )
        return array

    def _base(self, base_point: Any) -> Array:
        """The points in front, of shape (paths, dimension)."""
        array = _array_like("base_point", base_point, self.like)
        shape, d = tuple(array.shape), self.dimension
        batch = (len(self),) if self.batch is None else self.batch
        if shape not in ((d,), (*batch, d)):
            raise ValueError(f"base_point must be True or have shape ({d},) or {(*batch, d)}, got {shape}")
        if shape == (d,):
            with device_of(array):
                return namespace_of(array).broadcast_to(array, (len(self), d))
        return array.reshape(len(self), d)

    # What calls ask

    @property
    def is_plain(self) -> bool:
        """Whether points are paths as they are, but for the clock."""
        return not (
            self.gaps != "propagate"
            or self.scale is not None
            or self.cumulative_sum
            or self.has_base
            or self.invisibility_reset
            or self.rectilinear
            or self.increments
        )

    def paths(self) -> Any:
        """The points as functions of paths take them: one array, or paths of unequal lengths."""
        return self.array if self.ragged is None else self.ragged

    def takes_transform(self, time_aug: bool, lead_lag: bool, end_time: float) -> bool:
        """Whether time, and with it lead-lag, must be added here; ValueError if the options do not go together."""
        if self.rectilinear and not time_aug:
            raise ValueError('interpolation="rectilinear" moves time and values in turn, so it needs time_aug=True')
        if self.rectilinear and lead_lag:
            raise ValueError('interpolation="rectilinear" does not go together with lead_lag')
        if self.clocks is not None and time_aug and end_time != 1.0:
            raise ValueError(f"times say when a path ends: leave out end_time, got {end_time}")
        return self.rectilinear or (self.clocks is not None and time_aug)

    def watched(self) -> bool:
        """Whether somebody wants more than values of the result."""
        if library_of(self.array) == "jax":
            return True
        torch = loaded_torch()
        given = [a for a in (self.array, self.scale, self.base_point) if a is not None]
        return torch is not None and any(isinstance(a, torch.Tensor) for a in given) and is_watched(torch, tuple(given))

    def bytes_each(self, lead_lag: bool) -> int:
        """About how many bytes a path takes when it is prepared."""
        length = int(self.lengths.sum()) // max(1, len(self)) + 3
        twice = 2 if self.rectilinear or lead_lag else 1
        return length * twice * (self.dimension * (2 if lead_lag else 1) + 2) * self.array.dtype.itemsize

    def part(self, first: int, last: int) -> "Series":
        """Some of the paths, one behind the other."""
        other = copy.copy(self)
        other.lengths = self.lengths[first:last]
        if self.clocks is not None:
            other.clocks = self.clocks.part(first, last)
        if self.base_point is not None:
            other.base_point = self.base_point[first:last]
        if self.ragged is not None:
            ragged = copy.copy(self.ragged)
            ragged.lengths, ragged.starts = self.ragged.lengths[first:last], self.ragged.starts[first:last]
            other.ragged = ragged
        else:
            other.batch = (last - first,)
            with device_of(self.array):
                other.array = self.array.reshape(len(self), *self.array.shape[-2:])[first:last]
        return other

    def prepared(
        self, *, time_aug: bool = False, lead_lag: bool = False, end_time: float = 1.0, n_jobs: int = 1
    ) -> tuple[Any, Callable[[Any], Any]]:
        """The paths, with these transforms, and what takes derivatives of them back to the points.

        Derivatives come, and go, as they are for `paths()`: of an array for an array, of all points in one array for
        paths of unequal lengths.
        """
        with device_of(self.array):
            return self._prepared(time_aug, lead_lag, end_time, n_jobs)

    def _prepared(self, time_aug: bool, lead_lag: bool, end_time: float, n_jobs: int) -> tuple[Any, Any]:
        state = filled(self, begin(self), n_jobs)
        extends = (
            self.has_base or self.increments or self.invisibility_reset or self.rectilinear or time_aug or lead_lag
        )
        if extends:
            state = extended(self, state, time_aug, lead_lag, end_time, n_jobs)
        dropped = self.gaps == "drop"
        longest = None if self.padded_length is None else self._n_rows(self.padded_length, lead_lag)
        value: Any
        if self.batch is not None and (not dropped or len(self) == 1):
            n_rows = int(state.lengths[0]) if len(self) else longest
            value = state.points.reshape(*self.batch, n_rows, state.points.shape[-1])
        else:
            value = RaggedPaths.through(state.points, state.starts, state.lengths, longest)

        def pull(derivs: Array) -> Array:
            with device_of(derivs):
                derivs = derivs.reshape(tuple(state.points.shape))
                for step in reversed(state.pulls):
                    derivs = step(derivs)
                return derivs.reshape(tuple(self.array.shape))

        return value, pull

    def _n_rows(self, length: int, lead_lag: bool) -> int:
        """Rows of a path of so many points."""
        n = length + (self.has_base or self.increments)
        n += 2 * (self.invisibility_reset and n > 0)
        return 2 * n - 1 if n > 0 and (lead_lag or self.rectilinear) else n


def with_clock(path: Any, lengths: Any, times: Any, time_aug: Any) -> Any:
    """What functions of a path make of their parameters `lengths` and `times`."""
    if times is None:
        return path if lengths is None else RaggedPaths(path, lengths)
    if isinstance(path, LazyPaths):
        raise ValueError("times belong to the series: give them to siglib.Series")
    if not as_bool("time_aug", time_aug):
        raise ValueError("times are for time_aug=True, which adds them to the path as a channel")
    return Series.named("path", path, times=times, lengths=lengths)


def of_series(function: Any) -> Any:
    """A function of a path, made of several operations, with an axis along the path, that takes series, too.

    It has parameters `lengths` and `times`, which it need not look at.
    """
    of_paths = one_length_at_a_time(function)

    @wraps(function)
    def call(path: Any, *args: Any, lengths: Any = None, times: Any = None, **options: Any) -> Any:
        if lengths is not None or times is not None:
            path = with_clock(path, lengths, times, options.get("time_aug", False))
        return of_paths(path, *args, **options)

    return call


def _one_of(name: str, value: Any, values: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(map(repr, values))}, got {value!r}")
    if value not in values:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, values))}, got {value!r}")
    return value


def _one_array(name: str, points: Any) -> Array:
    """Points that are one array, in its library, and in the caller's dtype."""
    library = library_of(points)
    if library == "torch":
        torch_tensors({name: points})
        return points if points.dtype.is_floating_point else points.to(namespace_of(points).get_default_dtype())
    if library == "jax":
        return jax_arrays({name: points})[0][0]
    on, (found,) = backend_of((name,), (points,))
    return on.result(found)


def _array_like(name: str, value: Any, like: Array) -> Array:
    """Numbers as an array of the library, dtype and device of another one."""
    library, given = library_of(like), library_of(value)
    if given == library != "numpy" and has_own_dtype(value):
        if library == "torch" and value.device != like.device:
            raise TypeError(f"{name} is on {value.device}, and points are on {like.device}")
        return as_dtype_of(value, like)
    if given not in (library, "numpy"):
        raise TypeError(f"{name} must come from the library of points, {library}, got {type(value).__name__}")
    array = numpy_array(name, value).astype(np.float64)
    xp = namespace_of(like)
    if library == "torch":
        return xp.as_tensor(array, dtype=like.dtype, device=like.device)
    with device_of(like):
        return xp.asarray(array, dtype=like.dtype)
