"""siglib beside pysiglib on a GPU, in one process, on the same tensors; and siglib beside what the GPU can do at most.

    pip install ".[torch,cuda12]" "pysiglib[cuda]==4.0.0" && python benchmarks/compare_gpu.py

(or cuda13, to match the driver) prints a table for every operation: pysiglib's time divided by siglib's, and the share
of the bound that siglib reaches. The bound is the larger of two times: that of the multiply-adds of the algorithm at
the device's peak, and that of reading the input and writing the result at its memory bandwidth. `--bounds` prints the
bounds alone, and needs no GPU.

Both libraries take turns, round by round, and each is judged by its fastest round. Times are those of the device,
between two events on the stream; the first calls, which compile, are not counted.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cases import KernelShape, Shape, brownian, two_batches, two_batches_and_derivs

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


SHAPES = [
    Shape(256, length, d, degree)
    for d, degree in ((2, 2), (2, 3), (4, 3), (8, 3), (16, 3), (3, 5), (5, 5), (10, 4))
    for length in (1000, 10000)
]
GRAM_SHAPES = [
    KernelShape(batch, length, d)
    for batch, length, d in ((32, 200, 5), (32, 1000, 8), (64, 500, 5), (256, 200, 3), (256, 500, 5))
]


class Operation(NamedTuple):
    """`call(lib, shape, *tensors)`; work of the algorithm in multiples of the forward pass's multiply-adds."""

    tensors: Callable[..., tuple[Any, ...]]
    call: Callable[..., Any]
    shapes: list[Any]
    work: float


def on_gpu(torch: Any, *arrays: Any) -> tuple[Any, ...]:
    return tuple(torch.tensor(array, device="cuda") for array in arrays)


def one_batch(torch: Any, shape: Shape, dtype: str) -> tuple[Any, ...]:
    return on_gpu(torch, brownian(shape, dtype))


def with_signature(torch: Any, shape: Shape, dtype: str) -> tuple[Any, ...]:
    (path,) = one_batch(torch, shape, dtype)
    sig = siglib.sig(path, shape.degree)
    return path, sig, torch.ones_like(sig)


def gram(torch: Any, shape: KernelShape, dtype: str) -> tuple[Any, ...]:
    return on_gpu(torch, *two_batches(shape, dtype))


def gram_and_derivs(torch: Any, shape: KernelShape, dtype: str) -> tuple[Any, ...]:
    return on_gpu(torch, *two_batches_and_derivs(shape, dtype))


SOLVER = {"method": "finite_difference", "dyadic_order": 0}
OPERATIONS = {
    "sig": Operation(one_batch, lambda lib, s, x: lib.sig(x, s.degree), SHAPES, 1.0),
    "sig_backprop": Operation(
        with_signature, lambda lib, s, x, sig, derivs: lib.sig_backprop(x, sig, derivs, s.degree), SHAPES, 4.0
    ),
    "log_sig": Operation(one_batch, lambda lib, s, x: lib.log_sig(x, s.degree, method=1), SHAPES, 1.0),
    "sig_kernel_gram": Operation(gram, lambda lib, s, x, y: lib.sig_kernel_gram(x, y, **SOLVER), GRAM_SHAPES, 1.0),
    "sig_kernel_gram, RBF": Operation(
        gram,
        lambda lib, s, x, y: lib.sig_kernel_gram(x, y, static_kernel=lib.RBFKernel(1.0), **SOLVER),
        GRAM_SHAPES,
        1.0,
    ),
    "sig_kernel_gram_backprop": Operation(
        gram_and_derivs,
        lambda lib, s, derivs, x, y: lib.sig_kernel_gram_backprop(derivs, x, y, right_deriv=True, **SOLVER),
        GRAM_SHAPES,
        5.4,
    ),
}


def bound(device: Device, operation: Operation, shape: Any, dtype: str) -> float:
    """Seconds below which no implementation of these algorithms can be."""
    arithmetic = operation.work * multiply_adds(shape) / device.multiply_adds[dtype]
    return max(arithmetic, numbers(shape) * BYTES[dtype] / device.bandwidth)


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


def measure(torch: Any, libraries: tuple[Any, ...], operation: Operation, shape: Any, dtype: str) -> list[float]:
    """The fastest round of each library, in seconds a call; NaN for one that cannot do it."""
    tensors = operation.tensors(torch, shape, dtype)
    best = []
    for library in libraries:
        try:
            operation.call(library, shape, *tensors)
            best.append(seconds(torch, lambda library=library: operation.call(library, shape, *tensors), 1))
        except (RuntimeError, ValueError, MemoryError) as error:
            print(f"{library.__name__} {shape} {dtype}: {error}", file=sys.stderr)
            best.append(float("nan"))
    for _ in range(7):
        for i, library in enumerate(libraries):
            if best[i] == best[i]:
                calls = max(1, min(50, int(5e-3 / best[i])))
                round_ = seconds(torch, lambda library=library: operation.call(library, shape, *tensors), calls)
                best[i] = min(best[i], round_)
    return best


def table(name: str, rows: list[tuple[Any, list[str]]], columns: list[str]) -> Iterator[str]:
    yield f"\n### `{name}`\n"
    yield f"| ({', '.join(rows[0][0]._fields)}) | {' | '.join(columns)} |"
    yield "|---|" + "---:|" * len(columns)
    for shape, cells in rows:
        yield f"| {tuple(shape)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="only operations whose name contains TEXT")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"], choices=["float64", "float32"])
    parser.add_argument("--bounds", action="store_true", help="print the bounds for an H200; needs no GPU")
    arguments = parser.parse_args()
    chosen = {name: operation for name, operation in OPERATIONS.items() if arguments.only in name}
    if arguments.bounds:
        print(f"Least microseconds on an {H200.name}")
        for name, operation in chosen.items():
            rows = [
                (shape, [f"{1e6 * bound(H200, operation, shape, dtype):.1f}" for dtype in arguments.dtypes])
                for shape in operation.shapes
            ]
            print("\n".join(table(name, rows, arguments.dtypes)))
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
    print("pysiglib's time / siglib's, and siglib's share of the bound")
    for name, operation in chosen.items():
        rows = []
        for shape in operation.shapes:
            cells = []
            for dtype in arguments.dtypes:
                best = measure(torch, libraries, operation, shape, dtype)
                ratio = f"{best[1] / best[0]:.1f}x" if len(best) > 1 else "-"
                cells.append(f"{ratio}, {100 * bound(device, operation, shape, dtype) / best[0]:.0f} %")
            rows.append((shape, cells))
        print("\n".join(table(name, rows, arguments.dtypes)), flush=True)


if __name__ == "__main__":
    main()
