// How the operands of products stand in memory: b in panels of columns, a of the transposed product in tiles of rows,
// both in the order in which the product reads them and in the format F, see operands.hpp.
#pragma once

#include "kernels/operands.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

// 24 (12) accumulators leave room for the two vectors of b and the broadcast element of a in 32 (16) registers.
inline constexpr int kTileRows = kRegisters == 32 ? 12 : 6;
inline constexpr int kPanelVectors = 2;
template <class E>
inline constexpr int kPanel = kPanelVectors * kLanes<E>;
// Elements of k. A panel of this depth is 32 KB with 64-byte vectors (48 KB in three parts): it stays in the L1 cache
// while the tiles of the transposed product pass over it.
template <class F>
inline constexpr Index kDepth = (F::parts > 1 ? 512 : 1024) / static_cast<Index>(sizeof(typename F::Element));

template <class E>
[[gnu::always_inline]] inline Index panel_vectors(Index columns) {
    const Index vectors = (columns + kLanes<E> - 1) / kLanes<E>;
    return vectors < kPanelVectors ? vectors : kPanelVectors;
}

// square[i][j] <-> square[j][i]. Interleaving the rows of the first half with those of the second moves the leading bit
// of an element's column to the end of its row, and the leading bit of its row to the end of its column.
template <class E>
[[gnu::always_inline]] inline void transpose(Vec<E> (&square)[kLanes<E>]) {
    constexpr int kHalf = kLanes<E> / 2;
#pragma GCC unroll 4
    for (int bit = 1; bit < kLanes<E>; bit *= 2) {
        Vec<E> next[kLanes<E>];
#pragma GCC unroll 8
        for (int i = 0; i < kHalf; ++i) {
            next[2 * i] = interleave<false>(square[i], square[i + kHalf]);
            next[2 * i + 1] = interleave<true>(square[i], square[i + kHalf]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kLanes<E>; ++i) square[i] = next[i];
    }
}

template <class E>
[[gnu::always_inline]] inline void transpose(Parts<E, 1> (&square)[kLanes<E>]) {
    Vec<E> rows[kLanes<E>];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<E>; ++i) rows[i] = square[i].of[0];
    transpose<E>(rows);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<E>; ++i) square[i].of[0] = rows[i];
}

#if defined(RNNCORE_AMX)
// The first ones and the second ones, each by themselves.
template <class E>
[[gnu::always_inline]] inline void transpose(TwoVectors (&square)[kLanes<E>]) {
    Vec<float> first[kLanes<E>], second[kLanes<E>];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<E>; ++i) first[i] = square[i].first;
    transpose<float>(first);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<E>; ++i) second[i] = square[i].second;
    transpose<float>(second);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<E>; ++i) square[i] = {first[i], second[i]};
}
#endif

// One element each of the columns [0, used) of two rows (one, where an element holds one step; null: zeros), padded
// with zeros to `width` columns. Stores whole vectors: the last one may reach past the end.
template <class F>
[[gnu::always_inline]] inline void pack_element(const typename F::Value* first, const typename F::Value* second,
                                                Index used, Index width, typename F::Element* packed) {
    using E = typename F::Element;
    for (Index j = 0; j < width; j += kLanes<E>) {
        const auto* const next = second ? second + j : nullptr;
        const Index rest = first ? used - j : 0;
        store(packed + j,
              F::split(rest >= kLanes<E> ? F::across(first + j, next, AllLanes{})
                       : rest > 0        ? F::across(first + j, next, SomeLanes{static_cast<int>(rest)})
                                         : typename F::Loaded{}),
              F::unit * width);
    }
}

// Where the first part of element i of a column stands, in elements.
template <class F>
[[gnu::always_inline]] inline Index place(Index i) {
    return i + (F::parts - 1) * (i / F::unit * F::unit);
}

// Calls run(i, first, second) for each element of a column of k rows, row(i) being the i-th; null where there is none.
template <class F, class Row, class Run>
[[gnu::always_inline]] inline void for_rows_of_elements(const Row& row, Index k, const Run& run) {
    using T = typename F::Value;
    const auto row_or_null = [&](Index i) -> const T* { return i < k ? row(i) : nullptr; };
    if constexpr (F::steps == 1) {
        for (Index i = 0; i < k; ++i) run(i, row(i), static_cast<const T*>(nullptr));
    } else {
        const Index count = elements<F>(k);
        for (Index i = 0; i < count; ++i) run(i, row_or_null(F::step(i, 0)), row_or_null(F::step(i, 1)));
    }
}

// Columns [0, used) of k rows, row(i) being the i-th: one element of every column, then the next of every column.
template <class F, class Row>
[[gnu::always_inline]] inline void pack_across(const Row& row, Index k, Index used, Index width,
                                               typename F::Element* packed) {
    using T = typename F::Value;
    for_rows_of_elements<F>(row, k, [&](Index i, const T* first, const T* second) {
        pack_element<F>(first, second, used, width, packed + place<F>(i) * width);
    });
}

// Starts reading the lines of `count` elements, which may be past the end of what there is; the last line may be left
// out.
template <class T>
[[gnu::always_inline]] inline void fetch(const T* from, Index count) {
    for (Index i = 0; i < count; i += kLineBytes / static_cast<Index>(sizeof(T))) __builtin_prefetch(from + i, 0, 2);
}

