// Optimisers, one parameter at a time; the papers are named beside the kernels.
#pragma once

#include <cmath>

#include "kernels/table.hpp"
#include "reference/elementwise.hpp"

namespace rnncore::reference {

// Calls step(i, p, g) -> new parameter, with g = clip(grad * scale).
template <class T, class Step>
void update(const Update<T>& u, const Step& step) {
    for (Index i = 0; i < u.n; ++i) {
        const double g = clipped(double(u.grads[i]) * double(u.scale), u.clip_value);
        u.params[i] = static_cast<T>(step(i, double(u.params[i]), g));
        if (u.zero_grad) u.grads[i] = 0;
    }
}

// value = decay * value + added, in the storage type; returns what is stored
template <class T>
double accumulate(T& value, double decay, double added) {
    value = static_cast<T>(decay * double(value) + added);
    return value;
}

// g += w p;  v = mu v + g;  p -= learning_rate v, Nesterov: p -= learning_rate (g + mu v)
template <class T>
void sgd(const Update<T>& u) {
    update(u, [&](Index i, double p, double g) {
        g += double(u.weight_decay) * p;
        if (!u.first) return p - double(u.learning_rate) * g;
        const double v = accumulate(u.first[i], u.beta1, g);
        return p - double(u.learning_rate) * (u.nesterov ? g + double(u.beta1) * v : v);
    });
}

// g += w p;  s = alpha s + (1 - alpha) g^2;  p -= learning_rate g / (sqrt(s) + eps)
template <class T>
void rmsprop(const Update<T>& u) {
    update(u, [&](Index i, double p, double g) {
        g += double(u.weight_decay) * p;
        const double s = accumulate(u.second[i], u.beta2, (1.0 - double(u.beta2)) * g * g);
        return p - double(u.learning_rate) * g / (std::sqrt(s) + double(u.eps));
    });
}

// g += w p (decoupled: p -= learning_rate w p);  m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) g^2
// p -= learning_rate (m c1) / (sqrt(s) c2 + eps), with the corrections c1 = 1 / (1 - b1^t), c2 = 1 / sqrt(1 - b2^t)
template <class T>
void adam(const Update<T>& u) {
    update(u, [&](Index i, double p, double g) {
        if (u.decoupled)
            p -= double(u.learning_rate) * double(u.weight_decay) * p;
        else
            g += double(u.weight_decay) * p;
        const double m = accumulate(u.first[i], u.beta1, (1.0 - double(u.beta1)) * g);
        const double s = accumulate(u.second[i], u.beta2, (1.0 - double(u.beta2)) * g * g);
        return p - double(u.learning_rate) * (m * double(u.correction1)) /
                       (std::sqrt(s) * double(u.correction2) + double(u.eps));
    });
}

}  // namespace rnncore::reference
