// Matrix products in register tiles. b is packed in panels of two vectors of columns; a tile is up to `kTileRows` rows
// by one panel, and stays in registers over the whole of k. E is what operands are stored as, see operands.hpp.
#pragma once

#include "kernels/packing.hpp"

namespace rnncore::RNNCORE_ISA {

// Element (row, k) of a: rows at a stride (activations), or packed by k (the transposed product).
template <class E>
struct StridedRows {
    const E* a;
    Index lda;
    template <int M>
    [[gnu::always_inline]] E at(int row, Index k) const {
        return a[row * lda + k];
    }
};

template <class E>
struct PackedRows {
    const E* a;
    template <int M>
    [[gnu::always_inline]] E at(int row, Index k) const {
        return a[k * M + row];
    }
};

// acc[M][V] += a[M, k] b[k, V vectors], where `panels` panels of `b` stand `stride` elements apart
template <class E, int M, int P, int V, class Rows>
[[gnu::always_inline]] inline void multiply_tile(const Rows& a, const E* b, Index stride, Index k,
                                                 Vec<Sum<E>> (&acc)[M][P * V]) {
    for (Index i = 0; i < k; ++i) {
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
    }
}

// One register tile of a product: M rows by P panels of V vectors, all of them full.
template <class E>
struct TileTask {
    const E* a;
    Index lda;
    const E* b;  // the first panel, at the task's first k
    Index panel_stride;
    const Sum<E>* bias;
    Sum<E>* c;
    Index ldc;
    Index k;
    Init init;
};

template <class E, int M, int P, int V>
[[gnu::noinline]] void product_tile(const TileTask<E>& t) {
    using T = Sum<E>;
    Vec<T> acc[M][P * V];
    const T* start = t.init == Init::bias ? t.bias : t.c;
    const Index stride = t.init == Init::bias ? 0 : t.ldc;
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v)
            acc[m][v] = t.init == Init::zero ? Vec<T>{} : load(start + m * stride + v * kLanes<T>);
    }
    multiply_tile<E, M, P, V>(StridedRows<E>{t.a, t.lda}, t.b, t.panel_stride, t.k, acc);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v) store(t.c + m * t.ldc + v * kLanes<T>, acc[m][v]);
    }
}

template <class E>
using TileFunction = void (*)(const TileTask<E>&);

template <class E, int P, int V, int... M>
struct TileFunctions {
    static constexpr TileFunction<E> by_rows[] = {product_tile<E, M, P, V>...};
};

template <class E, int V>
[[gnu::always_inline]] inline TileFunction<E> one_panel(Index rows) {
    if constexpr (kTileRows == 12)
        return TileFunctions<E, 1, V, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::by_rows[rows - 1];
    else
        return TileFunctions<E, 1, V, 1, 2, 3, 4, 5, 6>::by_rows[rows - 1];
}

// Few rows leave accumulators free; several panels at once then hide the latency of the products.
inline constexpr int kGroupedRows = 3;
[[gnu::always_inline]] inline Index grouped_panels(Index rows) { return rows == 1 ? 4 : rows <= kGroupedRows ? 2 : 1; }

template <class E>
[[gnu::always_inline]] inline TileFunction<E> several_panels(Index rows) {
    return rows == 1   ? product_tile<E, 1, 4, kPanelVectors>
           : rows == 2 ? product_tile<E, 2, 2, kPanelVectors>
                       : product_tile<E, 3, 2, kPanelVectors>;
}

// The rows of a block in tiles of nearly equal height: 20 rows are 10 + 10, not 12 + 8.
template <class T, class E, class Function>
[[gnu::always_inline]] inline void for_row_tiles(const RowBlock<T, E>& block, const Product<T, E>& p,
                                                 const Function& run) {
    const Index tiles = (block.rows + kTileRows - 1) / kTileRows;
    Index row = 0;
    for (Index i = 0; i < tiles; ++i) {
        const Index next = block.rows * (i + 1) / tiles;
        run(next - row, block.a + row * p.lda, block.c + row * p.ldc);
        row = next;
    }
}

