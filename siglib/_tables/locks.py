"""Locks of objects that threads share."""

import contextlib
import os
import threading
import weakref
from typing import Any

_owners: weakref.WeakSet[Any] = weakref.WeakSet()


def give_lock(owner: Any) -> None:
    """Set `owner.lock`, which a thread may take again while it has it."""
    owner.lock = threading.RLock()
    _owners.add(owner)


def release(lock: Any) -> None:
    """Release a lock that an exception may have come to before it was taken, as Ctrl-C does to who waits."""
    with contextlib.suppress(RuntimeError):
        lock.release()


def _after_fork() -> None:
    for owner in _owners:
        owner.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    # A thread of the parent that held a lock does not exist in the child.
    os.register_at_fork(after_in_child=_after_fork)
