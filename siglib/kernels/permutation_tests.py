"""Tests with signature kernels whose p-values come from permutations: do laws differ, do series depend on each other?

Labels or partners are dealt out at random, again and again, and the p-value says how often chance does as well as the
data. Kernels are computed once: every permutation reads the same Gram matrices, many of them in one product.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._call.dask_arrays import is_in_chunks
from .._call.libraries import Array, on_host
from .._call.options import as_positive
from .._call.tracing import without_compiler
from .metrics import sample_of, samples_of
from .options import as_gram_options, as_static_kernel
from .permutation_blocks import hsic_of_partners, sums_of_labels
from .sig_kernel import sig_kernel_gram
from .static_kernels import StaticKernel

# Permutations are taken in blocks with about this many numbers.
_BLOCK_SIZE = 2**22
# Statistics that differ by less than this part of the largest kernel count as equal: they differ by rounding.
_ROUNDING = 1e-12


class PermutationTest(NamedTuple):
    """What a permutation test has found."""

    statistic: float
    """The statistic of the data."""
    p_value: float
    """How often chance gives at least this statistic: (1 + number of permutations that do) / (1 + permutations)."""
    permuted: np.ndarray
    """The statistics of all permutations, of shape (permutations,)."""


def two_sample_test(
    sample1: Array,
    sample2: Array,
    *,
    permutations: int = 999,
    rng: Any = None,
    method: str = "finite_difference",
    dyadic_order: int | None = None,
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
) -> PermutationTest:
    """Permutation test of whether two samples of paths come from the same law.

    The statistic is the squared maximum mean discrepancy of `sig_mmd`. If the laws are the same, labels mean nothing,
    and those of the data give a larger statistic than random ones only by chance: the test rejects at level alpha where
    ``p_value <= alpha``, and is wrong at most that often, for samples of any size.

    Parameters
    ----------
    sample1 : array of shape (..., length1, dimension)
        The first sample, at least two paths; all batch axes count as one.
    sample2 : array of shape (..., length2, dimension)
        The second sample, at least two paths, of any length.
    permutations : int, default 999
        How many times labels are dealt out at random, at least 1. No p-value is below ``1 / (permutations + 1)``.
    rng : numpy.random.Generator or int, default None
        Random numbers, or a seed for them; None takes new ones in every call.
    method, order, static_kernel, time_aug, lead_lag, end_time, lengths1, lengths2, n_jobs
        As in `sig_kernel`.
    dyadic_order : int
        As in `sig_kernel`, but one for both paths: a kernel that tells its arguments apart fits no exchange of labels.
    max_batch : int, default -1
        As in `sig_kernel_gram`.
    normalize : bool, default False
        Take the normalised kernels, as in `sig_mmd`.

    Returns
    -------
    PermutationTest
        A named tuple of ``statistic``, ``p_value`` and the statistics of all permutations, ``permuted``. All are NaN if
        kernels are not finite.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If a sample holds fewer than two paths, or shapes or options do not go together.

    See Also
    --------
    sig_mmd : the statistic alone, differentiable.
    independence_test : for pairs of paths.

    Notes
    -----
    For arrays of Dask the test is computed at once, from blocks of kernels that nobody keeps, with the same labels.

    References
    ----------
    A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf and A. Smola, "A kernel two-sample test", Journal of Machine
    Learning Research 13 (2012).

    I. Chevyrev and H. Oberhauser, "Signature moments to characterize laws of stochastic processes", Journal of Machine
    Learning Research 23 (2022), arXiv:1810.10971.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> rng = np.random.default_rng(0)
    >>> first, second = rng.standard_normal((2, 20, 30, 2)).cumsum(axis=2) / 6
    >>> drifting = second + np.linspace(0, 2, 30)[:, None]
    >>> siglib.two_sample_test(first, second, dyadic_order=0, rng=0).p_value > 0.05
    True
    >>> siglib.two_sample_test(first, drifting, dyadic_order=0, rng=0).p_value
    0.001
    """
    permutations, rng = as_positive("permutations", permutations), _as_generator(rng)
    _, sample1, sample2 = samples_of(lengths1, lengths2, sample1=sample1, sample2=sample2)
    sample1, sample2 = sample_of("sample1", sample1, 2), sample_of("sample2", sample2, 2)
    options = _symmetric_options(
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
    if is_in_chunks(sample1):
        return _two_sample_test_of_blocks(sample1, sample2, permutations, rng, options)
    between = _gram(sample1, sample2, options)
    gram = np.block([[_gram(sample1, sample1, options), between], [between.T, _gram(sample2, sample2, options)]])
    in_first = np.arange(len(gram)) < len(between)
    off_diagonal = gram - np.diag(np.diag(gram))

    def statistics(size: int) -> np.ndarray:
        return _mmd_of_labels(off_diagonal, _dealt_out(in_first, size, rng).astype(np.float64))

    return _tested(statistics, permutations, len(gram), gram)


def independence_test(
    sample1: Array,
    sample2: Array,
    *,
    permutations: int = 999,
    rng: Any = None,
    method: str = "finite_difference",
    dyadic_order: int | None = None,
    order: int | None = None,
    static_kernel: StaticKernel | tuple[StaticKernel | None, StaticKernel | None] | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    max_batch: int = -1,
    normalize: bool = False,
) -> PermutationTest:
    """Permutation test of whether the two paths of a pair depend on each other.

    The statistic is the Hilbert-Schmidt independence criterion (HSIC), estimated without bias: the squared distance
    between the law of pairs and that of independent ones, in the product of both signature kernels. If the paths are
    independent, partners mean nothing, and those of the data give a larger statistic than random ones only by chance.

    Parameters
    ----------
    sample1 : array of shape (..., length1, dimension1)
        The first path of each pair, at least four of them; all batch axes count as one.
    sample2 : array of shape (..., length2, dimension2)
        The second path of each pair, as many, of any length and number of channels.
    permutations : int, default 999
        How many times partners are dealt out at random, at least 1.
    rng : numpy.random.Generator or int, default None
        Random numbers, or a seed for them; None takes new ones in every call.
    method, order, time_aug, lead_lag, end_time, lengths1, lengths2, n_jobs
        As in `sig_kernel`.
    dyadic_order : int
        As in `sig_kernel`, but one for both paths of a kernel.
    static_kernel : StaticKernel or pair of them, default LinearKernel()
        Kernel of points; of both samples, or of the first and of the second.
    max_batch : int, default -1
        As in `sig_kernel_gram`.
    normalize : bool, default False
        Take the normalised kernels, which are right also where the kernels themselves overflow.

    Returns
    -------
    PermutationTest
        As `two_sample_test`.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If there are fewer than four pairs, samples of different sizes, or shapes or options do not go together; for
        arrays of Dask, if chunks hold fewer than 20 pairs on average.

    Notes
    -----
    For arrays of Dask the test is computed at once, from blocks of kernels that nobody keeps. Partners are dealt out
    within the chunks of `sample1`, which changes nothing about how often the test is wrong.

    References
    ----------
    A. Gretton, K. Fukumizu, C. Teo, L. Song, B. Schölkopf and A. Smola, "A kernel statistical test of independence",
    NIPS 2007.

    L. Song, A. Smola, A. Gretton, J. Bedo and K. Borgwardt, "Feature selection via dependence maximization", Journal of
    Machine Learning Research 13 (2012).

    Examples
    --------
    >>> import numpy as np, siglib
    >>> rng = np.random.default_rng(0)
    >>> first, noise = rng.standard_normal((2, 30, 20, 1)).cumsum(axis=2) / 6
    >>> siglib.independence_test(first, noise, dyadic_order=0, rng=0).p_value > 0.05
    True
    >>> siglib.independence_test(first, first + 0.1 * noise, dyadic_order=0, rng=0).p_value
    0.001
    """
    permutations, rng = as_positive("permutations", permutations), _as_generator(rng)
    _, sample1, sample2 = samples_of(lengths1, lengths2, sample1=sample1, sample2=sample2)
    sample1, sample2 = sample_of("sample1", sample1, 4), sample_of("sample2", sample2, 4)
    if len(sample1) != len(sample2):
        raise ValueError(
            f"sample1 and sample2 must hold the two paths of each pair, got {len(sample1)} and {len(sample2)} paths"
        )
    kernels = _pair(static_kernel)
    options = _symmetric_options(
        method=method,
        dyadic_order=dyadic_order,
        order=order,
        static_kernel=kernels[0],
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        n_jobs=n_jobs,
        max_batch=max_batch,
        normalize=normalize,
    )
    both = [options | {"static_kernel": as_static_kernel(kernel)} for kernel in kernels]
    if is_in_chunks(sample1):
        found, largest = hsic_of_partners(sample1, sample2, permutations, rng, both)
        return _judged(found[0], found[1:], largest)
    grams = [_gram(sample, sample, own) for sample, own in zip((sample1, sample2), both, strict=True)]
    first, second = _centred(grams[0]).ravel(), _centred(grams[1]).ravel()
    n = len(sample1)
    rows = np.arange(n)

    def statistics(size: int) -> np.ndarray:
        order = _dealt_out(rows, size, rng)
        exchanged = second.take(order[:, :, None] * n + order[:, None, :])
        return exchanged.reshape(len(order), n * n) @ first / (n * (n - 3))

    return _tested(statistics, permutations, n * n, *grams)


def _as_generator(rng: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        message = f"rng must be a numpy.random.Generator, a seed or None, got {rng!r} of type {type(rng).__name__}"
        raise type(error)(message) from None


def _pair(static_kernel: Any) -> tuple[Any, Any]:
    if not isinstance(static_kernel, (tuple, list)):
        return static_kernel, static_kernel
    if len(static_kernel) != 2:
        raise ValueError(f"static_kernel must be one static kernel or a pair of them, got {len(static_kernel)}")
    return static_kernel[0], static_kernel[1]


def _symmetric_options(**options: Any) -> dict[str, Any]:
    """Options of Gram matrices with k(x, y) = k(y, x)."""
    orders = (clean := as_gram_options(**options))["dyadic_order"]
    if orders is not None and orders[0] != orders[1]:
        raise ValueError(f"dyadic_order must be the same for both paths of a kernel here, got {orders}")
    return clean


@without_compiler
def _gram(paths1: Array, paths2: Array, options: dict[str, Any]) -> np.ndarray:
    return on_host(sig_kernel_gram(paths1, paths2, **options)).astype(np.float64)


def _two_sample_test_of_blocks(
    sample1: Array, sample2: Array, permutations: int, rng: np.random.Generator, options: dict[str, Any]
) -> PermutationTest:
    """The test for samples in chunks, of the same random labels."""
    in_first = np.arange(len(sample1) + len(sample2)) < len(sample1)

    def labels() -> Iterator[np.ndarray]:
        yield np.ones_like(in_first)
        yield in_first
        for _ in range(permutations):
            yield _dealt_out(in_first, 1, rng)[0]

    within, of_first, largest = sums_of_labels(sample1, sample2, labels(), permutations + 2, options)
    # Those of the first labelling, which is 1 for all paths, are sums of all kernels.
    found = _mmd_of_sums(within[1:], of_first[1:], of_first[0], len(sample1), len(sample2))
    return _judged(found[0], found[1:], np.array([largest]))


def _dealt_out(entries: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """So many random permutations of labels or partners; for 0, what they are in the data."""
    return entries[None] if size == 0 else rng.permuted(np.tile(entries, (size, 1)), axis=1)


def _mmd_of_labels(off_diagonal: np.ndarray, in_first: np.ndarray) -> np.ndarray:
    """The unbiased squared MMD for many labellings: `in_first` (labellings, paths) is 1 for paths of the first sample.

    Sums of kernels within and between samples are quadratic forms of a labelling. They follow from one product: the
    rows that are in neither sum up with the others to the sums of whole rows.
    """
    n, m = in_first.shape[1], in_first[0].sum()
    all_rows = off_diagonal.sum(axis=0)
    within_first = np.sum((in_first @ off_diagonal) * in_first, axis=1)
    return _mmd_of_sums(within_first, in_first @ all_rows, all_rows.sum(), m, n - m)


def _mmd_of_sums(
    within_first: np.ndarray, of_first: np.ndarray, total: float, n_first: float, n_second: float
) -> np.ndarray:
    """The same from sums of kernels off the diagonal: of two paths of the first sample, of such a path with any other,
    and of all.
    """
    between = of_first - within_first
    within_second = total - of_first - between
    own = within_first / (n_first * (n_first - 1)) + within_second / (n_second * (n_second - 1))
    return own - 2 * between / (n_first * n_second)


def _centred(gram: np.ndarray) -> np.ndarray:
    """The matrix whose inner product with another of its kind is n (n - 3) times HSIC without bias."""
    n = len(gram)
    gram = gram - np.diag(np.diag(gram))
    rows = gram.sum(axis=1) / (n - 2)
    out = gram - rows[:, None] - rows[None, :] + gram.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0.0)
    return out


def _tested(
    statistics: Callable[[int], np.ndarray], permutations: int, numbers_each: int, *grams: np.ndarray
) -> PermutationTest:
    """`statistics(k)` are those of k random permutations, of the data themselves for 0."""
    permuted = np.full(permutations, math.nan)
    largest = np.array([np.abs(gram).max() for gram in grams])
    if not np.isfinite(largest).all():
        return _judged(math.nan, permuted, largest)
    size = max(1, _BLOCK_SIZE // numbers_each)
    found = float(statistics(0)[0])
    for start in range(0, permutations, size):
        permuted[start : start + size] = statistics(min(size, permutations - start))
    return _judged(found, permuted, largest)


def _judged(found: float, permuted: np.ndarray, largest: np.ndarray) -> PermutationTest:
    """The statistic of the data beside those of permutations; `largest` are the largest kernels of both samples."""
    if not np.isfinite(largest).all():
        return PermutationTest(math.nan, math.nan, np.full(len(permuted), math.nan))
    # The data's own labels are a permutation like any other, so the p-value is never 0.
    as_large = int(np.count_nonzero(permuted >= found - _ROUNDING * math.prod(largest.tolist())))
    return PermutationTest(float(found), (1 + as_large) / (1 + len(permuted)), permuted)
