#include "rnn/frozen.hpp"

#include <algorithm>
#include <memory>

#include "core/threads.hpp"

namespace rnncore {

template <class T>
FrozenWeights<T>::FrozenWeights(const Network& network, const T* params)
    : network_(network), params_(checked_product(static_cast<std::size_t>(network.parameter_count()), sizeof(T))) {
    std::copy_n(params, network.parameter_count(), static_cast<T*>(params_.data()));
}

template <class T>
FrozenWeights<T>::~FrozenWeights() {
    for (Packed* p = packed_.load(); p;) delete std::exchange(p, p->next);
}

template <class T>
const std::vector<ForwardWeights<T>>& FrozenWeights<T>::packed(const ForwardPacking<T>& how) const {
    for (const Packed* p = packed_.load(std::memory_order_acquire); p; p = p->next) {
        if (p->how == how) return p->weights;
    }
    auto made = std::make_unique<Packed>(Packed{how, {}, {}, nullptr});
    std::vector<PackedForward<T>> matrices;
    for (Index layer = 0; layer < network_.layers(); ++layer) {
        for (Index d = 0; d < network_.directions(); ++d)
            matrices.emplace_back(made->arena, how.kernels, network_, layer, layer > 0 || how.packs_first, how.gates);
    }
    made->arena.take(Use::result);
    run_parallel(1, [&](int thread, Team& team) {
        for (std::size_t i = 0; i < matrices.size(); ++i)
            matrices[i].fill(made->arena, params(), static_cast<Index>(i) % network_.directions(), {thread, team});
    });
    for (const PackedForward<T>& matrix : matrices) made->weights.push_back(matrix.in(made->arena));
    made->next = packed_.load(std::memory_order_relaxed);
    while (
        !packed_.compare_exchange_weak(made->next, made.get(), std::memory_order_release, std::memory_order_relaxed));
    return made.release()->weights;
}

template class FrozenWeights<float>;
template class FrozenWeights<double>;

}  // namespace rnncore
