// The argument `compute` of Python: None, or the name of what the operands of products are rounded to.
#pragma once

#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <type_traits>

#include "bindings/arrays.hpp"
#include "rnn/kernel_choice.hpp"

namespace rnncore::bindings {

using ComputeName = std::optional<std::string>;

inline Compute compute_named(const ComputeName& name, bool single) {
    if (!name) return Compute::full;
    if (*name != "bfloat16") throw py::value_error("compute: expected None or 'bfloat16', got '" + *name + "'");
    if (!single) throw py::value_error("compute: 'bfloat16' needs dtype float32, got float64");
    return Compute::bfloat16;
}

template <class T>
const Kernels<T>& kernels_named(const ComputeName& name, Index rows) {
    return kernels_for_rows<T>(compute_named(name, std::is_same_v<T, float>), rows);
}

}  // namespace rnncore::bindings
