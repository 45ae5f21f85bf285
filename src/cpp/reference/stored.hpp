// Products with weights in a storage, and the steps of a stream, element by element.
#pragma once

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>

#include "kernels/table.hpp"
#include "reference/cells.hpp"
#include "reference/products.hpp"

namespace rnncore::reference {

constexpr bool has_scales(Storage storage) { return storage == Storage::int8 || storage == Storage::int8_dynamic; }

// Infinite among others: such an activation has no part in the scale of its row, and meets no weight that is zero.
template <class T>
bool is_large(T x) {
    return std::fabs(x) > T(0x1p64);
}

// x [n] = q * scale with q in [-127, 127]; in single precision, and up to the next of 16 bits, which is part of the
// format
template <class T>
float scale_of_row(const T* x, Index n, bool with_large) {
    float greatest = 0;
    for (Index i = 0; i < n; ++i) {
        if (!with_large && is_large(x[i])) continue;
        const auto magnitude = static_cast<float>(std::fabs(x[i]));
        if (!(magnitude <= greatest)) greatest = magnitude;
        if (std::isnan(greatest)) break;
    }
    if (greatest < 127 * FLT_MIN) return 1;
    if (!std::isfinite(greatest)) return greatest;
    const auto bits = std::bit_cast<std::uint32_t>(greatest / 127);
    return std::bit_cast<float>((bits + 0xFF) & ~0xFFu);
}

template <class T>
double quantized(T x, float scale) {
    return std::nearbyint(static_cast<float>(x) / scale);
}

// A row of W: its scale, then its k elements divided by it.
template <class T, Storage S>
Index packed_bytes(Index k, Index n) {
    return n * (k + 1) * static_cast<Index>(sizeof(T));
}

inline Index no_scratch(Index) { return 0; }

template <class T, Storage S>
void pack_storage(const StoragePacking<T>& p) {
    for (Index n = 0; n < p.n; ++n) {
        const T* from = p.weight + n * p.stride;
        T* row = static_cast<T*>(p.packed) + n * (p.k + 1);
        row[0] = has_scales(S) ? static_cast<T>(scale_of_row(from, p.k, true)) : T(1);
        for (Index k = 0; k < p.k; ++k) {
            row[k + 1] = S == Storage::full       ? from[k]
                         : S == Storage::bfloat16 ? static_cast<T>(rounded(static_cast<float>(from[k])))
                                                  : static_cast<T>(quantized(from[k], static_cast<float>(row[0])));
        }
    }
}

// c[m, n] = init + sum over k of a[m, k] W[n, k]
template <class T, Storage S>
void few_rows(const FewRows<T>& p) {
    for (Index m = 0; m < p.rows; ++m) {
        const T* a = p.a + m * p.lda;
        const auto is_apart = [&](Index k) { return has_scales(S) && is_large(a[k]); };
        const float scale = S == Storage::int8_dynamic ? scale_of_row(a, p.k, false) : 1.0f;
        for (Index n = 0; n < p.n; ++n) {
            const T* row = static_cast<const T*>(p.packed) + n * (p.k + 1);
            T& c = p.c[m * p.ldc + n];
            double sum = 0, apart = 0;
            for (Index k = 0; k < p.k; ++k) {
                const double w = double(row[k + 1]);
                if (!is_apart(k))
                    sum += (S == Storage::int8_dynamic ? quantized(a[k], scale) : double(a[k])) * w;
                else if (w != 0)
                    apart += double(a[k]) * w;
            }
            const double init = p.init == Init::zero ? 0.0 : p.init == Init::bias ? double(p.bias[n]) : double(c);
            c = static_cast<T>(init + (sum * double(scale) + apart) * double(row[0]));
        }
    }
}

template <class T, Storage S>
void look_up(const FewRows<T>& p, Index index) {
    for (Index n = 0; n < p.n; ++n) {
        const T* row = static_cast<const T*>(p.packed) + n * (p.k + 1);
        p.c[n] = static_cast<T>(double(p.bias[n]) + double(row[0]) * double(row[index + 1]));
    }
}

enum class StreamCell { rnn, lstm, gru_after, gru_before };

template <class T, Storage S, StreamCell C, Nonlinearity F = Nonlinearity::tanh>
void run_steps(const LayerSteps<T>& l) {
    CellForward<T> s = l.first;
    const Index h = s.hidden, fused = C == StreamCell::rnn ? h : C == StreamCell::lstm ? 4 * h : 2 * h;
    for (Index t = 0; t < l.steps; ++t) {
        s.gates = l.first.gates + t * l.to_gates;
        s.extra = l.first.extra + t * l.to_extra;
        s.h = l.first.h + t * l.to_h;
        s.c = l.first.c + t * l.to_c;
        // a zero state adds nothing
        const auto add = [&](const T* a, Index lda, const void* weight, Index columns, T* c, Index ldc) {
            if (a) few_rows<T, S>({a, lda, c, ldc, s.rows, weight, h, columns, nullptr, Init::keep, nullptr});
        };
        add(s.h_prev, s.ld_h_prev, l.recurrent, fused, s.gates, s.ld_gates);
        if constexpr (C == StreamCell::rnn) {
            rnn_forward<F>(s);
        } else if constexpr (C == StreamCell::lstm) {
            lstm_forward(s);
        } else if constexpr (C == StreamCell::gru_after) {
            for (Index b = 0; b < s.rows; ++b) std::copy_n(l.bias_n, h, s.extra + b * h);
            add(s.h_prev, s.ld_h_prev, l.recurrent_n, h, s.extra, h);
            gru_after_forward(s);
        } else {
            gru_before_gates(s);
            add(s.extra, h, l.recurrent_n, h, s.gates + 2 * h, s.ld_gates);
            gru_before_output(s);
        }
        s.h_prev = s.h;
        s.ld_h_prev = s.ld_h;
        s.c_prev = s.c;
    }
}

template <class T, Storage S>
constexpr StorageKernels<T> storage = {
    .rows = 3,
    .packed_bytes = packed_bytes<T, S>,
    .scratch_bytes = no_scratch,
    .pack = pack_storage<T, S>,
    .product = few_rows<T, S>,
    .look_up = look_up<T, S>,
    .rnn_steps = {run_steps<T, S, StreamCell::rnn, Nonlinearity::tanh>,
                  run_steps<T, S, StreamCell::rnn, Nonlinearity::relu>,
                  run_steps<T, S, StreamCell::rnn, Nonlinearity::sigmoid>,
                  run_steps<T, S, StreamCell::rnn, Nonlinearity::identity>},
    .lstm_steps = run_steps<T, S, StreamCell::lstm>,
    .gru_after_steps = run_steps<T, S, StreamCell::gru_after>,
    .gru_before_steps = run_steps<T, S, StreamCell::gru_before>,
};

}  // namespace rnncore::reference
