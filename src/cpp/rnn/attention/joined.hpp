// The real steps of a batch, one sequence after the other: rows [N, width]. Attention reads a sequence many times; in
// an array [T,B,*] its steps are B rows apart, often a power of two, and would push each other out of the caches.
#pragma once

#include <algorithm>
#include <vector>

#include "rnn/sequence.hpp"

namespace rnncore {

class Joined {
public:
    explicit Joined(const std::vector<Index>& lengths);

    Index batch() const { return static_cast<Index>(first_.size()) - 1; }
    Index rows() const { return first_.back(); }                                // N
    Index first(Index b) const { return first_[static_cast<std::size_t>(b)]; }  // row of a sequence; first(B) is N
    Index length(Index b) const { return first(b + 1) - first(b); }

private:
    std::vector<Index> first_;
};

// One row of the caller's array [T,B,width].
template <class T>
void copy_row(const Strided<const T>& from, Index t, Index b, Index width, T* to) {
    const T* const source = from.data + t * from.step + b * from.row;
    if (from.column == 1) {
        std::copy_n(source, width, to);
    } else {
        for (Index i = 0; i < width; ++i) to[i] = source[i * from.column];
    }
}

// The caller's array [T,B,width] -> rows, and back; what lies past a sequence's end becomes zero. `more`: null, or rows
// that are added to the others.
template <class T>
void join_rows(const Joined& joined, Strided<const T> from, Index width, T* rows);
template <class T>
void part_rows(const Joined& joined, const T* rows, const T* more, Index width, Index steps, T* to);

}  // namespace rnncore
