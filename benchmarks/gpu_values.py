"""One group of calls on a GPU, compared with main memory: the processes that `gpu_day.py` starts.

    python benchmarks/gpu_values.py GROUP [--tiny] [--dry-run]

prints a line for every call, library and dtype: the error beside float64 in main memory, and the time of the first call
and of the third, the first that finds a plan of what it launches. What is wrong comes as FAILED; a CUDA error ends the
group. `--tiny`: little work, CuPy alone and memory that no pool hands out, for compute-sanitizer. `--dry-run`: on a
stand-in for CuPy, whose results are garbage.
"""

import argparse
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from compare_gpu import DAY_SHAPES
from gpu_cases import GROUPS, PROFILED, Case

import siglib

LIMITS = {"float64": 1e-9, "float32": 1e-3}


class Library:
    """CuPy, or PyTorch on the GPU."""

    def __init__(self, name: str, module: Any, dry: bool) -> None:
        self.name, self.module = name, module
        self._device = "cpu" if dry else "cuda"
        self._dry = dry

    def array(self, numbers: np.ndarray) -> Any:
        return self.module.asarray(numbers) if self.name == "cupy" else self.module.tensor(numbers, device=self._device)

    def numbers(self, array: Any) -> np.ndarray:
        if self._dry and self.name == "cupy":
            return array._array
        return array.get() if self.name == "cupy" else array.cpu().numpy()

    def wait(self) -> None:
        if self.name == "cupy":
            self.module.cuda.Device().synchronize()
        elif not self._dry:
            self.module.cuda.synchronize()


def libraries(dry: bool, tiny: bool) -> list[Library]:
    torch = None
    if not tiny:
        try:
            import torch
        except ImportError:
            print("PyTorch is not there")
    if dry:
        import gpu_stub

        cupy = gpu_stub.install(torch)
    else:
        import cupy

        if tiny:
            cupy.cuda.set_allocator(None)
    found = [Library("cupy", cupy, dry)]
    if torch is not None and (dry or torch.cuda.is_available()):
        found.append(Library("torch", torch, dry))
    return found


def as_list(result: Any) -> list[Any]:
    """All arrays of a result."""
    return [part for part in (result if isinstance(result, (tuple, list)) else [result]) if part is not None]


def error_of(actual: np.ndarray, expected: np.ndarray) -> float:
    """Beside the largest number; both may be NaN or infinite at the same places."""
    with np.errstate(invalid="ignore"):
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        difference = np.where(same, 0.0, np.abs(actual - expected))
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1e-300)
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0) / scale)


def is_sticky(error: BaseException) -> bool:
    """Whether the process is of no use any more."""
    return "CUDA" in type(error).__name__ or "CUDA error" in str(error)


