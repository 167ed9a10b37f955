"""siglib beside pysiglib, in one process, on the same arrays: how many times as fast, and do the values agree?

    pip install ".[bench]" && python benchmarks/compare.py

prints a table for every operation and saves a plot; `--group signatures`, `family` or `kernels` measures some of them.
A figure is pysiglib's time divided by siglib's: both libraries take turns, round by round, and each is judged by its
fastest round, so that whatever else the machine does hits both alike. Ratios carry over to other machines much better
than times. `SIGLIB_CPU=avx2` measures another instruction set.
"""

import argparse
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from calls import KernelShape, Operation, Shape
from cases import BRANCHED_SHAPES, OPERATIONS, TINY, group_of

import siglib

try:
    import pysiglib
except ImportError:
    raise SystemExit('pysiglib is missing: pip install ".[bench]"') from None


class Figure(NamedTuple):
    """One measured case: seconds for both, and the largest difference of the values relative to the largest value."""

    ours: float
    theirs: float
    deviation: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def seconds_per_call(function: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def fastest_rounds(ours: Callable[[], Any], theirs: Callable[[], Any], budget: float) -> tuple[float, float]:
    """The shortest time per call of each in alternating rounds: at least three, then as many as fit into `budget` s.

    A call that takes more than a second is timed twice and no more.
    """
    functions = ours, theirs
    best = [seconds_per_call(function, 1) for function in functions]
    # Rounds of at least a millisecond: the clock and the loop must not count.
    calls = [max(1, math.ceil(1e-3 / seconds)) for seconds in best]
    least = [3 if seconds < 1 else 1 for seconds in best]
    spent = [0.0, 0.0]
    for rounds in range(200):
        turns = [i for i in range(2) if rounds < least[i] or (spent[i] < budget / 2 and best[i] < 1)]
        for i in turns:
            seconds = seconds_per_call(functions[i], calls[i])
            best[i] = min(best[i], seconds)
            spent[i] += calls[i] * seconds
        if not turns:
            break
    return best[0], best[1]


def deviation(ours: Any, theirs: Any) -> float:
    """Largest difference relative to the largest value; the largest of several results."""
    if isinstance(ours, tuple):
        return max(deviation(a, b) for a, b in zip(ours, theirs, strict=True))
    if ours.shape != theirs.shape:
        raise SystemExit(f"results of different shapes: {ours.shape} and {theirs.shape}")
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


def prepare(shape: Shape | KernelShape, n_jobs: int, branched: bool = False) -> None:
    """What pysiglib wants to be told: tables of log-signatures, and threads of torch, which it uses for kernels."""
    if isinstance(shape, Shape):
        pysiglib.prepare_log_sig(shape.dimension, shape.degree, 3)
        for planar in (False, True) if branched else ():
            pysiglib.prepare_branched_log_sig(shape.dimension, shape.degree, int(planar), planar=planar)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n_jobs)


def measure(operation: Operation, shape: Shape | KernelShape, dtype: str, n_jobs: int, budget: float) -> Figure:
    prepare(shape, n_jobs, operation.shapes is BRANCHED_SHAPES)
    arrays = operation.arrays(shape, np.dtype(dtype))

    ours, theirs = (operation.ready(library, shape, n_jobs, *arrays) for library in (siglib, pysiglib))
    apart = deviation(ours(), theirs())
    return Figure(*fastest_rounds(ours, theirs, budget), apart)


Results = dict[tuple[Shape | KernelShape, str, int], Figure]


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def columns_of(results: Results) -> list[tuple[str, int]]:
    """The measured pairs of precision and number of threads, in the order of tables and plots."""
    return sorted({(dtype, n_jobs) for _, dtype, n_jobs in results}, key=lambda c: (c[1], c[0] != "float64"))


def headings(columns: list[tuple[str, int]]) -> str:
    return " | ".join(f"{dtype}, {n_jobs} thread{'s' * (n_jobs > 1)}" for dtype, n_jobs in columns)


def table(name: str, results: Results, with_times: bool) -> Iterator[str]:
    """Markdown: one row a shape, one column a precision and number of threads."""
    columns = columns_of(results)
    shapes = list(dict.fromkeys(shape for shape, _, _ in results))
    dtypes = list(dict.fromkeys(dtype for dtype, _ in columns))
    yield f"\n### {name}\n"
    yield f"| ({', '.join(shapes[0]._fields)}) | {headings(columns)} | deviation |"
    yield "|---|" + "---:|" * (len(columns) + 1)
    for shape in shapes:
        row = [results[(shape, *column)] for column in columns]
        cells = [f"{f.ratio:.1f}x" + f" ({1e3 * f.ours:.3g} / {1e3 * f.theirs:.3g} ms)" * with_times for f in row]
        apart = [max(f.deviation for f, c in zip(row, columns, strict=True) if c[0] == dtype) for dtype in dtypes]
        yield f"| {shape} | {' | '.join(cells)} | {' / '.join(f'{worst:.0e}' for worst in apart)} |"
    ratios = [[results[(shape, *column)].ratio for shape in shapes] for column in columns]
    yield f"| **geometric mean** | {' | '.join(f'**{geometric_mean(r):.1f}x**' for r in ratios)} | |"
    yield f"| lowest | {' | '.join(f'{min(r):.1f}x' for r in ratios)} | |"


