"""Signature kernels of pairs of paths, and their gradients.

Design. Lanes hold pairs: a lane group is 8 doubles or 16 floats of *any* pairs, so one code path serves Gram matrices,
symmetric ones, and batches of pairs. One `nogil` function takes a group from paths to kernels:

    load                  signature_kernel_groups.pxd   paths -> points or increments in lanes
    fill                  static_kernels.pxd            ... -> coefficients of the cells of one tile of the grid
    enter_tile            signature_kernel_scale.pxd    powers of two
    sweep                 signature_kernel_sweep.pxd    the tile: from its upper and left edge to the lower and right
    one
    leave_tile

block of rows by block of rows, tile by tile. Nothing but one row of the grid is kept. The backward pass keeps one row
of every segment of a few blocks, sweeps the segments again from the last to the first, with coefficients and slopes of
every cell kept for one segment, and walks each back with the adjoints of the functions above.

Gradients of a Gram matrix add up many pairs for every path. The matrix is cut into rectangular units, each with sums of
its own, which are added in a fixed order: the bits are the same for any number of threads.
"""

from cython.parallel cimport prange, threadid
from libc.math cimport ldexp
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from .lane_exponents cimport power_of_two
from .lane_moves cimport load_columns, store_columns
from .lane_windows cimport copies_of, load_at, number_at, set_number, store_at
from .lanes cimport aligned_malloc, lanes, n_lanes, real, vd, vec, vf
from .signature_kernel_groups cimport add_lanes, increments_adjoint, load_increments, load_seeds, store_values
from .signature_kernel_plan cimport (
    COLUMNS,
    FEW_COLUMNS,
    PAIRWISE,
    ROWS,
    SYMMETRIC,
    TILE,
    Pairs,
    Problem,
    Units,
    cell_factor,
    make_pairs,
    make_problem,
    make_units,
    pair_of,
    unit_pairs,
)
from .signature_kernel_polynomial cimport (
    HANKEL,
    N_CONSTANTS,
    corner,
    corner_adjoint,
    make_constants,
    sweep_polynomial,
    sweep_polynomial_adjoint,
)
from .signature_kernel_scale cimport enter_tile, leave_tile
from .signature_kernel_sweep cimport NOTHING, SLOPES, VALUES, Kept, sweep_tile, sweep_tile_adjoint, times
from .signature_kernel_wavefront cimport (
    CHUNK,
    STRIPS,
    add_up,
    excess_of,
    largest_exponent,
    read_row,
    scale_state,
    set_exponents,
    sweep_strips,
    sweep_strips_adjoint,
)
from .signature_kernel_wavefront_cells cimport (
    add_first,
    add_second,
    fill_given,
    fill_products,
    load_first,
    load_second,
    pull_given,
    pull_products,
    slant,
    spread,
    spread_adjoint,
    straighten,
    sum_rows,
)
from .static_kernels cimport GIVEN, LINEAR, StaticKernel, fill_cells, finish_increments, make_static_kernel, pull_cells


cdef struct Scratch:
    # One thread's memory, in vectors.
    Py_ssize_t x, y, columns, exponents, cells, above, left, rows, kept, result, constants, size
    # Backward only.
    Py_ssize_t gx, gy, gp, seed, checkpoints, used, adjoint, adjoint_exponents, d_cells, below, right, seeds, buffer
    Py_ssize_t cells_stride


cdef Scratch make_scratch(const Problem* p, bint grid, bint backward, bint seeded, int width) noexcept nogil:
    cdef Scratch at
    cdef Py_ssize_t n_segments = (p.n_blocks + p.segment - 1) // p.segment
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
    at.kept = at.rows + max(p.rows_state, 3 * ROWS)
    at.result = at.kept + ROWS * (p.segment * p.columns * p.kept if backward else p.tile_columns if grid else 0)
    at.constants = at.result + 2
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


# What is inlined everywhere else is a function of its own here, so that each part gets the registers to itself.

cdef void load(const Problem* p, const StaticKernel* s, const void* const* paths1, const void* const* paths2,
               const Scratch* at, vec* memory) noexcept nogil:
    memset(memory + at.x, 0, (at.y - at.x) * sizeof(vec))
    if p.kind == LINEAR:
        load_increments(paths1, p.n1, p.d, cell_factor(p) * p.parameters[0] * p.parameters[0], memory + at.x)
        load_increments(paths2, p.n2, p.d, 1, memory + at.y)
    elif p.kind != GIVEN:
        load_columns(paths1, 0, (p.n1 + 1) * p.d, memory + at.x)
        load_columns(paths2, 0, (p.n2 + 1) * p.d, memory + at.y)


cdef void fill(const Problem* p, const StaticKernel* s, const void* const* paths1, Py_ssize_t start, Py_ssize_t row,
               Py_ssize_t tile, const Scratch* at, vec* memory, vec* cells) noexcept nogil:
    """Coefficients of a tile, in the block that starts at row `row` of cells, of a sweep that started at row
    `start`."""
    cdef Py_ssize_t column = tile * p.tile_cells, n_columns = min(p.tile_cells, p.n2 - column)
    cdef Py_ssize_t n_rows = min(p.block_cells, p.n1 - row)
    if p.kind == GIVEN:
        load_given(p, paths1, row, n_rows, column, n_columns, cells)
    else:
        fill_cells(s, memory + at.x + start * p.d, memory + at.y, row - start, n_rows, column, n_columns,
                   memory + at.above, memory + at.left, cells)


