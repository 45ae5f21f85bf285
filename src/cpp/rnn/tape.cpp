#include "rnn/tape.hpp"

namespace rnncore {
namespace {

template <class T>
struct DirectionSlots {
    Arena::Slot<T> gates, extra, cell, h0, c0;
};

template <class T>
struct LayerSlots {
    Arena::Slot<T> y, dropped;
    DirectionSlots<T> directions[2];
};

}  // namespace

template <class T>
void prepare_tape(Tape<T>& tape, const PassInput<T>& input, T* y) {
    const Network& net = tape.network;
    Arena& arena = tape.arena;
    const auto rows = static_cast<std::size_t>(tape.sequence.rows());
    const auto batch = static_cast<std::size_t>(tape.sequence.batch());
    const auto h = static_cast<std::size_t>(net.hidden());
    const auto width = static_cast<std::size_t>(net.output());
    const auto reserve = [&](std::size_t n, std::size_t columns) {
        return arena.template reserve<T>(checked_product(n, columns));
    };
    const bool has_state = !input.state.empty();

    // Without keeping, a layer needs only its input and its output: two buffers serve all inner layers in turn.
    const auto inner = [&](Index layer) { return layer + 1 < net.layers(); };
    Arena::Slot<T> shared[2];
    if (!tape.keeps) {
        for (Index i = 0; i < std::min<Index>(2, net.layers() - 1); ++i) shared[i] = reserve(rows, width);
    }

    std::vector<LayerSlots<T>> slots(static_cast<std::size_t>(net.layers()));
    for (Index layer = 0; layer < net.layers(); ++layer) {
        LayerSlots<T>& s = slots[static_cast<std::size_t>(layer)];
        if (tape.keeps || (!inner(layer) && !y))
            s.y = reserve(rows, width);
        else if (inner(layer))
            s.y = shared[layer % 2];
        if (tape.drops && tape.keeps && inner(layer)) s.dropped = reserve(rows, width);
        for (Index d = 0; d < net.directions(); ++d) {
            DirectionSlots<T>& at = s.directions[d];
            if (tape.keeps && net.has_gates())
                at.gates = reserve(rows, static_cast<std::size_t>(row_pitch<T>(net.gate_columns())));
            if (tape.keeps && net.has_extra()) at.extra = reserve(rows, h);
            if (net.has_cell_state()) at.cell = reserve(tape.keeps ? rows : batch, h);
            if (has_state) at.h0 = reserve(batch, h);
            if (has_state && net.has_cell_state()) at.c0 = reserve(batch, h);
        }
    }
    arena.take(Use::result);

    const T* x = input.x;
    for (Index layer = 0; layer < net.layers(); ++layer) {
        const LayerSlots<T>& s = slots[static_cast<std::size_t>(layer)];
        LayerTape<T> l;
        l.x = x;
        l.y = !inner(layer) && y ? y : s.y.in(arena);
        if (tape.drops && inner(layer)) l.dropped = tape.keeps ? s.dropped.in(arena) : l.y;
        x = l.dropped ? l.dropped : l.y;
        for (Index d = 0; d < net.directions(); ++d) {
            const DirectionSlots<T>& from = s.directions[d];
            DirectionTape<T>& to = l.directions[d];
            if (tape.keeps && net.has_gates()) to.gates = from.gates.in(arena);
            if (tape.keeps && net.has_extra()) to.extra = from.extra.in(arena);
            if (net.has_cell_state()) to.cell = from.cell.in(arena);
            if (!has_state) continue;
            const Index offset = (layer * net.directions() + d) * tape.sequence.batch() * net.hidden();
            const auto sorted = [&](std::size_t state, T* at) {
                sort_state(tape.sequence, input.state[state] + offset, net.hidden(), at);
                return at;
            };
            to.h0 = sorted(0, from.h0.in(arena));
            if (net.has_cell_state()) to.c0 = sorted(1, from.c0.in(arena));
        }
        tape.layers.push_back(l);
    }
}

template <class T>
std::size_t tape_bytes(const Network& network, Index steps, Index batch, bool drops) {
    const auto h = static_cast<std::size_t>(network.hidden()), rows = static_cast<std::size_t>(batch);
    const auto directions = static_cast<std::size_t>(network.directions());
    const std::size_t states = static_cast<std::size_t>(network.states()) * directions * rows * h;
    std::size_t row = static_cast<std::size_t>(network.output());
    if (network.has_gates()) row += directions * static_cast<std::size_t>(row_pitch<T>(network.gate_columns()));
    if (network.has_extra()) row += directions * h;
    if (network.has_cell_state()) row += directions * h;
    const auto layers = static_cast<std::size_t>(network.layers());
    const std::size_t dropped = drops ? (layers - 1) * static_cast<std::size_t>(network.output()) : 0;
    // each of at most eight arrays a layer and direction ends at the next multiple of the alignment
    const std::size_t padding = 8 * layers * directions * kAlignment;
    const std::size_t step = checked_product(checked_product(rows, layers * row + dropped), sizeof(T));
    return checked_product(step, static_cast<std::size_t>(steps)) + layers * states * sizeof(T) + padding;
}

template std::size_t tape_bytes<float>(const Network&, Index, Index, bool);
template std::size_t tape_bytes<double>(const Network&, Index, Index, bool);
template void prepare_tape<float>(Tape<float>&, const PassInput<float>&, float*);
template void prepare_tape<double>(Tape<double>&, const PassInput<double>&, double*);

}  // namespace rnncore