template <class T>
void copy_rows(const T* from, Index ld_from, T* to, Index ld_to, Index rows, Index columns) {
    for (Index r = 0; r < rows; ++r) {
        for (Index j = 0; j < columns; ++j) to[r * ld_to + j] = from[r * ld_from + j];
    }
}

// The last columns of c, fewer than the vectors hold: computed in a full tile of its own and copied.
template <class E>
[[gnu::noinline]] void edge_tile(TileFunction<E> run, TileTask<E> t, Index rows, Index columns) {
    using T = Sum<E>;
    T tile[kTileRows * kPanel<T>];
    T bias[kPanel<T>] = {};
    T* const c = t.c;
    if (t.init == Init::keep) copy_rows<T>(c, t.ldc, tile, kPanel<T>, rows, columns);
    if (t.init == Init::bias) copy_rows<T>(t.bias, 0, bias, 0, 1, columns);
    const Index ldc = t.ldc;
    t.c = tile;
    t.ldc = kPanel<T>;
    t.bias = bias;
    run(t);
    copy_rows<T>(tile, kPanel<T>, c, ldc, rows, columns);
}

// Columns of c that are computed together: one panel, or several where there are few rows.
struct PanelGroup {
    Index first, columns;
    bool several;
};

template <class T, class E, class Function>
[[gnu::always_inline]] inline void for_panels(const Product<T, E>& p, const Function& run) {
    const bool single = p.block_count == 1 && p.blocks[0].rows <= kGroupedRows;
    const Index group = single ? grouped_panels(p.blocks[0].rows) : 1;
    for (Index first = 0; first < p.n;) {
        const Index rest = p.n - first;
        const bool several = group > 1 && rest >= group * kPanel<E>;
        const Index columns = several ? group * kPanel<E> : rest < kPanel<E> ? rest : kPanel<E>;
        run(PanelGroup{first, columns, several});
        first += columns;
    }
}

// Elements [first, first + count) of k, which stand at a[.., in_rows] of every row.
struct Steps {
    Index first, count, in_rows;
};

template <class T, class E>
[[gnu::always_inline]] inline void multiply_panels(const Product<T, E>& p, const PanelGroup& panels,
                                                   const Steps& steps) {
    const bool narrow = panels.columns <= kLanes<E>;
    const Index width = narrow ? kLanes<E> : kPanel<E>;
    for (Index i = 0; i < p.block_count; ++i) {
        for_row_tiles(p.blocks[i], p, [&](Index rows, const E* a, T* c) {
            const TileTask<E> task{a + steps.in_rows,
                                   p.lda,
                                   p.packed + panels.first * p.k + steps.first * width,
                                   kPanel<E> * p.k,
                                   p.init == Init::bias ? p.bias + panels.first : nullptr,
                                   c + panels.first,
                                   p.ldc,
                                   steps.count,
                                   steps.first == 0 ? p.init : Init::keep};
            const TileFunction<E> run = panels.several ? several_panels<E>(rows)
                                        : narrow       ? one_panel<E, 1>(rows)
                                                       : one_panel<E, kPanelVectors>(rows);
            if (panels.columns < width)
                edge_tile<E>(run, task, rows, panels.columns);
            else
                run(task);
        });
    }
}

// Calls run(first, count) for k in depths at which a panel stays in the cache; a k of 0 is one depth, which leaves the
// initial values.
template <class E, class Function>
[[gnu::always_inline]] inline void for_depths(Index k, const Function& run) {
    for (Index first = 0; first == 0 || first < k; first += kDepth<E>)
        run(first, k - first < kDepth<E> ? k - first : kDepth<E>);
}

template <class T>
void product(const Product<T>& p) {
    for_panels(p, [&](const PanelGroup& panels) {
        for_depths<T>(p.k, [&](Index first, Index count) { multiply_panels(p, panels, {first, count, first}); });
    });
}

