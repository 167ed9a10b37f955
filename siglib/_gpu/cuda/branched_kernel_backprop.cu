// Gradients of branched signature kernels: the exact adjoint of `branched_kernel.cu`.
//
// A block takes one pair after the other, its warps the bands in turn, as forward. The first sweep keeps the last row
// of the grid and the sums of whole rows. Then bands are taken from the last to the first, their tiles from right to
// left: a tile is taken off the grid again together with its adjoint, and what that gives for cells goes on to the
// gradients of the two paths. Memory is a few rows and columns for each pair. Each pair has gradients of its own;
// `signature_kernel_sums.cu` adds them up in the order of the pairs.
#include "branched_kernel_adjoint.cuh"
#include "signature_kernel_pull.cuh"

// derivs (pairs), or (pairs, nodes of the grid) with GRIDS, by the kernels or, if `log_derivs`, by their logarithms.
// gradient1 (n_pairs, bands, rows of cells or nodes in a band, d), or (n_pairs, n1, n2) for given cells; gradient2
// (n_pairs, n2 or n2 + 1, d); gradient_numbers (n_pairs, 3); each may be null. carry (blocks, ...): carries of the
// first sweep, (warps + 1, N_CARRIED, depth, carry), those of the second, (warps + 1, N_CARRIED_UP, depth, carry), and
// sums of rows, (depth, bands, 32). states (blocks, warps, N_KEPT + N_KEPT_BACK, depth, 32), if DEPTH is 0. The rest as
// in `branched_kernel.cu`.
template <typename T, int SOURCE, int C, int DEPTH, bool GRIDS>
__global__ void __launch_bounds__(256, 1) branched_kernel_backprop(
    const T* derivs, const T* path1, const T* path2, T* gradient1, T* gradient2, double* gradient_numbers, T* carry,
    T* states, const double* parameters, long long first_pair, long long n_pairs, long long batch1, long long batch2,
    long long layout, long long n1, long long n2, long long d, long long order1, long long order2, long long kind,
    long long depth, long long log_derivs, double p0, double p1, double p2, double factor) {
    constexpr int POINTS = SOURCE == FROM_PRODUCTS || SOURCE == FROM_DISTANCES;
    const Problem p = make_problem<T, 1>(n1, n2, d, order1, order2);
    if (parameters) p0 = parameters[0], p1 = parameters[1], p2 = parameters[2];
    const StaticKernel<T> kernel = make_static_kernel<T>((int)kind, p0, p1, p2);
    const T cell_factor = (T)(SOURCE == FROM_INCREMENTS ? factor * p0 * p0 : factor);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    const PullSizes<T, SOURCE, C, 1> sizes(p);
    const Room<T> room = make_room<T, SOURCE, C>(p, 33, warp, sizes.first, sizes.last);
    const PullRoom<T> pull_room = sizes.room(p, room);
    const long long numbers = depth * p.carry, size_up = N_CARRIED_UP * numbers;
    T* const carries =
        carry + blockIdx.x * ((n_warps + 1) * (N_CARRIED + N_CARRIED_UP) * numbers + depth * 32 * p.n_bands);
    T* const carries_up = carries + (n_warps + 1) * (N_CARRIED * numbers);
    T* const ends = carries_up + (n_warps + 1) * size_up;
    T* const memory = states + (blockIdx.x * (long long)n_warps + warp) * ((N_KEPT + N_KEPT_BACK) * depth * 32);
    const int sub_tiles = (1 << smaller(p.order2, 30)) - 1;
    // The column behind the last one is one more.
    const int n_tiles = (p.columns + 31) / 32 + 1, period = larger(n_tiles, 2 * n_warps);
    const int n_phases = (p.n_bands - 1) / n_warps * period + n_tiles + 2 * (n_warps - 1);
    __shared__ T last;
    __shared__ double sums[8][3];

    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        long long a, b;
        pair_of((int)layout, first_pair + pair, batch1, batch2, &a, &b);
        const T* x = path1 + a * (SOURCE == FROM_CELLS ? n1 * n2 : (n1 + 1) * d);
        const T* y = SOURCE == FROM_CELLS ? nullptr : path2 + b * (n2 + 1) * d;
        T* last_row;
        {
            Depths<T, DEPTH, N_KEPT> s((int)depth, memory, lane);
            last_row =
                sweep_pair<T, SOURCE, C, DEPTH>(p, kernel, x, y, cell_factor, s, room, carries, nullptr, ends, &last);
        }
        // Where the last turn of a band before the first would have been.
        start_below(p, (int)depth, last_row, carries_up + n_warps * size_up);
        const long long place = layout == PAIRWISE ? a : a * batch2 + b;
        const T* seeds = GRIDS ? derivs + place * (p.rows + 1) * (p.columns + 1) : nullptr;
        const T seed =
            GRIDS ? (T)0 : seed_of(derivs, (int)layout, a, b, batch2, 0, (T)1) * (log_derivs ? (T)1 : exp_of(last));
        const long long size1 = SOURCE == FROM_CELLS ? n1 * n2 : (long long)p.n_bands * (p.band_cells + POINTS) * d;
        double gp[3] = {0, 0, 0};
        T* const second = gradient2 ? gradient2 + pair * (n2 + POINTS) * d : nullptr;
        Depths<T, DEPTH, N_KEPT_BACK> s((int)depth, memory + N_KEPT * depth * 32, lane);
        last_column(s);
        T by_columns = 0;
        for (int phase = 0; phase < n_phases; phase++) {
            __syncthreads();
            const int mine = phase - 2 * warp, round = mine / period, step = mine - round * period;
            const int turn = round * n_warps + warp, band = p.n_bands - 1 - turn;
            if (mine < 0 || step >= n_tiles || band < 0) continue;
            const int tile = n_tiles - 1 - step, filled = tile >> p.order2;
            const int cell = (int)((band * 32LL) >> p.order1);
            const bool last_sub_tile = (tile & sub_tiles) == 0, first_of_band = filled == (n_tiles - 1) >> p.order2;
            if (step == 0) {
                last_column(s);
                by_columns = 0;
            }
            fill_tiles<T, SOURCE, C, 1>(
                p, kernel, x, y, cell_factor, cell,
                {step == 0 ? filled + 1 : filled - 1, last_sub_tile ? filled - 1 : filled, filled + 1, false}, lane,
                room);
            sweep_back<T, DEPTH, GRIDS>(p, s, room.window, carries_up + (turn + n_warps) % (n_warps + 1) * size_up,
                                        carries_up + turn % (n_warps + 1) * size_up, ends, band * 32 + lane, tile, lane,
                                        seeds, seed, by_columns);
            if (!last_sub_tile) continue;
            const bool first_band =
                turn == 0 || (SOURCE == FROM_CELLS && (int)(((band + 1) * 32LL) >> p.order1) != cell);
            T* first = gradient1 ? gradient1 + pair * size1 : nullptr;
            if (first && SOURCE != FROM_CELLS) first += (long long)band * (p.band_cells + POINTS) * d;
            const Gradients<T> to = {first, second, gradient_numbers != nullptr, gp};
            pull<T, SOURCE, C, 1>(p, kernel, x, y, cell_factor, cell, filled, first_of_band, first_band, lane, room,
                                  pull_room, to);
        }
        __syncthreads();
        if (gradient_numbers) sum_numbers<T, SOURCE>(n2 * d, d, y, second, p0, gp, sums, gradient_numbers + pair * 3);
    }
}
