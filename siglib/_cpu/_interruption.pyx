"""Where a call looks at signals: the one place in which a running loop meets Python."""

import threading
from libc.stdint cimport INT64_MAX
from posix.unistd cimport getpid

cdef extern from "Python.h" nogil:
    unsigned long PyThread_get_thread_ident()
    int check_signals "PyErr_CheckSignals"()
    void set_interrupt "PyErr_SetInterrupt"()

# Nanoseconds between two looks.
cdef long long period = 50_000_000
# Of Python's main thread, the only one that handles signals, in process `known_pid`.
cdef unsigned long main_thread = 0
cdef int known_pid = 0
# For tests: how many looks from now on an interrupt comes, and how many calls have ended that way.
cdef Py_ssize_t looks_left = -1
cdef Py_ssize_t n_stopped = 0


cdef bint in_main_thread() noexcept nogil:
    """Asked without the GIL, for which threads that handle no signals should not wait."""
    global main_thread, known_pid
    cdef int pid = getpid()
    if pid != known_pid:
        # The first time, or after a fork, which makes the thread that forked the main one.
        with gil:
            main_thread = threading.main_thread().ident
            known_pid = pid
    return PyThread_get_thread_ident() == main_thread


cdef void look(Watch* watch) noexcept nogil:
    """Let Python run the handlers of signals that have come; stop if one raises.

    The exception stays where Python keeps it, in the state of this thread, until `end_watch`.
    """
    global looks_left
    cdef long long before = watch_time(), after
    if watch.next == 0 and period > 0:
        watch.next = before + period
        return
    if not in_main_thread():
        watch.next = INT64_MAX
        return
    with gil:
        after = watch_time()
        if looks_left >= 0:
            if looks_left == 0:
                set_interrupt()
            looks_left -= 1
        if check_signals() != 0:
            watch.stop = 1
    # Where other threads keep the GIL busy, waiting for it must not take much of the time.
    watch.next = after + max(period, 32 * (after - before)) if period > 0 else 0


cdef int raise_found(const Watch* watch) except -1:
    global n_stopped
    n_stopped += 1
    return -1


def interrupt_at_look(Py_ssize_t n):
    """For tests: look whenever there is an opportunity, and have SIGINT at the n-th look from now on; -1: as always."""
    global looks_left, period
    looks_left = n
    period = 50_000_000 if n < 0 else 0


def looks_to_come() -> int:
    """For tests: looks until the interrupt, -1 after it."""
    return looks_left


def stopped_calls() -> int:
    """For tests: how many calls have ended because of what a look has found."""
    return n_stopped
