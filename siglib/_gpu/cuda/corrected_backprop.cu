// The gradient of signatures with corrections: from the signature of each path, or of each time chunk of it, back to
// its increments and their terms of higher levels.
//
// A block takes a row, that is a chunk of a path, with its signature S and cotangent G in shared memory, and walks back
// from the last increment l = l_1 + .. + l_m to the first. One step, with words shared among the threads (they are
// stored, and cut, as tensor_words.cuh says):
//
//     S <- S (x) exp(-l)                                                          levels up to N - 1: more is not
//     needed V^(k) = S + 1/k V^(k+1) (x) l,  k = N, .., 2                                Horner's scheme for S (x)
//     exp(l), kept B^(k) = 1/k sum_w B^(k-1)[. w] l[w],  k = 2, .., N,  B^(1) = G              its adjoint: the
//     cotangents of V^(k),
//                                                                                 divided by k
//     gradient of l[w] = sum_k sum_u B^(k)[u w] V^(k+1)[u],  V of the empty word being 1
//     G <- sum_k k B^(k)
//
// V^(k) and B^(k) have levels up to N - k + 1. The first and third line do not need each other: their phases share
// barriers, 2 N for each increment. What does not fit into shared memory is scratch memory: G first, by far the
// largest, and if that is not enough, everything.
//
// D is the dimension where it is known at compile time (divisions become multiplications), else 0.
#include "increments.cuh"
#include "tensor_words.cuh"

// Sum of v[u] l[w] over the ways to cut `word` into u w, where w has 1..m letters and v of the empty word is 1.
template <typename T, int D>
__device__ __forceinline__ T cut_ends(const T* v, const T* l, unsigned word, int m, unsigned dimension) {
    const unsigned d = D > 0 ? D : dimension;
    unsigned suffix = 0, power = 1;  // suffix: its value
    T total = 0;
    for (int q = 0; q < m; ++q) {
        const unsigned prefix = word / d;
        suffix += (word - prefix * d + 1) * power;
        power *= d;
        if (prefix == 0) return total + l[suffix - 1];
        total += v[prefix - 1] * l[suffix - 1];
        word = prefix - 1;
    }
    return total;
}

// out = s + factor v (x) l, the first n_words words; `out` may be s.
template <typename T, int D>
__device__ __forceinline__ void horner(const T* s, const T* v, const T* l, T factor, T* out, unsigned n_words, int m,
                                       unsigned d) {
    for (unsigned word = threadIdx.x; word < n_words; word += blockDim.x)
        out[word] = s[word] + factor * cut_ends<T, D>(v, l, word, m, d);
}

// out[u] = factor sum of b[u w] l[w], w of 1..m letters, for the first n_out words u; b has n_words.
template <typename T>
__device__ __forceinline__ void horner_backprop(const T* b, const T* l, T factor, T* out, unsigned n_out,
                                                unsigned n_words, int m, unsigned d) {
    const unsigned lane = threadIdx.x % 32, n_warps = blockDim.x / 32;
    const Share share = share_suffixes(d, threadIdx.x / 32, n_warps, lane);
    for (unsigned base = share.first; base < n_out; base += share.stride) {
        const unsigned u = base + share.word_lane;
        T total = 0;
        if (u < n_out) {
            unsigned size = d, start = 0;
            unsigned long long first = (u + 1ull) * d;
            for (int q = 0; q < m && first < n_words; ++q) {
                for (unsigned w = share.part; w < size; w += share.parts) total += b[first + w] * l[start + w];
                start += size;
                size *= d;
                first = (first + 1) * d;
            }
        }
        total = sum_of_parts(total, share.parts, 1);
        if (u < n_out && share.part == 0) out[u] = factor * total;
    }
}

// One row's memory.
template <typename T>
struct State {
    T *g, *s, *v, *b;  // v, b: V^(2), V^(3), .. and B^(2), B^(3), .. one after another
    T* sums;           // of the gradients of a correction that all increments share
    T* l;              // the terms of some increments, l_1 first
};

