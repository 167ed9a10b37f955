"""How calls notice Ctrl-C, and share their work among threads.

A call keeps a `Watch`, and all its loops over units of work have one form:

    begin_watch(&watch)
    ...
    loop = share(n_units, cost, n_threads)
    with parallel(num_threads=n_threads):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            ...                                 # one unit, with the memory of threadid()
    ...
    end_watch(&watch)                           # raises what a signal's handler has raised

Between units the thread that called looks at signals every 50 ms (`_interruption.pyx`); when it has no units left, and
those are long, it goes on doing so until the other threads have finished. If a handler raises, no thread takes another
unit, and what is computed after that is garbage. Where a unit may take longer than that, its loops ask as well:

    if due(&spent, cost_of_what_follows):
        return

It asks for the thread at hand, so nothing has to be handed down. Work is cut as before, so the results keep their bits.
`watch.done` of `watch.total` units are done.

A watch must be ended, and nothing may raise before that.
"""

cdef extern from "interruption.h" nogil:
    ctypedef struct Watch:
        int stop
        long long next
        Py_ssize_t total, done

    long long watch_time()
    void enter_watch(Watch* watch, void (*look)(Watch*) noexcept nogil)
    void leave_watch(const Watch* watch)
    bint interrupted()
    bint due(Py_ssize_t* spent, Py_ssize_t cost)
    Watch* share(Py_ssize_t n_units, double cost, int n_threads)
    void add_bits(int* bits, int more)
    bint next_unit(Watch* watch, Py_ssize_t* unit, Py_ssize_t* end)


cdef void look(Watch* watch) noexcept nogil
cdef int raise_found(const Watch* watch) except -1


cdef inline void begin_watch(Watch* watch) noexcept nogil:
    enter_watch(watch, look)


cdef inline int end_watch(const Watch* watch) except -1:
    leave_watch(watch)
    return raise_found(watch) if watch.stop else 0
