// Optimiser steps and clipping on flat buffers.
#include <cmath>

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/flat.hpp"

namespace rnncore::bindings {
namespace {

// The numbers of Update, before they take the type of the parameters; what an optimiser does not use stays 0.
struct Numbers {
    double scale = 1, clip_value = 0;
    double learning_rate = 0, weight_decay = 0;
    double beta1 = 0, beta2 = 0, eps = 0;
    double correction1 = 0, correction2 = 0;
    bool nesterov = false, decoupled = false, zero_grad = false;
};

struct Step {
    py::object params, grads;
    py::object first = py::none(), second = py::none();
    Numbers numbers{};
};

template <class T>
using StepKernel = void (*)(const Update<T>&);

template <class T>
Update<T> with_numbers(const Numbers& n) {
    const auto narrow = [](double value) { return static_cast<T>(value); };
    Update<T> u{};
    u.scale = narrow(n.scale);
    u.clip_value = narrow(n.clip_value);
    u.learning_rate = narrow(n.learning_rate);
    u.weight_decay = narrow(n.weight_decay);
    u.beta1 = narrow(n.beta1);
    u.beta2 = narrow(n.beta2);
    u.eps = narrow(n.eps);
    u.correction1 = narrow(n.correction1);
    u.correction2 = narrow(n.correction2);
    u.nesterov = n.nesterov;
    u.decoupled = n.decoupled;
    u.zero_grad = n.zero_grad;
    return u;
}

// What the buffers of an optimiser are called in its arguments.
struct BufferNames {
    const char* first = "";
    const char* second = "";
};

// choose(kernels) -> the kernel of the step
template <class Choose>
void run_step(const Step& step, const BufferNames& names, const Choose& choose) {
    by_dtype(step.params, "params", [&]<class T>() {
        Update<T> u = with_numbers<T>(step.numbers);
        u.params = writeable<T>(step.params, "params", {{"P"}});
        u.n = py::reinterpret_borrow<py::array>(step.params).size();
        const Shape shape = {{"P", u.n}};
        u.grads = writeable<T>(step.grads, "grads", shape);
        u.first = writeable_or_none<T>(step.first, names.first, shape);
        u.second = writeable_or_none<T>(step.second, names.second, shape);
        const StepKernel<T> kernel = choose(kernels<T>());
        without_gil([&] { optimiser_step(kernel, u); });
    });
}

void sgd_step(const Step& step) {
    run_step(step, {"momentum_buffer", ""}, [](const auto& k) { return k.sgd; });
}

void rmsprop_step(const Step& step) {
    if (step.second.is_none()) throw py::type_error("square_average: expected an array of shape [P], got None");
    run_step(step, {"", "square_average"}, [](const auto& k) { return k.rmsprop; });
}

void adam_step(Step step, int count) {
    if (step.first.is_none()) throw py::type_error("average: expected an array of shape [P], got None");
    if (step.second.is_none()) throw py::type_error("square_average: expected an array of shape [P], got None");
    if (count < 1) throw py::value_error("step: expected at least 1, got " + std::to_string(count));
    // the averages begin at zero; divided by these sums of weights they are unbiased
    step.numbers.correction1 = 1 / (1 - std::pow(step.numbers.beta1, count));
    step.numbers.correction2 = 1 / std::sqrt(1 - std::pow(step.numbers.beta2, count));
    run_step(step, {"average", "square_average"}, [](const auto& k) { return k.adam; });
}

double squared_norm(py::object x) {
    return by_dtype(x, "x", [&]<class T>() {
        const auto values = view<T>(x, "x", {{"P"}});
        return without_gil([&] {
            const Contiguous<T> from(values);
            return rnncore::squared_norm(from.data(), values.size());
        });
    });
}

void clip(py::object x, double limit) {
    by_dtype(x, "x", [&]<class T>() {
        T* const values = writeable<T>(x, "x", {{"P"}});
        const Index n = py::reinterpret_borrow<py::array>(x).size();
        without_gil([&] { rnncore::clip(static_cast<T>(limit), n, values); });
    });
}

void scale(py::object x, double factor) {
    by_dtype(x, "x", [&]<class T>() {
        T* const values = writeable<T>(x, "x", {{"P"}});
        const Index n = py::reinterpret_borrow<py::array>(x).size();
        without_gil([&] { rnncore::scale(static_cast<T>(factor), n, values); });
    });
}

}  // namespace

void register_optimisers(py::module_& module) {
    module.def("squared_norm", squared_norm, py::arg("x"));
    module.def("clip", clip, py::arg("x"), py::arg("limit"));
    module.def("scale", scale, py::arg("x"), py::arg("factor"));
    module.def(
        "sgd_step",
        [](py::object params, py::object grads, py::object momentum_buffer, double learning_rate, double momentum,
           bool nesterov, double weight_decay, double scale, double clip_value, bool zero_grad) {
            sgd_step({.params = params,
                      .grads = grads,
                      .first = momentum_buffer,
                      .numbers = {.scale = scale,
                                  .clip_value = clip_value,
                                  .learning_rate = learning_rate,
                                  .weight_decay = weight_decay,
                                  .beta1 = momentum,
                                  .nesterov = nesterov,
                                  .zero_grad = zero_grad}});
        },
        py::arg("params"), py::arg("grads"), py::arg("momentum_buffer"), py::arg("learning_rate"), py::arg("momentum"),
        py::arg("nesterov"), py::arg("weight_decay"), py::arg("scale"), py::arg("clip_value"), py::arg("zero_grad"));
    module.def(
        "rmsprop_step",
        [](py::object params, py::object grads, py::object square_average, double learning_rate, double alpha,
           double eps, double weight_decay, double scale, double clip_value, bool zero_grad) {
            rmsprop_step({.params = params,
                          .grads = grads,
                          .second = square_average,
                          .numbers = {.scale = scale,
                                      .clip_value = clip_value,
                                      .learning_rate = learning_rate,
                                      .weight_decay = weight_decay,
                                      .beta2 = alpha,
                                      .eps = eps,
                                      .zero_grad = zero_grad}});
        },
        py::arg("params"), py::arg("grads"), py::arg("square_average"), py::arg("learning_rate"), py::arg("alpha"),
        py::arg("eps"), py::arg("weight_decay"), py::arg("scale"), py::arg("clip_value"), py::arg("zero_grad"));
    module.def(
        "adam_step",
        [](py::object params, py::object grads, py::object average, py::object square_average, double learning_rate,
           double beta1, double beta2, double eps, double weight_decay, bool decoupled, int step, double scale,
           double clip_value, bool zero_grad) {
            adam_step({.params = params,
                       .grads = grads,
                       .first = average,
                       .second = square_average,
                       .numbers = {.scale = scale,
                                   .clip_value = clip_value,
                                   .learning_rate = learning_rate,
                                   .weight_decay = weight_decay,
                                   .beta1 = beta1,
                                   .beta2 = beta2,
                                   .eps = eps,
                                   .decoupled = decoupled,
                                   .zero_grad = zero_grad}},
                      step);
        },
        py::arg("params"), py::arg("grads"), py::arg("average"), py::arg("square_average"), py::arg("learning_rate"),
        py::arg("beta1"), py::arg("beta2"), py::arg("eps"), py::arg("weight_decay"), py::arg("decoupled"),
        py::arg("step"), py::arg("scale"), py::arg("clip_value"), py::arg("zero_grad"));
}

}  // namespace rnncore::bindings
