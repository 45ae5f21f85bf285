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

}  // namespace

template <class T>
void fill_biases(const Network& net, const T* params, const ParameterOffsets& at, T* bias, T* bias_extra) {
    const Index h = net.hidden(), fused = net.fused_columns(), columns = net.gate_columns();
    std::fill_n(bias, columns, T(0));
    std::fill_n(bias_extra, h, T(0));
    if (!net.bias()) return;
    std::copy_n(params + at.bias_ih, columns, bias);
    // Reset after the product: b_hn belongs to the product, inside the brackets r * (W_hn h + b_hn).
    const bool separate = net.cell() == CellKind::gru_after;
    const T* bias_hh = params + at.bias_hh;
    for (Index i = 0; i < (separate ? fused : columns); ++i) bias[i] += bias_hh[i];
    if (separate) std::copy_n(bias_hh + fused, h, bias_extra);
}

template <class T>
PackedForward<T>::PackedForward(Arena& arena, const PassKernels<T>& kernels, const Network& network, Index layer,
                                bool packs_input, GateColumns gates)
    : kernels_(kernels), network_(&network), layer_(layer), packs_input_(packs_input), gates_(gates) {
    const Index h = network.hidden(), columns = network.gate_columns(), fused = network.fused_columns();
    const bool apart = gates == GateColumns::apart;
    if (packs_input)
        input_ = reserve_packed<T>(arena, kernels.whole, network.input(layer), columns, apart ? columns / h : 1);
    const auto reserve = [&](Index n, Index groups) {
        return kernels.steps ? arena.reserve<T>(static_cast<std::size_t>(kernels.steps->packed_bytes(h, n)) / sizeof(T))
                             : reserve_packed<T>(arena, kernels.step, h, n, groups);
    };
    fused_ = reserve(fused, apart ? fused / h : 1);
    if (network.has_extra()) extra_ = reserve(h, 1);
    bias_ = arena.reserve<T>(static_cast<std::size_t>(columns));
    bias_extra_ = arena.reserve<T>(static_cast<std::size_t>(h));
}

template <class T>
ForwardWeights<T> PackedForward<T>::in(const Arena& arena) const {
    return {&kernels_.whole,
            &kernels_.step,
            kernels_.steps,
            packs_input_ ? input_.in(arena) : nullptr,
            fused_.in(arena),
            network_->has_extra() ? extra_.in(arena) : nullptr,
            bias_.in(arena),
            bias_extra_.in(arena),
            gates_};
}

template <class T>
void PackedForward<T>::fill(const Arena& arena, const T* params, Index direction, const Worker& worker) const {
    const Network& net = *network_;
    const ParameterOffsets at = net.offsets(layer_, direction);
    const Index h = net.hidden(), fused = net.fused_columns(), columns = net.gate_columns();
    const auto group = [&](Index all) { return gates_ == GateColumns::apart ? h : all; };
    const T* const weight_hh = params + at.weight_hh;
    if (packs_input_)
        pack_share(kernels_.whole, transposed(params + at.weight_ih, net.input(layer_), columns, input_.in(arena)),
                   group(columns), worker);
    if (!kernels_.steps) {
        pack_share(kernels_.step, transposed(weight_hh, h, fused, fused_.in(arena)), group(fused), worker);
        if (net.has_extra())
            pack_share(kernels_.step, transposed(weight_hh + fused * h, h, h, extra_.in(arena)), h, worker);
    }
    if (worker.thread != 0) return;
    fill_biases(net, params, at, bias_.in(arena), bias_extra_.in(arena));
    if (kernels_.steps) {  // few weights
        kernels_.steps->pack({weight_hh, h, h, fused, fused_.in(arena)});
        if (net.has_extra()) kernels_.steps->pack({weight_hh + fused * h, h, h, h, extra_.in(arena)});
    }
}

template <class T>
PackedBackward<T>::PackedBackward(Arena& arena, const PassKernels<T>& kernels, const Network& network, Index layer,
                                  bool wants_dx)
    : kernels_(kernels), network_(&network), layer_(layer), wants_dx_(wants_dx) {
    const Index h = network.hidden();
    if (wants_dx) input_ = reserve_packed<T>(arena, kernels.whole, network.gate_columns(), network.input(layer));
    fused_ = reserve_packed<T>(arena, kernels.step, network.fused_columns(), h);
    if (network.has_extra()) extra_ = reserve_packed<T>(arena, kernels.step, h, h);
}

template <class T>
BackwardWeights<T> PackedBackward<T>::in(const Arena& arena) const {
    return {&kernels_.step, wants_dx_ ? input_.in(arena) : nullptr, fused_.in(arena),
            network_->has_extra() ? extra_.in(arena) : nullptr};
}

template <class T>
void PackedBackward<T>::fill(const Arena& arena, const T* params, Index direction, const Worker& worker) const {
    const Network& net = *network_;
    const ParameterOffsets at = net.offsets(layer_, direction);
    const Index h = net.hidden(), fused = net.fused_columns(), width = net.input(layer_);
    const T* const weight_hh = params + at.weight_hh;
    if (wants_dx_)
        pack_share(kernels_.whole, plain(params + at.weight_ih, net.gate_columns(), width, input_.in(arena)), width,
                   worker);
    pack_share(kernels_.step, plain(weight_hh, fused, h, fused_.in(arena)), h, worker);
    if (net.has_extra()) pack_share(kernels_.step, plain(weight_hh + fused * h, h, h, extra_.in(arena)), h, worker);
}

template void fill_biases<float>(const Network&, const float*, const ParameterOffsets&, float*, float*);
template void fill_biases<double>(const Network&, const double*, const ParameterOffsets&, double*, double*);
template class PackedForward<float>;
template class PackedForward<double>;
template class PackedBackward<float>;
template class PackedBackward<double>;

}  // namespace rnncore
