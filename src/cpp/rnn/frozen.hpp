// Weights that stay as they are for many passes forward: a copy of a network's parameters, packed once.
#pragma once

#include <atomic>
#include <vector>

#include "core/memory.hpp"
#include "rnn/weights.hpp"

namespace rnncore {

// How a pass wants the weights of all layers.
template <class T>
struct ForwardPacking {
    PassKernels<T> kernels;
    GateColumns gates;
    bool packs_first;  // also W_ih of the first layer: not where the inputs are one-hot

    bool operator==(const ForwardPacking& other) const {
        return &kernels.whole == &other.kernels.whole && &kernels.step == &other.kernels.step && gates == other.gates &&
               packs_first == other.packs_first;
    }
};

template <class T>
class FrozenWeights {
public:
    FrozenWeights(const Network& network, const T* params);  // [P], copied
    ~FrozenWeights();
    FrozenWeights(const FrozenWeights&) = delete;
    FrozenWeights& operator=(const FrozenWeights&) = delete;

    const Network& network() const { return network_; }
    const T* params() const { return static_cast<const T*>(params_.data()); }

    // By layer and direction; packed when they are first asked for in this way. Any thread may ask at any time.
    const std::vector<ForwardWeights<T>>& packed(const ForwardPacking<T>& how) const;

private:
    // A list that only grows, so that nobody waits: two threads that come first together both pack, and both are kept.
    struct Packed {
        ForwardPacking<T> how;
        Arena arena;
        std::vector<ForwardWeights<T>> weights;
        Packed* next;
    };

    Network network_;
    Block params_;
    mutable std::atomic<Packed*> packed_{nullptr};
};

}  // namespace rnncore
