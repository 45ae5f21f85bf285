#include "rnn/forward.hpp"

#include <algorithm>

#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/cells/step.hpp"
#include "rnn/schedule.hpp"

namespace rnncore {
namespace {

// What a task needs besides the tape: the sums of a chunk and the extra vector of a step where they are not kept, and the
// blocks of rows of a chunk's input product.
template <class T>
struct TaskScratch {
    Arena::Slot<T> gates, extra;
    Arena::Slot<RowBlock<T>> blocks;
    Arena::Slot<T> piece;  // see Forward::takes_pieces
};

template <class T>
class Forward {
public:
    // `frozen`: null, or the parameters with weights that need not be packed.
    Forward(Tape<T>& tape, const T* params, const FrozenWeights<T>* frozen, const std::vector<T*>& final_state)
        : tape_(tape),
          net_(tape.network),
          kernels_(pass_kernels<T>(net_, tape.sequence.batch(), tape.all_rows)),
          seq_(tape.sequence),
          params_(params),
          frozen_(frozen),
          final_state_(final_state),
          threads_(threads_for(flops())),
          staggered_(divides_layers(net_, seq_, one_hot(0) ? 0 : net_.input(0), threads_) && !drops_in_place()),
          by_units_(!staggered_ && !kernels_.steps && divides_units(net_, seq_, threads_)),
          tasks_(make_tasks(seq_, std::vector<Chunk>(as_size(net_.directions()), Chunk{0, seq_.steps()}),
                            by_units_ ? 1 : threads_)),
          product_scratch_(arena_, kernels_.product_scratch_bytes(), threads_) {
        // A second thread without steps of its own costs more, awake beside the first, than its help in packing saves.
        if (!by_units_ && task_count() * layers_at_once() == 1) threads_ = 1;
        const std::size_t mark = arena_.mark();
        const GateColumns gates = by_units_ ? GateColumns::apart : GateColumns::together;
        for (Index layer = 0; layer < net_.layers(); ++layer) {
            if (!staggered_) arena_.rewind(mark);  // the layers run one after the other
            for (Index d = 0; d < net_.directions(); ++d) {
                if (!frozen_)
                    packed_.emplace_back(arena_, kernels_, net_, layer, !one_hot(layer) && !takes_pieces(layer), gates);
                if (one_hot(layer))
                    tables_[d] = arena_.reserve<T>(
                        checked_product(static_cast<std::size_t>(tape.one_hot->used()), as_size(net_.gate_columns())));
            }
        }
        arena_.rewind(arena_.size());
        for (Index i = 0; i < task_count() * layers_at_once(); ++i) {
            const RowTask& task = tasks_[as_size(i % task_count())];
            TaskScratch<T> s;
            const Index steps = steps_of(task);
            const Index rows = task.rows() * steps;
            const Index workers = by_units_ ? threads_ : 1;
            s.blocks = arena_.reserve<RowBlock<T>>(as_size(steps * workers));
            s.piece = arena_.reserve<T>(checked_product(as_size(workers), as_size(piece_size())));
            if (!tape_.keeps) {
                s.gates = arena_.reserve<T>(as_size(rows * row_pitch<T>(net_.kept_gates())));
                s.extra = arena_.reserve<T>(as_size(task.rows() * net_.extra()));
            }
            scratch_.push_back(s);
        }
        arena_.take();
        if (frozen_) weights_ = frozen_->packed({kernels_, gates, !one_hot(0)});
        for (const PackedForward<T>& p : packed_) weights_.push_back(p.in(arena_));
    }

    void run() {
        run_parallel(threads_, [this](int thread, Team& team) {
            const Worker w{thread, team, product_scratch_.of(arena_, thread)};
            if (staggered_) return run_staggered(w);
            for (Index layer = 0; layer < net_.layers(); ++layer) run_layer(layer, w);
        });
    }

private:
    static std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }
    bool one_hot(Index layer) const { return layer == 0 && tape_.one_hot; }

    double flops() const {
        double sum = 0;
        for (Index layer = 0; layer < net_.layers(); ++layer)
            sum += static_cast<double>(one_hot(layer) ? 0 : net_.input(layer)) * static_cast<double>(seq_.rows()) +
                   static_cast<double>(net_.recurrent()) * static_cast<double>(rows_worth(seq_));
        return 2 * sum * static_cast<double>(net_.gate_columns() * net_.directions());
    }

