# The logarithm of a truncated tensor, for any type `item` of numbers. Two modules include this text: `tensor_log.pxd`
# (item: a lane vector, many tensors side by side) and `tensor_log_single.pxd` (item: a number, one tensor). They bring
# `item`, `load_words`, `subtract_scaled`, `LANES_F64`, `due` and `interrupted`.
#
# Notation. S = 1 + p is the tensor, p_n its level n (d^n vectors, words in lexicographic order); levels follow one
# another from level 1. With c_k = (-1)^(k-1) / k Horner's scheme for log S = sum_k c_k p^k reads
#
#     t^(k) = c_(k+1) p + p (x) t^(k+1),    t^(degree) = 0,    log S = t^(0),
#
# and t^(k) is needed on levels 1..degree-k only. Every level is one call of `multiply_level`; the last step, k = 0, may
# be done at chosen words only (`multiply_rows`). Each primitive is followed by its adjoint, in which `g_x` is the
# cotangent of `x`.
#
# A row is the words that agree but for their last letter: they share their prefixes, so a prefix is loaded once for all
# of them and the sums stay in registers. `width` and (up to 5) `d` are literals where these functions are called: the
# loops over a row have no branches left.
#
# Long levels are computed in stretches, between which a call that is interrupted ends.

cdef inline Py_ssize_t level_start(Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    """Where level n begins: the number of words of length 1..n-1."""
    cdef Py_ssize_t k, size = 1, total = 0
    for k in range(n - 1):
        size *= d
        total += size
    return total


cdef inline Py_ssize_t level_size(Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    """Number of words of length n."""
    cdef Py_ssize_t k, size = 1
    for k in range(n):
        size *= d
    return size


cdef inline void _multiply_row(const item* p, const item* t, const item* base, const item* c, item* out,
                               unsigned int u, Py_ssize_t j, Py_ssize_t width, unsigned int d, Py_ssize_t n,
                               Py_ssize_t start, Py_ssize_t size) noexcept nogil:
    """`multiply_level` for words u j..u (j+width-1), u of length n - 1; `start` and `size` belong to level n - 1."""
    cdef item[8] total
    cdef item prefix
    cdef const item* suffix
    cdef Py_ssize_t a, i, t_start = 0, t_size = d
    cdef unsigned int v = u, rest = 0, power = 1, parent
    for a in range(width):
        total[a] = c[0] * base[u * d + j + a]
    for i in range(n - 1, 0, -1):
        prefix = p[start + v]
        suffix = t + t_start + rest * d + j
        for a in range(width):
            total[a] = total[a] + prefix * suffix[a]
        # Move the last letter of the prefix to the front of the suffix.
        parent = v // d
        rest += (v - parent * d) * power
        power *= d
        v = parent
        size //= d
        start -= size
        t_start += t_size
        t_size *= d
    for a in range(width):
        out[u * d + j + a] = total[a]


cdef inline void _multiply_square(const item* p, const item* t, const item* base, const item* c, item* out,
                                  unsigned int u, unsigned int d, Py_ssize_t n, Py_ssize_t start,
                                  Py_ssize_t size) noexcept nogil:
    """`multiply_level` for all words u i j, u of length n - 2; `start` and `size` belong to level n - 1."""
    cdef item[25] total
    cdef item prefix
    cdef const item* suffix
    cdef Py_ssize_t a, i, t_start = d, t_size = d * d
    cdef unsigned int v = u, rest = 0, power = 1, parent, square = d * d
    base += u * square
    out += u * square
    for a in range(square):
        total[a] = c[0] * base[a]
    # The last cut: a suffix of one letter.
    for i in range(d):
        prefix = p[start + u * d + i]
        for a in range(d):
            total[i * d + a] = total[i * d + a] + prefix * t[a]
    for i in range(n - 2, 0, -1):
        size //= d
        start -= size
        prefix = p[start + v]
        suffix = t + t_start + rest * square
        for a in range(square):
            total[a] = total[a] + prefix * suffix[a]
        parent = v // d
        rest += (v - parent * d) * power
        power *= d
        v = parent
        t_start += t_size
        t_size *= d
    for a in range(square):
        out[a] = total[a]


cdef inline void multiply_level(const item* p, const item* t, const item* base, const item* c, item* out, Py_ssize_t d,
                                Py_ssize_t n) noexcept nogil:
    """out_n = c[0] base_n + sum_{0<i<n} p_i (x) t_(n-i).

    `base` and `out` point to level n; both may be level n of p itself.
    """
    cdef Py_ssize_t j, first, start = level_start(d, n - 1), size = level_size(d, n - 1)
    cdef unsigned int u
    if n == 1:
        for u in range(<unsigned int>d):
            out[u] = c[0] * base[u]
        return
    # The sums of a square stay in registers: there are 32 of them with AVX-512, 16 otherwise.
    if d <= 3 or (d <= 5 and LANES_F64 == 8):
        for first in range(0, size // d, 4096):
            if first > 0 and interrupted():
                return
            for u in range(<unsigned int>first, <unsigned int>min(first + 4096, size // d)):
                _multiply_square(p, t, base, c, out, u, d, n, start, size)
        return
    for first in range(0, size, 4096):
        if first > 0 and interrupted():
            return
        for u in range(<unsigned int>first, <unsigned int>min(first + 4096, size)):
            if d <= 5:
                _multiply_row(p, t, base, c, out, u, 0, d, d, n, start, size)
            else:
                j = 0
                while j + 8 <= d:
                    _multiply_row(p, t, base, c, out, u, j, 8, d, n, start, size)
                    j += 8
                if j + 4 <= d:
                    _multiply_row(p, t, base, c, out, u, j, 4, d, n, start, size)
                    j += 4
                if j + 2 <= d:
                    _multiply_row(p, t, base, c, out, u, j, 2, d, n, start, size)
                    j += 2
                if j < d:
                    _multiply_row(p, t, base, c, out, u, j, 1, d, n, start, size)


cdef inline void _multiply_block_backprop(const item* g, const item* p, const item* t, item* g_p, item* g_t,
                                          Py_ssize_t width, Py_ssize_t n_suffixes) noexcept nogil:
    """Adjoint of out[a, s] += p[a] t[s] for `width` prefixes a and all suffixes s of one length."""
    cdef item[8] prefix
    cdef item[8] total
    cdef item suffix, g_suffix, g_word
    cdef Py_ssize_t a, s
    for a in range(width):
        prefix[a] = p[a]
        total[a] = g_p[a]
    for s in range(n_suffixes):
        suffix = t[s]
        g_suffix = g_t[s]
        for a in range(width):
            g_word = g[a * n_suffixes + s]
            total[a] = total[a] + g_word * suffix
            g_suffix = g_suffix + g_word * prefix[a]
        g_t[s] = g_suffix
    for a in range(width):
        g_p[a] = total[a]


cdef inline void multiply_level_backprop(const item* g, const item* p, const item* t, item* g_p, item* g_t,
                                         Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    """Adjoint of `multiply_level`: from g, the cotangent of level n, add to g_p_i and g_t_(n-i), 0 < i < n."""
    cdef Py_ssize_t i, a, n_prefixes = 1, n_suffixes = level_size(d, n - 1), start = 0, t_start = level_start(d, n - 1)
    for i in range(1, n):
        n_prefixes *= d
        a = 0
        if d <= 5:
            while a < n_prefixes:
                _multiply_block_backprop(g + a * n_suffixes, p + start + a, t + t_start, g_p + start + a, g_t + t_start,
                                         d, n_suffixes)
                a += d
        else:
            while a + 6 <= n_prefixes:
                _multiply_block_backprop(g + a * n_suffixes, p + start + a, t + t_start, g_p + start + a, g_t + t_start,
                                         6, n_suffixes)
                a += 6
            while a + 2 <= n_prefixes:
                _multiply_block_backprop(g + a * n_suffixes, p + start + a, t + t_start, g_p + start + a, g_t + t_start,
                                         2, n_suffixes)
                a += 2
            while a < n_prefixes:
                _multiply_block_backprop(g + a * n_suffixes, p + start + a, t + t_start, g_p + start + a, g_t + t_start,
                                         1, n_suffixes)
                a += 1
        start += n_prefixes
        n_suffixes //= d
        t_start -= n_suffixes


cdef inline void _multiply_rows(const item* p, const item* t, item* out, const int64_t* index, const int32_t* entries,
                                Py_ssize_t n_rows, Py_ssize_t width, Py_ssize_t n, const void* const* sig,
                                Py_ssize_t sig_length) noexcept nogil:
    cdef item[8] total
    cdef item prefix
    cdef item* words
    cdef const item* suffix
    cdef Py_ssize_t row, a, i, first
    for row in range(n_rows):
        words = out + entries[0]
        first = index[entries[0]]
        if sig == NULL:
            for a in range(width):
                total[a] = p[first + a]
        else:
            load_words(sig, first, width, sig_length, total)
        for i in range(1, n):
            prefix = p[entries[2 * i - 1]]
            suffix = t + entries[2 * i]
            for a in range(width):
                total[a] = total[a] + prefix * suffix[a]
        for a in range(width):
            words[a] = total[a]
        entries += 2 * n - 1


cdef inline void multiply_rows(const item* p, const item* t, item* out, const int64_t* index, const int32_t* entries,
                               Py_ssize_t n_rows, Py_ssize_t width, Py_ssize_t n, const void* const* sig,
                               Py_ssize_t sig_length) noexcept nogil:
    """`multiply_level` at chosen words: out[r] = p[w] + sum_{0<i<n} p[w_1..w_i] t[w_(i+1)..w_n], w of length n.

    r is the rank of w, index[r] its position in p. A row of `width` words (at most 8) takes 2n - 1 entries: the rank of
    its first word, then for each i the positions of the prefix in p and of the first word's suffix in t. If `sig` is
    not NULL, p[w] is read from these rows, one per lane, instead of p.
    """
    if width == 1:
        _multiply_rows(p, t, out, index, entries, n_rows, 1, n, sig, sig_length)
    elif width == 2:
        _multiply_rows(p, t, out, index, entries, n_rows, 2, n, sig, sig_length)
    elif width == 3:
        _multiply_rows(p, t, out, index, entries, n_rows, 3, n, sig, sig_length)
    elif width == 4:
        _multiply_rows(p, t, out, index, entries, n_rows, 4, n, sig, sig_length)
    elif width == 5:
        _multiply_rows(p, t, out, index, entries, n_rows, 5, n, sig, sig_length)
    elif width == 6:
        _multiply_rows(p, t, out, index, entries, n_rows, 6, n, sig, sig_length)
    elif width == 7:
        _multiply_rows(p, t, out, index, entries, n_rows, 7, n, sig, sig_length)
    else:
        _multiply_rows(p, t, out, index, entries, n_rows, 8, n, sig, sig_length)


cdef inline void _multiply_rows_backprop(const item* g, const item* p, const item* t, item* g_p, item* g_t,
                                         const int32_t* entries, Py_ssize_t n_rows, Py_ssize_t width,
                                         Py_ssize_t n) noexcept nogil:
    cdef item[8] g_word
    cdef item prefix, total
    cdef const item* words
    cdef const item* suffix
    cdef item* g_suffix
    cdef Py_ssize_t row, a, i
    for row in range(n_rows):
        words = g + entries[0]
        for a in range(width):
            g_word[a] = words[a]
        for i in range(1, n):
            prefix = p[entries[2 * i - 1]]
            total = g_p[entries[2 * i - 1]]
            suffix = t + entries[2 * i]
            g_suffix = g_t + entries[2 * i]
            for a in range(width):
                total = total + g_word[a] * suffix[a]
                g_suffix[a] = g_suffix[a] + g_word[a] * prefix
            g_p[entries[2 * i - 1]] = total
        entries += 2 * n - 1


cdef inline void multiply_rows_backprop(const item* g, const item* p, const item* t, item* g_p, item* g_t,
                                        const int32_t* entries, Py_ssize_t n_rows, Py_ssize_t width,
                                        Py_ssize_t n) noexcept nogil:
    """Adjoint of `multiply_rows`: from g, the cotangent of `out`, add to g_p and g_t."""
    if width == 1:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 1, n)
    elif width == 2:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 2, n)
    elif width == 3:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 3, n)
    elif width == 4:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 4, n)
    elif width == 5:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 5, n)
    elif width == 6:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 6, n)
    elif width == 7:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 7, n)
    else:
        _multiply_rows_backprop(g, p, t, g_p, g_t, entries, n_rows, 8, n)


