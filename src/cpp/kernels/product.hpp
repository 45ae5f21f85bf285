// Matrix products in register tiles. b is packed in panels of two vectors of columns; a tile is up to `kTileRows` rows
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

// acc[M][P * V] += a[M, k] b[k, P panels of V vectors], where the panels stand `stride` elements apart. k is 1 at least:
// where a loop that takes one step in a round may be left out, the compiler keeps the sums before and after it in different
// registers, of which there are too few.
template <class E, int M, int P, int V, class Rows>
[[gnu::always_inline]] inline void multiply_tile(const Rows& a, const E* b, Index stride, Index k,
                                                 Vec<Sum<E>> (&acc)[M][P * V]) {
    const auto step = [&](Index i) {
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
    Index fetched;         // so many in kFetchedSteps steps of k
    Index k;
    int last_columns;  // of the last vector
};

// The lines of a tile of c, which may be far away, on their way to the cache while another tile is computed.
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

// Calls run(tiles) with those for a panel of so many columns.
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

// Few rows leave accumulators free; several panels at once then hide the latency of the products.
inline constexpr int kGroupedRows = 3;
[[gnu::always_inline]] inline Index grouped_panels(Index rows) { return rows == 1 ? 4 : rows <= kGroupedRows ? 2 : 1; }

template <class E>
[[gnu::always_inline]] inline ProductTile<E> several_panels(Index rows) {
    return rows == 1   ? product_tile<E, false, 1, 4, kPanelVectors>
           : rows == 2 ? product_tile<E, false, 2, 2, kPanelVectors>
                       : product_tile<E, false, 3, 2, kPanelVectors>;
}

// The rows of a block in tiles of nearly equal height: 20 rows are 10 + 10, not 12 + 8.
template <class T, class E, class Run>
[[gnu::always_inline]] inline void for_row_tiles(const RowBlock<T, E>& block, const Product<T, E>& p, const Run& run) {
    const Index tiles = (block.rows + kTileRows - 1) / kTileRows;
    Index row = 0;
    for (Index i = 0; i < tiles; ++i) {
        const Index next = block.rows * (i + 1) / tiles;
        run(next - row, block.a + row * p.lda, block.c + row * p.ldc, i + 1 < tiles ? block.c + next * p.ldc : nullptr);
        row = next;
    }
}

// Elements [first, first + count) of k, which stand at a[.., in_rows] of every row.
struct Steps {
    Index first, count, in_rows;
};

// A b that is larger than this is read from beyond the L2 cache. The processor fetches what comes next there, but not
// early enough.
inline constexpr Index kFarBytes = Index{2} << 20;

template <class T, class E>
[[gnu::always_inline]] inline Index row_tiles(const Product<T, E>& p) {
    Index tiles = 0;
    for (Index i = 0; i < p.block_count; ++i) tiles += (p.blocks[i].rows + kTileRows - 1) / kTileRows;
    return tiles;
}

// Every panel of b, or several at once where there are few rows, with all row tiles.
template <class T, class E>
void multiply_panels(const Product<T, E>& p, const Steps& steps) {
    const bool single = p.block_count == 1 && p.blocks[0].rows <= kGroupedRows;
    const bool far = !single && p.k * p.n * static_cast<Index>(sizeof(E)) > kFarBytes;
    const Index rounds_of_tile = (steps.count + kFetchedSteps - 1) / kFetchedSteps;
    const Index rounds = row_tiles(p) * rounds_of_tile;
    const Index group = single ? grouped_panels(p.blocks[0].rows) : 1;
    for (Index first = 0; first < p.n;) {
        const Index rest = p.n - first;
        const bool several = group > 1 && rest >= group * kPanel<E>;
        const Index columns = several ? group * kPanel<E> : rest < kPanel<E> ? rest : kPanel<E>;
        const Index width = columns <= kLanes<E> ? kLanes<E> : kPanel<E>;
        TileTask<E> task{};
        task.lda = p.lda;
        task.b = p.packed + first * p.k + steps.first * width;
        task.panel_stride = kPanel<E> * p.k;
        const Init init = steps.first == 0 ? p.init : Init::keep;
        task.start = init == Init::bias ? p.bias + first : kZeros<T>;
        task.ld_start = init == Init::keep ? p.ldc : 0;
        task.ldc = p.ldc;
        task.k = steps.count;
        task.last_columns = columns_of_last_vector<E>(columns);
        // the next panel, by all tiles of this one in equal parts
        constexpr Index kLine = kLineBytes / static_cast<Index>(sizeof(E));
        task.next_b = task.b + p.k * width;
        if (far && columns < rest) task.fetched = (steps.count * width / kLine + rounds - 1) / rounds;
        const auto run = [&](auto tile_of) {
            for (Index i = 0; i < p.block_count; ++i) {
                // the first tile of the next block, or else of the next panel
                const T* const after = i + 1 < p.block_count ? p.blocks[i + 1].c : p.blocks[0].c + columns;
                for_row_tiles(p.blocks[i], p, [&](Index rows, const E* a, T* c, const T* next) {
                    task.a = a + steps.in_rows;
                    task.c = c + first;
                    if (init == Init::keep) task.start = task.c;
                    task.next_c = (next ? next : after) + first;
                    tile_of(rows)(task);
                    task.next_b += rounds_of_tile * task.fetched * kLine;
                });
            }
        };
        if (several)
            run([](Index rows) { return several_panels<E>(rows); });
        else
            with_tiles<E>(columns, [&](auto tiles) {
                run([=](Index rows) { return (far ? tiles.far : tiles.product)[rows - 1]; });
            });
        first += columns;
    }
}

// Rows over which the panels of b pass: enough for a panel to be read from far away meanwhile, few enough to stay in the
// L2 cache, to the depth below. Measured with 512 KB and 2 MB of it.
inline constexpr Index kGroupRows = 96;
// To this depth at once, so that even of a deep product many rows share a pass over b, which comes from far away.
inline constexpr Index kProductDepth = 1024;

// What a product over a k of 0 leaves in c.
template <class T>
void initialise(const Product<T>& p) {
    if (p.init == Init::keep) return;
    for (Index i = 0; i < p.block_count; ++i) {
        for (Index row = 0; row < p.blocks[i].rows; ++row) {
            T* const c = p.blocks[i].c + row * p.ldc;
            for (Index j = 0; j < p.n; ++j) c[j] = p.init == Init::bias ? p.bias[j] : T{};
        }
    }
}

template <class T>
void product(const Product<T>& p) {
    if (p.k == 0) return initialise(p);
    Product<T> part = p;
    const auto multiply = [&](const RowBlock<T>* blocks, Index count) {
        part.blocks = blocks;
        part.block_count = count;
        for (Index k = 0; k < p.k; k += kProductDepth)
            multiply_panels(part, {k, p.k - k < kProductDepth ? p.k - k : kProductDepth, k});
    };
    for (Index i = 0; i < p.block_count;) {
        const RowBlock<T>& block = p.blocks[i];
        Index count = 1;
        if (block.rows > kGroupRows) {
            const Index groups = (block.rows + kGroupRows - 1) / kGroupRows;
            for (Index group = 0, row = 0, next; group < groups; ++group, row = next) {
                next = block.rows * (group + 1) / groups;
                const RowBlock<T> piece{block.a + row * p.lda, block.c + row * p.ldc, next - row};
                multiply(&piece, 1);
            }
        } else {
            for (Index rows = block.rows; i + count < p.block_count; ++count) {
                rows += p.blocks[i + count].rows;
                if (rows > kGroupRows) break;
            }
            multiply(&block, count);
        }
        i += count;
    }
}

// The transposed product packs b by panels and a by tiles, a block of k at a time.
inline constexpr Index kOuterColumns = 512;

template <class E>
inline constexpr Index kOuterScratch = kDepth<E> * kOuterColumns + kPackedTogether * kTileElements<E>;

// How rows of a stand in it, and meet panels of b: here, in tiles of vectors.
template <class F>
struct OuterTiles {
    using T = typename F::Value;
    using E = typename F::Element;
    static constexpr Index rows = kPackedTogether * kTileRows;  // at a time

    static void pack(const T* a, Index lda, Index k, Index m, E* packed) { pack_tiles<F>(a, lda, k, m, packed); }

    // c [m, n] += a b
    static void multiply(const E* a, const E* panels, Index depth, Index m, Index n, T* c, Index ldc) {
        for (Index row = 0; row < m; row += kTileRows, a += kTileElements<E>) {
            const Index tile_rows = m - row < kTileRows ? m - row : kTileRows;
            for (Index column = 0; column < n; column += kPanel<E>) {
                const Index columns = n - column < kPanel<E> ? n - column : kPanel<E>;
                const OuterTile<E> task{a,     panels + column * depth,           c + row * ldc + column, ldc,
                                        depth, columns_of_last_vector<E>(columns)};
                with_tiles<E>(columns, [&](auto of_panel) { of_panel.outer[tile_rows - 1](task); });
            }
        }
    }
};

template <class F, class Tiles = OuterTiles<F>>
void outer_product(const OuterProduct<typename F::Value>& p) {
    using E = typename F::Element;
    constexpr Index kSteps = kDepth<E> * F::steps;
    const Tiles tiles{};
    E* const panels = reinterpret_cast<E*>(p.scratch);
    E* const packed = panels + kDepth<E> * kOuterColumns;
    for (Index first = 0; first < p.n; first += kOuterColumns) {
        const Index width = p.n - first < kOuterColumns ? p.n - first : kOuterColumns;
        for (Index k0 = 0; k0 < p.k; k0 += kSteps) {
            const Index k = p.k - k0 < kSteps ? p.k - k0 : kSteps;
            pack_rows<F>(p.b + k0, first, k, width, panels);
            for (Index row = 0; row < p.m; row += Tiles::rows) {
                const Index rows = p.m - row < Tiles::rows ? p.m - row : Tiles::rows;
                tiles.pack(p.a + k0 * p.lda + row, p.lda, k, rows, packed);
                tiles.multiply(packed, panels, elements<F>(k), rows, width, p.c + row * p.ldc + first, p.ldc);
            }
        }
    }
}

// A sum over rows is one chain per column, whatever columns stand beside it; several vectors of them at once read the
// lines of a row that follow each other.
template <class T, int V, class L>
[[gnu::always_inline]] inline void add_sums_of_vectors(const T* a, Index rows, Index lda, L lanes, T* sums) {
    Vec<T> sum[V] = {};
    for (Index r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[v] += lanes.load(a + r * lda + v * kLanes<T>);
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) lanes.store(sums + v * kLanes<T>, lanes.load(sums + v * kLanes<T>) + sum[v]);
}

template <class T>
void add_column_sums(const T* a, Index rows, Index columns, Index lda, T* sums) {
    constexpr int kVectors = 4;
    constexpr Index kTogether = kVectors * kLanes<T>;
    Index i = 0;
    for (; i + kTogether <= columns; i += kTogether)
        add_sums_of_vectors<T, kVectors>(a + i, rows, lda, AllLanes{}, sums + i);
    for_lanes<T>(columns - i,
                 [&](Index j, auto lanes) { add_sums_of_vectors<T, 1>(a + i + j, rows, lda, lanes, sums + i + j); });
}

}  // namespace rnncore::RNNCORE_ISA
