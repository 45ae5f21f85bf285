// Optimisers: one pass over the flat buffers, with the gradient's scaling and clipping and, if wanted, its zeroing.
#pragma once

#include "kernels/math.hpp"
#include "kernels/table.hpp"

namespace rnncore::RNNCORE_ISA {

template <class T>
[[gnu::always_inline]] inline Vec<T> square_root(Vec<T> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return reinterpret_cast<Vec<T>>(_mm512_maskz_sqrt_ps(0xFFFF, reinterpret_cast<__m512>(x)));
    else
        return reinterpret_cast<Vec<T>>(_mm512_maskz_sqrt_pd(0xFF, reinterpret_cast<__m512d>(x)));
#else
    for (int i = 0; i < kLanes<T>; ++i) {
        if constexpr (sizeof(T) == 4)
            x[i] = __builtin_sqrtf(x[i]);
        else
            x[i] = __builtin_sqrt(x[i]);
    }
    return x;
#endif
}

// Calls step(params, gradient, offset, lanes) -> new params, over all parameters.
template <class T, class Step>
[[gnu::always_inline]] inline void update(const Update<T>& u, const Step& step) {
    for_lanes<T>(u.n, [&](Index i, auto lanes) {
        const Vec<T> p = lanes.load(u.params + i);
        const Vec<T> g = clamp<T>(lanes.load(u.grads + i) * u.scale, -u.clip_value, u.clip_value);
        lanes.store(u.params + i, step(p, g, i, lanes));
        if (u.zero_grad) lanes.store(u.grads + i, Vec<T>{});
    });
}

// v = momentum * v + g; p -= learning_rate * (g + momentum * v if nesterov else v)
template <class T>
void sgd(const Update<T>& u) {
    update<T>(u, [&](Vec<T> p, Vec<T> g, Index i, auto lanes) {
        g += u.weight_decay * p;
        if (!u.first) return p - u.learning_rate * g;
        const Vec<T> v = u.beta1 * lanes.load(u.first + i) + g;
        lanes.store(u.first + i, v);
        return p - u.learning_rate * (u.nesterov ? g + u.beta1 * v : v);
    });
}

// s = alpha * s + (1 - alpha) * g^2; p -= learning_rate * g / (sqrt(s) + eps)   (Tieleman and Hinton 2012)
template <class T>
void rmsprop(const Update<T>& u) {
    update<T>(u, [&](Vec<T> p, Vec<T> g, Index i, auto lanes) {
        g += u.weight_decay * p;
        const Vec<T> s = u.beta2 * lanes.load(u.second + i) + (T(1) - u.beta2) * g * g;
        lanes.store(u.second + i, s);
        return p - u.learning_rate * g / (square_root<T>(s) + u.eps);
    });
}

// m = beta1 m + (1 - beta1) g; s = beta2 s + (1 - beta2) g^2; p -= learning_rate m^ / (sqrt(s^) + eps)
// (Kingma and Ba 2015; decoupled decay: Loshchilov and Hutter 2019)
template <class T>
void adam(const Update<T>& u) {
    update<T>(u, [&](Vec<T> p, Vec<T> g, Index i, auto lanes) {
        if (u.decoupled)
            p -= u.learning_rate * u.weight_decay * p;
        else
            g += u.weight_decay * p;
        const Vec<T> m = u.beta1 * lanes.load(u.first + i) + (T(1) - u.beta1) * g;
        const Vec<T> s = u.beta2 * lanes.load(u.second + i) + (T(1) - u.beta2) * g * g;
        lanes.store(u.first + i, m);
        lanes.store(u.second + i, s);
        return p - u.learning_rate * (m * u.correction1) / (square_root<T>(s) * u.correction2 + u.eps);
    });
}

}  // namespace rnncore::RNNCORE_ISA
