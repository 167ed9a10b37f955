// Gradients of signature kernels by the polynomial method: the exact adjoint of `signature_kernel_polynomial.cu`.
//
// As `signature_kernel_backprop.cu`: a first sweep keeps what bands give to each other; then each band is swept again,
// which keeps the state of each lane before each tile; then each tile is swept once more, keeps the derivatives of its
// edges, and is pulled back.
#include "signature_kernel_polynomial.cuh"
#include "signature_kernel_pull.cuh"

template <typename T, int N>
__device__ __forceinline__ void save_edges(const Constants<T, N>& c, const Edges<T, N>& s, int lane, T* to) {
    const int order = N > 0 ? N : c.order;
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) {
        to[2 * p * 32 + lane] = s.A[p];
        to[(2 * p + 1) * 32 + lane] = s.B[p];
    }
    to[(2 * order + 2) * 32 + lane] = (T)s.exponent;
    to[(2 * order + 3) * 32 + lane] = (T)s.exponent_of_B;
}

// Those that are in memory, and these there.
template <typename T, int N>
__device__ __forceinline__ void swap_edges(const Constants<T, N>& c, Edges<T, N>& s, int lane, T* at) {
    const int order = N > 0 ? N : c.order;
    const auto swap = [&](T& v, int i) {
        const T other = at[i * 32 + lane];
        at[i * 32 + lane] = v;
        v = other;
    };
#pragma unroll(UNROLLED<N>)
    for (int p = 0; p <= order; p++) {
        swap(s.A[p], 2 * p);
        swap(s.B[p], 2 * p + 1);
    }
    T exponent = (T)s.exponent, exponent_of_B = (T)s.exponent_of_B;
    swap(exponent, 2 * order + 2);
    swap(exponent_of_B, 2 * order + 3);
    s.exponent = (int)exponent, s.exponent_of_B = (int)exponent_of_B;
}

