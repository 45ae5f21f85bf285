// The output layer and loss of a model whose every step has a target: the losses of W dropout(y) + b. As the source of
// the gradient of the outputs it lets one sweep from the end of the sequence do both the loss and back-propagation
// through time.
#pragma once

#include <optional>

#include "rnn/backward.hpp"
#include "rnn/linear_loss.hpp"

namespace rnncore {

template <class T>
struct Head {
    Matrix<const T> weight;  // [V, D*H]
    const T* bias;           // [V], null: none
    RowTargets<T> targets;   // [N], as the tape's packed rows
    double* losses;          // [N]
    Index rows;              // N
    LinearLossGradients<T> gradients;
    double dropout;      // of y, probability
    std::uint64_t seed;  // of its mask
    Compute compute;
};

template <class T>
class LossHead final : public OutputGradient<T> {
public:
    explicit LossHead(const Head<T>& head);

    double flops(Index rows) const override;
    Index product_scratch_bytes() const override { return kernels_.product_scratch_bytes; }
    std::size_t reserve(Arena& arena, Index rows, int threads) override;
    void begin(const Arena& arena, const Worker& worker) const override;
    void write(const Arena& arena, Index first, const Matrix<const T>& y, const Matrix<T>& dy,
               const Worker& worker) const override;

private:
    // to = the rows from `first` on after dropout; a barrier must follow
    void drop(const Matrix<const T>& from, Index first, T* to, const Worker& worker) const;

    const Head<T> head_;
    const Kernels<T>& kernels_;
    std::optional<LinearLossPass<T>> pass_;
    Arena::Slot<T> dropped_;  // rows of y after dropout
};

}  // namespace rnncore
