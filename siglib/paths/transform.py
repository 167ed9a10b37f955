"""Path transforms: lead-lag and time augmentation, and their gradient."""

from functools import partial
from typing import Any

from .._call import dask
from .._call.array_likes import LazyPaths
from .._call.backend import backend_for
from .._call.libraries import Array, DaskArraysError
from .._call.operation import Operation
from .._call.options import as_n_threads, as_transform
from .._call.shapes import path_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension
from .._tables.transform import Transform
from .series import Series

# The very texts that stand for nothing to do: looking whether an option is one of them takes no time.
_PROPAGATE, _LINEAR = "propagate", "linear"


class _TransformPath(Operation):
    name = "transform_path"
    follows_points = True
    arrays = ("path",)
    options = ("time_aug", "lead_lag", "end_time", "n_jobs")

    def sizes(self, o: Any, path: Any) -> tuple[Any, ...]:
        batch, length, dimension = path_shape("path", path)
        if o.lead_lag and length > 0:
            length = 2 * length - 1
        return ((*batch, length, augmented_dimension(dimension, o.time_aug, o.lead_lag)),)

    def polynomial(self, o: Any, path: Any) -> Polynomial:
        return grades.of_path(1, o)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array) -> None:
        on.loops.path.transform_path(on.paths(path), on.paths(out), o.transform, as_n_threads(o.n_jobs))

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array) -> tuple[Any]:
        gradient = on.empty(path.shape)
        transform_backprop(on, on.paths(derivs), on.paths(gradient), o.lead_lag, as_n_threads(o.n_jobs))
        return (gradient,)


TRANSFORM_PATH = _TransformPath()


def transformed(on: Any, path: Array, transform: Transform, n_threads: int) -> Any:
    """The transformed paths for loops, of shape (paths, length, dimension); those of no transform themselves."""
    paths = on.paths(path)
    if not (transform.time_aug or transform.lead_lag) or paths.shape[1] == 0:
        return paths
    n, length, dimension = paths.shape
    out = on.scratch((n, 2 * length - 1 if transform.lead_lag else length, transform.width(dimension)))
    on.loops.path.transform_path(paths, out, transform, n_threads)
    return out


def transform_backprop(on: Any, derivs: Any, gradient: Any, lead_lag: bool, n_threads: int) -> None:
    """The adjoint of the transform; time, the last channel if there is one more, has no gradient."""
    on.loops.path.transform_path_backprop(derivs, gradient, lead_lag, n_threads)


def transform_path(
    path: Array,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths: Any = None,
    times: Any = None,
    gaps: str = "propagate",
    scale: Any = None,
    cumulative_sum: bool = False,
    base_point: Any = None,
    invisibility_reset: bool = False,
    interpolation: str = "linear",
    increments: bool = False,
    n_jobs: int = 1,
) -> Array:
    """Add time to a path as a channel, or make it its lead-lag path, or both; and all that `Series` does before that.

    Row r of the lead-lag path of x_0, ..., x_{L-1} is ``(x[r // 2], x[(r + 1) // 2])`` for r = 0, ..., 2L - 2: the lag
    channels first, then the lead channels; the lead moves first. Time is one more, last channel; it goes from 0 to
    `end_time` by the same step in every row. With both, time is added to the lead-lag path.

    `sig` and `log_sig` take the same options and need no transformed path: use this function to look at one, or for
    something else.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        NumPy array, PyTorch tensor or nested list; any number of leading batch axes, length 0 and 1 included.
    time_aug : bool, default False
        Whether to add time.
    lead_lag : bool, default False
        Whether to take the lead-lag path.
    end_time : float, default 1.0
        Time of the last row. A path of one row has time 0.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    times, gaps, scale, cumulative_sum, base_point, invisibility_reset, interpolation, increments
        What is done before, as in `Series`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -2 for all but one, and so on. The result does not depend on it.

    Returns
    -------
    array of shape (..., new_length, new_dimension)
        A new array of the library, dtype and device of `path`; ``new_length`` is ``2 * length - 1`` with `lead_lag`
        (0 for length 0) and ``new_dimension`` is ``2 * dimension`` with `lead_lag`, plus 1 with `time_aug`.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `path` has fewer than two axes or no channel, or `n_jobs` is 0.

    See Also
    --------
    transform_path_backprop : its gradient. PyTorch tensors that require grad get it through autograd.

    References
    ----------
    Lead-lag: G. Flint, B. Hambly and T. Lyons, Discretely sampled signals and the rough Hoff process, 2016, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> import siglib
    >>> path = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> siglib.transform_path(path, time_aug=True, lead_lag=True, end_time=4.0)
    array([[1., 2., 1., 2., 0.],
           [1., 2., 3., 4., 1.],
           [3., 4., 3., 4., 2.],
           [3., 4., 5., 6., 3.],
           [5., 6., 5., 6., 4.]])

    What two channels do that are measured in turn, in the order in which one learns of it:

    >>> nan = np.nan
    >>> path = np.array([[1.0, 2.0], [nan, 4.0], [5.0, nan]])
    >>> siglib.transform_path(
    ...     path, gaps="forward", times=[0.0, 0.5, 2.0], interpolation="rectilinear", time_aug=True
    ... )
    array([[1. , 2. , 0. ],
           [1. , 2. , 0.5],
           [1. , 4. , 0.5],
           [1. , 4. , 2. ],
           [5. , 4. , 2. ]])
    """
    if (
        lengths is not None
        or times is not None
        or gaps is not _PROPAGATE
        or scale is not None
        or cumulative_sum is not False
        or base_point is not None
        or invisibility_reset is not False
        or interpolation is not _LINEAR
        or increments is not False
    ):
        if isinstance(path, LazyPaths):
            raise ValueError("a series has its options already: give them all to siglib.Series")
        path = Series.named(
            "path",
            path,
            times=times,
            lengths=lengths,
            gaps=gaps,
            scale=scale,
            cumulative_sum=cumulative_sum,
            base_point=base_point,
            invisibility_reset=invisibility_reset,
            interpolation=interpolation,
            increments=increments,
        )
    return TRANSFORM_PATH(path, time_aug=time_aug, lead_lag=lead_lag, end_time=end_time, n_jobs=n_jobs)


