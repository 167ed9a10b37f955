"""From arrays on a GPU to kernels: devices, streams, memory, dtypes, and what is refused."""

import subprocess
import sys
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest
from checking import assert_same_bits, optional
from emu.emulator import EmulatorError
from gpu import Gpu, tensors_on_gpu

import siglib
from siglib._call.backend import backend_for
from siglib._gpu import _launch


def test_result_is_of_the_callers_library(gpu: Gpu) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        out = siglib.transform_path(gpu.array(np.ones((3, 2), dtype)), time_aug=True)
        assert type(out) is gpu.cupy.ndarray
        assert out.dtype == dtype
    assert siglib.transform_path(gpu.array(np.ones((3, 2), int))).dtype == np.float64


def test_the_arrays_device_is_used(emulated: Gpu) -> None:
    """Whatever device is the current one."""
    with emulated.cupy.cuda.Device(1):
        path = emulated.array(np.ones((3, 2)))
    out = siglib.transform_path(path)
    assert out.device.id == 1
    assert [launch.device for launch in emulated.cupy.LOG] == [1]
    siglib.transform_path(emulated.array(np.ones((3, 2))))
    assert [launch.device for launch in emulated.cupy.LOG] == [1, 0]


def test_what_is_refused(gpu: Gpu) -> None:
    path = gpu.array(np.ones(2))
    for other in (np.ones(2), [1.0, 2.0]):
        with pytest.raises(TypeError, match="one library, got sig1: .*ndarray on <CUDA Device 0>, sig2: "):
            siglib.sig_combine(path, other, 2, 1)
    with pytest.raises(TypeError, match=r"share a dtype, got sig1: float64, sig2: float32"):
        siglib.sig_combine(path, path.astype(np.float32), 2, 1)
    with pytest.raises(TypeError, match="path must be an array of real numbers, .* complex128"):
        siglib.transform_path(gpu.array(np.ones((3, 2), complex)))


def test_one_device_for_a_call(emulated: Gpu) -> None:
    with emulated.cupy.cuda.Device(1):
        other = emulated.array(np.ones(2))
    with pytest.raises(TypeError, match="one device, got sig1: .* on <CUDA Device 0>, sig2: .* on <CUDA Device 1>"):
        siglib.sig_combine(emulated.array(np.ones(2)), other, 2, 1)


def test_nothing_is_launched_for_empty_batches(emulated: Gpu) -> None:
    siglib.transform_path(emulated.array(np.ones((0, 3, 2))))
    assert emulated.cupy.LOG == []


def test_options_may_be_numbers_of_any_type(gpu: Gpu) -> None:
    path = np.linspace(0, 1, 12).reshape(6, 2) ** 2
    for options in (
        {"time_aug": np.True_, "lead_lag": True, "end_time": 2},
        {"time_aug": True, "end_time": np.float32(0.5)},
        {"lead_lag": np.True_, "end_time": np.int16(3)},
    ):
        out = gpu.numpy(siglib.transform_path(gpu.array(path), **options))
        assert_same_bits(out, siglib.transform_path(path, **options))
        for degree in (np.int32(2), np.uint8(3)):
            out = gpu.numpy(siglib.sig(gpu.array(path), degree, **options, scalar_term=np.True_))
            np.testing.assert_allclose(out, siglib.sig(path, degree, **options, scalar_term=True), atol=1e-14)
    out = gpu.numpy(siglib.sig_combine(gpu.array(path), gpu.array(path), np.int32(2), np.int8(1)))
    assert_same_bits(out, siglib.sig_combine(path, path, 2, 1))


def test_grids_beyond_the_limit(emulated: Gpu) -> None:
    with pytest.raises(ValueError, match="too large"):
        _launch.launch("path.cu", "transform_path<float>", 2**31, 1)
    with pytest.raises(ValueError, match="too large"):
        _launch.launch("path.cu", "transform_path<float>", (1, 2**16), 1)