cdef inline void horner_tails(const item* p, const item* c, item* t, Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """t = t^(1), t^(2), .., t^(degree-1) one after another, levels 1..degree-k of t^(k); c[k] is c_k."""
    cdef Py_ssize_t k, n, start, size
    # From the last to the first: t^(k) ends where t^(k+1) starts.
    cdef Py_ssize_t begin = horner_length(d, degree)
    cdef const item* following = t
    for k in range(degree - 1, 0, -1):
        begin -= level_start(d, degree - k + 1)
        start = 0
        size = d
        for n in range(1, degree - k + 1):
            multiply_level(p, following, p + start, c + k + 1, t + begin + start, d, n)
            start += size
            size *= d
        following = t + begin


cdef inline void horner_tails_backprop(item* g_p, item* g_t, const item* p, const item* c, const item* t, Py_ssize_t d,
                                       Py_ssize_t degree) noexcept nogil:
    """Adjoint of `horner_tails`: add to g_p. g_t holds the cotangent of t^(1), zero elsewhere, and is used up."""
    cdef Py_ssize_t k, n, w, start, size, spent = 0, begin = 0, following
    for k in range(1, degree):
        following = begin + level_start(d, degree - k + 1)
        start = 0
        size = d
        for n in range(1, degree - k + 1):
            for w in range(start, start + size):
                g_p[w] = g_p[w] + c[k + 1] * g_t[begin + w]
            if due(&spent, n * size):
                return
            if n > 1:
                multiply_level_backprop(g_t + begin + start, p, t + following, g_p, g_t + following, d, n)
            start += size
            size *= d
        begin = following


cdef inline Py_ssize_t horner_length(Py_ssize_t d, Py_ssize_t degree) noexcept nogil:
    """Numbers that t^(1)..t^(degree-1) take: levels 1..n for each n < degree."""
    cdef Py_ssize_t n, size = 1, length = 0, total = 0
    for n in range(1, degree):
        size *= d
        length += size
        total += length
    return total


cdef inline void solve_projection(item* x, Py_ssize_t n, const int64_t* starts, const int32_t* columns,
                                  const void* values) noexcept nogil:
    """x <- P^-1 x, by substitution: P is unit lower triangular, with its other entries given row by row."""
    cdef Py_ssize_t i, e, spent = 0
    for i in range(n):
        if due(&spent, starts[i + 1] - starts[i]):
            return
        for e in range(starts[i], starts[i + 1]):
            subtract_scaled(x + i, x + columns[e], values, e)


cdef inline void solve_projection_backprop(item* g, Py_ssize_t n, const int64_t* starts, const int32_t* columns,
                                           const void* values) noexcept nogil:
    """Adjoint of `solve_projection`: g <- P^-T g."""
    cdef Py_ssize_t i, e, spent = 0
    for i in range(n - 1, -1, -1):
        if due(&spent, starts[i + 1] - starts[i]):
            return
        for e in range(starts[i], starts[i + 1]):
            subtract_scaled(g + columns[e], g + i, values, e)
