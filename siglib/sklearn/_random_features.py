"""Random Fourier signature features: signature kernels as inner products of random numbers."""

import math
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .._call.options import as_bool, as_positive
from ..paths.transform import transform_path
from ..signatures.coefficients import sig_coef
from ._base import SeriesTransformer
from ._static import check_name, width_for

# Lifted paths are made in blocks of about this many numbers.
_BLOCK_SIZE = 2**22


class RandomSignatureFeatures(SeriesTransformer):
    """Random features whose inner products tend to signature kernels as their number grows.

    A random wave ``sqrt(2) cos(<w, x> + b)`` gives a number for each point x, and over all waves products of such
    numbers average to the static kernel. A path of `degree` independent waves has signature coefficients at the words
    (0), (0, 1), (0, 1, 2) and so on, whose products average to levels 1, 2, 3 and so on of the signature kernel. The
    mean over `n_components` such paths has an error that falls like the root of their number, down to what is cut off
    above `degree`. No pairs of series are looked at: time and memory grow with the number of series, not with its
    square.

    Parameters
    ----------
    n_components : int, default 100
        Number of random features for each level.
    degree : int, default 4
        Highest level.
    random_state : int, RandomState or None, default None
        Draws the waves.
    static_kernel : {"rbf", "linear", "matern12", "matern32", "matern52", "rational_quadratic"}, default "rbf"
        Kernel of points. For "linear" the waves are random projections.
    sigma, width
        As for `SignatureKernelTransformer`.
    normalize : bool, default True
        Divide by the norm: the limit is the normalised kernel.
    time_aug, lead_lag, end_time, scale, cumulative_sum, base_point, invisibility_reset
        As for `SignatureTransformer`.
    layout, series, time, channels, gaps, n_jobs
        As for `SignatureTransformer`.

    Attributes
    ----------
    frequencies_ : array of shape (channels, n_components * degree)
        The frequencies w of the waves, those of one feature side by side.
    phases_ : array of shape (n_components * degree,) or None
        Their phases b; None for "linear".
    sigma_, n_features_in_, n_channels_, feature_names_in_, augmentations_
        As of `SignatureKernelTransformer`.

    References
    ----------
    C. Toth, H. Oberhauser and Z. Szabo, "Random Fourier signature features", SIAM Journal on Mathematics of Data
    Science 7 (2025), arXiv:2311.12214.

    A. Rahimi and B. Recht, "Random features for large-scale kernel machines", NIPS 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from siglib.sklearn import RandomSignatureFeatures, SignatureKernelTransformer
    >>> X = np.random.default_rng(0).standard_normal((5, 20, 2)).cumsum(axis=1) / 5
    >>> features = RandomSignatureFeatures(5000, random_state=0).fit_transform(X)
    >>> gram = SignatureKernelTransformer(dyadic_order=2).fit_transform(X)
    >>> bool(np.abs(features @ features.T - gram).max() < 0.05)
    True
    """

    def __init__(
        self,
        n_components: int = 100,
        *,
        degree: int = 4,
        random_state: Any = None,
        static_kernel: str = "rbf",
        sigma: float | str = "median",
        width: float = 1.0,
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
        self.degree = degree
        self.random_state = random_state
        self.static_kernel = static_kernel
        self.sigma = sigma
        self.width = width
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
        """Draw the waves, and choose their width.

        Parameters
        ----------
        X : array, list or data frame
            The training series; see `SignatureTransformer`.
        y : ignored

        Returns
        -------
        self
        """
        check_name(self.static_kernel)
        as_bool("normalize", self.normalize)
        self._shape = as_positive("n_components", self.n_components), as_positive("degree", self.degree)
        paths, _ = self._learn(X)
        self.sigma_ = width_for(self.static_kernel, self.sigma, self.width, paths, **self._transform())
        dimension = transform_path(paths.groups[0][1][:1], **self._transform()).shape[2]
        random, n = check_random_state(self.random_state), math.prod(self._shape)
        self.frequencies_ = _frequencies(self.static_kernel, self.sigma_, dimension, n, random)
        self.phases_ = None if self.static_kernel == "linear" else random.uniform(0, 2 * math.pi, n)
        return self

    def transform(self, X: Any) -> Any:
        """The features of series.

        Parameters
        ----------
        X : array, list or data frame
            Series with the channels of the training series, and of any lengths.

        Returns
        -------
        array of shape (series, 1 + n_components * degree)
            The first feature is level 0 of the kernel, the same for all series if `normalize` is False.
        """
        paths, found = self._paths(X)
        return self._rows(paths.vectors(self._features), X, found)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features: which level they belong to.

        Parameters
        ----------
        input_features : list of str, default None
            Only looked at.

        Returns
        -------
        array of str
        """
        self._channel_names(input_features)
        n, degree = self._shape
        names = [f"level {level} wave {i}" for i in range(n) for level in range(1, degree + 1)]
        return np.array(["level 0", *names], dtype=object)

    def _features(self, paths: np.ndarray) -> np.ndarray:
        points = transform_path(paths, **self._transform())
        n, (width, degree) = len(points), self._shape
        out = np.empty((n, 1 + width * degree), points.dtype)
        out[:, 0] = 1.0
        block = max(1, _BLOCK_SIZE // (points.shape[1] * width * degree))
        for start in range(0, n, block):
            waves = self._waves(points[start : start + block])
            coefficients = sig_coef(waves, tuple(range(degree)), prefixes=True, n_jobs=self._threads())
            out[start : start + block, 1:] = coefficients.reshape(len(waves), -1) / math.sqrt(width)
        return out / np.linalg.norm(out, axis=1, keepdims=True) if self.normalize else out

    def _waves(self, points: np.ndarray) -> np.ndarray:
        """Lifted paths, of shape (paths, n_components, length, degree): a view that kernels read as it is."""
        lifted = points @ self.frequencies_.astype(points.dtype)
        if self.phases_ is not None:
            lifted += self.phases_.astype(points.dtype)
            np.cos(lifted, out=lifted)
            lifted *= math.sqrt(2.0)
        return lifted.reshape(*points.shape[:2], *self._shape).swapaxes(1, 2)


def _frequencies(name: str, sigma: float, dimension: int, n: int, random: Any) -> np.ndarray:
    """Of waves whose products average to the static kernel: draws from its spectral measure (Bochner's theorem)."""
    normal = random.standard_normal((dimension, n))
    if name == "linear":
        return normal / math.sqrt(sigma)
    if name == "rbf":
        return normal * math.sqrt(2.0 / sigma)
    if name == "rational_quadratic":
        # A mixture of Gaussian kernels over gamma distributed widths; alpha is 1.
        return normal * np.sqrt(random.gamma(1.0, 1.0, n)) / sigma
    # Matérn kernels of smoothness nu have Student's t with 2 nu degrees of freedom.
    freedom = {"matern12": 1, "matern32": 3, "matern52": 5}[name]
    return normal / (sigma * np.sqrt(random.chisquare(freedom, n) / freedom))
