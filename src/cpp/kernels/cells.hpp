// The pointwise part of every cell, once for all instruction sets: what a step does besides its products. Equations and
// gradients: Elman 1990; Cho et al. 2014 (GRU, reset before the product) and its variant that resets after it;
// Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. Gate order: LSTM i, f, g, o; GRU r, z, n.
#pragma once

#include "kernels/math.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

template <class T, class Lanes>
[[gnu::always_inline]] inline Vec<T> load_or_zero(const Lanes& lanes, const T* row, Index i) {
    return row ? lanes.load(row + i) : Vec<T>{};
}

template <class T>
[[gnu::always_inline]] inline const T* row_or_null(const T* p, Index row, Index stride) {
    return p ? p + row * stride : nullptr;
}

// Calls body(unit, lanes) over the units of a step.
template <class T, class Step, class Body>
[[gnu::always_inline]] inline void for_units(const Step& s, const Body& body) {
    for_lanes<T>(s.units, [&](Index i, auto lanes) { body(s.first_unit + i, lanes); });
}

template <Nonlinearity F, class T>
[[gnu::always_inline]] inline Vec<T> activate(Vec<T> x) {
    if constexpr (F == Nonlinearity::tanh) return tanh<T>(x);
    if constexpr (F == Nonlinearity::relu) return x < T(0) ? Vec<T>{} : x;
    if constexpr (F == Nonlinearity::sigmoid) return sigmoid<T>(x);
    if constexpr (F == Nonlinearity::identity) return x;
}

template <Nonlinearity F, class T>
[[gnu::always_inline]] inline Vec<T> d_activate(Vec<T> y) {
    if constexpr (F == Nonlinearity::tanh) return d_tanh<T>(y);
    if constexpr (F == Nonlinearity::relu) return y > T(0) ? splat(T(1)) : Vec<T>{};
    if constexpr (F == Nonlinearity::sigmoid) return d_sigmoid<T>(y);
    if constexpr (F == Nonlinearity::identity) return splat(T(1));
}

// h = f(a); the sums may stand where h goes.
template <Nonlinearity F, class T>
void rnn_forward(const CellForward<T>& s) {
    for (Index b = 0; b < s.rows; ++b) {
        const T* a = s.gates + b * s.ld_gates;
        T* h = s.h + b * s.ld_h;
        for_units<T>(s, [&](Index i, auto lanes) { lanes.store(h + i, activate<F, T>(lanes.load(a + i))); });
    }
}

template <Nonlinearity F, class T>
void rnn_backward(const CellBackward<T>& s) {
    for (Index b = 0; b < s.rows; ++b) {
        const T* h = s.h + b * s.ld_h;
        const T* dy = row_or_null(s.dy, b, s.ld_dy);
        T* dh = s.dh + b * s.hidden;
        T* da = s.dgates + b * s.ld_dgates;
        for_units<T>(s, [&](Index i, auto lanes) {
            const Vec<T> dh_total = lanes.load(dh + i) + load_or_zero(lanes, dy, i);
            lanes.store(da + i, dh_total * d_activate<F, T>(lanes.load(h + i)));
            lanes.store(dh + i, Vec<T>{});
        });
    }
}

// c = f * c_prev + i * g, h = o * tanh(c). Here and in the GRU the activations of a row are made in a loop of their
// own: the tanh waits for them, and a processor does not look so far ahead that it would begin the next units'
// meanwhile.
template <class T>
void lstm_forward(const CellForward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        T* gates = s.gates + b * s.ld_gates;
        const T* c_prev = row_or_null(s.c_prev, b, n);
        T* c = s.c + b * n;
        T* h = s.h + b * s.ld_h;
        for_units<T>(s, [&](Index u, auto lanes) {
            lanes.store(gates + u, sigmoid<T>(lanes.load(gates + u)));
            lanes.store(gates + n + u, sigmoid<T>(lanes.load(gates + n + u)));
            lanes.store(gates + 2 * n + u, tanh<T>(lanes.load(gates + 2 * n + u)));
            lanes.store(gates + 3 * n + u, sigmoid<T>(lanes.load(gates + 3 * n + u)));
        });
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> i = lanes.load(gates + u), f = lanes.load(gates + n + u);
            const Vec<T> g = lanes.load(gates + 2 * n + u), o = lanes.load(gates + 3 * n + u);
            const Vec<T> cell = f * load_or_zero(lanes, c_prev, u) + i * g;
            lanes.store(c + u, cell);
            lanes.store(h + u, o * tanh<T>(cell));
        });
    }
}

template <class T>
void lstm_backward(const CellBackward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        const T* gates = s.gates + b * s.ld_gates;
        const T* c_prev = row_or_null(s.c_prev, b, n);
        const T* c = s.c + b * n;
        const T* dy = row_or_null(s.dy, b, s.ld_dy);
        T* dh = s.dh + b * n;
        T* dc = s.dc + b * n;
        T* da = s.dgates + b * s.ld_dgates;
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> i = lanes.load(gates + u), f = lanes.load(gates + n + u);
            const Vec<T> g = lanes.load(gates + 2 * n + u), o = lanes.load(gates + 3 * n + u);
            const Vec<T> tanh_c = tanh<T>(lanes.load(c + u));
            const Vec<T> dh_total = lanes.load(dh + u) + load_or_zero(lanes, dy, u);
            const Vec<T> dcell = lanes.load(dc + u) + dh_total * o * d_tanh<T>(tanh_c);
            lanes.store(da + u, dcell * g * d_sigmoid<T>(i));
            lanes.store(da + n + u, dcell * load_or_zero(lanes, c_prev, u) * d_sigmoid<T>(f));
            lanes.store(da + 2 * n + u, dcell * i * d_tanh<T>(g));
            lanes.store(da + 3 * n + u, dh_total * tanh_c * d_sigmoid<T>(o));
            lanes.store(dc + u, dcell * f);
            lanes.store(dh + u, Vec<T>{});
        });
    }
}

