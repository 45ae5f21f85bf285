// Losses of independent rows or elements, each with its gradient in the same pass. Losses are double.
#pragma once

#include <cstdint>

#include "rnn/matrix.hpp"

namespace rnncore {

// Classes of rows: each within [0, V), or `ignored`, which yields loss 0 and gradient 0.
struct Targets {
    const std::int64_t* ids;  // [N]
    std::int64_t ignored;
};

// losses[n] = -log softmax(logits[n])[target], dlogits = softmax - one_hot(target); logits [N,V], dlogits [N,V]
// contiguous
template <class T>
void cross_entropy(const Matrix<const T>& logits, const Targets& targets, double* losses, T* dlogits);

// The same for row n of logits that are overwritten by their gradient times `scale`; returns the row's loss.
template <class T>
double cross_entropy_in_place(const Kernels<T>& kernels, const Matrix<T>& logits, const Targets& targets, Index n,
                              T scale);

// Pairs of elements [n].
template <class T>
struct ElementLoss {
    Index n;
    const T* prediction;  // or logits
    const T* target;
    double* losses;
    T* gradient;  // with respect to the prediction
};

// (p - t)^2, 2 (p - t)
template <class T>
void mse(const ElementLoss<T>& s);

// -t log sigmoid(z) - (1 - t) log(1 - sigmoid(z)), sigmoid(z) - t
template <class T>
void binary_cross_entropy(const ElementLoss<T>& s);

}  // namespace rnncore
