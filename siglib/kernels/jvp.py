"""Derivatives of signature kernels along directions."""

from typing import Any

from .._call.libraries import Array
from .._call.tracing import without_compiler
from . import operations
from .calls import scaling_options
from .sig_kernel import _options
from .static_kernels import StaticKernel


@without_compiler
def sig_kernel_jvp(
    path1: Array,
    path2: Array,
    direction1: Array = None,
    direction2: Array = None,
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: int = 1,
    return_grid: bool = False,
    normalize: bool = False,
    log: bool = False,
) -> Array:
    """Derivative of `sig_kernel` along directions: how kernels change as paths move, to first order.

    Parameters
    ----------
    path1, path2 : arrays of shape (..., length1, dimension) and (..., length2, dimension)
        Paths, pair by pair.
    direction1, direction2 : arrays of the shapes of `path1` and `path2`, or None
        How the points move; None for paths that stay as they are.
    method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, n_jobs, return_grid, normalize, log
        As for `sig_kernel`. A static kernel written in Python, or `Matern12Kernel`, is refused.

    Returns
    -------
    array of the shape of ``sig_kernel(path1, path2, ...)``
        Of the library, dtype and device of the paths.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, both directions are None, or an option has the wrong
        type.
    ValueError
        If a direction does not have the shape of its paths, or shapes or options do not go together.
    RuntimeError
        If the static kernel has no derivatives along directions.

    See Also
    --------
    sig_kernel_backprop : the transpose of this linear map.

    Notes
    -----
    It computes eight kernels in float64, whatever the dtype. The error is some 1e-12 of what the kernel could
    change at most, given the lengths of paths and directions. Differentiable in PyTorch, any number of times.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path, other = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    >>> round(float(siglib.sig_kernel_jvp(path, other, direction1=path, dyadic_order=8)), 3)
    4.79
    """
    given = (method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, n_jobs)
    return _along(
        operations.SIG_KERNEL, path1, path2, direction1, direction2, given, return_grid, normalize=normalize, log=log
    )


@without_compiler
def sig_kernel_gram_jvp(
    path1: Array,
    path2: Array,
    direction1: Array = None,
    direction2: Array = None,
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: int = 1,
    return_grid: bool = False,
    normalize: bool = False,
    log: bool = False,
) -> Array:
    """Derivative of `sig_kernel_gram` along directions: how kernels change as paths move, to first order.

    Parameters
    ----------
    path1, path2 : arrays of shape ``(*batch1, length1, dimension)`` and ``(*batch2, length2, dimension)``
        Two batches of paths; every path of one goes together with every path of the other.
    direction1, direction2 : arrays of the shapes of `path1` and `path2`, or None
        How the points move; None for paths that stay as they are.
    method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, n_jobs, return_grid, normalize, log
        As for `sig_kernel_gram`. A static kernel written in Python, or `Matern12Kernel`, is refused.

    Returns
    -------
    array of the shape of ``sig_kernel_gram(path1, path2, ...)``
        Of the library, dtype and device of the paths.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, both directions are None, or an option has the wrong
        type.
    ValueError
        If a direction does not have the shape of its paths, or shapes or options do not go together.
    RuntimeError
        If the static kernel has no derivatives along directions.

    See Also
    --------
    sig_kernel_gram_backprop : the transpose of this linear map.

    Notes
    -----
    It computes eight Gram matrices in float64. The error is that of `sig_kernel_jvp`, relative to the pair that
    changes most. Differentiable in PyTorch, any number of times.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> paths = np.array([[[0.0], [1.0]], [[0.0], [2.0]]])
    >>> siglib.sig_kernel_gram_jvp(paths, paths, paths, paths, dyadic_order=8).round(3)
    array([[ 3.181,  9.579],
           [ 9.579, 39.038]])
    """
    given = (method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, n_jobs)
    return _along(
        operations.SIG_KERNEL_GRAM,
        path1,
        path2,
        direction1,
        direction2,
        given,
        return_grid,
        normalize=normalize,
        log=log,
    )


def _along(
    operation: operations.KernelOperation,
    path1: Array,
    path2: Array,
    direction1: Array,
    direction2: Array,
    given: tuple[Any, ...],
    return_grid: bool,
    **scaling: bool,
) -> Array:
    numbers, options = _options(False, path1, path2, *given, -1, return_grid)
    options |= scaling_options(options["return_grid"], **scaling)
    # Each has a direction of its own, even where both are one array.
    options |= {"same": False, "equal": False, "total": False}
    return operation.along((path1, path2), (direction1, direction2), numbers, **options)
