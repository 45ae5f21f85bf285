#include "rnn/stream.hpp"

#include <algorithm>

#include "core/floating_point.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/weights.hpp"

namespace rnncore {
namespace {

constexpr std::size_t kPage = 4096;

std::size_t count(Index a, Index b) {
    return checked_product(static_cast<std::size_t>(a), static_cast<std::size_t>(b));
}

// Steps that share a pass over W_ih: while their sums fill a part of the L1 cache, and enough rows to share it.
template <class T>
Index steps_at_once(Index batch, Index columns) {
    constexpr Index kBytes = 16384, kRows = 12, kMost = 64;
    const Index in_cache = kBytes / static_cast<Index>(sizeof(T)) / columns / batch;
    return std::clamp<Index>(std::max(in_cache, kRows / batch), 1, kMost);
}

// Whether the products of all rows of the embedding with W_ih take no more memory than both.
bool worth_folding(Index rows, Index width, Index columns) {
    return static_cast<double>(rows) * static_cast<double>(columns) <=
           static_cast<double>(width) * static_cast<double>(rows + columns);
}

}  // namespace

template <class T>
Stream<T>::Stream(const Network& network, const T* params, const StreamOptions<T>& options)
    : network_(network),
      table_(&active_table()),
      kernels_(&rnncore::kernels<T>().storages[static_cast<int>(options.storage)]),
      batch_(options.batch) {
    if (network_.directions() != 1)
        throw Invalid("stream: a bidirectional network needs the whole sequence; expected bidirectional=False");
    if (batch_ < 1) throw Invalid("batch_size: expected a positive integer, got " + std::to_string(batch_));
    check<T>(options.storage, std::max(network_.input(0), network_.recurrent()));
    most_steps_ = steps_at_once<T>(batch_, network_.gate_columns());
    const Matrix<const T>& embedding = options.embedding;
    if (embedding.data)
        ids_are_ = worth_folding(embedding.rows, embedding.columns, network_.gate_columns())
                       ? IdsAre::rows_of_sums
                       : IdsAre::rows_of_embedding;
    packed_ = pack(params, options);
    take_working_memory();
    reset();
}

template <class T>
Stream<T>::Stream(const Stream& other)
    : network_(other.network_),
      table_(other.table_),
      kernels_(other.kernels_),
      batch_(other.batch_),
      most_steps_(other.most_steps_),
      ids_are_(other.ids_are_),
      packed_(other.packed_) {
    take_working_memory();
    for (Index i = 0; i < network_.states(); ++i) std::copy_n(other.state(i), state_size(i), state(i));
}

template <class T>
auto Stream<T>::pack(const T* params, const StreamOptions<T>& options) const -> std::shared_ptr<const Packed> {
    auto packed = std::make_shared<Packed>();
    reserve(*packed, options.embedding);
    packed->arena.take(Use::result);
    fill(*packed, params, options);
    return packed;
}

template <class T>
void Stream<T>::reserve(Packed& packed, const Matrix<const T>& embedding) const {
    const Index h = network_.units(), columns = network_.gate_columns();
    Arena& arena = packed.arena;
    for (Index i = 0; i < network_.layers(); ++i) {
        Layer layer;
        if (i > 0 || ids_are_ != IdsAre::rows_of_sums)
            layer.input = StoredMatrix<T>(arena, *kernels_, network_.input(i), columns);
        std::size_t number = 0;
        for (const RecurrentProduct& product : network_.cell())
            layer.recurrent[number++] = StoredMatrix<T>(arena, *kernels_, network_.recurrent(), product.gates * h);
        layer.bias = arena.reserve<T>(count(1, columns));
        layer.bias_extra = arena.reserve<T>(count(1, h));
        packed.layers.push_back(layer);
    }
    if (ids_are_ == IdsAre::rows_of_sums) packed.rows = arena.reserve<T>(count(embedding.rows, columns));
    if (ids_are_ == IdsAre::rows_of_embedding) packed.rows = arena.reserve<T>(count(embedding.rows, embedding.columns));
}

template <class T>
void Stream<T>::take_working_memory() {
    const auto rows = static_cast<Index>(count(batch_, most_steps_));
    room_ = batch_;
    arena_ = Arena();
    // As if it stood behind the weights. Both begin at a page, and a load waits for an earlier store at the same
    // distance from a page's beginning.
    arena_.reserve<char>(packed_->arena.size() % kPage);
    for (Index i = 0; i < network_.states(); ++i) state_[i] = arena_.reserve<T>(count(1, state_size(i)));
    sums_ = arena_.reserve<T>(count(rows, network_.gate_columns()));
    outputs_ = arena_.reserve<T>(count(rows, network_.output()));
    extra_ = arena_.reserve<T>(count(batch_, network_.units()));
    if (ids_are_ == IdsAre::rows_of_embedding) embedded_ = arena_.reserve<T>(count(rows, network_.input(0)));
    scratch_ = arena_.reserve<char>(
        static_cast<std::size_t>(kernels_->scratch_bytes(std::max(network_.input(0), network_.recurrent()))));
    arena_.take(Use::result);
}

template <class T>
void Stream<T>::fill(const Packed& packed, const T* params, const StreamOptions<T>& options) const {
    const Index k = network_.recurrent();
    for (Index i = 0; i < network_.layers(); ++i) {
        const Layer& layer = packed.layers[static_cast<std::size_t>(i)];
        const ParameterOffsets at = network_.offsets(i, 0);
        if (layer.input.n) layer.input.fill(packed.arena, *kernels_, params + at.weight_ih, network_.input(i));
        std::size_t number = 0;
        for (const RecurrentProduct& product : network_.cell())
            layer.recurrent[number++].fill(packed.arena, *kernels_,
                                           params + at.weight_hh + product.first_gate * network_.units() * k, k);
        fill_biases(network_, params, at, layer.bias.in(packed.arena), layer.bias_extra.in(packed.arena));
    }
    if (!options.embedding.data) return;
    const Index columns = network_.gate_columns(), width = network_.input(0);
    const Matrix<const T> input{params + network_.offsets(0, 0).weight_ih, columns, width, width};
    if (options.storage == Storage::full) return fill_rows(packed, options.embedding, input);
    Arena arena;
    const auto embedding = arena.reserve<T>(count(options.embedding.rows, width));
    const auto weight = arena.reserve<T>(count(columns, width));
    arena.take();
    round_as_stored(*kernels_, options.embedding, embedding.in(arena));
    round_as_stored(*kernels_, input, weight.in(arena));
    fill_rows(packed, {embedding.in(arena), options.embedding.rows, width, width},
              {weight.in(arena), columns, width, width});
}

template <class T>
void Stream<T>::fill_rows(const Packed& packed, const Matrix<const T>& embedding, const Matrix<const T>& input) const {
    T* const rows = packed.rows.in(packed.arena);
    if (ids_are_ == IdsAre::rows_of_embedding) {
        for (Index v = 0; v < embedding.rows; ++v)
            std::copy_n(embedding.row(v), embedding.columns, rows + v * embedding.columns);
        return;
    }
    Arena arena;
    const auto weight = PackedMatrix<T>::transpose_of(arena, kernels<T>(), input);
    const ProductScratch scratch(arena, kernels<T>().product_scratch_bytes, 1);
    arena.take();
    run_parallel(1, [&](int thread, Team& team) {
        const Worker worker{thread, team, scratch.of(arena, thread)};
        weight.fill(arena, worker);
        weight.multiply(arena, embedding, packed.layers[0].bias.in(packed.arena),
                        {rows, embedding.rows, input.rows, input.rows}, {0, input.rows}, worker);
    });
}

template <class T>
void Stream<T>::set_batch(Index batch) {
    batch_ = batch;
    most_steps_ = 1;
    if (batch > room_) take_working_memory();
}

template <class T>
void Stream<T>::reset() {
    for (Index i = 0; i < network_.states(); ++i) std::fill_n(state(i), state_size(i), T(0));
}

template <class T>
void Stream<T>::require_same_kernels() const {
    if (&active_table() != table_)
        throw Invalid("stream: its weights are packed for the instruction set " + std::string(table_->name) + ", but " +
                      active_table().name + " was selected since");
}

template <class T>
void Stream<T>::advance(const T* x, Index steps, T* y) {
    require_same_kernels();
    const FlushSubnormals flush;
    multiply_input(packed_->layers[0], x, steps * batch_);
    run_layers(steps, y);
}

template <class T>
void Stream<T>::advance_ids(const std::int64_t* ids, Index steps, T* y) {
    require_same_kernels();
    const FlushSubnormals flush;
    const Index columns = network_.gate_columns(), width = network_.input(0), rows = steps * batch_;
    const Layer& first = packed_->layers[0];
    const Arena& weights = packed_->arena;
    switch (ids_are_) {
        case IdsAre::one_hot:
            for (Index r = 0; r < rows; ++r)
                kernels_->look_up({nullptr, 0, sums_.in(arena_) + r * columns, columns, 1, first.input.in(weights),
                                   width, columns, first.bias.in(weights), Init::bias, nullptr},
                                  ids[r]);
            break;
        case IdsAre::rows_of_sums:
            for (Index r = 0; r < rows; ++r)
                std::copy_n(packed_->rows.in(weights) + ids[r] * columns, columns, sums_.in(arena_) + r * columns);
            break;
        case IdsAre::rows_of_embedding:
            for (Index r = 0; r < rows; ++r)
                std::copy_n(packed_->rows.in(weights) + ids[r] * width, width, embedded_.in(arena_) + r * width);
            multiply_input(first, embedded_.in(arena_), rows);
            break;
    }
    run_layers(steps, y);
}

template <class T>
void Stream<T>::multiply_input(const Layer& layer, const T* x, Index rows) {
    const Index columns = network_.gate_columns(), width = layer.input.k;
    const Arena& weights = packed_->arena;
    kernels_->product({x, width, sums_.in(arena_), columns, rows, layer.input.in(weights), width, columns,
                       layer.bias.in(weights), Init::bias, scratch_.in(arena_)});
}

template <class T>
void Stream<T>::run_layers(Index steps, T* y) {
    const Index size = batch_ * network_.output();
    const CellSteps<T>& cell = network_.cell().template steps<T>();
    const Arena& weights = packed_->arena;
    for (Index i = 0; i < network_.layers(); ++i) {
        const Layer& layer = packed_->layers[static_cast<std::size_t>(i)];
        T* const below = outputs_.in(arena_);
        if (i > 0) multiply_input(layer, below, steps * batch_);
        LayerSteps<T> s{};
        CellForward<T>& first = s.first;
        first.rows = batch_;
        first.hidden = first.units = network_.units();
        first.gates = sums_.in(arena_);
        first.ld_gates = network_.gate_columns();
        first.extra = extra_.in(arena_);
        first.h_prev = state(0) + i * size;
        first.h = i + 1 == network_.layers() && y ? y : below;
        first.ld_h_prev = first.ld_h = network_.output();
        if (network_.cell_state() > 0) first.c_prev = first.c = state(1) + i * batch_ * network_.cell_state();
        s.steps = steps;
        s.to_gates = batch_ * first.ld_gates;
        s.to_h = size;
        s.recurrent = layer.recurrent[0].in(weights);
        if (network_.cell().product_count > 1) s.recurrent_n = layer.recurrent[1].in(weights);
        s.bias_n = layer.bias_extra.in(weights);
        s.scratch = scratch_.in(arena_);
        cell.forward_steps(*kernels_, s);
        std::copy_n(first.h + (steps - 1) * size, size, state(0) + i * size);
    }
}

template class Stream<float>;
template class Stream<double>;

}  // namespace rnncore
