// The check build's record of who touched which number when. Follows cuda_emu.cpp, in one source with it.
//
// The kernels are compiled with -fsanitize=thread and -fsanitize=undefined, but neither
// library is linked: the functions that the compiler calls are ours. Each 4 bytes of the arrays and of shared memory
// have a record of their last write and last reads: block, thread, and how many barriers of its block and its warp had
// passed. Two accesses, one of them a write, by two threads, without a barrier between, are a race. Shuffles order
// nothing. Every access must lie in an array of the launch, in shared memory or on the thread's stack, and what is read
// there must have been written.
namespace emu {

struct Access {
    uint32_t block;  // its number + 1; 0: there was none
    uint32_t thread, block_epoch, warp_epoch;
    uint32_t place;  // of the instruction, in the library
};

struct Cell {
    Access write;
    Access read, read_in_warp, read_elsewhere;  // the last one; by another thread of its warp; of another warp
};

struct Shadow {
    Region region;
    const char* name;
    std::vector<Cell> cells;
};

static std::vector<Shadow> shadows;  // shared memory first, dynamic and static, then arrays
static std::vector<uint8_t> shared_written[2];
static size_t last_found;

static void set_regions(const Region* regions, int n_regions) {
    shadows.clear();
    shadows.resize(2 + n_regions);
    const uintptr_t first[2] = {uintptr_t(dynamic_shared()), uintptr_t(static_first)};
    const uintptr_t end[2] = {first[0] + shared_size, uintptr_t(static_end)};
    for (int i = 0; i < 2; i++) {
        shared_written[i].resize((end[i] - first[i]) / 4 + 2);
        shadows[i].region = {first[i], end[i], first[i], shared_written[i].data(), -1};
        shadows[i].name = i ? "static shared memory" : "dynamic shared memory";
    }
    for (int i = 0; i < n_regions; i++) {
        shadows[2 + i].region = regions[i];
        shadows[2 + i].name = "argument";
    }
    for (Shadow& s : shadows) s.cells.resize((s.region.end - s.region.first) / 4 + 2);
    last_found = 0;
}

static void new_block_shadow() {
    for (int i = 0; i < 2; i++) {
        std::fill(shadows[i].cells.begin(), shadows[i].cells.end(), Cell());
        std::fill(shared_written[i].begin(), shared_written[i].end(), 0);
    }
    block_epoch = 0;
    memset(warp_epoch, 0, sizeof warp_epoch);
}

static bool ordered(const Access& before, const Access& now) {
    if (before.block == 0) return true;
    if (before.block != now.block) return false;
    if (before.thread == now.thread || before.block_epoch < now.block_epoch) return true;
    return before.thread / 32 == now.thread / 32 && before.warp_epoch < now.warp_epoch;
}

// The `@` numbers are places in the library; emulator.py turns them into lines.
static void race(const Shadow& s, uintptr_t at, const Access& now, bool writes, const Access& before, bool wrote) {
    fail("race: %s byte %zu of %s %d @%x@, %s by thread %u of block number %u @%x@ without a barrier between",
         writes ? "writes" : "reads", size_t(at - s.region.first), s.name, s.region.argument, now.place,
         wrote ? "written" : "read", before.thread, before.block - 1, before.place);
}

static void access(uintptr_t at, size_t size, bool writes, void* from) {
    if (!current) return;
    const char* stack = stacks + current->rank * (STACK + PAGE);
    if (at - uintptr_t(stack) < STACK + PAGE) return;
    const uint32_t place = uintptr_t(from) - 1 - library_first;
    Shadow* s = &shadows[last_found];
    if (at < s->region.first || at >= s->region.end) {
        if ((at >= library_first && at < library_end) || (at >= run_time_first && at < run_time_end)) return;
        size_t k = 0;
        while (k < shadows.size() && (at < shadows[k].region.first || at >= shadows[k].region.end)) k++;
        if (k == shadows.size()) {
            for (const Shadow& near : shadows) {
                if (at < near.region.end + 4096 && at + 4096 >= near.region.first && near.region.end > near.region.first)
                    fail("%s outside of all arrays @%x@: byte %lld of %s %d, which has %zu bytes",
                         writes ? "writes" : "reads", place, (long long)(at - near.region.first), near.name,
                         near.region.argument, size_t(near.region.end - near.region.first));
            }
            fail("%s outside of all arrays, at %p @%x@", writes ? "writes" : "reads", (void*)at, place);
        }
        last_found = k;
        s = &shadows[k];
    }
    if (at + size > s->region.end)
        fail("%s outside of all arrays @%x@: byte %zu of %s %d", writes ? "writes" : "reads", place,
             size_t(s->region.end - s->region.first), s->name, s->region.argument);
    const uint32_t number = 1 + block.x + grid_dim.x * (block.y + grid_dim.y * block.z);
    const Access now = {number, uint32_t(current->rank), block_epoch, warp_epoch[current->rank / 32], place};
    for (uintptr_t p = at; p < at + size; p += 4) {
        Cell& cell = s->cells[(p - s->region.first) / 4];
        uint8_t* written = s->region.written ? s->region.written + (p - s->region.base) / 4 : nullptr;
        if (!ordered(cell.write, now)) race(*s, p, now, writes, cell.write, true);
        if (writes) {
            if (!ordered(cell.read, now)) race(*s, p, now, writes, cell.read, false);
            if (!ordered(cell.read_in_warp, now)) race(*s, p, now, writes, cell.read_in_warp, false);
            if (!ordered(cell.read_elsewhere, now)) race(*s, p, now, writes, cell.read_elsewhere, false);
            cell = Cell();
            cell.write = now;
            if (written) *written = 1;
        } else {
            if (written && !*written)
                fail("reads byte %zu of %s %d, which nobody has written @%x@", size_t(p - s->region.first), s->name,
                     s->region.argument, place);
            if (cell.read.block == 0 || (cell.read.block == now.block && cell.read.thread == now.thread)) {
                cell.read = now;
            } else if (cell.read.block == now.block && cell.read.thread / 32 == now.thread / 32) {
                cell.read_in_warp = cell.read;
                cell.read = now;
            } else {
                cell.read_elsewhere = cell.read;
                cell.read_in_warp = Access();
                cell.read = now;
            }
        }
    }
}

}  // namespace emu

