// One step of a cell, forward and backward: its products around the pointwise part. The one place above the kernels
// where cells differ.
#pragma once

#include "rnn/network.hpp"
#include "rnn/weights.hpp"

namespace rnncore {

// s.gates holds the input's part of the sums (for CellKind::rnn: s.h does).
template <class T>
void forward_step(const Network& network, const ForwardWeights<T>& weights, const CellForward<T>& s);

// s.dh becomes the gradient of h_prev.
template <class T>
void backward_step(const Network& network, const BackwardWeights<T>& weights, const CellBackward<T>& s);

}  // namespace rnncore
