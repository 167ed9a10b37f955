"""The emulator itself: what it computes, and that it finds the mistakes it is there to find."""

import numpy as np
import pytest
from emu import emulator
from emu.emulator import Buffer, EmulatorError, Struct, build

pytestmark = pytest.mark.skipif(not emulator.available(), reason="g++ is not installed")

# One kernel, and one of the lines at a time that is wrong with it.
SOURCE = """
template <typename T>
__device__ T* dyn_smem() {
    extern __shared__ __align__(16) unsigned char bytes[];
    return reinterpret_cast<T*>(bytes);
}
template <typename T>
__global__ void __launch_bounds__(64) total(const T* __restrict__ x, T* __restrict__ out, long long n, double scale) {
    T* each = dyn_smem<T>();
    __shared__ T warps[2];
    int local[4] = {0, 1, 2, 3};
    const int t = threadIdx.x, lane = t % 32;
    each[t] = 0;
    for (long long i = blockIdx.x * 64 + t; i < n; i += 64 * gridDim.x) each[t] += x[i] * (T)scale;
    /*1*/__syncthreads();
    T sum = each[64 - 1 - t];
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, by);
    if (lane == 0) warps[t / 32] = sum;
    /*2*/__syncthreads();
    if (t == 0) out[blockIdx.x] = warps[0] + warps[1] + local[t % 4];
}
"""


def run(source: str, mode: str, n: int = 1000, threads: int = 64, shared: int = 512, **options: bool) -> np.ndarray:
    out = np.zeros(3)
    library = build(source, ("total<float>", "total<double>"), mode)
    library.launch("total<double>", (3, 1, 1), (threads, 1, 1), (np.arange(1000.0), out, n, 2.0), shared, **options)
    return out


@pytest.mark.parametrize("mode", ["exact", "check"])
@pytest.mark.parametrize("falling", [False, True])
def test_a_correct_kernel(mode: str, falling: bool) -> None:
    expected = [2 * sum(np.arange(1000.0)[64 * b + 192 * k :][:64].sum() for k in range(6)) for b in range(3)]
    np.testing.assert_allclose(run(SOURCE, mode, falling=falling), expected, rtol=1e-14)


WORDS = """
__global__ void words(int* out) {
    const int lane = threadIdx.x % 32;
    int* mine = out + 16 * threadIdx.x;
    mine[0] = __shfl_sync(0xffffffffu, lane, 5);
    mine[1] = __shfl_up_sync(0xffffffffu, lane, 3);
    mine[2] = __shfl_down_sync(0xffffffffu, lane, 3);
    mine[3] = __shfl_xor_sync(0xffffffffu, lane, 3);
    mine[4] = (int)__ballot_sync(0xffffffffu, lane < 4);
    mine[5] = __any_sync(0xffffffffu, threadIdx.x == 1);
    mine[6] = __all_sync(0xffffffffu, threadIdx.x != 1);
    mine[7] = __syncthreads_or(threadIdx.x == 1);
    mine[8] = __syncthreads_and(threadIdx.x != 1);
    mine[9] = __syncthreads_count(lane < 3);
    mine[10] = __popc(lane);
    mine[11] = threadIdx.x + 100 * blockIdx.x + 1000 * blockIdx.y + 10000 * gridDim.y;
    const double twice = __shfl_xor_sync(0xffffffffu, lane * 0.5, 1);
    mine[12] = (int)(2 * twice);
    mine[13] = __clz(threadIdx.x + 1);
    mine[14] = ilogb(ldexp(1.0, lane));
    mine[15] = warpSize * blockDim.x;
}
"""


def test_words_of_cuda() -> None:
    out = np.zeros((64, 16), np.int32)
    build(WORDS, ("words",), "check").launch("words", (1, 1, 1), (64, 1, 1), (out,))
    for t, row in enumerate(out.tolist()):
        lane = t % 32
        expected = [5, max(lane - 3, 0) if lane >= 3 else lane, lane + 3 if lane < 29 else lane, lane ^ 3, 15]
        expected += [int(t < 32), int(t >= 32), 1, 0, 6, lane.bit_count(), t + 10000, lane ^ 1]
        assert row == [*expected, 32 - (t + 1).bit_length(), lane, 32 * 64]