// out(w, gradient of l[w]) for the words w of 1..longest letters.
template <typename T, typename Out>
__device__ __forceinline__ void terms_backprop(const State<T>& row, unsigned d, int degree, int longest, Out out) {
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, n_warps = blockDim.x / 32;
    unsigned start = 0, size = d;
    for (int q = 1; q <= longest; ++q) {
        const Share share = share_prefixes(words_up_to(d, degree - q), warp, n_warps, lane);
        for (unsigned base = share.first; base < size; base += share.stride) {
            const unsigned w = base + share.word_lane;
            T total = 0;
            if (w < size) {
                const T* b = row.g;
                const T* next_b = row.b;
                const T* v = row.v;
                unsigned n_prefixes = words_up_to(d, degree - q);
                unsigned n_next = words_up_to(d, degree - 1);  // words of V^(k+1) and B^(k+1)
                for (int k = 1; k <= degree - q + 1; ++k) {
                    if (share.part == 0) total += b[start + w];
                    total += sum_prefixes(v, b, start + w, size, n_prefixes, share.part, share.parts);
                    b = next_b;
                    next_b += n_next;
                    v += n_next;
                    n_prefixes = n_prefixes > d ? n_prefixes / d - 1 : 0;
                    n_next = n_next > d ? n_next / d - 1 : 0;
                }
            }
            total = sum_of_parts(total, share.parts, 32 / share.parts);
            if (w < size && share.part == 0) out(start + w, total);
        }
        start += size;
        size *= d;
    }
}

// One increment with terms l back; then the gradient of l is there for `terms_backprop`, but G is not updated.
template <typename T, int D>
__device__ __forceinline__ void step_backprop(const State<T>& row, const T* l, unsigned d, int degree, int m) {
    // To the end of V^(N): the partial results lie behind each other, the shortest last.
    unsigned n_words = words_up_to(d, degree), n_next = words_up_to(d, degree - 1), n_taken = 0, n_partial = 0;
    for (int n = degree - 1; n >= 1; --n) n_partial += words_up_to(d, n);
    const T* b = row.g;
    T* next_b = row.b;
    const T* v = row.v;  // level 0 alone
    T* next_v = row.v + n_partial;
    for (int k = 1; k < degree; ++k) {
        // Taking off: its scheme is a level shorter.
        const int k_off = degree - k;
        n_taken = (n_taken + 1) * d;
        next_v -= n_taken;
        horner<T, D>(row.s, v, l, T(-1) / T(k_off), k_off == 1 ? row.s : next_v, n_taken, m, d);
        v = next_v;
        horner_backprop(b, l, T(1) / T(k + 1), next_b, n_next, n_words, m, d);
        b = next_b;
        next_b += n_next;
        n_words = n_next;
        n_next = n_next / d - 1;
        __syncthreads();
    }
    next_v = row.v + n_partial;
    n_taken = 0;
    for (int k = degree; k >= 2; --k) {
        n_taken = (n_taken + 1) * d;
        next_v -= n_taken;
        horner<T, D>(row.s, v, l, T(1) / T(k), next_v, n_taken, m, d);
        v = next_v;
        __syncthreads();
    }
}

// G <- sum of k B^(k).
template <typename T>
__device__ __forceinline__ void add_cotangents(const State<T>& row, unsigned d, int degree) {
    const unsigned n_words = words_up_to(d, degree - 1);
    for (unsigned word = threadIdx.x; word < n_words; word += blockDim.x) {
        const T* b = row.b;
        T total = row.g[word];
        unsigned n = n_words;
        for (int k = 2; k <= degree && word < n; ++k) {
            total += (T)k * b[word];
            b += n;
            n = n / d - 1;
        }
        row.g[word] = total;
    }
}

