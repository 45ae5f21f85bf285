// How a product with few rows finds its weights: as they are, as bfloat16 numbers, or as int8 numbers with a scale for
// each row of W [n, k]. Arithmetic is the same on every instruction set: bfloat16 weights are widened to float before
// they are multiplied; int8 weights meet activations that are rounded to eight bits with a scale for each row of them,
// and those products are summed exactly in 32 bits.
//
// A storage S says
//     Value, Operand, Sum   type of the matrices, of an activation as the product reads it, of a vector of sums
//     steps                 steps of k in one operand
//     unit                  columns are padded to a multiple of so many vectors
//     round                 slices that a loop multiplies at a time, at least: more where counting them is felt
//     slice_bytes           of one column and one operand's steps;  head_bytes: of one column, before its slices
//     multiply_add          sums of V vectors of columns and R rows += operands times a slice of the panel
//     element               vector v of W^T[index, columns of the panel]
//     pack                  a vector v of columns of W^T into the panel
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

// x = q * scale with q in [-127, 127] rounded to nearest. The scale is rounded up to 16 significant bits: then q *
// scale is exact, and a row of such products has the same q and scale again. A row of zeros, or of numbers whose scale
// would underflow, is zero. A row that is not finite has such a scale, and with it all of its products.
inline float scale_of_row(const float* x, Index n) {
    Word greatest{};  // of the bits without the sign: in the order of the numbers, NaN beyond all
    for_lanes<float>(n, [&](Index i, auto lanes) {
        const Word bits = reinterpret_cast<Word>(lanes.load(x + i)) & 0x7FFFFFFF;
        greatest = bits > greatest ? bits : greatest;
    });
    int most = 0;
    for (int i = 0; i < kLanes<float>; ++i) most = greatest[i] > most ? greatest[i] : most;
    float magnitude;
    __builtin_memcpy(&magnitude, &most, sizeof magnitude);
    if (magnitude < 127 * __FLT_MIN__) return 1;
    if (!(magnitude <= __FLT_MAX__)) return magnitude;  // rounding up would carry a NaN with all bits set on to -0
    float scale = magnitude / 127;
    unsigned bits;
    __builtin_memcpy(&bits, &scale, sizeof bits);
    bits = (bits + 0xFF) & ~0xFFu;
    __builtin_memcpy(&scale, &bits, sizeof scale);
    return scale;
}

// q + offset. Adding 1.5 * 2^23 leaves the nearest integer in the low bits; a quotient cannot be fused with the sum, so
// that all instruction sets round alike.
template <int offset>
[[gnu::always_inline]] inline Word quantize(Vec<float> x, float scale) {
    const Vec<float> shifted = x / scale + 12582912.0f;
    return reinterpret_cast<Word>(shifted) - (0x4B400000 - offset);
}

template <class T>
struct FullStorage {
    using Value = T;
    using Operand = T;
    using Sum = Vec<T>;
    static constexpr Index steps = 1, unit = 1, round = 1;
    static constexpr Index slice_bytes = sizeof(T), head_bytes = 0;

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

// A row of activations as int8 numbers: their scale, and what their sums with every column start from.
struct QuantizedRow {
    float scale;
    int sum;
};

[[gnu::always_inline]] inline int sum_of(Word w) {
    int sum = 0;
    for (int i = 0; i < kLanes<float>; ++i) sum += w[i];
    return sum;
}

// Four steps of k stand in a word, the first in its lowest byte; an operand is four activations. Processors multiply
// unsigned bytes by signed ones. With VNNI, and where bytes are widened first, `offset` makes the activations unsigned;
// what that adds to a sum, 128 times the sum of the column's weights, is taken off in the panel's head:
//     [V vectors of -offset * sum of weights, int32][V vectors of scales, float][slices]
// AVX2 adds two products in 16 bits, too few for that: there |a| meets w, or ~w = -w - 1 where a is negative, and the
// missing |a| is what the row's sums start from.
struct Int8Storage {
    using Value = float;
    using Operand = int;
    using Sum = Word;
    static constexpr Index steps = 4, unit = 1, round = 1;
    static constexpr Index slice_bytes = 4, head_bytes = 8;
#if defined(__AVX2__) && !defined(__AVX512F__)
    static constexpr int offset = 0;
    [[gnu::always_inline]] static Word added_to_sums(Word q) {
        const Word byte = q << 24 >> 24;  // as it is multiplied: of a row that is not finite, q is beyond
        return byte < 0 ? -byte : Word{};
    }
#else
    static constexpr int offset = 128;
    [[gnu::always_inline]] static Word added_to_sums(Word) { return Word{}; }
#endif

