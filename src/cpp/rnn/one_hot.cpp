#include "rnn/one_hot.hpp"

#include <algorithm>

namespace rnncore {
namespace {

// run(u, j) for all of `used` slots and the gate columns [first, last), some columns together: of W_ih they share cache
// lines of different rows, of the table one.
template <class Run>
void for_elements(Index used, Index first, Index last, const Run& run) {
    constexpr Index kTogether = 16;
    for (Index from = first; from < last; from += kTogether) {
        const Index to = std::min(from + kTogether, last);
        for (Index u = 0; u < used; ++u) {
            for (Index j = from; j < to; ++j) run(u, j);
        }
    }
}

}  // namespace

OneHot::OneHot(std::vector<std::int64_t> ids, Index width) : slots_(ids.size()) {
    std::vector<std::int32_t> slot_of(static_cast<std::size_t>(width), -1);
    for (std::size_t row = 0; row < ids.size(); ++row) {
        std::int32_t& slot = slot_of[static_cast<std::size_t>(ids[row])];
        if (slot < 0) {
            slot = static_cast<std::int32_t>(columns_.size());
            columns_.push_back(static_cast<Index>(ids[row]));
        }
        slots_[row] = slot;
    }
}

template <class T>
void OneHot::look_up(const T* weight, Index width, const T* bias, Index gate_columns, T* table, Index first,
                     Index last) const {
    for_elements(used(), first, last, [&](Index u, Index j) {
        table[u * gate_columns + j] = weight[j * width + columns_[static_cast<std::size_t>(u)]] + bias[j];
    });
}

template <class T>
void OneHot::scatter(const T* table, Index gate_columns, T* dweight, Index width, Index first, Index last) const {
    for_elements(used(), first, last, [&](Index u, Index j) {
        dweight[j * width + columns_[static_cast<std::size_t>(u)]] += table[u * gate_columns + j];
    });
}

#define RNNCORE_INSTANTIATE(T)                                                                  \
    template void OneHot::look_up<T>(const T*, Index, const T*, Index, T*, Index, Index) const; \
    template void OneHot::scatter<T>(const T*, Index, T*, Index, Index, Index) const;
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
