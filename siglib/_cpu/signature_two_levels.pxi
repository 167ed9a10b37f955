"""Forward: levels 1 and 2 as a difference and a product of matrices; see two_levels.pxd.

Included by signature.pyx.
"""

from cython.parallel cimport parallel, threadid
from libc.stdlib cimport free
from libc.string cimport memcpy

from ._interruption cimport Watch, due, next_unit, share
from .increments cimport Transform
from .lane_windows cimport copies_of, number_at, set_number
from .lanes cimport aligned_malloc, ceil_div, lanes, n_lanes, real, vd, vec, vf
from .matrix_tiles cimport TILE_VECTORS, multiply_tile, tile_rows
from .two_levels cimport BLOCK_CHANNELS, DEPTH, TwoLevels, address, channels, first_panel


cdef void one_level(const real* path, const Py_ssize_t* strides, const Transform* t,
                    real* out) noexcept nogil:
    """The signature of degree 1: the last point minus the first. No other point is read."""
    cdef Py_ssize_t i, last = (t.length - 1) * strides[1]
    for i in range(t.dimension):
        out[i] = path[last + i * strides[2]] - path[i * strides[2]]
        if t.lead_lag:
            out[t.dimension + i] = out[i]
    if t.time_aug:
        out[t.d - 1] = <real>(t.time_step * t.n_rows)


cdef void load_panel(const vec* path, Py_ssize_t at, const TwoLevels* job, Py_ssize_t channel, Py_ssize_t first,
                     Py_ssize_t n_rows, bint positions, double weight, vec* panel, int width) noexcept nogil:
    """panel (n_rows, width): rows from `first` on of the channels from `channel` on, the path's first number being
    `at`.

    Increments dx_k; or `positions`: x_k - x_0 + weight * dx_k.
    """
    cdef Py_ssize_t k, here = at + channel * job.channel_stride, n_live = job.transform.dimension - channel
    cdef Py_ssize_t width_stride = lanes(panel) * job.channel_stride
    cdef int v
    cdef vec after, dx, factor = copies_of(weight, path)
    cdef vec start[TILE_VECTORS]
    cdef vec before[TILE_VECTORS]
    for v in range(width):
        start[v] = channels(path, here + v * width_stride, job.channel_stride, n_live - v * lanes(panel))
    here += first * job.row_stride
    for v in range(width):
        before[v] = channels(path, here + v * width_stride, job.channel_stride, n_live - v * lanes(panel))
    for k in range(n_rows):
        here += job.row_stride
        for v in range(width):
            after = channels(path, here + v * width_stride, job.channel_stride, n_live - v * lanes(panel))
            dx = after - before[v]
            panel[v] = (before[v] - start[v]) + factor * dx if positions else dx
            before[v] = after
        panel = panel + width


cdef void add_tile(const vec* a, Py_ssize_t start, Py_ssize_t row_step, Py_ssize_t step, const vec* b, Py_ssize_t n,
                   vec* c, Py_ssize_t at, Py_ssize_t row_length, Py_ssize_t n_rows, Py_ssize_t n_columns, bint add,
                   int width) noexcept nogil:
    """`multiply_tile` for b of any width."""
    if width == 1:
        multiply_tile(a, start, row_step, step, b, n, c, at, row_length, n_rows, n_columns, add, 1)
    elif width == 2:
        multiply_tile(a, start, row_step, step, b, n, c, at, row_length, n_rows, n_columns, add, 2)
    else:
        multiply_tile(a, start, row_step, step, b, n, c, at, row_length, n_rows, n_columns, add, 3)


