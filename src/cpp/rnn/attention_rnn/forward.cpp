// Each thread takes some sequences through all steps; none waits for another after the weights are packed. A chunk of
// time begins with the products of x over its rows.
#include "rnn/attention_rnn/forward.hpp"

#include <algorithm>

#include "core/threads.hpp"
#include "dispatch/dispatch.hpp"
#include "rnn/cells/step.hpp"
#include "rnn/plan.hpp"

namespace rnncore {
namespace {

template <class T>
class Forward {
public:
    Forward(AttentionRnnTape<T>& tape, const AttentionRnnArrays<const T>& params, const std::vector<T*>& final_state,
            const HeldAttentionRnn<T>* held)
        : tape_(tape),
          layer_(tape.layer),
          seq_(tape.sequence),
          params_(params),
          final_state_(final_state),
          kernels_(held ? held->kernels() : attention_rnn_kernels<T>(layer_, seq_)),
          threads_(threads_for(tape.flops())),
          tasks_(divide_rows(seq_, {{0, seq_.steps()}}, threads_)),
          scratch_(arena_, kernels_.product_scratch_bytes(), threads_) {
        if (!held) own_.emplace(arena_, kernels_, layer_, params, tape.memory.width);
        for (const RowTask& task : tasks_) {
            TaskScratch s{chunk_steps(seq_.steps(), task.rows()), {}, {}, {}};
            s.blocks = arena_.reserve<RowBlock<T>>(static_cast<std::size_t>(s.steps));
            for (int i = 0; i < layer_.cells() && !tape.keeps; ++i) {
                // the second cell's sums are made in its step
                const Index steps = i == 0 ? s.steps : 1;
                s.gates[i] = reserve(task.rows() * steps, row_pitch<T>(layer_.cell(i).kept_gates()));
                s.extra[i] = reserve(task.rows(), layer_.cell(i).extra());
            }
            task_scratch_.push_back(s);
        }
        arena_.take();
        packed_ = held ? &held->packed() : &*own_;
        packed_arena_ = held ? &held->arena() : &arena_;
        for (int i = 0; i < layer_.cells(); ++i) cells_[i] = packed_->cell(static_cast<std::size_t>(i), *packed_arena_);
    }

    void run() {
        run_parallel(threads_, [this](int thread, Team& team) {
            const Worker w{thread, team, scratch_.of(arena_, thread)};
            if (own_) own_->fill(arena_, w);
            w.barrier();
            const Range mine = w.tasks(static_cast<Index>(tasks_.size()));
            for (Index i = mine.first; i < mine.last && !w.stopped(); ++i) run_task(static_cast<std::size_t>(i), w);
        });
    }

private:
    struct TaskScratch {
        Index steps;  // of a chunk
        Arena::Slot<RowBlock<T>> blocks;
        Arena::Slot<T> gates[kMostCells], extra[kMostCells];  // where the tape does not keep them
    };

    Arena::Slot<T> reserve(Index rows, Index columns) {
        return arena_.template reserve<T>(
            checked_product(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)));
    }

    void run_task(std::size_t number, const Worker& w) const {
        const RowTask& task = tasks_[number];
        const TaskScratch& scratch = task_scratch_[number];
        for (Index lo = 0; lo < seq_.steps() && !w.stopped(); lo += scratch.steps) {
            const Chunk chunk{lo, std::min(lo + scratch.steps, seq_.steps())};
            multiply_input(task, scratch, chunk, w);
            for (Index t = chunk.lo; t < chunk.hi && !w.stopped(); ++t) {
                const StepRows s = step_rows(seq_, task, t);
                if (s.rows == 0) break;
                run_step(s, scratch, (t - chunk.lo) * task.rows(), w);
                w.poll();
            }
        }
        for (Index b = task.begin; b < task.end; ++b) write_final_state(b);
    }

    // The sums of a cell, whose gates are kept, in the scratch (from row `at` on), or where its output will be.
    Matrix<T> sums(int i, const StepRows& s, const TaskScratch& scratch, Index at) const {
        const Network& net = layer_.cell(i);
        if (net.kept_gates() == 0) return rows_of(output(i), s);
        const Index pitch = row_pitch<T>(net.gate_columns());
        T* const gates = tape_.cells[i].gates;
        return {gates ? gates + s.first * pitch : scratch.gates[i].in(arena_) + at * pitch, s.rows, net.gate_columns(),
                pitch};
    }
    // what a cell puts out
    const Matrix<T>& output(int i) const { return layer_.feeds_input() || i == 0 ? tape_.hidden : tape_.y; }