// The transposed product packs b by panels and a by tiles, a block of k at a time.
inline constexpr Index kOuterColumns = 512;

// a panel set of b, a tile of a, and the vector by which packing may overshoot it
template <class E>
inline constexpr Index kOuterScratch = kDepth<E> * (kOuterColumns + kTileRows) + kLanes<E>;

template <class E>
struct OuterTile {
    const E* a;  // [k, M] packed
    const E* b;  // [k, V vectors] packed
    Sum<E>* c;
    Index ldc, columns, k;
};

template <class E, int M, int V>
[[gnu::noinline]] void outer_tile(const OuterTile<E>& t) {
    using T = Sum<E>;
    Vec<T> acc[M][V] = {};
    multiply_tile<E, M, 1, V>(PackedRows<E>{t.a}, t.b, 0, t.k, acc);
    for (int m = 0; m < M; ++m) {
        T* row = t.c + m * t.ldc;
        for (int v = 0; v < V; ++v) {
            const Index rest = t.columns - v * kLanes<T>;
            T* at = row + v * kLanes<T>;
            if (rest >= kLanes<T>)
                store(at, load(at) + acc[m][v]);
            else if (rest > 0)
                store_part(at, load_part(at, static_cast<int>(rest)) + acc[m][v], static_cast<int>(rest));
        }
    }
}

template <class E, int V, int... M>
struct OuterFunctions {
    static constexpr void (*by_rows[])(const OuterTile<E>&) = {outer_tile<E, M, V>...};
};

template <class E, int V>
[[gnu::always_inline]] inline auto outer_function(Index rows) {
    if constexpr (kTileRows == 12)
        return OuterFunctions<E, V, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::by_rows[rows - 1];
    else
        return OuterFunctions<E, V, 1, 2, 3, 4, 5, 6>::by_rows[rows - 1];
}

template <class F>
void outer_product(const OuterProduct<typename F::Value>& p) {
    using E = typename F::Element;
    constexpr Index kSteps = kDepth<E> * F::steps;
    E* const panels = reinterpret_cast<E*>(p.scratch);
    E* const tile = panels + kDepth<E> * kOuterColumns;
    for (Index first = 0; first < p.n; first += kOuterColumns) {
        const Index width = p.n - first < kOuterColumns ? p.n - first : kOuterColumns;
        for (Index k0 = 0; k0 < p.k; k0 += kSteps) {
            const Index k = p.k - k0 < kSteps ? p.k - k0 : kSteps;
            const Index depth = elements<F>(k);
            pack_rows<F>(p.b + k0, first, k, width, panels);
            for (Index row = 0; row < p.m; row += kTileRows) {
                const Index rows = p.m - row < kTileRows ? p.m - row : kTileRows;
                if (rows == kTileRows)
                    pack_tile<F>(p.a + k0 * p.lda + row, p.lda, k, static_cast<Index>(kTileRows), tile);
                else
                    pack_tile<F>(p.a + k0 * p.lda + row, p.lda, k, rows, tile);
                for (Index column = 0; column < width; column += kPanel<E>) {
                    const Index columns = width - column < kPanel<E> ? width - column : kPanel<E>;
                    const OuterTile<E> task{
                        tile, panels + column * depth, p.c + row * p.ldc + first + column, p.ldc, columns, depth};
                    (columns > kLanes<E> ? outer_function<E, kPanelVectors>(rows) : outer_function<E, 1>(rows))(task);
                }
            }
        }
    }
}

// A sum over rows is one chain per column, whatever columns stand beside it.
template <class T>
void add_column_sums(const T* a, Index rows, Index columns, Index lda, T* sums) {
    for_lanes<T>(columns, [&](Index i, auto lanes) {
        Vec<T> sum{};
        for (Index r = 0; r < rows; ++r) sum += lanes.load(a + r * lda + i);
        lanes.store(sums + i, lanes.load(sums + i) + sum);
    });
}

}  // namespace rnncore::RNNCORE_ISA
