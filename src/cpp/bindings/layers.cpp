// Linear, Embedding, Dropout.
#include "bindings/arrays.hpp"
#include "bindings/compute.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"
#include "rnn/embedding.hpp"
#include "rnn/flat.hpp"
#include "rnn/linear.hpp"

namespace rnncore::bindings {
namespace {

py::object linear_forward(py::object x, py::object weight, py::object bias, const ComputeName& compute) {
    return by_dtype(x, "x", [&]<class T>() -> py::object {
        const auto w = view<T>(weight, "weight", {{"O"}, {"I"}});
        const auto x_view = view<T>(x, "x", {{"N"}, {"I", w.shape[1]}});
        const Kernels<T>& k = kernels_named<T>(compute, x_view.shape[0]);
        const auto b = view_or_none<T>(bias, "bias", {{"O", w.shape[0]}});
        auto y = new_array<T>({x_view.shape[0], w.shape[0]});
        T* const to = y.mutable_data();
        without_gil([&] {
            const Rows<T> x_rows(x_view), w_rows(w);
            const Contiguous<T> b_values(b);
            rnncore::linear_forward(k, x_rows.matrix(), w_rows.matrix(), b_values.data(), to);
        });
        return y;
    });
}

py::object linear_backward(py::object dy, py::object x, py::object weight, py::object dweight, py::object dbias,
                           const ComputeName& compute) {
    return by_dtype(dy, "dy", [&]<class T>() -> py::object {
        const auto w = view<T>(weight, "weight", {{"O"}, {"I"}});
        const Dimension outputs{"O", w.shape[0]}, inputs{"I", w.shape[1]};
        const auto dy_view = view<T>(dy, "dy", {{"N"}, outputs});
        const Kernels<T>& k = kernels_named<T>(compute, dy_view.shape[0]);
        const auto x_view = view<T>(x, "x", {{"N", dy_view.shape[0]}, inputs});
        LinearGradients<T> out{nullptr, writeable<T>(dweight, "dweight", {outputs, inputs}),
                               writeable_or_none<T>(dbias, "dbias", {outputs})};
        auto dx = new_array<T>({dy_view.shape[0], w.shape[1]});
        out.dx = dx.mutable_data();
        without_gil([&] {
            const Rows<T> dy_rows(dy_view), x_rows(x_view), w_rows(w);
            rnncore::linear_backward(k, dy_rows.matrix(), x_rows.matrix(), w_rows.matrix(), out);
        });
        return dx;
    });
}

py::object embedding_forward(py::object ids_given, py::object weight) {
    return by_dtype(weight, "weight", [&]<class T>() -> py::object {
        const auto w = view<T>(weight, "weight", {{"V"}, {"E"}});
        const Ids rows = ids(ids_given, "ids", {{"N"}});
        rows.require_below("ids", {"V", w.shape[0]});
        auto y = new_array<T>({rows.shape[0], w.shape[1]});
        const Matrix<T> to{y.mutable_data(), rows.shape[0], w.shape[1], w.shape[1]};
        without_gil([&] {
            const Rows<T> w_rows(w);
            rnncore::embedding_forward(rows.values.data(), w_rows.matrix(), to);
        });
        return y;
    });
}

void embedding_backward(py::object dy, py::object ids_given, py::object dweight) {
    by_dtype(dy, "dy", [&]<class T>() {
        const auto dy_view = view<T>(dy, "dy", {{"N"}, {"E"}});
        T* const to = writeable<T>(dweight, "dweight", {{"V"}, {"E", dy_view.shape[1]}});
        const Ids rows = ids(ids_given, "ids", {{"N", dy_view.shape[0]}});
        rows.require_below("ids", {"V", py::reinterpret_borrow<py::array>(dweight).shape(0)});
        without_gil([&] {
            const Rows<T> dy_rows(dy_view);
            rnncore::embedding_backward(dy_rows.matrix(), rows.values.data(), to);
        });
    });
}

py::object dropout(py::object x, double p, std::uint64_t seed) {
    if (!(p >= 0 && p < 1)) throw py::value_error("p: expected a probability in [0, 1), got " + std::to_string(p));
    return by_dtype(x, "x", [&]<class T>() -> py::object {
        const auto x_view = view_of_any_shape<T>(x, "x");
        auto y = new_array<T>(x_view.shape);
        T* const to = y.mutable_data();
        without_gil([&] {
            const Contiguous<T> values(x_view);
            rnncore::dropout<T>({values.data(), to, x_view.size(), 0, seed, p});
        });
        return y;
    });
}

}  // namespace

void register_layers(py::module_& module) {
    module.def("linear_forward", linear_forward, py::arg("x"), py::arg("weight"), py::arg("bias"),
               py::arg("compute") = py::none());
    module.def("linear_backward", linear_backward, py::arg("dy"), py::arg("x"), py::arg("weight"), py::arg("dweight"),
               py::arg("dbias"), py::arg("compute") = py::none());
    module.def("embedding_forward", embedding_forward, py::arg("ids"), py::arg("weight"));
    module.def("embedding_backward", embedding_backward, py::arg("dy"), py::arg("ids"), py::arg("dweight"));
    module.def("dropout", dropout, py::arg("x"), py::arg("p"), py::arg("seed"));
}

}  // namespace rnncore::bindings
