"""How a call for signature kernels is cut into cells, tiles and pairs.

Two paths of n1 + 1 and n2 + 1 points span a grid of n1 x n2 cells. Dyadic orders cut every cell into 2^order1 rows
and 2^order2 columns, all with the same coefficient: *rows* and *columns* below count the refined ones. They are
walked in blocks of ROWS rows, each in tiles of about COLUMNS columns: what a tile reads and writes stays in the
first-level cache, and numbers are rescaled at the edges of tiles only.
"""

from libc.math cimport sqrt

from .lanes cimport ceil_div

cdef enum:
    ROWS = 4
    COLUMNS = 32
    TILE = 128              # ROWS * COLUMNS
    FEW_COLUMNS = 4

    PAIRWISE = 0            # pair p is (p, p)
    GRAM = 1                # all pairs, row by row
    SYMMETRIC = 2           # all pairs (a, b) with a <= b of one batch


cdef enum Scaling:
    # What has an exponent of its own. Pairs whose cells are too large for one way are swept again in the next.
    BY_FRONT                # all that the wavefront of a single pair works on
    BY_TILE
    BY_SMALL_TILE           # tiles of FEW_COLUMNS columns
    BY_NUMBER


cdef struct Pairs:
    # Pairs of path a from `batch1` paths from `first1` on, and path b from `batch2` paths from `first2` on.
    int layout
    Py_ssize_t batch1, batch2, first1, first2
    Py_ssize_t n
    bint snake                   # whether every other row goes back, so that neighbours are of nearly one length


cdef struct Problem:
    Py_ssize_t n1, n2            # cells
    Py_ssize_t d                 # channels
    int order1, order2           # dyadic orders
    int order                    # of the polynomial method; 0 for finite differences
    int kind                     # static kernel
    double[3] parameters         # of the static kernel
    Py_ssize_t rows, columns     # of the refined grid
    int shift                    # rows q of a block has the coefficients of row q >> shift of its tile
    Py_ssize_t block_cells       # rows of cells in a block of ROWS rows
    Py_ssize_t n_blocks
    Py_ssize_t tile_cells        # columns of cells in a tile
    Py_ssize_t tile_columns
    Py_ssize_t n_tiles
    bint by_number               # every number of a state, and every slope, is two vectors, with its exponent
    Py_ssize_t state             # vectors of the state of a column: its difference, or the polynomial on its edge
    Py_ssize_t rows_state        # vectors of the state of a block's rows, forward and backward
    Py_ssize_t adjoint_rows_state
    Py_ssize_t kept              # vectors that the backward pass keeps for each node
    Py_ssize_t segment           # blocks in a segment of the backward pass


cdef inline Problem make_problem(Py_ssize_t n1, Py_ssize_t n2, Py_ssize_t d, int order1, int order2, int order,
                                 int kind, const double* parameters, Scaling scaling) noexcept nogil:
    cdef Problem p
    cdef Py_ssize_t tile_columns = FEW_COLUMNS if scaling == BY_SMALL_TILE else COLUMNS
    cdef int i
    p.n1, p.n2, p.d = n1, n2, d
    p.order1, p.order2, p.order = order1, order2, order
    p.kind = kind
    for i in range(3):
        p.parameters[i] = parameters[i]
    p.rows = n1 << order1
    p.columns = n2 << order2
    p.shift = min(order1, 2)
    p.block_cells = ROWS >> p.shift
    p.n_blocks = ceil_div(p.rows, ROWS)
    p.tile_cells = max(tile_columns >> order2, 1) if order2 < 6 else 1
    p.tile_columns = p.tile_cells << order2
    p.n_tiles = (n2 + p.tile_cells - 1) // p.tile_cells
    if order == 0:
        p.state, p.rows_state, p.adjoint_rows_state, p.kept = 1, ROWS + 1, 3 * ROWS, 1
        # Few enough for a segment's cells and slopes to stay in the cache.
        p.segment = 2
    else:
        p.state, p.kept = order + 1, 2 * order
        p.rows_state = p.adjoint_rows_state = ROWS * p.state
        # A state for each segment, and ROWS * kept vectors for each block of one: least memory in all.
        p.segment = <Py_ssize_t>max(sqrt(<double>p.n_blocks / 8.0) + 0.5, 1.0)
    p.by_number = scaling == BY_NUMBER
    if p.by_number:
        p.state, p.rows_state, p.adjoint_rows_state = 2 * p.state, 2 * p.rows_state, 2 * p.adjoint_rows_state
        p.kept = 2 * p.kept
    return p


