"""Compiles CUDA functions beforehand, in processes side by side, into the cache on disk that CuPy keeps.

    SIGLIB_CUDA_KERNELS=kernels.txt python program.py            # adds the functions that a program compiles to a list
    python -m siglib._gpu.compile kernels.txt --jobs 16

compiles all functions of that list for the current device: a file of `cuda/`, and an instantiation of a function in
it, on each line. Prints what failed, and how long the slowest ones took; the exit status is 1 where anything failed.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from . import _launch


class Compiled(NamedTuple):
    """A CUDA function, the seconds that it took, and what the compiler says if it failed, or an empty text."""

    file: str
    name: str
    seconds: float
    error: str


def read_list(text: str) -> list[tuple[str, str]]:
    """Files and CUDA functions, each once; `#` starts a comment."""
    lines = (line.partition("#")[0].split(maxsplit=1) for line in text.splitlines())
    found: dict[tuple[str, str], None] = {}
    for parts in lines:
        if len(parts) == 1:
            raise ValueError(f"each line must have a file and a kernel, got {parts[0]!r}")
        if parts:
            found[parts[0], parts[1].strip()] = None
    return list(found)


def compile_one(file: str, name: str) -> Compiled:
    """Compile one CUDA function in this process."""
    start, error = time.perf_counter(), ""
    try:
        _launch.built(file, name)
    except Exception as reason:  # CuPy's, with the compiler's words, or that of a CUDA function that does not exist
        error = f"{type(reason).__name__}: {reason}"
    return Compiled(file, name, time.perf_counter() - start, error)


def compile_all(kernels: Iterable[tuple[str, str]], jobs: int) -> Iterator[Compiled]:
    """Compile all of them in so many processes; what is done first comes first."""
    # Not forked: a driver that this process has loaded would be of no use in others.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(compile_one, *kernel) for kernel in kernels]):
            yield done.result()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", type=Path, help="the file with the list")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; one a processor by default")
    given = parser.parse_args(arguments)
    start, done = time.perf_counter(), []
    for kernel in compile_all(read_list(given.list.read_text(encoding="utf-8")), given.jobs):
        done.append(kernel)
        if kernel.error:
            print(f"FAILED {kernel.file} {kernel.name}: {kernel.error}", flush=True)
    for kernel in sorted(done, key=lambda kernel: -kernel.seconds)[:5]:
        print(f"{kernel.seconds:6.2f} s {kernel.file} {kernel.name}")
    failed = sum(bool(kernel.error) for kernel in done)
    print(f"{len(done) - failed} of {len(done)} kernels compiled in {time.perf_counter() - start:.1f} s")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
