// The product of rows that are not in the format of its operands yet: they are converted as it goes along.
#pragma once

#include "kernels/infinities.hpp"
#include "kernels/product.hpp"
#include "kernels/squares.hpp"

namespace rnncore::RNNCORE_ISA {

// The most rows that are converted at a time: enough to read a panel of b from an outer cache without waiting. They
// stay in the L2 cache, and their depth is the largest that fits, as every further depth reads c again. Measured.
template <class F>
inline constexpr Index kConvertedRows = F::unit > 1 ? 8 * F::unit : 64;
template <class F>
inline constexpr Index kConvertedBytes = kConvertedRows<F> << 11;

// Some rows of a product, a depth at a time in the format F; blocks whose rows follow each other or not.
template <class F>
class ConvertedRows {
    using T = typename F::Value;
    using E = typename F::Element;

public:
    explicit ConvertedRows(const Product<T>& p) : product_(p), rows_of_a_(static_cast<E*>(p.scratch)) {
        for (Index i = 0; i < p.block_count; ++i) rows_ += p.blocks[i].rows;
    }

    void run() {
        for (Index left = rows_; left > 0;) {
            const Index groups = (left + kConvertedRows<F> - 1) / kConvertedRows<F>;
            take((left + groups - 1) / groups);
            left -= taken_;
            multiply();
        }
    }

private:
    // The next rows, as pieces of blocks.
    void take(Index rows) {
        taken_ = rows;
        for (count_ = 0; rows > 0; ++count_) {
            const RowBlock<T>& block = product_.blocks[block_];
            const Index rest = block.rows - row_, piece = rest < rows ? rest : rows;
            pieces_[count_] = {block.a + row_ * product_.lda, block.c + row_ * product_.ldc, piece};
            rows -= piece;
            row_ += piece;
            if (row_ < block.rows) continue;
            ++block_;
            row_ = 0;
        }
    }

    // The number of elements of k that are converted at once for a number of rows: equal shares, in whole vectors.
    static Index depth_of(Index rows, Index k) {
        constexpr Index lanes = kLanes<E>;
        const Index most = kElements / (F::parts * rows) / lanes * lanes;
        const Index times = k > most ? (k + most - 1) / most : 1;
        return ((k + times - 1) / times + lanes - 1) / lanes * lanes;
    }

    void multiply() {
        const Product<T>& p = product_;
#if defined(RNNCORE_AMX)
        const Index room = squares_for(taken_) * kSquare, height = square_height(taken_);
#else
        const Index room = taken_, height = 1;
#endif
        const Index all = elements<F>(p.k), depth = depth_of(room, all);
        [[maybe_unused]] bool found_overflows = false;
        for (Index first = 0, count; first < all; first += count) {
            count = all - first < depth ? all - first : depth;
            const Index k0 = first * F::steps;
            const Index k = p.k - k0 < count * F::steps ? p.k - k0 : count * F::steps;
            found_overflows |= convert(k0, k, depth, height);
            multiply_converted({first, count, 0}, depth, height);
        }
        if constexpr (F::parts > 1) {
            for (Index i = 0; found_overflows && i < count_; ++i) add_overflows<F>(p, pieces_[i]);
        }
    }

    // Steps [k0, k0 + k) of the rows. So many of them make squares, one after the other along k; where there are no
    // squares, that is each row by itself. Returns whether there are values that have no parts.
    bool convert(Index k0, Index k, Index depth, Index height) {
        constexpr Index kUnit = F::unit;
        bool found_overflows = false;
        Index row = 0;
        for (Index i = 0; i < count_; ++i) {
            for (Index r = 0; r < pieces_[i].rows; ++r, ++row) {
                const T* const from = pieces_[i].a + r * product_.lda + k0;
                E* const to = rows_of_a_ + (row / height * F::parts * depth + row % height) * kUnit;
                [[maybe_unused]] Vec<T> largest{};
                for_steps<F>(k, [&](Index j, auto lanes) {
                    const auto loaded = F::along(from + j, lanes);
                    if constexpr (F::parts > 1) largest = largest_magnitude(largest, loaded);
                    store(to + place<F>(j / F::steps) * kUnit, F::split(loaded), kUnit * kUnit);
                });
                if constexpr (F::parts > 1) {
                    if (!overflows_any(largest)) continue;
                    found_overflows = true;
                    clear_overflows<F>(from, k, to);
                }
            }
        }
        return found_overflows;
    }

    void multiply_converted(const Steps& steps, Index depth, Index height) {
        const Product<T>& p = product_;
        Product<T, E> converted{nullptr,          0,   depth,  p.ldc,     reinterpret_cast<const E*>(p.packed), p.bias,
                                elements<F>(p.k), p.n, p.init, p.from_end};
#if defined(RNNCORE_AMX)
        T* rows[kConvertedRows<F>];
        Index row = 0;
        for (Index i = 0; i < count_; ++i) {
            for (Index r = 0; r < pieces_[i].rows; ++r) rows[row++] = pieces_[i].c + r * p.ldc;
        }
        multiply_squares<F::parts>(converted, {rows_of_a_, rows, taken_, height}, steps);
#else
        (void)height;
        RowBlock<T, E> blocks[kConvertedRows<F>];
        const E* a = rows_of_a_;
        for (Index i = 0; i < count_; a += pieces_[i++].rows * depth) blocks[i] = {a, pieces_[i].c, pieces_[i].rows};
        converted.blocks = blocks;
        converted.block_count = count_;
        multiply_panels(converted, steps);
#endif
    }

    static constexpr Index kElements = kConvertedBytes<F> / static_cast<Index>(sizeof(E));

    const Product<T>& product_;
    Index rows_ = 0;
    Index block_ = 0, row_ = 0;    // the first row that has not been taken
    Index count_ = 0, taken_ = 0;  // pieces, and the rows of all
    RowBlock<T> pieces_[kConvertedRows<F>];
    E* const rows_of_a_;  // [kElements], in the scratch: the stack of a thread may be small
};

template <class F>
void converted_product(const Product<typename F::Value>& p) {
    if (p.k == 0) return initialise(p);
    ConvertedRows<F>(p).run();
}

}  // namespace rnncore::RNNCORE_ISA
