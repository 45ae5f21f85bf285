// Single kernels of the active instruction set, for the kernel tests and the benchmarks.
#include <algorithm>
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/compute.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/network.hpp"
#include "bindings/register.hpp"
#include "core/floating_point.hpp"
#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/linear.hpp"
#include "rnn/stored.hpp"

namespace rnncore::bindings {
namespace {

py::object kernel_product(py::object a, py::object b, const ComputeName& compute) {
    return by_dtype(a, "a", [&]<class T>() -> py::object {
        const auto a_view = view<T>(a, "a", {{"M"}, {"K"}});
        const Kernels<T>& k = kernels_named<T>(compute, a_view.shape[0]);
        const auto b_view = view<T>(b, "b", {{"N"}, {"K", a_view.shape[1]}});
        auto c = new_array<T>({a_view.shape[0], b_view.shape[0]});
        T* const to = c.mutable_data();
        without_gil([&] {
            const Rows<T> a_rows(a_view), b_rows(b_view);
            linear_forward<T>(k, a_rows.matrix(), b_rows.matrix(), nullptr, to);
        });
        return c;
    });
}

py::object kernel_product_transposed(py::object a, py::object b, const ComputeName& compute) {
    return by_dtype(a, "a", [&]<class T>() -> py::object {
        const auto a_view = view<T>(a, "a", {{"K"}, {"M"}});
        const Kernels<T>& k = kernels_named<T>(compute, a_view.shape[0]);
        const auto b_view = view<T>(b, "b", {{"K", a_view.shape[0]}, {"N"}});
        auto c = new_array<T>({a_view.shape[1], b_view.shape[1]});
        T* const to = c.mutable_data();
        const Index size = c.size();
        without_gil([&] {
            const Rows<T> a_rows(a_view), b_rows(b_view);
            std::fill_n(to, size, T(0));
            add_transposed_product<T>(k, a_rows.matrix(), b_rows.matrix(), to);
        });
        return c;
    });
}

// a [M,K], b [N,K] -> a b^T with b in a storage
py::object kernel_stored_product(py::object a, py::object b, const std::string& weight_format) {
    const Storage storage = storage_named(weight_format);
    return by_dtype(a, "a", [&]<class T>() -> py::object {
        const auto a_view = view<T>(a, "a", {{"M"}, {"K"}});
        const Index m = a_view.shape[0], k = a_view.shape[1];
        const auto b_view = view<T>(b, "b", {{"N"}, {"K", k}});
        const Index n = b_view.shape[0];
        check<T>(storage, k);
        auto c = new_array<T>({m, n});
        T* const to = c.mutable_data();
        without_gil([&] {
            const FlushSubnormals flush;
            const auto& kernel = kernels<T>().storages[static_cast<int>(storage)];
            const Contiguous<T> a_values(a_view), b_values(b_view);
            Arena arena;
            const StoredMatrix<T> stored(arena, kernel, k, n);
            const auto scratch = arena.reserve<char>(static_cast<std::size_t>(kernel.scratch_bytes(k)));
            arena.take();
            stored.fill(arena, kernel, b_values.data(), k);
            kernel.product(
                {a_values.data(), k, to, n, m, stored.in(arena), k, n, nullptr, Init::zero, scratch.in(arena)});
        });
        return c;
    });
}

template <class T>
auto map_kernel(const std::string& name) {
    const Kernels<T>& k = kernels<T>();
    if (name == "exp") return k.exp;
    if (name == "tanh") return k.tanh;
    if (name == "sigmoid") return k.sigmoid;
    throw py::value_error("name: expected 'exp', 'tanh' or 'sigmoid', got '" + name + "'");
}

py::object kernel_map(const std::string& name, py::object x) {
    return by_dtype(x, "x", [&]<class T>() -> py::object {
        const auto map = map_kernel<T>(name);
        const auto values = view<T>(x, "x", {{"N"}});
        auto y = new_array<T>(values.shape);
        T* const to = y.mutable_data();
        without_gil([&] {
            const Contiguous<T> from(values);
            map(from.data(), values.size(), to);
        });
        return y;
    });
}

// Every thread runs as many, on what it has of the processor.
double kernel_multiply_adds(const std::string& dtype, Index n) {
    const auto run = [&]<class T>(T) {
        const auto kernel = kernels<T>().multiply_adds;
        double result = 0;
        without_gil([&] {
            run_parallel(get_num_threads(), [&](int thread, Team&) {
                const double mine = static_cast<double>(kernel(T(0.5), n));
                if (thread == 0) result = mine;
            });
        });
        return result;
    };
    if (dtype == "float32") return run(float{});
    if (dtype == "float64") return run(double{});
    throw py::value_error("dtype: expected 'float32' or 'float64', got '" + dtype + "'");
}

double kernel_repeated_sum(py::object x, Index rounds) {
    return by_dtype(x, "x", [&]<class T>() -> double {
        const auto values = view<T>(x, "x", {{"N"}});
        return without_gil([&]() -> double {
            const Contiguous<T> from(values);
            return static_cast<double>(kernels<T>().repeated_sum(from.data(), values.size(), rounds));
        });
    });
}

}  // namespace

void register_kernels(py::module_& module) {
    module.def("kernel_product", kernel_product, py::arg("a"), py::arg("b"), py::arg("compute") = py::none());
    module.def("kernel_product_transposed", kernel_product_transposed, py::arg("a"), py::arg("b"),
               py::arg("compute") = py::none());
    module.def("kernel_stored_product", kernel_stored_product, py::arg("a"), py::arg("b"), py::arg("weight_format"));
    module.def("kernel_map", kernel_map, py::arg("name"), py::arg("x"));
    module.def("kernel_multiply_adds", kernel_multiply_adds, py::arg("dtype"), py::arg("n"));
    module.def("kernel_repeated_sum", kernel_repeated_sum, py::arg("x"), py::arg("rounds"));
}

}  // namespace rnncore::bindings
