"""Signature kernels in pipelines: Gram matrices against the training series, and low-rank features of them."""

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_random_state

from .._call.options import as_positive
from ._base import SeriesTransformer
from ._paths import Paths
from ._series import Series
from ._static import static_kernel_for, width_for


class _KernelFeatures(ClassNamePrefixFeaturesOutMixin, SeriesTransformer):
    """What is made of kernels has in common."""

    static_kernel: Any
    sigma: Any
    width: Any
    dyadic_order: Any
    order: Any
    normalize: Any

    def _learn_kernel(self, X: Any) -> tuple[Paths, Series]:
        """The training paths, and the series that they come from; the kernel is known then."""
        paths, found = self._learn(X)
        self.sigma_ = width_for(self.static_kernel, self.sigma, self.width, paths, **self._transform())
        self._static_kernel = static_kernel_for(self.static_kernel, self.sigma_)
        return paths, found

    def _gram(self, paths: Paths, others: Paths) -> np.ndarray:
        return paths.gram(
            others,
            static_kernel=self._static_kernel,
            normalize=self.normalize,
            n_jobs=self._threads(),
            **solver(self.dyadic_order, self.order),
            **self._transform(),
        )


def solver(dyadic_order: Any, order: Any) -> dict[str, Any]:
    """Options of `sig_kernel_gram`: polynomials where they have an order."""
    return {"dyadic_order": dyadic_order} if order is None else {"method": "polynomial", "order": order}


