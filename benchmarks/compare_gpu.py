"""siglib beside pysiglib on a GPU, in one process, on the same tensors; and siglib beside what the GPU can do at most.

    pip install ".[torch,cuda12]" "pysiglib[cuda]==4.0.0" && python benchmarks/compare_gpu.py

(or cuda13, to match the driver) prints a table for every operation, row by row as it measures: pysiglib's time divided
by siglib's, siglib's time, and the share of the bound that siglib reaches. The bound is the larger of two times: that
of the multiply-adds of the algorithm at the device's peak, and that of reading the input and writing the result at its
memory bandwidth. `--bounds` prints the bounds alone, and what siglib should take by the counts of `gpu_forecast.py`; it
needs no GPU. `--day` has fewer shapes and rounds, and tiny calls, for `gpu_day.py`.

Both libraries take turns, round by round, and each is judged by its fastest round. Times are those of the device,
between two events on the stream; the first calls, which compile, are not counted.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import gpu_forecast
import numpy as np
from calls import KernelShape, Operation, Shape, measured

import siglib

BYTES = {"float64": 8, "float32": 4}


class Device(NamedTuple):
    """Peaks of a GPU: multiply-adds a second by precision, and bytes a second."""

    name: str
    multiply_adds: dict[str, float]
    bandwidth: float


H200 = Device("H200 (data sheet)", {"float32": 33.4e12, "float64": 16.7e12}, 4.3e12)
# Multiply-adds a clock cycle of one multiprocessor, by compute capability.
PER_CYCLE = {
    (7, 5): {"float32": 64, "float64": 2},
    (8, 0): {"float32": 64, "float64": 32},
    (8, 6): {"float32": 128, "float64": 2},
    (8, 9): {"float32": 128, "float64": 2},
    (9, 0): {"float32": 128, "float64": 64},
    (10, 0): {"float32": 128, "float64": 64},
    (12, 0): {"float32": 128, "float64": 2},
}


def multiply_adds(shape: Shape | KernelShape) -> float:
    """Forward: of Horner's scheme; or seven operations a cell and an inner product."""
    if isinstance(shape, KernelShape):
        return float(shape.batch**2 * (shape.length - 1) ** 2 * (shape.dimension + 7))
    levels = range(1, shape.degree + 1)
    per_increment = sum((shape.degree - k + 1) * shape.dimension**k for k in levels)
    return float(shape.batch * (shape.length - 1) * per_increment)


def numbers(shape: Shape | KernelShape) -> float:
    """Of arguments and result."""
    if isinstance(shape, KernelShape):
        return float(2 * shape.batch * shape.length * shape.dimension + shape.batch**2)
    words = sum(shape.dimension**k for k in range(1, shape.degree + 1))
    return float(shape.batch * (shape.length * shape.dimension + words))


SHAPES = tuple(
    Shape(256, length, d, degree)
    for d, degree in ((2, 2), (2, 3), (4, 3), (8, 3), (16, 3), (3, 5), (5, 5), (10, 4))
    for length in (1000, 10000)
)
GRAM_SHAPES = tuple(
    KernelShape(batch, length, d)
    for batch, length, d in ((32, 200, 5), (32, 1000, 8), (64, 500, 5), (256, 200, 3), (256, 500, 5))
)


TINY = Shape(1, 4, 2, 2)
DAY_SHAPES = (
    TINY,
    *(Shape(256, length, d, degree) for length in (1000, 10000) for d, degree in ((2, 3), (8, 3), (16, 3), (5, 5))),
)
DAY_GRAMS = (KernelShape(1, 4, 2), KernelShape(32, 200, 5), KernelShape(32, 1000, 8), KernelShape(256, 500, 5))
# So many paths are made, and repeated on the GPU: that takes less time.
_MADE = 8


class Case(NamedTuple):
    """An operation, and its work in multiples of the forward pass's multiply-adds."""

    operation: Operation
    work: float


def case(name: str, work: float, shapes: tuple[Any, ...] = SHAPES, **options: Any) -> Case:
    return Case(measured(name, shapes, **options), work)


SOLVER = {"method": "finite_difference", "dyadic_order": 0}
CASES = {
    "sig": case("sig", 1.0),
    "sig_backprop": case("sig_backprop", 4.0),
    "log_sig": case("log_sig", 1.0, method=1),
    "sig_kernel_gram": case("sig_kernel_gram", 1.0, GRAM_SHAPES, **SOLVER),
    "sig_kernel_gram, RBF": case(
        "sig_kernel_gram", 1.0, GRAM_SHAPES, static_kernel=lambda lib, s, dtype: lib.RBFKernel(1.0), **SOLVER
    ),
    "sig_kernel_gram_backprop": case("sig_kernel_gram_backprop", 5.4, GRAM_SHAPES, right_deriv=True, **SOLVER),
}


FORECASTS: dict[str, Callable[..., Any]] = {
    "sig": gpu_forecast.signatures,
    "sig_backprop": gpu_forecast.gradients,
    "sig_kernel_gram": gpu_forecast.grams,
    "sig_kernel_gram_backprop": partial(gpu_forecast.grams, backward=True),
}


def bound(device: Device, case: Case, shape: Any, dtype: str) -> float:
    """Seconds below which no implementation of these algorithms can be."""
    arithmetic = case.work * multiply_adds(shape) / device.multiply_adds[dtype]
    return max(arithmetic, numbers(shape) * BYTES[dtype] / device.bandwidth)