cdef void load_given(const Problem* p, const void* const* cells_of_pairs, Py_ssize_t row, Py_ssize_t n_rows,
                     Py_ssize_t column, Py_ssize_t n_columns, vec* cells) noexcept nogil:
    cdef Py_ssize_t q, t
    memset(cells, 0, TILE * sizeof(vec))
    for q in range(n_rows):
        load_columns(cells_of_pairs, (row + q) * p.n2 + column, n_columns, cells + q * (TILE // ROWS))
        for t in range(n_columns):
            cells[q * (TILE // ROWS) + t] = times(cells[q * (TILE // ROWS) + t], cell_factor(p))


cdef void sweep(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vec* columns,
                vec* rows) noexcept nogil:
    if repeat == 1:
        sweep_tile(cells, shift, n_cells, 1, columns, rows, rows, NOTHING)
    else:
        sweep_tile(cells, shift, n_cells, repeat, columns, rows, rows, NOTHING)


cdef void sweep_slopes(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vec* columns, vec* rows,
                       vec* kept) noexcept nogil:
    if repeat == 1:
        sweep_tile(cells, shift, n_cells, 1, columns, rows, kept, SLOPES)
    else:
        sweep_tile(cells, shift, n_cells, repeat, columns, rows, kept, SLOPES)


cdef void sweep_values(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, vec* columns, vec* rows,
                       vec* kept) noexcept nogil:
    sweep_tile(cells, shift, n_cells, repeat, columns, rows, kept, VALUES)


cdef void sweep_back(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, const vec* slopes, vec factor,
                     vec* columns, vec* rows, vec* d_cells, bint accumulate) noexcept nogil:
    if repeat == 1 and shift == 0:
        sweep_tile_adjoint(cells, 0, n_cells, 1, slopes, slopes, False, factor, columns, rows, d_cells, False)
    else:
        sweep_tile_adjoint(cells, shift, n_cells, repeat, slopes, slopes, False, factor, columns, rows, d_cells,
                           accumulate)


cdef void sweep_back_seeded(const vec* cells, int shift, Py_ssize_t n_cells, Py_ssize_t repeat, const vec* slopes,
                            const vec* seeds, vec factor, vec* columns, vec* rows, vec* d_cells,
                            bint accumulate) noexcept nogil:
    sweep_tile_adjoint(cells, shift, n_cells, repeat, slopes, seeds, True, factor, columns, rows, d_cells, accumulate)


# Small orders are known to the compiler: then coefficients stay in registers (order 8: 1.8 times as fast, order 4: 3).

cdef void sweep_order(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants, vec* columns,
                      vec* rows, vec* kept, Py_ssize_t stride, int order) noexcept nogil:
    if order == 2:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 2, NOTHING)
    elif order == 3:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 3, NOTHING)
    elif order == 4:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 4, NOTHING)
    elif order == 5:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 5, NOTHING)
    elif order == 6:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 6, NOTHING)
    elif order == 7:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 7, NOTHING)
    elif order == 8:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 8, NOTHING)
    elif order == 9:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 9, NOTHING)
    elif order == 10:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 10, NOTHING)
    elif order == 11:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 11, NOTHING)
    elif order == 12:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 12, NOTHING)
    else:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, order, NOTHING)


cdef void sweep_order_slopes(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                             vec* columns, vec* rows, vec* kept, Py_ssize_t stride, int order) noexcept nogil:
    if order == 2:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 2, SLOPES)
    elif order == 3:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 3, SLOPES)
    elif order == 4:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 4, SLOPES)
    elif order == 5:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 5, SLOPES)
    elif order == 6:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 6, SLOPES)
    elif order == 7:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 7, SLOPES)
    elif order == 8:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 8, SLOPES)
    elif order == 9:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 9, SLOPES)
    elif order == 10:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 10, SLOPES)
    elif order == 11:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 11, SLOPES)
    elif order == 12:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, 12, SLOPES)
    else:
        sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, order, SLOPES)


cdef void sweep_order_values(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                             vec* columns, vec* rows, vec* kept, Py_ssize_t stride, int order) noexcept nogil:
    sweep_polynomial(cells, n_rows, n_columns, constants, columns, rows, kept, stride, order, VALUES)


cdef void sweep_order_back(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                           const vec* slopes, vec factor, vec* columns, vec* rows, vec* d_cells, Py_ssize_t stride,
                           int order) noexcept nogil:
    if order == 2:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 2)
    elif order == 3:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 3)
    elif order == 4:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 4)
    elif order == 5:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 5)
    elif order == 6:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 6)
    elif order == 7:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 7)
    elif order == 8:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 8)
    elif order == 9:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 9)
    elif order == 10:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 10)
    elif order == 11:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 11)
    elif order == 12:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, 12)
    else:
        sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, slopes, False, factor, columns, rows,
                                 d_cells, stride, order)


cdef void sweep_order_back_seeded(const vec* cells, Py_ssize_t n_rows, Py_ssize_t n_columns, const vec* constants,
                                  const vec* slopes, const vec* seeds, vec factor, vec* columns, vec* rows,
                                  vec* d_cells, Py_ssize_t stride, int order) noexcept nogil:
    sweep_polynomial_adjoint(cells, n_rows, n_columns, constants, slopes, seeds, True, factor, columns, rows, d_cells,
                             stride, order)


