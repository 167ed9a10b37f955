"""Branched signature kernels of pairs of paths, Gram matrices of them, and the gradients of both.

Options are checked here; `branched_operations.py` has the operations that torch differentiates.
"""

from typing import Any

from .._call.libraries import Array
from .._call.ragged import sides_of
from .._call.tracing import without_compiler
from . import branched_operations
from .calls import backprop, common_options, scaling_options, warn_of_notes
from .options import as_depth, dyadic_orders
from .static_kernels import StaticKernel


def _options(
    compare: bool, path1: Array, path2: Array, depth: Any, dyadic_order: Any, *common: Any
) -> tuple[Any, dict[str, Any]]:
    """The static kernel's parameters, and the options of the operations by name. `compare`: look for equal paths."""
    depth, orders = as_depth(depth), dyadic_orders(dyadic_order)
    parameters, options = common_options(compare, path1, path2, *common)
    options["order1"], options["order2"] = orders
    options["depth"] = depth
    return parameters, options


def branched_sig_kernel(
    path1: Array,
    path2: Array,
    depth: int,
    dyadic_order: int | tuple[int, int],
    *,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    return_grid: bool = False,
    normalize: bool = False,
    log: bool = False,
) -> Array:
    """Branched signature kernels of pairs of paths: inner products of their branched signatures, over forests.

    The kernels of growing depth, of two paths up to the times s and t, follow from one another:

        K_0 = 1,    K_m(s, t) = exp( integral of K_(m-1)(u, v) <dx_u, dy_v> over u < s, v < t ).

    K_m is the sum of ``X(F) Y(F) / symmetry(F)`` over all forests F of rooted trees with labelled nodes that are at
    most m nodes deep, where X and Y are the (non-planar) branched signatures of the paths, and the value of a forest
    is the product of those of its trees. K_1 is the exponential of the inner product of the total increments.

    Each cell of the grid of segments is cut into ``2**dyadic_order`` parts each way. On a part the integrand is the
    mean of K_(m-1) at its four corners, times the inner product of two increments, or the double increment of a static
    kernel. One more order divides the error by four. The scheme is an inner product itself: results are positive, and
    with one order for both paths Gram matrices are positive semidefinite.

    Parameters
    ----------
    path1 : array of shape (..., length1, dimension)
        One path or a batch of them.
    path2 : array of shape (..., length2, dimension)
        As many paths, of any length: `path1` and `path2` go together pair by pair.
    depth : int
        How deep trees are, from 0 to 1000. A single node has depth 1; at depth 0 there is the empty forest only.
    dyadic_order : int or pair of int
        Refinement of both paths, or of `path1` and of `path2`, at least 0.
    static_kernel : StaticKernel, default LinearKernel()
        Kernel of points in place of the inner product.
    time_aug : bool, default False
        Add time to both paths, as the last channel, running evenly from 0 to `end_time`.
    lead_lag : bool, default False
        Take the lead-lag transforms of both paths. See `transform_path`.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    lengths1, lengths2 : sequence of n int, default None
        How many points each path has, if `path1` or `path2` is padded to one length: see `RaggedPaths`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.
    return_grid : bool, default False
        Give the kernel of the full depth at all nodes of the grid, of the paths up to any two times, instead of its
        last value.
    normalize : bool, default False
        Divide by ``sqrt(k(x, x) k(y, y))``. Right also where the kernels themselves overflow, and exactly 1 for equal
        paths. NaN where kernels of a lower depth overflow.
    log : bool, default False
        Give the logarithm of the kernel, also where the kernel itself overflows: the same sum over trees alone. NaN
        where kernels of a lower depth overflow.

    Returns
    -------
    array of shape (...), or (..., rows, columns) with `return_grid`
        Of the library, dtype and device of the paths; without axes for a single pair. A grid has
        ``rows = (length1 - 1) * 2**dyadic_order + 1``, where `length1` is that of the transformed path; columns
        likewise. The kernel of a path of length 0 or 1 with any other is 1. NaN in the paths propagates, and so does
        infinity, but that static kernels of distances may take it for a point far away.

    Raises
    ------
    TypeError
        If the paths are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If shapes or options do not go together.
    MemoryError
        If the result does not fit into memory.

    Warns
    -----
    RuntimeWarning
        If kernels overflow. They grow fast: each depth is the exponential of what was summed before.

    Notes
    -----
    Differentiable in PyTorch, with respect to both paths, and to the parameters of the static kernel if they are
    tensors; the gradient is that of the numbers that were computed, exact to rounding.

    Memory does not grow with the size of the grid, as only a few rows of it are kept, with all depths side by side.

    See Also
    --------
    sig_kernel : the same for signatures.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0], [1.0]])
    >>> [round(float(siglib.branched_sig_kernel(path, path, depth, 6)), 3) for depth in (1, 2, 3)]
    [2.718, 3.736, 3.972]
    >>> round(float(siglib.branched_sig_kernel(path, -path, 2, 6, normalize=True)), 3)
    0.121
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    parameters, options = _options(
        False,
        path1,
        path2,
        depth,
        dyadic_order,
        static_kernel,
        time_aug,
        lead_lag,
        end_time,
        n_jobs,
        -1,
        return_grid,
    )
    scaling = scaling_options(options["return_grid"], normalize, log)
    operations = branched_operations
    call = operations.BRANCHED_SIG_KERNEL if options["given"] is None else operations.given_branched_sig_kernel
    out = call(path1, path2, parameters, total=True, **scaling, **options)
    warn_of_notes(static_kernel)
    return out


def branched_sig_kernel_gram(
    path1: Array,
    path2: Array,
    depth: int,
    dyadic_order: int | tuple[int, int],
    *,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    max_batch: int = -1,
    return_grid: bool = False,
    normalize: bool = False,
    log: bool = False,
) -> Array:
    """Gram matrix of branched signature kernels: those of every path of one batch with every path of another.

    If both arguments hold the same paths, each pair is computed once and the matrix is exactly symmetric; it takes half
    the time. Paths are the same as for `sig_kernel_gram`.

    Parameters
    ----------
    path1 : array of shape ``(*batch1, length1, dimension)``
        One path or a batch of them.
    path2 : array of shape ``(*batch2, length2, dimension)``
        One path or a batch of them, of any size and length.
    depth, dyadic_order, static_kernel, time_aug, lead_lag, end_time, lengths1, lengths2, n_jobs
        As in `branched_sig_kernel`.
    max_batch : int, default -1
        A static kernel written by the user is given at most ``max_batch**2`` pairs at a time; -1 lets siglib choose.
        Without effect otherwise: memory is bounded in any case.
    return_grid, normalize, log
        As in `branched_sig_kernel`.

    Returns
    -------
    array of shape ``(*batch1, *batch2)``, or ``(*batch1, *batch2, rows, columns)`` with `return_grid`
        Of the library, dtype and device of the paths; without axes for two single paths.

    Raises
    ------
    TypeError
        If the paths are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If shapes or options do not go together.
    MemoryError
        If the result does not fit into memory.

    Warns
    -----
    RuntimeWarning
        As `branched_sig_kernel` does.

    Notes
    -----
    Differentiable in PyTorch, as `branched_sig_kernel` is.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> paths = np.array([[[0.0], [1.0]], [[0.0], [0.5]], [[0.0], [-1.0]]])
    >>> siglib.branched_sig_kernel_gram(paths, paths, 2, 6).round(3)
    array([[3.736, 1.769, 0.451],
           [1.769, 1.305, 0.642],
           [0.451, 0.642, 3.736]])
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    parameters, options = _options(
        True,
        path1,
        path2,
        depth,
        dyadic_order,
        static_kernel,
        time_aug,
        lead_lag,
        end_time,
        n_jobs,
        max_batch,
        return_grid,
    )
    scaling = scaling_options(options["return_grid"], normalize, log)
    operations = branched_operations
    given = options["given"] is not None
    call = operations.given_branched_sig_kernel_gram if given else operations.BRANCHED_SIG_KERNEL_GRAM
    out = call(path1, path2, parameters, total=True, **scaling, **options)
    warn_of_notes(static_kernel)
    return out


