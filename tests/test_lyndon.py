"""Lyndon words, brackets and projections as tables; their cache in memory and on disk."""

import io
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from checking import assert_same_bits
from golden import Case, cases

import siglib
from siglib._tables import lyndon, lyndon_cache, lyndon_files

SIZES = [(1, 3), (2, 1), (2, 6), (2, 9), (3, 5), (4, 4), (6, 3), (11, 2), (20, 2)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


def dense(matrix: lyndon.SparseMatrix) -> np.ndarray:
    size = len(matrix.starts) - 1
    full = np.eye(size)
    full[np.repeat(np.arange(size), np.diff(matrix.starts)), matrix.columns] += matrix.values
    return full


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path) -> None:
    siglib.clear_cache()
    siglib.set_cache_dir(tmp_path)


@pytest.mark.parametrize("case", cases("04_lyndon_basis", "lyndon_words", accept=lambda r: "oracle_outputs" in r))
def test_golden_projection(case: Case) -> None:
    expected, inverse = (case.record["oracle_outputs"][i]["array"] for i in range(2))
    from golden import arrays

    matrix = lyndon.build_projection(*case.args)
    np.testing.assert_array_equal(dense(matrix), arrays("04_lyndon_basis")[expected])
    np.testing.assert_array_equal(dense(lyndon.invert(matrix)), arrays("04_lyndon_basis")[inverse])


@sizes
def test_projection(size: tuple[int, int]) -> None:
    matrix = lyndon.build_projection(*size)
    np.testing.assert_array_equal(dense(matrix), reference.lyndon_projection(*size))
    np.testing.assert_array_equal(dense(matrix) @ dense(lyndon.invert(matrix)), np.eye(len(matrix.starts) - 1))


@sizes
def test_words(size: tuple[int, int]) -> None:
    d, degree = size
    expected = reference.lyndon_words(d, degree)
    levels = lyndon.lyndon_codes(d, degree)
    found = [tuple(word) for n, codes in enumerate(levels, 1) for word in lyndon.letters_of(codes, d, n).tolist()]
    assert found == expected
    positions = [reference.words(d, degree).index(word) - 1 for word in expected]
    np.testing.assert_array_equal(lyndon.build_tables(d, degree).index, positions)


@sizes
def test_rows_cut_every_word_everywhere(size: tuple[int, int]) -> None:
    """The entries of each row are its words' prefixes and suffixes, and every word longer than a letter is in one row."""
    d, degree = size
    words = reference.words(d, degree)[1:]
    words_here = reference.lyndon_words(d, degree)
    _, segments, entries = lyndon.build_tables(d, degree)
    met = []
    for n, width, n_rows, start in segments.tolist():
        for row in entries[start : start + n_rows * (2 * n - 1)].reshape(n_rows, -1).tolist():
            for a in range(width):
                word = words_here[row[0] + a]
                assert len(word) == n
                met.append(word)
                for i in range(1, n):
                    assert words[row[2 * i - 1]] == word[:i]
                    assert words[row[2 * i] + a] == word[i:]
    assert sorted(met) == sorted(word for word in words_here if len(word) > 1)


def test_brackets_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = lyndon.build_projection(3, 6)
    monkeypatch.setattr(lyndon, "_CHUNK", 7)
    for part, whole in zip(lyndon.build_projection(3, 6), expected, strict=True):
        assert_same_bits(part, whole)


def test_tables_are_built_once_and_read_only() -> None:
    tables = lyndon_cache.packed_tables(3, 4, 2, "float64")
    assert lyndon_cache.packed_tables(3, 4, 2, "float64") is tables
    assert not tables.flags.writeable
    siglib.clear_cache()
    assert lyndon_cache.packed_tables(3, 4, 2, "float64") is not tables


