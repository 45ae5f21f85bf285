// The weights of one direction of one layer, packed for the products of a pass.
#pragma once

#include "core/memory.hpp"
#include "rnn/network.hpp"

namespace rnncore {

// Elements of a packed [k, n] matrix.
template <class T>
Index packed_size(const Kernels<T>& kernels, Index k, Index n) {
    return packed_depth(kernels, k) * ((n + kernels.lanes - 1) / kernels.lanes * kernels.lanes);
}

// Forward: every product is rows [*, k] times W^T.
template <class T>
struct ForwardWeights {
    const Kernels<T>* kernels;  // that the matrices are packed for
    const T* input;             // W_ih^T      [I, G*H]; null for one-hot inputs
    const T* fused;             // W_hh^T      [H, fused columns]
    const T* extra;             // W_hn^T      [H, H], GRU only
    const T* bias;              // [G*H]       what the sums start from
    const T* bias_extra;        // [H]         what W_hn h starts from (reset after)
};

// Backward: every product is rows [*, k] times W.
template <class T>
struct BackwardWeights {
    const Kernels<T>* kernels;
    const T* input;  // W_ih           [G*H, I]; null where no gradient of x is wanted
    const T* fused;  // W_hh           [fused columns, H]
    const T* extra;  // W_hn           [H, H], GRU only
};

// What the sums start from: bias [G*H], and bias_extra [H] for the product with W_hn (reset after).
template <class T>
void fill_biases(const Network& network, const T* params, const ParameterOffsets& at, T* bias, T* bias_extra);

// Takes memory for, and fills, the packed weights. reserve before Arena::take; fill may be divided among threads by
// direction: each object is filled by one of them.
template <class T>
class PackedForward {
public:
    PackedForward(Arena& arena, const Kernels<T>& kernels, const Network& network, Index layer, bool one_hot);
    ForwardWeights<T> fill(const Arena& arena, const T* params, Index direction) const;

private:
    const Kernels<T>* kernels_;
    const Network* network_;
    Index layer_;
    bool one_hot_;
    Arena::Slot<T> input_, fused_, extra_, bias_, bias_extra_;
};

template <class T>
class PackedBackward {
public:
    PackedBackward(Arena& arena, const Kernels<T>& kernels, const Network& network, Index layer, bool wants_dx);
    BackwardWeights<T> fill(const Arena& arena, const T* params, Index direction) const;

private:
    const Kernels<T>* kernels_;
    const Network* network_;
    Index layer_;
    bool wants_dx_;
    Arena::Slot<T> input_, fused_, extra_;
};

}  // namespace rnncore