def bound_and_forecast(name: str, case: Case, shape: Any, dtype: str) -> str:
    least = bound(H200, case, shape, dtype)
    if name not in FORECASTS:
        return f"{1e6 * least:.1f}"
    time = FORECASTS[name](H200, shape, dtype)
    return f"{1e6 * least:.1f}: {1e6 * time.total:.0f}, {1e6 * time.joining:.0f}, {100 * least / time.total:.0f} %"


def this_device(torch: Any) -> Device:
    properties = torch.cuda.get_device_properties(0)
    clock = getattr(properties, "clock_rate", None) or 1.5e6  # kHz
    per_cycle = PER_CYCLE.get((properties.major, properties.minor), PER_CYCLE[(9, 0)])
    processors = properties.multi_processor_count
    bus, memory_clock = getattr(properties, "memory_bus_width", 0), getattr(properties, "memory_clock_rate", 0)
    bandwidth = 2 * 1e3 * memory_clock * bus / 8 or H200.bandwidth
    return Device(
        properties.name, {name: 1e3 * clock * processors * n for name, n in per_cycle.items()}, float(bandwidth)
    )


def seconds(torch: Any, function: Callable[[], Any], calls: int) -> float:
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        function()
    stop.record()
    stop.synchronize()
    return 1e-3 * start.elapsed_time(stop) / calls


def arrays_on_gpu(torch: Any, operation: Operation, shape: Any, dtype: str) -> list[Any]:
    repeated = isinstance(shape, Shape) and shape.batch % _MADE == 0
    made = shape._replace(batch=_MADE) if repeated else shape
    tensors = operation.arrays(made, np.dtype(dtype), lambda array: torch.tensor(array, device="cuda"))
    if not repeated:
        return list(tensors)
    return [tensor.repeat(shape.batch // _MADE, *[1] * (tensor.ndim - 1)) for tensor in tensors]


def measure(
    torch: Any, libraries: tuple[Any, ...], operation: Operation, shape: Any, dtype: str, rounds: int = 7
) -> list[float]:
    """The fastest round of each library, in seconds a call; NaN for one that cannot do it."""
    tensors = arrays_on_gpu(torch, operation, shape, dtype)
    calls = [operation.ready(library, shape, 1, *tensors) for library in libraries]
    best = []
    for library, call in zip(libraries, calls, strict=True):
        try:
            call()
            best.append(seconds(torch, call, 1))
        except Exception as error:  # CuPy has its own
            print(f"{library.__name__} {shape} {dtype}: {error}", file=sys.stderr)
            best.append(float("nan"))
    for _ in range(rounds):
        for i, call in enumerate(calls):
            if best[i] < 0.5:  # what takes longer was measured once, and what failed not at all
                best[i] = min(best[i], seconds(torch, call, max(1, min(50, int(5e-3 / best[i])))))
    return best


def table(name: str, rows: Iterator[tuple[Any, list[str]]], columns: list[str]) -> None:
    """Printed row by row, as they come."""
    for i, (shape, cells) in enumerate(rows):
        if i == 0:
            print(f"\n### `{name}`\n\n| ({', '.join(shape._fields)}) | {' | '.join(columns)} |")
            print("|---|" + "---:|" * len(columns))
        print(f"| {tuple(shape)} | {' | '.join(cells)} |", flush=True)


def shapes_of(case: Case, day: bool) -> tuple[Any, ...]:
    if not day:
        return case.operation.shapes
    return DAY_GRAMS if isinstance(case.operation.shapes[0], KernelShape) else DAY_SHAPES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="only operations whose name contains TEXT")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"], choices=["float64", "float32"])
    parser.add_argument("--bounds", action="store_true", help="print the bounds for an H200; needs no GPU")
    parser.add_argument("--day", action="store_true", help="few shapes, fewer rounds")
    arguments = parser.parse_args()
    chosen = {name: case for name, case in CASES.items() if arguments.only in name}
    if arguments.bounds:
        print(f"Least microseconds on an {H200.name}: forecast ones, of them for joining chunks, the bound's share")
        for name, case in chosen.items():
            rows = (
                (shape, [bound_and_forecast(name, case, shape, dtype) for dtype in arguments.dtypes])
                for shape in shapes_of(case, arguments.day)
            )
            table(name, rows, arguments.dtypes)
        return
    import torch

    libraries: tuple[Any, ...] = (siglib,)
    try:
        import pysiglib

        libraries = (siglib, pysiglib)
    except ImportError:
        print("pysiglib is missing: siglib alone", file=sys.stderr)
    device = this_device(torch)
    print(f"siglib {siglib.__version__} and pysiglib 4.0.0 on {device.name}")
    print("pysiglib's time / siglib's, siglib's time, and its share of the bound")

    def cell(case: Case, shape: Any, dtype: str) -> str:
        best = measure(torch, libraries, case.operation, shape, dtype, 3 if arguments.day else 7)
        ratio = f"{best[1] / best[0]:.1f}x" if len(best) > 1 else "-"
        return f"{ratio}, {1e6 * best[0]:.1f} us, {100 * bound(device, case, shape, dtype) / best[0]:.0f} %"

    for name, case in chosen.items():
        shapes = shapes_of(case, arguments.day)
        rows = ((shape, [cell(case, shape, dtype) for dtype in arguments.dtypes]) for shape in shapes)
        table(name, rows, arguments.dtypes)


if __name__ == "__main__":
    main()