    template <bool fetch, int R, int V>
    [[gnu::always_inline]] static void multiply_add(const char* slice, const int (&a)[R], Sum (&sums)[R][V]) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            fetch_ahead<fetch>(slice, v * kVectorBytes);
            const Word w = load_words(slice + v * kVectorBytes);
#pragma GCC unroll 3
            for (int r = 0; r < R; ++r) sums[r][v] = add_products_of_bytes(sums[r][v], a[r], w);
        }
    }

    // sum + a0 w0 + a1 w1 + a2 w2 + a3 w3, exactly, but for what the sums start from
    [[gnu::always_inline]] static Word add_products_of_bytes(Word sum, int a, Word w) {
#if defined(__AVX512VNNI__)
        return reinterpret_cast<Word>(_mm512_dpbusd_epi32(
            reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(splat_word(a)), reinterpret_cast<__m512i>(w)));
#elif defined(__AVX2__) && !defined(__AVX512F__)
        const __m256i four = reinterpret_cast<__m256i>(splat_word(a));
        const Word negative = reinterpret_cast<Word>(_mm256_cmpgt_epi8(_mm256_setzero_si256(), four));
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(four), reinterpret_cast<__m256i>(w ^ negative));
        return sum + reinterpret_cast<Word>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#elif defined(__x86_64__)
        // pairs of 16 bits: bytes 0 and 2, then 1 and 3
        typedef short Halves __attribute__((vector_size(kVectorBytes)));
        const Halves even = reinterpret_cast<Halves>(w) << 8 >> 8, odd = reinterpret_cast<Halves>(w) >> 8;
        return sum + multiply_pairs(even, splat_word(a & 0x00FF00FF)) +
               multiply_pairs(odd, splat_word(static_cast<int>(static_cast<unsigned>(a) >> 8 & 0x00FF00FFu)));
#else
        return sum + (w << 24 >> 24) * (a & 255) + (w << 16 >> 24) * (a >> 8 & 255) + (w << 8 >> 24) * (a >> 16 & 255) +
               (w >> 24) * (a >> 24 & 255);
#endif
    }

    template <int V>
    [[gnu::always_inline]] static Vec<float> element(const char* panel, Index index, int v) {
        const Word w = load_words(slices<V>(panel) + (index / steps * V + v) * kVectorBytes);
        const Word value = w << static_cast<int>(8 * (steps - 1 - index % steps)) >> 24;
        return __builtin_convertvector(value, Vec<float>) * scales<V>(panel, v);
    }

    template <int V>
    static void pack(const Columns<float>& columns, int v, char* panel) {
        const Index count = (columns.k + steps - 1) / steps;
        Vec<float> scale{};
        Word sums{};
        for (int j = 0; j < kLanes<float>; ++j) {
            scale[j] = 1;
            char* const to = panel + V * head_bytes * kLanes<float> + v * kVectorBytes + j * steps;
            for (Index i = 0; i < count; ++i) __builtin_memset(to + i * V * kVectorBytes, 0, steps);
            if (j >= columns.used) continue;
            const float* const row = columns.weight + j * columns.stride;
            scale[j] = scale_of_row(row, columns.k);
            for_lanes<float>(columns.k, [&](Index k, auto lanes) {
                const Word q = quantize<0>(lanes.load(row + k), scale[j]);
                for (int l = 0; l < kLanes<float> && k + l < columns.k; ++l) {
                    const auto value = static_cast<signed char>(q[l]);  // of a row that is not finite: anything
                    to[(k + l) / steps * V * kVectorBytes + (k + l) % steps] = static_cast<char>(value);
                    sums[j] += value;
                }
            });
        }
        store_words(panel + v * kVectorBytes, -offset * sums);
        store(reinterpret_cast<float*>(panel + (V + v) * kVectorBytes), scale);
    }

    template <int V>
    [[gnu::always_inline]] static const char* slices(const char* panel) {
        return panel + 2 * V * kVectorBytes;
    }
    template <int V>
    [[gnu::always_inline]] static Vec<float> scales(const char* panel, int v) {
        return load(reinterpret_cast<const float*>(panel + (V + v) * kVectorBytes));
    }

private:
#if defined(__x86_64__) && !defined(__AVX512VNNI__) && (defined(__AVX512F__) || !defined(__AVX2__))
    template <class Halves>
    [[gnu::always_inline]] static Word multiply_pairs(Halves x, Word y) {
#if defined(__AVX512F__)
        return reinterpret_cast<Word>(_mm512_madd_epi16(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(y)));
#else
        return reinterpret_cast<Word>(_mm_madd_epi16(reinterpret_cast<__m128i>(x), reinterpret_cast<__m128i>(y)));
#endif
    }
#endif
};

}  // namespace rnncore::RNNCORE_ISA