// Packs the columns of a panel, each contiguous in b, in squares: as many elements of k as a vector has lanes. The same
// square of the next panel is fetched meanwhile, a line at a time, unless the columns are short: the processor does not
// prefetch this many parallel rows by itself.
template <class F>
[[gnu::noinline]] void pack_contiguous_columns(const Packing<typename F::Value>& p, Index first, Index used,
                                               Index width, typename F::Element* panel) {
    using E = typename F::Element;
    constexpr Index kShort = 128;  // measured on a Zen 4
    constexpr Index kLineValues = kLineBytes / static_cast<Index>(sizeof(typename F::Value));
    const Index depth = elements<F>(p.k);
    for_steps<F>(p.k, [&](Index k, auto lanes) {
        const Index i0 = k / F::steps;
        for (Index column = 0; column < width; column += kLanes<E>) {
            const auto* from = p.source + (first + column) * p.stride_n + k;
            E* const to = panel + place<F>(i0) * width + column;
            typename F::Loaded square[kLanes<E>];
            if (p.k >= kShort && k % kLineValues == 0) {
#pragma GCC unroll 16
                for (int j = 0; j < kLanes<E>; ++j) fetch(from + (kPanel<E> + j) * p.stride_n, kLanes<E> * F::steps);
            }
#pragma GCC unroll 16
            for (int j = 0; j < kLanes<E>; ++j)
                square[j] = column + j < used ? F::along(from + j * p.stride_n, lanes) : typename F::Loaded{};
            transpose<E>(square);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes<E>; ++i) {
                if (i0 + i < depth) store(to + i * width, F::split(square[i]), F::unit * width);
            }
        }
    });
}

// Panels, or tiles of a, that are packed side by side: 48 rows of a in either case.
inline constexpr int kPackedTogether = 48 / kTileRows;

// Columns [0, kPackedTogether * width) of k rows, each in pieces of `width` columns that go to places `distance`
// elements apart, so that whole lines of the cache are read. All numbers but k are known when this is compiled: loads
// and stores are all there is to a row. As many columns of the rows of element i, from later(i, first or second) on,
// are fetched meanwhile, because the processor cannot predict where the rows are.
template <class F, int width, class Row, class Later>
[[gnu::always_inline]] inline void pack_pieces(const Row& row, const Later& later, Index k, Index distance,
                                               typename F::Element* packed) {
    using T = typename F::Value;
    for_rows_of_elements<F>(row, k, [&](Index i, const T* first, const T* second) {
        for (int j = 0; j < F::steps; ++j) fetch(later(i, j), kPackedTogether * width);
#pragma GCC unroll 8
        for (int piece = 0; piece < kPackedTogether; ++piece) {
            const auto piece_of = [&](const T* whole) { return whole ? whole + piece * width : nullptr; };
            pack_element<F>(piece_of(first), piece_of(second), width, width,
                            packed + piece * distance + place<F>(i) * width);
        }
    });
}

// Columns [0, n) of k rows, the i-th from row(i) on, in panels.
template <class F, class Row>
[[gnu::always_inline]] inline void pack_panels(const Row& row, Index k, Index n, typename F::Element* packed) {
    using E = typename F::Element;
    constexpr Index kTogether = kPackedTogether * kPanel<E>;
    constexpr Index kAhead = 6 / F::steps;
    const Index depth = F::parts * elements<F>(k);
    Index column = 0;
    const auto from = [&](Index i) { return row(i) + column; };
    const auto later = [&](Index i, int j) {
        const Index step = F::step(i + kAhead, j);
        return from(step < k ? step : k - 1);
    };
    for (; column + kTogether <= n; column += kTogether)
        pack_pieces<F, kPanel<E>>(from, later, k, kPanel<E> * depth, packed + column * depth);
    for (; column < n; column += kPanel<E>) {
        const Index used = n - column < kPanel<E> ? n - column : kPanel<E>;
        pack_across<F>(from, k, used, panel_vectors<E>(used) * kLanes<E>, packed + column * depth);
    }
}

// Columns [first, first + n) of rows that stand anywhere.
template <class F>
void pack_rows(const typename F::Value* const* rows, Index first, Index k, Index n, typename F::Element* packed) {
    pack_panels<F>([=](Index i) { return rows[i] + first; }, k, n, packed);
}

template <class F>
void pack(const Packing<typename F::Value>& p) {
    using E = typename F::Element;
    E* const packed = reinterpret_cast<E*>(p.packed);
    if (p.stride_n == 1) return pack_panels<F>([&](Index i) { return p.source + i * p.stride_k; }, p.k, p.n, packed);
    for (Index first = 0; first < p.n; first += kPanel<E>) {
        const Index used = p.n - first < kPanel<E> ? p.n - first : kPanel<E>;
        pack_contiguous_columns<F>(p, first, used, panel_vectors<E>(used) * kLanes<E>,
                                   packed + first * F::parts * elements<F>(p.k));
    }
}

// Elements of a packed tile, with the vector by which packing may overshoot it.
template <class F>
inline constexpr Index kTileElements = kDepth<F> * kTileRows + kLanes<typename F::Element>;

// Columns [0, m) of k rows of a, at most kPackedTogether tiles of them; a tile every kTileElements.
template <class F>
void pack_tiles(const typename F::Value* a, Index lda, Index k, Index m, typename F::Element* packed) {
    constexpr Index kDistance = kTileElements<F>;
    constexpr Index kTilesWidth = kPackedTogether * kTileRows;
    Index first = 0;
    const auto row = [&](Index i) { return a + i * lda + first; };
    if (m == kTilesWidth) {
        const auto packed_next = [&](Index i, int j) { return row(F::step(i, j)) + kTilesWidth; };
        return pack_pieces<F, kTileRows>(row, packed_next, k, kDistance, packed);
    }
    for (; first < m; first += kTileRows, packed += kDistance) {
        const Index columns = m - first < kTileRows ? m - first : kTileRows;
        pack_across<F>(row, k, columns, columns, packed);
    }
}

}  // namespace rnncore::RNNCORE_ISA
