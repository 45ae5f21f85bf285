// Register tiles of matrix products. b is packed in panels of two vectors of columns; a tile is up to `kTileRows` rows
// by one panel, and stays in registers over the whole of k. E is what operands are stored as, see operands.hpp.
#pragma once

#include "kernels/packing.hpp"

namespace rnncore::RNNCORE_ISA {

// Element (row, k) of a: rows at a stride (activations), or packed by k (the transposed product).
//
// A loop takes `unroll` steps of k in a round. With narrow vectors it is the number of instructions that counts where
// the core is shared with another thread: 12 multiply-adds need 8 loads, and counting takes 3 more. Measured.
template <class E>
struct StridedRows {
    static constexpr int unroll = kRegisters == 32 ? 1 : 2;
    const E* a;
    Index lda;
    template <int M>
    [[gnu::always_inline]] E at(int row, Index k) const {
        return a[row * lda + k];
    }
};

template <class E>
struct PackedRows {
    static constexpr int unroll = kRegisters == 32 ? 1 : 3;
    const E* a;
    template <int M>
    [[gnu::always_inline]] E at(int row, Index k) const {
        return a[k * M + row];
    }
};

// acc[M][P * V] += a[M, k] b[k, P panels of V vectors], where the panels stand `stride` elements apart. k is 1 at
// least: where a loop that takes one step in a round may be left out, the compiler keeps the sums before and after it
// in different registers, of which there are too few.
template <class E, int M, int P, int V, class Rows>
[[gnu::always_inline]] inline void multiply_tile(const Rows& a, const E* b, Index stride, Index k,
                                                 Vec<Sum<E>> (&acc)[M][P * V]) {
    const auto step = [&](Index i) RNNCORE_INLINED {
        Vec<E> column[P * V];
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) column[p * V + v] = load(b + p * stride + (i * V + v) * kLanes<E>);
        }
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) {
            const E element = a.template at<M>(m, i);
#pragma GCC unroll 16
            for (int v = 0; v < P * V; ++v) acc[m][v] = multiply_add(element, column[v], acc[m][v]);
        }
    };
    if (k < 1) __builtin_unreachable();
    Index i = 0;
    for (; i + Rows::unroll <= k; i += Rows::unroll) {
#pragma GCC unroll 8
        for (int u = 0; u < Rows::unroll; ++u) step(i + u);
    }
    if constexpr (Rows::unroll > 1) {
        for (; i < k; ++i) step(i);
    }
}

// One register tile of a product: M rows by P panels of V vectors. Where it is `partial`, the last vector has fewer
// columns.
template <class E>
struct TileTask {
    const E* a;
    Index lda;
    const E* b;  // the first panel, at the task's first k
    Index panel_stride;
    const Sum<E>* start;  // what the sums start from: may be c, or one row for all at a stride of 0
    Index ld_start;
    Sum<E>* c;
    Index ldc;
    const Sum<E>* next_c;  // of the tile that follows: fetched meanwhile
    const E* next_b;       // where b is far away: lines to fetch meanwhile,
    Index fetched;         // the number of lines in kFetchedSteps steps of k
    Index k;
    int last_columns;  // of the last vector
};

// Fetches the lines of a tile of c, which may be in an outer cache, while another tile is computed.
template <class T, int M, int V>
[[gnu::always_inline]] inline void fetch_tile(const T* c, Index ldc) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int byte = 0; byte < V * kVectorBytes; byte += kLineBytes)
            __builtin_prefetch(reinterpret_cast<const char*>(c + m * ldc) + byte, 1);
    }
}

template <class T, bool partial, int V>
[[gnu::always_inline]] inline Vec<T> load_columns(const T* row, int v, int last) {
    return partial && v == V - 1 ? load_part(row + v * kLanes<T>, last) : load(row + v * kLanes<T>);
}

template <class T, bool partial, int V>
[[gnu::always_inline]] inline void store_columns(T* row, int v, int last, Vec<T> value) {
    if (partial && v == V - 1)
        store_part(row + v * kLanes<T>, value, last);
    else
        store(row + v * kLanes<T>, value);
}

// Enough of a tile for lines that come from beyond the L2 cache not to wait for each other.
inline constexpr Index kFetchedSteps = 8;