cdef inline bint starts_cells(const Problem* p, Py_ssize_t block) noexcept nogil:
    """Whether the first row of a block is the first of its row of cells."""
    return (block * ROWS) & ((<Py_ssize_t>1 << p.order1) - 1) == 0


cdef void forward_block(const Problem* p, const StaticKernel* s, const void* const* paths1, Py_ssize_t start,
                        Py_ssize_t block, bint fresh, const Scratch* at, vec* memory, vec* cells, Kept keep,
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
    memset(&rows_exponent, 0, sizeof(vec))
    one = power_of_two(rows_exponent)
    memset(rows, 0, p.rows_state * sizeof(vec))
    for q in range(p.rows_state // p.state):
        rows[q * p.state] = one
    for tile in range(p.n_tiles):
        column = tile * p.tile_columns
        columns = memory + at.columns + column * p.state
        n_cells = min(p.tile_cells, p.n2 - tile * p.tile_cells)
        n_columns = n_cells << p.order2
        if fresh:
            fill(p, s, paths1, start, row, tile, at, memory, cells + tile * at.cells_stride)
        enter_tile(rows, p.rows_state, &rows_exponent, columns, n_columns * p.state, memory + at.exponents + tile)
        slopes = kept
        if keep == SLOPES:
            used[tile] = rows_exponent
            slopes = kept + ROWS * column * p.kept
        if p.order > 0 and keep == NOTHING:
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
        leave_tile(rows, p.rows_state, p.rows_state, &rows_exponent, columns, n_columns * p.state,
                   memory + at.exponents + tile)
    memory[at.result + 1] = rows_exponent
    if p.order > 0:
        memory[at.result] = corner(rows + (n_rows - 1) * p.state, memory + at.columns + (p.columns - 1) * p.state,
                                   memory + at.constants, p.order)
    else:
        memory[at.result] = rows[n_rows - 1]


cdef void first_row(const Problem* p, const Scratch* at, vec* memory) noexcept nogil:
    """State of the columns, and exponents of their tiles, above the grid."""
    cdef vec* columns = memory + at.columns
    cdef Py_ssize_t column
    memset(columns, 0, (p.columns * p.state + p.n_tiles) * sizeof(vec))
    if p.order > 0:
        make_constants(p.order, power_of_two(columns[0]), memory + at.constants)
        for column in range(p.columns):
            columns[column * p.state] = memory[at.constants + HANKEL]


cdef void forward_group(const Problem* p, const StaticKernel* s, const void* const* paths1, const void* const* paths2,
                        const Scratch* at, vec* memory, void** grids, int n_live) noexcept nogil:
    """Kernels of one lane group; mantissas and exponents are left at `at.result`."""
    cdef Py_ssize_t block
    load(p, s, paths1, paths2, at, memory)
    first_row(p, at, memory)
    for block in range(p.n_blocks):
        forward_block(p, s, paths1, 0, block, starts_cells(p, block), at, memory, memory + at.cells,
                      NOTHING if grids == NULL else VALUES, memory + at.kept, NULL, grids, n_live)


cdef void backward_block(const Problem* p, const StaticKernel* s, Py_ssize_t block, const Scratch* at, vec* memory,
                         const vec* cells, const vec* slopes, const vec* used, vec final_exponent,
                         const void* const* grid_derivs, void** given, int n_live, bint parameters) noexcept nogil:
    """Adjoint of `forward_block`; derivatives of grids that `grid_derivs` has are added on the way."""
    cdef vec* rows = memory + at.rows
    cdef vec* d_cells
    cdef vec* columns
    cdef vec rows_exponent, factor
    cdef Py_ssize_t tile, column, n_columns, n_cells, row = (block * ROWS) >> p.order1
    cdef Py_ssize_t n_rows = min(ROWS, p.rows - block * ROWS)
    cdef Py_ssize_t rows_state = 3 * ROWS if p.order == 0 else p.rows_state
    cdef bint several = p.order1 > p.shift
    cdef bint last = ((block + 1) * ROWS) & ((<Py_ssize_t>1 << p.order1) - 1) == 0
    memset(rows, 0, rows_state * sizeof(vec))
    if p.order > 0 and grid_derivs == NULL and block == p.n_blocks - 1:
        corner_adjoint(memory[at.seed], rows + (n_rows - 1) * p.state,
                       memory + at.adjoint + (p.columns - 1) * p.state, memory + at.constants, p.order)
    memset(memory + at.right, 0, (ROWS + 1) * sizeof(vec))
    rows_exponent = memory[at.adjoint_exponents + p.n_tiles - 1]
    for tile in range(p.n_tiles - 1, -1, -1):
        column = tile * p.tile_columns
        n_cells = min(p.tile_cells, p.n2 - tile * p.tile_cells)
        n_columns = n_cells << p.order2
        columns = memory + at.adjoint + column * p.state
        d_cells = memory + at.d_cells + (tile * TILE if several else 0)
        enter_tile(rows, rows_state, &rows_exponent, columns, n_columns * p.state,
                   memory + at.adjoint_exponents + tile)
        factor = power_of_two(used[tile] + rows_exponent - final_exponent)
        if grid_derivs != NULL:
            load_seeds(grid_derivs, block * ROWS + 1, n_rows, column + 1, n_columns, p.columns + 1,
                       power_of_two(-rows_exponent), memory + at.seeds)
        if p.order > 0 and grid_derivs == NULL:
            sweep_order_back(cells + tile * TILE, n_rows, n_cells, memory + at.constants,
                             slopes + ROWS * column * p.kept, factor, columns, rows, d_cells, p.state, p.order)
        elif p.order > 0:
            sweep_order_back_seeded(cells + tile * TILE, n_rows, n_cells, memory + at.constants,
                                    slopes + ROWS * column * p.kept, memory + at.seeds, factor, columns, rows, d_cells,
                                    p.state, p.order)
        elif grid_derivs == NULL:
            sweep_back(cells + tile * TILE, p.shift, n_cells, <Py_ssize_t>1 << p.order2, slopes + ROWS * column,
                       times(factor, 1.7320508075688772), columns, rows, d_cells, several and not last)
        else:
            sweep_back_seeded(cells + tile * TILE, p.shift, n_cells, <Py_ssize_t>1 << p.order2, slopes + ROWS * column,
                              memory + at.seeds, times(factor, 1.7320508075688772), columns, rows, d_cells,
                              several and not last)
        leave_tile(rows, rows_state, ROWS if p.order == 0 else rows_state, &rows_exponent, columns,
                   n_columns * p.state, memory + at.adjoint_exponents + tile)
        if starts_cells(p, block):
            pull(p, s, row, tile, at, memory, d_cells, given, n_live, parameters)


cdef void pull(const Problem* p, const StaticKernel* s, Py_ssize_t row, Py_ssize_t tile, const Scratch* at, vec* memory,
               vec* d_cells, void** given, int n_live, bint parameters) noexcept nogil:
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
        pull_cells(s, memory + at.x, memory + at.y, row, n_rows, column, n_columns, d_cells, memory + at.below,
                   memory + at.right, memory + at.gx, memory + at.gy, memory + at.gp if parameters else NULL)


cdef void backward_group(const Problem* p, const StaticKernel* s, const void* const* paths1, const void* const* paths2,
                         const Scratch* at, vec* memory, const void* const* grid_derivs, bint log_derivs,
                         void** given, int n_live, bint parameters) noexcept nogil:
    """Gradients of one lane group, whose derivatives are at `at.seed` or in `grid_derivs`, left at `at.gx`, `at.gy`
    and `at.gp`."""
    cdef Py_ssize_t block, first, stop, segment, row, n_segments = (p.n_blocks + p.segment - 1) // p.segment
    cdef Py_ssize_t checkpoint = p.columns * p.state + p.n_tiles
    cdef vec* cells = memory + at.cells
    cdef vec final_exponent, seed = memory[at.seed]
    cdef bint fresh
    load(p, s, paths1, paths2, at, memory)
    first_row(p, at, memory)
    for block in range(p.n_blocks):
        if block % p.segment == 0:
            memcpy(memory + at.checkpoints + block // p.segment * checkpoint, memory + at.columns,
                   checkpoint * sizeof(vec))
        forward_block(p, s, paths1, 0, block, starts_cells(p, block), at, memory, cells, NOTHING, NULL, NULL, NULL, 0)
    final_exponent = memory[at.result + 1]
    memset(memory + at.gx, 0, (at.seed - at.gx) * sizeof(vec))
    memset(memory + at.adjoint, 0, checkpoint * sizeof(vec))
    memset(memory + at.below, 0, (p.n2 + 1) * sizeof(vec))
    if log_derivs:
        seed = seed / memory[at.result]
    else:
        memset(&final_exponent, 0, sizeof(vec))
    if grid_derivs == NULL and p.order == 0:
        memory[at.adjoint + p.columns - 1] = seed
    memory[at.seed] = seed
    for segment in range(n_segments - 1, -1, -1):
        first = segment * p.segment
        stop = min(first + p.segment, p.n_blocks)
        memcpy(memory + at.columns, memory + at.checkpoints + segment * checkpoint, checkpoint * sizeof(vec))
        row = (first * ROWS) >> p.order1
        for block in range(first, stop):
            fresh = block == first or starts_cells(p, block)
            forward_block(p, s, paths1, row, block, fresh, at, memory, segment_cells(p, first, block, cells), SLOPES,
                          memory + at.kept + (block - first) * ROWS * p.columns * p.kept,
                          memory + at.used + (block - first) * p.n_tiles, NULL, 0)
        for block in range(stop - 1, first - 1, -1):
            backward_block(p, s, block, at, memory, segment_cells(p, first, block, cells),
                           memory + at.kept + (block - first) * ROWS * p.columns * p.kept,
                           memory + at.used + (block - first) * p.n_tiles, final_exponent, grid_derivs, given, n_live,
                           parameters)
    if p.kind == LINEAR:
        finish_increments(s, memory + at.y, p.n2, memory + at.gx, memory + at.gy, p.n1,
                          memory + at.gp if parameters else NULL)
        increments_adjoint(memory + at.gx, p.n1, p.d)
        increments_adjoint(memory + at.gy, p.n2, p.d)


cdef inline vec* segment_cells(const Problem* p, Py_ssize_t first, Py_ssize_t block, vec* cells) noexcept nogil:
    """Where the coefficients of a block of a segment are: several blocks may share those of one row of cells."""
    while block > first and not starts_cells(p, block):
        block -= 1
    return cells + (block - first) * p.n_tiles * TILE


include "signature_kernel_wavefront.pxi"


cdef struct Arrays:
    # What the units of a call read and write; paths are rows of row_bytes1 and row_bytes2 bytes.
    const char* path1
    const char* path2
    Py_ssize_t row_bytes1, row_bytes2
    const char* derivs
    Py_ssize_t row_length        # of derivs: 1, or the nodes of a grid
    char* sums1
    char* sums2
    double* parameters


cdef inline int load_pairs(const Arrays* arrays, const Pairs* pairs, Py_ssize_t first, int width, const void** paths1,
                           const void** paths2, Py_ssize_t* a, Py_ssize_t* b) noexcept nogil:
    """Point to the paths of the group of pairs from `first` on; lanes without a pair repeat the last one.

    Returns the number of lanes with a pair.
    """
    cdef int lane, n_live = <int>min(<Py_ssize_t>width, pairs.n - first)
    for lane in range(width):
        pair_of(pairs, first + min(lane, n_live - 1), a + lane, b + lane)
        paths1[lane] = arrays.path1 + a[lane] * arrays.row_bytes1
        paths2[lane] = arrays.path2 + b[lane] * arrays.row_bytes2
    return n_live


cdef void forward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                       Py_ssize_t group, const Scratch* at, real* memory, real* out, real* exponent, real* grids,
                       Py_ssize_t grid_size) noexcept nogil:
    """Kernels of one lane group, to out and exponent, or to the rows of grids."""
    cdef const void* paths1[16]
    cdef const void* paths2[16]
    cdef void* grid_rows[16]
    cdef Py_ssize_t a[16]
    cdef Py_ssize_t b[16]
    cdef Py_ssize_t i
    cdef int lane, width = n_lanes(memory), n_live
    n_live = load_pairs(arrays, pairs, group * width, width, paths1, paths2, a, b)
    if grids != NULL:
        for lane in range(n_live):
            grid_rows[lane] = grids + out_index(pairs, a[lane], b[lane]) * grid_size
    if real is double:
        forward_group(p, s, paths1, paths2, at, <vd*>memory, grid_rows if grids != NULL else NULL, n_live)
    else:
        forward_group(p, s, paths1, paths2, at, <vf*>memory, grid_rows if grids != NULL else NULL, n_live)
    if grids != NULL:
        return
    for lane in range(n_live):
        i = out_index(pairs, a[lane], b[lane])
        out[i] = memory[at.result * width + lane]
        exponent[i] = memory[(at.result + 1) * width + lane]
        if pairs.layout == SYMMETRIC:
            i = out_index(pairs, b[lane], a[lane])
            out[i] = memory[at.result * width + lane]
            exponent[i] = memory[(at.result + 1) * width + lane]


cdef inline Py_ssize_t out_index(const Pairs* pairs, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """Where the kernel of paths a and b is in the result."""
    return a if pairs.layout == PAIRWISE else a * pairs.batch2 + b


cdef void forward_pair(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs,
                       Py_ssize_t pair, const Wave* at, real* memory, real* out, real* exponent) noexcept nogil:
    """The kernel of one pair, along anti-diagonals."""
    cdef Py_ssize_t a, b
    cdef double mantissa = 1, power = 0
    pair_of(pairs, pair, &a, &b)
    if real is double:
        wave_forward(p, s, arrays.path1 + a * arrays.row_bytes1, arrays.path2 + b * arrays.row_bytes2, at, <vd*>memory,
                     &mantissa, &power)
    else:
        wave_forward(p, s, arrays.path1 + a * arrays.row_bytes1, arrays.path2 + b * arrays.row_bytes2, at, <vf*>memory,
                     &mantissa, &power)
    out[out_index(pairs, a, b)] = <real>mantissa
    exponent[out_index(pairs, a, b)] = <real>power
    if pairs.layout == SYMMETRIC:
        out[out_index(pairs, b, a)] = <real>mantissa
        exponent[out_index(pairs, b, a)] = <real>power


cdef int forward_wave(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, real* out,
                      real* exponent, int n_threads) noexcept nogil:
    """Kernels of all pairs, each along anti-diagonals; -1 if memory is short."""
    cdef Wave at = make_wave(p, False, n_lanes(<real*>NULL))
    cdef Py_ssize_t pair
    n_threads = <int>min(<Py_ssize_t>n_threads, pairs.n)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * at.size * sizeof(real), &raw)
    if memory == NULL:
        return -1
    for pair in prange(pairs.n, schedule="dynamic", num_threads=n_threads):
        forward_pair(p, s, arrays, pairs, pair, &at, memory + threadid() * at.size, out, exponent)
    free(raw)
    return 0


cdef int forward(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Pairs* pairs, real* out,
                 real* exponent, real* grids, int n_threads) noexcept nogil:
    """Kernels of all pairs; -1 if memory is short."""
    cdef int width = n_lanes(<real*>NULL)
    cdef Scratch at = make_scratch(p, grids != NULL, False, False, width)
    cdef Py_ssize_t group, n_groups = (pairs.n + width - 1) // width, size = at.size * width
    n_threads = <int>min(<Py_ssize_t>n_threads, n_groups)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * size * sizeof(real), &raw)
    if memory == NULL:
        return -1
    for group in prange(n_groups, schedule="dynamic", num_threads=n_threads):
        forward_unit(p, s, arrays, pairs, group, &at, memory + threadid() * size, out, exponent, grids,
                     (p.rows + 1) * (p.columns + 1))
    free(raw)
    return 0


