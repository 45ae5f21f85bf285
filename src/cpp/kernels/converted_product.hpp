// The product of rows that are not in the format of its operands yet: they are converted as it goes along.
#pragma once

#include "kernels/product.hpp"
#include "kernels/squares.hpp"

namespace rnncore::RNNCORE_ISA {

// At most so many rows are put into another format at a time: enough for a panel of b to be read from far away without
// waiting. They stay in the L2 cache, to as great a depth as they find room: every further depth reads c again. Measured.
template <class F>
inline constexpr Index kConvertedRows = F::unit > 1 ? 8 * F::unit : 64;
template <class F>
inline constexpr Index kConvertedBytes = kConvertedRows<F> << 11;

// Products of squares are so fast that they would wait for b. Unless it is larger than this, and comes from beyond the L2
// cache, they take the rows of one block at a time, which stays in the L1 cache where it is not very deep. Measured.
inline constexpr Index kNearBytes = Index{1} << 20;
template <class F>
[[gnu::always_inline]] inline bool is_near(const Product<typename F::Value>& p) {
    return elements<F>(p.k) * p.n * static_cast<Index>(sizeof(typename F::Element)) <= kNearBytes;
}

// Some rows of a product, a depth at a time in the format F; blocks whose rows follow each other or not.
template <class F>
class ConvertedRows {
    using T = typename F::Value;
    using E = typename F::Element;

public:
    explicit ConvertedRows(const Product<T>& p) : product_(p), near_(F::unit > 1 && is_near<F>(p)) {
        for (Index i = 0; i < p.block_count; ++i) rows_ += p.blocks[i].rows;
    }

    void run() {
        for (Index left = rows_; left > 0;) {
            const Index groups = (left + most_ - 1) / most_;
            const Index rows = whole_units((left + groups - 1) / groups);
            left -= take(rows < left ? rows : left);
            multiply();
        }
    }

private:
    static Index whole_units(Index rows) { return (rows + F::unit - 1) / F::unit * F::unit; }

    // The next rows, as parts of blocks. Returns how many: fewer than asked for where squares of several parts are full.
    Index take(Index rows) {
        Index taken = 0;
        for (count_ = 0, room_ = 0; taken < rows; ++count_) {
            const RowBlock<T>& block = product_.blocks[block_];
            const Index rest = block.rows - row_, part = rest < rows - taken ? rest : rows - taken;
            const Index room = whole_units(part);
            if (room_ + room > most_) break;
            parts_[count_] = {block.a + row_ * product_.lda, block.c + row_ * product_.ldc, part};
            taken += part;
            room_ += room;
            row_ += part;
            if (row_ < block.rows) continue;
            ++block_;
            row_ = 0;
        }
        return taken;
    }

    // Elements of k of so many rows that are converted at once: equal parts of all, in whole vectors.
    static Index depth_of(Index rows, Index k) {
        constexpr Index lanes = kLanes<E>;
        const Index most = kElements / rows / lanes * lanes;
        const Index parts = k > most ? (k + most - 1) / most : 1;
        return ((k + parts - 1) / parts + lanes - 1) / lanes * lanes;
    }

    void multiply() {
        const Product<T>& p = product_;
        const Index all = elements<F>(p.k), depth = depth_of(room_, all);
        RowBlock<T, E> blocks[kParts];
        const Product<T, E> converted{blocks, count_, depth, p.ldc, reinterpret_cast<const E*>(p.packed),
                                      p.bias, all,    p.n,   p.init};
        for (Index first = 0, count; first < all; first += count) {
            count = all - first < depth ? all - first : depth;
            const Index k0 = first * F::steps;
            const Index k = p.k - k0 < count * F::steps ? p.k - k0 : count * F::steps;
            E* rows = rows_of_a_;
            for (Index i = 0; i < count_; ++i) {
                blocks[i] = {rows, parts_[i].c, parts_[i].rows};
                convert(parts_[i], k0, k, depth, rows);
                rows += whole_units(parts_[i].rows) * depth;
            }
#if defined(RNNCORE_AMX)
            multiply_squares(converted, {first, count, 0}, !near_);
#else
            multiply_panels(converted, {first, count, 0});
#endif
        }
    }

    // Steps [k0, k0 + k) of the rows of a part. As many rows as the unit make squares, one after the other along k; with a
    // unit of 1, that is each row by itself.
    void convert(const RowBlock<T>& part, Index k0, Index k, Index depth, E* rows) const {
        constexpr Index kUnit = F::unit;
        for (Index r = 0; r < part.rows; ++r) {
            const T* const from = part.a + r * product_.lda + k0;
            E* const to = rows + (r / kUnit * depth * kUnit + r % kUnit * kUnit);
            for_steps<F>(k, [&](Index j, auto lanes) { store(to + j / F::steps * kUnit, F::along(from + j, lanes)); });
        }
    }

    static constexpr Index kParts = kConvertedRows<F> / F::unit;
    static constexpr Index kElements = kConvertedBytes<F> / static_cast<Index>(sizeof(E));

    const Product<T>& product_;
    const bool near_;
    const Index most_ = near_ ? 2 * F::unit : kConvertedRows<F>;  // rows
    Index rows_ = 0;
    Index block_ = 0, row_ = 0;  // the first row that has not been taken
    Index count_ = 0;
    Index room_ = 0;  // rows of whole squares
    RowBlock<T> parts_[kParts];
    alignas(kVectorBytes) E rows_of_a_[kElements];
};

template <class F>
void converted_product(const Product<typename F::Value>& p) {
    if (p.k == 0) return initialise(p);
    ConvertedRows<F>(p).run();
}

}  // namespace rnncore::RNNCORE_ISA
