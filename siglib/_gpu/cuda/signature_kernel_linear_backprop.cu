// Gradients of `signature_kernel_linear.cu`, the linear kernel with few channels.
//
// As `signature_kernel_backprop.cu`, but no window of cells: coefficients are computed again where they are needed, and
// derivatives of cells go where they belong at once. Those of a row's increment are summed in the lane that has the
// row, for the whole band. Those of a column's increment are summed on their way up: in each step the lane that takes a
// column gets what the lane below, which took it one step before, has found; the first lane writes the sums of the
// band.
#include "signature_kernel_adjoint.cuh"
#include "signature_kernel_linear.cuh"

// The adjoint of 32 steps. gx: sums of the lane's rows; strip (32, D): of the columns, by step.
template <typename T, int D, int R, int SHIFT, bool SECOND>
__device__ __forceinline__ void sweep_linear_adjoint(const Problem& p, AdjointLane<T, R>& s, const T (*x)[D],
                                                     T (*gx)[D], T* gy, const T* window, const Carry<T>& carry,
                                                     T* carry_out, int tile, int lane, const T* slopes, const T* used,
                                                     int final_exponent, int limit, T* strip) {
    constexpr int LOOK = Pace<T, R>::LOOK;
    const auto value_at = [&](int first) {
        const T* last = slopes + (first + LOOK - 1) * R * 32 + lane;
        return value_of_slopes<T, R>(last, 32, (int)used[first / LOOK * 32 + lane]);
    };
    T carried = carried_up(carry, s.exponent, s.L[R - 1], value_at(32 - LOOK), limit);
    for (int first = 32 - LOOK; first >= 0; first -= LOOK) {
        rescale_adjoint(s, carry, 32 * tile + first, lane, value_at(first), limit, carried);
        if (lane == 0) carry_out[p.carry + (32 * tile + first) / LOOK] = (T)s.exponent;
        const int exponent = (int)used[first / LOOK * 32 + lane] + s.exponent - final_exponent;
        // In two steps: the power alone may be beyond the range when derivatives are not.
        const T factor = power_of_two<T>(exponent - exponent / 2) * (T)1.7320508075688772;
        const T slope_factor = power_of_two<T>(exponent / 2);
#pragma unroll
        for (int i = LOOK - 1; i >= 0; i--) {
            const int step = 32 * tile + first + i;
            const T start = __shfl_sync(ALL_LANES, carried, first + i);
            T E = __shfl_down_sync(ALL_LANES, s.E, 1) * s.from_below;
            if (lane == 31) E = start;
            T letters[D], cells[R >> SHIFT], d_cells[R >> SHIFT] = {};
            products<T, D, R, SHIFT>(x, window + (((step - lane) >> p.order2) & (WINDOW - 1)) * SLOT<T, D>, letters,
                                     cells);
#pragma unroll
            for (int r = R - 1; r >= 0; r--) {
                const T q = cells[r >> SHIFT], g = q * q, h = g + q * (T)1.7320508075688772;
                E += s.hL[r];
                s.L[r] += E;
                s.hL[r] = h * s.L[r];
                E = (E + s.gL[r]) + s.hL[r];
                s.gL[r] = g * s.L[r];
                const T d = s.L[r] * factor * (slopes[((first + i) * R + r) * 32 + lane] * slope_factor);
                d_cells[r >> SHIFT] = (r + 1) % (1 << SHIFT) == 0 ? d : d_cells[r >> SHIFT] + d;
            }
            s.E = E;
            if (lane == 0) carry_out[step + 31] = E;
#pragma unroll
            for (int c = 0; c < D; c++) {
                if constexpr (SECOND) {
                    T sum = __shfl_down_sync(ALL_LANES, gy[c], 1);
                    if (lane == 31) sum = 0;
#pragma unroll
                    for (int k = 0; k < R >> SHIFT; k++) sum += d_cells[k] * x[k][c];
                    gy[c] = sum;
                    if (lane == 0) strip[(first + i) * D + c] = sum;
                }
#pragma unroll
                for (int k = 0; k < R >> SHIFT; k++) gx[k][c] += d_cells[k] * letters[c];
            }
        }
    }
}

