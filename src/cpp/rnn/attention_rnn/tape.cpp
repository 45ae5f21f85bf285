#include "rnn/attention_rnn/tape.hpp"

#include <algorithm>

namespace rnncore {

StepRows step_rows(const Sequence& sequence, const RowTask& task, Index t) {
    const Index rows = std::max<Index>(std::min(task.end, sequence.active(t)) - task.begin, 0);
    return {t, task.begin, rows, sequence.first(t) + task.begin, t > 0 ? sequence.first(t - 1) + task.begin : -1};
}

template <class T>
Attention<T> AttentionRnnTape<T>::attention(Index b, Index t, Index head) const {
    const Index of = reads[static_cast<std::size_t>(b)], row = sequence.first(t) + b;
    const Index width = memory.width / memory.heads, value_width = memory.value_width / memory.heads;
    const Index steps = memory.rows.length(of), first = memory.rows.first(of);
    const T* const query = queries ? queries + row * memory.width : hidden.row(row);
    return {.queries = 1,
            .steps = steps,
            .width = width,
            .value_width = value_width,
            .query = query + head * width,
            .ld_query = 0,
            .keys = memory.keys + first * memory.width + head * width,
            .ld_keys = memory.width,
            .values = memory.values + first * memory.value_width + head * value_width,
            .ld_values = memory.value_width,
            .v = memory.v ? memory.v + head * width : nullptr,
            .scale = memory.scale,
            .weights = weights_of(b, t) + head * padded_weights(steps),
            .ld_weights = weights_pitch(b),
            .context = context.row(row) + head * value_width,
            .ld_context = 0};
}

template <class T>
double AttentionRnnTape<T>::flops() const {
    double weights = 0, attended = 0;
    for (int i = 0; i < layer.cells(); ++i) {
        const Network& net = layer.cell(i);
        weights += static_cast<double>(net.gate_columns()) * static_cast<double>(net.input(0) + net.recurrent());
    }
    if (layer.feeds_input()) weights += static_cast<double>(layer.hidden()) * static_cast<double>(layer.joint());
    for (Index b = 0; b < sequence.batch(); ++b)
        attended += static_cast<double>(sequence.length(b)) * static_cast<double>(memory_steps(b));
    return 2 * weights * static_cast<double>(sequence.rows()) +
           2 * attended * static_cast<double>(memory.width + memory.value_width);
}

template <class T>
Matrix<const T> AttentionRnnTape<T>::before(const Matrix<T>& all, int state, const StepRows& s) const {
    const Index h = layer.hidden();
    if (s.before >= 0) return {all.row(s.before), s.rows, h, all.stride};
    return {initial[state] ? initial[state] + s.begin * h : nullptr, s.rows, h, h};
}

template <class T>
const T* AttentionRnnTape<T>::cell_before(int i, const StepRows& s) const {
    const Index h = layer.hidden();
    return cells[i].cell ? before({cells[i].cell, sequence.rows(), h, h}, 1, s).data : nullptr;
}

template <class T>
void prepare_tape(AttentionRnnTape<T>& tape, bool projects_query, const std::vector<const T*>& state) {
    const AttentionRnn& layer = tape.layer;
    Arena& arena = tape.arena;
    const Index h = layer.hidden(), batch = tape.sequence.batch(), rows = tape.sequence.rows();
    const auto reserve = [&](Index n, Index columns) {
        return arena.template reserve<T>(
            checked_product(static_cast<std::size_t>(n), static_cast<std::size_t>(columns)));
    };

    struct Slots {
        Arena::Slot<T> gates, extra, cell;
    } cells[kMostCells];
    for (int i = 0; i < layer.cells(); ++i) {
        const Network& net = layer.cell(i);
        cells[i].gates = reserve(rows, tape.keeps ? row_pitch<T>(net.kept_gates()) : 0);
        cells[i].extra = reserve(rows, tape.keeps ? net.extra() : 0);
        cells[i].cell = reserve(rows, net.cell_state());
    }
    // [c; h]; or q and, unless it stands behind s, c
    const bool behind = !layer.feeds_input() && layer.options().outputs_context;
    const Index joint = row_pitch<T>(layer.joint());
    const auto hidden = reserve(rows, layer.feeds_input() ? joint : h);
    const auto context = reserve(rows, layer.feeds_input() || behind ? 0 : layer.context());
    const auto y = reserve(rows, layer.output());
    const auto queries = reserve(rows, projects_query ? tape.memory.width : 0);
    Arena::Slot<T> initial[kMostDecoderStates];
    for (std::size_t i = 0; i < state.size(); ++i) initial[i] = reserve(state[i] ? batch : 0, h);
    std::size_t size = 0;
    for (Index b = 0; b < batch; ++b) {
        tape.weights_first.push_back(static_cast<Index>(size));
        size += checked_product(static_cast<std::size_t>(tape.sequence.length(b)),
                                static_cast<std::size_t>(tape.weights_pitch(b)));
    }
    const auto weights = arena.template reserve<T>(size);
    arena.take(Use::result);

    for (int i = 0; i < layer.cells(); ++i) {
        const Network& net = layer.cell(i);
        if (tape.keeps && net.kept_gates() > 0) tape.cells[i].gates = cells[i].gates.in(arena);
        if (tape.keeps && net.extra() > 0) tape.cells[i].extra = cells[i].extra.in(arena);
        if (net.cell_state() > 0) tape.cells[i].cell = cells[i].cell.in(arena);
    }
    tape.y = {y.in(arena), rows, h, layer.output()};
    if (layer.feeds_input()) {
        tape.context = {hidden.in(arena), rows, layer.context(), joint};
        tape.hidden = {tape.context.data + layer.context(), rows, h, joint};
    } else {
        tape.hidden = {hidden.in(arena), rows, h, h};
        tape.context = {context.in(arena), rows, layer.context(), layer.context()};
        if (behind) tape.context = {tape.y.data + h, rows, layer.context(), layer.output()};
    }
    if (projects_query) tape.queries = queries.in(arena);
    tape.weights = weights.in(arena);
    for (std::size_t i = 0; i < state.size(); ++i) {
        if (!state[i]) continue;
        T* const sorted = initial[i].in(arena);
        sort_state(tape.sequence, state[i], h, sorted);
        tape.initial[i] = sorted;
    }
}

template <class T>
void spread_weights(const AttentionRnnTape<T>& tape, Index steps, T* to) {
    const Sequence& sequence = tape.sequence;
    const Index heads = tape.memory.heads, width = heads * steps;
    std::fill_n(to, sequence.steps() * sequence.batch() * width, T(0));
    for (Index b = 0; b < sequence.batch(); ++b) {
        const Index count = tape.memory_steps(b);
        for (Index t = 0; t < sequence.length(b); ++t) {
            T* const row = to + (t * sequence.batch() + sequence.user_row(b)) * width;
            for (Index head = 0; head < heads; ++head)
                std::copy_n(tape.weights_of(b, t) + head * padded_weights(count), count, row + head * steps);
        }
    }
}

template <class T>
void mean_weights(const AttentionRnnTape<T>& tape, Index steps, T* to) {
    const Index heads = tape.memory.heads;
    std::fill_n(to, tape.sequence.batch() * steps, T(0));
    for (Index b = 0; b < tape.sequence.batch(); ++b) {
        const Index count = tape.memory_steps(b);
        T* const row = to + tape.sequence.user_row(b) * steps;
        for (Index head = 0; head < heads; ++head) {
            const T* const from = tape.weights_of(b, 0) + head * padded_weights(count);
            for (Index s = 0; s < count; ++s) row[s] += from[s] / static_cast<T>(heads);
        }
    }
}

template struct AttentionRnnTape<float>;
template struct AttentionRnnTape<double>;
template void prepare_tape(AttentionRnnTape<float>&, bool, const std::vector<const float*>&);
template void prepare_tape(AttentionRnnTape<double>&, bool, const std::vector<const double*>&);

template void spread_weights(const AttentionRnnTape<float>&, Index, float*);
template void spread_weights(const AttentionRnnTape<double>&, Index, double*);
template void mean_weights(const AttentionRnnTape<float>&, Index, float*);
template void mean_weights(const AttentionRnnTape<double>&, Index, double*);

}  // namespace rnncore
