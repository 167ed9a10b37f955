"""Gram matrices that are larger than memory, written to a file a block at a time, with a journal of the blocks done."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from .._call.block_sizes import side_of_task
from .._call.libraries import Array, library_of
from .._call.progress import told
from .calls import scaling_options, warn_of_notes
from .gram_blocks import GramBlocks, Where
from .operations import SIG_KERNEL_GRAM
from .sig_kernel import _options
from .static_kernels import StaticKernel

# Of a block there are two copies for a moment, 64 MiB at most.
_LARGEST_SIDE = 2048
_VERSION = "siglib gram 1"
# Options that change nothing in the result.
_WITHOUT_EFFECT = ("same", "n_jobs", "max_batch", "given", "total")


def gram_to_file(
    path1: Array,
    path2: Array,
    file: str | os.PathLike[str],
    *,
    method: str = "finite_difference",
    dyadic_order: int | tuple[int, int] | None = None,
    order: int | None = None,
    static_kernel: StaticKernel | None = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: int = 1,
    max_batch: int = -1,
    normalize: bool = False,
    log: bool = False,
) -> np.memmap:
    """Write the matrix of `sig_kernel_gram` to a file, a block at a time; interrupted, it goes on where it stopped.

    Beside the file stands a journal, its name with ``.journal`` behind it, which says of which paths and options the
    matrix is, and which blocks are safely on disk. The same call again computes only those that are missing, none of a
    matrix that is complete. Memory is needed for the paths and for a block, at most some 100 MB, whatever the size of
    the matrix.

    Parameters
    ----------
    path1, path2 : arrays of shape ``(*batch1, length1, dimension)`` and ``(*batch2, length2, dimension)``
        As in `sig_kernel_gram`; of NumPy, such as a `numpy.memmap`.
    file : path
        Where to write, in NumPy's format: ``numpy.load(file, mmap_mode="r")`` reads it.
    method, dyadic_order, order, static_kernel, time_aug, lead_lag, end_time, n_jobs, max_batch, normalize, log
        As in `sig_kernel_gram`. A static kernel of your own is known by its class and its `repr`.

    Returns
    -------
    numpy.memmap of shape ``(*batch1, *batch2)``
        The matrix, for reading. Its numbers are those of `sig_kernel_gram`.

    Raises
    ------
    TypeError
        If the paths are not NumPy's, or an option has the wrong type.
    ValueError
        If shapes or options do not go together, or the journal is that of another matrix.
    FileExistsError
        If the file is there without a journal: it is not ours to write over.
    BlockingIOError
        If another process is writing this matrix.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, siglib
    >>> paths = np.array([[[0.0], [1.0]], [[0.0], [0.5]], [[0.0], [-1.0]]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gram = siglib.gram_to_file(paths, paths, os.path.join(folder, "gram.npy"), dyadic_order=8)
    ...     print(gram.round(3))
    [[2.28  1.566 0.224]
     [1.566 1.266 0.559]
     [0.224 0.559 2.28 ]]
    """
    try:
        name = os.fsdecode(file)
    except TypeError:
        raise TypeError(f"file must be the name of a file, got {file!r} of type {type(file).__name__}") from None
    for argument, path in (("path1", path1), ("path2", path2)):
        if library_of(path) != "numpy":
            raise TypeError(f"{argument} must be an array of NumPy, got a {type(path).__name__} of {library_of(path)}")
    parameters, options = _options(
        True,
        path1,
        path2,
        method,
        dyadic_order,
        order,
        static_kernel,
        time_aug,
        lead_lag,
        end_time,
        n_jobs,
        max_batch,
        False,
    )
    operation = SIG_KERNEL_GRAM
    o = operation.clean(options | scaling_options(False, normalize, log) | {"total": True})
    on, arrays = operation.dispatch((path1, path2, parameters), operation.shared_names)
    shape = operation.known_sizes(o, *operation.shapes_of(arrays))[0]
    side = min(side_of_task(operation.seconds(o, shape, *operation.shapes_of(arrays))), _LARGEST_SIDE)
    blocks = GramBlocks(operation, on, o, arrays, side)
    digest = _digest(blocks, shape, np.dtype(on.result_dtype), static_kernel)
    with _journal(name, digest, shape, len(blocks.y), np.dtype(on.result_dtype)) as (journal, matrix, done_before):
        _write(blocks, matrix, journal, done_before)
    warn_of_notes(static_kernel)
    return np.load(name, mmap_mode="r")


def _write(blocks: GramBlocks, matrix: "_MatrixFile", journal: BinaryIO, done_before: set[str]) -> None:
    """All blocks that are missing."""
    with told("gram_to_file", len(blocks.x) * len(blocks.y), len(blocks) > 1) as done:
        for where, mirrored in blocks:
            line = _line_of(where)
            if line not in done_before:
                blocks.write_one(where, mirrored, matrix.put)
                # Data first: a block that the journal names is there, whatever happens.
                matrix.sync()
                journal.write(line.encode() + b"\n")
                journal.flush()
                os.fsync(journal.fileno())
            done(blocks.n_pairs(where, mirrored))


def _line_of(where: Where) -> str:
    return " ".join(f"{part.start} {part.stop}" for part in where)


def _digest(blocks: GramBlocks, shape: tuple[int, ...], dtype: np.dtype, static_kernel: Any) -> str:
    """What says which matrix this is: paths, options, and how it is cut."""
    options = {name: value for name, value in blocks.o._asdict().items() if name not in _WITHOUT_EFFECT}
    given = blocks.o.given
    kind = f"{type(given).__module__}.{type(given).__qualname__} {static_kernel!r}" if given is not None else ""
    text = repr((_VERSION, sorted(options.items()), blocks.parameters, kind, shape, dtype.str, blocks.side))
    found = hashlib.blake2b(text.encode(), digest_size=16)
    for paths in (blocks.x,) if blocks.o.equal else (blocks.x, blocks.y):
        found.update(repr((paths.shape, paths.dtype.str)).encode())
        for path in paths:
            found.update(np.ascontiguousarray(path).data)
    return found.hexdigest()


class _MatrixFile:
    """A matrix in a file of NumPy's format, written row by row: what is written takes no memory of this process."""

    def __init__(self, file: BinaryIO, n_columns: int, dtype: np.dtype, start: int) -> None:
        self.file, self.n_columns, self.dtype, self.start = file, n_columns, dtype, start

    def put(self, where: Where, part: np.ndarray) -> None:
        rows, columns = where
        with np.errstate(over="ignore"):
            part = np.ascontiguousarray(part.astype(self.dtype, copy=False))
        for i, row in zip(range(rows.start, rows.stop), part, strict=True):
            self.file.seek(self.start + (i * self.n_columns + columns.start) * self.dtype.itemsize)
            self.file.write(row.data)

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())


@contextmanager
def _journal(
    name: str, digest: str, shape: tuple[int, ...], n_columns: int, dtype: np.dtype
) -> Iterator[tuple[BinaryIO, _MatrixFile, set[str]]]:
    """(the journal, open at its end, the file of the matrix, lines of blocks that are done), made where missing."""
    first = f"{_VERSION} {digest}"
    journal_name = f"{name}.journal"
    if os.path.exists(name) and not os.path.exists(journal_name):
        raise FileExistsError(f"{name} is there without its journal {journal_name}: remove it, or take another name")
    with open(journal_name, "a+b") as journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"{name} is being written by another process") from None
        journal.seek(0)
        # A line without an end was being written when the process was killed.
        *lines, rest = journal.read().decode(errors="replace").split("\n")
        if lines and lines[0] != first:
            raise ValueError(
                f"{journal_name} is of another matrix, of other paths, options or version: remove it and {name}, or "
                "take another name"
            )
        header = _header(shape, dtype)
        size = len(header) + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        if not lines or not os.path.exists(name) or os.path.getsize(name) != size:
            lines, rest = [], ""
            journal.truncate(0)
            journal.write(first.encode() + b"\n")
            journal.flush()
            with open(name, "wb") as file:
                file.write(header)
                file.truncate(size)
        if rest:
            journal.truncate(sum(len(line.encode()) + 1 for line in lines))
        with open(name, "r+b") as file:
            yield journal, _MatrixFile(file, n_columns, dtype, len(header)), set(lines[1:])


def _header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """The beginning of a file in NumPy's format."""
    text = repr({"descr": dtype.str, "fortran_order": False, "shape": shape}).encode()
    # Magic, version and length take 10 bytes; numbers start at a multiple of 64.
    padding = -(10 + len(text) + 1) % 64
    text += b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