class SignatureKernelTransformer(_KernelFeatures):
    """Signature kernels of series with the training series, for estimators that take a precomputed kernel.

    Parameters
    ----------
    static_kernel : str or StaticKernel, default "rbf"
        Kernel of points: "linear", "rbf", "matern12", "matern32", "matern52" or "rational_quadratic", of width `sigma`;
        or an object, which has its own.
    sigma : float or "median", default "median"
        Width of the kernel, as the classes have it: a squared distance for "rbf", a distance for the Matérn kernels and
        the rational quadratic; "linear" compares paths divided by its root. "median" takes the median of the distances
        between points of the training series, or of their squares.
    width : float, default 1.0
        Factor of `sigma`: for a search around the median.
    dyadic_order : int, default 1
        Refinement of the solver, see `siglib.sig_kernel`.
    order : int, default None
        Take the polynomial method of this order instead.
    normalize : bool, default True
        Divide by ``sqrt(k(x, x) k(y, y))``.
    time_aug, lead_lag, end_time, scale, cumulative_sum, base_point, invisibility_reset
        As for `SignatureTransformer`.
    layout, series, time, channels, gaps, n_jobs
        As for `SignatureTransformer`.

    Attributes
    ----------
    sigma_ : float
        The width that was taken.
    n_features_in_, n_channels_, feature_names_in_, augmentations_
        As of `SignatureTransformer`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from siglib.sklearn import SignatureKernelTransformer
    >>> t = np.linspace(0, 1, 20)
    >>> X = [np.column_stack([np.cos(a * t), np.sin(a * t)]) for a in (1, 2, 3, -1, -2, -3)]
    >>> classifier = make_pipeline(SignatureKernelTransformer(), SVC(kernel="precomputed"))
    >>> classifier.fit(X, ["left"] * 3 + ["right"] * 3).predict([X[0][:10], X[5][:15]]).tolist()
    ['left', 'right']
    """

    def __init__(
        self,
        static_kernel: Any = "rbf",
        *,
        sigma: float | str = "median",
        width: float = 1.0,
        dyadic_order: int = 1,
        order: int | None = None,
        normalize: bool = True,
        time_aug: bool | str = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        scale: Any = None,
        cumulative_sum: bool = False,
        base_point: Any = None,
        invisibility_reset: bool = False,
        layout: str = "channels_last",
        series: Any = None,
        time: Any = None,
        channels: Any = None,
        gaps: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.static_kernel = static_kernel
        self.sigma = sigma
        self.width = width
        self.dyadic_order = dyadic_order
        self.order = order
        self.normalize = normalize
        self.time_aug = time_aug
        self.lead_lag = lead_lag
        self.end_time = end_time
        self.scale = scale
        self.cumulative_sum = cumulative_sum
        self.base_point = base_point
        self.invisibility_reset = invisibility_reset
        self.layout = layout
        self.series = series
        self.time = time
        self.channels = channels
        self.gaps = gaps
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Any:
        """Keep the training series, and choose the width.

        Parameters
        ----------
        X : array, list or data frame
            The training series; see `SignatureTransformer`.
        y : ignored

        Returns
        -------
        self
        """
        self._fit_paths, _ = self._learn_kernel(X)
        self._n_features_out = self._fit_paths.n
        # One kernel tells whether the options go together.
        self._gram(first := self._fit_paths.chosen(np.zeros(1, np.intp)), first)
        return self

    def transform(self, X: Any) -> Any:
        """Kernels of series with the training series.

        Parameters
        ----------
        X : array, list or data frame
            Series with the channels of the training series, and of any lengths.

        Returns
        -------
        array of shape (series, training series)
        """
        paths, found = self._paths(X)
        return self._rows(self._gram(paths, self._fit_paths), X, found)

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Kernels of the training series with each other: each pair is computed once.

        Parameters
        ----------
        X : array, list or data frame
            The training series.
        y : ignored

        Returns
        -------
        array of shape (training series, training series)
        """
        self._fit_paths, found = self._learn_kernel(X)
        self._n_features_out = self._fit_paths.n
        return self._rows(self._gram(self._fit_paths, self._fit_paths), X, found)


class SignatureNystroem(_KernelFeatures):
    """Features whose inner products are nearly signature kernels: of low rank, for many series (Nyström's method).

    Some of the training series are landmarks. With K the kernels of landmarks among each other, the features of a
    series are its kernels with the landmarks times the root of the inverse of K. So linear models take the place of
    kernel machines, whose cost grows with the square of the number of series. If all training series are landmarks,
    inner products of theirs are exact.

    Parameters
    ----------
    n_components : int, default 100
        Number of landmarks, drawn from the training series; all of them if there are no more.
    random_state : int, RandomState or None, default None
        Chooses the landmarks.
    static_kernel, sigma, width, dyadic_order, order, normalize
        As for `SignatureKernelTransformer`.
    time_aug, lead_lag, end_time, scale, cumulative_sum, base_point, invisibility_reset
        As for `SignatureTransformer`.
    layout, series, time, channels, gaps, n_jobs
        As for `SignatureTransformer`.

    Attributes
    ----------
    component_indices_ : array of int
        Which of the training series are landmarks.
    normalization_ : array of shape (n_components, n_components)
        The root of the inverse of their kernels.
    sigma_, n_features_in_, n_channels_, feature_names_in_, augmentations_
        As of `SignatureKernelTransformer`.

    References
    ----------
    C. Williams and M. Seeger, "Using the Nyström method to speed up kernel machines", NIPS 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from siglib.sklearn import SignatureKernelTransformer, SignatureNystroem
    >>> X = np.random.default_rng(0).standard_normal((30, 20, 2)).cumsum(axis=1)
    >>> features = SignatureNystroem(30, dyadic_order=2).fit_transform(X)
    >>> gram = SignatureKernelTransformer(dyadic_order=2).fit_transform(X)
    >>> bool(np.allclose(features @ features.T, gram, atol=1e-6))
    True
    """

    def __init__(
        self,
        n_components: int = 100,
        *,
        random_state: Any = None,
        static_kernel: Any = "rbf",
        sigma: float | str = "median",
        width: float = 1.0,
        dyadic_order: int = 1,
        order: int | None = None,
        normalize: bool = True,
        time_aug: bool | str = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        scale: Any = None,
        cumulative_sum: bool = False,
        base_point: Any = None,
        invisibility_reset: bool = False,
        layout: str = "channels_last",
        series: Any = None,
        time: Any = None,
        channels: Any = None,
        gaps: str | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.static_kernel = static_kernel
        self.sigma = sigma
        self.width = width
        self.dyadic_order = dyadic_order
        self.order = order
        self.normalize = normalize
        self.time_aug = time_aug
        self.lead_lag = lead_lag
        self.end_time = end_time
        self.scale = scale
        self.cumulative_sum = cumulative_sum
        self.base_point = base_point
        self.invisibility_reset = invisibility_reset
        self.layout = layout
        self.series = series
        self.time = time
        self.channels = channels
        self.gaps = gaps
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Any:
        """Choose the landmarks.

        Parameters
        ----------
        X : array, list or data frame
            The training series; see `SignatureTransformer`.
        y : ignored

        Returns
        -------
        self
        """
        paths, _ = self._learn_kernel(X)
        n = min(as_positive("n_components", self.n_components), paths.n)
        self.component_indices_ = check_random_state(self.random_state).permutation(paths.n)[:n]
        self._components = paths.chosen(self.component_indices_)
        gram = self._gram(self._components, self._components).astype(np.float64, copy=False)
        values, vectors = np.linalg.eigh(gram)
        # What an inexact solver makes negative, and what rounding leaves of 0, has no root: it is left out.
        kept = values > n * np.finfo(paths.dtype).eps * values[-1]
        roots = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)
        self.normalization_ = ((vectors * roots) @ vectors.T).astype(paths.dtype)
        self._n_features_out = n
        return self

    def transform(self, X: Any) -> Any:
        """The features of series.

        Parameters
        ----------
        X : array, list or data frame
            Series with the channels of the training series, and of any lengths.

        Returns
        -------
        array of shape (series, n_components)
        """
        paths, found = self._paths(X)
        return self._rows(self._gram(paths, self._components) @ self.normalization_, X, found)
