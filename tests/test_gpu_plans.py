"""Launch plans: calls alike launch what they would without a plan, and calls that are not alike have another one."""

import ast
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import random_paths
from checking import assert_close, assert_same_bits
from gpu import Gpu, Tensors
from kernel_cases import gradients
from operations import OF_ALL_PAIRS, OPERATIONS, Operation, name_of

import siglib
from siglib._gpu import constants, copies, plans, recording, window_plan

_KEEP = plans._keep


@pytest.fixture(autouse=True)
def _as_always(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Plans come with the second call, and stay, and scratch memory is shared, as nowhere else in these tests."""
    for name in ("gpu", "emulated", "tensors"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    monkeypatch.setattr(plans, "AT_ONCE", False)
    monkeypatch.setattr(plans, "_keep", _KEEP)
    monkeypatch.setattr(plans, "SHARED_SCRATCH", True)


def made() -> list[plans.Plan]:
    return [plan for plan in plans._plans.values() if type(plan) is plans.Plan]


def with_correction_on(gpu: Gpu, operation: Operation) -> Operation:
    if "correction" not in operation.options:
        return operation
    correction = gpu.array(np.array(operation.options["correction"]))
    return operation._replace(options={**operation.options, "correction": correction})


def random_arrays(operation: Operation, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) / 2 for shape in operation.shapes]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("operation", OPERATIONS + OF_ALL_PAIRS, ids=name_of)
def test_calls_with_and_without(gpu: Gpu, operation: Operation) -> None:
    """The bits of the first call, which has no plan, and no trace of what other calls computed."""
    on_gpu = with_correction_on(gpu, operation)
    numbers = [random_arrays(operation, seed) for seed in (1, 2)]
    results, launches = [], []
    for which in (0, 1, 0, 1):
        if gpu.name == "emulator":
            gpu.cupy.LOG.clear()
        results.append(on_gpu(*map(gpu.array, numbers[which])))
        # What CuPy copies in a call without a plan has kernels in one.
        log = gpu.cupy.LOG if gpu.name == "emulator" else []
        launches.append([launch for launch in log if not launch.name.startswith(("copy_numbers", "fill_numbers"))])
    # A call begins again where its CUDA functions have yet to be compiled.
    launches[0] = launches[0][len(launches[0]) - len(launches[1]) :]
    assert launches[1:] == launches[:-1]
    results = [list(map(gpu.numpy, result)) for result in results]
    for which, result in zip((0, 1, 0, 1), results, strict=True):
        for found, on_cpu in zip(result, operation(*numbers[which]), strict=True):
            assert_close(found, on_cpu, 1e-11)
    for first, then in ((results[0], results[2]), (results[1], results[3])):
        for before, found in zip(first, then, strict=True):
            assert_same_bits(found, before)


def test_what_has_plans(emulated: Gpu) -> None:
    """What is called most often."""
    x, y = (emulated.array(np.random.default_rng(i).standard_normal((3, 70, 2))) for i in (1, 2))
    sig, log, ones = siglib.sig(x, 3), siglib.log_sig(x, 3), emulated.array(np.ones((3, 3)))
    words = [(0, 1), (1, 1, 0)]
    coefs = siglib.sig_coef(x, words, prefixes=True)
    windows, prefixes = siglib.sig_windows(x, 3, 20), siglib.sig_prefixes(x, 3)
    step = emulated.array(np.ones((3, 2)))
    calls = [
        lambda: siglib.sig(x, 3),
        lambda: siglib.sig_combine(sig, sig, 2, 3),
        lambda: siglib.log_sig(x, 3),
        lambda: siglib.sig_backprop(x, sig, sig, 3),
        lambda: siglib.log_sig_backprop(x, log, 3),
        lambda: siglib.sig_coef(x, words),
        lambda: siglib.sig_coef_backprop(x, words, coefs, coefs),
        lambda: siglib.sig_windows(x, 3, 20),
        lambda: siglib.sig_windows_backprop(x, windows, 3, 20),
        lambda: siglib.sig_windows(x, 3, starts=[0, 9, 9], ends=[20, 70, 30]),
        lambda: siglib.sig_windows_backprop(x, windows[:, :2], 3, starts=[0, 9], ends=[20, 70]),
        lambda: siglib.sig_prefixes(x, 3),
        lambda: siglib.sig_prefixes_backprop(x, prefixes, 3),
        lambda: siglib.branched_sig(x, 2),
        lambda: siglib.sig_kernel(x, y, dyadic_order=0),
        lambda: siglib.sig_kernel_backprop(ones[0], x, y, dyadic_order=0, right_deriv=True),
        lambda: siglib.sig_kernel_gram(x, y, dyadic_order=1),
        lambda: siglib.sig_kernel_gram_backprop(ones, x, y, dyadic_order=0, right_deriv=True),
        lambda: siglib.sig_kernel_gram(x, y, dyadic_order=0, static_kernel=siglib.RBFKernel(1.0)),
        lambda: siglib.sig_kernel_gram(x, y, dyadic_order=0, normalize=True),
        lambda: siglib.sig_kernel_gram(x, x, dyadic_order=0, normalize=True),
        lambda: siglib.sig_kernel(x, y, dyadic_order=0, normalize=True),
        lambda: siglib.sig_kernel_gram(x, y, dyadic_order=0, log=True),
        lambda: gradients("sig_kernel", ones[0], ones[0], x, y, normalize=True, numbers=False),
        lambda: gradients("sig_kernel_gram", ones, ones, x, y, normalize=True, numbers=False),
        lambda: gradients("sig_kernel_gram", ones, ones, x, x, normalize=True, numbers=False),
        lambda: siglib.branched_sig_kernel_gram(x, y, 1, dyadic_order=0),
        lambda: siglib.branched_sig_kernel(x, y, 1, dyadic_order=0, normalize=True),
        lambda: siglib.log_sig_combine(log, log, 2, 3),
        lambda: siglib.log_sig_combine_backprop(log, log, log, 2, 3),
        lambda: siglib.log_sig_join(log, step, 2, 3),
        lambda: siglib.log_sig_join_backprop(log, log, step, 2, 3),
        lambda: siglib.logsig_to_sig(log, 2, 3),
        lambda: siglib.logsig_to_sig_backprop(log, sig, 2, 3, method=2),
        lambda: siglib.sig_join(sig, step, 2, 3),
        lambda: siglib.linear_log_sig(step, 2, 3),
    ]
    for call in calls:
        plans.forget()
        call()
        assert not made()
        call()
        assert len(made()) == 1


def test_arrays_that_are_not_alike(gpu: Gpu) -> None:
    """Strides, batch axes, dtypes and options each have a plan of their own."""
    path = np.random.default_rng(3).standard_normal((4, 30, 6))
    kinds = [
        path[:, :, :3],
        path[:, ::2, ::2],
        path[:, ::-1, 3:],
        path[::-1, :15, :3],
        path[:, :15, :3].transpose(0, 2, 1).copy().transpose(0, 2, 1),
        path[:, :15, :3],
        path[:2, :15, :3].astype(np.float32),
        path[0, :15, :3],
        path[:, :15, :3].reshape(2, 2, 15, 3),
    ]
    whole = gpu.array(path)
    single = gpu.array(path.astype(np.float32))
    on_gpu = [
        whole[:, :, :3],
        whole[:, ::2, ::2],
        whole[:, ::-1, 3:],
        whole[::-1, :15, :3],
        gpu.array(path[:, :15, :3].transpose(0, 2, 1)).transpose(0, 2, 1),
        gpu.array(path[:, :15, :3]),
        single[:2, :15, :3],
        gpu.array(path[0, :15, :3]),
        gpu.array(path[:, :15, :3].reshape(2, 2, 15, 3)),
    ]
    for _ in range(3):
        for degree, scalar_term in ((3, False), (3, True), (2, False)):
            for host, device in zip(kinds, on_gpu, strict=True):
                found = gpu.numpy(siglib.sig(device, degree, scalar_term=scalar_term))
                expected = siglib.sig(host, degree, scalar_term=scalar_term)
                assert found.dtype == expected.dtype
                assert_close(found, expected, 1e-5 if host.dtype == np.float32 else 1e-13)
    assert len(made()) == 3 * len(kinds)


def test_devices(emulated: Gpu) -> None:
    """A plan of one device is none for another; a call runs where its arrays are, whichever device is current."""
    path = np.random.default_rng(4).standard_normal((2, 200, 2))
    cupy = emulated.cupy
    for _ in range(3):
        for number in (0, 1):
            with cupy.cuda.Device(number):
                array = cupy.asarray(path)
                cupy.cuda.get_current_stream().synchronize()
            with cupy.cuda.Device(1 - number):
                result = siglib.log_sig(array, 3)
            assert result.device.id == number
            with cupy.cuda.Device(number):
                assert_close(result.get(), siglib.log_sig(path, 3), 1e-12)
    assert len(made()) == 2
    assert {launch.device for launch in cupy.LOG} == {0, 1}


def test_streams(gpu: Gpu) -> None:
    """One plan for all streams, each call on its own."""
    path = random_paths(np.random.default_rng(5), 2, 300, 2)
    streams = [gpu.cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    for _ in range(3):
        for stream in streams:
            with stream:
                assert_close(gpu.numpy(siglib.log_sig(gpu.array(path), 3)), siglib.log_sig(path, 3), 1e-12)
    assert len(made()) == 1
    if gpu.name == "emulator":
        assert {launch.stream for launch in gpu.cupy.LOG} == {stream.ptr for stream in streams}


def test_streams_of_tensors(tensors: Tensors) -> None:
    path = random_paths(np.random.default_rng(6), 2, 300, 2)
    for _ in range(3):
        for _ in range(2):
            with tensors.stream():
                found = siglib.log_sig(tensors.tensor(path), 3)
            assert_close(tensors.numpy(found), siglib.log_sig(path, 3), 1e-12)
    assert len(made()) == 1


def test_a_plan_is_made_while_a_graph_is_captured(tensors: Tensors) -> None:
    """The call before it has copied tables and compiled, so that nothing is left that a graph could not hold."""
    x, y = (np.random.default_rng(i).standard_normal((2, 40, 2)) for i in (1, 2))
    calls = [
        lambda x: siglib.log_sig(x, 3),
        lambda x: siglib.sig_windows(x, 2, 7),
        lambda x: siglib.sig_coef(x, [(0, 1), (1, 1, 0)]),
        lambda x: siglib.branched_sig(x, 2),
        lambda x: siglib.sig_kernel_gram(x, x[:1], dyadic_order=0),
        lambda x: siglib.sig_kernel_gram(x, x[:1], dyadic_order=0, normalize=True),
        lambda x: siglib.log_sig_combine(x[0], x[1], 2, 1),
    ]
    for call in calls:
        plans.forget()
        result = tensors.captured(call, [tensors.tensor(x)], [tensors.tensor(y)])
        assert len(made()) == 1
        assert_close(tensors.numpy(result), call(y), 1e-11)


def test_numbers_of_static_kernels(gpu: Gpu) -> None:
    """They go by value: one plan for all."""
    x = np.random.default_rng(7).standard_normal((3, 9, 2))
    for numbers in ((0.5, 2.0), (1.0, 0.75), (2.0, 1.0), (0.5, 2.0)):
        options = {"dyadic_order": 0, "static_kernel": siglib.RationalQuadraticKernel(*numbers)}
        found = siglib.sig_kernel_gram(gpu.array(x), gpu.array(x + 1), **options)
        assert_close(gpu.numpy(found), siglib.sig_kernel_gram(x, x + 1, **options), 1e-12)
    assert len(made()) == 1


def test_numbers_that_are_tensors(tensors: Tensors) -> None:
    """A step of gradient descent changes the tensor that a static kernel has."""
    torch = tensors.torch
    x = np.random.default_rng(8).standard_normal((3, 9, 2))
    sigma = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    for value in (1.0, 0.5, 2.0):
        with torch.no_grad():
            sigma.fill_(value)
        found = siglib.sig_kernel_gram(
            tensors.tensor(x), tensors.tensor(x + 1), dyadic_order=0, static_kernel=siglib.RBFKernel(sigma)
        )
        options = {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(value)}
        assert_close(tensors.numpy(found), siglib.sig_kernel_gram(x, x + 1, **options), 1e-12)


def test_indices_are_read_in_every_call(gpu: Gpu) -> None:
    """An array of starts that somebody has changed; the same windows have the same plan, whoever holds them."""
    path, starts, ends = np.random.default_rng(9).standard_normal((12, 2)), np.array([0, 2]), np.array([5, 9])
    for shift in (0, 0, 1, 1, 0, -1, 0):
        starts += shift
        for indices in ({"starts": starts, "ends": ends}, {"starts": starts.tolist(), "ends": ends.tolist()}):
            found = siglib.sig_windows(gpu.array(path), 2, **indices)
            assert_close(gpu.numpy(found), siglib.sig_windows(path, 2, **indices), 1e-12)
            derivs = np.ones(found.shape)
            gradient = siglib.sig_windows_backprop(gpu.array(path), gpu.array(derivs), 2, **indices)
            assert_close(gpu.numpy(gradient), siglib.sig_windows_backprop(path, derivs, 2, **indices), 1e-12)
    assert len(made()) == 2 * 3


def test_many_indices_have_no_plan(emulated: Gpu) -> None:
    """They would be kept in its key."""
    path = np.random.default_rng(9).standard_normal((9, 2))
    for n, n_plans in ((1024, 1), (1025, 1)):
        starts = np.arange(n) % 7
        for _ in range(2):
            found = siglib.sig_windows(emulated.array(path), 1, starts=starts, ends=starts + 2)
        assert_close(emulated.numpy(found), siglib.sig_windows(path, 1, starts=starts, ends=starts + 2), 1e-12)
        assert len(made()) == n_plans


def test_plans_go_with_their_tables(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    path = emulated.array(np.random.default_rng(10).standard_normal((2, 20, 3)))
    expected = emulated.numpy(siglib.log_sig(path, 3))

    def plan() -> plans.Plan:
        siglib.log_sig(path, 3)
        assert_same_bits(emulated.numpy(siglib.log_sig(path, 3)), expected)
        (found,) = made()
        return found

    first = plan()
    assert plan() is first
    siglib.clear_cache()
    assert not made()
    second = plan()
    assert second is not first
    with monkeypatch.context() as patch:
        patch.setattr(constants._constants, "most_bytes", 1)
        siglib.log_sig(path, 4)  # its tables take the place of the others
    assert second not in made()
    third = plan()
    with monkeypatch.context() as patch:
        patch.setattr(window_plan, "_KEPT_WINDOWS", 20)
        for n in (3, 4, 5):
            siglib.sig_windows(path, 2, n)
    assert third not in made()


def test_few_plans_are_kept(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_MOST_PLANS", 4)
    for n in range(2, 12):
        path = np.random.default_rng(n).standard_normal((n, 3))
        for _ in range(3):
            assert_close(emulated.numpy(siglib.sig(emulated.array(path), 2)), siglib.sig(path, 2), 1e-13)
        assert len(plans._plans) <= 4


def test_threads_share_plans(emulated: Gpu) -> None:
    """Arguments are made for each call: none has the addresses of another."""
    paths = np.random.default_rng(11).standard_normal((8, 2, 150, 2))
    arrays, found = list(map(emulated.array, paths)), [None] * 8
    for _ in range(2):
        siglib.log_sig(arrays[0], 3)
    together = threading.Barrier(8)

    def work(i: int) -> None:
        together.wait()
        for _ in range(5):
            found[i] = siglib.log_sig(arrays[i], 3)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path, result in zip(paths, found, strict=True):
        assert_close(emulated.numpy(result), siglib.log_sig(path, 3), 1e-12)
    assert len(made()) == 1


def test_errors_of_arguments(emulated: Gpu) -> None:
    """The same with and without a plan, and a call that is right has one all the same."""
    path = emulated.array(np.ones((5, 2)))
    for _ in range(3):
        with pytest.raises(ValueError, match="sig must have"):
            siglib.sig_backprop(path, path[0], path[0], 3)
        siglib.sig(path, 3)
    assert len(made()) == 1


@pytest.mark.parametrize("seed", range(20))
def test_scratch_memory_is_apart(seed: int) -> None:
    """Of arrays that are there at one time; and no more is asked for than all of them take."""
    rng = np.random.default_rng(seed)
    recorder = recording.Recorder()
    arrays = [recorder.array(int(n), np.float32) for n in rng.integers(0, 1000, 12)]
    for _ in range(20):
        some = rng.choice(12, 3, replace=False)
        recorder.launch("f", "g", (1,), (1,), 0, {str(i): arrays[i][1:] for i in some})
    places: dict[int, tuple[int, int]] = {0: (0, 0)}
    ((n_bytes, _),) = plans._put_scratch(recorder.steps, places)
    used = {
        i: [k for k, step in enumerate(recorder.steps) if str(i) in step.args]  # type: ignore[union-attr]
        for i in range(1, 12)
    }
    used = {i: steps for i, steps in used.items() if steps}
    assert places.keys() == {0, *used}
    assert n_bytes <= sum(-(-max(arrays[i].nbytes, 1) // 256) * 256 for i in used)
    for i, steps in used.items():
        begin, end = places[i][1], places[i][1] + arrays[i].nbytes
        assert places[i][0] == 1
        assert begin % 256 == 0
        assert end <= n_bytes
        for j, others in used.items():
            if i < j and steps[0] <= others[-1] and others[0] <= steps[-1]:
                assert end <= places[j][1] or places[j][1] + arrays[j].nbytes <= begin


def test_recorded_arrays_are_like_others() -> None:
    """Views are where NumPy has them; whatever needs numbers is refused."""
    recorder = recording.Recorder()
    real = np.zeros((4, 5, 6), np.float32)[:, ::2, ::-1]
    array = recorder.argument(real.shape, real.dtype, real.strides)
    for index in (1, slice(1, None), (0, 2), (slice(None), None, 1), (..., 3), (slice(0, 0),), ()):
        view, expected = array[index], np.asarray(real[index])
        assert (view.shape, view.dtype) == (expected.shape, expected.dtype)
        assert view.size == expected.size
        if view.size:
            assert view.strides == expected.strides
            assert view.place.offset == expected.ctypes.data - real.ctypes.data
    whole = recorder.array((4, 6), np.float64)
    assert whole.reshape(2, -1).shape == (2, 12)
    assert whole[1:].place.offset == 48
    assert whole.is_whole
    assert not whole[1:].is_whole
    assert len(whole) == 4
    uses: list[Any] = [
        lambda: np.asarray(whole),
        lambda: np.isfinite(whole),
        lambda: whole + 1,
        lambda: whole == whole,  # noqa: PLR0124
        lambda: bool(whole),
        lambda: list(whole),
        lambda: float(whole[0, 0]),
        lambda: whole[np.array([0])],
        lambda: whole[:, ::2].reshape(-1),
        lambda: whole.__setitem__(0, np.ones(6)),
        lambda: recorder.functions.where(whole, 0, 1),
    ]
    for use in uses:
        with pytest.raises((recording.NotPlannedError, TypeError)):
            use()
    assert not recorder.steps


def test_launchers_leave_arrays_to_the_recorder() -> None:
    """What a launcher made by itself would be in a plan, for all calls: only those that keep tables may."""
    folder = Path(plans.__file__).parent
    asks = {
        file.stem
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cupy"
    }
    assert asks == {"_launch", "constants", "window_plan"}


def test_copies_in_plans(emulated: Gpu) -> None:
    """Arrays of any strides and types are copied as CuPy does; those of more axes than a kernel takes are left to it."""
    rng = np.random.default_rng(12)
    whole = rng.standard_normal((2, 3, 4, 6, 6))
    kinds = [
        lambda a: a[0, 0, ::-1, :, 0],
        lambda a: a[:, 1:, ::2, 0].swapaxes(0, 2),
        lambda a: a[::-1, :, 0, :, 0].swapaxes(0, 1),
        lambda a: a[:, ::2, 1:3, ::5].swapaxes(0, 1),
    ]
    n_plans = 0
    for dtype in (np.float32, np.float64):
        on_host = whole.astype(dtype)
        on_gpu = emulated.array(on_host)
        for kind in kinds:
            # Method 2 is computed in float64.
            for _ in range(3):
                found = siglib.logsig_to_sig(kind(on_gpu), 6, 1, method=2)
            assert_same_bits(emulated.numpy(found), siglib.logsig_to_sig(kind(on_host), 6, 1, method=2))
            n_plans += kind(on_host).ndim < 5
            assert len(made()) == n_plans


def test_copies_onto_themselves_have_no_plan() -> None:
    recorder = recording.Recorder()
    numbers = recorder.array((4, 6), "float32")
    copies.launch_of(recording.Assign(numbers[:2], numbers[2:]))
    copies.launch_of(recording.Assign(numbers[1:], recorder.array((3, 6), "float32")))
    with pytest.raises(recording.NotPlannedError):
        copies.launch_of(recording.Assign(numbers[1:], numbers[:-1]))


@pytest.mark.parametrize("layout", ["pairs", "all", "one sample"])
def test_gradients_of_normalised(gpu: Gpu, layout: str) -> None:
    """The bits of the first call, and other numbers."""
    rng = np.random.default_rng(13)
    name, shape = ("sig_kernel", (3,)) if layout == "pairs" else ("sig_kernel_gram", (3, 3))
    found = []
    numbers = [(rng.standard_normal((2, *shape)), rng.standard_normal((2, 3, 5, 2))) for _ in range(2)]
    for which in (0, 1, 0, 1):
        (derivs, out), (x, y) = numbers[which]
        x_there = gpu.array(x)
        second, second_there = (x, x_there) if layout == "one sample" else (y, gpu.array(y))
        options = {"normalize": True, "numbers": False}
        result = gradients(name, gpu.array(derivs), gpu.array(out), x_there, second_there, **options)
        expected = gradients(name, derivs, out, x, second, **options)
        found.append([gpu.numpy(part) for part in result[:2]])
        for gradient, on_cpu in zip(found[-1], expected, strict=False):
            assert_close(gradient, on_cpu, 1e-11)
    assert len(made()) == 1
    for first, then in ((found[0], found[2]), (found[1], found[3])):
        for before, after in zip(first, then, strict=True):
            assert_same_bits(after, before)
