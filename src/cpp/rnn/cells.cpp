#include "rnn/cells.hpp"

namespace rnncore {
namespace {

// Rows of a times a packed matrix [k, *], or some of its columns.
template <class T>
struct StepProduct {
    const Kernels<T>& kernels;
    const T* a;
    Index lda, rows, k;
    const T* packed;
    T* c;
    Index ldc;
    const T* bias;
    Init init;

    void multiply(const ColumnPart& part, const UnitShare& share) const {
        const RowBlock<T> block{a, c + part.first, rows};
        kernels.product({&block, 1, lda, ldc, packed + part.packed, bias ? bias + part.first : nullptr, k, part.count,
                         init, share.from_end, share.scratch});
    }
    void multiply_units(const UnitShare& share) const { multiply(unit_columns(kernels, k, share.units), share); }
};

template <class Step>
void take_units(Step& s, const UnitShare& share) {
    s.first_unit = share.units.first;
    s.units = share.units.last - share.units.first;
}

}  // namespace

template <class T>
void forward_step(const Network& net, const ForwardWeights<T>& w, CellForward<T> s, const UnitShare& share) {
    const Kernels<T>& kernel = *w.step;
    const Index h = s.hidden, fused = net.fused_columns();
    take_units(s, share);
    // sums += W_hh h_prev; a zero state adds nothing
    if (s.h_prev) {
        const StepProduct<T> recurrent{kernel,  s.h_prev, s.ld_h_prev, s.rows,  h,
                                       w.fused, s.gates,  s.ld_gates,  nullptr, Init::keep};
        for_gate_columns(w.gates, kernel, h, fused, h, share.units,
                         [&](const ColumnPart& part) { recurrent.multiply(part, share); });
    }
    switch (net.cell()) {
        case CellKind::rnn:
            kernel.rnn_forward[static_cast<int>(net.nonlinearity())](s);
            break;
        case CellKind::lstm:
            kernel.lstm_forward(s);
            break;
        case CellKind::gru_after:
            // extra = W_hn h_prev + b_hn; with k = 0 just b_hn, and nothing is read of a or the matrix
            StepProduct<T>{kernel,           s.h_prev ? s.h_prev : s.extra,
                           s.ld_h_prev,      s.rows,
                           s.h_prev ? h : 0, w.extra,
                           s.extra,          h,
                           w.bias_extra,     Init::bias}
                .multiply_units(share);
            kernel.gru_after_forward(s);
            break;
        case CellKind::gru_before:
            kernel.gru_before_gates(s);
            share.wait();
            // a_n += W_hn (r * h_prev)
            if (s.h_prev)
                StepProduct<T>{kernel, s.extra, h, s.rows, h, w.extra, s.gates + fused, s.ld_gates, nullptr, Init::keep}
                    .multiply_units(share);
            kernel.gru_before_output(s);
            break;
    }
}

template <class T>
void forward_steps(const Network& net, const ForwardWeights<T>& w, LayerSteps<T> s) {
    s.first.units = s.first.hidden;
    s.recurrent = w.fused;
    s.recurrent_n = w.extra;
    s.bias_n = w.bias_extra;
    steps_kernel(net, *w.steps)(s);
}

template <class T>
bool backward_step(const Network& net, const BackwardWeights<T>& w, CellBackward<T> s, const UnitShare& share) {
    const Kernels<T>& kernel = *w.step;
    const Index h = s.hidden, fused = net.fused_columns();
    bool go_on = true;
    take_units(s, share);
    switch (net.cell()) {
        case CellKind::rnn:
            kernel.rnn_backward[static_cast<int>(net.nonlinearity())](s);
            go_on = share.wait();
            break;
        case CellKind::lstm:
            kernel.lstm_backward(s);
            go_on = share.wait();
            break;
        case CellKind::gru_after:
            kernel.gru_after_backward(s);
            go_on = share.wait();
            // dh_prev += W_hn^T dextra
            StepProduct<T>{kernel, s.dextra, h, s.rows, h, w.extra, s.dh, h, nullptr, Init::keep}.multiply_units(share);
            break;
        case CellKind::gru_before:
            kernel.gru_before_output_backward(s);
            share.wait();
            // dextra = W_hn^T da_n
            StepProduct<T>{kernel, s.dgates + fused, s.ld_dgates, s.rows, h, w.extra, s.dextra, h, nullptr, Init::zero}
                .multiply_units(share);
            kernel.gru_before_gates_backward(s);
            go_on = share.wait();
            break;
    }
    // dh_prev += W_hh^T da
    StepProduct<T>{kernel, s.dgates, s.ld_dgates, s.rows, fused, w.fused, s.dh, h, nullptr, Init::keep}.multiply_units(
        share);
    return go_on;
}

#define RNNCORE_INSTANTIATE(T)                                                                                 \
    template void forward_step<T>(const Network&, const ForwardWeights<T>&, CellForward<T>, const UnitShare&); \
    template void forward_steps<T>(const Network&, const ForwardWeights<T>&, LayerSteps<T>);                   \
    template bool backward_step<T>(const Network&, const BackwardWeights<T>&, CellBackward<T>, const UnitShare&);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
