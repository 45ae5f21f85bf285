// exp, sigmoid and tanh on vectors, one evaluation of the same polynomial each, and the logarithm of small sums.
//
// Of exp(f x), f being 1, -1 or 2: f x = n ln 2 + f r with |f r| <= ln(2)/2, and exp(f x) = 2^n (1 + r q(r)), where r
// q(r) is the Taylor series of exp(f r) - 1 cut where its rest is below half a unit in the last place: (f r)^8/8! <
// 6e-9 in single, (f r)^14/14! < 5e-18 in double precision.
#pragma once

#include "kernels/vector.hpp"

namespace rnncore::RNNCORE_ISA {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
    static constexpr float log2e = 1.44269504f;
    static constexpr float ln2 = 0.693147181f;
    // ln 2 in two parts; the first has few bits, so that n times it is exact also without a fused product.
    static constexpr float ln2_high = 0.693359375f;
    static constexpr float ln2_low = -2.12194440e-4f;
    static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    static constexpr int mantissa_bits = 23;
    static constexpr int terms = 7;
    static constexpr float highest = 88.3762589f;   // n stays at most 127
    static constexpr float lowest = -87.3365448f;   // and at least -126
    static constexpr float saturated_tanh = 10.0f;  // tanh(10) is 1 in single precision
    static constexpr int log_terms = 5;
};

template <>
struct ExpConstants<double> {
    static constexpr double log2e = 1.4426950408889634;
    static constexpr double ln2 = 0.69314718055994531;
    static constexpr double ln2_high = 0.693145751953125;
    static constexpr double ln2_low = 1.42860682030941723212e-6;
    static constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr int mantissa_bits = 52;
    static constexpr int terms = 13;
    static constexpr double highest = 709.436;
    static constexpr double lowest = -708.396;
    static constexpr double saturated_tanh = 20.0;
    static constexpr int log_terms = 11;
};

// NaN passes through.
template <class T>
[[gnu::always_inline]] inline Vec<T> clamp(Vec<T> x, T low, T high) {
    return at_most<T>(at_least<T>(x, low), high);
}

// c[0] + c[1] x + ... + c[n - 1] x^(n - 1), the two halves side by side: half of the depth of Horner's scheme.
template <int n, class T>
[[gnu::always_inline]] inline Vec<T> polynomial(const T* c, const Vec<T>* powers) {
    if constexpr (n == 1)
        return splat(c[0]);
    else if constexpr (n == 2)
        return c[1] * powers[0] + c[0];
    else {
        constexpr int kLevel = n > 8 ? 3 : n > 4 ? 2 : 1;  // the greatest power of two below n
        constexpr int kLow = 1 << kLevel;
        return polynomial<n - kLow, T>(c + kLow, powers) * powers[kLevel] + polynomial<kLow, T>(c, powers);
    }
}

// exp(f x) = 2^n (1 + r q), for x = n ln 2 / f + r. A factor 2^n r is exact and does not wait for q; where it might
// underflow and counts, in exp itself, r q comes first.
template <class T>
struct Exponential {
    Vec<T> power;  // 2^n
    Vec<T> r, q;
};

// f x within [lowest, highest], or NaN. The factor f is in the constants. n ln 2 / f is subtracted in one part, whose
// rounding is an error of some n / 2 units in f x, or in two, which are exact.
template <int f, int parts, class T>
[[gnu::always_inline]] inline Exponential<T> split_exp(Vec<T> x) {
    using C = ExpConstants<T>;
    const Vec<T> shifted = x * (f * C::log2e) + C::round;
    const Vec<T> n = shifted - C::round;
    const Vec<T> r = parts == 1 ? x - n * (C::ln2 / f) : (x - n * (C::ln2_high / f)) - n * (C::ln2_low / f);
    T power_of_f = 1, factorial = 1;
    T coefficients[C::terms + 1] = {};
    for (int i = 1; i <= C::terms; ++i) coefficients[i] = (power_of_f *= f) / (factorial *= static_cast<T>(i));
    Vec<T> powers[4] = {r};  // r, r^2, r^4, r^8
#pragma GCC unroll 4
    for (int i = 1; i < 4; ++i) powers[i] = powers[i - 1] * powers[i - 1];
    const Vec<T> q = polynomial<C::terms, T>(coefficients + 1, powers);
    using Bits = typename Lanes<T>::Bits;
    const T one = 1;
    Bits one_bits;
    __builtin_memcpy(&one_bits, &one, sizeof one);
    const BitVec<T> power = (reinterpret_cast<BitVec<T>>(shifted) << C::mantissa_bits) + one_bits;
    return {reinterpret_cast<Vec<T>>(power), r, q};
}