// paths: see increments.cuh; terms: its correction, rows `term_row` numbers apart, of n_terms numbers, `term_path` from
// one path's to the next one's. sig, derivs: signatures of the rows and their cotangents, `stride` apart, without
// scalar term. Row number r is chunk r % n_chunks of path r / n_chunks, `chunk` increments each, and before and behind
// them `margin` increments of zero; one block for each. gx (rows, margin + chunk + margin, d): gradients of the
// increments. term_derivs, if not 0: those of the correction, (paths, n_rows, n_terms), or if term_row is 0 (rows,
// n_terms), summed over the increments of a row. n_state numbers of the rows' memory are in shared memory, after
// n_scratch numbers for each row in `scratch`; `tile` increments at a time.
template <typename T, int D>
__global__ void __launch_bounds__(256, 1) corrected_backward(
    const Paths<T> paths, const T* __restrict__ terms, long long term_path, long long term_row, long long n_terms,
    const T* __restrict__ sig, const T* __restrict__ derivs, long long stride, T* __restrict__ gx,
    T* __restrict__ term_derivs, T* __restrict__ scratch, long long n_scratch, long long margin, long long degree_given,
    long long m_given, long long tile) {
    const unsigned d = D > 0 ? D : (unsigned)paths.d;
    const int degree = (int)degree_given, m = (int)m_given, n_tile = (int)tile;
    const unsigned n_words = words_up_to(d, degree), n_kept = words_up_to(d, degree - 1), width = d + (unsigned)n_terms;
    const long long r = blockIdx.x, b = quotient(r, paths.n_chunks), start = (r - b * paths.n_chunks) * paths.chunk;
    const int n_before = (int)margin, n_there = (int)smaller(paths.chunk, paths.n_rows - start),
              n_mine = n_there + 2 * n_before;
    const T* points = paths.points + b * paths.path;

    unsigned n_partial = 0;
    for (int n = degree - 1; n >= 1; --n) n_partial += words_up_to(d, n);
    State<T> row;
    row.g = n_scratch ? scratch + r * n_scratch : dyn_smem<T>();
    row.s = n_scratch == n_words ? dyn_smem<T>() : row.g + n_words;
    row.v = row.s + n_kept;
    row.b = row.v + n_partial;
    row.sums = row.b + n_partial;
    row.l = row.sums + (term_derivs && !term_row ? n_terms : 0);

    sig += r * stride;
    derivs += r * stride;
    for (unsigned word = threadIdx.x; word < n_words; word += blockDim.x) row.g[word] = derivs[word];
    for (unsigned word = threadIdx.x; word < n_kept; word += blockDim.x) row.s[word] = sig[word];
    for (unsigned i = threadIdx.x; term_derivs && !term_row && i < n_terms; i += blockDim.x) row.sums[i] = 0;
    for (int first = (n_mine - 1) / n_tile * n_tile; first >= 0; first -= n_tile) {
        const unsigned n = (unsigned)smaller(n_tile, n_mine - first) * width;
        for (unsigned i = threadIdx.x; i < n; i += blockDim.x) {
            const unsigned k = i / width, c = i - k * width;
            const int own = first + (int)k - n_before;
            const long long at = start + own;
            row.l[i] = own < 0 || own >= n_there ? (T)0
                       : c < d                   ? increment_at(paths, points, at, (int)c)
                                                 : terms[b * term_path + at * term_row + (c - d)];
        }
        __syncthreads();
        for (int k = smaller(n_tile, n_mine - first) - 1; k >= 0; --k) {
            step_backprop<T, D>(row, row.l + k * width, d, degree, m);
            const int own = first + k - n_before;
            const bool exists = own >= 0 && own < n_there;
            terms_backprop(row, d, degree, term_derivs && exists ? m : 1, [&](unsigned w, T gradient) {
                if (w < d)
                    gx[(r * (paths.chunk + 2 * margin) + first + k) * d + w] = gradient;
                else if (term_row)
                    term_derivs[(b * paths.n_rows + start + own) * n_terms + (w - d)] = gradient;
                else
                    row.sums[w - d] += gradient;
            });
            __syncthreads();
            add_cotangents(row, d, degree);
            __syncthreads();
        }
    }
    for (unsigned i = threadIdx.x; term_derivs && !term_row && i < n_terms; i += blockDim.x)
        term_derivs[r * n_terms + i] = row.sums[i];
}

// out (n_paths, n_terms): the sums of parts (n_paths, n_chunks, n_terms) over the chunks, in their order.
template <typename T>
__global__ void __launch_bounds__(256) sum_of_chunks(const T* __restrict__ parts, T* __restrict__ out, long long size,
                                                     long long n_chunks, long long n_terms) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long b = quotient(index, n_terms);
    const T* from = parts + b * n_chunks * n_terms + (index - b * n_terms);
    T total = 0;
    for (long long i = 0; i < n_chunks; ++i) total += from[i * n_terms];
    out[index] = total;
}

// One channel: gradients (n_paths, m) of the sums that corrected_totals in corrected_signature.cu gives. sig, derivs:
// signatures and their cotangents, `stride` apart, without scalar term. One thread for each number.
template <typename T>
__global__ void __launch_bounds__(256) corrected_powers_backprop(const T* __restrict__ sig,
                                                                 const T* __restrict__ derivs, T* __restrict__ out,
                                                                 long long size, long long degree, long long m,
                                                                 long long stride) {
    const long long index = thread_number();
    if (index >= size) return;
    const long long b = quotient(index, m), q = index - b * m + 1;
    T total = derivs[b * stride + q - 1];
    for (long long n = q + 1; n <= degree; ++n) total += derivs[b * stride + n - 1] * sig[b * stride + n - q - 1];
    out[index] = total;
}
