// bfloat16 numbers: the upper half of a float, rounded to nearest, ties to even; NaN stays NaN.
#pragma once

#include "kernels/vector.hpp"

namespace rnncore::RNNCORE_ISA {

// Two of them of consecutive steps of a product, the first in the low half.
using Bfloat16Pair = int;

// A float holds every bfloat16 number exactly.
[[gnu::always_inline]] inline Vec<float> round_to_bfloat16(Vec<float> x) {
    typedef unsigned Bits __attribute__((vector_size(kVectorBytes)));
    const Bits bits = reinterpret_cast<Bits>(x);
    const Bits rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
    const Bits quiet = bits | 0x400000u;
    const Bits chosen =
        reinterpret_cast<Bits>(x == x ? reinterpret_cast<Vec<float>>(rounded) : reinterpret_cast<Vec<float>>(quiet));
    return reinterpret_cast<Vec<float>>(chosen & 0xFFFF0000u);
}

#if defined(__AVX512BF16__)
// x and then y as pairs of neighbours
[[gnu::always_inline]] inline Vec<int> to_bfloat16_pairs(Vec<float> x, Vec<float> y) {
    return reinterpret_cast<Vec<int>>(_mm512_cvtne2ps_pbh(y, x));
}

// x[i] with y[i]
[[gnu::always_inline]] inline Vec<int> to_bfloat16_pairs_of_both(Vec<float> x, Vec<float> y) {
    typedef short Halves __attribute__((vector_size(kVectorBytes)));
    const Halves order = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                          8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return reinterpret_cast<Vec<int>>(_mm512_permutexvar_epi16(reinterpret_cast<__m512i>(order),
                                                               reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x))));
}

// x[i] with y[i], each as the sum of three bfloat16 numbers: the nearest one (of two, that away from zero), that to
// what is left, and what is then left, which is one: 3 x 8 bits hold the 24 of a float. Parts below 2^-126, as numbers
// below 2^-108 may have them, are zeros to AMX. Each part of an infinite number is infinite or NaN. The last part of a
// NaN, which is not rounded, is NaN; the first may be anything.
[[gnu::always_inline]] inline void split_into_bfloat16_pairs(Vec<float> x, Vec<float> y, Vec<int> (&parts)[3]) {
    typedef unsigned Bits __attribute__((vector_size(kVectorBytes)));
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
        const unsigned half = i < 2 ? 0x8000u : 0u;
        const Bits first = (reinterpret_cast<Bits>(x) + half) & 0xFFFF0000u;
        const Bits second = (reinterpret_cast<Bits>(y) + half) & 0xFFFF0000u;
        parts[i] = reinterpret_cast<Vec<int>>(first >> 16 | second);
        x -= reinterpret_cast<Vec<float>>(first);
        y -= reinterpret_cast<Vec<float>>(second);
    }
}
#endif

}  // namespace rnncore::RNNCORE_ISA
