# log(exp(x) (x) exp(y)) in coordinates of the Lyndon basis, for any type `item` of numbers. Two modules include this
# text: `log_product.pxd` (item: a vector of doubles, many products side by side) and `log_product_single.pxd` (item: a
# double). They bring `item`, `ProductPlan` and `due`, and for this type `level_size`, `level_start`, `solve_projection`
# and its adjoint.
#
# Both exponentials, their product and its logarithm are those of `tensor_log.pxi`. All of them are needed at all words
# shorter than the degree, but at words of full length at Lyndon words only, by far the fewest: each of the four steps
# takes those as the last step of a logarithm does (`multiply_rows`). A tensor is an array of all words, in which those
# of full length that are no Lyndon words are never touched. Where x or y is a segment, its exponential is made of
# powers. Each function is followed by its adjoint, in which `g_x` is the cotangent of `x`.

cdef struct Steps:
    # The functions of `tensor_log.pxi`, each compiled once for small dimensions.
    void (*horner_tails)(const item*, const item*, item*, Py_ssize_t, Py_ssize_t) noexcept nogil
    void (*horner_tails_backprop)(item*, item*, const item*, const item*, const item*, Py_ssize_t,
                                  Py_ssize_t) noexcept nogil
    void (*multiply_level)(const item*, const item*, const item*, const item*, item*, Py_ssize_t,
                           Py_ssize_t) noexcept nogil
    void (*multiply_level_backprop)(const item*, const item*, const item*, item*, item*, Py_ssize_t,
                                    Py_ssize_t) noexcept nogil
    void (*multiply_rows)(const item*, const item*, item*, const int64_t*, const int32_t*, Py_ssize_t, Py_ssize_t,
                          Py_ssize_t, const void* const*, Py_ssize_t) noexcept nogil
    void (*multiply_rows_backprop)(const item*, const item*, const item*, item*, item*, const int32_t*, Py_ssize_t,
                                   Py_ssize_t, Py_ssize_t) noexcept nogil


cdef inline void expand(const item* words, item* p, const ProductPlan* plan) noexcept nogil:
    """p = E words at the words that are shorter than the degree."""
    cdef Py_ssize_t i, e, spent = 0
    cdef item x
    memset(<void*>p, 0, plan.top * sizeof(item))
    for i in range(plan.n_lower):
        if due(&spent, plan.e_starts[i + 1] - plan.e_starts[i]):
            return
        x = words[i]
        for e in range(plan.e_starts[i], plan.e_starts[i + 1]):
            p[plan.e_rows[e]] = p[plan.e_rows[e]] + x * plan.e_values[e]


cdef inline void expand_top(const item* words, item* p, const ProductPlan* plan) noexcept nogil:
    """p = E words at the Lyndon words of full length, where E is P."""
    cdef Py_ssize_t i, e
    cdef item x
    for i in range(plan.n_lower, plan.n_lyndon):
        x = words[i]
        for e in range(plan.p_starts[i], plan.p_starts[i + 1]):
            x = x + words[plan.p_columns[e]] * plan.p_values[e]
        p[plan.index[i]] = x


cdef inline void expand_backprop(const item* g, const item* z, item* g_words, const ProductPlan* plan) noexcept nogil:
    """Adjoint of both; g holds the cotangents of the shorter words, z by rank those of the others."""
    cdef Py_ssize_t i, e, spent = 0
    cdef item total
    for i in range(plan.n_lower):
        if due(&spent, plan.e_starts[i + 1] - plan.e_starts[i]):
            return
        # Every bracket has a word.
        total = g[plan.e_rows[plan.e_starts[i]]] * plan.e_values[plan.e_starts[i]]
        for e in range(plan.e_starts[i] + 1, plan.e_starts[i + 1]):
            total = total + g[plan.e_rows[e]] * plan.e_values[e]
        g_words[i] = total
    for i in range(plan.n_lower, plan.n_lyndon):
        g_words[i] = z[i]
    for i in range(plan.n_lower, plan.n_lyndon):
        for e in range(plan.p_starts[i], plan.p_starts[i + 1]):
            g_words[plan.p_columns[e]] = g_words[plan.p_columns[e]] + z[i] * plan.p_values[e]


