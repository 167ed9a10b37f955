// Signature kernels of pairs of paths by the polynomial method: values, and whole grids.
//
// Blocks, warps and bands as in `signature_kernel.cu`, with one row for each lane; from lane to lane, and from band to
// band, go the coefficients of the edges between cells.
#include "signature_kernel_polynomial.cuh"

// Arrays as in `signature_kernel.cu`; carry (blocks, warps + 1, n2, order + 2).
template <typename T, int SOURCE, int C, int N, bool GRIDS>
__global__ void __launch_bounds__(256, 1) signature_kernel_polynomial(
    const T* path1, const T* path2, T* out, T* exponent, T* carry, const double* parameters, long long first_pair,
    long long n_pairs, long long batch1, long long batch2, long long layout, long long n1, long long n2, long long d,
    long long order, long long kind, double p0, double p1, double p2) {
    const Problem p = make_problem<T, 1>(n1, n2, d, 0, 0);
    if (parameters) p0 = parameters[0], p1 = parameters[1], p2 = parameters[2];
    const StaticKernel<T> s = make_static_kernel<T>((int)kind, p0, p1, p2);
    const T factor = (T)(SOURCE == FROM_INCREMENTS ? p0 * p0 : 1);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    const Room<T> room = make_room<T, SOURCE, C>(p, p.band_cells + 1, warp);
    Constants<T, N> constants;
    make_constants((int)order, constants);
    const long long carry_size = n2 * (order + 2);
    T* carries = carry + blockIdx.x * (n_warps + 1) * carry_size;
    const int period = larger(p.n_tiles, 2 * n_warps), n_rounds = (p.n_bands - 1) / n_warps + 1;
    const int n_phases = (n_rounds - 1) * period + p.n_tiles + 2 * (n_warps - 1);

    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        long long a, b;
        pair_of((int)layout, first_pair + pair, batch1, batch2, &a, &b);
        const T* x = path1 + a * (SOURCE == FROM_CELLS ? n1 * n2 : (n1 + 1) * d);
        const T* y = SOURCE == FROM_CELLS ? nullptr : path2 + b * (n2 + 1) * d;
        const long long place = layout == PAIRWISE ? a : a * batch2 + b, mirrored = b * batch2 + a;
        const bool mirrors = layout == SYMMETRIC && a != b;
        Grid<T> grid = {nullptr, nullptr};
        if constexpr (GRIDS) {
            grid.nodes = out + place * (n1 + 1) * (n2 + 1);
            if (mirrors) grid.mirrored = out + mirrored * (n1 + 1) * (n2 + 1);
            first_nodes(p, grid);
        }
        Edges<T, N> state;
        T value = 1;
        do {
            for (int phase = 0; phase < n_phases; phase++) {
                __syncthreads();
                const int mine = phase - 2 * warp, round = mine / period, tile = mine - round * period;
                const int band = round * n_warps + warp;
                if (mine < 0 || tile >= p.n_tiles || band >= p.n_bands) continue;
                const int row = band * 32 + lane;
                if (tile == 0) {
                    set_edge(constants, (T)1, state.A);
                    set_edge(constants, (T)0, state.B);
                    state.exponent = state.exponent_of_B = 0;
                }
                fill_on<T, SOURCE, C>(p, s, x, y, factor, band * 32, tile, lane, room);
                const T* above = band > 0 ? carries + (band - 1) % (n_warps + 1) * carry_size : nullptr;
                value = pass_tile<T, N, false>(p, constants, state, room.window, above,
                                               carries + band % (n_warps + 1) * carry_size, row, tile, lane, value,
                                               nullptr, nullptr, grid.nodes, grid.mirrored);
                if (!GRIDS && tile == p.n_tiles - 1 && row == p.n1 - 1) {
                    value = known(value);
                    if (state.trial.second) {
                        if (agree(value, state.exponent, out[place], (int)exponent[place])) continue;
                        value = Range<T>::unknown();
                    }
                    out[place] = value;
                    exponent[place] = (T)state.exponent;
                    if (mirrors) {
                        out[mirrored] = value;
                        exponent[mirrored] = (T)state.exponent;
                    }
                }
            }
        } while (state.trial.again());
    }
}
