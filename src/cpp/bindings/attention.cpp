// Attention over joined rows.
#include "bindings/attention.hpp"
#include "bindings/interpreter.hpp"
#include "bindings/register.hpp"

namespace rnncore::bindings {
namespace {

Joined joined(py::handle lengths, const char* name, Index most) {
    const Ids given = ids(lengths, name, {{"B"}});
    given.require_below(name, {"T+1", most + 1});
    return Joined({given.values.begin(), given.values.end()});
}

template <class T>
View<T> query_view(py::handle query, const AttentionMemory<T>& memory, Index rows) {
    return view<T>(query, "query", {{"N", rows}, {"A", memory.width}});
}

Joined queries_of(const PyAttentionMemory& self, py::handle lengths, Index steps) {
    Joined queries = joined(lengths, "query_lengths", steps);
    if (queries.batch() != self.rows.batch())
        throw py::value_error("query_lengths: expected B=" + std::to_string(self.rows.batch()) + " lengths, got " +
                              std::to_string(queries.batch()));
    return queries;
}

py::tuple attention_forward(const PyAttentionMemory& self, py::object query, py::object lengths, Index steps,
                            bool keep) {
    const Joined queries = queries_of(self, lengths, steps);
    return by_dtype(query, "query", [&]<class T>() -> py::tuple {
        const CheckedMemory<T> memory(self);
        const auto rows = query_view<T>(query, *memory, queries.rows());
        auto context = new_array<T>({steps, queries.batch(), memory->value_width});
        T* const to = context.mutable_data();
        py::object kept = py::none();
        T* weights = nullptr;
        if (keep) {
            auto array = new_array<T>({static_cast<Index>(weights_size(*memory, queries))});
            weights = array.mutable_data();
            kept = std::move(array);
        }
        without_gil([&] {
            const Contiguous<T> values(rows);
            attend(*memory, queries, values.data(), steps, to, weights);
        });
        return py::make_tuple(context, kept);
    });
}

py::tuple attention_backward(const PyAttentionMemory& self, py::object dcontext, py::object query, py::object lengths,
                             py::object weights, py::object dv) {
    return by_dtype(dcontext, "dcontext", [&]<class T>() -> py::tuple {
        const CheckedMemory<T> memory(self);
        const auto gradient =
            view<T>(dcontext, "dcontext", {{"T"}, {"B", self.rows.batch()}, {"M", memory->value_width}});
        const Joined queries = queries_of(self, lengths, gradient.shape[0]);
        const auto rows = query_view<T>(query, *memory, queries.rows());
        const auto kept = view<T>(weights, "weights", {{"W", static_cast<Index>(weights_size(*memory, queries))}});
        if (memory->v && dv.is_none()) throw py::value_error("dv: expected an array, got None");
        T* const to_v = writeable_or_none<T>(dv, "dv", {{"A", memory->width}});
        auto dquery = new_array<T>({queries.rows(), memory->width});
        auto dvalues = new_array<T>({self.rows.rows(), memory->value_width});
        py::object dkeys = py::none();
        AttentionGradients<T> out{{gradient.data(), gradient.strides[0], gradient.strides[1], gradient.strides[2]},
                                  dquery.mutable_data(),
                                  dvalues.mutable_data(),
                                  dvalues.mutable_data(),
                                  to_v};
        if (!self.keys.is_none()) {
            auto array = new_array<T>({self.rows.rows(), memory->width});
            out.dkeys = array.mutable_data();
            dkeys = std::move(array);
        }
        without_gil([&] {
            const Contiguous<T> values(rows), probabilities(kept);
            attend_backward(*memory, queries, values.data(), probabilities.data(), out);
        });
        return py::make_tuple(dquery, dkeys, dvalues);
    });
}

py::tuple attention_read(const PyAttentionMemory& self, py::object query, py::object rows_given) {
    return by_dtype(query, "query", [&]<class T>() -> py::tuple {
        const CheckedMemory<T> memory(self);
        const Ids of = ids(rows_given, "rows", {{"N"}});
        of.require_below("rows", {"B", self.rows.batch()});
        const Index count = of.shape[0];
        const auto rows = query_view<T>(query, *memory, count);
        auto context = new_array<T>({count, memory->value_width});
        auto weights = new_array<T>({count, self.steps});
        T *const to = context.mutable_data(), *const to_weights = weights.mutable_data();
        without_gil([&] {
            const Contiguous<T> values(rows);
            attend_rows<T>(*memory, {of.values.data(), count, self.steps}, values.data(), to, to_weights);
        });
        return py::make_tuple(context, weights);
    });
}

py::object join(py::object x, py::object lengths) {
    return by_dtype(x, "x", [&]<class T>() -> py::object {
        const auto from = view<T>(x, "x", {{"T"}, {"B"}, {"W"}});
        const Joined rows = joined(lengths, "lengths", from.shape[0]);
        if (rows.batch() != from.shape[1]) throw py::value_error("lengths: expected one for each sequence");
        auto y = new_array<T>({rows.rows(), from.shape[2]});
        T* const to = y.mutable_data();
        without_gil([&] {
            join_rows<T>(rows, {from.data(), from.strides[0], from.strides[1], from.strides[2]}, from.shape[2], to);
        });
        return y;
    });
}

py::object part(py::object x, py::object more, py::object lengths, Index steps) {
    return by_dtype(x, "x", [&]<class T>() -> py::object {
        const Joined rows = joined(lengths, "lengths", steps);
        const auto from = view<T>(x, "x", {{"N", rows.rows()}, {"W"}});
        const Index width = from.shape[1];
        const auto added = view_or_none<T>(more, "more", {{"N", rows.rows()}, {"W", width}});
        auto y = new_array<T>({steps, rows.batch(), width});
        T* const to = y.mutable_data();
        without_gil([&] {
            const Contiguous<T> values(from), others(added);
            part_rows(rows, values.data(), others.data(), width, steps, to);
        });
        return y;
    });
}

}  // namespace

void register_attention(py::module_& module) {
    py::class_<PyAttentionMemory>(module, "AttentionMemory")
        .def(py::init([](py::object keys, py::object values, py::object v, py::object lengths, Index steps,
                         Index num_heads, double scale) {
                 if (num_heads < 1) throw py::value_error("num_heads: expected at least 1");
                 return PyAttentionMemory{keys, values, v, joined(lengths, "lengths", steps), steps, num_heads, scale};
             }),
             py::arg("keys"), py::arg("values"), py::arg("v"), py::arg("lengths"), py::arg("steps"),
             py::arg("num_heads"), py::arg("scale"))
        .def_readonly("steps", &PyAttentionMemory::steps)
        .def("forward", attention_forward, py::arg("query"), py::arg("query_lengths"), py::arg("steps"),
             py::arg("keep_weights"))
        .def("backward", attention_backward, py::arg("dcontext"), py::arg("query"), py::arg("query_lengths"),
             py::arg("weights"), py::arg("dv"))
        .def("read", attention_read, py::arg("query"), py::arg("rows"));
    module.def("padded_weights", padded_weights, py::arg("steps"));
    module.def("join_rows", join, py::arg("x"), py::arg("lengths"));
    module.def("part_rows", part, py::arg("x"), py::arg("more"), py::arg("lengths"), py::arg("steps"));
}

}  // namespace rnncore::bindings
