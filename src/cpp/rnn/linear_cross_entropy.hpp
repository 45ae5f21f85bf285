// A language model's head: softmax cross-entropy of x W^T + b, in blocks of rows, so that the logits [N,V] are never
// held whole.
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
void linear_cross_entropy(const Kernels<T>& kernels, const LinearCrossEntropy<T>& s);

// Where the gradients of the sum of the losses times `scale` go.
template <class T>
struct LinearCrossEntropyGradients {
    double scale;
    T* dweight;  // [V,H] added to
    T* dbias;    // [V] added to; null: no bias
};

// The loss and its gradients by pieces of rows, inside the parallel region of a longer pass:
//     constructor, Arena::take;  in the region fill, a barrier, then add for piece after piece.
template <class T>
class LinearCrossEntropyPass {
public:
    // for pieces of at most `rows` rows
    LinearCrossEntropyPass(Arena& arena, const Kernels<T>& kernels, const Matrix<const T>& weight, Index rows,
                           int threads);

    // The mark from which on memory is used within `add` only.
    std::size_t scratch() const { return scratch_; }

    void fill(const Arena& arena, const Worker& worker) const;  // packs the worker's share of the weights

    // The losses of one piece, its dx [N,H], and its part of the other gradients. Ends with a barrier; s.weight is the
    // constructor's.
    void add(const Arena& arena, const LinearCrossEntropy<T>& s, const LinearCrossEntropyGradients<T>& out,
             const Matrix<T>& dx, const Worker& worker) const;

private:
    void add_block(const Arena& arena, const LinearCrossEntropy<T>& s, const LinearCrossEntropyGradients<T>& out,
                   const Matrix<T>& dx, const Worker& worker) const;

    const Kernels<T>* kernels_;
    Index block_;
    PackedMatrix<T> forward_, backward_;
    std::size_t scratch_;
    OuterSum<T> outer_;
    Arena::Slot<T> logits_;
};

}  // namespace rnncore
