# Words too long to be cut in time, where it is faster to have letters in the lanes (long_words.pxd): path after path,
# word after word. Threads share the paths. Included by coefficients.pyx.
#
# Increments that are long enough to matter for such words cannot be taken off again without loss, so the gradient goes
# forward first, and keeps the coefficients at the start of each stretch; then stretch by stretch, last to first, at
# each of its rows.

from cython.parallel cimport parallel, threadid
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ._interruption cimport Watch, due, next_unit, share
from .coefficients_chunks cimport gather_columns
from .coefficients_groups cimport STRETCH
from .coefficients_trie cimport Trie
from .coefficients_trie_backprop cimport WIDE
from .increments cimport Transform, load_letter, load_letter_backprop
from .lanes cimport aligned_malloc, ceil_div, lanes, real, vd, vf
from .long_words cimport MOST_TERMS, collect, halvings, scatter, series, series_backprop


cdef struct LongWordScratch:
    # One thread's memory, in numbers:
    # dx | gx | x | S | G | gx_word | border | sums | v | back | borders | rows | starts.
    size_t dx, gx, x, S, G, gx_word, border, sums, v, back, borders, rows, starts, size
    Py_ssize_t most, row, length


cdef LongWordScratch make_long_scratch(const Trie* trie, Py_ssize_t n_rows, int width, bint backward) noexcept nogil:
    cdef LongWordScratch at
    cdef Py_ssize_t length = ceil_div(trie.highest + 1, width) * width
    at.length = length
    at.most = min(<Py_ssize_t>MOST_TERMS, length + 1) + 1
    at.row = trie.n_letters + 1                 # a letter that never moves pads words
    at.dx = 0
    at.gx = at.dx + ceil_div(STRETCH * at.row, width) * width
    at.x = at.gx + (ceil_div(STRETCH * at.row, width) * width if backward else 0)
    at.S = at.x + length
    at.G = at.S + length
    at.gx_word = at.G + length
    at.border = at.gx_word + length
    at.sums = at.border + (length + 2) * width
    at.v = at.sums + at.row * width
    at.back = at.v + (at.most * width if backward else 0)
    at.borders = at.back + (2 * at.most * width if backward else 0)
    at.rows = at.borders + (ceil_div((length // width + 1) * at.most, width) * width if backward else 0)
    at.starts = at.rows + (STRETCH * length if backward else 0)
    at.size = at.starts + (ceil_div(n_rows, STRETCH) * length if backward else 0)
    return at


cdef bint takes_long_words(const Transform* transform, Py_ssize_t n_paths, const Trie* trie, int width,
                           bint backward) noexcept nogil:
    """Whether there are long words, and a dozen terms of the series cost less than Horner's scheme for all prefixes, or
    its partial results take too much memory."""
    if trie.n_ways == 0:
        return False
    if backward and WIDE * trie.n_places * width > (1 << 24):
        return True
    return n_paths * trie.n_way_vectors * (320 // width) < ceil_div(n_paths, width) * trie.n_operations


cdef void load_long(const real* path, const Py_ssize_t* strides, const Transform* transform, const Trie* trie,
                    Py_ssize_t row, Py_ssize_t first, Py_ssize_t n, real* dx) noexcept nogil:
    cdef Py_ssize_t i, k
    for i in range(trie.n_letters):
        load_letter(path, strides[1], strides[2], transform, trie.letters[3 * i], first, n, dx + i, row)
    for k in range(n):
        dx[k * row + trie.n_letters] = 0


cdef void long_increment(const real* dx, const int32_t* letters, Py_ssize_t n_vectors, const real* inverse,
                         real* x, real* border, real* S) noexcept nogil:
    cdef Py_ssize_t b
    if real is double:
        for b in range(n_vectors):
            (<vd*>x)[b] = collect(<const vd*>dx, letters + b * lanes(<vd*>x))
        series(<const vd*>x, n_vectors, <const vd*>inverse, <vd*>border, <vd*>S)
    else:
        for b in range(n_vectors):
            (<vf*>x)[b] = collect(<const vf*>dx, letters + b * lanes(<vf*>x))
        series(<const vf*>x, n_vectors, <const vf*>inverse, <vf*>border, <vf*>S)


cdef void long_increment_backprop(const LongWordScratch* at, const int32_t* letters, Py_ssize_t n_vectors,
                                  const real* inverse, Py_ssize_t n_halvings, const real* dx, const real* before,
                                  real* gx, Py_ssize_t* n_terms, real* memory, int width) noexcept nogil:
    """One increment, from the coefficients before it: its gradient to gx (row), and G in the memory goes over it."""
    cdef Py_ssize_t b, i, part, _, parts = 1 << n_halvings
    cdef real* sums = memory + at.sums
    cdef real* S = memory + at.S
    cdef real total, scale = 1 / <real>parts
    memset(sums, 0, at.row * width * sizeof(real))
    for part in range(parts - 1, -1, -1):
        if real is double:
            for b in range(n_vectors):
                (<vd*>S)[b] = (<const vd*>before)[b]
                (<vd*>(memory + at.x))[b] = collect(<const vd*>dx, letters + b * width) * scale
            for _ in range(part):
                series(<const vd*>(memory + at.x), n_vectors, <const vd*>inverse, <vd*>(memory + at.border), <vd*>S)
            series_backprop(<const vd*>(memory + at.x), n_vectors, <const vd*>inverse, <const vd*>S,
                            <vd*>(memory + at.G), <vd*>(memory + at.v), <vd*>(memory + at.borders), at.most,
                            <vd*>(memory + at.back), n_terms, <vd*>(memory + at.gx_word))
            for b in range(n_vectors):
                scatter((<vd*>(memory + at.gx_word))[b], <vd*>sums, letters + b * width)
        else:
            for b in range(n_vectors):
                (<vf*>S)[b] = (<const vf*>before)[b]
                (<vf*>(memory + at.x))[b] = collect(<const vf*>dx, letters + b * width) * scale
            for _ in range(part):
                series(<const vf*>(memory + at.x), n_vectors, <const vf*>inverse, <vf*>(memory + at.border), <vf*>S)
            series_backprop(<const vf*>(memory + at.x), n_vectors, <const vf*>inverse, <const vf*>S,
                            <vf*>(memory + at.G), <vf*>(memory + at.v), <vf*>(memory + at.borders), at.most,
                            <vf*>(memory + at.back), n_terms, <vf*>(memory + at.gx_word))
            for b in range(n_vectors):
                scatter((<vf*>(memory + at.gx_word))[b], <vf*>sums, letters + b * width)
    for i in range(at.row):
        total = 0
        for b in range(width):
            total += sums[i * width + b]
        gx[i] = total * scale


cdef void long_path(const real* path, const Py_ssize_t* strides, const Transform* transform, const Trie* trie,
                    const LongWordScratch* at, const real* inverse, int32_t* letters, real* memory, real* values,
                    int width) noexcept nogil:
    """The coefficients of one path at all nodes."""
    cdef const int64_t* way = trie.ways
    cdef Py_ssize_t _way, k, n, first, stretch, length, n_vectors, spent = 0
    for _way in range(trie.n_ways):
        length = way[0]
        n_vectors = ceil_div(length, width)
        for k in range(n_vectors * width):
            letters[k] = <int32_t>(way[2 + length + k] if k < length else trie.n_letters)
        memset(memory + at.S, 0, n_vectors * width * sizeof(real))
        for stretch in range(ceil_div(transform.n_rows, STRETCH)):
            first = stretch * STRETCH
            n = min(<Py_ssize_t>STRETCH, transform.n_rows - first)
            load_long(path, strides, transform, trie, at.row, first, n, memory + at.dx)
            for k in range(n):
                if due(&spent, 16 * n_vectors):
                    return
                long_increment(memory + at.dx + k * at.row, letters, n_vectors, inverse, memory + at.x,
                               memory + at.border, memory + at.S)
        for k in range(way[1], length):
            values[way[2 + k]] = memory[at.S + k]
        way = way + 2 + 2 * length


cdef void long_path_backprop(const real* path, const Py_ssize_t* strides, const Transform* transform, const Trie* trie,
                             const LongWordScratch* at, const real* inverse, int32_t* letters, Py_ssize_t* n_terms,
                             real* memory, const real* derivs, real* out, int width) noexcept nogil:
    """The gradient of one path, from the derivatives of the coefficients at all nodes; out must be 0."""
    cdef const int64_t* way = trie.ways
    cdef Py_ssize_t _way, k, i, n, first, length, n_vectors, stretch, n_halvings, spent = 0
    cdef real* row
    for _way in range(trie.n_ways):
        length = way[0]
        n_vectors = ceil_div(length, width)
        for k in range(n_vectors * width):
            letters[k] = <int32_t>(way[2 + length + k] if k < length else trie.n_letters)
            memory[at.S + k] = 0
            memory[at.G + k] = derivs[way[2 + k]] if way[1] <= k < length else 0
        memset(memory + at.borders, 0, width * sizeof(real))
        memory[at.borders] = 1
        for stretch in range(ceil_div(transform.n_rows, STRETCH)):
            first = stretch * STRETCH
            n = min(<Py_ssize_t>STRETCH, transform.n_rows - first)
            memcpy(memory + at.starts + stretch * at.length, memory + at.S, n_vectors * width * sizeof(real))
            load_long(path, strides, transform, trie, at.row, first, n, memory + at.dx)
            for k in range(n):
                if due(&spent, 16 * n_vectors):
                    return
                long_increment(memory + at.dx + k * at.row, letters, n_vectors, inverse, memory + at.x,
                               memory + at.border, memory + at.S)
        for stretch in range((transform.n_rows - 1) // STRETCH, -1, -1):
            first = stretch * STRETCH
            n = min(<Py_ssize_t>STRETCH, transform.n_rows - first)
            load_long(path, strides, transform, trie, at.row, first, n, memory + at.dx)
            memcpy(memory + at.S, memory + at.starts + stretch * at.length, n_vectors * width * sizeof(real))
            for k in range(n):
                memcpy(memory + at.rows + k * at.length, memory + at.S, n_vectors * width * sizeof(real))
                long_increment(memory + at.dx + k * at.row, letters, n_vectors, inverse, memory + at.x,
                               memory + at.border, memory + at.S)
            for k in range(n - 1, -1, -1):
                if due(&spent, 64 * n_vectors):
                    return
                row = memory + at.dx + k * at.row
                if real is double:
                    n_halvings = halvings(<const vd*>row, trie.n_letters, length)
                else:
                    n_halvings = halvings(<const vf*>row, trie.n_letters, length)
                long_increment_backprop(at, letters, n_vectors, inverse, n_halvings, row,
                                        memory + at.rows + k * at.length, memory + at.gx + k * at.row, n_terms, memory,
                                        width)
            for i in range(trie.n_letters):
                load_letter_backprop(memory + at.gx + i, at.row, transform, trie.letters[3 * i], first, n, -1, out,
                                     <real*>NULL)
        way = way + 2 + 2 * length


cdef int run_long(const real* path, const Py_ssize_t* strides, const Transform* transform, Py_ssize_t n_paths,
                  const Trie* trie, real* values, const real* derivs, real* out, int width,
                  int n_threads) noexcept nogil:
    """Coefficients of all paths at all nodes to values (n_paths, n_nodes); or, with their derivatives derivs (n_paths,
    n_nodes), the gradients to out. -1 if memory is short."""
    cdef bint backward = derivs != NULL
    cdef LongWordScratch at = make_long_scratch(trie, transform.n_rows, width, backward)
    cdef Py_ssize_t b, end, i, length = ceil_div(trie.highest + 1, width) * width
    cdef Watch* loop
    cdef Py_ssize_t path_size = transform.length * transform.dimension
    n_threads = <int>min(<Py_ssize_t>n_threads, n_paths)
    cdef void* raw = NULL
    cdef real* memory = <real*>aligned_malloc(at.size * n_threads * sizeof(real), &raw)
    cdef real* inverse = <real*>malloc((length + 2) * sizeof(real))
    cdef int32_t* letters = <int32_t*>malloc(length * n_threads * sizeof(int32_t))
    cdef Py_ssize_t* n_terms = <Py_ssize_t*>malloc(length * n_threads * sizeof(Py_ssize_t))
    cdef int status = -1
    if memory != NULL and inverse != NULL and letters != NULL and n_terms != NULL:
        status = 0
        for i in range(length + 2):
            inverse[i] = 1 / <real>i if i > 0 else 0
        if backward:
            memset(out, 0, n_paths * path_size * sizeof(real))
        loop = share(n_paths, <double>transform.n_rows * trie.n_way_vectors * (64 if backward else 16), n_threads)
        with parallel(num_threads=n_threads):
            b = end = 0
            while next_unit(loop, &b, &end):
                if backward:
                    long_path_backprop(path + b * strides[0], strides, transform, trie, &at, inverse,
                                       letters + threadid() * length, n_terms + threadid() * length,
                                       memory + threadid() * at.size, derivs + b * trie.n_nodes, out + b * path_size,
                                       width)
                else:
                    long_path(path + b * strides[0], strides, transform, trie, &at, inverse,
                              letters + threadid() * length, memory + threadid() * at.size, values + b * trie.n_nodes,
                              width)
    free(raw)
    free(inverse)
    free(letters)
    free(n_terms)
    return status


cdef int forward_long(const real* path, const Py_ssize_t* strides, const Transform* transform, Py_ssize_t n_paths,
                      const Trie* trie, const int32_t* columns, Py_ssize_t n_columns, real* out, int width,
                      int n_threads) noexcept nogil:
    """`forward` for long words."""
    cdef Py_ssize_t b
    cdef real* values = <real*>malloc(n_paths * trie.n_nodes * sizeof(real))
    cdef int status = -1
    if values != NULL:
        status = run_long(path, strides, transform, n_paths, trie, values, <const real*>NULL, <real*>NULL, width,
                          n_threads)
    if status == 0:
        for b in range(n_paths):
            gather_columns(values + b * trie.n_nodes, columns, n_columns, out + b * n_columns)
    free(values)
    return status


cdef int backward_long(const real* path, const Py_ssize_t* strides, const Transform* transform, Py_ssize_t n_paths,
                       const Trie* trie, const real* derivs, const int32_t* columns, Py_ssize_t n_columns, real* out,
                       int width, int n_threads) noexcept nogil:
    """`backward` for long words, which needs no coefficients."""
    cdef Py_ssize_t b, p
    cdef real* by_node = <real*>calloc(n_paths * trie.n_nodes, sizeof(real))
    cdef int status = -1
    if by_node != NULL:
        for b in range(n_paths):
            for p in range(n_columns):
                if columns[p] >= 0:
                    by_node[b * trie.n_nodes + columns[p]] += derivs[b * n_columns + p]
        status = run_long(path, strides, transform, n_paths, trie, <real*>NULL, by_node, out, width, n_threads)
    free(by_node)
    return status
