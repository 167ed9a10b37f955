"""Branched signatures and log-signatures of windows and prefixes of a path in one call."""

from typing import Any

from .._call.backend import widened
from .._call.formats import as_double
from .._call.libraries import Array
from .._call.options import as_bool, as_int, as_n_jobs
from .._call.shapes import path_shape
from .._tables.sizes import augmented_dimension
from ..log_signatures.parts import needs_double
from ..log_signatures.windows import log_sig_prefixes, log_sig_windows
from ..paths.series import of_series
from ..signatures.prefixes import sig_prefixes
from ..signatures.time_windows import in_time
from ..signatures.windows import sig_windows
from .of_words import BRANCHED_LOG_SIG_OF_LOG_SIG, BRANCHED_SIG_OF_SIG
from .shapes import as_path_method, checked_length


@in_time
@of_series
def branched_sig_windows(
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
    planar: bool = False,
    scalar_term: bool = False,
    lengths: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Branched signatures of many windows of a path, sliding ones or any others, in one call.

    Parameters
    ----------
    path, degree, window, stride, times, span, starts, ends, time_aug, lead_lag, end_time, lengths, n_jobs
        As in `sig_windows`.
    planar : bool, default False
        Coefficients of planar forests, in place of those of trees.
    scalar_term : bool, default False
        Put the coefficient of the empty tree, always 1, in front.

    Returns
    -------
    array of shape (..., n_windows, branched_sig_length(channels, degree, ...))
        Of the library, dtype and device of `path`; channels are counted after the transforms.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        For a path without channels or of fewer than two axes, windows that are not in the path, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    branched_sig_prefixes : windows that all start at the first point.
    branched_log_sig_windows : their log-signatures.

    Notes
    -----
    The work is that of `sig_windows`, and one sparse matrix times its result. Differentiable with respect to `path`,
    once, in PyTorch.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0], [1.0], [3.0], [4.0]])
    >>> siglib.branched_sig_windows(path, 3, window=2).round(3)
    array([[1.   , 0.5  , 0.333, 0.167],
           [2.   , 2.   , 2.667, 1.333],
           [1.   , 0.5  , 0.333, 0.167]])
    """
    options = _Options(path, degree, time_aug, lead_lag, planar, scalar_term, n_jobs)
    sig = sig_windows(
        options.path,
        options.degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        **options.flags,
        end_time=end_time,
        n_jobs=options.n_jobs,
    )
    return options.branched(sig)


@of_series
def branched_sig_prefixes(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    planar: bool = False,
    scalar_term: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Branched signatures of all prefixes of a path: of ``path[:1]``, ``path[:2]``, ..., and the whole path.

    Parameters
    ----------
    path, degree, time_aug, lead_lag, end_time, lengths, times, n_jobs
        As in `sig_prefixes`.
    planar : bool, default False
        Coefficients of planar forests, in place of those of trees.
    scalar_term : bool, default False
        Put the coefficient of the empty tree, always 1, in front.

    Returns
    -------
    array of shape (..., length, branched_sig_length(channels, degree, ...))
        Row k is the branched signature of the first k + 1 points; row 0 is zero. Of the library, dtype and device of
        `path`; channels are counted after the transforms.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        For a path without channels or of fewer than two axes, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    branched_sig_windows : the same for windows.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch.

    Examples
    --------
    >>> import siglib
    >>> siglib.branched_sig_prefixes([[0, 0], [1, 0], [1, 1]], 2)
    array([[0. , 0. , 0. , 0. , 0. , 0. ],
           [1. , 0. , 0.5, 0. , 0. , 0. ],
           [1. , 1. , 0.5, 1. , 0. , 0.5]])
    """
    options = _Options(path, degree, time_aug, lead_lag, planar, scalar_term, n_jobs)
    sig = sig_prefixes(
        options.path,
        options.degree,
        **options.flags,
        end_time=end_time,
        n_jobs=options.n_jobs,
    )
    return options.branched(sig)