    // Dropout in the outputs that a layer's own next step reads: it must wait for the layer's end.
    bool drops_in_place() const { return tape_.drops && !tape_.keeps; }

    Index task_count() const { return static_cast<Index>(tasks_.size()); }
    Index layers_at_once() const { return staggered_ ? net_.layers() : 1; }

    // Of a chunk.
    Index steps_of(const RowTask& task) const {
        return staggered_ ? staggered_steps(seq_) : chunk_steps(seq_.steps(), task.rows());
    }

    // At least one: the first chunk writes the final states of empty sequences.
    Index chunks_of(const RowTask& task) const { return std::max<Index>(chunk_count(seq_.steps(), steps_of(task)), 1); }

    // Whether W_ih is packed piece by piece, each by the thread that multiplies with it and just before it does. A
    // whole packed matrix is written to an outer cache and read from there; pieces are not, but are packed anew in
    // every chunk, which pays for one chunk and, of far weights, for two (measured on a Zen 4). It does not where
    // threads would be idle meanwhile, nor for kernels that would make squares of the rows anew for every piece, nor
    // for the short chunks of staggered layers.
    bool takes_pieces(Index layer) const {
        const auto bytes = as_size(net_.input(layer) * net_.gate_columns()) * sizeof(T);
        const Index chunks = chunk_count(seq_.steps(), chunk_steps(seq_.steps(), seq_.batch()));
        const bool all_work = by_units_ || threads_ <= task_count();
        const bool all_rows = task_count() == net_.directions();
        return !one_hot(layer) && !frozen_ && !kernels_.whole.makes_squares && !staggered_ && all_work && all_rows &&
               chunks <= (bytes > kFarWeightBytes ? 2 : 1);
    }

    // Columns of the pieces of a layer, and elements of the largest piece of all.
    Index columns_of_piece(Index layer) const {
        const Index columns = by_units_ ? net_.units() : net_.gate_columns();
        return std::min(piece_columns(kernels_.whole, net_.input(layer)), columns);
    }
    Index piece_size() const {
        Index size = 0;
        for (Index layer = 0; layer < net_.layers(); ++layer) {
            if (takes_pieces(layer))
                size = std::max(size, packed_size(kernels_.whole, net_.input(layer), columns_of_piece(layer)));
        }
        return size;
    }

    std::size_t index(Index layer, Index d) const { return as_size(layer * net_.directions() + d); }

    // Packs the weights of a layer; a barrier later they may be read.
    void begin_layer(Index layer, const Worker& w) {
        if (!frozen_) {
            for (Index d = 0; d < net_.directions(); ++d) packed_[index(layer, d)].fill(arena_, params_, d, w);
        }
        if (!one_hot(layer)) return;
        w.barrier();
        for (Index d = 0; d < net_.directions(); ++d) {
            const Range part = w.share(net_.gate_columns(), kernels_.whole.lanes);
            tape_.one_hot->look_up(params_ + net_.offsets(0, d).weight_ih, net_.input(0), weights_[index(0, d)].bias,
                                   net_.gate_columns(), tables_[d].in(arena_), part.first, part.last);
        }
    }

    void run_layer(Index layer, const Worker& w) {
        begin_layer(layer, w);
        w.barrier();
        const Range mine = by_units_ ? Range{0, 1} : w.tasks(task_count());
        for (Index i = mine.first; i < mine.last; ++i) {
            const Index chunks = chunks_of(tasks_[as_size(i)]);
            for (Index chunk = 0; chunk < chunks && run_chunk(layer, i, chunk, w);) ++chunk;
        }
        w.barrier();
        if (tape_.layers[as_size(layer)].dropped) {
            drop(layer, w.share(seq_.rows() * net_.output(), kernels_.whole.lanes));
            w.barrier();
        }
    }

    // A stage is one chunk of every layer.
    void run_staggered(const Worker& w) {
        for (Index layer = 0; layer < net_.layers(); ++layer) begin_layer(layer, w);
        bool go_on = w.barrier();
        const Index chunks = chunks_of(tasks_[0]);
        const Range mine = w.tasks(net_.layers() * task_count());
        for (Index stage = 0; stage < chunks + net_.layers() - 1 && go_on; ++stage) {
            for (Index i = mine.first; i < mine.last; ++i) {
                const Index layer = i / task_count(), chunk = stage - layer;
                if (chunk >= 0 && chunk < chunks) run_chunk(layer, i % task_count(), chunk, w);
            }
            go_on = w.barrier();
        }
    }

