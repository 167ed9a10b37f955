"""Log-signatures of windows and prefixes of a path in one call."""

from typing import Any

from .._call.backend import backend_for, widened
from .._call.blocks import fill, of_one_length
from .._call.formats import as_double
from .._call.indices import host_indices
from .._call.libraries import Array, device_of, library_of, namespace_of
from .._call.options import as_bool, as_int, as_n_jobs, as_n_threads
from .._call.ragged import is_ragged
from .._call.shapes import path_shape
from .._call.tracing import is_compiling
from .._tables.sizes import augmented_dimension, checked_tensor_length
from ..paths.series import of_series
from ..signatures.prefixes import sig_prefixes
from ..signatures.time_windows import in_time
from ..signatures.windows import sig_windows
from .logarithm import sig_to_log_sig
from .parts import as_path_method, needs_double, straight


@in_time
@of_series
def log_sig_windows(
    path: Array,
    degree: int,
    window: Any = 0,
    stride: Any = None,
    *,
    times: Any = None,
    span: Any = None,
    starts: Array = None,
    ends: Array = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    lengths: Any = None,
    n_jobs: int = 1,
    out: Array = None,
) -> Array:
    """Log-signatures of many windows of a path, sliding ones or any others, in one call.

    Computed in float64 where `log_sig` is. A window of two points has its displacement, and exactly 0 behind it.

    Parameters
    ----------
    path, degree, window, stride, times, span, starts, ends, time_aug, lead_lag, end_time, lengths, n_jobs
        As in `sig_windows`.
    method : int, default 1
        In which coordinates, see `log_sig`.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty word, always 0, in front. Without effect for the other methods.
    out : numpy.ndarray, optional
        Where to write the result, a block of paths at a time: an array of its shape and dtype, such as a
        `numpy.memmap`. Only for NumPy arrays, of paths of one length.

    Returns
    -------
    array of shape (..., n_windows, log_sig_length(dimension, degree, ...)), or as `sig_windows` for method 0
        Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `sig_windows` and `log_sig`.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch.

    Examples
    --------
    Displacement and area of every corner of a path:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> siglib.log_sig_windows(path, 2, window=3)
    array([[ 1. ,  1. ,  0.5],
           [-1. ,  1. ,  0.5]])
    """
    degree, window, n_jobs = as_int("degree", degree, 0), as_int("window", window, 0), as_n_jobs(n_jobs)
    time_aug, lead_lag = as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag)
    scalar_term = as_bool("scalar_term", scalar_term)
    if out is not None:
        options = {"time_aug": time_aug, "lead_lag": lead_lag, "end_time": end_time, "method": method}
        options |= {"scalar_term": scalar_term, "n_jobs": n_jobs}
        return _filled(out, path, degree, window, stride, starts, ends, options)
    back, path, method = _prepared(path, degree, time_aug, lead_lag, method)
    if not is_compiling():
        starts, ends = _read_once("starts", starts), _read_once("ends", ends)
    sig = sig_windows(
        path,
        degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term and method == 0,
        n_jobs=n_jobs,
    )
    log_sig = _logarithms(path, sig, degree, time_aug, lead_lag, method, n_jobs)
    if not lead_lag and 0 not in log_sig.shape:
        n_letters = _n_letters(path, time_aug, method, scalar_term)
        if starts is not None:
            log_sig = straight(log_sig, n_letters, _n_points(log_sig, starts, ends) <= 2)
        elif window <= 2:
            log_sig = straight(log_sig, n_letters, True)
    return back(log_sig)


