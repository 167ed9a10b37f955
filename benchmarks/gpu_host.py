"""What calls cost in Python, with all that a GPU does stubbed: needs CuPy 14.2, but no GPU.

    python benchmarks/gpu_host.py

prints the least microseconds of a call, for CuPy's arrays and for PyTorch's tensors, and how many kernels it launches.
Arrays are CuPy's own, on memory of the host. Launches, copies, allocation, streams and devices do nothing: what the
driver and CuPy's launch take comes on top, some 5 us for each launch.
"""

import time
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import cupy

import siglib
from siglib._call import libraries
from siglib._call.backend import backend_of
from siglib._gpu import constants, window_plan
from siglib.kernels.operations import SIG_KERNEL_GRAM

_HOST = np.zeros(1 << 26, np.uint8)
_MEMORY = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(_HOST.ctypes.data, _HOST.nbytes, _HOST, device_id=0), 0)
_launched: list[str] = []


class _Array(cupy.ndarray):
    """What is copied on the GPU is not copied here."""

    def __setitem__(self, index: Any, value: Any) -> None:
        pass

    def fill(self, value: Any) -> None:
        pass

    def astype(self, dtype: Any, copy: bool = True) -> "_Array":
        return self if not copy and self.dtype == dtype else _Array(self.shape, dtype, _MEMORY)


class _Module:
    def __init__(self, **_: Any) -> None:
        pass

    def get_function(self, name: str) -> Any:
        def kernel(*_: Any, **__: Any) -> None:
            _launched.append(name)

        kernel.shared_size_bytes, kernel.kernel = 400, kernel  # type: ignore[attr-defined]
        return kernel


class _Device:
    """That of an H200."""

    attributes = types.MappingProxyType({"MultiProcessorCount": 132, "MaxSharedMemoryPerBlockOptin": 232448})

    mem_info = 140 << 30, 140 << 30

    def __init__(self, number: int) -> None:
        self.id = number

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass


class _Stream:
    @staticmethod
    def from_external(stream: Any) -> "_Stream":
        return _Stream()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass

    def is_capturing(self) -> bool:
        return False


def stub_cupy() -> None:
    cupy.ndarray, cupy.RawModule, cupy.zeros, cupy.zeros_like = _Array, _Module, cupy.empty, cupy.empty_like
    cuda = cupy.cuda
    cuda.Device, cuda.Stream, cuda.get_current_stream = _Device, _Stream, _Stream
    cuda.runtime.getDevice, cuda.runtime.setDevice = (lambda: 0), (lambda number: None)
    constants.uploaded = lambda *tables: tuple(_Array(table.shape, table.dtype, _MEMORY) for table in tables)
    window_plan.uploaded = constants.uploaded


def stub_torch(torch: Any) -> None:
    """Tensors in main memory are taken for tensors on a GPU."""
    made: dict[Any, Any] = {}
    new, stream = torch.empty, types.SimpleNamespace(cuda_stream=1)

    def empty(shape: Any, dtype: Any, device: Any) -> Any:
        found = made.get((shape, dtype))
        return made.setdefault((shape, dtype), new(shape, dtype=dtype)) if found is None else found

    torch.empty, torch.equal = empty, lambda first, second: False
    torch.cuda.current_stream = lambda device=None: stream
    libraries.is_cuda = lambda tensor: True


