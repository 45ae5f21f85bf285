// The product of rows that are not in the format of its operands yet: they are converted as it goes along.
#pragma once

#include "kernels/product.hpp"

namespace rnncore::RNNCORE_ISA {

// Rows that are put into another format at a time, a depth of them in 64 KB: enough for a panel of b to be read from far
// away without waiting.
inline constexpr Index kConvertedRows = 64;

// Some rows of a product, a depth at a time in the format F; blocks whose rows follow each other or not.
template <class F>
class ConvertedRows {
    using T = typename F::Value;
    using E = typename F::Element;

public:
    explicit ConvertedRows(const Product<T>& p) : product_(p) {
        for (Index i = 0; i < p.block_count; ++i) rows_ += p.blocks[i].rows;
    }

    void run() {
        const Index groups = (rows_ + kConvertedRows - 1) / kConvertedRows;
        for (Index i = 0, first = 0; i < groups; ++i) {
            const Index next = rows_ * (i + 1) / groups;
            take(next - first);
            multiply();
            first = next;
        }
    }

private:
    // The next rows, as parts of blocks.
    void take(Index rows) {
        for (count_ = 0; rows > 0; ++count_) {
            const RowBlock<T>& block = product_.blocks[block_];
            const Index part = block.rows - row_ < rows ? block.rows - row_ : rows;
            parts_[count_] = {block.a + row_ * product_.lda, block.c + row_ * product_.ldc, part};
            rows -= part;
            row_ += part;
            if (row_ < block.rows) continue;
            ++block_;
            row_ = 0;
        }
    }

    void multiply() {
        const Product<T>& p = product_;
        RowBlock<T, E> blocks[kConvertedRows];
        const Product<T, E> converted{
            blocks, count_,           (kDepth<E>), p.ldc, reinterpret_cast<const E*>(p.packed),
            p.bias, elements<F>(p.k), p.n,         p.init};
        for_depths<E>(converted.k, [&](Index first, Index count) {
            const Index k0 = first * F::steps;
            const Index k = p.k - k0 < kDepth<E> * F::steps ? p.k - k0 : kDepth<E> * F::steps;
            E* row = rows_of_a_;
            for (Index i = 0; i < count_; ++i) {
                blocks[i] = {row, parts_[i].c, parts_[i].rows};
                for (Index r = 0; r < parts_[i].rows; ++r, row += kDepth<E>) {
                    const T* const from = parts_[i].a + r * p.lda + k0;
                    for_steps<F>(k, [&](Index j, auto lanes) { store(row + j / F::steps, F::along(from + j, lanes)); });
                }
            }
            multiply_panels(converted, {first, count, 0});
        });
    }

    const Product<T>& product_;
    Index rows_ = 0;
    Index block_ = 0, row_ = 0;  // the first row that has not been taken
    Index count_ = 0;
    RowBlock<T> parts_[kConvertedRows];
    E rows_of_a_[kConvertedRows * kDepth<E>];
};

template <class F>
void converted_product(const Product<typename F::Value>& p) {
    ConvertedRows<F>(p).run();
}

}  // namespace rnncore::RNNCORE_ISA