@without_compiler
def branched_sig_kernel_backprop(
    derivs: Array,
    path1: Array,
    path2: Array,
    depth: int,
    dyadic_order: int | tuple[int, int],
    *,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    left_deriv: bool = True,
    right_deriv: bool = False,
    k_stack: Array = None,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    return_grid: bool = False,
) -> tuple[Array | None, Array | None]:
    """Gradients of `branched_sig_kernel` with respect to the paths: the exact adjoint of the scheme.

    Memory does not grow with the size of the grid: a few rows are kept, the others are computed again.

    Parameters
    ----------
    derivs : array of shape (...), or (..., rows, columns) with `return_grid`
        Derivatives of a function F with respect to the result of `branched_sig_kernel`. That of a single pair may have
        shape () or (1,).
    path1, path2, depth, dyadic_order, static_kernel, time_aug, lead_lag, end_time
        As they were given to `branched_sig_kernel`.
    left_deriv : bool, default True
        Whether to compute the gradient with respect to `path1`.
    right_deriv : bool, default False
        Whether to compute the gradient with respect to `path2`.
    k_stack : array of shape (..., depth + 1, rows, columns), optional
        The grids of all depths. Not needed; only its shape is looked at. Kept for code written for other libraries.
    lengths1, lengths2 : sequence of n int, default None
        How many points each path has, if `path1` or `path2` is padded to one length: see `RaggedPaths`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.
    return_grid : bool, default False
        Whether `derivs` are with respect to whole grids.

    Returns
    -------
    (array or None, array or None)
        Derivatives of F with respect to `path1` and `path2`, of their shapes; None for what was not asked for. Tensors
        come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If shapes or options do not go together.

    See Also
    --------
    branched_sig_kernel : for PyTorch it is differentiable itself, also with `normalize` and `log`, and with respect to
        the parameters of static kernels.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0], [1.0]])
    >>> left, right = siglib.branched_sig_kernel_backprop(np.array(1.0), path, 2 * path, 1, 0)
    >>> left.round(3), right
    (array([[-14.778],
           [ 14.778]]), None)
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    operation = branched_operations.BRANCHED_SIG_KERNEL
    parameters, options = _options(
        False,
        path1,
        path2,
        depth,
        dyadic_order,
        static_kernel,
        time_aug,
        lead_lag,
        end_time,
        n_jobs,
        -1,
        return_grid,
    )
    needs = left_deriv, right_deriv
    return backprop(operation, derivs, path1, path2, needs, k_stack, parameters, options, static_kernel)


@without_compiler
def branched_sig_kernel_gram_backprop(
    derivs: Array,
    path1: Array,
    path2: Array,
    depth: int,
    dyadic_order: int | tuple[int, int],
    *,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    left_deriv: bool = True,
    right_deriv: bool = False,
    k_stack: Array = None,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    return_grid: bool = False,
    max_batch: int = -1,
) -> tuple[Array | None, Array | None]:
    """Gradients of `branched_sig_kernel_gram` with respect to the paths: the exact adjoint of the scheme.

    If both arguments are the same object, the two results are the partial gradients all the same: their sum is the
    gradient with respect to it.

    Parameters
    ----------
    derivs : array of shape ``(*batch1, *batch2)``, or ``(*batch1, *batch2, rows, columns)`` with `return_grid`
        Derivatives of a function F with respect to the Gram matrix. That of a single pair may have shape () or (1,).
    path1, path2, depth, dyadic_order, static_kernel, time_aug, lead_lag, end_time
        As they were given to `branched_sig_kernel_gram`.
    left_deriv, right_deriv : bool, default True, False
        Whether to compute the gradient with respect to `path1`, and to `path2`.
    k_stack : array of shape ``(*batch1, *batch2, depth + 1, rows, columns)``, optional
        The grids of all depths. Not needed; only its shape is looked at. Kept for code written for other libraries.
    lengths1, lengths2, n_jobs, return_grid, max_batch
        As in `branched_sig_kernel_gram`.

    Returns
    -------
    (array or None, array or None)
        Derivatives of F with respect to `path1` and `path2`, of their shapes; None for what was not asked for. Tensors
        come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If shapes or options do not go together.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> paths = np.array([[[0.0], [1.0]], [[0.0], [2.0]]])
    >>> left, right = siglib.branched_sig_kernel_gram_backprop(np.ones((2, 2)), paths, paths, 1, 0, right_deriv=True)
    >>> left.round(3)[:, 1]
    array([[ 17.496],
           [116.585]])
    >>> bool(np.allclose(left, right))
    True
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    operation = branched_operations.BRANCHED_SIG_KERNEL_GRAM
    parameters, options = _options(
        False,
        path1,
        path2,
        depth,
        dyadic_order,
        static_kernel,
        time_aug,
        lead_lag,
        end_time,
        n_jobs,
        max_batch,
        return_grid,
    )
    needs = left_deriv, right_deriv
    return backprop(operation, derivs, path1, path2, needs, k_stack, parameters, options, static_kernel)
