// The weights of a decoder with attention, packed for the products of a pass. Those of its attention are packed apart.
#pragma once

#include <optional>
#include <vector>

#include "rnn/attention_rnn/layer.hpp"
#include "rnn/weights.hpp"

namespace rnncore {

// Where the arrays of the flat buffer [P] begin, of parameters or of gradients.
template <class T>
struct AttentionRnnArrays {
    AttentionRnnArrays(const AttentionRnn& layer, T* flat)
        : first(flat),
          attention(flat + layer.attention_offset()),
          second(flat + layer.last_offset()),
          combine(second),
          combine_bias(layer.feeds_input() && layer.options().bias ? flat + layer.combine_bias_offset() : nullptr),
          first_ih(flat + layer.first().offsets(0, 0).weight_ih),
          second_ih(layer.feeds_input() ? nullptr : second + layer.second().offsets(0, 0).weight_ih) {}

    T* first;         // of the first cell
    T* attention;     // of the attention
    T* second;        // of the second cell: conditional only
    T* combine;       // W_c [H, M+H]: input feeding only
    T* combine_bias;  // b_c [H]; null: none
    T* first_ih;      // [G*H, I], with input feeding [G*H, I+H]
    T* second_ih;     // [G*H, M]; null: no second cell
};

// Both are made before Arena::take; filled by all threads of a region, read after a barrier.
template <class T>
class PackedAttentionRnn {
public:
    PackedAttentionRnn(Arena& arena, const PassKernels<T>& kernels, const AttentionRnn& layer,
                       const AttentionRnnArrays<const T>& at);
    void fill(const Arena& arena, const Worker& worker) const;

    ForwardWeights<T> cell(std::size_t i, const Arena& arena) const { return cells_[i].in(arena); }
    const PassKernels<T>& kernels() const { return kernels_; }

    PackedMatrix<T> input;                   // x's part of W_ih^T [I, G*H]
    PackedMatrix<T> fed;                     // its part for a' [H, G*H]; conditional: W_ih^T of the second [M, G*H]
    std::optional<PackedMatrix<T>> combine;  // W_c^T [M+H, H]
    const T* combine_bias;                   // not packed

private:
    PassKernels<T> kernels_;
    const T* params_[2];  // of the cells
    std::vector<PackedForward<T>> cells_;
};

template <class T>
class PackedAttentionRnnBackward {
public:
    PackedAttentionRnnBackward(Arena& arena, const PassKernels<T>& kernels, const AttentionRnn& layer,
                               const AttentionRnnArrays<const T>& at);
    void fill(const Arena& arena, const Worker& worker) const;

    BackwardWeights<T> cell(std::size_t i, const Arena& arena) const { return cells_[i].in(arena); }

    PackedMatrix<T> input, fed;  // the same matrices, not transposed
    std::optional<PackedMatrix<T>> combine;

private:
    const T* params_[2];
    std::vector<PackedBackward<T>> cells_;
};

}  // namespace rnncore
