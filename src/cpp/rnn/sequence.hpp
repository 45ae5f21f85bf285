// A batch of sequences in packed form: the rows of all steps one after the other, each step holding only the sequences
// that have not ended, the longest first. Without lengths this is the array [T,B,*] itself.
#pragma once

#include <vector>

#include "kernels/table.hpp"

namespace rnncore {

class Sequence {
public:
    Sequence() = default;
    Sequence(Index steps, Index batch);                                     // all of full length
    Sequence(Index steps, Index batch, const std::vector<Index>& lengths);  // each within [0, steps]

    Sequence piece(Index lo, Index hi) const;  // steps [lo, hi) alone

    Index steps() const { return steps_; }
    Index batch() const { return batch_; }
    Index rows() const { return first_.back(); }                                // N
    Index first(Index t) const { return first_[static_cast<std::size_t>(t)]; }  // of step t; first(T) is N
    Index step_from(Index row) const;  // the first step that begins there or later
    Index active(Index t) const { return first(t + 1) - first(t); }
    Index length(Index sorted) const { return lengths_.empty() ? steps_ : lengths_[static_cast<std::size_t>(sorted)]; }
    Index user_row(Index sorted) const { return order_.empty() ? sorted : order_[static_cast<std::size_t>(sorted)]; }
    bool ragged() const { return !order_.empty(); }

private:
    Index steps_ = 0, batch_ = 0;
    std::vector<Index> first_{0};
    std::vector<Index> lengths_;  // by sorted row, descending; empty: all are `steps`
    std::vector<Index> order_;    // sorted row -> the caller's row; empty: the same
};

// An array [T,B,width] as the caller has it, strides in elements.
template <class T>
struct Strided {
    T* data;
    Index step, row, column;
};

// The caller's array -> rows [N, width], and back; what lies past a sequence's end becomes zero.
template <class T>
void pack_rows(const Sequence& sequence, Strided<const T> from, Index width, T* rows);
template <class T>
void unpack_rows(const Sequence& sequence, const T* rows, Index width, T* to);

// States [B,H]: the caller's order <-> sorted.
template <class T>
void sort_state(const Sequence& sequence, const T* from, Index hidden, T* to);
template <class T>
void unsort_state(const Sequence& sequence, const T* from, Index hidden, T* to);

}  // namespace rnncore
