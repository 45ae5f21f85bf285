#include "rnn/attention_rnn/tape.hpp"

namespace rnncore {

template <class T>
void prepare_tape(AttentionRnnTape<T>& tape, const std::vector<const T*>& state) {
    const AttentionRnn& layer = tape.layer;
    Arena& arena = tape.arena;
    const Index h = layer.hidden(), batch = tape.sequence.batch();
    const auto reserve = [&](Index rows, Index columns) {
        return arena.template reserve<T>(
            checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)));
    };
    const auto of_rows = [&](Index columns) { return reserve(tape.sequence.rows(), columns); };

    struct Slots {
        Arena::Slot<T> gates, extra, cell;
    } cells[kMostCells];
    const int count = layer.feeds_input() ? 1 : 2;
    for (int i = 0; i < count; ++i) {
        const Network& net = i == 0 ? layer.first() : layer.second();
        if (tape.keeps) cells[i].gates = of_rows(row_pitch<T>(net.kept_gates()));
        if (tape.keeps) cells[i].extra = of_rows(net.extra());
        cells[i].cell = of_rows(net.cell_state());
    }
    // [c; h], or q and, unless it stands behind s, c
    const bool apart = !layer.feeds_input() && !layer.options().outputs_context;
    const Index joint = row_pitch<T>(layer.joint());
    const auto hidden = of_rows(layer.feeds_input() ? joint : h);
    const auto context = of_rows(apart ? layer.memory() : 0);
    const auto y = of_rows(layer.output());
    const Index query = layer.attention().projected_query();
    const auto queries = of_rows(query);
    Arena::Slot<T> initial[kMostDecoderStates];
    for (std::size_t i = 0; i < state.size(); ++i)
        if (state[i]) initial[i] = reserve(batch, h);

    std::size_t size = 0;
    tape.weights_first.clear();
    for (Index b = 0; b < batch; ++b) {
        tape.weights_first.push_back(static_cast<Index>(size));
        size += checked_product(static_cast<std::size_t>(tape.sequence.length(b)),
                                static_cast<std::size_t>(tape.weights_pitch(b)));
    }
    const auto weights = arena.template reserve<T>(size);
    arena.take(Use::result);

    for (int i = 0; i < count; ++i) {
        const Network& net = i == 0 ? layer.first() : layer.second();
        if (tape.keeps && net.kept_gates() > 0) tape.cells[i].gates = cells[i].gates.in(arena);
        if (tape.keeps && net.extra() > 0) tape.cells[i].extra = cells[i].extra.in(arena);
        if (net.cell_state() > 0) tape.cells[i].cell = cells[i].cell.in(arena);
    }
    tape.y = {y.in(arena), layer.output()};
    if (layer.feeds_input()) {
        tape.context = {hidden.in(arena), joint};
        tape.hidden = {tape.context.data + layer.memory(), joint};
    } else {
        tape.hidden = {hidden.in(arena), h};
        tape.context =
            apart ? RowsOf<T>{context.in(arena), layer.memory()} : RowsOf<T>{tape.y.data + h, layer.output()};
    }
    if (query > 0) tape.queries = queries.in(arena);
    tape.weights = weights.in(arena);
    for (std::size_t i = 0; i < state.size(); ++i) {
        if (!state[i]) continue;
        T* const sorted = initial[i].in(arena);
        sort_state(tape.sequence, state[i], h, sorted);
        tape.initial[i] = sorted;
    }
}

template void prepare_tape(AttentionRnnTape<float>&, const std::vector<const float*>&);
template void prepare_tape(AttentionRnnTape<double>&, const std::vector<const double*>&);

}  // namespace rnncore
