// One-hot inputs: the input product is a look-up of W_ih's column, and its gradient a sum into that column. Only the
// columns in use are copied out, as rows [U, G*H].
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"

namespace rnncore {

class OneHot {
public:
    OneHot() = default;
    OneHot(std::vector<std::int64_t> ids, Index width);  // each within [0, width)

    Index used() const { return static_cast<Index>(columns_.size()); }  // U
    Index slot(Index row) const { return slots_[static_cast<std::size_t>(row)]; }

    // table[u] = W_ih[:, column u] + bias for the gate columns [first, last)
    template <class T>
    void look_up(const T* weight, Index width, const T* bias, Index gate_columns, T* table, Index first,
                 Index last) const;

    // dW_ih[:, column u] += table[u]
    template <class T>
    void scatter(const T* table, Index gate_columns, T* dweight, Index width, Index first, Index last) const;

private:
    std::vector<std::int32_t> slots_;  // [N]
    std::vector<Index> columns_;       // [U]
};

}  // namespace rnncore
