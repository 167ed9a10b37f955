"""Long work and several processes: what progress costs, a Gram matrix in a file, two processes beside one, and threads.

    python benchmarks/scale.py                                  # everything, small
    python benchmarks/scale.py file --series 20000 --points 50  # one part

Times are the shortest of several runs, what is compared taken in turn. For Linux; `processes` and `threads` need Dask
with its clusters, and joblib.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from unequal_lengths import fastest

import siglib


def paths(n: int, points: int, dimension: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, points, dimension)).cumsum(1) / points**0.5


def status(field: str) -> int:
    """A field of the system's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


# Progress


def progress(options: argparse.Namespace) -> None:
    x = paths(options.batch, 100, 3)
    some = x[: options.batch // 40]
    for name, call in {
        "sig, degree 6": lambda: siglib.sig(x, 6),
        "log_sig, degree 4": lambda: siglib.log_sig(x, 4),
        "sig_kernel_gram": lambda: siglib.sig_kernel_gram(some, some, dyadic_order=0),
    }.items():
        n_reports = 0

        def report(*_: Any) -> None:
            nonlocal n_reports
            n_reports += 1

        def watched(call: Callable[[], Any] = call, report: Callable[..., Any] = report) -> None:
            with siglib.progress(report):
                call()

        found = fastest({"alone": call, "watched": watched}, options.repeats)
        cost, n = 100 * (found["watched"] / found["alone"] - 1), n_reports // options.repeats
        print(f"progress: {name}: {found['alone']:.3f} s, watched {cost:+.1f} %, {n} reports")


# A file


def write(options: argparse.Namespace) -> None:
    """The matrix, in this process, which ends itself half-way if asked to."""
    before = status("VmRSS")
    x = paths(options.series, options.points, 2)

    def report(name: str, done: int, total: int) -> None:
        if options.write == "half" and 2 * done > total:
            os.kill(os.getpid(), signal.SIGKILL)

    start = time.perf_counter()
    with siglib.progress(report):
        gram = siglib.gram_to_file(x, x, options.folder / "gram.npy", dyadic_order=0)
    seconds = time.perf_counter() - start
    some = np.sort(np.random.default_rng(1).choice(len(x), min(len(x), 500), replace=False))
    equal = np.array_equal(gram[np.ix_(some, some)], siglib.sig_kernel_gram(x[some], x[some], dyadic_order=0))
    print(
        f"file: {gram.shape} in {gram.nbytes / 2**20:.0f} MB, the rest of it in {seconds:.1f} s after an end half-way; "
        f"{(status('VmHWM') - before) / 1024:.0f} MB of memory, {x.nbytes / 2**20:.0f} MB of them paths; "
        f"{'the' if equal else 'NOT the'} numbers of one call"
    )


def file(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for part in ("half", "rest"):
            command = [sys.executable, *sys.argv, "--write", part, "--folder", folder]
            start = time.perf_counter()
            child = subprocess.run(command, check=False)
            if part == "half":
                assert child.returncode == -signal.SIGKILL
                print(f"file: killed after {time.perf_counter() - start:.1f} s")


# Processes


def cluster(n_workers: int) -> Any:
    from distributed import LocalCluster

    return LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0")


def processes(options: argparse.Namespace) -> None:
    import dask.array as da
    from distributed import Client, wait

    with cluster(2) as workers, Client(workers) as client:
        both = list(client.scheduler_info()["workers"])
        for chunk in (100, 200):
            x = paths(8 * chunk, 100, 3)

            def call(some: list[str], chunk: int = chunk, x: np.ndarray = x) -> None:
                # By another name each time: what is there already is not computed again.
                chunked = da.from_array(x, chunks=(chunk, -1, -1), name=False)
                gram = siglib.sig_kernel_gram(chunked, chunked, dyadic_order=0)
                wait(client.persist(gram, workers=some))

            found = fastest({"one": lambda: call(both[:1]), "two": lambda: call(both)}, options.repeats)
            print(
                f"processes: 36 tasks of {found['one'] / 32:.2f} s: {found['one']:.2f} s with one process, "
                f"{found['two']:.2f} s with two: {found['one'] / found['two']:.2f} times as fast"
            )


# Threads


def threads_of_call(n: int = 200) -> int:
    """Threads that a call with all processors starts in this process, and the one that calls."""
    before = status("Threads")
    siglib.sig(paths(n, 100, 3), 5, n_jobs=-1)
    return status("Threads") - before + 1


def threads(options: argparse.Namespace) -> None:
    import joblib
    from distributed import Client

    n = len(os.sched_getaffinity(0))
    for workers in sorted({1, n}):
        found = joblib.Parallel(n_jobs=workers)(joblib.delayed(threads_of_call)() for _ in range(workers))
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
        print(f"threads: {workers} workers of joblib on {n} processors: n_jobs=-1 has {found} threads in each")
    with cluster(n) as workers_of_dask, Client(workers_of_dask) as client:
        found = list(client.run(threads_of_call).values())
        print(f"threads: {n} workers of Dask on {n} processors: n_jobs=-1 has {found} threads in each")


def main() -> None:
    parts = {"progress": progress, "file": file, "processes": processes, "threads": threads}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all of them by default")
    parser.add_argument("--batch", type=int, default=20_000, help="paths whose signatures are watched")
    parser.add_argument("--series", type=int, default=2000, help="rows of the matrix in a file")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where the matrix is written")
    parser.add_argument("--write", choices=["half", "rest"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options)
        return
    print(f"siglib {siglib.__version__}, Python {platform.python_version()}, NumPy {np.__version__}")
    for part in options.parts or parts:
        if part not in parts:
            parser.error(f"there is no part {part!r}")
        parts[part](options)


if __name__ == "__main__":
    main()