@without_compiler
def transform_path_backprop(
    derivs: Array,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: int = 1,
) -> Array:
    """Gradient of a function of a transformed path with respect to the path: the adjoint of `transform_path`.

    Row l of the result is the sum of the cotangents of all copies of point l. Those of the time channel are not used.

    Parameters
    ----------
    derivs : array of shape (..., new_length, new_dimension)
        Derivatives with respect to the result of `transform_path` with the same options.
    time_aug : bool, default False
        Whether the transformed path has a time channel.
    lead_lag : bool, default False
        Whether it is a lead-lag path; then ``new_length`` is odd (or 0).
    end_time : float, default 1.0
        Accepted for symmetry: the gradient does not depend on it.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -2 for all but one, and so on. The result does not depend on it.

    Returns
    -------
    array of shape (..., length, dimension)
        A new array of the library, dtype and device of `derivs`. There is no gradient with respect to `end_time`.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If no path transforms to the shape of `derivs`, or `n_jobs` is 0.

    See Also
    --------
    transform_path

    Examples
    --------
    >>> import numpy as np
    >>> import siglib
    >>> siglib.transform_path_backprop(np.ones((5, 4)), lead_lag=True)
    array([[3., 3.],
           [4., 4.],
           [3., 3.]])
    """
    time_aug, lead_lag, _ = as_transform(time_aug, lead_lag, end_time)
    n_threads = as_n_threads(n_jobs)
    try:
        on, derivs = backend_for(derivs=derivs)
    except DaskArraysError:
        call = partial(transform_path_backprop, time_aug=time_aug, lead_lag=lead_lag, end_time=end_time, n_jobs=n_jobs)
        return dask.applied("derivs", call, derivs, 2)
    if derivs.ndim < 2:
        raise ValueError(f"derivs must have shape (..., length, dimension), got {tuple(derivs.shape)}")
    *batch, length, width = derivs.shape
    dimension = width - time_aug
    if lead_lag:
        if length > 0 and length % 2 == 0:
            raise ValueError(f"derivs of a lead-lag path must have an odd length, got shape {tuple(derivs.shape)}")
        if dimension % 2:
            what = "an odd number of channels with time" if time_aug else "an even number of channels"
            raise ValueError(f"derivs of a lead-lag path must have {what}, got shape {tuple(derivs.shape)}")
        length = (length + 1) // 2
        dimension //= 2
    if dimension <= 0:
        what = "besides time" if time_aug else "to begin with"
        raise ValueError(f"derivs must have at least one channel {what}, got shape {tuple(derivs.shape)}")
    out = on.empty((*batch, length, dimension))
    transform_backprop(on, on.paths(derivs), on.paths(out), lead_lag, n_threads)
    return on.result(out)