// The task is copied, here and below: the compiler then knows that no store into c changes it.
template <class E, bool partial, int M, int P, int V, bool far = false>
[[gnu::noinline]] void product_tile(const TileTask<E>& task) {
    using T = Sum<E>;
    const TileTask<E> t = task;
    Vec<T> acc[M][P * V];
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v)
            acc[m][v] = load_columns<T, partial, P * V>(t.start + m * t.ld_start, v, t.last_columns);
    }
    fetch_tile<T, M, P * V>(t.next_c, t.ldc);
    if constexpr (far) {
        const char* next = reinterpret_cast<const char*>(t.next_b);
        for (Index k = 0; k < t.k; k += kFetchedSteps) {
            for (Index i = 0; i < t.fetched; ++i, next += kLineBytes) __builtin_prefetch(next, 0, 2);
            const Index steps = t.k - k < kFetchedSteps ? t.k - k : kFetchedSteps;
            multiply_tile<E, M, P, V>(StridedRows<E>{t.a + k, t.lda}, t.b + k * V * kLanes<E>, 0, steps, acc);
        }
    } else {
        multiply_tile<E, M, P, V>(StridedRows<E>{t.a, t.lda}, t.b, t.panel_stride, t.k, acc);
    }
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v) store_columns<T, partial, P * V>(t.c + m * t.ldc, v, t.last_columns, acc[m][v]);
    }
}

// One register tile of a transposed product, whose sum is added to c.
template <class E>
struct OuterTile {
    const E* a;  // [k, M] packed
    const E* b;  // [k, V vectors] packed
    Sum<E>* c;
    Index ldc;
    Index k;
    int last_columns;
};

template <class E, bool partial, int M, int V>
[[gnu::noinline]] void outer_tile(const OuterTile<E>& task) {
    using T = Sum<E>;
    const OuterTile<E> t = task;
    Vec<T> acc[M][V];
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) acc[m][v] = Vec<T>{};
    }
    fetch_tile<T, M, V>(t.c, t.ldc);
    multiply_tile<E, M, 1, V>(PackedRows<E>{t.a}, t.b, 0, t.k, acc);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
        T* const row = t.c + m * t.ldc;
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
            const Vec<T> before = load_columns<T, partial, V>(row, v, t.last_columns);
            store_columns<T, partial, V>(row, v, t.last_columns, before + acc[m][v]);
        }
    }
}

template <class E>
using ProductTile = void (*)(const TileTask<E>&);

// The tiles of one panel, by rows - 1.
template <class E, bool partial, int V, int... M>
struct TilesOfRows {
    static constexpr ProductTile<E> far[] = {product_tile<E, partial, M, 1, V, !partial>...};  // for b far away
    static constexpr ProductTile<E> product[] = {product_tile<E, partial, M, 1, V>...};
    static constexpr void (*outer[])(const OuterTile<E>&) = {outer_tile<E, partial, M, V>...};
};
template <class E, bool partial, int V, int rows = kTileRows>
struct Tiles;
template <class E, bool partial, int V>
struct Tiles<E, partial, V, 6> : TilesOfRows<E, partial, V, 1, 2, 3, 4, 5, 6> {};
template <class E, bool partial, int V>
struct Tiles<E, partial, V, 12> : TilesOfRows<E, partial, V, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12> {};

// Calls run(tiles) with the tiles for a panel of `columns` columns.
template <class E, class Run>
[[gnu::always_inline]] inline void with_tiles(Index columns, const Run& run) {
    if (columns == kPanel<E>)
        run(Tiles<E, false, kPanelVectors>{});
    else if (columns > kLanes<E>)
        run(Tiles<E, true, kPanelVectors>{});
    else
        run(Tiles<E, true, 1>{});
}

template <class E>
[[gnu::always_inline]] inline int columns_of_last_vector(Index columns) {
    return static_cast<int>((columns - 1) % kLanes<E> + 1);
}

// With few rows there are free accumulators; several panels at once then hide the latency of the products.
inline constexpr int kGroupedRows = 3;
[[gnu::always_inline]] inline Index grouped_panels(Index rows) { return rows == 1 ? 4 : rows <= kGroupedRows ? 2 : 1; }

template <class E>
[[gnu::always_inline]] inline ProductTile<E> several_panels(Index rows) {
    return rows == 1   ? product_tile<E, false, 1, 4, kPanelVectors>
           : rows == 2 ? product_tile<E, false, 2, 2, kPanelVectors>
                       : product_tile<E, false, 3, 2, kPanelVectors>;
}

}  // namespace rnncore::RNNCORE_ISA