// n = tanh(a_n + r * extra), h = (1 - z) * n + z * h_prev, with extra = W_hn h_prev + b_hn
template <class T>
void gru_after_forward(const CellForward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        T* gates = s.gates + b * s.ld_gates;
        const T* extra = s.extra + b * n;
        const T* h_prev = row_or_null(s.h_prev, b, s.ld_h_prev);
        T* h = s.h + b * s.ld_h;
        for_units<T>(s, [&](Index u, auto lanes) {
            lanes.store(gates + u, sigmoid<T>(lanes.load(gates + u)));
            lanes.store(gates + n + u, sigmoid<T>(lanes.load(gates + n + u)));
        });
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> r = lanes.load(gates + u), z = lanes.load(gates + n + u);
            const Vec<T> candidate = tanh<T>(lanes.load(gates + 2 * n + u) + r * lanes.load(extra + u));
            lanes.store(gates + 2 * n + u, candidate);
            lanes.store(h + u, candidate + z * (load_or_zero(lanes, h_prev, u) - candidate));
        });
    }
}

template <class T>
void gru_after_backward(const CellBackward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        const T* gates = s.gates + b * s.ld_gates;
        const T* extra = s.extra + b * n;
        const T* h_prev = row_or_null(s.h_prev, b, s.ld_h_prev);
        const T* dy = row_or_null(s.dy, b, s.ld_dy);
        T* dh = s.dh + b * n;
        T* da = s.dgates + b * s.ld_dgates;
        T* dextra = s.dextra + b * n;
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> r = lanes.load(gates + u), z = lanes.load(gates + n + u);
            const Vec<T> candidate = lanes.load(gates + 2 * n + u);
            const Vec<T> dh_total = lanes.load(dh + u) + load_or_zero(lanes, dy, u);
            const Vec<T> dn = dh_total * (T(1) - z) * d_tanh<T>(candidate);
            lanes.store(da + u, dn * lanes.load(extra + u) * d_sigmoid<T>(r));
            lanes.store(da + n + u, dh_total * (load_or_zero(lanes, h_prev, u) - candidate) * d_sigmoid<T>(z));
            lanes.store(da + 2 * n + u, dn);
            lanes.store(dextra + u, dn * r);
            lanes.store(dh + u, dh_total * z);
        });
    }
}

// First part: r, z and extra = r * h_prev, the vector that W_hn multiplies.
template <class T>
void gru_before_gates(const CellForward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        T* gates = s.gates + b * s.ld_gates;
        T* extra = s.extra + b * n;
        const T* h_prev = row_or_null(s.h_prev, b, s.ld_h_prev);
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> r = sigmoid<T>(lanes.load(gates + u));
            lanes.store(gates + u, r);
            lanes.store(gates + n + u, sigmoid<T>(lanes.load(gates + n + u)));
            lanes.store(extra + u, r * load_or_zero(lanes, h_prev, u));
        });
    }
}

// Second part: n = tanh(a_n), where a_n holds W_hn extra by now, and h = (1 - z) * n + z * h_prev.
template <class T>
void gru_before_output(const CellForward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        T* gates = s.gates + b * s.ld_gates;
        const T* h_prev = row_or_null(s.h_prev, b, s.ld_h_prev);
        T* h = s.h + b * s.ld_h;
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> z = lanes.load(gates + n + u);
            const Vec<T> candidate = tanh<T>(lanes.load(gates + 2 * n + u));
            lanes.store(gates + 2 * n + u, candidate);
            lanes.store(h + u, candidate + z * (load_or_zero(lanes, h_prev, u) - candidate));
        });
    }
}

template <class T>
void gru_before_output_backward(const CellBackward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        const T* gates = s.gates + b * s.ld_gates;
        const T* h_prev = row_or_null(s.h_prev, b, s.ld_h_prev);
        const T* dy = row_or_null(s.dy, b, s.ld_dy);
        T* dh = s.dh + b * n;
        T* da = s.dgates + b * s.ld_dgates;
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> z = lanes.load(gates + n + u), candidate = lanes.load(gates + 2 * n + u);
            const Vec<T> dh_total = lanes.load(dh + u) + load_or_zero(lanes, dy, u);
            lanes.store(da + n + u, dh_total * (load_or_zero(lanes, h_prev, u) - candidate) * d_sigmoid<T>(z));
            lanes.store(da + 2 * n + u, dh_total * (T(1) - z) * d_tanh<T>(candidate));
            lanes.store(dh + u, dh_total * z);
        });
    }
}

// dextra = W_hn^T da_n by now.
template <class T>
void gru_before_gates_backward(const CellBackward<T>& s) {
    const Index n = s.hidden;
    for (Index b = 0; b < s.rows; ++b) {
        const T* gates = s.gates + b * s.ld_gates;
        const T* h_prev = row_or_null(s.h_prev, b, s.ld_h_prev);
        const T* dextra = s.dextra + b * n;
        T* dh = s.dh + b * n;
        T* da = s.dgates + b * s.ld_dgates;
        for_units<T>(s, [&](Index u, auto lanes) {
            const Vec<T> r = lanes.load(gates + u), d = lanes.load(dextra + u);
            lanes.store(da + u, d * load_or_zero(lanes, h_prev, u) * d_sigmoid<T>(r));
            lanes.store(dh + u, lanes.load(dh + u) + d * r);
        });
    }
}

}  // namespace rnncore::RNNCORE_ISA
