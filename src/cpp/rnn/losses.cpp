#include "rnn/losses.hpp"

#include <algorithm>
#include <cmath>

#include "dispatch/dispatch.hpp"
#include "rnn/blocks.hpp"

namespace rnncore {

template <class T>
double cross_entropy_in_place(const Kernels<T>& kernels, const Matrix<T>& logits, const Targets& targets, Index n,
                              T scale) {
    if (targets.ids[n] != targets.ignored)
        return kernels.cross_entropy_grad(logits.row(n), logits.columns, targets.ids[n], scale);
    std::fill_n(logits.row(n), logits.columns, T(0));
    return 0;
}

template <class T>
void cross_entropy(const Matrix<const T>& logits, const Targets& targets, double* losses, T* dlogits) {
    const Kernels<T>& k = kernels<T>();
    const Matrix<T> gradient{dlogits, logits.rows, logits.columns, logits.columns};
    for_row_blocks(logits.rows, logits.columns, [&](Index first, Index last) {
        for (Index n = first; n < last; ++n) {
            std::copy_n(logits.row(n), logits.columns, gradient.row(n));
            losses[n] = cross_entropy_in_place(k, gradient, targets, n, T(1));
        }
    });
}

template <class T>
void mse(const ElementLoss<T>& s) {
    for_element_blocks(s.n, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
            const double difference = static_cast<double>(s.prediction[i]) - static_cast<double>(s.target[i]);
            s.losses[i] = difference * difference;
            s.gradient[i] = static_cast<T>(2 * difference);
        }
    });
}

// max(z, 0) - z t + log(1 + exp(-|z|)): the exponential does not overflow, and no digits are lost for large |z|.
template <class T>
void binary_cross_entropy(const ElementLoss<T>& s) {
    for_element_blocks(s.n, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
            const double z = s.prediction[i], t = s.target[i];
            const double e = std::exp(-std::fabs(z));
            s.losses[i] = std::fmax(z, 0.0) - z * t + std::log1p(e);
            s.gradient[i] = static_cast<T>((z >= 0 ? 1 : e) / (1 + e) - t);
        }
    });
}

#define RNNCORE_INSTANTIATE(T)                                                                             \
    template void cross_entropy(const Matrix<const T>&, const Targets&, double*, T*);                      \
    template double cross_entropy_in_place(const Kernels<T>&, const Matrix<T>&, const Targets&, Index, T); \
    template void mse(const ElementLoss<T>&);                                                              \
    template void binary_cross_entropy(const ElementLoss<T>&);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
