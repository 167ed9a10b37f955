"""Signature kernels of pairs of paths, Gram matrices of them, and the gradients of both.

Options are checked here; `operations.py` has the operations that torch differentiates.
"""

from typing import Any

from .._call.libraries import Array
from .._call.ragged import sides_of
from .._call.tracing import without_compiler
from . import operations
from .calls import backprop, common_options, scaling_options, warn_of_notes
from .options import solver_orders
from .static_kernels import StaticKernel


def _options(
    compare: bool, path1: Array, path2: Array, method: str, dyadic_order: Any, order: Any, *common: Any
) -> tuple[Any, dict[str, Any]]:
    """The static kernel's parameters, and the options of the operations by name. `compare`: look for equal paths."""
    orders = solver_orders(method, dyadic_order, order)
    parameters, options = common_options(compare, path1, path2, *common)
    options["order1"], options["order2"], options["order"] = orders
    return parameters, options


def sig_kernel(
    path1: Array,
    path2: Array,
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
    return_grid: bool = False,
    normalize: bool = False,
    log: bool = False,
) -> Array:
    """Signature kernels of pairs of paths: inner products of their whole signatures.

    The kernel k(s, t) of two paths up to the times s and t solves

        d^2 k / ds dt = <dx/ds, dy/dt> k,    k = 1 where s or t is 0.

    It is constant on each cell of the grid of segments, where its coefficient is the inner product of two increments,
    or the double increment of a static kernel. Two methods solve it:

    * ``"finite_difference"`` cuts each cell into ``2**dyadic_order`` parts each way. On a part with coefficient g,
      ``k11 = (k10 + k01) (1 + g/2 + g**2/12) - k00 (1 - g**2/12)``. One more order divides the error by four.
    * ``"polynomial"`` keeps the cells, and the solution on their edges as polynomials, cut after the power `order`.
      Errors fall faster than any power of it.

    Parameters
    ----------
    path1 : array of shape (..., length1, dimension)
        One path or a batch of them.
    path2 : array of shape (..., length2, dimension)
        As many paths, of any length: `path1` and `path2` go together pair by pair.
    method : {"finite_difference", "polynomial"}, default "finite_difference"
        How to solve the equation.
    dyadic_order : int or pair of int
        Refinement of both paths, or of `path1` and of `path2`, at least 0; needed by finite differences, and by them
        only.
    order : int
        Highest power, from 2 to 64; needed by the polynomial method, and by it only.
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
        Give the kernel at all nodes of the grid, of the paths up to any two times, instead of its last value.
    normalize : bool, default False
        Divide by ``sqrt(k(x, x) k(y, y))``. Right also where the kernels themselves overflow, and exactly 1 for equal
        paths. NaN where k(x, x) or k(y, y) is not positive, which only an order too low can make them, and where double
        increments of the static kernel overflow.
    log : bool, default False
        Give the logarithm of the kernel, also where the kernel itself overflows. NaN where it is not positive, and
        where double increments of the static kernel overflow.

    Returns
    -------
    array of shape (...), or (..., rows, columns) with `return_grid`
        Of the library, dtype and device of the paths; without axes for a single pair. A grid has
        ``rows = (length1 - 1) * 2**dyadic_order + 1``, where `length1` is that of the transformed path; for the
        polynomial method, ``rows = length1``; columns likewise. The kernel of a path of length 0 or 1 with any other
        is 1. NaN in the paths propagates, and so does infinity, but that static kernels of distances may take it for
        a point far away.

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
        If kernels overflow; if the kernel of a path with itself is negative, or a normalised kernel above 1: then the
        order is too low. For arrays on a GPU, which nobody waits for, results come without a warning.

    Notes
    -----
    Differentiable in PyTorch, with respect to both paths, and to the parameters of the static kernel if they are
    tensors; the gradient is that of the numbers that were computed, exact to rounding.

    References
    ----------
    C. Salvi, T. Cass, J. Foster, T. Lyons and W. Yang, "The signature kernel is the solution of a Goursat PDE", SIAM
    Journal on Mathematics of Data Science 3 (2021), arXiv:2006.14794.

    F. J. Kiraly and H. Oberhauser, "Kernels for sequentially ordered data", Journal of Machine Learning Research 20
    (2019).

    Examples
    --------
    >>> import numpy as np, siglib
    >>> right_then_up = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> up_then_right = right_then_up[:, ::-1]
    >>> round(float(siglib.sig_kernel(right_then_up, up_then_right, dyadic_order=6)), 3)
    3.559
    >>> round(float(siglib.sig_kernel(right_then_up, up_then_right, dyadic_order=6, normalize=True)), 3)
    0.685
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    parameters, options = _options(
        False,
        path1,
        path2,
        method,
        dyadic_order,
        order,
        static_kernel,
        time_aug,
        lead_lag,
        end_time,
        n_jobs,
        -1,
        return_grid,
    )
    scaling = scaling_options(options["return_grid"], normalize, log)
    call = operations.SIG_KERNEL if options["given"] is None else operations.given_sig_kernel
    out = call(path1, path2, parameters, total=True, **scaling, **options)
    warn_of_notes(static_kernel)
    return out


def sig_kernel_gram(
    path1: Array,
    path2: Array,
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
    return_grid: bool = False,
    normalize: bool = False,
    log: bool = False,
    out: Array = None,
) -> Array:
    """Gram matrix of signature kernels: those of every path of one batch with every path of another.

    If both arguments hold the same paths, each pair is computed once and the matrix is exactly symmetric; it takes half
    the time. Paths are the same if they are one object or one place in memory, or, in main memory, if their numbers are
    equal. For one object the gradient takes half the time, too. (With two different dyadic orders k(x, y) and k(y, x)
    differ; all pairs are computed then.)

    Parameters
    ----------
    path1 : array of shape ``(*batch1, length1, dimension)``
        One path or a batch of them.
    path2 : array of shape ``(*batch2, length2, dimension)``
        One path or a batch of them, of any size and length.
    method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, lengths1, lengths2, n_jobs
        As in `sig_kernel`.
    max_batch : int, default -1
        A static kernel written by the user is given at most ``max_batch**2`` pairs at a time; -1 lets siglib choose.
        Without effect otherwise: memory is bounded in any case.
    return_grid, normalize, log
        As in `sig_kernel`.

    out : numpy.ndarray, optional
        Where to write the result, a block at a time: an array of its shape and dtype, such as a `numpy.memmap`. Only
        for NumPy arrays. See also `gram_to_file`.

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
        As `sig_kernel` does.

    Notes
    -----
    Differentiable in PyTorch, as `sig_kernel` is.

    References
    ----------
    C. Salvi, T. Cass, J. Foster, T. Lyons and W. Yang, "The signature kernel is the solution of a Goursat PDE", SIAM
    Journal on Mathematics of Data Science 3 (2021), arXiv:2006.14794.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> paths = np.array([[[0.0], [1.0]], [[0.0], [0.5]], [[0.0], [-1.0]]])
    >>> siglib.sig_kernel_gram(paths, paths, dyadic_order=8).round(3)
    array([[2.28 , 1.566, 0.224],
           [1.566, 1.266, 0.559],
           [0.224, 0.559, 2.28 ]])
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    parameters, options = _options(
        True,
        path1,
        path2,
        method,
        dyadic_order,
        order,
        static_kernel,
        time_aug,
        lead_lag,
        end_time,
        n_jobs,
        max_batch,
        return_grid,
    )
    scaling = scaling_options(options["return_grid"], normalize, log)
    call = operations.SIG_KERNEL_GRAM if options["given"] is None else operations.given_sig_kernel_gram
    if out is not None:
        call = operations.SIG_KERNEL_GRAM.into(out)
    found = call(path1, path2, parameters, total=True, **scaling, **options)
    warn_of_notes(static_kernel)
    return found


