"""What the public functions of signature kernels, branched or not, do around their operations."""

from typing import Any

from .._call.backend import backend_for
from .._call.libraries import Array, hold_equal_numbers
from .._call.options import as_bool, as_n_jobs, as_transform
from .._call.tracing import holds_numbers, is_compiling
from . import operations
from .options import as_max_batch, as_static_kernel
from .problem import NEGATIVE_BASE, OVERFLOW, notes
from .static_kernels import GIVEN, PolynomialKernel, numbers_of


def common_options(
    compare: bool,
    path1: Array,
    path2: Array,
    static_kernel: Any,
    time_aug: bool,
    lead_lag: bool,
    end_time: float,
    n_jobs: int,
    max_batch: int,
    return_grid: bool,
) -> tuple[Any, dict[str, Any]]:
    """The static kernel's parameters, and options by name but for the solver's. `compare`: look for equal paths."""
    kernel = as_static_kernel(static_kernel)
    time_aug, lead_lag, end_time = as_transform(time_aug, lead_lag, end_time)
    code = kernel._code
    if not is_compiling() and notes.found:
        notes.take()
    return (0.0, 0.0, 0.0) if code == GIVEN else numbers_of(kernel), {
        "static_kernel": code,
        "same": path1 is path2,
        "equal": path1 is path2 or (compare and holds_numbers(path1, path2) and hold_equal_numbers(path1, path2)),
        "time_aug": time_aug,
        "lead_lag": lead_lag,
        "end_time": end_time,
        "n_jobs": as_n_jobs(n_jobs),
        "return_grid": as_bool("return_grid", return_grid),
        "max_batch": as_max_batch(max_batch),
        "given": kernel if code == GIVEN else None,
        "padded": False,
    }


def scaling_options(return_grid: bool, normalize: Any, log: Any) -> dict[str, bool]:
    """`normalize` and `log` by name."""
    normalize, log = as_bool("normalize", normalize), as_bool("log", log)
    if normalize and log:
        raise ValueError("normalize and log do not go together: a normalised kernel needs no logarithm")
    if return_grid and (normalize or log):
        raise ValueError(f"return_grid and {'normalize' if normalize else 'log'} do not go together")
    return {"normalize": normalize, "log": log}


def warn_of_notes(static_kernel: Any, *, gradients: bool = False) -> None:
    """Warn about what kernels have found since `common_options`."""
    if is_compiling() or not notes.found:
        return
    found = notes.take()
    if found & NEGATIVE_BASE and isinstance(static_kernel, PolynomialKernel):
        static_kernel._warn_of_negative_base(operations.warn)
    if found & OVERFLOW and gradients:
        operations.warn("gradients of signature kernels overflow and are not finite: scale the paths down")


def backprop(
    operation: Any,
    derivs: Array,
    path1: Array,
    path2: Array,
    needs: tuple[Any, Any],
    grid: Array,
    parameters: Any,
    options: dict[str, Any],
    static_kernel: Any,
) -> tuple[Array | None, Array | None]:
    """The gradients that are public: with respect to the paths, one by one. `needs` is as the caller gave it."""
    wanted = as_bool("left_deriv", needs[0]), as_bool("right_deriv", needs[1]), False
    options |= {"normalize": False, "log": False, "total": False}
    if grid is not None:
        # Not needed, but a wrong one is a mistake of the caller's.
        _, *paths = backend_for(path1=path1, path2=path2)
        operation.check_grid(grid, operation.clean(options), *(tuple(path.shape) for path in paths))
    left, right, _ = operation.backprop(derivs, None, path1, path2, parameters, needs=wanted, **options)
    warn_of_notes(static_kernel, gradients=True)
    return left, right
