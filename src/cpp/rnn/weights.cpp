#include "rnn/weights.hpp"

#include <algorithm>

namespace rnncore {
namespace {

// columns of W^T are the rows of W [n, k]
template <class T>
const T* pack_transposed(const Kernels<T>& kernels, const T* weight, Index k, Index n, T* packed) {
    kernels.pack({weight, 1, k, k, n, packed});
    return packed;
}

template <class T>
const T* pack_plain(const Kernels<T>& kernels, const T* weight, Index k, Index n, T* packed) {
    kernels.pack({weight, n, 1, k, n, packed});
    return packed;
}

template <class T>
Arena::Slot<T> reserve_packed(Arena& arena, const Kernels<T>& kernels, Index k, Index n) {
    return arena.reserve<T>(static_cast<std::size_t>(packed_size(kernels, k, n)));
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
PackedForward<T>::PackedForward(Arena& arena, const Kernels<T>& kernels, const Network& network, Index layer,
                                bool one_hot)
    : kernels_(&kernels), network_(&network), layer_(layer), one_hot_(one_hot) {
    const Index h = network.hidden();
    if (!one_hot) input_ = reserve_packed<T>(arena, kernels, network.input(layer), network.gate_columns());
    fused_ = reserve_packed<T>(arena, kernels, h, network.fused_columns());
    if (network.has_extra()) extra_ = reserve_packed<T>(arena, kernels, h, h);
    bias_ = arena.reserve<T>(static_cast<std::size_t>(network.gate_columns()));
    bias_extra_ = arena.reserve<T>(static_cast<std::size_t>(h));
}

template <class T>
ForwardWeights<T> PackedForward<T>::fill(const Arena& arena, const T* params, Index direction) const {
    const Network& net = *network_;
    const ParameterOffsets at = net.offsets(layer_, direction);
    const Index h = net.hidden(), fused = net.fused_columns(), columns = net.gate_columns();
    ForwardWeights<T> w{};
    w.kernels = kernels_;
    if (!one_hot_)
        w.input = pack_transposed(*kernels_, params + at.weight_ih, net.input(layer_), columns, input_.in(arena));
    w.fused = pack_transposed(*kernels_, params + at.weight_hh, h, fused, fused_.in(arena));
    if (net.has_extra())
        w.extra = pack_transposed(*kernels_, params + at.weight_hh + fused * h, h, h, extra_.in(arena));

    fill_biases(net, params, at, bias_.in(arena), bias_extra_.in(arena));
    w.bias = bias_.in(arena);
    w.bias_extra = bias_extra_.in(arena);
    return w;
}

template <class T>
PackedBackward<T>::PackedBackward(Arena& arena, const Kernels<T>& kernels, const Network& network, Index layer,
                                  bool wants_dx)
    : kernels_(&kernels), network_(&network), layer_(layer), wants_dx_(wants_dx) {
    const Index h = network.hidden();
    if (wants_dx) input_ = reserve_packed<T>(arena, kernels, network.gate_columns(), network.input(layer));
    fused_ = reserve_packed<T>(arena, kernels, network.fused_columns(), h);
    if (network.has_extra()) extra_ = reserve_packed<T>(arena, kernels, h, h);
}

template <class T>
BackwardWeights<T> PackedBackward<T>::fill(const Arena& arena, const T* params, Index direction) const {
    const Network& net = *network_;
    const ParameterOffsets at = net.offsets(layer_, direction);
    const Index h = net.hidden(), fused = net.fused_columns();
    BackwardWeights<T> w{};
    w.kernels = kernels_;
    if (wants_dx_)
        w.input = pack_plain(*kernels_, params + at.weight_ih, net.gate_columns(), net.input(layer_), input_.in(arena));
    w.fused = pack_plain(*kernels_, params + at.weight_hh, fused, h, fused_.in(arena));
    if (net.has_extra()) w.extra = pack_plain(*kernels_, params + at.weight_hh + fused * h, h, h, extra_.in(arena));
    return w;
}

template void fill_biases<float>(const Network&, const float*, const ParameterOffsets&, float*, float*);
template void fill_biases<double>(const Network&, const double*, const ParameterOffsets&, double*, double*);
template class PackedForward<float>;
template class PackedForward<double>;
template class PackedBackward<float>;
template class PackedBackward<double>;

}  // namespace rnncore
