#include "rnn/attention_rnn/weights.hpp"

namespace rnncore {
namespace {

// Parts of W_ih of the first cell [G*H, I], with input feeding [G*H, I+H].
template <class T>
Matrix<const T> input_part(const AttentionRnn& layer, const AttentionRnnArrays<const T>& at) {
    return {at.first_ih, layer.first().gate_columns(), layer.input(), layer.first().input(0)};
}

// What multiplies a', or c in the second cell.
template <class T>
Matrix<const T> fed_part(const AttentionRnn& layer, const AttentionRnnArrays<const T>& at) {
    const Index gates = layer.first().gate_columns();
    if (layer.feeds_input()) return {at.first_ih + layer.input(), gates, layer.hidden(), layer.first().input(0)};
    return {at.second_ih, gates, layer.memory(), layer.memory()};
}

template <class T>
Matrix<const T> combining(const AttentionRnn& layer, const AttentionRnnArrays<const T>& at) {
    return {at.combine, layer.hidden(), layer.joint(), layer.joint()};
}

}  // namespace

template <class T>
PackedAttentionRnn<T>::PackedAttentionRnn(Arena& arena, const PassKernels<T>& kernels, const AttentionRnn& layer,
                                          const AttentionRnnArrays<const T>& at)
    : input(PackedMatrix<T>::transpose_of(arena, kernels.whole, input_part(layer, at))),
      fed(PackedMatrix<T>::transpose_of(arena, kernels.step, fed_part(layer, at))),
      combine_bias(at.combine_bias),
      kernels_(kernels),
      params_{at.first, at.second} {
    cells_.emplace_back(arena, kernels, layer.first(), 0, false, GateColumns::together);
    if (layer.feeds_input())
        combine.emplace(PackedMatrix<T>::transpose_of(arena, kernels.step, combining(layer, at)));
    else
        cells_.emplace_back(arena, kernels, layer.second(), 0, false, GateColumns::together);
}

template <class T>
void PackedAttentionRnn<T>::fill(const Arena& arena, const Worker& worker) const {
    input.fill(arena, worker);
    fed.fill(arena, worker);
    if (combine) combine->fill(arena, worker);
    for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i].fill(arena, params_[i], 0, worker);
}

template <class T>
PackedAttentionRnnBackward<T>::PackedAttentionRnnBackward(Arena& arena, const PassKernels<T>& kernels,
                                                          const AttentionRnn& layer,
                                                          const AttentionRnnArrays<const T>& at)
    : input(PackedMatrix<T>::of(arena, kernels.whole, input_part(layer, at))),
      fed(PackedMatrix<T>::of(arena, kernels.step, fed_part(layer, at))),
      params_{at.first, at.second} {
    cells_.emplace_back(arena, kernels, layer.first(), 0, false);
    if (layer.feeds_input())
        combine.emplace(PackedMatrix<T>::of(arena, kernels.step, combining(layer, at)));
    else
        cells_.emplace_back(arena, kernels, layer.second(), 0, false);
}

template <class T>
void PackedAttentionRnnBackward<T>::fill(const Arena& arena, const Worker& worker) const {
    input.fill(arena, worker);
    fed.fill(arena, worker);
    if (combine) combine->fill(arena, worker);
    for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i].fill(arena, params_[i], 0, worker);
}

template class PackedAttentionRnn<float>;
template class PackedAttentionRnn<double>;
template class PackedAttentionRnnBackward<float>;
template class PackedAttentionRnnBackward<double>;

}  // namespace rnncore