cdef inline Problem scaled_as(const Problem* p, Scaling scaling) noexcept nogil:
    """The same problem with other exponents."""
    return make_problem(p.n1, p.n2, p.d, p.order1, p.order2, p.order, p.kind, p.parameters, scaling)


cdef inline Problem shortened(const Problem* p, Py_ssize_t n1, Py_ssize_t n2) noexcept nogil:
    """The same problem for paths of fewer cells."""
    return make_problem(n1, n2, p.d, p.order1, p.order2, p.order, p.kind, p.parameters, BY_TILE)


cdef inline double cell_factor(const Problem* p) noexcept nogil:
    """What double increments are multiplied by: see `signature_kernel_sweep.pxd`."""
    if p.order > 0:
        return 1
    return 1 / (sqrt(12.0) * <double>(<Py_ssize_t>1 << p.order1) * <double>(<Py_ssize_t>1 << p.order2))


cdef inline Pairs make_pairs(int layout, Py_ssize_t first1, Py_ssize_t batch1, Py_ssize_t first2,
                             Py_ssize_t batch2) noexcept nogil:
    cdef Pairs p
    p.layout = layout
    p.first1, p.batch1, p.first2, p.batch2 = first1, batch1, first2, batch2
    p.snake = False
    if layout == PAIRWISE:
        p.n = batch1
    elif layout == GRAM:
        p.n = batch1 * batch2
    else:
        p.n = batch1 * (batch1 + 1) // 2
    return p


cdef inline Py_ssize_t triangle_row(Py_ssize_t i) noexcept nogil:
    """The largest r with r (r + 1) / 2 <= i."""
    cdef Py_ssize_t row = <Py_ssize_t>((sqrt(8.0 * <double>i + 1) - 1) / 2)
    while row * (row + 1) // 2 > i:
        row -= 1
    while (row + 1) * (row + 2) // 2 <= i:
        row += 1
    return row


