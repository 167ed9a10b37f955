"""Several streams at once, and what must be there before a graph is captured: tables, plans, shared memory."""

import types
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits, optional
from emu.emulator import EmulatorError
from emu.fake_device import Event, MemoryPointer, Stream, current
from gpu import Gpu

import siglib
from siglib._call.backend import backend_for
from siglib._gpu import window_plan
from siglib._gpu.backends import TorchCudaBackend


@pytest.mark.parametrize(
    ("name", "args"), [("log_sig", (3,)), ("sig_windows", (2, 3)), ("sig_prefixes", (3,)), ("branched_sig", (2,))]
)
def test_two_streams_share_tables(gpu: Gpu, name: str, args: Any, rng: np.random.Generator) -> None:
    """Which one of them made does not wait for."""
    path = random_paths(rng, 2, 40, 3)
    expected = getattr(siglib, name)(path, *args)
    streams = [gpu.cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    found = []
    for stream in streams:
        with stream:
            found.append(getattr(siglib, name)(gpu.array(path), *args))
    for stream, result in zip(streams, found, strict=True):
        with stream:
            assert_close(gpu.numpy(result), expected)


def test_plans_serve_all_streams(emulated: Gpu, rng: np.random.Generator) -> None:
    path = random_paths(rng, 2, 40, 3)
    for stream in (Stream(), Stream()):
        with stream:
            siglib.sig_windows(emulated.array(path), 2, 3)
    assert len(window_plan._plans) == 1


def test_tables_are_in_memory_of_the_drivers(emulated: Gpu) -> None:
    """A pool would give it to others while kernels on another stream still read it."""
    asked: list[int] = []

    def allocate(n_bytes: int) -> MemoryPointer:
        asked.append(n_bytes)
        with emulated.cupy.cuda.using_allocator(None):
            return MemoryPointer(emulated.cupy.zeros(n_bytes, np.uint8)._memory, 0)

    on, _ = backend_for(path=emulated.array(np.ones((3, 2))))
    tables = (np.arange(5), np.ones((2, 3), np.float32), np.zeros(0), np.array([True, False, True]))
    with emulated.cupy.cuda.using_allocator(allocate):
        found = on.constant(lambda: tables)
    assert not asked
    for table, there in zip(tables, found, strict=True):
        assert_same_bits(there.get(), table)
        assert there.shape == table.shape


def test_a_context_that_fails_changes_nothing(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = optional("torch")
    cuda = emulated.cupy.cuda
    on = TorchCudaBackend(emulated.cupy, types.SimpleNamespace(index=1), torch.float64, torch.float64)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: types.SimpleNamespace(cuda_stream=77))
    with on.current():
        assert (current.device, current.stream, current.allocator) == (1, 77, on._allocate)

    def fail(*args: Any) -> Any:
        raise RuntimeError("no")

    for where, name in ((on, "stream"), (cuda, "using_allocator"), (Stream, "__enter__")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fail)
            with pytest.raises(RuntimeError, match="no"), on.current():
                pass
        assert (current.device, current.streams, current.allocator) == (0, [0, 0], None)


def test_contexts_within_contexts(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done twice, but where PyTorch's stream has changed in between it is followed, and left again."""
    torch = optional("torch")
    now = types.SimpleNamespace(cuda_stream=77)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: now)
    on, other = (
        TorchCudaBackend(emulated.cupy, types.SimpleNamespace(index=i), torch.float64, torch.float64) for i in (1, 0)
    )
    asked = []
    monkeypatch.setattr(Stream, "__enter__", lambda self, enter=Stream.__enter__: asked.append(self.ptr) or enter(self))
    with on.current():
        for number, context in ((77, on), (78, on), (77, other), (77, on)):
            now.cuda_stream = number
            with context.current(), context.current():
                assert (current.device, current.stream, current.allocator) == (
                    context.device,
                    number,
                    context._allocate,
                )
            now.cuda_stream = 77
            assert (current.device, current.stream, current.allocator) == (1, 77, on._allocate)
    assert asked == [77, 78, 77]
    assert (current.device, current.streams, current.allocator) == (0, [0, 0], None)


def test_shared_memory_of_48_kilobytes(gpu: Gpu, rng: np.random.Generator) -> None:
    """More than a launch may take that has not asked for it; static arrays count, too."""
    x, y = (random_paths(rng, 1, n, 8, dtype=np.dtype(np.float32)) for n in (201, 6))
    ones = np.ones(1, np.float32)
    found = siglib.sig_kernel_backprop(*map(gpu.array, (ones, x, y)), dyadic_order=0)
    assert_close(gpu.numpy(found[0]), siglib.sig_kernel_backprop(ones, x, y, dyadic_order=0)[0], 2e-5)
    if gpu.name == "emulator":
        assert max(launch.shared for launch in gpu.cupy.LOG) > 48 << 10


# The stand-in for CuPy is strict where CuPy is not.


def test_the_stand_in_knows_who_waits_for_whom(emulated: Gpu) -> None:
    first, second = Stream(), Stream()
    with first:
        x = emulated.array(np.ones(3))
        assert (x + x).get().tolist() == [2, 2, 2]
    event = Event()
    with second:
        assert (x + x).get().tolist() == [2, 2, 2]  # the host has waited for the first
    with first:
        x[0] = 2
        event.record()
        x[1] = 2
    for stream, there in ((second, False), (first, True)):
        with stream:
            if there:
                event.record()
        with second:
            second.wait_event(event)
            if there:
                assert (x + x).get().tolist() == [4, 4, 2]
                continue
            for use in (lambda: x + x, lambda: x.fill(0), lambda: x[1:].copy()):
                with pytest.raises(EmulatorError, match=r"memory that stream \(0, .*may still be writing"):
                    use()


def test_the_stand_in_waits_for_nothing(emulated: Gpu) -> None:
    x = emulated.array(np.ones(3))
    for use in (lambda: x[x > 0], lambda: x.__setitem__(x > 0, 1), lambda: emulated.cupy.unique(x)):
        with pytest.raises(EmulatorError, match="waits for the GPU"):
            use()


def test_the_stand_in_captures(emulated: Gpu) -> None:
    """Streams, not devices; nothing is copied from the host, waited for, or taken from a pool."""
    cupy, stream = emulated.cupy, Stream()
    with stream:
        x = cupy.zeros(3)
        stream.begin_capture()
        assert stream.is_capturing()
        for use in (lambda: cupy.asarray([1.0]), lambda: cupy.empty(3), lambda: x + x, x.get, stream.synchronize):
            with pytest.raises(EmulatorError, match=r"captured"):
                use()
        x[...] = 4
        with Stream():
            cupy.asarray([1.0])
        stream.end_capture()
        assert x.get().tolist() == [4, 4, 4]
