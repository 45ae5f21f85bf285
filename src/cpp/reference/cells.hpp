// One unit of one row of every cell, forward and backward, as in the textbook. Below, a bar over a name is written as a
// leading d: da is the gradient of the loss with respect to a.
#pragma once

#include <cmath>

#include "kernels/table.hpp"

namespace rnncore::reference {

inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

inline double activate(Nonlinearity f, double x) {
    switch (f) {
        case Nonlinearity::tanh:
            return std::tanh(x);
        case Nonlinearity::relu:
            return x < 0.0 ? 0.0 : x;
        case Nonlinearity::sigmoid:
            return sigmoid(x);
        case Nonlinearity::identity:
            break;
    }
    return x;
}

// f'(x) by y = f(x)
inline double derivative(Nonlinearity f, double y) {
    switch (f) {
        case Nonlinearity::tanh:
            return 1.0 - y * y;
        case Nonlinearity::relu:
            return y > 0.0 ? 1.0 : 0.0;
        case Nonlinearity::sigmoid:
            return y * (1.0 - y);
        case Nonlinearity::identity:
            break;
    }
    return 1.0;
}

template <class T>
double value_or_zero(const T* p, Index i) {
    return p ? double(p[i]) : 0.0;
}

// Calls unit(b, u) for the step's units u of every row b.
template <class Step, class Unit>
void for_units(const Step& s, const Unit& unit) {
    for (Index b = 0; b < s.rows; ++b) {
        for (Index u = s.first_unit; u < s.first_unit + s.units; ++u) unit(b, u);
    }
}

// Where the parts of unit u of row b stand. `gate(k)` is the index of its k-th gate in an array with the row stride ld.
template <class Step>
struct Place {
    const Step& s;
    Index b, u;
    Index gate(Index k, Index ld) const { return b * ld + k * s.hidden + u; }
    Index flat() const { return b * s.hidden + u; }
};

// h = f(a)
template <Nonlinearity F, class T>
void rnn_forward(const CellForward<T>& s) {
    for_units(
        s, [&](Index b, Index u) { s.h[b * s.ld_h + u] = static_cast<T>(activate(F, s.gates[b * s.ld_gates + u])); });
}

// da = (dh + dy) f'(a)
template <Nonlinearity F, class T>
void rnn_backward(const CellBackward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Index at = b * s.hidden + u;
        const double dh = double(s.dh[at]) + value_or_zero(s.dy, b * s.ld_dy + u);
        s.dgates[b * s.ld_dgates + u] = static_cast<T>(dh * derivative(F, s.h[b * s.ld_h + u]));
        s.dh[at] = 0;
    });
}

// i, f, o = sigmoid(a_i, a_f, a_o), g = tanh(a_g), c' = f c + i g, h' = o tanh(c')
template <class T>
void lstm_forward(const CellForward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellForward<T>> at{s, b, u};
        T* const gates = s.gates;
        const double i = sigmoid(gates[at.gate(0, s.ld_gates)]);
        const double f = sigmoid(gates[at.gate(1, s.ld_gates)]);
        const double g = std::tanh(double(gates[at.gate(2, s.ld_gates)]));
        const double o = sigmoid(gates[at.gate(3, s.ld_gates)]);
        const double c = f * value_or_zero(s.c_prev, at.flat()) + i * g;
        gates[at.gate(0, s.ld_gates)] = static_cast<T>(i);
        gates[at.gate(1, s.ld_gates)] = static_cast<T>(f);
        gates[at.gate(2, s.ld_gates)] = static_cast<T>(g);
        gates[at.gate(3, s.ld_gates)] = static_cast<T>(o);
        s.c[at.flat()] = static_cast<T>(c);
        s.h[b * s.ld_h + u] = static_cast<T>(o * std::tanh(c));
    });
}

// dh = dh' + dy               do = dh tanh(c')            dc = dc' + dh o (1 - tanh(c')^2)
// di = dc g   df = dc c   dg = dc i                       da_x = dx times the derivative of x's nonlinearity
// gradient of the previous c: dc f
template <class T>
void lstm_backward(const CellBackward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellBackward<T>> at{s, b, u};
        const double i = s.gates[at.gate(0, s.ld_gates)], f = s.gates[at.gate(1, s.ld_gates)];
        const double g = s.gates[at.gate(2, s.ld_gates)], o = s.gates[at.gate(3, s.ld_gates)];
        const double tanh_c = std::tanh(double(s.c[at.flat()]));
        const double dh = double(s.dh[at.flat()]) + value_or_zero(s.dy, b * s.ld_dy + u);
        const double dc = double(s.dc[at.flat()]) + dh * o * (1.0 - tanh_c * tanh_c);
        s.dgates[at.gate(0, s.ld_dgates)] = static_cast<T>(dc * g * i * (1.0 - i));
        s.dgates[at.gate(1, s.ld_dgates)] = static_cast<T>(dc * value_or_zero(s.c_prev, at.flat()) * f * (1.0 - f));
        s.dgates[at.gate(2, s.ld_dgates)] = static_cast<T>(dc * i * (1.0 - g * g));
        s.dgates[at.gate(3, s.ld_dgates)] = static_cast<T>(dh * tanh_c * o * (1.0 - o));
        s.dc[at.flat()] = static_cast<T>(dc * f);
        s.dh[at.flat()] = 0;
    });
}

