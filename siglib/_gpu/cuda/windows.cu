// Signatures of windows: scans from points that windows share, and products of what two of them give.
//
// The plan (window_plan.py) says which scans there are, from which increment on, to the left or to the right, and after
// how many steps each has a row of the result. Scans need nothing from each other. Within a scan, a thread has T1 words
// of the top level, and all that these need: a step to the left is S <- exp(x) (x) S, which leaves the ends of words
// alone, so the words j w with the same w of SUFFIX letters need the coefficients of w's endings only. A step to the
// right, S <- S (x) exp(x), is the same with all words read backwards: w j with the beginnings of w. Unlike in
// signature.cu rows are written after nearly every step, which takes longer than the arithmetic; so a thread has few
// words, neighbours write neighbours, and many threads wait for memory at a time. Then a product is one thread for each
// number of the result (tensor.cuh), which reads rows that have just been written.
#include "signature_tree.cuh"
#include "tensor.cuh"

// dx: the increments of the paths, `width` numbers each, `dx_path` numbers from path to path. scan_first, scan_side
// (1: right), scan_rows, row_steps: the plan's tables; of the scans of this launch, for each path. Row r of the plan
// goes to row r - first_row of `out`, or to row row_target[r] if there is such a table; rows of the next path are
// `path_rows` further on. Rows are `stride` numbers apart and begin with 1 if `scalar_term`.
template <typename T, int SUFFIX, int T1, typename I>
__global__ void __launch_bounds__(128) windows_scan(
    const T* __restrict__ dx, long long dx_path, long long width, const long long* __restrict__ scan_first,
    const long long* __restrict__ scan_side, const long long* __restrict__ scan_rows,
    const long long* __restrict__ row_steps, const long long* __restrict__ row_target, T* __restrict__ out,
    long long n_paths, long long n_scans, long long n_letters, long long first_row, long long path_rows,
    long long stride, long long scalar_term) {
    constexpr int ENDING = SUFFIX > 0 ? SUFFIX : 1;
    const I d = (I)n_letters, n_tiles = (d + T1 - 1) / T1;
    I n_suffixes = 1;
#pragma unroll
    for (int k = 0; k < SUFFIX; k++) n_suffixes *= d;
    const I n_items = n_suffixes * n_tiles;
    const long long virtual_scan = quotient(thread_number(), n_items), path = quotient(virtual_scan, n_scans);
    if (path >= n_paths) return;
    const long long scan = virtual_scan - path * n_scans;
    const I in_scan = (I)(thread_number() - virtual_scan * n_items), tile = in_scan / n_suffixes;
    const I suffix = in_scan - tile * n_suffixes, j0 = tile * T1;
    const bool right = scan_side[scan] != 0;

    // letters[k - 1]: the k-th letter of w from its end, or, to the right, from its beginning. place[k - 1]: where in
    // its level the word of k such letters is, or -1 if another thread writes it.
    I letters[ENDING], place[ENDING], power = 1;
#pragma unroll
    for (int k = 1; k <= SUFFIX; k++) {
        const I above = power * d, part = suffix / power, letter = part % d;
        if (right) {
            letters[SUFFIX - k] = letter;
            place[SUFFIX - k] = tile == 0 && part * power == suffix ? part : -1;
        } else {
            letters[k - 1] = letter;
            place[k - 1] = tile == 0 && suffix < above ? suffix : -1;
        }
        power = above;
    }
    const I top_place = right ? suffix * d + j0 : suffix + j0 * n_suffixes, top_step = right ? 1 : n_suffixes;

    T top[T1], ending[ENDING];
#pragma unroll
    for (int j = 0; j < T1; j++) top[j] = 0;
#pragma unroll
    for (int k = 0; k < SUFFIX; k++) ending[k] = 0;
    const T* now = dx + path * dx_path + scan_first[scan] * width;
    const long long step = right ? width : -width;
    out += (path * path_rows - (row_target ? 0 : first_row)) * stride + scalar_term;
    int taken = 0;
    for (long long row = scan_rows[scan]; row < scan_rows[scan + 1]; row++) {
        for (const int steps = (int)row_steps[row]; taken < steps; taken++, now += step) {
            T x[ENDING], B[1];
#pragma unroll
            for (int k = 0; k < SUFFIX; k++) x[k] = now[letters[k]];
            advance_ending<T, SUFFIX, 1>(ending, x, B);
#pragma unroll
            for (int j = 0; j < T1; j++)
                if (j0 + j < d) top[j] += now[j0 + j] * B[0];
        }
        T* target = out + (row_target ? row_target[row] : row) * stride;
        if (scalar_term && in_scan == 0) target[-1] = 1;
        I size = d;
#pragma unroll
        for (int k = 0; k < SUFFIX; k++) {
            if (place[k] >= 0) target[place[k]] = ending[k];
            target += size;
            size *= d;
        }
#pragma unroll
        for (int j = 0; j < T1; j++)
            if (j0 + j < d) target[top_place + j * top_step] = top[j];
    }
}

