// Run-time of the emulator: fibers, barriers, and in the check build a record of who touched which number when.
//
// One block runs at a time, on one thread of the system. Its warps run one after another, each until all of its lanes
// wait at a barrier of the block; lanes of a warp likewise until they meet in a shuffle. Threads that should meet and
// do not, or meet in different places, end the launch with a report. In the check build cuda_check.cpp follows this file.
#include "cuda_emu.h"

#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <vector>

namespace emu {

constexpr size_t STACK = 256 << 10, PAGE = 4096, MOST_SHARED = 256 << 10;
constexpr int MOST_THREADS = 1024;

enum State { READY, AT_WARP, AT_BLOCK, DONE };

struct Runner : Fiber {
    void* stack_pointer;
    State state;
    Meeting kind;
    const char* word;
    int line;
    unsigned predicate;
};

// An array that a kernel may touch; `written` has a byte for each 4 bytes from `base` on, or is null: all is written.
struct Region {
    uintptr_t first, end, base;
    uint8_t* written;
    int argument;
};

Fiber* current;
uint3 block;
dim3 block_dim, grid_dim;
unsigned block_sum, block_and;

static Runner runners[MOST_THREADS];
static uint64_t slots[MOST_THREADS / 32][2][32];
static char* stacks;
static char* shared_end;
static size_t shared_size;
static void* scheduler;
static int n_threads, falling;
static bool failed;
static char message[2000];
static const Kernel* kernel;
static void** arguments;
static char *static_first, *static_end;        // static shared arrays: the library's thread_local memory
static uintptr_t library_first, library_end;   // the library of the kernel
static uintptr_t run_time_first, run_time_end;  // this one
static uint32_t block_epoch, warp_epoch[MOST_THREADS / 32];

static void new_block_shadow();

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
#define EMU_SWITCH
extern "C" void emu_switch(void** from, void* to);
asm(R"(
    .text
    .hidden emu_switch
    .globl emu_switch
    .type emu_switch, @function
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emu_switch, .-emu_switch
)");
#else
}  // namespace emu
#include <ucontext.h>
namespace emu {
static ucontext_t contexts[MOST_THREADS + 1];
static void emu_switch(void** from, void* to) {
    ucontext_t* self = *from ? static_cast<ucontext_t*>(*from) : &contexts[MOST_THREADS];
    *from = self;
    swapcontext(self, static_cast<ucontext_t*>(to));
}
#endif

static void to_scheduler() { emu_switch(&static_cast<Runner*>(current)->stack_pointer, scheduler); }

static void vfail(const char* format, va_list rest) {
    int n = 0;
    if (current)
        n = snprintf(message, sizeof message, "block (%u, %u, %u), thread (%u, %u, %u): ", block.x, block.y, block.z,
                     threadIdx.x, threadIdx.y, threadIdx.z);
    vsnprintf(message + n, sizeof message - n, format, rest);
    failed = true;
}

void fail(const char* format, ...) {
    va_list rest;
    va_start(rest, format);
    vfail(format, rest);
    va_end(rest);
    to_scheduler();  // for good
    abort();
}

static void report(const char* format, ...) {
    va_list rest;
    va_start(rest, format);
    current = nullptr;
    vfail(format, rest);
    va_end(rest);
}

static void run() {
    kernel->call(kernel->function, arguments);
    static_cast<Runner*>(current)->state = DONE;
    to_scheduler();
}

static void start(int rank) {
    Runner& r = runners[rank];
    char* top = stacks + (rank + 1) * (STACK + PAGE);
#ifdef EMU_SWITCH
    void** frame = reinterpret_cast<void**>(top) - 8;  // six registers, where to go, and nowhere to return to
    for (int i = 0; i < 8; i++) frame[i] = nullptr;
    frame[6] = reinterpret_cast<void*>(run);
    r.stack_pointer = frame;
#else
    ucontext_t* context = &contexts[rank];
    getcontext(context);
    context->uc_stack.ss_sp = top - STACK;
    context->uc_stack.ss_size = STACK;
    context->uc_link = nullptr;
    makecontext(context, run, 0);
    r.stack_pointer = context;
#endif
    r.rank = rank;
    r.lane = rank % 32;
    r.thread = {rank % block_dim.x, rank / block_dim.x % block_dim.y, rank / block_dim.x / block_dim.y};
    r.slots = slots[rank / 32];
    r.n_meetings = 0;
    r.state = READY;
}

void meet(Meeting kind, const char* word, int line, unsigned predicate) {
    Runner* r = static_cast<Runner*>(current);
    r->kind = kind;
    r->word = word;
    r->line = line;
    r->predicate = predicate;
    r->state = kind == SYNC_BLOCK ? AT_BLOCK : AT_WARP;
    to_scheduler();
}

void* dynamic_shared() { return shared_end - (shared_size + 15) / 16 * 16; }

void check_block(long long most, const char* name) {
    if (n_threads > most) fail("%s has launch bounds of %lld threads and runs with %d", name, most, n_threads);
}

// All of them wait in the same place, or the launch has failed.
static bool together(int first, int end, State state) {
    const Runner& a = runners[first];
    for (int i = first; i < end; i++) {
        const Runner& b = runners[i];
        if (b.state != state || a.state != state) {
            const Runner& waits = b.state == DONE ? a : b;
            const int other = b.state == DONE ? i : first;
            report("thread %d waits at %s in line %d, thread %d %s", waits.rank, waits.word, waits.line, other,
                   runners[other].state == DONE ? "has left the kernel" : "waits for others than it");
            return false;
        }
        if (a.line != b.line || strcmp(a.word, b.word)) {
            report("thread %d waits at %s in line %d, thread %d at %s in line %d", a.rank, a.word, a.line, b.rank, b.word,
                   b.line);
            return false;
        }
    }
    return true;
}

static bool run_warp(int first, int end) {
    for (;;) {
        for (int k = first; k < end; k++) {
            Runner& r = runners[falling ? end - 1 - (k - first) : k];
            if (r.state != READY) continue;
            current = &r;
            emu_switch(&scheduler, r.stack_pointer);
            if (failed) return false;
        }
        bool meets = false;
        for (int k = first; k < end; k++) meets |= runners[k].state == AT_WARP;
        if (!meets) return true;
        if (!together(first, end, AT_WARP)) return false;
        if (end - first < 32) {
            report("%s in line %d in a warp of %d threads", runners[first].word, runners[first].line, end - first);
            return false;
        }
        if (runners[first].kind == SYNC_WARP) warp_epoch[first / 32]++;
        for (int k = first; k < end; k++) runners[k].state = READY;
    }
}

static bool run_block() {
    const int n_warps = (n_threads + 31) / 32;
    memset(static_first, 0xff, static_end - static_first);
    memset(dynamic_shared(), 0xff, shared_size);
    new_block_shadow();
    for (int t = 0; t < n_threads; t++) start(t);
    for (;;) {
        for (int k = 0; k < n_warps; k++) {
            const int w = falling ? n_warps - 1 - k : k;
            if (!run_warp(32 * w, 32 * w + 32 < n_threads ? 32 * w + 32 : n_threads)) return false;
        }
        bool done = true;
        for (int t = 0; t < n_threads; t++) done &= runners[t].state == DONE;
        if (done) return true;
        if (!together(0, n_threads, AT_BLOCK)) return false;
        block_sum = 0;
        for (int t = 0; t < n_threads; t++) {
            block_sum += runners[t].predicate;
            runners[t].state = READY;
        }
        block_and = int(block_sum) == n_threads;
        block_epoch++;
    }
}

struct Library {
    uintptr_t inside, first, end;  // an address in it, and where it begins and ends
    char *local_first, *local_end;
};

static int find_library(dl_phdr_info* info, size_t, void* data) {
    Library& library = *static_cast<Library*>(data);
    uintptr_t first = UINTPTR_MAX, end = 0, size = 0;
    bool found = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr)& p = info->dlpi_phdr[i];
        const uintptr_t at = info->dlpi_addr + p.p_vaddr;
        if (p.p_type == PT_TLS) size = p.p_memsz;
        if (p.p_type != PT_LOAD) continue;
        found |= at <= library.inside && library.inside < at + p.p_memsz;
        first = at < first ? at : first;
        end = at + p.p_memsz > end ? at + p.p_memsz : end;
    }
    if (!found) return 0;
    char* local = static_cast<char*>(info->dlpi_tls_data);
    library = {library.inside, first, end, local, local + size};
    return 1;
}

