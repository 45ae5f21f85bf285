// Losses, with and without their gradients.
#include "rnn/losses.hpp"

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"

namespace rnncore::bindings {
namespace {

py::tuple cross_entropy(py::object logits, py::object targets, std::int64_t ignored) {
    return by_dtype(logits, "logits", [&]<class T>() -> py::tuple {
        const auto z = view<T>(logits, "logits", {{"N"}, {"V"}});
        const Ids classes = ids(targets, "targets", {{"N", z.shape[0]}});
        classes.require_below("targets", {"V", z.shape[1]}, ignored);
        auto losses = new_array<double>({z.shape[0]});
        auto gradient = new_array<T>(z.shape);
        double* const loss = losses.mutable_data();
        T* const to = gradient.mutable_data();
        without_gil([&] {
            const Rows<T> rows(z);
            rnncore::cross_entropy(rows.matrix(), {classes.values.data(), ignored}, loss, to);
        });
        return py::make_tuple(losses, gradient);
    });
}

// A loss of pairs of elements: mse, binary_cross_entropy.
template <class T>
py::tuple element_loss(void (*loss)(const ElementLoss<T>&), const View<T>& prediction, const View<T>& target) {
    auto losses = new_array<double>(prediction.shape);
    auto gradient = new_array<T>(prediction.shape);
    ElementLoss<T> s{prediction.size(), nullptr, nullptr, losses.mutable_data(), gradient.mutable_data()};
    without_gil([&] {
        const Contiguous<T> p(prediction), t(target);
        s.prediction = p.data();
        s.target = t.data();
        loss(s);
    });
    return py::make_tuple(losses, gradient);
}

py::tuple mse(py::object prediction, py::object target) {
    return by_dtype(prediction, "prediction", [&]<class T>() -> py::tuple {
        const auto p = view<T>(prediction, "prediction", {{"N"}});
        return element_loss<T>(rnncore::mse, p, view<T>(target, "target", {{"N", p.size()}}));
    });
}

py::tuple binary_cross_entropy(py::object logits, py::object targets) {
    return by_dtype(logits, "logits", [&]<class T>() -> py::tuple {
        const auto z = view<T>(logits, "logits", {{"N"}});
        return element_loss<T>(rnncore::binary_cross_entropy, z, view<T>(targets, "targets", {{"N", z.size()}}));
    });
}

}  // namespace

void register_losses(py::module_& module) {
    module.def("cross_entropy", cross_entropy, py::arg("logits"), py::arg("targets"), py::arg("ignore_index"));
    module.def("mse", mse, py::arg("prediction"), py::arg("target"));
    module.def("binary_cross_entropy", binary_cross_entropy, py::arg("logits"), py::arg("targets"));
}

}  // namespace rnncore::bindings
