#include "rnn/stream.hpp"

#include <algorithm>

#include "core/floating_point.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/cells.hpp"

namespace rnncore {

template <class T>
Stream<T>::Stream(const Network& network, const T* params, Index batch)
    : network_(network), kernels_(&active_table()), batch_(batch) {
    if (network_.directions() != 1)
        throw Invalid("stream: a bidirectional network needs the whole sequence; expected bidirectional=False");
    if (batch < 1) throw Invalid("batch_size: expected a positive integer, got " + std::to_string(batch));
    const auto reserve = [&](Index n, Index columns) {
        return arena_.template reserve<T>(
            checked_product(static_cast<std::size_t>(n), static_cast<std::size_t>(columns)));
    };
    const Index layers = network_.layers(), h = network_.hidden(), columns = network_.gate_columns();
    std::vector<PackedForward<T>> packed;
    for (Index layer = 0; layer < layers; ++layer) packed.emplace_back(arena_, kernels<T>(), network_, layer, false);
    for (Index i = 0; i < network_.states(); ++i) state_[i] = reserve(batch, layers * h);
    previous_ = reserve(batch, h);
    sums_ = reserve(batch, columns);
    extra_ = reserve(batch, h);
    table_ = reserve(network_.input(0), columns);
    arena_.take(Use::result);
    for (const PackedForward<T>& p : packed) weights_.push_back(p.fill(arena_, params, 0));

    const T* weight = params + network_.offsets(0, 0).weight_ih;
    T* table = table_.in(arena_);
    const Index inputs = network_.input(0);
    constexpr Index kTogether = 16;  // inputs: a cache line of W_ih
    for (Index first = 0; first < inputs; first += kTogether) {
        for (Index j = 0; j < columns; ++j) {
            for (Index i = first; i < std::min(first + kTogether, inputs); ++i)
                table[i * columns + j] = weight[j * inputs + i] + weights_[0].bias[j];
        }
    }
    reset();
}

template <class T>
void Stream<T>::reset() {
    for (Index i = 0; i < network_.states(); ++i)
        std::fill_n(state(i), network_.layers() * batch_ * network_.hidden(), T(0));
}

template <class T>
void Stream<T>::require_same_kernels() const {
    if (&active_table() != kernels_)
        throw Invalid("stream: its weights are packed for the instruction set " + std::string(kernels_->name) +
                      ", but " + active_table().name + " was selected since");
}

template <class T>
const T* Stream<T>::step(const T* x) {
    require_same_kernels();
    const FlushSubnormals flush;
    const Index width = network_.input(0), columns = network_.gate_columns();
    const RowBlock<T> block{x, sums_.in(arena_), batch_};
    kernels<T>().product({&block, 1, width, columns, weights_[0].input, weights_[0].bias, width, columns, Init::bias});
    return run();
}

template <class T>
const T* Stream<T>::step_ids(const std::int64_t* ids) {
    require_same_kernels();
    const FlushSubnormals flush;
    const Index columns = network_.gate_columns();
    for (Index b = 0; b < batch_; ++b)
        std::copy_n(table_.in(arena_) + ids[b] * columns, columns, sums_.in(arena_) + b * columns);
    return run();
}

template <class T>
const T* Stream<T>::run() {
    const Index h = network_.hidden(), columns = network_.gate_columns(), size = batch_ * h;
    T* h_row = nullptr;
    for (Index layer = 0; layer < network_.layers(); ++layer) {
        const ForwardWeights<T>& w = weights_[static_cast<std::size_t>(layer)];
        if (layer > 0) {
            const RowBlock<T> block{h_row, sums_.in(arena_), batch_};
            kernels<T>().product({&block, 1, h, columns, w.input, w.bias, h, columns, Init::bias});
        }
        h_row = state(0) + layer * size;
        std::copy_n(h_row, size, previous_.in(arena_));
        // an Elman network's sums stand in its output
        if (!network_.has_gates()) std::copy_n(sums_.in(arena_), size, h_row);
        CellForward<T> s{};
        s.rows = batch_;
        s.hidden = h;
        s.gates = sums_.in(arena_);
        s.ld_gates = columns;
        s.extra = extra_.in(arena_);
        s.h_prev = previous_.in(arena_);
        s.ld_h_prev = h;
        s.h = h_row;
        s.ld_h = h;
        if (network_.has_cell_state()) s.c = state(1) + layer * size;
        s.c_prev = s.c;
        forward_step(network_, w, s);
    }
    return h_row;
}

template class Stream<float>;
template class Stream<double>;

}  // namespace rnncore
