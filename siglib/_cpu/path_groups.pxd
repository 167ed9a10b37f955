"""Lane groups of whole paths: the increments of one path in each lane."""

from .increments cimport MOST_LANES, Transform, load_rows, load_time, make_transform
from .lanes cimport n_lanes, real


cdef struct Paths:
    # Strides count numbers.
    Transform transform
    Py_ssize_t batch
    Py_ssize_t path_stride, point_stride, channel_stride


cdef inline Paths make_paths(const real[:, :, :] path, object transform):
    """path (batch, length, dimension); no lead-lag."""
    cdef Paths paths
    paths.transform = make_transform(path.shape[1], path.shape[2], transform)
    paths.batch = path.shape[0]
    paths.path_stride = path.strides[0] // <Py_ssize_t>sizeof(real)
    paths.point_stride = path.strides[1] // <Py_ssize_t>sizeof(real)
    paths.channel_stride = path.strides[2] // <Py_ssize_t>sizeof(real)
    return paths


cdef inline void fill_increments(const real* path, Py_ssize_t group, real* dx, const Paths* paths) noexcept nogil:
    """The increments of a lane group, rows one after another; lanes behind the last path repeat it."""
    cdef Py_ssize_t lane, d = paths.transform.d, width = n_lanes(dx)
    cdef double start[MOST_LANES]
    cdef double stop[MOST_LANES]
    for lane in range(width):
        load_rows(path + min(group * width + lane, paths.batch - 1) * paths.path_stride, paths.point_stride,
                  paths.channel_stride, &paths.transform, 0, paths.transform.n_rows, dx + lane, d * width, <int>width)
        start[lane] = 0
        stop[lane] = paths.transform.n_rows
    if paths.transform.time_aug:
        load_time(&paths.transform, start, stop, paths.transform.n_rows, dx + (d - 1) * width, d * width)
