#include "rnn/attention/joined.hpp"

#include "core/memory.hpp"
#include "rnn/blocks.hpp"

namespace rnncore {

Joined::Joined(const std::vector<Index>& lengths) {
    require_memory(checked_product(lengths.size() + 1, sizeof(Index)));
    first_.reserve(lengths.size() + 1);
    first_.push_back(0);
    for (const Index length : lengths) first_.push_back(first_.back() + length);
}

template <class T>
void join_rows(const Joined& joined, Strided<const T> from, Index width, T* rows) {
    const double flops = kFlopsPerElement * static_cast<double>(joined.rows()) * static_cast<double>(width);
    for_blocks(joined.batch(), 1, flops, [&](Index b, Index) {
        for (Index t = 0; t < joined.length(b); ++t) copy_row(from, t, b, width, rows + (joined.first(b) + t) * width);
    });
}

template <class T>
void part_rows(const Joined& joined, const T* rows, const T* more, Index width, Index steps, T* to) {
    const double flops = kFlopsPerElement * static_cast<double>(joined.batch() * steps) * static_cast<double>(width);
    for_blocks(joined.batch(), 1, flops, [&](Index b, Index) {
        for (Index t = 0; t < steps; ++t) {
            T* const row = to + (t * joined.batch() + b) * width;
            const Index at = (joined.first(b) + t) * width;
            if (t >= joined.length(b))
                std::fill_n(row, width, T(0));
            else if (more)
                std::transform(rows + at, rows + at + width, more + at, row, [](T x, T y) { return x + y; });
            else
                std::copy_n(rows + at, width, row);
        }
    });
}

#define RNNCORE_INSTANTIATE(T)                                           \
    template void join_rows(const Joined&, Strided<const T>, Index, T*); \
    template void part_rows(const Joined&, const T*, const T*, Index, Index, T*);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
