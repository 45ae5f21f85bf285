// The counterparts of kernels/ceilings.hpp.
#pragma once

#include <cmath>

#include "kernels/table.hpp"

namespace rnncore::reference {

// One chain that starts at the mean of theirs.
template <class T>
T multiply_adds(T half, Index n) {
    double v = 5.5;
    for (Index i = 0; i < n; ++i) v = std::fma(v, double(half), double(half));
    return static_cast<T>(v);
}

template <class T>
T repeated_sum(const T* x, Index n, Index rounds) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += x[i];
    return static_cast<T>(sum * static_cast<double>(rounds));
}

}  // namespace rnncore::reference
