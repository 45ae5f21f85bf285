// Weights as int8 numbers with a scale for each row of W [n, k]. Int8Storage multiplies them by activations as they
// are, DynamicInt8Storage by activations that are rounded in the same way, row by row.
#pragma once

#include "kernels/storage.hpp"

namespace rnncore::RNNCORE_ISA {

// A larger activation, infinite ones among them, is left out of the sums of integers and added afterwards: what makes
// a scale of it, or 127 times it, might overflow where the product of floats does not.
inline constexpr float kLargest = 0x1p64f;

[[gnu::always_inline]] inline bool is_large(float x) { return __builtin_fabsf(x) > kLargest; }

// Bits of the greatest magnitudes in a row, lane by lane: in the order of the numbers, NaN beyond all.
[[gnu::always_inline]] inline Word greatest_magnitudes(const float* x, Index n) {
    Word greatest{};
    for_lanes<float>(n, [&](Index i, auto lanes) {
        const Word bits = reinterpret_cast<Word>(lanes.load(x + i)) & 0x7FFFFFFF;
        greatest = bits > greatest ? bits : greatest;
    });
    return greatest;
}

// Whether a row holds large numbers or NaN.
[[gnu::always_inline]] inline bool holds_large(const float* x, Index n) {
    const Word beyond = greatest_magnitudes(x, n) > __builtin_bit_cast(int, kLargest);
#if defined(__AVX512F__)
    return _mm512_movepi32_mask(reinterpret_cast<__m512i>(beyond)) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_epi8(reinterpret_cast<__m256i>(beyond)) != 0;
#elif defined(__x86_64__)
    return _mm_movemask_epi8(reinterpret_cast<__m128i>(beyond)) != 0;
#else
    int any = 0;
    for (int i = 0; i < kLanes<float>; ++i) any |= beyond[i];
    return any != 0;
#endif
}

// x = q * scale with q in [-127, 127] rounded to nearest. The scale is rounded up to 16 significant bits: then q *
// scale is exact, and a row of such products has the same q and scale again. A row of zeros, or of numbers whose scale
// would underflow, is zero. A row that is not finite has such a scale, and with it all of its products.
inline float scale_of_row(const float* x, Index n) {
    const Word greatest = greatest_magnitudes(x, n);
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

// Calls put(k, q) for the numbers of a row of W and returns their scale; of a row that is not finite, q is anything.
template <class Put>
[[gnu::always_inline]] inline float quantize_weights(const float* row, Index n, const Put& put) {
    const float scale = scale_of_row(row, n);
    for_lanes<float>(n, [&](Index k, auto lanes) {
        const Word q = quantize<0>(lanes.load(row + k), scale);
        for (int l = 0; l < kLanes<float> && k + l < n; ++l) put(k + l, static_cast<signed char>(q[l]));
    });
    return scale;
}

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

// A panel is [V vectors of scales, float][slices]. A slice has one byte of each column: as many as a vector has lanes
// become a vector of floats where they are read.
struct Int8Storage {
    using Value = float;
    using Operand = float;
    using Sum = Vec<float>;
    static constexpr Index steps = 1, unit = 1, round = 2;
    static constexpr Index slice_bytes = 1, head_bytes = 4;
    static constexpr bool scaled = true;

    template <bool fetch, int R, int V>
    [[gnu::always_inline]] static void multiply_add(const char* slice, const float (&a)[R], Sum (&sums)[R][V]) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            fetch_ahead<fetch>(slice, v * kLanes<float>);
            const Vec<float> w = widen(slice + v * kLanes<float>);
#pragma GCC unroll 3
            for (int r = 0; r < R; ++r) sums[r][v] += splat(a[r]) * w;
        }
    }

