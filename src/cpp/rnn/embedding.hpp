// One row of a matrix for every id.
#pragma once

#include <cstdint>

#include "rnn/matrix.hpp"

namespace rnncore {

// y [N,E] = the rows `ids` [N] of weight [V,E]; each id within [0, V)
template <class T>
void embedding_forward(const std::int64_t* ids, const Matrix<const T>& weight, const Matrix<T>& y);

// dweight [V,E], contiguous: row ids[n] += dy[n], in the order of n
template <class T>
void embedding_backward(const Matrix<const T>& dy, const std::int64_t* ids, T* dweight);

}  // namespace rnncore
