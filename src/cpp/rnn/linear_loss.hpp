// An output layer with its loss: the losses of z = x W^T + b, in blocks of rows, so that z [N,V] is never held whole.
#pragma once

#include "rnn/losses.hpp"

namespace rnncore {

template <class T>
struct LinearLoss {
    Matrix<const T> x;       // [N,H]
    Matrix<const T> weight;  // [V,H]
    const T* bias;           // [V], null: none
    RowTargets<T> targets;   // [N]
    double* losses;          // [N]
};

template <class T>
void linear_losses(const Kernels<T>& kernels, const LinearLoss<T>& s);

// Where the gradients of the sum of the losses times `scale` go.
template <class T>
struct LinearLossGradients {
    double scale;
    T* dweight;  // [V,H] added to
    T* dbias;    // [V] added to; null: no bias
};

// The losses of all rows and their gradients; dx [N,H].
template <class T>
void linear_losses_backward(const Kernels<T>& kernels, const LinearLoss<T>& s, const LinearLossGradients<T>& out,
                            const Matrix<T>& dx);

// The loss and its gradients by pieces of rows, inside the parallel region of a longer pass:
//     constructor, Arena::take;  in the region fill, a barrier, then add for piece after piece.
template <class T>
class LinearLossPass {
public:
    // for pieces of at most `rows` rows
    LinearLossPass(Arena& arena, const Kernels<T>& kernels, const Matrix<const T>& weight, Index rows, int threads);

    // The mark from which on memory is used within `add` only.
    std::size_t scratch() const { return scratch_; }

    void fill(const Arena& arena, const Worker& worker) const;  // packs the worker's share of the weights

    // The losses of one piece, its dx [N,H], and its part of the other gradients. Ends with a barrier; s.weight is the
    // constructor's.
    void add(const Arena& arena, const LinearLoss<T>& s, const LinearLossGradients<T>& out, const Matrix<T>& dx,
             const Worker& worker) const;

private:
    void add_block(const Arena& arena, const LinearLoss<T>& s, const LinearLossGradients<T>& out, const Matrix<T>& dx,
                   const Worker& worker) const;

    const Kernels<T>* kernels_;
    Index block_;
    PackedMatrix<T> forward_, backward_;
    std::size_t scratch_;
    OuterSum<T> outer_;
    Arena::Slot<T> logits_;
};

}  // namespace rnncore
