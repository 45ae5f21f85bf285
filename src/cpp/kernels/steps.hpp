// The time loop of a layer whose weights are packed once: everything that a step costs besides its arithmetic is here.
#pragma once

#include "kernels/cells.hpp"
#include "kernels/few_rows.hpp"

namespace rnncore::RNNCORE_ISA {

// What the steps of all cells need: the products with W_hh and W_hn, and the arguments of the pointwise part.
template <class S>
struct Step {
    using T = typename S::Value;
    const LayerSteps<T>& layer;
    CellForward<T> cell;
    bool from_end;  // how the weights are read, see FewRows: every second step

    // sums of the first `columns` += W_hh h_prev; a zero state adds nothing
    [[gnu::always_inline]] void add_recurrent(Index columns) const {
        if (!cell.h_prev) return;
        few_rows<S>({cell.h_prev, cell.ld_h_prev, cell.gates, cell.ld_gates, cell.rows, layer.recurrent, cell.hidden,
                     columns, nullptr, Init::keep, layer.scratch, from_end});
    }

    // extra = b_hn
    [[gnu::noinline]] void begin_candidate() const {
        for (Index b = 0; b < cell.rows; ++b)
            for (Index i = 0; i < cell.hidden; ++i) cell.extra[b * cell.hidden + i] = layer.bias_n[i];
    }
};

template <class S, Nonlinearity F>
struct RnnStep {
    static constexpr Index gates = 1;
    static void run(const Step<S>& step) {
        const auto& s = step.cell;
        step.add_recurrent(s.hidden);
        rnn_forward<F>(s);
    }
};

template <class S>
struct LstmStep {
    static constexpr Index gates = 4;
    static void run(const Step<S>& step) {
        step.add_recurrent(4 * step.cell.hidden);
        lstm_forward(step.cell);
    }
};

template <class S>
struct GruAfterStep {
    static constexpr Index gates = 3;
    static void run(const Step<S>& step) {
        const auto& s = step.cell;
        const auto add_candidate = [&] {  // extra = W_hn h_prev + b_hn
            if (!s.h_prev) return step.begin_candidate();
            few_rows<S>({s.h_prev, s.ld_h_prev, s.extra, s.hidden, s.rows, step.layer.recurrent_n, s.hidden, s.hidden,
                         step.layer.bias_n, Init::bias, step.layer.scratch, step.from_end});
        };
        if (step.from_end) add_candidate();  // read last in the step before, it is read first in this one
        step.add_recurrent(2 * s.hidden);
        if (!step.from_end) add_candidate();
        gru_after_forward(s);
    }
};

template <class S>
struct GruBeforeStep {
    static constexpr Index gates = 3;
    static void run(const Step<S>& step) {
        const auto& s = step.cell;
        step.add_recurrent(2 * s.hidden);
        gru_before_gates(s);
        // a_n += W_hn (r * h_prev)
        few_rows<S>({s.extra, s.hidden, s.gates + 2 * s.hidden, s.ld_gates, s.rows, step.layer.recurrent_n, s.hidden,
                     s.hidden, nullptr, Init::keep, step.layer.scratch, step.from_end});
        gru_before_output(s);
    }
};

template <class S, class Cell>
void run_steps(const LayerSteps<typename S::Value>& l) {
    Step<S> step{l, l.first, false};
    auto& s = step.cell;
    // what the L1 cache holds is found there in any order
    const bool turns = packed_bytes<S>(s.hidden, Cell::gates * s.hidden) > kFetchedBytes;
    for (Index t = 0; t < l.steps; ++t) {
        step.from_end = turns && t % 2 != 0;
        s.gates = l.first.gates + t * l.to_gates;
        s.h = l.first.h + t * l.to_h;
        if constexpr (Cell::gates == 3) s.extra = l.first.extra + t * l.to_extra;
        if constexpr (Cell::gates == 4) s.c = l.first.c + t * l.to_c;
        Cell::run(step);
        s.h_prev = s.h;
        s.ld_h_prev = s.ld_h;
        if constexpr (Cell::gates == 4) s.c_prev = s.c;
    }
}

}  // namespace rnncore::RNNCORE_ISA
