"""Paths of unequal lengths beside the ideal, and beside padding to the longest, in one process and alternating.

    python benchmarks/unequal_lengths.py                  # lognormal lengths
    python benchmarks/unequal_lengths.py --lengths uniform

The ideal is the same number of points in as many paths of one length. Padding to the longest is what one does without a
library that knows of lengths (and gets other signatures from, where time is added).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

import siglib


def lengths_of(kind: str, n: int, mean: int, rng: np.random.Generator) -> np.ndarray:
    """Lengths of at least 2 points."""
    drawn = rng.lognormal(0.0, 0.75, n) if kind == "lognormal" else rng.uniform(0.0, 2.0, n)
    return np.maximum(2, np.rint(drawn * (mean / drawn.mean()))).astype(np.int64)


def fastest(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The shortest time of each, taken in turn."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def cases(
    padded: np.ndarray, lengths: np.ndarray, equal: np.ndarray, degree: int
) -> dict[str, list[Callable[[], object]]]:
    """For each name: a list of paths, a padded array with lengths, padding to the longest, and the ideal."""
    listed = [row[:length].copy() for row, length in zip(padded, lengths, strict=True)]
    longest = padded.copy()
    for row, length in zip(longest, lengths, strict=True):
        row[length:] = row[length - 1]

    def of(function: Callable[..., object], *args: object, **options: object) -> list[Callable[[], object]]:
        return [
            lambda: function(listed, *args, **options),
            lambda: function(padded, *args, lengths=lengths, **options),
            lambda: function(longest, *args, **options),
            lambda: function(equal, *args, **options),
        ]

    # The ideal of some of the paths has their mean length.
    n = 64
    mean = int(np.rint(lengths[:n].mean()))
    same = np.resize(equal[:n], (n, mean, equal.shape[2])) if mean > equal.shape[1] else equal[:n, :mean]
    gram = siglib.sig_kernel_gram
    found = {f"sig, time_aug={time_aug}": of(siglib.sig, degree, time_aug=time_aug) for time_aug in (False, True)}
    found["log_sig"] = of(siglib.log_sig, degree)
    found["sig_windows"] = of(siglib.sig_windows, degree, 2)
    found["sig_kernel_gram"] = [
        lambda: gram(listed[:n], listed[:n], dyadic_order=0),
        lambda: gram(padded[:n], padded[:n], dyadic_order=0, lengths1=lengths[:n], lengths2=lengths[:n]),
        lambda: gram(longest[:n], longest[:n], dyadic_order=0),
        lambda: gram(same, same, dyadic_order=0),
    ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", choices=("lognormal", "uniform"), default="lognormal")
    parser.add_argument("--paths", type=int, default=512)
    parser.add_argument("--mean", type=int, default=100)
    parser.add_argument("--dimension", type=int, default=4)
    parser.add_argument("--degree", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    lengths = lengths_of(arguments.lengths, arguments.paths, arguments.mean, rng)
    shape = (arguments.paths, int(lengths.max()), arguments.dimension)
    padded = rng.standard_normal(shape).cumsum(1) / shape[1]
    equal = np.ascontiguousarray(padded[:, : int(np.rint(lengths.mean()))])
    print(f"{'':22s}{'list':>8s}{'lengths':>9s}{'longest':>9s}   times the ideal")
    for name, calls in cases(padded, lengths, equal, arguments.degree).items():
        best = fastest(dict(zip(("list", "lengths", "longest", "ideal"), calls, strict=True)), arguments.repeats)
        ratios = [best[key] / best["ideal"] for key in ("list", "lengths", "longest")]
        print(f"{name:22s}{ratios[0]:8.2f}{ratios[1]:9.2f}{ratios[2]:9.2f}")


if __name__ == "__main__":
    main()
