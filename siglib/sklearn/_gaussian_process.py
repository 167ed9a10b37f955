"""The signature kernel as a kernel of scikit-learn's Gaussian processes."""

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import GenericKernelMixin, Hyperparameter, Kernel

from .._call.options import as_n_jobs
from ._kernels import solver
from ._paths import Paths
from ._series import read
from ._static import check_name, static_kernel_for

# Step of central differences in the logarithm of the width: errors of their own and of rounding are below 1e-8.
_STEP = 1e-4


class SignatureKernel(GenericKernelMixin, Kernel):
    """The signature kernel, for `sklearn.gaussian_process`; its width is a hyperparameter that the fit may choose.

    It adds and multiplies with other kernels of scikit-learn. Series of several channels go through `as_series`, since
    Gaussian processes refuse arrays of three axes.

    Parameters
    ----------
    sigma : float, default 1.0
        Width of the static kernel, see `SignatureKernelTransformer`; positive.
    sigma_bounds : pair of float or "fixed", default (1e-3, 1e3)
        Where the fit looks for it.
    static_kernel : str, default "rbf"
        Kernel of points, by name as for `SignatureKernelTransformer`.
    dyadic_order, order, normalize
        As for `SignatureKernelTransformer`.
    time_aug, lead_lag, end_time, n_jobs
        As for `SignatureTransformer`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from siglib.sklearn import SignatureKernel, as_series
    >>> X = np.random.default_rng(0).standard_normal((30, 15, 2)).cumsum(axis=1) / 5
    >>> y = np.sin(X[:, -1, 0] - X[:, 0, 0])
    >>> process = GaussianProcessRegressor(SignatureKernel(), alpha=1e-3)
    >>> mean, std = process.fit(as_series(X[:25]), y[:25]).predict(as_series(X[25:]), return_std=True)
    >>> mean.shape, std.shape
    ((5,), (5,))
    """

    def __init__(
        self,
        sigma: float = 1.0,
        sigma_bounds: Any = (1e-3, 1e3),
        *,
        static_kernel: str = "rbf",
        dyadic_order: int = 1,
        order: int | None = None,
        normalize: bool = True,
        time_aug: bool = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        n_jobs: int | None = None,
    ) -> None:
        self.sigma = sigma
        self.sigma_bounds = sigma_bounds
        self.static_kernel = static_kernel
        self.dyadic_order = dyadic_order
        self.order = order
        self.normalize = normalize
        self.time_aug = time_aug
        self.lead_lag = lead_lag
        self.end_time = end_time
        self.n_jobs = n_jobs

    @property
    def hyperparameter_sigma(self) -> Any:
        """The width, on a logarithmic scale."""
        return Hyperparameter("sigma", "numeric", self.sigma_bounds)

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Kernels of all pairs.

        Parameters
        ----------
        X : sequence of series
            See `as_series`.
        Y : sequence of series, default None
            None takes X.
        eval_gradient : bool, default False
            Whether to give the derivatives with respect to the logarithm of `sigma`, too, by central differences.

        Returns
        -------
        array of shape (series of X, series of Y), with `eval_gradient` also one of shape (series, series, 1)
        """
        if eval_gradient and Y is not None:
            raise ValueError("Gradient can only be evaluated when Y is None.")
        paths = Paths.of(read(X).points)
        gram = self._gram(paths, paths if Y is None else Paths.of(read(Y).points), self.sigma)
        if not eval_gradient:
            return gram
        if self.hyperparameter_sigma.fixed:
            return gram, np.empty((*gram.shape, 0))
        above, below = (self._gram(paths, paths, self.sigma * np.exp(step)) for step in (_STEP, -_STEP))
        return gram, ((above - below) / (2 * _STEP))[:, :, None]

    def diag(self, X: Any) -> np.ndarray:
        """Kernels of each series with itself.

        Parameters
        ----------
        X : sequence of series
            See `as_series`.

        Returns
        -------
        array of shape (series,)
        """
        if self.normalize:
            return np.ones(len(X))
        return Paths.of(read(X).points).own_kernels(**self._options(self.sigma)).astype(np.float64)

    def is_stationary(self) -> bool:
        """Whether kernels depend on differences of series only: no."""
        return False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.static_kernel}, sigma={self.sigma:.3g})"

    def _options(self, sigma: float) -> dict[str, Any]:
        check_name(self.static_kernel)
        return {
            "static_kernel": static_kernel_for(self.static_kernel, float(sigma)),
            "time_aug": self.time_aug,
            "lead_lag": self.lead_lag,
            "end_time": self.end_time,
            "n_jobs": 1 if self.n_jobs is None else as_n_jobs(self.n_jobs),
            **solver(self.dyadic_order, self.order),
        }

    def _gram(self, paths: Paths, others: Paths, sigma: float) -> np.ndarray:
        # Gaussian processes factorise in double precision, whatever the series were given in.
        return paths.gram(others, normalize=self.normalize, **self._options(sigma)).astype(np.float64, copy=False)
