"""The kernels of one call are compiled side by side, and the call is right at once."""

import threading
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close
from emu import fake_cupy
from gpu import Gpu

import siglib
from siglib._gpu import _launch


@pytest.mark.parametrize(("name", "n"), [("sig", 2), ("log_sig", 3), ("sig_backprop", 7)])
def test_all_kernels_of_a_call(
    emulated: Gpu, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, name: str, n: int
) -> None:
    """None is done before all of them are begun; each is compiled once, and launched as in any other call."""
    together = threading.Barrier(n)
    built = []

    class Module(fake_cupy.RawModule):
        def get_function(self, name: str) -> Any:
            built.append(name)
            together.wait(timeout=60)
            return super().get_function(name)

    monkeypatch.setattr(fake_cupy, "RawModule", Module)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    path = random_paths(rng, 2, 300, 6)
    arrays = path, siglib.sig(path, 3), rng.standard_normal((2, siglib.sig_length(6, 3)))
    arrays = arrays[: 3 if name == "sig_backprop" else 1]
    expected = getattr(siglib, name)(*arrays, 3)
    launches = []
    for _ in range(2):
        emulated.cupy.LOG.clear()
        assert_close(emulated.numpy(getattr(siglib, name)(*map(emulated.array, arrays), 3)), expected)
        launches.append(list(emulated.cupy.LOG))
    assert launches[0] == launches[1]
    assert len(built) == len(set(built)) == n


def test_errors_of_the_compiler(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come out as they are, and the next call tries again."""

    def fail(*args: Any) -> Any:
        raise RuntimeError("no compiler")

    path = emulated.array(np.linspace(0, 1, 400).reshape(1, 200, 2) ** 2)
    with monkeypatch.context() as patch:
        patch.setattr(_launch, "built", fail)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no compiler"):
                siglib.sig(path, 3)
    assert siglib.sig(path, 3).shape == (1, 14)


def test_errors_of_the_arguments(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher that refuses its arguments does so, whether or not its kernels are there."""
    monkeypatch.setattr(_launch, "MOST_BLOCKS", (3, 3, 3))
    path = emulated.array(np.ones((1000, 200, 2)))
    for _ in range(2):
        with pytest.raises(ValueError, match="the batch is too large for one launch on the GPU"):
            siglib.sig(path, 3)
