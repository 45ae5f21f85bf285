// Products of matrices and sums of columns, element by element.
#pragma once

#include <cmath>

#include "kernels/table.hpp"

namespace rnncore::reference {

// What a product reads: the value itself,
template <class T>
double whole(T value) {
    return double(value);
}

// or the nearest bfloat16 number, the one with an even last bit where two are equally near. It has 8
// significant bits: 7 after the leading one.
inline double rounded(float value) {
    if (!std::isfinite(value) || value == 0) return double(value);
    const double unit = std::ldexp(1.0, std::ilogb(value) - 7);
    const double nearest = std::nearbyint(double(value) / unit) * unit;
    return double(static_cast<float>(nearest));  // infinite beyond the greatest
}

// packed[n][k] = b[k, n]: panels of one column.
template <class T, double (*operand)(T)>
void pack(const Packing<T>& p) {
    for (Index n = 0; n < p.n; ++n) {
        for (Index k = 0; k < p.k; ++k)
            p.packed[n * p.k + k] = static_cast<T>(operand(p.source[k * p.stride_k + n * p.stride_n]));
    }
}

// c[m, n] = init + sum over k of a[m, k] b[k, n]
template <class T, double (*operand)(T)>
void product(const Product<T>& p) {
    for (Index i = 0; i < p.block_count; ++i) {
        const RowBlock<T>& block = p.blocks[i];
        for (Index m = 0; m < block.rows; ++m) {
            for (Index n = 0; n < p.n; ++n) {
                T& c = block.c[m * p.ldc + n];
                double sum = p.init == Init::zero ? 0.0 : p.init == Init::bias ? double(p.bias[n]) : double(c);
                for (Index k = 0; k < p.k; ++k) sum += operand(block.a[m * p.lda + k]) * double(p.packed[n * p.k + k]);
                c = static_cast<T>(sum);
            }
        }
    }
}

// c[m, n] += sum over k of a[k, m] b[k, n]
template <class T, double (*operand)(T)>
void outer_product(const OuterProduct<T>& p) {
    for (Index m = 0; m < p.m; ++m) {
        for (Index n = 0; n < p.n; ++n) {
            double sum = p.c[m * p.ldc + n];
            for (Index k = 0; k < p.k; ++k) sum += operand(p.a[k * p.lda + m]) * operand(p.b[k][n]);
            p.c[m * p.ldc + n] = static_cast<T>(sum);
        }
    }
}

template <class T>
void add_column_sums(const T* a, Index rows, Index columns, Index lda, T* sums) {
    for (Index n = 0; n < columns; ++n) {
        double sum = sums[n];
        for (Index r = 0; r < rows; ++r) sum += double(a[r * lda + n]);
        sums[n] = static_cast<T>(sum);
    }
}

}  // namespace rnncore::reference