cdef inline void top_rows(const item* p, const item* t, item* words, const ProductPlan* plan,
                          const Steps* steps) noexcept nogil:
    """words[r] = p[w] + sum of p t over the cuts of the Lyndon word w of rank r, for those of full length."""
    cdef Py_ssize_t i, spent = 0
    cdef const int64_t* segment = plan.segments + 4 * plan.first_top
    for i in range(plan.first_top, plan.n_segments):
        if due(&spent, segment[2] * segment[1] * segment[0]):
            return
        steps.multiply_rows(p, t, words, plan.index, plan.entries + segment[3], segment[2], segment[1], segment[0],
                            NULL, 0)
        segment += 4


cdef inline void top_rows_backprop(const item* z, const item* p, const item* t, item* g_p, item* g_t,
                                   const ProductPlan* plan, const Steps* steps) noexcept nogil:
    """Adjoint of `top_rows`, but for the cotangent of p[w], which is z."""
    cdef Py_ssize_t i, spent = 0
    cdef const int64_t* segment = plan.segments + 4 * plan.first_top
    for i in range(plan.first_top, plan.n_segments):
        if due(&spent, segment[2] * segment[1] * segment[0]):
            return
        steps.multiply_rows_backprop(z, p, t, g_p, g_t, plan.entries + segment[3], segment[2], segment[1], segment[0])
        segment += 4


cdef inline void exp_of_log(const item* words, item* p, item* t, item* a, const item* c, const ProductPlan* plan,
                            const Steps* steps) noexcept nogil:
    """a = exp(p) - 1 at the shorter words, for the expansion p of `words`; c[k] = 1 / k!."""
    cdef Py_ssize_t d = plan.d, n, start = 0, size = d
    expand(words, p, plan)
    steps.horner_tails(p, c, t, d, plan.degree)
    for n in range(1, plan.degree):
        steps.multiply_level(p, t, p + start, c + 1, a + start, d, n)
        start += size
        size *= d


cdef inline void exp_of_log_top(const item* words, item* p, const item* t, item* a_top, const ProductPlan* plan,
                                const Steps* steps) noexcept nogil:
    """a_top = exp(p) by rank at the Lyndon words of full length, after `exp_of_log`."""
    expand_top(words, p, plan)
    top_rows(p, t, a_top, plan, steps)


cdef inline void exp_of_log_backprop(item* g_p, item* g_t, const item* z, const item* p, const item* t, const item* c,
                                     item* g_words, const ProductPlan* plan, const Steps* steps) noexcept nogil:
    """Adjoint of both: from g_p, the cotangent of `a`, which is used up, and z, that of `a_top`."""
    cdef Py_ssize_t d = plan.d, n, spent = 0, start = d, size = d * d
    memset(<void*>g_t, 0, plan.t_length * sizeof(item))
    # Upwards: level n is read before longer words add to it.
    for n in range(2, plan.degree):
        if due(&spent, n * size):
            return
        steps.multiply_level_backprop(g_p + start, p, t, g_p, g_t, d, n)
        start += size
        size *= d
    top_rows_backprop(z, p, t, g_p, g_t, plan, steps)
    steps.horner_tails_backprop(g_p, g_t, p, c, t, d, plan.degree)
    expand_backprop(g_p, z, g_words, plan)