    // Some of a layer's outputs, as the next layer reads them.
    void drop(Index layer, const Range& part) const {
        const LayerTape<T>& tape = tape_.layers[as_size(layer)];
        kernels_.whole.dropout({tape.y + part.first, tape.dropped + part.first, part.last - part.first,
                                static_cast<std::uint64_t>(tape_.first_row * net_.output() + part.first),
                                dropout_seed(tape_.seed, layer), net_.dropout()});
    }

    UnitShare units_of(const Worker& w) const {
        if (!by_units_) return {{0, net_.units()}, nullptr, w.scratch};
        return {w.share(net_.units(), kernels_.step.tile_columns), &w.team, w.scratch};
    }

    // A chunk of one task in one layer; whether to go on.
    bool run_chunk(Index layer, Index number, Index chunk, const Worker& w) {
        const RowTask& task = tasks_[as_size(number)];
        const TimeOrder order{seq_.steps(), task.direction == 1};
        const Index steps = steps_of(task);
        const TaskScratch<T>& scratch = scratch_[as_size(staggered_ ? layer * task_count() + number : number)];
        const Step step{
            *this,
            tape_.layers[as_size(layer)],
            task,
            order,
            weights_[index(layer, task.direction)],
            scratch,
            scratch.blocks.in(arena_) + (by_units_ ? w.thread * steps : 0),
            takes_pieces(layer) ? scratch.piece.in(arena_) + (by_units_ ? w.thread * piece_size() : 0) : nullptr,
            units_of(w),
            chunk_at(order, chunk, steps)};
        step.multiply_input(layer);
        bool go_on = true;
        for (Index i = 0, count; i < step.chunk.hi - step.chunk.lo && go_on; i += count) {
            const Index t = order.reverse ? step.chunk.hi - 1 - i : step.chunk.lo + i;
            count = step.steps_at_once(t);
            step.run(t, count);
            w.poll();
            // threads that wait for each other stop at the same step
            go_on = by_units_ ? step.share.wait() : !w.stopped();
            for (Index j = 0; j < count && staggered_ && step.layer.dropped; ++j) step.drop(layer, order.after(t, j));
        }
        step.write_final_state(layer, chunk == 0);
        return go_on;
    }

    // The steps of one task in one layer.
    struct Step {
        Forward& pass;
        const LayerTape<T>& layer;
        const RowTask& task;
        TimeOrder order;
        const ForwardWeights<T>& weights;
        const TaskScratch<T>& scratch;
        RowBlock<T>* blocks;
        T* piece;
        UnitShare share;
        Chunk chunk;

        const DirectionTape<T>& tape() const { return layer.directions[task.direction]; }
        bool sums_in_output() const { return pass.net_.kept_gates() == 0; }
        Index ld_y() const { return pass.net_.output(); }
        Index ld_sums() const { return sums_in_output() ? ld_y() : row_pitch<T>(pass.net_.gate_columns()); }

        T* y_row(Index t, Index b) const {
            return layer.y + (pass.seq_.first(t) + b) * ld_y() + task.direction * pass.net_.direction_output();
        }

        // Where the sums of row b at time t stand: kept, in the chunk's scratch, or where the output will.
        T* sums_row(Index t, Index b) const {
            if (sums_in_output()) return y_row(t, b);
            if (tape().gates) return tape().gates + (pass.seq_.first(t) + b) * ld_sums();
            return scratch.gates.in(pass.arena_) + ((t - chunk.lo) * task.rows() + b - task.begin) * ld_sums();
        }

        T* extra_row(Index t, Index b) const {
            const Index width = pass.net_.extra();
            if (width == 0) return nullptr;
            if (tape().extra) return tape().extra + (pass.seq_.first(t) + b) * width;
            return scratch.extra.in(pass.arena_) + (b - task.begin) * width;
        }

        T* cell_row(Index t, Index b) const {
            if (!tape().cell) return nullptr;
            return tape().cell + ((pass.tape_.keeps ? pass.seq_.first(t) : 0) + b) * pass.net_.cell_state();
        }

