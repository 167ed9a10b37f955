"""A Gram matrix on a cluster: two worker processes on this machine, or the scheduler whose address you give.

    python examples/gram_on_a_cluster.py
    python examples/gram_on_a_cluster.py tcp://scheduler:8786 --series 20000

Needs `pip install "pathsiglib[dask]"`, on the workers too.
"""

import argparse
import time

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import siglib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "scheduler", nargs="?", help="address of a scheduler; without it, two processes on this machine"
    )
    parser.add_argument("--series", type=int, default=600)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--chunk", type=int, default=100, help="series in a block")
    options = parser.parse_args()

    cluster = None
    if options.scheduler is None:
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with Client(options.scheduler or cluster) as client:
        rng = np.random.default_rng(0)
        series = rng.standard_normal((options.series, options.points, 3)).cumsum(1) / options.points**0.5
        paths = da.from_array(series, chunks=(options.chunk, -1, -1))

        start = time.perf_counter()
        gram = siglib.sig_kernel_gram(paths, paths, dyadic_order=1, normalize=True).compute()
        print(
            f"{gram.shape} in {time.perf_counter() - start:.2f} s on {len(client.scheduler_info()['workers'])} workers"
        )
        print(f"exactly symmetric: {np.array_equal(gram, gram.T)}")

        some = min(options.series, 200)
        here = siglib.sig_kernel_gram(series[:some], series[:some], dyadic_order=1, normalize=True)
        print(f"the numbers of one process: {np.array_equal(gram[:some, :some], here)}")

        distance = siglib.sig_mmd(paths, 1.2 * paths, dyadic_order=1, normalize=True)
        print(f"MMD of the series and of series of larger steps: {float(distance.compute()):.4f}")
    if cluster is not None:
        cluster.close()


if __name__ == "__main__":
    main()