def test_arguments_go_by_name(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order; those that a kernel does not have, or has and does not get, are named."""
    source = """
        template <typename T, int N>
        __global__ void __launch_bounds__(64)
            fill(T* __restrict__ grid, const T* file, long long first, double shared) {
            if (threadIdx.x < N) grid[first + threadIdx.x] = file[0] + (T)shared;
        }
        """
    monkeypatch.setattr("siglib._gpu._source.read", lambda name: source)
    x = emulated.cupy.zeros(4)
    _launch.launch("any.cu", "fill<double, 2>", 1, 32, shared=0.5, first=1, file=x + 1, grid=x)
    assert x.get().tolist() == [0, 1.5, 1.5, 0]
    _launch.launch_each(33, "any.cu", "fill<double, 1>", 32, grid=x, file=x + 1, first=0, shared=2.0)
    assert x.get().tolist() == [3, 1.5, 1.5, 0]
    assert emulated.cupy.LOG[-1][1:3] == ((2,), (32,))
    for args, message in (
        ({"grid": x, "first": 1}, r"arguments of fill<double, 2> in any.cu: file, shared missing$"),
        ({"grid": x, "file": x, "first": 1, "shared": 0.5, "block": 1, "n": 2}, r": block, n unknown$"),
        ({"grid": x, "file": x, "other": 1, "shared": 0.5}, r": first missing; other unknown$"),
    ):
        with pytest.raises(TypeError, match=message):
            _launch.launch("any.cu", "fill<double, 2>", 1, 32, **args)
    with pytest.raises(ValueError, match=r"there is no kernel full in any\.cu"):
        _launch.launch("any.cu", "full<double>", 1, 32)


def test_constants_are_copied_once(emulated: Gpu) -> None:
    known = {n: (np.arange(n), np.ones(2)) for n in (2, 3)}
    on, _ = backend_for(path=emulated.array(np.ones((3, 2))))
    first = on.constant(known.get, 3)
    assert_same_bits(emulated.numpy(first[0]), known[3][0])
    assert on.constant(known.get, 3)[1] is first[1]
    assert on.constant(known.get, 2)[0].shape == (2,)
    known[3] = (np.arange(4),)
    assert_same_bits(emulated.numpy(on.constant(known.get, 3)[0]), np.arange(4))


@pytest.fixture
def torch(emulated: Gpu) -> Any:
    return optional("torch")


def test_tensors(emulated: Gpu, torch: Any, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """On the stream of PyTorch's; results are tensors."""
    stream = tensors_on_gpu(monkeypatch, torch)
    path = rng.standard_normal((4, 5, 3))
    for given in (torch.from_numpy(path), torch.from_numpy(path)[:, :, ::2], torch.from_numpy(path).mT):
        out = siglib.transform_path(given, time_aug=True, lead_lag=True)
        assert type(out) is torch.Tensor
        assert_same_bits(out.numpy(), siglib.transform_path(given.numpy(), time_aug=True, lead_lag=True))
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}
    half = siglib.transform_path(torch.from_numpy(path).to(torch.bfloat16))
    assert half.dtype is torch.bfloat16


