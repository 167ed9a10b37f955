// Sums over the threads of a block, of several rows each: which thread takes what.
#pragma once
#include "common.cuh"

// How a block's threads share `columns` numbers of each of `places` rows: thread by thread along a row, several rows at
// a time if they are short. A thread keeps its column as it goes from row to row.
struct Sharing {
    int column, column_step, place, place_step;

    __device__ __forceinline__ Sharing(int columns, int thread, int n_threads) {
        const bool is_short = columns <= n_threads;
        column = is_short ? thread % columns : thread;
        column_step = is_short ? columns : n_threads;
        place = is_short ? thread / columns : 0;
        place_step = is_short ? n_threads / columns : 1;
    }
};