def calls(new: Callable[[tuple[int, ...]], Any]) -> dict[str, Callable[[], Any]]:
    path, short, x = map(new, ((4, 1000, 8), (4, 100, 2), (32, 200, 5)))
    y = new((33, 200, 5))[1:]  # in another place, so that nobody takes it for x
    sig, short_sig = new((4, siglib.sig_length(8, 3))), new((4, siglib.sig_length(2, 3)))
    logs, seeds = new((4, siglib.log_sig_length(8, 3))), new((32, 32))
    step = new((4, 8))
    solver = {"dyadic_order": 0}
    starts = np.arange(0, 900, 10)
    words = [tuple(int(letter) for letter in f"{k:03o}") for k in range(64)]
    coefs = new((4, siglib.sig_coef(np.zeros((2, 8)), words, prefixes=True).shape[-1]))
    windows = new((4, 951, siglib.sig_length(8, 3)))
    prefixes = new((4, 1000, siglib.sig_length(8, 3)))
    return {
        "sig, 100 points (2, 3)": lambda: siglib.sig(short, 3),
        "sig, 1000 points (8, 3)": lambda: siglib.sig(path, 3),
        "sig_combine (8, 3)": lambda: siglib.sig_combine(sig, sig, 8, 3),
        "log_sig, 1000 points (8, 3)": lambda: siglib.log_sig(path, 3),
        "sig_backprop, 100 points (2, 3)": lambda: siglib.sig_backprop(short, short_sig, short_sig, 3),
        "sig_backprop, 1000 points (8, 3)": lambda: siglib.sig_backprop(path, sig, sig, 3),
        "log_sig_backprop, 1000 points (8, 3)": lambda: siglib.log_sig_backprop(path, logs, 3),
        "sig_coef, 64 words of 3 letters": lambda: siglib.sig_coef(path, words),
        "sig_coef_backprop": lambda: siglib.sig_coef_backprop(path, words, coefs, coefs),
        "sig_windows, 50 points (8, 3)": lambda: siglib.sig_windows(path, 3, 50),
        "sig_windows_backprop": lambda: siglib.sig_windows_backprop(path, windows, 3, 50),
        "sig_prefixes (8, 3)": lambda: siglib.sig_prefixes(path, 3),
        "sig_prefixes_backprop": lambda: siglib.sig_prefixes_backprop(path, prefixes, 3),
        "sig_kernel, 32 pairs": lambda: siglib.sig_kernel(x, y, **solver),
        "sig_kernel_backprop": lambda: siglib.sig_kernel_backprop(seeds[0], x, y, right_deriv=True, **solver),
        "sig_kernel_gram, 32 x 32": lambda: siglib.sig_kernel_gram(x, y, **solver),
        "sig_kernel_gram_backprop, 32 x 32": lambda: siglib.sig_kernel_gram_backprop(
            seeds, x, y, right_deriv=True, **solver
        ),
        "sig_kernel, 32 pairs, normalized": lambda: siglib.sig_kernel(x, y, normalize=True, **solver),
        "sig_kernel_gram, 32 x 32, normalized": lambda: siglib.sig_kernel_gram(x, y, normalize=True, **solver),
        "its gradient, by autograd": gradient_of_gram(seeds, x, y),
        "sig_kernel_gram, 32 x 32, of one sample, normalized": lambda: siglib.sig_kernel_gram(
            x, x, normalize=True, **solver
        ),
        "its gradient, by autograd (one sample)": gradient_of_gram(seeds, x, x),
        "sig_kernel_gram, 32 x 32, logarithms": lambda: siglib.sig_kernel_gram(x, y, log=True, **solver),
        "branched_sig_kernel_gram, 32 x 32": lambda: siglib.branched_sig_kernel_gram(x, y, 3, **solver),
        "log_sig_combine (8, 3)": lambda: siglib.log_sig_combine(logs, logs, 8, 3),
        "log_sig_combine_backprop": lambda: siglib.log_sig_combine_backprop(logs, logs, logs, 8, 3),
        "log_sig_join (8, 3)": lambda: siglib.log_sig_join(logs, step, 8, 3),
        "log_sig_join_backprop": lambda: siglib.log_sig_join_backprop(logs, logs, step, 8, 3),
        "logsig_to_sig (8, 3)": lambda: siglib.logsig_to_sig(logs, 8, 3),
        "logsig_to_sig_backprop": lambda: siglib.logsig_to_sig_backprop(logs, sig, 8, 3),
        "sig_join (8, 3)": lambda: siglib.sig_join(sig, step, 8, 3),
        "sig_join_backprop": lambda: siglib.sig_join_backprop(sig, sig, step, 8, 3),
        "linear_log_sig (8, 3)": lambda: siglib.linear_log_sig(step, 8, 3),
        "sig_windows, starts": lambda: siglib.sig_windows(path, 3, starts=starts, ends=starts + 50),
    }


def gradient_of_gram(seeds: Any, x: Any, y: Any) -> Callable[[], Any]:
    """What autograd calls for the gradient of a normalised Gram matrix; `seeds` are taken for the matrix, too."""
    flags = dict.fromkeys(("time_aug", "lead_lag", "return_grid", "log", "padded"), False)
    numbers = {"static_kernel": siglib.LinearKernel._code, "order1": 0, "order2": 0, "order": 0, "max_batch": -1}
    same = {"same": x is y, "equal": x is y}
    o = SIG_KERNEL_GRAM.clean(
        {**flags, **numbers, **same, "normalize": True, "total": True, "end_time": 1.0, "n_jobs": 1, "given": None}
    )
    sizes, needs = SIG_KERNEL_GRAM.sizes(o, x.shape, y.shape), (True, True, False)

    def call() -> Any:
        on, (derivs, out, *paths) = backend_of(("derivs", "out", "path1", "path2"), (seeds, seeds, x, y))
        return SIG_KERNEL_GRAM.pulled(on, needs, derivs, out, o, sizes, [*paths, (0.0, 0.0, 0.0)])

    return call


def microseconds(call: Callable[[], Any]) -> tuple[float, int]:
    """Of the fastest ten calls in half a second; and the launches of one."""
    call()
    _launched.clear()
    call()
    n_launches, best, end = len(_launched), float("inf"), time.perf_counter() + 0.5
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(10):
            call()
        best = min(best, time.perf_counter() - start)
        _launched.clear()
    return 1e5 * best, n_launches


def main() -> None:
    stub_cupy()
    columns = {"CuPy": calls(lambda shape: _Array(shape, np.float32, _MEMORY))}
    rows: dict[str, list[str]] = {}
    with cupy.cuda.using_allocator(lambda size: _MEMORY):
        for name, call in columns["CuPy"].items():
            best, n_launches = microseconds(call)
            rows[name] = [f"{best:.0f}", str(n_launches)]
    try:
        import torch
    except ImportError:
        torch = None
    if torch is not None:
        given = calls(lambda shape: torch.zeros(shape, dtype=torch.float32))
        stub_torch(torch)
        for name, call in given.items():
            rows[name].insert(1, f"{microseconds(call)[0]:.0f}")
    print("| call | CuPy | PyTorch | launches |" if torch else "| call | CuPy | launches |")
    print("|---|" + "---:|" * (3 if torch else 2))
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
