"""Branched signature kernels of pairs of paths, and their gradients.

Design. Lanes hold pairs, of any layout, as for signature kernels: paths, static kernels, the cut into units and the
sums of gradients are the same (`static_kernels.pxd`, `signature_kernel_plan.pxd`, `signature_kernel_groups.pxd`). One
`nogil` function takes a group from paths to kernels, four rows of cells at a time, each row with all depths
(`branched_kernel_sweep.pxd`). Memory is a few rows of one grid for each thread, forward and backward: the gradient
takes rows off again from the last to the first.
"""

from cython.parallel cimport parallel, threadid
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ._interruption cimport Watch, begin_watch, due, end_watch, next_unit, share
from .branched_kernel_sweep cimport (
    Row,
    sweep_few,
    sweep_few_backprop,
    sweep_nodes,
    sweep_nodes_backprop,
    unsweep_few,
    unsweep_nodes,
)
from .lane_math cimport exp_lanes
from .lane_moves cimport load_columns, store_columns
from .lanes cimport aligned_malloc, n_lanes, real, vd, vec, vf
from .signature_kernel_groups cimport add_lanes, increments_backprop, load_increments
from .signature_kernel_plan cimport (
    COLUMNS,
    PAIRWISE,
    ROWS,
    SYMMETRIC,
    TILE,
    Pairs,
    Units,
    make_pairs,
    make_units,
    pair_of,
    unit_pairs,
)
from .static_kernels cimport (
    GIVEN,
    LINEAR,
    StaticKernel,
    fill_cells,
    fill_cells_backprop,
    finish_increments,
    make_static_kernel,
)

cdef enum:
    MOST_LANES = 16
    NEGATIVE_BASE = 1           # what entry points report: the base of a broken power was negative somewhere


cdef struct Job:
    # What all lane groups of one call share, and where a thread's vectors are.
    StaticKernel kernel
    Pairs pairs
    Py_ssize_t n1, n2, d         # cells, channels
    int order1, order2           # dyadic orders
    Py_ssize_t rows, columns, depth, n_tiles
    bint parameters              # whether derivatives by the static kernel's are wanted
    bint log                     # whether logarithms are asked for, or derivatives by them are given
    Py_ssize_t grid              # nodes of the grid if it is asked for, or derivatives by it are given; otherwise 0
    Py_ssize_t x, y, sums, values, cells, above, left, parts, buffer
    Py_ssize_t gx, gy, gp, upper, seeds, column, weights, d_cells, below, right, size
    Py_ssize_t n_sums1, n_sums2  # numbers of one path's gradient; for given cells those of a pair


cdef struct Group:
    # The pairs in the lanes; those behind the last repeat it.
    int n
    Py_ssize_t a[MOST_LANES]
    Py_ssize_t b[MOST_LANES]
    void* paths1[MOST_LANES]
    void* paths2[MOST_LANES]
    void* grids[MOST_LANES]      # written forward, derivatives backward
    void* sums1[MOST_LANES]
    void* sums2[MOST_LANES]


cdef inline vec times(vec x, double factor) noexcept nogil:
    if vec is vd:
        return x * factor
    else:
        return x * <float>factor


cdef void load(const Group* g, vec* memory, const Job* job) noexcept nogil:
    """Points, or increments, and the row of nodes above all cells."""
    cdef Py_ssize_t i
    cdef double scale = job.kernel.parameters[0]
    memset(<void*>(memory + job.x), 0, (job.y - job.x) * sizeof(vec))
    if job.kernel.kind == LINEAR:
        load_increments(g.paths1, job.n1, job.d, job.kernel.factor * scale * scale, memory + job.x)
        load_increments(g.paths2, job.n2, job.d, 1, memory + job.y)
    elif job.kernel.kind != GIVEN:
        load_columns(g.paths1, 0, (job.n1 + 1) * job.d, memory + job.x)
        load_columns(g.paths2, 0, (job.n2 + 1) * job.d, memory + job.y)
    memset(<void*>(memory + job.sums), 0, (job.columns + 1) * job.depth * sizeof(vec))
    for i in range((job.columns + 1) * job.depth):
        memory[job.values + i] = exp_lanes(memory[job.sums + i])


