// One step of a cell, forward and backward: its products around the pointwise part. The one place above the kernels
// where cells differ.
#pragma once

#include "rnn/network.hpp"
#include "rnn/weights.hpp"

namespace rnncore {

// The part of a step that falls to one thread: all units, or some of them while the others do the rest.
struct UnitShare {
    Range units;
    Team* team;             // that divides the units; null: nobody else works on these rows
    void* scratch;          // of this thread's products
    bool from_end = false;  // how the step reads its weights, see Product

    // Waits until the others have come as far; whether to go on, the same answer for all of them.
    bool wait() const { return !team || team->barrier(); }
};

// Whether the step at time t reads its weights from the end: every other one.
inline bool reads_from_end(Index t) { return t % 2 != 0; }

// Of a network's cell: several steps in one call.
template <class T>
auto steps_kernel(const Network& network, const StorageKernels<T>& kernels) {
    switch (network.cell()) {
        case CellKind::lstm:
            return kernels.lstm_steps;
        case CellKind::gru_after:
            return kernels.gru_after_steps;
        case CellKind::gru_before:
            return kernels.gru_before_steps;
        case CellKind::rnn:
            break;
    }
    return kernels.rnn_steps[static_cast<int>(network.nonlinearity())];
}

// s.gates holds the input's part of the sums. The h of the step before must be whole:
// after each time step, and before the first, the threads of a share wait.
template <class T>
void forward_step(const Network& network, const ForwardWeights<T>& weights, CellForward<T> s, const UnitShare& share);

// The same for several steps; weights.steps takes them.
template <class T>
void forward_steps(const Network& network, const ForwardWeights<T>& weights, LayerSteps<T> s);

// s.dh becomes the gradient of h_prev, s.dgates are whole at the end; the answer of the last wait.
template <class T>
bool backward_step(const Network& network, const BackwardWeights<T>& weights, CellBackward<T> s,
                   const UnitShare& share);

}  // namespace rnncore