// Arrays as in `signature_kernel_backprop.cu`, and: carry (blocks, bands + 2 warps + 1, n2, order + 2); states (blocks,
// warps, tiles, 2 order + 4, 32); slopes (blocks, warps, 32, 2 order + 1, 32).
template <typename T, int SOURCE, int C, int N, bool GRIDS>
__global__ void __launch_bounds__(256, 1) signature_kernel_polynomial_backprop(
    const T* derivs, const T* path1, const T* path2, T* gradient1, T* gradient2, double* gradient_numbers, T* carry,
    T* states, T* slopes, const double* parameters, long long first_pair, long long n_pairs, long long batch1,
    long long batch2, long long layout, long long n1, long long n2, long long d, long long order, long long kind,
    long long log_derivs, double p0, double p1, double p2) {
    constexpr int POINTS = SOURCE == FROM_PRODUCTS || SOURCE == FROM_DISTANCES;
    const Problem p = make_problem<T, 1>(n1, n2, d, 0, 0);
    if (parameters) p0 = parameters[0], p1 = parameters[1], p2 = parameters[2];
    const StaticKernel<T> s = make_static_kernel<T>((int)kind, p0, p1, p2);
    const T factor = (T)(SOURCE == FROM_INCREMENTS ? p0 * p0 : 1);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    const PullSizes<T, SOURCE, C, 1> sizes(p);
    const Room<T> room = make_room<T, SOURCE, C>(p, 33, warp, sizes.first, sizes.last);
    const PullRoom<T> pull_room = sizes.room(p, room);
    Constants<T, N> constants;
    make_constants((int)order, constants);
    const long long carry_size = n2 * (order + 2), state_size = (2 * order + 4) * 32;
    T* const rows = carry + blockIdx.x * (p.n_bands + 2 * n_warps + 1) * carry_size;
    T* const rows_up = rows + p.n_bands * carry_size;
    T* const unread = rows_up + (n_warps + 1 + warp) * carry_size;
    T* const saved = states + (blockIdx.x * (long long)n_warps + warp) * p.n_tiles * state_size;
    T* const kept = slopes + ((long long)blockIdx.x * n_warps + warp) * 32 * (2 * order + 1) * 32;
    T* const used = kept + 32 * 2 * order * 32;
    const int period = larger(p.n_tiles, 2 * n_warps), n_rounds = (p.n_bands - 1) / n_warps + 1;
    const int n_phases = (n_rounds - 1) * period + p.n_tiles + 2 * (n_warps - 1);
    const int period_back = 2 * larger(p.n_tiles, n_warps);
    const int n_phases_back = (n_rounds - 1) * period_back + 2 * (p.n_tiles + n_warps - 1);
    __shared__ double results[2], sums[16][3];

    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        long long a, b;
        pair_of((int)layout, first_pair + pair, batch1, batch2, &a, &b);
        const T* x = path1 + a * (SOURCE == FROM_CELLS ? n1 * n2 : (n1 + 1) * d);
        const T* y = SOURCE == FROM_CELLS ? nullptr : path2 + b * (n2 + 1) * d;
        const long long place = layout == PAIRWISE ? a : a * batch2 + b;
        const T* seeds = GRIDS ? derivs + place * (n1 + 1) * (n2 + 1) : nullptr;
        const long long size1 = SOURCE == FROM_CELLS ? n1 * n2 : (long long)p.n_bands * (32 + POINTS) * d;
        double gp[3] = {0, 0, 0};
        T* const second = gradient2 ? gradient2 + pair * (n2 + POINTS) * d : nullptr;
        T seed = 0, value = 1;
        int final_exponent = 0, limit = -(1 << 29);
        Edges<T, N> state;
        // The first sweep, perhaps a second trial of it, and the way back, as in `signature_kernel_backprop.cu`.
        bool back = false;
        for (int phase = 0;; phase++) {
            __syncthreads();
            if (!back && phase == n_phases) {
                phase = 0;
                back = !state.trial.again();
                if constexpr (GRIDS) {
                    // Which nodes two sweeps agree upon is not looked at.
                    if (back && __syncthreads_or(state.trial.lost)) seed = Range<T>::unknown();
                } else if (back) {
                    seed = seed_of(derivs, (int)layout, a, b, batch2, log_derivs, (T)results[0]);
                    final_exponent = log_derivs ? (int)results[1] : 0;
                    limit = limit_of(seed, results);
                }
            }
            if (back && phase == n_phases_back) break;
            const int mine = phase - 2 * warp, each = back ? period_back : period, round = mine / each;
            const int step = mine - round * each, turn = round * n_warps + warp;
            if (mine < 0 || step >= (back ? 2 * p.n_tiles : p.n_tiles) || turn >= p.n_bands) continue;
            const bool sweeps = step < p.n_tiles;
            const int band = back ? p.n_bands - 1 - turn : turn, tile = sweeps ? step : 2 * p.n_tiles - 1 - step;
            const int cell = band * 32, row = cell + lane;
            const T* above = band > 0 ? rows + (band - 1) * carry_size : nullptr;
            if (step == 0 || step == p.n_tiles) {
                // Of values the first edges are 1, of derivatives the last ones 0.
                set_edge(constants, (T)sweeps, state.A);
                set_edge(constants, (T)0, state.B);
                state.exponent = state.exponent_of_B = 0;
            }
            if (sweeps && back) {
                save_edges(constants, state, lane, saved + step * state_size);
                // The last tile leads to no state.
                if (step == p.n_tiles - 1) continue;
            }
            Tiles tiles = {tile == 0 ? -1 : tile, tile, -1, true};
            if (!sweeps) tiles = {tile == p.n_tiles - 1 ? tile + 1 : tile - 1, tile - 1, tile + 1, false};
            fill_tiles<T, SOURCE, C, 1>(p, s, x, y, factor, cell, tiles, lane, room);
            // A tile is swept once more on the way back, for its slopes. So long derivatives take the place of its
            // edges.
            T* const at_tile = saved + tile * state_size;
            if (!sweeps) swap_edges(constants, state, lane, at_tile);
            value = pass_tile<T, N, true>(p, constants, state, room.window, above,
                                          !sweeps ? nullptr
                                          : back  ? unread
                                                  : rows + band * carry_size,
                                          row, tile, lane, value, sweeps ? nullptr : kept, used, nullptr, nullptr);
            if (sweeps) {
                if (back || tile < p.n_tiles - 1 || row != p.n1 - 1) continue;
                value = known(value);
                const bool right = !state.trial.second || agree(value, state.exponent, (T)results[0], (int)results[1]);
                results[0] = (double)(right ? value : Range<T>::unknown());
                results[1] = state.exponent;
                continue;
            }
            swap_edges(constants, state, lane, at_tile);
            pull_tile(p, constants, state, room.window, rows_up + turn % (n_warps + 1) * carry_size,
                      turn > 0 ? rows_up + (turn - 1) % (n_warps + 1) * carry_size : nullptr, row, tile, lane, kept,
                      used, final_exponent, limit, seed, seeds);
            T* first = gradient1 ? gradient1 + pair * size1 : nullptr;
            if (first && SOURCE != FROM_CELLS) first += (long long)band * (32 + POINTS) * d;
            const Gradients<T> to = {first, second, gradient_numbers != nullptr, gp};
            const bool first_band = turn == 0 || SOURCE == FROM_CELLS;
            pull<T, SOURCE, C, 1>(p, s, x, y, factor, cell, tile, tile == p.n_tiles - 1, first_band, lane, room,
                                  pull_room, to);
        }
        __syncthreads();
        if (gradient_numbers) sum_numbers<T, SOURCE>(n2 * d, d, y, second, p0, gp, sums, gradient_numbers + pair * 3);
    }
}
