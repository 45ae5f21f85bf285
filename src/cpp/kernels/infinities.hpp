// Values of a that are no sum of three bfloat16 numbers, being infinite or so large that the first of the three would
// be: left out of a product in parts, and added to it afterwards by themselves, so that an infinite input or state
// gives what it gives in any product of floats. A NaN needs none of this: its parts make every sum NaN. Such values of
// b, and of either operand of a weight gradient, make NaN.
#pragma once

#if defined(RNNCORE_AMX)

#include "kernels/packing.hpp"

namespace rnncore::RNNCORE_ISA {

// The least magnitude that is rounded to infinity.
inline constexpr float kLeastOverflow = 0x1.FFp127F;

[[gnu::always_inline]] inline bool overflows(float x) { return __builtin_fabsf(x) >= kLeastOverflow; }

// The larger of two magnitudes, the other one where one is NaN.
[[gnu::always_inline]] inline Vec<float> largest_magnitude(Vec<float> x, Vec<float> y) {
    constexpr int kLargestMagnitude = 0b1011;
    return reinterpret_cast<Vec<float>>(_mm512_range_ps(x, y, kLargestMagnitude));
}
[[gnu::always_inline]] inline Vec<float> largest_magnitude(Vec<float> x, const TwoVectors& y) {
    return largest_magnitude(largest_magnitude(x, y.first), y.second);
}

// Whether one of these magnitudes overflows.
[[gnu::always_inline]] inline bool overflows_any(Vec<float> magnitudes) {
    return _mm512_cmp_ps_mask(magnitudes, splat(kLeastOverflow), _CMP_GE_OQ) != 0;
}

// The element of each part that holds step k of a column, and which half of it does.
template <class F>
struct HalfElement {
    explicit HalfElement(Index k) : element(k / (2 * F::unit) * F::unit + k % F::unit), half(k / F::unit % 2) {}
    Index element;
    Index half;
};

// The values of a row of a that overflow become zeros in its squares.
template <class F>
[[gnu::noinline]] void clear_overflows(const float* row, Index k, typename F::Element* squares) {
    for (Index i = 0; i < k; ++i) {
        if (!overflows(row[i])) continue;
        const HalfElement<F> at(i);
        const Index column = at.element % F::unit;
        for (Index part = 0; part < F::parts; ++part)
            squares[(place<F>(at.element - column) + part * F::unit) * F::unit + column] &= at.half ? 0xFFFF : ~0xFFFF;
    }
}

// c[r, :] += a[r, k] b[k, :] for the values of some rows that overflow. After all others: how k is divided depends on
// the rows of a thread.
template <class F>
[[gnu::noinline]] void add_overflows(const Product<float>& p, const RowBlock<float>& rows) {
    using E = typename F::Element;
    const Index depth = elements<F>(p.k);
    for (Index r = 0; r < rows.rows; ++r) {
        for (Index i = 0; i < p.k; ++i) {
            const float a = rows.a[r * p.lda + i];
            if (!overflows(a)) continue;
            const HalfElement<F> at(i);
            for (Index column = 0; column < p.n; ++column) {
                const Index first = column / kPanel<E> * kPanel<E>, width = panel_vectors<E>(p.n - first) * kLanes<E>;
                const E* const panel = reinterpret_cast<const E*>(p.packed) + first * F::parts * depth;
                float b = 0;
                for (Index part = F::parts - 1; part >= 0; --part) {
                    const Index row = place<F>(at.element) + part * F::unit;
                    const auto pair = static_cast<unsigned>(panel[row * width + column - first]);
                    b += __builtin_bit_cast(float, at.half ? pair & 0xFFFF0000u : pair << 16);
                }
                rows.c[r * p.ldc + column] += a * b;
            }
        }
    }
}

}  // namespace rnncore::RNNCORE_ISA

#endif