def test_gradients_of_tensors(emulated: Gpu, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors_on_gpu(monkeypatch, torch)
    path = torch.rand(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: siglib.transform_path(x, time_aug=True, lead_lag=True), path)
    assert emulated.cupy.LOG


def test_operations_on_tensors(
    emulated: Gpu, torch: Any, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Scratch memory comes from PyTorch's allocator, on the device and for the stream of the tensors."""
    stream = tensors_on_gpu(monkeypatch, torch)
    sizes = []
    empty = torch.empty

    def counted(*shape: Any, dtype: Any, device: Any) -> Any:
        if dtype is torch.uint8:
            sizes.append(shape[0])
        return empty(*shape, dtype=dtype, device=device)

    monkeypatch.setattr(torch, "empty", counted)
    path = rng.standard_normal((2, 300, 6)) / 20
    out = siglib.sig(torch.from_numpy(path), 3)
    assert type(out) is torch.Tensor
    np.testing.assert_allclose(out.numpy(), siglib.sig(path, 3), rtol=0, atol=1e-14)
    assert sizes
    assert {launch.stream for launch in emulated.cupy.LOG} == {stream}
    a, b = (torch.rand(2, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda x, y: siglib.sig_combine(x, y, 2, 2), (a, b))


def test_compiled_programs(emulated: Gpu, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operators that torch.compile calls launch the same kernels."""
    tensors_on_gpu(monkeypatch, torch)
    compiled = torch.compile(lambda x: siglib.sig(x, 2).sum(), fullgraph=True, backend="aot_eager")
    path = torch.rand(2, 4, 2, dtype=torch.float64)
    assert abs(compiled(path) - siglib.sig(path.numpy(), 2).sum()) < 1e-12
    assert emulated.cupy.LOG


def test_tensors_need_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = optional("torch")
    tensors_on_gpu(monkeypatch, torch)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match=r"pathsiglib\[cuda12\].*pathsiglib\[cuda13\].*got path: torch.Tensor on cpu"):
        siglib.transform_path(torch.ones(3, 2))


def test_numpy_arrays_load_nothing_of_it() -> None:
    code = """
        import sys, siglib
        siglib.transform_path([[0, 0], [1, 2]])
        print([name for name in sys.modules if name.startswith("siglib._gpu") or name == "cupy"])
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The stand-in for CuPy is strict where CuPy is not.


def test_the_stand_in_checks_launches(emulated: Gpu) -> None:
    cupy = emulated.cupy
    source = "__global__ void fill(double* x, long long n) { if (threadIdx.x < n) x[threadIdx.x] = 1; }"
    kernel = cupy.RawModule(code=source, options=(), name_expressions=("fill",)).get_function("fill")
    x = cupy.empty(3)
    for grid, block, options, message in (
        ((0,), (32,), {}, "outside of 1"),
        ((1, 65536), (32,), {}, "outside of 1"),
        ((1,), (2048,), {}, "outside of 1"),
        ((1,), (1024, 2), {}, "more than 1024 threads"),
        ((1,), (32,), {"shared_mem": 50000}, "not asked for"),
    ):
        with pytest.raises(ValueError, match=message):
            kernel(grid, block, (x, 3), **options)
    with pytest.raises(TypeError, match="tuple of int"):
        kernel((np.int64(1),), (32,), (x, 3))
    with pytest.raises(TypeError, match="Unsupported type"):
        kernel((1,), (32,), (np.zeros(3), 3))
    with pytest.raises(TypeError, match="Unsupported type"):
        kernel((1,), (32,), (np.zeros((), [("x", float)]), 3))
    with pytest.raises(EmulatorError, match="has not been written"):
        x.get()
    kernel((1,), (32,), (x, 3))
    assert x.get().tolist() == [1, 1, 1]
    with cupy.cuda.Device(1), pytest.raises(ValueError, match="device 0 runs on device 1"):
        kernel((1,), (32,), (x, 3))
    with pytest.raises(TypeError, match="options must be a tuple"):
        cupy.RawModule(code=source, options=[], name_expressions=("fill",))


def test_the_stand_in_knows_the_arrays_of_structs(emulated: Gpu) -> None:
    """Whose addresses were asked for last, and what of them was written."""
    cupy = emulated.cupy
    source = """
        template <typename T>
        struct Numbers {
            const T* x;
            long long n;
        };
        template <typename T>
        __global__ void total(const Numbers<T> numbers, T* out) {
            T sum = 0;
            for (long long i = 0; i < numbers.n; i++) sum += numbers.x[i];
            out[0] = sum;
        }
        """
    cupy.MODE = "check"
    module = cupy.RawModule(code=source, options=(), name_expressions=("total<float>",))
    kernel = module.get_function("total<float>")
    numbers, out = cupy.asarray(np.arange(6, dtype=np.float32)), cupy.empty(1, np.float32)
    layout = np.dtype([("x", np.uintp), ("n", np.int64)])
    for x, n, expected in ((numbers, 6, 15), (numbers[2:], 4, 14), (numbers[:2], 2, 1)):
        kernel((1,), (1,), (np.array((x.data.ptr, n), layout)[()], out))
        assert out.get().tolist() == [expected]
    fresh = cupy.empty(2, np.float32)
    for x, n, message in (
        (numbers[:2], 3, "reads outside of all arrays"),
        (fresh, 1, "reads byte 0 of argument 0, which nobody has written"),
        (cupy.empty(2), 1, "argument 0, x must be an array of float32"),
    ):
        with pytest.raises(EmulatorError, match=message):
            kernel((1,), (1,), (np.array((x.data.ptr, n), layout)[()], out))
    with cupy.cuda.Device(1):
        other = cupy.zeros(1, np.float32)
    with pytest.raises(ValueError, match="an array of device 1 goes to a kernel on device 0"):
        kernel((1,), (1,), (np.array((other.data.ptr, 1), layout)[()], out))


def test_the_stand_in_knows_what_was_written(emulated: Gpu) -> None:
    cupy = emulated.cupy
    x = cupy.empty((4, 3))
    x[1:3, ::2] = 7
    assert x[1, 0].get() == 7
    assert x[2, 2].get() == 7
    for index in ((0,), (1, 1), (slice(1, 3),)):
        with pytest.raises(EmulatorError, match="has not been written"):
            x[index].get()
    for convert in (np.asarray, float, bool, int, lambda a: a.item()):
        with pytest.raises((EmulatorError, TypeError)):
            convert(x[1, 0])


def test_warnings_of_cupy_are_no_errors() -> None:
    for module in ("cupy", "cupy._core.core", "cupy.cuda.compiler"):
        with warnings.catch_warnings(record=True) as seen:
            warnings.warn_explicit("slow", RuntimeWarning, "compiler.py", 1, module)
        assert len(seen) == 1


def test_shared_memory_is_asked_for(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 48 KiB, once for each device and each kernel that needs more."""
    source = """
        template <typename T>
        __global__ void last(T* x, long long n) {
            extern __shared__ unsigned char bytes[];
            T* s = reinterpret_cast<T*>(bytes);
            s[n - 1 - threadIdx.x] = threadIdx.x;
            x[threadIdx.x] = s[n - 1 - threadIdx.x];
        }
        """
    monkeypatch.setattr("siglib._gpu._source.read", lambda name: source)
    for device in (0, 1):
        with emulated.cupy.cuda.Device(device):
            x = emulated.cupy.empty(2)
            for n in (10, 8000, 7000, 12000):
                _launch.launch("any.cu", "last<double>", 1, 2, 8 * n, x=x, n=n)
                assert x.get().tolist() == [0, 1]
            with pytest.raises(ValueError, match="shared memory"):
                _launch.launch("any.cu", "last<double>", 1, 2, 100 << 10, x=x, n=10)


def test_static_shared_memory_counts(emulated: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Towards the 48 KiB that need not be asked for, and towards all that there is."""
    source = """
        template <typename T>
        __global__ void first(T* x, long long n) {
            extern __shared__ unsigned char bytes[];
            __shared__ T own[50];
            T* s = reinterpret_cast<T*>(bytes);
            own[threadIdx.x] = s[n - 1 - threadIdx.x] = threadIdx.x;
            x[threadIdx.x] = own[threadIdx.x];
        }
        """
    monkeypatch.setattr("siglib._gpu._source.read", lambda name: source)
    kernel = emulated.cupy.RawModule(code=source, options=(), name_expressions=("first<double>",))
    assert kernel.get_function("first<double>").shared_size_bytes == 400
    for n_bytes in (48 << 10, _launch.most_shared()):
        x = emulated.cupy.empty(2)
        with pytest.raises(ValueError, match="not asked for"):
            kernel.get_function("first<double>")((1,), (2,), (x, n_bytes // 8), shared_mem=n_bytes)
        _launch.launch("any.cu", "first<double>", 1, 2, n_bytes, x=x, n=n_bytes // 8)
        assert x.get().tolist() == [0, 1]
    with pytest.raises(ValueError, match="static arrays, are more than there is"):
        _launch.launch("any.cu", "first<double>", 1, 2, 99 << 10, x=x, n=10)