        // A state before the step at time t and, where there is none yet, the initial one.
        const T* state_row(Index which, Index t, Index b) const { return which == 0 ? y_row(t, b) : cell_row(t, b); }
        const T* initial_row(Index which, Index b) const {
            const T* const rows = tape().initial[which];
            return rows ? rows + b * pass.net_.state(which) : nullptr;
        }

        // sums = W_ih x + b for all rows of the chunk
        void multiply_input(Index index) const {
            const bool one_hot = pass.one_hot(index);
            const Index width = pass.net_.input(index);
            Index count = 0;
            // of all rows, which do not end, the steps follow each other
            const bool whole = !one_hot && !pass.seq_.ragged() && task.rows() == pass.seq_.batch();
            const Index steps = whole ? chunk.hi - chunk.lo : 1;
            for (Index t = chunk.lo; t < chunk.hi; t += steps) {
                const Index end = std::min(task.end, pass.seq_.active(t));
                if (end <= task.begin) continue;
                if (one_hot) {
                    look_up(t, end);
                    continue;
                }
                const T* x = layer.x + (pass.seq_.first(t) + task.begin) * width;
                T* sums = sums_row(t, task.begin);
                // Steps that follow each other in memory make one tall block.
                RowBlock<T>* const last = count > 0 ? blocks + count - 1 : nullptr;
                if (last && x == last->a + last->rows * width && sums == last->c + last->rows * ld_sums())
                    last->rows += end - task.begin;
                else
                    blocks[count++] = {x, sums, steps * (end - task.begin)};
            }
            if (count == 0) return;
            const auto multiply = [&](const T* packed, Index first, Index columns) {
                const auto to = [&](Index by) {
                    for (Index i = 0; i < count; ++i) blocks[i].c += by;
                };
                to(first);
                weights.whole->product({blocks, count, width, ld_sums(), packed, weights.bias + first, width, columns,
                                        Init::bias, false, share.scratch});
                to(-first);
            };
            const T* const weight = pass.params_ + pass.net_.offsets(index, task.direction).weight_ih;
            for_columns(weights.whole, width, [&](const ColumnPart& part) {
                if (!piece) return multiply(weights.input + part.packed, part.first, part.count);
                const Index most = pass.columns_of_piece(index);
                for (Index done = 0; done < part.count; done += most) {
                    const Index first = part.first + done, columns = std::min(most, part.count - done);
                    weights.whole->pack({weight + first * width, 1, width, width, columns, piece});
                    multiply(piece, first, columns);
                }
            });
        }

        void look_up(Index t, Index end) const {
            const T* table = pass.tables_[task.direction].in(pass.arena_);
            const Index columns = pass.net_.gate_columns();
            const OneHot& one_hot = *pass.tape_.one_hot;
            for (Index b = task.begin; b < end; ++b) {
                const T* from = table + one_hot.slot(pass.tape_.first_row + pass.seq_.first(t) + b) * columns;
                for_columns(weights.whole, 0, [&](const ColumnPart& part) {
                    std::copy_n(from + part.first, part.count, sums_row(t, b) + part.first);
                });
            }
        }

        // The columns of the sums that belong to this thread's units.
        template <class Run>
        void for_columns(const Kernels<T>* kernels, Index k, const Run& run) const {
            for_gate_columns(weights.gates, *kernels, k, pass.net_.gate_columns(), pass.net_.units(), share.units, run);
        }

        // From time t on in this order: all that one call of the kernel can take, of rows none of which begins or ends.
        Index steps_at_once(Index t) const {
            if (!weights.steps) return 1;
            const Index rest = order.reverse ? t + 1 - chunk.lo : chunk.hi - t;
            if (!pass.seq_.ragged()) return rest;
            const Index rows = pass.seq_.active(t);
            const bool begin = order.has(order.previous(t)) && pass.seq_.active(order.previous(t)) < rows;
            Index count = 1;
            while (!begin && count < rest && pass.seq_.active(order.after(t, count)) == rows) ++count;
            return count;
        }