cdef inline void exp_of_segment(const item* x, item* a, const ProductPlan* plan) noexcept nogil:
    """a = exp(x) - 1 at the shorter words for a displacement x: its powers over factorials."""
    cdef Py_ssize_t d = plan.d, n, u, j, start = 0, size = d
    cdef item b
    for j in range(d):
        a[j] = x[j]
    for n in range(2, plan.degree):
        for u in range(size):
            b = a[start + u] * (1.0 / n)
            for j in range(d):
                a[start + size + u * d + j] = b * x[j]
        start += size
        size *= d


cdef inline void exp_of_segment_top(const item* x, const item* a, item* a_top, const ProductPlan* plan) noexcept nogil:
    """a_top = exp(x) by rank at the Lyndon words of full length, after `exp_of_segment`."""
    cdef Py_ssize_t i, j, row, n = plan.degree
    cdef const int64_t* segment = plan.segments + 4 * plan.first_top
    cdef const int32_t* entry
    cdef item b
    for i in range(plan.first_top, plan.n_segments):
        entry = plan.entries + segment[3]
        for row in range(segment[2]):
            # The last cut of the words of a row: one prefix, and letters that follow one another.
            b = a[entry[2 * n - 3]] * (1.0 / n)
            for j in range(segment[1]):
                a_top[entry[0] + j] = b * x[entry[2 * n - 2] + j]
            entry += 2 * n - 1
        segment += 4


cdef inline void exp_of_segment_backprop(item* g_a, const item* z, const item* x, const item* a, item* g_x,
                                         const ProductPlan* plan) noexcept nogil:
    """Adjoint of both: from g_a, which is used up, and z, the cotangent of `a_top`."""
    cdef Py_ssize_t d = plan.d, n, u, j, row, i, degree = plan.degree, start, size
    cdef const int64_t* segment = plan.segments + 4 * plan.first_top
    cdef const int32_t* entry
    cdef item b, total
    memset(<void*>g_x, 0, d * sizeof(item))
    n = degree
    for i in range(plan.first_top, plan.n_segments):
        entry = plan.entries + segment[3]
        for row in range(segment[2]):
            b = a[entry[2 * n - 3]] * (1.0 / n)
            total = z[entry[0]] * x[entry[2 * n - 2]]
            g_x[entry[2 * n - 2]] = g_x[entry[2 * n - 2]] + z[entry[0]] * b
            for j in range(1, segment[1]):
                total = total + z[entry[0] + j] * x[entry[2 * n - 2] + j]
                g_x[entry[2 * n - 2] + j] = g_x[entry[2 * n - 2] + j] + z[entry[0] + j] * b
            g_a[entry[2 * n - 3]] = g_a[entry[2 * n - 3]] + total * (1.0 / n)
            entry += 2 * n - 1
        segment += 4
    start = level_start(d, degree - 1)
    size = level_size(d, degree - 1)
    for n in range(degree - 1, 1, -1):
        size //= d
        start -= size
        for u in range(size):
            b = a[start + u] * (1.0 / n)
            total = g_a[start + size + u * d] * x[0]
            g_x[0] = g_x[0] + g_a[start + size + u * d] * b
            for j in range(1, d):
                total = total + g_a[start + size + u * d + j] * x[j]
                g_x[j] = g_x[j] + g_a[start + size + u * d + j] * b
            g_a[start + u] = g_a[start + u] + total * (1.0 / n)
    for j in range(d):
        g_x[j] = g_x[j] + g_a[j]


cdef inline void product_top(item* a, const item* a_top, const item* b, const item* b_top, item* words,
                             const ProductPlan* plan, const Steps* steps) noexcept nogil:
    """a = (1 + a) (x) (1 + b) at the Lyndon words of full length; they are in `words` by rank, too."""
    cdef Py_ssize_t i
    for i in range(plan.n_lower, plan.n_lyndon):
        a[plan.index[i]] = a_top[i] + b_top[i]
    top_rows(a, b, words, plan, steps)
    for i in range(plan.n_lower, plan.n_lyndon):
        a[plan.index[i]] = words[i]


