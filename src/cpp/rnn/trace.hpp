// Gates, cell states and hidden states of every step, as a pass forward has kept them for back-propagation.
#pragma once

#include <vector>

#include "rnn/tape.hpp"

namespace rnncore {

// One of the arrays that a direction of a layer has kept.
template <class T>
struct TracedArray {
    const char* name;  // "forget_gate", "cell", "hidden", ...
    const T* rows;     // [N, H] packed rows of the sequence
    Index pitch;       // elements from one row to the next
};

// The gates in their order in memory, unless they are the output; a second state; the output. The tape must have been
// kept whole, not as checkpoints.
template <class T>
std::vector<TracedArray<T>> traced_arrays(const Tape<T>& tape, Index layer, Index direction);

// Rows -> [T,B,H] in the caller's order; zero past the end of a sequence.
template <class T>
void unpack_traced(const Tape<T>& tape, const TracedArray<T>& array, T* to);

}  // namespace rnncore
