// The weights of a decoder with attention, packed for the products of a pass.
#pragma once

#include <optional>
#include <vector>

#include "rnn/attention_rnn/layer.hpp"
#include "rnn/weights.hpp"

namespace rnncore {

// Both are made before Arena::take; filled by all threads of a region, read after a barrier.
template <class T>
class PackedAttentionRnn {
public:
    PackedAttentionRnn(Arena& arena, const PassKernels<T>& kernels, const AttentionRnn& layer,
                       const AttentionRnnArrays<const T>& params, Index width);
    void fill(const Arena& arena, const Worker& worker) const;

    ForwardWeights<T> cell(std::size_t i, const Arena& arena) const { return cells_[i].in(arena); }

    PackedMatrix<T> input;                   // x's part of W_ih^T [I, G*H]
    PackedMatrix<T> fed;                     // its part for a' [H, G*H]; conditional: W_ih^T of the second [C, G*H]
    std::optional<PackedMatrix<T>> combine;  // W_c^T [C+H, H]: input feeding
    std::optional<PackedMatrix<T>> query;    // W_q^T [H, A]

private:
    const T* params_[2];  // of the cells
    std::vector<PackedForward<T>> cells_;
};

// The same matrices, not transposed.
template <class T>
class PackedAttentionRnnBackward {
public:
    PackedAttentionRnnBackward(Arena& arena, const PassKernels<T>& kernels, const AttentionRnn& layer,
                               const AttentionRnnArrays<const T>& params, Index width);
    void fill(const Arena& arena, const Worker& worker) const;

    BackwardWeights<T> cell(std::size_t i, const Arena& arena) const { return cells_[i].in(arena); }

    PackedMatrix<T> input, fed;
    std::optional<PackedMatrix<T>> combine, query;

private:
    const T* params_[2];
    std::vector<PackedBackward<T>> cells_;
};

}  // namespace rnncore
