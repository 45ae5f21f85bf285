#include "rnn/flat.hpp"

#include <vector>

#include "dispatch/dispatch.hpp"
#include "rnn/blocks.hpp"

namespace rnncore {

template <class T>
void optimiser_step(void (*step)(const Update<T>&), const Update<T>& update) {
    for_element_blocks(update.n, [&](Index first, Index last) {
        Update<T> part = update;
        part.n = last - first;
        part.params += first;
        part.grads += first;
        if (part.first) part.first += first;
        if (part.second) part.second += first;
        step(part);
    });
}

template <class T>
double squared_norm(const T* x, Index n) {
    const Kernels<T>& k = kernels<T>();
    std::vector<double> sums(static_cast<std::size_t>((n + kBlockElements - 1) / kBlockElements));
    for_element_blocks(n, [&](Index first, Index last) {
        sums[static_cast<std::size_t>(first / kBlockElements)] = k.squared_norm(x + first, last - first);
    });
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
}

template <class T>
void clip(T limit, Index n, T* x) {
    const Kernels<T>& k = kernels<T>();
    for_element_blocks(n, [&](Index first, Index last) { k.clip(limit, last - first, x + first); });
}

template <class T>
void scale(T factor, Index n, T* x) {
    const Kernels<T>& k = kernels<T>();
    for_element_blocks(n, [&](Index first, Index last) { k.scale(factor, last - first, x + first); });
}

template <class T>
void dropout(const Dropout<T>& d) {
    const Kernels<T>& k = kernels<T>();
    for_element_blocks(d.n, [&](Index first, Index last) {
        k.dropout({d.x + first, d.y + first, last - first, d.first + static_cast<std::uint64_t>(first), d.seed, d.p});
    });
}

#define RNNCORE_INSTANTIATE(T)                                                  \
    template void optimiser_step(void (*)(const Update<T>&), const Update<T>&); \
    template double squared_norm(const T*, Index);                              \
    template void clip(T, Index, T*);                                           \
    template void scale(T, Index, T*);                                          \
    template void dropout(const Dropout<T>&);

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
