#include "rnn/frozen.hpp"

#include <memory>
#include <utility>

#include "core/threads.hpp"

namespace rnncore {

template <class T>
FrozenWeights<T>::~FrozenWeights() {
    for (Packed* p = packed_.load(); p;) delete std::exchange(p, p->next);
}

template <class T>
std::size_t FrozenWeights<T>::bytes() const {
    std::size_t sum = 0;
    for (const Packed* p = packed_.load(std::memory_order_acquire); p; p = p->next) sum += p->arena.size();
    return sum;
}

template <class T>
auto FrozenWeights<T>::find(const Packed* first, const ForwardPacking<T>& how) -> const Packed* {
    while (first && !first->how.serves(how)) first = first->next;
    return first;
}

template <class T>
const std::vector<ForwardWeights<T>>& FrozenWeights<T>::packed(const ForwardPacking<T>& how) const {
    if (const Packed* const known = find(packed_.load(std::memory_order_acquire), how)) return known->weights;
    auto made = std::make_unique<Packed>(Packed{how, {}, {}, nullptr});
    std::vector<PackedForward<T>> matrices;
    for (Index layer = 0; layer < network_.layers(); ++layer) {
        for (Index d = 0; d < network_.directions(); ++d)
            matrices.emplace_back(made->arena, how.kernels, network_, layer, layer > 0 || how.packs_first, how.gates);
    }
    made->arena.take(Use::result);
    // Once in the life of a layer: one thread, which can be interrupted.
    run_parallel(1, [&](int thread, Team& team) {
        for (std::size_t i = 0; i < matrices.size() && !team.stopped(); ++i) {
            matrices[i].fill(made->arena, params_, static_cast<Index>(i) % network_.directions(), {thread, team});
            team.poll(thread);
        }
    });
    for (const PackedForward<T>& matrix : matrices) made->weights.push_back(matrix.in(made->arena));
    made->next = packed_.load(std::memory_order_acquire);
    do {  // another thread may have been quicker
        if (const Packed* const known = find(made->next, how)) return known->weights;
    } while (
        !packed_.compare_exchange_weak(made->next, made.get(), std::memory_order_release, std::memory_order_acquire));
    return made.release()->weights;
}

template class FrozenWeights<float>;
template class FrozenWeights<double>;

}  // namespace rnncore
