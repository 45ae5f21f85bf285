// Losses, with and without their gradients.
#include "rnn/losses.hpp"

#include "bindings/arrays.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"
#include "rnn/linear_cross_entropy.hpp"

namespace rnncore::bindings {
namespace {

Ids checked_targets(py::handle given, Index rows, Index classes, std::int64_t ignored) {
    Ids targets = ids(given, "targets", {{"N", rows}});
    targets.require_below("targets", {"V", classes}, ignored);
    return targets;
}

py::tuple cross_entropy(py::object logits, py::object targets, std::int64_t ignored) {
    return by_dtype(logits, "logits", [&]<class T>() -> py::tuple {
        const auto z = view<T>(logits, "logits", {{"N"}, {"V"}});
        const Ids classes = checked_targets(targets, z.shape[0], z.shape[1], ignored);
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

struct LinearCrossEntropyCall {
    py::object x, weight, bias, targets;
    std::int64_t ignored;
};

// The arguments common to the loss alone and the loss with its gradient.
template <class T>
class CheckedLinearCrossEntropy {
public:
    explicit CheckedLinearCrossEntropy(const LinearCrossEntropyCall& call)
        : weight_(view<T>(call.weight, "weight", {{"V"}, {"H"}})),
          x_(view<T>(call.x, "x", {{"N"}, {"H", weight_.shape[1]}})),
          bias_(view_or_none<T>(call.bias, "bias", {{"V", weight_.shape[0]}})),
          targets_(checked_targets(call.targets, x_.shape[0], weight_.shape[0], call.ignored)),
          ignored_(call.ignored),
          losses_(new_array<double>({x_.shape[0]})),
          to_(losses_.mutable_data()) {}

    Dimension classes() const { return {"V", weight_.shape[0]}; }
    Dimension hidden() const { return {"H", weight_.shape[1]}; }
    Index rows() const { return x_.shape[0]; }
    const py::array_t<double>& losses() const { return losses_; }

    // Calls work with the arguments as matrices; without the interpreter's lock.
    template <class Work>
    void run(const Work& work) const {
        without_gil([&] {
            const Rows<T> x(x_), weight(weight_);
            const Contiguous<T> bias(bias_);
            work(LinearCrossEntropy<T>{
                x.matrix(), weight.matrix(), bias.data(), {targets_.values.data(), ignored_}, to_});
        });
    }

private:
    View<T> weight_, x_, bias_;
    Ids targets_;
    std::int64_t ignored_;
    py::array_t<double> losses_;
    double* to_;
};

py::object linear_cross_entropy(py::object x, py::object weight, py::object bias, py::object targets,
                                std::int64_t ignored) {
    const LinearCrossEntropyCall call{x, weight, bias, targets, ignored};
    return by_dtype(x, "x", [&]<class T>() -> py::object {
        const CheckedLinearCrossEntropy<T> checked(call);
        checked.run([](const LinearCrossEntropy<T>& s) { rnncore::linear_cross_entropy(s); });
        return checked.losses();
    });
}

py::tuple linear_cross_entropy_grad(const LinearCrossEntropyCall& call, double scale, py::object dweight,
                                    py::object dbias) {
    return by_dtype(call.x, "x", [&]<class T>() -> py::tuple {
        const CheckedLinearCrossEntropy<T> checked(call);
        LinearCrossEntropyGradients<T> out{scale, nullptr,
                                           writeable<T>(dweight, "dweight", {checked.classes(), checked.hidden()}),
                                           writeable_or_none<T>(dbias, "dbias", {checked.classes()})};
        auto dx = new_array<T>({checked.rows(), checked.hidden().size});
        out.dx = dx.mutable_data();
        checked.run([&](const LinearCrossEntropy<T>& s) { rnncore::linear_cross_entropy_grad(s, out); });
        return py::make_tuple(checked.losses(), dx);
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
    module.def("linear_cross_entropy", linear_cross_entropy, py::arg("x"), py::arg("weight"), py::arg("bias"),
               py::arg("targets"), py::arg("ignore_index"));
    module.def(
        "linear_cross_entropy_grad",
        [](py::object x, py::object weight, py::object bias, py::object targets, std::int64_t ignored, double scale,
           py::object dweight, py::object dbias) {
            return linear_cross_entropy_grad({x, weight, bias, targets, ignored}, scale, dweight, dbias);
        },
        py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("targets"), py::arg("ignore_index"), py::arg("scale"),
        py::arg("dweight"), py::arg("dbias"));
    module.def("mse", mse, py::arg("prediction"), py::arg("target"));
    module.def("binary_cross_entropy", binary_cross_entropy, py::arg("logits"), py::arg("targets"));
}

}  // namespace rnncore::bindings
