// One step at a time with weights packed once: for streaming and sampling. Nothing is allocated per step.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.hpp"
#include "rnn/network.hpp"
#include "rnn/weights.hpp"

namespace rnncore {

template <class T>
class Stream {
public:
    Stream(const Network& network, const T* params, Index batch);  // Invalid for a bidirectional network

    const Network& network() const { return network_; }
    Index batch() const { return batch_; }

    const T* step(const T* x);                   // x [B,I] -> h of the last layer [B,H], valid until the next step
    const T* step_ids(const std::int64_t* ids);  // [B], each within [0, I)
    T* state(Index which) { return state_[which].in(arena_); }  // [L,B,H]
    void reset();                                               // to zero

private:
    void require_same_kernels() const;
    const T* run();  // the sums of the first layer are in place

    const Network network_;
    const KernelTable* kernels_;  // that the weights are packed for
    Index batch_;
    Arena arena_;
    std::vector<ForwardWeights<T>> weights_;
    Arena::Slot<T> state_[2], previous_, sums_, extra_;
    Arena::Slot<T> table_;  // [I, G*H] W_ih^T + bias, for one-hot inputs
};

}  // namespace rnncore
