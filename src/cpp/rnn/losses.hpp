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

enum class LossKind { softmax, squared_error, binary };

// What rows of outputs z [N,V] are compared with. A row's loss is
//     softmax          log sum_v exp(z[v]) - z[class]
//     squared_error    sum_v (z[v] - value[v])^2
//     binary           -sum_v (value[v] log sigmoid(z[v]) + (1 - value[v]) log(1 - sigmoid(z[v])))
// times the row's weight. A class of `ignored` and a value that is not a number do not count: their loss and gradient
// are 0. With label smoothing e (Szegedy et al. 2016, arXiv 1512.00567) the gradient, and the loss that it is of, are
// those of softmax against the distribution (1 - e) one_hot(class) + e / V.
template <class T>
struct RowTargets {
    LossKind kind;
    Targets classes;   // [N], softmax
    const T* values;   // [N,V], the others
    const T* weights;  // [N], null: all 1
    Index width;       // V
    double smoothing;  // e, of softmax

    RowTargets from(Index first) const;                                 // the rows from `first` on
    double loss(const Kernels<T>& kernels, const T* z, Index n) const;  // without smoothing
    // Overwrites z by the gradient times `scale`; returns the loss.
    double gradient(const Kernels<T>& kernels, T* z, Index n, T scale) const;

private:
    double smoothed(const Kernels<T>& kernels, T* z, Index target, T scale) const;
};

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
