"""Results in memory of the caller's, and on disk: `out=` and `gram_to_file`."""

import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import optional

import siglib
from siglib._call import block_sizes
from siglib._call.operation import OPERATIONS


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few paths, whatever they take."""
    for name, value in {"_STEP_SECONDS": 1e-9, "_STEP_ITEMS": 4, "_STEP_SIDE": 4, "_TASK_SECONDS": 1e-9}.items():
        monkeypatch.setattr(block_sizes, name, value)


def paths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).cumsum(-2) / shape[-2] ** 0.5


def calls(x: np.ndarray) -> list[Callable[..., Any]]:
    return [
        lambda **o: siglib.sig(x, 3, **o),
        lambda **o: siglib.sig(x, 2, stream=True, **o),
        lambda **o: siglib.sig(x, 2, correction=[0.5] * x.shape[-1] ** 2, **o),
        lambda **o: siglib.log_sig(x, 3, **o),
        lambda **o: siglib.sig_windows(x, 2, 3, **o),
        lambda **o: siglib.log_sig_windows(x, 2, 3, **o),
        lambda **o: siglib.log_sig_windows(x, 2, starts=[0, 3], ends=[2, 6], **o),
        lambda **o: siglib.sig_prefixes(x, 2, **o),
        lambda **o: siglib.sig_kernel_gram(x, x, dyadic_order=1, normalize=True, **o),
        lambda **o: siglib.sig_kernel_gram(x, x[..., :4, :], dyadic_order=1, return_grid=True, **o),
    ]


# out=


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", [(11, 6, 2), (2, 5, 6, 2), (6, 2), (0, 6, 2)], ids=str)
@pytest.mark.parametrize("name", ["float64", "float32", "float16"])
def test_results_are_written_to_out(
    name: str, shape: tuple[int, ...], rng: np.random.Generator, tmp_path: Path
) -> None:
    for i, call in enumerate(calls(paths(rng, *shape).astype(name))):
        expected = call()
        out = np.full(expected.shape, 7, expected.dtype)
        assert call(out=out) is out
        assert np.array_equal(out, expected)
        if expected.ndim:
            # Every second entry of the last axis of a larger array: between them nothing is written.
            apart = np.full((*expected.shape[:-1], 2 * expected.shape[-1]), 7, expected.dtype)
            call(out=apart[..., ::2])
            assert np.array_equal(apart[..., ::2], expected)
            assert (apart[..., 1::2] == 7).all()
        if expected.size:
            file = np.memmap(tmp_path / f"{i}", expected.dtype, "w+", shape=expected.shape or (1,))
            call(out=file.reshape(expected.shape))
            file.flush()
            assert np.fromfile(tmp_path / f"{i}", expected.dtype).tobytes() == expected.tobytes()


@pytest.mark.usefixtures("small_blocks")
def test_windows_of_each_path_are_written_to_out(rng: np.random.Generator) -> None:
    x = paths(rng, 11, 6, 2)
    starts = rng.integers(0, 3, (11, 2))
    options: dict[str, Any] = {"starts": starts, "ends": starts + 2, "method": 0, "scalar_term": True}
    expected = siglib.log_sig_windows(x, 3, **options)
    shown: list[tuple[Any, ...]] = []
    with siglib.progress(lambda *told: shown.append(told)):
        out = siglib.log_sig_windows(x, 3, **options, out=np.zeros_like(expected))
    assert np.array_equal(out, expected)
    assert shown[-1] == ("log_sig_windows", 11, 11)
    assert len(shown) > 1
    for path in (siglib.RaggedPaths(x, [6] * 11), [x[0], x[1, :4]]):
        with pytest.raises(ValueError, match="out is for results of arrays of paths of one length"):
            siglib.log_sig_windows(path, 2, 3, out=out)
    listed = siglib.log_sig_windows(x.tolist(), 2, 3, out=np.zeros((11, 4, 3)))
    assert np.array_equal(listed, siglib.log_sig_windows(x, 2, 3))


def test_what_is_no_place_for_a_result(rng: np.random.Generator) -> None:
    x = paths(rng, 4, 6, 2)
    for call in calls(x):
        expected = call()
        with pytest.raises(TypeError, match="out must be a NumPy array, got a list"):
            call(out=expected.tolist())
        with pytest.raises(TypeError, match="out must have dtype float64, that of the result, got float32"):
            call(out=expected.astype(np.float32))
        with pytest.raises(ValueError, match="out must have shape .*, that of the result, got"):
            call(out=expected[:-1])
        locked = expected.copy()
        locked.flags.writeable = False
        with pytest.raises(ValueError, match="out must be writeable"):
            call(out=locked)
    big = np.zeros((4, 6, 6))
    with pytest.raises(ValueError, match="out and path must not share memory"):
        siglib.sig_windows(big[..., :2], 2, 1, out=big)
    with pytest.raises(ValueError, match="log_sig takes no out with stream or a correction"):
        siglib.log_sig(x, 2, stream=True, out=big)
    y = x.reshape(2, 2, 6, 2)
    with pytest.raises(ValueError, match="out must have batch axes that are one without a copy"):
        siglib.sig_kernel_gram(y, x, dyadic_order=0, out=np.zeros((2, 4, 2)).swapaxes(1, 2))


def test_out_is_for_paths_of_one_length(rng: np.random.Generator) -> None:
    x = paths(rng, 4, 6, 2)
    out, gram = np.zeros((4, 6)), np.zeros((4, 4))
    for call in (
        lambda: siglib.sig([x[0], x[1, :3]], 2, out=out[:2]),
        lambda: siglib.sig(x, 2, lengths=[6, 6, 6, 2], out=out),
        lambda: siglib.log_sig(x, 2, times=np.arange(6.0), time_aug=True, out=out),
        lambda: siglib.sig_prefixes(siglib.Series(x), 1, out=x),
        lambda: siglib.sig_kernel_gram(x, x, dyadic_order=0, lengths2=[6, 6, 6, 2], out=gram),
    ):
        with pytest.raises(ValueError, match="out is for results of arrays of paths of one length: path"):
            call()


def test_out_is_for_numpy(rng: np.random.Generator) -> None:
    da = optional("dask.array")
    x = da.from_array(paths(rng, 4, 6, 2))
    with pytest.raises(TypeError, match="out is for results of NumPy arrays, and path is of dask"):
        siglib.sig(x, 2, out=np.zeros((4, 6)))
    with pytest.raises(TypeError, match="out is for results of NumPy arrays, and path is of dask"):
        siglib.log_sig_windows(x, 2, 6, out=np.zeros((4, 1, 3)))


# A Gram matrix in a file

OPTIONS: list[dict[str, Any]] = [
    {"dyadic_order": 0},
    {"dyadic_order": (1, 0), "normalize": True},
    {"method": "polynomial", "order": 3, "static_kernel": siglib.RBFKernel(1.0), "log": True},
]


class Stop(Exception):
    """Ends a call."""


def stopped(call: Callable[[], Any], after: int) -> None:
    """The call, ended when so many blocks are done."""
    n = 0

    def report(*_: Any) -> None:
        nonlocal n
        n += 1
        if n == after:
            raise Stop

    with pytest.raises(Stop), siglib.progress(report):
        call()


@pytest.fixture
def n_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has an entry for each block that is computed."""
    found: list[int] = []
    operation = type(OPERATIONS["sig_kernel_gram"])
    forward = operation.forward

    def counted(self: Any, on: Any, out: Any, *rest: Any) -> None:
        found.append(out.size)
        forward(self, on, out, *rest)

    monkeypatch.setattr(operation, "forward", counted)
    return found


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
@pytest.mark.parametrize("name", ["float64", "float16"])
def test_a_gram_matrix_that_was_interrupted_goes_on(
    name: str, options: dict[str, Any], rng: np.random.Generator, tmp_path: Path, n_blocks: list[int]
) -> None:
    x, y = (0.5 * paths(rng, *shape).astype(name) for shape in ((10, 6, 2), (3, 3, 5, 2)))
    for i, other in enumerate((x, y)):
        expected = siglib.sig_kernel_gram(x, other, **options)
        n_blocks.clear()
        file = tmp_path / f"{i}.npy"

        def call(other: Any = other, file: Path = file) -> Any:
            return siglib.gram_to_file(x, other, file, **options)

        n_all = 9 if other is y or isinstance(options.get("dyadic_order"), tuple) else 6
        stopped(call, 2)
        assert len(n_blocks) == 2
        # What a killed process leaves of a line counts for nothing.
        with open(f"{file}.journal", "a") as journal:
            journal.write("8 10 8")
        stopped(call, 4)
        assert len(n_blocks) == 4
        found = call()
        assert len(n_blocks) == n_all
        assert isinstance(found, np.memmap)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert np.array_equal(found, expected)
        # What is complete is only read.
        assert np.array_equal(call(), expected)
        assert len(n_blocks) == n_all
        # The journal without its file is worth nothing.
        file.unlink()
        assert np.array_equal(call(), expected)


