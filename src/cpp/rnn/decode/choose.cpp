#include "rnn/decode/choose.hpp"

#include <algorithm>
#include <limits>

#include "core/philox.hpp"

namespace rnncore {

template <class T>
void Greatest<T>::take(const Item& item) {
    heap_.push_back(item);
    std::push_heap(heap_.begin(), heap_.end(), precedes);
}

template <class T>
void Greatest<T>::see(const T* values, Index count, std::int64_t first_id) {
    Index i = 0;
    for (; i < count && heap_.size() < k_; ++i) take({values[i], first_id + i});
    constexpr Index kBlock = 32;  // compared at once: most hold nothing that counts
    while (i < count) {
        const Index last = std::min(i + kBlock, count);
        const T least = heap_.front().value;
        if (last - i == kBlock) {
            int greater = 0;
            for (Index j = 0; j < kBlock; ++j) greater |= values[i + j] > least;
            if (!greater) {
                i = last;
                continue;
            }
        }
        for (; i < last; ++i) {
            if (!(values[i] > heap_.front().value)) continue;
            std::pop_heap(heap_.begin(), heap_.end(), precedes);
            heap_.pop_back();
            take({values[i], first_id + i});
        }
    }
}

template <class T>
void Greatest<T>::see(const Greatest& other) {
    for (const Item& item : other.heap_) {
        if (heap_.size() == k_) {
            if (!precedes(item, heap_.front())) continue;
            std::pop_heap(heap_.begin(), heap_.end(), precedes);
            heap_.pop_back();
        }
        take(item);
    }
}

template <class T>
auto Greatest<T>::sorted() -> const std::vector<Item>& {
    std::sort_heap(heap_.begin(), heap_.end(), precedes);
    return heap_;
}

template <class T>
void top_of_rows(const Matrix<const T>& x, Index k, T* values, std::int64_t* ids) {
    for (Index n = 0; n < x.rows; ++n) {
        Greatest<T> top(k);
        top.see(x.row(n), x.columns, 0);
        Index i = n * k;
        for (const auto& item : top.sorted()) values[i] = item.value, ids[i++] = item.id;
    }
}

template <class T>
void draw_rows(const Matrix<const T>& x, const DrawOptions& options, const std::int64_t* seeds, std::uint64_t counter,
               std::int64_t* ids) {
    check(options);
    Drawer drawer(x.columns);
    for (Index n = 0; n < x.rows; ++n) {
        const double uniform = philox_uniform(static_cast<std::uint64_t>(seeds[n]), counter, RandomUse::sampling);
        ids[n] = drawer.draw(x.row(n), options, uniform);
    }
}

template <class T>
std::vector<Continuation> best_continuations(const Continuations<T>& s) {
    std::vector<Continuation> all, best;
    const auto precedes = [](const Continuation& a, const Continuation& b) {
        if (a.total != b.total) return a.total > b.total;
        return a.row != b.row ? a.row < b.row : a.column < b.column;
    };
    for (Index first = 0, next; first < s.values.rows; first = next) {
        const std::int64_t sentence = s.sentences[first];
        const Index wanted = std::max<Index>(s.free[sentence], 0);
        all.clear();
        for (next = first; next < s.values.rows && s.sentences[next] == sentence; ++next) {
            for (Index j = 0; j < s.values.columns; ++j) {
                const double value = static_cast<double>(s.values.row(next)[j]);
                if (value > -std::numeric_limits<double>::infinity()) all.push_back({next, j, s.totals[next] + value});
            }
        }
        const auto end = all.begin() + std::min<Index>(wanted, static_cast<Index>(all.size()));
        std::partial_sort(all.begin(), end, all.end(), precedes);
        best.insert(best.end(), all.begin(), end);
    }
    return best;
}

#define RNNCORE_INSTANTIATE(T)                                                                              \
    template class Greatest<T>;                                                                             \
    template void top_of_rows(const Matrix<const T>&, Index, T*, std::int64_t*);                            \
    template void draw_rows(const Matrix<const T>&, const DrawOptions&, const std::int64_t*, std::uint64_t, \
                            std::int64_t*);                                                                 \
    template std::vector<Continuation> best_continuations(const Continuations<T>&);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