cdef inline void product(const item* a, const item* b, item* s, const item* one, const ProductPlan* plan,
                         const Steps* steps) noexcept nogil:
    """s = (1 + a) (x) (1 + b) - 1 at the shorter words, which may be a."""
    cdef Py_ssize_t d = plan.d, n, u, start = plan.top, size = level_size(d, plan.degree - 1)
    # Downwards: the words of length n are replaced when no others need them.
    for n in range(plan.degree - 1, 0, -1):
        start -= size
        for u in range(start, start + size):
            s[u] = a[u] + b[u]
        if n > 1:
            steps.multiply_level(a, b, s + start, one, s + start, d, n)
        size //= d


cdef inline void product_backprop(const item* g_s, const item* z, const item* a, const item* b, item* g_a, item* g_b,
                                  const ProductPlan* plan, const Steps* steps) noexcept nogil:
    """Adjoint of both: z is the cotangent of the words of full length, and so those of `a_top` and `b_top`."""
    cdef Py_ssize_t d = plan.d, n, spent = 0, start = d, size = d * d
    memcpy(<void*>g_a, g_s, plan.top * sizeof(item))
    memcpy(<void*>g_b, g_s, plan.top * sizeof(item))
    for n in range(2, plan.degree):
        if due(&spent, n * size):
            return
        steps.multiply_level_backprop(g_s + start, a, b, g_a, g_b, d, n)
        start += size
        size *= d
    top_rows_backprop(z, a, b, g_a, g_b, plan, steps)


cdef inline void log_of(const item* s, item* t, item* words, const item* c, const ProductPlan* plan,
                        const Steps* steps) noexcept nogil:
    """words = log(1 + s) in the Lyndon basis; c[k] = (-1)^(k-1) / k."""
    cdef Py_ssize_t d = plan.d, i, spent = 0
    cdef const int64_t* segment = plan.segments
    steps.horner_tails(s, c, t, d, plan.degree)
    for i in range(d):
        words[i] = s[i]
    for i in range(plan.n_segments):
        if due(&spent, segment[2] * segment[1] * segment[0]):
            return
        steps.multiply_rows(s, t, words, plan.index, plan.entries + segment[3], segment[2], segment[1], segment[0],
                            NULL, 0)
        segment += 4
    solve_projection(words, plan.n_lyndon, plan.p_starts, plan.p_columns, plan.p_values)


cdef inline void log_of_backprop(item* z, item* g_s, item* g_t, const item* s, const item* t, const item* c,
                                 const ProductPlan* plan, const Steps* steps) noexcept nogil:
    """Adjoint of `log_of`: z comes as the cotangent of `words` and leaves as that of the values at Lyndon words, which
    at full length is that of s.
    """
    cdef Py_ssize_t d = plan.d, i, spent = 0
    cdef const int64_t* segment = plan.segments
    solve_projection_backprop(z, plan.n_lyndon, plan.p_starts, plan.p_columns, plan.p_values)
    memset(<void*>g_s, 0, plan.top * sizeof(item))
    memset(<void*>g_t, 0, plan.t_length * sizeof(item))
    for i in range(plan.n_lower):
        g_s[plan.index[i]] = z[i]
    for i in range(plan.n_segments):
        if due(&spent, segment[2] * segment[1] * segment[0]):
            return
        steps.multiply_rows_backprop(z, s, t, g_s, g_t, plan.entries + segment[3], segment[2], segment[1], segment[0])
        segment += 4
    steps.horner_tails_backprop(g_s, g_t, s, c, t, d, plan.degree)


cdef inline Py_ssize_t scratch_length(const ProductPlan* plan) noexcept nogil:
    """Numbers that `log_product` takes."""
    return 2 * plan.length + plan.t_length + plan.top + 2 * plan.n_lyndon


cdef inline Py_ssize_t scratch_length_backprop(const ProductPlan* plan) noexcept nogil:
    """Numbers that `log_product_backprop` takes."""
    return 4 * plan.t_length + 8 * plan.top