#define HOOK(name, size, writes) \
    extern "C" void name(void* p) { emu::access(uintptr_t(p), size, writes, __builtin_return_address(0)); }
#define HOOKS(size)                              \
    HOOK(__tsan_read##size, size, false)         \
    HOOK(__tsan_write##size, size, true)         \
    HOOK(__tsan_unaligned_read##size, size, false) \
    HOOK(__tsan_unaligned_write##size, size, true)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" void __tsan_read_range(void* p, size_t n) {
    emu::access(uintptr_t(p), n, false, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void* p, size_t n) {
    emu::access(uintptr_t(p), n, true, __builtin_return_address(0));
}
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}

// What -fsanitize=undefined calls. The first thing that it hands over is a place in the source.
struct Place {
    const char* file;
    uint32_t line, column;
};
#define UNDEFINED(name, what)                                                                          \
    extern "C" void __ubsan_handle_##name(const Place* at, ...) {                                      \
        emu::fail("undefined behaviour: " what " (%s:%u:%u)", at->file, at->line, at->column);         \
    }
UNDEFINED(type_mismatch_v1, "a misaligned or null pointer")
UNDEFINED(out_of_bounds, "an index outside of its array")
UNDEFINED(shift_out_of_bounds, "a shift by too much")
UNDEFINED(divrem_overflow, "division by zero, or overflow")
UNDEFINED(add_overflow, "overflow of a sum")
UNDEFINED(sub_overflow, "overflow of a difference")
UNDEFINED(mul_overflow, "overflow of a product")
UNDEFINED(negate_overflow, "overflow of a negation")
UNDEFINED(float_cast_overflow, "a number too large for its integer type")