    Matrix<T> rows_of(const Matrix<T>& all, const StepRows& s) const { return all.slice(s.first, s.rows); }

    // sums = W_ih x + b of the first cell for all rows of the chunk
    void multiply_input(const RowTask& task, const TaskScratch& scratch, const Chunk& chunk, const Worker& w) const {
        RowBlock<T>* const blocks = scratch.blocks.in(arena_);
        Index count = 0, ld = 0;
        for (Index t = chunk.lo; t < chunk.hi; ++t) {
            const StepRows s = step_rows(seq_, task, t);
            if (s.rows == 0) break;
            const Matrix<T> c = sums(0, s, scratch, (t - chunk.lo) * task.rows());
            blocks[count++] = {tape_.x + s.first * layer_.input(), c.data, s.rows};
            ld = c.stride;
        }
        if (count == 0) return;
        kernels_.whole.product({blocks, count, layer_.input(), ld, packed_->input.in(*packed_arena_), cells_[0].bias,
                                layer_.input(), layer_.first().gate_columns(), Init::bias, false, w.scratch});
    }

    void run_step(const StepRows& s, const TaskScratch& scratch, Index at, const Worker& w) const {
        const UnitShare share{{0, layer_.hidden()}, nullptr, w.scratch, reads_from_end(s.t)};
        const bool feeds = layer_.feeds_input();
        const Matrix<T> first = sums(0, s, scratch, at);
        if (feeds) {
            // sums += W_ia a'
            const Matrix<const T> a = tape_.before(tape_.y, layer_.attentional(), s);
            if (a.data) packed_->fed.add(*packed_arena_, a, first, share.from_end, w.scratch);
        }
        run_cell(0, s, first, tape_.before(feeds ? tape_.hidden : tape_.y, 0, s),
                 tape_.cell_before(layer_.cells() - 1, s), scratch, share);
        attend(s, w);
        const Matrix<const T> c{tape_.context.row(s.first), s.rows, layer_.context(), tape_.context.stride};
        if (feeds) return combine(s, w);
        // sums = W_ih c + b
        const Matrix<T> second = sums(1, s, scratch, 0);
        packed_->fed.multiply(*packed_arena_, c, cells_[1].bias, second, {0, second.columns}, w);
        const Matrix<T> q = rows_of(tape_.hidden, s);
        run_cell(1, s, second, {q.data, q.rows, q.columns, q.stride}, c_of(0, s), scratch, share);
    }

    const T* c_of(int i, const StepRows& s) const {
        return tape_.cells[i].cell ? tape_.cells[i].cell + s.first * layer_.hidden() : nullptr;
    }
    void run_cell(int i, const StepRows& s, const Matrix<T>& sums, const Matrix<const T>& h_prev, const T* c_prev,
                  const TaskScratch& scratch, const UnitShare& share) const {
        const Network& net = layer_.cell(i);
        const CellTape<T>& kept = tape_.cells[i];
        const Matrix<T> h = rows_of(output(i), s);
        CellForward<T> step{};
        step.rows = s.rows;
        step.hidden = net.units();
        step.gates = sums.data;
        step.ld_gates = sums.stride;
        if (net.extra() > 0) step.extra = kept.extra ? kept.extra + s.first * net.extra() : scratch.extra[i].in(arena_);
        step.h_prev = h_prev.data;
        step.ld_h_prev = h_prev.stride;
        step.h = h.data;
        step.ld_h = h.stride;
        step.c_prev = c_prev;
        step.c = kept.cell ? kept.cell + s.first * net.cell_state() : nullptr;
        net.cell().template steps<T>().forward(cells_[i], step, share);
    }

    void attend(const StepRows& s, const Worker& w) const {
        if (tape_.queries) {
            const Matrix<T> q = rows_of(tape_.hidden, s);
            const Index width = tape_.memory.width;
            packed_->query->multiply(*packed_arena_, {q.data, q.rows, q.columns, q.stride}, params_.query_bias,
                                     {tape_.queries + s.first * width, s.rows, width, width}, {0, width}, w);
        }
        for (Index b = s.begin; b < s.begin + s.rows; ++b) {
            for (Index head = 0; head < tape_.memory.heads; ++head)
                kernels_.step.attention(tape_.attention(b, s.t, head));
        }
    }

