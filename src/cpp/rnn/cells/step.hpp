// What the files of the cells share: the products of one step, and how threads divide its units.
#pragma once

#include "rnn/cells/cell.hpp"
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

// sums += W_hh h_prev of the first `gates` gates, whose product is the first; a zero state adds nothing.
template <class T>
void add_recurrent(const ForwardWeights<T>& w, const CellForward<T>& s, Index gates, const UnitShare& share) {
    if (!s.h_prev) return;
    const Index h = s.hidden;
    const StepProduct<T> product{*w.step,        s.h_prev, s.ld_h_prev, s.rows,  h,
                                 w.recurrent[0], s.gates,  s.ld_gates,  nullptr, Init::keep};
    for_gate_columns(w.gates, *w.step, h, gates * h, h, share.units,
                     [&](const ColumnPart& part) { product.multiply(part, share); });
}

// dh_prev += W_hh^T da of the same gates.
template <class T>
void add_recurrent_backward(const BackwardWeights<T>& w, const CellBackward<T>& s, Index gates,
                            const UnitShare& share) {
    StepProduct<T>{*w.step,        s.dgates, s.ld_dgates, s.rows,  gates * s.hidden,
                   w.recurrent[0], s.dh,     s.hidden,    nullptr, Init::keep}
        .multiply_units(share);
}

}  // namespace rnncore
