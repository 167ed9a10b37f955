// Finite differences for the Goursat problem: one warp, one band of rows, 32 steps at a time.
//
// With q the coefficient of a cell (its double increment over 2^(order1 + order2) sqrt(12)), g = q^2, h = sqrt(3) q + g
// and differences D = K01 - K00 along a row,
//
//     D' = D + g K00 + h K10 + h K01,    K11 = K10 + D'.
//
// In step `tau` lane l takes its R rows over column tau - l. Only D goes from lane to lane: the row above is built
// again from its differences, by the same sums and to the same bits. Outside of the grid cells are 0, so D is 0 and
// values stay what they are: lanes run before their first column and behind their last one without a condition.
//
// Numbers are true * 2^-exponent, with an exponent for each lane: along a front of 32 columns the kernel can differ by
// more than the range of T. What leaves a band goes to memory, and so does its exponent every LOOK steps; the warp that
// takes the next band reads it. Number `step` of such a row is that of column step - 31.
#pragma once
#include "signature_kernel_cells.cuh"

template <typename T, int R>
struct Lane {
    T k[R + 1];  // values: of the row above the lane's rows, and of its rows, in the last column
    T D;         // difference of the last row in the last column
    int exponent;
    T from_above;  // 2^(exponent of the lane above - this one's)
    Trial trial;
};

template <typename T, int R>
__device__ __forceinline__ void first_column(Lane<T, R>& s) {
#pragma unroll
    for (int r = 0; r <= R; r++) s.k[r] = 1;
    s.D = 0;
    s.exponent = 0;
    s.from_above = 1;
}

// What the row above a band gives to 32 steps: its differences, one in each lane, and their exponents.
template <typename T>
struct Carry {
    T D;
    int exponent;
};

template <typename T, int R>
__device__ __forceinline__ Carry<T> load_carry(const Problem& p, const T* row, int tile, int lane) {
    Carry<T> c = {0, 0};
    if (row) {
        const int index = 32 * tile + lane + 31;
        c.D = row[index];
        c.exponent = (int)row[p.carry + index / Pace<T, R>::LOOK];
    }
    return c;
}

// Numbers of a carried row that no lane writes: columns behind the last, read by lanes that are done.
template <typename T, int R>
__device__ __forceinline__ void clear_carry(const Problem& p, T* row, int lane) {
    constexpr int LOOK = Pace<T, R>::LOOK;
    row[p.carry - 32 + lane] = 0;
    if (lane < 32 / LOOK) row[p.carry + (p.carry - 32) / LOOK + lane] = 0;
}

// The carried differences as the first lane, with its exponent, needs them; and the number of this lane if their
// exponent is above that one, else -1.
template <typename T>
struct Carried {
    T D;
    int above;

    __device__ __forceinline__ Carried(const Carry<T>& carry, int exponent) {
        const int difference = carry.exponent - __shfl_sync(ALL_LANES, exponent, 0);
        D = carry.D * power_of_two<T>(difference);
        above = difference > 0 ? (int)threadIdx.x & 31 : -1;
    }
};

// Before the LOOK steps from `step` on: scale down what has grown, and give lanes the exponents that they will need;
// whether there was anything to do. Nearly always there is not, and that is found in few instructions.
template <typename T, int R>
__device__ __forceinline__ bool rescale(Lane<T, R>& s, const Carry<T>& carry, int step, int lane, Carried<T>& carried) {
    const int last = (step + Pace<T, R>::LOOK - 1) & 31;
    T most = magnitude(s.k[0]);
#pragma unroll
    for (int r = 1; r <= R; r++) most = larger_number(most, magnitude(s.k[r]));
    if (!__any_sync(ALL_LANES, most > Range<T>::bound() || carried.above == last)) return false;
    int shift = most > Range<T>::bound() && most <= Range<T>::most() ? exponent_of(most) : 0;
    const int above = __shfl_sync(ALL_LANES, carry.exponent, last);
    if (lane == 0) shift = larger(shift, above - s.exponent);
    int exponent = s.exponent + shift;
    for (int k = 1; k < 32; k *= 2) {
        const int other = __shfl_up_sync(ALL_LANES, exponent, k) - k * Pace<T, R>::MARGIN;
        if (lane >= k) exponent = larger(exponent, other);
    }
    const T factor = power_of_two<T>(s.exponent - exponent);
#pragma unroll
    for (int r = 0; r <= R; r++) s.k[r] = scaled_down(s.k[r], factor, s.trial);
    s.D *= factor;
    s.exponent = exponent;
    s.from_above = power_of_two<T>(__shfl_up_sync(ALL_LANES, exponent, 1) - exponent);
    carried = Carried<T>(carry, exponent);
    return true;
}

// The exponents of the last lane at the looks of a tile, one look a lane: what the band below needs to know.
template <typename T, int R>
struct LastExponents {
    int mine;

    __device__ __forceinline__ explicit LastExponents(int exponent) : mine(__shfl_sync(ALL_LANES, exponent, 31)) {}

    // From the look before step `first` of the tile on.
    __device__ __forceinline__ void changed(int exponent, int first, int lane) {
        const int last = __shfl_sync(ALL_LANES, exponent, 31);
        if (lane >= first / Pace<T, R>::LOOK) mine = last;
    }