cdef void fill(const Group* g, Py_ssize_t start, Py_ssize_t row, vec* memory, const Job* job) noexcept nogil:
    """Coefficients of all cells of ROWS rows from `row` on, of a sweep that started at row `start`."""
    cdef Py_ssize_t tile, q, t, n, n_rows = min(ROWS, job.n1 - row)
    cdef vec* cells = memory + job.cells
    for tile in range(job.n_tiles):
        n = min(COLUMNS, job.n2 - tile * COLUMNS)
        if job.kernel.kind == GIVEN:
            for q in range(n_rows):
                load_columns(g.paths1, (row + q) * job.n2 + tile * COLUMNS, n, cells + q * COLUMNS)
                for t in range(n):
                    cells[q * COLUMNS + t] = times(cells[q * COLUMNS + t], job.kernel.factor)
        else:
            fill_cells(&job.kernel, memory + job.x + start * job.d, memory + job.y, row - start, n_rows,
                       tile * COLUMNS, n, memory + job.above, memory + job.left, cells)
        cells = cells + TILE


cdef void sweep(Py_ssize_t q, vec* memory, const Job* job) noexcept nogil:
    """One row of nodes from the one above."""
    cdef vec* parts = memory + job.parts
    cdef vec* sums = memory + job.sums
    cdef vec* values = memory + job.values
    cdef Row row = make_row(q, job)
    if job.depth == 1:
        sweep_few(memory + job.cells, &row, sums, values, 1)
    elif job.depth == 2:
        sweep_few(memory + job.cells, &row, sums, values, 2)
    elif job.depth == 3:
        sweep_few(memory + job.cells, &row, sums, values, 3)
    elif job.depth == 4:
        sweep_few(memory + job.cells, &row, sums, values, 4)
    else:
        sweep_nodes(memory + job.cells, &row, sums, values, parts, parts + job.depth, parts + 2 * job.depth,
                    parts + 3 * job.depth, job.depth)


cdef void unsweep(Py_ssize_t q, vec* memory, const Job* job) noexcept nogil:
    """The row of nodes above."""
    cdef vec* sums = memory + job.sums
    cdef vec* values = memory + job.values
    cdef Row row = make_row(q, job)
    if job.depth == 1:
        unsweep_few(memory + job.cells, &row, sums, values, memory + job.upper, 1)
    elif job.depth == 2:
        unsweep_few(memory + job.cells, &row, sums, values, memory + job.upper, 2)
    elif job.depth == 3:
        unsweep_few(memory + job.cells, &row, sums, values, memory + job.upper, 3)
    elif job.depth == 4:
        unsweep_few(memory + job.cells, &row, sums, values, memory + job.upper, 4)
    else:
        unsweep_nodes(memory + job.cells, &row, sums, values, memory + job.upper, memory + job.parts, job.depth)


cdef void sweep_backprop(Py_ssize_t q, vec* memory, const Job* job) noexcept nogil:
    """Adjoint of `sweep`."""
    cdef vec* parts = memory + job.parts
    cdef vec* cells = memory + job.cells
    cdef vec* d_cells = memory + job.d_cells
    cdef vec* values = memory + job.values
    cdef vec* upper = memory + job.upper
    cdef vec* seeds = memory + job.seeds
    cdef vec* column = memory + job.column
    cdef vec* weights = memory + job.weights
    cdef Row row = make_row(q, job)
    if job.depth == 1:
        sweep_few_backprop(cells, &row, values, upper, seeds, column, weights, d_cells, 1)
    elif job.depth == 2:
        sweep_few_backprop(cells, &row, values, upper, seeds, column, weights, d_cells, 2)
    elif job.depth == 3:
        sweep_few_backprop(cells, &row, values, upper, seeds, column, weights, d_cells, 3)
    elif job.depth == 4:
        sweep_few_backprop(cells, &row, values, upper, seeds, column, weights, d_cells, 4)
    else:
        sweep_nodes_backprop(cells, &row, values, upper, seeds, column, weights, d_cells, parts, parts + job.depth,
                             parts + 2 * job.depth, parts + 3 * job.depth, job.depth)


