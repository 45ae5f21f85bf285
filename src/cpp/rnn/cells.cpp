#include "rnn/cells.hpp"

namespace rnncore {
namespace {

// rows of a times a packed matrix
template <class T>
struct StepProduct {
    const T* a;
    Index lda;
    const T* packed;
    T* c;
    Index ldc;
};

template <class T>
void multiply(const Kernels<T>& kernel, const StepProduct<T>& p, Index rows, Index k, Index n, const T* bias,
              Init init) {
    const RowBlock<T> block{p.a, p.c, rows};
    kernel.product({&block, 1, p.lda, p.ldc, p.packed, bias, k, n, init});
}

}  // namespace

template <class T>
void forward_step(const Network& net, const ForwardWeights<T>& w, const CellForward<T>& s) {
    const Kernels<T>& kernel = *w.kernels;
    const Index h = s.hidden, fused = net.fused_columns();
    const bool rnn = net.cell() == CellKind::rnn;
    // sums += W_hh h_prev; a zero state adds nothing
    if (s.h_prev)
        multiply<T>(kernel, {s.h_prev, s.ld_h_prev, w.fused, rnn ? s.h : s.gates, rnn ? s.ld_h : s.ld_gates}, s.rows, h,
                    fused, nullptr, Init::keep);
    switch (net.cell()) {
        case CellKind::rnn:
            kernel.rnn_forward[static_cast<int>(net.nonlinearity())](s);
            break;
        case CellKind::lstm:
            kernel.lstm_forward(s);
            break;
        case CellKind::gru_after:
            // extra = W_hn h_prev + b_hn; with k = 0 just b_hn, and nothing is read of a
            multiply<T>(kernel, {s.h_prev ? s.h_prev : s.extra, s.ld_h_prev, w.extra, s.extra, h}, s.rows,
                        s.h_prev ? h : 0, h, w.bias_extra, Init::bias);
            kernel.gru_after_forward(s);
            break;
        case CellKind::gru_before:
            kernel.gru_before_gates(s);
            // a_n += W_hn (r * h_prev)
            if (s.h_prev)
                multiply<T>(kernel, {s.extra, h, w.extra, s.gates + fused, s.ld_gates}, s.rows, h, h, nullptr,
                            Init::keep);
            kernel.gru_before_output(s);
            break;
    }
}

template <class T>
void backward_step(const Network& net, const BackwardWeights<T>& w, const CellBackward<T>& s) {
    const Kernels<T>& kernel = *w.kernels;
    const Index h = s.hidden, fused = net.fused_columns(), columns = net.gate_columns();
    switch (net.cell()) {
        case CellKind::rnn:
            kernel.rnn_backward[static_cast<int>(net.nonlinearity())](s);
            break;
        case CellKind::lstm:
            kernel.lstm_backward(s);
            break;
        case CellKind::gru_after:
            kernel.gru_after_backward(s);
            // dh_prev += W_hn^T dextra
            multiply<T>(kernel, {s.dextra, h, w.extra, s.dh, h}, s.rows, h, h, nullptr, Init::keep);
            break;
        case CellKind::gru_before:
            kernel.gru_before_output_backward(s);
            // dextra = W_hn^T da_n
            multiply<T>(kernel, {s.dgates + fused, columns, w.extra, s.dextra, h}, s.rows, h, h, nullptr, Init::zero);
            kernel.gru_before_gates_backward(s);
            break;
    }
    // dh_prev += W_hh^T da
    multiply<T>(kernel, {s.dgates, columns, w.fused, s.dh, h}, s.rows, fused, h, nullptr, Init::keep);
}

#define RNNCORE_INSTANTIATE(T)                                                                      \
    template void forward_step<T>(const Network&, const ForwardWeights<T>&, const CellForward<T>&); \
    template void backward_step<T>(const Network&, const BackwardWeights<T>&, const CellBackward<T>&);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