    __device__ __forceinline__ void store(const Problem& p, T* row, int tile, int lane) const {
        constexpr int LOOKS = 32 / Pace<T, R>::LOOK;
        if (lane < LOOKS) row[p.carry + LOOKS * tile + lane] = (T)mine;
    }
};

// One column of a lane's rows, whose cells have the coefficients `cells`, 2^SHIFT rows each. Gives each row's slope,
// the derivative of its new value by the coefficient but for a factor, to `slopes` if it is wanted.
template <typename T, int R, int SHIFT, bool SLOPES>
__device__ __forceinline__ void advance(Lane<T, R>& s, T D, const T* cells, T* slopes) {
    T corner = s.k[0];
    s.k[0] += D;
#pragma unroll
    for (int r = 0; r < R; r++) {
        const T q = cells[r >> SHIFT], g = q * q, h = g + q * (T)1.7320508075688772;
        const T left = s.k[r + 1];
        // The value above comes last: it is the one that was computed just now.
        D = ((D + corner * g) + left * h) + s.k[r] * h;
        if constexpr (SLOPES) {
            const T sum = left + s.k[r];
            slopes[r] = sum + q * (T)1.1547005383792517 * (sum + corner);
        }
        s.k[r + 1] = left + D;
        corner = left;
    }
    s.D = D;
}

// The last value of the grid, from the lane that has it, to the pair's places in the result.
template <typename T, int R>
__device__ __forceinline__ void store_result(const Problem& p, const Lane<T, R>& s, int row, int layout, long long a,
                                             long long b, long long batch2, T* out, T* exponent) {
#pragma unroll
    for (int r = 0; r < R; r++) {
        if (row + r != p.rows - 1) continue;
        const long long place = layout == PAIRWISE ? a : a * batch2 + b;
        T value = known(s.k[r + 1]);
        if (s.trial.second) {
            if (agree(value, s.exponent, out[place], (int)exponent[place])) continue;
            value = Range<T>::unknown();
        }
        out[place] = value;
        exponent[place] = (T)s.exponent;
        if (layout == SYMMETRIC) {
            out[b * batch2 + a] = value;
            exponent[b * batch2 + a] = (T)s.exponent;
        }
    }
}

// Where the window has the coefficients of a lane's rows.
template <int R>
__device__ __forceinline__ void window_rows(const Problem& p, int lane, int* row_offset) {
#pragma unroll
    for (int r = 0; r < R; r++) row_offset[r] = smaller((lane * R + r) >> p.order1, p.band_cells - 1) * STRIDE;
}

template <typename T, int R>
__device__ __forceinline__ void load_cells(const T* column, const int* row_offset, T* cells) {
#pragma unroll
    for (int r = 0; r < R; r++) cells[r] = column[row_offset[r]];
}

template <typename T, int R>
__device__ __forceinline__ void store_nodes(const Problem& p, const Lane<T, R>& s, int row, int column,
                                            const Grid<T>& grid) {
    if (column < 0 || column >= p.columns) return;
#pragma unroll
    for (int r = 0; r < R; r++) {
        if (row + r >= p.rows) return;
        T v = scaled(known(s.k[r + 1]), s.exponent);
        T* const node = grid.nodes + (long long)(row + r + 1) * (p.columns + 1) + column + 1;
        if (s.trial.second) v = agree(v, 0, *node, 0) ? *node : Range<T>::unknown();
        *node = v;
        if (grid.mirrored) grid.mirrored[(long long)(column + 1) * (p.rows + 1) + row + r + 1] = v;
    }
}

// 32 steps of one band, of rows `row` ... of this lane.
template <typename T, int R, bool GRIDS>
__device__ void sweep(const Problem& p, Lane<T, R>& s, const T* window, const Carry<T>& carry, T* carry_out, int row,
                      int tile, int lane, const Grid<T>& grid) {
    constexpr int LOOK = Pace<T, R>::LOOK;
    int row_offset[R];
    window_rows<R>(p, lane, row_offset);
    Carried<T> carried(carry, s.exponent);
    LastExponents<T, R> exponents(s.exponent);
    for (int first = 32 * tile; first < 32 * tile + 32; first += LOOK) {
        if (rescale(s, carry, first, lane, carried)) exponents.changed(s.exponent, first & 31, lane);
#pragma unroll
        for (int i = 0; i < LOOK; i++) {
            const int step = first + i, column = step - lane;
            const T start = __shfl_sync(ALL_LANES, carried.D, step & 31);
            T D = __shfl_up_sync(ALL_LANES, s.D, 1) * s.from_above;
            if (lane == 0) D = start;
            T cells[R];
            load_cells<T, R>(window + ((column >> p.order2) & (WINDOW - 1)), row_offset, cells);
            advance<T, R, 0, false>(s, D, cells, nullptr);
            if (lane == 31) carry_out[step] = s.D;
            if constexpr (GRIDS) store_nodes<T, R>(p, s, row, column, grid);
        }
    }
    exponents.store(p, carry_out, tile, lane);
}