cdef inline int panel_width(const TwoLevels* job, Py_ssize_t panel, const vec* tag) noexcept nogil:
    """Vectors of a panel that hold channels."""
    cdef Py_ssize_t left = job.transform.dimension - panel * TILE_VECTORS * lanes(<vec*>tag)
    return <int>min(<Py_ssize_t>TILE_VECTORS, (left + lanes(<vec*>tag) - 1) // lanes(<vec*>tag))


cdef void position_product(const vec* path, Py_ssize_t at, const TwoLevels* job, Py_ssize_t block, double weight,
                           vec* left, vec* right, vec* out, Py_ssize_t out_at) noexcept nogil:
    """Rows of P(weight) that belong to one block; P's first number is number out_at of `out`.

    left (panels of the block, DEPTH, TILE_VECTORS) and right (DEPTH, TILE_VECTORS) are scratch memory.
    """
    cdef Py_ssize_t d = job.transform.dimension, n_steps = job.transform.length - 1
    cdef Py_ssize_t panel_channels = TILE_VECTORS * lanes(left)
    cdef Py_ssize_t begin = first_panel(job, block), end = first_panel(job, block + 1)
    cdef Py_ssize_t part, first, n, panel, other, tile, row, n_rows, spent = 0
    cdef int width
    for part in range(ceil_div(n_steps, DEPTH)):
        first = part * DEPTH
        n = min(<Py_ssize_t>DEPTH, n_steps - first)
        for panel in range(begin, end):
            load_panel(path, at, job, panel * panel_channels, first, n, True, weight,
                       left + (panel - begin) * DEPTH * TILE_VECTORS, TILE_VECTORS)
        for other in range(job.n_panels):
            if due(&spent, n * TILE_VECTORS * panel_channels * (end - begin)):
                return
            width = panel_width(job, other, left)
            load_panel(path, at, job, other * panel_channels, first, n, False, 0, right, width)
            for panel in range(begin, end):
                n_rows = min(panel_channels, d - panel * panel_channels)
                for tile in range(ceil_div(n_rows, tile_rows(left))):
                    row = tile * tile_rows(left)
                    add_tile(left + (panel - begin) * DEPTH * TILE_VECTORS, row, 1, panel_channels, right, n, out,
                             out_at + (panel * panel_channels + row) * job.transform.d + other * panel_channels,
                             job.transform.d, n_rows - row, d - other * panel_channels, first > 0, width)


cdef void time_products(const vec* path, Py_ssize_t at, const TwoLevels* job, Py_ssize_t begin, Py_ssize_t end,
                        vec* out, Py_ssize_t out_at) noexcept nogil:
    """Words of time and one of the channels begin..end - 1; level 2 begins at number out_at of `out`."""
    cdef Py_ssize_t d = job.transform.dimension, row_length = job.transform.d, i, k, here, spent = 0
    cdef double step = job.transform.time_step, before, dx
    # The means over a step of the position and, weighted by the increment, of time: in each channel, summed.
    cdef double position[BLOCK_CHANNELS]
    cdef double moment[BLOCK_CHANNELS]
    for i in range(end - begin):
        position[i] = 0
        moment[i] = 0
    at += begin * job.channel_stride
    for k in range(job.transform.length - 1):
        if due(&spent, end - begin):
            return
        for i in range(end - begin):
            here = at + k * job.row_stride + i * job.channel_stride
            before = number_at(path, here)
            dx = number_at(path, here + job.row_stride) - before
            position[i] += before - number_at(path, at + i * job.channel_stride) + 0.5 * dx
            moment[i] += (k + 0.5) * dx
    for i in range(begin, end):
        if job.transform.lead_lag:
            dx = number_at(path, at + (i - begin) * job.channel_stride
                           + (job.transform.length - 1) * job.row_stride)
            dx -= number_at(path, at + (i - begin) * job.channel_stride)
            set_number(out, out_at + (i + 1) * row_length - 1, step * (2 * position[i - begin] - 0.5 * dx))
            set_number(out, out_at + (d + i + 1) * row_length - 1, step * (2 * position[i - begin] + 0.5 * dx))
            set_number(out, out_at + 2 * d * row_length + i, step * (2 * moment[i - begin] + 0.5 * dx))
            set_number(out, out_at + 2 * d * row_length + d + i, step * (2 * moment[i - begin] - 0.5 * dx))
        else:
            set_number(out, out_at + (i + 1) * row_length - 1, step * position[i - begin])
            set_number(out, out_at + d * row_length + i, step * moment[i - begin])


cdef void displacement(const vec* path, Py_ssize_t at, const TwoLevels* job, Py_ssize_t begin, Py_ssize_t end,
                       vec* sums, vec* out, Py_ssize_t out_at) noexcept nogil:
    """Level 1 of the channels begin..end - 1, to the numbers of `out` from out_at + begin on.

    Points in between that are NaN or infinite make it NaN, as they do level 2. sums: one vector for each that the
    channels fill.
    """
    cdef Py_ssize_t i, k, first, here, spent = 0, row = 1, width = lanes(out), last = job.transform.length - 1
    cdef Py_ssize_t n_vectors = ceil_div(end - begin, width), n_live = min(width, job.transform.dimension)
    cdef Py_ssize_t stride = job.channel_stride, next_row = job.row_stride
    cdef vec zero = copies_of(0, path)
    for i in range(n_vectors):
        sums[i] = zero
    while row < last:
        if due(&spent, 4 * n_vectors):
            return
        for i in range(n_vectors):
            # The last vector ends with the last channel. It may begin before the first: that does no harm.
            first = max(min(begin + i * width, end - width), 0)
            here = at + row * next_row + first * stride
            if row + 4 <= last:
                sums[i] = (sums[i] + zero * channels(path, here, stride, n_live)
                           + zero * channels(path, here + next_row, stride, n_live)
                           + zero * channels(path, here + 2 * next_row, stride, n_live)
                           + zero * channels(path, here + 3 * next_row, stride, n_live))
            else:
                sums[i] = sums[i] + zero * channels(path, here, stride, n_live)
        row += 4 if row + 4 <= last else 1
    for i in range(n_vectors):
        first = max(min(begin + i * width, end - width), 0)
        here = at + first * stride
        sums[i] = (channels(path, here + last * next_row, stride, n_live) - channels(path, here, stride, n_live)
                   + sums[i])
        # Numbers before `begin` belong to another block.
        for k in range(max(begin - first, 0), n_live):
            set_number(out, out_at + first + k, number_at(sums, i * width + k))


cdef void two_levels_unit(const vec* path, const TwoLevels* job, Py_ssize_t unit, vec* scratch, vec* out,
                          Py_ssize_t out_at, Py_ssize_t out_stride) noexcept nogil:
    """What one block of channels gives to the signature of its path; signatures begin at number out_at of `out`,
    out_stride apart."""
    cdef const Transform* t = &job.transform
    cdef Py_ssize_t block = unit % job.n_blocks, at = unit // job.n_blocks * job.path_stride, i
    cdef Py_ssize_t panel_channels = TILE_VECTORS * lanes(out), begin = first_panel(job, block) * panel_channels
    cdef Py_ssize_t end = min(t.dimension, first_panel(job, block + 1) * panel_channels)
    cdef double total = t.time_step * t.n_rows
    cdef vec* right = scratch + (first_panel(job, block + 1) - first_panel(job, block)) * DEPTH * TILE_VECTORS
    out_at += unit // job.n_blocks * out_stride
    displacement(path, at, job, begin, end, scratch, out, out_at)
    if t.lead_lag:
        for i in range(begin, end):
            set_number(out, out_at + t.dimension + i, number_at(out, out_at + i))
    if t.time_aug:
        set_number(out, out_at + t.d - 1, total)
    out_at += t.d
    position_product(path, at, job, block, 0.5, scratch, right, out, out_at)
    if t.lead_lag:
        for i in range(begin, end):
            memcpy(address(out, out_at + (t.dimension + i) * t.d + t.dimension), address(out, out_at + i * t.d),
                   t.dimension * (sizeof(vec) // lanes(out)))
        position_product(path, at, job, block, 0, scratch, right, out, out_at + t.dimension)
        position_product(path, at, job, block, 1, scratch, right, out, out_at + t.dimension * t.d)
    if t.time_aug:
        time_products(path, at, job, begin, end, out, out_at)
        set_number(out, out_at + t.d * t.d - 1, 0.5 * total * total)


cdef double two_levels_cost(const TwoLevels* job, int width) noexcept nogil:
    """About how many vector operations a unit takes."""
    return <double>job.transform.length * job.transform.d * job.transform.d / (job.n_blocks * width)


cdef int two_levels(const real* path, const TwoLevels* job, real* out, Py_ssize_t out_stride,
                    int n_threads) noexcept nogil:
    """Signatures of all paths, rows of `out`; -1 if memory is short."""
    cdef Py_ssize_t unit, end, n_units = job.n_paths * job.n_blocks, width = n_lanes(out)
    cdef Watch* loop
    cdef Py_ssize_t panels = (job.n_panels + job.n_blocks - 1) // job.n_blocks
    cdef size_t per_thread = (panels + 1) * DEPTH * TILE_VECTORS * width * sizeof(real)
    cdef void* raw = NULL
    n_threads = <int>min(<Py_ssize_t>n_threads, n_units)
    cdef char* memory = <char*>aligned_malloc(per_thread * n_threads, &raw)
    if memory == NULL:
        return -1
    loop = share(n_units, two_levels_cost(job, <int>width), n_threads)
    with parallel(num_threads=n_threads):
        unit = end = 0
        while next_unit(loop, &unit, &end):
            if real is double:
                two_levels_unit(<const vd*>path, job, unit, <vd*>(memory + threadid() * per_thread), <vd*>out, 0,
                                out_stride)
            else:
                two_levels_unit(<const vf*>path, job, unit, <vf*>(memory + threadid() * per_thread), <vf*>out, 0,
                                out_stride)
    free(raw)
    return 0
