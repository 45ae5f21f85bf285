// A language model's head: softmax cross-entropy of x W^T + b, in blocks of rows, so that the logits [N,V] are never held
// whole.
#pragma once

#include "rnn/losses.hpp"

namespace rnncore {

template <class T>
struct LinearCrossEntropy {
    Matrix<const T> x;       // [N,H]
    Matrix<const T> weight;  // [V,H]
    const T* bias;           // [V], null: none
    Targets targets;         // [N]
    double* losses;          // [N]
};

template <class T>
void linear_cross_entropy(const LinearCrossEntropy<T>& s);

// Gradients of the sum of the losses times `scale`.
template <class T>
struct LinearCrossEntropyGradients {
    double scale;
    T* dx;       // [N,H]
    T* dweight;  // [V,H] added to
    T* dbias;    // [V] added to; null: no bias
};

template <class T>
void linear_cross_entropy_grad(const LinearCrossEntropy<T>& s, const LinearCrossEntropyGradients<T>& out);

}  // namespace rnncore
