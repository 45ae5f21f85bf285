// The pass forward: for every layer the input product over a chunk of steps, then the recurrent steps of that chunk.
#pragma once

#include "rnn/frozen.hpp"
#include "rnn/tape.hpp"

namespace rnncore {

// Fills tape.layers (prepared) from params [P]; the outputs are in tape.y(), packed. final_state receives, for each
// state [L*D, B, H] in the caller's order, its value at every sequence's last step.
template <class T>
void run_forward(Tape<T>& tape, const T* params, const std::vector<T*>& final_state);

// The same with weights that are packed already, of the same network: the same bits.
template <class T>
void run_forward(Tape<T>& tape, const FrozenWeights<T>& frozen, const std::vector<T*>& final_state);

}  // namespace rnncore
