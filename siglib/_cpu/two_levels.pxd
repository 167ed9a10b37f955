"""Levels 1 and 2 of a signature, for many channels: how a call is cut, and channels of a path in vectors.

Level 1 is the last point minus the first. Level 2 is one product of matrices, without any recursion in time,

    S(ab) = sum over k of (x_k - x_0 + dx_k / 2)[a] dx_k[b],         dx_k = x_(k+1) - x_k.

With lead-lag every step is two rows, that of the lead block A and then that of the lag block B, so

    S(AA) = S(BB) = P(1/2),  S(BA) = P(0),  S(AB) = P(1),            P(w) = sum of (x_k - x_0 + w dx_k) (x) dx_k,

which takes the increments of the path itself, and no zeros. Time adds one row and one column, sums over the path.

A *panel* is a few vectors of neighbouring channels, as wide as a tile (`matrix_tiles.pxd`); a *block* is some panels:
the channels whose rows of level 2, or whose gradients, one thread computes at a time.
"""

from .increments cimport Transform
from .lane_windows cimport copies_of, load_at, number_at, set_number
from .lanes cimport ceil_div, lanes, vec
from .matrix_tiles cimport TILE_VECTORS

cdef enum:
    BLOCK_CHANNELS = 96  # at most
    DEPTH = 256          # rows of a panel that are multiplied at a time, few enough for the cache


cdef struct TwoLevels:
    Transform transform
    Py_ssize_t n_paths
    Py_ssize_t n_panels, n_blocks
    Py_ssize_t path_stride, row_stride, channel_stride


cdef inline bint takes_two_levels(const Transform* transform, Py_ssize_t degree) noexcept nogil:
    """Whether this is faster than increments through trees: measured, for all batches and lengths."""
    return degree == 2 and transform.dimension >= 32


cdef inline TwoLevels make_two_levels(const Transform* transform, Py_ssize_t n_paths, const Py_ssize_t* strides,
                                      Py_ssize_t n_lanes) noexcept nogil:
    """strides: those of path (n_paths, length, dimension), in numbers."""
    cdef TwoLevels job
    cdef Py_ssize_t panel = TILE_VECTORS * n_lanes, most = BLOCK_CHANNELS // panel
    job.transform = transform[0]
    job.n_paths = n_paths
    job.n_panels = ceil_div(transform.dimension, panel)
    job.n_blocks = ceil_div(job.n_panels, most)
    job.path_stride = strides[0]
    job.row_stride = strides[1]
    job.channel_stride = strides[2]
    return job


cdef inline Py_ssize_t first_panel(const TwoLevels* job, Py_ssize_t block) noexcept nogil:
    return job.n_panels * block // job.n_blocks


cdef inline vec channels(const vec* path, Py_ssize_t at, Py_ssize_t stride, Py_ssize_t n_live) noexcept nogil:
    """The numbers at, at + stride, ..., n_live of them, one in each lane; zeros behind them."""
    cdef Py_ssize_t i
    cdef vec held
    if stride == 1 and n_live >= lanes(<vec*>path):
        return load_at(path, at)
    held = copies_of(0, path)
    for i in range(min(n_live, <Py_ssize_t>lanes(<vec*>path))):
        set_number(&held, i, number_at(path, at + i * stride))
    return held


cdef inline void* address(const vec* base, Py_ssize_t i) noexcept nogil:
    """Where number i of an array stands."""
    return <char*>base + i * <Py_ssize_t>(sizeof(vec) // lanes(<vec*>base))
