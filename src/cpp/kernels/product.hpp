// Matrix products in register tiles. b is packed in panels of two vectors of columns; a tile is up to `kTileRows` rows
// by one panel, and stays in registers over the whole of k.
#pragma once

#include "kernels/packing.hpp"

namespace rnncore::RNNCORE_ISA {

// Element (row, k) of a: rows at a stride (activations), or packed by k (the transposed product).
template <class T>
struct StridedRows {
    const T* a;
    Index lda;
    template <int M>
    [[gnu::always_inline]] T at(int row, Index k) const {
        return a[row * lda + k];
    }
};

template <class T>
struct PackedRows {
    const T* a;
    template <int M>
    [[gnu::always_inline]] T at(int row, Index k) const {
        return a[k * M + row];
    }
};

// acc[M][V] += a[M, k] b[k, V vectors], where `panels` panels of `b` stand `stride` elements apart
template <class T, int M, int P, int V, class Rows>
[[gnu::always_inline]] inline void multiply_tile(const Rows& a, const T* b, Index stride, Index k,
                                                 Vec<T> (&acc)[M][P * V]) {
    for (Index i = 0; i < k; ++i) {
        Vec<T> column[P * V];
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) column[p * V + v] = load(b + p * stride + (i * V + v) * kLanes<T>);
        }
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) {
            const Vec<T> element = splat(a.template at<M>(m, i));
#pragma GCC unroll 16
            for (int v = 0; v < P * V; ++v) acc[m][v] += element * column[v];
        }
    }
}

// One register tile of a product: M rows by P panels of V vectors, all of them full.
template <class T>
struct TileTask {
    const T* a;
    Index lda;
    const T* b;  // the first panel, at the task's first k
    Index panel_stride;
    const T* bias;
    T* c;
    Index ldc;
    Index k;
    Init init;
};

template <class T, int M, int P, int V>
[[gnu::noinline]] void product_tile(const TileTask<T>& t) {
    Vec<T> acc[M][P * V];
    const T* start = t.init == Init::bias ? t.bias : t.c;
    const Index stride = t.init == Init::bias ? 0 : t.ldc;
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v)
            acc[m][v] = t.init == Init::zero ? Vec<T>{} : load(start + m * stride + v * kLanes<T>);
    }
    multiply_tile<T, M, P, V>(StridedRows<T>{t.a, t.lda}, t.b, t.panel_stride, t.k, acc);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < P * V; ++v) store(t.c + m * t.ldc + v * kLanes<T>, acc[m][v]);
    }
}

template <class T>
using TileFunction = void (*)(const TileTask<T>&);

template <class T, int P, int V, int... M>
struct TileFunctions {
    static constexpr TileFunction<T> by_rows[] = {product_tile<T, M, P, V>...};
};

template <class T, int V>
[[gnu::always_inline]] inline TileFunction<T> one_panel(Index rows) {
    if constexpr (kTileRows == 12)
        return TileFunctions<T, 1, V, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::by_rows[rows - 1];
    else
        return TileFunctions<T, 1, V, 1, 2, 3, 4, 5, 6>::by_rows[rows - 1];
}

// Few rows leave accumulators free; several panels at once then hide the latency of the products.
inline constexpr int kGroupedRows = 3;
template <class T>
[[gnu::always_inline]] inline Index grouped_panels(Index rows) {
    return rows == 1 ? 4 : rows <= kGroupedRows ? 2 : 1;
}

template <class T>
[[gnu::always_inline]] inline TileFunction<T> several_panels(Index rows) {
    return rows == 1   ? product_tile<T, 1, 4, kPanelVectors>
           : rows == 2 ? product_tile<T, 2, 2, kPanelVectors>
                       : product_tile<T, 3, 2, kPanelVectors>;
}

