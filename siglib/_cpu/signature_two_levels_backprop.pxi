"""Backward: gradients of levels 1 and 2, given their cotangents g and G; see two_levels.pxd.

Included by signature.pyx; needs the functions of signature_two_levels.pxi.

Level 2 is the half of its first level's square plus the area of the path closed by a straight line, so with indices
that run on from the last point to the first, D the last point minus the first and e = g + (G + G^T) D / 2,

    gradient at point j = (G - G^T) / 2 (x_(j+1) - x_(j-1)),    - e at the first point,    + e at the last.

It needs neither the signature nor differences of large numbers. With lead-lag the steps before and behind a point have
matrices of their own, (P - Q^T) / 2 and (Q - P^T) / 2, with P = G_AA + G_BB + 2 G_AB and Q = G_AA + G_BB + 2 G_BA, and
e = g_A + g_B + (Q + Q^T) D / 2. Time adds its column and row of G, times what time goes on between the neighbours.
"""

from cython.parallel cimport parallel, threadid
from libc.stdlib cimport free
from libc.string cimport memset

from ._interruption cimport Watch, due, next_unit, share
from .increments cimport Transform
from .lane_moves cimport load_columns
from .lane_windows cimport copies_at, copies_of, number_at, set_number, store_at
from .lanes cimport aligned_malloc, ceil_div, lanes, n_lanes, real, vd, vec, vf
from .matrix_tiles cimport TILE_VECTORS, tile_rows
from .two_levels cimport BLOCK_CHANNELS, DEPTH, TwoLevels, address, channels, first_panel


cdef void one_level_backprop(const real* derivs, const Transform* t, real* out) noexcept nogil:
    """Adjoint of `one_level`: gradients of one path's points, given the cotangents of its signature."""
    cdef Py_ssize_t i, last = (t.length - 1) * t.dimension
    memset(out, 0, t.length * t.dimension * sizeof(real))
    for i in range(t.dimension):
        out[last + i] = derivs[i] + derivs[t.dimension + i] if t.lead_lag else derivs[i]
        out[i] = -out[last + i]


cdef enum:
    POINTS = 64          # rows of the gradient that are computed at a time
    # Numbers from a row of differences to the next: room for a vector behind the last, and no power of two.
    DIFFERENCES = DEPTH + 16


cdef struct Side:
    # Blocks of G that add up to P (with G_AB) or to Q (with G_BA): numbers from G's start, factors.
    int n
    Py_ssize_t start[3]
    double factor[3]


cdef Side side_of(const TwoLevels* job, bint lag_first) noexcept nogil:
    cdef Side side
    cdef Py_ssize_t d = job.transform.dimension, row_length = job.transform.d
    side.n = 3 if job.transform.lead_lag else 1
    side.start[0] = 0
    side.start[1] = d * row_length + d
    side.start[2] = d if lag_first else d * row_length
    side.factor[0] = 1
    side.factor[1] = 1
    side.factor[2] = 2
    return side


cdef void load_gradient_panel(const vec* derivs, Py_ssize_t at, const TwoLevels* job, Py_ssize_t channel,
                              Py_ssize_t first, Py_ssize_t n, const Side* left, const Side* right, const vec* total,
                              bint add_left, bint add_right, vec* panel, vec* ends, int width) noexcept nogil:
    """panel (n, width): rows `first`.. and the columns of the panel at `channel`, of the transpose of (L - R^T) / 2.

    L, R: the sums of the blocks of `left` and `right`; G begins at number `at` of derivs. Adds the part of L D / 2, and
    of R^T D / 2, that these rows give to ends (width), if asked for; total: D.
    """
    cdef Py_ssize_t part, i, k, here, lane, n_here, n_live, d = job.transform.dimension, row_length = job.transform.d
    cdef int v, b
    cdef vec p, q, half = copies_of(0.5, derivs)
    cdef const void* rows[16]
    cdef vec columns[16]
    cdef vec lefts[16]
    for v in range(width):
        here = channel + v * lanes(panel)
        n_live = d - here
        for part in range(ceil_div(n, lanes(panel))):
            i = part * lanes(panel)
            n_here = min(n - i, <Py_ssize_t>lanes(panel))
            for b in range(left.n):
                for lane in range(lanes(panel)):
                    # Dead lanes repeat the last channel.
                    rows[lane] = address(derivs, at + left.start[b] + min(here + lane, d - 1) * row_length)
                load_columns(rows, first + i, n_here, columns)
                for k in range(n_here):
                    if b == 0:
                        lefts[k] = columns[k]
                    else:
                        lefts[k] = lefts[k] + copies_of(left.factor[b], derivs) * columns[k]
            for k in range(n_here):
                q = channels(derivs, at + right.start[0] + (first + i + k) * row_length + here, 1, n_live)
                for b in range(1, right.n):
                    q = q + copies_of(right.factor[b], derivs) * channels(
                        derivs, at + right.start[b] + (first + i + k) * row_length + here, 1, n_live)
                p = lefts[k] * half
                q = q * half
                panel[(i + k) * width + v] = p - q
                if add_left:
                    ends[v] = ends[v] + p * copies_at(total, first + i + k)
                if add_right:
                    ends[v] = ends[v] + q * copies_at(total, first + i + k)


