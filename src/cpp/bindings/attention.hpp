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
};

// Its arrays, checked; contiguous copies live as long as this.
template <class T>
class CheckedMemory {
public:
    explicit CheckedMemory(const PyAttentionMemory& given);
    const AttentionMemory<T>& operator*() const { return memory_; }
    const AttentionMemory<T>* operator->() const { return &memory_; }

private:
    View<T> values_, keys_, v_;
    Contiguous<T> value_rows_, key_rows_, v_row_;
    AttentionMemory<T> memory_;
};

template <class T>
CheckedMemory<T>::CheckedMemory(const PyAttentionMemory& given)
    : values_(view<T>(given.values, "values", {{"N", given.rows.rows()}, {"M"}})),
      keys_(view_or_none<T>(given.keys, "keys", {{"N", given.rows.rows()}, {"A"}})),
      v_(view_or_none<T>(given.v, "v", {{"A", (keys_ ? keys_ : values_).shape[1]}})),
      value_rows_(values_),
      key_rows_(keys_),
      v_row_(v_),
      memory_{given.rows,
              given.heads,
              (keys_ ? keys_ : values_).shape[1],
              values_.shape[1],
              keys_ ? key_rows_.data() : value_rows_.data(),
              value_rows_.data(),
              v_row_.data(),
              T(given.scale)} {
    if (memory_.width % given.heads != 0 || memory_.value_width % given.heads != 0)
        throw py::value_error("num_heads: expected a divisor of the widths, got " + std::to_string(given.heads));
}

}  // namespace rnncore::bindings