# Old text, new text, what the report says.
BUGS = {
    "no barrier before a read": ("/*1*/__syncthreads();", "", "race|nobody has written"),
    "only its warp waits": ("/*1*/__syncthreads();", "__syncwarp();", "race|nobody has written"),
    "a shuffle is no barrier": (
        "/*1*/__syncthreads();\n    T sum = each[64 - 1 - t];",
        "T sum = __shfl_sync(0xffffffffu, each[t], 0) * each[t ^ 1];",
        "race|nobody has written",
    ),
    "no barrier after a write": ("/*2*/__syncthreads();", "", "race|nobody has written"),
    "a read behind the end": ("x[i] *", "x[i + 8] *", "reads outside of all arrays .*argument 0, which has 8000 bytes"),
    "a write behind the end": ("out[blockIdx.x] =", "out[blockIdx.x + 1] =", "writes outside of all .*argument 1"),
    "all blocks write one number": ("out[blockIdx.x] =", "out[0] =", "race: writes byte 0 of argument 1"),
    "shared memory not written": ("each[t] = 0;", "", "reads byte .* of dynamic shared memory .* nobody has written"),
    "behind shared memory": ("each[t] = 0;", "each[t] = 0; each[t + 1] = 0;", "race|writes outside"),
    "behind a static shared array": ("warps[t / 32] = sum", "warps[t / 32 + 1] = sum", "outside|undefined"),
    "behind a local array": ("local[t % 4]", "local[t % 4 + 4]", "undefined behaviour: an index outside of its array"),
    "a thread leaves": ("/*1*/", "if (t == 7) return; /*1*/", "thread 7 has left the kernel"),
    "a lane stays away": ("sum += __shfl", "if (lane != 3) sum += __shfl", "thread 3|thread 0 waits"),
    "barriers in two places": ("/*1*/__syncthreads();", "if (t < 32) __syncthreads();\n else __syncthreads();", "waits at"),
    "not all lanes in the mask": ("0xffffffffu, sum, by", "0xffffu, sum, by", "only full warps"),
    "misaligned": ("each[t] = 0;", "each[t] = reinterpret_cast<const double2*>(x + 1)->x * 0;", "misaligned"),
    "overflow": ("each[t] = 0;", "each[t] = (T)(2147483647 + t);", "overflow of a sum"),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_are_reported(bug: str) -> None:
    old, new, message = BUGS[bug]
    assert old in SOURCE
    with pytest.raises(EmulatorError, match=message):
        run(SOURCE.replace(old, new), "check")


def test_reports_name_lines() -> None:
    line = 1 + SOURCE[: SOURCE.index("out[blockIdx.x] =")].count("\n")
    with pytest.raises(EmulatorError, match=rf"block \(1, 0, 0\), thread \(0, 0, 0\): race: .*:{line}\).*:{line}\)"):
        run(SOURCE.replace("out[blockIdx.x] =", "out[0] ="), "check")


def test_launch_bounds() -> None:
    with pytest.raises(EmulatorError, match="launch bounds of 64 threads and runs with 96"):
        run(SOURCE, "exact", threads=96, shared=1000)


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (0, np.zeros(3, np.float32), "argument 0 must be an array of float64 for const double\\*, got float32"),
        (0, 1.0, "argument 0 must be an array"),
        (2, np.int32(3), "argument 2 is a int32 and the kernel takes long long"),
        (2, 3.0, "argument 2 is a float64"),
        (3, 3, "argument 3 is a int64 and the kernel takes double"),
        (3, True, "argument 3 must be a number"),
    ],
)
def test_arguments_are_checked(index: int, value: object, message: str) -> None:
    arguments = [np.zeros(3), np.zeros(3), 3, 1.0]
    arguments[index] = value
    library = build(SOURCE, ("total<double>",), "exact")
    with pytest.raises(EmulatorError, match=message):
        library.launch("total<double>", (1, 1, 1), (64, 1, 1), arguments, 512)
    with pytest.raises(EmulatorError, match="has 4 parameters, got 3 arguments"):
        library.launch("total<double>", (1, 1, 1), (64, 1, 1), arguments[:3], 512)
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    with pytest.raises(EmulatorError, match="argument 1 is read-only"):
        library.launch("total<double>", (1, 1, 1), (64, 1, 1), [np.zeros(3), read_only, 3, 1.0], 512)


