// The product of rows that are not in the format of its operands yet: they are converted as it goes along.
#pragma once

#include "kernels/product.hpp"
#include "kernels/squares.hpp"

namespace rnncore::RNNCORE_ISA {

// Rows that are put into another format at a time: enough for a panel of b to be read from far away without waiting. They
// stay in the L2 cache, to as great a depth as they find room: every further depth reads c again. Where products are of
// squares, they are one block of those, which stays in the L1 cache unless it is very deep. Measured.
template <class F>
inline constexpr Index kConvertedRows = F::unit > 1 ? 2 * F::unit : 64;
template <class F>
inline constexpr Index kConvertedBytes = kConvertedRows<F> << 11;

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
        const Index groups = (rows_ + kConvertedRows<F> - 1) / kConvertedRows<F>;
        for (Index i = 0, first = 0; i < groups; ++i) {
            const Index next = rows_ * (i + 1) / groups;
            take(next - first);
            multiply(next - first);
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

    // Elements of k of so many rows that are converted at once: equal parts of all, in whole vectors.
    static Index depth_of(Index rows, Index k) {
        constexpr Index lanes = kLanes<E>;
        const Index most = kElements / (rows + F::unit - 1) / lanes * lanes;  // a square reads past the last rows
        const Index parts = k > most ? (k + most - 1) / most : 1;
        return ((k + parts - 1) / parts + lanes - 1) / lanes * lanes;
    }

    void multiply(Index rows) {
        const Product<T>& p = product_;
        const Index all = elements<F>(p.k), depth = depth_of(rows, all);
        RowBlock<T, E> blocks[kConvertedRows<F>];
        const Product<T, E> converted{blocks, count_, depth, p.ldc, reinterpret_cast<const E*>(p.packed),
                                      p.bias, all,    p.n,   p.init};
        for (Index first = 0, count; first < all; first += count) {
            count = all - first < depth ? all - first : depth;
            const Index k0 = first * F::steps;
            const Index k = p.k - k0 < count * F::steps ? p.k - k0 : count * F::steps;
            E* row = rows_of_a_;
            for (Index i = 0; i < count_; ++i) {
                blocks[i] = {row, parts_[i].c, parts_[i].rows};
                for (Index r = 0; r < parts_[i].rows; ++r, row += depth) {
                    const T* const from = parts_[i].a + r * p.lda + k0;
                    for_steps<F>(k, [&](Index j, auto lanes) { store(row + j / F::steps, F::along(from + j, lanes)); });
                }
            }
#if defined(__AMX_BF16__)
            multiply_squares(converted, {first, count, 0});
#else
            multiply_panels(converted, {first, count, 0});
#endif
        }
    }

    static constexpr Index kElements = kConvertedBytes<F> / static_cast<Index>(sizeof(E));

    const Product<T>& product_;
    Index rows_ = 0;
    Index block_ = 0, row_ = 0;  // the first row that has not been taken
    Index count_ = 0;
    RowBlock<T> parts_[kConvertedRows<F>];
    E rows_of_a_[kElements];
};

template <class F>
void converted_product(const Product<typename F::Value>& p) {
    if (p.k == 0) return initialise(p);
    ConvertedRows<F>(p).run();
}

}  // namespace rnncore::RNNCORE_ISA
