// Gradients of signature kernels by finite differences: the exact adjoint of `signature_kernel.cu`.
//
// A block takes one pair after the other, its warps the bands in turn, as forward. The first sweep keeps the last row
// of every band: a number for each 32 R cells. Then bands are taken from the last to the first. Each is swept again,
// which keeps the state of every lane before each tile of 32 steps; then its tiles are taken from right to left: a tile
// is swept once more for its slopes, its adjoint is taken, and what that gives for cells goes on to the gradients of
// the two paths. Each pair has gradients of its own; `signature_kernel_sums.cu` adds them up in the order of the pairs.
#include "signature_kernel_adjoint.cuh"
#include "signature_kernel_pull.cuh"

// derivs (pairs), or (pairs, nodes of the grid) with GRIDS, by the kernels or, if `log_derivs`, by their logarithms.
// gradient1 (n_pairs, bands, rows of cells or nodes in a band, d), or (n_pairs, n1, n2) for given cells; gradient2
// (n_pairs, n2 or n2 + 1, d); gradient_numbers (n_pairs, 3); each may be null. carry (blocks, bands + 2 warps + 1,
// carry + carry / LOOK): rows that bands leave below, then those that they leave above, in turn, then rows that nobody
// reads. states (blocks, warps, tiles, R + 3, 32).
template <typename T, int SOURCE, int C, int R, bool GRIDS>
__global__ void __launch_bounds__(256, 1) signature_kernel_backprop(
    const T* derivs, const T* path1, const T* path2, T* gradient1, T* gradient2, double* gradient_numbers, T* carry,
    T* states, const double* parameters, long long first_pair, long long n_pairs, long long batch1, long long batch2,
    long long layout, long long n1, long long n2, long long d, long long order1, long long order2, long long kind,
    long long log_derivs, double p0, double p1, double p2, double factor) {
    constexpr int POINTS = SOURCE == FROM_PRODUCTS || SOURCE == FROM_DISTANCES;
    const Problem p = make_problem<T, R>(n1, n2, d, order1, order2);
    if (parameters) p0 = parameters[0], p1 = parameters[1], p2 = parameters[2];
    const StaticKernel<T> s = make_static_kernel<T>((int)kind, p0, p1, p2);
    const T cell_factor = (T)(SOURCE == FROM_INCREMENTS ? factor * p0 * p0 : factor);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    const PullSizes<T, SOURCE, C, R> sizes(p);
    const Room<T> room = make_room<T, SOURCE, C>(p, 32 * R + 1, warp, sizes.first, sizes.last);
    const PullRoom<T> pull_room = sizes.room(p, room);
    T *const slopes = pull_room.weights, *const used = pull_room.used;
    const long long carry_size = p.carry + p.carry / Pace<T, R>::LOOK, state_size = (R + 3) * 32;
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
        const T* x = path1 + a * (SOURCE == FROM_CELLS ? n1 * n2 : (n1 + 1) * d);
        const T* y = SOURCE == FROM_CELLS ? nullptr : path2 + b * (n2 + 1) * d;
        const long long place = layout == PAIRWISE ? a : a * batch2 + b;
        const T* seeds = GRIDS ? derivs + place * (long long)(p.rows + 1) * (p.columns + 1) : nullptr;
        const long long size1 = SOURCE == FROM_CELLS ? n1 * n2 : (long long)p.n_bands * (p.band_cells + POINTS) * d;
        double gp[3] = {0, 0, 0};
        T* const second = gradient2 ? gradient2 + pair * (n2 + POINTS) * d : nullptr;
        T seed = 0;
        int final_exponent = 0, limit = -(1 << 29);
        Lane<T, R> state;
        AdjointLane<T, R> adjoint;
        last_column(adjoint);
        first_column(state);
        // The first sweep, perhaps a second trial of it, and the way back: all in one loop, because whatever stands in
        // two places is compiled twice.
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
            const bool sweeps = step < p.n_tiles, pulls = !sweeps;
            const int band = back ? p.n_bands - 1 - turn : turn, tile = sweeps ? step : 2 * p.n_tiles - 1 - step;
            const int row = (band * 32 + lane) * R, cell = (int)(((long long)band * 32 * R) >> p.order1);
            const int filled = tile >> p.order2;
            const bool last_sub_tile = (tile & sub_tiles) == 0, first_of_band = filled == (p.n_tiles - 1) >> p.order2;
            const T* above = band > 0 ? rows + (band - 1) * carry_size : nullptr;
            if (sweeps && step == 0) first_column(state);
            if (sweeps && back) {
                save_state(state, lane, saved + step * state_size);
                // The last tile leads to no state.
                if (step == p.n_tiles - 1) continue;
            }
            Tiles tiles = {tile == 0 ? -1 : filled, last_sub_tile ? filled : -2, -1, true};
            if (pulls)
                tiles = {tile == p.n_tiles - 1 ? filled + 1 : filled - 1, last_sub_tile ? filled - 1 : filled,
                         filled + 1, false};
            fill_tiles<T, SOURCE, C, R>(p, s, x, y, cell_factor, cell, tiles, lane, room);
            if (sweeps) {
                sweep<T, R, false>(p, state, room.window, load_carry<T, R>(p, above, tile, lane),
                                   back ? unread : rows + band * carry_size, 0, tile, lane, {});
                if (!back && band == p.n_bands - 1 && tile == p.n_tiles - 1) keep_result(p, state, row, results);
                continue;
            }
            if (tile == p.n_tiles - 1) last_column(adjoint);
            load_state(state, lane, saved + tile * state_size);
            sweep_slopes(p, state, room.window, load_carry<T, R>(p, above, tile, lane), tile, lane, slopes, used);
            const T* below = turn > 0 ? rows_up + (turn - 1) % (n_warps + 1) * carry_size : nullptr;
            sweep_adjoint(p, adjoint, room.window, load_carry_up<T, R>(p, below, seed, tile, lane),
                          rows_up + turn % (n_warps + 1) * carry_size, row, tile, lane, slopes, used, final_exponent,
                          limit, seeds);
            if (!last_sub_tile) continue;
            const bool first_band =
                turn == 0 || (SOURCE == FROM_CELLS && (int)(((long long)(band + 1) * 32 * R) >> p.order1) != cell);
            T* first = gradient1 ? gradient1 + pair * size1 : nullptr;
            if (first && SOURCE != FROM_CELLS) first += (long long)band * (p.band_cells + POINTS) * d;
            const Gradients<T> to = {first, second, gradient_numbers != nullptr, gp};
            pull<T, SOURCE, C, R>(p, s, x, y, cell_factor, cell, filled, first_of_band, first_band, lane, room,
                                  pull_room, to);
        }
        __syncthreads();
        if (gradient_numbers) sum_numbers<T, SOURCE>(n2 * d, d, y, second, p0, gp, sums, gradient_numbers + pair * 3);
    }
}
