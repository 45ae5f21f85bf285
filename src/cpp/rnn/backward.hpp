// Back-propagation through time over a tape.
#pragma once

#include "rnn/tape.hpp"

namespace rnncore {

template <class T>
struct BackwardInput {
    const T* dy = nullptr;         // [N, D*H] packed rows; null: zero
    std::vector<const T*> dstate;  // per state [L*D, B, H], gradient of the final state; empty: zero
};

template <class T>
struct BackwardOutput {
    T* grads;                // [P], added to
    T* dx;                   // [N, I] packed rows; null: not wanted (one-hot inputs have none)
    std::vector<T*> dstate;  // per state [L*D, B, H], gradient of the initial state
};

template <class T>
void run_backward(const Tape<T>& tape, const T* params, const BackwardInput<T>& input, const BackwardOutput<T>& output);

}  // namespace rnncore