        void run(Index t, Index count) const {
            UnitShare units = share;
            units.from_end = reads_from_end(t);
            const CellSteps<T>& cell = pass.net_.cell().template steps<T>();
            for_segments(pass.seq_, order, task, t, [&](Index begin, Index end, bool from_history) {
                const Index before = order.previous(t);
                CellForward<T> s{};
                s.rows = end - begin;
                s.hidden = pass.net_.units();
                s.gates = sums_row(t, begin);
                s.ld_gates = ld_sums();
                s.extra = extra_row(t, begin);
                s.h_prev = from_history ? y_row(before, begin) : initial_row(0, begin);
                s.ld_h_prev = from_history ? ld_y() : pass.net_.state(0);
                s.h = y_row(t, begin);
                s.ld_h = ld_y();
                s.c = cell_row(t, begin);
                s.c_prev = from_history ? cell_row(before, begin) : initial_row(1, begin);
                if (!weights.steps) return cell.forward(weights, s, units);
                LayerSteps<T> steps{};
                steps.first = s;
                steps.first.units = s.hidden;
                steps.recurrent = weights.recurrent[0];
                steps.recurrent_n = weights.recurrent[1];
                steps.bias_n = weights.bias_extra;
                steps.steps = count;
                if (count > 1) {
                    const Index next = order.after(t, 1);
                    steps.to_gates = sums_row(next, begin) - s.gates;
                    steps.to_extra = extra_row(next, begin) - s.extra;
                    steps.to_h = y_row(next, begin) - s.h;
                    steps.to_c = cell_row(next, begin) - s.c;
                }
                cell.forward_steps(*weights.steps, steps);
            });
        }

        void drop(Index index, Index t) const {
            const Index end = std::min(task.end, pass.seq_.active(t)), first = pass.seq_.first(t);
            if (end > task.begin) pass.drop(index, {(first + task.begin) * ld_y(), (first + end) * ld_y()});
        }

        // Of the sequences whose last step is in this chunk: their end upwards, the beginning of time downwards. An
        // empty one keeps its start.
        void write_final_state(Index index, bool is_first_chunk) const {
            for (Index b = task.begin; b < task.end; ++b) {
                const Index length = pass.seq_.length(b);
                const Index t = order.reverse ? 0 : length - 1;
                if (length ? t < chunk.lo || t >= chunk.hi : !is_first_chunk) continue;
                const Index row =
                    (index * pass.net_.directions() + task.direction) * pass.seq_.batch() + pass.seq_.user_row(b);
                for (Index i = 0; i < pass.net_.states(); ++i)
                    copy_or_zero(length ? state_row(i, t, b) : initial_row(i, b),
                                 pass.final_state_[as_size(i)] + row * pass.net_.state(i));
            }
        }

        void copy_or_zero(const T* from, T* to) const {
            if (from)
                std::copy(from + share.units.first, from + share.units.last, to + share.units.first);
            else
                std::fill(to + share.units.first, to + share.units.last, T(0));
        }
    };

    Tape<T>& tape_;
    const Network& net_;
    const PassKernels<T> kernels_;
    const Sequence& seq_;
    const T* params_;
    const FrozenWeights<T>* frozen_;
    const std::vector<T*>& final_state_;
    int threads_;
    bool staggered_, by_units_;
    std::vector<RowTask> tasks_;
    Arena arena_;
    ProductScratch product_scratch_;
    std::vector<PackedForward<T>> packed_;    // by layer and direction; of frozen weights none
    std::vector<ForwardWeights<T>> weights_;  // the same
    Arena::Slot<T> tables_[2];
    std::vector<TaskScratch<T>> scratch_;  // by task; of staggered layers by layer and task
};

}  // namespace

template <class T>
void run_forward(Tape<T>& tape, const T* params, const std::vector<T*>& final_state) {
    Forward<T>(tape, params, nullptr, final_state).run();
}

template <class T>
void run_forward(Tape<T>& tape, const FrozenWeights<T>& frozen, const std::vector<T*>& final_state) {
    Forward<T>(tape, frozen.params(), &frozen, final_state).run();
}

template void run_forward<float>(Tape<float>&, const float*, const std::vector<float*>&);
template void run_forward<double>(Tape<double>&, const double*, const std::vector<double*>&);
template void run_forward<float>(Tape<float>&, const FrozenWeights<float>&, const std::vector<float*>&);
template void run_forward<double>(Tape<double>&, const FrozenWeights<double>&, const std::vector<double*>&);

}  // namespace rnncore