@pytest.mark.parametrize("method", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tables_in_one_array(method: int, dtype: str) -> None:
    """Each begins where the head of the array says, and ends before the next."""
    arrays = lyndon_cache.kernel_tables(3, 5, method, dtype)
    packed = lyndon_cache.packed_tables(3, 5, method, dtype)
    places = [*packed[: len(arrays)], len(packed)]
    assert places[0] == len(arrays)
    for array, start, end in zip(arrays, places[:-1], places[1:], strict=True):
        assert end - start == -(-array.nbytes // 8)
        assert_same_bits(packed[start:end].view(array.dtype)[: array.size], array.ravel())


@pytest.mark.parametrize("method", [0, 1, 2])
def test_no_file_unless_asked_for(tmp_path: Path, method: int) -> None:
    siglib.prepare_log_sig(2, 4, method)
    siglib.log_sig(np.zeros((3, 2)), 4, method=method)
    siglib.clear_cache()
    assert list(tmp_path.iterdir()) == []


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = np.random.default_rng(0).standard_normal((5, 3))
    expected = siglib.log_sig(path, 4, method=2)
    siglib.clear_cache()
    siglib.prepare_log_sig(3, 4, 2, use_disk=True)
    assert sorted(file.name for file in (tmp_path / "siglib").iterdir()) == ["projection_3_4.npz", "tables_3_4.npz"]
    siglib.clear_cache()

    def refuse(dimension: int, degree: int) -> None:
        raise AssertionError("built although it is stored")

    monkeypatch.setattr(lyndon, "build_tables", refuse)
    monkeypatch.setattr(lyndon, "build_projection", refuse)
    siglib.prepare_log_sig(3, 4, 2, use_disk=True)
    assert_same_bits(siglib.log_sig(path, 4, method=2), expected)
    siglib.clear_cache(use_disk=True)
    assert list(tmp_path.iterdir()) == []


def damaged(content: bytes) -> dict[str, bytes]:
    flipped, encrypted, squeezed = bytearray(content), bytearray(content), bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    # The flags and the method of the first member, in its own header and in the directory at the end.
    directory = content.index(b"PK\x01\x02")
    for at in (6, directory + 8):
        encrypted[at] |= 1
    for at in (8, directory + 10):
        squeezed[at] = 99
    plain = io.BytesIO()
    np.save(plain, np.arange(9))
    return {
        "encrypted": bytes(encrypted),
        "method": bytes(squeezed),
        "array": plain.getvalue(),
        "flipped": bytes(flipped),
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "text": b"not a table" * 50,
    }


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "text", "encrypted", "method", "array"])
@pytest.mark.parametrize("kind", ["tables", "projection"])
def test_damaged_file_is_built_anew(tmp_path: Path, kind: str, damage: str) -> None:
    path = np.random.default_rng(0).standard_normal((5, 3))
    siglib.prepare_log_sig(3, 4, 2, use_disk=True)
    expected = siglib.log_sig(path, 4, method=2)
    file = tmp_path / "siglib" / f"{kind}_3_4.npz"
    sound = file.read_bytes()
    file.write_bytes(damaged(sound)[damage])
    siglib.clear_cache()
    siglib.prepare_log_sig(3, 4, 2, use_disk=True)
    assert_same_bits(siglib.log_sig(path, 4, method=2), expected)
    with np.load(file) as rebuilt:
        assert rebuilt["header"].tolist()[1:] == [3, 4]
    assert not list(tmp_path.glob("**/*.part"))


@pytest.mark.parametrize("kind", ["tables", "projection"])
def test_sound_file_with_wrong_numbers_is_built_anew(tmp_path: Path, kind: str) -> None:
    """Nothing that a file says may lead a kernel out of its arrays."""
    siglib.prepare_log_sig(2, 5, 2, use_disk=True)
    expected = siglib.log_sig([[0, 0], [1, 0], [1, 1]], 5, method=2)
    file = tmp_path / "siglib" / f"{kind}_2_5.npz"
    with np.load(file) as data:
        stored = {name: data[name] for name in data.files}
    table = lyndon.LyndonTables if kind == "tables" else lyndon.SparseMatrix
    for name in table._fields:
        for where, digest in itertools.product((0, -1), (False, name != "values")):
            wrong = {key: value.copy() for key, value in stored.items()}
            wrong[name].flat[where] = 10**6
            if digest:
                wrong["digest"] = lyndon_files.digest(table(*map(wrong.get, table._fields)), 2, 5)
            np.savez(file, **wrong)
            siglib.clear_cache()
            siglib.prepare_log_sig(2, 5, 2, use_disk=True)
            assert_same_bits(siglib.log_sig([[0, 0], [1, 0], [1, 1]], 5, method=2), expected)
    wrong = {**stored, "header": stored["header"] + [0, 0, 1]}
    np.savez(file, **wrong)
    siglib.clear_cache()
    siglib.prepare_log_sig(2, 5, 2, use_disk=True)
    assert_same_bits(siglib.log_sig([[0, 0], [1, 0], [1, 1]], 5, method=2), expected)