cdef inline void pair_of(const Pairs* p, Py_ssize_t pair, Py_ssize_t* a, Py_ssize_t* b) noexcept nogil:
    """The paths that make up a pair."""
    cdef Py_ssize_t row, rest
    if p.layout == PAIRWISE:
        a[0] = p.first1 + pair
        b[0] = p.first2 + pair
    elif p.layout == GRAM:
        a[0] = p.first1 + pair // p.batch2
        b[0] = p.first2 + pair % p.batch2
    else:
        # Rows of the upper triangle grow towards its beginning: counted from the end they are 1, 2, 3, ... long.
        rest = p.n - 1 - pair
        row = triangle_row(rest)
        a[0] = p.first1 + p.batch1 - 1 - row
        b[0] = p.first2 + p.batch1 - 1 - (rest - row * (row + 1) // 2)
    if goes_back(p, a[0]):
        b[0] = first_of_row(p, a[0]) + end_of_row(p) - 1 - b[0]


cdef inline Py_ssize_t first_of_row(const Pairs* p, Py_ssize_t a) noexcept nogil:
    return p.first2 if p.layout == GRAM else p.first2 + a - p.first1


cdef inline Py_ssize_t end_of_row(const Pairs* p) noexcept nogil:
    return p.first2 + (p.batch2 if p.layout == GRAM else p.batch1)


cdef inline bint goes_back(const Pairs* p, Py_ssize_t a) noexcept nogil:
    return p.snake and p.layout != PAIRWISE and (a - p.first1) % 2 == 1


cdef inline void next_pair(const Pairs* p, Py_ssize_t* a, Py_ssize_t* b) noexcept nogil:
    """From the paths of a pair to those of the next one, without a division."""
    if goes_back(p, a[0]):
        if b[0] > first_of_row(p, a[0]):
            b[0] -= 1
        else:
            a[0] += 1
            b[0] = first_of_row(p, a[0])
        return
    b[0] += 1
    if p.layout == PAIRWISE:
        a[0] += 1
    elif b[0] == end_of_row(p):
        a[0] += 1
        b[0] = b[0] - 1 if p.snake else first_of_row(p, a[0])


cdef struct Units:
    # The cut of all pairs into units that sum gradients on their own: blocks of paths against blocks of paths.
    Pairs pairs
    Py_ssize_t size1, size2      # paths in a block
    Py_ssize_t blocks1, blocks2
    Py_ssize_t n


cdef inline Units make_units(const Pairs* pairs, Py_ssize_t path_bytes1, Py_ssize_t path_bytes2,
                             int width) noexcept nogil:
    """Units as many as threads may want, as large as lanes want, and so few that their sums fit into memory.

    width: the lanes that pairs are to fill, 1 if lanes do not hold pairs.
    """
    cdef Units u
    cdef Py_ssize_t parts = 8
    cdef double n_bytes
    u.pairs = pairs[0]
    if pairs.layout == PAIRWISE:
        u.size1 = u.size2 = width
        u.blocks1 = u.n = ceil_div(pairs.n, width)
        u.blocks2 = 1
        return u
    while True:
        u.size1 = max(ceil_div(pairs.batch1, parts), 1)
        u.size2 = max(ceil_div(pairs.batch2, parts), 1)
        if width > 1:
            u.size1 = max(u.size1, min(4, pairs.batch1))
            u.size2 = max(u.size2, 16 // max(u.size1, 1))
            u.size1 = max(u.size1, min(16 // max(min(u.size2, pairs.batch2), 1), pairs.batch1))
        if pairs.layout == SYMMETRIC:
            u.size2 = u.size1
        u.blocks1 = (pairs.batch1 + u.size1 - 1) // u.size1
        u.blocks2 = (pairs.batch2 + u.size2 - 1) // u.size2
        n_bytes = (<double>u.blocks2 * <double>pairs.batch1 * <double>path_bytes1
                   + <double>u.blocks1 * <double>pairs.batch2 * <double>path_bytes2)
        if n_bytes < 268435456.0 or parts == 1:
            break
        parts -= 1
    u.n = u.blocks1 * u.blocks2 if pairs.layout == GRAM else u.blocks1 * (u.blocks1 + 1) // 2
    return u


cdef inline Pairs unit_pairs(const Units* u, Py_ssize_t unit, Py_ssize_t* block1, Py_ssize_t* block2) noexcept nogil:
    """The pairs of one unit, and the two blocks that it belongs to."""
    cdef Pairs blocks, p
    cdef Py_ssize_t size1, size2
    if u.pairs.layout == PAIRWISE:
        block1[0] = block2[0] = 0
        size1 = min(u.size1, u.pairs.n - unit * u.size1)
        return make_pairs(PAIRWISE, unit * u.size1, size1, unit * u.size1, size1)
    blocks = make_pairs(u.pairs.layout, 0, u.blocks1, 0, u.blocks2)
    pair_of(&blocks, unit, block1, block2)
    size1 = min(u.size1, u.pairs.batch1 - block1[0] * u.size1)
    size2 = min(u.size2, u.pairs.batch2 - block2[0] * u.size2)
    if u.pairs.layout == SYMMETRIC and block1[0] == block2[0]:
        p = make_pairs(SYMMETRIC, block1[0] * u.size1, size1, block1[0] * u.size1, size1)
    else:
        p = make_pairs(GRAM, block1[0] * u.size1, size1, block2[0] * u.size2, size2)
    p.snake = u.pairs.snake
    return p