cdef void load_differences(const vec* path, Py_ssize_t at, const TwoLevels* job, Py_ssize_t point, Py_ssize_t n_points,
                           Py_ssize_t channel, Py_ssize_t n, int behind, int before, vec* differences) noexcept nogil:
    """differences (n_points, DIFFERENCES), numbers: x_(j + behind) - x_(j - before) at points j from `point` on, in n
    channels from `channel` on. Behind the last point comes the first."""
    cdef Py_ssize_t part, j, i, later, earlier, length = job.transform.length, stride = job.channel_stride
    for j in range(n_points):
        later = at + (point + j + behind) % length * job.row_stride + channel * stride
        earlier = at + (point + j - before + length) % length * job.row_stride + channel * stride
        for part in range(ceil_div(n, lanes(differences))):
            i = part * lanes(differences)
            store_at(differences, j * DIFFERENCES + i, channels(path, later + i * stride, stride, n - i)
                     - channels(path, earlier + i * stride, stride, n - i))


cdef inline double time_between(const Transform* t, Py_ssize_t point, bint lead) noexcept nogil:
    """How far time goes on from the neighbour before to the one behind, summed over the rows that hold a point of the
    lead or the lag block; the neighbours of an end are those of the closed path."""
    cdef Py_ssize_t last = t.length - 1
    cdef double total = t.time_step * t.n_rows, twice = 2 * t.time_step
    if point > 0 and point < last:
        return 2 * twice if t.lead_lag else twice
    # In one block an end is held for one row, in the other for two.
    return t.time_step - total + (twice if t.lead_lag and (point == last) == lead else 0)


cdef void add_time(const vec* derivs, Py_ssize_t at, const TwoLevels* job, Py_ssize_t begin, Py_ssize_t end,
                   double* ends, vec* out, Py_ssize_t out_at) noexcept nogil:
    """The part of words with time: to the gradients of all points, the first to do so, and to `ends`."""
    cdef const Transform* t = &job.transform
    cdef Py_ssize_t i, j, spent = 0, row = t.d - 1
    cdef int block, n_blocks = 2 if t.lead_lag else 1
    cdef double first, second, total = t.time_step * t.n_rows
    cdef double area[2][BLOCK_CHANNELS]
    for i in range(end - begin):
        for block in range(n_blocks):
            first = number_at(derivs, at + (block * t.dimension + begin + i) * t.d + row)
            second = number_at(derivs, at + row * t.d + block * t.dimension + begin + i)
            area[block][i] = 0.5 * (first - second)
            ends[i] += 0.5 * (first + second) * total
    for j in range(t.length):
        if due(&spent, end - begin):
            return
        for i in range(end - begin):
            first = area[0][i] * time_between(t, j, False)
            if t.lead_lag:
                first += area[1][i] * time_between(t, j, True)
            set_number(out, out_at + j * t.dimension + begin + i, first)


cdef struct TwoLevelsScratch:
    # One thread's memory, in vectors: gradient panels | ends | D | differences.
    size_t ends, total, differences, size


cdef TwoLevelsScratch two_levels_scratch(const TwoLevels* job, int width) noexcept nogil:
    cdef TwoLevelsScratch at
    cdef Py_ssize_t panels = (job.n_panels + job.n_blocks - 1) // job.n_blocks
    cdef int n_sides = 2 if job.transform.lead_lag else 1
    at.ends = n_sides * ceil_div(job.transform.dimension, DEPTH) * panels * DEPTH * TILE_VECTORS
    at.total = at.ends + panels * TILE_VECTORS
    at.differences = at.total + job.n_panels * TILE_VECTORS
    at.size = at.differences + POINTS * DIFFERENCES // width
    return at


