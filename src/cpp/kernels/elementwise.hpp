// Elementwise maps and sums over flat arrays.
#pragma once

#include "kernels/math.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

template <class T>
void map_exp(const T* x, Index n, T* y) {
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(y + i, exp<T>(lanes.load(x + i))); });
}

template <class T>
void map_sigmoid(const T* x, Index n, T* y) {
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(y + i, sigmoid<T>(lanes.load(x + i))); });
}

template <class T>
void map_tanh(const T* x, Index n, T* y) {
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(y + i, tanh<T>(lanes.load(x + i))); });
}

template <class T>
void add(const T* x, Index n, T* y) {
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(y + i, lanes.load(y + i) + lanes.load(x + i)); });
}

template <class T>
void scale(T factor, Index n, T* y) {
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(y + i, lanes.load(y + i) * factor); });
}

template <class T>
void multiply(const T* x, const T* y, Index n, T* z) {
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(z + i, lanes.load(x + i) * lanes.load(y + i)); });
}

template <class T>
void clip(T limit, Index n, T* y) {
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(y + i, clamp<T>(lanes.load(y + i), -limit, limit)); });
}

// Sums in double precision: the squares of floats are exact there. Four at a time hide the latency of the additions.
template <class T>
double squared_norm(const T* x, Index n) {
    constexpr int kWays = 4;
    constexpr Index kHalf = kLanes<double>;
    typedef T Narrow __attribute__((vector_size(kHalf * static_cast<Index>(sizeof(T)))));
    Vec<double> sums[kWays] = {};
    Index i = 0;
    for (; i + kWays * kHalf <= n; i += kWays * kHalf) {
        for (int w = 0; w < kWays; ++w) {
            Narrow v;
            __builtin_memcpy(&v, x + i + w * kHalf, sizeof v);
            const Vec<double> wide = __builtin_convertvector(v, Vec<double>);
            sums[w] += wide * wide;
        }
    }
    const Vec<double> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double result = 0;
    for (int j = 0; j < kLanes<double>; ++j) result += sum[j];
    for (; i < n; ++i) result += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return result;
}

}  // namespace rnncore::RNNCORE_ISA
