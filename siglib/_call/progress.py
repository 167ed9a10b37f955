"""Progress of long calls, for those who ask: who is told, and how it is shown.

Calls look at `watchers`, which is empty as long as nobody asks; then nothing else is done.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

Report = Callable[[str, int, int], Any]

# Makers of a report for a call, those of the `with` blocks that are open, in any thread; the last one is asked.
watchers: list[Callable[[str, int], Report]] = []
# A line is written no more often than this, in seconds.
_PAUSE = 0.1


class _Muted(threading.local):
    depth = 0


_muted = _Muted()


class _Whole(threading.local):
    # Counts what is done for the call of this thread of which others are parts.
    add: Callable[[int], None] | None = None


_whole = _Whole()


@contextmanager
def muted() -> Iterator[None]:
    """Calls of this thread show nothing: they are parts of something that does, or that others show."""
    _muted.depth += 1
    try:
        yield
    finally:
        _muted.depth -= 1


@contextmanager
def progress(report: Report | None = None) -> Iterator[None]:
    """Show how far long calls are, while a `with` block is open: Gram matrices, metrics, batches of paths.

    Calls in this block, of any thread, work in blocks of about a fifth of a second, and report after each. Those of a
    single block show nothing, nor do gradients and calls on a GPU. Results are the same but for rounding.

    Parameters
    ----------
    report : callable, optional
        Called as ``report(name, done, total)``: the name of the function that computes, how many paths or pairs of
        paths are done, and how many there are. It may be called by any thread that computes; what it raises ends
        the call. By default there is a bar of tqdm if that is installed, otherwise a line on the standard error.

    Returns
    -------
    context manager

    Raises
    ------
    TypeError
        If `report` is not callable.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> paths = np.random.default_rng(0).standard_normal((3000, 100, 3))
    >>> percent = []
    >>> with siglib.progress(lambda name, done, total: percent.append(100 * done // total)):
    ...     features = siglib.sig(paths, 7)
    >>> percent[-1]
    100
    """
    if report is not None and not callable(report):
        raise TypeError(f"report must be callable, got {report!r} of type {type(report).__name__}")
    if report is None and sys.stderr is None:
        # Programs without a console have none, and nobody would see it.
        report = _unseen
    maker: Callable[[str, int], Report]
    if report is None:
        maker = _Bar if _tqdm() is not None else _Line
    else:
        given = report

        def maker(name: str, total: int) -> Report:
            return given

    watchers.append(maker)
    try:
        yield
    finally:
        # Not the last one: blocks of several threads end in any order.
        watchers.reverse()
        watchers.remove(maker)
        watchers.reverse()


@contextmanager
def told(name: str, total: int, several: bool) -> Iterator[Callable[[int], None]]:
    """For a call that works in blocks, if there are `several`: a function that takes how many items more are done."""
    makers, whole = watchers[-1:], _whole.add
    if not makers or _muted.depth or not (several or whole):
        yield lambda n: None
        return
    if whole is not None:
        yield whole
        return
    report, done = makers[0](name, total), 0

    def add(n: int) -> None:
        nonlocal done
        done += n
        # What the report itself calls is no part of this.
        before, _whole.add = _whole.add, None
        try:
            report(name, done, total)
        finally:
            _whole.add = before

    try:
        yield add
    finally:
        close = getattr(report, "close", None)
        if close is not None and isinstance(report, (_Bar, _Line)):
            close()


@contextmanager
def told_as_one(name: str, total: int, several: bool) -> Iterator[Callable[[int], AbstractContextManager[None]]]:
    """For a call made of others, if there are `several`: what goes around each of these, which does so many items."""
    if not (several and is_watched()):
        yield lambda n: nullcontext()
        return
    with told(name, total, True) as add:

        @contextmanager
        def part(n: int) -> Iterator[None]:
            left = n

            def count(k: int) -> None:
                nonlocal left
                k = min(k, left)
                left -= k
                if k:
                    add(k)

            before, _whole.add = _whole.add, count
            try:
                yield
            finally:
                _whole.add = before
            count(left)

        yield part


def is_watched() -> bool:
    """Whether calls of this thread should show how far they are."""
    return bool(watchers) and not _muted.depth


def _unseen(name: str, done: int, total: int) -> None:
    """Shows nothing."""


def _tqdm() -> Any:
    """The bar of tqdm that suits where this runs, or None."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm


class _Bar:
    """A bar of tqdm."""

    def __init__(self, name: str, total: int) -> None:
        self.bar = _tqdm()(total=total, desc=name, unit="", unit_scale=True)

    def __call__(self, name: str, done: int, total: int) -> None:
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        self.bar.close()


class _Line:
    """A line on the standard error that is written anew."""

    def __init__(self, name: str, total: int) -> None:
        self.start = time.monotonic()
        self.last = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last < _PAUSE and done < total:
            return
        self.last = now
        left = (now - self.start) * (total - done) / max(done, 1)
        print(f"\r{name}: {100 * done // max(total, 1):3d} %, {left:.0f} s left ", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        print(file=sys.stderr, flush=True)
