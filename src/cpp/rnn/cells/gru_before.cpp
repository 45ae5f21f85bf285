// GRU whose reset gate acts before the recurrent product: gates r, z, n, and extra = r * h_prev, which W_hn multiplies.
// The tape keeps both.
#include "rnn/cells/step.hpp"
#include "rnn/cells/table.hpp"

namespace rnncore {
namespace {

constexpr Index kSummed = 2;  // r and z, which must be known before the product of n

template <class T>
void forward(const ForwardWeights<T>& w, CellForward<T> s, const UnitShare& share) {
    const Index h = s.hidden;
    take_units(s, share);
    add_recurrent(w, s, kSummed, share);
    w.step->gru_before_gates(s);
    share.wait();
    // a_n += W_hn (r * h_prev)
    if (s.h_prev)
        StepProduct<T>{*w.step,    s.extra, h,         s.rows, h, w.recurrent[1], s.gates + kSummed * h,
                       s.ld_gates, nullptr, Init::keep}
            .multiply_units(share);
    w.step->gru_before_output(s);
}

template <class T>
void forward_steps(const StorageKernels<T>& kernels, const LayerSteps<T>& s) {
    kernels.gru_before_steps(s);
}

template <class T>
bool backward(const BackwardWeights<T>& w, CellBackward<T> s, const UnitShare& share) {
    const Index h = s.hidden;
    take_units(s, share);
    w.step->gru_before_output_backward(s);
    share.wait();
    // dextra = W_hn^T da_n
    StepProduct<T>{*w.step,   s.dgates + kSummed * h, s.ld_dgates, s.rows, h, w.recurrent[1], s.dextra, h, nullptr,
                   Init::zero}
        .multiply_units(share);
    w.step->gru_before_gates_backward(s);
    const bool go_on = share.wait();
    add_recurrent_backward(w, s, kSummed, share);
    return go_on;
}

}  // namespace

constinit const Cell kGruBefore = {
    .name = "gru_before",
    .gates = 3,
    .gate_names = {"reset_gate", "update_gate", "candidate"},
    .sums_in_output = false,
    .has_extra = true,
    .states = 1,
    .product_count = 2,
    .products = {{0, kSummed}, {kSummed, 1, RecurrentProduct::Operand::extra, RecurrentProduct::Result::sums}},
    .f32 = {forward<float>, forward_steps<float>, backward<float>},
    .f64 = {forward<double>, forward_steps<double>, backward<double>},
};

}  // namespace rnncore