    // as many bytes as a vector has lanes; what compilers make of __builtin_convertvector takes seven times as long
    [[gnu::always_inline]] static Vec<float> widen(const char* bytes) {
#if defined(__AVX512F__)
        __m128i w;
        __builtin_memcpy(&w, bytes, sizeof w);
        const Word words = reinterpret_cast<Word>(_mm512_maskz_cvtepi8_epi32(0xFFFF, w));
#elif defined(__AVX2__)
        const Word words =
            reinterpret_cast<Word>(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
#else
        int four;
        __builtin_memcpy(&four, bytes, sizeof four);
#if defined(__x86_64__)
        __m128i w = _mm_cvtsi32_si128(four);
        w = _mm_unpacklo_epi8(w, w);
        const Word words = reinterpret_cast<Word>(_mm_unpacklo_epi16(w, w)) >> 24;
#else
        const Word words = splat_word(four) << Word{24, 16, 8, 0} >> 24;
#endif
#endif
        return __builtin_convertvector(words, Vec<float>);
    }

    template <int V>
    [[gnu::always_inline]] static Vec<float> element(const char* panel, Index index, int v) {
        return widen(panel + V * kVectorBytes + (index * V + v) * kLanes<float>) * scales(panel, v);
    }

    template <int V>
    static void pack(const Columns<float>& columns, int v, char* panel) {
        Vec<float> scale{};
        for (int j = 0; j < kLanes<float>; ++j) {
            scale[j] = 1;
            char* const to = panel + V * kVectorBytes + v * kLanes<float> + j;
            const auto put = [&](Index k, signed char q) { to[k * V * kLanes<float>] = static_cast<char>(q); };
            if (j < columns.used)
                scale[j] = quantize_weights(columns.weight + j * columns.stride, columns.k, put);
            else
                for (Index k = 0; k < columns.k; ++k) put(k, 0);
        }
        store(reinterpret_cast<float*>(panel + v * kVectorBytes), scale);
    }

    template <int V>
    [[gnu::always_inline]] static Sum first_sum(const char*, int, const QuantizedRow&) {
        return Sum{};
    }
    template <int V>
    [[gnu::always_inline]] static Vec<float> factor(const char* panel, int v, const QuantizedRow&) {
        return scales(panel, v);
    }

private:
    [[gnu::always_inline]] static Vec<float> scales(const char* panel, int v) {
        return load(reinterpret_cast<const float*>(panel + v * kVectorBytes));
    }
};

// Four steps of k stand in a word, the first in its lowest byte; an operand is four activations. Processors multiply
// unsigned bytes by signed ones. With VNNI, and where bytes are widened first, `offset` makes the activations unsigned;
// what that adds to a sum, 128 times the sum of the column's weights, is taken off in the panel's head:
//     [V vectors of -offset * sum of weights, int32][V vectors of scales, float][slices]
// AVX2 adds two products in 16 bits, too few for that: there |a| meets w, or ~w = -w - 1 where a is negative, and the
// missing |a| is what the row's sums start from.
struct DynamicInt8Storage {
    using Value = float;
    using Operand = int;
    using Sum = Word;
    static constexpr Index steps = 4, unit = 1, round = 1;
    static constexpr Index slice_bytes = 4, head_bytes = 8;
    static constexpr bool scaled = true;
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
            scale[j] = quantize_weights(columns.weight + j * columns.stride, columns.k, [&](Index k, signed char q) {
                to[k / steps * V * kVectorBytes + k % steps] = static_cast<char>(q);
                sums[j] += q;
            });
        }
        store_words(panel + v * kVectorBytes, -offset * sums);
        store(reinterpret_cast<float*>(panel + (V + v) * kVectorBytes), scale);
    }

    template <int V>
    [[gnu::always_inline]] static Sum first_sum(const char* panel, int v, const QuantizedRow& row) {
        return load_words(panel + v * kVectorBytes) + splat_word(row.sum);
    }
    template <int V>
    [[gnu::always_inline]] static Vec<float> factor(const char* panel, int v, const QuantizedRow& row) {
        return scales<V>(panel, v) * row.scale;
    }

private:
    template <int V>
    [[gnu::always_inline]] static const char* slices(const char* panel) {
        return panel + 2 * V * kVectorBytes;
    }
    template <int V>
    [[gnu::always_inline]] static Vec<float> scales(const char* panel, int v) {
        return load(reinterpret_cast<const float*>(panel + (V + v) * kVectorBytes));
    }

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
