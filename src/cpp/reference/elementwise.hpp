// Maps and sums over arrays, softmax cross-entropy, dropout.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/philox.hpp"
#include "kernels/table.hpp"
#include "reference/cells.hpp"

namespace rnncore::reference {

template <class T>
void map_exp(const T* x, Index n, T* y) {
    for (Index i = 0; i < n; ++i) y[i] = static_cast<T>(std::exp(double(x[i])));
}

template <class T>
void map_sigmoid(const T* x, Index n, T* y) {
    for (Index i = 0; i < n; ++i) y[i] = static_cast<T>(sigmoid(x[i]));
}

template <class T>
void map_tanh(const T* x, Index n, T* y) {
    for (Index i = 0; i < n; ++i) y[i] = static_cast<T>(std::tanh(double(x[i])));
}

template <class T>
void add(const T* x, Index n, T* y) {
    for (Index i = 0; i < n; ++i) y[i] += x[i];
}

template <class T>
void scale(T factor, Index n, T* y) {
    for (Index i = 0; i < n; ++i) y[i] *= factor;
}

template <class T>
void multiply(const T* x, const T* y, Index n, T* z) {
    for (Index i = 0; i < n; ++i) z[i] = x[i] * y[i];
}

// Not std::clamp: NaN stays NaN.
inline double clipped(double x, double limit) { return x > limit ? limit : x < -limit ? -limit : x; }

template <class T>
void clip(T limit, Index n, T* y) {
    for (Index i = 0; i < n; ++i) y[i] = static_cast<T>(clipped(y[i], limit));
}

template <class T>
double squared_norm(const T* x, Index n) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += double(x[i]) * double(x[i]);
    return sum;
}

// softmax(z)_i = exp(z_i - m) / s with m = max z, s = sum over j of exp(z_j - m)
struct Softmax {
    double greatest, sum;
};

template <class T>
Softmax softmax_of(const T* logits, Index n) {
    Softmax result{double(*std::max_element(logits, logits + n)), 0};
    for (Index i = 0; i < n; ++i) result.sum += std::exp(double(logits[i]) - result.greatest);
    return result;
}

// -log softmax(z)_t = log s + m - z_t
template <class T>
double cross_entropy(const T* logits, Index n, Index target) {
    const Softmax s = softmax_of(logits, n);
    return std::log(s.sum) + s.greatest - double(logits[target]);
}

// its gradient with respect to z: softmax(z) - one_hot(t), times a scale
template <class T>
double cross_entropy_grad(T* logits, Index n, Index target, T scale) {
    const double loss = cross_entropy(logits, n, target);
    const Softmax s = softmax_of(logits, n);
    for (Index i = 0; i < n; ++i) {
        const double probability = std::exp(double(logits[i]) - s.greatest) / s.sum;
        logits[i] = static_cast<T>(double(scale) * (probability - (i == target ? 1.0 : 0.0)));
    }
    return loss;
}

// Dropped where the element's random number, uniform in [0, 2^32), is below p 2^32.
template <class T>
void dropout(const Dropout<T>& d) {
    const double factor = 1.0 / (1.0 - d.p);
    for (Index i = 0; i < d.n; ++i) {
        const auto number = philox_number(d.seed, d.first + static_cast<std::uint64_t>(i), RandomUse::dropout);
        const bool kept = double(number) >= d.p * 0x1p32;
        d.y[i] = kept ? static_cast<T>(double(d.x[i]) * factor) : T(0);
    }
}

}  // namespace rnncore::reference