    // a = tanh(W_c [c; h] + b_c)
    void combine(const StepRows& s, const Worker& w) const {
        const Matrix<T> a = rows_of(tape_.y, s);
        const Matrix<const T> joint{tape_.context.row(s.first), s.rows, layer_.joint(), tape_.context.stride};
        packed_->combine->multiply(*packed_arena_, joint, params_.combine_bias(layer_), a, {0, layer_.hidden()}, w);
        CellForward<T> step{};
        step.rows = s.rows;
        step.hidden = step.units = layer_.hidden();
        step.gates = step.h = a.data;
        step.ld_gates = step.ld_h = a.stride;
        kernels_.step.rnn_forward[static_cast<int>(Nonlinearity::tanh)](step);
        if (!layer_.options().outputs_context) return;
        for (Index r = 0; r < s.rows; ++r) std::copy_n(joint.row(r), layer_.context(), a.row(r) + layer_.hidden());
    }

    // An empty sequence keeps its start.
    void write_final_state(Index b) const {
        const Index h = layer_.hidden(), length = seq_.length(b);
        const Index row = length > 0 ? seq_.first(length - 1) + b : 0;
        for (int i = 0; i < layer_.states(); ++i) {
            const T* from = tape_.initial[i] ? tape_.initial[i] + b * h : nullptr;
            if (length > 0) from = last_state(i, row);
            T* const to = final_state_[static_cast<std::size_t>(i)] + seq_.user_row(b) * h;
            if (from)
                std::copy_n(from, h, to);
            else
                std::fill_n(to, h, T(0));
        }
    }
    const T* last_state(int i, Index row) const {
        if (layer_.feeds_input() && i == layer_.attentional()) return tape_.y.row(row);
        if (i > 0) return tape_.cells[layer_.cells() - 1].cell + row * layer_.hidden();
        return output(layer_.cells() - 1).row(row);
    }

    AttentionRnnTape<T>& tape_;
    const AttentionRnn& layer_;
    const Sequence& seq_;
    const AttentionRnnArrays<const T> params_;
    const std::vector<T*>& final_state_;
    const PassKernels<T> kernels_;
    const int threads_;
    const std::vector<RowTask> tasks_;
    Arena arena_;
    ProductScratch scratch_;
    std::optional<PackedAttentionRnn<T>> own_;
    const PackedAttentionRnn<T>* packed_ = nullptr;
    const Arena* packed_arena_ = nullptr;
    std::vector<TaskScratch> task_scratch_;
    ForwardWeights<T> cells_[kMostCells] = {};
};

}  // namespace

template <class T>
PassKernels<T> attention_rnn_kernels(const AttentionRnn& layer, const Sequence& sequence) {
    const PassKernels<T> kernels = pass_kernels<T>(layer.first(), sequence.batch(), sequence.rows());
    return {kernels.whole, kernels.step, nullptr};
}

template <class T>
HeldAttentionRnn<T>::HeldAttentionRnn(const AttentionRnn& layer, const AttentionRnnArrays<const T>& params, Index width)
    : layer_(layer),
      params_(params),
      kernels_{rnncore::kernels<T>(layer.options().compute), rnncore::kernels<T>(layer.options().compute), nullptr},
      packed_(arena_, kernels_, layer_, params_, width) {
    arena_.take(Use::result);
    run_parallel(1, [&](int thread, Team& team) { packed_.fill(arena_, {thread, team}); });
}

template <class T>
void run_forward(AttentionRnnTape<T>& tape, const AttentionRnnArrays<const T>& params,
                 const std::vector<T*>& final_state, const HeldAttentionRnn<T>* held) {
    Forward<T>(tape, params, final_state, held).run();
}

#define RNNCORE_INSTANTIATE(T)                                                                                  \
    template PassKernels<T> attention_rnn_kernels(const AttentionRnn&, const Sequence&);                        \
    template class HeldAttentionRnn<T>;                                                                         \
    template void run_forward(AttentionRnnTape<T>&, const AttentionRnnArrays<const T>&, const std::vector<T*>&, \
                              const HeldAttentionRnn<T>*);
RNNCORE_INSTANTIATE(float)
RNNCORE_INSTANTIATE(double)
#undef RNNCORE_INSTANTIATE

}  // namespace rnncore
