#include "rnn/tape.hpp"

namespace rnncore {
namespace {

template <class T>
struct DirectionSlots {
    Arena::Slot<T> gates, extra, cell, initial[kMostStates];
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
    const auto width = static_cast<std::size_t>(net.output());
    const auto reserve = [&](std::size_t n, std::size_t columns) {
        return arena.template reserve<T>(checked_product(n, columns));
    };
    // null where there are no columns
    const auto reserve_any = [&](std::size_t n, Index columns) {
        return columns > 0 ? reserve(n, static_cast<std::size_t>(columns)) : Arena::Slot<T>();
    };
    const auto in_arena = [&](const Arena::Slot<T>& slot, Index columns) {
        return columns > 0 ? slot.in(arena) : nullptr;
    };
    const bool has_state = !input.state.empty();
    const Index gates = row_pitch<T>(net.kept_gates());

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
            if (tape.keeps) {
                at.gates = reserve_any(rows, gates);
                at.extra = reserve_any(rows, net.extra());
            }
            at.cell = reserve_any(tape.keeps ? rows : batch, net.cell_state());
            for (Index i = 0; has_state && i < net.states(); ++i) at.initial[i] = reserve_any(batch, net.state(i));
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
            if (tape.keeps) {
                to.gates = in_arena(from.gates, gates);
                to.extra = in_arena(from.extra, net.extra());
            }
            to.cell = in_arena(from.cell, net.cell_state());
            for (Index i = 0; has_state && i < net.states(); ++i) {
                T* const sorted = from.initial[i].in(arena);
                const Index offset = (layer * net.directions() + d) * tape.sequence.batch() * net.state(i);
                sort_state(tape.sequence, input.state[static_cast<std::size_t>(i)] + offset, net.state(i), sorted);
                to.initial[i] = sorted;
            }
        }
        tape.layers.push_back(l);
    }
}

template <class T>
std::size_t tape_bytes(const Network& network, Index steps, Index batch, bool drops) {
    const auto rows = static_cast<std::size_t>(batch), directions = static_cast<std::size_t>(network.directions());
    std::size_t states = 0;
    for (Index i = 0; i < network.states(); ++i) states += static_cast<std::size_t>(network.state_size(i, batch));
    const Index kept = row_pitch<T>(network.kept_gates()) + network.extra() + network.cell_state();
    const std::size_t row = static_cast<std::size_t>(network.output()) + directions * static_cast<std::size_t>(kept);
    const auto layers = static_cast<std::size_t>(network.layers());
    const std::size_t dropped = drops ? (layers - 1) * static_cast<std::size_t>(network.output()) : 0;
    // each of at most eight arrays a layer and direction ends at the next multiple of the alignment
    const std::size_t padding = 8 * layers * directions * kAlignment;
    const std::size_t step = checked_product(checked_product(rows, layers * row + dropped), sizeof(T));
    return checked_product(step, static_cast<std::size_t>(steps)) + states * sizeof(T) + padding;
}

template std::size_t tape_bytes<float>(const Network&, Index, Index, bool);
template std::size_t tape_bytes<double>(const Network&, Index, Index, bool);
template void prepare_tape<float>(Tape<float>&, const PassInput<float>&, float*);
template void prepare_tape<double>(Tape<double>&, const PassInput<double>&, double*);

}  // namespace rnncore
