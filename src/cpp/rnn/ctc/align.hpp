// The most probable path of frames through given labels (Viterbi).
#pragma once

#include "rnn/ctc/problem.hpp"

namespace rnncore {

// log_p [N,C], logarithms of probabilities. States [N] of the path of each sequence: 2 i for the blank before label i,
// 2 i + 1 for label i. scores [B]: the sum of the path's logarithms; minus infinity, and any states, where there is
// none.
template <class T>
void ctc_align(const CtcProblem& problem, const T* log_p, Index* states, double* scores);

}  // namespace rnncore
