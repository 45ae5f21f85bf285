#include "rnn/sequence.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "core/memory.hpp"
#include "rnn/blocks.hpp"

namespace rnncore {
namespace {

// T and B may be great also where an array [T,B,*] holds little: one of them is 0, or its strides are.
void require_indices(Index steps, std::size_t batch) {
    require_memory(checked_product(static_cast<std::size_t>(steps) + 1, sizeof(Index)));
    require_memory(checked_product(batch, 3 * sizeof(Index)));  // lengths, order and what sorting takes
}

// What copying so many elements counts as, in operations of a product. Measured with two threads: from some 300 KB a
// thread on, both are faster than one, for the pass before or after keeps them awake. All or one: a region of fewer
// would make OpenMP end the others, and start them anew for the next.
template <class T>
double copying_flops(Index elements) {
    constexpr double kFlopsPerByte = 32;
    const double flops = kFlopsPerByte * static_cast<double>(elements) * sizeof(T);
    return threads_for(flops) == get_num_threads() ? flops : 0;
}

}  // namespace

Sequence::Sequence(Index steps, Index batch) : steps_(steps), batch_(batch) {
    require_indices(steps, 0);
    first_.resize(static_cast<std::size_t>(steps) + 1);
    for (Index t = 0; t <= steps; ++t) first_[static_cast<std::size_t>(t)] = t * batch;
}

Sequence::Sequence(Index steps, Index batch, const std::vector<Index>& lengths) : steps_(steps), batch_(batch) {
    require_indices(steps, lengths.size());
    order_.resize(lengths.size());
    std::iota(order_.begin(), order_.end(), Index{0});
    const auto length_of = [&](Index b) { return lengths[static_cast<std::size_t>(b)]; };
    std::stable_sort(order_.begin(), order_.end(), [&](Index a, Index b) { return length_of(a) > length_of(b); });
    lengths_.reserve(order_.size());
    for (const Index b : order_) lengths_.push_back(length_of(b));

    first_.resize(static_cast<std::size_t>(steps) + 1);
    std::size_t active = lengths_.size();
    for (Index t = 0; t < steps; ++t) {
        while (active > 0 && lengths_[active - 1] <= t) --active;
        first_[static_cast<std::size_t>(t) + 1] = first(t) + static_cast<Index>(active);
    }
}

Sequence Sequence::piece(Index lo, Index hi) const {
    Sequence result;
    result.steps_ = hi - lo;
    result.batch_ = batch_;
    result.first_.assign(first_.begin() + lo, first_.begin() + hi + 1);
    for (Index& row : result.first_) row -= first(lo);
    for (const Index length : lengths_) result.lengths_.push_back(std::clamp<Index>(length - lo, 0, hi - lo));
    result.order_ = order_;
    return result;
}

Index Sequence::step_from(Index row) const {
    return std::lower_bound(first_.begin(), first_.end(), row) - first_.begin();
}

template <class T>
void pack_rows(const Sequence& sequence, Strided<const T> from, Index width, T* rows) {
    const auto pack_step = [&](Index t) {
        for (Index b = 0; b < sequence.active(t); ++b) {
            const T* source = from.data + t * from.step + sequence.user_row(b) * from.row;
            T* row = rows + (sequence.first(t) + b) * width;
            if (from.column == 1) {
                std::memcpy(row, source, static_cast<std::size_t>(width) * sizeof(T));
            } else {
                for (Index i = 0; i < width; ++i) row[i] = source[i * from.column];
            }
        }
    };
    // steps that begin in a block of rows
    const Index block = std::max<Index>({sequence.batch(), kBlockElements / std::max<Index>(width, 1), 1});
    for_blocks(sequence.rows(), block, copying_flops<T>(sequence.rows() * width), [&](Index first, Index last) {
        const Index end = sequence.step_from(last);
        for (Index t = sequence.step_from(first); t < end; ++t) pack_step(t);
    });
}

template <class T>
void unpack_rows(const Sequence& sequence, const T* rows, Index width, T* to) {
    const std::size_t row_bytes = static_cast<std::size_t>(width) * sizeof(T);
    const auto unpack_step = [&](Index t) {
        for (Index b = 0; b < sequence.batch(); ++b) {
            T* row = to + (t * sequence.batch() + sequence.user_row(b)) * width;
            if (b < sequence.active(t))
                std::memcpy(row, rows + (sequence.first(t) + b) * width, row_bytes);
            else
                std::memset(row, 0, row_bytes);
        }
    };
    const Index step = sequence.batch() * width;
    const Index block = std::max<Index>(kBlockElements / std::max<Index>(step, 1), 1);
    for_blocks(sequence.steps(), block, copying_flops<T>(sequence.steps() * step), [&](Index first, Index last) {
        for (Index t = first; t < last; ++t) unpack_step(t);
    });
}

template <class T>
void sort_state(const Sequence& sequence, const T* from, Index hidden, T* to) {
    for (Index b = 0; b < sequence.batch(); ++b)
        std::copy_n(from + sequence.user_row(b) * hidden, hidden, to + b * hidden);
}

template <class T>
void unsort_state(const Sequence& sequence, const T* from, Index hidden, T* to) {
    for (Index b = 0; b < sequence.batch(); ++b)
        std::copy_n(from + b * hidden, hidden, to + sequence.user_row(b) * hidden);
}

#define RNNCORE_INSTANTIATE(T)                                                \
    template void pack_rows<T>(const Sequence&, Strided<const T>, Index, T*); \
    template void unpack_rows<T>(const Sequence&, const T*, Index, T*);       \
    template void sort_state<T>(const Sequence&, const T*, Index, T*);        \
    template void unsort_state<T>(const Sequence&, const T*, Index, T*);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE
template void pack_rows<std::int64_t>(const Sequence&, Strided<const std::int64_t>, Index, std::int64_t*);  // ids

}  // namespace rnncore
