"""Arrays of Dask on clusters of other processes, some of which die."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import assert_close, optional

import siglib

dask = optional("dask")
da = optional("dask.array")
distributed = optional("distributed")
# What goes on in other processes and their sockets is not ours.
pytestmark = pytest.mark.filterwarnings("default")


def in_chunks(array: np.ndarray, size: int) -> Any:
    return da.from_array(array, chunks=(size, *array.shape[1:]))


def paths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).cumsum(-2) / shape[-2] ** 0.5


@contextmanager
def cluster(folder: Path, **options: Any) -> Iterator[Any]:
    """A client of worker processes with one thread each."""
    with (
        distributed.LocalCluster(
            threads_per_worker=1, processes=True, dashboard_address=":0", local_directory=str(folder), **options
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with cluster(tmp_path_factory.mktemp("dask"), n_workers=2) as client:
        yield client


@pytest.fixture
def on_cluster(client: Any) -> Iterator[Any]:
    with dask.config.set(scheduler=client):
        yield client


def test_a_cluster_of_two_processes(on_cluster: Any, rng: np.random.Generator) -> None:
    x, y = paths(rng, 20, 8, 2), paths(rng, 12, 9, 2)
    options = {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(1.0)}
    chunked = in_chunks(x, 6)
    assert np.array_equal(
        siglib.sig_kernel_gram(chunked, chunked, **options).compute(), siglib.sig_kernel_gram(x, x, **options)
    )
    assert_close(siglib.sig_mmd(chunked, in_chunks(y, 5), **options).compute(), siglib.sig_mmd(x, y, **options))
    assert np.array_equal(siglib.log_sig(chunked, 4).compute(), siglib.log_sig(x, 4))
    lengths = rng.integers(1, 9, 20)
    expected = siglib.sig_kernel_gram(x, x, lengths1=lengths, lengths2=lengths, **options)
    found = siglib.sig_kernel_gram(chunked, chunked, lengths1=lengths, lengths2=da.from_array(lengths), **options)
    assert_close(found.compute(), expected, 1e-12)
    for test, other in ((siglib.two_sample_test, y), (siglib.independence_test, x[::-1])):
        found = test(chunked.rechunk((20, -1, -1)), in_chunks(other, 20), rng=0, **options)
        assert_close(np.float64(found.statistic), test(x, other, rng=0, **options).statistic, 1e-12)
    with pytest.raises(ValueError, match="windows must satisfy"):
        siglib.sig_windows(chunked, 2, starts=[3], ends=[10]).compute()


def test_a_worker_that_is_killed_half_way(on_cluster: Any, rng: np.random.Generator) -> None:
    x = paths(rng, 300, 100, 2)
    chunked = in_chunks(x, 20)
    pids = on_cluster.run(os.getpid)
    future = on_cluster.compute(siglib.sig_kernel_gram(chunked, chunked, dyadic_order=1))
    last = time.monotonic() + 60
    while time.monotonic() < last:
        done = {worker for worker, keys in on_cluster.has_what().items() if any("siglib" in str(k) for k in keys)}
        if done:
            break
        time.sleep(0.01)
    os.kill(pids[next(iter(done))], signal.SIGKILL)
    assert not future.done()
    assert np.array_equal(future.result(timeout=120), siglib.sig_kernel_gram(x, x, dyadic_order=1))


def test_a_worker_without_memory_is_named(tmp_path: Path) -> None:
    """The signatures of a block take 1.6 GB; the worker has a quarter of that, and its nanny ends it while it computes."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        cluster(tmp_path, n_workers=1, memory_limit="400 MiB") as client,
    ):
        future = client.compute(siglib.sig(da.zeros((6000, 10, 2), chunks=(3000, -1, -1)), 15))
        with pytest.raises(distributed.scheduler.KilledWorker, match="siglib-sig-.*worker.*tcp://"):
            future.result(timeout=60)