def test_any_flipped_byte(tmp_path: Path, rng: np.random.Generator) -> None:
    siglib.prepare_log_sig(2, 4, 2, use_disk=True)
    expected = siglib.log_sig([[0, 0], [1, 0], [1, 1]], 4, method=2)
    file = tmp_path / "siglib" / "projection_2_4.npz"
    sound = file.read_bytes()
    for at in rng.permutation(len(sound))[:300]:
        wrong = bytearray(sound)
        wrong[at] ^= 1 << rng.integers(8)
        file.write_bytes(wrong)
        siglib.clear_cache()
        siglib.prepare_log_sig(2, 4, 2, use_disk=True)
        assert_same_bits(siglib.log_sig([[0, 0], [1, 0], [1, 1]], 4, method=2), expected)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    """Nobody waits for the other end of a pipe."""
    place = tmp_path / "siglib" / "tables_2_4.npz"
    place.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(tmp_path / "nowhere")
    thread = threading.Thread(target=siglib.prepare_log_sig, args=(2, 4, 2), kwargs={"use_disk": True}, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert place.is_file()
    place.unlink()
    place.mkdir()
    (place / "mine.txt").write_text("keep")
    with pytest.raises(OSError):
        siglib.prepare_log_sig(2, 4, 2, use_disk=True)
    siglib.clear_cache(use_disk=True)
    assert (place / "mine.txt").exists()


def test_folder_that_others_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the worst moments, between what a writer does."""
    folder, times = tmp_path / "siglib", {"made": 0, "opened": 0, "renamed": 0}
    mkdir, mkstemp, replace = Path.mkdir, tempfile.mkstemp, os.replace

    def make(self: Path, *args: Any, **kwargs: Any) -> None:
        times["made"] += 1
        if times["made"] < 3:
            raise FileExistsError  # there, and gone when one looks whether it is a folder
        mkdir(self, *args, **kwargs)

    def create(*args: Any, **kwargs: Any) -> Any:
        times["opened"] += 1
        if times["opened"] < 3:
            folder.rmdir()
        return mkstemp(*args, **kwargs)

    def rename(source: Any, target: Any) -> None:
        times["renamed"] += 1
        if times["renamed"] < 3:
            shutil.rmtree(folder)
        replace(source, target)

    monkeypatch.setattr(Path, "mkdir", make)
    monkeypatch.setattr(tempfile, "mkstemp", create)
    monkeypatch.setattr(os, "replace", rename)
    siglib.prepare_log_sig(2, 4, 2, use_disk=True)
    assert sorted(file.name for file in folder.iterdir()) == ["projection_2_4.npz", "tables_2_4.npz"]
    shutil.rmtree(folder)
    siglib.clear_cache(use_disk=True)
    folder.write_text("no folder")
    with pytest.raises(OSError):
        siglib.prepare_log_sig(2, 4, 2, use_disk=True)


WRITER = """
import os, signal, sys
import numpy, siglib
siglib.set_cache_dir(sys.argv[1])
def killed(file, **arrays):
    file.write(b"half of it")
    file.flush()
    if sys.argv[2] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    sys.stdin.read()
numpy.savez = killed
siglib.prepare_log_sig(2, 4, 2, use_disk=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
@pytest.mark.parametrize("clear", [False, True])
def test_files_of_killed_writers_are_removed(tmp_path: Path, clear: bool) -> None:
    def parts() -> list[Path]:
        return list(tmp_path.glob("siglib/*.part"))

    def remove() -> None:
        if clear:
            siglib.clear_cache(use_disk=True)
        else:
            siglib.prepare_log_sig(2, 3, 1, use_disk=True)

    def writer(end: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), end], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    with writer("dies") as killed:
        killed.wait(60)
    assert len(parts()) == 1
    with writer("waits") as at_work:
        assert at_work.stdout.readline() == b"writing\n"
        # It has removed the other's file.
        assert len(parts()) == 1
        remove()
        assert len(parts()) == 1
        at_work.kill()
    remove()
    assert parts() == []


def test_clear_cache_leaves_other_files(tmp_path: Path) -> None:
    siglib.prepare_log_sig(2, 3, 1, use_disk=True)
    (tmp_path / "siglib" / "mine.txt").write_text("keep")
    siglib.clear_cache(use_disk=True)
    assert [file.name for file in (tmp_path / "siglib").iterdir()] == ["mine.txt"]


def test_prepare_for_method_3() -> None:
    siglib.clear_cache()
    siglib.prepare_log_sig(2, 4, 3)
    assert ("projection", 2, 4) in lyndon_cache._cache


def test_prepare_with_transforms() -> None:
    siglib.prepare_log_sig(2, 3, 2, time_aug=True, lead_lag=True)
    assert ("projection", 5, 3) in lyndon_cache._cache


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: siglib.prepare_log_sig(0, 3, 1), ValueError, "dimension must be at least 1"),
        (lambda: siglib.prepare_log_sig(2, -1, 1), ValueError, "degree must be at least 0"),
        (lambda: siglib.prepare_log_sig(2, 3, 4), ValueError, "method must be 0, 1, 2 or 3, got 4"),
        (lambda: siglib.prepare_log_sig(2, 3, 1, use_disk=1), TypeError, "use_disk"),
        (lambda: siglib.prepare_log_sig(2, 3, 1, device="gpu"), ValueError, "device"),
        (lambda: siglib.prepare_log_sig(2, 3, 1, device=0), TypeError, "device"),
        (lambda: siglib.prepare_log_sig(2, 60, 1), ValueError, "too large"),
        (lambda: siglib.prepare_log_sig(10**6, 3, 1), ValueError, "too large"),
        (lambda: siglib.prepare_log_sig(1, 10**9, 1), ValueError, "too large"),
        (lambda: siglib.set_cache_dir(3), TypeError, "dir must be"),
        (lambda: siglib.set_cache_dir("no such directory"), ValueError, "existing directory"),
        (lambda: siglib.clear_cache(use_disk="yes"), TypeError, "use_disk"),
        (lambda: siglib.clear_cache(device="tpu"), ValueError, "device"),
    ],
    ids=range(13),
)
def test_refusals(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
