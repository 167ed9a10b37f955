"""Tables of Lyndon words in files, which processes may read, write and remove at the same time.

A file is written under another name and renamed, so readers never see half of one. A file that is damaged, or does not
hold what it should, counts as missing. What a process leaves behind that ends while it writes is removed by the next
one: whoever writes holds a lock on its file.
"""

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that is open
    fcntl = None  # type: ignore[assignment]

_FORMAT = 2
_NAME = re.compile(r"(tables|projection)_\d+_\d+(\.npz|.*\.part)")
# How often to begin anew when another process removes the folder.
_TRIES = 100


def load(path: Path, table: Any, dimension: int, degree: int) -> Any:
    """The table in a file, None if there is no file or not a sound one."""
    try:
        # Opened here: NumPy forgets to close a file that is no sound archive.
        with _opened(path) as file, np.load(file, allow_pickle=False) as data:
            # Nothing is compressed, so what is inside cannot be larger than the file.
            if sum(item.file_size for item in data.zip.infolist()) > os.fstat(file.fileno()).st_size:
                return None
            if data["header"].tolist() != [_FORMAT, dimension, degree]:
                return None
            found = table(*(data[name] for name in table._fields))
            return found if np.array_equal(data["digest"], digest(found, dimension, degree)) else None
    except Exception:
        # There is no end to what readers of damaged files raise.
        return None


@contextlib.contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[Any]:
    """A regular file: nobody waits for the other end of a pipe."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb" if flags == os.O_RDONLY else "r+b") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is no regular file")
        yield file


def digest(table: Any, dimension: int, degree: int) -> np.ndarray:
    """Four numbers that tell this table from others."""
    found = hashlib.sha256(f"{_FORMAT} {dimension} {degree}".encode())
    for array in table:
        found.update(f" {array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return np.frombuffer(found.digest(), np.int64)


def store(path: Path, table: Any, dimension: int, degree: int) -> None:
    """Write a file, in place of whatever has its name but a folder that holds something. OSError if that fails."""
    arrays = {
        "header": np.array([_FORMAT, dimension, degree]),
        "digest": digest(table, dimension, degree),
        **table._asdict(),
    }
    for _ in range(_TRIES - 1):
        # Another process may remove the folder at any time before there is a file in it.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _store(path, arrays)
    _store(path, arrays)


def _store(path: Path, arrays: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            if fcntl is not None:
                with contextlib.suppress(OSError):  # not every file system has locks
                    fcntl.flock(handle, fcntl.LOCK_EX)
            np.savez(file, **arrays)
        if path.is_dir():
            path.rmdir()
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _is_abandoned(path: Path) -> bool:
    """Whether the process that wrote this file is gone."""
    if fcntl is None:
        return True
    try:
        with _opened(path, os.O_RDWR) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove(folder: Path, *, all_files: bool) -> None:
    """Remove files that nobody will finish; with `all_files` all of ours, and the folder if nothing else is in it."""
    try:
        names = [name for name in os.listdir(folder) if _NAME.fullmatch(name)]
    except OSError:  # no folder
        return
    for name in names:
        path = folder / name
        if name.endswith(".part"):
            if _is_abandoned(path):
                with contextlib.suppress(OSError):
                    path.unlink()
        elif all_files and path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
        elif all_files:
            path.unlink(missing_ok=True)
    if all_files:
        with contextlib.suppress(OSError):  # holds files of others
            folder.rmdir()