// The rows of a block in tiles of nearly equal height: 20 rows are 10 + 10, not 12 + 8.
template <class T, class Function>
[[gnu::always_inline]] inline void for_row_tiles(const RowBlock<T>& block, const Product<T>& p, const Function& run) {
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
template <class T>
[[gnu::noinline]] void edge_tile(TileFunction<T> run, TileTask<T> t, Index rows, Index columns) {
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

template <class T>
void product(const Product<T>& p) {
    const bool single = p.block_count == 1 && p.blocks[0].rows <= kGroupedRows;
    const Index group = single ? grouped_panels<T>(p.blocks[0].rows) : 1;
    for (Index first = 0; first < p.n;) {
        const Index rest = p.n - first;
        const bool grouped = group > 1 && rest >= group * kPanel<T>;
        const Index columns = grouped ? group * kPanel<T> : rest < kPanel<T> ? rest : kPanel<T>;
        const bool narrow = columns <= kLanes<T>;
        const Index width = narrow ? kLanes<T> : kPanel<T>;
        // a depth of 0 leaves the initial values
        for (Index k0 = 0; k0 == 0 || k0 < p.k; k0 += kDepth<T>) {
            for (Index i = 0; i < p.block_count; ++i) {
                for_row_tiles(p.blocks[i], p, [&](Index rows, const T* a, T* c) {
                    const TileTask<T> task{a + k0,
                                           p.lda,
                                           p.packed + first * p.k + k0 * width,
                                           kPanel<T> * p.k,
                                           p.init == Init::bias ? p.bias + first : nullptr,
                                           c + first,
                                           p.ldc,
                                           p.k - k0 < kDepth<T> ? p.k - k0 : kDepth<T>,
                                           k0 == 0 ? p.init : Init::keep};
                    const TileFunction<T> run = grouped  ? several_panels<T>(rows)
                                                : narrow ? one_panel<T, 1>(rows)
                                                         : one_panel<T, kPanelVectors>(rows);
                    if (columns < width)
                        edge_tile<T>(run, task, rows, columns);
                    else
                        run(task);
                });
            }
        }
        first += columns;
    }
}

// The transposed product packs b by panels and a by tiles, a block of k at a time.
template <class T>
inline constexpr Index kOuterColumns = 512;

template <class T>
inline constexpr Index kOuterScratch = kDepth<T> * (kOuterColumns<T> + kTileRows);

template <class T>
struct OuterTile {
    const T* a;  // [k, M] packed
    const T* b;  // [k, V vectors] packed
    T* c;
    Index ldc, columns, k;
};

template <class T, int M, int V>
[[gnu::noinline]] void outer_tile(const OuterTile<T>& t) {
    Vec<T> acc[M][V] = {};
    multiply_tile<T, M, 1, V>(PackedRows<T>{t.a}, t.b, 0, t.k, acc);
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

template <class T, int V, int... M>
struct OuterFunctions {
    static constexpr void (*by_rows[])(const OuterTile<T>&) = {outer_tile<T, M, V>...};
};

template <class T, int V>
[[gnu::always_inline]] inline auto outer_function(Index rows) {
    if constexpr (kTileRows == 12)
        return OuterFunctions<T, V, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::by_rows[rows - 1];
    else
        return OuterFunctions<T, V, 1, 2, 3, 4, 5, 6>::by_rows[rows - 1];
}

template <class T>
void outer_product(const OuterProduct<T>& p) {
    T* const tile = p.scratch + kDepth<T> * kOuterColumns<T>;
    for (Index first = 0; first < p.n; first += kOuterColumns<T>) {
        const Index width = p.n - first < kOuterColumns<T> ? p.n - first : kOuterColumns<T>;
        for (Index k0 = 0; k0 < p.k; k0 += kDepth<T>) {
            const Index k = p.k - k0 < kDepth<T> ? p.k - k0 : kDepth<T>;
            pack_rows(p.b + k0, first, k, width, p.scratch);
            for (Index row = 0; row < p.m; row += kTileRows) {
                const Index rows = p.m - row < kTileRows ? p.m - row : kTileRows;
                if (rows == kTileRows)
                    pack_tile(p.a + k0 * p.lda + row, p.lda, k, static_cast<Index>(kTileRows), tile);
                else
                    pack_tile(p.a + k0 * p.lda + row, p.lda, k, rows, tile);
                for (Index column = 0; column < width; column += kPanel<T>) {
                    const Index columns = width - column < kPanel<T> ? width - column : kPanel<T>;
                    const OuterTile<T> task{
                        tile, p.scratch + column * k, p.c + row * p.ldc + first + column, p.ldc, columns, k};
                    (columns > kLanes<T> ? outer_function<T, kPanelVectors>(rows) : outer_function<T, 1>(rows))(task);
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