cdef inline void log_product(const item* x, const item* y, item* words, const item* c_exp, item* scratch,
                             const ProductPlan* plan, const Steps* steps) noexcept nogil:
    """words = log(exp(x) (x) exp(y)). x, y, words: coordinates, or a displacement for x or y.

    c_exp: the constants of exponentials, and behind them those of logarithms, degree + 1 each.
    """
    cdef const item* c_log = c_exp + plan.degree + 1
    cdef item* p = scratch
    cdef item* a = p + plan.length
    cdef item* t = a + plan.length
    cdef item* b = t + plan.t_length
    cdef item* a_top = b + plan.top
    cdef item* b_top = a_top + plan.n_lyndon
    cdef Py_ssize_t d = plan.d, i
    if plan.degree == 1:
        for i in range(d):
            words[i] = x[i] + y[i]
        return
    if plan.is_segment1:
        exp_of_segment(x, a, plan)
        exp_of_segment_top(x, a, a_top, plan)
    else:
        exp_of_log(x, p, t, a, c_exp, plan, steps)
        exp_of_log_top(x, p, t, a_top, plan, steps)
    if plan.is_segment2:
        exp_of_segment(y, b, plan)
        exp_of_segment_top(y, b, b_top, plan)
    else:
        exp_of_log(y, p, t, b, c_exp, plan, steps)
        exp_of_log_top(y, p, t, b_top, plan, steps)
    product_top(a, a_top, b, b_top, words, plan, steps)
    product(a, b, a, c_exp + 1, plan, steps)
    log_of(a, t, words, c_log, plan, steps)


cdef inline void log_product_backprop(item* z, const item* x, const item* y, item* g_x, item* g_y, const item* c_exp,
                                      item* scratch, const ProductPlan* plan, const Steps* steps) noexcept nogil:
    """Adjoint of `log_product`: from z, the cotangent of `words`, which is used up. Values at words of full length are
    not needed.
    """
    cdef const item* c_log = c_exp + plan.degree + 1
    cdef Py_ssize_t d = plan.d
    cdef item* p1 = scratch
    cdef item* p2 = p1 + plan.top
    cdef item* a = p2 + plan.top
    cdef item* s = a + plan.top
    cdef item* t1 = s + plan.top
    cdef item* t2 = t1 + plan.t_length
    cdef item* t = t2 + plan.t_length
    cdef item* g_t = t + plan.t_length
    cdef item* b = g_t + plan.t_length
    cdef item* g_s = b + plan.top
    cdef item* g_a = g_s + plan.top
    cdef item* g_b = g_a + plan.top
    if plan.degree == 1:
        memcpy(<void*>g_x, z, d * sizeof(item))
        memcpy(<void*>g_y, z, d * sizeof(item))
        return
    if plan.is_segment1:
        exp_of_segment(x, a, plan)
    else:
        exp_of_log(x, p1, t1, a, c_exp, plan, steps)
    if plan.is_segment2:
        exp_of_segment(y, b, plan)
    else:
        exp_of_log(y, p2, t2, b, c_exp, plan, steps)
    product(a, b, s, c_exp + 1, plan, steps)
    steps.horner_tails(s, c_log, t, d, plan.degree)
    log_of_backprop(z, g_s, g_t, s, t, c_log, plan, steps)
    product_backprop(g_s, z, a, b, g_a, g_b, plan, steps)
    if plan.is_segment1:
        exp_of_segment_backprop(g_a, z, x, a, g_x, plan)
    else:
        exp_of_log_backprop(g_a, g_t, z, p1, t1, c_exp, g_x, plan, steps)
    if plan.is_segment2:
        exp_of_segment_backprop(g_b, z, y, b, g_y, plan)
    else:
        exp_of_log_backprop(g_b, g_t, z, p2, t2, c_exp, g_y, plan, steps)
