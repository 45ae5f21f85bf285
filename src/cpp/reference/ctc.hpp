// Connectionist temporal classification as the paper states it (Graves, Fernandez, Gomez and Schmidhuber 2006): 2 L + 1
// states, every other one the blank; sums of paths in logarithms, double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/table.hpp"
#include "reference/elementwise.hpp"

namespace rnncore::reference {

inline Index ctc_frame_bytes(Index label_count) {
    return 2 * (2 * label_count + 1) * static_cast<Index>(sizeof(double));  // alpha and beta
}

inline double log_add(double a, double b) {
    const double high = std::fmax(a, b);
    return std::isinf(high) ? high : high + std::log(std::exp(a - high) + std::exp(b - high));
}

template <class T>
void fill_rows(const Ctc<T>& s, T value) {
    for (Index t = 0; s.gradient && t < s.frames; ++t) std::fill_n(s.rows[t], s.symbols, value);
}

template <class T>
bool is_distribution(const T* z, Index n) {
    const auto is_nan = [](T value) { return std::isnan(value); };
    return std::none_of(z, z + n, is_nan) && std::isfinite(*std::max_element(z, z + n));
}

template <class T>
double ctc(const Ctc<T>& s) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const Index states = 2 * s.label_count + 1;
    const auto symbol = [&](Index state) { return state % 2 ? static_cast<Index>(s.labels[state / 2]) : s.blank; };
    // whether a path may go from state - 2 to `state`
    const auto skips = [&](Index state) { return state % 2 && state > 1 && symbol(state) != symbol(state - 2); };
    const auto log_p = [&](Index t, Index k) {
        const Softmax softmax = softmax_of(s.rows[t], s.symbols);
        return double(s.rows[t][k]) - softmax.greatest - std::log(softmax.sum);
    };
    const auto alpha = [&](Index t) { return static_cast<double*>(s.scratch) + t * 2 * states; };
    const auto beta = [&](Index t) { return alpha(t) + states; };
    // without gradient there is memory for two frames
    const auto place = [&](Index t) { return s.gradient ? t : t % 2; };

    for (Index t = 0; t < s.frames; ++t) {
        if (is_distribution(s.rows[t], s.symbols)) continue;
        fill_rows(s, std::numeric_limits<T>::quiet_NaN());
        return std::numeric_limits<double>::quiet_NaN();
    }
    if (s.frames == 0) return s.label_count == 0 ? 0 : kInfinity;

    // alpha_t(s): paths of the frames up to t that end in state s
    for (Index t = 0; t < s.frames; ++t) {
        for (Index state = 0; state < states; ++state) {
            double sum = t == 0 && state < 2 ? 0 : -kInfinity;
            if (t > 0) {
                const double* before = alpha(place(t - 1));
                sum = before[state];
                if (state > 0) sum = log_add(sum, before[state - 1]);
                if (skips(state)) sum = log_add(sum, before[state - 2]);
            }
            alpha(place(t))[state] = sum + log_p(t, symbol(state));
        }
    }
    const double* const end = alpha(place(s.frames - 1));
    const double total = states > 1 ? log_add(end[states - 1], end[states - 2]) : end[0];
    if (total == -kInfinity) {
        fill_rows(s, T(0));
        return kInfinity;
    }
    if (!s.gradient) return -total;

    // beta_t(s): paths of the frames behind t, from state s
    for (Index t = s.frames; t-- > 0;) {
        for (Index state = 0; state < states; ++state) {
            double sum = t == s.frames - 1 && state >= states - 2 ? 0 : -kInfinity;
            if (t < s.frames - 1) {
                const auto onward = [&](Index next) { return beta(t + 1)[next] + log_p(t + 1, symbol(next)); };
                sum = onward(state);
                if (state + 1 < states) sum = log_add(sum, onward(state + 1));
                if (state + 2 < states && skips(state + 2)) sum = log_add(sum, onward(state + 2));
            }
            beta(t)[state] = sum;
        }
    }
    for (Index t = 0; t < s.frames; ++t) {
        const Softmax softmax = softmax_of(s.rows[t], s.symbols);
        for (Index k = 0; k < s.symbols; ++k) {
            double posterior = 0;
            for (Index state = 0; state < states; ++state) {
                if (symbol(state) == k) posterior += std::exp(alpha(t)[state] + beta(t)[state] - total);
            }
            const double p = std::exp(double(s.rows[t][k]) - softmax.greatest) / softmax.sum;
            s.rows[t][k] = static_cast<T>((p - posterior) * double(s.scale));
        }
    }
    return -total;
}

}  // namespace rnncore::reference
