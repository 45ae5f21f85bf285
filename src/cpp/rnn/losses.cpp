#include "rnn/losses.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dispatch/dispatch.hpp"
#include "rnn/blocks.hpp"

namespace rnncore {

namespace {

struct Element {
    double loss, gradient;
};

Element squared_error(double prediction, double target) {
    const double difference = prediction - target;
    return {difference * difference, 2 * difference};
}

// max(z, 0) - z t + log(1 + exp(-|z|)): the exponential does not overflow, and no digits are lost for large |z|.
Element binary(double z, double t) {
    const double e = std::exp(-std::fabs(z));
    return {std::fmax(z, 0.0) - z * t + std::log1p(e), (z >= 0 ? 1 : e) / (1 + e) - t};
}

// The sum over a row's elements of make(z, target), which `take` also gets one by one.
template <class T, class Make, class Take>
double row_sum(const T* z, const T* target, Index width, const Make& make, const Take& take) {
    double sum = 0;
    for (Index v = 0; v < width; ++v) {
        const bool counts = target[v] == target[v];
        const Element element = counts ? make(z[v], target[v]) : Element{0, 0};
        sum += element.loss;
        take(v, element.gradient);
    }
    return sum;
}

template <class T, class Take>
double row_sum(const RowTargets<T>& targets, const T* z, Index n, const Take& take) {
    const T* target = targets.values + n * targets.width;
    return targets.kind == LossKind::binary ? row_sum(z, target, targets.width, binary, take)
                                            : row_sum(z, target, targets.width, squared_error, take);
}

// In T over a few elements, for the vector units, and in double over these sums.
template <class T>
double mean(const T* z, Index n) {
    constexpr Index kChains = 16, kTerms = 8;
    double sum = 0;
    Index i = 0;
    for (; i + kChains * kTerms <= n; i += kChains * kTerms) {
        T part[kChains] = {};
        for (Index t = 0; t < kTerms; ++t)
            for (Index c = 0; c < kChains; ++c) part[c] += z[i + t * kChains + c];
        sum = std::accumulate(part, part + kChains, sum);
    }
    return std::accumulate(z + i, z + n, sum) / static_cast<double>(n);
}

}  // namespace

template <class T>
RowTargets<T> RowTargets<T>::from(Index first) const {
    RowTargets rest = *this;
    if (classes.ids) rest.classes.ids += first;
    if (values) rest.values += first * width;
    if (weights) rest.weights += first;
    return rest;
}

template <class T>
double RowTargets<T>::loss(const Kernels<T>& kernels, const T* z, Index n) const {
    const double weight = weights ? static_cast<double>(weights[n]) : 1;
    if (kind != LossKind::softmax) return weight * row_sum(*this, z, n, [](Index, double) {});
    const std::int64_t target = classes.ids[n];
    return target == classes.ignored ? 0.0 : weight * kernels.cross_entropy(z, width, target);
}

template <class T>
double RowTargets<T>::gradient(const Kernels<T>& kernels, T* z, Index n, T scale) const {
    const double weight = weights ? static_cast<double>(weights[n]) : 1;
    const T factor = weights ? scale * weights[n] : scale;
    if (kind != LossKind::softmax)
        return weight * row_sum(*this, z, n, [&](Index v, double g) { z[v] = static_cast<T>(g) * factor; });
    const std::int64_t target = classes.ids[n];
    if (target != classes.ignored && smoothing > 0) return weight * smoothed(kernels, z, target, factor);
    if (target != classes.ignored) return weight * kernels.cross_entropy_grad(z, width, target, factor);
    std::fill_n(z, width, T(0));
    return 0;
}

// loss = log sum_v exp(z[v]) - (1 - e) z[class] - e mean(z), dz = softmax - (1 - e) one_hot(class) - e / V
template <class T>
double RowTargets<T>::smoothed(const Kernels<T>& kernels, T* z, Index target, T scale) const {
    const double above = smoothing * (static_cast<double>(z[target]) - mean(z, width));
    const double loss = kernels.cross_entropy_grad(z, width, target, scale) + above;
    const double moved = smoothing * static_cast<double>(scale);
    const T share = static_cast<T>(moved / static_cast<double>(width));
    for (Index v = 0; v < width; ++v) z[v] -= share;
    z[target] += static_cast<T>(moved);
    return loss;
}

template <class T>
void cross_entropy(const Matrix<const T>& logits, const Targets& targets, double* losses, T* dlogits) {
    const Kernels<T>& k = kernels<T>();
    const Matrix<T> gradient{dlogits, logits.rows, logits.columns, logits.columns};
    const RowTargets<T> rows{LossKind::softmax, targets, nullptr, nullptr, logits.columns, 0};
    for_row_blocks(logits.rows, logits.columns, [&](Index first, Index last) {
        for (Index n = first; n < last; ++n) {
            std::copy_n(logits.row(n), logits.columns, gradient.row(n));
            losses[n] = rows.gradient(k, gradient.row(n), n, T(1));
        }
    });
}

template <class T, class Make>
void element_loss(const ElementLoss<T>& s, const Make& make) {
    for_element_blocks(s.n, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
            const Element element = make(s.prediction[i], s.target[i]);
            s.losses[i] = element.loss;
            s.gradient[i] = static_cast<T>(element.gradient);
        }
    });
}

template <class T>
void mse(const ElementLoss<T>& s) {
    element_loss(s, squared_error);
}

template <class T>
void binary_cross_entropy(const ElementLoss<T>& s) {
    element_loss(s, binary);
}

#define RNNCORE_INSTANTIATE(T)                                                        \
    template struct RowTargets<T>;                                                    \
    template void cross_entropy(const Matrix<const T>&, const Targets&, double*, T*); \
    template void mse(const ElementLoss<T>&);                                         \
    template void binary_cross_entropy(const ElementLoss<T>&);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