@in_time
@of_series
def branched_log_sig_windows(
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
    planar: bool = False,
    scalar_term: bool = False,
    method: int | None = None,
    lengths: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Branched log-signatures of many windows of a path, sliding ones or any others, in one call.

    Computed in float64 where `log_sig` is. A window of two points has its displacement, and exactly 0 behind it.

    Parameters
    ----------
    path, degree, window, stride, times, span, starts, ends, time_aug, lead_lag, end_time, lengths, n_jobs
        As in `sig_windows`.
    planar : bool, default False
        Logarithms of planar forests, in place of those of trees.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty tree, always 0, in front. Without effect for the other methods.
    method : {None, 0, 1, 2, 3}, default None
        0: the logarithm at all trees or planar forests. For planar forests also 1: its entries at those that are Lyndon
        words in trees, and 2 or 3: coordinates in the basis of their standard brackets, for 3 computed in float64. None
        is 1 if planar, otherwise 0.

    Returns
    -------
    array of shape (..., n_windows, length)
        Of the library, dtype and device of `path`. Method 0: of the length of `branched_sig_windows`. Otherwise of
        length ``branched_log_sig_length(channels, degree, planar=True)``.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `branched_sig_windows`; ValueError also for a method other than 0 without `planar`.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> siglib.branched_log_sig_windows(path, 2, window=3)
    array([[ 1. ,  1. ,  0. ,  0.5, -0.5,  0. ],
           [-1. ,  1. ,  0. ,  0.5, -0.5,  0. ]])
    """
    options = _LogOptions(path, degree, time_aug, lead_lag, planar, scalar_term, method, n_jobs)
    log_sig = log_sig_windows(
        options.path,
        options.degree,
        window,
        stride,
        starts=starts,
        ends=ends,
        **options.flags,
        end_time=end_time,
        method=0,
        n_jobs=options.n_jobs,
    )
    return options.branched(log_sig)


@of_series
def branched_log_sig_prefixes(
    path: Array,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    planar: bool = False,
    scalar_term: bool = False,
    method: int | None = None,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Branched log-signatures of all prefixes of a path, in one call.

    Computed in float64 where `log_sig` is. That of two points is their displacement, with exactly 0 behind it.

    Parameters
    ----------
    path, degree, time_aug, lead_lag, end_time, lengths, times, n_jobs
        As in `sig_prefixes`.
    planar, scalar_term, method
        As in `branched_log_sig_windows`.

    Returns
    -------
    array of shape (..., length, length of a logarithm)
        Row k is the branched log-signature of the first k + 1 points. Of the library, dtype and device of `path`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `branched_sig_prefixes`; ValueError also for a method other than 0 without `planar`.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch.

    Examples
    --------
    >>> import siglib
    >>> siglib.branched_log_sig_prefixes([[0, 0], [1, 0], [1, 1]], 2)[-1]
    array([ 1. ,  1. ,  0. ,  0.5, -0.5,  0. ])
    """
    options = _LogOptions(path, degree, time_aug, lead_lag, planar, scalar_term, method, n_jobs)
    log_sig = log_sig_prefixes(
        options.path,
        options.degree,
        **options.flags,
        end_time=end_time,
        method=0,
        n_jobs=options.n_jobs,
    )
    return options.branched(log_sig)


class _Options:
    """The options of a call that both of its steps read, each read once, and the path in the dtype that we compute in.

    Sizes that are out of reach are refused before anything is computed.
    """

    def __init__(
        self,
        path: Array,
        degree: Any,
        time_aug: Any,
        lead_lag: Any,
        planar: Any,
        scalar_term: Any,
        n_jobs: Any,
    ) -> None:
        self.degree, self.n_jobs = as_int("degree", degree, 0), as_n_jobs(n_jobs)
        self.flags = {"time_aug": as_bool("time_aug", time_aug), "lead_lag": as_bool("lead_lag", lead_lag)}
        self.planar, self.scalar_term = as_bool("planar", planar), as_bool("scalar_term", scalar_term)
        self.back, self.path = widened(path=path)
        self.dimension = augmented_dimension(path_shape("path", tuple(self.path.shape))[2], **self.flags)
        checked_length(self.dimension, self.degree, self.planar)

    def branched(self, sig: Array) -> Array:
        """The result, from signatures of words."""
        result = BRANCHED_SIG_OF_SIG(
            sig,
            dimension=self.dimension,
            degree=self.degree,
            planar=self.planar,
            scalar_term=self.scalar_term,
            n_jobs=self.n_jobs,
        )
        return self.back(result)


class _LogOptions(_Options):
    """The same for logarithms."""

    def __init__(
        self,
        path: Array,
        degree: Any,
        time_aug: Any,
        lead_lag: Any,
        planar: Any,
        scalar_term: Any,
        method: Any,
        n_jobs: Any,
    ) -> None:
        super().__init__(path, degree, time_aug, lead_lag, planar, scalar_term, n_jobs)
        method, self.method = as_path_method(method, self.planar)
        if needs_double(self.dimension, self.degree, method):
            self.path = as_double(self.path)

    def branched(self, sig: Array) -> Array:
        result = BRANCHED_LOG_SIG_OF_LOG_SIG(
            sig,
            dimension=self.dimension,
            degree=self.degree,
            planar=self.planar,
            method=self.method,
            scalar_term=self.scalar_term,
            n_jobs=self.n_jobs,
        )
        return self.back(result)
