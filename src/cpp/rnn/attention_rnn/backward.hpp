// Back-propagation through time over the tape of a decoder with attention.
#pragma once

#include <vector>

#include "rnn/attention_rnn/tape.hpp"
#include "rnn/attention_rnn/weights.hpp"

namespace rnncore {

template <class T>
struct AttentionRnnBackwardInput {
    const T* dy;                   // [N, output] packed rows; null: zero
    std::vector<const T*> dstate;  // by state [B,H], gradient of the final state; null: zero
};

template <class T>
struct AttentionRnnBackwardOutput {
    AttentionRnnArrays<T> grads;  // added to
    T* dx;                        // [N, I] packed rows
    T* dkeys;                     // joined rows of the memory, added to; may be dvalues, where the keys are the values
    T* dvalues;                   // the same
    std::vector<T*> dstate;       // by state [B,H], gradient of the initial state
};

// No two sequences of the tape read the same sequence of the memory.
template <class T>
void run_backward(const AttentionRnnTape<T>& tape, const AttentionRnnArrays<const T>& params,
                  const AttentionRnnBackwardInput<T>& input, const AttentionRnnBackwardOutput<T>& output);

}  // namespace rnncore
