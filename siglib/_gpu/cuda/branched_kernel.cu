// Branched signature kernels of pairs of paths: values, their logarithms, and whole grids.
//
// A block takes one pair after the other. Its warps take the pair's bands of 32 rows in turn, each two tiles of 32
// steps behind the band above, with a barrier after every tile, as in `signature_kernel.cu`. Of the grid only the last
// row of each band is kept, until the next band has read it. Every cell is computed by the same operations whatever the
// number of warps.
#include "branched_kernel_sweep.cuh"

// path1 (batch1, n1 + 1, d), or the cells (batch1, n1, n2) if SOURCE is FROM_CELLS; path2 (batch2, n2 + 1, d). out: the
// kernels by place of the pair in the result, their logarithms if `log`, or with GRIDS the nodes of all grids. carry
// (blocks, warps + 1, N_CARRIED, depth, carry). states (blocks, warps, N_KEPT, depth, 32), if DEPTH is 0. parameters:
// those of the static kernel, if they are on the device, in place of p0, p1, p2. factor: of the cells.
template <typename T, int SOURCE, int C, int DEPTH, bool GRIDS>
__global__ void __launch_bounds__(512, 1) branched_kernel(const T* path1, const T* path2, T* out, T* carry, T* states,
                                                          const double* parameters, long long n_pairs, long long batch1,
                                                          long long batch2, long long layout, long long n1,
                                                          long long n2, long long d, long long order1, long long order2,
                                                          long long kind, long long depth, long long log, double p0,
                                                          double p1, double p2, double factor) {
    const Problem p = make_problem<T, 1>(n1, n2, d, order1, order2);
    if (parameters) p0 = parameters[0], p1 = parameters[1], p2 = parameters[2];
    const StaticKernel<T> kernel = make_static_kernel<T>((int)kind, p0, p1, p2);
    const T cell_factor = (T)(SOURCE == FROM_INCREMENTS ? factor * p0 * p0 : factor);
    const int lane = threadIdx.x & 31, warp = warp_number(), n_warps = blockDim.x >> 5;
    const Room<T> room = make_room<T, SOURCE, C>(p, p.band_cells + 1, warp);
    T* const carries = carry + blockIdx.x * (n_warps + 1) * (N_CARRIED * depth * p.carry);
    T* const memory = states + (blockIdx.x * (long long)n_warps + warp) * (N_KEPT * depth * 32);
    __shared__ T last;
    Depths<T, DEPTH, N_KEPT> s((int)depth, memory, lane);
    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        long long a, b;
        pair_of((int)layout, pair, batch1, batch2, &a, &b);
        const T* x = path1 + a * (SOURCE == FROM_CELLS ? n1 * n2 : (n1 + 1) * d);
        const T* y = SOURCE == FROM_CELLS ? nullptr : path2 + b * (n2 + 1) * d;
        const long long place = layout == PAIRWISE ? a : a * batch2 + b;
        T* nodes = nullptr;
        if constexpr (GRIDS) {
            nodes = out + place * (p.rows + 1) * (p.columns + 1);
            first_nodes<T>(p, {nodes, nullptr});
        }
        sweep_pair<T, SOURCE, C, DEPTH>(p, kernel, x, y, cell_factor, s, room, carries, nodes, nullptr, &last);
        if (GRIDS || threadIdx.x > 0) continue;
        const T value = log ? last : exp_of(last);
        out[place] = value;
        if (layout == SYMMETRIC) out[b * batch2 + a] = value;
    }
}
