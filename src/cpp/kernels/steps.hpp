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

    // sums of the first `columns` += W_hh h_prev
    [[gnu::always_inline]] void add_recurrent(Index columns) const {
        few_rows<S>({cell.h_prev, cell.ld_h_prev, cell.gates, cell.ld_gates, cell.rows, layer.recurrent, cell.hidden,
                     columns, nullptr, Init::keep, layer.scratch, from_end});
    }
};

template <class S, Nonlinearity F>
struct RnnStep {
    static constexpr Index gates = 1;
    static void run(const Step<S>& step) {
        const auto& s = step.cell;
        step.add_recurrent(s.hidden);
        for (Index b = 0; b < s.rows; ++b)
            __builtin_memcpy(s.h + b * s.ld_h, s.gates + b * s.ld_gates,
                             static_cast<__SIZE_TYPE__>(s.hidden) * sizeof(*s.h));
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
    using T = typename S::Value;
    Step<S> step{l, {}, false};
    CellForward<T>& s = step.cell;
    s.rows = l.rows;
    s.hidden = s.units = l.hidden;
    s.ld_gates = Cell::gates * l.hidden;
    s.extra = l.extra;
    s.ld_h_prev = s.ld_h = l.hidden;
    s.c_prev = s.c = l.c;
    s.h_prev = l.h0;
    // what the L1 cache holds is found there in any order
    const bool turns = packed_bytes<S>(l.hidden, Cell::gates * l.hidden) > kFetchedBytes;
    for (Index t = 0; t < l.steps; ++t) {
        s.gates = l.sums + t * l.rows * s.ld_gates;
        s.h = l.h + t * l.rows * l.hidden;
        step.from_end = turns && t % 2 != 0;
        Cell::run(step);
        s.h_prev = s.h;
    }
}

}  // namespace rnncore::RNNCORE_ISA