def check(name: str, call: Callable[..., Any], arrays: list[np.ndarray], given: list[Library], dry: bool) -> int:
    """All libraries and dtypes; how many are wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = [np.asarray(part) for part in as_list(call(*arrays))]
    n_wrong = 0
    for library in given:
        for dtype, limit in LIMITS.items():
            title = f"{name} {library.name} {dtype}"
            try:
                there = [library.array(array.astype(dtype)) for array in arrays]
                times, errors = [], []
                for _ in range(3):
                    start = time.perf_counter()
                    results = as_list(call(*there))
                    library.wait()
                    times.append(1e3 * (time.perf_counter() - start))
                    found = [library.numbers(result) for result in results]
                    assert [part.shape for part in found] == [part.shape for part in expected]
                    errors += [0.0 if dry else error_of(*pair) for pair in zip(found, expected, strict=True)]
            except Exception as error:  # whatever it is, the other calls are wanted
                n_wrong += 1
                print(f"FAILED {title}: {type(error).__name__}: {str(error)[:300]}", flush=True)
                traceback.print_exc(limit=-4, file=sys.stdout)
                if is_sticky(error):
                    raise SystemExit("ERROR the group ends here: CUDA cannot be used any more") from None
                continue
            wrong = max(errors) > limit
            n_wrong += wrong
            words = f"error {max(errors):8.1e}  {times[0]:8.1f} ms, then {times[-1]:8.3f} ms"
            print(f"{'FAILED' if wrong else 'ok    '} {title:60} {words}", flush=True)
    return n_wrong


def hard(given: list[Library], dry: bool) -> Iterator[tuple[str, int]]:
    """What only a device tells: shared memory of 48 KiB, two streams, autograd's thread, graphs."""
    one_pair: list[np.ndarray] = [np.linspace(0, 1, n * 8).reshape(1, n, 8) ** 2 for n in (201, 9)]
    gradient = Case("", lambda x, y: siglib.sig_kernel_backprop(np_ones(x), x, y, dyadic_order=0), (), ()).call
    yield "48 KiB", check("gradient with 48 KiB of shared memory", gradient, one_pair, given, dry)
    paths = [np.random.default_rng(1).standard_normal((64, 500, 3)).cumsum(1) / 20]
    yield "log_sig", check("log_sig 4 on two streams", lambda x: on_two_streams(given, x), paths, given, dry)
    torch = next((library.module for library in given if library.name == "torch"), None)
    if torch is not None:
        yield "autograd", check("autograd of log_sig 4", lambda x: by_autograd(torch, x), paths, given[1:], dry)
        if not dry:
            yield (
                "graph",
                check("graph of sig 4 and its gradient", lambda x: in_a_graph(torch, x), paths, given[1:], dry),
            )


def np_ones(like: Any) -> Any:
    """1 for each path, of its library."""
    return like[:, 0, 0] * 0 + 1


def on_two_streams(given: list[Library], path: Any) -> Any:
    """The second one takes tables that the first one copied, without waiting for it."""
    if type(path).__module__.startswith(("cupy", "emu")):
        streams = [given[0].module.cuda.Stream(non_blocking=True) for _ in range(2)]
        given[0].module.cuda.Device().synchronize()
        results = []
        for stream in streams:
            with stream:
                results.append(siglib.log_sig(path, 4, method=2))
        for stream in streams:
            stream.synchronize()
        return results
    return [siglib.log_sig(path, 4, method=2)] * 2


def by_autograd(torch: Any, path: Any) -> Any:
    if isinstance(path, np.ndarray):
        return siglib.log_sig_backprop(path, 2 * siglib.log_sig(path, 4), 4)
    path = path.detach().requires_grad_()
    return torch.autograd.grad(siglib.log_sig(path, 4).square().sum(), path)


def in_a_graph(torch: Any, path: Any) -> Any:
    """Captured with zeros, launched with the path."""
    if isinstance(path, np.ndarray):
        sig = siglib.sig(path, 4)
        return sig, siglib.sig_backprop(path, sig, 2 * sig, 4)
    given = torch.zeros_like(path)

    def step() -> Any:
        there = given.detach().requires_grad_()
        sig = siglib.sig(there, 4)
        return sig, torch.autograd.grad(sig.square().sum(), there)[0]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step()
    given.copy_(path)
    graph.replay()
    return [result.detach().clone() for result in results]


def run_group(name: str, dry: bool, tiny: bool) -> int:
    given = libraries(dry, tiny)
    n_wrong = n = 0
    if name == "hard":
        for _, wrong in hard(given, dry):
            n, n_wrong = n + 1, n_wrong + wrong
    else:
        for case in GROUPS[name]():
            n, n_wrong = n + 1, n_wrong + check(case.name, case.call, case.arrays(tiny or dry), given, dry)
    print(f"TOTAL {n} calls\nTOTAL {n_wrong} of them wrong")
    return int(n_wrong > 0)