static void prepare() {
    if (!stacks) {
        const size_t size = MOST_THREADS * (STACK + PAGE);
        void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        stacks = static_cast<char*>(memory);
        for (int t = 0; t < MOST_THREADS; t++) mprotect(stacks + t * (STACK + PAGE), PAGE, PROT_NONE);
        memory = mmap(nullptr, MOST_SHARED + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        shared_end = static_cast<char*>(memory) + MOST_SHARED;
        mprotect(shared_end, PAGE, PROT_NONE);
    }
    Library library = {reinterpret_cast<uintptr_t>(kernel->function), 0, 0, nullptr, nullptr};
    dl_iterate_phdr(find_library, &library);  // each time: another thread has its own thread_local memory
    library_first = library.first;
    library_end = library.end;
    static_first = library.local_first;
    static_end = library.local_end;
    library.inside = reinterpret_cast<uintptr_t>(&find_library);
    dl_iterate_phdr(find_library, &library);
    run_time_first = library.first;
    run_time_end = library.end;
}

static void set_regions(const Region* regions, int n_regions);

}  // namespace emu

extern "C" {
const char* emu_message() { return emu::message; }

// 0, or 1 with a message.
int emu_launch(const emu::Kernel* k, const unsigned* grid, const unsigned* block, size_t shared, void** args,
               const emu::Region* regions, int n_regions, int falling) {
    using namespace emu;
    kernel = k;
    prepare();
    arguments = args;
    grid_dim = {grid[0], grid[1], grid[2]};
    block_dim = {block[0], block[1], block[2]};
    n_threads = block[0] * block[1] * block[2];
    shared_size = shared;
    emu::falling = falling;
    failed = false;
    set_regions(regions, n_regions);
    for (unsigned z = 0; z < grid[2] && !failed; z++)
        for (unsigned y = 0; y < grid[1] && !failed; y++)
            for (unsigned x = 0; x < grid[0] && !failed; x++) {
                emu::block = {x, y, z};
                if (!run_block()) failed = true;
            }
    current = nullptr;
    return failed;
}
}

#ifndef EMU_CHECK

namespace emu {
static void set_regions(const Region*, int) {}
static void new_block_shadow() {}
}  // namespace emu

#endif
