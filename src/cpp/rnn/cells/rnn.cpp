// Elman's network: one gate, whose activation is the output, in whose place the sums are made. The tape keeps no more.
#include "rnn/cells/step.hpp"
#include "rnn/cells/table.hpp"

namespace rnncore {
namespace {

template <class T, Nonlinearity f>
void forward(const ForwardWeights<T>& w, CellForward<T> s, const UnitShare& share) {
    take_units(s, share);
    add_recurrent(w, s, 1, share);
    w.step->rnn_forward[static_cast<int>(f)](s);
}

template <class T, Nonlinearity f>
void forward_steps(const StorageKernels<T>& kernels, const LayerSteps<T>& s) {
    kernels.rnn_steps[static_cast<int>(f)](s);
}

template <class T, Nonlinearity f>
bool backward(const BackwardWeights<T>& w, CellBackward<T> s, const UnitShare& share) {
    take_units(s, share);
    w.step->rnn_backward[static_cast<int>(f)](s);
    const bool go_on = share.wait();
    add_recurrent_backward(w, s, 1, share);
    return go_on;
}

template <Nonlinearity f>
constexpr Cell rnn(const char* name) {
    return {
        .name = name,
        .gates = 1,
        .gate_names = {"hidden"},
        .sums_in_output = true,
        .has_extra = false,
        .states = 1,
        .product_count = 1,
        .products = {{0, 1}},
        .f32 = {forward<float, f>, forward_steps<float, f>, backward<float, f>},
        .f64 = {forward<double, f>, forward_steps<double, f>, backward<double, f>},
    };
}

}  // namespace

constinit const Cell kRnnTanh = rnn<Nonlinearity::tanh>("rnn_tanh");
constinit const Cell kRnnRelu = rnn<Nonlinearity::relu>("rnn_relu");
constinit const Cell kRnnSigmoid = rnn<Nonlinearity::sigmoid>("rnn_sigmoid");
constinit const Cell kRnnIdentity = rnn<Nonlinearity::identity>("rnn_identity");

}  // namespace rnncore