def note_kernels(name: str) -> None:
    """Make the calls of a group on the stand-in, at full size; `SIGLIB_CUDA_KERNELS` says where kernels are noted."""
    import gpu_stub

    cupy = gpu_stub.install()
    if name == "speed":
        shapes = {(shape.dimension, shape.degree) for shape in DAY_SHAPES}
        cases = [PROFILED[call](*shape) for call in ("sig", "sig_backprop") for shape in sorted(shapes)]
    else:
        cases = GROUPS[name]() if name in GROUPS else [PROFILED["gram"](), PROFILED["gram_backprop"]()]
    for case in cases:
        for dtype in LIMITS:
            case.call(*(cupy.empty(shape, dtype) for shape in case.shapes))


def compile_some(kernels: Path) -> int:
    """One kernel of each file, by the compiler alone, if it is installed."""
    from emu import nvrtc

    from siglib._gpu import _source
    from siglib._gpu.compile import read_list

    if not nvrtc.available():
        print("NVIDIA's compiler is not installed")
        return 0
    found = read_list(kernels.read_text())
    first = dict(reversed(found))
    for file, kernel in list(first.items())[:6]:
        print(file, kernel, nvrtc.compile_for(_source.read(file), [kernel], 90)[kernel], flush=True)
    print(f"TOTAL {len(found)} kernels listed")
    return 0


def profile(kernel: str, call: str, *numbers: str, dry: bool) -> int:
    """The call twice: the first one compiles. On the stand-in: whether it launches that kernel, for few paths."""
    (library, *_) = libraries(dry, tiny=False)
    case = PROFILED[call](*map(int, numbers))
    if dry:
        # So many that the chunks of paths are joined by the kernel for many.
        n = 64
        arrays = [library.module.zeros((n, *shape[1:]), np.float32) for shape in case.shapes]
        arrays[2:] = [array[:, :n] if "gram" in call else array for array in arrays[2:]]
    else:
        arrays = [library.array(array.astype(np.float32)) for array in case.arrays(tiny=False)]
    for _ in range(2):
        case.call(*arrays)
        library.wait()
    if dry:
        import gpu_stub

        print("launched:", *dict.fromkeys(gpu_stub.launched))
        if kernel not in gpu_stub.launched:
            print(f"FAILED {call} {' '.join(numbers)} launches no {kernel}")
            return 1
    return 0


def versions(dry: bool) -> int:
    print(f"> Python {sys.version.split()[0]}, siglib {siglib.__version__} from {Path(siglib.__file__).parent}")
    siglib.show_config()
    if dry:
        return 0
    import cupy

    cupy.show_config()
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"> CuPy {cupy.__version__}, {name}, driver for CUDA {cupy.cuda.runtime.driverGetVersion()}")
    return 0


def run_tests(argv: list[str]) -> int:
    """pytest's output, and its last line as numbers that can be added up."""
    last = ""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    for part in last.strip("= ").partition(" in ")[0].split(","):
        number, _, what = part.strip().partition(" ")
        if number.isdigit():
            print(f"TOTAL {number} {what}")
        elif "/" in number:  # 12/34 tests collected (22 deselected)
            print(f"TOTAL {number.partition('/')[0]} tests collected")
    return 0 if process.returncode == 5 else process.returncode  # 5: there are none for a GPU


def main() -> int:
    if sys.argv[1:2] == ["--pytest"]:
        return run_tests(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group", nargs="?", choices=[*GROUPS, "hard", "speed"])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--versions", action="store_true")
    parser.add_argument("--kernels", action="store_true", help="only note which kernels the group needs")
    parser.add_argument("--compile-some", type=Path, metavar="LIST")
    parser.add_argument("--profile", nargs="+", metavar="WORD", help="a kernel, a call that launches it")
    given = parser.parse_args()
    if given.versions:
        return versions(given.dry_run)
    if given.compile_some:
        return compile_some(given.compile_some)
    if given.profile:
        return profile(*given.profile, dry=given.dry_run)
    if given.kernels:
        note_kernels(given.group)
        return 0
    return run_group(given.group, given.dry_run, given.tiny)


if __name__ == "__main__":
    raise SystemExit(main())
