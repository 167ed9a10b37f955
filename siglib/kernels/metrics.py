"""Distances between laws of paths, estimated from samples by signature kernels."""

import math
from contextlib import nullcontext
from typing import Any

import numpy as np

from .._call import dask_arrays
from .._call.array_likes import LazyPaths, Ragged, UnequalLengthsError
from .._call.backend import widened
from .._call.libraries import Array, device_of, library_of
from .._call.options import as_float
from .._call.ragged import is_chunked, side_of, sides_of
from .._call.shapes import path_shape
from .means import mean_of_all, mean_of_pairs, means_over_first
from .options import as_gram_options
from .static_kernels import StaticKernel


def _quiet(array: Array) -> Any:
    """Where kernels overflow, sums and differences of them do, too: `sig_kernel_gram` has warned."""
    return np.errstate(invalid="ignore", over="ignore") if library_of(array) == "numpy" else nullcontext()


def samples_of(lengths1: Any, lengths2: Any, **samples: Array) -> tuple[Any, ...]:
    """As `widened`, for two samples, also of paths of unequal lengths."""
    if lengths1 is not None or lengths2 is not None:
        samples = dict(zip(samples, sides_of(lengths1, lengths2, **samples), strict=True))
    try:
        return widened(**samples)
    except UnequalLengthsError:
        sides = {name: side_of(name, paths) for name, paths in samples.items()}
    if any(is_chunked(side) for side in sides.values()):
        return dask_arrays.widened(**sides)
    finish, *points = widened(**{name: side.points for name, side in sides.items()})
    return finish, *[side.with_points(p) for side, p in zip(sides.values(), points, strict=True)]


def sample_of(name: str, paths: Any, minimum: int) -> Any:
    """The paths of a sample with one batch axis."""
    if isinstance(paths, Ragged):
        if len(paths) < minimum:
            raise ValueError(f"{name} must hold at least {minimum} paths, got {len(paths)}")
        return paths.flattened() if isinstance(paths, LazyPaths) else paths
    batch, length, dimension = path_shape(name, tuple(paths.shape))
    size = math.prod(batch)
    if size < minimum:
        raise ValueError(f"{name} must hold at least {minimum} paths, got shape {tuple(paths.shape)}")
    with device_of(paths):
        return paths.reshape(size, length, dimension)


def _score(sample: Array, y: Array, lam: float, options: dict[str, Any]) -> Array:
    """The score of every path of `y`, which has one batch axis."""
    own = mean_of_pairs(sample, options)
    with device_of(own), _quiet(own):
        return lam * own - 2.0 * means_over_first(sample, y, options)


def sig_score(
    sample: Array,
    y: Array,
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    lam: float = 1.0,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    max_batch: int = -1,
    normalize: bool = False,
) -> Array:
    """Signature kernel score: how badly a sample of m paths predicts a path y.

        lam / (m (m - 1)) sum over i != j of k(x_i, x_j)  -  2 / m  sum over i of k(x_i, y)

    Lower is better. For lam = 1 the score is proper: on average over y it is lowest if the sample is of the law of y.

    Parameters
    ----------
    sample : array of shape (..., length1, dimension)
        The sample, at least two paths; all batch axes count as one.
    y : array of shape ``(*batch, length2, dimension)``
        The paths to judge.
    method, dyadic_order, order : str, int or pair of int, int
        As in `sig_kernel`.
    lam : float, default 1.0
        Weight of the first term, which rewards variety.
    static_kernel, time_aug, lead_lag, end_time, lengths1, lengths2, n_jobs
        As in `sig_kernel`.
    max_batch : int, default -1
        As in `sig_kernel_gram`.
    normalize : bool, default False
        Take the normalised kernels ``k(x, y) / sqrt(k(x, x) k(y, y))`` in place of k, which are right also where k
        itself overflows.

    Returns
    -------
    array of shape ``(*batch)``, or (1,) if `y` is a single path
        The score of every path of `y`.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If `sample` holds fewer than two paths, or shapes or options do not go together.

    Notes
    -----
    Differentiable in PyTorch with respect to both arrays, and to the parameters of the static kernel if they are
    tensors.

    References
    ----------
    Z. Issa, B. Horvath, M. Lemercier and C. Salvi, "Non-adversarial training of neural SDEs with signature kernel
    scores", NeurIPS 2023, arXiv:2305.16274.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> sample = np.array([[[0.0], [1.0]], [[0.0], [1.2]], [[0.0], [0.8]]])
    >>> siglib.sig_score(sample, np.array([[[0.0], [1.0]], [[0.0], [-1.0]]]), dyadic_order=6).round(2)
    array([-2.31,  1.81])
    """
    finish, sample, y = samples_of(lengths1, lengths2, sample=sample, y=y)
    lam = as_float("lam", lam)
    sample = sample_of("sample", sample, 2)
    batch = getattr(y, "batch", None)
    if batch is None:
        batch = (len(y),) if isinstance(y, Ragged) else path_shape("y", tuple(y.shape))[0]
    options = as_gram_options(
        method=method,
        dyadic_order=dyadic_order,
        order=order,
        static_kernel=static_kernel,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        n_jobs=n_jobs,
        max_batch=max_batch,
        normalize=normalize,
    )
    with device_of(sample):
        return finish(_score(sample, sample_of("y", y, 0), lam, options).reshape(batch or (1,)))


