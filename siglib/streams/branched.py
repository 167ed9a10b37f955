"""Streams of branched signatures and log-signatures.

They are streams of signatures, whose results a constant matrix turns into branched ones: points, checkpoints and stored
products are those of words, which are fewer than trees.
"""

from typing import Any

import numpy as np

from .._call.libraries import Array
from .._call.options import as_bool
from ..branched.of_words import BRANCHED_LOG_SIG_OF_LOG_SIG, BRANCHED_SIG_OF_SIG
from ..branched.shapes import as_path_method, checked_length, checked_log_length
from .streams import SigStream, SigWindowStream, _Stream


class _OfTrees(_Stream):
    """What turns results of a stream of signatures, or of its logarithms at all words, into those at trees."""

    _coordinates: int | None = None  # the method of logarithms

    def _use_trees(self, planar: Any, scalar_term: Any) -> None:
        self._planar = as_bool("planar", planar)
        self._empty_tree = as_bool("scalar_term", scalar_term)
        checked_length(self._dimension, self._degree, self._planar)

    def _use_logarithms(self, method: Any, largest: int) -> None:
        _, self._coordinates = as_path_method(method, self._planar, largest)
        checked_log_length(self._dimension, self._degree, self._planar, self._coordinates)

    def _values(self, sig: Array, n_points: np.ndarray) -> Array:
        values = super()._values(sig, n_points)
        options: dict[str, Any] = {
            "dimension": self._dimension,
            "degree": self._degree,
            "planar": self._planar,
            "scalar_term": self._empty_tree,
            "n_jobs": self._n_jobs,
        }
        if self._coordinates is None:
            return BRANCHED_SIG_OF_SIG(values, **options)
        return BRANCHED_LOG_SIG_OF_LOG_SIG(values, method=self._coordinates, **options)


class BranchedSigStream(_OfTrees, SigStream):
    """Branched signatures of any interval of a path that arrives point by point.

    The same as `SigStream`, with branched signatures for results.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Coefficients of planar forests, in place of those of trees.
    scalar_term : bool, default False
        Put the coefficient of the empty tree, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    See Also
    --------
    branched_sig_windows : the same for a path that is known.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.BranchedSigStream(1, 3)
    >>> stream.push_batch([[0.0], [1.0], [3.0]], checkpoints=True)
    >>> stream.sig(1, 2).round(3)
    array([2.   , 2.   , 2.667, 1.333])
    """

    def __init__(
        self, dimension: int, degree: int, *, planar: bool = False, scalar_term: bool = False, n_jobs: int = 1
    ) -> None:
        super().__init__(dimension, degree, n_jobs=n_jobs)
        self._use_trees(planar, scalar_term)


class BranchedLogSigStream(BranchedSigStream):
    """Branched log-signatures of any interval of a path that arrives point by point.

    The same as `BranchedSigStream`, with branched log-signatures for results. They are computed in float64, and rounded
    at the end to the dtype of the points.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Logarithms of planar forests, in place of those of trees.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty tree, always 0, in front. Without effect for the other methods.
    method : {None, 0, 1, 2}, default None
        In which coordinates, see `branched_log_sig`. None is 1 if planar, otherwise 0.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.BranchedLogSigStream(2, 2)
    >>> stream.push_batch([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], checkpoints=True)
    >>> stream.sig(0, 2)
    array([ 1. ,  1. ,  0. ,  0.5, -0.5,  0. ])
    """

    _double = True
    _method = 0

    def __init__(
        self,
        dimension: int,
        degree: int,
        *,
        planar: bool = False,
        scalar_term: bool = False,
        method: int | None = None,
        n_jobs: int = 1,
    ) -> None:
        super().__init__(dimension, degree, planar=planar, scalar_term=scalar_term, n_jobs=n_jobs)
        self._use_logarithms(method, 2)


class BranchedSigWindowStream(_OfTrees, SigWindowStream):
    """Branched signatures of sliding windows of a path that arrives point by point.

    The same as `SigWindowStream`, with branched signatures for results.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    window_size : int
        Number of points of a window, at least 1.
    stride : int, default 1
        Number of points from the start of one window to the next, at least 1; it may be more than `window_size`.
    planar : bool, default False
        Coefficients of planar forests, in place of those of trees.
    scalar_term : bool, default False
        Put the coefficient of the empty tree, always 1, in front.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    See Also
    --------
    branched_sig_windows : the same for a path that is known.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.BranchedSigWindowStream(1, 2, 2)
    >>> stream.push_batch([[0.0], [1.0], [3.0]])
    >>> stream.sig()
    array([[1. , 0.5],
           [2. , 2. ]])
    """

    def __init__(
        self,
        dimension: int,
        degree: int,
        window_size: int,
        *,
        stride: int = 1,
        planar: bool = False,
        scalar_term: bool = False,
        n_jobs: int = 1,
    ) -> None:
        super().__init__(dimension, degree, window_size, stride=stride, n_jobs=n_jobs)
        self._use_trees(planar, scalar_term)


class BranchedLogSigWindowStream(BranchedSigWindowStream):
    """Branched log-signatures of sliding windows of a path that arrives point by point.

    The same as `BranchedSigWindowStream`, with branched log-signatures for results. They are computed in float64, and
    rounded at the end to the dtype of the points.

    Parameters
    ----------
    dimension : int
        Number of channels, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    window_size : int
        Number of points of a window, at least 1.
    stride : int, default 1
        Number of points from the start of one window to the next, at least 1; it may be more than `window_size`.
    planar : bool, default False
        Logarithms of planar forests, in place of those of trees.
    scalar_term : bool, default False
        For method 0, put the coefficient of the empty tree, always 0, in front. Without effect for the other methods.
    method : {None, 0, 1, 2, 3}, default None
        In which coordinates, see `branched_log_sig`; 3 gives what 2 gives. None is 1 if planar, otherwise 0.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1.

    Raises
    ------
    TypeError, ValueError
        For options of the wrong type or size.

    Examples
    --------
    >>> import siglib
    >>> stream = siglib.BranchedLogSigWindowStream(2, 2, 3, planar=True)
    >>> stream.push_batch([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> stream.sig()
    array([[ 1. ,  1. ,  0.5,  0. ,  0.5, -0.5,  0. ]])
    """

    _double = True
    _method = 0

    def __init__(
        self,
        dimension: int,
        degree: int,
        window_size: int,
        *,
        stride: int = 1,
        planar: bool = False,
        scalar_term: bool = False,
        method: int | None = None,
        n_jobs: int = 1,
    ) -> None:
        super().__init__(
            dimension, degree, window_size, stride=stride, planar=planar, scalar_term=scalar_term, n_jobs=n_jobs
        )
        self._use_logarithms(method, 3)
