/* How a call notices Ctrl-C, and shares its work among threads: see _interruption.pxd.
 *
 * A watch belongs to the thread that called. Other threads read it, and write behind `apart` only. */
#ifndef SIGLIB_INTERRUPTION_H
#define SIGLIB_INTERRUPTION_H

#include <stddef.h>
#include <time.h>

#ifdef CLOCK_MONOTONIC_COARSE
#define WATCH_CLOCK CLOCK_MONOTONIC_COARSE  // a few nanoseconds to read, right to a few milliseconds
#else
#define WATCH_CLOCK CLOCK_MONOTONIC
#endif

// Operations on whole vectors, some 10 microseconds: shorter stretches of work are not worth a look at the clock.
#define WATCH_STRETCH (1 << 15)

typedef struct Watch {
    int stop;                     // a signal's handler has raised: all threads leave their work
    long long next;               // when the calling thread looks at signals again, in nanoseconds
    void (*look)(struct Watch*);  // does so
    struct Watch* outer;          // of the call from whose look a handler made this one, and the units it was at
    ptrdiff_t outer_size;
    int outer_calls;
    ptrdiff_t total;             // units of work of all loops so far
    ptrdiff_t n_units, n_parts;  // the loop at hand: a thread takes a part of the units at a time
    int is_long;                 // whether one of its units takes some 10 milliseconds or more
    char apart[64];              // what follows is written by all threads
    ptrdiff_t taken;             // parts of the loop at hand
    ptrdiff_t done;              // units of all loops
} Watch;

// What a thread is at work for: NULL outside of calls; whether it is the one that called; and the units it is at.
static _Thread_local struct {
    Watch* watch;
    int calls;
    ptrdiff_t size;
} watch_here;

static inline long long watch_time(void) {
    struct timespec t;
    clock_gettime(WATCH_CLOCK, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void enter_watch(Watch* w, void (*look)(Watch*)) {
    w->stop = 0;
    w->next = 0;
    w->look = look;
    w->outer = watch_here.watch;
    w->outer_size = watch_here.size;
    w->outer_calls = watch_here.calls;
    w->total = 0;
    w->done = 0;
    watch_here.watch = w;
    watch_here.calls = 1;
    watch_here.size = 0;
}

static inline void leave_watch(const Watch* w) {
    watch_here.watch = w->outer;
    watch_here.size = w->outer_size;
    watch_here.calls = w->outer_calls;
}

static inline int watch_stops(Watch* w) {
    if (watch_here.calls && !w->stop && watch_time() >= w->next) w->look(w);
    return __atomic_load_n(&w->stop, __ATOMIC_RELAXED);
}

// Whether the call that this thread works for is to end: what it computes is not wanted any more.
static inline int interrupted(void) {
    return watch_here.watch != NULL && watch_stops(watch_here.watch);
}

// The same, asked after `cost` more vector operations; only once in a while it takes more than an addition.
static inline int due(ptrdiff_t* spent, ptrdiff_t cost) {
    *spent += cost;
    if (__builtin_expect(*spent < WATCH_STRETCH, 1)) return 0;
    *spent = 0;
    return interrupted();
}

// The watch of this call, ready for a loop of n_units, each of about `cost` vector operations.
static inline Watch* share(ptrdiff_t n_units, double cost, int n_threads) {
    Watch* w = watch_here.watch;
    // As many parts for each thread: those of a short loop are as long, and a long one has many.
    double stretches = n_units * cost / n_threads / WATCH_STRETCH;
    w->n_units = n_units;
    w->n_parts = n_units;
    w->is_long = cost > 512.0 * WATCH_STRETCH;
    if (stretches < n_units && n_threads * (1 + (ptrdiff_t)stretches) < n_units)
        w->n_parts = n_threads * (1 + (ptrdiff_t)stretches);
    w->total += n_units;
    w->taken = 0;
    return w;
}

static inline ptrdiff_t part_start(const Watch* w, ptrdiff_t part) {
    ptrdiff_t size = w->n_units / w->n_parts, rest = w->n_units % w->n_parts;
    return part * size + (part < rest ? part : rest);
}

// The calling thread has no work left: it looks at signals until the others have none either, and sleeps in between,
// for a hundredth of what it has waited for.
static void wait_for_others(Watch* w) {
    struct timespec pause = {0, 0};
    long long start = watch_time(), waited;
    while (__atomic_load_n(&w->done, __ATOMIC_ACQUIRE) < w->total && !watch_stops(w)) {
        waited = watch_time() - start;
        pause.tv_nsec = waited < 6400000 ? 50000 : waited < 1280000000 ? waited / 128 : 10000000;
        nanosleep(&pause, NULL);
    }
}

__attribute__((noinline)) static int next_part(Watch* w, ptrdiff_t* unit, ptrdiff_t* end) {
    ptrdiff_t part;
    watch_here.watch = w;
    if (watch_here.size > 0) {
        __atomic_fetch_add(&w->done, watch_here.size, __ATOMIC_RELEASE);
        watch_here.size = 0;
    }
    if (!watch_stops(w)) {
        part = __atomic_fetch_add(&w->taken, 1, __ATOMIC_RELAXED);
        if (part < w->n_parts) {
            *unit = part_start(w, part);
            *end = part_start(w, part + 1);
            watch_here.size = *end - *unit;
            return 1;
        }
        if (watch_here.calls && w->is_long) wait_for_others(w);
    }
    if (!watch_here.calls) watch_here.watch = NULL;
    return 0;
}

// *bits |= more, by any thread.
static inline void add_bits(int* bits, int more) {
    if (more != 0) __atomic_fetch_or(bits, more, __ATOMIC_RELAXED);
}

// Go to the thread's next unit; unit = end = 0 at first. False if there is none.
static inline int next_unit(Watch* w, ptrdiff_t* unit, ptrdiff_t* end) {
    *unit += 1;
    return *unit < *end || next_part(w, unit, end);
}

#endif