cdef void area_products(const vec* path, Py_ssize_t path_at, const vec* derivs, Py_ssize_t at, const TwoLevels* job,
                        Py_ssize_t block, vec* scratch, vec* out, Py_ssize_t out_at) noexcept nogil:
    """Gradients at all points in one block of channels, without `ends`, to which the part of G is added."""
    cdef Py_ssize_t d = job.transform.dimension, length = job.transform.length
    cdef Py_ssize_t panel_channels = TILE_VECTORS * lanes(out)
    cdef Py_ssize_t begin = first_panel(job, block), end = first_panel(job, block + 1), n_depths = ceil_div(d, DEPTH)
    cdef TwoLevelsScratch numbers = two_levels_scratch(job, lanes(out))
    cdef vec* ends = scratch + numbers.ends
    cdef vec* differences = scratch + numbers.differences
    cdef vec* matrix
    cdef Side sides[2]
    cdef Py_ssize_t panel, part, points, point, tile, row, n, n_points, spent = 0
    cdef int side, width, n_sides = 2 if job.transform.lead_lag else 1
    cdef bint add = job.transform.time_aug
    # P and Q, or G twice.
    sides[0] = side_of(job, False)
    sides[1] = side_of(job, True)
    matrix = scratch
    for side in range(n_sides):
        for part in range(n_depths):
            n = min(<Py_ssize_t>DEPTH, d - part * DEPTH)
            for panel in range(begin, end):
                # Q is the right one before a point, the left one behind it.
                load_gradient_panel(derivs, at, job, panel * panel_channels, part * DEPTH, n, &sides[side],
                                    &sides[1 - side], scratch + numbers.total, n_sides == 1 or side == 1, side == 0,
                                    matrix, ends + (panel - begin) * TILE_VECTORS, panel_width(job, panel, out))
                matrix = matrix + DEPTH * TILE_VECTORS
    for points in range(ceil_div(length, POINTS)):
        point = points * POINTS
        n_points = min(<Py_ssize_t>POINTS, length - point)
        matrix = scratch
        for side in range(n_sides):
            for part in range(n_depths):
                n = min(<Py_ssize_t>DEPTH, d - part * DEPTH)
                if due(&spent, n_points * n * (end - begin) * TILE_VECTORS):
                    return
                load_differences(path, path_at, job, point, n_points, part * DEPTH, n, n_sides == 1 or side == 1,
                                 side == 0, differences)
                for panel in range(begin, end):
                    width = panel_width(job, panel, out)
                    for tile in range(ceil_div(n_points, tile_rows(out))):
                        row = tile * tile_rows(out)
                        add_tile(differences, row * DIFFERENCES, DIFFERENCES, 1, matrix, n, out,
                                 out_at + (point + row) * d + panel * panel_channels, d, n_points - row,
                                 d - panel * panel_channels, add or side > 0 or part > 0, width)
                    matrix = matrix + DEPTH * TILE_VECTORS


cdef void two_levels_unit_backprop(const vec* path, const vec* derivs, Py_ssize_t derivs_stride, const TwoLevels* job,
                                   Py_ssize_t unit, vec* scratch, vec* out) noexcept nogil:
    """Gradients of a path's points in one block of channels; cotangents begin derivs_stride apart."""
    cdef const Transform* t = &job.transform
    cdef Py_ssize_t block = unit % job.n_blocks, path_at = unit // job.n_blocks * job.path_stride
    cdef Py_ssize_t at = unit // job.n_blocks * derivs_stride, out_at = unit // job.n_blocks * t.length * t.dimension
    cdef Py_ssize_t panel_channels = TILE_VECTORS * lanes(out), begin = first_panel(job, block) * panel_channels
    cdef Py_ssize_t end = min(t.dimension, first_panel(job, block + 1) * panel_channels), i, last = t.length - 1
    cdef TwoLevelsScratch numbers = two_levels_scratch(job, lanes(out))
    cdef vec* ends = scratch + numbers.ends
    cdef vec* total = scratch + numbers.total
    cdef double e
    cdef double time_ends[BLOCK_CHANNELS]
    for i in range(numbers.total - numbers.ends):
        ends[i] = copies_of(0, out)
    for i in range(t.dimension):
        set_number(total, i, number_at(path, path_at + last * job.row_stride + i * job.channel_stride)
                   - number_at(path, path_at + i * job.channel_stride))
    memset(time_ends, 0, sizeof(time_ends))
    if t.time_aug:
        add_time(derivs, at + t.d, job, begin, end, time_ends, out, out_at)
    area_products(path, path_at, derivs, at + t.d, job, block, scratch, out, out_at)
    for i in range(begin, end):
        e = number_at(ends, i - begin) + number_at(derivs, at + i) + time_ends[i - begin]
        if t.lead_lag:
            e += number_at(derivs, at + t.dimension + i)
        set_number(out, out_at + i, number_at(out, out_at + i) - e)
        set_number(out, out_at + last * t.dimension + i, number_at(out, out_at + last * t.dimension + i) + e)


cdef int two_levels_backprop(const real* path, const real* derivs, Py_ssize_t derivs_stride, const TwoLevels* job,
                             real* out, int n_threads) noexcept nogil:
    """Gradients of all paths, given the rows `derivs` of cotangents; -1 if memory is short."""
    cdef Py_ssize_t unit, end, n_units = job.n_paths * job.n_blocks
    cdef Watch* loop
    cdef size_t per_thread = two_levels_scratch(job, n_lanes(out)).size * n_lanes(out) * sizeof(real)
    cdef void* raw = NULL
    n_threads = <int>min(<Py_ssize_t>n_threads, n_units)
    cdef char* memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        return -1
    loop = share(n_units, two_levels_cost(job, n_lanes(out)), n_threads)
    with parallel(num_threads=n_threads):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            if real is double:
                two_levels_unit_backprop(<const vd*>path, <const vd*>derivs, derivs_stride, job, unit,
                                         <vd*>(memory + threadid() * per_thread), <vd*>out)
            else:
                two_levels_unit_backprop(<const vf*>path, <const vf*>derivs, derivs_stride, job, unit,
                                         <vf*>(memory + threadid() * per_thread), <vf*>out)
    free(raw)
    return 0