@pytest.mark.usefixtures("small_blocks")
def test_other_matrices_are_left_alone(rng: np.random.Generator, tmp_path: Path) -> None:
    x, file = paths(rng, 6, 5, 2), tmp_path / "gram.npy"
    before = siglib.gram_to_file(x, x, file, dyadic_order=0)
    y = x.copy()
    y[3, 2, 1] += 1e-9
    for paths1, paths2, options in (
        (y, y, {"dyadic_order": 0}),
        (x, y, {"dyadic_order": 0}),
        (x, x, {"dyadic_order": 1}),
        (x, x, {"dyadic_order": 0, "static_kernel": siglib.RBFKernel(1.0)}),
        (x, x, {"dyadic_order": 0, "log": True}),
        (x[:5], x, {"dyadic_order": 0}),
        (x.astype(np.float32), x.astype(np.float32), {"dyadic_order": 0}),
    ):
        with pytest.raises(ValueError, match=r"gram\.npy\.journal is of another matrix"):
            siglib.gram_to_file(paths1, paths2, file, **options)
    # Threads and equal paths in another place are nothing else.
    assert np.array_equal(siglib.gram_to_file(x, x.copy(), file, dyadic_order=0, n_jobs=2), before)
    os.unlink(f"{file}.journal")
    with pytest.raises(FileExistsError, match="is there without its journal"):
        siglib.gram_to_file(x, x, file, dyadic_order=0)
    with pytest.raises(TypeError, match="file must be the name of a file, got 3 of type int"):
        siglib.gram_to_file(x, x, 3, dyadic_order=0)
    with pytest.raises(ValueError, match="path1 and path2 must have the same number of channels"):
        siglib.gram_to_file(x, x[..., :1], tmp_path / "new.npy", dyadic_order=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gram.npy"]


@pytest.mark.usefixtures("small_blocks")
def test_two_processes_do_not_write_one_file(rng: np.random.Generator, tmp_path: Path) -> None:
    x, file = paths(rng, 9, 5, 2), tmp_path / "gram.npy"

    def again(*_: Any) -> None:
        siglib.gram_to_file(x, x, file, dyadic_order=0)

    with pytest.raises(BlockingIOError, match="is being written by another process"), siglib.progress(again):
        siglib.gram_to_file(x, x, file, dyadic_order=0)


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    code = f"""
        import os, signal
        import numpy as np, siglib
        from siglib._call import block_sizes
        block_sizes._TASK_SECONDS = 1e-9
        x = np.random.default_rng(0).standard_normal((12, 6, 2))
        def report(name, done, total):
            if done > total // 2 and os.environ.get("KILL"):
                os.kill(os.getpid(), signal.SIGKILL)
        with siglib.progress(report):
            gram = siglib.gram_to_file(x, x, {str(tmp_path / "gram.npy")!r}, dyadic_order=0)
        print(np.array_equal(gram, siglib.sig_kernel_gram(x, x, dyadic_order=0)))
        """
    for kill, status, printed in (("yes", -signal.SIGKILL, ""), ("", 0, "True\n")):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            env={**os.environ, "KILL": kill},
        )
        assert (done.returncode, done.stdout) == (status, printed), done.stderr


def test_memory_does_not_grow_with_the_matrix(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_sizes, "_TASK_SECONDS", 1e-3)
    x = paths(rng, 1500, 4, 2)
    tracemalloc.start()
    try:
        gram = siglib.gram_to_file(x, x, tmp_path / "gram.npy", dyadic_order=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert gram.nbytes == 1500**2 * 8
    assert peak < gram.nbytes / 8
