// The product of rows that are not in the format of its operands yet: they are converted as it goes along.
#pragma once

#include "kernels/infinities.hpp"
#include "kernels/product.hpp"
#include "kernels/squares.hpp"

namespace rnncore::RNNCORE_ISA {

// At most so many rows are put into another format at a time: enough for a panel of b to be read from far away without
// waiting. They stay in the L2 cache, to as great a depth as they find room: every further depth reads c again. Measured.
template <class F>
inline constexpr Index kConvertedRows = F::unit > 1 ? 8 * F::unit : 64;
template <class F>
inline constexpr Index kConvertedBytes = kConvertedRows<F> << 11;

// Products of squares in one part are so fast that they would wait for b. Unless it is larger than this, and comes from
// beyond the L2 cache, they take the rows of one block at a time, which stays in the L1 cache where it is not very deep.
// Measured.
inline constexpr Index kNearBytes = Index{1} << 20;
template <class F>
[[gnu::always_inline]] inline bool takes_blocks(const Product<typename F::Value>& p) {
    constexpr Index kBytes = sizeof(typename F::Element);
    return F::unit > 1 && F::parts == 1 && elements<F>(p.k) * p.n * kBytes <= kNearBytes;
}

// Some rows of a product, a depth at a time in the format F; blocks whose rows follow each other or not.
template <class F>
class ConvertedRows {
    using T = typename F::Value;
    using E = typename F::Element;

public:
    explicit ConvertedRows(const Product<T>& p) : product_(p), near_(takes_blocks<F>(p)) {
        for (Index i = 0; i < p.block_count; ++i) rows_ += p.blocks[i].rows;
    }

    void run() {
        for (Index left = rows_; left > 0;) {
            const Index groups = (left + most_ - 1) / most_;
            const Index rows = (left + groups - 1) / groups;
            left -= take(rows < left ? rows : left);
            multiply();
        }
    }

private:
    // Rows for which there is room where so many are converted: whole squares.
    static Index room_for(Index rows) {
#if defined(RNNCORE_AMX)
        return squares_for<F::parts>(rows) * kSquare;
#else
        return rows;
#endif
    }

    // The next rows, as pieces of blocks. Returns how many: fewer than asked for where squares of several pieces are full.
    Index take(Index rows) {
        Index taken = 0;
        for (count_ = 0, room_ = 0; taken < rows; ++count_) {
            const RowBlock<T>& block = product_.blocks[block_];
            const Index rest = block.rows - row_, piece = rest < rows - taken ? rest : rows - taken;
            const Index room = room_for(piece);
            if (room_ + room > most_) break;
            pieces_[count_] = {block.a + row_ * product_.lda, block.c + row_ * product_.ldc, piece};
            taken += piece;
            room_ += room;
            row_ += piece;
            if (row_ < block.rows) continue;
            ++block_;
            row_ = 0;
        }
        return taken;
    }

    // Elements of k of so many rows that are converted at once: equal parts of all, in whole vectors.
    static Index depth_of(Index rows, Index k) {
        constexpr Index lanes = kLanes<E>;
        const Index most = kElements / (F::parts * rows) / lanes * lanes;
        const Index parts = k > most ? (k + most - 1) / most : 1;
        return ((k + parts - 1) / parts + lanes - 1) / lanes * lanes;
    }

    void multiply() {
        const Product<T>& p = product_;
        const Index all = elements<F>(p.k), depth = depth_of(room_, all);
        RowBlock<T, E> blocks[kPieces];
        const Product<T, E> converted{blocks, count_, depth, p.ldc, reinterpret_cast<const E*>(p.packed),
                                      p.bias, all,    p.n,   p.init};
        for (Index first = 0, count; first < all; first += count) {
            count = all - first < depth ? all - first : depth;
            const Index k0 = first * F::steps;
            const Index k = p.k - k0 < count * F::steps ? p.k - k0 : count * F::steps;
            const Index height = square_height_of_pieces();
            [[maybe_unused]] bool overflows = false;
            E* rows = rows_of_a_;
            for (Index i = 0; i < count_; ++i) {
                blocks[i] = {rows, pieces_[i].c, pieces_[i].rows};
                overflows |= convert(pieces_[i], k0, k, depth, height, rows);
                rows += F::parts * room_for(pieces_[i].rows) * depth;
            }
#if defined(RNNCORE_AMX)
            multiply_squares<F::parts>(converted, {first, count, 0}, height, !near_);
#else
            multiply_panels(converted, {first, count, 0});
#endif
            if constexpr (F::parts > 1) {
                for (Index i = 0; overflows && i < count_; ++i) add_overflows<F>(p, pieces_[i], k0, k);
            }
        }
    }

    // Of squares in which all pieces find room; else the rows of an element.
    Index square_height_of_pieces() const {
        Index most = 1;
#if defined(RNNCORE_AMX)
        for (Index i = 0; i < count_; ++i) {
            const Index height = square_height<F::parts>(pieces_[i].rows);
            if (height > most) most = height;
        }
#endif
        return most;
    }

    // Steps [k0, k0 + k) of the rows of a piece. So many rows make squares, one after the other along k; where there are no
    // squares, that is each row by itself. Returns whether there are values that have no parts.
    bool convert(const RowBlock<T>& piece, Index k0, Index k, Index depth, Index height, E* rows) const {
        constexpr Index kUnit = F::unit;
        bool overflows = false;
        for (Index r = 0; r < piece.rows; ++r) {
            const T* const from = piece.a + r * product_.lda + k0;
            E* const to = rows + (r / height * F::parts * depth + r % height) * kUnit;
            [[maybe_unused]] Vec<T> largest{};
            for_steps<F>(k, [&](Index j, auto lanes) {
                if constexpr (F::parts > 1) largest = largest_magnitude(largest, load_two(from + j, lanes));
                store(to + place<F>(j / F::steps) * kUnit, F::along(from + j, lanes), kUnit * kUnit);
            });
            if constexpr (F::parts > 1) {
                if (!overflows_any(largest)) continue;
                overflows = true;
                clear_overflows<F>(from, k, to);
            }
        }
        return overflows;
    }

    static constexpr Index kPieces = kConvertedRows<F> / F::unit;
    static constexpr Index kElements = kConvertedBytes<F> / static_cast<Index>(sizeof(E));

    const Product<T>& product_;
    const bool near_;
    const Index most_ = near_ ? 2 * F::unit : kConvertedRows<F>;  // rows
    Index rows_ = 0;
    Index block_ = 0, row_ = 0;  // the first row that has not been taken
    Index count_ = 0;
    Index room_ = 0;  // rows of whole squares
    RowBlock<T> pieces_[kPieces];
    alignas(kVectorBytes) E rows_of_a_[kElements];
};

template <class F>
void converted_product(const Product<typename F::Value>& p) {
    if (p.k == 0) return initialise(p);
    ConvertedRows<F>(p).run();
}

}  // namespace rnncore::RNNCORE_ISA
