#include "rnn/attention_rnn/weights.hpp"

namespace rnncore {
namespace {

// Matrices as they stand in the parameters, and whether there are those of one kind only.
template <class T>
struct Parts {
    const AttentionRnn& layer;
    const AttentionRnnArrays<const T>& params;
    Index width;  // A

    const T* weight_ih(const Network& net, const T* from) const { return from + net.offsets(0, 0).weight_ih; }

    // x's columns of W_ih of the first cell
    Matrix<const T> input() const {
        const Network& net = layer.first();
        return {weight_ih(net, params.first), net.gate_columns(), layer.input(), net.input(0)};
    }
    // those of a', or W_ih of the second cell
    Matrix<const T> fed() const {
        const Network& net = layer.first();
        if (layer.feeds_input())
            return {weight_ih(net, params.first) + layer.input(), net.gate_columns(), layer.hidden(), net.input(0)};
        return {weight_ih(layer.second(), params.last), net.gate_columns(), layer.context(), layer.context()};
    }
    Matrix<const T> combine() const { return {params.last, layer.hidden(), layer.joint(), layer.joint()}; }
    Matrix<const T> query() const { return {params.query_weight, width, layer.hidden(), layer.hidden()}; }
};

template <class Packed, class Cells, class Params>
void fill_all(const Packed& packed, const Cells& cells, const Params& params, const Arena& arena,
              const Worker& worker) {
    packed.input.fill(arena, worker);
    packed.fed.fill(arena, worker);
    if (packed.combine) packed.combine->fill(arena, worker);
    if (packed.query) packed.query->fill(arena, worker);
    for (std::size_t i = 0; i < cells.size(); ++i) cells[i].fill(arena, params[i], 0, worker);
}

}  // namespace

template <class T>
PackedAttentionRnn<T>::PackedAttentionRnn(Arena& arena, const PassKernels<T>& kernels, const AttentionRnn& layer,
                                          const AttentionRnnArrays<const T>& params, Index width)
    : input(PackedMatrix<T>::transpose_of(arena, kernels.whole, Parts<T>{layer, params, width}.input())),
      fed(PackedMatrix<T>::transpose_of(arena, kernels.step, Parts<T>{layer, params, width}.fed())),
      params_{params.first, params.last} {
    const Parts<T> parts{layer, params, width};
    if (layer.feeds_input()) combine = PackedMatrix<T>::transpose_of(arena, kernels.step, parts.combine());
    if (params.query_weight) query = PackedMatrix<T>::transpose_of(arena, kernels.step, parts.query());
    for (int i = 0; i < layer.cells(); ++i)
        cells_.emplace_back(arena, kernels, layer.cell(i), 0, false, GateColumns::together);
}

template <class T>
void PackedAttentionRnn<T>::fill(const Arena& arena, const Worker& worker) const {
    fill_all(*this, cells_, params_, arena, worker);
}

template <class T>
PackedAttentionRnnBackward<T>::PackedAttentionRnnBackward(Arena& arena, const PassKernels<T>& kernels,
                                                          const AttentionRnn& layer,
                                                          const AttentionRnnArrays<const T>& params, Index width)
    : input(PackedMatrix<T>::of(arena, kernels.whole, Parts<T>{layer, params, width}.input())),
      fed(PackedMatrix<T>::of(arena, kernels.step, Parts<T>{layer, params, width}.fed())),
      params_{params.first, params.last} {
    const Parts<T> parts{layer, params, width};
    if (layer.feeds_input()) combine = PackedMatrix<T>::of(arena, kernels.step, parts.combine());
    if (params.query_weight) query = PackedMatrix<T>::of(arena, kernels.step, parts.query());
    for (int i = 0; i < layer.cells(); ++i) cells_.emplace_back(arena, kernels, layer.cell(i), 0, false);
}

template <class T>
void PackedAttentionRnnBackward<T>::fill(const Arena& arena, const Worker& worker) const {
    fill_all(*this, cells_, params_, arena, worker);
}

template class PackedAttentionRnn<float>;
template class PackedAttentionRnn<double>;
template class PackedAttentionRnnBackward<float>;
template class PackedAttentionRnnBackward<double>;

}  // namespace rnncore
