// The most that the processor can do: multiply-adds in registers, and reading. Benchmarks compare their figures with
// it.
#pragma once

#include "kernels/vector.hpp"

namespace rnncore::RNNCORE_ISA {

// At least n multiply-adds v = v / 2 + 1 / 2, in chains whose number hides their latency: all tend to 1. The chains
// start at 0, 1, 2, ..., or the compiler would see that they are one; nor may it know the half, or it would see that
// one of them stays where it is, and leave it out. Returns the mean of their ends.
template <class T>
T multiply_adds(T one_half, Index n) {
    constexpr int kChains = 12;  // two per cycle, each taking 4 to 5
    const Vec<T> half = splat(one_half);
    Vec<T> v[kChains];
    for (int i = 0; i < kChains; ++i) v[i] = splat(T(i));
    for (Index done = 0; done < n; done += kChains * kLanes<T>) {
#pragma GCC unroll 12
        for (int i = 0; i < kChains; ++i) v[i] = v[i] * half + half;
    }
    T sum = 0;
    for (int i = 0; i < kChains; ++i) sum += v[i][0];
    return sum / kChains;
}

// Reads x [n] `rounds` times and returns the sum of all that was read.
template <class T>
T repeated_sum(const T* x, Index n, Index rounds) {
    constexpr int kWays = 16;
    Vec<T> sums[kWays] = {};
    T rest = 0;
    for (Index round = 0; round < rounds; ++round) {
        Index i = 0;
        for (; i + kWays * kLanes<T> <= n; i += kWays * kLanes<T>) {
#pragma GCC unroll 16
            for (int w = 0; w < kWays; ++w) sums[w] += load(x + i + w * kLanes<T>);
        }
        for (; i < n; ++i) rest += x[i];
    }
    for (int w = 0; w < kWays; ++w) {
        for (int i = 0; i < kLanes<T>; ++i) rest += sums[w][i];
    }
    return rest;
}

}  // namespace rnncore::RNNCORE_ISA
