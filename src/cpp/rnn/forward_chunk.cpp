#include "rnn/forward_chunk.hpp"

#include <algorithm>

namespace rnncore {

template <class T>
void ForwardPass<T>::drop(Index layer, const Range& part) const {
    const LayerTape<T>& l = tape.layers[static_cast<std::size_t>(layer)];
    kernels.whole.dropout({l.y + part.first, l.dropped + part.first, part.last - part.first,
                           static_cast<std::uint64_t>(tape.first_row * network().output() + part.first),
                           dropout_seed(tape.seed, layer), network().dropout()});
}

template <class T>
bool ForwardChunk<T>::run(const Worker& worker) const {
    multiply_input();
    const bool drops = pass_.plan.by_layers() && tape_.dropped;  // otherwise at the layer's end
    bool go_on = true;
    for (Index i = 0, count; i < chunk_.hi - chunk_.lo && go_on; i += count) {
        const Index t = order_.reverse ? chunk_.hi - 1 - i : chunk_.lo + i;
        count = steps_at_once(t);
        run_steps(t, count);
        worker.poll();
        // threads that wait for each other stop at the same step
        go_on = share_.team ? share_.wait() : !worker.stopped();
        for (Index j = 0; j < count && drops; ++j) drop(order_.after(t, j));
    }
    write_final_state();
    return go_on;
}

template <class T>
T* ForwardChunk<T>::y_row(Index t, Index b) const {
    return tape_.y + (seq_.first(t) + b) * ld_y() + task_.direction * net_.direction_output();
}

// Kept, in the chunk's scratch, or where the output will be.
template <class T>
T* ForwardChunk<T>::sums_row(Index t, Index b) const {
    if (sums_in_output()) return y_row(t, b);
    if (tape().gates) return tape().gates + (seq_.first(t) + b) * ld_sums();
    return scratch_.gates + ((t - chunk_.lo) * task_.rows() + b - task_.begin) * ld_sums();
}

template <class T>
T* ForwardChunk<T>::extra_row(Index t, Index b) const {
    const Index width = net_.extra();
    if (width == 0) return nullptr;
    if (tape().extra) return tape().extra + (seq_.first(t) + b) * width;
    return scratch_.extra + (b - task_.begin) * width;
}

template <class T>
T* ForwardChunk<T>::cell_row(Index t, Index b) const {
    if (!tape().cell) return nullptr;
    return tape().cell + ((pass_.tape.keeps ? seq_.first(t) : 0) + b) * net_.cell_state();
}

template <class T>
const T* ForwardChunk<T>::initial_row(Index which, Index b) const {
    const T* const rows = tape().initial[which];
    return rows ? rows + b * net_.state(which) : nullptr;
}

// sums = W_ih x + b for all rows of the chunk
template <class T>
void ForwardChunk<T>::multiply_input() const {
    if (pass_.one_hot(layer_)) {
        for (Index t = chunk_.lo; t < chunk_.hi; ++t) look_up(t, std::min(task_.end, seq_.active(t)));
        return;
    }
    const Index count = find_blocks(), width = net_.input(layer_);
    if (count == 0) return;
    const auto multiply = [&](const T* packed, Index first, Index columns) {
        const auto move = [&](Index by) {
            for (Index i = 0; i < count; ++i) scratch_.blocks[i].c += by;
        };
        move(first);
        weights_.whole->product({scratch_.blocks, count, width, ld_sums(), packed, weights_.bias + first, width,
                                 columns, Init::bias, false, share_.scratch});
        move(-first);
    };
    const T* const weight = pass_.params + net_.offsets(layer_, task_.direction).weight_ih;
    const Index most = pass_.plan.piece_columns[static_cast<std::size_t>(layer_)];
    for_columns(width, [&](const ColumnPart& part) {
        if (most == 0) return multiply(weights_.input + part.packed, part.first, part.count);
        for (Index done = 0; done < part.count; done += most) {
            const Index first = part.first + done, columns = std::min(most, part.count - done);
            weights_.whole->pack({weight + first * width, 1, width, width, columns, scratch_.piece});
            multiply(scratch_.piece, first, columns);
        }
    });
}

// The rows of the chunk. Steps that follow each other in memory make one tall block.
template <class T>
Index ForwardChunk<T>::find_blocks() const {
    const Index width = net_.input(layer_);
    Index count = 0;
    // of all rows, which do not end, the steps follow each other
    const bool whole = !seq_.ragged() && task_.rows() == seq_.batch();
    const Index steps = whole ? chunk_.hi - chunk_.lo : 1;
    for (Index t = chunk_.lo; t < chunk_.hi; t += steps) {
        const Index end = std::min(task_.end, seq_.active(t));
        if (end <= task_.begin) continue;
        const T* x = tape_.x + (seq_.first(t) + task_.begin) * width;
        T* sums = sums_row(t, task_.begin);
        RowBlock<T>* const last = count > 0 ? scratch_.blocks + count - 1 : nullptr;
        if (last && x == last->a + last->rows * width && sums == last->c + last->rows * ld_sums())
            last->rows += end - task_.begin;
        else
            scratch_.blocks[count++] = {x, sums, steps * (end - task_.begin)};
    }
    return count;
}

template <class T>
void ForwardChunk<T>::look_up(Index t, Index end) const {
    const T* table = pass_.tables[task_.direction];
    const Index columns = net_.gate_columns();
    const OneHot& one_hot = *pass_.tape.one_hot;
    for (Index b = task_.begin; b < end; ++b) {
        const T* from = table + one_hot.slot(pass_.tape.first_row + seq_.first(t) + b) * columns;
        for_columns(0, [&](const ColumnPart& part) {
            std::copy_n(from + part.first, part.count, sums_row(t, b) + part.first);
        });
    }
}

// From time t on in this order: all that one call of the kernel can take, of rows none of which begins or ends.
template <class T>
Index ForwardChunk<T>::steps_at_once(Index t) const {
    if (!pass_.plan.steps_in_one_call) return 1;
    const Index rest = order_.reverse ? t + 1 - chunk_.lo : chunk_.hi - t;
    if (!seq_.ragged()) return rest;
    const Index rows = seq_.active(t);
    const bool begin = order_.has(order_.previous(t)) && seq_.active(order_.previous(t)) < rows;
    Index count = 1;
    while (!begin && count < rest && seq_.active(order_.after(t, count)) == rows) ++count;
    return count;
}

template <class T>
void ForwardChunk<T>::run_steps(Index t, Index count) const {
    UnitShare units = share_;
    units.from_end = reads_from_end(t);
    const CellSteps<T>& cell = net_.cell().template steps<T>();
    for_segments(seq_, order_, task_, t, [&](Index begin, Index end, bool from_history) {
        const Index before = order_.previous(t);
        CellForward<T> s{};
        s.rows = end - begin;
        s.hidden = net_.units();
        s.gates = sums_row(t, begin);
        s.ld_gates = ld_sums();
        s.extra = extra_row(t, begin);
        s.h_prev = from_history ? y_row(before, begin) : initial_row(0, begin);
        s.ld_h_prev = from_history ? ld_y() : net_.state(0);
        s.h = y_row(t, begin);
        s.ld_h = ld_y();
        s.c = cell_row(t, begin);
        s.c_prev = from_history ? cell_row(before, begin) : initial_row(1, begin);
        if (!pass_.plan.steps_in_one_call) return cell.forward(weights_, s, units);
        LayerSteps<T> steps{};
        steps.first = s;
        steps.first.units = s.hidden;
        steps.recurrent = weights_.recurrent[0];
        steps.recurrent_n = weights_.recurrent[1];
        steps.bias_n = weights_.bias_extra;
        steps.steps = count;
        if (count > 1) {
            const Index next = order_.after(t, 1);
            steps.to_gates = sums_row(next, begin) - s.gates;
            steps.to_extra = extra_row(next, begin) - s.extra;
            steps.to_h = y_row(next, begin) - s.h;
            steps.to_c = cell_row(next, begin) - s.c;
        }
        cell.forward_steps(*weights_.steps, steps);
    });
}

template <class T>
void ForwardChunk<T>::drop(Index t) const {
    const Index end = std::min(task_.end, seq_.active(t)), first = seq_.first(t);
    if (end > task_.begin) pass_.drop(layer_, {(first + task_.begin) * ld_y(), (first + end) * ld_y()});
}

// Of the sequences whose last step is in this chunk: their end upwards, the beginning of time downwards. An empty one
// keeps its start.
template <class T>
void ForwardChunk<T>::write_final_state() const {
    const Range units = share_.units;
    for (Index b = task_.begin; b < task_.end; ++b) {
        const Index length = seq_.length(b);
        const Index t = order_.reverse ? 0 : length - 1;
        if (length ? t < chunk_.lo || t >= chunk_.hi : !is_first_) continue;
        const Index row = (layer_ * net_.directions() + task_.direction) * seq_.batch() + seq_.user_row(b);
        for (Index i = 0; i < net_.states(); ++i) {
            const T* const from = length ? state_row(i, t, b) : initial_row(i, b);
            T* const to = pass_.final_state[static_cast<std::size_t>(i)] + row * net_.state(i);
            if (from)
                std::copy(from + units.first, from + units.last, to + units.first);
            else
                std::fill(to + units.first, to + units.last, T(0));
        }
    }
}

template struct ForwardPass<float>;
template struct ForwardPass<double>;
template class ForwardChunk<float>;
template class ForwardChunk<double>;

}  // namespace rnncore