template <class T>
[[gnu::always_inline]] inline Vec<T> exp(Vec<T> x) {
    using C = ExpConstants<T>;
    const Exponential<T> e = split_exp<1, 2, T>(clamp<T>(x, C::lowest, C::highest));
    Vec<T> y = e.power * (e.r * e.q) + e.power;
    y = x < C::lowest ? Vec<T>{} : y;
    return x > C::highest ? splat(static_cast<T>(__builtin_inf())) : y;
}

// 1 / (1 + exp(-x))
template <class T>
[[gnu::always_inline]] inline Vec<T> sigmoid(Vec<T> x) {
    using C = ExpConstants<T>;
    const Exponential<T> e = split_exp<-1, 2, T>(clamp<T>(x, -C::highest, -C::lowest));
    return T(1) / (e.power * e.r * e.q + (e.power + T(1)));
}

// (exp(2x) - 1) / (exp(2x) + 1), with exp(2x) - 1 = 2^n (exp(2r) - 1) + (2^n - 1): no digits are lost near zero. Of ln
// 2 one part is enough: near zero n is 0, and away from it tanh changes little with x.
template <class T>
[[gnu::always_inline]] inline Vec<T> tanh(Vec<T> x) {
    using C = ExpConstants<T>;
    const Exponential<T> e = split_exp<2, 1, T>(clamp<T>(x, -C::saturated_tanh, C::saturated_tanh));
    const Vec<T> minus_one = e.power * e.r * e.q + (e.power - T(1));
    return minus_one / (minus_one + T(2));
}

// log x for x within [1, 3]. Up to 1.5, or of x / 2 and ln 2 above that: log x = 2 atanh u, u = (x - 1) / (x + 1)
// <= 0.2, by u (2 + 2 u^2/3 + 2 u^4/5 + ...), cut where the rest is below half a unit in the last place of ln 1.5:
// 2 u^11/11 < 4e-9 in single, 2 u^23/23 < 8e-18 in double precision. log 1 is exactly 0.
template <class T>
[[gnu::always_inline]] inline Vec<T> log_of_few(Vec<T> x) {
    constexpr int n = ExpConstants<T>::log_terms;
    const auto high = x > T(1.5);
    const Vec<T> y = high ? x * T(0.5) : x;
    const Vec<T> u = (y - T(1)) / (y + T(1));
    T coefficients[n] = {};
    for (int i = 0; i < n; ++i) coefficients[i] = T(2) / static_cast<T>(2 * i + 1);
    Vec<T> powers[4] = {u * u};  // u^2, u^4, u^8, u^16
#pragma GCC unroll 4
    for (int i = 1; i < 4; ++i) powers[i] = powers[i - 1] * powers[i - 1];
    return u * polynomial<n, T>(coefficients, powers) + (high ? splat(ExpConstants<T>::ln2) : Vec<T>{});
}

// Derivatives by the function's own value.
template <class T>
[[gnu::always_inline]] inline Vec<T> d_sigmoid(Vec<T> y) {
    return y * (T(1) - y);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> d_tanh(Vec<T> y) {
    return T(1) - y * y;
}

}  // namespace rnncore::RNNCORE_ISA
