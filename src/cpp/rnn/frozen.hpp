// Weights that stay as they are for many passes forward, packed once.
#pragma once

#include <atomic>
#include <cstddef>
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

    // Whether weights that are packed like this serve a pass that wants them so. Tables of one instruction set that
    // pack with the same function multiply with the same.
    bool serves(const ForwardPacking& wanted) const {
        return kernels.whole.pack == wanted.kernels.whole.pack && kernels.step.pack == wanted.kernels.step.pack &&
               kernels.steps == wanted.kernels.steps && gates == wanted.gates && (packs_first || !wanted.packs_first);
    }
};

template <class T>
class FrozenWeights {
public:
    // `params` [P] must outlive this, unchanged.
    FrozenWeights(const Network& network, const T* params) : network_(network), params_(params) {}
    ~FrozenWeights();
    FrozenWeights(const FrozenWeights&) = delete;
    FrozenWeights& operator=(const FrozenWeights&) = delete;

    const T* params() const { return params_; }
    std::size_t bytes() const;  // of what has been packed so far

    // By layer and direction; packed when they are first asked for in this way. Any thread may ask at any time.
    const std::vector<ForwardWeights<T>>& packed(const ForwardPacking<T>& how) const;

private:
    // A list that only grows: nobody waits for a lock, which a fork could leave held for ever.
    struct Packed {
        ForwardPacking<T> how;
        Arena arena;
        std::vector<ForwardWeights<T>> weights;
        Packed* next;
    };

    static const Packed* find(const Packed* first, const ForwardPacking<T>& how);

    Network network_;
    const T* params_;
    mutable std::atomic<Packed*> packed_{nullptr};
};

}  // namespace rnncore