// out = rows[left_row] (x) rows[right_row] for each window of this launch and each path: row window[..] of `out`.
// Rows have `n_words` numbers, row r of the plan is row r - first_row of `rows`; rows of the next path are `path_rows`
// further on, windows of the next path `path_windows`.
template <typename T, int D, typename I>
__global__ void __launch_bounds__(256) windows_multiply(const T* __restrict__ rows,
                                                        const long long* __restrict__ left_row,
                                                        const long long* __restrict__ right_row,
                                                        const long long* __restrict__ window, T* __restrict__ out,
                                                        long long n_paths, long long n_windows, long long n_letters,
                                                        long long n_words, long long first_row, long long path_rows,
                                                        long long path_windows, long long scalar_term) {
    const long long product = quotient(thread_number(), n_words), word = thread_number() - product * n_words;
    const long long path = quotient(product, n_windows), k = product - path * n_windows;
    if (path >= n_paths) return;
    const long long first = path * path_rows - first_row;
    T* target = out + (path * path_windows + window[k]) * (n_words + scalar_term);
    if (scalar_term && word == 0) target[0] = 1;
    target[scalar_term + word] =
        product_at<T, D, I>(rows + (first + left_row[k]) * n_words, rows + (first + right_row[k]) * n_words, (I)word,
                            Divisor<D, I>((I)n_letters));
}

// One channel: powers of the total increment, total^n / n!. A row of `degree` numbers after the empty word's.
template <typename T>
__global__ void __launch_bounds__(256) windows_powers(const T* __restrict__ total, T* __restrict__ out,
                                                      long long n_windows, long long degree, long long scalar_term) {
    const long long k = thread_number();
    if (k >= n_windows) return;
    T* row = out + k * (degree + scalar_term);
    if (scalar_term) *row++ = 1;
    T power = 1;
    for (long long n = 1; n <= degree; n++) {
        power = power * total[k] / (T)n;
        row[n - 1] = power;
    }
}

// The words of time alone, T^n / n!, in the signatures of windows, `stride` numbers apart; time is the last of d
// letters and advances by `time_step` with each increment. n_increments: of the windows of all paths, or of one if they
// share them, n_tabled in all.
template <typename T>
__global__ void __launch_bounds__(256) windows_time(T* __restrict__ out, const long long* __restrict__ n_increments,
                                                    long long n_windows, long long n_tabled, double time_step,
                                                    long long d, long long degree, long long stride,
                                                    long long scalar_term) {
    const long long k = thread_number();
    if (k >= n_windows) return;
    const double duration = (double)n_increments[k - quotient(k, n_tabled) * n_tabled] * time_step;
    T* end = out + k * stride + scalar_term - 1;
    double power = 1;
    for (long long n = 1, size = 1; n <= degree; n++) {
        size *= d;
        end += size;
        power = power * duration / (double)n;
        *end = (T)power;
    }
}
