# One lane group: from the paths of its pairs to kernels, and to gradients. Included by signature_kernel.pyx; needs
# the functions of signature_kernel_parts.pxi.

from libc.string cimport memcpy, memset

from ._interruption cimport due
from .lane_exponents cimport gone, larger, power_of_two
from .lane_moves cimport store_columns
from .lanes cimport ceil_div, vec
from .signature_kernel_groups cimport increments_backprop, load_seeds, store_values
from .signature_kernel_plan cimport ROWS, TILE, Problem, cell_factor
from .signature_kernel_polynomial cimport HANKEL, N_CONSTANTS, corner, corner_backprop, make_constants
from .signature_kernel_scale cimport Edge, enter_tile, least_of, leave_tile
from .signature_kernel_sweep cimport NOTHING, SLOPES, VALUES, Kept, times
from .static_kernels cimport GIVEN, LINEAR, StaticKernel, fill_cells_backprop, finish_increments


cdef struct KernelScratch:
    # One thread's memory, in vectors.
    Py_ssize_t x, y, columns, exponents, cells, above, left, rows, kept, result, lost, constants, size
    # Backward only.
    Py_ssize_t gx, gy, gp, seed, checkpoints, used, adjoint, adjoint_exponents, d_cells, below, right, seeds, buffer
    Py_ssize_t cells_stride


cdef KernelScratch make_scratch(const Problem* p, bint grid, bint backward, bint seeded, int width) noexcept nogil:
    cdef KernelScratch at
    cdef Py_ssize_t n_segments = ceil_div(p.n_blocks, p.segment)
    at.x = 0
    # Blocks are read, and their gradients written, as if they had all their rows.
    at.y = at.x + (p.n1 + ROWS) * p.d
    at.columns = at.y + (p.n2 + 1) * p.d
    at.exponents = at.columns + p.columns * p.state
    # With so many rows to a row of cells that they fill several blocks, all tiles' coefficients are kept.
    at.cells_stride = TILE if backward or p.order1 > p.shift else 0
    at.cells = at.exponents + p.n_tiles
    at.above = at.cells + max(at.cells_stride * p.n_tiles * (p.segment if backward else 1), TILE)
    at.left = at.above + p.n2 + 1
    at.rows = at.left + ROWS + 1
    at.kept = at.rows + max(p.rows_state, p.adjoint_rows_state)
    at.result = at.kept + ROWS * (p.segment * p.columns * p.kept if backward else p.tile_columns if grid else 0)
    at.lost = at.result + 2
    at.constants = at.lost + 1
    at.size = at.constants + (N_CONSTANTS if p.order > 0 else 0)
    if backward:
        at.gx = at.size
        at.gy = at.gx + (p.n1 + ROWS) * p.d
        at.gp = at.gy + (p.n2 + 1) * p.d
        at.seed = at.gp + 3
        at.checkpoints = at.seed + 1
        at.used = at.checkpoints + n_segments * (p.columns * p.state + p.n_tiles)
        at.adjoint = at.used + p.segment * p.n_tiles
        at.adjoint_exponents = at.adjoint + p.columns * p.state
        at.d_cells = at.adjoint_exponents + p.n_tiles
        at.below = at.d_cells + (TILE * p.n_tiles if p.order1 > p.shift else TILE)
        at.right = at.below + p.n2 + 1
        at.seeds = at.right + ROWS + 1
        at.buffer = at.seeds + (2 * ROWS * p.tile_columns if seeded else 0)
        at.size = at.buffer + width * width
    return at


cdef inline Edge edge_of(const Problem* p, bint backward) noexcept nogil:
    """Numbers of the rows' state that are values, or derivatives by them: for polynomials those of power 0."""
    cdef Edge edge
    edge.n = ROWS if backward or p.order > 0 else ROWS + 1
    edge.stride = p.state
    return edge


cdef inline Py_ssize_t block_cost(const Problem* p) noexcept nogil:
    """About how many vector operations a block of rows takes."""
    cdef Py_ssize_t node = 8 if p.order == 0 else 4 * p.order * p.order
    return ROWS * ((p.n2 * p.d >> p.order1) + p.columns * (8 * node if p.by_number else node))