// The sums of 32 columns of the refined grid, added to those of their cells.
template <typename T, int D>
__device__ __forceinline__ void add_strip(const Problem& p, const T* strip, int tile, int lane, T* second) {
    const int parts = 1 << smaller(p.order2, 5), cell = (32 * tile + lane * parts) >> p.order2;
    __syncwarp();
    if (lane * parts < 32 && cell < p.n2) {
        for (int c = 0; c < p.d; c++) {
            T sum = 0;
            for (int i = 0; i < parts; i++) sum += strip[(lane * parts + i) * D + c];
            second[(long long)cell * p.d + c] += sum;
        }
    }
}

// Arrays as in `signature_kernel_backprop.cu`, but gradient1 (n_pairs, bands, 32 (R >> SHIFT), d), of the rows of the
// refined grid in groups of 2^SHIFT. SECOND: gradient2 is wanted.
template <typename T, int D, int R, int SHIFT, bool SECOND>
__global__ void __launch_bounds__(256, 1) signature_kernel_linear_backprop(
    const T* derivs, const T* path1, const T* path2, T* gradient1, T* gradient2, double* gradient_numbers, T* carry,
    T* states, const double* parameters, long long first_pair, long long n_pairs, long long batch1, long long batch2,
    long long layout, long long n1, long long n2, long long d, long long order1, long long order2, long long log_derivs,
    double scale, double factor) {
    constexpr int LOOK = Pace<T, R>::LOOK, GROUPS = R >> SHIFT;
    const Problem p = make_problem<T, R>(n1, n2, d, order1, order2);
    if (parameters) scale = parameters[0];
    const T cell_factor = (T)(factor * scale * scale);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    // See shared_numbers of signature_kernel.py.
    T* const window = dyn_smem<T>() + warp * (SLOT<T, D> * SLOTS + 32 * D + 32 * R * 32 + 1024 / LOOK);
    T *const strip = window + SLOT<T, D> * SLOTS, *const slopes = strip + 32 * D, *const used = slopes + 32 * R * 32;
    const long long carry_size = p.carry + p.carry / LOOK, state_size = (R + 3) * 32;
    T* const rows = carry + blockIdx.x * (p.n_bands + 2 * n_warps + 1) * carry_size;
    T* const rows_up = rows + p.n_bands * carry_size;
    T* const unread = rows_up + (n_warps + 1 + warp) * carry_size;
    T* const saved = states + (blockIdx.x * (long long)n_warps + warp) * p.n_tiles * state_size;
    const int period = larger(p.n_tiles, 2 * n_warps), n_rounds = (p.n_bands - 1) / n_warps + 1;
    const int n_phases = (n_rounds - 1) * period + p.n_tiles + 2 * (n_warps - 1);
    const int period_back = 2 * larger(p.n_tiles, n_warps);
    const int n_phases_back = (n_rounds - 1) * period_back + 2 * (p.n_tiles + n_warps - 1);
    const int sub_tiles = (1 << smaller(p.order2, 30)) - 1;
    __shared__ double results[2], sums[16][3];
#pragma unroll 1
    for (int i = warp; i < p.n_bands; i += n_warps) clear_carry<T, R>(p, rows + i * carry_size, lane);
#pragma unroll 1
    for (int i = warp; i <= n_warps; i += n_warps) clear_carry_up(rows_up + i * carry_size, lane);

    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        long long a, b;
        pair_of((int)layout, first_pair + pair, batch1, batch2, &a, &b);
        const T *const path = path1 + a * (n1 + 1) * d, *const other = path2 + b * (n2 + 1) * d;
        T* const second = SECOND ? gradient2 + pair * n2 * d : nullptr;
        T x[GROUPS][D] = {}, gx[GROUPS][D] = {}, gy[D] = {};
        T seed = 0;
        int final_exponent = 0, limit = 0;
        Lane<T, R> state;
        AdjointLane<T, R> adjoint;
        first_column(state);
        last_column(adjoint);
        // The first sweep, perhaps a second trial of it, and the way back, as in `signature_kernel_backprop.cu`.
        bool back = false;
        for (int phase = 0;; phase++) {
            __syncthreads();
            if (!back && phase == n_phases) {
                phase = 0;
                back = !state.trial.again();
                if (back) {
                    seed = seed_of(derivs, (int)layout, a, b, batch2, log_derivs, (T)results[0]);
                    limit = limit_of(seed, results);
                    final_exponent = log_derivs ? (int)results[1] : 0;
                    if (SECOND)
                        for (long long i = threadIdx.x; i < n2 * d; i += blockDim.x) second[i] = 0;
                    __syncthreads();
                }
            }
            if (back && phase == n_phases_back) break;
            const int mine = phase - 2 * warp, each = back ? period_back : period, round = mine / each;
            const int step = mine - round * each, turn = round * n_warps + warp;
            if (mine < 0 || step >= (back ? 2 * p.n_tiles : p.n_tiles) || turn >= p.n_bands) continue;
            const bool sweeps = step < p.n_tiles;
            const int band = back ? p.n_bands - 1 - turn : turn, tile = sweeps ? step : 2 * p.n_tiles - 1 - step;
            const int filled = tile >> p.order2;
            const T* above = band > 0 ? rows + (band - 1) * carry_size : nullptr;
            if (step == 0) {
                first_column(state);
                load_rows<T, D, R, SHIFT>(p, path, cell_factor, (band * 32 + lane) * R, x);
            }
            if (sweeps && back) {
                save_state(state, lane, saved + step * state_size);
                // The last tile leads to no state.
                if (step == p.n_tiles - 1) continue;
            }
            // From left to right a first tile has zeros before it; from right to left a tile has the one before it.
            const bool whole = (tile & sub_tiles) == 0, last = tile == p.n_tiles - 1;
            const int first = sweeps ? (tile == 0 ? -1 : filled) : whole ? filled - 1 : filled;
            const int end = sweeps ? (whole ? filled + 1 : first) : last ? filled + 1 : filled;
            for (int i = first; i < end; i++) load_columns<T, D>(p, other, i, lane, window);
            // A tile is swept once more on the way back, for its slopes.
            if (!sweeps) load_state(state, lane, saved + tile * state_size);
            sweep_linear<T, D, R, SHIFT, true>(p, state, x, window, load_carry<T, R>(p, above, tile, lane),
                                               back ? unread : rows + band * carry_size, tile, lane,
                                               sweeps ? nullptr : slopes, used, strip);
            if (sweeps) {
                if (!back && band == p.n_bands - 1 && last) keep_result(p, state, (band * 32 + lane) * R, results);
                continue;
            }
            if (last) {
                last_column(adjoint);
#pragma unroll
                for (int c = 0; c < D; c++) {
                    gy[c] = 0;
#pragma unroll
                    for (int k = 0; k < GROUPS; k++) gx[k][c] = 0;
                }
            }
            const T* below = turn > 0 ? rows_up + (turn - 1) % (n_warps + 1) * carry_size : nullptr;
            sweep_linear_adjoint<T, D, R, SHIFT, SECOND>(
                p, adjoint, x, gx, gy, window, load_carry_up<T, R>(p, below, seed, tile, lane),
                rows_up + turn % (n_warps + 1) * carry_size, tile, lane, slopes, used, final_exponent, limit, strip);
            if (SECOND) add_strip<T, D>(p, strip, tile, lane, second);
            if (gradient1 && tile == 0) {
                T* first = gradient1 + ((pair * p.n_bands + band) * 32 + lane) * GROUPS * d;
#pragma unroll
                for (int k = 0; k < GROUPS; k++)
#pragma unroll
                    for (int c = 0; c < D; c++)
                        if (c < p.d) first[k * d + c] = gx[k][c] * cell_factor;
            }
        }
        __syncthreads();
        double gp[3] = {0, 0, 0};
        if (SECOND && gradient_numbers)
            sum_numbers<T, FROM_INCREMENTS>(n2 * d, d, other, second, scale, gp, sums, gradient_numbers + pair * 3);
    }
}