def summary(everything: dict[str, Results]) -> Iterator[str]:
    """A table of the README: one row an operation; the geometric mean over the shapes, and in brackets the lowest."""
    columns = columns_of(next(iter(everything.values())))
    yield "\n### Summary: geometric mean over the shapes (lowest)\n"
    yield f"| operation | {headings(columns)} |"
    yield "|---|" + "---:|" * len(columns)
    for name, results in everything.items():
        ratios = [[figure.ratio for key, figure in results.items() if key[1:] == column] for column in columns]
        operation, _, method = name.partition(", ")
        cells = [f"{geometric_mean(r):.1f}x ({min(r):.1f}x)" for r in ratios]
        yield f"| `{operation}`{', ' * bool(method)}{method} | {' | '.join(cells)} |"


def overhead(budget: float) -> Iterator[str]:
    """What a call costs that has next to nothing to compute."""
    yield f"\n### Overhead: one path of length {TINY.length}, dimension {TINY.dimension}, degree {TINY.degree}\n"
    yield "| operation | siglib | pysiglib |"
    yield "|---|---:|---:|"
    for name, operation in OPERATIONS.items():
        if group_of(name) == "kernels":
            continue
        arrays = [array[0] for array in operation.arrays(TINY, np.float64)]
        # Fresh arrays: pysiglib copies views, which is not what is measured here.
        arrays = [array.copy() for array in arrays]
        prepare(TINY, 1)
        ours, theirs = (operation.ready(library, TINY, 1, *arrays) for library in (siglib, pysiglib))
        times = fastest_rounds(ours, theirs, budget)
        yield f"| {name} | {' | '.join(f'{1e6 * seconds:.1f} µs' for seconds in times)} |"


def plot(file: Path, everything: dict[str, Results]) -> None:
    """One row an operation, one dot a shape."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, NullFormatter

    names = list(everything)
    columns = columns_of({key: figure for results in everything.values() for key, figure in results.items()})
    colours = dict(zip(columns, plt.get_cmap("tab10").colors, strict=False))
    figure, axis = plt.subplots(figsize=(9, 1.4 + 0.55 * len(names)), layout="constrained")
    step = 0.7 / len(columns)
    labelled: set[tuple[str, int]] = set()
    for row, name in enumerate(names):
        for k, column in enumerate(columns):
            ratios = [figure.ratio for key, figure in everything[name].items() if key[1:] == column]
            if not ratios:
                continue
            y = row + step * (k - (len(columns) - 1) / 2)
            axis.scatter(ratios, [y] * len(ratios), s=14, color=colours[column], alpha=0.6, linewidths=0)
            label = f"{column[0]}, n_jobs={column[1]}" if column not in labelled else None
            labelled.add(column)
            axis.scatter([geometric_mean(ratios)], [y], s=90, marker="|", color=colours[column], label=label)
    axis.axvline(1, color="black", linewidth=1)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20, 50, 100]))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axis.grid(axis="x", color="#dddddd")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel(f"pysiglib {pysiglib.__version__} time / siglib time (a dot: one shape; a bar: geometric mean)")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
    figure.savefig(file, dpi=130)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only operations whose name contains TEXT")
    parser.add_argument("--exact", default="", metavar="NAME", help="only the operation NAME")
    parser.add_argument("--group", choices=["signatures", "family", "kernels"], help="only these operations")
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"], choices=["float64", "float32"])
    parser.add_argument("--n-jobs", nargs="+", type=int, help="numbers of threads (default: 1 2 or 1)")
    parser.add_argument("--seconds", type=float, default=2.0, help="time to spend on one case")
    parser.add_argument("--quick", action="store_true", help="three rounds a case: for a look, not for a report")
    parser.add_argument("--times", action="store_true", help="show milliseconds beside the ratios")
    parser.add_argument("--plot", type=Path, default=Path("compare.png"), help="file to save the plot to")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    budget = 0.0 if chosen.quick else chosen.seconds
    names = [
        name
        for name, operation in OPERATIONS.items()
        if chosen.only in name and chosen.exact in ("", name) and chosen.group in (None, group_of(name))
    ]
    if not names:
        raise SystemExit(f"no such operation; there are: {', '.join(OPERATIONS)}")
    ours = f"siglib {siglib.__version__} ({siglib._cpu.instruction_set})"
    print(f"{ours} and pysiglib {pysiglib.__version__}; {processor()}")
    print("A figure is pysiglib's time divided by siglib's: more than 1 means that siglib is faster.")

    everything: dict[str, Results] = {}
    for name in names:
        operation = OPERATIONS[name]
        everything[name] = {
            (shape, dtype, n_jobs): measure(operation, shape, dtype, n_jobs, budget)
            for shape in operation.shapes
            for dtype in chosen.dtypes
            for n_jobs in chosen.n_jobs or ([1, 2] if group_of(name) == "signatures" else [1])
        }
        print(*table(name, everything[name], chosen.times), sep="\n", flush=True)
    if not (chosen.only or chosen.exact or chosen.group in ("family", "kernels")):
        print(*overhead(min(budget, 0.5)), sep="\n")
    for group in dict.fromkeys(group_of(name) for name in names):
        print(*summary({n: results for n, results in everything.items() if group_of(n) == group}), sep="\n")
    plot(chosen.plot, everything)
    print(f"\nplot: {chosen.plot}")


if __name__ == "__main__":
    main()
