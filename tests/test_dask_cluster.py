"""Arrays of Dask on a cluster of two other processes, one of which dies."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checking import assert_close, optional

import siglib

dask = optional("dask")
da = optional("dask.array")
distributed = optional("distributed")


def in_chunks(array: np.ndarray, size: int) -> Any:
    return da.from_array(array, chunks=(size, *array.shape[1:]))


def paths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).cumsum(-2) / shape[-2] ** 0.5


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def on_cluster(client: Any) -> Iterator[Any]:
    with dask.config.set(scheduler=client):
        yield client


@pytest.mark.filterwarnings("default")
def test_a_cluster_of_two_processes(on_cluster: Any, rng: np.random.Generator) -> None:
    x, y = paths(rng, 20, 8, 2), paths(rng, 12, 9, 2)
    options = {"dyadic_order": 1, "static_kernel": siglib.RBFKernel(1.0)}
    chunked = in_chunks(x, 6)
    assert np.array_equal(
        siglib.sig_kernel_gram(chunked, chunked, **options).compute(), siglib.sig_kernel_gram(x, x, **options)
    )
    assert_close(siglib.sig_mmd(chunked, in_chunks(y, 5), **options).compute(), siglib.sig_mmd(x, y, **options))
    assert np.array_equal(siglib.log_sig(chunked, 4).compute(), siglib.log_sig(x, 4))
    with pytest.raises(ValueError, match="windows must satisfy"):
        siglib.sig_windows(chunked, 2, starts=[3], ends=[10]).compute()


@pytest.mark.filterwarnings("default")
def test_a_worker_that_is_killed_half_way(on_cluster: Any, rng: np.random.Generator) -> None:
    x = paths(rng, 200, 100, 2)
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