def test_structs_are_checked() -> None:
    """Their members by name, type and place; and that pointers are addresses of arrays."""
    source = """
        template <typename T>
        struct Line {
            const T* x;
            int first, last;  // a comment; with another sign
            bool scaled;
            double scale;
        };
        template <typename T>
        __global__ void copy(T* y, const Line<T> line) {
            for (int i = line.first; i <= line.last; i++) y[i] = line.x[i] * (line.scaled ? line.scale : 1);
        }
        """
    members = [("x", np.uintp), ("first", np.int32), ("last", np.int32), ("scaled", bool), ("scale", float)]
    library = build(source, ("copy<double>",), "check")
    assert library.types["copy<double>"] == ["double*", "Line<double>"]
    x, y = np.arange(4.0), np.zeros(4)

    def launch(value: object) -> None:
        library.launch("copy<double>", (1, 1, 1), (1, 1, 1), (y, value))

    def line(members: list, last: int = 2, at: int = x.ctypes.data, align: bool = True) -> np.void:
        return np.array((at, 1, last, True, 0.5), np.dtype(members, align=align))[()]

    launch(Struct(line(members), {"x": x}))
    assert y.tolist() == [0, 0.5, 1, 0]
    for wrong in (
        line(members, align=False),
        line([*members[:4], ("length", float)]),
        line([members[0], members[2], members[1], *members[3:]]),
        line([*members[:3], ("scaled", np.int64), members[4]]),
    ):
        with pytest.raises(EmulatorError, match="argument 1 must be a struct of .* for Line<double>, got"):
            launch(Struct(wrong, {"x": x}))
    with pytest.raises(EmulatorError, match="for Line<double>, got int"):
        launch(3)
    for at, arrays in ((x.ctypes.data, {}), (x.ctypes.data + 8, {"x": x})):
        with pytest.raises(EmulatorError, match="argument 1, x is the address of no array"):
            launch(Struct(line(members, at=at), arrays))
    with pytest.raises(EmulatorError, match="argument 1, x must be an array of float64 for const double"):
        launch(Struct(line(members), {"x": x.astype(np.float32)}))
    with pytest.raises(EmulatorError, match="reads outside of all arrays"):
        launch(Struct(line(members, last=4), {"x": x}))


def test_arrays_nobody_has_written() -> None:
    source = "__global__ void copy(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }"
    library = build(source, ("copy",), "check")
    x, y = np.zeros(4, np.float32), np.zeros(4, np.float32)
    marks_x, marks_y = np.array([1, 1, 1, 0], np.uint8), np.zeros(4, np.uint8)
    arguments = (Buffer(x, marks_x, x.ctypes.data), Buffer(y, marks_y, y.ctypes.data))
    library.launch("copy", (1, 1, 1), (3, 1, 1), arguments)
    assert marks_y.tolist() == [1, 1, 1, 0]
    with pytest.raises(EmulatorError, match="reads byte 12 of argument 0, which nobody has written"):
        library.launch("copy", (1, 1, 1), (4, 1, 1), arguments)


def test_what_the_compiler_refuses() -> None:
    with pytest.raises(emulator.BuildError, match="kernel.cu:1.*undefined_name"):
        build("__global__ void broken(float* x) { x[0] = undefined_name; }", ("broken",))
