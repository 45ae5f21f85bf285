// Dropout masks from Philox4x32-10 (Salmon et al. 2011, as in core/philox.hpp): element i takes word i % 4 of the block
// with counter i / 4. One counter per 64-bit lane, the words in the lanes' lower halves.
#pragma once

#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace rnncore::RNNCORE_ISA {

typedef unsigned long long Words __attribute__((vector_size(kVectorBytes)));
typedef unsigned Numbers __attribute__((vector_size(kVectorBytes)));
typedef unsigned HalfNumbers __attribute__((vector_size(kVectorBytes / 2)));
inline constexpr int kCounters = kVectorBytes / 8;
// Two vectors of counters at a time: one alone would wait for its own multiplications.
inline constexpr int kWays = 2;
inline constexpr int kNumbers = kWays * 4 * kCounters;

// The product of the lower halves of the lanes; the upper halves are not looked at.
[[gnu::always_inline]] inline Words multiply_low_halves(Words a, unsigned factor) {
#if defined(__AVX512F__)
    // with a mask of all lanes: g++ 12 warns of the form without one
    return reinterpret_cast<Words>(
        _mm512_maskz_mul_epu32(static_cast<__mmask8>(-1), reinterpret_cast<__m512i>(a), _mm512_set1_epi64(factor)));
#elif defined(__AVX2__)
    return reinterpret_cast<Words>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), _mm256_set1_epi64x(factor)));
#elif defined(__SSE2__)
    return reinterpret_cast<Words>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), _mm_set1_epi64x(factor)));
#elif defined(__aarch64__)
    return reinterpret_cast<Words>(vmull_u32(vmovn_u64(reinterpret_cast<uint64x2_t>(a)), vdup_n_u32(factor)));
#else
    return (a & 0xFFFFFFFFull) * factor;
#endif
}

inline constexpr int kRounds = 10;

struct RoundKeys {
    Words first[kRounds], second[kRounds];
};

[[gnu::always_inline]] inline RoundKeys round_keys(unsigned long long seed) {
    constexpr unsigned kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
    unsigned key0 = static_cast<unsigned>(seed), key1 = static_cast<unsigned>(seed >> 32);
    RoundKeys keys;
    for (int round = 0; round < kRounds; ++round, key0 += kWeyl0, key1 += kWeyl1) {
        keys.first[round] = Words{} + key0;
        keys.second[round] = Words{} + key1;
    }
    return keys;
}

// One counter after the other, from `first` on.
[[gnu::always_inline]] inline Words counters_from(unsigned long long first) {
    Words counters = Words{} + first;
    for (int i = 0; i < kCounters; ++i) counters[i] += static_cast<unsigned long long>(i);
    return counters;
}

// The kNumbers numbers of the counters that begin with these, in order.
[[gnu::always_inline]] inline void philox(const RoundKeys& keys, Words counters, unsigned* numbers) {
    constexpr unsigned kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
    Words c0[kWays], c1[kWays], c2[kWays] = {}, c3[kWays] = {};  // upper half of the counter 0: RandomUse::dropout
    for (int w = 0; w < kWays; ++w) {
        c0[w] = counters + static_cast<unsigned long long>(w * kCounters);
        c1[w] = c0[w] >> 32;
    }
#pragma GCC unroll 10
    for (int round = 0; round < kRounds; ++round) {
#pragma GCC unroll 2
        for (int w = 0; w < kWays; ++w) {
            const Words p0 = multiply_low_halves(c0[w], kMultiplier0), p1 = multiply_low_halves(c2[w], kMultiplier1);
            c0[w] = (p1 >> 32) ^ c1[w] ^ keys.first[round];
            c1[w] = p1;
            c2[w] = (p0 >> 32) ^ c3[w] ^ keys.second[round];
            c3[w] = p0;
        }
    }
    for (int w = 0; w < kWays; ++w, numbers += 4 * kCounters) {
        // what stands in the upper halves by now is no part of the numbers
        const Words first = (c0[w] & 0xFFFFFFFFull) | (c1[w] << 32), last = (c2[w] & 0xFFFFFFFFull) | (c3[w] << 32);
        const Words low = interleave<false>(first, last), high = interleave<true>(first, last);
        __builtin_memcpy(numbers, &low, sizeof low);
        __builtin_memcpy(numbers + 2 * kCounters, &high, sizeof high);
    }
}

// Which of as many numbers as T has lanes are at least the threshold, as a mask of the width of T.
template <class T>
[[gnu::always_inline]] inline BitVec<T> at_least(const unsigned* numbers, unsigned threshold) {
    if constexpr (sizeof(T) == 4) {
        Numbers v;
        __builtin_memcpy(&v, numbers, sizeof v);
        return v >= threshold;
    } else {
        HalfNumbers v;
        __builtin_memcpy(&v, numbers, sizeof v);
        return __builtin_convertvector(v >= threshold, BitVec<T>);
    }
}

// y = x / (1 - p) where the number is at least p 2^32, else 0
template <class T>
void dropout(const Dropout<T>& d) {
    const double limit = d.p * 4294967296.0;
    const unsigned threshold = limit > 4294967295.0 ? 4294967295u : static_cast<unsigned>(__builtin_ceil(limit));
    const T factor = static_cast<T>(1.0 / (1.0 - d.p));
    const RoundKeys keys = round_keys(d.seed);
    unsigned numbers[kNumbers + kLanes<float>] = {};  // the rest of a row reads beyond its own numbers
    Words counters = counters_from(d.first / 4);
    // i: the position of numbers[0] in x; before x where its first element is not the first word of a block
    for (Index i = -static_cast<Index>(d.first % 4); i < d.n; i += kNumbers, counters += kNumbers / 4) {
        philox(keys, counters, numbers);
        const Index from = i < 0 ? 0 : i, to = i + kNumbers < d.n ? i + kNumbers : d.n;
        for_lanes<T>(to - from, [&](Index j, auto lanes) {
            const BitVec<T> scaled = reinterpret_cast<BitVec<T>>(lanes.load(d.x + from + j) * factor);
            const BitVec<T> kept = scaled & at_least<T>(numbers + (from - i) + j, threshold);
            lanes.store(d.y + from + j, reinterpret_cast<Vec<T>>(kept));
        });
    }
}

}  // namespace rnncore::RNNCORE_ISA