@without_compiler
def sig_kernel_backprop(
    derivs: Array,
    path1: Array,
    path2: Array,
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    left_deriv: bool = True,
    right_deriv: bool = False,
    k_grid: Array = None,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    return_grid: bool = False,
) -> tuple[Array | None, Array | None]:
    """Gradients of `sig_kernel` with respect to the paths: the exact adjoint of the solver.

    Memory does not grow with the size of the grid: a few rows are kept, the others are computed again.

    Parameters
    ----------
    derivs : array of shape (...), or (..., rows, columns) with `return_grid`
        Derivatives of a function F with respect to the result of `sig_kernel`. That of a single pair may have shape ()
        or (1,).
    path1, path2, method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time
        As they were given to `sig_kernel`.
    left_deriv : bool, default True
        Whether to compute the gradient with respect to `path1`.
    right_deriv : bool, default False
        Whether to compute the gradient with respect to `path2`.
    k_grid : array of shape (..., rows, columns), optional
        The grids of the kernels. Not needed; only its shape is looked at. Kept for code written for other libraries.
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
    sig_kernel : for PyTorch it is differentiable itself, also with `normalize` and `log`, and with respect to the
        parameters of static kernels.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0], [1.0]])
    >>> left, right = siglib.sig_kernel_backprop(np.array(1.0), path, 2 * path, dyadic_order=8)
    >>> left.round(3), right
    (array([[-4.79],
           [ 4.79]]), None)
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    return _backprop(
        False,
        derivs,
        path1,
        path2,
        left_deriv,
        right_deriv,
        k_grid,
        (method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, n_jobs, -1, return_grid),
    )


@without_compiler
def sig_kernel_gram_backprop(
    derivs: Array,
    path1: Array,
    path2: Array,
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    left_deriv: bool = True,
    right_deriv: bool = False,
    k_grid: Array = None,
    lengths1: Any = None,
    lengths2: Any = None,
    n_jobs: int = 1,
    return_grid: bool = False,
    max_batch: int = -1,
) -> tuple[Array | None, Array | None]:
    """Gradients of `sig_kernel_gram` with respect to the paths: the exact adjoint of the solver.

    If both arguments are the same object, the two results are the partial gradients all the same: their sum is the
    gradient with respect to it.

    Parameters
    ----------
    derivs : array of shape ``(*batch1, *batch2)``, or ``(*batch1, *batch2, rows, columns)`` with `return_grid`
        Derivatives of a function F with respect to the Gram matrix. That of a single pair may have shape () or (1,).
    path1, path2, method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time
        As they were given to `sig_kernel_gram`.
    left_deriv, right_deriv : bool, default True, False
        Whether to compute the gradient with respect to `path1`, and to `path2`.
    k_grid : array of shape ``(*batch1, *batch2, rows, columns)``, optional
        The grids of the kernels. Not needed; only its shape is looked at. Kept for code written for other libraries.
    lengths1, lengths2, n_jobs, return_grid, max_batch
        As in `sig_kernel_gram`.

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
    >>> left, right = siglib.sig_kernel_gram_backprop(np.ones((2, 2)), paths, paths, dyadic_order=8, right_deriv=True)
    >>> left.round(3)[:, 1]
    array([[ 6.38 ],
           [12.154]])
    >>> bool(np.allclose(left, right))
    True
    """
    if lengths1 is not None or lengths2 is not None:
        path1, path2 = sides_of(path1=path1, path2=path2, lengths1=lengths1, lengths2=lengths2)
    return _backprop(
        True,
        derivs,
        path1,
        path2,
        left_deriv,
        right_deriv,
        k_grid,
        (method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, n_jobs, max_batch, return_grid),
    )


def _backprop(
    gram: bool,
    derivs: Array,
    path1: Array,
    path2: Array,
    left_deriv: bool,
    right_deriv: bool,
    k_grid: Array,
    solver: tuple[Any, ...],
) -> tuple[Array | None, Array | None]:
    parameters, options = _options(False, path1, path2, *solver)
    operation = operations.SIG_KERNEL_GRAM if gram else operations.SIG_KERNEL
    needs = left_deriv, right_deriv
    return backprop(operation, derivs, path1, path2, needs, k_grid, parameters, options, solver[3])
