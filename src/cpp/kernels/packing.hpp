// How the operands of products stand in memory: b in panels of columns, a of the transposed product in tiles of rows, both
// in the order in which the product reads them.
#pragma once

#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace rnncore::RNNCORE_ISA {

// 24 (12) accumulators leave room for the two vectors of b and the broadcast element of a in 32 (16) registers.
inline constexpr int kTileRows = kRegisters == 32 ? 12 : 6;
inline constexpr int kPanelVectors = 2;
template <class T>
inline constexpr int kPanel = kPanelVectors * kLanes<T>;
// A panel of this depth is 32 KB with 64-byte vectors: it stays in the L1 cache while the row tiles pass over it.
template <class T>
inline constexpr Index kDepth = 1024 / static_cast<Index>(sizeof(T));

template <class T>
[[gnu::always_inline]] inline Index panel_vectors(Index columns) {
    const Index vectors = (columns + kLanes<T> - 1) / kLanes<T>;
    return vectors < kPanelVectors ? vectors : kPanelVectors;
}

// square[i][j] <-> square[j][i]. Interleaving the rows of the first half with those of the second moves the leading bit of
// an element's column to the end of its row, and the leading bit of its row to the end of its column.
template <class T>
[[gnu::always_inline]] inline void transpose(Vec<T> (&square)[kLanes<T>]) {
    constexpr int kHalf = kLanes<T> / 2;
#pragma GCC unroll 4
    for (int bit = 1; bit < kLanes<T>; bit *= 2) {
        Vec<T> next[kLanes<T>];
#pragma GCC unroll 8
        for (int i = 0; i < kHalf; ++i) {
            next[2 * i] = interleave<false>(square[i], square[i + kHalf]);
            next[2 * i + 1] = interleave<true>(square[i], square[i + kHalf]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kLanes<T>; ++i) square[i] = next[i];
    }
}

// Some rows of a panel, each contiguous in b.
template <class T>
[[gnu::always_inline]] inline void pack_contiguous_rows(const Packing<T>& p, Index first, Index used, Index width) {
    T* row = p.packed + first * p.k;
    const T* from = p.source + first;
    for (Index k = 0; k < p.k; ++k, row += width, from += p.stride_k) {
        __builtin_memcpy(row, from, static_cast<unsigned long>(used) * sizeof(T));
        for (Index j = used; j < width; ++j) row[j] = 0;
    }
}

// The columns of a panel, each contiguous in b, in squares of as many steps of k as a vector has lanes.
template <class T>
[[gnu::noinline]] void pack_contiguous_columns(const Packing<T>& p, Index first, Index used, Index width) {
    T* const panel = p.packed + first * p.k;
    for_lanes<T>(p.k, [&](Index k, auto lanes) {
        for (Index column = 0; column < width; column += kLanes<T>) {
            const T* from = p.source + (first + column) * p.stride_n + k;
            T* const to = panel + k * width + column;
            Vec<T> square[kLanes<T>];
#pragma GCC unroll 16
            for (int j = 0; j < kLanes<T>; ++j)
                square[j] = column + j < used ? lanes.load(from + j * p.stride_n) : Vec<T>{};
            transpose<T>(square);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes<T>; ++i) {
                if (k + i < p.k) store(to + i * width, square[i]);
            }
        }
    });
}

template <class T>
void pack(const Packing<T>& p) {
    for (Index first = 0; first < p.n; first += kPanel<T>) {
        const Index used = p.n - first < kPanel<T> ? p.n - first : kPanel<T>;
        const Index width = panel_vectors<T>(used) * kLanes<T>;
        if (p.stride_n == 1)
            pack_contiguous_rows(p, first, used, width);
        else
            pack_contiguous_columns(p, first, used, width);
    }
}

template <class T>
void pack_rows(const T* const* rows, Index first, Index k, Index n, T* packed) {
    for (Index column = 0; column < n; column += kPanel<T>) {
        const Index used = n - column < kPanel<T> ? n - column : kPanel<T>;
        const Index width = panel_vectors<T>(used) * kLanes<T>;
        T* panel = packed + column * k;
        for (Index i = 0; i < k; ++i) {
            const T* from = rows[i] + first + column;
            T* to = panel + i * width;
            if (used == width) {
                for (Index j = 0; j < width; j += kLanes<T>) store(to + j, load(from + j));
            } else {
                for (Index j = 0; j < used; ++j) to[j] = from[j];
                for (Index j = used; j < width; ++j) to[j] = 0;
            }
        }
    }
}

template <class T>
[[gnu::always_inline]] inline void pack_tile(const T* a, Index lda, Index k, Index m, T* packed) {
    for (Index i = 0; i < k; ++i) {
        for (Index j = 0; j < m; ++j) packed[i * m + j] = a[i * lda + j];
    }
}

}  // namespace rnncore::RNNCORE_ISA
