// GRU whose reset gate acts after the recurrent product: gates r, z, n, and extra = W_hn h_prev + b_hn, which r scales.
// The tape keeps both.
#include "rnn/cells/step.hpp"
#include "rnn/cells/table.hpp"

namespace rnncore {
namespace {

constexpr Index kSummed = 2;  // r and z; n has a product of its own

template <class T>
void forward(const ForwardWeights<T>& w, CellForward<T> s, const UnitShare& share) {
    const Index h = s.hidden;
    take_units(s, share);
    add_recurrent(w, s, kSummed, share);
    // extra = W_hn h_prev + b_hn; with k = 0 just b_hn, and nothing is read of a or the matrix
    StepProduct<T>{*w.step,          s.h_prev ? s.h_prev : s.extra,
                   s.ld_h_prev,      s.rows,
                   s.h_prev ? h : 0, w.recurrent[1],
                   s.extra,          h,
                   w.bias_extra,     Init::bias}
        .multiply_units(share);
    w.step->gru_after_forward(s);
}

template <class T>
void forward_steps(const StorageKernels<T>& kernels, const LayerSteps<T>& s) {
    kernels.gru_after_steps(s);
}

template <class T>
bool backward(const BackwardWeights<T>& w, CellBackward<T> s, const UnitShare& share) {
    const Index h = s.hidden;
    take_units(s, share);
    w.step->gru_after_backward(s);
    const bool go_on = share.wait();
    // dh_prev += W_hn^T dextra
    StepProduct<T>{*w.step, s.dextra, h, s.rows, h, w.recurrent[1], s.dh, h, nullptr, Init::keep}.multiply_units(share);
    add_recurrent_backward(w, s, kSummed, share);
    return go_on;
}

}  // namespace

constinit const Cell kGruAfter = {
    .name = "gru_after",
    .gates = 3,
    .gate_names = {"reset_gate", "update_gate", "candidate"},
    .sums_in_output = false,
    .has_extra = true,
    .states = 1,
    .product_count = 2,
    .products = {{0, kSummed}, {kSummed, 1, RecurrentProduct::Operand::state, RecurrentProduct::Result::extra}},
    .f32 = {forward<float>, forward_steps<float>, backward<float>},
    .f64 = {forward<double>, forward_steps<double>, backward<double>},
};

}  // namespace rnncore
