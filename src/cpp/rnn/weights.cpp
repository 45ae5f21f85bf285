#include "rnn/weights.hpp"

#include <algorithm>

namespace rnncore {
namespace {

// The worker's share of a matrix whose columns are packed in groups of so many.
template <class T>
void pack_share(const Kernels<T>& kernels, const Packing<T>& whole, Index group, const Worker& worker) {
    const Range share = worker.share(group, kernels.tile_columns);
    Packing<T> part = whole;
    part.n = share.last - share.first;
    for (Index first = 0; first < whole.n; first += group) {
        part.source = whole.source + (first + share.first) * whole.stride_n;
        part.packed = whole.packed + first / group * packed_size(kernels, whole.k, group) +
                      share.first * packed_depth(kernels, whole.k);
        kernels.pack(part);
    }
}

// columns of W^T are the rows of W [n, k]
template <class T>
Packing<T> transposed(const T* weight, Index k, Index n, T* packed) {
    return {weight, 1, k, k, n, packed};
}

template <class T>
Packing<T> plain(const T* weight, Index k, Index n, T* packed) {
    return {weight, n, 1, k, n, packed};
}

template <class T>
Arena::Slot<T> reserve_packed(Arena& arena, const Kernels<T>& kernels, Index k, Index n, Index groups = 1) {
    return arena.reserve<T>(checked_product(static_cast<std::size_t>(packed_size(kernels, k, n / groups)),
                                            static_cast<std::size_t>(groups)));
}

// Where the rows of W_hh that a product multiplies begin.
template <class T>
const T* rows_of(const RecurrentProduct& product, const Network& net, const T* weight_hh) {
    return weight_hh + product.first_gate * net.units() * net.recurrent();
}

// Calls use(product, slot) for each product of the cell.
template <class Slots, class Use>
void for_products(const Cell& cell, Slots& slots, const Use& use) {
    std::size_t i = 0;
    for (const RecurrentProduct& product : cell) use(product, slots[i++]);
}

// Of each product of the cell.
template <class T>
std::array<const T*, kMostRecurrentProducts> in_arena(const Cell& cell,
                                                      const std::array<Arena::Slot<T>, kMostRecurrentProducts>& slots,
                                                      const Arena& arena) {
    std::array<const T*, kMostRecurrentProducts> result{};
    for (std::size_t i = 0; i < static_cast<std::size_t>(cell.product_count); ++i) result[i] = slots[i].in(arena);
    return result;
}

}  // namespace

template <class T>
void fill_biases(const Network& net, const T* params, const ParameterOffsets& at, T* bias, T* bias_extra) {
    const Index h = net.units(), columns = net.gate_columns();
    std::fill_n(bias, columns, T(0));
    std::fill_n(bias_extra, h, T(0));
    if (!net.bias()) return;
    std::copy_n(params + at.bias_ih, columns, bias);
    for (const RecurrentProduct& product : net.cell()) {
        const Index first = product.first_gate * h;
        const T* bias_hh = params + at.bias_hh + first;
        if (product.result == RecurrentProduct::Result::extra) {
            std::copy_n(bias_hh, h, bias_extra);
        } else {
            for (Index i = 0; i < product.gates * h; ++i) bias[first + i] += bias_hh[i];
        }
    }
}

template <class T>
PackedForward<T>::PackedForward(Arena& arena, const PassKernels<T>& kernels, const Network& network, Index layer,
                                bool packs_input, GateColumns gates)
    : kernels_(kernels), network_(&network), layer_(layer), packs_input_(packs_input), gates_(gates) {
    const Index h = network.units(), columns = network.gate_columns(), k = network.recurrent();
    const bool apart = gates == GateColumns::apart;
    if (packs_input)
        input_ =
            reserve_packed<T>(arena, kernels.whole, network.input(layer), columns, apart ? network.cell().gates : 1);
    for_products(network.cell(), recurrent_, [&](const RecurrentProduct& product, Arena::Slot<T>& slot) {
        const Index n = product.gates * h;
        slot = kernels.steps ? arena.reserve<T>(static_cast<std::size_t>(kernels.steps->packed_bytes(k, n)) / sizeof(T))
                             : reserve_packed<T>(arena, kernels.step, k, n, apart ? product.gates : 1);
    });
    bias_ = arena.reserve<T>(static_cast<std::size_t>(columns));
    bias_extra_ = arena.reserve<T>(static_cast<std::size_t>(h));
}

template <class T>
ForwardWeights<T> PackedForward<T>::in(const Arena& arena) const {
    return {&kernels_.whole,
            &kernels_.step,
            kernels_.steps,
            packs_input_ ? input_.in(arena) : nullptr,
            in_arena(network_->cell(), recurrent_, arena),
            bias_.in(arena),
            bias_extra_.in(arena),
            gates_};
}

template <class T>
void PackedForward<T>::fill(const Arena& arena, const T* params, Index direction, const Worker& worker) const {
    const Network& net = *network_;
    const ParameterOffsets at = net.offsets(layer_, direction);
    const Index h = net.units(), columns = net.gate_columns(), k = net.recurrent();
    const auto group = [&](Index all) { return gates_ == GateColumns::apart ? h : all; };
    if (packs_input_)
        pack_share(kernels_.whole, transposed(params + at.weight_ih, net.input(layer_), columns, input_.in(arena)),
                   group(columns), worker);
    for_products(net.cell(), recurrent_, [&](const RecurrentProduct& product, const Arena::Slot<T>& slot) {
        const T* const rows = rows_of(product, net, params + at.weight_hh);
        const Index n = product.gates * h;
        if (!kernels_.steps)
            pack_share(kernels_.step, transposed(rows, k, n, slot.in(arena)), group(n), worker);
        else if (worker.thread == 0)  // few weights
            kernels_.steps->pack({rows, k, k, n, slot.in(arena)});
    });
    if (worker.thread == 0) fill_biases(net, params, at, bias_.in(arena), bias_extra_.in(arena));
}

template <class T>
PackedBackward<T>::PackedBackward(Arena& arena, const PassKernels<T>& kernels, const Network& network, Index layer,
                                  bool wants_dx)
    : kernels_(kernels), network_(&network), layer_(layer), wants_dx_(wants_dx) {
    if (wants_dx) input_ = reserve_packed<T>(arena, kernels.whole, network.gate_columns(), network.input(layer));
    for_products(network.cell(), recurrent_, [&](const RecurrentProduct& product, Arena::Slot<T>& slot) {
        slot = reserve_packed<T>(arena, kernels.step, product.gates * network.units(), network.recurrent());
    });
}

template <class T>
BackwardWeights<T> PackedBackward<T>::in(const Arena& arena) const {
    return {&kernels_.step, wants_dx_ ? input_.in(arena) : nullptr, in_arena(network_->cell(), recurrent_, arena)};
}

template <class T>
void PackedBackward<T>::fill(const Arena& arena, const T* params, Index direction, const Worker& worker) const {
    const Network& net = *network_;
    const ParameterOffsets at = net.offsets(layer_, direction);
    const Index width = net.input(layer_), columns = net.recurrent();
    if (wants_dx_)
        pack_share(kernels_.whole, plain(params + at.weight_ih, net.gate_columns(), width, input_.in(arena)), width,
                   worker);
    for_products(net.cell(), recurrent_, [&](const RecurrentProduct& product, const Arena::Slot<T>& slot) {
        const T* const rows = rows_of(product, net, params + at.weight_hh);
        pack_share(kernels_.step, plain(rows, product.gates * net.units(), columns, slot.in(arena)), columns, worker);
    });
}

template void fill_biases<float>(const Network&, const float*, const ParameterOffsets&, float*, float*);
template void fill_biases<double>(const Network&, const double*, const ParameterOffsets&, double*, double*);
template class PackedForward<float>;
template class PackedForward<double>;
template class PackedBackward<float>;
template class PackedBackward<double>;

}  // namespace rnncore
