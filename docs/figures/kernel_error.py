"""Error of the kernel against the time it takes, for both methods, on a coarse path and on a fine one."""

import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

import siglib

BLUE, RED = "#0072b2", "#d55e00"
DYADIC_ORDERS, ORDERS = range(6), (2, 3, 4, 5, 6, 8, 10)


def brownian(length):
    """Pairs of random walks whose end is at a distance of about one."""
    steps = np.random.default_rng(1).standard_normal((2, 32, length, 2)) / np.sqrt(length)
    return np.ascontiguousarray(steps.cumsum(axis=2))


def measured(x, y, **options):
    """Kernels, and microseconds a pair."""
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        kernels = siglib.sig_kernel(x, y, **options)
        best = min(best, time.perf_counter() - start)
    return kernels, 1e6 * best / len(x)


figure, axes = plt.subplots(1, 2, figsize=(9, 3.1), sharey=True)
for axis, length in zip(axes, (10, 100), strict=True):
    x, y = brownian(length)
    exact = siglib.sig_kernel(x, y, method="polynomial", order=20)
    for name, values, colour in (("dyadic_order", DYADIC_ORDERS, BLUE), ("order", ORDERS, RED)):
        method = "finite_difference" if name == "dyadic_order" else "polynomial"
        results = [measured(x, y, method=method, **{name: value}) for value in values]
        errors = [np.sqrt(np.mean((kernels - exact) ** 2)) for kernels, _ in results]
        times = [microseconds for _, microseconds in results]
        axis.loglog(times, errors, "o-", color=colour, markersize=4, label=f"{method}, {name}")
        for value, microseconds, error in zip(values, times, errors, strict=True):
            axis.annotate(str(value), (microseconds, error), xytext=(4, 3), textcoords="offset points", color=colour)
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("microseconds a pair")
    axis.set_title(f"Paths of {length} points", fontsize=10)
axes[0].set_ylabel("error of the kernel")
axes[0].legend(frameon=False, fontsize=8)
