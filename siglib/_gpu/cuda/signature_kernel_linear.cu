// Signature kernels of the linear kernel for few channels: `signature_kernel.cu` with the coefficients in registers.
//
// A lane keeps the increments of its R rows in registers for a whole band, and takes D letters of its column's
// increment from shared memory in each step: D loads and two shuffles for R (D + 6) operations. Rows of one cell share
// products. Everything else is as there: bands, tiles, carries, exponents, and the order of all sums but those over
// letters.
#include "signature_kernel_linear.cuh"

// Where a lane needs more than 128 registers.
template <typename T, int D, int R>
constexpr int MOST_THREADS = R > 2 || R * D * sizeof(T) > 128 ? 256 : 512;

// Arrays as in `signature_kernel.cu`; d is at most D. COARSE: order2 is above 0.
template <typename T, int D, int R, int SHIFT, bool COARSE>
__global__ void __launch_bounds__(MOST_THREADS<T, D, R>, 1) signature_kernel_linear(
    const T* path1, const T* path2, T* out, T* exponent, T* carry, const double* parameters, long long first_pair,
    long long n_pairs, long long batch1, long long batch2, long long layout, long long n1, long long n2, long long d,
    long long order1, long long order2, double scale, double factor) {
    constexpr int LOOK = Pace<T, R>::LOOK;
    const Problem p = make_problem<T, R>(n1, n2, d, order1, order2);
    if (parameters) scale = parameters[0];
    const T cell_factor = (T)(factor * scale * scale);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    T* const window = dyn_smem<T>() + warp * (SLOT<T, D> * SLOTS + 32);
    const long long carry_size = p.carry + p.carry / LOOK;
    T* const carries = carry + blockIdx.x * (n_warps + 1) * carry_size;
    const int period = larger(p.n_tiles, 2 * n_warps), n_rounds = (p.n_bands - 1) / n_warps + 1;
    const int n_phases = (n_rounds - 1) * period + p.n_tiles + 2 * (n_warps - 1);
    const int sub_tiles = (1 << smaller(p.order2, 30)) - 1;
    for (int i = warp; i <= n_warps; i += n_warps) clear_carry<T, R>(p, carries + i * carry_size, lane);

    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        long long a, b;
        pair_of((int)layout, first_pair + pair, batch1, batch2, &a, &b);
        Lane<T, R> state;
        T x[R >> SHIFT][D] = {};
        do {
            first_column(state);
            for (int phase = 0; phase < n_phases; phase++) {
                __syncthreads();
                const int mine = phase - 2 * warp, round = mine / period, tile = mine - round * period;
                const int band = round * n_warps + warp, row = (band * 32 + lane) * R;
                if (mine < 0 || tile >= p.n_tiles || band >= p.n_bands) continue;
                if (tile == 0) {
                    first_column(state);
                    load_rows<T, D, R, SHIFT>(p, path1 + a * (n1 + 1) * d, cell_factor, row, x);
                }
                if ((tile & sub_tiles) == 0)
                    for (int i = tile == 0 ? -1 : tile >> p.order2; i <= tile >> p.order2; i++)
                        load_columns<T, D>(p, path2 + b * (n2 + 1) * d, i, lane, window);
                const T* above = band > 0 ? carries + (band - 1) % (n_warps + 1) * carry_size : nullptr;
                T* below = carries + band % (n_warps + 1) * carry_size;
                const Carry<T> carried = load_carry<T, R>(p, above, tile, lane);
                sweep_linear<T, D, R, SHIFT, COARSE>(p, state, x, window, carried, below, tile, lane, (T*)nullptr,
                                                     (T*)nullptr, window + SLOT<T, D> * SLOTS);
                if (band == p.n_bands - 1 && tile == p.n_tiles - 1)
                    store_result(p, state, row, (int)layout, a, b, batch2, out, exponent);
            }
        } while (state.trial.again());
    }
}
