// Softmax cross-entropy of one row. The greatest logit is subtracted before the exponential, so that nothing overflows.
#pragma once

#include "kernels/math.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

// In double: beside the 1 of the greatest logit the others would lose digits, on which a small loss depends.
template <class T>
[[gnu::always_inline]] inline double sum_of_lanes(Vec<T> v) {
    double sum = 0;
    for (int i = 0; i < kLanes<T>; ++i) sum += static_cast<double>(v[i]);
    return sum;
}

template <class T>
[[gnu::always_inline]] inline T greatest(const T* x, Index n) {
    constexpr int kChains = 4;  // a comparison waits for the one before
    const auto greater = [](auto a, auto b) { return a > b ? a : b; };
    Vec<T> best[kChains];
    for (Vec<T>& chain : best) chain = splat(x[0]);
    Index i = 0;
    for (; i + kChains * kLanes<T> <= n; i += kChains * kLanes<T>) {
#pragma GCC unroll 4
        for (int c = 0; c < kChains; ++c) best[c] = greater(load(x + i + c * kLanes<T>), best[c]);
    }
    for (; i + kLanes<T> <= n; i += kLanes<T>) best[0] = greater(load(x + i), best[0]);
    const Vec<T> both = greater(greater(best[0], best[1]), greater(best[2], best[3]));
    T result = both[0];
    for (int j = 1; j < kLanes<T>; ++j) result = greater(both[j], result);
    for (; i < n; ++i) result = greater(x[i], result);
    return result;
}

// exp(x - shift), summed over the row and, where `keep` says so, left in its place
template <class T, bool keep>
[[gnu::always_inline]] inline double exponentials(T* x, Index n, T shift) {
    Vec<T> sum{};
    Index i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) {
        const Vec<T> e = exp<T>(load(x + i) - shift);
        if constexpr (keep) store(x + i, e);
        sum += e;
    }
    if (i < n) {
        const int rest = static_cast<int>(n - i);
        Vec<T> e = exp<T>(load_part(x + i, rest) - shift);
        for (int j = rest; j < kLanes<T>; ++j) e[j] = 0;
        if constexpr (keep) store_part(x + i, e, rest);
        sum += e;
    }
    return sum_of_lanes<T>(sum);
}

template <class T>
double cross_entropy(const T* logits, Index n, Index target) {
    const T shift = greatest(logits, n);
    const double sum = exponentials<T, false>(const_cast<T*>(logits), n, shift);
    return __builtin_log(sum) - (static_cast<double>(logits[target]) - static_cast<double>(shift));
}

template <class T>
double cross_entropy_grad(T* logits, Index n, Index target, T scale) {
    const T shift = greatest(logits, n);
    const double centred = static_cast<double>(logits[target]) - static_cast<double>(shift);
    const double sum = exponentials<T, true>(logits, n, shift);
    const T share = static_cast<T>(static_cast<double>(scale) / sum);
    for_lanes<T>(n, [&](Index i, auto lanes) { lanes.store(logits + i, lanes.load(logits + i) * share); });
    logits[target] -= scale;
    return __builtin_log(sum) - centred;
}

}  // namespace rnncore::RNNCORE_ISA
