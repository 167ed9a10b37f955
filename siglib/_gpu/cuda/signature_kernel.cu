// Signature kernels of pairs of paths by finite differences: values, and whole grids.
//
// A block takes one pair after the other. Its warps take the pair's bands of rows in turn, each two tiles of 32 steps
// behind the band above, with a barrier after every tile: a block of one warp is a warp for each pair, a block of many
// is for few long pairs. What one band gives to the next are the differences in its last row, `carry`; nothing else of
// the grid is kept. Every cell is computed by the same operations whatever the number of warps.
#include "signature_kernel_sweep.cuh"

// path1 (batch1, n1 + 1, d), or the cells (batch1, n1, n2) if SOURCE is FROM_CELLS; path2 (batch2, n2 + 1, d). Pairs
// first_pair ... first_pair + n_pairs - 1. out, exponent: out * 2^exponent by place of the pair in the result; with
// GRIDS out has the nodes of all grids. carry (blocks, warps + 1, carry + carry / LOOK). parameters: those of the
// static kernel, if they are on the device, in place of p0, p1, p2. factor: of the cells.
template <typename T, int SOURCE, int C, int R, bool GRIDS>
__global__ void __launch_bounds__(512, 1) signature_kernel(const T* path1, const T* path2, T* out, T* exponent,
                                                           T* carry, const double* parameters, long long first_pair,
                                                           long long n_pairs, long long batch1, long long batch2,
                                                           long long layout, long long n1, long long n2, long long d,
                                                           long long order1, long long order2, long long kind,
                                                           double p0, double p1, double p2, double factor) {
    const Problem p = make_problem<T, R>(n1, n2, d, order1, order2);
    if (parameters) p0 = parameters[0], p1 = parameters[1], p2 = parameters[2];
    const StaticKernel<T> s = make_static_kernel<T>((int)kind, p0, p1, p2);
    const T cell_factor = (T)(SOURCE == FROM_INCREMENTS ? factor * p0 * p0 : factor);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    const Room<T> room = make_room<T, SOURCE, C>(p, p.band_cells + 1, warp);
    const long long carry_size = p.carry + p.carry / Pace<T, R>::LOOK;
    T* carries = carry + blockIdx.x * (n_warps + 1) * carry_size;
    const int period = larger(p.n_tiles, 2 * n_warps), n_rounds = (p.n_bands - 1) / n_warps + 1;
    const int n_phases = (n_rounds - 1) * period + p.n_tiles + 2 * (n_warps - 1);
    const int sub_tiles = (1 << smaller(p.order2, 30)) - 1;
    for (int i = warp; i <= n_warps; i += n_warps) clear_carry<T, R>(p, carries + i * carry_size, lane);

    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        long long a, b;
        pair_of((int)layout, first_pair + pair, batch1, batch2, &a, &b);
        const T* x = path1 + a * (SOURCE == FROM_CELLS ? n1 * n2 : (n1 + 1) * d);
        const T* y = SOURCE == FROM_CELLS ? nullptr : path2 + b * (n2 + 1) * d;
        Grid<T> grid = {nullptr, nullptr};
        if constexpr (GRIDS) {
            const long long size = (long long)(p.rows + 1) * (p.columns + 1);
            grid.nodes = out + (layout == PAIRWISE ? a : a * batch2 + b) * size;
            if (layout == SYMMETRIC && a != b) grid.mirrored = out + (b * batch2 + a) * size;
            first_nodes(p, grid);
        }
        Lane<T, R> state;
        do {
            first_column(state);
            for (int phase = 0; phase < n_phases; phase++) {
                __syncthreads();
                const int mine = phase - 2 * warp, round = mine / period, tile = mine - round * period;
                const int band = round * n_warps + warp;
                if (mine < 0 || tile >= p.n_tiles || band >= p.n_bands) continue;
                const int row = (band * 32 + lane) * R, cell = (int)(((long long)band * 32 * R) >> p.order1);
                if (tile == 0) first_column(state);
                if ((tile & sub_tiles) == 0)
                    fill_on<T, SOURCE, C>(p, s, x, y, cell_factor, cell, tile >> p.order2, lane, room);
                const T* above = band > 0 ? carries + (band - 1) % (n_warps + 1) * carry_size : nullptr;
                sweep<T, R, GRIDS>(p, state, room.window, load_carry<T, R>(p, above, tile, lane),
                                   carries + band % (n_warps + 1) * carry_size, row, tile, lane, grid);
                if (!GRIDS && band == p.n_bands - 1 && tile == p.n_tiles - 1)
                    store_result(p, state, row, (int)layout, a, b, batch2, out, exponent);
            }
        } while (state.trial.again());
    }
}
