// Weight gradients: products summed over rows that stand anywhere, and sums of columns.
#pragma once

#include "kernels/tiles.hpp"

namespace rnncore::RNNCORE_ISA {

// The transposed product packs b by panels and a by tiles, a block of k at a time.
inline constexpr Index kOuterColumns = 512;

template <class F>
inline constexpr Index kOuterScratch = F::parts * (kDepth<F> * kOuterColumns + kPackedTogether * kTileElements<F>);

// How rows of a stand in it, and meet panels of b: here, in tiles of vectors.
template <class F>
struct OuterTiles {
    using T = typename F::Value;
    using E = typename F::Element;
    static constexpr Index rows = kPackedTogether * kTileRows;  // at a time

    static void pack(const T* a, Index lda, Index k, Index m, E* packed) { pack_tiles<F>(a, lda, k, m, packed); }

    // c [m, n] += a b
    static void multiply(const E* a, const E* panels, Index depth, Index m, Index n, T* c, Index ldc) {
        for (Index row = 0; row < m; row += kTileRows, a += kTileElements<F>) {
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
    constexpr Index kSteps = kDepth<F> * F::steps;
    const Tiles tiles{};
    E* const panels = reinterpret_cast<E*>(p.scratch);
    E* const packed = panels + F::parts * kDepth<F> * kOuterColumns;
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