@of_series
def log_sig_prefixes(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Log-signatures of all prefixes of a path, in one call.

    Computed in float64 where `log_sig` is. That of two points is their displacement, with exactly 0 behind it.

    Parameters
    ----------
    path, degree, time_aug, lead_lag, end_time, lengths, times, n_jobs
        As in `sig_prefixes`.
    method : int, default 1
        In which coordinates, see `log_sig`.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty word, always 0, in front. Without effect for the other methods.

    Returns
    -------
    array of shape (..., length, log_sig_length(dimension, degree, ...)), or as `sig_prefixes` for method 0
        Row k is the log-signature of the first k + 1 points. Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `sig_prefixes` and `log_sig`.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch.

    Examples
    --------
    >>> import siglib
    >>> siglib.log_sig_prefixes([[0, 0], [1, 0], [1, 1]], 2)
    array([[0. , 0. , 0. ],
           [1. , 0. , 0. ],
           [1. , 1. , 0.5]])
    """
    degree, n_jobs = as_int("degree", degree, 0), as_n_jobs(n_jobs)
    time_aug, lead_lag = as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag)
    scalar_term = as_bool("scalar_term", scalar_term)
    back, path, method = _prepared(path, degree, time_aug, lead_lag, method)
    sig = sig_prefixes(
        path,
        degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        scalar_term=scalar_term and method == 0,
        n_jobs=n_jobs,
    )
    log_sig = _logarithms(path, sig, degree, time_aug, lead_lag, method, n_jobs)
    if not lead_lag and 0 not in log_sig.shape:
        log_sig = straight(log_sig, _n_letters(path, time_aug, method, scalar_term), _rows(log_sig) == 1)
    return back(log_sig)


def _prepared(path: Array, degree: int, time_aug: bool, lead_lag: bool, method: Any) -> tuple[Any, Array, int]:
    """(what makes a result what the path was, the path in the dtype that we compute in, method of the logarithms).

    In float64 that is a copy of the path, which is small beside the signatures that are stored.
    """
    method = as_int("method", method, 0)
    basis = as_path_method(method)
    back, path = widened(path=path)
    dimension = augmented_dimension(path_shape("path", tuple(path.shape))[2], time_aug, lead_lag)
    return back, as_double(path) if needs_double(dimension, degree, method) else path, basis


def _filled(
    out: Any, path: Any, degree: int, window: int, stride: Any, starts: Any, ends: Any, options: dict[str, Any]
) -> Any:
    """`log_sig_windows` to `out`."""
    if is_ragged(path):
        with of_one_length():
            _, path = backend_for(path=path)

    def call(paths: Array, starts: Any, ends: Any) -> Array:
        return log_sig_windows(paths, degree, window, stride, starts=starts, ends=ends, **options)

    numbers = 1
    if library_of(path) == "numpy":
        dimension = path_shape("path", tuple(path.shape))[2]
        dimension = augmented_dimension(dimension, options["time_aug"], options["lead_lag"])
        numbers = checked_tensor_length(dimension, degree)
    indices = _read_once("starts", starts), _read_once("ends", ends)
    return fill("log_sig_windows", out, call, path, indices, numbers, as_n_threads(options["n_jobs"]))


def _read_once(name: str, indices: Any) -> Any:
    """Lists and the like as an array, which is the same at every look."""
    return indices if indices is None or library_of(indices) != "numpy" else host_indices(name, indices)


def _n_points(log_sig: Array, starts: Array, ends: Array) -> Any:
    """Numbers of points of windows; a tensor for one, as they may be traced together."""
    if library_of(log_sig) == "torch":
        torch = namespace_of(log_sig)
        starts, ends = (torch.as_tensor(at, device=log_sig.device).to(torch.int64) for at in (starts, ends))
        return ends - starts
    return host_indices("ends", ends) - host_indices("starts", starts)


def _rows(log_sig: Array) -> Array:
    """The numbers of the rows, made where the array is."""
    xp = namespace_of(log_sig)
    if library_of(log_sig) == "torch":
        return xp.arange(log_sig.shape[-2], device=log_sig.device)
    with device_of(log_sig):
        return xp.arange(log_sig.shape[-2])


def _n_letters(path: Array, time_aug: bool, method: int, scalar_term: bool) -> int:
    """What comes before the words of two letters."""
    # int(): torch.jit.trace has sizes that do not add up with booleans.
    return path.shape[-1] + int(time_aug) + int(scalar_term and method == 0)


def _logarithms(
    path: Array, sig: Array, degree: int, time_aug: bool, lead_lag: bool, method: int, n_jobs: int
) -> Array:
    return sig_to_log_sig(
        sig, path.shape[-1], degree, time_aug=time_aug, lead_lag=lead_lag, method=method, n_jobs=n_jobs
    )
