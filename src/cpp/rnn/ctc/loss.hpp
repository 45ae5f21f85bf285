// Loss of connectionist temporal classification, with the softmax before it, and its gradient.
#pragma once

#include "rnn/ctc/problem.hpp"

namespace rnncore {

// losses [B] of z [N,C]: infinite where no path leads to the labels, not a number where a frame holds a number that is
// none, or infinity.
template <class T>
void ctc_losses(const CtcProblem& problem, const T* z, double* losses);

// The same, and in the place of z [N,C] the gradient of the sum of the finite losses, times `scale`.
template <class T>
void ctc_gradient(const CtcProblem& problem, double scale, T* z, double* losses);

}  // namespace rnncore
