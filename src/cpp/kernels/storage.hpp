// How a product with few rows finds its weights: as they are, as bfloat16 numbers, or as int8 numbers with a scale for
// each row of W [n, k]. Arithmetic is the same on every instruction set: narrow weights are widened to float before
// they are multiplied; or int8 weights meet activations that are rounded to eight bits with a scale for each row of
// them, and those products are summed exactly in 32 bits.
//
// A storage S says
//     Value, Operand, Sum   type of the matrices, of an activation as the product reads it, of a vector of sums
//     steps                 steps of k in one operand
//     unit                  columns are padded to a multiple of so many vectors
//     round                 slices that a loop multiplies at a time, at least: more where counting them is felt
//     slice_bytes           of one column and one operand's steps;  head_bytes: of one column, before its slices
//     scaled                whether sums are those of integers, which first_sum begins and factor makes numbers of W
//     multiply_add          sums of V vectors of columns and R rows += operands times a slice of the panel
//     element               vector v of W^T[index, columns of the panel]
//     pack                  a vector v of columns of W^T into the panel
// Those of int8 are in int8_storage.hpp.
#pragma once

#include "kernels/bfloat16.hpp"
#include "kernels/packing.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

using Word = Lanes<float>::BitVector;  // 32-bit lanes

[[gnu::always_inline]] inline Word load_words(const void* p) {
    Word w;
    __builtin_memcpy(&w, p, sizeof w);
    return w;
}

[[gnu::always_inline]] inline void store_words(void* p, Word w) { __builtin_memcpy(p, &w, sizeof w); }

[[gnu::always_inline]] inline Word splat_word(int value) { return value - Word{}; }

// Asks for what a product reads some rounds later: far enough ahead for the L3 cache. Weights that stay in the L1 cache
// need none.
inline constexpr Index kAhead = 4096, kFetchedBytes = 32768;
template <bool fetch>
[[gnu::always_inline]] inline void fetch_ahead(const char* slice, int byte) {
    if (fetch && byte % kLineBytes == 0) __builtin_prefetch(slice + byte + kAhead);
}

// A vector of columns of W^T: rows of W, those past `used` being zero.
template <class T>
struct Columns {
    const T* weight;
    Index stride;
    int used;
    Index k;

    [[gnu::always_inline]] Vec<T> at(Index step) const {
        Vec<T> x{};
        for (int j = 0; j < used; ++j) x[j] = weight[j * stride + step];
        return x;
    }
};

template <class T>
struct FullStorage {
    using Value = T;
    using Operand = T;
    using Sum = Vec<T>;
    static constexpr Index steps = 1, unit = 1, round = 1;
    static constexpr Index slice_bytes = sizeof(T), head_bytes = 0;
    static constexpr bool scaled = false;

    template <bool fetch, int R, int V>
    [[gnu::always_inline]] static void multiply_add(const char* slice, const T (&a)[R], Sum (&sums)[R][V]) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            fetch_ahead<fetch>(slice, v * kVectorBytes);
            const Vec<T> w = load(reinterpret_cast<const T*>(slice + v * kVectorBytes));
#pragma GCC unroll 3
            for (int r = 0; r < R; ++r) sums[r][v] += splat(a[r]) * w;
        }
    }

    template <int V>
    [[gnu::always_inline]] static Vec<T> element(const char* panel, Index index, int v) {
        return load(reinterpret_cast<const T*>(panel + (index * V + v) * kVectorBytes));
    }

    template <int V>
    static void pack(const Columns<T>& columns, int v, char* panel) {
        for_lanes<T>(columns.k, [&](Index k, auto lanes) {
            Vec<T> square[kLanes<T>];
#pragma GCC unroll 16
            for (int j = 0; j < kLanes<T>; ++j)
                square[j] = j < columns.used ? lanes.load(columns.weight + j * columns.stride + k) : Vec<T>{};
            transpose<T>(square);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes<T>; ++i) {
                if (k + i < columns.k) store(reinterpret_cast<T*>(panel + ((k + i) * V + v) * kVectorBytes), square[i]);
            }
        });
    }
};

// Two vectors of columns share one of words: the first in the low halves, the second in the high ones, so that widening
// is a shift or a mask.
struct Bfloat16Storage {
    using Value = float;
    using Operand = float;
    using Sum = Vec<float>;
    static constexpr Index steps = 1, unit = 2, round = 2;
    static constexpr Index slice_bytes = 2, head_bytes = 0;
    static constexpr bool scaled = false;

    [[gnu::always_inline]] static Vec<float> low(Word w) { return reinterpret_cast<Vec<float>>(w << 16); }
    [[gnu::always_inline]] static Vec<float> high(Word w) { return reinterpret_cast<Vec<float>>(w & ~0xFFFF); }

    template <bool fetch, int R, int V>
    [[gnu::always_inline]] static void multiply_add(const char* slice, const float (&a)[R], Sum (&sums)[R][V]) {
#pragma GCC unroll 8
        for (int v = 0; v < V; v += 2) {
            // the processor's own prefetching keeps pace with the work of widening
            const Word w = load_words(slice + v / 2 * kVectorBytes);
#pragma GCC unroll 3
            for (int r = 0; r < R; ++r) {
                sums[r][v] += splat(a[r]) * low(w);
                sums[r][v + 1] += splat(a[r]) * high(w);
            }
        }
    }

    template <int V>
    [[gnu::always_inline]] static Vec<float> element(const char* panel, Index index, int v) {
        const Word w = load_words(panel + (index * V + v) / 2 * kVectorBytes);
        return v % 2 ? high(w) : low(w);
    }

    template <int V>
    static void pack(const Columns<float>& columns, int v, char* panel) {
        for (Index k = 0; k < columns.k; ++k) {
            char* const at = panel + (k * V + v) / 2 * kVectorBytes;
            const Word bits = reinterpret_cast<Word>(round_to_bfloat16(columns.at(k)));
            store_words(at, v % 2 ? load_words(at) | bits : bits >> 16 & 0xFFFF);
        }
    }
};

}  // namespace rnncore::RNNCORE_ISA
