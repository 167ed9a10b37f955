"""How much memory signature kernels take beyond their arguments: the growth of the peak, each call in a fresh process.

    python benchmarks/memory.py                        # siglib
    python benchmarks/memory.py --library pysiglib     # the same for pysiglib

For Linux, where a process can forget its peak before the call that is measured.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from calls import KernelShape
from cases import OPERATIONS

NAMES = [
    "sig_kernel_gram, linear",
    "sig_kernel_gram_backprop, linear",
    "sig_kernel_gram, RBF",
    "sig_kernel_gram_backprop, RBF",
    "sig_kernel_gram, linear, polynomial method",
    "sig_kernel_gram_backprop, linear, polynomial method",
]


def kilobytes(field: str) -> int:
    """A field of the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure(library_name: str, name: str, shape: KernelShape, dtype: str, n_jobs: int) -> None:
    """Prints megabytes and seconds of one call in this process."""
    library = __import__(library_name)
    operation = OPERATIONS[name]
    arrays = operation.arrays(shape, np.dtype(dtype))
    small = KernelShape(2, 8, shape.dimension)
    operation.ready(library, small, n_jobs, *operation.arrays(small, np.dtype(dtype)))()  # whatever is made only once
    before = kilobytes("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    result = operation.ready(library, shape, n_jobs, *arrays)()
    seconds = time.perf_counter() - start
    growth = (kilobytes("VmHWM:") - before) / 1024
    results = result if isinstance(result, tuple) else (result,)
    print(f"{growth:.1f} {sum(array.nbytes for array in results) / 2**20:.1f} {seconds:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--library", choices=["siglib", "pysiglib"], default="siglib")
    parser.add_argument("--batch", type=int, default=64, help="paths on each side")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--dimension", type=int, default=5)
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TEXT", help="only operations whose name contains TEXT")
    parser.add_argument("--limit", type=int, default=16, metavar="GB", help="memory that a process may ask for")
    parser.add_argument("--measure", default="", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = KernelShape(options.batch, options.length, options.dimension)
    if options.measure:
        resource.setrlimit(resource.RLIMIT_AS, (options.limit << 30, options.limit << 30))
        measure(options.library, options.measure, shape, options.dtype, options.n_jobs)
        return
    print(f"{options.library}, {options.dtype}, {options.n_jobs} thread(s), (batch, length, dimension) {shape}\n")
    print("| operation | growth of the peak | of it results | time |")
    print("|---|---:|---:|---:|")
    for name in NAMES:
        if options.only in name:
            command = [sys.executable, *sys.argv, "--measure", name]
            child = subprocess.run(command, capture_output=True, text=True, check=False)
            if child.returncode == 0:
                growth, results, seconds = child.stdout.split()
                print(f"| {name} | {growth} MB | {results} MB | {seconds} s |", flush=True)
            else:
                reason = (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
                print(f"| {name} | failed: {reason} | | |", flush=True)


if __name__ == "__main__":
    main()
