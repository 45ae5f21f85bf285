// What attention reads, as Python gives it.
#pragma once

#include <string>

#include "bindings/arrays.hpp"
#include "rnn/attention/attention.hpp"

namespace rnncore::bindings {

// What queries are compared with and read, as Python gives it. Arrays are joined rows.
struct PyAttentionMemory {
    py::object keys;    // [N,A]; None: the values
    py::object values;  // [N,M]
    py::object v;       // [A], or None
    Joined rows;
    Index steps;  // of the array that the rows are from
    Index heads;
    double scale;

    // Calls work(memory) with views of the arrays.
    template <class T, class Work>
    auto with(Work&& work) const {
        const auto value_rows = view<T>(values, "values", {{"N", rows.rows()}, {"M"}});
        const auto key_rows = view_or_none<T>(keys, "keys", {{"N", rows.rows()}, {"A"}});
        const Index value_width = value_rows.shape[1], width = key_rows ? key_rows.shape[1] : value_width;
        const auto v_row = view_or_none<T>(v, "v", {{"A", width}});
        if (width % heads != 0 || value_width % heads != 0)
            throw py::value_error("num_heads: expected a divisor of the widths, got " + std::to_string(heads));
        const Contiguous<T> k(key_rows), x(value_rows), w(v_row);
        const AttentionMemory<T> memory{rows,     heads,    width,   value_width, k.data() ? k.data() : x.data(),
                                        x.data(), w.data(), T(scale)};
        return work(memory);
    }
};

}  // namespace rnncore::bindings