cdef inline Row make_row(Py_ssize_t q, const Job* job) noexcept nogil:
    cdef Row row
    row.n_cells, row.repeat, row.depth, row.q = job.n2, <Py_ssize_t>1 << job.order2, job.depth, q
    return row


cdef void forward_group(Group* g, vec* memory, bint grid, const Job* job) noexcept nogil:
    """Kernels of one group: logarithms at all nodes of the last row, and values of all rows to grids if asked for."""
    cdef Py_ssize_t block, row, q, j, _r, line = 0, spent = 0
    load(g, memory, job)
    for block in range((job.n1 + ROWS - 1) // ROWS):
        row = block * ROWS
        fill(g, 0, row, memory, job)
        for q in range(min(ROWS, job.n1 - row)):
            for _r in range(<Py_ssize_t>1 << job.order1):
                if due(&spent, job.columns * job.depth * 8):
                    return
                sweep(q, memory, job)
                line += 1
                if grid:
                    for j in range(job.columns + 1):
                        memory[job.buffer + j] = exp_lanes(memory[job.sums + (j + 1) * job.depth - 1])
                    store_columns(memory + job.buffer, g.grids, line * (job.columns + 1), job.columns + 1, g.n)


cdef void backward_group(Group* g, vec* memory, const Job* job) noexcept nogil:
    """Gradients of one group, after `forward_group`; its derivatives are in the last of the seeds, or in grids."""
    cdef Py_ssize_t block, row, q, j, _r, tile, n, n_rows, line = job.rows, spent = 0, n_nodes = job.columns + 1
    cdef vec* sums = memory + job.sums
    cdef vec* seeds = memory + job.seeds
    cdef vec* gp = memory + job.gp if job.parameters else NULL
    memset(<void*>(memory + job.gx), 0, (job.seeds - job.gx) * sizeof(vec))
    memset(<void*>(memory + job.column), 0, (job.d_cells - job.column) * sizeof(vec))
    memset(<void*>(memory + job.below), 0, (job.n2 + 1) * sizeof(vec))
    for block in range((job.n1 + ROWS - 1) // ROWS - 1, -1, -1):
        row = block * ROWS
        n_rows = min(ROWS, job.n1 - row)
        fill(g, row, row, memory, job)
        memset(<void*>(memory + job.d_cells), 0, job.n_tiles * TILE * sizeof(vec))
        for q in range(n_rows - 1, -1, -1):
            for _r in range(<Py_ssize_t>1 << job.order1):
                if due(&spent, job.columns * job.depth * 24):
                    return
                if job.grid:
                    load_columns(g.grids, line * n_nodes, n_nodes, seeds)
                    for j in range(n_nodes):
                        seeds[j] = seeds[j] * exp_lanes(sums[(j + 1) * job.depth - 1])
                line -= 1
                unsweep(q, memory, job)
                if line == 0:
                    # What is known to be 0 and 1 is not left to rounding.
                    memset(<void*>sums, 0, n_nodes * job.depth * sizeof(vec))
                    for j in range(n_nodes * job.depth):
                        memory[job.upper + j] = exp_lanes(sums[j])
                sweep_backprop(q, memory, job)
                for j in range(n_nodes * job.depth):
                    memory[job.values + j] = memory[job.upper + j]
                if not job.grid:
                    memset(<void*>seeds, 0, n_nodes * sizeof(vec))
        memset(<void*>(memory + job.right), 0, (ROWS + 1) * sizeof(vec))
        for tile in range(job.n_tiles - 1, -1, -1):
            n = min(COLUMNS, job.n2 - tile * COLUMNS)
            if job.kernel.kind == GIVEN:
                store_given(g, row, n_rows, tile, n, memory, job)
            else:
                fill_cells_backprop(&job.kernel, memory + job.x, memory + job.y, row, n_rows, tile * COLUMNS, n,
                                    memory + job.d_cells + tile * TILE, memory + job.below, memory + job.right,
                                    memory + job.gx, memory + job.gy, gp)
    if job.kernel.kind == LINEAR:
        finish_increments(&job.kernel, memory + job.y, job.n2, memory + job.gx, memory + job.gy, job.n1, gp)
        increments_backprop(memory + job.gx, job.n1, job.d)
        increments_backprop(memory + job.gy, job.n2, job.d)


cdef void store_given(const Group* g, Py_ssize_t row, Py_ssize_t n_rows, Py_ssize_t tile, Py_ssize_t n, vec* memory,
                      const Job* job) noexcept nogil:
    """Derivatives by the cells of a tile, to the gradients of the pairs."""
    cdef Py_ssize_t q, t
    cdef vec* d_cells = memory + job.d_cells + tile * TILE
    if g.sums1[0] == NULL:
        return
    for q in range(n_rows):
        for t in range(n):
            d_cells[q * COLUMNS + t] = times(d_cells[q * COLUMNS + t], job.kernel.factor)
        store_columns(d_cells + q * COLUMNS, g.sums1, (row + q) * job.n2 + tile * COLUMNS, n, g.n)


cdef inline Py_ssize_t out_index(const Pairs* pairs, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """Where the kernel of paths a and b is in the result."""
    return a if pairs.layout == PAIRWISE else a * pairs.batch2 + b


cdef void load_pairs(const real[:, ::1] path1, const real[:, ::1] path2, const Pairs* pairs, Py_ssize_t first,
                     int width, Group* g) noexcept nogil:
    """The group of the pairs from `first` on."""
    cdef int lane
    g.n = <int>min(<Py_ssize_t>width, pairs.n - first)
    for lane in range(width):
        pair_of(pairs, first + min(lane, g.n - 1), g.a + lane, g.b + lane)
        g.paths1[lane] = <void*>(&path1[0, 0] + g.a[lane] * path1.shape[1])
        # A user's kernel gives the cells in place of the first paths; nothing is read from the second.
        g.paths2[lane] = <void*>(&path2[0, 0] + g.b[lane] * path2.shape[1])


cdef void forward_unit(const real[:, ::1] path1, const real[:, ::1] path2, real* out, Py_ssize_t group, real* memory,
                       const Job* job) noexcept nogil:
    cdef int lane, width = n_lanes(memory)
    cdef Py_ssize_t i
    cdef const real* last = memory + (job.values + job.columns * job.depth) * width
    cdef Group g
    load_pairs(path1, path2, &job.pairs, group * width, width, &g)
    if job.grid:
        for lane in range(width):
            g.grids[lane] = out + out_index(&job.pairs, g.a[lane], g.b[lane]) * job.grid
    if real is double:
        forward_group(&g, <vd*>memory, job.grid > 0, job)
        last_value(<vd*>memory, job)
    else:
        forward_group(&g, <vf*>memory, job.grid > 0, job)
        last_value(<vf*>memory, job)
    if not job.grid:
        for lane in range(g.n):
            i = out_index(&job.pairs, g.a[lane], g.b[lane])
            out[i] = last[lane]
            if job.pairs.layout == SYMMETRIC:
                out[out_index(&job.pairs, g.b[lane], g.a[lane])] = last[lane]


cdef void last_value(vec* memory, const Job* job) noexcept nogil:
    """The result, in the place of K_1 at the last node."""
    cdef vec log = memory[job.sums + (job.columns + 1) * job.depth - 1]
    memory[job.values + job.columns * job.depth] = log if job.log else exp_lanes(log)


cdef void backward_unit(const real[:, ::1] path1, const real[:, ::1] path2, const real* derivs, real* sums1,
                        real* sums2, double* parameters, Py_ssize_t unit, const Units* units, real* memory,
                        const Job* job) noexcept nogil:
    """Gradients of the pairs of one unit, added to its sums."""
    cdef Py_ssize_t block1, block2, first, i
    cdef int lane, k, width = n_lanes(memory)
    cdef real* seeds = memory + (job.seeds + job.columns) * width
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef Group g
    for first in range((pairs.n + width - 1) // width):
        load_pairs(path1, path2, &pairs, first * width, width, &g)
        for lane in range(width):
            i = out_index(&units.pairs, g.a[lane], g.b[lane])
            g.grids[lane] = <void*>(derivs + i * job.grid)
            g.sums1[lane] = sums1 + (block2 * units.pairs.batch1 + g.a[lane]) * job.n_sums1 if sums1 != NULL else NULL
            g.sums2[lane] = sums2 + (block1 * units.pairs.batch2 + g.b[lane]) * job.n_sums2 if sums2 != NULL else NULL
        if real is double:
            forward_group(&g, <vd*>memory, False, job)
            set_seeds(<vd*>memory, job)
        else:
            forward_group(&g, <vf*>memory, False, job)
            set_seeds(<vf*>memory, job)
        if not job.grid:
            for lane in range(width):
                seeds[lane] *= seed_of(derivs, units, &g, lane)
        if real is double:
            backward_group(&g, <vd*>memory, job)
            add_group(&g, <vd*>memory, job)
        else:
            backward_group(&g, <vf*>memory, job)
            add_group(&g, <vf*>memory, job)
        if job.parameters:
            for k in range(3):
                for lane in range(g.n):
                    parameters[k] += memory[(job.gp + k) * width + lane]


cdef inline real seed_of(const real* derivs, const Units* units, const Group* g, int lane) noexcept nogil:
    """The derivative by a pair's kernel, and by that of the mirrored pair if there is one."""
    cdef real seed = derivs[out_index(&units.pairs, g.a[lane], g.b[lane])]
    if units.pairs.layout == SYMMETRIC and g.a[lane] != g.b[lane]:
        seed += derivs[out_index(&units.pairs, g.b[lane], g.a[lane])]
    return seed


cdef void set_seeds(vec* memory, const Job* job) noexcept nogil:
    """Derivatives by the logarithm, for one by the result that is 1."""
    cdef vec log = memory[job.sums + (job.columns + 1) * job.depth - 1]
    memset(<void*>(memory + job.seeds), 0, (job.columns + 1) * sizeof(vec))
    memory[job.seeds + job.columns] = exp_lanes(memory[job.seeds]) if job.log else exp_lanes(log)


cdef void add_group(const Group* g, vec* memory, const Job* job) noexcept nogil:
    """Gradients in lanes to the sums of their paths."""
    if job.kernel.kind == GIVEN:
        return
    if g.sums1[0] != NULL:
        add_lanes(memory + job.gx, job.n_sums1, <void**>g.sums1, g.n, memory + job.buffer)
    if g.sums2[0] != NULL:
        add_lanes(memory + job.gy, job.n_sums2, <void**>g.sums2, g.n, memory + job.buffer)


cdef void add_sums(const real* sums, Py_ssize_t n_sums, Py_ssize_t n, real* out) noexcept nogil:
    """out = the sum of all sums (n_sums, n), in their order."""
    cdef Py_ssize_t i, k, spent = 0
    for i in range(n):
        out[i] = sums[i]
    for k in range(1, n_sums):
        if due(&spent, n // 8):
            return
        for i in range(n):
            out[i] += sums[k * n + i]


cdef Job make_job(Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension, int static_kernel,
                  const double* parameters, int order1, int order2, Py_ssize_t depth, bint log, bint grid,
                  bint backward, int width, bint* negative) noexcept nogil:
    cdef Job job
    cdef double factor = 0.25 / (<double>(<Py_ssize_t>1 << order1) * <double>(<Py_ssize_t>1 << order2))
    job.kernel = make_static_kernel(static_kernel, dimension, parameters, factor, negative)
    job.n1, job.n2, job.d = length1 - 1, length2 - 1, dimension
    job.order1, job.order2, job.depth, job.log = order1, order2, depth, log
    job.rows, job.columns = job.n1 << order1, job.n2 << order2
    job.n_tiles = (job.n2 + COLUMNS - 1) // COLUMNS
    job.grid = (job.rows + 1) * (job.columns + 1) if grid else 0
    job.x = 0
    # Blocks are read, and their gradients written, as if they had all their rows.
    job.y = job.x + (job.n1 + ROWS) * job.d
    job.sums = job.y + (job.n2 + 1) * job.d
    job.values = job.sums + (job.columns + 1) * depth
    job.cells = job.values + (job.columns + 1) * depth
    job.above = job.cells + job.n_tiles * TILE
    job.left = job.above + job.n2 + 1
    job.parts = job.left + ROWS + 1
    job.buffer = job.parts + 4 * depth
    job.gx = job.buffer + max(job.columns + 1, width * width)
    job.gy = job.gx + (job.n1 + ROWS) * job.d
    job.gp = job.gy + (job.n2 + 1) * job.d
    job.seeds = job.gp + 3
    job.upper = job.seeds + job.columns + 1
    job.column = job.upper + (job.columns + 1) * depth
    job.weights = job.column + (job.columns + 1) * depth
    job.d_cells = job.weights + (job.columns + 1) * depth
    job.below = job.d_cells + job.n_tiles * TILE
    job.right = job.below + job.n2 + 1
    job.size = job.right + ROWS + 1 if backward else job.gx
    return job


cdef inline double group_cost(const Job* job) noexcept nogil:
    return <double>job.rows * job.columns * job.depth * 8


def branched_sig_kernel(const real[:, ::1] path1, const real[:, ::1] path2, real[:, ::1] out,
                        const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension,
                        int static_kernel, int layout, int order1, int order2, Py_ssize_t depth, bint log,
                        int n_threads):
    """path1 (batch1, length1 * dimension), path2 (batch2, length2 * dimension); out (pairs, 1), or (pairs, nodes of the
    refined grid). log: the logarithms instead, not of grids. Static kernels and layouts as in `sig_kernel`, given cells
    too; a grid is not symmetric. Lengths at least 1. Returns NEGATIVE_BASE or 0."""
    cdef int width = n_lanes(<const real*>NULL)
    cdef bint grid = out.shape[1] > 1, negative = False
    cdef Job job
    cdef Py_ssize_t group, end, n_groups
    cdef size_t size
    cdef void* raw = NULL
    cdef char* memory
    cdef real* to_out
    cdef Watch watch
    cdef Watch* loop
    out[:, :] = 0 if log else 1
    if out.shape[0] == 0 or length1 < 2 or length2 < 2 or depth == 0:
        return 0
    to_out = &out[0, 0]
    job = make_job(length1, length2, dimension, static_kernel, &parameters[0], order1, order2, depth, log, grid, False,
                   width, &negative)
    job.pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    n_groups = (job.pairs.n + width - 1) // width
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    size = job.size * width * sizeof(real)
    memory = <char*>aligned_malloc(size * n_threads, &raw)
    if memory == NULL:
        raise MemoryError("not enough memory for the scratch space of branched_sig_kernel")
    begin_watch(&watch)
    loop = share(n_groups, group_cost(&job), n_threads)
    with nogil, parallel(num_threads=n_threads):
        group = end = 0
        while next_unit(loop, &group, &end):
            forward_unit(path1, path2, to_out, group, <real*>(memory + threadid() * size), &job)
    free(raw)
    end_watch(&watch)
    return NEGATIVE_BASE * negative


def branched_sig_kernel_backprop(const real[:, ::1] derivs, const real[:, ::1] path1, const real[:, ::1] path2,
                                 real[:, ::1] d_path1, real[:, ::1] d_path2, double[::1] d_parameters,
                                 const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2,
                                 Py_ssize_t dimension, int static_kernel, int layout, int order1, int order2,
                                 Py_ssize_t depth, bint log_derivs, bint left_deriv, bint right_deriv, int n_threads):
    """derivs (pairs, 1) or (pairs, nodes of the refined grid); d_path1, d_path2 as path1, path2; d_parameters (3).

    What is not wanted is not read: left_deriv, right_deriv, an empty d_parameters. For a symmetric layout d_path1 has
    the whole gradient. Returns what `branched_sig_kernel` does.
    """
    cdef int width = n_lanes(<const real*>NULL), k
    cdef bint grid = derivs.shape[1] > 1, symmetric = layout == SYMMETRIC, negative = False
    cdef Job job
    cdef Units units
    cdef Py_ssize_t unit, end, n1, n2, blocks1
    cdef size_t size
    cdef void* raw = NULL
    cdef void* own = NULL
    cdef char* memory
    cdef real* sums1 = NULL
    cdef real* sums2 = NULL
    cdef double* found = NULL
    cdef Watch watch
    cdef Watch* loop
    if left_deriv:
        d_path1[:, :] = 0
    if right_deriv and not symmetric:
        d_path2[:, :] = 0
    if d_parameters.shape[0] > 0:
        d_parameters[:] = 0
    if derivs.shape[0] == 0 or length1 < 2 or length2 < 2 or depth == 0:
        return 0
    job = make_job(length1, length2, dimension, static_kernel, &parameters[0], order1, order2, depth, log_derivs, grid,
                   True, width, &negative)
    job.pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    job.parameters = d_parameters.shape[0] > 0
    job.n_sums1, job.n_sums2 = path1.shape[1], path2.shape[1]
    units = make_units(&job.pairs, job.n_sums1 * sizeof(real), job.n_sums2 * sizeof(real), width)
    blocks1 = 1 if layout == PAIRWISE else units.blocks1
    n1, n2 = path1.shape[0] * job.n_sums1, path2.shape[0] * job.n_sums2
    n_threads = <int>min(<Py_ssize_t>n_threads, units.n)
    size = job.size * width * sizeof(real)
    memory = <char*>aligned_malloc(size * n_threads, &raw)
    # Blocks of paths have sums of their own, which are added up in their order.
    own = malloc((units.blocks2 * n1 + blocks1 * n2) * sizeof(real) + 3 * units.n * sizeof(double))
    if memory == NULL or own == NULL:
        free(raw)
        free(own)
        raise MemoryError("not enough memory for the scratch space of branched_sig_kernel_backprop")
    found = <double*>own
    memset(own, 0, (units.blocks2 * n1 + blocks1 * n2) * sizeof(real) + 3 * units.n * sizeof(double))
    if left_deriv:
        sums1 = <real*>(found + 3 * units.n)
        sums2 = sums1
    if not symmetric:
        sums2 = <real*>(found + 3 * units.n) + units.blocks2 * n1 if right_deriv else NULL
    begin_watch(&watch)
    loop = share(units.n, 4 * group_cost(&job) * job.pairs.n / units.n / width, n_threads)
    with nogil, parallel(num_threads=n_threads):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            backward_unit(path1, path2, &derivs[0, 0], sums1, sums2, found + 3 * unit, unit, &units,
                          <real*>(memory + threadid() * size), &job)
    if left_deriv:
        add_sums(sums1, units.blocks2, n1, &d_path1[0, 0])
    if right_deriv and not symmetric:
        add_sums(sums2, blocks1, n2, &d_path2[0, 0])
    if d_parameters.shape[0] > 0:
        for unit in range(units.n):
            for k in range(3):
                d_parameters[k] += found[3 * unit + k]
    free(raw)
    free(own)
    end_watch(&watch)
    return NEGATIVE_BASE * negative