def expected_sig_score(
    sample1: Array,
    sample2: Array,
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    lam: float = 1.0,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    max_batch: int = -1,
    normalize: bool = False,
) -> Array:
    """Mean of `sig_score` over a second sample: how badly one sample predicts another.

    Parameters
    ----------
    sample1 : array of shape (..., length1, dimension)
        The sample that predicts, at least two paths; all batch axes count as one.
    sample2 : array of shape (..., length2, dimension)
        The paths to judge, at least one.
    method, dyadic_order, order, lam, static_kernel, time_aug, lead_lag, end_time, n_jobs, max_batch, normalize
        As in `sig_score`.
    lengths1, lengths2 : sequence of n int, default None
        How many points each path has, if `sample1` or `sample2` is padded to one length: see `RaggedPaths`.

    Returns
    -------
    array of shape (1,)

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If `sample1` holds fewer than two paths, `sample2` none, or shapes or options do not go together.

    Notes
    -----
    Differentiable in PyTorch, as `sig_score` is.

    References
    ----------
    Z. Issa, B. Horvath, M. Lemercier and C. Salvi, "Non-adversarial training of neural SDEs with signature kernel
    scores", NeurIPS 2023, arXiv:2305.16274.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> sample = np.array([[[0.0], [1.0]], [[0.0], [1.2]], [[0.0], [0.8]]])
    >>> siglib.expected_sig_score(sample, -sample, dyadic_order=6).round(2)
    array([1.8])
    """
    finish, sample1, sample2 = samples_of(lengths1, lengths2, sample1=sample1, sample2=sample2)
    lam = as_float("lam", lam)
    options = as_gram_options(
        method=method,
        dyadic_order=dyadic_order,
        order=order,
        static_kernel=static_kernel,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        n_jobs=n_jobs,
        max_batch=max_batch,
        normalize=normalize,
    )
    scores = _score(sample_of("sample1", sample1, 2), sample_of("sample2", sample2, 1), lam, options)
    with device_of(scores):
        return finish(scores.mean().reshape(1))


def sig_mmd(
    sample1: Array,
    sample2: Array,
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    max_batch: int = -1,
    normalize: bool = False,
) -> Array:
    """Squared maximum mean discrepancy of two samples of m and n paths, without bias.

        mean over i != j of k(x_i, x_j)  -  2 mean of k(x_i, y_j)  +  mean over i != j of k(y_i, y_j)

    It estimates the squared distance of the laws' mean signatures. Without bias also means that it may be negative.

    Parameters
    ----------
    sample1 : array of shape (..., length1, dimension)
        The first sample, at least two paths; all batch axes count as one.
    sample2 : array of shape (..., length2, dimension)
        The second sample, at least two paths.
    method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, lengths1, lengths2, n_jobs
        As in `sig_kernel`.
    max_batch : int, default -1
        As in `sig_kernel_gram`.
    normalize : bool, default False
        Take the normalised kernels ``k(x, y) / sqrt(k(x, x) k(y, y))`` in place of k, which are right also where k
        itself overflows.

    Returns
    -------
    array without axes

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If a sample holds fewer than two paths, or shapes or options do not go together.

    Notes
    -----
    Differentiable in PyTorch with respect to both samples, and to the parameters of the static kernel if they are
    tensors.

    References
    ----------
    I. Chevyrev and H. Oberhauser, "Signature moments to characterize laws of stochastic processes", Journal of Machine
    Learning Research 23 (2022), arXiv:1810.10971.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> sample = np.array([[[0.0], [1.0]], [[0.0], [1.2]], [[0.0], [0.8]]])
    >>> round(float(siglib.sig_mmd(sample, -sample, dyadic_order=6)), 2)
    4.07
    """
    finish, sample1, sample2 = samples_of(lengths1, lengths2, sample1=sample1, sample2=sample2)
    sample1, sample2 = sample_of("sample1", sample1, 2), sample_of("sample2", sample2, 2)
    options = as_gram_options(
        method=method,
        dyadic_order=dyadic_order,
        order=order,
        static_kernel=static_kernel,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        n_jobs=n_jobs,
        max_batch=max_batch,
        normalize=normalize,
    )
    with device_of(sample1), _quiet(sample1):
        own = mean_of_pairs(sample1, options) + mean_of_pairs(sample2, options)
        return finish(own - 2.0 * mean_of_all(sample1, sample2, options))