cdef void backward_unit(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                        Py_ssize_t unit, const Scratch* at, real* memory, bint log_derivs) noexcept nogil:
    """Gradients of the pairs of one unit, added to its sums."""
    cdef const void* paths1[16]
    cdef const void* paths2[16]
    cdef const void* derivs[16]
    cdef void* sums1[16]
    cdef void* sums2[16]
    cdef Py_ssize_t a[16]
    cdef Py_ssize_t b[16]
    cdef Py_ssize_t block1, block2, first, i
    cdef int lane, k, width = n_lanes(memory), n_live
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef bint grid = arrays.row_length > 1
    cdef const real* numbers = <const real*>arrays.derivs
    for k in range(3):
        if arrays.parameters != NULL:
            arrays.parameters[3 * unit + k] = 0
    for first in range((pairs.n + width - 1) // width):
        n_live = load_pairs(arrays, &pairs, first * width, width, paths1, paths2, a, b)
        for lane in range(width):
            i = out_index(&units.pairs, a[lane], b[lane])
            derivs[lane] = numbers + i * arrays.row_length
            memory[at.seed * width + lane] = 0
            if lane < n_live and not grid:
                memory[at.seed * width + lane] = numbers[i]
                if units.pairs.layout == SYMMETRIC and a[lane] != b[lane]:
                    memory[at.seed * width + lane] += numbers[out_index(&units.pairs, b[lane], a[lane])]
            # The sums of a path, one for each block of other paths.
            sums1[lane] = arrays.sums1 + (block2 * units.pairs.batch1 + a[lane]) * arrays.row_bytes1
            sums2[lane] = arrays.sums2 + (block1 * units.pairs.batch2 + b[lane]) * arrays.row_bytes2
        if real is double:
            backward_group(p, s, paths1, paths2, at, <vd*>memory, derivs if grid else NULL, log_derivs, sums1, n_live,
                           arrays.parameters != NULL)
        else:
            backward_group(p, s, paths1, paths2, at, <vf*>memory, derivs if grid else NULL, log_derivs, sums1, n_live,
                           arrays.parameters != NULL)
        if p.kind != GIVEN:
            if real is double:
                if arrays.sums1 != NULL:
                    add_lanes(<vd*>memory + at.gx, (p.n1 + 1) * p.d, sums1, n_live, <vd*>memory + at.buffer)
                if arrays.sums2 != NULL:
                    add_lanes(<vd*>memory + at.gy, (p.n2 + 1) * p.d, sums2, n_live, <vd*>memory + at.buffer)
            else:
                if arrays.sums1 != NULL:
                    add_lanes(<vf*>memory + at.gx, (p.n1 + 1) * p.d, sums1, n_live, <vf*>memory + at.buffer)
                if arrays.sums2 != NULL:
                    add_lanes(<vf*>memory + at.gy, (p.n2 + 1) * p.d, sums2, n_live, <vf*>memory + at.buffer)
        if arrays.parameters != NULL:
            for k in range(3):
                for lane in range(n_live):
                    arrays.parameters[3 * unit + k] += memory[(at.gp + k) * width + lane]


cdef void backward_unit_wave(const Problem* p, const StaticKernel* s, const Arrays* arrays, const Units* units,
                             Py_ssize_t unit, const Wave* at, real* memory, bint log_derivs) noexcept nogil:
    """The same, one pair after the other along anti-diagonals."""
    cdef Py_ssize_t a, b, pair, block1, block2
    cdef Pairs pairs = unit_pairs(units, unit, &block1, &block2)
    cdef const real* numbers = <const real*>arrays.derivs
    cdef const char* path1
    cdef const char* path2
    cdef char* sums1
    cdef char* sums2
    cdef double seed
    for pair in range(pairs.n):
        pair_of(&pairs, pair, &a, &b)
        seed = numbers[out_index(&units.pairs, a, b)]
        if units.pairs.layout == SYMMETRIC and a != b:
            seed += numbers[out_index(&units.pairs, b, a)]
        path1 = arrays.path1 + a * arrays.row_bytes1
        path2 = arrays.path2 + b * arrays.row_bytes2
        sums1 = NULL
        if arrays.sums1 != NULL:
            sums1 = arrays.sums1 + (block2 * units.pairs.batch1 + a) * arrays.row_bytes1
        sums2 = NULL
        if arrays.sums2 != NULL:
            sums2 = arrays.sums2 + (block1 * units.pairs.batch2 + b) * arrays.row_bytes2
        if real is double:
            wave_backward(p, s, path1, path2, at, <vd*>memory, seed, log_derivs, sums1, sums2)
        else:
            wave_backward(p, s, path1, path2, at, <vf*>memory, seed, log_derivs, sums1, sums2)


cdef void add_sums(const real* sums, Py_ssize_t n_sums, Py_ssize_t row, Py_ssize_t n_rows, Py_ssize_t length,
                   real* out) noexcept nogil:
    """Row `row` of out = the sum of that row of all sums (n_sums, n_rows, length), in their order."""
    cdef Py_ssize_t i, k
    for i in range(length):
        out[row * length + i] = sums[row * length + i]
    for k in range(1, n_sums):
        for i in range(length):
            out[row * length + i] += sums[(k * n_rows + row) * length + i]


cdef int backward(const Problem* p, const StaticKernel* s, Arrays* arrays, const Pairs* pairs, real* d_path1,
                  real* d_path2, double* d_parameters, bint log_derivs, bint wavefront, int n_threads) noexcept nogil:
    """Gradients of all pairs; d_path1, d_path2, d_parameters may be NULL. -1 if memory is short."""
    cdef int width = n_lanes(<real*>NULL), k
    cdef Scratch at = make_scratch(p, False, True, arrays.row_length > 1, width)
    cdef Wave wave = make_wave(p, True, width)
    cdef Units units = make_units(pairs, arrays.row_bytes1, arrays.row_bytes2, 1 if wavefront else width)
    cdef Py_ssize_t unit, row, size = wave.size if wavefront else at.size * width
    cdef Py_ssize_t bytes1 = units.pairs.batch1 * arrays.row_bytes1, bytes2 = units.pairs.batch2 * arrays.row_bytes2
    cdef bint symmetric = pairs.layout == SYMMETRIC
    n_threads = <int>min(<Py_ssize_t>n_threads, units.n)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(n_threads * size * sizeof(real), &raw)
    cdef void* own1 = NULL
    cdef void* own2 = NULL
    cdef void* own3 = NULL
    arrays.sums1 = <char*>d_path1
    arrays.sums2 = <char*>d_path1 if symmetric else <char*>d_path2
    arrays.parameters = NULL
    if d_path1 != NULL and units.blocks2 > 1:
        own1 = malloc(units.blocks2 * bytes1)
        arrays.sums1 = <char*>own1
        if symmetric:
            arrays.sums2 = <char*>own1
    if d_path2 != NULL and units.blocks1 > 1 and pairs.layout != PAIRWISE:
        own2 = malloc(units.blocks1 * bytes2)
        arrays.sums2 = <char*>own2
    if d_parameters != NULL:
        own3 = malloc(3 * units.n * sizeof(double))
        arrays.parameters = <double*>own3
    if (memory == NULL or (d_path1 != NULL and arrays.sums1 == NULL) or (d_path2 != NULL and arrays.sums2 == NULL)
            or (d_parameters != NULL and own3 == NULL)):
        free(raw)
        free(own1)
        free(own2)
        free(own3)
        return -1
    if arrays.sums1 != NULL and p.kind != GIVEN:
        memset(arrays.sums1, 0, (units.blocks2 if own1 != NULL else 1) * bytes1)
    if arrays.sums2 != NULL and not symmetric:
        memset(arrays.sums2, 0, (units.blocks1 if own2 != NULL else 1) * bytes2)
    for unit in prange(units.n, schedule="dynamic", num_threads=n_threads):
        if wavefront:
            backward_unit_wave(p, s, arrays, &units, unit, &wave, memory + threadid() * size, log_derivs)
        else:
            backward_unit(p, s, arrays, &units, unit, &at, memory + threadid() * size, log_derivs)
    if own1 != NULL:
        for row in prange(units.pairs.batch1, num_threads=n_threads):
            add_sums(<real*>own1, units.blocks2, row, units.pairs.batch1, arrays.row_bytes1 // <Py_ssize_t>sizeof(real),
                     d_path1)
    if own2 != NULL:
        for row in prange(units.pairs.batch2, num_threads=n_threads):
            add_sums(<real*>own2, units.blocks1, row, units.pairs.batch2, arrays.row_bytes2 // <Py_ssize_t>sizeof(real),
                     d_path2)
    if d_parameters != NULL:
        for k in range(3):
            d_parameters[k] = 0
            for unit in range(units.n):
                d_parameters[k] += arrays.parameters[3 * unit + k]
    free(raw)
    free(own1)
    free(own2)
    free(own3)
    return 0


cdef inline Problem with_few_columns(const Problem* p) noexcept nogil:
    """The same problem in smaller tiles, for cells so large that numbers leave their range within a tile."""
    return make_problem(p.n1, p.n2, p.d, p.order1, p.order2, p.order, p.kind, p.parameters, FEW_COLUMNS)


cdef bint all_finite(const real* numbers, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        # False for infinities and NaN.
        if not numbers[i] - numbers[i] == 0:
            return False
    return True


cdef inline bint can_wave(const Problem* p) noexcept nogil:
    """Whether pairs can be swept along anti-diagonals."""
    return p.order == 0 and (p.kind == LINEAR or p.kind == GIVEN)


cdef inline Arrays make_arrays(const real[:, ::1] path1, const real[:, ::1] path2):
    cdef Arrays arrays
    memset(&arrays, 0, sizeof(Arrays))
    arrays.path1 = <const char*>&path1[0, 0]
    arrays.row_bytes1 = path1.shape[1] * sizeof(real)
    # A user's kernel gives the cells in place of the first paths; nothing is read from the second.
    arrays.path2 = <const char*>&path2[0, 0] if path2.shape[0] > 0 else arrays.path1
    arrays.row_bytes2 = path2.shape[1] * sizeof(real)
    return arrays


def sig_kernel(const real[:, ::1] path1, const real[:, ::1] path2, real[::1] out, real[::1] exponent,
               const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension,
               int static_kernel, int layout, int order1, int order2, int order, bint wavefront, int n_threads):
    """path1 (batch1, length1 * dimension), path2 (batch2, length2 * dimension); out, exponent (pairs): out *
    2^exponent.

    For given cells, path1 is (batch1, (length1 - 1) * (length2 - 1)) and path2 (0, 0).
    """
    cdef Problem p = make_problem(length1 - 1, length2 - 1, dimension, order1, order2, order, static_kernel,
                                  &parameters[0], COLUMNS)
    cdef StaticKernel s
    cdef Pairs pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    cdef Arrays arrays
    cdef int status
    if pairs.n == 0:
        return
    arrays = make_arrays(path1, path2)
    with nogil:
        s = make_static_kernel(static_kernel, dimension, p.parameters, cell_factor(&p))
        if wavefront and can_wave(&p):
            status = forward_wave(&p, &s, &arrays, &pairs, &out[0], &exponent[0], n_threads)
        else:
            status = forward(&p, &s, &arrays, &pairs, &out[0], &exponent[0], <real*>NULL, n_threads)
        if status == 0 and not all_finite(&out[0], out.shape[0]):
            p = with_few_columns(&p)
            status = forward(&p, &s, &arrays, &pairs, &out[0], &exponent[0], <real*>NULL, n_threads)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_kernel")


def sig_kernel_grid(const real[:, ::1] path1, const real[:, ::1] path2, real[:, :, ::1] out,
                    const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension,
                    int static_kernel, int layout, int order1, int order2, int order, int n_threads):
    """Paths as in `sig_kernel`; out (pairs, rows + 1, columns + 1): the kernel at all nodes of the refined grid."""
    cdef Problem p = make_problem(length1 - 1, length2 - 1, dimension, order1, order2, order, static_kernel,
                                  &parameters[0], COLUMNS)
    cdef StaticKernel s
    cdef Pairs pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    cdef Arrays arrays
    cdef Py_ssize_t a, b, i, j
    cdef int status
    if pairs.n == 0:
        return
    arrays = make_arrays(path1, path2)
    with nogil:
        for a in range(out.shape[0]):
            for i in range(out.shape[1]):
                out[a, i, 0] = 1
            for j in range(out.shape[2]):
                out[a, 0, j] = 1
        s = make_static_kernel(static_kernel, dimension, p.parameters, cell_factor(&p))
        status = forward(&p, &s, &arrays, &pairs, <real*>NULL, <real*>NULL, &out[0, 0, 0], n_threads)
        if layout == SYMMETRIC:
            for a in range(pairs.batch1):
                for b in range(a):
                    for i in range(out.shape[1]):
                        for j in range(out.shape[2]):
                            out[a * pairs.batch1 + b, i, j] = out[b * pairs.batch1 + a, j, i]
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_kernel")


def sig_kernel_backprop(const real[:, ::1] derivs, const real[:, ::1] path1, const real[:, ::1] path2,
                        real[:, ::1] d_path1, real[:, ::1] d_path2, double[::1] d_parameters,
                        const double[::1] parameters, Py_ssize_t length1, Py_ssize_t length2, Py_ssize_t dimension,
                        int static_kernel, int layout, int order1, int order2, int order, bint log_derivs,
                        bint left_deriv, bint right_deriv, bint wavefront, int n_threads):
    """derivs (pairs, 1) or (pairs, nodes of the refined grid); d_path1, d_path2 as path1, path2; d_parameters (3).

    What is not wanted is not read: left_deriv, right_deriv, an empty d_parameters.
    """
    cdef Problem p = make_problem(length1 - 1, length2 - 1, dimension, order1, order2, order, static_kernel,
                                  &parameters[0], COLUMNS)
    cdef StaticKernel s
    cdef Pairs pairs = make_pairs(layout, 0, path1.shape[0], 0, path2.shape[0])
    cdef Arrays arrays
    cdef int status
    cdef real* to_path1
    cdef real* to_path2
    cdef double* for_parameters = &d_parameters[0] if d_parameters.shape[0] > 0 else NULL
    if pairs.n == 0:
        if left_deriv:
            d_path1[:, :] = 0
        if right_deriv:
            d_path2[:, :] = 0
        if for_parameters != NULL:
            d_parameters[:] = 0
        return
    arrays = make_arrays(path1, path2)
    arrays.derivs = <const char*>&derivs[0, 0]
    arrays.row_length = derivs.shape[1]
    with nogil:
        s = make_static_kernel(static_kernel, dimension, p.parameters, cell_factor(&p))
        to_path1 = &d_path1[0, 0] if left_deriv else NULL
        to_path2 = &d_path2[0, 0] if right_deriv and layout != SYMMETRIC else NULL
        status = backward(&p, &s, &arrays, &pairs, to_path1, to_path2, for_parameters, log_derivs,
                          wavefront and can_wave(&p) and for_parameters == NULL and arrays.row_length == 1, n_threads)
        if status == 0 and not (
            (to_path1 == NULL or all_finite(to_path1, d_path1.shape[0] * d_path1.shape[1]))
            and (to_path2 == NULL or all_finite(to_path2, d_path2.shape[0] * d_path2.shape[1]))
            and (for_parameters == NULL or all_finite(for_parameters, 3))
        ):
            p = with_few_columns(&p)
            status = backward(&p, &s, &arrays, &pairs, to_path1, to_path2, for_parameters, log_derivs, False, n_threads)
    if status != 0:
        raise MemoryError("not enough memory for the scratch space of sig_kernel_backprop")
