// The affine map y = x W^T + b of rows, and its gradients. Any of N, I and O may be 0.
#pragma once

#include "rnn/matrix.hpp"

namespace rnncore {

// x [N,I], weight [O,I], bias [O] (null: none) -> y [N,O], contiguous
template <class T>
void linear_forward(const Kernels<T>& kernels, const Matrix<const T>& x, const Matrix<const T>& weight, const T* bias,
                    T* y);

template <class T>
struct LinearGradients {
    T* dx;       // [N,I]
    T* dweight;  // [O,I] added to
    T* dbias;    // [O] added to; null: no bias
};

// dy [N,O], x [N,I], weight [O,I]
template <class T>
void linear_backward(const Kernels<T>& kernels, const Matrix<const T>& dy, const Matrix<const T>& x,
                     const Matrix<const T>& weight, const LinearGradients<T>& out);

// c [M,N] += a^T b for a [K,M], b [K,N]
template <class T>
void add_transposed_product(const Kernels<T>& kernels, const Matrix<const T>& a, const Matrix<const T>& b, T* c);

}  // namespace rnncore