// r, z = sigmoid(a_r, a_z), n = tanh(a_n + r e), h' = (1 - z) n + z h, where e = W_hn h + b_hn
template <class T>
void gru_after_forward(const CellForward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellForward<T>> at{s, b, u};
        const double r = sigmoid(s.gates[at.gate(0, s.ld_gates)]);
        const double z = sigmoid(s.gates[at.gate(1, s.ld_gates)]);
        const double n = std::tanh(double(s.gates[at.gate(2, s.ld_gates)]) + r * double(s.extra[at.flat()]));
        const double h = value_or_zero(s.h_prev, b * s.ld_h_prev + u);
        s.gates[at.gate(0, s.ld_gates)] = static_cast<T>(r);
        s.gates[at.gate(1, s.ld_gates)] = static_cast<T>(z);
        s.gates[at.gate(2, s.ld_gates)] = static_cast<T>(n);
        s.h[b * s.ld_h + u] = static_cast<T>((1.0 - z) * n + z * h);
    });
}

// dh = dh' + dy   dn = dh (1 - z)   dz = dh (h - n)   da_n = dn (1 - n^2)   dr = da_n e   de = da_n r
// gradient of the previous h, without the products: dh z
template <class T>
void gru_after_backward(const CellBackward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellBackward<T>> at{s, b, u};
        const double r = s.gates[at.gate(0, s.ld_gates)], z = s.gates[at.gate(1, s.ld_gates)];
        const double n = s.gates[at.gate(2, s.ld_gates)];
        const double h = value_or_zero(s.h_prev, b * s.ld_h_prev + u);
        const double dh = double(s.dh[at.flat()]) + value_or_zero(s.dy, b * s.ld_dy + u);
        const double da_n = dh * (1.0 - z) * (1.0 - n * n);
        s.dgates[at.gate(0, s.ld_dgates)] = static_cast<T>(da_n * double(s.extra[at.flat()]) * r * (1.0 - r));
        s.dgates[at.gate(1, s.ld_dgates)] = static_cast<T>(dh * (h - n) * z * (1.0 - z));
        s.dgates[at.gate(2, s.ld_dgates)] = static_cast<T>(da_n);
        s.dextra[at.flat()] = static_cast<T>(da_n * r);
        s.dh[at.flat()] = static_cast<T>(dh * z);
    });
}

// r, z = sigmoid(a_r, a_z), e = r h, the vector that W_hn multiplies
template <class T>
void gru_before_gates(const CellForward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellForward<T>> at{s, b, u};
        const double r = sigmoid(s.gates[at.gate(0, s.ld_gates)]);
        const double z = sigmoid(s.gates[at.gate(1, s.ld_gates)]);
        s.gates[at.gate(0, s.ld_gates)] = static_cast<T>(r);
        s.gates[at.gate(1, s.ld_gates)] = static_cast<T>(z);
        s.extra[at.flat()] = static_cast<T>(r * value_or_zero(s.h_prev, b * s.ld_h_prev + u));
    });
}

// n = tanh(a_n), h' = (1 - z) n + z h
template <class T>
void gru_before_output(const CellForward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellForward<T>> at{s, b, u};
        const double z = s.gates[at.gate(1, s.ld_gates)];
        const double n = std::tanh(double(s.gates[at.gate(2, s.ld_gates)]));
        s.gates[at.gate(2, s.ld_gates)] = static_cast<T>(n);
        s.h[b * s.ld_h + u] = static_cast<T>((1.0 - z) * n + z * value_or_zero(s.h_prev, b * s.ld_h_prev + u));
    });
}

// dh = dh' + dy   da_z = dh (h - n) z (1 - z)   da_n = dh (1 - z) (1 - n^2)   part of the previous h's: dh z
template <class T>
void gru_before_output_backward(const CellBackward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellBackward<T>> at{s, b, u};
        const double z = s.gates[at.gate(1, s.ld_gates)], n = s.gates[at.gate(2, s.ld_gates)];
        const double h = value_or_zero(s.h_prev, b * s.ld_h_prev + u);
        const double dh = double(s.dh[at.flat()]) + value_or_zero(s.dy, b * s.ld_dy + u);
        s.dgates[at.gate(1, s.ld_dgates)] = static_cast<T>(dh * (h - n) * z * (1.0 - z));
        s.dgates[at.gate(2, s.ld_dgates)] = static_cast<T>(dh * (1.0 - z) * (1.0 - n * n));
        s.dh[at.flat()] = static_cast<T>(dh * z);
    });
}

// de = W_hn^T da_n by now:   da_r = de h r (1 - r)   part of the previous h's: de r
template <class T>
void gru_before_gates_backward(const CellBackward<T>& s) {
    for_units(s, [&](Index b, Index u) {
        const Place<CellBackward<T>> at{s, b, u};
        const double r = s.gates[at.gate(0, s.ld_gates)], de = s.dextra[at.flat()];
        const double h = value_or_zero(s.h_prev, b * s.ld_h_prev + u);
        s.dgates[at.gate(0, s.ld_dgates)] = static_cast<T>(de * h * r * (1.0 - r));
        s.dh[at.flat()] = static_cast<T>(double(s.dh[at.flat()]) + de * r);
    });
}

}  // namespace rnncore::reference
