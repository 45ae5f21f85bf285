// The pass forward of a decoder with attention.
#pragma once

#include <vector>

#include "rnn/attention_rnn/tape.hpp"
#include "rnn/attention_rnn/weights.hpp"

namespace rnncore {

template <class T>
PassKernels<T> attention_rnn_kernels(const AttentionRnn& layer, const Sequence& sequence);

// Weights that stay as they are for many passes over few rows each, packed once.
template <class T>
class HeldAttentionRnn {
public:
    // `params` must outlive this, unchanged.
    HeldAttentionRnn(const AttentionRnn& layer, const AttentionRnnArrays<const T>& params, Index width);

    const AttentionRnn& layer() const { return layer_; }
    const AttentionRnnArrays<const T>& params() const { return params_; }
    const PassKernels<T>& kernels() const { return kernels_; }
    const Arena& arena() const { return arena_; }
    const PackedAttentionRnn<T>& packed() const { return packed_; }

private:
    const AttentionRnn layer_;
    const AttentionRnnArrays<const T> params_;
    const PassKernels<T> kernels_;
    Arena arena_;
    PackedAttentionRnn<T> packed_;
};

// final_state: by state [B,H] in the caller's order. With `held` the parameters are its own.
template <class T>
void run_forward(AttentionRnnTape<T>& tape, const AttentionRnnArrays<const T>& params,
                 const std::vector<T*>& final_state, const HeldAttentionRnn<T>* held = nullptr);

}  // namespace rnncore