cdef inline double group_cost(const Problem* p) noexcept nogil:
    """And a lane group."""
    return <double>p.n_blocks * block_cost(p)


cdef inline bint starts_cells(const Problem* p, Py_ssize_t block) noexcept nogil:
    """Whether the first row of a block is the first of its row of cells."""
    return (block * ROWS) & ((<Py_ssize_t>1 << p.order1) - 1) == 0


cdef void forward_block(const Problem* p, const StaticKernel* s, const void* const* paths1, Py_ssize_t start,
                        Py_ssize_t block, bint fresh, const KernelScratch* at, vec* memory, vec* cells, Kept keep,
                        vec* kept, vec* used, void** grids, int n_live) noexcept nogil:
    """One block of rows, of a sweep that started at row `start` of cells.

    `fresh`: the coefficients must be computed, else they are those of the block before. used (n_tiles) gets the
    exponents of the kept slopes. Values go to `grids`.
    """
    cdef vec* rows = memory + at.rows
    cdef vec* columns
    cdef vec* slopes
    cdef vec rows_exponent, one
    cdef Py_ssize_t tile, column, n_columns, n_cells, q, row = (block * ROWS) >> p.order1
    cdef Py_ssize_t n_rows = min(ROWS, p.rows - block * ROWS)
    cdef Edge edge = edge_of(p, False)
    memset(&rows_exponent, 0, sizeof(vec))
    one = power_of_two(rows_exponent)
    if p.state > 1:
        set_zero_state(p, rows, p.rows_state)
    for q in range(p.rows_state // p.state):
        rows[q * p.state] = one
        if p.by_number:
            rows[q * p.state + 1] = rows_exponent
    for tile in range(p.n_tiles):
        column = tile * p.tile_columns
        columns = memory + at.columns + column * p.state
        n_cells = min(p.tile_cells, p.n2 - tile * p.tile_cells)
        n_columns = n_cells << p.order2
        if fresh:
            fill(p, s, paths1, start, row, tile, at, memory, cells + tile * at.cells_stride)
        if not p.by_number:
            enter_tile(rows, p.rows_state, edge, &rows_exponent, columns, n_columns * p.state,
                       memory + at.exponents + tile, memory + at.lost)
        slopes = kept
        if keep == SLOPES:
            used[tile] = rows_exponent
            slopes = kept + ROWS * column * p.kept
        if p.by_number:
            sweep_by_number(p, cells + tile * at.cells_stride, n_rows, n_cells, memory + at.constants, columns, rows,
                            slopes, keep)
        elif p.order > 0 and keep == NOTHING:
            sweep_order(cells + tile * at.cells_stride, n_rows, n_cells, memory + at.constants, columns, rows, slopes,
                        p.state, p.order)
        elif p.order > 0 and keep == SLOPES:
            sweep_order_slopes(cells + tile * at.cells_stride, n_rows, n_cells, memory + at.constants, columns, rows,
                               slopes, p.state, p.order)
        elif p.order > 0:
            sweep_order_values(cells + tile * at.cells_stride, n_rows, n_cells, memory + at.constants, columns, rows,
                               slopes, p.state, p.order)
        elif keep == NOTHING:
            sweep(cells + tile * at.cells_stride, p.shift, n_cells, <Py_ssize_t>1 << p.order2, columns, rows)
        elif keep == SLOPES:
            sweep_slopes(cells + tile * at.cells_stride, p.shift, n_cells, <Py_ssize_t>1 << p.order2, columns, rows,
                         slopes)
        else:
            sweep_values(cells + tile * at.cells_stride, p.shift, n_cells, <Py_ssize_t>1 << p.order2, columns, rows,
                         kept)
        if keep == VALUES:
            store_values(kept, rows_exponent, grids, block * ROWS + 1, n_rows, column + 1, n_columns, p.columns + 1,
                         n_live)
        if not p.by_number:
            leave_tile(rows, p.rows_state, p.rows_state, edge, &rows_exponent, columns, n_columns * p.state,
                       memory + at.exponents + tile, memory + at.lost)
    memory[at.result + 1] = rows_exponent
    if p.by_number:
        end_by_number(p, n_rows, memory + at.columns, rows, memory + at.constants, memory + at.result)
    elif p.order > 0:
        memory[at.result] = corner(rows + (n_rows - 1) * p.state, memory + at.columns + (p.columns - 1) * p.state,
                                   memory + at.constants, p.order)
    else:
        memory[at.result] = rows[n_rows - 1]


cdef inline void set_zero_columns(const Problem* p, vec* columns, vec* exponents) noexcept nogil:
    """The columns' state, and the exponents of their tiles, which stand behind it, become zeros."""
    if p.by_number:
        set_zero_state(p, columns, p.columns * p.state)
        memset(exponents, 0, p.n_tiles * sizeof(vec))
    else:
        memset(columns, 0, (exponents - columns + p.n_tiles) * sizeof(vec))


cdef void first_row(const Problem* p, const KernelScratch* at, vec* memory) noexcept nogil:
    """State of the columns, and exponents of their tiles, above the grid."""
    cdef vec* columns = memory + at.columns
    cdef Py_ssize_t column
    memset(memory + at.lost, 0, sizeof(vec))
    set_zero_columns(p, columns, memory + at.exponents)
    if p.order > 0:
        make_constants(p.order, power_of_two(memory[at.exponents]), memory + at.constants)
        for column in range(p.columns):
            columns[column * p.state] = memory[at.constants + HANKEL]
            if p.by_number:
                columns[column * p.state + 1] = memory[at.exponents]


cdef void forward_group(const Problem* p, const StaticKernel* s, const void* const* paths1, const void* const* paths2,
                        const KernelScratch* at, vec* memory, void** grids, int n_live) noexcept nogil:
    """Kernels of one lane group; mantissas and exponents are left at `at.result`."""
    cdef Py_ssize_t block, spent = 0
    load(p, s, paths1, paths2, at, memory)
    first_row(p, at, memory)
    for block in range(p.n_blocks):
        if due(&spent, block_cost(p)):
            return
        forward_block(p, s, paths1, 0, block, starts_cells(p, block), at, memory, memory + at.cells,
                      NOTHING if grids == NULL else VALUES, memory + at.kept, NULL, grids, n_live)


cdef void backward_block(const Problem* p, const StaticKernel* s, Py_ssize_t block, const KernelScratch* at,
                         vec* memory, const vec* cells, const vec* slopes, const vec* used, vec final_exponent,
                         const void* const* grid_derivs, void** given, int n_live, bint parameters) noexcept nogil:
    """Adjoint of `forward_block`; derivatives of grids that `grid_derivs` has are added on the way."""
    cdef vec* rows = memory + at.rows
    cdef vec* d_cells
    cdef vec* columns
    cdef vec rows_exponent, factor, before
    cdef Py_ssize_t tile, column, n_columns, n_cells, row = (block * ROWS) >> p.order1
    cdef Py_ssize_t n_rows = min(ROWS, p.rows - block * ROWS)
    cdef Py_ssize_t rows_state = p.adjoint_rows_state
    cdef bint several = p.order1 > p.shift
    cdef bint last = ((block + 1) * ROWS) & ((<Py_ssize_t>1 << p.order1) - 1) == 0
    cdef Edge edge = edge_of(p, True)
    set_zero_state(p, rows, rows_state)
    if p.by_number and grid_derivs == NULL and block == p.n_blocks - 1:
        end_by_number_backprop(p, n_rows, memory[at.seed], memory + at.adjoint, rows, memory + at.constants)
    elif p.order > 0 and grid_derivs == NULL and block == p.n_blocks - 1:
        corner_backprop(memory[at.seed], rows + (n_rows - 1) * p.state,
                        memory + at.adjoint + (p.columns - 1) * p.state, memory + at.constants, p.order)
    memset(memory + at.right, 0, (ROWS + 1) * sizeof(vec))
    rows_exponent = memory[at.adjoint_exponents + p.n_tiles - 1]
    for tile in range(p.n_tiles - 1, -1, -1):
        column = tile * p.tile_columns
        n_cells = min(p.tile_cells, p.n2 - tile * p.tile_cells)
        n_columns = n_cells << p.order2
        columns = memory + at.adjoint + column * p.state
        d_cells = memory + at.d_cells + (tile * TILE if several else 0)
        if not p.by_number:
            enter_tile(rows, rows_state, edge, &rows_exponent, columns, n_columns * p.state,
                       memory + at.adjoint_exponents + tile, memory + at.lost)
        factor = power_of_two(used[tile] + rows_exponent - final_exponent)
        if grid_derivs != NULL:
            load_seeds(grid_derivs, block * ROWS + 1, n_rows, column + 1, n_columns, p.columns + 1,
                       power_of_two(-rows_exponent), memory + at.seeds)
        if p.by_number:
            sweep_by_number_backprop(p, cells + tile * TILE, n_rows, n_cells, memory + at.constants,
                                     slopes + ROWS * column * p.kept, memory + at.seeds, grid_derivs != NULL,
                                     final_exponent, columns, rows, d_cells, several and not last)
        elif p.order > 0 and grid_derivs == NULL:
            sweep_order_backprop(cells + tile * TILE, n_rows, n_cells, memory + at.constants,
                                 slopes + ROWS * column * p.kept, factor, columns, rows, d_cells, p.state, p.order)
        elif p.order > 0:
            sweep_order_backprop_seeded(cells + tile * TILE, n_rows, n_cells, memory + at.constants,
                                        slopes + ROWS * column * p.kept, memory + at.seeds, factor, columns, rows,
                                        d_cells, p.state, p.order)
        elif grid_derivs == NULL:
            sweep_backprop(cells + tile * TILE, p.shift, n_cells, <Py_ssize_t>1 << p.order2, slopes + ROWS * column,
                           times(factor, 1.7320508075688772), columns, rows, d_cells, several and not last)
        else:
            sweep_backprop_seeded(cells + tile * TILE, p.shift, n_cells, <Py_ssize_t>1 << p.order2,
                                  slopes + ROWS * column, memory + at.seeds, times(factor, 1.7320508075688772), columns,
                                  rows, d_cells, several and not last)
        if not p.by_number:
            # What the last column carries up is all that comes in from the right.
            before = columns[(n_columns - 1) * p.state]
            leave_tile(rows, rows_state, ROWS if p.order == 0 else rows_state, edge, &rows_exponent, columns,
                       n_columns * p.state, memory + at.adjoint_exponents + tile, memory + at.lost)
            if tile == p.n_tiles - 1:
                memory[at.lost] = larger(gone(before, columns[(n_columns - 1) * p.state], least_of(columns)),
                                         memory[at.lost])
        if starts_cells(p, block):
            fill_backprop(p, s, row, tile, at, memory, d_cells, given, n_live, parameters)


cdef void fill_backprop(const Problem* p, const StaticKernel* s, Py_ssize_t row, Py_ssize_t tile,
                        const KernelScratch* at, vec* memory, vec* d_cells, void** given, int n_live,
                        bint parameters) noexcept nogil:
    """Adjoint of `fill`."""
    cdef Py_ssize_t column = tile * p.tile_cells, n_columns = min(p.tile_cells, p.n2 - column)
    cdef Py_ssize_t n_rows = min(p.block_cells, p.n1 - row), q, t
    if p.kind == GIVEN:
        for q in range(n_rows):
            for t in range(n_columns):
                d_cells[q * (TILE // ROWS) + t] = times(d_cells[q * (TILE // ROWS) + t], cell_factor(p))
            store_columns(d_cells + q * (TILE // ROWS), given, (row + q) * p.n2 + column, n_columns, n_live)
    else:
        for q in range(n_rows, ROWS):
            memset(d_cells + q * (TILE // ROWS), 0, (TILE // ROWS) * sizeof(vec))
        fill_cells_backprop(s, memory + at.x, memory + at.y, row, n_rows, column, n_columns, d_cells, memory + at.below,
                            memory + at.right, memory + at.gx, memory + at.gy, memory + at.gp if parameters else NULL)


cdef void backward_group(const Problem* p, const StaticKernel* s, const void* const* paths1, const void* const* paths2,
                         const KernelScratch* at, vec* memory, const void* const* grid_derivs, bint log_derivs,
                         void** given, int n_live, bint parameters) noexcept nogil:
    """Gradients of one lane group, whose derivatives are at `at.seed` or in `grid_derivs`, left at `at.gx`, `at.gy`
    and `at.gp`."""
    cdef Py_ssize_t block, first, stop, segment, row, spent = 0, n_segments = ceil_div(p.n_blocks, p.segment)
    cdef Py_ssize_t checkpoint = p.columns * p.state + p.n_tiles
    cdef vec* cells = memory + at.cells
    cdef vec final_exponent, seed = memory[at.seed]
    cdef bint fresh
    load(p, s, paths1, paths2, at, memory)
    first_row(p, at, memory)
    for block in range(p.n_blocks):
        if due(&spent, block_cost(p)):
            return
        if block % p.segment == 0:
            memcpy(memory + at.checkpoints + block // p.segment * checkpoint, memory + at.columns,
                   checkpoint * sizeof(vec))
        forward_block(p, s, paths1, 0, block, starts_cells(p, block), at, memory, cells, NOTHING, NULL, NULL, NULL, 0)
    final_exponent = memory[at.result + 1]
    memset(memory + at.gx, 0, (at.seed - at.gx) * sizeof(vec))
    set_zero_columns(p, memory + at.adjoint, memory + at.adjoint_exponents)
    memset(memory + at.below, 0, (p.n2 + 1) * sizeof(vec))
    if log_derivs:
        seed = seed / memory[at.result]
    else:
        memset(&final_exponent, 0, sizeof(vec))
    if grid_derivs == NULL and p.order == 0 and not p.by_number:
        memory[at.adjoint + p.columns - 1] = seed
    memory[at.seed] = seed
    for segment in range(n_segments - 1, -1, -1):
        first = segment * p.segment
        stop = min(first + p.segment, p.n_blocks)
        memcpy(memory + at.columns, memory + at.checkpoints + segment * checkpoint, checkpoint * sizeof(vec))
        row = (first * ROWS) >> p.order1
        for block in range(first, stop):
            if due(&spent, block_cost(p)):
                return
            fresh = block == first or starts_cells(p, block)
            forward_block(p, s, paths1, row, block, fresh, at, memory, segment_cells(p, first, block, cells), SLOPES,
                          memory + at.kept + (block - first) * ROWS * p.columns * p.kept,
                          memory + at.used + (block - first) * p.n_tiles, NULL, 0)
        for block in range(stop - 1, first - 1, -1):
            if due(&spent, 2 * block_cost(p)):
                return
            backward_block(p, s, block, at, memory, segment_cells(p, first, block, cells),
                           memory + at.kept + (block - first) * ROWS * p.columns * p.kept,
                           memory + at.used + (block - first) * p.n_tiles, final_exponent, grid_derivs, given, n_live,
                           parameters)
    if p.kind == LINEAR:
        finish_increments(s, memory + at.y, p.n2, memory + at.gx, memory + at.gy, p.n1,
                          memory + at.gp if parameters else NULL)
        increments_backprop(memory + at.gx, p.n1, p.d)
        increments_backprop(memory + at.gy, p.n2, p.d)


cdef inline vec* segment_cells(const Problem* p, Py_ssize_t first, Py_ssize_t block, vec* cells) noexcept nogil:
    """Where the coefficients of a block of a segment are: several blocks may share those of one row of cells."""
    while block > first and not starts_cells(p, block):
        block -= 1
    return cells + (block - first) * p.n_tiles * TILE
