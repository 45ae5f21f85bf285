// LSTM: gates i, f, g, o; states h and c. The tape keeps the gates and c.
#include "rnn/cells/step.hpp"
#include "rnn/cells/table.hpp"

namespace rnncore {
namespace {

constexpr Index kGates = 4;

template <class T>
void forward(const ForwardWeights<T>& w, CellForward<T> s, const UnitShare& share) {
    take_units(s, share);
    add_recurrent(w, s, kGates, share);
    w.step->lstm_forward(s);
}

template <class T>
void forward_steps(const StorageKernels<T>& kernels, const LayerSteps<T>& s) {
    kernels.lstm_steps(s);
}

template <class T>
bool backward(const BackwardWeights<T>& w, CellBackward<T> s, const UnitShare& share) {
    take_units(s, share);
    w.step->lstm_backward(s);
    const bool go_on = share.wait();
    add_recurrent_backward(w, s, kGates, share);
    return go_on;
}

}  // namespace

constinit const Cell kLstm = {
    .name = "lstm",
    .gates = kGates,
    .gate_names = {"input_gate", "forget_gate", "cell_input", "output_gate"},
    .sums_in_output = false,
    .has_extra = false,
    .states = 2,
    .product_count = 1,
    .products = {{0, kGates}},
    .f32 = {forward<float>, forward_steps<float>, backward<float>},
    .f64 = {forward<double>, forward_steps<double>, backward<double>},
};

}  // namespace rnncore
