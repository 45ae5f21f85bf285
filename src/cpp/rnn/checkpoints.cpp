#include "rnn/checkpoints.hpp"

#include <algorithm>
#include <string>

#include "rnn/forward.hpp"
#include "rnn/schedule.hpp"

namespace rnncore {
namespace {

// Elements of all states of a network.
Index states_size(const Network& network, Index batch) {
    Index sum = 0;
    for (Index i = 0; i < network.states(); ++i) sum += network.state_size(i, batch);
    return sum;
}

// The arrays of all states, one behind the other.
template <class T>
std::vector<T*> states_at(T* first, const Network& network, Index batch) {
    std::vector<T*> result;
    for (Index i = 0; i < network.states(); ++i) {
        result.push_back(first);
        first += network.state_size(i, batch);
    }
    return result;
}

template <class T>
std::vector<const T*> read_only(const std::vector<T*>& arrays) {
    return {arrays.begin(), arrays.end()};
}

}  // namespace

template <class T>
Index segment_steps(const Network& network, const Sequence& sequence, bool drops, std::size_t limit) {
    const Index steps = sequence.steps(), batch = sequence.batch();
    if (tape_bytes<T>(network, steps, batch, drops) <= limit) return steps;
    if (network.directions() != 1)
        throw Invalid("memory_limit: a bidirectional network reads the whole sequence at once; expected at least " +
                      std::to_string(tape_bytes<T>(network, steps, batch, drops)) + " bytes, got " +
                      std::to_string(limit));
    const auto states = static_cast<std::size_t>(states_size(network, batch)) * sizeof(T);
    const auto needed = [&](Index segment) {
        const auto segments = static_cast<std::size_t>((steps + segment - 1) / segment);
        return tape_bytes<T>(network, segment, batch, drops) + segments * states + kAlignment;
    };
    const Index chunk = chunk_steps(steps, batch);
    std::size_t least = needed(chunk);
    Index longest = 0;
    for (Index segment = chunk; segment < steps; segment += chunk) {
        const std::size_t bytes = needed(segment);
        least = std::min(least, bytes);
        if (bytes <= limit) longest = segment;
    }
    if (longest == 0)
        throw Invalid("memory_limit: expected at least " + std::to_string(least) + " bytes for " +
                      std::to_string(steps) + " steps of " + std::to_string(batch) + " sequences, got " +
                      std::to_string(limit));
    return longest;
}

template <class T>
Checkpoints<T>::Checkpoints(const Tape<T>& tape, const T* x, Index steps) : tape_(tape), x_(x), steps_(steps) {
    const auto size = static_cast<std::size_t>(states_size(tape.network, tape.sequence.batch()));
    slot_ = states_.template reserve<T>(checked_product(static_cast<std::size_t>(count()), size));
    states_.take(Use::result);
}

template <class T>
typename Checkpoints<T>::Segment Checkpoints<T>::segment(Index i) const {
    return {i * steps_, std::min((i + 1) * steps_, tape_.sequence.steps())};
}

template <class T>
std::vector<const T*> Checkpoints<T>::state_before(Index i) const {
    if (i == 0 && !has_initial_) return {};
    const Network& net = tape_.network;
    const Index batch = tape_.sequence.batch();
    return read_only(states_at(slot_.in(states_) + i * states_size(net, batch), net, batch));
}

template <class T>
std::unique_ptr<Tape<T>> Checkpoints<T>::piece(Index i, bool keeps, T* y) const {
    const Segment s = segment(i);
    auto tape = std::make_unique<Tape<T>>(tape_.network, tape_.sequence.piece(s.lo, s.hi));
    tape->one_hot = tape_.one_hot;
    tape->keeps = keeps;
    tape->drops = tape_.drops;
    tape->seed = tape_.seed;
    tape->first_row = tape_.sequence.first(s.lo);
    tape->all_rows = tape_.all_rows;
    const T* x = x_ ? x_ + tape->first_row * tape_.network.input(0) : nullptr;
    prepare_tape(*tape, {x, state_before(i)}, y);
    return tape;
}

template <class T>
void Checkpoints<T>::run_forward(const T* params, const std::vector<const T*>& state, T* y,
                                 const std::vector<T*>& final_state) {
    const Network& net = tape_.network;
    const Sequence& sequence = tape_.sequence;
    const Index batch = sequence.batch(), size = states_size(net, batch), width = net.output();
    T* const states = slot_.in(states_);
    has_initial_ = !state.empty();
    const std::vector<T*> initial = states_at(states, net, batch);
    for (std::size_t k = 0; k < state.size(); ++k)
        std::copy_n(state[k], net.state_size(static_cast<Index>(k), batch), initial[k]);
    for (Index i = 0; i < count(); ++i) {
        const Segment s = segment(i);
        T* const rows = y ? y + s.lo * batch * width : nullptr;
        const auto tape = piece(i, false, sequence.ragged() ? nullptr : rows);
        const bool last = i + 1 == count();
        rnncore::run_forward(*tape, params, last ? final_state : states_at(states + (i + 1) * size, net, batch));
        if (rows && sequence.ragged()) unpack_rows(tape->sequence, tape->y(), width, rows);
    }
}

template <class T>
void Checkpoints<T>::run_backward(const T* params, const BackwardInput<T>& in, const BackwardOutput<T>& out) const {
    const Network& net = tape_.network;
    const Index batch = tape_.sequence.batch(), size = states_size(net, batch);
    const Index used = tape_.one_hot ? tape_.one_hot->used() : 0;
    const auto count_of = [](Index rows, Index columns) {
        return checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns));
    };
    Arena arena;
    const auto table = arena.reserve<T>(count_of(used, net.gate_columns()));
    // the gradient of the state between two segments: one is read while the other is written
    const Arena::Slot<T> between[2] = {arena.reserve<T>(count_of(1, size)), arena.reserve<T>(count_of(1, size))};
    const auto forgotten = arena.reserve<T>(count_of(1, size));  // the final state of a segment, known already
    arena.take();
    std::fill_n(table.in(arena), used * net.gate_columns(), T(0));
    for (Index i = count() - 1; i >= 0; --i) {
        const auto tape = piece(i, true, nullptr);
        rnncore::run_forward(*tape, params, states_at(forgotten.in(arena), net, batch));
        BackwardInput<T> from = in;
        BackwardOutput<T> to = out;
        to.table = tape_.one_hot ? table.in(arena) : nullptr;
        if (in.dy) from.dy += tape->first_row * net.output();
        if (out.dx) to.dx += tape->first_row * net.input(0);
        if (i + 1 < count()) from.dstate = read_only(states_at(between[(i + 1) % 2].in(arena), net, batch));
        if (i > 0) to.dstate = states_at(between[i % 2].in(arena), net, batch);
        rnncore::run_backward(*tape, params, from, to);
    }
    if (tape_.one_hot)
        tape_.one_hot->scatter(table.in(arena), net.gate_columns(), out.grads + net.offsets(0, 0).weight_ih,
                               net.input(0), 0, net.gate_columns());
}

#define RNNCORE_INSTANTIATE(T)                                                           \
    template Index segment_steps<T>(const Network&, const Sequence&, bool, std::size_t); \
    template class Checkpoints<T>;

RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
